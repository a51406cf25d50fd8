"""What must not happen at once, where the database itself lets several write at once.

On PostgreSQL these are advisory locks, held until the transaction ends. On SQLite writers take turns anyway.
"""

from __future__ import annotations

from enum import IntEnum

from sqlalchemy import Connection, text

#: Says, among all advisory locks of a database, that one is ours: "judg".
_OURS = 0x6A756467
_ALONE = text("SELECT pg_advisory_xact_lock(:ours, :lock)")
_TOGETHER = text("SELECT pg_advisory_xact_lock_shared(:ours, :lock)")


class Lock(IntEnum):
    """What is locked."""

    SCHEMA = 1  #: making and migrating the tables
    ITEMS = 2  #: adding items that runs share, and removing those that none has any more
    JOBS = 3  #: looking for runs that no job is about
    NAMES = 4  #: registering what a name stands for


def hold(connection: Connection, lock: Lock, shared: bool = False) -> None:
    """Waits until no other transaction holds the lock; shared ones keep out only those that are not."""
    if connection.dialect.name == "postgresql":
        connection.execute(_TOGETHER if shared else _ALONE, {"ours": _OURS, "lock": lock.value})
