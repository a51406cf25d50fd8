"""Grades by a calibration: derived from verdicts, each time anew, and never stored."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from judge.calibration.calibration import Calibration
from judge.calibration.findings import Verdict
from judge.calibration.headline import MAIN
from judge.calibration.judgements import Judgements, beside, of_grades
from judge.calibration.measuring import Measurement
from judge.calibration.populations.population import Population
from judge.calibration.populations.transport import ErrorRates, effective_size, plug_in_interval, rogan_gladen
from judge.calibration.scale import Scale
from judge.calibration.shelf import find, refuse_other
from judge.calibration.statistics.bootstrap import Codes, Floats
from judge.exports import PAGE
from judge.grades import CalibrationRef, Corrected, CriterionGrade, Grade
from judge.items import Item
from judge.summary import CalibratedSummary
from judge.verdicts import Outcome
from rubrics import Rubric, overall

if TYPE_CHECKING:
    from judge.store.calibrations import CalibrationInfo
    from judge.store.results import RunInfo
    from judge.store.store import Store


class Applier:
    """A calibration, held against the rubric and the judge of grades.

    Raises SetupError where it belongs to another rubric or judge.
    """

    def __init__(self, info: CalibrationInfo, made: Calibration, run: RunInfo, rubric: Rubric) -> None:
        refuse_other(info, made, run.rubric, run.judge)
        self.info, self.made, self._rubric, self._judge = info, made, rubric, run.judge
        self.ref = CalibrationRef(id=info.id, name=info.name, version=info.version, models=made.binding.models)

    @property
    def _known(self) -> bool:
        """Whether there is a finding at all: of too few labels there is none."""
        return any(one.finding.verdict is not Verdict.TOO_FEW for one in self.made.measurements.values())

    @classmethod
    def named(cls, store: Store, run: RunInfo, ref: str) -> Self:
        """The calibration of this name, version or id, for a run. Raises InputError where there is none."""
        return cls(*find(store, ref), run, store.ask(store.verdicts.stored_rubric, run.rubric.hash))

    def apply(self, grades: Sequence[Grade]) -> list[Grade]:
        """The same grades, each criterion with its calibrated score, interval, and whether it may stand.

        Grades by a rubric that belongs to their item alone stay as they are: the calibration is of another one.
        """
        ours = [grade for grade in grades if grade.rubric.hash == self.made.binding.rubric.hash]
        if not ours:
            return list(grades)
        said = of_grades(((grade, "", np.nan) for grade in ours), self._rubric, self._judge)
        columns = {id_: self._corrected(id_, said) for id_ in self.made.measurements}
        done = {
            grade.item: self._graded(grade, {id_: column[place] for id_, column in columns.items()})
            for place, grade in enumerate(ours)
        }
        return [done.get(grade.item, grade) for grade in grades]

    def summaries(self, store: Store, info: RunInfo) -> Iterator[CalibratedSummary]:
        """What a run comes to, criterion by criterion. Reads all grades, a page at a time."""
        sums = {id_: _Sum() for id_ in self.made.measurements}
        after = -1
        while page := store.ask(store.results.grades, info, after, PAGE):
            items = store.ask(store.results.items, info.id, [grade.item for _, grade in page])
            for grade in self.apply([grade for _, grade in page]):
                group = _group(grade, items[grade.item], self.made.binding.group)
                for id_, one in sums.items():
                    one.add(grade.criteria.get(id_), group)
            after = page[-1][0]
        for id_, one in sums.items():
            yield one.summary(id_, self.made, self._rubric, info.id)

    def _corrected(self, id_: str, said: Judgements) -> list[Corrected]:
        """What a criterion comes to, grade by grade."""
        measured = self.made.measurements[id_]
        plain = _trust(measured)
        correction = self.made.corrections.get(id_)
        one = said.said[id_]
        if correction is None:
            return [plain] * len(one.score)
        columns = [said.said[name].score for name in correction.inputs]
        scores = correction.calibrated(np.stack(columns, axis=1), one.shares, beside(said.said))
        known = np.isfinite(scores)
        low, high = np.full(len(scores), np.nan), np.full(len(scores), np.nan)
        informative = np.zeros(len(scores), dtype=np.bool_)
        if correction.intervals is not None and known.any():
            low[known], high[known], informative[known] = correction.intervals.predict(scores[known])
        stands = None if correction.threshold is None else correction.threshold.accepts(one.confidence) & known
        nominal = one.scale.kind == "nominal"
        return [
            plain.model_copy(
                update={
                    "score": None if nominal else _number(scores[at]),
                    "low": _number(low[at]),
                    "high": _number(high[at]),
                    "informative": bool(informative[at]) if np.isfinite(low[at]) else None,
                    "confidence": _number(one.confidence[at]),
                    "stands": None if stands is None or not known[at] else bool(stands[at]),
                }
            )
            for at in range(len(scores))
        ]

    def _graded(self, grade: Grade, corrected: dict[str, Corrected]) -> Grade:
        criteria = {
            id_: one.model_copy(update={"calibrated": corrected[id_]}) if id_ in corrected else one
            for id_, one in grade.criteria.items()
        }
        return grade.model_copy(
            update={
                "criteria": criteria,
                "trust": "calibrated" if self._known else "uncalibrated",
                "calibration": self.ref,
                "calibrated_score": self._overall(grade, criteria),
            }
        )

    def _overall(self, grade: Grade, criteria: dict[str, CriterionGrade]) -> float | None:
        """The overall of the calibrated scores; None while one of them is missing."""
        if grade.outcome is not Outcome.SCORED:
            return None
        values = {id_: None if one.calibrated is None else one.calibrated.score for id_, one in criteria.items()}
        excused = [id_ for id_, one in criteria.items() if one.outcome is Outcome.NOT_APPLICABLE]
        return overall(self._rubric, {id_: value for id_, value in values.items() if id_ not in excused}, excused).value


@dataclass(slots=True)
class _Sum:
    """One criterion, summed up grade by grade."""

    trust: Corrected | None = None
    scores: list[float] = field(default_factory=list)
    raw: list[float] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    items: int = 0
    stands: int = 0
    known: bool = False

    def add(self, one: CriterionGrade | None, group: str) -> None:
        if one is None or one.calibrated is None:
            return
        self.trust = one.calibrated
        self.items += 1
        if one.calibrated.score is not None:
            self.scores.append(one.calibrated.score)
        if one.score is not None:
            self.raw.append(one.score)
            self.groups.append(group)
        self.known = self.known or one.calibrated.stands is not None
        self.stands += bool(one.calibrated.stands)

    def summary(self, id_: str, made: Calibration, rubric: Rubric, run: str) -> CalibratedSummary:
        stored = made.populations.get(id_) if made.binding.run == run else None
        if id_ in made.error_rates and stored is not None and stored.items == self.items:
            rate = _stored(stored)
        else:
            raw, cluster = np.array(self.raw), np.unique(self.groups, return_inverse=True)[1].astype(np.int64)
            rate = _rate(made.error_rates.get(id_), raw, cluster, Scale.of(rubric.criterion(id_)))
        trust = self.trust or _trust(made.measurements[id_])
        return CalibratedSummary(
            criterion=id_,
            n=len(self.scores),
            mean=math.fsum(self.scores) / len(self.scores) if self.scores else None,
            stands=self.stands if self.known else None,
            finding=trust.finding,
            measure=trust.measure,
            agreement=trust.agreement,
            agreement_low=trust.agreement_low,
            agreement_high=trust.agreement_high,
            **rate,
        )


def _rate(rates: ErrorRates | None, raw: Floats, cluster: Codes, scale: Scale) -> dict[str, Any]:
    """The share that people would pass, from the share that the judge passed (Rogan and Gladen; Lee et al.)."""
    if rates is None or not len(raw):
        return {}
    youden = rates.youden()
    if youden.low is None or youden.low <= 0:
        worst = "unknown" if youden.low is None else f"{youden.low:.2f}"
        return {"no_rate": f"TPR + TNR - 1 may be {worst}: the judge is not shown to tell pass from fail"}
    verdicts = scale.nearest(raw).astype(np.float64)
    passed = float(verdicts.mean())
    low, high = plug_in_interval(passed, effective_size(verdicts, np.ones(len(verdicts)), cluster), rates)
    value = rogan_gladen(passed, rates.tpr, rates.tnr)
    return {"rate": value, "rate_low": low, "rate_high": high, "rate_by": "the judge's error rates on the labels"}


def _stored(of_run: Population) -> dict[str, Any]:
    """The same of the run that the calibration was made on: what was found there, with its labels."""
    figure = of_run.figure
    if figure.value is None or figure.low is None:
        return {"no_rate": of_run.why if figure.value is None else figure.why}
    return {"rate": figure.value, "rate_low": figure.low, "rate_high": figure.high, "rate_by": of_run.method.value}


def _group(grade: Grade, item: Item, column: str | None) -> str:
    """The group of an item, by the column of the calibration where the item has it; else by its input."""
    named = None if column is None else grade.metadata.get(column)
    if named is not None:
        return str(named)
    return item.id if item.input is None else item.input_hash


def _trust(measured: Measurement) -> Corrected:
    """What is known of the judge on a criterion, whatever the grade."""
    name = MAIN[measured.kind]
    main = measured.measure(name)
    figure = None if main is None else main.judge
    return Corrected(
        finding=measured.finding.verdict.value,
        measure=name,
        agreement=None if figure is None else figure.value,
        agreement_low=None if figure is None else figure.low,
        agreement_high=None if figure is None else figure.high,
    )


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
