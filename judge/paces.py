"""How fast a server may be asked: by this process, or by all that share a database."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from aiolimiter import AsyncLimiter


@dataclass(frozen=True, slots=True)
class Turn:
    """The wish for a turn.

    Attributes
    ----------
    of
        What keeps a pace: a hash of server and key, and what is counted.
    takes_s
        For how long nothing more is due after it, at the pace.
    ahead_s
        How far the pace may be run ahead of, after a rest.
    """

    of: str
    takes_s: float
    ahead_s: float


#: Gives turns to all processes: after how many seconds one comes.
Turns = Callable[[Turn], Awaitable[float]]


class Pace(Protocol):
    """So many in a time."""

    @property
    def max_rate(self) -> float:
        """The most that can be had at once."""

    async def acquire(self, amount: float = 1) -> None:
        """Waits for a turn for so many."""


class Shared:
    """A pace that several processes keep together.

    Parameters
    ----------
    turns
        Where they take turns.
    of
        What keeps the pace, among all that do.
    max_rate, time_period
        So many in so many seconds, and so many at once after a rest.
    """

    def __init__(self, turns: Turns, of: str, max_rate: float, time_period: float) -> None:
        self._turns, self._of, self._time_period = turns, of, time_period
        self.max_rate = max_rate

    async def acquire(self, amount: float = 1) -> None:
        """See `Pace`."""
        takes_s = amount * self._time_period / self.max_rate
        await asyncio.sleep(await self._turns(Turn(self._of, takes_s, self._time_period)))


class Paces:
    """The paces of one server and key.

    Parameters
    ----------
    of
        A hash of server and key.
    turns
        Where several processes take turns; None where this one keeps its own pace.
    """

    def __init__(self, of: str = "", turns: Turns | None = None) -> None:
        self._of, self._turns = of, turns

    def requests(self, rpm: float | None) -> Pace | None:
        """Requests spread over the minute, rather than a minute's worth at its start."""
        if rpm is None:
            return None
        return self._pace("requests", 1, 60.0 / rpm) if rpm < 60 else self._pace("requests", rpm / 60.0, 1.0)

    def tokens(self, tpm: float | None) -> Pace | None:
        """Tokens, of which a minute's worth may be had at once."""
        return None if tpm is None else self._pace("tokens", tpm, 60.0)

    def _pace(self, what: str, max_rate: float, time_period: float) -> Pace:
        if self._turns is None:
            return AsyncLimiter(max_rate, time_period)
        return Shared(self._turns, f"{self._of}:{what}", max_rate, time_period)
