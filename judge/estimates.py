"""What grading will come to, as it is told: at most, what of it is there already, and what is to be expected."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Published(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Interval(_Published):
    """A total, and what it lies between with 95% where the items are like those that it rests on."""

    expected: float
    low: float
    high: float

    def times(self, factor: float) -> Interval:
        """So many times as much."""
        return Interval(expected=self.expected * factor, low=self.low * factor, high=self.high * factor)


class Minutes(_Published):
    """From as fast as the judge's limits and its latency allow, to the pace of its newest run, pauses included."""

    low: float
    high: float


class History(_Published):
    """What a forecast rests on."""

    items: int
    runs: int
    same_rubric: bool = Field(description="Whether all were graded by the same rubric.")
    answers: int = Field(description="Calls of these runs that were answered.")
    asked_again: float | None = Field(description="Share of answers that were of no use, and asked for again.")
    cached: float | None = Field(description="Share of the prompts' tokens that the provider had cached.")
    latency_s: float | None
    calls_a_minute: float | None = Field(description="Of the newest run.")


class Forecast(_Published):
    """What calls will come to, with all that is asked again. Dollars are null where a price is unknown.

    Minutes are null where no time is known, and of batches: they take up to a day.
    """

    calls: Interval
    prompt_tokens: Interval
    answer_tokens: Interval
    cost_usd: Interval | None
    minutes: Minutes | None
    rests_on: History


class Estimate(_Published):
    """What grading will come to. `expected` rests on the judge's own history; null where there is too little of it."""

    object: Literal["estimate"] = "estimate"
    mode: Literal["live", "batch"] = Field(
        default="live", description="`batch`: at the price of batches, which are answered within a day."
    )
    items: int
    calls: int = Field(description="To be made, where no answer has to be asked for again.")
    answered: int = Field(default=0, description="Calls that are in the ledger: they are not made, and cost nothing.")
    prompt_tokens: int = Field(default=0, description="By the length of the prompts, nothing asked again.")
    answer_tokens_at_most: int = 0
    worst_usd: float | None = Field(
        default=0.0, description="Every answer as long as allowed; null where the price is unknown."
    )
    expected: Forecast | None = None
    note: str = Field(description="What this rests on, in plain words.")
