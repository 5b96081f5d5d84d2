"""References of attempts: UUIDs in the order of time (version 7, RFC 9562 section 5.7).

They are unique in an index, and one that grows at its end costs a tenth of one that is hit at random.
"""

from __future__ import annotations

import secrets
from datetime import datetime

MOST_AT_ONCE = 4096


def new_refs(count: int, at: datetime) -> list[str]:
    """That many references, in order, for attempts claimed at that instant."""
    assert count <= MOST_AT_ONCE, "a counter of twelve bits orders them within their millisecond"
    time = f"{int(at.timestamp() * 1000):012x}"
    chance = secrets.randbits(62 * count)
    refs = []
    for number in range(count):
        tail = chance >> 62 * number & (1 << 62) - 1
        refs.append(f"{time[:8]}-{time[8:]}-7{number:03x}-{0x8000 | tail >> 48:04x}-{tail & (1 << 48) - 1:012x}")
    return refs
