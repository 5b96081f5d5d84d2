"""Dates and times as people and spreadsheets write them, where they can mean one thing.

Pure. Decided here: which forms are read, and what makes a form ambiguous. `03/04/2027` is the 3rd of April or the 4th
of March; which of them is a matter of the column that it stands in (`rules.conventions`), so whoever reads it says
in which order the day and the month stand, or that nobody knows: then it is refused. What must stay true: a date
without a year is no date of a file, and never today; a two-digit year lies in 2000 to 2099.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, date, datetime, time, timedelta, timezone
from enum import StrEnum
from typing import NamedTuple


class DateOrder(StrEnum):
    """What stands first in a date that ends with its year, in a word."""

    DAY_FIRST = "day_first"
    MONTH_FIRST = "month_first"


class Written(NamedTuple):
    """A date as it was written, with a time of day if one was. `zone` belongs to the time."""

    day: date
    at: time | None = None
    zone: timezone | None = None


class Unclear(ValueError):
    """The sentence says what would be right."""


_MONTHS = {
    name: number
    for number, names in enumerate((
        "enero january ene jan janeiro", "febrero february feb fev fevereiro", "marzo march mar marco",
        "abril april abr apr", "mayo may maio mai", "junio june jun junho", "julio july jul julho",
        "agosto august ago aug", "septiembre september setiembre sep sept set setembro",
        "octubre october oct out outubro",
        "noviembre november nov novembro", "diciembre december dic dec dez dezembro",
    ), start=1)
    for name in names.split()
}  # fmt: skip
_WEEKDAY = re.compile(
    r"^(?:el |on |the )?(?:lunes|martes|miercoles|jueves|viernes|sabado|domingo|lun|mar|mie|jue|vie|sab|dom|"
    r"(?:mon|tues|wednes|thurs|fri|satur|sun)day|mon|tue|tues|wed|thu|thur|thurs|fri|sat|sun)\.?,? (?=[0-9a-z])"
)
_MONTH = "|".join(sorted(_MONTHS, key=len, reverse=True))
_YEAR_FIRST = re.compile(r"(?P<year>[12][0-9]{3})(?P<mark>[-/.])(?P<month>[0-9]{1,2})(?P=mark)(?P<day>[0-9]{1,2})")
_COMPACT = re.compile(r"(?P<year>[12][0-9]{3})(?P<month>[01][0-9])(?P<day>[0-3][0-9])")
_YEAR_LAST = re.compile(
    r"(?P<first>[0-9]{1,2})(?P<mark>[-/. ])(?P<second>[0-9]{1,2})(?P=mark)(?P<year>[0-9]{4}|[0-9]{2})"
)
_AFTER_WORD = r"(?:19|20)[0-9]{2}\b|[0-9]{2}\b(?![:.h]| ?[ap]\.? ?m)"
"""A year behind a month: "3 dic 10:00" names none."""
_DAY_THEN_WORD = re.compile(
    rf"(?:el |dia |the )*(?P<day>[0-9]{{1,2}})(?:st|nd|rd|th|º|°|o)?(?:[-/. ]|\. )*(?:de |of )?"
    rf"(?P<month>{_MONTH})\b\.?(?:,? ?(?:de |del |of )?[-/.,]? ?(?P<year>{_AFTER_WORD}))?"
)
_WORD_THEN_DAY = re.compile(
    rf"(?P<month>{_MONTH})\b\.?[-/. ]*(?P<day>[0-9]{{1,2}})(?:st|nd|rd|th)?\b(?:(?:, ?|[-/. ])(?P<year>[0-9]{{4}}))?"
)
_YEAR_THEN_WORD = re.compile(rf"(?P<year>[12][0-9]{{3}})[-/. ](?P<month>{_MONTH})\b\.?[-/. ](?P<day>[0-9]{{1,2}})")
_DAY_AND_MONTH = re.compile(r"(?P<day>[0-9]{1,2})/(?P<month>[0-9]{1,2})(?![0-9/])")
_CLOCK = re.compile(
    r"(?:t|,| a las| a la| at|,? )? ?(?P<hour>[0-9]{1,2})(?:[:.h](?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})"
    r"(?:[.,](?P<part>[0-9]{1,9}))?)?)?(?: ?(?P<half>[ap]) ?\.? ?m\b\.?)?(?: ?(?:h|hs|hrs|horas)\b\.?)?"
    r"(?: ?(?P<zone>z|utc|gmt|(?:utc|gmt)? ?(?P<sign>[-+])(?P<hours>[0-9]{1,2})(?::?(?P<minutes>[0-9]{2}))?))?"
)
_SERIAL = re.compile(r"(?P<days>[2-9][0-9]{4})(?:[.,](?P<part>[0-9]{1,15}))?")
_SERIALS = range(25_569, 73_051)
"""Days of a spreadsheet that can be meant: 1970 to 2099."""
_LONGEST = 64
WRITE_DATE = "write the date as YYYY-MM-DD, such as 2026-12-24"
WRITE_TIME = "write a date and time, such as 2027-06-08T09:30 (in the lead's zone) or 2027-06-08T09:30-04:00"


def tell_order(text: str) -> DateOrder | bool | None:
    """What a written date shows of the order of day and month in its column. False: nothing; None: it can be both."""
    found = _YEAR_LAST.match(" ".join(text.split()))
    if found is None:
        return False
    first, second = int(found["first"]), int(found["second"])
    if first == second or not (first and second):
        return False
    if first > 12:
        return DateOrder.DAY_FIRST if first <= 31 and second <= 12 else False
    if second > 12:
        return DateOrder.MONTH_FIRST if second <= 31 else False
    return None


def read_written(text: str, order: DateOrder | None, *, from_1904: bool = False) -> Written:
    """A date, with its time if one is written. Raises `Unclear` for what is none, or could be two."""
    plain = _plain(text)
    if len(plain) > _LONGEST:
        raise Unclear(WRITE_DATE)
    if (serial := _SERIAL.fullmatch(plain)) is not None:
        return _read_serial(serial, from_1904=from_1904)
    # "mar 3 2027" is the third of March, "mar 3 dic 2027" a Tuesday: what names the weekday is tried as a month first.
    bare = _WEEKDAY.sub("", plain, count=1)
    if bare != plain:
        try:
            return _read_day(plain, order)
        except Unclear:
            pass
    return _read_day(bare, order)


def _read_day(plain: str, order: DateOrder | None) -> Written:
    year, month, day, rest = _split(plain, order)
    if year is None:
        raise Unclear("it names no year; write it with one, such as 2026-12-24")
    try:
        found = date(year, month, day)
    except ValueError:
        raise Unclear("there is no such date") from None
    return _read_clock(found, rest) if rest.strip() else Written(found)


def next_written(text: str, since: date) -> Written | None:
    """The next day, from `since` on, that a date without its year can mean, such as "3 de diciembre", with its time if
    one is written; else None.
    """
    plain = _WEEKDAY.sub("", _plain(text), count=1)
    for form in (_DAY_THEN_WORD, _WORD_THEN_DAY, _DAY_AND_MONTH):
        found = form.match(plain) if len(plain) <= _LONGEST else None
        if found is None or found.groupdict().get("year") is not None:
            continue
        month = found["month"]
        number = _MONTHS[month] if month in _MONTHS else int(month)
        for year in range(since.year, since.year + 9):  # eight years may lie between two 29ths of February
            try:
                day = date(year, number, int(found["day"]))
            except ValueError:
                continue
            if day >= since:
                rest = plain[found.end() :]
                try:
                    return _read_clock(day, rest) if rest.strip() else Written(day)
                except Unclear:
                    return None
    return None


def _plain(text: str) -> str:
    """Without accents, case and doubled spaces."""
    letters = unicodedata.normalize("NFKD", " ".join(text[:200].split()).casefold())
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def _split(plain: str, order: DateOrder | None) -> tuple[int | None, int, int, str]:
    """Year, month and day, and what stands after them."""
    for form in (_YEAR_FIRST, _YEAR_THEN_WORD, _DAY_THEN_WORD, _WORD_THEN_DAY):
        if (found := form.match(plain)) is not None:
            month = found["month"]
            year = None if found["year"] is None else _year(found["year"])
            number = _MONTHS[month] if month in _MONTHS else int(month)
            return year, number, int(found["day"]), plain[found.end() :]
    if (found := _COMPACT.match(plain)) is not None and not plain[found.end() : found.end() + 1].isdigit():
        return int(found["year"]), int(found["month"]), int(found["day"]), plain[found.end() :]
    if (found := _YEAR_LAST.match(plain)) is not None and not plain[found.end() : found.end() + 1].isdigit():
        first, second, year = int(found["first"]), int(found["second"]), _year(found["year"])
        shown = tell_order(found[0])
        if shown is None and order is None:
            raise Unclear(
                f"it can be day {first} of month {second} or day {second} of month {first}; write it as YYYY-MM-DD, or "
                "say which with the date order"
            )
        is_month_first = (shown or order) is DateOrder.MONTH_FIRST
        month_number, day = (first, second) if is_month_first else (second, first)
        return year, month_number, day, plain[found.end() :]
    raise Unclear(WRITE_DATE)


def _year(text: str) -> int:
    return int(text) if len(text) == 4 else 2000 + int(text)


def _read_clock(day: date, rest: str) -> Written:
    found = _CLOCK.fullmatch(rest)
    if found is None:
        raise Unclear(WRITE_TIME)
    hour, half = int(found["hour"]), found["half"]
    if half is None and found["minute"] is None:
        raise Unclear(WRITE_TIME)
    if half is not None and not (half == "p" and 12 < hour < 24):
        if not 1 <= hour <= 12 and not (hour == 0 and half == "a"):
            raise Unclear("there is no such time of day")
        hour = hour % 12 + (12 if half == "p" else 0)
    part = int((found["part"] or "0")[:6].ljust(6, "0"))
    try:
        at = time(hour, int(found["minute"] or 0), int(found["second"] or 0), part)
        return Written(day, at, _zone(found))
    except ValueError:
        raise Unclear("there is no such time of day") from None


def _zone(found: re.Match[str]) -> timezone | None:
    if found["zone"] is None:
        return None
    if found["sign"] is None:
        return UTC
    ahead = timedelta(hours=int(found["hours"]), minutes=int(found["minutes"] or 0))
    return timezone(-ahead if found["sign"] == "-" else ahead)


def _read_serial(found: re.Match[str], *, from_1904: bool) -> Written:
    """A spreadsheet's count of days; its fraction is the time of day."""
    days = int(found["days"])
    if days not in _SERIALS:
        raise Unclear(WRITE_DATE)
    seconds = round(float(f"0.{found['part'] or 0}") * 86400)
    first = datetime(1904, 1, 1) if from_1904 else datetime(1899, 12, 30)  # noqa: DTZ001 a wall time, as it is meant
    at = first + timedelta(days=days, seconds=seconds)
    return Written(at.date(), at.time() if seconds else None)


def has_short_year(text: str) -> bool:
    """Has its year two digits?"""
    plain = _plain(text)
    found = _YEAR_LAST.match(plain) or _DAY_THEN_WORD.match(_WEEKDAY.sub("", plain, count=1))
    return found is not None and found["year"] is not None and len(found["year"]) == 2


def is_serial(text: str) -> bool:
    """Is it a count of days, as a spreadsheet writes a date that lost its format?"""
    return _SERIAL.fullmatch(text.strip()) is not None
