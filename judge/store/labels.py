"""The statements of labels: added to a set, never changed; and of the sheets that their items were drawn by."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, and_, delete, func, insert, or_, select, tuple_

from judge.calibration.labelling.labels import Label
from judge.ledger import now
from judge.store.conflicts import ignoring
from judge.store.tables import calibration, label, label_set, run_item, sheet, sheet_item
from judge.verdicts import Outcome

#: Sets that share this many of the smaller one's labels are the same labels.
SAME_LABELS = 0.9


@dataclass(frozen=True, slots=True)
class Added:
    """What an import did: labels of new cells, new labels of cells that had another, and labels that were there.

    `placed` labels were there too, and now have a group, a sheet or a run they are a sample of that they had not.
    """

    new: int
    changed: int
    same: int
    placed: int = 0


@dataclass(frozen=True, slots=True)
class SetInfo:
    """A label set, as a list of them shows it. `labels` counts every cell once."""

    name: str
    asked_hash: str
    created_at: float
    labels: int
    items: int
    annotators: int


@dataclass(frozen=True, slots=True)
class Stored:
    """A label, and how its item came to be labelled."""

    label: Label
    sheet: str | None
    sampled_from: str | None


@dataclass(frozen=True, slots=True)
class Drawn:
    """An item of a run that a sheet was drawn from: its stratum, its probability of being drawn, and whether it was."""

    item: str
    stratum: int
    probability: float
    drawn: bool


def asked_hash(connection: Connection, tenant: str, name: str) -> str | None:
    """What the labels of a set answer; None where there is no such set."""
    wanted = select(label_set.c.asked_hash).where(label_set.c.tenant == tenant, label_set.c.name == name)
    found: str | None = connection.execute(wanted).scalar()
    return found


def add(
    connection: Connection,
    tenant: str,
    name: str,
    asked: str,
    labels: Sequence[Label],
    source: str,
    sheet_id: str | None = None,
    sampled_from: str | None = None,
) -> Added:
    """Adds labels to a set, and makes the set where there is none. What was there stays as it is.

    A revision says what is new. The group, the sheet and the sample that it says nothing of are those from before.
    """
    row = {"tenant": tenant, "name": name, "asked_hash": asked, "created_at": now()}
    connection.execute(ignoring(connection, label_set), row)
    known = {one.label.cell: (revision, one) for revision, one in _newest(connection, tenant, name)}
    rows, changed, same, placed = [], 0, 0, 0
    at = now()
    for one in labels:
        revision, before = known.get(one.cell, (-1, None))
        place = {"group": one.group, "sheet": sheet_id, "sampled_from": sampled_from}
        if before is not None:
            stood = {"group": before.label.group, "sheet": before.sheet, "sampled_from": before.sampled_from}
            place = {key: stood[key] if told is None else told for key, told in place.items()}
            if before.label.said != one.said:
                changed += 1
            elif place != stood:
                placed += 1
            else:
                same += 1
                continue
        fixed = {"tenant": tenant, "label_set": name, "revision": revision + 1, "source": source, "at": at}
        rows.append(_row(one) | place | fixed)
    if rows:
        connection.execute(insert(label), rows)
    return Added(len(rows) - changed - placed, changed, same, placed)


def sources(connection: Connection, tenant: str, name: str) -> set[str]:
    """Where the labels of a set are from: the paths of files."""
    wanted = select(label.c.source).where(label.c.tenant == tenant, label.c.label_set == name).distinct()
    return set(connection.execute(wanted).scalars())


def rests_on(connection: Connection, tenant: str, name: str) -> list[str]:
    """The calibrations that were made from a set, as NAME vVERSION, the first one first."""
    wanted = select(calibration.c.name, calibration.c.version).where(
        calibration.c.tenant == tenant, calibration.c.label_set == name
    )
    return [f"{row.name} v{row.version}" for row in connection.execute(wanted.order_by(calibration.c.created_at))]


def remove(connection: Connection, tenant: str, name: str) -> list[str]:
    """Deletes a set and its labels, unless calibrations rest on it: returns these.

    The looks at its held-out labels stay counted: they would be the same ones if they were imported again.
    """
    if resting := rests_on(connection, tenant, name):
        return resting
    connection.execute(delete(label).where(label.c.tenant == tenant, label.c.label_set == name))
    connection.execute(delete(label_set).where(label_set.c.tenant == tenant, label_set.c.name == name))
    return []


def copies(connection: Connection, tenant: str, name: str) -> list[str]:
    """The other sets that hold the same labels: nine in ten of the smaller set's, as they ever were."""
    mine, other = label.alias(), label.alias()
    same = [mine.c[column] == other.c[column] for column in ("tenant", "item_id", "criterion", "annotator", "outcome")]
    same += [mine.c[column].is_not_distinct_from(other.c[column]) for column in ("level", "value")]
    cells = (
        select(other.c.label_set, other.c.item_id, other.c.criterion, other.c.annotator)
        .select_from(mine.join(other, and_(*same, other.c.label_set != name)))
        .where(mine.c.tenant == tenant, mine.c.label_set == name)
        .distinct()
        .subquery()
    )
    shared = select(cells.c.label_set, func.count()).group_by(cells.c.label_set)
    sizes = {one.name: one.labels for one in sets(connection, tenant)}
    return [
        found for found, count in connection.execute(shared) if count >= SAME_LABELS * min(sizes[name], sizes[found])
    ]


def of_set(connection: Connection, tenant: str, name: str, until: float | None = None) -> list[Stored]:
    """The newest label of every cell, by item, criterion and annotator; the newest of a time, in seconds since 1970."""
    return [one for _, one in _newest(connection, tenant, name, until)]


def page(
    connection: Connection, tenant: str, name: str, after: tuple[str, str, str] | None, limit: int
) -> list[Stored]:
    """The newest label of so many cells, as `of_set` orders them: those after one cell, or the first ones."""
    newer, cell = label.alias(), (label.c.item_id, label.c.criterion, label.c.annotator)
    same = [newer.c[column.name] == column for column in (label.c.tenant, label.c.label_set, *cell)]
    newest = select(func.max(newer.c.revision)).where(*same).scalar_subquery()
    wanted = select(label).where(label.c.tenant == tenant, label.c.label_set == name, label.c.revision == newest)
    if after is not None:
        wanted = wanted.where(tuple_(*cell) > tuple_(*after))
    found = connection.execute(wanted.order_by(*cell).limit(limit))
    return [Stored(_label(row), row.sheet, row.sampled_from) for row in found]


def sets(
    connection: Connection,
    tenant: str,
    name: str | None = None,
    after: SetInfo | None = None,
    limit: int | None = None,
) -> list[SetInfo]:
    """All label sets, the one of a name, or so many that come after one; newest first."""
    wanted = [label_set.c.tenant == tenant]
    if name is not None:
        wanted.append(label_set.c.name == name)
    if after is not None:
        then = and_(label_set.c.created_at == after.created_at, label_set.c.name > after.name)
        wanted.append(or_(label_set.c.created_at < after.created_at, then))
    counted = (
        select(
            label_set.c.name,
            label_set.c.asked_hash,
            label_set.c.created_at,
            func.count().filter(label.c.revision == 0),
            func.count(label.c.item_id.distinct()),
            func.count(label.c.annotator.distinct()),
        )
        .select_from(
            label_set.join(label, (label.c.tenant == label_set.c.tenant) & (label.c.label_set == label_set.c.name))
        )
        .where(*wanted)
        .group_by(label_set.c.name, label_set.c.asked_hash, label_set.c.created_at)
        .order_by(label_set.c.created_at.desc(), label_set.c.name)
        .limit(limit)
    )
    return [SetInfo(*row) for row in connection.execute(counted)]


def draw(connection: Connection, tenant: str, sheet_id: str, run_id: str, seed: int, drawn: Iterable[Drawn]) -> None:
    """Writes down every item of a run: with which probability it was drawn, and whether it was."""
    row = {"tenant": tenant, "id": sheet_id, "run": run_id, "seed": seed, "created_at": now()}
    connection.execute(insert(sheet), row)
    items = [
        {
            "tenant": tenant,
            "sheet": sheet_id,
            "item_id": one.item,
            "stratum": one.stratum,
            "probability": one.probability,
            "drawn": one.drawn,
        }
        for one in drawn
    ]
    connection.execute(insert(sheet_item), items)


def sheet_run(connection: Connection, tenant: str, sheet_id: str) -> str | None:
    """The run that a sheet was drawn from; None where there is no such sheet."""
    found: str | None = connection.execute(
        select(sheet.c.run).where(sheet.c.tenant == tenant, sheet.c.id == sheet_id)
    ).scalar()
    return found


def sheets_of(connection: Connection, tenant: str, run_id: str) -> list[str]:
    """The sheets that were drawn from a run, the first one first."""
    wanted = select(sheet.c.id).where(sheet.c.tenant == tenant, sheet.c.run == run_id)
    return list(connection.execute(wanted.order_by(sheet.c.created_at, sheet.c.id)).scalars())


def drawn_for(connection: Connection, tenant: str, sheet_id: str) -> list[Drawn]:
    """Every item of the run that a sheet was drawn from."""
    wanted = select(sheet_item).where(sheet_item.c.tenant == tenant, sheet_item.c.sheet == sheet_id)
    return [Drawn(row.item_id, row.stratum, row.probability, row.drawn) for row in connection.execute(wanted)]


def item_ids(connection: Connection, tenant: str, run_id: str) -> set[str]:
    """The ids of a run's items."""
    wanted = select(run_item.c.item_id).where(run_item.c.tenant == tenant, run_item.c.run == run_id)
    return set(connection.execute(wanted).scalars())


def item_hashes(connection: Connection, tenant: str, run_id: str) -> dict[str, str]:
    """The hash of each item's texts, by its id; nothing of a run that is gone."""
    wanted = select(run_item.c.item_id, run_item.c.item_hash).where(
        run_item.c.tenant == tenant, run_item.c.run == run_id
    )
    return {row.item_id: row.item_hash for row in connection.execute(wanted)}


def _newest(connection: Connection, tenant: str, name: str, until: float | None = None) -> list[tuple[int, Stored]]:
    wanted = select(label).where(label.c.tenant == tenant, label.c.label_set == name)
    if until is not None:
        wanted = wanted.where(label.c.at <= until)
    ordered = wanted.order_by(label.c.item_id, label.c.criterion, label.c.annotator, label.c.revision)
    newest = {(row.item_id, row.criterion, row.annotator): row for row in connection.execute(ordered)}
    return [(row.revision, Stored(_label(row), row.sheet, row.sampled_from)) for row in newest.values()]


def _label(row: Row[Any]) -> Label:
    return Label(
        item=row.item_id,
        criterion=row.criterion,
        annotator=row.annotator,
        outcome=Outcome(row.outcome),
        level=None if row.level is None else json.loads(row.level),
        value=row.value,
        reason=row.reason,
        group=row.group,
    )


def _row(one: Label) -> dict[str, Any]:
    return {
        "item_id": one.item,
        "criterion": one.criterion,
        "annotator": one.annotator,
        "outcome": one.outcome,
        "level": None if one.level is None else json.dumps(one.level),
        "value": one.value,
        "reason": one.reason,
        "group": one.group,
    }
