"""One database, opened: its writer and its readers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from judge.errors import StoreError
from judge.store import migrations
from judge.store.backend import Backend
from judge.store.postgres import Postgres
from judge.store.sqlite import SQLite
from judge.store.writer import Write, Writer

R = TypeVar("R")

EXAMPLES = "sqlite:///.judge/judge.db or postgresql://user@host/db"
BACKENDS: dict[str, Callable[..., Backend]] = {
    "sqlite": SQLite,
    "postgresql": Postgres,
    "postgresql+psycopg": Postgres,
}


def backend_of(url: str) -> Backend:
    """The database that a URL names, before anything is asked of it. Raises StoreError, and never shows the URL."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise StoreError(f"JUDGE_DATABASE_URL is no database URL; write one such as {EXAMPLES}") from None
    if parsed.drivername not in BACKENDS:
        raise StoreError(
            f"JUDGE_DATABASE_URL names {parsed.drivername}, which is not supported; write one such as {EXAMPLES}"
        )
    return BACKENDS[parsed.drivername](parsed)


def check_is_there(backend: Backend) -> None:
    """Looking must not make a file. Raises StoreError."""
    if backend.path is not None and not backend.path.exists():
        raise StoreError(
            f"{backend.name}: there is no database yet; `judge grade` and `judge labels import` make one, or name "
            "another in JUDGE_DATABASE_URL"
        )


class Database:
    """A database with its one writer thread and its readers. An empty one is set up, unless it `must_exist`."""

    def __init__(self, url: str, must_exist: bool = False) -> None:
        self._backend = backend_of(url)
        if must_exist:
            check_is_there(self._backend)
        self._writer = Writer(self._backend)
        self._readers: ThreadPoolExecutor | None = None
        self._backend.prepare()
        try:
            self.write_now(lambda connection: migrations.check(connection, self.name))
        except StoreError:
            self._backend.close()
            raise

    @property
    def name(self) -> str:
        """Where it is, for people: never with a password."""
        return self._backend.name

    @property
    def queue_url(self) -> str | None:
        """Of the queue that lies beside the tables, with its password; None where there is none."""
        return self._backend.queue_url

    async def write(self, operation: Write, payload: Any, owed: bool = False) -> Any:
        """See `Writer.write`."""
        return await self._writer.write(operation, payload, owed)

    async def read(self, query: Callable[[Connection], R]) -> R:
        """The result of a query, run beside the writer."""
        if self._readers is None:
            self._readers = ThreadPoolExecutor(max_workers=2, thread_name_prefix="judge-read")
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, query, True)

    def read_now(self, query: Callable[[Connection], R]) -> R:
        """The result of a query, in this thread."""
        return self._read(query, patient=False)

    def write_now(self, operation: Callable[[Connection], R]) -> R:
        """One transaction in this thread, for work outside the flow of grading."""
        try:
            return self._backend.transact(operation)
        except SQLAlchemyError as error:
            raise self._backend.explained(error) from None

    def close(self) -> None:
        """Finishes the writes that wait, and lets go of the database."""
        self._writer.close()
        if self._readers is not None:
            self._readers.shutdown()
            self._readers = None
        self._backend.close()

    def _read(self, query: Callable[[Connection], R], patient: bool) -> R:
        try:
            return self._backend.read(query, patient)
        except SQLAlchemyError as error:
            raise self._backend.explained(error) from None
