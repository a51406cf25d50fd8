"""A judge made ready: connected, priced, probed. Runs, single grades and the service all begin here."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict
from itertools import islice
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from judge import prompts
from judge.attempts import GRADE_DEADLINE_S
from judge.calling import Caller
from judge.costs import Budget
from judge.endpoint import Endpoint
from judge.grades import Graded
from judge.grading import Grader
from judge.items import Item
from judge.judges import Asking, Judge, Price
from judge.ledger import Ledger
from judge.paces import Paces
from judge.prices import price_of
from judge.probing import probe, round_of_probe
from judge.providers import Provider, Source, connect
from judge.telemetry import NOBODY, Observer
from rubrics import Rubric

if TYPE_CHECKING:
    from judge.store.store import Store

#: Limits belong to a server and a key, whoever asks; an endpoint lives as long as somebody uses it.
_endpoints: WeakValueDictionary[tuple[int, str, str], Endpoint] = WeakValueDictionary()


def _endpoint(
    store: Store, provider: Provider, judge: Judge, concurrency: int, rpm: float | None, tpm: float | None
) -> Endpoint:
    secret = os.environ.get(judge.key_variable, "") if judge.key_variable else ""
    whose = hashlib.sha256(secret.encode()).hexdigest()
    if judge.public_only and judge.key_variable is None:
        # As of all that callers make for servers that the operator does not list: each tenant's limits are its own.
        whose += f" {store.tenant}"
    of = hashlib.sha256(f"{provider.endpoint} {whose}".encode()).hexdigest()
    key = (id(asyncio.get_running_loop()), store.name, of)
    shared = _endpoints.get(key)
    if shared is None:
        paces = Paces(of, store.turn if store.queue_url else None)
        shared = _endpoints[key] = Endpoint(concurrency, rpm, tpm, paces)
    else:
        shared.restrict(concurrency, rpm, tpm)
    return shared


class Session:
    """A judge that can be asked. Made by `open`; close it in the end.

    `probe_usd` is what finding out how cost now. `observer` is told of all that the session's callers and graders do.
    """

    def __init__(
        self,
        judge: Judge,
        adapter: Provider | Source,
        samples: int,
        price: Price | None = None,
        asking: Asking | None = None,
        endpoint: Endpoint | None = None,
        probe_usd: float = 0.0,
        observer: Observer = NOBODY,
    ) -> None:
        self.judge, self.adapter, self.samples = judge, adapter, samples
        self.price, self.asking, self.endpoint = price, asking, endpoint
        self.probe_usd, self.observer = probe_usd, observer
        if isinstance(adapter, Source):
            self.fingerprint = adapter.fingerprint if samples == 1 else _with_samples(adapter.fingerprint, samples)
        else:
            assert asking is not None
            self.fingerprint = asking.fingerprint(judge, adapter.endpoint, prompts.version(asking.mode), samples)

    @classmethod
    async def open(
        cls,
        store: Store,
        judge: Judge,
        samples: int = 1,
        concurrency: int | None = None,
        rpm: float | None = None,
        tpm: float | None = None,
        allow_unpriced: bool = False,
        fresh: bool = False,
        budget_usd: float | None = None,
        observer: Observer = NOBODY,
    ) -> Session:
        """Connects a judge and finds out how it can be asked, unless that is known: for no more than a budget.

        Raises
        ------
        SetupError
            When it cannot be asked as it is described.
        Paused
            When its server cannot be asked for now, or a budget has no room for finding out.
        """
        adapter = connect(judge)
        if isinstance(adapter, Source):
            return cls(judge, adapter, samples, observer=observer)
        spent = 0.0
        try:
            price = price_of(judge, allow_unpriced)
            limits = (concurrency or judge.concurrency, rpm or judge.rpm, tpm or judge.tpm)
            endpoint = _endpoint(store, adapter, judge, *limits)
            known = None if fresh else await asyncio.to_thread(known_asking, store, judge)
            if known is None:
                ledger = Ledger(store, round_=round_of_probe())
                caller = Caller(adapter, judge, ledger, endpoint, price, Budget(budget_usd), observer)
                asking = await probe(judge, adapter, caller)
                spent = caller.budget.spent_usd
                await asyncio.to_thread(store.keep_probe, judge.description_hash, asdict(asking))
            else:
                asking = known
        except BaseException:
            await adapter.close()
            raise
        return cls(judge, adapter, samples, price, asking, endpoint, spent, observer)

    def caller(self, ledger: Ledger, budget: Budget | None = None) -> Caller | None:
        """Who asks the judge for one run; None where nobody is asked."""
        if isinstance(self.adapter, Source):
            return None
        assert self.endpoint is not None
        return Caller(self.adapter, self.judge, ledger, self.endpoint, self.price, budget, self.observer)

    def grader(
        self, rubric: Rubric, caller: Caller | None, run: str | None = None, deadline_s: float = GRADE_DEADLINE_S
    ) -> Grader:
        """What grades items by a rubric."""
        return Grader(
            self.judge,
            rubric,
            self.adapter,
            self.fingerprint,
            self.asking,
            caller,
            self.samples,
            deadline_s,
            run,
            self.observer,
        )

    async def close(self) -> None:
        """Closes the connections."""
        if not isinstance(self.adapter, Source):
            await self.adapter.close()


def known_asking(store: Store, judge: Judge) -> Asking | None:
    """How a judge can be asked, where that was found out before."""
    known = store.probed(judge.description_hash)
    return None if known is None else Asking.kept(known)


def _with_samples(fingerprint: str, samples: int) -> str:
    return hashlib.sha256(f"{fingerprint}:{samples}".encode()).hexdigest()


async def side_by_side(grader: Grader, items: Iterator[Item], width: int) -> AsyncIterator[Graded]:
    """What a grader makes of items, so many at a time, in the order in which they are done."""
    tasks = {asyncio.create_task(grader.grade(item)) for item in islice(items, width)}
    try:
        while tasks:
            done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            tasks |= {asyncio.create_task(grader.grade(item)) for item in islice(items, len(done))}
            for task in done:
                graded = await task
                await asyncio.gather(*graded.receipt.writes)
                yield graded
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
