"""A PostgreSQL server of one's own, which may be restarted and killed: for benchmarks, and for tests."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg

#: Where distributions put what is not on the path.
INSTALLED = "usr/lib/postgresql/*/bin/initdb"
START_S = 30.0
STEP_S = 0.02
#: The server does not run as root.
SERVER_USER = "postgres"
UNPRIVILEGED: dict[str, Any] = (
    {"user": SERVER_USER, "group": SERVER_USER, "extra_groups": []} if os.geteuid() == 0 else {}
)


def programs() -> Path | None:
    """The folder with `initdb` and `postgres`; None where there is none, or none that may be started."""
    if UNPRIVILEGED and SERVER_USER not in {one.pw_name for one in pwd.getpwall()}:
        return None
    found = [*sorted(Path("/").glob(INSTALLED), reverse=True), *map(Path, filter(None, [shutil.which("initdb")]))]
    folders = (one.resolve().parent for one in found)
    return next((folder for folder in folders if (folder / "postgres").exists()), None)


class Cluster:
    """A server on a free loopback port, with its data in a folder."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self._data, self._programs = folder / "data", programs
        with closing(socket.create_server(("127.0.0.1", 0))) as free:
            self._port = int(free.getsockname()[1])
        initdb = [programs / "initdb", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-sync"]
        subprocess.run([*initdb, "--pgdata", self._data], check=True, capture_output=True, cwd="/", **UNPRIVILEGED)
        self._log = (folder / "log.txt").open("ab")
        self._process = self._started()
        self._wait()

    def url(self, database: str = "postgres") -> str:
        """Of a database."""
        return f"postgresql://postgres@127.0.0.1:{self._port}/{database}"

    def database(self, name: str) -> str:
        """The URL of a new database."""
        self.sql(f"CREATE DATABASE {name}")
        return self.url(name)

    def sql(self, statement: str, database: str = "postgres") -> list[Any]:
        """The rows of one statement."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def restart(self, by: signal.Signals = signal.SIGINT, away_s: float = 0.0) -> None:
        """Ends the server and starts it again after a while.

        SIGINT is a fast shutdown, SIGQUIT an immediate one, and SIGKILL is what it says.
        """
        self.end(by)
        time.sleep(away_s)
        self._process = self._started()
        self._wait()

    def end(self, by: signal.Signals = signal.SIGINT) -> None:
        """Ends the server, and waits for that."""
        self._process.send_signal(by)
        self._process.wait()

    def close(self) -> None:
        """Ends it for good."""
        if self._process.poll() is None:
            self.end(signal.SIGQUIT)
        self._log.close()

    def _started(self) -> subprocess.Popen[bytes]:
        set_ = ("listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=200")
        command = [self._programs / "postgres", "-D", self._data, "-p", str(self._port)]
        command += [word for one in set_ for word in ("-c", one)]
        return subprocess.Popen(command, stdout=self._log, stderr=self._log, cwd="/", **UNPRIVILEGED)

    def _wait(self) -> None:
        """Waits until it answers. What is left of one that was killed keeps the next one out for a moment."""
        until = time.monotonic() + START_S
        while True:
            try:
                self.sql("SELECT 1")
            except psycopg.OperationalError:
                if time.monotonic() > until:
                    raise
                if self._process.poll() is not None:
                    self._process = self._started()
                time.sleep(STEP_S)
            else:
                return


@contextmanager
def cluster(programs: Path) -> Iterator[Cluster]:
    """A server with an empty folder, as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="judge-postgres-") as name:
        folder = Path(name)
        if UNPRIVILEGED:
            shutil.chown(folder, SERVER_USER, SERVER_USER)
        one = Cluster(folder, programs)
        try:
            yield one
        finally:
            one.close()
