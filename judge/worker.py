"""Runs that were submitted, graded by a process that goes on until it is told to stop.

What is wanted stands in the store: whoever starts takes up what another one left, and asks no question twice. What
brings a worker its work is another matter: see `polling` and `queue`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

from judge.chunks import Part
from judge.datasets import Given
from judge.errors import JudgeError, Overloaded, RunBusy, SetupError, StoreError, Waiting
from judge.judges import Judge
from judge.runs import Options, Run, checked, submit
from judge.session import Session
from judge.sessions import Sessions
from judge.shelf import Shelf
from judge.store.submissions import Submission, Work
from judge.store.wishes import Wish
from rubrics import Rubric

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from judge.store.store import Store

R = TypeVar("R")
Also = Callable[["Connection", str, str], None]

#: Runs that may be wanted at once, being graded or waiting; and beside them, those that the provider has batches of.
MOST_WANTED, MOST_HANDED_OVER = 100, 1_000
#: What the first of these, the second, and the next one are called where callers are told of them.
WAITING, IN_BATCHES, SUBMITTING = "waiting-runs", "runs-in-batches", "runs-being-submitted"
#: Submissions that may wait for their turn, each with its items in memory.
MOST_SUBMITTING = 64
#: A run that another process has, or that the store could not be read for, is tried again after this long.
LATER_S = 1.0
#: A batch of a cancelled run that could not be taken back is tried again after this long.
TAKE_BACK_S = 60.0
#: How long a submission waits for another process that makes the same run.
MAKING_S, MAKING_STEP_S = 10.0, 0.02
#: What was asked of a run longer ago is asked again before it is begun: it may have been cancelled meanwhile.
FRESH_S = 0.1
#: Submissions that take long to load, of all tenants, and are loaded at once.
MOST_LOADING = 4

_LONG = ThreadPoolExecutor(MOST_LOADING, thread_name_prefix="judge-load")

log = logging.getLogger(__name__)


class Worker:
    """Takes in what one tenant submits, and grades it.

    Parameters
    ----------
    shelf
        What the tenant may name.
    wake
        Called when something more is wanted of a run, with the tenant and the run.
    """

    def __init__(
        self,
        store: Store,
        sessions: Sessions,
        shelf: Shelf,
        wake: Callable[[str, str], None],
    ) -> None:
        self.store, self.sessions, self.shelf = store, sessions, shelf
        self._wake = wake
        self._active: dict[str, list[Run]] = {}
        #: Runs whose batches this process has all handed over and does not yet have back, and their turns.
        self._swept: dict[str, int] = {}
        self._closing = False
        self._making, self._submitting = asyncio.Lock(), 0

    async def submit(
        self,
        dataset: Given,
        judge: Judge,
        rubric: Rubric,
        options: Options,
        by: str | None = None,
        also: Also | None = None,
    ) -> str:
        """The id of the run of these items, which is on disk and wanted when this returns.

        Equal items, rubric and judge are one run, however often they are submitted.

        Parameters
        ----------
        by
            The calibration that its grades are shown by.
        also
            Done with tenant and run, in the transaction with which it is wanted.

        Raises
        ------
        InputError, SetupError, Paused, StoreError
            Before anything is kept.
        Overloaded
            While as many runs wait as may, and this were one more.
        """
        if self._submitting >= MOST_SUBMITTING:
            told = "too many runs are being submitted; submit this one in a moment"
            raise Overloaded(told, SUBMITTING, MOST_SUBMITTING)
        self._submitting += 1
        try:
            session = await self.sessions.get(judge, options.samples)
            run_id = await self._made(dataset, rubric, session, options, by, also)
        finally:
            self._submitting -= 1
        self._wake(self.store.tenant, run_id)
        return run_id

    async def _made(
        self, dataset: Given, rubric: Rubric, session: Session, options: Options, by: str | None, also: Also | None
    ) -> str:
        def made() -> str:
            calibration = None if by is None else checked(self.store, by, rubric, session)
            new = False

            def wanted(connection: Connection, tenant: str, run_id: str) -> None:
                if not new:
                    self._admit(connection, tenant, options, run_id)
                if calibration is not None:
                    self.store.calibrations.show_by(connection, tenant, run_id, calibration)
                add = self.store.submissions.add_new if new else self.store.submissions.add
                add(connection, tenant, run_id, session.judge.name, asdict(options))
                if also is not None:
                    also(connection, tenant, run_id)

            def admit(connection: Connection, tenant: str) -> None:
                nonlocal new
                self._admit(connection, tenant, options)
                new = True

            return submit(self.store, dataset, dataset.scan(), rubric, session, options, wanted, admit)

        loop, begun = asyncio.get_running_loop(), time.monotonic()
        while True:
            try:
                # Equal submissions of this process must not meet half-way; one that takes long holds nobody else up.
                async with nullcontext() if dataset.takes_long else self._making:
                    # One that takes long must not keep the threads that the store is asked from.
                    return await loop.run_in_executor(_LONG if dataset.takes_long else None, made)
            except RunBusy:
                if time.monotonic() - begun > MAKING_S:
                    raise
                await asyncio.sleep(MAKING_STEP_S)

    def _admit(self, connection: Connection, tenant: str, options: Options, run_id: str | None = None) -> None:
        """Raises Overloaded where there is no room for another run with these options, or for one that is there."""
        submissions = self.store.submissions
        again = options.resend_lost or options.retry_failed
        if run_id is not None and not submissions.adds(connection, tenant, run_id, again):
            return
        if submissions.count(connection, tenant, handed_over=False) >= MOST_WANTED:
            told = f"{MOST_WANTED} runs wait to be graded; come again with this one when some are done"
            raise Overloaded(told, WAITING, MOST_WANTED)
        if options.mode == "batch" and submissions.count(connection, tenant, handed_over=True) >= MOST_HANDED_OVER:
            told = f"{MOST_HANDED_OVER:,} runs wait for batches; come again with this one when some are done"
            raise Overloaded(told, IN_BATCHES, MOST_HANDED_OVER)

    async def resume(self, run_id: str, judge: str, options: Options, also: Also | None = None) -> None:
        """Wants a run graded that is there, with these options; `also` as `submit` has it.

        Raises Overloaded while as many runs wait as may, and this were one more: it stays as it was.
        """

        def wanted(connection: Connection, tenant: str) -> None:
            self._admit(connection, tenant, options, run_id)
            self.store.submissions.add(connection, tenant, run_id, judge, asdict(options))
            if also is not None:
                also(connection, tenant, run_id)

        await self._changed(wanted)
        self._wake(self.store.tenant, run_id)

    async def cancel(self, run_id: str) -> bool:
        """Sends no more calls for a run; what is under way is still awaited and kept. False where it is not wanted."""
        settled: bool = await self._changed(self.store.submissions.settle, run_id, Wish.CANCELLED)
        _stop(self._active.get(run_id, ()), "it was cancelled")
        self._wake(self.store.tenant, run_id)  # the provider may have a batch of it
        return settled

    async def grade(self, run_id: str, chunk: int | None = None, shared: bool = False) -> float | None:
        """Grades what is open of a run, or of a chunk of it, where that is wanted; `shared` as of `Part`.

        Of one that was cancelled, also meanwhile, what the provider has in batches is taken back. Returns None, or
        after how many seconds it is to be tried again: at once where this process stops.
        """
        submission: Submission | None = None
        try:
            work = await self._work(run_id)
            if work is None:
                return None
            submission, again = work.submission, None
            if submission.wish is Wish.WANTED:
                # What was lost before it was submitted may be sent again; what is lost since is not, unasked.
                again = await self._graded(work, Part(chunk, submission.at, shared, work.batched))
                if chunk is None and again is None and (work := await self._work(run_id)) is not None:
                    submission = work.submission
            if work is not None and submission.wish is Wish.CANCELLED and chunk is None and again is None:
                again = await self._taken_back(work, Part(shared=shared))
            return again
        except Waiting as waiting:  # for a batch; meanwhile others have its place
            return waiting.seconds
        except (RunBusy, StoreError) as trouble:  # another process has it, or nobody can write: it stays wanted
            log.warning("run is tried again", extra={"run": run_id, "why": str(trouble)})
            return LATER_S
        except JudgeError as trouble:
            why = str(trouble)
        except Exception:
            log.exception("run failed", extra={"run": run_id})
            why = "the service failed; its log has the particulars"
        if submission is None:  # it could not even be looked up
            return LATER_S
        return await self._paused(submission, why)

    async def _work(self, run_id: str) -> Work | None:
        found: Work | None = await self._asked(self.store.submissions.work, run_id)
        return found

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

    async def _graded(self, work: Work, part: Part) -> float | None:
        store, run_id, row = self.store, work.submission.run, work.row
        if part.chunk is not None and (work.submission.options.get("mode") == "batch" or work.handed_over):
            return None  # it is the matter of another job, which makes its batches or takes them back
        rubric, known_at = work.rubric, time.monotonic()
        session = await self._session(work)
        if self._closing:
            return 0.0
        begun: Submission | None = work.submission
        if not (part.shared and work.is_begun(part.owner)) or time.monotonic() - known_at > FRESH_S:
            begun = await self._changed(store.submissions.begin, run_id, part.owner)
        if begun is None:
            return None
        told = {"run": run_id, "judge": session.judge.name, "items": row["items"]}
        if part.chunk is not None and not begun.begun:
            log.info("run begun", extra=told)
        try:
            if begun.options.get("budget_usd") is not None:  # what was spent is known since it was begun
                row = await self._asked(store.runs.row, run_id) or row
            await self._execute(session, rubric, row, begun, part)
        finally:
            # Of a run that goes on there is nothing to say: other chunks are open.
            if part.chunk is None or not await self._asked(store.runs.is_open, run_id):
                ended = await self._changed(store.submissions.end, run_id, part.owner, begun.turn)
                if ended and part.chunk is not None:
                    log.info("run ended", extra=told)
        return 0.0 if self._closing else None

    async def _session(self, work: Work) -> Session:
        """A run's judge, made ready. Raises SetupError."""
        submission = work.submission
        judge = await asyncio.to_thread(self.shelf.judge, submission.judge)
        if judge is None:
            raise SetupError(f"there is no judge {submission.judge!r} any more; put it back, then resume the run")
        session = await self.sessions.get(judge, int(submission.options["samples"]))
        if work.row["judge_fingerprint"] != session.fingerprint:
            raise SetupError(
                f"the judge {judge.name} is not asked as it was when the run was submitted; submit it anew, or put the "
                "judge back and resume this run"
            )
        return session

    async def _execute(
        self, session: Session, rubric: Rubric, row: dict[str, Any], begun: Submission, part: Part
    ) -> None:
        """Grades what is open of a run that was begun."""
        options = Options(**{**begun.options, "retry_failed": False})
        run = Run(self.store, session, rubric, row, options, part)
        self._active.setdefault(run.id, []).append(run)
        if self._closing:
            run.stop("the service stops")
        swept = self._swept.pop(run.id, None) == begun.turn
        try:
            await run.execute(patient=False, swept=swept)
        except Waiting:
            if run.swept:
                self._swept[run.id] = begun.turn
            raise
        finally:
            self._active[run.id].remove(run)
            if not self._active[run.id]:
                del self._active[run.id]

    async def _taken_back(self, cancelled: Work, part: Part) -> float | None:
        """Takes back what the provider has of a run that is not wanted any more, and keeps what it answered."""
        store, run_id = self.store, cancelled.submission.run
        if not cancelled.handed_over:
            return None
        session = await self._session(cancelled)
        if self._closing:
            return 0.0
        await self._changed(store.runs.take, run_id, part.owner)
        try:
            run = Run(store, session, cancelled.rubric, cancelled.row, Options(samples=session.samples), part)
            await run.take_back()
        finally:
            await self._changed(store.runs.release, run_id, part.owner, alone=True)
        return None

    async def _paused(self, submission: Submission, why: str) -> float | None:
        """Says what became of a submission, unless it was made anew since."""
        if submission.wish is Wish.CANCELLED:  # it stays so; what the provider has of it is asked for again
            log.warning("batch is not taken back", extra={"run": submission.run, "why": why})
            return TAKE_BACK_S
        log.warning("run paused", extra={"run": submission.run, "judge": submission.judge, "why": why})
        try:
            await self._changed(self.store.submissions.settle, submission.run, Wish.PAUSED, why, submission.turn)
        except StoreError as trouble:
            log.warning("run is tried again", extra={"run": submission.run, "why": str(trouble)})
            return LATER_S
        return None

    async def _asked(self, query: Callable[..., R], *of: Any) -> R:
        """An answer of the store, which is not waited for on the loop."""
        return await asyncio.to_thread(self.store.ask, query, *of)

    async def _changed(self, operation: Callable[..., R], *by: Any, **options: Any) -> R:
        return await asyncio.to_thread(self.store.change, operation, *by, **options)


def _stop(runs: Iterable[Run], why: str) -> None:
    for run in runs:
        run.stop(why)
