"""What judges said, as it is stored."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Row, and_, select

from judge.distributions import Distribution
from judge.grades import Judged
from judge.store.tables import grade, run_item, verdict
from judge.store.tables import rubric as rubrics
from judge.verdicts import Outcome, Verdict
from rubrics import Rubric
from rubrics.section import PART

#: Places that lie no further apart than this, on the whole, are read in one go.
SPREAD = 4
#: A grade is joined to its item in the newest revision.
LATEST = and_(
    grade.c.tenant == run_item.c.tenant,
    grade.c.run == run_item.c.run,
    grade.c.seq == run_item.c.seq,
    grade.c.revision == run_item.c.revision,
)


@dataclass(frozen=True, slots=True)
class Said:
    """All that was said of one item of a run, in its newest revision."""

    seq: int
    item_id: str
    judged: tuple[Judged, ...]
    own_rubric: Rubric | None
    model: str | None
    call_keys: list[str]
    lost: int


def rubric_body(connection: Connection, tenant: str, rubric_hash: str) -> str:
    """A rubric as JSON."""
    stored = select(rubrics.c.body).where(rubrics.c.tenant == tenant, rubrics.c.hash == rubric_hash)
    return str(connection.execute(stored).scalar_one())


def stored_rubric(connection: Connection, tenant: str, rubric_hash: str) -> Rubric:
    """A rubric of a run or an item."""
    return parsed(rubric_body(connection, tenant, rubric_hash))


def kept_rubric(connection: Connection, tenant: str, rubric_hash: str) -> Rubric | None:
    """A rubric that something was graded by; None where none has the hash, or where it was that of items alone."""
    stored = select(rubrics.c.body).where(rubrics.c.tenant == tenant, rubrics.c.hash == rubric_hash)
    body = connection.execute(stored).scalar()
    found = None if body is None else parsed(body)
    return found if found is not None and found.leaves else None


@lru_cache(maxsize=64)
def parsed(body: str) -> Rubric:
    """A rubric that was kept, from its JSON."""
    return Rubric.model_validate_json(body, context=PART)  # it was checked when it was kept


def said(connection: Connection, tenant: str, run_id: str, after: int, limit: int) -> list[Said]:
    """A page of the verdicts of a run's graded items, in the order of the input."""
    places = connection.execute(
        select(run_item)
        .where(run_item.c.tenant == tenant, run_item.c.run == run_id, run_item.c.state != "open")
        .where(run_item.c.seq > after)
        .order_by(run_item.c.seq)
        .limit(limit)
    ).all()
    ordered = select(verdict).order_by(verdict.c.member, verdict.c.sample)
    rows = by_place(connection, ordered, verdict, tenant, run_id, [place.seq for place in places])
    return [
        Said(
            place.seq,
            place.item_id,
            tuple(_judged([row for row in rows.get(place.seq, []) if row.revision == place.revision])),
            stored_rubric(connection, tenant, place.rubric_hash) if place.rubric_hash else None,
            place.model,
            json.loads(place.call_keys or "[]"),
            place.lost,
        )
        for place in places
    ]


def _judged(rows: Iterable[Row[Any]]) -> Iterator[Judged]:
    """Verdicts by the call that they rest on."""
    calls: dict[tuple[int, str | None], list[Row[Any]]] = {}
    for row in rows:
        calls.setdefault((row.sample, row.call_key), []).append(row)
    for (sample, key), among in calls.items():
        yield Judged(sample, tuple(verdict_of(row) for row in among), key, among[0].call_attempt)


def verdict_of(row: Row[Any]) -> Verdict:
    """A stored verdict."""
    return Verdict(
        criterion=row.criterion,
        outcome=Outcome(row.outcome),
        level=None if row.level is None else json.loads(row.level),
        value=row.value,
        reason=row.reason,
        cause=row.cause,
        distribution=None if row.distribution is None else Distribution.model_validate_json(row.distribution),
    )


def by_place(
    connection: Connection, query: Any, table: Any, tenant: str, run_id: str, seqs: Sequence[int]
) -> dict[int, list[Row[Any]]]:
    """The rows of a query on a table with places, by their place."""
    found: dict[int, list[Row[Any]]] = {}
    if not seqs:
        return found
    first, last = min(seqs), max(seqs)
    # The few between places that lie close cost less than to name so many. Named beside a range they may all be read.
    close = last - first <= SPREAD * len(seqs)
    these = table.c.seq.between(first, last) if close else table.c.seq.in_(seqs)
    for row in connection.execute(query.where(table.c.tenant == tenant, table.c.run == run_id, these)):
        found.setdefault(row.seq, []).append(row)
    return found
