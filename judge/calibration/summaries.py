"""What a run comes to by a calibration, criterion by criterion."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from judge.calibration.calibration import Calibration
from judge.calibration.populations.population import Population
from judge.calibration.populations.runs import FEW_EXCUSED
from judge.calibration.populations.transport import ErrorRates, plug_in_interval, rogan_gladen
from judge.calibration.scale import Scale
from judge.calibration.statistics.bootstrap import Codes, Floats
from judge.calibration.statistics.shares import effective_size
from judge.grades import Corrected, CriterionGrade, Grade
from judge.items import Item
from judge.verdicts import Outcome
from rubrics import Rubric


@dataclass(frozen=True, slots=True)
class CalibratedSummary:
    """One criterion of a run by a calibration.

    Attributes
    ----------
    n, mean
        Items with a calibrated score, and the mean of those, on the criterion's own scale; None where there is none.
    stands
        Items whose grade may stand without a person; None where no threshold is known.
    finding, measure, agreement, agreement_low, agreement_high
        What held-out labels say of the judge.
    rate, rate_low, rate_high
        Of a pass/fail criterion the share that people would pass; None where `no_rate` says why.
    rate_by
        How that was found: by the judge's error rates on the labels; of the run that was calibrated on, by its labels.
    """

    criterion: str
    n: int
    mean: float | None
    stands: int | None
    finding: str
    measure: str | None
    agreement: float | None
    agreement_low: float | None
    agreement_high: float | None
    rate: float | None = None
    rate_low: float | None = None
    rate_high: float | None = None
    rate_by: str | None = None
    no_rate: str | None = None


@dataclass(slots=True)
class Tally:
    """One criterion of a run, summed up grade by grade. `trust` is what is known of the judge on it."""

    trust: Corrected
    scores: list[float] = field(default_factory=list)
    raw: list[float] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    items: int = 0
    excused: int = 0
    stands: int = 0
    known: bool = False

    def add(self, one: CriterionGrade | None, group: str) -> None:
        """One more grade, of an item of this group."""
        if one is None or one.calibrated is None:
            return
        self.items += 1
        if one.calibrated.score is not None:
            self.scores.append(one.calibrated.score)
        said = one.score if one.expected is None else one.expected  # as the error rates read it
        if said is not None:
            self.raw.append(said)
            self.groups.append(group)
        self.excused += one.outcome is Outcome.NOT_APPLICABLE
        self.known = self.known or one.calibrated.stands is not None
        self.stands += bool(one.calibrated.stands)

    def summary(self, id_: str, made: Calibration, rubric: Rubric, run: str) -> CalibratedSummary:
        """Of the criterion of this id, by a calibration; of the run that it was made on, what was found there."""
        stored = made.populations.get(id_) if made.binding.run == run else None
        if id_ in made.error_rates and stored is not None and stored.items == self.items:
            rate = _stored(stored)
        else:
            raw, cluster = np.array(self.raw), np.unique(self.groups, return_inverse=True)[1].astype(np.int64)
            excused = self.excused / self.items if self.items else 0.0
            rate = run_rate(made.error_rates.get(id_), raw, cluster, Scale.of(rubric.criterion(id_)), excused)
        return CalibratedSummary(
            criterion=id_,
            n=len(self.scores),
            mean=math.fsum(self.scores) / len(self.scores) if self.scores else None,
            stands=self.stands if self.known else None,
            finding=self.trust.finding,
            measure=self.trust.measure,
            agreement=self.trust.agreement,
            agreement_low=self.trust.agreement_low,
            agreement_high=self.trust.agreement_high,
            **rate,
        )


def run_rate(
    rates: ErrorRates | None, raw: Floats, cluster: Codes, scale: Scale, excused: float = 0.0
) -> dict[str, Any]:
    """The share that people would pass, from the share that the judge passed (Rogan and Gladen; Lee et al.).

    `excused` is the share of items to which, by the judge, the criterion does not apply.
    """
    if rates is None or not len(raw):
        return {}
    if excused > FEW_EXCUSED:
        return {"no_rate": f"by the judge it does not apply to {excused:.1%} of the items: label a sample of this run"}
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


def group_of(grade: Grade, item: Item, column: str | None) -> str:
    """The group of an item, by the column of the calibration where the item has it; else by its input."""
    named = None if column is None else grade.metadata.get(column)
    if named is not None:
        return str(named)
    return item.id if item.input is None else item.input_hash
