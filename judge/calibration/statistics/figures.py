"""A figure that was measured, with all that it must not be read without."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict


class Undefined(ValueError):
    """These data do not define the figure; the message says why, in words for people."""


class Figure(BaseModel):
    """One number, its interval, and what it rests on.

    Attributes
    ----------
    value
        None where the data do not define it; then `why` says so.
    low, high
        Ends of its interval, None where there is none.
    n
        Items, pairs or annotators that it rests on, whatever `of` names.
    of
        What is counted in `n`.
    left_out
        How many of them do not define it and are not in it, such as documents of which every score is the same.
    why
        Why there is no value, or no interval.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float | None
    n: int
    of: str = "items"
    left_out: int = 0
    low: float | None = None
    high: float | None = None
    why: str | None = None

    @classmethod
    def undefined(cls, why: str, n: int, of: str = "items") -> Self:
        """A figure that has no value, and why."""
        return cls(value=None, n=n, of=of, why=why)
