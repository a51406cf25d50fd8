"""A run that is stopped loses nothing, and sends nothing twice when it goes on."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Stub
    from tests.e2e.conftest import Ended, Terminal

GRADE = ("grade", "items.jsonl", "--rubric", "reply.yaml", "--judge", "judge.yaml")
TWELVE = (*GRADE, "--limit", "12", "--concurrency", "4", "--json")


def in_flight(stub: Stub, count: int) -> Callable[[], bool]:
    """Whether so many calls are in flight, once a grade was asked for."""
    return lambda: stub.stats()["requests"] > count and stub.stats()["in_flight"] >= count


def bodies(stub: Stub) -> list[str]:
    """Of the calls for items, the probe's left out."""
    return [call["body_sha256"] for call in stub.calls() if call["items"]]


def finished(ended: Ended) -> int:
    count: int = ended.json["run"]["finished"]
    return count


def test_the_first_interrupt_waits_for_answers_under_way(anywhere: Terminal, slow: Stub) -> None:
    anywhere.judge(slow)
    with anywhere.start(*TWELVE) as process:
        anywhere.wait(process, in_flight(slow, 4))
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 3, err
    assert "stopping: waiting for answers under way" in err
    assert "start the same command again to go on" in err
    asked = bodies(slow)
    assert 4 <= len(asked) < 12
    assert slow.stats()["status"] == {"200": len(asked) + 1}  # every one was waited for, and the probe
    assert anywhere.count("grade", "criterion = 'overall' AND outcome = 'scored'") == len(asked)
    assert anywhere.count("call", "state <> 'answered'") == 0
    resumed = anywhere.run(*TWELVE)
    assert (resumed.status, finished(resumed)) == (0, 12)
    assert len(bodies(slow)) == len(set(bodies(slow))) == 12
    assert out


def test_the_second_interrupt_leaves_at_once_and_what_was_in_flight_is_lost(anywhere: Terminal, quick: Stub) -> None:
    anywhere.judge(quick)
    quick.behave("hang", after=4)  # the probe and three grades are answered
    with anywhere.start(*TWELVE) as process:
        anywhere.wait(process, in_flight(quick, 4))
        process.send_signal(signal.SIGINT)
        assert process.stderr
        assert process.stderr.readline().startswith("stopping: ")
        time.sleep(0.2)
        assert process.poll() is None, "it did not wait for answers under way"
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=5) == 3
        assert time.monotonic() - began < 1
    quick.behave("normal")
    resumed = anywhere.run(*TWELVE, "--out", "grades.jsonl")
    assert resumed.status == 1
    rows = anywhere.rows("grades.jsonl")
    assert [row["outcome"] for row in rows].count("lost") == 4
    assert [row["outcome"] for row in rows].count("scored") == 8
    assert all(row["score"] is None for row in rows if row["outcome"] == "lost")
    assert resumed.json["totals"]["lost"] == 4
    assert len(bodies(quick)) == len(set(bodies(quick))) == 12
    resent = anywhere.run(*TWELVE, "--resend-lost", "--out", "grades.jsonl")
    assert resent.status == 0, resent.err
    assert (len(bodies(quick)), len(set(bodies(quick)))) == (16, 12)


def test_a_lost_call_sent_again_is_counted_as_a_possible_duplicate(anywhere: Terminal, quick: Stub) -> None:
    anywhere.judge(quick)
    quick.behave("reset", after=1, count=2)
    command = (*GRADE, "--limit", "3", "--concurrency", "1", "--json")
    broken = anywhere.run(*command)
    assert broken.status == 1
    assert broken.json["overall"]["outcomes"] == {"lost": 2, "scored": 1}
    assert anywhere.run(*command).json["totals"]["calls"] == 3  # held, not sent again
    totals = anywhere.run(*command, "--resend-lost").json["totals"]
    assert (totals["calls"], totals["lost"]) == (5, 2)
    assert totals["possible_duplicates"] == 2
    assert type(totals["possible_duplicates"]) is int


def test_a_deadline_stops_sending_and_the_run_goes_on(anywhere: Terminal, slow: Stub) -> None:
    anywhere.judge(slow)
    command = (*GRADE, "--limit", "8", "--concurrency", "2", "--json")
    stopped = anywhere.run(*command, "--deadline", "0.5s")
    assert stopped.status == 3, stopped.err
    assert "stopped (the deadline)" in stopped.err
    asked = len(bodies(slow))
    assert 2 <= asked <= 4  # two at a time, 0.3 s each, for half a second
    assert finished(stopped) == asked
    resumed = anywhere.run(*command)
    assert (resumed.status, finished(resumed)) == (0, 8)
    assert len(bodies(slow)) == len(set(bodies(slow))) == 8


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (401, "invalid_api_key", "the judge refused the key"),
        (403, None, "the judge denied access"),
        (404, "model_not_found", "the judge has no such model"),
        (429, "insufficient_quota", "the judge is out of money"),
    ],
)
def test_a_judge_that_shuts_its_door_pauses_the_run(
    terminal: Terminal, quick: Stub, status: int, code: str | None, said: str
) -> None:
    terminal.judge(quick)
    command = (*GRADE, "--limit", "9", "--concurrency", "2", "--json")
    quick.behave("status", status=status, code=code, after=4)  # the probe and three grades are answered
    stopped = terminal.run(*command)
    assert stopped.status == 3
    (line,) = stopped.err.splitlines()
    assert said in line
    assert "start the same command again" in line
    assert (f"asked at {quick.base_url}/chat/completions" in line) == (status == 404)  # the address may be the mistake
    assert (finished(stopped), stopped.json["overall"]["outcomes"]) == (3, {"scored": 3, "open": 6})
    assert len(bodies(quick)) <= 3 + 2
    quick.behave("normal")
    resumed = terminal.run(*command)
    assert (resumed.status, finished(resumed)) == (0, 9)
    answered = [call["body_sha256"] for call in quick.calls() if call["items"] and call["answered"] == 200]
    assert len(answered) == len(set(answered)) == 9


def test_an_interrupt_while_the_judge_fails_says_only_what_to_do(terminal: Terminal, stub: Callable[..., Stub]) -> None:
    server = stub("--seed-regex", r"ITEM-\d+", "--fault-latency-ms", "500")
    terminal.judge(server)
    server.behave("status", status=500, after=1)
    with terminal.start(*TWELVE, "--quiet") as process:
        terminal.wait(process, in_flight(server, 4))
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 3
    first, second = err.splitlines()
    assert first.startswith("stopping: ")
    assert second.startswith("stopped (interrupted); 12 items are open: ")
    server.behave("normal")
    assert finished(terminal.run(*TWELVE)) == 12
