"""The database: group commit, and what goes wrong with files."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from judge import StoreError
from judge.store import open_store, tables
from judge.store.database import Database

pytestmark = pytest.mark.anyio
Operation = Callable[[Connection, Sequence[Any]], list[int]]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(f"sqlite:///{tmp_path}/judge.db")
    opened.write_now(lambda connection: connection.execute(text("CREATE TABLE note (n INTEGER PRIMARY KEY, body)")))
    yield opened
    opened.close()


def adding(batches: list[int], gate: threading.Event | None = None) -> Operation:
    """A write that adds notes and tells how many came at once."""

    def add(connection: Connection, numbers: Sequence[int]) -> list[int]:
        if gate is not None:
            assert gate.wait(5)
        batches.append(len(numbers))
        connection.execute(text("INSERT INTO note VALUES (:n, NULL)"), [{"n": number} for number in numbers])
        return [10 * number for number in numbers]

    return add


def notes(path: Path) -> list[int]:
    """What is on disk, as another program sees it."""
    reader = sqlite3.connect(path / "judge.db")
    found = [n for (n,) in reader.execute("SELECT n FROM note ORDER BY n")]
    reader.close()
    return found


async def test_a_write_that_has_returned_is_on_disk(database: Database, tmp_path: Path) -> None:
    assert await database.write(adding([]), 7) == 70
    assert notes(tmp_path) == [7]


async def test_all_that_waits_shares_a_commit(database: Database, tmp_path: Path) -> None:
    batches: list[int] = []
    gate = threading.Event()
    add = adding(batches, gate)
    writes = [asyncio.create_task(database.write(add, number)) for number in range(500)]
    await asyncio.sleep(0.05)
    gate.set()
    assert await asyncio.gather(*writes) == [10 * number for number in range(500)]
    assert sum(batches) == 500
    assert len(batches) <= 3
    assert notes(tmp_path) == list(range(500))


@pytest.mark.parametrize("kind", ["database", "any"])
async def test_an_error_of_the_database_reaches_the_whole_batch_another_only_its_writer(
    database: Database, tmp_path: Path, kind: str
) -> None:
    gate, batches = threading.Event(), list[int]()
    add = adding(batches, gate)

    def fail(connection: Connection, payloads: Sequence[object]) -> list[int]:
        if kind == "any":
            raise ValueError("a value that cannot be bound")
        connection.execute(text("INSERT INTO no_such_table VALUES (1)"))
        return []

    first = asyncio.create_task(database.write(add, 1))
    await asyncio.sleep(0.05)  # the writer waits at the gate with the first one; the rest makes one batch
    rest = [asyncio.create_task(database.write(add, 2)), asyncio.create_task(database.write(fail, None))]
    await asyncio.sleep(0.05)
    gate.set()
    assert await asyncio.wait_for(first, 1) == 10
    ended = await asyncio.wait_for(asyncio.gather(*rest, return_exceptions=True), 1)
    assert [type(end) for end in ended] == [int if kind == "any" else StoreError, StoreError]
    assert await asyncio.wait_for(database.write(add, 3), 1) == 30
    assert notes(tmp_path) == ([1, 2, 3] if kind == "any" else [1, 3])


async def test_a_cancelled_writer_harms_nobody(database: Database, tmp_path: Path) -> None:
    gate = threading.Event()
    add = adding([], gate)
    writes = [asyncio.create_task(database.write(add, number)) for number in range(3)]
    await asyncio.sleep(0.02)
    writes[1].cancel()
    gate.set()
    ended = await asyncio.gather(*writes, return_exceptions=True)
    assert ended[0] == 0
    assert ended[2] == 20
    assert notes(tmp_path) == [0, 1, 2]


def test_closing_finishes_what_waits(tmp_path: Path) -> None:
    async def begin(database: Database) -> None:
        database.write_now(lambda connection: connection.execute(text("CREATE TABLE note (n INTEGER, body)")))
        for number in range(20):
            task = asyncio.ensure_future(database.write(adding([]), number))
            await asyncio.sleep(0)
            task.cancel()

    opened = Database(f"sqlite:///{tmp_path}/judge.db")
    asyncio.run(begin(opened))
    opened.close()
    assert notes(tmp_path) == list(range(20))


async def test_a_full_disk_is_said_and_what_was_there_stays(database: Database, tmp_path: Path) -> None:
    await database.write(adding([]), 1)
    database.write_now(lambda connection: connection.execute(text("PRAGMA max_page_count = 1")))

    def fill(connection: Connection, payloads: Sequence[int]) -> None:
        connection.execute(text("PRAGMA max_page_count = 1"))
        connection.execute(text("INSERT INTO note VALUES (2, zeroblob(10000000))"))

    with pytest.raises(StoreError, match="the disk is full; make room, then start the same command again"):
        await database.write(fill, 2)
    assert notes(tmp_path) == [1]


async def test_what_is_owed_is_written_to_a_full_disk_and_with_room_all_is_again(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = [0]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=room[0]))
    full = OperationalError("INSERT", {}, sqlite3.OperationalError("database or disk is full"))

    def fill(connection: Connection, payloads: Sequence[object]) -> None:
        raise full

    add = adding([])
    with pytest.raises(StoreError, match="the disk is full"):
        await database.write(fill, None)
    with pytest.raises(StoreError, match="the disk is full"):
        await database.write(add, 1)
    assert await database.write(add, 2, owed=True) == 20
    room[0] = 100_000_000
    assert await database.write(add, 3) == 30
    assert notes(tmp_path) == [2, 3]


async def test_what_is_owed_and_could_not_be_written_is_tried_again_with_the_next_write(
    database: Database, tmp_path: Path
) -> None:
    add, tried = adding([]), list[int]()

    def add_later(connection: Connection, numbers: Sequence[int]) -> list[int]:
        tried.append(len(numbers))
        if len(tried) <= 2:
            raise OperationalError("INSERT", {}, sqlite3.OperationalError("database is locked"))
        return add(connection, numbers)

    for number, owed in ((1, True), (2, False)):
        with pytest.raises(StoreError, match="another process held it"):
            await database.write(add_later, number, owed=owed)
    assert notes(tmp_path) == []
    assert await database.write(add, 3) == 30
    assert notes(tmp_path) == [1, 3]
    assert tried == [1, 2, 1]


async def test_what_is_owed_is_tried_once_more_in_the_end(database: Database, tmp_path: Path) -> None:
    add, tried = adding([]), list[int]()

    def add_later(connection: Connection, numbers: Sequence[int]) -> list[int]:
        tried.append(len(numbers))
        if len(tried) == 1:
            raise OperationalError("INSERT", {}, sqlite3.OperationalError("database is locked"))
        return add(connection, numbers)

    with pytest.raises(StoreError):
        await database.write(add_later, 1, owed=True)
    database.close()
    assert notes(tmp_path) == [1]


def test_every_table_belongs_to_a_tenant() -> None:
    for table in tables.metadata.tables.values():
        if table in (tables.pace, tables.mark):  # these are about servers and processes
            continue
        assert next(iter(table.primary_key.columns)).name == "tenant", table.name


def test_a_place_that_is_no_database_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("this is not a database, and long enough to be sure of it" * 100)
    (tmp_path / "folder").mkdir()
    for place, told in (("file", "not a database"), ("file/judge.db", "folder"), ("folder", "cannot be written")):
        with pytest.raises(StoreError, match=told) as raised:
            open_store(f"sqlite:///{tmp_path}/{place}")
        assert "\n" not in str(raised.value)


OPENS = """
import sys
from judge.store import open_store
print("ready", flush=True)
sys.stdin.readline()
open_store(sys.argv[1]).close()
"""


def test_processes_that_open_a_new_file_at_once_all_get_it(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OPENS, f"sqlite:///{tmp_path}/new/judge.db"]
    several = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    for process in several:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    for process in several:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    assert [process.communicate(timeout=30)[1] for process in several] == [""] * 4
    assert [process.returncode for process in several] == [0] * 4
