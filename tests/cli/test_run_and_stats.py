"""`ringback run`, `stats`, `cleanup`, `simulator` and `completion`: whole lives, in real processes where it matters."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from rich.console import Console

from cli.live import LiveVoice
from cli.run import Voice
from scheduler.events import Line
from scheduler.store.database import Database
from tests.cli.conftest import Ringback
from tests.conftest import NOON, on_every_engine
from tests.each import each
from tests.factories import DAY, add_due_lead, add_lead, call_of, lead_of, plan_call, set_config
from tests.waiting import BACKSTOP, PLAIN

ROOT = Path(__file__).parents[2]
QUICK = {
    "RINGBACK_SIMULATOR_MIX": "completed=1", "RINGBACK_SIMULATOR_RING_SECONDS": "0",
    "RINGBACK_SIMULATOR_TALK_SECONDS": "0", "RINGBACK_DISPATCH_INTERVAL": "0.1", "RINGBACK_FOLLOW_INTERVAL": "0.1",
    "RINGBACK_UPKEEP_INTERVAL": "0.2", "RINGBACK_POLL_EVERY": "0.2",
}  # fmt: skip


@on_every_engine
def test_run_until_idle_calls_everybody_and_ends(ringback: Ringback, database: Database, database_url: str) -> None:
    open_at_all_hours(database)
    ids = [add_due_lead(database, at=database.now() - DAY, nombre="Ana") for _ in range(3)]

    with daemon(database_url, "--until-idle") as process:
        said, complaints = process.communicate(timeout=BACKSTOP)

    assert process.returncode == 0, complaints
    assert {lead_of(database, one).closed_reason for one in ids} <= {"completed", "appointment"}
    assert "(Ana)" in said and "completed" in said
    assert not any(lead_of(database, one).telefono in said for one in ids)
    assert ringback.json("check")["ok"]
    figures = ringback.json("stats")
    assert (figures["leads"]["closed"], figures["outcomes"]["total"]) == (3, {"completed": 3})
    assert figures["success_by_outcome"]["completed"]["success_rate"] == 1.0
    assert "3 completed" in ringback.ok("stats")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_run_stops_politely(database: Database, database_url: str, number: signal.Signals) -> None:
    with daemon(database_url) as process:
        assert process.stdout is not None
        assert any("started as" in line for line in process.stdout)
        process.send_signal(number)
        said, complaints = process.communicate(timeout=BACKSTOP)

    assert process.returncode == 0, complaints
    assert "stopped" in said
    assert "Traceback" not in complaints


def test_run_waits_for_a_database_that_is_away_and_says_so() -> None:
    with daemon("mysql+pymysql://nobody:secret@127.0.0.1:1/nothing") as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=BACKSTOP)

    assert "Can't connect to MySQL server" in line and "trying again" in line
    assert "secret" not in line
    assert process.returncode == 0


def test_logs_for_machines_leave_stdout_empty(database: Database, database_url: str) -> None:
    with daemon(database_url, "--until-idle", RINGBACK_LOG_FORMAT="json") as process:
        said, logs = process.communicate(timeout=BACKSTOP)

    assert said == ""
    assert all(line.startswith("{") for line in logs.splitlines())
    assert '"kind": "daemon"' in logs


def test_run_once_takes_one_look(ringback: Ringback, database: Database) -> None:
    lead_id = add_lead(database, lead_status="closed", closed_at=database.now())
    plan_call(database, lead_id)

    ringback.ok("run", "--once", **QUICK)

    assert call_of(database, lead_id).status == "cancelled"


def test_a_listener_whose_reader_has_left_stops_the_daemon_and_says_why() -> None:
    class Leaving(Voice):
        def say(self, line: Line) -> None:
            raise BrokenPipeError

    class Stoppable:
        stopped = False

        def stop(self) -> None:
            self.stopped = True

    told, voice = Stoppable(), Leaving("INFO")
    with pytest.raises(BrokenPipeError), voice.heard(told):  # type: ignore[arg-type]
        voice.hear(Line(NOON, "info", "ended", "it ended"))
        voice.hear(Line(NOON, "info", "ended", "and again"))

    assert told.stopped


def test_lines_below_the_log_level_are_not_said(capsys: pytest.CaptureFixture[str]) -> None:
    voice = Voice("WARNING")
    voice.hear(Line(NOON, "info", "dialing", "dialing somebody"))
    voice.hear(Line(NOON, "warning", "unknown", "nobody knows"))

    assert capsys.readouterr().out == "2026-11-20 15:00:00Z warning: nobody knows\n"


def test_the_live_view_shows_figures_and_as_many_lines_as_fit(database: Database) -> None:
    add_due_lead(database)
    add_lead(database, lead_status="closed", closed_at=NOON)
    view = LiveVoice("INFO", database)
    view._console = Console(width=60, height=14, record=True, file=open(os.devnull, "w"))  # noqa: PTH123, SIM115
    for number in range(20):
        view.hear(Line(NOON, "info", "ended", f"call {number} " + "and what follows " * 5))
    view._look()

    view._console.print(view.draw())

    shown = view._console.export_text()
    assert "1 open, 1 closed" in shown and "1 of 2" in shown
    assert "call 19" in shown and "call 10" not in shown
    assert len(shown.splitlines()) <= 14


@on_every_engine
def test_stats_name_the_zone_that_today_is_in(ringback: Ringback, database: Database) -> None:
    set_config(database, timezone="Pacific/Kiritimati")

    figures = ringback.json("stats")

    assert figures["timezone"] == "Pacific/Kiritimati"
    assert figures["today_since"].endswith("T10:00:00Z")
    assert set(figures["schedule"]) == {"pending", "in_progress", "completed", "cancelled"}
    assert "Pacific/Kiritimati" in ringback.ok("stats")


@on_every_engine
def test_cleanup_counts_first_and_then_does_it(ringback: Ringback, database: Database) -> None:
    closed = add_due_lead(database, lead_status="closed", closed_at=NOON)
    add_due_lead(database)
    old = database.now() - 60 * DAY
    plan_call(database, add_lead(database), status="cancelled", created_at=old, updated_at=old)
    plan_call(database, 999_999)

    planned = ringback.json("cleanup", "--dry-run")
    assert call_of(database, closed).status == "pending"
    done = ringback.json("cleanup")

    assert planned == {**done, "dry_run": True}
    assert (done["closed_lead_rows"], done["deleted_rows"], done["orphan_rows"]) == (1, 1, 1)
    assert call_of(database, closed).status == "cancelled"
    assert "1 scheduled calls without a lead" in ringback.ok("cleanup")


def test_the_simulator_serves_a_network_with_a_ledger(tmp_path: Path) -> None:
    ledger = tmp_path / "new" / "ledger.jsonl"
    with ringback_process("simulator", "serve", "--port", "0", "--ledger", str(ledger)) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        call = httpx.post(f"{url}/calls", json={"attempt_ref": "r1", "number": "+56912345678"}, **PLAIN)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=BACKSTOP)

    assert call.status_code == 201
    assert '"r1"' in ledger.read_text()
    assert process.returncode == 0


def test_the_simulator_refuses_what_it_does_not_know(homeless: Ringback) -> None:
    assert "bogus" in homeless.refused("simulator", "serve", "--faults", "bogus=0.5")
    assert "loopback" in homeless.refused("simulator", "serve", "--host", "8.8.8.8", "--port", 0)
    assert homeless("simulator", "serve", "--delay-seconds", 3, 1).exit_code == 2


@each("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(homeless: Ringback, shell: str) -> None:
    assert "_RINGBACK_COMPLETE" in homeless.ok("completion", shell)


def test_keys_and_outcomes_are_completed() -> None:
    environment = {
        **os.environ, "PYTHONPATH": str(ROOT), "_RINGBACK_COMPLETE": "bash_complete",
        "COMP_WORDS": "ringback config set working_", "COMP_CWORD": "3",
    }  # fmt: skip
    command = [sys.executable, "-c", "from cli.main import main; main()"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert "working_hours_start" in done.stdout


def open_at_all_hours(database: Database) -> None:
    set_config(database, working_hours_start="00:00", working_hours_end="24:00", working_days="1,2,3,4,5,6,7")


@contextmanager
def daemon(url: str, *arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    with ringback_process("run", *arguments, RINGBACK_DATABASE_URL=url, **{**QUICK, **environment}) as process:
        yield process


@contextmanager
def ringback_process(*arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A real process, which does not outlive the test."""
    process = subprocess.Popen(
        [sys.executable, "-m", "cli.main", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
