"""PostgreSQL: a server that several processes and machines share, and that may go away while they work.

A transaction that broke off before its commit is void, and may be done again whatever it holds. One whose commit was
not answered may be either; doing it again blindly could send a call twice or count an item twice. So each transaction
that writes leaves a mark, a number in a row of its thread's own, which is looked for when the server is there again.
The server's own number of a transaction would not do: after a crash it may belong to another one.
"""

from __future__ import annotations

import itertools
import logging
import os
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, create_engine, event, text
from sqlalchemy.exc import DBAPIError, OperationalError

from judge.errors import StoreError
from judge.owner import this_process
from judge.store.ballast import Ballast

R = TypeVar("R")

#: How long a server that went away is waited for, by those who can wait.
PATIENCE_S = 30.0
FIRST_WAIT_S, LONGEST_WAIT_S = 0.05, 1.0
#: A client whose machine lost power must not keep its locks. No transaction of ours rests for so long.
IDLE_IN_TRANSACTION = "10s"
#: A server that cannot be reached is noticed within half a minute, by whoever connects to it or waits for its answer.
CONNECTING = {
    "connect_timeout": "10",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "25000",
}
#: Marks of processes that are gone are forgotten after this.
KEPT_S = 7 * 24 * 3600.0
SECRET_PARAMETERS = {"password", "sslpassword"}

#: It logs what the error tells, too.
logging.getLogger("psycopg").addHandler(logging.NullHandler())
logging.getLogger("psycopg").propagate = False

log = logging.getLogger(__name__)

_MARK = text("""
    INSERT INTO mark ("of", number, at) SELECT CAST(:of AS text), CAST(:number AS bigint), CAST(:at AS double precision)
    WHERE pg_current_xact_id_if_assigned() IS NOT NULL
    ON CONFLICT ("of") DO UPDATE SET number = excluded.number, at = excluded.at RETURNING number
""")
#: Waits for a transaction that is still open: until the server notices that we are gone.
_MARKED = text("""
    INSERT INTO mark ("of", number, at) VALUES (:of, 0, :at)
    ON CONFLICT ("of") DO UPDATE SET at = excluded.at RETURNING number
""")
_FORGET = text("DELETE FROM mark WHERE at < :before")
_IS_THERE = text("SELECT to_regclass('mark') IS NOT NULL")
#: A server that has never looked at a table takes all its rows for one, and a run of thousands is read as often as it
#: has items. It looks by itself, but not within the first minute, and not where somebody switched that off.
_LOOK = text("ANALYZE (SKIP_LOCKED) item, run_item, verdict, grade, call")
#: At a tenth of the usual rows, which costs a tenth: how many there are of each will do.
_BRIEFLY = text("SET LOCAL default_statistics_target = 10")
#: It is told to look again whenever a process has written twice as often, up to this, and while there is little to see.
MOST_LOOKED, MOST_SEEN = 4096, 100_000
_SEEN = text("SELECT min(reltuples) FROM pg_class WHERE oid IN (to_regclass('grade'), to_regclass('call'))")


class Postgres:
    """A PostgreSQL database."""

    path: Path | None = None
    ballast: Ballast | None = None

    def __init__(self, url: URL) -> None:
        if SECRET_PARAMETERS & url.query.keys():
            raise StoreError(
                "JUDGE_DATABASE_URL has a password among its parameters, where it would be shown; "
                "write postgresql://user:password@host/db, or set PGPASSWORD"
            )
        self._url = url
        self.name = f"postgresql://{_at(url)}"
        options = {name: value for name, value in CONNECTING.items() if name not in url.query}
        queue = url.set(drivername="postgresql").update_query_dict(options)
        self.queue_url: str | None = queue.render_as_string(hide_password=False)
        try:
            self._engine = create_engine(
                url.set(drivername="postgresql+psycopg"),
                connect_args=options,
                client_encoding="utf8",
                use_native_hstore=False,
                hide_parameters=True,
            )
        except ImportError:
            raise StoreError("PostgreSQL needs psycopg; install this project with its extra: postgres") from None
        self._reading = self._engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self._gone_since: float | None = None
        self._id, self._numbers, self._marking = uuid.uuid4().hex[:8], itertools.count(1), False
        self._written = itertools.count(1)
        self._looking: threading.Thread | None = None
        event.listen(self._engine, "connect", self._configure)

    def prepare(self) -> None:
        """Nothing: databases are made by those who run the server."""

    def transact(self, work: Callable[[Connection], R], patient: bool = False) -> R:
        """See `Backend`. `work` may be called again, where its transaction is void."""
        waits = self._waits(patient)
        while True:
            number: int | None = None
            try:
                with self._engine.connect() as connection:
                    result = work(connection)
                    number = self._mark(connection)
                    connection.commit()
            except DBAPIError as error:
                if not _passes(error):
                    raise
                # Without a mark nothing was written, or the commit was not yet asked for.
                if number is not None and self._was_committed(number, error):
                    return result
                if not next(waits, False):
                    raise
            else:
                self._gone_since = None
                if number is not None:
                    self._look_after(next(self._written))
                return result

    def read(self, query: Callable[[Connection], R], patient: bool = False) -> R:
        """See `Backend`."""
        waits = self._waits(patient)
        while True:
            try:
                with self._reading.connect() as connection:
                    result = query(connection)
            except DBAPIError as error:
                if not _passes(error) or not next(waits, False):
                    raise
            else:
                self._gone_since = None
                return result

    def _mark(self, connection: Connection) -> int | None:
        """Leaves a mark in a transaction that writes, and returns its number; None for one that does not."""
        if not self._marking:  # there is no place for it while the tables are being made
            self._marking = bool(connection.execute(_IS_THERE).scalar())
            if not self._marking:
                return None
            connection.execute(_FORGET, {"before": time.time() - KEPT_S})
        mark = {"of": self._marker(), "number": next(self._numbers), "at": time.time()}
        found: int | None = connection.execute(_MARK, mark).scalar()
        return found

    def _look_after(self, written: int) -> None:
        """Has the server look at the tables after the first, second, fourth ... transaction that wrote.

        Nobody waits for it: it takes a while, and somebody's answer may be due.
        """
        if written > MOST_LOOKED or written & (written - 1) or (self._looking and self._looking.is_alive()):
            return
        self._looking = threading.Thread(target=self._look, name="judge-look", daemon=True)
        self._looking.start()

    def _look(self) -> None:
        try:
            with self._engine.connect() as connection:
                if (connection.execute(_SEEN).scalar() or 0) < MOST_SEEN:
                    connection.execute(_BRIEFLY)
                    connection.execute(_LOOK)
                connection.commit()
        except Exception as error:  # noqa: BLE001 - what was written stands, and is only read more slowly
            log.info("the tables were not looked at: %s", self.explained(error))

    def _marker(self) -> str:
        """Whose mark it is: this thread's, which has one transaction at a time."""
        return f"{this_process()}:{self._id}:{threading.get_ident()}"

    def _was_committed(self, number: int, cause: DBAPIError) -> bool:
        """What became of a transaction. Raises StoreError where the server does not tell in time."""
        for _ in self._waits(patient=True):
            try:
                with self._engine.connect() as connection:
                    marked = connection.execute(_MARKED, {"of": self._marker(), "at": time.time()}).scalar()
                    connection.commit()
            except DBAPIError as error:
                cause = error
            else:
                return bool(marked == number)
        # No error of the database: whoever gets one of those may do the transaction again.
        raise self.explained(cause)

    def _waits(self, patient: bool) -> Iterator[bool]:
        """Goes on after each wait for which a new try is due: one soon, as connections grow stale; more if patient.

        All who wait share one time, so that a server that stays away is given up once.
        """
        if self._gone_since is None:
            self._gone_since = time.monotonic()
        until, wait_s = self._gone_since + PATIENCE_S, FIRST_WAIT_S
        while True:
            time.sleep(wait_s)
            yield True
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)
            if not patient or time.monotonic() + wait_s > until:
                return

    def is_full(self, error: Exception) -> bool:
        """A server's disk is beyond our reach: there is no ballast on it."""
        return False

    def shared(self, error: Exception) -> bool:
        """Whether the server is gone, or does not tell what became of a transaction."""
        return isinstance(error, StoreError) or (isinstance(error, DBAPIError) and _passes(error))

    def explained(self, error: Exception) -> StoreError:
        """See `Backend`. Only the first line of what a server says: its details quote the row."""
        cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
        primary = getattr(getattr(cause, "diag", None), "message_primary", None)
        told = [line for line in str(primary or cause).splitlines() if not line.startswith("\t")]  # those are guesses
        reason = " ".join(" ".join(told).split()).removeprefix("connection failed: ") or type(cause).__name__
        return StoreError(f"{self.name}: {_advice(error, getattr(cause, 'sqlstate', None), reason)}")

    def backup(self, out: Path) -> None:
        """See `Backend`. Written by PostgreSQL's own `pg_dump`, for its `pg_restore`."""
        address = self._url.set(drivername="postgresql")._replace(password=None).render_as_string()
        command = ["pg_dump", "--no-password", "--format=custom", f"--file={out}", f"--dbname={address}"]
        password = {"PGPASSWORD": self._url.password} if self._url.password else {}
        try:
            done = subprocess.run(command, env=os.environ | password, capture_output=True, text=True)
        except FileNotFoundError:
            raise StoreError(
                f"pg_dump is not installed here; where it is, with the server's version or a newer one, run: "
                f"pg_dump --format=custom --file={out} '{address}'"
            ) from None
        if done.returncode:
            said = done.stderr.strip().splitlines() or [f"pg_dump ended with {done.returncode}"]
            raise StoreError(f"{self.name}: {said[0].removeprefix('pg_dump: ')}")

    def close(self) -> None:
        """Lets go of all connections."""
        if self._looking is not None:
            self._looking.join()
        self._engine.dispose()

    def _configure(self, connection: Any, _: Any) -> None:
        from psycopg.types import array  # noqa: PLC0415 - an extra

        encoding = connection.info.parameter_status("server_encoding")
        if encoding != "UTF8":
            raise StoreError(
                f"{self.name}: keeps text as {encoding}; make a database that takes every text: "
                "createdb --encoding=UTF8 --template=template0 NAME"
            )
        connection.adapters.register_dumper(list, array.ListBinaryDumper)
        connection.autocommit = True
        connection.execute(f"SET idle_in_transaction_session_timeout = '{IDLE_IN_TRANSACTION}'")
        connection.autocommit = False


def _at(url: URL) -> str:
    """User, host, port and database of a URL. Its parameters may be anybody's secret."""
    user = f"{url.username}@" if url.username else ""
    port = f":{url.port}" if url.port else ""
    return f"{user}{url.host or ''}{port}/{url.database or ''}"


def _passes(error: DBAPIError) -> bool:
    """Whether the same may well succeed in a while: without a connection, at a restart, without room, after a deadlock
    or a rest that was too long.

    Each of these has ended the transaction, if it was not at its commit.
    """
    state = getattr(error.orig, "sqlstate", None)
    if state is None:  # nothing that a server said
        return isinstance(error, OperationalError) or error.connection_invalidated
    return state.startswith(("08", "53", "57P")) or state in {"25P03", "40001", "40P01"}


def _advice(error: Exception, state: str | None, reason: str) -> str:
    if state == "53100":
        return "the server's disk is full; make room there, then start the same command again"
    if state == "25006":
        return f"cannot be written ({reason}); set JUDGE_DATABASE_URL to a server that can"
    if state == "42501":
        return f"{reason}; GRANT this user the right to create and use tables there"
    if state is None and ("authentication failed" in reason or "no password supplied" in reason):
        return "the server refused the user or the password; set them in JUDGE_DATABASE_URL, or set PGPASSWORD"
    if state is None and "does not exist" in reason:
        return f"{reason.rpartition('FATAL: ')[2].strip()}; make it with createdb or createuser, or name another"
    if isinstance(error, DBAPIError) and _passes(error):
        return f"cannot be reached ({reason}); start it, or set JUDGE_DATABASE_URL; then start the same command again"
    return f"{type(error).__name__}: {reason}"
