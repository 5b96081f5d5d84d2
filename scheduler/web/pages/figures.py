"""The figures of the overview, as one reading: the page shows them, and the live stream sends what changed.

What must stay true: a reading costs the same few statements however large the tables are; alerts are read apart
and rarely, because they ask more. A newcomer would read them with every page: each look at the overview would
then cost twice what it may.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import FastAPI

from scheduler.model import Account, Campaign, CampaignStatus, DaemonWish
from scheduler.rules.alerts import Alert, Thresholds, raise_alerts
from scheduler.rules.hours import HoursRule, Windows, is_allowed, next_allowed, open_span, zone_info
from scheduler.rules.policy import Config, Policy
from scheduler.rules.zones import lead_zones
from scheduler.service.alerts import read_facts
from scheduler.service.rulebook import RuleBook
from scheduler.service.runtime import Runtime
from scheduler.store import alerts as signs
from scheduler.store import screens
from scheduler.store.alerts import SignRow
from scheduler.store.database import Connection
from scheduler.store.screens import Pulse
from scheduler.store.totals import HourFigures, Totals
from scheduler.web import words
from scheduler.web.pages.base import day_start, zone_of

SHOWN_CAMPAIGNS, SHOWN_ACCOUNTS, SHOWN_ALERTS = 8, 6, 8
ALERTS_KEPT = 60.0
"""Seconds for which a reading of alerts is shown before somebody waits for a new one."""
ALERTS_APART = 5.0
LONG_SPAN = timedelta(hours=47)
"""An open span is cut off two days from now: whoever is open longer is simply open."""
HOUR, LEAST_HOURS = timedelta(hours=1), timedelta(hours=8)
FRESH = timedelta(seconds=3)


# --- hours ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Hours:
    """When a campaign may call, at one instant, on its own clock. `opens_at` is None while it is open, and for ever
    where its hours never let a call through; `until` is None where it is open without end.
    """

    is_open: bool
    opens_at: datetime | None
    until: datetime | None
    zones: tuple[str, ...]
    rules: tuple[HoursRule, ...] = ()

    @property
    def zone(self) -> tzinfo:
        return zone_info(self.zones[0])


def hours_of(policy: Policy, now: datetime) -> Hours:
    """By the clock of the campaign, or of the installation; a lead's own clock may differ."""
    where = lead_zones(
        time_zone=None, region=None, traits=None, campaign_zones=policy.zones, default_zone=policy.default_zone
    )
    rules = policy.hours(where)
    if is_allowed(rules, now):
        span = open_span(rules, now)
        until = None if span is None or span.open_until - now > LONG_SPAN else span.open_until
        return Hours(True, None, until, where.zones, rules)
    return Hours(False, next_allowed(rules, now), None, where.zones, rules)


def speak_hours(language: str, hours: Hours, now: datetime) -> str:
    """Open now until 20:00; opens Mon 09:00; never open."""
    if hours.is_open:
        if hours.until is None:
            return words.say(language, "open now")
        return words.say(language, "open now, until {time}", time=_moment(language, hours.until, hours.zone, now))
    if hours.opens_at is None:
        return words.say(language, "never open")
    return words.say(language, "opens {time}", time=_moment(language, hours.opens_at, hours.zone, now))


def _moment(language: str, at: datetime, zone: tzinfo, now: datetime) -> str:
    local, today = at.astimezone(zone), now.astimezone(zone).date()
    if local.date() == today:
        return f"{local:%H:%M}"
    if local.date() - today < timedelta(days=7):
        return f"{words.name_day(language, local.isoweekday())} {local:%H:%M}"
    return words.write_instant(language, local)


def speak_windows(language: str, windows: Windows) -> str:
    """Mon-Fri 09:00-20:00, Sat 10:00-13:00."""
    parts, first = [], 0
    for last in range(7):
        if last == 6 or windows.weekdays[last + 1] != windows.weekdays[first]:
            if windows.weekdays[first]:
                day = words.name_day(language, first + 1)
                until = f"–{words.name_day(language, last + 1)}" if last > first else ""
                parts.append(f"{day}{until} {_spans(language, windows.weekdays[first])}")
            first = last + 1
    if windows.holiday:
        parts.append(f"{words.say(language, 'holidays')} {_spans(language, windows.holiday)}")
    return ", ".join(parts) or words.say(language, "never")


def _spans(language: str, spans: Sequence[object]) -> str:
    return f" {words.say(language, 'and')} ".join(str(one).replace("-", "–") for one in spans)


# --- what a process remembers ---------------------------------------------------------------------


class Alerts:
    """The alerts as they were read last. One per process; safe for threads."""

    def __init__(self, runtime: Runtime, rulebook: RuleBook) -> None:
        self._runtime, self._rulebook = runtime, rulebook
        self.looked_at: datetime | None = None
        self._lock = threading.Lock()
        self._found: list[Alert] | None = None
        self._read_at = 0.0

    def peek(self) -> list[Alert] | None:
        """None: nobody has read them lately."""
        found, age = self._found, time.monotonic() - self._read_at
        return found if found is not None and age < ALERTS_KEPT else None

    def read(self, apart: float = ALERTS_APART) -> list[Alert]:
        """Read again, unless that was done a moment ago."""
        with self._lock:
            if self._found is None or time.monotonic() - self._read_at >= apart:
                now = self._runtime.clock.now()
                facts = self._runtime.database.read(lambda connection: read_facts(connection, now, self._rulebook))
                self._found, self._read_at, self.looked_at = raise_alerts(facts), time.monotonic(), now
            return self._found

    def forget(self) -> None:
        """Somebody changed what they are raised from."""
        with self._lock:
            self._found = None


@dataclass(frozen=True, slots=True)
class Memory:
    """What the pages of one process keep: `app.state.memory`."""

    rulebook: RuleBook
    alerts: Alerts


def memory_of(app: FastAPI) -> Memory:
    found: Memory | None = getattr(app.state, "memory", None)
    if found is None:
        book = RuleBook()
        found = app.state.memory = Memory(book, Alerts(app.state.runtime, book))
    return found


# --- one reading ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Hour:
    """One hour of today on the clock of the installation."""

    label: str
    dials: int
    answered: int
    completed: int


@dataclass(frozen=True, slots=True)
class Running:
    """A campaign that runs, and what was counted of it."""

    campaign: Campaign
    totals: Totals
    hours: Hours


@dataclass(frozen=True, slots=True)
class Purse:
    """An account that pays, and the balance below which it is low."""

    account: Account
    low_below: Decimal

    @property
    def is_low(self) -> bool:
        return not self.account.balance.is_finite() or self.account.balance < self.low_below


@dataclass(frozen=True, slots=True)
class Glance:
    """Everything the overview shows, read at one instant."""

    now: datetime
    config: Config
    pulse: Pulse
    hours: tuple[Hour, ...]
    running: tuple[Running, ...]
    active: int
    paused: int
    purses: tuple[Purse, ...]
    daemons: tuple[SignRow, ...]
    counted_at: datetime
    watched: Mapping[int, Totals] = field(default_factory=dict)

    @property
    def thresholds(self) -> Thresholds:
        return Thresholds.of(self.config)

    @property
    def lines(self) -> int:
        return self.thresholds.lines

    @property
    def alive(self) -> tuple[SignRow, ...]:
        return tuple(one for one in self.daemons if self.now - one.last_seen_at <= self.thresholds.silent)

    @property
    def taking(self) -> int:
        """Daemons that take new calls."""
        return sum(one.wanted is DaemonWish.RUN for one in self.alive)

    @property
    def dials_today(self) -> int:
        return sum(one.dials for one in self.hours)

    @property
    def answered_today(self) -> int:
        return sum(one.answered for one in self.hours)

    @property
    def completed_today(self) -> int:
        return sum(one.completed for one in self.hours)

    @property
    def answer_rate(self) -> float | None:
        return self.answered_today / self.dials_today if self.dials_today else None

    @property
    def late_by(self) -> timedelta | None:
        oldest = self.pulse.oldest_due_at
        return None if oldest is None else max(timedelta(0), self.now - oldest)

    @property
    def is_late(self) -> bool:
        return self.late_by is not None and self.late_by > self.thresholds.due


def read_glance(runtime: Runtime, rulebook: RuleBook, now: datetime, watched: Collection[int] = ()) -> Glance:
    """Five statements beside what is counted. `watched` are campaigns whose totals are wanted too."""

    def read(connection: Connection) -> tuple[Any, ...]:
        in_use = signs.list_in_use(connection)
        active = [one for one in in_use if one.status is CampaignStatus.ACTIVE]
        first = sorted(active, key=lambda one: (_priority(one), one.id), reverse=True)[:SHOWN_CAMPAIGNS]
        return (
            len(in_use), active, first, rulebook.read(connection, first),
            screens.read_pulse(connection, [one.id for one in active], now), signs.list_payers(connection),
            signs.list_signs(connection),
        )

    in_use, active, first, rules, pulse, payers, daemons = runtime.database.read(read)
    zone = zone_of(rules.config)
    since = day_start(now, zone)
    thresholds = Thresholds.of(rules.config)
    counted = runtime.counts.of_campaigns({one.id for one in first} | set(watched))
    by_hour = runtime.counts.hours(since)
    return Glance(
        now=now,
        config=rules.config,
        pulse=pulse,
        hours=_today(by_hour.value, since, now, zone),
        running=tuple(
            Running(one, counted.value[one.id], hours_of(rules.policy(one.id), now)) for one in first
        ),
        active=len(active),
        paused=in_use - len(active),
        purses=tuple(
            Purse(one, one.low_balance if one.low_balance is not None else thresholds.balance_below)
            for one in sorted(payers, key=_balance)[:SHOWN_ACCOUNTS]
        ),
        daemons=tuple(daemons),
        counted_at=min(counted.at, by_hour.at),
        watched={one: counted.value[one] for one in watched},
    )


def say_counted(language: str, at: datetime, now: datetime) -> str:
    """How old figures are, which is worth a word once it is some seconds."""
    age = now - at
    if age < FRESH:
        return words.say(language, "counted just now")
    return words.say(language, "counted {span} ago", span=timedelta(seconds=int(age.total_seconds())))


def _balance(account: Account) -> Decimal:
    return account.balance if account.balance.is_finite() else Decimal("-Infinity")


def _priority(campaign: Campaign) -> int:
    return campaign.priority if isinstance(campaign.priority, int) else 0


def _today(found: Sequence[HourFigures], since: datetime, now: datetime, zone: tzinfo) -> tuple[Hour, ...]:
    """From the first hour with a dial (or some hours ago) to the present one; none before the first call."""
    by_hour: dict[datetime, HourFigures] = {one.hour_at: one for one in found if one.dials}
    if not by_hour:
        return ()
    this_hour = now.replace(minute=0, second=0, microsecond=0)
    hours, at = [], max(min(min(by_hour), this_hour - LEAST_HOURS), since.replace(minute=0))
    while at <= now:
        one = by_hour.get(at)
        label = f"{max(at, since).astimezone(zone):%H:%M}"
        hours.append(Hour(label, *((one.dials, one.answered, one.completed) if one else (0, 0, 0))))
        at += HOUR
    return tuple(hours)


# --- as texts, for the live stream ----------------------------------------------------------------


def texts_of(glance: Glance, language: str) -> dict[str, str]:
    """What the elements with `data-live` show, by their names."""
    pulse = glance.pulse

    def number(value: int) -> str:
        return words.write_number(language, value)

    return {
        "counted": say_counted(language, glance.counted_at, glance.now),
        "in_use": number(pulse.in_use),
        "in_use_note": note_of_lines(glance, language),
        "due": number_due(pulse, language),
        "due_note": note_of_due(glance, language),
        "dials_minute": number(pulse.dials),
        "dials_minute_note": words.say_number(language, glance.dials_today, "{n} today", "{n} today"),
        "answer_rate": words.write_share(language, glance.answer_rate),
        "answer_rate_note": words.say(
            language, "{answered} of {dials} dials", answered=glance.answered_today, dials=glance.dials_today
        ),
        "active": number(glance.active),
        "active_note": words.say_number(language, glance.paused, "{n} paused", "{n} paused"),
        "daemons": number(len(glance.alive)),
        "daemons_note": note_of_daemons(glance, language),
    }


def number_due(pulse: Pulse, language: str) -> str:
    text = words.write_number(language, min(pulse.due, screens.MOST))
    return f"{text}+" if pulse.is_more else text


def note_of_lines(glance: Glance, language: str) -> str:
    return words.say(language, "of {lines} lines", lines=glance.lines)


def note_of_due(glance: Glance, language: str) -> str:
    if glance.late_by is None:
        return words.say(language, "nothing waits")
    if glance.late_by < timedelta(seconds=1):
        return words.say(language, "the oldest just now")
    return words.say(language, "the oldest for {span}", span=glance.late_by)


def note_of_daemons(glance: Glance, language: str) -> str:
    if not glance.alive:
        return words.say(language, "none is running")
    idle = len(glance.alive) - glance.taking
    if idle:
        return words.say_number(language, idle, "{n} takes nothing new", "{n} take nothing new")
    return words.say(language, "at work")


def texts_of_campaign(campaign_id: int, counted: Totals, language: str) -> dict[str, str]:
    """Of one campaign; the names begin with `c` and its id."""
    figures: dict[str, Any] = {
        "leads": counted.leads, "open": counted.open, "called": counted.called, "reached": counted.reached,
        "unreached": counted.unreached, "suspended": counted.suspended, "unpaid": counted.unpaid,
        "finished": counted.finished, "dials": counted.dials, "answered": counted.answered,
        "completed": counted.completed,
    }
    found = {f"c{campaign_id}_{name}": words.write_number(language, value) for name, value in figures.items()}
    found[f"c{campaign_id}_progress"] = words.write_share(language, counted.progress)
    found[f"c{campaign_id}_talk"] = words.write_duration(language, counted.talk_seconds)
    return found


# --- links ----------------------------------------------------------------------------------------


def campaign_path(code: str, campaign_id: int | None = None) -> str:
    """The address of a campaign's page. A code that an address cannot hold is replaced by the id."""
    is_odd = "/" in code or "\\" in code or code in (".", "..", "new") or not code.isprintable()
    if is_odd and campaign_id is not None:
        return f"/campaigns/{campaign_id}"
    return f"/campaigns/{quote(code, safe='')}"


def alert_address(alert: Alert) -> str:
    """Where somebody can look into what an alert is about."""
    kind, _, name = alert.about.partition(" ")
    if kind == "campaign":
        return campaign_path(name)
    if kind == "account":
        return f"/accounts/{quote(name, safe='')}"
    if kind == "provider":
        return "/providers"
    if kind in ("daemon", "daemons"):
        return "/daemons"
    if alert.code == "pending_high":
        return "/schedule"
    if alert.about.startswith("scheduler_config"):
        return "/config"
    if alert.code == "live_too_long":
        return "/calls?" + urlencode({"open": 1})
    return "/schedule" if alert.about.startswith("leads") else "/campaigns"
