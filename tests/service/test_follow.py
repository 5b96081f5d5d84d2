from __future__ import annotations

from datetime import timedelta

import pytest

from scheduler.errors import ProviderError
from scheduler.providers.base import CallReport, NothingProven, Phase, Unanswered
from scheduler.store import tables
from tests.conftest import NOON
from tests.factories import (
    HOUR,
    MINUTE,
    ScriptedProvider,
    Station,
    add_campaign,
    add_due_lead,
    attempt_of,
    broken_promises,
    call_id_of,
    call_of,
    calls_of,
    chilean,
    find_all,
    lead_of,
    set_config,
    sql,
)

SECOND = timedelta(seconds=1)
SETTLE = timedelta(seconds=120)
RING = timedelta(seconds=30)
LONGEST = timedelta(seconds=30 + 600 + 30)  # ring time-out, maximum duration, grace


# --- live calls -------------------------------------------------------------------------------------------


def test_a_live_call_is_asked_about_when_its_look_is_due(runtime, database, clock):
    station = Station(runtime)
    lead_id = add_due_lead(database)
    station.dispatch()

    at_once = station.follow().asked
    clock.advance(SECOND)
    soon, again = station.follow().asked, station.follow().asked

    assert (at_once, soon, again) == (0, 1, 0)
    assert attempt_of(database, lead_id).next_poll_at == clock.now() + 10 * SECOND


def test_the_end_of_a_call_is_learnt_and_applied(runtime, database, clock):
    station = Station(runtime)
    number = chilean()
    lead_id = add_due_lead(database, number)
    station.dispatch()
    station.provider.ends(number, "busy")

    clock.advance(MINUTE)
    report = station.follow()

    assert report.ended == 1
    assert attempt_of(database, lead_id).outcome == "busy"
    assert [one.status for one in calls_of(database, lead_id)] == ["completed", "pending"]
    assert broken_promises(database) == {}


def test_that_somebody_answered_is_noted_once(runtime, database, clock):
    station = Station(runtime)
    number = chilean()
    lead_id = add_due_lead(database, number)
    station.dispatch()
    for at in (NOON + 20 * SECOND, NOON + 25 * SECOND):
        station.provider.knows(number, CallReport("", Phase.ANSWERED, answered_at=at))
        clock.advance(MINUTE)
        station.follow()

    assert attempt_of(database, lead_id).answered_at == NOON + 20 * SECOND
    assert attempt_of(database, lead_id).state == "live"


def test_a_call_past_its_longest_time_is_hung_up_and_ends_with_the_next_report(runtime, database, clock):
    station = Station(runtime)
    number = chilean()
    lead_id = add_due_lead(database, number)
    station.dispatch()

    clock.advance(LONGEST - MINUTE)
    station.follow()
    early = list(station.provider.hung_up)
    clock.advance(2 * MINUTE)
    station.follow()

    assert (early, station.provider.hung_up) == ([], [attempt_of(database, lead_id).provider_call_id])
    assert attempt_of(database, lead_id).state == "live"
    station.provider.ends(number, "hang_up")
    clock.advance(MINUTE)
    station.follow()
    assert attempt_of(database, lead_id).outcome == "hang_up"


def test_a_live_call_that_the_provider_forgot_has_failed_once_its_longest_time_is_over(runtime, database, clock):
    station = Station(runtime)
    number = chilean()
    lead_id = add_due_lead(database, number)
    station.dispatch()
    station.provider.forgets(number)

    clock.advance(MINUTE)
    station.follow()
    meanwhile = attempt_of(database, lead_id).state
    clock.advance(LONGEST)
    station.follow()

    assert meanwhile == "live"
    one = attempt_of(database, lead_id)
    assert (one.state, one.outcome, one.provider_status) == ("ended", "failed", "gone")
    assert call_of(database, lead_id).attempt_number == 2


def test_the_longest_time_is_that_of_the_campaign(runtime, database, clock):
    station = Station(runtime)
    campaign_id = add_campaign(database, call_settings={"max_call_duration": 60, "ring_timeout": 10})
    add_due_lead(database, campaign_id=campaign_id)
    station.dispatch()

    clock.advance(2 * MINUTE)
    station.follow()

    assert len(station.provider.hung_up) == 1


def test_a_call_that_cannot_be_hung_up_does_not_hide_the_ends_of_others(runtime, database, clock):
    station = Station(runtime)
    stuck, done = chilean(), chilean()
    leads = [add_due_lead(database, stuck, at=NOON - HOUR), add_due_lead(database, done)]
    station.dispatch()
    station.provider.cannot_hang_up = {attempt_of(database, leads[0]).provider_call_id}
    station.provider.ends(done, "completed")

    clock.advance(LONGEST + MINUTE)
    station.follow()

    assert attempt_of(database, leads[1]).outcome == "completed"
    assert attempt_of(database, leads[0]).state == "live"


def test_trouble_at_the_provider_concludes_nothing_and_is_asked_again(runtime, database, clock):
    station = Station(runtime)
    number = chilean()
    lead_id = add_due_lead(database, number)
    station.dispatch()
    station.provider.trouble = ProviderError("502")
    clock.advance(MINUTE)

    station.follow()
    during = attempt_of(database, lead_id)
    station.provider.trouble = None
    station.provider.ends(number, "completed")
    clock.advance(MINUTE)
    station.follow()

    assert (during.state, during.next_poll_at) == ("live", NOON + MINUTE + 10 * SECOND)
    assert any("502" in line for line in station.said("tick_failed"))
    assert attempt_of(database, lead_id).outcome == "completed"


def test_calls_are_followed_at_the_provider_that_placed_them(runtime, database, clock):
    old, new = ScriptedProvider("old"), ScriptedProvider("new")
    number = chilean()
    campaign_id = add_campaign(database, provider="old")
    lead_id = add_due_lead(database, number, campaign_id=campaign_id)
    station = Station(runtime, new, providers={"old": old, "new": new})
    station.dispatch()

    sql(database, "UPDATE campaigns SET provider = 'new'")
    old.ends(number, "completed")
    clock.advance(MINUTE)
    station.follow()

    assert attempt_of(database, lead_id).outcome == "completed"
    assert new.polls == []


def test_calls_of_a_provider_that_is_gone_wait_and_are_complained_about(runtime, database, clock):
    lead_id = add_due_lead(database)
    Station(runtime, ScriptedProvider("old")).dispatch()
    station = Station(runtime, ScriptedProvider("new"))

    clock.advance(MINUTE)
    station.follow()

    assert attempt_of(database, lead_id).state == "live"
    assert any("old" in line for line in station.said("settings_refused"))


def test_two_daemons_never_ask_about_one_call_at_the_same_time(runtime, database, clock):
    one, other = Station(runtime, owner="one"), Station(runtime, owner="other")
    add_due_lead(database)
    one.dispatch()

    clock.advance(MINUTE)
    one.follow()
    other.follow()

    assert (len(one.provider.polls), len(other.provider.polls)) == (1, 0)


# --- unknown calls -----------------------------------------------------------------------------------------------


def test_an_unknown_call_that_is_found_live_goes_on_as_one(runtime, database, clock):
    station = Station(runtime)
    lead_id = unanswered(station, chilean())

    clock.advance(10 * SECOND)
    report = station.follow()

    one = attempt_of(database, lead_id)
    assert report.found == 1
    assert (one.state, one.provider_call_id) == ("live", call_id_of(one.attempt_ref))
    assert one.placed_at is not None
    assert one.next_poll_at > clock.now()
    assert (len(station.provider.dials), call_of(database, lead_id).status) == (1, "in_progress")
    assert broken_promises(database) == {}


def test_an_unknown_call_that_is_found_over_is_ended_with_its_outcome(runtime, database, clock):
    station = Station(runtime)
    number = chilean()
    lead_id = unanswered(station, number)
    station.provider.ends(number, "completed")

    clock.advance(10 * SECOND)
    station.follow()

    one = attempt_of(database, lead_id)
    assert (one.state, one.outcome, one.provider_call_id) == ("ended", "completed", call_id_of(one.attempt_ref))
    assert lead_of(database, lead_id).closed_reason == "completed"
    assert broken_promises(database) == {}


def test_not_found_concludes_nothing_before_the_settle_time(runtime, database, clock):
    station = Station(runtime)
    number = chilean()
    lead_id = unanswered(station, number)
    station.provider.forgets(number)

    while clock.now() < NOON + SETTLE - 10 * SECOND:
        clock.advance(10 * SECOND)
        station.follow()

    assert attempt_of(database, lead_id).lookups > 3
    assert attempt_of(database, lead_id).state == "unknown"
    assert call_of(database, lead_id).status == "in_progress"


@pytest.mark.parametrize("looks, state", [(1, "unknown"), (2, "unknown"), (3, "refused")])
def test_not_found_after_the_settle_time_needs_three_looks(runtime, database, clock, looks, state):
    station = Station(runtime)
    number = chilean()
    lead_id = unanswered(station, number)
    station.provider.forgets(number)
    clock.advance(SETTLE)

    for _ in range(looks):
        clock.advance(MINUTE)
        station.follow()

    assert attempt_of(database, lead_id).state == state


def test_a_call_that_was_never_made_spends_nothing(runtime, database, clock):
    station = Station(runtime)
    number = chilean()
    lead_id = unanswered(station, number, attempt_number=2)
    station.provider.forgets(number)

    for _ in range(3):
        clock.advance(MINUTE)
        station.follow()

    row = call_of(database, lead_id)
    assert (row.status, row.attempt_number, row.phone_position) == ("pending", 2, 1)
    assert "not spent" in row.reason
    assert lead_of(database, lead_id).call_attempts_count == 0
    assert broken_promises(database) == {}
    assert station.dispatch().dialed == 1


def test_a_look_up_that_fails_is_no_look(runtime, database, clock):
    station = Station(runtime)
    number = chilean()
    lead_id = unanswered(station, number)
    station.provider.forgets(number)
    station.provider.trouble = ProviderError("maintenance")

    for _ in range(6):
        clock.advance(MINUTE)
        station.follow()

    assert (attempt_of(database, lead_id).state, attempt_of(database, lead_id).lookups) == ("unknown", 0)


def test_a_call_found_at_last_is_a_call_however_often_it_was_not(runtime, database, clock):
    station = Station(runtime)
    number = chilean()
    lead_id = unanswered(station, number)
    station.provider.forgets(number)
    for _ in range(2):
        clock.advance(MINUTE)
        station.follow()

    station.provider.ends(number, "no_answer")
    clock.advance(MINUTE)
    station.follow()

    assert attempt_of(database, lead_id).outcome == "no_answer"
    assert call_of(database, lead_id).attempt_number == 2


def test_at_a_provider_that_cannot_find_a_call_it_counts_as_failed_when_it_must_be_over(runtime, database, clock):
    station = Station(runtime, ScriptedProvider(finds_by_ref=False))
    number = chilean()
    lead_id = unanswered(station, number)
    station.provider.forgets(number)

    clock.advance(LONGEST - SECOND)
    station.follow()
    before = attempt_of(database, lead_id).state
    clock.advance(20 * SECOND)
    station.follow()

    assert before == "unknown"
    one = attempt_of(database, lead_id)
    assert (one.state, one.outcome) == ("ended", "failed")
    assert call_of(database, lead_id).attempt_number == 2
    assert lead_of(database, lead_id).call_attempts_count == 1
    assert broken_promises(database) == {}


def test_a_call_of_which_nothing_is_proven_this_time_is_none_that_was_never_made(runtime, database, clock):
    station = Station(runtime)
    lead_id = unanswered(station, chilean())
    station.provider.trouble = NothingProven("it was started since")

    for _ in range(6):
        clock.advance(MINUTE)
        station.follow()
    one = attempt_of(database, lead_id)
    assert (one.state, one.error) == ("unknown", "it was started since")
    clock.advance(LONGEST)
    station.follow()

    one = attempt_of(database, lead_id)
    assert (one.state, one.outcome) == ("ended", "failed")
    assert "it was started since" in one.error
    assert lead_of(database, lead_id).call_attempts_count == 1


def test_a_call_is_hung_up_at_its_maximum_from_the_answer_where_that_is_known(runtime, database, clock):
    station = Station(runtime)
    number = chilean()
    lead_id = add_due_lead(database, number)
    station.dispatch()
    station.provider.knows(number, CallReport("", Phase.ANSWERED, answered_at=NOON + SECOND))
    clock.advance(10 * SECOND)
    station.follow()

    clock.advance(LONGEST - RING - 15 * SECOND)
    station.follow()
    early = list(station.provider.hung_up)
    clock.advance(10 * SECOND)
    station.follow()

    assert (early, station.provider.hung_up) == ([], [attempt_of(database, lead_id).provider_call_id])


def test_a_provider_whose_not_found_proves_nothing_may_still_find_a_call(runtime, database, clock):
    station = Station(runtime, ScriptedProvider(finds_by_ref=False))
    lead_id = unanswered(station, chilean())

    clock.advance(MINUTE)
    station.follow()

    assert attempt_of(database, lead_id).state == "live"


def test_a_call_that_a_vendor_cannot_end_stays_live_and_says_so_to_people(runtime, database, clock):
    station = Station(runtime)
    lead_id = add_due_lead(database)
    station.dispatch()
    station.provider.hang_up = cannot_end  # a vendor without that request
    clock.advance(LONGEST + MINUTE)
    station.follow()
    station.follow()

    one = attempt_of(database, lead_id)
    assert (one.state, one.error) == ("live", "past its maximum duration, and this vendor cannot end a call")
    assert station.said("tick_failed") == []


def cannot_end(call_id: str) -> bool:
    raise ProviderError("this vendor cannot end a call", permanent=True)


def test_why_a_lookup_failed_can_be_read_from_the_attempt(runtime, database, clock):
    station = Station(runtime)
    lead_id = unanswered(station, chilean())
    station.provider.trouble = ProviderError("two calls could be the one: people must decide", permanent=True)

    clock.advance(MINUTE)
    station.follow()

    one = attempt_of(database, lead_id)
    assert (one.state, one.error) == ("unknown", "two calls could be the one: people must decide")


def test_a_row_cancelled_while_its_call_was_unknown_stays_cancelled(runtime, database, clock):
    station = Station(runtime)
    number = chilean()
    lead_id = unanswered(station, number)
    station.provider.forgets(number)
    sql(database, "UPDATE call_schedule SET status = 'cancelled'")

    for _ in range(3):
        clock.advance(MINUTE)
        station.follow()

    assert attempt_of(database, lead_id).state == "refused"
    assert [one.status for one in calls_of(database, lead_id)] == ["cancelled"]
    assert broken_promises(database) == {}


@pytest.mark.parametrize("permanent", [True, False])
def test_one_call_that_cannot_be_looked_up_does_not_hide_the_others(runtime, database, clock, permanent):
    class Choosy(ScriptedProvider):
        def find(self, call, now):
            if call.number == odd:
                raise ProviderError("malformed reference", permanent=permanent)
            return super().find(call, now)

    odd, even = chilean(), chilean()
    station = Station(runtime, Choosy())
    unanswered(station, odd)
    lead_id = unanswered(station, even)
    station.provider.ends(even, "completed")

    for _ in range(3):
        clock.advance(MINUTE)
        station.follow()

    assert attempt_of(database, lead_id).outcome == "completed"


def test_hundreds_of_calls_are_followed_in_one_turn(runtime, database, clock):
    set_config(database, max_concurrent_calls="1000")
    station = Station(runtime, places=60)
    numbers = [chilean() for _ in range(60)]
    for number in numbers:
        add_due_lead(database, number)
        station.provider.ends(number, "no_answer")
    station.dispatch_until_quiet()

    clock.advance(MINUTE)
    report = station.follow()

    assert report.ended == 60
    assert {one.outcome for one in find_all(database, tables.call_attempts)} == {"no_answer"}
    assert broken_promises(database) == {}


# --- what this file needs --------------------------------------------------------------------------------------------


def unanswered(station: Station, number: str, **columns) -> int:
    """A lead whose dial got no answer. Returns the lead."""
    lead_id = add_due_lead(station.runtime.database, number, **columns)
    station.provider.answers(number, Unanswered("timed out"))
    station.dispatch()
    return lead_id
