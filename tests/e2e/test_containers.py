"""A service that is killed and started again under another name, with process numbers of its own: as containers are."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from shutil import which
from typing import TYPE_CHECKING

import pytest

from tests.e2e.test_serve import Service, free_port, offering, sent

if TYPE_CHECKING:
    from tests.conftest import Stub
    from tests.e2e.conftest import Terminal

APART = ("unshare", "--uts", "--pid", "--fork", "--mount-proc", "--kill-child")
AT_ONCE = 4


@contextmanager
def contained(terminal: Terminal, name: str) -> Iterator[Service]:
    """`judge serve`, on a machine of that name as far as it can tell; killed in the end."""
    port = free_port()
    command = [*APART, "sh", "-c", f'hostname {name}; exec "$0" "$@"', sys.executable, "-m", "judge", "serve"]
    with subprocess.Popen(
        [*command, "--no-keys", "--port", str(port)],
        cwd=terminal.folder,
        env=terminal.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
    ) as process:
        service = Service(process, port)
        try:
            terminal.wait(process, lambda: service.ask("GET", "/healthz") is not None)
            yield service
        finally:
            process.kill()


@pytest.fixture
def steady(stub: Callable[..., Stub]) -> Stub:
    """A stub that takes a tenth of a second for an answer."""
    return stub("--seed-regex", r"ITEM-\d+", "--latency-ms", "100")


@pytest.fixture
def place(anywhere: Terminal, steady: Stub) -> Terminal:
    """A folder with a service's rubric and judge, and a database of each kind."""
    if not which("unshare") or subprocess.run([*APART, "hostname", "other"], capture_output=True).returncode:
        pytest.skip("this user may not make namespaces with unshare, and has no containers to start")
    return offering(anywhere, steady, concurrency=AT_ONCE)


def begun(place: Terminal, service: Service) -> str:
    """A run of 40 items, of which some are graded."""
    asked = {"items": place.rows("items.jsonl"), "rubric": "reply", "judge": "local"}
    run: str = service.ask("POST", "/v1/runs", asked)["id"]
    place.wait(service.process, lambda: service.ask("GET", f"/v1/runs/{run}")["graded"] >= 8)
    return run


def test_a_run_goes_on_by_itself_where_the_machine_has_another_name(place: Terminal, steady: Stub) -> None:
    with contained(place, "first") as service:
        run = begun(place, service)
    service.process.wait()
    before = sent(steady).total()
    with contained(place, "second") as service:
        ready = time.monotonic()
        place.wait(service.process, lambda: sent(steady).total() > before)
        assert time.monotonic() - ready < 5
        if "JUDGE_DATABASE_URL" in place.environment:
            return  # of another machine nobody knows that it is gone: what it had in flight may still be answered
        place.wait(service.process, lambda: service.ask("GET", f"/v1/runs/{run}")["status"] == "completed")
        found = service.ask("GET", f"/v1/runs/{run}")
    assert found["graded"] + found["held"] == 40
    assert found["held"] <= AT_ONCE
    assert set(sent(steady).values()) == {1}


def test_what_lives_in_another_container_is_left_to_it(place: Terminal, steady: Stub) -> None:
    with contained(place, "first") as first:
        run = begun(place, first)
        with contained(place, "second") as second:
            place.wait(first.process, lambda: second.ask("GET", f"/v1/runs/{run}")["status"] == "completed")
            found = second.ask("GET", f"/v1/runs/{run}")
        assert first.process.poll() is None
    assert (found["graded"], found["held"]) == (40, 0)
    assert set(sent(steady).values()) == {1}
