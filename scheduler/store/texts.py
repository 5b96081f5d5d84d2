"""Texts as every engine can store them: the last door before a column, whoever wrote them.

What a vendor or a person writes may hold half of a surrogate pair (JSON's `\\ud800` alone), which no driver can send,
or a NUL, which the tools of operators take for the end. Such a character is written out (`\\ud800`, `\\x00`), so that
two texts that differ still differ, and the facts beside it are stored. A newcomer would drop it, and make two ids one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

MOST_BYTES = 65_535
"""What MySQL's TEXT holds."""


def storable(text: str) -> str:
    """The text with what no column can hold written out."""
    if text.isascii():
        return text.replace("\0", "\\x00") if "\0" in text else text
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")


def cut(text: str | None, most: int = 255) -> str | None:
    """A sentence that fits its column: a reason that is too long is shortened, never an error."""
    if text is None:
        return None
    kept = storable(text)
    return kept if len(kept) <= most else kept[: most - 1] + "…"


def cut_bytes(text: str, most: int = MOST_BYTES) -> str:
    """The same for a column whose room is counted in bytes of UTF-8."""
    if len(text) * 4 <= most or len(kept := text.encode("utf-8", "backslashreplace")) <= most:
        return text
    return kept[: most - 3].decode("utf-8", "ignore") + "…"


def dump_json(value: Any) -> str:
    """A document as a JSON column takes it on every engine: no half characters, and no NaN, which is not JSON."""
    try:
        text = json.dumps(value, default=str, allow_nan=False)
    except ValueError:  # NaN, infinity
        text = json.dumps(_plain(value), default=str)
    return json.dumps(_plain(json.loads(text))) if "\\ud" in text or "\\u0000" in text else text


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, float):
        return value if value - value == 0 else str(value)
    if isinstance(value, Mapping):
        return {storable(str(name)): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value
