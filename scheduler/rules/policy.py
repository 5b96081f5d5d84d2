"""The rules in force for a campaign, read from what people wrote into tables.

Decided here: what a valid `scheduler_config` row and a valid `call_settings` document are, and which
of them wins: campaign `outcomes.<outcome>`, campaign, `scheduler_config.<outcome>_<name>`,
`scheduler_config.default_<name>`, built-in. What must stay true: a value that does not validate is
named and never replaced here; whoever reads decides what last good value to keep. Every resolved
value knows its source. A `Policy` is immutable and cheap to ask; it is rebuilt when a row changes.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property
from typing import Any, Generic, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from scheduler.errors import InvalidSettings, InvalidValue
from scheduler.model import RETRYABLE_OUTCOMES, UNREADABLE, Outcome
from scheduler.rules.caps import Cap, Cooldown, parse_caps, parse_cooldowns, parse_spacing
from scheduler.rules.holiday_calendars import Holidays, calendar_of, narrow_holidays
from scheduler.rules.hours import HoursRule, Span, Windows, tzdata_version, zone_info
from scheduler.rules.phones import read_countries
from scheduler.rules.presets import Preset, find_preset
from scheduler.rules.subdivisions import is_known
from scheduler.rules.zones import LeadZones

T = TypeVar("T")

BUILT_IN_DELAY_HOURS = 4.0
BUILT_IN_MAX_ATTEMPTS = 3
DAY_SECONDS = 86_400
MAX_DELAY_HOURS = 24 * 365.0


@dataclass(frozen=True, slots=True)
class Setting(Generic[T]):
    """A value in force and the place that it came from."""

    value: T
    source: str


# --- scheduler_config ---------------------------------------------------------------------------


def _float(text: str) -> float:
    """Raises ValueError for other digits than 0 to 9 too: Python would read them, a person may not."""
    if not text.isascii() or "_" in text:
        raise ValueError(text)
    return float(text)


def _int(text: str) -> int:
    if not text.isascii() or "_" in text:
        raise ValueError(text)
    return int(text)


def _hours_number(text: str, key: str) -> float:
    right = "write hours as a number of 0 or more, like 4 or 0.5"
    try:
        hours = _float(text)
    except ValueError:
        raise InvalidValue(key, text, right) from None
    if not math.isfinite(hours) or not 0 <= hours <= MAX_DELAY_HOURS:
        raise InvalidValue(key, text, f"{right}, at most {MAX_DELAY_HOURS:g}")
    return hours


def _whole(least: int, most: int, what: str) -> Callable[[str, str], int]:
    def read(text: str, key: str) -> int:
        try:
            number = _int(text.strip())
        except ValueError:
            raise InvalidValue(key, text, f"write a whole number of {what}, {least} to {most}") from None
        if not least <= number <= most:
            raise InvalidValue(key, text, f"write a whole number of {what}, {least} to {most}")
        return number

    return read


NONE_AT_ALL = ("off", "no", "none", "zero", "stop", "cero", "ninguna", "ninguno", "nada")


def _limit(text: str, key: str) -> int:
    """Calls at once. Whoever writes a word that says none does not mean the number of before."""
    return 0 if text.strip().lower() in NONE_AT_ALL else _whole(0, 100_000, "calls")(text, key)


def _clock_time(text: str, key: str) -> int:
    """Seconds after midnight. `24:00` is a closing time."""
    right = "write a time of day as HH:MM, 00:00 to 24:00"
    hours, colon, minutes = text.strip().partition(":")
    is_plain = text.isascii() and hours.isdigit() and minutes.isdigit()
    if not (colon and is_plain and len(hours) in (1, 2) and len(minutes) == 2):
        raise InvalidValue(key, text, right)
    seconds = int(hours) * 3600 + int(minutes) * 60
    if int(minutes) > 59 or seconds > DAY_SECONDS:
        raise InvalidValue(key, text, right)
    return seconds


def _weekdays(text: str, key: str) -> tuple[int, ...]:
    right = "write days as numbers 1 to 7 with commas between, Monday = 1, at least one, like 1,2,3,4,5"
    try:
        days = tuple(sorted({_int(part) for part in text.split(",")}))
    except ValueError:
        raise InvalidValue(key, text, right) from None
    if not days or days[0] < 1 or days[-1] > 7:
        raise InvalidValue(key, text, right)
    return days


def _zone(text: str, key: str) -> str:
    zone_info(text.strip(), key)
    return text.strip()


def _holidays(text: str, key: str) -> Holidays:
    return Holidays.parse(text, field=key)


def _countries(text: str, key: str) -> tuple[str, ...]:
    return read_countries(text.replace(",", " ").split(), key)


def _names(text: str, key: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name for part in text.split(",") if (name := part.strip())))
    if len(names) > 8:
        raise InvalidValue(key, text, "write at most 8 names of variables, with commas between")
    return names


CLEARLY_NO = ("no", "false", "0", "off", "n", "f")
"""What `paused` must say for calls to be placed. SQL compares by these words too (`store.calls`)."""
_CLEARLY_YES = ("yes", "y", "si", "sí", "s", "true", "t", "1", "on", "paused", "x")


def is_no(text: str | None) -> bool:
    """Does this value of `paused` let calls be placed? Whatever is not clearly no pauses."""
    return text is not None and text.strip(" ").lower() in CLEARLY_NO


def _yes_or_no(text: str, key: str) -> bool:
    if is_no(text):
        return False
    if text.strip().lower() in _CLEARLY_YES:
        return True
    raise InvalidValue(key, text, "write yes or no; everything is paused as long as it is not clearly no")


def _number_from_0(most: float, what: str) -> Callable[[str, str], float]:
    def read(text: str, key: str) -> float:
        try:
            number = _float(text)
        except ValueError:
            raise InvalidValue(key, text, f"write a number of {what}, 0 to {most:g}") from None
        if not math.isfinite(number) or not 0 <= number <= most:
            raise InvalidValue(key, text, f"write a number of {what}, 0 to {most:g}")
        return number

    return read


def _calls_per_second(text: str, key: str) -> float:
    rate = _number_from_0(1000, "calls a second")(text, key)
    if rate < 0.01:
        raise InvalidValue(key, text, "write a number of calls a second, 0.01 to 1000; an empty value is no limit")
    return rate


_READERS: dict[str, Callable[[str, str], Any]] = {
    "default_delay_hours": _hours_number,
    "default_max_attempts": _whole(1, 100, "attempts"),
    "working_hours_start": _clock_time,
    "working_hours_end": _clock_time,
    "working_days": _weekdays,
    "timezone": _zone,
    "holidays": _holidays,
    "ring_timeout": _whole(5, 300, "seconds"),
    "max_call_duration": _whole(10, 86_400, "seconds"),
    "max_concurrent_calls": _limit,
    "lease_seconds": _whole(1, 86_400, "seconds"),
    "cleanup_after_days": _whole(0, 3650, "days"),
    "paused": _yes_or_no,
    "allowed_countries": _countries,
    "searchable_variables": _names,
    "alert_pending_above": _whole(0, 10**9, "calls"),
    "alert_success_below": _number_from_0(100, "percent"),
    "alert_due_minutes": _number_from_0(60 * 24 * 365, "minutes"),
    "alert_balance_below": _number_from_0(10**9, "credits or minutes"),
    "alert_silent_seconds": _whole(1, 86_400, "seconds"),
}
FOUND_BY = "searchable_variables"
"""The row that names the variables that leads are found by."""
_MAY_BE_EMPTY = {"holidays", "allowed_countries", FOUND_BY}
for _outcome in RETRYABLE_OUTCOMES:
    _READERS[f"{_outcome}_delay_hours"] = _hours_number
    _READERS[f"{_outcome}_max_attempts"] = _READERS["default_max_attempts"]
    _MAY_BE_EMPTY |= {f"{_outcome}_delay_hours", f"{_outcome}_max_attempts"}

CONFIG_KEYS = tuple(_READERS)
PROVIDER_NAMES = ("simulator", "retell", "nlpearl", "twilio", "asterisk", "http")
# A provider's own limits have no row until somebody writes one.
for _provider in PROVIDER_NAMES:
    _READERS[f"{_provider}_max_concurrent_calls"] = _READERS["max_concurrent_calls"]
    _READERS[f"{_provider}_calls_per_second"] = _calls_per_second
    _MAY_BE_EMPTY |= {f"{_provider}_max_concurrent_calls", f"{_provider}_calls_per_second"}
ALL_KEYS = tuple(_READERS)


STOP = "paused"
"""The row that stops everything."""


def read_config_value(key: str, text: str) -> Any:
    """The typed value of one `scheduler_config` row; None where empty means "as the default says".

    Raises InvalidValue for a value that cannot be used and for a key that does not exist.
    """
    if key not in _READERS:
        also = "and for each provider, like simulator_max_concurrent_calls, simulator_calls_per_second"
        raise InvalidValue("config_key", key, f"the keys are {', '.join(CONFIG_KEYS)}, {also}")
    if not text.strip():
        if key in _MAY_BE_EMPTY:
            return Holidays() if key == "holidays" else None
        raise InvalidValue(key, text, "it may not be empty")
    return _READERS[key](text, key)


@dataclass(frozen=True)
class Config:
    """`scheduler_config` as read: typed values by key. `problems` are sentences by key.

    A key with a problem is absent from `values`, unless its last good value was put in its place; a
    key without a row is absent too and falls to the built-in value.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_usable(self) -> bool:
        """May calls be placed by it? Not while a rule is unreadable and no last good value is known."""
        return all(key in self.values for key in self.problems)

    def get(self, key: str, built_in: T) -> T:
        found = self.values.get(key)
        return built_in if found is None else found


def read_config(rows: Mapping[str, str | None], last_good: Mapping[str, str] | None = None) -> Config:
    """Every row read; a row that does not validate keeps its last good text, if one is known. Only `paused` does
    not: whoever wrote something there meant to stop, so that what cannot be read stops.
    """
    values: dict[str, Any] = {}
    texts: dict[str, str] = {}
    problems: dict[str, str] = {}
    for key in ALL_KEYS:
        if key in rows:
            try:
                text = rows[key] or ""
                values[key], texts[key] = read_config_value(key, text), text
            except InvalidValue as error:
                problems[key] = str(error)
    _check_hours(values, rows, problems)
    for key in problems:
        values.pop(key, None)
        texts.pop(key, None)
        if last_good and key in last_good:
            values[key], texts[key] = read_config_value(key, last_good[key]), last_good[key]
    if STOP in problems:
        values[STOP], texts[STOP] = True, "yes"
    unknown = tuple(sorted(set(rows) - set(ALL_KEYS)))
    return Config(values, problems, unknown, texts)


def _check_hours(values: dict[str, Any], rows: Mapping[str, str | None], problems: dict[str, str]) -> None:
    start, end = values.get("working_hours_start"), values.get("working_hours_end")
    if start is not None and start >= DAY_SECONDS:
        problems["working_hours_start"] = str(
            InvalidValue("working_hours_start", rows["working_hours_start"], "a day opens before 24:00")
        )
    elif start is not None and end is not None and end <= start:
        message = (
            f"it must be later than working_hours_start ({rows['working_hours_start']}); "
            "hours across midnight are written as `windows` of a campaign"
        )
        # Which of the two was meant is unknown, so neither is taken.
        problems["working_hours_end"] = str(InvalidValue("working_hours_end", rows["working_hours_end"], message))
        problems["working_hours_start"] = str(InvalidValue(
            "working_hours_start", rows["working_hours_start"],
            f"it must be earlier than working_hours_end ({rows['working_hours_end']}); "
            "hours across midnight are written as `windows` of a campaign",
        ))


# --- last dates to call ------------------------------------------------------------------------

LONGEST_DEADLINE_DAYS = 3650


def read_last_date(deadline: date | None, days: int | None, today: date) -> date | None:
    """The last date to call, given as a date or as days from today. Raises InvalidValue."""
    if deadline is not None and days is not None:
        raise InvalidValue("deadline", deadline.isoformat(), "give a date or a number of days, not both")
    if days is not None:
        if not 0 <= days <= LONGEST_DEADLINE_DAYS:
            raise InvalidValue("deadline_days", days, f"write a whole number from 0 to {LONGEST_DEADLINE_DAYS}")
        return today + timedelta(days=days)
    if deadline is not None and deadline < today:
        right = f"it is past; today is {today}, and with a last date that lies in the past nobody is called"
        raise InvalidValue("deadline", deadline.isoformat(), right)
    return deadline


# --- campaigns.call_settings --------------------------------------------------------------------


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_booleans(cls, value: Any, info: ValidationInfo) -> Any:
        # JSON true would otherwise be read as the number 1.
        if isinstance(value, bool) and info.field_name != "overnight":
            raise ValueError("true and false are not numbers")
        return value


class AllowedHours(_Strict):
    start: str
    end: str


class RetrySettings(_Strict):
    max_attempts: int | None = Field(None, ge=1, le=100)
    retry_delay_hours: float | None = Field(None, ge=0, le=MAX_DELAY_HOURS, allow_inf_nan=False)


class OutcomeSettings(_Strict):
    max_attempts: int | None = Field(None, ge=1, le=100)
    delay_hours: float | None = Field(None, ge=0, le=MAX_DELAY_HOURS, allow_inf_nan=False)


class CallSettings(_Strict):
    """`campaigns.call_settings`: the flat and the nested shape, and what neither has."""

    max_attempts: int | None = Field(None, ge=1, le=100)
    retry_delay_hours: float | None = Field(None, ge=0, le=MAX_DELAY_HOURS, allow_inf_nan=False)
    retry_settings: RetrySettings | None = None
    allowed_hours: AllowedHours | None = None
    allowed_call_hours: AllowedHours | None = None
    days_of_week: list[int] | None = Field(None, min_length=1)
    timezone: str | None = None
    zones: list[str] | None = Field(None, min_length=1)
    ring_timeout: int | None = Field(None, ge=5, le=300)
    max_call_duration: int | None = Field(None, ge=10, le=86_400)
    max_concurrent_calls: int | None = Field(None, ge=0, le=100_000)
    windows: dict[str, Any] | None = None
    overnight: bool | None = None
    """Do windows go on past midnight on purpose? Hours typed the wrong way round would open a whole night."""
    holidays: Any = None
    close_margin_s: float | None = Field(None, ge=0, le=DAY_SECONDS, allow_inf_nan=False)
    outcomes: dict[str, OutcomeSettings] | None = None
    caps: Any = None
    cooldowns: Any = None
    spacing: Any = None
    preset: str | None = None
    allowed_countries: Any = None
    required_variables: list[str] | None = None
    agent_id: str | None = Field(None, pattern=r"^[!-~]([ -~]{0,126}[!-~])?$")
    from_number: str | None = Field(None, pattern=r"^\+[1-9][0-9]{6,14}$")

    @model_validator(mode="after")
    def _check(self) -> CallSettings:
        for flat, nested, name in (
            (self.allowed_hours, self.allowed_call_hours, "allowed_hours and allowed_call_hours"),
            (self.max_attempts, self.retry_settings and self.retry_settings.max_attempts,
             "max_attempts and retry_settings.max_attempts"),
            (self.retry_delay_hours, self.retry_settings and self.retry_settings.retry_delay_hours,
             "retry_delay_hours and retry_settings.retry_delay_hours"),
        ):
            if flat is not None and nested is not None and flat != nested:
                raise ValueError(f"{name} contradict each other; write one of them")
        if self.windows is not None and (self.span or self.days_of_week):
            raise ValueError("windows says the hours of each weekday, so allowed_hours and days_of_week must go")
        if self.timezone and self.zones and [self.timezone] != self.zones:
            raise ValueError("timezone and zones contradict each other; write one of them")
        for day in self.days_of_week or ():
            if not 1 <= day <= 7:
                raise ValueError(f"days_of_week: {day} cannot be used; days are 1 to 7, Monday = 1")
        for name in self.outcomes or {}:
            if name not in RETRYABLE_OUTCOMES:
                right = f"the outcomes that are retried are {', '.join(RETRYABLE_OUTCOMES)}"
                raise ValueError(f"outcomes: {name!r} cannot be used; {right}")
        for zone in self.zone_names:
            zone_info(zone, "timezone" if self.timezone else "zones")
        if hours := self.hours:
            self.span_of(hours)
        if self.windows is not None:
            nights = Windows.parse(self.windows, field="windows").nights()
            if nights and not self.overnight:
                begins, span = nights[0]
                raise InvalidValue(f"windows.{begins}", str(span), _past_midnight(span))
        if self.holidays is not None:
            Holidays.parse(self.holidays, field="holidays")
        for cap in self.own_caps:
            _refuse_loose(cap.by, f"caps: {cap}")
        for cooldown in self.own_cooldowns:
            _refuse_loose(cooldown.by, f"cooldowns: {cooldown}")
        if self.allowed_countries is not None and not self.countries:
            raise InvalidValue("allowed_countries", self.allowed_countries, "name a country, or leave it out")
        found = self.found_preset
        if found is not None and found.windows is None and self.span is None and self.windows is None:
            raise InvalidValue(
                "preset", self.preset, "it knows no hours, so write allowed_hours or windows of your own beside it"
            )
        return self

    @cached_property
    def own_caps(self) -> tuple[Cap, ...]:
        """Caps and spacing, which is a cap of one call."""
        return (*parse_caps(self.caps), *parse_spacing(self.spacing))

    @cached_property
    def own_cooldowns(self) -> tuple[Cooldown, ...]:
        return parse_cooldowns(self.cooldowns)

    @cached_property
    def countries(self) -> tuple[str, ...]:
        return read_countries(self.allowed_countries, "allowed_countries") if self.allowed_countries else ()

    @cached_property
    def found_preset(self) -> Preset | None:
        """Raises InvalidValue for one that does not exist."""
        return find_preset(self.preset) if self.preset is not None else None

    @property
    def hours(self) -> AllowedHours | None:
        return self.allowed_hours or self.allowed_call_hours

    @property
    def span(self) -> Span | None:
        return self.span_of(self.hours) if self.hours else None

    @staticmethod
    def span_of(hours: AllowedHours) -> Span:
        start, end = _clock_time(hours.start, "allowed_hours.start"), _clock_time(hours.end, "allowed_hours.end")
        if end <= start:
            raise InvalidValue(
                "allowed_hours.end", hours.end,
                f"it must be later than the start ({hours.start}); hours across midnight are written as windows, with "
                "overnight",
            )
        return Span(start, end)

    @property
    def zone_names(self) -> tuple[str, ...]:
        return tuple(self.zones or ([self.timezone] if self.timezone else ()))


def read_call_settings(document: Any, where: str = "call_settings") -> CallSettings:
    """The settings of a campaign. Raises InvalidSettings naming each field and what would be right."""
    document = read_object(document, where)
    if not document:
        return CallSettings()
    try:
        return CallSettings.model_validate(document)
    except ValidationError as error:
        raise InvalidSettings(where, [_sentence(problem) for problem in error.errors()]) from None
    except InvalidValue as error:
        raise InvalidSettings(where, [str(error)]) from None


def read_object(document: Any, where: str = "call_settings") -> dict[str, Any]:
    """The object that a document or its JSON is, whatever is in it. Raises InvalidSettings."""
    if isinstance(document, str | bytes):
        try:
            document = json.loads(document, object_pairs_hook=_without_twins)
        except ValueError as error:
            raise InvalidSettings(where, [f"it is not JSON: {error}"]) from None
        except RecursionError:
            raise InvalidSettings(where, ["it is not JSON: it is nested too deeply"]) from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise InvalidSettings(where, ["it must be a JSON object, like {\"max_attempts\": 3}"])
    return document


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{name!r} is there twice; keep one of them")
        found[name] = value
    return found


def _past_midnight(span: Span) -> str:
    start, end = str(span).split("-")
    right = f"it goes on past midnight until {end} of the next day"
    if start != end:
        right += f"; write {end}-{start} if that is the wrong way round"
    return f"{right}; if the night is meant, set overnight to true beside windows"


def _refuse_loose(by: tuple[str, ...], what: str) -> None:
    """A cap must say whose calls it counts, by something that a call can be found by."""
    if not set(by) & {"lead", "phone", "debt", "campaign", "group"}:
        raise InvalidValue(what, " and ".join(by), "add lead, phone, debt, campaign or group to `by`")


def _model_of(place: tuple[Any, ...]) -> type[BaseModel]:
    """The part of the document that this place lies in."""
    if len(place) > 2 and place[0] == "outcomes":
        return OutcomeSettings
    if len(place) > 1 and place[0] == "retry_settings":
        return RetrySettings
    if len(place) > 1 and place[0] in ("allowed_hours", "allowed_call_hours"):
        return AllowedHours
    return CallSettings


def _sentence(problem: Any) -> str:
    name = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"{name}: there is no such setting; the settings are {', '.join(_model_of(problem['loc']).model_fields)}"
    message = str(problem["msg"]).removeprefix("Value error, ")
    return f"{name}: {problem['input']!r} cannot be used; {message}" if name else message


# --- what is in force ---------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Policy:
    """Everything in force for the leads of one campaign (or of none), each value with its source."""

    config: Config
    settings: CallSettings = field(default_factory=CallSettings)
    campaign_id: int | None = None
    group: str | None = None
    call_until: date | None = None
    """The campaign's last date to call; a lead may have an earlier one of its own."""
    _hours_by_place: dict[Any, tuple[HoursRule, ...]] = field(default_factory=dict, init=False, repr=False)
    _resolved: dict[tuple[Outcome | None, str], Setting[Any]] = field(default_factory=dict, init=False, repr=False)

    def delay(self, outcome: Outcome) -> Setting[timedelta]:
        """How long to wait after this outcome."""
        found = self._resolved.get((outcome, "delay"))
        if found is None:
            hours = self._resolve(outcome, "delay_hours", "retry_delay_hours", BUILT_IN_DELAY_HOURS)
            found = Setting(timedelta(hours=hours.value), hours.source)
            self._resolved[outcome, "delay"] = found
        return found

    def max_attempts(self, outcome: Outcome | None) -> Setting[int]:
        """Attempts in all, when this outcome was the last one."""
        found = self._resolved.get((outcome, "most"))
        if found is None:
            found = self._resolve(outcome, "max_attempts", "max_attempts", BUILT_IN_MAX_ATTEMPTS)
            self._resolved[outcome, "most"] = found
        return found

    @cached_property
    def ring_timeout(self) -> timedelta:
        return timedelta(seconds=self.settings.ring_timeout or self.config.get("ring_timeout", 30))

    @cached_property
    def max_call_duration(self) -> timedelta:
        return timedelta(seconds=self.settings.max_call_duration or self.config.get("max_call_duration", 600))

    @property
    def default_zone(self) -> str:
        return self.config.get("timezone", "UTC")

    @cached_property
    def zones(self) -> tuple[str, ...]:
        return self.settings.zone_names

    def hours(self, where: LeadZones) -> tuple[HoursRule, ...]:
        """The calendar of a lead in these zones. The same object for the same question, so it caches well."""
        key = (where.zones, where.country, where.region)
        found = self._hours_by_place.get(key)
        if found is None:
            found = self._hours_by_place[key] = self._hours_rules(where)
        return found

    @property
    def closed_days(self) -> tuple[int, ...]:
        """Days of the week (1 is Monday) on which these hours call nobody, where a day is no holiday."""
        found: set[int] = set()
        for rule in self.hours(LeadZones((self.zones or (self.default_zone,))[:1], "", None, None)):
            days = rule.windows.weekdays
            found |= {
                day + 1 for day in range(7)
                if not days[day] and not any(0 < span.close_s <= span.open_s for span in days[day - 1])
            }
        return tuple(sorted(found))

    @property
    def nights(self) -> tuple[str, ...]:
        """The spans of the campaign's own hours that go on past midnight, like "fri 20:00-02:00"."""
        return tuple(f"{day} {span}" for day, span in self._windows().nights())

    @property
    def hours_source(self) -> str:
        """Who says when calls may be placed."""
        settings, found = self.settings, []
        for name in ("windows", "allowed_hours", "allowed_call_hours", "days_of_week", "holidays", "close_margin_s"):
            if getattr(settings, name) is not None:
                found.append(f"call_settings.{name}")
        preset = settings.found_preset
        if preset is not None:
            found.append(f"call_settings.preset ({preset.name})")
        if settings.windows is None and (settings.span or preset is None or preset.windows is None):
            if settings.span is None:
                found.append("scheduler_config.working_hours_start and _end")
            if settings.days_of_week is None:
                found.append("scheduler_config.working_days")
        if settings.holidays is None and self.config.values.get("holidays"):
            found.append("scheduler_config.holidays")
        return ", ".join(found)

    def _hours_rule(self, where: LeadZones, span: Span | None = None) -> HoursRule:
        return HoursRule(
            zones=where.zones,
            windows=self._windows(span),
            holidays=self._holidays_for(where),
            close_margin=timedelta(seconds=self.settings.close_margin_s or 0),
        )

    def _hours_rules(self, where: LeadZones) -> tuple[HoursRule, ...]:
        """The campaign's hours and its preset's, which must both be open; where only the preset has hours, they
        stand in the place of the installation's. Holidays of the campaign or the installation are shut all the same.
        """
        settings, preset = self.settings, self.settings.found_preset
        rules = []
        if preset is None or preset.windows is None or settings.windows is not None or settings.span:
            rules.append(self._hours_rule(where))
        elif settings.days_of_week or self._holidays_for(where):
            rules.append(self._hours_rule(where, Span(0, DAY_SECONDS)))
        if preset is not None:
            rules.extend(preset.hours_rules(where, timedelta(seconds=settings.close_margin_s or 0)))
        return tuple(rules)

    @cached_property
    def caps(self) -> tuple[Cap, ...]:
        """Every cap that must have room: the campaign's own, its spacing, its preset's."""
        preset = self.settings.found_preset
        return (*self.settings.own_caps, *(preset.caps if preset else ()))

    @cached_property
    def cooldowns(self) -> tuple[Cooldown, ...]:
        preset = self.settings.found_preset
        return (*self.settings.own_cooldowns, *(preset.cooldowns if preset else ()))

    @cached_property
    def allowed_countries(self) -> Setting[tuple[str, ...]]:
        """Countries that may be called; empty: any that is known. A campaign can only narrow what the
        installation allows.
        """
        own: tuple[str, ...] = self.settings.countries
        all_of_us: tuple[str, ...] = self.config.get("allowed_countries", ())
        if own and all_of_us:
            both = "call_settings.allowed_countries and scheduler_config.allowed_countries"
            return Setting(tuple(one for one in own if one in all_of_us) or ("ZZ",), both)
        if own:
            return Setting(own, "call_settings.allowed_countries")
        return Setting(all_of_us, "scheduler_config.allowed_countries" if all_of_us else "built-in")

    @property
    def _counts_by_group(self) -> bool:
        """Do caps count other calls when the campaign changes its group?"""
        return any("group" in cap.by for cap in self.caps) or any("group" in one.by for one in self.cooldowns)

    @cached_property
    def is_capped(self) -> bool:
        """Do earlier calls bear on the next one?"""
        return bool(self.caps or self.cooldowns)

    @property
    def is_paused(self) -> bool:
        """Is nobody called at all?"""
        return bool(self.config.get("paused", False))

    def last_date(self, lead_until: date | None) -> Setting[date] | None:
        """The last date to call a lead, and who says so."""
        if lead_until == UNREADABLE.date():
            lead_until = None  # the gate holds such a lead; it must not be closed for a typing error
        if lead_until is not None and (self.call_until is None or lead_until <= self.call_until):
            return Setting(lead_until, "leads.fecha_limite")
        return Setting(self.call_until, "campaigns.fecha_limite") if self.call_until is not None else None

    def provider_limit(self, provider: str) -> int | None:
        """Calls at once at one provider."""
        return self.config.values.get(f"{provider}_max_concurrent_calls")

    def calls_per_second(self, provider: str) -> float | None:
        return self.config.values.get(f"{provider}_calls_per_second")

    def _windows(self, all_day: Span | None = None) -> Windows:
        if self.settings.windows is not None:
            return Windows.parse(self.settings.windows)
        span = all_day or self.settings.span or Span(
            self.config.get("working_hours_start", 9 * 3600), self.config.get("working_hours_end", 20 * 3600)
        )
        every_day = (1, 2, 3, 4, 5, 6, 7) if all_day else self.config.get("working_days", (1, 2, 3, 4, 5))
        days = self.settings.days_of_week or every_day
        return Windows(tuple((span,) if day in days else () for day in range(1, 8)))

    def doubt_about(self, region: str) -> str | None:
        """What is not known of a region (its normal code) and bears on these hours; None: nothing."""
        found = []
        if not is_known(region):
            country = region[:2]
            found.append(f"no region {region} is known, so every clock of {country} and of the number must be open")
        where = LeadZones((self.default_zone,), "", region[:2], region)
        if any(region[:2] in rule.holidays.calendars for rule in self.hours(where)) and calendar_of(region) is None:
            found.append(f"the regional holidays of {region} are not known, so only those of {region[:2]} are kept")
        return "; ".join(found) or None

    def _holidays_for(self, where: LeadZones) -> Holidays:
        written = self.settings.holidays
        holidays: Holidays = Holidays.parse(written) if written is not None else self.config.get("holidays", Holidays())
        return narrow_holidays(holidays, where.country, where.region)

    def _resolve(self, outcome: Outcome | None, name: str, own_name: str, built_in: Any) -> Setting[Any]:
        if outcome is not None and self.settings.outcomes and outcome in self.settings.outcomes:
            found = getattr(self.settings.outcomes[outcome], name)
            if found is not None:
                return Setting(found, f"call_settings.outcomes.{outcome}.{name}")
        own, nested = getattr(self.settings, own_name), self.settings.retry_settings
        if own is None and nested is not None:
            own = getattr(nested, own_name)
        if own is not None:
            return Setting(own, f"call_settings.{own_name}")
        for key in (f"{outcome}_{name}", f"default_{name}"):
            found = self.config.values.get(key)
            if found is not None:
                return Setting(found, f"scheduler_config.{key}")
        return Setting(built_in, "built-in")

    @cached_property
    def version(self) -> str:
        """The fingerprint as text, as steps and attempts carry it."""
        return str(self.fingerprint)

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """Of the rules in force, and apart from the others of those that say when calls may be placed."""
        settings = self.settings.model_dump(mode="json", exclude_none=True)
        if (preset := self.settings.found_preset) is not None:  # a release may know it differently
            settings["preset"] = [preset.name, preset.clock, preset.as_call_settings()]
        return Fingerprint(
            rules=_hash(self.config.texts, {**settings, "call_until": self.call_until, "group": self.group}),
            hours=_hash(
                {key: text for key, text in self.config.texts.items() if key in _HOURS_KEYS},
                {
                    **{key: value for key, value in settings.items() if key in _HOURS_SETTINGS},
                    "group": self.group if self._counts_by_group else None,
                },
            ),
            tzdata=tzdata_version(),
        )


_HOURS_KEYS = {
    "working_hours_start", "working_hours_end", "working_days", "timezone", "holidays", "allowed_countries",
}
_HOURS_SETTINGS = {
    "allowed_hours", "allowed_call_hours", "days_of_week", "timezone", "zones", "windows", "holidays", "close_margin_s",
    "caps", "cooldowns", "spacing", "preset", "allowed_countries", "required_variables",
}


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Which rules: written as one text of at most 64 characters."""

    rules: str
    hours: str
    tzdata: str

    def __str__(self) -> str:
        return f"{self.rules}.{self.hours}.{self.tzdata}"[:64]

    @classmethod
    def parse(cls, text: str) -> Fingerprint:
        rules, hours, tzdata = (*text.split("."), "", "")[:3]
        return cls(rules, hours, tzdata)

    def moves_calls_of(self, before: Fingerprint) -> bool:
        """Must calls that waited by `before` be planned again? Time-zone data only ever goes forward: beside a
        daemon with older data two would otherwise plan everything again in turn, for ever.
        """
        return self.hours != before.hours or self.tzdata > before.tzdata


def _hash(config: Mapping[str, str], settings: Mapping[str, Any]) -> str:
    text = json.dumps([dict(sorted(config.items())), settings], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


__all__ = [
    "CONFIG_KEYS", "CallSettings", "Config", "Policy", "Setting", "read_call_settings", "read_config",
    "read_config_value",
]
