"""How answers are shaped: pages by cursor, and entity tags so that a poll of what is unchanged costs a header."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Query, Request, Response
from pydantic import BaseModel
from pydantic_core import to_json

from scheduler.errors import InvalidValue

T = TypeVar("T")
MOST = 500

Limit = Annotated[int, Query(ge=1, le=MOST, description="At most so many items")]
Cursor = Annotated[str | None, Query(max_length=200, description="`next_cursor` of the page before; none: the first")]


class Page(BaseModel, Generic[T]):
    """`next_cursor` is null on the last page."""

    items: list[T]
    next_cursor: str | None


def write_cursor(*parts: int | str | datetime) -> str:
    """Where the next page begins. Opaque to callers."""
    plain = [one.isoformat() if isinstance(one, datetime) else one for one in parts]
    return base64.urlsafe_b64encode(json.dumps(plain, separators=(",", ":")).encode()).decode().rstrip("=")


def read_cursor(text: str | None, *kinds: type) -> list[Any] | None:
    """The parts of a cursor, each of the kind that is expected; None without one. Raises InvalidValue."""
    if text is None:
        return None
    try:
        parts = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if not isinstance(parts, list) or len(parts) != len(kinds):
            raise ValueError
        return [_read(one, kind) for one, kind in zip(parts, kinds, strict=True)]
    except (ValueError, TypeError, RecursionError):
        raise InvalidValue("cursor", text[:40], "use next_cursor of the page before as it is") from None


def _read(part: Any, kind: type) -> Any:
    if kind is datetime:
        at = datetime.fromisoformat(part)
        if at.tzinfo is None:
            raise ValueError
        return at
    if type(part) is not kind:
        raise ValueError
    if isinstance(part, int) and not 0 <= part < 2**63:
        raise ValueError
    return part


def paged(
    rows: Sequence[Mapping[str, Any]], limit: int, place: Callable[[Mapping[str, Any]], Sequence[Any]]
) -> dict[str, Any]:
    """A page of `rows`, of which one more than `limit` was read; `place` gives the parts of a row's cursor."""
    items = list(rows[:limit])
    following = write_cursor(*place(items[-1])) if len(rows) > limit else None
    return {"items": items, "next_cursor": following}


def tagged(request: Request, payload: Any, *, volatile: Sequence[str] = ()) -> Response:
    """JSON with an ETag; 304 without a body when the caller has it already (If-None-Match).

    `volatile` names top-level fields that do not count, such as the time of the answer.
    """
    data = payload.model_dump(mode="json") if isinstance(payload, BaseModel) else payload
    body = to_json(data)
    counted = to_json({name: one for name, one in data.items() if name not in volatile}) if volatile else body
    tag = f'{"W/" if volatile else ""}"{hashlib.sha256(counted).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if _matches(request.headers.get("if-none-match"), tag):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)


def _matches(wanted: str | None, tag: str) -> bool:
    if wanted is None:
        return False
    bare = tag.removeprefix("W/")
    return wanted.strip() == "*" or bare in (one.strip().removeprefix("W/") for one in wanted.split(","))
