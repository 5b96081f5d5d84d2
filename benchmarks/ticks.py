"""Seconds of one dispatch tick as tables grow: many waiting rows, a paused campaign, many campaigns.

    python benchmarks/ticks.py --url mysql+pymysql://user:password@host/ --case growth [--small]

`growth`: 50 due rows are taken, dialed and written down, among 5,000,000 pending rows and among 50,000.
`paused`: the same beside a paused campaign with 1,000,000 due rows, and without it.
`campaigns`: 1,000 active campaigns with due rows each; as many calls at once as campaigns.
`barred`: the same beside a do-not-call list of 1,000,000 entries in national spellings, once they are read, and beside
an empty one. Before that, while nobody has read them, one tick over people who are all listed: none may be dialed.
The two of a pair live in two databases made for the run, and their ticks alternate, so that what else the
machine does falls on both. Medians of the ticks after the first ones.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sqlalchemy import make_url, text

from benchmarks.cycle import AtOnce
from benchmarks.seeding import (
    FIRST_NUMBER,
    add_campaign,
    add_campaigns,
    add_leads,
    add_waiting,
    open_runtime,
    prepared,
)
from benchmarks.showing import progress, run_and_show
from scheduler.events import SilentReporter
from scheduler.providers.base import Accepted, DialRequest
from scheduler.service.dispatch import Dispatcher
from scheduler.store import do_not_call, tables
from scheduler.store.database import Database

TAKEN = 50
WARM_UP, TICKS = 5, 25
FAR_AHEAD = 20_000_000
"""Numbers of the rows that become due tick by tick begin here."""


@dataclass(frozen=True)
class Sizes:
    few: int = 50_000
    many: int = 5_000_000
    paused: int = 1_000_000
    campaigns: int = 1_000
    barred: int = 1_000_000


SMALL = Sizes(few=5_000, many=250_000, paused=100_000, campaigns=200, barred=100_000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True, help="a MySQL or MariaDB server where databases may be made")
    parser.add_argument("--case", choices=CASES, required=True)
    parser.add_argument("--small", action="store_true", help=f"{SMALL}")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    options = parser.parse_args()
    run_and_show(lambda: CASES[options.case](options.url, SMALL if options.small else Sizes()), options)


def measure_growth(url: str, sizes: Sizes) -> dict[str, object]:
    with own_database(url, "few") as few, own_database(url, "many") as many:
        figures = compare(
            Ground(few, waiting=sizes.few), Ground(many, waiting=sizes.many), names=("few", "many")
        )
        return {**figures, "rows_few": sizes.few, "rows_many": sizes.many}


def measure_paused(url: str, sizes: Sizes) -> dict[str, object]:
    with own_database(url, "without") as without, own_database(url, "beside") as beside:
        figures = compare(
            Ground(without, waiting=sizes.few), Ground(beside, waiting=sizes.few, paused=sizes.paused),
            names=("without", "beside"),
        )
        return {**figures, "rows_paused": sizes.paused}


def measure_campaigns(url: str, sizes: Sizes) -> dict[str, object]:
    """One tick that finds due rows in every campaign and has a line free for each."""
    with own_database(url, "campaigns", lines=sizes.campaigns) as database:
        ids = add_campaigns(database, [f"benchmark-{number}" for number in range(sizes.campaigns)])
        progress(f"  {sizes.campaigns:,} campaigns ...")
        for number, campaign_id in enumerate(ids):
            add_leads(database, campaign_id, 3, first=number * 3)
        dispatcher = make_dispatcher(database, places=sizes.campaigns, stays_live=True)
        seconds, dialed = [], 0
        for _ in range(WARM_UP):
            # Calls that never end hold their line, so that a tick is over when every line is taken.
            database.transact(lambda connection: connection.execute(text("DELETE FROM call_attempts")))
            database.transact(lambda connection: connection.execute(text(
                "UPDATE call_schedule SET status = 'pending', lease_owner = NULL, lease_token = NULL,"
                " lease_expires_at = NULL"
            )))
            started = time.perf_counter()
            dialed = dispatcher.run_once().dialed
            dispatcher.drain()
            seconds.append(time.perf_counter() - started)
        dispatcher.close()
        return {
            "seconds": round(statistics.median(seconds), 4), "rows_dialed": dialed, "campaigns": sizes.campaigns,
        }


def measure_barred(url: str, sizes: Sizes) -> dict[str, object]:
    with own_database(url, "nobody") as nobody, own_database(url, "barred") as barred:
        listed = Ground(barred, waiting=sizes.few)
        progress(f"  {sizes.barred:,} entries of the do-not-call list ...")
        add_entries(barred, sizes.barred)
        first = time.perf_counter()
        dialed = listed.tick_over(first=FAR_BARRED)
        first = time.perf_counter() - first
        progress("  reading them ...")
        began = time.perf_counter()
        while barred.transact(lambda connection: do_not_call.read_entries(connection, "CL", 2000, barred.now()))[0]:
            pass
        reading = time.perf_counter() - began
        barred.transact(lambda connection: connection.execute(text("ANALYZE TABLE do_not_call")))
        figures = compare(Ground(nobody, waiting=sizes.few), listed, names=("nobody", "barred"))
        return {
            **figures, "entries": sizes.barred, "dialed_of_listed": dialed, "seconds_unread": round(first, 4),
            "seconds_reading": round(reading, 1),
        }


FAR_BARRED = 60_000_000
"""Numbers of people who are listed begin here."""


def add_entries(database: Database, count: int) -> None:
    """As people write them by SQL: each of them a number of its own, in one of five national spellings."""
    written = ("0{0}", "{0}", "56{0}", "0 {0}", "({0})")
    for start in range(0, count, 10_000):
        numbers = [str(FIRST_NUMBER + FAR_BARRED + one)[2:] for one in range(start, min(start + 10_000, count))]
        rows = [{"telefono": written[one % 5].format(number)} for one, number in enumerate(numbers)]
        database.transact(lambda connection, rows=rows: connection.execute(tables.do_not_call.insert(), rows))


CASES: dict[str, Callable[[str, Sizes], dict[str, object]]] = {
    "growth": measure_growth, "paused": measure_paused, "campaigns": measure_campaigns, "barred": measure_barred,
}


class Ground:
    """A database with one busy campaign, of which a handful of rows is due at every tick."""

    def __init__(self, database: Database, *, waiting: int, paused: int = 0) -> None:
        self.database = database
        self.campaign_id = add_campaign(database)
        later = database.now() + timedelta(days=3)
        progress(f"  {waiting:,} waiting rows ...")
        add_waiting(database, self.campaign_id, waiting, first=0, at=later)
        if paused:
            progress(f"  {paused:,} due rows of a paused campaign ...")
            resting = add_campaign(database, "benchmark-paused", status="paused")
            add_waiting(database, resting, paused, first=waiting, at=database.now() - timedelta(days=1))
        database.transact(lambda connection: connection.execute(
            text("ANALYZE TABLE leads, lead_phones, call_schedule, call_attempts")
        ))
        self.dispatcher = make_dispatcher(database, places=TAKEN)
        self._made = 0

    def tick_over(self, first: int) -> int:
        """Make rows due to these numbers, then one tick. Returns how many were dialed."""
        add_leads(self.database, self.campaign_id, TAKEN, first=first)
        dialed = self.dispatcher.run_once().dialed
        self.dispatcher.drain()
        return dialed

    def tick(self) -> float:
        """Make the next rows due, then one tick. Returns its seconds."""
        add_leads(self.database, self.campaign_id, TAKEN, first=FAR_AHEAD + self._made)
        self._made += TAKEN
        started = time.perf_counter()
        dialed = self.dispatcher.run_once().dialed
        self.dispatcher.drain()
        seconds = time.perf_counter() - started
        assert dialed == TAKEN, f"{dialed} rows were dialed, not {TAKEN}"
        return seconds


def compare(one: Ground, other: Ground, names: tuple[str, str]) -> dict[str, object]:
    """Alternate their ticks. The ratio is the second over the first."""
    progress(f"  {WARM_UP + TICKS} ticks of each, in turn ...")
    pairs = [(one.tick(), other.tick()) for _ in range(WARM_UP + TICKS)][WARM_UP:]
    first, second = (statistics.median(side) for side in zip(*pairs, strict=True))
    one.dispatcher.close()
    other.dispatcher.close()
    return {
        "ratio": round(second / first, 3), f"seconds_{names[0]}": round(first, 4),
        f"seconds_{names[1]}": round(second, 4),
    }


def make_dispatcher(database: Database, *, places: int, stays_live: bool = False) -> Dispatcher:
    provider = StaysLive() if stays_live else AtOnce()
    return Dispatcher(
        open_runtime(database, provider), owner="benchmark", reporter=SilentReporter(), places=places
    )


class StaysLive(AtOnce):
    """Accepts every call, and none of them ends."""

    def place(self, request: DialRequest) -> Accepted:
        return Accepted(f"call-{next(self._numbers)}")


@contextmanager
def own_database(url: str, name: str, *, lines: int = 500) -> Iterator[Database]:
    """A database made for this run on the server of `url`, and dropped again."""
    full = f"ringback_bench_{name}"
    with ExitStack() as stack:
        server = Database(url)
        stack.callback(server.close)

        def run(statement: str) -> None:
            server.transact(lambda connection: connection.execute(text(statement)))

        run(f"DROP DATABASE IF EXISTS {full}")
        run(f"CREATE DATABASE {full} CHARACTER SET utf8mb4")
        stack.callback(run, f"DROP DATABASE {full}")
        yield stack.enter_context(prepared(make_url(url).set(database=full), places=lines, keep=True))


if __name__ == "__main__":
    main()
