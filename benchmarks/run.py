"""Every figure of the design beside its target, as ratios measured in this one run.

    make bench             all of it
    make bench QUICK=1     smaller sizes, to see that nothing is badly wrong

Works on a private MariaDB that commits durably, started here and removed at the end, or on the server that
RINGBACK_BENCH_MYSQL_URL names (databases called ringback_bench_* are made there and dropped). What is
compared is measured in turn, because a machine's pace drifts; medians throughout.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from rich.console import Console
from rich.table import Table
from sqlalchemy import make_url

from benchmarks.showing import progress
from benchmarks.ticks import own_database
from tests.mariadb import PrivateMariaDB, Unavailable

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Sizes:
    cycles: int
    apscheduler: int
    huey: int
    memory: int
    imported: int
    planned: int
    web_rows: int
    web_campaigns: int
    rounds: int = 3


FULL = Sizes(
    cycles=20_000, apscheduler=1_000, huey=5_000, memory=100_000, imported=100_000, planned=100_000,
    web_rows=5_000_000, web_campaigns=1_000,
)
QUICK = Sizes(
    cycles=3_000, apscheduler=200, huey=1_000, memory=6_000, imported=10_000, planned=10_000, web_rows=50_000,
    web_campaigns=100,
)


@dataclass(frozen=True)
class Figure:
    """A line of the table. `measured` is a ratio, or seconds, or rows per second."""

    what: str
    measured: float
    target: float
    at_least: bool
    detail: str

    @property
    def is_reached(self) -> bool:
        return self.measured >= self.target if self.at_least else self.measured <= self.target

    @property
    def verdict(self) -> str:
        if self.is_reached:
            return "reached"
        if not self.target:
            return "missed"
        off = abs(self.measured - self.target) / self.target
        return f"{off:.0%} {'below' if self.at_least else 'above'}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller sizes")
    parser.add_argument("--only", choices=GROUPS, action="append", help="this group of figures; may be repeated")
    parser.add_argument("--json", action="store_true", help="one JSON array instead of the table")
    options = parser.parse_args()
    sizes = QUICK if options.quick else FULL
    figures: list[Figure] = []
    started = time.monotonic()
    try:
        with server() as url:
            for name in options.only or GROUPS:
                progress(f"{name} ...")
                figures += GROUPS[name](Bench(url, sizes, is_quick=options.quick))
    except Unavailable as error:
        sys.exit(str(error))
    progress(f"measured in {time.monotonic() - started:.0f} s")
    show(figures, as_json=options.json, is_quick=options.quick)


@contextmanager
def server() -> Iterator[str]:
    given = os.environ.get("RINGBACK_BENCH_MYSQL_URL")
    if given:
        yield given
        return
    progress("starting a private MariaDB with durable commits ...")
    with PrivateMariaDB(durable=True, buffer_pool="1G", log_size="256M") as private:
        yield private.url


class Bench:
    """Runs the single benchmarks, each in a process of its own, on the server of `url`."""

    def __init__(self, url: str, sizes: Sizes, *, is_quick: bool) -> None:
        self.url, self.sizes, self.is_quick = url, sizes, is_quick

    def run(self, name: str, *arguments: object, url: str | None = None) -> dict[str, Any]:
        command = [sys.executable, "-m", f"benchmarks.{name}", "--url", url or self.url, "--json"]
        done = subprocess.run(
            [*command, *map(str, arguments)], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False
        )
        if done.returncode:
            sys.exit(f"{name} failed (exit code {done.returncode})")
        figures: dict[str, Any] = json.loads(done.stdout)
        return figures

    @contextmanager
    def database(self, name: str) -> Iterator[str]:
        """The URL of a database made for this, and dropped again."""
        with own_database(self.url, name):
            yield make_url(self.url).set(database=f"ringback_bench_{name}").render_as_string(hide_password=False)


def measure_cycles(bench: Bench) -> list[Figure]:
    """The dispatcher, the floors, two other stores and two daemons, in turn."""
    sizes = bench.sizes
    paces: dict[str, list[float]] = {}
    with bench.database("cycles") as url, tempfile.TemporaryDirectory() as folder:
        file = f"sqlite:///{Path(folder) / 'ringback.db'}"
        runs: dict[str, Callable[[], dict[str, Any]]] = {
            "floor": lambda: bench.run("floor", "--leads", sizes.cycles, url=url),
            "lean floor": lambda: bench.run("floor", "--lean", "--leads", sizes.cycles, url=url),
            "cycle": lambda: bench.run("cycle", "--leads", sizes.cycles, url=url),
            "two daemons": lambda: bench.run("daemons", "--leads", sizes.cycles, url=url),
            "APScheduler": lambda: bench.run("apscheduler_jobs", "--leads", sizes.apscheduler, url=url),
            "huey": lambda: bench.run("huey_jobs", "--leads", sizes.huey, url=url),
            "cycle on SQLite": lambda: bench.run("cycle", "--leads", sizes.huey, url=file),
        }
        cpu: list[float] = []
        for turn in range(sizes.rounds):
            for name, run in runs.items():
                found = run()
                paces.setdefault(name, []).append(found["cycles_per_second"])
                if name == "cycle":
                    cpu.append(found["cpu_seconds"] / found["leads"] * 1e3)
                progress(f"  {turn + 1} of {sizes.rounds}: {name} {found['cycles_per_second']:,.0f}/s")

    def over(what: str, than: str, target: float, words: str) -> Figure:
        ratio = statistics.median(one / two for one, two in zip(paces[what], paces[than], strict=True))
        one, two = (statistics.median(paces[name]) for name in (what, than))
        return Figure(words, ratio, target, True, f"{one:,.0f}/s over {two:,.0f}/s")

    return [
        over("cycle", "lean floor", 0.7, "cycles/s over raw PyMySQL on bare tables"),
        over("cycle", "floor", 0.8, "cycles/s over raw PyMySQL on our tables"),
        over("cycle", "APScheduler", 5, "cycles/s over APScheduler's job store"),
        over("cycle", "huey", 2, "cycles/s over huey on SQLite with fsync"),
        over("cycle on SQLite", "huey", 1, "the same on SQLite"),
        over("two daemons", "cycle", 1.5, "two daemons over one"),
        Figure("Python of a cycle (ms)", statistics.median(cpu), 0.4, False, f"{min(cpu):.2f} to {max(cpu):.2f}"),
    ]


def measure_ticks(bench: Bench) -> list[Figure]:
    small = ["--small"] if bench.is_quick else []
    growth = bench.run("ticks", "--case", "growth", *small)
    paused = bench.run("ticks", "--case", "paused", *small)
    many = bench.run("ticks", "--case", "campaigns", *small)
    return [
        Figure(
            f"tick at {growth['rows_many']:,} rows over {growth['rows_few']:,}", growth["ratio"], 1.5, False,
            f"{growth['seconds_many'] * 1e3:.0f} ms over {growth['seconds_few'] * 1e3:.0f} ms",
        ),
        Figure(
            f"tick beside {paused['rows_paused']:,} paused due rows", paused["ratio"], 1.2, False,
            f"{paused['seconds_beside'] * 1e3:.0f} ms over {paused['seconds_without'] * 1e3:.0f} ms",
        ),
        Figure(
            f"one tick over {many['campaigns']:,} campaigns (s)", many["seconds"], 1, False,
            f"{many['rows_dialed']:,} rows dialed",
        ),
    ]


def measure_memory(bench: Bench) -> list[Figure]:
    with bench.database("memory") as url:
        found = bench.run("memory", "--leads", bench.sizes.memory, url=url)
    return [Figure(
        f"memory after {found['leads']:,} cycles over 1,000", found["ratio"], 1.1, False,
        f"{found['mb_after_all']} MB over {found['mb_after_few']} MB",
    )]


def measure_import(bench: Bench) -> list[Figure]:
    with bench.database("import") as url:
        paces = [
            bench.run("imports", "--rows", bench.sizes.imported, url=url)["rows_per_second"]
            for _ in range(bench.sizes.rounds)
        ]
    return [Figure(
        f"import of {bench.sizes.imported:,} leads (rows/s)", statistics.median(paces), 12_000, True,
        f"{min(paces):,} to {max(paces):,}",
    )]


def measure_previews(bench: Bench) -> list[Figure]:
    with bench.database("previews") as url:
        found = [bench.run("previews", "--leads", bench.sizes.planned, url=url) for _ in range(bench.sizes.rounds)]
    what = f"new settings over {bench.sizes.planned:,} planned calls"
    python = statistics.median(one["python_seconds"] for one in found)
    return [
        Figure(f"{what}: first figure (s)", statistics.median(one["first_figure_seconds"] for one in found), 2, False,
               f"{found[0]['told']} figures in all"),
        Figure(f"{what}: exact (s)", statistics.median(one["exact_seconds"] for one in found), 15, False,
               f"{python:g} s of Python"),
    ]


def measure_scale(bench: Bench) -> list[Figure]:
    """A real daemon, and a vendor in a process of its own."""
    small = ["--small"] if bench.is_quick else []
    live, steady, flood = (bench.run("scale", "--case", case, *small) for case in ("live", "steady", "flood"))
    return [
        Figure(
            f"live at the vendor over {live['lines']:,} lines", live["live_at_vendor_over_lines"], 0.95, True,
            f"full after {live['climb_seconds']:g} s, {live['cores_of_daemon']:.2f} cores, "
            f"{live['memory_mb_most']:.0f} MB",
        ),
        Figure(
            "free line to dial, p95 (s)", live["line_free_to_dial_p95"], 2, False,
            f"p50 {live['line_free_to_dial_p50']:.2f}, most {live['line_free_to_dial_max']:.2f}",
        ),
        Figure(
            f"due to dial at {steady['due_per_second']} a second, p95 (s)", steady["due_to_dial_p95"], 2, False,
            f"p50 {steady['due_to_dial_p50']:.2f}, most {steady['due_to_dial_max']:.2f}, "
            f"{steady['cores_of_daemon']:.2f} cores",
        ),
        Figure(
            f"starts/s over {flood['target_per_second']}, all due", flood["rate_over_target"], 1, True,
            f"{flood['starts_per_second']:,.0f}/s, database {flood.get('cores_of_database') or 0:.2f} cores",
        ),
        Figure(
            f"its later half over {flood['target_per_second']}", flood["later_half_over_target"], 1, True,
            f"{flood['later_half_over_first']:g} of the first; {flood['starts_per_second_least']:,} to "
            f"{flood['starts_per_second_most']:,} a second",
        ),
        Figure(
            "CPU of a dial (ms)", flood["cpu_ms_per_dial"], 5, False,
            f"{flood['cores_of_daemon']:.2f} cores, {flood['memory_mb_most']:.0f} MB at {flood['live_at_end']:,} live",
        ),
        Figure(
            "oldest look at a live call over its time", flood["oldest_look_over_poll_every"], 1.5, False,
            f"{flood['lists_per_second']:g} lists a second, {flood['live_at_end']:,} live",
        ),
    ]


def measure_web(bench: Bench) -> list[Figure]:
    """The real application in a process of its own."""
    sizes = bench.sizes
    found = bench.run("web", "--rows", sizes.web_rows, "--campaigns", sizes.web_campaigns)
    of = f"of {sizes.web_rows:,} rows"
    return [
        *(
            Figure(
                f"{what} {of} over a lookup", found[f"{name}_over_lookup"], 5, False,
                f"{found[f'{name}_ms']:g} ms over {found['lookup_ms']:g} ms",
            )
            for name, what in (
                ("status", "status"), ("overview", "overview"), ("overview_of_account", "overview of an account")
            )
        ),
        Figure(
            "statements of a page, most", found["statements_most"], 10, False,
            f"{found['statements_most_at']} of {found['pages']} pages; slowest: {found['page_ms_most_at']}, "
            f"{found['page_ms_most']:,g} ms",
        ),
        Figure(
            f"cores for {found['streams']} event streams", found["cores_of_streams"], 1, False,
            f"{found['stream_kib']:,} KiB sent",
        ),
    ]  # fmt: skip


GROUPS: dict[str, Callable[[Bench], list[Figure]]] = {
    "cycles": measure_cycles, "ticks": measure_ticks, "memory": measure_memory, "import": measure_import,
    "previews": measure_previews, "scale": measure_scale, "web": measure_web,
}


def show(figures: list[Figure], *, as_json: bool, is_quick: bool) -> None:
    if as_json:
        print(json.dumps([
            {"figure": one.what, "measured": one.measured, "target": one.target, "reached": one.is_reached,
             "detail": one.detail}
            for one in figures
        ]))
        return
    table = Table(title="Ringback, quick sizes: no measure of the targets" if is_quick else "Ringback")
    for name in ("figure", "measured", "target", "verdict", "which is"):
        table.add_column(name, justify="right" if name in ("measured", "target") else "left")
    for one in figures:
        sign = "≥" if one.at_least else "≤"
        table.add_row(one.what, f"{one.measured:,.4g}", f"{sign} {one.target:,}", one.verdict, one.detail)
    Console(width=None if sys.stdout.isatty() else 120).print(table)


if __name__ == "__main__":
    main()
