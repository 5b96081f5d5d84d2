"""Every way in which people write a number comes to one number, and an entry in one spelling means all others."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from functools import cache

import phonenumbers
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from scheduler.errors import InvalidValue
from scheduler.rules.phone_cells import NumberReader
from scheduler.rules.phones import (
    Meaning,
    Mend,
    Refusal,
    learn,
    meaning_of,
    number_keys,
    read_number,
    to_e164,
    windows_of,
)
from scheduler.rules.presets import PRESETS
from scheduler.store.tables import do_not_call
from tests.each import each
from tests.examples import examples

COUNTRIES = sorted({one.country for one in PRESETS.values()} & phonenumbers.SUPPORTED_REGIONS | {"PE", "UY", "EC"})


@each(
    "text, country, number, mended",
    [
        ("09 5550 1059", "CL", "+56955501059", Mend.TRUNK),
        ("0987654321", "CL", "+56987654321", Mend.TRUNK),
        ("02-23456789", "CL", "+56223456789", Mend.TRUNK),
        ("+56 (0) 9 5550 1049", "CL", "+56955501049", Mend.TRUNK),
        ("+56 09 5550 1049", "AR", "+56955501049", Mend.TRUNK),
        ("+560955501059", None, "+56955501059", Mend.TRUNK),
        ("560955501059", "CL", "+56955501059", Mend.TRUNK),
        ("0900003009", "CL", "+56900003009", Mend.TRUNK),
        ("(032) 212 3456", "CL", "+56322123456", Mend.TRUNK),
        ("+52 1 55 1234 5678", None, "+525512345678", Mend.TRUNK),
        ("044 55 1234 5678", "MX", "+525512345678", Mend.TRUNK),
        ("045 55 1234 5678", "MX", "+525512345678", Mend.TRUNK),
        ("01 (55) 1234-5678", "MX", "+525512345678", Mend.TRUNK),
        ("5215512345678", "MX", "+525512345678", Mend.TRUNK),
        ("03 300 123 4567", "CO", "+573001234567", None),
        ("(1) 234 5678", "CO", "+576012345678", Mend.OLD_PLAN),
        ("+57 1 234 5678", None, "+576012345678", Mend.OLD_PLAN),
        ("(034) 234 5678", "CO", "+576042345678", Mend.OLD_PLAN),
        ("011 15 2345 6789", "AR", "+5491123456789", None),
        ("02966 15 423456", "AR", "+5492966423456", None),
        ("+44 (0) 20 7946 0018", None, "+442079460018", None),
        ("+33 (0)6 12 34 56 78", None, "+33612345678", None),
        ("1 (202) 555-0123", "US", "+12025550123", None),
        ("p:+56955501059", "CL", "+56955501059", Mend.WORD),
        ("tel:+56955501059", "CL", "+56955501059", Mend.WORD),
        ("whatsapp:+56955501059", None, "+56955501059", Mend.WORD),
        ("+56955501059.0", "CL", "+56955501059", Mend.FRACTION),
        ("955501059,00", "CL", "+56955501059", Mend.FRACTION),
        ("0955501059.0", "CL", "+56955501059", Mend.TRUNK),
        ("9.55501085E8", "CL", "+56955501085", Mend.EXPONENT),
        ("\u202a+56 9 5550 1059\u202c", None, "+56955501059", None),
        ("+56\u00a09\u00a05550\u00a01059", None, "+56955501059", None),
        ("９ ５５５０ １０５９", "CL", "+56955501059", None),
        ("900000001", "CL", "+56900000001", None),
        ("(555) 555-0123", "US", "+15555550123", None),
        ("600 000 000", "ES", "+34600000000", None),
    ],
)
def test_a_text_becomes_the_one_number_that_it_can_only_mean(text, country, number, mended):
    reading = read_number(text, country)

    assert (reading.number, reading.mended, reading.refused) == (number, mended, None)
    if country is not None:
        assert NumberReader(country).read(text.strip("\u202a\u202c"), "telefono") == number


@each(
    "text, country, refused",
    [
        ("2 2555 1001-12", "CL", Refusal.TOO_MUCH),
        ("+56 2 2555 1001 5", None, Refusal.TOO_MUCH),
        ("9 5550 1059/3", "CL", Refusal.TOO_MUCH),
        ("2255-1001-12", "CR", Refusal.TOO_MUCH),
        ("tel:+56955509012;ext=12", None, Refusal.EXTENSION),
        ("+12025550123 #5", None, Refusal.EXTENSION),
        ("15 2345 6789", "AR", Refusal.AREA),
        ("15 234 5678", "AR", Refusal.TOO_SHORT),
        ("955501085.5", "CL", Refusal.FRACTION),
        ("+56955501085,25", "CL", Refusal.FRACTION),
        ("9.555E+8", "CL", Refusal.ROUNDED),
        ("0 612 345 678", "ES", Refusal.TOO_LONG),
        ("0612345678", "CL", None),
        ("55501059", "CL", Refusal.TOO_SHORT),
        ("call +56955501059", "CL", Refusal.LETTERS),
        ("955501059", None, Refusal.NO_COUNTRY),
        ("+570123456789", None, Refusal.LEADING_ZERO),
        ("", "CL", Refusal.NO_NUMBER),
    ],
)
def test_what_is_possible_and_no_number_is_refused_with_the_reason(text, country, refused):
    reading = read_number(text, country)

    assert reading.refused is refused
    if refused is not None:
        with pytest.raises(InvalidValue):
            to_e164(text, country)


@each("number", ["+560955501059", "+5622555100112", "+541523456789", "+5215512345678"])
def test_a_stored_number_that_is_none_is_never_learnt_as_one(number):
    with pytest.raises(InvalidValue):
        learn(number)


@each(
    "text, number, home, meaning",
    [
        ("955501059", "+56955501059", "CL", Meaning.SAME),
        ("612345678", "+34612345678", "CL", Meaning.SAME),
        ("612345678", "+56612345678", "CL", Meaning.SAME),
        ("+34612345678", "+56612345678", "CL", None),
        ("011 2345 6789", "+5491123456789", "AR", Meaning.SAME),
        ("11 2345 6789", "+5491123456789", "AR", Meaning.SAME),
        ("955501059.5", "+56955501059", "CL", Meaning.MAYBE),
        ("Ana 955501059", "+56955501059", "CL", Meaning.MAYBE),
        ("955501058 o 955501059", "+56955501059", "CL", Meaning.MAYBE),
        ("955501058", "+56955501059", "CL", None),
        ("223456789", "+34223456789", "CL", Meaning.SAME),
        ("nonsense", "+56955501059", "CL", None),
        ("", "+56955501059", "CL", None),
        ("09 5550 1059", "+560955501059", "CL", Meaning.SAME),
    ],
)
def test_an_entry_means_a_number_or_could(text, number, home, meaning):
    assert meaning_of(text, number, home) is meaning


# --- whatever the country -----------------------------------------------------------------------

def _spellings(number: phonenumbers.PhoneNumber, country: str) -> Iterator[str]:
    """As people of this country write it, and as others write it for them."""
    e164 = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    code, national = str(number.country_code), phonenumbers.national_significant_number(number)
    own = phonenumbers.PhoneMetadata.metadata_for_region(country, None)
    written = [phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL), national]
    yield from (e164, e164[1:], f"00{e164[1:]}", f"00 {code} {national}")
    yield from (phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL), f"tel:{e164}", f"p:{e164}")
    yield from (f"{e164}.0", f"{e164[1:]},00", f" {e164} ", f"whatsapp:{e164}")
    yield from written
    for text in written:
        yield from (text.replace(" ", sign) for sign in "-./")
    if own.national_prefix == "0" or country == "CL":
        yield from (f"0{national}", f"+{code} (0) {national}", f"+{code}0{national}", f"(0){national}")
    if country == "CL" and national[0] == "9":
        yield f"09{national[1:]}"
    if country == "AR" and national[0] == "9":
        local = phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL)
        yield from (local, local.replace("-", " "), national[1:])
    if country == "MX":
        yield from (f"{trunk} {national}" for trunk in ("1", "01", "044", "045"))
        yield f"+52 1 {national}"
    if country == "CO":
        yield f"03{national}" if national[0] == "3" else f"({national[2]}) {national[3:]}"


@cache
def _examples(country: str) -> tuple[str, ...]:
    kinds = (PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE)
    found = (phonenumbers.example_number_for_type(country, kind) for kind in kinds)
    return tuple(phonenumbers.format_number(one, PhoneNumberFormat.E164) for one in found if one)


@st.composite
def _numbers(draw: st.DrawFn) -> tuple[str, phonenumbers.PhoneNumber]:
    country = draw(st.sampled_from(COUNTRIES))
    like = draw(st.sampled_from(_examples(country)))
    number = phonenumbers.parse(like[:-4] + draw(st.text("0123456789", min_size=4, max_size=4)))
    assume(phonenumbers.is_valid_number_for_region(number, country))
    return country, number


@settings(max_examples=examples(150))
@given(_numbers())
def test_whichever_spelling_is_barred_all_are(drawn):
    country, number = drawn
    e164 = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    for text in _spellings(number, country):
        assert meaning_of(text.strip(), e164, country) is Meaning.SAME, text
        assert windows_of(text) & set(number_keys(e164)), text
        for other in (country, "CL"):  # whatever the installation's own country is
            assert meaning_of(text.strip(), e164, other) is Meaning.SAME, text
        written = read_number(text, country).number
        assert written is not None, text
        if country == "DE" and text.lstrip().startswith("49"):
            continue  # without a + it may be a number of a town, too
        assert written == e164 or (country == "AR" and "+549" + written[3:] == e164), text


@settings(max_examples=examples(100))
@given(_numbers(), st.data())
def test_the_tables_find_by_their_key_what_the_program_reads_or_say_that_they_cannot_tell(drawn, data):
    country, number = drawn
    e164 = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    text = data.draw(st.sampled_from(list(_spellings(number, country))))
    reading, key = _computed(text)
    assert reading == 2 or key in number_keys(e164), text


@settings(max_examples=examples(200))
@given(st.text("0123456789 -./()+x", max_size=32))
@example("2 2555 1001-12")
@example("955501085.5")
@example("")
@example("٥٥٥")
def test_any_text_has_a_key_and_is_read_or_refused(text):
    reading, _ = _computed(text)
    assert reading in (1, 2)
    result = read_number(text, "CL")
    assert (result.number is None) is (result.refused is not None)
    if result.number is not None:
        assert read_number(result.number, None).number == result.number
        assert reading == 2 or set(number_keys(result.number)) & {_computed(text)[1]}


_engine = sqlite3.connect(":memory:")


def _computed(text: str) -> tuple[int, str]:
    """What the tables say of an entry that nobody has read."""
    columns = [str(do_not_call.c[name].computed.sqltext) for name in ("reading", "number_key")]
    asked = f"SELECT {', '.join(columns)} FROM (SELECT ? AS telefono, NULL AS read_text, NULL AS read_as)"
    return _engine.execute(asked, (text,)).fetchone()
