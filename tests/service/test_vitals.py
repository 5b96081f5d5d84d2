from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from scheduler.clock import boottime
from scheduler.events import LATE_BUCKETS, Reporter
from scheduler.providers.base import DialAnswer, DialRequest
from scheduler.service.daemon import Daemon
from scheduler.service.notify import Notifier
from scheduler.service.vitals import Pulse, cause_of, measure, read_vitals
from scheduler.store import funnel, tables
from scheduler.store.funnel import Postponed
from scheduler.store.tables import events
from tests.conftest import NOON
from tests.each import each
from tests.factories import (
    MINUTE,
    ScriptedProvider,
    Station,
    add_due_lead,
    ended_at_once,
    find,
    refused,
    set_config,
    with_providers,
    with_settings,
)
from tests.waiting import BACKSTOP

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


# --- what is measured -------------------------------------------------------------------------------------------------

REASONS = {
    "outside hours; opens 2026-11-23 09:00 CET": "hours", "too close to closing; opens tomorrow": "hours",
    "caps: 3 calls in 7 days": "caps", "no balance: account front has 0": "balance",
    "account front is closed": "balance", "campaign batch-1 is paused": "pause",
    "everything is paused (scheduler_config.paused)": "pause",
    "an earlier call to this lead is still in progress": "line", "another call to this number is in progress": "line",
    "no_answer; attempt 2 of 3": "other", "caps: outside hours of the list": "caps",
}  # fmt: skip


@on_sqlite
def test_a_cause_is_the_one_that_the_report_finds_in_the_table(database):
    with database.engine.begin() as connection:
        connection.execute(events.insert(), [
            {"kind": "moved", "actor": "test", "lead_id": number, "reason": reason}
            for number, reason in enumerate(REASONS)
        ])
        counted = {one.cause: one.times for one in funnel.count_postponed(connection, funnel.Scope())}

    ours = [cause_of(reason) for reason in REASONS]
    assert ours == list(REASONS.values())
    assert counted == {cause: ours.count(cause) for cause in funnel.CAUSES}
    assert Postponed.__slots__[0] == "cause"


@on_sqlite
def test_each_dial_is_counted_once_by_what_came_of_it_and_by_how_late_it_was(runtime, database):
    station = Station(runtime)
    refusing, busy, lost = (f"+5691200000{number}" for number in range(3))
    station.provider.answers(refusing, refused())
    station.provider.answers(busy, ended_at_once("busy"))
    station.provider.answers(lost, lambda request: (_ for _ in ()).throw(OSError("no answer came")))
    for number, late in ((refusing, 0), (busy, 20), (lost, 20_000)):
        add_due_lead(database, number, at=NOON - late * MINUTE / 60)

    station.dispatch()

    vitals = read_vitals(json.dumps(measure(station.reporter, Pulse(), NOON)))
    assert vitals is not None
    assert vitals.dials == {
        ("scripted", "refused"): 1, ("scripted", "busy"): 1, ("scripted", "unknown"): 1,
    }  # fmt: skip
    counts = dict(zip([*LATE_BUCKETS, None], vitals.late, strict=True))
    assert (counts[0.5], counts[30.0], counts[None], sum(vitals.late)) == (1, 1, 1, 3)


@on_sqlite
def test_what_is_put_off_is_counted_by_its_cause(runtime, database):
    set_config(database, working_hours_start="20:00", working_hours_end="21:00")
    add_due_lead(database)
    station = Station(runtime)

    station.dispatch()

    assert measure(station.reporter, Pulse(), NOON)["postponed"] == {"hours": 1}


def test_a_heartbeat_carries_vitals_without_numbers_and_small(runtime, database):
    provider = ScriptedProvider("simulator")
    number = "+56922223333"
    provider.answers(number, ended_at_once("no_answer"))
    add_due_lead(database, number, nombre="Ana Secreta")

    daemon = Daemon(with_providers(runtime, {"simulator": provider}, "simulator"), reporter=Reporter(lambda line: None))
    daemon.run_once()

    written = json.dumps(find(database, tables.daemons, owner=daemon.owner).vitals)
    vitals = read_vitals(written)
    assert vitals is not None and vitals.dials == {("simulator", "no_answer"): 1}
    assert vitals.problems == 0
    assert number[1:] not in written and "Ana" not in written
    assert len(written) < 4000


# --- the pulse and the watchdog ---------------------------------------------------------------------------------------


def test_a_job_that_does_not_come_round_is_hung_and_one_that_failed_is_not():
    pulse = Pulse()
    pulse.expect("dispatch", 0.0)
    pulse.expect("upkeep", 3600.0)
    pulse.came_round("dispatch")

    assert pulse.list_hung(60.0) == []
    assert pulse.list_hung(-1.0) == ["dispatch"], "the other one is not due for an hour"
    assert pulse.read() == {}, "its work was not done"


@on_sqlite
def test_the_watchdog_is_fed_while_ticks_end_and_starves_when_one_hangs(runtime, database, tmp_path):
    hangs, let_go = threading.Event(), threading.Event()

    def hang(request: DialRequest) -> DialAnswer:
        hangs.set()
        assert let_go.wait(BACKSTOP)
        return refused()

    provider = ScriptedProvider("simulator")
    provider.waits = False  # dialed within the turn itself
    provider.answers(None, hang)
    with manager(tmp_path / "notify") as heard:
        notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "600000"})
        hasty = with_settings(runtime, dispatch_interval=0.05, follow_interval=0.05, upkeep_interval=0.05)
        daemon = Daemon(
            with_providers(hasty, {"simulator": provider}, "simulator"), reporter=Reporter(lambda line: None),
            notifier=notifier,
        )
        thread = threading.Thread(target=daemon.run)
        thread.start()
        try:
            first = heard.next()
            assert first.startswith("READY=1\nSTATUS=calling as ")
            assert [heard.next(), heard.next()] == ["WATCHDOG=1", "WATCHDOG=1"]

            add_due_lead(database)
            assert hangs.wait(BACKSTOP)
            fed = heard.count_until_quiet(1.0)
            assert fed <= 6, "until the turn had lasted as long as the watchdog waits, and no more"
        finally:
            let_go.set()
            daemon.stop()
            thread.join(BACKSTOP)
        assert heard.until("STOPPING=1").startswith("STOPPING=1\nSTATUS=")


def test_a_status_is_one_line_and_goes_to_abstract_names_too():
    name = "@ringback-test-of-notify"
    with manager(name) as heard:
        Notifier({"NOTIFY_SOCKET": name}).ready("at\nREADY=0  work")

        assert heard.next() == "READY=1\nSTATUS=at READY=0 work"


@each("environment", [
    {}, {"NOTIFY_SOCKET": "/nowhere/at/all", "WATCHDOG_USEC": "soon"}, {"NOTIFY_SOCKET": "tcp:1.2.3.4"},
    {"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"},
])  # fmt: skip
def test_a_manager_that_does_not_listen_stops_nobody(environment):
    notifier = Notifier(environment)

    notifier.ready("at work")
    notifier.alive()
    assert notifier.watchdog is None


@on_sqlite
@pytest.mark.parametrize("command", [("run", "--plain"), ("serve", "--port", "0")])
def test_both_processes_tell_the_manager_how_they_are(database, database_url, tmp_path, command):
    path = tmp_path / "notify"
    with manager(path) as heard:
        process = subprocess.Popen(
            [str(Path(sys.executable).parent / "ringback"), *command], cwd=tmp_path, stdout=subprocess.DEVNULL,
            env={"PATH": "/usr/bin:/bin", "RINGBACK_DATABASE_URL": database_url, "NOTIFY_SOCKET": str(path),
                 "WATCHDOG_USEC": "2000000"},
        )  # fmt: skip
        try:
            assert heard.next().startswith("READY=1")
            heard.until("WATCHDOG=1")
            process.terminate()  # once: a second one would be as good as a kill
            heard.until("STOPPING=1")
            assert process.wait(BACKSTOP) == 0
        finally:
            process.kill()
            process.wait()


# --- what this file needs ---------------------------------------------------------------------------------------------


class Heard:
    """What a service manager is told, a datagram at a time."""

    def __init__(self, ear: socket.socket) -> None:
        self._ear = ear

    def next(self) -> str:
        self._ear.settimeout(BACKSTOP)
        return self._ear.recv(4096).decode()

    def until(self, beginning: str) -> str:
        while not (told := self.next()).startswith(beginning):
            continue
        return told

    def count_until_quiet(self, seconds: float) -> int:
        """How much is told until nothing is for so long."""
        count, until = 0, boottime() + BACKSTOP
        self._ear.settimeout(seconds)
        while boottime() < until:
            try:
                self._ear.recv(4096)
            except TimeoutError:
                return count
            count += 1
        raise AssertionError("it does not fall silent")


@contextmanager
def manager(path: Path | str) -> Iterator[Heard]:
    """A service manager's ear: a real datagram socket, by path or (with @) in the abstract namespace."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(f"\0{str(path)[1:]}" if str(path).startswith("@") else str(path))
        yield Heard(ear)
