"""`judge serve` and commands at one database: what one of them has paid the others do not pay again."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import subprocess

    from tests.conftest import Stub
    from tests.e2e.conftest import Row, Terminal

GRADE = ("--rubric", "reply.yaml", "--judge", "judges/local.yaml", "--json")


@dataclass(frozen=True, slots=True)
class Service:
    """A running `judge serve`."""

    process: subprocess.Popen[str]
    port: int

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """The JSON that comes back; None where nobody listens."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=40)) as connection:
            try:
                connection.request(method, path, json.dumps(body), {"Content-Type": "application/json", **headers})
            except ConnectionRefusedError:
                return None
            return json.load(connection.getresponse())

    def grades(self, rows: list[Row]) -> Any:
        """The answer to a request for grades of these items."""
        return self.ask("POST", "/v1/grades", {"items": rows, "rubric": "reply", "judge": "local"})


def free_port() -> int:
    """A port that nobody listens on."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        return int(free.getsockname()[1])


@contextmanager
def serving(terminal: Terminal, *flags: str, keys: bool = False) -> Iterator[Service]:
    """`judge serve`, as long as the block lasts; it may ask for keys."""
    port = free_port()
    with terminal.start("serve", *([] if keys else ["--no-keys"]), "--port", str(port), *flags) as process:
        service = Service(process, port)
        try:
            terminal.wait(process, lambda: service.ask("GET", "/healthz") is not None)
            yield service
        finally:
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=20)
    assert "Traceback" not in said, said


@pytest.fixture
def steady(stub: Callable[..., Stub]) -> Stub:
    """A stub that takes a tenth of a second for an answer."""
    return stub("--seed-regex", r"ITEM-\d+", "--latency-ms", "100")


def offering(terminal: Terminal, stub: Stub, **judge: object) -> Terminal:
    """A folder whose rubric and judge a service offers, too."""
    (terminal.folder / "judges").mkdir()
    (terminal.folder / "rubrics").mkdir()
    terminal.write("rubrics/reply.yaml", (terminal.folder / "reply.yaml").read_bytes())
    terminal.judge(stub, "judges/local.yaml", **{"concurrency": 4, **judge})
    offered = {"JUDGE_JUDGES_DIR": "judges", "JUDGE_RUBRICS_DIR": "rubrics"}
    return replace(terminal, environment=terminal.environment | offered)


@pytest.fixture
def place(anywhere: Terminal, steady: Stub) -> Terminal:
    """A folder with a service's rubric and judge, and a database of each kind."""
    return offering(anywhere, steady)


def sent(stub: Stub) -> Counter[str]:
    """How often each call for an item was sent."""
    return Counter(call["body_sha256"] for call in stub.calls() if call["items"])


def paid(usage: Any) -> tuple[int, int]:
    """Calls that were made, and answers that were there."""
    return usage["calls"], usage["reused"]


def test_what_a_command_or_a_service_has_paid_the_other_does_not_pay_again(place: Terminal, steady: Stub) -> None:
    rows = place.rows("items.jsonl")
    first = place.run("grade", "items.jsonl", *GRADE, "--limit", "10", "--out", "first.jsonl")
    assert paid(first.json["totals"]) == (10, 0)
    with serving(place) as service:
        served = service.grades(rows[:20])
        assert paid(served["usage"]) == (10, 10)
        second = place.run("grade", "items.jsonl", *GRADE, "--limit", "30", "--out", "second.jsonl")
        assert paid(second.json["totals"]) == (10, 20)
        again = service.grades(rows[:30])
        assert (*paid(again["usage"]), again["usage"]["cost_usd"]) == (0, 30, 0)
    told = {one["item"]: one["criteria"] for one in again["data"]}
    for grades in (place.rows("first.jsonl"), place.rows("second.jsonl"), served["data"]):
        assert {one["item"]: one["criteria"] for one in grades} == {one["item"]: told[one["item"]] for one in grades}
    assert (len(told), len(sent(steady)), sent(steady).total()) == (30, 30, 30)
    assert steady.stats()["requests"] == 31  # one of them finds out how to ask, for both


def test_several_at_once_pay_once_for_what_all_ask(place: Terminal, steady: Stub) -> None:
    rows = place.rows("items.jsonl")
    place.write("back.jsonl", "".join(json.dumps(row) + "\n" for row in rows[::-1]))
    with serving(place) as service, serving(place) as other, ThreadPoolExecutor() as threads:
        commands = [place.start("grade", name, *GRADE) for name in ("items.jsonl", "back.jsonl")]
        place.wait(commands[0], lambda: steady.stats()["requests"] >= 3)
        asked = [threads.submit(one.grades, part) for one, part in ((service, rows[10:] + rows[:10]), (other, rows))]
        said = [one.communicate(timeout=40) for one in commands]
        # Who has paid for an answer is a matter of chance.
        served = [[{**grade, "usage": None} for grade in one.result()["data"]] for one in asked]
    assert [one.returncode for one in commands] == [0, 0], said
    first, second = (json.loads(out)["criteria"] for out, _ in said)
    assert first == second
    assert sorted(served[0], key=lambda one: int(one["item"][1:])) == served[1]
    assert (len(sent(steady)), sent(steady).total()) == (40, 40)
    assert min(place.count("call", f"run IS {ours} NULL") for ours in ("", "NOT")) > 0, "nothing was shared"


def test_a_service_that_is_killed_leaves_answers_to_use_and_calls_that_are_lost(place: Terminal, steady: Stub) -> None:
    rows = place.rows("items.jsonl")
    with serving(place) as service, ThreadPoolExecutor() as threads:
        asked = threads.submit(service.grades, rows)
        place.wait(service.process, lambda: steady.stats()["status"].get("200", 0) >= 9)
        time.sleep(0.1)  # the next calls are under way
        os.kill(service.process.pid, signal.SIGKILL)
        with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
            asked.result()
    before = sent(steady)
    ended = place.run("grade", "items.jsonl", *GRADE)
    outcomes, totals = ended.json["overall"]["outcomes"], ended.json["totals"]
    lost = outcomes.get("lost", 0)
    assert outcomes == ({"scored": 40 - lost, "lost": lost} if lost else {"scored": 40})
    # What the judge saw and nobody heard of is lost; a row whose call was not yet sent when the kill came is too.
    assert before.total() - totals["reused"] <= lost <= 4
    assert totals["reused"] + totals["calls"] + lost == 40
    assert len(before) > 4
    assert max(sent(steady).values()) == 1
    known = sent(steady).total()
    resent = place.run("grade", "items.jsonl", *GRADE, "--resend-lost")
    assert resent.json["overall"]["outcomes"] == {"scored": 40}
    assert len(sent(steady)) == 40
    assert sent(steady).total() == known + lost


def test_a_run_goes_on_by_itself_after_the_service_was_killed(place: Terminal, steady: Stub) -> None:
    asked = {"items": place.rows("items.jsonl"), "rubric": "reply", "judge": "local"}
    with serving(place) as service:
        run = service.ask("POST", "/v1/runs", asked)["id"]
        place.wait(service.process, lambda: service.ask("GET", f"/v1/runs/{run}")["graded"] >= 8)
        acknowledged = {one["item"] for one in service.ask("GET", f"/v1/runs/{run}/grades")["data"]}
        os.kill(service.process.pid, signal.SIGKILL)
        service.process.wait()
    before, begun = sent(steady), time.monotonic()
    with serving(place) as service:
        ready = time.monotonic()
        place.wait(service.process, lambda: sent(steady).total() > before.total())
        first = time.monotonic()
        assert first - ready < 5  # nobody told it to
        # From the command on: a start takes a second or two, and longer on a busy machine. A queue gives out what a
        # killed process had after a silence of 4 s.
        assert first - begun < 12
        place.wait(service.process, lambda: service.ask("GET", f"/v1/runs/{run}")["status"] == "completed")
        found = service.ask("GET", f"/v1/runs/{run}")
        grades = {one["item"]: one for one in service.ask("GET", f"/v1/runs/{run}/grades")["data"]}
        assert (found["graded"] + found["held"], len(grades)) == (40, 40)
        assert found["held"] <= 4  # what was under way
        assert {grades[item]["outcome"] for item in acknowledged} == {"scored"}
        assert set(sent(steady).values()) == {1}
        once = sent(steady).total()  # of those that are lost some were never sent: the row is there first
        service.ask("POST", f"/v1/runs/{run}/resume", {"resend_lost": True})
        place.wait(service.process, lambda: service.ask("GET", f"/v1/runs/{run}")["graded"] == 40)
    assert sent(steady).total() == once + found["held"]


def test_a_request_with_a_key_makes_one_run_whenever_the_service_is_killed(place: Terminal) -> None:
    asked = {"items": place.rows("items.jsonl")[:3], "rubric": "reply", "judge": "simulated", "fresh": True}
    for number in range(1, 5):
        key = {"Idempotency-Key": f"key-{number}"}
        with serving(place) as service, ThreadPoolExecutor(1) as aside:
            first = aside.submit(service.ask, "POST", "/v1/runs", asked, **key)
            place.wait(service.process, lambda number=number: place.count("run") >= number)
            service.process.kill()  # at the very moment when the run is there
            service.process.wait()
            with suppress(OSError, http.client.HTTPException):
                first.result()
        with serving(place) as service:
            (run,) = (one["id"] for one in service.ask("GET", "/v1/runs?limit=1")["data"])
            place.wait(service.process, lambda run=run: service.ask("GET", f"/v1/runs/{run}")["status"] == "completed")
            assert service.ask("POST", "/v1/runs", asked, **key)["id"] == run
            assert place.count("run") == number


def test_a_service_that_is_stopped_keeps_what_was_under_way(place: Terminal, steady: Stub) -> None:
    asked = {"items": place.rows("items.jsonl"), "rubric": "reply", "judge": "local"}
    with serving(place) as service:
        run = service.ask("POST", "/v1/runs", asked)["id"]
        place.wait(service.process, lambda: service.ask("GET", f"/v1/runs/{run}")["graded"] >= 8)
        service.process.send_signal(signal.SIGTERM)
        service.process.wait(timeout=20)
    assert place.count("call", "state = 'sent'") == place.count("call", "state = 'lost'") == 0
    with serving(place) as service:
        place.wait(service.process, lambda: service.ask("GET", f"/v1/runs/{run}")["status"] == "completed")
        assert service.ask("GET", f"/v1/runs/{run}")["graded"] == 40
    assert (len(sent(steady)), sent(steady).total()) == (40, 40)
