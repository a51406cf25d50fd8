"""Intervals for a share that was counted."""

from __future__ import annotations

import math

from scipy import stats

from judge.calibration.statistics.figures import Undefined


def wilson(successes: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval for a share.

    Parameters
    ----------
    successes, n
        Counts, or effective ones of weighted or clustered items, which need not be whole.

    Raises
    ------
    Undefined
        For n = 0.

    References
    ----------
    Wilson (1927), Probable inference, the law of succession, and statistical inference. JASA 22.
    """
    if n <= 0:
        raise Undefined("nothing was counted")
    z = float(stats.norm.ppf((1 + confidence) / 2))
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # The share lies inside, and by rounding would not where it is 0 or 1.
    return max(min(centre - half, share), 0.0), min(max(centre + half, share), 1.0)


def upper_bound(successes: float, n: float, delta: float) -> float:
    """The largest share under which so few successes in n trials still have probability `delta`, by Clopper-Pearson.

    The share of which it is computed lies below it with probability 1 - delta at least. Effective counts, of items in
    groups, need not be whole.
    """
    return 1.0 if successes >= n else float(stats.beta.ppf(1 - delta, successes + 1, n - successes))
