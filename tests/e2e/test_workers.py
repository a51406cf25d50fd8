"""`judge worker`: several real processes at one PostgreSQL, killed, frozen and stopped while they share runs."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from judge.chunks import CHUNK_ITEMS
from tests.e2e.conftest import items
from tests.e2e.test_serve import Service, free_port, offering, sent, serving

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
def working(terminal: Terminal, count: int = 2, *options: str) -> Iterator[list[Process]]:
    """`judge worker`, so many times, as long as the block lasts. Each says when it begins."""
    with ExitStack() as several:
        processes = [several.enter_context(terminal.start("worker", "--chunks", "2", *options)) for _ in range(count)]
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


def figures(port: int) -> dict[str, dict[tuple[str, ...], float]]:
    """What Prometheus would read at a port: figures by their labels' values in the order of the labels' names."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("GET", "/metrics")
        reply = connection.getresponse()
        assert (reply.status, reply.headers.get_content_type()) == (200, "text/plain")
        told = reply.read().decode()
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(told):
        for one in family.samples:
            found.setdefault(one.name, {})[tuple(value for _, value in sorted(one.labels.items()))] = one.value
    return found


def senders(place: Terminal) -> set[str]:
    """The processes that sent calls for items."""
    return {owner for (owner,) in place.sql("SELECT DISTINCT owner FROM call WHERE run IS NOT NULL")}


def taken_over_at(place: Terminal, one: Process, other: Process, after: float) -> float:
    """When a process sent its first call after a moment for a chunk that another one had begun."""
    known = f"""
        SELECT seq / {CHUNK_ITEMS} AS chunk, owner, sent_at
        FROM run_item CROSS JOIN json_array_elements_text(call_keys::json) AS made JOIN call ON call.key = made
    """
    begun = f"SELECT chunk FROM known WHERE owner LIKE '%:{other.pid}:%' AND sent_at <= {after}"
    ours = f"owner LIKE '%:{one.pid}:%' AND sent_at > {after} AND chunk IN ({begun})"
    ((at,),) = place.sql(f"WITH known AS ({known}) SELECT min(sent_at) FROM known WHERE {ours}")
    assert at is not None, "no chunk was taken over"
    return float(at)


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
        killed = time.time()
        os.kill(other.pid, signal.SIGKILL)
        known = {grade["item"] for grade in service.ask("GET", f"/v1/runs/{run}/grades?limit=100")["data"]}
        place.wait(one, ended(service, run))
        found = status(service, run)
        assert (found["status"], found["graded"] + found["held"]) == ("completed", COUNT)
        assert found["held"] <= 4, "more than it had under way"
        # Noticed after a silence of 4 s, by one that looks each second; the rest is slack.
        assert taken_over_at(place, one, other, killed) - killed < 10
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
    before, begun = sent(steady).total(), time.monotonic()
    with working(place, 1) as (one,):
        place.wait(one, lambda: sent(steady).total() > before)
        assert time.monotonic() - begun < 10  # from the command on: a start takes a second or two
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


def test_prometheus_reads_of_each_process_what_it_did_itself(place: Terminal, steady: Stub, service: Service) -> None:
    port, count = free_port(), 20
    # As in a container: whoever asks comes from outside of it.
    with working(place, 1, "--metrics-host", "0.0.0.0", "--metrics-port", str(port)) as (one,):
        assert "judge_calls_total" not in figures(port)
        run = service.ask("POST", "/v1/runs", {**ASKED, "items": items(count)})["id"]
        place.wait(one, ended(service, run))
        place.wait(one, lambda: figures(port)["judge_runs_active"] == {(): 0})
        worker, server = figures(port), figures(service.port)
    assert sent(steady).total() == count
    assert worker["judge_calls_total"] == {("", "local", "answered"): count}
    assert worker["judge_grades_total"] == {("local", "scored"): count}
    assert worker["judge_calls_in_flight"] == {("local",): 0}
    assert server["judge_calls_total"] == {("", "local", "answered"): 1}  # it found out how the judge can be asked
    assert "judge_grades_total" not in server
    ((spent,),) = place.sql("SELECT sum(cost_usd) FROM call")
    assert sum(one["judge_cost_dollars_total"]["local",] for one in (worker, server)) == pytest.approx(spent)
    assert (server["judge_runs_wanted"], "judge_runs_wanted" in worker) == ({(): 0}, False)


def test_calls_of_a_killed_worker_are_counted_as_lost_items_by_the_next_one(
    place: Terminal, steady: Stub, service: Service
) -> None:
    port = free_port()
    run = service.ask("POST", "/v1/runs", {**ASKED, "items": items(40)})["id"]
    with working(place, 1) as (one,):
        place.wait(one, graded(service, run, 10))
        place.wait(one, lambda: place.count("call", "state = 'sent'") > 1)
        os.kill(one.pid, signal.SIGKILL)
        one.wait()
    with working(place, 1, "--metrics-port", str(port)) as (one,):
        place.wait(one, ended(service, run))
        found, told = status(service, run), figures(port)
    assert found["held"] > 0
    assert told["judge_grades_total"]["local", "lost"] == found["held"]
    assert {outcome for _, _, outcome in told["judge_calls_total"]} == {"answered"}
    ((lost_usd,),) = place.sql("SELECT sum(cost_usd) FROM call WHERE state = 'lost'")
    ((spent,),) = place.sql("SELECT sum(cost_usd) FROM call")
    assert told["judge_cost_dollars_total"]["local",] < spent - lost_usd


def test_a_port_of_metrics_that_cannot_be_had_is_named_before_anything_is_graded(place: Terminal) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = str(taken.getsockname()[1])
        # The first is taken there, and the others are no addresses of this machine.
        for host in ("127.0.0.1", "192.0.2.1", "nobody.invalid", "."):
            told = place.run("worker", "--metrics-port", port, "--metrics-host", host)
            assert (told.status, told.out, told.err.count("\n")) == (2, "", 1)
            assert f"figures cannot be served at {host}, port {port} (" in told.err
            assert "--metrics-port a port that is free" in told.err
