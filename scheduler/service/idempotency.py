"""The same request under the same key is done once: what it was answered with is answered again.

Decided here: a key belongs to a caller and is kept for a day; one whose process died in the middle is free again
after ten minutes. What must stay true: a request is never begun without its key being taken in the tables first,
and what could not be done (an answer from 500 on) is not kept, so that it may be tried again.
"""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

from scheduler.service.runtime import Runtime
from scheduler.store import idempotency as store
from scheduler.store.idempotency import Claim, Standing

KEPT = timedelta(hours=24)
GIVEN_UP = timedelta(minutes=10)
TIDY_EVERY = timedelta(minutes=10)
TIDIED_AT_ONCE = 500


class Once:
    """The keys of one process. Safe for threads."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._tidied_at: datetime | None = None
        self._lock = threading.Lock()

    def claim(self, caller: str, key: str, request_sha256: str) -> Claim:
        """Raises DatabaseUnavailable, and Contended."""
        now = self._runtime.clock.now()
        self._tidy(now)
        return self._runtime.database.transact(lambda connection: store.claim_key(
            connection, caller, key, request_sha256, now, kept=KEPT, given_up=GIVEN_UP
        ))

    def keep(self, claim: Claim, status: int, answer: str) -> bool:
        return self._runtime.database.transact(lambda connection: store.keep_answer(connection, claim, status, answer))

    def forget(self, claim: Claim) -> None:
        self._runtime.database.transact(lambda connection: store.forget_claim(connection, claim))

    def _tidy(self, now: datetime) -> None:
        with self._lock:
            if self._tidied_at is not None and timedelta(0) <= now - self._tidied_at < TIDY_EVERY:
                return
            self._tidied_at = now
        while self._runtime.database.transact(
            lambda connection: store.forget_keys(connection, now - KEPT, TIDIED_AT_ONCE)
        ) == TIDIED_AT_ONCE:
            pass


__all__ = ["Claim", "Once", "Standing"]
