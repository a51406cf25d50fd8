"""`/v1/calibrations`: how far judges can be trusted."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from api import idempotency
from api.bodies import StrictRoute
from api.calibrating import calibrate
from api.desk import Desk, ToLabel, ToRead
from api.errors import Refused
from api.limits import AT_ONCE, Full
from api.openapi import LOCATION, answer, problems
from api.problems import (
    ACCESS,
    BODY,
    INVALID_KEY,
    INVALID_REQUEST,
    KEY_IN_USE,
    KEY_REUSED,
    NO_SUCH_CALIBRATION,
    OVERLOADED,
    STORE_UNAVAILABLE,
    Fault,
)
from api.routes.examples import RUBRIC, RUN
from api.routes.runs import ID
from judge.answers import CalibrationEntry, CalibrationReport
from judge.store.calibrations import CalibrationHead, CalibrationInfo
from judge.store.store import Store

router = APIRouter(prefix="/v1/calibrations", tags=["calibrations"])
bodied = APIRouter(prefix="/v1/calibrations", tags=["calibrations"], route_class=StrictRoute)

MOST_LISTED = 100
EXAMPLE_ID = "7f31c2aa90de"
CalibrationId = Annotated[str, Path(pattern=ID, examples=[EXAMPLE_ID], description="The id of a calibration.")]
#: Each takes a core for seconds, or for minutes where there are many labels.
_one_at_a_time = asyncio.Semaphore(1)


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class CalibrationList(_Model):
    """Calibrations, the newest first."""

    object: Literal["list"] = "list"
    data: tuple[CalibrationEntry, ...]
    has_more: bool


class CalibrationRequest(_Model):
    """A run whose judge is calibrated, and the labels of its items."""

    run: str = Field(pattern=ID)
    labels: str = Field(min_length=1, max_length=128, description="The name of a label set.")
    name: str | None = Field(
        default=None, min_length=1, max_length=128, description="Of the calibration; null: the judge's."
    )
    group: str | None = Field(default=None, max_length=256, description="What belongs together, in the metadata.")
    system: str | None = Field(default=None, max_length=256, description="What made the items, in the metadata.")
    seed: int = Field(default=0, ge=0, le=2**31 - 1, description="Another one divides the groups otherwise.")
    dev: bool = Field(default=False, description="Keep 40% of the groups out, for work on the prompt.")
    alpha: float = Field(default=0.1, ge=0.001, le=0.9, description="Most errors among grades that stand.")
    delta: float = Field(default=0.1, ge=0.001, le=0.49, description="Chance that this is not kept.")
    coverage: float = Field(default=0.9, ge=0.5, le=0.99, description="Share of intervals that hold.")
    people: Literal["experts", "skilled", "crowd"] = Field(default="experts", description="Who labelled.")


ENTRY = CalibrationEntry(
    id=EXAMPLE_ID,
    name="replies",
    version=1,
    rubric_hash=RUBRIC.hash,
    judge_fingerprint=RUN.judge.fingerprint,
    label_set="team",
    labels_hash="51c0" * 16,
    seed=0,
    run=RUN.id,
    created_at=RUN.created_at,
)
REPORT = {**ENTRY.model_dump(mode="json"), "report": {"schema_version": "calibration/1", "openings": 1}}


@router.get(
    "",
    responses={
        200: answer(CalibrationList(data=(ENTRY,), has_more=False).model_dump(mode="json")),
        **problems(*ACCESS, INVALID_REQUEST, NO_SUCH_CALIBRATION, STORE_UNAVAILABLE),
    },
)
def list_calibrations(
    desk: ToRead,
    name: Annotated[
        str | None,
        Query(
            max_length=128,
            pattern=r"^[^\x00-\x1f]+$",
            examples=["replies"],
            description="The versions of this one alone.",
        ),
    ] = None,
    after: Annotated[
        str | None, Query(pattern=ID, description="The last calibration of a page.", examples=[EXAMPLE_ID])
    ] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_LISTED, examples=[20])] = 20,
) -> CalibrationList:
    """Calibrations, the newest first. The next page is that `after` the last one of this."""
    store = desk.store
    last = None if after is None else _found(store, after)
    found: list[CalibrationHead] = store.ask(store.calibrations.page, name, last, limit + 1)
    return CalibrationList(data=tuple(map(_entry, found[:limit])), has_more=len(found) > limit)


@router.get(
    "/{calibration}",
    responses={
        200: answer(REPORT),
        **problems(*ACCESS, INVALID_REQUEST, NO_SUCH_CALIBRATION, STORE_UNAVAILABLE),
    },
)
def get_calibration(calibration: CalibrationId, desk: ToRead) -> CalibrationReport:
    """What a calibration found: agreement beside people's own, corrections, thresholds, and what the run comes to."""
    found = _found(desk.store, calibration)
    return CalibrationReport(**_told(found), report=json.loads(found.body))


@bodied.post(
    "",
    status_code=201,
    response_model=CalibrationEntry,
    openapi_extra={"parameters": [idempotency.PARAMETER]},
    responses={
        201: {
            **answer(ENTRY.model_dump(mode="json")),
            "headers": LOCATION,
        },
        **problems(*BODY, *ACCESS, INVALID_REQUEST, INVALID_KEY, KEY_IN_USE, KEY_REUSED, OVERLOADED, STORE_UNAVAILABLE),
    },
)
async def make_calibration(
    body: Annotated[CalibrationRequest, Body(examples=[{"run": RUN.id, "labels": "team", "name": "replies"}])],
    desk: ToLabel,
    request: Request,
) -> Response:
    """Measures how far the judge of a run agrees with people, and fits what corrects it, as `judge calibrate` does.

    It answers when that is done: after seconds, or minutes where there are many labels. Each time it is the next
    version of its name, and counts as a look at the labels that are held out: send an `Idempotency-Key`.
    """

    async def work(_: idempotency.Keep) -> Response:
        if _one_at_a_time.locked():
            raise Full("a calibration is being made; ask for this one when it is done", "calibrations", 1, AT_ONCE)
        async with _one_at_a_time:
            made = await asyncio.to_thread(_made, desk, body)
        headers = {"Location": f"/v1/calibrations/{made.id}"}
        return Response(_entry(made).model_dump_json(), 201, headers, "application/json")

    return await idempotency.once(desk.store, request, "POST /v1/calibrations", body, work)


def _made(desk: Desk, body: CalibrationRequest) -> CalibrationInfo:
    store = desk.store
    info = store.ask(store.results.run_info, body.run)
    if info is None:
        fault = Fault(detail="GET /v1/runs lists the runs that there are.", pointer="/run")
        raise Refused(INVALID_REQUEST, "There is no such run.", fault)
    if store.ask(store.labels.asked_hash, body.labels) is None:
        fault = Fault(detail="GET /v1/label-sets lists the sets that there are.", pointer="/labels")
        raise Refused(INVALID_REQUEST, "There is no such label set.", fault)
    return calibrate(store, info, body.labels, **body.model_dump(exclude={"run", "labels"}))


def _found(store: Store, id_: str) -> CalibrationInfo:
    found: list[CalibrationInfo] = [one for one in store.ask(store.calibrations.find, id_) if one.id == id_]
    if not found:
        raise Refused(NO_SUCH_CALIBRATION, "GET /v1/calibrations lists the calibrations that there are.")
    return found[0]


def _entry(info: CalibrationHead) -> CalibrationEntry:
    return CalibrationEntry(**_told(info))


def _told(info: CalibrationHead) -> dict[str, Any]:
    return {name: getattr(info, name) for name in CalibrationEntry.model_fields.keys() - {"object"}}
