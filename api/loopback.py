"""Only this machine may ask, where nobody needs a key.

The server listens on loopback alone; this keeps out what comes through a browser on this machine: names that were
rebound to a loopback address, and pages of other sites.
"""

from __future__ import annotations

import ipaddress
import re

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from api.problems import NOT_LOCAL

_HOST = re.compile(r"(\[[0-9a-f:]+\]|[0-9a-z.]+)(:[0-9]{1,5})?", re.IGNORECASE)
_ORIGIN = re.compile(r"https?://(.+)", re.IGNORECASE)


def is_local(host: str) -> bool:
    """Whether a Host header names this machine."""
    match = _HOST.fullmatch(host)
    if match is None:
        return False
    name = match[1].strip("[]").lower()
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def is_local_origin(origin: str) -> bool:
    """Whether an Origin header names a page of this machine."""
    match = _ORIGIN.fullmatch(origin)
    return match is not None and is_local(match[1])


class Loopback:
    """Refuses whatever was not addressed to this machine, or was sent by a page from elsewhere."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (reason := _reason(Headers(scope=scope))) is not None:
            return await NOT_LOCAL.problem(reason).response()(scope, receive, send)
        return await self._app(scope, receive, send)


def _reason(headers: Headers) -> str | None:
    if not is_local(headers.get("host", "")):
        return "The Host header names another machine; address the service as localhost or 127.0.0.1."
    if not all(is_local_origin(origin) for origin in headers.getlist("origin")):
        return "The request comes from a page of another site; send it from a program or a page of this machine."
    return None
