"""One call on its way through its attempts, until its deadline."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass

from tenacity import RetryCallState

from judge.costs import Receipt
from judge.ledger import CallState, Settlement, now
from judge.providers import CallError, Reading, Rejected
from judge.verdicts import Outcome

ATTEMPTS = 4
#: What a grade may take, all its calls and their attempts included.
GRADE_DEADLINE_S = 600.0
FIRST_BACKOFF_S, LONGEST_BACKOFF_S = 0.5, 30.0
#: A run whose calls others have in flight is looked at again after this long.
LATER_S = 60.0
#: A worker waits no longer than this for another process's answer before it does something else, and asks again after
#: as long: what can be done must not wait for a process that stands still.
GIVES_WAY_S = 5.0


class Again(CallError):
    """This attempt brought nothing, or nothing that can be read, where it was `answered`; another may bring something.

    After `wait_s` seconds where somebody named a wait.
    """

    def __init__(self, cause: str, detail: str, wait_s: float | None = None, answered: bool = False) -> None:
        super().__init__(cause, detail)
        self.wait_s, self.answered = wait_s, answered


@dataclass(slots=True)
class Deadline:
    """When a grade must be done: so many seconds after it first got a slot. Waiting for its turn is not its fault."""

    seconds: float
    at: float = math.inf

    def start(self) -> None:
        """Begins to count, once."""
        if self.at == math.inf:
            self.at = asyncio.get_running_loop().time() + self.seconds

    def passed(self, in_seconds: float = 0.0) -> bool:
        """Whether it is over, or will be then."""
        return asyncio.get_running_loop().time() + in_seconds >= self.at


@dataclass(frozen=True, slots=True)
class Answer:
    """How a call ended: with a reading, or with the outcome and cause that stand in its place."""

    key: str
    attempt: int
    reading: Reading | None = None
    outcome: Outcome = Outcome.JUDGE_ERROR
    cause: str | None = None
    refusal: Rejected | None = None
    passing: bool = False  #: nothing came, and may come later


@dataclass(slots=True)
class Call:
    """One call on its way through its attempts."""

    key: str
    body: bytes
    text_bytes: int
    max_tokens: int
    usable: Callable[[Reading], bool]
    deadline: Deadline
    receipt: Receipt
    worst_usd: float | None
    attempts: int = 0
    attempt: int = 0
    late: bool = False
    sent_at: float | None = None
    loss: str | None = None
    looked_up: bool = False

    def answered(self, raw: bytes, reading: Reading, usable: bool, cost_usd: float | None) -> Settlement:
        """How this attempt ended, where an answer came: it is on the receipt then."""
        self.receipt.pay(cost_usd)
        self.receipt.prompt_tokens += reading.prompt_tokens or 0
        self.receipt.completion_tokens += reading.completion_tokens or 0
        self.receipt.model = reading.model
        return Settlement(
            self.key,
            self.attempt,
            CallState.ANSWERED,
            now(),
            usable=usable,
            raw=raw,
            prompt_tokens=reading.prompt_tokens,
            completion_tokens=reading.completion_tokens,
            cached_tokens=reading.cached_tokens,
            reserved_usd=self.worst_usd,
            cost_usd=cost_usd,
            model=reading.model,
            provider_id=reading.reply_id,
        )


def named(wait_s: float | None) -> float | None:
    """A wait that a server named, as it is kept to.

    It counts no attempt, so that a server which says `at once`, or whose clock is behind, would be asked without end.
    """
    return None if wait_s is None else max(wait_s, FIRST_BACKOFF_S)


def wait(state: RetryCallState) -> float:
    """Seconds before the next attempt: as named, or doubling with the attempts that count."""
    assert state.outcome is not None
    failure, call = state.outcome.exception(), state.args[0]
    assert isinstance(failure, Again)
    if failure.wait_s is not None:
        return failure.wait_s
    return float(min(FIRST_BACKOFF_S * 2 ** (call.attempts - 1), LONGEST_BACKOFF_S))


def stop(state: RetryCallState) -> bool:
    """Whether a call has had all its attempts, or would be late for another one."""
    call: Call = state.args[0]
    spent = call.attempts >= ATTEMPTS
    call.late = not spent and call.deadline.passed(state.upcoming_sleep)
    return spent or call.late
