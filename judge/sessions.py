"""Judges made ready, each once."""

from __future__ import annotations

import asyncio
import weakref
from contextvars import Context
from functools import partial

from judge.judges import Judge
from judge.providers import Provider, Source
from judge.session import Session
from judge.store.store import Store
from judge.telemetry import NOBODY, Observer

Key = tuple[str, int]
#: Judges that are kept ready for a tenant, each with its connections: callers may make any number of them.
MOST_READY = 64


class Sessions:
    """Open sessions by judge and samples, those asked for last. Close it in the end."""

    def __init__(self, store: Store, observer: Observer = NOBODY) -> None:
        self._store, self._observer = store, observer
        self._openings: dict[Key, asyncio.Task[Session]] = {}
        #: Connections of those that were let go, and what closes them when nobody uses them any more.
        self._let_go: dict[Provider, weakref.finalize[..., Session]] = {}
        self._closings: set[asyncio.Task[None]] = set()

    async def get(self, judge: Judge, samples: int) -> Session:
        """The session of a judge, shared by all who ask for it: open for as long as they refer to it, at least.

        Raises SetupError, Paused.
        """
        key = (judge.model_dump_json(), samples)
        opening = self._openings.pop(key, None)
        if opening is None:
            opened = Session.open(self._store, judge, samples, observer=self._observer)
            # For all: its lines in the log, and those of tasks that it starts, are not about who came first.
            opening = asyncio.create_task(opened, context=Context())
            opening.add_done_callback(partial(self._forget_failed, key))
        self._openings[key] = opening  # the last of all
        self._let_oldest_go()
        # Others may wait for the same one: who leaves must not take it along.
        return await asyncio.shield(opening)

    @property
    def ready(self) -> list[Session]:
        """Those that are open."""
        done = [one for one in list(self._openings.values()) if one.done() and not one.cancelled()]
        return [one.result() for one in done if one.exception() is None]

    async def close(self) -> None:
        """Closes all sessions."""
        openings = list(self._openings.values())
        for opening in openings:
            opening.cancel()
        for session in await asyncio.gather(*openings, return_exceptions=True):
            if isinstance(session, Session):
                await session.close()
        while self._let_go:
            adapter, unused = self._let_go.popitem()
            unused.detach()
            await adapter.close()
        await asyncio.gather(*self._closings)

    def _forget_failed(self, key: Key, opening: asyncio.Task[Session]) -> None:
        if opening.cancelled() or opening.exception() is not None:
            del self._openings[key]

    def _let_oldest_go(self) -> None:
        """Has what was asked for longest ago be closed as soon as nobody uses it."""
        ready = [key for key, one in self._openings.items() if one.done() and not (one.cancelled() or one.exception())]
        for key in ready[: max(len(self._openings) - MOST_READY, 0)]:
            session = self._openings.pop(key).result()
            if not isinstance(session.adapter, Source):
                # Whoever is the last to use it may do so in any thread.
                later = asyncio.get_running_loop().call_soon_threadsafe
                unused = weakref.finalize(session, later, self._close, session.adapter)
                unused.atexit = False
                self._let_go[session.adapter] = unused

    def _close(self, adapter: Provider) -> None:
        if self._let_go.pop(adapter, None) is not None:
            closing = asyncio.ensure_future(adapter.close())
            self._closings.add(closing)
            closing.add_done_callback(self._closings.discard)
