"""Two runs beside each other, item by item."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from judge.grades import OVERALL
from judge.notation import scale
from judge.pages import PAGE
from judge.summary import SAME, before_clipping, clipped
from rubrics import Criterion
from rubrics.criterion import Levelled

if TYPE_CHECKING:
    from judge.store.changes import Change, Overlap
    from judge.store.results import RunHead
    from judge.store.store import Store


@dataclass(slots=True)
class CriterionDiff:
    """One criterion, or the overall, over the items that both runs graded.

    `mean_before` and `mean_after` are over the `both` items that have a score in each, so that they compare.
    `gained` have a score only in the second run, `lost` only in the first. Where the scales are `unlike`, which says
    how, each mean is on its own one and nothing went up or down.
    """

    criterion: str
    unlike: str | None = None
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

    @property
    def unclipped_before(self) -> float | None:
        """The mean of overalls in the first run where it is cut off at 0; None where it is not."""
        return before_clipping(self._itself(self.sum_before)) if self.criterion == OVERALL else None

    @property
    def unclipped_after(self) -> float | None:
        """The same in the second run."""
        return before_clipping(self._itself(self.sum_after)) if self.criterion == OVERALL else None

    @property
    def change(self) -> float | None:
        """Of the means, before any is cut off; None where no item has a score in both, or the scales are unlike."""
        return None if self.unlike else self._itself(self.sum_after - self.sum_before)

    def _mean(self, total: float) -> float | None:
        mean = self._itself(total)
        return clipped(mean) if self.criterion == OVERALL else mean

    def _itself(self, total: float) -> float | None:
        return total / self.both if self.both else None

    def add(self, change: Change) -> None:
        """Counts one item."""
        if change.before_score is not None and change.after_score is not None:
            self.both += 1
            self.sum_before += change.before_score
            self.sum_after += change.after_score
            self.up += not self.unlike and change.after_score > change.before_score + SAME
            self.down += not self.unlike and change.after_score < change.before_score - SAME
        else:
            self.gained += change.before_score is None and change.after_score is not None
            self.lost += change.before_score is not None and change.after_score is None

    def differs(self, change: Change) -> bool:
        """Whether one item differs: in outcome, or in a score where scores compare."""
        by = None if self.unlike else change.by
        return change.before != change.after or (by is not None and abs(by) > SAME)


@dataclass(frozen=True, slots=True)
class Diff:
    """What differs. `moved` has the items whose overall differs most, each with all that differs of it.

    `criteria` has those of both rubrics, then the overall; `criteria_only_before` and `criteria_only_after` the ids of
    the others.
    """

    before: RunHead
    after: RunHead
    overlap: Overlap
    criteria: tuple[CriterionDiff, ...]
    criteria_only_before: tuple[str, ...]
    criteria_only_after: tuple[str, ...]
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
            "criteria_only_before": list(self.criteria_only_before),
            "criteria_only_after": list(self.criteria_only_after),
            "moved": [[_plain(change) for change in item] for item in self.moved],
        }


@dataclass(order=True, slots=True)
class _Moved:
    size: float
    place: int
    changes: tuple[Change, ...] = field(compare=False)


def diff(store: Store, before: RunHead, after: RunHead, most: int = 10) -> Diff:
    """Compares two runs by the ids of their items, and tells `most` items in full. Memory does not grow with them."""
    one, other = (store.ask(store.verdicts.stored_rubric, run.rubric.hash) for run in (before, after))
    among = set(other.ids)
    shared = [id_ for id_ in one.ids if id_ in among]
    found = {id_: CriterionDiff(id_, _unlike(one.criterion(id_), other.criterion(id_))) for id_ in shared}
    found[OVERALL] = CriterionDiff(OVERALL)
    moved: list[_Moved] = []
    for place, changes in enumerate(_items(store, before, after)):
        for change in changes:
            found[change.criterion].add(change)
        differing = tuple(change for change in changes if found[change.criterion].differs(change))
        if differing:
            heapq.heappush(moved, _Moved(_size(differing), -place, differing))
            if len(moved) > most:
                heapq.heappop(moved)
    return Diff(
        before=before,
        after=after,
        overlap=store.ask(store.changes.overlap, before.id, after.id),
        criteria=tuple(found.values()),
        criteria_only_before=tuple(id_ for id_ in one.ids if id_ not in found),
        criteria_only_after=tuple(id_ for id_ in other.ids if id_ not in found),
        moved=tuple(one.changes for one in sorted(moved, reverse=True)),
    )


def _items(store: Store, before: RunHead, after: RunHead) -> Iterator[tuple[Change, ...]]:
    for past in range(-1, before.items, PAGE):
        page = store.ask(store.changes.page, before.id, after.id, past, PAGE)
        for _, among in groupby(page, key=attrgetter("item")):
            yield tuple(among)


def _unlike(before: Criterion, after: Criterion) -> str | None:
    """How the scales of two criteria differ, so that a score on one says nothing on the other; None where alike."""
    one, other = _scale(before), _scale(after)
    if one == other:
        return None
    told = [f"{kind} {scale(*ends)}" for kind, ends, _ in (one, other)]
    return f"{told[0]} before, {told[1]} after" if told[0] != told[1] else f"{told[0]}, of other levels"


def _scale(criterion: Criterion) -> tuple[str, tuple[float | None, float | None], dict[int | str, float | None]]:
    """The kind, the ends, and the value of every level where it is one of levels."""
    ends = (criterion.lowest, criterion.highest) if criterion.valued else (None, None)
    levels = criterion.levels if isinstance(criterion, Levelled) else ()
    return criterion.scale, ends, {level.level: level.value for level in levels}


def _size(changes: tuple[Change, ...]) -> float:
    """By how much the overall moved; a score that came or went counts as the whole scale."""
    overall = next((change for change in changes if change.criterion == OVERALL), None)
    if overall is None:
        return 0.0
    return abs(overall.by) if overall.by is not None else 1.0


def _figures(one: CriterionDiff) -> dict[str, Any]:
    names = ("criterion", "both", "mean_before", "mean_after", "change", "up", "down", "gained", "lost")
    more = ("unlike", "unclipped_before", "unclipped_after")
    return {name: None if one.unlike and name in ("up", "down") else getattr(one, name) for name in (*names, *more)}


def _plain(change: Change) -> dict[str, Any]:
    return {
        "item": change.item,
        "criterion": change.criterion,
        "before": {"outcome": change.before, "score": change.before_score},
        "after": {"outcome": change.after, "score": change.after_score},
    }
