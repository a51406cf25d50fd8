"""A run's grades, a page in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from judge.grades import Grade

if TYPE_CHECKING:
    from judge.store.results import RunHead
    from judge.store.store import Store

PAGE = 500


def pages(store: Store, info: RunHead) -> Iterator[list[Grade]]:
    """All graded items of a run in the order of the input, at most PAGE at once."""
    after = -1
    while page := store.ask(store.results.grades, info, after, PAGE):
        yield [grade for _, grade in page]
        after = page[-1][0]
