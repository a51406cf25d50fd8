"""How work comes to the workers of a process that has a database to itself: it looks."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from judge.errors import StoreError
from judge.store.store import Store
from judge.worker import Worker

#: Runs of a tenant that are graded at once; their calls share the judge's own limits.
MOST_RUNS = 16
#: How often the store is asked for what others submitted, cancelled, or left behind.
POLL_S = 0.5
FAILED_S = 5.0

log = logging.getLogger(__name__)


class Polling:
    """Gives each tenant's worker what is wanted, whole runs, the first submitted first. Made in a running loop."""

    def __init__(self, store: Store, worker_of: Callable[[str], Worker]) -> None:
        self._store, self._worker_of = store, worker_of
        self._runs: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._later: dict[tuple[str, str], float] = {}
        self._woken, self._closing = asyncio.Event(), False
        self._looking = asyncio.create_task(self._go())

    def wake(self, tenant: str, run: str) -> None:
        """Looks at once, at this run also where it was to be tried later."""
        self._later.pop((tenant, run), None)
        self._woken.set()

    async def close(self) -> None:
        """Brings nothing more, and waits for what was brought."""
        self._closing = True
        self._woken.set()
        await asyncio.gather(self._looking, *self._runs.values(), return_exceptions=True)

    async def _go(self) -> None:
        while not self._closing:
            self._woken.clear()
            try:
                await self._look()
            except StoreError as error:
                log.error("%s", error)
            except Exception:
                log.exception("looking for runs")  # and looking again: nobody else would
            with suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), POLL_S)

    async def _look(self) -> None:
        now = time.monotonic()
        self._later = {key: until for key, until in self._later.items() if until > now}
        for tenant in {tenant for tenant, _ in self._runs}:
            await self._worker_of(tenant).look()
        for tenant in await asyncio.to_thread(self._store.ask, self._store.submissions.tenants):
            await self._begin(tenant)

    async def _begin(self, tenant: str) -> None:
        """Begins what a tenant wants, as far as there is room."""
        store = self._store.of(tenant)
        at_work = [run for whose, run in self._runs if whose == tenant]
        if len(at_work) >= MOST_RUNS:
            return
        but = [*at_work, *(run for whose, run in self._later if whose == tenant)]
        room = MOST_RUNS - len(at_work)
        for one in await asyncio.to_thread(store.ask, store.submissions.waiting, but, room):
            if self._closing:
                return
            key = (tenant, one.run)
            task = self._runs[key] = asyncio.create_task(self._one(*key))
            task.add_done_callback(partial(self._ended, key))

    async def _one(self, tenant: str, run_id: str) -> None:
        again: float | None = FAILED_S
        try:
            again = await self._worker_of(tenant).grade(run_id)
        except Exception:
            log.exception("run failed", extra={"run": run_id})
        if again is not None:
            self._later[tenant, run_id] = time.monotonic() + again

    def _ended(self, key: tuple[str, str], _: asyncio.Task[None]) -> None:
        del self._runs[key]
        self._woken.set()
