"""The limits of one start request, and when its bytes left this house.

Decided here: how the limit that a claim grants reaches whoever writes to the socket, and how what happened there
comes back, without each adapter handing it on. What must stay true: the clock is looked at right before each piece
of the request is given to the system, and once more right after, so that a process that was stopped in between
knows it. A newcomer would look once, before the request begins: connecting and TLS take seconds of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import local
from types import TracebackType

from scheduler.clock import boottime


class TooLate(Exception):
    """Nothing of the request had left when its limit was over, and now nothing will."""


@dataclass(slots=True)
class Sending:
    """As a context: the start request that this thread makes. Instants are on the clock of `boottime()`.

    No byte is begun after `send_before`, and the answer is not waited for beyond `over_by`.
    """

    send_before: float
    over_by: float
    is_watched: bool = False
    """Somebody asked for these limits, so that what stands below is the whole truth."""
    has_begun: bool = False
    """A part of the request may have left."""
    seen_at: float = 0.0
    """The clock after the last part was given to the system: none left later than that."""

    def look(self) -> None:
        """Right before a part of the request is sent. Raises TooLate; TimeoutError where a part has left."""
        self.is_watched = True
        if boottime() >= self.send_before:
            raise TimeoutError("the rest of the request may not leave any more") if self.has_begun else TooLate
        self.has_begun = True

    def note(self) -> None:
        """Right after it."""
        self.seen_at = boottime()

    @property
    def is_late(self) -> bool:
        """A part may have left after the limit."""
        return self.has_begun and self.seen_at > self.send_before

    def __enter__(self) -> Sending:
        _current.sending = self
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _current.sending = None


class _Current(local):
    sending: Sending | None = None


_current = _Current()


def current() -> Sending | None:
    """The start request that this thread makes, if it makes one."""
    return _current.sending
