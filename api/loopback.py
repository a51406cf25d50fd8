"""Only this machine may ask, where nobody needs a key.

The server listens on loopback alone; this keeps out what comes through a browser on this machine: names that were
rebound to a loopback address, and pages of other sites. And whoever asks from another address: one whom the server sees
itself, or of whom a proxy on this machine says so in `X-Forwarded-For`, which uvicorn believes of 127.0.0.1 and puts in
the place of the peer. A proxy that does not say so is taken for this machine.
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
    return name == "localhost" or _is_loopback(name)


def is_local_origin(origin: str) -> bool:
    """Whether an Origin header names a page of this machine."""
    match = _ORIGIN.fullmatch(origin)
    return match is not None and is_local(match[1])


def _is_loopback(address: str) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    # So a socket of IPv6 has addresses of IPv4, and not every Python sees loopback in them.
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (mapped or found).is_loopback


class Loopback:
    """Refuses whatever was not addressed to this machine, or was sent by a page or a machine from elsewhere."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (reason := _reason(scope)) is not None:
            return await NOT_LOCAL.problem(reason).response()(scope, receive, send)
        return await self._app(scope, receive, send)


def _reason(scope: Scope) -> str | None:
    headers, client = Headers(scope=scope), scope.get("client")
    # On a Unix socket nobody has an address.
    if client and client[0] and not _is_loopback(client[0]):
        return "The request comes from another machine; send it from this one, or have the service started with keys."
    if not is_local(headers.get("host", "")):
        return "The Host header names another machine; address the service as localhost or 127.0.0.1."
    if not all(is_local_origin(origin) for origin in headers.getlist("origin")):
        return "The request comes from a page of another site; send it from a program or a page of this machine."
    return None
