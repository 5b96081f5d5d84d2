from __future__ import annotations

import threading
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from scheduler.errors import Conflict, InvalidValue, NotFound
from scheduler.model import Outcome
from scheduler.providers.base import CallReport, Phase, Unanswered
from scheduler.service.outcomes import End, apply_ends, process_call_result
from scheduler.service.rulebook import RuleBook
from scheduler.store import tables
from tests.conftest import NOON, sqlite_suffices
from tests.factories import (
    DAY,
    HOUR,
    MINUTE,
    Station,
    add_campaign,
    add_due_lead,
    add_lead,
    attempt_of,
    attempts_of,
    bar,
    broken_promises,
    call_id_of,
    call_of,
    calls_of,
    ended_at_once,
    events_of,
    find_all,
    lead_of,
    plan_call,
    set_config,
    sql,
)
from tests.waiting import BACKSTOP

SECOND = timedelta(seconds=1)
ONE, TWO = ("+56911111111",), ("+56911111111", "+56922222222")
PHONES = {1: ONE, 2: TWO}
RETRIED = ("no_answer", "busy", "hang_up", "voicemail", "failed")


# --- the table: what follows an outcome -----------------------------------------------------------------

TABLE = [
    # outcome, phones, phone dialed, attempt; then the next row (attempt, phone, hours later) or why it is closed
    ("completed", 1, 1, 1, "completed"),
    ("completed", 2, 1, 2, "completed"),
    ("do_not_call", 1, 1, 1, "do_not_call"),
    ("do_not_call", 2, 1, 1, "do_not_call"),
    ("invalid_number", 1, 1, 1, "invalid_number"),
    ("invalid_number", 2, 1, 1, (1, 2, 0)),
    ("invalid_number", 2, 2, 1, (2, 1, 4)),
    ("invalid_number", 2, 2, 3, "max_attempts"),
    ("callback", 1, 1, 1, (2, 1, 4)),
    ("callback", 1, 1, 3, (4, 1, 4)),
    ("callback", 2, 2, 2, (3, 2, 4)),
    *[
        row
        for outcome in RETRIED
        for row in [
            (outcome, 1, 1, 1, (2, 1, 4)),
            (outcome, 1, 1, 3, "max_attempts"),
            (outcome, 2, 1, 1, (1, 2, 0)),
            (outcome, 2, 2, 1, (2, 1, 4)),
            (outcome, 2, 1, 3, (3, 2, 0)),
            (outcome, 2, 2, 3, "max_attempts"),
        ]
    ],
]


@sqlite_suffices
@pytest.mark.parametrize("outcome, phones, phone, attempt, follows", TABLE)
def test_what_follows_an_outcome(runtime, database, outcome, phones, phone, attempt, follows):
    lead_id = call_that_ends(runtime, database, outcome, phones=PHONES[phones], phone=phone, attempt=attempt)

    lead, rows = lead_of(database, lead_id), calls_of(database, lead_id)
    assert (rows[0].status, rows[0].last_outcome, rows[0].lease_token) == ("completed", outcome, None)
    assert [(one.state, one.outcome) for one in attempts_of(database, lead_id)] == [("ended", outcome)]
    assert lead.call_attempts_count == 1
    if isinstance(follows, str):
        assert (lead.lead_status, lead.closed_reason, lead.closed_at) == ("closed", follows, NOON)
        assert len(rows) == 1
    else:
        number, position, hours = follows
        assert lead.lead_status == "open"
        assert (rows[1].status, rows[1].attempt_number, rows[1].phone_position) == ("pending", number, position)
        assert rows[1].scheduled_at == NOON + hours * HOUR
        assert rows[1].reason
    assert broken_promises(database) == {}


@sqlite_suffices
@pytest.mark.parametrize(
    "outcome, call_status",
    [
        ("completed", "completed"), ("callback", "completed"), ("do_not_call", "completed"), ("busy", "busy"),
        ("no_answer", "no_answer"), ("hang_up", "hang_up"), ("voicemail", "voicemail"), ("failed", "error"),
        ("invalid_number", "error"),
    ],
)  # fmt: skip
def test_operators_see_the_outcome_in_call_status(runtime, database, outcome, call_status):
    assert lead_of(database, call_that_ends(runtime, database, outcome)).call_status == call_status


def test_everything_that_the_provider_said_is_kept(runtime, database):
    lead_id = call_that_ends(
        runtime, database, "completed", provider_status="ended-fine", answered_at=NOON - MINUTE,
        ended_at=NOON - 5 * SECOND, talk_seconds=55, cost=Decimal("0.1234"), cost_unit="USD", summary="Pays on Monday.",
        details={"sentiment": "warm"},
    )

    one = attempt_of(database, lead_id)
    assert (one.provider_status, one.talk_seconds, one.summary) == ("ended-fine", 55, "Pays on Monday.")
    assert (one.answered_at, one.ended_at) == (NOON - MINUTE, NOON - 5 * SECOND)
    assert (one.cost, one.cost_unit, one.details) == (Decimal("0.1234"), "USD", {"sentiment": "warm"})
    assert one.next_poll_at is None


def test_an_appointment_closes_the_lead_and_keeps_its_date(runtime, database):
    booked = datetime(2026, 11, 25, 14, 30, tzinfo=UTC)

    lead = lead_of(database, call_that_ends(runtime, database, "completed", appointment_at=booked))

    assert (lead.closed_reason, lead.appointment_at) == ("appointment", booked)


def test_do_not_call_puts_the_number_on_the_list(runtime, database):
    call_that_ends(runtime, database, "do_not_call", phones=TWO, phone=2)

    [listed] = find_all(database, tables.do_not_call)
    assert (listed.telefono, listed.expires_at) == ("+56922222222", None)


def test_do_not_call_makes_a_bar_that_would_expire_last(runtime, database):
    station = Station(runtime)
    lead_id = add_due_lead(database, *ONE)
    station.dispatch()
    bar(database, ONE[0], expires_at=NOON + DAY)

    end(station, lead_id, "do_not_call")

    assert [one.expires_at for one in find_all(database, tables.do_not_call)] == [None]


def test_an_invalid_number_is_marked_for_this_lead(runtime, database):
    lead_id = call_that_ends(runtime, database, "invalid_number", phones=TWO)

    assert [one.status for one in find_all(database, tables.lead_phones, lead_id=lead_id)] == ["invalid", "active"]


def test_an_invalid_number_of_a_lead_written_by_hand_is_marked_too(runtime, database):
    station = Station(runtime)
    lead_id = add_due_lead(database, *ONE)
    sql(database, "DELETE FROM lead_phones")
    station.provider.answers(None, ended_at_once("invalid_number"))

    station.dispatch()

    [phone] = find_all(database, tables.lead_phones, lead_id=lead_id)
    assert (phone.position, phone.telefono, phone.status) == (1, ONE[0], "invalid")


def test_a_number_corrected_by_sql_is_tried_again(runtime, database):
    station = Station(runtime)
    lead_id = call_that_ends(runtime, database, "invalid_number")
    sql(database, "UPDATE leads SET telefono = '+56933333333', lead_status = 'open', closed_at = NULL")
    plan_call(database, lead_id)

    station.dispatch()

    assert station.provider.numbers == ["+56933333333"]


# --- one maximum in all, and delays by outcome ------------------------------------------------------------


def test_a_mix_of_outcomes_has_one_maximum(runtime, database, clock):
    station = Station(runtime)
    lead_id = add_due_lead(database, *ONE)
    station.provider.answers(None, *[ended_at_once(one) for one in ("busy", "no_answer", "voicemail", "hang_up")])

    for _ in range(4):
        station.dispatch()
        clock.set(max(clock.now(), call_of(database, lead_id).scheduled_at))

    assert [one.outcome for one in attempts_of(database, lead_id)] == ["busy", "no_answer", "voicemail"]
    assert [one.attempt_number for one in attempts_of(database, lead_id)] == [1, 2, 3]
    assert lead_of(database, lead_id).closed_reason == "max_attempts"
    assert lead_of(database, lead_id).call_attempts_count == 3


@sqlite_suffices
@pytest.mark.parametrize(
    "config, call_settings, hours",
    [
        ({}, None, 4),
        ({"default_delay_hours": "2"}, None, 2),
        ({"default_delay_hours": "2", "busy_delay_hours": "0.5"}, None, 0.5),
        ({"busy_delay_hours": "0.5"}, {"retry_delay_hours": 1}, 1),
        ({"busy_delay_hours": "0.5"}, {"retry_settings": {"retry_delay_hours": 1}}, 1),
        ({}, {"retry_delay_hours": 1, "outcomes": {"busy": {"delay_hours": 3}}}, 3),
        ({}, {"retry_delay_hours": 1, "outcomes": {"no_answer": {"delay_hours": 3}}}, 1),
        ({}, {"outcomes": {"busy": {"delay_hours": 0}}}, 0),
    ],
)
def test_the_delay_is_that_of_the_first_who_has_one(runtime, database, config, call_settings, hours):
    set_config(database, **config)
    campaign_id = add_campaign(database, call_settings=call_settings)

    lead_id = call_that_ends(runtime, database, "busy", campaign_id=campaign_id)

    assert call_of(database, lead_id).scheduled_at == NOON + hours * HOUR


@sqlite_suffices
@pytest.mark.parametrize(
    "config, call_settings, last",
    [
        ({}, None, 3),
        ({"default_max_attempts": "2"}, None, 2),
        ({"default_max_attempts": "2", "busy_max_attempts": "5"}, None, 5),
        ({"busy_max_attempts": "5"}, {"max_attempts": 4}, 4),
        ({"busy_max_attempts": "5"}, {"retry_settings": {"max_attempts": 4}}, 4),
        ({}, {"max_attempts": 4, "outcomes": {"busy": {"max_attempts": 6}}}, 6),
        ({}, {"max_attempts": 4, "outcomes": {"voicemail": {"max_attempts": 1}}}, 4),
    ],
)
def test_the_maximum_is_that_of_the_first_who_has_one(runtime, database, config, call_settings, last):
    set_config(database, **config)
    campaign_id = add_campaign(database, call_settings=call_settings)
    station = Station(runtime)
    columns = {"campaign_id": campaign_id, "call_status": "busy"}
    going_on = add_due_lead(database, attempt_number=last - 1, **columns)
    at_the_end = add_due_lead(database, attempt_number=last, **columns)
    station.provider.answers(None, *[ended_at_once("busy")] * 2)

    station.dispatch()

    assert lead_of(database, going_on).lead_status == "open"
    assert lead_of(database, at_the_end).closed_reason == "max_attempts"


def test_a_retry_outside_hours_waits_for_the_next_working_morning(runtime, database):
    set_config(database, default_delay_hours="9")  # Friday 21:00 in Santiago

    row = call_of(database, call_that_ends(runtime, database, "no_answer"))

    assert row.scheduled_at == datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
    assert row.wanted_at == NOON + 9 * HOUR
    assert "Monday" in row.reason


def test_the_second_phone_waits_for_its_own_hours(runtime, database):
    # It is noon in Santiago, and Friday 16:00 in Madrid: five hours later only one of them is awake.
    set_config(database, working_hours_end="15:00")

    row = call_of(database, call_that_ends(runtime, database, "no_answer", phones=(ONE[0], "+34911234567")))

    assert (row.attempt_number, row.phone_position) == (1, 2)
    assert row.scheduled_at == datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


def test_a_retry_after_the_last_date_to_call_closes_the_lead(runtime, database):
    set_config(database, default_delay_hours="24")

    lead_id = call_that_ends(runtime, database, "no_answer", fecha_limite=date(2026, 11, 20))

    assert lead_of(database, lead_id).closed_reason == "deadline"


def test_a_lead_whose_hours_never_open_again_is_held_not_lost(runtime, database, clock):
    station = Station(runtime)
    lead_id = add_due_lead(database, *ONE, campaign_id=add_campaign(database))
    station.dispatch()
    sql(database, "UPDATE campaigns SET call_settings = '{\"windows\": {}}'")

    end(station, lead_id, "no_answer")

    row = call_of(database, lead_id)
    assert (row.status, row.hold) == ("pending", "never")
    assert "never" in row.reason
    assert broken_promises(database) == {}


def test_a_lead_whose_zone_was_broken_meanwhile_is_held_not_lost(runtime, database):
    station = Station(runtime)
    lead_id = add_due_lead(database)
    station.dispatch()
    sql(database, "UPDATE leads SET time_zone = 'Santiago'")

    end(station, lead_id, "no_answer")

    assert (call_of(database, lead_id).status, call_of(database, lead_id).hold) == ("pending", "error")
    assert broken_promises(database) == {}


# --- callbacks ---------------------------------------------------------------------------------------------


@sqlite_suffices
@pytest.mark.parametrize(
    "wish, zone, planned, moved",
    [
        # Santiago is three hours behind UTC; open 09:00 to 20:00, Monday to Friday.
        ("2026-11-20T18:30", None, "2026-11-20T21:30", False),
        ("2026-11-23T09:00", None, "2026-11-23T12:00", False),
        ("2026-11-20T20:00", None, "2026-11-23T12:00", True),
        ("2026-11-21T11:00", None, "2026-11-23T12:00", True),
        ("2026-11-20T08:00", None, "2026-11-20T19:00", False),  # that time has passed: after the usual delay
        ("2026-11-20T18:30", "Europe/Madrid", "2026-11-20T17:30", False),
        ("2026-11-20T03:00", "Asia/Tokyo", "2026-11-20T19:00", False),
        ("2026-11-21T09:00", "Asia/Tokyo", "2026-11-23T12:00", True),
    ],
)
def test_a_callback_is_a_promise_kept_inside_hours(runtime, database, wish, zone, planned, moved):
    lead_id = call_that_ends(runtime, database, "callback", callback_at=wall(wish), callback_zone=zone)

    row = call_of(database, lead_id)
    assert (row.status, bool(row.promise), row.attempt_number) == ("pending", True, 2)
    assert f"{row.scheduled_at:%Y-%m-%dT%H:%M}" == planned
    assert (row.wanted_at is not None) == moved
    assert "callback asked for" in row.reason


def test_a_promise_is_kept_even_when_the_attempts_are_over(runtime, database, clock):
    station = Station(runtime)
    lead_id = call_that_ends(
        runtime, database, "callback", attempt=3, callback_at=wall("2026-11-20T15:00"), station=station
    )

    clock.advance(3 * HOUR)
    station.dispatch()

    assert [one.state for one in attempts_of(database, lead_id)] == ["ended", "live"]
    assert call_of(database, lead_id).attempt_number == 4


def test_promises_too_come_to_an_end(runtime, database, clock):
    station = Station(runtime)
    lead_id = add_due_lead(database)
    station.provider.answers(None, *[ended_at_once("callback")] * 9)

    for _ in range(9):
        station.dispatch()
        clock.set(max(clock.now(), call_of(database, lead_id).scheduled_at))

    assert len(attempts_of(database, lead_id)) == 6
    assert lead_of(database, lead_id).closed_reason == "max_attempts"


def test_a_barred_number_is_not_the_next_phone(runtime, database):
    station = Station(runtime)
    lead_id = add_due_lead(database, *TWO)
    station.dispatch()
    bar(database, TWO[1])

    end(station, lead_id, "no_answer")

    row = call_of(database, lead_id)
    assert (row.attempt_number, row.phone_position, row.scheduled_at) == (2, 1, NOON + 4 * HOUR)


def test_a_callback_in_a_zone_that_does_not_exist_is_held_not_lost(runtime, database):
    lead_id = call_that_ends(
        runtime, database, "callback", callback_at=wall("2026-11-20T18:00"), callback_zone="Chile/Capital"
    )

    row = call_of(database, lead_id)
    assert (row.status, row.hold) == ("pending", "error")
    assert "Chile/Capital" in row.reason


# --- words, doubles, late truths ------------------------------------------------------------------------------


def test_an_unknown_word_is_a_failure_that_keeps_the_word(runtime, database):
    station = Station(runtime)

    lead_id = call_that_ends(
        runtime, database, "failed", provider_status="ghosted", known_word=False, station=station
    )

    one = attempt_of(database, lead_id)
    assert (one.outcome, one.provider_status, one.details) == ("failed", "ghosted", {"known_word": False})
    assert lead_of(database, lead_id).lead_status == "open"
    assert any("'ghosted'" in line for line in station.said("unknown_word"))


def test_an_end_without_an_outcome_counts_as_failed(runtime, database):
    station = Station(runtime)
    lead_id = add_due_lead(database)
    station.dispatch()

    end(station, lead_id, None)

    assert attempt_of(database, lead_id).outcome == "failed"


def test_a_report_that_comes_twice_changes_nothing(runtime, database):
    station = Station(runtime)
    lead_id = add_due_lead(database)
    station.dispatch()

    first, second = end(station, lead_id, "no_answer"), end(station, lead_id, "no_answer")

    assert (first.changed, second.changed) == (1, 0)
    assert lead_of(database, lead_id).lead_status == "open"
    assert lead_of(database, lead_id).call_attempts_count == 1
    assert len(calls_of(database, lead_id)) == 2


def test_a_report_that_comes_to_four_at_once_is_applied_once(runtime, database):
    station = Station(runtime)
    leads = [add_due_lead(database) for _ in range(5)]
    station.dispatch()
    start = threading.Barrier(4)
    changed = []

    def apply() -> None:
        ends = [end_of(database, lead_id, "no_answer") for lead_id in leads]
        start.wait(BACKSTOP)
        changed.append(apply_all(station, ends).changed)

    threads = [threading.Thread(target=apply) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(BACKSTOP)

    assert sorted(changed) == [0, 0, 0, 5]
    assert all(len(calls_of(database, lead_id)) == 2 for lead_id in leads)
    assert all(lead_of(database, lead_id).call_attempts_count == 1 for lead_id in leads)
    assert broken_promises(database) == {}


def test_many_ends_are_written_each_with_its_own_values(runtime, database):
    set_config(database, max_concurrent_calls="1000")
    station = Station(runtime, places=50)
    outcomes = ["completed", "no_answer", "busy", "do_not_call", "invalid_number", "callback"]
    leads = {add_due_lead(database): outcomes[number % len(outcomes)] for number in range(36)}
    station.dispatch_until_quiet()

    applied = apply_all(station, [end_of(database, one, outcome) for one, outcome in leads.items()])

    assert applied.changed == len(leads)
    assert {one: attempt_of(database, one).outcome for one in leads} == leads
    assert broken_promises(database) == {}


def test_a_call_whose_row_was_cancelled_meanwhile_is_recorded_and_plans_nothing(runtime, database):
    station = Station(runtime)
    lead_id = add_due_lead(database)
    station.dispatch()
    sql(database, "UPDATE call_schedule SET status = 'cancelled'")

    end(station, lead_id, "no_answer")

    assert [one.status for one in calls_of(database, lead_id)] == ["cancelled"]
    assert attempt_of(database, lead_id).outcome == "no_answer"
    assert lead_of(database, lead_id).call_attempts_count == 1
    assert lead_of(database, lead_id).lead_status == "open"
    assert broken_promises(database) == {}


def test_a_success_on_a_cancelled_row_closes_the_lead_and_its_new_plan(runtime, database):
    station = Station(runtime)
    lead_id = add_due_lead(database)
    station.dispatch()
    sql(database, "UPDATE call_schedule SET status = 'cancelled'")
    plan_call(database, lead_id, at=NOON + HOUR)

    end(station, lead_id, "completed")

    assert lead_of(database, lead_id).closed_reason == "completed"
    assert [one.status for one in calls_of(database, lead_id)] == ["cancelled", "cancelled"]


def test_a_call_whose_row_was_deleted_meanwhile_is_recorded(runtime, database):
    station = Station(runtime)
    lead_id = add_due_lead(database)
    station.dispatch()
    sql(database, "DELETE FROM call_schedule")

    end(station, lead_id, "busy")

    assert attempt_of(database, lead_id).outcome == "busy"


def test_a_call_whose_lead_was_deleted_meanwhile_is_recorded(runtime, database):
    station = Station(runtime)
    lead_id = add_due_lead(database)
    station.dispatch()
    sql(database, "DELETE FROM leads")

    end(station, lead_id, "do_not_call")

    assert attempt_of(database, lead_id).outcome == "do_not_call"
    assert call_of(database, lead_id).status == "completed"
    assert len(find_all(database, tables.do_not_call)) == 1


def test_a_lead_closed_while_it_was_called_stays_closed(runtime, database):
    station = Station(runtime)
    lead_id = add_due_lead(database)
    station.dispatch()
    sql(database, "UPDATE leads SET lead_status = 'closed', closed_reason = 'paid', closed_at = :now", now="2026-11-20")

    end(station, lead_id, "no_answer")

    assert lead_of(database, lead_id).closed_reason == "paid"
    assert [one.status for one in calls_of(database, lead_id)] == ["completed"]


@pytest.mark.parametrize(
    "outcome, closed", [("completed", "completed"), ("do_not_call", "do_not_call"), ("busy", None)]
)
def test_a_truth_that_comes_late_is_recorded_and_makes_no_second_row(runtime, database, clock, outcome, closed):
    station = Station(runtime)
    lead_id = add_due_lead(database, *ONE)
    give_up(station, clock)
    assert attempt_of(database, lead_id).state == "refused"

    end(station, lead_id, outcome, call_id="found-after-all")

    one = attempt_of(database, lead_id)
    assert (one.state, one.outcome, one.provider_call_id) == ("ended", outcome, "found-after-all")
    assert lead_of(database, lead_id).closed_reason == closed
    assert lead_of(database, lead_id).call_attempts_count == 1
    assert len(calls_of(database, lead_id)) == 1
    assert call_of(database, lead_id).status == ("cancelled" if closed else "pending")
    assert [found.attempt_id for found in events_of(database, "late_truth")] == [one.id]
    assert broken_promises(database) == {}


def test_a_late_truth_that_comes_twice_is_recorded_once(runtime, database, clock):
    station = Station(runtime)
    lead_id = add_due_lead(database)
    give_up(station, clock)

    for _ in range(2):
        end(station, lead_id, "busy", call_id="found-after-all")

    assert lead_of(database, lead_id).call_attempts_count == 1
    assert len(events_of(database, "late_truth")) == 1


# --- calls recorded by people and by other systems -----------------------------------------------------------------


def test_a_call_made_by_hand_cancels_the_plan_and_decides(runtime, database):
    lead_id = add_lead(database)
    plan_call(database, lead_id, at=NOON + DAY)

    follows = process_call_result(lead_id, "no_answer", {"by": "Marta"}, runtime=runtime)

    planned, retry = calls_of(database, lead_id)
    assert (planned.status, retry.status, retry.attempt_number) == ("cancelled", "pending", 2)
    assert retry.scheduled_at == NOON + 4 * HOUR
    one = attempt_of(database, lead_id)
    assert (one.state, one.outcome, one.provider, one.details) == ("ended", "no_answer", "by_hand", {"by": "Marta"})
    assert lead_of(database, lead_id).call_attempts_count == 1
    assert "called again" in follows
    assert [found.lead_id for found in events_of(database, "call_recorded")] == [lead_id]
    assert broken_promises(database) == {}


def test_a_call_made_by_hand_needs_no_plan(runtime, database):
    lead_id = add_lead(database)

    process_call_result(lead_id, "completed", runtime=runtime)

    assert lead_of(database, lead_id).closed_reason == "completed"
    assert calls_of(database, lead_id) == []


def test_calls_made_by_hand_count_as_attempts(runtime, database):
    lead_id = add_lead(database)

    for _ in range(3):
        process_call_result(lead_id, "no_answer", runtime=runtime)

    assert [one.attempt_number for one in attempts_of(database, lead_id)] == [1, 2, 3]
    assert lead_of(database, lead_id).closed_reason == "max_attempts"


def test_a_plan_cancelled_before_it_was_dialed_spends_no_attempt(runtime, database):
    lead_id = add_lead(database)
    plan_call(database, lead_id, status="cancelled")

    process_call_result(lead_id, "busy", runtime=runtime)

    assert attempt_of(database, lead_id).attempt_number == 1


def test_the_result_of_a_live_call_ends_that_call(runtime, database):
    station = Station(runtime)
    lead_id = add_due_lead(database)
    station.dispatch()

    process_call_result(lead_id, "completed", runtime=runtime)

    assert [(one.state, one.outcome) for one in attempts_of(database, lead_id)] == [("ended", "completed")]
    assert call_of(database, lead_id).status == "completed"
    assert broken_promises(database) == {}


def test_the_result_of_a_call_that_is_being_placed_is_refused(runtime, database):
    refusals = []

    def meanwhile(request):
        with pytest.raises(Conflict) as refusal:
            process_call_result(lead_id, "completed", runtime=runtime)
        refusals.append(str(refusal.value))
        return Unanswered("never mind")

    station = Station(runtime)
    lead_id = add_due_lead(database)
    station.provider.answers(None, meanwhile)
    station.dispatch()

    assert "being dialed at this moment" in refusals[0]


def test_a_callback_recorded_by_hand_is_a_promise(runtime, database):
    lead_id = add_lead(database)

    process_call_result(
        lead_id, "callback", callback_at=wall("2026-11-23T11:00"), callback_zone="America/Buenos_Aires", runtime=runtime
    )

    row = call_of(database, lead_id)
    assert (bool(row.promise), row.scheduled_at) == (True, datetime(2026, 11, 23, 14, 0, tzinfo=UTC))


def test_do_not_call_recorded_by_hand_bars_the_number(runtime, database):
    lead_id = add_lead(database, *ONE)

    process_call_result(lead_id, "do_not_call", runtime=runtime)

    assert [one.telefono for one in find_all(database, tables.do_not_call)] == list(ONE)
    assert lead_of(database, lead_id).closed_reason == "do_not_call"


def test_a_call_to_a_closed_lead_is_recorded_and_plans_nothing(runtime, database):
    lead_id = add_lead(database, lead_status="closed", closed_reason="paid", closed_at=NOON - DAY)

    follows = process_call_result(lead_id, "no_answer", runtime=runtime)

    assert "closed already (paid)" in follows
    assert calls_of(database, lead_id) == []
    assert attempt_of(database, lead_id).outcome == "no_answer"


@sqlite_suffices
@pytest.mark.parametrize(
    "result, more, error, says",
    [
        ("answered", {}, InvalidValue, "the outcomes are completed, callback"),
        ("callback", {"callback_zone": "Chile"}, InvalidValue, "Chile"),
        ("busy", {"callback_at": NOON}, InvalidValue, "callback alone"),
    ],
)
def test_a_result_that_makes_no_sense_is_refused_in_one_sentence(runtime, database, result, more, error, says):
    lead_id = add_lead(database)

    with pytest.raises(error, match=says):
        process_call_result(lead_id, result, runtime=runtime, **more)

    assert attempts_of(database, lead_id) == []


def test_the_result_of_a_lead_that_does_not_exist_is_refused(runtime):
    with pytest.raises(NotFound, match="no lead 4711"):
        process_call_result(4711, "busy", runtime=runtime)


# --- what this file needs ------------------------------------------------------------------------------------------


def call_that_ends(
    runtime, database, outcome, *, phones=ONE, phone=1, attempt=1, campaign_id=None, station=None, fecha_limite=None,
    **report,
) -> int:
    """A lead whose call was dialed and is over. Returns the lead."""
    station = station or Station(runtime)
    lead_id = add_lead(database, *phones, campaign_id=campaign_id, fecha_limite=fecha_limite)
    plan_call(database, lead_id, attempt_number=attempt, phone_position=phone)
    station.dispatch()
    end(station, lead_id, outcome, **report)
    return lead_id


def wall(text: str) -> datetime:
    """A local time without a zone, as people say it."""
    return datetime.fromisoformat(text)


def end(station: Station, lead_id: int, outcome: str | None, **report):
    """The provider says that the newest call of this lead is over."""
    return apply_all(station, [end_of(station.runtime.database, lead_id, outcome, **report)])


def end_of(database, lead_id: int, outcome: str | None, **report) -> End:
    attempt = attempt_of(database, lead_id)
    values = {"call_id": call_id_of(attempt.attempt_ref), "provider_status": outcome, **report}
    return End(attempt.id, CallReport(phase=Phase.ENDED, outcome=outcome and Outcome(outcome), **values))


def apply_all(station: Station, ends: list[End]):
    now = station.runtime.clock.now()
    applied = station.runtime.database.transact(
        lambda connection: apply_ends(connection, ends, now=now, rulebook=RuleBook())
    )
    applied.tell(station.reporter, now)
    return applied


def give_up(station: Station, clock) -> None:
    """A dial without an answer, looked up three times after the settle time and never found."""
    station.provider.answers(None, Unanswered("timed out"))
    station.dispatch()
    for number in [one.number for one in station.provider.dials]:
        station.provider.forgets(number)
    for _ in range(3):
        clock.advance(2 * MINUTE)
        station.follow()
