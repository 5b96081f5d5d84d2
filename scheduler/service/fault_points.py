"""Named points at which a test may kill or stop this very process.

Nothing happens unless RINGBACK_FAULT_POINT names a point, as `point=kill`, `point=stop`, or with a
probability, `point=kill:0.1`; several with commas. RINGBACK_FAULT_SEED makes the chance repeatable. The
process dies by SIGKILL, as in a power cut: no handler runs and nothing is tidied up.
"""

from __future__ import annotations

import os
import random
import signal
import time


def _read(text: str) -> dict[str, tuple[signal.Signals, float]]:
    points = {}
    for part in filter(None, (one.strip() for one in text.split(","))):
        name, _, action = part.partition("=")
        word, _, chance = (action or "kill").partition(":")
        points[name] = ({"kill": signal.SIGKILL, "stop": signal.SIGSTOP}[word], float(chance or 1))
    return points


_POINTS = _read(os.environ.get("RINGBACK_FAULT_POINT", ""))
_RANDOM = random.Random(os.environ.get("RINGBACK_FAULT_SEED"))


def reach(point: str) -> None:
    """This process has come to `point`."""
    if not _POINTS:
        return
    found = _POINTS.get(point)
    if found is not None and _RANDOM.random() < found[1]:
        os.kill(os.getpid(), found[0])
        time.sleep(0.1)  # the signal takes a moment to reach this thread, which must not get any further
