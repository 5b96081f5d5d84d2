"""What people say of columns, and what it means beside the names that are recognised."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.errors import InvalidValue
from scheduler.rules.headers import Columns, HeaderWishes, names_a_phone, read_header, read_map
from tests.each import each


def test_a_mapped_column_goes_before_one_that_is_recognised() -> None:
    columns = read(["Teléfono", "Celular", "Nombre Completo", "nombre"], "phone=celular", "first_name=NOMBRE COMPLETO")
    assert columns.phones == (1,) and columns.first_name == 2
    assert columns.variable_names == ("Teléfono", "nombre"), "what another column took becomes a variable"


def test_several_phones_are_mapped_in_their_order() -> None:
    assert read(["Fijo", "Celular"], "phone2=Fijo", "telefono=Celular").phones == (1, 0)


def test_a_column_is_given_to_the_agent_under_another_name() -> None:
    columns = read(["telefono", "Monto $", "RUT"], "variable:deuda=Monto $")
    assert columns.variables == (1, 2) and columns.variable_names == ("deuda", "RUT")


def test_a_variable_that_is_needed_gets_the_name_under_which_it_is_needed() -> None:
    columns = read_header(["telefono", "Monto Deuda"], HeaderWishes(required=("monto_deuda",)))
    assert columns.variable_names == ("monto_deuda",)
    assert (columns.find("monto_deuda"), columns.find("Nombre"), columns.find("monto")) == (1, None, None)
    assert read_header(["nombre", "telefono"]).find("nombre") == 0


@each("header", ["Fono", "cel", "Teléfono Móvil", "Phone Number", "WhatsApp", "fono 1"])
def test_more_names_of_a_phone(header: str) -> None:
    assert read_header(["nombre", header]).phones == (1,)


@each("header", ["RUT", "documento", "nota"])
def test_papers_and_notes_are_variables(header: str) -> None:
    assert read_header(["telefono", header]).variable_names == (header,)


@each(
    ("options", "why"),
    [
        (["phone"], "write FIELD=HEADER"),
        (["=Celular"], "write FIELD=HEADER"),
        (["phone="], "write FIELD=HEADER"),
        (["variable:=Celular"], "there is no field variable:"),
        (["colour=Celular"], "there is no field colour; the fields are phone, phone2, first_name"),
        (["phone=Celular", "telefono=Fono"], "telefono is mapped to Celular already"),
        (["phone=Celular", "phone2=celular"], "mapped twice"),
    ],
)
def test_a_map_that_says_nothing_or_two_things_is_refused(options: list[str], why: str) -> None:
    with pytest.raises(InvalidValue, match=why):
        read_map(options)


@each(
    ("headers", "options", "why"),
    [
        (["telefono"], ["email=Correo"], "there is no such column; the columns are telefono"),
        (["telefono", "Monto", "monto"], ["variable:x=Monto"], "two columns have this name"),
        (["telefono", "Monto", "deuda"], ["variable:deuda=Monto"], "two columns have this name"),
        (["nombre", "Contacto"], [], "--map phone=HEADER"),
    ],
)
def test_a_map_that_does_not_fit_the_header_is_refused(headers: list[str], options: list[str], why: str) -> None:
    with pytest.raises(InvalidValue, match=why):
        read(headers, *options)


def test_a_header_is_told_from_titles() -> None:
    assert names_a_phone(["Nombre", "Teléfono"]) and names_a_phone(["phone 2"])
    assert not names_a_phone(["Lista de teléfonos", "2026"]) and not names_a_phone([])
    assert names_a_phone(["Contacto"], HeaderWishes(read_map(["phone=contacto"])))


@given(st.lists(st.text(max_size=12), max_size=8), st.lists(st.text(max_size=20), max_size=4))
def test_any_map_and_header_are_read_or_refused(headers: list[str], options: list[str]) -> None:
    try:
        columns = read(headers, *options)
    except InvalidValue:
        return
    assert len(columns.variable_names) == len(columns.variables) and columns.phones


def read(headers: list[str], *options: str) -> Columns:
    return read_header(headers, HeaderWishes(read_map(options)))


@each("header", [
    "N° Teléfono", "Nº móvil", "Nro. Celular", "No. Telefónico", "Tel. celular", "Número de celular", "Fono contacto",
    "Teléfono de contacto", "Telefono principal", "Teléfono Cliente", "Contact Number", "Número de contacto", "numero",
    "Celular deudor",
])
def test_the_phone_is_recognised_in_what_people_write_around_it(header):
    assert read_header(["Nombre", header]).phones == (1,)


@each("header", ["numero de cliente", "numero", "N° teléfono", "telefonista", "movilidad"])
def test_other_columns_are_not_taken_for_phones(header):
    assert read_header(["telefono", header]).phones == (0,)


@each("header", [
    "Tlf", "Tfno.", "Telf.", "to_number", "Fono Fijo", "TLF.", "Tfno", "Tel. fijo", "Teléfono de casa", "Home phone",
    "Work Phone", "Teléfono oficina", "Otro teléfono", "Landline", "Mobile number", "Número de teléfono", "Tlf. móvil",
    "Número celular", "MSISDN", "Cell phone number",
])
def test_phones_as_people_shorten_and_qualify_them(header):
    assert read_header(["Nombre", header]).phones == (1,)


@each(("headers", "phones"), [
    (["Teléfono fijo", "Teléfono móvil"], (1, 0)),
    (["Fijo", "Móvil"], (1, 0)),
    (["telefono", "Fono Fijo", "telefono2"], (0, 2, 1)),
    (["Teléfono", "Teléfono casa", "Teléfono trabajo", "Otro teléfono"], (0, 1, 2, 3)),
    (["N° Teléfono", "Teléfono fijo"], (0, 1)),
    (["Home phone", "Work phone", "Mobile phone"], (2, 0, 1)),
    (["Tlf fijo", "Tlf trabajo"], (0, 1)),
    (["Celular 1", "Fijo 1", "Celular 2", "Fijo 2"], (0, 2, 1, 3)),
])
def test_phones_of_another_kind_stand_beside_a_plain_one_and_are_dialed_after_it(headers, phones):
    assert read_header(headers).phones == phones


@each("header", [
    "Fijo", "Número casa", "Teléfono referencia", "Teléfono aval", "Teléfono del cónyuge", "from_number", "Casa",
])
def test_what_is_nobodys_phone_or_somebody_elses_is_none(header):
    with pytest.raises(InvalidValue, match="a column telefono"):
        read_header(["Nombre", header])


def test_where_people_named_the_phones_no_other_is_added():
    assert read(["Fono fijo", "Celular"], "phone=Celular").phones == (1,)


def test_the_same_kind_twice_is_still_a_question():
    with pytest.raises(InvalidValue, match="the same phone"):
        read_header(["Teléfono fijo", "telefono fijo"])


def test_a_row_with_a_number_in_it_is_no_header_although_a_cell_of_it_names_a_phone():
    assert names_a_phone(["Nombre", "Contacto", "tipo", "celular"])
    assert not names_a_phone(["Ana", "+56 9 5550 0101", "celular"])
    assert not names_a_phone(["Ana", "ana@example.com", "celular"])
    assert names_a_phone(["telefono", "30", "60", "2026"]), "buckets of days are names"
    assert names_a_phone(["telefono", "Saldo al 31/12/2026", "2026-12-01", "Folio 1234567 (anterior)"])
    assert not names_a_phone(["12.345.678-K", "Cel. 912345678", "celular"])


def test_a_header_of_very_many_columns_is_refused_at_once():
    began = time.monotonic()
    with pytest.raises(InvalidValue, match=r"100,001 columns.*at most 1,000 columns"):
        read_header(["telefono", *(f"c{at}" for at in range(100_000))])
    with pytest.raises(InvalidValue, match=r"there is no such column; the columns are .* and 988 more"):
        read([f"c{at}" for at in range(1000)], "phone=Celular")
    read_header(["telefono", *(f"c{at}" for at in range(999))])
    assert time.monotonic() - began < 2
