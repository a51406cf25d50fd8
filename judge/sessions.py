"""Judges made ready, each once."""

from __future__ import annotations

import asyncio
from contextvars import Context
from functools import partial

from judge.judges import Judge
from judge.session import Session
from judge.store.store import Store
from judge.telemetry import NOBODY, Observer

Key = tuple[str, int]


class Sessions:
    """Open sessions by judge and samples. Close it in the end."""

    def __init__(self, store: Store, observer: Observer = NOBODY) -> None:
        self._store, self._observer = store, observer
        self._openings: dict[Key, asyncio.Task[Session]] = {}

    async def get(self, judge: Judge, samples: int) -> Session:
        """The session of a judge, shared by all who ask for it. Raises SetupError, Paused."""
        key = (judge.model_dump_json(), samples)
        opening = self._openings.get(key)
        if opening is None:
            opened = Session.open(self._store, judge, samples, observer=self._observer)
            # For all: its lines in the log, and those of tasks that it starts, are not about who came first.
            opening = self._openings[key] = asyncio.create_task(opened, context=Context())
            opening.add_done_callback(partial(self._forget_failed, key))
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

    def _forget_failed(self, key: Key, opening: asyncio.Task[Session]) -> None:
        if opening.cancelled() or opening.exception() is not None:
            del self._openings[key]
