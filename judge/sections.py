"""What the sections of a rubric came to over a run, worked out item by item."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rubrics import Rubric, Section, lowest
from rubrics.scoring import part


@dataclass(frozen=True, slots=True)
class Scores:
    """What an item has on the criteria of the run's rubric: numbers, and criteria that do not apply to it."""

    values: dict[str, float]
    not_applicable: frozenset[str]


class Sum(NamedTuple):
    """A section over items: those to which it applies, those with all scores, and sums of what it can be."""

    n: int = 0
    scored: int = 0
    not_applicable: int = 0
    total: float = 0.0  #: of the scored ones
    low: float = 0.0
    high: float = 0.0


@dataclass(frozen=True, slots=True)
class SectionSummary:
    """One section of the rubric over all items of a run, on 0..1, or below 0 where points can be lost.

    Attributes
    ----------
    depth
        0 for a section of the rubric itself, 1 for one within it; they come in the order of writing.
    criteria
        The ids of the criteria that stand in it, and not in a section within it.
    n
        Items, without those to which nothing in the section applies.
    scored
        Items with a score, or none needed, on every criterion that counts in the section. Labels without values do
        not count.
    mean
        Of the scored ones; None where none is.
    low, high
        What the mean would be if every missing score were the worst, or the best.
    """

    section: str
    description: str
    weight: float
    depth: int
    criteria: tuple[str, ...]
    n: int
    scored: int
    not_applicable: int
    mean: float | None
    low: float | None
    high: float | None
    minimum: float

    @property
    def scored_share(self) -> float | None:
        """Scored ones among those that apply; None where none applies."""
        return self.scored / self.n if self.n else None


def section_sums(rubric: Rubric, graded: Iterable[Scores]) -> tuple[Sum, ...]:
    """Every section of a rubric, in the order of writing, over graded items."""
    sections = [section for section, _ in _within(rubric.sections)]
    sums = [Sum()] * len(sections)
    for scores in graded:
        for place, section in enumerate(sections):
            sums[place] = _added(sums[place], _sum(section, scores))
    return tuple(sums)


def added(some: Sequence[Sum], others: Sequence[Sum]) -> tuple[Sum, ...]:
    """The sums over both of two lots of items; an empty one is of no items."""
    if not some or not others:
        return tuple(some or others)
    return tuple(_added(one, other) for one, other in zip(some, others, strict=True))


def section_summaries(rubric: Rubric, sums: Sequence[Sum], missing: int) -> tuple[SectionSummary, ...]:
    """Every section of a run's rubric, from its sums over the graded items. `missing` ones have no grade yet."""
    within = list(_within(rubric.sections))
    whole = sums or [Sum()] * len(within)
    return tuple(_summary(section, depth, one, missing) for (section, depth), one in zip(within, whole, strict=True))


def _within(sections: Iterable[Section], depth: int = 0) -> Iterator[tuple[Section, int]]:
    for section in sections:
        yield section, depth
        yield from _within(section.sections, depth + 1)


def _added(one: Sum, other: Sum) -> Sum:
    return Sum(
        one.n + other.n,
        one.scored + other.scored,
        one.not_applicable + other.not_applicable,
        one.total + other.total,
        one.low + other.low,
        one.high + other.high,
    )


def _sum(section: Section, scores: Scores) -> Sum:
    """A section over one item."""
    span = part(section, scores.values, scores.not_applicable)
    if span is None:
        return Sum(not_applicable=1)
    total = span.low if span.complete else 0.0
    return Sum(n=1, scored=int(span.complete), total=total, low=span.low, high=span.high)


def _summary(section: Section, depth: int, found: Sum, missing: int) -> SectionSummary:
    # Where only labels are asked for, nothing counts, and nothing is missing.
    missing = missing if any(criterion.valued for criterion in section.walk()) else 0
    worst, n = lowest(section), found.n + missing
    return SectionSummary(
        section=section.id,
        description=section.description,
        weight=section.weight,
        depth=depth,
        criteria=tuple(criterion.id for criterion in section.criteria),
        n=n,
        scored=found.scored,
        not_applicable=found.not_applicable,
        mean=found.total / found.scored if found.scored else None,
        low=(found.low + missing * worst) / n if n else None,
        high=(found.high + missing) / n if n else None,
        minimum=worst,
    )
