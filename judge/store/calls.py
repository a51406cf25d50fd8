"""The ledger's statements. Each takes a batch, inside the writer's transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from judge.ledger import CallState, Claim, Claimed, Held, Settlement, now, packed, unpacked
from judge.owner import is_dead
from judge.store.tables import call, run

_EARLIER = (
    select(call.c.key, call.c.attempt, call.c.state, call.c.usable, call.c.owner, call.c.raw)
    .where(call.c.tenant == bindparam("tenant"), call.c.key.in_(bindparam("keys", expanding=True)))
    .order_by(call.c.key, call.c.attempt)
)
_SETTLE = (
    update(call)
    .where(call.c.tenant == bindparam("b_tenant"), call.c.key == bindparam("b_key"))
    .where(call.c.attempt == bindparam("b_attempt"))
)
_LOSE = (
    update(call)
    .where(call.c.tenant == bindparam("b_tenant"), call.c.key == bindparam("b_key"))
    .where(call.c.attempt == bindparam("b_attempt"), call.c.state == CallState.SENT)
    .values(
        state=CallState.LOST, cost_usd=call.c.reserved_usd, cause=bindparam("b_cause"), done_at=bindparam("b_done_at")
    )
)
_HERE = (run.c.tenant == bindparam("b_tenant"), run.c.id == bindparam("b_run"))
_COMMIT = update(run).where(*_HERE).values(committed_usd=bindparam("b_usd"))
_GIVE_BACK = update(run).where(*_HERE).values(committed_usd=run.c.committed_usd - bindparam("b_usd"))


def claim_for(tenant: str) -> Callable[[Connection, Sequence[Claim]], list[Held]]:
    """The batch operation that claims calls of a tenant."""

    def claim(connection: Connection, claims: Sequence[Claim]) -> list[Held]:
        earlier: dict[str, list[Any]] = {}
        for row in connection.execute(_EARLIER, {"tenant": tenant, "keys": [c.key for c in claims]}):
            earlier.setdefault(row.key, []).append(row)
        committed = _committed(connection, tenant, claims)
        held: list[Held] = []
        new: list[dict[str, Any]] = []
        orphans: list[dict[str, Any]] = []
        taken: set[str] = set()
        for wish in claims:
            found = _decide(wish, earlier.get(wish.key, []), orphans, tenant)
            if found.claimed is Claimed.NEW and wish.key in taken:
                found = Held(Claimed.ELSEWHERE, found.attempt)  # its twin in this very batch sends it
            elif found.claimed is Claimed.NEW and not _reserve(wish, committed):
                found = Held(Claimed.OVER_BUDGET, found.attempt)
            elif found.claimed is Claimed.NEW:
                taken.add(wish.key)
                new.append(_row(tenant, wish, found))
            held.append(found)
        if orphans:
            connection.execute(_LOSE, orphans)
        if new:
            connection.execute(insert(call), new)
        if committed:
            places = [{"b_tenant": tenant, "b_run": id_, "b_usd": usd} for id_, usd in committed.items()]
            connection.execute(_COMMIT, places)
        return held

    return claim


def settle_for(tenant: str) -> Callable[[Connection, Sequence[tuple[Settlement, str | None]]], None]:
    """The batch operation that settles calls of a tenant: settlements, each with the run whose budget it belongs to."""

    def settle(connection: Connection, settlements: Sequence[tuple[Settlement, str | None]]) -> None:
        kept_back = _kept_back(connection, tenant, settlements)
        connection.execute(_SETTLE, [_settled(tenant, one) for one, _ in settlements])
        if kept_back:
            places = [{"b_tenant": tenant, "b_run": id_, "b_usd": usd} for id_, usd in kept_back.items()]
            connection.execute(_GIVE_BACK, places)

    return settle


def _kept_back(
    connection: Connection, tenant: str, settlements: Sequence[tuple[Settlement, str | None]]
) -> dict[str, float]:
    """Dollars that were reserved and not spent, by run. Of calls still in flight alone: a write may be tried twice."""
    budgeted = [(one, run_id) for one, run_id in settlements if run_id is not None]
    if not budgeted:
        return {}
    wanted = {"tenant": tenant, "keys": [one.key for one, _ in budgeted]}
    sent = {(row.key, row.attempt) for row in connection.execute(_EARLIER, wanted) if row.state == CallState.SENT}
    kept_back: dict[str, float] = {}
    for one, run_id in budgeted:
        if (one.key, one.attempt) in sent:
            kept_back[run_id] = kept_back.get(run_id, 0.0) + (one.reserved_usd or 0.0) - (one.cost_usd or 0.0)
    return kept_back


def _committed(connection: Connection, tenant: str, claims: Sequence[Claim]) -> dict[str, float]:
    """Dollars spent and reserved of the runs with a budget that a batch claims for, locked until it is written."""
    wanted = {one.run for one in claims if one.budget_usd is not None and one.run is not None}
    if not wanted:
        return {}
    rows = select(run.c.id, run.c.committed_usd).where(run.c.tenant == tenant, run.c.id.in_(wanted)).with_for_update()
    return {row.id: row.committed_usd or 0.0 for row in connection.execute(rows)}


def _reserve(wish: Claim, committed: dict[str, float]) -> bool:
    """Takes what a call may cost from its run's budget; False where that is not left."""
    if wish.budget_usd is None or wish.run is None:
        return True
    after = committed[wish.run] + (wish.reserved_usd or 0.0)
    if after > wish.budget_usd:
        return False
    committed[wish.run] = after
    return True


def find(connection: Connection, tenant: str, key: str) -> Held | None:
    """The usable answer to a call, if there is one."""
    for row in connection.execute(_EARLIER, {"tenant": tenant, "keys": [key]}):
        if row.state == CallState.ANSWERED and row.usable:
            return Held(Claimed.REUSED, row.attempt, unpacked(row.raw))
    return None


def _decide(wish: Claim, rows: list[Any], orphans: list[dict[str, Any]], tenant: str) -> Held:
    """What a call may do, by its earlier attempts in order."""
    for row in rows:
        if row.state == CallState.ANSWERED and row.usable:
            return Held(Claimed.REUSED, row.attempt, unpacked(row.raw))
    if not rows:
        return Held(Claimed.NEW, 1)
    last = rows[-1]
    state = last.state
    if state == CallState.SENT:
        # A row of this process is in flight; one of a dead process can never be answered.
        if last.owner == wish.owner or not is_dead(last.owner):
            return Held(Claimed.ELSEWHERE, last.attempt)
        orphans.append(
            {
                "b_tenant": tenant,
                "b_key": last.key,
                "b_attempt": last.attempt,
                "b_cause": "process_ended",
                "b_done_at": now(),
            }
        )
        state = CallState.LOST
    if state == CallState.LOST and not wish.resend_lost:
        return Held(Claimed.HELD, last.attempt)
    return Held(Claimed.NEW, last.attempt + 1, possible_duplicate=state == CallState.LOST)


def _row(tenant: str, wish: Claim, held: Held) -> dict[str, Any]:
    return {
        "tenant": tenant,
        "key": wish.key,
        "attempt": held.attempt,
        "state": CallState.SENT,
        "run": wish.run,
        "owner": wish.owner,
        "endpoint": wish.endpoint,
        "sent_at": now(),
        "usable": False,
        "reserved_usd": wish.reserved_usd,
        "possible_duplicate": held.possible_duplicate,
    }


def _settled(tenant: str, one: Settlement) -> dict[str, Any]:
    return {
        "b_tenant": tenant,
        "b_key": one.key,
        "b_attempt": one.attempt,
        "state": one.state,
        "done_at": one.done_at,
        "usable": one.usable,
        "cause": one.cause,
        "raw": None if one.raw is None else packed(one.raw),
        "prompt_tokens": one.prompt_tokens,
        "completion_tokens": one.completion_tokens,
        "cached_tokens": one.cached_tokens,
        "cost_usd": one.cost_usd,
        "model": one.model,
        "provider_id": one.provider_id,
    }
