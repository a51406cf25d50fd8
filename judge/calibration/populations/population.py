"""The mean or pass rate of a whole run: what the judge says, what the labels say, and both together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from judge.calibration.populations import runs
from judge.calibration.populations.prediction_powered import Powered, powered
from judge.calibration.populations.runs import Labels as Labels
from judge.calibration.populations.runs import Provenance as Provenance
from judge.calibration.populations.runs import Run as Run
from judge.calibration.populations.transport import (
    Difference,
    difference,
    error_rates,
    plug_in_interval,
    rogan_gladen,
)
from judge.calibration.statistics.bootstrap import Codes, Floats
from judge.calibration.statistics.figures import Figure, Undefined
from judge.calibration.statistics.shares import effective_size

#: The interval of a mean covers less than it says where fewer labels than this differ from the most common one.
FEWEST_APART = 10


class Method(StrEnum):
    """How the figure was made that stands for the run."""

    PPI = "PPI++"
    STRATA = "labels, stratified by the judge's answers"
    LABELS = "labels only"
    ERROR_RATES = "corrected by TPR and TNR"
    NONE = "none"


class Population(BaseModel):
    """What a run comes to, by each way, and which of them stands.

    Attributes
    ----------
    figure, method, why
        The figure that stands for the run, how it was made, and why so. It is of the items that could be labelled or,
        where only TPR and TNR carry over, that the judge scored; of these, of those to which the criterion applies.
    raw
        The judge's own mean, of what it scored. Its interval knows nothing of the judge's errors.
    labels
        By the labels alone.
    corrected
        By labels and judge together; undefined, with the reason, where that is refused.
    items, unscored, uncovered
        Items of the run; those without a judge's score; those that the figure says nothing of.
    raw_bounds, bounds
        The raw mean, and the ends of the figure's interval, if all items they say nothing of had the worst score, or
        the best. None where there is no mean, or no interval.
    weight
        How far PPI++ leaned on the judge, 0 to 1; over strata, their mean by size.
    multiplier
        What the judge was worth in labels: so many times as many, drawn alike, would say as much without it. The ratio
        of the two variances. Where the judge's answers were the strata: as many of a simple random sample.
    multiplier_limit
        The same in a run without end: 1 / (1 - r^2), r the correlation of people and judge. None at r = 1.
    youden
        TPR + TNR - 1 on the labelled items of a pass/fail criterion.
    difference
        Of the labelled items and the run; None where that cannot be told.
    warnings
        What must be known besides.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    figure: Figure
    method: Method
    why: str
    raw: Figure
    labels: Figure
    corrected: Figure
    items: int
    unscored: int
    uncovered: int
    raw_bounds: tuple[float, float] | None
    bounds: tuple[float, float] | None
    weight: float | None = None
    multiplier: float | None = None
    multiplier_limit: float | None = None
    youden: Figure | None = None
    difference: Difference | None = None
    warnings: tuple[str, ...] = ()


def estimate(
    run: Run,
    provenance: Provenance,
    labels: Labels | None = None,
    *,
    binary: bool = True,
    scale: tuple[float, float] = (0.0, 1.0),
    confidence: float = 0.95,
) -> Population:
    """The figure of a run, by the way that its labels allow.

    - Labels drawn from the run: PPI++ (`powered`). A pass rate rests on the labels alone where the judge is not shown
      to tell pass from fail: the lower end of TPR + TNR - 1 is not above 0 (`ErrorRates.youden`).
    - Where the labels were drawn by the judge's very answers (its scores are alike within each stratum) the labels of
      the strata, by their sizes in the run, are the corrected figure: lambda would be 0, the judge being used already.
    - Labels of every item of the run: they are the figure.
    - Labels said to be a sample of the run: the same, unless the judge scores them otherwise than the run (p < .01,
      `difference`). Then they count as labels from elsewhere.
    - Labels from elsewhere: to a pass rate TPR and TNR carry over, at best: the point of Rogan and Gladen, the
      interval of Lee et al. (`plug_in_interval`), refused by the same lower end. To a mean nothing carries over.

    Where people or the judge say of more than a few items (`runs.FEW_EXCUSED`) that the criterion does not apply, the
    figure is of the items to which, by people, it does: a ratio, by the labels alone as they were drawn, since the
    judge's mean is of other items. Of labels from elsewhere there is none.

    No other item is dropped. One that the judge did not score says nothing to PPI++, and its label counts as any other.
    Items that could not be labelled (pi = 0), and strata without any label, are uncovered; where only TPR and TNR
    carry over, the unscored are. Uncovered items enter `bounds`.

    Parameters
    ----------
    run
        With the labels in `run.y`, unless they are from elsewhere.
    provenance, labels
        Where the labels are from; `labels` for those from elsewhere, and only for them.
    binary
        A pass rate. A verdict is then the nearer of 0 and 1, of one half 0.
    scale
        Worst and best score; of a pass rate 0 and 1.

    Raises
    ------
    ValueError
        For labels that do not go with the provenance, items that are labelled and excused, scores off the scale, and a
        probability of 0 of a labelled item.

    Notes
    -----
    Intervals of a pass rate are Wilson's, by PPI++ with the effective size that its variance comes to
    (`Powered.rate_interval`). Unlike the normal interval of PPI++ they hold where few items pass, or few fail; so there
    is no corner in which the labels alone would be better.

    The run is taken for a sample of what its items come from, and the interval is for that source. For these N items
    alone it is wider than need be: of n labels without any help of the judge by 1 / sqrt(1 - n/N).
    """
    _check(run, provenance, labels, binary, scale)
    asked = _Asked(run, binary, scale, confidence)
    if labels is not None:
        return _from_elsewhere(asked, labels, "the labels are from elsewhere", None)
    labelled = ~np.isnan(run.y)
    if not labelled.any():
        return _nothing(asked, "nobody labelled an item of this run")
    w = runs.weights(run)
    found = _difference(run.f, np.where(labelled, w, 0.0), np.ones(len(run.f), dtype=bool), run.cluster)
    if found is not None and found.flagged and provenance is Provenance.DECLARED:
        ours = Labels(run.y[labelled], run.f[labelled], run.cluster[labelled], w[labelled])
        return _from_elsewhere(asked, ours, f"the labelled items are no sample of this run: {found}", found)
    return _from_run(asked, w, found)


def _check(run: Run, provenance: Provenance, labels: Labels | None, binary: bool, scale: tuple[float, float]) -> None:
    if (labels is not None) != (provenance is Provenance.ELSEWHERE):
        raise ValueError("labels are given apart from the run if, and only if, they are from elsewhere")
    if labels is not None and bool((~np.isnan(run.y)).any()):
        raise ValueError("the run has labels of its own; those are not from elsewhere")
    if binary and scale != (0.0, 1.0):
        raise ValueError(f"a pass rate lies between 0 and 1, not {scale[0]:g} and {scale[1]:g}")
    given = [run.f, run.y] if labels is None else [run.f, labels.f, labels.y]
    for values in given:
        off = values[(values < scale[0]) | (values > scale[1])]
        if len(off):
            raise ValueError(f"{len(off)} scores are off the scale {scale[0]:g} to {scale[1]:g}, such as {off[0]:g}")
    if run.excused is not None and bool((run.excused & ~np.isnan(run.y)).any()):
        raise ValueError("an item has a label of a criterion that does not apply to it")
    if run.pi is not None and bool((run.pi[~np.isnan(run.y)] <= 0).any()):
        raise ValueError("an item was labelled whose recorded probability of that is 0")


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is asked of a run, and the answer's parts that do not depend on labels."""

    run: Run
    binary: bool
    scale: tuple[float, float]
    confidence: float

    @property
    def scored(self) -> NDArray[np.bool_]:
        return ~np.isnan(self.run.f)

    def figure(self, found: Powered, strata: bool = False) -> Figure:
        """Value and interval of a mean, or of a rate; `strata`: of a rate by the labels of strata."""
        value = min(max(found.value, self.scale[0]), self.scale[1])
        try:
            if self.binary:
                low, high = (found.strata_interval if strata else found.rate_interval)(self.confidence)
            else:
                low, high = found.mean_interval(self.scale, self.confidence)
        except Undefined as undefined:
            return Figure(value=value, n=found.n, why=str(undefined))
        return Figure(value=value, low=low, high=high, n=found.n)

    def raw(self) -> Figure:
        scored = self.scored
        if not scored.any():
            return Figure.undefined("the judge scored no item of this run", 0)
        f, cluster = self.run.f[scored], self.run.cluster[scored]
        return self.figure(powered(f, f, cluster, lam=0))

    def population(
        self, figure: Figure, method: Method, why: str, covered: NDArray[np.bool_], labels: Figure, corrected: Figure
    ) -> Population:
        raw, items = self.raw(), len(self.run.f)
        unscored, uncovered = items - int(self.scored.sum()), items - int(covered.sum())
        return Population(
            figure=figure,
            method=method,
            why=why,
            raw=raw,
            labels=labels,
            corrected=corrected,
            items=items,
            unscored=unscored,
            uncovered=uncovered,
            raw_bounds=self._bounds(raw.value, raw.value, unscored),
            bounds=self._bounds(figure.low, figure.high, uncovered),
        )

    def _bounds(self, low: float | None, high: float | None, missing: int) -> tuple[float, float] | None:
        if low is None or high is None:
            return None
        share = missing / len(self.run.f)
        return (1 - share) * low + share * self.scale[0], (1 - share) * high + share * self.scale[1]


def _nothing(asked: _Asked, why: str) -> Population:
    none = Figure.undefined(why, 0)
    return asked.population(none, Method.NONE, why, np.zeros(len(asked.run.f), dtype=bool), none, none)


def _from_run(asked: _Asked, w: Floats, found: Difference | None) -> Population:
    """Labels that are a sample of the run."""
    run = asked.run
    looked = runs.looked(run)
    covered = np.ones(len(run.y), dtype=bool) if run.pi is None else run.pi > 0
    if run.stratum is not None:
        covered &= np.bincount(run.stratum, looked)[run.stratum] > 0
    youden, refused = _refused(asked, run.y, run.f, run.cluster, w) if asked.binary else (None, None)
    excused = runs.excused(run, w)
    if excused is not None and excused[0] > runs.FEW_EXCUSED:
        labels = asked.figure(powered(run.y[covered], run.f[covered], run.cluster[covered], 1 / w[covered], lam=0))
        why = f"{excused[1]}; the figure is of those to which, by people, it does: by the labels alone"
        out = asked.population(labels, Method.LABELS, why, covered, labels, Figure.undefined(why, labels.n))
    elif looked.all():
        labels = asked.figure(powered(run.y, run.f, run.cluster, lam=0))
        why = "every item of the run is labelled, so there is nothing to correct"
        out = asked.population(labels, Method.LABELS, why, covered, labels, Figure.undefined(why, labels.n))
    else:
        out = _corrected(asked, w, covered, refused)
    warnings = list(_doubts(asked, run.y[covered & ~np.isnan(run.y)], found))
    if excused is not None and excused[0] <= runs.FEW_EXCUSED:
        warnings.append(f"{excused[1]}; the figure counts them as if they were like the others")
    return out.model_copy(update={"youden": youden, "difference": found, "warnings": tuple(warnings)})


def _corrected(asked: _Asked, w: Floats, covered: NDArray[np.bool_], refused: str | None) -> Population:
    """By labels and judge together, where that is not refused."""
    run = asked.run
    stratum = None if run.stratum is None else run.stratum[covered]
    pi = None if run.pi is None else run.pi[covered]
    y, f, cluster = run.y[covered], run.f[covered], run.cluster[covered]
    alone = powered(y, f, cluster, pi, stratum, lam=0)
    both = powered(y, f, cluster, pi, stratum)
    labels, more = asked.figure(alone), asked.figure(both)
    spread = float(np.nanvar(f)) if asked.scored[covered].any() else 0.0
    by_answers = stratum is not None and spread > 0 and both.within <= 1e-9 * spread
    if by_answers:
        labels, more = asked.figure(powered(y, f, cluster, 1 / w[covered], lam=0)), asked.figure(alone, strata=True)
    if refused is not None:
        return asked.population(labels, Method.LABELS, refused, covered, labels, Figure.undefined(refused, both.n))
    if by_answers:
        why = "the labels were drawn by the judge's answers, which is how these help: by the size of each stratum"
        out = asked.population(more, Method.STRATA, why, covered, labels, more)
        before, after = _simple(asked, alone, y, w[covered])
        return out.model_copy(update={"multiplier": before / after if after > 0 else None})
    if both.lam == 0:
        why = "the judge's scores do not rise with people's, so they say nothing that the labels do not"
        return asked.population(labels, Method.LABELS, why, covered, labels, Figure.undefined(why, both.n))
    why = f"the labels are a sample of the run, and the judge's scores go with them (r = {both.r:.2f})"
    out = asked.population(more, Method.PPI, why, covered, labels, more)
    before, after = (
        (alone.rate_variance, both.rate_variance) if asked.binary else (alone.mean_variance, both.mean_variance)
    )
    limit = 1 / (1 - both.r**2) if both.r**2 < 1 else None
    worth = {"multiplier": before / after if after > 0 else None, "multiplier_limit": limit, "weight": both.lam}
    return out.model_copy(update=worth)


def _simple(asked: _Asked, alone: Powered, y: Floats, w: Floats) -> tuple[float, float]:
    """The variance of as many labels of a simple random sample, and that of the strata; of single items, both."""
    if asked.binary:
        return alone.share * (1 - alone.share) / alone.n, alone.smoothed
    there = ~np.isnan(y)
    y, w = y[there], w[there]
    return float(w @ (y - w @ y / w.sum()) ** 2 / w.sum()) / max(alone.n - 1, 1), alone.unaided


def _doubts(asked: _Asked, y: Floats, found: Difference | None) -> Iterator[str]:
    """What speaks against a figure by labels that are a sample of the run."""
    if found is None:
        yield "too few of the labelled items have a judge's score to see whether they look like a sample of this run"
    elif found.flagged:
        yield f"the labelled items do not look like a sample of this run: {found}"
    levels, counts = np.unique(y, return_counts=True)
    rare = len(y) - int(counts.max())
    if not asked.binary and rare < FEWEST_APART:
        common = f"{levels[counts.argmax()]:g}"
        yield f"only {rare} of {len(y)} labels are not {common}: the interval of so few is too short"


def _from_elsewhere(asked: _Asked, labels: Labels, why: str, found: Difference | None) -> Population:
    """Labels of another population: only the judge's error rates may carry over."""
    run, scored = asked.run, asked.scored
    if found is None:
        found = _difference(
            np.concatenate([labels.f, run.f]),
            np.concatenate([labels.w, np.zeros(len(run.f))]),
            np.repeat([False, True], [len(labels.f), len(run.f)]),
            np.concatenate([labels.cluster, run.cluster + int(labels.cluster.max(initial=-1)) + 1]),
        )
    no_labels = Figure.undefined(f"{why}; their mean is of other items", len(labels.y))
    update: dict[str, object] = {"difference": found}
    excused = runs.excused(run, np.ones(len(run.f)), len(labels.y))
    if excused is not None and excused[0] > runs.FEW_EXCUSED:
        why = f"{why}, and {excused[1]}: label a sample of this run"
        out = asked.population(none := Figure.undefined(why, len(labels.y)), Method.NONE, why, scored, no_labels, none)
        return out.model_copy(update=update)
    warnings = () if excused is None else (f"{excused[1]}; the figure counts them as if they were like the others",)
    update["warnings"] = warnings
    if not asked.binary:
        why = f"{why}, and to a mean nothing carries over from there: label items of this run"
        out = asked.population(none := Figure.undefined(why, len(labels.y)), Method.NONE, why, scored, no_labels, none)
        return out.model_copy(update=update)
    youden, refused = _refused(asked, labels.y, labels.f, labels.cluster, labels.w)
    refused = "the judge scored no item of this run" if not scored.any() else refused
    if refused is not None:
        none = Figure.undefined(refused, len(labels.y))
        out = asked.population(none, Method.NONE, f"{why}, and {refused}", scored, no_labels, none)
        return out.model_copy(update=update | {"youden": youden})
    there = ~np.isnan(labels.f)
    rates = error_rates(_verdicts(labels.y[there]), _verdicts(labels.f[there]), labels.w[there], labels.cluster[there])
    verdicts = _verdicts(run.f[scored])
    size = effective_size(verdicts, np.ones(len(verdicts)), run.cluster[scored])
    passed = float(verdicts.mean())
    low, high = plug_in_interval(passed, size, rates, asked.confidence)
    if found is not None and found.flagged:
        doubt = f"the run does not look like the labelled items, so TPR and TNR may be others there: {found}"
        update["warnings"] = (*warnings, doubt)
    figure = Figure(value=rogan_gladen(passed, rates.tpr, rates.tnr), low=low, high=high, n=int(there.sum()))
    why = f"{why}, so only the judge's TPR and TNR are taken from them, as if they were the same in this run"
    out = asked.population(figure, Method.ERROR_RATES, why, scored, no_labels, figure)
    return out.model_copy(update=update | {"youden": youden})


def _verdicts(scores: Floats) -> Floats:
    return (scores > 0.5).astype(np.float64)


def _refused(asked: _Asked, y: Floats, f: Floats, cluster: Codes, w: Floats) -> tuple[Figure, str | None]:
    """TPR + TNR - 1 of the items that have both, and why nothing may be corrected by it, if so."""
    both = ~(np.isnan(y) | np.isnan(f))
    try:
        rates = error_rates(_verdicts(y[both]), _verdicts(f[both]), w[both], cluster[both])
    except Undefined as undefined:
        return Figure.undefined(str(undefined), int(both.sum())), f"{undefined}, so its errors are not known"
    youden = rates.youden(asked.confidence)
    assert youden.low is not None
    if youden.low > 0:
        return youden, None
    ends = f"{youden.value:.2f} with the interval {youden.low:.2f} to {youden.high:.2f}"
    return youden, f"the judge is not shown to tell pass from fail: TPR + TNR - 1 is {ends}"


def _difference(f: Floats, w: Floats, in_run: NDArray[np.bool_], cluster: Codes) -> Difference | None:
    try:
        return difference(f, w, in_run, cluster)
    except Undefined:
        return None
