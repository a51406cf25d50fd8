"""Runs that were submitted, graded by a process that goes on until it is told to stop.

What is wanted stands in the store: whoever starts takes up what another one left, and asks no question twice.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

from judge.datasets import Given
from judge.errors import JudgeError, Overloaded, RunBusy, SetupError, StoreError, Waiting
from judge.items import Item
from judge.judges import Judge
from judge.owner import this_process
from judge.runs import Options, Run, checked, submit
from judge.session import Session
from judge.sessions import Sessions
from judge.store.submissions import Submission, Wish
from rubrics import Rubric

if TYPE_CHECKING:
    from judge.store.store import Store

#: Runs that are graded at once; their calls share the judge's own limits.
MOST_RUNS = 16
#: Runs that may be wanted at once, being graded or waiting.
MOST_WANTED = 100
#: Submissions that may wait for their turn, each with its items in memory.
MOST_SUBMITTING = 64
#: How often the store is asked for what others submitted, cancelled, or left behind.
POLL_S = 0.5
#: A run that another process has, or that the store could not be read for, is tried again after this long.
LATER_S = 1.0
#: A batch of a cancelled run that could not be taken back is tried again after this long.
TAKE_BACK_S = 60.0
#: How long a submission waits for another process that makes the same run.
MAKING_S, MAKING_STEP_S = 10.0, 0.02

log = logging.getLogger(__name__)


class Worker:
    """Grades what is submitted, several runs at a time. Made in a running loop; close it in the end.

    Parameters
    ----------
    judge_of
        The judge of a name; None where there is none any more.
    """

    def __init__(self, store: Store, sessions: Sessions, judge_of: Callable[[str], Judge | None]) -> None:
        self._store, self._sessions, self._judge_of = store, sessions, judge_of
        self._runs: dict[str, asyncio.Task[None]] = {}
        self._active: dict[str, Run] = {}
        self._later: dict[str, float] = {}
        self._woken, self._closing = asyncio.Event(), False
        self._making, self._submitting = asyncio.Lock(), 0
        self._work = asyncio.create_task(self._go())

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
            session = await self._sessions.get(judge, options.samples)
            run_id = await self._made(Given(name, items, judge.takes_images), rubric, session, options, by)
        finally:
            self._submitting -= 1
        self.wake()
        return run_id

    async def _made(self, dataset: Given, rubric: Rubric, session: Session, options: Options, by: str | None) -> str:
        def made() -> str:
            if self._store.ask(self._store.submissions.count) >= MOST_WANTED:
                raise Overloaded(f"{MOST_WANTED} runs wait to be graded; submit this one when some are done")
            calibration = None if by is None else checked(self._store, by, rubric, session)
            run_id = submit(self._store, dataset, dataset.scan(), rubric, session, options)
            if calibration is not None:
                self._store.change(self._store.calibrations.show_by, run_id, calibration)
            self._store.change(self._store.submissions.add, run_id, session.judge.name, asdict(options))
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
        add = self._store.submissions.add
        await asyncio.to_thread(self._store.change, add, run_id, judge, asdict(options))
        self.wake()

    def wake(self) -> None:
        """Looks at once for what is wanted."""
        self._woken.set()

    async def cancel(self, run_id: str) -> bool:
        """Sends no more calls for a run; what is under way is still awaited and kept. False where it is not wanted."""
        settle = self._store.submissions.settle
        settled: bool = await asyncio.to_thread(self._store.change, settle, run_id, Wish.CANCELLED)
        if run_id in self._active:
            self._active[run_id].stop("it was cancelled")
        self._later.pop(run_id, None)  # the provider may have a batch of it
        self.wake()
        return settled

    async def close(self) -> None:
        """Begins nothing more, and waits for the answers under way. What is open stays wanted."""
        self._closing = True
        self.wake()
        for run in self._active.values():
            run.stop("the service stops")
        await asyncio.gather(self._work, *self._runs.values(), return_exceptions=True)

    async def _go(self) -> None:
        while not self._closing:
            self._woken.clear()
            try:
                await self._look()
            except StoreError as error:
                log.error("%s", error)
            except Exception:
                log.exception("looking for runs")  # and looking again: nobody else would
            with suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), POLL_S)

    async def _look(self) -> None:
        """Begins what is wanted, and stops what is not any more."""
        store, now = self._store, time.monotonic()
        self._later = {run_id: until for run_id, until in self._later.items() if until > now}
        if self._active:
            known = await asyncio.to_thread(store.ask, store.submissions.of_runs, list(self._active))
            for one in known.values():
                if one.wish is not Wish.WANTED and one.run in self._active:
                    self._active[one.run].stop("it was cancelled")
        room = MOST_RUNS - len(self._runs)
        if room <= 0:
            return
        found = await asyncio.to_thread(store.ask, store.submissions.waiting, [*self._runs, *self._later], room)
        for one in () if self._closing else found:
            task = self._runs[one.run] = asyncio.create_task(self._one(one))
            task.add_done_callback(partial(self._ended, one.run))

    def _ended(self, run_id: str, _: asyncio.Task[None]) -> None:
        del self._runs[run_id]
        self.wake()

    async def _one(self, submission: Submission) -> None:
        try:
            await self._graded(submission)
        except (RunBusy, StoreError) as trouble:  # another process has it, or nobody can write: it stays wanted
            log.warning("run %s: %s", submission.run, trouble)
            self._later[submission.run] = time.monotonic() + LATER_S
        except Waiting as waiting:  # for a batch; meanwhile others have its place
            self._later[submission.run] = time.monotonic() + waiting.seconds
        except JudgeError as trouble:
            await self._settle(submission, Wish.PAUSED, str(trouble))
        except Exception:
            log.exception("run %s", submission.run)
            await self._settle(submission, Wish.PAUSED, "the service failed; its log has the particulars")

    async def _graded(self, submission: Submission) -> None:
        store, run_id = self._store, submission.run
        judge = self._judge_of(submission.judge)
        if judge is None:
            raise SetupError(f"there is no judge {submission.judge!r} any more; put it back, then resume the run")
        session = await self._sessions.get(judge, int(submission.options["samples"]))
        info = await asyncio.to_thread(store.ask, store.results.run_info, run_id)
        if info is None:  # it was deleted
            await self._settle(submission, Wish.CANCELLED)
            return
        if info.judge.fingerprint != session.fingerprint:
            raise SetupError(
                f"the judge {judge.name} is not asked as it was when the run was submitted; submit it anew, or put the "
                "judge back and resume this run"
            )
        rubric = await asyncio.to_thread(store.ask, store.verdicts.stored_rubric, info.rubric.hash)
        await asyncio.to_thread(store.change, store.runs.take, run_id, this_process())
        try:
            begun = await asyncio.to_thread(store.change, store.submissions.begin, run_id)
            if begun is not None and not self._closing:
                await self._execute(session, rubric, begun)
            elif not self._closing:
                await self._take_back(session, rubric, submission)
        finally:
            state = await asyncio.to_thread(store.change, store.runs.release, run_id)
        if begun is not None and state == "done":
            await self._settle(begun, Wish.DONE)

    async def _execute(self, session: Session, rubric: Rubric, begun: Submission) -> None:
        """Grades what is open of a run that is this process's."""
        # What was opened again for its lost answers is asked once; what is lost since is not asked again unasked.
        again = bool(begun.options["resend_lost"]) and not begun.begun
        options = Options(**{**begun.options, "resend_lost": again, "retry_failed": False})
        row = await asyncio.to_thread(self._store.ask, self._store.runs.row, begun.run)
        run = Run(self._store, session, rubric, row, options)
        self._active[run.id] = run
        if self._closing:
            run.stop("the service stops")
        try:
            await run.execute(patient=False)
        finally:
            del self._active[run.id]

    async def _take_back(self, session: Session, rubric: Rubric, cancelled: Submission) -> None:
        """Takes back what the provider has of a run that is not wanted any more, and keeps what it answered."""
        row = await asyncio.to_thread(self._store.ask, self._store.runs.row, cancelled.run)
        run = Run(self._store, session, rubric, row, Options(samples=session.samples))
        await run.take_back()

    async def _settle(self, submission: Submission, wish: Wish, why: str | None = None) -> None:
        """Says what became of a submission, unless it was made anew since."""
        if submission.wish is Wish.CANCELLED:  # it stays so; what the provider has of it is asked for again
            self._later[submission.run] = time.monotonic() + TAKE_BACK_S
            return
        with suppress(StoreError):  # it stays wanted, and is tried again
            settle = self._store.submissions.settle
            await asyncio.to_thread(self._store.change, settle, submission.run, wish, why, submission.turn)
