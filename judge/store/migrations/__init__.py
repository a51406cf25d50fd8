"""From an empty or older database to the tables of this program."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from judge.errors import StoreError
from judge.store.tables import REVISION


def migrate(connection: Connection) -> None:
    """Brings the database to this program's tables, in the caller's transaction.

    Raises StoreError for a database that a newer program made.
    """
    found = None
    if inspect(connection).has_table("alembic_version"):
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    if found == REVISION:
        return
    # Alembic takes longer to import than the rest of a start, and is needed once in a database's life.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        raise StoreError(
            f"{connection.engine.url.database}: made by a newer version of this program (schema {found}); "
            "upgrade the program, or set JUDGE_DATABASE_URL to another database"
        )
    config.attributes["connection"] = connection
    command.upgrade(config, REVISION)
