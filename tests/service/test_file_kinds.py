"""Files as programs and people save them: what is read as it was meant, what is said of it, and what is refused."""

from __future__ import annotations

import io
import tempfile
import time
import tracemalloc
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.errors import InvalidValue
from scheduler.rules.conventions import Survey
from scheduler.rules.headers import NO_WISHES, Columns, HeaderWishes
from scheduler.rules.people import People
from scheduler.rules.rows import NewLead, Reject, RowJudge
from scheduler.service.csv_files import CsvFile
from scheduler.service.imports import _open_source
from scheduler.service.sources import Look, Source
from scheduler.service.spreadsheets import Spreadsheet
from tests.each import each
from tests.examples import examples

# --- CSV: the delimiter and the header ------------------------------------------------------------


@each(("content", "headers", "first"), [
    ("Teléfono;Monto (capital, interés, mora)\n+56 9 5550 0103;1500\n",
     ("Teléfono", "Monto (capital, interés, mora)"), ["+56 9 5550 0103", "1500"]),
    ("telefono,Nota (a;b;c;d)\n1,x\n", ("telefono", "Nota (a;b;c;d)"), ["1", "x"]),
    ("telefono|a, b|c; d\n1|x|y\n", ("telefono", "a, b", "c; d"), ["1", "x", "y"]),
    ("telefono\ta, b; c, d\n1\tx\n", ("telefono", "a, b; c, d"), ["1", "x"]),
    ("nombre;telefono;monto\nAna;1;1500,50\nEva;2;3,5\n", ("nombre", "telefono", "monto"), ["Ana", "1", "1500,50"]),
    ("telefono\n1;2\n", ("telefono",), ["1;2"]),
    ("nombre;telefono;;\nAna;1;;\n", ("nombre", "telefono"), ["Ana", "1"]),
    ("nombre,telefono,,,,\nAna,1,,,,\n", ("nombre", "telefono"), ["Ana", "1"]),
    ("nombre;telefono\nAna;1;;;\n", ("nombre", "telefono"), ["Ana", "1"]),
    (";nombre;telefono\n;Ana;1\n", ("nombre", "telefono"), ["Ana", "1"]),
    ("Cartera diciembre;;\n;;\nnombre;telefono;deuda\nAna;1;5\n", ("nombre", "telefono", "deuda"), ["Ana", "1", "5"]),
    ("Cartera, de deudores, de 2026\nnombre;telefono\nAna;1\n", ("nombre", "telefono"), ["Ana", "1"]),
    ("Informe\n\n\nGenerado el;01/12/2026\nnombre;telefono\nAna;1\n", ("nombre", "telefono"), ["Ana", "1"]),
    ("sep=;\nCartera\nnombre;telefono\nAna;1\n", ("nombre", "telefono"), ["Ana", "1"]),
    ("sep=|\nnombre;x|telefono\nAna|1\n", ("nombre;x", "telefono"), ["Ana", "1"]),
    ('nombre;telefono;nota\n"Ana\nRivas";1;"a;b"\n', ("nombre", "telefono", "nota"), ["Ana\nRivas", "1", "a;b"]),
    ('"nombre, completo";"telefono"\n"Rivas, Ana";"1"\n', ("nombre, completo", "telefono"), ["Rivas, Ana", "1"]),
    ('"nombre", "apellidos", "telefono"\n"Ana", "Soto, Díaz", "1"\n', ("nombre", "apellidos", "telefono"),
     ["Ana", "Soto, Díaz", "1"]),
    ('nombre,telefono\nAna "la Negra" Soto,1\n', ("nombre", "telefono"), ['Ana "la Negra" Soto', "1"]),
    ("Datos;;Contacto\nnombre;apellidos;telefono\nAna;Soto;1\n", ("nombre", "apellidos", "telefono"),
     ["Ana", "Soto", "1"]),
    ("nombre;contacto;tipo\nAna;+56 9 5550 0103;celular\n", None, None),
    ("nombre;telefono\r\nAna;1\r\n\r\n;;\r\n", ("nombre", "telefono"), ["Ana", "1"]),
    ("nombre;telefono\rAna;1\rEva;2\r", ("nombre", "telefono"), ["Ana", "1"]),
])  # fmt: skip
def test_the_delimiter_is_the_one_that_fits_header_and_rows(tmp_path_factory, content, headers, first):
    path = tmp_path_factory.mktemp("csv") / "leads.csv"
    path.write_text(content, encoding="utf-8", newline="")
    if headers is None:
        with pytest.raises(InvalidValue, match="a column telefono"):
            read(csv_file(path))
        return
    columns, records, _ = read(csv_file(path))
    assert (columns.headers, records[0][1]) == (headers, first)


@each(("encoding", "assumed"), [
    ("utf-8", None), ("utf-8-sig", None), ("utf-16", "utf-16"), ("utf-16-le", "utf-16-le"), ("utf-16-be", "utf-16-be"),
    ("cp1252", "cp1252"), ("latin-1", "cp1252"),
])
def test_the_encoding_is_recognised_and_said(tmp_path_factory, encoding, assumed):
    path = tmp_path_factory.mktemp("csv") / "leads.csv"
    path.write_text("nombre;teléfono\nMuñoz;1\n", encoding=encoding)
    _, records, source = read(csv_file(path))
    assert records == [(2, ["Muñoz", "1"])]
    assert [one.value for one in source.assumptions if one.what == "encoding"] == ([assumed] if assumed else [])


def test_a_file_that_is_half_utf_8_is_no_old_windows_file(tmp_path):
    path = tmp_path / "leads.csv"
    path.write_bytes("nombre;telefono\nMuñoz;1\n".encode() + b"Pe\xf1a;2\n")
    with pytest.raises(InvalidValue, match=r"byte 27 .line 3. is not utf-8; name its encoding"):
        read(csv_file(path))


def test_what_people_say_of_a_csv_goes_before_what_is_recognised(tmp_path):
    path = tmp_path / "leads.csv"
    path.write_text("telefono;x\nnombre;telefono\nAna;1\n", encoding="utf-8")
    columns, records, source = read(csv_file(path), HeaderWishes(header_row=2))
    assert (columns.headers, records) == (("nombre", "telefono"), [(3, ["Ana", "1"])])
    assert [one.what for one in source.assumptions] == ["delimiter"]
    columns, _, source = read(CsvFile(path, encoding="utf-8", delimiter="semicolon"), HeaderWishes(header_row=2))
    assert source.assumptions == ()
    with pytest.raises(InvalidValue, match=r"header row: 9 .* no row that is not empty begins on this line"):
        read(csv_file(path), HeaderWishes(header_row=9))


def test_what_was_assumed_of_a_csv_is_said_with_its_reason(tmp_path):
    path = tmp_path / "leads.csv"
    path.write_text("Cartera\nnombre;telefono;;\nAna;1;;x\nEva;2;a;b;c\n", encoding="utf-8")
    _, _, source = read(csv_file(path))
    said = {one.what: (one.value, one.because, one.option) for one in source.assumptions}
    assert said["header_row"] == ("2", "1 above it are titles", "header_row")
    assert said["delimiter"][0] == "semicolon" and "2 columns of the header" in said["delimiter"][1]
    assert source.notes == ("columns without a name in the header were passed over: 3, 4",)


def test_a_row_with_more_than_the_header_names_is_refused_by_itself(tmp_path):
    path = tmp_path / "leads.csv"
    path.write_text("nombre;telefono;\nAna;912345678;\nEva;912345679;;Soto\n", encoding="utf-8")
    columns, records, _ = read(csv_file(path))
    ana, eva = (RowJudge(columns, default_country="CL").judge(*record) for record in records)
    assert isinstance(ana, NewLead)
    assert isinstance(eva, Reject) and (eva.line, eva.field) == (3, "row")


# --- how much of a file is read before it is refused -----------------------------------------------


@each(("content", "why"), [
    ("telefono," + ",".join(f"column_{at}" for at in range(40_000)) + "\n1\n", r"at most 1,000 columns"),
    ("telefono" + "," * 200_000 + "\n1\n", None),
    ("telefono," + ",".join(f"c{at}" for at in range(400_000)) + "\n1\n", "a row of more than 1,000,000 characters"),
    ("telefono;x\n" + "1;" + "\"\n\";" * 400_000 + "\n", "a row of more than 1,000,000 characters"),
    ("x" * 3_000_000, "a row of more than 1,000,000 characters"),
])
def test_a_file_of_very_many_columns_is_refused_before_they_are_read(tmp_path_factory, content, why):
    path = tmp_path_factory.mktemp("csv") / "leads.csv"
    path.write_text(content, encoding="utf-8")
    began = time.process_time()
    tracemalloc.start()
    try:
        if why is None:
            assert read(csv_file(path))[0].headers == ("telefono",), "what is empty everywhere says nothing"
        else:
            with pytest.raises(InvalidValue, match=why):
                read(csv_file(path))
        assert tracemalloc.get_traced_memory()[1] < 100_000_000
    finally:
        tracemalloc.stop()
    assert time.process_time() - began < 5


def test_a_row_of_very_many_cells_is_rejected_without_them(tmp_path):
    path = tmp_path / "leads.csv"
    path.write_text("telefono;nombre\n1;Ana\n" + "2;" + "x;" * 2000 + "x\n", encoding="utf-8")
    _, records, _ = read(csv_file(path))
    assert records[1] == Reject(3, "row", "", "it has 2,002 cells, and a file has at most 1,000 columns")


def test_a_workbook_of_very_many_columns_is_refused(tmp_path):
    book = openpyxl.Workbook()
    book.active.append(["telefono", *(f"c{at}" for at in range(5000))])
    book.active.append([1])
    began = time.process_time()
    with pytest.raises(InvalidValue, match="5,001 columns"):
        read(save(book, tmp_path))
    assert time.process_time() - began < 5


PIECES = st.sampled_from([
    "telefono", "nombre", ";", ",", "\t", "|", "\n", "\r\n", "\r", '"', "sep=;", "+56912345678", "celular", " ",
    "\ufeff", "ñ", "1.500", "03/04/2027", "fecha_limite", "monto", "\x00", "line,field,value,reason", "🙂", "'", "=1+1",
])  # fmt: skip


@settings(max_examples=examples(150))
@given(st.lists(PIECES, max_size=25).map("".join), st.sampled_from(["utf-8", "utf-16", "cp1252", "utf-16-le"]))
def test_any_text_is_read_or_refused_in_a_sentence(content: str, encoding: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "leads.csv"
        path.write_bytes(content.encode(encoding, "replace"))
        try:
            columns, records, survey = surveyed(csv_file(path), sums=True)
        except InvalidValue as error:
            assert "\n" not in str(error)
            return
    conventions, _ = survey.conclude()
    judge = RowJudge(columns, default_country="CL", orders=conventions.orders)
    people = People(columns, conventions.marks)
    people.add(one if isinstance(one, Reject) else judge.judge(*one) for one in records)
    people.leads()


# --- workbooks ------------------------------------------------------------------------------------


@each(("rows", "headers", "phones"), [
    ([["Datos personales", None, "Teléfono", None, "Deuda"], ["Nombre", "Apellidos", "Fijo", "Móvil", "Monto"],
      ["Ana", "Rivas", 1, 2, 3]], ("Nombre", "Apellidos", "Fijo", "Móvil", "Monto"), (3, 2)),
    ([["Nombre", "RUT", "Teléfonos", None], [None, None, "Fijo", "Móvil"], ["Ana", "1-9", 1, 2]],
     ("Nombre", "RUT", "Fijo", "Móvil"), (3, 2)),
    ([["Teléfono", "Nombre", "Monto"], ["(con código)", "(completo)", "(CLP)"], [1, "Ana", 3]],
     ("Teléfono", "Nombre", "Monto"), (0,)),
    ([["Nombre", "Teléfono", "Teléfono"], [None, "Fijo", "Móvil"], ["Ana", 1, 2]], ("Nombre", "Fijo", "Móvil"), (2, 1)),
    ([["Nombre", "Teléfono"], ["Ana", None], ["celular", None]], ("Nombre", "Teléfono"), (1,)),
    ([["Datos", "Teléfono"], [], ["Nombre", "Fijo", "Móvil"], ["Ana", 1, 2]], ("Nombre", "Fijo", "Móvil"), (2, 1)),
    ([["Cartera", "2026"], ["Teléfono", "Nombre"], [1, "Ana"]], ("Teléfono", "Nombre"), (0,)),
])
def test_of_two_header_rows_the_better_one_is_read(tmp_path_factory, rows, headers, phones):
    columns, _, _ = read(save(book_of(*rows), tmp_path_factory.mktemp("xlsx")))
    assert (columns.headers, columns.phones) == (headers, phones)


def test_rows_that_a_filter_hides_are_left_out_and_said_unless_they_are_asked_for(tmp_path):
    book = book_of(["nombre", "telefono", "estado"], ["Ana", 1, "debe"], ["Luis", 2, "pagado"], ["Eva", 3, "debe"])
    book.active.row_dimensions[3].hidden = True
    path = save(book, tmp_path)
    _, records, source = read(path)
    assert [record[0] for record in records] == [2, 4]
    said = [one for one in source.assumptions if one.what == "hidden_rows"]
    assert [(one.value, one.because) for one in said] == [("skip", "1 are hidden, as by a filter: 3")]
    for word, lines in (("take", [2, 3, 4]), ("skip", [2, 4])):
        _, records, source = read(path, hidden_rows=word)
        assert [record[0] for record in records] == lines
        assert not any(one.what == "hidden_rows" for one in source.assumptions)
    with pytest.raises(InvalidValue, match="write skip or take"):
        read(path, hidden_rows="both")


def test_a_sheet_whose_rows_are_all_hidden_says_so(tmp_path):
    book = book_of(["telefono"], [1])
    book.active.row_dimensions[2].hidden = True
    with pytest.raises(InvalidValue, match="no rows; 1 are hidden, and hidden_rows=take reads them"):
        read(save(book, tmp_path))


def test_a_hidden_title_is_no_header_while_a_visible_one_is(tmp_path):
    book = book_of(["phone", "name"], ["Teléfono", "Nombre"], [1, "Ana"])
    book.active.row_dimensions[1].hidden = True
    assert read(save(book, tmp_path))[0].headers == ("Teléfono", "Nombre")


def test_hidden_columns_are_read_and_said(tmp_path):
    book = book_of(["telefono", "nombre", "rut"], [1, "Ana", "1-9"])
    book.active.column_dimensions["C"].hidden = True
    columns, _, source = read(save(book, tmp_path))
    assert columns.variable_names == ("rut",) and source.notes == ("hidden columns were read too: rut (C)",)


def test_a_hidden_column_with_the_name_of_a_visible_one_is_passed_over_and_said(tmp_path):
    book = book_of(["telefono", "nombre", "Telefono"], [912345678, "Ana", 912345679])
    book.active.column_dimensions["C"].hidden = True
    columns, records, source = read(save(book, tmp_path))
    assert (columns.phones, records) == ((0,), [(2, ["912345678", "Ana"])])
    assert source.notes == ("hidden columns were passed over, as a visible one has their name: Telefono (C)",)


def test_a_workbook_whose_phones_are_on_a_hidden_sheet_says_so(tmp_path):
    book = book_of(["nombre", "correo"], ["Ana", "x"])
    hidden = book.create_sheet("Oculta")
    hidden.append(["telefono"])
    hidden.sheet_state = "hidden"
    with pytest.raises(InvalidValue, match="hidden sheets were not looked at, which --sheet would choose: Oculta"):
        read(save(book, tmp_path))


@each(("name", "start", "why"), [
    ("leads.xlsx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 900, "an old spreadsheet"),
    ("leads.csv", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 900, "an old spreadsheet"),
    ("leads.xls", b"<html><table><tr><td>telefono</td></tr></table></html>", "a web page"),
    ("leads.xlsx", None, r"an OpenDocument spreadsheet \(.ods\)"),
    ("leads.ods", None, r"an OpenDocument spreadsheet \(.ods\)"),
])
def test_other_kinds_of_file_are_named_whatever_they_are_called(tmp_path_factory, name, start, why):
    path = tmp_path_factory.mktemp("kinds") / name
    if start is None:
        with zipfile.ZipFile(path, "w") as packed:
            packed.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
            packed.writestr("content.xml", "<x/>")
    else:
        path.write_bytes(start)
    with pytest.raises(InvalidValue, match=why):
        _open_source(path, encoding=None, delimiter=None, sheet=None, hidden_rows=None).inspect(NO_WISHES)


@each("name", ["leads.xlsm", "leads.csv", "leads"])
def test_a_workbook_is_read_as_one_whatever_it_is_called(tmp_path_factory, name):
    path = tmp_path_factory.mktemp("kinds") / name
    path.write_bytes(save(book_of(["telefono"], [912345678]), path.parent).read_bytes())
    source = _open_source(path, encoding=None, delimiter=None, sheet=None, hidden_rows=None)
    assert source.inspect(NO_WISHES).phones == (0,)


def test_a_cell_that_is_merged_over_rows_belongs_to_each_of_them(tmp_path):
    book = book_of(["rut", "telefono", "monto"], ["1-9", 912345678, 5], [None, None, 7], ["2-7", 912345679, 9])
    book.active.merge_cells("A2:A3")
    book.active.merge_cells("B2:B3")
    _, records, source = read(save(book, tmp_path))
    assert records == [(2, ["1-9", "912345678", "5"]), (3, ["1-9", "912345678", "7"]), (4, ["2-7", "912345679", "9"])]
    assert source.notes == ("cells that are merged over several rows count for each of them, in columns A, B",)


def test_parts_that_are_named_as_windows_names_files_are_found(tmp_path):
    path = save(book_of(["telefono"], [912345678]), tmp_path)
    packed = tmp_path / "windows.xlsx"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(packed, "w") as copy:
        for one in source.infolist():
            copy.writestr(one.filename.replace("/", "\\"), source.read(one))
    assert read(packed)[1] == [(2, ["912345678"])]


def test_a_header_row_of_a_workbook_can_be_named(tmp_path):
    path = save(book_of(["telefono", "a"], ["phone", "b"], [1, 2]), tmp_path)
    columns, records, source = read(path, wishes=HeaderWishes(header_row=2))
    assert (columns.headers, [record[0] for record in records]) == (("phone", "b"), [3])
    assert [one.what for one in source.assumptions] == ["sheet"]
    with pytest.raises(InvalidValue, match="header row: 7"):
        read(path, wishes=HeaderWishes(header_row=7))


# --- what a column tells of its cells ---------------------------------------------------------------


@each(("dates", "country", "days", "value"), [
    (["03/04/2027", "31/12/2027"], "US", ["2027-04-03", "2027-12-31"], "day_first"),
    (["03/04/2027", "12/31/2027"], "CL", ["2027-03-04", "2027-12-31"], "month_first"),
    (["03/04/2027"], "CL", ["2027-04-03"], "day_first"),
    (["03/04/2027"], "US", ["2027-03-04"], "month_first"),
    (["3-4-2027", "31-12-2027"], "US", ["2027-04-03", "2027-12-31"], "day_first"),
    (["03/04/2027"], "CA", [None], "unknown"),
    (["03/04/2027", "31/12/2027", "12/31/2027"], "CL", [None, "2027-12-31", "2027-12-31"], "unknown"),
    (["2027-04-03", "3 de abril de 2027", "04/04/2027"], "CL", ["2027-04-03", "2027-04-03", "2027-04-04"], None),
])
def test_a_date_that_can_be_two_is_read_as_its_column_and_said(tmp_path_factory, dates, country, days, value):
    path = tmp_path_factory.mktemp("csv") / "leads.csv"
    lines = [f"+5695550{1000 + at};{text}" for at, text in enumerate(dates)]
    path.write_text("\n".join(["telefono;fecha_limite", *lines]), encoding="utf-8")
    columns, records, survey = surveyed(csv_file(path), country=country)
    conventions, assumed = survey.conclude()
    judge = RowJudge(columns, default_country=country, orders=conventions.orders)
    found = [judge.judge(*record) for record in records]
    assert [str(one.call_until) if isinstance(one, NewLead) else None for one in found] == days
    assert [one.value for one in assumed] == ([value] if value else [])
    for one in found:
        assert isinstance(one, NewLead) or "write it as YYYY-MM-DD" in one.reason


def test_years_of_two_digits_and_bare_numbers_are_said(tmp_path):
    path = tmp_path / "leads.csv"
    path.write_text("telefono;fecha_limite\n1;31/12/27\n2;31-dic-27\n3;46464\n4;2027-12-31\n", encoding="utf-8")
    assert [(one.what, one.value, one.because) for one in surveyed(csv_file(path))[2].conclude()[1]] == [
        ("serial_dates", "days since 1900-01-01", "1 dates are bare numbers, such as 46464"),
        ("short_years", "2000 to 2099", "2 years have two digits, such as 31/12/27"),
    ]


def test_an_amount_that_is_merged_over_the_rows_of_a_person_is_owed_once(tmp_path):
    book = book_of(["rut", "telefono", "monto"], ["12.345.678-5", 912345678, 500], [None, 912345679, None])
    book.active.merge_cells("A2:A3")
    book.active.merge_cells("C2:C3")
    columns, records, _ = surveyed(save(book, tmp_path), sums=True)
    people = People(columns)
    people.add(RowJudge(columns, default_country="CL").judge(*record) for record in records)
    (lead,), _ = people.leads()
    assert (lead.variables["monto"], len(lead.numbers)) == ("500", 2)

    book.active.row_dimensions[2].hidden = True
    columns, records, _ = surveyed(save(book, tmp_path), sums=True)
    people = People(columns)
    people.add(RowJudge(columns, default_country="CL").judge(*record) for record in records)
    assert [one.variables["monto"] for one in people.leads()[0]] == ["500"], "the row that had it is left out"


def test_one_date_column_tells_of_another(tmp_path):
    path = tmp_path / "leads.csv"
    path.write_text("telefono;fecha_limite;programar\n912345678;12/31/2027;03/04/2027 10:00\n", encoding="utf-8")
    conventions, assumed = surveyed(csv_file(path))[2].conclude()
    assert [order and order.value for order in conventions.orders.values()] == ["month_first", "month_first"]
    assert "line 2 of fecha_limite has '12/31/2027'" in assumed[0].because


@each(("amounts", "total", "value"), [
    (["1.500", "2.300,50"], "3800.5", "comma"),
    (["1.500", "2.5"], "4.000", "point"),
    (["1,500", "2,50"], "4.000", "comma"),
    (["1,500", "2,300.50"], "3800.5", "point"),
    (["1.500", "1.500"], "3000", "thousands"),
    (["1,500", "$ 2,500"], "4000", "thousands"),
    (["1.500", "2.5", "2,5"], None, "unknown"),
    (["100", "200"], "300", None),
    (["1 500,5", "12 000,25"], "13500.75", None),
    (["1'500.5", "2"], "1502.5", None),
    ([38.125, 1.5], "39.625", None),
    ([0.125, 0.125], "0.25", None),
    ([38.125, "1.500"], "1538.125", "thousands"),
    ([1234.567, 1000.5], "2235.067", None),
    (["US$ 10", "$ 10"], None, None),
    (["UF 1,5", "2,5 UF"], "4", None),
])
def test_amounts_are_added_up_as_their_column_writes_them(tmp_path_factory, amounts, total, value):
    book = book_of(["rut", "telefono", "monto"], *(["12.345.678-5", 912345678, one] for one in amounts))
    columns, records, survey = surveyed(save(book, tmp_path_factory.mktemp("xlsx")), sums=True)
    conventions, assumed = survey.conclude()
    people = People(columns, conventions.marks)
    people.add(RowJudge(columns, default_country="CL").judge(*record) for record in records)
    (lead,), rejects = people.leads()
    warnings = [one.reason for one in rejects if one.is_warning]
    if total is None:
        assert lead.variables["monto"] == str(amounts[0]) and len(warnings) == 1
    else:
        assert float(lead.variables["monto"]) == float(total) and not warnings
    assert [one.value for one in assumed] == ([value] if value else [])


def test_a_number_of_a_spreadsheet_with_decimals_is_no_identity(tmp_path):
    """12345678.5 must not become the person 12.345.678-5."""
    book = book_of(["rut", "telefono", "monto"], [12345678.5, 912345678, 1], ["12.345.678-5", 912345679, 2])
    columns, records, _ = surveyed(save(book, tmp_path), sums=True)
    people = People(columns)
    people.add(RowJudge(columns, default_country="CL").judge(*record) for record in records)
    assert len(people.leads()[0]) == 2


# --- what the claims above need -------------------------------------------------------------------


def csv_file(path: Path) -> CsvFile:
    return CsvFile(path, encoding=None, delimiter=None)


def read(
    given: Path | Source, wishes: HeaderWishes = NO_WISHES, *, hidden_rows: str | None = None
) -> tuple[Columns, list[Any], Source]:
    source = Spreadsheet(given, sheet=None, hidden_rows=hidden_rows) if isinstance(given, Path) else given
    columns = source.inspect(wishes)
    return columns, [record for batch in source.read_batches() for record in batch.records], source


def surveyed(given: Path | Source, *, country: str = "CL", sums: bool = False) -> tuple[Columns, list[Any], Survey]:
    source = Spreadsheet(given, sheet=None) if isinstance(given, Path) else given
    found: list[Survey] = []

    def watch(columns: Columns) -> Look:
        found.append(Survey(columns, country=country, sums=sums))
        return found[0].see

    columns = source.inspect(NO_WISHES, watch)
    return columns, [record for batch in source.read_batches() for record in batch.records], found[0]


def book_of(*rows: Sequence[Any]) -> openpyxl.Workbook:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(list(row))
    return book


def save(book: openpyxl.Workbook, folder: Path) -> Path:
    held = io.BytesIO()
    book.save(held)
    path = folder / "leads.xlsx"
    path.write_bytes(held.getvalue())
    return path
