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
from judge.paces import Paces, Shared, Turn
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
    assert asked == [Turn("judge:requests", pytest.approx(takes_s), pytest.approx(takes_s * at_once))]


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
