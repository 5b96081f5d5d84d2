"""One real daemon against a vendor that answers in 200 ms: how many calls it keeps live, how many it places.

    python benchmarks/scale.py --url mysql+pymysql://user:password@host/ --case live [--small]

`live`: the limit is 1,000 calls, of 30 to 120 s each, and more leads are due than lines are free. How fast it gets
there, how full the lines are kept, how long a line that is free again waits for its next call.
`steady`: 200 rows a second become due. How late each is dialed, and whether that grows.
`flood`: everything is due and the limit is far away. How many starts a second reach the vendor, and whether the
polling of all those live calls keeps up.

The daemon is `ringback run` with its usual settings, except the dialing places and where the vendor is. It learns of
ends by asking, because nothing posts webhooks here: in `live`, where that decides when a line is free, every 2 s.
The vendor is `fake_vendor.py`, a process of its own: starts a second and live calls are what it has counted. CPU is
what each process used, by the kernel's account.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sqlalchemy import make_url, text

from benchmarks.seeding import FIRST_NUMBER, add_campaign, add_leads
from benchmarks.showing import progress, run_and_show
from benchmarks.ticks import own_database
from scheduler.config import Settings
from scheduler.errors import RingbackError
from scheduler.store.database import Connection, Database

ROOT = Path(__file__).resolve().parent.parent
NONE: Mapping[str, str] = {}
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
POLL_SOON = {"RINGBACK_POLL_EVERY": "2", "RINGBACK_FOLLOW_INTERVAL": "1"}
"""For `live`: a line is free when its end is known, and here an end is known only by asking."""


@dataclass(frozen=True)
class Sizes:
    lines: int
    per_second: int
    places: int
    shortest: float
    longest: float
    hold: float
    """Seconds that the lines are watched once they are full."""
    run: float
    """Seconds of rows that become due one by one, and of a flood."""
    flooded: int
    """Rows due at once."""


FULL = Sizes(lines=1000, per_second=200, places=400, shortest=30, longest=120, hold=40, run=30, flooded=30_000)
SMALL = Sizes(lines=150, per_second=40, places=100, shortest=2, longest=6, hold=8, run=4, flooded=3_000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True, help="a MariaDB on this host; a database of its own is made there")
    parser.add_argument("--case", required=True, choices=CASES)
    parser.add_argument("--small", action="store_true", help="small sizes, to see that it runs")
    parser.add_argument("--places", type=int, help="dialing places")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the daemon")
    parser.add_argument("--attach", metavar="COMMAND", help="run beside it, {pid} being the daemon's; for a profiler")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    options = parser.parse_args()
    sizes = SMALL if options.small else FULL
    tuned = Tuning(options.places or sizes.places, dict(one.split("=", 1) for one in options.set), options.attach)
    run_and_show(lambda: CASES[options.case](options.url, sizes, tuned), options)


@dataclass(frozen=True)
class Tuning:
    places: int
    settings: dict[str, str]
    attach: str | None = None


# --- the three cases -----------------------------------------------------------------------------


def measure_live(url: str, sizes: Sizes, tuned: Tuning) -> dict[str, object]:
    """Fill the lines, then keep them full."""
    mean = (sizes.shortest + sizes.longest) / 2
    leads = int(sizes.lines * (1.5 + 2 * (sizes.hold + 20) / mean))
    with own_database(url, "scale", lines=sizes.lines) as database, ExitStack() as stack:
        limit_lines(database, sizes.lines)
        seed(database, leads)
        session = stack.enter_context(Session(database, sizes, tuned, POLL_SOON))
        session.wait_for(lambda now: now.starts >= sizes.lines, 120)
        climb = session.vendor.get("/record")["placed"][: sizes.lines]
        seconds = climb[-1] - climb[0]
        progress(f"  {sizes.lines:,} live after {seconds:.1f} s; watching them for {sizes.hold:.0f} s ...")
        held = session.watch(sizes.hold)
        record = session.vendor.get("/record")
        placed = [one for one in list_placed(database) if one <= held[-1].at]
        freed = list_freed(database)
        session.stop()
        return {
            "lines": sizes.lines,
            "climb_seconds": round(seconds, 2),
            "climb_per_second": round(sizes.lines / seconds, 1),
            "in_use_over_lines": round(statistics.mean(one.in_flight for one in held) / sizes.lines, 4),
            "in_use_least": min(one.in_flight for one in held),
            "live_at_vendor_over_lines": round(statistics.mean(one.live for one in held) / sizes.lines, 4),
            "live_at_vendor_least": min(one.live for one in held),
            "live_at_vendor_most": max(one.live for one in held),
            "time_within_5_percent": round(
                statistics.mean(abs(one.live - sizes.lines) <= sizes.lines * 0.05 for one in held), 3
            ),
            "calls_into_free_lines": max(0, len(placed) - sizes.lines),
            **spread("line_free_to_dial", waits_for_lines(freed, placed, sizes.lines)),
            **spread("call_over_to_dial", waits_for_lines(record["ended"], sorted(record["placed"]), sizes.lines)),
            **costs(held), **polling(held, session.poll_every), **session.truth(),
        }


def measure_steady(url: str, sizes: Sizes, tuned: Tuning) -> dict[str, object]:
    """So many rows a second become due; how late are they dialed?"""
    count = int(sizes.per_second * sizes.run)
    with own_database(url, "scale", lines=100_000) as database, ExitStack() as stack:
        seed(database, count, due_in=timedelta(days=1))
        session = stack.enter_context(Session(database, sizes, tuned))
        session.wait_for_daemon()
        make_due(database, sizes.per_second, database.now() + timedelta(seconds=1))
        session.wait_for(lambda now: now.starts > 0, 30)
        watched = session.watch(sizes.run)
        time.sleep(2)
        delays = list_delays(database)
        session.stop()
        first, last = delays[: len(delays) // 2], delays[len(delays) // 2 :]
        return {
            "due_per_second": sizes.per_second, "due": count, "dialed": len(delays),
            "dialed_per_second": round((watched[-1].starts - watched[0].starts) / (watched[-1].at - watched[0].at), 1),
            **spread("due_to_dial", delays),
            "median_later_half_over_first": round(statistics.median(last) / statistics.median(first), 3),
            **costs(watched), **polling(watched, session.poll_every), **session.truth(),
        }


def measure_flood(url: str, sizes: Sizes, tuned: Tuning) -> dict[str, object]:
    """Everything is due, and there is a line for each."""
    with own_database(url, "scale", lines=100_000) as database, ExitStack() as stack:
        seed(database, sizes.flooded)
        session = stack.enter_context(Session(database, sizes, tuned))
        session.wait_for(lambda now: now.starts > 0, 30)
        time.sleep(1)  # the first rows find a daemon that has imported nothing yet
        watched = session.watch(sizes.run)
        record = session.vendor.get("/record")["placed"]
        session.stop()
        begin, end = watched[0].at, watched[-1].at
        half = (begin + end) / 2
        starts = [sum(begin <= at < half for at in record), sum(half <= at < end for at in record)]
        by_second = [
            sum(begin + second <= at < begin + second + 1 for at in record) for second in range(int(end - begin))
        ]
        return {
            "starts_per_second": round(sum(starts) / (end - begin), 1),
            "starts_per_second_least": min(by_second), "starts_per_second_most": max(by_second),
            "target_per_second": sizes.per_second,
            "rate_over_target": round(sum(starts) / (end - begin) / sizes.per_second, 3),
            "later_half_over_target": round(starts[1] / (end - half) / sizes.per_second, 3),
            "later_half_over_first": round(starts[1] / max(1, starts[0]), 3),
            "rows_left": sizes.flooded - watched[-1].starts,
            "live_at_end": watched[-1].live, "in_flight_at_end": watched[-1].in_flight,
            **costs(watched), **polling(watched, session.poll_every), **session.truth(),
        }


CASES: dict[str, Callable[[str, Sizes, Tuning], dict[str, object]]] = {
    "live": measure_live, "steady": measure_steady, "flood": measure_flood,
}


# --- what the figures are made of ----------------------------------------------------------------


@dataclass(frozen=True)
class Sample:
    """How things stand at an instant (seconds since 1970). CPU is in seconds since each process began."""

    at: float
    starts: int
    live: int
    lists: int
    in_flight: int
    unknown: int
    overdue: float
    """By how many seconds the live call that waits longest for its next look is late for it."""
    daemon: float
    vendor: float
    database: float | None
    memory: float
    """MB."""


def costs(samples: Sequence[Sample]) -> dict[str, object]:
    first, last = samples[0], samples[-1]
    seconds, dials = last.at - first.at, max(1, last.starts - first.starts)
    found: dict[str, object] = {
        "watched_seconds": round(seconds, 1), "dials_watched": last.starts - first.starts,
        "cpu_ms_per_dial": round((last.daemon - first.daemon) / dials * 1e3, 2),
        "cores_of_daemon": round((last.daemon - first.daemon) / seconds, 3),
        "cores_of_vendor": round((last.vendor - first.vendor) / seconds, 3),
    }
    if first.database is not None and last.database is not None:
        found["cores_of_database"] = round((last.database - first.database) / seconds, 3)
    return {
        **found, "load": Path("/proc/loadavg").read_text("ascii").split()[0],
        "memory_mb_first": round(first.memory, 1), "memory_mb_most": round(max(one.memory for one in samples), 1),
    }


def polling(samples: Sequence[Sample], poll_every: float) -> dict[str, object]:
    """How old the oldest knowledge of a live call is, over how old it may be."""
    first, last = samples[0], samples[-1]
    most = max(one.overdue for one in samples)
    return {
        "oldest_look_over_poll_every": round((poll_every + most) / poll_every, 3),
        "look_overdue_median": round(statistics.median(one.overdue for one in samples), 2),
        "look_overdue_most": round(most, 2),
        "lists_per_second": round((last.lists - first.lists) / (last.at - first.at), 2),
    }


def spread(name: str, seconds: Sequence[float]) -> dict[str, object]:
    if len(seconds) < 2:
        raise RingbackError(f"too few calls were placed to measure {name}")
    cuts = statistics.quantiles(seconds, n=20)
    return {
        f"{name}_p50": round(cuts[9], 3), f"{name}_p95": round(cuts[18], 3), f"{name}_max": round(max(seconds), 3),
    }


def waits_for_lines(freed: Sequence[float], placed: Sequence[float], lines: int) -> list[float]:
    """How long each free line waited: the first call beyond the limit took the first line that was free, and so on."""
    return [max(0.0, at - since) for since, at in zip(freed, placed[lines:], strict=False)]


# --- rows ----------------------------------------------------------------------------------------


def seed(database: Database, count: int, *, due_in: timedelta = timedelta(hours=-1)) -> None:
    """Leads with a planned call each, to be dialed by a real daemon."""
    campaign_id = add_campaign(database)
    progress(f"  {count:,} leads ...")
    add_leads(database, campaign_id, count, at=database.now() + due_in)
    database.transact(lambda connection: connection.execute(
        text("UPDATE campaigns SET provider = 'retell' WHERE id = :one"), {"one": campaign_id}
    ))
    database.transact(lambda connection: connection.execute(
        text("ANALYZE TABLE leads, lead_phones, call_schedule, call_attempts")
    ))


def make_due(database: Database, per_second: int, begin: datetime) -> None:
    """Let what was seeded become due one by one, at even distances."""
    database.transact(lambda connection: connection.execute(
        text(
            "UPDATE call_schedule s JOIN leads l ON l.id = s.lead_id SET s.scheduled_at = :begin"
            " + INTERVAL (CAST(SUBSTR(l.telefono, 2) AS SIGNED) - :first) * :step MICROSECOND"
        ),
        {"begin": f"{begin:%Y-%m-%d %H:%M:%S.%f}", "first": FIRST_NUMBER, "step": 1_000_000 // per_second},
    ))


def limit_lines(database: Database, lines: int) -> None:
    database.transact(lambda connection: connection.execute(
        text("UPDATE scheduler_config SET config_value = :lines WHERE config_key = 'max_concurrent_calls'"),
        {"lines": str(lines)},
    ))


def read_instants(database: Database, statement: str) -> list[float]:
    return [float(one) for one in database.read(lambda connection: connection.execute(text(statement)).scalars().all())]


def list_placed(database: Database) -> list[float]:
    return read_instants(
        database, "SELECT UNIX_TIMESTAMP(placed_at) FROM call_attempts WHERE placed_at IS NOT NULL ORDER BY placed_at"
    )


def list_freed(database: Database) -> list[float]:
    """When each end was learnt of."""
    return read_instants(
        database, "SELECT UNIX_TIMESTAMP(updated_at) FROM call_schedule WHERE status = 'completed' ORDER BY updated_at"
    )


def list_delays(database: Database) -> list[float]:
    """Seconds from due to dialed, in the order in which they were due."""
    return read_instants(
        database,
        "SELECT TIMESTAMPDIFF(MICROSECOND, s.scheduled_at, a.placed_at) / 1000000 FROM call_attempts a"
        " JOIN call_schedule s ON s.id = a.schedule_id WHERE a.placed_at IS NOT NULL ORDER BY s.scheduled_at",
    )


# --- processes -----------------------------------------------------------------------------------


class Vendor:
    """`fake_vendor.py` in a process of its own."""

    def __init__(self, sizes: Sizes) -> None:
        self.process = subprocess.Popen(
            [
                sys.executable, str(ROOT / "benchmarks" / "fake_vendor.py"),
                "--shortest", str(sizes.shortest), "--longest", str(sizes.longest),
            ],
            stdout=subprocess.PIPE, text=True,
        )
        assert self.process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self.process.stdout.readline())}"

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=30) as answer:
            return json.load(answer)


class Session:
    """The vendor and one daemon, watched."""

    def __init__(
        self, database: Database, sizes: Sizes, tuned: Tuning, usual: Mapping[str, str] = NONE
    ) -> None:
        self.database = database
        chosen = {**usual, **tuned.settings}
        self.poll_every = float(chosen.get("RINGBACK_POLL_EVERY", Settings().poll_every))
        self.vendor = Vendor(sizes)
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.daemon = subprocess.Popen(
            [sys.executable, "-m", "cli.main", "run", "--plain"], cwd=ROOT, stdout=self.log, stderr=self.log,
            env={
                **{name: value for name, value in os.environ.items() if not name.startswith("RINGBACK_")},
                "RINGBACK_DATABASE_URL": make_url(database.url).render_as_string(hide_password=False),
                "RINGBACK_PROVIDER": "retell", "RINGBACK_DIALING_PLACES": str(tuned.places),
                "RETELL_API_KEY": "key_of_the_benchmark", "RETELL_FROM_NUMBER": "+14157774444",
                "RETELL_BASE_URL": self.vendor.url, "RETELL_AGENT_ID": "agent_0a1b2c3d4e5f",
                **chosen,
            },
        )
        self.server = _find_server(database)
        self.attached: subprocess.Popen[bytes] | None = None
        self._attach = tuned.attach

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        for process in (self.daemon, self.vendor.process, self.attached):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()
        self.log.close()

    def sample(self) -> Sample:
        if self.daemon.poll() is not None:
            self.log.seek(0)
            raise RingbackError(f"the daemon ended by itself: {self.log.read()[-2000:]}")
        counts = self.vendor.get("/counts")
        states, overdue = self.database.read(_read_open)
        return Sample(
            at=counts["now"], starts=counts["starts"], live=counts["live"], lists=counts["lists"],
            in_flight=sum(states.values()), unknown=states.get("unknown", 0), overdue=max(0.0, overdue),
            daemon=_cpu_of(self.daemon.pid), vendor=_cpu_of(self.vendor.process.pid),
            database=_cpu_of(self.server) if self.server else None, memory=_memory_of(self.daemon.pid),
        )

    def wait_for(self, is_reached: Callable[[Sample], bool], seconds: float) -> Sample:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            found = self.sample()
            if is_reached(found):
                return found
            time.sleep(0.1)
        raise RingbackError(f"not reached within {seconds:g} s; it stands at {found}")

    def wait_for_daemon(self) -> None:
        """Until it has begun its work."""
        self.wait_for(lambda _: self.database.read(lambda connection: connection.execute(
            text("SELECT COUNT(*) FROM daemons WHERE status = 'running'")
        ).scalar_one()) > 0, 30)
        time.sleep(1)

    def watch(self, seconds: float) -> list[Sample]:
        """A sample a second."""
        if self._attach:
            self.attached = subprocess.Popen(self._attach.format(pid=self.daemon.pid), shell=True)
        found = [self.sample()]
        begun = time.monotonic()
        while (now := time.monotonic() - begun) < seconds:
            time.sleep(min(1 - now % 1, seconds - now))
            found.append(self.sample())
        return found

    def stop(self) -> None:
        """As people stop it: dials in flight finish. Whoever profiles it finishes too."""
        if self.attached is not None:
            self.attached.wait(60)
        self.daemon.send_signal(signal.SIGTERM)
        try:
            self.daemon.wait(60)
        except subprocess.TimeoutExpired:
            raise RingbackError("the daemon did not stop within a minute") from None

    def truth(self) -> dict[str, object]:
        """Does the vendor's record agree with ours? Raises RingbackError where a call was made twice or is missing."""
        counts = self.vendor.get("/counts")
        ours, doubtful = self.database.read(lambda connection: connection.execute(text(
            "SELECT COUNT(DISTINCT provider_call_id), SUM(state IN ('placing', 'unknown')) FROM call_attempts"
        )).one())
        self.log.seek(0)
        said = self.log.read().splitlines()
        troubles = [line for line in said if any(word in line for word in (" failed", "warning", "error"))]
        for line in troubles[:5]:
            progress(f"  the daemon said: {line}")
        if counts["repeated"] or ours != counts["starts"] or doubtful:
            raise RingbackError(
                f"the vendor had {counts['starts']} starts, {counts['repeated']} of them repeated; we know of {ours} "
                f"calls, and {doubtful} are doubtful"
            )
        return {"calls_made_twice": 0, "lines_of_trouble": len(troubles)}


def _read_open(connection: Connection) -> tuple[dict[str, int], float]:
    states: dict[str, int] = dict(connection.execute(text(
        "SELECT state, COUNT(*) FROM call_attempts WHERE state IN ('placing', 'live', 'unknown') GROUP BY state"
    )).all())
    overdue = connection.execute(text(
        "SELECT TIMESTAMPDIFF(MICROSECOND, MIN(next_poll_at), UTC_TIMESTAMP(6)) / 1000000"
        " FROM call_attempts WHERE state = 'live'"
    )).scalar()
    return states, float(overdue or 0)


def _find_server(database: Database) -> int | None:
    """The process of the database server, where that is one of this host's and may be looked at."""
    try:
        path = database.read(lambda connection: connection.execute(text("SELECT @@pid_file")).scalar_one())
        pid = int(Path(str(path)).read_text("ascii"))
        _cpu_of(pid)
    except (OSError, ValueError):
        return None
    return pid


def _cpu_of(pid: int) -> float:
    """User and system time in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND


def _memory_of(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text("utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


if __name__ == "__main__":
    main()
