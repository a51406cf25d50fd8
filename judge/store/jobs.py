"""Jobs of the queue that lies beside our tables on a PostgreSQL: "grade this chunk of that run", for any worker.

The queue is procrastinate's, and is written to in the transaction that a job belongs to, by the function that
procrastinate itself calls. It delivers; what is wanted and what is graded stands in our own tables.
"""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection, func, inspect, select, text

from judge.chunks import CHUNK_ITEMS
from judge.store import batches
from judge.store.locks import Lock, hold
from judge.store.tables import submission
from judge.store.wishes import TO_DO

QUEUE, TASK = "judge", "grade_chunk"
#: A process that takes jobs is taken for dead after a silence of so long.
SILENCE_S = 4.0

# A chunk has its turn as if it had been wanted a second after the one before it. So what is submitted later does not
# wait for all of a long run, and a long run is not put off for ever by short ones.
_PRIORITY = "CAST(:epoch - extract(epoch FROM now()) - coalesce(chunk, 0) AS integer)"
#: 2026 in seconds since 1970: a priority is a small number, and the highest one has its turn.
EPOCH = 1_767_225_600
_ENQUEUE = """
    SELECT procrastinate_defer_jobs_v1(ARRAY(
        SELECT CAST(ROW(
            :queue, :task, {priority}, CAST(:alone AS text), NULL, jsonb_build_object(
                'tenant', CAST(:tenant AS text), 'run', CAST(:run AS text), 'chunk', chunk
            ), NULL
        ) AS procrastinate_job_to_defer_v1)
        FROM ({chunks}) AS chunks ORDER BY chunk
    ))
"""
_CHUNKS = "SELECT seq / :size AS chunk FROM run_item WHERE tenant = :tenant AND run = :run {which} UNION SELECT 0"
_EVERY = text(_ENQUEUE.format(priority=_PRIORITY, chunks=_CHUNKS.format(which="")))
_OPEN = text(_ENQUEUE.format(priority=_PRIORITY, chunks=_CHUNKS.format(which="AND state = 'open'")))
_WHOLE = text(_ENQUEUE.format(priority=_PRIORITY, chunks="SELECT CAST(NULL AS integer) AS chunk"))
_HASTEN = text("UPDATE procrastinate_jobs SET scheduled_at = NULL WHERE lock = :alone AND status = 'todo'")
_ALIVE = text(
    "SELECT count(*) FROM procrastinate_workers WHERE last_heartbeat > now() - make_interval(secs => :silence)"
)
_QUEUED = text("SELECT DISTINCT args->>'tenant', args->>'run' FROM procrastinate_jobs WHERE queue_name = :queue")


def enqueue(connection: Connection, tenant: str, run_id: str, options: dict[str, Any], new: bool = False) -> None:
    """Has a run graded that was submitted with these options: whole where the provider has a batch of it, or is to have
    one, else in chunks.

    Of the jobs for a whole run one is under way at a time, since two would take each other's batches for lost. The
    chunks are those that have open items, or all where some are to be opened again; the first one in any case, to end
    the run. No batch is looked for of one that is `new`. On SQLite there is no queue: the process that serves looks for
    what is wanted.
    """
    if connection.dialect.name != "postgresql":
        return
    what: dict[str, Any] = {
        "queue": QUEUE,
        "task": TASK,
        "epoch": EPOCH,
        "tenant": tenant,
        "run": run_id,
        "alone": None,
    }
    if options.get("mode") == "batch" or (not new and batches.of_run(connection, tenant, run_id)):
        if new or not hasten(connection, tenant, run_id):
            connection.execute(_WHOLE, what | {"alone": _alone(tenant, run_id)})
    else:
        again = options.get("resend_lost") or options.get("retry_failed")
        connection.execute(_EVERY if again else _OPEN, what | {"size": CHUNK_ITEMS})


def hasten(connection: Connection, tenant: str, run_id: str) -> bool:
    """Has the job for a whole run done now that was to be done later. False where there is none."""
    if connection.dialect.name != "postgresql":
        return False
    return connection.execute(_HASTEN, {"alone": _alone(tenant, run_id)}).rowcount > 0


def _alone(tenant: str, run_id: str) -> str:
    """The lock of the jobs for a whole run."""
    return f"{tenant}:{run_id}"


def enqueue_missing(connection: Connection, tenant: str) -> list[tuple[str, str]]:
    """Has every run graded that is wanted, of any tenant, and that no job is about. Returns (tenant, run) of these.

    Batches of those that were cancelled when they were paused are taken back like this. No other should be missing:
    but for those that were submitted before there was a queue, or whose jobs somebody deleted.
    """
    hold(connection, Lock.JOBS)
    queued = {(one, other) for one, other in connection.execute(_QUEUED, {"queue": QUEUE})}
    wanted = select(submission.c.tenant, submission.c.run, submission.c.options).where(TO_DO)
    missing = [row for row in connection.execute(wanted).all() if (row.tenant, row.run) not in queued]
    for row in missing:
        enqueue(connection, row.tenant, row.run, json.loads(row.options))
    return [(row.tenant, row.run) for row in missing]


def are_kept(connection: Connection, tenant: str) -> bool:
    """Whether the queue's tables are there."""
    return inspect(connection).has_table("procrastinate_workers")


def takers(connection: Connection, tenant: str) -> int:
    """How many processes take jobs."""
    return int(connection.execute(_ALIVE, {"silence": SILENCE_S}).scalar_one())


def wanted(connection: Connection, tenant: str) -> int:
    """How many runs are wanted, of any tenant."""
    rows = select(func.count()).where(submission.c.state == "wanted")
    return int(connection.execute(rows).scalar_one())
