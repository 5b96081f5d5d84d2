"""Run dispatch, follow and upkeep on their timers, until told to stop.

Decided here: intervals, signals, what happens while the database is away, when there is nothing left to
do. APScheduler gives the intervals and nothing else: each job is a `run_once` that a test turns by hand.
What must stay true: a polite stop takes nothing new, lets the dials in flight finish and leaves no
`unknown` behind; a second signal is as good as a kill; a tick that fails is reported and tried again.
"""

from __future__ import annotations

import logging
import os
import random
import signal
import socket
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from types import FrameType
from typing import Any

from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_MAX_INSTANCES, JobEvent
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger
from prometheus_client import start_http_server

from scheduler import __version__
from scheduler.clock import SystemClock, boottime
from scheduler.errors import DatabaseUnavailable, RingbackError, SchemaMismatch
from scheduler.events import Listener as EventListener
from scheduler.events import Reporter
from scheduler.model import DaemonDoing, DaemonWish, Happening
from scheduler.providers.base import Listener
from scheduler.providers.names import NAMES
from scheduler.rules.hours import tzdata_version
from scheduler.service import dispatch, follow, upkeep
from scheduler.service.alerts import AlertWatch
from scheduler.service.claimers import mark_of
from scheduler.service.dispatch import find_hindrance
from scheduler.service.inbox import Inbox
from scheduler.service.notify import Notifier
from scheduler.service.recovery import OLDER, LostCalls, Memory, Recoverer
from scheduler.service.rulebook import RuleBook
from scheduler.service.runtime import Runtime, prepare_process
from scheduler.service.vitals import Pulse, measure
from scheduler.store import accounts, calls, campaigns, journal, recoveries, schema
from scheduler.store.database import Connection, skew
from scheduler.store.server import require_fit

LONGEST_WAIT = 5.0
"""Seconds between tries while the database is away: the first take follows its return within them."""
SKEW_WARNING = timedelta(seconds=2)
SKEW_STOP = timedelta(seconds=10)
INBOX_INTERVAL = 1.0
VITALS_INTERVAL = 15.0
FIRST_LOOK_LASTS = 3.0
"""Seconds that the first dial waits for what providers say of their accounts."""
SAY_NAMES_AGAIN = 300.0
"""Seconds after which a name that still hangs is written down once more."""
FIRST_WORD_SECONDS = 3.0
"""How long the first dial waits for a connection over which events come."""
IDLE_AFTER = timedelta(minutes=5)
REMIND_EVERY = 60.0
"""Seconds between words of a paused daemon that was told to work until nothing is left."""


MOST_TOLD = 10
EVERYTHING_PAUSED = "everything is paused (scheduler_config.paused)"


@dataclass(frozen=True, slots=True)
class Idle:
    """Nothing to do now. `waiting` rows are planned, the next of them for `next_at`. `why` says, for each campaign
    (or leads without one) whose calls are due all the same, why they wait.
    """

    waiting: int
    held: int
    next_at: datetime | None
    why: tuple[str, ...] = ()


class Daemon:
    """One scheduler process. Several on one MySQL share the work; none of them is special."""

    def __init__(
        self, runtime: Runtime, *, on_event: EventListener | None = None, reporter: Reporter | None = None,
        notifier: Notifier | None = None,
    ) -> None:
        self.runtime = runtime
        self.reporter = reporter or Reporter(on_event)
        self._notifier = notifier or Notifier()
        self.pulse = Pulse()
        # A birth certificate: never a configured name, so that a restarted process is another owner.
        self.owner = f"{runtime.settings.host or socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"[:96]
        self.reporter.daemon_owner = self.owner
        rulebook = RuleBook()
        self.dispatcher = dispatch.Dispatcher(runtime, owner=self.owner, rulebook=rulebook, reporter=self.reporter)
        breakers = self.dispatcher.breakers
        self.follower = follow.Follower(runtime, rulebook=rulebook, reporter=self.reporter, breakers=breakers)
        self.inbox = Inbox(runtime, rulebook=rulebook, reporter=self.reporter, breakers=breakers)
        self.upkeep = upkeep.Upkeep(runtime, owner=self.owner, rulebook=rulebook, reporter=self.reporter)
        self.alerts = AlertWatch(runtime, self.reporter, rulebook)
        self.memory = Memory(runtime, self.owner)
        self.dispatcher.memory = self.memory
        self._lost = LostCalls(runtime, rulebook, self.reporter, actor=self.owner)
        self.recoverer = Recoverer(self.memory, self._lost, rulebook, self.reporter)
        self._stop = threading.Event()
        self._signals = 0
        self._away_since: float | None = None
        self._returning: float | None = None
        self._ask_at = 0.0
        self._outage_tries = 0
        self._away_lock = threading.Lock()
        self._is_registered = False
        self._failed = False
        self._shown: tuple[datetime, float] | None = None
        """What the database's clock showed last, and when that was on the clock of `boottime()`."""
        self._is_skewed = False
        self._doing = DaemonDoing.WORKING
        self._listening: set[str] = set()
        self._said_hanging: dict[str, float] = {}
        """Names of hosts that were said to hang, and when, on the clock of `boottime()`."""

    # --- running ---------------------------------------------------------------------------------

    def run(self, *, until_idle: bool = False, idle_after: timedelta = IDLE_AFTER) -> int:
        """Work until a signal, or until nothing is left that is due within `idle_after`. Returns the exit code."""
        prepare_process()
        self.reporter.speak_aside()
        NAMES.hurry(False)
        with self._signal_handlers():
            try:
                return self._run(until_idle, idle_after)
            finally:
                if not self.reporter.speak_here() and self._signals:
                    os._exit(1 if self._failed else 0)  # its last lines are read by nobody, and would be waited for

    def _run(self, until_idle: bool, idle_after: timedelta) -> int:
        if not self._begin():
            return 0
        self._first_look_at_providers()
        if self.runtime.settings.metrics_port is not None:
            start_http_server(self.runtime.settings.metrics_port, "127.0.0.1", self.reporter.registry)
        ticks = self._start_ticks()
        self._notifier.ready(f"calling as {self.owner}")
        try:
            self._wait(until_idle, idle_after)
        finally:
            return_code = self._finish(ticks)
        return 1 if self._failed else return_code

    def run_once(self) -> dict[str, Any]:
        """One tick of everything, and the dials that it began. Returns what each part did."""
        if not self._begin():
            return {}
        self._watch_providers(listens=False)
        self.recoverer.run_once()
        done = {
            "upkeep": self.upkeep.run_once(),
            "dispatch": self._take() if self._may_dial() else dispatch.Report(),
        }
        self.dispatcher.drain(self._longest_dial())
        done["inbox"] = self.inbox.run_once()
        done["follow"] = self.follower.run_once()
        self._say_goodbye()
        return done

    def stop(self) -> None:
        """Take nothing new from now on."""
        self.dispatcher.stop()
        self._stop.set()

    def is_idle(self, within: timedelta = IDLE_AFTER) -> Idle | None:
        """What waits, if no call is open and none is due within that time; None while there is work."""
        now = self.runtime.clock.now()

        def look(connection: Connection) -> Idle | None:
            if calls.is_any_open(connection):
                return None
            due = calls.list_due_campaigns(connection, now + within)
            rules = self.dispatcher.rulebook.read(connection, [one.campaign for one in due if one.campaign])
            payers = accounts.read_accounts(
                connection, {one.campaign.account_id for one in due if one.campaign and one.campaign.account_id}
            )

            def hindrance_of(one: calls.DueCampaign) -> str | None:
                if rules.policy(None).is_paused:
                    return EVERYTHING_PAUSED
                payer = payers.get(one.campaign.account_id or 0) if one.campaign else None
                return find_hindrance(self.runtime, one.campaign, rules, payer)

            hindrances = [(one, hindrance_of(one)) for one in due]
            if any(why is None for _, why in hindrances):
                return None  # what no rule lets through waits for people; it is not work
            found = calls.read_workload(connection)
            return Idle(
                waiting=found.waiting, held=found.held, next_at=found.next_at,
                why=(
                    *(f"{_who(one)}: {why}" for one, why in hindrances if one.oldest <= now),
                    *(f"campaign {code}: it is {status}" for code, status in calls.list_stopped_with_due(
                        connection, now, MOST_TOLD)),
                )[:MOST_TOLD],
            )

        return self.runtime.database.read(look)

    # --- beginning and end -----------------------------------------------------------------------

    def _begin(self) -> bool:
        """Wait for the database, check the schema, register. False: told to stop meanwhile.

        Raises SchemaMismatch: no waiting will mend that.
        """
        tries = 0
        while not self._stop.is_set():
            try:
                self._check_beginning()
                if tries:
                    self.reporter.daemon(self._host_now(), "the database is there; starting")
                return True
            except DatabaseUnavailable as error:
                tries += 1
                wait = min(LONGEST_WAIT, 0.5 * 2**tries) * random.uniform(0.8, 1.0)
                self.reporter.database_away(self._host_now(), error, wait)
                self._notifier.waiting("waiting for the database")
                self._stop.wait(wait)
        return False

    def _check_beginning(self) -> None:
        database, settings = self.runtime.database, self.runtime.settings
        database.read(require_fit)
        schema.require_current(database)
        self.runtime.providers.get(self.runtime.default_provider)  # one that does not exist is said at once
        now = self.runtime.clock.now()
        rules = database.read(lambda connection: self.dispatcher.rulebook.read(connection))
        lease = timedelta(seconds=rules.config.get("lease_seconds", 60))
        problems = settings.problems(lease)
        if problems:
            raise RingbackError("these settings could lead to a call made twice: " + "; ".join(problems))
        unsafe = database.unsafe_durability()
        if unsafe and self.runtime.default_provider != "simulator" and not settings.allow_unsafe_durability:
            raise RingbackError(
                f"{unsafe}; a power cut could lose the record of a call that was made. Set it right, or say that you "
                "accept this with RINGBACK_ALLOW_UNSAFE_DURABILITY=1"
            )
        if not self._is_registered:
            database.transact(lambda connection: self._register(connection, now))
            self._is_registered = True
            self.memory.identify()
            self.recoverer.begin()
            for sentence in settings.warnings():
                self.reporter.daemon(now, sentence, level="warning")
            if unsafe:
                self.reporter.daemon(now, f"{unsafe}: fit for tests, not for calls that matter", level="warning")
            self.reporter.daemon(
                now,
                f"started as {self.owner} on {database}, provider {self.runtime.default_provider}, "
                f"{settings.dialing_places} dialing places, time zones of {tzdata_version()}",
            )
        self._watch_clock()  # before the first take, not after it
        self._watch_steps()

    def _finish(self, ticks: BackgroundScheduler) -> int:
        self.stop()
        NAMES.hurry(True)  # nothing that waits for a resolver has been sent
        self._notifier.stopping("dials in flight are finishing")
        in_flight = self._places_in_use()
        if in_flight:
            self.reporter.daemon(self._host_now(), f"stopping: nothing new is taken, {in_flight} dials are finishing")
        self.dispatcher.drain(self._longest_dial())
        are_over = self._end_ticks(ticks)
        # A take that was under way when we were told to stop has begun its dials only now.
        is_clean = self.dispatcher.drain(self._longest_dial())
        if is_clean and are_over:
            self._say_goodbye()
        else:
            self.reporter.daemon(
                self._host_now(),
                "stopped with answers that could not be written; the next daemon looks them up" if not is_clean else
                "stopped in the middle of a turn, which waited too long for the database", level="warning",
            )
        self.dispatcher.close()
        if not (is_clean and are_over) and self._signals:
            # A thread waits for rows that somebody else holds, perhaps a process that is frozen, and the interpreter
            # would wait for the thread. As after a kill its transaction is undone and calls are looked up.
            if self.reporter.speak_here():
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(0)
        return 0

    def _end_ticks(self, ticks: BackgroundScheduler) -> bool:
        """Wait for the turns under way. False: one of them is not over in the time that a dial may take."""
        ending = threading.Thread(target=ticks.shutdown, name="ending", daemon=True)
        ending.start()
        ending.join(self._longest_dial())
        return not ending.is_alive()

    def _say_goodbye(self) -> None:
        try:
            now = self.runtime.clock.now()
            ticks, vitals = self.memory.ticks, self._measure(now)
            self.runtime.database.transact(lambda connection: journal.beat(
                connection, self.owner, ticks=ticks, status="stopped", now=now, vitals=vitals
            ))
            open_ones = self.runtime.database.read(calls.count_open)
            left = [f"{count} calls are {state}" for state, count in open_ones.items()]
            said = f"{', '.join(left)}: the next daemon follows them" if left else "no call is left open"
            self.reporter.daemon(now, f"stopped; {said}")
        except DatabaseUnavailable as error:
            self.reporter.daemon(self._host_now(), f"stopped; the table could not be told: {error}", level="warning")

    def _longest_dial(self) -> float:
        return self.runtime.settings.dial_budget + self.runtime.settings.request_timeout + 2

    def _places_in_use(self) -> int:
        return self.runtime.settings.dialing_places - self.dispatcher.free_places

    # --- ticks -----------------------------------------------------------------------------------

    def _start_ticks(self) -> BackgroundScheduler:
        settings = self.runtime.settings
        logging.getLogger("apscheduler").setLevel(logging.CRITICAL)  # skipped ticks are counted below instead
        ticks = BackgroundScheduler(
            timezone=UTC,
            # Without a grace a busy machine would drop ticks; without coalescing it would make up for them.
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        for name, interval, work in (
            ("dispatch", settings.dispatch_interval, self._dispatch),
            ("inbox", min(settings.follow_interval, INBOX_INTERVAL), self.inbox.run_once),
            ("follow", settings.follow_interval, self.follower.run_once),
            ("vitals", VITALS_INTERVAL, self._watch_providers),
            ("upkeep", settings.upkeep_interval, self._keep_up),
            ("recovery", settings.upkeep_interval, self.recoverer.run_once),
        ):
            self.pulse.expect(name, interval)
            ticks.add_job(
                self._guarded(name, work), IntervalTrigger(seconds=interval, timezone=UTC), id=name,
                next_run_time=datetime.now(UTC),
            )
        ticks.add_listener(self._note_skip, EVENT_JOB_MAX_INSTANCES)
        ticks.add_listener(self._note_error, EVENT_JOB_ERROR)
        ticks.start()
        return ticks

    def _first_look_at_providers(self) -> None:
        """Before the first dial: an account without credit, or its limit of calls, should not be learnt by dialing.

        One that does not answer soon must not keep the others' calls waiting: it goes on being asked meanwhile.
        """
        try:
            for name in self._watch_providers(patience=FIRST_LOOK_LASTS):
                self.reporter.daemon(
                    self._host_now(), level="warning",
                    text=f"{name} has not said how its account stands for {FIRST_LOOK_LASTS:g} s; calls begin without",
                )
        except RingbackError as error:
            self.reporter.tick_failed(self._host_now(), "asking providers how they stand", error)
        # What is said of the first calls is not to be lost because they were faster than our own connection.
        until = boottime() + FIRST_WORD_SECONDS
        while boottime() < until and not self._stop.is_set() and not all(one.hears() for one in self._listeners()):
            self._stop.wait(0.02)

    def _listeners(self) -> list[Listener]:
        found = [self.runtime.providers.find(name) for name in sorted(self._listening)]
        return [one for one in found if one is not None and isinstance(one, Listener)]

    def _watch_providers(self, *, listens: bool = True, patience: float | None = None) -> list[str]:
        """Ask how accounts stand, and take in the events of those that send them over a connection of ours."""
        in_use = {self.runtime.default_provider} | self.runtime.database.read(campaigns.list_providers)
        for name in sorted(in_use - self._listening):
            provider = self.runtime.providers.find(name)
            if listens and isinstance(provider, Listener):
                self._listening.add(name)
                keep = partial(self.inbox.keep_own, name)
                threading.Thread(
                    target=provider.listen, args=(keep, self._stop), name=f"listen-{name}", daemon=True
                ).start()
        return self.dispatcher.watch_vitals(patience)

    def _dispatch(self) -> None:
        self.runtime.database.require_same_file()  # whether anything is due or not: heartbeats are lost there as well
        if self._may_dial():
            self._take()
        else:
            self.dispatcher.record_answers()
        if self._doing is DaemonDoing.DRAINING and self._is_drained():
            self.reporter.daemon(self._host_now(), "drained: every call is over, or another daemon follows it")
            self.stop()

    def _take(self) -> dispatch.Report:
        report = self.dispatcher.run_once(self._may_dial)
        if self.memory.doubt is not None:
            self._hold(self.memory.doubt)
        return report

    def _hold(self, why: str) -> None:
        """Calls are missing: nobody dials before that is cleared up."""
        self._lost.hold(OLDER.format(why=why), self.memory.epoch)
        self.memory.doubt = None

    def _may_dial(self) -> bool:
        self._obey()
        return not self._is_skewed and self._doing is DaemonDoing.WORKING

    def _obey(self) -> None:
        """Do what people ask of this daemon (`ringback daemons`): asked once a tick, by the index of owners."""
        wanted, newest_id, newest_ref = self.runtime.database.read(
            lambda connection: journal.read_wanted(connection, self.owner)
        )
        self.memory.saw(newest_id, newest_ref)
        doing = {
            DaemonWish.RUN: DaemonDoing.WORKING, DaemonWish.PAUSE: DaemonDoing.PAUSED,
            DaemonWish.DRAIN: DaemonDoing.DRAINING,
        }[wanted]
        if doing is self._doing:
            return
        now = self.runtime.clock.now()
        self.runtime.database.transact(lambda connection: journal.set_doing(connection, self.owner, doing, now))
        self._doing = doing
        self.reporter.daemon(now, {
            DaemonDoing.WORKING: "resumed: calls are taken again",
            DaemonDoing.PAUSED: "paused: nothing new is taken, live calls are followed",
            DaemonDoing.DRAINING: "draining: nothing new is taken, and it ends when its calls are over",
        }[doing])

    def _is_drained(self) -> bool:
        """No dial of ours in flight, and nobody's call left that only we could follow."""
        if self._places_in_use():
            return False
        since = self.runtime.clock.now() - timedelta(seconds=3 * self.runtime.settings.upkeep_interval + 10)
        return self.runtime.database.read(
            lambda connection: not calls.is_any_open(connection)
            or bool(journal.list_others(connection, self.owner, since))
        )

    def _keep_up(self) -> None:
        self._beat()
        self._watch_clock()
        self._watch_steps()
        self._watch_names()
        self.upkeep.run_once()
        self.inbox.forget()
        self.alerts.run_once()

    def _guarded(self, name: str, work: Callable[[], object]) -> Callable[[], None]:
        """A tick that never raises: what goes wrong is said, and the next tick tries again."""

        def tick() -> None:
            try:
                turn()
            finally:
                self.pulse.came_round(name)

        def turn() -> None:
            if self._stop.is_set() and name != "follow":
                return
            began = boottime()
            try:
                if self._is_away() and not self._is_back():
                    return
                work()
                self._worked()
                took = boottime() - began
                self.pulse.came_round(name, took=took)
                self.reporter.ticked(name, self._host_now(), took)
            except DatabaseUnavailable as error:
                self._went_away(error)
            except SchemaMismatch as error:
                self.reporter.daemon(self._host_now(), str(error), level="error")
                self._failed = True
                self.stop()
            except Exception as error:  # the loop must not end for one bad turn
                self.reporter.tick_failed(self._host_now(), name, error)

        return tick

    def _beat(self) -> None:
        """Write the heartbeat; notice a database that is older than what this process did."""
        now, ticks = self.runtime.clock.now(), self.memory.ticks + 1
        before = self.runtime.database.transact(
            lambda connection: journal.beat(
                connection, self.owner, ticks=ticks, status="running", now=now, vitals=self._measure(now)
            )
        )
        if before is None:
            # A copy of before our start, or somebody deleted the row: only the providers can tell.
            self._hold("it does not know this daemon any more")
            self.runtime.database.transact(lambda connection: self._register(connection, now))
            self.memory.ticks = 0
            return
        known, self.memory.ticks = self.memory.ticks, ticks  # only what was committed counts
        if before < known:
            self._hold(f"it knows {before} of {known} heartbeats of this daemon")

    def _register(self, connection: Connection, now: datetime) -> None:
        journal.add_daemon(
            connection, owner=self.owner, host=self.runtime.settings.host[:64], pid=os.getpid(),
            provider=self.runtime.default_provider, version=__version__, now=now, process_mark=mark_of(os.getpid()),
        )

    def _measure(self, now: datetime) -> dict[str, Any]:
        return measure(self.reporter, self.pulse, now)

    def _tell_alive(self) -> None:
        """To the watchdog of the service manager, as long as every job comes round."""
        patience = self._notifier.watchdog
        if patience is not None and not self.pulse.list_hung(patience):
            self._notifier.alive()

    def _watch_clock(self) -> None:
        """This host's clock decides nothing, but one that is far off says that something is wrong here."""
        off = abs(skew(self.runtime.database))
        self._is_skewed = off > SKEW_STOP
        if off > SKEW_WARNING:
            self.reporter.daemon(
                self._host_now(),
                f"this host's clock is {off.total_seconds():.1f} s off the database's; set it right (NTP)"
                + (": nothing is dialed from here until then" if self._is_skewed else ""),
                level="error" if self._is_skewed else "warning",
            )

    def _watch_steps(self) -> None:
        """Notice that the database's clock went back, by what it showed before, here or in the newest attempt."""
        now, here = self.runtime.clock.now(), boottime()
        if self._shown is None:
            newest = self.runtime.database.read(recoveries.find_newest_claim)
            until = newest or now
        else:
            until = self._shown[0] + timedelta(seconds=here - self._shown[1]) if now < self._shown[0] else now
        self._shown = now, here
        if until - now <= SKEW_WARNING:
            return

        def work(connection: Connection) -> bool:
            is_new = journal.add_clock_step(connection, now, until)
            if is_new:
                journal.add_events(connection, [Happening(
                    kind="clock_back", actor=self.owner, reason=f"by {(until - now).total_seconds():.0f} s",
                )], now)
            return is_new

        if self.runtime.database.transact(work):
            self.reporter.daemon(
                now, f"the database's clock went back by {(until - now).total_seconds():.0f} s: waits and limits last "
                "that much longer; set up NTP on its host", level="error",
            )

    def _watch_names(self) -> None:
        """Say which hosts of vendors cannot be found, because the resolver gives no answer at all."""
        hanging = NAMES.list_hanging()
        now = self.runtime.clock.now()
        again_from = boottime() - SAY_NAMES_AGAIN
        news = [(host, True) for host in hanging if self._said_hanging.get(host, again_from) <= again_from]
        news += [(host, False) for host in self._said_hanging if host not in hanging]
        if not news:
            return
        self.runtime.database.transact(lambda connection: journal.add_events(connection, [
            Happening(
                kind="name_hangs" if hangs else "name_answers", actor=self.owner, details={"host": host},
                reason=f"looking up {host} {'gives no answer' if hangs else 'gives an answer again'}",
            )
            for host, hangs in news
        ], now))
        for host, hangs in news:
            self.reporter.name(now, host=host, hangs=hangs)
            if hangs:
                self._said_hanging[host] = boottime()
            else:
                del self._said_hanging[host]

    # --- the database away -----------------------------------------------------------------------

    def _is_away(self) -> bool:
        return self._away_since is not None

    def _went_away(self, error: BaseException) -> None:
        with self._away_lock:
            if self._is_away():
                return
            # A disk that is nearly full takes a small write and refuses the next: that is no return.
            self._away_since = self._returning or boottime()
            self._returning = None
            wait = min(LONGEST_WAIT, self.runtime.settings.dispatch_interval * 2**self._outage_tries)
            self._outage_tries = min(self._outage_tries + 1, 10)
            self._ask_at = boottime() + wait
            self.reporter.database_away(self._host_now(), error, wait)

    def _is_back(self) -> bool:
        """Asked while away: one writes once it answers, because a read-only copy answers reads."""
        if not self._away_lock.acquire(blocking=False):
            return False
        try:
            if self._away_since is None:
                return True
            if boottime() < self._ask_at:
                return False
            try:
                now = self.runtime.clock.now()
                self.runtime.database.transact(lambda connection: journal.touch(connection, self.owner, now=now))
            except DatabaseUnavailable:
                self._ask_at = boottime() + min(1.0, self.runtime.settings.dispatch_interval)
                return False
            self._returning, self._away_since = self._away_since, None
            return True
        finally:
            self._away_lock.release()

    def _worked(self) -> None:
        """A whole turn has succeeded: only now is it back."""
        with self._away_lock:
            if self._returning is not None:
                self.reporter.database_back(self._host_now(), boottime() - self._returning)
                self._returning = None
                self._outage_tries = 0

    # --- waiting and stopping --------------------------------------------------------------------

    def _wait(self, until_idle: bool, idle_after: timedelta) -> None:
        # In slices: a signal that was taken by another thread is handled only when this one wakes.
        while not until_idle and not self._stop.wait(0.5):
            self._tell_alive()
        # The first turn of everything comes before the first question whether all is done.
        self._stop.wait(self.runtime.settings.dispatch_interval + 0.2)
        reminded_at = float("-inf")
        while until_idle and not self._stop.is_set():
            self._tell_alive()
            try:
                idle = self.is_idle(idle_after) if not self._places_in_use() else None
            except DatabaseUnavailable as error:
                self._went_away(error)
                idle = None
            if idle is not None:
                self.reporter.daemon(self._host_now(), _say_idle(idle))
                return
            # It does not end: whoever paused it wants the rest called later.
            if self._doing is DaemonDoing.PAUSED and boottime() - reminded_at > REMIND_EVERY:
                reminded_at = boottime()
                self.reporter.daemon(
                    self._host_now(), level="warning",
                    text=f"paused with work left; `ringback daemons resume {self.owner}` goes on with it",
                )
            self._stop.wait(0.5)

    @contextmanager
    def _signal_handlers(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield  # only the main thread may set handlers; a caller's own thread stops us by stop()
            return
        before = {one: signal.signal(one, self._on_signal) for one in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._signals += 1
        if self._signals > 1:
            os._exit(128 + number)  # asked twice: as a kill; leases expire and calls are looked up
        # In a thread of its own: this one may hold the lock of the very event that is to be set.
        threading.Thread(target=self.stop, name="stop").start()

    def _note_skip(self, event: JobEvent) -> None:
        self.reporter.skipped(event.job_id)

    def _note_error(self, event: Any) -> None:
        self.reporter.tick_failed(self._host_now(), event.job_id, event.exception)

    def _host_now(self) -> datetime:
        return SystemClock().now()


def _say_idle(idle: Idle) -> str:
    if idle.next_at is not None:
        waiting = f"{idle.waiting} calls wait, the next for {idle.next_at:%Y-%m-%d %H:%M:%S} UTC"
    else:
        waiting = "no call is waiting"
    held = f"; {idle.held} leads are held" if idle.held else ""
    why = f"; calls are due and wait: {'; '.join(idle.why)}" if idle.why else ""
    return f"nothing is left to do: {waiting}{held}{why}"


def _who(due: calls.DueCampaign) -> str:
    return f"campaign {due.campaign.code}" if due.campaign else "leads without a campaign"
