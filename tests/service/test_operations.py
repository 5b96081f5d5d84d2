from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from scheduler.errors import Conflict, InvalidSettings, InvalidValue, NotFound, ProviderError
from scheduler.model import Outcome
from scheduler.providers.base import CallReport, Phase, Unanswered
from scheduler.service import operations
from scheduler.store import tables
from tests.conftest import NOON, sqlite_suffices
from tests.factories import (
    DAY,
    HOUR,
    MINUTE,
    ScriptedProvider,
    Station,
    add_campaign,
    add_due_lead,
    add_lead,
    attempt_of,
    attempts_of,
    bar,
    broken_promises,
    call_of,
    calls_of,
    chilean,
    config_of,
    events_of,
    find,
    find_all,
    lead_of,
    plan_call,
    set_config,
    sql,
    with_providers,
)

MONTH = timedelta(days=31)


# --- leads ----------------------------------------------------------------------------------------------------


def test_a_lead_is_added_with_its_numbers_and_a_first_call(runtime, database):
    campaign_id = add_campaign(database, "spring")

    lead_id = operations.add_lead(
        "Ana", "Soto", ["9 1234 5678", "+34 911 23 45 67"], campaign="spring", region="cl-rm", priority=3,
        call_until=date(2026, 12, 1), variables={"debt": 120}, runtime=runtime,
    )

    lead, row = lead_of(database, lead_id), call_of(database, lead_id)
    assert (lead.nombre, lead.telefono, lead.campaign_id, lead.region) == ("Ana", "+56912345678", campaign_id, "CL-RM")
    assert (lead.priority, lead.fecha_limite, lead.variables) == (3, date(2026, 12, 1), {"debt": 120})
    phones = find_all(database, tables.lead_phones, lead_id=lead_id)
    assert [(one.position, one.telefono) for one in phones] == [(1, "+56912345678"), (2, "+34911234567")]
    assert (row.status, row.scheduled_at, row.attempt_number, row.campaign_id) == ("pending", NOON, 1, campaign_id)


@sqlite_suffices
@pytest.mark.parametrize(
    "at, planned",
    [
        (NOON + HOUR, NOON + HOUR),
        (datetime.fromisoformat("2026-11-23T10:00"), datetime(2026, 11, 23, 9, 0, tzinfo=UTC)),  # ten in Madrid
    ],
)
def test_a_first_call_may_be_at_an_instant_or_at_the_leads_own_time_of_day(runtime, database, at, planned):
    lead_id = operations.add_lead("Eva", None, ["+34911234567"], at=at, runtime=runtime)

    assert call_of(database, lead_id).scheduled_at == planned


@sqlite_suffices
@pytest.mark.parametrize(
    "values, error, says",
    [
        ({"phones": []}, InvalidValue, "at least one number"),
        ({"phones": ["12"]}, InvalidValue, "too few digits"),
        ({"time_zone": "Chile"}, InvalidValue, "time_zone"),
        ({"region": "Chile"}, InvalidValue, "ISO code"),
        ({"campaign": "nowhere"}, NotFound, "no campaign nowhere"),
        ({"campaign": "dead"}, Conflict, "cancelled"),
    ],
)
def test_a_lead_that_could_not_be_called_is_not_added(runtime, database, values, error, says):
    add_campaign(database, "dead", status="cancelled")

    with pytest.raises(error, match=says):
        operations.add_lead(**{"first_name": "A", "last_name": None, "phones": [chilean()], **values}, runtime=runtime)

    assert find_all(database, tables.leads) == []


def test_closing_a_lead_cancels_its_plan(runtime, database):
    lead_id = add_due_lead(database)

    operations.close_lead(lead_id, reason="paid", runtime=runtime)

    assert (lead_of(database, lead_id).closed_reason, lead_of(database, lead_id).closed_at) == ("paid", NOON)
    assert call_of(database, lead_id).status == "cancelled"
    assert [one.reason for one in events_of(database, "lead_closed")] == ["paid"]
    with pytest.raises(Conflict, match=f"lead {lead_id} is closed already \\(paid\\)"):
        operations.close_lead(lead_id, runtime=runtime)


def test_a_lead_closed_while_it_is_called_gets_nothing_more(runtime, database, clock):
    station = Station(runtime)
    number = chilean()
    lead_id = add_due_lead(database, number)
    station.dispatch()

    operations.close_lead(lead_id, runtime=runtime)
    station.provider.ends(number, "no_answer")
    clock.advance(MINUTE)
    station.follow()

    assert [one.status for one in calls_of(database, lead_id)] == ["completed"]
    assert broken_promises(database) == {}


def test_a_reopened_lead_gets_a_new_first_round_and_keeps_its_history(runtime, database):
    lead_id = add_lead(database, lead_status="closed", closed_at=NOON - DAY, call_attempts_count=3)
    plan_call(database, lead_id, attempt_number=3, status="completed", last_outcome="busy")

    operations.reopen_lead(lead_id, runtime=runtime)

    row = call_of(database, lead_id)
    assert (row.status, row.attempt_number, row.scheduled_at) == ("pending", 1, NOON)
    assert (lead_of(database, lead_id).lead_status, lead_of(database, lead_id).call_attempts_count) == ("open", 3)


def test_a_barred_lead_is_not_reopened(runtime, database):
    number = chilean()
    lead_id = add_lead(database, number, lead_status="closed", closed_at=NOON)
    bar(database, number)

    with pytest.raises(Conflict, match="do-not-call list"):
        operations.reopen_lead(lead_id, runtime=runtime)

    assert lead_of(database, lead_id).lead_status == "closed"


def test_a_suspended_lead_waits_and_goes_on_where_it_was(runtime, database):
    station = Station(runtime)
    lead_id = add_due_lead(database, attempt_number=2)

    operations.suspend_lead(lead_id, runtime=runtime)
    station.dispatch()
    suspended = call_of(database, lead_id)
    operations.reopen_lead(lead_id, runtime=runtime)
    station.dispatch()

    assert suspended.hold == "suspended"
    assert [one.attempt_number for one in attempts_of(database, lead_id)] == [2]


def test_a_lead_that_is_not_open_cannot_be_suspended_nor_an_open_one_reopened(runtime, database):
    closed, open_one = add_lead(database, lead_status="closed", closed_at=NOON), add_lead(database)

    with pytest.raises(Conflict):
        operations.suspend_lead(closed, runtime=runtime)
    with pytest.raises(Conflict):
        operations.reopen_lead(open_one, runtime=runtime)


@sqlite_suffices
@pytest.mark.parametrize(
    "act",
    [
        lambda runtime: operations.close_lead(4711, runtime=runtime),
        lambda runtime: operations.reopen_lead(4711, runtime=runtime),
        lambda runtime: operations.suspend_lead(4711, runtime=runtime),
        lambda runtime: operations.schedule_call(4711, runtime=runtime),
        lambda runtime: operations.cancel_scheduled_calls_for_lead(4711, "x", runtime=runtime),
        lambda runtime: operations.reschedule_failed_call(4711, "busy", runtime=runtime),
        lambda runtime: operations.record_call(4711, "busy", runtime=runtime),
        lambda runtime: operations.hang_up_call(4711, runtime=runtime),
        lambda runtime: operations.resolve_call(4711, "busy", runtime=runtime),
    ],
)
def test_what_does_not_exist_is_said_so(runtime, act):
    with pytest.raises(NotFound, match="4711"):
        act(runtime)


# --- plans ----------------------------------------------------------------------------------------------------


def test_a_call_planned_by_hand_replaces_what_was_planned_and_keeps_the_round(runtime, database):
    lead_id = add_lead(database)
    old = plan_call(database, lead_id, at=NOON + DAY, attempt_number=2)

    row_id = operations.schedule_call(lead_id, at=NOON + HOUR, runtime=runtime)

    row = call_of(database, lead_id)
    assert (row.id, row.status, row.attempt_number, row.scheduled_at) == (row_id, "pending", 2, NOON + HOUR)
    assert find(database, tables.call_schedule, id=old).status == "cancelled"


@pytest.mark.parametrize(
    "status, outcome, number", [("completed", "busy", 2), ("cancelled", None, 1)]
)
def test_a_call_planned_by_hand_counts_on_from_the_last_one(runtime, database, status, outcome, number):
    lead_id = add_lead(database)
    plan_call(database, lead_id, status=status, last_outcome=outcome)

    operations.schedule_call(lead_id, runtime=runtime)

    assert call_of(database, lead_id).attempt_number == number


def test_a_lead_that_is_being_called_or_closed_is_not_planned(runtime, database):
    station = Station(runtime)
    lead_id = add_due_lead(database)
    station.dispatch()

    with pytest.raises(Conflict, match="being called right now"):
        operations.schedule_call(lead_id, runtime=runtime)
    with pytest.raises(Conflict, match="reopen it first"):
        operations.schedule_call(add_lead(database, lead_status="closed"), runtime=runtime)


def test_cancelling_says_how_many_rows_it_was(runtime, database):
    lead_id = add_lead(database)
    plan_call(database, lead_id, at=NOON + DAY)

    first = operations.cancel_scheduled_calls_for_lead(lead_id, "wrong person", runtime=runtime)
    second = operations.cancel_scheduled_calls_for_lead(lead_id, "wrong person", runtime=runtime)

    assert (first, second) == (1, 0)
    assert (call_of(database, lead_id).status, call_of(database, lead_id).reason) == ("cancelled", "wrong person")
    assert len(events_of(database, "schedule_cancelled")) == 1


def test_cancelling_leaves_a_call_in_flight_alone(runtime, database):
    station = Station(runtime)
    lead_id = add_due_lead(database)
    station.dispatch()

    assert operations.cancel_scheduled_calls_for_lead(lead_id, "x", runtime=runtime) == 0
    assert call_of(database, lead_id).status == "in_progress"


@pytest.mark.parametrize("waiting", [True, False])
def test_a_failed_call_is_planned_again_by_its_outcome(runtime, database, waiting):
    set_config(database, busy_delay_hours="0.5")
    lead_id = add_lead(database)
    if waiting:
        plan_call(database, lead_id)
    else:
        plan_call(database, lead_id, status="completed", last_outcome="busy")

    assert operations.reschedule_failed_call(lead_id, "busy", runtime=runtime) is True

    row = call_of(database, lead_id)
    assert (row.status, row.attempt_number, row.scheduled_at) == ("pending", 2, NOON + HOUR / 2)
    assert attempts_of(database, lead_id) == []


@pytest.mark.parametrize(
    "outcome, attempt_number, closed",
    [
        ("no_answer", 3, "max_attempts"),
        ("completed", 1, "completed"),
        ("do_not_call", 1, "do_not_call"),
        ("invalid_number", 1, "invalid_number"),
    ],
)
def test_a_call_after_which_nothing_follows_closes_the_lead(runtime, database, outcome, attempt_number, closed):
    lead_id = add_due_lead(database, attempt_number=attempt_number)

    assert operations.reschedule_failed_call(lead_id, outcome, runtime=runtime) is False

    assert lead_of(database, lead_id).closed_reason == closed
    assert call_of(database, lead_id).status == "cancelled"
    assert operations.reschedule_failed_call(lead_id, outcome, runtime=runtime) is False


def test_a_person_who_asked_another_system_not_to_be_called_is_barred_here(runtime, database):
    number = chilean()
    lead_id = add_due_lead(database, number)

    operations.reschedule_failed_call(lead_id, "do_not_call", runtime=runtime)

    assert [one.telefono for one in find_all(database, tables.do_not_call)] == [number]


def test_a_number_found_invalid_by_another_system_is_passed_over(runtime, database):
    lead_id = add_due_lead(database, chilean(), chilean())

    assert operations.reschedule_failed_call(lead_id, "invalid_number", runtime=runtime) is True

    assert call_of(database, lead_id).phone_position == 2
    assert [one.status for one in find_all(database, tables.lead_phones, lead_id=lead_id)] == ["invalid", "active"]


def test_a_call_in_flight_is_not_planned_again_by_others(runtime, database):
    station = Station(runtime)
    lead_id = add_due_lead(database)
    station.dispatch()

    with pytest.raises(Conflict, match="its end decides"):
        operations.reschedule_failed_call(lead_id, "busy", runtime=runtime)


def test_a_call_recorded_by_hand_is_the_doing_of_the_command_line(runtime, database):
    lead_id = add_due_lead(database)

    follows = operations.record_call(lead_id, "busy", runtime=runtime)

    assert "called again" in follows
    assert [one.actor for one in events_of(database, "call_recorded")] == ["cli"]


# --- calls ----------------------------------------------------------------------------------------------------


def test_a_live_call_is_hung_up_and_asked_about_at_once(runtime, database):
    station = Station(runtime)
    number = chilean()
    lead_id = add_due_lead(database, number)
    station.dispatch()
    one = attempt_of(database, lead_id)

    said = operations.hang_up_call(one.id, runtime=station.runtime)
    station.provider.ends(number, "hang_up")
    station.follow()

    assert station.provider.hung_up == [one.provider_call_id]
    assert "was hung up" in said
    assert attempt_of(database, lead_id).outcome == "hang_up"


def test_a_call_that_cannot_be_hung_up_is_said_so(runtime, database):
    station = Station(runtime)
    lead_id = add_due_lead(database)
    station.dispatch()
    station.provider.trouble = ProviderError("the provider is closed")

    with pytest.raises(Conflict, match="the provider is closed"):
        operations.hang_up_call(attempt_of(database, lead_id).id, runtime=station.runtime)
    station.provider.trouble = None
    sql(database, "UPDATE call_attempts SET state = 'unknown', provider_call_id = NULL")
    with pytest.raises(Conflict, match="no live call"):
        operations.hang_up_call(attempt_of(database, lead_id).id, runtime=station.runtime)


def test_an_unknown_call_is_resolved_by_a_person_who_knows(runtime, database):
    station = Station(runtime)
    lead_id = add_due_lead(database)
    station.provider.answers(None, Unanswered("timed out"))
    station.dispatch()
    one = attempt_of(database, lead_id)

    follows = operations.resolve_call(one.id, "no_answer", runtime=runtime)

    assert "attempt 2 of 3" in follows
    assert (attempt_of(database, lead_id).state, attempt_of(database, lead_id).outcome) == ("ended", "no_answer")
    assert call_of(database, lead_id).attempt_number == 2
    assert broken_promises(database) == {}
    with pytest.raises(Conflict, match="only live and unknown"):
        operations.resolve_call(one.id, "busy", runtime=runtime)


def test_a_live_call_that_a_person_resolves_is_hung_up_first(runtime, database):
    station = Station(runtime)
    lead_id = add_due_lead(database)
    station.dispatch()
    one = attempt_of(database, lead_id)

    operations.resolve_call(one.id, "completed", runtime=station.runtime)

    assert station.provider.hung_up == [one.provider_call_id]
    assert lead_of(database, lead_id).closed_reason == "completed"


# --- campaigns and settings -----------------------------------------------------------------------------------


def test_a_campaign_is_created_active_with_a_public_code(runtime, database):
    code = operations.create_campaign(
        "Autumn", call_settings='{"max_attempts": 2}', priority=4, runtime=with_scripted(runtime)
    )

    row = find(database, tables.campaigns, code=code)
    assert code.startswith("batch-20261120-")
    assert (row.name, row.status, row.priority, row.call_settings) == ("Autumn", "active", 4, {"max_attempts": 2})


@sqlite_suffices
@pytest.mark.parametrize(
    "values, error",
    [
        ({"name": " "}, InvalidValue),
        ({"call_settings": '{"max_attempts": 0}'}, InvalidSettings),
        ({"call_settings": "{"}, InvalidSettings),
        ({"provider": "twilo"}, InvalidValue),
        ({"code": "taken"}, Conflict),
    ],
)
def test_a_campaign_that_could_not_be_dialed_is_not_created(runtime, database, values, error):
    add_campaign(database, "taken")

    with pytest.raises(error):
        operations.create_campaign(**{"name": "Autumn", **values}, runtime=with_scripted(runtime))

    assert len(find_all(database, tables.campaigns)) == 1


def test_a_call_that_we_hang_up_is_no_wish_of_somebody_else_however_soon_its_end_is_told(runtime, database):
    class Prompt(ScriptedProvider):
        """Tells of the end before it has answered who asked for it."""

        def hang_up(self, call_id: str) -> bool:
            known = super().hang_up(call_id)
            station.hears("end", CallReport("", Phase.ENDED, outcome=Outcome.CANCELLED, provider_status="canceled"),
                          ref=attempt_of(database, lead_id).attempt_ref, call_id=call_id)
            station.turn_inbox()
            return known

    provider = Prompt("simulator")
    station = Station(runtime, provider)
    lead_id = add_due_lead(database)
    station.dispatch()

    operations.hang_up_call(attempt_of(database, lead_id).id, runtime=station.runtime)

    assert attempt_of(database, lead_id).outcome == "cancelled"
    assert lead_of(database, lead_id).lead_status == "open"


def test_a_setting_is_changed_and_the_change_recorded(runtime, database):
    operations.set_config("busy_delay_hours", "0.5", runtime=runtime)

    assert config_of(database, "busy_delay_hours") == "0.5"
    assert [one.reason for one in events_of(database, "config_set")] == ["busy_delay_hours: '' -> '0.5'"]


@sqlite_suffices
@pytest.mark.parametrize(
    "key, value",
    [("working_hours_start", "25:00"), ("working_hours_end", "08:00"), ("working_days", ""), ("worknig_days", "1")],
)
def test_a_setting_that_could_not_be_used_is_refused_and_nothing_written(runtime, database, key, value):
    before = find_all(database, tables.scheduler_config)

    with pytest.raises(InvalidValue):
        operations.set_config(key, value, runtime=runtime)

    assert find_all(database, tables.scheduler_config) == before


def test_a_setting_whose_row_was_deleted_is_written_again(runtime, database):
    sql(database, "DELETE FROM scheduler_config WHERE config_key = 'ring_timeout'")

    operations.set_config("ring_timeout", "25", runtime=runtime)

    assert config_of(database, "ring_timeout") == "25"


# --- tidying --------------------------------------------------------------------------------------------------


def test_cleanup_cancels_rows_of_closed_leads_and_deletes_old_cancelled_ones(runtime, database):
    closed = add_lead(database, lead_status="closed", closed_at=NOON - DAY)
    plan_call(database, closed, at=NOON + DAY)
    old, recent = add_lead(database), add_lead(database)
    plan_call(database, old, status="cancelled", created_at=NOON - MONTH)
    plan_call(database, recent, status="cancelled", created_at=NOON - 29 * DAY)
    plan_call(database, old, status="completed", last_outcome="busy", created_at=NOON - MONTH)
    orphan = plan_call(database, 999_999, at=NOON + DAY)

    dry = operations.cleanup(dry_run=True, runtime=runtime)
    untouched = len(find_all(database, tables.call_schedule))
    done = operations.cleanup(runtime=runtime)

    assert dry == done
    assert (done.closed_lead_rows, done.deleted_rows, done.orphan_rows) == (1, 1, 1)
    assert done.orphan_examples == (orphan,)
    assert untouched == 5
    assert call_of(database, closed).status == "cancelled"
    assert [one.status for one in calls_of(database, old)] == ["completed"]
    assert call_of(database, recent) is not None
    assert call_of(database, 999_999).status == "pending"


def test_attempts_outlive_the_rows_that_cleanup_deletes(runtime, database):
    station = Station(runtime)
    lead_id = add_due_lead(database)
    station.dispatch()
    sql(database, "UPDATE call_schedule SET status = 'cancelled', created_at = '2020-01-01'")

    operations.cleanup(runtime=runtime)

    assert (call_of(database, lead_id), attempt_of(database, lead_id).state) == (None, "live")


def test_rows_of_closed_leads_are_cancelled_however_many(runtime, database):
    for _ in range(3):
        plan_call(database, add_lead(database, lead_status="closed", closed_at=NOON), at=NOON + DAY)
    plan_call(database, add_lead(database), at=NOON + DAY)

    first = operations.cleanup_closed_leads_schedules(runtime=runtime)

    assert (first, operations.cleanup_closed_leads_schedules(runtime=runtime)) == (3, 0)


# --- what this file needs -------------------------------------------------------------------------------------


def with_scripted(runtime):
    return with_providers(runtime, {"scripted": ScriptedProvider()}, "scripted")
