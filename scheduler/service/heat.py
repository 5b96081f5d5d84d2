"""When planned calls will crowd: how many there are for each hour of the next seven days.

What must stay true: a page never waits for millions of rows. The count of a campaign, or of everything, is made
once for whoever asks meanwhile, kept for a minute (longer where it took long), and an old one is shown while a new
one is made. A newcomer would count for each request: ten people who look would count ten times.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from scheduler.clock import boottime
from scheduler.service.runtime import Runtime
from scheduler.store import timeline

DAYS = 7
LASTS = 60.0
"""Seconds for which a count is shown without a new one being made."""
SHARE = 20
"""A count that takes a second is made again after so many, at the earliest."""
MOST_WAIT = 0.4
"""Seconds that a page waits for the first count: enough for a hundred thousand rows; who has millions is told that
they are being counted, and sees them as soon as they are.
"""
MOST_KEPT = 64


@dataclass(frozen=True, slots=True)
class Counted:
    """Planned calls as they were at `at`: `due` already, and the others by the beginning of their quarter hour."""

    at: datetime
    due: int
    quarters: Sequence[tuple[datetime, int]]


@dataclass(frozen=True, slots=True)
class Cell:
    """An hour of a weekday. `level` 0..9 is how full it is beside the fullest; 0 is empty."""

    since: datetime
    until: datetime
    calls: int
    level: int


@dataclass(frozen=True, slots=True)
class HeatMap:
    """`rows` are the next seven days, each with its local date's beginning and 24 cells; None: no such hour is left
    of today, or the clocks skip it.
    """

    at: datetime
    due: int
    total: int
    fullest: int
    rows: Sequence[tuple[datetime, Sequence[Cell | None]]]


class Heat:
    """Counts for one process. Safe for threads."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._lock = threading.Lock()
        self._counting = ThreadPoolExecutor(1, thread_name_prefix="heat")
        self._known: OrderedDict[int | None, tuple[float, float, Counted]] = OrderedDict()
        self._under_way: dict[int | None, Future[Counted]] = {}

    def count(self, campaign_id: int | None = None) -> Counted | None:
        """What is planned for a campaign (None: for all that are going on); None: it is still being counted.

        Raises DatabaseUnavailable.
        """
        with self._lock:
            known = self._known.get(campaign_id)
            if known is not None and boottime() - known[0] < max(LASTS, SHARE * known[1]):
                return known[2]
            asked = self._under_way.get(campaign_id)
            if asked is None:
                asked = self._under_way[campaign_id] = self._counting.submit(self._count, campaign_id)
        if known is not None:
            return known[2]
        try:
            return asked.result(MOST_WAIT)
        except NotYet:
            return None

    def close(self) -> None:
        self._counting.shutdown(wait=False, cancel_futures=True)

    def _count(self, campaign_id: int | None) -> Counted:
        begun = boottime()
        try:
            now = self._runtime.clock.now()
            found = self._runtime.database.read(
                lambda connection: timeline.count_planned(connection, campaign_id, now, now + timedelta(days=DAYS + 1))
            )
            counted = Counted(now, found.due, found.buckets)
            with self._lock:
                self._known[campaign_id] = (boottime(), boottime() - begun, counted)
                self._known.move_to_end(campaign_id)
                while len(self._known) > MOST_KEPT:
                    self._known.popitem(last=False)
            return counted
        finally:
            with self._lock:
                self._under_way.pop(campaign_id, None)


def draw(counted: Counted, zone: ZoneInfo) -> HeatMap:
    """The next seven days, today first, by the hours of this zone."""
    today = counted.at.astimezone(zone).date()
    spans: dict[tuple[int, int], tuple[datetime, datetime]] = {}
    for day in range(DAYS):
        date = today + timedelta(days=day)
        # From instant to instant, so that an hour that comes twice is one cell and one that is skipped is none.
        begin = datetime(date.year, date.month, date.day, tzinfo=zone).astimezone(UTC)
        at = begin
        while (local := at.astimezone(zone)).date() == date or at == begin:
            key = (day, local.hour)
            first, _ = spans.get(key, (at, at))
            at += timedelta(minutes=15)
            spans[key] = (first, at)
    totals: dict[tuple[int, int], int] = {}
    for at, calls in counted.quarters:
        local = at.astimezone(zone)
        key = ((local.date() - today).days, local.hour)
        if key in spans:
            totals[key] = totals.get(key, 0) + calls
    fullest = max(totals.values(), default=0)
    rows = []
    for day in range(DAYS):
        cells: list[Cell | None] = []
        for hour in range(24):
            span = spans.get((day, hour))
            if span is None or span[1] <= counted.at:
                cells.append(None)
                continue
            calls = totals.get((day, hour), 0)
            cells.append(Cell(max(span[0], counted.at) if day == 0 else span[0], span[1], calls, level(calls, fullest)))
        date = today + timedelta(days=day)
        rows.append((datetime(date.year, date.month, date.day, 12, tzinfo=zone), cells))
    return HeatMap(counted.at, counted.due, sum(totals.values()), fullest, rows)


def level(calls: int, fullest: int) -> int:
    """0 for none, else 1 to 9: the root of the share, so that few calls still differ from many."""
    if calls <= 0 or fullest <= 0:
        return 0
    return max(1, min(9, round(9 * float((calls / fullest) ** 0.5))))
