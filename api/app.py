"""The service: grading over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI

from api import handlers, idempotency
from api.access import Access
from api.desk import Desks
from api.feed import Feed
from api.lines import Uploads
from api.loopback import Loopback
from api.metrics import Queue, Requests
from api.openapi import Service
from api.request_ids import RequestIds
from api.rooms import Room
from api.routes import (
    budgets,
    calibrations,
    comparisons,
    costs,
    events,
    grades,
    health,
    judges,
    labels,
    metrics,
    render,
    results,
    rubrics,
    runs,
    uploads,
)
from api.settings import ServiceSettings
from api.watch import Watch
from judge import heap, otel, providers
from judge.journal import Journal
from judge.metrics import Endpoints, Metrics
from judge.servers import Servers
from judge.settings import Settings
from judge.shelf import Shelf
from judge.store import open_store
from judge.telemetry import Observers
from judge.workers import Workers

#: Requests for grades that this process is at work on: of all tenants, and of one.
MOST_GRADING, MOST_OF_ONE = 256, 128
AT_WORK = "requests for grades are at work; send this one in a moment, or submit a run"


def create_app(store_url: str | None = None) -> FastAPI:
    """The application over the store at a database URL, by default the one in the settings.

    Raises
    ------
    SetupError, RubricError
        When the operator's settings, rubrics or judges cannot be used.
    """
    settings, service = Settings(), ServiceSettings()
    shelf = Shelf.read(settings.rubrics_dir, settings.judges_dir, Servers.read())
    measured = Metrics(shelf.label)
    observer = Observers(Journal(), measured, *otel.wanted())

    @asynccontextmanager
    async def serving(_: FastAPI) -> AsyncIterator[dict[str, object]]:
        with open_store(store_url or settings.database_url) as store:
            workers = Workers(store, shelf, observer)
            measured.registry.register(Endpoints(lambda: workers.sessions, shelf.offers))
            measured.registry.register(Queue(store))
            providers.prepare(shelf.operators.values())
            heap.keep()
            if service.grading:
                workers.start()
            desks = Desks(workers, settings.max_output_bytes)
            feed, received = Feed(), Uploads(service.max_upload_bytes, service.max_upload_items)
            state = {"store": store, "desks": desks, "metrics": measured, "feed": feed, "uploads": received}
            try:
                with feed.ending_with_the_server():
                    yield state | {"grading": Room("grades", MOST_GRADING, MOST_OF_ONE, AT_WORK)}
            finally:
                await feed.close()
                await workers.close()
                observer.close()

    app = Service(
        title="Calibrated judge",
        summary="Grades of model outputs by a rubric and a judge.",
        description=idempotency.TAKEN,
        version=version("calibrated-judge"),
        lifespan=serving,
        redirect_slashes=False,
        # The framework's pages fetch scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
    )
    for routes in (runs, labels, calibrations, rubrics, judges):
        app.include_router(routes.bodied)
    for one in (grades, runs, uploads, results, events, comparisons, costs, budgets):
        app.include_router(one.router)
    for one in (render, rubrics, judges, labels, calibrations, health, metrics):
        app.include_router(one.router)
    handlers.install(app)
    app.add_middleware(Access, keyless=service.keyless)
    if service.keyless:
        app.add_middleware(Loopback)
    app.add_middleware(Watch, requests=Requests(measured.registry))
    app.add_middleware(RequestIds)
    return app
