"""Write examples/leads.csv again: python examples/make_leads.py

Sample data. Names are drawn by a seeded generator from lists of common ones, addresses are at example.com,
and no number can reach anybody (see examples/README.md). Every run writes the same file.
"""

from __future__ import annotations

import csv
import random
import unicodedata
from collections.abc import Iterator
from itertools import count
from pathlib import Path

LEADS = 244
HEADER = ["nombre", "apellidos", "telefono", "telefono2", "telefono3", "email", "region", "fecha_limite",
          "producto", "monto"]  # fmt: skip

PHONE, REGION = HEADER.index("telefono"), HEADER.index("region")

FIRST_NAMES = (
    "Ana Beatriz Camila Carlos Carmen Daniel Diego Elena Emilia Felipe Gabriel Inés Javier Joaquín Julia Laura "
    "Lucía Luis Manuel Marta Mateo Miguel Nicolás Olivia Pablo Paula Pedro Rosa Sofía Tomás Valentina Víctor"
)
LAST_NAMES = (
    "Acosta Álvarez Benítez Blanco Cabrera Castillo Contreras Cortés Díaz Espinoza Fernández Flores Fuentes García "
    "Gómez Herrera Ibáñez Jiménez León Luna Medina Molina Muñoz Núñez Ortiz Peña Ramos Reyes Rojas Soto Torres Vega"
)
PRODUCTS = ("renovación", "crédito", "seguro hogar", "plan móvil", "cita anual")

# Prefix, digits that follow, region. The prefixes are those of examples/README.md.
PLACES = {
    "CL": [("+5690", 7, ""), ("+5620", 7, "CL-RM"), ("+5690", 7, "CL-MA"), ("+5690", 7, "CL-AI"), ("+5630", 7, "")],
    "AR": [("+5493510", 6, ""), ("+543410", 6, "AR-S"), ("+542610", 6, "AR-M")],
    "ES": [("+34500", 6, ""), ("+34500", 6, "ES-CT"), ("+34500", 6, "ES-CN"), ("+34500", 6, "ES-MD")],
    "CO": [("+57390", 7, ""), ("+576021", 6, "CO-VAC")],
    "MX": [("+52400", 7, "MX-CMX"), ("+52400", 7, "MX-BCN"), ("+52400", 7, "MX-SON"), ("+52400", 7, "")],
    "US": [
        ("+121255501", 2, ""), ("+131255501", 2, ""), ("+130355501", 2, ""), ("+160255501", 2, "US-AZ"),
        ("+121355501", 2, ""), ("+130555501", 2, "US-FL"), ("+171355501", 2, "US-TX"), ("+120655501", 2, ""),
    ],
}  # fmt: skip
SHARE = ["CL", "AR", "ES", "CO", "MX", "US", "CL", "MX"]

BAD_ROWS = {
    12: ["Rosa", "Vega Luna", "+56 9 0ABC 1234", "", "", "rosa.letras@example.com", "", "", "crédito", "120000"],
    31: ["Luis", "Peña Soto", "12345", "", "", "luis.corto@example.com", "", "", "crédito", "80000"],
    57: ["Inés", "Reyes Díaz", "", "", "", "ines.sin.numero@example.com", "", "", "renovación", "45000"],
    83: ["Pablo", "Luna Ramos", "+56900000831", "", "", "pablo.region@example.com", "CL-ZZ", "", "plan móvil", "9990"],
    104: ["Marta", "Ortiz Vega", "+56900000832", "", "", "marta.fecha@example.com", "", "2027-02-30", "crédito", "1"],
    126: ["Tomás", "Rojas Peña", "+56900000833", "", "", "tomas.celdas@example.com", "", "", "seguro", "hogar", "500"],
    149: ["Elena", "Cortés Gil", "5.69E+10", "", "", "elena.planilla@example.com", "", "", "crédito", "230000"],
    171: ["Diego", "Soto León", "+999 123 456 789", "", "", "diego.pais@example.com", "", "", "cita anual", "0"],
    198: ["Julia", "Flores Mora", "+56 9 0000 0834 ext 12", "", "", "julia.anexo@example.com", "", "", "crédito", "7"],
    215: ["Pedro", "Medina Soto", "+56900000835", "", "", "pedro.fecha@example.com", "", "31/12/2027", "crédito", "6"],
}
"""By their place in the file: letters, too short, no number, unknown region, a date that does not exist, too
many cells, rounded by a spreadsheet, a country that does not exist, an extension, a date in another form."""

TWINS = {140: 20, 222: 75}
"""Rows that repeat the number of an earlier one."""


def main() -> None:
    path = Path(__file__).with_name("leads.csv")
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([HEADER, *make_rows()])
    print(f"{path}: {LEADS} leads, {len(BAD_ROWS)} bad rows, {len(TWINS)} duplicates")


def make_rows() -> Iterator[list[str]]:
    chance = random.Random(20261120)
    subscribers = {country: count(11) for country in PLACES}
    written: list[list[str]] = []
    leads = 0
    for place in count(1):
        if leads == LEADS:
            return
        if place in BAD_ROWS:
            yield BAD_ROWS[place]
            continue
        country = SHARE[place % len(SHARE)]
        row = make_lead(chance, country, subscribers[country], leads)
        if place in TWINS:
            twin = written[TWINS[place]]
            row[PHONE], row[REGION] = twin[PHONE], twin[REGION]
        else:
            leads += 1
        written.append(row)
        yield row


def make_lead(chance: random.Random, country: str, subscribers: Iterator[int], serial: int) -> list[str]:
    name = chance.choice(FIRST_NAMES.split())
    surnames = chance.sample(LAST_NAMES.split(), 2)
    places = PLACES[country]
    subscriber = next(subscribers)
    place = places[subscriber % len(places)]
    phones = [make_number(place, subscriber // len(places) if country == "US" else subscriber)]
    if country != "US":  # there are too few numbers of that kind for second ones
        (further,) = chance.choices((0, 1, 2), (70, 22, 8))
        phones += [make_number(place, next(subscribers) + 500) for _ in range(further)]
    if serial == 40:
        phones.append("999")  # an extra phone that is left out; the lead is kept
    written = [as_written(chance, phone) for phone in phones]
    return [
        name, " ".join(surnames), *written, *[""] * (3 - len(written)),
        f"{plain(name)}.{plain(surnames[0])}{serial:03}@example.com", place[2],
        "2031-12-31" if serial % 9 == 0 else "", chance.choice(PRODUCTS), str(chance.randrange(5, 900) * 1000),
    ]


def make_number(place: tuple[str, int, str], subscriber: int) -> str:
    prefix, digits, _ = place
    return f"{prefix}{subscriber:0{digits}}"


def as_written(chance: random.Random, number: str) -> str:
    """Most in the international form; some Chilean ones as people there write them."""
    if number.startswith("+569") and chance.random() < 0.4:
        return f"{number[3]} {number[4:8]} {number[8:]}"
    return number


def plain(name: str) -> str:
    letters = unicodedata.normalize("NFKD", name.lower())
    return "".join(letter for letter in letters if letter.isascii() and letter.isalpha())


if __name__ == "__main__":
    main()
