"""Answers of the service by idempotency key: a request that comes again gets the answer of the first."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import ColumnElement, Connection, and_, delete, select, update

from judge.ledger import now
from judge.owner import this_process
from judge.store.conflicts import ignoring
from judge.store.owners import WORD_S, is_dead
from judge.store.tables import replay

KEPT_S = 7 * 24 * 3600.0


class Found(StrEnum):
    """What a key brought."""

    NEW = "new"  #: nobody had used it: go on
    ANSWERED = "answered"  #: here is the answer
    OTHER = "other"  #: it belongs to another request
    BUSY = "busy"  #: the same request is being worked on


@dataclass(frozen=True, slots=True)
class Replay:
    """The answer that a key has."""

    status: int
    headers: dict[str, str]
    body: bytes


def begin(
    connection: Connection, tenant: str, route: str, key: str, fingerprint: str, at_work: Collection[str]
) -> tuple[Found, Replay | None]:
    """Takes a key for a request, or says why not.

    What a process had begun that is dead, or says no more that it goes on, is begun anew; so is what this one had that
    is not `at_work` on it any more.
    """
    connection.execute(delete(replay).where(replay.c.tenant == tenant, replay.c.at < now() - KEPT_S))
    row = {"tenant": tenant, "route": route, "key": key, "fingerprint": fingerprint, "owner": this_process()}
    added = connection.execute(ignoring(connection, replay).returning(replay.c.key), {**row, "at": now()}).first()
    if added is not None:
        return Found.NEW, None
    here = _here(tenant, route, key)
    held = connection.execute(select(replay).where(here).with_for_update()).first()
    if held is None:  # it was just given back
        return Found.BUSY, None
    if held.fingerprint != fingerprint:
        return Found.OTHER, None
    if held.status is not None:
        return Found.ANSWERED, Replay(held.status, json.loads(held.headers), held.body)
    silent = held.at < now() - WORD_S or is_dead(connection, held.owner)
    if key in at_work if held.owner == this_process() else not silent:
        return Found.BUSY, None
    connection.execute(update(replay).where(here).values(owner=this_process(), at=now()))
    return Found.NEW, None


def answer(connection: Connection, tenant: str, route: str, key: str, told: Replay) -> bool:
    """Keeps the answer to a request. False where it is another process that is at work on it now."""
    values = {"status": told.status, "headers": json.dumps(told.headers), "body": told.body, "owner": None}
    kept = update(replay).where(_ours(tenant, route, key)).values(**values, at=now())
    return connection.execute(kept).rowcount > 0


def go_on(connection: Connection, tenant: str, route: str, key: str) -> None:
    """Says that this process is at work on the request still: to those who cannot look."""
    connection.execute(update(replay).where(_ours(tenant, route, key)).values(at=now()))


def forget(connection: Connection, tenant: str, route: str, key: str) -> None:
    """Gives a key back: the request was refused, and may come again."""
    connection.execute(delete(replay).where(_ours(tenant, route, key)))


def _ours(tenant: str, route: str, key: str) -> ColumnElement[bool]:
    return and_(_here(tenant, route, key), replay.c.status.is_(None), replay.c.owner == this_process())


def _here(tenant: str, route: str, key: str) -> ColumnElement[bool]:
    return and_(replay.c.tenant == tenant, replay.c.route == route, replay.c.key == key)
