"""Figures of a run beyond its counts: scores item by item, how long answers took, and where failures can be seen."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from sqlalchemy import Connection, func, select

from judge.grades import OVERALL
from judge.sections import Scores
from judge.store.tables import grade, run_item
from judge.store.verdicts import LATEST
from judge.verdicts import Outcome


@dataclass(frozen=True, slots=True)
class Latencies:
    """Seconds that the calls for an item took together, at some shares of the items for which a call was made.

    `seconds` are by nearest rank: each is the time of an item, and none lies between two.
    """

    items: int
    seconds: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why grades have no score, how many they are, and the first item where it happened."""

    outcome: Outcome
    cause: str
    count: int
    seq: int


def scores(connection: Connection, tenant: str, run_id: str, first: int, last: int) -> Iterator[Scores]:
    """The graded items from one place to another, without those that have a rubric of their own."""
    wanted = (
        select(grade.c.seq, grade.c.criterion, grade.c.outcome, grade.c.score)
        .join(run_item, LATEST)
        .where(grade.c.tenant == tenant, grade.c.run == run_id, grade.c.seq.between(first, last))
        .where(grade.c.criterion != OVERALL, run_item.c.rubric_hash.is_(None))
        .order_by(grade.c.seq)
    )
    for _, rows in groupby(connection.execute(wanted), key=lambda row: row[0]):
        values, excused = {}, set()
        for _, criterion, outcome, score in rows:
            if outcome == Outcome.NOT_APPLICABLE:
                excused.add(criterion)
            elif score is not None:
                values[criterion] = score
        yield Scores(values, frozenset(excused))


def latencies(connection: Connection, tenant: str, run_id: str, shares: Sequence[float]) -> Latencies | None:
    """How long answers took; None where no call was made."""
    asked = (run_item.c.tenant == tenant, run_item.c.run == run_id, run_item.c.calls > 0, run_item.c.latency_s > 0)
    count = connection.execute(select(func.count()).select_from(run_item).where(*asked)).scalar_one()
    if not count:
        return None
    ranks = [max(math.ceil(share * count), 1) for share in shares]
    place = func.row_number().over(order_by=run_item.c.latency_s).label("place")
    ordered = select(run_item.c.latency_s, place).where(*asked).subquery()
    found = select(ordered.c.place, ordered.c.latency_s).where(ordered.c.place.in_(ranks))
    by_rank: dict[int, float] = dict(connection.execute(found).all())
    return Latencies(count, tuple(by_rank[rank] for rank in ranks))


def failures(connection: Connection, tenant: str, run_id: str, limit: int) -> list[Failure]:
    """The most frequent causes of grades without a score, each with its first item."""
    counted = (
        select(grade.c.outcome, grade.c.cause, func.count(), func.min(grade.c.seq))
        .join(run_item, LATEST)
        .where(grade.c.tenant == tenant, grade.c.run == run_id, grade.c.criterion != OVERALL)
        .where(grade.c.outcome.not_in([Outcome.SCORED, Outcome.NOT_APPLICABLE]))
        .group_by(grade.c.outcome, grade.c.cause)
        .order_by(func.count().desc(), func.min(grade.c.seq))
        .limit(limit)
    )
    rows = connection.execute(counted)
    return [Failure(Outcome(outcome), cause or outcome, count, seq) for outcome, cause, count, seq in rows]
