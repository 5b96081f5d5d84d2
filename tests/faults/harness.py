"""Real daemons, a real database and a telephone network that forgets nothing; and the verdict on them.

Every daemon is a process of its own, started from the command line, and so is the web process that takes
webhooks. The ledger of the simulated network, or of a fake vendor, is the only truth about what was dialed and
what became of it; the tables are what we believe. A sampler asks every promise of `store.reports` on a
connection of its own, many times a second, while faults strike, and how long dials of dead processes stay
undecided. After the faults stop, one healthy daemon works until nothing is left to do, and `House.verdict()`
compares the two.

A newcomer would look only at the end. Most broken dialers look fine at the end: what gives them away is
a second call in the ledger, or a state that lasted for a tenth of a second.
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from sqlalchemy import func, insert, select, text, update

from scheduler.config import Settings
from scheduler.errors import RingbackError
from scheduler.model import OPEN_STATES, AttemptState, ScheduleStatus
from scheduler.providers.network import MYSTERY, SimulatedNetwork, parse_mix
from scheduler.service.checks import Level, run_checks
from scheduler.service.operations import resolve_call
from scheduler.service.runtime import open_runtime
from scheduler.store.database import Database
from scheduler.store.reports import INVARIANTS
from scheduler.store.tables import (
    call_attempts,
    call_schedule,
    campaigns,
    daemons,
    events,
    leads,
    provider_events,
    scheduler_config,
)
from tests.faults.nursery import Child, nursery
from tests.providers.fakes import http_dialer, retell, twilio

ROOT = Path(__file__).resolve().parents[2]
A, S, L = call_attempts.c, call_schedule.c, leads.c

LEASE_SECONDS = 8.2
SETTLE_SECONDS = 8.5
UPKEEP_SECONDS = 0.5
HELD_SECONDS = 9.0
"""What a claim really holds: Ringback leases for no less than dial budget, request time-out, slack and a second."""
DAEMON_SETTINGS: Mapping[str, object] = {
    # Nearly the shortest that Ringback accepts: a lease outlives budget, request and five seconds of slack.
    "DIAL_BUDGET": 2, "REQUEST_TIMEOUT": 1, "LEASE_SECONDS": LEASE_SECONDS, "SETTLE_SECONDS": SETTLE_SECONDS,
    "DISPATCH_INTERVAL": 0.1, "FOLLOW_INTERVAL": 0.2, "UPKEEP_INTERVAL": UPKEEP_SECONDS, "POLL_EVERY": 0.4,
    "DIALING_PLACES": 10, "LOG_FORMAT": "json",
    # Longer than anybody is frozen here, and shorter than any test waits.
    "GONE_AFTER": 100,
}
OWN_SETTINGS = ("RINGBACK_", "RETELL_", "TWILIO_", "HTTP_DIALER_")
DAEMON = ("-m", "cli.main", "run")
WEB = ("-m", "cli.main", "serve")
MIX = "completed=40,no_answer=20,busy=15,voicemail=10,hang_up=8,failed=3,callback=2,invalid_number=1,do_not_call=1"
POINTS: Mapping[str, tuple[str, ...]] = {
    "take": ("take.before_write", "take.before_commit", "take.after_commit"),
    "dial": ("dial.before_request", "dial.after_look", "dial.after_answer"),
    "answer": ("answer.before_write", "answer.before_commit", "answer.after_commit"),
    "outcome": ("outcome.before_write", "outcome.before_commit", "outcome.after_commit"),
    "upkeep": ("upkeep.before_commit",),
    "inbox": ("inbox.before_commit", "inbox.after_commit", "inbox.before_apply", "inbox.before_applied"),
}
POINTS_OF_DIALS = tuple(point for stage, points in POINTS.items() if stage != "inbox" for point in points)
POINTS_OF_HOOKS = POINTS["inbox"]
"""Only a process that receives webhooks comes to all of them."""
LATE_TOLERANCE = timedelta(seconds=1)
"""A request that left in time may be written into the ledger so much later, on a quiet machine."""
LAGS = 4
"""On a busy one it may be later by so many times the longest that it let one of our own threads wait."""
STUCK_TURNS = 4
"""Turns of upkeep by one daemon after which a dial whose lease is over must be decided. The first may have been
under way already and one may be the victim of a deadlock."""
BACKSTOP = 240.0
"""Seconds after which something has gone wrong that no busy machine explains."""
STANDSTILL = timedelta(seconds=3)
"""A call that is due and still waits after so long, in a house at rest, has been forgotten."""


def wait_until(
    condition: Callable[[], object], what: str, about: Callable[[], str] = str, *, seconds: float = BACKSTOP,
    every: float = 0.05,
) -> None:
    """Ask until it holds. Fails after `seconds`, with what was waited for and what `about` tells then.

    A test that passes does not know how long it took: a machine may be as slow as it likes. `seconds` is for a
    claim about time, on a quiet machine.
    """
    moment, deadline = threading.Event(), _monotonic() + seconds
    while not condition():
        if _monotonic() > deadline:
            raise AssertionError(f"after {seconds:g} s still not: {what} {about()}")
        moment.wait(every)


def pause(seconds: float) -> None:
    """Let the processes work for a while; for the instants of faults, never for a result."""
    threading.Event().wait(seconds)


def _monotonic() -> float:
    return time.monotonic()


# --- processes ----------------------------------------------------------------------------------


class Process:
    """A child of ours, with what it said in a file."""

    def __init__(
        self, command: Sequence[str], log: Path, environment: Mapping[str, str], *, answers: bool = False
    ) -> None:
        """`answers`: it tells us something on its standard output, which is then no part of the log."""
        self.log = log
        self.is_frozen_by_us = self.is_told_to_stop = False
        _, module, *arguments = command
        self.child: Child | subprocess.Popen[bytes]
        with log.open("ab") as out:
            if "LD_PRELOAD" in environment:  # what the loader reads, a fork is too late for
                self.child = subprocess.Popen(
                    [sys.executable, *command], cwd=ROOT, env=dict(environment), stdin=subprocess.DEVNULL,
                    stdout=out, stderr=out,
                )
                return
            self.child = nursery().start(
                module, arguments, log=out.fileno(), environment=environment, folder=str(ROOT), answers=answers
            )

    @property
    def is_running(self) -> bool:
        return self.child.poll() is None

    def send(self, number: signal.Signals) -> None:
        if self.is_running:
            self.is_told_to_stop = self.is_told_to_stop or number in (signal.SIGTERM, signal.SIGINT)
            self.child.send_signal(number)

    def kill(self) -> None:
        """As a power cut does, for the process."""
        self.send(signal.SIGKILL)
        self.child.wait()

    def freeze(self) -> None:
        self.is_frozen_by_us = True
        self.send(signal.SIGSTOP)

    def thaw(self) -> None:
        self.is_frozen_by_us = False
        self.send(signal.SIGCONT)

    def wait(self, seconds: float = BACKSTOP) -> int:
        return self.child.wait(seconds)

    def said(self) -> str:
        return self.log.read_text(errors="replace")


class DaemonProcess(Process):
    """One `ringback run`, or `ringback serve`. `is_sound`: nothing is wrong with it but what is done to it."""

    STARTED = ("started as", "listening at")

    def __init__(
        self, command: Sequence[str], log: Path, environment: Mapping[str, str], *, is_sound: bool = True
    ) -> None:
        super().__init__(command, log, environment)
        self.is_sound = is_sound
        self.dials = "serve" not in command
        self._has_started = False

    def has_started(self) -> bool:
        word = self.STARTED[0 if self.dials else 1]
        self._has_started = self._has_started or word in self.said()
        return self._has_started

    @property
    def is_at_work(self) -> bool:
        """It can do what is to be done about the dials of others."""
        is_hindered = self.is_frozen_by_us or self.is_told_to_stop or not self.is_running
        return self.dials and self.is_sound and not is_hindered and self.has_started()

    def lines(self) -> list[dict[str, Any]]:
        """What it logged, one mapping per line."""
        found = []
        for line in self.said().splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                found.append({"level": "raw", "event": line})
        return found

    def errors(self) -> list[str]:
        return [str(one.get("event")) for one in self.lines() if one.get("level") in ("error", "critical")]

    def stop(self, number: signal.Signals = signal.SIGTERM, within: float = BACKSTOP) -> int:
        """Ask politely; its exit code."""
        self.send(number)
        return self.wait(within)


@dataclass(frozen=True)
class Vendor:
    """Which program plays the network, how it is told to misbehave, and what a daemon needs to dial it."""

    module: str
    faults_path: str
    address: str
    keys: Mapping[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    finds: bool = True
    """Can it be asked which calls it has?"""

    def environment(self, url: str) -> dict[str, str]:
        return {**self.keys, self.address: url}


VENDORS: Mapping[str, Vendor] = {
    "simulator": Vendor(
        "scheduler.providers.simulator_server", "/faults", "RINGBACK_SIMULATOR_URL",
        options=("--callback-minutes", "0.02"),
    ),
    "retell": Vendor(
        "tests.faults.forger", "/_faults", "RETELL_BASE_URL",
        {"RINGBACK_PROVIDER": "retell", "RETELL_API_KEY": retell.KEY, "RETELL_FROM_NUMBER": retell.FROM},
    ),
    "http": Vendor(
        "tests.faults.plain_dialer", "/_faults", "HTTP_DIALER_URL",
        {
            "RINGBACK_PROVIDER": "http", "HTTP_DIALER_TOKEN": http_dialer.TOKEN,
            "HTTP_DIALER_WEBHOOK_SECRET": http_dialer.SECRET,
        },
        finds=False,
    ),
}
VENDORS = {
    **VENDORS,
    "doubtful retell": replace(VENDORS["retell"], module="tests.faults.doubter"),
    "stolen twilio": Vendor(
        "tests.faults.thief", "/_faults", "TWILIO_BASE_URL",
        {
            "RINGBACK_PROVIDER": "twilio", "TWILIO_ACCOUNT_SID": twilio.ACCOUNT_SID,
            "TWILIO_AUTH_TOKEN": twilio.AUTH_TOKEN, "TWILIO_FROM_NUMBER": twilio.OWN_NUMBER,
            "TWILIO_TWIML_URL": "https://scripts.example.com/hello", "RINGBACK_SHORT_CALL_SECONDS": "0",
        },
    ),
}


class SimulatorProcess:
    """The telephone network as a process; it may be stopped and started again on the same ledger.

    With `vendor` it speaks as a real vendor does, and with `hooks_url` it posts webhooks there, as badly as
    `hooks` says ("lost=0.1,double=0.2,forged=0.1").
    """

    def __init__(
        self, folder: Path, *, seed: int, vendor: str = "simulator", mix: str = MIX, ring: float = 0.2,
        talk: float = 0.2, faults: str = "", delay: tuple[float, float] = (0, 0.05),
        lag: tuple[float, float] = (0, 0), hooks_url: str = "", hooks: str = "",
        hook_delay: tuple[float, float] = (0, 0),
    ) -> None:
        self.vendor = VENDORS[vendor]
        self.ledger = folder / "ledger.jsonl"
        self.network = SimulatedNetwork(
            seed=seed, mix=parse_mix(mix), ring=timedelta(seconds=ring), talk=timedelta(seconds=talk),
            callback_after=timedelta(seconds=1.2),
        )
        self._options = [
            "--ledger", str(self.ledger), "--seed", str(seed), "--mix", mix, "--ring-seconds", str(ring),
            "--talk-seconds", str(talk), "--faults", faults, "--delay-seconds", *map(str, delay),
            "--lookup-lag-seconds", *map(str, lag), *self.vendor.options,
        ]
        if hooks_url:
            self._options += [
                "--hooks-url", hooks_url, "--hook-faults", hooks, "--hook-delay-seconds", *map(str, hook_delay),
            ]
        self._log = folder / "simulator.log"
        self._process: Process | None = None
        self._entries: list[dict[str, Any]] = []
        self._read_to = 0
        self._reading = threading.Lock()
        self.url = ""
        self.start()

    def start(self) -> None:
        port = self.url.rpartition(":")[2] or "0"
        self._process = Process(
            ["-m", self.vendor.module, "--port", port, *self._options], self._log, os.environ, answers=True
        )
        assert self._process.child.stdout is not None
        self.url = self._process.child.stdout.readline().decode().strip()
        assert self.url.startswith("http"), f"the simulator did not start: {self._log.read_text()}"

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            if self._process.child.stdout is not None:
                self._process.child.stdout.close()

    def behave(self, **told: object) -> None:
        """Change its faults: `faults`, `delay_seconds`, `lookup_lag_seconds`."""
        request = urllib.request.Request(
            f"{self.url}{self.vendor.faults_path}", json.dumps(told).encode(), method="POST"
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 200

    def entries(self) -> list[dict[str, Any]]:
        """All that is in the ledger; each line is read once."""
        with self._reading, self.ledger.open("rb") as ledger:
            ledger.seek(self._read_to)
            for line in ledger:
                if not line.endswith(b"\n"):
                    break  # it is being written
                self._read_to += len(line)
                try:
                    self._entries.append(json.loads(line))
                except ValueError:
                    continue  # a torn line was never answered to anyone
            return self._entries.copy()

    def count(self, event: str) -> int:
        return sum(one["event"] == event for one in self.entries())

    def calls(self) -> list[Call]:
        """Every call that was made, with when it began and ended, and what became of it."""
        entries = self.entries()
        stopped = {one["call_id"]: _instant(one["at"]) for one in entries if one["event"] == "hangup"}
        found = []
        for one in entries:
            if one["event"] == "accepted":
                began, token = _instant(one["at"]), one["call_id"].removeprefix("sim-")
                over = began + self.network.length(token)
                over = min(over, stopped.get(one["call_id"], over))
                kind = self.network.fate(token).kind
                fate = None if one["call_id"] in stopped else "failed" if kind == MYSTERY else str(kind)
                found.append(Call(one["attempt_ref"], one["number"], one["call_id"], began, over, fate))
        return found

    def count_told(self, about: str) -> int:
        """Of how many calls a webhook of this name was posted."""
        return len({
            one["name"] for one in self.entries() if one["event"] == "webhook" and one["name"].startswith(f"{about} ")
        })

    def hooks(self, kind: str) -> Counter[int]:
        """How the webhooks that were posted were answered; `kind` is genuine or forged, 0 stands for nobody there."""
        return Counter(
            int(one["answer"]) for one in self.entries() if one["event"] == "webhook" and one["kind"] == kind
        )


@dataclass(frozen=True)
class Call:
    ref: str
    number: str
    call_id: str
    began: datetime
    over: datetime
    fate: str | None
    """The outcome that belongs to it; None when it was hung up."""


def _instant(written: str) -> datetime:
    return datetime.fromisoformat(written).astimezone(UTC)


# --- the promises, asked all the time -----------------------------------------------------------


class Sampler:
    """Asks every promise many times a second, on a connection of its own, and counts open attempts.

    It also sees whether dials stay undecided after their lease. What a frozen process holds locked in the database
    can be decided by nobody else, so it does not count. Whether one stands still is judged by the turns of upkeep
    that daemons have made meanwhile, for a busy machine makes each of them longer; in seconds it is only measured.
    """

    EVERY = 0.1
    REST = 9
    """It rests so many times as long as it has asked, or the others would wait for it."""
    BLIND = 2.0
    """Seconds: after a longer gap between two samples, nobody knows what was possible meanwhile."""

    def __init__(self, url: str, is_attended: Callable[[], bool]) -> None:
        self._database = Database(url, pool_size=1)
        self._is_attended = is_attended
        self._sampled_at: datetime | None = None
        self._stop = threading.Event()
        self.held = HELD_SECONDS
        """How long a claim holds; more, where a daemon has other settings."""
        self.samples = 0
        self.away = 0
        self.most_open = 0
        self.longest_stuck = self.lag = 0.0
        """Seconds. `lag` is the longest that this machine let our own thread wait for its turn."""
        self.stuck: dict[int, str] = {}
        self._stood: dict[int, float] = {}
        self._overdue: dict[int, dict[str, int]] = {}
        """Attempts whose lease is over, with how often each daemon's heart had beaten when that was first seen."""
        self.broken: dict[str, set[str]] = defaultdict(set)
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        self._thread.start()

    @property
    def late_tolerance(self) -> timedelta:
        return LATE_TOLERANCE + timedelta(seconds=LAGS * self.lag)

    def _run(self) -> None:
        rest = self.EVERY
        while True:
            before = _monotonic()
            if self._stop.wait(rest):
                return
            began = _monotonic()
            self.lag = max(self.lag, began - before - rest)
            self.ask()
            rest = max(self.EVERY, self.REST * (_monotonic() - began))

    def ask(self) -> None:
        try:
            self._look_at_dials()
            with self._database.engine.connect() as connection:
                for one in INVARIANTS:
                    for row in connection.execute(text(one.sql)).fetchmany(5):
                        self.broken[one.key].add(f"{one.key}: {tuple(row)}")
                    connection.rollback()  # each question sees a state of its own
                count = select(func.count()).select_from(call_attempts).where(A.state.in_(OPEN_STATES))
                self.most_open = max(self.most_open, connection.execute(count).scalar_one())
            self.samples += 1
        except Exception:  # the database is killed on purpose in some scenarios
            self.away += 1
            self._sampled_at = None

    def _look_at_dials(self) -> None:
        now, before = self._database.now(), self._sampled_at
        self._sampled_at = now
        step = (now - before).total_seconds() if before else self.BLIND
        placing = select(A.id, A.attempt_ref, A.claimed_at).where(A.state == AttemptState.PLACING)
        beats = select(daemons.c.owner, daemons.c.ticks)
        ticks, found = self._database.read(lambda connection: (
            dict(tuple(row) for row in connection.execute(beats)), connection.execute(placing).all(),
        ))
        stood: dict[int, float] = {}
        overdue: dict[int, dict[str, int]] = {}
        for attempt_id, ref, claimed_at in found:
            seconds = (now - claimed_at).total_seconds()
            if seconds <= self.held:
                continue
            first = {**ticks, **self._overdue.get(attempt_id, {})}
            turns = max((beats - first[owner] for owner, beats in ticks.items()), default=0)
            if turns >= STUCK_TURNS and self._is_held(attempt_id):
                first = ticks
            elif turns >= STUCK_TURNS:
                self.stuck[attempt_id] = f"{ref} was being placed for {seconds:.1f} s and {turns} turns of upkeep"
            overdue[attempt_id] = first
            if step < self.BLIND and self._is_attended():  # else nobody could see to them meanwhile
                # One that is seen for the first time may have been committed long after its claim.
                stood[attempt_id] = self._stood.get(attempt_id, self.held) + min(step, seconds - self.held)
                self.longest_stuck = max(self.longest_stuck, stood[attempt_id])
        self._overdue, self._stood = overdue, stood

    def _is_held(self, attempt_id: int) -> bool:
        """Does somebody hold it or its scheduled call locked, or is it decided by now?"""
        if self._database.is_sqlite:
            return False
        attempt = select(A.schedule_id).where(A.id == attempt_id, A.state == AttemptState.PLACING)
        with self._database.engine.connect() as connection:
            row_id = connection.execute(attempt.with_for_update(skip_locked=True)).scalar()
            row = select(S.id).where(S.id == row_id).with_for_update(skip_locked=True)
            found = row_id is not None and connection.execute(row).all()
            connection.rollback()
        return not found

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(BACKSTOP)
        self._database.close()


# --- the verdict --------------------------------------------------------------------------------


@dataclass
class Verdict:
    """What was counted. Every figure but `calls`, `samples` and `longest_stuck` must be zero; `examples` says where
    to look. The longest time that a dial stood still must not pass the lease and one turn of upkeep; where it did,
    `stuck_dials` says so.
    """

    calls: int = 0
    samples: int = 0
    refs_with_two_calls: int = 0
    refs_asked_twice: int = 0
    two_calls_to_one_phone: int = 0
    rung_again: int = 0
    calls_without_attempt: int = 0
    refused_but_called: int = 0
    wrong_outcomes: int = 0
    calls_over_capacity: int = 0
    out_of_hours_dials: int = 0
    late_without_event: int = 0
    lost_leads: int = 0
    miscounted_leads: int = 0
    forgotten_leads: int = 0
    unresolved: int = 0
    stuck_dials: int = 0
    forged_taken: int = 0
    taken_not_kept: int = 0
    broken_promises: int = 0
    check_failed: int = 0
    scenario_failed: int = 0
    longest_stuck: float = 0.0
    examples: list[str] = field(default_factory=list)

    NOT_COUNTS: ClassVar = ("examples", "longest_stuck")
    NOT_RED: ClassVar = ("calls", "samples")

    @property
    def counts(self) -> dict[str, int]:
        return {one.name: getattr(self, one.name) for one in fields(self) if one.name not in self.NOT_COUNTS}

    @property
    def red(self) -> dict[str, int]:
        """The figures that should be zero and are not."""
        return {name: count for name, count in self.counts.items() if count and name not in self.NOT_RED}

    @property
    def double_dials(self) -> int:
        """Calls that should not have been made: a second one for a request, or to a phone that was in a call."""
        return self.refs_with_two_calls + self.two_calls_to_one_phone + self.rung_again

    @property
    def stuck_leads(self) -> int:
        """Leads with which nothing happens although it is their turn."""
        return self.forgotten_leads + self.unresolved + self.stuck_dials

    def add(self, name: str, found: Iterable[object]) -> None:
        found = list(found)
        setattr(self, name, getattr(self, name) + len(found))
        self.examples += [f"{name}: {one}" for one in found[:5]]

    def __add__(self, other: Verdict) -> Verdict:
        """Both together, as one line of a table."""
        return Verdict(
            longest_stuck=max(self.longest_stuck, other.longest_stuck), examples=self.examples + other.examples,
            **{name: count + other.counts[name] for name, count in self.counts.items()},
        )


# --- the house ----------------------------------------------------------------------------------


class House:
    """One database, one telephone network, some daemons, and everything that is counted about them."""

    def __init__(
        self, url: str, folder: Path, *, seed: int, capacity: int = 60, max_attempts: int = 3,
        server: Any = None, hooks: str | None = None, rings_once: bool = False, **simulator: Any,
    ) -> None:
        """`hooks`: the vendor posts webhooks, misbehaving like this; see `start_web`. `rings_once`: no number may be
        called twice.
        """
        self.rings_once = rings_once
        self.written_by_hand: set[str] = set()
        """Numbers whose calls somebody settled without an attempt, as an operator may."""
        self.url, self.folder, self.seed, self.capacity, self.server = url, folder, seed, capacity, server
        self.random = random.Random(seed)
        self.database = Database(url, pool_size=2)
        self.daemons: list[DaemonProcess] = []
        self.kills = 0
        self._rested_at: datetime | None = None
        self._zones: dict[int | None, str] = {}
        self._numbers = iter(range(10_000_000))
        self._set_rules(capacity, max_attempts)
        self._let_dial_quickly(VENDORS[simulator.get("vendor", "simulator")])
        self.web_port = _free_port()
        self.announces = hooks is not None and VENDORS[simulator.get("vendor", "simulator")].address.startswith("TWI")
        if hooks is not None:
            simulator |= {"hooks": hooks, "hooks_url": f"http://127.0.0.1:{self.web_port}"}
        self.simulator = SimulatorProcess(folder, seed=seed, **simulator)
        self.sampler = Sampler(url, self.is_attended)

    def close(self) -> None:
        for one in self.daemons:
            one.thaw()
            one.kill()
        self.sampler.stop()
        self.simulator.stop()
        self.database.close()

    # --- what is to be done ----------------------------------------------------------------------

    def _set_rules(self, capacity: int, max_attempts: int) -> None:
        rules = {
            "working_hours_start": "00:00", "working_hours_end": "24:00", "working_days": "1,2,3,4,5,6,7",
            "timezone": "UTC", "holidays": "", "default_delay_hours": "0.0002", "hang_up_delay_hours": "0",
            "default_max_attempts": str(max_attempts), "max_concurrent_calls": str(capacity),
        }

        def write(connection: Any) -> None:
            for key, value in rules.items():
                connection.execute(
                    update(scheduler_config).where(scheduler_config.c.config_key == key).values(config_value=value)
                )

        self.database.transact(write)

    def _let_dial_quickly(self, vendor: Vendor) -> None:
        """An account that may make as many calls a second as it likes."""
        name = vendor.keys.get("RINGBACK_PROVIDER")
        if name is not None:
            row = insert(scheduler_config).values(config_key=f"{name}_calls_per_second", config_value="500")
            self.database.transact(lambda connection: connection.execute(row))

    def use_account(self, account: tuple[str, str]) -> None:
        """Daemons started from now on log in as this user."""
        user, password = account
        self.url = self.database.url.set(username=user, password=password).render_as_string(hide_password=False)

    def try_to(self, act: Callable[[], object]) -> bool:
        """Do something for which the database must be there. False: it is not."""
        try:
            act()
        except RingbackError:
            return False
        return True

    def add_campaign(self, code: str, **settings: object) -> int:
        return self.database.transact(lambda connection: connection.execute(insert(campaigns).values(
            code=code, name=code, call_settings=settings or None,
        )).inserted_primary_key[0])

    def add_campaign_closing_in(self, seconds: float) -> int:
        """Its window opened an hour ago or more and closes so many seconds from now; it opens again tomorrow."""
        now = self.database.now()
        # A zone in which it is about noon: midnight is then far, whenever this runs. Its leads live there.
        east = 12 - now.hour
        zone = f"Etc/GMT{-east:+d}" if east else "UTC"
        closing = now + timedelta(hours=east, seconds=seconds + 1)
        campaign_id = self.add_campaign(
            f"closing-{seconds:g}", timezone=zone, windows={"all": [["09:00", f"{closing:%H:%M:%S}"]]}
        )
        self._zones[campaign_id] = zone
        return campaign_id

    def close_campaign_in(self, campaign_id: int, seconds: float) -> datetime:
        """Change the window of a campaign that is open: it closes so many seconds from now. Returns when."""
        zone = self._zones[campaign_id]
        closes_at = self.database.now().replace(microsecond=0) + timedelta(seconds=seconds + 1)
        window = ["09:00", f"{closes_at.astimezone(ZoneInfo(zone)):%H:%M:%S}"]
        change = update(campaigns).where(campaigns.c.id == campaign_id)
        self.database.transact(lambda connection: connection.execute(
            change.values(call_settings={"timezone": zone, "windows": {"all": [window]}})
        ))
        return closes_at

    def add_leads(self, count: int, *, campaign_id: int | None = None, sharing: float = 0.05) -> None:
        """Leads that are due now. A share of them has the same number as the lead before."""

        def write(connection: Any) -> None:
            first = (connection.execute(select(func.max(L.id))).scalar() or 0) + 1
            people, rows, number = [], [], ""
            for lead_id in range(first, first + count):
                if not number or self.random.random() >= sharing:
                    number = f"+5692{next(self._numbers):07d}"
                people.append({
                    "id": lead_id, "campaign_id": campaign_id, "nombre": f"Lead {lead_id}", "telefono": number,
                    "time_zone": self._zones.get(campaign_id),
                })
                rows.append({
                    "lead_id": lead_id, "campaign_id": campaign_id, "scheduled_at": self.database.now(),
                    "status": "pending",
                })
            connection.execute(insert(leads), people)
            connection.execute(insert(call_schedule), rows)

        self.database.transact(write)

    # --- processes -------------------------------------------------------------------------------

    def start_daemon(
        self, fault_point: str | None = None, *, command: Sequence[str] = DAEMON, options: Sequence[str] = (),
        environment: Mapping[str, str] | None = None, is_sound: bool | None = None, **settings: object,
    ) -> DaemonProcess:
        """`options` are of the command line, `settings` those of Ringback. One with any of the others is not sound."""
        log = self.folder / f"daemon-{len(self.daemons) + 1}.log"
        full = {**self._environment(**settings), **(environment or {})}
        if fault_point:
            full["RINGBACK_FAULT_POINT"] = fault_point
            full["RINGBACK_FAULT_SEED"] = str(self.random.getrandbits(32))
        if is_sound is None:
            is_sound = command == DAEMON and not fault_point and not environment
        one = DaemonProcess((*command, *options), log, full, is_sound=is_sound)
        self.daemons.append(one)
        return one

    def start_web(self, fault_point: str | None = None, **options: Any) -> DaemonProcess:
        """The process that receives webhooks, at an address that stays the same; it also stores and applies them."""
        return self.wait_started(
            self.start_daemon(fault_point, command=WEB, options=("--port", str(self.web_port)), **options)
        )

    @property
    def with_web(self) -> tuple[str, ...]:
        """Options for a daemon that receives webhooks itself."""
        return "--with-web", "--port", str(self.web_port)

    def _environment(self, **settings: object) -> dict[str, str]:
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith(OWN_SETTINGS)},
            "PYTHONHASHSEED": "0",
            "RINGBACK_DATABASE_URL": self.url,
            "RINGBACK_STATE_DIR": str(self.folder / "state"),
            **self.simulator.vendor.environment(self.simulator.url),
            **({"RINGBACK_PUBLIC_URL": f"http://127.0.0.1:{self.web_port}"} if self.announces else {}),
            **{f"RINGBACK_{name.upper()}": str(value) for name, value in {**DAEMON_SETTINGS, **settings}.items()},
        }

    def is_attended(self) -> bool:
        """Is a daemon there that can see to what others left?"""
        return any(one.is_at_work for one in tuple(self.daemons) if one.is_running)

    def start_daemons(self, count: int, **settings: object) -> list[DaemonProcess]:
        started = [self.start_daemon(**settings) for _ in range(count)]
        for one in started:
            self.wait_started(one)
        return started

    def wait_started(self, one: DaemonProcess) -> DaemonProcess:
        def has_started() -> bool:
            assert one.is_running, f"the daemon ended with {one.child.returncode}: {one.said()[-2000:]}"
            return one.has_started()

        wait_until(has_started, "the daemon has started", every=0.02)
        return one

    def kill_at(self, *points: str, leads_per_kill: int = 10) -> None:
        """Daemons that die at these points, each at its own, at work at the same time."""
        self.add_leads(leads_per_kill * len(points))
        doomed = []
        for point in points:
            # Where calls end within a moment, only the receiver of webhooks hears of it first.
            options = self.with_web if point in POINTS_OF_HOOKS else ()
            doomed.append((point, self.start_daemon(f"{point}=kill", options=options)))
        for point, one in doomed:
            wait_until(lambda: not one.is_running, f"a daemon died at {point}", self.tell)  # noqa: B023
            assert one.child.returncode == -signal.SIGKILL, f"{point}: {one.child.returncode} {one.said()[-2000:]}"
            self.kills += 1

    def kill_at_random(
        self, kills: int, daemons: int, *, longest: float = 0.5, leads_per_kill: int = 12,
        start: Callable[[], DaemonProcess] | None = None,
    ) -> None:
        """Kill and replace daemons at random instants, with work coming in all the time.

        One more than asked for is kept running, so that while a new one starts there is another to be killed.
        """
        start = start or self.start_daemon
        running = [start() for _ in range(daemons + 1)]
        for _ in range(kills):
            self.add_leads(leads_per_kill)
            wait_until(lambda: any(one.has_started() for one in running), "a daemon has started", self.tell)
            pause(self.random.uniform(0, longest))
            at = self.random.choice([at for at, one in enumerate(running) if one.has_started()])
            assert running[at].is_running, f"it ended by itself: {running[at].said()[-2000:]}"
            running[at].kill()
            self.kills += 1
            running[at] = start()
        for one in running:
            self.wait_started(one)

    def wait_sent(self) -> None:
        """Until whatever was claimed has left, or may not leave any more. Nothing new can be claimed meanwhile."""

        def waits() -> bool:
            asked = {one["attempt_ref"] for one in self.simulator.entries() if one["event"] == "request"}
            latest = self.database.now() - self.sampler.late_tolerance
            return any(
                one.state == "placing" and one.dial_before > latest and ref not in asked
                for ref, one in self.read_attempts().items()
            )

        wait_until(lambda: not waits(), "what was claimed has left", self.tell)

    def is_frozen(self, one: DaemonProcess) -> bool:
        """Has it stopped itself at its fault point?"""
        assert one.is_running, f"it ended with {one.child.returncode}: {one.said()[-2000:]}"
        status = Path(f"/proc/{one.child.pid}/stat").read_text()
        return status.rpartition(")")[2].split()[0] == "T"

    def free(self, one: DaemonProcess) -> None:
        """Let it go on, as often as it stops itself again, until it is past its fault point; then end it politely."""
        polite_from = _monotonic() + 1
        wait_until(lambda: one.thaw() or _monotonic() > polite_from, "it had a second to do harm")
        one.send(signal.SIGTERM)  # once: a second signal would be a kill
        wait_until(lambda: one.thaw() or not one.is_running, "it ends", self.tell)

    def count_dialed(self) -> int:
        """Leads that were dialed at least once."""
        return self._count(select(func.count(A.lead_id.distinct())).where(A.state != "refused"))

    # --- the end ---------------------------------------------------------------------------------

    def attempts(self, state: str) -> int:
        return self._count(select(func.count()).select_from(call_attempts).where(A.state == state))

    def _count(self, query: Any) -> int:
        return int(self.database.read(lambda connection: connection.execute(query).scalar_one()))

    def is_quiet(self) -> bool:
        """Nothing is open and nothing is due before long: one statement, so that nothing moves between two."""
        open_ones = select(func.count()).select_from(call_attempts).where(A.state.in_(OPEN_STATES))
        soon = self.database.now() + timedelta(seconds=3)
        due = select(func.count()).select_from(call_schedule).where(
            S.status == "pending", S.hold.is_(None), S.scheduled_at <= soon
        )
        try:
            return self._count(select(open_ones.scalar_subquery() + due.scalar_subquery())) == 0
        except RingbackError:
            return False

    def settle(self, seconds: float = BACKSTOP) -> None:
        """The faults are over: one healthy daemon at least, until nothing is left to do; then all stop politely."""
        if not any(one.is_running and one.dials for one in self.daemons):
            self.start_daemons(1)
        wait_until(self.is_quiet, "everything came to rest", self.tell, seconds=seconds)
        self._rested_at = self.database.now()
        self.stop_daemons()

    def stop_daemons(self) -> None:
        running = [one for one in self.daemons if one.is_running]
        for one in running:
            one.send(signal.SIGTERM)
        for one in running:
            # A web process ends by the very signal, when it has answered everybody.
            right = (0,) if one.dials else (0, -signal.SIGTERM)
            assert one.wait() in right, f"a polite stop, not {one.child.returncode}: {one.said()[-2000:]}"

    def tell(self) -> str:
        """Where things stand, for whoever reads a failure."""
        states = select(A.state, func.count(), func.min(A.next_poll_at), func.min(A.claimed_at)).group_by(A.state)
        rows = select(S.status, func.count(), func.min(S.scheduled_at)).group_by(S.status)
        with self.database.engine.connect() as connection:
            why = A.claimed_by, A.error
            doubts = select(*why, func.count()).where(A.state.in_(OPEN_STATES)).group_by(*why)
            found = [str(tuple(row)) for query in (states, rows, doubts) for row in connection.execute(query)]
        last = [f"{one.log.name} ({one.child.poll()}): {one.said()[-1500:]}" for one in self.daemons[-2:]]
        return "\n".join([f"seed {self.seed}", *found, *last])

    def verdict(self) -> Verdict:
        """Compare the ledger with the tables. Call it when everything has come to rest."""
        self.sampler.ask()
        found = Verdict(samples=self.sampler.samples)
        entries, calls = self.simulator.entries(), self.simulator.calls()
        attempts = self.read_attempts()
        found.calls = len(calls)
        found.longest_stuck = self.sampler.longest_stuck
        found.add("refs_with_two_calls", _repeated(one.ref for one in calls))
        found.add("refs_asked_twice", _repeated(one["attempt_ref"] for one in entries if one["event"] == "request"))
        found.add("two_calls_to_one_phone", _overlaps(calls))
        found.add("calls_without_attempt", [
            one.ref for one in calls if one.ref not in attempts and one.number not in self.written_by_hand
        ])
        if self.rings_once:
            found.add("rung_again", _repeated(one.number for one in calls))
        refused = {ref for ref, one in attempts.items() if one.state == "refused"}
        found.add("refused_but_called", [one.ref for one in calls if one.ref in refused])
        found.add("wrong_outcomes", _wrong_outcomes(calls, attempts))
        most = _most_at_once(calls)
        found.add("calls_over_capacity", [f"{most} at once"] if most > self.capacity else [])
        found.add("calls_over_capacity", [f"{self.sampler.most_open} open attempts"]
                  if self.sampler.most_open > self.capacity else [])
        found.add("out_of_hours_dials", _out_of_hours(entries, attempts, self.sampler.late_tolerance))
        found.add("late_without_event", self._late(calls, attempts))
        found.add("lost_leads", self._lost_leads())
        found.add("miscounted_leads", self._miscounted())
        found.add("forgotten_leads", self._forgotten_leads())
        found.add("unresolved", [f"{ref} is {one.state}" for ref, one in attempts.items() if one.state in OPEN_STATES])
        found.add("stuck_dials", self.sampler.stuck.values())
        forged = self.simulator.hooks("forged")
        found.add("forged_taken", [f"{times} answered {code}" for code, times in forged.items() if 200 <= code < 300])
        found.add("taken_not_kept", self._taken_not_kept())
        found.add("broken_promises", [row for rows in self.sampler.broken.values() for row in sorted(rows)])
        found.add("check_failed", self._check())
        return found

    def read_attempts(self) -> dict[str, Any]:
        query = select(
            A.attempt_ref, A.id, A.state, A.lead_id, A.dial_before, A.outcome, A.open_from, A.open_until
        )
        return self.database.read(
            lambda connection: {row.attempt_ref: row for row in connection.execute(query).all()}
        )

    def count_events(self, kind: str) -> int:
        return self._count(select(func.count()).select_from(events).where(events.c.kind == kind))

    def _late(self, calls: Iterable[Call], attempts: Mapping[str, Any]) -> list[str]:
        told = set(self.database.read(lambda connection: list(
            connection.execute(select(events.c.attempt_id).where(events.c.kind == "late_dial")).scalars()
        )))
        return [
            f"{one.ref} began {one.began - attempts[one.ref].dial_before} after its time"
            for one in calls
            if one.ref in attempts and attempts[one.ref].id not in told
            and attempts[one.ref].dial_before is not None  # it was written down after the fact
            and one.began > attempts[one.ref].dial_before + self.sampler.late_tolerance
        ]

    def _taken_not_kept(self) -> list[str]:
        """Webhooks that a vendor was told we have, and will not send again, but that no table holds."""
        taken = {
            one["name"].replace(" ", ":") for one in self.simulator.entries()
            if one["event"] == "webhook" and one["kind"] == "genuine" and 200 <= one["answer"] < 300
        }
        keys = select(provider_events.c.event_key)
        return sorted(taken - set(self.database.read(lambda connection: connection.execute(keys).scalars().all())))

    def _lost_leads(self) -> list[Any]:
        """Leads that are neither closed nor have a next step (a held row is one: it says why)."""
        has_row = select(S.open_lead_id).where(S.open_lead_id.is_not(None))
        query = select(L.id).where(func.coalesce(L.lead_status, "open") == "open", L.id.not_in(has_row))
        return self.database.read(lambda connection: list(connection.execute(query).scalars()))

    def _forgotten_leads(self) -> list[Any]:
        """Leads whose call is due, is held by nothing, and is not made."""
        before = (self._rested_at or self.database.now()) - STANDSTILL
        query = select(S.lead_id).where(
            S.status == ScheduleStatus.PENDING, S.hold.is_(None), S.scheduled_at < before
        )
        return self.database.read(lambda connection: list(connection.execute(query).scalars()))

    def _miscounted(self) -> list[str]:
        """Leads whose counter is not the number of calls that ended."""
        ended = (
            select(A.lead_id, func.count().label("ended")).where(A.state == "ended").group_by(A.lead_id).subquery()
        )
        query = (
            select(L.id, L.call_attempts_count, func.coalesce(ended.c.ended, 0))
            .outerjoin(ended, ended.c.lead_id == L.id)
            .where(L.call_attempts_count != func.coalesce(ended.c.ended, 0))
        )
        found = self.database.read(lambda connection: connection.execute(query).all())
        return [f"lead {row[0]} counts {row[1]} calls, {row[2]} ended" for row in found]

    def _check(self) -> list[str]:
        """`ringback check` must find nothing wrong. Asked here, for a process more would cost a second each time."""
        settings = {name.lower(): value for name, value in DAEMON_SETTINGS.items()}
        runtime = open_runtime(Settings(database_url=self.url, provider="simulator", **settings))
        try:
            return [one.sentence for one in run_checks(runtime) if one.level is Level.PROBLEM]
        finally:
            runtime.close()

    def require_clean(self, *, least_calls: int = 1) -> Verdict:
        """The faults are over: come to rest, then every count must be zero."""
        self.settle()
        found = self.verdict()
        told = "\n  ".join([f"seed {self.seed}, {self.kills} kills: {found.counts}", *found.examples])
        assert not found.red, f"{found.red}\n  {told}"
        assert found.calls >= least_calls, f"only {found.calls} calls were made, so nothing was proven\n  {told}"
        assert found.samples, "the promises were never asked"
        return found

    def count_unread_events(self) -> int:
        """Webhooks that were stored and not applied."""
        inbox = provider_events.c
        return self._count(select(func.count()).select_from(provider_events).where(inbox.processed_at.is_(None)))

    def count_doubled_hooks(self) -> int:
        """Genuine webhooks that were posted once more."""
        posted = Counter(
            one["name"] for one in self.simulator.entries() if one["event"] == "webhook" and one["kind"] == "genuine"
        )
        return posted.total() - len(posted)

    def count_doubted(self, why: str) -> int:
        """Unknown attempts of which people are told this."""
        return self._count(
            select(func.count()).select_from(call_attempts).where(A.state == "unknown", A.error.like(f"%{why}%"))
        )

    def resolve_unknown(self, outcome: str) -> None:
        """People say of every unknown attempt what became of it."""
        settings = {name.lower(): value for name, value in DAEMON_SETTINGS.items()}
        runtime = open_runtime(Settings(database_url=self.url, provider="simulator", **settings))
        try:
            for one in self.read_attempts().values():
                if one.state == "unknown":
                    resolve_call(one.id, outcome, runtime=runtime)
        finally:
            runtime.close()

    def count_reached_but_open(self) -> int:
        """Leads of which a call was completed, and that are to be called again all the same."""
        reached = select(A.lead_id).where(A.outcome == "completed")
        return self._count(select(func.count()).select_from(leads).where(
            func.coalesce(L.lead_status, "open") == "open", L.id.in_(reached)
        ))

    def spent_without_call(self) -> list[str]:
        """Ended attempts that the ledger knows nothing about."""
        called = {one.ref for one in self.simulator.calls()}
        return [ref for ref, one in self.read_attempts().items() if one.state == "ended" and ref not in called]

    def logged_errors(self) -> list[str]:
        return [error for one in self.daemons for error in one.errors()]


def _repeated(refs: Iterable[str]) -> list[str]:
    return [f"{ref} x {times}" for ref, times in Counter(refs).items() if times > 1]


def _wrong_outcomes(calls: Iterable[Call], attempts: Mapping[str, Any]) -> list[str]:
    """Calls of which we believe something else than what became of them."""
    return [
        f"{one.ref} was {one.fate}, and is said to be {attempts[one.ref].outcome}"
        for one in calls
        if one.ref in attempts and one.fate is not None
        and attempts[one.ref].state == "ended" and attempts[one.ref].outcome != one.fate
    ]


def _out_of_hours(
    entries: Iterable[Mapping[str, Any]], attempts: Mapping[str, Any], tolerance: timedelta
) -> list[str]:
    """Requests that came to the provider outside the window that their attempt was judged by."""
    found = []
    for one in entries:
        attempt = attempts.get(one.get("attempt_ref", "")) if one["event"] == "request" else None
        if attempt is None or attempt.open_from is None or attempt.open_until is None:
            continue
        at = _instant(one["at"])
        if not attempt.open_from - tolerance <= at <= attempt.open_until + tolerance:
            found.append(f"{attempt.attempt_ref} at {at}, open from {attempt.open_from} until {attempt.open_until}")
    return found


def _overlaps(calls: Iterable[Call]) -> list[str]:
    by_number: dict[str, list[Call]] = defaultdict(list)
    for one in calls:
        by_number[one.number].append(one)
    found = []
    for number, those in by_number.items():
        those.sort(key=lambda one: one.began)
        found += [
            f"{number}: {first.ref} until {first.over}, {second.ref} from {second.began}"
            for first, second in pairwise(those)
            if second.began < first.over
        ]
    return found


def _most_at_once(calls: Iterable[Call]) -> int:
    steps = sorted(step for one in calls for step in ((one.began, 1), (one.over, -1)))
    now = most = 0
    for _, step in steps:
        now += step
        most = max(most, now)
    return most


def _free_port() -> int:
    """Below those that systems give to outgoing connections: ours stays free while nobody listens there."""
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)):
                return port


def choose_seed() -> int:
    """Another one for each test, or that of FAULTS_SEED, to repeat a failure."""
    given = os.environ.get("FAULTS_SEED")
    return int(given) if given else random.SystemRandom().randrange(1_000_000)
