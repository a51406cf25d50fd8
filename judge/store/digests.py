"""What runs came to, added up once: a summary reads the sums of blocks of items, and the items of the others alone.

A block is summed up in the transaction in which the last of its items ends, and forgotten when one is opened again.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from sqlalchemy import Connection, and_, case, delete, func, literal_column, select, text

from judge.grades import OVERALL
from judge.sections import Sum, added, section_sums
from judge.store.conflicts import ignoring
from judge.store.figures import scores
from judge.store.tables import REOPENED, digest, grade, run_item
from judge.store.verdicts import LATEST, stored_rubric
from judge.verdicts import Outcome
from rubrics import Rubric

#: Items of a block. What is left beyond the last whole one is always read.
BLOCK = 2000

ENDED = ("finished", "held")
#: Criteria of an item's own rubric are other criteria, whatever their ids: only its overall is one of the run.
_OWN = and_(grade.c.criterion != OVERALL, run_item.c.rubric_hash.is_not(None))
# A label counts only where it has no number: of levels that have one, the number tells all.
_LABEL = case((grade.c.score.is_(None), grade.c.level))


@dataclass(frozen=True, slots=True)
class Cell:
    """How many items of a run have an outcome, and a score or label, on a criterion."""

    criterion: str
    outcome: Outcome
    score: float | None
    label: int | str | None
    count: int


class Alike(NamedTuple):
    """What grades have in common that are counted together; the label is JSON."""

    own: bool  #: on a criterion of an item's own rubric
    criterion: str
    outcome: str
    score: float | None
    label: str | None
    cause: str | None
    passed: bool | None


class Many(NamedTuple):
    """Grades that are alike: how many, and the sums of what each could be at least and at most."""

    n: int
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Digest:
    """What items of a run came to that have ended, each in its newest revision; of open ones, what was done before.

    Attributes
    ----------
    grades
        All grades of criteria and overalls.
    items
        How many have a state and a model that answered.
    reused
        Answers that were there already.
    sections
        Sums of the sections of the run's rubric, in the order of writing.
    """

    grades: dict[Alike, Many] = field(default_factory=dict)
    items: Counter[tuple[str, str | None]] = field(default_factory=Counter)
    reused: int = 0
    sections: tuple[Sum, ...] = ()

    @classmethod
    def over(cls, parts: Iterable[Digest]) -> Digest:
        """The sum of digests of other items each."""
        grades: dict[Alike, Many] = {}
        items: Counter[tuple[str, str | None]] = Counter()
        reused, sections = 0, tuple[Sum, ...]()
        for part in parts:
            for alike, many in part.grades.items():
                known = grades.get(alike)
                if known is not None:
                    many = Many(known.n + many.n, known.low + many.low, known.high + many.high)
                grades[alike] = many
            items.update(part.items)
            reused += part.reused
            sections = added(sections, part.sections)
        return cls(grades, items, reused, sections)

    def count(self, state: str) -> int:
        """Items in a state."""
        return sum(count for (one, _), count in self.items.items() if one == state)

    @property
    def models(self) -> tuple[str, ...]:
        """Those that answered, by name."""
        return tuple(sorted({model for _, model in self.items if model is not None}))

    @property
    def cells(self) -> list[Cell]:
        """Counts of every (criterion, outcome, score or label), in this order."""
        counted: Counter[tuple[str, str, float | None, str | None]] = Counter()
        for alike, many in self.grades.items():
            if not alike.own:
                counted[alike.criterion, alike.outcome, alike.score, alike.label] += many.n
        ordered = sorted(counted.items(), key=lambda pair: [(part is not None, part) for part in pair[0]])
        return [
            Cell(criterion, Outcome(outcome), score, None if label is None else json.loads(label), count)
            for (criterion, outcome, score, label), count in ordered
        ]

    @property
    def causes(self) -> list[tuple[Outcome, str, int]]:
        """Why grades of criteria have no score: (outcome, cause, count), the most frequent first."""
        counted: Counter[tuple[str, str]] = Counter()
        for alike, many in self.grades.items():
            if alike.criterion != OVERALL and alike.outcome not in (Outcome.SCORED, Outcome.NOT_APPLICABLE):
                counted[alike.outcome, alike.cause or alike.outcome] += many.n
        ordered = sorted(counted.items(), key=lambda pair: (-pair[1], pair[0]))
        return [(Outcome(outcome), cause, count) for (outcome, cause), count in ordered]

    @property
    def bounds(self) -> tuple[float, float]:
        """Sums of the lowest and of the highest overall that each item could have, where one applies."""
        overalls = [many for alike, many in self._overalls() if alike.outcome != Outcome.NOT_APPLICABLE]
        return sum(many.low for many in overalls), sum(many.high for many in overalls)

    def passing(self, passed: bool) -> int:
        """Items that meet what the rubric requires, or that do not."""
        return sum(many.n for alike, many in self._overalls() if alike.passed is passed)

    def _overalls(self) -> Iterator[tuple[Alike, Many]]:
        return ((alike, many) for alike, many in self.grades.items() if alike.criterion == OVERALL)

    def dumps(self) -> str:
        """As JSON."""
        grades = [[*alike, *many] for alike, many in self.grades.items()]
        items = [[*common, count] for common, count in self.items.items()]
        return json.dumps([grades, items, self.reused, self.sections])

    @classmethod
    def loads(cls, told: str) -> Digest:
        """From JSON."""
        grades, items, reused, sections = json.loads(told)
        return cls(
            {Alike(*row[:7]): Many(*row[7:]) for row in grades},
            Counter({(state, model): count for state, model, count in items}),
            reused,
            tuple(Sum(*row) for row in sections),
        )


def of_run(connection: Connection, tenant: str, run_id: str, items: int, rubric: Rubric) -> Digest:
    """What a run of so many items by a rubric came to so far."""
    stored = select(digest.c.block, digest.c.body).where(digest.c.tenant == tenant, digest.c.run == run_id)
    sealed = {row.block: row.body for row in connection.execute(stored)}
    gaps = _gaps(sealed, items)
    read = (_read(connection, tenant, run_id, rubric, first, last) for first, last in gaps)
    reopened = _reopened(connection, tenant, run_id)
    return Digest.over([*map(Digest.loads, sealed.values()), *read, reopened])


def progress(connection: Connection, tenant: str, run_id: str, items: int) -> tuple[int, int]:
    """How many items of a run of so many are finished, and how many are held."""
    sums = select(digest.c.block, digest.c.finished, digest.c.held)
    sealed = {}
    if items >= BLOCK:
        sealed = {
            row.block: row for row in connection.execute(sums.where(digest.c.tenant == tenant, digest.c.run == run_id))
        }
    counted = Counter(
        finished=sum(row.finished for row in sealed.values()), held=sum(row.held for row in sealed.values())
    )
    here = (run_item.c.tenant == tenant, run_item.c.run == run_id, run_item.c.state.in_(ENDED))
    for first, last in _gaps(sealed, items):
        states = select(run_item.c.state, func.count()).where(*here, run_item.c.seq.between(first, last))
        counted.update(dict(connection.execute(states.group_by(run_item.c.state)).all()))
    return counted["finished"], counted["held"]


def seal(connection: Connection, tenant: str, run_id: str, items: int, rubric_hash: str, seqs: Iterable[int]) -> None:
    """Sums up the blocks of places in which no item is open any more. Whoever does has the run's row locked."""
    for block in sorted({seq // BLOCK for seq in seqs if (seq // BLOCK + 1) * BLOCK <= items}):
        first, last = block * BLOCK, (block + 1) * BLOCK - 1
        still_open = select(run_item.c.seq).where(
            run_item.c.tenant == tenant, run_item.c.run == run_id, run_item.c.state == "open"
        )
        if connection.execute(still_open.where(run_item.c.seq.between(first, last)).limit(1)).first() is not None:
            continue
        rubric = stored_rubric(connection, tenant, rubric_hash)
        found = _read(connection, tenant, run_id, rubric, first, last)
        row = {"tenant": tenant, "run": run_id, "block": block, "body": found.dumps()}
        row |= {state: found.count(state) for state in ENDED}
        connection.execute(ignoring(connection, digest), row)


def forget(connection: Connection, tenant: str, run_id: str) -> None:
    """Forgets what blocks with an open item came to. Whoever does has the run's row locked."""
    reopened = select(run_item.c.seq.op("/")(literal_column(str(BLOCK)))).where(
        run_item.c.tenant == tenant, run_item.c.run == run_id, run_item.c.state == "open"
    )
    here = (digest.c.tenant == tenant, digest.c.run == run_id)
    connection.execute(delete(digest).where(*here, digest.c.block.in_(reopened)))


def _reopened(connection: Connection, tenant: str, run_id: str) -> Digest:
    """What was done for items that are open again: answers that were there already, and models that answered."""
    here = (run_item.c.tenant == tenant, run_item.c.run == run_id, text(REOPENED))
    done = select(run_item.c.model, func.count(), func.sum(run_item.c.reused)).where(*here).group_by(run_item.c.model)
    rows = connection.execute(done).all()
    return Digest({}, Counter({("open", row[0]): row[1] for row in rows}), sum(row[2] for row in rows))


def _gaps(sealed: Iterable[int], items: int) -> Iterator[tuple[int, int]]:
    """The first and last places between blocks that are summed up."""
    first = 0
    for block in sorted(sealed):
        if first < block * BLOCK:
            yield first, block * BLOCK - 1
        first = (block + 1) * BLOCK
    if first < items:
        yield first, items - 1


def _read(connection: Connection, tenant: str, run_id: str, rubric: Rubric, first: int, last: int) -> Digest:
    """What the items from one place to another came to, read one by one."""
    graded = (grade.c.tenant == tenant, grade.c.run == run_id, grade.c.seq.between(first, last))
    alike = (
        case((_OWN, 1), else_=0).label("own"),
        grade.c.criterion,
        grade.c.outcome,
        grade.c.score,
        _LABEL.label("label"),
        grade.c.cause,
        grade.c.passed,
    )
    sums = (func.count(), func.coalesce(func.sum(grade.c.low), 0.0), func.coalesce(func.sum(grade.c.high), 0.0))
    rows = connection.execute(select(*alike, *sums).join(run_item, LATEST).where(*graded).group_by(*alike))
    grades = {Alike(bool(row[0]), *row[1:7]): Many(*row[7:]) for row in rows}
    ended = select(run_item.c.state, run_item.c.model, func.count(), func.sum(run_item.c.reused)).where(
        run_item.c.tenant == tenant, run_item.c.run == run_id, run_item.c.state.in_(ENDED)
    )
    ended = ended.where(run_item.c.seq.between(first, last)).group_by(run_item.c.state, run_item.c.model)
    items: Counter[tuple[str, str | None]] = Counter()
    reused = 0
    for state, model, count, again in connection.execute(ended):
        items[state, model] += count
        reused += again
    by_section: tuple[Sum, ...] = ()
    if rubric.sections:
        by_section = section_sums(rubric, scores(connection, tenant, run_id, first, last))
    return Digest(grades, items, reused, by_section)
