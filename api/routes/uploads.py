"""`POST /v1/runs/upload`: a run of any number of items."""

from __future__ import annotations

import asyncio
import json

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api import idempotency, limits
from api.desk import ToGrade
from api.envelopes import RunOptions
from api.lines import MEDIA, Lines, Uploads, options_of
from api.openapi import answer, problems
from api.problems import NOT_LINES
from api.requested import asked_of
from api.routes.examples import ITEM, RUN, RUN_REQUEST
from api.routes.runs import HEADERS, QUOTED, REFUSALS, SUBMITTED, quoted, submitted
from judge.statuses import RunStatus

router = APIRouter(prefix="/v1/runs", tags=["runs"])

_FIRST = {name: value for name, value in RUN_REQUEST.items() if name != "items"}
EXAMPLE = "".join(f"{json.dumps(line)}\n" for line in (_FIRST, ITEM))
BODY = {
    "required": True,
    "description": "The first line is a request for a run without its items; each line after it is one item.",
    "content": {media: {"schema": {"type": "string"}, "example": EXAMPLE} for media in MEDIA},
}


@router.post(
    "/upload",
    status_code=202,
    response_model=RunStatus,
    openapi_extra={"parameters": [idempotency.PARAMETER], "requestBody": BODY},
    responses={
        200: QUOTED,
        202: {**answer(RUN.model_dump(mode="json")), "headers": HEADERS | limits.HEADERS},
        **problems(*REFUSALS, *SUBMITTED, NOT_LINES),
    },
)
async def upload_run(desk: ToGrade, request: Request) -> Response:
    """Takes a run as JSON lines, by default of up to a million items, in 4 GiB: else as `POST /v1/runs` does.

    The first line is what `POST /v1/runs` takes, without `items`; each line after it is one item. All of it is checked
    before anything is kept: a fault names its line, and nothing is left of an upload that has one, or is cut off.
    """
    uploads: Uploads = request.state.uploads
    async with uploads.received(request) as file:
        options: RunOptions = await asyncio.to_thread(options_of, file)
        lines = Lines(file, options, uploads.max_items, desk.max_output_bytes)
        if options.dry_run or idempotency.key_of(request) is None:  # what is not there is told before all is read
            await asyncio.to_thread(asked_of, desk.shelf, options)
        scan = await asyncio.to_thread(lines.scan)

        async def work(keep: idempotency.Keep) -> Response:
            rubric, judge = await asyncio.to_thread(asked_of, desk.shelf, options)
            await asyncio.to_thread(lines.check_for, judge)
            if options.dry_run:
                return await quoted(desk, lines, rubric, judge, options)
            return await submitted(desk, lines, rubric, judge, options, keep)

        if options.dry_run:
            return await work(idempotency.keep_nothing)
        # Asked for again it is answered as it was, whatever became of its rubric and judge.
        told = f"{options.model_dump_json()} {scan.hash}"
        return await idempotency.once(desk.store, request, "POST /v1/runs/upload", told, work)
