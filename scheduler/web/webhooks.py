"""`POST /webhooks/{provider}`: take in what a provider posts.

Order, which is the safety of it: what the headers alone show to be no webhook is refused before its body; the size
is limited while the body is read; the signature is proven on the raw bytes; the event is committed to the inbox; only
then is the vendor answered, with 204. It is applied afterwards. What cannot be stored is answered with 503, so that
the vendor sends it again. Errors are problem details (RFC 9457) of one sentence, which never repeat what was sent.

What must stay true: strangers take a bounded memory whatever they send, and keep no vendor out. A vendor's body is
there at once; so where there is no room for one more, the one that has been arriving for longest is broken off, of
the address that has most. A stranger learns nothing of which providers are set up here: whatever proves nothing is
answered in the same words.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from http import HTTPStatus

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from scheduler.clock import SystemClock, boottime
from scheduler.errors import DatabaseUnavailable, RingbackError
from scheduler.events import Reporter
from scheduler.providers.base import Hook, HookRefused
from scheduler.providers.hook_forms import require_form
from scheduler.providers.registry import KNOWN_PROVIDERS
from scheduler.service.inbox import InboxWriter
from scheduler.service.runtime import Runtime
from scheduler.store.database import skew
from scheduler.web.guard import BURST_SECONDS, PLACES, Buckets, Places, address_of
from scheduler.web.problems import problem

LARGEST_BODY = 5 * 2**20
LONGEST_READ_SECONDS = 10.0
MOST_ARRIVING, MOST_OF_ADDRESS = 400, 200
"""Bodies that arrive at the same time: together, and from one address."""
SMALL_BODY = 32 * 2**10
"""As large as most webhooks are. So much is free for each; what is larger shares what follows."""
LARGE_TOGETHER, LARGE_OF_ADDRESS = 12 * 2**20, 8 * 2**20
UNPROVEN = "nothing in it proves who sent it"
NOT_SET_UP = "its keys are not set here"
STRANGE = frozenset({400, 401, 404, 408, 413})
"""Answers to what no vendor sends."""
SKEW_LASTS = 60.0
"""Seconds for which the measured difference of this host's clock to the database's is believed."""


class Webhooks:
    """Receives for every provider that this process has the keys of."""

    def __init__(self, runtime: Runtime, writer: InboxWriter, reporter: Reporter) -> None:
        self.runtime, self.writer, self.reporter = runtime, writer, reporter
        self.arrivals, self.places = Arrivals(), Places(PLACES)
        rate = runtime.settings.web_rate
        self.refusals = Buckets(rate, rate * BURST_SECONDS, time.monotonic)
        """Of each address: what is genuine may come as fast as calls end, what proves nothing may not."""
        self._skew, self._measured_at = timedelta(0), -SKEW_LASTS
        self._lock = threading.Lock()

    @staticmethod
    def router() -> APIRouter:
        router = APIRouter()
        for path in ("/webhooks/{provider}", "/webhooks/{provider}/{tail:path}"):
            router.add_api_route(path, receive, methods=["POST"], include_in_schema=False)
        return router

    def glance(self, provider_name: str, hook: Hook) -> None:
        """What can be told before the body is read. Raises HookRefused."""
        if provider_name not in KNOWN_PROVIDERS:
            raise HookRefused(404, "there is no such provider")
        provider, now = self.runtime.providers.find(provider_name), self._now()
        try:
            if provider is None:
                require_form(provider_name, hook, now)
            else:
                provider.glance(hook, now)
        except HookRefused as error:
            why = str(error) if provider is not None else NOT_SET_UP
            self.reporter.webhook_refused(now, provider=provider_name, status=error.status, reason=why)
            raise

    def take(self, provider_name: str, hook: Hook) -> Response:
        """Prove, store, answer."""
        now = self._now()
        provider = self.runtime.providers.find(provider_name)
        try:
            if provider is None:
                raise HookRefused(401, NOT_SET_UP)
            events = provider.receive(hook, now)
            if events:
                self.writer.keep(provider_name, events)
        except HookRefused as error:
            self.reporter.webhook_refused(now, provider=provider_name, status=error.status, reason=str(error))
            return refused(error)
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
    address = address_of(request)
    webhooks.refusals.require(address)
    answer = await answer_to(request, webhooks, provider, tail, address)
    if answer.status_code in STRANGE:
        webhooks.refusals.note(address)
    return answer


async def answer_to(request: Request, webhooks: Webhooks, provider: str, tail: str, address: str) -> Response:
    hook = Hook(
        url=called_url(request, webhooks.runtime.settings.public_url),
        headers={name.lower(): value for name, value in request.headers.items()}, body=b"", tail=tail,
    )
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > LARGEST_BODY:
        return too_large()
    try:
        # In a thread, because once a minute it asks the database for its time.
        await run_in_threadpool(webhooks.glance, provider, hook)
    except HookRefused as error:
        return refused(error)
    with webhooks.arrivals.entered(address) as arrival:
        try:
            body = await read_body(request, arrival)
        except Crowded:
            return problem(
                HTTPStatus.SERVICE_UNAVAILABLE, "too much arrives at once; send it again", headers={"Retry-After": "1"}
            )
        except TimeoutError:
            return problem(HTTPStatus.REQUEST_TIMEOUT, "the body did not arrive in time")
        except ClientDisconnect:
            # Nobody reads it; nothing is logged either.
            return problem(HTTPStatus.BAD_REQUEST, "the body did not arrive")
        if body is None:
            return too_large()
        with webhooks.places.taken():
            return await run_in_threadpool(webhooks.take, provider, replace(hook, body=body))


async def read_body(request: Request, arrival: Arrival) -> bytes | None:
    """The raw body; None when it is too large, without having read the rest. Raises Crowded, TimeoutError."""
    body = bytearray()
    try:
        async with asyncio.timeout(LONGEST_READ_SECONDS) as arrival.limit:
            async for chunk in request.stream():
                body += chunk
                arrival.grow(len(chunk))
                if len(body) > LARGEST_BODY:
                    return None
            arrival.is_arriving = False
    except TimeoutError:
        if not arrival.is_broken_off:
            raise
    if arrival.is_broken_off:
        raise Crowded
    return bytes(body)


# --- room for bodies ------------------------------------------------------------------------------


class Crowded(Exception):
    """A body was broken off, to make room for others."""


class Arrival:
    """One body: what of it is in memory, until its request is answered."""

    def __init__(self, arrivals: Arrivals, address: str) -> None:
        self._arrivals, self.address = arrivals, address
        self.size = 0
        self.is_arriving, self.is_broken_off = True, False
        self.limit: asyncio.Timeout | None = None

    @property
    def large(self) -> int:
        return self.size if self.size > SMALL_BODY else 0

    def grow(self, size: int) -> None:
        """Raises Crowded where it is this one that there is no room for."""
        self.size += size
        self._arrivals.make_room_for(self)
        if self.is_broken_off:
            raise Crowded

    def break_off(self) -> None:
        self.is_broken_off, self.is_arriving = True, False
        if self.limit is not None:
            self.limit.reschedule(asyncio.get_running_loop().time())


class Arrivals:
    """All bodies under way, oldest first."""

    def __init__(self) -> None:
        self._under_way: dict[Arrival, None] = {}

    def __len__(self) -> int:
        return len(self._under_way)

    @contextlib.contextmanager
    def entered(self, address: str) -> Iterator[Arrival]:
        arriving = [one for one in self._under_way if one.is_arriving]
        own = [one for one in arriving if one.address == address]
        if len(own) >= MOST_OF_ADDRESS:
            self._break_off(own[0])
        elif len(arriving) >= MOST_ARRIVING:
            most = Counter(one.address for one in arriving).most_common(1)[0][0]
            self._break_off(next(one for one in arriving if one.address == most))
        arrival = Arrival(self, address)
        self._under_way[arrival] = None
        try:
            yield arrival
        finally:
            self._under_way.pop(arrival, None)

    def make_room_for(self, arrival: Arrival) -> None:
        """Break off what is too much: the oldest of the address that has most. It may be the one that asks."""
        while arrival.large and not arrival.is_broken_off:
            held: Counter[str] = Counter()
            for one in self._under_way:
                held[one.address] += one.large
            if held[arrival.address] > LARGE_OF_ADDRESS:
                greedy = arrival.address
            elif held.total() > LARGE_TOGETHER:
                greedy = held.most_common(1)[0][0]
            else:
                return
            found = (one for one in self._under_way if one.is_arriving and one.large and one.address == greedy)
            self._break_off(next(found, arrival))  # bodies that are being worked on are finished

    def _break_off(self, arrival: Arrival) -> None:
        arrival.break_off()
        self._under_way.pop(arrival, None)


# --- the address and the answers ------------------------------------------------------------------


def called_url(request: Request, public_url: str | None) -> str:
    """The address as the vendor called it: signatures cover it. Behind a proxy only `public_url` knows the host."""
    path = request.scope.get("raw_path", b"").decode("ascii", "replace") or request.url.path
    query = request.scope.get("query_string", b"").decode("ascii", "replace")
    base = (public_url or f"{request.url.scheme}://{request.headers.get('host', '')}").rstrip("/")
    return f"{base}{path}" + (f"?{query}" if query else "")


def refused(error: HookRefused) -> Response:
    """The reason is for our log: to whoever proves nothing, providers look alike, set up or not."""
    return problem(HTTPStatus(error.status), UNPROVEN if error.status == HTTPStatus.UNAUTHORIZED else str(error))


def too_large() -> Response:
    return problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a webhook has at most {LARGEST_BODY // 2**20} MiB")
