"""References of attempts: UUIDs in the order of time (version 7, RFC 9562 section 5.7).

They are unique in an index, and one that grows at its end costs a tenth of one that is hit at random.
"""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime

MOST_AT_ONCE = 4096
MARK_LENGTH = 6
_REF = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def new_refs(count: int, at: datetime, mark: str = "") -> list[str]:
    """That many references, in order, for attempts claimed at that instant. `mark`: six hexadecimal digits by which
    the database knows its own again (`mark_of`).
    """
    assert count <= MOST_AT_ONCE, "a counter of twelve bits orders them within their millisecond"
    time = f"{int(at.timestamp() * 1000):012x}"
    chance = secrets.randbits(62 * count)
    refs = []
    for number in range(count):
        tail = chance >> 62 * number & (1 << 62) - 1
        last = mark + f"{tail & (1 << 48) - 1:012x}"[len(mark):]
        refs.append(f"{time[:8]}-{time[8:]}-7{number:03x}-{0x8000 | tail >> 48:04x}-{last}")
    return refs


def mark_of(identity: str) -> str:
    """What the references of a database have in common, of its name (a UUID)."""
    return identity[:MARK_LENGTH]


def is_marked(ref: str | None, mark: str) -> bool:
    """Was this reference made for the database of that mark?"""
    return ref is not None and _REF.fullmatch(ref) is not None and ref[24 : 24 + MARK_LENGTH] == mark


def claimed_at(ref: str) -> datetime:
    """When its attempt was claimed, to the millisecond. For references that are marked."""
    return datetime.fromtimestamp(int(ref[:8] + ref[9:13], 16) / 1000, UTC)


def beginnings_between(since: datetime, until: datetime) -> list[str]:
    """What references of that time begin with: a few texts, which may cover somewhat more."""
    first, last = (int(at.timestamp() * 1000) for at in (since, until))
    for bits in range(16, 48, 4):
        least, most = first >> bits, last >> bits
        if most - least < MOST_BEGINNINGS:
            return [f"{one:0{12 - bits // 4}x}" for one in range(least, most + 1)]
    raise AssertionError("unreachable: 48 bits are all of it")


MOST_BEGINNINGS = 16
