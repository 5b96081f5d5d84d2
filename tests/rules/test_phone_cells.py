"""Phone cells with several numbers and words around them, and numbers that no call may go to."""

from __future__ import annotations

import phonenumbers
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scheduler.errors import InvalidValue
from scheduler.rules.cells import ERROR_CELLS
from scheduler.rules.phone_cells import Destinations, NumberReader
from scheduler.rules.phones import may_be_dialed, to_e164
from tests.each import each
from tests.examples import examples

CHILE = NumberReader("CL")


@each(
    ("cell", "parts"),
    [
        ("912345678", ["912345678"]),
        ("912345678 / 987654321", ["912345678", "987654321"]),
        ("912345678/987654321", ["912345678", "987654321"]),
        ("+56 9 1234 5678; +56 2 2345 6789;", ["+56 9 1234 5678", "+56 2 2345 6789"]),
        ("912345678,987654321", ["912345678", "987654321"]),
        ("912345678 | 987654321", ["912345678", "987654321"]),
        ("912345678\r\n987654321", ["912345678", "987654321"]),
        ("912345678 o 987654321", ["912345678", "987654321"]),
        ("912345678 ::: 987654321", ["912345678", "987654321"]),
        ("912345678:::987654321 ::: 223456789", ["912345678", "987654321", "223456789"]),
        ("912345678 ó 987654321", ["912345678", "987654321"]),
        ("912345678 Ó 987654321", ["912345678", "987654321"]),
        ("912345678 y/o 987654321", ["912345678", "987654321"]),
        ("912345678 and 987654321", ["912345678", "987654321"]),
        ("912345678 u 887654321", ["912345678", "887654321"]),
        ("912345678 & 987654321", ["912345678", "987654321"]),
        ("+56912345678 +56987654321", ["+56912345678", "+56987654321"]),
        ("+56 9 1234 5678\t+56 9 8765 4321", ["+56 9 1234 5678", "+56 9 8765 4321"]),
        ("912345678 - 987654321", ["912345678", "987654321"]),
        ("912345678 – 987654321", ["912345678", "987654321"]),
        ("912345678 • 987654321", ["912345678", "987654321"]),
        ("9 - 1234 - 5678", ["9 - 1234 - 5678"]),
        ("2 2345 6789 - 12", ["2 2345 6789 - 12"]),
        ("912345678 (casa/trabajo)", ["912345678"]),
        ("Cel. 912345678 (mamá) / Fono: 987654321", ["912345678", "Fono: 987654321"]),
        ("600/123/4567", ["600/123/4567"]),
        ("022/3456789", ["022/3456789"]),
        ("56912345678,0", ["56912345678,0"]),
        ("9,12345678E+8", ["9,12345678E+8"]),
    ],
)
def test_the_numbers_of_a_cell_are_told_apart(cell: str, parts: list[str]) -> None:
    assert list(CHILE.split(cell)) == parts


@each(
    ("cell", "number"),
    [
        ("+56 9 1234 5678 (casa)", "+56912345678"),
        ("Tel.: 912345678", "+56912345678"),
        ("teléfono 912345678", "+56912345678"),
        ("912345678 - casa", "+56912345678"),
        ("912345678 WhatsApp", "+56912345678"),
        ("’912345678", "+56912345678"),
        ("\u202a+56 9 1234 5678\u202c", "+56912345678"),
        ("600/123/4567", "+566001234567"),
    ],
)
def test_words_and_marks_around_a_number_are_taken_off(cell: str, number: str) -> None:
    (part,) = CHILE.split(cell)
    assert CHILE.read(part, "telefono") == number


@each(
    ("cell", "why"),
    [
        ("22345678/79", "two numbers"),
        ("2234567/8", "two numbers"),
        ("912345678 (anexo 12)", "letters"),
        ("912345678 Pedro", "letters"),
        ("telmex 912345678", "letters"),
        ("2026-12-24", "reads like a date"),
        ("2026-12-24T09:30", "reads like a date"),
        *((word, ERROR_CELLS[word]) for word in ("#N/A", "#REF!", "#FORMULA!", "#N/D")),
    ],
)
def test_what_would_have_to_be_guessed_is_refused(cell: str, why: str) -> None:
    (part,) = CHILE.split(cell)
    with pytest.raises(InvalidValue, match=why):
        CHILE.read(part, "telefono")


@each("cell", ["9" * 300, "9" + " " * 100_000 + "9", "(" * 100_000, "1-" * 50_000, "a/" * 50_000])
def test_a_very_long_cell_is_refused_at_once(cell: str) -> None:
    (part,) = CHILE.split(cell)
    with pytest.raises(InvalidValue, match="too many for a phone number"):
        CHILE.read(part, "telefono")


@given(st.text(max_size=60))
def test_any_cell_is_split_and_every_part_read_or_refused(cell: str) -> None:
    for part in CHILE.split(cell):
        try:
            assert CHILE.read(part, "telefono").startswith("+")
        except InvalidValue as error:
            assert error.right


_codes = st.sampled_from(sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE))
_allowed = st.sampled_from([(), ("CL",), ("US",), ("CL", "ES", "GB"), ("KZ",)])


@settings(max_examples=examples(100))
@given(_codes, st.text("0123456789", min_size=6, max_size=11), _allowed)
@example(34, "803456789", ())
@example(34, "901456789", ("ES",))
@example(881, "612345678", ())
@example(44, "7624123456", ("GB",))
@example(1, "9002345678", ())
@example(7, "7012345678", ("KZ",))
def test_a_destination_is_refused_exactly_when_the_close_look_refuses_it(
    code: int, national: str, allowed: tuple[str, ...]
) -> None:
    try:
        number = to_e164(f"+{code}{national}", None)
    except InvalidValue:
        return  # it is no number, so nobody asks
    assert Destinations(allowed).why_not(number) == may_be_dialed(number, allowed)
