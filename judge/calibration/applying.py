"""Grades by a calibration: derived from verdicts, each time anew, and never stored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Self

import numpy as np

from judge.calibration.calibration import Calibration
from judge.calibration.findings import WEAKEST_FIRST, Verdict
from judge.calibration.headline import MAIN
from judge.calibration.judgements import Judgements, beside, of_grades
from judge.calibration.measuring import Measurement
from judge.calibration.shelf import find, refuse_other
from judge.calibration.summaries import CalibratedSummary, Tally, group_of
from judge.grades import CalibrationRef, Corrected, CriterionGrade, Grade
from judge.pages import pages
from judge.verdicts import Outcome
from rubrics import Rubric, overall

if TYPE_CHECKING:
    from judge.store.calibrations import CalibrationInfo
    from judge.store.results import RunHead
    from judge.store.store import Store


class Applier:
    """A calibration, held against the rubric and the judge of grades.

    Raises SetupError where it belongs to another rubric or judge.
    """

    def __init__(self, info: CalibrationInfo, made: Calibration, run: RunHead, rubric: Rubric) -> None:
        refuse_other(info, made, run.rubric, run.judge)
        self.info, self.made, self._rubric, self._judge = info, made, rubric, run.judge
        self.ref = CalibrationRef(id=info.id, name=info.name, version=info.version, models=made.binding.models)

    @property
    def _known(self) -> bool:
        """Whether there is a finding at all: of too few labels there is none."""
        return any(one.finding.verdict is not Verdict.TOO_FEW for one in self.made.measurements.values())

    @classmethod
    def named(cls, store: Store, run: RunHead, ref: str) -> Self:
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

    def summaries(self, store: Store, info: RunHead) -> Iterator[CalibratedSummary]:
        """What a run comes to, criterion by criterion. Reads all grades, a page at a time."""
        tallies = {id_: Tally(_trust(measured)) for id_, measured in self.made.measurements.items()}
        for page in pages(store, info):
            items = store.ask(store.results.items, info.id, [grade.item for grade in page])
            for grade in self.apply(page):
                group = group_of(grade, items[grade.item], self.made.binding.group)
                for id_, one in tallies.items():
                    one.add(grade.criteria.get(id_), group)
        for id_, one in tallies.items():
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
                "finding": self._weakest(criteria),
            }
        )

    def _weakest(self, criteria: dict[str, CriterionGrade]) -> str | None:
        """An overall is worth no more than the weakest of what it is made of."""
        told = {
            one.calibrated.finding
            for one in criteria.values()
            if one.calibrated is not None and one.outcome is not Outcome.NOT_APPLICABLE
        }
        return next((verdict.value for verdict in WEAKEST_FIRST if verdict.value in told), None)

    def _overall(self, grade: Grade, criteria: dict[str, CriterionGrade]) -> float | None:
        """The overall of the calibrated scores; None while one of them is missing."""
        if grade.outcome is not Outcome.SCORED:
            return None
        values = {id_: None if one.calibrated is None else one.calibrated.score for id_, one in criteria.items()}
        excused = [id_ for id_, one in criteria.items() if one.outcome is Outcome.NOT_APPLICABLE]
        return overall(self._rubric, {id_: value for id_, value in values.items() if id_ not in excused}, excused).value


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
