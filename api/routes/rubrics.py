"""`/v1/rubrics`: what can be graded by."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Body, Path, Query
from pydantic import BaseModel, BeforeValidator, ConfigDict
from starlette.responses import Response

from api.bodies import StrictRoute
from api.desk import ToGrade, ToRead
from api.envelopes import read_rubric
from api.errors import Refused
from api.openapi import LOCATION, answer, problems
from api.problems import (
    ACCESS,
    BODY,
    INVALID_REQUEST,
    INVALID_RUBRIC,
    NAME_TAKEN,
    NO_SUCH_RUBRIC,
    STORE_UNAVAILABLE,
)
from api.registering import check_name, check_size
from api.routes.examples import RUBRIC
from judge.answers import Findings, RubricEntry
from judge.shelf import NAME, rubric_in
from judge.store.registrations import Kind, Registration
from rubrics import Rubric
from rubrics.lint import lint

router = APIRouter(prefix="/v1/rubrics", tags=["rubrics"])
bodied = APIRouter(prefix="/v1/rubrics", tags=["rubrics"], route_class=StrictRoute)

LONGEST_PAGE = 100
AfterName = Annotated[
    str | None,
    Query(pattern=f"^{NAME.pattern}$", examples=["my-rubric"], description="The last registered name of a page."),
]
PageSize = Annotated[int, Query(ge=1, le=LONGEST_PAGE, examples=[20], description="Registered ones in a page.")]
BODIED = (*BODY, *ACCESS, INVALID_REQUEST, STORE_UNAVAILABLE)


class RubricList(BaseModel):
    """The rubrics that can be named."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    object: Literal["list"] = "list"
    data: tuple[RubricEntry, ...]
    has_more: bool


class GivenRubric(BaseModel):
    """A whole rubric."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    rubric: Annotated[Rubric, BeforeValidator(read_rubric)]


def entry_of(rubric: Rubric, kept: Registration | None = None) -> RubricEntry:
    """The entry of a rubric, and of its registration where it has one."""
    return RubricEntry(
        name=rubric.name,
        version=rubric.version,
        revision=None if kept is None else kept.revision,
        description=rubric.description,
        hash=rubric.hash,
        criteria=tuple(criterion.id for criterion in rubric.leaves),
        created_at=None if kept is None else kept.created_at,
    )


ENTRY = entry_of(RUBRIC).model_dump(mode="json")
REGISTERED = ENTRY | {"name": "my-rubric", "revision": 1, "created_at": 1795688000.0}
GIVEN = {"rubric": {"name": "capital", "criteria": [{"id": "right", "scale": "binary", "question": "Is it Paris?"}]}}
FOUND = {"severity": "warning", "text": "no instructions: say who reads the output and what matters most"}


@router.get(
    "",
    responses={
        200: answer({"object": "list", "data": [ENTRY, REGISTERED], "has_more": False}),
        **problems(*ACCESS, INVALID_REQUEST, STORE_UNAVAILABLE),
    },
)
def list_rubrics(desk: ToRead, after: AfterName = None, limit: PageSize = 20) -> RubricList:
    """The rubrics that can be named: on the first page those that ship and the operator's, then registered ones."""
    shelf = desk.shelf
    own = shelf.rubrics.values() if after is None else ()
    kept, more = shelf.page(Kind.RUBRIC, after, limit)
    entries = [entry_of(rubric_in(one), one) for one in kept]
    return RubricList(data=(*map(entry_of, own), *entries), has_more=more)


_KEPT_AT = {**answer(REGISTERED), "headers": LOCATION}


@bodied.post(
    "",
    response_model=RubricEntry,
    status_code=201,
    responses={
        200: {
            **_KEPT_AT,
            "description": "It is registered so already.",
            "model": RubricEntry,
        },
        201: _KEPT_AT,
        **problems(*BODIED, INVALID_RUBRIC, NAME_TAKEN),
    },
)
def register_rubric(body: Annotated[GivenRubric, Body(examples=[GIVEN])], desk: ToGrade) -> Response:
    """Makes the rubric's name stand for it. Other content under the name becomes its next revision.

    NAME is what was registered last, NAME@REVISION what it was before. Runs keep the rubric that they began with.
    """
    rubric = body.rubric
    check_name(rubric.name, rubric.name in desk.shelf.rubrics, "/rubric/name")
    check_size(rubric)
    content = rubric.model_dump(mode="json", exclude={"name"}, exclude_defaults=True)
    kept, new = desk.store.change(desk.store.registrations.add, Kind.RUBRIC, rubric.name, rubric.hash, content)
    headers = {"Location": f"/v1/rubrics/{kept.name}@{kept.revision}"}
    told = entry_of(rubric, kept).model_dump_json()
    return Response(told, 201 if new else 200, headers, "application/json")


@bodied.post(
    "/lint",
    responses={
        200: answer({"object": "list", "data": [FOUND]}),
        **problems(*BODIED, INVALID_RUBRIC),
    },
)
def lint_rubric(body: Annotated[GivenRubric, Body(examples=[GIVEN])], _: ToGrade) -> Findings:
    """What to mend in a rubric before anything is spent on it. Nothing is kept."""
    return Findings(data=lint(body.rubric))


@router.get(
    "/{name}",
    responses={200: answer(RUBRIC.model_dump(mode="json")), **problems(*ACCESS, NO_SUCH_RUBRIC, STORE_UNAVAILABLE)},
)
def get_rubric(
    name: Annotated[str, Path(examples=[RUBRIC.name], description="NAME, NAME@REVISION, or a hash.")], desk: ToRead
) -> Rubric:
    """The whole of a rubric. Sent back with a request for grades, it grades as its name does."""
    found = desk.shelf.rubric(name)
    if found is None:
        raise Refused(NO_SUCH_RUBRIC, "GET /v1/rubrics lists the rubrics that there are.")
    return found
