"""Answers that a provider is told to keep, so that it can be asked for one whose way back was cut."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, runtime_checkable

from judge.providers import wire

#: Where the metadata of an answer has the key of its call, and the attempt.
KEY, ATTEMPT = "judge_call", "judge_attempt"

#: Writes down what the provider calls an answer that is still to come.
Noted = Callable[[str], Awaitable[None]]


@runtime_checkable
class Keeping(Protocol):
    """A provider that keeps answers. Both methods raise as `Provider.send` does, and Unreadable."""

    async def send_to_keep(self, body: bytes, key: str, attempt: int, noted: Noted) -> bytes:
        """The raw reply to a call, which the provider is told to keep; the body's own bytes stay its key."""

    async def recall(self, key: str, attempt: int, reply_id: str | None) -> bytes | None:
        """The raw reply to a call that was sent so; None where the provider shows none.

        Raises Rejected where it cannot be asked, and AnswerLost where the answer is still to come.
        """


def order(key: str, attempt: int) -> bytes:
    """The fields of a body that tell a provider to keep the answer, and what to call it."""
    return b'"store":true,"metadata":%s' % wire.encode({KEY: key, ATTEMPT: str(attempt)})
