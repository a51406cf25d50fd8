"""What test_schema.py rests on: asked as it asks, a service with faults is found out, each by the check for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi import Request
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from api.access import ANYBODY, Access
from api.desk import Desk, Desks, For
from tests.api.conftest import Client
from tests.api.test_schema import tried

#: What is a tenant's own, and served to anybody.
OWN = {
    "/v1/runs/{run}",
    "/v1/rubrics/{name}",
    "/v1/judges/{name}",
    "/v1/label-sets/{name}",
    "/v1/calibrations/{calibration}",
}
#: What schemathesis calls a failure of `object_level_authorization`, `ignored_auth`, `not_a_server_error`, and
#: `status_code_conformance`.
FOUND = {
    *(("ObjectLevelAuthorizationViolation", f"GET {path}") for path in OWN),
    ("IgnoredAuth", "GET /v1/rubrics"),
    ("IgnoredAuth", "GET /v1/judges"),
    ("ServerError", "GET /v1/budgets"),
    ("UndefinedStatusCode", "GET /v1/budgets"),
    ("UndefinedStatusCode", "GET /v1/costs"),
}


def break_what_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thing of one tenant is read by whoever names it; one path fails, and one answers as it is not described."""
    sound = For.__call__

    async def faulty(self: For, request: Request) -> Desk:
        if request.url.path == "/v1/budgets":
            raise RuntimeError("a fault of the test")
        if request.url.path == "/v1/costs":
            raise HTTPException(418)
        desk = await sound(self, request)
        desks: Desks = request.state.desks
        template = request.scope["route"].path_format
        return desks.of("ours") if request.method == "GET" and template in OWN else desk

    monkeypatch.setattr(For, "__call__", faulty)


def break_who_is_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """One path is open without a key, and one to keys that there are none of."""
    sound = Access.__call__

    async def faulty(self: Access, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "GET":
            key = Headers(scope=scope).get("authorization")
            unknown = key is not None and "INVALID" in key
            if (scope["path"] == "/v1/rubrics" and key is None) or (scope["path"] == "/v1/judges" and unknown):
                scope["state"]["caller"] = ANYBODY
                return await self._app(scope, receive, send)
        return await sound(self, scope, receive, send)

    monkeypatch.setattr(Access, "__call__", faulty)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_each_fault_is_found_by_the_check_for_it(
    serve: Callable[..., Client], key: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_what_is_answered(monkeypatch)
    break_who_is_let_in(monkeypatch)
    # The lesser of the two that test_schema.py makes up, and of that what is read. Rubrics are made too: most of those
    # that are listed ship, and are both tenants'.
    narrowed = ("--include-method", "GET", "--include-path", "/v1/rubrics")
    report, printed = tried(serve(KEYLESS=""), key, tmp_path, "postgresql", *narrowed)
    found = {(one["type"], operation) for one in report["failures"] for operation in one["operations"]}
    # A fault is against more than the check for it: what is well formed is refused, say.
    kinds = {kind for kind, _ in FOUND}
    assert {one for one in found if one[0] in kinds} == FOUND, printed
