"""`judge worker`."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from judge.cli.exits import expected, say
from judge.cli.signals import stop_on_signals
from judge.errors import SetupError
from judge.settings import Settings
from judge.shelf import Shelf
from judge.store import open_store
from judge.workers import Workers

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
@expected
def worker(
    chunks: Annotated[int, typer.Option(min=1, max=256, help="Chunks of runs that are graded at once.")] = 8,
) -> None:
    """Grade what services on the same PostgreSQL take in, beside any number of other workers."""
    asyncio.run(_work(chunks))


async def _work(chunks: int) -> None:
    settings, ended = Settings(), asyncio.Event()
    shelf = Shelf.read(settings.rubrics_dir, settings.judges_dir)
    with open_store() as store:
        if store.queue_url is None:
            raise SetupError(
                "a SQLite file belongs to one machine, where `judge serve` grades by itself; for more than one, name a "
                "PostgreSQL in JUDGE_DATABASE_URL"
            )
        workers = Workers(store, shelf.judge)
        workers.start(at_once=chunks)
        try:
            stop_on_signals(ended.set, ended.is_set)
            say(f"grading what is wanted at {store.name}; Ctrl-C stops")
            await ended.wait()
        finally:
            await workers.close()
