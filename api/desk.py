"""What a request is served with: the desk of its caller's tenant."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

from fastapi import Depends, Request

from api.access import Caller
from api.errors import Refused
from api.problems import NOT_ALLOWED
from judge.keys import Scope
from judge.sessions import Sessions
from judge.shelf import Shelf
from judge.store.store import Store
from judge.worker import Worker
from judge.workers import Workers


@dataclass(frozen=True, slots=True)
class Desk:
    """All that one tenant has here; `key` is the id of the key that a request came with, if it came with one."""

    store: Store
    shelf: Shelf
    sessions: Sessions
    worker: Worker
    max_output_bytes: int
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Desks:
    """A desk for each tenant."""

    workers: Workers
    max_output_bytes: int

    def of(self, tenant: str) -> Desk:
        """The desk of a tenant."""
        worker = self.workers.of(tenant)
        return Desk(worker.store, worker.shelf, worker.sessions, worker, self.max_output_bytes)


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
        return replace(desks.of(caller.tenant), key=caller.key)


ToRead = Annotated[Desk, Depends(For(Scope.READ))]
ToGrade = Annotated[Desk, Depends(For(Scope.GRADE))]
ToLabel = Annotated[Desk, Depends(For(Scope.LABEL))]
TO_MEASURE = Depends(For(Scope.METRICS))
