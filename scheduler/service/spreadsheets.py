"""An .xlsx file of leads: which sheet, which row is the header, and which columns count.

People put titles above the header, leave columns without a name, and keep notes on other sheets. The header is
the first row, among the first ones, that names a phone column; columns without a name are passed over, and it is
said when something stood in them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from stat import S_ISREG

from scheduler.errors import InvalidValue
from scheduler.rules.headers import Columns, HeaderWishes, is_name, names_a_phone, read_header
from scheduler.rules.rows import Reject
from scheduler.service.sources import CHUNK, Batch, Record, refuse_file
from scheduler.service.workbooks import Row, Sheet, Workbook, column_name

HEADER_ROWS = 20
"""So many rows that are not empty are looked at for the header."""
MOST_TEXT = 8_000_000
"""Characters in a batch: rows of long texts come in smaller ones, so that memory stays flat."""
MOST_NAMED = 10
"""Columns and sheets in a sentence."""


def is_spreadsheet(path: Path) -> bool:
    """Is this an archive, as an .xlsx file is? What cannot be opened is not."""
    try:
        if not S_ISREG(path.stat().st_mode):
            return False
        with path.open("rb") as file:
            return file.read(4) in (b"PK\x03\x04", b"PK\x05\x06")
    except OSError:
        return False


def looks_broken(path: Path) -> bool:
    """Is it named like a workbook, and neither one nor a text that was given such a name?"""
    if path.suffix.lower() not in (".xlsx", ".xlsm"):
        return False
    try:
        with path.open("rb") as file:
            start = file.read(4096)
        start[: start.rfind(b"\n") + 1 or len(start)].decode("utf-8")
    except UnicodeDecodeError:
        # What other tables look like (an old .xls, a PDF) the reader of text knows, and says so.
        return not start.startswith((b"\xd0\xcf\x11\xe0", b"%PDF", b"<"))
    except OSError:
        return False
    return b"\0" in start


class Spreadsheet:
    """A `Source`. It is read twice: once to see that it can be read at all, and once for its rows."""

    def __init__(self, path: Path, *, sheet: str | None) -> None:
        self._path, self._wanted = path, sheet
        self._sheet: Sheet | None = None
        self._sheets: Sequence[Sheet] = ()
        self._header_row = 0
        self._kept: list[int] = []
        self._nameless: set[int] = set()
        self.size = 0

    def inspect(self, wishes: HeaderWishes) -> Columns:
        """Choose the sheet, find the header and read the sheet through. Raises InvalidValue."""
        workbook = Workbook(self._path)
        try:
            sheet, header = self._find_header(workbook, wishes)
            self._kept = [at for at in sorted(header.cells) if is_name(header.cells[at])]
            columns = read_header([header.cells[at] for at in self._kept], wishes)
            self._header_row, self._sheet, self._sheets = header.number, sheet, workbook.sheets
            self.size = workbook.size(sheet)
            rows = sum(1 for _ in self._read_records(workbook))  # to the end: all of it must be readable
            if rows == 0:
                raise refuse_file(self._path, f"sheet {sheet.name} has a header and no rows")
        finally:
            workbook.close()
        return columns

    def read_batches(self) -> Iterator[Batch]:
        workbook = Workbook(self._path)
        try:
            records = self._read_records(workbook)
            reached = 0
            while True:
                batch: list[Record | Reject] = []
                length = 0
                for record, done in islice(records, CHUNK):
                    batch.append(record)
                    length += sum(map(len, record[1]))
                    reached = min(done, self.size)
                    if length > MOST_TEXT:
                        break
                if not batch:
                    return
                yield Batch(batch, reached)
        finally:
            workbook.close()

    @property
    def notes(self) -> tuple[str, ...]:
        found = []
        if self._sheet is not None and len(self._sheets) > 1:
            others = _list([
                f"{one.name} (hidden)" if one.is_hidden else one.name for one in self._sheets if one != self._sheet
            ])
            found.append(f"sheet {self._sheet.name} was read; there are others, which --sheet would choose: {others}")
        if self._nameless:
            names = _list([column_name(at) for at in sorted(self._nameless)])
            found.append(f"columns without a name in the header were passed over: {names}")
        return tuple(found)

    def _find_header(self, workbook: Workbook, wishes: HeaderWishes) -> tuple[Sheet, Row]:
        """The first sheet with a header, of those that may be meant."""
        first: tuple[Sheet, Row] | None = None
        for sheet in self._choose_sheets(workbook):
            rows = list(islice(workbook.read_rows(sheet), HEADER_ROWS))
            for row in rows:
                if names_a_phone(list(row.cells.values()), wishes):
                    return sheet, row
            if rows and first is None:
                # None names a phone: that is said of the row that looks most like a header.
                first = sheet, max(rows, key=lambda row: len(row.cells))
        if first is None:
            raise refuse_file(self._path, "it is empty; write a header row like nombre, telefono and a row per lead")
        return first

    def _choose_sheets(self, workbook: Workbook) -> Sequence[Sheet]:
        if self._wanted is None:
            return [one for one in workbook.sheets if not one.is_hidden] or workbook.sheets
        wanted = self._wanted.strip().casefold()
        found = [one for one in workbook.sheets if one.name == self._wanted] or [
            one for one in workbook.sheets if one.name.strip().casefold() == wanted
        ]
        if not found:
            names = _list([one.name for one in workbook.sheets])
            raise InvalidValue("sheet", self._wanted, f"there is no such sheet; the sheets are {names}")
        return found[:1]

    def _read_records(self, workbook: Workbook) -> Iterator[tuple[Record, int]]:
        """Each row below the header with something in a named column, and how far into the sheet it goes."""
        assert self._sheet is not None
        kept = self._kept
        named = set(kept)
        for number, cells, done in workbook.read_rows(self._sheet):
            if number <= self._header_row:
                continue
            if not named.issuperset(cells):
                self._nameless.update(cells.keys() - named)
            texts = [cells.get(at, "") for at in kept]
            if any(texts):
                yield (number, texts), done


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(names[:MOST_NAMED])
    return shown if len(names) <= MOST_NAMED else f"{shown} and {len(names) - MOST_NAMED} more"
