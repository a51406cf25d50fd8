"""The service's description of itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from api.access import OPEN_TO_ALL
from api.desk import For
from api.limits import FULL
from api.problems import INTERNAL, JUDGE_PAUSED, KEY_IN_USE, MEDIA_TYPE, OVERLOADED, RUN_BUSY, Kind, Problem
from api.request_ids import HEADER

LOCATION = {"Location": {"description": "Where it is.", "schema": {"type": "string"}}}
RETRY = {
    "Retry-After": {"description": "Seconds until it is worth another try, if it may be.", "schema": {"type": "string"}}
}
#: Problems that say when to come again.
PASSING = (OVERLOADED, KEY_IN_USE, RUN_BUSY, JUDGE_PAUSED)
REQUEST_ID = {HEADER: {"description": "Of the request, as it came with it or a new one.", "schema": {"type": "string"}}}

Responses = dict[int | str, dict[str, Any]]


def answer(example: object) -> dict[str, Any]:
    """A successful response, by example."""
    return {"content": {"application/json": {"example": example}}}


def problems(*kinds: Kind) -> Responses:
    """The responses that stand for these problems, and for any other."""
    responses: Responses = {"default": _problem(INTERNAL)}
    for kind in kinds:
        response = responses.setdefault(kind.status, _problem(kind))
        response["content"][MEDIA_TYPE]["examples"] |= _example(kind)
        if kind in PASSING:
            response["headers"] = RETRY | (FULL if kind is OVERLOADED else {})
    return responses


def _problem(kind: Kind) -> dict[str, Any]:
    return {"model": Problem, "description": kind.title, "content": {MEDIA_TYPE: {"examples": _example(kind)}}}


def _example(kind: Kind) -> dict[str, Any]:
    value = kind.problem("What happened, and what to do next.").model_dump(mode="json")
    return {kind.slug: {"summary": kind.title, "value": value}}


class Service(FastAPI):
    """An application whose problems are described under their own media type."""

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document."""
        if self.openapi_schema is None:
            document = super().openapi()
            document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
            needed = dict(_scopes(self.routes))
            for name, path in document["paths"].items():
                for operation in path.values():
                    _declare(operation["responses"])
                    for parameter in operation.get("parameters", ()):
                        _never_null(parameter["schema"])
                    scopes = needed.get(operation["operationId"], [])
                    operation["security"] = [] if name in OPEN_TO_ALL else [{"key": scopes}]
        return super().openapi()


def _scopes(routes: Iterable[Any]) -> Iterator[tuple[str, list[str]]]:
    """The scopes that a key needs, by the id of the operation."""
    for route in routes:
        if isinstance(route, APIRoute):
            yield route.unique_id, [one.call.use for one in route.dependant.dependencies if isinstance(one.call, For)]
        else:  # a router within, whose routes some versions of the framework keep there
            yield from _scopes(getattr(getattr(route, "original_router", None), "routes", ()))


def _never_null(schema: dict[str, Any]) -> None:
    """A parameter may be left out, and is then None here; nobody can send it as null."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) == 1:
        del schema["anyOf"]
        schema |= kinds[0]


def _declare(responses: dict[str, Any]) -> None:
    """Every answer has the id of its request. The framework files every model under the media type of success."""
    for response in responses.values():
        response["headers"] = {**response.get("headers", {}), **REQUEST_ID}
        content = response.get("content", {})
        if MEDIA_TYPE in content:
            content[MEDIA_TYPE] |= content.pop("application/json")
