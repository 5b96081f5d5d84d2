from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from scheduler.providers.base import Accepted
from scheduler.store import tables
from tests.conftest import NOON
from tests.factories import (
    DAY,
    HOUR,
    MINUTE,
    Station,
    add_campaign,
    add_due_lead,
    add_lead,
    attempt_of,
    bar,
    broken_promises,
    call_id_of,
    call_of,
    calls_of,
    chilean,
    events_of,
    find,
    find_all,
    lead_of,
    plan_call,
    set_config,
    sql,
)

SECOND = timedelta(seconds=1)
LEASE = timedelta(seconds=60)
MONDAY_9 = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


# --- leases -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("later, state", [(LEASE, "placing"), (LEASE + SECOND, "unknown")])
def test_a_dial_is_unknown_once_its_lease_has_run_out(runtime, database, clock, later, state):
    lead_id, found = died_while_dialing(runtime, database, clock, later)

    assert found.state == state
    assert call_of(database, lead_id).status == "in_progress"


def test_a_dial_whose_lease_ran_out_is_looked_up_at_once_and_never_given_back(runtime, database, clock):
    lead_id, found = died_while_dialing(runtime, database, clock, 2 * LEASE)

    assert found.next_poll_at == clock.now()
    assert "lease" in found.error
    assert find(database, tables.call_schedule, lead_id=lead_id).status == "in_progress"


def test_a_call_that_is_known_stays_live_however_long_ago_its_lease_ran_out(runtime, database, clock):
    station = Station(runtime)
    lead_id = add_due_lead(database)
    station.dispatch()
    sql(database, "UPDATE call_schedule SET lease_token = 'ours', lease_expires_at = '2020-01-01'")

    clock.advance(2 * LEASE)
    station.upkeep()

    assert attempt_of(database, lead_id).state == "live"
    assert station.said("unknown") == []


def test_a_dial_whose_row_was_deleted_becomes_unknown_too(runtime, database, clock):
    seen = []

    def meanwhile(request) -> Accepted:
        sql(database, "DELETE FROM call_schedule")
        clock.advance(5 * MINUTE)
        other.upkeep()
        seen.append(attempt_of(database, lead_id).state)
        return Accepted(call_id_of(request.attempt_ref))

    station, other = Station(runtime), Station(runtime, owner="other")
    lead_id = add_due_lead(database)
    station.provider.answers(None, meanwhile)
    station.dispatch()

    assert seen == ["unknown"]


def test_a_row_put_in_progress_by_hand_waits_again(runtime, database, clock):
    lead_id = add_lead(database)
    plan_call(database, lead_id, status="in_progress", updated_at=NOON)

    clock.advance(3 * MINUTE)
    Station(runtime).upkeep()

    assert call_of(database, lead_id).status == "pending"
    assert broken_promises(database) == {}


def test_a_row_cancelled_by_hand_loses_its_lease_while_its_call_goes_on(runtime, database):
    station = Station(runtime)
    lead_id = add_due_lead(database)
    station.dispatch()
    sql(database, "UPDATE call_schedule SET status = 'cancelled'")

    station.upkeep()

    assert (call_of(database, lead_id).lease_token, attempt_of(database, lead_id).state) == (None, "live")
    assert broken_promises(database) == {}


def test_upkeep_twice_does_nothing_the_second_time(runtime, database, clock):
    station = Station(runtime)
    add_due_lead(database, lead_status="closed")
    add_due_lead(database, lead_status="open", closed_at=NOON)

    first, second = station.upkeep().total, station.upkeep().total

    assert (first > 0, second) == (True, 0)


# --- leads closed and opened by SQL -----------------------------------------------------------------------------


def test_a_lead_closed_by_sql_gets_its_time_and_loses_its_plan(runtime, database):
    lead_id = add_lead(database)
    plan_call(database, lead_id, at=NOON + DAY)
    sql(database, "UPDATE leads SET lead_status = 'closed' WHERE id = :id", id=lead_id)

    Station(runtime).upkeep()

    lead, row = lead_of(database, lead_id), call_of(database, lead_id)
    assert (lead.closed_at, lead.closed_reason) == (NOON, "by_hand")
    assert (row.status, row.reason) == ("cancelled", "the lead was closed")
    assert [one.lead_id for one in events_of(database, "closed_by_hand")] == [lead_id]


def test_a_lead_closed_by_sql_with_a_reason_keeps_it(runtime, database):
    lead_id = add_lead(database, lead_status="closed", closed_reason="moved abroad")

    Station(runtime).upkeep()

    assert lead_of(database, lead_id).closed_reason == "moved abroad"


def test_a_lead_closed_by_sql_with_its_time_loses_its_plan_too(runtime, database):
    lead_id = add_lead(database, lead_status="closed", closed_at=NOON)
    plan_call(database, lead_id, at=NOON + DAY)

    Station(runtime).upkeep()

    assert call_of(database, lead_id).status == "cancelled"


def test_a_call_in_flight_to_a_lead_closed_by_sql_ends_and_nothing_follows(runtime, database, clock):
    station = Station(runtime)
    number = chilean()
    lead_id = add_due_lead(database, number)
    station.dispatch()
    sql(database, "UPDATE leads SET lead_status = 'closed'")
    station.upkeep()
    station.provider.ends(number, "no_answer")

    clock.advance(MINUTE)
    station.follow()

    assert [one.status for one in calls_of(database, lead_id)] == ["completed"]
    assert lead_of(database, lead_id).lead_status == "closed"


@pytest.mark.parametrize("status", ["'open'", "NULL"])
def test_a_lead_opened_again_by_sql_gets_a_new_first_round(runtime, database, status):
    lead_id = add_lead(database, lead_status="closed", closed_at=NOON - DAY, closed_reason="max_attempts")
    plan_call(database, lead_id, status="completed", attempt_number=3, last_outcome="no_answer")
    sql(database, f"UPDATE leads SET lead_status = {status} WHERE id = :id", id=lead_id)
    station = Station(runtime)

    station.upkeep()

    lead, row = lead_of(database, lead_id), call_of(database, lead_id)
    assert (lead.closed_at, lead.closed_reason) == (None, None)
    assert (row.status, row.attempt_number, row.scheduled_at) == ("pending", 1, NOON)
    assert [one.lead_id for one in events_of(database, "opened_by_hand")] == [lead_id]
    assert station.dispatch().dialed == 1


def test_a_lead_opened_again_with_a_plan_of_its_own_gets_no_second_one(runtime, database):
    lead_id = add_lead(database, closed_at=NOON - DAY)
    plan_call(database, lead_id, at=NOON + DAY)

    Station(runtime).upkeep()

    assert [one.scheduled_at for one in calls_of(database, lead_id)] == [NOON + DAY]


def test_a_barred_lead_opened_again_is_not_dialed(runtime, database):
    station = Station(runtime)
    number = chilean()
    lead_id = add_lead(database, number, closed_at=NOON - DAY)
    bar(database, number)

    station.upkeep()
    station.dispatch()

    assert station.provider.dials == []
    assert lead_of(database, lead_id).closed_reason == "do_not_call"


# --- held and released --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "hold, release",
    [
        ("manual_management = TRUE", "manual_management = FALSE"),
        ("manual_management = TRUE", "manual_management = NULL"),
        ("lead_status = 'suspended'", "lead_status = 'open'"),
        ("lead_status = 'suspended'", "lead_status = NULL"),
    ],
)
def test_a_held_lead_is_called_as_soon_as_it_is_free_again(runtime, database, clock, hold, release):
    station = Station(runtime)
    lead_id = add_due_lead(database)
    sql(database, f"UPDATE leads SET {hold}")
    station.dispatch()
    while_held = call_of(database, lead_id)
    station.upkeep()

    sql(database, f"UPDATE leads SET {release}")
    clock.advance(MINUTE)
    report = station.upkeep()
    station.dispatch()

    assert (while_held.status, while_held.scheduled_at) == ("pending", NOON + HOUR)
    assert report.released == 1
    assert call_of(database, lead_id).hold is None
    assert attempt_of(database, lead_id).state == "live"


def test_a_lead_that_stays_held_is_looked_at_again_and_said_once(runtime, database, clock):
    station = Station(runtime)
    lead_id = add_due_lead(database, manual_management=True)

    for _ in range(3):
        station.dispatch()
        clock.set(call_of(database, lead_id).scheduled_at)

    assert len(station.said("held")) == 1
    assert call_of(database, lead_id).wanted_at == NOON


def test_a_lead_taken_over_while_it_was_called_is_not_called_again(runtime, database, clock):
    station = Station(runtime)
    number = chilean()
    lead_id = add_due_lead(database, number)
    station.dispatch()
    sql(database, "UPDATE leads SET manual_management = TRUE")
    station.provider.ends(number, "busy")
    clock.advance(MINUTE)
    station.follow()

    clock.advance(4 * HOUR)
    station.dispatch()

    assert len(station.provider.dials) == 1
    assert (call_of(database, lead_id).attempt_number, call_of(database, lead_id).hold) == (2, "manual")


# --- changed rules --------------------------------------------------------------------------------------------------


def test_hours_that_are_widened_bring_waiting_calls_forward(runtime, database, clock):
    station = Station(runtime)
    clock.set(datetime(2026, 11, 21, 15, 0, tzinfo=UTC))  # a Saturday
    lead_id = add_due_lead(database, at=clock.now() - HOUR)
    station.upkeep()
    station.dispatch()
    waiting = call_of(database, lead_id).scheduled_at

    set_config(database, working_days="1,2,3,4,5,6")
    report = station.upkeep()
    station.dispatch()

    assert waiting == MONDAY_9
    assert report.replanned == 1
    assert attempt_of(database, lead_id).state == "live"


def test_a_waiting_call_that_a_person_moved_stays_where_they_put_it(runtime, database, clock):
    station = Station(runtime)
    clock.set(datetime(2026, 11, 21, 15, 0, tzinfo=UTC))  # a Saturday
    lead_id = add_due_lead(database, at=clock.now() - HOUR)
    station.upkeep()
    station.dispatch()
    sql(database, "UPDATE call_schedule SET scheduled_at = '2026-11-25 15:30:00.000000'")

    set_config(database, working_days="1,2,3,4,5,6")
    report = station.upkeep()

    assert report.replanned == 0
    assert call_of(database, lead_id).scheduled_at == datetime(2026, 11, 25, 15, 30, tzinfo=UTC)


def test_hours_that_are_narrowed_hold_calls_back(runtime, database):
    station = Station(runtime)
    lead_id = add_due_lead(database)
    station.upkeep()

    set_config(database, working_hours_end="11:00")
    station.upkeep()
    station.dispatch()

    assert station.provider.dials == []
    assert call_of(database, lead_id).scheduled_at == MONDAY_9


def test_hours_widened_and_narrowed_again_dial_nobody(runtime, database, clock):
    station = Station(runtime)
    clock.set(datetime(2026, 11, 20, 23, 30, tzinfo=UTC))  # Friday 20:30 in Santiago
    lead_id = add_due_lead(database, at=clock.now())
    for closing in ("20:00", "23:00", "20:00"):
        set_config(database, working_hours_end=closing, max_concurrent_calls="0")
        station.upkeep()

    set_config(database, max_concurrent_calls="20")
    station.dispatch()

    assert station.provider.dials == []
    assert call_of(database, lead_id).scheduled_at == MONDAY_9


def test_the_hours_of_one_campaign_move_its_calls_alone(runtime, database, clock):
    station = Station(runtime)
    clock.set(datetime(2026, 11, 21, 15, 0, tzinfo=UTC))
    eager, calm = add_campaign(database, "eager"), add_campaign(database, "calm")
    leads = [add_due_lead(database, campaign_id=one, at=clock.now()) for one in (eager, calm)]
    station.upkeep()
    station.dispatch()

    sql(database, "UPDATE campaigns SET call_settings = '{\"days_of_week\": [6, 7]}' WHERE id = :id", id=eager)
    station.upkeep()

    assert [call_of(database, one).scheduled_at for one in leads] == [clock.now(), MONDAY_9]


def test_a_call_that_could_never_be_placed_is_planned_once_hours_exist_again(runtime, database):
    station = Station(runtime)
    campaign_id = add_campaign(database, call_settings={"windows": {}})
    lead_id = add_due_lead(database, campaign_id=campaign_id)
    station.upkeep()
    station.dispatch()
    assert call_of(database, lead_id).hold == "never"

    sql(database, "UPDATE campaigns SET call_settings = NULL")
    station.upkeep()

    assert (call_of(database, lead_id).hold, call_of(database, lead_id).scheduled_at) == (None, NOON)


def test_a_call_nobody_moved_stays_where_it_was_planned(runtime, database):
    station = Station(runtime)
    lead_id = add_lead(database)
    plan_call(database, lead_id, at=NOON + 2 * HOUR)
    station.upkeep()

    set_config(database, default_delay_hours="1")
    station.upkeep()

    assert call_of(database, lead_id).scheduled_at == NOON + 2 * HOUR


def test_rules_in_force_are_written_down_once_per_change(runtime, database):
    station, other = Station(runtime), Station(runtime)
    for each in (station, other, station):
        each.upkeep()
    before = len(find_all(database, tables.rule_versions))

    set_config(database, ring_timeout="40")
    for each in (station, other, station):
        each.upkeep()

    assert (before, len(find_all(database, tables.rule_versions))) == (1, 2)


# --- campaigns -----------------------------------------------------------------------------------------------------


def test_a_campaign_with_nothing_left_to_call_is_completed_and_goes_on_with_new_rows(runtime, database, clock):
    station = Station(runtime)
    number = chilean()
    campaign_id = add_campaign(database)
    add_due_lead(database, number, campaign_id=campaign_id)
    station.dispatch()
    station.upkeep()
    in_flight = campaign(database, campaign_id)
    station.provider.ends(number, "completed")
    clock.advance(MINUTE)
    station.follow()
    station.upkeep()
    done = campaign(database, campaign_id)

    lead_id = add_due_lead(database, campaign_id=campaign_id)
    station.upkeep()
    station.dispatch()

    assert (in_flight.status, in_flight.started_at) == ("active", NOON)
    assert (done.status, done.completed_at) == ("completed", clock.now())
    assert (campaign(database, campaign_id).status, campaign(database, campaign_id).completed_at) == ("active", None)
    assert attempt_of(database, lead_id).state == "live"


def test_a_campaign_that_has_not_begun_is_not_completed(runtime, database):
    campaign_id = add_campaign(database)

    Station(runtime).upkeep()

    assert campaign(database, campaign_id).status == "active"


def test_a_campaign_whose_leads_are_held_is_not_completed(runtime, database):
    campaign_id = add_campaign(database, started_at=NOON - DAY)
    add_due_lead(database, campaign_id=campaign_id, manual_management=True)

    Station(runtime).upkeep()

    assert campaign(database, campaign_id).status == "active"


@pytest.mark.parametrize("columns", [{"lead_status": "suspended"}, {"manual_management": True}])
def test_a_campaign_whose_leads_wait_for_people_is_not_completed(runtime, database, columns):
    station = Station(runtime)
    campaign_id = add_campaign(database, started_at=NOON - DAY)
    add_due_lead(database, campaign_id=campaign_id, **columns)

    station.dispatch()
    station.upkeep()

    assert [one.hold for one in find_all(database, tables.call_schedule)] != [None]
    assert campaign(database, campaign_id).status == "active"


def test_a_campaign_whose_leads_were_all_closed_without_a_call_is_completed(runtime, database):
    station = Station(runtime)
    campaign_id = add_campaign(database)
    leads = [add_due_lead(database, campaign_id=campaign_id, at=NOON + DAY) for _ in range(2)]
    close(database, leads[0])
    station.upkeep()
    with_one_open = campaign(database, campaign_id).status

    close(database, leads[1])
    station.upkeep()

    assert with_one_open == "active"
    found = campaign(database, campaign_id)
    assert (found.status, found.status_reason, found.started_at) == ("completed", "nothing is left to call", None)


def test_a_paused_campaign_with_nothing_left_stays_paused(runtime, database):
    campaign_id = add_campaign(database, status="paused", started_at=NOON - DAY)

    Station(runtime).upkeep()

    assert campaign(database, campaign_id).status == "paused"


@pytest.mark.parametrize("created_at", [NOON - DAY, NOON + MINUTE])
def test_rows_that_come_into_a_completed_campaign_are_called_whenever_they_were_made(runtime, database, created_at):
    """An import that began before the campaign was completed, a lead that was moved here: none may be lost."""
    station = Station(runtime)
    campaign_id = add_campaign(database, status="completed", completed_at=NOON, started_at=NOON - DAY)
    lead_id = add_lead(database, campaign_id=campaign_id)
    plan_call(database, lead_id, created_at=created_at)

    station.upkeep()
    station.dispatch()

    assert attempt_of(database, lead_id).state == "live"


def test_a_campaign_completed_by_a_person_stays_so_and_its_rows_are_cancelled(runtime, database):
    station = Station(runtime)
    campaign_id = add_campaign(database, status="completed")
    lead_id = add_due_lead(database, campaign_id=campaign_id)

    station.upkeep()

    assert campaign(database, campaign_id).status == "completed"
    assert call_of(database, lead_id).status == "cancelled"


# --- the last date to call ------------------------------------------------------------------------------------------


YESTERDAY, TODAY = date(2026, 11, 19), date(2026, 11, 20)
OVER_EVERYWHERE = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize("status", ["active", "paused"])
def test_a_campaign_past_its_last_date_closes_what_waits_and_completes(runtime, database, clock, status):
    station = Station(runtime)
    campaign_id = add_campaign(database, status=status, fecha_limite=TODAY)
    leads = [
        add_due_lead(database, campaign_id=campaign_id, at=NOON + 3 * DAY),
        add_due_lead(database, campaign_id=campaign_id, at=NOON + 3 * DAY, lead_status="suspended"),
        add_due_lead(database, campaign_id=campaign_id, at=NOON + 3 * DAY, manual_management=True),
    ]
    elsewhere = add_due_lead(database, at=NOON + 3 * DAY)

    clock.set(OVER_EVERYWHERE - SECOND)
    station.upkeep()
    before = {lead_of(database, one).lead_status for one in leads}
    clock.set(OVER_EVERYWHERE)
    report = station.upkeep()
    station.upkeep()

    assert before == {"open", "suspended"}
    assert report.closed_in_campaigns == 3
    assert {lead_of(database, one).closed_reason for one in leads} == {"deadline"}
    assert {call_of(database, one).status for one in leads} == {"cancelled"}
    assert {one.lead_id for one in events_of(database, "lead_closed")} == set(leads)
    found = campaign(database, campaign_id)
    assert (found.status, found.status_reason) == ("completed", "deadline: the last date to call was 2026-11-20")
    assert lead_of(database, elsewhere).lead_status == "open"


def test_a_campaign_whose_last_leads_the_gate_closed_says_it_was_the_deadline(runtime, database):
    station = Station(runtime)
    campaign_id = add_campaign(database, fecha_limite=YESTERDAY, started_at=NOON - DAY)
    lead_id = add_due_lead(database, campaign_id=campaign_id)

    station.dispatch()
    station.upkeep()

    assert station.provider.dials == []
    assert lead_of(database, lead_id).closed_reason == "deadline"
    assert campaign(database, campaign_id).status_reason == "deadline: the last date to call was 2026-11-19"


def test_a_campaign_that_was_done_in_time_does_not_speak_of_its_deadline(runtime, database):
    campaign_id = add_campaign(database, fecha_limite=TODAY, started_at=NOON - DAY)

    Station(runtime).upkeep()

    assert campaign(database, campaign_id).status_reason == "nothing is left to call"


def test_a_call_in_flight_at_the_deadline_ends_before_the_campaign_does(runtime, database, clock):
    station = Station(runtime)
    number = chilean()
    campaign_id = add_campaign(database, fecha_limite=TODAY)
    lead_id = add_due_lead(database, number, campaign_id=campaign_id)
    station.dispatch()
    sql(database, "UPDATE campaigns SET fecha_limite = '2026-11-10'")
    station.upkeep()
    while_live = campaign(database, campaign_id).status
    station.provider.ends(number, "no_answer")

    clock.advance(MINUTE)
    station.follow()
    station.upkeep()

    assert while_live == "active"
    assert lead_of(database, lead_id).closed_reason == "deadline"
    assert campaign(database, campaign_id).status == "completed"


def test_a_lead_that_was_moved_to_another_campaign_does_not_end_with_the_old_one(runtime, database, clock):
    station = Station(runtime)
    old, new = add_campaign(database, "old", fecha_limite=YESTERDAY), add_campaign(database, "new")
    lead_id = add_due_lead(database, campaign_id=old, at=NOON + 5 * DAY)
    sql(database, "UPDATE leads SET campaign_id = :new", new=new)

    station.upkeep()

    assert (lead_of(database, lead_id).lead_status, call_of(database, lead_id).campaign_id) == ("open", new)
    assert call_of(database, lead_id).status == "pending"


# --- cancelled by SQL -----------------------------------------------------------------------------------------------


def test_a_campaign_cancelled_by_sql_closes_its_leads(runtime, database):
    station = Station(runtime)
    campaign_id = add_campaign(database)
    leads = [
        add_due_lead(database, campaign_id=campaign_id),
        add_due_lead(database, campaign_id=campaign_id, lead_status="suspended"),
        add_lead(database, campaign_id=campaign_id),
    ]
    sql(database, "UPDATE campaigns SET status = 'cancelled'")

    station.upkeep()
    second = station.upkeep().total

    assert {lead_of(database, one).closed_reason for one in leads} == {"campaign_cancelled"}
    assert {one.status for one in find_all(database, tables.call_schedule)} == {"cancelled"}
    assert campaign(database, campaign_id).completed_at == NOON
    assert second == 0


def test_a_lead_planned_into_a_cancelled_campaign_by_sql_is_closed_too(runtime, database):
    station = Station(runtime)
    campaign_id = add_campaign(database, status="cancelled", completed_at=NOON - DAY)
    lead_id = add_due_lead(database, campaign_id=campaign_id)

    station.upkeep()

    assert (lead_of(database, lead_id).closed_reason, call_of(database, lead_id).status) == (
        "campaign_cancelled", "cancelled",
    )


# --- what this file needs -------------------------------------------------------------------------------------------


def close(database, lead_id: int) -> None:
    sql(database, "UPDATE leads SET lead_status = 'closed' WHERE id = :id", id=lead_id)


def died_while_dialing(runtime, database, clock, later: timedelta):
    """A lead whose dial never came back, and its attempt as upkeep of another daemon left it `later`."""
    found = []

    def never_comes_back(request) -> Accepted:
        clock.advance(later)
        other.upkeep()
        found.append(attempt_of(database, lead_id))
        return Accepted(call_id_of(request.attempt_ref))

    station, other = Station(runtime), Station(runtime, owner="other")
    lead_id = add_due_lead(database)
    station.provider.answers(None, never_comes_back)
    station.dispatch()
    return lead_id, found[0]


def campaign(database, campaign_id: int):
    return find(database, tables.campaigns, id=campaign_id)
