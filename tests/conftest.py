"""What all tests share: a stub judge, a store, and no way out of this machine."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from judge.store import open_store
from judge.store.store import Store

STUB = Path(__file__).parent / "stub_judge.py"
LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True, slots=True)
class Stub:
    """A running stub judge; see stub_judge.py for its faults and modes."""

    url: str

    @property
    def base_url(self) -> str:
        """What a judge's `base_url` is to be."""
        return f"{self.url}/v1"

    def behave(self, mode: str, **how: object) -> None:
        self._http("behave", {"mode": mode, **how})

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


@pytest.fixture
def stub() -> Iterator[Callable[..., Stub]]:
    """Starts a stub judge with the flags given: `stub("--latency-ms", "50")`. Each ends with the test."""
    with ExitStack() as running:

        def start(*flags: str) -> Stub:
            command = [sys.executable, str(STUB), "--port", "0", *flags]
            process = running.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
            running.callback(process.kill)
            assert process.stdout
            return Stub(process.stdout.readline().split()[-1])

        yield start


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty store in a file of its own."""
    with open_store(f"sqlite:///{tmp_path}/judge.db") as opened:
        yield opened


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key or setting of whoever runs the tests, and no connection that leaves this machine."""
    for name in [name for name in os.environ if name == "OPENAI_API_KEY" or name.startswith("JUDGE_")]:
        monkeypatch.delenv(name)
    connect = socket.socket.connect

    def at_home_only(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in LOOPBACK:
            raise AssertionError(f"a test tried to reach {address[0]}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", at_home_only)
