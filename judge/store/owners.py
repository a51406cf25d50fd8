"""Whether owners live: the processes that share a database."""

from __future__ import annotations

import time
from pathlib import Path

from sqlalchemy import Connection

from judge import owner as processes
from judge.owner import WORKERS
from judge.store import presence

#: How long the word of a process of another machine holds, for what it has begun and says again and again.
WORD_S = 60.0


def is_dead(connection: Connection, owner: str) -> bool:
    """True where an owner is known to have ended. On a PostgreSQL one of another machine is never known to have."""
    if owner == WORKERS:
        return False
    if processes.is_here(owner):
        return processes.is_dead(owner)
    database = connection.engine.url.database
    if connection.dialect.name != "sqlite" or not database:
        return False
    return presence.is_gone(Path(database), owner)


def is_gone(connection: Connection, owner: str, since: float) -> bool:
    """Whether nobody ends any more what an owner has begun, and has said at a time that it is at work on.

    One of this machine and name is asked after; of all others silence says enough, be they alive or not.
    """
    return is_dead(connection, owner) or (not processes.is_here(owner) and since < time.time() - WORD_S)
