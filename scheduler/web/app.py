"""The web application of one process, over the same service functions as the command line.

No rule lives here. What must stay true: it reads no table and changes none by itself, and a body is never
read without a limit. A newcomer would add FastAPI's own pages for its documentation: they load scripts
from elsewhere, so they are off.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from scheduler.events import Reporter
from scheduler.service.inbox import Inbox, InboxWriter
from scheduler.service.runtime import Runtime
from scheduler.web.webhooks import Webhooks


def create_app(runtime: Runtime, *, reporter: Reporter | None = None) -> FastAPI:
    """The application. What it stores is applied by threads of its own, that end with it."""
    reporter = reporter or Reporter()
    inbox = Inbox(runtime, reporter=reporter)

    @asynccontextmanager
    async def living(app: FastAPI) -> AsyncIterator[None]:
        writer = InboxWriter(inbox)
        app.state.webhooks = Webhooks(runtime, writer, reporter)
        try:
            yield
        finally:
            writer.close()

    app = FastAPI(title="Ringback", docs_url=None, redoc_url=None, openapi_url=None, lifespan=living)
    app.include_router(Webhooks.router())
    return app
