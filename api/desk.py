"""What every request is served with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from api.shelf import Shelf
from judge.sessions import Sessions
from judge.store.store import Store
from judge.worker import Worker


@dataclass(frozen=True, slots=True)
class Desk:
    """Made when the service starts."""

    store: Store
    shelf: Shelf
    sessions: Sessions
    worker: Worker
    max_output_bytes: int


async def _desk(request: Request) -> Desk:
    desk: Desk = request.state.desk
    return desk


AtDesk = Annotated[Desk, Depends(_desk)]
