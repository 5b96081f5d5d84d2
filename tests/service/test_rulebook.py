from __future__ import annotations

import pytest

from scheduler.model import Outcome
from scheduler.service.rulebook import RuleBook
from tests.conftest import NOON, sqlite_suffices
from tests.factories import (
    HOUR,
    MINUTE,
    Station,
    add_campaign,
    add_due_lead,
    attempts_of,
    call_of,
    chilean,
    events_of,
    set_config,
    sql,
)

BAD_CONFIG = [
    ("working_hours_start", "25:00"),
    ("working_hours_end", "08:00"),
    ("working_days", ""),
    ("working_days", "0,1"),
    ("timezone", "America/Santigo"),
    ("holidays", "XX"),
    ("default_delay_hours", "-1"),
    ("default_max_attempts", "three"),
    ("max_concurrent_calls", "many"),
    ("lease_seconds", "0"),
]
BAD_SETTINGS = [
    '{"max_attempts": 0}', '{"max_atempts": 3}', '{"timezone": "Chile"}', "[]",
    '{"caps": [{"max": 0, "per": {"hours": 1}}]}',
]


@sqlite_suffices
@pytest.mark.parametrize("key, value", BAD_CONFIG)
def test_a_bad_value_keeps_the_last_good_one_and_says_so(runtime, database, key, value):
    station = Station(runtime)
    station.upkeep()
    before = station_policy(station).fingerprint

    set_config(database, **{key: value})
    report = station.upkeep()
    add_due_lead(database)

    assert station_policy(station).fingerprint == before
    assert report.replanned == 0
    assert station.dispatch().dialed == 1
    assert any("last good value stays in force" in line for line in station.said("settings_refused"))
    assert any(key in event.reason for event in events_of(database, "settings_refused"))
    assert all(event.details == {"last_good_value_kept": True} for event in events_of(database, "settings_refused"))


@sqlite_suffices
@pytest.mark.parametrize("key, value", BAD_CONFIG)
def test_a_restart_does_not_lose_the_last_good_value(runtime, database, key, value):
    set_config(database, ring_timeout="45")
    Station(runtime).upkeep()
    set_config(database, **{key: value})

    restarted = Station(runtime)
    add_due_lead(database)
    restarted.dispatch()

    assert restarted.provider.dials[0].ring_timeout.total_seconds() == 45


@sqlite_suffices
@pytest.mark.parametrize("key, value", BAD_CONFIG[:4])
def test_with_no_good_value_ever_seen_nothing_is_dialed(runtime, database, key, value):
    set_config(database, **{key: value})
    station = Station(runtime)
    lead_id = add_due_lead(database)
    add_due_lead(database, campaign_id=add_campaign(database))

    station.upkeep()
    report = station.dispatch()

    assert (report.taken, station.provider.dials) == (0, [])
    assert call_of(database, lead_id).scheduled_at == NOON
    assert any("nothing is dialed by it" in line for line in station.said("settings_refused"))


def test_dialing_begins_as_soon_as_the_value_is_mended(runtime, database):
    set_config(database, working_days="")
    station = Station(runtime)
    add_due_lead(database)
    station.dispatch()

    set_config(database, working_days="1,2,3,4,5,6,7")

    assert station.dispatch().dialed == 1


def test_a_problem_is_an_event_and_a_complaint_once_however_often_upkeep_looks(runtime, database):
    station = Station(runtime)
    station.upkeep()
    set_config(database, timezone="Chile")

    for _ in range(3):
        station.upkeep()

    assert len(events_of(database, "settings_refused")) == 1
    assert len(station.said("settings_refused")) == 1


def test_a_deleted_row_falls_to_the_built_in_value(runtime, database):
    sql(database, "DELETE FROM scheduler_config")
    station = Station(runtime)
    add_due_lead(database, "+56911111111", time_zone="America/Santiago")

    assert station.dispatch().dialed == 1
    assert station_policy(station).delay(Outcome.BUSY).source == "built-in"


def test_a_rule_changed_by_sql_acts_at_the_next_tick(runtime, database, clock):
    station = Station(runtime)
    number = chilean()
    lead_id = add_due_lead(database, number)
    station.dispatch()
    set_config(database, no_answer_delay_hours="1")
    station.provider.ends(number, "no_answer")

    clock.advance(MINUTE)
    station.follow()

    assert call_of(database, lead_id).scheduled_at == clock.now() + HOUR


@pytest.mark.parametrize("bad", BAD_SETTINGS)
def test_a_campaign_whose_settings_were_never_good_is_not_dialed_and_stops_nobody(runtime, database, bad):
    station = Station(runtime)
    bad_lead = add_due_lead(database, campaign_id=add_campaign(database, "bad", call_settings=bad))
    add_due_lead(database, campaign_id=add_campaign(database, "good"))

    station.upkeep()
    report = station.dispatch()

    assert (report.dialed, attempts_of(database, bad_lead)) == (1, [])
    assert call_of(database, bad_lead).scheduled_at == NOON
    [event] = events_of(database, "settings_refused")
    assert "campaign bad" in event.reason


@pytest.mark.parametrize("bad", BAD_SETTINGS)
@pytest.mark.parametrize("restarted", [False, True])
def test_a_campaign_keeps_its_last_good_settings(runtime, database, bad, restarted):
    campaign_id = add_campaign(database, call_settings={"ring_timeout": 17})
    station = Station(runtime)
    station.upkeep()
    sql(database, "UPDATE campaigns SET call_settings = :bad", bad=bad)

    station = Station(runtime) if restarted else station
    add_due_lead(database, campaign_id=campaign_id)
    station.dispatch()

    assert [one.ring_timeout.total_seconds() for one in station.provider.dials] == [17]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # a MySQL column of type JSON takes no broken text
def test_text_that_is_no_json_is_refused_like_any_other_bad_value(runtime, database):
    lead_id = add_due_lead(database, campaign_id=add_campaign(database, call_settings='{"max_attempts": '))

    assert Station(runtime).dispatch().taken == 0
    assert attempts_of(database, lead_id) == []


def test_two_readers_of_the_same_rows_agree_on_the_fingerprint(runtime, database):
    campaign_id = add_campaign(database, call_settings={"windows": {"all": [["00:00", "24:00"]]}, "max_attempts": 2})

    one, other = (
        database.read(lambda connection: RuleBook().read_for(connection, {campaign_id})) for _ in range(2)
    )

    assert one.policy(campaign_id).fingerprint == other.policy(campaign_id).fingerprint
    assert one.policy(campaign_id).fingerprint != one.policy(None).fingerprint


# --- what this file needs -----------------------------------------------------------------------------------------


def station_policy(station: Station):
    return station.runtime.database.read(lambda connection: station.rulebook.read(connection)).policy(None)
