"""Batches: many calls that are handed to a provider together, and cost half.

An adapter turns calls into a batch, and what comes back into the replies that live calls would have brought. Like a
`Provider` it never retries and never counts.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from judge.providers import LONGEST_CAUSE, Unreadable, wire

#: What every provider of batches takes off.
SHARE = 0.5
#: So much earlier than our clock says may something have been made by the provider's.
SKEW_S = 900.0

_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


@dataclass(frozen=True, slots=True)
class Line:
    """One call of a batch: the name that its result will have, and the body that a live call would have."""

    custom_id: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Status:
    """How far a batch is.

    `answered` counts the calls that the provider says it answered, once the batch has ended. `refusal` says why it
    took none of them.
    """

    ended: bool
    answered: int | None = None
    refusal: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one call: the reply as a live call would have brought it, or a cause."""

    custom_id: str
    raw: bytes | None
    cause: str | None = None

    def __post_init__(self) -> None:
        """Made to fit, as that of a `CallError`."""
        if self.cause is not None:
            object.__setattr__(self, "cause", self.cause[:LONGEST_CAUSE])


#: Which of some ids belong to batches that are known.
Known = Callable[[Collection[str]], Awaitable[Collection[str]]]


class Batches(Protocol):
    """What a provider does with batches. Everything raises as `Provider.send` does, and Unreadable."""

    #: Of one batch, and the bytes of all its lines.
    most_requests: int
    most_bytes: int

    async def create(self, mark: str, lines: Sequence[Line]) -> str:
        """Hands a batch over, with a mark where the provider keeps a note. Returns its id there."""

    async def find(
        self,
        mark: str,
        custom_ids: Collection[str],
        since: float,
        known: Known,
    ) -> str | None:
        """The id of a batch whose own was never told: made since a time, with this mark or these calls.

        `known` says which ids belong to other batches.

        Raises Undecided while one of them may be it.
        """

    async def status(self, id: str) -> Status:
        """How far it is."""

    async def cancel(self, id: str) -> None:
        """Takes back what is not answered. The batch ends some time after."""

    async def results(self, id: str) -> Sequence[Result]:
        """What became of its calls, in any order; of a batch that has ended."""

    async def forget(self, id: str) -> None:
        """Deletes what the provider would keep of a batch that has ended, its prompts and answers, for good."""


@runtime_checkable
class Batched(Protocol):
    """A provider that takes batches."""

    def batches(self) -> Batches:
        """Them."""


class Undecided(Exception):
    """A batch that is not done may be the one that is looked for: only its results will tell."""


def decoded(raw: bytes, *texts: str) -> dict[str, Any]:
    """A JSON object, with these fields as texts. Raises Unreadable."""
    found = wire.decode(raw)
    if not isinstance(found, dict) or not all(isinstance(found.get(name), str) for name in texts):
        raise Unreadable("not_a_batch", "the reply is JSON, but says nothing of a batch")
    return found


def id_of(found: dict[str, Any], field: str = "id") -> str:
    """An id, fit to be part of an address. Raises Unreadable."""
    id = found.get(field)
    if not isinstance(id, str) or not _ID.fullmatch(id):
        raise Unreadable("not_a_batch", f"the reply has no {field} that could be asked for")
    return id


def results_of(raw: bytes, result: Callable[[bytes], Result]) -> list[Result]:
    """The lines of a JSONL file, each read. One that cannot be read is as good as missing."""
    found = []
    for line in raw.split(b"\n"):
        with suppress(Unreadable):
            if line.strip():
                found.append(result(line))
    return found
