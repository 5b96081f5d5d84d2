"""What reports count, on both engines: leads, attempts, first answers, waits, what was put off, the pace."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from scheduler.model import Outcome
from scheduler.rules.figures import EPOCH, QUARTER
from scheduler.store import funnel
from scheduler.store.database import Database
from scheduler.store.funnel import Scope
from tests.conftest import NOON
from tests.dials import add_dial, add_event
from tests.factories import DAY, HOUR, MINUTE, add_campaign, add_lead, chilean, plan_call, sql

EVER = Scope()


def test_an_answer_is_what_the_calling_rules_take_for_one() -> None:
    assert set(funnel.ANSWERED) == {Outcome.COMPLETED, Outcome.CALLBACK, Outcome.DO_NOT_CALL, Outcome.HANG_UP}


# --- leads --------------------------------------------------------------------------------------


def test_leads_are_counted_by_status_and_the_closed_ones_by_why(database: Database) -> None:
    add_lead(database, lead_status=None)
    add_lead(database, lead_status="suspended")
    for reason in ("completed", "completed", None):
        add_lead(database, lead_status="closed", closed_reason=reason, closed_at=NOON)

    assert leads(database) == {
        ("open", None): 1, ("suspended", None): 1, ("closed", "completed"): 2, ("closed", "by_hand"): 1,
    }


def test_leads_closed_before_stay_leads_without_a_reason(database: Database) -> None:
    add_lead(database, lead_status="closed", closed_reason="completed", closed_at=NOON - DAY)
    add_lead(database, lead_status="closed", closed_reason="completed", closed_at=NOON)

    assert leads(database, Scope(since=NOON)) == {("closed", "completed"): 1, ("closed", None): 1}


def test_leads_of_other_campaigns_are_left_out(database: Database) -> None:
    campaign_id = add_campaign(database)
    add_lead(database)
    add_lead(database, campaign_id=campaign_id)

    assert leads(database, Scope(campaign_id)) == {("open", None): 1}


def test_a_lead_is_called_reached_and_succeeded_once_however_often(database: Database) -> None:
    for outcomes in (["busy", "completed", "completed"], ["hang_up"], ["busy", "no_answer"], [None]):
        lead_id = add_lead(database)
        for outcome in outcomes:
            add_dial(database, lead_id, outcome)
    add_dial(database, add_lead(database), None, state="refused")
    add_lead(database)

    found = database.read(lambda connection: funnel.count_called(connection, EVER))

    assert found == funnel.Called(called=4, reached=2, succeeded=1)


def test_held_rows_are_no_work_that_is_left(database: Database) -> None:
    campaign_id = add_campaign(database)
    for columns in ({}, {"status": "in_progress"}, {"hold": "manual"}, {"status": "cancelled"}):
        plan_call(database, add_lead(database, campaign_id=campaign_id), **columns)
    plan_call(database, add_lead(database))

    own, of_none = funnel.Left(campaign_id, 2, 1), funnel.Left(None, 1, 0)
    assert database.read(lambda connection: funnel.count_left(connection, campaign_id)) == [own]
    assert set(database.read(lambda connection: funnel.count_left(connection, None))) == {own, of_none}


# --- attempts -----------------------------------------------------------------------------------


def test_attempts_are_counted_by_how_they_ended(database: Database) -> None:
    lead_id = add_lead(database)
    for talk_seconds in (30, 60, None):
        add_dial(database, lead_id, "completed", talk_seconds=talk_seconds)
    add_dial(database, add_lead(database), "completed")
    add_dial(database, lead_id, None, state="refused")
    add_dial(database, lead_id, None)

    assert set(database.read(lambda connection: funnel.count_attempts(connection, EVER))) == {
        funnel.AttemptCount("ended", "completed", 4, 2, 90),
        funnel.AttemptCount("refused", None, 1, 1, 0),
        funnel.AttemptCount("live", None, 1, 1, 0),
    }


@pytest.mark.parametrize("of_campaign", [True, False])
def test_a_report_since_then_holds_later_attempts_alone(database: Database, of_campaign: bool) -> None:
    campaign_id = add_campaign(database)
    lead_id, other = add_lead(database, campaign_id=campaign_id), add_lead(database)
    for at in (NOON - DAY, NOON - HOUR, NOON):
        add_dial(database, lead_id, at=at)
        add_dial(database, other, at=at)
    recorded_by_hand = {"claimed_at": None, "placed_at": None}
    add_dial(database, lead_id, "busy", at=NOON, **recorded_by_hand)
    add_dial(database, lead_id, "busy", at=NOON - DAY, **recorded_by_hand)

    def count(connection: Any) -> dict[str | None, int]:
        scope = funnel.read_scope(connection, campaign_id if of_campaign else None, NOON - HOUR)
        return {one.outcome: one.attempts for one in funnel.count_attempts(connection, scope)}

    assert database.read(count) == {"no_answer": 2 if of_campaign else 4, "busy": 1}


def test_costs_are_summed_by_unit(database: Database) -> None:
    lead_id = add_lead(database)
    for cost, unit in (("0.0410", "usd"), ("0.0015", "usd"), ("2", "credits"), ("1", None), (None, None)):
        add_dial(database, lead_id, "completed", cost=cost and Decimal(cost), cost_unit=unit)
    sql(database, "INSERT INTO second_calls (provider, provider_call_id, attempt_id, cost, cost_unit)"
        " SELECT 'simulator', 'again', MAX(id), 0.5, 'usd' FROM call_attempts")

    assert database.read(lambda connection: funnel.sum_costs(connection, EVER)) == [
        funnel.Cost("", Decimal("1.0000"), 1),
        funnel.Cost("credits", Decimal("2.0000"), 1),
        funnel.Cost("usd", Decimal("0.5425"), 2),
    ]


# --- the first answer ---------------------------------------------------------------------------


def test_the_first_answer_is_counted_in_calls_to_the_lead(database: Database) -> None:
    for outcomes in (["completed"], ["busy", "hang_up", "completed"], ["busy", "busy"], ["busy", "callback"]):
        lead_id = add_lead(database)
        for outcome in outcomes:
            add_dial(database, lead_id, outcome)

    assert first_answers(database) == {1: 1, 2: 2}


def test_a_refused_attempt_is_no_call_before_the_answer(database: Database) -> None:
    lead_id = add_lead(database)
    add_dial(database, lead_id, None, state="refused")
    add_dial(database, lead_id, "completed")

    assert first_answers(database) == {1: 1}


def test_calls_before_the_report_begins_count_but_answers_before_it_are_not_its_own(database: Database) -> None:
    late, early = add_lead(database), add_lead(database)
    add_dial(database, late, "busy", at=NOON - DAY)
    add_dial(database, late, "completed")
    add_dial(database, early, "callback", at=NOON - DAY)
    add_dial(database, early, "completed")

    assert first_answers(database, Scope(since=NOON)) == {2: 1}
    assert first_answers(database) == {1: 1, 2: 1}


# --- hours --------------------------------------------------------------------------------------


def test_attempts_come_by_number_with_what_their_zone_depends_on(database: Database) -> None:
    campaign_id, second = add_campaign(database), chilean()
    lead_id = add_lead(database, campaign_id=campaign_id, time_zone="Pacific/Easter", region="CL-VS")
    add_dial(database, lead_id, "completed", at=NOON)
    add_dial(database, lead_id, "busy", at=NOON + 14 * MINUTE)
    add_dial(database, lead_id, "busy", at=NOON + 15 * MINUTE, telefono=second)
    add_dial(database, lead_id, None, at=NOON)

    found = database.read(lambda connection: list(funnel.stream_dials(connection, EVER)))

    quarter = (NOON - EPOCH) // QUARTER
    assert {(one.campaign_id, one.time_zone, one.region) for one in found} == {
        (campaign_id, "Pacific/Easter", "CL-VS")
    }
    by_number = {one.number: sorted(one.read_quarter(text) for text in one.quarters) for one in found}
    assert by_number.pop(second) == [(quarter + 1, False)]
    assert list(by_number.values()) == [[(quarter, False), (quarter, True)]]


def test_an_attempt_of_a_deleted_lead_still_has_its_hour(database: Database) -> None:
    lead_id = add_lead(database)
    add_dial(database, lead_id)
    sql(database, "DELETE FROM leads WHERE id = :id", id=lead_id)

    assert len(database.read(lambda connection: list(funnel.stream_dials(connection, EVER)))) == 1


# --- delays -------------------------------------------------------------------------------------


def test_a_delay_runs_from_the_end_of_a_call_to_the_next_round(database: Database) -> None:
    lead_id = add_lead(database)
    add_dial(database, lead_id, "busy", at=NOON, number=1)
    add_dial(database, lead_id, "no_answer", at=NOON + 11 * MINUTE, number=2)
    add_dial(database, lead_id, "completed", at=NOON + 12 * MINUTE + 4 * HOUR + MINUTE / 2, number=3)

    assert gaps(database) == {("busy", 600): 1, ("no_answer", 4 * 3600): 1}


def test_the_next_phone_of_a_round_and_a_new_first_round_are_no_delay(database: Database) -> None:
    lead_id = add_lead(database)
    for minutes, number in enumerate((1, 1, 2, 1)):
        add_dial(database, lead_id, "busy", at=NOON + minutes * 10 * MINUTE, number=number)

    assert gaps(database) == {("busy", 540): 1}


def test_a_refused_attempt_does_not_interrupt_a_delay(database: Database) -> None:
    lead_id = add_lead(database)
    add_dial(database, lead_id, "busy", at=NOON, number=1)
    add_dial(database, lead_id, None, state="refused", at=NOON + 5 * MINUTE, number=2)
    add_dial(database, lead_id, "busy", at=NOON + 11 * MINUTE, number=2)

    assert gaps(database) == {("busy", 600): 1}


# --- what was put off ---------------------------------------------------------------------------


REASONS = {
    "outside hours: Friday 08:00 in America/Santiago, opens 09:00-20:00; opens Friday 09:00": "hours",
    "too close to closing; opens Monday 09:00 in America/Santiago": "hours",
    "caps: cap of 3 in 7 days by lead is used up until Friday": "caps",
    "caps: quiet time after busy by lead until Friday; opens outside hours": "caps",
    "no balance: account acme cannot pay for another call; top it up": "balance",
    "account acme is closed": "balance",
    "everything is paused (scheduler_config.paused)": "pause",
    "campaign autumn is paused": "pause",
    "another call to this number is in progress": "line",
    "an earlier call to this lead is still in progress": "line",
    "somebody thought so": "other",
    None: "other",
}


@pytest.mark.parametrize("reason", REASONS)
def test_what_the_gate_moved_is_counted_by_its_cause(database: Database, reason: str | None) -> None:
    add_event(database, "moved", reason, lead_id=1)
    add_event(database, "moved", reason, lead_id=1)

    assert postponed(database) == [funnel.Postponed(REASONS[reason], 2, 1)]


def test_a_plan_counts_only_where_hours_put_it_off(database: Database) -> None:
    add_event(database, "planned", "attempt 2 of 3, 4 h after busy; outside hours: Friday 22:00", lead_id=1)
    add_event(database, "planned", "attempt 2 of 3, 4 h after busy", lead_id=2)
    add_event(database, "closed", "outside hours", lead_id=3)

    assert postponed(database) == [funnel.Postponed("hours", 1, 1)]


def test_what_was_put_off_keeps_to_campaign_and_time(database: Database) -> None:
    add_event(database, "moved", "caps: x", lead_id=1, campaign_id=7)
    add_event(database, "moved", "caps: x", lead_id=2, campaign_id=8)
    add_event(database, "moved", "caps: x", lead_id=3, campaign_id=7, at=NOON - DAY)

    assert postponed(database, Scope(7, NOON - HOUR)) == [funnel.Postponed("caps", 1, 1)]


def test_calls_that_wait_are_counted_with_how_much_later_they_are(database: Database) -> None:
    later = {"wanted_at": NOON, "reason": "attempt 2 of 3, 4 h after busy; outside hours: Friday 22:00"}
    for columns in (
        {**later, "at": NOON + HOUR},
        {**later, "at": NOON + 3 * HOUR},
        {**later, "at": NOON + HOUR, "reason": "caps: x"},
        {**later, "at": NOON + HOUR, "hold": "manual"},
        {**later, "at": NOON - MINUTE, "wanted_at": NOON - HOUR},
        {"at": NOON + HOUR},
    ):
        plan_call(database, add_lead(database), **columns)

    assert database.read(lambda connection: funnel.count_waiting(connection, None, NOON)) == [
        funnel.Waiting("hours", 2, 2 * 3600, 3 * 3600),
        funnel.Waiting("caps", 1, 3600, 3600),
    ]
    assert database.read(lambda connection: funnel.count_waiting(connection, 7, NOON)) == []


# --- the pace -----------------------------------------------------------------------------------


def test_the_pace_is_of_leads_that_calls_closed_lately(database: Database) -> None:
    campaign_id = add_campaign(database)
    for reason, at in (
        ("completed", NOON - MINUTE), ("max_attempts", NOON - 2 * HOUR), ("completed", NOON - 2 * DAY),
        ("by_hand", NOON - MINUTE), ("deadline", NOON - MINUTE),
    ):
        add_lead(database, campaign_id=campaign_id, lead_status="closed", closed_reason=reason, closed_at=at)
    lead_id = add_lead(database, campaign_id=campaign_id)
    for age in (30 * MINUTE, 59 * MINUTE, 2 * HOUR + MINUTE, 4 * HOUR, 2 * DAY):
        add_dial(database, lead_id, at=NOON - age)

    for key in (campaign_id, None):
        found = database.read(lambda connection, key=key: funnel.read_progress(connection, key, NOON))
        assert found == funnel.Progress(1, 2, NOON - 59 * MINUTE, 3)
    other = add_campaign(database, "other")
    nothing = database.read(lambda connection: funnel.read_progress(connection, other, NOON))
    assert nothing == funnel.Progress(0, 0, None, 0)


# --- what this file needs -----------------------------------------------------------------------


def leads(database: Database, scope: Scope = EVER) -> dict[tuple[str, str | None], int]:
    found = database.read(lambda connection: funnel.count_leads(connection, scope))
    return {(one.status, one.closed_reason): one.leads for one in found}


def first_answers(database: Database, scope: Scope = EVER) -> dict[int, int]:
    return database.read(lambda connection: funnel.count_first_answers(connection, scope))


def gaps(database: Database) -> dict[tuple[str, int], int]:
    found = database.read(lambda connection: funnel.count_gaps(connection, EVER))
    return {(one.outcome, one.seconds): one.pairs for one in found}


def postponed(database: Database, scope: Scope = EVER) -> list[funnel.Postponed]:
    return database.read(lambda connection: funnel.count_postponed(connection, scope))
