"""What one judge's share is less that of another on the same items, with an interval that does not collapse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import optimize, stats

from judge.calibration.statistics import confusion
from judge.calibration.statistics.bootstrap import Codes, Floats, Metric
from judge.calibration.statistics.chance import BeyondChance
from judge.calibration.statistics.figures import Figure, Undefined
from judge.calibration.statistics.moments import Flags
from judge.calibration.statistics.paired_shares import tango
from judge.calibration.statistics.shares import Share, SumOfShares, design_effect, joined, together

_ONE_GROUP = "one group has no interval"
#: Of all weight: how much is added to an item to see what it does to a figure.
_STEP = 1e-6


def difference(
    metric: Metric,
    y: Floats,
    other: Floats,
    first: Floats,
    cluster: Codes,
    w: Floats,
    confidence: float = 0.95,
) -> Figure | None:
    """The metric of `other` less that of `first`, where it is a share, a sum of two, kappa or AC1; else None.

    Of a share, whose items that count go by people alone, Tango's score interval for the effective number of pairs. Of
    a sum of two the ends lie as far from it as those of the two differences from theirs, added like standard errors of
    two figures that the clusters correlate; of kappa and AC1 as far as those of the share of equal answers, over what
    chance leaves. A bootstrap of judges that hardly differ collapses: where no answer differs, none does in any
    resample.

    Parameters
    ----------
    y, other, first : (n,)
        People's score and the two judges'.
    cluster : (n,)
        Codes 0..C-1.
    w : (n,)
        Inverse sampling probabilities.

    References
    ----------
    Tango (1998), Equivalence test and confidence interval for the difference in proportions for the paired-sample
    design. Statistics in Medicine 17, section 2. Zou and Donner (2008), Construction of confidence limits about effect
    measures: a general approach. Statistics in Medicine 27, section 2. Korn and Graubard (1998), Survey Methodology 24,
    section 2 (a score interval at an effective number of items).
    """
    try:
        if isinstance(metric, Share):
            return _share(metric, y, other, first, cluster, w, confidence).figure
        if isinstance(metric, BeyondChance):
            return _beyond_chance(metric, y, other, first, cluster, w, confidence)
        if not isinstance(metric, SumOfShares):
            return None
        both = [_share(one, y, other, first, cluster, w, confidence) for one in (metric.first, metric.second)]
    except Undefined as undefined:
        return Figure.undefined(str(undefined), len(y))
    value = metric.times * sum(one.value for one in both)
    for one in both:
        if one.figure.low is None:
            return Figure(value=value, n=len(y), why=one.figure.why)
    down, up = joined(both[0].figure, both[1].figure, together(both[0].scored, both[1].scored))
    return Figure(value=value, n=len(y), low=value - metric.times * down, high=value + metric.times * up)


class _Pair(NamedTuple):
    """A difference, its figure, and what each cluster adds to its error."""

    value: float
    figure: Figure
    scored: Floats


def _share(
    share: Share, y: Floats, other: Floats, first: Floats, cluster: Codes, w: Floats, confidence: float
) -> _Pair:
    (hit, among), (before, _) = share.read(y, other), share.read(y, first)
    if not among.any():
        raise Undefined(share.nothing)
    weights, apart = np.where(among, w, 0.0), hit.astype(np.float64) - before
    value = float(weights @ apart / weights.sum())
    adds = weights * (apart - value) / weights.sum()
    scored: Floats = np.bincount(cluster, adds).astype(np.float64)
    figure = Figure(value=value, n=int(among.sum()), why=_ONE_GROUP)
    if len(np.unique(cluster[among])) > 1:
        low, high = _ends(apart, among, w, adds, cluster, share.by_judge, confidence)
        figure = Figure(value=value, n=figure.n, low=low, high=high)
    return _Pair(value, figure, scored)


def _beyond_chance(
    metric: BeyondChance, y: Floats, other: Floats, first: Floats, cluster: Codes, w: Floats, confidence: float
) -> Figure:
    """Of kappa or AC1, for as many pairs as tell the share of equal answers as well as these tell the difference."""
    people, *judges = (metric.scale.nearest(scores) for scores in (y, other, first))

    def apart_by(W: Floats) -> Floats:
        after, before = metric(y, other, W), metric(y, first, W)
        return after - before

    value = float(apart_by(w[None, :])[0])
    if len(np.unique(cluster)) < 2:
        return Figure(value=value, n=len(y), why=_ONE_GROUP)
    levels = confusion.levels(metric.scale)
    tables = np.concatenate([confusion.tables(people, judge, w[None, :], levels) for judge in judges])
    left = float(1 / np.mean(1 / (1 - metric.chance(tables))))
    # Items of the same three answers do the same to it, but for their weight.
    _, at, cell = np.unique(np.stack([people, *judges]), axis=1, return_index=True, return_inverse=True)
    step = _STEP * float(w.sum())
    moved = (apart_by(w + step * (np.arange(len(y)) == at[:, None])) - value) / step
    equal = [(people == judge).astype(np.float64) for judge in judges]
    apart = equal[0] - equal[1]
    everyone = np.ones(len(y), dtype=np.bool_)
    ends = _ends(apart, everyone, w, left * w * moved[cell.ravel()], cluster, False, confidence)
    low, high = (value + (end - float(w @ apart / w.sum())) / left for end in ends)
    return Figure(value=value, n=len(y), low=max(low, -2.0), high=min(high, 2.0))


def _ends(
    apart: Floats, among: Flags, w: Floats, adds: Floats, cluster: Codes, by_judge: bool, confidence: float
) -> tuple[float, float]:
    """Both ends of a difference of shares: Tango's, for the sizes that the pairs are worth there.

    As of a single share (`shares.effective_items`): from pairs of unequal weights the difference d has the variance
    (l a (1 + d)^2 + t b d^2 + g c (1 - d)^2) / sum w, where l, t and g are the shares of pairs that are lost, alike and
    gained, and a, b and c their mean weights. At the lower end more are supposed lost than came, and one of the largest
    weight is counted in a.

    Parameters
    ----------
    apart : (n,)
        1 where the other judge alone was right, -1 where the first alone was.
    among : (n,)
        The items that count.
    adds : (n,)
        What each item adds to the error of the figure that is read from the difference, to first order.
    """
    weights, n = np.where(among, w, 0.0), int(among.sum())
    total, count = float(weights.sum()), len(np.unique(cluster[among]))
    z = float(stats.norm.ppf((1 + confidence) / 2))
    narrower = 1.0 if count == n else float(z / stats.t.ppf((1 + confidence) / 2, count - 1)) ** 2
    alone = weights * (apart - weights @ apart / total) / total
    items = total / design_effect(adds, alone, weights, cluster)
    shares = [float(weights @ (apart == sign) / total) for sign in (-1, 0, 1)]
    low, high = (
        sign * _lower_end(shares[::sign], _mean_weights(sign * apart, among, w, by_judge), items, n, narrower, z)
        for sign in (1, -1)
    )
    return low, high


def _mean_weights(apart: Floats, among: Flags, w: Floats, by_judge: bool) -> list[float]:
    """The mean weight of the pairs that were lost, alike and gained, each counted by its weight.

    Of the lost ones with one more, of the largest weight that it could have had: where the judges' answers alone tell
    what is lost, of pairs with these answers.
    """
    found = []
    for sign in (-1, 0, 1):
        alike = apart == sign
        heaviest = float(w[alike].max() if by_judge and alike.any() else w.max())
        those = w[alike & among]
        if sign == -1 or not len(those):
            those = np.append(those, heaviest)
        found.append(float(those @ those / those.sum()))
    return found


def _lower_end(
    shares: Sequence[float], heavy: Sequence[float], items: float, most: int, narrower: float, z: float
) -> float:
    """The lower end of the difference gained - lost: where Tango's statistic is z.

    Parameters
    ----------
    shares
        Of the pairs that were lost, alike and gained, by weight.
    heavy
        Their mean weights.
    items, most, narrower
        The sum of weights, less for groups; how many pairs there are; and what the size is multiplied by besides.
    """
    lost, alike, gained = shares
    value = gained - lost

    def size(delta: float) -> float:
        # Were delta true, more would be lost, and less be alike or gained: in the mean such pairs weigh so much.
        more = (value - delta) / (1 + gained / (1 - lost)) if lost < 1 else 0.0
        kept = 1 - more / (1 - lost) if lost < 1 else 0.0
        spread = np.array([(lost + more) * (1 + delta) ** 2, kept * alike * delta**2, kept * gained * (1 - delta) ** 2])
        whole = float(spread.sum())
        mean = float(spread @ heavy) / whole if whole > 0 else heavy[0]
        return narrower * min(items / mean, most)

    def over(delta: float) -> float:
        n = size(delta)
        # The statistic has no limit at -1 in floating point; it is far beyond any z there.
        return z - min(tango(gained * n, lost * n, n, delta), 1e6)

    far = -1 + 1e-12
    if value <= far:
        return -1.0
    return far if over(far) >= 0 else float(optimize.brentq(over, value, far, xtol=1e-13))
