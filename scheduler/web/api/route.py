"""How every address of `/api/v1` is served: what it is asked with is what the document names, and nothing else.

Decided here: 422 is for a request that breaks the document (a field, a bound, a query parameter that is not there
or is there twice), 415 for a body that is no JSON at all, and 409 for one that keeps the document and still cannot
be done as things stand: the state of a row, the day, the numbers that exist, the settings beside it.

What must stay true: one JSON text means one thing. A name that is there twice is refused (400), because programs
disagree on which one counts.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError

from scheduler.errors import InvalidValue, NotAllowed
from scheduler.web.idempotency import Handler, IdempotentRoute
from scheduler.web.problems import Refusal, answer_of, readable, refuse_packed


class JsonRequest(Request):
    """A request whose JSON says everything once."""

    async def json(self) -> Any:
        if not hasattr(self, "_json"):
            self._json = json.loads(await self.body(), object_pairs_hook=_each_once)
        return self._json


class JsonRoute(IdempotentRoute):
    """An operation that is asked with JSON or with nothing."""

    def __init__(self, path: str, endpoint: Any, **given: Any) -> None:
        if "body" in inspect.signature(endpoint).parameters:
            given["responses"] = {400: answer_of(400), 415: answer_of(415), **(given.get("responses") or {})}
        super().__init__(path, endpoint, **given)

    def get_route_handler(self) -> Any:
        serve = super().get_route_handler()

        async def checked(request: Request) -> Response:
            self.check(request)
            answer: Response = await serve(JsonRequest(request.scope, request.receive))
            return answer

        return checked

    def check(self, request: Request) -> None:
        """Raises Refusal for a body that is no JSON."""
        has_body = request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers
        if self.body_field is None or not has_body:
            return
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            said = "send the body as JSON, with Content-Type: application/json"
            raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, said)
        refuse_packed(request)


class NounRoute(JsonRoute):
    """One operation on one noun."""

    def __init__(self, path: str, endpoint: Any, **given: Any) -> None:
        given["responses"] = {422: answer_of(422), **(given.get("responses") or {})}
        if given.get("methods") and set(given["methods"]) & {"POST", "PATCH", "PUT"}:
            given["responses"] = {409: answer_of(409), **given["responses"]}
        super().__init__(path, endpoint, **given)

    def check(self, request: Request) -> None:
        self._check_query(request)
        super().check(request)

    def get_plain_handler(self) -> Handler:
        serve = super().get_plain_handler()

        async def judged(request: Request) -> Response:
            try:
                return await serve(request)
            except NotAllowed:
                raise  # it is not the state of things that refuses, but who asks: 403
            except InvalidValue as error:
                raise Refusal(HTTPStatus.CONFLICT, str(error)) from None

        return judged

    def _check_query(self, request: Request) -> None:
        known = {name for one in _flat(self.dependant) for name in _query_names(one)}
        found = [name for name, _ in request.query_params.multi_items()]
        errors = [
            {"type": "extra_forbidden", "loc": ("query", name), "msg": "there is no such parameter", "input": None}
            for name in dict.fromkeys(found) if name not in known
        ] + [
            {"type": "value_error", "loc": ("query", name), "msg": "it is there more than once", "input": None}
            for name in dict.fromkeys(found) if name in known and found.count(name) > 1
        ]
        if errors:
            raise RequestValidationError(errors)


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise HTTPException(HTTPStatus.BAD_REQUEST, f"the body names {readable(name)} twice; write it once")
        found[name] = value
    return found


def _flat(dependant: Dependant) -> Iterator[Dependant]:
    yield dependant
    for one in dependant.dependencies:
        yield from _flat(one)


def _query_names(dependant: Dependant) -> Iterator[str]:
    return (one.alias for one in dependant.query_params)


def noun(tag: str) -> APIRouter:
    return APIRouter(route_class=NounRoute, tags=[tag])
