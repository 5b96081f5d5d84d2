"""Who is asking, and what they may do.

An endpoint names what it needs: `Reader`, `Operator` or `Admin` as the type of an argument. What must stay
true: whoever asks is looked up once per request, before anything else is (`guard.py` does it for every address
but the few that anybody may see, so that a forgotten argument opens nothing); the name of the caller is what
the audit gets (`service.acting`). A key of one account sees that account alone: see `reach.py`.

A request shows who it is by an API key (`Authorization: Bearer rb_...` or `X-API-Key`) or by the cookie of a
session. A key that is shown must be right, whatever else would let the request in. A browser sends its cookie
along when another site makes it ask, so what comes with a cookie and changes something must also carry the
token of that session (`csrf_token`), and come from our own pages: see `guard.py`.
"""

from __future__ import annotations

import asyncio
import copy
import hashlib
import hmac
import re
import secrets
import threading
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

import anyio
from fastapi import Depends, FastAPI, Request, Security
from fastapi.security import APIKeyCookie, APIKeyHeader, HTTPBearer

from scheduler.model import Scope
from scheduler.service import acting
from scheduler.service.access import Entrance, Known, is_loopback
from scheduler.service.refusals import Refusals
from scheduler.service.runtime import Runtime
from scheduler.web.problems import MEDIA_TYPE, Problem, Refusal

T = TypeVar("T")
COOKIE = "ringback_session"
SECURE_COOKIE = f"__Host-{COOKIE}"
"""Over https: a browser takes this name only from https, for this host alone."""
OPENED_COOKIE = "ringback_opened"
CSRF_HEADER, CSRF_FIELD = "x-csrf-token", "csrf_token"
FORWARDED = frozenset({
    "forwarded", "via", "x-real-ip", "x-client-ip", "x-cluster-client-ip", "x-original-host", "x-original-url",
    "true-client-ip", "cf-connecting-ip", "cf-ray", "fastly-client-ip", "x-envoy-external-address",
})  # fmt: skip
"""What a proxy adds, beside X-Forwarded-..."""
HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(:[0-9]{1,5})?", re.IGNORECASE)
LOOKUPS_AT_ONCE = 3
"""Threads that look up who asks, besides those that answer."""


@dataclass(frozen=True, slots=True)
class Caller:
    """`account_id` is None for one that sees everything; `id` is the one of the key or of the session."""

    kind: Literal["open", "key", "user"]
    name: str
    scope: Scope
    account_id: int | None = None
    id: int = 0

    @property
    def actor(self) -> str:
        return self.kind if self.kind == "open" else f"{self.kind}:{self.name}"

    @property
    def identity(self) -> str:
        """Different for two keys that had the same name one after the other."""
        return f"{self.kind}:{self.id}"


def runtime_of(request: Request) -> Runtime:
    found: Runtime = request.app.state.runtime
    return found


# --- who asks -------------------------------------------------------------------------------------


class Door:
    """What the application remembers for recognizing callers; `request.app.state.door`."""

    def __init__(self, runtime: Runtime, host: str) -> None:
        self.entrance = Entrance(runtime)
        self.is_local = is_loopback(host)
        self.opening = Opening(is_switched_on=runtime.settings.open_access)
        self.lookups = anyio.CapacityLimiter(LOOKUPS_AT_ONCE)
        self.secret = secrets.token_bytes(32)
        self._noting: dict[str, asyncio.Task[None]] = {}
        self._refusals = Refusals(runtime)

    async def run(self, work: Callable[..., T], *arguments: Any) -> T:
        found: T = await anyio.to_thread.run_sync(work, *arguments, limiter=self.lookups)
        return found

    def note_use(self, kind: str, row_id: int) -> None:
        """In the background: nobody waits for it."""
        self._behind(f"{kind}:{row_id}", self.entrance.note_use, kind, row_id)

    def note_refusal(self, status: int, *, actor: str, address: str, key: str | None, what: str) -> None:
        """For the audit, in the background too; most of what comes in a flood is only counted."""
        told = self._refusals.count(status, actor, address, key, what)
        if told is not None:
            self._behind(f"refusal:{told.reason}:{told.kind}:{told.actor}", self._refusals.write, told)

    def _behind(self, name: str, work: Callable[..., None], *arguments: Any) -> None:
        if name not in self._noting:
            self._noting[name] = task = asyncio.create_task(self.run(work, *arguments))
            task.add_done_callback(lambda _: self._noting.pop(name, None))


class Opening:
    """Who may do everything before there is a user or a key: the browser that opened a link, shown on the terminal.

    To come from this machine is not enough: behind a proxy, a tunnel or a forwarded port everybody does. The link is
    good once, and what it gave ends with the process. `is_switched_on` (RINGBACK_OPEN_ACCESS) lets in without it.
    """

    def __init__(self, *, is_switched_on: bool) -> None:
        self.is_switched_on = is_switched_on
        self.link = secrets.token_urlsafe(24)
        self._given: str | None = None
        self._lock = threading.Lock()

    def redeem(self, link: str) -> str | None:
        """What the browser shows from now on; None for a link that was used, or never was one."""
        with self._lock:
            if self._given is not None or not _is_same(link, self.link):
                return None
            self._given = secrets.token_urlsafe(32)
            return self._given

    def lets_in(self, shown: str | None) -> bool:
        return self.is_switched_on or (self._given is not None and shown is not None and _is_same(shown, self._given))


def _is_same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))


def door_of(request: Request) -> Door:
    found: Door = request.app.state.door
    return found


async def find_caller(request: Request) -> Caller:
    """Raises Refusal for one who may not ask at all. Asks the tables once per request."""
    known: Caller | None = getattr(request.state, "caller", None)
    if known is None:
        known = request.state.caller = await _look_up(request)
    return known


def still_welcome(entrance: Entrance, callers: Collection[Caller]) -> set[Caller]:
    """Which of them would be let in now? For streams, which outlast a revoked key or a log-out.

    A key never changes what it may do, and a user's sessions end when their role does.
    """
    keys, sessions = entrance.find_valid(
        {one.id for one in callers if one.kind == "key"}, {one.id for one in callers if one.kind == "user"}
    )
    is_open = any(one.kind == "open" for one in callers) and entrance.is_open()
    return {
        one for one in callers
        if (is_open if one.kind == "open" else one.id in (keys if one.kind == "key" else sessions))
    }  # fmt: skip


async def _look_up(request: Request) -> Caller:
    door = door_of(request)
    shown = shown_key(request)
    if shown is not None:
        found = await door.run(door.entrance.find_by_key, shown)
        if isinstance(found, str):
            raise unauthorized(found, is_wrong=True)
        return _welcome(door, "key", found)
    session = session_token(request)
    if session is not None:
        user = await door.run(door.entrance.find_by_session, session)
        if user is not None:
            return _welcome(door, "user", user)
    if not await door.run(door.entrance.is_open):
        said = "this session is over; log in again" if session is not None else (
            "this needs an API key (Authorization: Bearer rb_...) or somebody who is logged in"
        )
        raise unauthorized(said)
    require_local(request)
    if not door.opening.lets_in(request.cookies.get(OPENED_COOKIE)):
        raise unauthorized(
            "there is no user and no key yet: open the link that was printed where this was started, or make one "
            "(ringback users add NAME --role admin, ringback keys create NAME)"
        )
    return Caller("open", "", Scope.ADMIN)


def _welcome(door: Door, kind: Literal["key", "user"], found: Known) -> Caller:
    if found.note_use:
        door.note_use(kind, found.id)
    return Caller(kind, found.name, found.scope, found.account_id, found.id)


def require_local(request: Request) -> None:
    """While access is open it is for this machine alone, and for no page of another site that a browser here shows.

    A site may let its own name point at 127.0.0.1; then the browser takes us for that site, but names it as the host.
    """
    if not door_of(request).is_local:
        raise unauthorized("nobody can log in yet: make an admin first (ringback users add NAME --role admin)")
    if not is_local_name(request.headers.get("host", "")):
        raise Refusal(HTTPStatus.FORBIDDEN, "access is open, so only localhost is served; make a user or a key first")
    if any(name in FORWARDED or name.startswith("x-forwarded-") for name in request.headers):
        raise Refusal(HTTPStatus.FORBIDDEN, "access is open, so no proxy is served; make a user or a key first")


def is_local_name(host: str) -> bool:
    """Does a Host header name this machine? Without asking any name server."""
    parts = HOST.fullmatch(host)
    if parts is None:
        return False
    name = parts[1].strip("[]").lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    return (name.replace(".", "").isdecimal() or ":" in name) and is_loopback(name)


def unauthorized(sentence: str, *, is_wrong: bool = False) -> Refusal:
    challenge = 'Bearer realm="ringback"' + (', error="invalid_token"' if is_wrong else "")
    return Refusal(HTTPStatus.UNAUTHORIZED, sentence, {"WWW-Authenticate": challenge})


def shown_key(request: Request) -> str | None:
    """The API key that the request shows. Other schemes of Authorization are a proxy's own affair."""
    scheme, _, written = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return written.strip()
    return request.headers.get("x-api-key")


# --- sessions in a browser ------------------------------------------------------------------------


def is_secure(request: Request) -> bool:
    """Did it come over https, as far as we can know?"""
    if request.url.scheme == "https":
        return True
    public = _public(request)
    return public is not None and public[0] == "https" and request.headers.get("host", "").lower() == public[1]


def session_token(request: Request) -> str | None:
    """Over https only the cookie that nobody but this host over https can have set."""
    return request.cookies.get(SECURE_COOKIE if is_secure(request) else COOKIE) or None


def is_own_origin(request: Request) -> bool:
    """Was this asked by our own pages, or by no browser at all?"""
    if request.headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        return False
    # Some browsers name no origin in what a form of another site sends, but the page that it is on.
    origin = request.headers.get("origin", request.headers.get("referer"))
    if origin is None:
        return True
    try:
        there = urlsplit(origin).netloc.lower()
    except ValueError:
        return False
    public = _public(request)
    here = {request.headers.get("host", "").lower(), public[1] if public else ""}
    return bool(there) and there in here


def is_browser(request: Request) -> bool:
    """Does it look like a browser's request? Only browsers can be made to ask by another site."""
    return any(name in request.headers for name in ("origin", "sec-fetch-site", "cookie"))


def csrf_token(request: Request) -> str:
    """What a page sends back with each change: as the form field `csrf_token` or the header X-CSRF-Token.

    It belongs to the session, or to this process while access is open. Empty for an API key, which needs none.
    """
    caller: Caller | None = getattr(request.state, "caller", None)
    if caller is None or caller.kind == "key":
        return ""
    token = session_token(request) if caller.kind == "user" else None
    key = token.encode() if token else door_of(request).secret
    return hmac.new(key, b"ringback csrf", hashlib.sha256).hexdigest()


def is_own_token(request: Request, written: str | None) -> bool:
    own = csrf_token(request)
    return bool(own) and written is not None and hmac.compare_digest(own.encode(), written.encode("utf-8", "replace"))


def require_unforged(request: Request) -> None:
    """For endpoints of pages that change something. `guard.py` has looked already; this makes sure of it."""
    if not getattr(request.state, "is_unforged", False):
        raise Refusal(HTTPStatus.FORBIDDEN, "this did not come from a page of ours; load the page again")


def _public(request: Request) -> tuple[str, str] | None:
    """Scheme and host (with port) of RINGBACK_PUBLIC_URL."""
    url = runtime_of(request).settings.public_url
    if not url:
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    host = parts.netloc.lower().rpartition("@")[2]
    return parts.scheme.lower(), host.removesuffix(":443" if parts.scheme.lower() == "https" else ":80")


# --- what they may do -----------------------------------------------------------------------------

BEARER = HTTPBearer(auto_error=False, scheme_name="bearer", description="An API key: `Authorization: Bearer rb_...`")
HEADER = APIKeyHeader(name="X-API-Key", auto_error=False, scheme_name="header", description="An API key")
SESSION = APIKeyCookie(name=COOKIE, auto_error=False, scheme_name="session", description="Somebody who is logged in")
ByBearer = Annotated[Any, Security(BEARER)]
ByHeader = Annotated[Any, Security(HEADER)]
BySession = Annotated[Any, Security(SESSION)]
"""For the document alone: `find_caller` reads them itself."""


def needs(scope: Scope) -> Callable[..., Awaitable[Caller]]:
    async def ask(request: Request, _bearer: ByBearer, _header: ByHeader, _session: BySession) -> Caller:
        caller = await find_caller(request)
        if not caller.scope.includes(scope):
            raise Refusal(HTTPStatus.FORBIDDEN, f"this needs the scope {scope}; yours is {caller.scope}")
        # Each request is a task with a context of its own, which the threads that serve it inherit.
        acting.act_as(caller.actor, caller.account_id)
        return caller

    return ask


Reader = Annotated[Caller, Depends(needs(Scope.READ))]
Operator = Annotated[Caller, Depends(needs(Scope.OPERATE))]
Admin = Annotated[Caller, Depends(needs(Scope.ADMIN))]
RuntimeOf = Annotated[Runtime, Depends(runtime_of)]
Unforged = Depends(require_unforged)


# --- what the document says of it -----------------------------------------------------------------


def describe_access(app: FastAPI) -> None:
    """Let the OpenAPI document say what any request may be answered with, and whether it needs somebody.

    While access is open it needs nobody, and the document says so to whoever asks then.
    """
    plain = app.openapi

    def document() -> dict[str, Any]:
        is_new = app.openapi_schema is None
        closed = plain()
        if is_new:
            schemas = closed.setdefault("components", {}).setdefault("schemas", {})
            schemas.setdefault("Problem", Problem.model_json_schema(ref_template="#/components/schemas/{model}"))
            for name, schema in schemas["Problem"].pop("$defs", {}).items():
                schemas.setdefault(name, schema)
            for operation in _operations(closed):
                _add_answers(operation)
        if acting.current_actor() != "open":
            return closed
        opened = copy.deepcopy(closed)
        for operation in _operations(opened):
            if operation.get("security"):
                operation["security"] = [{}, *operation["security"]]
        return opened

    app.openapi = document  # type: ignore[method-assign]


def _operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for path in document.get("paths", {}).values() for one in path.values() if isinstance(one, dict)]


def _add_answers(operation: dict[str, Any]) -> None:
    statuses = [429, 503]
    if operation.get("security"):
        statuses += [401, 403]
    if "requestBody" in operation:
        statuses += [400, 408, 413]
    for status in statuses:
        operation["responses"].setdefault(str(status), {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        })
