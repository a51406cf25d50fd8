"""What a key, or a whole tenant, may spend: in total, and in each calendar month of UTC.

Every call belongs to the key that asked for it, or to none. Its worst case is counted in the transaction that makes
its row, and what it did not cost is given back when it is settled; a lost call stays counted at its worst, unless its
answer is found.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from judge.errors import BudgetUsedUp


class Period(StrEnum):
    """What a budget is for."""

    TOTAL = "total"  #: all time
    MONTH = "month"  #: each calendar month of UTC


class BudgetStanding(BaseModel):
    """A budget, and how it stands. `month` is the one that is counted, as 2026-11; null for a budget in total."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    of: Literal["key", "tenant"]
    period: Period
    month: str | None
    limit_usd: float
    spent_usd: float = Field(description="With the worst of what is in flight, and of answers that were lost.")
    left_usd: float = Field(description="Not below 0, though a budget may be set below what was spent.")


@dataclass(frozen=True, slots=True)
class Shortage:
    """A budget without room for a call.

    Attributes
    ----------
    budget
        Its name, for people.
    mended_by
        What makes room, for people.
    scope
        What counts for it, as the store has it; None for a run.
    """

    budget: str
    limit_usd: float
    spent_usd: float
    worst_usd: float
    mended_by: str
    scope: str | None = None

    def error(self) -> BudgetUsedUp:
        """What to raise where nothing is in flight that could give something back."""
        return BudgetUsedUp(
            f"{self.budget} of ${self.limit_usd:.4f} is used up (${self.spent_usd:.4f} spent, the next call may cost "
            f"${self.worst_usd:.4f}); {self.mended_by}: nothing is lost"
        )


def month_of(moment: float) -> str:
    """The month of UTC that a moment, in seconds since 1970, lies in: as 2026-11."""
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m}"


def beginning_of(month: str) -> float:
    """The first moment of a month, in seconds since 1970."""
    return datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC).timestamp()
