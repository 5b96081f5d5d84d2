"""Turn counts into the figures of a report: shares, medians, the week on people's own clocks, an end in sight.

Pure. Nothing is decided by these figures; they are for people. What a newcomer would get wrong: an hour of the
day is one of the lead's day, so counts come by zone and are turned into local hours here, clock changes and all;
and half an hour after the morning opening the pace is that of half an hour, not of the hour before it too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from scheduler.rules.hours import HoursRule, OpenTime, apply_delay, zone_info

QUARTER = timedelta(minutes=15)
"""Every zone is a whole number of these away from UTC."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
SHORTEST = timedelta(minutes=1)
"""Less than this says nothing about a pace."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Ended attempts, and those of them that a person answered."""

    attempts: int = 0
    answered: int = 0

    @property
    def rate(self) -> float | None:
        return share(self.answered, self.attempts)

    def __add__(self, other: Rate) -> Rate:
        return Rate(self.attempts + other.attempts, self.answered + other.answered)


def share(part: float, whole: float) -> float | None:
    """The part as a share of the whole, to four digits; None of nothing."""
    return round(part / whole, 4) if whole else None


def spread_over_week(counts: Mapping[str, Mapping[tuple[int, bool], int]]) -> dict[tuple[int, int], Rate]:
    """Attempts by weekday (Monday = 1) and hour on each zone's own clock.

    `counts` are attempts by zone, then by (quarter of an hour since 1970, was it answered?).
    """
    week: dict[tuple[int, int], Rate] = defaultdict(Rate)
    for name, quarters in counts.items():
        zone = zone_info(name)
        for (quarter, answered), attempts in quarters.items():
            local = (EPOCH + quarter * QUARTER).astimezone(zone)
            week[local.isoweekday(), local.hour] += Rate(attempts, attempts if answered else 0)
    return dict(sorted(week.items()))


def find_quantile(histogram: Mapping[int, int], part: float) -> int | None:
    """The smallest value that at least this part of all things do not exceed; None without any."""
    needed = part * sum(histogram.values())
    counted = 0
    for value, times in sorted(histogram.items()):
        counted += times
        if times and counted >= needed:
            return value
    return None


@dataclass(frozen=True, slots=True)
class Pace:
    """Leads closed by calls in an hour of calling, and how that was found."""

    per_hour: float
    method: str


def find_pace(
    *, closed_in_hour: int, calling_since: datetime | None, closed_in_day: int, hours_with_calls: int, now: datetime
) -> Pace | None:
    """The pace of the last hour, counted from its first call; without any then that of the last day, over the clock
    hours in which there were calls. None: no lead was closed by a call in all that time.
    """
    if closed_in_hour:
        begun_at = max(now - HOUR, calling_since) if calling_since else now - HOUR
        span = max(now - begun_at, SHORTEST)
        minutes = round(span / timedelta(minutes=1))
        return Pace(closed_in_hour / (span / HOUR), f"leads closed by calls in the last {minutes} min")
    if closed_in_day:
        hours = max(hours_with_calls, 1)
        return Pace(closed_in_day / hours, f"leads closed by calls in the last day, over {hours} h with calls")
    return None


def find_end(leads: int, pace: Pace, rules: Sequence[HoursRule], now: datetime) -> datetime | None:
    """When so many leads are closed at this pace, which goes on only while `rules` are open. None: never."""
    return apply_delay(rules, now, OpenTime(leads / pace.per_hour * 3600))
