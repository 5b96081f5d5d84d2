"""Trouble of a provider's own: an outage spends no attempt, a call that people stopped there is not made again."""

from __future__ import annotations

from datetime import timedelta

import pytest

from scheduler.errors import ProviderError
from scheduler.model import Outcome
from scheduler.providers.base import CallReport, Phase, RefusalKind, Refused, Unanswered
from scheduler.service import operations
from scheduler.store import tables
from tests.conftest import sqlite_suffices
from tests.factories import (
    HOUR,
    MINUTE,
    Station,
    add_due_lead,
    attempt_of,
    attempts_of,
    broken_promises,
    calls_of,
    chilean,
    events_of,
    find_all,
    lead_of,
)

SECOND = timedelta(seconds=1)
NO_WAY = CallReport("", Phase.ENDED, provider_status="no way", refusal=Refused(RefusalKind.OUTAGE, "no way through"))


def test_an_outage_of_many_calls_closes_nobody_and_spends_nothing(runtime, database, clock):
    station = Station(runtime)
    numbers = [chilean() for _ in range(6)]
    leads = [add_due_lead(database, number) for number in numbers]
    for number in numbers:
        station.provider.knows(number, NO_WAY)
    dialed = 0
    for _ in range(40):
        station.dispatch()
        clock.advance(SECOND)
        station.follow()
        clock.advance(2 * HOUR)
        dialed = len(station.provider.dials)

    assert dialed > 3 * len(leads), "they are tried again, more slowly"
    assert {lead_of(database, one).lead_status for one in leads} == {"open"}
    assert {lead_of(database, one).call_attempts_count for one in leads} == {0}
    assert {row.attempt_number for one in leads for row in calls_of(database, one)} == {1}
    assert not [row for one in leads for row in calls_of(database, one) if row.hold is not None]
    assert broken_promises(database) == {}


def test_an_outage_opens_the_breaker_although_every_start_is_accepted(runtime, database, clock):
    station = Station(runtime)
    opened = []
    for _ in range(5):
        number = chilean()
        add_due_lead(database, number)
        station.provider.knows(number, NO_WAY)
        station.dispatch()
        clock.advance(SECOND)
        station.follow()
        opened.append(len(events_of(database, "breaker_open")))

    assert opened == [0, 0, 0, 0, 1], "five calls in a row found no way"
    add_due_lead(database)
    assert station.dispatch().taken == 0


@sqlite_suffices
def test_one_call_that_found_no_way_among_those_that_did_slows_nothing(runtime, database, clock):
    station = Station(runtime)
    for turn in range(12):
        number = chilean()
        add_due_lead(database, number)
        if turn % 2:
            station.provider.knows(number, NO_WAY)
        else:
            station.provider.ends(number, "no_answer")
        station.dispatch()
        clock.advance(SECOND)
        station.follow()

    assert len(station.provider.dials) == 12
    assert events_of(database, "breaker_open") == []


# --- stopped by people ------------------------------------------------------------------------------------


def test_a_call_that_somebody_cancelled_at_the_provider_is_not_made_again_by_itself(runtime, database, clock):
    station = Station(runtime)
    number = chilean()
    lead_id = add_due_lead(database, number)
    station.dispatch()
    station.provider.ends(number, "cancelled")
    clock.advance(SECOND)
    station.follow()
    clock.advance(30 * HOUR)
    station.dispatch()

    assert len(station.provider.dials) == 1
    assert (lead_of(database, lead_id).lead_status, lead_of(database, lead_id).closed_reason) == ("closed", "cancelled")
    assert "somebody cancelled the call at the provider" in events_of(database, "closed")[0].reason
    operations.reopen_lead(lead_id, runtime=station.runtime)
    assert lead_of(database, lead_id).lead_status == "open"


def test_a_call_that_we_hung_up_is_made_again(runtime, database, clock):
    station = Station(runtime)
    number = chilean()
    lead_id = add_due_lead(database, number)
    station.dispatch()
    operations.hang_up_call(attempt_of(database, lead_id).id, runtime=station.runtime)
    station.provider.ends(number, "cancelled")
    clock.advance(SECOND)
    station.follow()

    assert lead_of(database, lead_id).lead_status == "open"
    assert [row.status for row in calls_of(database, lead_id)] == ["completed", "pending"]


# --- lost starts, and words that nobody knows ---------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 3])
def test_the_error_of_a_lost_start_is_no_part_of_what_the_call_came_to(runtime, database, clock, batch):
    station = Station(runtime)
    leads = []
    for at in range(batch):
        number = chilean()
        leads.append(add_due_lead(database, number))
        station.provider.answers(number, Unanswered(f"the line went dead ({at})"))
        station.provider.ends(number, "completed")
    station.dispatch()
    before = [attempt_of(database, one).error for one in leads]
    clock.advance(MINUTE)
    station.follow()

    assert all(before)
    assert [(attempt_of(database, one).outcome, attempt_of(database, one).error) for one in leads] == (
        [("completed", None)] * batch
    )


def test_a_call_whose_word_nobody_knows_counts_as_live_and_people_are_told(runtime, database, clock):
    station = Station(runtime)
    number = chilean()
    lead_id = add_due_lead(database, number)
    station.dispatch()
    station.provider.knows(number, CallReport("", Phase.DIALING, provider_status="hovering", known_word=False))
    clock.advance(MINUTE)
    station.follow()
    live = attempt_of(database, lead_id)
    station.provider.ends(number, "no_answer")
    clock.advance(MINUTE)
    station.follow()

    assert (live.state, live.outcome) == ("live", None)
    assert "'hovering', which is not known" in live.error
    assert (attempt_of(database, lead_id).outcome, attempt_of(database, lead_id).error) == ("no_answer", None)


def test_a_word_that_nobody_knows_is_over_once_there_is_nothing_left_to_hang_up(runtime, database, clock):
    station = Station(runtime)
    number = chilean()
    lead_id = add_due_lead(database, number)
    station.dispatch()
    station.provider.knows(number, CallReport("", Phase.DIALING, provider_status="hovering", known_word=False))
    station.provider.hang_up = lambda call_id: False
    clock.advance(24 * HOUR)
    station.follow()

    one = attempt_of(database, lead_id)
    assert (one.state, one.outcome, one.provider_status) == ("ended", "failed", "hovering")


# --- calls that could be ours ---------------------------------------------------------------------------------


def test_a_call_that_nothing_proves_waits_for_people_who_say_what_became_of_it(runtime, database, clock):
    station = Station(runtime)
    number = chilean()
    lead_id = add_due_lead(database, number)
    station.provider.answers(number, Unanswered("swallowed"))
    station.dispatch()
    station.provider.trouble = ProviderError("a call could be it, but nothing proves it", permanent=True)
    for _ in range(50):
        clock.advance(10 * MINUTE)
        station.follow()
        station.upkeep()
        station.dispatch()
    one = attempt_of(database, lead_id)

    assert (one.state, lead_of(database, lead_id).lead_status, len(attempts_of(database, lead_id))) == (
        "unknown", "open", 1
    )
    assert "nothing proves it" in one.error
    operations.resolve_call(one.id, "no_answer", runtime=station.runtime)
    assert attempt_of(database, lead_id).outcome == "no_answer"


def test_a_number_that_was_invalid_and_then_answered_is_usable_again(runtime, database, clock):
    station = Station(runtime)
    number = chilean()
    lead_id = add_due_lead(database, number)
    station.dispatch()
    one = attempt_of(database, lead_id)
    for outcome in ("invalid_number", "voicemail"):
        station.hears(outcome, CallReport(
            "", Phase.ENDED, outcome=Outcome(outcome), provider_status=outcome
        ), ref=one.attempt_ref, call_id=one.provider_call_id)
        station.turn_inbox()

    assert [phone.status for phone in find_all(database, tables.lead_phones)] == ["active"]
    assert lead_of(database, lead_id).lead_status == "open"
    assert [row.status for row in calls_of(database, lead_id)] == ["completed", "pending"]
