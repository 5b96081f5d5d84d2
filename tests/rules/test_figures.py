"""Figures from counts: shares, medians, hours on people's own clocks, the pace and its end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.rules.figures import EPOCH, QUARTER, Pace, Rate, find_end, find_pace, find_quantile, share
from scheduler.rules.figures import spread_over_week as spread
from scheduler.rules.hours import HoursRule, Windows, zone_info
from tests.each import each

NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
ZONES = ("America/Santiago", "Europe/Madrid", "Asia/Kathmandu", "Australia/Lord_Howe", "UTC")
WEEKDAYS_9_TO_18 = HoursRule(("America/Santiago",), Windows.parse({"mon-fri": [["09:00", "18:00"]]}))

instants = st.integers(0, 5 * 365 * 86_400).map(lambda seconds: NOW + timedelta(seconds=seconds))


# --- shares and medians -------------------------------------------------------------------------


def test_a_share_of_nothing_is_none() -> None:
    assert share(0, 0) is None
    assert share(1, 3) == 0.3333


@each(
    "histogram, median, p90",
    [
        ({}, None, None),
        ({5: 0}, None, None),
        ({7: 1}, 7, 7),
        ({1: 1, 2: 1}, 1, 2),
        ({1: 9, 100: 1}, 1, 1),
        ({1: 8, 100: 2}, 1, 100),
        ({300: 1, 10: 1, 20: 1}, 20, 300),
    ],
)
def test_a_quantile_is_a_value_that_was_there(
    histogram: dict[int, int], median: int | None, p90: int | None
) -> None:
    assert (find_quantile(histogram, 0.5), find_quantile(histogram, 0.9)) == (median, p90)


@given(st.dictionaries(st.integers(0, 10_000), st.integers(0, 50)), st.floats(0.01, 1))
def test_at_least_its_part_lies_at_or_below_a_quantile_and_less_below_it(
    histogram: dict[int, int], part: float
) -> None:
    found, total = find_quantile(histogram, part), sum(histogram.values())

    if total == 0:
        assert found is None
        return
    assert found is not None and histogram[found] > 0
    assert sum(times for value, times in histogram.items() if value <= found) >= part * total
    assert sum(times for value, times in histogram.items() if value < found) < part * total


# --- the week -----------------------------------------------------------------------------------


@each(
    "zone, at, cell",
    [
        ("America/Santiago", datetime(2026, 11, 20, 15, 0, tzinfo=UTC), (5, 12)),
        ("Europe/Madrid", datetime(2026, 11, 20, 15, 0, tzinfo=UTC), (5, 16)),
        ("Asia/Kathmandu", datetime(2026, 11, 20, 15, 15, tzinfo=UTC), (5, 21)),
        ("America/Santiago", datetime(2026, 11, 23, 2, 59, tzinfo=UTC), (7, 23)),
        # The clocks of Santiago go back on 2026-04-05: an hour is still an hour of that day.
        ("America/Santiago", datetime(2026, 4, 3, 15, 0, tzinfo=UTC), (5, 12)),
        ("America/Santiago", datetime(2026, 4, 10, 15, 0, tzinfo=UTC), (5, 11)),
    ],
)
def test_an_attempt_stands_at_the_hour_of_its_lead(zone: str, at: datetime, cell: tuple[int, int]) -> None:
    assert spread({zone: {(quarter_of(at), True): 3, (quarter_of(at), False): 1}}) == {cell: Rate(4, 3)}


@given(st.dictionaries(
    st.sampled_from(ZONES), st.dictionaries(st.tuples(instants.map(lambda at: quarter_of(at)), st.booleans()),
                                            st.integers(1, 9), max_size=8),
))
def test_no_attempt_is_lost_between_the_hours(counts: dict[str, dict[tuple[int, bool], int]]) -> None:
    week = spread(counts)

    assert sum(rate.attempts for rate in week.values()) == sum(sum(one.values()) for one in counts.values())
    assert sum(rate.answered for rate in week.values()) == sum(
        attempts for one in counts.values() for (_, answered), attempts in one.items() if answered
    )
    assert all(1 <= weekday <= 7 and 0 <= hour <= 23 for weekday, hour in week)


@given(instants, st.sampled_from(ZONES))
def test_a_quarter_lies_in_one_hour_of_every_zone(at: datetime, zone: str) -> None:
    local = at.astimezone(zone_info(zone))

    assert list(spread({zone: {(quarter_of(at), False): 1}})) == [(local.isoweekday(), local.hour)]


# --- the pace -----------------------------------------------------------------------------------


def test_the_pace_is_that_of_the_last_hour() -> None:
    pace = pace_of(closed_in_hour=30, calling_since=NOW - 59 * MINUTE)

    assert pace is not None and pace.per_hour == pytest.approx(30 / (59 / 60))
    assert pace.method == "leads closed by calls in the last 59 min"


def test_after_the_opening_only_the_time_since_then_counts() -> None:
    pace = pace_of(closed_in_hour=30, calling_since=NOW - 15 * MINUTE)

    assert pace is not None and pace.per_hour == pytest.approx(120)


def test_a_moment_after_the_opening_counts_as_a_minute() -> None:
    pace = pace_of(closed_in_hour=1, calling_since=NOW)

    assert pace is not None and pace.per_hour == pytest.approx(60)


def test_leads_closed_by_earlier_calls_count_over_the_whole_hour() -> None:
    pace = pace_of(closed_in_hour=5, calling_since=None)

    assert pace is not None and pace.per_hour == 5


def test_after_a_quiet_hour_the_pace_is_that_of_the_hours_with_calls() -> None:
    pace = pace_of(closed_in_day=44, hours_with_calls=11)

    assert pace is not None and pace.per_hour == 4
    assert pace.method == "leads closed by calls in the last day, over 11 h with calls"


def test_without_a_closed_lead_there_is_no_pace() -> None:
    assert pace_of(hours_with_calls=8, calling_since=NOW - HOUR) is None


def test_the_end_is_reached_inside_calling_hours_alone() -> None:
    # Friday noon in Santiago: six hours are left today, four more on Monday.
    assert find_end(100, Pace(10, ""), [WEEKDAYS_9_TO_18], NOW) == datetime(2026, 11, 23, 16, 0, tzinfo=UTC)


def test_an_end_at_the_close_is_not_put_off_to_the_next_opening() -> None:
    assert find_end(60, Pace(10, ""), [WEEKDAYS_9_TO_18], NOW) == NOW + 6 * HOUR


def test_an_end_too_far_away_is_none() -> None:
    assert find_end(10**6, Pace(1, ""), [WEEKDAYS_9_TO_18], NOW) is None


@given(st.integers(1, 500), st.integers(1, 100), instants)
def test_more_leads_never_end_earlier(leads: int, more: int, now: datetime) -> None:
    pace = Pace(20, "")
    sooner, later = (find_end(one, pace, [WEEKDAYS_9_TO_18], now) for one in (leads, leads + more))

    assert sooner is not None and later is not None
    assert now < sooner < later


# --- what this file needs -----------------------------------------------------------------------


def quarter_of(at: datetime) -> int:
    return (at - EPOCH) // QUARTER


def pace_of(
    *, closed_in_hour: int = 0, calling_since: datetime | None = None, closed_in_day: int = 0, hours_with_calls: int = 0
) -> Pace | None:
    return find_pace(
        closed_in_hour=closed_in_hour, calling_since=calling_since, closed_in_day=closed_in_day,
        hours_with_calls=hours_with_calls, now=NOW,
    )
