"""Spare a provider in trouble: what its answers say of it, shared by every daemon.

A breaker is a row of `provider_pace`, so that one daemon's bad news is every daemon's, and one probe is one
probe. What must stay true: an answer of a healthy provider writes nothing (the hot path), and a change is
made on the state as it is in the table, under its lock, never on what this process remembers.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from scheduler.clock import boottime
from scheduler.errors import Contended, DatabaseUnavailable
from scheduler.events import Reporter
from scheduler.model import Happening
from scheduler.providers.base import Accepted, DialAnswer, RefusalKind, Refused, Unanswered, Vitals
from scheduler.rules.pacing import FAULTS_TO_OPEN, Breaker
from scheduler.service.runtime import Runtime
from scheduler.store import calls, journal
from scheduler.store.database import Connection

WELL_FOR = 30.0
"""Seconds for which a call that was taken shows that the account as a whole may call."""
OWN_TROUBLE_FOR = 600.0
"""The same, where what is wrong may be the campaign's own agent or caller id."""
MEASURED_OVER = 5.0
"""Seconds over which the calls a second that a provider had of us are counted."""
INEXACT = timedelta(seconds=0.5)
"""How exactly the instant of a request is known; no rest is shorter than twice that."""
SAID_AGAIN = 1800.0
"""Seconds after which it is said again what is wrong with a provider; alerts look back no further than an hour."""
UNWELL_FOR = timedelta(seconds=60)
"""How long an account that cannot dial is left alone after each look at it."""


@dataclass(frozen=True, slots=True)
class Answered:
    """One answer of a provider to a start request, or a refusal that it gave later."""

    provider: str
    answer: DialAnswer
    asked_at: datetime | None = None
    """When the request began. One from before the breaker's rest was over says nothing new of the provider."""
    is_own: bool = False
    """The request named an agent or a caller id of its campaign: what is wrong with that is wrong with it alone."""


class Breakers:
    """The breakers as this process last saw them, and what its own dials say of them."""

    def __init__(self, runtime: Runtime, *, owner: str, reporter: Reporter) -> None:
        self.runtime, self.owner, self.reporter = runtime, owner, reporter
        self._seen: Mapping[str, Breaker] = {}
        self._sent: dict[str, deque[float]] = {}
        self._accepted_at: dict[str, float] = {}
        self._impaired: dict[str, tuple[tuple[str, ...], float]] = {}
        self._outages: dict[str, int] = {}
        """Calls in a row, by provider, that were accepted and found no way. That starts are accepted says nothing."""
        self._lock = threading.Lock()

    def note_seen(self, paces: Mapping[str, calls.Pace]) -> None:
        """What a take has read."""
        self._seen = {name: pace.breaker for name, pace in paces.items()}

    def note_sent(self, provider: str) -> None:
        """A start request is leaving."""
        with self._lock:
            sent = self._sent.setdefault(provider, deque(maxlen=2000))
            sent.append(boottime())

    def rate_of(self, provider: str) -> float:
        """How many start requests a second left this process for it of late."""
        since = boottime() - MEASURED_OVER
        with self._lock:
            return max(1, sum(at > since for at in self._sent.get(provider, ()))) / MEASURED_OVER

    def _is_well(self, provider: str, lately: float = WELL_FOR) -> bool:
        """Has it taken a call of this process lately?"""
        return boottime() - self._accepted_at.get(provider, -lately) < lately

    def judge(self, answers: Sequence[Answered], now: datetime, reached: Collection[str] = ()) -> None:
        """Write down what these answers change. `reached`: providers of which a call came to somebody's phone."""
        for name in reached:
            self._outages.pop(name, None)
        for one in answers:
            if _is_of_the_line(one):
                self._outages[one.provider] = self._outages.get(one.provider, 0) + 1
            if isinstance(one.answer, Accepted):
                self._accepted_at[one.provider] = boottime()
        telling = [one for one in answers if self._changes(one, now)]
        if not telling:
            return
        with contextlib.suppress(DatabaseUnavailable, Contended):  # the next answers will say the same
            self._change({one.provider for one in telling}, telling, now)

    def judge_vitals(self, provider: str, vitals: Vitals, now: datetime) -> None:
        """An account that cannot dial (no credit, suspended) is left alone until it can."""
        if vitals.problem is None:
            return
        answer = Refused(RefusalKind.HOLD, vitals.problem, UNWELL_FOR)
        with contextlib.suppress(DatabaseUnavailable, Contended):
            self._change({provider}, [Answered(provider, answer)], now)

    def note_notices(self, provider: str, notices: Sequence[str], now: datetime) -> None:
        """Say what is wrong with a provider that is called all the same: as it begins, now and then, and its end."""
        before, said_at = self._impaired.get(provider, ((), 0.0))
        told = tuple(notices)
        if told == before and not (told and boottime() - said_at >= SAID_AGAIN):
            return
        kind, reason = ("provider_impaired", "; ".join(told)) if told else ("provider_sound", "all is well again")
        with contextlib.suppress(DatabaseUnavailable, Contended):
            self.runtime.database.transact(
                lambda connection: journal.add_events(connection, [self._of(kind, provider, reason)], now)
            )
            self._impaired[provider] = (told, boottime())
            self.reporter.impaired(now, provider=provider, reason=reason)

    def _changes(self, one: Answered, now: datetime) -> bool:
        before = self._seen.get(one.provider, Breaker())
        return self._after(before, one, now) != before

    def _after(self, before: Breaker, one: Answered, now: datetime) -> Breaker:
        if before.open_until is not None and one.asked_at is not None and one.asked_at < before.open_until - INEXACT:
            return before
        match one.answer:
            case Refused(ours=True):
                return before
            case Refused(kind=RefusalKind.NEVER_SENT):
                return before.failed(now)
            case Refused(kind=RefusalKind.OUTAGE):
                return before.failed(now, at_once=self._outages.get(one.provider, 0) >= FAULTS_TO_OPEN)
            case Refused(kind=RefusalKind.THROTTLED, retry_after=rest):
                return before.throttled(now, rate=self.rate_of(one.provider), wait=rest)
            case Refused(kind=RefusalKind.HOLD, retry_after=rest):
                # Where other starts pass, it is not the account as a whole: so many in a row are needed then. That
                # starts pass says nothing of a call that was accepted like them, and refused afterwards.
                if one.is_own and self._is_well(one.provider, OWN_TROUBLE_FOR):
                    return before
                at_once = one.asked_at is None or not self._is_well(one.provider)
                return before.failed(now, at_once=at_once, rest=rest)
            case Unanswered():
                return before.failed(now)
            case Accepted() if self._outages.get(one.provider):
                return before  # it was accepted like those that found no way: what becomes of it will tell
            case Accepted() | Refused():  # turned down by itself: its row counts that, and the others go on
                return before.succeeded(now)

    def _change(self, names: set[str], answers: Sequence[Answered], now: datetime) -> None:
        happenings: list[Happening] = []
        seen = dict(self._seen)

        def work(connection: Connection) -> None:
            happenings.clear()
            paces = calls.read_paces(connection, lock=names)
            for name in sorted(names):
                known = paces.get(name, calls.Pace())
                breaker, reason = known.breaker, known.reason
                for one in answers:
                    if one.provider == name:
                        changed = self._after(breaker, one, now)
                        reason = getattr(one.answer, "reason", None) or reason
                        happenings.extend(self._news(name, breaker, changed, reason or "", now))
                        breaker = changed
                if breaker != known.breaker:
                    calls.write_breaker(connection, name, breaker, reason, now)
                seen[name] = breaker
            journal.add_events(connection, happenings, now)  # `ringback alerts` runs in another process

        self.runtime.database.transact(work)
        self._seen = seen
        for one in happenings:
            is_open = one.kind == "breaker_open"
            self.reporter.breaker(now, provider=one.details["provider"], is_open=is_open, reason=one.reason or "")

    def _news(self, name: str, before: Breaker, after: Breaker, why: str, now: datetime) -> list[Happening]:
        if after.is_open(now) and not before.is_open(now):
            until = after.open_until or now
            asked = "then asked once" if after.pace == 1 else "then asked more slowly"
            reason = f"left alone for {(until - now).total_seconds():g} s, {asked}: {why}"
            return [self._of("breaker_open", name, reason, until=until.isoformat())]
        if before.pace is not None and after.pace is None:
            return [self._of("breaker_closed", name, "answers again; full pace")]
        return []

    def _of(self, kind: str, provider: str, reason: str, **details: str) -> Happening:
        return Happening(kind=kind, actor=self.owner, reason=reason, details={"provider": provider, **details})


def _is_of_the_line(one: Answered) -> bool:
    """Was it refused behind the provider, after a start that was accepted, or was there no way at all?"""
    match one.answer:
        case Refused(ours=True):
            return False
        case Refused(kind=RefusalKind.OUTAGE):
            return True
        case Refused(kind=RefusalKind.HOLD):
            return one.asked_at is None
        case _:
            return False
