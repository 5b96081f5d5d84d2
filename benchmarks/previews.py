"""How long the preview of new settings takes: to its first figure, and to the exact one.

    python -m benchmarks.previews --url sqlite:////tmp/previews.db --leads 100000

Every lead has a planned call; new hours move some of them. Nothing is saved.
"""

from __future__ import annotations

import argparse
import sys
import time
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.cycle import AtOnce
from benchmarks.seeding import MARK, add_campaign, add_leads, open_runtime, prepared
from benchmarks.showing import add_url_options, run_and_show
from scheduler.service.control import CampaignPlan, edit_campaign
from scheduler.service.effects import Effect

NEW_HOURS = {"allowed_hours": {"start": "10:00", "end": "14:00"}, "days_of_week": [1, 2, 3, 4]}
APART = timedelta(hours=5)
SPREAD = 24


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_url_options(parser, leads=100_000)
    options = parser.parse_args()
    run_and_show(lambda: measure(options.url, options.leads, force=options.force), options)


def measure(url: str, leads: int, *, force: bool = False) -> dict[str, object]:
    """Raises NotOurs for a database that somebody else's leads live in."""
    with prepared(url, force=force) as database:
        campaign_id = add_campaign(database)
        part = -(-leads // SPREAD)
        for number, first in enumerate(range(0, leads, part)):  # some are due, the others come in the next days
            at = database.now() + (number - 2) * APART
            add_leads(database, campaign_id, min(part, leads - first), first=first, at=at)
        runtime, told = open_runtime(database, AtOnce()), list[float]()
        started, cpu = time.perf_counter(), time.process_time()

        def note(effect: Effect) -> bool:
            told.append(time.perf_counter() - started)
            return True

        done = edit_campaign(MARK, CampaignPlan(set_values=NEW_HOURS), dry_run=True, told=note, runtime=runtime)
        return {
            "first_figure_seconds": round(told[0], 2), "exact_seconds": round(told[-1], 2),
            "python_seconds": round(time.process_time() - cpu, 2), "told": len(told), "planned_calls": done.waiting,
            "moved": done.moved, "url": str(database),
        }


if __name__ == "__main__":
    main()
