"""`/api/v1/calls`: what was dialed, what is in flight, and what became of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Query, Request, Response

from scheduler.errors import NotFound
from scheduler.model import AttemptState, Outcome
from scheduler.service import operations
from scheduler.store import listings
from scheduler.web.access import Operator, Reader, RuntimeOf
from scheduler.web.api.asked import NO_REASON, CallKey, Flag, OfCampaign, OfLead, Since, by_claim, found, read_list
from scheduler.web.api.models import AttemptItem, CallLearnt, CallMade, CallOutcome, Said, Why
from scheduler.web.api.route import noun
from scheduler.web.problems import responses
from scheduler.web.reach import reached_call, reached_lead
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
    ref: Annotated[str | None, Query(
        min_length=1, max_length=128, pattern=r"^[^\x00]+$", examples=["CA5d0d0d8047bf685c3f0ff980fe62c123"],
        description="The one call with this reference of ours (`attempt_ref`), or this id of its provider's",
    )] = None,
    since: Since = None, limit: Limit = 50, cursor: Cursor = None,
) -> Response:
    """Attempts, newest first: one for each dial. `since` is for `claimed_at`."""
    attempt_id = None
    if ref is not None:
        try:
            attempt_id = reached_call(runtime, caller, ref)
        except NotFound:
            return tagged(request, Page[AttemptItem](items=[], next_cursor=None))
    place = read_cursor(cursor, str, int)
    before = (_instant(place[0]), place[1]) if place else None
    if lead_id is not None:
        reached_lead(runtime, caller, lead_id)
    rows = read_list(runtime, caller, campaign, None, lambda connection, account_id, campaign_id: (
        listings.list_attempts_page(
            connection, account_id=account_id, campaign_id=campaign_id, lead_id=lead_id, state=state, outcome=outcome,
            is_open=is_open == "true", since=since, before=before, limit=limit, attempt_id=attempt_id,
        )
    ))
    return tagged(request, Page[AttemptItem].model_validate(paged(rows, limit, by_claim)))


@router.get(
    "/calls/{call}", response_model=AttemptItem, operation_id="read_call", responses=responses(304, 404)
)
def read_call(request: Request, caller: Reader, runtime: RuntimeOf, call: CallKey) -> Response:
    """One attempt."""
    attempt_id = reached_call(runtime, caller, call)
    row = runtime.database.read(lambda connection: listings.find_attempt_row(connection, attempt_id))
    return tagged(request, AttemptItem.model_validate(found(row, "attempt", attempt_id)))


@router.post("/calls", response_model=Said, status_code=201, operation_id="record_call", responses=responses(404))
def record_call(caller: Operator, runtime: RuntimeOf, body: CallMade) -> Any:
    """Record a call that was made by hand: cancels what was planned, then decides what follows."""
    reached_lead(runtime, caller, body.lead_id)
    at, zone = _wish(body.callback_at)
    return Said(message=operations.record_call(
        body.lead_id, body.outcome, callback_at=at, callback_zone=zone, runtime=runtime
    ))


@router.post(
    "/calls/{call}/result", response_model=Said, status_code=201, operation_id="report_call", responses=responses(404)
)
def report_call(caller: Operator, runtime: RuntimeOf, call: CallKey, body: CallLearnt) -> Any:
    """Say what was learnt on a call of ours, also while it goes on: what its provider tells later is added."""
    at, zone = _wish(body.callback_at)
    return Said(message=operations.report_call(
        reached_call(runtime, caller, call), body.outcome, callback_at=at, callback_zone=zone,
        appointment_at=body.appointment_at, summary=body.summary, runtime=runtime,
    ))


@router.post(
    "/calls/{call}/hangup", response_model=Said, operation_id="hang_up_call", responses=responses(404, 502)
)
def hang_up_call(caller: Operator, runtime: RuntimeOf, call: CallKey, body: Why = NO_REASON) -> Any:
    """Ask the provider to end a live call; its report ends the attempt."""
    attempt_id = reached_call(runtime, caller, call)
    return Said(message=operations.hang_up_call(attempt_id, reason=body.reason, runtime=runtime))


@router.post(
    "/calls/{call}/resolve", response_model=Said, operation_id="resolve_call", responses=responses(404, 502)
)
def resolve_call(caller: Operator, runtime: RuntimeOf, call: CallKey, body: CallOutcome) -> Any:
    """Say what became of a live or unknown attempt, when you know and the provider does not tell."""
    attempt_id = reached_call(runtime, caller, call)
    return Said(message=operations.resolve_call(attempt_id, body.outcome, runtime=runtime))


def _wish(at: datetime | None) -> tuple[datetime | None, str | None]:
    """A callback's time as the clock of a zone shows it; without a zone, of the lead's own."""
    if at is None or at.tzinfo is None:
        return at, None
    return at.astimezone(UTC).replace(tzinfo=None), "UTC"


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
