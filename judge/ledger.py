"""What was sent, what it cost and what came back: cache, resume and receipt in one.

A row is on disk before the first byte of a call is sent, and has the raw reply before anyone reads a score from it.
Its key is a hash of the exact bytes, so an equal call is found again whoever makes it.

    (nothing) -> sent -> answered    a reply came; `usable` ones are used again, at no cost
                      -> rejected    the provider refused, or could not be reached: nothing is owed
                      -> lost        sent, and no reply came: held, with its worst cost, until resent on request
    lost -> answered    the provider was asked for it again, and had kept it (judge/looking_up.py)
         -> rejected    the provider was asked, and never had it

A call that was sent in a batch (judge/batching.py) stays `sent` when its process ends: its answer can still come.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import time
import zlib
from collections.abc import Coroutine
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from judge.budgets import Shortage
from judge.errors import StoreError
from judge.owner import this_process

#: Replies are a few kilobytes of JSON: the fastest level takes most of what there is to take.
COMPRESSION = 1
#: A process settles a call within the call's own time and this; one that has not was killed, or is frozen.
SETTLING_S = 30.0


class CallState(StrEnum):
    """The state of one attempt; see the module."""

    SENT = "sent"
    ANSWERED = "answered"
    REJECTED = "rejected"
    LOST = "lost"


class Claimed(StrEnum):
    """What a claim found."""

    NEW = "new"  #: the row is ours: send
    REUSED = "reused"  #: answered before
    HELD = "held"  #: an earlier answer is lost
    ELSEWHERE = "elsewhere"  #: a live process has it in flight: wait
    HANDED_OVER = "handed_over"  #: a batch has it: wait long
    OVER_BUDGET = "over_budget"  #: it may cost more than a budget has left
    RESERVED = "reserved"  #: so it may now, and calls in flight may give something back: wait


def call_key(tenant: str, endpoint: str, body: bytes, sample: int, round_: int) -> str:
    """SHA-256, in hexadecimal, of all that makes one call the same call as another."""
    digest = hashlib.sha256()
    for part in (tenant.encode(), endpoint.encode(), b"POST", body, b"%d" % sample, b"%d" % round_):
        digest.update(b"%d:" % len(part))
        digest.update(part)
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Claim:
    """The wish to send one call. `paid_by` is the id of the key of the service whose budgets it counts for."""

    key: str
    endpoint: str
    owner: str
    run: str | None
    reserved_usd: float | None
    resend_before: float | None = None  #: what was sent before this moment and lost is sent again
    silent_before: float = 0.0  #: nobody awaits an answer any more that was asked for before this moment
    budget_usd: float | None = None
    paid_by: str | None = None
    batch: str | None = None  #: that it is to be sent in: only where it was never sent before
    kept: bool = False  #: the provider is told to keep the answer
    looks: bool = False  #: nothing is claimed: it is asked what a claim would find


@dataclass(frozen=True, slots=True)
class Held:
    """What a claim brought: the attempt it is about, the raw reply where there is one, the budget without room.

    `kept` says of an attempt whose answer is lost that the provider was told to keep it, `sent_at` when it was sent,
    and `provider_id` what the provider calls it, where that is known.
    """

    claimed: Claimed
    attempt: int
    raw: bytes | None = None
    possible_duplicate: bool = False
    shortage: Shortage | None = None
    kept: bool = False
    sent_at: float = field(default=0.0, compare=False)
    provider_id: str | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """An answer that a batch brought, and what it cost."""

    attempt: int
    raw: bytes
    cost_usd: float | None


@dataclass(frozen=True, slots=True)
class Settlement:
    """How one attempt ended. `reserved_usd` is what was held for it until now."""

    key: str
    attempt: int
    state: CallState
    done_at: float
    usable: bool = False
    cause: str | None = None
    raw: bytes | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    reserved_usd: float | None = None
    cost_usd: float | None = None
    model: str | None = None
    provider_id: str | None = None
    unread: bool = False


class Rows(Protocol):
    """Where a ledger's rows are kept: the store."""

    tenant: str

    async def claim(self, claim: Claim) -> Held:
        """Makes the row of a new attempt, if that is wanted, or says why there is none. On disk when this returns."""

    async def settle(self, settlement: Settlement, budgeted: str | None) -> None:
        """Writes how an attempt ended, and gives back to a run with a budget what it did not cost. On disk then."""

    async def find(self, key: str) -> Held | None:
        """The usable answer under a key."""

    async def note(self, key: str, attempt: int, provider_id: str) -> None:
        """Writes down what the provider calls an answer that is still to come. On disk when this returns."""

    async def witness(self, endpoint: str, before: float) -> tuple[str, int, str | None] | None:
        """Key, attempt and provider's id of the last call whose answer came before a time, and was to be kept there."""

    async def take(self, run: str, key: str) -> Delivery | None:
        """The answer that a batch of a run brought, for whoever asks first; None where there is none left."""


class Ledger:
    """The ledger of one run, or of single grades where there is no run.

    A run's `budget_usd`, and those of the key that pays, are reserved in the transaction that makes the row of a call,
    whoever else spends on them.
    With `resend_lost` what was sent before `sent_before`, by default before now, and lost is sent again.
    One that `gives_way` does not wait long for another process's equal call: others of the run can be made meanwhile.
    `batched` says that batches of the run may have brought answers.
    `broken` is the first error of a write that was begun: what cannot be written down must not be asked for.
    """

    def __init__(
        self,
        rows: Rows,
        run: str | None = None,
        round_: int = 0,
        resend_lost: bool = False,
        budget_usd: float | None = None,
        paid_by: str | None = None,
        sent_before: float | None = None,
        gives_way: bool = False,
    ) -> None:
        self._rows, self._run, self._round, self.resend_lost = rows, run, round_, resend_lost
        self.gives_way = gives_way
        self._resend_before = (now() if sent_before is None else sent_before) if resend_lost else None
        self._budget_usd, self._paid_by = budget_usd, paid_by
        self._owner = this_process()
        self._in_flight: dict[str, asyncio.Event] = {}
        self._writing: set[asyncio.Task[None]] = set()
        self.batched = False
        self.broken: StoreError | None = None

    def key(self, endpoint: str, body: bytes, sample: int) -> str:
        """The key of a call in this ledger's round."""
        return call_key(self._rows.tenant, endpoint, body, sample, self._round)

    async def claim(
        self,
        key: str,
        endpoint: str,
        reserved_usd: float | None,
        timeout_s: float = math.inf,
        batch: str | None = None,
        kept: bool = False,
        hold: bool = False,
        looks: bool = False,
    ) -> Held:
        """The right to send, on disk when this returns; or what is there already.

        An equal call that has not been settled for `timeout_s`, the most that one takes, is lost: another process has
        it, or this one never heard that its claim came through. Not one that this ledger has in flight.
        With `hold` a lost answer is held even where it may be sent again: until it was looked up. Who only `looks` is
        told what a claim would find, and claims nothing.
        """
        # Its own it hears of in any case, however long this process was frozen.
        silent_before = -math.inf if key in self._in_flight else now() - timeout_s - SETTLING_S
        wish = Claim(
            key,
            endpoint,
            self._owner,
            self._run,
            reserved_usd,
            None if hold else self._resend_before,
            silent_before,
            self._budget_usd,
            self._paid_by,
            batch,
            kept,
            looks,
        )
        held = await self._rows.claim(wish)
        if held.claimed is Claimed.NEW and not looks:
            self._in_flight[key] = asyncio.Event()
        return held

    @property
    def of_run(self) -> bool:
        """Whether it is a run's, which can go on later."""
        return self._run is not None

    def in_flight(self, key: str) -> asyncio.Event | None:
        """Set when a call that this ledger claimed is settled; None where it claimed none."""
        return self._in_flight.get(key)

    async def find(self, key: str) -> Held | None:
        """A usable answer that is there already."""
        return await self._rows.find(key)

    async def note(self, key: str, attempt: int, provider_id: str) -> None:
        """Writes down what the provider calls an answer that is still to come."""
        await self._rows.note(key, attempt, provider_id)

    async def witness(self, endpoint: str, before: float) -> tuple[str, int, str | None] | None:
        """A call whose answer came before a time, and was to be kept there: key, attempt and the provider's id."""
        return await self._rows.witness(endpoint, before)

    async def take(self, key: str) -> Delivery | None:
        """The answer that a batch of this run brought, once: it is the caller's to pay for."""
        return await self._rows.take(self._run, key) if self.batched and self._run is not None else None

    async def settle(self, settlement: Settlement) -> None:
        """Writes how an attempt ended."""
        try:
            await self._rows.settle(settlement, None if self._budget_usd is None else self._run)
        finally:
            settled = self._in_flight.pop(settlement.key, None)
            if settled is not None:
                settled.set()

    def begin(self, write: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Begins a write, so that grading goes on meanwhile; await the task, or `flush`, before it is relied on."""
        task = asyncio.ensure_future(write)
        self._writing.add(task)
        task.add_done_callback(self._written)
        return task

    def _written(self, task: asyncio.Task[None]) -> None:
        self._writing.discard(task)
        if not task.cancelled() and isinstance(error := task.exception(), StoreError):
            self.broken = self.broken or error

    async def flush(self) -> None:
        """Waits until all that was begun is on disk. Raises StoreError."""
        await asyncio.gather(*self._writing)


def packed(raw: bytes) -> bytes:
    """A raw reply as it is stored."""
    return zlib.compress(raw, COMPRESSION)


def unpacked(stored: bytes) -> bytes:
    """A stored reply as it arrived."""
    return zlib.decompress(stored)


def now() -> float:
    """Seconds since 1970, for rows."""
    return time.time()
