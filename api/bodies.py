"""Bodies: bounded before they are read, and JSON in the strictest sense."""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable
from itertools import count
from typing import Any, NoReturn

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from api.errors import Refused
from api.problems import INVALID_JSON, NOT_JSON
from api.receiving import received, refuse_large

LARGEST_BYTES = 16 * 1024 * 1024
ADVICE = "send the items in smaller requests"
DEEPEST = 64
#: A body of the largest size could hold millions, each many times as large in memory as in the body.
MOST_VALUES = 200_000

_UNFIT = re.compile("[\x00\ud800-\udfff]")


class StrictRequest(Request):
    """A request whose body is one JSON value. Reading it raises Refused."""

    def require_json(self) -> None:
        """Refuses a body that is not declared as JSON: a browser sends other kinds to other sites unasked."""
        if self.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise Refused(NOT_JSON, "Send the header `Content-Type: application/json`.")

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """The body as it arrives, decoded, up to the limit."""
        refuse_large(int(self.headers.get("content-length", "0")), LARGEST_BYTES, ADVICE)
        encoding = self.headers.get("content-encoding", "")
        async for chunk in received(super().stream(), encoding, LARGEST_BYTES, ADVICE):
            yield chunk

    async def json(self) -> Any:
        """The value in the body, read aside: a large one takes its time."""
        return await asyncio.to_thread(parse, await self.body())


class StrictRoute(APIRoute):
    """A route that takes a JSON body."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """See FastAPI."""
        handle = super().get_route_handler()

        async def strictly(request: Request) -> Response:
            strict = StrictRequest(request.scope, request.receive)
            strict.require_json()
            return await handle(strict)

        return strictly


def parse(raw: bytes) -> object:
    """The value in JSON text. Raises Refused."""
    try:
        data: object = json.loads(
            raw.decode(), object_pairs_hook=_object, parse_constant=_refuse_constant, parse_float=_float
        )
    except UnicodeDecodeError:
        raise Refused(INVALID_JSON, "The body is not UTF-8; encode it so.") from None
    except json.JSONDecodeError as error:
        raise Refused(INVALID_JSON, f"Not JSON at character {error.pos}: {error.msg}.") from None
    except RecursionError:
        raise _too_deep() from None
    except ValueError:  # the interpreter's own limit on the digits of an integer
        raise Refused(INVALID_JSON, "A number has too many digits; write a shorter one.") from None
    _examine(data)
    return data


def _examine(data: object) -> None:
    """Refuses what no part of a request can be, layer by layer."""
    layer, values = [data], 0
    for depth in count():
        values += len(layer)
        if values > MOST_VALUES:
            raise Refused(INVALID_JSON, f"The body holds more than {MOST_VALUES:,} values; send fewer.")
        if any(_UNFIT.search(value) for value in layer if isinstance(value, str)):
            raise Refused(INVALID_JSON, "A text holds a NUL character or half of a surrogate pair; send it without.")
        if depth == DEEPEST and any(isinstance(value, dict | list) for value in layer):
            raise _too_deep()
        layer = [part for value in layer for part in _parts(value)]
        if not layer:
            return


def _parts(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return (*value, *value.values())
    return value if isinstance(value, list) else ()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise Refused(INVALID_JSON, "An object has the same key twice; write each key once.")
    return made


def _float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise Refused(INVALID_JSON, "A number is too large; write one that a double can hold.")
    return number


def _refuse_constant(_: str) -> NoReturn:
    raise Refused(INVALID_JSON, "NaN and Infinity are not JSON; write a number or null.")


def _too_deep() -> Refused:
    return Refused(INVALID_JSON, f"The body is nested more than {DEEPEST} deep; write it flatter.")
