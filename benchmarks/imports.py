"""Rows per second of `ringback leads import`: python benchmarks/imports.py --url URL [--rows N] [--xlsx] [--json]

Writes a CSV file of N leads as people have them (numbers in the international form, in the national one and
with spaces; every tenth with a second phone), imports it into an empty database, and imports it again. With
--xlsx the file is a spreadsheet, written by openpyxl.
The URL must name a database that may be emptied; on SQLite a file of its own is made when none is given.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from sqlalchemy import text

from scheduler.clock import SystemClock
from scheduler.config import Settings
from scheduler.service.imports import ImportReport, import_leads
from scheduler.service.runtime import Providers, Runtime
from scheduler.store import schema
from scheduler.store.database import Database
from scheduler.store.tables import metadata


def main() -> None:
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory() as folder:
        url = arguments.url or f"sqlite:///{folder}/import.db"
        path = write_leads(Path(folder), arguments.rows, as_spreadsheet=arguments.xlsx)
        runtime = open_empty(url)
        before_kb = peak_memory_kb()
        first, seconds = timed_import(path, runtime)
        again, seconds_again = timed_import(path, runtime)
        runtime.close()
    assert first.added == arguments.rows and again.added == 0, (first, again)
    show(
        {
            "rows": arguments.rows,
            "rows_per_second": round(arguments.rows / seconds),
            "seconds": round(seconds, 2),
            "same_file_again_rows_per_second": round(arguments.rows / seconds_again),
            "memory_growth_mb": round((peak_memory_kb() - before_kb) / 1024, 1),
        },
        as_json=arguments.json,
    )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", help="a database that may be emptied")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--xlsx", action="store_true", help="a spreadsheet in place of a CSV file")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def write_leads(folder: Path, rows: int, *, as_spreadsheet: bool) -> Path:
    if as_spreadsheet:
        import openpyxl  # of the extra `test`

        path = folder / "leads.xlsx"
        book = openpyxl.Workbook(write_only=True)
        sheet = book.create_sheet("leads")
        for row in make_rows(rows):
            sheet.append(row)
        book.save(path)
        return path
    path = folder / "leads.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(make_rows(rows))
    return path


def make_rows(rows: int) -> Iterator[list[str]]:
    chance = random.Random(7)
    subscribers = chance.sample(range(20_000_000, 99_999_999), rows)
    yield ["nombre", "apellidos", "telefono", "telefono2", "email", "region", "producto", "monto"]
    for i, subscriber in enumerate(subscribers):
        digits = f"{subscriber:08}"
        written = (f"+569{digits}", f"9{digits}", f"+56 9 {digits[:4]} {digits[4:]}", f"569{digits}")[i % 4]
        second = f"+34{600_000_000 + i}" if i % 10 == 0 else ""
        yield [f"Nombre{i}", f"Apellido Muñoz {i}", written, second, f"lead{i}@example.com",
               "CL-RM" if i % 3 else "", "crédito", f"{chance.randrange(10_000, 900_000)}"]


def open_empty(url: str) -> Runtime:
    database = Database(url)
    metadata.drop_all(database.engine)
    with database.engine.begin() as connection:
        connection.execute(text("DROP TABLE IF EXISTS alembic_version"))
    schema.upgrade(database)

    def refuse(name: str) -> NoReturn:
        raise AssertionError(f"an import calls nobody, yet {name} was asked for")

    return Runtime(settings=Settings(), database=database, clock=SystemClock(), providers=Providers(refuse))


def timed_import(path: Path, runtime: Runtime) -> tuple[ImportReport, float]:
    started = time.perf_counter()
    report = import_leads(path, default_country="CL", runtime=runtime)
    return report, time.perf_counter() - started


def peak_memory_kb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def show(figures: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:34} {value}")


if __name__ == "__main__":
    main()
