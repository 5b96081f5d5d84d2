"""Rows of one person: who is one, what is added up, and who is never put together."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from scheduler.rules.headers import read_header
from scheduler.rules.people import People, read_amount, read_identity
from scheduler.rules.rows import NewLead, Reject, RowJudge, Verdict
from tests.each import each


@each(("cell", "identity"), [
    ("12.345.678-5", "123456785"), ("012345678-5", "123456785"), (" 7.654.321-k ", "7654321K"),
    ("X1234567L", "X1234567L"),
    ("0", None), ("", None), ("S/N", None), ("-", None), ("11.111.111-1", None), ("99999999", None), ("1234", None),
    ("1,23457E+11", None), ("2.1E+10", None), ("#N/A", None),
])  # fmt: skip
def test_an_identity_is_what_tells_people_apart(cell, identity):
    assert read_identity(cell) == identity


@each(("cell", "amount"), [
    ("100", "100"), ("$ 12.500", "12500"), ("1.234.567", "1234567"), ("1.234,56", "1234.56"), ("12,500", "12500"),
    ("1,234,567.8", "1234567.8"), ("99.9", "99.9"), ("99,90", "99.90"), ("1234.567", "1234.567"), ("-5.000", "-5000"),
    ("CLP 300", "300"), ("€ 12", "12"), ("", None), ("mil", None), ("1.23.4", None), ("1e5", None), ("٣", None),
    ("9" * 16, None),
])  # fmt: skip
def test_an_amount_is_read_as_people_write_it(cell, amount):
    assert read_amount(cell) == (None if amount is None else Decimal(amount))


def test_rows_of_one_person_become_one_lead_with_sums_numbers_and_a_count():
    made, rejects = gather(
        "nombre,telefono,RUT,monto_deuda,producto,fecha_limite",
        ",+56911111111,12.345.678-5,$ 12.500,cocina,2027-02-01",
        "Luz,+56922222222,9.876.543-2,7,otro,",
        "Ana,+56933333333,12345678-5,500,mesa,2027-01-15",
        "Ana,+56911111111,12345678-5,,silla,",
    )

    ana, luz = made
    assert [one.number for one in ana.numbers] == ["+56911111111", "+56933333333"]
    assert (ana.first_name, str(ana.call_until)) == ("Ana", "2027-01-15")
    assert ana.variables == {"RUT": "12.345.678-5", "monto_deuda": "13000", "producto": "cocina", "cantidad": "3"}
    assert luz.variables == {"RUT": "9.876.543-2", "monto_deuda": "7", "producto": "otro", "cantidad": "1"}
    assert [(one.line, one.verdict) for one in rejects] == [(4, Verdict.MERGED), (5, Verdict.MERGED)]


def test_a_bill_whose_row_has_no_usable_phone_is_owed_all_the_same():
    (ana,), rejects = gather(
        "telefono,rut,saldo", "12,12345678-5,100", "+56911111111,12345678-5,50", ",12345678-5,25.5",
    )  # fmt: skip

    assert (ana.line, ana.variables["saldo"], ana.variables["cantidad"]) == (3, "175.5", "3")
    assert [(one.line, one.verdict) for one in rejects] == [
        (2, Verdict.MERGED), (2, Verdict.GOOD), (4, Verdict.MERGED), (4, Verdict.GOOD),
    ]
    assert rejects[1].reason == "warning: it counts with line 3, without this: it has too few digits"


def test_people_who_share_a_phone_or_a_placeholder_stay_apart():
    made, _ = gather(
        "telefono,rut,monto", "+56911111111,12345678-5,1", "+56911111111,8765432-1,2", "+56922222222,S/N,3",
        "+56933333333,S/N,4", "+56922222222,,5",
    )  # fmt: skip

    assert [(one.line, one.variables["monto"]) for one in made] == [(2, "1"), (3, "2"), (4, "8"), (5, "4")]


def test_without_a_usable_row_nobody_is_made_and_every_row_says_why():
    made, rejects = gather("telefono,rut,monto", "12,12345678-5,1", "13,12345678-5,2")

    assert made == []
    assert [(one.line, one.verdict) for one in rejects] == [(2, Verdict.BAD), (3, Verdict.BAD)]


def test_what_is_no_amount_is_not_added_up_and_is_said():
    (ana,), rejects = gather("telefono,rut,monto", "+56911111111,12345678-5,100", "+56911111111,12345678-5,doce")

    assert ana.variables["monto"] == "100"
    assert [one.reason for one in rejects if one.verdict is Verdict.GOOD] == [
        "warning: not an amount, so line 2 keeps monto as its own row has it"
    ]


def test_a_column_of_the_file_that_is_called_cantidad_is_left_as_it_is():
    (ana,), _ = gather("telefono,rut,Cantidad", "+56911111111,12345678-5,9", "+56911111111,12345678-5,1")
    assert ana.variables["Cantidad"] == "9" and "cantidad" not in ana.variables


def test_a_row_with_cells_too_many_belongs_to_nobody():
    """Its cells have moved: what stands where the RUT stands may be anything."""
    made, rejects = gather("telefono,rut,monto", "+56911111111,12345678-5,1", "+56911111111,12345678-5,1,000")
    assert [one.variables["monto"] for one in made] == ["1"]
    assert [(one.line, one.verdict) for one in rejects] == [(3, Verdict.BAD)]


def gather(header: str, *lines: str) -> tuple[list[NewLead], list[Reject]]:
    columns = read_header(header.split(","))
    judge = RowJudge(columns, default_country="CL")
    people = People(columns)
    rows: Sequence[NewLead | Reject] = [judge.judge(line, text.split(",")) for line, text in enumerate(lines, 2)]
    people.add(rows)
    return people.leads()
