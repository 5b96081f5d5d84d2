"""Where the time comes from.

Decided here: what `now` is, and for whom. Rules never import this: they are given an instant.
The daemon asks the database once per unit of work, so that several hosts agree (`store.database`
implements that clock). What must stay true: every `now()` is aware and UTC, and elapsed time is
measured by CLOCK_BOOTTIME, which goes on while a machine is suspended and ignores clock changes.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """The present instant, aware, in UTC."""
        ...


class SystemClock:
    """The clock of this host. Right for one process on SQLite; never for leases between hosts."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class ManualClock:
    """Time as an argument: stands still until told to move. For tests and virtual campaigns."""

    def __init__(self, at: datetime) -> None:
        self._at = to_utc(at)

    def now(self) -> datetime:
        return self._at

    def set(self, at: datetime) -> None:
        self._at = to_utc(at)

    def advance(self, step: timedelta) -> datetime:
        self._at += step
        return self._at


def boottime() -> float:
    """Seconds on a clock that counts suspended time too, where the system has one.

    A deadline kept on CLOCK_MONOTONIC would still look open after an hour asleep.
    """
    try:
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    except (AttributeError, OSError):
        return time.monotonic()


def to_utc(at: datetime) -> datetime:
    """`at` in UTC. Raises ValueError for a naive datetime: it names no instant."""
    if at.tzinfo is None:
        raise ValueError(f"{at!r} has no time zone, so it names no instant")
    return at.astimezone(UTC)
