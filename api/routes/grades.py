"""`POST /v1/grades`"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Body

from api.batch import Batch
from api.bodies import StrictRoute
from api.desk import AtDesk
from api.envelopes import Grades, GradesRequest, total
from api.errors import Refused
from api.handlers import rubric_fault
from api.openapi import answer, problems
from api.problems import (
    INVALID_JSON,
    INVALID_REQUEST,
    INVALID_RUBRIC,
    JUDGE_PAUSED,
    JUDGE_SETUP,
    NOT_JSON,
    NOT_LOCAL,
    STORE_UNAVAILABLE,
    TOO_LARGE,
    Fault,
)
from api.routes.examples import GRADES, GRADES_REQUEST, OF_EACH_ITEM
from api.shelf import Shelf
from judge import Item, Judge
from judge.fences import urls
from judge.grades import RubricRef
from judge.items import PAIRS
from judge.ledger import Ledger
from rubrics import Rubric, RubricError

router = APIRouter(prefix="/v1/grades", tags=["grades"], route_class=StrictRoute)


@router.post(
    "",
    responses={
        200: answer(GRADES.model_dump(mode="json")),
        **problems(
            INVALID_JSON,
            NOT_LOCAL,
            TOO_LARGE,
            NOT_JSON,
            INVALID_REQUEST,
            INVALID_RUBRIC,
            JUDGE_SETUP,
            JUDGE_PAUSED,
            STORE_UNAVAILABLE,
        ),
    },
)
async def grade_items(
    body: Annotated[GradesRequest, Body(examples=[GRADES_REQUEST, OF_EACH_ITEM])], desk: AtDesk
) -> Grades:
    """Grades up to 100 items, and answers when all are done.

    What a single item suffers is an outcome in its grade. An equal question is never paid twice: after a problem, or
    without an answer, the same request can be sent again. What was in flight when the deadline passed may have been
    paid; it is `lost` from then on, and not asked again.
    """
    rubric, judge = _rubric(desk.shelf, body), _judge(desk.shelf, body.judge)
    _refuse_duplicates(body.items)
    for place, item in enumerate(body.items):
        _check(item, f"/items/{place}", judge, desk.max_output_bytes)
    session = await desk.sessions.get(judge, body.samples)
    batch = Batch(session, rubric, session.caller(Ledger(desk.store, resend_lost=body.resend_lost)), body.deadline_s)
    grades = await batch.grade(body.items)
    return Grades(
        data=grades,
        rubric=RubricRef(name=rubric.name, hash=rubric.hash),
        judge=batch.judge_ref,
        usage=total([grade.usage for grade in grades]),
    )


def _rubric(shelf: Shelf, body: GradesRequest) -> Rubric:
    found = _asked(shelf, body)
    if found.pairwise:
        fault = Fault(detail=f"{PAIRS}; write another scale, or name another rubric", pointer="/rubric")
        raise Refused(INVALID_RUBRIC, "The rubric is not for single outputs.", fault)
    return found


def _asked(shelf: Shelf, body: GradesRequest) -> Rubric:
    asked = body.rubric
    if asked is None:
        if without := sum(item.rubric is None for item in body.items):
            fault = Fault(detail=f"Items without a rubric of their own: {without}; name one here.", pointer="/rubric")
            raise Refused(INVALID_REQUEST, "Every item needs a rubric.", fault)
        return Rubric.of_each_item()
    if isinstance(asked, Rubric):
        return asked
    if asked not in shelf.rubrics:
        advice = f"Name one of {', '.join(shelf.rubrics)}, or send a whole rubric."
        raise Refused(INVALID_RUBRIC, "There is no rubric of this name.", Fault(detail=advice, pointer="/rubric"))
    return shelf.rubrics[asked]


def _judge(shelf: Shelf, asked: str) -> Judge:
    judge = shelf.judge(asked)
    if judge is None:
        fault = Fault(detail=f"Name one of {', '.join(shelf.judges)}.", pointer="/judge")
        raise Refused(JUDGE_SETUP, "There is no judge of this name.", fault)
    return judge


def _refuse_duplicates(items: Sequence[Item]) -> None:
    first: dict[str, int] = {}
    faults = [
        Fault(detail=f"The item at /items/{first[item.id]} has the same id.", pointer=f"/items/{place}/id")
        for place, item in enumerate(items)
        if first.setdefault(item.id, place) != place
    ]
    if faults:
        raise Refused(INVALID_REQUEST, "Every item needs an id of its own.", *faults)


def _check(item: Item, pointer: str, judge: Judge, max_output_bytes: int) -> None:
    """Refuses what would fail halfway, when other items may have been paid."""
    if item.output_bytes > max_output_bytes:
        fault = Fault(detail=f"The limit is {max_output_bytes:,} bytes.", pointer=f"{pointer}/output")
        raise Refused(INVALID_REQUEST, "An output is too large; shorten it, or leave it out.", fault)
    if not judge.takes_images and any(urls(item.fences)):
        fault = Fault(detail="The judge takes no images; name one that does, or leave them out.", pointer=pointer)
        raise Refused(INVALID_REQUEST, "An item has an image that the judge cannot see.", fault)
    try:
        item.own_rubric  # noqa: B018 - it is parsed here, as grading will need it
    except RubricError as error:
        fault = rubric_fault(error, f"{pointer}/rubric")
        raise Refused(INVALID_RUBRIC, "Mend the item's rubric, then send the request again.", fault) from None
