"""What the pages say, in the language of the reader: Spanish or English.

The English sentence is the key; a dictionary per language gives the other. `{name}` stands for a value, and
numbers among them are written as the language writes them. A sentence that depends on a number has two forms:
`say_number(language, n, "{n} lead", "{n} leads")`, whose translation is kept under the second as a pair.
What the service says in English (alerts, refusals, reasons) is matched against the same sentences by `retell`,
so that a translation is written once. A sentence without translation is said in English, never left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

from scheduler.web.words_es import SPANISH

LANGUAGES: Mapping[str, str] = {"en": "English", "es": "Español"}
Entry = str | tuple[str, str]
_WORDS: Mapping[str, Mapping[str, Entry]] = {"es": SPANISH}
_MONTHS = {
    "en": ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
    "es": ("ene", "feb", "mar", "abr", "may", "jun", "jul", "ago", "sep", "oct", "nov", "dic"),
}
_DAYS = {
    "en": ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"),
    "es": ("lun", "mar", "mié", "jue", "vie", "sáb", "dom"),
}
_LONG_DAYS = {
    "en": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "es": ("lunes", "martes", "miércoles", "jueves", "viernes", "sábado", "domingo"),
}
_PLACE = re.compile(r"\{(\w+)\}")
_NUMBER = r"\d[\d.,]*"
_SHAPES = {
    "n": _NUMBER, "id": _NUMBER, "number": _NUMBER, "line": _NUMBER, "day": _NUMBER, "rest": r".*?\d.*?",
    "length": r"\d.*?",
}
"""Places of sentences that hold a number, or begin with one."""
FEWEST_LETTERS = 7
"""That a sentence must have beside its places to be known by them alone."""


def choose_language(cookie: str | None, accepted: str | None) -> str:
    """What somebody chose, else the best that their browser asks for, else English."""
    if cookie in LANGUAGES:
        return str(cookie)
    wished: list[tuple[float, int, str]] = []
    for place, part in enumerate((accepted or "")[:500].split(",")):
        name, _, weight = part.strip().partition(";")
        found = name.strip().lower().partition("-")[0]
        try:
            quality = float(weight.strip().removeprefix("q=")) if weight.strip() else 1.0
        except ValueError:
            continue
        if found in LANGUAGES and quality > 0:
            wished.append((-quality, place, found))
    return min(wished)[2] if wished else "en"


def say(language: str, sentence: str, /, **values: Any) -> str:
    """The sentence in this language, with the values in their places."""
    found = _WORDS.get(language, {}).get(sentence, sentence)
    return _fill(language, found if isinstance(found, str) else found[1], values)


def say_number(language: str, n: int, one: str, many: str, /, **values: Any) -> str:
    """`one` for exactly one, else `many`; `{n}` is the number."""
    found = _WORDS.get(language, {}).get(many)
    if isinstance(found, tuple):
        one, many = found
    elif found is not None:
        one = many = found
    return _fill(language, one if n == 1 else many, {"n": n, **values})


def retell(language: str, sentence: str | None) -> str:
    """A sentence that the service made up in English, in this language; as it is where no translation fits."""
    text = sentence or ""
    if language not in _WORDS or not text:
        return text
    return _retell(language, text[:2000])


@lru_cache(maxsize=4096)
def _retell(language: str, text: str, depth: int = 0) -> str:
    words = _WORDS[language]
    plain = words.get(text)
    if plain is not None:
        return plain if isinstance(plain, str) else plain[1]
    for pattern, target in _patterns(language):
        found = pattern.fullmatch(text)
        if found:
            # Parts are sentences and words of their own: a status, a reason, a length.
            parts = {
                name: _retell(language, value, depth + 1) if depth < 3 else value
                for name, value in found.groupdict().items()
            }
            return _fill(language, target, parts)
    return text


@lru_cache(maxsize=4)
def _patterns(language: str) -> tuple[tuple[re.Pattern[str], str], ...]:
    """Sentences with places, as patterns, those with the most words of their own first."""
    found = []
    for sentence, entry in _WORDS[language].items():
        if not _PLACE.search(sentence):
            continue
        own = len(_PLACE.sub("", sentence))
        parts, last, seen = [], 0, set()
        for place in _PLACE.finditer(sentence):
            parts.append(re.escape(sentence[last:place.start()]))
            name = place[1]
            parts.append(f"(?P={name})" if name in seen else f"(?P<{name}>{_SHAPES.get(name, '.+?')})")
            seen.add(name)
            last = place.end()
        parts.append(re.escape(sentence[last:]))
        # What a person typed must stay as it is: "from home" is no sentence of ours.
        if own >= FEWEST_LETTERS or ":" in sentence or any(name in _SHAPES for name in seen):
            found.append((own, re.compile("".join(parts), re.DOTALL), entry if isinstance(entry, str) else entry[1]))
    found.sort(key=lambda one: -one[0])
    return tuple((pattern, target) for _, pattern, target in found)


def _fill(language: str, sentence: str, values: Mapping[str, Any]) -> str:
    if not values:
        return sentence

    def put(place: re.Match[str]) -> str:
        name = place[1]
        return write_value(language, values[name]) if name in values else place[0]

    return _PLACE.sub(put, sentence)


def write_value(language: str, value: Any) -> str:
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return "" if value is None else str(value)
    if isinstance(value, int | float | Decimal):
        return write_number(language, value)
    if isinstance(value, timedelta):
        return write_duration(language, value)
    if isinstance(value, datetime):
        return write_instant(language, value)
    return write_date(language, value) if isinstance(value, date) else str(value)


def write_number(language: str, value: float | Decimal, places: int | None = None) -> str:
    """1,234.5 in English, 1.234,5 in Spanish. Without `places` a fraction is written as short as it is."""
    number = value if isinstance(value, int | Decimal) else Decimal(str(value))
    if isinstance(number, Decimal) and not number.is_finite():
        return "?"
    if places is not None:
        text = f"{number:,.{places}f}"
    elif isinstance(number, Decimal):
        text = f"{number.normalize():,f}"
    else:
        text = f"{number:,}"
    if language == "es":
        text = text.translate(str.maketrans(",.", ".,"))
    return text


def write_share(language: str, share: float | None, places: int = 0) -> str:
    """A share of 1 as percent, 45% in English and 45 % in Spanish; a dash where there is none."""
    if share is None:
        return "–"
    return f"{write_number(language, round(100 * share, places), places)}{' %' if language == 'es' else '%'}"


def write_duration(language: str, length: timedelta | float | int) -> str:
    """In its two largest units: 45 s, 12 min 5 s, 3 h 20 min, 2 d 4 h."""
    seconds = int(length.total_seconds() if isinstance(length, timedelta) else length)
    sign, seconds = ("-" if seconds < 0 else ""), abs(seconds)
    for name, size, below, smaller in (("d", 86_400, "h", 3_600), ("h", 3_600, "min", 60), ("min", 60, "s", 1)):
        if seconds >= size:
            rest = seconds % size // smaller
            text = f"{write_number(language, seconds // size)} {name}"
            return f"{sign}{text} {rest} {below}" if rest else f"{sign}{text}"
    return f"{sign}{seconds} s"


def write_date(language: str, day: date, *, weekday: bool = False) -> str:
    """20 Nov 2026, 20 nov 2026."""
    name = f"{_DAYS[language][day.weekday()]} " if weekday else ""
    return f"{name}{day.day} {_MONTHS[language][day.month - 1]} {day.year}"


def write_instant(language: str, at: datetime, *, seconds: bool = False) -> str:
    """On the clock that `at` carries."""
    return f"{write_date(language, at.date())}, {at:%H:%M:%S}" if seconds else f"{write_date(language, at)}, {at:%H:%M}"


def name_day(language: str, weekday: int, *, long: bool = False) -> str:
    """Monday is 1."""
    return (_LONG_DAYS if long else _DAYS)[language][weekday - 1]
