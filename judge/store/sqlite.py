"""SQLite: a file of this machine. Whoever writes has the file for itself, from the beginning of a transaction."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, create_engine, event
from sqlalchemy.exc import DBAPIError, OperationalError

from judge.errors import StoreError
from judge.owner import this_process
from judge.store.ballast import Ballast
from judge.store.presence import Presence

R = TypeVar("R")

BUSY_TIMEOUT_S = 30.0


class SQLite:
    """A SQLite file, or one in memory where the URL names none."""

    def __init__(self, url: URL) -> None:
        self.path: Path | None = Path(url.database) if url.database else None
        self.name = url.database or "the database"
        self.queue_url: str | None = None
        self.ballast: Ballast | None = Ballast(self.path.parent) if self.path else None
        self._engine = create_engine(
            url, connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False}, hide_parameters=True
        )
        self._turn = threading.Lock()
        self._presence: Presence | None = None
        self._reading = self._engine.execution_options(reading=True)
        event.listen(self._engine, "connect", _configure)
        event.listen(self._engine, "begin", _begin)

    def prepare(self) -> None:
        """Makes the folder of the file, and says to those who share it that this process lives."""
        if self.path is None:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"cannot make the folder of {self.name} ({error.strerror}); "
                "set JUDGE_DATABASE_URL to a place that can be written"
            ) from None
        self._presence = Presence(self.path, this_process())

    def transact(self, work: Callable[[Connection], R], patient: bool = False) -> R:
        """See `Backend`. There is no server that could go away."""
        # SQLite itself sleeps until the file is free; threads of this process need not.
        with self._turn, self._engine.begin() as connection:
            return work(connection)

    def read(self, query: Callable[[Connection], R], patient: bool = False) -> R:
        """See `Backend`."""
        with self._reading.connect() as connection:
            return query(connection)

    def is_full(self, error: Exception) -> bool:
        """Whether the disk is full."""
        return isinstance(error, OperationalError) and "full" in str(error.orig)

    def shared(self, error: Exception) -> bool:
        """SQLite blames the file (full, locked, read-only) with one class of errors."""
        return isinstance(error, OperationalError)

    def explained(self, error: Exception) -> StoreError:
        """See `Backend`."""
        cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
        reason = " ".join(str(cause).split()) or type(cause).__name__
        if self.is_full(error):
            return StoreError(
                f"{self.name}: the disk is full; make room, then start the same command again: nothing is lost"
            )
        if "readonly" in reason or "read-only" in reason or "unable to open" in reason:
            return StoreError(f"{self.name}: cannot be written ({reason}); set JUDGE_DATABASE_URL to a place that can")
        if "locked" in reason:
            return StoreError(
                f"{self.name}: another process held it for {BUSY_TIMEOUT_S:.0f} s; start again when it is done"
            )
        return StoreError(f"{self.name}: {type(cause).__name__}: {reason}")

    def backup(self, out: Path) -> None:
        """See `Backend`. Others may write meanwhile."""
        try:
            with closing(sqlite3.connect(self.path or "")) as source, closing(sqlite3.connect(out)) as target:
                source.backup(target)
        except sqlite3.Error as error:
            raise StoreError(f"{out}: cannot be written ({error}); name another file") from None

    def close(self) -> None:
        """Lets go of the file."""
        self._engine.dispose()
        if self._presence is not None:
            self._presence.close()


def _configure(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # we begin transactions ourselves, see _begin
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")


def _begin(connection: Connection) -> None:
    # A transaction that reads and then writes must hold the lock from its start, or two of them deadlock.
    reading = connection.get_execution_options().get("reading")
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
