"""Inserts that meet a row with the same key: another process may have been first."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import sqlite


def _insert(connection: Connection, table: Table) -> Any:
    if connection.dialect.name == "sqlite":
        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql  # noqa: PLC0415 - 20 ms, only for those who have one

    return postgresql.insert(table)


def ignoring(connection: Connection, table: Table) -> Any:
    """An insert that leaves a row as it is where one has the key."""
    return _insert(connection, table).on_conflict_do_nothing()


def replacing(connection: Connection, table: Table) -> Any:
    """An insert that puts the new row in the place of one that has the key."""
    insert = _insert(connection, table)
    keys = list(table.primary_key.columns)
    values = {column.name: insert.excluded[column.name] for column in table.columns if column not in set(keys)}
    return insert.on_conflict_do_update(index_elements=keys, set_=values)
