"""From an empty or older database to the tables of this program."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from judge.errors import StoreError
from judge.store.locks import Lock, hold
from judge.store.tables import REVISION, metadata

if TYPE_CHECKING:
    from alembic.config import Config


#: Text columns of a PostgreSQL schema that are not yet as `_as_bytes` makes them.
_OTHER_TEXTS = text("""
    SELECT relname, attname FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
    WHERE relnamespace = CAST(current_schema() AS regnamespace) AND relname = ANY(:tables) AND attnum > 0
    AND atttypid IN (CAST('varchar' AS regtype), CAST('text' AS regtype))
    AND NOT (atttypid = CAST('text' AS regtype) AND attcollation = CAST('"C"' AS regcollation))
""")


def revision(connection: Connection) -> str | None:
    """The migration that a database is at; None for an empty one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


def check(connection: Connection, name: str) -> None:
    """Sets an empty database up, in the caller's transaction. Raises StoreError for one of another version."""
    found = revision(connection)
    if found is None:
        upgrade(connection, name)
    elif found != REVISION:
        _refuse_newer(found, name)
        raise StoreError(
            f"{name}: made by an older version of this program (schema {found}); bring it to this one's "
            f"({REVISION}) with: judge db upgrade"
        )


def upgrade(connection: Connection, name: str) -> None:
    """Brings a database to this program's tables, in the caller's transaction. Raises StoreError for a newer one."""
    hold(connection, Lock.SCHEMA)
    found = revision(connection)
    if found is not None:
        _refuse_newer(found, name)
    from alembic import command  # noqa: PLC0415 - slow to import, and needed once in a database's life

    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, REVISION)
    if connection.dialect.name == "postgresql":
        _as_bytes(connection)


def _as_bytes(connection: Connection) -> None:
    """Makes text what it is on SQLite: of any length, compared and ordered by its bytes."""
    changes: dict[str, list[str]] = {}
    for table, column in connection.execute(_OTHER_TEXTS, {"tables": list(metadata.tables)}):
        changes.setdefault(table, []).append(f'ALTER COLUMN "{column}" TYPE text COLLATE "C"')
    for table, columns in changes.items():
        connection.exec_driver_sql(f'ALTER TABLE "{table}" {", ".join(columns)}')


def _refuse_newer(found: str, name: str) -> None:
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - as above

    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if found not in known:
        raise StoreError(
            f"{name}: made by a newer version of this program (schema {found}); "
            "upgrade the program, or set JUDGE_DATABASE_URL to another database"
        )


def _config() -> Config:
    from alembic.config import Config  # noqa: PLC0415 - as above

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    return config
