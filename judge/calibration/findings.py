"""What may be said of a judge on a criterion, in one of four words, and why."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from judge.calibration.headline import Kind
from judge.calibration.measures import Measure
from judge.calibration.performance import Performance
from judge.calibration.statistics.alt_test import ANNOTATORS, AltTest
from judge.notation import number

#: Held-out labels below which nothing is said of a judge.
LEAST_LABELS = 30

#: Of each kind of scale, the measure that tells a judge from chance: it is 0 for one that knows nothing of the items.
BEYOND_CHANCE: dict[Kind, str] = {"binary": "youden", "ordinal": "spearman", "numeric": "spearman", "nominal": "kappa"}


class Verdict(StrEnum):
    """How far a judge can be trusted on a criterion."""

    CAN_STAND_IN = "can stand in"  #: for one of the people
    USEFUL = "useful with correction"  #: its scores tell something, and a person is still needed
    NOT_USABLE = "not usable"
    TOO_FEW = "too few labels"  #: for any finding


WEAKEST_FIRST = (Verdict.NOT_USABLE, Verdict.TOO_FEW, Verdict.USEFUL, Verdict.CAN_STAND_IN)


class Finding(BaseModel):
    """The verdict on a criterion, and what it rests on, the first reason first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    verdict: Verdict
    why: tuple[str, ...]


def finding(
    kind: Kind,
    labels: int,
    people: int,
    measures: tuple[Measure, ...],
    performance: Performance | None,
    alt_test: AltTest | str,
) -> Finding:
    """What held-out labels say of a judge.

    Too few labels: under 30 held-out items, or all of them alike. Not usable: not shown to be better than chance, or,
    once calibrated, no better than the best constant answer. Can stand in: at least three people, and the alternative
    annotator test passed with both of its guards. Useful with correction: all that lies between.

    Parameters
    ----------
    labels, people
        Held-out items with a score of the judge, and annotators.
    alt_test
        The test, or why there is none.
    """
    if labels < LEAST_LABELS:
        return Finding(verdict=Verdict.TOO_FEW, why=(f"{labels} held-out labels; a finding takes {LEAST_LABELS}",))
    chance = next(one.judge for one in measures if one.name == BEYOND_CHANCE[kind] and one.level == "item")
    name = BEYOND_CHANCE[kind].replace("youden", "TPR + TNR - 1")
    if chance.value is None and str(chance.why).startswith("people "):
        why = f"{chance.why}: such labels tell nothing of a judge; label items that people will tell apart"
        return Finding(verdict=Verdict.TOO_FEW, why=(why,))
    if chance.value is None:
        return Finding(verdict=Verdict.NOT_USABLE, why=(f"{name} is undefined: {chance.why}",))
    if chance.low is None or chance.low <= 0:
        worst = "has no interval" if chance.low is None else f"may be {number(chance.low)}"
        why = f"not shown to be better than chance: {name} {number(chance.value)} {worst}"
        return Finding(verdict=Verdict.NOT_USABLE, why=(why,))
    told = [f"better than chance: {name} {number(chance.value)}, at least {number(chance.low)}"]
    if (useless := _no_better_than_a_constant(kind, measures, performance)) is not None:
        return Finding(verdict=Verdict.NOT_USABLE, why=(useless, *told))
    if isinstance(alt_test, str):
        return Finding(verdict=Verdict.USEFUL, why=(f"cannot stand in: {alt_test}", *told))
    if people < ANNOTATORS:
        return Finding(verdict=Verdict.USEFUL, why=(f"{people} people; to stand in for one takes {ANNOTATORS}", *told))
    if not alt_test.passed:
        return Finding(verdict=Verdict.USEFUL, why=(*(f"cannot stand in: {why}" for why in alt_test.why), *told))
    won = f"wins against {alt_test.omega:.0%} of {alt_test.tested} people, left out in turn"
    won += f": as good on as many items as each, less {alt_test.epsilon:.0%} at most (ε)"
    return Finding(verdict=Verdict.CAN_STAND_IN, why=(won, *told))


def _no_better_than_a_constant(
    kind: Kind, measures: tuple[Measure, ...], performance: Performance | None
) -> str | None:
    """Why calibrated scores are of no use, or labels as they are; None where they are of use, or not known.

    The two figures are compared as they are. That the judge knows something of the items is shown before, by an
    interval, which a judge that seems better by chance fails; beside it this keeps out what knows something and still
    misleads. An interval of the difference would also fail judges of some use whose small gain so few labels cannot
    show.
    """
    if kind == "nominal":
        accuracy = next(one for one in measures if one.name == "accuracy")
        known, most = accuracy.judge.value, accuracy.constant
        if known is None or most is None or known > most:
            return None
        return f"no better than one answer for all: accuracy {number(known)}, of the most frequent label {number(most)}"
    if performance is None or performance.rmse.value is None or performance.constant_rmse.value is None:
        return None
    if performance.rmse.value < performance.constant_rmse.value:
        return None
    return (
        f"no better than one answer for all: calibrated RMSE {performance.rmse.value:.2f}, "
        f"of the mean {performance.constant_rmse.value:.2f}"
    )
