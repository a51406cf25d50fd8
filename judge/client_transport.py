"""How a client's requests reach a service: over HTTP, and once more where that may help."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import IO, Any, TypedDict, TypeVar, Unpack
from uuid import uuid4

import aiohttp
from pydantic import BaseModel, ValidationError
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt

from judge.errors import JudgeError
from rubrics import Rubric

ATTEMPTS = 8
FIRST_WAIT_S, LONGEST_WAIT_S = 0.2, 30.0
#: What may be better a moment later, whatever else is said.
PASSING = frozenset({429, 502, 503, 504})
IN_USE = "idempotency-key-in-use"
#: A stream without a byte for so long, comments included, is taken for dead.
SILENT_S = 60.0
PIECE_BYTES = 256 * 1024
#: What a service may take to write a file aside, before it sends the first byte.
WRITTEN_S = 600.0

Done = TypeVar("Done")
Model = TypeVar("Model", bound=BaseModel)


class ServiceError(JudgeError):
    """What the service said instead of an answer.

    Attributes
    ----------
    status, type
        Of HTTP, and the kind of problem (RFC 9457); 0 and empty where no answer came.
    errors
        What is wrong with the request, each with a `detail` and a `pointer` into the body, a `parameter` or a `header`.
    retry_after_s
        When the service asks to come again; None where it does not.
    arrived
        Whether the request may have reached the service.
    """

    def __init__(
        self,
        detail: str,
        status: int = 0,
        type_: str = "",
        errors: tuple[dict[str, str], ...] = (),
        retry_after_s: float | None = None,
        arrived: bool = True,
    ) -> None:
        super().__init__(f"{detail} {'; '.join(map(_fault, errors))}".strip())
        self.status, self.type, self.errors, self.retry_after_s = status, type_, errors, retry_after_s
        self.arrived = arrived

    @property
    def passing(self) -> bool:
        """Whether the same request may be answered a moment later."""
        if self.status == 409:
            return self.retry_after_s is not None or self.type.endswith(IN_USE)
        return self.status == 0 or self.status in PASSING

    @property
    def in_use(self) -> bool:
        """Whether the service is still at work on the request, which came before with its key."""
        return self.status == 409 and self.type.endswith(IN_USE)


class Begun(ServiceError):
    """What became of a request that the service may have begun is not known, and as it is it must not come again."""

    @property
    def passing(self) -> bool:
        """Never: what the first one lost would be paid once more."""
        return False


class Sending(TypedDict, total=False):
    """How a request is sent. One that is to be done `once` has a key, by which it is known when it comes again.

    One that `pays_again`, for what is lost, comes again only where it was not begun.
    """

    query: Mapping[str, object]  #: without what is None; what has several values is told one by one
    longer_s: float  #: than a request may take otherwise
    once: bool
    pays_again: bool


class Transport:
    """A connection to one service. Open it before anything is sent, and close it in the end.

    Parameters
    ----------
    url, key, timeout_s
        As `judge.client.Client` has them.
    """

    def __init__(self, url: str, key: str | None, timeout_s: float) -> None:
        self._url, self._timeout_s = url.rstrip("/"), timeout_s
        self._headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self._session: aiohttp.ClientSession | None = None

    def open(self) -> None:
        """Makes it ready."""
        self._session = aiohttp.ClientSession(headers=self._headers, trust_env=False)

    async def close(self) -> None:
        """Closes it."""
        if self._session is not None:
            await self._session.close()

    async def send(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, **sending: Unpack[Sending]
    ) -> Any:
        """The JSON of the answer, after as many attempts as it takes. Raises ServiceError."""
        longest_s = self._timeout_s + sending.get("longer_s", 0.0)
        timeout = aiohttp.ClientTimeout(total=longest_s)
        told = _pairs(sending.get("query", {}))
        once = sending.get("once", False)
        headers = _known_again() if once else None

        async def attempt() -> Any:
            async with self.asked(method, path, timeout, json=body, params=told, headers=headers) as reply:
                return await _json(reply)

        asked = _unless_begun(attempt) if sending.get("pays_again") else attempt
        return await _tried(asked, longest_s if once else 0.0)

    async def ask(
        self,
        model: type[Model],
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        **sending: Unpack[Sending],
    ) -> Model:
        """As `send`, with the answer read."""
        return read(model, await self.send(method, path, body, **sending))

    async def ask_all(
        self,
        model: type[Model],
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        **sending: Unpack[Sending],
    ) -> list[Model]:
        """As `ask`, where the answer is a list."""
        return [read(model, one) for one in (await self.send(method, path, body, **sending))["data"]]

    async def pages(self, model: type[Model], path: str, limit: int, **query: object) -> AsyncIterator[Model]:
        """What is listed, with so many in a page, and a page in memory at a time. Raises ServiceError."""
        after: object = None
        while True:
            told = await self.send("GET", path, query={**query, "after": after, "limit": limit})
            for one in told["data"]:
                yield read(model, one)
            if not told["has_more"]:
                return
            after = told["next"] if "next" in told else told["data"][-1]["name"]

    async def upload(self, path: str, file: IO[bytes], media: str, timeout_s: float) -> Any:
        """The JSON of the answer to a file, which is read from its beginning at every attempt. Raises ServiceError."""
        headers = _known_again() | {"Content-Type": media}
        timeout = aiohttp.ClientTimeout(total=timeout_s, connect=self._timeout_s)

        async def attempt() -> Any:
            async with self.asked("POST", path, timeout, data=_pieces(file), headers=headers) as reply:
                return await _json(reply)

        return await _tried(attempt, timeout_s)

    async def download(self, path: str, query: Mapping[str, object], to: Path) -> Path:
        """Writes an answer to a file, which is there when it is whole. Raises ServiceError, OSError."""
        timeout = aiohttp.ClientTimeout(total=None, connect=self._timeout_s, sock_read=WRITTEN_S)
        part = to.with_name(f"{to.name}.part")

        async def attempt() -> None:
            with part.open("wb") as file:
                async with self.asked("GET", path, timeout, params=_pairs(query)) as reply:
                    async for piece in reply.content.iter_chunked(PIECE_BYTES):
                        await asyncio.to_thread(file.write, piece)

        try:
            await _tried(attempt)
            return part.replace(to)
        finally:
            part.unlink(missing_ok=True)

    def stream(self, path: str, after: str | None) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """The answer that is a stream of events, those after the one of this id, to one attempt. See `asked`."""
        timeout = aiohttp.ClientTimeout(total=None, connect=self._timeout_s, sock_read=SILENT_S)
        return self.asked("GET", path, timeout, headers={} if after is None else {"Last-Event-ID": after})

    @asynccontextmanager
    async def asked(
        self, method: str, path: str, timeout: aiohttp.ClientTimeout, **request: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer to one attempt, as long as the block lasts. Raises ServiceError, also for one that breaks off."""
        if self._session is None:
            raise RuntimeError("the client is not open; use it as: async with Client(...) as client")
        try:
            async with self._session.request(
                method, self._url + path, timeout=timeout, allow_redirects=False, **request
            ) as reply:
                if reply.status >= 300:
                    raise _problem(reply, await reply.read())
                yield reply
        except (aiohttp.ClientError, TimeoutError) as error:
            told = f"{self._url} does not answer ({type(error).__name__}); is `judge serve` up?"
            raise ServiceError(told, arrived=not isinstance(error, aiohttp.ClientConnectorError)) from None


def read(model: type[Model], told: Any) -> Model:
    """What a service said. Of a newer one, fields that are not known here are left out. Raises ServiceError.

    Not of a rubric: without them it would be another one.
    """
    try:
        return model.model_validate(told)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False)
    for one in wrong:
        if one["type"] == "extra_forbidden" and not issubclass(model, Rubric):
            _leave_out(told, one["loc"])
    try:
        return model.model_validate(told)
    except ValidationError:
        raise ServiceError(
            f"the service says a {model.__name__} as this version does not know it; install the service's version here"
        ) from None


def _leave_out(told: Any, place: Sequence[str | int]) -> None:
    """Takes a part out, where it is there."""
    try:
        for step in place[:-1]:
            told = told[step]
        del told[place[-1]]
    except (LookupError, TypeError):
        return


async def rest(error: ServiceError | None, failed: int) -> None:
    """Waits before the next attempt, after so many that failed. Raises the error where it is no use."""
    if error is not None and (failed >= ATTEMPTS or not error.passing):
        raise error
    await asyncio.sleep(_pause(error, max(failed, 1)))


async def _tried(attempt: Callable[[], Awaitable[Done]], longest_s: float = 0.0) -> Done:
    """What an attempt brings, after as many as it takes.

    A service that is at work on an earlier one is waited for, until the request has taken `longest_s`: no attempt has
    failed by that before.
    """
    until = time.monotonic() + longest_s

    async def waiting() -> Done:
        asked = 0
        while True:
            try:
                return await attempt()
            except ServiceError as error:
                if not error.in_use or time.monotonic() >= until:
                    raise
                asked = min(asked + 1, ATTEMPTS)
                # Longer each time, whatever the service asks for: an upload comes with its whole file again.
                await asyncio.sleep(max(_pause(error, asked), _pause(None, asked)))

    attempts = AsyncRetrying(
        retry=retry_if_exception(lambda error: isinstance(error, ServiceError) and error.passing),
        stop=stop_after_attempt(ATTEMPTS),
        wait=_wait,
        reraise=True,
    )
    return await attempts(waiting)


def _unless_begun(attempt: Callable[[], Awaitable[Done]]) -> Callable[[], Awaitable[Done]]:
    """An attempt that is the last one where the service may have begun with what it was asked for.

    It has not where there was no room (429). Any other refusal may come after calls whose answers were lost.
    """

    async def told() -> Done:
        try:
            return await attempt()
        except ServiceError as error:
            if not error.passing or error.status == 429 or not error.arrived:
                raise
            advice = "What it lost meanwhile would be paid once more; ask again without resend_lost first."
            raise Begun(f"{error} {advice}", error.status, error.type, retry_after_s=error.retry_after_s) from None

    return told


def _pairs(query: Mapping[str, object]) -> list[tuple[str, str]]:
    """A query, as it stands in an address."""
    each = ((name, value if isinstance(value, tuple) else (value,)) for name, value in query.items())
    return [(name, str(one)) for name, values in each for one in values if one is not None]


async def _pieces(file: IO[bytes]) -> AsyncIterator[bytes]:
    file.seek(0)
    while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
        yield piece


async def _json(reply: aiohttp.ClientResponse) -> Any:
    raw = await reply.read()
    try:
        return json.loads(raw)
    except ValueError:
        raise ServiceError("an answer that is no JSON; is it the service that is asked?", reply.status) from None


def _known_again() -> dict[str, str]:
    """A key by which a request that is sent again is known to be the same."""
    return {"Idempotency-Key": f'"{uuid4()}"'}


def _fault(told: Mapping[str, str]) -> str:
    where = told.get("pointer") or told.get("parameter") or told.get("header") or "the body"
    return f"{where}: {told['detail']}"


def _problem(reply: aiohttp.ClientResponse, raw: bytes) -> ServiceError:
    after = reply.headers.get("Retry-After", "")
    later = float(after) if after.isdecimal() else None
    try:
        told = json.loads(raw)
        detail, errors = f"{told['title']}: {told['detail']}", tuple(told.get("errors", ()))
        return ServiceError(detail, reply.status, told["type"], errors, later)
    except (ValueError, KeyError, TypeError):  # not from the service itself
        return ServiceError(f"an answer of status {reply.status} that is no problem", reply.status, retry_after_s=later)


def _wait(state: RetryCallState) -> float:
    """Seconds before the next attempt."""
    return _pause(None if state.outcome is None else state.outcome.exception(), state.attempt_number)


def _pause(error: BaseException | None, failed: int) -> float:
    """Seconds after so many failures: what the service asks for, else longer each time."""
    asked = error.retry_after_s if isinstance(error, ServiceError) else None
    return min(asked if asked is not None else FIRST_WAIT_S * 2 ** (failed - 1), LONGEST_WAIT_S)
