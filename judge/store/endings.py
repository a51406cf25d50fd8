"""In which order the items of runs ended, and how runs stand, for whoever follows them while they go on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, and_, select, update

from judge.grades import Grade
from judge.ledger import CallState, now
from judge.owner import WORKERS
from judge.store import results
from judge.store.owners import is_dead
from judge.store.results import RunHead
from judge.store.tables import call, run, run_item, submission
from judge.store.wishes import Wish

STOPPED = (Wish.PAUSED, Wish.CANCELLED)
#: No call is awaited for longer.
LONGEST_CALL_S = 660.0


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a run is.

    Attributes
    ----------
    endings
        How often an item of it has ended: of one that was graded again each time counts.
    state, wish, owner
        Of the run, of its submission, and the live process that is at work on it; None where there is none. One that
        awaits an answer for a run that was stopped is at work on it.
    turn
        How often it was submitted; 0 for a run that nobody submitted.
    """

    endings: int
    state: str
    wish: str | None
    owner: str | None
    turn: int


def count(connection: Connection, tenant: str, run_id: str, by: str, more: int) -> Row[Any] | None:
    """Counts further endings of a run, by its owner. Returns it with how many there are then; None where it was lost.

    The row is held until the transaction ends, so that endings are seen in the order of their numbers.
    """
    here = [run.c.tenant == tenant, run.c.id == run_id, run.c.owner == by]
    if by == WORKERS:  # one that was stopped is nobody's, while answers are still under way
        here[-1] |= run.c.owner.is_(None)
    counted = update(run).where(*here).values(endings=run.c.endings + more)
    return connection.execute(counted.returning(run.c.id, run.c.endings, run.c["items"], run.c.rubric_hash)).first()


def marks(connection: Connection, tenant: str, ids: Sequence[str]) -> dict[str, Mark]:
    """How far runs are, by id; those that are not there are left out."""
    wanted = (
        select(run.c.id, run.c.endings, run.c.state, run.c.owner, submission.c.state.label("wish"), submission.c.turn)
        .outerjoin(submission, and_(submission.c.tenant == run.c.tenant, submission.c.run == run.c.id))
        .where(run.c.tenant == tenant, run.c.id.in_(ids))
    )
    found = {}
    for row in connection.execute(wanted):
        owner = None if row.owner is None or is_dead(connection, row.owner) else row.owner
        if owner is None and row.wish in STOPPED:
            owner = _awaiting(connection, tenant, row.id)
        found[row.id] = Mark(row.endings, row.state, row.wish, owner, 0 if row.turn is None else row.turn + 1)
    return found


def _awaiting(connection: Connection, tenant: str, run_id: str) -> str | None:
    """A live process that awaits an answer for a run."""
    sent = select(call.c.owner).where(call.c.tenant == tenant, call.c.run == run_id, call.c.state == CallState.SENT)
    awaited = sent.where(call.c.batch.is_(None), call.c.sent_at > now() - LONGEST_CALL_S).distinct()
    return next((owner for owner in connection.execute(awaited).scalars() if not is_dead(connection, owner)), None)


def after(connection: Connection, tenant: str, info: RunHead, ending: int, limit: int) -> list[tuple[int, Grade]]:
    """The grades of items that ended after an ending, as (ending, grade), in that order. Each item's newest alone."""
    wanted = (
        select(run_item.c.ending, run_item.c.seq)
        .where(run_item.c.tenant == tenant, run_item.c.run == info.id, run_item.c.ending > ending)
        .where(run_item.c.state != "open")
        .order_by(run_item.c.ending)
        .limit(limit)
    )
    order = [(row.ending, row.seq) for row in connection.execute(wanted)]
    found = dict(results.grades(connection, tenant, info, seqs=[seq for _, seq in order]))
    # One that was opened again meanwhile is told when it has ended anew.
    return [(place, found[seq]) for place, seq in order if seq in found]
