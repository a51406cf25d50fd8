"""Intervals by resampling groups: items of one document, prompt or conversation come and go together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from judge.calibration.statistics.figures import Figure, Undefined
from judge.calibration.statistics.proportions import upper_bound

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
#: What a metric makes of y (n,), f (n,) and reweightings (B, n): a value for each row, NaN where that row leaves it
#: undefined. It raises Undefined where y and f do, whatever their weights.
Metric = Callable[[Floats, Floats, Floats], Floats]

DRAWS = 2000
#: Elements of one chunk of reweightings.
CHUNK = 1_000_000
#: An interval from draws of which more than this share are undefined would hide the rest.
MOST_UNDEFINED = 0.01

#: Groups in which judge and people differ, below which resamples do not tell how many more there could be.
FEW = 10


@runtime_checkable
class Losing(Protocol):
    """A metric that is 1 where judge and people never differ, and less by a loss for every item on which they do."""

    def __call__(self, y: Floats, f: Floats, W: Floats) -> Floats: ...

    def losses(self, y: Floats, f: Floats, w: Floats) -> tuple[Floats, float]:
        """What each item takes from 1, (n,), and what the nearest miss on the heaviest item would take."""
        ...


def reweightings(cluster: Codes, w: Floats, draws: int, rng: np.random.Generator) -> Iterator[Floats]:
    """The weights of every item in each of `draws` resamples of the clusters, in chunks of rows (b, n).

    Each resample draws as many clusters as there are, with replacement. `cluster` holds codes 0..C-1, `w` the weights
    that the items have anyway.
    """
    count = int(cluster.max()) + 1
    rows = max(CHUNK // max(len(cluster), count), 1)
    shares = np.full(count, 1 / count)
    for first in range(0, draws, rows):
        times = rng.multinomial(count, shares, size=min(rows, draws - first)).astype(np.float64)
        yield times[:, cluster] * w


def figures(
    metrics: Mapping[str, Metric],
    y: Floats,
    f: Floats,
    cluster: Codes,
    w: Floats | None = None,
    *,
    draws: int = DRAWS,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, Figure]:
    """Every metric with its cluster-bootstrap interval, all from the same resamples.

    Expanded percentiles: the plain ones are too narrow by the factor sqrt((C - 1) / C) and by the normal quantile in
    the place of Student's, which counts for few clusters. Of a metric with losses the lower end is lowered where few
    clusters show any (`_lowered`).

    Parameters
    ----------
    y, f : (n,)
        People's score and the judge's, handed to the metrics.
    cluster : (n,)
        Codes 0..C-1.
    w : (n,)
        Inverse sampling probabilities; None where every item was as likely.

    Returns
    -------
    dict of Figure
        Without a value where the metric is undefined; without an interval for fewer than two clusters, or where more
        than 1% of the resamples leave it undefined.

    References
    ----------
    Hesterberg (2015), What teachers should know about the bootstrap. The American Statistician 69, section 4.5 (the
    expanded percentile interval). Field and Welsh (2007), Bootstrapping clustered data. JRSS B 69.
    """
    w = np.ones(len(y)) if w is None else w
    found = {name: _plain(metric, y, f, w) for name, metric in metrics.items()}
    defined = {name: metric for name, metric in metrics.items() if found[name].value is not None}
    count = int(cluster.max()) + 1 if len(cluster) else 0
    if count < 2:
        why = "one group has no interval"
        return {name: one.model_copy(update={"why": one.why or why}) for name, one in found.items()}
    drawn: dict[str, list[Floats]] = {name: [] for name in defined}
    for weights in reweightings(cluster, w, draws, np.random.default_rng(seed)):
        for name, metric in defined.items():
            drawn[name].append(metric(y, f, weights))
    ends = expanded(count, confidence)
    for name, metric in defined.items():
        found[name] = _spread(found[name], np.concatenate(drawn[name]), ends)
        if isinstance(metric, Losing):
            found[name] = _lowered(found[name], *metric.losses(y, f, w), cluster, confidence)
    return found


def _plain(metric: Metric, y: Floats, f: Floats, w: Floats) -> Figure:
    try:
        value = float(metric(y, f, w[None, :])[0])
    except Undefined as undefined:
        return Figure.undefined(str(undefined), len(y))
    if np.isnan(value):
        return Figure.undefined("these scores do not define it", len(y))
    return Figure(value=value, n=len(y))


def _spread(plain: Figure, drawn: Floats, ends: tuple[float, float]) -> Figure:
    missing = float(np.isnan(drawn).mean())
    if missing > MOST_UNDEFINED:
        why = f"undefined in {missing:.0%} of the resamples, so there is no interval"
        return plain.model_copy(update={"why": why})
    low, high = np.nanquantile(drawn, ends)
    return plain.model_copy(update={"low": float(low), "high": float(high)})


def _lowered(figure: Figure, losses: Floats, least: float, cluster: Codes, confidence: float) -> Figure:
    """The figure with a lower end that knows of misses which by chance did not come.

    Where judge and people differ in a handful of C clusters, or in none, so do they in the resamples, and their lower
    end is too high: 1 where there is no miss. There it is 1 - u C (L + l) / (d + 1) if that is lower: u is the upper
    bound of Clopper and Pearson of the share of clusters that differ, of which d were seen, with the loss L together,
    and l is the loss of one nearest miss more. With `FEW` such clusters, or in half of all, the bootstrap's end stands.

    References
    ----------
    Clopper and Pearson (1934), The use of confidence or fiducial limits illustrated in the case of the binomial.
    Biometrika 26.
    """
    if figure.low is None:
        return figure
    of_cluster = np.bincount(cluster, losses)
    count, differ = len(of_cluster), int((of_cluster > least / 10).sum())
    if differ >= FEW or 2 * differ >= count:
        return figure
    share = upper_bound(differ, count, (1 - confidence) / 2)
    end = 1 - share * count * (float(losses.sum()) + least) / (differ + 1)
    return figure.model_copy(update={"low": max(min(figure.low, end), -1.0)})


def expanded(count: int, confidence: float) -> tuple[float, float]:
    """The shares at which the percentiles of a bootstrap of `count` clusters are read (Hesterberg 2015, 4.5)."""
    widened = np.sqrt(count / (count - 1)) * stats.t.ppf((1 + confidence) / 2, count - 1)
    tail = float(stats.norm.cdf(-widened))
    return tail, 1 - tail
