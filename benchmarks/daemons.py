"""Cycles per second of several dispatchers, each a process of its own, on one database.

    python benchmarks/daemons.py --url mysql+pymysql://user:password@host/name --leads 20000 --daemons 2

As `cycle.py`, and what is due belongs to one campaign, so that they meet in every take.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from multiprocessing.synchronize import Barrier
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.cycle import AtOnce
from benchmarks.seeding import add_campaign, add_leads, count_done, open_runtime, prepared
from benchmarks.showing import add_url_options, run_and_show
from scheduler.events import SilentReporter
from scheduler.service.dispatch import Dispatcher
from scheduler.service.runtime import prepare_process
from scheduler.store.calls import is_any_due
from scheduler.store.database import Database


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_url_options(parser, leads=20_000)
    parser.add_argument("--batch", type=int, default=500, help="rows to a take, of twice as many places (default 500)")
    parser.add_argument("--daemons", type=int, default=2, help="how many (default 2)")
    options = parser.parse_args()
    run_and_show(
        lambda: measure(options.url, options.leads, options.batch, options.daemons, force=options.force), options
    )


def measure(url: str, leads: int, batch: int, daemons: int, *, force: bool = False) -> dict[str, object]:
    """One run over `leads` leads. Raises NotOurs for a database that somebody else's leads live in."""
    with prepared(url, places=2 * batch * daemons, force=force) as database:
        campaign_id = add_campaign(database)
        add_leads(database, campaign_id, leads)
        spawn = multiprocessing.get_context("spawn")
        ready = spawn.Barrier(daemons + 1)
        workers = [spawn.Process(target=work, args=(url, batch, ready)) for _ in range(daemons)]
        for one in workers:
            one.start()
        ready.wait()
        started = time.perf_counter()
        for one in workers:
            one.join()
        seconds = time.perf_counter() - started
        done = count_done(database, campaign_id)
        assert done == leads, f"{done} of {leads} leads went through their cycle"
        return {
            "cycles_per_second": round(leads / seconds, 1), "seconds": round(seconds, 3), "daemons": daemons,
            "leads": leads, "batch": batch, "url": str(database),
        }


def work(url: str, batch: int, ready: Barrier) -> None:
    """Tick until nothing is due. A turn that the other one won is no end."""
    database = Database(url)
    prepare_process()
    dispatcher = Dispatcher(
        open_runtime(database, AtOnce()), owner=f"benchmark:{multiprocessing.current_process().pid}",
        reporter=SilentReporter(), places=2 * batch, largest_take=batch,
    )
    ready.wait()
    while dispatcher.run_once().dialed or database.read(lambda connection: is_any_due(connection, database.now())):
        dispatcher.drain()
    dispatcher.drain()
    dispatcher.close()
    database.close()


if __name__ == "__main__":
    main()
