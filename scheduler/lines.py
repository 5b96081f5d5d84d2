"""Text of people and vendors as a line: of a log, of a table in a terminal. Nothing heavy is imported here."""

from __future__ import annotations

import re

STEERING = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ufff9-\ufffb\ud800-\udfff]"
)
"""What a terminal would obey, beside a tab and the end of a line; and halves of characters, which nothing can print."""
_BREAK = re.compile(r"[ \t]*(?:\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029])[ \t]*")


def one_line(text: str) -> str:
    """Text of people and vendors as it may stand in a line of a log or a terminal: it begins no line of its own, and
    nothing in it is obeyed (escapes, other directions of writing). A line break is shown as a sign.
    """
    return STEERING.sub("\N{REPLACEMENT CHARACTER}", _BREAK.sub(" \N{DOWNWARDS ARROW WITH CORNER LEFTWARDS} ", text))
