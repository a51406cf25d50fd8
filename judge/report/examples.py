"""Single items of a report: what was graded, and what the judge said of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from judge.fences import Fence, Picture
from judge.grades import CriterionGrade, Grade
from judge.items import Item
from judge.notation import answer, required, sample
from judge.verdicts import Outcome
from rubrics import Criterion
from rubrics.section import Node

if TYPE_CHECKING:
    from judge.store.results import RunInfo
    from judge.store.store import Store

#: Characters of a text that are shown.
LONGEST_TEXT = 1200


@dataclass(frozen=True, slots=True)
class Excerpt:
    """The beginning of a text; `length` is that of all of it, in characters."""

    name: str
    text: str
    length: int

    @property
    def whole(self) -> bool:
        """Whether nothing is left out."""
        return len(self.text) == self.length


@dataclass(frozen=True, slots=True)
class Told:
    """A criterion of an item, or the heading of a section where `answer` is None.

    `missing` says that there should be a score and is none; `met` whether what is required is met, None where nothing
    is required or there is no score.
    """

    depth: int
    name: str
    answer: str | None = None
    missing: bool = False
    expected: float | None = None
    required: str | None = None
    met: bool | None = None
    reason: str | None = None
    cause: str | None = None
    shares: tuple[tuple[str, float], ...] = ()
    samples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Example:
    """An item with its grade."""

    seq: int
    grade: Grade
    told: tuple[Told, ...]
    texts: tuple[Excerpt, ...]


def examples(store: Store, info: RunInfo, seqs: Sequence[int]) -> dict[int, Example]:
    """Items of a run, by their place in it."""
    found = {}
    for seq, grade in store.ask(store.results.grades, info, seqs=seqs):
        item = Item(id=grade.item, **store.ask(store.results.item_body, info.id, grade.item))
        rubric = store.ask(store.verdicts.stored_rubric, grade.rubric.hash)
        found[seq] = Example(seq, grade, tuple(_told(rubric, grade)), excerpts(item))
    return found


def _told(node: Node, grade: Grade, depth: int = 0) -> Iterator[Told]:
    for criterion in node.criteria:
        yield _criterion(criterion, grade.criteria[criterion.id], depth)
    for section in node.sections:
        yield Told(depth, section.id)
        yield from _told(section, grade, depth + 1)


def _criterion(criterion: Criterion, given: CriterionGrade, depth: int) -> Told:
    scored = given.outcome is Outcome.SCORED
    shares = () if given.distribution is None else tuple(given.distribution.shares.items())
    return Told(
        depth=depth,
        name=criterion.id,
        answer=answer(criterion, given.level, given.score, " to ") if scored else given.outcome,
        missing=not scored and given.outcome is not Outcome.NOT_APPLICABLE,
        expected=given.expected,
        required=required(criterion),
        met=None if given.score is None else criterion.passes(given.score),
        reason=given.reason,
        cause=given.cause,
        shares=shares,
        samples=tuple(map(sample, given.samples)),
    )


def excerpts(item: Item) -> tuple[Excerpt, ...]:
    """The beginnings of all texts of an item."""
    return tuple(map(_excerpt, item.fences))


def _excerpt(fence: Fence) -> Excerpt:
    text = _text(fence)
    name = f"{fence.name} {fence.label}" if fence.label else fence.name
    return Excerpt(name, text[:LONGEST_TEXT], len(text))


def _text(fence: Fence | Picture) -> str:
    """What stands in a fence, without the marks that a judge is shown around it."""
    if isinstance(fence, Picture):
        return "[image]"
    if isinstance(fence.inside, str):
        return fence.inside
    return "\n\n".join(_inside(part) for part in fence.inside)


def _inside(part: Fence | Picture) -> str:
    name = "" if isinstance(part, Picture) or part.name == "text" else f"{part.name} {part.label}".strip() + "\n"
    return name + _text(part)
