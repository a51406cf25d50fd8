"""A rubric, a judge at a stub, and a desk at which single calls are made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import select

from judge import Judge
from judge.attempts import Answer, Deadline
from judge.calling import Caller
from judge.costs import Budget, Receipt
from judge.endpoint import Endpoint
from judge.judges import Asking, Price
from judge.ledger import Ledger
from judge.providers import Provider, Reading, Request, Source, connect
from judge.providers.openai import OpenAI
from judge.store.store import Store
from rubrics import Rubric, answer_schema

#: Dollars a million tokens: a token costs 1 or 2 millionths, so that costs can be worked out by hand.
PRICE = Price(input=1.0, output=2.0, cache_write=1.0)
MAX_TOKENS = 100


@dataclass(frozen=True, slots=True)
class Desk:
    """One caller, and what it takes to ask something."""

    caller: Caller
    provider: OpenAI
    ledger: Ledger
    store: Store
    rubric: Rubric

    def body(self, text: str = "ITEM-1", max_tokens: int = MAX_TOKENS) -> bytes:
        request = Request(Asking("json_schema", ()), "Grade.", answer_schema(self.rubric))
        return self.provider.compile(request)(text, max_tokens)

    def worst_usd(self, text: str = "ITEM-1") -> float:
        """By hand: a token for every byte of the body, and every token of the answer."""
        return (len(self.body(text)) * 1.0 + MAX_TOKENS * 2.0) / 1e6

    async def ask(
        self, text: str = "ITEM-1", deadline: Deadline | None = None, usable: bool = True, sample: int = 0
    ) -> tuple[Answer, Receipt]:
        """An answer whose writes are on disk."""
        deadline, receipt = deadline or Deadline(20.0), Receipt()

        def is_usable(_: Reading) -> bool:
            return usable

        answer = await self.caller.ask(self.body(text), MAX_TOKENS, sample, deadline, receipt, is_usable)
        await asyncio.gather(*receipt.writes)
        return answer, receipt

    def rows(self) -> list[Any]:
        """The ledger, in the order of sending."""
        call = self.store.tables.call
        return self.store.ask(
            lambda connection, _: list(connection.execute(select(call).order_by(call.c.sent_at, call.c.attempt)))
        )

    def states(self) -> list[tuple[str, str | None]]:
        return [(row.state, row.cause) for row in self.rows()]


MakeDesk = Callable[..., AbstractAsyncContextManager[Desk]]


@pytest.fixture
def rubric() -> Rubric:
    return Rubric.loads("""
name: small
criteria:
  - {id: clear, scale: ordinal, question: How clear is it, levels: [1, 2, 3]}
  - {id: polite, scale: binary, question: Is it polite, not_applicable: true, cannot_tell: true}
""")


@pytest.fixture
def judge_at() -> Callable[..., Judge]:
    """A judge at an address, of known price and mode."""

    def make(base_url: str, **fields: Any) -> Judge:
        given = {"name": "stub", "provider": "openai", "model": "m", "mode": "json_schema", "price": PRICE}
        return Judge.model_validate({**given, "base_url": base_url, "max_tokens": MAX_TOKENS, **fields})

    return make


@pytest.fixture
def desk(store: Store, rubric: Rubric, judge_at: Callable[..., Judge]) -> MakeDesk:
    """Opens a desk at an address: `async with desk(url, concurrency=2) as one`."""

    @asynccontextmanager
    async def opened(
        base_url: str,
        concurrency: int = 4,
        budget_usd: float | None = None,
        resend_lost: bool = False,
        rpm: float | None = None,
        run: str | None = None,
        paid_by: str | None = None,
        **fields: Any,
    ) -> AsyncIterator[Desk]:
        judge = judge_at(base_url, **fields)
        provider = OpenAI(judge)
        ledger, endpoint = Ledger(store, run, resend_lost=resend_lost, paid_by=paid_by), Endpoint(concurrency, rpm)
        caller = Caller(provider, judge, ledger, endpoint, judge.price, Budget(budget_usd))
        try:
            yield Desk(caller, provider, ledger, store, rubric)
        finally:
            await provider.close()

    return opened


@pytest.fixture
def adapter_at(judge_at: Callable[..., Judge]) -> Callable[..., AbstractAsyncContextManager[Provider]]:
    """Opens the adapter of a provider for a server: `async with adapter_at("anthropic", url) as adapter`."""

    @asynccontextmanager
    async def opened(provider: str, url: str, **fields: Any) -> AsyncIterator[Provider]:
        base_url = url if provider == "anthropic" else f"{url}/v1"
        adapter = connect(judge_at(base_url, provider=provider, **fields))
        assert not isinstance(adapter, Source)
        try:
            yield adapter
        finally:
            await adapter.close()

    return opened
