"""`POST /v1/grades`"""

from __future__ import annotations

import asyncio
import time
from typing import Annotated

from fastapi import APIRouter, Body
from starlette.requests import Request

from api.batch import Batch
from api.bodies import StrictRoute
from api.desk import Desk, ToGrade
from api.envelopes import Grades, GradesRequest, total
from api.openapi import answer, problems
from api.problems import (
    ACCESS,
    BODY,
    BUDGET_USED_UP,
    INVALID_REQUEST,
    INVALID_RUBRIC,
    JUDGE_PAUSED,
    JUDGE_SETUP,
    OVERLOADED,
    STORE_UNAVAILABLE,
)
from api.requested import asked_of, check_items
from api.rooms import Room
from api.routes.examples import GRADES, GRADES_REQUEST, OF_EACH_ITEM
from judge.errors import Paused
from judge.grades import RubricRef
from judge.ledger import Ledger

router = APIRouter(prefix="/v1/grades", tags=["grades"], route_class=StrictRoute)


@router.post(
    "",
    responses={
        200: answer(GRADES.model_dump(mode="json")),
        **problems(
            *BODY,
            *ACCESS,
            INVALID_REQUEST,
            INVALID_RUBRIC,
            JUDGE_SETUP,
            JUDGE_PAUSED,
            BUDGET_USED_UP,
            OVERLOADED,
            STORE_UNAVAILABLE,
        ),
    },
)
async def grade_items(
    body: Annotated[GradesRequest, Body(examples=[GRADES_REQUEST, OF_EACH_ITEM])], desk: ToGrade, request: Request
) -> Grades:
    """Grades up to 100 items, and answers when all are done.

    What a single item suffers is an outcome in its grade. An equal question is never paid twice: after a problem, or
    without an answer, the same request can be sent again. What was in flight when the deadline passed may have been
    paid; it is `lost` from then on, and not asked again without `resend_lost`. What may wait is better submitted as a
    run: of requests that are graded at once there is a limit.
    """
    room: Room = request.state.grading
    with room.taken(desk.store.tenant):
        return await _graded(desk, body)


async def _graded(desk: Desk, body: GradesRequest) -> Grades:
    rubric, judge = await asyncio.to_thread(asked_of, desk.shelf, body)
    check_items(body.items, judge, desk.max_output_bytes)
    begun = time.monotonic()
    try:
        async with asyncio.timeout(body.deadline_s):
            session = await desk.sessions.get(judge, body.samples)
    except TimeoutError:
        raise Paused("It is still being found out how the judge can be asked; send the request again.") from None
    left_s = body.deadline_s - (time.monotonic() - begun)
    ledger = Ledger(desk.store, resend_lost=body.resend_lost, paid_by=desk.key)
    batch = Batch(session, rubric, session.caller(ledger), left_s)
    grades = await batch.grade(body.items)
    return Grades(
        data=grades,
        rubric=RubricRef(name=rubric.name, hash=rubric.hash),
        judge=batch.judge_ref,
        usage=total([grade.usage for grade in grades]),
    )
