"""What several addresses of `/api/v1` are asked with: ids, codes, filters; and how their answers are made."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

from fastapi import Path, Query
from pydantic import BaseModel, BeforeValidator, Field, StringConstraints
from pydantic_core import to_jsonable_python

from scheduler.errors import NotFound
from scheduler.service.runtime import Runtime
from scheduler.store.database import Connection
from scheduler.store.totals import Totals
from scheduler.web.access import Caller
from scheduler.web.api.models import MOST_ID, NO_NUL, NOT_BLANK, Figures, Instant, Why
from scheduler.web.reach import require_account, require_campaign

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")
NEWEST = 100
"""Rows of a lead or an account that its own answer holds; the rest is in the lists."""
NO_REASON = Why()


def _digits(value: Any) -> Any:
    """`1_000`, `+1` and ` 1` are whole numbers to Pydantic, and 3.0 is one to JSON."""
    if not isinstance(value, str):
        return value
    found = re.fullmatch(r"([0-9]{1,19})(\.0+)?", value)
    if found is None:
        raise ValueError("write a whole number")
    return int(found[1])


WholeId = Annotated[int, Field(ge=1, le=MOST_ID), BeforeValidator(_digits)]
LeadId = Annotated[WholeId, Path(examples=[12])]
CallKey = Annotated[str, Path(
    min_length=1, max_length=128, pattern=r"^[^\x00/]+$", examples=["731"],
    description="Id of the attempt, our reference (`attempt_ref`), or the provider's id of its call",
)]
ScheduleId = Annotated[WholeId, Path(examples=[345])]
Flag = Literal["true", "false"]
Key = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[^\x00/]+$")]
CampaignKey = Annotated[Key, Path(description="Code or id", examples=["autumn"])]
AccountKey = Annotated[Key, Path(description="Code or id", examples=["acme"])]

OfCampaign = Annotated[
    str | None, Query(min_length=1, max_length=64, pattern=NO_NUL, description="Code or id", examples=["autumn"])
]
OfLead = Annotated[WholeId | None, Query(examples=[12])]
Search = Annotated[str | None, Query(min_length=1, max_length=64, pattern=NOT_BLANK)]
Since = Annotated[Instant | None, Query()]


def figures(totals: Totals) -> Figures:
    return Figures(
        leads=totals.leads, open=totals.open, suspended=totals.suspended, unpaid=totals.unpaid, pending=totals.pending,
        held_up=totals.held_up, finished=totals.finished, called=totals.called, reached=totals.reached,
        unreached=totals.unreached, dials=totals.dials, answered=totals.answered, completed=totals.completed,
        talk_seconds=totals.talk_seconds, cost=totals.cost, progress=totals.progress,
    )


def read_list(
    runtime: Runtime, caller: Caller, campaign: str | None, account: str | None, work: Callable[..., T]
) -> T:
    """A list for whoever asks: `work(connection, account_id=, campaign_id=)`, of one campaign or account if named.

    Raises NotFound for those that the caller cannot see.
    """

    def read(connection: Connection) -> T:
        account_id = caller.account_id
        if account is not None:
            account_id = require_account(connection, caller, account).id
        campaign_id = require_campaign(connection, caller, campaign).id if campaign is not None else None
        return work(connection, account_id=account_id, campaign_id=campaign_id)

    return runtime.database.read(read)


def found(row: T | None, what: str, key: object) -> T:
    if row is None:
        raise NotFound(what, key)
    return row


def as_json(text: Any) -> Any:
    """A JSON column as it is meant; one that somebody broke by SQL as it is written."""
    if not isinstance(text, str):
        return text
    try:
        return json.loads(text, parse_constant=str)
    except ValueError:
        return text


def plain(value: Any) -> Any:
    """Any value of ours as JSON has it."""
    return to_jsonable_python(value, fallback=str)


def by_id(row: Any) -> tuple[int]:
    return (row["id"],)


def by_time(row: Any) -> tuple[datetime, int]:
    return (row["scheduled_at"], row["id"])


def by_claim(row: Any) -> tuple[str, int]:
    return (row["claimed_at"].isoformat() if row["claimed_at"] else "", row["id"])
