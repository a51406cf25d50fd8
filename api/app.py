"""The service: grading over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI

from api import handlers
from api.access import Access
from api.desk import Desks
from api.feed import Feed
from api.lines import Uploads
from api.loopback import Loopback
from api.openapi import Service
from api.request_ids import RequestIds
from api.routes import calibrations, comparisons, costs, events, grades, health, labels, results, rubrics, runs, uploads
from api.settings import ServiceSettings
from api.shelf import Shelf
from judge.settings import Settings
from judge.store import open_store


def create_app(store_url: str | None = None) -> FastAPI:
    """The application over the store at a database URL, by default the one in the settings.

    Raises
    ------
    SetupError, RubricError
        When the operator's settings, rubrics or judges cannot be used.
    """
    settings, service = Settings(), ServiceSettings()
    shelf = Shelf.read(service.rubrics_dir, service.judges_dir)

    @asynccontextmanager
    async def serving(_: FastAPI) -> AsyncIterator[dict[str, object]]:
        with open_store(store_url or settings.database_url) as store:
            desks = Desks(store, shelf, settings.max_output_bytes)
            desks.take_up()
            feed, received = Feed(), Uploads(service.max_upload_bytes, service.max_upload_items)
            try:
                with feed.ending_with_the_server():
                    yield {"store": store, "desks": desks, "feed": feed, "uploads": received}
            finally:
                await feed.close()
                await desks.close()

    app = Service(
        title="Calibrated judge",
        summary="Grades of model outputs by a rubric and a judge.",
        version=version("calibrated-judge"),
        lifespan=serving,
        redirect_slashes=False,
        # The framework's pages fetch scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
    )
    app.include_router(runs.bodied)
    app.include_router(labels.bodied)
    app.include_router(calibrations.bodied)
    for routes in (grades, runs, uploads, results, events, comparisons, rubrics, costs, labels, calibrations, health):
        app.include_router(routes.router)
    handlers.install(app)
    app.add_middleware(Access, keyless=service.keyless)
    if service.keyless:
        app.add_middleware(Loopback)
    app.add_middleware(RequestIds)
    return app
