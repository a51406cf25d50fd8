"""Budgets of keys and tenants, in real databases, with real processes that spend at once."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from typing import Any

import pytest
from sqlalchemy import update

from judge.budgets import BudgetStanding, Period, beginning_of, month_of
from judge.errors import BudgetUsedUp
from judge.ledger import CallState, Claimed, Held, Ledger, Settlement, now
from judge.store import open_store
from judge.store.budgets import RECOUNTED_S
from judge.store.store import Store

pytestmark = pytest.mark.anyio
KEY, OTHER = "0123456789ab", "ba9876543210"
DAY_S = 86_400.0


def put(
    store: Store, key: str | None, limit_usd: float | None, period: Period = Period.TOTAL, old: bool = True
) -> None:
    """Sets a budget; an old one is known to all who claim."""
    store.change(store.budgets.put, key, period, limit_usd)
    if old:
        alter(store, at=now() - 2 * RECOUNTED_S)


def alter(store: Store, **values: Any) -> None:
    store.change(lambda connection, _: connection.execute(update(store.tables.budget).values(**values)))


def standing(store: Store, key: str | None = KEY) -> dict[tuple[str, str], BudgetStanding]:
    return {(one.of, one.period): one for one in store.ask(store.budgets.standing, key)}


def spent(store: Store, key: str | None = KEY, of: str = "key", period: Period = Period.TOTAL) -> float:
    return standing(store, key)[of, period].spent_usd


async def claim(store: Store, name: str, usd: float, key: str | None = KEY) -> Held:
    return await Ledger(store, paid_by=key).claim(name, "e", usd)


async def settle(store: Store, name: str, reserved_usd: float, cost_usd: float, attempt: int = 1) -> None:
    told = {"usable": True, "raw": b"x", "reserved_usd": reserved_usd, "cost_usd": cost_usd}
    await Ledger(store).settle(Settlement(name, attempt, CallState.ANSWERED, now(), **told))


def test_months_are_those_of_utc() -> None:
    assert month_of(beginning_of("2026-12")) == "2026-12"
    assert month_of(beginning_of("2026-12") - 0.001) == "2026-11"
    assert beginning_of("1970-02") == 31 * DAY_S


async def test_a_call_that_does_not_fit_waits_for_those_in_flight_and_is_refused_when_none_is(store: Store) -> None:
    put(store, KEY, 1.0)
    assert [(await claim(store, name, 0.4)).claimed for name in "abc"] == [Claimed.NEW, Claimed.NEW, Claimed.RESERVED]
    assert spent(store) == pytest.approx(0.8)
    await settle(store, "a", 0.4, 0.1)
    await settle(store, "a", 0.4, 0.1)  # a write that is tried twice gives nothing back twice
    assert spent(store) == pytest.approx(0.5)
    assert (await claim(store, "c", 0.4)).claimed is Claimed.NEW
    for name in "bc":
        await settle(store, name, 0.4, 0.4)
    held = await claim(store, "d", 0.4)
    assert held.claimed is Claimed.OVER_BUDGET
    assert held.shortage is not None
    error = held.shortage.error()
    assert isinstance(error, BudgetUsedUp)
    assert str(error) == (
        f"the budget of the key {KEY} of $1.0000 is used up ($0.9000 spent, the next call may cost $0.4000); raise it "
        f"with `judge keys budget {KEY} --budget-usd USD`, then resume: nothing is lost"
    )
    put(store, KEY, 2.0)  # a budget that is raised has room at once
    assert (await claim(store, "d", 0.4)).claimed is Claimed.NEW


async def test_each_claim_of_a_batch_is_decided_on_its_own(store: Store) -> None:
    put(store, KEY, 1.0)
    put(store, OTHER, 0.3)
    claims = [("a", 0.9, KEY), ("b", 0.9, KEY), ("c", 0.1, KEY), ("d", 0.2, OTHER), ("e", 0.2, OTHER), ("f", 9.0, None)]
    held = await asyncio.gather(*(claim(store, *one) for one in claims))
    told = [one.claimed for one in held]
    assert told == [Claimed.NEW, Claimed.RESERVED, Claimed.NEW, Claimed.NEW, Claimed.RESERVED, Claimed.NEW]
    assert (spent(store), spent(store, OTHER)) == (pytest.approx(1.0), pytest.approx(0.2))


async def test_twins_that_another_process_sends_reserve_nothing(store: Store) -> None:
    put(store, KEY, 1.0)
    await claim(store, "a", 0.4)
    held = await asyncio.gather(*(claim(store, "a", 0.4) for _ in range(5)))
    assert {one.claimed for one in held} == {Claimed.ELSEWHERE}
    assert spent(store) == pytest.approx(0.4)


async def test_a_tenant_pays_for_all_its_keys_and_for_calls_without_one(store: Store, database_url: str) -> None:
    put(store, None, 1.0, Period.MONTH)
    for name, key in (("a", KEY), ("b", OTHER), ("c", None)):
        assert (await claim(store, name, 0.3, key)).claimed is Claimed.NEW
    assert (await claim(store, "d", 0.3, None)).claimed is Claimed.RESERVED
    assert spent(store, None, "tenant", Period.MONTH) == pytest.approx(0.9)
    with open_store(database_url, tenant="other") as other:
        assert standing(other, None) == {}
        assert (await claim(other, "d", 9.0, None)).claimed is Claimed.NEW


async def test_what_was_spent_before_a_budget_was_set_counts(store: Store) -> None:
    await claim(store, "a", 0.5)
    await settle(store, "a", 0.5, 0.4)
    await claim(store, "b", 0.3)
    put(store, KEY, 1.0)
    assert spent(store) == pytest.approx(0.7)
    await asyncio.sleep(1.1)  # a process looks once a second which budgets there are
    assert (await claim(store, "c", 0.4)).claimed is Claimed.RESERVED
    await settle(store, "b", 0.3, 0.1)
    assert spent(store) == pytest.approx(0.5)
    assert (await claim(store, "c", 0.4)).claimed is Claimed.NEW


async def test_a_budget_that_not_all_know_of_is_counted_from_the_ledger_each_time(
    store: Store, database_url: str
) -> None:
    with open_store(database_url) as unaware:
        await claim(unaware, "a", 0.1)  # it has just looked, and found no budget
        put(store, KEY, 1.0, old=False)
        assert (await claim(store, "b", 0.4)).claimed is Claimed.NEW
        assert (await claim(unaware, "c", 0.4)).claimed is Claimed.NEW
        assert (await claim(store, "d", 0.4)).claimed is Claimed.RESERVED
        await settle(unaware, "c", 0.4, 0.1)
        assert (await claim(store, "d", 0.4)).claimed is Claimed.NEW
    assert spent(store) == pytest.approx(0.1 + 0.4 + 0.1 + 0.4)


async def test_a_month_begins_anew_and_calls_of_the_last_one_give_nothing_back_to_it(store: Store) -> None:
    put(store, KEY, 1.0, Period.MONTH)
    put(store, KEY, 1.5)
    await claim(store, "a", 0.9)
    assert (await claim(store, "b", 0.9)).claimed is Claimed.RESERVED
    call = store.tables.call
    store.change(lambda connection, _: connection.execute(update(call).values(sent_at=now() - 40 * DAY_S)))
    alter(store, month=month_of(now() - 40 * DAY_S))
    store.change(
        lambda connection, _: connection.execute(
            update(store.tables.budget).where(store.tables.budget.c.period == "total").values(month=None)
        )
    )
    assert spent(store, period=Period.MONTH) == 0.0
    assert (await claim(store, "b", 0.5)).claimed is Claimed.NEW
    await settle(store, "a", 0.9, 0.1)
    assert spent(store, period=Period.MONTH) == pytest.approx(0.5)
    assert spent(store) == pytest.approx(0.6)
    alter(store, month="2999-12")  # by a machine whose clock is ahead
    assert standing(store)["key", "month"].month == "2999-12"


async def test_lost_calls_stay_counted_at_their_worst(store: Store, database_url: str) -> None:
    put(store, KEY, 1.0)
    await asyncio.to_thread(subprocess.run, [sys.executable, "-c", DIES, database_url, KEY], check=False)
    assert spent(store) == pytest.approx(0.5)
    held = await claim(store, "other", 0.9)
    assert held.claimed is Claimed.OVER_BUDGET  # its process has ended: nothing will come back
    assert (await claim(store, "k", 0.5)).claimed is Claimed.HELD
    assert spent(store) == pytest.approx(0.5)


DIES = """
import asyncio, os, sys
from judge.ledger import Ledger
from judge.store import open_store
store = open_store(sys.argv[1])
asyncio.run(Ledger(store, paid_by=sys.argv[2]).claim("k", "e", 0.5))
os._exit(1)
"""

SPENDS = """
import asyncio, random, sys
from judge.ledger import CallState, Claimed, Ledger, Settlement, now
from judge.store import open_store

async def main():
    with open_store(sys.argv[1]) as store:
        ledger = Ledger(store, paid_by=sys.argv[3])
        print("ready", flush=True)
        sys.stdin.readline()
        async def one(key):
            while (held := await ledger.claim(key, "e", 0.01)).claimed is Claimed.RESERVED:
                await asyncio.sleep(0.02)
            if held.claimed is Claimed.NEW:
                await asyncio.sleep(random.random() * 0.02)
                cost = {"reserved_usd": 0.01, "cost_usd": 0.004}
                await ledger.settle(Settlement(key, 1, CallState.ANSWERED, now(), usable=True, raw=b"x", **cost))
            return held.claimed
        slots = asyncio.Semaphore(24)
        async def within(key):
            async with slots:
                return await one(key)
        told = await asyncio.gather(*(within(f"{sys.argv[2]}-{n}") for n in range(200)))
        print(told.count(Claimed.NEW), told.count(Claimed.OVER_BUDGET))

asyncio.run(main())
"""


def test_two_processes_cannot_spend_more_than_a_budget_and_spend_all_of_it(store: Store, database_url: str) -> None:
    put(store, KEY, 1.0)
    put(store, None, 50.0, Period.MONTH)
    both = [
        subprocess.Popen(
            [sys.executable, "-c", SPENDS, database_url, name, KEY],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in ("one", "other")
    ]
    for process in both:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    most = 0.0
    for process in both:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    while any(process.poll() is None for process in both):
        most = max(most, spent(store))
        time.sleep(0.01)
    said = [process.communicate(timeout=30) for process in both]
    assert [error for _, error in said] == ["", ""]
    sent, refused = (sum(int(out.split()[place]) for out, _ in said) for place in (0, 1))
    assert sent + refused == 400
    assert most <= 1.0 + 1e-9
    assert spent(store) == pytest.approx(0.004 * sent) == spent(store, None, "tenant", Period.MONTH)
    assert 0.99 < spent(store) + 0.01 <= 1.01  # and the next call would not have fitted
    assert refused


async def test_a_budget_that_is_taken_away_limits_nothing(store: Store) -> None:
    put(store, KEY, 0.1)
    assert (await claim(store, "a", 0.4)).claimed is Claimed.OVER_BUDGET
    put(store, KEY, None)
    assert standing(store) == {}
    assert (await claim(store, "a", 0.4)).claimed is Claimed.NEW
    assert store.ask(store.budgets.spent_by_keys) == {KEY: pytest.approx(0.4)}


async def test_an_answer_that_is_found_gives_back_what_it_was_held_at(store: Store) -> None:
    put(store, KEY, 1.0)
    put(store, None, 1.0, Period.MONTH)
    await claim(store, "a", 0.4)
    lost = Settlement("a", 1, CallState.LOST, now(), reserved_usd=0.4, cost_usd=0.4)
    await Ledger(store).settle(lost)
    assert spent(store) == pytest.approx(0.4)
    for _ in range(2):
        await settle(store, "a", 0.4, 0.1)
    await Ledger(store).settle(lost)  # by a process that does not know of it
    assert spent(store) == pytest.approx(0.1) == spent(store, None, "tenant", Period.MONTH)
