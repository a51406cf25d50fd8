"""What a request is served with: the desk of its caller's tenant."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from api.access import Caller
from api.errors import Refused
from api.problems import NOT_ALLOWED
from api.shelf import Shelf
from judge.keys import Scope
from judge.sessions import Sessions
from judge.store.store import Store
from judge.worker import Worker


@dataclass(frozen=True, slots=True)
class Desk:
    """All that one tenant has here."""

    store: Store
    shelf: Shelf
    sessions: Sessions
    worker: Worker
    max_output_bytes: int


class Desks:
    """A desk for each tenant, made when it is first needed. Close them in the end."""

    def __init__(self, store: Store, shelf: Shelf, max_output_bytes: int) -> None:
        self._store, self._shelf, self._max_output_bytes = store, shelf, max_output_bytes
        self._desks: dict[str, Desk] = {}

    def of(self, tenant: str) -> Desk:
        """The desk of a tenant."""
        if tenant not in self._desks:
            store = self._store.of(tenant)
            sessions = Sessions(store)
            worker = Worker(store, sessions, self._shelf.judge)
            self._desks[tenant] = Desk(store, self._shelf, sessions, worker, self._max_output_bytes)
        return self._desks[tenant]

    def take_up(self) -> None:
        """Goes on with what is wanted, whoever's it is."""
        for tenant in self._store.ask(self._store.submissions.tenants):
            self.of(tenant)

    async def close(self) -> None:
        """Waits for the answers under way."""
        await asyncio.gather(*(desk.worker.close() for desk in self._desks.values()))
        for desk in self._desks.values():
            await desk.sessions.close()


class For:
    """The desk of the caller, who must be allowed to use it so."""

    def __init__(self, use: Scope) -> None:
        self.use = use

    async def __call__(self, request: Request) -> Desk:
        """See FastAPI's dependencies."""
        caller: Caller = request.state.caller
        if not caller.may(self.use):
            raise Refused(NOT_ALLOWED, f"The key lacks the scope `{self.use}`; ask with one that has it.")
        desks: Desks = request.state.desks
        return desks.of(caller.tenant)


ToRead = Annotated[Desk, Depends(For(Scope.READ))]
ToGrade = Annotated[Desk, Depends(For(Scope.GRADE))]
ToLabel = Annotated[Desk, Depends(For(Scope.LABEL))]
