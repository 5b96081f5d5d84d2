"""Reading .xlsx files: cells as people type them, headers below titles, and archives made to do harm."""

from __future__ import annotations

import io
import resource
import struct
import time
import zipfile
from collections.abc import Sequence
from datetime import date, datetime
from datetime import time as clock_time
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from python_calamine import CalamineWorkbook

from scheduler.errors import InvalidValue
from scheduler.rules.cells import NEVER_CALCULATED
from scheduler.rules.headers import NO_WISHES, Columns, HeaderWishes, read_map
from scheduler.rules.rows import NewLead, Reject, RowJudge
from scheduler.service import workbooks
from scheduler.service.imports import import_leads
from scheduler.service.spreadsheets import Spreadsheet, is_spreadsheet
from scheduler.service.workbooks import Workbook, column_name
from tests.each import each
from tests.examples import examples


def at(*parts: int) -> datetime:
    """A wall-clock time, as spreadsheets know no other."""
    return datetime(*parts)  # type: ignore[arg-type, misc]  # noqa: DTZ001


# --- cells ----------------------------------------------------------------------------------------


@each(
    ("value", "number_format", "text"),
    [
        ("Ana", None, "Ana"),
        (56912345678, None, "56912345678"),
        (56912345678.0, None, "56912345678"),
        (9.12345678e8, "0.00E+00", "912345678"),
        (0.1 + 0.2, None, "0.3"),
        (1234.5, "#,##0.00", "1234.5"),
        (-5, None, "-5"),
        (0.15, "0%", "15%"),
        (0.125, "0.0%", "12.5%"),
        (True, None, "TRUE"),
        (False, None, "FALSE"),
        (date(2026, 12, 24), None, "2026-12-24"),
        (at(2026, 12, 24, 9, 30), None, "2026-12-24T09:30"),
        (at(2026, 12, 24, 9, 30, 15), "dd-mm-yyyy hh:mm:ss", "2026-12-24T09:30:15"),
        (clock_time(9, 30), None, "09:30"),
        (46380, 'dd" de "mmmm', "2026-12-24"),
        (46380, '"d"0', "46380"),
        (46380, "[Red]0", "46380"),
        (46380, "#,##0 \\d\\í\\a\\s", "46380"),
        ("+56912345678", "@", "+56912345678"),
        ("a <b> & \"c\" 'd'", None, "a <b> & \"c\" 'd'"),
        ("ñandú 🙂", None, "ñandú 🙂"),
        ("=A1+1", None, NEVER_CALCULATED),
    ],
)  # fmt: skip
def test_a_cell_reads_as_people_see_it(tmp_path: Path, value: Any, number_format: str | None, text: str) -> None:
    book = openpyxl.Workbook()
    book.active["B2"] = value
    if number_format:
        book.active["B2"].number_format = number_format
    assert cells(save(book, tmp_path)) == {(2, 1): text}


@each(
    ("xml", "text"),
    [
        ('<c r="A1" t="e"><v>#N/A</v></c>', "#N/A"),
        ('<c r="A1"><f>1+1</f><v>2</v></c>', "2"),
        ('<c r="A1" t="str"><f>"x"&amp;"y"</f><v>xy</v></c>', "xy"),
        ('<c r="A1" t="str"><f>""</f><v></v></c>', None),
        ('<c r="A1"><f>NOW()</f></c>', NEVER_CALCULATED),
        ('<c t="inlineStr"><is><t>no place</t></is></c>', "no place"),
        ('<c r="A1" t="inlineStr"><is><r><t>in </t></r><r><t>parts</t></r></is></c>', "in parts"),
        ('<c r="A1" t="d"><v>2026-12-24</v></c>', "2026-12-24"),
        ('<c r="A1" t="inlineStr"><is><t>a_x000D_b_x0041_</t></is></c>', "a bA"),
        ('<c r="A1"><v>1E400</v></c>', "1E400"),
        ('<c r="A1"><v>not a number</v></c>', "not a number"),
        ('<c r="A1"/>', None),
        ('<c r="A1" s="77"><v>5</v></c>', "5"),
        ("<unknown><v>1</v></unknown>", None),
    ],
)
def test_cells_as_other_programs_write_them(tmp_path: Path, xml: str, text: str | None) -> None:
    assert cells(pack(tmp_path, sheet(f'<row r="1">{xml}</row>'))) == ({} if text is None else {(1, 0): text})


def test_names_with_prefixes_and_of_the_strict_form_are_read(tmp_path: Path) -> None:
    xml = (
        '<x:worksheet xmlns:x="http://purl.oclc.org/ooxml/spreadsheetml/main"><x:sheetData><x:row r="3">'
        '<x:c r="C3"><x:v>7</x:v></x:c></x:row></x:sheetData></x:worksheet>'
    )
    assert cells(pack(tmp_path, xml)) == {(3, 2): "7"}


def test_shared_texts_leave_out_how_they_are_pronounced(tmp_path: Path) -> None:
    shared = (
        "<sst><si><t>Ana</t><rPh sb='0' eb='1'><t>ah-na</t></rPh></si><si><r><t>So</t></r><r><t>to</t></r></si></sst>"
    )
    row = '<row><c t="s"><v>1</v></c><c t="s"><v>0</v></c></row>'
    assert cells(pack(tmp_path, sheet(row), shared=shared)) == {(1, 0): "Soto", (1, 1): "Ana"}


def test_a_workbook_that_counts_from_1904_has_other_dates(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.epoch = openpyxl.utils.datetime.CALENDAR_MAC_1904
    book.active["A1"] = date(2026, 12, 24)
    assert cells(save(book, tmp_path)) == {(1, 0): "2026-12-24"}


_values = st.one_of(
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20),
    st.integers(-(10**14), 10**14),
    st.floats(allow_nan=False, allow_infinity=False, min_value=-1e14, max_value=1e14),
    st.booleans(),
    st.datetimes(at(1900, 3, 1), at(2100, 1, 1)).map(lambda at: at.replace(microsecond=0)),
    st.dates(date(1900, 3, 1), date(2100, 1, 1)),
)


@settings(max_examples=examples(15))
@given(st.lists(st.lists(_values, max_size=5), max_size=5))
def test_cells_are_those_that_another_reader_finds(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[Any]]
) -> None:
    book = openpyxl.Workbook()
    for y, row in enumerate(rows, 1):
        for x, value in enumerate(row, 1):
            cell = book.active.cell(y, x, value)
            if isinstance(value, str):
                cell.data_type = "s"  # also where it looks like a formula
    path = save(book, tmp_path_factory.mktemp("x"))
    others = CalamineWorkbook.from_path(str(path)).get_sheet_by_index(0).to_python(skip_empty_area=False)
    expected = {
        (y, x): as_text(value)
        for y, row in enumerate(others, 1) for x, value in enumerate(row) if as_text(value).strip()
    }
    found = cells(path)
    assert {at: same(text) for at, text in found.items()} == {at: same(text) for at, text in expected.items()}


def test_columns_are_named_by_letters() -> None:
    assert [column_name(at) for at in (0, 25, 26, 701, 702, 16_383)] == ["A", "Z", "AA", "ZZ", "AAA", "XFD"]


# --- the header, the sheet, the columns -----------------------------------------------------------


def test_the_header_is_found_below_titles_merged_cells_and_empty_rows(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    page = book.active
    page["B1"] = "Cartera de deudores 2026"
    page.merge_cells("B1:F1")
    page["B3"] = "Contactos"
    for x, text in ((2, "Nombre"), (4, "Teléfono"), (5, "Monto")):
        page.cell(5, x, text)
    for y, name in ((6, "Ana"), (9, "Eva")):
        page.cell(y, 2, name)
        page.cell(y, 4, 912345670 + y)
        page.cell(y, 5, 1000.5)
    columns, records = read(save(book, tmp_path))
    assert columns.headers == ("Nombre", "Teléfono", "Monto")
    assert records == [(6, ["Ana", "912345676", "1000.5"]), (9, ["Eva", "912345679", "1000.5"])]


def test_a_column_without_a_name_is_passed_over_and_said(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.append(["telefono", None, "nombre", "#"])
    book.active.append(["912345678", "who knows", "Ana", 1])
    source = Spreadsheet(save(book, tmp_path), sheet=None)
    assert source.inspect(NO_WISHES).headers == ("telefono", "nombre")
    assert source.notes == ("columns without a name in the header were passed over: B, D",)


def test_the_first_visible_sheet_with_a_phone_column_is_read_and_said(tmp_path: Path) -> None:
    path = with_sheets(tmp_path, Portada=["Cartera", "2026"], Oculta=["telefono"], Leads=["telefono", 912345678])
    source = Spreadsheet(path, sheet=None)
    source.inspect(NO_WISHES)
    assert [record for batch in source.read_batches() for record in batch.records] == [(2, ["912345678"])]
    assert source.notes == (
        "sheet Leads was read; there are others, which --sheet would choose: Portada, Oculta (hidden)",
    )


def test_a_sheet_is_chosen_by_name_also_a_hidden_one(tmp_path: Path) -> None:
    path = with_sheets(tmp_path, Uno=["telefono", 1], Oculta=["telefono", 2], Dos=["telefono", 3])
    for name, expected in (("Dos", "3"), ("dos ", "3"), ("Oculta", "2")):
        _, records = read(path, sheet=name)
        assert records == [(2, [expected])]
    with pytest.raises(InvalidValue, match=r"sheet: 'Tres' .* the sheets are Uno, Oculta, Dos"):
        read(path, sheet="Tres")


def test_thousands_of_empty_rows_at_the_end_are_nothing(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.append(["telefono"])
    book.active.append([912345678])
    book.active.cell(60_000, 1, " ")
    book.active.cell(60_001, 1).number_format = "0%"
    assert read(save(book, tmp_path))[1] == [(2, ["912345678"])]


@each(
    ("written", "why"),
    [
        ([], "it is empty"),
        ([["telefono", "nombre"]], "sheet Sheet has a header and no rows"),
        ([["nombre", "correo"], ["Ana", "x"]], "a column telefono"),
        ([["telefono", "celular"], [1, 2]], "--map phone=HEADER --map phone2=HEADER"),
    ],
)
def test_a_sheet_without_leads_is_refused(tmp_path: Path, written: list[list[Any]], why: str) -> None:
    book = openpyxl.Workbook()
    for row in written:
        book.active.append(row)
    with pytest.raises(InvalidValue, match=why):
        read(save(book, tmp_path))


def test_a_mapped_header_is_looked_for_below_titles_too(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for row in (["Deudores"], ["Contacto", "Monto"], [912345678, 5]):
        book.active.append(row)
    wishes = HeaderWishes(read_map(["phone=contacto", "variable:debt=Monto"]))
    columns, records = read(save(book, tmp_path), wishes=wishes)
    assert columns.phones == (0,) and columns.variable_names == ("debt",) and len(records) == 1


@each(
    ("typed", "numbers"),
    [
        (56912345678, ["+56912345678"]),
        (56912345678.0, ["+56912345678"]),
        (912345678, ["+56912345678"]),
        (9.12345678e8, ["+56912345678"]),
        ("'+56912345678", ["+56912345678"]),
        ("\xa09 1234\xa05678\xa0", ["+56912345678"]),
        ("+56 9 1234 5678 (casa)", ["+56912345678"]),
        ("Tel: +56 9 1234 5678", ["+56912345678"]),
        ("+56 9 1234 5678 móvil", ["+56912345678"]),
        ("912345678 / 987654321", ["+56912345678", "+56987654321"]),
        ("912345678; 987654321", ["+56912345678", "+56987654321"]),
        ("912345678, +34 612 345 678 (oficina)", ["+56912345678", "+34612345678"]),
        ("912345678\n987654321", ["+56912345678", "+56987654321"]),
        ("912345678 y 987654321", ["+56912345678", "+56987654321"]),
    ],
)
def test_phones_as_people_type_them_into_a_spreadsheet(tmp_path: Path, typed: Any, numbers: list[str]) -> None:
    lead = judge_one(tmp_path, ["telefono"], [typed])
    assert isinstance(lead, NewLead) and [one.number for one in lead.numbers] == numbers


@each(
    ("typed", "why"),
    [
        ("#N/A", "a formula of the spreadsheet failed"),
        ("=A1", "never calculated"),
        (True, "letters"),
        (date(2026, 1, 1), "reads like a date"),
        (12345, "too few digits"),
        ("22345678/79", "two numbers"),
    ],
)
def test_what_is_no_phone_is_rejected_with_the_reason(tmp_path: Path, typed: Any, why: str) -> None:
    verdict = judge_one(tmp_path, ["telefono"], [typed])
    assert isinstance(verdict, Reject)
    assert verdict.line == 2 and why in verdict.reason


def test_an_error_in_any_other_column_rejects_the_row(tmp_path: Path) -> None:
    verdict = judge_one(tmp_path, ["telefono", "monto"], [912345678, "#REF!"])
    assert isinstance(verdict, Reject)
    assert (verdict.field, verdict.value) == ("monto", "#REF!") and "failed" in verdict.reason


def test_dates_of_a_spreadsheet_are_dates_of_the_lead(tmp_path: Path) -> None:
    lead = judge_one(
        tmp_path, ["telefono", "fecha límite", "programar"],
        [912345678, date(2026, 12, 24), at(2026, 12, 1, 9, 30)],
    )  # fmt: skip
    assert isinstance(lead, NewLead) and lead.call_until == date(2026, 12, 24)
    assert lead.call_at is not None and lead.call_at.hour == 12


# --- files that are not what they seem ------------------------------------------------------------


@each(
    ("parts", "why"),
    [
        ({}, "packed but no .xlsx"),
        ({"hello.txt": "hello"}, "packed but no .xlsx"),
        ({"mimetype": "application/vnd.oasis.opendocument.spreadsheet", "content.xml": "<x/>"}, r"\.ods.* save it as"),
        ({"_rels/.rels": '<R><Relationship Id="1" Type="x/officeDocument" Target="xl/workbook.bin"/></R>'}, r"\.xlsb"),
        ({"_rels/.rels": '<R><Relationship Id="1" Type="x/officeDocument" Target="word/document.xml"/></R>',
          "word/document.xml": "<x/>"}, "no .xlsx"),
        ({"xl/workbook.xml": "<workbook/>"}, "it has no sheets"),
        ({"xl/workbook.xml": "<workbook>"}, "xl/workbook.xml is broken"),
    ],
)  # fmt: skip
def test_an_archive_that_is_no_spreadsheet_is_named(tmp_path: Path, parts: dict[str, str], why: str) -> None:
    assert refused(pack_parts(tmp_path, parts), why)


def test_broken_archives_are_refused_in_a_sentence(tmp_path: Path) -> None:
    whole = pack(tmp_path, sheet('<row><c t="inlineStr"><is><t>telefono</t></is></c></row>')).read_bytes()
    for cut in (4, 30, 100, len(whole) // 2, len(whole) - 10):
        path = tmp_path / "cut.xlsx"
        path.write_bytes(whole[:cut])
        assert is_spreadsheet(path) and refused(path, "broken")


@settings(max_examples=examples(40))
@given(st.integers(0, 10_000), st.integers(0, 255), st.integers(0, 10_000), st.integers(0, 255))
def test_no_damage_does_more_than_be_refused(
    tmp_path_factory: pytest.TempPathFactory, at: int, to: int, at2: int, to2: int
) -> None:
    book = openpyxl.Workbook()
    for row in (["telefono", "nombre"], [912345678, "Ana"], [912345679, "Eva"]):
        book.active.append(row)
    path = save(book, tmp_path_factory.mktemp("x"))
    content = bytearray(path.read_bytes())
    content[at % len(content)], content[at2 % len(content)] = to, to2
    path.write_bytes(content)
    try:
        read(path)
    except InvalidValue as error:
        assert "\n" not in str(error)


@each(
    ("body", "why"),
    [
        ("<row><c", "is broken"),
        ('<row r="x"><c><v>1</v></c></row>', "is broken"),
        ('<row r="99999999"><c><v>1</v></c></row>', "beyond row"),
        ('<row><c r="AAAAA1"><v>1</v></c></row>', "no place of a cell"),
        ('<row><c r="ZZZ1"><v>1</v></c></row>', "beyond row"),
        ('<row><c t="s"><v>5</v></c></row>', "text 5, which is not there"),
        ('<row><c t="s"><v>-1</v></c></row>', "text -1, which is not there"),
        (f'<row><c t="inlineStr"><is><t>{"x" * 40_000}</t></is></c></row>', "more than 32767 characters"),
        ("<row>" + f'<c t="inlineStr"><is><t>{"x" * 30_000}</t></is></c>' * 40 + "</row>", "more than 1000000 char"),
        ("<a>" * 100 + "</a>" * 100, "nested more than"),
        (f'<row x="{"y" * (5 << 20)}"/>', "tag longer|broken"),
    ],
)
def test_a_sheet_that_no_spreadsheet_would_write_is_refused(tmp_path: Path, body: str, why: str) -> None:
    assert refused(pack(tmp_path, sheet(body), compression=zipfile.ZIP_STORED), why)


def test_entities_are_refused(tmp_path: Path) -> None:
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    xml = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY l0 "lol">{laughs}]><worksheet>&l9;</worksheet>'
    assert refused(pack(tmp_path, xml), "declares entities")


def test_a_cell_at_the_far_corner_takes_no_memory(tmp_path: Path) -> None:
    body = (
        '<row r="1"><c r="A1" t="inlineStr"><is><t>telefono</t></is></c></row>'
        '<row r="2"><c r="A2"><v>912345678</v></c></row>'
        '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert read(pack(tmp_path, sheet(body)))[1] == [(2, ["912345678"])]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 * 1024


def test_a_zip_bomb_is_refused_by_its_claims(tmp_path: Path) -> None:
    path = tmp_path / "bomb.xlsx"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("xl/worksheets/sheet1.xml", "w", force_zip64=True) as part,
    ):
        for _ in range(650):
            part.write(bytes(1 << 20))
    started = time.thread_time()
    assert refused(path, "it unpacks to 650 MB, and at most 600 MB are read")
    assert time.thread_time() - started < 5


def test_what_packs_like_a_bomb_is_refused(tmp_path: Path) -> None:
    padded = sheet('<row><c t="inlineStr"><is><t>telefono</t></is></c></row>' + " " * (20 << 20))
    assert refused(pack(tmp_path, padded), "packed more than 200 times over")


def test_a_part_that_lies_about_its_size_is_cut_off(tmp_path: Path) -> None:
    path = pack(tmp_path, sheet(" " * (30 << 20)))
    content = path.read_bytes()
    true_size = struct.pack("<L", len(sheet(" " * (30 << 20))))
    assert content.count(true_size) == 2
    path.write_bytes(content.replace(true_size, struct.pack("<L", 1000)))
    assert refused(path, "is broken")


def test_shared_texts_that_would_fill_the_memory_are_refused(tmp_path: Path) -> None:
    shared = " " * (workbooks.MOST_SHARED + 1)
    path = pack(tmp_path, sheet('<row><c t="s"><v>0</v></c></row>'), shared=shared, compression=zipfile.ZIP_STORED)
    assert refused(path, "sharedStrings.xml unpacks to more than 200 MB")
    path.unlink()


def test_an_archive_of_very_many_files_is_refused_before_they_are_listed(tmp_path: Path) -> None:
    path = tmp_path / "many.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        for n in range(workbooks.MOST_ENTRIES + 1):
            archive.writestr(str(n), b"")
    assert refused(path, "more than 10000 files")


@each("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_ways_to_pack_are_refused(tmp_path: Path, method: int) -> None:
    assert refused(pack(tmp_path, sheet("<row/>"), compression=method), "packed in a way that no spreadsheet uses")


def test_a_text_that_a_million_cells_share_is_held_once(tmp_path: Path) -> None:
    """As a full grid this file would take ten gigabytes."""
    shared = f"<sst><si><t>telefono</t></si><si><t>{'x' * 10_000}</t></si></sst>"
    head = "<row><c t='s'><v>0</v></c></row>"
    rows = head + "".join(f"<row><c t='s'><v>1</v></c></row><!--{n}-->" for n in range(5000))
    path = pack(tmp_path, sheet(rows), shared=shared)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    source = Spreadsheet(path, sheet=None)
    source.inspect(NO_WISHES)
    sizes = [len(batch.records) for batch in source.read_batches()]
    assert sum(sizes) == 5000 and max(sizes) < 2000, "long texts come in smaller batches"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024


def test_what_cannot_be_opened_is_no_spreadsheet(tmp_path: Path) -> None:
    assert not is_spreadsheet(tmp_path) and not is_spreadsheet(tmp_path / "none.xlsx")
    assert not is_spreadsheet(Path("/dev/null"))
    (tmp_path / "text.xlsx").write_text("telefono\n")
    assert not is_spreadsheet(tmp_path / "text.xlsx")


# --- what the claims above need -------------------------------------------------------------------


def save(book: openpyxl.Workbook, folder: Path) -> Path:
    path = folder / "leads.xlsx"
    book.save(path)
    return path


def with_sheets(folder: Path, **columns: Sequence[Any]) -> Path:
    """A sheet of one column for each; one called Oculta is hidden."""
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, values in columns.items():
        page = book.create_sheet(name)
        page.sheet_state = "hidden" if name == "Oculta" else "visible"
        for value in values:
            page.append([value])
    return save(book, folder)


def sheet(body: str) -> str:
    return f'<worksheet xmlns="http://x/main"><sheetData>{body}</sheetData></worksheet>'


def pack(folder: Path, xml: str, *, shared: str | None = None, compression: int = zipfile.ZIP_DEFLATED) -> Path:
    """A workbook of one sheet with this XML."""
    relations = '<Relationship Id="r1" Type="x/worksheet" Target="worksheets/sheet1.xml"/>'
    parts = {"xl/worksheets/sheet1.xml": xml}
    if shared is not None:
        relations += '<Relationship Id="r2" Type="x/sharedStrings" Target="/xl/sharedStrings.xml"/>'
        parts["xl/sharedStrings.xml"] = shared
    main = '<workbook xmlns:r="r"><sheets><sheet name="Uno" sheetId="1" r:id="r1"/></sheets></workbook>'
    parts |= {"xl/workbook.xml": main, "xl/_rels/workbook.xml.rels": f"<Relationships>{relations}</Relationships>"}
    return pack_parts(folder, parts, compression)


def pack_parts(folder: Path, parts: dict[str, str], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", compression) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    path = folder / "leads.xlsx"
    path.write_bytes(packed.getvalue())
    return path


def cells(path: Path) -> dict[tuple[int, int], str]:
    """Of the first sheet, by row (from 1) and column (from 0)."""
    workbook = Workbook(path)
    try:
        return {
            (row.number, at): text for row in workbook.read_rows(workbook.sheets[0]) for at, text in row.cells.items()
        }
    finally:
        workbook.close()


def read(path: Path, *, sheet: str | None = None, wishes: HeaderWishes = NO_WISHES) -> tuple[Columns, list[Any]]:
    source = Spreadsheet(path, sheet=sheet)
    columns = source.inspect(wishes)
    return columns, [record for batch in source.read_batches() for record in batch.records]


def judge_one(folder: Path, header: Sequence[str], row: Sequence[Any]) -> NewLead | Reject:
    book = openpyxl.Workbook()
    book.active.append(list(header))
    for x, value in enumerate(row, 1):
        cell = book.active.cell(2, x, value)
        if value in ("#N/A", "#REF!"):
            cell.data_type = "e"
    columns, records = read(save(book, folder))
    return RowJudge(columns, default_country="CL").judge(*records[0])


def refused(path: Path, why: str) -> bool:
    with pytest.raises(InvalidValue, match=why) as found:
        read(path)
    return "\n" not in str(found.value)


def as_text(value: Any) -> str:
    """A cell of the other reader as this one shows it."""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else f"{value:.15g}"
    if isinstance(value, datetime):
        if (value.hour, value.minute, value.second) == (0, 0, 0):
            return value.date().isoformat()
        return value.isoformat(timespec="seconds" if value.second else "minutes")
    return str(value)


def same(text: str) -> str:
    return text.strip()


def test_a_file_that_is_only_named_like_a_workbook_is_refused_as_that(runtime, tmp_path):
    path = tmp_path / "leads.xlsx"
    path.write_bytes(bytes(range(128, 256)) * 8)

    with pytest.raises(InvalidValue, match="it is named like a workbook but is none"):
        import_leads(path, default_country="CL", runtime=runtime)


def test_a_csv_that_is_named_like_a_workbook_is_read_as_what_it_is(runtime, tmp_path):
    path = tmp_path / "leads.xlsx"
    path.write_text("nombre completo,telefono\nAna,+56912345678\n")

    assert import_leads(path, default_country="CL", runtime=runtime).added == 1
