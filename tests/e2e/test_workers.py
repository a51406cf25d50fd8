"""`judge worker`: several real processes at one PostgreSQL, killed, frozen and stopped while they share runs."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.conftest import items
from tests.e2e.test_serve import Service, offering, sent, serving

if TYPE_CHECKING:
    import subprocess

    from tests.conftest import Stub
    from tests.e2e.conftest import Terminal

    Process = subprocess.Popen[str]

COUNT = 150  # six chunks
ASKED = {"items": items(COUNT), "rubric": "reply", "judge": "local"}


@pytest.fixture
def steady(stub: Callable[..., Stub]) -> Stub:
    """A stub that takes a fifth of a second for an answer."""
    return stub("--seed-regex", r"ITEM-\d+", "--latency-ms", "200")


@pytest.fixture
def place(on_postgres: Terminal, steady: Stub) -> Terminal:
    return offering(on_postgres, steady)


@contextmanager
def working(terminal: Terminal, count: int = 2) -> Iterator[list[Process]]:
    """`judge worker`, so many times, as long as the block lasts. Each says when it begins."""
    with ExitStack() as several:
        processes = [several.enter_context(terminal.start("worker", "--chunks", "2")) for _ in range(count)]
        try:
            for process in processes:
                assert process.stderr is not None
                assert "grading what is wanted" in process.stderr.readline()
            yield processes
        finally:
            for process in processes:
                process.send_signal(signal.SIGCONT)
                process.terminate()
            said = [process.communicate(timeout=20)[1] for process in processes]
    assert not any("Traceback" in one or '"level": "error"' in one for one in said), said


@pytest.fixture
def service(place: Terminal) -> Iterator[Service]:
    """A service that grades nothing itself."""
    with serving(place, "--no-worker") as served:
        yield served


def status(service: Service, run: str) -> Any:
    return service.ask("GET", f"/v1/runs/{run}")


def graded(service: Service, run: str, count: int) -> Callable[[], bool]:
    return lambda: status(service, run)["graded"] >= count


def ended(service: Service, run: str) -> Callable[[], bool]:
    return lambda: status(service, run)["status"] in ("completed", "paused", "cancelled")


def senders(place: Terminal) -> set[str]:
    """The processes that sent calls for items."""
    return {owner for (owner,) in place.sql("SELECT DISTINCT owner FROM call WHERE run IS NOT NULL")}


def test_workers_share_the_chunks_of_a_run(place: Terminal, steady: Stub, service: Service) -> None:
    run = service.ask("POST", "/v1/runs", ASKED)["id"]
    assert status(service, run)["status"] == "queued"
    with working(place) as (one, _):
        place.wait(one, ended(service, run))
        assert (status(service, run)["status"], status(service, run)["graded"]) == ("completed", COUNT)
        assert len(senders(place)) == 2
        assert (len(sent(steady)), sent(steady).total()) == (COUNT, COUNT)
        assert service.ask("POST", "/v1/runs", ASKED)["id"] == run  # graded already: it is completed again at once
        place.wait(one, ended(service, run))
    assert sent(steady).total() == COUNT
    assert place.count("procrastinate_jobs") == 0


def test_another_worker_takes_the_chunks_of_one_that_was_killed(
    place: Terminal, steady: Stub, service: Service
) -> None:
    run = service.ask("POST", "/v1/runs", ASKED)["id"]
    with working(place) as (one, other):
        place.wait(one, graded(service, run, 20))
        os.kill(other.pid, signal.SIGKILL)
        known = {grade["item"] for grade in service.ask("GET", f"/v1/runs/{run}/grades?limit=100")["data"]}
        place.wait(one, ended(service, run))
        found = status(service, run)
        assert (found["status"], found["graded"] + found["held"]) == ("completed", COUNT)
        assert found["held"] <= 4, "more than it had under way"
        assert set(sent(steady).values()) == {1}
        lost = {item for (item,) in place.sql("SELECT item_id FROM run_item WHERE state = 'held'")}
        assert (len(lost), lost & known) == (found["held"], set())
        once = sent(steady).total()
        service.ask("POST", f"/v1/runs/{run}/resume", {"resend_lost": True})
        place.wait(one, graded(service, run, COUNT))
    assert sent(steady).total() == once + found["held"]


def test_a_worker_that_was_frozen_and_goes_on_sends_nothing_twice(
    place: Terminal, steady: Stub, service: Service
) -> None:
    run = service.ask("POST", "/v1/runs", ASKED)["id"]
    with working(place) as (one, other):
        place.wait(one, graded(service, run, 20))
        os.kill(other.pid, signal.SIGSTOP)
        # Taken for dead after a silence, its chunks go to the other one, which waits for what only it can have.
        place.wait(one, graded(service, run, COUNT - 4))
        before = status(service, run)
        os.kill(other.pid, signal.SIGCONT)
        place.wait(one, ended(service, run))
        after = status(service, run)
    assert before["graded"] < COUNT
    assert (after["status"], after["graded"]) == ("completed", COUNT)
    assert (len(sent(steady)), sent(steady).total()) == (COUNT, COUNT)


def test_a_worker_that_is_stopped_keeps_what_it_has_and_gives_the_rest_back(
    place: Terminal, steady: Stub, service: Service
) -> None:
    run = service.ask("POST", "/v1/runs", ASKED)["id"]
    with working(place) as (one, other):
        place.wait(one, graded(service, run, 20))
        other.terminate()
        other.wait(timeout=10)
        assert place.count("call", "state = 'lost'") == 0
        place.wait(one, ended(service, run))
        assert status(service, run)["graded"] == COUNT
    assert sent(steady).total() == COUNT


def test_what_is_cancelled_at_a_service_stops_in_the_workers(place: Terminal, steady: Stub, service: Service) -> None:
    run = service.ask("POST", "/v1/runs", ASKED)["id"]
    with working(place) as (one, _):
        place.wait(one, graded(service, run, 10))
        assert service.ask("POST", f"/v1/runs/{run}/cancel")["status"] == "cancelled"
        place.wait(one, lambda: place.count("procrastinate_jobs") == 0)
        assert place.count("call", "state IN ('sent', 'lost')") == 0  # answers under way were awaited and kept
        found = status(service, run)
        assert found["open"] > 0
        assert found["graded"] == place.count("call", "run IS NOT NULL")
        service.ask("POST", f"/v1/runs/{run}/resume", {})
        place.wait(one, ended(service, run))
    assert sent(steady).total() == COUNT


def test_one_worker_alone_goes_on_after_a_kill(place: Terminal, steady: Stub, service: Service) -> None:
    run = service.ask("POST", "/v1/runs", ASKED)["id"]
    with working(place, 1) as (one,):
        place.wait(one, graded(service, run, 20))
        os.kill(one.pid, signal.SIGKILL)
        one.wait()
    before = sent(steady).total()
    with working(place, 1) as (one,):
        begun = time.monotonic()
        place.wait(one, lambda: sent(steady).total() > before)
        assert time.monotonic() - begun < 5
        place.wait(one, ended(service, run))
    assert set(sent(steady).values()) == {1}


def test_a_budget_holds_for_all_workers_together(on_postgres: Terminal, stub: Callable[..., Stub]) -> None:
    server = stub("--seed-regex", r"ITEM-\d+", "--latency-ms", "50")
    place = offering(on_postgres, server, concurrency=8)
    with serving(place, "--no-worker") as service, working(place) as (one, _):
        run = service.ask("POST", "/v1/runs", {**ASKED, "budget_usd": 0.1})["id"]
        place.wait(one, ended(service, run))
        found = status(service, run)
        assert (found["status"], found["held"]) == ("paused", 0)
        assert "budget" in found["why"]
        ((spent,),) = place.sql("SELECT sum(coalesce(cost_usd, reserved_usd)) FROM call WHERE run IS NOT NULL")
        assert 0 < spent <= 0.1


def test_a_file_is_graded_by_the_process_that_has_it(terminal: Terminal) -> None:
    for command in (("worker",), ("serve", "--no-keys", "--no-worker")):
        told = terminal.run(*command)
        assert (told.status, told.out) == (2, "")
        assert "SQLite" in told.err


def test_doctor_says_what_waits_and_who_is_there_to_grade_it(place: Terminal, steady: Stub, service: Service) -> None:
    assert "ok   service: 0 runs wanted, 0 workers alive" in place.run("doctor").out
    run = service.ask("POST", "/v1/runs", {**ASKED, "items": items(30)})["id"]
    waits = place.run("doctor")
    assert (waits.status, waits.out.count("MEND")) == (1, 1)
    assert "MEND service: 1 runs wanted, 0 workers alive; start one with: judge worker" in waits.out
    with working(place, 1) as (one,):
        place.wait(one, ended(service, run))
        assert "ok   service: 0 runs wanted, 1 workers alive" in place.run("doctor").out
        os.kill(one.pid, signal.SIGSTOP)
        # Nobody else would take it off the list: its last word is too old.
        place.wait(one, lambda: "0 workers alive" in place.run("doctor").out)
    place.sql("ALTER TABLE procrastinate_workers RENAME TO elsewhere")
    gone = place.run("doctor")
    place.sql("ALTER TABLE elsewhere RENAME TO procrastinate_workers")
    assert (gone.status, "MEND service: 0 runs wanted, and the tables of the queue are gone" in gone.out) == (1, True)


def test_requests_a_minute_hold_for_all_workers_together(on_postgres: Terminal, stub: Callable[..., Stub]) -> None:
    place = offering(on_postgres, stub("--seed-regex", r"ITEM-\d+"), concurrency=32, rpm=1200)
    with serving(place, "--no-worker") as service, working(place) as (one, _):
        run = service.ask("POST", "/v1/runs", {**ASKED, "items": items(75)})["id"]
        place.wait(one, ended(service, run))
        ((first, last),) = place.sql("SELECT min(sent_at), max(sent_at) FROM call WHERE run IS NOT NULL")
        assert len(senders(place)) == 2
    # Twenty a second, and twenty at once in the beginning; each alone would have sent twice as many.
    assert last - first >= (75 - 20) / 20 - 0.5


def test_tokens_a_minute_hold_for_all_workers_together(on_postgres: Terminal, stub: Callable[..., Stub]) -> None:
    server = stub("--seed-regex", r"ITEM-\d+")
    place = offering(on_postgres, server, concurrency=8, tpm=20_000, max_tokens=256)
    with serving(place, "--no-worker") as service, working(place) as (one, _):
        run = service.ask("POST", "/v1/runs", {**ASKED, "items": items(75)})["id"]
        before = -1
        while (count := sent(server).total()) > before or not count:
            before = count
            time.sleep(1)
        service.ask("POST", f"/v1/runs/{run}/cancel")
        place.wait(one, lambda: place.count("procrastinate_jobs") == 0)
        assert len(senders(place)) == 2
    ((asked, took_s),) = place.sql("SELECT sum(prompt_tokens), max(sent_at) - min(sent_at) FROM call")
    # A minute's worth at once, of what each may come to; each alone would have sent as many.
    assert 20 < sent(server).total() <= 20_000 * (1 + took_s / 60) / (256 + asked / place.count("call"))
