"""How many more labels a target needs, where to spend them, and which items to label next."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import special

from judge.calibration.statistics.bootstrap import Floats
from judge.calibration.statistics.figures import Undefined
from judge.calibration.statistics.proportions import wilson

#: The share of the labels that is spread over all items alike, whatever the judge's uncertainty.
FLOOR = 0.25
#: No plan goes beyond.
MOST_LABELS = 10_000_000


def for_rate(share: float, half_width: float, *, effect: float = 1.0, confidence: float = 0.95) -> int:
    """Labels that give Wilson's interval of a rate this half-width.

    Parameters
    ----------
    share
        What the rate is expected to be, from a pilot.
    half_width
        Half the length of the interval.
    effect
        Labels for each independent one: the design effect of groups, divided by what the judge is worth in labels
        where PPI++ is used (`Population.multiplier`).

    Raises
    ------
    Undefined
        For a half-width that is not above 0, or needs more than ten million labels.
    """

    def half(n: int) -> float:
        low, high = wilson(share * n / effect, n / effect, confidence)
        return (high - low) / 2

    return _fewest(half, half_width)


def for_error_rates(
    tpr: float, tnr: float, passed: float, half_width: float, *, effect: float = 1.0, confidence: float = 0.95
) -> tuple[int, int, int]:
    """Labels for TPR and for TNR, each to this half-width, and how many items drawn at random hold both.

    Parameters
    ----------
    tpr, tnr
        Expected, from a pilot.
    passed
        The share of items that people pass.

    Returns
    -------
    n1, n0, n
        Passed items, failed items, and labelled items in all; fewer are enough where failures are drawn more often.

    Raises
    ------
    Undefined
        As `for_rate`; and where people pass none, or all.
    """
    if not 0 < passed < 1:
        raise Undefined("without items that people pass, and such that they fail, there is no TPR or no TNR")
    n1 = for_rate(tpr, half_width, effect=effect, confidence=confidence)
    n0 = for_rate(tnr, half_width, effect=effect, confidence=confidence)
    return n1, n0, math.ceil(max(n1 / passed, n0 / (1 - passed)))


def for_mean(
    sd: float,
    half_width: float,
    *,
    r: float = 0.0,
    items: int | None = None,
    effect: float = 1.0,
    confidence: float = 0.95,
) -> int:
    """Labels that give the mean of a run this half-width: by labels alone (r = 0), or by PPI++.

    Solves z^2 sd^2 ((1 - r^2) / n + r^2 / N) = half_width^2 for n, with Student's quantile.

    Parameters
    ----------
    sd
        Of people's scores.
    half_width
        On the scale of the scores.
    r
        The correlation of people and judge; one below 0 counts as 0.
    items
        N, items of the run, all scored by the judge; None for a run without end.
    effect
        The design effect of groups.

    Raises
    ------
    Undefined
        Where the run has too few items for it, however many are labelled; for a half-width not above 0.
    """
    r2 = max(r, 0.0) ** 2

    def half(n: int) -> float:
        if n < 3:
            return math.inf
        quantile = float(special.stdtrit(n - 1, (1 + confidence) / 2))
        of_run = r2 / items if items else 0.0
        return quantile * sd * math.sqrt(effect * ((1 - r2) / n + of_run))

    if items is not None and half(items) > half_width:
        raise Undefined(f"{items} items are too few for it, even if all are labelled")
    return _fewest(half, half_width)


def for_spearman(rho: float, half_width: float, *, effect: float = 1.0, confidence: float = 0.95) -> int:
    """Labels that give Spearman's rho this half-width.

    Fisher's z with the variance (1 + rho^2 / 2) / (n - 3), back on rho's scale.

    References
    ----------
    Bonett and Wright (2000), Sample size requirements for estimating Pearson, Kendall and Spearman correlations.
    Psychometrika 65.
    """
    z = float(special.ndtri((1 + confidence) / 2))
    inner = math.atanh(min(max(rho, -0.999999), 0.999999))

    def half(n: int) -> float:
        free = n / effect - 3
        if free <= 0:
            return math.inf
        reach = z * math.sqrt((1 + rho * rho / 2) / free)
        return (math.tanh(inner + reach) - math.tanh(inner - reach)) / 2

    return _fewest(half, half_width)


def for_kappa(
    table: Floats, half_width: float, *, quadratic: bool = False, effect: float = 1.0, confidence: float = 0.95
) -> int:
    """Labels that give Cohen's kappa this half-width, from a pilot's table by the delta method.

    Parameters
    ----------
    table : (K, K)
        Counts, or weights, of people's level (rows) and the judge's (columns).
    quadratic
        Weighted by the square of the distance of the levels.

    Raises
    ------
    Undefined
        Where the table leaves kappa undefined.

    References
    ----------
    Fleiss, Cohen and Everitt (1969), Large sample standard errors of kappa and weighted kappa. Psychological Bulletin
    72.
    """
    p = table / table.sum()
    steps = np.arange(len(p))
    away = np.abs(steps[:, None] - steps) / max(len(p) - 1, 1)
    agree = 1 - away**2 if quadratic else (away == 0).astype(np.float64)
    rows, columns = p.sum(1), p.sum(0)
    observed, expected = float((agree * p).sum()), float(rows @ agree @ columns)
    if expected >= 1 - 1e-12:
        raise Undefined("all labels and all scores of the pilot are on one level, so kappa is undefined")
    mean = (agree @ columns)[:, None] + (rows @ agree)[None, :]
    inner = (agree * (1 - expected) - mean * (1 - observed)) ** 2
    variance = (float((p * inner).sum()) - (observed * expected - 2 * expected + observed) ** 2) / (1 - expected) ** 4
    z = float(special.ndtri((1 + confidence) / 2))
    return _fewest(lambda n: z * math.sqrt(max(variance, 0.0) * effect / n), half_width)


def more(needed: int, labelled: int) -> int:
    """Labels still to be made."""
    return max(needed - labelled, 0)


def _fewest(half: Callable[[int], float], target: float) -> int:
    """The smallest n with half(n) <= target, for a half-width that falls with n."""
    if target <= 0:
        raise Undefined("an interval of no length needs labels without end")
    high = 1
    while half(high) > target:
        high *= 2
        if high > MOST_LABELS:
            raise Undefined(f"more than {MOST_LABELS} labels would be needed")
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if half(middle) <= target else (middle, high)
    return high


def neyman(sizes: NDArray[np.int64], sds: Floats, n: int, least: int = 2) -> NDArray[np.int64]:
    """n labels over strata: n_k proportional to N_k sd_k, the share of the run times the spread of what is not known.

    Parameters
    ----------
    sizes : (K,)
        N_k, items of each stratum.
    sds : (K,)
        Of y - lam f in each, from a pilot; of y for labels alone.
    n
        Labels in all.
    least
        Labels that every stratum gets, or all its items: two are needed for a variance.

    Returns
    -------
    (K,)
        Whole numbers that add up to n, none above its stratum's size.

    Raises
    ------
    ValueError
        Where n is less than what the strata must get, or more than there are items.

    References
    ----------
    Neyman (1934), JRSS 97. Fisch et al. (2024), arXiv 2406.04291, on allocation.
    """
    floor = np.minimum(sizes, least)
    if not floor.sum() <= n <= sizes.sum():
        raise ValueError(f"{n} labels for strata of {sizes.sum()} items that need {floor.sum()} at least")
    wanted = sizes * sds
    wanted = wanted if wanted.sum() > 0 else sizes.astype(np.float64)
    given = _filled(wanted, floor.astype(np.float64), sizes.astype(np.float64), float(n))
    whole = np.floor(given + 1e-9).astype(np.int64)
    rest = given - whole
    room = np.flatnonzero(whole < sizes)
    ahead = room[np.argsort(-rest[room], kind="stable")][: n - int(whole.sum())]
    whole[ahead] += 1
    return whole


def _filled(wanted: Floats, low: Floats, high: Floats, total: float) -> Floats:
    """Shares of a total proportional to `wanted`, each held between its ends: clip(c * wanted, low, high)."""

    def shares(c: float) -> Floats:
        return np.clip(c * wanted, low, high)

    down, up = 0.0, 1.0
    while shares(up).sum() < total - 1e-9 and up < 1e15:
        up *= 2
    for _ in range(100):
        c = (down + up) / 2
        down, up = (c, up) if shares(c).sum() < total else (down, c)
    found = shares(up)
    # What no multiple reaches, as strata without spread stay at their least: over all that have room.
    lack = total - found.sum()
    room = high - found
    return found + room * (lack / room.sum()) if lack > 1e-9 and room.sum() > 0 else found


def uncertainty(samples: Floats | None = None, confidence: Floats | None = None, panel: Floats | None = None) -> Floats:
    """How unsure the judge was of each item: the mean of what is known, each divided by its own mean.

    Parameters
    ----------
    samples : (N, k)
        Scores of the k samples of one judge, NaN where one is missing: their standard deviation.
    confidence : (N,)
        On the chosen level, 0 to 1: what it lacks to 1.
    panel : (N, J)
        Scores of several judges, NaN where one is missing: their standard deviation.

    Returns
    -------
    (N,)
        At least 0; an item of which a source says nothing is as unsure as the most unsure one.

    Raises
    ------
    Undefined
        Where nothing was given.
    """
    found = [_deviations(scores) for scores in (samples, panel) if scores is not None]
    found += [1 - confidence] if confidence is not None else []
    if not found:
        raise Undefined("neither samples, nor confidence, nor several judges say how sure the judge was")
    mean: Floats = np.mean([_relative(one) for one in found], axis=0)
    return mean


def _deviations(scores: Floats) -> Floats:
    """Standard deviations of rows; NaN for fewer than two scores."""
    count = (~np.isnan(scores)).sum(1)
    mean = np.nansum(scores, 1) / np.maximum(count, 1)
    squares = np.nansum((scores - mean[:, None]) ** 2, 1)
    return np.where(count >= 2, np.sqrt(squares / np.maximum(count, 1)), np.nan)


def _relative(unsure: Floats) -> Floats:
    known = unsure[~np.isnan(unsure)]
    most, mean = (float(known.max()), float(known.mean())) if len(known) else (1.0, 1.0)
    filled = np.where(np.isnan(unsure), most, unsure)
    return filled / mean if mean > 0 else np.ones(len(unsure))


def inclusion(unsure: Floats, n: int, floor: float = FLOOR) -> Floats:
    """Probabilities of being labelled: a mixture of the judge's uncertainty and of chance alone.

    pi_i = n ((1 - floor) u_i / sum u + floor / N), those above 1 cut and the others raised, so that they add up to n.

    Parameters
    ----------
    unsure : (N,)
        At least 0; best in proportion to how far the judge may be off (`uncertainty`).
    n
        Labels to make, 1 to N.
    floor
        Above 0 to 1: what keeps every item's probability above 0, and its weight 1 / pi below N / (n floor).

    Raises
    ------
    ValueError
        For another n, floor, or uncertainty.

    References
    ----------
    Zrnic and Candes (2024), Active statistical inference, arXiv 2403.03208, on mixing with uniform sampling.
    """
    count = len(unsure)
    if not 1 <= n <= count or not 0 < floor <= 1:
        raise ValueError(f"{n} of {count} items with a floor of {floor:g}: at least 1, at most all, floor in (0, 1]")
    if not bool((np.isfinite(unsure) & (unsure >= 0)).all()):
        raise ValueError("uncertainty is a finite number, at least 0, of every item")
    total = float(unsure.sum())
    shares = unsure / total if total > 0 else np.full(count, 1 / count)
    wanted = (1 - floor) * shares + floor / count
    pi = _filled(wanted, np.zeros(count), np.ones(count), float(n))
    return np.asarray(np.minimum(pi * (n / float(pi.sum())), 1.0))


def draw(pi: Floats, seed: int) -> NDArray[np.int64]:
    """Draws items with exactly these probabilities, as many as they add up to: systematic, in random order.

    Parameters
    ----------
    pi : (N,)
        Between 0 and 1; they add up to a whole number.

    Returns
    -------
    (n,)
        Positions, ascending.

    Raises
    ------
    ValueError
        Where they do not add up to a whole number, or one is no probability.

    References
    ----------
    Madow (1949), On the theory of systematic sampling II. Annals of Mathematical Statistics 20. Hartley and Rao (1962),
    Sampling with unequal probabilities and without replacement, on random order. Annals of Mathematical Statistics 33.
    """
    n = round(float(pi.sum()))
    if abs(float(pi.sum()) - n) > 1e-6 or not bool(((pi >= 0) & (pi <= 1)).all()):
        raise ValueError(f"probabilities that add up to {pi.sum():g}, not to a whole number, or beyond 0 and 1")
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(pi))
    ends = np.cumsum(pi[order])
    ends *= n / ends[-1] if n else 1.0
    # Item i is drawn where one of u, u + 1, ... falls between its ends.
    passed = np.floor(np.concatenate([[0.0], ends]) - rng.random())
    passed[-1] = n - 1 if n else passed[-1]
    return np.sort(order[np.flatnonzero(np.diff(passed) > 0)])


def either(first: Floats, second: Floats) -> Floats:
    """Probabilities of being in one draw or the other: 1 - (1 - pi)(1 - pi').

    So labels of two rounds count together. The second takes no notice of who was in the first: it draws from all items,
    and those that are new are labelled.
    """
    return 1 - (1 - first) * (1 - second)
