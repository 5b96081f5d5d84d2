"""The same work in APScheduler's own SQLAlchemy job store: due jobs are run and given their next time.

    python benchmarks/apscheduler_jobs.py --url mysql+pymysql://user:password@host/name --leads 2000

One job per lead, each due. Its run does nothing but plan the lead's next call, four hours on, as a new job:
when that is depends on the outcome, so no trigger of the job itself can know it. So the store does what a
scheduled call needs, durably: the due job is read, handed to the pool and removed, and the next one is added.
That is still less than a cycle of ours: no intent, no attempt, no lead, no gate.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.background import BackgroundScheduler
from sqlalchemy import text

from benchmarks.showing import add_url_options, run_and_show
from scheduler.store.database import Database

TABLE = "benchmark_apscheduler_jobs"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_url_options(parser, leads=2_000)
    options = parser.parse_args()
    # The store keeps the name of a function, so the one that plans must be the one that it imports.
    from benchmarks import apscheduler_jobs

    run_and_show(lambda: apscheduler_jobs.measure(options.url, options.leads), options)


def measure(url: str, leads: int) -> dict[str, object]:
    """Call every lead once. The table of the store is dropped at the end."""
    global _scheduler
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    database = Database(url)
    store = SQLAlchemyJobStore(url=database.url, tablename=TABLE)
    _scheduler = BackgroundScheduler(
        jobstores={"default": store}, executors={"default": ThreadPoolExecutor(20)}, timezone=UTC,
        job_defaults={"misfire_grace_time": None},
    )
    try:
        _scheduler.start(paused=True)
        due = datetime.now(UTC) - timedelta(hours=1)
        for lead_id in range(leads):
            plan_call(lead_id, due)
        started = time.perf_counter()
        _scheduler.resume()
        while count_planned(database) < leads:
            time.sleep(0.02)
        seconds = time.perf_counter() - started
    finally:
        _scheduler.shutdown()
        store.jobs_t.drop(database.engine, checkfirst=True)
        database.close()
    return {
        "cycles_per_second": round(leads / seconds, 1), "seconds": round(seconds, 3), "leads": leads, "batch": 1,
        "url": str(database),
    }


def call_lead(lead_id: int) -> None:
    """The job: nobody answers, so the lead is called again later."""
    plan_call(lead_id, datetime.now(UTC) + timedelta(hours=4))


def plan_call(lead_id: int, at: datetime) -> None:
    _scheduler.add_job("benchmarks.apscheduler_jobs:call_lead", "date", run_date=at, args=(lead_id,))


def count_planned(database: Database) -> int:
    later = (datetime.now(UTC) + timedelta(hours=1)).timestamp()
    query = text(f"SELECT COUNT(*) FROM {TABLE} WHERE next_run_time > :later")
    return database.read(lambda connection: connection.execute(query, {"later": later}).scalar_one())


_scheduler: BackgroundScheduler
"""The one that runs: jobs reach it through their module, since the store can keep no reference to it."""


if __name__ == "__main__":
    main()
