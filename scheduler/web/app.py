"""The web application of one process, over the same service functions as the command line.

No rule lives here. What must stay true: it reads tables through `store` and changes none but through
`service`, and a body is never read without a limit. A newcomer would add FastAPI's own pages for its
documentation: they load scripts from elsewhere, so they are off.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from scheduler import __version__
from scheduler.events import Reporter
from scheduler.service.bulk import BulkJobs
from scheduler.service.heat import Heat
from scheduler.service.import_jobs import ImportJobs
from scheduler.service.inbox import Inbox, InboxWriter
from scheduler.service.runtime import Runtime
from scheduler.web import api, batches, live, login, metrics, pages
from scheduler.web.guard import guard
from scheduler.web.pages.imports import Shelf
from scheduler.web.problems import handle_problems
from scheduler.web.webhooks import Webhooks

STATIC = Path(__file__).parent / "static"


def create_app(
    runtime: Runtime, *, reporter: Reporter | None = None, host: str = "127.0.0.1", port: int = 8000
) -> FastAPI:
    """The application, as it is bound to `host`. What it stores is applied by threads of its own, that end with it."""
    reporter = reporter or Reporter()
    inbox = Inbox(runtime, reporter=reporter)

    @asynccontextmanager
    async def living(app: FastAPI) -> AsyncIterator[None]:
        writer = InboxWriter(inbox)
        app.state.webhooks = Webhooks(runtime, writer, reporter)
        app.state.import_jobs = jobs = ImportJobs(runtime, reporter)
        app.state.bulk_jobs = bulk = BulkJobs(reporter)
        app.state.heat, app.state.shelf = heat, shelf = Heat(runtime), Shelf()
        try:
            yield
        finally:
            jobs.close()
            bulk.close()
            heat.close()
            shelf.clear()
            writer.close()

    app = FastAPI(
        title="Ringback", version=__version__, docs_url=None, redoc_url=None, openapi_url="/openapi.json",
        lifespan=living, telemetry={"auto_configure": False},
    )
    app.state.runtime, app.state.reporter, app.state.host, app.state.port = runtime, reporter, host, port
    handle_problems(app)
    guard(app)
    metrics.measure_requests(app, runtime)
    app.include_router(Webhooks.router())
    for part in (api, batches, metrics, live, login, pages):
        app.include_router(part.router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    return app
