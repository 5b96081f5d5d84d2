"""Requests that were refused, and files that were taken out, for the audit.

What must stay true: nobody fills the table by asking. Of one caller and address the 1st, 2nd, 4th, 8th ... refusal is
written, with how many there were; together at most `MOST_AN_HOUR` of this process. A secret is never written: a key
is named by its prefix.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

from scheduler.clock import boottime
from scheduler.errors import RingbackError
from scheduler.model import Happening
from scheduler.service.access import TOKEN
from scheduler.service.acting import current_actor
from scheduler.service.runtime import Runtime
from scheduler.store import journal

MOST_AN_HOUR, MOST_KNOWN = 240, 1000
HOUR = 3600.0


class Refusals:
    """Counts them for this process. Safe for several threads."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._counts: OrderedDict[tuple[object, ...], int] = OrderedDict()
        self._begun_at, self._written = boottime(), 0
        self._lock = threading.Lock()

    def count(self, status: int, actor: str, address: str, key: str | None, what: str) -> Happening | None:
        """What should be written of this refusal now, if anything."""
        with self._lock:
            if boottime() - self._begun_at > HOUR:
                self._counts.clear()
                self._begun_at, self._written = boottime(), 0
            who = (status, actor, address)
            count = self._counts.pop(who, 0) + 1
            self._counts[who] = count
            if len(self._counts) > MOST_KNOWN:
                self._counts.popitem(last=False)
            if count & (count - 1) or self._written >= MOST_AN_HOUR:
                return None
            self._written += 1
        parts = TOKEN.fullmatch(key) if key is not None else None
        named = {"prefix": parts[1]} if parts else {}
        return Happening(
            "key_refused" if status == 401 else "not_allowed", actor, reason=f"{what}, from {address}",
            details={"status": status, "count": count, **named},
        )

    def write(self, told: Happening) -> None:
        """Nothing depends on it at once: what keeps it away is ignored, as the request is refused anyway."""
        try:
            now = self._runtime.clock.now()
            self._runtime.database.transact(lambda connection: journal.add_events(connection, [told], now), tries=1)
        except RingbackError:
            return


def record_export(what: str, *, asked: str, campaign_id: int | None = None, runtime: Runtime) -> None:
    """Before the first row leaves: who takes which rows out. `asked` is the filter, without numbers."""
    now = runtime.clock.now()
    told = Happening("exported", current_actor(), campaign_id=campaign_id, reason=what, details={"filter": asked})
    runtime.database.transact(lambda connection: journal.add_events(connection, [told], now))
