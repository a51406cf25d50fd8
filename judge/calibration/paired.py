"""What one judge's share is less that of another on the same items, with an interval that does not collapse."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy import stats

from judge.calibration.statistics.bootstrap import Codes, Floats, Metric
from judge.calibration.statistics.figures import Figure, Undefined
from judge.calibration.statistics.paired_shares import paired_shares
from judge.calibration.statistics.shares import Share, SumOfShares


def difference(
    metric: Metric,
    y: Floats,
    other: Floats,
    first: Floats,
    cluster: Codes,
    w: Floats,
    confidence: float = 0.95,
) -> Figure | None:
    """The metric of `other` less that of `first`, where it is a share or a sum of two; None where it is neither.

    Of a share, whose items that count go by people alone, Tango's score interval for the effective number of pairs. Of
    a sum of two the ends lie as far from it as those of the two differences from theirs, added like standard errors of
    two figures that the clusters correlate. A bootstrap of judges that hardly differ collapses: where no answer
    differs, none does in any resample.

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
    measures: a general approach. Statistics in Medicine 27, section 2.
    """
    try:
        if isinstance(metric, Share):
            return _share(metric, y, other, first, cluster, w, confidence).figure
        if not isinstance(metric, SumOfShares):
            return None
        both = [_share(one, y, other, first, cluster, w, confidence) for one in (metric.first, metric.second)]
    except Undefined as undefined:
        return Figure.undefined(str(undefined), len(y))
    value = metric.times * sum(one.value for one in both)
    for one in both:
        if one.figure.low is None:
            return Figure(value=value, n=len(y), why=one.figure.why)
    spread = math.sqrt(float(both[0].scored @ both[0].scored) * float(both[1].scored @ both[1].scored))
    along = float(both[0].scored @ both[1].scored) / spread if spread > 0 else 0.0
    a, b = (one.value - (one.figure.low or 0.0) for one in both)
    c, d = ((one.figure.high or 0.0) - one.value for one in both)
    down, up = (metric.times * math.sqrt(p * p + q * q + 2 * along * p * q) for p, q in ((a, b), (c, d)))
    return Figure(value=value, n=len(y), low=value - down, high=value + up)


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
    weights, n = np.where(among, w, 0.0), int(among.sum())
    apart = hit.astype(np.float64) - before
    value = float(weights @ apart / weights.sum())
    scored = np.bincount(cluster, weights * (apart - value)) / weights.sum()
    mass = np.bincount(cluster, weights)
    count = int((mass > 0).sum())
    if count < 2:
        return _Pair(value, Figure(value=value, n=n, why="one group has no interval"), scored)
    variance = count / (count - 1) * float(scored @ scored)
    if variance > 1e-20:
        size = min(float(weights @ (apart - value) ** 2 / weights.sum()) / variance, n)
    else:  # all pairs alike: as if the items of a group repeated each other
        size = float(mass.sum() ** 2 / (mass @ mass))
    tail = (1 + confidence) / 2
    size *= float(stats.norm.ppf(tail) / stats.t.ppf(tail, count - 1)) ** 2
    gained, lost = (size * float(weights @ (apart == sign) / weights.sum()) for sign in (1, -1))
    low, high = paired_shares(gained, lost, size, confidence)
    return _Pair(value, Figure(value=value, n=n, low=low, high=high), scored)
