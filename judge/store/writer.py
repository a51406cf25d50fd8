"""The one thread that writes. It commits whatever waits.

A commit takes all writes that arrived while the one before it ran: under load many share a commit, alone one waits
for nobody. A write has returned when its commit is on disk.

When the disk is full, writes that are owed (answers that were paid, and their grades) still find room in the ballast;
all others are refused, so that nothing more is sent. What is owed and cannot be written at all stays owed: it is tried
again with whatever is written next, or after a while. Such a write may thus be done twice, and must come to the same.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection

from judge.errors import StoreError
from judge.store.backend import Backend

#: Applies many payloads in one transaction and returns one result for each, in order.
Write = Callable[[Connection, Sequence[Any]], Sequence[Any] | None]

LARGEST_BATCH = 512
#: What is owed is tried again after this, where nothing else is written: others wait for these answers.
OWED_S = 5.0


class Writer:
    """The writer thread of a database, begun with the first write."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._full: StoreError | None = None
        self._closed = False
        self._unwritten: list[_Job] = []

    async def write(self, operation: Write, payload: Any, owed: bool = False) -> Any:
        """The operation's result for this payload, once it is on disk. What is owed is written to a full disk too."""
        if self._closed:
            raise StoreError("the database is closed")
        if self._thread is None:
            if self._backend.ballast is not None:
                self._backend.ballast.load()
            self._thread = threading.Thread(target=self._work, name="judge-store", daemon=True)
            self._thread.start()
        loop = asyncio.get_running_loop()
        job = _Job(operation, payload, owed, loop, loop.create_future())
        self._queue.put(job)
        return await job.future

    def close(self) -> None:
        """Finishes the writes that wait, and takes no more."""
        self._closed = True
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None
        if self._backend.ballast is not None:
            self._backend.ballast.drop()

    def _work(self) -> None:
        stopping = False
        while not stopping:
            try:
                job = self._queue.get(timeout=OWED_S if self._unwritten else None)
            except queue.Empty:
                self._commit([])
                continue
            batch: list[_Job] = []
            while job is not None:
                batch.append(job)
                if len(batch) == LARGEST_BATCH or self._queue.empty():
                    break
                job = self._queue.get()
            stopping = job is None
            if batch or (stopping and self._unwritten):
                self._commit(batch)

    def _commit(self, batch: list[_Job]) -> None:
        """Commits a batch, after what is still owed, and delivers its results."""
        batch, self._unwritten = self._unwritten + batch, []
        if self._full is not None:
            self._recover()
        if self._full is None:
            self._commit_together(batch)
        if self._full is not None:
            self._commit_owed(batch)
        by_loop: dict[asyncio.AbstractEventLoop, list[_Job]] = {}
        for job in batch:
            by_loop.setdefault(job.loop, []).append(job)
        for loop, jobs in by_loop.items():
            if not loop.is_closed():
                loop.call_soon_threadsafe(_deliver, jobs)

    def _recover(self) -> None:
        ballast = self._backend.ballast
        if ballast is None or not ballast.fits():
            return
        try:
            ballast.load()
        except StoreError as error:
            self._full = error
        else:
            self._full = None

    def _commit_together(self, batch: list[_Job]) -> None:
        """Commits a batch. Where one job spoils it, the others are committed one by one."""
        ballast, problem = self._backend.ballast, self._transact(batch)
        if problem is not None and self._backend.is_full(problem) and ballast is not None and ballast.drop():
            self._full = self._backend.explained(problem)
        elif problem is not None and len(batch) > 1 and not self._backend.shared(problem):
            for job in batch:
                self._end(job, self._transact([job]))
        else:
            for job in batch:
                self._end(job, problem)

    def _commit_owed(self, batch: list[_Job]) -> None:
        """Commits what is owed into the room that the ballast left, and refuses the rest."""
        owed = [job for job in batch if job.owed]
        problem = self._transact(owed) if owed else None
        for job in batch:
            self._end(job, problem if job.owed else self._full)

    def _transact(self, batch: list[_Job]) -> Exception | None:
        """One transaction. Returns what went wrong: it belongs to the tasks that wait, and not to this thread."""
        grouped: dict[Write, list[_Job]] = {}
        for job in batch:
            grouped.setdefault(job.operation, []).append(job)

        def work(connection: Connection) -> None:
            for operation, jobs in grouped.items():
                results = operation(connection, [job.payload for job in jobs])
                for place, job in enumerate(jobs):
                    job.result = results[place] if results is not None else None

        try:
            self._backend.transact(work, patient=True)
        except Exception as error:  # noqa: BLE001 - it reaches every task that waits; the thread must outlive it
            return error
        return None

    def _end(self, job: _Job, problem: Exception | None) -> None:
        if problem is None:
            job.error = None
            return
        job.error = problem if isinstance(problem, StoreError) else self._backend.explained(problem)
        if job.owed and self._backend.shared(problem):
            self._unwritten.append(job)


class _Job:
    __slots__ = ("error", "future", "loop", "operation", "owed", "payload", "result")

    def __init__(
        self, operation: Write, payload: Any, owed: bool, loop: asyncio.AbstractEventLoop, future: asyncio.Future[Any]
    ) -> None:
        self.operation, self.payload, self.owed, self.loop, self.future = operation, payload, owed, loop, future
        self.result: Any = None
        self.error: StoreError | None = None


def _deliver(jobs: list[_Job]) -> None:
    for job in jobs:
        if job.future.done():  # its task was cancelled; the write stands
            continue
        if job.error is not None:
            job.future.set_exception(job.error)
        else:
            job.future.set_result(job.result)
