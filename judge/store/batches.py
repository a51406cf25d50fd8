"""The statements of batches: calls of a run that were handed to the provider together."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from judge.errors import RunBusy
from judge.ledger import CallState, now
from judge.store.tables import batch, call


class BatchState(StrEnum):
    """How far a batch is."""

    CLAIMING = "claiming"  #: rows are made in the ledger: the provider has heard nothing
    CREATING = "creating"  #: the provider may have it
    SENT = "sent"  #: the provider has it, and its id is known
    ENDED = "ended"  #: each of its calls is settled


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch. Times in seconds since 1970."""

    id: str
    run: str
    state: BatchState
    provider_id: str | None
    requests: int
    created_at: float


@dataclass(frozen=True, slots=True)
class Outstanding:
    """A call of a batch that is not settled. `reserved_usd` is held for it."""

    key: str
    attempt: int
    reserved_usd: float | None


@dataclass(frozen=True, slots=True)
class HandedOver:
    """How many calls of a run the provider has in batches, and since when: in seconds since 1970."""

    calls: int
    since: float


def add(connection: Connection, tenant: str, id: str, run_id: str) -> None:
    """A batch of a run, without calls."""
    row = {"tenant": tenant, "id": id, "run": run_id, "state": BatchState.CLAIMING, "requests": 0, "created_at": now()}
    connection.execute(insert(batch), row)


def creating(connection: Connection, tenant: str, id: str, requests: int) -> None:
    """From now on the provider may have it. Raises RunBusy where another process has given its calls back meanwhile."""
    here = (batch.c.tenant == tenant, batch.c.id == id, batch.c.state == BatchState.CLAIMING)
    values = {"state": BatchState.CREATING, "requests": requests, "created_at": now()}
    if not connection.execute(update(batch).where(*here).values(values)).rowcount:
        raise RunBusy("another process has taken the run over; wait for that one, or stop it")


def sent(connection: Connection, tenant: str, id: str, provider_id: str) -> bool:
    """The provider has it, and calls it so. False where another process has given its calls back meanwhile."""
    here = (batch.c.tenant == tenant, batch.c.id == id)
    values = {"state": BatchState.SENT, "provider_id": provider_id}
    if connection.execute(update(batch).where(*here, batch.c.state == BatchState.CREATING).values(values)).rowcount:
        return True
    # That process may have found it, too.
    return bool(connection.execute(select(batch.c.provider_id).where(*here)).scalar() == provider_id)


def ended(connection: Connection, tenant: str, id: str) -> None:
    """Each of its calls is settled."""
    _change(connection, tenant, id, state=BatchState.ENDED, ended_at=now())


def drop(connection: Connection, tenant: str, id: str) -> None:
    """Forgets a batch that no call was claimed for."""
    connection.execute(delete(batch).where(batch.c.tenant == tenant, batch.c.id == id))


def _change(connection: Connection, tenant: str, id: str, **values: Any) -> None:
    connection.execute(update(batch).where(batch.c.tenant == tenant, batch.c.id == id).values(values))


def of_run(connection: Connection, tenant: str, run_id: str) -> list[Batch]:
    """The batches of a run that have not ended, the first one first."""
    here = (batch.c.tenant == tenant, batch.c.run == run_id, batch.c.state != BatchState.ENDED)
    rows = connection.execute(select(batch).where(*here).order_by(batch.c.created_at, batch.c.id))
    return [Batch(r.id, r.run, BatchState(r.state), r.provider_id, r.requests, r.created_at) for r in rows]


def check_none(connection: Connection, tenant: str, run_id: str) -> None:
    """Raises RunBusy while the provider may have a batch of a run."""
    if of_run(connection, tenant, run_id):
        raise RunBusy(f"the provider has a batch of run {run_id}; grade the run to its end, then delete it")


def has_any(connection: Connection, tenant: str, run_id: str) -> bool:
    """Whether calls of a run were ever sent in a batch."""
    here = (batch.c.tenant == tenant, batch.c.run == run_id)
    return connection.execute(select(batch.c.id).where(*here).limit(1)).first() is not None


def outstanding(connection: Connection, tenant: str, run_id: str, id: str) -> list[Outstanding]:
    """The calls of a batch that are not settled."""
    here = (call.c.tenant == tenant, call.c.run == run_id, call.c.state == CallState.SENT, call.c.batch == id)
    rows = connection.execute(select(call.c.key, call.c.attempt, call.c.reserved_usd).where(*here))
    return [Outstanding(row.key, row.attempt, row.reserved_usd) for row in rows]


def handed_over(connection: Connection, tenant: str, ids: Sequence[str]) -> dict[str, HandedOver]:
    """What the provider has of runs, by their ids; those that it has nothing of are not among them."""
    calls, since = func.sum(batch.c.requests).label("calls"), func.min(batch.c.created_at).label("since")
    here = (batch.c.tenant == tenant, batch.c.run.in_(ids), batch.c.state == BatchState.SENT)
    rows = connection.execute(select(batch.c.run, calls, since).where(*here).group_by(batch.c.run))
    return {row.run: HandedOver(int(row.calls), row.since) for row in rows}


def known(connection: Connection, tenant: str, provider_ids: Collection[str]) -> set[str]:
    """Those of a provider's batches that are already known, to whatever tenant of this database."""
    rows = connection.execute(select(batch.c.provider_id).where(batch.c.provider_id.in_(provider_ids)))
    return set(rows.scalars())
