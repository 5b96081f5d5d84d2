"""Caps, spacing and cool-downs: what counts, until when, and who it is counted for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scheduler.errors import InvalidValue
from scheduler.rules.caps import (
    Calendar,
    Cap,
    Cooldown,
    Days,
    Hours,
    PastCall,
    Target,
    longest_memory,
    next_callable,
    next_release,
    parse_caps,
    parse_cooldowns,
    parse_history,
    parse_spacing,
    parse_target,
)
from scheduler.rules.hours import HoursRule, Windows
from tests.each import each
from tests.rules.counting import ALWAYS, QUARTER, Situation

TARGET = Target(lead="L1", phone="P1", debt="D1", campaign=7, group="G1")


@each(
    ("period", "zone", "called_at", "free_at"),
    [
        # Elapsed hours: gone at exactly n hours, whatever the clock does meanwhile.
        (Hours(24), "America/New_York", "2027-06-10T14:00", "2027-06-11T14:00"),
        (Hours(24), "America/New_York", "2027-03-13T15:00", "2027-03-14T15:00"),
        (Hours(0.5), "America/New_York", "2027-06-10T14:00", "2027-06-10T14:30"),
        # Local dates: the hour of the call is irrelevant.
        (Days(1), "America/New_York", "2027-06-11T03:59", "2027-06-11T04:00"),
        (Days(1), "America/New_York", "2027-06-11T04:00", "2027-06-12T04:00"),
        (Days(7), "America/New_York", "2027-06-07T15:00", "2027-06-14T04:00"),
        (Days(1), "America/New_York", "2027-03-14T05:00", "2027-03-15T04:00"),
        (Days(1), "America/New_York", "2027-11-07T05:00", "2027-11-08T05:00"),
        # 5 September 2027 starts at 01:00 in Chile; 3 April ends twice.
        (Days(1), "America/Santiago", "2027-09-04T20:00", "2027-09-05T04:00"),
        (Days(1), "America/Santiago", "2027-04-03T20:00", "2027-04-04T04:00"),
        # 31 October 2027 has two midnights in the Azores: the date begins with the first.
        (Days(1), "Atlantic/Azores", "2027-10-30T20:00", "2027-10-31T00:00"),
        (Days(1), "Pacific/Auckland", "2027-06-12T12:00", "2027-06-13T12:00"),
        # Aligned to the calendar.
        (Calendar("day"), "America/Bogota", "2027-06-13T04:59", "2027-06-13T05:00"),
        (Calendar("week"), "America/Bogota", "2027-06-12T19:00", "2027-06-14T05:00"),
        (Calendar("week"), "America/Bogota", "2027-06-14T05:00", "2027-06-21T05:00"),
        (Calendar("week"), "America/Bogota", "2027-12-31T19:00", "2028-01-03T05:00"),
        (Calendar("month"), "America/Bogota", "2027-06-30T19:00", "2027-07-01T05:00"),
        (Calendar("month"), "America/Bogota", "2027-12-31T19:00", "2028-01-01T05:00"),
        (Calendar("month"), "America/Bogota", "2028-01-31T19:00", "2028-02-01T05:00"),
        (Calendar("month"), "America/Bogota", "2028-02-29T19:00", "2028-03-01T05:00"),
    ],
)
def test_a_call_stops_counting_at_the_end_of_its_period(
    period: Hours | Days | Calendar, zone: str, called_at: str, free_at: str
) -> None:
    cap, history = Cap(1, period), [PastCall(utc(called_at), "busy", lead="L1")]
    before = utc(free_at) - timedelta(microseconds=1)
    assert next_release([cap], [], history, TARGET, [zone], before)[0] == utc(free_at)
    assert next_release([cap], [], history, TARGET, [zone], utc(free_at)) == (utc(free_at), "")


def test_a_date_must_have_passed_in_every_zone() -> None:
    cap, history = Cap(1, Days(1)), [PastCall(utc("2027-06-10T12:00"), lead="L1")]
    zones = ["Europe/Madrid", "Atlantic/Canary"]
    for order in (zones, zones[::-1]):
        assert next_release([cap], [], history, TARGET, order, utc("2027-06-10T13:00"))[0] == utc(
            "2027-06-10T23:00"
        )


@each(
    ("by", "call", "is_counted"),
    [
        (("lead",), {"lead": "L1", "phone": "P9"}, True),
        (("lead",), {"lead": "L9", "phone": "P1"}, False),
        (("phone",), {"lead": "L9", "phone": "P1", "campaign": 8}, True),
        (("phone",), {"lead": "L1", "phone": "P2"}, False),
        (("debt",), {"lead": "L1", "debt": "D2"}, False),
        (("debt",), {"lead": "L9", "debt": "D1"}, True),
        (("lead", "phone"), {"lead": "L1", "phone": "P1"}, True),
        (("lead", "phone"), {"lead": "L1", "phone": "P2"}, False),
        (("campaign",), {"lead": "L9", "campaign": 7}, True),
        (("campaign",), {"lead": "L1", "campaign": 8}, False),
        # A missing value falls back on the lead: that the debts differ is not known.
        (("debt",), {"lead": "L1"}, True),
        (("debt",), {"lead": "L9"}, False),
        (("subject",), {"lead": "L1", "subject": "offer"}, True),
        (("group",), {"lead": "L9", "group": "G1", "campaign": 8}, True),
        (("group",), {"lead": "L1", "group": "G2"}, False),
        (("group", "lead"), {"lead": "L9", "group": "G1"}, False),
        (("lead",), {}, False),
    ],
)
def test_a_call_counts_for_those_it_shares_every_key_with(
    by: tuple[str, ...], call: dict[str, Any], is_counted: bool
) -> None:
    now = utc("2027-06-10T15:00")
    history = [PastCall(utc("2027-06-10T14:00"), "no_answer", **call)]
    released_at, _ = next_release([Cap(1, Hours(2), by)], [], history, TARGET, ["UTC"], now)
    assert (released_at > now) == is_counted
    wait = Cooldown(("no_answer",), Hours(2), by)
    released_at, _ = next_release([], [wait], history, TARGET, ["UTC"], now)
    assert (released_at > now) == is_counted


@each(
    ("outcome", "counts", "is_counted"),
    [
        ("no_answer", ("*",), True),
        (None, ("*",), True),  # in progress: or two workers would both find room
        (None, ("no_answer",), False),
        ("no_answer", ("conversation",), False),
        ("conversation", ("conversation",), True),
        ("busy", ("no_answer", "busy"), True),
        # Our own words count under their own name and under the classes of the rules.
        ("completed", ("conversation",), True),
        ("voicemail", ("machine",), True),
        ("voicemail", ("voicemail",), True),
        ("voicemail", ("message_left",), True),  # nothing says that none was left
        ("do_not_call", ("refused",), True),
        ("hang_up", ("answered_live",), True),
        ("hang_up", ("conversation",), False),
        ("cancelled", ("failed",), False),
    ],
)
def test_a_call_counts_for_the_outcomes_that_are_named(
    outcome: str | None, counts: tuple[str, ...], is_counted: bool
) -> None:
    now, history = utc("2027-06-10T15:00"), [PastCall(utc("2027-06-10T14:00"), outcome, lead="L1")]
    released_at, _ = next_release([Cap(1, Hours(2), counts=counts)], [], history, TARGET, ["UTC"], now)
    assert (released_at > now) == is_counted


@each(
    ("capped", "called", "holds"),
    [
        ("voice", "voice", True),
        ("voice", "written", False),
        ("written", "written", False),
        (None, "written", True),
        (None, "voice", True),
    ],
)
def test_a_cap_holds_for_its_own_channel(capped: str | None, called: str, holds: bool) -> None:
    now, history = utc("2027-06-10T15:00"), [PastCall(utc("2027-06-10T14:00"), lead="L1", channel=called)]
    released_at, _ = next_release([Cap(1, Hours(2), channel=capped)], [], history, TARGET, ["UTC"], now)
    assert (released_at > now) == holds


def test_room_comes_with_the_call_that_makes_it_not_with_the_last() -> None:
    hours = [13, 15, 23]
    history = [PastCall(utc(f"2027-06-10T{hour}:00"), lead="L1") for hour in hours]
    for most, free_at in ((1, "2027-06-11T23:00"), (2, "2027-06-11T15:00"), (3, "2027-06-11T13:00")):
        cap = Cap(most, Hours(24))
        assert next_release([cap], [], history, TARGET, ["UTC"], utc("2027-06-10T23:30"))[0] == utc(free_at)
    now = utc("2027-06-10T23:30")
    assert next_release([Cap(4, Hours(24))], [], history, TARGET, ["UTC"], now) == (now, "")


@each(
    ("wait", "free_at"),
    [
        ({"hours": 72}, "2027-06-12T12:30"),
        ({"days": 7, "first_day": "event"}, "2027-06-15T22:00"),  # that date is day 1
        ({"days": 7, "first_day": "next"}, "2027-06-16T22:00"),  # seven full days after it
        ({"days": 7}, "2027-06-16T22:00"),  # left out, the longer reading holds
    ],
)
def test_a_cooldown_ends_by_elapsed_hours_or_by_full_days(wait: dict[str, Any], free_at: str) -> None:
    cooldowns = parse_cooldowns([{"after": ["refused"], "wait": wait, "by": "lead"}])
    history = [
        PastCall(utc("2027-06-09T12:30"), "refused", lead="L1"),
        PastCall(utc("2027-06-10T12:30"), "busy", lead="L1"),
        PastCall(utc("2027-06-01T12:30"), "refused", lead="L1"),
    ]
    now = utc("2027-06-10T13:00")
    assert next_release([], cooldowns, history, TARGET, ["Europe/Paris"], now)[0] == utc(free_at)


def test_a_silence_of_hours_is_remembered_past_the_end_of_a_call_that_lasted_a_day() -> None:
    began_at, now = utc("2027-06-06T12:00"), utc("2027-06-10T11:59")
    cooldowns = [Cooldown(("refused",), Hours(72))]
    history = [PastCall(began_at, "refused", lead="L1", ended_at=began_at + timedelta(days=1))]
    assert next_release([], cooldowns, history, TARGET, ["UTC"], now)[0] > now
    assert longest_memory([], cooldowns) >= now - began_at


@each("period", [Hours(1000), Days(31), Calendar("month")])
def test_the_longest_of_all_periods_is_remembered(period: Hours | Days | Calendar) -> None:
    assert longest_memory([], []) == timedelta(0)
    assert longest_memory([Cap(1, Hours(2)), Cap(1, period)], [Cooldown(("busy",), Days(2))]) > timedelta(days=31)


def test_the_reason_names_what_holds_longest() -> None:
    history = [PastCall(utc("2027-06-10T14:00"), "refused", lead="L1", phone="P1")]
    caps = [Cap(1, Hours(2), ("phone",))]
    cooldowns = [Cooldown(("refused",), Days(3))]
    now = utc("2027-06-10T15:00")
    assert next_release(caps, [], history, TARGET, ["America/New_York"], now)[1] == (
        "cap of 1 in 2 hours by phone is used up until Thursday 10 June 2027 12:00 in America/New_York"
    )
    assert next_release(caps, cooldowns, history, TARGET, ["America/New_York"], now)[1] == (
        "quiet time after refused by lead until Sunday 13 June 2027 00:00 in America/New_York"
    )


def test_a_release_outside_hours_waits_for_the_opening() -> None:
    rule = HoursRule(("America/New_York",), Windows.parse({"all": [["08:00", "20:00"]]}))
    history = [PastCall(utc("2027-06-10T20:00"), "busy", phone="P1")]
    cap = Cap(1, Hours(6), ("phone",))
    found = next_callable([rule], [cap], [], history, TARGET, utc("2027-06-10T20:01"))
    assert found == utc("2027-06-11T12:00")


def test_a_release_past_the_horizon_is_never() -> None:
    rule = HoursRule(("UTC",), Windows.parse({"all": [["00:00", "24:00"]]}))
    history = [PastCall(utc("2027-06-10T20:00"), lead="L1")]
    now = utc("2027-06-10T20:01")
    assert next_callable([rule], [Cap(1, Days(500))], [], history, TARGET, now) is None
    assert next_callable([rule], [Cap(1, Days(399))], [], history, TARGET, now) == utc("2028-07-13T00:00")
    shut = HoursRule(("UTC",), Windows.parse({}))
    assert next_callable([shut], [], [], [], TARGET, now) is None


def test_the_dates_that_count_are_those_of_every_rule_unless_zones_are_given() -> None:
    always = Windows.parse({"all": [["00:00", "24:00"]]})
    rules = [HoursRule(("America/New_York",), always), HoursRule(("America/Los_Angeles",), always)]
    history, now = [PastCall(utc("2027-06-10T20:00"), lead="L1")], utc("2027-06-10T20:01")
    cap = Cap(1, Days(1))
    assert next_callable(rules, [cap], [], history, TARGET, now) == utc("2027-06-11T07:00")
    found = next_callable(rules, [cap], [], history, TARGET, now, zones=["America/New_York"])
    assert found == utc("2027-06-11T04:00")


def test_a_naive_instant_is_refused() -> None:
    naive = datetime(2027, 6, 10, 12)  # noqa: DTZ001
    with pytest.raises(ValueError, match="no time zone"):
        PastCall(naive)
    with pytest.raises(ValueError, match="no time zone"):
        next_release([], [], [], TARGET, ["UTC"], naive)


def test_caps_are_read_as_written() -> None:
    assert parse_caps(None) == ()
    assert parse_caps([{"max": 3, "per": {"hours": 24}, "by": ["lead", "subject"], "counts": ["*"]}]) == (
        Cap(3, Hours(24), ("lead", "subject"), ("*",), "voice"),
    )
    assert parse_caps([{"max": 2, "per": {"calendar": "day"}, "by": "phone", "channel": "*"}]) == (
        Cap(2, Calendar("day"), ("phone",), ("*",), None),
    )
    assert parse_spacing([{"per": {"hours": 2}, "by": "phone"}]) == (Cap(1, Hours(2), ("phone",)),)
    assert parse_target({"lead": 5, "phone": "P1"}) == Target(lead=5, phone="P1")
    assert parse_target(None) == Target()
    assert parse_history([{"at": "2027-06-10T16:00:00+02:00", "lead": 5, "ended_at": "2027-06-10T14:10:00Z"}]) == (
        PastCall(utc("2027-06-10T14:00"), lead=5, ended_at=utc("2027-06-10T14:10")),
    )


@each(
    ("value", "field"),
    [
        (5, "caps"),
        ("max 3", "caps"),
        ([5], "caps[0]"),
        ([{"per": {"days": 1}}], "caps[0].max"),
        ([{"max": 0, "per": {"days": 1}}], "caps[0].max"),
        ([{"max": True, "per": {"days": 1}}], "caps[0].max"),
        ([{"max": 1.5, "per": {"days": 1}}], "caps[0].max"),
        ([{"max": 1}], "caps[0].per"),
        ([{"max": 1, "per": {"days": 1, "hours": 1}}], "caps[0].per"),
        ([{"max": 1, "per": {"weeks": 1}}], "caps[0].per"),
        ([{"max": 1, "per": {"days": 0}}], "caps[0].per.days"),
        ([{"max": 1, "per": {"days": 1.5}}], "caps[0].per.days"),
        ([{"max": 1, "per": {"hours": -1}}], "caps[0].per.hours"),
        ([{"max": 1, "per": {"hours": float("nan")}}], "caps[0].per.hours"),
        ([{"max": 1, "per": {"calendar": "year"}}], "caps[0].per.calendar"),
        ([{"max": 1, "per": {"calendar": []}}], "caps[0].per.calendar"),
        ([{"max": 1, "per": {"days": 1}, "by": "person"}], "caps[0].by"),
        ([{"max": 1, "per": {"days": 1}, "by": []}], "caps[0].by"),
        ([{"max": 1, "per": {"days": 1}, "counts": ["answered"]}], "caps[0].counts"),
        ([{"max": 1, "per": {"days": 1}, "channel": 5}], "caps[0].channel"),
        ([{"max": 1, "per": {"days": 1}}, {"maximum": 1}], "caps[1].maximum"),
    ],
)
def test_a_cap_that_cannot_be_read_is_refused_by_its_path(value: object, field: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        parse_caps(value)
    assert refused.value.field == field


@each(
    ("value", "field"),
    [
        ([{"wait": {"days": 1}}], "cooldowns[0].after"),
        ([{"after": ["refused"]}], "cooldowns[0].wait"),
        ([{"after": ["refused"], "wait": {"first_day": "next"}}], "cooldowns[0].wait"),
        ([{"after": ["refused"], "wait": {"days": 1, "first_day": "third"}}], "cooldowns[0].wait.first_day"),
        ([{"after": ["refused"], "wait": {"hours": 1, "first_day": "next"}}], "cooldowns[0].wait.first_day"),
        ([{"after": ["refused"], "wait": {"calendar": "week"}}], "cooldowns[0].wait"),
    ],
)
def test_a_cooldown_that_cannot_be_read_is_refused_by_its_path(value: object, field: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        parse_cooldowns(value)
    assert refused.value.field == field


@each("make", [lambda: Cap(0, Days(1)), lambda: Days(0), lambda: Hours(-1)])
def test_a_number_that_is_not_positive_is_refused(make: Any) -> None:
    with pytest.raises(ValueError, match="greater than 0"):
        make()


# --- Cases, each with its answer written down and found again by walking ------------------------------------------

NEW_YORK, LOS_ANGELES, MADRID, CANARY = "America/New_York", "America/Los_Angeles", "Europe/Madrid", "Atlantic/Canary"
SANTIAGO, LORD_HOWE = "America/Santiago", "Australia/Lord_Howe"
AUCKLAND, SAMOA = "Pacific/Auckland", "Pacific/Pago_Pago"
EIGHT_TO_EIGHT = {"all": [["08:00", "20:00"]]}
WORKDAYS = {"mon-fri": [["09:00", "18:00"]]}

CASES = {
    "24 elapsed hours over the autumn change end an hour earlier by the clock": (
        [NEW_YORK], EIGHT_TO_EIGHT, {"caps": [{"max": 1, "per": {"hours": 24}, "by": "phone"}]},
        ["2027-11-06T15:00 no_answer"], "2027-11-06T15:15", "2027-11-07T15:00",
    ),
    "48 elapsed hours over the spring change": (
        [MADRID], EIGHT_TO_EIGHT, {"caps": [{"max": 1, "per": {"hours": 48}, "by": "phone"}]},
        ["2027-03-27T08:00 busy"], "2027-03-27T08:15", "2027-03-29T08:00",
    ),
    "a span of hours that Chile repeats counts once": (
        [SANTIAGO], ALWAYS, {"caps": [{"max": 1, "per": {"hours": 2.5}, "by": "lead"}]},
        ["2027-04-04T02:30 busy"], "2027-04-04T02:45", "2027-04-04T05:00",
    ),
    "a date that begins at 01:00 in Chile": (
        [SANTIAGO], ALWAYS, {"caps": [{"max": 1, "per": {"days": 2}, "by": "lead"}]},
        ["2027-09-03T20:00 busy"], "2027-09-03T20:15", "2027-09-05T04:00",
    ),
    "a date that ends twice in Chile": (
        [SANTIAGO], ALWAYS, {"caps": [{"max": 1, "per": {"calendar": "day"}, "by": "lead"}]},
        ["2027-04-04T02:45 busy"], "2027-04-04T03:00", "2027-04-04T04:00",
    ),
    "half an hour more in Lord Howe": (
        [LORD_HOWE], {"all": [["01:30", "02:30"]]}, {"caps": [{"max": 1, "per": {"hours": 24}, "by": "lead"}]},
        ["2027-04-02T14:45 busy"], "2027-04-02T15:00", "2027-04-03T14:45",
    ),
    "the half hour that Lord Howe skips": (
        [LORD_HOWE], {"all": [["02:00", "02:45"]]}, {"caps": [{"max": 1, "per": {"days": 1}, "by": "lead"}]},
        ["2027-10-01T15:45 busy"], "2027-10-01T16:00", "2027-10-02T15:30",
    ),
    "a date must have passed on both coasts": (
        [NEW_YORK, LOS_ANGELES], ALWAYS, {"caps": [{"max": 1, "per": {"days": 1}, "by": "lead"}]},
        ["2027-06-10T20:00 busy"], "2027-06-10T20:15", "2027-06-11T07:00",
    ),
    "a call that was made on two dates stops counting with the later": (
        [NEW_YORK, LOS_ANGELES], ALWAYS, {"caps": [{"max": 1, "per": {"days": 1}, "by": "lead"}]},
        ["2027-06-11T05:00 busy"], "2027-06-11T05:15", "2027-06-12T04:00",
    ),
    "a week must have begun on both sides of the date line": (
        [AUCKLAND, SAMOA], ALWAYS, {"caps": [{"max": 1, "per": {"calendar": "week"}, "by": "lead"}]},
        ["2027-06-13T13:00 busy"], "2027-06-13T13:15", "2027-06-20T12:00",
    ),
    "a month that ended on one side of the date line alone": (
        [AUCKLAND, SAMOA], ALWAYS, {"caps": [{"max": 1, "per": {"calendar": "month"}, "by": "lead"}]},
        ["2027-01-31T11:30 busy"], "2027-01-31T11:45", "2027-02-28T11:00",
    ),
    "the week of the new year begins in the old one": (
        [MADRID], EIGHT_TO_EIGHT, {"caps": [{"max": 2, "per": {"calendar": "week"}, "by": "lead"}]},
        ["2026-12-28T10:00 busy", "2027-01-02T10:00 busy"], "2027-01-02T10:15", "2027-01-04T07:00",
    ),
    "February of a leap year": (
        [NEW_YORK], EIGHT_TO_EIGHT, {"caps": [{"max": 2, "per": {"calendar": "month"}, "by": "lead"}]},
        ["2028-02-01T15:00 busy", "2028-02-29T15:00 busy"], "2028-02-29T15:15", "2028-03-01T13:00",
    ),
    "the call before last makes room, not the oldest": (
        [NEW_YORK], EIGHT_TO_EIGHT, {"caps": [{"max": 2, "per": {"days": 3}, "by": "lead"}]},
        ["2027-06-07T15:00 busy", "2027-06-08T15:00 busy", "2027-06-09T15:00 busy", "2027-06-09T19:00 busy"],
        "2027-06-09T19:15", "2027-06-12T12:00",
    ),
    "room on a Saturday waits for Monday": (
        [MADRID], WORKDAYS, {"caps": [{"max": 1, "per": {"days": 3}, "by": "lead"}]},
        ["2027-06-09T15:00 busy"], "2027-06-09T15:15", "2027-06-14T07:00",
    ),
    "the hours that two zones share come after the date of both": (
        [MADRID, CANARY], WORKDAYS, {"caps": [{"max": 1, "per": {"calendar": "day"}, "by": "lead"}]},
        ["2027-06-08T15:00 busy"], "2027-06-08T15:15", "2027-06-09T08:00",
    ),
    "another subject does not count": (
        [NEW_YORK], EIGHT_TO_EIGHT, {"caps": [{"max": 2, "per": {"hours": 24}, "by": ["lead", "subject"]}]},
        ["2027-06-10T13:00 busy subject=S1", "2027-06-10T14:00 busy subject=S2"],
        "2027-06-10T15:00", "2027-06-10T15:00",
    ),
    "a call about nobody knows what counts for every subject, from any number": (
        [NEW_YORK], EIGHT_TO_EIGHT, {"caps": [{"max": 2, "per": {"hours": 24}, "by": ["lead", "subject"]}]},
        ["2027-06-10T13:00 busy subject=S1 phone=P2", "2027-06-10T14:00 busy"],
        "2027-06-10T15:00", "2027-06-11T13:00",
    ),
    "one debt of two debtors": (
        [NEW_YORK], EIGHT_TO_EIGHT, {"caps": [{"max": 1, "per": {"days": 7}, "by": "debt"}]},
        ["2027-06-10T13:00 busy lead=L2 debt=D1"], "2027-06-10T15:00", "2027-06-17T12:00",
    ),
    "a campaign counts its calls to anybody": (
        [NEW_YORK], EIGHT_TO_EIGHT, {"caps": [{"max": 2, "per": {"hours": 1}, "by": "campaign"}]},
        ["2027-06-10T14:15 busy lead=L2 campaign=7", "2027-06-10T14:30 busy lead=L3 campaign=7",
         "2027-06-10T14:45 busy campaign=8"],
        "2027-06-10T14:45", "2027-06-10T15:15",
    ),
    "a group counts the calls of all its campaigns to the lead": (
        [NEW_YORK], EIGHT_TO_EIGHT, {"caps": [{"max": 2, "per": {"calendar": "day"}, "by": ["group", "lead"]}]},
        ["2027-06-10T13:00 busy campaign=8 group=G1", "2027-06-10T13:30 busy campaign=9 group=G1",
         "2027-06-10T14:00 busy lead=L2 campaign=7 group=G1"],
        "2027-06-10T15:00", "2027-06-11T12:00",
    ),
    "another group does not count": (
        [NEW_YORK], EIGHT_TO_EIGHT, {"caps": [{"max": 1, "per": {"calendar": "day"}, "by": ["group", "lead"]}]},
        ["2027-06-10T13:00 busy campaign=7 group=G2"], "2027-06-10T15:00", "2027-06-10T15:00",
    ),
    "mobile lines of a lead have a cap of their own": (
        [NEW_YORK], EIGHT_TO_EIGHT, {"caps": [{"max": 1, "per": {"hours": 3}, "by": ["lead", "line"]}]},
        ["2027-06-10T13:00 busy line=mobile phone=P2", "2027-06-10T14:00 busy line=fixed phone=P3"],
        "2027-06-10T14:15", "2027-06-10T16:00",
    ),
    "reached by whatever outcome of ours, or by a message left": (
        [NEW_YORK], EIGHT_TO_EIGHT,
        {"caps": [{"max": 2, "per": {"days": 7}, "by": "debt", "counts": ["answered_live", "message_left"]}]},
        ["2027-06-07T13:00 no_answer", "2027-06-08T13:00 hang_up", "2027-06-09T13:00 busy",
         "2027-06-10T13:00 voicemail"],
        "2027-06-10T13:15", "2027-06-15T12:00",
    ),
    "busy and failed calls leave room": (
        [NEW_YORK], EIGHT_TO_EIGHT,
        {"caps": [{"max": 2, "per": {"days": 7}, "by": "debt", "counts": ["no_answer", "machine", "conversation"]}]},
        ["2027-06-07T13:00 busy", "2027-06-08T13:00 failed", "2027-06-09T13:00 invalid_number",
         "2027-06-10T13:00 no_answer"],
        "2027-06-10T15:00", "2027-06-10T15:00",
    ),
    "a call in progress counts as placed": (
        [NEW_YORK], EIGHT_TO_EIGHT, {"caps": [{"max": 2, "per": {"hours": 24}, "by": "lead"}]},
        ["2027-06-10T13:00 busy", "2027-06-10T14:45"], "2027-06-10T15:00", "2027-06-11T13:00",
    ),
    "a call in progress is no conversation yet": (
        [NEW_YORK], EIGHT_TO_EIGHT,
        {"caps": [{"max": 1, "per": {"days": 7}, "by": "lead", "counts": ["conversation"]}],
         "cooldowns": [{"after": ["conversation"], "wait": {"hours": 5}, "by": "lead"}]},
        ["2027-06-10T14:45"], "2027-06-10T15:00", "2027-06-10T15:00",
    ),
    "silence in hours begins with the end of the call": (
        [NEW_YORK], EIGHT_TO_EIGHT, {"cooldowns": [{"after": ["conversation"], "wait": {"hours": 2}, "by": "lead"}]},
        ["2027-06-10T13:00 completed ended_at=2027-06-10T13:45"], "2027-06-10T14:00", "2027-06-10T15:45",
    ),
    "silence in days begins on the date of the end": (
        [NEW_YORK], EIGHT_TO_EIGHT,
        {"cooldowns": [{"after": ["conversation"], "wait": {"days": 7, "first_day": "event"}, "by": "debt"}]},
        ["2027-06-08T03:45 completed ended_at=2027-06-08T04:15"], "2027-06-08T12:00", "2027-06-15T12:00",
    ),
    "a cap counts from the beginning of the call": (
        [NEW_YORK], EIGHT_TO_EIGHT, {"caps": [{"max": 1, "per": {"calendar": "day"}, "by": "lead"}]},
        ["2027-06-08T03:45 completed ended_at=2027-06-08T04:15"], "2027-06-08T12:00", "2027-06-08T12:00",
    ),
    "full days of silence over the spring change": (
        ["Europe/Paris"], {"mon-fri": [["10:00", "13:00"], ["14:00", "20:00"]]},
        {"cooldowns": [{"after": ["refused"], "wait": {"days": 2, "first_day": "next"}, "by": "lead"}]},
        ["2027-03-26T11:00 do_not_call"], "2027-03-26T13:00", "2027-03-29T08:00",
    ),
    "72 hours of silence over the autumn change, of another lead's number": (
        ["Europe/London"], EIGHT_TO_EIGHT,
        {"cooldowns": [{"after": ["abandoned"], "wait": {"hours": 72}, "by": "phone"}]},
        ["2027-10-29T18:30 abandoned lead=L2"], "2027-10-29T18:45", "2027-11-01T18:30",
    ),
    "spacing between calls to a number": (
        [NEW_YORK], EIGHT_TO_EIGHT, {"spacing": [{"per": {"hours": 2}, "by": "phone"}]},
        ["2027-06-10T22:30 busy lead=L2"], "2027-06-10T23:00", "2027-06-11T12:00",
    ),
    "the last to let go decides": (
        [NEW_YORK], EIGHT_TO_EIGHT,
        {"caps": [{"max": 1, "per": {"hours": 24}, "by": "phone"}, {"max": 2, "per": {"days": 2}, "by": "lead"}],
         "cooldowns": [{"after": ["busy"], "wait": {"hours": 30}, "by": "phone"}]},
        ["2027-06-10T13:00 no_answer phone=P2", "2027-06-10T14:00 busy"], "2027-06-10T15:00", "2027-06-12T12:00",
    ),
    "what was written does not count for the voice": (
        [NEW_YORK], EIGHT_TO_EIGHT, {"caps": [{"max": 1, "per": {"days": 7}, "by": "lead"}]},
        ["2027-06-10T13:00 channel=written"], "2027-06-10T15:00", "2027-06-10T15:00",
    ),
}  # fmt: skip


@each(("zones", "windows", "limits", "past", "base", "expected"), CASES.values(), ids=list(CASES))
def test_the_next_call_is_the_one_that_walking_and_counting_finds(
    zones: list[str], windows: Any, limits: dict[str, Any], past: list[str], base: str, expected: str
) -> None:
    spacing = [{"max": 1, **one} for one in limits.get("spacing", ())]
    situation = Situation(
        tuple(zones), windows, (*limits.get("caps", ()), *spacing), limits.get("cooldowns", ()),
        [past_call(words) for words in past],
    )
    assert parse_spacing(limits.get("spacing")) == parse_caps(spacing)
    assert situation.answer(utc(base)) == utc(expected)
    assert situation.walk(utc(base), QUARTER, days=60) == utc(expected)
    if expected != base:
        assert not situation.may_call(utc(expected) - timedelta(microseconds=1))


def past_call(words: str) -> dict[str, Any]:
    """A call to the target, of "2027-06-10T13:00 no_answer phone=P2": debt, subject, line, group if named."""
    at, *rest = words.split()
    named = dict(word.split("=") for word in rest if "=" in word)
    outcome = next((word for word in rest if "=" not in word), None)
    call: dict[str, Any] = {"lead": "L1", "phone": "P1", "outcome": outcome, **named, "at": f"{at}Z"}
    if "campaign" in named:
        call["campaign"] = int(named["campaign"])
    if "ended_at" in named:
        call["ended_at"] = f"{named['ended_at']}Z"
    return call


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
