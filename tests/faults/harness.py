"""Real daemons, a real database and a telephone network that forgets nothing; and the verdict on them.

Every daemon is a process of its own, started from the command line. The ledger of the simulated network
is the only truth about what was dialed; the tables are what we believe. A sampler asks every promise of
`store.reports` on a connection of its own, many times a second, while faults strike. After the faults
stop, one healthy daemon works until nothing is left to do, and `House.verdict()` compares the two.

A newcomer would look only at the end. Most broken dialers look fine at the end: what gives them away is
a second call in the ledger, or a state that lasted for a tenth of a second.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from sqlalchemy import func, insert, select, text, update

from scheduler.errors import RingbackError
from scheduler.model import OPEN_STATES
from scheduler.providers.network import SimulatedNetwork, parse_mix
from scheduler.store.database import Database
from scheduler.store.reports import INVARIANTS
from scheduler.store.tables import call_attempts, call_schedule, campaigns, events, leads, scheduler_config

ROOT = Path(__file__).resolve().parents[2]
A, S, L = call_attempts.c, call_schedule.c, leads.c

LEASE_SECONDS = 8.2
SETTLE_SECONDS = 8.5
DAEMON_SETTINGS: Mapping[str, object] = {
    # Nearly the shortest that Ringback accepts: a lease outlives budget, request and five seconds of slack.
    "DIAL_BUDGET": 2, "REQUEST_TIMEOUT": 1, "LEASE_SECONDS": LEASE_SECONDS, "SETTLE_SECONDS": SETTLE_SECONDS,
    "DISPATCH_INTERVAL": 0.1, "FOLLOW_INTERVAL": 0.2, "UPKEEP_INTERVAL": 0.5, "POLL_EVERY": 0.4,
    "DIALING_PLACES": 10, "LOG_FORMAT": "json",
}
DAEMON = ("-m", "cli.main", "run") if (ROOT / "cli" / "run.py").exists() else ("-m", "tests.faults.run_daemon")
MIX = "completed=40,no_answer=20,busy=15,voicemail=10,hang_up=8,failed=3,callback=2,invalid_number=1,do_not_call=1"
POINTS: Mapping[str, tuple[str, ...]] = {
    "take": ("take.before_write", "take.before_commit", "take.after_commit"),
    "dial": ("dial.before_request", "dial.after_answer"),
    "answer": ("answer.before_write", "answer.before_commit", "answer.after_commit"),
    "outcome": ("outcome.before_write", "outcome.before_commit", "outcome.after_commit"),
    "upkeep": ("upkeep.before_commit",),
}
LATE_TOLERANCE = timedelta(seconds=1)
"""A request that left in time may be written into the ledger so much later."""


def wait_until(condition: Callable[[], object], seconds: float, what: str, about: Callable[[], str] = str) -> None:
    """Ask until it holds. Fails after `seconds`, with what was waited for and what `about` tells then."""
    moment, deadline = threading.Event(), _monotonic() + seconds
    while not condition():
        if _monotonic() > deadline:
            raise AssertionError(f"after {seconds:g} s still not: {what} {about()}")
        moment.wait(0.05)


def pause(seconds: float) -> None:
    """Let the processes work for a while; for the instants of faults, never for a result."""
    threading.Event().wait(seconds)


def _monotonic() -> float:
    return time.monotonic()


# --- processes ----------------------------------------------------------------------------------


class Process:
    """A child of ours, with what it said in a file."""

    def __init__(self, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        self.log = log
        with log.open("ab") as out:
            self.child = subprocess.Popen(
                [sys.executable, *command], cwd=ROOT, env=dict(environment), stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if "simulator_server" in " ".join(command) else out, stderr=out,
            )

    @property
    def is_running(self) -> bool:
        return self.child.poll() is None

    def send(self, number: signal.Signals) -> None:
        if self.is_running:
            self.child.send_signal(number)

    def kill(self) -> None:
        """As a power cut does, for the process."""
        self.send(signal.SIGKILL)
        self.child.wait()

    def freeze(self) -> None:
        self.send(signal.SIGSTOP)

    def thaw(self) -> None:
        self.send(signal.SIGCONT)

    def wait(self, seconds: float) -> int:
        return self.child.wait(seconds)

    def said(self) -> str:
        return self.log.read_text(errors="replace")


class DaemonProcess(Process):
    """One `ringback run`."""

    def has_started(self) -> bool:
        return "started as" in self.said()

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

    def stop(self, number: signal.Signals = signal.SIGTERM, within: float = 15) -> int:
        """Ask politely; its exit code."""
        self.send(number)
        return self.wait(within)


class SimulatorProcess:
    """The telephone network as a process; it may be stopped and started again on the same ledger."""

    def __init__(
        self, folder: Path, *, seed: int, mix: str = MIX, ring: float = 0.2, talk: float = 0.2, faults: str = "",
        delay: tuple[float, float] = (0, 0.05), lag: tuple[float, float] = (0, 0), idempotent: bool = False,
    ) -> None:
        self.ledger = folder / "ledger.jsonl"
        self.network = SimulatedNetwork(
            seed=seed, mix=parse_mix(mix), ring=timedelta(seconds=ring), talk=timedelta(seconds=talk),
            callback_after=timedelta(seconds=1.2),
        )
        self._options = [
            "--ledger", str(self.ledger), "--seed", str(seed), "--mix", mix, "--ring-seconds", str(ring),
            "--talk-seconds", str(talk), "--callback-minutes", "0.02", "--faults", faults,
            "--delay-seconds", *map(str, delay), "--lookup-lag-seconds", *map(str, lag),
            *(["--idempotent"] if idempotent else []),
        ]
        self._log = folder / "simulator.log"
        self._process: Process | None = None
        self.url = ""
        self.start()

    def start(self) -> None:
        port = self.url.rpartition(":")[2] or "0"
        self._process = Process(
            ["-m", "scheduler.providers.simulator_server", "--port", port, *self._options], self._log, os.environ
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
        request = urllib.request.Request(f"{self.url}/faults", json.dumps(told).encode(), method="POST")
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 200

    def entries(self) -> list[dict[str, Any]]:
        found = []
        for line in self.ledger.read_text().splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                continue  # a torn line was never answered to anyone
        return found

    def count(self, event: str) -> int:
        return self.ledger.read_text().count(f'"event": "{event}"')

    def calls(self) -> list[Call]:
        """Every call that was made, with when it began and ended."""
        entries = self.entries()
        stopped = {one["call_id"]: _instant(one["at"]) for one in entries if one["event"] == "hangup"}
        found = []
        for one in entries:
            if one["event"] == "accepted":
                began = _instant(one["at"])
                over = began + self.network.length(one["call_id"].removeprefix("sim-"))
                over = min(over, stopped.get(one["call_id"], over))
                found.append(Call(one["attempt_ref"], one["number"], one["call_id"], began, over))
        return found


@dataclass(frozen=True)
class Call:
    ref: str
    number: str
    call_id: str
    began: datetime
    over: datetime


def _instant(written: str) -> datetime:
    return datetime.fromisoformat(written).astimezone(UTC)


# --- the promises, asked all the time -----------------------------------------------------------


class Sampler:
    """Asks every promise ten times a second, on a connection of its own, and counts open attempts."""

    EVERY = 0.1

    def __init__(self, url: str) -> None:
        self._database = Database(url, pool_size=1)
        self._stop = threading.Event()
        self.samples = 0
        self.away = 0
        self.most_open = 0
        self.broken: dict[str, set[str]] = defaultdict(set)
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(self.EVERY):
            self.ask()

    def ask(self) -> None:
        try:
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

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(30)
        self._database.close()


# --- the verdict --------------------------------------------------------------------------------


@dataclass
class Verdict:
    """What was counted. Every figure but `calls` and `samples` must be zero; `examples` says where to look."""

    calls: int = 0
    samples: int = 0
    refs_with_two_calls: int = 0
    refs_asked_twice: int = 0
    calls_without_attempt: int = 0
    refused_but_called: int = 0
    two_calls_to_one_phone: int = 0
    calls_over_capacity: int = 0
    late_without_event: int = 0
    lost_leads: int = 0
    miscounted_leads: int = 0
    broken_promises: int = 0
    unresolved: int = 0
    check_failed: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        return {one.name: getattr(self, one.name) for one in fields(self) if one.name != "examples"}

    @property
    def red(self) -> dict[str, int]:
        """The figures that should be zero and are not."""
        return {name: count for name, count in self.counts.items() if count and name not in ("calls", "samples")}

    def add(self, name: str, found: Iterable[object]) -> None:
        found = list(found)
        setattr(self, name, getattr(self, name) + len(found))
        self.examples += [f"{name}: {one}" for one in found[:5]]


# --- the house ----------------------------------------------------------------------------------


class House:
    """One database, one telephone network, some daemons, and everything that is counted about them."""

    def __init__(
        self, url: str, folder: Path, *, seed: int, capacity: int = 60, max_attempts: int = 3,
        server: Any = None, **simulator: Any,
    ) -> None:
        self.url, self.folder, self.seed, self.capacity, self.server = url, folder, seed, capacity, server
        self.random = random.Random(seed)
        self.database = Database(url, pool_size=2)
        self.daemons: list[DaemonProcess] = []
        self.kills = 0
        self._numbers = iter(range(10_000_000))
        self._set_rules(capacity, max_attempts)
        self.simulator = SimulatorProcess(folder, seed=seed, **simulator)
        self.sampler = Sampler(url)

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
        self, fault_point: str | None = None, *, command: Sequence[str] = DAEMON, **settings: object
    ) -> DaemonProcess:
        log = self.folder / f"daemon-{len(self.daemons) + 1}.log"
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("RINGBACK_")},
            "PYTHONHASHSEED": "0",
            "RINGBACK_DATABASE_URL": self.url,
            "RINGBACK_SIMULATOR_URL": self.simulator.url,
            **{f"RINGBACK_{name.upper()}": str(value) for name, value in {**DAEMON_SETTINGS, **settings}.items()},
        }
        if fault_point:
            environment["RINGBACK_FAULT_POINT"] = fault_point
            environment["RINGBACK_FAULT_SEED"] = str(self.random.getrandbits(32))
        one = DaemonProcess(command, log, environment)
        self.daemons.append(one)
        return one

    def start_daemons(self, count: int, **settings: object) -> list[DaemonProcess]:
        started = [self.start_daemon(**settings) for _ in range(count)]
        for one in started:
            self.wait_started(one)
        return started

    def wait_started(self, one: DaemonProcess) -> DaemonProcess:
        def has_started() -> bool:
            assert one.is_running, f"the daemon ended with {one.child.returncode}: {one.said()[-2000:]}"
            return one.has_started()

        wait_until(has_started, 30, "the daemon has started")
        return one

    def kill_at(self, point: str, *, within: float = 40, chance: float = 1.0) -> None:
        """A daemon that dies at this point."""
        one = self.start_daemon(f"{point}=kill:{chance}")
        wait_until(lambda: not one.is_running, within, f"a daemon died at {point}", self.tell)
        assert one.child.returncode == -signal.SIGKILL, f"{point}: {one.child.returncode} {one.said()[-2000:]}"
        self.kills += 1

    def kill_at_random(self, kills: int, daemons: int, *, longest: float = 0.5, leads_per_kill: int = 12) -> None:
        """Kill and replace daemons at random instants, with work coming in all the time."""
        running = self.start_daemons(daemons)
        for _ in range(kills):
            self.add_leads(leads_per_kill)
            at = self.random.randrange(daemons)
            self.wait_started(running[at])
            pause(self.random.uniform(0, longest))
            running[at].kill()
            self.kills += 1
            running[at] = self.start_daemon()
        for one in running:
            self.wait_started(one)

    def is_frozen(self, one: DaemonProcess) -> bool:
        """Has it stopped itself at its fault point?"""
        status = Path(f"/proc/{one.child.pid}/stat").read_text()
        return status.rpartition(")")[2].split()[0] == "T"

    def free(self, one: DaemonProcess) -> None:
        """Let it go on, as often as it stops itself again, until it is past its fault point; then end it politely."""
        polite_from = _monotonic() + 1
        wait_until(lambda: one.thaw() or _monotonic() > polite_from, 5, "it had a second to do harm")
        one.send(signal.SIGTERM)  # once: a second signal would be a kill
        wait_until(lambda: one.thaw() or not one.is_running, 40, "it ends", self.tell)

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

    def settle(self, seconds: float = 90) -> None:
        """The faults are over: one healthy daemon at least, until nothing is left to do; then all stop politely."""
        if not any(one.is_running for one in self.daemons):
            self.start_daemons(1)
        wait_until(self.is_quiet, seconds, "everything came to rest", self.tell)
        self.stop_daemons()

    def stop_daemons(self) -> None:
        running = [one for one in self.daemons if one.is_running]
        for one in running:
            one.send(signal.SIGTERM)
        for one in running:
            assert one.wait(20) == 0, f"a polite stop must end with 0: {one.said()[-2000:]}"

    def tell(self) -> str:
        """Where things stand, for whoever reads a failure."""
        states = select(A.state, func.count(), func.min(A.next_poll_at), func.min(A.claimed_at)).group_by(A.state)
        rows = select(S.status, func.count(), func.min(S.scheduled_at)).group_by(S.status)
        with self.database.engine.connect() as connection:
            found = [str(tuple(row)) for query in (states, rows) for row in connection.execute(query)]
        last = [f"{one.log.name} ({one.child.poll()}): {one.said()[-1500:]}" for one in self.daemons[-2:]]
        return "\n".join([f"seed {self.seed}", *found, *last])

    def verdict(self) -> Verdict:
        """Compare the ledger with the tables. Call it when everything has come to rest."""
        self.sampler.ask()
        found = Verdict(samples=self.sampler.samples)
        entries, calls = self.simulator.entries(), self.simulator.calls()
        attempts = self.read_attempts()
        found.calls = len(calls)
        found.add("refs_with_two_calls", _repeated(one.ref for one in calls))
        found.add("refs_asked_twice", _repeated(one["attempt_ref"] for one in entries if one["event"] == "request"))
        found.add("calls_without_attempt", [one.ref for one in calls if one.ref not in attempts])
        refused = {ref for ref, one in attempts.items() if one.state == "refused"}
        found.add("refused_but_called", [one.ref for one in calls if one.ref in refused])
        found.add("two_calls_to_one_phone", _overlaps(calls))
        most = _most_at_once(calls)
        found.add("calls_over_capacity", [f"{most} at once"] if most > self.capacity else [])
        found.add("calls_over_capacity", [f"{self.sampler.most_open} open attempts"]
                  if self.sampler.most_open > self.capacity else [])
        found.add("late_without_event", self._late(calls, attempts))
        found.add("lost_leads", self._lost_leads())
        found.add("miscounted_leads", self._miscounted())
        found.add("broken_promises", [row for rows in self.sampler.broken.values() for row in sorted(rows)])
        found.add("unresolved", [f"{ref} is {one.state}" for ref, one in attempts.items() if one.state in OPEN_STATES])
        found.add("check_failed", self._check())
        return found

    def read_attempts(self) -> dict[str, Any]:
        query = select(A.attempt_ref, A.id, A.state, A.lead_id, A.dial_before, A.outcome)
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
            and one.began > attempts[one.ref].dial_before + LATE_TOLERANCE
        ]

    def _lost_leads(self) -> list[Any]:
        """Leads that are neither closed nor have a next step (a held row is one: it says why)."""
        has_row = select(S.open_lead_id).where(S.open_lead_id.is_not(None))
        query = select(L.id).where(func.coalesce(L.lead_status, "open") == "open", L.id.not_in(has_row))
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
        """`ringback check` must find nothing wrong."""
        if not (ROOT / "cli" / "check.py").exists():
            return []
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("RINGBACK_")},
            "RINGBACK_DATABASE_URL": self.url, "RINGBACK_SIMULATOR_URL": self.simulator.url,
            **{f"RINGBACK_{name}": str(value) for name, value in DAEMON_SETTINGS.items()},
        }
        done = subprocess.run(
            [sys.executable, "-m", "cli.main", "check"], cwd=ROOT, env=environment, capture_output=True, text=True,
        )
        return [] if done.returncode == 0 else [f"exit {done.returncode}: {done.stdout[-1500:]} {done.stderr[-1500:]}"]

    def require_clean(self, *, least_calls: int = 1) -> Verdict:
        """The faults are over: come to rest, then every count must be zero."""
        self.settle()
        found = self.verdict()
        told = "\n  ".join([f"seed {self.seed}, {self.kills} kills: {found.counts}", *found.examples])
        assert not found.red, f"{found.red}\n  {told}"
        assert found.calls >= least_calls, f"only {found.calls} calls were made, so nothing was proven\n  {told}"
        assert found.samples, "the promises were never asked"
        return found

    def logged_errors(self) -> list[str]:
        return [error for one in self.daemons for error in one.errors()]


def _repeated(refs: Iterable[str]) -> list[str]:
    return [f"{ref} x {times}" for ref, times in Counter(refs).items() if times > 1]


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


def choose_seed() -> int:
    """Another one for each test, or that of FAULTS_SEED, to repeat a failure."""
    given = os.environ.get("FAULTS_SEED")
    return int(given) if given else random.SystemRandom().randrange(1_000_000)
