"""Many rows by one statement, where the database can.

On a PostgreSQL each statement is a wait for the server and then for this process's turn to go on: that of a row costs
as much as that of a hundred. SQLite is in this process, and takes rows one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from sqlalchemy import ARRAY, Column, ColumnElement, Connection, String, Table, Text, Update, bindparam, func, select
from sqlalchemy.dialects import sqlite

Row = Mapping[str, Any]
#: A row's own value, by the name of its column.
Own = Callable[[str], ColumnElement[Any]]


@dataclass(frozen=True)
class Changes:
    """An update of many rows of a table, each by values of its own.

    Parameters
    ----------
    names
        Columns that each row is given a value of, be it to find it or to change it.
    key
        Those by which a row is found. Of two changes to one row the second comes after the first.
    made
        The update, of a function that tells a row's own value.
    """

    table: Table
    names: tuple[str, ...]
    key: tuple[str, ...]
    made: Callable[[Own], Update]

    def execute(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Changes rows, which are there and have these names."""
        if not rows:
            return
        if connection.dialect.name == "sqlite":
            connection.execute(self._one, [{f"b_{name}": row[name] for name in self.names} for row in rows])
            return
        for among in _apart(rows, self.key):
            connection.execute(self._all, _by_column(self.table, self.names, among))

    @cached_property
    def _one(self) -> Update:
        return self.made(lambda name: bindparam(f"b_{name}", type_=self.table.c[name].type))

    @cached_property
    def _all(self) -> Update:
        given = _given(self.table, self.names)
        return self.made(lambda name: given.c[name])


def add(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Adds rows, all of the same columns. None of them may be there."""
    if not rows:
        return
    if connection.dialect.name == "sqlite":
        connection.execute(sqlite.insert(table), rows)
        return
    names = tuple(rows[0])
    connection.execute(_adding(table, names), _by_column(table, names, rows))


def add_missing(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Adds rows, all of the same columns, but for those whose key is there."""
    if not rows:
        return
    if connection.dialect.name == "sqlite":
        connection.execute(sqlite.insert(table).on_conflict_do_nothing(), rows)
        return
    names = tuple(rows[0])
    connection.execute(_adding(table, names).on_conflict_do_nothing(), _by_column(table, names, rows))


def added(connection: Connection, table: Table, rows: Sequence[Row], key: Column[str]) -> set[str]:
    """See `add_missing`. Returns the keys of those that were added."""
    if connection.dialect.name == "sqlite":  # who has begun to write is alone
        connection.execute(sqlite.insert(table), rows)
        return {row[key.name] for row in rows}
    names = tuple(rows[0])
    adding = _adding(table, names).on_conflict_do_nothing().returning(key)
    return set(connection.execute(adding, _by_column(table, names, rows)).scalars())


@lru_cache(maxsize=64)
def _adding(table: Table, names: tuple[str, ...]) -> Any:
    from sqlalchemy.dialects import postgresql  # noqa: PLC0415 - 20 ms, only for those who have one

    given = _given(table, names)
    rows = select(*(given.c[name] for name in names))
    return postgresql.insert(table).from_select(list(names), rows, include_defaults=False)


def _given(table: Table, names: Sequence[str]) -> Any:
    """Rows as they are given: an array for each column."""
    types = {name: table.c[name].type for name in names}
    # A cast to a type with a length would cut off what is longer.
    types = {name: Text() if isinstance(one, String) else one for name, one in types.items()}
    arrays = (bindparam(f"b_{name}", type_=ARRAY(one)) for name, one in types.items())
    return func.unnest(*arrays).table_valued(*(Column(*one) for one in types.items())).render_derived("given")


def _by_column(table: Table, names: Sequence[str], rows: Sequence[Row]) -> dict[str, list[Any]]:
    return {f"b_{name}": _alike(table.c[name].type.python_type, [row[name] for row in rows]) for name in names}


def _alike(kind: type, values: list[Any]) -> list[Any]:
    """Values as an array takes them, which has numbers of one type only."""
    if kind not in (bool, int, float):
        return values
    return [value if value is None or type(value) is kind else kind(value) for value in values]


def _apart(rows: Iterable[Row], key: Sequence[str]) -> list[list[Row]]:
    """Rows in groups, each without two of one key, which a single statement would change once."""
    groups: list[dict[tuple[Any, ...], Row]] = []
    for row in rows:
        place = tuple(row[name] for name in key)
        group = next((one for one in groups if place not in one), None)
        if group is None:
            groups.append(group := {})
        group[place] = row
    return [list(one.values()) for one in groups]
