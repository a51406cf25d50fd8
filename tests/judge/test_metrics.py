"""What is counted, against what a judge on loopback counts itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from judge import Item, Judge
from judge.attempts import Deadline
from judge.datasets import Dataset
from judge.grades import Grade
from judge.ledger import CallState, Ledger, Settlement
from judge.metrics import MOST_CAUSES, Endpoints, Metrics
from judge.runs import Run
from judge.session import Session
from judge.store.store import Store
from judge.telemetry import Observers
from rubrics import Rubric

pytestmark = pytest.mark.anyio
#: Judged in the same way by the stub, whatever else is in a prompt.
SEED = ("--seed-regex", r"ITEM-\d+")
Counted = dict[str, float]


def counted(metrics: Metrics, name: str) -> Counted:
    """The samples of one name, by the labels beside the judge."""
    found: Counted = {}
    for family in metrics.registry.collect():
        for sample in family.samples:
            if sample.name == f"judge_{name}":
                found[" ".join(value for label, value in sample.labels.items() if label != "judge").strip()] = (
                    sample.value
                )
    return found


async def until(holds: Callable[[], bool]) -> None:
    """Waits until something holds."""
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - it is counted elsewhere
            await asyncio.sleep(0.01)


@dataclass(frozen=True, slots=True)
class Measured:
    """A judge whose calls are counted."""

    session: Session
    store: Store
    rubric: Rubric
    metrics: Metrics

    async def grade(self, text: str, seconds: float = 20.0, resend_lost: bool = False) -> Grade:
        """A grade that is on disk."""
        caller = self.session.caller(Ledger(self.store, resend_lost=resend_lost))
        graded = await self.session.grader(self.rubric, caller).grade(Item(id="1", output=text), Deadline(seconds))
        await asyncio.gather(*graded.receipt.writes)
        return graded.grade

    def count(self, name: str) -> Counted:
        return counted(self.metrics, name)


Measure = Callable[..., AbstractAsyncContextManager[Measured]]


@pytest.fixture
def measure(store: Store, rubric: Rubric, judge_at: Callable[..., Judge]) -> Measure:
    """Opens a judge at an address, and counts what it does from then on: its probe is not among it."""

    @asynccontextmanager
    async def opened(base_url: str, **fields: Any) -> AsyncIterator[Measured]:
        judge = judge_at(base_url, **fields)
        await (await Session.open(store, judge)).close()
        metrics = Metrics(lambda judge: judge.name)
        session = await Session.open(store, judge, observer=Observers(metrics))
        try:
            yield Measured(session, store, rubric, metrics)
        finally:
            await session.close()

    return opened


async def test_calls_tokens_and_money_are_those_of_the_grades(stub: Any, measure: Measure) -> None:
    server = stub(*SEED)
    async with measure(server.base_url) as one:
        before = server.stats()
        usage = [(await one.grade(f"ITEM-{n}")).usage for n in range(3)]
        again = (await one.grade("ITEM-0")).usage
        after = server.stats()
    assert (again.calls, again.reused) == (0, 1)
    assert one.count("calls_total") == {"answered": 3} == {"answered": after["requests"] - before["requests"]}
    assert one.count("tokens_total") == {
        kind: after[f"{kind}_tokens"] - before[f"{kind}_tokens"] for kind in ("prompt", "completion")
    }
    assert one.count("cost_dollars_total")[""] == pytest.approx(sum(used.cost_usd or 0 for used in usage))
    assert (one.count("grades_total"), one.count("reused_answers_total")) == ({"scored": 4}, {"": 1})
    assert one.count("call_duration_seconds_count") == {"": 3}
    assert 0 < one.count("call_duration_seconds_sum")[""] < 20
    assert one.count("calls_in_flight") == {"": 0}
    assert one.count("retries_total") == one.count("unpriced_calls_total") == {}


async def test_what_fails_is_counted_by_why_and_so_is_what_is_sent_once_more(stub: Any, measure: Measure) -> None:
    server = stub(*SEED)
    async with measure(server.base_url) as one:
        server.behave("status", status=503, count=2)
        assert (await one.grade("ITEM-1")).outcome == "scored"
        server.behave("out_of_range", count=1)
        assert (await one.grade("ITEM-2")).outcome == "scored"
        server.behave("reset")
        assert (await one.grade("ITEM-3")).outcome == "lost"
        server.behave("normal")
        assert (await one.grade("ITEM-3", resend_lost=True)).usage.possible_duplicates == 1
    calls = {"rejected http_503": 2, "unusable": 1, "answered": 3, "lost connection_lost": 1}
    assert one.count("calls_total") == calls
    assert one.count("retries_total") == {"http_503": 2}
    assert one.count("grades_total") == {"scored": 3, "lost": 1}
    assert one.count("possible_duplicates_total") == {"": 1}
    assert one.count("calls_in_flight") == {"": 0}


async def test_a_call_that_is_cut_off_is_not_in_flight_any_more(stub: Any, measure: Measure) -> None:
    server = stub(*SEED)
    async with measure(server.base_url) as one:
        server.behave("hang")
        asked = asyncio.create_task(one.grade("ITEM-1"))
        await until(lambda: one.count("calls_in_flight") == {"": 1})
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        assert (await one.grade("ITEM-2", seconds=0.2)).outcome == "judge_error"
        assert one.count("calls_in_flight") == {"": 0}
    assert one.count("calls_total") == {"lost cancelled": 1, "lost timeout": 1}


async def test_a_price_that_is_not_known_is_no_money(
    stub: Any, measure: Measure, judge_at: Callable[..., Judge]
) -> None:
    metrics, judge = Metrics(lambda judge: judge.name), judge_at("http://127.0.0.1:1/v1")
    metrics.settled(judge, Settlement("k", 1, CallState.ANSWERED, 0.0, usable=True), None)
    assert counted(metrics, "unpriced_calls_total") == {"": 1}
    assert counted(metrics, "cost_dollars_total") == {}


async def test_causes_are_few_and_words(judge_at: Callable[..., Judge]) -> None:
    metrics, judge = Metrics(lambda judge: judge.name), judge_at("http://127.0.0.1:1/v1")
    told = ["a sentence, of a server", "x" * 65, "caf\xe9", *(f"cause_{n}" for n in range(3 * MOST_CAUSES)), "cause_0"]
    for cause in told:
        metrics.settled(judge, Settlement("k", 1, CallState.REJECTED, 0.0, cause=cause), None)
        metrics.retried(judge, cause)
    for name, before in (("calls_total", "rejected "), ("retries_total", "")):
        found = counted(metrics, name)
        assert len(found) == MOST_CAUSES + 1
        assert found[f"{before}other"] == 3 + 2 * MOST_CAUSES
        assert found[f"{before}cause_0"] == 2


async def test_a_run_is_active_while_it_is_graded(
    stub: Any, store: Store, rubric: Rubric, judge_at: Callable[..., Judge], tmp_path: Path
) -> None:
    (tmp_path / "items.jsonl").write_text('{"id": "1", "output": "ITEM-1"}\n')
    server, metrics = stub(*SEED, "--latency-ms", "300"), Metrics(lambda judge: judge.name)
    dataset = Dataset(str(tmp_path / "items.jsonl"))
    run = await Run.open(store, dataset, rubric, judge_at(server.base_url), observer=metrics)
    executing = asyncio.create_task(run.execute())
    await asyncio.sleep(0.1)
    assert counted(metrics, "runs_active") == {"": 1}
    await executing
    assert counted(metrics, "runs_active") == {"": 0}
    assert await run.close() == "done"


async def test_servers_are_named_where_their_judge_is_the_operators(stub: Any, measure: Measure) -> None:
    server = stub(*SEED, "--latency-ms", "300")
    async with measure(server.base_url, concurrency=3) as one:
        one.metrics.registry.register(Endpoints(lambda: [one.session, one.session], lambda _: True))
        asked = asyncio.create_task(one.grade("ITEM-1"))
        await until(lambda: one.count("endpoint_slots_taken") == {server.url.removeprefix("http://"): 1})
        assert set(one.count("endpoint_slots").values()) == {3}
        await asked
        assert one.session.endpoint is not None
        one.session.endpoint.open_breaker("a test")
        assert set(one.count("endpoint_breakers_open").values()) == {1}
        hidden = Metrics(lambda judge: judge.name)
        hidden.registry.register(Endpoints(lambda: [one.session], lambda _: False))
        assert counted(hidden, "endpoint_slots") == {"other": 3}
