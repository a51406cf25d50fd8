"""Two who write to one PostgreSQL database at the same moment. On SQLite they take turns."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Connection, select, text, update
from sqlalchemy.engine import make_url

from judge import Item, RunBusy
from judge.ledger import Claimed, Held, Ledger, packed
from judge.owner import this_process
from judge.store import open_store
from judge.store.postgres import Postgres
from judge.store.store import Store

if TYPE_CHECKING:
    from tests.conftest import Postgres as Server

pytestmark = pytest.mark.anyio
ENDPOINT = "http://127.0.0.1/v1"


@pytest.fixture
def store(postgres_url: str) -> Iterator[Store]:
    with open_store(postgres_url) as opened:
        yield opened


@pytest.fixture
def other(postgres_url: str) -> Iterator[Store]:
    """The same store, as another process has it."""
    with open_store(postgres_url) as opened:
        yield opened


class Begun:
    """A transaction as far as before its commit, in a thread of its own."""

    def __init__(self, store: Store, operation: Callable[..., object], *args: Any) -> None:
        there, self._go_on, self._fails = threading.Event(), threading.Event(), False

        def hold(connection: Connection, tenant: str) -> None:
            operation(connection, tenant, *args)
            there.set()
            assert self._go_on.wait(10)
            if self._fails:
                raise RuntimeError("given up")

        threads = ThreadPoolExecutor(1)
        self._ending: Future[None] = threads.submit(store.change, hold)
        threads.shutdown(wait=False)
        assert there.wait(5)

    def end(self, fails: bool = False) -> None:
        """Commits it, or rolls it back."""
        self._fails = fails
        self._go_on.set()
        with suppress(RuntimeError):
            self._ending.result(5)


def run_of(store: Store, id: str, outputs: list[str]) -> None:
    """A run in the store, of items with these outputs."""
    row = {"id": id, "fingerprint": id, "dataset_hash": "d", "dataset_name": "d", "rubric_hash": "r"}
    more = {"judge_fingerprint": "j", "round": 0, "samples": 1, "items": len(outputs)}
    store.create_run(row | more, [Item(id=str(n), output=output) for n, output in enumerate(outputs)])


@pytest.mark.parametrize("fails", [False, True], ids=["committed", "rolled back"])
async def test_a_call_that_another_one_claims_is_sent_only_where_that_one_gives_up(
    store: Store, other: Store, fails: bool
) -> None:
    def insert(connection: Connection, tenant: str) -> None:
        row = {"key": "k", "attempt": 1, "state": "sent", "owner": "another-machine:7:1", "endpoint": ENDPOINT}
        more = {"tenant": tenant, "sent_at": 1.0, "usable": False, "possible_duplicate": False}
        connection.execute(other.tables.call.insert(), row | more)

    first = Begun(other, insert)
    claims = asyncio.gather(*(Ledger(store).claim(key, ENDPOINT, 0.5) for key in ("another", "k")))
    await asyncio.sleep(0.2)
    assert not claims.done()  # nobody can know before the other one ends
    first.end(fails)
    held = await asyncio.wait_for(claims, 5)
    assert held == [Held(Claimed.NEW, 1), Held(Claimed.NEW if fails else Claimed.ELSEWHERE, 1)]


CLAIMS = """
import asyncio, os, sys
from judge.ledger import Ledger
from judge.store import open_store
store = open_store(sys.argv[1])
asyncio.run(Ledger(store).claim("k", "http://127.0.0.1/v1", 0.5))
os._exit(1)
"""


async def test_a_call_that_is_answered_just_before_its_process_ends_is_not_taken_for_lost(
    store: Store, other: Store, postgres_url: str
) -> None:
    command = [sys.executable, "-c", CLAIMS, postgres_url]
    assert (await asyncio.to_thread(subprocess.run, command)).returncode == 1

    def answer(connection: Connection, _: str) -> None:
        connection.execute(update(other.tables.call).values(state="answered", usable=True, raw=packed(b"said")))

    last = Begun(other, answer)
    claim = asyncio.ensure_future(Ledger(store).claim("k", ENDPOINT, 0.5))
    await asyncio.sleep(0.2)
    last.end()
    assert await asyncio.wait_for(claim, 5) == Held(Claimed.REUSED, 1, b"said")


async def test_of_two_who_take_a_run_at_once_one_gets_it(
    store: Store, other: Store, living: Callable[[str], None]
) -> None:
    living("machine-a:1:1")
    run_of(store, "r", ["x"])
    store.change(store.runs.release, "r", this_process())
    first = Begun(other, other.runs.take, "r", "machine-a:1:1")
    second = asyncio.ensure_future(asyncio.to_thread(store.change, store.runs.take, "r", "machine-b:1:1"))
    await asyncio.sleep(0.2)
    first.end()
    with pytest.raises(RunBusy, match="process 1 on machine-a"):
        await second
    assert store.ask(store.runs.owner, "r") == "machine-a:1:1"


async def test_a_body_that_a_new_run_shares_is_not_removed_with_an_old_one(store: Store, other: Store) -> None:
    run_of(store, "old", ["shared", "alone"])
    loading = Begun(other, other.runs.load, "new", 0.0, 0, [Item(id="1", output="shared")])
    removing = asyncio.ensure_future(asyncio.to_thread(store.change, store.runs.remove, "old"))
    await asyncio.sleep(0.2)
    loading.end()
    await asyncio.wait_for(removing, 5)
    body = store.tables.item.c.body
    (kept,) = store.ask(lambda connection, _: connection.execute(select(body)).scalars())
    assert b'"shared"' in kept
    ((_, _, found),) = await store.open_page("new", -1)
    assert found.output == "shared"


def test_a_reading_is_of_one_moment(store: Store, other: Store) -> None:
    run_of(store, "r", ["x"])
    count = text("SELECT count(*) FROM run_item")

    def twice(connection: Connection, _: str) -> list[Any]:
        before = connection.execute(count).scalar()
        other.change(other.runs.remove, "r")
        return [before, connection.execute(count).scalar()]

    assert store.ask(twice) == [1, 1]
    assert store.ask(lambda connection, _: connection.execute(count).scalar()) == 0


def test_two_transactions_that_wait_for_each_other_both_get_done(postgres_url: str) -> None:
    backend = Postgres(make_url(postgres_url))
    backend.transact(lambda connection: connection.execute(text("CREATE TABLE note (n INTEGER, body INTEGER)")))
    backend.transact(lambda connection: connection.execute(text("INSERT INTO note VALUES (1, 0), (2, 0)")))
    add = text("UPDATE note SET body = body + 1 WHERE n = :n")
    met, tries = threading.Barrier(2), list[int]()

    def adding(first: int, second: int) -> Callable[[Connection], None]:
        def work(connection: Connection) -> None:
            tries.append(first)
            connection.execute(add, {"n": first})
            if len(tries) <= 2:
                met.wait(5)
            connection.execute(add, {"n": second})

        return work

    with ThreadPoolExecutor(2) as threads:
        both = [threads.submit(backend.transact, adding(*order)) for order in ((1, 2), (2, 1))]
        for one in both:
            one.result(timeout=10)
    assert len(tries) == 3
    assert backend.read(lambda connection: connection.execute(text("SELECT sum(body) FROM note")).scalar()) == 4
    backend.close()


OPENS = """
import sys
from judge.store import open_store
print("ready", flush=True)
sys.stdin.readline()
open_store(sys.argv[1]).close()
"""


def test_processes_that_open_a_new_database_at_once_all_get_it(postgres_server: Server) -> None:
    url = postgres_server.database("TEMPLATE template0")
    command = [sys.executable, "-c", OPENS, url]
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
