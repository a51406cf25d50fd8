"""A PostgreSQL server that goes away, and one that comes back."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from procrastinate import App, PsycopgConnector
from procrastinate.jobs import Job, Status
from psycopg_pool import AsyncConnectionPool
from sqlalchemy import URL, Connection, select, text
from sqlalchemy.engine import make_url

from judge import Judge, StoreError
from judge.datasets import Dataset
from judge.ledger import CallState, Claimed, Held, Ledger, Settlement
from judge.queue import Jobs
from judge.runs import Run
from judge.store import open_store, postgres, writer
from judge.store.database import Database
from judge.store.jobs import QUEUE
from judge.store.store import Store
from judge.summary import summarise
from rubrics import Rubric

if TYPE_CHECKING:
    from tests.conftest import Postgres as Server

pytestmark = pytest.mark.anyio
ENDPOINT = "http://127.0.0.1/v1"
END_ALL = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname"


class Proxy:
    """Stands between the program and the server, and can break off at a commit: before it, or before its answer."""

    def __init__(self, url: str) -> None:
        self._target = make_url(url)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = self._target.set(host="127.0.0.1", port=self.port).update_query_dict({"sslmode": "disable"})
        self.cut: str | None = None  # "before" or "after" the next commit
        self.down = False
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.down:
                client.close()
                continue
            server = socket.create_connection((self._target.host or "127.0.0.1", self._target.port or 5432))
            self._open += [client, server]
            threading.Thread(target=self._to_server, args=(client, server), daemon=True).start()
            threading.Thread(target=self._to_client, args=(client, server), daemon=True).start()

    def _to_server(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                if self.cut == "before" and b"COMMIT" in data:
                    self._break(client, server)
                    return
                server.sendall(data)
        self._end(client, server)

    def _to_client(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                if self.cut == "after" and b"COMMIT" in data:  # as the server says it when it is done
                    self._break(client, server)
                    return
                client.sendall(data)
        self._end(client, server)

    def _break(self, *ends: socket.socket) -> None:
        self.cut = None
        self._end(*ends)

    def _end(self, *ends: socket.socket) -> None:
        for one in ends:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def go_away(self) -> None:
        """No connection is left, and none can be made."""
        self.down = True
        self._end(*self._open)
        self._open.clear()

    def close(self) -> None:
        self._end(self._listener, *self._open)


@pytest.fixture
def proxy(postgres_url: str) -> Iterator[Proxy]:
    made = Proxy(postgres_url)
    yield made
    made.close()


@pytest.fixture
def far(proxy: Proxy) -> Iterator[Store]:
    """A store that is reached through the proxy."""
    with open_store(proxy.url.render_as_string(hide_password=False)) as opened:
        yield opened


@pytest.fixture
def near(postgres_url: str) -> Iterator[Store]:
    """The same store, reached directly."""
    with open_store(postgres_url) as opened:
        yield opened


def rows(store: Store) -> list[Any]:
    call = store.tables.call
    return store.ask(lambda connection, _: list(connection.execute(select(call).order_by(call.c.attempt))))


@pytest.mark.parametrize("cut", ["before", "after"])
async def test_a_claim_whose_commit_broke_off_is_made_once_whatever_became_of_it(
    proxy: Proxy, far: Store, near: Store, cut: str
) -> None:
    ledger = Ledger(far)
    await ledger.claim("first", ENDPOINT, None)
    proxy.cut = cut
    assert await ledger.claim("k", ENDPOINT, None) == Held(Claimed.NEW, 1)
    assert proxy.cut is None  # it did break off
    assert await ledger.claim("k", ENDPOINT, None) == Held(Claimed.ELSEWHERE, 1)
    assert [(row.key, row.attempt, row.state) for row in rows(near)] == [("first", 1, "sent"), ("k", 1, "sent")]


@pytest.mark.parametrize("cut", ["before", "after"])
async def test_what_is_added_up_is_added_once_where_a_commit_broke_off(proxy: Proxy, near: Store, cut: str) -> None:
    near.change(lambda connection, _: connection.execute(text("CREATE TABLE note (n INTEGER)")))
    near.change(lambda connection, _: connection.execute(text("INSERT INTO note VALUES (0)")))
    database = Database(proxy.url.render_as_string(hide_password=False))

    def add(connection: Connection, payloads: Any) -> None:
        connection.execute(text("UPDATE note SET n = n + :more"), {"more": sum(payloads)})

    try:
        await database.write(add, 1)
        proxy.cut = cut
        await asyncio.gather(*(database.write(add, 10, owed=True) for _ in range(3)))
        assert proxy.cut is None
        proxy.cut = cut
        database.write_now(lambda connection: add(connection, [100]))
        assert proxy.cut is None
    finally:
        database.close()
    assert near.ask(lambda connection, _: connection.execute(text("SELECT n FROM note")).scalar()) == 131


async def test_a_run_goes_on_when_the_server_ends_all_connections(
    stub: Any,
    postgres_server: Server,
    near: Store,
    tmp_path: Path,
    rubric: Rubric,
    judge_at: Callable[..., Judge],
) -> None:
    server = stub("--latency-ms", "40")
    path = tmp_path / "items.jsonl"
    path.write_text("".join(f'{{"id": {n}, "output": "ITEM-{n}"}}\n' for n in range(60)))
    run = await Run.open(near, Dataset(str(path)), rubric, judge_at(server.base_url, concurrency=4))
    (name,) = near.ask(lambda connection, _: connection.execute(text("SELECT current_database()")).one())
    ended = 0
    execution = asyncio.ensure_future(run.execute())
    while not execution.done():
        ended += len(postgres_server.sql(f"{END_ALL} = '{name}'"))
        await asyncio.sleep(0.05)
    await execution
    assert await run.close() == "done"
    made = summarise(near, run.id)
    assert ended >= 5
    assert (made.run.finished, made.totals.calls, made.totals.answered, made.totals.lost) == (60, 60, 60, 0)
    assert server.stats()["requests"] == 61  # and one probe
    run_item = near.tables.run_item
    counted = near.ask(lambda connection, _: connection.execute(select(run_item.c.calls)).scalars().all())
    assert list(counted) == [1] * 60  # added up once each


async def test_a_server_that_stays_away_is_one_line_and_one_that_returns_is_used_again(
    proxy: Proxy, far: Store, near: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "PATIENCE_S", 0.6)
    ledger = Ledger(far)
    await ledger.claim("k", ENDPOINT, 0.5)
    proxy.go_away()
    began = time.monotonic()
    settled = far.settle(Settlement("k", 1, CallState.ANSWERED, 1.0, usable=True, raw=b"said"))
    with pytest.raises(
        StoreError, match=r"cannot be reached \(.*\); start it, .* then start the same command"
    ) as raised:
        await settled
    assert "\n" not in str(raised.value)
    assert 0.3 < time.monotonic() - began < 5
    began = time.monotonic()
    with pytest.raises(StoreError, match="cannot be reached"):  # who comes later does not wait as long again
        await ledger.claim("other", ENDPOINT, 0.5)
    with pytest.raises(StoreError, match="cannot be reached"):
        far.ask(far.results.runs)
    assert time.monotonic() - began < 0.5
    assert [(row.key, row.state) for row in rows(near)] == [("k", "sent")]
    proxy.down = False
    held = await asyncio.gather(*(ledger.claim(key, ENDPOINT, 0.5) for key in ("k", "other")))
    assert held == [Held(Claimed.REUSED, 1, b"said"), Held(Claimed.NEW, 1)]  # what was owed came first


async def test_what_is_written_while_the_server_is_away_is_there_when_it_is_back(
    proxy: Proxy, far: Store, near: Store
) -> None:
    ledger = Ledger(far)
    await ledger.claim("k", ENDPOINT, 0.5)
    proxy.go_away()
    settled = asyncio.ensure_future(ledger.settle(Settlement("k", 1, CallState.ANSWERED, 1.0, usable=True, raw=b"x")))
    found = asyncio.ensure_future(ledger.find("k"))
    await asyncio.sleep(0.3)
    assert not settled.done()
    assert not found.done()
    proxy.down = False
    await settled
    await found
    assert [row.state for row in rows(near)] == ["answered"]


async def test_what_is_owed_is_written_though_nothing_else_is(
    proxy: Proxy, far: Store, near: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "PATIENCE_S", 0.3)
    monkeypatch.setattr(writer, "OWED_S", 0.1)
    ledger = Ledger(far)
    await ledger.claim("k", ENDPOINT, 0.5)
    proxy.go_away()
    with pytest.raises(StoreError, match="cannot be reached"):
        await far.settle(Settlement("k", 1, CallState.ANSWERED, 1.0, usable=True, raw=b"said"))
    proxy.down = False
    until = time.monotonic() + 20
    while rows(near)[0].state == "sent":
        assert time.monotonic() < until, "it was never written"
        await asyncio.sleep(0.02)
    assert [row.state for row in rows(near)] == ["answered"]


@asynccontextmanager
async def jobs_at(url: URL) -> AsyncIterator[Jobs]:
    """The queue as a process asks it that is registered there."""
    pool = AsyncConnectionPool(
        url.set(drivername="postgresql").render_as_string(hide_password=False),
        min_size=1,
        open=False,
        timeout=0.5,
        reconnect_timeout=0.1,
        check=AsyncConnectionPool.check_connection,
    )
    app = App(connector=PsycopgConnector())
    async with pool, app.open_async(pool):
        jobs = Jobs(app.connector)
        await jobs.register_worker()
        yield jobs


async def fetched(jobs: Jobs) -> Job:
    """The next job, however often the queue must be asked."""
    until = time.monotonic() + 20
    while (job := await jobs.fetch_job([QUEUE], 0)) is None:
        assert time.monotonic() < until, "no job came"
        await asyncio.sleep(0.02)
    return job


def queued(store: Store, *runs: str) -> None:
    """A job for each of these."""
    for run in runs:
        store.change(store.jobs.enqueue, run, {})


async def test_a_queue_that_was_away_is_asked_what_became_of_what_it_was_told(
    proxy: Proxy, near: Store, caplog: pytest.LogCaptureFixture
) -> None:
    lost = "UPDATE procrastinate_jobs SET status = 'doing', worker_id = (SELECT id FROM procrastinate_workers)"
    queued(near, "one")
    async with jobs_at(proxy.url) as jobs:
        one = await fetched(jobs)
        queued(near, "two")
        near.change(lambda connection, _: connection.execute(text(f"{lost} WHERE status = 'todo'")))
        proxy.go_away()
        assert await jobs.fetch_job([QUEUE], 0) is None  # as if "two" had been given, and never arrived
        await jobs.update_heartbeat(0)
        await jobs.finish_job(one, Status.SUCCEEDED, delete_job=True)
        await jobs.rescue()
        proxy.down = False
        both = [await fetched(jobs), await fetched(jobs)]
        assert {job.task_kwargs["run"] for job in both} == {"one", "two"}
        for job in both:
            await jobs.finish_job(job, Status.SUCCEEDED, delete_job=True)
        assert list(await jobs.list_jobs_async()) == []
    assert [record.message for record in caplog.records if record.name == "judge.queue"] == [
        "the queue cannot be reached, and is asked again: couldn't get a connection after 0.50 sec"
    ]


async def test_a_process_that_was_taken_for_dead_goes_on(proxy: Proxy, near: Store) -> None:
    async with jobs_at(proxy.url) as jobs:
        queued(near, "one", "two")
        one = await fetched(jobs)
        near.change(lambda connection, _: connection.execute(text("DELETE FROM procrastinate_workers")))
        two = await fetched(jobs)
        assert [job.task_kwargs["run"] for job in (one, two)] == ["one", "two"]
        await jobs.rescue()  # nobody's any more, and still under way here
        assert await jobs.fetch_job([QUEUE], 0) is None
        near.change(
            lambda connection, _: connection.execute(
                text("DELETE FROM procrastinate_jobs WHERE id = :id"), {"id": one.id}
            )
        )
        await jobs.finish_job(one, Status.SUCCEEDED, delete_job=True)  # another one has ended it
        await jobs.finish_job(two, Status.SUCCEEDED, delete_job=True)
        assert list(await jobs.list_jobs_async()) == []


HASTY = """
import sys
from judge.cli import main
from judge.store import postgres
postgres.PATIENCE_S = 0.3
main()
"""


def test_a_command_whose_server_goes_away_stops_and_can_be_started_again(
    proxy: Proxy, stub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = stub("--latency-ms", "40")
    judge = {"provider": "openai", "model": "m", "base_url": server.base_url, "price": {"input": 1, "output": 1}}
    (tmp_path / "judge.yaml").write_text(json.dumps(judge | {"concurrency": 4, "api_key_env": None}))
    (tmp_path / "items.jsonl").write_text("".join(f'{{"id": {n}, "output": "ITEM-{n}"}}\n' for n in range(40)))
    monkeypatch.setenv("JUDGE_DATABASE_URL", proxy.url.render_as_string(hide_password=False))
    command = [sys.executable, "-c", HASTY, "grade", "items.jsonl", "-r", "helpfulness", "-j", "judge.yaml", "--quiet"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as stopped:
        while server.stats()["requests"] < 12:
            assert stopped.poll() is None
            time.sleep(0.01)
        proxy.go_away()
        _, said = stopped.communicate(timeout=20)
    assert stopped.returncode == 3, said
    (line,) = said.splitlines()
    assert line.startswith("stopped (postgresql://")
    assert "start the same command again" in line
    proxy.down = False
    resumed = subprocess.run([*command, "--resend-lost"], cwd=tmp_path, capture_output=True, text=True)
    assert (resumed.returncode, resumed.stderr) == (0, "")
    sent = Counter(call["body_sha256"] for call in server.calls())
    assert len(sent) == 41
    assert sum(sent.values()) <= 41 + 4  # those whose answers came while nobody could write them down
