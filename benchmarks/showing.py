"""What the command lines of the benchmarks share: their options, and how figures are printed."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable

from benchmarks.seeding import NotOurs
from scheduler.errors import RingbackError


def add_url_options(parser: argparse.ArgumentParser, *, leads: int) -> None:
    parser.add_argument("--url", required=True, help="mysql+pymysql://user:password@host/name or sqlite:///file")
    parser.add_argument("--leads", type=int, default=leads, help=f"how many cycles (default {leads})")
    parser.add_argument("--force", action="store_true", help="although it holds leads of others (they stay)")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")


def run_and_show(measure: Callable[[], dict[str, object]], options: argparse.Namespace) -> None:
    """Measure and print; what cannot be measured is one sentence and exit code 1."""
    try:
        figures = measure()
    except (NotOurs, RingbackError) as error:
        sys.exit(str(error))
    if options.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:24} {value}")


def progress(words: str) -> None:
    """Say how far it is, where it does not disturb the figures."""
    print(words, file=sys.stderr, flush=True)
