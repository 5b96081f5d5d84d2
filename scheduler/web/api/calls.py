"""`/api/v1/calls`: what was dialed, what is in flight, and what became of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Query, Request, Response

from scheduler.model import AttemptState, Outcome
from scheduler.service import operations
from scheduler.store import listings
from scheduler.web.access import Operator, Reader, RuntimeOf
from scheduler.web.api.asked import (
    NO_REASON,
    AttemptId,
    Flag,
    OfCampaign,
    OfLead,
    Search,
    Since,
    by_claim,
    found,
    read_list,
)
from scheduler.web.api.models import AttemptItem, CallMade, CallOutcome, Said, Why
from scheduler.web.api.route import noun
from scheduler.web.problems import responses
from scheduler.web.reach import reached_attempt, reached_lead
from scheduler.web.replies import Cursor, Limit, Page, paged, read_cursor, tagged

router = noun("calls")


@router.get(
    "/calls", response_model=Page[AttemptItem], operation_id="list_calls", responses=responses(304, 404)
)
def list_calls(
    request: Request, caller: Reader, runtime: RuntimeOf, campaign: OfCampaign = None, lead_id: OfLead = None,
    state: AttemptState | None = None, outcome: Outcome | None = None,
    is_open: Annotated[Flag, Query(
        alias="open", description="Only those in flight: placing, live or unknown"
    )] = "false",
    since: Since = None, until: Since = None, search: Search = None, limit: Limit = 50, cursor: Cursor = None,
) -> Response:
    """Attempts, newest first: one for each dial. `since` and `until` are for `claimed_at` (from, and before), or
    for when it was recorded by hand.

    `search` is a number (whole, its beginning or its last digits, also in national form), a name or an e-mail, as for
    leads.
    """
    place = read_cursor(cursor, str, int)
    before = (_instant(place[0]), place[1]) if place else None
    if lead_id is not None:
        reached_lead(runtime, caller, lead_id)
    rows = read_list(runtime, caller, campaign, None, lambda connection, account_id, campaign_id: (
        listings.list_attempts_page(
            connection, account_id=account_id, campaign_id=campaign_id, lead_id=lead_id, state=state, outcome=outcome,
            is_open=is_open == "true", since=since, until=until, search=search, before=before, limit=limit,
        )
    ))
    return tagged(request, Page[AttemptItem].model_validate(paged(rows, limit, by_claim)))


@router.get(
    "/calls/{attempt_id:int}", response_model=AttemptItem, operation_id="read_call", responses=responses(304, 404)
)
def read_call(request: Request, caller: Reader, runtime: RuntimeOf, attempt_id: AttemptId) -> Response:
    """One attempt."""
    reached_attempt(runtime, caller, attempt_id)
    row = runtime.database.read(lambda connection: listings.find_attempt_row(connection, attempt_id))
    return tagged(request, AttemptItem.model_validate(found(row, "attempt", attempt_id)))


@router.post("/calls", response_model=Said, status_code=201, operation_id="record_call", responses=responses(404))
def record_call(caller: Operator, runtime: RuntimeOf, body: CallMade) -> Any:
    """Record a call that was made by hand: cancels what was planned, then decides what follows."""
    reached_lead(runtime, caller, body.lead_id)
    at, zone = body.callback_at, None
    if at is not None and at.tzinfo is not None:
        at, zone = at.astimezone(UTC).replace(tzinfo=None), "UTC"
    return Said(message=operations.record_call(
        body.lead_id, body.outcome, callback_at=at, callback_zone=zone, runtime=runtime
    ))


@router.post(
    "/calls/{attempt_id:int}/hangup", response_model=Said, operation_id="hang_up_call", responses=responses(404, 502)
)
def hang_up_call(caller: Operator, runtime: RuntimeOf, attempt_id: AttemptId, body: Why = NO_REASON) -> Any:
    """Ask the provider to end a live call; its report ends the attempt."""
    reached_attempt(runtime, caller, attempt_id)
    return Said(message=operations.hang_up_call(attempt_id, reason=body.reason, runtime=runtime))


@router.post(
    "/calls/{attempt_id:int}/resolve", response_model=Said, operation_id="resolve_call", responses=responses(404, 502)
)
def resolve_call(caller: Operator, runtime: RuntimeOf, attempt_id: AttemptId, body: CallOutcome) -> Any:
    """Say what became of a live or unknown attempt, when you know and the provider does not tell."""
    reached_attempt(runtime, caller, attempt_id)
    return Said(message=operations.resolve_call(attempt_id, body.outcome, runtime=runtime))


def _instant(text: str) -> datetime | None:
    """The first part of a place; empty where the attempt was never claimed."""
    from scheduler.web.replies import read_cursor as read
    from scheduler.web.replies import write_cursor

    if not text:
        return None
    parts = read(write_cursor(text), datetime)
    assert parts is not None, "one was just written"
    at: datetime = parts[0]
    return at
