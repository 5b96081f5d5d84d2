"""What a lead is found by: the words of its name, its e-mail, its numbers from behind, variables that a team chose.

Pure. A term is what is left of a word on every engine and keyboard: small letters without accents, and no punctuation
(`Sepúlveda` is sepulveda, `POL-12.345` is pol12345). A number is a term from its last digit to its first, behind `#`,
so that its last digits are the beginning of it. What must stay true: a search finds by the beginning of each of its
words; a lead and a search are folded by the same function.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

LONGEST = 48
MOST = 40
"""Terms of one lead; whoever has more is found by the first of them."""
LEAST_DIGITS = 4
"""Of the end of a number, to look for it; fewer say too little."""
NUMBER = "#"


def terms_of(
    names: Iterable[str | None], email: str | None, numbers: Iterable[str | None], values: Iterable[object] = (),
) -> frozenset[str]:
    """Of one lead; `values` are those of the variables that it is found by."""
    found: dict[str, None] = {}
    for name in names:
        found.update(dict.fromkeys(_words(name or "")))
    if email and (address := fold_address(email)):
        found[address] = None
    for number in numbers:
        if number and len(digits := _digits(number)) >= LEAST_DIGITS:
            found[reversed_number(digits)] = None
    for value in values:
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            found.update(dict.fromkeys(_words(str(value))))
            if whole := _fold(str(value)):
                found[whole] = None
    return frozenset(list(found)[:MOST])


def asked_words(search: str) -> tuple[str, ...]:
    """The beginnings of terms that a search names, each of which a lead must have; the rarest is likely first."""
    if "@" in search and (address := fold_address(search)):
        return (address,)
    words = [word for one in search.split() if (word := _fold(one))]
    return tuple(sorted(dict.fromkeys(words), key=len, reverse=True))


def asked_end(digits: str) -> str | None:
    """The term that begins as a number with these last digits does: a national form, whose trunk 0 is no part of it."""
    national = digits.lstrip("+").lstrip("0")
    return reversed_number(national) if len(national) >= LEAST_DIGITS else None


def reversed_number(digits: str) -> str:
    return f"{NUMBER}{digits[::-1]}"[:LONGEST]


def fold_address(text: str) -> str:
    """An e-mail as it is compared."""
    return "".join(text.split()).casefold()[:LONGEST]


@lru_cache(maxsize=20_000)  # names of people are few
def _words(text: str) -> tuple[str, ...]:
    found = []
    for word in text.split():
        parts = re.split(r"[-/_.,']+", word)
        found += [_fold(word), *(map(_fold, parts) if len(parts) > 1 else ())]
    return tuple(one for one in found if one)


def _fold(text: str) -> str:
    if text.isascii() and text.isalnum():
        return text.lower()[:LONGEST]
    plain = unicodedata.normalize("NFKD", text).casefold()
    return "".join(letter for letter in plain if letter.isalnum())[:LONGEST]


def _digits(number: str) -> str:
    return "".join(letter for letter in number if letter.isdecimal() and letter.isascii())
