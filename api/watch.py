"""Every request leaves a line in the log, and is counted."""

from __future__ import annotations

import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.access import Caller
from api.metrics import Requests

METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
#: What machines ask for all day; where it goes well it is not worth a line.
ROUTINE = frozenset({"/healthz", "/metrics"})
UNKNOWN = "other"

log = logging.getLogger(__name__)


class Watch:
    """Tells what was asked for by method and route alone: addresses may hold anything."""

    def __init__(self, app: ASGIApp, requests: Requests) -> None:
        self._app, self._requests = app, requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        began, status = time.perf_counter(), 500  # what raises is answered further out

        async def seen(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, seen)
        finally:
            self._tell(scope, status, time.perf_counter() - began)

    def _tell(self, scope: Scope, status: int, seconds: float) -> None:
        method = scope["method"] if scope["method"] in METHODS else UNKNOWN
        route = getattr(scope.get("route"), "path", UNKNOWN)
        self._requests.answered(method, route, status, seconds)
        caller: Caller | None = scope["state"].get("caller")
        told = {"method": method, "route": route, "status": status, "seconds": round(seconds, 4)}
        told |= {} if caller is None else {"tenant": caller.tenant, "key": caller.key}
        level = logging.DEBUG if route in ROUTINE and status < 400 else logging.INFO
        log.log(level, "request", extra=told)
