"""Which grades may stand without a person: those of a confidence that was shown to go with few errors."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from scipy import special

from judge.calibration.scale import Scale
from judge.calibration.statistics.bootstrap import Codes, Floats
from judge.calibration.statistics.proportions import upper_bound

Flags = NDArray[np.bool_]

#: Thresholds are looked for at these many acceptances, evenly spaced, from this share of the items on.
STEPS = 40
FIRST = 1 / 4
#: Fewer accepted items, or groups of them, show nothing.
LEAST_ITEMS, LEAST_GROUPS = 30, 10


class Threshold(BaseModel):
    """The lowest confidence at which grades are accepted, and what that rests on.

    Attributes
    ----------
    threshold
        None where no grade is accepted, however confident: then `why` says what stood in the way.
    alpha, delta
        With probability 1 - `delta` over the labels, at most a share `alpha` of the accepted grades is wrong.
    n, groups
        Labelled items, and the groups that they come in.
    accepted
        Share of these items that is accepted.
    risk, bound
        Share of errors among the accepted ones and its upper bound; where none is accepted, among the most confident
        ones that were tried. None where none could be tried.
    why
        In words for people.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    threshold: float | None
    alpha: float
    delta: float
    n: int
    groups: int
    accepted: float = 0.0
    risk: float | None = None
    bound: float | None = None
    why: str

    @property
    def never(self) -> bool:
        """Whether no grade is accepted."""
        return self.threshold is None

    def accepts(self, confidence: Floats) -> Flags:
        """Which grades may stand, (n,) -> (n,). One whose confidence is not known (NaN) may not."""
        if self.threshold is None:
            return np.zeros(confidence.shape, dtype=np.bool_)
        return np.asarray(confidence >= self.threshold)


def fit(
    confidence: Floats,
    error: Flags,
    cluster: Codes,
    *,
    alpha: float,
    delta: float = 0.1,
    w: Floats | None = None,
) -> Threshold:
    """The lowest confidence t with P(error | confidence >= t) <= alpha, with probability 1 - delta over the labels.

    Thresholds are tried from high to low, each with the whole of `delta`; the first whose bound is above `alpha` ends
    the search. Which ones are tried is settled before any error is looked at: the confidences at 40 evenly spaced
    acceptances, equal ones together, from a quarter of the items on. A bound over fewer items fails by bad luck, which
    would end the search. Left out are those over so few items that no error at all would not do.

    Parameters
    ----------
    confidence : (n,)
        Of labelled items that neither the calibrator nor the prompt was fitted on; NaN where it is not known.
    error : (n,)
        Whether the grade was wrong: `errors`.
    cluster : (n,)
        Codes of the groups. Of items that were labelled each in a group of its own the promise is exact; of items in
        larger groups it rests on `risk_bound`.
    alpha, delta
        For a cascade each stage is fitted on what the stages before it left, with `delta` divided by their number.
    w : (n,)
        Inverse sampling probabilities.

    Raises
    ------
    ValueError
        For arrays of different lengths, `alpha` outside of (0, 1) or `delta` outside of (0, 0.5).

    References
    ----------
    Jung, Brahman and Choi (2025), Trust or escalate. ICLR, section 2. Angelopoulos, Bates, Candès, Jordan and Lei
    (2021), Learn then test. arXiv:2110.01052, section 3 (fixed sequences). Bauer (1991), Multiple testing in clinical
    trials. Statistics in Medicine 10.
    """
    if not 0 < alpha < 1 or not 0 < delta < 0.5:
        raise ValueError(f"alpha lies between 0 and 1 and delta between 0 and 0.5; given {alpha} and {delta}")
    weights = np.ones(len(confidence)) if w is None else w
    if not len(confidence) == len(error) == len(cluster) == len(weights):
        raise ValueError("confidence, error, cluster and w have different lengths")
    wrong = error.astype(np.float64)
    groups = _count(cluster)

    def never(why: str, risk: float | None = None, bound: float | None = None) -> Threshold:
        sizes = {"n": len(wrong), "groups": groups}
        return Threshold(threshold=None, alpha=alpha, delta=delta, **sizes, risk=risk, bound=bound, why=why)

    steps = _steps(confidence, cluster, weights, alpha, delta)
    if not len(steps):
        if np.isnan(confidence).all():
            return never("the judge's confidence is known for none of the labels")
        what = f"{len(wrong)} labels in {groups} groups are too few to show a risk of {alpha:.3g}"
        return never(f"{what}, had the judge made no error")
    found: Threshold | None = None
    for step in steps:
        kept = confidence >= step
        risk = float(weights[kept] @ wrong[kept] / weights[kept].sum())
        bound = risk_bound(wrong[kept], cluster[kept], delta, weights[kept])
        seen = f"{int(wrong[kept].sum())} errors among {int(kept.sum())} items, so up to {bound:.3f}"
        if bound > alpha:
            return found or never(f"even the most confident grades are wrong too often: {seen}", risk, bound)
        found = Threshold(
            threshold=float(step),
            alpha=alpha,
            delta=delta,
            n=len(wrong),
            groups=groups,
            accepted=float(weights[kept].sum() / weights.sum()),
            risk=risk,
            bound=bound,
            why=f"the lowest confidence that was shown to keep to {alpha:.3g}: {seen}",
        )
    assert found is not None
    return found


def _steps(confidence: Floats, cluster: Codes, w: Floats, alpha: float, delta: float) -> Floats:
    """The thresholds to try, descending. Knows nothing of errors."""
    known = np.sort(confidence[~np.isnan(confidence)])[::-1]
    if not len(known):
        return known
    least = max(math.ceil(FIRST * len(known)), LEAST_ITEMS)
    counts = np.ceil(np.arange(1, STEPS + 1) / STEPS * len(known)).astype(np.int64)
    tried = np.unique(known[np.append(counts[counts > least], min(least, len(known))) - 1])[::-1]
    for first, step in enumerate(tried):
        kept = confidence >= step
        if _enough(cluster[kept]) and risk_bound(np.zeros(kept.sum()), cluster[kept], delta, w[kept]) <= alpha:
            return np.asarray(tried[first:])
    return tried[:0]


def _enough(cluster: Codes) -> bool:
    return len(cluster) >= LEAST_ITEMS and _count(cluster) >= LEAST_GROUPS


def _count(cluster: Codes) -> int:
    """How many groups there are; of codes 0..C-1 some may be missing."""
    return int(np.count_nonzero(np.bincount(cluster)))


def risk_bound(wrong: Floats, cluster: Codes, delta: float, w: Floats | None = None) -> float:
    """An upper bound of the share of errors, which holds with probability 1 - delta, for items in groups.

    Clopper-Pearson's for the effective number of items. His bound is that of one more trial that failed; here one more
    group is added whose items are all wrong, as large as the group that an item lies in on average. The effective
    number is what the variance of the share between groups comes to, at most that of independent items, and scaled to
    Student's quantile as the variance is estimated. For groups of one item it is Clopper-Pearson's bound exactly.

    For larger groups it is an approximation that leans to the safe side: at delta .10 it missed in at most 10% of
    simulations with groups of one size, alike to any degree or wrong as a whole, and in 11% with sizes of 1 to 20 or
    more (`benchmarks.guarantee` has some of them). Where errors come only with the largest groups and those are rare it
    can miss far more often: no sample shows a group that is not in it.

    Parameters
    ----------
    wrong : (n,)
        1 for an error, 0 for none.
    cluster : (n,)
        Codes of the groups.
    w : (n,)
        Inverse sampling probabilities.

    Returns
    -------
    float
        1 for no items, and for fewer than two groups of several.

    References
    ----------
    Korn and Graubard (1998), Confidence intervals for proportions with small expected number of positive counts
    estimated from survey data. Survey Methodology 24. The added group is ours.
    """
    weights = np.ones(len(wrong)) if w is None else w
    groups = _count(cluster)
    if groups < 2:
        return 1.0 if groups == 0 or len(wrong) > 1 else upper_bound(float(wrong[0]), 1, delta)
    size = np.bincount(cluster, weights)
    lost = np.bincount(cluster, weights * wrong)
    total = size.sum()
    added = size @ size / total
    whole = total + added
    share = (lost.sum() + added) / whole
    if share >= 1:
        return 1.0
    spread = ((lost - share * size) ** 2).sum() + (added * (1 - share)) ** 2
    squared = weights @ weights
    independent = whole**2 / (squared * (1 + added / total))
    effective = min(independent, share * (1 - share) * whole**2 / spread)
    if groups < len(wrong):
        quantiles = special.stdtrit(np.array([len(wrong), groups]) - 1.0, 1 - delta)
        effective *= (quantiles[0] / quantiles[1]) ** 2
    return upper_bound(effective * share - 1, effective - 1, delta)


def errors(calibrated: Floats, y: Floats, levels: Floats) -> Flags:
    """Where the level nearest to the calibrated score is not the level nearest to the mean of the people.

    Parameters
    ----------
    calibrated, y : (n,)
        On the same scale.
    levels : (K,)
        Ascending. Of two that are equally near the lower one counts.
    """
    scale = Scale("ordinal", float(levels[0]), float(levels[-1]), levels)
    return np.asarray(scale.nearest(calibrated) != scale.nearest(y))


def majority(votes: Floats) -> tuple[Floats, Floats]:
    """The most frequent answer and its share, of k samples of one judge or of the judges of a panel.

    Parameters
    ----------
    votes : (n, k)
        Codes or values of answers; NaN where there is none, which is no vote. Where an answer that could not be read is
        to count against the others, give it a code of its own.

    Returns
    -------
    answer, share : (n,)
        Of equally frequent answers the lowest. NaN where nobody answered.
    """
    answers = np.unique(votes[~np.isnan(votes)])
    given = (~np.isnan(votes)).sum(axis=1)
    best = np.full(len(votes), np.nan)
    most = np.zeros(len(votes))
    for answer in answers:
        count = (votes == answer).sum(axis=1)
        best = np.where(count > most, answer, best)
        most = np.maximum(most, count)
    share = np.full(len(votes), np.nan)
    np.divide(most, given, out=share, where=given > 0)
    return best, share


def risk_curve(confidence: Floats, error: Flags, w: Floats | None = None) -> tuple[Floats, Floats, Floats]:
    """Thresholds, the share of grades accepted at each and the share of errors among those.

    Returns
    -------
    thresholds, accepted, risk : (m,)
        One for each of m confidences that occur, the highest first: equally confident grades are accepted together.
    """
    weights = np.ones(len(confidence)) if w is None else w
    values, block = np.unique(-confidence, return_inverse=True)
    size = np.cumsum(np.bincount(block, weights, len(values)))
    lost = np.cumsum(np.bincount(block, weights * error, len(values)))
    return -values, size / size[-1], lost / size


def aurc(error: Floats, confidence: Floats, W: Floats) -> Floats:
    """The area under the curve of risk against acceptance: the mean risk over all acceptances; the less the better.

    Equally confident grades are accepted in any order, so each stands for the mean of all orders. A `Metric` for
    `bootstrap.figures` with errors (1 or 0) in the place of y and confidences in that of f, (B, n) -> (B,).

    References
    ----------
    Geifman and El-Yaniv (2017), Selective classification for deep neural networks. NeurIPS.
    """
    values, block = np.unique(-confidence, return_inverse=True)
    order = np.argsort(block, kind="stable")
    starts = np.searchsorted(block[order], np.arange(len(values)))
    weights = _to_n(W)[:, order]
    size = np.add.reduceat(weights, starts, axis=1)
    return _area(size, np.add.reduceat(weights * error[order], starts, axis=1))


def aurc_of_oracle(error: Floats, confidence: Floats, W: Floats) -> Floats:
    """The least area that so many errors allow: of a confidence that puts every error last, (B, n) -> (B,)."""
    lost = _to_n(W) @ error
    whole = _to_n(W).sum(axis=1)
    return _area(np.stack([whole - lost, lost], axis=1), np.stack([np.zeros_like(lost), lost], axis=1))


def aurc_of_chance(error: Floats, confidence: Floats, W: Floats) -> Floats:
    """The area of a confidence that knows nothing: the share of errors at every acceptance, (B, n) -> (B,)."""
    whole = W.sum(axis=1)
    return np.asarray(np.divide(W @ error, whole, out=np.full(len(W), np.nan), where=whole > 0))


def _to_n(W: Floats) -> Floats:
    """Weights that add up to the number of items."""
    whole = W.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(W * W.shape[1], whole, out=np.full(W.shape, np.nan), where=whole > 0))


def _area(size: Floats, lost: Floats) -> Floats:
    """The mean risk over acceptances for blocks of equally confident items, (B, m) each.

    The j-th item of a block is accepted at a risk of (K + j r) / (N + j), where N items with K errors came before and r
    is the block's own share: the sum over j is r b + (K - r N) (digamma(N + b + 1) - digamma(N + 1)).
    """
    before, lost_before = np.cumsum(size, axis=1) - size, np.cumsum(lost, axis=1) - lost
    rate = np.divide(lost, size, out=np.zeros_like(size), where=size > 0)
    spread = special.digamma(before + size + 1) - special.digamma(before + 1)
    return np.asarray((lost + (lost_before - rate * before) * spread).sum(axis=1) / size.sum(axis=1))
