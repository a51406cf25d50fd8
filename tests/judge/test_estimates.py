"""Estimates, held against what was then booked."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from judge import Judge, SetupError
from judge.datasets import Dataset
from judge.errors import BudgetUsedUp
from judge.estimates import Estimate, Forecast, Interval
from judge.estimating import DONE, FREE, NEVER_ASKED, NO_HISTORY, estimate
from judge.forecast import to_finish, total
from judge.runs import Options, Run
from judge.store.store import Store
from judge.summary import summarise
from rubrics import Rubric

pytestmark = pytest.mark.anyio
SEED = ("--seed-regex", r"ITEM-\d+")
OTHER = Rubric.loads("""
name: other
criteria:
  - {id: short, scale: binary, question: Is it short}
""")


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., Dataset]:
    """Makes a file of items, of very different lengths: `made(first, last)`."""

    def make(first: int, last: int) -> Dataset:
        lengths = random.Random(first)
        rows = [{"id": n, "output": f"ITEM-{n} " + "so it is " * lengths.randint(1, 300)} for n in range(first, last)]
        path = tmp_path / f"{first}-{last}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return Dataset(str(path))

    return make


async def estimated(store: Store | None, dataset: Dataset, rubric: Rubric, judge: Judge, **options: Any) -> Estimate:
    return await estimate(store, dataset, dataset.scan(), rubric, judge, Options(**options))


async def graded(store: Store, dataset: Dataset, rubric: Rubric, judge: Judge, **options: Any) -> Any:
    """What a run came to."""
    run = await Run.open(store, dataset, rubric, judge, Options(**options))
    await run.execute()
    await run.close()
    return summarise(store, run.id).totals


def within(found: float, told: Interval) -> bool:
    return told.low - 1e-9 <= found <= told.high + 1e-9


def expected(one: Estimate) -> Forecast:
    assert one.expected is not None, one.note
    return one.expected


@pytest.mark.parametrize("faults", [(), ("--rate-truncated", "0.2")], ids=["well", "asked again"])
@pytest.mark.parametrize("samples", [1, 3])
async def test_what_is_booked_lies_within_what_was_told_before(
    stub: Any,
    store: Store,
    made: Callable[..., Dataset],
    rubric: Rubric,
    judge_at: Callable[..., Judge],
    faults: tuple[str, ...],
    samples: int,
) -> None:
    judge = judge_at(stub(*SEED, *faults).base_url)
    await graded(store, made(0, 60), rubric, judge)
    told = await estimated(store, made(100, 180), rubric, judge, samples=samples)
    by = expected(told)
    assert (told.items, told.calls, told.answered) == (80, 80 * samples, 0)
    booked = await graded(store, made(100, 180), rubric, judge, samples=samples)
    assert by.cost_usd is not None
    assert booked.cost_usd is not None
    assert within(booked.cost_usd, by.cost_usd), (booked.cost_usd, by.cost_usd)
    assert within(booked.prompt_tokens, by.prompt_tokens), (booked.prompt_tokens, by.prompt_tokens)
    assert within(booked.completion_tokens, by.answer_tokens), (booked.completion_tokens, by.answer_tokens)
    assert within(booked.calls, by.calls), (booked.calls, by.calls)
    assert told.worst_usd is not None
    if not faults:
        assert booked.cost_usd < told.worst_usd
        assert by.cost_usd.high < 1.2 * by.cost_usd.low  # the interval says something
    on = by.rests_on
    assert (on.items, on.runs, on.same_rubric, on.cached) == (60, 1, True, 0.0)
    assert on.asked_again == (0.0 if not faults else pytest.approx(0.2, abs=0.15))
    assert told.note == "by 60 items in 1 run that this judge graded by this rubric"


@pytest.mark.parametrize(("before", "mode"), [("live", "batch"), ("batch", "live"), ("batch", "batch")])
async def test_batches_are_told_at_their_price_whatever_the_history_was_asked_in(
    stub: Any,
    store: Store,
    made: Callable[..., Dataset],
    rubric: Rubric,
    judge_at: Callable[..., Judge],
    before: str,
    mode: str,
) -> None:
    judge = judge_at(stub(*SEED).base_url)
    never = [await estimated(store, made(0, 30), rubric, judge, mode=one) for one in ("live", "batch")]
    await graded(store, made(0, 30), rubric, judge, mode=before)
    told = await estimated(store, made(100, 130), rubric, judge, mode=mode)
    live = await estimated(store, made(100, 130), rubric, judge)
    booked = await graded(store, made(100, 130), rubric, judge, mode=mode)
    cost = expected(told).cost_usd
    assert cost is not None
    assert within(booked.cost_usd, cost), (booked.cost_usd, cost)
    share = 0.5 if mode == "batch" else 1.0
    assert (told.mode, told.worst_usd) == (mode, pytest.approx(live.worst_usd * share))
    assert (expected(told).minutes is None) == ("batch" in (before, mode))
    assert never[1].worst_usd == pytest.approx(never[0].worst_usd / 2)


async def test_without_a_history_it_says_so_and_sends_nothing(
    stub: Any, store: Store, made: Callable[..., Dataset], rubric: Rubric, judge_at: Callable[..., Judge]
) -> None:
    server = stub(*SEED)
    judge, dataset = judge_at(server.base_url), made(0, 4)
    never = await estimated(store, dataset, rubric, judge)
    assert (never.note, never.expected, never.calls) == (NEVER_ASKED, None, 4)
    assert never == await estimated(None, dataset, rubric, judge)
    assert server.stats()["requests"] == 0
    await graded(store, dataset, rubric, judge)
    sent = server.stats()["requests"]
    few = await estimated(store, made(4, 9), rubric, judge)
    assert (few.note, few.expected, few.calls) == (NO_HISTORY, None, 5)
    assert few.worst_usd is not None
    assert server.stats()["requests"] == sent
    with pytest.raises(SetupError, match="no price is known"):
        await estimated(store, dataset, rubric, judge_at(server.base_url, price=None))
    unpriced = await estimated(store, dataset, rubric, judge_at(server.base_url, price=None), allow_unpriced=True)
    assert unpriced.worst_usd == 0.0  # all of it is in the ledger
    free = await estimated(store, dataset, rubric, Judge.load("simulated"))
    assert (free.note, free.calls, free.worst_usd) == (FREE, 0, 0.0)


async def test_what_is_in_the_ledger_costs_nothing(
    stub: Any, store: Store, made: Callable[..., Dataset], rubric: Rubric, judge_at: Callable[..., Judge]
) -> None:
    judge = judge_at(stub(*SEED).base_url)
    first = await graded(store, made(0, 20), rubric, judge)
    done = await estimated(store, made(0, 20), rubric, judge)
    assert (done.note, done.calls, done.answered, done.worst_usd, done.expected) == (DONE, 0, 20, 0.0, None)
    some = await estimated(store, made(0, 20), rubric, judge, samples=2)
    assert (some.calls, some.answered) == (20, 20)
    again = await estimated(store, made(0, 20), rubric, judge, fresh=True)
    assert (again.calls, again.answered) == (20, 0)
    cost = expected(again).cost_usd
    assert cost is not None
    assert within(first.cost_usd, cost)


async def test_another_rubric_is_told_by_what_was_asked_so_far_and_flagged(
    stub: Any, store: Store, made: Callable[..., Dataset], rubric: Rubric, judge_at: Callable[..., Judge]
) -> None:
    judge = judge_at(stub(*SEED).base_url)
    await graded(store, made(0, 30), rubric, judge)
    told = await estimated(store, made(0, 30), OTHER, judge)
    assert not expected(told).rests_on.same_rubric
    assert "by whatever rubric" in told.note
    await graded(store, made(50, 60), OTHER, judge)
    assert expected(await estimated(store, made(0, 30), OTHER, judge)).rests_on.items == 10


async def test_items_with_rubrics_of_their_own_are_estimated(
    stub: Any, store: Store, tmp_path: Path, rubric: Rubric, judge_at: Callable[..., Judge]
) -> None:
    judge = judge_at(stub(*SEED).base_url)
    own = {"name": "own", "criteria": [{"id": f"c{n}", "scale": "binary", "question": f"Is it {n}?"} for n in range(9)]}
    rows = [{"id": n, "output": f"ITEM-{n}", "rubric": own} for n in range(120)]
    halves = []
    for name, some in (("one", rows[:80]), ("other", rows[80:])):
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in some))
        halves.append(Dataset(str(path)))
    nobody = Rubric.of_each_item()
    await graded(store, halves[0], nobody, judge)
    told = expected(await estimated(store, halves[1], nobody, judge)).cost_usd
    booked = await graded(store, halves[1], nobody, judge)
    assert told is not None
    assert within(booked.cost_usd, told), (booked.cost_usd, told)


async def test_a_run_that_a_budget_stops_says_what_it_would_cost_to_finish(
    stub: Any, store: Store, made: Callable[..., Dataset], rubric: Rubric, judge_at: Callable[..., Judge]
) -> None:
    judge = judge_at(stub(*SEED).base_url, concurrency=2)
    run = await Run.open(store, made(0, 60), rubric, judge, Options(budget_usd=0.03))
    with pytest.raises(BudgetUsedUp, match=r"the run's budget of .* is used up .* nothing is lost") as stopped:
        await run.execute()
    await run.close()
    done = summarise(store, run.id)
    said = str(stopped.value)
    assert f"to grade the {done.open:,} open items would cost about $" in said
    assert f"by the {done.run.finished:,} graded so far" in said
    low, high = _range(said)
    rest = await graded(store, made(0, 60), rubric, judge, budget_usd=1.0)
    assert low <= rest.cost_usd - done.totals.cost_usd <= high


def _range(said: str) -> tuple[float, float]:
    """The interval that a sentence ends with."""
    low, _, high = said.rpartition("($")[2].partition(",")[0].partition(" to $")
    return float(low), float(high)


async def test_a_run_that_a_budget_stops_at_once_tells_the_worst(
    stub: Any, store: Store, made: Callable[..., Dataset], rubric: Rubric, judge_at: Callable[..., Judge]
) -> None:
    server = stub(*SEED)
    judge = judge_at(server.base_url)
    store.change(store.budgets.put, None, "total", 0.003)
    run = await Run.open(store, made(0, 6), rubric, judge)
    with pytest.raises(BudgetUsedUp, match=r"budget of the tenant local of \$0.0030 .* would cost \$0\.\d+ at worst"):
        await run.execute()
    worst = [
        to_finish(store, run._session, rubric, run.id, batch).split("$")[1].split(" ")[0] for batch in (False, True)
    ]
    assert float(worst[1]) == pytest.approx(float(worst[0]) / 2, abs=1e-4)
    assert await run.close() == "open"


def test_intervals_hold_as_often_as_they_say() -> None:
    """Skewed costs in proportion to sizes: of 2,000 totals, about 95% lie within what was told of each."""
    rng, held = np.random.default_rng(5), 0
    for _ in range(2_000):
        sizes = rng.lognormal(0.0, 0.7, 60)
        found = sizes + np.sqrt(sizes) * (rng.gamma(4.0, 0.1, 60) - 0.4)
        told = total(sizes[:20].tolist(), found[:20].tolist(), float(sizes[20:].sum()))
        held += within(float(found[20:].sum()), told)
    assert 0.92 < held / 2_000 < 0.975, held
