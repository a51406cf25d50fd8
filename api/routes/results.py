"""`/v1/runs/{run}/...`: what a run came to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from functools import partial
from io import TextIOWrapper
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from api.desk import ToRead
from api.envelopes import GradePage
from api.errors import Refused
from api.openapi import answer, problems
from api.problems import (
    ACCESS,
    INVALID_REQUEST,
    NO_SUCH_RUN,
    NOT_INSTALLED,
    OTHER_CALIBRATION,
    OVERLOADED,
    STORE_UNAVAILABLE,
    Fault,
)
from api.rooms import Room
from api.routes.examples import GRADE, SUMMARY
from api.routes.runs import RunId, head_of
from judge.answers import RunSummary
from judge.errors import InputError, StoreError
from judge.exports import grades_of, write_csv, write_parquet
from judge.store.results import RunHead
from judge.store.store import Store
from judge.summary import summarise
from judge.trust import applier
from judge.verdicts import Outcome

if TYPE_CHECKING:
    from judge.calibration.applying import Applier

router = APIRouter(prefix="/v1/runs", tags=["results"])

MOST_GRADES = 500
LARGEST_SEQ = 2**31 - 1
CHUNK_BYTES = 64 * 1024
#: Exports that lie on disk at once: of all tenants, and of one.
MOST_EXPORTS, MOST_OF_ONE = 8, 4
_TOLD = "exports are being written or sent; ask for this one in a moment, or as JSON lines, which are sent at once"
_room = Room("exports", MOST_EXPORTS, MOST_OF_ONE, _TOLD)
REFUSALS = (*ACCESS, INVALID_REQUEST, NO_SUCH_RUN, OTHER_CALIBRATION, STORE_UNAVAILABLE)
#: Without it a run is shown by the calibration that it was submitted with, if any.
ByCalibration = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=200,
        pattern=r"^[^\x00-\x1f]+$",
        examples=["replies@2"],
        description="Shows the grades by this calibration of the run's judge: its id, its name, or NAME@VERSION.",
    ),
]


class Format(StrEnum):
    """A file of grades."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


MEDIA = {
    Format.JSONL: "application/jsonl",
    Format.CSV: "text/csv",
    Format.PARQUET: "application/vnd.apache.parquet",
}

EXPORTED = {
    Format.JSONL: f"{GRADE.model_dump_json()}\n",
    Format.CSV: "item,outcome,score,low,high,passed,trust,helpfulness.score\n1,scored,1.0,1.0,1.0,,uncalibrated,5.0\n",
    Format.PARQUET: "PAR1...",
}


@router.get(
    "/{run}/summary",
    response_model=None,  # it is made as it is told
    responses={200: {**answer(SUMMARY), "model": RunSummary}, **problems(*REFUSALS)},
)
def get_summary(run: RunId, desk: ToRead, calibration: ByCalibration = None) -> dict[str, Any]:
    """What a run comes to: each criterion's mean with its bounds, outcomes, causes, tokens and cost.

    By the calibration that is named, or that it was submitted with, each criterion also with its finding.
    """
    info = head_of(desk.store, run)
    with _by_its_name():
        return summarise(desk.store, info.id, calibration).as_dict()


@router.get(
    "/{run}/grades",
    responses={
        200: answer(GradePage(data=(GRADE,), has_more=True, next=0).model_dump(mode="json", by_alias=True)),
        **problems(*ACCESS, INVALID_REQUEST, NO_SUCH_RUN, OTHER_CALIBRATION, STORE_UNAVAILABLE),
    },
)
def get_grades(
    run: RunId,
    desk: ToRead,
    after: Annotated[int, Query(ge=-1, le=LARGEST_SEQ, description="`next` of the page before.", examples=[99])] = -1,
    limit: Annotated[int, Query(ge=1, le=MOST_GRADES, examples=[100])] = 100,
    outcome: Annotated[
        list[Outcome] | None,
        Query(
            examples=[["lost", "judge_error"]],
            description="Of items whose overall came to this alone; named again, to one of several.",
        ),
    ] = None,
    calibration: ByCalibration = None,
) -> GradePage:
    """The grades of a run so far, in the order of its items, by the calibration that is named, or that it was submitted
    with, if any.

    With `outcome=lost&outcome=judge_error`, those alone that came to one of these.

    While it goes on, items before the last one of a page may still end, and come on no later page;
    `/events` misses none.
    """
    store = desk.store
    info = head_of(store, run)
    found = store.ask(store.results.grades, info, after, limit + 1, outcomes=frozenset(outcome or ()))
    page = [grade for _, grade in found[:limit]]
    by = shown_by(store, info, calibration)
    more = len(found) > limit
    told = tuple(page if by is None else by.apply(page))
    return GradePage(data=told, has_more=more, next=found[limit - 1][0] if more else None)


@router.get(
    "/{run}/export",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "All grades so far, as a file.",
            "content": {
                media: {"schema": {"type": "string"}, "example": EXPORTED[as_format]}
                for as_format, media in MEDIA.items()
            },
        },
        **problems(*REFUSALS, NOT_INSTALLED, OVERLOADED),
    },
)
async def export_grades(
    run: RunId,
    desk: ToRead,
    as_format: Annotated[Format, Query(alias="format", examples=["csv"], description="Of the file.")] = Format.JSONL,
    calibration: ByCalibration = None,
) -> StreamingResponse:
    """All grades of a run so far as one file, a row an item, in the order of its items.

    By the calibration that is named, or that it was submitted with, if any. CSV and Parquet are written as a whole
    before they are sent: of these there is a limit at once.
    """
    store = desk.store
    info = await run_in_threadpool(_shown, store, run, calibration)
    named = {"Content-Disposition": f'attachment; filename="{run}.{as_format}"', "X-Content-Type-Options": "nosniff"}
    if as_format is Format.JSONL:
        return StreamingResponse(lines(store, info, calibration), headers=named, media_type=MEDIA[as_format])
    write = _csv if as_format is Format.CSV else write_parquet
    written = partial(write, store=store, info=info, calibration=calibration)
    return await _written(written, store.tenant, named, MEDIA[as_format])


def _shown(store: Store, run: str, calibration: str | None) -> RunHead:
    """What a run is. Raises Refused before the answer begins, for what cannot be shown too."""
    info = head_of(store, run)
    shown_by(store, info, calibration)
    return info


def shown_by(store: Store, info: RunHead, calibration: str | None) -> Applier | None:
    """See `applier`. Raises Refused for a calibration that is not there."""
    with _by_its_name():
        return applier(store, info, calibration)


@contextmanager
def _by_its_name() -> Iterator[None]:
    """Refuses a calibration that is not there as the parameter that names it."""
    try:
        yield
    except InputError as error:
        fault = Fault(detail=str(error), parameter="calibration")
        raise Refused(INVALID_REQUEST, "The calibration cannot be used.", fault) from None


def lines(store: Store, info: RunHead, calibration: str | None = None) -> Iterator[bytes]:
    """Grades as lines of JSON, many at a time: each piece goes to another thread and back."""
    piece = bytearray()
    for grade in grades_of(store, info, calibration):
        piece += f"{grade.model_dump_json()}\n".encode()
        if len(piece) >= CHUNK_BYTES:
            yield bytes(piece)
            piece.clear()
    if piece:
        yield bytes(piece)


def _csv(file: IO[bytes], store: Store, info: RunHead, calibration: str | None) -> None:
    text = TextIOWrapper(file, "utf-8", newline="")
    write_csv(text, store, info, calibration)
    text.detach()  # which writes what is left, and leaves the file open


class _File(StreamingResponse):
    """A file, and what is held until it is sent."""

    def __init__(self, file: IO[bytes], held: ExitStack, headers: Mapping[str, str], media_type: str) -> None:
        super().__init__(iter(partial(file.read, CHUNK_BYTES), b""), headers=headers, media_type=media_type)
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._held:
            await super().__call__(scope, receive, send)


async def _written(
    write: Callable[[IO[bytes]], None], tenant: str, headers: Mapping[str, str], media_type: str
) -> _File:
    """A file, written aside first: what cannot be written must be said before the answer begins.

    Raises Full, StoreError.
    """

    def written(file: IO[bytes]) -> None:
        write(file)
        file.seek(0)  # which writes what is left

    try:
        with ExitStack() as held:
            held.enter_context(_room.taken(tenant))
            file = held.enter_context(TemporaryFile())
            # Not in one of asyncio's own threads: they are few, and every key is looked up in one.
            await run_in_threadpool(written, file)
            return _File(file, held.pop_all(), headers, media_type)
    except OSError as error:  # of the closing too, which tries again to write what is left
        advice = "make room for it, or name another folder in TMPDIR"
        raise StoreError(f"an export cannot be kept on disk ({error.strerror or error}); {advice}") from None
