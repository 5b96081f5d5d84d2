from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import func, select

from scheduler.errors import RingbackError, SchemaMismatch
from scheduler.events import Line, Reporter, SilentReporter
from scheduler.model import DaemonWish
from scheduler.providers.network import FaultPlan, SimulatedNetwork, parse_faults, parse_mix
from scheduler.providers.simulator import Simulator
from scheduler.service import control
from scheduler.service.alerts import list_alerts
from scheduler.service.daemon import Daemon
from scheduler.service.recovery import release_recovery
from scheduler.service.runtime import Runtime
from scheduler.store import tables
from scheduler.store.database import Database
from tests.conftest import NOON, sqlite_suffices
from tests.examples import examples
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
from tests.waiting import BACKSTOP, wait_until

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


def test_it_says_why_due_calls_wait_when_it_ends(runtime, database):
    add_due_lead(database, campaign_id=add_campaign(database, "resting", status="paused"))
    add_due_lead(database, campaign_id=add_campaign(database, "broken", call_settings='{"max_attempts": 0}'))

    (broken, resting) = Daemon(runtime).is_idle().why
    assert broken.startswith("campaign broken: ")
    assert "settings cannot be used" in broken
    assert resting == "campaign resting: it is paused"

    set_config(database, paused="sí")
    add_due_lead(database)
    assert "leads without a campaign: everything is paused (scheduler_config.paused)" in Daemon(runtime).is_idle().why


# --- steered from outside -------------------------------------------------------------------------------------


def test_a_paused_daemon_takes_nothing_new_and_follows_what_is_live(runtime, database):
    provider = ScriptedProvider("simulator")
    first, second = chilean(), chilean()
    called, waiting = add_due_lead(database, first), add_lead(database, second)
    with working(runtime, provider) as daemon:
        wait_until(lambda: attempts(database, called, "live"))
        steer(daemon, DaemonWish.PAUSE)
        wait_until(lambda: row_of(daemon).doing == "paused")
        plan_call(database, waiting)
        provider.ends(first, "completed")
        poll_now(database)
        wait_until(lambda: attempts(database, called, "ended"))
        while_paused = list(provider.numbers)
        said = "paused: nothing new is taken" in daemon.reporter.text

        steer(daemon, DaemonWish.RUN)
        wait_until(lambda: attempts(database, waiting, "live"))

    assert while_paused == [first]
    assert said and "resumed: calls are taken again" in daemon.reporter.text
    assert (row_of(daemon).status, row_of(daemon).doing) == ("stopped", "working")


def test_a_daemon_that_drains_ends_when_its_calls_are_over(runtime, database):
    provider = ScriptedProvider("simulator")
    number = chilean()
    called, waiting = add_due_lead(database, number), add_lead(database)
    with working(runtime, provider) as daemon:
        wait_until(lambda: attempts(database, called, "live"))
        steer(daemon, DaemonWish.DRAIN)
        wait_until(lambda: row_of(daemon).doing == "draining")
        plan_call(database, waiting)
        with_a_call_open = row_of(daemon).status
        provider.ends(number, "completed")
        poll_now(database)
        wait_until(lambda: not daemon.is_running)

    assert with_a_call_open == "running"
    assert daemon.exit_code == 0
    assert row_of(daemon).status == "stopped"
    assert attempt_of(database, called).outcome == "completed"
    assert provider.numbers == [number]
    assert call_of(database, waiting).status == "pending"


@pytest.mark.parametrize("columns", [{}, {"wanted": "pause", "doing": "paused"}])
def test_a_daemon_that_drains_leaves_its_live_calls_to_another_one(runtime, database, columns):
    provider = ScriptedProvider("simulator")
    lead_id = add_due_lead(database)
    add_daemon_row(database, "other:1:aa", **columns)
    with working(runtime, provider) as daemon:
        wait_until(lambda: attempts(database, lead_id, "live"))
        steer(daemon, DaemonWish.DRAIN)
        wait_until(lambda: not daemon.is_running)

    assert daemon.exit_code == 0
    assert attempt_of(database, lead_id).state == "live"


@pytest.mark.parametrize(
    "columns",
    [{"status": "stopped"}, {"last_seen_at": NOON - HOUR}, {"wanted": "drain"}],
    ids=["stopped", "silent", "draining too"],
)
def test_a_daemon_does_not_leave_its_calls_to_one_that_will_not_follow_them(runtime, database, columns):
    provider = ScriptedProvider("simulator")
    number = chilean()
    lead_id = add_due_lead(database, number)
    add_daemon_row(database, "other:1:aa", **columns)
    with working(runtime, provider) as daemon:
        wait_until(lambda: attempts(database, lead_id, "live"))
        steer(daemon, DaemonWish.DRAIN)
        wait_until(lambda: row_of(daemon).doing == "draining")
        looks = len(provider.polls)
        poll_now(database)
        wait_until(lambda: len(provider.polls) > looks)
        still_there = daemon.is_running
        provider.ends(number, "completed")
        poll_now(database)
        wait_until(lambda: not daemon.is_running)

    assert still_there
    assert attempt_of(database, lead_id).outcome == "completed"


def test_a_daemon_whose_row_is_gone_dials_nothing_until_somebody_says_so(runtime, database):
    """The copy that was restored may be of before its start. In the very next take, whenever upkeep comes round."""
    provider = ScriptedProvider("simulator")
    with working(runtime, provider) as daemon:
        wait_until(lambda: row_of(daemon) is not None)
        sql(database, "DELETE FROM daemons")
        lead_id = add_due_lead(database)
        wait_until(lambda: "it does not know this daemon any more" in daemon.reporter.text)
        wait_until(lambda: row_of(daemon) is not None)
        wait_turns(daemon)
        while_held = list(provider.dials)
        release_recovery("looked", runtime=daemon.runtime)
        wait_until(lambda: attempts(database, lead_id, "live"))

    assert while_held == []
    assert row_of(daemon).status == "stopped"


def test_a_paused_daemon_that_works_until_idle_waits_and_says_why(runtime, database):
    provider = ScriptedProvider("simulator")
    provider.answers(None, ended_at_once("completed"))
    waiting = add_lead(database)
    plan_call(database, waiting, at=NOON + MINUTE)  # too soon to be idle
    with working(runtime, provider, until_idle=True) as daemon:
        wait_until(lambda: row_of(daemon) is not None)
        steer(daemon, DaemonWish.PAUSE)
        wait_until(lambda: f"paused with work left; `ringback daemons resume {daemon.owner}`" in daemon.reporter.text)
        while_paused = daemon.is_running
        sql(database, "UPDATE call_schedule SET scheduled_at = '2026-11-20 15:00:00.000000'")
        steer(daemon, DaemonWish.RUN)
        wait_until(lambda: not daemon.is_running)

    assert while_paused
    assert lead_of(database, waiting).closed_reason == "completed"
    assert daemon.exit_code == 0


def test_while_everything_is_paused_a_daemon_that_works_until_idle_ends(runtime, database):
    set_config(database, paused="yes")
    add_due_lead(database)
    provider = ScriptedProvider("simulator")

    with working(runtime, provider, until_idle=True) as daemon:
        wait_until(lambda: not daemon.is_running)

    assert (daemon.exit_code, provider.dials) == (0, [])
    assert "nothing is left to do: 1 calls wait" in daemon.reporter.text


# --- what it must not dial from ---------------------------------------------------------------------------------


def test_a_daemon_dials_nothing_from_a_database_that_is_older_than_what_it_has_done(runtime, database):
    provider = ScriptedProvider("simulator")
    with working(runtime, provider) as daemon:
        wait_until(lambda: row_of(daemon) is not None and row_of(daemon).ticks >= 3)
        sql(database, "UPDATE daemons SET ticks = 1")  # as it was a while ago: the rest of it came back too
        wait_until(lambda: "older than what this process has done" in daemon.reporter.text)
        lead_id = add_due_lead(database)
        wait_turns(daemon)

    assert provider.dials == []
    assert call_of(database, lead_id).status == "pending"


def test_a_daemon_whose_host_is_an_hour_off_the_databases_clock_dials_nothing(runtime, database):
    provider = ScriptedProvider("simulator")
    lead_id = add_due_lead(database)
    elsewhere = HourBehind(database.url)
    with working(replace(runtime, database=elsewhere), provider) as daemon:
        wait_until(lambda: "set it right (NTP)" in daemon.reporter.text)
        wait_turns(daemon)
    elsewhere.close()

    assert provider.dials == []
    assert call_of(database, lead_id).status == "pending"


def test_a_clock_that_goes_back_under_a_daemon_is_noted_once_and_said(runtime, database, clock):
    provider = ScriptedProvider("simulator")
    with working(runtime, provider) as daemon:
        wait_until(lambda: row_of(daemon) is not None and row_of(daemon).ticks >= 1)
        clock.set(NOON - timedelta(seconds=90))
        wait_until(lambda: "the database's clock went back by 9" in daemon.reporter.text)
        wait_turns(daemon)

    assert len(find_all(database, tables.events, kind="clock_back")) == 1
    assert "clock_back" in {one.code for one in list_alerts(runtime=daemon.runtime)}


class HourBehind(Database):
    """A database whose clock is an hour behind that of this host."""

    def now(self) -> datetime:
        return super().now() - HOUR


def wait_turns(daemon: Working) -> None:
    """Until each job has had a turn that began after this was called: upkeep counts them, and is the rarest."""
    ticks = row_of(daemon).ticks
    wait_until(lambda: row_of(daemon).ticks >= ticks + 3)


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


@sqlite_suffices
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
@pytest.mark.parametrize("seed", range(1, 1 + examples(1)))
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


class Heard(Reporter):
    """Keeps what was said, as one text."""

    def __init__(self) -> None:
        self._lines: list[Line] = []
        super().__init__(self._lines.append)

    @property
    def text(self) -> str:
        return "\n".join(line.text for line in self._lines)


class Working:
    """A daemon at work in a thread of its own, with short intervals."""

    def __init__(self, runtime: Runtime, provider: ScriptedProvider, *, until_idle: bool) -> None:
        hasty = with_settings(
            runtime, dispatch_interval=0.05, follow_interval=0.05, upkeep_interval=0.05, poll_every=30.0
        )
        self.runtime = with_providers(hasty, {"simulator": provider}, "simulator")
        self.reporter = Heard()
        self.daemon = Daemon(self.runtime, reporter=self.reporter)
        self.exit_code: int | None = None
        self._until_idle = until_idle
        self.thread = threading.Thread(target=self._run)

    @property
    def owner(self) -> str:
        return self.daemon.owner

    @property
    def is_running(self) -> bool:
        return self.thread.is_alive()

    def _run(self) -> None:
        self.exit_code = self.daemon.run(until_idle=self._until_idle)


@contextmanager
def working(runtime: Runtime, provider: ScriptedProvider, *, until_idle: bool = False) -> Iterator[Working]:
    one = Working(runtime, provider, until_idle=until_idle)
    one.thread.start()
    try:
        yield one
    finally:
        one.daemon.stop()
        one.thread.join(BACKSTOP)
    assert not one.is_running


def steer(one: Working, wanted: DaemonWish) -> None:
    control.steer_daemon(one.owner, wanted, silent_after=MINUTE, runtime=one.runtime)


def row_of(one: Working) -> Any:
    return find(one.runtime.database, tables.daemons, owner=one.owner)


def attempts(database: Database, lead_id: int, state: str) -> list[Any]:
    return find_all(database, tables.call_attempts, lead_id=lead_id, state=state)


def poll_now(database: Database) -> None:
    """Live calls are looked at in the next turn; the clock stands still."""
    sql(database, "UPDATE call_attempts SET next_poll_at = '2026-11-20 15:00:00.000000' WHERE state = 'live'")


def add_daemon_row(database: Database, owner: str, **columns: Any) -> None:
    with database.engine.connect() as connection, connection.begin():
        connection.execute(tables.daemons.insert().values(
            owner=owner, host="h", pid=1, **{"last_seen_at": NOON, **columns}
        ))
