"""`/docs`: the OpenAPI document as a page, made here, without a script from anywhere.

Everything on it is read from the document that `/openapi.json` gives, so that the page cannot say something else.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Request, Response

from scheduler.web.access import Reader
from scheduler.web.pages.base import render

router = APIRouter(include_in_schema=False)
Schema = Mapping[str, Any]
DEEPEST = 6


@dataclass(frozen=True, slots=True)
class Field:
    """One value of a request. `where` is path, query, header or body."""

    name: str
    where: str
    is_required: bool
    kind: str
    says: str


@dataclass(frozen=True, slots=True)
class Operation:
    key: str
    method: str
    path: str
    title: str
    says: str
    fields: tuple[Field, ...]
    answers: tuple[tuple[str, str], ...]
    curl: str


@router.get("/docs")
def show_reference(request: Request, caller: Reader) -> Response:
    """The page."""
    document = request.app.openapi()
    return render(
        request, "reference.html", groups=groups_of(document, str(request.base_url).rstrip("/")),
        version=document["info"]["version"], says=document["info"].get("description", ""),
    )


def groups_of(document: Schema, base: str) -> dict[str, list[Operation]]:
    """Operations by tag, in the order of the document."""
    found: dict[str, list[Operation]] = {}
    for path, methods in document["paths"].items():
        for method, one in methods.items():
            tag = (one.get("tags") or ["other"])[0]
            found.setdefault(tag, []).append(_operation(document, path, method.upper(), one, base))
    return found


def _operation(document: Schema, path: str, method: str, one: Schema, base: str) -> Operation:
    parameters = [_resolved(document, each) for each in one.get("parameters", ())]
    fields = [
        Field(
            each["name"], each["in"], bool(each.get("required")), _kind(document, each.get("schema", {})),
            str(each.get("description", "")),
        )
        for each in parameters
    ]
    media, body = _body_of(one)
    if body is not None:
        fields += _body_fields(document, _resolved(document, body))
    return Operation(
        key=one.get("operationId", f"{method} {path}"), method=method, path=path, title=one.get("summary", ""),
        says=one.get("description", ""), fields=tuple(fields),
        answers=tuple((status, _phrase(status, said)) for status, said in sorted(one.get("responses", {}).items())),
        curl=_curl(document, path, method, parameters, media, body, base),
    )


def _phrase(status: str, said: Schema) -> str:
    return HTTPStatus(int(status)).phrase if status.isdigit() else str(said.get("description", ""))


def _body_of(one: Schema) -> tuple[str, Schema | None]:
    for media, content in one.get("requestBody", {}).get("content", {}).items():
        return media, content.get("schema", {})
    return "", None


def _body_fields(document: Schema, body: Schema) -> Iterator[Field]:
    required = set(body.get("required", ()))
    for name, schema in body.get("properties", {}).items():
        says = schema.get("description", "") or _resolved(document, schema).get("description", "")
        yield Field(name, "body", name in required, _kind(document, schema), str(says))


def _resolved(document: Schema, node: Schema) -> Schema:
    for _ in range(DEEPEST):
        if "$ref" not in node:
            break
        found: Any = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        node = found
    return node


def _kind(document: Schema, schema: Schema, depth: int = 0) -> str:
    """A schema in a few words, such as `text, at most 255` or `one of open, closed`."""
    if depth > DEEPEST:
        return "..."
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        inner = _resolved(document, schema)
        return _kind(document, inner, depth + 1) if "enum" in inner and len(inner["enum"]) < 20 else name
    for several in ("anyOf", "oneOf"):
        if several in schema:
            kinds = [_kind(document, one, depth + 1) for one in schema[several]]
            return " or ".join(dict.fromkeys(kinds))
    if "enum" in schema:
        shown = [str(one) for one in schema["enum"][:20]]
        return f"one of {', '.join(shown)}" + (", ..." if len(schema["enum"]) > len(shown) else "")
    if "const" in schema:
        return str(schema["const"])
    if schema.get("type") == "array":
        return f"list of {_kind(document, schema.get('items', {}), depth + 1)}"
    words = {"string": "text", "integer": "whole number", "boolean": "true or false"}
    kind: Any = schema.get("type", "anything")
    kinds = kind if isinstance(kind, list) else [kind]
    text = " or ".join(str(words.get(one, one)) for one in kinds)
    if "minimum" in schema or "maximum" in schema:
        text += f", {schema.get('minimum', '')} to {schema.get('maximum', '')}"
    if "maxLength" in schema:
        text += f", at most {schema['maxLength']} characters"
    return text


def _curl(
    document: Schema, path: str, method: str, parameters: list[Schema], media: str, body: Schema | None, base: str
) -> str:
    for one in parameters:
        if one["in"] == "path":
            written = quote(str(_example(document, one.get("schema", {}), one)), safe="")
            path = path.replace(f"{{{one['name']}}}", written)
    asked = {
        one["name"]: _example(document, one.get("schema", {}), one)
        for one in parameters if one["in"] == "query" and one.get("required")
    }
    parts = ["curl", "-sS"] + ([] if method == "GET" else ["-X", method])
    parts.append(base + path + (f"?{urlencode(asked)}" if asked else ""))
    if body is not None and media == "application/json":
        example = _example(document, body, {})
        parts += ["-H", "Content-Type: application/json", "-d", json.dumps(example, ensure_ascii=False)]
    elif body is not None:
        for name, schema in _resolved(document, body).get("properties", {}).items():
            value = "@leads.csv" if name == "file" else str(_example(document, schema, {}))
            if name == "file" or name in _resolved(document, body).get("required", ()):
                parts += ["-F", f"{name}={value}"]
    return " ".join(shlex.quote(one) for one in parts)


def _example(document: Schema, schema: Schema, beside: Schema, depth: int = 0) -> Any:
    """A value that fits: the one that is named as an example, or the plainest there is."""
    for one in (beside, schema):
        if one.get("examples"):
            return one["examples"][0]
        if "default" in one:
            return one["default"]
    schema = _resolved(document, schema)
    if schema.get("examples"):
        return schema["examples"][0]
    if depth > DEEPEST:
        return None
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return _example(document, schema[several][0], {}, depth + 1)
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("type") == "object":
        return {
            name: _example(document, schema["properties"][name], {}, depth + 1) for name in schema.get("required", ())
        }
    if schema.get("type") == "array":
        return [_example(document, schema.get("items", {}), {}, depth + 1)]
    plainest: dict[Any, Any] = {"integer": schema.get("minimum", 1), "number": 1, "boolean": False}
    return plainest.get(schema.get("type"), "autumn")
