"""Batches of one run, beside others who are at work on it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
import pytest

from judge import Item, Judge
from judge.datasets import Given
from judge.errors import Paused, RunBusy, Waiting
from judge.ledger import CallState, Claim, Held, Settlement, now
from judge.runs import Options, Run
from judge.session import Session
from judge.store.store import Store
from rubrics import Rubric

if TYPE_CHECKING:
    from tests.conftest import Stub

T = TypeVar("T")

pytestmark = pytest.mark.anyio
Opens = Callable[..., AbstractAsyncContextManager[Run]]


@pytest.fixture
def opened(store: Store, rubric: Rubric, judge_at: Callable[..., Judge]) -> Opens:
    """Opens a run in batches of so many items at a stub."""

    @asynccontextmanager
    async def opened(stub: Stub, items: int = 6, provider: str = "openai", **options: Any) -> AsyncIterator[Run]:
        dataset = Given("some", [Item(id=str(n), output=f"ITEM-{n}") for n in range(items)])
        judge = judge_at(stub.url if provider == "anthropic" else stub.base_url, provider=provider)
        run = await Run.open(store, dataset, rubric, judge, Options(mode="batch", **options))
        try:
            yield run
        finally:
            await run.close()

    return opened


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not await asyncio.to_thread(holds):  # noqa: ASYNC110 - there is nobody who would tell
            await asyncio.sleep(0.02)


async def test_a_batch_whose_calls_were_given_back_while_it_was_made_is_taken_back(
    shared_stub: Stub, store: Store, opened: Opens
) -> None:
    shared_stub.reset()
    shared_stub.batching(create_s=1, delay_s=600)
    async with opened(shared_stub) as run:
        executing = asyncio.create_task(run.execute())
        await until(lambda: shared_stub.stats()["uploads"] == 1)
        (batch,) = store.ask(store.batches.of_run, run.id)
        for one in store.ask(store.batches.outstanding, run.id, batch.id):
            await store.settle(Settlement(one.key, one.attempt, CallState.REJECTED, now(), cost_usd=0.0))
        store.change(store.batches.ended, batch.id)
        with pytest.raises(RunBusy):
            await executing
    assert [one["cancelled"] for one in shared_stub.batches()] == [True]


async def test_a_batch_that_took_long_to_make_is_looked_for_since_its_beginning(
    shared_stub: Stub, opened: Opens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("judge.batching.TRANSFER_S", 1.0)
    monkeypatch.setattr("judge.providers.anthropic_batches.SKEW_S", 0.0)
    monkeypatch.setenv("JUDGE_LOOKUP_LAG_S", "1")
    shared_stub.reset()
    shared_stub.batching(create="hang")
    async with opened(shared_stub, provider="anthropic") as run:
        await run.execute()
    assert len(shared_stub.batches()) == 1
    assert run.progress.done == 6


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("undeletable", [False, True])
async def test_what_was_uploaded_is_deleted_when_its_answers_are_here(
    shared_stub: Stub, opened: Opens, caplog: pytest.LogCaptureFixture, undeletable: bool
) -> None:
    shared_stub.reset()
    shared_stub.batching(errored=1, undeletable=undeletable)
    async with opened(shared_stub) as run:
        await run.execute()
    assert run.progress.done == 6
    assert shared_stub.stats()["uploads"] == 1
    assert shared_stub.stats()["files"] == (3 if undeletable else 0)
    told = [one.message for one in caplog.records if one.name == "judge.batching"]
    assert told == (["files of a batch are not deleted"] if undeletable else [])


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("refused", [{"refusal": "too many tokens"}, {"create": "400"}])
async def test_what_was_uploaded_for_a_batch_that_is_refused_is_deleted(
    shared_stub: Stub, opened: Opens, refused: dict[str, str]
) -> None:
    shared_stub.reset()
    shared_stub.batching(**refused)
    async with opened(shared_stub) as run:
        with pytest.raises(Paused):
            await run.execute()
    assert (shared_stub.stats()["uploads"], shared_stub.stats()["files"]) == (1, 0)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_database_that_does_not_answer_holds_the_loop_up_for_nobody(
    shared_stub: Stub, store: Store, database_url: str, opened: Opens, judge_at: Callable[..., Judge]
) -> None:
    loop = asyncio.get_running_loop()

    async def longest_gap(work: Coroutine[Any, Any, T]) -> tuple[T, float]:
        """What comes of work that the database keeps waiting, and the longest that the loop served nobody meanwhile."""
        with psycopg.connect(database_url) as locking:
            locking.execute("LOCK TABLE batch, probe IN ACCESS EXCLUSIVE MODE")
            threading.Timer(0.6, locking.rollback).start()
            task, longest, last = asyncio.create_task(work), 0.0, loop.time()
            while not task.done():
                await asyncio.wait([task], timeout=0.01)
                longest, last = max(longest, loop.time() - last), loop.time()
        return await task, longest

    shared_stub.reset()
    await (await Session.open(store, judge_at(shared_stub.base_url))).close()  # what is imported then takes long
    session, gap = await longest_gap(Session.open(store, judge_at(shared_stub.base_url, model="another")))
    await session.close()
    assert gap < 0.4
    async with opened(shared_stub) as run:
        assert (await longest_gap(run.execute()))[1] < 0.4
    assert len(shared_stub.batches()) == 1


async def test_where_a_budget_is_reserved_no_more_is_claimed_until_something_comes_back(
    shared_stub: Stub, store: Store, opened: Opens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUDGE_BATCH_REQUESTS", "4")
    shared_stub.reset()
    shared_stub.batching(delay_s=600)
    async with opened(shared_stub, items=1) as run:
        with pytest.raises(Waiting):
            await run.execute(patient=False)
    (one,) = store.ask(store.batches.of_run, run.id)
    (only,) = store.ask(store.batches.outstanding, run.id, one.id)
    claims = []
    claim = store.claim
    assert only.reserved_usd is not None

    async def counted(wish: Claim) -> Held:
        claims.append(wish)
        return await claim(wish)

    monkeypatch.setattr(store, "claim", counted)
    async with opened(shared_stub, items=100, budget_usd=6.5 * only.reserved_usd) as run:
        for swept in (False, True):
            with pytest.raises(Waiting):
                await run.execute(patient=False, swept=swept)
    assert len(claims) <= 12
    assert sum(len(one["questions"]) for one in shared_stub.batches()) == 7
