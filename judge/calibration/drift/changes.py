"""A change made on purpose: the same items graded before and after it, and whether the judge is still the same.

What is not shown to be different is not thereby the same. So each comparison has a margin, and comes to one of three:
`equivalent`, `changed`, or `cannot tell`, with about how many more items would tell.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict
from scipy import stats

from judge.calibration.statistics import bootstrap
from judge.calibration.statistics.bootstrap import Codes, Floats
from judge.calibration.statistics.figures import Figure, Undefined
from judge.calibration.statistics.paired_shares import paired_shares, tango, turned_over

#: The margin of equivalence as a share of the scale's range.
MARGIN = 0.05
#: With what probability `more` items would tell, if difference and spread stay as they are.
POWER = 0.8


class Change(BaseModel):
    """One paired comparison of the judge before and after.

    Attributes
    ----------
    verdict
        `equivalent` where both one-sided tests reject, even if a difference is certain; else `changed` where there is a
        difference; else `cannot tell`.
    difference
        New minus old, on the scale of what is compared, with its 1 - alpha interval.
    inside
        The interval at 1 - 2 alpha. Equivalent means that it lies within the margin.
    p_changed, test
        Against no difference, and by which test.
    p_equivalent
        Against a difference of the margin or more, the larger of the two one-sided p values.
    p_wilcoxon
        Wilcoxon's signed-rank test on the groups' mean differences, shown beside; None for what is counted.
    more
        About how many more items would tell; None where it is told.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    verdict: Literal["equivalent", "changed", "cannot tell"]
    what: str
    difference: Figure
    inside: tuple[float, float]
    margin: float
    p_changed: float
    test: str
    p_equivalent: float
    p_wilcoxon: float | None = None
    more: int | None = None
    words: str


class _Differences(NamedTuple):
    """Differences d (n,) in C groups: their weighted mean and its cluster-robust standard error.

    `alike` where that error is 0: the groups' mean differences are all equal.
    """

    d: Floats
    cluster: Codes
    w: Floats
    groups: int
    mean: float
    se: float
    alike: bool

    @property
    def n(self) -> int:
        return len(self.d)


def pass_rates(
    old: Floats, new: Floats, cluster: Codes, *, w: Floats | None = None, margin: float = MARGIN, alpha: float = 0.05
) -> Change:
    """Whether the share of passes changed.

    Difference: McNemar's exact test; where items come in groups, its extension that turns old and new over for whole
    groups. Equivalence: Tango's score test at both ends of the margin, with counts divided by the design effect of the
    groups and weights. Where the weights differ Tango's test at 0 stands for the exact one.

    Parameters
    ----------
    old, new : (n,)
        0 or 1 on the same items.
    cluster : (n,)
        Codes 0..C-1.
    w : (n,)
        Inverse sampling probabilities; None where every item was as likely.
    margin
        The difference of shares that counts as none.

    Raises
    ------
    Undefined
        For fewer than two groups.
    ValueError
        For values other than 0 and 1, or arrays that do not fit.

    References
    ----------
    McNemar (1947), Psychometrika 12. Tango (1998), Equivalence test and confidence interval for the difference in
    proportions for the paired-sample design, Statistics in Medicine 17, sections 2 and 3. Liu et al. (2002), Tests for
    equivalence or non-inferiority for paired binary data, ibid. 21. Rao and Scott (1992), A simple method for the
    analysis of clustered binary data, Biometrics 48 (the design effect).
    """
    return _counted("pass rate", old, new, cluster, w, margin, alpha)


def shares(
    what: str,
    old: Floats,
    new: Floats,
    cluster: Codes,
    *,
    w: Floats | None = None,
    margin: float = MARGIN,
    alpha: float = 0.05,
) -> Change:
    """Whether another share changed, such as of items with a score; `what` is its name. All else as `pass_rates`."""
    return _counted(what, old, new, cluster, w, margin, alpha)


def scores(
    old: Floats,
    new: Floats,
    cluster: Codes,
    low: float,
    high: float,
    *,
    w: Floats | None = None,
    margin: float | None = None,
    alpha: float = 0.05,
    draws: int = bootstrap.DRAWS,
    seed: int = 0,
) -> Change:
    """Whether the mean score changed.

    Difference: Student's t on the mean difference with a cluster-robust error and C - 1 degrees of freedom, of which
    the two one-sided tests (TOST) are made too; beside it Wilcoxon's signed-rank test. The interval of `difference` is
    by the paired cluster bootstrap. Where all groups differ alike t has nothing to go by: then at most the share of
    groups that Clopper-Pearson allows may differ otherwise, by as much as the scale lets them.

    Parameters
    ----------
    old, new : (n,)
        Scores of the same items, from `low` to `high`.
    cluster, w : (n,)
        As for `pass_rates`.
    margin
        In units of the scale; 5% of its range where not given.

    Raises
    ------
    Undefined
        For fewer than two groups.
    ValueError
        For scores off the scale, or arrays that do not fit.

    References
    ----------
    Schuirmann (1987), A comparison of the two one-sided tests procedure, J. Pharmacokinetics and Biopharmaceutics 15.
    """
    margin = MARGIN * (high - low) if margin is None else margin
    for name, values in (("old", old), ("new", new)):
        if len(values) and (np.min(values) < low or np.max(values) > high):
            raise ValueError(f"{name} has scores outside {low:g} to {high:g}")
    return _measured("mean score", old, new, cluster, w, high - low, margin, alpha, draws, seed)


def agreement(
    old: Floats,
    new: Floats,
    y: Floats,
    cluster: Codes,
    low: float,
    high: float,
    *,
    w: Floats | None = None,
    margin: float | None = None,
    alpha: float = 0.05,
    draws: int = bootstrap.DRAWS,
    seed: int = 0,
) -> Change:
    """Whether the judge is as near to the people as it was: |new - y| beside |old - y|.

    Where every distance is nothing or the whole range (pass and fail), the share of agreement is compared as
    `pass_rates` does it, and more is better. Else the mean distance is, as `scores` does it, and less is better.

    Parameters
    ----------
    y : (n,)
        People's score of the same items. The rest is as for `scores`.

    Raises
    ------
    Undefined, ValueError
        As `scores`.
    """
    span = high - low
    before, after = np.abs(old - y), np.abs(new - y)
    margin = MARGIN * span if margin is None else margin
    if bool(np.all(np.isin(np.concatenate((before, after)), (0.0, span)))):
        shares = 1 - before / span, 1 - after / span
        return _counted("agreement with people", *shares, cluster, w, margin / span, alpha)
    return _measured("distance from people", before, after, cluster, w, span, margin, alpha, draws, seed)


def _differences(old: Floats, new: Floats, cluster: Codes, w: Floats | None, margin: float) -> _Differences:
    w = np.ones(len(old)) if w is None else w
    if not len(old) == len(new) == len(cluster) == len(w):
        raise ValueError(f"old, new, cluster and w have {len(old)}, {len(new)}, {len(cluster)} and {len(w)} items")
    if margin <= 0:
        raise ValueError(f"the margin must be above 0, not {margin:g}")
    d = new - old
    if not np.isfinite(d).all():
        raise ValueError("an item without a score has no difference; leave it out, and watch the share unscored")
    groups = int(cluster.max()) + 1 if len(cluster) else 0
    if groups < 2:
        raise Undefined("a difference needs two groups of items at the least")
    mean = float(w @ d / w.sum())
    sums = np.bincount(cluster, weights=w * (d - mean))
    se = math.sqrt(groups / (groups - 1) * float(sums @ sums)) / float(w.sum())
    alike = se <= 1e-12 * max(1.0, float(np.abs(d).max()))
    return _Differences(d, cluster, w, groups, mean, se, alike)


# Shares


def _counted(
    what: str, old: Floats, new: Floats, cluster: Codes, w: Floats | None, margin: float, alpha: float
) -> Change:
    if not np.isin(np.concatenate((old, new)), (0.0, 1.0)).all():
        raise ValueError(f"a {what} is of 0 and 1 only")
    found = _differences(old, new, cluster, w, margin)
    n = _effective(found)
    gained, lost = (n * float(found.w @ (found.d == sign) / found.w.sum()) for sign in (1, -1))
    if np.ptp(found.w) == 0:
        grouped = found.groups < found.n
        p_changed = turned_over(np.bincount(cluster, weights=found.d).astype(np.float64))
        test = "McNemar's exact test, groups turned over whole" if grouped else "McNemar's exact test"
    else:
        p_changed, test = 2 * float(stats.norm.sf(abs(tango(gained, lost, n, 0.0)))), "Tango's score test"
    p_equivalent = max(
        float(stats.norm.sf(tango(gained, lost, n, -margin))), float(stats.norm.cdf(tango(gained, lost, n, margin)))
    )
    ends = paired_shares(gained, lost, n, 1 - alpha)
    difference = Figure(value=found.mean, low=ends[0], high=ends[1], n=found.n)
    # Half a pair more of either kind: none seen in n is not none ever.
    variance = (gained + lost + 1) / (n + 2) - ((gained - lost) / (n + 2)) ** 2
    spread = math.sqrt(variance * found.n / n)
    return _told(
        Change(
            verdict="cannot tell",
            what=what,
            difference=difference,
            inside=paired_shares(gained, lost, n, 1 - 2 * alpha),
            margin=margin,
            p_changed=p_changed,
            test=test,
            p_equivalent=p_equivalent,
            words="",
        ),
        alpha,
        _enough(found.mean, spread, margin, alpha),
        points=True,
    )


def _effective(found: _Differences) -> float:
    """Independent items of equal weight that would give the same error of the mean difference."""
    if found.alike:
        return float(min(found.groups, found.w.sum() ** 2 / (found.w @ found.w)))
    variance = float(found.w @ (found.d - found.mean) ** 2 / found.w.sum())
    return min(variance / found.se**2 * found.groups / (found.groups - 1), float(found.n))


# Means


def _measured(
    what: str,
    old: Floats,
    new: Floats,
    cluster: Codes,
    w: Floats | None,
    span: float,
    margin: float,
    alpha: float,
    draws: int,
    seed: int,
) -> Change:
    found = _differences(old, new, cluster, w, margin)
    room = span + abs(found.mean)
    if found.alike:
        p_changed = 1.0 if found.mean == 0 else 2.0 ** (1 - found.groups)
        free = margin - abs(found.mean)
        p_equivalent = max(1 - free / room, 0.0) ** found.groups if free > 0 else 1.0
        half = room * (1 - alpha ** (1 / found.groups))
        enough = _enough_alike(abs(found.mean), room, margin, alpha) * found.n / found.groups
    else:
        of = found.groups - 1
        p_changed = 2 * float(stats.t.sf(abs(found.mean) / found.se, of))
        p_equivalent = float(stats.t.sf((margin - abs(found.mean)) / found.se, of))
        half = found.se * float(stats.t.ppf(1 - alpha, of))
        enough = _enough(found.mean, found.se * math.sqrt(found.n), margin, alpha)
    drawn = bootstrap.figures(
        {what: _mean_difference}, old, new, cluster, found.w, draws=draws, confidence=1 - alpha, seed=seed
    )[what]
    return _told(
        Change(
            verdict="cannot tell",
            what=what,
            difference=drawn,
            inside=(found.mean - half, found.mean + half),
            margin=margin,
            p_changed=p_changed,
            test="Student's t on the groups" if found.groups < found.n else "Student's t",
            p_equivalent=p_equivalent,
            p_wilcoxon=_wilcoxon(found),
            words="",
        ),
        alpha,
        enough,
        points=False,
    )


def _mean_difference(old: Floats, new: Floats, weights: Floats) -> Floats:
    total = weights.sum(axis=1)
    with np.errstate(invalid="ignore"):
        means: Floats = weights @ (new - old) / total
    return means


def _wilcoxon(found: _Differences) -> float:
    means = np.bincount(found.cluster, weights=found.w * found.d) / np.bincount(found.cluster, weights=found.w)
    # Halves of a level that cancel within a group must not rank as a difference.
    means = means[np.abs(means) > 1e-12]
    return float(stats.wilcoxon(means).pvalue) if len(means) else 1.0


# What it comes to


def _enough(mean: float, spread: float, margin: float, alpha: float) -> float:
    """Items with which one of the tests would reject with probability POWER. `spread` is per item."""
    power = float(stats.norm.ppf(POWER))
    changed = spread * (float(stats.norm.ppf(1 - alpha / 2)) + power) / abs(mean) if mean else math.inf
    free = margin - abs(mean)
    same = spread * (float(stats.norm.ppf(1 - alpha)) + power) / free if free > 0 else math.inf
    return min(changed, same) ** 2


def _enough_alike(mean: float, room: float, margin: float, alpha: float) -> float:
    """Groups that would tell, if their differences are all equal as before."""
    same = math.log(alpha) / math.log1p(-(margin - mean) / room) if 0 < margin - mean < room else math.inf
    return min(same, 1 - math.log2(alpha)) if mean else same


def _told(change: Change, alpha: float, enough: float, *, points: bool) -> Change:
    """The change with its verdict, in words too."""
    value, n = change.difference.value, change.difference.n
    low, high = change.inside
    unit, times = (" points", 100.0) if points else ("", 1.0)
    said = (
        f"{change.what} {(value or 0) * times:+.3g}{unit} on {n} items "
        f"({1 - 2 * alpha:.0%} interval {low * times:+.3g} to {high * times:+.3g}, "
        f"margin {change.margin * times:.3g}{unit})"
    )
    differs = change.p_changed <= alpha
    if change.p_equivalent <= alpha:
        note = "; a small difference, but a real one" if differs else ""
        return change.model_copy(update={"verdict": "equivalent", "words": f"equivalent: {said}{note}"})
    if differs:
        words = f"changed: {said}; {change.test}, p = {change.p_changed:.2g}"
        return change.model_copy(update={"verdict": "changed", "words": words})
    more = max(math.ceil(enough) - n, 1)
    words = f"cannot tell: {said}; about {more} more items would tell"
    return change.model_copy(update={"more": more, "words": words})
