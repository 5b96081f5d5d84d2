"""`ringback imports`, and what `ringback leads import` says of a file."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from scheduler.store import tables
from scheduler.store.database import Database
from tests.cli.conftest import Ringback
from tests.conftest import on_every_engine
from tests.factories import add_campaign, add_lead, find_all, sql


@pytest.mark.parametrize("option", ["--rejects", "--verdicts"])
def test_a_file_that_is_to_be_written_where_no_folder_is_names_that_folder(
    ringback: Ringback, database: Database, tmp_path: Path, option: str
) -> None:
    file = write(tmp_path, "telefono", "912345678")

    said = ringback.refused("leads", "import", file, option, "var/out.csv")

    assert "there is no folder var; make it first, or name another place" in said
    assert find_all(database, tables.leads) == []


@on_every_engine
def test_an_import_is_listed_shown_and_taken_back(ringback: Ringback, database: Database, tmp_path: Path) -> None:
    add_campaign(database, "autumn")
    file = write(tmp_path, "telefono", "912345678", "912345679", "12")
    said = ringback.ok("leads", "import", file, "--campaign", "autumn")
    assert "verdicts: 2 good, 1 bad" in said
    (row,) = ringback.json("imports", "list", "--campaign", "autumn")
    assert (row["campaign"], row["status"], row["added"], row["rejected"]) == ("autumn", "done", 2, 1)
    assert f"`ringback imports undo {row['id']}` takes it back" in said
    assert ringback.json("imports", "list", "--campaign", str(add_campaign(database, "empty"))) == []

    shown = ringback.json("imports", "show", row["id"])
    assert shown["verdicts"] == {"good": 2, "bad": 1} and shown["leads"] == {"open": 2} and shown["called"] == 0
    assert [(one["line"], one["verdict"]) for one in shown["first_rejects"]] == [(4, "bad")]
    text = ringback.ok("imports", "show", row["id"])
    assert "2 good, 1 bad" in text and "it has too few digits" in text

    assert ringback.json("imports", "undo", row["id"], "--dry-run")["taken_back"] == 2
    assert len(find_all(database, tables.leads)) == 2
    assert "2 leads taken back" in ringback.ok("imports", "undo", row["id"])
    assert find_all(database, tables.leads) == []
    assert "nothing of it is left" in ringback.refused("imports", "undo", row["id"])
    assert ringback.json("leads", "import", file, "--campaign", "autumn")["added"] == 2


def test_an_import_that_is_not_there_is_named(ringback: Ringback, database: Database) -> None:
    assert ringback.refused("imports", "show", 77) == "there is no import 77"
    assert ringback.refused("imports", "undo", 77) == "there is no import 77"
    assert ringback.refused("imports", "list", "--campaign", "nobody") == "there is no campaign nobody"
    assert ringback("imports", "show", "x").exit_code == 2


def test_undo_says_how_many_were_called_and_stay(ringback: Ringback, database: Database, tmp_path: Path) -> None:
    report = ringback.json("leads", "import", write(tmp_path, "telefono", "912345678", "912345679"))
    sql(database, "UPDATE leads SET call_attempts_count = 1 WHERE telefono = '+56912345678'")
    said = ringback.ok("imports", "undo", report["import_id"])
    assert "1 leads taken back, 1 stay because they were called" in said


def test_a_dry_run_tells_verdicts_kinds_countries_and_zones(
    ringback: Ringback, database: Database, tmp_path: Path
) -> None:
    file = write(tmp_path, "telefono", "912345678", "+34612345678", "912345678", "12")
    said = ringback("leads", "import", file, "--dry-run")
    assert said.exit_code == 0
    assert "2 leads would be added, 1 known already, 1 rejected" in said.stdout
    assert "verdicts: 2 good, 1 duplicate_in_file, 1 bad" in said.stdout
    assert "countries: 1 CL, 1 ES" in said.stdout and "1 Atlantic/Canary + Europe/Madrid" in said.stdout
    assert "line 5, telefono '12': it has too few digits" in said.stderr
    found = ringback.json("leads", "import", file, "--dry-run")
    assert found["verdicts"] == {"good": 2, "duplicate_in_file": 1, "bad": 1} and found["import_id"] is None
    assert [one["verdict"] for one in found["first_rejects"]] == ["duplicate_in_file", "bad"]
    assert sum(found["kinds"].values()) == 2
    assert find_all(database, tables.leads) == [] == find_all(database, tables.imports)


def test_options_for_columns_deadlines_and_known_numbers(
    ringback: Ringback, database: Database, tmp_path: Path
) -> None:
    add_lead(database, "+56912345679", campaign_id=add_campaign(database, "other"))
    file = write(tmp_path, "Nombre Completo,Contacto,Monto", "Ana,912345678,5", "Eva,912345679,6")
    report = ringback.json(
        "leads", "import", file, "--map", "phone=Contacto", "--map", "first_name=nombre completo",
        "--map", "variable:deuda=Monto", "--deadline", "2037-12-31", "--skip-known",
    )  # fmt: skip
    assert report["verdicts"] == {"good": 1, "duplicate_in_installation": 1}
    lead = find_all(database, tables.leads)[-1]
    assert (lead.nombre, lead.variables, str(lead.fecha_limite)) == ("Ana", {"deuda": "5"}, "2037-12-31")
    past = ("--map", "phone=Contacto", "--deadline", "2001-01-01")
    assert "it is past" in ringback.refused("leads", "import", file, *past)
    right = "the columns are Nombre Completo, Contacto, Monto"
    assert right in ringback.refused("leads", "import", file, "--map", "phone=Celular")
    assert "it has no sheets" in ringback.refused("leads", "import", file, "--sheet", "Hoja1")


def test_what_was_assumed_of_a_file_is_said_and_options_say_it_otherwise(
    ringback: Ringback, database: Database, tmp_path: Path
) -> None:
    file = write(
        tmp_path, "Cartera;;;", "telefono;rut;monto;fecha_limite;",
        "912345678 y 912345679;1.234.567-8;1.500;03/04/2030;", ";1.234.567-8;1.500;;",
    )
    said = ringback("leads", "import", file, "--dry-run", "--per-person")
    assert "  read with delimiter semicolon, header_row 2, date_order day_first" in said.stdout
    assert "assumed date_order: day_first; fecha_limite: 1 can be read in two ways" in said.stderr
    assert "(--date-order changes it)" in said.stderr and "(--decimal-mark changes it)" in said.stderr
    made = ringback.json(
        "leads", "import", file, "--per-person", "--date-order", "month_first", "--decimal-mark", "point",
        "--joined-numbers", "split", "--header-row", "2",
    )  # fmt: skip
    (lead,) = find_all(database, tables.leads)
    assert (str(lead.fecha_limite), lead.variables["monto"]) == ("2030-03-04", "3")
    assert "how the file was read" in ringback.ok("imports", "show", made["import_id"])
    assert "1,000 columns" in ringback.refused("leads", "import", write(tmp_path, "telefono" + ",c" * 2000, "1"))
    assert "no .xlsx file" in ringback.refused("leads", "import", file, "--hidden-rows", "take")


def test_the_verdicts_file_has_a_line_for_every_row(ringback: Ringback, database: Database, tmp_path: Path) -> None:
    file = write(tmp_path, "telefono", "912345678", "12", "+34612345678 / 912345679")
    report = ringback.json("leads", "import", file, "--dry-run", "--verdicts", tmp_path / "all.csv")
    assert report["verdicts_path"] == str(tmp_path / "all.csv")
    with (tmp_path / "all.csv").open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert [(row["line"], row["verdict"]) for row in rows] == [("2", "good"), ("3", "bad"), ("4", "good")]
    assert rows[2]["numbers"] == "'+34612345678; +56912345679" and rows[2]["countries"] == "ES; CL"
    assert rows[2]["kinds"].startswith("mobile") and rows[2]["zones"] == "Atlantic/Canary Europe/Madrid"
    assert "too few digits" in rows[1]["reason"]


def write(folder: Path, *lines: str) -> Path:
    path = folder / "leads.csv"
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path
