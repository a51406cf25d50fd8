"""The statements of judges that are watched: how each criterion of a calibration stands between checks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select, update

from judge.errors import StoreError
from judge.ledger import now
from judge.store.conflicts import ignoring
from judge.store.tables import watch


@dataclass(frozen=True, slots=True)
class Watched:
    """How one criterion stands, or one label of it (else -1), after so many checks. `body` is JSON."""

    criterion: str
    label: int
    checks: int
    body: str


def of_calibration(connection: Connection, tenant: str, calibration_id: str) -> list[Watched]:
    """All that is watched by a calibration."""
    wanted = select(watch).where(watch.c.tenant == tenant, watch.c.calibration == calibration_id)
    ordered = wanted.order_by(watch.c.criterion, watch.c.label)
    return [Watched(row.criterion, row.label, row.checks, row.body) for row in connection.execute(ordered)]


def keep(connection: Connection, tenant: str, calibration_id: str, after: Sequence[Watched]) -> None:
    """Writes down how things stand after another check, all of it or nothing.

    Raises StoreError where another check was written down since this one began: two may not go on from one state.
    """
    for one in after:
        row = {"tenant": tenant, "calibration": calibration_id, "criterion": one.criterion, "label": one.label}
        new = {"checks": one.checks, "body": one.body, "at": now()}
        if one.checks == 1:
            written = connection.execute(ignoring(connection, watch).returning(watch.c.checks), {**row, **new}).all()
        else:
            here = [watch.c[name] == value for name, value in row.items()]
            before = update(watch).where(*here, watch.c.checks == one.checks - 1).values(**new)
            written = connection.execute(before.returning(watch.c.checks)).all()
        if not written:
            raise StoreError("another check of this calibration ended while this one went on; check once more")
