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
from functools import lru_cache

import phonenumbers
from phonenumbers import timezone as phone_zones

from scheduler.errors import InvalidValue

UNKNOWN_ZONE = "Etc/Unknown"
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")


@dataclass(frozen=True, slots=True)
class NumberFacts:
    """`country` is an ISO code or None; `zones` is empty when the number does not tell."""

    country: str | None
    zones: tuple[str, ...]


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
def number_facts(number: str) -> NumberFacts:
    """What an E.164 number tells. Raises InvalidValue for anything else."""
    if not is_e164(number):
        raise InvalidValue("telefono", number, "write it in international form, like +56912345678")
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        raise InvalidValue("telefono", number, "its country code does not exist") from None
    zones = _known(phone_zones.time_zones_for_number(parsed))
    if not zones:
        # A number that is possible but not assigned still has a prefix, and the prefix a place.
        zones = _known(phone_zones.time_zones_for_geographical_number(parsed))
    country = phonenumbers.region_code_for_number(parsed)
    return NumberFacts(country=country if country not in (None, "001") else _main_country(parsed), zones=zones)


def _known(zones: Iterable[str]) -> tuple[str, ...]:
    return tuple(zone for zone in zones if zone != UNKNOWN_ZONE)


def _main_country(parsed: phonenumbers.PhoneNumber) -> str | None:
    code = phonenumbers.region_code_for_country_code(parsed.country_code or 0)
    return code if code not in ("ZZ", "001") else None


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


@lru_cache(maxsize=4096)
def line_kind(number: str) -> str:
    """mobile, fixed, fixed_or_mobile, toll_free, premium_rate, shared_cost, voip ..., or unknown."""
    try:
        return _KINDS.get(phonenumbers.number_type(phonenumbers.parse(number)), "unknown")
    except phonenumbers.NumberParseException:
        return "unknown"


@lru_cache(maxsize=4096)
def may_be_dialed(number: str, allowed_countries: tuple[str, ...] = ()) -> str | None:
    """None, or why a call to this E.164 number is refused: toll fraud lives on calls to dear or unknown places.

    Refused always: premium-rate and shared-cost lines, numbers of no country (satellites and other shared
    codes). A number that is possible but not assigned passes: its prefix names its country.
    """
    try:
        country = number_facts(number).country
    except InvalidValue as error:
        return str(error)
    if country is None:
        return "its code belongs to no country, and such calls are dear"
    if (kind := DEAR_KINDS.get(line_kind(number))) is not None:
        return f"it is {kind} number"
    if allowed_countries and country not in allowed_countries:
        return f"it is in {country}, and allowed_countries holds only {', '.join(allowed_countries)}"
    return None
