"""CSV rows: which column is what, which row is a lead, and why not."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scheduler.errors import InvalidValue
from scheduler.rules.cells import NumberCell, neutralise, restore
from scheduler.rules.dates import DateOrder
from scheduler.rules.headers import REJECT_COLUMNS, read_header
from scheduler.rules.phone_cells import NumberReader
from scheduler.rules.phones import to_e164
from scheduler.rules.rows import Holder, NewLead, Reject, RowJudge, Verdict, settle, small_key
from tests.each import each

# --- the header ---------------------------------------------------------------------------------


@each(
    ("header", "meaning"),
    [
        ("nombre", "first_name"), ("Name", "first_name"), ("FIRST_NAME", "first_name"), ("First name", "first_name"),
        ("apellidos", "last_name"), ("Apellido", "last_name"), ("surname", "last_name"), ("last-name", "last_name"),
        ("Correo", "email"), ("zona_horaria", "time_zone"), ("Time Zone", "time_zone"), ("timezone", "time_zone"),
        ("Región", "region"), ("REGIO\u0301N", "region"), ("prioridad", "priority"), ("Fecha límite", "call_until"),
        ("deadline", "call_until"), ("call_until", "call_until"), ("programar", "call_at"),
        ("scheduled_at", "call_at"), ("call at", "call_at"),
    ],
)  # fmt: skip
def test_a_header_is_recognised_in_both_languages_whatever_its_case_accents_and_spaces(
    header: str, meaning: str
) -> None:
    assert getattr(read_header(["telefono", header]), meaning) == 1


@each("header", ["telefono", "Teléfono", "TEL", "phone", "celular", "Móvil", "mobile", "phone 1"])
def test_any_name_of_a_phone_is_the_first_phone(header: str) -> None:
    assert read_header(["nombre", header]).phones == (1,)


def test_phones_are_dialed_in_the_order_of_their_numbers_not_of_their_columns() -> None:
    assert read_header(["movil 3", "phone2", "telefono"]).phones == (2, 1, 0)


def test_an_unknown_column_becomes_a_variable_under_its_own_name() -> None:
    columns = read_header(["telefono", "Producto favorito"])
    assert [columns.headers[at] for at in columns.variables] == ["Producto favorito"]


@each(
    ("headers", "found", "right"),
    [
        (["nombre", "correo"], "nombre, correo", "a column telefono"),
        (["nombre", "telefno"], "telefno", "is telefno meant?"),
        (["nombre", "telefono2"], "telefono2", "found number 2 but no first one"),
        (["Ana", "+56 9 1234 5678"], "Ana", "the first line must name the columns"),
        (["telefono", "Phone"], "telefono, Phone", "telefono2"),
        (["telefono", "celular"], "telefono, celular", "telefono2"),
        (["telefono2", "phone_2", "tel"], "telefono2, phone_2", "the same phone"),
        (["telefono", "nombre", "name"], "nombre, name", "keep one of them"),
        (["telefono", "monto", "Monto"], "monto, Monto", "rename one"),
        (["telefono", " ", "nombre"], "telefono, , nombre", "column 2 has no name"),
        ([], "", "a column telefono"),
    ],
)
def test_a_header_that_could_mean_two_things_is_refused(headers: list[str], found: str, right: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        read_header(headers)
    assert found in str(refused.value) and right in str(refused.value)


# --- numbers ------------------------------------------------------------------------------------


@each(
    ("written", "country", "number"),
    [
        ("+56912345678", "CL", "+56912345678"),
        ("9 1234 5678", "CL", "+56912345678"),
        ("(9) 1234-5678", "CL", "+56912345678"),
        ("56912345678", "CL", "+56912345678"),
        ("56912345678.0", "CL", "+56912345678"),
        ("56912345678,0", "CL", "+56912345678"),
        ('="56912345678"', "CL", "+56912345678"),
        ("5.6912345678E+10", "CL", "+56912345678"),
        ("'+56912345678", "AR", "+56912345678"),
        ("212 555 0123", "US", "+12125550123"),
        ("1 (212) 555-0123", "US", "+12125550123"),
        ("011 15-2345-6789", "AR", "+5491123456789"),
        ("612 34 56 78", "ES", "+34612345678"),
        ("٠٦١٢٣٤٥٦٧٨"[1:], "ES", "+34612345678"),
    ],
)
def test_a_number_is_read_in_the_forms_that_people_and_spreadsheets_write(
    written: str, country: str, number: str
) -> None:
    assert NumberReader(country).read(written, "telefono") == number


@each(
    ("written", "why"),
    [
        ("5.69123E+10", "digits are lost"),
        ("5,69123E+10", "digits are lost"),
        ("6E+10", "digits are lost"),
        ("91234567O", "letters"),
        ("9 CALL NOW 1", "letters"),
        ("+56 9 1234 5678 ext. 4", "letters"),
        ("12345", "too few digits"),
        ("+56 9 1234 5678 9999", "too many digits"),
        ("+999 1234 5678", "no known country code"),
        ("912345678 / 79", "two numbers"),
        ("sin número", "letters"),
        ("-", "not a phone number"),
    ],
)
def test_a_number_that_would_have_to_be_guessed_is_refused(written: str, why: str) -> None:
    with pytest.raises(InvalidValue, match=why):
        NumberReader("CL").read(written, "telefono")


def test_a_default_country_that_does_not_exist_is_refused() -> None:
    with pytest.raises(InvalidValue, match="two ISO letters"):
        NumberReader("XX")


COUNTRIES = ("CL", "AR", "ES", "CO", "MX", "US", "CA", "BR", "IT", "GB", "DE", "RU", "KZ", "FR", "UY", "PA", "VA")
_codes = ("", "+", "+56", "+549", "+5415", "+34", "+57", "+521", "+52", "+1", "+44", "+39", "+390", "+7", "+1242",
          "+800", "+290", "56", "0056", "011", "0", "1", "15", "9", "549")  # fmt: skip


@given(
    st.builds(
        str.__add__, st.sampled_from(_codes), st.from_regex(r"[0-9]{1,13}(?:[ -][0-9]{1,6}){0,3}", fullmatch=True)
    ),
    st.sampled_from(COUNTRIES),
)
@example("+5491112345678", "AR")
@example("+5211234567890", "MX")
@example("+13105550123", "CA")
@example("56955501085", "CL")
@example("5656955501085", "CL")
@example("34600000001", "ES")
@example("55800123456", "BR")
@example("12425550123", "US")
@example("13105550123", "CA")
@example("77012345678", "KZ")
def test_plain_digits_are_read_exactly_as_the_library_reads_them(written: str, country: str) -> None:
    assert _answer(NumberReader(country).read, written, "telefono") == _answer(to_e164, written, country)


# --- the verdict on a row -----------------------------------------------------------------------


def test_a_row_becomes_a_lead_with_everything_that_it_says() -> None:
    lead = judge(
        nombre=" Ana ", apellidos="Soto", telefono="912345678", telefono2="+34 612 345 678", email="ana@example.com",
        zona_horaria="America/Punta_Arenas", region="cl_ma", prioridad="5.0", fecha_limite="2026-12-24",
        programar="2026-12-01T09:30", producto="crédito", monto="",
    )  # fmt: skip
    assert isinstance(lead, NewLead)
    assert [one.number for one in lead.numbers] == ["+56912345678", "+34612345678"]
    assert (lead.first_name, lead.last_name, lead.email) == ("Ana", "Soto", "ana@example.com")
    assert (lead.time_zone, lead.region, lead.priority) == ("America/Punta_Arenas", "CL-MA", 5)
    assert lead.call_until == date(2026, 12, 24)
    assert lead.call_at == datetime(2026, 12, 1, 12, 30, tzinfo=UTC)
    assert lead.variables == {"producto": "crédito", "monto": ""}


def test_empty_cells_say_nothing() -> None:
    lead = judge(telefono="912345678", nombre=" ", region="", prioridad="", fecha_limite="", programar="")
    assert isinstance(lead, NewLead)
    assert (lead.first_name, lead.region, lead.priority, lead.call_until, lead.call_at) == (None, None, 0, None, None)


def test_cells_missing_at_the_end_are_empty() -> None:
    assert isinstance(_judge(["telefono", "nombre", "monto"]).judge(2, ["912345678"]), NewLead)


@each(
    ("written", "region", "instant"),
    [
        ("2026-12-01T09:30-05:00", "", "2026-12-01T14:30"),
        ("2026-12-01T09:30Z", "CL-MA", "2026-12-01T09:30"),
        ("2026-12-01 09:30", "ES-CN", "2026-12-01T09:30"),
        ("2026-07-01 09:30", "ES-CN", "2026-07-01T08:30"),
        ("2026-12-01T09:30", "", "2026-12-01T12:30"),  # its number says Santiago
        ("2026-09-06T00:30", "", "2026-09-06T04:30"),  # skipped there: moved on by the gap
        ("2026-12-01", "", "2026-12-01T03:00"),
        ("10/12/2026 16:30", "ES-CN", "2026-12-10T16:30"),
        ("2026-12-10 16:30:00 -03:00", "", "2026-12-10T19:30"),
        ("2026-12-10T16:30:00.000Z", "", "2026-12-10T16:30"),
        ("10 de diciembre de 2026 a las 4:30 p. m.", "", "2026-12-10T19:30"),
        ("Dec 10, 2026 4:30 PM", "", "2026-12-10T19:30"),
    ],
)
def test_a_first_call_without_offset_is_meant_in_the_zone_of_the_lead(
    written: str, region: str, instant: str
) -> None:
    judge = RowJudge(
        read_header(["telefono", "region", "programar"]), default_country="CL", default_zone="America/Santiago",
        orders={2: DateOrder.DAY_FIRST},
    )
    lead = judge.judge(2, ["+56223456789", region, written])
    assert isinstance(lead, NewLead)
    assert lead.call_at == datetime.fromisoformat(instant).replace(tzinfo=UTC)


@each(("written", "day"), [
    ("31/12/2026", "2026-12-31"), ("31-12-2026", "2026-12-31"), ("31.12.2026", "2026-12-31"),
    ("12/31/2026", "2026-12-31"), ("20261231", "2026-12-31"), ("2026/12/31", "2026-12-31"), ("46022", "2025-12-31"),
    ("46022.75", "2025-12-31"), ("2026-12-31 00:00:00", "2026-12-31"), ("2026-12-31T00:00:00.000", "2026-12-31"),
    ("2026-12-31T00:00:00Z", "2026-12-31"), ("2027-01-01T02:00:00Z", "2026-12-31"), ("31/12/26", "2026-12-31"),
    ("31 de diciembre de 2026", "2026-12-31"), ("31-dic-26", "2026-12-31"), ("Dec 31, 2026", "2026-12-31"),
    ("jueves, 31 de diciembre del 2026", "2026-12-31"), ("31st of December 2026", "2026-12-31"),
    ("31/12/2026 18:00", "2026-12-31"), ("12/31/2026 11:59 PM", "2026-12-31"), ("7/7/2027", "2027-07-07"),
    ("1 setiembre 2027", "2027-09-01"), ("mar 3 2027", "2027-03-03"), ("martes 2 mar 2027", "2027-03-02"),
])  # fmt: skip
def test_a_last_date_is_taken_where_it_can_mean_one_day(written: str, day: str) -> None:
    lead = judge(telefono="+56223456789", fecha_limite=written)
    assert isinstance(lead, NewLead) and str(lead.call_until) == day


def test_a_time_on_a_last_date_is_noted() -> None:
    judge = _judge(["telefono", "fecha_limite"])
    for written in ("2026-12-31", "2026-12-31 00:00", "31/12/2026 18:00", "30/12/2026 9:00"):
        judge.judge(2, ["912345678", written])
    assert (judge.timed.count, judge.timed.first) == (2, "31/12/2026 18:00")


def test_cells_with_several_numbers_are_noted_and_may_be_refused() -> None:
    found = judge(telefono="912345678 / 987654321")
    assert isinstance(found, NewLead) and len(found.numbers) == 2
    strict = RowJudge(read_header(["telefono"]), default_country="CL", takes_several=False)
    refused = strict.judge(2, ["912345678 / 987654321"])
    assert isinstance(refused, Reject) and "its own column" in refused.reason


def test_a_number_with_decimals_is_no_phone() -> None:
    refused = _judge(["telefono"]).judge(2, [NumberCell("955501085.5")])
    assert isinstance(refused, Reject) and "decimals" in refused.reason
    assert isinstance(_judge(["telefono"]).judge(2, [NumberCell("955501085")]), NewLead)


def test_a_line_of_totals_is_said_to_be_one() -> None:
    refused = _judge(["nombre", "telefono", "monto"]).judge(9, ["TOTAL", "", "1500"])
    assert isinstance(refused, Reject) and refused.reason == "it is a line of totals, and no lead"


def test_a_line_that_repeats_the_header_is_said_to_be_one() -> None:
    refused = _judge(["nombre", "Teléfono"]).judge(9, ["nombre", "TELEFONO"])
    assert isinstance(refused, Reject) and refused.reason == "it repeats the header, and is no lead"


def test_empty_cells_beyond_the_header_are_nothing() -> None:
    assert isinstance(_judge(["telefono"]).judge(2, ["912345678", "", " "]), NewLead)


@each(
    ("cells", "field", "why"),
    [
        ({"telefono": ""}, "telefono", "there is no phone number"),
        ({"telefono": "123"}, "telefono", "too few digits"),
        ({"región": "CL-XX"}, "región", "CL has no region XX; its codes are AI AN"),
        ({"región": "Patagonia"}, "región", "ISO code"), ({"región": "ES-QQ"}, "región", "ES has no region QQ"),
        ({"región": "QQ"}, "región", "no country QQ"),
        ({"región": "FR-LONG"}, "región", "FR has no region LONG"),
        ({"zona_horaria": "Santiago"}, "zona_horaria", "IANA"),
        ({"zona_horaria": "America/Santigo"}, "zona_horaria", "did you mean America/Santiago"),
        ({"fecha_limite": "2026-02-30"}, "fecha_limite", "there is no such date"),
        ({"fecha_limite": "03/04/2026"}, "fecha_limite", "day 3 of month 4 or day 4 of month 3"),
        ({"fecha_limite": "3 de diciembre"}, "fecha_limite", "it names no year"),
        ({"fecha_limite": "fin de mes"}, "fecha_limite", "YYYY-MM-DD"),
        ({"fecha_limite": "2026-12-31 25:00"}, "fecha_limite", "no such time of day"),
        ({"programar": "3 December"}, "programar", "it names no year"),
        ({"programar": "31/02/2026 10:00"}, "programar", "there is no such date"),
        ({"programar": "mañana"}, "programar", "write a date and time"),
        ({"programar": "2039-01-01T00:00Z"}, "programar", "between 1970 and 2038"),
        ({"programar": "0001-01-01T00:00+14:00"}, "programar", "write a date and time"),
        ({"programar": "9999-12-31T23:00-12:00"}, "programar", "write a date and time"),
        ({"programar": "0001-01-01"}, "programar", "between 1970"),
        ({"prioridad": "alta"}, "prioridad", "whole number"),
        ({"prioridad": "99999999999"}, "prioridad", "whole number"),
        ({"prioridad": "1.5"}, "prioridad", "whole number"),
        ({"nombre": "x" * 256}, "nombre", "256 characters and the column holds 255"),
        ({"email": "x" * 256}, "email", "holds 255"),
        ({"nombre": "\ud800"}, "row", "half a character"),
    ],
)
def test_a_bad_row_is_rejected_with_its_line_field_and_reason(cells: dict[str, str], field: str, why: str) -> None:
    verdict = judge(**{"telefono": "912345678", **cells})
    assert isinstance(verdict, Reject)
    assert (verdict.line, verdict.field, verdict.verdict) == (7, field, Verdict.BAD)
    assert why in verdict.reason


def test_a_row_with_more_cells_than_the_header_is_rejected() -> None:
    verdict = _judge(["telefono", "nombre"]).judge(3, ["912345678", "Ana", "Soto"])
    assert isinstance(verdict, Reject)
    assert (verdict.field, verdict.value) == ("row", "Soto")
    assert "3 cells and the header has 2" in verdict.reason


def test_a_bad_extra_phone_is_left_out_and_reported_while_the_lead_is_kept() -> None:
    lead = judge(telefono="912345678", telefono2="123", telefono3="987654321")
    assert isinstance(lead, NewLead)
    assert [one.number for one in lead.numbers] == ["+56912345678", "+56987654321"]
    assert [(one.field, one.value, one.verdict) for one in lead.left_out] == [("telefono2", "123", Verdict.GOOD)]
    assert lead.left_out[0].reason == "warning: phone left out: it has too few digits"


def test_the_same_number_twice_in_a_row_is_one_phone() -> None:
    lead = judge(telefono="912345678", telefono2="+56 9 1234 5678")
    assert isinstance(lead, NewLead)
    assert len(lead.numbers) == 1 and lead.left_out == ()


def test_an_empty_first_phone_gives_its_place_to_the_next() -> None:
    lead = judge(telefono="", telefono2="912345678")
    assert isinstance(lead, NewLead)
    assert lead.numbers[0].number == "+56912345678"


@given(st.lists(st.text(st.characters(), max_size=40), max_size=14))
def test_no_text_raises_anything(cells: list[str]) -> None:
    assert isinstance(FULL.judge(2, cells), NewLead | Reject)


_pieces = st.sampled_from(
    ["+", "56", "9", "12345678", "CL", "-", "MA", "America/", "Santiago", "2026", "T09:30", "Z", "E+10", ".0", "=", '"',
     " ", "\t", "\0", "\ud800", "é", "٣", "0001-01-01", ":", "../", "1e5", "NaN", "+14:00", "x" * 300]
)  # fmt: skip


@given(st.lists(st.lists(_pieces, max_size=5).map("".join), min_size=1, max_size=13))
def test_no_mixture_of_half_right_pieces_raises_anything(cells: list[str]) -> None:
    verdict = FULL.judge(2, ["912345678", *cells])
    if isinstance(verdict, Reject):
        assert verdict.reason and len(verdict.value) <= 120


@given(st.lists(st.text(st.characters(), max_size=20), max_size=12))
def test_any_header_is_read_or_refused(headers: list[str]) -> None:
    try:
        columns = read_header(headers)
    except InvalidValue:
        return
    assert columns.phones and len(columns.headers) == len(headers)


# --- rows among rows ----------------------------------------------------------------------------


def test_numbers_that_other_campaigns_have_are_noted_or_left_out() -> None:
    rows = [lead(2, "+56911111111"), lead(3, "+56922222222", "+56933333333")]
    elsewhere = {"+56933333333": Holder(7, 4), "+56911111111": Holder(8, None)}
    noted = settle(rows, seen={}, held={}, barred={}, elsewhere=elsewhere)
    assert noted.added == rows and noted.rejects == []
    assert noted.known == {
        2: "lead 8 of no campaign has this number", 3: "lead 7 of campaign 4 has this number",
    }  # fmt: skip
    skipped = settle(rows, seen={}, held={}, barred={}, elsewhere=elsewhere, skip_known=True)
    assert skipped.added == [] and skipped.seen == {}
    assert [one.verdict for one in skipped.rejects] == [Verdict.DUPLICATE_IN_INSTALLATION] * 2


def test_the_second_row_with_a_number_is_a_duplicate_of_the_first() -> None:
    done = settle([lead(2, "+56911111111"), lead(5, "+56911111111")], seen={}, held={}, barred={})
    assert [row.line for row in done.added] == [2]
    assert [(one.line, one.verdict, one.reason) for one in done.rejects] == [
        (5, Verdict.DUPLICATE_IN_FILE, "duplicate: line 2 has this number")
    ]


def test_a_row_is_a_duplicate_when_any_of_its_numbers_is_taken() -> None:
    rows = [lead(2, "+56911111111", "+56922222222"), lead(3, "+56933333333", "+56922222222")]
    assert [one.line for one in settle(rows, seen={}, held={}, barred={}).rejects] == [3]


def test_numbers_of_earlier_rows_and_of_leads_in_the_table_are_taken() -> None:
    rows = [lead(9, "+56911111111"), lead(10, "+56922222222"), lead(11, "+56933333333")]
    done = settle(rows, seen={small_key("+56911111111"): 4}, held={"+56922222222": 77}, barred={})
    assert [row.line for row in done.added] == [11]
    assert [one.reason for one in done.rejects] == [
        "duplicate: line 4 has this number", "duplicate: lead 77 has this number",
    ]  # fmt: skip


def test_a_barred_first_number_rejects_the_row_and_takes_no_number() -> None:
    rows = [lead(2, "+56911111111", "+56922222222"), lead(3, "+56922222222")]
    done = settle(rows, seen={}, held={}, barred={"+56911111111": "asked us"})
    assert [row.line for row in done.added] == [3]
    assert [(one.verdict, one.reason) for one in done.rejects] == [(Verdict.DO_NOT_CALL, "do_not_call: asked us")]


def test_a_barred_extra_number_is_left_out() -> None:
    done = settle([lead(2, "+56911111111", "+56922222222")], seen={}, held={}, barred={"+56922222222": "asked us"})
    assert [one.number for one in done.added[0].numbers] == ["+56911111111"]
    assert [(one.verdict, one.value) for one in done.rejects] == [(Verdict.GOOD, "+56922222222")]


_numbers = st.sampled_from([f"+5691111111{digit}" for digit in range(8)])


@given(st.lists(st.lists(_numbers, min_size=1, max_size=3, unique=True), max_size=12), st.data())
def test_no_number_is_ever_taken_twice_and_chunks_do_not_matter(rows: list[list[str]], data: st.DataObject) -> None:
    file = [lead(line, *numbers) for line, numbers in enumerate(rows, 2)]
    cut = data.draw(st.integers(0, len(file)))
    first = settle(file[:cut], seen={}, held={}, barred={})
    second = settle(file[cut:], seen=first.seen, held={}, barred={})
    taken = [one.number for row in first.added + second.added for one in row.numbers]
    assert len(taken) == len(set(taken))
    assert first.added + second.added == settle(file, seen={}, held={}, barred={}).added


# --- cells for people's spreadsheets --------------------------------------------------------------


@each("cell", ["=1+1", "+56912345678", "-5", "@import", "\tx", "\rx"])
def test_a_cell_that_could_be_a_formula_is_neutralised(cell: str) -> None:
    assert neutralise(cell) == "'" + cell


@given(st.text())
def test_a_neutralised_cell_is_restored(cell: str) -> None:
    assert restore(neutralise(cell)) == restore(cell)
    if not cell.startswith("'"):
        assert restore(neutralise(cell)) == cell


def test_a_mended_rejects_file_is_read_without_its_own_columns() -> None:
    columns = read_header([*REJECT_COLUMNS, "telefono", "monto"])
    lead = RowJudge(columns, default_country="CL").judge(2, ["9", "telefono", "x", "why", "'+56912345678", "'-5"])
    assert isinstance(lead, NewLead)
    assert lead.numbers[0].number == "+56912345678" and lead.variables == {"monto": "-5"}


# --- what the claims above need -------------------------------------------------------------------


def _judge(headers: list[str]) -> RowJudge:
    return RowJudge(read_header(headers), default_country="CL", default_zone="America/Santiago")


FULL = _judge(["telefono", "telefono2", "telefono3", "nombre", "apellidos", "email", "region", "zona_horaria",
               "prioridad", "fecha_limite", "programar", "producto"])  # fmt: skip


def judge(**cells: str) -> NewLead | Reject:
    return _judge(list(cells)).judge(7, list(cells.values()))


def lead(line: int, *numbers: str) -> NewLead:
    found = _judge(["telefono", "telefono2", "telefono3"]).judge(line, numbers)
    assert isinstance(found, NewLead)
    return found


def _answer(read: object, *arguments: str) -> str | None:
    try:
        return read(*arguments)  # type: ignore[operator, no-any-return]
    except InvalidValue:
        return None
