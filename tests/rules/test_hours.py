"""When a lead may be called: spans, holidays, zones, margins, delays, reasons."""

from __future__ import annotations

import pickle
import subprocess
import sys
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from scheduler.errors import InvalidValue
from scheduler.rules.hours import (
    HORIZON,
    AtLocal,
    Delay,
    Elapsed,
    Holidays,
    HoursRule,
    NoDelay,
    OpenTime,
    Planned,
    Span,
    Wall,
    Windows,
    WorkingDays,
    apply_delay,
    calculate_next_working_datetime,
    choose_database,
    day_start,
    explain_closed,
    is_allowed,
    next_allowed,
    open_span,
    parse_delay,
    parse_time,
    plan,
    tzdata_version,
    wall_to_utc,
    zone_info,
)
from tests.each import each

DAY = 86_400
ALWAYS = {"all": [["00:00", "24:00"]]}
WEEKDAYS = {"mon-fri": [["09:00", "21:00"]]}


# --- The next allowed instant ---------------------------------------------------------------------


@each(
    ("zone", "windows", "at", "expected"),
    [
        # Edges: open is inclusive, close is exclusive.
        ("UTC", {"all": [["08:00", "21:00"]]}, "2027-06-10T20:59:59.999999", "2027-06-10T20:59:59.999999"),
        ("UTC", {"all": [["08:00", "21:00"]]}, "2027-06-10T21:00", "2027-06-11T08:00"),
        ("UTC", {"all": [["08:00", "21:00"]]}, "2027-06-10T07:59:59.999999", "2027-06-10T08:00"),
        ("UTC", {"all": [["08:00:30", "08:00:31"]]}, "2027-06-10T08:00:31", "2027-06-11T08:00:30"),
        # Midnight and month end.
        ("UTC", {"all": [["08:00", "24:00"]]}, "2027-01-31T23:59:59", "2027-01-31T23:59:59"),
        ("UTC", {"all": [["08:00", "24:00"]]}, "2027-02-01T00:00", "2027-02-01T08:00"),
        ("UTC", {"all": [["00:00", "01:00"]]}, "2028-02-28T12:00", "2028-02-29T00:00"),
        ("UTC", {"all": [["00:00", "01:00"]]}, "2027-12-31T12:00", "2028-01-01T00:00"),
        ("UTC", {"all": [["22:00", "00:00"]]}, "2027-01-31T23:59:59", "2027-01-31T23:59:59"),
        ("UTC", {"all": [["22:00", "00:00"]]}, "2027-02-01T00:00", "2027-02-01T22:00"),
        ("UTC", {"all": [["08:00", "08:00"]]}, "2027-02-01T07:59", "2027-02-01T07:59"),
        ("UTC", {"mon": [["08:00", "08:00"]]}, "2027-06-15T08:00", "2027-06-21T08:00"),
        ("UTC", {"sun": [["22:00", "02:00"]]}, "2027-06-14T01:59", "2027-06-14T01:59"),
        # The day the clock goes forward: 02:00 to 03:00 does not happen.
        ("Europe/Madrid", {"sun": [["02:30", "12:00"]]}, "2027-03-28T00:00", "2027-03-28T01:00"),
        ("Europe/Madrid", {"sun": [["01:00", "02:30"]]}, "2027-03-28T00:59:59", "2027-03-28T00:59:59"),
        ("Europe/Madrid", {"sun": [["01:00", "02:30"]]}, "2027-03-28T01:00", "2027-04-03T23:00"),
        ("America/Santiago", {"sat": [["20:00", "01:30"]]}, "2027-09-05T04:00", "2027-09-05T04:00"),
        ("America/Santiago", {"sat": [["20:00", "00:30"]]}, "2027-09-05T04:00", "2027-09-11T23:00"),
        ("Australia/Lord_Howe", {"sun": [["02:10", "02:20"]]}, "2027-10-02T15:00", "2027-10-09T15:10"),
        # The day it goes back: 02:00 to 03:00 happens twice, and is judged both times.
        ("Europe/Madrid", {"sun": [["02:00", "02:30"]]}, "2027-10-31T00:30", "2027-10-31T01:00"),
        ("Europe/Madrid", {"sun": [["02:30", "03:00"]]}, "2027-10-31T01:00", "2027-10-31T01:30"),
        ("America/Santiago", {"sat": [["23:00", "23:30"]]}, "2027-04-04T02:30", "2027-04-04T03:00"),
        ("Australia/Lord_Howe", {"sun": [["01:30", "01:45"]]}, "2027-04-03T14:45", "2027-04-03T15:00"),
    ],
)
def test_the_next_allowed_instant_is_read_from_the_wall_clock(
    zone: str, windows: Any, at: str, expected: str
) -> None:
    assert next_allowed((rule(zone, windows),), utc(at)) == utc(expected)


@each(
    ("holidays", "at", "expected"),
    [
        # A tail is shut when its own date or the date it began on is a holiday. 11 June 2027 is a Friday.
        ("", "2027-06-12T00:30", "2027-06-12T00:30"),
        ("2027-06-12", "2027-06-12T00:30", "2027-06-18T20:00"),
        ("2027-06-11", "2027-06-12T00:30", "2027-06-18T20:00"),
        ("2027-06-12", "2027-06-11T23:59:59", "2027-06-11T23:59:59"),
        ("2027-06-13", "2027-06-12T00:30", "2027-06-12T00:30"),
        ("2027-06-11,-2027-06-11", "2027-06-12T00:30", "2027-06-12T00:30"),
    ],
)
def test_a_holiday_shuts_the_tails_that_touch_it(holidays: str, at: str, expected: str) -> None:
    assert next_allowed((rule("UTC", {"fri": [["20:00", "02:00"]]}, holidays),), utc(at)) == utc(expected)


def test_holiday_hours_replace_those_of_the_day_and_have_no_tail() -> None:
    hours = {"all": [["08:00", "02:00"]], "hol": [["13:00", "01:00"]]}
    on_thursday = (rule("UTC", hours, "2027-06-10"),)
    for at, expected in {
        "2027-06-10T00:30": "2027-06-10T13:00",
        "2027-06-10T23:59": "2027-06-10T23:59",
        "2027-06-11T00:30": "2027-06-11T08:00",
        "2027-06-12T01:30": "2027-06-12T01:30",
    }.items():
        assert next_allowed(on_thursday, utc(at)) == utc(expected), at


@each(
    ("margin_s", "at", "is_open"),
    [
        (0, "20:59:59.999999", True),
        (60, "20:59:00", True),
        (60, "20:59:00.000001", False),
        (0.5, "20:59:59.5", True),
        (0.5, "20:59:59.500001", False),
        (13 * 3600, "08:00:00", True),
        (13 * 3600, "08:00:00.000001", False),
        (13 * 3600 + 1, "08:00:00", False),
    ],
)
def test_with_a_margin_the_last_allowed_instant_is_that_long_before_closing(
    margin_s: float, at: str, is_open: bool
) -> None:
    hours = rule("UTC", {"all": [["08:00", "21:00"]]}, margin_s=margin_s)
    assert is_allowed((hours,), utc(f"2027-06-10T{at}")) == is_open


@each("day", ["2027-06-10", "2027-06-12", "2027-06-13"])
def test_a_margin_joins_spans_that_meet_at_midnight(day: str) -> None:
    hours = rule("UTC", {"all": [["00:00", "12:00"], ["12:00", "24:00"]]}, margin_s=3600)
    assert is_allowed((hours,), utc(f"{day}T23:59:59"))
    assert is_allowed((hours,), utc(f"{day}T11:59:59"))


def test_all_zones_and_all_rules_must_be_open() -> None:
    spain = HoursRule(("Europe/Madrid", "Atlantic/Canary"), Windows.parse(WEEKDAYS))
    campaign = rule("America/Bogota", {"all": [["08:00", "12:00"]]})
    assert next_allowed((spain,), utc("2027-06-07T07:00")) == utc("2027-06-07T08:00")
    assert next_allowed((spain, campaign), utc("2027-06-07T07:00")) == utc("2027-06-07T13:00")
    assert next_allowed((spain, campaign), utc("2027-06-07T17:00")) == utc("2027-06-08T13:00")


def test_a_date_of_the_lead_is_not_the_date_in_utc() -> None:
    auckland = rule("Pacific/Auckland", {"mon-fri": [["09:00", "20:00"]]}, "2027-06-14")
    assert next_allowed((auckland,), utc("2027-06-13T20:59")) == utc("2027-06-14T21:00")


@each(
    "rules",
    [
        {"windows": {}},
        {"windows": {"mon": []}},
        {"windows": {"hol": [["08:00", "20:00"]]}},
        {"windows": {"all": [["09:00", "17:00"]]}, "zones": ["America/New_York", "Pacific/Guam"]},
        {"windows": {"all": [["09:00", "10:00"]]}, "close_margin_s": 3601},
    ],
)
def test_never_is_none_and_not_a_loop(rules: dict[str, Any]) -> None:
    never = (HoursRule.parse({"zones": ["UTC"], **rules}),)
    at = utc("2027-06-10T13:00")
    for base in (at, at + timedelta(days=3), at - timedelta(days=500), at + timedelta(days=5000), at):
        assert next_allowed(never, base) is None
        assert plan(never, base).at is None
        assert plan(never, base).reason.startswith("never allowed: ")


def test_an_opening_is_found_up_to_the_horizon_and_not_past_it() -> None:
    only = (rule("UTC", {"hol": [["09:00", "17:00"]]}, "2028-07-14"),)
    opens = utc("2028-07-14T09:00")
    assert next_allowed(only, opens - HORIZON) == opens
    assert next_allowed(only, opens - HORIZON - timedelta(microseconds=1)) is None
    assert next_allowed(only, opens - HORIZON) == opens  # that it was once out of sight is not remembered
    assert next_allowed(only, opens - timedelta(days=10)) == opens
    assert next_allowed(only, utc("2028-07-14T17:00")) is None
    assert next_allowed(only, utc("2035-01-01T00:00")) is None
    assert next_allowed(only, opens - timedelta(days=100)) == opens  # nor is an empty year after it


@each("at", ["0001-01-01T00:00", "1850-06-01T00:00", "9999-12-31T23:59"])
def test_far_ends_of_the_calendar_give_an_answer(at: str) -> None:
    next_allowed((rule("America/New_York", WEEKDAYS),), utc(at))
    plan((rule("America/New_York", WEEKDAYS),), utc(at), Elapsed(10 * DAY))


def test_any_zone_of_the_base_instant_gives_the_same_answer_in_utc() -> None:
    hours = (rule("America/New_York", {"all": [["08:00", "21:00"]]}),)
    at = utc("2027-11-07T06:30")
    for zone in (UTC, ZoneInfo("America/New_York"), ZoneInfo("Asia/Kathmandu")):
        found = next_allowed(hours, at.astimezone(zone))
        assert found == utc("2027-11-07T13:00")
        assert found is not None
        assert found.tzinfo is UTC


def test_a_naive_instant_is_refused() -> None:
    hours, naive = (rule("UTC", ALWAYS),), datetime(2027, 6, 10, 12)  # noqa: DTZ001
    for ask in (is_allowed, next_allowed, open_span, explain_closed, plan):
        with pytest.raises(ValueError, match="no time zone"):
            ask(hours, naive)


def test_no_rule_at_all_is_refused_and_not_read_as_no_limit() -> None:
    with pytest.raises(ValueError, match="at least one rule"):
        is_allowed((), utc("2027-06-10T03:00"))
    with pytest.raises(ValueError, match="at least one zone"):
        HoursRule((), Windows.parse(ALWAYS))


# --- The stretch around an instant ----------------------------------------------------------------


@each(
    ("zone", "windows", "margin_s", "at", "expected"),
    [
        ("UTC", {"all": [["08:00", "21:00"]]}, 0, "2027-06-10T08:00",
         ("2027-06-10T08:00", "2027-06-10T21:00")),
        ("UTC", {"all": [["08:00", "21:00"]]}, 0, "2027-06-10T21:00", None),
        # Joined across midnight, whatever day the week turns on.
        ("UTC", {"all": [["20:00", "02:00"]]}, 0, "2027-06-13T01:00",
         ("2027-06-12T20:00", "2027-06-13T02:00")),
        ("UTC", {"all": [["20:00", "02:00"]]}, 0, "2027-06-12T21:00",
         ("2027-06-12T20:00", "2027-06-13T02:00")),
        ("UTC", {"all": [["20:00", "24:00"], ["00:00", "02:00"]]}, 0, "2027-06-12T21:00",
         ("2027-06-12T20:00", "2027-06-13T02:00")),
        # Elapsed length differs on the days the clock changes.
        ("America/New_York", {"sat": [["22:00", "03:00"]]}, 0, "2027-11-07T06:30",
         ("2027-11-07T02:00", "2027-11-07T08:00")),
        ("America/New_York", {"sat": [["22:00", "03:00"]]}, 0, "2027-03-14T06:30",
         ("2027-03-14T03:00", "2027-03-14T07:00")),
        # Exactly close - margin is allowed, so the end lies a microsecond after it.
        ("UTC", {"all": [["08:00", "21:00"]]}, 60, "2027-06-10T20:59",
         ("2027-06-10T08:00", "2027-06-10T20:59:00.000001")),
        ("UTC", {"all": [["20:00", "02:00"]]}, 60, "2027-06-12T21:00",
         ("2027-06-12T20:00", "2027-06-13T01:59:00.000001")),
        # 48 hours each way for what does not close.
        ("UTC", ALWAYS, 60, "2027-06-10T12:00", ("2027-06-08T12:00", "2027-06-12T12:00")),
    ],
)  # fmt: skip
def test_an_open_span_reaches_from_opening_to_closing(
    zone: str, windows: Any, margin_s: int, at: str, expected: tuple[str, str] | None
) -> None:
    span = open_span((rule(zone, windows, margin_s=margin_s),), utc(at))
    actual = None if span is None else (span.open_from, span.open_until)
    assert actual == (None if expected is None else (utc(expected[0]), utc(expected[1])))


# --- Delays ---------------------------------------------------------------------------------------


@each(
    ("zone", "windows", "base", "delay", "wanted", "at"),
    [
        ("America/New_York", ALWAYS, "2027-03-13T15:00", Elapsed(DAY), "2027-03-14T15:00",
         "2027-03-14T15:00"),
        ("America/New_York", ALWAYS, "2027-03-13T15:00", Wall(1), "2027-03-14T14:00", "2027-03-14T14:00"),
        ("America/New_York", ALWAYS, "2027-11-06T15:00", Wall(1), "2027-11-07T16:00", "2027-11-07T16:00"),
        ("America/New_York", ALWAYS, "2027-06-10T15:00:07", Wall(2, time(9, 30)), "2027-06-12T13:30",
         "2027-06-12T13:30"),
        ("Europe/Madrid", ALWAYS, "2027-01-31T10:00", Wall(1), "2027-02-01T10:00", "2027-02-01T10:00"),
        # A time that does not exist moves on by the gap; of two, the first is meant.
        ("Europe/Madrid", ALWAYS, "2027-03-27T01:30", Wall(1), "2027-03-28T01:30", "2027-03-28T01:30"),
        ("America/Santiago", ALWAYS, "2027-09-04T04:10", Wall(1), "2027-09-05T04:10", "2027-09-05T04:10"),
        ("America/New_York", ALWAYS, "2027-11-06T05:30", Wall(1), "2027-11-07T05:30", "2027-11-07T05:30"),
        ("Europe/Madrid", ALWAYS, "2027-03-01T12:00", AtLocal(datetime.fromisoformat("2027-03-28T02:15")),
         "2027-03-28T01:15", "2027-03-28T01:15"),
        ("Europe/Madrid", WEEKDAYS, "2027-06-07T08:00",
         AtLocal(datetime.fromisoformat("2027-06-08T21:30"), "Atlantic/Canary"),
         "2027-06-08T20:30", "2027-06-09T07:00"),
        # Never before the base: what is past is due at once.
        ("Europe/Madrid", WEEKDAYS, "2027-06-07T10:00", Wall(0, time(9)), "2027-06-07T10:00",
         "2027-06-07T10:00"),
        ("Europe/Madrid", WEEKDAYS, "2027-06-07T10:00", AtLocal(datetime.fromisoformat("2027-06-01T10:00")),
         "2027-06-07T10:00", "2027-06-07T10:00"),
        ("America/New_York", ALWAYS, "2027-11-07T06:30", Wall(0), "2027-11-07T06:30", "2027-11-07T06:30"),
        # Working days: dates with a span of their own, counted from the local date.
        ("Europe/Madrid", WEEKDAYS, "2027-06-11T18:00", WorkingDays(1), "2027-06-14T07:00",
         "2027-06-14T07:00"),
        ("Europe/Madrid", WEEKDAYS, "2027-06-11T22:30", WorkingDays(2), "2027-06-15T07:00",
         "2027-06-15T07:00"),
        ("Europe/Madrid", WEEKDAYS, "2027-06-11T18:00", WorkingDays(5, "same"), "2027-06-18T18:00",
         "2027-06-18T18:00"),
        ("Europe/Madrid", WEEKDAYS, "2027-06-11T20:00", WorkingDays(1, "same"), "2027-06-14T20:00",
         "2027-06-15T07:00"),
        ("Europe/Madrid", WEEKDAYS, "2027-06-11T18:00", WorkingDays(1, time(8)), "2027-06-14T06:00",
         "2027-06-14T07:00"),
        ("UTC", {"fri": [["20:00", "02:00"]]}, "2027-06-10T12:00", WorkingDays(2), "2027-06-18T20:00",
         "2027-06-18T20:00"),
        # An opening inside the gap acts at the first instant after it, as windows do.
        ("Europe/Madrid", {"sun": [["02:30", "12:00"]]}, "2027-03-27T12:00", WorkingDays(1),
         "2027-03-28T01:00", "2027-03-28T01:00"),
        ("America/Santiago", {"all": [["00:00", "06:00"]]}, "2027-09-04T12:00", WorkingDays(1),
         "2027-09-05T04:00", "2027-09-05T04:00"),
        # Open time stands still while shut.
        ("UTC", WEEKDAYS, "2027-06-11T20:00", OpenTime(3600), "2027-06-11T21:00", "2027-06-14T09:00"),
        ("UTC", WEEKDAYS, "2027-06-11T20:00", OpenTime(3601), "2027-06-14T09:00:01", "2027-06-14T09:00:01"),
        ("UTC", WEEKDAYS, "2027-06-12T12:00", OpenTime(0), "2027-06-12T12:00", "2027-06-14T09:00"),
        ("UTC", WEEKDAYS, "2027-06-12T12:00", OpenTime(60), "2027-06-14T09:01", "2027-06-14T09:01"),
        ("UTC", ALWAYS, "2027-06-12T12:00", OpenTime(20 * DAY), "2027-07-02T12:00", "2027-07-02T12:00"),
        ("America/New_York", {"sun": [["00:00", "04:00"]]}, "2027-11-07T04:00", OpenTime(5 * 3600),
         "2027-11-07T09:00", "2027-11-14T05:00"),
    ],
)  # fmt: skip
def test_a_delay_is_applied_and_then_moved_into_hours(
    zone: str, windows: Any, base: str, delay: Delay, wanted: str, at: str
) -> None:
    hours = (rule(zone, windows),)
    planned = plan(hours, utc(base), delay)
    assert (planned.wanted_at, planned.at) == (utc(wanted), utc(at))
    assert calculate_next_working_datetime(utc(base), delay, hours) == utc(at)
    assert apply_delay(hours, utc(base), delay) == utc(wanted)


def test_a_working_day_needs_a_span_in_every_rule() -> None:
    lead = rule("Europe/Madrid", {"mon-sat": [["09:00", "21:00"]]})
    campaign = rule("Europe/Madrid", {"all": [["10:00", "18:00"]]}, "2027-06-14")
    friday = utc("2027-06-11T12:00")
    assert plan((lead, campaign), friday, WorkingDays(1)).at == utc("2027-06-12T08:00")
    assert plan((lead, campaign), friday, WorkingDays(2)).at == utc("2027-06-15T08:00")


def test_open_time_is_not_shortened_by_a_margin() -> None:
    hours = (rule("UTC", WEEKDAYS, margin_s=1800),)
    planned = plan(hours, utc("2027-06-10T20:00"), OpenTime(2 * 3600))
    assert planned.at == utc("2027-06-11T10:00")


@each(
    ("windows", "delay", "reason"),
    [
        ({}, WorkingDays(1), "never: the rule has no window at all"),
        ({"mon": [["09:00", "10:00"]]}, WorkingDays(100), "never: there are not 100 working days within 400"),
        ({"mon": [["09:00", "10:00"]]}, OpenTime(100 * 3600), "never: there are not 360000 s of open time"),
        (ALWAYS, Elapsed(1e12), "never: the delay ends after the year 9999"),
        (ALWAYS, Elapsed(float("inf")), "never: the delay ends after the year 9999"),
        (ALWAYS, Wall(10**9), "never: the delay ends after the year 9999"),
    ],
)
def test_a_delay_that_never_ends_says_why(windows: Any, delay: Delay, reason: str) -> None:
    planned = plan((rule("UTC", windows),), utc("2027-06-10T12:00"), delay)
    assert (planned.at, planned.wanted_at) == (None, None)
    assert planned.reason.startswith(reason)


def test_the_public_calculation_takes_elapsed_time_and_a_single_rule() -> None:
    hours = rule("America/New_York", {"all": [["08:00", "21:00"]]})
    base = utc("2027-11-06T12:30")
    assert calculate_next_working_datetime(base, timedelta(days=1), hours) == utc("2027-11-07T13:00")
    assert calculate_next_working_datetime(base, NoDelay(), [hours]) == base
    with pytest.raises(ValueError, match="negative"):
        calculate_next_working_datetime(base, timedelta(seconds=-1), hours)


def test_a_plan_that_is_not_moved_has_no_reason() -> None:
    at = utc("2027-06-10T12:00")
    assert plan((rule("UTC", ALWAYS),), at) == Planned(at, at, "")


@each(
    ("value", "expected"),
    [
        (None, NoDelay()),
        ({"kind": "none"}, NoDelay()),
        ({"kind": "elapsed", "seconds": 300}, Elapsed(300)),
        ({"kind": "elapsed", "seconds": 0.5}, Elapsed(0.5)),
        ({"kind": "wall", "days": 1}, Wall(1)),
        ({"kind": "wall", "days": 0, "at": "09:30"}, Wall(0, time(9, 30))),
        ({"kind": "working_days", "n": 2}, WorkingDays(2, "open")),
        ({"kind": "working_days", "n": 2, "at": "same"}, WorkingDays(2, "same")),
        ({"kind": "working_days", "n": 2, "at": "09:30:15"}, WorkingDays(2, time(9, 30, 15))),
        ({"kind": "open_time", "seconds": 14400}, OpenTime(14400)),
        ({"kind": "at_local", "local": "2027-06-08T09:30", "zone": "Atlantic/Canary"},
         AtLocal(datetime.fromisoformat("2027-06-08T09:30"), "Atlantic/Canary")),
    ],
)  # fmt: skip
def test_delays_are_read_as_written(value: object, expected: Delay) -> None:
    assert parse_delay(value) == expected


@each(
    ("value", "field"),
    [
        (300, "delay"),
        ({}, "delay.kind"),
        ({"kind": "soon"}, "delay.kind"),
        ({"kind": []}, "delay.kind"),
        ({"kind": "none", "seconds": 5}, "delay.seconds"),
        ({"kind": "elapsed"}, "delay.seconds"),
        ({"kind": "elapsed", "seconds": -1}, "delay.seconds"),
        ({"kind": "elapsed", "seconds": "300"}, "delay.seconds"),
        ({"kind": "elapsed", "seconds": True}, "delay.seconds"),
        ({"kind": "elapsed", "seconds": float("inf")}, "delay.seconds"),
        ({"kind": "elapsed", "seconds": float("nan")}, "delay.seconds"),
        ({"kind": "wall", "days": -1}, "delay.days"),
        ({"kind": "wall", "days": 1.5}, "delay.days"),
        ({"kind": "wall", "days": 1, "at": "24:00"}, "delay.at"),
        ({"kind": "working_days", "n": 0}, "delay.n"),
        ({"kind": "working_days", "n": 1, "at": "noon"}, "delay.at"),
        ({"kind": "at_local"}, "delay.local"),
        ({"kind": "at_local", "local": "2027-06-08T09:30Z"}, "delay.local"),
        ({"kind": "at_local", "local": "2027-02-30T09:30"}, "delay.local"),
        ({"kind": "at_local", "local": "2027-06-08T09:30", "zone": "Mars/Olympus"}, "delay.zone"),
    ],
)
def test_a_delay_that_cannot_be_read_is_refused_by_its_path(value: object, field: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        parse_delay(value)
    assert refused.value.field == field


# --- Reasons --------------------------------------------------------------------------------------


@each(
    ("settings", "at", "reason"),
    [
        ({"zones": ["America/Santiago"], "windows": {"mon-fri": [["09:00", "20:00"]]}}, "2027-06-12T19:00",
         "outside hours: Saturday 15:00 in America/Santiago; opens Monday 09:00"),
        ({"zones": ["America/Santiago"], "windows": {"mon-fri": [["09:00", "20:00"]]}, "label": "staff"},
         "2027-06-12T19:00", "outside hours: Saturday 15:00 in America/Santiago (staff); opens Monday 09:00"),
        # Six days away a weekday still names one day; seven days away it does not.
        ({"zones": ["UTC"], "windows": {"fri": [["20:00", "22:00"]]}}, "2027-06-12T12:00",
         "outside hours: Saturday 12:00 in UTC; opens Friday 20:00"),
        ({"zones": ["UTC"], "windows": {"fri": [["20:00", "22:00"]]}}, "2027-06-11T23:00",
         "outside hours: Friday 23:00 in UTC; opens Friday 18 June 2027 20:00"),
        ({"zones": ["America/Santiago"], "windows": {"mon-fri": [["09:00", "20:00"]]}, "holidays": "CL"},
         "2026-09-18T15:00",
         ("outside hours: Friday 18 September 2026 is a holiday (CL: Día de la Independencia) "
          "in America/Santiago; opens Monday 09:00")),
        # A holiday on a day that is shut anyway is not the reason.
        ({"zones": ["UTC"], "windows": {"mon-fri": [["09:00", "20:00"]]}, "holidays": ["2027-06-12"]},
         "2027-06-12T12:00", "outside hours: Saturday 12:00 in UTC; opens Monday 09:00"),
        ({"zones": ["UTC"], "windows": {"all": [["09:00", "20:00"]], "hol": [["13:00", "20:00"]]},
          "holidays": ["2027-06-10"]}, "2027-06-10T10:00",
         ("outside hours: Thursday 10:00 in UTC: Thursday 10 June 2027 is a holiday (a date on this rule's "
          "own list), open only 13:00-20:00; opens Thursday 13:00")),
        ({"zones": ["UTC"], "windows": {"fri": [["20:00", "02:00"]]}, "holidays": ["2027-06-11"]},
         "2027-06-12T00:30",
         ("outside hours: Saturday 00:30 in UTC: Friday 11 June 2027 was a holiday (a date on this rule's "
          "own list), so its hours after midnight are shut; opens Friday 20:00")),
        ({"zones": ["UTC"], "windows": {"all": [["09:00", "20:00"]]}, "close_margin_s": 60},
         "2027-06-10T19:59:30",
         "outside hours: Thursday 19:59 in UTC is less than 60 s before closing; opens Friday 09:00"),
        ({"zones": ["Europe/Madrid", "Atlantic/Canary"], "windows": WEEKDAYS}, "2027-06-07T07:30",
         "outside hours: Monday 08:30 in Atlantic/Canary; opens Monday 09:00"),
        ({"zones": ["UTC"], "windows": ALWAYS}, "2027-06-10T12:00", "inside hours"),
        ({"zones": ["UTC"], "windows": {}}, "2027-06-10T12:00",
         "never allowed: the rule has no window at all"),
        ({"zones": ["America/New_York", "Pacific/Guam"], "windows": {"all": [["09:00", "17:00"]]}},
         "2027-06-10T12:00",
         "never allowed: America/New_York and Pacific/Guam have no common open hour within 400 days"),
        ({"zones": ["UTC"], "windows": {"all": [["09:00", "10:00"]]}, "close_margin_s": 7200},
         "2027-06-10T12:00",
         "never allowed: the rule is never open as long as its closing margin of 7200 s within 400 days"),
    ],
)  # fmt: skip
def test_a_reason_names_the_moment_the_zone_and_the_opening(
    settings: dict[str, Any], at: str, reason: str
) -> None:
    assert explain_closed((HoursRule.parse(settings),), utc(at)) == reason


def test_rules_that_never_meet_are_both_named() -> None:
    morning = rule("UTC", {"all": [["09:00", "12:00"]]}, label="campaign hours")
    evening = rule("UTC", {"all": [["18:00", "20:00"]]})
    assert explain_closed((morning, evening), utc("2027-06-10T09:00")) == (
        "never allowed: campaign hours and rule 2 have no common open hour within 400 days"
    )


# --- Windows --------------------------------------------------------------------------------------


@each(
    ("mapping", "expected"),
    [
        ({}, ["", "", "", "", "", "", ""]),
        ({"all": [["08:00", "20:00"]]}, ["08:00-20:00"] * 7),
        ({"mon-fri": [["8:00", "20:00:30"]]}, ["08:00-20:00:30"] * 5 + ["", ""]),
        ({"fri-mon": [["08:00", "20:00"]]}, ["08:00-20:00", "", "", ""] + ["08:00-20:00"] * 3),
        ({"mon, wed": [["08:00", "20:00"]]}, ["08:00-20:00", "", "08:00-20:00", "", "", "", ""]),
        ({"MON": [["08:00", "20:00"]]}, ["08:00-20:00"] + [""] * 6),
        # The key that names the fewest days holds, in whatever order they are written.
        ({"sat": [["10:00", "13:00"]], "mon-sat": [["08:00", "20:00"]], "all": [["09:00", "10:00"]]},
         ["08:00-20:00"] * 5 + ["10:00-13:00", "09:00-10:00"]),
        ({"all": [["08:00", "20:00"]], "sun": []}, ["08:00-20:00"] * 6 + [""]),
        ({"all": [["08:00", "20:00"]], "mon-sun": [["09:00", "10:00"]]}, ["09:00-10:00"] * 7),
        ({"mon-sat": [["08:00", "20:00"]], "sat-sun": [["10:00", "14:00"]]},
         ["08:00-20:00"] * 5 + ["10:00-14:00"] * 2),
        # Keys of one width add up; overlapping and touching spans are one.
        ({"mon-tue": [["08:00", "12:00"]], "tue-wed": [["11:00", "14:00"]]},
         ["08:00-12:00", "08:00-14:00", "11:00-14:00", "", "", "", ""]),
        ({"mon": [["14:00", "20:00"], ["10:00", "13:00"], ["13:00", "13:30"], ["15:00", "16:00"]]},
         ["10:00-13:30 14:00-20:00"] + [""] * 6),
        ({"mon": [["18:00", "02:00"], ["08:00", "19:00"]]}, ["08:00-02:00"] + [""] * 6),
        ({"mon": [["20:00", "19:00"], ["10:00", "21:00"]]}, ["10:00-21:00 20:00-19:00"] + [""] * 6),
        ({"mon": [["00:00", "12:00"], ["12:00", "00:00"]]}, ["00:00-24:00"] + [""] * 6),
        ({"mon": [[time(8), time(20)]]}, ["08:00-20:00"] + [""] * 6),
    ],
)  # fmt: skip
def test_windows_are_read_as_written(mapping: object, expected: list[str]) -> None:
    windows = Windows.parse(mapping)
    assert [" ".join(map(str, spans)) for spans in windows.weekdays] == expected


def test_merging_spans_changes_nothing_about_when_they_are_open() -> None:
    written = [["20:00", "19:00"], ["10:00", "21:00"], ["18:30", "20:30"], ["00:00", "00:00"]]
    merged = (rule("UTC", {"tue": written}),)
    apart = [(rule("UTC", {"tue": [span]}),) for span in written]
    for quarter in range(3 * 96):
        at = utc("2027-06-07T12:00") + quarter * timedelta(minutes=15)
        assert is_allowed(merged, at) == any(is_allowed(one, at) for one in apart), at


@each(
    ("mapping", "field", "value"),
    [
        (None, "windows", None),
        ([], "windows", []),
        ({"weekdays": []}, "windows.weekdays", []),
        ({"": []}, "windows.", []),
        ({5: []}, "windows.5", []),
        ({"mon-": []}, "windows.mon-", []),
        ({"mon-tue-wed": []}, "windows.mon-tue-wed", []),
        ({"mon,": []}, "windows.mon,", []),
        ({"mon": None}, "windows.mon", None),
        ({"mon": "08:00-20:00"}, "windows.mon", "08:00-20:00"),
        ({"mon": ["08:00", "20:00"]}, "windows.mon[0]", "08:00"),
        ({"mon": [["08:00"]]}, "windows.mon[0]", ["08:00"]),
        ({"mon-fri": [["08:00", "25:00"]]}, "windows.mon-fri[0][1]", "25:00"),
        ({"mon-fri": [["08:00", "20:00"], ["20:60", "21:00"]]}, "windows.mon-fri[1][0]", "20:60"),
        ({"mon": [["24:00", "02:00"]]}, "windows.mon[0][0]", "24:00"),
        ({"mon": [["08:00", "24:00:01"]]}, "windows.mon[0][1]", "24:00:01"),
        ({"mon": [["08:00", 20]]}, "windows.mon[0][1]", 20),
        ({"mon": [["-8:00", "20:00"]]}, "windows.mon[0][0]", "-8:00"),
        ({"mon": [["٠8:00", "20:00"]]}, "windows.mon[0][0]", "٠8:00"),
        ({"hol": [["8", "20:00"]]}, "windows.hol[0][0]", "8"),
    ],
)
def test_windows_that_cannot_be_read_are_refused_by_their_path(
    mapping: object, field: str, value: object
) -> None:
    with pytest.raises(InvalidValue) as refused:
        Windows.parse(mapping)
    assert (refused.value.field, refused.value.value) == (field, value)


@each("seconds", [(-1, 5), (86_400, 5), (0, 86_401)])
def test_a_span_off_the_clock_is_refused(seconds: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="clock"):
        Span(*seconds)


def test_a_time_of_day_excludes_the_end_of_the_day() -> None:
    assert parse_time("09:30", "start") == time(9, 30)
    with pytest.raises(InvalidValue):
        parse_time("24:00", "start")


# --- Holidays -------------------------------------------------------------------------------------


@each(
    ("value", "day", "name"),
    [
        (None, "2026-12-25", None),
        ("", "2026-12-25", None),
        ("CL", "2026-09-18", "CL: Día de la Independencia"),
        ("CL", "2026-09-21", None),
        ("cl", "2027-09-17", "CL: Fiestas Patrias"),
        ("ES", "2027-06-24", None),
        ("ES-CT", "2027-06-24", "ES-CT: San Juan"),
        ("es-ct", "2027-06-24", "ES-CT: San Juan"),
        ("ES, ES-CT", "2027-06-24", "ES-CT: San Juan"),
        ("US", "2027-12-31", "US: New Year's Day (observed)"),
        ("CL,2026-12-24,-2026-12-08", "2026-12-24", "a date on this rule's own list"),
        ("CL,2026-12-24,-2026-12-08", "2026-12-08", None),
        (["CL", "2026-12-24,-2026-12-08"], "2026-12-08", None),
        (["2027-06-12"], "2027-06-12", "a date on this rule's own list"),
        ([date(2027, 6, 12)], "2027-06-12", "a date on this rule's own list"),
        ({"calendars": ["CL"], "dates": ["2026-12-24"], "except": ["2026-12-08"]}, "2026-12-08", None),
        ({"calendars": "CL", "dates": None}, "2026-12-08", "CL: La Inmaculada Concepción"),
        ({"dates": ["2026-12-24"], "except": ["2026-12-24"]}, "2026-12-24", None),
    ],
)
def test_holidays_are_those_of_the_calendars_and_dates_less_those_worked(
    value: object, day: str, name: str | None
) -> None:
    holidays = Holidays.parse(value)
    assert holidays.name_of(date.fromisoformat(day)) == name
    assert holidays.is_holiday(date.fromisoformat(day)) == (name is not None)


@each(
    ("value", "field", "right"),
    [
        (5, "holidays", "calendars"),
        ("XX", "holidays", "two ISO letters"),
        ("ES-XX", "holidays", "ES-CT"),
        ("PY-ZZ", "holidays", "PY has no regional calendars"),
        ("CL,2026-02-30", "holidays", "YYYY-MM-DD"),
        ("20261224", "holidays", "YYYY-MM-DD"),
        ("-CL", "holidays", "YYYY-MM-DD"),
        ("-", "holidays", "YYYY-MM-DD"),
        (["CL", "2026-13-01"], "holidays[1]", "YYYY-MM-DD"),
        (["CL", 5], "holidays[1]", "calendars"),
        ({"dates": ["CL"]}, "holidays.dates[0]", "YYYY-MM-DD"),
        ({"calendars": ["2026-12-24"]}, "holidays.calendars[0]", "two ISO letters"),
        ({"days": []}, "holidays.days", "except"),
    ],
)
def test_holidays_that_cannot_be_read_are_refused_with_what_is_right(
    value: object, field: str, right: str
) -> None:
    with pytest.raises(InvalidValue) as refused:
        Holidays.parse(value)
    assert refused.value.field == field
    assert right in refused.value.right


def test_a_calendar_that_does_not_exist_is_refused_when_it_is_asked() -> None:
    with pytest.raises(InvalidValue, match="XX"):
        Holidays(("XX",)).is_holiday(date(2027, 1, 1))


# --- Rules ----------------------------------------------------------------------------------------


def test_a_rule_is_read_as_written() -> None:
    read = HoursRule.parse(
        {
            "zones": ["Europe/Madrid", "Atlantic/Canary"],
            "windows": WEEKDAYS,
            "holidays": {"calendars": ["ES-CT"], "dates": ["2027-06-25"], "hours": [["10:00", "14:00"]]},
            "close_margin_s": 60,
            "label": "lead",
        }
    )
    assert read == HoursRule(
        ("Europe/Madrid", "Atlantic/Canary"),
        Windows(((Span(9 * 3600, 21 * 3600),),) * 5 + ((), ()), (Span(10 * 3600, 14 * 3600),)),
        Holidays(("ES-CT",), frozenset({date(2027, 6, 25)})),
        timedelta(seconds=60),
        "lead",
    )


def test_a_rule_is_read_on_the_leads_clock_or_on_a_fixed_one() -> None:
    for written, zones in (
        ({}, ("America/Denver",)),
        ({"clock": "lead"}, ("America/Denver",)),
        ({"clock": "America/Chicago"}, ("America/Chicago",)),
        ({"zones": "UTC, Asia/Tokyo"}, ("UTC", "Asia/Tokyo")),
    ):
        read = HoursRule.parse({"windows": {}, **written}, lead_zones=("America/Denver",))
        assert read.zones == zones


@each(
    ("mapping", "field"),
    [
        (None, "rule"),
        ({"zones": ["UTC"]}, "rule.windows"),
        ({"windows": {}}, "rule.zones"),
        ({"windows": {}, "zones": []}, "rule.zones"),
        ({"windows": {}, "zones": ["UTC", "Etc/Unknown"]}, "rule.zones[1]"),
        ({"windows": {}, "zones": [None]}, "rule.zones[0]"),
        ({"windows": {}, "clock": "Mars/Olympus"}, "rule.clock"),
        ({"windows": {}, "zones": ["UTC"], "close_margin_s": -1}, "rule.close_margin_s"),
        ({"windows": {}, "zones": ["UTC"], "close_margin_s": "60"}, "rule.close_margin_s"),
        ({"windows": {}, "zones": ["UTC"], "close_margin_s": 86_401}, "rule.close_margin_s"),
        ({"windows": {}, "zones": ["UTC"], "holidays": "XX"}, "rule.holidays"),
        ({"windows": {}, "zones": ["UTC"], "holidays": {"hours": ["10:00"]}}, "rule.holidays.hours[0]"),
        ({"windows": {}, "zones": ["UTC"], "hours": {}}, "rule.hours"),
    ],
)
def test_a_rule_that_cannot_be_read_is_refused_by_its_path(mapping: object, field: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        HoursRule.parse(mapping)
    assert refused.value.field == field


def test_equal_rules_are_one_cache_key_and_survive_a_pickle() -> None:
    first, second = rule("UTC", WEEKDAYS, "CL"), rule("UTC", WEEKDAYS, "CL")
    assert (first, hash(first)) == (second, hash(second))
    # String hashes differ between processes, so the kept hash must not travel.
    dumped = pickle.dumps(first)
    code = (
        "import pickle, sys; rule = pickle.loads(sys.stdin.buffer.read());"
        "from scheduler.rules.hours import HoursRule;"
        "again = HoursRule(rule.zones, rule.windows, rule.holidays, rule.close_margin, rule.label);"
        "assert (hash(again), again) == (hash(rule), rule)"
    )
    subprocess.run([sys.executable, "-c", code], input=dumped, check=True)


# --- Zones ----------------------------------------------------------------------------------------


@each(
    ("zone", "january_s", "july_s"),
    [
        ("America/New_York", -18_000, -14_400),
        ("America/Asuncion", -10_800, -10_800),
        ("America/Coyhaique", -10_800, -10_800),
        ("America/Buenos_Aires", -10_800, -10_800),
        ("Asia/Calcutta", 19_800, 19_800),
        ("Europe/Kiev", 7_200, 10_800),
        ("UTC", 0, 0),
    ],
)
def test_zones_come_from_the_newest_database_whatever_the_system_has(
    zone: str, january_s: int, july_s: int
) -> None:
    for month, seconds in ((1, january_s), (7, july_s)):
        at = datetime(2027, month, 15, tzinfo=UTC)
        assert at.astimezone(zone_info(zone)).utcoffset() == timedelta(seconds=seconds)


@each(
    "name",
    ["", "Mars/Olympus", "Etc/Unknown", "America", "America/", "/etc/passwd", "../UTC", "America/../UTC",
     "localtime", "posixrules", "right/UTC", "posix/UTC", "Factory", "zone.tab", "__init__", None, 5],
)  # fmt: skip
def test_a_name_that_is_no_zone_is_refused(name: Any) -> None:
    with pytest.raises(InvalidValue) as refused:
        zone_info(name, "time_zone")
    assert (refused.value.field, refused.value.value) == ("time_zone", name)


def test_a_misspelled_zone_is_answered_with_the_nearest_names() -> None:
    with pytest.raises(InvalidValue, match=r"did you mean America/Santiago"):
        zone_info("America/Santigo")
    with pytest.raises(InvalidValue, match=r"did you mean Europe/Madrid"):
        zone_info("europe/madrid")


def test_a_rule_in_an_unknown_zone_is_refused_each_time_it_is_asked() -> None:
    lost = (HoursRule(("Mars/Olympus",), Windows.parse(ALWAYS)),)
    for _ in range(2):
        with pytest.raises(InvalidValue, match="Mars/Olympus"):
            is_allowed(lost, utc("2027-06-10T12:00"))


@each(
    ("system", "package", "is_chosen_by_user", "expected"),
    [
        ("2025b", "2026f", False, (True, "2026f")),
        ("2026f", "2026f", False, (False, "2026f")),
        ("2027a", "2026f", False, (False, "2027a")),
        (None, "2026f", False, (True, "2026f")),
        ("2025b", None, False, (False, "2025b")),
        (None, None, False, (False, "unknown")),
        ("2020a", "2026f", True, (False, "2020a")),
        (None, "2026f", True, (False, "unknown")),
    ],
)
def test_the_newer_database_is_read_unless_the_user_chose_one(
    system: str | None, package: str | None, is_chosen_by_user: bool, expected: tuple[bool, str]
) -> None:
    chosen = choose_database(system=system, package=package, is_chosen_by_user=is_chosen_by_user)
    assert (chosen.from_package, chosen.version) == expected


def test_reading_the_package_changes_nothing_for_other_users_of_zoneinfo() -> None:
    code = (
        "import zoneinfo; before = zoneinfo.TZPATH;"
        "from scheduler.rules.hours import zone_info, tzdata_version;"
        "zone_info('America/Vancouver'); tzdata_version(); assert zoneinfo.TZPATH == before"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_version_in_use_is_known() -> None:
    assert tzdata_version() >= "2025b"


def test_a_date_starts_at_its_first_instant() -> None:
    for zone, day, expected in (
        ("America/Bogota", date(2027, 6, 10), "2027-06-10T05:00"),
        ("America/Santiago", date(2027, 9, 5), "2027-09-05T04:00"),
        ("Atlantic/Azores", date(2027, 10, 31), "2027-10-31T00:00"),
    ):
        assert day_start(day, zone_info(zone)) == utc(expected)


def test_a_skipped_wall_time_moves_on_by_the_gap_and_a_repeated_one_is_the_first() -> None:
    madrid = zone_info("Europe/Madrid")
    assert wall_to_utc(datetime.fromisoformat("2027-03-28T02:30"), madrid) == utc("2027-03-28T01:30")
    assert wall_to_utc(datetime.fromisoformat("2027-10-31T02:30"), madrid) == utc("2027-10-31T00:30")


def rule(zone: str, windows: Any, holidays: str = "", *, margin_s: float = 0, label: str = "") -> HoursRule:
    return HoursRule(
        (zone,), Windows.parse(windows), Holidays.parse(holidays), timedelta(seconds=margin_s), label
    )


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
