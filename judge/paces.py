"""How fast a server may be asked: by this process, or by all that share a database."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol

from aiolimiter import AsyncLimiter

from judge.errors import StoreError

#: A turn is taken only where those before it end within this: what a process had taken when it was killed, nobody gets.
#: It grows from the first to the second with the time that a caller has waited, half the way in `HALF_S`: so who has
#: waited longer comes first, whatever process it belongs to, and however much it asks for.
SOON_S, LATEST_S, HALF_S = 0.25, 1.0, 10.0
#: Who may not take one yet comes back so long after the moment when it may: several of many that come find one then.
SLACK_S = 0.2
#: So many callers of one process ask for a turn at a time, and the others stand in line: they need not all come back.
ASK_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Turn:
    """The wish for a turn.

    Attributes
    ----------
    of
        What keeps a pace: a hash of server and key, and what is counted.
    takes_s
        For how long nothing more is due after it, at the pace. Below zero, a turn is given back that took so much.
    ahead_s
        How far the pace may be run ahead of, after a rest.
    latest_s
        A turn that comes in more seconds than this is not taken.
    """

    of: str
    takes_s: float
    ahead_s: float
    latest_s: float = math.inf


#: Gives turns to all processes: after how many seconds one comes. The same is told where it is not taken.
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
        self._asking = asyncio.Semaphore(ASK_AT_ONCE)
        self._returning: set[asyncio.Task[None]] = set()

    async def acquire(self, amount: float = 1) -> None:
        """See `Pace`. A turn that is no longer waited for is given back."""
        takes_s = amount * self._time_period / self.max_rate
        clock = asyncio.get_running_loop().time
        began = clock()
        async with self._asking:
            wish = Turn(self._of, takes_s, self._time_period, takes_s + _within(clock() - began))
            while (wait_s := await self._turn(wish)) > wish.latest_s:
                await asyncio.sleep(wait_s - wish.latest_s + SLACK_S)
                wish = replace(wish, latest_s=takes_s + _within(clock() - began))
        try:
            await asyncio.sleep(wait_s)
        except asyncio.CancelledError:
            self._begin_to_return(wish)
            raise

    async def _turn(self, wish: Turn) -> float:
        asked = asyncio.ensure_future(self._turns(wish))
        try:
            return await asyncio.shield(asked)
        except asyncio.CancelledError:
            self._begin_to_return(wish, asked)
            raise

    def _begin_to_return(self, wish: Turn, asked: asyncio.Future[float] | None = None) -> None:
        """Whoever cancels cannot wait for it."""
        task = asyncio.ensure_future(self._return(wish, asked))
        self._returning.add(task)
        task.add_done_callback(self._returning.discard)

    async def _return(self, wish: Turn, asked: asyncio.Future[float] | None) -> None:
        """Gives a turn back, if it was taken."""
        with suppress(StoreError):  # nobody is left to be told; it is missing for a moment
            if asked is None or await asked <= wish.latest_s:
                await self._turns(replace(wish, takes_s=-wish.takes_s, latest_s=math.inf))


def _within(waited_s: float) -> float:
    """How soon those before a turn must end for a caller that waited so long."""
    return SOON_S + (LATEST_S - SOON_S) * waited_s / (waited_s + HALF_S)


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
