"""What every request passes before anything else looks at it: who asks, from where, how much, how often.

In this order: places (so many requests under way, beyond which the answer is 503 at once), who asks (`access.py`),
how often (a bucket for each caller), whether a page of ours asked (for what changes something), and the body (its
size and how long it takes). Every answer gets the headers of the site, those that refuse something too.

What must stay true: an address that is not named in `PUBLIC` needs a caller, whatever its endpoint says; nothing
here grows with the number of strangers; a place is held while a request is worked on, not while its body trickles
in and not while an event stream is open, so that neither can keep others out. A newcomer would write it as
Starlette's `BaseHTTPMiddleware`, which would hold event streams back and answer errors without these headers.
"""

from __future__ import annotations

import asyncio
import ipaddress
import math
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import parse_qsl, quote, urlsplit

import anyio.to_thread
from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from scheduler.errors import RingbackError
from scheduler.service import acting
from scheduler.web.access import (
    CSRF_FIELD,
    CSRF_HEADER,
    Caller,
    Door,
    describe_access,
    door_of,
    find_caller,
    is_browser,
    is_own_origin,
    is_own_token,
    is_secure,
    runtime_of,
    shown_key,
)
from scheduler.web.problems import Refusal, problem_of

HEALTH = frozenset({"/health/live", "/health/ready", "/api/v1/health/live", "/api/v1/health/ready"})
PUBLIC = HEALTH | {"/login", "/open", "/language", "/theme"}
PUBLIC_UNDER = ("/static/", "/webhooks/")
MACHINES_UNDER = ("/api/", "/webhooks/", "/health/", "/metrics", "/openapi.json", "/static/")
"""Where programs ask: they are answered with problems, not with pages."""
UPLOADS = re.compile(
    r"/api/v1/imports(/.*)?|/api/(v1/)?batches/(excel/(create|preview)|[^/]+/upload)|/imports(/.*)?"
)
SAFE = ("GET", "HEAD", "OPTIONS")

LARGEST_HEADERS = 32 * 2**10
LARGEST_BODY, LARGEST_LOGIN, LARGEST_UPLOAD = 2**20, 16 * 2**10, 64 * 2**20
BODY_SECONDS, UPLOAD_SECONDS, PAUSE_SECONDS = 10.0, 600.0, 20.0
"""How long a body may take, how long an upload, and how long it may pause."""
DRAINED_BYTES, DRAIN_SECONDS = 80 * 2**20, 5.0
"""What is read of a body that nobody wants, so that its sender hears the answer instead of a broken connection."""
PEEKED_BYTES = 64 * 2**10
"""The beginning of an upload, where the form field with the token is."""

PLACES, UPLOAD_PLACES = 200, 8
THREADS = 10
"""As many as the database has connections for (see `open_runtime`), less those that look up who asks and one that
is left for the daemon beside us: more would only wait for a connection, until it is too late."""
BURST_SECONDS = 5.0
MOST_BUCKETS = 10_000

POLICY = "; ".join((
    "default-src 'self'", "script-src 'self'", "style-src 'self'", "img-src 'self' data:", "connect-src 'self'",
    "font-src 'self'", "object-src 'none'", "frame-src 'none'", "frame-ancestors 'none'", "base-uri 'none'",
    "form-action 'self'",
))  # fmt: skip
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
}
TRANSPORT = "max-age=31536000"
UNCHANGING = "public, max-age=31536000, immutable"


def guard(app: FastAPI) -> None:
    """Put the guards around the application, which knows its runtime and its host already."""
    app.state.door = Door(app.state.runtime, app.state.host)
    describe_access(app)
    app.add_middleware(Guard, rate=app.state.runtime.settings.web_rate)


class Guard:
    """The outermost part of the application that is ours."""

    def __init__(self, app: ASGIApp, *, rate: float, moment: Callable[[], float] = time.monotonic) -> None:
        self.app = app
        self.places, self.upload_places = Places(PLACES), Places(UPLOAD_PLACES)
        self.buckets = Buckets(rate, rate * BURST_SECONDS, moment)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = Exchange(scope, receive, send)
        try:
            try:
                await self._serve(exchange)
            finally:
                self._note_refusal(exchange)
        except ClientDisconnect:
            return  # nobody is there to be answered
        except Exception as error:
            told = exchange.breach or error  # a breach is one, whatever the application made of it
            is_half_told = exchange.is_begun
            if not is_half_told:
                await exchange.answer(refusal_of(exchange.request, told))
                self._note_refusal(exchange)
            if not isinstance(told, Refusal) and not is_ours(told):
                report(exchange.request, told)
                if is_half_told:
                    raise  # the server closes the connection, so that nobody takes half an answer for a whole one

    async def _serve(self, exchange: Exchange) -> None:
        request, path = exchange.request, exchange.request.url.path
        if sum(len(name) + len(text) for name, text in request.headers.raw) > LARGEST_HEADERS:
            raise Refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the headers of a request have at most 32 KiB")
        if "content-length" in request.headers and "transfer-encoding" in request.headers:
            # A proxy in front may go by the other one, and then take for a request what is part of a body.
            raise Refusal(HTTPStatus.BAD_REQUEST, "say the length of the body in one way: it has two")
        if path.startswith("/webhooks/"):  # they have places and limits of their own: see webhooks.py
            await self.app(exchange.scope, exchange.receive, exchange.send)
            return
        is_upload = request.method == "POST" and UPLOADS.fullmatch(path) is not None
        await self._admit(request, path)
        if is_upload:
            exchange.watch(LARGEST_UPLOAD, UPLOAD_SECONDS, PAUSE_SECONDS)
        else:
            await exchange.read_all(LARGEST_LOGIN if path == "/login" else LARGEST_BODY, BODY_SECONDS)
        if request.method not in SAFE:
            await require_own_page(exchange)
        with (self.upload_places if is_upload else self.places).taken() as place:
            exchange.place = place
            await self.app(exchange.scope, exchange.receive, exchange.send)

    def _note_refusal(self, exchange: Exchange) -> None:
        """For the audit: a key that is none any more, and what somebody who is known may not do."""
        request, status, exchange.status = exchange.request, exchange.status, None
        if request.url.path.startswith("/webhooks/") or status not in (401, 403):
            return
        caller: Caller | None = getattr(request.state, "caller", None)
        shown = shown_key(request)
        if status == HTTPStatus.UNAUTHORIZED and shown is None:
            return  # somebody who has to log in
        path = re.sub(r"[0-9]{6,}", "(number)", request.url.path)
        door_of(request).note_refusal(
            int(status), actor=caller.actor if caller is not None else "nobody", address=address_of(request),
            key=shown, what=f"{request.method} {path[:100]}",
        )

    async def _admit(self, request: Request, path: str) -> None:
        """Who asks, and not too often. Raises Refusal."""
        if path in HEALTH:
            return
        if is_public(path):
            self.buckets.take(f"from {address_of(request)}")
            return
        with self.places.taken():
            try:
                caller = await find_caller(request)
            except Refusal:
                self.buckets.take(f"from {address_of(request)}")
                raise
        self.buckets.take(f"from {address_of(request)}" if caller.kind == "open" else caller.identity)
        acting.act_as(caller.actor, caller.account_id)


def is_public(path: str) -> bool:
    return path in PUBLIC or path.startswith(PUBLIC_UNDER)


def is_for_people(request: Request) -> bool:
    is_stream = request.headers.get("accept", "").startswith("text/event-stream")
    return not is_stream and not request.url.path.startswith(MACHINES_UNDER)


def is_ours(error: BaseException) -> bool:
    """Is it an error that says all there is to say? Others are bugs, and whoever runs this should hear of them."""
    return isinstance(error, RingbackError)


def report(request: Request, error: Exception) -> None:
    """Tell whoever runs this. Addresses hold people's numbers, so it is the route that is named."""
    path = getattr(request.scope.get("route"), "path", "an unknown address")
    now = runtime_of(request).clock_of_host()
    request.app.state.reporter.request_failed(now, what=f"{request.method} {path}", error=error)


def refusal_of(request: Request, error: Exception) -> Response:
    """The answer to a request that got no further: a problem for programs, a page for people."""
    status = error.status if isinstance(error, Refusal) else problem_of(error).status_code
    if not is_for_people(request):
        return problem_of(error)
    if status == HTTPStatus.UNAUTHORIZED:
        return to_login(request)
    if "text/html" not in request.headers.get("accept", ""):
        return problem_of(error)
    from scheduler.web.pages.base import render_error

    said = str(error) if isinstance(error, Refusal) or is_ours(error) else "this is a mistake of ours; it was logged"
    page: Response = render_error(request, int(status), said)
    if isinstance(error, Refusal):
        page.headers.update({name: text for name, text in error.headers.items() if name != "WWW-Authenticate"})
    return page


def to_login(request: Request) -> Response:
    """To the log-in and back again. A part of a page that htmx asked for takes the whole page there."""
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    if "hx-request" in request.headers:
        try:
            parts = urlsplit(request.headers.get("hx-current-url", "/"))
            here = parts.path + (f"?{parts.query}" if parts.query else "")
        except ValueError:
            here = "/"
        return Response(status_code=401, headers={"HX-Redirect": f"/login?next={quote(here, safe='')}"})
    back = "" if request.method not in SAFE or here == "/" else f"?next={quote(here, safe='')}"
    return RedirectResponse(f"/login{back}", status_code=HTTPStatus.SEE_OTHER)


async def require_own_page(exchange: Exchange) -> None:
    """For what changes something and comes with a cookie, or from a browser while access is open. Raises Refusal.

    A program with an API key, and one that is no browser, need no token: no other site can make them ask.
    """
    request = exchange.request
    caller: Caller | None = getattr(request.state, "caller", None)
    if caller is None or caller.kind != "key":
        if not is_own_origin(request):
            raise Refusal(HTTPStatus.FORBIDDEN, "this was asked by a page of another site, so it was not done")
        is_marked = caller is not None and (caller.kind == "user" or is_browser(request))
        if is_marked and not is_own_token(request, await written_token(exchange)):
            raise Refusal(HTTPStatus.FORBIDDEN, "the token of this page is missing or old; load the page again")
    request.state.is_unforged = True


_TOKEN_PART = re.compile(
    rb'content-disposition: *form-data; *name="%b"\r\n(?:[^\r\n]+\r\n)*\r\n([0-9a-f]+)\r\n' % CSRF_FIELD.encode(),
    re.IGNORECASE,
)


async def written_token(exchange: Exchange) -> str | None:
    """From the header, else from the form, of whose upload only the beginning is looked at."""
    in_header = exchange.request.headers.get(CSRF_HEADER)
    if in_header is not None:
        return in_header
    kind = exchange.request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/x-www-form-urlencoded":
        written = (await exchange.peek(LARGEST_BODY)).decode("utf-8", "replace")
        fields = parse_qsl(written, max_num_fields=10_000) if written.count("&") < 10_000 else []
        return next((text for name, text in fields if name == CSRF_FIELD), None)
    if kind == "multipart/form-data":
        found = _TOKEN_PART.search(await exchange.peek(PEEKED_BYTES))
        return found[1].decode() if found else None
    return None


class Breach(Exception):
    """A body broke its limits while the application read it."""


class Exchange:
    """One request and its answer: reads the body within limits, and puts our headers on what is answered."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope, self._receive, self._send = scope, receive, send
        self.request = Request(scope)
        headers = self.request.headers
        self.is_begun = False
        self.status: int | None = None
        self.place: Place | None = None
        self._is_read = headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers
        self._has_asked_first = "expect" in headers
        self._kept: list[Message] = []
        self._largest, self._pause, self._until, self._count = 0, 0.0, math.inf, 0
        self.breach: Refusal | None = None

    # --- the body ---

    async def read_all(self, largest: int, seconds: float) -> None:
        """The whole body, kept for the application. Raises Refusal."""
        self.watch(largest, seconds, seconds)
        try:
            while not self._is_read:
                message = await self._read()
                self._kept.append(message)
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
        except Breach:
            assert self.breach is not None
            raise self.breach from None

    async def peek(self, size: int) -> bytes:
        """The first `size` bytes of the body, or all there are; the application reads them again."""
        while not self._is_read and sum(len(one.get("body", b"")) for one in self._kept) < size:
            try:
                message = await self._read()
            except Breach:
                assert self.breach is not None
                raise self.breach from None
            self._kept.append(message)
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
        return b"".join(one.get("body", b"") for one in self._kept)[:size]

    def watch(self, largest: int, seconds: float, pause: float) -> None:
        """From now on the body has these limits. Raises Refusal for one that says it is larger."""
        self._largest, self._pause, self._until = largest, pause, time.monotonic() + seconds
        declared = self.request.headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > largest:
            raise too_large(largest)

    async def receive(self) -> Message:
        """For the application."""
        if self._kept:
            return self._kept.pop(0)
        if self._is_read or not self._largest:
            message = await self._receive()
            self._is_read = self._is_read or not message.get("more_body", False)
            return message
        return await self._read()

    async def _read(self) -> Message:
        left = min(self._pause, self._until - time.monotonic())
        try:
            async with asyncio.timeout(max(0.0, left)):
                message = await self._receive()
        except TimeoutError:
            self.breach = Refusal(HTTPStatus.REQUEST_TIMEOUT, "the body did not arrive in time")
            raise Breach from None
        self._count += len(message.get("body", b""))
        self._is_read = not message.get("more_body", False)
        if self._count > self._largest:
            self.breach = too_large(self._largest)
            raise Breach
        return message

    # --- the answer ---

    async def send(self, message: Message) -> None:
        """For the application, whose answer to a body that it could not read is not the right one."""
        if self.breach is not None and not self.is_begun:
            raise self.breach
        if message["type"] == "http.response.start":
            self.is_begun, self.status = True, message["status"]
            headers = MutableHeaders(scope=message)
            self._mark(headers, message["status"])
            if self.place is not None and headers.get("content-type", "").startswith("text/event-stream"):
                self.place.leave()
            await self._send(message)
        elif message["type"] == "http.response.body" and not message.get("more_body", False) and not self._is_read:
            await self._send({**message, "more_body": True})
            await self._drain()
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            await self._send(message)

    async def answer(self, response: Response) -> None:
        self.breach = None  # it is said now
        await response(self.scope, self.receive, self.send)

    def _mark(self, headers: MutableHeaders, status: int) -> None:
        for name, text in HEADERS.items():
            headers.setdefault(name, text)
        path = self.request.url.path
        if path.startswith("/static/") and status in (200, 304):
            headers.setdefault("Cache-Control", UNCHANGING if self.request.url.query.startswith("v=") else "no-cache")
        headers.setdefault("Cache-Control", "no-store")
        if status == HTTPStatus.TEMPORARY_REDIRECT and "location" in headers:
            there = urlsplit(headers["location"])  # of the router, for a slash too many; the host is what was asked
            headers["location"] = "/" + there.path.lstrip("/") + (f"?{there.query}" if there.query else "")
        if is_secure(self.request):
            headers.setdefault("Strict-Transport-Security", TRANSPORT)
        if not self._is_read:
            headers["Connection"] = "close"

    async def _drain(self) -> None:
        """Read on for a while: a connection that is closed on somebody who sends takes the answer with it."""
        if self._has_asked_first:
            return  # and who is answered before sending has nothing to send
        left = DRAINED_BYTES
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                while not self._is_read and left > 0:
                    message = await self._receive()
                    left -= len(message.get("body", b""))
                    self._is_read = not message.get("more_body", False)
        except TimeoutError:
            return


def too_large(largest: int) -> Refusal:
    size = f"{largest // 2**20} MiB" if largest >= 2**20 else f"{largest // 2**10} KiB"
    return Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a request to this address has at most {size}")


class Places:
    """So many requests at once. Raises Refusal (503) for one more: who waits in line with thousands waits in vain."""

    def __init__(self, count: int) -> None:
        self.left = count

    def taken(self) -> Place:
        if self.left <= 0:
            sentence = "too many requests are under way; try again in a moment"
            raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, sentence, {"Retry-After": "1"})
        self.left -= 1
        return Place(self)


class Place:
    """One of them, until the block ends or it is left before."""

    def __init__(self, places: Places) -> None:
        self._places: Places | None = places

    def __enter__(self) -> Place:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def leave(self) -> None:
        if self._places is not None:
            self._places.left += 1
            self._places = None


class Buckets:
    """How often each caller may ask: `rate` a second, after `burst` at once. `rate` 0 is no limit.

    The callers that were not heard of for longest are forgotten, so the memory for strangers is bounded.
    """

    def __init__(self, rate: float, burst: float, moment: Callable[[], float], most: int = MOST_BUCKETS) -> None:
        self._rate, self._burst, self._moment, self._most = rate, max(1.0, burst), moment, most
        self._full: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._full)

    def take(self, caller: str) -> None:
        """Raises Refusal (429)."""
        if not self._rate:
            return
        tokens = self._tokens(caller)
        self.note(caller)
        self._refuse_below_one(tokens)

    def require(self, caller: str) -> None:
        """Is there one left, which this does not take? Raises Refusal (429)."""
        if self._rate and caller in self._full:
            self._refuse_below_one(self._tokens(caller))

    def note(self, caller: str) -> None:
        """Take one, if there is one."""
        if not self._rate:
            return
        tokens = self._tokens(caller)
        self._full.pop(caller, None)
        self._full[caller] = (tokens - 1 if tokens >= 1 else tokens, self._moment())
        if len(self._full) > self._most:
            self._full.popitem(last=False)

    def _tokens(self, caller: str) -> float:
        now = self._moment()
        tokens, at = self._full.get(caller, (self._burst, now))
        return min(self._burst, tokens + (now - at) * self._rate)

    def _refuse_below_one(self, tokens: float) -> None:
        if tokens < 1:
            wait = math.ceil((1 - tokens) / self._rate)
            sentence = f"at most {self._rate:g} requests a second; try again in {wait} s"
            raise Refusal(HTTPStatus.TOO_MANY_REQUESTS, sentence, {"Retry-After": str(wait)})


def address_of(request: Request) -> str:
    """Where it comes from; of IPv6 the network of a household."""
    host = request.client.host if request.client else ""
    if ":" not in host:
        return host
    try:
        return str(ipaddress.ip_network((host.partition("%")[0], 64), strict=False))
    except ValueError:
        return host[:64]
