"""Decide when a lead may be called.

Pure: works on the rules and the instant it is given; reads no clock and no table. All results are UTC.

An instant is open for a rule and a zone when the wall clock of that zone reads inside a span of that
local date, or inside the after-midnight tail of a span that began the day before. Spans are half-open:
21:00 is closed when the span ends at 21:00. A tail is shut if its own date or the date it began on is a
holiday. Several zones, and several rules, must all be open. With a closing margin m, an instant is
allowed when all of [t, t+m) is open.

How: the UTC line is cut into pieces of constant offset and every wall-clock span is laid on each piece.
So a skipped hour is never open and a repeated hour is judged both times, with no special case anywhere.
The open intervals are kept per week and per set of rules; a margin looks past the end of its week.

A newcomer would add a timedelta to a local datetime: that moves the wall clock, not elapsed time, and two
datetimes of one zone compare by wall clock. Here local time is turned back to UTC at once.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.resources
import os
import re
import zoneinfo
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, lru_cache
from itertools import combinations
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from scheduler.errors import InvalidValue
from scheduler.rules.holiday_calendars import NO_HOLIDAYS, Holidays

__all__ = [
    "HORIZON",
    "AtLocal",
    "Delay",
    "Elapsed",
    "Holidays",
    "HoursRule",
    "NoDelay",
    "OpenSpan",
    "OpenTime",
    "Planned",
    "Span",
    "Wall",
    "Windows",
    "WorkingDays",
    "apply_delay",
    "calculate_next_working_datetime",
    "day_start",
    "explain_closed",
    "find_openings",
    "format_local",
    "is_allowed",
    "next_allowed",
    "open_span",
    "parse_delay",
    "parse_time",
    "plan",
    "tzdata_version",
    "wall_to_utc",
    "zone_info",
]

HORIZON = timedelta(days=400)
"""How far ahead an opening is looked for. Past it the answer is None: never, with these rules."""

LONGEST_MARGIN = timedelta(days=1)
LONGEST_DELAY_DAYS = 3660

_REACH = timedelta(hours=48)
"""How far from the asked instant `open_span` follows rules that do not close."""

_DAY_S = 86_400
_DAY_US = _DAY_S * 1_000_000
_WEEK_US = 7 * _DAY_US
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_ORDINAL = _EPOCH.toordinal()
_TICK = timedelta(microseconds=1)
# Outside these weeks (of date ordinals) local times may fall off the calendar; nothing is open there.
_FIRST_WEEK, _LAST_WEEK = 100, date.max.toordinal() // 7 - 100

_END_OF_TIME = datetime(9990, 1, 1, tzinfo=UTC)

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WEEKDAY_NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTH_NAMES = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


# --- What a rule is -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Wall-clock seconds after local midnight; `close_s` <= `open_s` means it closes the day after."""

    open_s: int
    close_s: int

    def __post_init__(self) -> None:
        if not (0 <= self.open_s < _DAY_S and 0 <= self.close_s <= _DAY_S):
            raise ValueError(f"{self!r} does not lie on the clock: 0 <= open < 86400, 0 <= close <= 86400")

    def __str__(self) -> str:
        return f"{_format_seconds(self.open_s)}-{_format_seconds(self.close_s)}"


@dataclass(frozen=True)
class Windows:
    """The spans that begin on each weekday, Monday first, and those used on holidays (none = shut)."""

    weekdays: tuple[tuple[Span, ...], ...]
    holiday: tuple[Span, ...] = ()

    def __post_init__(self) -> None:
        if len(self.weekdays) != 7:
            raise ValueError(f"a week has 7 days, not {len(self.weekdays)}")

    @classmethod
    def parse(cls, mapping: object, field: str = "windows") -> Windows:
        """Read {"mon-fri": [["09:00", "21:00"]], "sat": [...], "hol": [...]}.

        Keys are `all`, a day, a range ("fri-mon" wraps), a comma list of these, or `hol`. A day named by
        several keys takes the spans of the key that names the fewest days: "sat" over "mon-sat" over
        "all". Keys of equal width add up. An empty list shuts the day. Overlapping spans are merged.
        """
        if not isinstance(mapping, Mapping):
            raise InvalidValue(field, mapping, 'write an object such as {"mon-fri": [["09:00", "21:00"]]}')
        holiday: tuple[Span, ...] = ()
        keys: list[tuple[frozenset[int], tuple[Span, ...], bool]] = []
        for key, value in mapping.items():
            spans = _parse_spans(value, f"{field}.{key}")
            name = key.strip().lower() if isinstance(key, str) else ""
            if name == "hol":
                holiday = _merge_spans((*holiday, *spans))
            else:
                keys.append((_parse_days(name, key, value, field), spans, name == "all"))
        return cls(tuple(_narrowest(keys, weekday) for weekday in range(7)), holiday)

    def is_empty(self) -> bool:
        return not any(self.weekdays) and not self.holiday

    def nights(self) -> list[tuple[str, Span]]:
        """The spans that go on past midnight, each with the day on which it begins (mon ... sun, hol)."""
        days = zip((*_DAYS, "hol"), (*self.weekdays, self.holiday), strict=True)
        return [(day, span) for day, spans in days for span in spans if 0 < span.close_s <= span.open_s]

    def spoken(self) -> str:
        """Such as "mon-fri 09:00-20:00, sat 10:00-13:00"; days that are shut are left out."""
        parts = []
        first = 0
        for last in range(7):
            if last == 6 or self.weekdays[last + 1] != self.weekdays[first]:
                if self.weekdays[first]:
                    days = _DAYS[first] + (f"-{_DAYS[last]}" if last > first else "")
                    parts.append(f"{days} {' and '.join(map(str, self.weekdays[first]))}")
                first = last + 1
        if self.holiday:
            parts.append(f"holidays {' and '.join(map(str, self.holiday))}")
        return ", ".join(parts) or "never"


@dataclass(frozen=True)
class HoursRule:
    """Open when every zone's wall clock reads inside the windows, for at least `close_margin` more.

    Rules are cache keys on every dial, so the hash is computed once; build a rule once and keep it.
    """

    zones: tuple[str, ...]
    windows: Windows
    holidays: Holidays = NO_HOLIDAYS
    close_margin: timedelta = timedelta(0)
    label: str = ""
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if isinstance(self.zones, str) or not self.zones:
            raise ValueError(f"a rule of hours needs a tuple of at least one zone, not {self.zones!r}")
        if not timedelta(0) <= self.close_margin <= LONGEST_MARGIN:
            raise ValueError(f"a closing margin lies between 0 and {LONGEST_MARGIN}, not {self.close_margin}")
        object.__setattr__(self, "zones", tuple(self.zones))
        parts = (self.zones, self.windows, self.holidays, self.close_margin, self.label)
        object.__setattr__(self, "_hash", hash(parts))

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> tuple[object, ...]:
        # String hashes differ between processes, so the kept one must not travel in a pickle.
        return HoursRule, (self.zones, self.windows, self.holidays, self.close_margin, self.label)

    @classmethod
    def parse(cls, mapping: object, field: str = "rule", *, lead_zones: Sequence[str] = ()) -> HoursRule:
        """Read {zones or clock, windows, holidays?, close_margin_s?, label?} as in `calling_cases.json`.

        `clock` is "lead" (the default: `zones`, or else `lead_zones`) or one zone the rule is read on.
        """
        if not isinstance(mapping, Mapping):
            raise InvalidValue(field, mapping, "write an object with zones and windows")
        known = ("zones", "clock", "windows", "holidays", "close_margin_s", "label")
        for key in mapping:
            if key not in known:
                raise InvalidValue(f"{field}.{key}", mapping[key], f"the keys are {', '.join(known)}")
        if "windows" not in mapping:
            right = 'write windows: {} for never, {"all": [["00:00", "24:00"]]} for always'
            raise InvalidValue(f"{field}.windows", None, right)
        windows = Windows.parse(mapping["windows"], f"{field}.windows")
        holidays, holiday_spans = _parse_rule_holidays(mapping.get("holidays"), f"{field}.holidays")
        if holiday_spans is not None:
            windows = replace(windows, holiday=holiday_spans)
        return cls(
            zones=_parse_zones(mapping, field, lead_zones),
            windows=windows,
            holidays=holidays,
            close_margin=_parse_margin(mapping.get("close_margin_s"), f"{field}.close_margin_s"),
            label=str(mapping.get("label") or ""),
        )


# --- When a lead may be called --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OpenSpan:
    """Every instant with `open_from` <= t < `open_until` is allowed."""

    open_from: datetime
    open_until: datetime


def is_allowed(rules: Sequence[HoursRule], at: datetime) -> bool:
    """May a call be placed at `at`: open in every zone of every rule, margins included."""
    return _schedule(tuple(rules)).is_allowed(_to_utc(at))


def next_allowed(rules: Sequence[HoursRule], at: datetime) -> datetime | None:
    """The earliest allowed instant that is not before `at`; None when there is none within HORIZON."""
    return _schedule(tuple(rules)).next_allowed(_to_utc(at))


def find_openings(rules: Sequence[HoursRule]) -> Callable[[datetime], datetime | None]:
    """`next_allowed` of these rules for many instants, which must be in UTC."""
    return _schedule(tuple(rules)).next_allowed


def open_span(rules: Sequence[HoursRule], at: datetime) -> OpenSpan | None:
    """The allowed stretch around `at`, joined across midnight; None when `at` is not allowed.

    Cut off 48 hours from `at` on either side, for rules that never close. With a margin, exactly
    close - margin is still allowed, so `open_until` is one microsecond after it.
    """
    return _schedule(tuple(rules)).open_span(_to_utc(at))


def explain_closed(rules: Sequence[HoursRule], at: datetime) -> str:
    """Why `at` is not allowed and when it opens, in a sentence for people.

    Names the first rule and zone that are shut; the opening is the one of all rules together.
    """
    rules, at = tuple(rules), _to_utc(at)
    if is_allowed(rules, at):
        return "inside hours"
    opens_at = next_allowed(rules, at)
    if opens_at is None:
        return f"never allowed: {_why_never(rules, at.toordinal())}"
    reason, zone = _why_closed(rules, at)
    local, opens = at.astimezone(zone), opens_at.astimezone(zone)
    return f"outside hours: {reason}; opens {_format_opening(opens, since=local)}"


# --- Delays ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NoDelay:
    """At once."""


@dataclass(frozen=True, slots=True)
class Elapsed:
    """Seconds that really pass, clock changes or not."""

    seconds: float

    def __post_init__(self) -> None:
        _refuse_negative(self, self.seconds)


@dataclass(frozen=True, slots=True)
class Wall:
    """The same wall-clock time, or `at`, that many local dates later, in the first zone."""

    days: int
    at: time | None = None

    def __post_init__(self) -> None:
        _refuse_negative(self, self.days)


@dataclass(frozen=True, slots=True)
class WorkingDays:
    """The n-th later local date that has a span of its own in every rule, at its opening or a time."""

    n: int
    at: Literal["open", "same"] | time = "open"

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ValueError(f"{self!r}: working days are counted from 1")


@dataclass(frozen=True, slots=True)
class OpenTime:
    """Seconds of open time: the count stands still while the rules are shut. Margins do not shorten it."""

    seconds: float

    def __post_init__(self) -> None:
        _refuse_negative(self, self.seconds)


@dataclass(frozen=True, slots=True)
class AtLocal:
    """A promised wall-clock time, in `zone` or else the first zone of the rules."""

    local: datetime
    zone: str | None = None

    def __post_init__(self) -> None:
        if self.local.tzinfo is not None:
            raise ValueError(f"{self!r}: a local time carries no zone of its own")


Delay = NoDelay | Elapsed | Wall | WorkingDays | OpenTime | AtLocal


@dataclass(frozen=True, slots=True)
class Planned:
    """When to call. `wanted_at` is the instant before it was moved into hours; `at` None = never."""

    at: datetime | None
    wanted_at: datetime | None
    reason: str


def plan(rules: Sequence[HoursRule], base: datetime, delay: Delay = NoDelay()) -> Planned:
    """The delay, then the next allowed instant: moved later when shut, never earlier.

    `reason` is empty when the wanted instant is allowed as it is.
    """
    return _plan(tuple(rules), _to_utc(base), delay)


@lru_cache(maxsize=1024)  # leads of one campaign whose calls end together are planned alike
def _plan(rules: tuple[HoursRule, ...], base: datetime, delay: Delay) -> Planned:
    wanted_at = apply_delay(rules, base, delay)
    if wanted_at is None:
        return Planned(None, None, f"never: {_why_no_delay(rules, _to_utc(base), delay)}")
    at = next_allowed(rules, wanted_at)
    if at == wanted_at:
        return Planned(at, wanted_at, "")
    return Planned(at, wanted_at, explain_closed(rules, wanted_at))


def apply_delay(rules: Sequence[HoursRule], base: datetime, delay: Delay) -> datetime | None:
    """`base` plus the delay, before it is moved into hours; None when that never comes.

    Never before `base`: a promised time that has passed is due at once. A wall time that the clock
    skips moves forward by the gap; one that happens twice means the first time (RFC 5545).
    """
    rules, base = tuple(rules), _to_utc(base)
    try:
        wanted_at = _add_delay(rules, base, delay)
    except OverflowError:  # past the year 9999
        return None
    return None if wanted_at is None else max(base, wanted_at)


def calculate_next_working_datetime(
    base: datetime, delay: timedelta | Delay, hours: HoursRule | Sequence[HoursRule]
) -> datetime | None:
    """The earliest allowed instant after `delay`: elapsed time, or one of the delays above. None = never."""
    rules = (hours,) if isinstance(hours, HoursRule) else tuple(hours)
    if isinstance(delay, timedelta):
        delay = Elapsed(delay / timedelta(seconds=1))
    wanted_at = apply_delay(rules, base, delay)
    return None if wanted_at is None else next_allowed(rules, wanted_at)


def parse_delay(mapping: object, field: str = "delay") -> Delay:
    """Read {"kind": "none" | "elapsed" | "wall" | "working_days" | "open_time" | "at_local", ...}."""
    if mapping is None:
        return NoDelay()
    if not isinstance(mapping, Mapping):
        raise InvalidValue(field, mapping, 'write an object such as {"kind": "elapsed", "seconds": 300}')
    kind = mapping.get("kind")
    allowed = _DELAY_KEYS.get(kind) if isinstance(kind, str) else None
    if allowed is None:
        raise InvalidValue(f"{field}.kind", kind, f"the kinds are {', '.join(_DELAY_KEYS)}")
    for key in mapping:
        if key not in ("kind", *allowed):
            right = f"a delay of kind {kind} has the keys {', '.join(('kind', *allowed))}"
            raise InvalidValue(f"{field}.{key}", mapping[key], right)
    return _parse_delay_of(str(kind), mapping, field)


# --- Zones ----------------------------------------------------------------------------------------


def zone_info(name: str, field: str = "zone") -> ZoneInfo:
    """The zone of that name, from the newest database on this machine. InvalidValue when unknown.

    `zoneinfo` prefers the operating system's database however old it is. Here the `tzdata` package is
    read instead when it is newer. Nothing is changed for other users of zoneinfo, and a PYTHONTZPATH set
    by the user is followed. Old and new names of a zone stand in for each other.
    """
    zone = _find_zone(name) if isinstance(name, str) else None
    if zone is None:
        raise InvalidValue(field, name, _right_zone(name))
    return zone


def tzdata_version() -> str:
    """The version of the database in use, such as "2026f", or "unknown"."""
    return _database().version


# --- Parsing --------------------------------------------------------------------------------------


def parse_time(value: object, field: str) -> time:
    """Read "HH:MM" or "HH:MM:SS" as a time of day."""
    seconds = _parse_clock(value, field)
    if seconds == _DAY_S:
        raise InvalidValue(field, value, "write 00:00 to 23:59; 24:00 can only close a window")
    return time(seconds // 3600, seconds // 60 % 60, seconds % 60)


_CLOCK = re.compile(r"(\d{1,2}):(\d\d)(?::(\d\d))?", re.ASCII)


def _parse_clock(value: object, field: str) -> int:
    """Seconds after midnight, up to and including 24:00."""
    if isinstance(value, time) and value.tzinfo is None and not value.microsecond:
        return value.hour * 3600 + value.minute * 60 + value.second
    found = _CLOCK.fullmatch(value.strip()) if isinstance(value, str) else None
    if found:
        hours, minutes, seconds = (int(part or 0) for part in found.groups())
        total = hours * 3600 + minutes * 60 + seconds
        if minutes < 60 and seconds < 60 and total <= _DAY_S:
            return total
    raise InvalidValue(field, value, "write a time as HH:MM or HH:MM:SS, from 00:00 to 24:00")


def _parse_spans(value: object, field: str) -> tuple[Span, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        right = 'write a list of spans such as [["09:00", "13:00"], ["14:00", "20:00"]]'
        raise InvalidValue(field, value, right)
    return _merge_spans(_parse_span(span, f"{field}[{i}]") for i, span in enumerate(value))


def _parse_span(value: object, field: str) -> Span:
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 2:
        raise InvalidValue(field, value, 'write a span as ["HH:MM", "HH:MM"], opening and closing')
    open_s = _parse_clock(value[0], f"{field}[0]")
    close_s = _parse_clock(value[1], f"{field}[1]")
    if open_s == _DAY_S:
        right = "24:00 can only close a window; open the next day at 00:00"
        raise InvalidValue(f"{field}[0]", value[0], right)
    return Span(open_s, close_s)


def _merge_spans(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Sorted, with overlapping and touching spans made one where one span can say it.

    A union longer than 24 hours is left as it is: its closing would read as one on the first day.
    """
    merged: list[tuple[int, int]] = []
    for span in sorted(set(spans)):
        start, end = span.open_s, span.close_s + (_DAY_S if span.close_s <= span.open_s else 0)
        if merged and start <= merged[-1][1] and max(end, merged[-1][1]) - merged[-1][0] <= _DAY_S:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return tuple(Span(start, end if end <= _DAY_S else end - _DAY_S) for start, end in merged)


def _parse_days(name: str, key: object, value: object, field: str) -> frozenset[int]:
    right = "the keys are all, mon to sun, ranges such as mon-fri, lists such as mon,wed, and hol"
    if name == "all":
        return frozenset(range(7))
    days: set[int] = set()
    for part in name.split(","):
        ends = [end.strip() for end in part.split("-")]
        if not 1 <= len(ends) <= 2 or any(end not in _DAYS for end in ends):
            raise InvalidValue(f"{field}.{key}", value, right)
        first, last = _DAYS.index(ends[0]), _DAYS.index(ends[-1])
        days.update(day % 7 for day in range(first, last + 1 if last >= first else last + 8))
    return frozenset(days)


def _narrowest(keys: list[tuple[frozenset[int], tuple[Span, ...], bool]], weekday: int) -> tuple[Span, ...]:
    # `all` loses even to mon-sun, which names as many days.
    naming = [(len(days) + is_all, spans) for days, spans, is_all in keys if weekday in days]
    least = min((width for width, _ in naming), default=0)
    return _merge_spans(span for width, spans in naming if width == least for span in spans)


def _parse_rule_holidays(value: object, field: str) -> tuple[Holidays, tuple[Span, ...] | None]:
    """The holidays, and the spans of an `hours` key if there is one."""
    if not isinstance(value, Mapping) or "hours" not in value:
        return Holidays.parse(value, field), None
    spans = _parse_spans(value["hours"], f"{field}.hours")
    return Holidays.parse({k: v for k, v in value.items() if k != "hours"}, field), spans


def _parse_zones(
    mapping: Mapping[object, object], field: str, lead_zones: Sequence[str]
) -> tuple[str, ...]:
    clock = mapping.get("clock") or "lead"
    if clock != "lead":
        return (_zone_name(clock, f"{field}.clock"),)
    zones = mapping.get("zones") or lead_zones
    if isinstance(zones, str):
        zones = [part.strip() for part in zones.split(",")]
    if not isinstance(zones, Sequence) or not zones:
        raise InvalidValue(f"{field}.zones", zones, 'write a list of zones such as ["America/Santiago"]')
    return tuple(_zone_name(zone, f"{field}.zones[{i}]") for i, zone in enumerate(zones))


def _zone_name(value: object, field: str) -> str:
    if not isinstance(value, str):
        raise InvalidValue(field, value, _right_zone(value))
    zone_info(value, field)
    return value


def _parse_margin(value: object, field: str) -> timedelta:
    longest = LONGEST_MARGIN // timedelta(seconds=1)
    seconds = _number(0 if value is None else value, field, f"write seconds from 0 to {longest}", longest)
    return timedelta(seconds=seconds)


_DELAY_KEYS: Mapping[str, tuple[str, ...]] = {
    "none": (),
    "elapsed": ("seconds",),
    "wall": ("days", "at"),
    "working_days": ("n", "at"),
    "open_time": ("seconds",),
    "at_local": ("local", "zone"),
}


def _parse_delay_of(kind: str, mapping: Mapping[object, object], field: str) -> Delay:
    if kind == "elapsed":
        return Elapsed(_delay_seconds(mapping.get("seconds"), f"{field}.seconds"))
    if kind == "open_time":
        return OpenTime(_delay_seconds(mapping.get("seconds"), f"{field}.seconds"))
    if kind == "wall":
        at = mapping.get("at")
        days = _whole(mapping.get("days"), f"{field}.days", least=0)
        return Wall(days, None if at is None else parse_time(at, f"{field}.at"))
    if kind == "working_days":
        return WorkingDays(
            _whole(mapping.get("n"), f"{field}.n", least=1),
            _parse_working_at(mapping.get("at", "open"), f"{field}.at"),
        )
    if kind == "at_local":
        zone = mapping.get("zone")
        return AtLocal(
            _parse_local(mapping.get("local"), f"{field}.local"),
            None if zone is None else _zone_name(zone, f"{field}.zone"),
        )
    return NoDelay()


def _parse_working_at(value: object, field: str) -> Literal["open", "same"] | time:
    if value == "open":
        return "open"
    if value == "same":
        return "same"
    try:
        return parse_time(value, field)
    except InvalidValue as error:
        raise InvalidValue(field, value, "write open, same, or a time such as 09:30") from error


def _parse_local(value: object, field: str) -> datetime:
    right = "write a local date and time without a zone, such as 2027-06-08T09:30"
    try:
        local = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        raise InvalidValue(field, value, right) from None
    if not isinstance(local, datetime) or local.tzinfo is not None:
        raise InvalidValue(field, value, right)
    return local


def _delay_seconds(value: object, field: str) -> float:
    most = LONGEST_DELAY_DAYS * _DAY_S
    return _number(value, field, f"write seconds, a number from 0 to {most}", most)


def _number(value: object, field: str, right: str, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise InvalidValue(field, value, right)
    return value


def _whole(value: object, field: str, *, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= LONGEST_DELAY_DAYS:
        raise InvalidValue(field, value, f"write a whole number from {least} to {LONGEST_DELAY_DAYS}")
    return value


def _refuse_negative(delay: object, amount: float) -> None:
    if not amount >= 0:
        raise ValueError(f"{delay!r}: a delay cannot be negative")


# --- The open intervals of a set of rules, week by week --------------------------------------------

Interval = tuple[int, int]
"""Half-open, in microseconds since 1970 UTC."""

Edges = tuple[Sequence[datetime], Sequence[datetime]]
"""The starts and the ends of the allowed intervals of one week: sorted, apart from each other."""


@lru_cache(maxsize=4096)
def _schedule(rules: tuple[HoursRule, ...]) -> _Schedule:
    return _Schedule(rules)


class _Schedule:
    """All rules together. A week holds the allowed intervals that lie in it, cut at its borders."""

    __slots__ = ("_empty", "_rules", "_weeks")

    MOST_WEEKS = 70  # one horizon and some; a daemon that runs for years must not keep them all

    def __init__(self, rules: tuple[HoursRule, ...]) -> None:
        if not rules:
            # Read as "no limit", a forgotten argument would dial people at night.
            raise ValueError("hours need at least one rule; for no limit give one that is open 00:00-24:00")
        self._rules = tuple(_CompiledRule(rule) for rule in rules)
        self._weeks: dict[int, Edges] = {}
        self._empty = (0, 0)  # weeks known to have no interval, so that "never" is walked only once

    def is_allowed(self, at: datetime) -> bool:
        week = at.toordinal() // 7
        starts, ends = self._weeks.get(week) or self._load(week)
        i = bisect_right(starts, at)
        return i > 0 and at < ends[i - 1]

    def next_allowed(self, at: datetime) -> datetime | None:
        week = at.toordinal() // 7
        starts, ends = self._weeks.get(week) or self._load(week)
        i = bisect_right(starts, at)
        if i > 0 and at < ends[i - 1]:
            return at
        if i < len(starts):
            return starts[i]
        return self._first_start(week + 1, at)

    def open_span(self, at: datetime) -> OpenSpan | None:
        week = at.toordinal() // 7
        starts, ends = self._weeks.get(week) or self._load(week)
        i = bisect_right(starts, at)
        if not (i > 0 and at < ends[i - 1]):
            return None
        start, end = starts[i - 1], ends[i - 1]
        earliest, latest = at - _REACH, at + _REACH
        if i == 1:
            start = self._reach_back(week, start, earliest)
        if i == len(starts):
            end = self._reach_ahead(week, end, latest)
        return OpenSpan(max(start, earliest), min(end, latest))

    def measure_open(self, at: datetime, seconds: float) -> datetime | None:
        """The instant by which that much allowed time has passed since `at`."""
        left, last, now = timedelta(seconds=seconds), _horizon(at), at
        while left:
            found = self.next_allowed(now)
            if found is None or found > last:
                return None
            week = found.toordinal() // 7
            starts, ends = self._weeks.get(week) or self._load(week)
            end = ends[bisect_right(starts, found) - 1]
            if end - found >= left:
                return found + left
            left -= end - found
            now = end
        return now

    def _first_start(self, week: int, at: datetime) -> datetime | None:
        last = _horizon(at)
        last_week = last.toordinal() // 7
        asked = week
        while week <= last_week:
            empty_from, empty_until = self._empty
            if empty_from <= week < empty_until:
                week = empty_until
                continue
            starts = (self._weeks.get(week) or self._load(week))[0]
            if starts:
                return starts[0] if starts[0] <= last else None
            week += 1
        if week > asked:
            self._remember_empty(asked, week)
        return None

    def _remember_empty(self, first: int, until: int) -> None:
        empty_from, empty_until = self._empty
        touches = first <= empty_until and empty_from <= until
        self._empty = (min(first, empty_from), max(until, empty_until)) if touches else (first, until)

    def _reach_back(self, week: int, start: datetime, earliest: datetime) -> datetime:
        while start > earliest:
            week -= 1
            starts, ends = self._weeks.get(week) or self._load(week)
            if not ends or ends[-1] != start:
                return start
            start = starts[-1]
        return start

    def _reach_ahead(self, week: int, end: datetime, latest: datetime) -> datetime:
        while end < latest:
            week += 1
            starts, ends = self._weeks.get(week) or self._load(week)
            if not starts or starts[0] != end:
                return end
            end = ends[0]
        return end

    def _load(self, week: int) -> Edges:
        if len(self._weeks) >= self.MOST_WEEKS:
            self._weeks = {}
        edges = self._compute(week)
        self._weeks[week] = edges
        return edges

    def _compute(self, week: int) -> Edges:
        if not _FIRST_WEEK <= week <= _LAST_WEEK:
            return ((), ())
        start = _week_start_us(week)
        allowed = [(start, start + _WEEK_US)]
        for rule in self._rules:
            allowed = _intersect(allowed, rule.allowed_between(start, start + _WEEK_US))
            if not allowed:
                return ((), ())
        return [_from_us(start) for start, _ in allowed], [_from_us(end) for _, end in allowed]


class _CompiledRule:
    """One rule with its zones loaded and its spans laid out per weekday, tails included."""

    __slots__ = ("_full", "_holiday", "_holidays", "_margin_us", "_own", "_zones")

    def __init__(self, rule: HoursRule) -> None:
        self._zones = tuple((name, zone_info(name)) for name in dict.fromkeys(rule.zones))
        self._holidays = rule.holidays
        self._margin_us = rule.close_margin // _TICK
        weekdays = rule.windows.weekdays
        self._own = tuple(_merge(_own_part(span) for span in spans) for spans in weekdays)
        tails = [[_tail(span) for span in spans if 0 < span.close_s <= span.open_s] for spans in weekdays]
        self._full = tuple(_merge([*self._own[day], *tails[day - 1]]) for day in range(7))
        # No tails here: they would have begun on a holiday, and that shuts them.
        self._holiday = _merge(_own_part(span) for span in rule.windows.holiday)

    def allowed_between(self, start: int, end: int) -> list[Interval]:
        """The allowed intervals cut to [start, end); with a margin it looks that far past the end."""
        margin = self._margin_us
        opened = self._open_between(start, end + margin)
        if not margin:
            return opened
        # Exactly `margin` before closing is still allowed, hence the 1.
        shrunk = ((first, min(last - margin + 1, end)) for first, last in opened)
        return [interval for interval in shrunk if interval[0] < interval[1]]

    def has_own_span(self, day: date) -> bool:
        if self._holidays and self._holidays.is_holiday(day):
            return bool(self._holiday)
        return bool(self._own[day.weekday()])

    def first_own_opening(self, day: date) -> int:
        """Seconds after midnight. Only for a date that has a span of its own."""
        is_holiday = self._holidays and self._holidays.is_holiday(day)
        spans = self._holiday if is_holiday else self._own[day.weekday()]
        return spans[0][0] // 1_000_000

    def _open_between(self, start: int, end: int) -> list[Interval]:
        opened = [(start, end)]
        for name, _ in self._zones:
            opened = _intersect(opened, self._open_in_zone(name, start, end))
            if not opened:
                break
        return opened

    def _open_in_zone(self, name: str, start: int, end: int) -> list[Interval]:
        found: list[Interval] = []
        for piece_start, piece_end, offset in _pieces(name, start, end):
            wall_start, wall_end = piece_start + offset, piece_end + offset
            for day in range(wall_start // _DAY_US, (wall_end - 1) // _DAY_US + 1):
                midnight = day * _DAY_US
                for span_open, span_close in self._spans_on(day):
                    first = max(midnight + span_open, wall_start)
                    last = min(midnight + span_close, wall_end)
                    if first < last:
                        found.append((first - offset, last - offset))
        return _merge(found)

    def _spans_on(self, day: int) -> Sequence[Interval]:
        """What the wall clock may read on a local date (days since 1970-01-01, a Thursday)."""
        weekday = (day + 3) % 7
        if not self._holidays:
            return self._full[weekday]
        today = date.fromordinal(_EPOCH_ORDINAL + day)
        if self._holidays.is_holiday(today):
            return self._holiday
        if self._holidays.is_holiday(date.fromordinal(_EPOCH_ORDINAL + day - 1)):
            return self._own[weekday]
        return self._full[weekday]


def _own_part(span: Span) -> Interval:
    close_s = span.close_s if span.close_s > span.open_s else _DAY_S
    return span.open_s * 1_000_000, close_s * 1_000_000


def _tail(span: Span) -> Interval:
    return 0, span.close_s * 1_000_000


def _merge(intervals: Iterable[Interval]) -> list[Interval]:
    """Sorted, with those that overlap or touch made one."""
    merged: list[Interval] = []
    for start, end in sorted(intervals):
        if merged and start <= merged[-1][1]:
            if end > merged[-1][1]:
                merged[-1] = (merged[-1][0], end)
        else:
            merged.append((start, end))
    return merged


def _intersect(left: Sequence[Interval], right: Sequence[Interval]) -> list[Interval]:
    common: list[Interval] = []
    i = j = 0
    while i < len(left) and j < len(right):
        start, end = max(left[i][0], right[j][0]), min(left[i][1], right[j][1])
        if start < end:
            common.append((start, end))
        if left[i][1] < right[j][1]:
            i += 1
        else:
            j += 1
    return common


def _horizon(at: datetime) -> datetime:
    return min(at, _END_OF_TIME) + HORIZON


def _week_start_us(week: int) -> int:
    return (week * 7 - _EPOCH_ORDINAL) * _DAY_US


def _from_us(instant: int) -> datetime:
    return _EPOCH + timedelta(microseconds=instant)


def _to_utc(at: datetime) -> datetime:
    if at.tzinfo is UTC:
        return at
    if at.utcoffset() is None:
        raise ValueError(f"{at!r} has no time zone, so it names no instant")
    return at.astimezone(UTC)


# --- Offsets --------------------------------------------------------------------------------------

Piece = tuple[int, int, int]
"""Start and end in UTC and the offset that holds between them, all in microseconds."""

# The closest two changes of offset in the whole database are a week apart; a day is plenty of care.
_SAMPLE_US = _DAY_US // 4


def _pieces(name: str, start: int, end: int) -> Iterator[Piece]:
    first = (start // _DAY_US + _EPOCH_ORDINAL) // 7
    last = ((end - 1) // _DAY_US + _EPOCH_ORDINAL) // 7
    for week in range(first, last + 1):
        for piece_start, piece_end, offset in _pieces_of_week(name, week):
            if piece_start < end and piece_end > start:
                yield max(piece_start, start), min(piece_end, end), offset


@lru_cache(maxsize=32_768)
def _pieces_of_week(name: str, week: int) -> tuple[Piece, ...]:
    zone, start = zone_info(name), _week_start_us(week)
    pieces: list[Piece] = []
    offset = _offset_us(zone, start)
    for sample in range(start + _SAMPLE_US, start + _WEEK_US + 1, _SAMPLE_US):
        if _offset_us(zone, sample) != offset:
            change = _find_change(zone, sample - _SAMPLE_US, sample)
            pieces.append((start, change, offset))
            start, offset = change, _offset_us(zone, change)
    end = _week_start_us(week + 1)
    if start < end:
        pieces.append((start, end, offset))
    return tuple(pieces)


def _find_change(zone: ZoneInfo, before: int, after: int) -> int:
    """The first instant, to the second, with another offset than `before`."""
    offset = _offset_us(zone, before)
    low, high = before // 1_000_000, after // 1_000_000
    while high - low > 1:
        middle = (low + high) // 2
        if _offset_us(zone, middle * 1_000_000) == offset:
            low = middle
        else:
            high = middle
    return high * 1_000_000


def _offset_us(zone: ZoneInfo, instant: int) -> int:
    offset = _from_us(instant).astimezone(zone).utcoffset()
    assert offset is not None  # a ZoneInfo always has one
    return offset // _TICK


def wall_to_utc(wall: datetime, zone: ZoneInfo) -> datetime:
    """A naive wall-clock time as an instant: skipped ones move on by the gap, of two the first."""
    # fold=0 means just that in PEP 495: the offset before the change, in a gap and in an overlap.
    return wall.replace(tzinfo=zone, fold=0).astimezone(UTC)


def day_start(day: date, zone: ZoneInfo) -> datetime:
    """The first instant of a local date; where midnight is skipped, the first instant after the gap."""
    return _edge_to_utc(datetime.combine(day, time()), zone)


def _edge_to_utc(wall: datetime, zone: ZoneInfo) -> datetime:
    """Like wall_to_utc, but a skipped time means the first instant after the gap, as for windows."""
    at = wall_to_utc(wall, zone)
    if at.astimezone(zone).replace(tzinfo=None, fold=0) == wall.replace(fold=0):
        return at
    after = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    return _from_us(_find_change(zone, (after - _EPOCH) // _TICK - 1_000_000, (at - _EPOCH) // _TICK))


# --- Applying delays ------------------------------------------------------------------------------


def _add_delay(rules: tuple[HoursRule, ...], base: datetime, delay: Delay) -> datetime | None:
    match delay:
        case NoDelay():
            return base
        case Elapsed(seconds):
            return base + timedelta(seconds=seconds)
        case Wall(days, at):
            zone = _first_zone(rules)
            local = base.astimezone(zone).replace(tzinfo=None)
            later = local + timedelta(days=days)
            return wall_to_utc(later if at is None else datetime.combine(later.date(), at), zone)
        case WorkingDays(n, at):
            return _nth_working_day(rules, base, n, at)
        case OpenTime(seconds):
            return _schedule(_without_margins(rules)).measure_open(base, seconds)
        case AtLocal(wall, name):
            return wall_to_utc(wall, zone_info(name) if name else _first_zone(rules))
    raise ValueError(f"{delay!r} is not a delay")


def _nth_working_day(
    rules: tuple[HoursRule, ...], base: datetime, n: int, at: Literal["open", "same"] | time
) -> datetime | None:
    zone = _first_zone(rules)
    local = base.astimezone(zone).replace(tzinfo=None)
    day = _find_working_day(tuple(map(_compiled, rules)), local.date(), n)
    if day is None:
        return None
    if at == "open":
        opening = timedelta(seconds=_compiled(rules[0]).first_own_opening(day))
        return _edge_to_utc(datetime.combine(day, time()) + opening, zone)
    return wall_to_utc(datetime.combine(day, local.time() if at == "same" else at), zone)


def _find_working_day(rules: tuple[_CompiledRule, ...], day: date, n: int) -> date | None:
    for _ in range(HORIZON.days):
        day += timedelta(days=1)
        if all(rule.has_own_span(day) for rule in rules):
            n -= 1
        if n == 0:
            return day
    return None


@lru_cache(maxsize=4096)
def _compiled(rule: HoursRule) -> _CompiledRule:
    return _CompiledRule(rule)


@lru_cache(maxsize=1024)
def _without_margins(rules: tuple[HoursRule, ...]) -> tuple[HoursRule, ...]:
    return tuple(replace(rule, close_margin=timedelta(0)) for rule in rules)


def _first_zone(rules: tuple[HoursRule, ...]) -> ZoneInfo:
    if not rules:
        raise ValueError("a local time needs at least one rule to take its zone from")
    return zone_info(rules[0].zones[0])


# --- Reasons for people ---------------------------------------------------------------------------


def _why_closed(rules: tuple[HoursRule, ...], at: datetime) -> tuple[str, ZoneInfo]:
    """What is shut and the zone to tell it in, when it opens again later."""
    for rule in rules:
        for name in rule.zones:
            alone = replace(rule, zones=(name,), close_margin=timedelta(0))
            if not is_allowed((alone,), at):
                zone = zone_info(name)
                return _why_closed_in_zone(rule, name, at.astimezone(zone)), zone
    for rule in rules:
        for name in rule.zones:
            if not is_allowed((replace(rule, zones=(name,)),), at):
                zone = zone_info(name)
                local = _format_moment(at.astimezone(zone))
                short = f"less than {_format_span(rule.close_margin)} before closing"
                return f"{local} in {name} is {short}{_label(rule)}", zone
    raise AssertionError(f"{at} is not allowed, yet every rule allows it in every zone")


def _why_closed_in_zone(rule: HoursRule, name: str, local: datetime) -> str:
    today, yesterday = local.date(), local.date() - timedelta(days=1)
    windows, moment = rule.windows, _format_moment(local)
    if rule.holidays.is_holiday(today) and _may_read(windows, local):
        holiday = f"{_format_date(today)} is a holiday ({rule.holidays.name_of(today)})"
        if not windows.holiday:
            return f"{holiday} in {name}{_label(rule)}"
        hours = ", ".join(map(str, windows.holiday))
        return f"{moment} in {name}: {holiday}, open only {hours}{_label(rule)}"
    if rule.holidays.is_holiday(yesterday) and _may_read(windows, local):
        holiday = f"{_format_date(yesterday)} was a holiday ({rule.holidays.name_of(yesterday)})"
        return f"{moment} in {name}: {holiday}, so its hours after midnight are shut{_label(rule)}"
    return f"{moment} in {name}{_label(rule)}"


def _may_read(windows: Windows, local: datetime) -> bool:
    """Would it be open if there were no holidays? Otherwise the holiday is not the reason."""
    alone = HoursRule(("UTC",), Windows(windows.weekdays))
    return is_allowed((alone,), local.replace(tzinfo=UTC, fold=0))


@lru_cache(maxsize=1024)
def _why_never(rules: tuple[HoursRule, ...], ordinal: int) -> str:
    """Which rule or zones leave no instant, as seen from that UTC date."""
    at, days = datetime.combine(date.fromordinal(ordinal), time(), UTC), f"within {HORIZON.days} days"
    for number, rule in enumerate(rules, 1):
        if rule.windows.is_empty():
            return f"{_name_rule(rules, number)} has no window at all"
        if next_allowed((rule,), at) is None:
            return f"{_why_rule_never(rules, number, at)} {days}"
    for i, j in combinations(range(len(rules)), 2):
        if next_allowed((rules[i], rules[j]), at) is None:
            pair = f"{_name_rule(rules, i + 1)} and {_name_rule(rules, j + 1)}"
            return f"{pair} have no common open hour {days}"
    return f"the {len(rules)} rules have no common open hour {days}"


def _why_rule_never(rules: tuple[HoursRule, ...], number: int, at: datetime) -> str:
    rule = rules[number - 1]
    plain = replace(rule, close_margin=timedelta(0))
    if next_allowed((plain,), at) is not None:
        margin = _format_span(rule.close_margin)
        return f"{_name_rule(rules, number)} is never open as long as its closing margin of {margin}"
    for name in rule.zones:
        if next_allowed((replace(plain, zones=(name,)),), at) is None:
            return f"{_name_rule(rules, number)} has no open hour in {name}, holidays considered,"
    for pair in combinations(rule.zones, 2):
        if next_allowed((replace(plain, zones=pair),), at) is None:
            return f"{pair[0]} and {pair[1]} have no common open hour{_label(rule)}"
    return f"{', '.join(rule.zones)} have no common open hour{_label(rule)}"


def _why_no_delay(rules: tuple[HoursRule, ...], base: datetime, delay: Delay) -> str:
    if next_allowed(rules, base) is None:
        return _why_never(rules, base.toordinal())
    match delay:
        case WorkingDays(n, _):
            return f"there are not {n} working days within {HORIZON.days} days"
        case OpenTime(seconds):
            asked = _format_span(timedelta(seconds=seconds))
            return f"there are not {asked} of open time within {HORIZON.days} days"
    return "the delay ends after the year 9999"


def _name_rule(rules: tuple[HoursRule, ...], number: int) -> str:
    if label := rules[number - 1].label:
        return label
    return "the rule" if len(rules) == 1 else f"rule {number}"


def _label(rule: HoursRule) -> str:
    return f" ({rule.label})" if rule.label else ""


def format_local(at: datetime, zone: str) -> str:
    """Such as "Friday 11 June 2027 09:00 in America/New_York"."""
    local = at.astimezone(zone_info(zone))
    return f"{_format_date(local.date())} {local:%H:%M} in {zone}"


def _format_opening(opens: datetime, *, since: datetime) -> str:
    # From the seventh day on, the name of the weekday alone could be read as this week's.
    if (opens.date() - since.date()).days > 6:
        return f"{_format_date(opens.date())} {opens:%H:%M}"
    return _format_moment(opens)


def _format_moment(local: datetime) -> str:
    return f"{_WEEKDAY_NAMES[local.weekday()]} {local:%H:%M}"


def _format_date(day: date) -> str:
    # Not strftime: its names follow the locale of the process.
    return f"{_WEEKDAY_NAMES[day.weekday()]} {day.day} {_MONTH_NAMES[day.month - 1]} {day.year}"


def _format_seconds(seconds: int) -> str:
    text = f"{seconds // 3600:02}:{seconds // 60 % 60:02}"
    return f"{text}:{seconds % 60:02}" if seconds % 60 else text


def _format_span(span: timedelta) -> str:
    return f"{span / timedelta(seconds=1):g} s"


# --- The zone database ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ZoneDatabase:
    """Which database zones are read from: the `tzdata` package, or whatever zoneinfo would take."""

    from_package: bool
    version: str


@cache
def _database() -> ZoneDatabase:
    is_chosen_by_user = "PYTHONTZPATH" in os.environ and bool(zoneinfo.TZPATH)
    return choose_database(
        system=_system_version(), package=_package_version(), is_chosen_by_user=is_chosen_by_user
    )


def choose_database(*, system: str | None, package: str | None, is_chosen_by_user: bool) -> ZoneDatabase:
    """The newer of the two. A system database that does not say its version counts as the older one."""
    if package is None or is_chosen_by_user or (system is not None and system >= package):
        return ZoneDatabase(from_package=False, version=system or "unknown")
    return ZoneDatabase(from_package=True, version=package)


_VERSION = re.compile(r"\b(?:19|20)\d\d[a-z]{1,2}\b")


def _system_version() -> str | None:
    for directory in map(Path, zoneinfo.TZPATH):
        for name in ("tzdata.zi", "+VERSION"):
            try:
                with (directory / name).open(encoding="utf-8", errors="replace") as lines:
                    found = _VERSION.search(lines.readline(200))
            except OSError:
                continue
            if found:
                return found[0]
    return None


def _package_version() -> str | None:
    try:
        return str(importlib.import_module("tzdata").IANA_VERSION)
    except ImportError:
        return None


# No dots: a name is also a path, and must not leave the database. The names refused are found on many
# systems and are no place: the host's own zone, and copies of the database that count leap seconds.
_ZONE_NAME = re.compile(
    r"(?!(?:right|posix)/|(?:localtime|posixrules|Factory)$)[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+)*"
)


@lru_cache(maxsize=2048)
def _find_zone(name: str) -> ZoneInfo | None:
    if not _ZONE_NAME.fullmatch(name):
        return None
    spellings = (name, *_OTHER_NAMES.get(name, ()))
    return next((zone for zone in map(_load_zone, spellings) if zone is not None), None)


def _load_zone(name: str) -> ZoneInfo | None:
    try:
        return _load_from_package(name) if _database().from_package else ZoneInfo(name)
    except (OSError, ValueError, ImportError, zoneinfo.ZoneInfoNotFoundError):
        # Each loader has its own words for a name that is not there, is a folder, or is no zone.
        return None


def _load_from_package(name: str) -> ZoneInfo:
    folder, _, file = name.rpartition("/")
    package = ".".join(("tzdata.zoneinfo", *filter(None, folder.split("/"))))
    with importlib.resources.files(package).joinpath(file).open("rb") as data:
        return ZoneInfo.from_file(data, key=name)


def _right_zone(name: object) -> str:
    right = "write a zone of the IANA database, such as America/Santiago"
    close = _closest_zones(name) if isinstance(name, str) else ()
    hint = f"; did you mean {' or '.join(close)}?" if close else ""
    return f"{right} (database {tzdata_version()}){hint}"


@lru_cache(maxsize=256)
def _closest_zones(name: str) -> tuple[str, ...]:
    names = {known.lower(): known for known in _zone_names()}
    return tuple(names[near] for near in difflib.get_close_matches(name.lower(), names, n=2, cutoff=0.7))


@cache
def _zone_names() -> tuple[str, ...]:
    try:
        return tuple(importlib.resources.files("tzdata").joinpath("zones").read_text().split())
    except (ImportError, OSError):
        return ()


# Phone-prefix tables answer with old names, which some systems ship apart (tzdata-legacy) or not at
# all; the newer ones are missing from databases older than the renaming.
_RENAMED = {
    "America/Buenos_Aires": "America/Argentina/Buenos_Aires",
    "America/Catamarca": "America/Argentina/Catamarca",
    "America/Cordoba": "America/Argentina/Cordoba",
    "America/Godthab": "America/Nuuk",
    "America/Indianapolis": "America/Indiana/Indianapolis",
    "America/Jujuy": "America/Argentina/Jujuy",
    "America/Louisville": "America/Kentucky/Louisville",
    "America/Mendoza": "America/Argentina/Mendoza",
    "Africa/Asmera": "Africa/Asmara",
    "Asia/Calcutta": "Asia/Kolkata",
    "Asia/Choibalsan": "Asia/Ulaanbaatar",
    "Asia/Katmandu": "Asia/Kathmandu",
    "Asia/Rangoon": "Asia/Yangon",
    "Asia/Saigon": "Asia/Ho_Chi_Minh",
    "Atlantic/Faeroe": "Atlantic/Faroe",
    "Europe/Kiev": "Europe/Kyiv",
    "Pacific/Enderbury": "Pacific/Kanton",
    "Pacific/Ponape": "Pacific/Pohnpei",
    "Pacific/Truk": "Pacific/Chuuk",
    "US/Alaska": "America/Anchorage",
    "US/Arizona": "America/Phoenix",
    "US/Central": "America/Chicago",
    "US/Eastern": "America/New_York",
    "US/Hawaii": "Pacific/Honolulu",
    "US/Mountain": "America/Denver",
    "US/Pacific": "America/Los_Angeles",
}  # fmt: skip
_OTHER_NAMES: Mapping[str, tuple[str, ...]] = {
    **{old: (new,) for old, new in _RENAMED.items()},
    **{new: (old,) for old, new in _RENAMED.items()},
}
