"""Three campaigns with rules of their own in one database, on a virtual clock: over a weekend and a clock change."""

from __future__ import annotations

import itertools
import random
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import func, select

from scheduler.clock import ManualClock
from scheduler.providers.network import SimulatedNetwork, parse_mix
from scheduler.providers.simulator import Simulator
from scheduler.store import tables
from tests.factories import (
    HOUR,
    MINUTE,
    Station,
    add_campaign,
    add_lead,
    broken_promises,
    find_all,
    plan_call,
    sql,
    with_settings,
)

# Chile puts its clocks forward on Sunday 6 September 2026 at 00:00; Argentina never does.
FRIDAY_EVENING = datetime(2026, 9, 4, 21, 0, tzinfo=UTC)
SANTIAGO, BUENOS_AIRES = ZoneInfo("America/Santiago"), ZoneInfo("America/Argentina/Buenos_Aires")
SECOND = timedelta(seconds=1)

URGENT = {
    "allowed_hours": {"start": "09:00", "end": "20:00"}, "days_of_week": [1, 2, 3, 4, 5, 6], "max_attempts": 5,
    "retry_delay_hours": 2, "ring_timeout": 20, "max_call_duration": 120, "max_concurrent_calls": 4,
}
SURVEY = {
    "allowed_call_hours": {"start": "10:00", "end": "18:00"}, "days_of_week": [2, 3, 4],
    "retry_settings": {"max_attempts": 2, "retry_delay_hours": 48}, "max_concurrent_calls": 3,
}
ARGENTINE = {
    "windows": {"mon-fri": [["09:00", "13:00"], ["16:00", "20:00"]], "sat": [["09:00", "13:00"]]},
    "timezone": "America/Argentina/Buenos_Aires", "max_attempts": 3,
    "outcomes": {"busy": {"delay_hours": 0.25}}, "caps": [{"max": 2, "per": {"days": 1}, "by": "phone"}],
}


# A week of ticks; what differs between engines has tests of its own.
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.timeout(240)
def test_each_campaign_keeps_its_own_hours_delays_and_limits(runtime, database, clock: ManualClock):
    clock.set(FRIDAY_EVENING)
    chance = random.Random(7)
    ids = {
        "urgent": add_campaign(database, "urgent", call_settings=URGENT, priority=5),
        "survey": add_campaign(database, "survey", call_settings=SURVEY),
        "argentine": add_campaign(database, "argentine", call_settings=ARGENTINE),
    }
    for name, prefix in (("urgent", "+5691234"), ("survey", "+5698765"), ("argentine", "+5491123")):
        for number in range(20):
            digits = f"{number:04d}" if name != "argentine" else f"{number + 456_000:06d}"
            lead_id = add_lead(database, f"{prefix}{digits}", campaign_id=ids[name])
            plan_call(database, lead_id, at=FRIDAY_EVENING + chance.random() * HOUR)
    station = on_quiet_network(runtime, clock)

    most = live_through(station, database, clock, ids)

    attempts = defaultdict(list)
    for one in find_all(database, tables.call_attempts):
        if one.state == "ended":
            attempts[one.campaign_id].append(one)
    assert all(len(attempts[one]) >= 20 for one in ids.values())
    for one in attempts[ids["urgent"]]:
        local = at_of(one).astimezone(SANTIAGO)
        assert local.isoweekday() <= 6 and 9 <= local.hour < 20, local
    for one in attempts[ids["survey"]]:
        local = at_of(one).astimezone(SANTIAGO)
        assert local.isoweekday() in (2, 3, 4) and 10 <= local.hour < 18, local
    for one in attempts[ids["argentine"]]:
        local = at_of(one).astimezone(BUENOS_AIRES)
        assert local.isoweekday() <= 6, local
        assert 9 <= local.hour < 13 or (16 <= local.hour < 20 and local.isoweekday() <= 5), local
    assert gaps(attempts[ids["urgent"]]) >= 2 * HOUR
    assert gaps(attempts[ids["survey"]]) >= 48 * HOUR
    assert max(Counter(one.lead_id for one in attempts[ids["urgent"]]).values()) == 5
    assert max(Counter(one.lead_id for one in attempts[ids["survey"]]).values()) <= 2
    a_day = Counter((one.telefono, at_of(one).astimezone(BUENOS_AIRES).date()) for one in attempts[ids["argentine"]])
    assert max(a_day.values()) <= 2
    assert most[ids["urgent"]] == 4 and most[ids["survey"]] <= 3
    assert broken_promises(database) == {}
    assert {one.status for one in find_all(database, tables.campaigns)} == {"completed"}
    saturday = [one for one in attempts[ids["urgent"]] if at_of(one).astimezone(SANTIAGO).isoweekday() == 6]
    assert saturday, "the urgent campaign called on Saturday, the day before the clocks went forward"


def test_outside_hours_the_reason_names_the_moment_and_the_opening(runtime, database, clock: ManualClock):
    clock.set(datetime(2026, 11, 21, 18, 0, tzinfo=UTC))  # a Saturday, 15:00 in Santiago
    lead_id = add_lead(database, "+56912345678", campaign_id=add_campaign(database, call_settings={
        "allowed_hours": {"start": "09:00", "end": "18:00"}, "days_of_week": [1, 2, 3, 4, 5],
    }))
    plan_call(database, lead_id, at=clock.now())

    Station(runtime).dispatch()

    [row] = find_all(database, tables.call_schedule)
    assert row.reason == "outside hours: Saturday 15:00 in America/Santiago; opens Monday 09:00"
    assert row.scheduled_at == datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def test_settings_edited_by_sql_in_mid_run_act_at_the_next_tick(runtime, database, clock: ManualClock):
    clock.set(datetime(2026, 11, 20, 15, 0, tzinfo=UTC))  # a Friday, 12:00 in Santiago
    campaign_id = add_campaign(database, call_settings=URGENT)
    for number in range(6):
        plan_call(database, add_lead(database, f"+5691234567{number}", campaign_id=campaign_id), at=clock.now())
    station = Station(runtime)
    station.upkeep()
    station.dispatch()
    assert len(station.provider.dials) == 4
    assert {one.ring_timeout for one in station.provider.dials} == {20 * SECOND}

    sql(database, "UPDATE campaigns SET call_settings = :text", text='{"max_concurrent_calls": 5, "ring_timeout": 11, '
                  '"windows": {"all": [["00:00", "24:00"]]}}')
    station.dispatch()
    assert [one.ring_timeout for one in station.provider.dials[4:]] == [11 * SECOND]
    sql(database, "UPDATE campaigns SET call_settings = :text", text='{"max_concurrent_calls": "many"}')
    station.upkeep()
    station.dispatch()

    assert len(station.provider.dials) == 5, "the last good settings stay in force"
    assert any("max_concurrent_calls" in line for line in station.said("settings_refused"))


def test_a_live_call_past_the_maximum_of_its_campaign_is_hung_up_and_ended(runtime, database, clock: ManualClock):
    number = "+56912345678"
    lead_id = add_lead(database, number, campaign_id=add_campaign(database, call_settings={
        "ring_timeout": 15, "max_call_duration": 60, "windows": {"all": [["00:00", "24:00"]]},
    }))
    plan_call(database, lead_id, at=clock.now())
    station = Station(runtime)
    station.dispatch()
    assert station.provider.dials[0].max_duration == MINUTE

    clock.advance(100 * SECOND)
    station.follow()
    assert station.provider.hung_up == [], "ring time-out, maximum and half a minute of grace are not over"
    clock.advance(30 * SECOND)
    station.follow()
    assert len(station.provider.hung_up) == 1
    station.provider.ends(number, "completed", talk_seconds=80)
    clock.advance(MINUTE)
    station.follow()

    [attempt] = find_all(database, tables.call_attempts)
    assert (attempt.state, attempt.outcome) == ("ended", "completed")


# --- living ---------------------------------------------------------------------------------------------


def on_quiet_network(runtime, clock) -> Station:
    network = SimulatedNetwork(
        seed=3, ring=10 * SECOND, talk=30 * SECOND, callback_after=90 * MINUTE,
        mix=parse_mix("completed=10,no_answer=60,busy=20,voicemail=10"),
    )
    return Station(with_settings(runtime, poll_every=30.0), Simulator(network, clock))


def live_through(station: Station, database, clock, ids) -> Counter:
    """Turn the loops until nothing is left. Returns the most calls at once of each campaign."""
    most: Counter = Counter()
    for turn in range(4000):
        if turn % 3 == 0:
            station.upkeep()
        station.dispatch()
        for campaign_id in ids.values():
            live = len(find_all(database, tables.call_attempts, campaign_id=campaign_id, state="live"))
            most[campaign_id] = max(most[campaign_id], live)
        station.follow()
        coming = next_instant(database)
        if coming is None:
            station.upkeep()
            return most
        clock.set(max(coming, clock.now()) + SECOND)
    raise AssertionError("it never ends")


def next_instant(database) -> datetime | None:
    planned, polled = tables.call_schedule.c, tables.call_attempts.c
    with database.engine.connect() as connection:
        found = [
            connection.execute(select(func.min(planned.scheduled_at)).where(planned.status == "pending")).scalar(),
            connection.execute(
                select(func.min(polled.next_poll_at)).where(polled.state.in_(("live", "unknown")))
            ).scalar(),
        ]
    return min((at for at in found if at is not None), default=None)


def at_of(attempt) -> datetime:
    return attempt.claimed_at.replace(tzinfo=UTC)


def gaps(attempts) -> timedelta:
    """The shortest time between two calls of one lead."""
    by_lead = defaultdict(list)
    for one in sorted(attempts, key=lambda one: one.id):
        by_lead[one.lead_id].append(at_of(one))
    return min(
        (later - earlier for calls in by_lead.values() for earlier, later in itertools.pairwise(calls)),
        default=timedelta.max,
    )
