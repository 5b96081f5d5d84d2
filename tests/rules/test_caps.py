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
    next_callable,
    next_release,
    parse_caps,
    parse_cooldowns,
    parse_history,
    parse_spacing,
    parse_target,
)
from scheduler.rules.hours import HoursRule, Windows

TARGET = Target(lead="L1", phone="P1", debt="D1", campaign=7)


@pytest.mark.parametrize(
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


@pytest.mark.parametrize(
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


@pytest.mark.parametrize(
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


@pytest.mark.parametrize(
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


@pytest.mark.parametrize(
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
    assert parse_history([{"at": "2027-06-10T16:00:00+02:00", "lead": 5}]) == (
        PastCall(utc("2027-06-10T14:00"), lead=5),
    )


@pytest.mark.parametrize(
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


@pytest.mark.parametrize(
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


@pytest.mark.parametrize("make", [lambda: Cap(0, Days(1)), lambda: Days(0), lambda: Hours(-1)])
def test_a_number_that_is_not_positive_is_refused(make: Any) -> None:
    with pytest.raises(ValueError, match="greater than 0"):
        make()


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
