"""Several people: how far they agree, and what a judge can be held to."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import sparse

from judge.calibration.statistics.bootstrap import Floats, Losing, Metric
from judge.calibration.statistics.figures import Figure, Undefined
from judge.calibration.statistics.moments import Flags

Level = Literal["nominal", "ordinal", "interval"]
Target = Literal["mean", "majority"]
#: A figure of the target (n,) and the answers (n,). It raises Undefined where they do not define it.
Measure = Callable[[Floats, Floats], float]


@dataclass(frozen=True, slots=True)
class IntraclassCorrelation:
    """ICC(2,1) and ICC(2,k): how reliable one rater is, and the mean of all k.

    `mean` is None where it is not defined; then `why` says so. `n` of the `of` items were labelled by all k raters; the
    others have no part.
    """

    single: float
    mean: float | None
    k: int
    n: int
    of: int
    why: str | None = None

    def ceiling(self) -> float:
        """The largest Pearson correlation that a judge can have with the mean of these raters: sqrt(ICC(2,k)).

        Raises
        ------
        Undefined
            Where ICC(2,k) is undefined or negative.

        References
        ----------
        Spearman (1904), The proof and measurement of association between two things. American Journal of Psychology 15
        (attenuation).
        """
        if self.mean is None:
            raise Undefined(self.why or "ICC(2,k) is undefined")
        if self.mean < 0:
            raise Undefined("these people agree less than chance would have it, so there is no ceiling")
        return math.sqrt(self.mean)


@dataclass(frozen=True, slots=True)
class LeftOutRow:
    """One rater beside the judge, both against the same target: the rest of the people, on the same n items.

    `human` and `judge` are None where they are undefined; then `why` says so.
    """

    annotator: str
    n: int
    human: float | None
    judge: float | None
    why: str | None = None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """The human-human figure and the judge's against the same targets, each the mean over the raters that entered.

    A rater enters with both figures or with neither. `items` were compared for at least one rater that entered.
    """

    human: Figure
    judge: Figure
    items: int
    rows: tuple[LeftOutRow, ...]


def krippendorff_alpha(ratings: Floats, level: Level) -> float:
    """Krippendorff's alpha: 1 - observed disagreement / expected disagreement.

    Parameters
    ----------
    ratings : (n_items, n_raters)
        NaN where a person did not label. Items with fewer than two labels have no part.
    level : {"nominal", "ordinal", "interval"}
        How two values differ: they do or not; by the ranks between them; by their distance.

    Raises
    ------
    Undefined
        For one annotator, where no item has two labels, and where all labels are equal.

    References
    ----------
    Krippendorff (2019), Content analysis, 4th edition, section 12.3. Hayes and Krippendorff (2007), Answering the call
    for a standard reliability measure for coding data. Communication Methods and Measures 1.
    """
    return float(krippendorff_alphas(ratings, level, np.ones((1, len(ratings))))[0])


def krippendorff_alphas(ratings: Floats, level: Level, weights: Floats) -> Floats:
    """Krippendorff's alpha under many reweightings of the items at once.

    The ordinal distance of two values is the distance of their middle ranks, and the sum of squared distances over all
    pairs is m sum(x^2) - (sum x)^2: so no pair of values is ever formed, and time and memory grow with the labels.

    Parameters
    ----------
    weights : (B, n_items)
        A weight counts an item that many times.

    Returns
    -------
    (B,)
        NaN where the labels that a row leaves are all equal.

    Raises
    ------
    Undefined
        As `krippendorff_alpha`.
    """
    counts, values = _pairable(ratings)
    each = np.asarray(counts.sum(axis=1)).ravel()
    kept = each > 0
    counts, each, weights = counts[kept], each[kept], weights[:, kept]
    share = weights / (each - 1)
    of_value = (counts.T @ weights.T).T
    total = of_value.sum(axis=1)
    if level == "nominal":
        squares = np.asarray(counts.multiply(counts).sum(axis=1)).ravel()
        observed = share @ (each**2 - squares)
        expected = total**2 - (of_value**2).sum(axis=1)
    else:
        if level == "ordinal":
            places = np.cumsum(of_value, axis=1) - (of_value + total[:, None]) / 2
        else:
            places = (values - values.mean())[None, :]
        sums, squares = counts @ places.T, counts @ (places**2).T
        observed = (share.T * (each[:, None] * squares - sums**2)).sum(axis=0)
        expected = total * (of_value * places**2).sum(axis=1) - (of_value * places).sum(axis=1) ** 2
    alphas = np.full(len(weights), np.nan)
    several = np.count_nonzero(of_value, axis=1) > 1
    alphas[several] = 1 - (total[several] - 1) * observed[several] / expected[several]
    return alphas


def icc(ratings: Floats) -> IntraclassCorrelation:
    """ICC(2,1) and ICC(2,k) by two-way analysis of variance: raters and items both random, absolute agreement.

    Parameters
    ----------
    ratings : (n_items, n_raters)
        Only items that all raters labelled enter; raters without a label are no raters.

    Raises
    ------
    Undefined
        For one annotator, fewer than two items that all labelled, where all labels are equal, and where two people say
        the opposite of two items.

    References
    ----------
    Shrout and Fleiss (1979), Intraclass correlations: uses in assessing rater reliability. Psychological Bulletin 86,
    case 2. McGraw and Wong (1996), Forming inferences about some intraclass correlation coefficients. Psychological
    Methods 1, table 4.
    """
    single, mean = iccs(ratings, np.ones((1, len(ratings))))
    table, complete = _complete(ratings)
    n, k = table.shape
    if (table == table[0, 0]).all():
        raise Undefined("all labels are equal")
    why = "people differ more within an item than items differ"
    if math.isnan(single[0]):
        raise Undefined(why)
    if math.isnan(mean[0]):
        return IntraclassCorrelation(float(single[0]), None, k, n, len(complete), why)
    return IntraclassCorrelation(float(single[0]), float(mean[0]), k, n, len(complete))


def iccs(ratings: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """ICC(2,1) and ICC(2,k) under many reweightings (B, n_items) of the items: two arrays (B,), NaN where undefined.

    Raises
    ------
    Undefined
        For one annotator, and for fewer than two items that all labelled.
    """
    table, complete = _complete(ratings)
    table = table - table.mean()
    weights = weights[:, complete]
    k, n = table.shape[1], weights.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        of_rater = weights @ table / n[:, None]
        middle = of_rater.mean(axis=1)
        rows = k * (weights @ table.mean(axis=1) ** 2 - n * middle**2)
        columns = n * ((of_rater - middle[:, None]) ** 2).sum(axis=1)
        rest = weights @ (table**2).sum(axis=1) - k * n * middle**2 - rows - columns
        msr, msc, mse = rows / (n - 1), columns / (k - 1), np.maximum(rest, 0) / ((n - 1) * (k - 1))
        bottoms = msr + (k - 1) * mse + k * (msc - mse) / n, msr + (msc - mse) / n
        smallest = 1e-12 * (weights @ (table**2).sum(axis=1)) / n
        single, mean = (np.where(bottom > smallest, (msr - mse) / bottom, np.nan) for bottom in bottoms)
    return single, mean


def left_out(
    ratings: Floats,
    judge: Floats,
    measure: Measure,
    target: Target = "mean",
    names: Sequence[str] | None = None,
) -> LeftOut:
    """Each rater against the rest of the people, and the judge against the same rest on the same items.

    Parameters
    ----------
    ratings : (n_items, n_raters)
        NaN where a person did not label.
    judge : (n_items,)
        NaN where the judge has no score; such an item has no part.
    measure
        Any agreement of a target (n,) and answers (n,); it raises Undefined where they do not define it.
    target : {"mean", "majority"}
        What the rest say of an item: their mean, or the label that most of them gave; an item on which two labels lead
        the rest has no part.
    names : (n_raters,)
        Of the raters; their column numbers where there are none.

    Raises
    ------
    Undefined
        For one annotator, and where no item that the judge scored has two labels.

    References
    ----------
    Calderon, Reichart and Dror (2025), The alternative annotator test. ACL, section 3 (leaving one out).
    """
    rest = rest_of(ratings, target)
    compared = ~np.isnan(ratings) & ~np.isnan(rest) & ~np.isnan(judge)[:, None]
    if not compared.any():
        raise Undefined("no item that the judge scored has labels from two people")
    rows, entered = [], np.zeros(len(ratings), dtype=bool)
    for column, name in enumerate(_named(ratings, names)):
        on = compared[:, column]
        if not on.any():
            rows.append(LeftOutRow(name, 0, None, None, "shares no item with the rest"))
            continue
        human, why = _measured(measure, rest[on, column], ratings[on, column])
        of_judge, why_judge = _measured(measure, rest[on, column], judge[on])
        rows.append(LeftOutRow(name, int(on.sum()), human, of_judge, why or why_judge))
        if human is not None and of_judge is not None:
            entered |= on
    both = [row for row in rows if row.human is not None and row.judge is not None]
    if not both:
        why = next((row.why for row in rows if row.n and row.why), "undefined for every rater")
        nothing = Figure.undefined(why, 0, "annotators")
        return LeftOut(nothing, nothing, 0, tuple(rows))
    figures = [
        Figure(value=math.fsum(values) / len(both), n=len(both), of="annotators", left_out=len(rows) - len(both))
        for values in ([row.human or 0.0 for row in both], [row.judge or 0.0 for row in both])
    ]
    return LeftOut(figures[0], figures[1], int(entered.sum()), tuple(rows))


def left_out_metric(ratings: Floats, metric: Metric, of: Literal["human", "judge"], target: Target = "mean") -> Metric:
    """The same two figures as metrics, for intervals: the mean over the raters of `metric` against the rest.

    The metric made of it does not look at `y`; NaN in `f` is an item without a score. `metric` is given all items in
    their order, those of no part with weight 0, so that it may know their documents. A rater for whom either figure is
    undefined where all items weigh the same has no part, as in `left_out`. Of a metric with losses it has losses too
    (`bootstrap.Losing`).

    Raises
    ------
    Undefined
        For one annotator. The metric made of it: where no rater defines it.
    """
    kind = _LosingBeside if isinstance(metric, Losing) else _Beside
    return kind(ratings, rest_of(ratings, target), metric, of)


@dataclass(frozen=True, slots=True)
class _Beside:
    ratings: Floats
    rest: Floats
    metric: Metric
    of: Literal["human", "judge"]

    def __call__(self, y: Floats, f: Floats, weights: Floats) -> Floats:
        return np.asarray(
            np.mean([self.metric(aim, wanted, weights * on) for on, aim, wanted in self._sides(f)], axis=0)
        )

    def _sides(self, f: Floats) -> list[tuple[Flags, Floats, Floats]]:
        """Of each rater that enters the items that have a part, what the rest say, and what is held against it."""
        compared = ~np.isnan(self.ratings) & ~np.isnan(self.rest) & ~np.isnan(f)[:, None]
        found = []
        why = "no item that the judge scored has labels from two people"
        for column in np.flatnonzero(compared.any(axis=0)):
            on = compared[:, column]
            # Items of no part repeat one that has a part, so that no value comes in that nobody gave.
            stand_in = np.where(on, np.arange(len(on)), np.flatnonzero(on)[0])
            aim, human, judged = self.rest[stand_in, column], self.ratings[stand_in, column], f[stand_in]
            try:
                # A rater enters with both figures or with neither.
                plain = [self.metric(aim, side, on[None, :].astype(np.float64)) for side in (human, judged)]
            except Undefined as undefined:
                why = str(undefined)
                continue
            if not np.isnan(plain).any():
                found.append((on, aim, human if self.of == "human" else judged))
        if not found:
            raise Undefined(why)
        return found


class _LosingBeside(_Beside):
    """Of a metric with losses, which are those of the raters on average."""

    __slots__ = ()

    def losses(self, y: Floats, f: Floats, w: Floats) -> tuple[Floats, float]:
        """What each item takes from 1, (n,), and what the nearest miss would: the judge's is one beside every rater."""
        metric = self.metric
        assert isinstance(metric, Losing)
        losses, least = zip(*(metric.losses(aim, wanted, w * on) for on, aim, wanted in self._sides(f)), strict=True)
        beside = len(least) if self.of == "human" else 1
        return np.asarray(np.mean(losses, axis=0)), float(np.mean(least)) / beside


def majority(ratings: Floats) -> Floats:
    """The label that most people gave each item (n_items,); NaN where nobody labelled it or two labels lead.

    Parameters
    ----------
    ratings : (n_items, n_raters)
    """
    return _leading(*_counts(ratings))


def _measured(measure: Measure, y: Floats, f: Floats) -> tuple[float | None, str | None]:
    try:
        return float(measure(y, f)), None
    except Undefined as undefined:
        return None, str(undefined)


def _named(ratings: Floats, names: Sequence[str] | None) -> Sequence[str]:
    return [str(column) for column in range(ratings.shape[1])] if names is None else names


def rest_of(ratings: Floats, target: Target) -> Floats:
    """What the others say of each item (n_items, n_raters); NaN where a rater has no others there, or no label.

    Raises Undefined for one annotator.
    """
    labelled = ~np.isnan(ratings)
    if labelled.any(axis=0).sum() < 2:
        raise Undefined("one annotator")
    if target == "mean":
        others = labelled.sum(axis=1, keepdims=True) - labelled
        sums = np.where(labelled, ratings, 0.0)
        away = sums.sum(axis=1, keepdims=True) - sums
        # Rounded, so that equal means of sums in other orders stay ties.
        means = np.round(away / np.maximum(others, 1), 10)
        return np.where(labelled & (others > 0), means, np.nan)
    counts, values = _counts(ratings)
    rest = np.full(ratings.shape, np.nan)
    for column in range(ratings.shape[1]):
        own = ratings[:, column, None] == values
        rest[:, column] = np.where(labelled[:, column], _leading(counts - own, values), np.nan)
    return rest


def _counts(ratings: Floats) -> tuple[Floats, Floats]:
    """How often each item was given each value (n_items, K), and the values (K,) in rising order."""
    values = np.unique(ratings[~np.isnan(ratings)])
    counts = np.zeros((len(ratings), len(values)))
    rows, columns = np.nonzero(~np.isnan(ratings))
    np.add.at(counts, (rows, np.searchsorted(values, ratings[rows, columns])), 1.0)
    return counts, values


def _leading(counts: Floats, values: Floats) -> Floats:
    if not len(values):
        return np.full(len(counts), np.nan)
    most = counts.max(axis=1)
    alone = (counts == most[:, None]).sum(axis=1) == 1
    return np.where(alone & (most > 0), values[counts.argmax(axis=1)], np.nan)


def _pairable(ratings: Floats) -> tuple[sparse.csr_array, Floats]:
    """Counts of each value on each item, sparse, and the values. Raises Undefined where they give no alpha."""
    labelled = ~np.isnan(ratings)
    if labelled.any(axis=0).sum() < 2:
        raise Undefined("one annotator")
    labelled &= (labelled.sum(axis=1) >= 2)[:, None]
    if not labelled.any():
        raise Undefined("no item has labels from two people")
    rows, columns = np.nonzero(labelled)
    values, codes = np.unique(ratings[rows, columns], return_inverse=True)
    if len(values) == 1:
        raise Undefined("all labels are equal")
    shape = (len(ratings), len(values))
    return sparse.coo_array((np.ones(len(rows)), (rows, codes)), shape=shape).tocsr(), values


def _complete(ratings: Floats) -> tuple[Floats, Flags]:
    """The items that all raters labelled, and which they are (n_items,)."""
    labelled = ~np.isnan(ratings)
    raters = labelled.any(axis=0)
    if raters.sum() < 2:
        raise Undefined("one annotator")
    complete: Flags = np.asarray(labelled[:, raters].all(axis=1))
    if complete.sum() < 2:
        found = f"{int(complete.sum())} of {len(ratings)} items"
        raise Undefined(f"{found} were labelled by all {int(raters.sum())} people, and it takes two")
    return ratings[complete][:, raters], complete
