"""How tests wait: for what is to happen, not for a time.

A machine that is busy with other things is slow, and nothing that a test claims is less true there. So BACKSTOP is
far off: it ends a test that waits for what never comes, and is no measure of anything.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

BACKSTOP = 120.0
"""Seconds."""
PLAIN: dict[str, Any] = {"timeout": BACKSTOP, "verify": False}
"""For clients of httpx. They speak plain HTTP to this machine, and to read its certificates takes longer than that."""


def wait_until(is_so: Callable[[], object], *, what: str = "it never came to that") -> None:
    moment, deadline = threading.Event(), time.monotonic() + BACKSTOP
    while not is_so():
        assert time.monotonic() < deadline, what
        moment.wait(0.01)
