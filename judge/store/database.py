"""One database: SQLite by default. Writes go through one thread that commits whatever waits.

A commit takes all writes that arrived while the one before it ran: under load many share a commit, alone one waits
for nobody. A write has returned when its commit is on disk.

When the disk is full, writes that are owed (answers that were paid, and their grades) still find room in the ballast;
all others are refused, so that nothing more is sent.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError, SQLAlchemyError

from judge.errors import StoreError
from judge.store.ballast import Ballast
from judge.store.migrations import migrate

P = TypeVar("P")
R = TypeVar("R")

#: Applies many payloads in one transaction and returns one result for each, in order.
Write = Callable[[Connection, Sequence[Any]], Sequence[Any] | None]

BUSY_TIMEOUT_S = 30.0
LARGEST_BATCH = 512
EXAMPLE_URL = "sqlite:///.judge/judge.db"


class Database:
    """A database with its one writer thread and its readers."""

    def __init__(self, url: str) -> None:
        try:
            self.url = make_url(url)
        except ArgumentError:
            raise StoreError(f"JUDGE_DATABASE_URL is no database URL; write one such as {EXAMPLE_URL}") from None
        if self.url.get_backend_name() != "sqlite":
            kind = self.url.get_backend_name()
            raise StoreError(
                f"JUDGE_DATABASE_URL names {kind}, which is not supported; write one such as {EXAMPLE_URL}"
            )
        if self.url.database:
            try:
                Path(self.url.database).parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StoreError(
                    f"cannot make the folder of {self.url.database} ({error.strerror}); "
                    "set JUDGE_DATABASE_URL to a place that can be written"
                ) from None
        self._engine = create_engine(self.url, connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False})
        self._reading = self._engine.execution_options(reading=True)
        event.listen(self._engine, "connect", _configure)
        event.listen(self._engine, "begin", _begin)
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._readers: ThreadPoolExecutor | None = None
        self._ballast = Ballast(Path(self.url.database).parent) if self.url.database else None
        self._full: StoreError | None = None
        try:
            with self._engine.begin() as connection:
                migrate(connection)
        except StoreError:
            self._engine.dispose()
            raise
        except SQLAlchemyError as error:
            self._engine.dispose()
            raise self._explained(error) from None

    async def write(self, operation: Write, payload: Any, owed: bool = False) -> Any:
        """The operation's result for this payload, once it is on disk. What is owed is written to a full disk too."""
        if self._thread is None:
            if self._ballast is not None:
                self._ballast.load()
            self._thread = threading.Thread(target=self._work, name="judge-store", daemon=True)
            self._thread.start()
        loop = asyncio.get_running_loop()
        job = _Job(operation, payload, owed, loop, loop.create_future())
        self._queue.put(job)
        return await job.future

    async def read(self, query: Callable[[Connection], R]) -> R:
        """The result of a query, run beside the writer."""
        if self._readers is None:
            self._readers = ThreadPoolExecutor(max_workers=2, thread_name_prefix="judge-read")
        return await asyncio.get_running_loop().run_in_executor(self._readers, self.read_now, query)

    def read_now(self, query: Callable[[Connection], R]) -> R:
        """The result of a query, in this thread."""
        try:
            with self._reading.connect() as connection:
                return query(connection)
        except SQLAlchemyError as error:
            raise self._explained(error) from None

    def write_now(self, operation: Callable[[Connection], R]) -> R:
        """One transaction in this thread, for work outside the flow of grading."""
        try:
            with self._engine.begin() as connection:
                return operation(connection)
        except SQLAlchemyError as error:
            raise self._explained(error) from None

    def close(self) -> None:
        """Finishes the writes that wait, and lets go of the file."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None
        if self._ballast is not None:
            self._ballast.drop()
        if self._readers is not None:
            self._readers.shutdown()
            self._readers = None
        self._engine.dispose()

    def _work(self) -> None:
        stopping = False
        while not stopping:
            job = self._queue.get()
            batch: list[_Job] = []
            while job is not None:
                batch.append(job)
                if len(batch) == LARGEST_BATCH or self._queue.empty():
                    break
                job = self._queue.get()
            stopping = job is None
            if batch:
                self._commit(batch)

    def _commit(self, batch: list[_Job]) -> None:
        """Commits a batch and delivers its results."""
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
        if self._ballast is None or not self._ballast.fits():
            return
        try:
            self._ballast.load()
        except StoreError as error:
            self._full = error
        else:
            self._full = None

    def _commit_together(self, batch: list[_Job]) -> None:
        """Commits a batch. Where one job spoils it, the others are committed one by one."""
        problem = self._transact(batch)
        if problem is not None and _is_full(problem) and self._ballast is not None and self._ballast.drop():
            self._full = self._explained(problem)
        elif problem is not None and len(batch) > 1 and not isinstance(problem, OperationalError):
            for job in batch:
                job.error = self._failure(self._transact([job]))
        else:
            for job in batch:
                job.error = self._failure(problem)

    def _commit_owed(self, batch: list[_Job]) -> None:
        """Commits what is owed into the room that the ballast left, and refuses the rest."""
        owed = [job for job in batch if job.owed]
        problem = self._transact(owed) if owed else None
        for job in batch:
            job.error = self._failure(problem) if job.owed else self._full

    def _transact(self, batch: list[_Job]) -> Exception | None:
        """One transaction. Returns what went wrong: it belongs to the tasks that wait, and not to this thread."""
        grouped: dict[Write, list[_Job]] = {}
        for job in batch:
            grouped.setdefault(job.operation, []).append(job)
        try:
            with self._engine.begin() as connection:
                for operation, jobs in grouped.items():
                    results = operation(connection, [job.payload for job in jobs])
                    for place, job in enumerate(jobs):
                        job.result = results[place] if results is not None else None
        except Exception as error:  # noqa: BLE001 - it reaches every task that waits; the thread must outlive it
            return error
        return None

    def _failure(self, error: Exception | None) -> StoreError | None:
        return None if error is None else self._explained(error)

    def _explained(self, error: Exception) -> StoreError:
        """What to do about an error of the database, in one line."""
        cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
        reason = " ".join(str(cause).split()) or type(cause).__name__
        name = self.url.database or "the database"
        if _is_full(error):
            return StoreError(
                f"{name}: the disk is full; make room, then start the same command again: nothing is lost"
            )
        if "readonly" in reason or "read-only" in reason or "unable to open" in reason:
            return StoreError(f"{name}: cannot be written ({reason}); set JUDGE_DATABASE_URL to a place that can")
        if "locked" in reason:
            return StoreError(
                f"{name}: another process held it for {BUSY_TIMEOUT_S:.0f} s; start again when it is done"
            )
        return StoreError(f"{name}: {type(cause).__name__}: {reason}")


class _Job:
    __slots__ = ("error", "future", "loop", "operation", "owed", "payload", "result")

    def __init__(
        self, operation: Write, payload: Any, owed: bool, loop: asyncio.AbstractEventLoop, future: asyncio.Future[Any]
    ) -> None:
        self.operation, self.payload, self.owed, self.loop, self.future = operation, payload, owed, loop, future
        self.result: Any = None
        self.error: StoreError | None = None


def _is_full(error: Exception) -> bool:
    return isinstance(error, OperationalError) and "full" in str(error.orig)


def _deliver(jobs: list[_Job]) -> None:
    for job in jobs:
        if job.future.done():  # its task was cancelled; the write stands
            continue
        if job.error is not None:
            job.future.set_exception(job.error)
        else:
            job.future.set_result(job.result)


def _configure(connection: Any, _: Any) -> None:
    if isinstance(connection, sqlite3.Connection):
        connection.isolation_level = None  # we begin transactions ourselves, see _begin
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")


def _begin(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        # A transaction that reads and then writes must hold the lock from its start, or two of them deadlock.
        reading = connection.get_execution_options().get("reading")
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
