"""The statements of runs: made once, filled with items, taken by one process, finished item by item."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import (
    Connection,
    Row,
    case,
    delete,
    exists,
    func,
    insert,
    literal,
    null,
    select,
    true,
    update,
)

from judge.errors import RunBusy
from judge.grades import OVERALL
from judge.items import Item
from judge.ledger import CallState, now
from judge.owner import WORKERS, describe, this_process
from judge.store import batches, digests
from judge.store.conflicts import ignoring
from judge.store.locks import Lock, hold
from judge.store.many import add, add_missing
from judge.store.owners import is_dead, is_gone
from judge.store.tables import call, digest, grade, item, rubric, run, run_item, submission, verdict
from judge.verdicts import Outcome
from rubrics import Rubric
from rubrics import lowest as lowest_of

PAGE_ITEMS, PAGE_BYTES = 128, 4_000_000
#: Runs that this process loads.
_loading: set[str] = set()

#: What an earlier revision cost stays counted; what is lost is only what the newest one lacks.
SUMMED = ("calls", "reused", "possible_duplicates", "prompt_tokens", "completion_tokens", "cost_usd", "latency_s")


def known(connection: Connection, tenant: str, fingerprint: str) -> tuple[str, str] | None:
    """Id and state of the run of a fingerprint, which is `loading` until it has all its items."""
    wanted = select(run.c.id, run.c.state).where(run.c.tenant == tenant, run.c.fingerprint == fingerprint)
    found = connection.execute(wanted).first()
    return None if found is None else (found.id, found.state)


def find(connection: Connection, tenant: str, fingerprint: str, by_force: bool = False) -> Row[Any] | None:
    """The run of a fingerprint. What a dead process had begun to load is cleared away.

    Raises RunBusy while a live process loads it, unless by force.
    """
    wanted = select(run).where(run.c.tenant == tenant, run.c.fingerprint == fingerprint)
    found = connection.execute(wanted.with_for_update()).first()
    if found is None or found.state != "loading":
        return found
    ours = found.owner == this_process()
    gone = found.id not in _loading if ours else is_gone(connection, found.owner, found.created_at)
    if not by_force and not gone:
        raise RunBusy(
            f"run {found.id} is being loaded by {describe(found.owner)}; wait for it, or stop it; if that machine is "
            "gone, grade with --take-over, or submit it again in a minute"
        )
    remove(connection, tenant, found.id, by_force=True)
    return None


def begin(connection: Connection, row: dict[str, Any], state: str = "loading") -> None:
    """A run without items: `loading`, or `open` where they follow at once. Raises RunBusy where it was begun before."""
    added = ignoring(connection, run).returning(run.c.id)
    if connection.execute(added, {**row, "state": state}).first() is None:
        raise RunBusy("another process has just begun this very run; wait for it, or start again")


@contextmanager
def loading(run_id: str) -> Iterator[None]:
    """While this process loads a run; what it has begun and loads no more is taken for left behind."""
    _loading.add(run_id)
    try:
        yield
    finally:
        _loading.discard(run_id)


def go_on(connection: Connection, tenant: str, run_id: str) -> None:
    """Says of a run that is loading that its owner is at work on it still: to those who cannot look."""
    here = (run.c.tenant == tenant, run.c.id == run_id, run.c.state == "loading")
    connection.execute(update(run).where(*here).values(created_at=now()))


def unload(connection: Connection, tenant: str, run_id: str) -> None:
    """Deletes a run that is not loaded to its end."""
    here = (run.c.tenant == tenant, run.c.id == run_id)
    if connection.execute(select(run.c.state).where(*here).with_for_update()).scalar() == "loading":
        remove(connection, tenant, run_id)


def mark_anchors(connection: Connection, tenant: str, run_id: str, calibration: str) -> None:
    """Says of a run that it grades the anchors of a calibration."""
    of_run = update(run).where(run.c.tenant == tenant, run.c.id == run_id)
    connection.execute(of_run.values(anchors_of=calibration))


def load(connection: Connection, tenant: str, run_id: str, lowest: float, first: int, items: Sequence[Item]) -> None:
    """Items of a run that is loading, from a place on. `lowest` is the lowest overall that its rubric allows."""
    hold(connection, Lock.ITEMS, shared=True)
    own = {one.own_rubric.hash: one.own_rubric for one in items if one.own_rubric is not None}
    if own:
        add_missing(connection, rubric, [_rubric_row(tenant, own[hash_]) for hash_ in sorted(own)])
    bodies = {one.hash: one.model_dump_json(exclude={"id", "metadata"}).encode() for one in items}
    # In one order, whoever loads: two that wait for each other's rows would wait for ever.
    rows = [{"tenant": tenant, "hash": hash_, "body": bodies[hash_]} for hash_ in sorted(bodies)]
    add_missing(connection, item, rows)
    places = [
        {**_place(tenant, run_id, seq, one, len(bodies[one.hash])), "lowest": _lowest(one, lowest)}
        for seq, one in enumerate(items, first)
    ]
    add(connection, run_item, places)


def copy(connection: Connection, tenant: str, source: str, changed: dict[str, Any], lowest: float) -> None:
    """A run like another one but for what is changed, with its items, all open. Nothing was spent on it."""
    hold(connection, Lock.ITEMS, shared=True)
    original = connection.execute(select(run).where(run.c.tenant == tenant, run.c.id == source)).one()
    begin(connection, {**original._mapping, "finished_at": None, "committed_usd": None, "endings": 0, **changed})
    fresh: dict[str, Any] = {name: literal(0) for name in (*SUMMED, "revision", "lost")}
    fresh |= {"run": literal(changed["id"]), "state": literal("open"), "ending": null()}
    fresh |= {"model": null(), "call_keys": null()}
    fresh["lowest"] = case((run_item.c.rubric_hash.is_(None), literal(lowest)), else_=run_item.c.lowest)
    items = select(*(fresh.get(column.name, column).label(column.name) for column in run_item.c)).where(
        run_item.c.tenant == tenant, run_item.c.run == source
    )
    connection.execute(insert(run_item).from_select([column.name for column in run_item.c], items))
    go_on(connection, tenant, changed["id"])


def standing(connection: Connection, tenant: str, run_id: str) -> tuple[int, int]:
    """How often items of a run were opened again, and how many are graded.

    Neither goes down while the other stays: two moments with the same pair have the same grades.
    """
    reopened, graded = func.sum(run_item.c.revision), func.count().filter(run_item.c.state != "open")
    here = (run_item.c.tenant == tenant, run_item.c.run == run_id)
    one, other = connection.execute(select(func.coalesce(reopened, 0), graded).where(*here)).one()
    return int(one), int(other)


def _lowest(one: Item, usual: float) -> float:
    return usual if one.own_rubric is None else lowest_of(one.own_rubric)


def _rubric_row(tenant: str, one: Rubric) -> dict[str, Any]:
    row = {"tenant": tenant, "hash": one.hash, "name": one.name, "version": one.version, "created_at": now()}
    return {**row, "body": one.model_dump_json()}


def _place(tenant: str, run_id: str, seq: int, one: Item, size: int) -> dict[str, Any]:
    return {
        "tenant": tenant,
        "run": run_id,
        "seq": seq,
        "item_id": one.id,
        "item_hash": one.hash,
        "rubric_hash": one.own_rubric.hash if one.own_rubric else None,
        "bytes": size,
        "metadata": json.dumps(one.metadata, ensure_ascii=False),
        "state": "open",
        "revision": 0,
        "calls": 0,
        "reused": 0,
        "lost": 0,
        "possible_duplicates": 0,
        "prompt_tokens": 0,
        "completion_tokens": 0,
        "cost_usd": 0.0,
        "latency_s": 0.0,
    }


def loaded(connection: Connection, tenant: str, run_id: str) -> None:
    """All items are there: the run is open, and whoever takes it first has it.

    Raises RunBusy where it is no longer this process's.
    """
    check_owned(connection, tenant, run_id, this_process())
    connection.execute(update(run).where(run.c.tenant == tenant, run.c.id == run_id).values(state="open", owner=None))


def row(connection: Connection, tenant: str, run_id: str) -> dict[str, Any] | None:
    """A run as it is stored; None where there is none."""
    found = connection.execute(select(run).where(run.c.tenant == tenant, run.c.id == run_id)).first()
    return None if found is None else dict(found._mapping)


def owner(connection: Connection, tenant: str, run_id: str) -> str | None:
    """The process that has a run, or WORKERS, if one has."""
    this = select(run.c.owner).where(run.c.tenant == tenant, run.c.id == run_id)
    held: str | None = connection.execute(this).scalar()
    return held


def is_held(connection: Connection, tenant: str, run_id: str) -> bool:
    """Whether a process has a run that is not known to have ended."""
    held = owner(connection, tenant, run_id)
    return held is not None and not is_dead(connection, held)


def take(connection: Connection, tenant: str, run_id: str, new_owner: str, by_force: bool = False) -> None:
    """Makes a run this owner's. Raises RunBusy while another live process has it, unless by force.

    Calls that a dead owner left in flight can no longer be answered: they are lost.
    """
    if not by_force:
        _check_free(connection, tenant, run_id, new_owner)
    connection.execute(update(run).where(run.c.tenant == tenant, run.c.id == run_id).values(owner=new_owner))
    ended = {"state": CallState.LOST, "cause": "process_ended", "done_at": now(), "cost_usd": call.c.reserved_usd}
    in_flight = (call.c.tenant == tenant, call.c.run == run_id, call.c.state == CallState.SENT, call.c.batch.is_(None))
    for name in connection.execute(select(call.c.owner).where(*in_flight).distinct()).scalars().all():
        if is_dead(connection, name) or (by_force and name != new_owner):
            connection.execute(update(call).where(*in_flight, call.c.owner == name).values(**ended))


def _holder(connection: Connection, tenant: str, run_id: str) -> str | None:
    """Who has a run. Nobody can take it before the transaction ends."""
    this = select(run.c.owner).where(run.c.tenant == tenant, run.c.id == run_id)
    held: str | None = connection.execute(this.with_for_update()).scalar()
    return held


def _check_free(connection: Connection, tenant: str, run_id: str, new_owner: str) -> None:
    """Raises RunBusy while another live process has a run."""
    held = _holder(connection, tenant, run_id)
    if held is not None and held != new_owner and not is_dead(connection, held):
        raise RunBusy(
            f"run {run_id} is being graded by {describe(held)}; wait for it, or stop it; if that machine is gone, "
            "add --take-over"
        )


def lost_by(connection: Connection, tenant: str, run_id: str, by: str) -> RunBusy | None:
    """What to raise where an owner has lost a run. Nobody can take it from a process before the transaction ends."""
    this = select(run.c.owner).where(run.c.tenant == tenant, run.c.id == run_id)
    of_workers = by == WORKERS  # several write at once, and what is written twice comes to the same
    found = connection.execute(this if of_workers else this.with_for_update()).first()
    if found is None:
        return RunBusy(f"run {run_id} was deleted while it was graded")
    held: str | None = found.owner
    if held == by or (held is None and of_workers):  # stopped, and this was still under way
        return None
    whose = "another process" if held is None else describe(held)
    return RunBusy(f"run {run_id} was taken over by {whose}; wait for that one, or stop it")


def check_owned(connection: Connection, tenant: str, run_id: str, by: str) -> None:
    """Raises RunBusy where an owner has lost a run."""
    if (lost := lost_by(connection, tenant, run_id, by)) is not None:
        raise lost


def reopen(connection: Connection, tenant: str, run_id: str, by: str, lost: bool, failed: bool) -> int:
    """Opens items with a lost answer, or failed ones, for a new revision. Returns how many.

    Raises RunBusy where the run is no longer the owner's.
    """
    _holder(connection, tenant, run_id)  # whoever ends an item of it must wait
    check_owned(connection, tenant, run_id, by)
    here = (run_item.c.tenant == tenant, run_item.c.run == run_id)
    reopened = 0
    values = {"state": "open", "revision": run_item.c.revision + 1}
    if lost:
        waiting = update(run_item).where(*here, run_item.c.state != "open", run_item.c.lost > 0)
        reopened += connection.execute(waiting.values(values)).rowcount
    if failed:
        ended = {Outcome.JUDGE_ERROR, Outcome.TRUNCATED, Outcome.INVALID}
        unscored = exists().where(
            grade.c.tenant == tenant,
            grade.c.run == run_id,
            grade.c.seq == run_item.c.seq,
            grade.c.revision == run_item.c.revision,
            grade.c.criterion == OVERALL,
            grade.c.outcome.in_(ended),
        )
        done = update(run_item).where(*here, run_item.c.state == "finished", unscored)
        reopened += connection.execute(done.values(values)).rowcount
    if reopened:
        digests.forget(connection, tenant, run_id)
        connection.execute(update(run).where(run.c.tenant == tenant, run.c.id == run_id).values(state="open"))
    return reopened


def release(connection: Connection, tenant: str, run_id: str, by: str, alone: bool = False) -> str:
    """Gives a run up where it is still the owner's. Returns its state: `done` when no item is open.

    Workers keep one that is not done: others of them may be at work on it, unless this one was `alone`.
    """
    state = "open" if is_open(connection, tenant, run_id) else "done"
    if state == "open" and by == WORKERS and not alone:
        return state
    ended = now() if state == "done" else None
    held = run.c.owner == by
    if ended:  # nobody is left to say so where it was given up just before its last item ended
        held |= run.c.owner.is_(None)
    connection.execute(
        update(run)
        .where(run.c.tenant == tenant, run.c.id == run_id, held)
        .values(state=state, owner=None, finished_at=func.coalesce(run.c.finished_at, ended) if ended else None)
    )
    return state


def is_open(connection: Connection, tenant: str, run_id: str) -> bool:
    """Whether an item of a run is still to be graded."""
    here = (run_item.c.tenant == tenant, run_item.c.run == run_id, run_item.c.state == "open")
    return connection.execute(select(run_item.c.seq).where(*here).limit(1)).first() is not None


def count_open(connection: Connection, tenant: str, run_id: str) -> int:
    """How many items of a run are still to be graded."""
    here = (run_item.c.tenant == tenant, run_item.c.run == run_id, run_item.c.state == "open")
    return int(connection.execute(select(func.count()).where(*here)).scalar_one())


def open_page(
    connection: Connection, tenant: str, run_id: str, after: int, before: int | None = None
) -> list[tuple[int, int, Item]]:
    """The next open items after a place, and before another, as (seq, revision, item): a page of bounded size."""
    columns = (run_item.c.seq, run_item.c.revision, run_item.c.item_id, run_item.c.item_hash, run_item.c.bytes)
    places = connection.execute(
        select(*columns, run_item.c.metadata)
        .where(run_item.c.tenant == tenant, run_item.c.run == run_id, run_item.c.state == "open")
        .where(run_item.c.seq > after, true() if before is None else run_item.c.seq < before)
        .order_by(run_item.c.seq)
        .limit(PAGE_ITEMS)
    ).all()
    taken: list[Any] = []
    size = 0
    for place in places:
        if taken and size + place.bytes > PAGE_BYTES:
            break
        taken.append(place)
        size += place.bytes
    wanted = select(item.c.hash, item.c.body).where(
        item.c.tenant == tenant, item.c.hash.in_([p.item_hash for p in taken])
    )
    bodies = {row.hash: row.body for row in connection.execute(wanted)}
    return [
        (
            place.seq,
            place.revision,
            Item(**json.loads(bodies[place.item_hash]), id=place.item_id, metadata=json.loads(place.metadata)),
        )
        for place in taken
    ]


def remove(connection: Connection, tenant: str, run_id: str, by_force: bool = False) -> None:
    """Deletes a run, its grades, and the items that no other run has. What was paid stays in the ledger.

    Raises RunBusy while another live process has it, unless by force, and while the provider has a batch of it.
    """
    if not by_force:
        _check_free(connection, tenant, run_id, this_process())
    batches.check_none(connection, tenant, run_id)
    hold(connection, Lock.ITEMS)
    used = select(run_item.c.item_hash).where(run_item.c.tenant == tenant)
    unused = used.where(run_item.c.run == run_id).except_(used.where(run_item.c.run != run_id))
    connection.execute(delete(item).where(item.c.tenant == tenant, item.c.hash.in_(unused)))
    for table in (verdict, grade, digest, run_item, submission):
        connection.execute(delete(table).where(table.c.tenant == tenant, table.c.run == run_id))
    connection.execute(delete(run).where(run.c.tenant == tenant, run.c.id == run_id))


def next_round(connection: Connection, tenant: str, dataset: str, rubric: str, judge: str, mending: bool) -> int:
    """The round of a fresh run: one never used before, or that of a fresh run of the same three that goes on.

    An unfinished one goes on; a finished one does where its failures are to be mended.
    """
    same = (run.c.dataset_hash == dataset, run.c.rubric_hash == rubric, run.c.judge_fingerprint == judge)
    earlier = select(run.c.round).where(run.c.tenant == tenant, *same, run.c.round > 0)
    earlier = earlier.where(run.c.rescored_from.is_(None))  # in one that was counted anew nothing is graded
    if not mending:
        earlier = earlier.where(run.c.state != "done")
    found = connection.execute(earlier.order_by(run.c.round.desc())).scalar()
    if found is not None:
        return int(found)
    highest = connection.execute(select(func.max(run.c.round)).where(run.c.tenant == tenant)).scalar()
    return int(highest or 0) + 1


def commit_spent(connection: Connection, tenant: str, run_id: str, by: str) -> float:
    """Begins to keep a run's budget: what was spent, and what is reserved for calls in flight, is committed.

    Returns dollars. Raises RunBusy where the run is no longer the owner's.
    """
    _holder(connection, tenant, run_id)  # before the calls are added up: whoever claims one must wait
    check_owned(connection, tenant, run_id, by)
    cost = func.coalesce(call.c.cost_usd, call.c.reserved_usd, 0.0)
    committed = select(func.coalesce(func.sum(cost), 0.0)).where(call.c.tenant == tenant, call.c.run == run_id)
    usd = float(connection.execute(committed).scalar_one())
    connection.execute(update(run).where(run.c.tenant == tenant, run.c.id == run_id).values(committed_usd=usd))
    return usd


def spent(connection: Connection, tenant: str, run_id: str) -> float:
    """Dollars of a run so far, lost calls at their worst."""
    cost = select(func.coalesce(func.sum(call.c.cost_usd), 0.0)).where(call.c.tenant == tenant, call.c.run == run_id)
    return float(connection.execute(cost).scalar_one())
