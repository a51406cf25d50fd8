"""Runs that callers of the service want graded, by whichever process is there to do it."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, exists, func, insert, select, update

from judge.ledger import now
from judge.owner import WORKERS
from judge.store import batches, jobs, results, runs, verdicts
from judge.store.batches import BatchState, HandedOver
from judge.store.conflicts import replacing
from judge.store.owners import is_dead
from judge.store.results import RunInfo
from judge.store.tables import batch, rubric, run, submission
from judge.store.wishes import HANDED_OVER, TO_DO, Wish
from rubrics import Rubric


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
    turn
        How often it was submitted anew.
    at
        When it was submitted, or submitted anew, in seconds since 1970.
    """

    run: str
    judge: str
    options: dict[str, Any]
    wish: Wish
    why: str | None
    begun: bool
    turn: int
    at: float


@dataclass(frozen=True, slots=True)
class Work:
    """A run that was submitted, with all that is needed to grade it.

    Attributes
    ----------
    row
        The run as it is stored.
    body
        Its rubric as JSON.
    batched
        Whether calls of it were ever sent in a batch, and answers of one may be there.
    handed_over
        Whether the provider may have a batch of it.
    """

    submission: Submission
    row: dict[str, Any]
    body: str
    batched: bool
    handed_over: bool

    @property
    def rubric(self) -> Rubric:
        """The run's rubric."""
        return verdicts.parsed(self.body)

    def is_begun(self, by: str) -> bool:
        """Whether an owner has begun it, and has it still."""
        return self.submission.begun and self.row["owner"] == by


@dataclass(frozen=True, slots=True)
class Standing:
    """A run, what is to become of it where it was submitted, and who is at work on it: a process, or the provider."""

    info: RunInfo
    submission: Submission | None
    owner: str | None
    handed_over: HandedOver | None


def _work() -> Select[Any]:
    """All of `Work` by one statement, since it is asked for every chunk."""
    sent = exists().where(batch.c.tenant == run.c.tenant, batch.c.run == run.c.id)
    told = (*(column.label(f"run_{column.name}") for column in run.c), rubric.c.body, sent.label("batched"))
    told += (sent.where(batch.c.state != BatchState.ENDED).label("handed_over"),)
    of_run = and_(run.c.tenant == submission.c.tenant, run.c.id == submission.c.run)
    of_rubric = and_(rubric.c.tenant == run.c.tenant, rubric.c.hash == run.c.rubric_hash)
    here = (submission.c.tenant == bindparam("tenant"), submission.c.run == bindparam("run"))
    return select(submission, *told).join(run, of_run).join(rubric, of_rubric).where(*here)


_WORK = _work()


def add(connection: Connection, tenant: str, run_id: str, judge: str, options: dict[str, Any]) -> None:
    """Wants a run graded. One that is wanted with these very options stays as it is; else the newest ones hold.

    Whoever grades it already ends with the options that it began with; then it is taken up again with the new ones.
    """
    _lock_run(connection, tenant, run_id)
    before = connection.execute(select(submission).where(*_here(tenant, run_id))).first()
    row = _wanted(tenant, run_id, judge, options)
    if before is not None:
        if (before.state, before.judge, before.options) == (Wish.WANTED, judge, row["options"]):
            return
        row["turn"] = before.turn + 1
    connection.execute(replacing(connection, submission), row)
    jobs.enqueue(connection, tenant, run_id, options)


def add_new(connection: Connection, tenant: str, run_id: str, judge: str, options: dict[str, Any]) -> None:
    """Wants a run graded that is made in this transaction, and that nobody else has seen."""
    connection.execute(insert(submission), _wanted(tenant, run_id, judge, options))
    jobs.enqueue(connection, tenant, run_id, options, new=True)


def _wanted(tenant: str, run_id: str, judge: str, options: dict[str, Any]) -> dict[str, Any]:
    row = {"tenant": tenant, "run": run_id, "judge": judge, "options": json.dumps(options), "begun": False}
    return {**row, "turn": 0, "state": Wish.WANTED, "why": None, "at": now()}


def waiting(connection: Connection, tenant: str, but: Collection[str], limit: int) -> list[Submission]:
    """What is to be done, the first submitted first."""
    to_do = select(submission).where(submission.c.tenant == tenant, TO_DO, submission.c.run.not_in(but))
    ordered = to_do.order_by(submission.c.at, submission.c.run).limit(limit)
    return [_submission(row) for row in connection.execute(ordered)]


def count(connection: Connection, tenant: str, handed_over: bool | None = None) -> int:
    """How many runs are wanted; only those, or only the others, that the provider may have a batch of."""
    wanted = select(func.count()).where(submission.c.tenant == tenant, submission.c.state == Wish.WANTED)
    if handed_over is not None:
        wanted = wanted.where(HANDED_OVER if handed_over else ~HANDED_OVER)
    return int(connection.execute(wanted).scalar_one())


def adds(connection: Connection, tenant: str, run_id: str, again: bool) -> bool:
    """Whether one more run is wanted if this one is: not if it is already, or is done, and nothing is asked `again`."""
    of_run = and_(submission.c.tenant == run.c.tenant, submission.c.run == run.c.id)
    states = select(run.c.state, submission.c.state.label("wish")).outerjoin(submission, of_run)
    found = connection.execute(states.where(run.c.tenant == tenant, run.c.id == run_id)).first()
    return found is None or (found.wish != Wish.WANTED and (again or found.state != "done"))


def tenants(connection: Connection, tenant: str) -> list[str]:
    """All tenants for whom something is to be done."""
    wanted = select(submission.c.tenant).where(submission.c.state == Wish.WANTED)
    batched = select(batch.c.tenant).where(batch.c.state != BatchState.ENDED)  # be its run wanted or cancelled
    return list(connection.execute(wanted.union(batched)).scalars())


def of_runs(connection: Connection, tenant: str, ids: Sequence[str]) -> dict[str, Submission]:
    """The submissions of runs, by id; those that nobody submitted are not among them."""
    wanted = select(submission).where(submission.c.tenant == tenant, submission.c.run.in_(ids))
    return {row.run: _submission(row) for row in connection.execute(wanted)}


def work(connection: Connection, tenant: str, run_id: str) -> Work | None:
    """A run that was submitted; None where nobody did, or it was deleted."""
    found = connection.execute(_WORK, {"tenant": tenant, "run": run_id}).first()
    if found is None:
        return None
    row = {column.name: found._mapping[f"run_{column.name}"] for column in run.c}
    return Work(_submission(found), row, found.body, bool(found.batched), bool(found.handed_over))


def standing(connection: Connection, tenant: str, ids: Sequence[str]) -> list[Standing]:
    """How runs stand, all at one moment; those that are not there are left out."""
    of_run = and_(submission.c.tenant == run.c.tenant, submission.c.run == run.c.id)
    here = (run.c.tenant == tenant, run.c.id.in_(ids))
    rows = connection.execute(select(run.c.id, run.c.owner, submission).outerjoin(submission, of_run).where(*here))
    there, handed_over = {row.id: row for row in rows}, batches.handed_over(connection, tenant, ids)
    found = []
    for run_id in ids:
        info = results.run_info(connection, tenant, run_id)
        if info is not None and (row := there.get(run_id)) is not None:
            wanted = None if row.run is None else _submission(row)
            alive = None if row.owner is None or is_dead(connection, row.owner) else row.owner
            found.append(Standing(info, wanted, alive, handed_over.get(run_id)))
    return found


def accepted(connection: Connection, tenant: str, run_id: str) -> tuple[Standing | None, int]:
    """How a run stands that was just wanted, and how many are beside those that the provider has batches of."""
    found = standing(connection, tenant, [run_id])
    return found[0] if found else None, count(connection, tenant, handed_over=False)


def begin(connection: Connection, tenant: str, run_id: str, by: str) -> Submission | None:
    """Gives a run to an owner, who begins to grade it. None where it is not wanted any more.

    What failed, or was lost, is opened again where that was asked for, once: in the same transaction. Raises RunBusy
    while another live process has it.
    """
    found = of_runs(connection, tenant, [run_id]).get(run_id)
    if found is None or found.wish is not Wish.WANTED:
        return None
    if found.begun and by == WORKERS and runs.owner(connection, tenant, run_id) == by:
        return found
    _lock_run(connection, tenant, run_id)
    found = of_runs(connection, tenant, [run_id])[run_id]
    if found.wish is not Wish.WANTED:
        return None
    runs.take(connection, tenant, run_id, by)
    if not found.begun:
        lost, failed = (bool(found.options.get(name)) for name in ("resend_lost", "retry_failed"))
        runs.reopen(connection, tenant, run_id, by, lost=lost, failed=failed)
        connection.execute(update(submission).where(*_here(tenant, run_id)).values(begun=True))
    if found.options.get("budget_usd") is not None and not (found.begun and by == WORKERS):
        runs.commit_spent(connection, tenant, run_id, by)
    return found


def end(connection: Connection, tenant: str, run_id: str, by: str, turn: int) -> bool:
    """Gives a run up that was begun in a turn. It is done where no item is open, unless it was submitted again.

    Returns whether this made it so.
    """
    done = runs.release(connection, tenant, run_id, by) == "done"
    return done and settle(connection, tenant, run_id, Wish.DONE, turn=turn)


def settle(
    connection: Connection, tenant: str, run_id: str, wish: Wish, why: str | None = None, turn: int | None = None
) -> bool:
    """Changes what is to become of a run that is wanted, or is cancelled while it is paused.

    False where it is neither, or was submitted again since a turn.
    """
    _lock_run(connection, tenant, run_id)
    before = (Wish.WANTED, Wish.PAUSED) if wish is Wish.CANCELLED else (Wish.WANTED,)
    here = [*_here(tenant, run_id), submission.c.state.in_(before)]
    if turn is not None:
        here.append(submission.c.turn == turn)
    changed = connection.execute(update(submission).where(*here).values(state=wish, why=why)).rowcount > 0
    if changed and wish is Wish.CANCELLED:  # the provider may have a batch of it
        jobs.hasten(connection, tenant, run_id)
    if changed:  # workers are told by the wish; what they have under way they still write down
        of_workers = (run.c.tenant == tenant, run.c.id == run_id, run.c.owner == WORKERS)
        connection.execute(update(run).where(*of_workers).values(owner=None))
    return changed


def _lock_run(connection: Connection, tenant: str, run_id: str) -> None:
    """Whoever changes a run and its submission locks the run first, so that two never wait for each other."""
    connection.execute(select(run.c.id).where(run.c.tenant == tenant, run.c.id == run_id).with_for_update())


def _here(tenant: str, run_id: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return submission.c.tenant == tenant, submission.c.run == run_id


def _submission(row: Any) -> Submission:
    options, wish = json.loads(row.options), Wish(row.state)
    return Submission(row.run, row.judge, options, wish, row.why, row.begun, row.turn, row.at)
