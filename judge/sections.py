"""What the sections of a rubric came to over a run, worked out item by item."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rubrics import Rubric, Section, lowest
from rubrics.scoring import part

if TYPE_CHECKING:
    from judge.store.figures import Scores
    from judge.store.results import RunInfo
    from judge.store.store import Store

#: Items whose scores are in memory at a time.
PAGE = 1000


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


def section_summaries(store: Store, info: RunInfo, rubric: Rubric, missing: int) -> tuple[SectionSummary, ...]:
    """Every section of a run's rubric. `missing` items have no grade yet. Reads all grades, a page at a time."""
    sums = [_Sum(section, depth, missing) for section, depth in _within(rubric.sections)]
    if not sums:
        return ()
    for first in range(0, info.items, PAGE):
        for scores in store.ask(store.figures.scores, info.id, first, first + PAGE - 1):
            for one in sums:
                one.add(scores)
    return tuple(one.summary() for one in sums)


def _within(sections: Iterable[Section], depth: int = 0) -> Iterator[tuple[Section, int]]:
    for section in sections:
        yield section, depth
        yield from _within(section.sections, depth + 1)


class _Sum:
    """One section, summed up item by item."""

    def __init__(self, section: Section, depth: int, missing: int) -> None:
        self._section, self._depth, self._lowest = section, depth, lowest(section)
        # Where only labels are asked for, nothing counts, and nothing is missing.
        missing = missing if any(criterion.valued for criterion in section.walk()) else 0
        self._n, self._scored, self._not_applicable, self._total = missing, 0, 0, 0.0
        self._low, self._high = missing * self._lowest, float(missing)

    def add(self, scores: Scores) -> None:
        span = part(self._section, scores.values, scores.not_applicable)
        if span is None:
            self._not_applicable += 1
            return
        self._n += 1
        self._low += span.low
        self._high += span.high
        if span.complete:
            self._scored += 1
            self._total += span.low

    def summary(self) -> SectionSummary:
        return SectionSummary(
            section=self._section.id,
            description=self._section.description,
            weight=self._section.weight,
            depth=self._depth,
            criteria=tuple(criterion.id for criterion in self._section.criteria),
            n=self._n,
            scored=self._scored,
            not_applicable=self._not_applicable,
            mean=self._total / self._scored if self._scored else None,
            low=self._low / self._n if self._n else None,
            high=self._high / self._n if self._n else None,
            minimum=self._lowest,
        )
