"""What raises an alert and what does not: facts in, alerts out."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from scheduler.model import Account, BillingType, Hold
from scheduler.rules.alerts import (
    QUESTIONS,
    AlertCode,
    BreakerNews,
    DaemonSign,
    Due,
    Ended,
    Facts,
    HeldCalls,
    Impaired,
    LiveCall,
    OddNews,
    Paused,
    Payer,
    RefusedSetting,
    Severity,
    Thresholds,
    codes_raised,
    raise_alerts,
)
from scheduler.rules.policy import read_config
from tests.conftest import NOON
from tests.each import each

SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
AT_WORK = DaemonSign("host:1:a", "host", NOON - DAY, NOON)
FACTS = Facts(now=NOON, daemons=[AT_WORK])
ACCOUNT = Account(1, "acme", "Acme", "active", BillingType.MINUTES, Decimal("12.5000"))


def test_nothing_is_raised_where_all_is_well():
    assert raise_alerts(FACTS) == []
    assert raise_alerts(Facts(now=NOON)) == [], "no daemon is needed where nothing is due"
    assert set(codes_raised([]).values()) == {False}


def test_every_code_has_its_question_and_each_raises_its_own():
    assert tuple(QUESTIONS) == tuple(AlertCode)
    everything = Facts(
        now=NOON, thresholds=Thresholds(pending_above=0, success_below=50.0),
        due=[Due("campaign a", 3, NOON - HOUR)], paused=[Paused("b", NOON - HOUR)],
        live=[LiveCall(7, "campaign a", NOON - HOUR, 10 * MINUTE)],
        ended=[Ended("campaign a", 20, 1)],
        refused=[RefusedSetting("scheduler_config", "timezone: 'Mars' cannot be used", kept=False)],
        breakers=[BreakerNews("twilio", NOON + MINUTE)],
        payers=[Payer(replace(ACCOUNT, low_balance=Decimal(20)))],
        daemons=[replace(AT_WORK, last_seen_at=NOON - HOUR), replace(AT_WORK, owner="paused", takes_calls=False)],
        impaired=[Impaired("asterisk", "paused", "no connection for events")],
        second_calls=OddNews(2, [7]), mismatches=OddNews(1, [8]),
    )

    raised = raise_alerts(everything)

    assert [one.code for one in raised] == list(AlertCode)
    assert all(codes_raised(raised).values())


# --- calls ------------------------------------------------------------------------------------------


@each(
    "due, in_flight, is_paused, raised",
    [
        (1000, 0, False, False), (1001, 0, False, True), (1001, 19, False, True), (1001, 20, False, False),
        (1001, 0, True, False),
    ],
)  # fmt: skip
def test_many_due_calls_are_raised_only_while_a_line_is_idle(due, in_flight, is_paused, raised):
    facts = replace(FACTS, due=[Due("campaign a", due, NOON)], in_flight=in_flight, is_paused=is_paused)

    assert codes(facts) == (["pending_high"] if raised else [])


@each("begun_ago, raised", [(10 * MINUTE, False), (10 * MINUTE + SECOND, True)])
def test_a_call_is_live_too_long_after_its_longest_time(begun_ago, raised):
    facts = replace(FACTS, live=[LiveCall(7, "campaign a", NOON - begun_ago, 10 * MINUTE)])

    assert codes(facts) == (["live_too_long"] if raised else [])


def test_long_calls_of_one_campaign_are_one_alert_and_name_the_oldest():
    facts = replace(FACTS, live=[
        LiveCall(7, "campaign a", NOON - HOUR, 10 * MINUTE), LiveCall(8, "campaign a", NOON - 2 * HOUR, 10 * MINUTE),
        LiveCall(9, "campaign b", NOON - HOUR, 10 * MINUTE),
    ])

    first, second = raise_alerts(facts)

    assert (first.about, first.value, first.threshold) == ("campaign a", 7200, 600)
    assert first.sentence.startswith("2 calls of campaign a are live beyond the maximum of 10 min, the oldest for 2 h")
    assert "ringback calls hangup 8" in first.sentence
    assert second.sentence.startswith("1 call of campaign b is live")


@each(
    "calls, completed, least, raised",
    [
        (20, 9, 50.0, True), (20, 10, 50.0, False), (19, 0, 50.0, False), (200, 0, 0.0, False), (1000, 4, 0.5, True),
        (1000, 5, 0.5, False), (1000, 999, 100.0, True),
    ],
)  # fmt: skip
def test_success_is_low_below_the_threshold_and_with_enough_calls_to_tell(calls, completed, least, raised):
    facts = replace(
        FACTS, thresholds=Thresholds(success_below=least), ended=[Ended("campaign a", calls, completed)]
    )

    assert codes(facts) == (["success_low"] if raised else [])


def test_success_is_judged_by_campaign_and_together_only_where_none_has_enough_calls():
    least = Thresholds(success_below=30.0)
    good, bad, few = Ended("campaign a", 100, 90), Ended("campaign b", 25, 1), Ended("campaign c", 12, 0)

    by_campaign = raise_alerts(replace(FACTS, thresholds=least, ended=[good, bad, few]))
    together = raise_alerts(replace(FACTS, thresholds=least, ended=[few, replace(few, who="campaign d")]))

    assert [one.about for one in by_campaign] == ["campaign b"]
    assert by_campaign[0].sentence.startswith("4 % of the 25 calls of campaign b in the last 24 h ended completed")
    assert [(one.about, one.value, one.threshold) for one in together] == [("all campaigns", 0.0, 30.0)]


# --- what stands still --------------------------------------------------------------------------------


@each("due_for, raised", [(15 * MINUTE, False), (15 * MINUTE + SECOND, True)])
def test_a_paused_campaign_is_raised_once_its_calls_are_due_for_long(due_for, raised):
    facts = replace(FACTS, paused=[Paused("b", NOON - due_for)])

    assert codes(facts) == (["stopped_with_due"] if raised else [])


def test_a_pause_of_everything_counts_for_every_campaign():
    facts = replace(
        FACTS, is_paused=True, due=[Due("campaign a", 1, NOON - HOUR), Due("campaign c", 1, NOON)],
        paused=[Paused("b", NOON - DAY)],
    )

    first, second = raise_alerts(facts)

    assert first.sentence == (
        "calls of campaign b are due, the oldest for 24 h: it is paused; `ringback campaigns resume b` lets it go on"
    )
    assert second.sentence.startswith("1 call of campaign a is due, the oldest for 1 h: everything is paused")


@each(
    "hold, is_all, raised",
    [
        (Hold.ERROR, False, True), (Hold.NEVER, False, True), (Hold.MANUAL, False, False),
        (Hold.SUSPENDED, False, False), (Hold.MANUAL, True, True), (Hold.SUSPENDED, True, True),
    ],
)  # fmt: skip
def test_calls_that_people_hold_are_raised_only_where_nothing_else_is_left(hold, is_all, raised):
    facts = replace(FACTS, held=[HeldCalls("campaign a", hold, 3, NOON - HOUR, is_all)])

    assert codes(facts) == (["stopped_with_due"] if raised else [])


def test_a_setting_without_a_good_value_is_worse_than_one_that_has_kept_its_last():
    facts = replace(FACTS, refused=[
        RefusedSetting("scheduler_config", "timezone: 'Mars' cannot be used", kept=True),
        RefusedSetting("campaign a", "max_attempts: 0 cannot be used", kept=False),
    ])

    kept, lost = raise_alerts(facts)

    assert (kept.severity, lost.severity) == (Severity.WARNING, Severity.PROBLEM)
    assert kept.sentence.endswith("(the last good value stays in force)")
    assert lost.sentence.endswith("(nothing is dialed by it)")


# --- providers, money, daemons --------------------------------------------------------------------------


@each(
    "until, raised",
    [(NOON + HOUR, True), (NOON, True), (NOON - 59 * SECOND, True), (NOON - MINUTE, False), (None, False)],
)
def test_a_breaker_is_open_until_its_probe_had_time(until, raised):
    facts = replace(FACTS, breakers=[BreakerNews("twilio", until)])

    assert codes(facts) == (["breaker_open"] if raised else [])


def test_a_provider_is_raised_once_however_many_daemons_left_it_alone():
    facts = replace(FACTS, breakers=[
        BreakerNews("twilio", NOON + MINUTE), BreakerNews("twilio", NOON + HOUR, "no answer"),
        BreakerNews("twilio", None), BreakerNews("retell", None),
    ])

    (alert,) = raise_alerts(facts)

    assert (alert.about, alert.value) == ("provider twilio", 3600)
    assert alert.sentence.endswith("2026-11-20 16:00:00 UTC: no answer")


@each(
    "own, of_all, raised",
    [
        (None, "0", False), (None, "12.5", False), (None, "12.5001", True), ("12.5", "0", False), ("20", "0", True),
        ("5", "100", False), ("0", "100", False),
    ],
)  # fmt: skip
def test_an_account_is_low_by_its_own_figure_or_else_by_that_of_all(own, of_all, raised):
    account = replace(ACCOUNT, low_balance=None if own is None else Decimal(own))
    facts = replace(FACTS, thresholds=Thresholds(balance_below=Decimal(of_all)), payers=[Payer(account)])

    assert codes(facts) == (["balance_low"] if raised else [])


def test_calls_that_wait_for_money_are_a_problem_whatever_the_thresholds():
    (alert,) = raise_alerts(replace(FACTS, payers=[Payer(ACCOUNT, unpaid=4)]))

    assert (alert.code, alert.severity, alert.value) == ("balance_low", "problem", Decimal("12.5"))
    assert alert.sentence == (
        "no balance: 4 due calls not made, because account acme has 12.5 minutes left; "
        "`ringback accounts top-up acme AMOUNT` adds to it"
    )


@each("silent_for, raised", [(MINUTE, False), (MINUTE + SECOND, True), (40 * DAY, True)])
def test_a_daemon_is_silent_after_its_threshold(silent_for, raised):
    facts = Facts(now=NOON, daemons=[replace(AT_WORK, started_at=NOON - 50 * DAY, last_seen_at=NOON - silent_for)])

    assert codes(facts) == (["daemon_silent"] if raised else [])


@each(
    "other, raised",
    [
        (DaemonSign("host:2:b", "host", NOON - 30 * MINUTE, NOON), False),
        (DaemonSign("host:2:b", "host", NOON - 2 * HOUR, NOON), True),
        (DaemonSign("other:2:b", "other", NOON - 30 * MINUTE, NOON), True),
    ],
)
def test_a_daemon_that_was_started_again_on_its_host_is_not_missed(other, raised):
    gone = DaemonSign("host:1:a", "host", NOON - DAY, NOON - HOUR)

    assert codes(Facts(now=NOON, daemons=[gone, other])) == (["daemon_silent"] if raised else [])


def test_a_daemon_is_forgotten_after_a_day_while_another_works():
    gone = DaemonSign("host:1:a", "host", NOON - 9 * DAY, NOON - 2 * DAY)
    other = DaemonSign("other:2:b", "other", NOON - 8 * DAY, NOON)

    assert codes(Facts(now=NOON, daemons=[gone, other])) == []
    assert codes(Facts(now=NOON, daemons=[gone])) == ["daemon_silent"]


@each(
    "daemons, says",
    [
        ([], "no daemon is running"),
        ([replace(AT_WORK, takes_calls=False)], "every running daemon was asked to take nothing new"),
        ([replace(AT_WORK, takes_calls=False), AT_WORK], None),
    ],
)
def test_due_calls_that_no_daemon_takes_are_raised(daemons, says):
    facts = Facts(now=NOON, daemons=daemons, due=[Due("campaign a", 2, NOON)])

    found = raise_alerts(facts)

    assert [one.code for one in found] == ([] if says is None else ["no_daemon"])
    assert all(one.sentence.startswith("2 calls are due, and") and str(says) in one.sentence for one in found)


# --- thresholds -------------------------------------------------------------------------------------


def test_thresholds_are_read_from_the_rows_and_fall_to_the_built_in_ones():
    rows = {
        "alert_pending_above": "5", "alert_success_below": "12.5", "alert_due_minutes": "0.5",
        "alert_balance_below": "10", "alert_silent_seconds": "90", "max_concurrent_calls": "3",
    }  # fmt: skip

    assert Thresholds.of(read_config({})) == Thresholds()
    assert Thresholds.of(read_config(rows)) == Thresholds(
        5, 12.5, 30 * SECOND, Decimal(10), 90 * SECOND, 3
    )


@given(st.timedeltas(timedelta(0), timedelta(days=400)))
def test_a_length_is_said_in_at_most_two_units(length):
    (alert,) = raise_alerts(replace(FACTS, now=NOON, live=[LiveCall(7, "campaign a", NOON - length, -SECOND)]))

    said = alert.sentence.partition("the oldest for ")[2].partition(";")[0].split()
    assert len(said) in (2, 4)
    assert all(part.isdigit() and int(part) < 500 for part in said[::2])


def codes(facts):
    return [one.code for one in raise_alerts(facts)]
