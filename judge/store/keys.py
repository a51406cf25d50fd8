"""API keys, by id; of any tenant, since a key is what says which one is asked for."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, insert, select, update

from judge.keys import Key, Scope
from judge.ledger import now
from judge.store.tables import api_key


def add(connection: Connection, tenant: str, key: Key) -> None:
    """Keeps a key, for its own tenant."""
    row: dict[str, Any] = {"tenant": key.tenant, "id": key.id, "name": key.name, "hash": key.hash}
    row |= {"scopes": " ".join(sorted(key.scopes)), "created_at": key.created_at, "expires_at": key.expires_at}
    connection.execute(insert(api_key), row)


def find(connection: Connection, tenant: str, id_: str) -> Key | None:
    """The key of an id, whosever it is."""
    row = connection.execute(select(api_key).where(api_key.c.id == id_)).first()
    return None if row is None else _key(row)


def every(connection: Connection, tenant: str) -> list[Key]:
    """All keys of all tenants, the oldest first."""
    return [_key(row) for row in connection.execute(select(api_key).order_by(api_key.c.created_at, api_key.c.id))]


def revoke(connection: Connection, tenant: str, id_: str) -> bool:
    """Ends a key. False where there is none that stands."""
    here = update(api_key).where(api_key.c.id == id_, api_key.c.revoked_at.is_(None))
    return connection.execute(here.values(revoked_at=now())).rowcount > 0


def _key(row: Any) -> Key:
    scopes = frozenset(Scope(scope) for scope in row.scopes.split())
    return Key(row.id, row.tenant, row.name, scopes, row.created_at, row.expires_at, row.revoked_at, row.hash)
