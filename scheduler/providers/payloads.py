"""What vendors send, read with care: secrets left out, numbers and instants taken only where they are some.

Decided here: which names in a vendor's or an agent's variables mean an appointment, a callback, a wish not
to be called; how people write a time, the day before the month (`05/03/2027` is the 5th of March, as it is written in
Latin America and Spain); what is left out of the payload that is kept. What must stay true: nothing a vendor writes
raises here, nor where it is kept afterwards. A value that cannot be read is as good as none, and the raw payload
still shows it. The one exception is a callback: words instead of a time ("on Monday") are a wish without a time, and a
day without a time of day ("3 December") is a wish for the morning of that day, never for today.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from dateutil import parser

from scheduler.config import hide_secrets
from scheduler.rules.dates import DateOrder, Unclear, Written, next_written, read_written

LARGEST_PAYLOAD = 48_000
LONGEST_TEXT = 16_000
LONGEST_NUMBER = 64
LONGEST_TIME = 64
MORNING = time(9)
"""Of a day on which somebody wants to be called, at no time that they named."""
MOST_DIGITS = 12
MOST_DIGITS_SINCE_1970 = 19  # nanoseconds
DECIMALS_KEPT = 12
LONGEST_QUOTE = 200
"""How much of a vendor's own words goes into a reason."""
LONG_NUMBER = re.compile(r"\+?\d(?:[\s().-]*\d){5,}")
"""What may be a phone number, however it is written: vendors repeat in their messages what they were sent."""
LEFT_OUT = "(left out)"
SMALL = 256
TOO_LONG = "(too long to keep)"

# Compared without case, `_` and `-`. Recordings are reached by a token in their address, so they go whole.
_SECRET = re.compile(
    r"token|secret|signature|password|authorization|apikey|credential|recording|accesskey|cookie|signedurl|publiclogurl"
)
_NOT_SECRET = frozenset({"recordingtrack", "recordingenabled", "tokencount", "tokens", "llmtokenusage"})
_APPOINTMENT = (
    "appointment_at", "appointment_date", "appointment_datetime", "appointment_time", "appointment", "cita",
    "fecha_cita", "cita_fecha", "cita_at", "fecha_hora_cita",
)  # fmt: skip
_CALLBACK = (
    "callback_at", "callback_time", "callback_date", "callback_datetime", "callback", "call_back_at", "call_back_time",
    "call_back_date", "rellamada", "fecha_rellamada", "rellamada_fecha", "llamar_de_nuevo", "volver_a_llamar",
    "callback_requested", "wants_callback",
)  # fmt: skip
_CALLBACK_FLAGS = frozenset({"callback", "callbackrequested", "wantscallback"})
"""A plain no under one of these counts for more than words under the names of a time."""
_DO_NOT_CALL = (
    "do_not_call", "dnc", "opt_out", "optout", "unsubscribe", "no_llamar", "no_llamar_mas", "user_requested_dnc",
)  # fmt: skip
# A date by the name that it is under, and the name of the time of day that belongs to it.
_HALVES: Mapping[str, tuple[str, str]] = {
    name: (date, time)
    for date, time in (
        ("appointmentdate", "appointmenttime"), ("callbackdate", "callbacktime"), ("fechacita", "horacita"),
        ("citafecha", "citahora"), ("fecharellamada", "horarellamada"), ("rellamadafecha", "rellamadahora"),
    )
    for name in (date, time)
}  # fmt: skip
_YES = frozenset({"true", "yes", "y", "1", "si", "verdadero"})
_NO = frozenset({
    "false", "no", "not", "n", "0", "none", "null", "", "falso", "ninguna", "ninguno", "n/a", "na", "nil", "never",
    "nunca", "unknown", "undefined",
})  # fmt: skip
_TIME = re.compile(
    r"(?:(?P<year>\d{4})[-/](?P<month>\d{1,2})[-/](?P<day>\d{1,2})"
    r"|(?P<day_first>\d{1,2})[-/.](?P<then_month>\d{1,2})[-/.](?P<then_year>\d{4}))"
    r"(?:t ?|,? (?:a las |at )?)"
    r"(?P<hour>\d{1,2})(?:[:.h](?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,](?P<part>\d+))?)?)?"
    r"(?: ?(?P<half>[ap]) ?\.? ?m\b\.?)?(?: ?(?:h|hs|hrs|horas)\b\.?)?"
    r"(?: ?(?P<zone>z|utc|gmt|(?:utc|gmt)? ?(?P<ahead>[-+])(?P<hours>\d{1,2})(?::?(?P<minutes>\d{2}))?))?",
    re.ASCII | re.IGNORECASE,
)
_MIDNIGHT = re.compile(r"(?<=\d)[T ]00:00(?::00(?:\.0+)?)?(?:Z|[-+][\d:]{2,5})?$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Findings:
    """What the agent wrote down of the conversation. Naive times are the lead's local wall time."""

    appointment_at: datetime | None = None
    callback_at: datetime | None = None
    callback_zone: str | None = None
    wants_callback: bool = False
    do_not_call: bool = False


def read_findings(*variables: Any, said_on: date | None = None) -> Findings:
    """The findings in an agent's variables. Anything but mappings says nothing.

    Of several names the first that can be read wins, and of several mappings with one name the first. `said_on` is the
    day of the call in UTC: a date without its year is the next one from then on.
    """
    told = [
        {_plain(str(name)): value for name, value in one.items() if value is not None and value != ""}
        for one in variables if isinstance(one, Mapping)
    ]
    at = _first_time(told, _CALLBACK, said_on) or _first_day(told, _CALLBACK, said_on)
    zone = None
    if at is not None and at.tzinfo is None and at.time() == time():
        at = datetime.combine(at.date(), MORNING)  # programs write a day as its midnight
    if at is not None and at.tzinfo is not None:
        at, zone = at.astimezone(UTC).replace(tzinfo=None), "UTC"
    return Findings(
        appointment_at=_first_time(told, _APPOINTMENT, said_on),
        callback_at=at,
        callback_zone=zone,
        wants_callback=at is not None or _wants_callback(told),
        do_not_call=any(_is_yes(_first(told, _plain(name))) for name in _DO_NOT_CALL),
    )


def read_local(value: Any) -> datetime | None:
    """A written time, aware or naive as it was written. A date alone or a time alone is none: it names no time."""
    if not isinstance(value, str) or len(value) > LONGEST_TIME:
        return None
    found = _TIME.fullmatch(" ".join(value.split()))
    if found is None or (hour := _hour(found)) is None:
        return None
    year, month, day = (
        int(found[name] or found[other])
        for name, other in (("year", "then_year"), ("month", "then_month"), ("day", "day_first"))
    )
    second = f"{found['second'] or '00'}.{(found['part'] or '0')[:6]}"
    try:
        at = parser.isoparse(
            f"{year:04}-{month:02}-{day:02}T{hour:02}:{found['minute'] or '00'}:{second}{_zone(found)}"
        )
        at.astimezone(UTC)  # the first and last years have instants that no other zone can write
    except (ValueError, OverflowError):
        return None
    return at


def _hour(found: re.Match[str]) -> int | None:
    """The hour out of 24; None where it is none, or where a lone number might be something else."""
    hour, half = int(found["hour"]), (found["half"] or "").lower()
    if not half:
        return hour if found["minute"] is not None else None
    if half == "p" and 12 < hour < 24:  # 17:30 PM can only mean one thing
        return hour
    if not (1 <= hour <= 12 or (hour == 0 and half == "a")):
        return None
    return hour % 12 + (12 if half == "p" else 0)


def _zone(found: re.Match[str]) -> str:
    if found["ahead"] is None:
        return "Z" if found["zone"] else ""
    return f"{found['ahead']}{found['hours']:0>2}:{found['minutes'] or '00'}"


def read_instant(value: Any) -> datetime | None:
    """ISO 8601 or RFC 2822, in UTC; a time without a zone is taken for UTC, as vendors mean it."""
    if not isinstance(value, str) or not value.strip():
        return None
    text = value.strip()
    try:
        at = parser.isoparse(text)
    except (ValueError, OverflowError):
        try:
            at = parsedate_to_datetime(text)
        except (TypeError, ValueError, IndexError, OverflowError):
            return None
    try:
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def read_epoch(value: Any, unit: timedelta = timedelta(milliseconds=1)) -> datetime | None:
    """An instant counted since 1970 in `unit`."""
    number = read_decimal(value, MOST_DIGITS_SINCE_1970)
    if number is None or number <= 0:
        return None
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + float(number) * unit
    except (OverflowError, ValueError):
        return None


def read_decimal(value: Any, digits: int = MOST_DIGITS) -> Decimal | None:
    """A number, also one written as text, of at most so many digits before its point; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    try:
        text = str(value).strip()
        number = Decimal(text) if len(text) <= LONGEST_NUMBER else Decimal("NaN")
    except (InvalidOperation, ValueError):  # ValueError: Python writes no whole number of thousands of digits
        return None
    if not number.is_finite():
        return None
    # An exponent can make a short text unwritable: 1e9999999, 1e-9999999. Neither is anybody's cost.
    if not number or number.adjusted() < -DECIMALS_KEPT:
        return Decimal(0)
    return number if number.adjusted() < digits else None


def read_cost(value: Any) -> Decimal | None:
    """What a call cost: a number of 0 or more, else nothing is known."""
    number = read_decimal(value)
    return number if number is not None and number >= 0 else None


_PER_UNIT = (
    re.compile(r"(?P<unit>[a-z]{3})[ _-]?(?:cents?|minor)"), re.compile(r"cents? (?:of )?(?P<unit>[a-z]{3})"),
)  # fmt: skip
_UNITS: Mapping[str, str] = {
    "us$": "usd", "dollars": "usd", "us dollars": "usd", "u$s": "usd", "€": "eur", "euro": "eur",
    "euros": "eur", "credit": "credits", "creditos": "credits", "minute": "minutes", "min": "minutes",
    "minutos": "minutes",
}  # fmt: skip
LONGEST_UNIT = 16


def read_money(value: Any, unit: Any) -> tuple[Decimal | None, str | None]:
    """What a call cost, and in what: a currency by its three letters, lower case, never its hundredths; or `credits`.

    A unit that nobody knows stays as it was written, and counts by itself. Without an amount there is none.
    """
    cost = read_cost(value)
    if cost is None:
        return None, None
    said = " ".join(_folded(read_text(unit, LONGEST_TEXT) or "").split())
    for small in _PER_UNIT:
        if (found := small.fullmatch(said)) is not None:
            return cost / 100, found["unit"]
    return cost, _UNITS.get(said, said)[:LONGEST_UNIT] or None


def _folded(text: str) -> str:
    """Lower case, without accents."""
    return "".join(char for char in unicodedata.normalize("NFKD", text.lower()) if not unicodedata.combining(char))


def read_seconds(value: Any) -> int | None:
    """A duration in whole seconds: a number of 0 or more, else nothing is known."""
    number = read_decimal(value)
    return int(number) if number is not None and 0 <= number < 10**9 else None


def read_text(value: Any, longest: int = LONGEST_TEXT) -> str | None:
    return _writable(value).strip()[:longest] or None if isinstance(value, str) else None


def read_word(value: Any) -> str | None:
    """An id or a vendor's own word: short text, or a whole number as text."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) < 10**LONGEST_NUMBER else None
    return read_text(value, 128)


def variables_as_text(variables: Mapping[str, Any]) -> dict[str, str]:
    """A lead's variables, string to string, as voice agents take them. What is empty is left out."""
    return {
        str(name): value if isinstance(value, str) else _as_text(value)
        for name, value in variables.items() if value is not None
    }


_MEASURED = frozenset({
    "duration", "durationms", "durationseconds", "totaldurationseconds", "callduration", "talkseconds", "billsec",
    "cost", "combinedcost", "creditdebited",
})  # fmt: skip


def find_oddity(payload: Any, depth: int = 0) -> str | None:
    """A duration or a cost that cannot be one (negative, or text that is no number), as words; None: all can be.

    A payload with such a value is not taken at its word, although it is genuine: the call is asked about.
    """
    if isinstance(payload, list | tuple):
        return next(filter(None, (find_oddity(one, depth + 1) for one in payload[:200])), None) if depth < 6 else None
    if not isinstance(payload, Mapping) or depth >= 6:
        return None
    for name, value in payload.items():
        if _plain(str(name)) in _MEASURED and isinstance(value, str | int | float) and value != "":
            number = read_decimal(value)
            if number is None or number < 0:
                return f"{str(name)[:40]} is {str(value)[:40]!r}"
        elif (found := find_oddity(value, depth + 1)) is not None:
            return found
    return None


def scrub(payload: Any, *, drop: Iterable[str] = ()) -> dict[str, Any]:
    """The payload as it is kept: secrets, recordings and the queries of addresses left out, of bounded size.

    `drop` are names that are left out too, such as a transcript's doubles.
    """
    kept = _scrub(payload, frozenset(map(_plain, drop)), 0)
    document = kept if isinstance(kept, dict) else {"value": kept}
    shrunk: dict[str, Any] = _shrink(document, LARGEST_PAYLOAD)
    return shrunk


def _shrink(value: Any, room: int) -> Any:
    """As much of it as goes into `room` characters of JSON, what is small first; what is too long is named."""
    if _size(value) <= room:
        return value
    if not isinstance(value, dict):
        return TOO_LONG
    cut: dict[str, Any] = {}
    room -= len("{}")
    # Those that are small by any measure in their order: what identifies a thing is mostly written first.
    for name in sorted(value, key=lambda name: max(_size(value[name]), SMALL)):
        left = room - _size(name) - len(": , ")
        if left < _size(TOO_LONG):
            break
        cut[name] = _shrink(value[name], left)
        room = left - _size(cut[name])
    return {name: cut[name] for name in value if name in cut}


def _size(value: Any) -> int:
    return len(json.dumps(value, default=str))


def _scrub(value: Any, drop: frozenset[str], depth: int) -> Any:
    if depth > 12:
        return "(too deep to keep)"
    if isinstance(value, Mapping):
        return {
            _writable(str(name))[:128]: LEFT_OUT if _is_secret(str(name)) else _scrub(one, drop, depth + 1)
            for name, one in value.items() if _plain(str(name)) not in drop
        }
    if isinstance(value, list | tuple):
        return [_scrub(one, drop, depth + 1) for one in value[:2000]]
    if isinstance(value, str):
        return _without_queries(_writable(value))[:LONGEST_TEXT]
    return value if value is None or isinstance(value, bool) else _number(value)


def _number(value: Any) -> Any:
    if isinstance(value, int):  # a database reads long ones as fractions, and has an end to those
        return value if abs(value) < 10**LONGEST_NUMBER else TOO_LONG
    # NaN and infinities are no JSON, and no column takes them.
    return value if isinstance(value, float) and value == value and abs(value) != float("inf") else str(value)


def _writable(text: str) -> str:
    """Without halves of characters, which JSON can spell and no database takes, and without our own keys."""
    return hide_secrets(text if text.isascii() else text.encode("utf-8", "replace").decode())


def _is_secret(name: str) -> bool:
    plain = _plain(name)
    return plain not in _NOT_SECRET and _SECRET.search(plain) is not None


def _without_queries(text: str) -> str:
    if "://" not in text:
        return text

    def bare(found: re.Match[str]) -> str:
        try:
            parts = urlsplit(found[0])
            host = parts.netloc.rpartition("@")[2]
            return urlunsplit((parts.scheme, host, parts.path, "", ""))
        except ValueError:
            return LEFT_OUT

    return re.sub(r"[a-z][a-z0-9+.-]*://[^\s\"'<>]+", bare, text, flags=re.IGNORECASE)


def is_page(body: bytes, content_type: str | None) -> bool:
    """Is this answer a web page? Then a proxy wrote it, or whoever stands at a wrong address, and no API."""
    is_named = (content_type or "").strip().lower().startswith(("text/html", "application/xhtml"))
    return is_named or body.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<")


def _first(told: Sequence[Mapping[str, Any]], name: str) -> Any:
    return next((one[name] for one in told if name in one), None)


def _first_time(
    told: Sequence[Mapping[str, Any]], names: Iterable[str], said_on: date | None
) -> datetime | None:
    """The first that is a time, or a date that one is a time together with the time of day beside it."""
    for name in map(_plain, names):
        for one in told:
            at = _joined(one, *_HALVES[name]) if name in _HALVES else None
            if at is None:
                at = read_local(one.get(name))
            if at is None and (written := _written(one.get(name), said_on)) is not None and written.at is not None:
                at = _storable(datetime.combine(written.day, written.at, written.zone))
            if at is not None:
                return at
    return None


def _first_day(told: Sequence[Mapping[str, Any]], names: Iterable[str], said_on: date | None) -> datetime | None:
    """The morning of the first that is a day: hours that open later move the call on, and never to the night."""
    for name in map(_plain, names):
        for one in told:
            if (written := _written(one.get(name), said_on)) is not None and written.at in (None, time()):
                return _storable(datetime.combine(written.day, MORNING))
    return None


def _written(value: Any, said_on: date | None) -> Written | None:
    """A date as people write it; one without its year where it is known when it was said."""
    if not isinstance(value, str) or len(value) > LONGEST_TIME or value.strip().isdigit():
        return None
    try:
        return read_written(value, DateOrder.DAY_FIRST)
    except Unclear:
        # Somewhere it is still the day before.
        return None if said_on is None else next_written(value, max(said_on, date(2, 1, 1)) - timedelta(days=1))


def _storable(at: datetime) -> datetime | None:
    """None for the first and last years, which have instants that no other zone can write."""
    return at if 1 < at.year < 9999 else None


def _joined(one: Mapping[str, Any], date: str, time: str) -> datetime | None:
    day, hour = one.get(date), one.get(time)
    if not isinstance(day, str) or not isinstance(hour, str) or len(day) > LONGEST_TIME:
        return None
    return read_local(f"{_MIDNIGHT.sub('', day.strip())} {hour}")


def _wants_callback(told: Sequence[Mapping[str, Any]]) -> bool:
    """Was one asked for, without a time that can be read?"""
    values = {name: _first(told, name) for name in map(_plain, _CALLBACK)}
    if any(_is_yes(value) for value in values.values()):
        return True
    if any(_is_no(values[name]) for name in _CALLBACK_FLAGS):
        return False
    return any(isinstance(value, str) and not _is_no(value) for value in values.values())


def _is_yes(value: Any) -> bool:
    return value is True or _said(value) in _YES


def _is_no(value: Any) -> bool:
    """Is it a no, or text without a word, such as a dash or the `{{name}}` that nobody filled in?"""
    return value is False or (isinstance(value, str | int) and (_said(value) in _NO or "{{" in str(value)))


def _said(value: Any) -> str:
    """The first word, or a number, as it is compared: without accents and the signs around it; else empty."""
    words = re.split(r"[^\w/]+", _folded(read_word(value) or ""))
    return next(filter(None, words), "")


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, default=str, ensure_ascii=False) if isinstance(value, dict | list) else str(value)
