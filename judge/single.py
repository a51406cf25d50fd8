"""Grading from Python without a run: one item, or many.

What asks a judge is loaded by name with the store, when it is first needed: importing this package must cost little
more than pydantic.
"""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import TYPE_CHECKING

from judge.errors import InputError
from judge.store import open_store
from rubrics import Rubric

if TYPE_CHECKING:
    from judge.grades import Grade
    from judge.items import Item
    from judge.judges import Judge
    from judge.store.store import Store


async def grade(
    item: Item,
    rubric: Rubric | None,
    judge: Judge,
    *,
    samples: int = 1,
    resend_lost: bool = False,
    store: Store | None = None,
) -> Grade:
    """The grade of one item, by its own rubric where it brings one.

    Answers are kept in `store`, by default the one in the settings: an equal question is never paid twice. One whose
    answer was lost is asked again only with `resend_lost`, since it may have been paid.

    Raises
    ------
    SetupError, Paused
        When the judge cannot be asked. What a single answer suffers is an outcome in the grade.
    InputError
        When there is no rubric, here or in the item.

    Examples
    --------
    >>> import asyncio
    >>> from judge import Item, Judge, Rubric, grade
    >>> result = asyncio.run(grade(Item(id="1", output="Hi"), Rubric.load("helpfulness"), Judge.load("simulated")))
    >>> result.judge.kind, result.trust
    ('simulated', 'uncalibrated')
    """
    async for result in grade_many([item], rubric, judge, samples=samples, resend_lost=resend_lost, store=store):
        return result
    raise AssertionError("one item brings one grade")


async def grade_many(
    items: Iterable[Item],
    rubric: Rubric | None,
    judge: Judge,
    *,
    samples: int = 1,
    concurrency: int | None = None,
    resend_lost: bool = False,
    store: Store | None = None,
) -> AsyncIterator[Grade]:
    """Grades of many items, each as soon as it is there; `metadata` and `item` say which is which.

    The rubric is for items without one of their own; None where each brings one, and InputError where one does not.
    No more than `concurrency` items are taken from the iterable ahead of the grades that came back. For files, for
    resuming and for totals use a run: see `judge.runs.Run`.
    """
    own = store or open_store()
    engine = importlib.import_module("judge.session")
    try:
        session = await engine.Session.open(own, judge, samples, concurrency)
        try:
            chosen, given = (Rubric.of_each_item(), _with_their_own(items)) if rubric is None else (rubric, iter(items))
            grader = session.grader(chosen, session.caller(engine.Ledger(own, resend_lost=resend_lost)))
            async for graded in engine.side_by_side(grader, given, concurrency or judge.concurrency):
                yield graded.grade
        finally:
            await session.close()
    finally:
        if store is None:
            own.close()


def _with_their_own(items: Iterable[Item]) -> Iterator[Item]:
    for item in items:
        if item.own_rubric is None:
            raise InputError(f"item {item.id} has no rubric of its own; give one for such items")
        yield item
