"""What holds calls back: caps, limits, turns, money; one daemon and several, on both engines."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select

from scheduler.model import EntryKind
from scheduler.rules.alerts import AlertCode
from scheduler.rules.pacing import slot_step
from scheduler.rules.policy import Policy, read_config
from scheduler.service import accounts
from scheduler.service.alerts import list_alerts
from scheduler.service.checks import run_checks
from scheduler.store import calls, tables
from scheduler.store.calls import is_anything_called
from scheduler.store.reports import list_steps
from tests.conftest import NOON, on_every_engine, sqlite_suffices
from tests.factories import (
    DAY,
    HOUR,
    MINUTE,
    ScriptedProvider,
    Station,
    add_campaign,
    add_due_lead,
    add_lead,
    attempts_of,
    broken_promises,
    call_of,
    calls_of,
    ended_at_once,
    events_of,
    find,
    find_all,
    lead_of,
    set_config,
    sql,
)

ALWAYS = {"windows": {"all": [["00:00", "24:00"]]}}
FIRST, SECOND_NUMBER = "+56912345601", "+56912345602"
TWICE_A_DAY = {"caps": [{"max": 2, "per": {"hours": 24}, "by": "phone"}], **ALWAYS}


# --- caps -------------------------------------------------------------------------------------------


def test_a_cap_by_phone_counts_the_calls_of_other_leads_and_campaigns(runtime, database, clock):
    other = add_campaign(database, "other", call_settings=ALWAYS)
    capped = add_campaign(database, "capped", call_settings=TWICE_A_DAY)
    for hours in (5, 3):
        add_past_call(database, add_lead(database, FIRST, campaign_id=other), FIRST, NOON - hours * HOUR, other)
    lead_id = add_due_lead(database, FIRST, campaign_id=capped)
    station = Station(runtime)

    station.dispatch()

    assert attempts_of(database, lead_id) == []
    row = call_of(database, lead_id)
    assert row.scheduled_at == NOON + 19 * HOUR, "24 hours after the first of the two"
    assert row.reason.startswith("caps: cap of 2 in 24 hours by phone is used up until")
    assert events_of(database, "moved")[0].reason == row.reason
    clock.set(NOON + 19 * HOUR)
    station.dispatch()
    assert station.provider.numbers == [FIRST]


def test_a_call_of_before_the_clock_went_back_over_midnight_counts_for_the_day_that_is_again(runtime, database, clock):
    """Called on Saturday at 00:00:30 in Santiago; then the clock showed Friday, 23:59:30, and it is the same night."""
    midnight = NOON + 12 * HOUR
    once = {"caps": [{"max": 1, "per": {"days": 1}, "by": "phone"}], **ALWAYS}
    campaign = add_campaign(database, "capped", call_settings=once)
    add_past_call(database, add_lead(database, FIRST), FIRST, midnight + MINUTE / 2, None)
    clock.set(midnight - MINUTE / 2)
    add_due_lead(database, FIRST, campaign_id=campaign)
    station = Station(runtime)
    station.dispatch()

    assert station.provider.numbers == []


@pytest.mark.parametrize("by", ["lead", "debt", "campaign", "group"])
def test_caps_count_by_lead_debt_campaign_and_group(runtime, database, by):
    settings = {"caps": [{"max": 1, "per": {"days": 2}, "by": by}], **ALWAYS}
    first = add_campaign(database, "first", call_settings=settings, group_name="debts")
    second = add_campaign(database, "second", call_settings=settings, group_name="debts")
    columns = {"variables": {"debt": "D-7"}}
    caller = add_due_lead(database, FIRST, campaign_id=first, **columns)
    where = {"lead": first, "debt": second, "campaign": first, "group": second}[by]
    other = caller if by == "lead" else add_due_lead(database, SECOND_NUMBER, campaign_id=where, at=NOON, **columns)
    station = Station(runtime)
    station.provider.answers(None, ended_at_once("completed" if by != "lead" else "no_answer"))
    set_config(database, default_delay_hours="0")

    station.dispatch_until_quiet()
    station.upkeep()
    station.dispatch_until_quiet()

    assert len(station.provider.dials) == 1
    assert call_of(database, other).reason.startswith(f"caps: cap of 1 in 2 days by {by}")


def test_a_cap_binds_a_call_planned_by_hand_and_a_callback(runtime, database):
    from scheduler.service import operations

    campaign_id = add_campaign(database, call_settings=TWICE_A_DAY)
    lead_id = add_lead(database, FIRST, campaign_id=campaign_id)
    for hours in (2, 1):
        add_past_call(database, lead_id, FIRST, NOON - hours * HOUR, campaign_id)
    station = Station(runtime)

    operations.schedule_call(lead_id, runtime=station.runtime)
    station.dispatch()

    assert station.provider.dials == []
    sql(database, "UPDATE call_schedule SET promise = 1, scheduled_at = :now", now=NOON.replace(tzinfo=None))
    station.dispatch()
    assert station.provider.dials == [], "a promise is kept under the caps too"


def test_a_call_recorded_by_hand_counts_for_caps(runtime, database):
    from scheduler.service.outcomes import process_call_result

    campaign_id = add_campaign(database, call_settings={
        "cooldowns": [{"after": ["conversation"], "wait": {"days": 7, "first_day": "event"}, "by": "phone"}], **ALWAYS,
    })
    talked_to = add_lead(database, FIRST, campaign_id=campaign_id)
    process_call_result(talked_to, "completed", runtime=runtime)
    other = add_due_lead(database, FIRST, campaign_id=campaign_id)
    station = Station(runtime)

    station.dispatch()

    assert station.provider.dials == []
    assert "quiet time after conversation by phone" in call_of(database, other).reason


def test_the_next_call_is_planned_under_the_caps(runtime, database):
    campaign_id = add_campaign(database, call_settings={**TWICE_A_DAY, "retry_delay_hours": 1})
    lead_id = add_due_lead(database, FIRST, campaign_id=campaign_id)
    add_past_call(database, lead_id, FIRST, NOON - 2 * HOUR, campaign_id)
    station = Station(runtime)
    station.provider.answers(FIRST, ended_at_once("no_answer"))

    station.dispatch()

    row = call_of(database, lead_id)
    assert (row.scheduled_at, row.wanted_at) == (NOON + 22 * HOUR, NOON + HOUR)
    assert row.reason.startswith("caps: ")


def test_a_cap_made_looser_by_sql_lets_waiting_calls_through(runtime, database):
    campaign_id = add_campaign(database, call_settings=TWICE_A_DAY)
    lead_id = add_due_lead(database, FIRST, campaign_id=campaign_id)
    for hours in (2, 1):
        add_past_call(database, lead_id, FIRST, NOON - hours * HOUR, campaign_id)
    station = Station(runtime)
    station.upkeep()
    station.dispatch()
    assert station.provider.dials == []

    sql(database, "UPDATE campaigns SET call_settings = '{\"windows\": {\"all\": [[\"00:00\", \"24:00\"]]}}'")
    station.upkeep()
    station.dispatch()

    assert station.provider.numbers == [FIRST]


def test_a_campaign_that_leaves_its_group_lets_waiting_calls_through(runtime, database):
    from scheduler.service.control import CampaignPlan, edit_campaign

    settings = {"caps": [{"max": 1, "per": {"days": 9}, "by": "group"}], **ALWAYS}
    first = add_campaign(database, "first", call_settings=settings, group_name="debts")
    add_campaign(database, "second", call_settings=settings, group_name="debts")
    add_past_call(database, add_lead(database, FIRST, campaign_id=first), FIRST, NOON - HOUR, first)
    waiting = add_due_lead(database, SECOND_NUMBER, campaign_id=find(database, tables.campaigns, code="second").id)
    station = Station(runtime)
    station.upkeep()
    station.dispatch()
    assert attempts_of(database, waiting) == []

    edit_campaign("second", CampaignPlan(group=""), runtime=runtime)
    station.upkeep()
    station.dispatch()

    assert len(attempts_of(database, waiting)) == 1


def test_a_cap_by_campaign_and_subject_is_not_drowned_by_calls_about_something_else(runtime, database):
    campaign_id = add_campaign(database, call_settings={
        "caps": [{"max": 2, "per": {"hours": 24}, "by": ["campaign", "subject"]}], **ALWAYS,
    })
    with database.engine.connect() as connection, connection.begin():
        connection.execute(tables.call_attempts.insert(), [
            {"attempt_ref": f"past-{one}", "lead_id": 900_000 + one, "campaign_id": campaign_id, "attempt_number": 1,
             "telefono": f"+5692{one:07d}", "provider": "simulator", "state": "ended", "outcome": "no_answer",
             "claimed_at": NOON - (5 * HOUR if one < 2 else HOUR), "ended_at": NOON - HOUR,
             "subject": "debt" if one < 2 else "other"}
            for one in range(1200)
        ])
    lead_id = add_due_lead(database, FIRST, campaign_id=campaign_id, variables={"subject": "debt"})
    station = Station(runtime)

    station.dispatch()

    assert attempts_of(database, lead_id) == []


def test_a_call_in_progress_that_may_use_up_a_cap_is_waited_for(runtime, database, clock):
    settings = {"caps": [{"max": 1, "per": {"days": 7}, "by": "debt", "counts": ["conversation"]}], **ALWAYS}
    campaign_id = add_campaign(database, call_settings=settings)
    columns = {"variables": {"deuda": 4711}, "campaign_id": campaign_id}
    both = [add_due_lead(database, number, **columns) for number in (FIRST, SECOND_NUMBER)]
    station = Station(runtime)

    station.dispatch()
    assert len(station.provider.dials) == 1
    [waiting] = [row for one in both if (row := call_of(database, one)).status == "pending"]
    assert "a call in progress may use up the last room" in waiting.reason
    station.provider.ends(station.provider.numbers[0], "no_answer")
    clock.advance(2 * MINUTE)
    station.follow()
    station.dispatch()

    assert sorted(station.provider.numbers) == [FIRST, SECOND_NUMBER], "it was no conversation"


@pytest.mark.parametrize("database", ["mariadb"], indirect=True)
def test_several_daemons_never_both_find_the_last_room(runtime, database):
    settings = {"caps": [{"max": 3, "per": {"hours": 24}, "by": "debt"}], "max_concurrent_calls": 5, **ALWAYS}
    campaign_id = add_campaign(database, call_settings=settings)
    for number in range(40):
        add_due_lead(
            database, f"+569876500{number:02d}", campaign_id=campaign_id, variables={"debt": f"D{number % 4}"}
        )
    providers = ScriptedProvider()
    stations = [Station(runtime, providers, owner=f"station:{one}") for one in range(4)]
    most_live = 0

    def work(station: Station) -> None:
        for _ in range(15):
            station.dispatch()

    for _ in range(6):
        together = [threading.Thread(target=work, args=(station,)) for station in stations]
        for one in together:
            one.start()
        for one in together:
            one.join()
        live = find_all(database, tables.call_attempts, state="live")
        most_live = max(most_live, len(live))
        for attempt in live:
            providers.ends(attempt.telefono, "busy")
        sql(database, "UPDATE call_attempts SET next_poll_at = '2020-01-01' WHERE state = 'live'")
        stations[0].follow()

    per_debt = Counter(attempt.debt for attempt in find_all(database, tables.call_attempts))
    assert per_debt == {f"D{one}": 3 for one in range(4)}
    assert most_live == 5
    assert broken_promises(database) == {}


# --- numbers and places ------------------------------------------------------------------------------


@sqlite_suffices
@pytest.mark.parametrize(("number", "says"), [
    ("+19005550123", "a premium-rate number"),
    ("+881612345678", "belongs to no country"),
    ("+34611123456", "allowed_countries holds only CL"),
])
def test_dear_unknown_and_forbidden_destinations_are_refused_before_dialing(runtime, database, number, says):
    campaign_id = add_campaign(database, call_settings={"allowed_countries": ["CL"], **ALWAYS})
    lead_id = add_due_lead(database, number, campaign_id=campaign_id)
    station = Station(runtime)

    station.dispatch()

    assert station.provider.dials == []
    row = call_of(database, lead_id)
    assert (row.status, row.hold) == ("pending", "error")
    assert says in row.reason


def test_a_lead_whose_first_number_is_in_a_forbidden_country_is_called_at_its_second(runtime, database):
    set_config(database, allowed_countries="CL, AR")
    add_due_lead(database, "+34611123456", FIRST, campaign_id=add_campaign(database, call_settings=ALWAYS))
    station = Station(runtime)

    station.dispatch()

    assert station.provider.numbers == [FIRST]


def test_a_country_that_is_allowed_later_frees_its_leads(runtime, database):
    set_config(database, allowed_countries="AR")
    add_due_lead(database, FIRST, campaign_id=add_campaign(database, call_settings=ALWAYS))
    station = Station(runtime)
    station.upkeep()
    station.dispatch()
    assert station.provider.dials == []

    set_config(database, allowed_countries="AR,CL")
    station.upkeep()
    station.dispatch()

    assert station.provider.numbers == [FIRST]


# --- turns --------------------------------------------------------------------------------------------


def test_two_campaigns_of_equal_priority_alternate_on_one_line(runtime, database, clock):
    set_config(database, max_concurrent_calls="1")
    for code, since in (("old", NOON - DAY), ("new", NOON - MINUTE)):
        campaign_id = add_campaign(database, code, call_settings=ALWAYS)
        for _ in range(4):
            add_due_lead(database, campaign_id=campaign_id, at=since)
    station = Station(runtime)
    served = []

    for _ in range(8):
        station.provider.answers(None, ended_at_once("completed"))
        clock.advance(MINUTE)
        station.dispatcher._turn(1)
        assert station.dispatcher.drain(20)
        served.append(find_all(database, tables.call_attempts)[-1].campaign_id)

    assert len(set(served)) == 2
    assert served in (served[:2] * 4,)


def test_urgent_leads_come_first_and_of_equal_ones_the_oldest(runtime, database):
    set_config(database, max_concurrent_calls="100")
    campaign_id = add_campaign(database, call_settings=ALWAYS)
    plain = add_due_lead(database, campaign_id=campaign_id, at=NOON - 3 * HOUR)
    late = add_due_lead(database, campaign_id=campaign_id, at=NOON - HOUR, priority=5)
    early = add_due_lead(database, campaign_id=campaign_id, at=NOON - 2 * HOUR, priority=5)
    never_mind = add_due_lead(database, campaign_id=campaign_id, at=NOON - 9 * HOUR, priority=-1)
    hot = add_due_lead(database, campaign_id=campaign_id, at=NOON, priority=100)
    station = Station(runtime, places=1)

    station.dispatch_until_quiet()

    order = [one.lead_id for one in find_all(database, tables.call_attempts)]
    assert order == [hot, early, late, plain, never_mind]


def test_an_urgent_lead_is_found_behind_a_backlog(runtime, database):
    campaign_id = add_campaign(database, call_settings=ALWAYS)
    fill(database, campaign_id, 2100)
    hot = add_due_lead(database, campaign_id=campaign_id, at=NOON, priority=1)
    station = Station(runtime, places=1)

    station.dispatcher._turn(1)
    assert station.dispatcher.drain(20)

    assert [one.lead_id for one in find_all(database, tables.call_attempts)] == [hot]


@pytest.mark.parametrize(("limit", "value"), [("provider", 3), ("account", 2), ("campaign", 1)])
def test_calls_at_once_stay_within_each_limit(runtime, database, limit, value):
    set_config(database, max_concurrent_calls="50")
    account_id = add_account(database, max_concurrent_calls=value if limit == "account" else None)
    settings = {**ALWAYS, **({"max_concurrent_calls": value} if limit == "campaign" else {})}
    for code in ("one", "two") if limit != "campaign" else ("one",):
        campaign_id = add_campaign(database, code, call_settings=settings, account_id=account_id)
        for _ in range(5):
            add_due_lead(database, campaign_id=campaign_id)
    if limit == "provider":
        sql(database, "INSERT INTO scheduler_config (config_key, config_value) "
                      "VALUES ('simulator_max_concurrent_calls', '3')")
    station = Station(runtime, ScriptedProvider("simulator"))

    station.dispatch_until_quiet()
    assert len(station.provider.dials) == value
    station.provider.ends(station.provider.numbers[0], "completed")
    sql(database, "UPDATE call_attempts SET next_poll_at = '2020-01-01'")
    station.follow()
    station.dispatch_until_quiet()

    assert len(station.provider.dials) == value + 1


def test_calls_a_second_have_slots_and_are_never_sent_early(runtime, database, clock):
    from scheduler.clock import boottime

    set_config(database, max_concurrent_calls="50")
    sql(database, "INSERT INTO scheduler_config (config_key, config_value) "
                  "VALUES ('simulator_calls_per_second', '10')")
    campaign_id = add_campaign(database, call_settings=ALWAYS)
    for _ in range(30):
        add_due_lead(database, campaign_id=campaign_id)
    sent = []

    class Timed(ScriptedProvider):
        def place(self, request):
            sent.append(boottime())
            return super().place(request)

    station = Station(runtime, Timed("simulator"))

    def next_slot() -> timedelta:
        return database.read(calls.read_paces)["simulator"].next_at - NOON

    # How many slots there are in what a take looks ahead, and how many of them are missed, is the machine's affair.
    station.dispatch()
    assert max(sum(at <= one < at + 1 for one in sent) for at in sent) <= 10
    assert len(sent) * slot_step(10) <= next_slot() < 30 * slot_step(10)
    station.dispatch()
    assert len(sent) * slot_step(10) <= next_slot(), "no slot is given twice on a clock that stands still"
    before = len(sent)
    clock.advance(next_slot())
    station.dispatch()

    assert len(sent) > before


# --- money --------------------------------------------------------------------------------------------


def test_the_expected_cost_is_set_aside_and_settled_at_the_end(runtime, database):
    account_id = add_account(database, billing_type="minutes", balance=100)
    campaign_id = add_campaign(database, call_settings={"max_call_duration": 300, **ALWAYS}, account_id=account_id)
    lead_id = add_due_lead(database, FIRST, campaign_id=campaign_id)
    station = Station(runtime)

    station.dispatch()
    assert balance_of(database, account_id) == 95
    assert attempts_of(database, lead_id)[0].reserved == 5
    station.provider.ends(FIRST, "completed", talk_seconds=90)
    sql(database, "UPDATE call_attempts SET next_poll_at = '2020-01-01'")
    station.follow()

    assert balance_of(database, account_id) == Decimal("98.5")
    kinds = [(one.kind, one.amount) for one in find_all(database, tables.account_entries, account_id=account_id)]
    assert kinds == [
        (EntryKind.OPENING, 100), (EntryKind.RESERVE, -5), (EntryKind.RELEASE, 5),
        (EntryKind.CHARGE, Decimal("-1.5")),
    ]


def test_a_refused_dial_gives_back_what_was_set_aside(runtime, database):
    from tests.factories import refused

    account_id = add_account(database, billing_type="minutes", balance=100)
    campaign_id = add_campaign(database, call_settings=ALWAYS, account_id=account_id)
    add_due_lead(database, FIRST, campaign_id=campaign_id)
    station = Station(runtime)
    station.provider.answers(FIRST, refused())

    station.dispatch()

    assert balance_of(database, account_id) == 100
    assert broken_promises(database) == {}


def test_a_call_that_was_given_up_and_was_made_after_all_is_paid_for_once(runtime, database):
    from scheduler.model import Outcome
    from scheduler.providers.base import CallReport, Phase
    from scheduler.service.outcomes import End, apply_ends
    from scheduler.service.rulebook import RuleBook
    from tests.factories import refused

    account_id = add_account(database, billing_type="minutes", balance=100)
    campaign_id = add_campaign(database, call_settings=ALWAYS, account_id=account_id)
    lead_id = add_due_lead(database, FIRST, campaign_id=campaign_id)
    station = Station(runtime)
    station.provider.answers(FIRST, refused())
    station.dispatch()
    attempt = attempts_of(database, lead_id)[0]
    report = CallReport("call-7", Phase.ENDED, outcome=Outcome.COMPLETED, talk_seconds=120)

    for _ in range(2):
        database.transact(lambda connection: apply_ends(
            connection, [End(attempt.id, report)], now=NOON + MINUTE, rulebook=RuleBook()
        ))

    assert balance_of(database, account_id) == sum_of_entries(database, account_id) == 98
    assert "R20" not in broken_promises(database) and "R18" not in broken_promises(database)


def test_without_balance_leads_wait_where_they_are_and_go_on_after_a_top_up(runtime, database):
    account_id = add_account(database, billing_type="minutes", balance=25, code="acme")
    campaign_id = add_campaign(database, call_settings=ALWAYS, account_id=account_id)
    leads = [add_due_lead(database, campaign_id=campaign_id) for _ in range(4)]
    station = Station(runtime)

    station.dispatch_until_quiet()
    station.upkeep()

    assert len(station.provider.dials) == 2, "each may last 10 minutes, and there are 25"
    waiting = [call_of(database, one) for one in leads if call_of(database, one).status == "pending"]
    assert [(one.scheduled_at, one.attempt_number, one.hold) for one in waiting] == [(NOON, 1, None)] * 2
    assert {one.reason for one in waiting} == {"no balance: account acme cannot pay for another call; top it up"}
    top_up(database, account_id, 20)
    station.dispatch_until_quiet()
    assert len(station.provider.dials) == 4
    assert balance_of(database, account_id) == 5
    assert sum_of_entries(database, account_id) == 5


def test_a_closed_account_calls_nobody(runtime, database):
    account_id = add_account(database, status="closed")
    add_due_lead(database, campaign_id=add_campaign(database, call_settings=ALWAYS, account_id=account_id))
    station = Station(runtime)

    station.dispatch()

    assert station.provider.dials == []


def test_two_campaigns_of_one_account_never_overdraw_it_together(runtime, database):
    account_id = add_account(database, billing_type="credits", balance=10, reserve_per_call=4)
    for code in ("one", "two"):
        campaign_id = add_campaign(database, code, call_settings=ALWAYS, account_id=account_id)
        for _ in range(3):
            add_due_lead(database, campaign_id=campaign_id)
    station = Station(runtime)

    station.dispatch_until_quiet()

    assert len(station.provider.dials) == 2
    assert balance_of(database, account_id) == 2


# --- everything stopped -------------------------------------------------------------------------------


def test_nothing_is_dialed_while_everything_is_paused(runtime, database):
    set_config(database, paused="yes")
    add_due_lead(database, campaign_id=add_campaign(database, call_settings=ALWAYS))
    station = Station(runtime)

    station.dispatch()
    assert station.provider.dials == []
    set_config(database, paused="no")
    station.dispatch()

    assert len(station.provider.dials) == 1


STOPS = [
    "yes", "YES", " yes ", "si", "sí", "SÍ", "1", "on", "true", "x", "PAUSED", "pausado", "stop", "2", "", " ", "?",
    "no, wait", "nope", "y", "oui", "ja", "\tno",
]
GOES_ON = ["no", "NO", " no ", "No", "false", "0", "off", "n"]


@pytest.mark.parametrize("word, pauses", [*((one, True) for one in STOPS), *((one, False) for one in GOES_ON)])
@sqlite_suffices
def test_whatever_is_not_clearly_no_pauses_everything(runtime, database, word, pauses):
    set_config(database, paused="no")
    station = Station(runtime)
    station.upkeep()
    add_due_lead(database, campaign_id=add_campaign(database, call_settings=ALWAYS))

    set_config(database, paused=word)
    station.dispatch()
    station.upkeep()

    assert station.provider.dials == [] if pauses else len(station.provider.dials) == 1
    assert Policy(read_config({"paused": word})).is_paused is pauses


@on_every_engine
def test_the_last_look_before_a_dial_reads_the_stop_as_the_take_does(database):
    for word in (*STOPS, *GOES_ON):
        set_config(database, paused=word)
        is_called = database.read(lambda connection: bool(connection.scalar(select(is_anything_called()))))

        assert is_called is not Policy(read_config({"paused": word})).is_paused, word


@sqlite_suffices
def test_a_stop_that_cannot_be_read_is_said_once_in_the_log_and_as_long_as_it_lasts_in_alerts(runtime, database):
    set_config(database, paused="alto")
    station = Station(runtime)

    for _ in range(3):
        station.upkeep()

    (line,) = station.said("settings_refused")
    assert "paused: 'alto' cannot be used" in line
    assert "everything is paused" in line
    assert "nothing is dialed by it" in line
    (alert,) = [one for one in list_alerts(runtime=runtime) if one.code is AlertCode.SETTINGS_INVALID]
    assert "'alto'" in alert.sentence


def test_a_lead_of_a_campaign_past_its_last_date_is_closed(runtime, database):
    campaign_id = add_campaign(database, call_settings=ALWAYS, fecha_limite=(NOON - DAY).date())
    lead_id = add_due_lead(database, campaign_id=campaign_id)
    station = Station(runtime)

    station.dispatch()

    assert (lead_of(database, lead_id).lead_status, lead_of(database, lead_id).closed_reason) == ("closed", "deadline")
    assert "campaigns.fecha_limite" in calls_of(database, lead_id)[0].reason


# --- steps keep their rules ---------------------------------------------------------------------------


def test_each_step_keeps_the_version_of_the_rules_that_decided_it(runtime, database, clock):
    campaign_id = add_campaign(database, call_settings={"retry_delay_hours": 1, **ALWAYS})
    lead_id = add_due_lead(database, FIRST, campaign_id=campaign_id)
    station = Station(runtime)
    station.provider.answers(FIRST, ended_at_once("busy"), ended_at_once("busy"))
    station.dispatch()
    sql(database, "UPDATE campaigns SET call_settings = :text", text='{"retry_delay_hours": 2, "windows": '
                  '{"all": [["00:00", "24:00"]]}}')
    clock.advance(HOUR)
    station.dispatch()

    steps = database.read(lambda connection: list_steps(connection, lead_id, limit=10))[::-1]
    versions = {one.fingerprint: one for one in find_all(database, tables.rule_versions)}
    delays = [versions[one["rule_version"]].settings["settings"]["retry_delay_hours"] for one in steps]
    assert [one["kind"] for one in steps] == ["dialed", "planned"] * 2
    assert delays == [1, 1, 2, 2]


# --- rows ----------------------------------------------------------------------------------------------


def add_past_call(database, lead_id, number, at, campaign_id, outcome="no_answer"):
    insert(database, tables.call_attempts, {
        "attempt_ref": f"past-{number}-{at:%H%M%S%f}-{lead_id}", "lead_id": lead_id, "campaign_id": campaign_id,
        "attempt_number": 1, "telefono": number, "provider": "simulator", "state": "ended", "outcome": outcome,
        "claimed_at": at, "placed_at": at, "ended_at": at + MINUTE,
    })


def add_account(database, **columns):
    values = {"code": "account", "name": "Account", **columns}
    account_id = insert(database, tables.accounts, values)
    if columns.get("balance"):
        insert(database, tables.account_entries, {
            "account_id": account_id, "kind": "opening", "amount": columns["balance"], "actor": "test",
        })
    return account_id


def top_up(database, account_id, amount):
    insert(database, tables.account_entries, {
        "account_id": account_id, "kind": "top_up", "amount": amount, "actor": "test",
    })
    sql(database, "UPDATE accounts SET balance = balance + :amount WHERE id = :id", amount=amount, id=account_id)


def balance_of(database, account_id):
    return find(database, tables.accounts, id=account_id).balance


def sum_of_entries(database, account_id):
    return sum(one.amount for one in find_all(database, tables.account_entries, account_id=account_id))


def fill(database, campaign_id, count):
    """Many leads due before anything else."""
    with database.engine.connect() as connection, connection.begin():
        connection.execute(tables.leads.insert(), [
            {"id": 10_000 + one, "campaign_id": campaign_id, "telefono": f"+5691{one:07d}"} for one in range(count)
        ])
        connection.execute(tables.call_schedule.insert(), [
            {"lead_id": 10_000 + one, "campaign_id": campaign_id, "scheduled_at": NOON - DAY} for one in range(count)
        ])


def insert(database, table, values):
    with database.engine.connect() as connection, connection.begin():
        return connection.execute(table.insert().values(**values)).inserted_primary_key[0]




def test_a_word_that_a_server_without_strict_mode_empties_stops(runtime, database):
    """Such a server keeps '' for a word that a column does not know, and says nothing."""
    campaign_id = add_campaign(database, "autumn", call_settings=ALWAYS)
    add_due_lead(database, campaign_id=campaign_id)
    account = accounts.create_account("Acme", code="acme", runtime=runtime)
    with database.engine.connect() as connection, connection.begin():
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA ignore_check_constraints = ON")
            wrong = "''"
        else:
            connection.exec_driver_sql("SET SESSION sql_mode = ''")
            wrong = "'pausada'"
        for statement in ("UPDATE campaigns SET status = {}", "UPDATE accounts SET billing_type = {}"):
            connection.exec_driver_sql(statement.format(wrong))
        connection.exec_driver_sql(
            "PRAGMA ignore_check_constraints = OFF" if connection.dialect.name == "sqlite"
            else "SET SESSION sql_mode = 'STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'"
        )
    station = Station(runtime)

    station.dispatch()

    assert station.provider.dials == []
    told = [one.sentence for one in run_checks(runtime) if one.level == "problem"]
    assert any("campaign autumn: status is '', so it is paused" in one for one in told)
    assert any(f"account {account}: billing_type is ''" in one for one in told)
