"""What a request is told when it cannot be served: problem details (RFC 9457), one sentence for people.

Decided here: which error of `errors.py` is which status, and what the OpenAPI document says of problems. What must
stay true: nothing that was sent is repeated beyond the field that is wrong, a mistake of ours says only that it is
one, and the document knows no other shape of an error than ours (FastAPI would add its own to every operation).
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
from starlette.routing import BaseRoute, Match

from scheduler.errors import (
    Conflict,
    Contended,
    DatabaseUnavailable,
    InvalidSettings,
    InvalidValue,
    NotAllowed,
    NotFound,
    ProviderError,
    RingbackError,
    SchemaMismatch,
)

MEDIA_TYPE = "application/problem+json"
MOST_ERRORS, LONGEST_NAME, LONGEST_REASON = 50, 80, 1000
METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
STATUS_OF: Sequence[tuple[type[RingbackError], HTTPStatus]] = (
    (NotAllowed, HTTPStatus.FORBIDDEN),
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
    return {status: answer_of(status) for status in statuses}


def refuse_packed(request: Request) -> None:
    """Raises Refusal for a body that is compressed: it would be read as something else."""
    packing = request.headers.get("content-encoding", "identity").strip().lower()
    if packing != "identity":
        raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send the body as it is, without Content-Encoding")


def answer_of(status: int) -> dict[str, Any]:
    if status == HTTPStatus.NOT_MODIFIED:
        return {"description": "It is as the caller has it already (If-None-Match)"}
    return {
        "description": HTTPStatus(status).phrase,
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


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
    found = error.errors()
    if found and found[0]["type"] == "json_invalid":
        why = str(found[0].get("ctx", {}).get("error", "cannot be read")).lower()
        return problem(HTTPStatus.BAD_REQUEST, f"the body is not JSON: {why} at character {found[0]['loc'][-1]}")
    errors = [
        FieldError(field=".".join(readable(part) for part in one["loc"]), reason=_reason(one)) for one in found
    ]
    first = errors[0] if errors else FieldError(field="request", reason="cannot be read")
    more = f" ({len(errors) - 1} more)" if len(errors) > 1 else ""
    sentence = f"{first.field}: {first.reason}{more}"
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, sentence, errors=errors[:MOST_ERRORS])


def readable(part: Any) -> str:
    """A part of a place. It may be a name that somebody made up, so it is cut."""
    return str(part).encode("utf-8", "replace").decode()[:LONGEST_NAME]


def _reason(one: Mapping[str, Any]) -> str:
    said = {
        "extra_forbidden": "there is no such field",
        "missing": "it is missing",
        "string_pattern_mismatch": "it is not written as it must be",
    }
    message = said.get(str(one["type"])) or str(one["msg"]).removeprefix("Value error, ")
    message = message.removeprefix("Input should be ").strip()
    return message.encode("utf-8", "replace").decode()[:LONGEST_REASON]


def _sentence_of(error: HTTPException) -> str:
    said = {
        400: "the body cannot be read",
        404: "there is nothing at this address",
        405: "this address does not take that method",
    }
    detail = str(error.detail)
    if detail == "There was an error parsing the body":
        return said[400]
    return said.get(error.status_code, detail) if detail == HTTPStatus(error.status_code).phrase else detail


def allowed_methods(request: Request) -> list[str]:
    """Every method that this address takes. The router itself names those of the first route alone."""
    found: set[str] = set()
    for method in METHODS:
        scope = {**request.scope, "method": method}
        if any(_takes(route, scope) for route in request.app.router.routes):
            found.add(method)
    return sorted(found)


def _takes(route: BaseRoute, scope: Any) -> bool:
    return route.matches(scope)[0] is Match.FULL


def handle_problems(app: FastAPI) -> None:
    """Every error of the application becomes a problem, and a page where a person asked for one."""
    describe_problems(app)

    async def answer(request: Request, error: Exception) -> Response:
        from scheduler.web.pages.base import page_of  # pages stand on this module

        found = problem_of(error)
        if found.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            found.headers["Allow"] = ", ".join(allowed_methods(request))
        return page_of(request, found)

    for kind in (Refusal, RingbackError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, answer)


# --- the document ---------------------------------------------------------------------------------

COMPONENT = "x-component"
"""A schema with this key stands for the component of that name; its other keys stay beside the reference."""


DESCRIPTION = """The relational call scheduler over HTTP: the same functions as the command line `ringback`.

Lists come in pages: follow `next_cursor` until it is null; rows that are added meanwhile neither repeat nor hide \
others. Names of fields are those of the tables. Instants are UTC (ISO 8601), amounts of money are text.

Errors are problem details (RFC 9457) of one sentence. 422: the request is not what this document says. 409: it is, \
and cannot be done as things stand: the state of a row, the day, the numbers that exist, the settings beside it.

Every POST may carry `Idempotency-Key` (1 to 191 printable characters): the same key with the same request is \
answered as before, with `Idempotency-Replayed: true`, and nothing is done again; with another request it is refused \
(422), and while the first is being worked on, too (409). Keys are kept for a day.

Answers that are polled carry an ETag: send it back as If-None-Match, and what is unchanged is answered with 304."""
HEADERS = {
    "Idempotency-Replayed": {
        "description": "true: this is the answer that was given to the same request before",
        "schema": {"type": "string", "enum": ["true"]},
    },
}


def describe_problems(app: FastAPI) -> None:
    """Let the OpenAPI document know `Problem`, and nothing of FastAPI's own errors."""
    from scheduler.web.api.settings import components  # which needs our problems itself

    plain = app.openapi

    def document() -> dict[str, Any]:
        is_new = app.openapi_schema is None
        found = plain()
        if is_new:
            known = found.setdefault("components", {}).setdefault("schemas", {})
            for name in ("HTTPValidationError", "ValidationError"):
                known.pop(name, None)
            known.update(_schemas_of_problems())
            known.update(components())
            found["info"]["description"] = DESCRIPTION
            found["components"]["headers"] = HEADERS
            for path in found.get("paths", {}).values():
                for operation in path.values():
                    _say_ours(operation)
            app.openapi_schema = found = _with_references(found)
        return found

    app.openapi = document  # type: ignore[method-assign]


def _schemas_of_problems() -> dict[str, Any]:
    schema = Problem.model_json_schema(mode="serialization", ref_template="#/components/schemas/{model}")
    inner = schema.pop("$defs")
    # What is not said is left out, and never null.
    schema["properties"]["errors"] = {
        **next(one for one in schema["properties"]["errors"]["anyOf"] if one.get("type") == "array"),
        "description": "The fields that are wrong, where several are",
    }
    return {"Problem": schema, **inner}


def _say_ours(operation: dict[str, Any]) -> None:
    answers = operation.get("responses", {})
    if "HTTPValidationError" in str(answers.get("422", "")):
        answers["422"] = answer_of(422)


def _with_references(node: Any) -> Any:
    if isinstance(node, dict):
        if COMPONENT in node:
            kept = {name: one for name, one in node.items() if name in ("description", "title", "examples")}
            return {**kept, "$ref": f"#/components/schemas/{node[COMPONENT]}"}
        if node.get("type") == "integer":
            node = {**node, **{name: _whole(node[name]) for name in ("minimum", "maximum") if name in node}}
        return {name: _with_references(one) for name, one in node.items()}
    if isinstance(node, list):
        return [_with_references(one) for one in node]
    return node


def _whole(bound: float) -> int:
    """FastAPI keeps bounds as floating-point numbers, and the highest id is none."""
    return min(int(bound), 2**63 - 1)
