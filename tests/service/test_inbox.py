"""What providers post: stored first, applied once, in any order; and what is learnt of a call after its end."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scheduler.model import Outcome
from scheduler.providers.base import CallReport, Phase, ProviderEvent, RefusalKind, Refused, Unanswered
from scheduler.service import accounts
from scheduler.service.alerts import list_alerts
from scheduler.service.checks import run_checks
from scheduler.store import reports, tables
from tests.conftest import NOON
from tests.examples import examples
from tests.factories import (
    DAY,
    HOUR,
    MINUTE,
    Station,
    add_campaign,
    add_due_lead,
    attempt_of,
    attempts_of,
    broken_promises,
    call_id_of,
    call_of,
    calls_of,
    chilean,
    events_of,
    find,
    find_all,
    lead_of,
    sql,
)

SECOND = timedelta(seconds=1)


@pytest.fixture
def station(runtime) -> Station:
    return Station(runtime)


def test_an_event_is_applied_once_however_often_it_comes(station, database):
    lead_id = live_lead(station, database)
    new = [tell(station, database, lead_id, "end", ended("no_answer")) for _ in range(10)]
    station.turn_inbox()
    again = tell(station, database, lead_id, "end", ended("no_answer"))
    station.turn_inbox()

    assert (sum(new), again) == (1, 0)
    assert lead_of(database, lead_id).call_attempts_count == 1
    assert [one.status for one in calls_of(database, lead_id)] == ["completed", "pending"]
    assert len(find_all(database, tables.provider_events)) == 1


def test_events_of_calls_that_are_not_ours_are_not_taken_in(station, database):
    lead_id = live_lead(station, database)
    ref = attempt_of(database, lead_id).attempt_ref
    ours = ProviderEvent("mine", "end", {}, attempt_ref=ref, call_id=ref)
    theirs = [ProviderEvent(f"their-{one}", "end", {}, attempt_ref=one) for one in ("a", "b", None)]

    assert station.inbox.keep_own("scripted", [*theirs, ours]) == 1
    assert station.inbox.keep_own("scripted", theirs) == 0
    assert [one.event_key for one in find_all(database, tables.provider_events)] == ["mine"]


def test_an_event_and_a_poll_report_the_same_end_once(station, database, clock):
    number = chilean()
    lead_id = live_lead(station, database, number)
    station.provider.ends(number, "busy")
    tell(station, database, lead_id, "end", ended("busy"))
    station.turn_inbox()
    clock.advance(MINUTE)
    station.follow()

    assert lead_of(database, lead_id).call_attempts_count == 1
    assert len(calls_of(database, lead_id)) == 2


STORY = {
    "ringing": CallReport("", Phase.RINGING),
    "answered": CallReport("", Phase.ANSWERED, answered_at=NOON + 5 * SECOND),
    "ended": CallReport(
        "", Phase.ENDED, outcome=Outcome.COMPLETED, provider_status="user_hangup", talk_seconds=40,
        answered_at=NOON + 5 * SECOND, is_final=False,
    ),
    "analysed": CallReport(
        "", Phase.ENDED, outcome=Outcome.VOICEMAIL, provider_status="user_hangup", talk_seconds=40,
        answered_at=NOON + 5 * SECOND, summary="a machine", cost=Decimal("1.5"), cost_unit="usd_cents",
    ),
}  # fmt: skip


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("order", list(itertools.permutations(STORY)), ids=lambda order: "-".join(order))
@pytest.mark.parametrize("together", [True, False], ids=["at once", "one by one"])
def test_every_order_of_events_leads_to_the_same_end(station, database, clock, order, together):
    lead_id = live_lead(station, database)
    for key in order:
        tell(station, database, lead_id, key, STORY[key])
        if not together:
            station.turn_inbox()
    for _ in range(3):
        station.turn_inbox()
        clock.advance(SECOND)

    one, lead = attempt_of(database, lead_id), lead_of(database, lead_id)
    assert (one.state, one.outcome, one.summary, one.talk_seconds) == ("ended", "voicemail", "a machine", 40)
    assert (one.cost, one.cost_unit, one.answered_at) == (Decimal("1.5"), "usd_cents", NOON + 5 * SECOND)
    assert (lead.lead_status, lead.call_status, lead.call_attempts_count) == ("open", "voicemail", 1)
    waiting = [row for row in calls_of(database, lead_id) if row.status == "pending"]
    assert [row.attempt_number for row in waiting] == [2]
    assert broken_promises(database) == {}


@pytest.mark.parametrize("told", [tuple(STORY)[:n] for n in range(1, 5)] + [("ended", "analysed"), ("analysed",)])
def test_polling_completes_whatever_events_were_lost(station, database, clock, told):
    number = chilean()
    lead_id = live_lead(station, database, number)
    station.provider.knows(number, STORY["analysed"])
    for key in told:
        tell(station, database, lead_id, key, STORY[key])
    station.turn_inbox()
    for _ in range(4):
        clock.advance(MINUTE)
        station.follow()

    one = attempt_of(database, lead_id)
    assert (one.state, one.outcome, one.summary) == ("ended", "voicemail", "a machine")
    assert one.next_poll_at is None
    assert lead_of(database, lead_id).call_attempts_count == 1
    assert broken_promises(database) == {}


def test_a_call_that_is_over_is_not_asked_about_for_ever(station, database, clock):
    number = chilean()
    lead_id = live_lead(station, database, number)
    station.provider.knows(number, STORY["ended"])
    for _ in range(60):
        clock.advance(MINUTE)
        station.follow()

    assert attempt_of(database, lead_id).next_poll_at is None
    assert len(station.provider.polls) < 8


def test_an_event_that_beats_our_own_commit_waits_and_is_applied(station, database, clock):
    station.hears("end", ended("busy"), call_id="call-of-nobody")
    first = station.turn_inbox()
    lead_id = live_lead(station, database)
    sql(database, "UPDATE call_attempts SET provider_call_id = 'call-of-nobody'")
    clock.advance(2 * SECOND)
    second = station.turn_inbox()

    assert (first.waiting, first.applied, second.applied) == (1, 0, 1)
    assert attempt_of(database, lead_id).outcome == "busy"


def test_the_end_of_a_call_still_being_placed_is_applied(runtime, database):
    station = Station(runtime)
    number = chilean()
    lead_id = add_due_lead(database, number)

    def answer_late(request):
        station.hears("end", ended("no_answer"), ref=request.attempt_ref, call_id=call_id_of(request.attempt_ref))
        station.turn_inbox()
        return Unanswered("the answer was lost")

    station.provider.answers(number, answer_late)
    station.dispatch()

    one = attempt_of(database, lead_id)
    assert (one.state, one.outcome, one.provider_call_id) == ("ended", "no_answer", call_id_of(one.attempt_ref))
    assert len(station.provider.dials) == 1
    assert broken_promises(database) == {}


def test_an_unknown_attempt_is_found_by_its_event(station, database):
    number = chilean()
    lead_id = add_due_lead(database, number)
    station.provider.answers(number, Unanswered("lost"))
    station.dispatch()
    tell(station, database, lead_id, "answered", STORY["answered"])
    station.turn_inbox()

    one = attempt_of(database, lead_id)
    assert (one.state, one.answered_at) == ("live", NOON + 5 * SECOND)


def test_an_event_without_proof_only_makes_us_ask(station, database, clock):
    number = chilean()
    lead_id = live_lead(station, database, number)
    tell(station, database, lead_id, "claims to be over", None)
    station.turn_inbox()
    still = attempt_of(database, lead_id).state
    station.provider.ends(number, "completed")
    station.follow()

    assert still == "live"
    assert attempt_of(database, lead_id).outcome == "completed"


@pytest.mark.parametrize(
    "payload", [{"call": {"duration_ms": -5}}, {"cost": "cheap"}, {"calls": [{"Duration": "-1"}]}, {"billsec": "1;2"}],
    ids=str,
)  # fmt: skip
def test_an_event_with_a_value_that_cannot_be_changes_no_lead_but_makes_us_ask(station, database, payload):
    number = chilean()
    lead_id = live_lead(station, database, number)
    one = attempt_of(database, lead_id)
    station.provider.told["odd"] = ended("completed")
    station.inbox.keep("scripted", [ProviderEvent("odd", "end", payload, attempt_ref=one.attempt_ref)])
    station.turn_inbox()
    after = attempt_of(database, lead_id).state
    station.provider.ends(number, "busy")
    station.follow()

    assert after == "live"
    assert len(station.said("event_doubted")) == 1
    assert attempt_of(database, lead_id).outcome == "busy"


def test_events_about_calls_that_nobody_knows_are_given_up_after_hours_and_hold_up_no_other(station, database, clock):
    station.hears("stranger", ended("busy"), call_id="somebody-elses")
    lead_id = live_lead(station, database)
    station.turn_inbox()
    tell(station, database, lead_id, "end", ended("busy"))
    station.turn_inbox()
    clock.advance(7 * HOUR)
    last = station.turn_inbox()

    assert attempt_of(database, lead_id).outcome == "busy"
    assert last.given_up == 1
    assert [one.result for one in find_all(database, tables.provider_events, event_key="stranger")] == [
        "about no call of ours"
    ]


def test_an_event_that_cannot_be_read_waits_and_the_others_go_on(station, database, clock):
    odd, other = live_lead(station, database), live_lead(station, database)
    tell(station, database, odd, "odd", ended("busy"))
    tell(station, database, other, "fine", ended("busy"))
    del station.provider.told["odd"]
    station.turn_inbox()

    assert attempt_of(database, odd).state == "live"
    assert attempt_of(database, other).outcome == "busy"
    waiting = find_all(database, tables.provider_events, event_key="odd")[0]
    assert waiting.processed_at is None
    assert waiting.tries == 1
    assert "KeyError" in waiting.result


def test_a_second_call_for_one_request_is_told_and_changes_nothing(station, database):
    lead_id = live_lead(station, database)
    ref = attempt_of(database, lead_id).attempt_ref
    station.hears("other", ended("completed"), ref=ref, call_id="a-second-call")
    station.turn_inbox()

    assert attempt_of(database, lead_id).state == "live"
    assert len(events_of(database, "second_call")) == 1


def test_nobody_is_called_again_while_a_second_call_goes_on(station, database, clock):
    number = chilean()
    lead_id = add_due_lead(database, number, chilean())
    station.dispatch()
    ref = attempt_of(database, lead_id).attempt_ref
    station.hears("other", CallReport("", Phase.ANSWERED), ref=ref, call_id="a-second-call")
    tell(station, database, lead_id, "end", ended("busy"))
    station.turn_inbox()
    other = add_due_lead(database, number)

    clock.advance(MINUTE)
    station.dispatch()
    while_it_goes_on = len(attempts_of(database, lead_id)), len(attempts_of(database, other))
    sql(database, "UPDATE second_calls SET ended_at = CURRENT_TIMESTAMP, next_poll_at = NULL")
    clock.advance(HOUR)
    station.dispatch()

    assert while_it_goes_on == (1, 0), "the next number of the lead, and the same number of another"
    assert len(attempts_of(database, lead_id)) == 2


def second_calls_of(database):
    return find_all(database, tables.second_calls)


def test_a_second_call_is_said_once_in_the_log_in_alerts_and_by_check(station, database):
    lead_id = live_lead(station, database)
    one = attempt_of(database, lead_id)
    for key in ("ringing", "answered", "ended"):
        station.hears(key, ended("completed"), ref=one.attempt_ref, call_id="a-second-call")
    station.turn_inbox()

    assert len(events_of(database, "second_call")) == len(station.said("second_call")) == 1
    assert [alert.code for alert in list_alerts(runtime=station.runtime)] == ["second_call"]
    [finding] = [one for one in run_checks(station.runtime) if one.check == "second_calls"]
    assert (finding.level, finding.rows) == ("warning", (one.id,))
    assert "what they cost is not known" in finding.sentence


def test_a_second_call_is_followed_to_its_end_and_paid_for(runtime, database, clock):
    accounts.create_account(
        "front", billing_type="credits", balance="100", reserve_per_call="5", runtime=runtime
    )
    account = find(database, tables.accounts).id
    campaign = add_campaign(database, account_id=account)
    station = Station(runtime)
    number = chilean()
    lead_id = add_due_lead(database, number, campaign_id=campaign)
    station.dispatch()
    one = attempt_of(database, lead_id)
    station.hears("other", None, ref=one.attempt_ref, call_id="a-second-call")
    station.turn_inbox()
    station.provider.ends(number, "no_answer", cost=Decimal("1.5"), cost_unit="credits", talk_seconds=30)
    clock.advance(SECOND)
    station.follow()

    [second] = second_calls_of(database)
    assert (second.outcome, second.cost, second.charged, second.next_poll_at) == ("no_answer", 1.5, 1.5, None)
    assert find(database, tables.accounts, id=account).balance == 100 - 2 * Decimal("1.5")
    assert attempt_of(database, lead_id).cost == Decimal("1.5"), "each is counted by itself"
    [finding] = [found for found in run_checks(station.runtime) if found.check == "second_calls"]
    assert "they cost 1.5 credits" in finding.sentence
    clock.advance(HOUR)
    station.follow()
    assert find(database, tables.accounts, id=account).balance == 97, "paid once"


@pytest.mark.parametrize("outcome", ["completed", "do_not_call"])
def test_what_somebody_said_on_a_second_call_is_heeded(station, database, clock, outcome):
    number = chilean()
    lead_id = live_lead(station, database, number)
    over(station, database, lead_id, "no_answer")
    station.hears("other", None, ref=attempt_of(database, lead_id).attempt_ref, call_id="a-second-call")
    station.turn_inbox()
    planned = calls_of(database, lead_id)[-1]
    station.provider.ends(number, outcome)
    clock.advance(SECOND)
    station.follow()

    assert "may still be going on" in planned.reason or planned.scheduled_at > clock.now() + HOUR
    assert lead_of(database, lead_id).closed_reason == outcome
    assert calls_of(database, lead_id)[-1].status == "cancelled"
    assert bool(find_all(database, tables.do_not_call)) is (outcome == "do_not_call")


# --- references and calls that do not fit together ------------------------------------------------------


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("wrong", ["of another attempt", "unknown", "missing"])
def test_an_event_with_a_wrong_reference_never_shadows_the_genuine_one(station, database, order, wrong):
    lead_id, other = live_lead(station, database), live_lead(station, database)
    one, bystander = attempt_of(database, lead_id), attempt_of(database, other)
    ref = {"of another attempt": bystander.attempt_ref, "unknown": "r-of-nobody", "missing": None}[wrong]
    report = replace(ended("completed"), call_id=one.provider_call_id)
    events = [
        ProviderEvent("call_ended:1", "told", {}, attempt_ref=ref, call_id=one.provider_call_id),
        ProviderEvent("call_ended:1", "told", {}, attempt_ref=one.attempt_ref, call_id=one.provider_call_id),
    ]
    station.provider.told["call_ended:1"] = report
    station.provider.read_event = lambda event: report
    for at in order:
        assert station.inbox.keep("scripted", [events[at]]) == 1
        assert station.inbox.keep("scripted", [events[at]]) == 0, "a repetition is one"
        station.turn_inbox()

    assert (attempt_of(database, lead_id).outcome, lead_of(database, lead_id).closed_reason) == (
        "completed", "completed"
    )
    assert (attempt_of(database, other).state, lead_of(database, other).lead_status) == ("live", "open")


def test_an_end_that_is_told_anew_under_its_old_key_is_no_repetition(station, database):
    lead_id = live_lead(station, database)
    one = attempt_of(database, lead_id)
    station.provider.read_event = lambda event: replace(ended(event.payload["end"]), call_id=one.provider_call_id)
    kept = []
    for end in ("no_answer", "completed", "no_answer", "completed"):
        event = ProviderEvent("call_ended:1", "told", {"end": end}, one.attempt_ref, one.provider_call_id)
        kept.append(station.inbox.keep("scripted", [event]))
        station.turn_inbox()

    assert kept == [1, 1, 0, 0]
    assert (attempt_of(database, lead_id).outcome, lead_of(database, lead_id).closed_reason) == (
        "completed", "completed"
    )


def test_an_event_of_one_attempt_and_the_call_of_another_is_said_and_believed_of_neither(station, database):
    one, other = (attempt_of(database, live_lead(station, database)) for _ in range(2))
    station.hears("odd", ended("completed"), ref=one.attempt_ref, call_id=other.provider_call_id)
    station.turn_inbox()

    assert {attempt.state for attempt in attempts_of_all(database)} == {"live"}
    [event] = events_of(database, "event_mismatch")
    assert event.attempt_id == one.id
    assert len(station.said("event_mismatch")) == 1
    assert [alert.code for alert in list_alerts(runtime=station.runtime)] == ["event_mismatch"]
    [finding] = [found for found in run_checks(station.runtime) if found.check == "second_calls"]
    assert (finding.level, finding.rows) == ("warning", (one.id,))


def attempts_of_all(database):
    return find_all(database, tables.call_attempts)


# --- ends that come late ----------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["no_answer", "busy", "failed", "hang_up", "invalid_number", "cancelled"])
def test_a_later_end_by_which_somebody_was_reached_cancels_what_was_planned(station, database, first):
    lead_id = live_lead(station, database)
    over(station, database, lead_id, first)
    tell(station, database, lead_id, "later", ended("completed", talk_seconds=60))
    station.turn_inbox()

    one = attempt_of(database, lead_id)
    assert (one.outcome, one.talk_seconds) == ("completed", 60)
    assert lead_of(database, lead_id).closed_reason == "completed"
    assert not [row for row in calls_of(database, lead_id) if row.status == "pending"]
    assert "completed" in events_of(database, "amended")[0].reason


def test_a_lead_that_was_reached_after_all_is_not_called_a_third_time(station, database, clock):
    number = chilean()
    lead_id = live_lead(station, database, number)
    over(station, database, lead_id, "no_answer")
    first = attempts_of(database, lead_id)[0]
    sql(database, "UPDATE call_schedule SET scheduled_at = :now WHERE status = 'pending'", now=clock.now())
    clock.advance(SECOND)
    station.dispatch()
    station.hears("late", ended("completed"), ref=first.attempt_ref, call_id=first.provider_call_id)
    station.turn_inbox()
    closed = lead_of(database, lead_id).closed_reason
    station.provider.ends(number, "no_answer")
    clock.advance(MINUTE)
    station.follow()

    assert (closed, lead_of(database, lead_id).closed_reason) == ("completed", "completed")
    assert [one.outcome for one in attempts_of(database, lead_id)] == ["completed", "no_answer"]
    assert {row.status for row in calls_of(database, lead_id)} == {"completed"}


TALKS = (60, 45, 0, 0, 4, 12, 0, 0, 50, 0)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@settings(max_examples=examples(25), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(list(Outcome)), min_size=2, max_size=4, unique=True), st.randoms(use_true_random=False))
def test_every_order_and_repetition_of_the_ends_of_a_call_comes_to_the_same(station, database, outcomes, random):
    told = [ended(one.value, talk_seconds=TALKS[list(Outcome).index(one)]) for one in outcomes]
    seen = set()
    for turn in range(3):
        lead_id = live_lead(station, database)
        order = [*told, *random.choices(told, k=2)] if turn else told
        random.shuffle(order)
        for number, report in enumerate(order):
            tell(station, database, lead_id, f"end {turn} {number}", report)
            if random.random() < 0.7:
                station.turn_inbox()
        station.turn_inbox()
        station.turn_inbox()
        one, lead, rows = attempt_of(database, lead_id), lead_of(database, lead_id), calls_of(database, lead_id)
        planned = [(row.attempt_number, row.scheduled_at, row.promise) for row in rows if row.status == "pending"]
        seen.add((one.state, one.outcome, one.talk_seconds, lead.lead_status, lead.closed_reason, *planned))

    assert len(seen) == 1, seen


def test_processed_events_are_forgotten_after_a_month(station, database, clock):
    lead_id = live_lead(station, database)
    tell(station, database, lead_id, "end", ended("busy"))
    station.turn_inbox()
    station.hears("waiting", None, call_id="unknown")
    clock.advance(31 * DAY)

    assert station.inbox.forget() == 1
    assert [one.event_key for one in find_all(database, tables.provider_events)] == ["waiting"]


# --- accepted, and then never made ----------------------------------------------------------------


@pytest.mark.parametrize("kind", [RefusalKind.HOLD, RefusalKind.THROTTLED, RefusalKind.REFUSED])
def test_a_call_that_was_accepted_and_never_made_costs_the_lead_nothing(station, database, clock, kind):
    lead_id = live_lead(station, database)
    refusal = CallReport("", Phase.ENDED, provider_status="credit_exhausted", refusal=Refused(kind, "no credit left"))
    tell(station, database, lead_id, "end", refusal)
    station.turn_inbox()

    one, row = attempt_of(database, lead_id), call_of(database, lead_id)
    assert (one.state, one.outcome, one.error, one.provider_status) == (
        "refused", None, "no credit left", "credit_exhausted"
    )
    assert (row.status, row.attempt_number, row.scheduled_at > clock.now()) == ("pending", 1, True)
    assert "no credit left" in row.reason
    assert lead_of(database, lead_id).call_attempts_count == 0
    assert broken_promises(database) == {}


# --- amended ends ----------------------------------------------------------------------------------


def test_an_appointment_learnt_after_the_end_closes_the_lead_with_it(station, database):
    lead_id = live_lead(station, database)
    at = NOON + 3 * DAY
    over(station, database, lead_id, "completed")
    before = lead_of(database, lead_id).closed_reason
    tell(station, database, lead_id, "analysed", ended("completed", appointment_at=at))
    station.turn_inbox()

    lead = lead_of(database, lead_id)
    assert (before, lead.closed_reason, lead.appointment_at) == ("completed", "appointment", at)
    assert attempt_of(database, lead_id).appointment_at == at


def test_an_appointment_without_a_zone_is_in_the_leads_own(station, database):
    lead_id = live_lead(station, database, "+56222345678")
    tell(station, database, lead_id, "end", ended("completed", appointment_at=datetime(2027, 7, 5, 10, 0)))  # noqa: DTZ001
    station.turn_inbox()

    assert lead_of(database, lead_id).appointment_at.isoformat() == "2027-07-05T14:00:00+00:00"


def test_a_callback_learnt_after_the_end_reopens_the_lead_and_is_planned(station, database, clock):
    lead_id = live_lead(station, database, "+56222345678")
    over(station, database, lead_id, "completed")
    wish = datetime(2027, 7, 5, 11, 30)  # noqa: DTZ001
    tell(station, database, lead_id, "analysed", ended("callback", callback_at=wish))
    station.turn_inbox()

    lead, row = lead_of(database, lead_id), call_of(database, lead_id)
    assert (lead.lead_status, lead.closed_reason, lead.closed_at) == ("open", None, None)
    assert (row.status, row.promise, row.scheduled_at.isoformat()) == ("pending", True, "2027-07-05T15:30:00+00:00")
    assert attempt_of(database, lead_id).outcome == "callback"
    assert broken_promises(database) == {}


def test_a_wish_not_to_be_called_learnt_after_the_end_bars_the_number(station, database):
    number = chilean()
    lead_id = live_lead(station, database, number)
    over(station, database, lead_id, "hang_up")
    tell(station, database, lead_id, "analysed", ended("do_not_call"))
    station.turn_inbox()

    assert lead_of(database, lead_id).closed_reason == "do_not_call"
    assert [one.telefono for one in find_all(database, tables.do_not_call)] == [number]
    assert [one.status for one in calls_of(database, lead_id)] == ["completed", "cancelled"]


@pytest.mark.parametrize("outcome", ["voicemail", "callback", "do_not_call"])
def test_a_later_report_never_takes_back_what_was_better_known(station, database, outcome):
    lead_id = live_lead(station, database)
    over(station, database, lead_id, outcome)
    before = [(row.status, row.scheduled_at) for row in calls_of(database, lead_id)]
    tell(station, database, lead_id, "again", ended("completed"))
    station.turn_inbox()

    assert attempt_of(database, lead_id).outcome == outcome
    assert [(row.status, row.scheduled_at) for row in calls_of(database, lead_id)] == before


def test_a_lead_that_was_called_again_since_keeps_its_next_step(station, database, clock):
    number = chilean()
    lead_id = live_lead(station, database, number)
    over(station, database, lead_id, "hang_up")
    sql(database, "UPDATE call_schedule SET scheduled_at = :now WHERE status = 'pending'", now=clock.now())
    clock.advance(SECOND)
    station.dispatch()
    first = attempts_of(database, lead_id)[0]
    station.hears("late analysis", ended("voicemail"), ref=first.attempt_ref, call_id=first.provider_call_id)
    station.turn_inbox()

    assert [one.outcome for one in attempts_of(database, lead_id)] == ["voicemail", None]
    assert [row.status for row in calls_of(database, lead_id)] == ["completed", "in_progress"]
    assert broken_promises(database) == {}


def test_a_lead_closed_by_people_stays_closed_whatever_is_learnt(station, database, clock):
    lead_id = live_lead(station, database)
    over(station, database, lead_id, "hang_up")
    sql(database, "UPDATE leads SET lead_status = 'closed', closed_reason = 'paid'")
    tell(station, database, lead_id, "analysed", ended("callback"))
    station.turn_inbox()

    lead = lead_of(database, lead_id)
    assert (lead.lead_status, lead.closed_reason) == ("closed", "paid")


# --- helpers ---------------------------------------------------------------------------------------


def live_lead(station: Station, database, number: str | None = None) -> int:
    lead_id = add_due_lead(database, number or chilean())
    station.dispatch()
    assert attempt_of(database, lead_id).state == "live"
    return lead_id


def tell(station: Station, database, lead_id: int, key: str, report: CallReport | None) -> int:
    one = attempt_of(database, lead_id)
    call_id = call_id_of(one.attempt_ref)
    if report is not None:
        report = replace(report, call_id=call_id, attempt_ref=one.attempt_ref)
    return station.hears(f"{key}:{call_id}" if key != "odd" else key, report, ref=one.attempt_ref, call_id=call_id)


def over(station: Station, database, lead_id: int, outcome: str) -> None:
    """The call has ended with this outcome, and more may be said of it."""
    tell(station, database, lead_id, "ended", replace(ended(outcome), is_final=False))
    station.turn_inbox()
    assert attempt_of(database, lead_id).outcome == outcome


def ended(outcome: str, **details) -> CallReport:
    return CallReport("", Phase.ENDED, outcome=Outcome(outcome), **{"provider_status": outcome, **details})


# --- given up, and a call after all -----------------------------------------------------------------


def given_up(station: Station, database, clock, number: str) -> int:
    """A lead whose start was lost, looked up, not found, and given back."""
    lead_id = add_due_lead(database, number)
    station.provider.answers(number, Unanswered("lost"))
    station.dispatch()
    station.provider.forgets(number)
    for _ in range(3):
        clock.advance(2 * MINUTE)
        station.follow()
    assert attempt_of(database, lead_id).state == "refused"
    return lead_id


@pytest.mark.parametrize("told", [STORY["ringing"], STORY["answered"], None], ids=["ringing", "answered", "a hint"])
def test_a_call_that_was_given_up_is_followed_once_an_event_shows_it_and_its_lead_waits(
    station, database, clock, told
):
    number = chilean()
    lead_id = given_up(station, database, clock, number)
    tell(station, database, lead_id, "alive", told)
    station.turn_inbox()
    dialed = station.dispatch().dialed
    waits = call_of(database, lead_id)
    station.provider.ends(number, "do_not_call")
    clock.advance(SECOND)
    station.follow()

    assert dialed == 0
    assert waits.scheduled_at > clock.now()
    assert "may still be going on" in waits.reason
    assert (attempt_of(database, lead_id).state, attempt_of(database, lead_id).outcome) == ("ended", "do_not_call")
    assert lead_of(database, lead_id).closed_reason == "do_not_call"
    assert len(events_of(database, "late_truth")) >= 1
    assert broken_promises(database) == {}


def test_a_refused_call_that_was_made_after_all_is_recorded(station, database):
    number = chilean()
    lead_id = live_lead(station, database, number)
    tell(station, database, lead_id, "refused", CallReport(
        "", Phase.ENDED, provider_status="no credit", refusal=Refused(RefusalKind.HOLD, "no credit")
    ))
    station.turn_inbox()
    before = attempt_of(database, lead_id).state
    tell(station, database, lead_id, "ended", ended("do_not_call"))
    station.turn_inbox()

    assert before == "refused"
    assert attempt_of(database, lead_id).outcome == "do_not_call"
    assert lead_of(database, lead_id).closed_reason == "do_not_call"
    assert broken_promises(database) == {}


def test_the_call_of_another_attempt_is_not_taken_for_ones_own(station, database, clock):
    number = chilean()
    first = live_lead(station, database, number)
    tell(station, database, first, "end", ended("completed"))
    station.turn_inbox()
    taken = attempt_of(database, first).provider_call_id
    second = add_due_lead(database, number)
    station.provider.answers(number, Unanswered("lost"))
    station.dispatch()
    station.provider.find = lambda call, now: CallReport(taken, Phase.ENDED, outcome=Outcome.COMPLETED)
    clock.advance(MINUTE)
    station.follow()

    one = attempt_of(database, second)
    assert (one.state, lead_of(database, second).lead_status) == ("unknown", "open")
    assert f"belongs to attempt {attempt_of(database, first).id}" in one.error


def test_two_calls_for_one_request_in_one_batch_are_told_of(station, database):
    number = chilean()
    lead_id = add_due_lead(database, number)
    station.provider.answers(number, Unanswered("lost"))
    station.dispatch()
    ref = attempt_of(database, lead_id).attempt_ref
    station.hears("ringing", CallReport("X", Phase.RINGING), ref=ref, call_id="X")
    station.hears("ended", replace(ended("busy"), call_id="Y"), ref=ref, call_id="Y")
    station.turn_inbox()

    assert attempt_of(database, lead_id).provider_call_id == "X"
    assert len(events_of(database, "second_call")) == 1


@pytest.mark.parametrize(
    "first, then, final",
    [("failed", "invalid_number", "invalid_number"), ("busy", "hang_up", "hang_up"), ("failed", "busy", "busy"),
     ("invalid_number", "failed", "invalid_number"), ("hang_up", "busy", "hang_up"),
     ("completed", "busy", "completed")],
)  # fmt: skip
def test_the_better_word_stays_whichever_came_first(station, database, first, then, final):
    lead_id = live_lead(station, database)
    over(station, database, lead_id, first)
    tell(station, database, lead_id, "again", ended(then))
    station.turn_inbox()

    assert attempt_of(database, lead_id).outcome == final
    assert lead_of(database, lead_id).call_attempts_count == 1
    assert broken_promises(database) == {}


def test_seconds_and_prices_that_come_late_are_charged(station, database):
    accounts.create_account("Acme", code="acme", billing_type="minutes", balance="100", runtime=station.runtime)
    account = find_all(database, tables.accounts)[0].id
    campaign = add_campaign(database, account_id=account)
    lead_id = add_due_lead(database, campaign_id=campaign)
    station.dispatch()
    tell(station, database, lead_id, "ended", replace(ended("completed"), is_final=False))
    station.turn_inbox()
    before = find_all(database, tables.accounts)[0].balance
    tell(station, database, lead_id, "more", ended("completed", talk_seconds=300))
    station.turn_inbox()
    tell(station, database, lead_id, "again", ended("completed", talk_seconds=300))
    station.turn_inbox()

    assert (before, find_all(database, tables.accounts)[0].balance) == (100, 95)
    assert broken_promises(database) == {}


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (1, 0, 2)])
def test_the_highest_cost_counts_and_is_charged_once_in_whatever_order_it_comes(station, database, order):
    accounts.create_account("Acme", code="acme", billing_type="credits", reserve_per_call="5", balance="100",
                            credit_unit="usd", runtime=station.runtime)
    account = find_all(database, tables.accounts)[0].id
    lead_id = add_due_lead(database, campaign_id=add_campaign(database, account_id=account))
    station.dispatch()
    told = [{"cost": Decimal(cost), "cost_unit": "usd", "talk_seconds": seconds}
            for cost, seconds in (("0.5", 40), ("1.25", 44), ("2", 61))]  # fmt: skip
    for number in (*order, *order):
        tell(station, database, lead_id, f"{number}", ended("completed", **told[number]))
        station.turn_inbox()
    other = {"cost": Decimal(900), "cost_unit": "clp"}
    tell(station, database, lead_id, "in another unit", ended("completed", **other))
    station.turn_inbox()

    one = attempt_of(database, lead_id)
    assert (one.cost, one.cost_unit, one.talk_seconds) == (2, "usd", 61)
    assert find_all(database, tables.accounts)[0].balance == 98
    assert broken_promises(database) == {}


def test_an_unknown_word_and_what_came_with_it_stay_known_when_the_call_is_amended(station, database):
    lead_id = live_lead(station, database)
    first = {"call": {"id": "c", "reason": "new_thing"}, "cost": {"total": 1}}
    tell(station, database, lead_id, "end", ended(
        "failed", provider_status="new_thing", known_word=False, details=first
    ))
    station.turn_inbox()
    tell(station, database, lead_id, "analysed", ended(
        "voicemail", provider_status="machine", details={"call": {"summary": "a machine"}, "cost": {"total": 2}}
    ))
    station.turn_inbox()

    one = attempt_of(database, lead_id)
    assert (one.outcome, one.provider_status) == ("voicemail", "machine")
    assert one.details["call"] == {"id": "c", "reason": "new_thing", "summary": "a machine"}
    assert one.details["cost"] == {"total": 2}
    words = database.read(reports.list_unknown_words)
    assert [(row["provider_status"], row["attempts"]) for row in words] == [("new_thing", 1)]


def test_a_machine_books_no_appointment(station, database):
    lead_id = live_lead(station, database)
    tell(station, database, lead_id, "end", ended("voicemail", appointment_at=NOON + DAY))
    station.turn_inbox()

    assert lead_of(database, lead_id).appointment_at is None
    assert lead_of(database, lead_id).lead_status == "open"
