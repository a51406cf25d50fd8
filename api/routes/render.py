"""`POST /v1/render`"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

from fastapi import APIRouter, Body
from pydantic import Field

from api.bodies import StrictRoute
from api.desk import ToGrade
from api.envelopes import MOST_ITEMS, Requested
from api.errors import Refused
from api.openapi import answer, problems
from api.problems import (
    ACCESS,
    BODY,
    INVALID_REQUEST,
    INVALID_RUBRIC,
    JUDGE_SETUP,
    STORE_UNAVAILABLE,
    Fault,
)
from api.requested import asked_of, check_items
from api.routes.examples import GRADES_REQUEST, RUBRIC
from judge import Item
from judge.answers import RenderedItem, Rendering
from judge.grades import RubricRef
from judge.judges import SOURCES, Asking, Judge
from judge.probing import wished
from judge.providers import dialect
from judge.rendering import RenderedCall, rendered
from rubrics import Rubric

router = APIRouter(prefix="/v1/render", tags=["grades"], route_class=StrictRoute)

#: A rubric in many parts repeats an item in each of them.
MOST_CHARACTERS = 16 * 1024 * 1024


class RenderRequest(Requested):
    """What is shown, and not sent."""

    items: list[Item] = Field(min_length=1, max_length=MOST_ITEMS, description="No two with the same id.")


def _example() -> Rendering:
    item, judge = Item(id="1", output="Paris."), Judge.load("openai/gpt-6-luna")
    calls = tuple(rendered(item, RUBRIC, judge, wished(judge), dialect(judge)))
    ref = RubricRef(name=RUBRIC.name, hash=RUBRIC.hash)
    data = (RenderedItem(item=item.id, calls=calls),)
    return Rendering(data=data, rubric=ref, judge=judge.name, mode="json_schema", probed=False, samples=1)


@router.post(
    "",
    responses={
        200: answer(_example().model_dump(mode="json")),
        **problems(
            *BODY,
            *ACCESS,
            INVALID_REQUEST,
            INVALID_RUBRIC,
            JUDGE_SETUP,
            STORE_UNAVAILABLE,
        ),
    },
)
def render_items(body: Annotated[RenderRequest, Body(examples=[GRADES_REQUEST])], desk: ToGrade) -> Rendering:
    """The exact messages, schemas and bodies that a request for grades would send. Nothing is sent, and no key needed.

    An answer that cannot be used is asked for again with a note before the item, or with more tokens: these later
    attempts are not shown.
    """
    rubric, judge = asked_of(desk.shelf, body)
    check_items(body.items, judge, desk.max_output_bytes)
    known = desk.store.probed(judge.description_hash)
    asking = wished(judge) if known is None else Asking.kept(known)
    data = tuple(_items(body.items, rubric, judge, asking))
    return Rendering(
        data=data,
        rubric=RubricRef(name=rubric.name, hash=rubric.hash),
        judge=judge.name,
        mode=None if judge.provider in SOURCES else asking.mode,
        probed=known is not None,
        samples=body.samples,
    )


def _items(items: Sequence[Item], rubric: Rubric, judge: Judge, asking: Asking) -> Iterator[RenderedItem]:
    spoken = dialect(judge)
    if spoken is None and judge.provider not in SOURCES:
        fault = Fault(detail=f"It is asked through {judge.provider}, which cannot be looked into.", pointer="/judge")
        raise Refused(JUDGE_SETUP, "What this judge would be sent is not known.", fault)
    left = MOST_CHARACTERS
    for item in items:
        calls: list[RenderedCall] = []
        for call in () if spoken is None else rendered(item, rubric, judge, asking, spoken):
            left -= sum(len(message.content) for message in call.messages) + len(call.body or "")
            if left < 0:
                fault = Fault(detail=f"The calls come to more than {MOST_CHARACTERS:,} characters.", pointer="/items")
                raise Refused(INVALID_REQUEST, "This is too much to show at once; send fewer items.", fault)
            calls.append(call)
        yield RenderedItem(item=item.id, calls=tuple(calls))
