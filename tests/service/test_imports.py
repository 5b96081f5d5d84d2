"""Importing a file: what is added, what is reported, what is refused, and what a second import does."""

from __future__ import annotations

import csv
import threading
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from scheduler.errors import Conflict, DatabaseUnavailable, InvalidValue, NotFound, RingbackError
from scheduler.service.imports import CHUNK, ImportReport, import_leads
from scheduler.service.runtime import Runtime
from scheduler.store.database import Database
from tests.conftest import NOON, sqlite_suffices
from tests.factories import add_campaign, add_lead, bar, set_config, sql

# --- what is added --------------------------------------------------------------------------------


def test_a_good_row_becomes_a_lead_with_its_phones_and_a_first_call_at_once(runtime: Runtime, tmp_path: Path) -> None:
    campaign_id = add_campaign(runtime.database, "renewals")
    path = write(
        tmp_path,
        "Nombre;Apellidos;Teléfono;Teléfono 2;Correo;Región;Fecha límite;Prioridad;Producto",
        "Ana;Muñoz;9 1234 5678;+34 612345678;ana@example.com;cl-ma;2026-12-24;5;crédito",
    )
    report = run(runtime, path, campaign="renewals")
    assert replace(report, assumptions=()) == ImportReport(
        read=1, added=1, duplicates=0, rejected=0, rejects_path=None,
        warnings=("kept as variables for the voice agent: Producto",), import_id=report.import_id, verdicts={"good": 1},
    )  # fmt: skip
    lead = one(runtime, "SELECT * FROM leads")
    assert lead["campaign_id"] == campaign_id and lead["telefono"] == "+56912345678"
    assert (lead["nombre"], lead["apellidos"], lead["email"]) == ("Ana", "Muñoz", "ana@example.com")
    assert (lead["region"], str(lead["fecha_limite"]), lead["priority"]) == ("CL-MA", "2026-12-24", 5)
    assert lead["lead_status"] == "open" and lead["variables"] == '{"Producto": "crédito"}'
    assert table(runtime, "SELECT lead_id, position, telefono, status FROM lead_phones ORDER BY position") == [
        {"lead_id": lead["id"], "position": 1, "telefono": "+56912345678", "status": "active"},
        {"lead_id": lead["id"], "position": 2, "telefono": "+34612345678", "status": "active"},
    ]
    call = one(runtime, "SELECT * FROM call_schedule")
    assert (call["lead_id"], call["campaign_id"], call["status"]) == (lead["id"], campaign_id, "pending")
    assert (call["attempt_number"], call["phone_position"], call["reason"]) == (1, 1, "imported")
    assert instant(call["scheduled_at"]) == NOON


def test_a_first_call_is_planned_for_the_instant_that_the_row_names(runtime: Runtime, tmp_path: Path) -> None:
    path = write(tmp_path, "telefono,programar,region", "912345678,2026-12-01T09:30,CL-MA")
    run(runtime, path)
    assert instant(one(runtime, "SELECT scheduled_at FROM call_schedule")["scheduled_at"]) == datetime(
        2026, 12, 1, 12, 30, tzinfo=UTC
    )


def test_every_lead_of_a_file_longer_than_a_chunk_has_its_own_phones_and_call(runtime: Runtime, tmp_path: Path) -> None:
    rows = CHUNK * 2 + 7
    path = write(tmp_path, "nombre,telefono,telefono2", *(f"N{i},{number(i)},{number(i + rows)}" for i in range(rows)))
    assert run(runtime, path).added == rows
    joined = table(
        runtime,
        "SELECT l.nombre, l.telefono, p.telefono AS first, q.telefono AS second, s.status FROM leads l "
        "JOIN lead_phones p ON p.lead_id = l.id AND p.position = 1 "
        "JOIN lead_phones q ON q.lead_id = l.id AND q.position = 2 JOIN call_schedule s ON s.lead_id = l.id",
    )
    expected = {(f"N{i}", number(i), number(i), number(i + rows), "pending") for i in range(rows)}
    assert {tuple(row.values()) for row in joined} == expected and len(joined) == rows


def test_ids_with_gaps_and_leads_of_others_in_between_do_not_mix_up_phones(runtime: Runtime, tmp_path: Path) -> None:
    other = add_campaign(runtime.database, "other")
    ours = add_campaign(runtime.database, "ours")
    add_lead(runtime.database, number(1), campaign_id=other)
    sql(runtime.database, "DELETE FROM leads WHERE id = :id", id=add_lead(runtime.database, number(9)))
    run(runtime, write(tmp_path, "nombre,telefono", f"A,{number(1)}", f"B,{number(2)}"), campaign="ours")
    added = table(
        runtime,
        f"SELECT l.nombre, p.telefono, s.campaign_id FROM leads l JOIN lead_phones p ON p.lead_id = l.id "
        f"JOIN call_schedule s ON s.lead_id = l.id WHERE l.campaign_id = {ours} ORDER BY l.nombre",
    )
    assert [tuple(row.values()) for row in added] == [("A", number(1), ours), ("B", number(2), ours)]


def test_text_that_looks_like_sql_or_like_a_placeholder_is_kept_as_it_is(runtime: Runtime, tmp_path: Path) -> None:
    name = "O'Higgins %s %(x)s :y ? \\ \" 🙂"
    path = tmp_path / "leads.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["nombre", "telefono", "50% off: ?"], [name, number(1), name]])
    run(runtime, path)
    lead = one(runtime, "SELECT nombre, variables FROM leads")
    assert lead["nombre"] == name and name.replace("\\", "\\\\").replace('"', '\\"') in lead["variables"]


@sqlite_suffices
@pytest.mark.parametrize(
    ("encoding", "option"),
    [("utf-8", "utf-8-sig"), ("utf-8-sig", "utf-8"), ("cp1252", "latin-1"), ("utf-16", "utf-16")],
)
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_encodings_and_delimiters_of_spreadsheets_are_read(
    runtime: Runtime, tmp_path: Path, encoding: str, option: str, delimiter: str
) -> None:
    lines = [["Teléfono", "Nombre"], [number(1), "Núñez, Ana; sí\tno"]]
    path = tmp_path / "leads.csv"
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(lines)
    assert run(runtime, path, encoding=option).added == 1
    assert one(runtime, "SELECT nombre FROM leads")["nombre"] == "Núñez, Ana; sí\tno"


def test_the_line_that_excel_writes_above_the_header_names_the_delimiter(runtime: Runtime, tmp_path: Path) -> None:
    assert run(runtime, write(tmp_path, "sep=;", "telefono;nombre", f"{number(1)};Ana")).added == 1


# --- what is reported -----------------------------------------------------------------------------


def test_bad_rows_are_reported_with_line_field_and_reason_and_good_ones_are_kept(
    runtime: Runtime, tmp_path: Path
) -> None:
    path = write(
        tmp_path,
        "nombre,telefono,telefono2,region",
        f'"two\nlines",{number(1)},,',
        "",
        "bad,12345,,",
        f"worse,{number(2)},,CL-XX",
        f"kept,{number(3)},999,",
        f"again,{number(1)},,",
        f"long,{number(4)},,,more",
        f'"quoted" name,{number(5)},,',
        f"last,{number(6)},,CL",
    )
    report = run(runtime, path)
    assert (report.read, report.added, report.duplicates, report.rejected) == (8, 3, 1, 4)
    assert report.rejects_path == path.with_name("leads.csv.rejects.csv")
    found = read_rejects(report)
    assert [(row["line"], row["field"], row["value"]) for row in found] == [
        ("5", "telefono", "12345"),
        ("6", "region", "CL-XX"),
        ("7", "telefono2", "999"),
        ("8", "telefono", "'" + number(1)),
        ("9", "row", "more"),
        ("10", "row", ""),
    ]
    assert found[0]["reason"] == "it has too few digits"
    assert found[2]["reason"].startswith("warning: phone left out")
    assert found[3]["reason"] == "duplicate: line 2 has this number"
    assert [found[1][name] for name in ("nombre", "telefono", "region")] == ["worse", "'" + number(2), "CL-XX"]
    assert [one.line for one in report.first_rejects] == [5, 6, 7, 8, 9, 10]
    assert [row["nombre"] for row in table(runtime, "SELECT nombre FROM leads ORDER BY id")] == [
        "two\nlines", "kept", "last",
    ]  # fmt: skip


def test_no_cell_of_the_rejects_file_is_a_formula(runtime: Runtime, tmp_path: Path) -> None:
    path = write(tmp_path, "nombre,telefono,=nota", "=cmd(),+1,@x")
    cells = [cell for row in csv.reader(run_rejects(runtime, path).open(newline="")) for cell in row]
    assert not any(cell.startswith(("=", "+", "-", "@", "\t")) for cell in cells)


def test_a_mended_rejects_file_is_imported_as_it_is(runtime: Runtime, tmp_path: Path) -> None:
    path = write(tmp_path, "nombre,telefono,saldo", f"Ana,{number(1)},1", "Eva,12,-5")
    rejects = run_rejects(runtime, path)
    rejects.write_text(rejects.read_text().replace(",12,'-5", f",{number(2)},'-5"))
    assert run(runtime, rejects).added == 1
    assert one(runtime, "SELECT variables FROM leads WHERE nombre = 'Eva'")["variables"] == '{"saldo": "-5"}'


def test_a_rejects_file_of_an_earlier_import_does_not_outlive_its_rows(runtime: Runtime, tmp_path: Path) -> None:
    rejects = run_rejects(runtime, write(tmp_path, "telefono", "12"))
    run(runtime, write(tmp_path, "telefono", number(1)))
    assert not rejects.exists() and [one.name for one in tmp_path.iterdir() if one.suffix == ".csv"] == ["leads.csv"]


def test_a_number_on_the_do_not_call_list_is_rejected_while_the_bar_lasts(runtime: Runtime, tmp_path: Path) -> None:
    for at, expires in ((1, None), (2, "2020-01-01 00:00:00"), (3, None)):
        sql(
            runtime.database,
            "INSERT INTO do_not_call (telefono, reason, expires_at) VALUES (:number, 'asked us', :expires)",
            number=number(at), expires=expires,
        )  # fmt: skip
    path = write(tmp_path, "telefono,telefono2", f"{number(1)},", f"{number(2)},", f"{number(4)},{number(3)}")
    report = run(runtime, path)
    assert (report.added, report.rejected) == (2, 1)
    assert [(row["line"], row["reason"]) for row in read_rejects(report)] == [
        ("2", "do_not_call: asked us"),
        ("4", "warning: phone left out: do_not_call: asked us"),
    ]
    assert len(table(runtime, "SELECT * FROM lead_phones")) == 2


def test_progress_ends_at_the_size_of_the_file(runtime: Runtime, tmp_path: Path) -> None:
    path = write(tmp_path, "telefono", *(number(i) for i in range(CHUNK + 1)))
    seen: list[tuple[int, int]] = []
    run(runtime, path, on_progress=lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen) and seen[-1] == (path.stat().st_size, path.stat().st_size)


# --- spreadsheets ---------------------------------------------------------------------------------


def test_a_spreadsheet_is_imported_as_a_csv_file_is(runtime: Runtime, tmp_path: Path) -> None:
    path = write_sheet(
        tmp_path,
        ["Cartera"],
        ["Nombre", "Teléfono", "Teléfono 2", "Fecha límite", "Monto"],
        ["Ana", 912345678, "+34 612 345 678 (casa)", date(2026, 12, 24), 1500.5],
        [],
        ["Eva", "912345679 / 912345670", None, None, 0.15],
        ["Bob", "12", None, None, 1],
        ["Ida", 912345678, None, None, 1],
    )
    seen: list[tuple[int, int]] = []
    report = run(runtime, path, on_progress=lambda done, total: seen.append((done, total)))
    assert (report.read, report.added, report.duplicates, report.rejected) == (4, 2, 1, 1)
    assert [(row["line"], row["reason"]) for row in read_rejects(report)] == [
        ("6", "it has too few digits"), ("7", "duplicate: line 3 has this number"),
    ]  # fmt: skip
    leads = table(runtime, "SELECT nombre, telefono, fecha_limite, variables FROM leads ORDER BY id")
    assert [(row["nombre"], row["telefono"], row["variables"]) for row in leads] == [
        ("Ana", "+56912345678", '{"Monto": "1500.5"}'), ("Eva", "+56912345679", '{"Monto": "0.15"}'),
    ]  # fmt: skip
    assert str(leads[0]["fecha_limite"]) == "2026-12-24"
    phones = table(runtime, "SELECT telefono FROM lead_phones ORDER BY lead_id, position")
    assert [row["telefono"] for row in phones] == ["+56912345678", "+34612345678", "+56912345679", "+56912345670"]
    assert seen[-1][0] == seen[-1][1] > 0
    assert run(runtime, path).added == 0


def test_a_spreadsheet_is_known_by_its_content_whatever_its_name(runtime: Runtime, tmp_path: Path) -> None:
    path = write_sheet(tmp_path, ["telefono"], [912345678]).rename(tmp_path / "leads.csv")
    assert run(runtime, path).added == 1
    text = write(tmp_path, "telefono", number(1), name="text.xlsx")
    assert run(runtime, text).added == 1


def test_a_spreadsheet_that_cannot_be_read_to_its_end_adds_nothing(runtime: Runtime, tmp_path: Path) -> None:
    path = write_sheet(tmp_path, ["telefono"], *([number(i)] for i in range(CHUNK * 2)))
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    name = next(name for name in parts if "sheet1" in name)
    parts[name] = parts[name].replace(b"</sheetData>", b"</sheetDat>")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for part, content in parts.items():
            archive.writestr(part, content)
    with pytest.raises(InvalidValue, match=r"sheet1\.xml is broken"):
        run(runtime, path)
    assert count(runtime, "leads") == count(runtime, "imports") == 0


# --- verdicts -------------------------------------------------------------------------------------


def test_every_row_gets_a_verdict(runtime: Runtime, tmp_path: Path) -> None:
    settings = {"allowed_countries": ["CL", "ES"], "required_variables": ["Deuda"]}
    ours = add_campaign(runtime.database, "ours", call_settings=settings)
    other = add_campaign(runtime.database, "other")
    held = add_lead(runtime.database, number(1), campaign_id=ours)
    known = add_lead(runtime.database, number(2), campaign_id=other)
    bar(runtime.database, number(3))
    path = write(
        tmp_path, "telefono,deuda,región",
        f"{number(9)},5,CL-MA", f"{number(9)},5,", f"{number(1)},5,", f"{number(2)},5,", f"{number(3)},5,",
        f"{number(4)},,", "+12125550123,5,", "+34803456789,5,", "+8816 123 45678,5,", "12,5,", "+34612345678,7,",
    )  # fmt: skip
    report = run(runtime, path, campaign="ours", verdicts_path=tmp_path / "all.csv")
    rows = read_csv(tmp_path / "all.csv")
    assert [(int(row["line"]), row["verdict"]) for row in rows] == [
        (2, "good"), (3, "duplicate_in_file"), (4, "duplicate_in_campaign"), (5, "good"), (6, "do_not_call"),
        (7, "missing_variable"), (8, "not_allowed_country"), (9, "premium"), (10, "not_allowed_country"), (11, "bad"),
        (12, "good"),
    ]  # fmt: skip
    assert report.verdicts == {
        "good": 3, "not_allowed_country": 2, "duplicate_in_file": 1, "duplicate_in_campaign": 1, "do_not_call": 1,
        "missing_variable": 1, "premium": 1, "bad": 1,
    }  # fmt: skip
    reasons = {int(row["line"]): row["reason"] for row in rows}
    assert reasons[4] == f"duplicate: lead {held} has this number"
    assert reasons[5] == f"lead {known} of campaign {other} has this number"
    assert reasons[7] == "the campaign's agent needs Deuda, and it is empty"
    assert "it is in US, and allowed_countries holds only CL, ES" in reasons[8]
    assert "premium-rate" in reasons[9] and "belongs to no country" in reasons[10] and "too few digits" in reasons[11]
    assert [rows[0][name] for name in ("numbers", "countries", "zones")] == [
        "'" + number(9), "CL", "America/Punta_Arenas",
    ]  # fmt: skip
    assert [rows[-1][name] for name in ("kinds", "countries")] == ["mobile", "ES"]
    assert report.known_elsewhere == 1 and any("1 rows were added whose number" in one for one in report.warnings)
    assert one(runtime, f"SELECT variables FROM leads WHERE telefono = '{number(9)}'")["variables"] == '{"Deuda": "5"}'


def test_numbers_that_other_campaigns_have_can_be_left_out(runtime: Runtime, tmp_path: Path) -> None:
    other = add_campaign(runtime.database, "other")
    known = add_lead(runtime.database, number(2), campaign_id=other)
    by_hand = "INSERT INTO leads (nombre, telefono, campaign_id) VALUES ('Ana', :number, :campaign)"
    sql(runtime.database, by_hand, number=number(3), campaign=other)
    path = write(tmp_path, "telefono", number(1), number(2), number(3))
    report = run(runtime, path, skip_known=True)
    assert report.verdicts == {"duplicate_in_installation": 2, "good": 1} and report.duplicates == 2
    assert report.first_rejects[0].reason == f"duplicate: lead {known} of campaign {other} has this number"
    again = run(runtime, path)
    assert (again.added, again.duplicates, again.known_elsewhere) == (2, 1, 2)


def test_a_variable_that_the_agent_needs_and_no_column_brings_is_named(runtime: Runtime, tmp_path: Path) -> None:
    add_campaign(runtime.database, "debts", call_settings={"required_variables": ["deuda", "nombre"]})
    report = run(runtime, write(tmp_path, "telefono,nombre,Monto", f"{number(1)},Ana,5"), campaign="debts")
    (reject,) = report.first_rejects
    assert reject.reason == (
        "the campaign's agent needs deuda, and there is no such column; add it, or say --map variable:deuda=HEADER"
    )
    mapped = write(tmp_path, "telefono,nombre,Monto", f"{number(1)},Ana,5", f"{number(2)},,5")
    done = run(runtime, mapped, campaign="debts", column_map=["variable:deuda=Monto"])
    assert done.verdicts == {"good": 1, "missing_variable": 1}


def test_a_campaign_can_only_narrow_the_countries_of_the_installation(runtime: Runtime, tmp_path: Path) -> None:
    set_config(runtime.database, allowed_countries="CL")
    report = run(runtime, write(tmp_path, "telefono,telefono2", f"{number(1)},+34612345678", "+34612345679,"))
    assert report.verdicts == {"good": 1, "not_allowed_country": 1} and count(runtime, "lead_phones") == 1
    assert read_rejects(report)[0]["reason"].startswith("warning: phone left out: it is in ES")


@pytest.mark.parametrize(
    ("options", "dates"),
    [
        ({"deadline_days": 30}, ["2026-12-20", "2026-12-01"]),
        ({"deadline_days": 0}, ["2026-11-20", "2026-12-01"]),
        ({"deadline": date(2027, 1, 31)}, ["2027-01-31", "2026-12-01"]),
        ({}, ["None", "2026-12-01"]),
    ],
)
def test_rows_without_a_last_date_get_that_of_the_import(
    runtime: Runtime, tmp_path: Path, options: dict[str, Any], dates: list[str]
) -> None:
    run(runtime, write(tmp_path, "telefono,fecha_limite", f"{number(1)},", f"{number(2)},2026-12-01"), **options)
    found = table(runtime, "SELECT fecha_limite FROM leads ORDER BY id")
    assert [str(row["fecha_limite"]) for row in found] == dates


def test_no_cell_of_the_verdicts_file_is_a_formula(runtime: Runtime, tmp_path: Path) -> None:
    path = write(tmp_path, "telefono", "=cmd()", "@x", number(1))
    run(runtime, path, dry_run=True, verdicts_path=tmp_path / "all.csv")
    with (tmp_path / "all.csv").open(newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert len(cells) > 20 and not any(cell.startswith(("=", "+", "-", "@", "\t")) for cell in cells)
    assert count(runtime, "leads") == 0


def test_a_dry_run_tells_kinds_countries_and_zones_of_good_rows(runtime: Runtime, tmp_path: Path) -> None:
    path = write(tmp_path, "telefono", "+34612345678", "+34912345678", "+56221234567", "12")
    report = run(runtime, path, dry_run=True)
    assert report.kinds == {"mobile": 1, "fixed": 1, "fixed_or_mobile": 1} and report.countries == {"ES": 2, "CL": 1}
    assert report.zones["America/Santiago"] == 1


# --- again ----------------------------------------------------------------------------------------


def test_the_same_file_twice_adds_nothing(runtime: Runtime, tmp_path: Path) -> None:
    path = write(tmp_path, "nombre,telefono,telefono2", f"Ana,{number(1)},{number(2)}", f"Eva,{number(3)},")
    assert run(runtime, path).added == 2
    again = run(runtime, path)
    assert (again.read, again.added, again.duplicates) == (2, 0, 2)
    lead_id = one(runtime, "SELECT id FROM leads WHERE nombre = 'Ana'")["id"]
    assert read_rejects(again)[0]["reason"] == f"duplicate: lead {lead_id} has this number"
    assert [count(runtime, name) for name in ("leads", "lead_phones", "call_schedule")] == [2, 3, 2]


def test_a_number_is_a_duplicate_only_within_its_campaign(runtime: Runtime, tmp_path: Path) -> None:
    add_campaign(runtime.database, "one")
    add_campaign(runtime.database, "two")
    path = write(tmp_path, "telefono", number(1))
    assert [run(runtime, path, campaign=of).added for of in ("one", "two", None, "one", None)] == [1, 1, 1, 0, 0]


def test_a_lead_written_by_hand_without_phone_rows_holds_its_number(runtime: Runtime, tmp_path: Path) -> None:
    sql(runtime.database, "INSERT INTO leads (nombre, telefono) VALUES ('Ana', :number)", number=number(1))
    assert run(runtime, write(tmp_path, "telefono", number(1))).duplicates == 1


def test_an_extra_phone_of_another_lead_is_taken_too(runtime: Runtime, tmp_path: Path) -> None:
    add_lead(runtime.database, number(1), number(2))
    assert run(runtime, write(tmp_path, "telefono", number(2))).duplicates == 1


def test_a_dry_run_counts_and_writes_nothing(runtime: Runtime, tmp_path: Path) -> None:
    path = write(tmp_path, "telefono", number(1), number(1), "12")
    dry = run(runtime, path, dry_run=True)
    assert (dry.read, dry.added, dry.duplicates, dry.rejected, dry.rejects_path) == (3, 1, 1, 1, None)
    assert count(runtime, "leads") == 0 and list(tmp_path.glob("*rejects*")) == []
    asked = run(runtime, path, dry_run=True, rejects_path=tmp_path / "why.csv")
    assert len(read_rejects(asked)) == 2 and count(runtime, "leads") == 0


def test_an_import_that_breaks_off_leaves_whole_chunks_and_a_repeat_adds_the_rest(
    runtime: Runtime, tmp_path: Path
) -> None:
    rows = CHUNK * 3
    path = write(tmp_path, "telefono", *(number(i) for i in range(rows)))
    breaking = Breaking(runtime.database, good=3)  # the first one writes the import itself
    with pytest.raises(DatabaseUnavailable, match=f"{CHUNK * 2} leads were added before"):
        run(Runtime(runtime.settings, breaking, runtime.clock, runtime.providers), path)
    assert [count(runtime, name) for name in ("leads", "lead_phones", "call_schedule")] == [CHUNK * 2] * 3
    again = run(runtime, path)
    assert (again.added, again.duplicates) == (CHUNK, CHUNK * 2)
    assert count(runtime, "leads") == count(runtime, "call_schedule") == rows


def test_two_imports_of_one_file_at_the_same_time_add_each_lead_once(runtime: Runtime, tmp_path: Path) -> None:
    add_campaign(runtime.database, "shared")
    rows = CHUNK + CHUNK // 2
    lines = [f"{number(i)},{number(i + rows)}" for i in range(rows)]
    forth = write(tmp_path, "telefono,telefono2", *lines, name="forth.csv")
    swapped = write(tmp_path, "telefono2,telefono", *lines, name="swapped.csv")
    start = threading.Barrier(2)

    def start_together(path: Path) -> ImportReport:
        start.wait()
        return run(runtime, path, campaign="shared")

    with ThreadPoolExecutor(2) as pool:
        reports = list(pool.map(start_together, (forth, swapped)))
    assert sum(report.added for report in reports) == sum(report.duplicates for report in reports) == rows
    assert count(runtime, "leads") == count(runtime, "call_schedule") == rows
    assert len(table(runtime, "SELECT DISTINCT telefono FROM lead_phones")) == count(runtime, "lead_phones") == 2 * rows


# --- campaigns ------------------------------------------------------------------------------------


@pytest.mark.parametrize("by_id", [False, True])
def test_a_campaign_is_named_by_its_code_or_its_id(runtime: Runtime, tmp_path: Path, by_id: bool) -> None:
    campaign_id = add_campaign(runtime.database, "renewals")
    run(runtime, write(tmp_path, "telefono", number(1)), campaign=str(campaign_id) if by_id else "renewals")
    assert one(runtime, "SELECT campaign_id FROM leads")["campaign_id"] == campaign_id


def test_new_leads_make_a_completed_campaign_active_again(runtime: Runtime, tmp_path: Path) -> None:
    add_campaign(runtime.database, "done", status="completed", completed_at=NOON)
    report = run(runtime, write(tmp_path, "telefono", number(1)), campaign="done")
    assert report.warnings == ("campaign done was completed and is active again",)
    campaign = one(runtime, "SELECT status, completed_at FROM campaigns")
    assert (campaign["status"], campaign["completed_at"]) == ("active", None)


def test_a_completed_campaign_stays_so_when_nothing_is_added(runtime: Runtime, tmp_path: Path) -> None:
    campaign_id = add_campaign(runtime.database, "done", status="completed")
    add_lead(runtime.database, number(1), campaign_id=campaign_id)
    run(runtime, write(tmp_path, "telefono", number(1)), campaign="done")
    assert one(runtime, "SELECT status FROM campaigns")["status"] == "completed"


def test_a_cancelled_campaign_takes_no_leads(runtime: Runtime, tmp_path: Path) -> None:
    add_campaign(runtime.database, "gone", status="cancelled")
    with pytest.raises(Conflict, match="campaign gone is cancelled"):
        run(runtime, write(tmp_path, "telefono", number(1)), campaign="gone")


def test_a_campaign_that_does_not_exist_is_named(runtime: Runtime, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="there is no campaign nobody"):
        run(runtime, write(tmp_path, "telefono", number(1)), campaign="nobody")


# --- files that cannot be imported ------------------------------------------------------------------


@sqlite_suffices
@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "it is empty"),
        (b"\n \n", "it is empty"),
        (b"\xef\xbb\xbf", "it is empty"),
        (b"telefono,nombre\n", "a header and no rows"),
        (b"telefono,nombre\n\n,\n", "a header and no rows"),
        (b"nombre,correo\nAna,x\n", "a column telefono"),
        (b"PK\x03\x04\x14\x00", "it is broken .* open it in Excel and save it again"),
        (b"\xd0\xcf\x11\xe0\xa1", r"an old spreadsheet \(.xls\) or one with a password; save it as .xlsx or CSV"),
        (b"%PDF-1.7", "a PDF; save it as .xlsx or CSV"),
        (b"\r\n<HTML xmlns:x=\"urn\"><table>", "a web page or XML, whatever its name says"),
        (b"\xef\xbb\xbf<?xml version=\"1.0\"?><Workbook>", "a web page or XML, whatever its name says"),
        (b"telefono\n+56912345678\n\x00\n", "line 3 holds a zero byte"),
        ("telefono,nombre\n+56912345678,Ñandú\n".encode() + b"+56912345679,Mu\xf1oz\n", r"\(line 3\).*--encoding"),
        (b"telefono,nombre\n+56912345678,\x81\xfe\n", r"byte 29 \(line 2\).*--encoding"),
        (b"telefono,nombre\n+56912345678,Ana\n+56912345679,\"Eva\n+56912345670,x\n", "line 3: a quote is opened here"),
        (b'telefono,"nombre\n1,2\n', "line 1: a quote is opened here"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_csv_is_refused_in_one_sentence(
    runtime: Runtime, tmp_path: Path, content: bytes, why: str
) -> None:
    path = tmp_path / "leads.csv"
    path.write_bytes(content)
    with pytest.raises(InvalidValue, match=why) as refused:
        run(runtime, path)
    assert "\n" not in str(refused.value)
    assert count(runtime, "leads") == 0 and [one.name for one in tmp_path.glob("*leads*")] == ["leads.csv"]


def test_a_letter_that_is_cut_in_two_by_a_block_is_no_fault_and_a_wrong_one_is_found_after_it(
    runtime: Runtime, tmp_path: Path
) -> None:
    path = tmp_path / "leads.csv"
    head = b"telefono,nota\n" + b",x\n" * 340_000
    edge = 1 << 20  # files are read in blocks of this size
    whole = head + b"," + b"x" * (edge - 1 - len(head) - 1) + "ñ".encode() + b"\n"
    path.write_bytes(whole + b",\xf1\n")
    with pytest.raises(InvalidValue, match=f"byte {len(whole) + 1} .line {340_000 + 3}."):
        run(runtime, path)


def test_a_wrong_encoding_late_in_a_long_file_adds_nothing(runtime: Runtime, tmp_path: Path) -> None:
    path = write(tmp_path, "telefono,nombre", *(f"{number(i)},Ana" for i in range(CHUNK * 2)))
    path.write_bytes(path.read_bytes() + b"+56912345678,\xf1\n")
    with pytest.raises(InvalidValue, match=f"line {CHUNK * 2 + 2}"):
        run(runtime, path, encoding="utf-8")
    assert count(runtime, "leads") == 0


@pytest.mark.parametrize("text", ["nombre,telefono\nAna,nonsense\n", "nombre,telefono\nAna,+56955501001\n"])
def test_rejects_go_into_a_device_and_never_take_its_place(runtime: Runtime, tmp_path: Path, text: str):
    nowhere = tmp_path / "nowhere"
    nowhere.symlink_to("/dev/null")
    (tmp_path / "leads.csv").write_text(text)

    run(runtime, tmp_path / "leads.csv", rejects_path=nowhere)

    assert nowhere.is_symlink() and nowhere.is_char_device()


def test_a_directory_and_a_missing_file_are_named(runtime: Runtime, tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="it is a directory"):
        run(runtime, tmp_path)
    with pytest.raises(InvalidValue, match="there is no such file"):
        run(runtime, tmp_path / "nothing.csv")
    with pytest.raises(InvalidValue, match="not a regular file"):
        run(runtime, Path("/dev/null"))


@sqlite_suffices
@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"encoding": "utf-99"}, "encoding: 'utf-99'"),
        ({"encoding": "base64"}, "encoding: 'base64'"),
        ({"delimiter": ";;"}, "one character"),
        ({"default_country": "Chile"}, "two ISO letters"),
        ({"deadline": date(2026, 11, 19)}, "it is past; today is 2026-11-20"),
        ({"deadline_days": -1}, "a whole number from 0 to 3650"),
        ({"deadline_days": 1, "deadline": date(2027, 1, 1)}, "not both"),
        ({"sheet": "Hoja1"}, "it has no sheets"),
        ({"column_map": ["phone"]}, "write FIELD=HEADER"),
        ({"column_map": ["phone=Celular"]}, "there is no such column; the columns are telefono"),
        ({"verdicts_path": Path("/nowhere/all.csv")}, "verdicts file"),
        ({"verdicts_path": Path("one.csv"), "rejects_path": Path("one.csv")}, "the rejects go there"),
    ],
)
def test_an_option_that_cannot_be_used_is_refused(
    runtime: Runtime, tmp_path: Path, options: dict[str, Any], why: str
) -> None:
    with pytest.raises(InvalidValue, match=why):
        run(runtime, write(tmp_path, "telefono", number(1)), **options)


def test_rejects_that_cannot_be_written_stop_the_import_before_it_begins(runtime: Runtime, tmp_path: Path) -> None:
    path = write(tmp_path, "telefono", number(1), "12")
    for place in (tmp_path / "nowhere" / "why.csv", tmp_path, path):
        with pytest.raises(RingbackError, match="rejects file"):
            run(runtime, path, rejects_path=place)
    assert count(runtime, "leads") == 0


# --- the example ----------------------------------------------------------------------------------


def test_the_example_has_leads_of_six_countries_and_some_bad_rows(runtime: Runtime, tmp_path: Path) -> None:
    example = Path(__file__).parents[2] / "examples" / "leads.csv"
    report = run(runtime, example, rejects_path=tmp_path / "why.csv")
    assert report.added >= 220 and report.duplicates >= 1 and 8 <= report.rejected <= 20
    firsts = {row["telefono"][:3] for row in table(runtime, "SELECT telefono FROM leads")}
    assert firsts == {"+56", "+54", "+34", "+57", "+52", "+12", "+13", "+16", "+18", "+19", "+14", "+17"} & firsts
    assert {"+56", "+54", "+34", "+57", "+52"} <= firsts


def test_no_number_of_the_example_can_reach_anybody(runtime: Runtime, tmp_path: Path) -> None:
    import phonenumbers

    example = Path(__file__).parents[2] / "examples" / "leads.csv"
    run(runtime, example, rejects_path=tmp_path / "why.csv")
    numbers = [row["telefono"] for row in table(runtime, "SELECT telefono FROM lead_phones")]
    for one_number in numbers:
        parsed = phonenumbers.parse(one_number)
        national = str(parsed.national_number)
        is_fictional = parsed.country_code == 1 and national[3:8] == "55501"
        assert is_fictional or not phonenumbers.is_valid_number(parsed), one_number


# --- what the claims above need -------------------------------------------------------------------


class Breaking(Database):
    """A database that goes away after some transactions."""

    def __init__(self, real: Database, good: int) -> None:
        self.__dict__.update(real.__dict__)
        self._good = good

    def transact(self, work: Any) -> Any:
        if self._good == 0:
            raise DatabaseUnavailable("gone")
        self._good -= 1
        return super().transact(work)


def run(runtime: Runtime, path: Path, **options: Any) -> ImportReport:
    return import_leads(path, runtime=runtime, **{"default_country": "CL", **options})


def run_rejects(runtime: Runtime, path: Path) -> Path:
    found = run(runtime, path).rejects_path
    assert found is not None
    return found


def write(folder: Path, *lines: str, name: str = "leads.csv") -> Path:
    path = folder / name
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def write_sheet(folder: Path, *rows: Sequence[Any]) -> Path:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    path = folder / "leads.xlsx"
    book.save(path)
    return path


def read_rejects(report: ImportReport) -> list[dict[str, str]]:
    assert report.rejects_path is not None
    return read_csv(report.rejects_path)


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def number(i: int) -> str:
    return f"+569{20_000_000 + i}"


def table(runtime: Runtime, query: str) -> list[dict[str, Any]]:
    return runtime.database.read(
        lambda connection: [dict(row) for row in connection.exec_driver_sql(query).mappings()]
    )


def one(runtime: Runtime, query: str) -> dict[str, Any]:
    (row,) = table(runtime, query)
    return row


def count(runtime: Runtime, name: str) -> int:
    return int(one(runtime, f"SELECT COUNT(*) AS total FROM {name}")["total"])


def instant(value: object) -> datetime:
    """A TIMESTAMP as either driver gives it: the session of every connection is in UTC."""
    return datetime.fromisoformat(str(value)).replace(tzinfo=UTC)
