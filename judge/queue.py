"""How work comes to the workers of processes, on any machines, that share a PostgreSQL: by procrastinate's queue.

A job says "chunk c of run r", or the whole of a run that is asked in batches. The queue brings it to one process,
notices where that one died, and brings it to another. It may be wrong about that: whoever then grades a chunk for the
second time meets the rows of the calls, which are the right to send, and of the grades; nothing is sent or counted
twice.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial

from procrastinate import App, BaseRetryStrategy, PsycopgConnector, RetryDecision
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Job, Status
from procrastinate.manager import JobManager
from psycopg.errors import RaiseException

from judge.errors import StoreError
from judge.store.jobs import QUEUE, SILENCE_S, TASK
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
#: How often it is told of a job that ended, before another process takes that for lost.
TELLS = 60
MOST_CONNECTIONS = 4
FAILED_S = 5.0

log = logging.getLogger(__name__)


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
        self._tenants: dict[str, int] = {}
        self._closing = asyncio.Event()
        self._tasks = [asyncio.create_task(self._go()), asyncio.create_task(self._look())]

    def wake(self, _: str) -> None:
        """Nothing: the database tells all processes."""

    async def close(self) -> None:
        """Takes no more chunks, and waits for those that it has; what is left of them goes back into the queue."""
        self._closing.set()
        await asyncio.gather(*self._tasks)

    async def _go(self) -> None:
        while not self._closing.is_set():
            try:
                await self._serve()
            except (ConnectorException, OSError) as error:
                log.warning("the queue cannot be reached, and is asked again: %s", _why(error))
            except Exception:
                log.exception("taking jobs")  # and taking them again: nobody else would
            await self._rest(AGAIN_S)

    async def _serve(self) -> None:
        """Takes jobs until this process stops, or the connection is lost."""
        app = App(connector=PsycopgConnector(conninfo=self._url, min_size=1, max_size=MOST_CONNECTIONS))
        app.job_manager = _Jobs(app.connector)
        app.task(name=TASK, queue=QUEUE, retry=_Again())(self._grade)
        async with app.open_async():
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
            others = [asyncio.create_task(self._rescue(app)), asyncio.create_task(self._closing.wait())]
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
        self._tenants[tenant] = self._tenants.get(tenant, 0) + 1
        try:
            again = await self._worker_of(tenant).grade(run, chunk, shared=True)
        finally:
            self._tenants[tenant] -= 1
        if again is not None:
            raise Later(again)

    async def _rescue(self, app: App) -> None:
        """Brings chunks of processes that died into the queue again, and runs that have no jobs."""
        looked = 0.0
        while True:
            for job in await app.job_manager.get_stalled_jobs(queue=QUEUE, seconds_since_heartbeat=SILENCE_S):
                await app.job_manager.retry_job(job)
            if time.monotonic() - looked > MISSING_S:
                looked = time.monotonic()
                with suppress(StoreError):  # it is tried again
                    found = await asyncio.to_thread(self._store.change, self._store.jobs.enqueue_missing)
                    for tenant, run in found:
                        log.info("run had no jobs, and has now", extra={"tenant": tenant, "run": run})
            await asyncio.sleep(RESCUE_S)

    async def _look(self) -> None:
        while not self._closing.is_set():
            for tenant in [tenant for tenant, chunks in self._tenants.items() if chunks]:
                with suppress(StoreError):  # it is tried again
                    await self._worker_of(tenant).look()
            await self._rest(LOOK_S)

    async def _rest(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), seconds)


class Later(Exception):
    """A chunk is not done, and is to be taken again after so many seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"again in {seconds} s")
        self.seconds = seconds


class _Jobs(JobManager):
    """Tells the queue what became of a job, also where the database is away for a moment."""

    async def finish_job(self, job: Job, status: Status, delete_job: bool) -> None:
        """See procrastinate."""
        await _told(partial(super().finish_job, job, status, delete_job))

    async def retry_job(
        self,
        job: Job,
        retry_at: datetime | None = None,
        priority: int | None = None,
        queue: str | None = None,
        lock: str | None = None,
    ) -> None:
        """See procrastinate."""
        await _told(partial(super().retry_job, job, retry_at, priority, queue, lock))


async def _told(tell: Callable[[], Awaitable[None]]) -> None:
    for left in reversed(range(TELLS)):
        try:
            return await tell()
        except ConnectorException as error:
            # Another process had the job meanwhile, since this one was silent for too long, and has ended it.
            if isinstance(error.__cause__, RaiseException):
                return None
            if not left:
                raise
            await asyncio.sleep(AGAIN_S)
    return None


class _Again(BaseRetryStrategy):
    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision:
        """No job is given up: what ends a run stands in its submission."""
        seconds = exception.seconds if isinstance(exception, Later) else FAILED_S
        return RetryDecision(retry_at=datetime.now(UTC) + timedelta(seconds=seconds))


def _why(error: BaseException) -> str:
    cause = error.__cause__ or error
    return " ".join(str(cause).split()) or type(cause).__name__
