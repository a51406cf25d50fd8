"""A run killed again and again, and started again each time, ends with every item graded or lost."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.conftest import Stub
    from tests.e2e.conftest import Terminal

KILLS, ITEMS = 4, 200
GRADE = ("grade", "many.jsonl", "--rubric", "reply.yaml", "--judge", "judge.yaml", "--concurrency", "8", "--json")


def kill(terminal: Terminal, stub: Stub, delay_s: float) -> int:
    """Starts the command, and kills it so long after its first call. Returns how many calls were in flight."""
    before = stub.stats()["requests"]
    with terminal.start(*GRADE) as process:
        terminal.wait(process, lambda: stub.stats()["requests"] > before)
        time.sleep(delay_s)
        in_flight: int = stub.stats()["in_flight"]
        os.killpg(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "it ended before it was killed"
    return in_flight


def test_a_run_killed_again_and_again_pays_for_nothing_twice(
    anywhere: Terminal, stub: Callable[..., Stub], many: None
) -> None:
    terminal = anywhere
    server, draw = stub("--seed-regex", r"ITEM-\d+", "--latency-ms", "50"), random.Random(7)
    terminal.judge(server)
    in_flight = [kill(terminal, server, draw.uniform(0, 0.15)) for _ in range(KILLS)]
    assert max(in_flight) > 0
    ended = terminal.run(*GRADE, "--out", "grades.jsonl")
    rows = terminal.rows("grades.jsonl")
    outcomes = Counter(row["outcome"] for row in rows)
    assert [row["item"] for row in rows] == [f"i{n}" for n in range(ITEMS)]
    assert outcomes.keys() <= {"scored", "lost"}
    assert outcomes["lost"] <= KILLS * 8
    assert ended.status == (1 if outcomes["lost"] else 0)
    calls = [call for call in server.calls() if call["items"]]
    sent = Counter(call["body_sha256"] for call in calls)
    assert max(sent.values()) == 1  # nothing was sent twice, let alone answered twice
    assert terminal.count("call", "run IS NOT NULL") >= len(calls)  # on disk before it was sent
    assert ended.json["totals"]["lost"] == outcomes["lost"]
    resent = terminal.run(*GRADE, "--resend-lost")
    assert resent.status == 0, resent.err
    assert resent.json["overall"]["outcomes"] == {"scored": ITEMS}
    assert resent.json["totals"]["calls"] == ended.json["totals"]["calls"] + outcomes["lost"]
