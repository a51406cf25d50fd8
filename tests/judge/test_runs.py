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
from sqlalchemy import select

from judge import InputError, Judge, Paused, RunBusy, SetupError, chunks
from judge.chunks import Part
from judge.datasets import Dataset
from judge.errors import BudgetUsedUp, Waiting
from judge.exports import find_run, grades_of
from judge.ledger import Ledger
from judge.owner import WORKERS, this_process
from judge.runs import Options, Run, submit
from judge.session import Session
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
    store: Store, dataset: Dataset, rubric: Rubric, database_url: str
) -> None:
    judge = Judge.load("simulated")
    run = await Run.open(store, dataset, rubric, judge, Options())
    await run.close()
    command = [sys.executable, "-c", HOLDS, database_url, run.id]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:  # noqa: ASYNC220
        assert other.stdout
        assert other.stdout.readline() == "taken\n"
        with pytest.raises(RunBusy, match=f"run {run.id} is being graded by process {other.pid}"):
            await Run.open(store, dataset, rubric, judge)
        other.kill()
    again = await Run.open(store, dataset, rubric, judge)
    await again.execute()
    assert await again.close() == "done"


def own(levels: list[str]) -> dict[str, Any]:
    """A rubric that belongs to an item; a mapping of levels is written worst first."""
    criterion = {"id": "clear", "question": "Clear?", "scale": "ordinal", "levels": dict.fromkeys(levels, "")}
    return {"name": "own", "criteria": [criterion]}


async def test_a_rubric_of_its_own_keeps_its_scale_and_stays_out_of_other_means(
    stub: Any, store: Store, tmp_path: Path, rubric: Rubric, judge_at: Callable[..., Judge]
) -> None:
    path = tmp_path / "items.jsonl"
    rows: list[dict[str, Any]] = [{"id": "plain", "output": "ITEM-1"}]
    rows += [{"id": str(n), "output": f"ITEM-{n}", "rubric": own(["poor", "fair", "excellent"])} for n in range(2, 9)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = await Run.open(store, Dataset(str(path)), rubric, judge_at(stub().base_url))
    await run.execute()
    await run.close()
    info = find_run(store, run.id)
    values = {"poor": 0.0, "fair": 1.0, "excellent": 2.0}
    for grade in list(grades_of(store, info))[1:]:
        clear = grade.criteria["clear"]
        assert clear.score == values[str(clear.level)]
        assert (grade.rubric.name, grade.rubric.hash) == ("own", Rubric.parse(rows[1]["rubric"]).hash)
    made = summarise(store, run.id)
    assert {one.criterion: one.n for one in made.criteria} == dict.fromkeys(rubric.ids, 1)
    assert (made.overall.n, made.totals.own_rubrics) == (8, 7)


async def test_an_item_that_is_finished_twice_is_counted_once(
    store: Store, dataset: Dataset, rubric: Rubric, judge_at: Callable[..., Judge], stub: Any
) -> None:
    judge = judge_at(stub().base_url)
    run = await Run.open(store, dataset, rubric, judge)
    session = await Session.open(store, judge)
    grader = session.grader(rubric, session.caller(Ledger(store)), run.id)
    for seq, revision, item in (await store.open_page(run.id, -1))[:2]:
        graded = await grader.grade(item)
        await asyncio.gather(*graded.receipt.writes)
        for _ in range(2):  # as where the answer to the first did not arrive
            await store.finish(run.id, this_process(), seq, revision, graded)
    await session.close()
    await run.close()
    grades = list(grades_of(store, find_run(store, run.id)))
    assert [(grade.item, grade.usage.calls) for grade in grades] == [("0", 1), ("1", 1)]
    assert all(grade.usage.cost_usd and grade.usage.prompt_tokens for grade in grades)


async def test_a_fresh_run_mends_its_own_lost_answers(
    stub: Any, store: Store, dataset: Dataset, rubric: Rubric, judge_at: Callable[..., Judge]
) -> None:
    server = stub()
    judge = judge_at(server.base_url)
    await (await Run.open(store, dataset, rubric, judge)).close()  # the probe is answered before things go wrong
    server.behave("reset", after=1, count=3)
    first = await Run.open(store, dataset, rubric, judge, Options(fresh=True))
    await first.execute()
    assert await first.close() == "done"
    assert summarise(store, first.id).run.held == 3
    again = await Run.open(store, dataset, rubric, judge, Options(fresh=True, resend_lost=True))
    assert again.id == first.id
    await again.execute()
    await again.close()
    made = summarise(store, first.id)
    assert made.overall.outcomes.keys() == {"scored", "abstained"}  # as the stub's verdicts go
    assert (made.open, made.run.held, made.totals.possible_duplicates) == (0, 0, 3)
    assert made.totals.calls == 43


async def test_one_lost_sample_of_several_can_be_sent_again(
    stub: Any, store: Store, dataset: Dataset, rubric: Rubric, judge_at: Callable[..., Judge]
) -> None:
    server = stub()
    judge = judge_at(server.base_url)
    await (await Run.open(store, dataset, rubric, judge, Options(samples=2))).close()
    server.behave("reset", count=1)
    for options in (Options(samples=2), Options(samples=2, resend_lost=True)):
        run = await Run.open(store, dataset, rubric, judge, options)
        await run.execute()
        await run.close()
    assert sum(grade.usage.possible_duplicates for grade in grades_of(store, find_run(store, run.id))) == 1
    assert server.stats()["requests"] == 1 + 2 * 40 + 1


async def test_a_run_of_a_machine_that_may_be_gone_can_be_taken_over(
    stub: Any,
    store: Store,
    dataset: Dataset,
    rubric: Rubric,
    judge_at: Callable[..., Judge],
    living: Callable[[str], None],
) -> None:
    living("another-machine:7:123")
    judge = judge_at(stub().base_url)
    run = await Run.open(store, dataset, rubric, judge)
    store.change(store.runs.take, run.id, "another-machine:7:123", by_force=True)
    with pytest.raises(RunBusy, match="--take-over"):
        await Run.open(store, dataset, rubric, judge)
    taken = await Run.open(store, dataset, rubric, judge, Options(take_over=True))
    await taken.execute()
    assert await taken.close() == "done"
    await run.close()


async def test_pairs_are_refused_before_anything_is_read_or_asked(store: Store, tmp_path: Path) -> None:
    pairs = {"name": "p", "criteria": [{"id": "better", "scale": "preference", "question": "Which is better?"}]}
    path = tmp_path / "items.jsonl"
    path.write_text(json.dumps({"id": "1", "output": "x", "rubric": pairs}) + "\n")
    judge = Judge.load("simulated")
    with pytest.raises(SetupError, match="pairs come with judge compare"):
        await Run.open(store, Dataset(str(path)), Rubric.parse(pairs), judge)
    with pytest.raises(InputError, match=r"items\.jsonl:1: .*pairs come with judge compare"):
        await Run.open(store, Dataset(str(path)), Rubric.load("helpfulness"), judge)


async def test_what_others_reserve_for_a_shared_run_is_waited_for_and_a_real_shortage_pauses_it(
    stub: Any,
    store: Store,
    dataset: Dataset,
    rubric: Rubric,
    judge_at: Callable[..., Judge],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(chunks, "CHUNK_ITEMS", 1)
    session = await Session.open(store, judge_at(stub("--latency-ms", "300").base_url))
    run_id = submit(store, dataset, dataset.scan(), rubric, session, Options())
    store.change(store.runs.take, run_id, WORKERS)

    def part(chunk: int, budget_usd: float) -> Run:
        """A chunk, as a worker begins it: with what is spent, and what others have reserved."""
        store.change(store.runs.commit_spent, run_id, WORKERS)
        row = store.ask(store.runs.row, run_id)
        return Run(store, session, rubric, row, Options(budget_usd=budget_usd), Part(chunk, shared=True))

    await part(0, 1.0).execute()
    first = calls(store, run_id)[0]
    enough = first.cost_usd + 1.5 * first.reserved_usd
    other = asyncio.create_task(part(1, enough).execute())
    for _ in range(200):
        await asyncio.sleep(0.01)
        if len(calls(store, run_id)) == 2:
            break
    await part(2, enough).execute()
    await other
    assert [row.state for row in calls(store, run_id)] == ["answered"] * 3
    with pytest.raises(BudgetUsedUp, match="the run's budget"):
        await part(3, first.cost_usd).execute()
    await session.close()


def calls(store: Store, run_id: str) -> list[Any]:
    """Those of a run, in the order of sending."""
    call = store.tables.call
    of_run = select(call).where(call.c.run == run_id).order_by(call.c.sent_at)
    return store.ask(lambda connection, _: list(connection.execute(of_run)))


async def test_a_run_that_waits_for_its_batch_leaves_nothing_with_the_server(
    stub: Any, store: Store, dataset: Dataset, rubric: Rubric, judge_at: Callable[..., Judge]
) -> None:
    server = stub()
    server.batching(delay_s=60)
    session = await Session.open(store, judge_at(server.base_url))
    run_id = submit(store, dataset, dataset.scan(), rubric, session, Options())
    store.change(store.runs.take, run_id, this_process())
    run = Run(store, session, rubric, store.ask(store.runs.row, run_id), Options(mode="batch"))
    with pytest.raises(Waiting):
        await run.execute(patient=False)
    assert session.endpoint is not None
    assert session.endpoint.eased == set()
    await session.close()
