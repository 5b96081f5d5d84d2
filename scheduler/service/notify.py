"""Tell the service manager how this process is doing: sd_notify, in a datagram to NOTIFY_SOCKET.

What must stay true: where nobody asks for it (no NOTIFY_SOCKET) nothing happens, and a manager that does not
listen stops no call. A newcomer would feed the watchdog from a thread of its own: that thread lives on while
the work hangs, so whoever works tells first that it does.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping

from scheduler.clock import boottime


class Notifier:
    """`watchdog`: seconds after which the manager takes a silent process for hung; None: it never does."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        known = os.environ if environment is None else environment
        self._address = known.get("NOTIFY_SOCKET", "")
        self.watchdog = self._read_watchdog(known) if self._address else None
        self._fed_at = float("-inf")

    def ready(self, status: str) -> None:
        self._send("READY=1", status)

    def waiting(self, status: str) -> None:
        """What it waits for, for `systemctl status`."""
        self._send("", status)

    def stopping(self, status: str) -> None:
        self._send("STOPPING=1", status)

    def alive(self) -> None:
        """Feed the watchdog, as often as that is any use."""
        if self.watchdog is not None and boottime() - self._fed_at >= self.watchdog / 4:
            self._fed_at = boottime()
            self._send("WATCHDOG=1")

    def _send(self, word: str, status: str | None = None) -> None:
        if not self._address.startswith(("/", "@")):
            return
        # Each line is an assignment of its own, so a status must be one line.
        told = [word, None if status is None else f"STATUS={' '.join(status.split())}"]
        words = "\n".join(filter(None, told))
        # A name that begins with @ is in the abstract namespace, where the first byte is zero.
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as to:
            to.settimeout(1.0)
            to.sendto(words.encode(errors="replace"), address)

    @staticmethod
    def _read_watchdog(known: Mapping[str, str]) -> float | None:
        if known.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
            return None  # meant for another process of this service
        microseconds = known.get("WATCHDOG_USEC", "")
        return int(microseconds) / 1e6 if microseconds.isdecimal() and int(microseconds) else None
