"""Many rows by one statement, on every database."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from judge.errors import StoreError
from judge.store.many import Changes, Own, add, add_missing, added
from judge.store.store import Store
from judge.store.tables import call, item

AT = ("tenant", "key", "attempt")


def sent(key: str, **fields: Any) -> dict[str, Any]:
    row = {"tenant": "local", "key": key, "attempt": 1, "state": "sent", "owner": "o", "endpoint": "e", "sent_at": 1.5}
    return row | {"usable": False, "possible_duplicate": False, "raw": None, "model": None, "prompt_tokens": 0} | fields


def rows(store: Store, *columns: Any) -> list[tuple[Any, ...]]:
    def asked(connection: Any, _: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in connection.execute(select(*columns).order_by(columns[0]))]

    return store.ask(asked)


def counting(own: Own) -> Any:
    here = update(call).where(*(call.c[name] == own(name) for name in AT), call.c.usable.is_(False))
    tokens = call.c.prompt_tokens + own("prompt_tokens")
    return here.values(prompt_tokens=tokens, model=own("model"), raw=own("raw"), usable=own("usable"))


COUNT = Changes(call, (*AT, "prompt_tokens", "model", "raw", "usable"), AT, counting)


def change(store: Store, *changes: dict[str, Any]) -> None:
    store.change(
        lambda connection, _: COUNT.execute(connection, [{"tenant": "local", "attempt": 1} | c for c in changes])
    )


def test_rows_change_by_values_of_their_own(store: Store) -> None:
    long = "modèle " * 100
    store.change(lambda connection, _: add(connection, call, [sent(key) for key in "abc"]))
    change(
        store,
        {"key": "a", "prompt_tokens": 1, "model": long, "raw": b"\x00\xff'\\", "usable": True},
        {"key": "c", "prompt_tokens": 3, "model": None, "raw": None, "usable": False},
        {"key": "gone", "prompt_tokens": 9, "model": "m", "raw": b"", "usable": True},
    )
    found = rows(store, call.c.key, call.c.prompt_tokens, call.c.model, call.c.raw, call.c.usable)
    assert found == [("a", 1, long, b"\x00\xff'\\", True), ("b", 0, None, None, False), ("c", 3, None, None, False)]


def test_numbers_of_a_column_need_not_be_of_one_type(store: Store) -> None:
    given = [sent("a", sent_at=1, usable=0), sent("b", sent_at=0.5, usable=True), sent("c", sent_at=2, usable=False)]
    store.change(lambda connection, _: add(connection, call, given))
    assert rows(store, call.c.key, call.c.sent_at, call.c.usable) == [
        ("a", 1.0, False),
        ("b", 0.5, True),
        ("c", 2.0, False),
    ]


def test_of_changes_to_one_row_each_comes_after_the_one_before(store: Store) -> None:
    store.change(lambda connection, _: add(connection, call, [sent("a"), sent("b")]))
    steps = [(1, "first", False), (10, "second", False), (100, "third", True), (1000, "none: it is usable", True)]
    of_a = [{"key": "a", "prompt_tokens": n, "model": m, "raw": None, "usable": done} for n, m, done in steps]
    of_b = {"key": "b", "prompt_tokens": 5, "model": "b", "raw": None, "usable": False}
    change(store, of_a[0], of_b, *of_a[1:])
    assert rows(store, call.c.key, call.c.prompt_tokens, call.c.model) == [("a", 111, "third"), ("b", 5, "b")]


def test_a_row_that_is_there_stays_or_is_refused(store: Store) -> None:
    def body(hash_: str, text: bytes) -> dict[str, Any]:
        return {"tenant": "local", "hash": hash_, "body": text}

    store.change(lambda connection, _: add(connection, item, [body("b", b"first")]))
    store.change(lambda c, _: add_missing(c, item, [body("a", b"new"), body("b", b"second"), body("a", b"twin")]))
    assert rows(store, item.c.hash, item.c.body) == [("a", b"new"), ("b", b"first")]
    with pytest.raises((StoreError, IntegrityError)):
        store.change(lambda connection, _: add(connection, item, [body("c", b"new"), body("b", b"third")]))
    assert rows(store, item.c.hash, item.c.body) == [("a", b"new"), ("b", b"first")]


def test_who_adds_is_told_what_was_added(store: Store) -> None:
    def told(*keys: str) -> set[str]:
        return store.change(lambda connection, _: added(connection, call, [sent(key) for key in keys], call.c.key))

    assert told("a", "b") == {"a", "b"}
    if store.queue_url is not None:  # on SQLite nobody else adds while one does
        assert told("b", "c") == {"c"}


def test_nothing_is_no_statement(store: Store) -> None:
    for adding in (add, add_missing):
        store.change(lambda connection, _, adding=adding: adding(connection, call, []))
    change(store)
    assert rows(store, call.c.key) == []
