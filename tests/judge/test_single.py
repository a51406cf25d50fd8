from __future__ import annotations

import doctest
import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from judge import InputError, Item, Judge, Outcome, grade, grade_many
from judge.store.store import Store
from rubrics import Rubric

pytestmark = pytest.mark.anyio


@pytest.fixture
def at_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own for the store in the settings."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_examples_in_the_documentation_run(at_work: Path) -> None:
    tried = doctest.testmod(importlib.import_module("judge.single"))
    assert tried.attempted >= 3
    assert tried.failed == 0
    assert (at_work / ".judge" / "judge.db").exists()


async def test_an_equal_question_is_never_paid_twice(
    stub: Any, rubric: Rubric, judge_at: Callable[..., Judge], at_work: Path
) -> None:
    server = stub()
    judge = judge_at(server.base_url)
    first = await grade(Item(id="1", output="x"), rubric, judge)
    again = await grade(Item(id="2", output="x"), rubric, judge)
    assert (first.outcome, first.usage.calls, again.usage.calls) == (Outcome.SCORED, 1, 0)
    assert (again.usage.reused, again.usage.cost_usd) == (1, 0.0)
    assert server.stats()["requests"] == 2  # one of them the probe


async def test_samples_and_a_store_of_ones_own(
    stub: Any, rubric: Rubric, judge_at: Callable[..., Judge], store: Store, at_work: Path
) -> None:
    one = await grade(Item(id="1", output="x"), rubric, judge_at(stub().base_url), samples=3, store=store)
    assert len(one.criteria["clear"].samples) == 3
    assert not (at_work / ".judge").exists()
    assert store.ask(lambda connection, tenant: tenant) == "local"  # still open


async def test_many_items_each_once_and_no_more_taken_than_are_graded_at_once(
    stub: Any, rubric: Rubric, judge_at: Callable[..., Judge], store: Store
) -> None:
    server, taken, most_ahead = stub("--latency-ms", "10"), 0, 0

    def items() -> Iterator[Item]:
        nonlocal taken
        for number in range(40):
            taken += 1
            yield Item(id=str(number), output=f"ITEM-{number}")

    found = []
    async for result in grade_many(items(), rubric, judge_at(server.base_url), concurrency=4, store=store):
        found.append(result.item)
        most_ahead = max(most_ahead, taken - len(found))
    assert sorted(found, key=int) == [str(number) for number in range(40)]
    assert most_ahead <= 2 * 4
    assert server.stats()["in_flight_max"] <= 4


async def test_leaving_early_leaves_nothing_running(
    stub: Any, rubric: Rubric, judge_at: Callable[..., Judge], store: Store
) -> None:
    server = stub("--latency-ms", "50")
    grades = grade_many(
        (Item(id=str(n), output=str(n)) for n in range(100)),
        rubric,
        judge_at(server.base_url),
        concurrency=2,
        store=store,
    )
    async for result in grades:
        assert result.outcome is Outcome.SCORED
        break
    await grades.aclose()  # type: ignore[attr-defined]
    assert server.stats()["requests"] <= 6


async def test_items_that_each_bring_a_rubric_need_no_other(store: Store) -> None:
    own = {"name": "own", "criteria": [{"id": "brief", "scale": "binary", "question": "Is it brief?"}]}
    judge, item = Judge.load("simulated"), Item(id="1", output="x", rubric=own)
    assert list((await grade(item, None, judge, store=store)).criteria) == ["brief"]
    with pytest.raises(InputError, match="item 2 has no rubric of its own; give one"):
        [one async for one in grade_many([item, Item(id="2", output="x")], None, judge, store=store)]
