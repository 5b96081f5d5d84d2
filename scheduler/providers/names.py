"""Turn the names of vendors' hosts into addresses, within a bound that the system's own resolver does not know.

Decided here: `getaddrinfo` may block for minutes and cannot be called off, so it runs in a thread of its own, one
for each name and so many at most, and whoever waits for it goes when its time is over. While a name hangs nobody
waits for it again: its last good answer serves for a while, else the request fails before anything is sent. What must
stay true: one name that hangs costs the others nothing, and a process that is told to end does not wait for any.

A newcomer would use a thread pool of the standard library: the interpreter waits for its threads when it ends.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from scheduler.clock import boottime

MOST_AT_ONCE = 16
HANGS_AFTER = 5.0
"""Seconds without an answer after which a name is said to hang."""
GOOD_FOR = 600.0
"""Seconds for which the last good answer serves while the resolver gives none."""
SOON = 1.0
"""Seconds that an answer is waited for where there is an old one, or where the last one did not come."""
AT_THE_END = 0.2
"""The same, once the process is to end."""

LookUp: TypeAlias = Callable[[str, int], Sequence[str]]


class NameTrouble(Exception):
    """A name has no address for now. The text names the host alone."""


@dataclass(slots=True)
class _Question:
    """One call of the system's resolver."""

    host: str
    asked_at: float = field(default_factory=boottime)
    is_over: bool = False
    found: Sequence[str] = ()

    @property
    def age(self) -> float:
        return boottime() - self.asked_at


class Names:
    """The names that one process has asked for. Safe for several threads at once."""

    def __init__(self, look_up: LookUp | None = None, *, hangs_after: float = HANGS_AFTER) -> None:
        self._look_up = look_up or _ask_system
        self._hangs_after = hangs_after
        self._changed = threading.Condition()
        self._open: dict[tuple[str, int], _Question] = {}
        self._good: dict[tuple[str, int], tuple[float, Sequence[str]]] = {}
        self._hanging: set[str] = set()
        self._is_ending = False

    def find(self, host: str, port: int, patience: float) -> Sequence[str]:
        """Its addresses, in the system's order, after so many seconds at most. Raises NameTrouble."""
        began = boottime()
        with self._changed:
            question = self._open.get((host, port)) or self._ask(host, port)
            known = self._last_good(host, port)
            if question.age >= self._hangs_after:
                patience = 0
            elif known or host in self._hanging:
                patience = min(patience, SOON)
            while not question.is_over:
                left = began + (min(patience, AT_THE_END) if self._is_ending else patience) - boottime()
                if left <= 0:
                    break
                self._changed.wait(left)
            if question.found or (known and not question.is_over):
                return question.found or known
        if question.is_over:
            raise NameTrouble(f"the name {host} is not known")
        raise NameTrouble(f"the name {host} has been looked up for {question.age:.1f} s without an answer")

    def list_hanging(self) -> list[str]:
        """Names whose look-ups gave no answer within HANGS_AFTER seconds, and none since."""
        with self._changed:
            self._hanging |= {one.host for one in self._open.values() if one.age >= self._hangs_after}
            return sorted(self._hanging)

    def hurry(self, is_ending: bool) -> None:
        """Whether the process is to end: then nobody waits for an answer that does not come at once."""
        with self._changed:
            self._is_ending = is_ending
            self._changed.notify_all()

    def _last_good(self, host: str, port: int) -> Sequence[str]:
        at, found = self._good.get((host, port), (0.0, ()))
        return found if boottime() - at < GOOD_FOR else ()

    def _ask(self, host: str, port: int) -> _Question:
        if len(self._open) >= MOST_AT_ONCE:
            raise NameTrouble(f"{len(self._open)} names are looked up without an answer, so {host} is not asked for")
        question = self._open[host, port] = _Question(host)
        threading.Thread(target=self._answer, args=(question, port), name=f"name-{host}", daemon=True).start()
        return question

    def _answer(self, question: _Question, port: int) -> None:
        host, found = question.host, ()  # type: tuple[str, Sequence[str]]
        try:
            found = self._look_up(host, port)
        except (OSError, UnicodeError):  # UnicodeError: a part of the name is empty or too long
            pass
        finally:
            with self._changed:
                question.found, question.is_over = found, True
                del self._open[host, port]
                if found:
                    self._good[host, port] = boottime(), found
                if found or question.age < self._hangs_after:
                    self._hanging.discard(host)
                else:
                    self._hanging.add(host)
                self._changed.notify_all()


def _ask_system(host: str, port: int) -> Sequence[str]:
    known = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(one[4][0]) for one in known))


NAMES = Names()
"""Those of this process."""
