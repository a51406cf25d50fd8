"""The store of one tenant: the database, and the operations that grading needs of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import Any, TypeVar

from sqlalchemy import Connection, select, update

from judge.errors import RunBusy
from judge.grades import Graded
from judge.items import Item
from judge.ledger import Claim, Delivery, Held, Settlement, now
from judge.owner import this_process
from judge.paces import Turn
from judge.store import (
    batches,
    budgets,
    calibrations,
    calls,
    changes,
    digests,
    endings,
    figures,
    finishing,
    history,
    jobs,
    keys,
    labels,
    paces,
    registrations,
    replays,
    results,
    runs,
    spending,
    submissions,
    tables,
    verdicts,
    watches,
)
from judge.store.conflicts import ignoring, replacing
from judge.store.database import Database

R = TypeVar("R")

#: Items loaded in one transaction, at most, and bytes of outputs.
CHUNK_ITEMS, CHUNK_BYTES = 500, 4_000_000
#: Rubrics and judges that are remembered as kept.
MOST_KEPT = 10_000


class Store:
    """Everything kept for a tenant. Close it, or use it as a context manager."""

    # The questions and tables, for callers that must not import SQLAlchemy before a store is open.
    batches, budgets, calibrations, changes, digests = batches, budgets, calibrations, changes, digests
    endings = endings
    figures, finishing, history, jobs, keys, labels = figures, finishing, history, jobs, keys, labels
    registrations, replays, results, runs, spending = registrations, replays, results, runs, spending
    submissions, tables, verdicts, watches = submissions, tables, verdicts, watches

    def __init__(self, database: Database, tenant: str) -> None:
        self.tenant = tenant
        self._database = database
        self._kept: set[tuple[str, str]] = set()
        purses = budgets.Purses(tenant)
        self._claim = calls.claim_for(tenant, purses)
        self._settle = calls.settle_for(tenant, purses)
        self._take, self._note = calls.take_for(tenant), calls.note_for(tenant)
        self._finish = finishing.finish_for(tenant)

    @classmethod
    def open(cls, url: str, tenant: str, must_exist: bool = False) -> Store:
        """The store of a tenant at a database URL. Raises StoreError."""
        return cls(Database(url, must_exist), tenant)

    def of(self, tenant: str) -> Store:
        """The store of another tenant in the same database, which is open as long as this one."""
        return self if tenant == self.tenant else Store(self._database, tenant)

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def name(self) -> str:
        """Where the database is, for people: never with a password."""
        return self._database.name

    @property
    def queue_url(self) -> str | None:
        """Of the queue that brings work to several processes, with its password; None where there is none."""
        return self._database.queue_url

    def close(self) -> None:
        """Finishes what is being written."""
        self._database.close()

    async def claim(self, claim: Claim) -> Held:
        """See `Ledger.claim`."""
        held: Held = await self._database.write(self._claim, claim)
        return held

    async def settle(self, settlement: Settlement, budgeted: str | None = None) -> None:
        """See `Ledger.settle`."""
        await self._database.write(self._settle, (settlement, budgeted), owed=True)

    async def note(self, key: str, attempt: int, provider_id: str) -> None:
        """See `Ledger.note`."""
        await self._database.write(self._note, (key, attempt, provider_id), owed=True)

    async def witness(self, endpoint: str, before: float) -> tuple[str, int, str | None] | None:
        """See `Ledger.witness`."""
        return await self._database.read(lambda connection: calls.witness(connection, self.tenant, endpoint, before))

    async def take(self, run: str, key: str) -> Delivery | None:
        """See `Ledger.take`."""
        delivery: Delivery | None = await self._database.write(self._take, (run, key))
        return delivery

    async def find(self, key: str) -> Held | None:
        """The usable answer under a key."""
        return await self._database.read(lambda connection: calls.find(connection, self.tenant, key))

    async def finish(self, run: str, by: str, seq: int, revision: int, graded: Graded) -> None:
        """Writes one item's verdicts and grades, and ends it. Raises RunBusy where the run is no longer the owner's."""
        finished = finishing.Finished(run, by, seq, revision, graded)
        refused: RunBusy | None = await self._database.write(self._finish, finished, owed=True)
        if refused is not None:
            raise refused

    async def turn(self, wish: Turn) -> float:
        """After how many seconds a turn comes, among all processes at this database, which is a PostgreSQL."""
        wait: float = await self._database.write(paces.turns, wish)
        return wait

    async def asked(self, query: Callable[..., R], *args: Any) -> R:
        """See `ask`: without waiting on the loop, and for longer where the database is away for a moment."""
        return await self._database.read(lambda connection: query(connection, self.tenant, *args))

    async def open_page(self, run: str, after: int, before: int | None = None) -> list[tuple[int, int, Item]]:
        """The next open items of a run, between two places."""
        return await self._database.read(lambda connection: runs.open_page(connection, self.tenant, run, after, before))

    def ask(self, query: Callable[..., R], *args: Any, **options: Any) -> R:
        """The answer to one of the questions in `results` or `runs`, about this tenant."""
        return self._database.read_now(lambda connection: query(connection, self.tenant, *args, **options))

    def change(self, operation: Callable[..., R], *args: Any, **options: Any) -> R:
        """One of the operations in `runs`, on this tenant, in one transaction."""
        return self._database.write_now(lambda connection: operation(connection, self.tenant, *args, **options))

    def create_run(
        self,
        row: dict[str, Any],
        items: Iterable[Item],
        lowest: float = 0.0,
        also: Callable[[Connection, str, str], None] | None = None,
    ) -> None:
        """A run and its items; of many a chunk in each transaction, so that others can write meanwhile. All or nothing.

        `lowest` is the lowest overall that the run's rubric allows. `also` is done with tenant and run, in the
        transaction with which the run is there.
        """

        def at_once(connection: Connection) -> None:
            runs.begin(connection, {**row, "owner": None}, "open")
            for chunk in ahead:
                runs.load(connection, self.tenant, row["id"], lowest, 0, chunk)
            if also is not None:
                also(connection, self.tenant, row["id"])

        def loaded(connection: Connection) -> None:
            runs.loaded(connection, self.tenant, row["id"])
            if also is not None:
                also(connection, self.tenant, row["id"])

        def load(connection: Connection, tenant: str, first: int, chunk: list[Item]) -> None:
            runs.load(connection, tenant, row["id"], lowest, first, chunk)
            runs.go_on(connection, tenant, row["id"])

        row = {**row, "tenant": self.tenant, "created_at": now(), "owner": this_process()}
        chunks = _chunks(items)
        ahead = list(islice(chunks, 2))
        if len(ahead) < 2:
            self._database.write_now(at_once)
            return
        with runs.loading(row["id"]):
            self._database.write_now(lambda connection: runs.begin(connection, row))
            try:
                first = 0
                for chunk in chain(ahead, chunks):
                    self.change(load, first, chunk)
                    first += len(chunk)
                self._database.write_now(loaded)
            except BaseException:  # where this fails too, whoever wants the run next does it
                self.change(runs.unload, row["id"])
                raise

    def begin_copy(self, source: str, changed: dict[str, Any], lowest: float) -> None:
        """A run with the items of another one, all open, in the state `loading`."""
        row = {**changed, "rescored_from": source, "created_at": now(), "owner": this_process()}
        self.change(runs.copy, source, row, lowest)

    def keep(self, table: Any, **columns: Any) -> None:
        """Adds a rubric or a judge, unless it is there. None is ever deleted."""
        known = (table.name, columns.get("hash") or columns["fingerprint"])
        if known in self._kept:
            return
        row = {**columns, "tenant": self.tenant, "created_at": now()}
        self._database.write_now(lambda connection: connection.execute(ignoring(connection, table), row))
        if len(self._kept) >= MOST_KEPT:
            self._kept.clear()
        self._kept.add(known)

    def probed(self, description_hash: str) -> dict[str, Any] | None:
        """How a described judge can be asked, if that was found out."""
        wanted = select(tables.probe.c.asking).where(
            tables.probe.c.tenant == self.tenant, tables.probe.c.description_hash == description_hash
        )
        found = self._database.read_now(lambda connection: connection.execute(wanted).scalar())
        return None if found is None else json.loads(found)

    def keep_probe(self, description_hash: str, asking: dict[str, Any]) -> None:
        """Writes down how a described judge can be asked, instead of what was known before."""

        def write(connection: Connection) -> None:
            row = {
                "tenant": self.tenant,
                "description_hash": description_hash,
                "asking": json.dumps(asking),
                "at": now(),
            }
            connection.execute(replacing(connection, tables.probe), row)

        self._database.write_now(write)

    def forget_replies(self, before: float) -> int:
        """Drops the raw replies of calls sent before a time in seconds since 1970. Returns how many.

        Their costs and verdicts stay. Such a call is no longer found again: its bytes are gone.
        """

        def drop(connection: Connection) -> int:
            old = update(tables.call).where(
                tables.call.c.tenant == self.tenant, tables.call.c.sent_at < before, tables.call.c.raw.is_not(None)
            )
            return connection.execute(old.values(raw=None, usable=False)).rowcount

        return self._database.write_now(drop)


def _chunks(items: Iterable[Item]) -> Iterator[list[Item]]:
    chunk: list[Item] = []
    size = 0
    for item in items:
        chunk.append(item)
        size += item.size
        if len(chunk) == CHUNK_ITEMS or size > CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk
