"""A real service on a loopback port, spoken to over real sockets."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn

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
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)) as connection:
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


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Client]]:
    """Starts a service with settings of the environment: `serve(JUDGES_DIR=...)`. It ends with the test."""
    with ExitStack() as running:

        def start(**settings: object) -> Client:
            for name, value in {"DATABASE_URL": f"sqlite:///{tmp_path}/service.db", **settings}.items():
                monkeypatch.setenv(f"JUDGE_{name}", str(value))
            listening = running.enter_context(socket.create_server(("127.0.0.1", 0)))
            server = uvicorn.Server(uvicorn.Config("api.app:create_app", factory=True, log_level="warning", ws="none"))
            thread = threading.Thread(target=server.run, args=([listening],))
            thread.start()
            running.callback(thread.join)
            running.callback(setattr, server, "should_exit", True)
            while not server.started:
                assert thread.is_alive(), "the service did not start"
                time.sleep(0.005)
            return Client(listening.getsockname()[1])

        yield start


@pytest.fixture
def service(serve: Callable[..., Client]) -> Client:
    """A service with nothing set."""
    return serve()
