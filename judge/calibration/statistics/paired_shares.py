"""The difference of two shares counted on the same items: exactly against none, and its interval."""

from __future__ import annotations

import math

import numpy as np
from scipy import optimize, stats

from judge.calibration.statistics.bootstrap import Floats


def turned_over(sums: Floats) -> float:
    """Two-sided exact p value of whole-numbered differences, one for each group, against old and new being alike.

    If they are, each group's difference could as well have had the other sign. Of single items it is McNemar's exact
    test: the binomial test of the pairs that differ.

    Parameters
    ----------
    sums : (C,)
        Passes gained less passes lost in each group.
    """
    sizes = np.abs(np.rint(sums)).astype(np.int64)
    sizes = sizes[sizes > 0]
    total = abs(int(np.rint(sums.sum())))
    if len(sizes) == 0:
        return 1.0
    if (sizes == 1).all():
        return float(stats.binomtest((len(sizes) + total) // 2, len(sizes)).pvalue)
    span = int(sizes.sum())
    # chances[s + span] is the chance of the sum s; each group moves all of it either way.
    chances = np.zeros(2 * span + 1)
    chances[span] = 1.0
    for size in sizes:
        chances = (np.roll(chances, size) + np.roll(chances, -size)) / 2
    return min(float(chances[np.abs(np.arange(-span, span + 1)) >= total].sum()), 1.0)


def tango(gained: float, lost: float, n: float, delta: float) -> float:
    """Tango's score statistic of a true difference `delta`, standard normal if it is the true one (1998, section 2)."""
    a = 2 * n
    b = (2 * n - gained + lost) * delta - gained - lost
    c = -lost * delta * (1 - delta)
    share_lost = (math.sqrt(max(b * b - 4 * a * c, 0.0)) - b) / (2 * a)
    variance = n * (2 * share_lost + delta * (1 - delta))
    distance = gained - lost - n * delta
    if variance <= 0:
        return 0.0 if distance == 0 else math.copysign(math.inf, distance)
    return distance / math.sqrt(variance)


def paired_shares(gained: float, lost: float, n: float, confidence: float) -> tuple[float, float]:
    """Tango's score interval for the difference of two paired shares.

    Parameters
    ----------
    gained, lost, n
        Pairs 0 then 1, pairs 1 then 0, and all pairs: counts, or effective ones, which need not be whole.
    """
    z = float(stats.norm.ppf((1 + confidence) / 2))
    value = (gained - lost) / n
    edge = 1 - 1e-12

    def end(sign: int) -> float:
        def over(delta: float) -> float:
            # The statistic has no limit at +-1 in floating point; it is far beyond any z there.
            return min(max(sign * tango(gained, lost, n, delta), -1e6), 1e6) + z

        far = sign * edge
        return far if over(far) >= 0 else float(optimize.brentq(over, value, far, xtol=1e-13))

    return (-1.0 if value <= -edge else end(-1)), (1.0 if value >= edge else end(1))
