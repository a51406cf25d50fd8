"""One pace for several processes, kept by a real PostgreSQL."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pytest

from judge import Judge
from judge.endpoint import Endpoint
from judge.judges import Asking
from judge.paces import Pace, Paces, Shared, Turn
from judge.session import Session
from judge.store import open_store
from judge.store.store import Store

if TYPE_CHECKING:
    from tests.conftest import Postgres

pytestmark = pytest.mark.anyio


@pytest.fixture
def several(postgres_server: Postgres) -> Iterator[list[Store]]:
    """Three stores that share nothing but the database, as those of three processes."""
    with postgres_server.lent() as url:
        stores = [open_store(url) for _ in range(3)]
        yield stores
        for store in stores:
            store.close()


async def test_all_who_ask_at_once_take_turns_at_the_one_pace(several: list[Store]) -> None:
    began = time.monotonic()
    asked = [store.turn(Turn("judge:requests", 0.1, 1.0)) for _ in range(20) for store in several]
    waits = sorted(await asyncio.gather(*asked))
    took = time.monotonic() - began
    # Ten at once after a rest; each one after that a tenth of a second later, whoever asks.
    for place, wait in enumerate(waits):
        due = max((place + 1) * 0.1 - 1.0, 0.0)
        assert due - took - 1e-6 <= wait <= due + 1e-6


async def test_what_keeps_another_pace_is_not_waited_for(several: list[Store]) -> None:
    one, *_ = several
    assert await one.turn(Turn("a", 60.0, 60.0)) == 0
    assert await one.turn(Turn("b", 60.0, 60.0)) == 0
    assert 59 < await one.turn(Turn("a", 60.0, 60.0)) <= 60


async def test_turns_of_one_batch_follow_each_other(several: list[Store]) -> None:
    one, *_ = several
    waits = await asyncio.gather(*(one.turn(Turn("a", 100.0, 100.0)) for _ in range(3)))
    assert [round(wait / 100) for wait in waits] == [0, 1, 2]


async def test_a_turn_that_comes_too_late_is_told_and_not_taken(several: list[Store]) -> None:
    one, other, _ = several
    assert await one.turn(Turn("a", 60.0, 60.0)) == 0
    for store in (one, other, one):
        assert 59 < await store.turn(Turn("a", 60.0, 60.0, latest_s=59.0)) <= 60
    waits = await asyncio.gather(*(other.turn(Turn("a", 60.0, 60.0, latest_s=60.0)) for _ in range(3)))
    assert [round(wait / 60) for wait in waits] == [1, 2, 2]  # the first of them took it
    assert 119 < await one.turn(Turn("a", 60.0, 60.0)) <= 120


@pytest.mark.parametrize("after_s", [0.0, 0.3])
async def test_a_turn_that_is_no_longer_waited_for_is_given_back(several: list[Store], after_s: float) -> None:
    one, other, _ = several
    pace = Paces("judge", one.turn).tokens(600.0)
    assert isinstance(pace, Shared)
    await pace.acquire(600)
    waiting = [asyncio.create_task(pace.acquire(600)) for _ in range(5)]
    await asyncio.sleep(after_s)  # they are asked for, and not yet heard of, or had
    assert not any(task.done() for task in waiting)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await asyncio.gather(*pace._returning)
    assert 50 < await other.turn(Turn("judge:tokens", 0.0, 0.0)) <= 60  # what was had
    assert all(task.cancelled() for task in waiting)


async def test_what_is_given_back_is_never_more_than_was_taken(several: list[Store]) -> None:
    one, *_ = several
    await one.turn(Turn("a", 0.1, 0.1))
    await asyncio.sleep(0.2)
    await one.turn(Turn("a", -0.1, 0.1))  # its time is over: there is nothing left of it
    waits = await asyncio.gather(*(one.turn(Turn("a", 60.0, 60.0)) for _ in range(2)))
    assert [round(wait / 60) for wait in waits] == [0, 1]


async def test_who_is_killed_in_a_crowd_that_waits_takes_no_more_than_a_turn_along(several: list[Store]) -> None:
    paces = [Paces("judge", store.turn).tokens(10_000.0) for store in several]
    waiting = [asyncio.create_task(pace.acquire(10_000)) for _ in range(16) for pace in paces if pace is not None]
    await asyncio.sleep(1.5)
    due = await several[0].turn(Turn("judge:tokens", 0.0, 0.0))
    assert sum(task.done() for task in waiting) == 1
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await asyncio.sleep(0.3)
    assert 110 < due <= 120, "a minute that is used, and one that is waited for"


async def test_a_crowd_is_served_at_the_pace_and_with_few_questions(several: list[Store]) -> None:
    asked, began = 0, time.monotonic()
    times: list[float] = []

    def of(store: Store) -> Shared:
        async def turns(wish: Turn) -> float:
            nonlocal asked
            asked += 1
            return await store.turn(wish)

        pace = Paces("judge", turns).requests(2400.0)  # forty a second, and forty at once
        assert isinstance(pace, Shared)
        return pace

    async def call(pace: Shared) -> None:
        await pace.acquire()
        times.append(time.monotonic() - began)

    await asyncio.gather(*(call(pace) for pace in map(of, several) for _ in range(60)))
    for place, moment in enumerate(sorted(times)):
        assert moment >= (place + 1) / 40 - 1.0
    assert max(times) < 10  # 3.5 at best
    assert asked < 180 * 8


async def test_nobody_waits_longer_than_those_who_came_before_take(several: list[Store]) -> None:
    crowd, one, other = (Paces("judge", store.turn).tokens(6000.0) for store in several)  # a hundred a second
    assert crowd is not None
    assert one is not None
    assert other is not None
    await crowd.acquire(6000)

    async def calls(pace: Pace) -> None:
        while True:
            await pace.acquire(20)

    busy = [asyncio.create_task(calls(pace)) for pace in (crowd, one) for _ in range(10)]
    await asyncio.sleep(1.0)
    began = time.monotonic()
    await asyncio.wait_for(asyncio.gather(other.acquire(20), other.acquire(100)), 30)
    took = time.monotonic() - began
    for task in busy:
        task.cancel()
    await asyncio.gather(*busy, return_exceptions=True)
    await asyncio.sleep(0.3)
    # Twenty were there before, of a fifth of a second each, and those who come later are not let in first.
    assert took < 10


@pytest.mark.parametrize(
    ("rpm", "at_once", "takes_s"), [(30.0, 1.0, 2.0), (600.0, 10.0, 0.1), (60.0, 1.0, 1.0), (None, None, None)]
)
async def test_a_rate_is_spread_over_the_minute(rpm: float | None, at_once: float, takes_s: float) -> None:
    asked: list[Turn] = []

    async def turns(wish: Turn) -> float:
        asked.append(wish)
        return 0.0

    pace = Paces("judge", turns).requests(rpm)
    if pace is None:
        assert rpm is None
        return
    assert isinstance(pace, Shared)
    assert pace.max_rate == at_once
    await pace.acquire()
    (wish,) = asked
    assert wish == Turn("judge:requests", pytest.approx(takes_s), pytest.approx(takes_s * at_once), wish.latest_s)


async def test_an_endpoint_asks_for_the_tokens_of_a_call(several: list[Store]) -> None:
    one, *_ = several
    server = Endpoint(4, tpm=6000.0, paces=Paces("judge", one.turn))
    async with server.slot(5000):
        pass
    due = await one.turn(Turn("judge:tokens", 0.0, 0.0))
    assert 45 < due <= 50  # five sixths of a minute's tokens are used
    assert server.metered


async def test_a_pace_that_is_said_again_gives_no_more(several: list[Store]) -> None:
    server = Endpoint(4, rpm=600.0, tpm=600.0)
    async with server.slot(600):
        pass
    server.restrict(4, 600.0, 6000.0)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(server.slot(600).__aenter__(), 0.1)


async def test_a_tenant_slows_nobody_else_down_at_a_server_that_needs_no_key(
    several: list[Store], judge_at: Callable[..., Judge]
) -> None:
    url, store = "https://judge.example/v1", several[0]

    async def endpoint(tenant: str, **fields: Any) -> Endpoint | None:
        """Of a tenant's judge, which was probed before."""
        own, judge = store.of(tenant), judge_at(url, **fields)
        own.keep_probe(judge.description_hash, asdict(Asking("json_schema", ())))
        session = await Session.open(own, judge)
        await session.close()
        return session.endpoint

    one = await endpoint("one", public_only=True, rpm=0.001)
    assert await endpoint("one", public_only=True) is one
    assert await endpoint("other", public_only=True) is not one
    operators = await endpoint("one")
    assert await endpoint("other") is operators is not one
