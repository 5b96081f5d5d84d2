"""Say which dates are holidays, and what they are called.

The calendars are those of the `holidays` package ("CL", "ES-CT"); a team adds its own shut days and takes
away the ones it works. Not decided here: what a holiday does to the hours (`hours` does that).
What must stay true: a date taken away is never a holiday, whatever the calendars say. A newcomer would
expect regional holidays under the plain country code: "ES" has the national ones only, "ES-CT" adds
those of Catalonia. A province keeps the holidays of the region that it lies in (ES-B those of ES-CT).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache, lru_cache

from scheduler.errors import InvalidValue
from scheduler.rules.subdivisions import is_known, lineage, parts_of
from scheduler.rules.zones import parent_of_territory

_RIGHT = (
    'write calendars such as "CL" or "ES-CT", dates such as "2026-12-24" to add '
    'and "-2026-12-08" to take away, separated by commas'
)


@dataclass(frozen=True)
class Holidays:
    """Calendars by code, plus `dates` that are shut too, less `workdays` that are worked all the same."""

    calendars: tuple[str, ...] = ()
    dates: frozenset[date] = frozenset()
    workdays: frozenset[date] = frozenset()

    @classmethod
    def parse(cls, value: object, field: str = "holidays") -> Holidays:
        """Read None, "CL,ES-CT,2026-12-24,-2026-12-08", a list of such strings, or an object.

        The object is {"calendars": [...], "dates": [...], "except": [...]}.
        """
        if value is None:
            return cls()
        if isinstance(value, Mapping):
            return _parse_object(value, field)
        return _parse_entries(_entries(value, field))

    def is_holiday(self, day: date) -> bool:
        if day in self.workdays:
            return False
        return day in self.dates or any(day in _year_of(code, day.year) for code in self.calendars)

    def name_of(self, day: date) -> str | None:
        """What a person would recognize, such as "CL: Fiestas Patrias"; None when it is no holiday."""
        if not self.is_holiday(day):
            return None
        for code in self.calendars:
            if name := _year_of(code, day.year).get(day):
                return f"{code}: {name}"
        return "a date on this rule's own list"

    def __bool__(self) -> bool:
        return bool(self.calendars or self.dates)


NO_HOLIDAYS = Holidays()


@lru_cache(maxsize=4096)
def narrow_holidays(holidays: Holidays, country: str | None, region: str | None) -> Holidays:
    """The calendars that bind one lead.

    Where calendars of the lead's country are listed, only those bind it: a list for six countries must
    not shut each of them on the holidays of all. A bare country code is read with the lead's region. A
    lead whose country is not listed, or not known, keeps every listed calendar: never call too much.
    """
    own = tuple(code for code in holidays.calendars if country and code[:2] == country)
    if not own:
        parent = parent_of_territory(country) if country else None
        if parent is not None and any(code[:2] == parent[:2] for code in holidays.calendars):
            return narrow_holidays(holidays, parent[:2], parent)
        return holidays
    found = calendar_of(region) if region else None
    narrowed = [found if len(code) == 2 and found and found[:2] == code else code for code in own]
    return Holidays(tuple(dict.fromkeys(narrowed)), holidays.dates, holidays.workdays)


@cache
def calendar_of(region: str) -> str | None:
    """Whose holidays a region keeps: "ES-B" those of "ES-CT", "FR-75" those of "FR" alone. None: not known, so that
    its country's are kept and those of the region may be missed.
    """
    country = region[:2]
    subdivisions = _subdivisions().get(country)
    if subdivisions is None:
        return None
    for place in (*lineage(region), region):
        if found := _own_calendar(country, place.partition("-")[2]):
            return found
    if len(region) == 2 or not subdivisions:
        return country
    # Calendars of some regions only: the others keep the national ones. Those of its parts may be kept in it.
    is_whole = is_known(region) and not any(_own_calendar(country, part.partition("-")[2]) for part in parts_of(region))
    return country if is_whole else None


def _own_calendar(country: str, subdivision: str) -> str | None:
    known = _spellings(country).get(subdivision.upper())
    return f"{country}-{known}" if known else None


@cache
def _spellings(country: str) -> Mapping[str, str]:
    """The regional calendars of a country, also by their other codes and names."""
    import holidays

    others = getattr(getattr(holidays, country), "subdivisions_aliases", None) or {}
    return {name.upper(): code for name, code in others.items()} | {
        code.upper(): code for code in _subdivisions()[country]
    }


def _parse_object(value: Mapping[object, object], field: str) -> Holidays:
    known = {"calendars", "dates", "except"}
    for key in value:
        if key not in known:
            raise InvalidValue(f"{field}.{key}", value[key], "the keys are calendars, dates and except")
    calendars = [_calendar_code(text, where) for text, where in _entries_at(value, "calendars", field)]
    dates = [_date(text, where) for text, where in _entries_at(value, "dates", field)]
    workdays = [_date(text, where) for text, where in _entries_at(value, "except", field)]
    return Holidays(tuple(dict.fromkeys(calendars)), frozenset(dates), frozenset(workdays))


def _entries_at(value: Mapping[object, object], key: str, field: str) -> list[tuple[str, str]]:
    return [] if value.get(key) is None else _entries(value[key], f"{field}.{key}")


def _entries(value: object, field: str) -> list[tuple[str, str]]:
    """Each entry with the path a person would look for it under; lists and comma lists may be mixed."""
    if isinstance(value, date):
        return [(value.isoformat()[:10], field)]
    if isinstance(value, str):
        return [(part.strip(), field) for part in value.split(",") if part.strip()]
    if isinstance(value, Sequence | frozenset | set):
        return [entry for i, item in enumerate(value) for entry in _entries(item, f"{field}[{i}]")]
    raise InvalidValue(field, value, _RIGHT)


def _parse_entries(entries: list[tuple[str, str]]) -> Holidays:
    calendars: dict[str, None] = {}
    dates: set[date] = set()
    workdays: set[date] = set()
    for text, field in entries:
        if text[0] == "-":
            workdays.add(_date(text[1:].strip(), field))
        elif text[0].isdigit():
            dates.add(_date(text, field))
        else:
            calendars[_calendar_code(text, field)] = None
    return Holidays(tuple(calendars), frozenset(dates), frozenset(workdays))


def _date(text: str, field: str) -> date:
    try:
        if len(text) == 10:
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise InvalidValue(field, text, "write a date of the calendar as YYYY-MM-DD, such as 2026-12-24")


def _calendar_code(text: str, field: str) -> str:
    """The code as the calendars spell it: "es-ct" becomes "ES-CT"."""
    country, _, subdivision = text.partition("-")
    country = country.upper()
    subdivisions = _subdivisions().get(country)
    if subdivisions is None:
        right = "write a country as its two ISO letters, such as CL, or with a region, such as ES-CT"
        raise InvalidValue(field, text, right)
    if not subdivision:
        return country
    for place in (f"{country}-{subdivision}", *lineage(f"{country}-{subdivision.upper()}")):
        if found := _own_calendar(country, place.partition("-")[2]):
            return found
    some = ", ".join(f"{country}-{known}" for known in subdivisions)
    right = f"{country} has these regions: {some}" if some else f"{country} has no regional calendars"
    raise InvalidValue(field, text, right)


@cache
def _subdivisions() -> Mapping[str, list[str]]:
    # The package takes a tenth of a second to import; most rules name no calendar.
    import holidays

    return holidays.list_supported_countries()


@lru_cache(maxsize=4096)
def _year_of(code: str, year: int) -> Mapping[date, str]:
    """One year of one calendar as a plain dict; the package's own objects grow when they are asked."""
    import holidays

    country, _, subdivision = code.partition("-")
    try:
        calendar = holidays.country_holidays(country, subdiv=subdivision or None, years=year)
        if calendar.default_language:
            # Otherwise the names follow the locale of the process, and reasons differ between hosts.
            calendar = holidays.country_holidays(
                country, subdiv=subdivision or None, years=year, language=calendar.default_language
            )
    except NotImplementedError as error:
        raise InvalidValue("holidays", code, 'write calendars such as "CL" or "ES-CT"') from error
    return {day: name for day, name in calendar.items() if day.year == year}
