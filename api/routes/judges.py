"""`/v1/judges`: who can grade."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Path
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from api.bodies import StrictRoute
from api.desk import ToGrade, ToRead
from api.envelopes import LONGEST_NAME
from api.errors import Refused
from api.openapi import LOCATION, answer, problems
from api.problems import ACCESS, INVALID_REQUEST, JUDGE_SETUP, NAME_TAKEN, NO_SUCH_JUDGE, STORE_UNAVAILABLE
from api.registering import check_judge, check_name, check_size
from api.routes.rubrics import BODIED, AfterName, PageSize
from judge.answers import DescribedJudge, JudgeEntry, JudgeList
from judge.judges import Judge
from judge.shelf import ASKED, HASH, Shelf, judge_in
from judge.store.registrations import Kind, Registration

router = APIRouter(prefix="/v1/judges", tags=["judges"])
bodied = APIRouter(prefix="/v1/judges", tags=["judges"], route_class=StrictRoute)

#: What is this machine's own business, of a judge that the operator set up.
WITHHELD = frozenset({"base_url", "api_key_env", "proxy", "ca_file", "headers", "options"})


class GivenJudge(BaseModel):
    """A judge, with a name to call it by."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    judge: Judge


def entry_of(judge: Judge, kept: Registration | None = None) -> JudgeEntry:
    """The entry of a judge, and of its registration where it has one."""
    return JudgeEntry(
        name=judge.name if kept is None else kept.name,
        revision=None if kept is None else kept.revision,
        provider=judge.provider,
        model=judge.model,
        hash=judge.description_hash,
        created_at=None if kept is None else kept.created_at,
    )


_JUDGE = Judge.model_validate(
    {
        "name": "my-judge",
        "provider": "openai",
        "model": "qwen3-8b",
        "base_url": "https://llm.example.com/v1",
        "temperature": 0,
        "price": {"input": 0, "output": 0},
    }
)
GIVEN = {"judge": _JUDGE.model_dump(mode="json", exclude_defaults=True)}
_KEPT = Registration("my-judge", 1, _JUDGE.description_hash, "", 1795688000.0)
ENTRY = entry_of(_JUDGE, _KEPT).model_dump(mode="json")
SIMULATED = entry_of(Judge.load("simulated")).model_dump(mode="json")


@router.get(
    "",
    responses={
        200: answer(
            {"object": "list", "data": [SIMULATED, ENTRY], "providers": ["anthropic", "openai"], "has_more": False}
        ),
        **problems(*ACCESS, INVALID_REQUEST, STORE_UNAVAILABLE),
    },
)
def list_judges(desk: ToRead, after: AfterName = None, limit: PageSize = 20) -> JudgeList:
    """The judges that can be named: on the first page the operator's, then those that were registered."""
    shelf = desk.shelf
    own = shelf.operators.values() if after is None else ()
    kept, more = shelf.page(Kind.JUDGE, after, limit)
    entries = [entry_of(judge_in(one), one) for one in kept]
    return JudgeList(data=(*map(entry_of, own), *entries), providers=tuple(sorted(ASKED)), has_more=more)


_KEPT_AT = {**answer(ENTRY), "headers": LOCATION}


@bodied.post(
    "",
    response_model=JudgeEntry,
    status_code=201,
    responses={
        200: {**_KEPT_AT, "description": "It is registered so already.", "model": JudgeEntry},
        201: _KEPT_AT,
        **problems(*BODIED, JUDGE_SETUP, NAME_TAKEN),
    },
)
def register_judge(body: Annotated[GivenJudge, Body(examples=[GIVEN])], desk: ToGrade) -> Response:
    """Makes the judge's name stand for it. Other content under the name becomes its next revision.

    NAME is what was registered last, NAME@REVISION what it was before. Runs keep the judge that they began with. With
    a `base_url` of its own it is asked at a public address, and without a key, unless the operator lists its server.
    """
    judge, shelf = body.judge, desk.shelf
    check_name(judge.name, shelf.has_judge(judge.name), "/judge/name")
    check_size(judge)
    check_judge(judge, shelf.servers)
    content = judge.model_dump(mode="json", exclude={"name"}, exclude_defaults=True)
    add = desk.store.registrations.add
    kept, new = desk.store.change(add, Kind.JUDGE, judge.name, judge.description_hash, content)
    headers = {"Location": f"/v1/judges/{kept.name}@{kept.revision}"}
    told = entry_of(judge, kept).model_dump_json()
    return Response(told, 201 if new else 200, headers, "application/json")


@router.get(
    "/{name:path}",
    responses={
        200: answer({**ENTRY, "description": _JUDGE.model_dump(mode="json")}),
        **problems(*ACCESS, INVALID_REQUEST, NO_SUCH_JUDGE, STORE_UNAVAILABLE),
    },
)
def get_judge(
    name: Annotated[
        str,
        Path(
            max_length=LONGEST_NAME,
            examples=["my-judge@1"],
            description="NAME, NAME@REVISION, a hash, or a fingerprint that grades say.",
        ),
    ],
    desk: ToRead,
) -> DescribedJudge:
    """A judge as it is described."""
    found = _described(desk.shelf, name)
    if found is None and HASH.fullmatch(name):
        asked = desk.store.ask(desk.store.results.judge_asked, name)
        found = None if asked is None else _of(desk.shelf, asked)
    if found is None:
        raise Refused(NO_SUCH_JUDGE, "GET /v1/judges lists the judges that there are.")
    return found


def _described(shelf: Shelf, name: str) -> DescribedJudge | None:
    judge = shelf.judge(name)
    return None if judge is None else _of(shelf, judge)


def _of(shelf: Shelf, judge: Judge) -> DescribedJudge:
    # Only the names of registered ones say which revision it is.
    operators = judge.name in shelf.operators or "@" not in judge.name
    kept = None if operators else shelf.registered(Kind.JUDGE, judge.name)
    if kept is None:
        fields = Judge.model_fields
        without = {name: fields[name].get_default(call_default_factory=True) for name in WITHHELD}
        return DescribedJudge(**dict(entry_of(judge)), description=judge.model_copy(update=without))
    described = judge_in(kept)
    return DescribedJudge(**dict(entry_of(described, kept)), description=described)
