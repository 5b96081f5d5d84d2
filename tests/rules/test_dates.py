"""Dates as people write them: what each form means, and which are refused because they mean two things or none."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scheduler.rules.dates import DateOrder, Unclear, next_written, read_written, tell_order
from tests.each import each

DAY, MONTH = DateOrder.DAY_FIRST, DateOrder.MONTH_FIRST


@each(("text", "day", "at"), [
    ("2027-03-08", "2027-03-08", None), ("2027/3/8", "2027-03-08", None), ("20270308", "2027-03-08", None),
    ("8/3/2027", "2027-03-08", None), ("8.3.27", "2027-03-08", None), ("08-03-2027 17:30", "2027-03-08", "17:30"),
    ("8/3/2027 5:30 p. m.", "2027-03-08", "17:30"), ("8/3/2027 12:05 a.m.", "2027-03-08", "00:05"),
    ("8/3/2027 12:05 PM", "2027-03-08", "12:05"), ("8 de marzo de 2027", "2027-03-08", None),
    ("8 de Marzo del 2027, 17.30 hrs", "2027-03-08", "17:30"),
    ("Lunes 8 de marzo de 2027 a las 9:00", "2027-03-08", "09:00"),
    ("March 8, 2027", "2027-03-08", None), ("Mon, 8 Mar 2027 09:00", "2027-03-08", "09:00"),
    ("8th of March 2027 at 9am", "2027-03-08", "09:00"), ("8-mar-27", "2027-03-08", None),
    ("2027-Mar-08", "2027-03-08", None), ("8 set. 2027", "2027-09-08", None), ("46454", "2027-03-08", None),
    ("46454.75", "2027-03-08", "18:00"), ("46454,5", "2027-03-08", "12:00"), ("8 de março de 2027", "2027-03-08", None),
    ("2027-03-08T17:30:15.123456789", "2027-03-08", "17:30:15.123456"),
])  # fmt: skip
def test_a_date_is_read_in_the_forms_that_people_write(text, day, at):
    found = read_written(text, DAY)
    assert (str(found.day), found.at) == (day, None if at is None else time.fromisoformat(at))


@each(("text", "offset"), [
    ("2027-03-08T17:30Z", 0), ("2027-03-08 17:30 -03:00", -3), ("8/3/2027 17:30 UTC", 0), ("8/3/2027 17:30 GMT-3", -3),
    ("2027-03-08T17:30+0100", 1),
])  # fmt: skip
def test_a_zone_belongs_to_the_time(text, offset):
    found = read_written(text, DAY)
    assert found.zone is not None and found.zone.utcoffset(None) == timedelta(hours=offset)


@each(("text", "why"), [
    ("03/04/2027", "day 3 of month 4 or day 4 of month 3"), ("31/02/2027", "no such date"),
    ("2027-13-01", "no such date"),
    ("3 December", "names no year"), ("3 dic 10:00", "names no year"),
    ("3 dic 10 am", "names no year"), ("3/12", "YYYY-MM-DD"), ("mañana", "YYYY-MM-DD"), ("", "YYYY-MM-DD"),
    ("2027-03-08 25:00", "no such time"), ("2027-03-08 7", "a date and time"), ("12345", "YYYY-MM-DD"),
    ("95555", "YYYY-MM-DD"), ("28/3/2027 13:00 am", "no such time"), ("28/3/2027 y más", "a date and time"),
    ("28/3/2027/4", "a date and time"), ("912345678", "YYYY-MM-DD"), ("2027", "YYYY-MM-DD"),
    ("8 març 2027", "YYYY-MM-DD"),
])  # fmt: skip
def test_what_means_two_days_or_none_is_refused_with_what_would_be_right(text, why):
    with pytest.raises(Unclear, match=why):
        read_written(text, None)


@each(("text", "told"), [
    ("31/12/2027", DAY), ("12/31/2027", MONTH), ("13.1.27", DAY), ("1-13-27 10:00", MONTH), ("03/04/2027", None),
    ("5/5/2027", False), ("2027-03-04", False), ("3 de abril", False), ("45/45/2027", False), ("0/3/2027", False),
    ("", False), ("46454", False),
])  # fmt: skip
def test_a_date_tells_the_order_of_its_column_where_it_can_be_only_one(text, told):
    assert tell_order(text) is told


@given(st.dates(date(2000, 1, 1), date(2099, 12, 31)), st.sampled_from("/-."), st.sampled_from(["%y", "%Y"]))
def test_a_date_is_read_back_in_the_order_that_was_said(day, mark, year):
    for order, form in ((DAY, "%d{0}%m{0}"), (MONTH, "%m{0}%d{0}")):
        written = day.strftime(form.format(mark) + year)
        assert read_written(written, order).day == day
        assert tell_order(written) in (order, None, False)


@given(st.text(max_size=80) | st.from_regex(r"[0-9]{1,5}[/. -]?[0-9a-z]{0,9}[/. -]?[0-9]{0,5}.{0,20}"))
@example("1/1/2027 0:00 +99:99")
@example("29.2.2027")
@example("²/³/2027")
def test_no_text_raises_anything_but_that_it_is_unclear(text):
    for order in (DAY, None):
        try:
            found = read_written(text, order)
        except Unclear:
            continue
        datetime.combine(found.day, found.at or time(), found.zone or UTC)
    tell_order(text)
    next_written(text, date(2026, 12, 1))


@each(("text", "day"), [
    ("3 December", "2026-12-03"), ("3 de diciembre 10:00", "2026-12-03"), ("3 December 10 am", "2026-12-03"),
    ("3 dic a las 16.30", "2026-12-03"), ("3 de diciembre", "2026-12-03"), ("el 1 de dic.", "2026-12-01"),
    ("30/11", "2027-11-30"),
    ("Nov 30th", "2027-11-30"), ("29 feb", "2028-02-29"), ("31 de junio", None), ("3 December 2027", None),
    ("december", None), ("10.30", None), ("3/12/2026", None), ("3 de diciembre y algo", None),
])  # fmt: skip
def test_a_date_without_its_year_is_the_next_one(text, day):
    found = next_written(text, date(2026, 12, 1))
    assert (None if found is None else str(found.day)) == day
