"""What PostgreSQL keeps, and what it refuses."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import Connection, select, text
from sqlalchemy.engine import make_url

from judge import StoreError
from judge.ledger import CallState, Ledger, Settlement
from judge.store import open_store
from judge.store.database import Database
from judge.store.many import add
from judge.store.store import Store

if TYPE_CHECKING:
    from tests.conftest import Postgres as Server

pytestmark = pytest.mark.anyio


@pytest.fixture
def store(postgres_url: str) -> Iterator[Store]:
    with open_store(postgres_url) as opened:
        yield opened


async def test_text_is_of_any_length(store: Store) -> None:
    await Ledger(store).claim("k", "endpoint", None)
    await store.settle(Settlement("k", 1, CallState.REJECTED, 1.0, cause="c" * 1000, model="m" * 1000))
    call = store.tables.call
    (row,) = store.ask(lambda connection, _: list(connection.execute(select(call))))
    assert (row.cause, row.model) == ("c" * 1000, "m" * 1000)


def test_text_is_ordered_by_its_bytes_whatever_the_order_of_the_database(store: Store) -> None:
    rubrics = store.tables.rubric
    names = ["a", "B", "_", "a-b", "ab", "é", "Z"]
    for name in names:
        store.keep(rubrics, hash=name, name=name, version=None, body="{}")
    ordered = select(rubrics.c.name).order_by(rubrics.c.name)
    assert list(store.ask(lambda connection, _: connection.execute(ordered).scalars())) == sorted(names, key=str.encode)
    other = text("SELECT n FROM (VALUES ('B'), ('a')) AS v (n) ORDER BY n")
    assert list(store.ask(lambda connection, _: connection.execute(other).scalars())) == ["a", "B"]


def test_parameters_of_the_url_come_before_ours(postgres_url: str) -> None:
    database = Database(f"{postgres_url}?connect_timeout=3&application_name=mine")
    used = database.read_now(lambda connection: connection.connection.driver_connection.info.get_parameters())
    database.close()
    assert (used["connect_timeout"], used["application_name"], used["keepalives_idle"]) == ("3", "mine", "10")


def test_no_error_shows_the_password() -> None:
    for url, told in (
        ("postgresql://user:s3cret@127.0.0.1:1/judge", r"postgresql://user@127.0.0.1:1/judge: cannot be reached"),
        ("postgresql+psycopg://user:s3cret@127.0.0.1:1/judge", "cannot be reached"),
        ("postgresql://user@127.0.0.1:1/judge?password=s3cret", "among its parameters"),
        ("postgresql://user:1@127.0.0.1:s3cret/judge", "is no database URL"),
        ("postgresql+psycopg2://user:s3cret@127.0.0.1/judge", r"postgresql\+psycopg2, which is not supported"),
    ):
        with pytest.raises(StoreError, match=told) as raised:
            Database(url)
        assert "s3cret" not in str(raised.value)
        assert "\n" not in str(raised.value)


def test_what_a_server_lacks_is_said(postgres_server: Server, postgres_url: str) -> None:
    url = make_url(postgres_url)
    for changed, told in (
        (url.set(database="no_such"), 'database "no_such" does not exist; make it with createdb'),
        (url.set(username="no_such"), 'role "no_such" does not exist'),
    ):
        with pytest.raises(StoreError, match=told):
            Database(changed.render_as_string(hide_password=False))
    latin = postgres_server.database("TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    with pytest.raises(StoreError, match="keeps text as LATIN1; make a database that takes every text"):
        Database(latin)


async def test_an_error_of_the_server_does_not_quote_the_row(store: Store) -> None:
    with pytest.raises(StoreError, match="null value in column") as raised:
        store.keep(store.tables.rubric, hash="h", name=None, body="PRIVATE")
    assert "PRIVATE" not in str(raised.value)
    assert "\n" not in str(raised.value)


WITHOUT = """
import sys
sys.modules["psycopg"] = None
from judge import StoreError
from judge.store import open_store
try:
    open_store("postgresql://user@127.0.0.1/judge")
except StoreError as error:
    print(error)
"""


def test_without_its_package_the_extra_is_named() -> None:
    said = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True)
    assert said.stdout == "PostgreSQL needs psycopg; install this project with its extra: postgres\n"


def test_what_was_written_stands_where_the_server_may_not_look(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("judge.store.postgres._LOOK", text("ANALYZE no_such_table"))
    caplog.set_level("INFO", "judge.store.postgres")
    row = {"tenant": "local", "hash": "h", "body": b""}
    store.change(lambda connection, _: add(connection, store.tables.item, [row]))
    until = time.monotonic() + 10
    while not caplog.records:
        assert time.monotonic() < until
        time.sleep(0.01)
    assert [line.getMessage().split(": ")[0] for line in caplog.records] == ["the tables were not looked at"]
    store.change(lambda connection, _: add(connection, store.tables.item, [row | {"hash": "i"}]))
    hashes = select(store.tables.item.c.hash)
    assert sorted(store.ask(lambda connection, _: connection.execute(hashes).scalars().all())) == ["h", "i"]


def test_the_server_knows_the_tables_before_it_looks_by_itself(store: Store) -> None:
    def known(connection: Connection, _: str) -> float:
        return float(connection.execute(text("SELECT reltuples FROM pg_class WHERE relname = 'item'")).scalar_one())

    def added(number: int) -> None:
        row = {"tenant": "local", "hash": str(number), "body": b""}
        store.change(lambda connection, _: add(connection, store.tables.item, [row]))

    for number in range(40):
        added(number)
    until = time.monotonic() + 10
    while store.ask(known) < 1:
        assert time.monotonic() < until
        time.sleep(0.01)
    seen = store.ask(known)
    for number in range(40, 60):
        added(number)
        assert store.ask(known) == seen, "it is told to look after each doubling, and not each time"
