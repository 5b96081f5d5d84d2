"""What somebody should look at now: the alerts, raised from facts about the installation as it stands.

Pure: facts and instants are given. Decided here: what is worth an alert, how grave it is, and how it is said.
What must stay true: an alert names campaigns, accounts, providers and daemons, never a lead or a number; one
that nobody can end (a campaign paused on purpose without due calls, a daemon that was replaced) is not raised,
because an alert that is always there is read by nobody. Every code is known beforehand, so that a metric can
say 0 of those that are not raised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import TypeAlias

from scheduler.model import Account, Hold
from scheduler.rules.policy import Config

SMALLEST_SAMPLE = 20
"""Calls of a day from which a success rate says something."""
SUCCESS_OVER = timedelta(hours=24)
LATE_PROBE = timedelta(minutes=1)
"""How long after the end of its rest a breaker still counts as open: the probe that closes it takes its time."""
ODD_OVER = timedelta(hours=24)
"""How long what a provider did wrong is told of."""
REPLACED_AFTER = timedelta(days=1)
"""A daemon that was silent for so long while others work has been replaced, on whatever host."""
PEOPLES_HOLDS = frozenset({Hold.MANUAL, Hold.SUSPENDED})
"""Holds that people chose, lead by lead."""


class AlertCode(StrEnum):
    PENDING_HIGH = "pending_high"
    LIVE_TOO_LONG = "live_too_long"
    SUCCESS_LOW = "success_low"
    STOPPED_WITH_DUE = "stopped_with_due"
    SETTINGS_INVALID = "settings_invalid"
    BREAKER_OPEN = "breaker_open"
    PROVIDER_IMPAIRED = "provider_impaired"
    BALANCE_LOW = "balance_low"
    DAEMON_SILENT = "daemon_silent"
    NO_DAEMON = "no_daemon"
    SECOND_CALL = "second_call"
    EVENT_MISMATCH = "event_mismatch"


class Severity(StrEnum):
    """A problem keeps calls from being made, or makes them wrongly; a warning will, or may."""

    PROBLEM = "problem"
    WARNING = "warning"


Figure: TypeAlias = int | float | Decimal | None


@dataclass(frozen=True, slots=True)
class Alert:
    """`about` says of what: a campaign, an account, a provider, a daemon, a table. `value` is what was measured,
    `threshold` what it was held against, in the unit that the sentence names; None where there is no figure.
    """

    code: AlertCode
    severity: Severity
    about: str
    sentence: str
    value: Figure = None
    threshold: Figure = None


# --- what is known --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What people wrote into `scheduler_config`. `lines` are calls at once over everything."""

    pending_above: int = 1000
    success_below: float = 0.0
    due: timedelta = timedelta(minutes=15)
    balance_below: Decimal = Decimal(0)
    silent: timedelta = timedelta(seconds=60)
    lines: int = 20

    @classmethod
    def of(cls, config: Config) -> Thresholds:
        """Read from the rows; where one is missing the built-in figure holds."""
        own = cls()
        return cls(
            pending_above=config.get("alert_pending_above", own.pending_above),
            success_below=config.get("alert_success_below", own.success_below),
            due=timedelta(minutes=config.get("alert_due_minutes", own.due / timedelta(minutes=1))),
            balance_below=Decimal(str(config.get("alert_balance_below", float(own.balance_below)))),
            silent=timedelta(seconds=config.get("alert_silent_seconds", int(own.silent.total_seconds()))),
            lines=config.get("max_concurrent_calls", own.lines),
        )


@dataclass(frozen=True, slots=True)
class Due:
    """Calls of one campaign that is called. `oldest` is since when the first of them is due."""

    who: str
    calls: int
    oldest: datetime


@dataclass(frozen=True, slots=True)
class Paused:
    """A campaign that somebody paused, and since when its first call is due."""

    code: str
    oldest: datetime


@dataclass(frozen=True, slots=True)
class HeldCalls:
    """Calls that wait for people although they were wished before `Thresholds.due`. `is_all`: the campaign has no
    other call planned.
    """

    who: str
    hold: Hold
    calls: int
    oldest: datetime
    is_all: bool


@dataclass(frozen=True, slots=True)
class LiveCall:
    """`longest` is what it may last from its dial, with ring time-out, maximum duration and grace."""

    attempt_id: int
    who: str
    begun_at: datetime
    longest: timedelta


@dataclass(frozen=True, slots=True)
class Ended:
    """Calls of one campaign that ended lately, and how many of them ended `completed`."""

    who: str
    calls: int
    completed: int


@dataclass(frozen=True, slots=True)
class RefusedSetting:
    """A row that does not validate. `kept`: its last good value is in force."""

    where: str
    sentence: str
    kept: bool


@dataclass(frozen=True, slots=True)
class BreakerNews:
    """The last that one daemon said about a provider. `until` is None when it answers again."""

    provider: str
    until: datetime | None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Impaired:
    """What one daemon last said is wrong with a provider over which it calls all the same."""

    provider: str
    daemon: str
    reason: str


@dataclass(frozen=True, slots=True)
class Payer:
    """A paying account, and how many due calls its balance does not pay for."""

    account: Account
    unpaid: int = 0


@dataclass(frozen=True, slots=True)
class DaemonSign:
    """A daemon that did not say goodbye. `takes_calls`: nobody asked it to pause or to drain."""

    owner: str
    host: str
    started_at: datetime
    last_seen_at: datetime
    takes_calls: bool = True


@dataclass(frozen=True, slots=True)
class OddNews:
    """What providers did within ODD_OVER that they should not have: how often, and the attempts that it was about."""

    times: int
    attempts: Sequence[int] = ()


@dataclass(frozen=True)
class Facts:
    """Everything that alerts are raised from, as of `now`."""

    now: datetime
    thresholds: Thresholds = field(default_factory=Thresholds)
    is_paused: bool = False
    in_flight: int = 0
    due: Sequence[Due] = ()
    paused: Sequence[Paused] = ()
    held: Sequence[HeldCalls] = ()
    live: Sequence[LiveCall] = ()
    ended: Sequence[Ended] = ()
    refused: Sequence[RefusedSetting] = ()
    breakers: Sequence[BreakerNews] = ()
    impaired: Sequence[Impaired] = ()
    payers: Sequence[Payer] = ()
    daemons: Sequence[DaemonSign] = ()
    second_calls: OddNews = OddNews(0)
    mismatches: OddNews = OddNews(0)

    @property
    def callable(self) -> Sequence[Due]:
        """What is due and may be dialed."""
        return [] if self.is_paused else self.due


# --- what is raised -------------------------------------------------------------------------------


def raise_alerts(facts: Facts) -> list[Alert]:
    """Every alert that these facts raise, by code and then in the order of the facts; none: all is well."""
    return [alert for ask in QUESTIONS.values() for alert in ask(facts)]


def codes_raised(alerts: Sequence[Alert]) -> dict[str, bool]:
    """Every code there is, and whether it is among these."""
    raised = {alert.code for alert in alerts}
    return {code.value: code in raised for code in AlertCode}


def _pending_high(facts: Facts) -> Iterator[Alert]:
    due, lines = sum(one.calls for one in facts.callable), facts.thresholds.lines
    if due > facts.thresholds.pending_above and facts.in_flight < lines:
        yield Alert(
            AlertCode.PENDING_HIGH, Severity.WARNING, "scheduler_config.alert_pending_above",
            f"{due} calls are due, more than {facts.thresholds.pending_above}, while {lines - facts.in_flight} of "
            f"{lines} lines are idle; `ringback check` says what keeps them",
            due, facts.thresholds.pending_above,
        )  # fmt: skip


def _live_too_long(facts: Facts) -> Iterator[Alert]:
    late: dict[str, list[LiveCall]] = {}
    for one in facts.live:
        if facts.now - one.begun_at > one.longest:
            late.setdefault(one.who, []).append(one)
    for who, calls in late.items():
        oldest = min(calls, key=lambda one: one.begun_at)
        lasts = facts.now - oldest.begun_at
        yield Alert(
            AlertCode.LIVE_TOO_LONG, Severity.PROBLEM, who,
            f"{_count(len(calls), 'call')} of {who} {_are(len(calls))} live beyond the maximum of "
            f"{_span(oldest.longest)}, the oldest for {_span(lasts)}; `ringback calls hangup {oldest.attempt_id}` "
            "ends that one",
            int(lasts.total_seconds()), int(oldest.longest.total_seconds()),
        )  # fmt: skip


def _success_low(facts: Facts) -> Iterator[Alert]:
    """By campaign; where none of them has enough calls to tell, of all together."""
    judged = [one for one in facts.ended if one.calls >= SMALLEST_SAMPLE]
    if judged:
        for one in judged:
            yield from _too_few(facts, one.who, one.calls, one.completed)
    else:
        everything = sum(one.calls for one in facts.ended), sum(one.completed for one in facts.ended)
        yield from _too_few(facts, "all campaigns", *everything)


def _too_few(facts: Facts, who: str, calls: int, completed: int) -> Iterator[Alert]:
    least = facts.thresholds.success_below
    if calls >= SMALLEST_SAMPLE and 100 * completed < least * calls:
        rate = round(100 * completed / calls, 1)
        yield Alert(
            AlertCode.SUCCESS_LOW, Severity.WARNING, who,
            f"{rate:g} % of the {calls} calls of {who} in the last {_span(SUCCESS_OVER)} ended completed, fewer than "
            f"{least:g} %",
            rate, least,
        )  # fmt: skip


def _stopped_with_due(facts: Facts) -> Iterator[Alert]:
    for paused in facts.paused:
        why = f"it is paused; `ringback campaigns resume {paused.code}` lets it go on"
        who = f"campaign {paused.code}"
        yield from _stopped(facts, who, f"calls of {who} are due", paused.oldest, why)
    for due in facts.due if facts.is_paused else ():
        what = f"{_count(due.calls, 'call')} of {due.who} {_are(due.calls)} due"
        yield from _stopped(facts, due.who, what, due.oldest, "everything is paused (scheduler_config.paused)")
    for held in facts.held:
        if held.hold in PEOPLES_HOLDS and not held.is_all:
            continue  # somebody keeps some of its leads to themselves, and the others are called
        what = f"{_count(held.calls, 'call')} of {held.who} {_are(held.calls)} held"
        yield from _stopped(facts, held.who, what, held.oldest, _why_held(held))


def _stopped(facts: Facts, who: str, what: str, since: datetime, why: str) -> Iterator[Alert]:
    waits = facts.now - since
    if waits > facts.thresholds.due:
        yield Alert(
            AlertCode.STOPPED_WITH_DUE, Severity.WARNING, who, f"{what}, the oldest for {_span(waits)}: {why}",
            int(waits.total_seconds() // 60), facts.thresholds.due / timedelta(minutes=1),
        )  # fmt: skip


def _why_held(held: HeldCalls) -> str:
    return {
        Hold.MANUAL: "all that is left is managed by hand (leads.manual_management)",
        Hold.SUSPENDED: "all that is left is suspended (leads.lead_status)",
        Hold.NEVER: "its rules never allow them; `ringback check` says which",
        Hold.ERROR: "something of them cannot be used; `ringback check` says what",
    }[held.hold]


def _settings_invalid(facts: Facts) -> Iterator[Alert]:
    for one in facts.refused:
        follows = "the last good value stays in force" if one.kept else "nothing is dialed by it"
        yield Alert(
            AlertCode.SETTINGS_INVALID, Severity.WARNING if one.kept else Severity.PROBLEM, one.where,
            f"{one.sentence} ({follows})",
        )  # fmt: skip


def _breaker_open(facts: Facts) -> Iterator[Alert]:
    open_until: dict[str, BreakerNews] = {}
    for one in facts.breakers:
        if one.until is None or facts.now >= one.until + LATE_PROBE:
            continue
        known = open_until.get(one.provider)
        if known is None or known.until is None or one.until > known.until:
            open_until[one.provider] = one
    for provider, one in sorted(open_until.items()):
        assert one.until is not None, "left out above"
        why = f": {one.reason}" if one.reason else ""
        yield Alert(
            AlertCode.BREAKER_OPEN, Severity.PROBLEM, f"provider {provider}",
            f"provider {provider} fails and is left alone until {one.until:%Y-%m-%d %H:%M:%S} UTC{why}",
            max(0, int((one.until - facts.now).total_seconds())),
        )  # fmt: skip


def _provider_impaired(facts: Facts) -> Iterator[Alert]:
    """As far as the daemon that said so still works."""
    working = {one.owner for one in _working(facts)}
    told = {(one.provider, one.reason) for one in facts.impaired if one.daemon in working}
    for provider, reason in sorted(told):
        yield Alert(
            AlertCode.PROVIDER_IMPAIRED, Severity.WARNING, f"provider {provider}",
            f"provider {provider} is called over, but not all is well: {reason}",
        )  # fmt: skip


def _balance_low(facts: Facts) -> Iterator[Alert]:
    for one in facts.payers:
        account = one.account
        least = account.low_balance if account.low_balance is not None else facts.thresholds.balance_below
        left = f"account {account.code} has {_amount(account.balance)} {account.billing} left"
        top_up = f"`ringback accounts top-up {account.code} AMOUNT` adds to it"
        if one.unpaid:
            yield Alert(
                AlertCode.BALANCE_LOW, Severity.PROBLEM, f"account {account.code}",
                f"no balance: {_count(one.unpaid, 'due call')} not made, because {left}; {top_up}",
                account.balance, least,
            )  # fmt: skip
        elif account.balance < least:
            yield Alert(
                AlertCode.BALANCE_LOW, Severity.WARNING, f"account {account.code}",
                f"{left}, less than {_amount(least)}; {top_up}", account.balance, least,
            )  # fmt: skip


def _daemon_silent(facts: Facts) -> Iterator[Alert]:
    working = _working(facts)
    for one in facts.daemons:
        silence = facts.now - one.last_seen_at
        if silence <= facts.thresholds.silent or _is_replaced(one, working, facts.now):
            continue
        yield Alert(
            AlertCode.DAEMON_SILENT, Severity.PROBLEM, f"daemon {one.owner}",
            f"daemon {one.owner} has said nothing for {_span(silence)} and did not say that it stops; look at its log "
            f"on {one.host}, or start another with `ringback run`",
            int(silence.total_seconds()), int(facts.thresholds.silent.total_seconds()),
        )  # fmt: skip


def _no_daemon(facts: Facts) -> Iterator[Alert]:
    due = sum(one.calls for one in facts.callable)
    working = _working(facts)
    if not due or any(one.takes_calls for one in working):
        return
    why = "no daemon is running; start one with `ringback run`"
    if working:
        why = "every running daemon was asked to take nothing new; `ringback daemons resume ID` lets one go on"
    yield Alert(
        AlertCode.NO_DAEMON, Severity.PROBLEM, "daemons",
        f"{_count(due, 'call')} {_are(due)} due, and {why}", due, 0,
    )  # fmt: skip


def _working(facts: Facts) -> list[DaemonSign]:
    return [one for one in facts.daemons if facts.now - one.last_seen_at <= facts.thresholds.silent]


def _is_replaced(one: DaemonSign, working: Sequence[DaemonSign], now: datetime) -> bool:
    """Did another take its place: on its host, begun after its last sign of life, or anywhere long ago?"""
    if now - one.last_seen_at > REPLACED_AFTER and working:
        return True
    return any(other.host == one.host and other.started_at >= one.last_seen_at for other in working)


def _second_call(facts: Facts) -> Iterator[Alert]:
    if (news := facts.second_calls).times:
        yield Alert(
            AlertCode.SECOND_CALL, Severity.PROBLEM, "providers",
            f"{_count(news.times, 'second call')} for one request in the last {_span(ODD_OVER)}: a provider called "
            f"somebody twice, last for attempt {max(news.attempts, default=0)}; ask it why",
            news.times, 0,
        )  # fmt: skip


def _event_mismatch(facts: Facts) -> Iterator[Alert]:
    if (news := facts.mismatches).times:
        yield Alert(
            AlertCode.EVENT_MISMATCH, Severity.WARNING, "providers",
            f"{_count(news.times, 'event')} of providers in the last {_span(ODD_OVER)} named one attempt and the call "
            f"of another, last attempt {max(news.attempts, default=0)}; none of them was believed",
            news.times, 0,
        )  # fmt: skip


QUESTIONS: Mapping[AlertCode, Callable[[Facts], Iterator[Alert]]] = {
    AlertCode.PENDING_HIGH: _pending_high,
    AlertCode.LIVE_TOO_LONG: _live_too_long,
    AlertCode.SUCCESS_LOW: _success_low,
    AlertCode.STOPPED_WITH_DUE: _stopped_with_due,
    AlertCode.SETTINGS_INVALID: _settings_invalid,
    AlertCode.BREAKER_OPEN: _breaker_open,
    AlertCode.PROVIDER_IMPAIRED: _provider_impaired,
    AlertCode.BALANCE_LOW: _balance_low,
    AlertCode.DAEMON_SILENT: _daemon_silent,
    AlertCode.NO_DAEMON: _no_daemon,
    AlertCode.SECOND_CALL: _second_call,
    AlertCode.EVENT_MISMATCH: _event_mismatch,
}


# --- how it is said -------------------------------------------------------------------------------


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _amount(money: Decimal) -> str:
    return f"{money.normalize():f}"


def _span(length: timedelta) -> str:
    """A length as people say it, in its two largest units: 45 s, 12 min, 3 h 20 min, 2 days."""
    seconds = int(length.total_seconds())
    for name, size, below, smaller in (("days", 86_400, "h", 3_600), ("h", 3_600, "min", 60), ("min", 60, "s", 1)):
        if seconds >= size * (2 if name == "days" else 1):
            rest = seconds % size // smaller
            return f"{seconds // size} {name}" + (f" {rest} {below}" if rest else "")
    return f"{seconds} s"
