"""What differs between two runs, item by item."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, FromClause, and_, func, or_, select

from judge.grades import OVERALL
from judge.store.tables import grade, run_item
from judge.verdicts import Outcome


@dataclass(frozen=True, slots=True)
class Change:
    """One criterion of one item, or its overall, in two runs. A score is None where there is none."""

    item: str
    criterion: str
    before: Outcome
    before_score: float | None
    after: Outcome
    after_score: float | None

    @property
    def by(self) -> float | None:
        """The difference of the scores; None where one is missing."""
        if self.before_score is None or self.after_score is None:
            return None
        return self.after_score - self.before_score


@dataclass(frozen=True, slots=True)
class Overlap:
    """How many items two runs share by id, how many of those have other texts, and how many only one of them has."""

    shared: int
    other_texts: int
    only_before: int
    only_after: int


_BEFORE, _AFTER = run_item.alias("before"), run_item.alias("after")
_OLD, _NEW = grade.alias("old"), grade.alias("new")
_PAIRED = and_(_AFTER.c.tenant == _BEFORE.c.tenant, _AFTER.c.item_id == _BEFORE.c.item_id)


def overlap(connection: Connection, tenant: str, before: str, after: str) -> Overlap:
    """Which items two runs share."""
    same_texts = func.count().filter(_AFTER.c.item_hash == _BEFORE.c.item_hash)
    paired = (
        select(func.count(), same_texts)
        .select_from(_BEFORE.join(_AFTER, _PAIRED))
        .where(_BEFORE.c.tenant == tenant, _BEFORE.c.run == before, _AFTER.c.run == after)
    )
    shared, same = connection.execute(paired).one()
    count = select(func.count()).select_from(run_item).where(run_item.c.tenant == tenant)
    first, second = (connection.execute(count.where(run_item.c.run == id_)).scalar_one() for id_ in (before, after))
    return Overlap(shared, shared - same, first - shared, second - shared)


def page(connection: Connection, tenant: str, before: str, after: str, past: int, limit: int) -> list[Change]:
    """The criteria of the `limit` places after one, of items that both runs have graded: the overall of each first.

    Of an item with a rubric of its own, whose criteria are others whatever their ids, the overall alone.
    """
    columns = (_BEFORE.c.item_id, _OLD.c.criterion, _OLD.c.outcome, _OLD.c.score)
    found = (
        select(*columns, _NEW.c.outcome.label("outcome_after"), _NEW.c.score.label("score_after"))
        .select_from(_BEFORE.join(_AFTER, _PAIRED).join(_OLD, _of(_OLD, _BEFORE)).join(_NEW, _of(_NEW, _AFTER)))
        .where(_BEFORE.c.tenant == tenant, _BEFORE.c.run == before, _AFTER.c.run == after)
        .where(_OLD.c.criterion == _NEW.c.criterion, _BEFORE.c.seq > past, _BEFORE.c.seq <= past + limit)
        .where(or_(_OLD.c.criterion == OVERALL, and_(_BEFORE.c.rubric_hash.is_(None), _AFTER.c.rubric_hash.is_(None))))
        .order_by(_BEFORE.c.seq, _OLD.c.criterion != OVERALL, _OLD.c.criterion)
    )
    return [
        Change(r.item_id, r.criterion, Outcome(r.outcome), r.score, Outcome(r.outcome_after), r.score_after)
        for r in connection.execute(found)
    ]


def _of(grades: FromClause, places: FromClause) -> ColumnElement[bool]:
    return and_(
        grades.c.tenant == places.c.tenant,
        grades.c.run == places.c.run,
        grades.c.seq == places.c.seq,
        grades.c.revision == places.c.revision,
    )
