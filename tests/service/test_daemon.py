from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import func, select

from scheduler.errors import RingbackError, SchemaMismatch
from scheduler.events import SilentReporter
from scheduler.providers.network import FaultPlan, SimulatedNetwork, parse_faults, parse_mix
from scheduler.providers.simulator import Simulator
from scheduler.service.daemon import Daemon
from scheduler.service.runtime import Runtime
from scheduler.store import tables
from scheduler.store.database import Database
from tests.conftest import NOON
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
    bar,
    broken_promises,
    call_of,
    chilean,
    ended_at_once,
    find,
    find_all,
    lead_of,
    plan_call,
    set_config,
    sql,
    with_providers,
    with_settings,
)

SECOND = timedelta(seconds=1)
MOST_TURNS = 2000


# --- one turn ------------------------------------------------------------------------------------------


def test_one_turn_keeps_up_dials_and_follows(runtime, database, clock):
    provider = ScriptedProvider("simulator")  # under this name a database that is fast and unsafe will do
    daemon = Daemon(with_providers(runtime, {"simulator": provider}, "simulator"), reporter=SilentReporter())
    closed = add_lead(database, lead_status="closed")
    number = chilean()
    lead_id = add_due_lead(database, number)
    provider.answers(number, ended_at_once("no_answer"))

    done = daemon.run_once()

    assert done["upkeep"].closed_by_hand == 1
    assert done["dispatch"].dialed == 1
    assert lead_of(database, closed).closed_at == NOON
    assert attempt_of(database, lead_id).outcome == "no_answer"
    assert find(database, tables.daemons, owner=daemon.owner).status == "stopped"


def test_each_daemon_is_born_with_a_name_of_its_own(runtime):
    assert Daemon(runtime).owner != Daemon(runtime).owner


def test_a_daemon_that_is_told_to_work_until_idle_comes_back(runtime, database):
    provider = ScriptedProvider("simulator")
    provider.answers(None, ended_at_once("no_answer"))
    lead_id = add_due_lead(database)
    hasty = with_settings(runtime, dispatch_interval=0.05, follow_interval=0.05)

    code = Daemon(with_providers(hasty, {"simulator": provider}, "simulator"), reporter=SilentReporter()).run(
        until_idle=True
    )

    assert code == 0
    assert attempt_of(database, lead_id).outcome == "no_answer"
    assert broken_promises(database) == {}
    assert [one.status for one in find_all(database, tables.daemons)] == ["stopped"]


# --- idle -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "due, within, waiting",
    [
        (-MINUTE, 5 * MINUTE, None),
        (5 * MINUTE, 5 * MINUTE, None),
        (6 * MINUTE, 5 * MINUTE, 1),
        (DAY, 2 * DAY, None),
    ],
)
def test_it_is_idle_when_nothing_is_due_soon(runtime, database, due, within, waiting):
    add_due_lead(database, at=NOON + due)

    idle = Daemon(runtime).is_idle(within)

    assert (idle and idle.waiting) == waiting
    assert idle is None or idle.next_at == NOON + due


def test_it_is_not_idle_while_a_call_is_open(runtime, database, clock):
    station = Station(runtime)
    number = chilean()
    add_due_lead(database, number)
    station.dispatch()
    daemon = Daemon(station.runtime)
    while_open = daemon.is_idle()

    station.provider.ends(number, "completed")
    clock.advance(MINUTE)
    station.follow()

    assert while_open is None
    assert daemon.is_idle() is not None


def test_held_calls_and_paused_campaigns_keep_nobody_waiting(runtime, database):
    plan_call(database, add_lead(database), at=NOON + HOUR, hold="manual")
    add_due_lead(database, campaign_id=add_campaign(database, status="paused"))

    idle = Daemon(runtime).is_idle()

    assert (idle.waiting, idle.held, idle.next_at) == (0, 1, None)


# --- beginning ------------------------------------------------------------------------------------------------


def test_it_does_not_start_on_tables_that_are_missing_or_of_another_version(runtime, database, tmp_path):
    empty = Database(f"sqlite:///{tmp_path / 'empty.db'}")

    with pytest.raises(SchemaMismatch, match="ringback db upgrade"):
        Daemon(Runtime(runtime.settings, empty, runtime.clock, runtime.providers)).run_once()

    empty.close()


@pytest.mark.parametrize("revision, says", [("0003", "run `ringback db upgrade`"), ("9999", "newer than this program")])
def test_it_does_not_start_on_an_older_or_newer_schema(runtime, database, revision, says):
    [before] = sql(database, "SELECT version_num FROM alembic_version")
    sql(database, "UPDATE alembic_version SET version_num = :revision", revision=revision)
    try:
        with pytest.raises(SchemaMismatch, match=says):
            Daemon(runtime).run_once()
    finally:
        sql(database, "UPDATE alembic_version SET version_num = :revision", revision=before.version_num)


@pytest.mark.parametrize(
    "changed, says",
    [({"lease_seconds": 12.0}, "raise lease_seconds"), ({"settle_seconds": 50.0}, "settle_seconds is 50")],
)
def test_it_does_not_start_with_settings_that_could_ring_people_twice(runtime, changed, says):
    with pytest.raises(RingbackError, match=says):
        Daemon(with_settings(runtime, **changed)).run_once()


def test_a_lease_in_the_tables_that_is_too_short_stops_it_too(runtime, database):
    set_config(database, lease_seconds="12")

    with pytest.raises(RingbackError, match="raise lease_seconds"):
        Daemon(runtime).run_once()


def test_a_daemon_stopped_before_it_began_does_nothing(runtime, database):
    daemon = Daemon(runtime)
    daemon.stop()

    assert daemon.run_once() == {}
    assert find_all(database, tables.daemons) == []


# --- a whole campaign, by chance -----------------------------------------------------------------------------------


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_hundred_leads_over_days_keep_every_promise(runtime, database, clock, seed):
    chance = random.Random(seed)
    set_config(database, max_concurrent_calls="8", default_delay_hours="1.5", busy_delay_hours="0.25")
    leads = fill_by_chance(database, chance)
    station = on_simulator(runtime, clock, seed)

    turns = live_through(station, database, clock, chance)

    assert turns < MOST_TURNS, "it comes to rest"
    assert broken_promises(database) == {}
    for lead_id in leads:
        lead, row = lead_of(database, lead_id), call_of(database, lead_id)
        assert lead.lead_status == "closed" or row.hold is not None or row.status == "pending", vars(lead)
        assert lead.lead_status != "closed" or row.status != "pending"
        assert lead.call_attempts_count == len(find_all(database, tables.call_attempts, lead_id=lead_id, state="ended"))
    for one in find_all(database, tables.call_attempts):
        assert one.state in ("ended", "refused")
        assert one.attempt_number <= (6 if was_promised(database, one) else 3)
        if one.state == "ended":
            assert is_open_hour(one.telefono, one.claimed_at), (one.telefono, one.claimed_at)
            assert is_open_hour(one.telefono, one.dial_before - SECOND / 1000)
            assert one.open_from <= one.claimed_at < one.dial_before <= one.open_until
            assert one.claimed_at - SECOND <= one.placed_at <= one.dial_before


def fill_by_chance(database, chance: random.Random) -> list[int]:
    campaigns = [
        None,
        add_campaign(database, "plain"),
        add_campaign(database, "eager", priority=5, call_settings={"outcomes": {"busy": {"delay_hours": 0.1}}}),
    ]
    numbers = [f"{prefix}{number:04d}" for prefix in ZONES_OF for number in range(60)]
    chance.shuffle(numbers)
    leads = []
    for number in range(100):
        phones = [numbers.pop() for _ in range(chance.choice((1, 1, 1, 2, 3)))]
        campaign_id = chance.choice(campaigns)
        columns = {"manual_management": True} if number % 25 == 7 else {}
        lead_id = add_lead(database, *phones, campaign_id=campaign_id, **columns)
        plan_call(database, lead_id, at=NOON + chance.random() * 10 * HOUR)
        leads.append(lead_id)
    bar(database, lead_of(database, leads[3]).telefono)
    return leads


def on_simulator(runtime: Runtime, clock, seed: int) -> Station:
    """A station on a network that answers by chance, and a provider that fails now and then."""
    network = SimulatedNetwork(
        seed=seed, ring=20 * SECOND, talk=60 * SECOND, callback_after=90 * MINUTE,
        mix=parse_mix("completed=20,no_answer=40,busy=15,voicemail=10,hang_up=5,failed=5,callback=3,invalid_number=4"),
    )
    faults = "refuse=0.03,throttle=0.03,hold=0.01,invalid_number=0.01,swallow=0.03,lose_answer=0.03,lookup_error=0.05"
    simulator = Simulator(network, clock, FaultPlan(parse_faults(faults), seed=seed))
    return Station(with_settings(runtime, poll_every=40.0), simulator)


def live_through(station: Station, database, clock, chance: random.Random) -> int:
    """Turn the three loops until nothing is left but what waits for people. Returns how many turns it took."""
    for turn in range(MOST_TURNS):
        if turn % 5 == 0:
            station.upkeep()
        station.dispatch()
        station.follow()
        coming = next_instant(database)
        if coming is None:
            return turn
        clock.set(max(coming, clock.now()) + chance.uniform(1, 90) * SECOND)
    return MOST_TURNS


def next_instant(database) -> datetime | None:
    """When the next call or look is due."""
    planned, polled = tables.call_schedule.c, tables.call_attempts.c
    with database.engine.connect() as connection:
        questions = [
            select(func.min(planned.scheduled_at)).where(planned.status == "pending", planned.hold.is_(None)),
            select(func.min(polled.next_poll_at)).where(polled.state.in_(("live", "unknown"))),
        ]
        found = [connection.execute(question).scalar() for question in questions]
    return min((at for at in found if at is not None), default=None)


def was_promised(database, attempt) -> bool:
    """Had the lead asked, before this attempt, to be called back? Promises are kept beyond the maximum."""
    earlier = find_all(database, tables.call_attempts, lead_id=attempt.lead_id, outcome="callback")
    return any(one.id < attempt.id for one in earlier)


ZONES_OF = {
    "+5691234": ["America/Santiago"],
    "+3491123": ["Europe/Madrid"],
    "+3460000": ["Europe/Madrid", "Atlantic/Canary"],
    "+5730012": ["America/Bogota"],
    "+1202555": ["America/New_York"],
}
"""Where numbers with these beginnings ring, as a telephone book says it."""


def is_open_hour(number: str, at: datetime) -> bool:
    """Monday to Friday, 09:00 to 20:00, wherever this number may ring: worked out without the code under test."""
    [zones] = [zones for prefix, zones in ZONES_OF.items() if number.startswith(prefix)]
    local = [at.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)) for zone in zones]
    return all(one.isoweekday() <= 5 and 9 <= one.hour < 20 for one in local)


