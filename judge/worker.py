"""Runs that were submitted, graded by a process that goes on until it is told to stop.

What is wanted stands in the store: whoever starts takes up what another one left, and asks no question twice. What
brings a worker its work is another matter: see `polling` and `queue`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

from judge.datasets import Given
from judge.errors import JudgeError, Overloaded, RunBusy, SetupError, StoreError
from judge.items import Item
from judge.judges import Judge
from judge.owner import WORKERS
from judge.runs import Options, Part, Run, checked, submit
from judge.session import Session
from judge.sessions import Sessions
from judge.store.jobs import CHUNK_ITEMS
from judge.store.submissions import Submission, Wish
from rubrics import Rubric

if TYPE_CHECKING:
    from judge.store.store import Store

R = TypeVar("R")

#: Runs that may be wanted at once, being graded or waiting.
MOST_WANTED = 100
#: Submissions that may wait for their turn, each with its items in memory.
MOST_SUBMITTING = 64
#: A run that another process has, or that the store could not be read for, is tried again after this long.
LATER_S = 1.0
#: How long a submission waits for another process that makes the same run.
MAKING_S, MAKING_STEP_S = 10.0, 0.02

log = logging.getLogger(__name__)


class Worker:
    """Takes in what one tenant submits, and grades it.

    Parameters
    ----------
    judge_of
        The judge of a name; None where there is none any more.
    wake
        Called when something more is wanted, with the tenant.
    """

    def __init__(
        self,
        store: Store,
        sessions: Sessions,
        judge_of: Callable[[str], Judge | None],
        wake: Callable[[str], None],
    ) -> None:
        self.store, self.sessions = store, sessions
        self._judge_of, self._wake = judge_of, wake
        self._active: dict[str, list[Run]] = {}
        self._closing = False
        self._making, self._submitting = asyncio.Lock(), 0

    async def submit(
        self, name: str, judge: Judge, rubric: Rubric, items: Sequence[Item], options: Options, by: str | None = None
    ) -> str:
        """The id of the run of these items, which is on disk and wanted when this returns.

        Equal items, rubric and judge are one run, however often they are submitted.

        Parameters
        ----------
        name
            Of the dataset, for people.
        by
            The calibration that its grades are shown by.

        Raises
        ------
        InputError, SetupError, StoreError
            Before anything is kept.
        Overloaded
            While as many runs wait as may.
        """
        if self._submitting >= MOST_SUBMITTING:
            raise Overloaded("too many runs are being submitted; submit this one in a moment")
        self._submitting += 1
        try:
            session = await self.sessions.get(judge, options.samples)
            run_id = await self._made(Given(name, items, judge.takes_images), rubric, session, options, by)
        finally:
            self._submitting -= 1
        self._wake(self.store.tenant)
        return run_id

    async def _made(self, dataset: Given, rubric: Rubric, session: Session, options: Options, by: str | None) -> str:
        def made() -> str:
            if self.store.ask(self.store.submissions.count) >= MOST_WANTED:
                raise Overloaded(f"{MOST_WANTED} runs wait to be graded; submit this one when some are done")
            calibration = None if by is None else checked(self.store, by, rubric, session)
            run_id = submit(self.store, dataset, dataset.scan(), rubric, session, options)
            if calibration is not None:
                self.store.change(self.store.calibrations.show_by, run_id, calibration)
            self.store.change(self.store.submissions.add, run_id, session.judge.name, asdict(options))
            return run_id

        begun = time.monotonic()
        while True:
            try:
                async with self._making:  # equal submissions of this process must not meet half-way
                    return await asyncio.to_thread(made)
            except RunBusy:
                if time.monotonic() - begun > MAKING_S:
                    raise
                await asyncio.sleep(MAKING_STEP_S)

    async def resume(self, run_id: str, judge: str, options: Options) -> None:
        """Wants a run graded that is there, with these options."""
        await self._changed(self.store.submissions.add, run_id, judge, asdict(options))
        self._wake(self.store.tenant)

    async def cancel(self, run_id: str) -> bool:
        """Sends no more calls for a run; what is under way is still awaited and kept. False where it is not wanted."""
        settled: bool = await self._changed(self.store.submissions.settle, run_id, Wish.CANCELLED)
        _stop(self._active.get(run_id, ()), "it was cancelled")
        return settled

    async def grade(self, run_id: str, chunk: int | None = None) -> float | None:
        """Grades what is open of a run, or of a chunk of it, where that is wanted.

        Returns None, or after how many seconds it is to be tried again: at once where this process stops.
        """
        submission: Submission | None = None
        try:
            submission = (await self._asked(self.store.submissions.of_runs, [run_id])).get(run_id)
            if submission is None or submission.wish is not Wish.WANTED:
                return None
            return await self._graded(submission, _part(submission, chunk))
        except (RunBusy, StoreError) as trouble:  # another process has it, or nobody can write: it stays wanted
            log.warning("run %s: %s", run_id, trouble)
            return LATER_S
        except JudgeError as trouble:
            why = str(trouble)
        except Exception:
            log.exception("run %s", run_id)
            why = "the service failed; its log has the particulars"
        if submission is None:  # it could not even be looked up
            return LATER_S
        return await self._paused(submission, why)

    async def look(self) -> None:
        """Stops what is being graded and not wanted any more."""
        if not self._active:
            return
        asked = list(self._active)
        known = await self._asked(self.store.submissions.of_runs, asked)
        for run_id in asked:
            if run_id not in known or known[run_id].wish is not Wish.WANTED:
                _stop(self._active.get(run_id, ()), "it was cancelled")

    def stop(self) -> None:
        """Begins nothing more. Answers under way are still awaited and kept; what is open stays wanted."""
        self._closing = True
        for runs in self._active.values():
            _stop(runs, "the service stops")

    async def _graded(self, submission: Submission, part: Part) -> float | None:
        store, run_id = self.store, submission.run
        judge = self._judge_of(submission.judge)
        if judge is None:
            raise SetupError(f"there is no judge {submission.judge!r} any more; put it back, then resume the run")
        session = await self.sessions.get(judge, int(submission.options["samples"]))
        row = await self._asked(store.runs.row, run_id)
        if row is None:  # it was deleted
            return None
        if row["judge_fingerprint"] != session.fingerprint:
            raise SetupError(
                f"the judge {judge.name} is not asked as it was when the run was submitted; submit it anew, or put the "
                "judge back and resume this run"
            )
        rubric = await self._asked(store.verdicts.stored_rubric, row["rubric_hash"])
        if self._closing:
            return 0.0
        begun = await self._changed(store.submissions.begin, run_id, part.owner)
        if begun is None:
            return None
        try:
            if begun.options.get("budget_usd") is not None:  # what was spent is known since it was begun
                row = await self._asked(store.runs.row, run_id)
            await self._execute(session, rubric, row, begun, part)
        finally:
            await self._changed(store.submissions.end, run_id, part.owner, begun.turn)
        return 0.0 if self._closing else None

    async def _execute(
        self, session: Session, rubric: Rubric, row: dict[str, Any], begun: Submission, part: Part
    ) -> None:
        """Grades what is open of a run that was begun."""
        options = Options(**{**begun.options, "retry_failed": False})
        run = Run(self.store, session, rubric, row, options, part)
        self._active.setdefault(run.id, []).append(run)
        if self._closing:
            run.stop("the service stops")
        try:
            await run.execute()
        finally:
            self._active[run.id].remove(run)
            if not self._active[run.id]:
                del self._active[run.id]

    async def _paused(self, submission: Submission, why: str) -> float | None:
        """Says what became of a submission, unless it was made anew since."""
        try:
            await self._changed(self.store.submissions.settle, submission.run, Wish.PAUSED, why, submission.turn)
        except StoreError as trouble:
            log.warning("run %s: %s", submission.run, trouble)
            return LATER_S
        return None

    async def _asked(self, query: Callable[..., R], *of: Any) -> R:
        """An answer of the store, which is not waited for on the loop."""
        return await asyncio.to_thread(self.store.ask, query, *of)

    async def _changed(self, operation: Callable[..., R], *by: Any) -> R:
        return await asyncio.to_thread(self.store.change, operation, *by)


def _part(submission: Submission, chunk: int | None) -> Part:
    """What was lost before the submission may be sent again; what is lost since is not, unasked."""
    if chunk is None:
        return Part(sent_before=submission.at)
    after = chunk * CHUNK_ITEMS - 1
    return Part(WORKERS, after, after + 1 + CHUNK_ITEMS, submission.at)


def _stop(runs: Iterable[Run], why: str) -> None:
    for run in runs:
        run.stop(why)
