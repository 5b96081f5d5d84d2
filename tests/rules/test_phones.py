from __future__ import annotations

import phonenumbers
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from phonenumbers import PhoneNumberType
from phonenumbers import timezone as phone_zones

from scheduler.errors import InvalidValue
from scheduler.rules.phones import is_e164, learn, may_be_dialed, to_e164
from tests.each import each

MANY_ZONES = "+34600000001"  # a Spanish mobile: the peninsula or the Canaries


@each(
    "text, country, number",
    [
        ("+56912345678", None, "+56912345678"),
        ("+56 9 1234 5678", "AR", "+56912345678"),
        ("9 1234 5678", "CL", "+56912345678"),
        ("(600) 000-001", "ES", "+34600000001"),
        ("0034 600 000 001", "ES", "+34600000001"),
        ("011 15-2345-6789", "AR", "+5491123456789"),
        ("(202) 555-0123", "US", "+12025550123"),
        ("55 1234 5678", "MX", "+525512345678"),
        ("  300 1234567 ", "CO", "+573001234567"),
    ],
)
def test_a_number_is_written_in_one_form(text, country, number):
    assert to_e164(text, country) == number


@each(
    "text, country, wrong",
    [
        ("", "CL", "not a phone number"),
        ("call me", "CL", "letters"),
        ("---", "CL", "not a phone number"),
        ("912345678", None, "no known country code"),
        ("+999 123 456 789", "CL", "country code"),
        ("123", "CL", "too few digits"),
        ("+56 9 1234 5678 9012 345", "CL", "too many digits"),
        ("555-0123", "US", "area code is missing"),
        ("+12025550123 ext. 5", "US", "letters"),
        ("+12025550123 #5", "US", "extension"),
    ],
)
def test_what_is_no_number_is_refused_and_says_why(text, country, wrong):
    with pytest.raises(InvalidValue, match=wrong) as refusal:
        to_e164(text, country)

    assert refusal.value.field == "telefono"


@each(
    "number, good",
    [
        ("+56912345678", True), ("+1234567", True), ("+123456789012345", True), ("+123456", False),
        ("+1234567890123456", False), ("56912345678", False), ("+0123456789", False), ("+56 912345678", False),
        ("+56912345678\n", False), ("+٥٦٩١٢٣٤٥٦٧٨", False), ("", False), (None, False),
    ],
)  # fmt: skip
def test_only_plus_and_seven_to_fifteen_digits_can_be_dialed(number, good):
    assert is_e164(number) is good


@each(
    "number, country, zones",
    [
        ("+56912345678", "CL", {"America/Santiago"}),
        ("+34911234567", "ES", {"Europe/Madrid"}),
        (MANY_ZONES, "ES", {"Europe/Madrid", "Atlantic/Canary"}),
        ("+12025550123", "US", {"America/New_York"}),
        ("+13105550123", "US", {"America/Los_Angeles"}),
        ("+573001234567", "CO", {"America/Bogota"}),
    ],
)
def test_a_number_tells_its_country_and_every_zone_it_may_ring_in(number, country, zones):
    facts = learn(number)

    assert (facts.country, set(facts.zones)) == (country, zones)


def test_a_number_without_a_place_names_no_zone():
    assert learn("+888123456789").zones == ()


@each("number", ["912345678", "", "+56 9", "+999123456789"])
def test_facts_are_asked_of_international_numbers_alone(number):
    with pytest.raises(InvalidValue):
        learn(number)


@each(
    "number, kind, problem",
    [
        (MANY_ZONES, "mobile", None),
        ("+12025550123", "fixed_or_mobile", None),
        ("+34803456789", "premium_rate", "it is a premium-rate number"),
        ("+881612345678", "mobile", "its code belongs to no country, and such calls are dear"),
    ],
)
def test_a_number_tells_its_kind_of_line_and_why_it_is_never_dialed(number, kind, problem):
    facts = learn(number)

    assert facts.line == kind
    assert may_be_dialed(number) == problem


_codes = st.sampled_from(sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE))


@settings(max_examples=400)
@given(_codes, st.text("0123456789", min_size=4, max_size=12))
@example(54, "91123456789")
@example(52, "15512345678")
@example(39, "0612345678")
@example(44, "7624123456")
@example(1, "8005550123")
@example(7, "7012345678")
@example(800, "12345678")
@example(216, "30010123")
def test_what_is_learnt_at_once_is_what_the_library_tells_question_by_question(code, national):
    number = f"+{code}{national}"
    try:
        parsed = phonenumbers.parse(number)
        facts = learn(number)
    except (phonenumbers.NumberParseException, InvalidValue):
        return

    zones = [one for one in phone_zones.time_zones_for_number(parsed) if one != "Etc/Unknown"]
    by_prefix = [one for one in phone_zones.time_zones_for_geographical_number(parsed) if one != "Etc/Unknown"]
    kind = PhoneNumberType.to_string(phonenumbers.number_type(parsed)).lower()
    own = {"fixed_line": "fixed", "fixed_line_or_mobile": "fixed_or_mobile", "personal_number": "personal"}
    own["uan"] = "company"
    region = phonenumbers.region_code_for_number(parsed)
    if region in (None, "001"):
        main = phonenumbers.region_code_for_country_code(code)
        region = main if main not in ("ZZ", "001") else None
    assert facts.country == region
    assert facts.line == own.get(kind, kind)
    assert list(facts.zones) == (zones or by_prefix)
