"""One request and its reply, made below a library that would send as often as it likes.

A library that retries, follows redirects or hides what failed is given this in the place of its HTTP transport. For
each call one request leaves, to one place, and what became of it is known whatever the library makes of it.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from yarl import URL

from judge.providers import AnswerLost, CallError, NotSent

#: Names of headers and parameters that carry a key.
SECRET = re.compile("auth|key|token|secret", re.IGNORECASE)


@dataclass(slots=True)
class Exchange:
    """What became of the one request of a call.

    `status` is None until the whole reply has come; `failure` says why it did not. `secrets` are the keys that were
    sent, so that they can be struck out of what is said about it.
    """

    begun: bool = False
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes = b""
    failure: CallError | None = None
    secrets: tuple[str, ...] = ()


_exchange: ContextVar[Exchange] = ContextVar("exchange")


@contextmanager
def exchange() -> Iterator[Exchange]:
    """The exchange of the call that is made in this block."""
    made = Exchange()
    token = _exchange.set(made)
    try:
        yield made
    finally:
        _exchange.reset(token)


class Carrier:
    """What httpx takes for a transport. No redirect is followed, and no proxy of the environment is used.

    Parameters
    ----------
    headers
        Sent with every request, beside the library's own.
    proxy
        An HTTP proxy that all goes through.
    trusted
        The certificates that a server must have.
    connect_timeout_s
        How long a connection may take. The caller bounds the rest.
    """

    def __init__(
        self, headers: Mapping[str, str], proxy: str | None, trusted: ssl.SSLContext | bool, connect_timeout_s: float
    ) -> None:
        # Replies are small; an encoded one could unpack to any size.
        self._headers = {name.lower(): value for name, value in headers.items()} | {"accept-encoding": "identity"}
        self._proxy, self._trusted = proxy, trusted
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout_s)
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: Any) -> Any:
        """The reply to a call's first request; any other is refused."""
        import httpx  # noqa: PLC0415 - the library's, and not among our own

        made = _exchange.get()
        if made.begun:
            raise AnswerLost("second_request", "the library wanted to send a call a second time")
        made.begun = True
        headers = dict(request.headers.items())  # as a mapping, they are searched through for each name
        made.secrets = tuple(_secrets(dict(request.url.params.items()) | headers))
        try:
            made.headers, made.raw, made.status = await self._sent(request, headers)
        except (aiohttp.ClientError, OSError) as error:
            made.failure = _failure(error, request.url.host)
            raise made.failure from None
        # An encoded body is passed on as it is: it is no JSON, and that is what will be said of it.
        passed = {name: value for name, value in made.headers.items() if name.lower() != "content-encoding"}
        return httpx.Response(made.status, headers=passed, content=made.raw, request=request)

    async def aclose(self) -> None:
        """Closes the connections."""
        if self._session is not None:
            await self._session.close()

    async def _sent(self, request: Any, headers: dict[str, str]) -> tuple[Mapping[str, str], bytes, int]:
        if self._session is None:  # made here, where the loop runs that it belongs to
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, ssl=self._trusted),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=self._timeout,
                auto_decompress=False,
            )
        url, body = URL(str(request.url), encoded=True), await request.aread()
        asked = self._session.request(
            request.method, url, data=body, headers=headers | self._headers, allow_redirects=False, proxy=self._proxy
        )
        async with asked as reply:
            return reply.headers, await reply.read(), reply.status


def _secrets(sent: Mapping[str, str]) -> Iterator[str]:
    """Values that carry a key, without the word before it, as in `Bearer ...`."""
    return (value.rpartition(" ")[2] for name, value in sent.items() if SECRET.search(name) and value)


def _failure(error: Exception, host: str) -> CallError:
    never = aiohttp.ClientConnectorError | aiohttp.ClientHttpProxyError | aiohttp.ConnectionTimeoutError
    detail = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, never | aiohttp.InvalidURL):
        return NotSent("no_connection", f"no connection to {host}: {detail}")
    return AnswerLost("connection_lost", f"the connection broke before the answer came: {detail}")
