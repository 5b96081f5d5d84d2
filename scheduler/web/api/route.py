"""How every address of `/api/v1` is served: what it is asked with is what the document names, and nothing else.

Decided here: 422 is for a request that breaks the document (a field, a bound, a query parameter that is not there
or is there twice), 415 for a body that is no JSON at all, and 409 for one that keeps the document and still cannot
be done as things stand: the state of a row, the day, the numbers that exist, the settings beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError

from scheduler.errors import InvalidValue
from scheduler.web.idempotency import Handler, IdempotentRoute
from scheduler.web.problems import Refusal, answer_of


class NounRoute(IdempotentRoute):
    """One operation on one noun."""

    def __init__(self, path: str, endpoint: Any, **given: Any) -> None:
        given["responses"] = {422: answer_of(422), **(given.get("responses") or {})}
        if given.get("methods") and set(given["methods"]) & {"POST", "PATCH", "PUT"}:
            given["responses"] = {409: answer_of(409), 415: answer_of(415), **given["responses"]}
        super().__init__(path, endpoint, **given)

    def get_route_handler(self) -> Any:
        serve = super().get_route_handler()

        async def checked(request: Request) -> Response:
            self._check_query(request)
            self._check_kind(request)
            answer: Response = await serve(request)
            return answer

        return checked

    def get_plain_handler(self) -> Handler:
        serve = super().get_plain_handler()

        async def judged(request: Request) -> Response:
            try:
                return await serve(request)
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

    def _check_kind(self, request: Request) -> None:
        has_body = request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers
        if self.body_field is None or not has_body:
            return
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            said = "send the body as JSON, with Content-Type: application/json"
            raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, said)


def _flat(dependant: Dependant) -> Iterator[Dependant]:
    yield dependant
    for one in dependant.dependencies:
        yield from _flat(one)


def _query_names(dependant: Dependant) -> Iterator[str]:
    return (one.alias for one in dependant.query_params)


def noun(tag: str) -> APIRouter:
    return APIRouter(route_class=NounRoute, tags=[tag])
