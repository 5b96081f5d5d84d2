"""Phone cells as people and spreadsheets write them, turned into E.164; and where no call may go.

Pure. What must stay true: a number is never guessed. Digits that a spreadsheet rounded away, letters that a
telephone keypad would turn into digits, and an end that stands for a second number ("2345678/79") are refused,
because the guess would ring a stranger.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

import phonenumbers

from scheduler.errors import InvalidValue
from scheduler.rules.cells import ERROR_CELLS
from scheduler.rules.phones import NOTHING, may_be_dialed, plan_of_code, plan_of_country, to_e164

_DATE = re.compile(r"(?:19|20)[0-9]{2}-[01][0-9]-[0-3][0-9].*")
_PLAIN_NUMBER = re.compile(r"\+?[0-9]+(?:[ -][0-9]+)*")
_WHOLE_FLOAT = re.compile(r"(\+?[0-9]+)[.,]0{1,2}")
_SCIENTIFIC = re.compile(r"\+?([0-9])(?:[.,]([0-9]+))?[eE]\+?([0-9]{1,3})")
_TEXT_FORMULA = re.compile(r'="?([^"]*)"?')
_NOTE = re.compile(r"\((?=[^()]*[^\W\d_])[^()\d]*\)")
"""Words in parentheses, such as (casa)."""
_LABEL = (
    r"(?:tel[eé]fono|tel|fono|celular|cel|m[oó]vil|mobile|phone|home|work|fijo|casa|trabajo|oficina|whatsapp|wsp|wa)"
)
_LABELS = re.compile(rf"^\W*{_LABEL}\b[.:\s]*|[\s-]+{_LABEL}\W*$", re.IGNORECASE)
_SEVERAL = re.compile(
    r"\s*:{2,}\s*|\s(?:[yeo]/[oyu]|[yoóue&+]|and|or|ou)\s|[;,|/\n\t•·\\]|(?<=[0-9])\s+(?=\+[0-9])", re.IGNORECASE
)
_DASHED = re.compile(r"\s[-–—]+\s")
"""Between two numbers, where each is long enough to be one; within a number it means nothing."""
_QUOTES = "'’`´"
"""Before a number they keep it a text."""
FULL = 8
"""Digits that a number has at least which is told from the next one by a dash or by its + alone."""
LONGEST_CELL = 250
"""With nine numbers and words around them. Longer texts would only keep the patterns busy."""
WHOLE = 6
"""Digits that a number of its own has at least."""


class NumberReader:
    """Turns phone cells into E.164, as `to_e164` does, but knows what spreadsheets do to numbers.

    Most cells are plain digits that need nothing stripped. Those are answered from the numbering plan
    alone, ten times as fast; a property test holds that the answer is the one `to_e164` gives.
    """

    def __init__(self, default_country: str) -> None:
        """Raises InvalidValue for a country that does not exist."""
        self._country = default_country.strip().upper()
        if self._country not in phonenumbers.SUPPORTED_REGIONS:
            raise InvalidValue("default country", default_country, "write two ISO letters, such as CL")
        self._home = plan_of_country(self._country)
        own = phonenumbers.PhoneMetadata.metadata_for_region(self._country, None)
        assert own is not None and own.general_desc is not None  # every supported country has them
        self._abroad = re.compile(own.international_prefix or NOTHING)
        # What stands after a code that several countries share is read by the rules of the main one.
        self._is_main = phonenumbers.region_code_for_country_code(int(self._home.code)) == self._country
        self._general = re.compile(own.general_desc.national_number_pattern or NOTHING)

    def split(self, text: str) -> Sequence[str]:
        """The numbers in a cell, as they are written."""
        if len(text) > LONGEST_CELL or _PLAIN_NUMBER.fullmatch(text):
            return (text,)
        text = _LABELS.sub("", _NOTE.sub("", text)).strip()
        if _WHOLE_FLOAT.fullmatch(text) or _SCIENTIFIC.fullmatch(text):
            return (text,)
        if not _SEVERAL.search(text):
            dashed = _DASHED.split(text)
            return dashed if len(dashed) > 1 and all(_count_digits(part) >= FULL for part in dashed) else (text,)
        parts = [part for part in map(str.strip, _SEVERAL.split(text)) if part]
        if "/" in text and any(_count_digits(part) < WHOLE for part in parts):
            return (text,)  # 600/123/4567 is one number
        return parts

    def read(self, text: str, column: str) -> str:
        """Raises InvalidValue."""
        if len(text) > LONGEST_CELL:
            raise InvalidValue(column, text, f"it has {len(text)} characters, too many for a phone number")
        if "-" in text and _DATE.fullmatch(text):
            raise InvalidValue(column, text, "it reads like a date, not like a number; make the column text")
        if _PLAIN_NUMBER.fullmatch(text):
            return self._read_plain(text) or to_e164(text, self._country, column)
        return to_e164(_mend(text, column), self._country, column)

    def _read_plain(self, text: str) -> str | None:
        digits = text.replace(" ", "").replace("-", "")
        if digits[0] == "+":
            for end in (2, 3, 4):
                if plan := plan_of_code(digits[1:end]):
                    return digits if plan.takes(digits[end:]) else None
            return None
        home = self._home
        if self._abroad.match(digits):
            return None
        if digits.startswith(home.code):
            # Without its +: so it is read where it is no number of the country as it stands, and the rest of it is.
            rest = digits[len(home.code) :]
            takes = self._general.fullmatch
            is_clear = rest and home.takes(rest) and takes(rest) and not takes(digits)
            return f"+{digits}" if is_clear and self._is_main else None
        return f"+{home.code}{digits}" if home.takes(digits) else None


def _mend(text: str, column: str) -> str:
    """Undo what a spreadsheet does to a number, where that loses nothing."""
    if text in ERROR_CELLS:
        raise InvalidValue(column, text, ERROR_CELLS[text])
    text = _LABELS.sub("", text).lstrip(_QUOTES).strip()
    first, slash, _ = text.partition("/")
    if slash and _count_digits(first) > WHOLE:
        raise InvalidValue(column, text, "it reads like two numbers; write each in full")
    if formula := _TEXT_FORMULA.fullmatch(text):  # ="56912345678" keeps a number a text
        text = formula[1]
    return text


def _count_digits(text: str) -> int:
    return sum(map(str.isdigit, text))


# --- where no call may go -------------------------------------------------------------------------


class Destinations:
    """Says as `may_be_dialed` does why a call to a number is refused, but knows most good ones at a glance.

    Where a calling code is that of one country alone (or any country will do), only a number that may be a dear
    one is looked at closely; a property test holds that the answer is the same.
    """

    def __init__(self, allowed_countries: tuple[str, ...] = ()) -> None:
        self._allowed = allowed_countries

    def why_not(self, number: str) -> str | None:
        """None, or why no call may go to this E.164 number."""
        return None if self._is_plainly_good(number) else may_be_dialed(number, self._allowed)

    def _is_plainly_good(self, number: str) -> bool:
        for end in (2, 3, 4):
            if (reach := _reach_of_code(number[1:end])) is not None:
                countries, dear = reach
                is_allowed = not self._allowed or (len(countries) == 1 and countries[0] in self._allowed)
                return bool(countries) and is_allowed and not dear.fullmatch(number[end:])
        return False


@cache
def _reach_of_code(code: str) -> tuple[tuple[str, ...], re.Pattern[str]] | None:
    """The countries of a calling code, and what may be a premium-rate number and the like in one of them."""
    if plan_of_code(code) is None:
        return None
    countries = phonenumbers.COUNTRY_CODE_TO_REGION_CODE[int(code)]
    patterns = [
        kind.national_number_pattern
        for country in countries
        if (metadata := phonenumbers.PhoneMetadata.metadata_for_region(country, None))
        for kind in (metadata.premium_rate, metadata.shared_cost, metadata.pager)
        if kind and kind.national_number_pattern
    ]
    dear = re.compile("|".join(f"(?:{one})" for one in patterns) or NOTHING)
    return tuple(one for one in countries if one != "001"), dear
