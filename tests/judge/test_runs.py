"""Runs that stop and go on, and runs that somebody else has."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from judge import Judge, Paused, RunBusy
from judge.datasets import Dataset
from judge.runs import Options, Run
from judge.store.store import Store
from judge.summary import summarise
from rubrics import Rubric

pytestmark = pytest.mark.anyio


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Forty items."""
    path = tmp_path / "items.jsonl"
    path.write_text("".join(json.dumps({"id": n, "output": f"ITEM-{n}"}) + "\n" for n in range(40)))
    return Dataset(str(path))


async def test_a_stopped_run_goes_on_and_pays_for_nothing_twice(
    stub: Any, store: Store, dataset: Dataset, rubric: Rubric, judge_at: Callable[..., Judge]
) -> None:
    server = stub("--latency-ms", "40")
    judge = judge_at(server.base_url, concurrency=2)
    first = await Run.open(store, dataset, rubric, judge)
    asyncio.get_running_loop().call_later(0.3, first.stop, "a test")
    await first.execute()
    assert await first.close() == "open"
    halfway = summarise(store, first.id)
    assert 0 < halfway.run.finished < 40
    assert halfway.open == 40 - halfway.run.finished
    second = await Run.open(store, dataset, rubric, judge)
    assert second.id == first.id
    await second.execute()
    assert await second.close() == "done"
    made = summarise(store, second.id)
    assert (made.run.finished, made.totals.calls, made.totals.lost) == (40, 40, 0)
    assert server.stats()["requests"] == 41  # and one probe
    assert len({call["body_sha256"] for call in server.calls()}) == 41


async def test_a_run_that_the_judge_pauses_loses_nothing(
    stub: Any, store: Store, dataset: Dataset, rubric: Rubric, judge_at: Callable[..., Judge]
) -> None:
    server = stub("--latency-ms", "20")
    judge = judge_at(server.base_url, concurrency=4)
    run = await Run.open(store, dataset, rubric, judge)
    server.behave("status", after=10, status=401)
    with pytest.raises(Paused, match="key"):
        await run.execute()
    assert await run.close() == "open"
    answered = server.stats()["status"]["200"] - 1
    made = summarise(store, run.id)
    assert (made.run.finished, made.totals.answered, made.totals.lost) == (answered, answered, 0)
    assert made.open == 40 - answered


HOLDS = """
import sys
from judge.owner import this_process
from judge.store import open_store
with open_store(sys.argv[1]) as store:
    store.change(store.runs.take, sys.argv[2], this_process())
    print("taken", flush=True)
    sys.stdin.readline()
"""


async def test_a_run_that_another_process_has_is_busy_until_that_one_ends(
    store: Store, dataset: Dataset, rubric: Rubric, tmp_path: Path
) -> None:
    judge = Judge.load("simulated")
    run = await Run.open(store, dataset, rubric, judge, Options())
    await run.close()
    command = [sys.executable, "-c", HOLDS, f"sqlite:///{tmp_path}/judge.db", run.id]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:  # noqa: ASYNC220
        assert other.stdout
        assert other.stdout.readline() == "taken\n"
        with pytest.raises(RunBusy, match=f"run {run.id} is being graded by process {other.pid}"):
            await Run.open(store, dataset, rubric, judge)
        other.kill()
    again = await Run.open(store, dataset, rubric, judge)
    await again.execute()
    assert await again.close() == "done"
