"""How answers are shaped: pages by cursor, and entity tags so that a poll of what is unchanged costs a header."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Query, Request, Response
from pydantic import BaseModel
from pydantic_core import to_json

from scheduler.web.problems import Refusal

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
    """The parts of a cursor, each of the kind that is expected; None without one. Raises Refusal (404)."""
    if text is None:
        return None
    try:
        parts = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if not isinstance(parts, list) or len(parts) != len(kinds):
            raise ValueError
        return [_read(one, kind) for one, kind in zip(parts, kinds, strict=True)]
    except (ValueError, TypeError, RecursionError):
        sentence = "there is no page at this cursor; use next_cursor of the page before as it is"
        raise Refusal(HTTPStatus.NOT_FOUND, sentence) from None


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
    """A page of `rows`, of which one more than `limit` was read; `place` gives the parts of a row's cursor.

    A list that was looked through no further than it may says so itself (`store.listings.Rows`): then the next page
    begins there, even after one that is short or empty.
    """
    items = list(rows[:limit])
    following = write_cursor(*place(items[-1])) if len(rows) > limit else None
    stopped_at = getattr(rows, "goes_on_at", None)
    if following is None and stopped_at is not None:
        at, row_id = stopped_at if isinstance(stopped_at, tuple) else (None, stopped_at)
        following = write_cursor(*place({"id": row_id, "scheduled_at": at, "claimed_at": at}))
    return {"items": items, "next_cursor": following}


def tagged(request: Request, payload: Any, *, volatile: Sequence[str] = ()) -> Response:
    """JSON with an ETag; 304 without a body when the caller has it already (If-None-Match).

    `volatile` names top-level fields that do not count, such as the time of the answer.
    """
    data = payload.model_dump(mode="json") if isinstance(payload, BaseModel) else payload
    tag = tag_of(data, volatile=volatile)
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if _matches(request.headers.get("if-none-match"), tag):
        return Response(status_code=304, headers=headers)
    return Response(to_json(data), media_type="application/json", headers=headers)


def tag_of(payload: Any, *, volatile: Sequence[str] = ()) -> str:
    """The entity tag of an answer; a weak one where some of it does not count."""
    data = payload.model_dump(mode="json") if isinstance(payload, BaseModel) else payload
    counted = to_json({name: one for name, one in data.items() if name not in volatile} if volatile else data)
    return f'{"W/" if volatile else ""}"{hashlib.sha256(counted).hexdigest()[:32]}"'


def is_stale(wanted: str | None, tag: str) -> bool:
    """Does an If-Match header name another state than this one? A weak tag names none for sure."""
    if wanted is None or wanted.strip() == "*":
        return False
    return tag not in (one.strip() for one in wanted.split(","))


def _matches(wanted: str | None, tag: str) -> bool:
    if wanted is None:
        return False
    bare = tag.removeprefix("W/")
    return wanted.strip() == "*" or bare in (one.strip().removeprefix("W/") for one in wanted.split(","))
