"""Who asks, told by the key that a request comes with, before anything else of the request is read."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from api.limits import EASES_S
from api.problems import NO_KEY, STORE_UNAVAILABLE
from judge import StoreError
from judge import keys as api_keys
from judge.keys import Key
from judge.keys import Scope as Use
from judge.store.store import Store

#: What anybody may see: whether the service works, and what it can do.
OPEN_TO_ALL = frozenset({"/healthz", "/openapi.json"})
#: For how long a key is believed without another look: a revoked one is refused after this.
BELIEVED_S = 1.0
MOST_BELIEVED = 1_000


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: whose runs and labels they see, what they may do, and the id of their key, if they have one."""

    tenant: str
    scopes: frozenset[Use]
    key: str | None = None

    def may(self, use: Use) -> bool:
        """Whether they may. What is of all tenants is for keys that name it."""
        return use in self.scopes or (Use.ADMIN in self.scopes and use is not Use.METRICS)


#: Whoever asks from this machine, where the service was started without keys.
ANYBODY = Caller("local", frozenset(Use))


class Access:
    """Finds the caller of each request, who is at `request.state.caller`; refuses requests without a key that stands.

    Parameters
    ----------
    keyless
        Whether nobody needs a key.
    """

    def __init__(self, app: ASGIApp, keyless: bool) -> None:
        self._app, self._keyless = app, keyless
        self._believed: dict[str, tuple[float, Key]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in OPEN_TO_ALL:
            return await self._app(scope, receive, send)
        caller: Caller | None = ANYBODY
        if not self._keyless:
            given = Headers(scope=scope).getlist("authorization")
            try:
                caller = await self._caller(scope["state"]["store"], given[0] if len(given) == 1 else "")
            except StoreError:
                detail = "The service's log says what its operator can do; try again after that."
                refusal = STORE_UNAVAILABLE.problem(detail).response({"Retry-After": f"{EASES_S}"})
                return await refusal(scope, receive, send)
        if caller is None:
            detail = "Send `Authorization: Bearer KEY` with a key that `judge keys create` printed."
            refusal = NO_KEY.problem(detail).response({"WWW-Authenticate": "Bearer"})
            return await refusal(scope, receive, send)
        scope["state"]["caller"] = caller
        return await self._app(scope, receive, send)

    async def _caller(self, store: Store, header: str) -> Caller | None:
        scheme, _, text = header.partition(" ")
        id_ = api_keys.id_of(text.strip()) if scheme.lower() == "bearer" else None
        if id_ is None:
            return None
        now = time.monotonic()
        until, key = self._believed.get(id_, (0.0, None))
        if key is None or until < now:
            key = await asyncio.to_thread(store.ask, store.keys.find, id_)
            if key is not None:
                if len(self._believed) >= MOST_BELIEVED:
                    self._believed.clear()
                self._believed[id_] = (now + BELIEVED_S, key)
        if key is None or not key.is_of(text.strip()) or not key.stands_at(time.time()):
            return None
        return Caller(key.tenant, key.scopes, key.id)
