"""`/api/v1/stats`, `/alerts`, `/events` and `/report`: where everything stands, and what happened."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

from fastapi import Query, Request, Response
from pydantic import AfterValidator, WithJsonSchema

from scheduler.rules.alerts import codes_raised
from scheduler.rules.hours import day_start, zone_info
from scheduler.service.alerts import list_alerts
from scheduler.service.report import Report, make_report
from scheduler.service.rulebook import RuleBook
from scheduler.store import listings
from scheduler.store.calls import list_due_campaigns
from scheduler.store.database import Connection
from scheduler.store.depth import count_due_together
from scheduler.web.access import Reader, RuntimeOf
from scheduler.web.api.asked import Flag, OfCampaign, OfLead, Since, as_json, by_id, figures, plain, read_list
from scheduler.web.api.models import DATE, INSTANT_OR_WALL, NO_NUL, AlertItem, AlertList, EventItem, StatsFigures
from scheduler.web.api.route import noun
from scheduler.web.problems import responses
from scheduler.web.reach import reached_campaign, reached_lead, require_everything
from scheduler.web.replies import Cursor, Limit, Page, paged, read_cursor, tagged

router = noun("figures")
SPAN = r"^[1-9][0-9]{0,3}[smhd]$"
DUE_COUNTED = 100_000
"""Due calls that are counted in one look."""
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _read_since(text: str) -> str:
    if not any(re.fullmatch(one[1:-1], text) for one in (DATE, INSTANT_OR_WALL, SPAN)):
        raise ValueError("write a date (2027-03-01), a time, or a span (7d, 24h)")
    return text


ReportSince = Annotated[
    str | None,
    Query(description="A date or time on the installation's clock, an instant, or a span until now such as 7d"),
    AfterValidator(lambda text: None if text is None else _read_since(text)),
    WithJsonSchema({"type": "string", "anyOf": [{"pattern": one} for one in (DATE, INSTANT_OR_WALL, SPAN)]}),
]


@router.get("/stats", response_model=StatsFigures, operation_id="read_stats", responses=responses(304))
def read_stats(request: Request, caller: Reader, runtime: RuntimeOf) -> Response:
    """Where everything stands, or everything of the caller's account. Made for polling."""
    now = runtime.clock.now()
    zone = runtime.database.read(lambda connection: RuleBook().read(connection).policy(None).default_zone)
    today = now.astimezone(zone_info(zone)).date()
    start = day_start(today, zone_info(zone))
    counted = runtime.counts.overview(caller.account_id, start)
    by_hour = runtime.counts.hours(start, account_id=caller.account_id)
    overview, hours = counted.value, by_hour.value

    def read(connection: Connection) -> StatsFigures:
        live = listings.count_open(connection, caller.account_id)
        waiting = list_due_campaigns(connection, datetime.max.replace(tzinfo=UTC))
        own = [one for one in waiting if caller.account_id is None or (
            one.campaign is not None and one.campaign.account_id == caller.account_id
        )]
        due = count_due_together(connection, [one.id for one in own if one.oldest <= now], now, DUE_COUNTED)
        return StatsFigures(
            at=now, timezone=zone, today=today, today_since=start,
            campaigns=listings.count_campaigns(connection, caller.account_id),
            totals=figures(overview.totals), active_totals=figures(overview.active_totals),
            in_flight=sum(live.values()), in_flight_by_state=live,
            due_now=due, due_is_at_least=due >= DUE_COUNTED,
            next_due_at=min((one.oldest for one in own), default=None),
            today_dials=sum(one.dials for one in hours), today_answered=sum(one.answered for one in hours),
            today_completed=sum(one.completed for one in hours), counted_at=min(counted.at, by_hour.at),
        )

    return tagged(request, runtime.database.read(read), volatile=("at", "counted_at"))


@router.get("/alerts", response_model=AlertList, operation_id="list_alerts", responses=responses(304))
def read_alerts(request: Request, caller: Reader, runtime: RuntimeOf) -> Response:
    """What somebody should look at now. `codes` says of each that there is whether it is raised."""
    require_everything(caller)
    raised = list_alerts(runtime=runtime)
    return tagged(request, AlertList(
        ok=not raised, raised=len(raised), codes=codes_raised(raised),
        alerts=[AlertItem(
            code=one.code, severity=one.severity, about=one.about, sentence=one.sentence, value=plain(one.value),
            threshold=plain(one.threshold),
        ) for one in raised],
    ))


@router.get("/events", response_model=Page[EventItem], operation_id="list_events", responses=responses(404))
def list_events(
    caller: Reader, runtime: RuntimeOf, campaign: OfCampaign = None, lead_id: OfLead = None,
    kind: Annotated[str | None, Query(min_length=1, max_length=64, pattern=NO_NUL)] = None,
    actor: Annotated[str | None, Query(min_length=1, max_length=96, pattern=NO_NUL)] = None, since: Since = None,
    people: Annotated[Flag, Query(description="Only what people did")] = "false",
    limit: Limit = 50, cursor: Cursor = None,
) -> Any:
    """The audit, newest first: what happened, who did it, and why."""
    place = read_cursor(cursor, int)
    if lead_id is not None:
        reached_lead(runtime, caller, lead_id)
    rows = read_list(runtime, caller, campaign, None, lambda connection, account_id, campaign_id: (
        listings.list_events_page(
            connection, account_id=account_id, campaign_id=campaign_id, lead_id=lead_id, kind=kind, actor=actor,
            since=since, people_only=people == "true", before=place[0] if place else None, limit=limit,
        )
    ))
    for row in rows:
        row["details"] = as_json(row["details"])
    return paged(rows, limit, by_id)


@router.get("/report", response_model=Report, operation_id="read_report", responses=responses(404, 409))
def read_report(
    caller: Reader, runtime: RuntimeOf, campaign: OfCampaign = None, since: ReportSince = None
) -> Any:
    """How a campaign, or everything, is doing: funnel, outcomes, rates by hour and weekday, delays, cost, ETA.

    It reads every call that it is about, so it is not made for polling.
    """
    if campaign is None:
        require_everything(caller)
    code = reached_campaign(runtime, caller, campaign).code if campaign is not None else None
    return make_report(code, to_since(since), runtime=runtime)


def to_since(text: str | None) -> timedelta | date | datetime | None:
    if text is None:
        return None
    if re.fullmatch(SPAN[1:-1], text):
        return timedelta(**{UNITS[text[-1]]: int(text[:-1])})
    return date.fromisoformat(text) if len(text) == len("2027-03-01") else datetime.fromisoformat(text)
