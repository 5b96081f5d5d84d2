"""What a report says of calls that were made: each figure means what its field promises."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from scheduler.clock import ManualClock
from scheduler.errors import InvalidValue, NotFound
from scheduler.service.report import Answers, Delay, Report, UnitCost, make_report
from scheduler.service.runtime import Runtime
from tests.conftest import NOON, sqlite_suffices
from tests.dials import add_dial, add_event
from tests.factories import (
    DAY,
    HOUR,
    MINUTE,
    Station,
    add_campaign,
    add_due_lead,
    add_lead,
    chilean,
    plan_call,
    set_config,
    sql,
)

SPANISH_MOBILE = "+346{:08d}"
"""Madrid or the Canaries: its number does not say."""
ALWAYS = {"allowed_hours": {"start": "00:00", "end": "24:00"}, "days_of_week": [1, 2, 3, 4, 5, 6, 7]}


# --- the funnel ---------------------------------------------------------------------------------


def test_the_funnel_goes_from_all_leads_to_those_that_succeeded(runtime: Runtime) -> None:
    database = runtime.database
    campaign_id = add_campaign(database)
    for outcomes in (["busy", "completed"], ["hang_up"], ["do_not_call"], ["callback"], ["voicemail"], []):
        lead_id = add_lead(database, campaign_id=campaign_id)
        for number, outcome in enumerate(outcomes, 1):
            add_dial(database, lead_id, outcome, number=number)
    add_lead(database, campaign_id=campaign_id, lead_status="closed", closed_reason="max_attempts", closed_at=NOON)
    add_dial(database, add_lead(database), "completed")

    found = make_report("batch-1", runtime=runtime)

    assert found.campaign == "batch-1"
    funnel = found.funnel
    assert (funnel.leads, funnel.called, funnel.reached, funnel.succeeded, funnel.closed) == (7, 5, 4, 1, 1)
    assert funnel.by_status == {"open": 6, "closed": 1, "suspended": 0}
    assert funnel.by_outcome == dict.fromkeys(
        ("busy", "completed", "hang_up", "do_not_call", "callback", "voicemail"), 1
    )
    assert funnel.closed_by_reason == {"max_attempts": 1}
    assert found.first_answer.by_attempt == {1: 3, 2: 1}
    assert (found.first_answer.mean, found.first_answer.median) == (1.25, 1)


def test_rates_are_of_attempts_that_ended(runtime: Runtime) -> None:
    lead_id = add_lead(runtime.database)
    for outcome in ("completed", "hang_up", "busy", "busy"):
        add_dial(runtime.database, lead_id, outcome)
    add_dial(runtime.database, lead_id, None)
    add_dial(runtime.database, lead_id, None, state="refused")

    attempts = make_report(runtime=runtime).attempts

    assert (attempts.total, attempts.ended, attempts.in_progress, attempts.refused) == (5, 4, 1, 1)
    assert (attempts.answered, attempts.answer_rate, attempts.success_rate) == (2, 0.5, 0.25)


def test_without_anything_every_figure_is_nothing(runtime: Runtime) -> None:
    found = make_report(runtime=runtime)

    assert found.funnel.leads == found.attempts.total == found.first_answer.leads == 0
    assert found.attempts.answer_rate is None and found.first_answer.mean is None
    assert found.answer_rate.by_weekday_and_hour == {} and found.delays == [] and found.spent.by_unit == []
    assert (found.eta.at, found.eta.method) == (None, "unknown: no lead is left to call")


def test_a_campaign_that_does_not_exist_has_no_report(runtime: Runtime) -> None:
    with pytest.raises(NotFound, match="there is no campaign nowhere"):
        make_report("nowhere", runtime=runtime)


# --- since --------------------------------------------------------------------------------------


@sqlite_suffices
@pytest.mark.parametrize(
    "since, at",
    [
        (timedelta(hours=24), NOON - DAY),
        (date(2026, 11, 20), NOON - 12 * HOUR),  # midnight in Santiago
        (datetime(2026, 11, 20, 10, 0), NOON - 2 * HOUR),  # noqa: DTZ001  on the installation's clock
        (NOON - HOUR, NOON - HOUR),
    ],
)
def test_since_is_a_span_a_date_a_local_time_or_an_instant(runtime: Runtime, since: Any, at: datetime) -> None:
    lead_id = add_lead(runtime.database)
    add_dial(runtime.database, lead_id, "busy", at=at - MINUTE)
    add_dial(runtime.database, lead_id, "completed", at=at)

    found = make_report(since=since, runtime=runtime)

    assert found.since == at
    assert found.funnel.by_outcome == {"completed": 1}


@sqlite_suffices
@pytest.mark.parametrize("since", [NOON + MINUTE, date(2026, 11, 21)])
def test_since_must_have_passed(runtime: Runtime, since: Any) -> None:
    with pytest.raises(InvalidValue, match="write a time that has passed"):
        make_report(since=since, runtime=runtime)


# --- hours --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lead, number, hour",
    [
        ({}, "+12125550{:03d}", 10),  # what the number says: New York
        ({"time_zone": "Asia/Kathmandu"}, "+12125550{:03d}", 20),  # its own zone is trusted more
        ({"region": "US-CA"}, "+12125550{:03d}", 7),
        ({"region": "no such"}, "+12125550{:03d}", 12),  # changed by hand since: the installation's
        ({"time_zone": "Mars/Olympus"}, "+12125550{:03d}", 12),
        ({}, SPANISH_MOBILE, 15),  # the first of the zones it may be in
    ],
)
def test_an_attempt_stands_at_the_hour_of_its_lead(
    runtime: Runtime, lead: dict[str, Any], number: str, hour: int
) -> None:
    add_dial(runtime.database, add_lead(runtime.database, number.format(1), **lead), "completed")
    add_dial(runtime.database, add_lead(runtime.database, number.format(2), **lead), "busy")

    rates = make_report(runtime=runtime).answer_rate

    assert rates.by_weekday_and_hour == {5: {hour: Answers(2, 1, 0.5)}}
    assert rates.by_hour[hour] == rates.by_weekday[5] == Answers(2, 1, 0.5)
    assert sum(one.attempts for one in rates.by_hour.values()) == 2
    assert (len(rates.by_hour), len(rates.by_weekday)) == (24, 7)


def test_a_number_that_may_be_in_several_zones_is_read_on_the_campaigns_clock(runtime: Runtime) -> None:
    database = runtime.database
    campaign_id = add_campaign(database, call_settings={"timezone": "Europe/Madrid"})
    add_dial(database, add_lead(database, SPANISH_MOBILE.format(1), campaign_id=campaign_id))

    assert list(make_report(runtime=runtime).answer_rate.by_weekday_and_hour[5]) == [16]


def test_and_otherwise_on_the_clock_of_the_installation(runtime: Runtime) -> None:
    set_config(runtime.database, timezone="Europe/Madrid")
    add_dial(runtime.database, add_lead(runtime.database, SPANISH_MOBILE.format(1)))

    assert list(make_report(runtime=runtime).answer_rate.by_weekday_and_hour[5]) == [16]


# --- what was put off, delays, cost -------------------------------------------------------------


def test_what_was_put_off_is_told_by_cause(runtime: Runtime) -> None:
    database = runtime.database
    add_event(database, "moved", "outside hours: Friday 08:00", lead_id=1)
    add_event(database, "moved", "caps: cap of 3", lead_id=1)
    add_event(database, "moved", "outside hours: Friday 08:00", lead_id=2, at=NOON - DAY)
    plan_call(database, add_lead(database), at=NOON + HOUR, wanted_at=NOON, reason="outside hours: Friday 11:00")

    found = make_report(since=timedelta(hours=1), runtime=runtime).postponed

    assert [(one.cause, one.times, one.leads) for one in found.times] == [("hours", 1, 1), ("caps", 1, 1)]
    assert [(one.cause, one.calls, one.mean_seconds) for one in found.waiting] == [("hours", 1, 3600)]


def test_delays_stand_beside_what_was_planned(runtime: Runtime) -> None:
    database = runtime.database
    set_config(database, busy_delay_hours="0.5")
    for minutes in (30, 30, 30, 30, 300):
        follow(database, add_lead(database), "busy", minutes)

    assert make_report(runtime=runtime).delays == [Delay("busy", 5, 1800, 18_000, 1800)]


def test_delays_that_campaigns_plan_differently_have_no_planned_one(runtime: Runtime) -> None:
    database = runtime.database
    for code, hours in (("slow", 2), ("quick", 1)):
        campaign_id = add_campaign(database, code, call_settings={"retry_delay_hours": hours})
        follow(database, add_lead(database, campaign_id=campaign_id), "invalid_number", 60 * hours)

    assert [one.planned_seconds for one in make_report(runtime=runtime).delays] == [None]
    assert [one.planned_seconds for one in make_report("slow", runtime=runtime).delays] == [7200]


def test_cost_and_minutes_are_told_for_each_lead_reached(runtime: Runtime) -> None:
    database = runtime.database
    for seconds, cost in ((90, "0.10"), (60, "0.05"), (0, "0.01")):
        outcome = "completed" if seconds else "voicemail"
        money = {"talk_seconds": seconds, "cost": Decimal(cost), "cost_unit": "usd"}
        add_dial(database, add_lead(database), outcome, **money)

    spent = make_report(runtime=runtime).spent

    assert (spent.minutes, spent.minutes_per_reached_lead) == (2.5, 1.25)
    assert spent.by_unit == [UnitCost("usd", Decimal("0.1600"), 3, Decimal("0.0800"))]


# --- ETA ----------------------------------------------------------------------------------------


def test_the_end_is_told_at_the_present_pace_and_inside_hours(runtime: Runtime) -> None:
    database = runtime.database
    campaign_id = add_campaign(database, call_settings={"allowed_hours": {"start": "09:00", "end": "13:00"}})
    work(database, campaign_id, closed=30, left=45)

    eta = make_report("batch-1", runtime=runtime).eta

    # Friday noon in Santiago, half an hour of calling behind it: one hour is left today, the rest is on Monday.
    assert (eta.left, eta.held, eta.closed_per_hour, eta.hours_of_calling) == (45, 0, 60, 0.75)
    assert eta.at == NOON + 45 * MINUTE
    set_config(database, working_days="1")
    sql(database, "UPDATE campaigns SET call_settings = NULL")
    monday_9 = NOON + 3 * DAY - 3 * HOUR
    eta = make_report("batch-1", runtime=runtime).eta
    assert eta.at == monday_9 + 45 * MINUTE
    assert eta.method == (
        "leads closed by calls in the last 30 min, going on only inside the hours of campaign batch-1"
    )


def test_leads_without_a_campaign_end_by_the_hours_of_the_installation(runtime: Runtime) -> None:
    work(runtime.database, None, closed=30, left=90)

    eta = make_report(runtime=runtime).eta

    assert eta.at == NOON + 90 * MINUTE
    assert eta.method.endswith("inside the hours of scheduler_config")


def test_everything_ends_by_the_hours_of_the_campaign_that_has_most_left(runtime: Runtime) -> None:
    database = runtime.database
    work(database, None, closed=30, left=1)
    for code, left, status in (("small", 2, "active"), ("large", 3, "active"), ("paused", 4, "paused")):
        work(database, add_campaign(database, code, status=status), closed=1, left=left)
    plan_call(database, add_lead(database), hold="manual")

    eta = make_report(runtime=runtime).eta

    assert (eta.left, eta.held, eta.stopped) == (6, 1, 4)
    assert eta.method.endswith("inside the hours of campaign large")


@pytest.mark.parametrize(
    "change, why",
    [
        ("UPDATE leads SET closed_at = '2026-11-01 00:00:00'", "there is no pace"),
        ("UPDATE campaigns SET status = 'paused'", "5 leads wait in campaigns that are not active"),
        ("UPDATE call_schedule SET hold = 'manual'", "no lead is left to call"),
        ("UPDATE scheduler_config SET config_value = 'yes' WHERE config_key = 'paused'", "everything is paused"),
    ],
)
def test_where_no_end_is_in_sight_the_report_says_why(runtime: Runtime, change: str, why: str) -> None:
    work(runtime.database, add_campaign(runtime.database, call_settings=ALWAYS), closed=3, left=5)
    assert make_report("batch-1", runtime=runtime).eta.at is not None

    sql(runtime.database, change)

    eta = make_report("batch-1", runtime=runtime).eta
    assert eta.at is None
    assert eta.method.startswith("unknown: ") and why in eta.method


def test_an_end_more_than_a_year_away_is_unknown(runtime: Runtime) -> None:
    database = runtime.database
    campaign_id = add_campaign(database, call_settings={"windows": {"mon": [["09:00", "09:01"]]}})
    work(database, campaign_id, closed=1, left=60)

    assert "more than a year" in make_report("batch-1", runtime=runtime).eta.method


# --- on calls of a real daemon ------------------------------------------------------------------


def test_calls_of_a_daemon_are_reported_as_they_went(runtime: Runtime, clock: ManualClock) -> None:
    database, station = runtime.database, Station(runtime)
    good, bad = chilean(), chilean()
    campaign_id = add_campaign(database, call_settings={**ALWAYS, "max_attempts": 2, "retry_delay_hours": 1})
    for number in (good, bad):
        add_due_lead(database, number, campaign_id=campaign_id)
    station.provider.ends(good, "completed", talk_seconds=30)
    station.provider.ends(bad, "no_answer")

    for _ in range(2):
        station.dispatch()
        clock.advance(MINUTE)
        station.follow()
        clock.advance(HOUR)

    found: Report = make_report("batch-1", runtime=runtime)
    assert (found.funnel.called, found.funnel.reached, found.funnel.closed) == (2, 1, 2)
    assert found.funnel.by_outcome == {"no_answer": 2, "completed": 1}
    assert found.funnel.closed_by_reason == {"completed": 1, "max_attempts": 1}
    assert [(one.outcome, one.times, one.planned_seconds) for one in found.delays] == [("no_answer", 1, 3600)]
    assert found.spent.minutes == 0.5


# --- what this file needs -----------------------------------------------------------------------


def follow(database: Any, lead_id: int, outcome: str, minutes: int) -> None:
    """Two rounds: a call that ended so, and another that many minutes after its end."""
    add_dial(database, lead_id, outcome, at=NOON - DAY, number=1)
    add_dial(database, lead_id, "completed", at=NOON - DAY + MINUTE + minutes * MINUTE, number=2)


def work(database: Any, campaign_id: int | None, *, closed: int, left: int) -> None:
    """A campaign that has called for half an hour."""
    for _ in range(closed):
        lead_id = add_lead(
            database, campaign_id=campaign_id, lead_status="closed", closed_reason="completed", closed_at=NOON - MINUTE
        )
    add_dial(database, lead_id, "completed", at=NOON - 30 * MINUTE)
    for _ in range(left):
        plan_call(database, add_lead(database, campaign_id=campaign_id))
