"""Memory of a process that dispatches: after 100,000 cycles over after 1,000.

    python benchmarks/memory.py --url sqlite:////tmp/memory.db --leads 100000
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.cycle import AtOnce, run_cycles
from benchmarks.seeding import add_campaign, add_leads, open_runtime, prepared
from benchmarks.showing import add_url_options, progress, run_and_show

FEW = 1_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_url_options(parser, leads=100_000)
    options = parser.parse_args()
    run_and_show(lambda: measure(options.url, options.leads, force=options.force), options)


def measure(url: str, leads: int, *, force: bool = False) -> dict[str, object]:
    """Raises NotOurs for a database that somebody else's leads live in."""
    with prepared(url, force=force) as database:
        campaign_id = add_campaign(database)
        add_leads(database, campaign_id, leads)
        dispatcher_runtime = open_runtime(database, AtOnce())
        run_cycles(dispatcher_runtime, FEW, 500)
        few = resident_mb()
        progress(f"  {few:.1f} MB after {FEW} cycles")
        run_cycles(dispatcher_runtime, leads - FEW, 500)
        many = resident_mb()
        return {
            "ratio": round(many / few, 3), "mb_after_few": round(few, 1), "mb_after_all": round(many, 1),
            "leads": leads, "url": str(database),
        }


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    main()
