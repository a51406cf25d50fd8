"""What was sent, what it cost and what came back: cache, resume and receipt in one.

A row is on disk before the first byte of a call is sent, and has the raw reply before anyone reads a score from it.
Its key is a hash of the exact bytes, so an equal call is found again whoever makes it.

    (nothing) -> sent -> answered    a reply came; `usable` ones are used again, at no cost
                      -> rejected    the provider refused, or could not be reached: nothing is owed
                      -> lost        sent, and no reply came: held, with its worst cost, until resent on request
"""

from __future__ import annotations

import hashlib
import time
import zlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from judge.owner import this_process

#: Replies are a few kilobytes of JSON: the fastest level takes most of what there is to take.
COMPRESSION = 1


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


def call_key(tenant: str, endpoint: str, body: bytes, sample: int, round_: int) -> str:
    """SHA-256, in hexadecimal, of all that makes one call the same call as another."""
    digest = hashlib.sha256()
    for part in (tenant.encode(), endpoint.encode(), b"POST", body, b"%d" % sample, b"%d" % round_):
        digest.update(b"%d:" % len(part))
        digest.update(part)
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Claim:
    """The wish to send one call."""

    key: str
    endpoint: str
    owner: str
    run: str | None
    reserved_usd: float | None
    resend_lost: bool


@dataclass(frozen=True, slots=True)
class Held:
    """What a claim brought: the attempt it is about, and the raw reply where there is one."""

    claimed: Claimed
    attempt: int
    raw: bytes | None = None
    possible_duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Settlement:
    """How one attempt ended."""

    key: str
    attempt: int
    state: CallState
    done_at: float
    usable: bool = False
    cause: str | None = None
    raw: bytes | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost_usd: float | None = None
    model: str | None = None
    provider_id: str | None = None


class Rows(Protocol):
    """Where a ledger's rows are kept: the store."""

    tenant: str

    async def claim(self, claim: Claim) -> Held:
        """Makes the row of a new attempt, or says why there is none. On disk when this returns."""

    async def settle(self, settlement: Settlement) -> None:
        """Writes how an attempt ended. On disk when this returns."""

    async def find(self, key: str) -> Held | None:
        """The usable answer under a key."""


class Ledger:
    """The ledger of one run, or of single grades where there is no run."""

    def __init__(self, rows: Rows, run: str | None = None, round_: int = 0, resend_lost: bool = False) -> None:
        self._rows, self._run, self._round, self._resend_lost = rows, run, round_, resend_lost
        self._owner = this_process()

    def key(self, endpoint: str, body: bytes, sample: int) -> str:
        """The key of a call in this ledger's round."""
        return call_key(self._rows.tenant, endpoint, body, sample, self._round)

    async def claim(self, key: str, endpoint: str, reserved_usd: float | None) -> Held:
        """The right to send, on disk when this returns; or what is there already."""
        return await self._rows.claim(Claim(key, endpoint, self._owner, self._run, reserved_usd, self._resend_lost))

    async def find(self, key: str) -> Held | None:
        """A usable answer that is there already."""
        return await self._rows.find(key)

    async def settle(self, settlement: Settlement) -> None:
        """Writes how an attempt ended."""
        await self._rows.settle(settlement)


def packed(raw: bytes) -> bytes:
    """A raw reply as it is stored."""
    return zlib.compress(raw, COMPRESSION)


def unpacked(stored: bytes) -> bytes:
    """A stored reply as it arrived."""
    return zlib.decompress(stored)


def now() -> float:
    """Seconds since 1970, for rows."""
    return time.time()
