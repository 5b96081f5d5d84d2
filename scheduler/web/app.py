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
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from scheduler import __version__
from scheduler.events import Reporter
from scheduler.service.bulk import BulkJobs
from scheduler.service.effects import EffectCounts
from scheduler.service.heat import Heat
from scheduler.service.import_jobs import ImportJobs
from scheduler.service.inbox import Inbox, InboxWriter
from scheduler.service.runtime import Runtime
from scheduler.service.totals import Counts
from scheduler.web import api, batches, live, login, metrics, pages
from scheduler.web.guard import guard
from scheduler.web.pages.imports import Shelf
from scheduler.web.problems import handle_problems
from scheduler.web.webhooks import Webhooks

STATIC = Path(__file__).parent / "static"
SAFE = ("GET", "HEAD", "OPTIONS")


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
        runtime.counts.start(reporter)
        app.state.import_jobs = jobs = ImportJobs(runtime, reporter)
        app.state.bulk_jobs = bulk = BulkJobs(reporter)
        app.state.effect_counts = counts = EffectCounts(reporter)
        app.state.heat, app.state.shelf = heat, shelf = Heat(runtime), Shelf()
        try:
            yield
        finally:
            jobs.close()
            bulk.close()
            counts.close()
            heat.close()
            shelf.clear()
            runtime.counts.close()
            writer.close()

    app = FastAPI(
        title="Ringback", version=__version__, docs_url=None, redoc_url=None, openapi_url="/openapi.json",
        lifespan=living, telemetry={"auto_configure": False},
    )
    app.state.runtime, app.state.reporter, app.state.host, app.state.port = runtime, reporter, host, port
    handle_problems(app)
    guard(app)
    app.add_middleware(_Noting, counts=runtime.counts)
    metrics.measure_requests(app, runtime)
    app.include_router(Webhooks.router())
    for part in (api, batches, metrics, live, login, pages):
        app.include_router(part.router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    return app


class _Noting:
    """Says that something was changed before the answer goes out: who looks next must see it counted."""

    def __init__(self, app: ASGIApp, counts: Counts) -> None:
        self.app, self.counts = app, counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in SAFE or scope["path"].startswith("/webhooks/"):
            await self.app(scope, receive, send)
            return

        async def note(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.counts.note_change()
            await send(message)

        await self.app(scope, receive, note)
