"""From what was raised to the problem that is sent. No value of the request is repeated."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from itertools import takewhile
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from api.errors import Refused
from api.limits import EASES_S
from api.problems import (
    BUDGET_USED_UP,
    INTERNAL,
    INVALID_REQUEST,
    INVALID_RUBRIC,
    JUDGE_PAUSED,
    JUDGE_SETUP,
    NOT_INSTALLED,
    OTHER_CALIBRATION,
    RUN_BUSY,
    STORE_UNAVAILABLE,
    Fault,
    Kind,
    Problem,
)
from api.request_ids import HEADER
from judge import Paused, RubricError, SetupError, StoreError
from judge.endpoint import BREAKER_COOLS_S
from judge.errors import BudgetUsedUp, InputError, MissingExtra, OtherCalibration, RunBusy
from judge.items import PAIRS
from judge.messages import TAGS

#: Errors that say themselves what to do, over HTTP too; those of a kind before the kind.
TOLD: dict[type[Exception], Kind] = {
    InputError: INVALID_REQUEST,
    BudgetUsedUp: BUDGET_USED_UP,
    Paused: JUDGE_PAUSED,
    OtherCalibration: OTHER_CALIBRATION,
    MissingExtra: NOT_INSTALLED,
}
#: Where the body of a POST has the field `judge`.
NAMING_JUDGES = frozenset({"/v1/grades", "/v1/judges", "/v1/render", "/v1/runs", "/v1/runs/upload"})
#: What the framework refuses, and what to do then.
ADVICE = {
    404: "There is no such path; GET /openapi.json describes those that there are.",
    405: "The path has no such method; `Allow` names those that it has.",
}
#: As nginx has it: no standard has a status that nobody hears of.
CLIENT_LEFT = 499
MOST_FAULTS = 100
LONGEST_STEP = 64

log = logging.getLogger(__name__)


def install(app: FastAPI) -> None:
    """Makes every error a problem."""
    for kind in (
        HTTPException,
        RequestValidationError,
        RubricError,
        InputError,
        Paused,
        SetupError,
        StoreError,
        Exception,
    ):
        app.add_exception_handler(kind, _answer)
    app.add_exception_handler(ClientDisconnect, _leave)


async def _leave(request: Request, error: Exception) -> Response:
    """For a client that went in the midst of its own request: the log and the metrics see it, and nobody else."""
    return Response(status_code=CLIENT_LEFT)


async def _answer(request: Request, error: Exception) -> Response:
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    if "Allow" in headers:
        headers["Allow"] = _allowed(request) or headers["Allow"]
    if isinstance(error, Paused) and not isinstance(error, BudgetUsedUp):
        headers["Retry-After"] = f"{BREAKER_COOLS_S:.0f}"
    if isinstance(error, RunBusy | StoreError):
        headers["Retry-After"] = f"{EASES_S}"
    # The framework sends what nobody expected from outside of all middleware.
    headers[HEADER] = request.state.request_id
    return problem_of(error, request.method == "POST" and request.url.path in NAMING_JUDGES).response(headers)


def _allowed(request: Request) -> str:
    """The methods of a path, if it is described: several routes may be of one, and each of them names its own alone."""
    paths = request.app.openapi()["paths"]
    template = getattr(request.scope.get("route"), "path_format", "")
    methods = paths.get(request.url.path) or paths.get(template, ())
    return ", ".join(sorted(map(str.upper, methods)))


def problem_of(error: Exception, names_judge: bool) -> Problem:
    """The problem that an error is, of a request whose body names a judge or not."""
    told = next((kind for errors, kind in TOLD.items() if isinstance(error, errors)), None)
    if told is not None:
        return told.problem(str(error))
    match error:
        case Refused():
            return error.problem
        case HTTPException():
            title = HTTPStatus(error.status_code).phrase
            detail = ADVICE.get(error.status_code, error.detail)
            return Problem(type="about:blank", title=title, status=error.status_code, detail=detail)
        case RequestValidationError():
            faults = tuple(fault_of(one) for one in error.errors()[:MOST_FAULTS])
            return INVALID_REQUEST.problem("Mend what `errors` lists, then send the request again.", *faults)
        case RubricError():
            return INVALID_RUBRIC.problem("Mend the rubric, then send the request again.", rubric_fault(error))
        case SetupError():
            fault = Fault(detail="Mend the judge, or name another.", pointer="/judge")
            return JUDGE_SETUP.problem(str(error), *(fault,) * names_judge)
        case RunBusy():
            return RUN_BUSY.problem("Another process is at work on this very run; try again in some seconds.")
        case StoreError():
            log.error("%s", error)
            return STORE_UNAVAILABLE.problem("The service's log says what its operator can do; try again after that.")
    return INTERNAL.problem("The fault is the service's own; its log has the particulars.")


def rubric_fault(error: RubricError, pointer: str = "/rubric") -> Fault:
    """What a rubric should say instead."""
    wrong, _, advice = error.message.rpartition("; write ")
    # What stands before the advice quotes the rubric, save for one of pairs, where it is the advice that matters.
    said = f"{PAIRS}; write {advice}" if wrong == PAIRS else f"write {advice}"
    return Fault(detail=f"{error.path}: {said}" if error.path else said, pointer=pointer)


def fault_of(error: Mapping[str, Any], within: str | None = None) -> Fault:
    """What pydantic complains of, without the value. `within` points to what was read, if that is not the request."""
    source, *place = error["loc"] if within is None else ("body", *error["loc"])
    detail = "No such field." if error["type"] == "extra_forbidden" else error["msg"].removeprefix("Value error, ")
    if source in ("query", "path"):
        return Fault(detail=detail, parameter=place[0])
    if source == "header":
        return Fault(detail=detail, header=place[0])
    return Fault(detail=detail, pointer=(within or "") + pointer_to(step for step in place if step not in TAGS))


def pointer_to(path: Iterable[int | str]) -> str:
    """The JSON pointer to a part of the body, or to what is around a part with a name of any length."""
    steps = takewhile(lambda step: len(step) <= LONGEST_STEP, map(str, path))
    return "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps)
