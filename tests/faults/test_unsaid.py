"""A log that nobody reads, and a clock that goes back: work goes on, and both are said."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.faults.conftest import BuildHouse
from tests.faults.harness import DAEMON, ROOT, House, wait_until
from tests.faults.strange_clock import has_faketime, start_with_clock_off
from tests.faults.test_restored import ONCE, alerts_of

pytestmark = pytest.mark.faults
on_sqlite = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
SMALLEST_PIPE = 4096
AHEAD = "+12s"


@on_sqlite
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_full_pipe_stops_no_dial_and_is_said(build_house: BuildHouse, log_format: str) -> None:
    """As `ringback run | less` does when nobody scrolls."""
    house = build_house(**ONCE)
    work_unread(house, 150, log_format)
    house.require_clean(least_calls=150)


@on_sqlite
def test_a_clock_that_went_back_accuses_no_right_call_and_is_said(build_house: BuildHouse) -> None:
    if not has_faketime():
        pytest.skip("libfaketime is not installed; on Debian: apt-get install libfaketime")
    house = build_house(**{**ONCE, "talk": 3.0})
    set_clock_back(house, 10)
    house.settle()
    found = house.verdict()
    assert not found.red, f"{found.red} {found.examples}"


def work_unread(house: House, leads: int, log_format: str = "text") -> int:
    """A daemon whose output is a pipe that is full. Returns how many leads it called all the same."""
    house.add_leads(leads, sharing=0)
    with unread_daemon(house, log_format) as (process, reader):
        wait_until(lambda: len(house.simulator.calls()) >= leads, "all are dialed", house.tell)
        wait_until(lambda: "log_blocked" in alerts_of(house), "it is said", house.tell)
        process.terminate()
        assert process.wait(60) == 0, "it ends politely, with nobody to tell"
        assert os.read(reader, SMALLEST_PIPE), "it had said something before"
    return leads


@contextmanager
def unread_daemon(house: House, log_format: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, SMALLEST_PIPE)
    process = subprocess.Popen(
        [sys.executable, *DAEMON], cwd=ROOT, env=house._environment(log_format=log_format), stdin=subprocess.DEVNULL,
        stdout=writer, stderr=writer,
    )
    os.close(writer)
    try:
        yield process, reader
    finally:
        process.kill()
        process.wait()
        os.close(reader)


def set_clock_back(house: House, leads: int) -> int:
    """A daemon dies with calls under way; the next one begins them again by a clock that shows earlier times."""
    house.add_leads(leads, sharing=0)
    before = start_with_clock_off(house, AHEAD)
    wait_until(lambda: house.attempts("live") >= leads // 2, "calls are live", house.tell)
    before.kill()
    house.start_daemons(1)
    house.add_leads(leads, sharing=0)
    wait_until(lambda: house.count_events("clock_back"), "it is noticed", house.tell)
    assert "clock_back" in alerts_of(house)
    wait_until(lambda: house.count_dialed() >= 2 * leads, "it goes on", house.tell)
    return 1
