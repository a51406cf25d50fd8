"""The workers of all tenants at one database, and what brings them their work."""

from __future__ import annotations

import importlib
from typing import Protocol

from judge.polling import Polling
from judge.session import Session
from judge.sessions import Sessions
from judge.shelf import Shelf
from judge.store.store import Store
from judge.telemetry import NOBODY, Observer
from judge.worker import Worker


class Supply(Protocol):
    """Brings workers their work."""

    def wake(self, tenant: str, run: str) -> None:
        """A tenant wants something of a run."""

    async def close(self) -> None:
        """Brings nothing more, and waits for what was brought."""


class Workers:
    """A worker for each tenant, made when it is first needed. Start them in a running loop; close them in the end.

    Parameters
    ----------
    shelf
        What can be named.
    observer
        Told what they do.
    """

    def __init__(self, store: Store, shelf: Shelf, observer: Observer = NOBODY) -> None:
        self._store, self._shelf, self._observer = store, shelf, observer
        self._workers: dict[str, Worker] = {}
        self._supply: Supply | None = None

    def of(self, tenant: str) -> Worker:
        """The worker of a tenant."""
        if tenant not in self._workers:
            store = self._store.of(tenant)
            sessions = Sessions(store, self._observer)
            self._workers[tenant] = Worker(store, sessions, self._shelf.of(store), self._wake)
        return self._workers[tenant]

    @property
    def sessions(self) -> list[Session]:
        """Judges that are ready, whoever's."""
        return [session for worker in list(self._workers.values()) for session in worker.sessions.ready]

    def start(self, **options: int) -> None:
        """Begins to grade what is wanted, whoever's it is; without this it is taken in and left to others.

        `options` are those of the queue, on a PostgreSQL: `at_once`, the chunks that are graded at a time.
        """
        url = self._store.queue_url
        if url is None:
            self._supply = Polling(self._store, self.of)
        else:  # by name: procrastinate is an extra
            self._supply = importlib.import_module("judge.queue").Queue(url, self._store, self.of, **options)

    async def close(self) -> None:
        """Waits for the answers under way. What is open stays wanted."""
        for worker in self._workers.values():
            worker.stop()
        if self._supply is not None:
            await self._supply.close()
        for worker in self._workers.values():
            await worker.sessions.close()

    def _wake(self, tenant: str, run: str) -> None:
        if self._supply is not None:
            self._supply.wake(tenant, run)
