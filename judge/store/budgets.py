"""Budgets of keys and tenants. What they have committed, spent or reserved, is counted beside the calls themselves.

A counter is taken from the ledger when it is first needed, and when its month is over, and kept up with from then on.
All who claim lock the counters that they need, in one order, before they add a call.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, delete, func, or_, select, text, update

from judge.budgets import BudgetStanding, Period, Shortage, beginning_of, month_of
from judge.ledger import CallState, Claim, Claimed, Held, Settlement, now
from judge.store.conflicts import ignoring
from judge.store.owners import is_dead
from judge.store.tables import IN_FLIGHT, budget, call

#: The scope of a budget that all calls of a tenant count for.
TENANT = "tenant"
#: For how long a process believes that it knows which budgets there are.
BELIEVED_S = 1.0
#: Until every process knows of a new budget, with as much again for clocks, what it has committed is counted anew.
RECOUNTED_S = 3.0
#: A call that was sent longer ago than this gives nothing back any more.
LONGEST_CALL_S = 3600.0

#: As the index has it, so that SQLite sees that it will do.
_IN_FLIGHT = text(IN_FLIGHT)
_HERE = (
    budget.c.tenant == bindparam("b_tenant"),
    budget.c.scope == bindparam("b_scope"),
    budget.c.period == bindparam("b_period"),
)
_COMMIT = update(budget).where(*_HERE).values(month=bindparam("b_month"), committed_usd=bindparam("b_usd"))
_GIVE_BACK = (
    update(budget)
    # What was claimed in a month that is over was counted there.
    .where(*_HERE, or_(budget.c.month.is_(None), budget.c.month == bindparam("b_month")))
    .values(committed_usd=budget.c.committed_usd - bindparam("b_usd"))
)
_LOCKED = (
    select(budget)
    .where(budget.c.tenant == bindparam("tenant"), budget.c.scope.in_(bindparam("scopes", expanding=True)))
    .order_by(budget.c.scope, budget.c.period)
    .with_for_update()
)
#: Calls that are counted at their worst.
_CLAIMED = (
    select(call.c.key, call.c.attempt, call.c.paid_by, call.c.sent_at, call.c.reserved_usd)
    .where(call.c.tenant == bindparam("tenant"), call.c.key.in_(bindparam("keys", expanding=True)))
    .where(call.c.state.in_((CallState.SENT, CallState.LOST)))
    .order_by(call.c.key, call.c.attempt)
    .with_for_update()
)


def scope_of(key: str | None) -> str:
    """The scope of a key's own budgets; of a tenant's where there is no key."""
    return TENANT if key is None else f"key:{key}"


@dataclass(slots=True)
class _Counter:
    """A budget that is locked. What it has committed is written where all who claim keep up with it."""

    tenant: str
    scope: str
    period: Period
    month: str | None
    limit_usd: float
    committed_usd: float
    kept: bool
    found_usd: float | None  #: in its row


class Purse:
    """The budgets that a batch of claims is paid from, locked until the transaction ends."""

    def __init__(self, counters: Sequence[_Counter]) -> None:
        self._counters = counters

    def short(self, claim: Claim) -> Shortage | None:
        """A budget that a call counts for, and that has no room for it; None where all have."""
        worst = claim.reserved_usd or 0.0
        full = (one for one in self._of(claim) if one.committed_usd + worst > one.limit_usd)
        return next((_shortage(one, worst) for one in full), None)

    def reserve(self, claim: Claim) -> None:
        """Takes what a call may cost from every budget that it counts for."""
        for one in self._of(claim):
            one.committed_usd += claim.reserved_usd or 0.0

    def give_back(self, claim: Claim) -> None:
        """Undoes `reserve`."""
        for one in self._of(claim):
            one.committed_usd -= claim.reserved_usd or 0.0

    def write(self, connection: Connection) -> None:
        """Writes down what is committed now."""
        rows = [
            {"b_tenant": one.tenant, "b_scope": one.scope, "b_period": one.period, "b_month": one.month}
            | {"b_usd": one.committed_usd}
            for one in self._counters
            if one.kept and one.committed_usd != one.found_usd
        ]
        if rows:
            connection.execute(_COMMIT, rows)

    def _of(self, claim: Claim) -> list[_Counter]:
        scopes = {TENANT, scope_of(claim.paid_by)}
        return [one for one in self._counters if one.scope in scopes]


class Purses:
    """The budgets of a tenant, for the thread that writes.

    Which there are is asked once a second at most, so that calls of those who have none cost no statement more.
    """

    def __init__(self, tenant: str) -> None:
        self._tenant = tenant
        self._known: frozenset[tuple[str, Period]] = frozenset()
        self._until = 0.0

    def open(self, connection: Connection, claims: Sequence[Claim]) -> Purse:
        """The budgets that claims count for."""
        known = {scope for scope, _ in self._budgets(connection)}
        scopes = known & {TENANT, *(scope_of(one.paid_by) for one in claims)} if known else set()
        if not scopes:
            return Purse([])
        rows = connection.execute(_LOCKED, {"tenant": self._tenant, "scopes": sorted(scopes)}).all()
        return Purse([_counter(connection, row) for row in rows])

    def kept_back(self, connection: Connection, settled: Iterable[Settlement]) -> list[dict[str, Any]]:
        """What calls that are about to be settled did not cost, for `give_back`.

        Of those in flight, or lost until now, alone: a write may be tried twice.
        """
        known = self._budgets(connection)
        if not known:
            return []
        ended = {(one.key, one.attempt): one for one in settled}
        wanted = {"tenant": self._tenant, "keys": [key for key, _ in ended]}
        sums: dict[tuple[str, Period, str | None], float] = {}
        for row in connection.execute(_CLAIMED, wanted):
            one = ended.get((row.key, row.attempt))
            if one is None:
                continue
            scopes = {TENANT, scope_of(row.paid_by)}
            for scope, period in ((scope, period) for scope, period in known if scope in scopes):
                place = (scope, period, month_of(row.sent_at) if period is Period.MONTH else None)
                sums[place] = sums.get(place, 0.0) + (row.reserved_usd or 0.0) - (one.cost_usd or 0.0)
        return [
            {"b_tenant": self._tenant, "b_scope": scope, "b_period": period, "b_month": month, "b_usd": usd}
            for (scope, period, month), usd in sorted(sums.items())
        ]

    def _budgets(self, connection: Connection) -> frozenset[tuple[str, Period]]:
        if time.monotonic() >= self._until:
            rows = connection.execute(select(budget.c.scope, budget.c.period).where(budget.c.tenant == self._tenant))
            self._known = frozenset((row.scope, Period(row.period)) for row in rows)
            self._until = time.monotonic() + BELIEVED_S
        return self._known


def give_back(connection: Connection, kept_back: Sequence[dict[str, Any]]) -> None:
    """Takes off the counters what calls did not cost."""
    if kept_back:
        connection.execute(_GIVE_BACK, kept_back)


def may_wait(connection: Connection, tenant: str, claims: Sequence[Claim], held: Sequence[Held]) -> list[Held]:
    """What claims brought; those over a budget are to wait where calls in flight may give something back to it."""
    found: dict[tuple[str | None, str | None], bool] = {}
    told = list(held)
    for place, (claim, one) in enumerate(zip(claims, held, strict=True)):
        if one.shortage is not None:
            of = (one.shortage.scope, claim.run if one.shortage.scope is None else None)
            if of not in found:
                found[of] = _may_come_back(connection, tenant, claim, one.shortage)
            told[place] = replace(one, claimed=Claimed.RESERVED) if found[of] else one
    return told


def _may_come_back(connection: Connection, tenant: str, claim: Claim, shortage: Shortage) -> bool:
    """Whether calls are in flight, by a process that may be alive, which reserve from the budget that has no room.

    Those of batches are not waited for: they may take a day.
    """
    here: list[Any] = [call.c.tenant == tenant, _IN_FLIGHT, call.c.batch.is_(None)]
    here.append(call.c.sent_at > now() - LONGEST_CALL_S)
    if shortage.scope is None:
        here.append(call.c.run == claim.run)
    elif shortage.scope != TENANT:
        here.append(call.c.paid_by == claim.paid_by)
    senders = connection.execute(select(call.c.owner).where(*here).distinct()).scalars().all()
    return not all(is_dead(connection, owner) for owner in senders)


def put(connection: Connection, tenant: str, key: str | None, period: Period, limit_usd: float | None) -> None:
    """Sets a budget of a key, or of the tenant where there is none; None for no limit. What was spent stays counted."""
    scope = scope_of(key)
    here = (budget.c.tenant == tenant, budget.c.scope == scope, budget.c.period == period)
    if limit_usd is None:
        connection.execute(delete(budget).where(*here))
        return
    row = {"tenant": tenant, "scope": scope, "period": period, "limit_usd": limit_usd, "at": now()}
    connection.execute(ignoring(connection, budget), row)
    connection.execute(update(budget).where(*here).values(limit_usd=limit_usd))


def standing(connection: Connection, tenant: str, key: str | None) -> list[BudgetStanding]:
    """The budgets that calls of a key count for, its own first; the tenant's alone where there is no key."""
    scopes = {TENANT, scope_of(key)}
    rows = select(budget).where(budget.c.tenant == tenant, budget.c.scope.in_(scopes))
    ordered = rows.order_by(budget.c.scope, budget.c.period.desc())
    return [_standing(_counter(connection, row)) for row in connection.execute(ordered).all()]


def spent_by_keys(connection: Connection, tenant: str) -> dict[str, float]:
    """Dollars of each key so far, of all tenants; what is in flight, or lost, at its worst."""
    rows = select(call.c.paid_by, func.sum(_COST).label("usd")).where(call.c.paid_by.is_not(None))
    return {row.paid_by: float(row.usd) for row in connection.execute(rows.group_by(call.c.paid_by))}


_COST: ColumnElement[float] = func.coalesce(call.c.cost_usd, call.c.reserved_usd, 0.0)


def _counter(connection: Connection, row: Any) -> _Counter:
    period = Period(row.period)
    # The clock of another machine may be ahead; a month never comes back.
    month = max(month_of(now()), row.month or "") if period is Period.MONTH else None
    committed = row.committed_usd
    if committed is None or month != row.month:
        here = [call.c.tenant == row.tenant]
        if row.scope != TENANT:
            here.append(call.c.paid_by == row.scope.removeprefix("key:"))
        if month is not None:
            here.append(call.c.sent_at >= beginning_of(month))
        committed = connection.execute(select(func.coalesce(func.sum(_COST), 0.0)).where(*here)).scalar_one()
    kept = now() - row.at > RECOUNTED_S
    found = row.committed_usd if month == row.month else None
    return _Counter(row.tenant, row.scope, period, month, row.limit_usd, float(committed), kept, found)


def _standing(one: _Counter) -> BudgetStanding:
    return BudgetStanding(
        of="tenant" if one.scope == TENANT else "key",
        period=one.period,
        month=one.month,
        limit_usd=one.limit_usd,
        spent_usd=max(one.committed_usd, 0.0),
        left_usd=max(one.limit_usd - one.committed_usd, 0.0),
    )


def _shortage(one: _Counter, worst_usd: float) -> Shortage:
    key = one.scope.removeprefix("key:")
    whose, named = (f"tenant {one.tenant}", f"--tenant {one.tenant}") if one.scope == TENANT else (f"key {key}", key)
    option = "--budget-usd" if one.period is Period.TOTAL else "--monthly-usd"
    of = "" if one.month is None else f" for {one.month}"
    later = "" if one.month is None else ", or wait for the next month"
    mended = f"raise it with `judge keys budget {named} {option} USD`{later}, then resume"
    return Shortage(f"the budget of the {whose}{of}", one.limit_usd, one.committed_usd, worst_usd, mended, one.scope)
