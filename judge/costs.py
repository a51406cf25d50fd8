"""What calls come to: a receipt for each item, a budget for a run."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from judge.budgets import Shortage
from judge.errors import BudgetUsedUp


@dataclass(slots=True)
class Receipt:
    """What the calls for one item came to. `cost_usd` is None where a price is unknown."""

    calls: int = 0
    reused: int = 0
    lost: int = 0
    possible_duplicates: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = 0.0
    latency_s: float = 0.0
    model: str | None = None
    keys: list[str] = field(default_factory=list)
    writes: list[asyncio.Task[None]] = field(default_factory=list)

    def pay(self, cost_usd: float | None) -> None:
        """Adds what one call cost."""
        self.cost_usd = None if self.cost_usd is None or cost_usd is None else self.cost_usd + cost_usd


@dataclass(slots=True)
class Budget:
    """Dollars that a run may spend: reserved before a call, settled after."""

    limit_usd: float | None = None
    spent_usd: float = 0.0
    reserved_usd: float = 0.0
    reservations: int = 0
    _settled: asyncio.Event = field(default_factory=asyncio.Event)

    def fits(self, worst_usd: float | None) -> bool:
        """Whether a call that may cost so much can still be made."""
        return self.limit_usd is None or self.spent_usd + self.reserved_usd + (worst_usd or 0.0) <= self.limit_usd

    async def reserve(self, worst_usd: float | None) -> None:
        """Holds what a call may cost, and waits for others to settle where it does not fit beside them.

        Raises BudgetUsedUp where it does not fit with nothing else reserved.
        """
        while not self.fits(worst_usd):
            if not self.reservations:
                raise self.used_up(worst_usd)
            self._settled.clear()
            await self._settled.wait()
        self.reserved_usd += worst_usd or 0.0
        self.reservations += 1

    def used_up(self, worst_usd: float | None) -> BudgetUsedUp:
        """What to raise where a call that may cost so much does not fit."""
        return of_run(self.limit_usd or 0.0, self.spent_usd, worst_usd or 0.0).error()

    def settle(self, worst_usd: float | None, cost_usd: float | None) -> None:
        """What was reserved becomes what was spent."""
        self.reservations -= 1
        self.reserved_usd = self.reserved_usd - (worst_usd or 0.0) if self.reservations else 0.0
        self.spent_usd += cost_usd or 0.0
        self._settled.set()


def of_run(limit_usd: float, spent_usd: float, worst_usd: float) -> Shortage:
    """The budget of a run, where it has no room for a call."""
    mended = "raise --budget-usd (over HTTP: resume with budget_usd) and start the same again"
    return Shortage("the run's budget", limit_usd, spent_usd, worst_usd, mended)
