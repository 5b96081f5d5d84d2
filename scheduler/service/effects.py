"""What new rules of a campaign do to its planned calls, counted before they are saved.

Decided here: how far the count goes before somebody is told. It walks the planned calls in the order in which they
are due, page by page and each in a short transaction, so that nobody waits for it, and tells after every page what it
knows: first a share of what was looked at, at last the exact number. What a newcomer would get wrong: the number must
be the one that then moves, so it comes from the same `rules.openings` that plans again.
"""

from __future__ import annotations

import contextvars
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from dataclasses import dataclass, replace
from datetime import datetime

from scheduler.clock import SystemClock, boottime
from scheduler.errors import RingbackError
from scheduler.events import Reporter
from scheduler.model import Hold
from scheduler.rules.openings import Openings, whereabouts
from scheduler.rules.policy import Policy
from scheduler.service.runtime import Runtime
from scheduler.store import calls
from scheduler.store.calls import PlannedCall

FIRST_PAGE, PAGE = 1_000, 5_000
"""The first page is small, so that something can be said at once."""
MOVABLE = (None, Hold.NEVER, Hold.ERROR)
"""What is held for other reasons waits for people, not for hours."""


@dataclass(frozen=True, slots=True)
class Effect:
    """Of `waiting` planned calls `looked_at` were looked at, those that are due first, and `moved` of these get
    another time: from `first_at` to `last_at`, and `never` of them none at all.
    """

    waiting: int = 0
    looked_at: int = 0
    moved: int = 0
    never: int = 0
    first_at: datetime | None = None
    last_at: datetime | None = None

    @property
    def is_exact(self) -> bool:
        return self.looked_at >= self.waiting

    @property
    def share(self) -> float:
        """Of those looked at, how many move."""
        return self.moved / self.looked_at if self.looked_at else 0.0


Told = Callable[[Effect], bool]
"""Is told what is known so far, and says whether to go on."""


def to_the_end(effect: Effect) -> bool:
    return True


class Patience:
    """Goes on for so many seconds; 0 is the first page alone."""

    def __init__(self, seconds: float) -> None:
        self._until = boottime() + seconds

    def __call__(self, effect: Effect) -> bool:
        return boottime() < self._until


def count_effect(
    runtime: Runtime, campaign_id: int, before: Policy, after: Policy, now: datetime, told: Told = to_the_end
) -> Effect:
    """How many planned calls other rules move, as far as `told` goes on."""
    old, new = Openings(before, now), Openings(after, now)
    effect = Effect(waiting=runtime.database.read(lambda connection: calls.count_planned(connection, campaign_id)))
    last: tuple[datetime, int] | None = None
    limit = FIRST_PAGE
    while True:
        rows = runtime.database.read(
            lambda connection: calls.list_planned(connection, campaign_id, last, limit)  # noqa: B023
        )
        effect = _add(effect, rows, old, new)
        if len(rows) < limit:  # what came or went meanwhile is in it
            effect = replace(effect, waiting=effect.looked_at)
            told(effect)
            return effect
        if not told(replace(effect, waiting=max(effect.waiting, effect.looked_at + 1))):
            return replace(effect, waiting=max(effect.waiting, effect.looked_at + 1))
        last, limit = (rows[-1].scheduled_at, rows[-1].id), PAGE


def _add(effect: Effect, rows: list[PlannedCall], old: Openings, new: Openings) -> Effect:
    moved = never = 0
    first_at, last_at = effect.first_at, effect.last_at
    for row in rows:
        if row.lead_id is None or row.hold not in MOVABLE:
            continue
        where, wanted_at = whereabouts(row.number, row.time_zone, row.region), row.wanted_at or row.scheduled_at
        at = new.opening(where, row.number, wanted_at)
        if at == old.opening(where, row.number, wanted_at):
            continue
        moved += 1
        if at is None:
            never += 1
            continue
        if first_at is None or at < first_at:
            first_at = at
        if last_at is None or at > last_at:
            last_at = at
    return Effect(
        effect.waiting, effect.looked_at + len(rows), effect.moved + moved, effect.never + never, first_at, last_at
    )


# --- counted behind an answer ---------------------------------------------------------------------

MOST_KEPT = 50
FRESH_SECONDS = 120.0
"""How long a count that is over answers the same question again."""


@dataclass
class Count:
    """One count that goes on behind its page. `error` says why it ended early."""

    key: str
    owner: str
    effect: Effect = Effect()
    is_over: bool = False
    error: str | None = None
    ended: float = 0.0

    @property
    def progress(self) -> float:
        return min(1.0, self.effect.looked_at / self.effect.waiting) if self.effect.waiting else 0.0


class EffectCounts:
    """The counts of one process, two at a time. Safe for threads."""

    def __init__(self, reporter: Reporter | None = None) -> None:
        self._reporter = reporter or Reporter()
        self._lock = threading.Lock()
        self._is_stopping = threading.Event()
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="effect")
        self._counts: OrderedDict[tuple[str, str], tuple[Count, Future[None]]] = OrderedDict()

    def start(self, key: str, owner: str, look: Callable[[Told], object], *, wait: float) -> Count:
        """The count for this question (`key`), begun unless it goes on or is fresh, after so many seconds at most."""
        with self._lock:
            known = self._counts.get((owner, key))
            if known is None or self._is_stale(known[0]):
                count = Count(key, owner)
                context = contextvars.copy_context()
                known = self._counts[owner, key] = count, self._pool.submit(context.run, self._run, count, look)
                self._counts.move_to_end((owner, key))
                over = [one for one, (found, _) in self._counts.items() if found.is_over]
                for one in over[: max(0, len(self._counts) - MOST_KEPT)]:
                    del self._counts[one]
        count, under_way = known
        wait_for([under_way], wait)
        return count

    def find(self, key: str, owner: str) -> Count | None:
        """A count that this caller began; None where this process knows none."""
        with self._lock:
            found = self._counts.get((owner, key))
        return found[0] if found is not None else None

    def close(self) -> None:
        """Let every count end at its next page."""
        self._is_stopping.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _is_stale(self, count: Count) -> bool:
        return count.is_over and (count.error is not None or boottime() - count.ended > FRESH_SECONDS)

    def _run(self, count: Count, look: Callable[[Told], object]) -> None:
        def told(effect: Effect) -> bool:
            count.effect = effect
            return not self._is_stopping.is_set()

        try:
            look(told)
        except RingbackError as error:
            count.error = str(error)
        except Exception as error:  # whoever asked may be gone: nobody else would tell of it
            self._reporter.request_failed(SystemClock().now(), what="count of an effect", error=error)
            count.error = "this is a mistake of ours; ask again"
        finally:
            count.ended, count.is_over = boottime(), True
