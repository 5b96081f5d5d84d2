"""What a request is told when it cannot be served: problem details (RFC 9457), one sentence for people.

Decided here: which error of `errors.py` is which status. What must stay true: nothing that was sent is
repeated beyond the field that is wrong, and a mistake of ours says only that it is one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException

from scheduler.errors import (
    Conflict,
    Contended,
    DatabaseUnavailable,
    InvalidSettings,
    InvalidValue,
    NotFound,
    ProviderError,
    RingbackError,
    SchemaMismatch,
)

MEDIA_TYPE = "application/problem+json"
STATUS_OF: Sequence[tuple[type[RingbackError], HTTPStatus]] = (
    (InvalidValue, HTTPStatus.UNPROCESSABLE_ENTITY),
    (NotFound, HTTPStatus.NOT_FOUND),
    (Conflict, HTTPStatus.CONFLICT),
    (Contended, HTTPStatus.SERVICE_UNAVAILABLE),
    (DatabaseUnavailable, HTTPStatus.SERVICE_UNAVAILABLE),
    (SchemaMismatch, HTTPStatus.SERVICE_UNAVAILABLE),
    (ProviderError, HTTPStatus.BAD_GATEWAY),
    (RingbackError, HTTPStatus.BAD_REQUEST),
)


class FieldError(BaseModel):
    """One value that cannot be used: where it is, and what would be right."""

    field: str
    reason: str


class Problem(BaseModel):
    """Problem details. `detail` is one sentence for people; `errors` names the fields, where several are wrong."""

    model_config = ConfigDict(json_schema_extra={"description": "Problem details (RFC 9457)"})

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[FieldError] | None = None


class Refusal(Exception):
    """Raised by an endpoint to answer with a problem."""

    def __init__(self, status: HTTPStatus, sentence: str, headers: Mapping[str, str] | None = None) -> None:
        self.status, self.headers = status, dict(headers or {})
        super().__init__(sentence)


def problem(
    status: HTTPStatus, sentence: str, *, errors: Sequence[FieldError] = (), headers: Mapping[str, str] | None = None
) -> Response:
    body = Problem(title=status.phrase, status=int(status), detail=sentence, errors=list(errors) or None)
    return JSONResponse(
        body.model_dump(exclude_none=True), status_code=status, media_type=MEDIA_TYPE, headers=dict(headers or {})
    )


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What OpenAPI says of the problems that an endpoint may answer with, beside those that all have."""
    return {status: {"model": Problem, "content": {MEDIA_TYPE: {}}} for status in statuses}


def problem_of(error: BaseException) -> Response:
    """The answer for any error that an endpoint let through."""
    if isinstance(error, Refusal):
        return problem(error.status, str(error), headers=error.headers)
    if isinstance(error, RequestValidationError):
        return _invalid(error)
    if isinstance(error, HTTPException):
        sentence = _sentence_of(error)
        return problem(HTTPStatus(error.status_code), sentence, headers=error.headers)
    if isinstance(error, RingbackError):
        status = next(found for kind, found in STATUS_OF if isinstance(error, kind))
        later = {"Retry-After": "2"} if status is HTTPStatus.SERVICE_UNAVAILABLE else {}
        if isinstance(error, InvalidSettings):
            errors = [FieldError(field=error.where, reason=one) for one in error.problems]
        elif isinstance(error, InvalidValue):
            errors = [FieldError(field=error.field, reason=error.right)]
        else:
            errors = []
        return problem(status, str(error), errors=errors, headers=later)
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "this is a mistake of ours; it was logged")


def _invalid(error: RequestValidationError) -> Response:
    errors = [
        FieldError(field=".".join(str(part) for part in one["loc"]), reason=str(one["msg"])) for one in error.errors()
    ]
    first = errors[0] if errors else FieldError(field="request", reason="cannot be read")
    more = f" ({len(errors) - 1} more)" if len(errors) > 1 else ""
    sentence = f"{first.field}: {first.reason}{more}"
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, sentence, errors=errors)


def _sentence_of(error: HTTPException) -> str:
    said = {
        404: "there is nothing at this address",
        405: "this address does not take that method",
    }
    detail = str(error.detail)
    return said.get(error.status_code, detail) if detail == HTTPStatus(error.status_code).phrase else detail


def handle_problems(app: FastAPI) -> None:
    """Every error of the application becomes a problem."""

    async def answer(request: Request, error: Exception) -> Response:
        return problem_of(error)

    for kind in (Refusal, RingbackError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, answer)
