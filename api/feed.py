"""Runs that callers follow: the store is asked for all of them together, however many look on."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Context
from types import FrameType

from api.rooms import Room
from judge import StoreError
from judge.store.endings import Mark
from judge.store.store import Store

#: How often the store is asked for what is followed.
POLL_S = 0.25
#: Streams of events that one process has open: of all tenants, and of one.
MOST_STREAMS, MOST_OF_ONE = 200, 100

log = logging.getLogger(__name__)


class Watch:
    """One run that one caller follows. `mark` is how far it is; None where it is gone."""

    def __init__(self, store: Store, run: str, mark: Mark | None) -> None:
        self.store, self.run, self.mark = store, run, mark
        self._news = asyncio.Event()

    async def changed(self, timeout_s: float) -> bool:
        """Waits until the mark is another one, or the service stops. False where nothing came of it in time."""
        try:
            await asyncio.wait_for(self._news.wait(), timeout_s)
        except TimeoutError:
            return False
        self._news.clear()
        return True

    def tell(self, mark: Mark | None) -> None:
        """Says how far the run is now."""
        if mark != self.mark:
            self.mark = mark
            self.wake()

    def wake(self) -> None:
        """Ends the wait."""
        self._news.set()


class Feed:
    """All that is followed in this process. Close it in the end."""

    def __init__(self) -> None:
        self._watches: set[Watch] = set()
        self._polling: asyncio.Task[None] | None = None
        told = "streams of events are open; follow this run when one has ended"
        self.room = Room("streams", MOST_STREAMS, MOST_OF_ONE, told)
        self.stopping = False

    @contextmanager
    def ending_with_the_server(self) -> Iterator[None]:
        """Ends all streams when the server is told to stop: it waits for open requests, and these would last."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

        def stop(number: int, frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(self.stop)
            handler = before[signal.Signals(number)]
            if callable(handler):
                handler(number, frame)

        for number, handler in before.items():
            if callable(handler):
                signal.signal(number, stop)
        try:
            yield
        finally:
            for number, handler in before.items():
                if signal.getsignal(number) is stop:
                    signal.signal(number, handler)

    @contextmanager
    def watch(self, store: Store, run: str, mark: Mark | None) -> Iterator[Watch]:
        """Follows a run from a mark on."""
        watch = Watch(store, run, mark)
        self._watches.add(watch)
        if self._polling is None:
            # For all: its lines in the log are not about the request that came first.
            self._polling = asyncio.create_task(self._poll(), context=Context())
        try:
            yield watch
        finally:
            self._watches.discard(watch)

    def stop(self) -> None:
        """Ends all streams."""
        self.stopping = True
        for watch in self._watches:
            watch.wake()

    async def close(self) -> None:
        """Follows nothing any more."""
        self.stop()
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.gather(self._polling, return_exceptions=True)

    async def _poll(self) -> None:
        while self._watches:
            await asyncio.sleep(POLL_S)
            by_tenant: dict[str, list[Watch]] = {}
            for watch in self._watches:
                by_tenant.setdefault(watch.store.tenant, []).append(watch)
            for watches in by_tenant.values():
                store = watches[0].store
                try:
                    ids = sorted({watch.run for watch in watches})
                    marks = await asyncio.to_thread(store.ask, store.endings.marks, ids)
                except StoreError as error:  # whoever follows waits meanwhile
                    log.error("%s", error)
                    continue
                except Exception:
                    log.exception("looking for news of runs")  # and looking again: nobody else would
                    continue
                for watch in watches:
                    watch.tell(marks.get(watch.run))
        self._polling = None
