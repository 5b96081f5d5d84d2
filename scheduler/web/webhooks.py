"""`POST /webhooks/{provider}`: take in what a provider posts.

Order, which is the safety of it: the size is limited while the body is read; the signature is proven on the
raw bytes; the event is committed to the inbox; only then is the vendor answered, with 204. It is applied
afterwards. What cannot be stored is answered with 503, so that the vendor sends it again. Errors are
problem details (RFC 9457) of one sentence, which never repeat what was sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from datetime import datetime, timedelta
from http import HTTPStatus

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from scheduler.clock import SystemClock, boottime
from scheduler.errors import DatabaseUnavailable, RingbackError
from scheduler.events import Reporter
from scheduler.providers.base import Hook, HookRefused
from scheduler.providers.registry import KNOWN_PROVIDERS
from scheduler.service.inbox import InboxWriter
from scheduler.service.runtime import Runtime
from scheduler.store.database import skew
from scheduler.web.problems import problem

LARGEST_BODY = 5 * 2**20
LONGEST_READ_SECONDS = 10.0
SKEW_LASTS = 60.0
"""Seconds for which the measured difference of this host's clock to the database's is believed."""


class Webhooks:
    """Receives for every provider that this process has the keys of."""

    def __init__(self, runtime: Runtime, writer: InboxWriter, reporter: Reporter) -> None:
        self.runtime, self.writer, self.reporter = runtime, writer, reporter
        self._skew, self._measured_at = timedelta(0), -SKEW_LASTS
        self._lock = threading.Lock()

    @staticmethod
    def router() -> APIRouter:
        router = APIRouter()
        for path in ("/webhooks/{provider}", "/webhooks/{provider}/{tail:path}"):
            router.add_api_route(path, receive, methods=["POST"], include_in_schema=False)
        return router

    def take(self, provider_name: str, hook: Hook) -> Response:
        """Prove, store, answer."""
        now = self._now()
        if provider_name not in KNOWN_PROVIDERS:
            return problem(HTTPStatus.NOT_FOUND, "there is no such provider")
        provider = self.runtime.providers.find(provider_name)
        if provider is None:
            self.reporter.webhook_refused(now, provider=provider_name, status=503, reason="its keys are not set here")
            return problem(HTTPStatus.SERVICE_UNAVAILABLE, "this provider is not set up here")
        try:
            events = provider.receive(hook, now)
            if events:
                self.writer.keep(provider_name, events)
        except HookRefused as error:
            self.reporter.webhook_refused(now, provider=provider_name, status=error.status, reason=str(error))
            return problem(HTTPStatus(error.status), str(error))
        except (RingbackError, TimeoutError) as error:
            why = f"it could not be stored, so the vendor is asked to send it again: {error}"
            self.reporter.webhook_refused(now, provider=provider_name, status=503, reason=why)
            return problem(HTTPStatus.SERVICE_UNAVAILABLE, "it could not be stored; send it again")
        self.reporter.webhook_taken(provider_name, len(events))
        return Response(status_code=HTTPStatus.NO_CONTENT)

    def _now(self) -> datetime:
        """This host's time, set right by the database's: a signature must not look stale for a clock that is off."""
        with self._lock:
            if boottime() - self._measured_at > SKEW_LASTS:
                with contextlib.suppress(DatabaseUnavailable):  # the last known difference has to do
                    self._skew = skew(self.runtime.database)
                self._measured_at = boottime()
            return SystemClock().now() - self._skew


async def receive(request: Request, provider: str, tail: str = "") -> Response:
    """One webhook."""
    webhooks: Webhooks = request.app.state.webhooks
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > LARGEST_BODY:
        return too_large()
    try:
        async with asyncio.timeout(LONGEST_READ_SECONDS):
            body = await read_body(request)
    except TimeoutError:
        return problem(HTTPStatus.REQUEST_TIMEOUT, "the body did not arrive in time")
    except ClientDisconnect:
        return problem(HTTPStatus.BAD_REQUEST, "the body did not arrive")  # nobody reads it; nothing is logged either
    if body is None:
        return too_large()
    hook = Hook(
        url=called_url(request, webhooks.runtime.settings.public_url),
        headers={name.lower(): value for name, value in request.headers.items()}, body=body, tail=tail,
    )
    return await run_in_threadpool(webhooks.take, provider, hook)


async def read_body(request: Request) -> bytes | None:
    """The raw body; None when it is too large, without having read the rest."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY:
            return None
    return bytes(body)


def called_url(request: Request, public_url: str | None) -> str:
    """The address as the vendor called it: signatures cover it. Behind a proxy only `public_url` knows the host."""
    path = request.scope.get("raw_path", b"").decode("ascii", "replace") or request.url.path
    query = request.scope.get("query_string", b"").decode("ascii", "replace")
    base = (public_url or f"{request.url.scheme}://{request.headers.get('host', '')}").rstrip("/")
    return f"{base}{path}" + (f"?{query}" if query else "")


def too_large() -> Response:
    return problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a webhook has at most {LARGEST_BODY // 2**20} MiB")
