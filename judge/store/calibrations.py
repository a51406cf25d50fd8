"""The statements of calibrations: each a version of a name, never changed; and of looks at held-out labels."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, tuple_, update

from judge.ledger import now
from judge.store import labels
from judge.store.tables import calibration, opening, run


@dataclass(frozen=True, slots=True)
class CalibrationHead:
    """A calibration, as a list of them shows it."""

    id: str
    name: str
    version: int
    rubric_hash: str
    judge_fingerprint: str
    label_set: str
    labels_hash: str
    seed: int
    run: str | None
    created_at: float


@dataclass(frozen=True, slots=True)
class CalibrationInfo(CalibrationHead):
    """A calibration. `body` is the whole of it as JSON."""

    body: str


def add(connection: Connection, tenant: str, name: str, body: str, **binding: Any) -> CalibrationInfo:
    """The next version of a calibration. `binding` is what it belongs to: the columns between name and body."""
    newest = select(func.max(calibration.c.version)).where(calibration.c.tenant == tenant, calibration.c.name == name)
    version = (connection.execute(newest).scalar() or 0) + 1
    row = {"id": uuid.uuid4().hex[:12], "name": name, "version": version, "created_at": now(), "body": body, **binding}
    connection.execute(insert(calibration), {"tenant": tenant, **row})
    return CalibrationInfo(**row)


def find(connection: Connection, tenant: str, name: str | None = None) -> list[CalibrationInfo]:
    """All calibrations, or the versions of a name, or the one of an id; newest first."""
    wanted = select(calibration).where(calibration.c.tenant == tenant)
    if name is not None:
        wanted = wanted.where((calibration.c.name == name) | (calibration.c.id == name))
    ordered = wanted.order_by(calibration.c.created_at.desc(), calibration.c.version.desc())
    return [_info(row) for row in connection.execute(ordered)]


def page(
    connection: Connection, tenant: str, name: str | None, after: CalibrationHead | None, limit: int
) -> list[CalibrationHead]:
    """So many calibrations, or versions of a name, without their bodies: those after one, or the newest."""
    columns = [calibration.c[one.name] for one in fields(CalibrationHead)]
    wanted = select(*columns).where(calibration.c.tenant == tenant)
    if name is not None:
        wanted = wanted.where(calibration.c.name == name)
    place = (calibration.c.created_at, calibration.c.version, calibration.c.id)
    if after is not None:
        wanted = wanted.where(tuple_(*place) < tuple_(after.created_at, after.version, after.id))
    ordered = wanted.order_by(*(column.desc() for column in place)).limit(limit)
    return [CalibrationHead(**row._mapping) for row in connection.execute(ordered)]


def open_test(connection: Connection, tenant: str, label_set: str, seed: int, purpose: str) -> int:
    """Writes down that held-out labels are looked at. Returns how often they have been, this time included.

    Looks by any seed count: another one divides the same labels otherwise. So do looks at sets of the same labels.
    """
    looks = select(func.count()).where(opening.c.tenant == tenant)
    own = connection.execute(looks.where(opening.c.label_set == label_set)).scalar_one()
    elsewhere = looks.where(opening.c.label_set.in_(labels.copies(connection, tenant, label_set)))
    row = {"tenant": tenant, "label_set": label_set, "seed": seed, "number": own + 1, "purpose": purpose, "at": now()}
    connection.execute(insert(opening), row)
    return int(own + 1 + connection.execute(elsewhere).scalar_one())


def show_by(connection: Connection, tenant: str, run_id: str, calibration_id: str | None) -> None:
    """The calibration that a run's grades are shown by."""
    connection.execute(update(run).where(run.c.tenant == tenant, run.c.id == run_id).values(calibration=calibration_id))


def shown_by(connection: Connection, tenant: str, run_id: str) -> str | None:
    """The id of the calibration that a run's grades are shown by; None for none."""
    wanted = select(run.c.calibration).where(run.c.tenant == tenant, run.c.id == run_id)
    found: str | None = connection.execute(wanted).scalar()
    return found


def _info(row: Row[Any]) -> CalibrationInfo:
    told = {name: value for name, value in row._mapping.items() if name != "tenant"}
    return CalibrationInfo(**told)
