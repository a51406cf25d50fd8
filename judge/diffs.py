"""Two runs beside each other, item by item."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from judge.grades import OVERALL
from judge.pages import PAGE
from judge.summary import clipped

if TYPE_CHECKING:
    from judge.store.changes import Change, Overlap
    from judge.store.results import RunInfo
    from judge.store.store import Store

#: Scores that differ by less than this are the same: sums of weights leave such crumbs.
SAME = 1e-9


@dataclass(slots=True)
class CriterionDiff:
    """One criterion, or the overall, over the items that both runs graded.

    `mean_before` and `mean_after` are over the `both` items that have a score in each, so that they compare.
    `gained` have a score only in the second run, `lost` only in the first.
    """

    criterion: str
    both: int = 0
    up: int = 0
    down: int = 0
    gained: int = 0
    lost: int = 0
    sum_before: float = 0.0
    sum_after: float = 0.0

    @property
    def mean_before(self) -> float | None:
        """In the first run; None where no item has a score in both."""
        return self._mean(self.sum_before)

    @property
    def mean_after(self) -> float | None:
        """In the second run; None where no item has a score in both."""
        return self._mean(self.sum_after)

    def _mean(self, total: float) -> float | None:
        if not self.both:
            return None
        mean = total / self.both
        return clipped(mean) if self.criterion == OVERALL else mean

    def add(self, change: Change) -> None:
        """Counts one item."""
        if change.before_score is not None and change.after_score is not None:
            self.both += 1
            self.sum_before += change.before_score
            self.sum_after += change.after_score
            self.up += change.after_score > change.before_score + SAME
            self.down += change.after_score < change.before_score - SAME
        else:
            self.gained += change.before_score is None and change.after_score is not None
            self.lost += change.before_score is not None and change.after_score is None


@dataclass(frozen=True, slots=True)
class Diff:
    """What differs. `moved` has the items whose overall differs most, each with all that differs of it."""

    before: RunInfo
    after: RunInfo
    overlap: Overlap
    criteria: tuple[CriterionDiff, ...]
    moved: tuple[tuple[Change, ...], ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "before": self.before.id,
            "after": self.after.id,
            "shared": self.overlap.shared,
            "other_texts": self.overlap.other_texts,
            "only_before": self.overlap.only_before,
            "only_after": self.overlap.only_after,
            "criteria": [_figures(one) for one in self.criteria],
            "moved": [[_plain(change) for change in item] for item in self.moved],
        }


@dataclass(order=True, slots=True)
class _Moved:
    size: float
    place: int
    changes: tuple[Change, ...] = field(compare=False)


def diff(store: Store, before: RunInfo, after: RunInfo, most: int = 10) -> Diff:
    """Compares two runs by the ids of their items, and tells `most` items in full. Memory does not grow with them."""
    rubric = store.ask(store.verdicts.stored_rubric, before.rubric.hash)
    found = {id_: CriterionDiff(id_) for id_ in (*rubric.ids, OVERALL)}
    moved: list[_Moved] = []
    for place, changes in enumerate(_items(store, before, after)):
        for change in changes:
            found[change.criterion].add(change)
        differing = tuple(change for change in changes if _differs(change))
        if differing:
            heapq.heappush(moved, _Moved(_size(differing), -place, differing))
            if len(moved) > most:
                heapq.heappop(moved)
    return Diff(
        before=before,
        after=after,
        overlap=store.ask(store.changes.overlap, before.id, after.id),
        criteria=tuple(found.values()),
        moved=tuple(one.changes for one in sorted(moved, reverse=True)),
    )


def _items(store: Store, before: RunInfo, after: RunInfo) -> Iterator[tuple[Change, ...]]:
    for past in range(-1, before.items, PAGE):
        page = store.ask(store.changes.page, before.id, after.id, past, PAGE)
        for _, among in groupby(page, key=attrgetter("item")):
            yield tuple(among)


def _differs(change: Change) -> bool:
    by = change.by
    return change.before != change.after or (by is not None and abs(by) > SAME)


def _size(changes: tuple[Change, ...]) -> float:
    """By how much the overall moved; a score that came or went counts as the whole scale."""
    overall = next((change for change in changes if change.criterion == OVERALL), None)
    if overall is None:
        return 0.0
    return abs(overall.by) if overall.by is not None else 1.0


def _figures(one: CriterionDiff) -> dict[str, Any]:
    names = ("criterion", "both", "mean_before", "mean_after", "up", "down", "gained", "lost")
    return {name: getattr(one, name) for name in names}


def _plain(change: Change) -> dict[str, Any]:
    return {
        "item": change.item,
        "criterion": change.criterion,
        "before": {"outcome": change.before, "score": change.before_score},
        "after": {"outcome": change.after, "score": change.after_score},
    }
