"""Runs that callers of the service want graded, by whichever process is there to do it."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, func, select, update

from judge.ledger import now
from judge.owner import this_process
from judge.store import results, runs
from judge.store.conflicts import replacing
from judge.store.results import RunInfo
from judge.store.tables import run, submission


class Wish(StrEnum):
    """What is to become of a submitted run."""

    WANTED = "wanted"  #: graded, by whoever is free
    PAUSED = "paused"  #: nothing, until somebody says so: the judge or the budget stopped it
    CANCELLED = "cancelled"  #: nothing more; its caller said so
    DONE = "done"  #: every item is


@dataclass(frozen=True, slots=True)
class Submission:
    """A run that was submitted.

    Attributes
    ----------
    judge
        The name that it was asked for by.
    options
        As JSON has them.
    begun
        Whether somebody has begun to grade it.
    """

    run: str
    judge: str
    options: dict[str, Any]
    wish: Wish
    why: str | None
    begun: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """A run, what is to become of it where it was submitted, and the process that is at work on it, if one is."""

    info: RunInfo
    submission: Submission | None
    owner: str | None


def add(connection: Connection, tenant: str, run_id: str, judge: str, options: dict[str, Any]) -> None:
    """Wants a run graded, and lets go of it, so that any process may. One that is wanted already stays as it is."""
    here = (submission.c.tenant == tenant, submission.c.run == run_id)
    held = select(run.c.id).where(run.c.tenant == tenant, run.c.id == run_id).with_for_update()
    connection.execute(held)
    before = connection.execute(select(submission.c.state).where(*here)).scalar()
    if before != Wish.WANTED:
        row = {"tenant": tenant, "run": run_id, "judge": judge, "options": json.dumps(options), "begun": False}
        connection.execute(replacing(connection, submission), {**row, "state": Wish.WANTED, "why": None, "at": now()})
        ours = update(run).where(run.c.tenant == tenant, run.c.id == run_id, run.c.owner == this_process())
        connection.execute(ours.values(owner=None))


def waiting(connection: Connection, tenant: str, but: Collection[str], limit: int) -> list[Submission]:
    """What is wanted, the first submitted first."""
    wanted = select(submission).where(submission.c.tenant == tenant, submission.c.state == Wish.WANTED)
    ordered = wanted.where(submission.c.run.not_in(but)).order_by(submission.c.at, submission.c.run).limit(limit)
    return [_submission(row) for row in connection.execute(ordered)]


def count(connection: Connection, tenant: str) -> int:
    """How many runs are wanted."""
    wanted = select(func.count()).where(submission.c.tenant == tenant, submission.c.state == Wish.WANTED)
    return int(connection.execute(wanted).scalar_one())


def tenants(connection: Connection, tenant: str) -> list[str]:
    """All tenants that want something graded."""
    wanted = select(submission.c.tenant).where(submission.c.state == Wish.WANTED).distinct()
    return list(connection.execute(wanted).scalars())


def of_runs(connection: Connection, tenant: str, ids: Sequence[str]) -> dict[str, Submission]:
    """The submissions of runs, by id; those that nobody submitted are not among them."""
    wanted = select(submission).where(submission.c.tenant == tenant, submission.c.run.in_(ids))
    return {row.run: _submission(row) for row in connection.execute(wanted)}


def standing(connection: Connection, tenant: str, ids: Sequence[str]) -> list[Standing]:
    """How runs stand, all at one moment; those that are not there are left out."""
    wanted = of_runs(connection, tenant, ids)
    found = []
    for run_id in ids:
        infos = [one for one in results.runs(connection, tenant, run_id) if one.id == run_id]
        found += [Standing(one, wanted.get(run_id), runs.owner(connection, tenant, run_id)) for one in infos]
    return found


def begin(connection: Connection, tenant: str, run_id: str) -> None:
    """Says that somebody has begun to grade a run."""
    here = (submission.c.tenant == tenant, submission.c.run == run_id)
    connection.execute(update(submission).where(*here).values(begun=True))


def settle(connection: Connection, tenant: str, run_id: str, wish: Wish, why: str | None = None) -> bool:
    """Changes what is to become of a run that is wanted. False where it is not wanted any more."""
    here = (submission.c.tenant == tenant, submission.c.run == run_id, submission.c.state == Wish.WANTED)
    return connection.execute(update(submission).where(*here).values(state=wish, why=why)).rowcount > 0


def _submission(row: Any) -> Submission:
    return Submission(row.run, row.judge, json.loads(row.options), Wish(row.state), row.why, row.begun)
