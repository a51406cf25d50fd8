"""The items of one request, graded side by side within its deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from judge import Grade, Item, Rubric
from judge.attempts import Deadline
from judge.calling import Caller
from judge.session import Session


class Batch:
    """Grades by one rubric with one judge. The deadline runs from here on."""

    def __init__(self, session: Session, rubric: Rubric, caller: Caller | None, deadline_s: float) -> None:
        self._grader = session.grader(rubric, caller)
        self._turns = asyncio.Semaphore(session.judge.concurrency)
        self._deadline = Deadline(deadline_s)
        self._deadline.start()
        self.judge_ref = self._grader.judge_ref

    async def grade(self, items: Sequence[Item]) -> tuple[Grade, ...]:
        """The grades, in the order of the items. Raises Paused or StoreError.

        Where one cannot be graded the others are still waited for: an answer in flight is paid, and must be kept.
        """
        ends = await asyncio.gather(*map(self._one, items), return_exceptions=True)
        grades: list[Grade] = []
        for end in ends:
            if isinstance(end, BaseException):
                raise end
            grades.append(end)
        return tuple(grades)

    async def _one(self, item: Item) -> Grade:
        async with self._turns:
            await asyncio.sleep(0)  # a simulated judge never waits, and must not hold up other requests
            graded = await self._grader.grade(item, self._deadline)
            await asyncio.gather(*graded.receipt.writes)
            return graded.grade
