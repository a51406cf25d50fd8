"""Rubrics and judges by the names that callers of the service gave them, each content a revision of its name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, insert, select, update

from judge.ledger import now
from judge.store.locks import Lock, hold
from judge.store.tables import registration


class Kind(StrEnum):
    """What a name stands for."""

    RUBRIC = "rubric"
    JUDGE = "judge"


@dataclass(frozen=True, slots=True)
class Registration:
    """One revision of a name. `body` is JSON, `created_at` in seconds since 1970."""

    name: str
    revision: int
    hash: str
    body: str
    created_at: float


def add(
    connection: Connection, tenant: str, kind: Kind, name: str, hash_: str, content: Mapping[str, Any]
) -> tuple[Registration, bool]:
    """Makes a name stand for this content, and says whether that is new: the same content is the same revision.

    `content` is plain data, without the name; `hash_` is what it is known by, whatever its name.
    """
    hold(connection, Lock.NAMES)
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    here = _named(tenant, kind, name)
    revision, turn = connection.execute(
        select(func.max(registration.c.revision), func.max(registration.c.turn)).where(*here)
    ).one()
    known = connection.execute(select(registration).where(*here, registration.c.content_hash == digest)).first()
    if known is not None:
        if known.turn != turn:
            found = update(registration).where(*here, registration.c.revision == known.revision)
            connection.execute(found.values(turn=turn + 1))
        return _registration(known), False
    made = Registration(name, (revision or 0) + 1, hash_, json.dumps(content, ensure_ascii=False), now())
    row = {"tenant": tenant, "kind": kind, "content_hash": digest, "turn": (turn or 0) + 1, **asdict(made)}
    connection.execute(insert(registration), row)
    return made, True


def find(
    connection: Connection, tenant: str, kind: Kind, name: str, revision: int | None = None
) -> Registration | None:
    """What a name stands for, or one of its revisions."""
    wanted = select(registration).where(*_named(tenant, kind, name))
    if revision is not None:
        wanted = wanted.where(registration.c.revision == revision)
    return _first(connection, wanted.order_by(registration.c.turn.desc()))


def by_hash(connection: Connection, tenant: str, kind: Kind, hash_: str) -> Registration | None:
    """The newest registration with a hash, under whatever name."""
    wanted = select(registration).where(
        registration.c.tenant == tenant, registration.c.kind == kind, registration.c.hash == hash_
    )
    return _first(connection, wanted.order_by(registration.c.created_at.desc(), registration.c.name))


def names(connection: Connection, tenant: str, kind: Kind, but: Collection[str], after: str, limit: int) -> list[str]:
    """Names that stand for something, in their order."""
    wanted = select(registration.c.name).where(registration.c.tenant == tenant, registration.c.kind == kind)
    wanted = wanted.where(registration.c.name > after, registration.c.name.not_in(but))
    return list(connection.execute(wanted.distinct().order_by(registration.c.name).limit(limit)).scalars())


def _named(tenant: str, kind: Kind, name: str) -> tuple[ColumnElement[bool], ...]:
    return registration.c.tenant == tenant, registration.c.kind == kind, registration.c.name == name


def _first(connection: Connection, wanted: Select[Any]) -> Registration | None:
    row = connection.execute(wanted.limit(1)).first()
    return None if row is None else _registration(row)


def _registration(row: Any) -> Registration:
    return Registration(row.name, row.revision, row.hash, row.body, row.created_at)
