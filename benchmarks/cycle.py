"""Cycles per second of the dispatcher: claim, intent, dial, outcome, lead update, next row, all durable.

    python benchmarks/cycle.py --url mysql+pymysql://user:password@host/name --leads 20000

Every lead is dialed once, by a provider in this process that reports "no answer" together with its
acceptance; its next call is planned for later. Nothing is left out that a daemon does: the gate, the second
look before the dial, the pool of dialing places, the rules read anew at every turn.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.seeding import add_campaign, add_leads, count_done, open_runtime, prepared
from benchmarks.showing import add_url_options, run_and_show
from scheduler.events import SilentReporter
from scheduler.model import Outcome
from scheduler.providers.base import Accepted, CallKey, CallReport, DialRequest, Phase, Quiet
from scheduler.service.dispatch import Dispatcher
from scheduler.service.runtime import Runtime, prepare_process


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_url_options(parser, leads=20_000)
    parser.add_argument("--batch", type=int, default=500, help="rows to a take, of twice as many places (default 500)")
    options = parser.parse_args()
    run_and_show(lambda: measure(options.url, options.leads, options.batch, force=options.force), options)


def measure(url: str, leads: int, batch: int = 500, *, force: bool = False) -> dict[str, object]:
    """One run over `leads` leads. Raises NotOurs for a database that somebody else's leads live in."""
    with prepared(url, places=2 * batch, force=force) as database:
        campaign_id = add_campaign(database)
        add_leads(database, campaign_id, leads)
        cpu = time.process_time()
        seconds = run_cycles(open_runtime(database, AtOnce()), leads, batch)
        cpu = time.process_time() - cpu
        done = count_done(database, campaign_id)
        assert done == leads, f"{done} of {leads} leads went through their cycle"
        return {
            "cycles_per_second": round(leads / seconds, 1), "seconds": round(seconds, 3),
            "cpu_seconds": round(cpu, 3), "leads": leads, "batch": batch, "url": str(database),
        }


def run_cycles(runtime: Runtime, cycles: int, batch: int) -> float:
    """Tick until so many calls are done. Returns the seconds that it took."""
    prepare_process()
    # As in a daemon that is busy: while one batch is written down, there are places for the next.
    dispatcher = Dispatcher(
        runtime, owner="benchmark", reporter=SilentReporter(), places=2 * batch, largest_take=batch
    )
    try:
        started = time.perf_counter()
        done = 0
        while done < cycles:
            dialed = dispatcher.run_once().dialed
            if not dialed:
                dispatcher.drain()
                dialed = dispatcher.run_once().dialed
                if not dialed:
                    raise RuntimeError(f"nothing more is due after {done} of {cycles} cycles")
            done += dialed
        dispatcher.drain()
        return time.perf_counter() - started
    finally:
        dispatcher.close()


class AtOnce(Quiet):
    """A provider without a network: each call is accepted and over in the same answer."""

    name = "benchmark"
    finds_by_ref = False
    waits = False

    def __init__(self, outcome: Outcome = Outcome.NO_ANSWER) -> None:
        self._outcome = outcome
        self._numbers = itertools.count(time.time_ns())  # no two runs share a call id

    def place(self, request: DialRequest) -> Accepted:
        call_id = f"call-{next(self._numbers)}"
        return Accepted(call_id, CallReport(
            call_id=call_id, phase=Phase.ENDED, attempt_ref=request.attempt_ref, outcome=self._outcome,
            provider_status="no-answer",
        ))

    def poll(self, calls: Sequence[CallKey], now: datetime) -> dict[str, CallReport | None]:
        return {}

    def find(self, call: CallKey, now: datetime) -> None:
        return None

    def hang_up(self, call_id: str) -> bool:
        return False

    def close(self) -> None:
        return None


if __name__ == "__main__":
    main()
