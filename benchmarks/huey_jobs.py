"""The same work in huey on SQLite, with a sync of the disk at each commit: due tasks are run and planned anew.

    python benchmarks/huey_jobs.py --leads 5000

One task per lead, each due. Its run does nothing but plan the lead's next call, four hours on. That is less than a
cycle of ours: no intent, no attempt, no lead, no gate, and a task that was taken is lost when its process dies. The
file is made in a folder that the system gives, and deleted.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from huey import SqliteHuey

from benchmarks.showing import run_and_show

FOUR_HOURS = 4 * 3600


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--leads", type=int, default=5_000, help="how many cycles (default 5000)")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    # The others are told where: this one has a file of its own.
    parser.add_argument("--url", help=argparse.SUPPRESS)
    options = parser.parse_args()
    run_and_show(lambda: measure(options.leads), options)


def measure(leads: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        huey = SqliteHuey("benchmark", filename=str(Path(folder) / "huey.db"), fsync=True)

        @huey.task()
        def call_lead(lead_id: int) -> None:
            """Nobody answers, so the lead is called again later."""
            call_lead.schedule((lead_id,), delay=FOUR_HOURS)

        for lead_id in range(leads):
            call_lead(lead_id)
        started = time.perf_counter()
        # What its consumer does, without the rests between looks; a task for later is taken once to be laid aside.
        while (task := huey.dequeue()) is not None:
            huey.execute(task)
        seconds = time.perf_counter() - started
        planned = huey.scheduled_count()
        assert planned == leads, f"{planned} of {leads} leads were planned anew"
        huey.storage.close()
    return {"cycles_per_second": round(leads / seconds, 1), "seconds": round(seconds, 3), "leads": leads, "batch": 1}


if __name__ == "__main__":
    main()
