"""Many items, durable: a run is the grades of one dataset by one rubric and one judge.

Its items lie in the store before the first call; each is finished in one transaction. Stopped at any moment, the
same run goes on with what is still open.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from judge import prompts
from judge.batching import Batching
from judge.calling import Caller
from judge.chunks import Part
from judge.costs import Budget
from judge.datasets import Dataset, Scan
from judge.errors import BudgetUsedUp, JudgeError, StoreError, Waiting
from judge.forecast import to_finish
from judge.grades import Graded
from judge.grading import Grader, refuse_pairs
from judge.items import Item
from judge.judges import Judge
from judge.ledger import Ledger
from judge.owner import this_process
from judge.session import Session
from judge.telemetry import NOBODY, Observer, Progress
from judge.trust import check
from judge.verdicts import Outcome
from rubrics import Rubric, lowest

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from judge.store.store import Store

#: Items begun beyond those in flight: enough to prepare one while another is written down.
SPARE_SHARE = 0.25
#: While calls wait for a retry others begin, up to this many times the concurrency, since each holds its texts.
MOST_OPEN_FACTOR = 4
SOURCE_CONCURRENCY = 64

Mode = Literal["live", "batch"]


@dataclass(frozen=True, slots=True)
class Options:
    """How a run is made. Times in seconds; None for no limit. `paid_by` is the key that it was submitted with.

    With the `mode` "batch" all that can be is asked in batches, at half the price; each may take `batch_window_s`, by
    default the day that providers take for one.
    """

    samples: int = 1
    concurrency: int | None = None
    rpm: float | None = None
    tpm: float | None = None
    deadline_s: float | None = None
    budget_usd: float | None = None
    fresh: bool = False
    resend_lost: bool = False
    retry_failed: bool = False
    take_over: bool = False
    allow_unpriced: bool = False
    paid_by: str | None = None
    mode: Mode = "live"
    batch_window_s: float | None = None


class Run:
    """A run, or a part of it, that is graded here. Made by `open`, or of one that was taken; close it in the end.

    `row` is the run as it is stored; with a budget it says what was spent.
    """

    def __init__(
        self,
        store: Store,
        session: Session,
        rubric: Rubric,
        row: dict[str, Any],
        options: Options,
        part: Part | None = None,
        own_session: bool = False,
    ) -> None:
        self._store, self._session, self._options, self._rubric = store, session, options, rubric
        self.part = part or Part()
        self._own_session = own_session
        self.id: str = row["id"]
        self.items: int = row["items"]
        self.judge_fingerprint: str = row["judge_fingerprint"]
        probed = session.probe_usd if own_session else 0.0  # a shared one was paid for by whoever came first
        budget = None if options.budget_usd is None else max(options.budget_usd - probed, 0.0)
        sent_before, gives_way = self.part.sent_before, self.part.shared and self.part.chunk is not None
        self._ledger = Ledger(
            store, self.id, row["round"], options.resend_lost, budget, options.paid_by, sent_before, gives_way
        )
        # What others reserve and give back of a shared run is known where calls are claimed, and nowhere else.
        own = Budget() if self.part.shared else Budget(budget, row["committed_usd"] or 0.0)
        self._caller: Caller | None = session.caller(self._ledger, own)
        self._grader: Grader = session.grader(rubric, self._caller, self.id)
        self._batching: Batching | None = None
        if self._caller is not None and self.part.chunk is None:  # no two are to make batches, or to look for them
            given = (self._ledger, self._grader, self.id, self._caller.budget)
            self._batching = Batching(store, session, *given, options.mode == "batch", options.batch_window_s)
        self.progress = Progress(self.items)
        self.stopped: str | None = None
        self._trouble: BaseException | None = None
        self._waiting: Waiting | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._room = asyncio.Event()

    @classmethod
    async def open(
        cls,
        store: Store,
        dataset: Dataset,
        rubric: Rubric,
        judge: Judge,
        options: Options | None = None,
        scan: Scan | None = None,
        calibration: str | None = None,
        observer: Observer = NOBODY,
    ) -> Run:
        """Reads and checks the whole input, makes the judge ready, and takes the run, or makes it.

        With a calibration its grades are shown by that one from then on.

        Raises
        ------
        InputError, SetupError, Paused, StoreError
            Before anything is spent on an item.
        """
        options = options or Options()
        refuse_pairs(rubric)
        scan = scan or dataset.scan()
        session = await Session.open(
            store,
            judge,
            options.samples,
            options.concurrency,
            options.rpm,
            options.tpm,
            options.allow_unpriced,
            options.fresh,
            options.budget_usd,
            observer,
        )
        try:
            by = None if calibration is None else checked(store, calibration, rubric, session)
            run_id = submit(store, dataset, scan, rubric, session, options)
            me = this_process()
            store.change(store.runs.take, run_id, me, by_force=options.take_over)
            store.change(store.runs.reopen, run_id, me, lost=options.resend_lost, failed=options.retry_failed)
            if options.budget_usd is not None:
                store.change(store.runs.commit_spent, run_id, me)
            run = cls(store, session, rubric, store.ask(store.runs.row, run_id), options, own_session=True)
            run.progress.done = run.items - store.ask(store.runs.count_open, run_id)
            if by is not None:
                store.change(store.calibrations.show_by, run.id, by)
        except BaseException:
            await session.close()
            raise
        return run

    @property
    def troubles(self) -> Counter[str]:
        """How often calls failed, by cause; most of them were made good by another attempt."""
        return self._caller.troubles if self._caller else Counter()

    @property
    def waits_for(self) -> int:
        """Calls that the provider has in batches."""
        return self._batching.handed_over if self._batching else 0

    @property
    def swept(self) -> bool:
        """Whether all that could be was handed over in batches."""
        return self._batching is not None and self._batching.swept

    async def execute(self, patient: bool = True, swept: bool = False) -> None:
        """Grades what is open, until all is done or `stop` is called.

        Where it was `swept` before, no more is handed over in batches while some are not back.

        Raises
        ------
        Waiting
            Where not `patient`, while the provider is at work on a batch; and where others have calls of the run in
            flight for longer than it may wait.
        Paused
            When the judge or the budget ends the run early; what is open stays open.
        StoreError
            When grades can no longer be written: also where another process took the run over.
        """
        observer, judge = self._session.observer, self._session.judge
        observer.run_began(judge, self)
        try:
            await self._execute(patient, swept)
        finally:
            observer.run_ended(judge, self)

    async def _execute(self, patient: bool, swept: bool) -> None:
        timer = None
        if self._options.deadline_s is not None:
            timer = asyncio.get_running_loop().call_later(self._options.deadline_s, self.stop, "the deadline")
        if self._caller:
            self._caller.endpoint.eased.add(self._room.set)
        try:
            await self._await_batches(patient, swept)
            await self._feed()
        except StoreError as error:
            self._trouble = error
            self.stop(str(error))
        finally:
            while self._tasks:
                await asyncio.wait(self._tasks)
            if timer is not None:
                timer.cancel()
            if self._caller:
                self._caller.endpoint.eased.discard(self._room.set)
            await self._ledger.flush()
        if isinstance(self._trouble, BudgetUsedUp):
            batch = self._options.mode == "batch"
            left = await asyncio.to_thread(to_finish, self._store, self._session, self._rubric, self.id, batch)
            raise BudgetUsedUp(f"{self._trouble}; {left}")
        if (trouble := self._trouble or self._waiting) is not None:
            raise trouble

    async def take_back(self) -> None:
        """Takes back what the provider has not answered of batches, and keeps what it has. Raises Waiting, Paused."""
        await self._await_batches(patient=False)

    async def _await_batches(self, patient: bool, swept: bool = False) -> None:
        if self._batching is not None:
            await self._batching.execute(self._items, patient, swept)
        else:
            self._ledger.batched = self.part.batched

    async def _items(self) -> AsyncIterator[Item]:
        async for _, _, item in self._open_items():
            yield item

    async def _feed(self) -> None:
        """Begins an item whenever there is room, until none is open or nothing more may be sent."""
        async for seq, revision, item in self._open_items():
            await self._make_room()
            if self.stopped:
                return
            task = asyncio.create_task(self._one(seq, revision, item))
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    def stop(self, reason: str) -> None:
        """Sends nothing more. Answers under way are still awaited and kept."""
        if self.stopped:
            return
        self.stopped = reason
        self._room.set()
        if self._batching is not None:
            self._batching.stop()
        if self._caller:
            self._caller.stopping = True
            for task in list(self._caller.resting):
                task.cancel()

    async def close(self) -> str:
        """Gives the run up, if nobody took it over. Returns its state: `done`, or `open` where items are left."""
        if self._own_session:
            await self._session.close()
        state: str = self._store.change(self._store.runs.release, self.id, self.part.owner)
        return state

    async def _open_items(self) -> AsyncIterator[tuple[int, int, Item]]:
        after, before = self.part.between
        last = self.items if before is None else min(before, self.items)
        self.progress.began = time.monotonic()
        while page := await self._store.open_page(self.id, after, before):
            for seq, revision, item in page:
                yield seq, revision, item
            after = page[-1][0]
            if after + 1 >= last:
                return

    async def _make_room(self) -> None:
        """Waits until another item may begin."""
        endpoint = self._caller.endpoint if self._caller else None
        concurrency = endpoint.concurrency if endpoint else SOURCE_CONCURRENCY
        width = concurrency + int(concurrency * SPARE_SHARE) + 1
        while not self.stopped:
            waiting = endpoint.waiting if endpoint else 0
            if len(self._tasks) - waiting < width and len(self._tasks) < MOST_OPEN_FACTOR * width:
                return
            self._room.clear()
            await self._room.wait()

    async def _one(self, seq: int, revision: int, item: Item) -> None:
        graded = await self._grader.grade(item)
        finish = self._store.finish(self.id, self.part.owner, seq, revision, graded)
        await asyncio.gather(finish, *graded.receipt.writes)
        self._count(graded)

    def _count(self, graded: Graded) -> None:
        progress, grade = self.progress, graded.grade
        progress.done += 1
        progress.graded += 1
        if grade.outcome not in (Outcome.SCORED, Outcome.NOT_APPLICABLE):
            causes = (one.cause for one in grade.criteria.values() if one.outcome is grade.outcome)
            progress.unscored[next((cause for cause in causes if cause), grade.outcome)] += 1
        cost = graded.receipt.cost_usd
        progress.cost_usd = None if progress.cost_usd is None or cost is None else progress.cost_usd + cost

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._room.set()
        error = None if task.cancelled() else task.exception()
        if error is None:
            return
        if isinstance(error, Waiting):  # for this item: the others can be graded meanwhile
            self._waiting = error
            return
        self._trouble = self._trouble or error
        # What is no error of ours may hold anything.
        self.stop(str(error) if isinstance(error, JudgeError) else type(error).__name__)


def fingerprint(dataset: str, rubric: str, judge: str, round_: int) -> str:
    """SHA-256 of all that makes one run the same run as another."""
    return hashlib.sha256(json.dumps([dataset, rubric, judge, round_]).encode()).hexdigest()


def submit(
    store: Store,
    dataset: Dataset,
    scan: Scan,
    rubric: Rubric,
    session: Session,
    options: Options,
    also: Callable[[Connection, str, str], None] | None = None,
    admit: Callable[[Connection, str], None] | None = None,
) -> str:
    """The id of the run of this dataset, rubric and judge: made with all its items, unless it is there.

    `also` is done with tenant and run, in the transaction that makes the run or, where it is there, in one of its own.
    `admit` is asked with the tenant before one is made, and may raise.

    Raises
    ------
    RunBusy
        While another process makes it.
    """
    round_ = 0
    if options.fresh:
        mending = options.resend_lost or options.retry_failed
        round_ = store.ask(store.runs.next_round, scan.hash, rubric.hash, session.fingerprint, mending)
    wanted = fingerprint(scan.hash, rubric.hash, session.fingerprint, round_)

    def known(connection: Connection, tenant: str) -> tuple[str, str] | None:
        found: tuple[str, str] | None = store.runs.known(connection, tenant, wanted)
        if found is None and admit is not None:
            admit(connection, tenant)
        return found

    while (there := store.ask(known)) is not None and there[1] == "loading":
        store.change(store.runs.find, wanted, by_force=options.take_over)
    if there is not None:
        if also is not None:
            store.change(also, there[0])
        return there[0]
    _keep(store, rubric, session)
    row: dict[str, Any] = {
        "id": uuid.uuid4().hex[:12],
        "fingerprint": wanted,
        "dataset_hash": scan.hash,
        "dataset_name": dataset.name,
        "rubric_hash": rubric.hash,
        "judge_fingerprint": session.fingerprint,
        "round": round_,
        "samples": options.samples,
        "items": scan.count,
    }
    store.create_run(row, dataset.unchanged_since(scan), lowest(rubric), also)
    return str(row["id"])


def checked(store: Store, calibration: str, rubric: Rubric, session: Session) -> str:
    """The id of a calibration, refused where it is of another rubric or judge: before a run is made of it."""
    return check(store, calibration, rubric, session.grader(rubric, None).judge_ref, session.samples)


def keep_rubric(store: Store, rubric: Rubric) -> None:
    """Keeps a rubric for the runs that grade by it."""
    store.keep(
        store.tables.rubric, hash=rubric.hash, name=rubric.name, version=rubric.version, body=rubric.model_dump_json()
    )


def _keep(store: Store, rubric: Rubric, session: Session) -> None:
    judge, ref, asking = session.judge, session.grader(rubric, None).judge_ref, session.asking
    keep_rubric(store, rubric)
    # Headers may hold secrets: they are asked with, and their names alone are kept.
    body: dict[str, Any] = {"description": judge.model_dump(mode="json", exclude={"headers"})}
    body |= {"ref": ref.model_dump(mode="json"), "headers": sorted(judge.headers)}
    if asking is not None:
        body |= {"asking": asdict(asking), "prompt": prompts.version(asking.mode)}
    store.keep(store.tables.judge, fingerprint=ref.fingerprint, name=judge.name, body=json.dumps(body))
