"""`Idempotency-Key` on POST: a request that is sent again is answered again, and done once.

Every route of this kind takes the header. The same key with the same request (address, query, body) gets the first
answer, with `Idempotency-Replayed: true`; with another request 422; while the first is being worked on 409. What
must stay true: only what was really done or refused for good is kept, so neither what failed here (500 and above)
nor what was not let in (401, 403, 429) is. The OpenAPI document tells of the header in its description and not as a
parameter: a program that draws examples from it would send one key with different requests.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool

from scheduler.service.idempotency import Claim, Once, Standing
from scheduler.web.access import find_caller, runtime_of
from scheduler.web.problems import Refusal, answer_of, problem, problem_of

HEADER, REPLAYED = "Idempotency-Key", "Idempotency-Replayed"
PATTERN = r"^[!-~]([ -~]{0,189}[!-~])?$"
LONGEST_KEY = 191
LONGEST_ANSWER = 2**20
NOT_KEPT = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS)
KEPT_HEADERS = ("content-type", "location", "etag")

Handler = Callable[[Request], Awaitable[Response]]


def read_key(request: Request) -> str | None:
    """A dependency of endpoints that take a key by themselves. Raises Refusal for a header that is none."""
    key = request.headers.get(HEADER)
    if key is not None and not is_key(key):
        raise Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, f"{HEADER}: write 1 to 191 printable characters")
    return key


def is_key(key: str) -> bool:
    return len(key) <= LONGEST_KEY and re.fullmatch(PATTERN[1:-1], key) is not None


class IdempotentRoute(APIRoute):
    """A route whose POST takes a key."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **given: Any) -> None:
        if "POST" in (given.get("methods") or ()):
            said = given.get("responses") or {}
            given["responses"] = {409: answer_of(409), 422: answer_of(422), **said}
        super().__init__(path, endpoint, **given)

    def get_route_handler(self) -> Any:
        return once(self.get_plain_handler())

    def get_plain_handler(self) -> Handler:
        """What is done once."""
        found: Handler = super().get_route_handler()
        return found


def once(handler: Handler) -> Handler:
    """`handler`, which does the same request under the same key once."""

    async def serve(request: Request) -> Response:
        key = read_key(request) if request.method == "POST" else None
        if key is None:
            return await handler(request)
        caller = await find_caller(request)
        keys = keys_of(request)
        claim = await run_in_threadpool(keys.claim, caller.identity, key, await fingerprint(request))
        if claim.standing is not Standing.OURS:
            return said_before(claim)
        try:
            answer = await answered(handler, request)
        except Exception:
            await run_in_threadpool(keys.forget, claim)
            raise
        kept = to_keep(answer)
        if kept is None:
            await run_in_threadpool(keys.forget, claim)
        else:
            await run_in_threadpool(keys.keep, claim, answer.status_code, kept)
        return answer

    return serve


async def answered(handler: Handler, request: Request) -> Response:
    """What it is answered with, where that is a refusal too. Raises what is a mistake of ours."""
    try:
        return await handler(request)
    except Exception as error:
        answer = problem_of(error)
        if answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise
        return answer


def keys_of(request: Request) -> Once:
    found: Once | None = getattr(request.app.state, "once", None)
    if found is None:
        found = request.app.state.once = Once(runtime_of(request))
    return found


async def fingerprint(request: Request) -> str:
    """Of everything that makes it this request. The boundary of a form is another each time, and says nothing."""
    body = await request.body()
    kind = request.headers.get("content-type", "")
    boundary = re.search(r'boundary="?([^";,]{1,200})', kind)
    if boundary is not None:
        body = body.replace(boundary[1].encode("latin-1", "replace"), b"boundary")
    parts = [request.method, request.scope["path"], request.url.query, kind.partition(";")[0].strip().lower()]
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogateescape") + b"\n" + body).hexdigest()


def said_before(claim: Claim) -> Response:
    if claim.standing is Standing.OTHER:
        return problem(
            HTTPStatus.UNPROCESSABLE_ENTITY, "this Idempotency-Key was used for another request; make a new one"
        )
    if claim.standing is Standing.RUNNING:
        return problem(
            HTTPStatus.CONFLICT, "a request with this Idempotency-Key is being worked on; ask again in a moment",
            headers={"Retry-After": "2"},
        )
    kept = json.loads(claim.answer or "{}")
    headers = {**kept.get("headers", {}), REPLAYED: "true"}
    return Response(kept.get("body", "").encode(), status_code=claim.status or HTTPStatus.OK, headers=headers)


def to_keep(answer: Response) -> str | None:
    """An answer as it is kept; None for one that is not."""
    body = getattr(answer, "body", None)
    if answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR or answer.status_code in NOT_KEPT or body is None:
        return None
    try:
        text = bytes(body).decode()
    except UnicodeDecodeError:
        return None
    if len(text) > LONGEST_ANSWER:
        return None
    headers = {name: answer.headers[name] for name in KEPT_HEADERS if name in answer.headers}
    return json.dumps({"headers": headers, "body": text})
