"""`GET /v1/runs/{run}/events`: a run as it goes on, as server-sent events."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Header
from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse, format_sse_event
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from api.desk import ToRead
from api.errors import Refused
from api.feed import POLL_S, Feed
from api.openapi import problems
from api.problems import ACCESS, INVALID_REQUEST, NO_SUCH_RUN, OTHER_CALIBRATION, OVERLOADED, STORE_UNAVAILABLE
from api.rooms import Room
from api.routes.examples import GRADE
from api.routes.runs import RunId, head_of, standing_of
from judge import StoreError
from judge.statuses import RunStatus, state_of
from judge.store.endings import Mark
from judge.store.results import RunHead
from judge.store.store import Store
from judge.trust import applier

if TYPE_CHECKING:
    from judge.calibration.applying import Applier

router = APIRouter(prefix="/v1/runs", tags=["results"])

#: Grades that are read at once: what a slow reader holds in memory.
PAGE = 50
#: Seconds without an event after which a comment is sent, so that nobody takes the connection for dead.
KEEPALIVE_S = 15.0
#: Seconds after which a stream ends, and a reader comes again: with a key that still stands.
LONGEST_S = 600.0
#: Milliseconds after which a reader whose connection broke comes again.
RETRY_MS = 1000
ID = r"^\d{1,10}\.\d{1,10}\.(none|queued|running|paused|cancelled|completed)$"

#: One event, as the description has it.
EVENT = {
    "type": "object",
    "properties": {
        "event": {"enum": ["status", "grade", "end"]},
        "id": {"type": "string", "pattern": ID},
        "data": {"type": "string", "description": "JSON: a grade, or how the run stands."},
        "retry": {"type": "integer"},
    },
    "required": ["event", "id", "data"],
}

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Told:
    """What a reader has been told: all grades up to an ending, and how the run stood in a turn.

    Each part is read off the store, so that any process can go on from it.
    """

    ending: int = 0
    turn: int = 0
    state: str = "none"

    @classmethod
    def parse(cls, id_: str) -> Told:
        """From the id of an event."""
        ending, turn, state = id_.split(".")
        return cls(int(ending), int(turn), state)

    def __str__(self) -> str:
        return f"{self.ending}.{self.turn}.{self.state}"

    def stands_at(self, mark: Mark) -> bool:
        """Whether how the run stands has been told."""
        return (self.turn, self.state) == (mark.turn, state_of(mark.state, mark.wish, mark.owner))


def _goes_on(mark: Mark) -> bool:
    """Whether a run is being graded, or shall be."""
    return state_of(mark.state, mark.wish, mark.owner) in ("queued", "running")


def _over(mark: Mark) -> bool:
    """Whether nothing more comes of a run unasked: a cancelled one may still wait for answers."""
    return mark.owner is None and not _goes_on(mark)


def _event(name: str, data: BaseModel, told: Told) -> bytes:
    text = data.model_dump_json(by_alias=True)
    return format_sse_event(data_str=text, event=name, id=str(told), retry=RETRY_MS if name == "status" else None)


class _Stream(EventSourceResponse):
    """Events, in a place that was taken for them."""

    def __init__(self, events: AsyncGenerator[bytes, None], room: Room, tenant: str) -> None:
        super().__init__(events, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._events, self._room, self._tenant = events, room, tenant

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._events.aclose()
            self._room.give_back(self._tenant)


@router.get(
    "/{run}/events",
    response_class=StreamingResponse,  # the events are written here, so that refusals come before the first
    responses={
        200: {
            "description": "Events: `status`, `grade`, and `end`, after which the stream ends.",
            "content": {
                "text/event-stream": {
                    "schema": EVENT,
                    "example": {"event": "grade", "id": str(Told(1, 1, "running")), "data": GRADE.model_dump_json()},
                }
            },
        },
        204: {"description": "All was told before: do not come again."},
        **problems(*ACCESS, INVALID_REQUEST, NO_SUCH_RUN, OTHER_CALIBRATION, OVERLOADED, STORE_UNAVAILABLE),
    },
)
async def follow_run(
    run: RunId,
    desk: ToRead,
    request: Request,
    last: Annotated[
        str | None,
        Header(alias="Last-Event-ID", pattern=ID, description="Goes on after this event.", examples=["17.1.running"]),
    ] = None,
) -> Response:
    """A run as it goes on: each grade when it is there, and how the run stands whenever that changes.

    `grade` events come in the order in which items ended; of an item that is graded again the new grade comes too.
    `status` says how the run stands, `end` how it ended: nothing more comes of it unasked. Whoever comes again with the
    `Last-Event-ID` goes on where it was, at any process and after any restart: no grade is missed, and none told twice.
    What is resumed later is told by a new stream.
    """
    store, feed = desk.store, request.state.feed
    info = await asyncio.to_thread(head_of, store, run)
    by = await asyncio.to_thread(applier, store, info)
    told = Told() if last is None else Told.parse(last)
    mark = (await asyncio.to_thread(store.ask, store.endings.marks, [run])).get(run)
    if mark is not None and _over(mark) and told.stands_at(mark) and told.ending >= mark.endings:
        return Response(status_code=204)
    feed.room.take(store.tenant)
    return _Stream(_events(feed, store, info, by, mark, told), feed.room, store.tenant)


async def _events(
    feed: Feed, store: Store, info: RunHead, by: Applier | None, mark: Mark | None, told: Told
) -> AsyncGenerator[bytes, None]:
    """What a reader has not been told, and then what comes. A page is read when the one before it has been taken."""
    until = time.monotonic() + LONGEST_S
    with feed.watch(store, info.id, mark) as watch:
        try:
            while (mark := watch.mark) is not None and not feed.stopping and time.monotonic() < until:
                if _goes_on(mark) and not told.stands_at(mark):
                    status = await asyncio.to_thread(_status, store, info.id)
                    if not status.ended:
                        told = replace(told, turn=mark.turn, state=status.status)
                        yield _event("status", status, told)
                while told.ending < mark.endings and not feed.stopping:
                    page = await asyncio.to_thread(store.ask, store.endings.after, info, told.ending, PAGE)
                    grades = [grade for _, grade in page]
                    for (ending, _), grade in zip(page, grades if by is None else by.apply(grades), strict=True):
                        told = replace(told, ending=ending)
                        yield _event("grade", grade, told)
                    if not page:  # what ended since is open again
                        told = replace(told, ending=mark.endings)
                if _over(mark) and mark.state != "done" and (newest := await _newest(store, info.id)) != mark:
                    watch.tell(newest)
                elif _over(mark):
                    status = await asyncio.to_thread(_status, store, info.id)
                    if status.ended:
                        yield _event("end", status, replace(told, turn=mark.turn, state=status.status))
                        return
                if not await watch.changed(KEEPALIVE_S):
                    yield KEEPALIVE_COMMENT
        except (StoreError, Refused) as error:  # the reader comes again, and is told then
            log.error("run %s: its events end: %s", info.id, error)


async def _newest(store: Store, run: str) -> Mark | None:
    """How far a run is a moment later: of one that was stopped, the grade of the last answer comes after the answer."""
    await asyncio.sleep(POLL_S)
    marks: dict[str, Mark] = await asyncio.to_thread(store.ask, store.endings.marks, [run])
    return marks.get(run)


def _status(store: Store, run: str) -> RunStatus:
    return RunStatus.of(standing_of(store, run))
