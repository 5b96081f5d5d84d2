from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from datetime import date, timedelta

import pytest

from scheduler.clock import ManualClock, boottime
from scheduler.errors import DatabaseUnavailable
from scheduler.model import Campaign
from scheduler.providers.base import Accepted, RefusalKind, Refused, Unanswered
from scheduler.providers.sending import current
from scheduler.rules.pacing import FAULTS_TO_OPEN, FIRST_REST, SEND_TOLERANCE
from scheduler.service import accounts
from scheduler.service.alerts import list_alerts
from scheduler.service.dispatch import Dispatcher
from scheduler.service.rulebook import RuleBook, Rules
from scheduler.service.runtime import Runtime
from scheduler.store import tables
from scheduler.store.database import Connection, Database
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
    call_id_of,
    call_of,
    calls_of,
    chilean,
    ended_at_once,
    events_of,
    find,
    find_all,
    lead_of,
    plan_call,
    refused,
    set_config,
    sql,
    with_settings,
)
from tests.waiting import BACKSTOP, wait_until

SECOND = timedelta(seconds=1)


# --- the dial -------------------------------------------------------------------------------------


def test_a_due_call_is_dialed_once_and_followed_from_then_on(runtime, database):
    station = Station(runtime)
    lead_id = add_due_lead(database, "+56911111111", nombre="Ana", apellidos="Soto", variables={"debt": "12.000"})

    report = station.dispatch()
    again = station.dispatch()

    assert (report.taken, report.dialed, again.taken) == (1, 1, 0)
    [request] = station.provider.dials
    assert request.number == "+56911111111"
    assert request.variables == {"first_name": "Ana", "last_name": "Soto", "debt": "12.000"}
    assert (request.ring_timeout, request.max_duration) == (timedelta(seconds=30), timedelta(seconds=600))
    attempt = attempt_of(database, lead_id)
    assert (attempt.state, attempt.attempt_ref) == ("live", request.attempt_ref)
    assert attempt.provider_call_id == call_id_of(request.attempt_ref)
    assert attempt.next_poll_at > NOON
    assert call_of(database, lead_id).status == "in_progress"
    assert lead_of(database, lead_id).call_status == "calling"


def test_an_attempt_carries_the_evidence_of_its_decision(runtime, database):
    lead_id = add_due_lead(database)

    Station(runtime).dispatch()

    attempt = attempt_of(database, lead_id)
    assert attempt.claimed_at == NOON
    assert attempt.dial_before == NOON + timedelta(seconds=10)
    assert attempt.claimed_at - SECOND <= attempt.placed_at <= attempt.dial_before
    # 09:00 to 20:00 in Santiago, three hours behind UTC.
    assert (attempt.open_from, attempt.open_until) == (NOON.replace(hour=12), NOON.replace(hour=23))


@pytest.mark.parametrize("at, dialed", [(-DAY, 1), (timedelta(0), 1), (SECOND / 1_000_000, 0), (HOUR, 0)])
def test_a_call_is_due_from_its_very_instant_on(runtime, database, at, dialed):
    add_due_lead(database, at=NOON + at)

    assert Station(runtime).dispatch().dialed == dialed


@pytest.mark.parametrize(
    "name, columns, status, hold, reason",
    [
        ("managed by hand", {"manual_management": True}, "pending", "manual", "managed by hand"),
        ("suspended", {"lead_status": "suspended"}, "pending", "suspended", "suspended"),
        ("closed", {"lead_status": "closed"}, "cancelled", None, "the lead is closed (by hand)"),
        ("an unknown zone", {"time_zone": "America/Santigo"}, "pending", "error", "America/Santigo"),
        ("a region that is none", {"region": "?"}, "pending", "error", "region"),
        ("a number nobody can dial", {"telefono": "call me"}, "pending", "error", "telefono must be like"),
        ("a number of no country", {"telefono": "+5622555100112"}, "pending", "error", "digits behind a number"),
        ("variables that are no object", {"variables": [1, 2]}, "pending", "error", "variables"),
    ],
)
def test_a_lead_that_may_not_be_called_says_why_and_stops_nobody(
    runtime, database, name, columns, status, hold, reason
):
    station = Station(runtime)
    lead_id = add_due_lead(database, **columns)
    other = add_due_lead(database)

    station.dispatch()

    row = call_of(database, lead_id)
    assert (row.status, row.hold) == (status, hold)
    assert reason in row.reason
    assert status == "cancelled" or row.scheduled_at > NOON
    assert attempts_of(database, lead_id) == []
    assert attempt_of(database, other).state == "live"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # a MySQL column of type JSON takes no broken text
def test_variables_broken_by_hand_hold_the_lead(runtime, database):
    lead_id = add_due_lead(database)
    sql(database, "UPDATE leads SET variables = '{\"name\": ' WHERE id = :id", id=lead_id)

    Station(runtime).dispatch()

    assert call_of(database, lead_id).hold == "error"
    assert "variables" in call_of(database, lead_id).reason


@pytest.mark.parametrize(
    "columns, attempt_number, word",
    [
        ({"fecha_limite": date(2026, 11, 19)}, 1, "deadline"),
        ({}, 4, "max_attempts"),
    ],
)
def test_a_lead_that_can_never_be_called_again_is_closed_with_its_reason(
    runtime, database, columns, attempt_number, word
):
    lead_id = add_due_lead(database, attempt_number=attempt_number, **columns)

    Station(runtime).dispatch()

    lead = lead_of(database, lead_id)
    assert (lead.lead_status, lead.closed_reason, lead.closed_at) == ("closed", word, NOON)
    assert call_of(database, lead_id).status == "cancelled"


def test_the_last_date_to_call_is_a_day_for_calling(runtime, database):
    add_due_lead(database, fecha_limite=date(2026, 11, 20))

    assert Station(runtime).dispatch().dialed == 1


def test_a_lead_whose_numbers_are_all_barred_is_closed(runtime, database):
    lead_id = add_due_lead(database, "+56911111111", "+56922222222")
    bar(database, "+56911111111")
    bar(database, "+56922222222", expires_at=NOON + DAY)

    Station(runtime).dispatch()

    assert lead_of(database, lead_id).closed_reason == "do_not_call"


def test_a_barred_number_is_passed_over_for_the_next_one(runtime, database):
    station = Station(runtime)
    lead_id = add_due_lead(database, "+56911111111", "+56922222222")
    bar(database, "+56911111111")

    station.dispatch()

    assert station.provider.numbers == ["+56922222222"]
    assert call_of(database, lead_id).phone_position == 2


def test_a_bar_that_has_expired_bars_nothing(runtime, database):
    add_due_lead(database, "+56911111111")
    bar(database, "+56911111111", expires_at=NOON)

    assert Station(runtime).dispatch().dialed == 1


@sqlite_suffices
@pytest.mark.parametrize(
    "zone, local, opens",
    [
        # 15:00 UTC on Friday is the night in Auckland and early in Los Angeles.
        ("Pacific/Auckland", "Monday 09:00", "2026-11-22T20:00"),
        ("America/Los_Angeles", "09:00", "2026-11-20T17:00"),
    ],
)
def test_a_lead_waits_for_its_own_morning(runtime, database, zone, local, opens):
    lead_id = add_due_lead(database, time_zone=zone)

    Station(runtime).dispatch()

    row = call_of(database, lead_id)
    assert f"{row.scheduled_at:%Y-%m-%dT%H:%M}" == opens
    assert row.wanted_at == NOON
    assert local in row.reason


def test_a_dial_that_would_begin_after_closing_waits_for_the_next_opening(runtime, database, clock):
    clock.set(NOON.replace(hour=22, minute=59, second=55))  # 19:59:55 in Santiago, five seconds to closing
    lead_id = add_due_lead(database)

    Station(runtime).dispatch()

    assert call_of(database, lead_id).scheduled_at == NOON.replace(day=23, hour=12)
    assert "too close to closing" in call_of(database, lead_id).reason


def test_a_dial_whose_budget_is_over_is_never_sent_and_not_spent(runtime, database):
    station = Station(with_settings(runtime, dial_budget=0.0))
    lead_id = add_due_lead(database)

    station.dispatcher.run_once()
    station.dispatcher.drain(20)

    assert station.provider.dials == []
    assert {one.state for one in attempts_of(database, lead_id)} == {"refused"}
    assert (call_of(database, lead_id).status, call_of(database, lead_id).attempt_number) == ("pending", 1)
    assert lead_of(database, lead_id).call_attempts_count == 0


# --- between the take and the dial -----------------------------------------------------------------


@pytest.mark.parametrize(
    "change, then",
    [
        ("UPDATE leads SET lead_status = 'closed'", "cancelled"),
        ("UPDATE leads SET lead_status = 'suspended'", "pending"),
        ("UPDATE leads SET manual_management = TRUE", "pending"),
        ("UPDATE campaigns SET status = 'paused'", "pending"),
        ("UPDATE scheduler_config SET config_value = 'yes' WHERE config_key = 'paused'", "pending"),
        ("INSERT INTO do_not_call (telefono) SELECT telefono FROM leads", "cancelled"),
        ("INSERT INTO do_not_call (telefono) SELECT REPLACE(telefono, '+56', '0') FROM leads", "cancelled"),
        ("INSERT INTO do_not_call (telefono) SELECT REPLACE(telefono, '+56', 'tel:') FROM leads", "cancelled"),
        ("INSERT INTO do_not_call (telefono) SELECT REPLACE(telefono, '+56', 'Ana ') FROM leads", "pending"),
        ("UPDATE call_schedule SET status = 'cancelled'", "cancelled"),
        ("DELETE FROM leads", "cancelled"),
    ],
)
def test_what_changed_since_the_take_is_not_dialed_and_not_spent(runtime, database, clock, change, then):
    meddled = MeddlingClock(clock, at_reading=2, act=lambda: sql(database, change))
    station = Station(with_clock(runtime, meddled))
    lead_id = add_due_lead(database, campaign_id=add_campaign(database))

    station.dispatch()

    assert meddled.has_acted
    assert station.provider.dials == []
    assert [one.state for one in attempts_of(database, lead_id)] == ["refused"]
    assert call_of(database, lead_id).status == then
    assert call_of(database, lead_id).attempt_number == 1
    assert lead_of(database, lead_id) is None or lead_of(database, lead_id).call_attempts_count == 0
    assert broken_promises(database) == {}


def test_what_an_account_was_asked_since_the_take_is_not_dialed(runtime, database, clock):
    accounts.create_account("Acme", code="acme", runtime=runtime)
    account_id = find(database, tables.accounts).id
    number = chilean()
    asked = "INSERT INTO account_do_not_call (account_id, telefono) VALUES (:id, :number)"
    meddled = MeddlingClock(clock, at_reading=2, act=lambda: sql(database, asked, id=account_id, number=number))
    station = Station(with_clock(runtime, meddled))
    lead_id = add_due_lead(database, number, campaign_id=add_campaign(database, account_id=account_id))

    station.dispatch()

    assert (meddled.has_acted, station.provider.dials) == (True, [])
    assert [one.state for one in attempts_of(database, lead_id)] == ["refused"]


def test_a_row_that_came_into_other_hands_since_the_take_is_neither_dialed_nor_touched(runtime, database, clock):
    change = "UPDATE call_schedule SET lease_owner = 'another', lease_token = 'of another'"
    station = Station(with_clock(runtime, MeddlingClock(clock, at_reading=2, act=lambda: sql(database, change))))
    lead_id = add_due_lead(database)

    station.dispatch()

    assert station.provider.dials == []
    assert (call_of(database, lead_id).status, call_of(database, lead_id).lease_token) == ("in_progress", "of another")
    assert attempt_of(database, lead_id).state == "placing"


def test_a_request_that_missed_its_slot_is_not_sent_and_not_spent(runtime, database, clock):
    sql(database, "INSERT INTO scheduler_config (config_key, config_value) "
                  "VALUES ('simulator_calls_per_second', '10')")
    held_up = MeddlingClock(clock, at_reading=2, act=lambda: threading.Event().wait(2 * SEND_TOLERANCE.total_seconds()))
    station = Station(with_clock(runtime, held_up), ScriptedProvider("simulator"))
    lead_id = add_due_lead(database)

    station.dispatcher._turn(1)  # one take: a tick may take the row again at once, and then it has a slot
    assert station.dispatcher.drain(BACKSTOP)

    assert station.provider.dials == []
    assert "missed its slot" in attempt_of(database, lead_id).error
    assert (call_of(database, lead_id).status, call_of(database, lead_id).attempt_number) == ("pending", 1)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_no_request_is_sent_before_its_slot(runtime, database):
    sent = []

    class Timed(ScriptedProvider):
        def place(self, request):
            sent.append(boottime())
            return super().place(request)

    sql(database, "INSERT INTO scheduler_config (config_key, config_value) VALUES ('simulator_calls_per_second', '1')")
    station = Station(runtime, Timed("simulator"))
    station.dispatcher.take_lasts = 2 * SECOND  # as on a slow database: the first slot is when the take will be over
    add_due_lead(database)

    began = boottime()
    station.dispatch()

    # A busy machine may come late to its slot, or miss it, but never early.
    assert [at for at in sent if at < began + 2] == []


@pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)  # SQLite has one writer at a time
def test_a_campaign_paused_by_sql_in_the_middle_of_a_take_is_not_taken_from(runtime, database):
    lead_id = add_due_lead(database, campaign_id=add_campaign(database))
    station = Station(runtime)
    station.dispatcher.rulebook = MeddlingRules(lambda: sql(database, "UPDATE campaigns SET status = 'paused'"))

    assert station.dispatch().taken == 0
    assert attempts_of(database, lead_id) == []
    assert (call_of(database, lead_id).status, call_of(database, lead_id).scheduled_at) == ("pending", NOON)


def test_a_campaign_resumed_goes_on_where_it_was(runtime, database, clock):
    meddled = MeddlingClock(
        clock, at_reading=2, act=lambda: sql(database, "UPDATE campaigns SET status = 'paused'")
    )
    station = Station(with_clock(runtime, meddled))
    lead_id = add_due_lead(database, campaign_id=add_campaign(database))
    station.dispatch()

    sql(database, "UPDATE campaigns SET status = 'active'")
    station.dispatch()

    assert [one.state for one in attempts_of(database, lead_id)] == ["refused", "live"]


# --- one line per number ---------------------------------------------------------------------------


def test_two_leads_with_one_number_are_never_dialed_at_once(runtime, database, clock):
    station = Station(runtime)
    number = chilean()
    first, second = add_due_lead(database, number), add_due_lead(database, number)

    station.dispatch()

    assert station.provider.numbers == [number]
    assert "another call to this number" in call_of(database, second).reason
    station.provider.ends(number, "completed")
    clock.advance(2 * MINUTE)
    station.follow()
    station.dispatch()
    assert lead_of(database, first).closed_reason == "completed"
    assert attempt_of(database, second).state == "live"


def test_a_number_that_another_campaign_is_calling_waits(runtime, database):
    station = Station(runtime)
    number = chilean()
    add_due_lead(database, number, campaign_id=add_campaign(database, "one"))
    station.dispatch()
    late = add_due_lead(database, number, campaign_id=add_campaign(database, "other"))

    station.dispatch()

    assert station.provider.numbers == [number]
    assert call_of(database, late).scheduled_at > NOON


# --- capacity --------------------------------------------------------------------------------------


def test_no_more_calls_than_max_concurrent_calls_are_open_over_all_daemons(runtime, database):
    set_config(database, max_concurrent_calls="3")
    for _ in range(8):
        add_due_lead(database)

    one, other = Station(runtime, owner="one"), Station(runtime, owner="other")
    one.dispatch()
    other.dispatch()

    assert len(one.provider.dials) + len(other.provider.dials) == 3


def test_a_line_that_is_free_again_is_used(runtime, database, clock):
    set_config(database, max_concurrent_calls="1")
    station = Station(runtime)
    number = chilean()
    add_due_lead(database, number, at=NOON - HOUR)
    add_due_lead(database)
    station.dispatch()

    station.provider.ends(number, "completed")
    clock.advance(MINUTE)
    station.follow()
    station.dispatch()

    assert len(station.provider.dials) == 2


def test_a_campaign_keeps_to_its_own_max_concurrent_calls(runtime, database):
    station = Station(runtime)
    narrow = add_campaign(database, "narrow", call_settings={"max_concurrent_calls": 2})
    wide = add_campaign(database, "wide")
    for campaign_id in (narrow, wide):
        for _ in range(5):
            add_due_lead(database, campaign_id=campaign_id)

    station.dispatch()

    assert len(find_all(database, tables.call_attempts, campaign_id=narrow)) == 2
    assert len(find_all(database, tables.call_attempts, campaign_id=wide)) == 5


def test_zero_concurrent_calls_dials_nobody(runtime, database):
    set_config(database, max_concurrent_calls="0")
    add_due_lead(database)

    assert Station(runtime).dispatch().taken == 0


def test_no_more_rows_are_taken_than_there_are_dialing_places(runtime, database):
    answered = threading.Event()

    def when_told(request) -> Accepted:
        assert answered.wait(BACKSTOP)
        return Accepted(call_id_of(request.attempt_ref))

    provider = ScriptedProvider()
    provider.answers(None, *[when_told] * 6)
    station = Station(runtime, provider, places=2)
    for _ in range(6):
        add_due_lead(database)

    station.dispatcher.run_once()
    placing = find_all(database, tables.call_attempts, state="placing")
    answered.set()
    station.dispatcher.drain(20)

    assert len(placing) == 2


def test_a_higher_priority_is_served_first(runtime, database):
    set_config(database, max_concurrent_calls="3")
    low, high = add_campaign(database, "low", priority=1), add_campaign(database, "high", priority=9)
    for _ in range(2):
        add_due_lead(database, campaign_id=low, at=NOON - DAY)
        add_due_lead(database, campaign_id=high)

    Station(runtime).dispatch()

    assert len(find_all(database, tables.call_attempts, campaign_id=high)) == 2
    assert len(find_all(database, tables.call_attempts, campaign_id=low)) == 1


def test_campaigns_of_one_priority_share_the_lines(runtime, database):
    set_config(database, max_concurrent_calls="4")
    crowd, few = add_campaign(database, "crowd"), add_campaign(database, "few")
    for _ in range(20):
        add_due_lead(database, campaign_id=crowd, at=NOON - DAY)
    for _ in range(2):
        add_due_lead(database, campaign_id=few)

    Station(runtime).dispatch()

    assert len(find_all(database, tables.call_attempts, campaign_id=few)) == 2
    assert len(find_all(database, tables.call_attempts, campaign_id=crowd)) == 2


def test_the_oldest_calls_go_first(runtime, database):
    set_config(database, max_concurrent_calls="2")
    station = Station(runtime)
    ages = {chilean(): hours for hours in (1, 3, 2)}
    for number, hours in ages.items():
        add_due_lead(database, number, at=NOON - hours * HOUR)

    station.dispatch()

    assert sorted(ages[number] for number in station.provider.numbers) == [2, 3]


@pytest.mark.parametrize("status", ["paused", "cancelled", "completed"])
def test_a_campaign_that_is_not_active_is_left_alone(runtime, database, status):
    lead_id = add_due_lead(database, campaign_id=add_campaign(database, status=status))

    assert Station(runtime).dispatch().taken == 0
    assert call_of(database, lead_id).scheduled_at == NOON


def test_a_campaign_of_an_unavailable_provider_waits_and_stops_nobody(runtime, database):
    station = Station(runtime)
    waiting = add_due_lead(database, campaign_id=add_campaign(database, "elsewhere", provider="twilo"))
    calling = add_due_lead(database, campaign_id=add_campaign(database, "here"))

    station.dispatch()

    assert attempts_of(database, waiting) == []
    assert call_of(database, waiting).status == "pending"
    assert attempt_of(database, calling).state == "live"
    assert any("twilo" in line for line in station.said("settings_refused"))


def test_a_campaign_dials_through_its_own_provider(runtime, database):
    ours, theirs = ScriptedProvider("ours"), ScriptedProvider("theirs")
    station = Station(runtime, ours, providers={"ours": ours, "theirs": theirs})
    add_due_lead(database)
    lead_id = add_due_lead(database, campaign_id=add_campaign(database, provider="theirs"))

    station.dispatch()

    assert (len(ours.dials), len(theirs.dials)) == (1, 1)
    assert attempt_of(database, lead_id).provider == "theirs"


# --- rows written by hand ---------------------------------------------------------------------------


def test_a_row_without_a_campaign_gets_that_of_its_lead(runtime, database):
    campaign_id = add_campaign(database)
    lead_id = add_lead(database, campaign_id=campaign_id)
    plan_call(database, lead_id, campaign_id=None, phone_position=None)

    Station(runtime).dispatch()

    assert call_of(database, lead_id).campaign_id == campaign_id
    assert attempt_of(database, lead_id).campaign_id == campaign_id
    assert call_of(database, lead_id).phone_position == 1


def test_a_row_of_a_paused_campaign_written_without_it_is_not_dialed(runtime, database):
    lead_id = add_lead(database, campaign_id=add_campaign(database, status="paused"))
    plan_call(database, lead_id, campaign_id=None)

    Station(runtime).dispatch()

    assert attempts_of(database, lead_id) == []


def test_a_lead_of_a_campaign_that_does_not_exist_is_held_with_the_reason(runtime, database):
    lead_id = add_lead(database, campaign_id=4711)
    plan_call(database, lead_id, campaign_id=None)

    Station(runtime).dispatch()

    assert call_of(database, lead_id).hold == "error"
    assert "4711" in call_of(database, lead_id).reason


def test_an_orphan_is_cancelled_and_stops_nobody(runtime, database):
    lead_id, other = add_due_lead(database), add_due_lead(database)
    sql(database, "DELETE FROM leads WHERE id = :id", id=lead_id)

    Station(runtime).dispatch()

    assert (call_of(database, lead_id).status, attempts_of(database, lead_id)) == ("cancelled", [])
    assert "does not exist" in call_of(database, lead_id).reason
    assert attempt_of(database, other).state == "live"


def test_a_lead_with_a_number_but_no_lead_phones_is_dialed(runtime, database):
    station = Station(runtime)
    lead_id = add_due_lead(database, "+56911111111")
    sql(database, "DELETE FROM lead_phones")

    station.dispatch()

    assert station.provider.numbers == ["+56911111111"]
    assert attempt_of(database, lead_id).state == "live"


# --- refused ----------------------------------------------------------------------------------------


@sqlite_suffices
@pytest.mark.parametrize(
    "answer, soonest, latest",
    [
        (refused(RefusalKind.NEVER_SENT), 10, 15),
        (refused(RefusalKind.REFUSED), 60, 90),
        (refused(RefusalKind.THROTTLED), 10, 15),
        (refused(RefusalKind.THROTTLED, retry_after=timedelta(seconds=40)), 40, 60),
        (refused(RefusalKind.HOLD), 60, 90),
    ],
)
def test_a_refusal_gives_the_row_back_unspent_a_little_later(runtime, database, answer, soonest, latest):
    station = Station(runtime)
    lead_id = add_due_lead(database, attempt_number=2)
    station.provider.answers(None, answer)

    station.dispatch()

    row, [attempt] = call_of(database, lead_id), attempts_of(database, lead_id)
    assert (row.status, row.attempt_number, row.lease_token) == ("pending", 2, None)
    assert NOON + soonest * SECOND <= row.scheduled_at <= NOON + latest * SECOND
    assert "not today" in row.reason
    assert (attempt.state, attempt.outcome, attempt.error) == ("refused", None, "not today")
    assert lead_of(database, lead_id).call_attempts_count == 0
    assert broken_promises(database) == {}


def test_rows_refused_together_come_back_apart(runtime, database):
    station = Station(runtime)
    leads = [add_due_lead(database) for _ in range(12)]
    station.provider.answers(None, *[refused()] * 12)

    station.dispatch()

    assert len({call_of(database, one).scheduled_at for one in leads}) > 6


def test_a_row_refused_on_its_second_phone_stays_on_it(runtime, database, clock):
    station = Station(runtime)
    lead_id = add_lead(database, "+56911111111", "+56922222222")
    plan_call(database, lead_id, phone_position=2)
    station.provider.answers(None, refused())

    station.dispatch()
    clock.advance(2 * MINUTE)
    station.dispatch()

    assert station.provider.numbers == ["+56922222222", "+56922222222"]


def test_a_refusal_never_costs_an_attempt_that_only_its_outcome_allowed(runtime, database, clock):
    set_config(database, busy_max_attempts="5")
    station = Station(runtime)
    lead_id = add_due_lead(database, attempt_number=4, call_status="busy")
    station.provider.answers(None, refused())

    station.dispatch()
    clock.advance(2 * MINUTE)
    station.dispatch()

    assert lead_of(database, lead_id).lead_status == "open"
    assert [one.state for one in attempts_of(database, lead_id)] == ["refused", "live"]


def test_a_row_refused_again_and_again_waits_for_people(runtime, database, clock):
    station = Station(runtime)
    lead_id = add_due_lead(database)
    station.provider.answers(None, *[refused(reason="no such route")] * 9)

    for _ in range(9):
        station.dispatch()
        clock.set(max(clock.now(), call_of(database, lead_id).scheduled_at))
        if call_of(database, lead_id).hold:
            break

    row = call_of(database, lead_id)
    assert (row.status, row.hold) == ("pending", "error")
    assert "no such route" in row.reason
    assert len(attempts_of(database, lead_id)) == 5


def test_a_number_that_the_provider_cannot_dial_is_marked_and_the_next_one_called(runtime, database):
    station = Station(runtime)
    lead_id = add_due_lead(database, "+56911111111", "+56922222222")
    station.provider.answers("+56911111111", refused(RefusalKind.INVALID_NUMBER))

    station.dispatch_until_quiet()

    assert station.provider.numbers == ["+56911111111", "+56922222222"]
    assert phone_statuses(database, lead_id) == ["invalid", "active"]
    assert call_of(database, lead_id).attempt_number == 1


def test_after_the_last_phone_is_refused_the_first_waits_for_the_next_round(runtime, database):
    station = Station(runtime)
    lead_id = add_lead(database, "+56911111111", "+56922222222")
    plan_call(database, lead_id, phone_position=2)
    station.provider.answers("+56922222222", refused(RefusalKind.INVALID_NUMBER))

    station.dispatch_until_quiet()

    row = call_of(database, lead_id)
    assert station.provider.numbers == ["+56922222222"]
    assert (row.status, row.attempt_number, row.phone_position) == ("pending", 2, 1)
    assert row.scheduled_at == NOON + 4 * HOUR
    assert broken_promises(database) == {}


def test_a_phone_refused_in_the_middle_goes_on_to_the_one_after_it(runtime, database):
    station = Station(runtime)
    lead_id = add_lead(database, "+56911111111", "+56922222222", "+56933333333")
    plan_call(database, lead_id, phone_position=2)
    station.provider.answers("+56922222222", refused(RefusalKind.INVALID_NUMBER))

    station.dispatch_until_quiet()

    assert station.provider.numbers == ["+56922222222", "+56933333333"]


def test_a_lead_whose_only_number_cannot_be_dialed_is_closed(runtime, database):
    station = Station(runtime)
    lead_id = add_due_lead(database)
    station.provider.answers(None, refused(RefusalKind.INVALID_NUMBER))

    station.dispatch()

    assert lead_of(database, lead_id).closed_reason == "invalid_number"
    assert call_of(database, lead_id).status == "cancelled"
    assert broken_promises(database) == {}


def test_a_number_on_the_providers_own_list_is_put_on_ours(runtime, database):
    station = Station(runtime)
    lead_id = add_due_lead(database, "+56911111111", "+56922222222")
    station.provider.answers("+56911111111", refused(RefusalKind.DO_NOT_CALL))

    station.dispatch_until_quiet()

    [listed] = find_all(database, tables.do_not_call)
    assert (listed.telefono, listed.source) == ("+56911111111", "scripted")
    assert lead_of(database, lead_id).closed_reason == "do_not_call"
    assert station.provider.numbers == ["+56911111111"]


# --- unknown ------------------------------------------------------------------------------------------


def test_a_dial_without_an_answer_is_unknown_and_not_repeated(runtime, database, clock):
    station = Station(runtime)
    lead_id = add_due_lead(database)
    station.provider.answers(None, Unanswered("it timed out"))

    station.dispatch()
    clock.advance(HOUR)
    station.dispatch()

    attempt, row = attempt_of(database, lead_id), call_of(database, lead_id)
    assert (attempt.state, attempt.error) == ("unknown", "it timed out")
    assert (row.status, row.lease_token) == ("in_progress", None)
    assert len(station.provider.dials) == 1
    assert broken_promises(database) == {}


def test_a_provider_that_breaks_its_word_and_raises_leaves_an_unknown_attempt(runtime, database):
    def crash(request):
        raise RuntimeError("boom")

    station = Station(runtime)
    lead_id = add_due_lead(database)
    station.provider.answers(None, crash)

    station.dispatch()

    assert attempt_of(database, lead_id).state == "unknown"
    assert "boom" in attempt_of(database, lead_id).error


def test_the_answer_of_a_call_that_is_over_at_once_is_applied_at_once(runtime, database):
    station = Station(runtime)
    lead_id = add_due_lead(database)
    station.provider.answers(None, ended_at_once("completed"))

    station.dispatch()

    assert attempt_of(database, lead_id).state == "ended"
    assert lead_of(database, lead_id).closed_reason == "completed"


# --- the breaker ---------------------------------------------------------------------------------------


def test_a_provider_on_hold_is_left_alone_probed_once_and_then_used_again(runtime, database, clock):
    station = Station(runtime, places=1)
    station.provider.answers(None, refused(RefusalKind.HOLD, "no credit"))
    for _ in range(6):
        add_due_lead(database)

    station.dispatch_until_quiet()
    while_open = len(station.provider.dials)
    clock.advance(FIRST_REST + SECOND)
    station.dispatch_until_quiet()

    assert while_open == 1
    assert len(station.provider.dials) == 6
    assert any("left alone" in line for line in station.said("breaker"))


def test_a_probe_that_fails_closes_the_door_again_for_longer(runtime, database, clock):
    station = Station(runtime, places=1)
    station.provider.answers(None, *[refused(RefusalKind.HOLD, "no credit")] * 2)
    for _ in range(6):
        add_due_lead(database)

    station.dispatch_until_quiet()
    clock.advance(FIRST_REST)
    station.dispatch_until_quiet()
    clock.advance(FIRST_REST)
    station.dispatch_until_quiet()

    assert len(station.provider.dials) == 2


def test_repeated_silence_opens_the_breaker_and_a_probe_closes_it(runtime, database, clock):
    station = Station(runtime, places=1)
    station.provider.answers(None, *[Unanswered("no answer")] * FAULTS_TO_OPEN)
    for _ in range(FAULTS_TO_OPEN + 3):
        add_due_lead(database)

    station.dispatch_until_quiet()
    while_open = len(station.provider.dials)
    clock.advance(FIRST_REST)
    station.dispatch_until_quiet()

    assert while_open == FAULTS_TO_OPEN
    # The calls that nobody answered for are still looked up; they do not stand in the way of the probe.
    assert len(station.provider.dials) == FAULTS_TO_OPEN + 3


def test_calls_in_conversation_do_not_stand_in_the_way_of_a_probe(runtime, database, clock):
    station = Station(runtime, places=1)
    for _ in range(3):
        add_due_lead(database)
    station.dispatch_until_quiet()
    station.provider.answers(None, *[Unanswered("no answer")] * FAULTS_TO_OPEN)
    for _ in range(FAULTS_TO_OPEN + 1):
        add_due_lead(database)
    station.dispatch_until_quiet()
    while_open = len(station.provider.dials)

    clock.advance(FIRST_REST)
    station.dispatch_until_quiet()

    assert (while_open, len(station.provider.dials)) == (3 + FAULTS_TO_OPEN, 3 + FAULTS_TO_OPEN + 1)


def test_a_breaker_of_one_provider_leaves_the_others_alone(runtime, database):
    sick, well = ScriptedProvider("sick"), ScriptedProvider("well")
    sick.answers(None, refused(RefusalKind.HOLD))
    station = Station(runtime, sick, providers={"sick": sick, "well": well}, places=1)
    for code in ("sick", "well"):
        campaign_id = add_campaign(database, code, provider=code)
        for _ in range(3):
            add_due_lead(database, campaign_id=campaign_id)

    station.dispatch_until_quiet()

    assert (len(sick.dials), len(well.dials)) == (1, 3)


# --- frozen and late ---------------------------------------------------------------------------------------


def test_the_late_answer_of_a_frozen_daemon_changes_nothing_that_others_learnt(runtime, database, clock):
    number = chilean()
    lead_id = add_due_lead(database, number)
    frozen, other = Station(runtime, owner="frozen"), Station(runtime, owner="other")
    other.provider.ends(number, "completed")

    def freeze(request) -> Accepted:
        clock.advance(5 * MINUTE)  # past the lease
        other.upkeep()
        other.follow()
        return Accepted(call_id_of(request.attempt_ref))

    frozen.provider.answers(number, freeze)
    frozen.dispatch()

    lead = lead_of(database, lead_id)
    assert (lead.lead_status, lead.closed_reason, lead.call_status) == ("closed", "completed", "completed")
    assert lead.call_attempts_count == 1
    assert [one.state for one in attempts_of(database, lead_id)] == ["ended"]
    assert broken_promises(database) == {}


@pytest.mark.parametrize("late", [Unanswered("timed out"), refused(), refused(RefusalKind.INVALID_NUMBER)])
def test_a_frozen_daemon_cannot_touch_the_row_that_another_one_holds_now(runtime, database, clock, late):
    number = chilean()
    lead_id = add_due_lead(database, number)
    frozen, other = Station(runtime, owner="frozen"), Station(runtime, owner="other")
    other.provider.forgets(number)
    thawed = threading.Event()

    def freeze(request):
        for _ in range(4):  # its lease runs out, it is silent for long, its call is looked up and never found
            clock.advance(8 * MINUTE)
            other.upkeep()
            other.follow()
        other.dispatcher.run_once()  # the row is dialed by another daemon, which is still waiting for an answer
        return late

    def wait(request) -> Accepted:
        assert thawed.wait(BACKSTOP)
        return Accepted(call_id_of(request.attempt_ref))

    frozen.provider.answers(number, freeze)
    other.provider.answers(number, wait)
    frozen.dispatch()
    row = call_of(database, lead_id)
    meanwhile = broken_promises(database)
    thawed.set()
    other.dispatcher.drain(20)

    assert (row.status, row.lease_owner) == ("in_progress", "other")
    assert row.lease_token is not None
    assert meanwhile == {}
    first, second = attempts_of(database, lead_id)
    assert (first.state, second.state) == ("refused", "live")
    assert [one.attempt_id for one in events_of(database, "late_dial")] == [first.id]
    assert lead_of(database, lead_id).lead_status == "open"
    assert phone_statuses(database, lead_id) == ["active"]


def test_a_call_made_for_an_attempt_that_was_given_up_is_hung_up_and_owned_up_to(runtime, database, clock):
    number = chilean()
    lead_id = add_due_lead(database, number)
    frozen, other = Station(runtime, owner="frozen"), Station(runtime, owner="other")
    other.provider.forgets(number)

    def freeze(request) -> Accepted:
        for _ in range(4):  # its lease runs out, it is silent for long, its call is looked up and never found
            clock.advance(8 * MINUTE)
            other.upkeep()
            other.follow()
        assert attempt_of(database, lead_id).state == "refused"
        return Accepted(call_id_of(request.attempt_ref))

    frozen.provider.answers(number, freeze)
    frozen.dispatch()

    call_id = call_id_of(frozen.provider.dials[0].attempt_ref)
    assert frozen.provider.hung_up == [call_id]
    assert (attempt_of(database, lead_id).state, attempt_of(database, lead_id).provider_call_id) == ("ended", call_id)
    assert [one.lead_id for one in events_of(database, "late_dial")] == [lead_id]


def test_a_request_sent_too_late_is_written_down_as_late(runtime, database, clock):
    lead_id = add_due_lead(database)
    station = Station(runtime)

    def stopped_in_the_last_moment(request) -> Accepted:
        clock.advance(30 * SECOND)  # by the database's clock; this host's stood still
        return Accepted(call_id_of(request.attempt_ref))

    station.provider.answers(None, stopped_in_the_last_moment)
    station.dispatch()

    assert [one.lead_id for one in events_of(database, "late_dial")] == [lead_id]
    assert attempt_of(database, lead_id).placed_at > attempt_of(database, lead_id).dial_before
    assert broken_promises(database) == {}


LATE_BY = 15
MEANWHILE = ("nothing", "its lease ran out", "it was found live", "it was found over", "it was given up")


@pytest.mark.parametrize("meanwhile", MEANWHILE)
@pytest.mark.parametrize("answered", ["accepted", "lost", "refused"])
def test_a_late_request_is_said_whatever_was_answered_and_whoever_settled_its_attempt(
    runtime, database, clock, answered, meanwhile
):
    number = chilean()
    lead_id = add_due_lead(database, number)
    frozen, other = Station(runtime, owner="frozen"), Station(runtime, owner="other")
    has_call = answered != "refused"
    answers = {"accepted": lambda ref: Accepted(call_id_of(ref)), "lost": lambda _: Unanswered("reset"),
               "refused": lambda _: refused()}

    def wake(request):
        leave_late_by(LATE_BY)
        others_go_on(other, number, clock, meanwhile)
        return answers[answered](request.attempt_ref)

    frozen.provider.answers(number, wake)
    if not has_call:
        frozen.provider.forgets(number)
    frozen.dispatch()
    attempt = attempts_of(database, lead_id)[0]
    [late] = events_of(database, "late_dial")

    assert (late.attempt_id, late.lead_id) == (attempt.id, lead_id)
    assert late.details["late_seconds"] >= LATE_BY - 1
    assert [line for line in frozen.lines if line.kind == "late_dial" and line.level == "error"]
    assert attempt.placed_at > attempt.dial_before, "it says when it really left"
    assert "late_dial" in {one.code for one in list_alerts(runtime=runtime)}
    assert broken_promises(database) == {}
    is_over = meanwhile == "it was found over"
    if has_call and not is_over:
        clock.advance(MINUTE)
        frozen.follow()
        call_id = call_id_of(frozen.provider.dials[0].attempt_ref)
        assert call_id in frozen.provider.hung_up
        frozen.provider.ends(number, "failed")
        for _ in range(3):
            clock.advance(MINUTE)
            frozen.follow()
        [attempt] = find_all(database, tables.call_attempts, id=attempt.id)
        assert (attempt.state, attempt.provider_call_id) == ("ended", call_id)
    assert broken_promises(database) == {}


def test_a_late_call_is_hung_up_though_the_database_is_away(runtime, database, clock):
    add_due_lead(database)
    station = Station(runtime)
    station.dispatcher = DatabaselessAnswers(station.runtime, owner="station:1", reporter=station.reporter)

    def wake(request):
        leave_late_by(LATE_BY)
        return Accepted(call_id_of(request.attempt_ref))

    station.provider.answers(None, wake)
    station.dispatcher.run_once()
    wait_until(lambda: station.provider.hung_up, what="it is hung up")

    assert station.provider.hung_up == [call_id_of(station.provider.dials[0].attempt_ref)]


def test_a_late_request_outside_hours_says_so(runtime, database, clock):
    lead_id = add_due_lead(database)
    station = Station(runtime)

    def wake(request):
        sql(database, "UPDATE call_attempts SET open_until = dial_before")
        leave_late_by(LATE_BY)
        return Accepted(call_id_of(request.attempt_ref))

    station.provider.answers(None, wake)
    station.dispatch()

    [late] = events_of(database, "late_dial")
    assert late.lead_id == lead_id
    assert late.details["outside_hours"] is True
    assert "outside hours" in late.reason


def test_a_request_that_left_in_time_is_not_late_however_long_its_process_was_stopped_afterwards(runtime, database):
    station = Station(runtime)
    lead_id = add_due_lead(database)

    def wake(request):
        one = current()
        one.look()
        one.seen_at = one.send_before - 1
        return Accepted(call_id_of(request.attempt_ref))

    station.provider.answers(None, wake)
    station.dispatch()

    assert events_of(database, "late_dial") == []
    assert (attempt_of(database, lead_id).state, station.provider.hung_up) == ("live", [])


def test_a_frozen_daemon_that_sent_nothing_says_so_though_its_lease_ran_out(runtime, database, clock):
    number = chilean()
    lead_id = add_due_lead(database, number)
    frozen, other = Station(runtime, owner="frozen"), Station(runtime, owner="other")

    def wake(request):
        others_go_on(other, number, clock, "its lease ran out")
        return Refused(RefusalKind.NEVER_SENT, "its dial budget was over", ours=True)

    frozen.provider.answers(number, wake)
    frozen.dispatch()

    assert attempt_of(database, lead_id).state == "refused"
    assert (call_of(database, lead_id).status, call_of(database, lead_id).lease_token) == ("pending", None)
    assert events_of(database, "late_dial") == []
    assert broken_promises(database) == {}


def test_a_row_cancelled_by_hand_while_it_is_dialed_keeps_no_lease(runtime, database):
    station = Station(runtime)
    lead_id = add_due_lead(database)

    def meanwhile(request) -> Refused:
        sql(database, "UPDATE call_schedule SET status = 'cancelled'")
        return refused()

    station.provider.answers(None, meanwhile)
    station.dispatch()
    station.upkeep()

    assert call_of(database, lead_id).status == "cancelled"
    assert broken_promises(database) == {}


def test_a_stopped_dispatcher_takes_nothing_new(runtime, database):
    station = Station(runtime)
    add_due_lead(database)

    station.dispatcher.stop()

    assert station.dispatcher.run_once().taken == 0


def test_two_daemons_share_the_work_and_overlap_nowhere(runtime, database):
    set_config(database, max_concurrent_calls="1000")
    leads = [add_due_lead(database) for _ in range(60)]
    stations = [Station(runtime, owner=f"daemon-{number}", places=5) for number in range(3)]
    threads = [threading.Thread(target=station.dispatch_until_quiet) for station in stations]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(BACKSTOP)

    dialed = [number for station in stations for number in station.provider.numbers]
    assert len(dialed) == len(set(dialed)) == len(leads)
    assert all(len(calls_of(database, lead_id)) == 1 for lead_id in leads)
    assert broken_promises(database) == {}


# --- what this file needs ---------------------------------------------------------------------------------


class DatabaselessAnswers(Dispatcher):
    """The database is away from the first answer on."""

    def record_answers(self) -> int:
        if self._results.empty():
            return 0
        raise DatabaseUnavailable("it is away")


def leave_late_by(seconds: float) -> None:
    """This process was stopped between its last look at the clock and its request."""
    one = current()
    one.look()
    one.seen_at = one.send_before + seconds


def others_go_on(other: Station, number: str, clock: ManualClock, meanwhile: str) -> None:
    """What another daemon did of the attempt while ours was stopped."""
    if meanwhile == "nothing":
        return
    if meanwhile == "it was found over":
        other.provider.ends(number, "completed")
    if meanwhile in ("its lease ran out", "it was given up"):
        other.provider.forgets(number)
    for _ in range(4 if meanwhile == "it was given up" else 1):
        clock.advance(8 * MINUTE)
        other.upkeep()
        if meanwhile != "its lease ran out":
            other.follow()



class MeddlingClock:
    """A clock that lets somebody act at its n-th reading, once."""

    def __init__(self, clock: ManualClock, *, at_reading: int, act: Callable[[], object]) -> None:
        self._clock, self._left, self._act = clock, at_reading, act
        self.has_acted = False

    def now(self):
        self._left -= 1
        if self._left == 0:
            self.has_acted = True
            self._act()
        return self._clock.now()


class MeddlingRules(RuleBook):
    """The rules, at whose reading by a take somebody acts, once."""

    def __init__(self, act: Callable[[], object]) -> None:
        super().__init__()
        self._act: Callable[[], object] | None = act

    def read(self, connection: Connection, campaigns: Iterable[Campaign] = ()) -> Rules:
        act, self._act = self._act, None
        if act is not None:
            act()
        return super().read(connection, campaigns)


def with_clock(runtime: Runtime, clock: MeddlingClock) -> Runtime:
    return Runtime(runtime.settings, runtime.database, clock, runtime.providers)


def phone_statuses(database: Database, lead_id: int) -> list[str]:
    return [phone.status for phone in find_all(database, tables.lead_phones, lead_id=lead_id)]
