"""An .xlsx file of leads: which sheet, which row is the header, and which columns count.

People put titles above the header, leave columns without a name, and keep notes on other sheets. The header is
the first row, among the first ones, that names a phone column, or a better one directly below it; columns without a
name are passed over, and it is said when something stood in them. Rows that are hidden, as a filter hides them, are
left out unless they are asked for: who filtered a list of debtors by "owes" and saved it sees nobody else in it. What
is merged over several rows belongs to each of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from stat import S_ISREG

from scheduler.errors import InvalidValue
from scheduler.rules.cells import RepeatedCell
from scheduler.rules.conventions import Assumption
from scheduler.rules.headers import (
    Columns,
    HeaderRow,
    HeaderWishes,
    check_width,
    find_header,
    is_name,
    plain,
    read_header,
)
from scheduler.rules.rows import Reject
from scheduler.service.sources import CHUNK, HEADER_ROWS, MOST_TEXT, Batch, Record, Watch, refuse_file
from scheduler.service.workbooks import NO_LAYOUT, Row, Sheet, Workbook, column_name

SKIP, TAKE = "skip", "take"
"""What is done with hidden rows."""
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

    def __init__(self, path: Path, *, sheet: str | None, hidden_rows: str | None = None) -> None:
        self._path, self._wanted = path, sheet
        self._takes_hidden = _checked_hidden(hidden_rows) == TAKE
        self._says_hidden = hidden_rows is None
        self._sheet: Sheet | None = None
        self._sheets: Sequence[Sheet] = ()
        self._layout = NO_LAYOUT
        self._header: HeaderRow | None = None
        self._says_header = True
        self._is_first_row = True
        self._kept: list[int] = []
        self._doubled: dict[int, str] = {}
        self._nameless: set[int] = set()
        self._hidden: list[int] = []
        self.size = 0
        self.from_1904 = False

    def inspect(self, wishes: HeaderWishes, watch: Watch | None = None) -> Columns:
        """Choose the sheet, find the header and read the sheet through. Raises InvalidValue."""
        workbook = Workbook(self._path)
        try:
            sheet, header = self._find_header(workbook, wishes)
            check_width(len(header.cells))
            unseen = workbook.layout(sheet).hidden_columns
            seen = {plain(name) for at, name in header.cells.items() if at not in unseen}
            named = [at for at in sorted(header.cells) if is_name(header.cells[at])]
            self._kept = [at for at in named if at not in unseen or plain(header.cells[at]) not in seen]
            self._doubled = {
                at: f"{header.cells[at]} ({column_name(at)})" for at in named if at not in self._kept
            }
            columns = self._read_names([header.cells[at] for at in self._kept], wishes, workbook)
            self._header, self._sheet, self._sheets = header, sheet, workbook.sheets
            self._says_header = wishes.header_row is None
            self.size, self.from_1904 = workbook.size(sheet), workbook.from_1904
            look = watch(columns) if watch is not None else None
            rows = 0
            for record, _ in self._read_records(workbook):  # to the end: all of it must be readable
                rows += 1
                if look is not None:
                    look(*record)
            self._layout = workbook.layout(sheet)
            if rows == 0:
                hidden = f"; {len(self._hidden)} are hidden, and hidden_rows=take reads them" if self._hidden else ""
                raise refuse_file(self._path, f"sheet {sheet.name} has a header and no rows{hidden}")
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
        hidden = [at for at in self._kept if at in self._layout.hidden_columns]
        if hidden and self._header is not None:
            shown = _list([f"{self._header.cells[at]} ({column_name(at)})" for at in hidden])
            found.append(f"hidden columns were read too: {shown}")
        if self._doubled:
            doubled = _list([*self._doubled.values()])
            found.append(f"hidden columns were passed over, as a visible one has their name: {doubled}")
        merged = [at for at in self._kept if any(row > self._first_row for row in self._layout.merged.get(at, ()))]
        if merged:
            names = _list([column_name(at) for at in merged])
            found.append(f"cells that are merged over several rows count for each of them, in columns {names}")
        return tuple(found)

    @property
    def assumptions(self) -> tuple[Assumption, ...]:
        found = []
        if self._sheet is not None and self._wanted is None:
            is_only = len(self._sheets) == 1
            because = "it is the only one" if is_only else "it is the first that shows a column of phones"
            found.append(Assumption("sheet", self._sheet.name, because, "sheet", is_only))
        if self._says_header and self._header is not None:
            because = "it is the first that is not empty" if self._is_first_row else "rows above it are titles"
            found.append(
                Assumption("header_row", str(self._header.number), because, "header_row", self._is_first_row)
            )
        if self._hidden and self._says_hidden:
            numbers = _list([str(number) for number in self._hidden])
            because = f"{len(self._hidden)} are hidden, as by a filter: {numbers}"
            found.append(Assumption("hidden_rows", SKIP, because, "hidden_rows"))
        return tuple(found)

    @property
    def _first_row(self) -> int:
        return self._header.number if self._header is not None else 0

    def _find_header(self, workbook: Workbook, wishes: HeaderWishes) -> tuple[Sheet, HeaderRow]:
        """The first sheet with a header, of those that may be meant."""
        first: tuple[Sheet, HeaderRow] | None = None
        for sheet in self._choose_sheets(workbook):
            rows = _first_rows(workbook, sheet, wishes)
            seen = [HeaderRow(row.number, row.cells) for row in rows if not row.is_hidden]
            every = [HeaderRow(row.number, row.cells) for row in rows]
            found = find_header(seen, wishes) or find_header(every, wishes)
            if found is not None:
                self._is_first_row = found.number == rows[0].number
                return sheet, found
            if rows and first is None:
                # None names a phone: that is said of the row that looks most like a header.
                first = sheet, max(every, key=lambda row: len(row.cells))
        if first is None:
            raise refuse_file(self._path, "it is empty; write a header row like nombre, telefono and a row per lead")
        if wishes.header_row is not None:
            raise InvalidValue("header row", wishes.header_row, f"this row of sheet {first[0].name} is empty")
        return first

    def _read_names(self, names: Sequence[str], wishes: HeaderWishes, workbook: Workbook) -> Columns:
        try:
            return read_header(names, wishes)
        except InvalidValue as error:
            hidden = [one.name for one in workbook.sheets if one.is_hidden]
            if self._wanted is not None or not hidden or len(hidden) == len(workbook.sheets):
                raise
            right = f"{error.right}; hidden sheets were not looked at, which --sheet would choose: {_list(hidden)}"
            raise InvalidValue(error.field, error.value, right) from None

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
        named = {*kept, *self._doubled}
        merged = {at: rows for at, rows in self._layout.merged.items() if at in named}
        over: dict[int, tuple[int, str]] = {}
        told: set[int] = set()  # columns whose merged cell stands in a row that was given already
        self._hidden = []
        for number, cells, done, is_hidden in workbook.read_rows(self._sheet):
            if number <= self._first_row:
                continue
            for at, rows in merged.items():
                if number in rows:
                    over[at] = rows[number], cells.get(at, "")
                    told.discard(at)
                elif at in over and number <= over[at][0] and at not in cells:
                    cells[at] = RepeatedCell(over[at][1]) if at in told else over[at][1]
            if not named.issuperset(cells):
                self._nameless.update(cells.keys() - named)
            texts = [cells.get(at, "") for at in kept]
            if not any(texts):
                continue
            if is_hidden and not self._takes_hidden:
                self._hidden.append(number)
                continue
            told.update(over)
            yield (number, texts), done


def _first_rows(workbook: Workbook, sheet: Sheet, wishes: HeaderWishes) -> list[Row]:
    """Those among which the header is: the first ones, or those down to the row that was named."""
    found = []
    for at, row in enumerate(workbook.read_rows(sheet), 1):
        found.append(row)
        if at >= HEADER_ROWS if wishes.header_row is None else row.number >= wishes.header_row:
            break
    return found


def _checked_hidden(word: str | None) -> str:
    if word not in (None, SKIP, TAKE):
        raise InvalidValue("hidden_rows", word, f"write {SKIP} or {TAKE}")
    return word or SKIP


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(names[:MOST_NAMED])
    return shown if len(names) <= MOST_NAMED else f"{shown} and {len(names) - MOST_NAMED} more"
