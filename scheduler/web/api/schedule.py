"""`/api/v1/schedule`: what is planned."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Query

from scheduler.errors import NotFound
from scheduler.model import Hold, ScheduleStatus
from scheduler.service import control, operations
from scheduler.store import calls, listings
from scheduler.web.access import Operator, Reader, RuntimeOf
from scheduler.web.api.asked import Flag, OfCampaign, OfLead, ScheduleId, Since, by_time, found, read_list
from scheduler.web.api.models import CallPlan, CallPlanned, PlanCancel, PlanCancelled, Said, ScheduleItem
from scheduler.web.api.route import noun
from scheduler.web.problems import Refusal, responses
from scheduler.web.reach import reached_lead
from scheduler.web.replies import Cursor, Limit, Page, paged, read_cursor

router = noun("schedule")


@router.get("/schedule", response_model=Page[ScheduleItem], operation_id="list_schedule", responses=responses(404, 409))
def list_schedule(
    caller: Reader, runtime: RuntimeOf, campaign: OfCampaign = None, lead_id: OfLead = None,
    status: ScheduleStatus | None = None, hold: Hold | None = None,
    due: Annotated[Flag, Query(description="Only what may be dialed now")] = "false",
    since: Since = None, until: Since = None, limit: Limit = 50, cursor: Cursor = None,
) -> Any:
    """Scheduled calls: pending ones and those in work by when they are due, otherwise the latest first.

    `due` are pending ones whose time has come and whose lead is open and not managed by hand. `since` and `until`
    are for `scheduled_at`.
    """
    if due == "true" and status not in (None, ScheduleStatus.PENDING):
        raise Refusal(HTTPStatus.CONFLICT, "due lists pending calls alone; leave status out")
    place = read_cursor(cursor, datetime, int)
    if lead_id is not None:
        reached_lead(runtime, caller, lead_id)
    now = runtime.clock.now() if due == "true" else None
    rows = read_list(runtime, caller, campaign, None, lambda connection, account_id, campaign_id: (
        listings.list_schedule_page(
            connection, account_id=account_id, campaign_id=campaign_id, lead_id=lead_id, status=status, due_at=now,
            hold=hold, since=since, until=until, before=(place[0], place[1]) if place else None, limit=limit,
        )
    ))
    return paged(rows, limit, by_time)


@router.post("/schedule", response_model=CallPlanned, status_code=201, operation_id="plan_call",
             responses=responses(404))
def plan_call(caller: Operator, runtime: RuntimeOf, body: CallPlan) -> Any:
    """Plan a call to a lead, in place of what was planned for it."""
    reached_lead(runtime, caller, body.lead_id)
    schedule_id = operations.schedule_call(body.lead_id, at=body.at, reason=body.reason, runtime=runtime)
    row = found(
        runtime.database.read(lambda connection: calls.read_calls(connection, [schedule_id])).get(schedule_id),
        "scheduled call", schedule_id,
    )
    return CallPlanned(id=schedule_id, lead_id=body.lead_id, scheduled_at=row.scheduled_at)


@router.post("/schedule/cancel", response_model=PlanCancelled, operation_id="cancel_plan", responses=responses(404))
def cancel_plan(caller: Operator, runtime: RuntimeOf, body: PlanCancel) -> Any:
    """Cancel what is planned for a lead. The lead stays open; a call in flight goes on."""
    reached_lead(runtime, caller, body.lead_id)
    cancelled = operations.cancel_scheduled_calls_for_lead(body.lead_id, body.reason, runtime=runtime)
    return PlanCancelled(lead_id=body.lead_id, cancelled=cancelled)


@router.post(
    "/schedule/{schedule_id:int}/release", response_model=Said, operation_id="release_call", responses=responses(404)
)
def release_call(caller: Operator, runtime: RuntimeOf, schedule_id: ScheduleId) -> Any:
    """Free a row in work whose process is gone. Whether its call was made is looked up at the provider."""
    row = runtime.database.read(lambda connection: calls.read_calls(connection, [schedule_id])).get(schedule_id)
    if row is None:
        raise NotFound("scheduled call", schedule_id)
    if caller.account_id is not None:
        try:
            reached_lead(runtime, caller, row.lead_id)
        except NotFound:
            raise NotFound("scheduled call", schedule_id) from None
    return Said(message=control.release_call(schedule_id, runtime=runtime))
