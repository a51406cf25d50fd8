"""A real service on a loopback port, spoken to over real sockets."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from judge import keys
from judge.keys import Key, Scope
from judge.store import open_store

JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    raw: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.raw)


@dataclass(frozen=True, slots=True)
class Client:
    """Speaks to one service."""

    port: int

    def send(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Reply:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return Reply(response.status, response.headers, response.read())

    def get(self, path: str) -> Reply:
        return self.send("GET", path)

    def grades(self, outputs: list[str], **fields: Any) -> Reply:
        """Asks for grades of these outputs, named 0, 1, ..."""
        items = [{"id": str(place), "output": output} for place, output in enumerate(outputs)]
        body = {"items": items, "rubric": "helpfulness", "judge": "simulated", **fields}
        return self.send("POST", "/v1/grades", json.dumps(body), JSON)


def no_room(reply: Reply, quota: str, most: int, unit: str | None = "concurrent-requests") -> bool:
    """Whether an answer says that there is no room, what for, and when to come again."""
    policy = f'"{quota}";q={most}' + ("" if unit is None else f';qu="{unit}"')
    told = [reply.headers[name] for name in ("RateLimit-Policy", "RateLimit", "Retry-After")]
    return (reply.status, reply.json["type"], told) == (
        429,
        "urn:judge:problem:overloaded",
        [policy, f'"{quota}";r=0;t=5', "5"],
    )


@contextmanager
def running(**settings: object) -> Iterator[Client]:
    """A service that began with these settings of the environment, as long as the block lasts."""
    # With the protocol named asyncio sends answers at once; without, each waits for the client's word, 40 ms.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config("api.app:create_app", factory=True, log_level="warning", ws="none"))
        thread = threading.Thread(target=server.run, args=([listening],))
        with pytest.MonkeyPatch.context() as environment:
            for name, value in settings.items():
                environment.setenv(f"JUDGE_{name}", str(value))
            thread.start()
            while not server.started:
                assert thread.is_alive(), "the service did not start"
                time.sleep(0.005)
        try:
            yield Client(listening.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture
def serve(database_url: str) -> Iterator[Callable[..., Client]]:
    """Starts a service with settings of the environment: `serve(JUDGES_DIR=...)`. It ends with the test."""
    with ExitStack() as several:
        yield lambda **settings: several.enter_context(
            running(**{"DATABASE_URL": database_url, "KEYLESS": 1, **settings})
        )


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A service with nothing set, on a database of each kind; one for all tests of a file."""
    url = f"sqlite:///{tmp_path_factory.mktemp('service')}/judge.db"
    with ExitStack() as lent:
        if request.param == "postgresql":
            url = lent.enter_context(request.getfixturevalue("postgres_server").lent())
        yield lent.enter_context(running(DATABASE_URL=url, KEYLESS=1))


@pytest.fixture
def key(database_url: str) -> Callable[..., str]:
    """Makes a key in the database of the service."""

    def made(*scopes: Scope, tenant: str = "local", expires_in: float | None = None) -> str:
        id_, text = keys.made()
        at = time.time()
        until = None if expires_in is None else at + expires_in
        with open_store(database_url) as store:
            store.change(
                store.keys.add, Key(id_, tenant, "test", frozenset(scopes), at, until, None, keys.hashed(text))
            )
        return text

    return made


@pytest.fixture
def small_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A disk with room for 1 MB, where temporary files lie."""
    folder = tmp_path / "small"
    folder.mkdir()
    try:
        mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
        mounted = subprocess.run(mount, capture_output=True).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("a small disk needs the right to mount one")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)  # a file of the service may still be open
