"""What a judge's earlier grades came to, for estimates of the next ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Float, case, cast, func, select

from judge.ledger import CallState
from judge.store.tables import call, run, run_item

#: The newest items that an estimate rests on, at most: of so many runs.
MOST_ITEMS, MOST_RUNS = 2_000, 50


@dataclass(frozen=True, slots=True)
class Past:
    """What one item came to whose every answer was asked for: with all that was asked again, failed or lost.

    `bytes` are those of the item as it is stored, `rubric` the hash of the rubric that it was graded by.
    """

    run: str
    samples: int
    rubric: str
    bytes: int
    calls: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None


@dataclass(frozen=True, slots=True)
class Answers:
    """What the calls of some runs came to that were answered. Shares are of 1, None where nothing is known.

    How long they took is told by live calls alone.
    """

    calls: int
    asked_again: float | None  #: share of answers that settled nothing
    cached: float | None  #: share of the prompts' tokens that were read from the provider's cache
    latency_s: float | None
    per_minute: float | None  #: calls answered in a minute, while the newest of the runs went on


def items(
    connection: Connection, tenant: str, judges: Mapping[str, int], rubric: str | None = None, only: str | None = None
) -> list[Past]:
    """Items that judges of these fingerprints graded, the newest runs first.

    Parameters
    ----------
    judges
        Samples by fingerprint.
    rubric
        Only items graded by this one; None for all.
    only
        Only items of this run; None for all.
    """
    by = func.coalesce(run_item.c.rubric_hash, run.c.rubric_hash)
    made = (run.c.tenant == tenant, run.c.judge_fingerprint.in_(judges), run.c.rescored_from.is_(None))
    runs = select(run.c.id).where(*made).order_by(run.c.created_at.desc()).limit(MOST_RUNS)
    if only is not None:
        runs = runs.where(run.c.id == only)
    wanted = (
        select(run_item, by.label("by"), run.c.judge_fingerprint)
        .join(run, (run.c.tenant == run_item.c.tenant) & (run.c.id == run_item.c.run))
        .where(run_item.c.tenant == tenant, run_item.c.run.in_(connection.execute(runs).scalars().all()))
        .where(run_item.c.state != "open", run_item.c.calls > 0, run_item.c.reused == 0)
        .order_by(run.c.created_at.desc(), run_item.c.run, run_item.c.seq)
        .limit(MOST_ITEMS)
    )
    if rubric is not None:
        wanted = wanted.where(by == rubric)
    return [
        Past(
            run=row.run,
            samples=judges[row.judge_fingerprint],
            rubric=row.by,
            bytes=row.bytes,
            calls=row.calls,
            prompt_tokens=row.prompt_tokens,
            completion_tokens=row.completion_tokens,
            cost_usd=row.cost_usd,
        )
        for row in connection.execute(wanted)
    ]


def answers(connection: Connection, tenant: str, runs: Sequence[str]) -> Answers:
    """What the calls of runs came to, the newest run first."""
    answered = (call.c.tenant == tenant, call.c.run.in_(runs), call.c.state == CallState.ANSWERED)
    live = call.c.batch.is_(None)
    told = connection.execute(
        select(
            func.count().label("calls"),
            func.avg(cast(case((call.c.usable, 0), else_=1), Float)).label("again"),
            func.sum(call.c.prompt_tokens).label("prompt"),
            func.sum(call.c.cached_tokens).label("cached"),
            func.avg(call.c.done_at - call.c.sent_at).filter(live).label("latency_s"),
        ).where(*answered)
    ).one()
    newest = select(func.count().label("n"), (func.max(call.c.done_at) - func.min(call.c.sent_at)).label("s"))
    pace = connection.execute(newest.where(*answered, live, call.c.run == runs[0])).one()
    return Answers(
        calls=told.calls,
        asked_again=None if told.again is None else float(told.again),
        cached=float(told.cached or 0) / float(told.prompt) if told.prompt else None,
        latency_s=None if told.latency_s is None else float(told.latency_s),
        per_minute=pace.n / pace.s * 60 if pace.s else None,
    )


def in_batches(connection: Connection, tenant: str, runs: Sequence[str]) -> dict[str, float]:
    """What share of the dollars of runs was paid for batches; of those alone that had any."""
    paid = func.sum(case((call.c.batch.is_not(None), call.c.cost_usd), else_=0.0)).label("paid")
    of_runs = select(call.c.run, paid, func.sum(call.c.cost_usd).label("all")).group_by(call.c.run)
    rows = connection.execute(of_runs.where(call.c.tenant == tenant, call.c.run.in_(runs)))
    return {row.run: row.paid / row.all for row in rows if row.paid}


def answered(connection: Connection, tenant: str, keys: Sequence[str]) -> set[str]:
    """Those of some calls that have an answer which settles them."""
    here = (call.c.tenant == tenant, call.c.key.in_(keys), call.c.state == CallState.ANSWERED, call.c.usable)
    return set(connection.execute(select(call.c.key).where(*here)).scalars())


def left(connection: Connection, tenant: str, run_id: str) -> tuple[int, int, int]:
    """How many items of a run are open, how many bytes they have, and the longest of them."""
    here = (run_item.c.tenant == tenant, run_item.c.run == run_id, run_item.c.state == "open")
    total, longest = (func.coalesce(one(run_item.c.bytes), 0) for one in (func.sum, func.max))
    count, size, most = connection.execute(select(func.count(), total, longest).where(*here)).one()
    return int(count), int(size), int(most)
