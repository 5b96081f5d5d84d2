"""A provider in trouble: what one daemon learns, all of them know; leads wait unspent, and nobody presses resume."""

from __future__ import annotations

from datetime import timedelta

import pytest

from scheduler.errors import ProviderError
from scheduler.events import SilentReporter
from scheduler.providers.base import Accepted, RefusalKind, Refused, Unanswered, Vitals
from scheduler.rules.pacing import FAULTS_TO_OPEN, FIRST_REST
from scheduler.service.breakers import Answered, Breakers
from scheduler.service.explain import explain_lead
from scheduler.store import calls, tables
from tests.factories import (
    MINUTE,
    ScriptedProvider,
    Station,
    add_campaign,
    add_due_lead,
    attempts_of,
    broken_promises,
    call_of,
    chilean,
    events_of,
    find_all,
    lead_of,
    refused,
    set_config,
    sql,
)

SECOND = timedelta(seconds=1)


def test_one_daemons_bad_news_is_every_daemons(runtime, database, clock):
    provider = ScriptedProvider()
    one, other = Station(runtime, provider), Station(runtime, provider, owner="station:2")
    provider.answers(None, refused(RefusalKind.HOLD, "the key is wrong"))
    first = add_due_lead(database)
    one.dispatch()
    for _ in range(3):
        add_due_lead(database)

    assert other.dispatch().taken == 0
    row = call_of(database, first)
    assert (row.status, row.attempt_number) == ("pending", 1)
    assert "the key is wrong" in row.reason
    assert lead_of(database, first).call_attempts_count == 0
    assert len(events_of(database, "breaker_open")) == 1


def test_due_leads_say_why_they_wait_and_so_does_explain(runtime, database, clock):
    station = Station(runtime)
    station.provider.answers(None, refused(RefusalKind.HOLD, "the key is wrong"))
    station.dispatcher.record_answers()
    add_due_lead(database)
    station.dispatch()
    waiting = add_due_lead(database)
    station.upkeep()

    assert "left alone for now" in call_of(database, waiting).reason
    assert "the key is wrong" in call_of(database, waiting).reason
    assert "the key is wrong" in explain_lead(waiting, runtime=station.runtime).decided


def test_after_its_rest_one_probe_goes_out_between_all_daemons_and_a_good_answer_closes_it(runtime, database, clock):
    provider = ScriptedProvider()
    stations = [Station(runtime, provider, owner=f"station:{number}") for number in range(3)]
    provider.answers(None, refused(RefusalKind.HOLD, "no credit"))
    for _ in range(200):
        add_due_lead(database)
    stations[0].dispatch()
    sql(database, "UPDATE scheduler_config SET config_value = '1000' WHERE config_key = 'max_concurrent_calls'")
    clock.advance(FIRST_REST + SECOND)
    dialed = [stations[1].dispatcher._turn(1000).dialed, stations[2].dispatcher._turn(1000).dialed]
    stations[1].dispatcher.drain(10)
    for _ in range(10):
        stations[2].dispatch()

    assert dialed[0] == 1
    assert dialed[1] <= 2, "the probe is in flight, or just answered"
    assert len(events_of(database, "breaker_closed")) == 1
    assert len(provider.dials) > 100
    assert broken_promises(database) == {}


def test_no_answers_in_a_row_open_it_and_unanswered_leads_are_not_dialed_again(runtime, database, clock):
    station = Station(runtime)
    station.provider.answers(None, *[Unanswered("lost")] * FAULTS_TO_OPEN)
    for _ in range(FAULTS_TO_OPEN):
        add_due_lead(database)
    station.dispatch()
    waiting = add_due_lead(database)

    assert station.dispatch().taken == 0
    assert attempts_of(database, waiting) == []
    assert len(station.provider.dials) == FAULTS_TO_OPEN


def test_throttled_means_slower_and_then_as_before(runtime, database, clock):
    set_config(database, max_concurrent_calls="1000")
    station = Station(runtime, places=100)
    station.provider.answers(None, refused(RefusalKind.THROTTLED, "too many requests", retry_after=3 * SECOND))
    for _ in range(60):
        add_due_lead(database)
    station.dispatcher._turn(1)
    station.dispatcher.drain(10)
    silent = station.dispatch().taken
    clock.advance(4 * SECOND)
    slow = station.dispatch().dialed
    clock.advance(20 * MINUTE)
    station.dispatch_until_quiet()

    assert silent == 0
    assert 1 <= slow < 20
    assert len({request.number for request in station.provider.dials}) == 60
    spent = [lead.call_attempts_count for lead in find_all(database, tables.leads)]
    assert set(spent) == {0}, "live calls are not over, and a throttled one costs nothing"


def test_an_account_that_cannot_dial_is_noticed_before_any_lead_is_taken(runtime, database, clock):
    station = Station(runtime)
    station.provider.vitals = Vitals(problem="no credits are left on the account")
    lead_id = add_due_lead(database)
    station.dispatcher.watch_vitals()

    assert station.dispatch().taken == 0
    station.provider.vitals = Vitals()
    clock.advance(2 * MINUTE)
    station.dispatcher.watch_vitals()
    assert station.dispatch().dialed == 1
    assert len(attempts_of(database, lead_id)) == 1


@pytest.mark.parametrize(
    "vitals, room", [(Vitals(most_calls=7, in_use=0), 7), (Vitals(most_calls=7, in_use=4), 3), (Vitals(), 20),
                     (Vitals(most_calls=2, in_use=9), 0)],
)  # fmt: skip
def test_the_vendors_own_limit_is_kept_with_the_calls_of_others_counted(runtime, database, vitals, room):
    set_config(database, max_concurrent_calls="20")
    station = Station(runtime)
    station.provider.vitals = vitals
    for _ in range(30):
        add_due_lead(database)
    station.dispatcher.watch_vitals()
    station.dispatch()

    assert len(station.provider.dials) == room


def test_our_own_calls_are_not_counted_twice_against_the_vendors_limit(runtime, database):
    station = Station(runtime)
    for _ in range(4):
        add_due_lead(database)
    station.dispatch()
    station.provider.vitals = Vitals(most_calls=7, in_use=4)
    for _ in range(10):
        add_due_lead(database)
    station.dispatcher.watch_vitals()
    station.dispatch()

    assert len(station.provider.dials) == 7


def test_a_vendor_that_does_not_tell_stops_nobody(runtime, database):
    station = Station(runtime)
    station.provider.trouble = ProviderError("no answer")
    add_due_lead(database)
    station.dispatcher.watch_vitals()

    assert station.dispatch().dialed == 1
    assert len(station.said("tick_failed")) == 1


def test_a_campaign_whose_agent_does_not_exist_stops_no_other_campaign(runtime, database, clock):
    good = add_campaign(database, "good")
    bad = add_campaign(database, "bad", call_settings={"agent_id": "agent_missing"})
    set_config(database, max_concurrent_calls="1000")
    station = Station(runtime, places=50)
    for _ in range(40):
        number = chilean()
        add_due_lead(database, number, campaign_id=bad)
        station.provider.answers(number, *[refused(RefusalKind.HOLD, "no such agent")] * 50)
        add_due_lead(database, campaign_id=good)
    for _ in range(30):
        station.dispatch()
        clock.advance(10 * SECOND)

    live = [one for one in find_all(database, tables.call_attempts) if one.state == "live"]
    assert len(live) == 40
    assert {one.campaign_id for one in live} == {good}
    waiting = [row for row in find_all(database, tables.call_schedule) if row.status == "pending"]
    assert len(waiting) == 40
    assert {row.hold for row in waiting} == {None}


def test_a_row_that_meets_trouble_each_time_waits_longer_so_that_others_are_tried(runtime, database, clock):
    station = Station(runtime, places=1)
    number = chilean()
    add_due_lead(database, number, at=clock.now() - MINUTE)
    station.provider.answers(number, *[refused(RefusalKind.HOLD, "this one is always a hold")] * 50)
    for _ in range(10):
        add_due_lead(database)
    for _ in range(60):
        station.dispatch()
        clock.advance(20 * SECOND)

    assert len([one for one in find_all(database, tables.call_attempts) if one.state == "live"]) == 10


def test_a_healthy_provider_writes_no_breaker(runtime, database):
    station = Station(runtime)
    for _ in range(20):
        add_due_lead(database, chilean())
    station.dispatch()

    assert find_all(database, tables.provider_pace) == []


def test_the_agent_and_the_caller_id_of_a_campaign_go_with_its_calls(runtime, database):
    own = add_campaign(database, call_settings={"agent_id": "agent_7", "from_number": "+56221234567"})
    station = Station(runtime)
    lead_id = add_due_lead(database, campaign_id=own)
    station.dispatch()

    request = station.provider.dials[0]
    assert (request.agent_id, request.from_number) == ("agent_7", "+56221234567")
    assert (request.lead_id, request.campaign_id) == (lead_id, own)


@pytest.mark.parametrize("kind", [RefusalKind.OUTAGE, RefusalKind.HOLD])
def test_starts_that_are_accepted_say_nothing_of_a_line_that_has_no_way(runtime, clock, kind):
    """The rest grows although each probe is accepted first; one call that came to a phone ends that."""
    breakers = Breakers(runtime, owner="one", reporter=SilentReporter())
    rests = []
    for _ in range(FAULTS_TO_OPEN - 1 if kind is RefusalKind.OUTAGE else 0):
        breakers.judge([Answered("pbx", Refused(kind, "no way"))], clock.now())
    for _ in range(4):
        breakers.judge([Answered("pbx", Accepted("x"), clock.now())], clock.now())
        breakers.judge([Answered("pbx", Refused(kind, "no way"))], clock.now())
        pace = runtime.database.read(calls.read_paces)["pbx"]
        rests.append((pace.breaker.open_until - clock.now()).total_seconds())
        clock.set(pace.breaker.open_until + SECOND)

    assert rests == [5, 10, 20, 40]
    breakers.judge([], clock.now(), {"pbx"})
    for _ in range(8):
        breakers.judge([Answered("pbx", Accepted("x"), clock.now())], clock.now())
    assert runtime.database.read(calls.read_paces)["pbx"].breaker.pace is None


def test_calls_that_find_no_way_here_and_there_stop_nothing(runtime, clock):
    breakers = Breakers(runtime, owner="one", reporter=SilentReporter())
    for _ in range(3 * FAULTS_TO_OPEN):
        breakers.judge([Answered("pbx", Refused(RefusalKind.OUTAGE, "no way"))], clock.now())
        breakers.judge([], clock.now(), {"pbx"})
        breakers.judge([Answered("pbx", Accepted("x"), clock.now())], clock.now())

    assert not runtime.database.read(calls.read_paces)["pbx"].breaker.is_open(clock.now())
