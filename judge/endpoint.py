"""One server under one key: how many calls may be in flight, how fast, and whether to go on at all."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from judge.errors import Paused, Unaskable
from judge.paces import Paces

#: A refusal for rate takes this share of the limit, once for each response time ...
SHRINK = 0.1
#: ... and this many slots come back with each answer: a lone refusal is made good within one response time.
GROW_PER_ANSWER = 0.15
#: What a response time is taken for before one was seen, and how much a new one counts, in seconds and as a share.
FIRST_RESPONSE_S, RESPONSE_WEIGHT = 1.0, 0.1

#: Retries may make up this share of all calls, and this many in any case.
RETRY_SHARE, RETRIES_ALWAYS = 0.2, 10
#: An open breaker lets calls through again after so long: a service must not need a restart.
BREAKER_COOLS_S = 30.0

#: So many calls in a row that failed for good, none answered between, mean that the server is down.
FAILURES_IN_A_ROW = 10

LATER = "mend it, then start the same command or request again: nothing is lost"


class Endpoint:
    """Slots that shrink when the server refuses for rate, a retry budget, and a breaker.

    Parameters
    ----------
    concurrency
        Most calls in flight.
    rpm, tpm
        Requests and tokens a minute; None for no limit.
    paces
        Who keeps them: this process, or several together.
    """

    def __init__(
        self, concurrency: int, rpm: float | None = None, tpm: float | None = None, paces: Paces | None = None
    ) -> None:
        self.concurrency = concurrency
        self.in_flight = 0
        self.waiting = 0
        self.limit = float(concurrency)
        #: What is told while the breaker is open: in an error of its own each time, as one that is raised keeps hold of
        #: all that its callers had.
        self.broken: str | None = None
        self._queue: deque[asyncio.Future[None]] = deque()
        self._rpm, self._tpm, self._paces = rpm, tpm, paces or Paces()
        self._requests, self._tokens = self._paces.requests(rpm), self._paces.tokens(tpm)
        self._response_s: float | None = None
        self._shrunk_at = 0.0
        self._calls = self._retries = self._failures = 0
        self._broken_at = 0.0
        #: When models were refused, and what is told of each.
        self._refused: dict[str, tuple[float, str]] = {}
        #: Called when a task begins a wait without a slot, so that other work can begin.
        self.eased: set[Callable[[], None]] = set()

    def restrict(self, concurrency: int, rpm: float | None, tpm: float | None) -> None:
        """Another user of the same server and key: the stricter limits hold for both."""
        self.concurrency = min(self.concurrency, concurrency)
        self.limit = min(self.limit, float(concurrency))
        rpm, tpm = _stricter(self._rpm, rpm), _stricter(self._tpm, tpm)
        # A pace that is made anew forgets what it gave: only where it is another one.
        if rpm != self._rpm:
            self._rpm, self._requests = rpm, self._paces.requests(rpm)
        if tpm != self._tpm:
            self._tpm, self._tokens = tpm, self._paces.tokens(tpm)

    @property
    def metered(self) -> bool:
        """Whether a slot uses up something scarce, so that it pays to look for an answer before taking one."""
        return self._requests is not None or self._tokens is not None

    @property
    def response_s(self) -> float:
        """How long an answer usually takes; 0 before there was one."""
        return self._response_s or 0.0

    @asynccontextmanager
    async def slot(self, tokens: int, model: str = "") -> AsyncIterator[None]:
        """Holds one place in flight. Raises Paused when the breaker is open, and Unaskable for a refused model."""
        await self._enter()
        try:
            self._check(model)
            if self._requests is not None:
                await self._requests.acquire()
            if self._tokens is not None:
                await self._tokens.acquire(min(tokens, self._tokens.max_rate))
            if self.broken is not None:
                raise Paused(self.broken)
            self._check(model)
            yield
        finally:
            self.in_flight -= 1
            self._wake()

    async def pause(self, seconds: float) -> None:
        """A wait that belongs to one call. No slot is held."""
        self.waiting += 1
        for tell in self.eased:
            tell()
        try:
            await asyncio.sleep(seconds)
        finally:
            self.waiting -= 1

    def begun(self) -> None:
        """A call is on its way to its first attempt."""
        self._calls += 1

    def answered(self, seconds: float) -> None:
        """A call was answered, after so long."""
        self._failures = 0
        known = seconds if self._response_s is None else self._response_s
        self._response_s = known + RESPONSE_WEIGHT * (seconds - known)
        self.limit = min(self.limit + GROW_PER_ANSWER, float(self.concurrency))

    def refused_for_rate(self) -> None:
        """The server answered 429."""
        now = asyncio.get_running_loop().time()
        if now - self._shrunk_at >= (self._response_s or FIRST_RESPONSE_S):
            self._shrunk_at = now
            self.limit = max(self.limit * (1 - SHRINK), 1.0)

    def may_retry(self) -> bool:
        """Takes one retry from the budget, if there is one."""
        if self._retries >= max(RETRY_SHARE * self._calls, RETRIES_ALWAYS):
            return False
        self._retries += 1
        return True

    def gave_up(self, cause: str, detail: str) -> None:
        """A call failed for good, for a cause that lies with the server."""
        self._failures += 1
        if self._failures >= FAILURES_IN_A_ROW:
            self.open_breaker(f"the judge failed {self._failures} times in a row, last with {cause} ({detail})")

    def open_breaker(self, reason: str) -> str:
        """No further call is sent; whoever waits for a slot is told why. Returns what they are told."""
        if self.broken is None:
            self._broken_at = asyncio.get_running_loop().time()
            self.broken = f"{reason}; {LATER}"
        while self._queue:
            waiter = self._queue.popleft()
            if not waiter.done():
                waiter.set_exception(Paused(self.broken))
        return self.broken

    def refuse(self, model: str, reason: str) -> Unaskable:
        """No further call to a model is sent, while others of this server are asked. Returns what its callers get."""
        now = asyncio.get_running_loop().time()
        self._refused = {one: told for one, told in self._refused.items() if now - told[0] < BREAKER_COOLS_S}
        self._refused[model] = (now, f"{reason}; {LATER}")
        return Unaskable(self._refused[model][1])

    def _check(self, model: str) -> None:
        refused_at, told = self._refused.get(model, (-math.inf, ""))
        if asyncio.get_running_loop().time() - refused_at < BREAKER_COOLS_S:
            raise Unaskable(told)

    async def _enter(self) -> None:
        if self.broken is not None:
            if asyncio.get_running_loop().time() - self._broken_at < BREAKER_COOLS_S:
                raise Paused(self.broken)
            self.broken, self._failures = None, 0
        if self.in_flight < int(self.limit) and not self._queue:
            self.in_flight += 1
            return
        waiter = asyncio.get_running_loop().create_future()
        self._queue.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self.in_flight -= 1  # the slot came at the same moment: pass it on
                self._wake()
            raise

    def _wake(self) -> None:
        while self._queue and self.in_flight < int(self.limit):
            waiter = self._queue.popleft()
            if not waiter.done():
                self.in_flight += 1
                waiter.set_result(None)


def _stricter(one: float | None, other: float | None) -> float | None:
    return min((limit for limit in (one, other) if limit is not None), default=None)
