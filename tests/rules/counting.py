"""When somebody may be called, found by walking from instant to instant and counting at each of them.

Written from the words of the definition alone: at every step it reads the wall clocks and counts the past calls
that count then. It knows no release and no opening, reads the documents that people write and not what the
rules make of them, and asks zoneinfo itself, so it cannot share a mistake with the code under test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from scheduler.rules.caps import next_callable, parse_caps, parse_cooldowns, parse_history, parse_target
from scheduler.rules.hours import HoursRule

Document = Mapping[str, Any]

QUARTER = timedelta(minutes=15)
ALWAYS: Document = {"all": [["00:00", "24:00"]]}
TARGET: Document = {
    "lead": "L1", "phone": "P1", "debt": "D1", "subject": "S1", "line": "mobile", "campaign": 7, "group": "G1",
}  # fmt: skip

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
# What each outcome of ours is in the words of the calling rules.
ALSO: Mapping[str, set[str]] = {
    "completed": {"conversation", "answered_live"},
    "callback": {"conversation", "answered_live"},
    "do_not_call": {"refused", "conversation", "answered_live"},
    "hang_up": {"answered_live"},
    "voicemail": {"machine", "message_left"},
    "invalid_number": {"failed"},
}


@dataclass(frozen=True)
class Situation:
    """The rules, the past and whom to call. `zones` are those that the lead may be in."""

    zones: tuple[str, ...]
    windows: Document
    caps: Sequence[Document] = ()
    cooldowns: Sequence[Document] = ()
    history: Sequence[Document] = ()
    target: Document = field(default_factory=lambda: TARGET)

    def answer(self, at: datetime) -> datetime | None:
        """What the code under test says."""
        rule = HoursRule.parse({"zones": list(self.zones), "windows": self.windows})
        return next_callable(
            [rule], parse_caps(self.caps), parse_cooldowns(self.cooldowns), parse_history(self.history),
            parse_target(self.target), at,
        )

    def walk(self, at: datetime, step: timedelta, days: float) -> datetime | None:
        """The first of the instants at, at + step, at + 2 steps ... at which the call may be placed."""
        for number in range(int(timedelta(days=days) / step)):
            if self.may_call(at + number * step):
                return at + number * step
        return None

    def may_call(self, now: datetime) -> bool:
        return (
            all(reads_open(self.windows, now.astimezone(ZoneInfo(zone))) for zone in self.zones)
            and all(self.count(cap, now) < cap["max"] for cap in self.caps)
            and not any(self.is_quiet(cooldown, call, now) for cooldown in self.cooldowns for call in self.history)
        )

    def count(self, cap: Document, now: datetime) -> int:
        return sum(
            call.get("channel", "voice") == "voice" == cap.get("channel", "voice")
            and is_named(call.get("outcome"), cap.get("counts", ["*"]))
            and self.is_same(call, cap["by"])
            and lies_within(cap["per"], instant(call["at"]), now, self.zones)
            for call in self.history
        )

    def is_quiet(self, cooldown: Document, call: Document, now: datetime) -> bool:
        wait, began_at = cooldown["wait"], instant(call.get("ended_at") or call["at"])
        if "days" in wait and wait.get("first_day", "next") == "next":
            wait = {"days": wait["days"] + 1}  # n full days after that date
        return (
            is_named(call.get("outcome"), cooldown["after"])
            and self.is_same(call, cooldown["by"])
            and lies_within(wait, began_at, now, self.zones)
        )

    def is_same(self, call: Document, by: str | Sequence[str]) -> bool:
        """All keys agree; what only one of the two has says nothing, and the lead decides."""
        return all(
            call[key] == self.target[key]
            if call.get(key) is not None and self.target.get(key) is not None
            else call.get("lead") is not None and call.get("lead") == self.target.get("lead")
            for key in ([by] if isinstance(by, str) else by)
        )

    def also(self, **changes: Any) -> Situation:
        """The same with more zones, caps, cool-downs or calls."""
        return replace(self, **{name: (*getattr(self, name), *more) for name, more in changes.items()})


def is_named(outcome: str | None, names: Sequence[str]) -> bool:
    """A call in progress has no outcome: it counts as placed, and as nothing else."""
    return "*" in names or (outcome is not None and bool({outcome, *ALSO.get(outcome, ())} & set(names)))


def lies_within(period: Document, began_at: datetime, now: datetime, zones: Sequence[str]) -> bool:
    """Does a call of then still count? A date has passed only when it has in every zone."""
    if "hours" in period:
        return now - began_at < timedelta(hours=period["hours"])
    return any(is_same_date(period, local_date(began_at, zone), local_date(now, zone)) for zone in zones)


def is_same_date(period: Document, began_on: date, today: date) -> bool:
    if "days" in period:
        return today <= began_on + timedelta(days=period["days"] - 1)
    unit = period["calendar"]
    if unit == "week":
        return today.isocalendar()[:2] == began_on.isocalendar()[:2]
    return today == began_on if unit == "day" else (today.year, today.month) == (began_on.year, began_on.month)


def reads_open(windows: Document, local: datetime) -> bool:
    """Of spans that do not cross midnight, under keys that name each day once."""
    clock = f"{local:%H:%M:%S}"
    return any(
        start <= clock < end
        for key, spans in windows.items() if names_day(key, local.weekday())
        for start, end in spans
    )


@cache
def names_day(key: str, weekday: int) -> bool:
    first, _, last = key.partition("-")
    return key == "all" or DAYS.index(first) <= weekday <= DAYS.index(last or first)


@cache
def local_date(at: datetime, zone: str) -> date:
    return at.astimezone(ZoneInfo(zone)).date()


@cache
def instant(text: str) -> datetime:
    """UTC, of an ISO text that may leave its Z out."""
    return datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=UTC)
