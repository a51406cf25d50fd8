"""`Idempotency-Key`: a request that comes again with its key gets the answer of the first, and does nothing.

As draft-ietf-httpapi-idempotency-key-header-07 has it. The key belongs to the tenant and the route; it is kept for
seven days. A request that was refused leaves no answer: mended or not, it may come again with its key.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from collections.abc import Awaitable, Callable

from pydantic import BaseModel
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from api.errors import Refused
from api.problems import INVALID_KEY, KEY_IN_USE, KEY_REUSED
from judge import StoreError
from judge.store.owners import WORD_S
from judge.store.replays import Found, Replay
from judge.store.store import Store

HEADER, REPLAYED = "Idempotency-Key", "Idempotency-Replayed"
#: Headers of an answer that are given again with it.
KEPT = ("Location", "Retry-After")
#: A string as structured headers write it, or the bare text that many clients send.
_QUOTED, _BARE = r'"((?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\]){1,255})"', r"[\x21\x23-\x7e]{1,255}"
_FIT = re.compile(f"{_QUOTED}|{_BARE}")


#: The header, as the description of an operation has it.
PARAMETER = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "With it the request is worked on once: sent again, it gets the first answer, for seven days.",
    "schema": {
        "type": "string",
        "pattern": f"^({_QUOTED}|{_BARE})$",
        "examples": ['"8e03978e-40d5-43dd-bc93-6894a57f9324"'],
    },
}
#: Which operations take it, as the description says of all of them.
TAKEN = (
    f"An `{HEADER}` is taken by `POST /v1/runs`, `POST /v1/runs/upload`, `POST /v1/runs/{{run}}/resume` and "
    "`POST /v1/calibrations`. All other operations ignore it, and can be sent again without one: what the first "
    "request made, changed or paid for is found, and not done again. But grading with `resend_lost` asks "
    "again for what the first one lost, too."
)
#: Keeps a response in a transaction, of a tenant. Raises Refused.
Keep = Callable[[Connection, str, Response], None]
#: What this process is working on: tenants, routes and keys.
_at_work: set[tuple[str, str, str]] = set()

log = logging.getLogger(__name__)


class Busy(Refused):
    """The first request with a key is still being worked on."""

    def __init__(self) -> None:
        super().__init__(KEY_IN_USE, "The first request with this key is still being worked on; try again in a second.")
        self.headers = {"Retry-After": "1"}


def key_of(request: Request) -> str | None:
    """The key that a request comes with, if one. Raises Refused."""
    given = request.headers.getlist(HEADER)
    if not given:
        return None
    fit = _FIT.fullmatch(given[0])
    if len(given) > 1 or fit is None:
        raise Refused(INVALID_KEY, f'Send one header such as `{HEADER}: "8e03978e-40d5"`, of at most 255 characters.')
    return fit[0] if fit[1] is None else re.sub(r"\\(.)", r"\1", fit[1])


async def once(
    store: Store, request: Request, route: str, body: BaseModel | str, work: Callable[[Keep], Awaitable[Response]]
) -> Response:
    """The response of `work`, or the one that it had when the request came before with the same key.

    `body` is what is asked for, or a text that stands for it. `work` may keep its response in the transaction that
    does what was asked for, so that neither is ever there without the other; else it is kept in one of its own.

    Raises
    ------
    Refused
        For a key of another request, or one that is being worked on.
    """
    key = key_of(request)
    if key is None:
        return await work(keep_nothing)
    text = body if isinstance(body, str) else body.model_dump_json()
    fingerprint = hashlib.sha256(text.encode()).hexdigest()
    here = (store.tenant, route, key)
    ours = here not in _at_work
    _at_work.add(here)
    try:
        busy = () if ours else (key,)
        found, before = await asyncio.to_thread(store.change, store.replays.begin, route, key, fingerprint, busy)
        if found is Found.OTHER:
            raise Refused(KEY_REUSED, "The key belongs to a request with another body; send a new key.")
        if found is Found.BUSY or not (ours or before):  # what it began before the first one did is that one's
            raise Busy()
        if before is not None:
            return Response(before.body, before.status, {**before.headers, REPLAYED: "true"}, "application/json")
        return await _worked(store, route, key, work)
    finally:
        if ours:
            _at_work.discard(here)


async def _worked(store: Store, route: str, key: str, work: Callable[[Keep], Awaitable[Response]]) -> Response:
    kept = False

    def keep(connection: Connection, tenant: str, response: Response) -> None:
        nonlocal kept
        if not store.replays.answer(connection, tenant, route, key, _replay(response)):
            raise Busy()  # this process was taken for dead, and another one works on it now
        kept = True

    going_on = asyncio.create_task(_go_on(store, route, key))
    try:
        response = await work(keep)
    except BaseException:
        await _kept(store, store.replays.forget, route, key)
        raise
    finally:
        going_on.cancel()
    if not kept:
        await _kept(store, store.replays.answer, route, key, _replay(response))
    return response


def _replay(response: Response) -> Replay:
    headers = {name: response.headers[name] for name in KEPT if name in response.headers}
    return Replay(response.status_code, headers, bytes(response.body))


def keep_nothing(connection: Connection, tenant: str, response: Response) -> None:
    """For a request without a key."""


async def _go_on(store: Store, route: str, key: str) -> None:
    """Says again and again that a request is worked on, to other processes: without it, it is begun anew."""
    while True:
        await asyncio.sleep(WORD_S / 4)
        await _kept(store, store.replays.go_on, route, key)


async def _kept(store: Store, change: Callable[..., object], *told: object) -> None:
    """Writes down what became of a key. Where that fails the work stands, and the next request with it is worked on."""
    try:
        await asyncio.to_thread(store.change, change, *told)
    except StoreError as error:
        log.error("%s", error)
