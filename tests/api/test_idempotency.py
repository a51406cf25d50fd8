"""Keys of requests that meet, before a store of each kind: one tenant, one route and one key are one request."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from api.idempotency import REPLAYED, Busy, Keep, once
from judge.errors import StoreError
from judge.store.store import Store


def request() -> Request:
    return Request({"type": "http", "headers": [(b"idempotency-key", b"the-same")]})


class Work:
    """What is done once, when it may go on."""

    def __init__(self) -> None:
        self.goes_on, self.begun, self.times = asyncio.Event(), asyncio.Event(), 0

    async def __call__(self, keep: Keep) -> Response:
        self.times += 1
        self.begun.set()
        await self.goes_on.wait()
        return Response("{}", 202, {"Location": "/v1/runs/x", "Retry-After": "1", "X-Other": "x"}, "application/json")


def test_routes_have_keys_of_their_own(store: Store) -> None:
    async def told() -> None:
        first, other = Work(), Work()
        async with asyncio.TaskGroup() as several:
            one = several.create_task(once(store, request(), "POST /one", "{}", first))
            await first.begun.wait()
            two = several.create_task(once(store, request(), "POST /two", "{}", other))
            await other.begun.wait()
            with pytest.raises(Busy):
                await once(store, request(), "POST /one", "{}", first)
            first.goes_on.set()
            other.goes_on.set()
        assert (one.result().status_code, two.result().status_code) == (202, 202)
        again: Any = await once(store, request(), "POST /two", "{}", other)
        assert (again.headers["Location"], again.headers["Retry-After"]) == ("/v1/runs/x", "1")
        assert ("X-Other" in again.headers, again.headers[REPLAYED]) == (False, "true")
        assert (first.times, other.times) == (1, 1)

    asyncio.run(told())


def test_an_answer_is_kept_with_what_was_done_or_neither_is(store: Store) -> None:
    done = []

    async def work(keep: Keep) -> Response:
        def change(connection: Connection, tenant: str) -> None:
            done.append(tenant)
            keep(connection, tenant, Response("{}", 202, {"Location": "/v1/runs/x"}, "application/json"))
            if len(done) == 1:
                raise StoreError("the database is away")

        await asyncio.to_thread(store.change, change)
        raise RuntimeError("after all is done")

    async def told() -> None:
        for trouble in (StoreError, RuntimeError):
            with pytest.raises(trouble):
                await once(store, request(), "POST /one", "{}", work)
        again: Any = await once(store, request(), "POST /one", "{}", work)
        assert (again.status_code, again.headers[REPLAYED], len(done)) == (202, "true", 2)

    asyncio.run(told())


def test_of_many_at_once_one_is_worked_on(store: Store) -> None:
    async def told() -> None:
        work = Work()
        asked = [asyncio.create_task(once(store, request(), "POST /one", "{}", work)) for _ in range(20)]
        await work.begun.wait()
        work.goes_on.set()
        ended = await asyncio.gather(*asked, return_exceptions=True)
        assert work.times == 1
        assert all(isinstance(one, Response | Busy) for one in ended)
        assert any(isinstance(one, Response) for one in ended)

    asyncio.run(told())
