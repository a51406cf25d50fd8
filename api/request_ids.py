"""A name for every request: the caller's, or one made here."""

from __future__ import annotations

import re
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from judge import logs

HEADER = "X-Request-ID"
_FIT = re.compile(r"[\x20-\x7e]{1,128}")


class RequestIds:
    """Names requests, stamps their responses, and has the name in their problems and lines of the log.

    Handlers find it at `request.state.request_id`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        given = Headers(scope=scope).get(HEADER, "")
        name = given if _FIT.fullmatch(given) else uuid4().hex
        scope.setdefault("state", {})["request_id"] = name
        logs.request_id.set(name)  # for good: each request has a context of its own

        async def stamped(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[HEADER] = name
            await send(message)

        return await self._app(scope, receive, stamped)
