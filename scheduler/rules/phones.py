"""What a phone number tells: whether it can be dialed, its country, the zones it may ring in.

Pure: `phonenumbers` is a table that comes with the program. What must stay true: a number that may be
in several zones keeps all of them (open then means open in every one), and a number whose zone is not
known says so instead of guessing. Mobile numbers move with people, so a prefix is only a hint: a zone
or region written on the lead goes first (`rules.zones`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import NamedTuple

import phonenumbers
from phonenumbers import timezone as phone_zones
from phonenumbers.phonenumberutil import is_number_type_geographical

from scheduler.errors import InvalidValue
from scheduler.model import NumberTraits

UNKNOWN_ZONE = "Etc/Unknown"
NOTHING = "(?!)"
"""A pattern that matches no text."""
DATA_VERSION: str = phonenumbers.__version__
"""Of the tables that `learn` reads; what was learnt from older ones is learnt anew."""
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")


def to_e164(text: str, default_country: str | None, field: str = "telefono") -> str:
    """`text` as +<country><number>. Raises InvalidValue, saying what is wrong with it.

    A number without + is read as one of `default_country`. Numbers that are possible but not assigned
    pass: they are what people use in examples, and dialing one reaches nobody.
    """
    if any(letter.isalpha() for letter in text):
        # The library would read them off a telephone's keypad, and 91234567O would ring a stranger.
        raise InvalidValue(field, text, "it has letters in it; write digits alone, like +56912345678")
    try:
        number = phonenumbers.parse(text.strip(), default_country)
    except phonenumbers.NumberParseException as error:
        wrong = {
            phonenumbers.NumberParseException.INVALID_COUNTRY_CODE: "it has no known country code; write +56912345678",
            phonenumbers.NumberParseException.TOO_LONG: "it has too many digits",
            phonenumbers.NumberParseException.TOO_SHORT_NSN: "it has too few digits",
            phonenumbers.NumberParseException.TOO_SHORT_AFTER_IDD: "it has too few digits",
        }.get(error.error_type, "it is not a phone number; write +56912345678")
        raise InvalidValue(field, text, wrong) from None
    verdict = phonenumbers.is_possible_number_with_reason(number)
    if verdict != phonenumbers.ValidationResult.IS_POSSIBLE:
        wrong = {
            phonenumbers.ValidationResult.TOO_SHORT: "it has too few digits",
            phonenumbers.ValidationResult.TOO_LONG: "it has too many digits",
            phonenumbers.ValidationResult.IS_POSSIBLE_LOCAL_ONLY: "its area code is missing",
            phonenumbers.ValidationResult.INVALID_COUNTRY_CODE: "its country code does not exist",
        }.get(verdict, "no number of that country has this length")
        raise InvalidValue(field, text, wrong)
    if number.extension:
        raise InvalidValue(field, text, "an extension cannot be dialed; write the number alone")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def is_e164(number: str | None) -> bool:
    """Is it + and 7 to 15 digits? That is what providers take."""
    return number is not None and _E164.fullmatch(number) is not None


@lru_cache(maxsize=4096)  # a lead is judged a few times in a row, and memory must stay flat over millions
def learn(number: str) -> NumberTraits:
    """All that an E.164 number tells, from one reading of it. Raises InvalidValue for anything else.

    Tables keep it beside the number (`store.numbers`), so that a daemon reads no number twice.
    """
    if not is_e164(number):
        raise InvalidValue("telefono", number, "write it in international form, like +56912345678")
    parsed = _read_plainly(number)
    if parsed is None:
        try:
            parsed = phonenumbers.parse(number)
        except phonenumbers.NumberParseException:
            raise InvalidValue("telefono", number, "its country code does not exist") from None
    country = phonenumbers.region_code_for_number(parsed)
    kind = _type_of(parsed, country)
    return NumberTraits(
        country=country if country not in (None, "001") else _main_country(parsed),
        line=_KINDS.get(kind, "unknown"),
        zones=_zones_of(parsed, kind),
    )


def _type_of(parsed: phonenumbers.PhoneNumber, country: str | None) -> int:
    """`phonenumbers.number_type`, with the country known and the patterns compiled once, four times as fast."""
    national = phonenumbers.national_significant_number(parsed)
    general, patterns = _patterns_of(parsed.country_code or 0, country)
    if general is None or not general.takes(national):
        return phonenumbers.PhoneNumberType.UNKNOWN
    for kind, pattern in patterns:
        if pattern.takes(national):
            if kind == phonenumbers.PhoneNumberType.FIXED_LINE and any(
                other == phonenumbers.PhoneNumberType.MOBILE and mobile.takes(national) for other, mobile in patterns
            ):
                return phonenumbers.PhoneNumberType.FIXED_LINE_OR_MOBILE
            return kind
    return phonenumbers.PhoneNumberType.UNKNOWN


class _Pattern(NamedTuple):
    """The numbers of one kind: their lengths (none: any) and what they look like."""

    lengths: frozenset[int]
    pattern: re.Pattern[str]

    def takes(self, national: str) -> bool:
        if self.lengths and len(national) not in self.lengths:
            return False
        return self.pattern.fullmatch(national) is not None


@cache
def _patterns_of(code: int, country: str | None) -> tuple[_Pattern | None, tuple[tuple[int, _Pattern], ...]]:
    """(any number of this country, each kind in the order in which they are told apart)."""
    metadata = phonenumbers.PhoneMetadata.metadata_for_region_or_calling_code(code, country or "")
    if metadata is None:
        return None, ()
    kinds = phonenumbers.PhoneNumberType
    is_one = metadata.same_mobile_and_fixed_line_pattern
    ordered = (
        (kinds.PREMIUM_RATE, metadata.premium_rate), (kinds.TOLL_FREE, metadata.toll_free),
        (kinds.SHARED_COST, metadata.shared_cost), (kinds.VOIP, metadata.voip),
        (kinds.PERSONAL_NUMBER, metadata.personal_number), (kinds.PAGER, metadata.pager), (kinds.UAN, metadata.uan),
        (kinds.VOICEMAIL, metadata.voicemail),
        (kinds.FIXED_LINE_OR_MOBILE if is_one else kinds.FIXED_LINE, metadata.fixed_line),
        (kinds.MOBILE, None if is_one else metadata.mobile),
    )
    found = [(kind, pattern) for kind, what in ordered if (pattern := _pattern(what)) is not None]
    return _pattern(metadata.general_desc), tuple(found)


def _pattern(what: phonenumbers.PhoneNumberDesc | None) -> _Pattern | None:
    if what is None or not what.national_number_pattern:
        return None
    return _Pattern(frozenset(what.possible_length), re.compile(what.national_number_pattern))


def _zones_of(parsed: phonenumbers.PhoneNumber, kind: int) -> tuple[str, ...]:
    # The library asks for the kind again, which costs more than the rest, where the place decides anyway.
    if kind == phonenumbers.PhoneNumberType.UNKNOWN or is_number_type_geographical(kind, parsed.country_code or 0):
        # A number that is possible but not assigned still has a prefix, and the prefix a place.
        return _known(phone_zones.time_zones_for_geographical_number(parsed))
    return _known(phone_zones.time_zones_for_number(parsed)) or _known(
        phone_zones.time_zones_for_geographical_number(parsed)
    )


def _known(zones: Iterable[str]) -> tuple[str, ...]:
    return tuple(zone for zone in zones if zone != UNKNOWN_ZONE)


def _main_country(parsed: phonenumbers.PhoneNumber) -> str | None:
    code = phonenumbers.region_code_for_country_code(parsed.country_code or 0)
    return code if code not in ("ZZ", "001") else None


def _read_plainly(number: str) -> phonenumbers.PhoneNumber | None:
    """What `phonenumbers.parse` makes of an E.164 number that has nothing to strip, three times as fast; else None."""
    for end in (2, 3, 4):
        if plan := plan_of_code(number[1:end]):
            national = number[end:]
            if not plan.takes(national):
                return None
            return phonenumbers.PhoneNumber(country_code=int(plan.code), national_number=int(national))
    return None


@dataclass(frozen=True, slots=True)
class Plan:
    """What decides about plain digits: lengths, and prefixes that would be stripped."""

    code: str
    lengths: frozenset[int]
    prefix: re.Pattern[str]

    def takes(self, national: str) -> bool:
        """Is it a possible number as it stands, with nothing to strip?"""
        return len(national) in self.lengths and national[0] != "0" and not self.prefix.match(national)


@cache
def plan_of_code(code: str) -> Plan | None:
    """Of a calling code, None for one that does not exist."""
    if not code.isdigit() or code[0] == "0" or int(code) not in phonenumbers.COUNTRY_CODE_TO_REGION_CODE:
        return None
    country = phonenumbers.region_code_for_country_code(int(code))
    return _plan(int(code), phonenumbers.PhoneMetadata.metadata_for_region_or_calling_code(int(code), country))


@cache
def plan_of_country(country: str) -> Plan:
    """Of a supported country: its own prefixes."""
    own = phonenumbers.PhoneMetadata.metadata_for_region(country, None)
    assert own is not None and own.country_code  # every supported country has them
    return _plan(own.country_code, own)


def _plan(code: int, metadata: phonenumbers.PhoneMetadata | None) -> Plan:
    # Several countries share +1 and +7: lengths are those of the main one, as for any such number.
    country = phonenumbers.region_code_for_country_code(code)
    main = phonenumbers.PhoneMetadata.metadata_for_region_or_calling_code(code, country)
    assert metadata is not None and main is not None and main.general_desc is not None
    possible = main.general_desc
    return Plan(
        str(code), frozenset(possible.possible_length) - frozenset(possible.possible_length_local_only),
        re.compile(metadata.national_prefix_for_parsing or NOTHING),
    )


def read_countries(value: object, field: str) -> tuple[str, ...]:
    """ISO 3166 codes of countries, like CL and AR. Raises InvalidValue for one that no number belongs to."""
    right = 'write country codes of two letters, like "CL", "AR"'
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list | tuple):
        raise InvalidValue(field, value, right)
    codes = []
    for item in items:
        code = item.strip().upper() if isinstance(item, str) else ""
        if code not in phonenumbers.SUPPORTED_REGIONS:
            raise InvalidValue(field, item, right)
        codes.append(code)
    return tuple(dict.fromkeys(codes))


_KINDS = {
    phonenumbers.PhoneNumberType.MOBILE: "mobile",
    phonenumbers.PhoneNumberType.FIXED_LINE: "fixed",
    phonenumbers.PhoneNumberType.FIXED_LINE_OR_MOBILE: "fixed_or_mobile",
    phonenumbers.PhoneNumberType.TOLL_FREE: "toll_free",
    phonenumbers.PhoneNumberType.PREMIUM_RATE: "premium_rate",
    phonenumbers.PhoneNumberType.SHARED_COST: "shared_cost",
    phonenumbers.PhoneNumberType.VOIP: "voip",
    phonenumbers.PhoneNumberType.PERSONAL_NUMBER: "personal",
    phonenumbers.PhoneNumberType.PAGER: "pager",
    phonenumbers.PhoneNumberType.UAN: "company",
    phonenumbers.PhoneNumberType.VOICEMAIL: "voicemail",
}
DEAR_KINDS = {"premium_rate": "a premium-rate", "shared_cost": "a shared-cost", "pager": "a pager's"}
"""Kinds of line that fraudsters earn by, with how to speak of them. They are never dialed."""


def line_kind(number: str) -> str:
    """mobile, fixed, fixed_or_mobile, toll_free, premium_rate, shared_cost, voip ..., or unknown."""
    try:
        return learn(number).line
    except InvalidValue:
        return "unknown"


def may_be_dialed(number: str, allowed_countries: tuple[str, ...] = ()) -> str | None:
    """None, or why a call to this E.164 number is refused."""
    try:
        return why_not(learn(number), allowed_countries)
    except InvalidValue as error:
        return str(error)


@lru_cache(maxsize=1024)
def why_not(traits: NumberTraits, allowed_countries: tuple[str, ...] = ()) -> str | None:
    """None, or why no call may go to such a number: toll fraud lives on calls to dear or unknown places.

    Refused always: premium-rate and shared-cost lines, numbers of no country (satellites and other shared codes).
    A number that is possible but not assigned passes: its prefix names its country.
    """
    if traits.country is None:
        return "its code belongs to no country, and such calls are dear"
    if (line := DEAR_KINDS.get(traits.line)) is not None:
        return f"it is {line} number"
    if allowed_countries and traits.country not in allowed_countries:
        return f"it is in {traits.country}, and allowed_countries holds only {', '.join(allowed_countries)}"
    return None


KEY_DIGITS = 7
"""What every spelling of a number ends with, the shortest national one too."""


def number_key(text: str) -> str:
    """The last digits of a number: the same in whatever spelling, so that those with other keys are other numbers."""
    return "".join(letter for letter in text if letter.isdecimal() and letter.isascii())[-KEY_DIGITS:]
