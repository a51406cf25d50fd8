"""What holds of a service whose processes and database end at any moment; at length: `python -m benchmarks.chaos`."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.cluster import Cluster, cluster, programs
from judge.ledger import call_key
from tests.e2e.conftest import items
from tests.e2e.test_serve import Service, free_port, offering, sent

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Stub
    from tests.e2e.conftest import Terminal

COUNT = 120  # five chunks
ASKED = {"items": items(COUNT), "rubric": "reply", "judge": "local"}
WAIT_S = 90.0
STEP_S = 0.05


@dataclass(slots=True)
class Crew:
    """Services and workers, each started again as often as it was killed, and what was said of grades."""

    place: Terminal
    stub: Stub
    commands: list[tuple[str, ...]]
    ports: list[int]
    processes: list[subprocess.Popen[str]] = field(default_factory=list)
    told: dict[str, Any] = field(default_factory=dict)

    def start(self, which: int) -> None:
        """Starts a process, whose words are kept in a file."""
        with self.log(which).open("ab") as log:
            one = subprocess.Popen(
                [sys.executable, "-m", "judge", *self.commands[which]],
                cwd=self.place.folder,
                env=self.place.environment,
                stdout=log,
                stderr=log,
                text=True,
            )
        self.processes[which : which + 1] = [one]

    def log(self, which: int) -> Path:
        return self.place.folder / f"process-{which}.log"

    def kill(self, which: int) -> None:
        """SIGKILL, and a new start at once."""
        self.processes[which].kill()
        self.processes[which].wait()
        self.start(which)

    def kill_in_turn(self, run: str, several: Sequence[int | None], every: int) -> None:
        """Kills processes one after the other, each when so many more answers have come.

        None is one that waits for some. What is looked up afterwards is no answer that came.
        """
        for kill, which in enumerate(several, 1):
            self.wait(self.answered(every * kill))
            self.look(run)
            self.kill(self.waiting() if which is None else which)

    def waiting(self) -> int:
        """A process that has calls under way."""
        found: list[int] = []

        def one_is() -> bool:
            owners = self.place.sql("SELECT owner FROM call WHERE state = 'sent'")
            pids = {int(owner.split(":")[-2]) for (owner,) in owners}
            found.extend(which for which, one in enumerate(self.processes) if one.pid in pids)
            return bool(found)

        self.wait(one_is)
        return found[0]

    def ask(self, method: str, path: str, body: Any = None, by: int = 0) -> Any:
        """What a service answers when it does."""
        until = time.monotonic() + WAIT_S
        while time.monotonic() < until:
            try:
                found = Service(self.processes[by], self.ports[by]).ask(method, path, body)
            except (OSError, http.client.HTTPException):
                found = None
            if found is not None and found.get("status") not in (429, 503):
                return found
            time.sleep(STEP_S)
        raise AssertionError(f"no answer: {self.log(by).read_text()}")

    def wait(self, holds: Callable[[], bool]) -> None:
        """Waits until something holds."""
        until = time.monotonic() + WAIT_S
        while not holds():
            assert time.monotonic() < until, "waited in vain"
            time.sleep(STEP_S)

    def answered(self, count: int) -> Callable[[], bool]:
        """Whether the judge has given so many answers."""
        return lambda: self.stub.stats()["status"].get("200", 0) >= count

    def look(self, run: str) -> None:
        """What was said of a grade stands."""
        said = self.ask("GET", f"/v1/runs/{run}/grades?limit=500")["data"]
        scored = {one["item"]: one["criteria"] for one in said if one["outcome"] == "scored"}
        assert {item: scored.get(item) for item in self.told} == self.told
        self.told.update(scored)

    def end(self, run: str) -> Any:
        """Waits until a run is over, which nobody helps with, and holds its ledger against what the judge saw."""
        self.wait(lambda: self.ask("GET", f"/v1/runs/{run}")["status"] not in ("queued", "running"))
        self.look(run)
        found = self.ask("GET", f"/v1/runs/{run}")
        assert (found["status"], found["graded"] + found["held"]) == ("completed", COUNT)
        rows = dict(self.place.sql("SELECT key, state FROM call WHERE run IS NOT NULL AND state <> 'rejected'"))
        lost = {key for key, state in rows.items() if state == "lost"}
        calls = [call for call in self.stub.calls() if call["items"]]
        endpoint = f"{self.stub.base_url}/chat/completions"
        keys = [call_key("local", endpoint, call["body"].encode(), 0, 0) for call in calls]
        assert set(sent(self.stub).values()) == {1}
        assert set(rows.values()) <= {"answered", "lost"}
        assert (len(rows), len(lost)) == (COUNT, found["held"])
        assert {key for key, call in zip(keys, calls, strict=True) if call["answered"] is None} <= lost
        assert rows.keys() - lost <= set(keys) <= rows.keys()
        return found

    def mend(self, run: str) -> None:
        """What is lost is sent again, and then all is graded."""
        self.ask("POST", f"/v1/runs/{run}/resume", {"resend_lost": True})
        self.wait(lambda: self.ask("GET", f"/v1/runs/{run}")["graded"] == COUNT)
        self.look(run)
        assert len(self.told) == COUNT


@contextmanager
def crew(place: Terminal, stub: Stub, services: int, workers: int) -> Iterator[Crew]:
    """Its processes, as long as the block lasts: none of them may say what its operator should not see."""
    ports = [free_port() for _ in range(services)]
    serve = [("serve", "--no-keys", "--port", str(port), *(["--no-worker"] if workers else [])) for port in ports]
    made = Crew(place, stub, [*serve, *[("worker", "--chunks", "2")] * workers], ports)
    try:
        for which in range(len(made.commands)):
            made.start(which)
        yield made
    finally:
        for process in made.processes:
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in made.processes:
            process.wait(timeout=WAIT_S)
    said = "".join(made.log(which).read_text() for which in range(len(made.commands)))
    assert not [line for line in said.splitlines() if "Traceback" in line or "never retrieved" in line], said


@pytest.fixture
def steady(stub: Callable[..., Stub]) -> Stub:
    """A judge that takes 50 to 200 ms for an answer."""
    return stub("--seed-regex", r"ITEM-\d+", "--latency-ms", "50", "--latency-max-ms", "200", "--bodies")


@pytest.fixture(scope="module")
def server() -> Iterator[Cluster]:
    """A PostgreSQL of these tests' own."""
    if (installed := programs()) is None:
        pytest.skip("there is no PostgreSQL server here that a test could start; install one: postgresql")
    with cluster(installed) as one:
        yield one


@pytest.fixture
def here(terminal: Terminal, steady: Stub) -> Terminal:
    """A folder with a service's rubric and judge, and a file for its database."""
    return offering(terminal, steady)


@pytest.fixture
def there(here: Terminal, server: Cluster, request: pytest.FixtureRequest) -> Terminal:
    """The same, with a database on the server."""
    url = server.database(request.node.name[:60])
    return replace(here, environment=here.environment | {"JUDGE_DATABASE_URL": url})


def test_a_service_that_is_killed_again_and_again_loses_no_grade(here: Terminal, steady: Stub) -> None:
    with crew(here, steady, 1, 0) as one:
        run = one.ask("POST", "/v1/runs", ASKED)["id"]
        one.kill_in_turn(run, (0, 0, 0), every=30)
        assert one.end(run)["held"] <= 3 * 4
        one.mend(run)


def test_nothing_is_lost_to_kills_where_the_judge_keeps_its_answers(there: Terminal, steady: Stub) -> None:
    there.judge(steady, "judges/local.yaml", concurrency=4, store=True, timeout_s=2)
    hasty = replace(there, environment=there.environment | {"JUDGE_LOOKUP_LAG_S": "1"})
    with crew(hasty, steady, 1, 2) as one:
        run = one.ask("POST", "/v1/runs", ASKED)["id"]
        one.kill_in_turn(run, (None, None, None, None, 0), every=12)
        one.wait(lambda: one.ask("GET", f"/v1/runs/{run}")["status"] == "completed")
        one.look(run)
        assert len(one.told) == COUNT
    assert (len(sent(steady)), sent(steady).total()) == (COUNT, COUNT)
    states = Counter(state for (state,) in there.sql("SELECT state FROM call WHERE run IS NOT NULL"))
    assert states["answered"] == COUNT
    assert states.keys() <= {"answered", "rejected"}  # one that never left its process is sent again
    assert any(call["answered"] is None for call in steady.calls())  # and others were looked up


def test_services_and_workers_that_are_killed_lose_no_grade(there: Terminal, steady: Stub) -> None:
    with crew(there, steady, 1, 2) as one:
        run = one.ask("POST", "/v1/runs", ASKED)["id"]
        one.kill_in_turn(run, (1, 2, 0, 1, 2), every=18)
        assert one.end(run)["held"] <= 5 * 4
        one.mend(run)


def test_a_database_that_goes_away_and_comes_back_costs_nothing(there: Terminal, steady: Stub, server: Cluster) -> None:
    with crew(there, steady, 1, 2) as one:
        run = one.ask("POST", "/v1/runs", ASKED)["id"]
        for stop, by in enumerate((signal.SIGINT, signal.SIGQUIT, signal.SIGKILL), 1):
            one.wait(one.answered(25 * stop))
            one.look(run)
            server.restart(by)
        assert one.end(run)["held"] == 0
        one.wait(lambda: there.count("procrastinate_jobs") == 0)
        assert all(process.poll() is None for process in one.processes)


def test_a_worker_that_stands_still_sends_nothing_twice(there: Terminal, steady: Stub) -> None:
    with crew(there, steady, 1, 2) as one:
        run = one.ask("POST", "/v1/runs", ASKED)["id"]
        one.wait(one.answered(30))
        os.kill(one.processes[1].pid, signal.SIGSTOP)
        one.wait(one.answered(COUNT - 4))
        one.look(run)
        os.kill(one.processes[1].pid, signal.SIGCONT)
        assert one.end(run)["held"] == 0


def test_equal_submissions_at_once_are_one_run(there: Terminal, steady: Stub) -> None:
    with crew(there, steady, 2, 1) as one, ThreadPoolExecutor(20) as threads:
        for n in range(5):
            body, together = {**ASKED, "items": items(3 + n)}, Barrier(20)

            def submit(place: int, body: Any = body, together: Barrier = together) -> str:
                together.wait()
                return str(one.ask("POST", "/v1/runs", body, place % 2)["id"])

            assert len(set(threads.map(submit, range(20)))) == 1
        assert there.count("run") == 5
        one.wait(lambda: there.count("submission", "state <> 'done'") == 0)
    assert (len(sent(steady)), sent(steady).total()) == (7, 7)  # what runs share is asked once
