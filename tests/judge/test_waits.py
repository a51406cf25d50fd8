"""What keeps a call from being sent, and is no fault of the judge's: equal calls elsewhere, and reserved money."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from judge import Outcome, calling
from judge.attempts import Deadline
from judge.budgets import Period
from judge.costs import Budget
from judge.errors import BudgetUsedUp, Waiting
from judge.ledger import CallState, Ledger, Settlement, now
from judge.store.store import Store
from tests.judge.conftest import Desk

pytestmark = pytest.mark.anyio
KEY = "0123456789ab"


@pytest.fixture(autouse=True)
def another(living: Callable[[str], None]) -> None:
    """The process of another machine that has what is not this one's."""
    living("elsewhere:1:1")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calling, "POLL_S", 0.02)


def elsewhere(one: Desk, text: str = "ITEM-1", **fields: Any) -> None:
    """A call that a process of another machine has in flight."""
    row = {"tenant": one.store.tenant, "key": one.ledger.key(one.provider.endpoint, one.body(text), 0), "attempt": 1}
    row |= {"state": "sent", "owner": "elsewhere:1:1", "endpoint": one.provider.endpoint, "sent_at": now()}
    row |= {"usable": False, "possible_duplicate": False, **fields}
    one.store.change(lambda connection, _: connection.execute(one.store.tables.call.insert(), row))


async def ended(one: Desk) -> None:
    """That call came to nothing."""
    key = one.ledger.key(one.provider.endpoint, one.body(), 0)
    await Ledger(one.store).settle(Settlement(key, 1, CallState.REJECTED, now(), cost_usd=0.0))


async def test_who_waits_for_another_process_takes_no_turn_of_the_rate(stub: Any, desk: Any) -> None:
    async with desk(stub().base_url, rpm=60.0) as one:  # one each second
        elsewhere(one)
        waiting = asyncio.create_task(one.ask("ITEM-1"))
        await asyncio.sleep(1.2)
        began = time.monotonic()
        await one.ask("ITEM-2")
        assert time.monotonic() - began < 0.8
        assert not waiting.done()
        await ended(one)
        answer, _ = await asyncio.wait_for(waiting, 5)
    assert answer.reading is not None


async def test_who_waits_for_reserved_money_takes_no_turn_and_is_told_of_the_shortage_in_the_end(
    stub: Any, desk: Any, store: Store
) -> None:
    store.change(store.budgets.put, KEY, Period.TOTAL, 0.01)
    async with desk(stub().base_url, rpm=60.0, paid_by=KEY) as one, desk(stub().base_url) as other:
        elsewhere(other, paid_by=KEY, reserved_usd=0.01)
        other.caller.endpoint = one.caller.endpoint
        waiting = asyncio.create_task(one.ask("ITEM-1"))
        await asyncio.sleep(1.2)
        began = time.monotonic()
        await other.ask("ITEM-2")
        assert time.monotonic() - began < 0.8
        with pytest.raises(BudgetUsedUp, match=f"the budget of the key {KEY}"):
            await one.ask("ITEM-3", Deadline(0.1))
        assert not waiting.done()
        await ended(other)
        answer, _ = await asyncio.wait_for(waiting, 5)
    assert answer.reading is not None


async def test_money_that_a_batch_has_reserved_is_not_waited_for(stub: Any, desk: Any, store: Store) -> None:
    store.change(store.budgets.put, KEY, Period.TOTAL, 0.01)
    async with desk(stub().base_url, paid_by=KEY) as one:
        elsewhere(one, "OTHER", paid_by=KEY, reserved_usd=0.01, batch="b")
        with pytest.raises(BudgetUsedUp):
            await asyncio.wait_for(one.ask(), 5)


@pytest.mark.parametrize("batch", [None, "b"])
async def test_a_run_is_looked_at_again_while_others_have_its_calls(stub: Any, desk: Any, batch: str | None) -> None:
    server = stub()
    async with desk(server.base_url, run="r") as one, desk(server.base_url) as single:
        elsewhere(one, batch=batch)
        with pytest.raises(Waiting):
            await one.ask(deadline=Deadline(0.1))
        answer, _ = await single.ask(deadline=Deadline(0.1))
    assert (answer.outcome, answer.cause) == (Outcome.JUDGE_ERROR, "deadline")
    assert server.stats()["requests"] == 0


async def test_what_workers_share_gives_way_to_other_work(
    stub: Any, desk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calling, "GIVES_WAY_S", 0.2)
    server = stub()
    async with desk(server.base_url, run="r") as one:
        one.ledger.gives_way = True
        elsewhere(one)
        with pytest.raises(Waiting) as told:
            await asyncio.wait_for(one.ask(), 5)
        assert told.value.seconds == 0.2
        await ended(one)
        answer, _ = await one.ask()
    assert answer.reading is not None


async def test_who_gives_way_waits_for_reserved_money_and_for_its_own_equal_calls(
    stub: Any, desk: Any, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calling, "GIVES_WAY_S", 0.1)
    store.change(store.budgets.put, KEY, Period.TOTAL, 0.01)
    async with desk(stub("--latency-ms", "600").base_url, run="r", paid_by=KEY) as one:
        one.ledger.gives_way = True
        elsewhere(one, "OTHER", paid_by=KEY, reserved_usd=0.01)
        waiting = asyncio.create_task(one.ask("ITEM-1"))
        await asyncio.sleep(0.5)
        assert not waiting.done(), "what is reserved may be given back"
        key = one.ledger.key(one.provider.endpoint, one.body("OTHER"), 0)
        await Ledger(store).settle(Settlement(key, 1, CallState.REJECTED, now(), reserved_usd=0.01, cost_usd=0.0))
        answers = await asyncio.wait_for(asyncio.gather(waiting, one.ask("ITEM-1"), one.ask("ITEM-1")), 10)
    assert all(answer.reading is not None for answer, _ in answers)


async def test_no_call_is_waited_for_longer_than_a_grade_may_take(stub: Any, desk: Any) -> None:
    async with desk(stub().base_url, timeout_s=5000.0) as one:
        elsewhere(one, sent_at=now() - 640.0)
        answer, _ = await asyncio.wait_for(one.ask(), 5)
    assert answer.outcome is Outcome.LOST


async def test_an_answer_that_there_is_no_time_to_look_up_is_counted_as_lost(stub: Any, desk: Any) -> None:
    server = stub()
    server.behave("reset")
    async with desk(server.base_url, store=True) as one:
        one.caller.endpoint.answered(10.0)  # so long does an answer take: there is no time for another attempt
        answer, receipt = await one.ask(deadline=Deadline(5.0))
        assert one.states() == [("lost", "connection_lost")]
    assert (answer.cause, receipt.lost) == ("deadline", 1)


async def test_a_slot_that_comes_too_late_for_an_answer_is_not_used(stub: Any, desk: Any) -> None:
    server = stub("--latency-ms", "500")
    async with desk(server.base_url, concurrency=1) as one:
        one.caller.endpoint.answered(0.4)  # so long does an answer take
        in_time = asyncio.create_task(one.ask("ITEM-1"))
        await asyncio.sleep(0.1)
        late, receipt = await one.ask("ITEM-2", Deadline(0.7, asyncio.get_running_loop().time() + 0.7))
        answer, _ = await in_time
        assert (late.reading, late.outcome, late.cause) == (None, Outcome.JUDGE_ERROR, "deadline")
        assert (receipt.calls, receipt.cost_usd, one.caller.budget.reserved_usd) == (0, 0.0, 0.0)
        assert one.states() == [("answered", None)]
        assert one.caller.endpoint.in_flight == 0
    assert answer.reading is not None
    assert server.stats()["requests"] == 1


async def test_money_that_comes_too_late_for_an_answer_is_given_back(stub: Any, desk: Any) -> None:
    server = stub("--latency-ms", "500")
    async with desk(server.base_url) as one:
        one.caller.endpoint.answered(0.4)
        one.caller.budget = Budget(limit_usd=1.5 * one.worst_usd())
        in_time = asyncio.create_task(one.ask("ITEM-1"))
        await asyncio.sleep(0.1)
        late, _ = await one.ask("ITEM-2", Deadline(0.7, asyncio.get_running_loop().time() + 0.7))
        answer, receipt = await in_time
        assert (late.reading, late.cause) == (None, "deadline")
        assert (one.caller.budget.reserved_usd, one.caller.budget.reservations) == (0.0, 0)
        assert one.caller.budget.spent_usd == pytest.approx(receipt.cost_usd)
    assert answer.reading is not None
    assert server.stats()["requests"] == 1
