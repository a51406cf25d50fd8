"""All that a page shows of one criterion."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from judge.calibration.calibration import Calibration
from judge.calibration.correction import OF_SEVERAL, Correction
from judge.calibration.headline import OF_PEOPLE
from judge.calibration.measures import Measure
from judge.calibration.measuring import AMONG_PEOPLE, Measurement
from judge.calibration.performance import Performance
from judge.calibration.populations.population import Population
from judge.calibration.report import plots
from judge.calibration.report.answers import Answers, answers
from judge.calibration.report.disagreements import Dispute, Sources, disputes
from judge.calibration.report.forests import (
    Axis,
    Forest,
    Kind,
    Row,
    agreement_axis,
    around_nought,
    error_axis,
    near,
    row,
)
from judge.calibration.report.names import ORDERS, name
from judge.calibration.report.plots import Plot
from judge.calibration.statistics.figures import Figure
from rubrics import Rubric

_OF_RUN: tuple[Kind, ...] = ("judge", "people", "judge")
#: Places of a scale without levels at which a calibrator is told.
TOLD = 5


@dataclass(frozen=True, slots=True)
class Heat:
    """Items by the people's level: how many, and which level the judge gave them. All are shares.

    `rows` have, for each level of the people, its share of all items, and the share of each of the judge's levels in
    it; None where people never gave it.
    """

    levels: tuple[str, ...]
    rows: tuple[tuple[float, tuple[float, ...] | None], ...]


@dataclass(frozen=True, slots=True)
class Section:
    """A criterion. `anchor` is its place in the page; `main` the measure that stands for all of them."""

    anchor: str
    measurement: Measurement
    correction: Correction | None
    unfitted: str | None
    population: Population | None
    question: str | None
    answers: Answers | None
    main: Forest
    agreement: tuple[Forest, ...]
    errors: tuple[Forest, ...]
    guards: Forest | None
    orders: Forest | None
    people: Forest | None
    run: Forest | None
    areas: Forest | None
    reliability: Plot | None
    risk: Plot | None
    length: Plot | None
    heat: Heat | None
    calibrated: tuple[tuple[str, float], ...]
    disputes: tuple[Dispute, ...]

    @property
    def id(self) -> str:
        """The criterion's."""
        return self.measurement.criterion

    @property
    def mark(self) -> str:
        """The finding as one word of a style."""
        return self.measurement.finding.verdict.name.lower().replace("_", "-")

    @property
    def judge(self) -> Figure:
        """The main measure of the judge, against all people."""
        return next(row.figure for row in self.main.rows if row.kind == "judge")

    @property
    def kept(self) -> bool:
        """Whether the calibrator keeps the judge's scores as they are."""
        selection = None if self.correction is None else self.correction.selection
        return selection is not None and selection.chosen.kind == "identity"

    @property
    def unmeasured(self) -> str:
        """Why there is no figure of the calibrator, or of the judge."""
        return self.unfitted or "no held-out item has a score of the judge"

    @property
    def agreement_of(self) -> str:
        """The measure by which people are compared with each other."""
        return name(AMONG_PEOPLE[self.measurement.kind]).text

    @property
    def ordered(self) -> bool:
        """Whether the alternative annotator test is by distance."""
        return self.measurement.kind in ("ordinal", "numeric")


def section(made: Calibration, place: int, found: Measurement, rubric: Rubric | None, sources: Sources) -> Section:
    """What is shown of the criterion at this place of the calibration."""
    id_ = found.criterion
    correction = made.corrections.get(id_)
    scale = answers(found, correction, rubric)
    told = found.performance
    asked = rubric.criterion(id_) if rubric is not None else None
    population = made.populations.get(id_)
    agreement = tuple(_agreement(found))
    return Section(
        anchor=f"criterion-{place}",
        measurement=found,
        correction=correction,
        unfitted=made.unfitted.get(id_),
        population=population,
        question=None if asked is None else asked.question,
        answers=scale,
        main=agreement[0] if agreement else _nothing(found),
        agreement=agreement,
        errors=() if told is None or told.raw_rmse.value is None else tuple(_errors(told)),
        guards=_guards(found),
        orders=_orders(found),
        people=_people(found, scale),
        run=None if population is None else _run(population, found, scale),
        areas=None if told is None else _areas(told),
        reliability=None if told is None or scale is None else plots.reliability(told, scale.axis),
        risk=None if told is None else plots.risk(told.acceptance, made.promise.alpha),
        length=plots.length(found.length),
        heat=_heat(found),
        calibrated=_calibrated(correction, scale),
        disputes=disputes(found, scale, sources),
    )


def _agreement(found: Measurement) -> Iterator[Forest]:
    """The main measures: the best constant, the judge, one person."""
    for of in OF_PEOPLE[found.kind]:
        one = found.measure(of)
        if one is not None:
            called = name(of)
            figures = [one.judge, *(figure for figure in (one.judge_beside, one.person) if figure is not None)]
            constant = [] if one.constant is None else [Figure(value=one.constant, n=one.judge.n)]
            axis = (error_axis if called.of == "error" else agreement_axis)([*figures, *constant])
            about = "less is better, in points of the scale" if called.of == "error" else ""
            yield Forest(called.text, axis, tuple(_beside(one, axis)), about)


def _beside(one: Measure, axis: Axis) -> Iterator[Row]:
    if one.constant is not None:
        yield row("best constant answer", "constant", Figure(value=one.constant, n=one.judge.n), axis)
    yield row("judge, against all people", "judge", one.judge, axis)
    if one.judge_beside is not None:
        yield row("judge, against the rest", "judge", one.judge_beside, axis)
    if one.person is not None:
        yield row("one person, against the rest", "people", one.person, axis)


def _nothing(found: Measurement) -> Forest:
    """Of a criterion of which no measure is known."""
    axis = agreement_axis(())
    why = Figure.undefined("no held-out item has a score of the judge", 0)
    return Forest(name(OF_PEOPLE[found.kind][0]).text, axis, (row("judge, against all people", "judge", why, axis),))


def _errors(told: Performance) -> Iterator[Forest]:
    axis = error_axis((told.raw_rmse, told.rmse, told.constant_rmse))
    rmse = (
        row("one answer for all", "constant", told.constant_rmse, axis),
        row("judge, as it is", "judge", told.raw_rmse, axis),
        row("judge, calibrated", "judge", told.rmse, axis),
    )
    yield Forest("RMSE", axis, rmse, "less is better, in points of the scale")
    axis = around_nought((told.raw_bias, told.bias))
    bias = (row("judge, as it is", "judge", told.raw_bias, axis), row("judge, calibrated", "judge", told.bias, axis))
    yield Forest("Judge less people", axis, bias, "0 is best, in points of the scale")


def _guards(found: Measurement) -> Forest | None:
    test = found.alt_test
    if test is None:
        return None
    axis = agreement_axis((test.rho, test.rho_constant, test.over_constant, test.beyond_chance))
    rows = (
        row("judge as good (ρ)", "judge", test.rho, axis),
        row("best constant as good", "constant", test.rho_constant, axis),
        row("guard: judge less constant", "judge", test.over_constant, axis),
        row("guard: beyond chance", "judge", test.beyond_chance, axis),
    )
    return Forest("Advantage and guards", axis, rows, "both guards above 0, beyond chance with its whole interval")


def _orders(found: Measurement) -> Forest | None:
    """Pairs by what the order of the two outputs does to the judge."""
    if not found.orders:
        return None
    axis = agreement_axis([found.orders[id_] for id_ in ORDERS])
    rows = [
        row(told, "constant" if id_ == "constant" else "judge", found.orders[id_], axis) for id_, told in ORDERS.items()
    ]
    return Forest("Shares of the pairs", axis, tuple(rows), "a verdict that could not be read is wrong")


def _people(found: Measurement, scale: Answers | None) -> Forest | None:
    """The mean of each of the people on the scale, and how far single scores lie from it."""
    if scale is None or scale.nominal:
        return None
    axis, rows = scale.axis, []
    for one in found.annotators:
        sd = 0.0 if one.sd is None else one.sd
        mean = Figure(value=one.mean, n=one.n, of="labels")
        spread = (axis.at(one.mean - sd), axis.at(one.mean + sd))
        rows.append(Row(one.annotator, "people", mean, axis.at(one.mean), *spread, spread=True))
    return Forest("Mean score", axis, tuple(rows), "the bar is one standard deviation each way")


def _run(population: Population, found: Measurement, scale: Answers | None) -> Forest:
    figures = (population.raw, population.labels, population.corrected)
    ends = (0.0, 1.0) if scale is None or found.kind == "binary" else (scale.values[0], scale.values[-1])
    axis = near(figures, *ends)
    rows = []
    for told, kind, figure in zip(("judge alone", "labels alone", "corrected"), _OF_RUN, figures, strict=True):
        note = "(stands for the run)" if figure == population.figure and figure.value is not None else None
        rows.append(row(told, kind, figure, axis, note))
    return Forest("Pass rate" if found.kind == "binary" else "Mean", axis, tuple(rows))


def _areas(told: Performance) -> Forest | None:
    one = told.acceptance
    if one.aurc.value is None or one.aurc_oracle is None or one.aurc_chance is None:
        return None
    oracle, chance = (Figure(value=value, n=one.aurc.n) for value in (one.aurc_oracle, one.aurc_chance))
    axis = error_axis((one.aurc, oracle, chance))
    rows = (
        row("knows every error", "constant", oracle, axis),
        row("this confidence", "judge", one.aurc, axis),
        row("knows none", "constant", chance, axis),
    )
    return Forest("Area under the curve (AURC)", axis, rows, "less is better")


def _heat(found: Measurement) -> Heat | None:
    if not found.confusion:
        return None
    rows = []
    for shares in found.confusion:
        whole = sum(shares)
        rows.append((whole, tuple(one / whole for one in shares) if whole > 0 else None))
    return Heat(found.levels, tuple(rows))


def _calibrated(correction: Correction | None, scale: Answers | None) -> tuple[tuple[str, float], ...]:
    """What scores of the judge come to, where the calibrator reads nothing else."""
    if correction is None or correction.selection is None or scale is None:
        return ()
    chosen = correction.selection.chosen
    if chosen.reads != "scores" or chosen.kind in OF_SEVERAL or len(correction.inputs) > 1:
        return ()
    low, high = scale.values[0], scale.values[-1]
    given = np.array(scale.values) if scale.names else np.linspace(low, high, TOLD)
    found = chosen.predict(given[:, None])
    return tuple((scale.called(value), after) for value, after in zip(given.tolist(), found.tolist(), strict=True))
