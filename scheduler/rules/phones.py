"""What a phone number tells: whether it can be dialed, its country, the zones it may ring in.

Pure: `phonenumbers` is a table that comes with the program. What must stay true: a number that may be
in several zones keeps all of them (open then means open in every one), and a number whose zone is not
known says so instead of guessing. Mobile numbers move with people, so a prefix is only a hint: a zone
or region written on the lead goes first (`rules.zones`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
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
DATA_VERSION: str = f"{phonenumbers.__version__}.1"
"""Of the tables that `learn` reads, and of what this module makes of them; what was learnt from older ones is learnt
anew."""
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")


class Mend(StrEnum):
    """What had to be taken off a text, or added to it, until it was a number."""

    TRUNK = "trunk"
    """What is dialed before a number inside its country, or was once: Chile's 09, a (0), Mexico's 1, 044 and 045."""
    OLD_PLAN = "old_plan"
    FRACTION = "fraction"
    EXPONENT = "exponent"
    WORD = "word"


class Refusal(StrEnum):
    """Why a text is no number. The sentences are in `REFUSALS`."""

    LETTERS = "letters"
    NO_NUMBER = "no_number"
    NO_COUNTRY = "no_country"
    COUNTRY_CODE = "country_code"
    TOO_LONG = "too_long"
    TOO_SHORT = "too_short"
    LENGTH = "length"
    AREA = "area"
    LEADING_ZERO = "leading_zero"
    EXTENSION = "extension"
    TOO_MUCH = "too_much"
    FRACTION = "fraction"
    ROUNDED = "rounded"
    SEVERAL = "several"


REFUSALS: dict[Refusal, str] = {
    # The library would read letters off a telephone's keypad, and 91234567O would ring a stranger.
    Refusal.LETTERS: "it has letters in it; write digits alone, like +56912345678",
    Refusal.NO_NUMBER: "it is not a phone number; write +56912345678",
    Refusal.NO_COUNTRY: "it has no known country code; write +56912345678",
    Refusal.COUNTRY_CODE: "its country code does not exist",
    Refusal.TOO_LONG: "it has too many digits",
    Refusal.TOO_SHORT: "it has too few digits",
    Refusal.LENGTH: "no number of that country has this length",
    Refusal.AREA: "its area code is missing",
    Refusal.LEADING_ZERO: "no number of that country begins with 0",
    Refusal.EXTENSION: "an extension cannot be dialed; write the number alone",
    Refusal.TOO_MUCH: "it has digits behind a number, like an extension; write the number alone",
    Refusal.FRACTION: "it has a fraction, so it is not certain which number was meant; write +56912345678",
    Refusal.ROUNDED: "a spreadsheet rounded it and its last digits are lost; make the column text and write it again",
    Refusal.SEVERAL: "it can be read as two numbers; write it with + and its country code",
}


@dataclass(frozen=True, slots=True)
class Reading:
    """What a text is: a number in E.164, perhaps after it was mended, or none and why."""

    number: str | None
    mended: Mend | None = None
    refused: Refusal | None = None


def to_e164(text: str, default_country: str | None, field: str = "telefono") -> str:
    """`text` as +<country><number>. Raises InvalidValue, saying what is wrong with it."""
    reading = read_number(text, default_country)
    if reading.number is None:
        raise InvalidValue(field, text, REFUSALS[reading.refused or Refusal.NO_NUMBER])
    return reading.number


@lru_cache(maxsize=4096)
def read_number(text: str, default_country: str | None) -> Reading:
    """The one way from a text to a number.

    A number without + is read as one of `default_country`. What is dialed before numbers inside a country is taken
    off where the rest is a number. Numbers that are not assigned pass where they look like those of their country:
    they are what people use in examples, and dialing one reaches nobody.
    """
    if is_e164(text) and _read_plainly(text) is not None:
        return Reading(text)
    plain, mended, refused = _without_marks(text)
    if refused is not None:
        return Reading(None, refused=refused)
    if _ABROAD.match(plain):
        # So people write a + everywhere, whatever their own country dials: in Brazil 00 and two digits are a carrier.
        abroad = read_number(plain.replace("0", "", 1).replace("0", "+", 1), None)
        if abroad.number is not None and abroad.mended is None:
            return abroad
    try:
        parsed = phonenumbers.parse(plain, default_country)
    except phonenumbers.NumberParseException as error:
        return Reading(None, refused=_UNPARSED.get(error.error_type, Refusal.NO_NUMBER))
    if parsed.extension:
        return Reading(None, refused=Refusal.EXTENSION)
    reading = _settle(parsed.country_code or 0, phonenumbers.national_significant_number(parsed))
    return Reading(reading.number, reading.mended or mended, reading.refused)


_UNPARSED = {
    phonenumbers.NumberParseException.INVALID_COUNTRY_CODE: Refusal.NO_COUNTRY,
    phonenumbers.NumberParseException.TOO_LONG: Refusal.TOO_LONG,
    phonenumbers.NumberParseException.TOO_SHORT_NSN: Refusal.TOO_SHORT,
    phonenumbers.NumberParseException.TOO_SHORT_AFTER_IDD: Refusal.TOO_SHORT,
}
_IMPOSSIBLE = {
    phonenumbers.ValidationResult.TOO_SHORT: Refusal.TOO_SHORT,
    phonenumbers.ValidationResult.TOO_LONG: Refusal.TOO_LONG,
    phonenumbers.ValidationResult.IS_POSSIBLE_LOCAL_ONLY: Refusal.AREA,
    phonenumbers.ValidationResult.INVALID_COUNTRY_CODE: Refusal.COUNTRY_CODE,
}
_WORD = re.compile(r"(?:p|tel|phone|whatsapp|callto|sms)\s*:\s*(?=[+(0-9])", re.IGNORECASE)
"""Before numbers in exports of advertisers, vCards and messengers: p:+569..., tel:+569..., whatsapp:+569..."""
_EXTENSION = re.compile(r";ext=[0-9]+$", re.IGNORECASE)
_ABROAD = re.compile(r"\(?00[ -]?\(?[1-9]")
_FRACTION = re.compile(r"(\+?[0-9]{7,})[.,]([0-9]+)")
_SCIENTIFIC = re.compile(r"\+?([0-9])(?:[.,]([0-9]+))?[eE]\+?([0-9]{1,3})")


def _without_marks(text: str) -> tuple[str, Mend | None, Refusal | None]:
    """The text without what a spreadsheet or a messenger added, where that loses nothing."""
    kept = text if text.isascii() else "".join(one for one in text if unicodedata.category(one) != "Cf")
    kept, words = _WORD.subn("", kept.strip(), count=1)
    mended = Mend.WORD if words else None
    if float_like := _FRACTION.fullmatch(kept):
        return float_like[1], Mend.FRACTION, Refusal.FRACTION if float_like[2].strip("0") else None
    if rounded := _SCIENTIFIC.fullmatch(kept):
        digits = rounded[1] + (rounded[2] or "")
        # 9.5550E+8 as well as 9.555E+8 stands for more than one number.
        return digits, Mend.EXPONENT, Refusal.ROUNDED if len(digits) != int(rounded[3]) + 1 else None
    if _EXTENSION.search(kept):
        return kept, mended, Refusal.EXTENSION
    return kept, mended, Refusal.LETTERS if any(map(str.isalpha, kept)) else None


_TRUNKS = {52: ("1", "01", "044", "045"), 56: ("0", "09"), 57: ("0", "03", "05", "07", "09")}
"""By calling code, what people dialed before a number in the memory of living address books, where tables of today
know less: Mexico until 2019, Chile until 2016, Colombia until 2021. Elsewhere it is the country's own prefix."""


def _settle(code: int, national: str) -> Reading:
    """The number that this is, or the one that it can only mean."""
    plan = plan_of_code(str(code))
    if (plan is not None and plan.takes(national)) or _is_assigned(code, national):
        return Reading(f"+{code}{national}")
    others = dict(_others(code, national))
    found = {other: mend for other, mend in others.items() if _is_assigned(code, other)}
    if not found:
        refused = _why_unlike(code, national)
        if refused is None:
            return Reading(f"+{code}{national}")
        found = {
            other: mend for other, mend in others.items()
            if mend is Mend.TRUNK and ((plan and plan.takes(other)) or _why_unlike(code, other) is None)
        }
        if not found:
            return Reading(None, refused=refused)
    if len(found) > 1:
        return Reading(None, refused=Refusal.SEVERAL)
    [(other, mend)] = found.items()
    return Reading(f"+{code}{other}", mend)


def _others(code: int, national: str) -> Iterator[tuple[str, Mend]]:
    """What else it may have been meant for, without what stands before it."""
    own = plan_of_code(str(code))
    trunks = _TRUNKS.get(code) or ((own.trunk,) if own and own.trunk else ())
    rests = [national, *(national[len(one) :] for one in trunks if national.startswith(one))]
    for rest in rests[1:]:
        yield rest, Mend.TRUNK
    for rest in rests:
        if code == 57 and _OLD_COLOMBIAN.fullmatch(rest):
            yield f"60{rest}", Mend.OLD_PLAN


_OLD_COLOMBIAN = re.compile(r"[1245678][2-8][0-9]{6}")
"""A city and seven digits; since 2021 the city's digit has 60 before it."""
_NO_AREA = {54: re.compile(r"15[0-9]{6,8}")}
"""Argentina's 15 stands between an area code and the number."""
_BEGINNING = 6
"""Digits of the shortest number that is looked for at the beginning of another."""


def _why_unlike(code: int, national: str) -> Refusal | None:
    """None where a number that is not assigned looks like one of its country, else why it does not."""
    verdict = phonenumbers.is_possible_number_with_reason(_number(code, national))
    if verdict != phonenumbers.ValidationResult.IS_POSSIBLE:
        return _IMPOSSIBLE.get(verdict, Refusal.LENGTH)
    plan = plan_of_code(str(code))
    assert plan is not None, "it was parsed with this code"
    if national[0] == "0" and not plan.may_begin_with_zero:
        return Refusal.LEADING_ZERO
    if (no_area := _NO_AREA.get(code)) and no_area.fullmatch(national):
        return Refusal.AREA
    if any(_is_assigned(code, national[:end]) for end in range(len(national) - 1, _BEGINNING - 1, -1)):
        return Refusal.TOO_MUCH
    return None if len(national) in plan.usual else Refusal.LENGTH


def _is_assigned(code: int, national: str) -> bool:
    return phonenumbers.is_valid_number(_number(code, national))


def _number(code: int, national: str) -> phonenumbers.PhoneNumber:
    zeros = len(national) - len(national.lstrip("0"))
    return phonenumbers.PhoneNumber(
        country_code=code, national_number=int(national or "0"), italian_leading_zero=zeros > 0 or None,
        number_of_leading_zeros=zeros if zeros > 1 else None,
    )


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
        reading = read_number(number, None)
        if reading.refused is Refusal.NO_COUNTRY:
            raise InvalidValue("telefono", number, "its country code does not exist")
        if reading.refused not in (None, Refusal.TOO_SHORT):  # one that is too short rings nobody
            raise InvalidValue("telefono", number, REFUSALS[reading.refused])
        if reading.number not in (None, number):
            raise InvalidValue("telefono", number, f"it can only mean {reading.number}; write that")
        parsed = phonenumbers.parse(number)
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
    """What decides about plain digits: lengths, and prefixes that would be stripped.

    `usual` are the lengths of its lines, fixed and mobile. At a length of `sure` nothing can be behind a number,
    because no number is shorter. `trunk` is what is dialed before a number inside the country.
    """

    code: str
    lengths: frozenset[int]
    prefix: re.Pattern[str]
    usual: frozenset[int]
    sure: frozenset[int]
    trunk: str
    may_begin_with_zero: bool

    def takes(self, national: str) -> bool:
        """Is it a number as it stands, with nothing to strip and nothing to look at closely?"""
        length = len(national)
        if length not in self.lengths or national[0] == "0" or self.prefix.match(national):
            return False
        return length in self.sure or _is_assigned(int(self.code), national)


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
    possible = frozenset(main.general_desc.possible_length) - frozenset(main.general_desc.possible_length_local_only)
    lines = [one for one in (main.fixed_line, main.mobile) if one is not None and one.national_number_pattern]
    usual = frozenset(length for one in lines for length in one.possible_length or possible) & possible
    shortest = min((length for length in possible if length >= _BEGINNING), default=0)
    has_own_ways = code in _OWN_WAYS
    return Plan(
        str(code), possible, re.compile(metadata.national_prefix_for_parsing or NOTHING), usual or possible,
        frozenset({shortest} & usual) if not has_own_ways else frozenset(), main.national_prefix or "",
        bool(main.leading_zero_possible),
    )


_OWN_WAYS = {54, 57}
"""Where a number of the usual length may still be an old one, or want its area."""


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
"""What every spelling of a number ends with, the shortest national one too. SQL computes the same of entries."""


def number_key(text: str) -> str:
    """The last digits of a number: the same in whatever spelling, so that those with other keys are other numbers."""
    return digits_of(text)[-KEY_DIGITS:]


def digits_of(text: str) -> str:
    """Its digits, in whatever script they are written."""
    if text.isascii():
        return _NO_DIGIT.sub("", text)
    return "".join(str(unicodedata.decimal(one)) for one in text if one.isdecimal())


_NO_DIGIT = re.compile("[^0-9]+")


def number_keys(number: str) -> tuple[str, ...]:
    """What a text that means this E.164 number may end with: its last digits, nearly always one key."""
    keys = [number[-KEY_DIGITS:]]
    if number.startswith("+549"):  # 02966 15 423456: its 15 stands before the last six digits or more
        keys.append("5" + number[1 - KEY_DIGITS :])
    if len(number) <= KEY_DIGITS + 4 and (plan := _plan_of(number)) is not None:  # fewer digits than a key, perhaps
        national = number[len(plan.code) + 1 :]
        if len(national) < KEY_DIGITS:
            keys += [national, ("0" + national)[-KEY_DIGITS:], (plan.trunk + national)[-KEY_DIGITS:]]
    return tuple(dict.fromkeys(keys))


def windows_of(text: str) -> frozenset[str]:
    """The keys of every number whose last digits occur in it. Fewer digits than a key are one themselves."""
    digits = digits_of(text)
    return frozenset(digits[at : at + KEY_DIGITS] for at in range(max(1, len(digits) - KEY_DIGITS + 1))) - {""}


class Meaning(StrEnum):
    """What an entry of the do-not-call list says of a number."""

    SAME = "same"
    MAYBE = "maybe"
    """The entry is no number, and this one's last digits are in it."""


def meaning_of(text: str, number: str, home: str | None, read_as: str | None = None) -> Meaning | None:
    """Does this text mean this E.164 number? None: another one, or nothing.

    A text without a country code is read as one of `home` and as one of the number's own country: whichever its
    writer had in mind, that person is not rung. `read_as` is the number that it was read as, where that is known.
    """
    if text == number or read_as == number:
        return Meaning.SAME
    if read_as is not None and (plan := _plan_of(number)) is not None and read_as.startswith(f"+{plan.code}"):
        # Of one country, where it was read already; a million entries must not be read again for that.
        return Meaning.SAME if _line_of(read_as) == _line_of(number) else None
    return _meaning_of(text, number, home)


@lru_cache(maxsize=4096)
def _meaning_of(text: str, number: str, home: str | None) -> Meaning | None:
    own = read_number(number, None).number or number
    if digits_of(_without_marks(text)[0]).lstrip("0") == own[1:]:
        # With its country code and no +; it may be a number without that as well.
        return Meaning.SAME
    country = _country_of(own)
    at_home = read_number(text, home or country)
    for reading in (at_home, read_number(text, country)):
        if reading.number is not None and _line_of(reading.number) == _line_of(own):
            return Meaning.SAME
    if at_home.number is not None or windows_of(text).isdisjoint(number_keys(own)):
        return None
    return Meaning.MAYBE


def _line_of(number: str) -> str:
    """Argentines leave the 9 of a mobile out among themselves; no other line has the same digits."""
    return "+54" + number[4:] if number.startswith("+549") else number


def _country_of(number: str) -> str | None:
    plan = _plan_of(number)
    code = phonenumbers.region_code_for_country_code(int(plan.code)) if plan else None
    return code if code not in ("ZZ", "001") else None


def _plan_of(number: str) -> Plan | None:
    return next((plan for end in (2, 3, 4) if (plan := plan_of_code(number[1:end])) is not None), None)
