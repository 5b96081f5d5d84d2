"""Which rows of a file are one person, and the one lead that becomes of them.

Files of debts have a row for every bill, so one person stands in several of them. Rows with the same identity
number (RUT, DNI ...) are one person; a row without one belongs to the rows without one that have the same phone
number. Decided here: the first usable row says what is said of the person, the numbers of all usable rows are
called, amounts are added up over all rows, and `cantidad` counts them.

Pure. What must stay true: two people never become one. So what people write where nobody has a number ("0",
"S/N", "11.111.111-1") and what a spreadsheet rounded ("1.2E+10") is no identity, and rows of different identities
stay apart although they share a phone. A newcomer would drop a row without a usable phone: its bill is owed all
the same, so it counts in the sums.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from types import MappingProxyType

from scheduler.rules.cells import NumberCell, RepeatedCell
from scheduler.rules.headers import MOST_PHONES, REJECT_COLUMNS, Columns, plain
from scheduler.rules.rows import NewLead, Number, Reject, Verdict, leave_out

COUNT = "cantidad"
"""The variable that says how many rows a person has, unless the file has a column of that name."""

_IDENTITY = re.compile(
    r"(?:n|no|nro|num|numero)?(?:de)?(?:rut|ruts|run|dni|nif|nie|cedula|documento|curp|rfc|cuit|cuil)"
    r"(?:de)?(?:cliente|titular|deudor|persona|identidad)?"
)
_AMOUNT = re.compile(r"(?:monto|deuda|saldo|importe|valor|amount|debt|balance).*")
_ROUNDED = re.compile(r"[0-9](?:[.,][0-9]+)?[eE]\+?[0-9]{1,3}")
LEAST_DIGITS = 5
"""Of an identity number; fewer say nothing about who it is."""

_SIGNS = r"US\$|R\$|S/\.?|[$€£¥]|CLP|UF|USD|EUR|MXN|COP|ARS|PEN|UYU|PYG|BOB|BRL|GBP|UTM|Bs\.?|Gs\.?"
_CURRENCY = re.compile(
    rf"(?:({_SIGNS})\s*)?(-?[0-9][0-9.,' \u00a0\u202f\u2019-]*?)(?:\s*({_SIGNS})|\.-)?", re.IGNORECASE
)
_SPACED = re.compile(r"(?<=[0-9])[' \u00a0\u202f\u2019](?=[0-9]{3}(?:[^0-9]|$))")
_GROUPED_BY_DOTS = re.compile(r"-?[0-9]{1,3}(?:\.[0-9]{3})+(?:,[0-9]{1,6})?")
_GROUPED_BY_COMMAS = re.compile(r"-?[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]{1,6})?")
_UNGROUPED = re.compile(r"-?[0-9]{1,15}(?:[.,][0-9]{1,12})?")
_UNCLEAR = re.compile(r"-?[1-9][0-9]{0,2}([.,])[0-9]{3}")
"""One mark with three digits behind it: thousands, or decimals."""


class Mark(StrEnum):
    """What stands before the decimals of a column, in a word. THOUSANDS: nothing tells, so what can be thousands is.
    MIXED: the column contradicts itself, so what can be both is read as neither.
    """

    POINT = "point"
    COMMA = "comma"
    THOUSANDS = "thousands"
    MIXED = "mixed"


def read_identity(cell: str) -> str | None:
    """An identity number as it is compared: without dots, dashes and leading zeros. None for what is none."""
    if _ROUNDED.fullmatch(cell.strip()) or (isinstance(cell, NumberCell) and not cell.strip().isdigit()):
        return None
    letters = "".join(letter for letter in cell.upper() if letter.isalnum()).lstrip("0")
    digits = [letter for letter in letters if letter in "0123456789"]
    if len(digits) < LEAST_DIGITS or len(set(digits)) == 1 or len(letters) > 32:
        return None
    return letters


def read_amount(cell: str, mark: Mark = Mark.THOUSANDS) -> Decimal | None:
    """An amount as people write it; None for what is none. What a spreadsheet holds as a number is that number; in a
    text `mark` decides of three digits behind one dot or comma.
    """
    if isinstance(cell, NumberCell):
        return _read_decimal(cell)
    text, _ = _bare(cell)
    if (unclear := _UNCLEAR.fullmatch(text)) is not None:
        if mark is Mark.MIXED:
            return None
        is_decimal = unclear[1] == {Mark.POINT: ".", Mark.COMMA: ","}.get(mark)
        return Decimal(text.replace(",", ".") if is_decimal else text.replace(unclear[1], ""))
    if _UNGROUPED.fullmatch(text):
        return Decimal(text.replace(",", "."))
    if _GROUPED_BY_DOTS.fullmatch(text):
        return Decimal(text.replace(".", "").replace(",", "."))
    return Decimal(text.replace(",", "")) if _GROUPED_BY_COMMAS.fullmatch(text) else None


def tell_mark(cell: str) -> Mark | bool | None:
    """What an amount shows of the decimal mark of its column. False: nothing; None: it can be read in two ways."""
    text, _ = _bare(cell)
    if _UNCLEAR.fullmatch(text):
        return None
    if _UNGROUPED.fullmatch(text):
        return Mark.POINT if "." in text else Mark.COMMA if "," in text else False
    if _GROUPED_BY_DOTS.fullmatch(text):
        return Mark.COMMA
    return Mark.POINT if _GROUPED_BY_COMMAS.fullmatch(text) else False


def read_unit(cell: str) -> str:
    """The sign of the currency that is written with an amount, or nothing."""
    return "" if isinstance(cell, NumberCell) else _bare(cell)[1]


def _bare(cell: str) -> tuple[str, str]:
    """The digits and marks of an amount, and its currency."""
    text = cell.strip()
    found = _CURRENCY.fullmatch(text) if len(text) <= 40 else None
    if found is None:
        return "", ""
    return _SPACED.sub("", found[2]), (found[1] or found[3] or "").upper().rstrip(".")


def _read_decimal(text: str) -> Decimal | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() and number.adjusted() < 40 else None


def amount_columns(columns: Columns) -> list[tuple[str, int]]:
    """The columns whose cells are added up for a person, with the names of their variables."""
    return [
        (name, at) for name, at in zip(columns.variable_names, columns.variables, strict=True)
        if _AMOUNT.fullmatch(plain(name)) or _AMOUNT.fullmatch(plain(columns.headers[at]))
    ]


class People:
    """Gathers the judged rows of one file, and makes one lead of each person's."""

    def __init__(self, columns: Columns, marks: Mapping[int, Mark] = MappingProxyType({})) -> None:
        self._marks = marks
        first = len(REJECT_COLUMNS) if columns.is_rejects_file else 0
        self._headers = columns.headers
        names = [plain(header) for header in columns.headers]
        self._identity_at = next((at for at in range(first, len(names)) if _IDENTITY.fullmatch(names[at])), None)
        self._amounts = amount_columns(columns)
        self._counts = all(plain(name) != COUNT for name in columns.variable_names)
        self._groups: dict[tuple[str, str], list[NewLead | Reject]] = {}
        self._loners: list[Reject] = []

    def add(self, rows: Iterable[NewLead | Reject]) -> None:
        """Rows in the order of the file, as they were judged by themselves."""
        for row in rows:
            key = self._key(row)
            if key is not None:
                self._groups.setdefault(key, []).append(row)
            elif isinstance(row, Reject):
                self._loners.append(row)

    def leads(self) -> tuple[list[NewLead], list[Reject]]:
        """One lead for each person who has a usable row, and what else is to be said of rows: each that made no
        lead of its own is `merged`, or rejected as it was.
        """
        made: list[NewLead] = []
        rejects = self._loners
        for rows in self._groups.values():
            usable = [row for row in rows if isinstance(row, NewLead)]
            if usable:
                made.append(self._merge(usable, rows, rejects))
            else:
                rejects.extend(row for row in rows if isinstance(row, Reject))
        self._groups, self._loners = {}, []
        return sorted(made, key=_line), sorted(rejects, key=_line)

    def _key(self, row: NewLead | Reject) -> tuple[str, str] | None:
        """None for a row of which nobody knows whose it is."""
        if self._identity_at is not None and self._identity_at < len(row.cells) <= len(self._headers):
            identity = read_identity(row.cells[self._identity_at])
            if identity is not None:
                return "identity", identity
        return ("number", row.numbers[0].number) if isinstance(row, NewLead) else None

    def _merge(self, usable: Sequence[NewLead], rows: Sequence[NewLead | Reject], rejects: list[Reject]) -> NewLead:
        lead = usable[0]
        for row in rows:
            if row is lead:
                continue
            rejects.append(Reject(
                row.line, "row", "", f"row of the same person as line {lead.line}: it went into that lead",
                Verdict.MERGED, row.cells,
            ))
            if isinstance(row, Reject):
                rejects.append(row._replace(
                    verdict=Verdict.GOOD, reason=f"warning: it counts with line {lead.line}, without this: {row.reason}"
                ))
        numbers, left_out = _unite(usable)
        variables, unread = self._add_up(lead, rows)
        rejects.extend(unread)
        if self._counts:
            variables[COUNT] = str(len(rows))
        dates = [row.call_until for row in usable if row.call_until is not None]
        return replace(
            lead, numbers=numbers, left_out=left_out, variables=variables, call_until=_earliest(dates),
            first_name=lead.first_name or _first(row.first_name for row in usable),
            last_name=lead.last_name or _first(row.last_name for row in usable),
            email=lead.email or _first(row.email for row in usable),
        )

    def _add_up(self, lead: NewLead, rows: Sequence[NewLead | Reject]) -> tuple[dict[str, str], list[Reject]]:
        variables = dict(lead.variables)
        unread: list[Reject] = []
        if len(rows) == 1:
            return variables, unread
        for name, at in self._amounts:
            cells = [row.cells[at] if at < len(row.cells) else "" for row in rows]
            cells = ["" if isinstance(cell, RepeatedCell) else cell for cell in cells]
            mark = self._marks.get(at, Mark.THOUSANDS)
            amounts = [read_amount(cell, mark) if cell.strip() else Decimal(0) for cell in cells]
            units = {unit for cell in cells if (unit := read_unit(cell))}
            faulty = next((n for n, amount in enumerate(amounts) if amount is None), None)
            if faulty is None and len(units) > 1:
                faulty = next(n for n, cell in enumerate(cells) if read_unit(cell) not in ("", read_unit(cells[0])))
            if faulty is not None:
                row, cell = rows[faulty], cells[faulty].strip()
                what = self._why_unread(cell, mark, units)
                why = f"warning: {what}, so line {lead.line} keeps {self._headers[at]} as its own row has it"
                unread.append(Reject(row.line, self._headers[at], cell[:120], why, Verdict.GOOD, row.cells))
            elif any(cell.strip() for cell in cells):
                total = sum((amount for amount in amounts if amount is not None), Decimal(0))
                variables[name] = f"{total:f}" if total % 1 else f"{total.to_integral_value():f}"
        return variables, unread

    @staticmethod
    def _why_unread(cell: str, mark: Mark, units: Collection[str]) -> str:
        if len(units) > 1:
            return f"amounts in {' and '.join(sorted(units))} are not added up"
        if mark is Mark.MIXED and tell_mark(cell) is None:
            return "it can be thousands or decimals, and its column has both"
        return "not an amount"


def _unite(usable: Sequence[NewLead]) -> tuple[tuple[Number, ...], tuple[Reject, ...]]:
    """The numbers of all rows, each once; beyond nine, those of the first row alone."""
    numbers = {one.number: one for one in usable[0].numbers}
    left_out = list(usable[0].left_out)
    for row in usable[1:]:
        left_out.extend(row.left_out)
        for one in row.numbers:
            if one.number in numbers:
                continue
            if len(numbers) < MOST_PHONES:
                numbers[one.number] = one
            else:
                left_out.append(leave_out(
                    row.line, one.column, one.number, f"the person has {MOST_PHONES} numbers already", row.cells
                ))
    return tuple(numbers.values()), tuple(left_out)


def _earliest(dates: Sequence[date]) -> date | None:
    return min(dates, default=None)


def _first(values: Iterable[str | None]) -> str | None:
    return next((one for one in values if one), None)


def _line(row: NewLead | Reject) -> int:
    return row.line
