"""How tests wait: for what is to happen, not for a time.

A machine that is busy with other things is slow, and nothing that a test claims is less true there. So BACKSTOP is
far off: it ends a test that waits for what never comes, and is no measure of anything.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

BACKSTOP = 120.0
"""Seconds."""


def wait_until(is_so: Callable[[], object], *, what: str = "it never came to that") -> None:
    moment, deadline = threading.Event(), time.monotonic() + BACKSTOP
    while not is_so():
        assert time.monotonic() < deadline, what
        moment.wait(0.01)
