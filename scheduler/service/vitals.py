"""What a daemon measures of itself, as it tells it in its heartbeat, and as the others read it.

A daemon writes a small document of it to `daemons.vitals` with each heartbeat, so that any process can show all
daemons. What must stay true: it holds counts and durations alone, no number, no name and no id; its size is
bounded whatever happens; whatever stands in that column, a newer daemon's words or a person's, is read as far as
it can be and never raises. A newcomer would count in the table: that is a row lock on the path of every dial.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from scheduler.clock import boottime
from scheduler.events import LATE_BUCKETS, TURN_BUCKETS, Reporter, read_counter
from scheduler.rules.eligibility import CAPS_REASON
from scheduler.store.funnel import CAUSES

MOST = 100
"""So many providers with their outcomes, or jobs, are told of at most."""
LARGEST = 2**53
"""Counts beyond it are not ours."""
_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,32}")


# --- why a call was put off ------------------------------------------------------------------------------------

_BEGINNINGS = (
    ("no balance", "balance"), ("everything is paused", "pause"), ("an earlier call", "line"), ("another call", "line"),
)  # fmt: skip


def cause_of(reason: str) -> str:
    """Which of CAUSES a reason of the gate is, as `ringback report` sorts it too."""
    words = reason.lower()
    if words.startswith(CAPS_REASON):
        return "caps"
    if "outside hours" in words or "too close to closing" in words:
        return "hours"
    if words.startswith("account ") and " is closed" in words:
        return "balance"
    if words.startswith("campaign ") and " is paused" in words:
        return "pause"
    return next((cause for beginning, cause in _BEGINNINGS if words.startswith(beginning)), "other")


# --- the turns of a daemon's jobs ------------------------------------------------------------------------------


class Pulse:
    """When each job of this process last came round: the measure of whether it still works. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._every: dict[str, float] = {}
        self._returned: dict[str, float] = {}
        self._done: dict[str, tuple[float, float]] = {}

    def expect(self, job: str, every: float) -> None:
        """From now on this job is to come round each `every` seconds."""
        with self._lock:
            self._every[job] = every
            self._returned[job] = boottime()

    def came_round(self, job: str, *, took: float | None = None) -> None:
        """A turn is over. `took`: in so many seconds, and its work was done; None: it failed, or had to wait."""
        now = boottime()
        with self._lock:
            self._returned[job] = now
            if took is not None:
                self._done[job] = (now, took)

    def list_hung(self, patience: float) -> list[str]:
        """Jobs whose turn has not ended for so many seconds beyond the interval they have."""
        now = boottime()
        with self._lock:
            return [job for job, at in self._returned.items() if now - at > patience + self._every.get(job, 0)]

    def read(self) -> dict[str, tuple[float, float]]:
        """By job: how many seconds ago its work was last done, and how long that took."""
        now = boottime()
        with self._lock:
            return {job: (now - at, took) for job, (at, took) in self._done.items()}


# --- told ------------------------------------------------------------------------------------------------------


def measure(reporter: Reporter, pulse: Pulse, now: datetime) -> dict[str, Any]:
    """What is written into the heartbeat."""
    ages, skips = pulse.read(), reporter.skips()
    turns: dict[str, Any] = {}
    for (job,), told in _read_histogram(reporter.turns, len(TURN_BUCKETS)).items():
        age, last = ages.get(job, (None, None))
        turns[job] = {
            "counts": told.counts, "seconds": round(told.total, 3), "skipped": skips.get(job, 0),
            "age": None if age is None else round(age, 3), "last": None if last is None else round(last, 4),
        }
    [late] = _read_histogram(reporter.late, len(LATE_BUCKETS)).values()
    dials: dict[str, dict[str, int]] = {}
    for (provider, outcome), count in list(read_counter(reporter.dials).items())[:MOST]:
        dials.setdefault(provider, {})[outcome] = int(count)
    return {
        "at": now.isoformat(), "turns": turns, "late": {"counts": late.counts, "seconds": round(late.total, 3)},
        "dials": dials,
        "postponed": {cause: int(count) for (cause,), count in read_counter(reporter.postponed).items()},
        "unsaid": reporter.unsaid, "problems": reporter.problems,
        "alerts": None if reporter.raised is None else list(reporter.raised),
    }  # fmt: skip


@dataclass(slots=True)
class _Told:
    counts: list[int]
    total: float = 0.0


def _read_histogram(histogram: Any, buckets: int) -> dict[tuple[str, ...], _Told]:
    """Counts of each bucket by itself, the last for what is above all of them."""
    found: dict[tuple[str, ...], _Told] = {}
    for sample in (one for family in histogram.collect() for one in family.samples):
        key = tuple(value for name, value in sample.labels.items() if name != "le")
        told = found.setdefault(key, _Told([]))
        if sample.name.endswith("_bucket"):
            told.counts.append(int(sample.value))
        elif sample.name.endswith("_sum"):
            told.total = sample.value
    for told in found.values():
        below = [0, *told.counts]
        told.counts = [upper - lower for lower, upper in zip(below, told.counts, strict=False)]
        assert len(told.counts) == buckets + 1, "one for each bound and one for the rest"
    return found


# --- read ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Turns:
    """The ticks of one job. `counts` by TURN_BUCKETS and one for the rest; `age`: seconds since its last good one,
    when this was written; `last`: how many seconds that one took.
    """

    counts: tuple[int, ...]
    seconds: float
    skipped: int
    age: float | None
    last: float | None


@dataclass(frozen=True, slots=True)
class Vitals:
    """What one daemon measured since it began. `late` by LATE_BUCKETS and one for the rest, `late_seconds` their sum;
    `dials` by provider and outcome; None in `problems` and `alerts`: it has not looked yet.
    """

    at: datetime | None = None
    turns: Mapping[str, Turns] = field(default_factory=dict)
    late: tuple[int, ...] = (0,) * (len(LATE_BUCKETS) + 1)
    late_seconds: float = 0.0
    dials: Mapping[tuple[str, str], int] = field(default_factory=dict)
    postponed: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(CAUSES, 0))
    problems: int | None = None
    alerts: tuple[str, ...] | None = None
    unsaid: int = 0
    """Lines of its log that it could not say so far, because nobody reads it or it cannot be written."""


def read_vitals(text: str | None) -> Vitals | None:
    """What a daemon wrote of itself; None if it wrote nothing that can be read."""
    try:
        told = json.loads(text) if text else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(told, dict):
        return None
    late = _mapping(told.get("late"))
    dials = {
        (provider, outcome): _count(count)
        for provider, by_outcome in _items(told.get("dials")) for outcome, count in _items(by_outcome)
    }
    postponed = dict(_items(told.get("postponed")))
    problems, alerts = told.get("problems"), told.get("alerts")
    return Vitals(
        at=_instant(told.get("at")),
        turns={job: _turns(one) for job, one in _items(told.get("turns"))},
        late=_counts(late.get("counts"), len(LATE_BUCKETS)), late_seconds=_number(late.get("seconds")) or 0.0,
        dials=dict(list(dials.items())[:MOST]),
        postponed={cause: _count(postponed.get(cause)) for cause in CAUSES},
        problems=None if problems is None else _count(problems), unsaid=_count(told.get("unsaid")),
        alerts=tuple(str(one)[:64] for one in alerts[:MOST]) if isinstance(alerts, list) else None,
    )


def own_vitals(reporter: Reporter, now: datetime) -> Vitals:
    """What this process measured of itself, as `read_vitals` gives it of others."""
    found = read_vitals(json.dumps(measure(reporter, Pulse(), now)))
    assert found is not None, "what we write we can read"
    return found


def age_of(turns: Turns, vitals: Vitals, now: datetime) -> float | None:
    """Seconds since the job's last good turn, at `now` by the clock that `vitals.at` was read from."""
    if turns.age is None or vitals.at is None:
        return None
    return turns.age + max(timedelta(0), now - vitals.at).total_seconds()


def _turns(told: Any) -> Turns:
    known = _mapping(told)
    return Turns(
        _counts(known.get("counts"), len(TURN_BUCKETS)), _number(known.get("seconds")) or 0.0,
        _count(known.get("skipped")), _number(known.get("age")), _number(known.get("last")),
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _items(value: Any) -> Iterable[tuple[str, Any]]:
    return [(key, one) for key, one in _mapping(value).items() if is_plain(key)][:MOST]


def is_plain(name: str) -> bool:
    """Is this a word as providers, jobs and outcomes are called, and no telephone number?"""
    return _PLAIN.fullmatch(name) is not None and sum(map(str.isdigit, name)) < 7


def _count(value: Any) -> int:
    return value if type(value) is int and 0 <= value < LARGEST else 0


def _number(value: Any) -> float | None:
    is_number = type(value) in (int, float) and 0 <= value < LARGEST  # NaN is not
    return float(value) if is_number else None


def _counts(value: Any, bounds: int) -> tuple[int, ...]:
    if not isinstance(value, list) or len(value) != bounds + 1:  # another version's bounds
        return (0,) * (bounds + 1)
    return tuple(_count(one) for one in value)


def _instant(text: Any) -> datetime | None:
    try:
        at = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return at.astimezone(UTC) if at.tzinfo else None
