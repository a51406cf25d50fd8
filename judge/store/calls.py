"""The ledger's statements. Each takes a batch, inside the writer's transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Update, bindparam, func, or_, select, update

from judge.budgets import Shortage
from judge.costs import of_run
from judge.ledger import CallState, Claim, Claimed, Delivery, Held, Settlement, now, packed, unpacked
from judge.store import budgets
from judge.store.budgets import Purse, Purses
from judge.store.many import Changes, Own, added
from judge.store.owners import is_dead
from judge.store.tables import call, run

#: Why a call of a batch that the provider never had was rejected: it may be sent in another.
NOT_CREATED = "batch_not_created"
#: Batches take a day at most, and are looked at for an hour more. One that nobody looks at keeps nobody waiting.
LONGEST_BATCH_S = 26 * 3600.0

_KNOWN = (call.c.key, call.c.attempt, call.c.state, call.c.usable, call.c.owner, call.c.raw, call.c.batch, call.c.cause)
_EARLIER = (
    select(*_KNOWN, call.c.kept, call.c.sent_at, call.c.provider_id)
    .where(call.c.tenant == bindparam("tenant"), call.c.key.in_(bindparam("keys", expanding=True)))
    .order_by(call.c.key, call.c.attempt)
)
#: Two answers to one call must not both give back what it kept.
_EARLIER_ALONE = _EARLIER.with_only_columns(call.c.key, call.c.attempt, call.c.state).with_for_update()
_AT = ("tenant", "key", "attempt")
#: What an attempt came to.
_ENDED = (
    *("state", "done_at", "usable", "cause", "raw", "prompt_tokens", "completion_tokens", "cached_tokens"),
    *("cost_usd", "model", "unread"),
)


def _at(own: Own) -> Update:
    return update(call).where(*(call.c[name] == own(name) for name in _AT))


def _settling(own: Own) -> Update:
    values = {name: own(name) for name in _ENDED}
    # It may be known already, where nothing else is.
    values["provider_id"] = func.coalesce(own("provider_id"), call.c.provider_id)
    # An answer gives way to another reading of it alone: a process that was frozen may not know that it was found.
    held = or_(call.c.state != CallState.ANSWERED, own("state") == CallState.ANSWERED)
    return _at(own).where(held).values(values)


def _losing(own: Own) -> Update:
    lost = {"state": CallState.LOST, "cost_usd": call.c.reserved_usd, "cause": own("cause"), "done_at": own("done_at")}
    return _at(own).where(call.c.state == CallState.SENT).values(lost)


def _noting(own: Own) -> Update:
    return _at(own).values(provider_id=own("provider_id"))


_SETTLE = Changes(call, (*_AT, *_ENDED, "provider_id"), _AT, _settling)
_LOSE = Changes(call, (*_AT, "cause", "done_at"), _AT, _losing)
_NOTE = Changes(call, (*_AT, "provider_id"), _AT, _noting)
_TAKE = (
    update(call)
    .where(call.c.tenant == bindparam("b_tenant"), call.c.key == bindparam("b_key"), call.c.run == bindparam("b_run"))
    .where(call.c.unread.is_(True), call.c.raw.is_not(None))
    .values(unread=False)
    .returning(call.c.attempt, call.c.raw, call.c.cost_usd)
)
_HERE = (run.c.tenant == bindparam("b_tenant"), run.c.id == bindparam("b_run"))
_COMMIT = update(run).where(*_HERE).values(committed_usd=bindparam("b_usd"))
_GIVE_BACK = update(run).where(*_HERE).values(committed_usd=run.c.committed_usd - bindparam("b_usd"))


def claim_for(tenant: str, purses: Purses) -> Callable[[Connection, Sequence[Claim]], list[Held]]:
    """The batch operation that claims calls of a tenant."""

    def claim(connection: Connection, claims: Sequence[Claim]) -> list[Held]:
        earlier = _earlier(connection, tenant, claims)
        met = [(wish, row) for wish in claims for row in earlier.get(wish.key, [])]
        orphans = [_orphan(tenant, row) for wish, row in met if _is_orphan(connection, row, wish)]
        if orphans:
            _LOSE.execute(connection, orphans)
            # Read again: one may have been answered just before its process ended.
            earlier = _earlier(connection, tenant, claims)
        committed, purse = _committed(connection, tenant, claims), purses.open(connection, claims)
        held: list[Held] = []
        new: dict[str, dict[str, Any]] = {}
        for wish in claims:
            found = _decide(wish, earlier.get(wish.key, []))
            if found.claimed is Claimed.NEW and wish.key in new:
                found = Held(Claimed.ELSEWHERE, found.attempt)  # its twin in this very batch sends it
            elif found.claimed is Claimed.NEW and (short := _short(wish, committed, purse)) is not None:
                found = Held(Claimed.OVER_BUDGET, found.attempt, shortage=short)
            elif found.claimed is Claimed.NEW and not wish.looks:
                _reserve(wish, committed, purse)
                new[wish.key] = _row(tenant, wish, found)
            held.append(found)
        # In one order, whoever claims: two that wait for each other's rows would wait for ever.
        won = added(connection, call, [new[key] for key in sorted(new)], call.c.key) if new else set()
        claimed = (place for place, one in enumerate(held) if one.claimed is Claimed.NEW and not claims[place].looks)
        for place in claimed:
            if claims[place].key not in won:  # another process was first, since we read
                held[place] = Held(Claimed.ELSEWHERE, held[place].attempt)
                _give_back(claims[place], committed, purse)
        if committed:
            places = [{"b_tenant": tenant, "b_run": id_, "b_usd": usd} for id_, usd in committed.items()]
            connection.execute(_COMMIT, places)
        purse.write(connection)
        return budgets.may_wait(connection, tenant, claims, held)

    return claim


def settle_for(tenant: str, purses: Purses) -> Callable[[Connection, Sequence[tuple[Settlement, str | None]]], None]:
    """The batch operation that settles calls of a tenant: settlements, each with the run whose budget it belongs to."""

    def settle(connection: Connection, settlements: Sequence[tuple[Settlement, str | None]]) -> None:
        kept_back = _kept_back(connection, tenant, settlements)
        by_budgets = purses.kept_back(connection, [one for one, _ in settlements])
        _SETTLE.execute(connection, [_settled(tenant, one) for one, _ in settlements])
        if kept_back:
            places = [{"b_tenant": tenant, "b_run": id_, "b_usd": usd} for id_, usd in sorted(kept_back.items())]
            connection.execute(_GIVE_BACK, places)
        budgets.give_back(connection, by_budgets)

    return settle


def _kept_back(
    connection: Connection, tenant: str, settlements: Sequence[tuple[Settlement, str | None]]
) -> dict[str, float]:
    """Dollars that were reserved and not spent, by run.

    Of calls in flight, or lost until now, alone: a write may be tried twice.
    """
    budgeted = [(one, run_id) for one, run_id in settlements if run_id is not None]
    if not budgeted:
        return {}
    wanted = {"tenant": tenant, "keys": [one.key for one, _ in budgeted]}
    owed = (CallState.SENT, CallState.LOST)
    sent = {(row.key, row.attempt) for row in connection.execute(_EARLIER_ALONE, wanted) if row.state in owed}
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
    rows = select(run.c.id, run.c.committed_usd).where(run.c.tenant == tenant, run.c.id.in_(wanted))
    return {row.id: row.committed_usd or 0.0 for row in connection.execute(rows.order_by(run.c.id).with_for_update())}


def _short(wish: Claim, committed: dict[str, float], purse: Purse) -> Shortage | None:
    """The budget without room for a call: its run's, or one of its key; None where all have room."""
    worst = wish.reserved_usd or 0.0
    if wish.budget_usd is not None and wish.run is not None and committed[wish.run] + worst > wish.budget_usd:
        return of_run(wish.budget_usd, committed[wish.run], worst)
    return purse.short(wish)


def _reserve(wish: Claim, committed: dict[str, float], purse: Purse) -> None:
    """Takes what a call may cost from its run's budget and its key's."""
    purse.reserve(wish)
    if wish.budget_usd is not None and wish.run is not None:
        committed[wish.run] += wish.reserved_usd or 0.0


def _give_back(wish: Claim, committed: dict[str, float], purse: Purse) -> None:
    """Undoes `_reserve`."""
    purse.give_back(wish)
    if wish.budget_usd is not None and wish.run is not None:
        committed[wish.run] -= wish.reserved_usd or 0.0


def note_for(tenant: str) -> Callable[[Connection, Sequence[tuple[str, int, str]]], None]:
    """The batch operation that writes down what the provider calls answers to come: by key and attempt."""

    def note(connection: Connection, told: Sequence[tuple[str, int, str]]) -> None:
        places = [{"tenant": tenant, "key": key, "attempt": number, "provider_id": id} for key, number, id in told]
        _NOTE.execute(connection, places)

    return note


def witness(connection: Connection, tenant: str, endpoint: str, before: float) -> tuple[str, int, str | None] | None:
    """The last call to an endpoint whose answer came before a time, of those that the provider was told to keep."""
    kept = select(call.c.key, call.c.attempt, call.c.provider_id).where(call.c.tenant == tenant, call.c.kept.is_(True))
    came = kept.where(call.c.endpoint == endpoint, call.c.state == CallState.ANSWERED, call.c.done_at < before)
    row = connection.execute(came.order_by(call.c.done_at.desc()).limit(1)).first()
    return None if row is None else (row.key, row.attempt, row.provider_id)


def find(connection: Connection, tenant: str, key: str) -> Held | None:
    """The usable answer to a call, if there is one."""
    for row in connection.execute(_EARLIER, {"tenant": tenant, "keys": [key]}):
        if row.state == CallState.ANSWERED and row.usable:
            return Held(Claimed.REUSED, row.attempt, unpacked(row.raw))
    return None


def take_for(tenant: str) -> Callable[[Connection, Sequence[tuple[str, str]]], list[Delivery | None]]:
    """The batch operation that takes answers, by run and key, that batches brought and nobody has taken."""

    def take(connection: Connection, wanted: Sequence[tuple[str, str]]) -> list[Delivery | None]:
        places = [{"b_tenant": tenant, "b_run": run_id, "b_key": key} for run_id, key in wanted]
        rows = [connection.execute(_TAKE, place).first() for place in places]
        return [None if row is None else Delivery(row.attempt, unpacked(row.raw), row.cost_usd) for row in rows]

    return take


def _earlier(connection: Connection, tenant: str, claims: Sequence[Claim]) -> dict[str, list[Any]]:
    """The attempts of each key, in order."""
    found: dict[str, list[Any]] = {}
    for row in connection.execute(_EARLIER, {"tenant": tenant, "keys": [one.key for one in claims]}):
        found.setdefault(row.key, []).append(row)
    return found


def _is_orphan(connection: Connection, row: Row[Any], wish: Claim) -> bool:
    """Whether a call's process has ended, or is silent for too long to be awaited.

    A silent one may only be frozen: an answer that it brings after all is kept. One to a call of a batch can come for
    as long as providers take.
    """
    if row.state != CallState.SENT:
        return False
    if row.batch is not None:
        return bool(row.sent_at < now() - LONGEST_BATCH_S)
    return row.sent_at < wish.silent_before or is_dead(connection, row.owner)


def _orphan(tenant: str, row: Row[Any]) -> dict[str, Any]:
    at = {"tenant": tenant, "key": row.key, "attempt": row.attempt}
    return {**at, "cause": "process_ended", "done_at": now()}


def _decide(wish: Claim, rows: list[Any]) -> Held:
    """What a call may do, by its earlier attempts in order."""
    for row in rows:
        if row.state == CallState.ANSWERED and row.usable:
            return Held(Claimed.REUSED, row.attempt, unpacked(row.raw))
    if not rows:
        return Held(Claimed.NEW, 1)
    last = rows[-1]
    if last.state == CallState.SENT:
        where = Claimed.ELSEWHERE if last.batch is None else Claimed.HANDED_OVER
        return Held(where, last.attempt, sent_at=last.sent_at)
    if wish.batch is not None and any(row.cause != NOT_CREATED for row in rows):
        return Held(Claimed.ELSEWHERE, last.attempt)  # what was asked before is asked by itself
    if last.state == CallState.LOST and (wish.resend_before is None or last.sent_at > wish.resend_before):
        return Held(
            Claimed.HELD, last.attempt, kept=bool(last.kept), sent_at=last.sent_at, provider_id=last.provider_id
        )
    return Held(Claimed.NEW, last.attempt + 1, possible_duplicate=last.state == CallState.LOST)


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
        "batch": wish.batch,
        "kept": wish.kept,
        "reserved_usd": wish.reserved_usd,
        "possible_duplicate": held.possible_duplicate,
        "paid_by": wish.paid_by,
    }


def _settled(tenant: str, one: Settlement) -> dict[str, Any]:
    return {
        "tenant": tenant,
        "key": one.key,
        "attempt": one.attempt,
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
        "unread": one.unread,
    }
