"""`judge worker`."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from prometheus_client import start_http_server

from judge import heap, logs, otel, providers
from judge.cli.exits import expected, say
from judge.cli.signals import stop_on_signals
from judge.errors import SetupError
from judge.journal import Journal
from judge.metrics import Endpoints, Metrics
from judge.servers import Servers
from judge.settings import Settings
from judge.shelf import Shelf
from judge.store import open_store
from judge.telemetry import Observers
from judge.workers import Workers

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
@expected
def worker(
    chunks: Annotated[int, typer.Option(min=1, max=256, help="Chunks of runs that are graded at once.")] = 8,
    metrics_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port at which Prometheus reads figures; without it, none.")
    ] = None,
    metrics_host: Annotated[
        str,
        typer.Option(
            help="Address of that port. Figures are served without a key: only on a network that is one's own."
        ),
    ] = "127.0.0.1",
    log_format: Annotated[
        logs.Format | None, typer.Option(help="Of the log on standard error; text on a terminal, else json.")
    ] = None,
) -> None:
    """Grade what services on the same PostgreSQL take in, beside any number of other workers."""
    logs.install("info", log_format)
    asyncio.run(_work(chunks, metrics_port, metrics_host))


async def _work(chunks: int, metrics_port: int | None, metrics_host: str) -> None:
    settings, ended = Settings(), asyncio.Event()
    shelf = Shelf.read(settings.rubrics_dir, settings.judges_dir, Servers.read())
    measured = Metrics(shelf.label)
    observer = Observers(Journal(), measured, *otel.wanted())
    with open_store() as store:
        if store.queue_url is None:
            raise SetupError(
                "a SQLite file belongs to one machine, where `judge serve` grades by itself; for more than one, name a "
                "PostgreSQL in JUDGE_DATABASE_URL"
            )
        workers = Workers(store, shelf, observer)
        measured.registry.register(Endpoints(lambda: workers.sessions, shelf.offers))
        providers.prepare(shelf.operators.values())
        heap.keep()
        if metrics_port is not None:
            _expose(measured, metrics_port, metrics_host)
        workers.start(at_once=chunks)
        try:
            stop_on_signals(ended.set, ended.is_set)
            say(f"grading what is wanted at {store.name}; Ctrl-C stops")
            await ended.wait()
        finally:
            await workers.close()
            observer.close()


def _expose(measured: Metrics, port: int, host: str) -> None:
    """Serves the figures beside the work. Raises SetupError."""
    try:
        start_http_server(port, host, measured.registry)
    except (OSError, UnicodeError) as trouble:  # the latter of what is no name of a machine
        why = getattr(trouble, "strerror", None) or trouble
        raise SetupError(
            f"figures cannot be served at {host}, port {port} ({why}); give --metrics-port a port that is free, and "
            "--metrics-host an address of this machine"
        ) from None
