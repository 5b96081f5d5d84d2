"""Alerts from the tables as they are, and the metric that a daemon keeps of them."""

from __future__ import annotations

from sqlalchemy import event

from scheduler.events import Reporter
from scheduler.model import Happening
from scheduler.providers.base import RefusalKind, Vitals
from scheduler.rules.alerts import AlertCode
from scheduler.service.alerts import LOOK_EVERY, OF_BREAKERS, AlertWatch, list_alerts
from scheduler.store import alerts as store
from scheduler.store import journal, tables
from tests.conftest import NOON
from tests.factories import (
    DAY,
    HOUR,
    MINUTE,
    Station,
    add_campaign,
    add_due_lead,
    add_lead,
    chilean,
    find_all,
    lead_of,
    plan_call,
    refused,
    set_config,
    sql,
)

ALWAYS = {"allowed_hours": {"start": "00:00", "end": "24:00"}, "days_of_week": [1, 2, 3, 4, 5, 6, 7]}


def test_a_new_installation_raises_nothing(runtime):
    assert list_alerts(runtime=runtime) == []


def test_due_calls_above_the_threshold_are_counted_where_they_may_be_dialed(runtime, database):
    set_config(database, alert_pending_above="2")
    active = add_campaign(database, "active")
    paused = add_campaign(database, "paused", status="paused")
    over = add_campaign(database, "over", status="cancelled")
    add_daemon(database)
    for campaign_id in (active, None, paused, paused, over):
        add_due_lead(database, campaign_id=campaign_id)
    add_due_lead(database, campaign_id=active, at=NOON + MINUTE)
    assert codes(runtime) == []

    add_due_lead(database, campaign_id=active)

    (alert,) = list_alerts(runtime=runtime)
    assert (alert.code, alert.value, alert.threshold) == ("pending_high", 3, 2)


def test_busy_lines_are_no_backlog(runtime, database):
    set_config(database, alert_pending_above="0", max_concurrent_calls="1")
    add_daemon(database)
    add_due_lead(database)
    assert codes(runtime) == ["pending_high"]

    add_attempt(database, add_lead(database), state="live", claimed_at=NOON, placed_at=NOON)

    assert codes(runtime) == []


def test_a_live_call_is_measured_by_the_rules_of_its_campaign(runtime, database, clock):
    short = add_campaign(database, "short", call_settings={"ring_timeout": 10, "max_call_duration": 20})
    stopped = add_campaign(database, "stopped", status="cancelled", call_settings={"max_call_duration": 200})
    for campaign_id in (short, stopped, None):
        add_attempt(database, add_lead(database), campaign_id, state="live", claimed_at=NOON, placed_at=NOON)

    raised = {}
    for seconds in (60, 61, 260, 261, 660, 661):
        clock.set(NOON + seconds * MINUTE / 60)
        raised[seconds] = [one.about for one in list_alerts(runtime=runtime)]

    assert raised == {
        60: [], 61: ["campaign short"], 260: ["campaign short"], 261: ["campaign short", "campaign stopped"],
        660: ["campaign short", "campaign stopped"],
        661: ["campaign short", "campaign stopped", "leads without a campaign"],
    }  # fmt: skip


def test_success_counts_calls_of_the_last_day_by_campaign(runtime, database):
    set_config(database, alert_success_below="30")
    good, bad = add_campaign(database, "good"), add_campaign(database, "bad")
    lead_id = add_lead(database)
    for number in range(20):
        add_attempt(database, lead_id, good, outcome="completed", claimed_at=NOON - HOUR)
        add_attempt(database, lead_id, bad, outcome="completed", claimed_at=NOON - DAY - MINUTE)
        add_attempt(database, lead_id, bad, outcome="completed" if number < 5 else "busy", claimed_at=NOON - HOUR)
        add_attempt(database, lead_id, None, state="refused", outcome=None, claimed_at=NOON - HOUR)

    (alert,) = list_alerts(runtime=runtime)

    assert (alert.code, alert.about, alert.value, alert.threshold) == ("success_low", "campaign bad", 25.0, 30.0)
    set_config(database, alert_success_below="0")
    assert codes(runtime) == []


def test_a_paused_campaign_with_calls_due_for_long_is_raised_and_not_before(runtime, database, clock):
    add_due_lead(database, campaign_id=add_campaign(database, "idle", status="paused"))
    clock.set(NOON + 15 * MINUTE)
    assert codes(runtime) == []

    clock.advance(MINUTE)

    (alert,) = list_alerts(runtime=runtime)
    assert (alert.code, alert.about, alert.value, alert.threshold) == ("stopped_with_due", "campaign idle", 16, 15.0)
    set_config(database, alert_due_minutes="20")
    assert codes(runtime) == []


def test_a_pause_of_everything_is_raised_with_what_it_keeps(runtime, database):
    set_config(database, paused="yes")
    add_due_lead(database, at=NOON - HOUR, campaign_id=add_campaign(database, "active"))
    add_due_lead(database, at=NOON - HOUR)

    found = list_alerts(runtime=runtime)

    assert [one.code for one in found] == ["stopped_with_due"] * 2, "nobody misses a daemon meanwhile"
    assert [one.about for one in found] == ["leads without a campaign", "campaign active"]


def test_calls_that_cannot_be_judged_are_raised_though_the_daemon_looks_at_them_again(runtime, database, clock):
    set_config(database, working_hours_start="00:00", working_hours_end="24:00", working_days="1,2,3,4,5,6,7")
    lead_id = add_due_lead(database, "not a number")
    add_due_lead(database, at=NOON + 3 * HOUR)
    station = Station(runtime)
    station.dispatch()
    assert codes(runtime) == []

    clock.advance(16 * MINUTE)
    station.dispatch()

    (alert,) = list_alerts(runtime=runtime)
    assert alert.sentence.startswith("1 call of leads without a campaign is held, the oldest for 16 min")
    assert lead_of(database, lead_id).telefono not in alert.sentence


def test_leads_that_people_keep_are_raised_only_where_nothing_else_of_the_campaign_waits(runtime, database):
    campaign_id = add_campaign(database, "shop")
    for campaign in (campaign_id, None):
        plan_call(database, add_lead(database, campaign_id=campaign), at=NOON + HOUR, wanted_at=NOON - HOUR,
                  hold="manual")
        plan_call(database, add_lead(database, campaign_id=campaign), at=NOON + HOUR)
    assert codes(runtime) == []

    sql(database, "UPDATE call_schedule SET status = 'cancelled' WHERE hold IS NULL")

    assert [one.about for one in list_alerts(runtime=runtime)] == ["leads without a campaign", "campaign shop"]


def test_calls_of_a_deleted_campaign_are_named_by_its_id(runtime, database):
    plan_call(database, add_lead(database, campaign_id=77), at=NOON + HOUR, wanted_at=NOON - HOUR, hold="error")

    (alert,) = list_alerts(runtime=runtime)

    assert alert.about == "campaign 77"


def test_rows_that_cannot_be_used_are_raised(runtime, database):
    set_config(database, timezone="Mars/Olympus", alert_due_minutes="soon")
    add_campaign(database, "broken", status="paused", call_settings='{"max_attempts": 0}')
    add_campaign(database, "over", status="completed", call_settings='{"max_attempts": 0}')

    found = list_alerts(runtime=runtime)

    assert {one.code for one in found} == {"settings_invalid"}
    assert [one.about for one in found] == ["scheduler_config", "scheduler_config", "campaign broken"]
    assert all(any(word in one.sentence for one in found) for word in ("Mars/Olympus", "soon", "max_attempts"))


def test_a_daemon_that_leaves_a_provider_alone_is_seen_from_another_process(runtime, database, clock):
    set_config(database, working_hours_start="00:00", working_hours_end="24:00", working_days="1,2,3,4,5,6,7")
    number = chilean()
    add_due_lead(database, number)
    station = Station(runtime)
    station.provider.answers(number, refused(RefusalKind.HOLD, "no credit left"))
    add_daemon(database, last_seen_at=NOON + 2 * HOUR)
    station.dispatch()

    raised = list_alerts(runtime=runtime)
    clock.advance(2 * MINUTE)

    assert [(one.code, one.about) for one in raised] == [("breaker_open", "provider scripted")]
    assert "no credit left" in raised[0].sentence
    assert "breaker_open" not in codes(runtime), "its rest is over and its probe had time"


def test_news_that_a_provider_answers_again_ends_the_alert_of_that_daemon_alone(runtime, database):
    until = (NOON + MINUTE).isoformat()
    add_news(database, "breaker_open", "one", provider="twilio", until=until)
    add_news(database, "breaker_open", "two", provider="twilio", until=until)
    add_news(database, "breaker_open", "two", provider="odd", until="tomorrow")
    assert codes(runtime) == ["breaker_open"]

    add_news(database, "breaker_closed", "one", provider="twilio")
    assert codes(runtime) == ["breaker_open"]
    add_news(database, "breaker_closed", "two", provider="twilio")
    assert codes(runtime) == []


def test_what_is_wrong_with_a_provider_that_is_called_all_the_same_is_raised_until_it_is_over(runtime, database, clock):
    station = Station(runtime)
    add_daemon(database, station.dispatcher.owner)
    station.provider.vitals = Vitals(notices=("no connection for events",))
    for _ in range(2):
        station.dispatcher.watch_vitals()

    (alert,) = list_alerts(runtime=runtime)
    assert (alert.code, alert.severity, alert.about) == ("provider_impaired", "warning", "provider scripted")
    assert "no connection for events" in alert.sentence
    assert len(find_all(database, tables.events, kind="provider_impaired")) == 1

    station.provider.vitals = Vitals()
    station.dispatcher.watch_vitals()
    assert codes(runtime) == []
    station.provider.vitals = Vitals(notices=("no connection for events",))
    station.dispatcher.watch_vitals()
    sql(database, "UPDATE daemons SET status = 'stopped'")
    assert codes(runtime) == [], "nobody is there any more who could say that it is over"


def test_accounts_are_raised_when_they_are_low_and_when_calls_wait_for_them(runtime, database):
    set_config(database, alert_balance_below="50")
    add_daemon(database)
    empty = add_account(database, "empty", balance=5)
    add_account(database, "low", balance=60, low_balance=70)
    add_account(database, "rich", balance=60)
    add_account(database, "closed", balance=0, status="closed")
    add_account(database, "free", billing_type="unlimited", low_balance=70)
    for code, status in (("shop", "active"), ("rest", "paused")):
        campaign_id = add_campaign(database, code, account_id=empty, status=status)
        for _ in range(2):
            add_due_lead(database, campaign_id=campaign_id)

    found = list_alerts(runtime=runtime)

    assert [(one.code, one.about, one.severity) for one in found] == [
        ("balance_low", "account empty", "problem"), ("balance_low", "account low", "warning"),
    ]
    assert found[0].sentence.startswith("no balance: 2 due calls not made")


def test_daemons_are_missed_when_they_are_silent_and_not_when_they_said_goodbye(runtime, database):
    add_due_lead(database)
    add_daemon(database, "gone", last_seen_at=NOON - 2 * MINUTE)
    add_daemon(database, "done", status="stopped", last_seen_at=NOON - 2 * MINUTE)

    assert [(one.code, one.about) for one in list_alerts(runtime=runtime)] == [
        ("daemon_silent", "daemon gone"), ("no_daemon", "daemons"),
    ]
    set_config(database, alert_silent_seconds="180")
    assert codes(runtime) == []
    sql(database, "UPDATE daemons SET wanted = 'drain'")
    assert codes(runtime) == ["no_daemon"]


# --- the metric ---------------------------------------------------------------------------------------


def test_the_watch_keeps_a_metric_of_every_code_and_sets_it_back(runtime, database, clock):
    reporter = Reporter(lambda line: None)
    watch = AlertWatch(runtime, reporter)
    assert metric(reporter) == dict.fromkeys([code.value for code in AlertCode], 0)
    add_due_lead(database)

    assert [one.code for one in watch.run_once()] == ["no_daemon"]
    assert {code for code, value in metric(reporter).items() if value} == {"no_daemon"}

    add_daemon(database, last_seen_at=NOON + HOUR)
    clock.advance(LOOK_EVERY)
    assert watch.run_once() == []
    assert set(metric(reporter).values()) == {0}


def test_the_watch_looks_at_most_every_half_minute(runtime, clock):
    watch = AlertWatch(runtime, Reporter(lambda line: None))

    looked = [watch.run_once() is not None]
    for seconds in (29, 1, 29, 30):
        clock.advance(seconds * MINUTE / 60)
        looked.append(watch.run_once() is not None)

    assert looked == [True, False, True, False, True]


# --- store ----------------------------------------------------------------------------------------------


def test_news_of_breakers_are_read_from_an_instant_on(database):
    add_news(database, "breaker_open", "one", provider="twilio", until=(NOON + MINUTE).isoformat())
    found = database.read(lambda connection: store.list_news(connection, OF_BREAKERS, NOON))
    later = database.read(lambda connection: store.list_news(connection, OF_BREAKERS, NOON + MINUTE))

    assert [(one.kind, one.details["provider"], one.daemon) for one in found] == [("breaker_open", "twilio", "one")]
    assert later == []


def test_no_campaign_costs_a_statement_of_its_own(runtime, database):
    sent = []
    event.listen(database.engine, "before_cursor_execute", lambda *arguments: sent.append(arguments[2]))
    set_config(database, alert_success_below="1")
    counts = []
    for campaigns in (1, 30):
        for number in range(campaigns):
            campaign_id = add_campaign(database, f"c-{campaigns}-{number}", call_settings=ALWAYS)
            add_due_lead(database, campaign_id=campaign_id)
            plan_call(database, add_lead(database, campaign_id=campaign_id), wanted_at=NOON - HOUR, hold="manual")
        sent.clear()
        list_alerts(runtime=runtime)
        counts.append(len(sent))

    assert counts[0] == counts[1] <= 20


# --- rows -----------------------------------------------------------------------------------------------


def codes(runtime):
    return [one.code for one in list_alerts(runtime=runtime)]


def metric(reporter):
    return {
        sample.labels["code"]: sample.value
        for family in reporter.registry.collect() if family.name == "ringback_alert" for sample in family.samples
    }


def add_daemon(database, owner="host:1:a", **columns):
    insert(database, tables.daemons, {
        "owner": owner, "host": "host", "pid": 1, "started_at": NOON - HOUR, "last_seen_at": NOON, **columns,
    })


def add_account(database, code, **columns):
    return insert(database, tables.accounts, {"code": code, "name": code, "billing_type": "minutes", **columns})


def add_attempt(database, lead_id, campaign_id=None, **columns):
    number = chilean()
    over = {} if columns.get("state") else {"ended_at": NOON}
    insert(database, tables.call_attempts, {
        "attempt_ref": f"ref-{number}", "lead_id": lead_id, "campaign_id": campaign_id, "attempt_number": 1,
        "telefono": number, "provider": "simulator", "provider_call_id": f"call-{number}", "state": "ended",
        **over, **columns,
    })


def add_news(database, kind, actor, **details):
    with database.engine.connect() as connection, connection.begin():
        journal.add_events(connection, [Happening(kind=kind, actor=actor, details=details)], NOON)


def insert(database, table, values):
    with database.engine.connect() as connection, connection.begin():
        return connection.execute(table.insert().values(**values)).inserted_primary_key[0]
