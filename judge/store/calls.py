"""The ledger's statements. Each takes a batch, inside the writer's transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from judge.ledger import CallState, Claim, Claimed, Held, Settlement, now, packed, unpacked
from judge.owner import is_dead
from judge.store.tables import call

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


def claim_for(tenant: str) -> Callable[[Connection, Sequence[Claim]], list[Held]]:
    """The batch operation that claims calls of a tenant."""

    def claim(connection: Connection, claims: Sequence[Claim]) -> list[Held]:
        earlier: dict[str, list[Any]] = {}
        for row in connection.execute(_EARLIER, {"tenant": tenant, "keys": [c.key for c in claims]}):
            earlier.setdefault(row.key, []).append(row)
        held: list[Held] = []
        new: list[dict[str, Any]] = []
        orphans: list[dict[str, Any]] = []
        taken: set[str] = set()
        for wish in claims:
            found = _decide(wish, earlier.get(wish.key, []), orphans, tenant)
            if found.claimed is Claimed.NEW and wish.key in taken:
                found = Held(Claimed.ELSEWHERE, found.attempt)  # its twin in this very batch sends it
            elif found.claimed is Claimed.NEW:
                taken.add(wish.key)
                new.append(_row(tenant, wish, found))
            held.append(found)
        if orphans:
            connection.execute(_LOSE, orphans)
        if new:
            connection.execute(insert(call), new)
        return held

    return claim


def settle_for(tenant: str) -> Callable[[Connection, Sequence[Settlement]], None]:
    """The batch operation that settles calls of a tenant."""

    def settle(connection: Connection, settlements: Sequence[Settlement]) -> None:
        connection.execute(_SETTLE, [_settled(tenant, one) for one in settlements])

    return settle


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
        "cost_usd": one.cost_usd,
        "model": one.model,
        "provider_id": one.provider_id,
    }
