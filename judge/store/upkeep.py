"""Looking after a database: what is in it, bringing an older one up to date, copies."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, func, select, table
from sqlalchemy.exc import SQLAlchemyError

from judge.errors import StoreError
from judge.store import migrations
from judge.store.backend import Backend
from judge.store.database import check_is_there
from judge.store.tables import REVISION

#: What people count: runs, the items that they share, and calls.
COUNTED = ("run", "item", "call")


@dataclass(frozen=True, slots=True)
class Status:
    """What a database is and holds. `size_bytes` is None where its files are a server's."""

    name: str
    revision: str | None  #: None while it has no tables
    rows: dict[str, int]
    size_bytes: int | None


@dataclass(frozen=True, slots=True)
class Upgrade:
    """What an upgrade did: from which revision to which, and where the database is as it was before."""

    before: str | None
    after: str
    backup: Path | None


def status(backend: Backend) -> Status:
    """Looks into a database of any version. Raises StoreError."""
    check_is_there(backend)

    def query(connection: Connection) -> tuple[str | None, dict[str, int]]:
        revision = migrations.revision(connection)
        counted = COUNTED if revision is not None else ()
        counts = {name: select(func.count()).select_from(table(name)) for name in counted}
        return revision, {name: connection.execute(count).scalar_one() for name, count in counts.items()}

    try:
        revision, rows = backend.read(query)
    except SQLAlchemyError as error:
        raise backend.explained(error) from None
    return Status(backend.name, revision, rows, _size_bytes(backend.path))


def upgrade(backend: Backend) -> Upgrade:
    """Brings a database to this program's tables. A file is first copied beside itself. Raises StoreError."""
    check_is_there(backend)

    def work(connection: Connection) -> Upgrade:
        before, copy = migrations.revision(connection), None
        if before not in (None, REVISION) and backend.path is not None:
            # Nobody writes meanwhile: this transaction holds the file.
            stamp = time.strftime("%Y%m%dT%H%M%S")
            copy = backend.path.with_name(f"{backend.path.name}.{before}-{stamp}.backup")
            backup(backend, copy)
        migrations.upgrade(connection, backend.name)
        return Upgrade(before, REVISION, copy)

    try:
        return backend.transact(work)
    except SQLAlchemyError as error:
        raise backend.explained(error) from None


def backup(backend: Backend, out: Path) -> None:
    """Copies a database, as of one moment, into a new file. Raises StoreError, and then leaves no file."""
    check_is_there(backend)
    try:
        out.touch(mode=0o600, exist_ok=False)
    except FileExistsError:
        raise StoreError(f"{out}: is there already; name another file") from None
    except OSError as error:
        raise StoreError(f"{out}: cannot be written ({error.strerror}); name another file") from None
    try:
        backend.backup(out)
    except BaseException:
        out.unlink()
        raise


def _size_bytes(path: Path | None) -> int | None:
    """Of a file, and of what is not yet moved into it."""
    if path is None:
        return None
    parts = (path, path.with_name(path.name + "-wal"))
    return sum(part.stat().st_size for part in parts if part.exists())
