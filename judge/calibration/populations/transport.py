"""What carries over from labelled items to a run: whether the two look alike, and the judge's error rates."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from scipy import special

from judge.calibration.statistics.bootstrap import Codes, Floats
from judge.calibration.statistics.figures import Figure, Undefined
from judge.calibration.statistics.shares import Share, Sizes, joined, share_of, together

#: Below this p two sets are taken to differ.
DIFFERENT = 0.01
_TPR = Share(lambda y, f: (f == 1, y == 1), by_judge=True)
_TNR = Share(lambda y, f: (f == 0, y == 0), by_judge=True)


class Difference(BaseModel):
    """Whether the judge scores the labelled items as it scores the run.

    Attributes
    ----------
    labelled, run
        The judge's mean score (of pass/fail: its pass rate) of the labelled items, by their weights, and of the run.
    n_labelled, n_run
        Scored items behind them.
    p
        Two-sided, for the hypothesis that the labelled items are a sample of the run.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    labelled: float
    run: float
    n_labelled: int
    n_run: int
    p: float

    @property
    def flagged(self) -> bool:
        """The two differ by more than chance explains."""
        return self.p < DIFFERENT

    def __str__(self) -> str:
        means = f"the judge's mean is {self.labelled:.3f} on the labelled items and {self.run:.3f} on the run"
        return f"{means}, p = {self.p:.2g}"


def difference(f: Floats, w: Floats, in_run: NDArray[np.bool_], cluster: Codes) -> Difference:
    """Compares the judge's mean score on the labelled items with its mean score on the run.

    A second net only: sets that differ in what people say and not in what the judge says look alike here.

    Parameters
    ----------
    f : (M,)
        The judge's scores of all items, labelled or of the run or both; an unscored one (NaN) is left out.
    w : (M,)
        Inverse sampling probabilities of the labelled items, 0 of all others.
    in_run : (M,)
        Which items the run holds.
    cluster : (M,)
        Codes of groups.

    Raises
    ------
    Undefined
        With fewer than two groups scored on either side.

    Notes
    -----
    The difference is a sum over items of w_i / sum w, where labelled, less 1 / N, where of the run, times f_i. Its
    variance is the sum of squares of what each group adds; so items in both, and groups with items in both, count
    right. It is at least what a sample of the run would have: labelled items that all score the same show no variance
    of their own. Student's t with degrees of freedom of Welch and Satterthwaite, counted in groups.
    """
    scored = ~np.isnan(f)
    f, w, in_run, cluster = f[scored], w[scored], in_run[scored], cluster[scored]
    drawn = w > 0
    if min(count_groups(cluster[side]) for side in (drawn, in_run)) < 2:
        raise Undefined("fewer than two groups of scored items among the labelled ones, or in the run, to compare")
    pull, share = w / w.sum(), in_run / in_run.sum()
    labelled, run = float(pull @ f), float(share @ f)
    adds = pull * (f - labelled) - share * (f - run)
    parts = []
    for side in (drawn, ~drawn):
        groups = count_groups(cluster[side])
        adds[side] *= math.sqrt(groups / max(groups - 1, 1))
        parts.append((_squares(adds[side], cluster[side]), max(groups - 1, 1)))
    sampled = float(share @ (f - run) ** 2) * float(((pull - share)[drawn] ** 2).sum())
    variance = max(_squares(adds, cluster), sampled)
    apart = abs(labelled - run)
    loss = sum(part * part / df for part, df in parts)
    df = sum(part for part, _ in parts) ** 2 / loss if loss > 0 else parts[0][1]
    p = 1.0
    if apart > 1e-12 * float(np.abs(f).max()):  # else the two differ by rounding
        p = 2 * float(special.stdtr(df, -apart / math.sqrt(variance))) if variance > 0 else 0.0
    counts = {"n_labelled": int(drawn.sum()), "n_run": int(in_run.sum())}
    return Difference(labelled=labelled, run=run, p=p, **counts)


def count_groups(cluster: Codes) -> int:
    """How many groups there are among codes, which need not be without gaps."""
    return int(np.count_nonzero(np.bincount(cluster)))


def _squares(adds: Floats, cluster: Codes) -> float:
    """The sum over groups of the squares of what their items add."""
    sums = np.bincount(cluster, adds)
    return float(sums @ sums)


@dataclass(frozen=True, slots=True)
class ErrorRates:
    """How often the judge agrees with people where they passed an item, and where they failed it.

    Attributes
    ----------
    tpr, tnr
        P(f = 1 | y = 1) and P(f = 0 | y = 0).
    n1, n0
        Items behind each.
    m1, m0
        Their effective sizes; of the two sizes of a rate the smaller.
    sizes1, sizes0
        Their effective sizes for the lower and for the upper end (`Sizes`); None where both are m1, or m0.
    along
        The correlation of the errors of the two, which groups with items of both make.
    """

    tpr: float
    tnr: float
    n1: int
    n0: int
    m1: float
    m0: float
    sizes1: tuple[float, float] | None = None
    sizes0: tuple[float, float] | None = None
    along: float = 0.0

    def youden(self, confidence: float = 0.95) -> Figure:
        """TPR + TNR - 1: 0 for a judge that does not look, 1 for one that never errs.

        Its interval is that of `SumOfShares`, which joins Wilson's for the two rates.
        """
        rates = [
            Figure(value=rate, n=n, low=ends[0], high=ends[1])
            for rate, n, m, sizes in (
                (self.tpr, self.n1, self.m1, self.sizes1),
                (self.tnr, self.n0, self.m0, self.sizes0),
            )
            for ends in [Sizes(*(sizes or (m, m))).interval(rate, confidence)]
        ]
        value = self.tpr + self.tnr - 1
        down, up = joined(rates[0], rates[1], self.along)
        return Figure(value=value, low=value - down, high=value + up, n=self.n1 + self.n0)


def error_rates(y: Floats, f: Floats, w: Floats, cluster: Codes) -> ErrorRates:
    """TPR and TNR of pass/fail, with the effective sizes of 95% intervals (`Share.sizes`).

    Parameters
    ----------
    y, f : (n,)
        1 for passed, 0 for failed.
    w : (n,)
        Inverse sampling probabilities.
    cluster : (n,)
        Codes of groups.

    Raises
    ------
    Undefined
        Where people passed no item, or failed none.
    """
    for truth, name in ((1, "passed"), (0, "failed")):
        if not (y == truth).any():
            raise Undefined(f"people {name} none of the {len(y)} labelled items that the judge scored")
    (tpr, n1, sizes1), (tnr, n0, sizes0) = (
        (share_of(f == truth, w * (y == truth)), int((y == truth).sum()), of.sizes(y, f, cluster, w))
        for of, truth in ((_TPR, 1), (_TNR, 0))
    )
    along = together(_TPR.scores(y, f, cluster, w), _TNR.scores(y, f, cluster, w))
    ends1, ends0 = (sizes1.below, sizes1.above), (sizes0.below, sizes0.above)
    return ErrorRates(tpr, tnr, n1, n0, min(ends1), min(ends0), ends1, ends0, along)


def rogan_gladen(p: float, tpr: float, tnr: float) -> float:
    """The true pass rate behind a judge's pass rate p, clipped to 0..1.

    Raises
    ------
    Undefined
        Where TPR + TNR is not above 1.

    References
    ----------
    Rogan and Gladen (1978), Estimating prevalence from the results of a screening test. Am. J. Epidemiology 107.
    """
    if tpr + tnr <= 1:
        raise Undefined(f"TPR + TNR is {tpr + tnr:.2f}: a judge no better than chance cannot be corrected")
    return min(max((p + tnr - 1) / (tpr + tnr - 1), 0.0), 1.0)


def plug_in_interval(p: float, n: float, rates: ErrorRates, confidence: float = 0.95) -> tuple[float, float]:
    """The interval of a pass rate where only the judge's error rates carry over from the labels.

    Parameters
    ----------
    p, n
        The judge's pass rate of the run, and the number of items, or their effective number.
    rates
        From labels of other items, with their effective sizes.

    Raises
    ------
    Undefined
        Where the smoothed TPR + TNR is not above 1.

    References
    ----------
    Lee et al. (2025), arXiv 2511.21140, the bias-adjusted plug-in interval.
    """
    z = float(special.ndtri((1 + confidence) / 2))
    p, n = (n * p + z * z / 2) / (n + z * z), n + z * z
    q1, m1 = (rates.m1 * rates.tpr + 1) / (rates.m1 + 2), rates.m1 + 2
    q0, m0 = (rates.m0 * rates.tnr + 1) / (rates.m0 + 2), rates.m0 + 2
    gain = q0 + q1 - 1
    if gain <= 0:
        raise Undefined(f"TPR + TNR is {q0 + q1:.2f}: a judge no better than chance cannot be corrected")
    theta = (p + q0 - 1) / gain
    v1, v0 = q1 * (1 - q1) / m1, q0 * (1 - q0) / m0
    centre = theta + 2 * z * z * (theta * v1 - (1 - theta) * v0)
    half = z * math.sqrt(p * (1 - p) / n + (1 - theta) ** 2 * v0 + theta**2 * v1) / gain
    return min(max(centre - half, 0.0), 1.0), min(max(centre + half, 0.0), 1.0)
