"""Shares of items, with an interval that holds for few items, near 0 and 1, in groups, and under unequal weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from scipy import optimize, stats

from judge.calibration.statistics import bootstrap
from judge.calibration.statistics.bootstrap import DRAWS, Codes, Floats, Metric
from judge.calibration.statistics.figures import Figure, Undefined
from judge.calibration.statistics.moments import Flags, ratio
from judge.calibration.statistics.proportions import wilson

#: Relative variance below which values are all alike but for rounding.
_ALIKE = 1e-12
#: Of the square of a share: what its lower end is surely above.
_NEAR = 1e-9


@runtime_checkable
class Interval(Protocol):
    """A metric that brings an interval of its own, where the bootstrap's does not cover."""

    def __call__(self, y: Floats, f: Floats, W: Floats) -> Floats: ...

    def figure(
        self, y: Floats, f: Floats, cluster: Codes, w: Floats | None = None, confidence: float = 0.95
    ) -> Figure: ...


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
    """Every metric with the interval that it makes itself, or else with the cluster bootstrap's (`bootstrap.figures`).

    In their order, and with the parameters of `bootstrap.figures`.
    """
    drawn = {name: metric for name, metric in metrics.items() if not isinstance(metric, Interval)}
    found = bootstrap.figures(drawn, y, f, cluster, w, draws=draws, confidence=confidence, seed=seed)
    for name, metric in metrics.items():
        if isinstance(metric, Interval):
            found[name] = metric.figure(y, f, cluster, w, confidence)
    return {name: found[name] for name in metrics}


class Sizes(NamedTuple):
    """How many independent items of equal weight would tell a share as well: for its lower end, and for its upper."""

    below: float
    above: float

    def interval(self, value: float, confidence: float = 0.95) -> tuple[float, float]:
        """Wilson's interval of the share `value`, each end for its own size."""
        return (
            wilson(value * self.below, self.below, confidence)[0],
            wilson(value * self.above, self.above, confidence)[1],
        )


@dataclass(frozen=True, slots=True)
class Share:
    """A share of items as a metric: how many of those that count were hit.

    Attributes
    ----------
    read
        What it makes of y and f: which items were hit (n,), and which count (n,).
    nothing
        Why it is undefined where no item counts.
    by_judge
        Whether the judge's answer alone tells a hit from a miss, as in TPR.
    """

    read: Callable[[Floats, Floats], tuple[Flags, Flags]]
    nothing: str = "there are no items"
    by_judge: bool = False

    def __call__(self, y: Floats, f: Floats, W: Floats) -> Floats:
        """The share under each reweighting, (B, n) -> (B,); NaN where nothing that counts has weight."""
        hit, among = self._read(y, f)
        return ratio(W @ (hit & among).astype(np.float64), W @ among.astype(np.float64))

    def figure(self, y: Floats, f: Floats, cluster: Codes, w: Floats | None = None, confidence: float = 0.95) -> Figure:
        """The share with its interval. `n` is how many items count.

        Wilson's interval for the effective numbers of items (`sizes`). A bootstrap of a share near 0 or 1 collapses:
        where no item was missed, none is in any resample.
        """
        try:
            hit, among = self._read(y, f)
        except Undefined as undefined:
            return Figure.undefined(str(undefined), 0)
        weights = np.where(among, 1.0 if w is None else w, 0.0)
        value, n = share_of(hit, weights), int(among.sum())
        if len(np.unique(cluster[among])) < 2:
            return Figure(value=value, n=n, why="one group has no interval")
        low, high = self.sizes(y, f, cluster, w, confidence).interval(value, confidence)
        return Figure(value=value, n=n, low=low, high=high)

    def sizes(self, y: Floats, f: Floats, cluster: Codes, w: Floats | None = None, confidence: float = 0.95) -> Sizes:
        """How many independent items of equal weight would tell the share as well (`effective_items`).

        The heaviest hit and miss that could have come are the heaviest item of all, whether it counts or not; where the
        judge's answer tells a hit from a miss, the heaviest with that answer.

        Raises
        ------
        Undefined
            Where no item counts.
        """
        hit, among = self._read(y, f)
        every = np.ones(len(y)) if w is None else w
        heaviest = [
            float(every[alike].max() if self.by_judge and alike.any() else every.max()) for alike in (hit, ~hit)
        ]
        weights = np.where(among, every, 0.0)
        adds = weights * (hit - share_of(hit, weights)) / weights.sum()
        return effective_items(hit, adds, weights, cluster, (heaviest[0], heaviest[1]), confidence)

    def _read(self, y: Floats, f: Floats) -> tuple[Flags, Flags]:
        hit, among = self.read(y, f)
        if not among.any():
            raise Undefined(self.nothing)
        return hit, among

    def losses(self, y: Floats, f: Floats, w: Floats) -> tuple[Floats, float]:
        """What each item takes from 1, (n,), and what a miss of the heaviest would take."""
        hit, among = self._read(y, f)
        weights = w * among
        losses: Floats = weights * ~hit / weights.sum()
        return losses, float(weights.max() / weights.sum())

    def scores(self, y: Floats, f: Floats, cluster: Codes, w: Floats) -> Floats:
        """What each cluster adds to the error of the share, (C,), to first order."""
        hit, among = self._read(y, f)
        weights = w * among
        scored: Floats = np.bincount(cluster, weights * (hit - share_of(hit, weights))) / weights.sum()
        return scored


@dataclass(frozen=True, slots=True)
class SumOfShares:
    """`times` (first + second) + `plus` as a metric, such as balanced accuracy of TPR and TNR."""

    first: Share
    second: Share
    times: float = 1.0
    plus: float = 0.0

    def __call__(self, y: Floats, f: Floats, W: Floats) -> Floats:
        """The sum under each reweighting, (B, n) -> (B,); NaN where one of the shares is."""
        return self.times * (self.first(y, f, W) + self.second(y, f, W)) + self.plus

    def losses(self, y: Floats, f: Floats, w: Floats) -> tuple[Floats, float]:
        """What each item takes from where both shares are 1, (n,), and what a miss of the heaviest would take."""
        (one, most), (other, most_too) = (share.losses(y, f, w) for share in (self.first, self.second))
        return self.times * (one + other), self.times * max(most, most_too)

    def figure(self, y: Floats, f: Floats, cluster: Codes, w: Floats | None = None, confidence: float = 0.95) -> Figure:
        """The sum with the interval that those of the two shares make (`joined`)."""
        weights = np.ones(len(y)) if w is None else w
        shares = self.first, self.second
        both = [one.figure(y, f, cluster, weights, confidence) for one in shares]
        for one in both:
            if one.value is None:
                return Figure.undefined(one.why or "", len(y))
        value = self.times * sum(one.value or 0.0 for one in both) + self.plus
        for one in both:
            if one.low is None:
                return Figure(value=value, n=len(y), why=one.why)
        down, up = joined(both[0], both[1], together(*(one.scores(y, f, cluster, weights) for one in shares)))
        return Figure(value=value, n=len(y), low=value - self.times * down, high=value + self.times * up)


def joined(first: Figure, second: Figure, along: float) -> tuple[float, float]:
    """How far the ends of the sum of two shares lie below and above it.

    As far as the ends of the two lie from the shares, the distances added like standard errors of two figures whose
    correlation is `along`.

    References
    ----------
    Zou and Donner (2008), Construction of confidence limits about effect measures: a general approach. Statistics in
    Medicine 27, section 2 (the method of variance estimates recovery). Newcombe (1998), Improved confidence intervals
    for the difference between binomial proportions based on paired data. Statistics in Medicine 17 (with the
    correlation).
    """
    down = [(one.value or 0.0) - (one.low or 0.0) for one in (first, second)]
    up = [(one.high or 0.0) - (one.value or 0.0) for one in (first, second)]
    below, above = (math.sqrt(a * a + b * b + 2 * along * a * b) for a, b in (down, up))
    return below, above


def together(first: Floats, second: Floats) -> float:
    """The correlation of two figures, from what each cluster adds to the errors of both, (C,) each; 0 of none."""
    spread = float(np.sqrt(first @ first) * np.sqrt(second @ second))
    return float(first @ second) / spread if spread > 0 else 0.0


def share_of(hit: Flags, w: Floats) -> float:
    """The weighted share of hits; exactly 0 where there is none and 1 where all that has weight was hit."""
    missed, found = float(w @ ~hit), float(w @ hit)
    return found / (found + missed)


def effective_items(
    hit: Flags,
    adds: Floats,
    w: Floats,
    cluster: Codes,
    heaviest: tuple[float, float],
    confidence: float = 0.95,
) -> Sizes:
    """How many independent items of equal weight would tell a share as well as these.

    Parameters
    ----------
    hit : (n,)
        Which items were hit.
    adds : (n,)
        What each item adds to the error of the figure that is read from the share, to first order; of the share p
        itself w_i (hit_i - p) / sum w.
    w : (n,)
        Inverse sampling probabilities, 0 of items that do not count.
    cluster : (n,)
        Codes of groups.
    heaviest
        The largest weight that a hit could have had, and a miss.

    Returns
    -------
    Sizes
        Each of at most the number m of items that count; 1 where all that count are of one group.

    Notes
    -----
    Were the true share q, its estimate from single items of unequal weights would have the variance q (1 - q) / S(q),
    S(q) = sum w / ((1 - q) a + q b), where a and b are the mean weights of hits and misses, each item counted by its
    weight; m where all weights are equal. An end of Wilson's interval is the q from which the estimate lies z standard
    errors away, so its size is S at that end. More misses, or hits, are supposed there than came; and where the heavy
    items by chance show none, the light ones would say that none could weigh much. So for the lower end one miss more,
    of the heaviest weight, is counted in b, and for the upper end one such hit in a.

    S is divided by the design effect of the groups (`design_effect`). Unless each item is a group of its own, it is
    lowered by the square of the normal quantile over Student's with C - 1 degrees of freedom, since that effect was
    estimated from the C clusters with items that count.

    References
    ----------
    Fay and Feuer (1997), Confidence intervals for directly standardized rates: a method based on the gamma
    distribution. Statistics in Medicine 16, section 3 (one event more of the largest weight). Korn and Graubard (1998),
    Confidence intervals for proportions with small expected number of positive counts estimated from survey data.
    Survey Methodology 24, section 2. Parker et al. (2017), National Center for Health Statistics data presentation
    standards for proportions. Vital and Health Statistics 2(175) (no more than m). Dean and Pagano (2015), Evaluating
    confidence interval methods for binomial proportions in clustered surveys. Journal of Survey Statistics and
    Methodology 3 (Wilson's interval with it).
    """
    counts, tail = w > 0, (1 + confidence) / 2
    m, count = int(counts.sum()), int(np.count_nonzero(np.bincount(cluster, counts)))
    if count < 2:
        return Sizes(1.0, 1.0)
    value, total, z = share_of(hit, w), float(w.sum()), float(stats.norm.ppf(tail))
    narrower = 1.0 if count == m else float(z / stats.t.ppf(tail, count - 1)) ** 2
    items = total / design_effect(adds, w * (hit - value) / total, w, cluster)
    sizes = []
    for share, met, other, most_met, most_other in (
        (value, hit, ~hit, heaviest[0], heaviest[1]),
        (share_of(~hit, w), ~hit, hit, heaviest[1], heaviest[0]),
    ):
        a = _mean_weight(w[met & counts], most_met)
        b = _mean_weight(np.append(w[other & counts], most_other), most_other)
        sizes.append(narrower * _size_below(share, items, a, b, m, z * z / narrower))
    return Sizes(*sizes)


def _size_below(value: float, items: float, a: float, b: float, most: int, squared: float) -> float:
    """The size of `value`'s lower end q: items / ((1 - q) a + q b), of at most `most`; `squared` is z^2."""

    def size(q: float) -> float:
        return min(items / ((1 - q) * a + q * b), most)

    def beyond(q: float) -> float:
        # (value - q)^2 / (q (1 - q)) less z^2 / size: convex in q, above 0 near 0 and below at the value.
        apart = value * value / q + ((1 - value) ** 2 / (1 - q) if value < 1 else 0.0) - 1
        return apart - squared / size(q)

    if value == 0 or a == b:
        return size(value)
    return size(float(optimize.brentq(beyond, _NEAR * value * value, value, xtol=1e-15)))


def _mean_weight(w: Floats, none: float) -> float:
    """The mean weight of items, each counted by its weight; `none` where there is none."""
    return float(w @ w / w.sum()) if len(w) else none


def design_effect(adds: Floats, alone: Floats, w: Floats, cluster: Codes) -> float:
    """How many times the variance of a weighted mean is that of single items, never below 1.

    Parameters
    ----------
    adds, alone : (n,)
        What each item adds to the error of the figure, and of the mean of which single items would have the variance.
    w : (n,)
        Weights, 0 of items that do not count.
    cluster : (n,)
        Codes of groups.

    Returns
    -------
    float
        Of values that are all alike, which say nothing of it: as if the items of a group repeated each other.

    References
    ----------
    Kish (1965), Survey Sampling, sections 5.4 and 8.2.
    """
    counts = w > 0
    m, count = int(counts.sum()), int(np.count_nonzero(np.bincount(cluster, counts)))
    own = float(alone @ alone)
    if count < 2 or own <= _ALIKE * float(w @ w) / float(w.sum()) ** 2:
        mass = np.bincount(cluster, w)
        return float(mass @ mass) / float(w @ w)
    sums = np.bincount(cluster, adds)
    return max(float(sums @ sums) * count / (count - 1) * (m - 1) / m / own, 1.0)


def effective_size(x: Floats, w: Floats, cluster: Codes) -> float:
    """How many independent, equally weighted items would say as much of the weighted mean of x.

    Kish's (sum w)^2 / sum w^2, or less where large weights go with values far from the mean; divided by the design
    effect of the groups. n where every group is one item and all weights are equal. For the ends of a share's interval
    there is `effective_items`.

    Parameters
    ----------
    x, w : (n,)
        Values, and inverse sampling probabilities.
    cluster : (n,)
        Codes of groups.

    References
    ----------
    Kish (1965), Survey Sampling, sections 8.2 and 11.7.
    """
    total = float(w.sum())
    mean = float(w @ x) / total
    scale = max(abs(mean), 1e-6)
    adds = w * (x - mean) / (total * scale)
    own, spread = float(adds @ adds), float(w @ (x - mean) ** 2) / (total * scale * scale)
    kish = total * total / float(w @ w)
    size = min(kish, spread / own) if own > _ALIKE / kish else kish
    return max(size / design_effect(adds, adds, w, cluster), 1.0)
