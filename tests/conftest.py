"""What all tests share: a stub judge, a store, and no way out of this machine."""

from __future__ import annotations

import gc
import json
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from zlib import crc32

import psycopg
import pytest
from sqlalchemy.engine import make_url

from judge.store import open_store, tables
from judge.store.presence import Presence
from judge.store.store import Store

STUB = Path(__file__).parent / "stub_judge.py"
LOOPBACK = ("127.0.0.1", "::1", "localhost")
#: Of a role that may create databases.
POSTGRES_URL = os.environ.get("JUDGE_TEST_POSTGRES_URL", "postgresql://postgres@127.0.0.1:5432/postgres")


@dataclass(frozen=True, slots=True)
class Stub:
    """A running stub judge; see stub_judge.py for its faults and modes."""

    url: str
    pid: int

    @property
    def base_url(self) -> str:
        """What a judge's `base_url` is to be."""
        return f"{self.url}/v1"

    def behave(self, mode: str, **how: object) -> None:
        self._http("behave", {"mode": mode, **how})

    def batching(self, **how: object) -> None:
        """How batches are to behave; see stub/batches.py."""
        self._http("batching", how)

    def keeping(self, **how: object) -> None:
        """How answers are kept; see stub/stored.py."""
        self._http("keeping", how)

    def batches(self) -> list[dict[str, Any]]:
        return list(self._http("batches"))

    def reset(self) -> None:
        self._http("reset", {})

    def stats(self) -> dict[str, Any]:
        return dict(self._http("stats"))

    def calls(self) -> list[dict[str, Any]]:
        return list(self._http("calls"))

    def _http(self, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}/{path}", data), timeout=5) as reply:
            return json.load(reply)


@contextmanager
def _running(*flags: str) -> Iterator[Stub]:
    command = [sys.executable, str(STUB), "--port", "0", *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield Stub(process.stdout.readline().split()[-1], process.pid)
        finally:
            process.kill()


@contextmanager
def listening(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """The URL of a server that answers as a handler does, as long as the block lasts."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mixes modules that mostly wait with those that mostly reckon, so that processes beside each other do both."""
    items.sort(key=lambda item: crc32(item.nodeid.partition("::")[0].encode()))


def pytest_collection_finish() -> None:
    """Takes a million objects that stay out of the garbage collector's rounds, which were a tenth of the time."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def stub() -> Iterator[Callable[..., Stub]]:
    """Starts a stub judge with the flags given: `stub("--latency-ms", "50")`. Each ends with the test."""
    with ExitStack() as running:
        yield lambda *flags: running.enter_context(_running(*flags))


@pytest.fixture(scope="module")
def shared_stub() -> Iterator[Stub]:
    """One stub judge for all tests of a file; each says how it is to behave."""
    with _running("--bodies") as started:
        yield started


class Postgres:
    """A real server, on which each test gets a database of its own."""

    def __init__(self, url: str) -> None:
        self._url = make_url(url)
        self._made: list[str] = []
        self._left: list[str] = []
        self.sql("SELECT 1")
        # Text is ordered otherwise there than by its bytes, unless a column says so.
        icu = "TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'en-US'"
        self._template = self.database(icu)
        open_store(self._template).close()

    def sql(self, statement: str, database: str | None = None) -> list[Any]:
        """Runs one statement beside the program under test, and returns its rows."""
        url = self._url.set(drivername="postgresql", database=database or self._url.database)
        with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True, connect_timeout=5) as one:
            cursor = one.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def database(self, like: str | None = None) -> str:
        """The URL of a new database, with all tables unless it is to be like something else."""
        name = f"judge_test_{os.getpid()}_{len(self._made)}"
        self._made.append(name)
        self.sql(f"CREATE DATABASE {name} {like or f'TEMPLATE {make_url(self._template).database}'}")
        return self._url.set(database=name).render_as_string(hide_password=False)

    @contextmanager
    def lent(self) -> Iterator[str]:
        """The URL of a database with all tables, all empty: one that an earlier test has left, which is quicker."""
        url = self._left.pop() if self._left else self.database()
        yield url
        database = make_url(url).database
        others = "datname = current_database() AND pid <> pg_backend_pid()"
        self.sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}", database)
        self.sql("; ".join(f"DELETE FROM {name}" for name in tables.metadata.tables), database)
        self._left.append(url)

    def drop(self, url: str) -> None:
        """Drops a database, whoever is connected to it."""
        self.sql(f"DROP DATABASE {make_url(url).database} WITH (FORCE)")

    def close(self) -> None:
        """Drops all that is left."""
        for name in self._made:
            self.sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """The server that JUDGE_TEST_POSTGRES_URL names, by default one on this machine. Skips where none answers."""
    try:
        server = Postgres(POSTGRES_URL)
    except psycopg.OperationalError as error:
        place = make_url(POSTGRES_URL).render_as_string()
        pytest.skip(f"no PostgreSQL at {place} ({str(error).splitlines()[0]}); name one in JUDGE_TEST_POSTGRES_URL")
    yield server
    server.close()


@pytest.fixture
def postgres_url(postgres_server: Postgres) -> Iterator[str]:
    """A PostgreSQL database with all tables, all empty."""
    url = postgres_server.database()
    yield url
    postgres_server.drop(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/judge.db"
        return
    with request.getfixturevalue("postgres_server").lent() as url:
        yield url


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    """An empty store in a database of its own."""
    with open_store(database_url) as opened:
        yield opened


@pytest.fixture
def living(database_url: str) -> Iterator[Callable[[str], None]]:
    """Has a process of another name live, as far as those can tell who share a SQLite file with it."""
    path = make_url(database_url).database
    with ExitStack() as held:

        def live(owner: str) -> None:
            if path and database_url.startswith("sqlite"):
                held.callback(Presence(Path(path), owner).close)

        yield live


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def nothing_set() -> Iterator[None]:
    """No key or setting of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as environment:
        for name in [name for name in os.environ if name.startswith(("ANTHROPIC_", "JUDGE_", "OPENAI_"))]:
            environment.delenv(name)
        yield


@pytest.fixture(autouse=True)
def at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """No connection that leaves this machine."""
    connect = socket.socket.connect

    def at_home_only(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in LOOPBACK:
            raise AssertionError(f"a test tried to reach {address[0]}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", at_home_only)
