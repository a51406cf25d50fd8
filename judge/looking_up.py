"""An answer that was lost on its way is asked for, where the provider was told to keep it.

    found      the answer, as if it had come: it is paid for once
    denied     the provider never had the call: it may be sent again
    unknown    the provider cannot be asked, or does not keep: the answer stays lost

An answer may be made, and listed, some time after the call was cut. A denial counts once the call's own time and the
lag of the provider's lists are over, and only of a provider that still has another answer of ours: one that keeps
nothing, as for customers with zero retention, denies everything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from enum import Enum

from judge.judges import Judge
from judge.ledger import Held, Ledger, now
from judge.providers import CallError, Provider, Rejected
from judge.providers.keeping import Keeping
from judge.settings import Settings

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 10.0

#: The provider was asked for a lost answer, and never had the call.
NEVER_ARRIVED = "never_arrived"


class Told(Enum):
    """What a look-up came to where it brought no answer."""

    DENIED = "denied"
    UNKNOWN = "unknown"


class LookUp:
    """Asks one provider for answers that are lost. `timeout_s` is that of a call."""

    def __init__(self, provider: Keeping, endpoint: str, ledger: Ledger, timeout_s: float) -> None:
        self._provider, self._endpoint, self._ledger, self._timeout_s = provider, endpoint, ledger, timeout_s
        self._lag_s = Settings().lookup_lag_s

    async def send(self, body: bytes, key: str, attempt: int) -> bytes:
        """The raw reply, which the provider is told to keep."""

        async def noted(provider_id: str) -> None:
            await self._ledger.note(key, attempt, provider_id)

        return await self._provider.send_to_keep(body, key, attempt, noted)

    async def find(
        self, key: str, held: Held, over: Callable[[float], bool], rest: Callable[[float], Awaitable[None]]
    ) -> bytes | Told:
        """The raw reply, or what was told in its place.

        Parameters
        ----------
        over
            Whether there is no time for a wait of so many seconds.
        rest
            Waits so many seconds.
        """
        if not held.kept:
            return Told.UNKNOWN
        until, pause_s = held.sent_at + self._timeout_s + self._lag_s, FIRST_PAUSE_S
        while True:
            last = now() >= until
            try:
                raw = await self._recalled(key, held.attempt, held.provider_id)
            except (CallError, TimeoutError) as failure:
                if last or (isinstance(failure, Rejected) and not failure.passes):
                    return Told.UNKNOWN
            else:
                if raw is not None:
                    return raw
                if last:
                    return Told.DENIED if await self._keeps() else Told.UNKNOWN
            if over(pause_s):
                return Told.UNKNOWN
            await rest(min(pause_s, max(until - now(), 0.0)))
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    async def _recalled(self, key: str, attempt: int, provider_id: str | None) -> bytes | None:
        async with asyncio.timeout(self._timeout_s):
            return await self._provider.recall(key, attempt, provider_id)

    async def _keeps(self) -> bool:
        """Whether the provider has an answer that is known to have come."""
        witness = await self._ledger.witness(self._endpoint, now() - self._lag_s)
        if witness is None:
            return False
        try:
            return await self._recalled(*witness) is not None
        except (CallError, TimeoutError):
            return False


def look_up(provider: Provider, judge: Judge, ledger: Ledger) -> LookUp | None:
    """How lost answers of a judge are looked up; None where it keeps none."""
    if judge.store and isinstance(provider, Keeping):
        return LookUp(provider, provider.endpoint, ledger, judge.timeout_s)
    return None
