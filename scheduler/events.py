"""How everything that happens is worded, counted and logged.

Code says what happened; this file says how it sounds. Phone numbers are shortened here, so that none
reaches a log whole; metrics carry no lead and no number in their labels. A `Line` is one happening as
people see it on the terminal. What is counted here is one process's own; `service/vitals.py` makes of it what
the others are told.
"""

from __future__ import annotations

import logging
import re
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

from scheduler.clock import boottime
from scheduler.lines import one_line


@dataclass(frozen=True, slots=True)
class Line:
    """One happening. `level` is info, warning or error; `text` is ready to be shown."""

    at: datetime
    level: str
    kind: str
    text: str


Listener = Callable[[Line], None]
LATE_BUCKETS = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
"""Seconds by which a dial was late: below each of these, and anything above the last."""
TURN_BUCKETS = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Seconds that a tick took."""
_NUMBER = re.compile(r"\+?\d{7,}")
SAY_AGAIN = timedelta(seconds=30)
"""How often the same complaint about somebody else is worth a line."""
disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series beside each counter, which nobody reads


MOST_WAITING = 10_000
"""Lines that wait to be said; what comes then is counted, and said as a number."""
BLOCKED_AFTER = 5.0
"""Seconds for which one line is being said, after which those behind it count as unsaid."""


class Speaker:
    """Says lines in a thread of its own: a full pipe, a stopped terminal or a slow disk stops nobody but this.

    `put` never waits. At most MOST_WAITING lines are kept.
    """

    def __init__(self, speak: Callable[[Line], None], most: int = MOST_WAITING) -> None:
        self._speak, self._most = speak, most
        self._lines: deque[Line] = deque()
        self._dropped = 0
        self._began: float | None = None
        self._ending = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="speaker", daemon=True)
        self._thread.start()

    @property
    def unsaid(self) -> int:
        """Lines that were dropped and not yet counted aloud, and those that wait behind one that can't be said."""
        with self._changed:
            is_blocked = self._began is not None and boottime() - self._began > BLOCKED_AFTER
            return self._dropped + (len(self._lines) + 1 if is_blocked else 0)

    def put(self, line: Line) -> bool:
        """False: too many wait; it is counted."""
        with self._changed:
            if len(self._lines) >= self._most:
                self._dropped += 1
                return False
            self._lines.append(line)
            self._changed.notify_all()
            return True

    def end(self, patience: float) -> bool:
        """Say what waits and stop. False: it was not over in so many seconds."""
        with self._changed:
            self._ending = True
            self._changed.notify_all()
        self._thread.join(patience)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (line := self._next()) is not None:
            self._speak(line)
            with self._changed:
                self._began = None

    def _next(self) -> Line | None:
        with self._changed:
            while not self._lines:
                if self._ending:
                    return None
                self._changed.wait()
            self._began = boottime()
            if self._dropped and len(self._lines) < self._most:
                dropped, self._dropped = self._dropped, 0
                at = self._lines[0].at
                text = f"{dropped} lines are missing here: nobody read this log, or it could not be written"
                return Line(at, "warning", "log_blocked", text)
            return self._lines.popleft()


class Reporter:
    """Where the service says what happened: to the log, to the counters, to whoever listens."""

    def __init__(self, listener: Listener | None = None, registry: CollectorRegistry | None = None) -> None:
        self._listener = listener
        self._log = structlog.get_logger("ringback")
        self.registry = registry or CollectorRegistry()
        self._happened = Counter("ringback_events", "Happenings by kind", ["kind"], registry=self.registry)
        self._outcomes = Counter("ringback_outcomes", "Ended attempts by outcome", ["outcome"], registry=self.registry)
        self._settings_problems = Gauge(
            "ringback_settings_problems", "Settings rows that do not validate", registry=self.registry
        )
        self._last_tick = Gauge(
            "ringback_last_tick_timestamp_seconds", "When a tick last finished", ["job"], registry=self.registry
        )
        self._skipped = Counter("ringback_skipped_ticks", "Ticks that found the last one running", ["job"],
                                registry=self.registry)
        self._unsaid = Counter("ringback_unsaid", "Happenings that could not be told", registry=self.registry)
        self._breaker = Gauge("ringback_breaker_open", "1 while a provider is left alone", ["provider"],
                              registry=self.registry)
        self._webhooks = Counter("ringback_webhooks", "Webhooks by provider and answer", ["provider", "answer"],
                                 registry=self.registry)
        self._said: dict[tuple[str, int], datetime] = {}
        self._speaker: Speaker | None = None
        self._alert = Gauge("ringback_alert", "1 while such an alert is raised", ["code"], registry=self.registry)
        self.dials = Counter("ringback_dials", "Dials by provider and what came of them", ["provider", "outcome"],
                             registry=self.registry)
        self.postponed = Counter("ringback_postponed", "Due calls that were put off, by reason", ["reason"],
                                 registry=self.registry)
        self.late = Histogram("ringback_dial_lateness_seconds", "From when a call was due to its start request",
                              buckets=LATE_BUCKETS, registry=self.registry)
        self.turns = Histogram("ringback_tick_duration_seconds", "How long ticks took", ["job"], buckets=TURN_BUCKETS,
                               registry=self.registry)
        self.daemon_owner: str | None = None
        """Whose measures these are, where a daemon tells them in its heartbeat; None: nobody else tells them."""
        self.problems: int | None = None
        self.raised: tuple[str, ...] | None = None
        """How many settings were refused and which alerts are raised; None: nobody has looked yet."""

    # --- calls -----------------------------------------------------------------------------------

    def dialing(self, at: datetime, *, who: str, number: str, attempt: int) -> None:
        self._say(at, "info", "dialing", f"dialing {who} {shorten(number)}, attempt {attempt}")

    def placed(self, late: timedelta) -> None:
        """A start request has left this house, so long after its call was due."""
        self.late.observe(max(0.0, late.total_seconds()))

    def ended(self, at: datetime, *, who: str, number: str, provider: str, outcome: str, follows: str) -> None:
        self._outcomes.labels(outcome).inc()
        self.dials.labels(provider, outcome).inc()
        self._say(at, "info", "ended", f"{who} {shorten(number)}: {outcome}; {follows}")

    def moved(self, at: datetime, *, who: str, reason: str, until: datetime, cause: str) -> None:
        self.postponed.labels(cause).inc()
        self._say(at, "info", "moved", f"{who} waits until {_utc(until)}: {reason}")

    def held(self, at: datetime, *, who: str, reason: str) -> None:
        self._say(at, "info", "held", f"{who} is held: {reason}")

    def closed(self, at: datetime, *, who: str, reason: str) -> None:
        self._say(at, "info", "closed", f"{who} is closed: {reason}")

    def dropped(self, at: datetime, *, lead_id: int, reason: str) -> None:
        self._say(at, "info", "dropped", f"the planned call of lead {lead_id} is cancelled: {reason}")

    def unpaid(self, at: datetime, *, calls: int) -> None:
        """So many due calls keep their places until somebody pays: counted alone, the row says why."""
        self.postponed.labels("balance").inc(calls)

    def not_made(self, at: datetime, *, provider: str, outcome: str) -> None:
        """A dial that came to no call that we know of: refused, not_sent or unknown. Each is said by its own word."""
        self.dials.labels(provider, outcome).inc()

    def refused(self, at: datetime, *, who: str, reason: str) -> None:
        self._say(at, "warning", "refused", f"{who} was not dialed, the attempt is not spent: {reason}")

    def unknown(self, at: datetime, *, who: str, reason: str) -> None:
        self._say(
            at, "warning", "unknown",
            f"{who}: nobody can say yet whether it was called; it will be looked up, not repeated: {reason}",
        )

    def uncharged(self, at: datetime, *, attempt_id: int, cost: str, account: str, kept_in: str) -> None:
        self._say(
            at, "error", "uncharged",
            f"attempt {attempt_id} cost {cost}, and account {account} is kept in {kept_in}: nothing was taken, and it "
            "pays for no further call until it has a price_per_minute or another credit_unit",
        )

    def settled(self, at: datetime, *, attempt_id: int, how: str) -> None:
        self._say(at, "info", "settled", f"attempt {attempt_id}: {how}")

    def uncosted(self, at: datetime, *, attempt_id: int, account: str) -> None:
        """An answered call whose length and price nobody told."""
        text = f"attempt {attempt_id} was answered, but its length is not known: account {account} is charged nothing"
        self._say(at, "warning", "uncosted", text)

    def late_dial(self, at: datetime, *, attempt_id: int, by: float, is_outside_hours: bool = False) -> None:
        outside = " and outside hours" if is_outside_hours else ""
        self._say(
            at, "error", "late_dial",
            f"attempt {attempt_id} was dialed {by:.1f} s after its time{outside}, because this process was stopped in "
            "the last moment; its call is hung up",
        )

    def unknown_word(self, at: datetime, *, provider: str, word: str | None) -> None:
        self._say(at, "warning", "unknown_word", f"{provider} said {word!r}, which is not known; read as failed")

    def row_failed(self, at: datetime, *, schedule_id: int, error: BaseException) -> None:
        self._say(
            at, "error", "row_failed",
            f"scheduled call {schedule_id} cannot be judged and is held: {type(error).__name__}: {error}",
        )

    # --- webhooks --------------------------------------------------------------------------------

    def webhook_taken(self, provider: str, events: int) -> None:
        self._webhooks.labels(provider, "taken" if events else "ignored").inc()

    def webhook_refused(self, at: datetime, *, provider: str, status: int, reason: str) -> None:
        """Counted each time, said now and then: whoever forges them must not fill the disk."""
        self._webhooks.labels(provider, str(status)).inc()
        said_at = self._said.get((provider, status))
        if said_at is None or at - said_at >= SAY_AGAIN:
            self._said[provider, status] = at
            self._say(at, "warning", "webhook_refused", f"a webhook of {provider} was answered {status}: {reason}")

    def event_doubted(self, at: datetime, *, provider: str, attempt_id: int, oddity: str) -> None:
        self._say(
            at, "warning", "event_doubted",
            f"{provider} says of attempt {attempt_id} what cannot be ({oddity}); it is asked about the call instead",
        )

    def second_call(self, at: datetime, *, provider: str, attempt_id: int) -> None:
        self._say(
            at, "error", "second_call",
            f"{provider} made a second call for the one request of attempt {attempt_id}; it is followed and counted",
        )

    def event_mismatch(self, at: datetime, *, provider: str, attempt_id: int, other_id: int) -> None:
        self._say(
            at, "warning", "event_mismatch",
            f"an event of {provider} names attempt {attempt_id} by its reference and {other_id} by its call; it is "
            "believed of neither",
        )

    # --- settings and people ---------------------------------------------------------------------

    def settings_refused(self, at: datetime, *, where: str, problem: str, kept: bool) -> None:
        self._say(
            at, "error", "settings_refused",
            f"{where}: {problem} ({'the last good value stays in force' if kept else 'nothing is dialed by it'})",
        )

    def entry_misread(self, at: datetime, *, entry_id: int, text: str) -> None:
        self._say(
            at, "error", "entry_misread",
            f"do_not_call {entry_id}: {shorten(text)} is no number; calls to what it could mean are held",
        )

    def settings_problems(self, count: int) -> None:
        self.problems = count
        self._settings_problems.set(count)

    def rules_changed(self, at: datetime, *, where: str, rows: int) -> None:
        self._say(at, "info", "rules_changed", f"{where}: rules changed, {rows} waiting calls planned again")

    def by_hand(self, at: datetime, *, text: str) -> None:
        self._say(at, "info", "by_hand", text)

    def campaign(self, at: datetime, *, code: str, text: str) -> None:
        self._say(at, "info", "campaign", f"campaign {code} {text}")

    def alerts(self, raised: Mapping[str, bool]) -> None:
        """Which alerts are raised, by code: all of them, so that those that are over go back to 0."""
        self.raised = tuple(code for code, is_raised in raised.items() if is_raised)
        for code, is_raised in raised.items():
            self._alert.labels(code).set(1 if is_raised else 0)

    # --- the daemon ------------------------------------------------------------------------------

    def daemon(self, at: datetime, text: str, *, level: str = "info") -> None:
        self._say(at, level, "daemon", text)

    def recovery(self, at: datetime, text: str, *, level: str) -> None:
        """The database came back older than it was, or that is cleared up."""
        self._say(at, level, "recovery", text)

    def database_away(self, at: datetime, error: BaseException, again_in: float) -> None:
        self._say(at, "error", "database_away", f"{error}; nothing is dialed; trying again in {again_in:.1f} s")

    def database_back(self, at: datetime, away_for: float) -> None:
        self._say(at, "warning", "database_back", f"the database is back after {away_for:.1f} s; going on")

    def tick_failed(self, at: datetime, job: str, error: BaseException) -> None:
        why = f"{type(error).__name__}: {_first_line(error)}"
        self._say(at, "error", "tick_failed", f"{job} failed and will be tried again: {why}")

    def request_failed(self, at: datetime, *, what: str, error: BaseException) -> None:
        """A mistake of ours; whoever asked was told no more than that. `what` is the address without its values."""
        where = traceback.extract_tb(error.__traceback__)
        ours = (f"{one.filename}:{one.lineno}" for one in reversed(where) if "site-packages" not in one.filename)
        place = next(ours, "")
        why = _NUMBER.sub(lambda found: shorten(found[0]), f"{type(error).__name__}: {_first_line(error)}")
        self._say(at, "error", "request_failed", f"{what} failed, which is a bug: {why} ({place})")
        trace = "".join(traceback.format_exception(error))
        self._log.debug(_NUMBER.sub(lambda found: shorten(found[0]), trace), kind="request_failed")

    def skipped(self, job: str) -> None:
        """A tick was still running when its next one was due: counted, not logged, since it is common."""
        self._skipped.labels(job).inc()

    def ticked(self, job: str, at: datetime, seconds: float) -> None:
        self._last_tick.labels(job).set(at.timestamp())
        self.turns.labels(job).observe(seconds)

    def skips(self) -> dict[str, int]:
        """Skipped ticks by job, since this process began."""
        return {job: int(count) for (job,), count in read_counter(self._skipped).items()}

    def breaker(self, at: datetime, *, provider: str, is_open: bool, reason: str) -> None:
        self._breaker.labels(provider).set(1 if is_open else 0)
        self._say(at, "warning", "breaker", f"provider {provider}: {reason}")

    def name(self, at: datetime, *, host: str, hangs: bool) -> None:
        if hangs:
            text = f"looking up {host} gives no answer: nothing can be sent there; see this machine's resolver"
            self._say(at, "error", "name_hangs", text)
        else:
            self._say(at, "warning", "name_answers", f"looking up {host} gives an answer again")

    def impaired(self, at: datetime, *, provider: str, reason: str) -> None:
        """What is wrong with a provider over which calls are made all the same; or that it is sound again."""
        self._say(at, "warning", "provider", f"provider {provider}: {reason}")

    def _say(self, at: datetime, level: str, kind: str, text: str) -> None:
        self._happened.labels(kind).inc()
        line = Line(at, level, kind, one_line(text))
        if self._speaker is None:
            self._speak(line)
        elif not self._speaker.put(line):
            self._unsaid.inc()

    def _speak(self, line: Line) -> None:
        try:
            if self._listener is not None:
                self._listener(line)
            else:
                getattr(self._log, line.level)(line.text, kind=line.kind)
        except Exception:  # between a commit and its dial nothing may fail for want of somebody to tell
            self._unsaid.inc()

    def speak_aside(self) -> None:
        """From now on lines are said by a thread of their own: nobody waits for whoever reads them."""
        self._speaker = self._speaker or Speaker(self._speak)

    def speak_here(self, patience: float = 2.0) -> bool:
        """The contrary, once those that wait are said. False: they could not be said in so many seconds."""
        speaker, self._speaker = self._speaker, None
        if speaker is None or speaker.end(patience):
            return True
        self._speaker = speaker  # whoever speaks here would wait for it
        return False

    @property
    def unsaid(self) -> int:
        """Lines that nobody could be told so far."""
        return self._speaker.unsaid if self._speaker else 0


def read_counter(counter: Counter) -> dict[tuple[str, ...], float]:
    """What stands in a counter, by the values of its labels."""
    return {
        tuple(sample.labels.values()): sample.value
        for family in counter.collect() for sample in family.samples if sample.name.endswith("_total")
    }


class SilentReporter(Reporter):
    """Counts, but says nothing: for benchmarks and tests."""

    def _say(self, at: datetime, level: str, kind: str, text: str) -> None:
        self._happened.labels(kind).inc()


def set_up_logging(level: str, log_format: str) -> None:
    """Logs go to stderr, so that stdout stays what a command was asked for."""
    renderer: Any = (
        structlog.processors.JSONRenderer() if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level)),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def shorten(number: str | None) -> str:
    """A number as logs may show it: enough to recognise, not enough to dial."""
    if not number:
        return "(no number)"
    if len(number) <= 8:
        return number[:2] + "****"
    return number[:4] + "*" * (len(number) - 8) + number[-4:]


def _first_line(error: BaseException) -> str:
    """What follows is a statement or a trace, which says nothing to people."""
    return str(error).partition("\n")[0]


def _utc(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S UTC")
