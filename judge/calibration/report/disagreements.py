"""The items on which judge and people are farthest apart, with the reasons of both: how rubrics get better."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from judge.calibration.calibration import Calibration
from judge.calibration.measuring import Disagreement, Measurement
from judge.calibration.report.answers import Answers
from judge.grades import Grade
from judge.items import Item
from judge.notation import plain, sample
from judge.report.examples import Excerpt, excerpts

if TYPE_CHECKING:
    from judge.store.labels import Stored
    from judge.store.results import RunInfo
    from judge.store.store import Store

Cell = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Side:
    """What one of them said: the answer, its reason if one is kept, and where on the scale it lies, 0 to 1."""

    name: str
    answer: str
    reason: str | None
    at: float | None


@dataclass(frozen=True, slots=True)
class Dispute:
    """An item, what the judge said of it, and what each of the people did.

    `samples` are the judge's single answers, where it was asked several times. `people` is their mean, or the label
    that most of them gave. No texts where no run keeps them.
    """

    item: str
    judge: Side
    samples: tuple[str, ...]
    people: str
    people_at: float | None
    labels: tuple[Side, ...]
    texts: tuple[Excerpt, ...]


@dataclass(frozen=True, slots=True)
class Sources:
    """Where reasons and texts come from: the run, if it is kept, and the labels."""

    grades: dict[str, Grade]
    items: dict[str, Item]
    reasons: dict[Cell, str]

    @classmethod
    def of(cls, store: Store, made: Calibration, run: RunInfo | None, stored: Sequence[Stored]) -> Sources:
        """All that the worst items of a calibration need."""
        worst = {one.item: None for found in made.measurements.values() for one in found.worst}
        reasons = {one.label.cell: one.label.reason for one in stored if one.label.item in worst and one.label.reason}
        if run is None:
            return cls({}, {}, reasons)
        seqs = [seq for item in worst for seq in store.ask(store.results.places, run.id, item)]
        grades = {grade.item: grade for _, grade in store.ask(store.results.grades, run, seqs=seqs)}
        return cls(grades, store.ask(store.results.items, run.id, list(worst)), reasons)


def disputes(found: Measurement, answers: Answers | None, sources: Sources) -> tuple[Dispute, ...]:
    """The worst items of a criterion, the worst first."""
    return tuple(_dispute(one, found.criterion, answers, sources) for one in found.worst)


def _dispute(one: Disagreement, criterion: str, answers: Answers | None, sources: Sources) -> Dispute:
    grade, item = sources.grades.get(one.item), sources.items.get(one.item)
    given = None if grade is None else grade.criteria.get(criterion)
    return Dispute(
        item=one.item,
        judge=_side("judge", one.judge, None if given is None else given.reason, answers),
        samples=() if given is None else tuple(map(sample, given.samples)),
        people=_called(one.people, answers),
        people_at=_at(one.people, answers),
        labels=tuple(_labels(one, criterion, answers, sources)),
        texts=() if item is None else excerpts(item),
    )


def _labels(one: Disagreement, criterion: str, answers: Answers | None, sources: Sources) -> Iterable[Side]:
    for name, value in one.labels:
        yield _side(name, value, sources.reasons.get((one.item, criterion, name)), answers)


def _side(name: str, value: float, reason: str | None, answers: Answers | None) -> Side:
    return Side(name, _called(value, answers), reason, _at(value, answers))


def _called(value: float, answers: Answers | None) -> str:
    return plain(value) if answers is None else answers.called(value)


def _at(value: float, answers: Answers | None) -> float | None:
    return None if answers is None or answers.nominal else answers.axis.at(value)
