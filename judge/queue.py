"""How work comes to the workers of processes, on any machines, that share a PostgreSQL: by procrastinate's queue.

A job says "chunk c of run r", or the whole of a run that is asked in batches. The queue brings it to one process,
notices where that one died, and brings it to another. It may be wrong about that: whoever then grades a chunk for the
second time meets the rows of the calls, which are the right to send, and of the grades: nothing is sent, booked or
graded twice. Only the number of a run's endings, by which events are told in order, may go up once more.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from procrastinate import App, BaseRetryStrategy, PsycopgConnector, RetryDecision
from procrastinate.connector import BaseConnector
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Job, Status
from procrastinate.manager import JobManager, NotificationCallback
from psycopg import AsyncConnection, OperationalError
from psycopg.errors import ForeignKeyViolation, RaiseException
from psycopg_pool import AsyncConnectionPool

from judge.errors import StoreError
from judge.store.jobs import EPOCH, QUEUE, SILENCE_S, TASK
from judge.store.store import Store
from judge.worker import Worker

#: Chunks that a process grades at once, unless told otherwise; their calls share the judge's own limits.
CHUNKS_AT_ONCE = 8
#: A process says so often that it lives.
HEARTBEAT_S = 1.0
#: How often a process looks for new jobs where nobody told it, and for chunks of processes that died.
POLL_S, RESCUE_S = 0.5, 1.0
#: How often it looks for wanted runs that have no jobs.
MISSING_S = 10.0
#: How often it looks for runs that were cancelled.
LOOK_S = 0.5
#: A queue that went away is asked again after this.
AGAIN_S = 0.5
MOST_CONNECTIONS = 4
#: A connection is waited for so long, and is given up so soon, that the next who needs one tries anew: the pool itself
#: would try less and less often.
CONNECTION_S, RECONNECT_S = 5.0, 1.0
FAILED_S = 5.0

log = logging.getLogger(__name__)
#: It logs, with tracebacks, what is told here in a line, and every job.
logging.getLogger("procrastinate").addHandler(logging.NullHandler())
logging.getLogger("procrastinate").propagate = False


class Queue:
    """Gives each tenant's worker chunks of what is wanted. Made in a running loop; close it in the end.

    Parameters
    ----------
    url
        Of the PostgreSQL that the queue lies in.
    at_once
        Chunks that this process grades at a time.
    """

    def __init__(
        self, url: str, store: Store, worker_of: Callable[[str], Worker], at_once: int = CHUNKS_AT_ONCE
    ) -> None:
        self._url, self._store, self._worker_of, self._at_once = url, store, worker_of, at_once
        self._chunks: Counter[str] = Counter()  # under way, of each tenant
        self._closing = asyncio.Event()
        self._tasks = [asyncio.create_task(self._go()), asyncio.create_task(self._look())]

    def wake(self, tenant: str, run: str) -> None:
        """Nothing: the database tells all processes."""

    async def close(self) -> None:
        """Takes no more chunks, and waits for those that it has; what is left of them goes back into the queue."""
        self._closing.set()
        await asyncio.gather(*self._tasks)

    async def _go(self) -> None:
        while not self._closing.is_set():
            try:
                await self._serve()
            except (ConnectorException, OperationalError, OSError) as error:
                log.warning("the queue cannot be reached, and is asked again: %s", _why(error))
            except Exception:
                log.exception("taking jobs")  # and taking them again: nobody else would
            await self._rest(AGAIN_S)

    async def _serve(self) -> None:
        """Takes jobs until this process stops."""
        await (await AsyncConnection.connect(self._url)).close()  # which says at once, and why, where it cannot be
        pool = AsyncConnectionPool(
            self._url,
            min_size=1,
            max_size=MOST_CONNECTIONS,
            open=False,
            timeout=CONNECTION_S,
            reconnect_timeout=RECONNECT_S,
            check=AsyncConnectionPool.check_connection,
            configure=_alone,
        )
        app = App(connector=PsycopgConnector())
        app.job_manager = jobs = Jobs(app.connector)
        app.task(name=TASK, queue=QUEUE, retry=_Again())(self._grade)
        async with pool, app.open_async(pool):
            taking = asyncio.create_task(
                app.run_worker_async(
                    queues=[QUEUE],
                    concurrency=self._at_once,
                    fetch_job_polling_interval=POLL_S,
                    update_heartbeat_interval=HEARTBEAT_S,
                    stalled_worker_timeout=SILENCE_S,
                    delete_jobs="always",
                    install_signal_handlers=False,
                )
            )
            others = [asyncio.create_task(self._rescue(jobs)), asyncio.create_task(self._closing.wait())]
            try:
                await asyncio.wait([taking, *others], return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (taking, *others):
                    task.cancel()  # the first one then waits for the chunks that it has
                ended = await asyncio.gather(taking, *others, return_exceptions=True)
        for error in ended:
            if isinstance(error, Exception):
                raise error

    async def _grade(self, tenant: str, run: str, chunk: int | None) -> None:
        self._chunks[tenant] += 1
        try:
            again = await self._worker_of(tenant).grade(run, chunk, shared=True)
        finally:
            self._chunks[tenant] -= 1
        if again is not None:
            raise Later(again)

    async def _rescue(self, jobs: Jobs) -> None:
        """Brings chunks of processes that died into the queue again, and runs that have no jobs."""
        looked = 0.0
        while True:
            await jobs.rescue()
            if time.monotonic() - looked > MISSING_S:
                looked = time.monotonic()
                with suppress(StoreError):  # it is tried again
                    found = await asyncio.to_thread(self._store.change, self._store.jobs.enqueue_missing)
                    for tenant, run in found:
                        log.info("run had no jobs, and has now", extra={"tenant": tenant, "run": run})
            await asyncio.sleep(RESCUE_S)

    async def _look(self) -> None:
        while not self._closing.is_set():
            for tenant in +self._chunks:
                try:
                    await self._worker_of(tenant).look()
                except StoreError:
                    pass  # it is tried again
                except Exception:
                    log.exception("looking for what was cancelled")  # and looking again: nobody else would
            await self._rest(LOOK_S)

    async def _rest(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), seconds)


class Later(Exception):
    """A chunk is not done, and is to be taken again after so many seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"again in {seconds} s")
        self.seconds = seconds


class Jobs(JobManager):
    """The queue as one process asks it, which goes on with what it has while the database is away.

    Where an answer did not come, the database may have done what it was asked for or not: it is looked up when it is
    there again.
    """

    def __init__(self, connector: BaseConnector) -> None:
        super().__init__(connector)
        self._me: int | None = None
        self._have: set[int | None] = set()
        self._unsure = False
        self._failed_at = -SILENCE_S

    async def register_worker(self) -> int:
        """See procrastinate."""
        self._me = await super().register_worker()
        return self._me

    async def unregister_worker(self, worker_id: int) -> None:
        """See procrastinate. Whoever cannot is taken for dead, which comes to the same."""
        if self._me is not None:
            await self._try(super().unregister_worker(self._me))

    async def update_heartbeat(self, worker_id: int) -> None:
        """See procrastinate, which would send no more of them after one that failed."""
        if self._me is not None:
            await self._try(super().update_heartbeat(self._me))

    async def listen_for_jobs(
        self, *, on_notification: NotificationCallback, queues: Iterable[str] | None = None
    ) -> None:
        """See procrastinate, which would listen no more."""
        while True:
            await self._try(super().listen_for_jobs(on_notification=on_notification, queues=queues))
            await asyncio.sleep(AGAIN_S)

    async def fetch_job(self, queues: Iterable[str] | None, worker_id: int) -> Job | None:
        """See procrastinate, which would stop taking jobs, and wait for those that it has."""
        try:
            if self._unsure:
                await self._look_up()
            assert self._me is not None
            job = await super().fetch_job(queues, self._me)
        except ConnectorException as error:
            if isinstance(error.__cause__, ForeignKeyViolation):
                self._me = None  # taken for dead, after a silence
            else:
                self._failed(error)
            self._unsure = True
            return None
        if job is not None:
            self._have.add(job.id)
        return job

    async def finish_job(self, job: Job, status: Status, delete_job: bool) -> None:
        """See procrastinate."""
        await self._tell(job, super().finish_job(job, status, delete_job))

    async def retry_job(
        self,
        job: Job,
        retry_at: datetime | None = None,
        priority: int | None = None,
        queue: str | None = None,
        lock: str | None = None,
    ) -> None:
        """See procrastinate."""
        await self._tell(job, super().retry_job(job, retry_at, priority, queue, lock))

    async def rescue(self) -> None:
        """Brings jobs of processes that died into the queue again."""
        if time.monotonic() - self._failed_at < SILENCE_S:
            return  # nobody could say that it lives
        try:
            stalled = await self.get_stalled_jobs(queue=QUEUE, seconds_since_heartbeat=SILENCE_S)
        except ConnectorException as error:
            self._failed(error)
            return
        for job in stalled:
            if job.id not in self._have:
                await self.retry_job(job)

    async def _look_up(self) -> None:
        """Registers anew where that is needed, and gives back jobs that this process was given and does not have."""
        if self._me is None:
            await self.register_worker()
        given = await self.list_jobs_async(queue=QUEUE, status=Status.DOING.value, worker_id=self._me)
        self._unsure = False
        for job in given:
            if job.id not in self._have:
                await self.retry_job(job)

    async def _tell(self, job: Job, telling: Awaitable[None]) -> None:
        """Tells what became of a job. What cannot be told is looked up later."""
        try:
            await telling
        except ConnectorException as error:
            # Another process had the job meanwhile, since this one was silent for too long, and has ended it.
            if not isinstance(error.__cause__, RaiseException):
                self._failed(error)
                self._unsure = True
        finally:
            self._have.discard(job.id)

    async def _try(self, asking: Awaitable[None]) -> None:
        try:
            await asking
        except (ConnectorException, OperationalError, OSError) as error:
            self._failed(error)

    def _failed(self, error: BaseException) -> None:
        """Says so once, while it fails again and again."""
        now = time.monotonic()
        if now - self._failed_at > SILENCE_S:
            log.warning("the queue cannot be reached, and is asked again: %s", _why(error))
        self._failed_at = now


class _Again(BaseRetryStrategy):
    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision:
        """No job is given up: what ends a run stands in its submission."""
        seconds = exception.seconds if isinstance(exception, Later) else FAILED_S
        turn = EPOCH - int(time.time() + seconds)  # behind what was wanted until then
        return RetryDecision(retry_at=datetime.now(UTC) + timedelta(seconds=seconds), priority=turn)


async def _alone(connection: AsyncConnection) -> None:
    """Each statement by itself: a process that stands still in a transaction would keep a job from others."""
    await connection.set_autocommit(True)


def _why(error: BaseException) -> str:
    cause = error.__cause__ or error
    return " ".join(str(cause).split()) or type(cause).__name__
