"""Daemons of a host whose clock is wrong: by libfaketime where it is installed, else by a variant."""

from __future__ import annotations

import os
from pathlib import Path

from tests.faults.harness import DaemonProcess, House

PLACES = ("/usr/lib/*/faketime", "/usr/lib/faketime", "/usr/local/lib/faketime")
VARIANT = ("-m", "tests.faults.variant_daemon", "clock_off")


def find_faketime() -> Path | None:
    """The library for programs with threads. RINGBACK_TEST_FAKETIME may say where it is."""
    told = os.environ.get("RINGBACK_TEST_FAKETIME")
    if told:
        return Path(told)
    found = [path for place in PLACES for path in Path("/").glob(f"{place[1:]}/libfaketimeMT.so.1")]
    return found[0] if found else None


def has_faketime() -> bool:
    return find_faketime() is not None


def start_with_clock_off(house: House, off: str, *, receives: bool = False) -> DaemonProcess:
    """A daemon (or a web process) of a host whose clock is off by `off`, such as "+2h"."""
    library = find_faketime()
    if library is None:
        return house.start_daemon(command=VARIANT)
    # What measures time that passes stays right, as on a real host.
    environment = {"LD_PRELOAD": str(library), "FAKETIME": off, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    if receives:
        return house.start_web(environment=environment)
    return house.start_daemon(environment=environment)
