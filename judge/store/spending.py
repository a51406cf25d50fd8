"""What calls came to, in tokens and dollars: by run, by judge or by day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, Integer, UnaryExpression, and_, case, cast, desc, func, null, select

from judge.ledger import CallState
from judge.store.tables import call, run
from judge.store.tables import judge as judges

DAY_S = 86_400


class By(StrEnum):
    """What costs are told by."""

    RUN = "run"
    JUDGE = "judge"
    DAY = "day"


@dataclass(frozen=True, slots=True)
class Spent:
    """What calls came to.

    Attributes
    ----------
    of
        The id of the run, the fingerprint of the judge, or the day in days since 1970; None for calls without a run.
    name
        Of the judge, or of the run's dataset; None elsewhere.
    calls, lost
        All of them, and those whose answer is lost: these count at their worst.
    unpriced
        Calls that may have been paid and whose price is unknown: dollars are those of the others.
    """

    of: str | int | None
    name: str | None
    calls: int
    lost: int
    unpriced: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float


def spent(
    connection: Connection,
    tenant: str,
    by: By,
    begins: float | None = None,
    ends: float | None = None,
    limit: int = 100,
) -> list[Spent]:
    """The newest days, or the runs or judges that cost most, over the calls sent from one time until before another.

    Times are in seconds since 1970.
    """
    of, name = _of(by)
    wanted = select(of.label("told_by"), name.label("told_name"), *_figures()).select_from(_joined(by))
    # By their labels: a database may not know that two expressions are one.
    grouped = wanted.where(*_within(tenant, begins, ends)).group_by("told_by", "told_name")
    order: UnaryExpression[Any] = desc("told_by" if by is By.DAY else "cost_usd")
    return [Spent(*row) for row in connection.execute(grouped.order_by(order, "told_by").limit(limit))]


def total(connection: Connection, tenant: str, begins: float | None = None, ends: float | None = None) -> Spent:
    """All that calls came to in that time."""
    row = connection.execute(select(*_figures()).where(*_within(tenant, begins, ends))).one()
    return Spent(None, None, *row)


def _of(by: By) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    if by is By.RUN:
        return call.c.run, run.c.dataset_name
    if by is By.JUDGE:
        return run.c.judge_fingerprint, judges.c.name
    exact = call.c.sent_at / DAY_S
    whole = cast(exact, Integer)  # which is rounded here, and cut off there
    return whole - case((whole > exact, 1), else_=0), null()


def _joined(by: By) -> Any:
    if by is By.DAY:
        return call
    of_run = call.outerjoin(run, and_(run.c.tenant == call.c.tenant, run.c.id == call.c.run))
    if by is By.RUN:
        return of_run
    named = and_(judges.c.tenant == run.c.tenant, judges.c.fingerprint == run.c.judge_fingerprint)
    return of_run.outerjoin(judges, named)


def _figures() -> Sequence[ColumnElement[Any]]:
    paid = call.c.state.in_([CallState.ANSWERED, CallState.LOST])
    return (
        func.count().label("calls"),
        func.count().filter(call.c.state == CallState.LOST).label("lost"),
        func.count().filter(paid, call.c.cost_usd.is_(None)).label("unpriced"),
        func.coalesce(func.sum(call.c.prompt_tokens), 0).label("prompt_tokens"),
        func.coalesce(func.sum(call.c.completion_tokens), 0).label("completion_tokens"),
        func.coalesce(func.sum(call.c.cost_usd).filter(paid), 0.0).label("cost_usd"),
    )


def _within(tenant: str, begins: float | None, ends: float | None) -> list[ColumnElement[bool]]:
    found = [call.c.tenant == tenant]
    if begins is not None:
        found.append(call.c.sent_at >= begins)
    if ends is not None:
        found.append(call.c.sent_at < ends)
    return found
