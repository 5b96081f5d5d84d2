"""Decide how often a lead may be called: caps, spacing and cool-downs.

Pure: works on the past calls it is given; who reads them, and how far back, is not decided here. Calls
in progress belong in the history, or two workers will both find room.

Every past call has one instant at which it stops counting, the latest over all zones given, and it never
counts again. So a cap has room from the moment enough of its calls are released, and one look finds it.
Periods in hours are elapsed time. Periods in days are local dates: a call on date D counts on D to
D + n - 1, whatever its hour, and the clock changes do not move it.

A newcomer would leave a call without a debt out of a cap by debt. Here a missing value falls back on the
lead: that the two are about different things must be known, not assumed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Literal

from scheduler.errors import InvalidValue
from scheduler.rules.hours import HORIZON, HoursRule, day_start, format_local, next_allowed, zone_info

Key = str | int | None

ANY = "*"
KEYS = ("lead", "phone", "debt", "subject", "line", "campaign", "group")
UNITS = ("day", "week", "month")
LONGEST_DAYS = 3660

# An outcome of ours counts under its own name and under these classes of the calling rules.
CLASSES_OF: Mapping[str, tuple[str, ...]] = {
    "completed": ("conversation", "answered_live"),
    "callback": ("conversation", "answered_live"),
    "do_not_call": ("refused", "conversation", "answered_live"),
    "hang_up": ("answered_live",),
    "voicemail": ("machine", "message_left"),  # that no message was left must be known, not assumed
    "invalid_number": ("failed",),
    "cancelled": (),
}
CLASSES = (
    "no_answer", "machine", "message_left", "answered_live", "conversation", "third_party", "refused",
    "abandoned", "busy", "failed",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Hours:
    """Elapsed time: a call counts while now < its instant + n hours."""

    n: float

    def __post_init__(self) -> None:
        _refuse_unless_positive(self, self.n)

    def __str__(self) -> str:
        return f"{self.n:g} hours"


@dataclass(frozen=True, slots=True)
class Days:
    """n local dates, the date of the call being the first."""

    n: int

    def __post_init__(self) -> None:
        _refuse_unless_positive(self, self.n)

    def __str__(self) -> str:
        return f"{self.n} days"


@dataclass(frozen=True, slots=True)
class Calendar:
    """The local day, the ISO week (from Monday) or the month that the call lies in."""

    unit: Literal["day", "week", "month"]

    def __str__(self) -> str:
        return f"one {self.unit}"


Period = Hours | Days | Calendar


@dataclass(frozen=True, slots=True)
class Cap:
    """At most `max` calls per period among those that share all of `by` with the target.

    It holds for calls of its channel; None is every channel.
    """

    max: int
    period: Period
    by: tuple[str, ...] = ("lead",)
    counts: tuple[str, ...] = (ANY,)
    channel: str | None = "voice"

    def __post_init__(self) -> None:
        _refuse_unless_positive(self, self.max)

    def __str__(self) -> str:
        return f"{self.max} in {self.period} by {' and '.join(self.by)}"


@dataclass(frozen=True, slots=True)
class Cooldown:
    """Silence after an outcome. `wait` in Days counts the date of the call as day 1."""

    after: tuple[str, ...]
    wait: Hours | Days
    by: tuple[str, ...] = ("lead",)

    def __str__(self) -> str:
        return f"after {' or '.join(self.after)} by {' and '.join(self.by)}"


@dataclass(frozen=True, slots=True)
class PastCall:
    """One call that was placed. `outcome` is one of ours or a class; None while it is in progress."""

    at: datetime
    outcome: str | None = None
    lead: Key = None
    phone: Key = None
    debt: Key = None
    campaign: Key = None
    channel: str = "voice"
    subject: Key = None
    line: Key = None
    group: Key = None
    ended_at: datetime | None = None
    """Silence after an outcome begins with it: at the end of the call, where that is known."""

    def __post_init__(self) -> None:
        if self.at.utcoffset() is None:
            raise ValueError(f"{self.at!r} has no time zone, so it names no instant")


@dataclass(frozen=True, slots=True)
class Target:
    """Who would be called, and about what."""

    lead: Key = None
    phone: Key = None
    debt: Key = None
    campaign: Key = None
    channel: str = "voice"
    subject: Key = None
    line: Key = None
    group: Key = None


def next_callable(
    rules: Sequence[HoursRule],
    caps: Sequence[Cap],
    cooldowns: Sequence[Cooldown],
    history: Sequence[PastCall],
    target: Target,
    at: datetime,
    *,
    zones: Sequence[str] | None = None,
) -> datetime | None:
    """The earliest instant not before `at` that hours, caps and cool-downs all allow; None = never.

    `zones` are those whose dates count, by default every zone of every rule.
    """
    if zones is None:
        zones = tuple(dict.fromkeys(zone for rule in rules for zone in rule.zones))
    # Room that is there once stays: waiting for the hours cannot lose it again, so one turn is enough.
    released_at, _ = next_release(caps, cooldowns, history, target, zones, at)
    found = next_allowed(rules, released_at)
    return None if found is None or found - at > HORIZON else found


def group_key(group: str | None, campaign_id: int | None) -> str:
    """What campaigns share when their calls count together; one without a group is a group of its own."""
    return f"group {group}" if group else f"campaign {campaign_id}"


def words_counted(outcomes: Iterable[str]) -> tuple[str, ...]:
    """The outcomes of ours that count among these names and classes; ANY alone stands for all."""
    names = set(outcomes)
    if ANY in names:
        return (ANY,)
    ours = {*CLASSES_OF, "no_answer", "busy", "failed"}
    return tuple(sorted(one for one in ours if {one, *CLASSES_OF.get(one, ())} & names))


def longest_memory(caps: Iterable[Cap], cooldowns: Iterable[Cooldown]) -> timedelta:
    """How far back the beginnings of calls must be known."""
    periods = [*(cap.period for cap in caps), *(cooldown.wait for cooldown in cooldowns)]
    return max((_longest(one) + _SPARE for one in periods), default=timedelta(0))


_SPARE = timedelta(days=2)
"""For the zones, and for a silence that begins only with the end of a call: the longest lasts a day."""


def _longest(period: Period) -> timedelta:
    if isinstance(period, Hours):
        return timedelta(hours=period.n)
    return timedelta(days=period.n if isinstance(period, Days) else {"day": 1, "week": 7, "month": 31}[period.unit])


def next_release(
    caps: Sequence[Cap],
    cooldowns: Sequence[Cooldown],
    history: Sequence[PastCall],
    target: Target,
    zones: Sequence[str],
    at: datetime,
    *,
    open_counts: bool = False,
) -> tuple[datetime, str]:
    """The earliest instant not before `at` with room in every cap and no cool-down left, and why then.

    The reason is empty when nothing holds the call back. A date must have passed in every zone. With
    `open_counts` a call in progress counts as whatever it may still turn out to be: a conversation, a refusal.
    """
    if at.utcoffset() is None:
        raise ValueError(f"{at!r} has no time zone, so it names no instant")
    latest, holder = at.astimezone(UTC), ""
    for cap in caps:
        released_at = _cap_release(cap, history, target, zones, open_counts)
        if released_at is not None and released_at > latest:
            latest, holder = released_at, f"cap of {cap} is used up"
    for cooldown in cooldowns:
        released_at = _cooldown_release(cooldown, history, target, zones, open_counts)
        if released_at is not None and released_at > latest:
            latest, holder = released_at, f"quiet time {cooldown}"
    if not holder:
        return latest, ""
    return latest, f"{holder} until {format_local(latest, zones[0] if zones else 'UTC')}"


def _cap_release(
    cap: Cap, history: Sequence[PastCall], target: Target, zones: Sequence[str], open_counts: bool = False
) -> datetime | None:
    """When fewer than `max` calls still count; None when there is room whatever the time."""
    if cap.channel not in (None, target.channel):
        return None
    counted = [
        call
        for call in history
        if cap.channel in (None, call.channel)
        and _counts(call, cap.counts, open_counts)
        and _is_same(call, target, cap.by)
    ]
    if len(counted) < cap.max:
        return None
    releases = sorted((_released_at(call.at, cap.period, zones) for call in counted), reverse=True)
    return releases[cap.max - 1]


def _cooldown_release(
    cooldown: Cooldown, history: Sequence[PastCall], target: Target, zones: Sequence[str], open_counts: bool = False
) -> datetime | None:
    return max(
        (
            _released_at(call.ended_at or call.at, cooldown.wait, zones)
            for call in history
            if _counts(call, cooldown.after, open_counts) and _is_same(call, target, cooldown.by)
        ),
        default=None,
    )


def _counts(call: PastCall, outcomes: Iterable[str], open_counts: bool) -> bool:
    if call.outcome is None:
        return open_counts or ANY in outcomes
    names = (ANY, call.outcome, *CLASSES_OF.get(call.outcome, ()))
    return any(name in outcomes for name in names)


def _is_same(call: PastCall, target: Target, by: Iterable[str]) -> bool:
    return all(_shares(call, target, key) for key in by)


def _shares(call: PastCall, target: Target, key: str) -> bool:
    theirs, ours = getattr(call, key), getattr(target, key)
    if theirs is None or ours is None:
        theirs, ours = call.lead, target.lead
    return theirs is not None and theirs == ours


def _released_at(at: datetime, period: Period, zones: Sequence[str]) -> datetime:
    """The first instant at which a call made then no longer counts, in any zone."""
    if isinstance(period, Hours):
        return at.astimezone(UTC) + timedelta(hours=period.n)
    return max(_released_in_zone(at, period, zone) for zone in (zones or ("UTC",)))


def _released_in_zone(at: datetime, period: Days | Calendar, name: str) -> datetime:
    day = at.astimezone(zone_info(name)).date()
    return _start_of(_first_free_date(day, period), name)


@lru_cache(maxsize=8192)
def _start_of(day: date, name: str) -> datetime:
    # Asked for every past call of every lead before each dial, and there are few dates.
    return day_start(day, zone_info(name))


def _first_free_date(day: date, period: Days | Calendar) -> date:
    if isinstance(period, Days):
        return day + timedelta(days=period.n)
    if period.unit == "day":
        return day + timedelta(days=1)
    if period.unit == "week":
        return day + timedelta(days=7 - day.weekday())
    # The 32nd of any month lies in the next one.
    return (day.replace(day=1) + timedelta(days=31)).replace(day=1)


def _refuse_unless_positive(thing: object, n: float) -> None:
    if not n > 0:
        raise ValueError(f"{thing!r} needs a number greater than 0")


# --- Parsing --------------------------------------------------------------------------------------


def parse_caps(value: object, field: str = "caps") -> tuple[Cap, ...]:
    """Read [{"max": 3, "per": {"hours": 24}, "by": "phone", "counts": ["*"], "channel": "voice"}]."""
    return tuple(_parse_cap(item, where, least_max=None) for item, where in _items(value, field))


def parse_spacing(value: object, field: str = "spacing") -> tuple[Cap, ...]:
    """Read [{"per": {"hours": 2}, "by": "phone"}]: caps of one call."""
    return tuple(_parse_cap(item, where, least_max=1) for item, where in _items(value, field))


def parse_cooldowns(value: object, field: str = "cooldowns") -> tuple[Cooldown, ...]:
    """Read [{"after": ["refused"], "wait": {"days": 60, "first_day": "next"}, "by": "lead"}]."""
    return tuple(_parse_cooldown(item, where) for item, where in _items(value, field))


def parse_history(value: object, field: str = "history") -> tuple[PastCall, ...]:
    """Read [{"at": "2027-06-10T13:00:00Z", "outcome": "no_answer", "lead": "L1", "phone": "P1"}], `ended_at` too."""
    return tuple(_parse_past_call(item, where) for item, where in _items(value, field))


def parse_target(value: object, field: str = "target") -> Target:
    """Read {"lead": "L1", "phone": "P1", "debt": "D1"}."""
    mapping = _keyed({} if value is None else value, field, (*KEYS, "channel"))
    keys = {key: _parse_key(mapping.get(key), f"{field}.{key}") for key in KEYS}
    return Target(**keys, channel=_parse_channel(mapping, field) or "voice")


def _parse_cap(value: object, field: str, *, least_max: int | None) -> Cap:
    mapping = _keyed(value, field, ("max", "per", "by", "counts", "channel"))
    most = mapping.get("max", least_max)
    if isinstance(most, bool) or not isinstance(most, int) or most < 1:
        raise InvalidValue(f"{field}.max", most, "write a whole number from 1")
    return Cap(
        max=most,
        period=_parse_period(mapping.get("per"), f"{field}.per"),
        by=_parse_by(mapping.get("by", "lead"), f"{field}.by"),
        counts=_parse_outcomes(mapping.get("counts", [ANY]), f"{field}.counts"),
        channel=_parse_channel(mapping, field),
    )


def _parse_cooldown(value: object, field: str) -> Cooldown:
    mapping = _keyed(value, field, ("after", "wait", "by"))
    return Cooldown(
        after=_parse_outcomes(mapping.get("after"), f"{field}.after"),
        wait=_parse_wait(mapping.get("wait"), f"{field}.wait"),
        by=_parse_by(mapping.get("by", "lead"), f"{field}.by"),
    )


def _parse_past_call(value: object, field: str) -> PastCall:
    mapping = _keyed(value, field, ("at", "ended_at", "outcome", *KEYS, "channel"))
    outcome, ended_at = mapping.get("outcome"), mapping.get("ended_at")
    keys = {key: _parse_key(mapping.get(key), f"{field}.{key}") for key in KEYS}
    made = PastCall(
        at=parse_instant(mapping.get("at"), f"{field}.at"),
        outcome=None if outcome is None else _known_outcome(outcome, f"{field}.outcome"),
        channel=_parse_channel(mapping, field) or "voice",
        ended_at=None if ended_at is None else parse_instant(ended_at, f"{field}.ended_at"),
    )
    return replace(made, **keys)  # type: ignore[arg-type]


def parse_instant(value: object, field: str) -> datetime:
    """Read an ISO time that names its zone or offset, as UTC."""
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else value
        if isinstance(at, datetime) and at.utcoffset() is not None:
            return at.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise InvalidValue(field, value, "write an instant in UTC, such as 2027-06-10T13:00:00Z")


_PERIOD_RIGHT = 'write {"hours": 24}, {"days": 7} or {"calendar": "week"}'


def _parse_period(value: object, field: str) -> Period:
    if not isinstance(value, Mapping) or len(value) != 1:
        raise InvalidValue(field, value, _PERIOD_RIGHT)
    if "calendar" in value:
        unit = value["calendar"]
        for known in _CALENDARS:
            if unit == known.unit:
                return known
        raise InvalidValue(f"{field}.calendar", unit, f"write one of {', '.join(UNITS)}")
    return _parse_hours_or_days(value, field, _PERIOD_RIGHT)


_CALENDARS = (Calendar("day"), Calendar("week"), Calendar("month"))


def _parse_wait(value: object, field: str) -> Hours | Days:
    right = 'write {"hours": 72} or {"days": 7, "first_day": "event" or "next"}'
    if not isinstance(value, Mapping):
        raise InvalidValue(field, value, right)
    length = {key: n for key, n in value.items() if key != "first_day"}
    wait = _parse_hours_or_days(length, field, right)
    # Left out, the longer reading holds.
    first_day = value.get("first_day", "next" if isinstance(wait, Days) else None)
    if isinstance(wait, Hours):
        if first_day is not None:
            raise InvalidValue(f"{field}.first_day", first_day, "a wait in hours has no first_day")
        return wait
    if first_day not in ("event", "next"):
        raise InvalidValue(f"{field}.first_day", first_day, "write event (that date is day 1) or next")
    return wait if first_day == "event" else Days(wait.n + 1)


def _parse_hours_or_days(value: Mapping[object, object], field: str, right: str) -> Hours | Days:
    if set(value) == {"hours"}:
        n = value["hours"]
        if isinstance(n, bool) or not isinstance(n, int | float) or not 0 < n <= LONGEST_DAYS * 24:
            raise InvalidValue(f"{field}.hours", n, f"write a number above 0, at most {LONGEST_DAYS * 24}")
        return Hours(n)
    if set(value) == {"days"}:
        n = value["days"]
        if isinstance(n, bool) or not isinstance(n, int) or not 1 <= n <= LONGEST_DAYS:
            raise InvalidValue(f"{field}.days", n, f"write a whole number from 1 to {LONGEST_DAYS}")
        return Days(n)
    raise InvalidValue(field, dict(value), right)


def _parse_by(value: object, field: str) -> tuple[str, ...]:
    keys = _strings(value, field, f"write one or several of {', '.join(KEYS)}")
    for key in keys:
        if key not in KEYS:
            raise InvalidValue(field, key, f"write one or several of {', '.join(KEYS)}")
    return keys


def _parse_outcomes(value: object, field: str) -> tuple[str, ...]:
    names = _strings(value, field, f"write a list of outcomes, such as {', '.join(CLASSES[:3])}")
    return tuple(name if name == ANY else _known_outcome(name, field) for name in names)


def _known_outcome(value: object, field: str) -> str:
    if isinstance(value, str) and (value in CLASSES or value in CLASSES_OF):
        return value
    known = ", ".join(dict.fromkeys((*CLASSES, *CLASSES_OF)))
    raise InvalidValue(field, value, f"the outcomes are {known}")


def _parse_channel(mapping: Mapping[str, object], field: str) -> str | None:
    channel = mapping.get("channel", "voice")
    if channel is None or channel == ANY:
        return None
    if not isinstance(channel, str) or not channel:
        raise InvalidValue(f"{field}.channel", channel, 'write "voice", "written" or "*" for all')
    return channel


def _parse_key(value: object, field: str) -> Key:
    if value is None or (isinstance(value, str | int) and not isinstance(value, bool)):
        return value
    raise InvalidValue(field, value, "write a text or a whole number")


def _strings(value: object, field: str, right: str) -> tuple[str, ...]:
    items = [value] if isinstance(value, str) else value
    if isinstance(items, Sequence) and items and all(isinstance(item, str) for item in items):
        return tuple(items)
    raise InvalidValue(field, value, right)


def _items(value: object, field: str) -> list[tuple[object, str]]:
    if value is None:
        return []
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise InvalidValue(field, value, "write a list of objects")
    return [(item, f"{field}[{i}]") for i, item in enumerate(value)]


def _keyed(value: object, field: str, known: Sequence[str]) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise InvalidValue(field, value, f"write an object with the keys {', '.join(known)}")
    for key in value:
        if key not in known:
            raise InvalidValue(f"{field}.{key}", value[key], f"the keys are {', '.join(known)}")
    return value
