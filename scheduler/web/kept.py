"""Something that is dear to read, read once for all who ask within a moment, and by one thread alone.

What must stay true: who asks waits no longer than it was willing to, whatever the database does; a database that
hangs costs one thread, not one for each request.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

from scheduler.clock import boottime

T = TypeVar("T")
FAILED_FOR = 1.0
"""Seconds for which an error is the answer, before it is tried again."""


class Kept(Generic[T]):
    """What `read` gave last; read again once it is older than `seconds`, and than `share` times what that took."""

    def __init__(self, read: Callable[[], T], seconds: float, *, share: float = 20.0) -> None:
        self._read, self._seconds, self._share = read, seconds, share
        self._lock = threading.Lock()
        self._found: Future[T] | None = None
        self._good_until = float("-inf")

    def ask(self) -> Future[T]:
        """The last reading, or the one that is under way, or that begins now. Whoever waits must not cancel it."""
        with self._lock:
            is_over = self._found is not None and self._found.done()
            if self._found is None or (is_over and boottime() >= self._good_until):
                self._found = Future()
                self._found.set_running_or_notify_cancel()
                threading.Thread(target=self._work, args=(self._found,), name="reading", daemon=True).start()
            return self._found

    def get(self, timeout: float) -> T:
        """Raises what the reading raised, and TimeoutError."""
        return self.ask().result(timeout)

    def _work(self, found: Future[T]) -> None:
        began = boottime()
        try:
            value = self._read()
        except BaseException as error:
            self._good_until = boottime() + FAILED_FOR
            found.set_exception(error)
        else:
            self._good_until = boottime() + max(self._seconds, self._share * (boottime() - began))
            found.set_result(value)
