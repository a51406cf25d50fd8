"""Looking after a database of each kind: what is in it, upgrades, copies."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, String, select, text
from sqlalchemy.engine import make_url

from judge import Item, StoreError
from judge.store import migrations, open_store, tables, upkeep
from judge.store.backend import Backend
from judge.store.database import backend_of
from judge.store.store import Store

if TYPE_CHECKING:
    from tests.conftest import Postgres as Server

FIRST = "0001"


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without tables."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/judge.db"
        return
    server: Server = request.getfixturevalue("postgres_server")
    url = server.database("TEMPLATE template0")
    yield url
    server.drop(url)


@pytest.fixture
def backend(empty_url: str) -> Iterator[Backend]:
    opened = backend_of(empty_url)
    yield opened
    opened.close()


def script() -> Config:
    made = Config()
    made.set_main_option("script_location", str(Path(migrations.__file__).parent))
    return made


def older(connection: Connection) -> None:
    """The tables of the first version, with an item in them."""
    config = script()
    config.attributes["connection"] = connection
    command.upgrade(config, FIRST)
    connection.execute(tables.item.insert(), {"tenant": "local", "hash": "h", "body": b"{}"})


def differences(connection: Connection) -> list[Any]:
    """Between the tables that are there and those of the program, the queue's aside, which are not ours.

    PostgreSQL keeps every text without a limit.
    """

    def ours(name: str | None, kind: str, _: Any) -> bool:
        return kind != "table" or not str(name).startswith("procrastinate_")

    def other_type(_: Any, __: Any, ___: Any, there: Any, ours: Any) -> bool | None:
        return False if isinstance(there, String) and isinstance(ours, String) else None

    found = compare_metadata(
        MigrationContext.configure(connection, opts={"compare_type": other_type, "include_name": ours}), tables.metadata
    )
    return list(found)


def run_of(store: Store, id: str, count: int) -> None:
    row = {"id": id, "fingerprint": id, "dataset_hash": "d", "dataset_name": "d", "rubric_hash": "r"}
    more = {"judge_fingerprint": "j", "round": 0, "samples": 1, "items": count}
    store.create_run(row | more, [Item(id=str(n), output=f"{id} {n}") for n in range(count)])


def test_the_migrations_make_the_tables_of_the_program(empty_url: str, backend: Backend) -> None:
    assert ScriptDirectory.from_config(script()).get_current_head() == tables.REVISION
    open_store(empty_url).close()
    assert backend.read(differences) == []


def test_what_had_ended_before_endings_were_counted_is_numbered_by_its_place(empty_url: str, backend: Backend) -> None:
    def before(connection: Connection) -> None:
        config = script()
        config.attributes["connection"] = connection
        command.upgrade(config, "0005")
        row = "'local', 'r', 'f', 'd', 'd', 'h', 'j', 0, 1, 3, 'open', 0"
        columns = "tenant, id, fingerprint, dataset_hash, dataset_name, rubric_hash, judge_fingerprint, round, samples"
        connection.exec_driver_sql(f"INSERT INTO run ({columns}, items, state, created_at) VALUES ({row})")
        counted = "calls, reused, lost, possible_duplicates, prompt_tokens, completion_tokens"
        columns = f"tenant, run, seq, item_id, item_hash, bytes, metadata, state, revision, {counted}"
        for seq, state in enumerate(("finished", "open", "held")):
            row = f"'local', 'r', {seq}, 'i{seq}', 'h', 1, '{{}}', '{state}', 0, 1, 0, 0, 0, 1, 1"
            connection.exec_driver_sql(f"INSERT INTO run_item ({columns}) VALUES ({row})")

    backend.transact(before)
    upkeep.upgrade(backend)
    with open_store(empty_url) as store:
        assert store.ask(store.endings.marks, ["r"])["r"].endings == 3
        ended = select(tables.run_item.c.ending).order_by(tables.run_item.c.seq)
        assert store.ask(lambda connection, _: list(connection.execute(ended).scalars())) == [1, None, 3]


def test_an_older_database_is_refused_until_it_is_upgraded_and_keeps_what_it_holds(
    empty_url: str, backend: Backend, tmp_path: Path
) -> None:
    backend.transact(older)
    with pytest.raises(
        StoreError, match=rf"schema {FIRST}\); bring it to this one's .* with: judge db upgrade$"
    ) as raised:
        open_store(empty_url)
    assert "\n" not in str(raised.value)
    assert upkeep.status(backend).revision == FIRST
    done = upkeep.upgrade(backend)
    assert (done.before, done.after) == (FIRST, tables.REVISION)
    assert backend.read(differences) == []
    open_store(empty_url).close()
    assert upkeep.status(backend).rows == {"run": 0, "item": 1, "call": 0}
    if backend.path is None:
        assert done.backup is None
        return
    assert done.backup is not None
    assert done.backup.parent == tmp_path
    with closing(sqlite3.connect(done.backup)) as copy:
        assert copy.execute("SELECT version_num FROM alembic_version").fetchall() == [(FIRST,)]
        assert copy.execute("SELECT count(*) FROM item").fetchall() == [(1,)]
    assert upkeep.upgrade(backend) == upkeep.Upgrade(tables.REVISION, tables.REVISION, None)


def test_a_newer_database_is_refused_and_left_alone(empty_url: str, backend: Backend) -> None:
    open_store(empty_url).close()
    backend.transact(lambda connection: connection.execute(text("UPDATE alembic_version SET version_num = '9999'")))
    told = r"made by a newer version of this program \(schema 9999\); upgrade the program"
    with pytest.raises(StoreError, match=told):
        open_store(empty_url)
    with pytest.raises(StoreError, match=told):
        upkeep.upgrade(backend)
    assert upkeep.status(backend).revision == "9999"


def test_the_status_counts_what_is_there(empty_url: str, backend: Backend) -> None:
    with open_store(empty_url) as store:
        run_of(store, "r", 3)
    found = upkeep.status(backend)
    assert (found.revision, found.rows) == (tables.REVISION, {"run": 1, "item": 3, "call": 0})
    assert (found.size_bytes is None) == (backend.path is None)
    assert found.size_bytes is None or found.size_bytes > 10_000


def test_a_file_that_is_not_there_is_said_and_not_made(tmp_path: Path) -> None:
    backend = backend_of(f"sqlite:///{tmp_path}/none/judge.db")
    for look in (upkeep.status, upkeep.upgrade, lambda it: upkeep.backup(it, tmp_path / "copy.db")):
        with pytest.raises(StoreError, match="there is no database yet"):
            look(backend)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_database_has_no_schema_yet(postgres_server: Server) -> None:
    url = postgres_server.database("TEMPLATE template0")
    backend = backend_of(url)
    assert upkeep.status(backend).revision is None
    assert upkeep.status(backend).rows == {}
    backend.close()


COUNTS = text("SELECT (SELECT count(*) FROM run), (SELECT count(*) FROM item), (SELECT count(*) FROM run_item)")


@pytest.fixture
def restored(request: pytest.FixtureRequest) -> Callable[[Path], str]:
    """The URL of a database that was made of a copy."""

    def made_of(copy: Path) -> str:
        if not copy.read_bytes().startswith(b"PGDMP"):
            return f"sqlite:///{copy}"
        url: str = request.getfixturevalue("postgres_server").database("TEMPLATE template0")
        target = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        subprocess.run(["pg_restore", "--exit-on-error", f"--dbname={target}", str(copy)], check=True)
        return url

    return made_of


def test_a_copy_is_of_one_moment_while_others_write(
    empty_url: str, backend: Backend, tmp_path: Path, restored: Callable[[Path], str]
) -> None:
    if backend.path is None and not shutil.which("pg_dump"):
        pytest.skip("pg_dump is not installed here")
    stopping, made = threading.Event(), 0
    with open_store(empty_url) as store:

        def write() -> None:
            nonlocal made
            while not stopping.is_set():
                run_of(store, f"r{made}", 20)
                made += 1

        writer = threading.Thread(target=write)
        writer.start()
        while made < 3:
            stopping.wait(0.01)
        before = made
        upkeep.backup(backend, tmp_path / "copy")
        after = made
        stopping.set()
        writer.join()
    assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o600
    with open_store(restored(tmp_path / "copy")) as copy:
        runs, items, places = copy.ask(lambda connection, _: connection.execute(COUNTS).one())
    assert before <= runs <= after + 1
    assert items == places  # items and their places are added in one transaction
    assert items // 20 in (runs, runs - 1)


def test_a_copy_overwrites_nothing(empty_url: str, backend: Backend, tmp_path: Path) -> None:
    open_store(empty_url).close()
    (tmp_path / "copy").write_text("of value")
    with pytest.raises(StoreError, match="is there already; name another file"):
        upkeep.backup(backend, tmp_path / "copy")
    assert (tmp_path / "copy").read_text() == "of value"
    with pytest.raises(StoreError, match="cannot be written"):
        upkeep.backup(backend, tmp_path / "none" / "copy")


def test_without_pg_dump_the_command_is_told_and_no_file_is_left(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = backend_of(make_url(postgres_url).set(password="s3cret").render_as_string(hide_password=False))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(StoreError, match=r"pg_dump --format=custom --file=.*copy 'postgresql://") as raised:
        upkeep.backup(backend, tmp_path / "copy")
    assert "s3cret" not in str(raised.value)
    assert not (tmp_path / "copy").exists()
    backend.close()
