"""Runs that were submitted, graded by a process that goes on until it is told to stop.

What is wanted stands in the store: whoever starts takes up what another one left, and asks no question twice.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING

from judge.datasets import Given
from judge.errors import InputError, JudgeError, Overloaded, Paused, RunBusy, SetupError, StoreError
from judge.items import Item
from judge.judges import Judge
from judge.runs import Options, Run, checked, submit
from judge.sessions import Sessions
from judge.store.submissions import Submission, Wish
from rubrics import Rubric

if TYPE_CHECKING:
    from judge.store.store import Store

#: Runs that are graded at once; their calls share the judge's own limits.
MOST_RUNS = 16
#: Runs that may be wanted at once, being graded or waiting.
MOST_WANTED = 100
#: How often the store is asked for what others submitted, cancelled, or left behind.
POLL_S = 0.5
#: A run that another process has, or that the store could not be read for, is tried again after this long.
LATER_S = 1.0
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
        self._loop = asyncio.get_running_loop()
        self._woken, self._closing = asyncio.Event(), False
        self._making = asyncio.Lock()
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
        if self._store.ask(self._store.submissions.count) >= MOST_WANTED:
            raise Overloaded(f"{MOST_WANTED} runs wait to be graded; submit this one when some are done")
        session = await self._sessions.get(judge, options.samples)
        calibration = None if by is None else checked(self._store, by, rubric, session)
        dataset = Given(name, items, judge.takes_images)

        def made() -> str:
            run_id = submit(self._store, dataset, dataset.scan(), rubric, session, options)
            if calibration is not None:
                self._store.change(self._store.calibrations.show_by, run_id, calibration)
            self._store.change(self._store.submissions.add, run_id, judge.name, asdict(options))
            return run_id

        begun = time.monotonic()
        while True:
            try:
                async with self._making:  # equal submissions of this process must not meet half-way
                    run_id = await asyncio.to_thread(made)
                break
            except RunBusy:
                if time.monotonic() - begun > MAKING_S:
                    raise
                await asyncio.sleep(MAKING_STEP_S)
        self.wake()
        return run_id

    def resume(self, run_id: str, judge: str, options: Options) -> None:
        """Wants a run graded that is there. One that is wanted already goes on as it was asked for."""
        self._store.change(self._store.submissions.add, run_id, judge, asdict(options))
        self._loop.call_soon_threadsafe(self.wake)

    def wake(self) -> None:
        """Looks at once for what is wanted."""
        self._woken.set()

    def cancel(self, run_id: str) -> bool:
        """Sends no more calls for a run; what is under way is still awaited and kept. False where it is not wanted."""
        settled: bool = self._store.change(self._store.submissions.settle, run_id, Wish.CANCELLED)
        if run_id in self._active:
            self._active[run_id].stop("it was cancelled")
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
                self._look()
            except StoreError as error:
                log.error("%s", error)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), POLL_S)

    def _look(self) -> None:
        """Begins what is wanted, and stops what is not any more."""
        store, now = self._store, time.monotonic()
        self._later = {run_id: until for run_id, until in self._later.items() if until > now}
        for one in store.ask(store.submissions.of_runs, list(self._active)).values():
            if one.wish is not Wish.WANTED:
                self._active[one.run].stop("it was cancelled")
        room = MOST_RUNS - len(self._runs)
        if room <= 0:
            return
        for one in store.ask(store.submissions.waiting, [*self._runs, *self._later], room):
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
        except (SetupError, InputError, Paused) as trouble:
            self._pause(submission.run, str(trouble))
        except JudgeError as error:
            log.error("run %s: %s", submission.run, error)
            self._pause(submission.run, str(error))
        except Exception:
            log.exception("run %s", submission.run)
            self._pause(submission.run, "the service failed; its log has the particulars")

    async def _graded(self, submission: Submission) -> None:
        store, options = self._store, Options(**submission.options)
        if submission.begun:  # what was lost since is not asked again unasked
            options = replace(options, resend_lost=False, retry_failed=False)
        judge = self._judge_of(submission.judge)
        if judge is None:
            raise SetupError(f"there is no judge {submission.judge!r} any more; put it back, then resume the run")
        session = await self._sessions.get(judge, options.samples)
        (info,) = store.ask(store.results.runs, submission.run)
        if info.judge.fingerprint != session.fingerprint:
            raise SetupError(
                f"the judge {judge.name} is not asked as it was when the run was submitted; submit it anew, or put the "
                "judge back and resume this run"
            )
        rubric = store.ask(store.verdicts.stored_rubric, info.rubric.hash)
        run = Run.take(store, session, rubric, submission.run, options)
        self._active[run.id] = run
        try:
            store.change(store.submissions.begin, run.id)
            if self._closing:
                run.stop("the service stops")
            await run.execute()
        finally:
            del self._active[run.id]
            state = await run.close()
        if state == "done":
            store.change(store.submissions.settle, run.id, Wish.DONE)

    def _pause(self, run_id: str, why: str) -> None:
        with suppress(StoreError):  # it stays wanted, and is tried again
            self._store.change(self._store.submissions.settle, run_id, Wish.PAUSED, why)
