"""The ledger in real databases, with real processes."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select, update

from judge.ledger import (
    SETTLING_S,
    CallState,
    Claimed,
    Held,
    Ledger,
    Settlement,
    call_key,
    now,
    packed,
    unpacked,
)
from judge.store import open_store
from judge.store.store import Store

pytestmark = pytest.mark.anyio
ENDPOINT = "http://127.0.0.1/v1"


def settlement(key: str, attempt: int, state: CallState, **fields: Any) -> Settlement:
    return Settlement(key, attempt, state, 1.0, **fields)


def rows(store: Store) -> list[Any]:
    call = store.tables.call
    return store.ask(lambda connection, _: list(connection.execute(select(call).order_by(call.c.attempt))))


@pytest.mark.parametrize(
    "other",
    [
        ("other", "e", b"body", 0, 0),
        ("t", "other", b"body", 0, 0),
        ("t", "e", b"body ", 0, 0),
        ("t", "e", b"body", 1, 0),
        ("t", "e", b"body", 0, 1),
        ("te", "", b"body", 0, 0),
    ],
)
def test_every_part_of_a_call_is_in_its_key(other: tuple[str, str, bytes, int, int]) -> None:
    key = call_key("t", "e", b"body", 0, 0)
    assert len(key) == 64
    assert key == call_key("t", "e", b"body", 0, 0) != call_key(*other)


def test_raw_replies_are_compressed_without_loss() -> None:
    raw = b'{"a": 1}' * 100
    assert unpacked(packed(raw)) == raw
    assert len(packed(raw)) < 100


async def test_only_one_may_send_and_its_answer_is_used_again(store: Store) -> None:
    ledger = Ledger(store, run="r")
    assert await ledger.find("k") is None
    assert await ledger.claim("k", ENDPOINT, 0.5) == Held(Claimed.NEW, 1)
    assert await ledger.claim("k", ENDPOINT, 0.5) == Held(Claimed.ELSEWHERE, 1)
    await ledger.settle(settlement("k", 1, CallState.ANSWERED, usable=True, raw=b"said", cost_usd=0.25, model="m-1"))
    assert await ledger.claim("k", ENDPOINT, 0.5) == Held(Claimed.REUSED, 1, b"said")
    assert await ledger.find("k") == Held(Claimed.REUSED, 1, b"said")
    (row,) = rows(store)
    assert (row.run, row.endpoint, row.reserved_usd, row.cost_usd, row.model) == ("r", ENDPOINT, 0.5, 0.25, "m-1")
    assert unpacked(row.raw) == b"said"


@pytest.mark.parametrize(
    ("state", "usable"), [(CallState.ANSWERED, False), (CallState.REJECTED, False)], ids=["unusable", "rejected"]
)
async def test_what_settles_nothing_takes_a_new_attempt(store: Store, state: CallState, usable: bool) -> None:
    ledger = Ledger(store)
    await ledger.claim("k", ENDPOINT, None)
    await ledger.settle(settlement("k", 1, state, usable=usable, raw=b"x"))
    assert await ledger.find("k") is None
    assert await ledger.claim("k", ENDPOINT, None) == Held(Claimed.NEW, 2)


async def test_a_lost_call_is_held_until_it_is_resent_on_request(store: Store) -> None:
    await Ledger(store).claim("k", ENDPOINT, 0.5)
    await Ledger(store).settle(settlement("k", 1, CallState.LOST, cause="timeout", cost_usd=0.5))
    assert await Ledger(store).claim("k", ENDPOINT, 0.5) == Held(Claimed.HELD, 1)
    resending = Ledger(store, resend_lost=True)
    assert await resending.claim("k", ENDPOINT, 0.5) == Held(Claimed.NEW, 2, possible_duplicate=True)
    assert [row.possible_duplicate for row in rows(store)] == [False, True]
    assert rows(store)[0].cost_usd == 0.5


async def test_tenants_and_rounds_do_not_see_each_other(store: Store, database_url: str) -> None:
    await Ledger(store).claim("k", ENDPOINT, None)
    with open_store(database_url, tenant="other") as other:
        assert (await Ledger(other).claim("k", ENDPOINT, None)).claimed is Claimed.NEW
        assert Ledger(other).key(ENDPOINT, b"b", 0) != Ledger(store).key(ENDPOINT, b"b", 0)
    assert Ledger(store, round_=1).key(ENDPOINT, b"b", 0) != Ledger(store).key(ENDPOINT, b"b", 0)


async def test_twins_in_one_batch_are_one_call(store: Store) -> None:
    held = await asyncio.gather(*(Ledger(store).claim("k", ENDPOINT, None) for _ in range(50)))
    assert sorted(one.claimed for one in held) == [Claimed.ELSEWHERE] * 49 + [Claimed.NEW]
    assert len(rows(store)) == 1


DIES = """
import asyncio, os, sys
from judge.ledger import Ledger
from judge.store import open_store
store = open_store(sys.argv[1])
asyncio.run(Ledger(store, run="r").claim("k", "e", 0.5))
os._exit(1)
"""


@pytest.mark.parametrize("resend", [False, True])
async def test_what_a_dead_process_left_in_flight_is_lost_and_counted_at_its_worst(
    store: Store, database_url: str, resend: bool
) -> None:
    await asyncio.to_thread(subprocess.run, [sys.executable, "-c", DIES, database_url])
    assert [row.state for row in rows(store)] == ["sent"]
    held = await Ledger(store, run="r", resend_lost=resend).claim("k", ENDPOINT, 0.5)
    assert held == (Held(Claimed.NEW, 2, possible_duplicate=True) if resend else Held(Claimed.HELD, 1))
    orphan = rows(store)[0]
    assert (orphan.state, orphan.cause) == ("lost", "process_ended")
    assert orphan.cost_usd == 0.5


SENDS = """
import asyncio, sys
from judge.ledger import CallState, Claimed, Ledger, Settlement
from judge.store import open_store

async def main():
    with open_store(sys.argv[1]) as store:
        ledger = Ledger(store)
        print("ready", flush=True)
        sys.stdin.readline()
        async def one(key):
            while (held := await ledger.claim(key, "e", None)).claimed is Claimed.ELSEWHERE:
                await asyncio.sleep(0.01)
            if held.claimed is Claimed.NEW:
                print(key)
                await asyncio.sleep(0.01)
                await ledger.settle(Settlement(key, held.attempt, CallState.ANSWERED, 1.0, usable=True, raw=b"x"))
            else:
                assert held.claimed is Claimed.REUSED, held
        slots = asyncio.Semaphore(16)
        async def within(key):
            async with slots:
                await one(key)
        await asyncio.gather(*(within(f"key-{n}") for n in range(500)[:: int(sys.argv[2])]))

asyncio.run(main())
"""


def test_two_processes_send_each_of_500_keys_once(store: Store, database_url: str) -> None:
    # They come from both ends and meet in the middle; then each has only keys that the other has sent, or is sending.
    command = [sys.executable, "-c", SENDS, database_url]
    both = [
        subprocess.Popen(
            [*command, step], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for step in ("1", "-1")
    ]
    for process in both:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    for process in both:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    said = [process.communicate(timeout=30) for process in both]
    assert [(process.returncode, error) for process, (_, error) in zip(both, said, strict=True)] == [(0, "")] * 2
    sent = [out.split() for out, _ in said]
    assert sorted(sent[0] + sent[1]) == sorted(f"key-{n}" for n in range(500))
    assert all(sent), "one process did all the work, so nothing was contended for"
    assert len(rows(store)) == 500


async def test_a_budget_holds_for_all_that_spend_on_a_run(store: Store) -> None:
    hashes = {name: name for name in ("fingerprint", "dataset_hash", "rubric_hash", "judge_fingerprint")}
    store.create_run({"id": "r", "dataset_name": "d", "round": 0, "samples": 1, "items": 0, **hashes}, [])
    one, other = (Ledger(store, "r", budget_usd=1.0) for _ in range(2))
    first = await asyncio.gather(one.claim("a", "e", 0.4), other.claim("b", "e", 0.4), other.claim("c", "e", 0.4))
    assert sorted(held.claimed for held in first) == [Claimed.NEW, Claimed.NEW, Claimed.RESERVED]
    settled = settlement("a", 1, CallState.ANSWERED, usable=True, raw=b"x", reserved_usd=0.4, cost_usd=0.1)
    await one.settle(settled)
    await one.settle(settled)  # a write that is tried twice gives nothing back twice
    assert (await one.claim("d", "e", 0.4)).claimed is Claimed.NEW
    assert (await one.claim("e", "e", 0.2)).claimed is Claimed.RESERVED
    for key in ("b", "d"):
        await other.settle(settlement(key, 1, CallState.LOST, reserved_usd=0.4, cost_usd=0.4))
    over = await one.claim("e", "e", 0.2)
    assert (over.claimed, over.shortage and over.shortage.spent_usd) == (Claimed.OVER_BUDGET, pytest.approx(0.9))
    assert (await Ledger(store, "r").claim("f", "e", 9.0)).claimed is Claimed.NEW  # no budget, no limit


ELSEWHERE = "elsewhere:1:1"


@pytest.fixture
def elsewhere(living: Callable[[str], None]) -> None:
    """It lives."""
    living(ELSEWHERE)


def of_another_host(store: Store, sent_at: float) -> None:
    """A call that a process of another machine has in flight, sent at a moment."""
    call = store.tables.call
    row = {"tenant": store.tenant, "key": "k", "attempt": 1, "state": "sent", "owner": ELSEWHERE, "endpoint": ENDPOINT}
    more = {"sent_at": sent_at, "usable": False, "reserved_usd": 0.5, "possible_duplicate": False, "run": "r"}
    store.change(lambda connection, _: connection.execute(call.insert(), row | more))


@pytest.mark.usefixtures("elsewhere")
async def test_a_call_of_another_host_is_waited_for_until_it_is_silent_for_too_long(store: Store) -> None:
    of_another_host(store, now() - 60 - SETTLING_S + 5)
    ledger = Ledger(store)
    assert await ledger.claim("k", ENDPOINT, 0.5) == Held(Claimed.ELSEWHERE, 1)  # it may take any time
    assert await ledger.claim("k", ENDPOINT, 0.5, timeout_s=60) == Held(Claimed.ELSEWHERE, 1)
    assert await ledger.claim("k", ENDPOINT, 0.5, timeout_s=50) == Held(Claimed.HELD, 1)
    (row,) = rows(store)
    assert (row.state, row.owner, row.cost_usd) == ("lost", ELSEWHERE, 0.5)
    assert await ledger.claim("k", ENDPOINT, 0.5, timeout_s=60) == Held(Claimed.HELD, 1)


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("resent", [False, True])
async def test_an_answer_that_comes_after_all_is_kept(store: Store, resent: bool) -> None:
    of_another_host(store, now() - 100 - SETTLING_S)
    assert (await Ledger(store).claim("k", ENDPOINT, 0.5, timeout_s=60)).claimed is Claimed.HELD
    if resent:
        again = await Ledger(store, resend_lost=True).claim("k", ENDPOINT, 0.5, timeout_s=60)
        assert again == Held(Claimed.NEW, 2, possible_duplicate=True)
    late = settlement("k", 1, CallState.ANSWERED, usable=True, raw=b"late", reserved_usd=0.5, cost_usd=0.1)
    await Ledger(store).settle(late)
    assert (rows(store)[0].state, rows(store)[0].cost_usd) == ("answered", 0.1)
    assert await Ledger(store).claim("k", ENDPOINT, 0.5, timeout_s=60) == Held(Claimed.REUSED, 1, b"late")


async def test_a_call_of_ones_own_that_nobody_has_in_flight_is_lost_when_its_time_is_over(store: Store) -> None:
    ledger, call = Ledger(store), store.tables.call
    await ledger.claim("k", ENDPOINT, 0.5)
    assert await Ledger(store).claim("k", ENDPOINT, 0.5, timeout_s=60) == Held(Claimed.ELSEWHERE, 1)
    store.change(lambda connection, _: connection.execute(update(call).values(sent_at=now() - 60 - SETTLING_S - 1)))
    assert await ledger.claim("k", ENDPOINT, 0.5, timeout_s=60) == Held(Claimed.ELSEWHERE, 1)  # it is under way here
    assert await Ledger(store).claim("k", ENDPOINT, 0.5, timeout_s=60) == Held(Claimed.HELD, 1)


@pytest.mark.parametrize("state", [CallState.LOST, CallState.REJECTED])
async def test_an_answer_is_not_overwritten_by_a_process_that_knows_of_none(store: Store, state: CallState) -> None:
    ledger = Ledger(store)
    await ledger.claim("k", ENDPOINT, 0.5)
    answered = settlement("k", 1, CallState.ANSWERED, usable=True, raw=b"said", cost_usd=0.25)
    await ledger.settle(answered)
    await ledger.settle(settlement("k", 1, state, cause="timeout", cost_usd=0.5))
    (row,) = rows(store)
    assert (row.state, row.cause, row.cost_usd, unpacked(row.raw)) == ("answered", None, 0.25, b"said")
    await ledger.settle(replace(answered, usable=False))  # an item has read it
    assert not rows(store)[0].usable
