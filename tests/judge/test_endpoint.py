from __future__ import annotations

import asyncio
import gc
import time
import weakref

import pytest

from judge import Paused, endpoint
from judge.endpoint import Endpoint

pytestmark = pytest.mark.anyio


async def test_no_more_in_flight_than_the_limit_and_first_come_first_served() -> None:
    server, order, most = Endpoint(3), [], 0

    async def call(number: int) -> None:
        nonlocal most
        async with server.slot(10):
            order.append(number)
            most = max(most, server.in_flight)
            await asyncio.sleep(0.005)

    await asyncio.gather(*(call(number) for number in range(20)))
    assert most == 3
    assert order == list(range(20))
    assert server.in_flight == 0


async def test_a_429_takes_a_tenth_once_a_response_time_and_answers_bring_it_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(endpoint, "FIRST_RESPONSE_S", 0.1)
    server = Endpoint(20)
    for _ in range(50):
        server.refused_for_rate()
    assert server.limit == pytest.approx(18.0)
    await asyncio.sleep(0.12)
    server.refused_for_rate()
    assert server.limit == pytest.approx(16.2)
    for _ in range(100):
        server.answered(0.1)
    assert server.limit == 20.0


async def test_the_limit_never_falls_below_one() -> None:
    server = Endpoint(1)
    server.refused_for_rate()
    assert server.limit == 1.0
    async with server.slot(1):
        assert server.in_flight == 1


async def test_a_lower_limit_is_kept_to() -> None:
    server = Endpoint(10)
    server.refused_for_rate()
    slots = [server.slot(1) for _ in range(9)]
    for slot in slots:
        await slot.__aenter__()
    tenth = server.slot(1)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(tenth.__aenter__(), 0.02)
    for slot in slots:
        await slot.__aexit__(None, None, None)
    assert server.in_flight == 0


async def test_retries_are_a_fifth_of_the_calls_and_ten_in_any_case() -> None:
    server = Endpoint(4)
    assert [server.may_retry() for _ in range(11)] == [True] * 10 + [False]
    for _ in range(100):
        server.begun()
    assert [server.may_retry() for _ in range(11)] == [True] * 10 + [False]  # 20 of 100 in all


async def test_an_open_breaker_tells_those_who_wait_and_those_who_come() -> None:
    server = Endpoint(1)
    async with server.slot(1):
        waiting = asyncio.create_task(server.slot(1).__aenter__())
        await asyncio.sleep(0)
        server.open_breaker("the key is wrong")
        with pytest.raises(Paused, match="the key is wrong; mend it"):
            await waiting
    with pytest.raises(Paused, match="nothing is lost"):
        await server.slot(1).__aenter__()
    assert server.in_flight == 0


async def test_what_is_told_of_an_open_breaker_keeps_nothing_of_those_it_was_told() -> None:
    class Body:
        pass

    server, told, kept = Endpoint(1), [], []

    async def call(body: Body) -> None:
        try:
            async with server.slot(1):
                pass
        except Paused as paused:
            told.append(str(paused))

    async with server.slot(1):
        for late in (False, True):  # three that wait, and three that come
            if late:
                server.open_breaker("down")
            bodies = [Body() for _ in range(3)]
            kept += [weakref.ref(body) for body in bodies]
            asked = [asyncio.create_task(call(body)) for body in bodies]
            del bodies
            await asyncio.sleep(0.01)
        await asyncio.gather(*asked)
        del asked
        gc.collect()
    assert told == [f"down; {endpoint.LATER}"] * 6
    assert [ref() for ref in kept] == [None] * 6


async def test_a_breaker_closes_when_it_has_cooled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "BREAKER_COOLS_S", 0.05)
    server = Endpoint(1)
    server.open_breaker("down")
    await asyncio.sleep(0.06)
    async with server.slot(1):
        assert server.broken is None


async def test_ten_failures_in_a_row_open_the_breaker_and_an_answer_between_counts_anew() -> None:
    server = Endpoint(4)
    for _ in range(9):
        server.gave_up("http_500", "down")
    server.answered(0.1)
    for _ in range(9):
        server.gave_up("http_500", "down")
    assert server.broken is None
    server.gave_up("http_500", "down")
    assert "10 times in a row, last with http_500" in str(server.broken)


async def test_a_wait_cancelled_in_the_queue_gives_its_place_to_the_next() -> None:
    server = Endpoint(1)
    first, second, third = (server.slot(1) for _ in range(3))
    await first.__aenter__()
    gone = asyncio.create_task(second.__aenter__())
    stays = asyncio.create_task(third.__aenter__())
    await asyncio.sleep(0)
    await first.__aexit__(None, None, None)  # the slot is handed to the second ...
    gone.cancel()  # ... which leaves at the same moment
    await asyncio.wait_for(stays, 1)
    assert gone.cancelled()
    assert server.in_flight == 1
    await third.__aexit__(None, None, None)
    assert server.in_flight == 0


async def test_a_pause_holds_no_slot_and_says_that_there_is_room() -> None:
    server, eased = Endpoint(1), []
    server.eased.add(lambda: eased.append(server.waiting))
    pause = asyncio.create_task(server.pause(0.05))
    await asyncio.sleep(0)
    async with server.slot(1):
        assert (server.waiting, eased) == (1, [1])
    await pause
    assert server.waiting == 0


@pytest.mark.parametrize("limits", [{"rpm": 1200.0}, {"tpm": 1200.0 * 30}])
async def test_rates_are_kept(limits: dict[str, float]) -> None:
    # 1200 requests a minute are 20 a second: 20 at once, then one each 50 ms. 36,000 tokens a minute are
    # 600 a second, with a minute's worth at the start.
    server, began = Endpoint(100, **limits), time.monotonic()
    assert server.metered
    assert not Endpoint(100).metered
    tokens = 30 if "rpm" in limits else 36_000 // 20

    async def call() -> None:
        async with server.slot(tokens):
            pass

    await asyncio.gather(*(call() for _ in range(20)))
    assert time.monotonic() - began < 0.3
    more = asyncio.gather(*(call() for _ in range(6)))
    if "rpm" in limits:
        await more
        assert time.monotonic() - began >= 0.25
    else:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(more, 0.2)
