"""Read a CSV file of leads: its encoding, its delimiter, its header, its records.

Decided here: what a usable file is. The whole file is looked at first, so that a wrong encoding, a quote that
is never closed or a header that cannot be read refuses it before anything is done; then its records stream.
"""

from __future__ import annotations

import codecs
import csv
import io
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from stat import S_ISREG
from typing import NamedTuple, Protocol, TextIO

from scheduler.errors import InvalidValue
from scheduler.rules.conventions import Assumption
from scheduler.rules.headers import (
    MOST_COLUMNS,
    Columns,
    HeaderRow,
    HeaderWishes,
    check_width,
    find_header,
    is_name,
    read_header,
)
from scheduler.rules.rows import ROW, Reject
from scheduler.service.sources import (
    CHUNK,
    HEADER_ROWS,
    LAST_HEADER_ROW,
    MOST_TEXT,
    Batch,
    Look,
    Record,
    Watch,
    refuse_file,
)

DELIMITERS = (",", ";", "\t", "|")
"""Those that are recognised; any other can be named."""

_SIGNATURES = {
    b"\xd0\xcf\x11\xe0": "an old spreadsheet (.xls) or one with a password",
    b"%PDF": "a PDF",
    b"\x1f\x8b": "packed (.gz)",
    b"Rar!": "packed (.rar)",
    b"7z\xbc\xaf": "packed (.7z)",
    b"{\\rtf": "a text document (.rtf)",
}
_WEB_PAGE = re.compile(rb"\s*<(?:!doctype|html|head|meta|table|\?xml|style|body)\b", re.IGNORECASE)
"""Programs that export "to Excel" write such a file and call it .xls."""
_BLOCK = 1 << 20
LONGEST_RECORD = 1_000_000
"""Characters of one row, as in a spreadsheet."""
SAMPLE, SAMPLE_ROWS = 1 << 18, 500
"""Characters and rows that are looked at to find the delimiter."""
_SHOWN = 10_000
"""Characters of a line that are enough to see what stands between its cells."""
MOST_NAMED = 10


class CsvFile:
    """A `Source` that is read twice: once to see that it can be read at all, and once for its rows."""

    def __init__(self, path: Path, *, encoding: str | None, delimiter: str | None) -> None:
        self._path = path
        self._encoding = _checked_encoding(encoding) if encoding is not None else ""
        self._delimiter = _checked_delimiter(delimiter)
        self._header_line = self._width = self._length = 0
        self._kept: list[int] = []
        self._nameless: set[int] = set()
        self._assumed: list[Assumption] = []
        self._skips_space = False
        self.size = 0
        self.from_1904 = False

    def inspect(self, wishes: HeaderWishes, watch: Watch | None = None) -> Columns:
        """Look at the whole file and recognise its header. Raises InvalidValue when it cannot be imported."""
        with self._open_bytes() as file:
            self._check_text(file)
        if self._delimiter is None:
            with self._open_text() as (_, text):
                self._delimiter = self._choose_delimiter(text, wishes)
        with self._open_text() as (_, text):
            records = self._read_records(text)
            first = list(_first_records(records, wishes.header_row))
            header = self._find_header(first, wishes)
            self._kept = [at for at in sorted(header.cells) if is_name(header.cells[at])]
            columns = read_header([header.cells[at] for at in self._kept], wishes)
            look = watch(columns) if watch is not None else None
            self._check_rows(chain(first, records), look)
        return columns

    @property
    def notes(self) -> tuple[str, ...]:
        if not self._nameless:
            return ()
        names = [str(at + 1) for at in sorted(self._nameless)[:MOST_NAMED]]
        return (f"columns without a name in the header were passed over: {', '.join(names)}",)

    @property
    def assumptions(self) -> tuple[Assumption, ...]:
        return tuple(self._assumed)

    def read_batches(self) -> Iterator[Batch]:
        with self._open_text() as (file, text):
            rows = self._pick_rows(self._read_records(text))
            while True:
                batch: list[Record | Reject] = []
                length = 0
                for row in islice(rows, CHUNK):
                    batch.append(row)
                    length += 0 if isinstance(row, Reject) else self._length
                    if length > MOST_TEXT:
                        break
                if not batch:
                    return
                yield Batch(batch, min(file.tell(), self.size))

    def _read_records(self, text: TextIO) -> Iterator[Record | Reject]:
        """Every record that is not empty, with the line of the file on which it begins."""
        lines = _Lines(text)
        reader = self._reader(lines)
        while True:
            line = reader.line_num + 1
            lines.taken = 0
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield Reject(line, ROW, "", _quoting_fault(error))
                continue
            except _TooLong:
                raise self._refuse(
                    f"line {line} begins a row of more than {LONGEST_RECORD:,} characters, and a file has at most "
                    f"{MOST_COLUMNS:,} columns; is a quote opened there and never closed?"
                ) from None
            self._length = lines.taken
            if line == 1 and cells and _is_delimiter_line(cells):
                continue
            if "".join(cells).strip():
                yield line, cells

    def _pick_rows(self, records: Iterable[Record | Reject]) -> Iterator[Record | Reject]:
        """The rows below the header: what stands in columns that have a name, and what stands beyond the header."""
        kept, width = self._kept, self._width
        is_whole = kept == list(range(width))
        for record in records:
            if isinstance(record, Reject):
                if record.line > self._header_line:
                    yield record
                continue
            line, cells = record
            if line <= self._header_line:
                continue
            if is_whole and len(cells) <= width:
                yield record
                continue
            surplus = _trimmed(cells[width:])
            if width + len(surplus) > MOST_COLUMNS:
                why = f"it has {len(cells):,} cells, and a file has at most {MOST_COLUMNS:,} columns"
                yield Reject(line, ROW, "", why)
                continue
            if not is_whole:
                named = set(kept)
                self._nameless.update(
                    at for at, cell in enumerate(cells[:width]) if at not in named and cell.strip()
                )
            picked = [cells[at] if at < len(cells) else "" for at in kept] + surplus
            if surplus or any(map(str.strip, picked)):
                yield line, picked

    def _find_header(self, first: Sequence[Record | Reject], wishes: HeaderWishes) -> HeaderRow:
        """The header, among the first records. Raises InvalidValue where there is none that could be one."""
        fault = next((one for one in first if isinstance(one, Reject)), None)
        if fault is not None and fault.reason != _STRAY_QUOTE:
            raise self._refuse(f"line {fault.line}: {fault.reason}")
        rows = [HeaderRow(one[0], _by_column(one[1])) for one in first if not isinstance(one, Reject)]
        found = find_header(rows, wishes)
        if found is None and wishes.header_row is not None:
            raise InvalidValue("header row", wishes.header_row, "no row that is not empty begins on this line")
        if found is None and fault is not None:
            raise self._refuse(f"line {fault.line}: {fault.reason}")
        if found is None:
            if not rows:
                raise self._refuse("it is empty; write a header line like nombre,telefono and one line per lead")
            # None names a phone: that is said of the row that looks most like a header.
            found = max(rows, key=lambda row: len(row.cells))
        check_width(len(found.cells))
        self._header_line = found.number
        lengths = {one[0]: len(one[1]) for one in first if not isinstance(one, Reject)}
        self._width = max(lengths[found.number], *(at + 1 for at in found.cells), 0)
        if wishes.header_row is None:
            above = sum(row.number < found.number for row in rows)
            because = f"{above} above it are titles" if above else "it is the first that is not empty"
            self._assumed.append(Assumption("header_row", str(found.number), because, "header_row", not above))
        return found

    def _check_rows(self, records: Iterable[Record | Reject], look: Look | None) -> None:
        """A quote that is never closed would take all rows after it for one cell."""
        has_rows = False
        for record in self._pick_rows(records):
            if isinstance(record, Reject):
                if record.reason in _FATAL:
                    raise self._refuse(f"line {record.line}: {record.reason}")
            elif look is not None:
                look(*record)
            has_rows = True
        if not has_rows:
            raise self._refuse("it has a header and no rows")

    def _choose_delimiter(self, text: TextIO, wishes: HeaderWishes) -> str:
        """The one that gives the header a phone, and the rows as many columns as the header has."""
        sample = text.read(SAMPLE)
        if len(sample) == SAMPLE:
            sample = sample[: sample.rfind("\n") + 1] or sample
        line = _first_line(sample)
        if _is_delimiter_line(line.split("=")[:1]) and line[4:5] and not line[5:].strip():
            return _checked_delimiter(line[4]) or DELIMITERS[0]
        tried = [
            (_judge_delimiter(sample, one, wishes, skips_space=skips), one, skips)
            for skips in (False, True) for one in DELIMITERS
        ]
        fit, best, self._skips_space = max(tried, key=lambda one: one[0])  # of equals the first
        if fit.columns > 1:
            share = f"{int(100 * fit.share)}%"
            because = f"{share} of the first rows have the {fit.columns} columns of the header, or fewer"
            self._assumed.append(Assumption("delimiter", _SPOKEN[best], because, "delimiter", fit.share > 0.9))
        return best

    def _check_text(self, file: io.BufferedReader) -> None:
        start = file.read(512)
        for signature, kind in _SIGNATURES.items():
            if start.startswith(signature):
                raise self._refuse(f"it is {kind}; save it as .xlsx or CSV, without a password, and import that")
        if _WEB_PAGE.match(start.removeprefix(codecs.BOM_UTF8)):
            raise self._refuse("it is a web page or XML, whatever its name says; open it and save it as .xlsx or CSV")
        file.seek(0)
        if not self._encoding:
            self._recognise_encoding(file, start)
            file.seek(0)
        decoder = codecs.getincrementaldecoder(self._encoding)()
        done, line = 0, 1
        while True:
            block = file.read(_BLOCK)
            try:
                text = decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                # The decoder may hold the beginning of a letter from the block before.
                at = max(done + len(block) - len(error.object) + error.start, 0)
                line += error.object[: error.start].count(b"\n")
                raise self._refuse(self._wrong_encoding(at, line, start)) from None
            except UnicodeError as error:  # utf-16 without its mark, punycode, and the like
                raise self._refuse(f"it is not {self._encoding} ({error}); name its encoding with --encoding") from None
            if "\0" in text:
                line += text[: text.index("\0")].count("\n")
                hint = "; is it UTF-16? then say --encoding utf-16" if start[1:2] == b"\0" or start[:1] == b"\0" else ""
                raise self._refuse(f"it is not text: line {line} holds a zero byte{hint}")
            done, line = done + len(block), line + text.count("\n")
            if not block:
                return

    def _recognise_encoding(self, file: io.BufferedReader, start: bytes) -> None:
        """By its mark, by its zero bytes, or by bytes that UTF-8 never has; UTF-8 where nothing speaks against it."""
        self._encoding = "utf-8-sig"
        if start[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            self._assume_encoding("utf-16", "it begins with the mark of UTF-16")
        elif (order := _order_of_pairs(start)) is not None:
            self._assume_encoding(order, "every other byte of its beginning is zero")
        elif _is_old_windows(file):
            self._assume_encoding("cp1252", "it has bytes that UTF-8 never has, and no letter of UTF-8")

    def _assume_encoding(self, name: str, because: str) -> None:
        self._encoding = name
        self._assumed.append(Assumption("encoding", name, because, "encoding"))

    def _wrong_encoding(self, at: int, line: int, start: bytes) -> str:
        if start[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            right = "it looks like UTF-16; say --encoding utf-16"
        elif self._encoding.startswith("utf-8"):
            right = "name its encoding with --encoding (Excel on Windows often writes cp1252)"
        else:
            right = "name its encoding with --encoding, such as utf-8 or cp1252"
        return f"byte {at} (line {line}) is not {self._encoding.removesuffix('-sig')}; {right}"

    @contextmanager
    def _open_bytes(self) -> Iterator[io.BufferedReader]:
        try:
            with self._path.open("rb") as file:
                found = os.fstat(file.fileno())
                if not S_ISREG(found.st_mode):
                    raise self._refuse("it is not a regular file; save it as one, because it is read twice")
                self.size = found.st_size
                yield file
        except IsADirectoryError:
            raise self._refuse("it is a directory; name a CSV file") from None
        except FileNotFoundError:
            raise self._refuse("there is no such file") from None
        except OSError as error:
            raise self._refuse(f"it cannot be read ({error.strerror or error})") from None

    @contextmanager
    def _open_text(self) -> Iterator[tuple[io.BufferedReader, TextIO]]:
        with self._open_bytes() as file:
            # newline="": line ends inside quotes stay as they are, and physical lines are counted.
            text = io.TextIOWrapper(file, encoding=self._encoding, newline="")
            try:
                yield file, text
            finally:
                text.detach()

    def _reader(self, lines: Iterable[str]) -> CsvReader:
        return csv.reader(
            lines, delimiter=self._delimiter or DELIMITERS[0], strict=True, skipinitialspace=self._skips_space
        )

    def _refuse(self, why: str) -> InvalidValue:
        return refuse_file(self._path, why)


class CsvReader(Protocol):
    @property
    def line_num(self) -> int: ...

    def __next__(self) -> list[str]: ...


_STRAY_QUOTE = "text follows a closing quote; a quote inside quotes is written twice"


def _quoting_fault(error: csv.Error) -> str:
    if "unexpected end" in str(error):
        return _NEVER_CLOSED
    if "larger" in str(error):
        return _FATAL_LENGTH
    return _STRAY_QUOTE


_NEVER_CLOSED = "a quote is opened here and never closed"
_FATAL_LENGTH = f"a cell has more than {csv.field_size_limit()} characters; is a quote opened here and never closed?"
_FATAL = (_NEVER_CLOSED, _FATAL_LENGTH)


class _TooLong(Exception):
    """One row is longer than any that somebody wrote"""


class _Lines:
    """The lines of a text, as many characters of one row as can be one: a row is whole in memory, with an object for
    each of its cells, before anybody can count them.
    """

    def __init__(self, text: TextIO) -> None:
        self._text, self.taken = text, 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._text.readline(LONGEST_RECORD + 1)
        if not line:
            raise StopIteration
        self.taken += len(line)
        if self.taken > LONGEST_RECORD:
            raise _TooLong
        return line


class _Fit(NamedTuple):
    """How well a delimiter fits, to be compared: is there a header that names a phone, what share of the rows below
    it fits into its columns, and how many those are.
    """

    has_header: bool
    share: float
    columns: int


def _judge_delimiter(sample: str, delimiter: str, wishes: HeaderWishes, *, skips_space: bool) -> _Fit:
    rows: list[tuple[int, list[str]]] = []
    reader = csv.reader(
        io.StringIO(sample, newline=""), delimiter=delimiter, strict=True, skipinitialspace=skips_space
    )
    faults = 0
    while len(rows) < SAMPLE_ROWS:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            if _quoting_fault(error) in _FATAL:
                break  # the sample ends within quotes, or this is not the delimiter
            faults += 1
            continue
        if "".join(cells).strip():
            rows.append((line, cells))
    most = HEADER_ROWS if wishes.header_row is None else LAST_HEADER_ROW
    narrow = [(line, cells) for line, cells in rows[:most] if len(cells) <= MOST_COLUMNS]
    header = find_header([HeaderRow(line, _by_column(cells)) for line, cells in narrow], wishes)
    if header is None:
        return _Fit(False, 0.0, len(next(csv.reader([_first_line(sample)[:_SHOWN]], delimiter=delimiter), [])))
    width = max(header.cells) + 1 if header.cells else 0
    below = [cells for line, cells in rows if line > header.number]
    fitting = sum(
        len(_trimmed(cells)) <= width and (len(cells) > 1 or width == 1) and not any(map(_QUOTED.match, cells))
        for cells in below
    )
    return _Fit(True, fitting / (len(below) + faults) if below or faults else 1.0, width)


def _first_line(sample: str) -> str:
    return next((line for line in sample.splitlines() if line.strip()), "")


def _first_records(records: Iterator[Record | Reject], header_row: int | None) -> Iterator[Record | Reject]:
    """The records among which the header is: the first ones, or those down to the line that was named."""
    for at, record in enumerate(records, 1):
        yield record
        line = record.line if isinstance(record, Reject) else record[0]
        if at >= HEADER_ROWS if header_row is None else line >= header_row:
            return


def _by_column(cells: Sequence[str]) -> dict[int, str]:
    """The cells with something in them."""
    filled = {at: cell for at, cell in enumerate(cells) if cell and not cell.isspace()}
    return {at: cell.removeprefix("\ufeff") for at, cell in filled.items()}


def _trimmed(cells: Sequence[str]) -> list[str]:
    """Without the empty cells at its end."""
    end = len(cells)
    while end and not cells[end - 1].strip():
        end -= 1
    return list(cells[:end])


_QUOTED = re.compile(r' +"')
"""A space before the quote makes it a part of the text, for who does not skip the space."""
_SPOKEN = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
_WRITTEN = {word: mark for mark, word in _SPOKEN.items()} | {"\\t": "\t"}
_PAIRS = 8


def _order_of_pairs(start: bytes) -> str | None:
    """UTF-16 without its mark: in texts of our alphabets every other byte is zero."""
    even, odd = start[0::2][:_PAIRS], start[1::2][:_PAIRS]
    if len(odd) < _PAIRS or (any(even) == any(odd)):
        return None
    return "utf-16-le" if not any(odd) and all(even) else "utf-16-be" if not any(even) and all(odd) else None


_LETTER = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}")


def _is_old_windows(file: io.BufferedReader) -> bool:
    """Is it no UTF-8, and no letter in it is? A file that has both is broken, and which letters are is for people."""
    file.seek(0)
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        while block := file.read(_BLOCK):
            decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        pass
    else:
        return False
    file.seek(0)
    before = b""  # a letter may be cut in two by a block
    while block := file.read(_BLOCK):
        if _LETTER.search(before + block):
            return False
        before = block[-2:]
        try:
            block.decode("cp1252")
        except UnicodeDecodeError:
            return False
    return True


def _is_delimiter_line(cells: Sequence[str]) -> bool:
    """Excel writes `sep=;` above the header."""
    return cells[0].removeprefix("\ufeff").removesuffix("=").lower() == "sep" and not any(cells[1:])


def _checked_encoding(name: str) -> str:
    try:
        io.TextIOWrapper(io.BytesIO(), encoding=name)
        return codecs.lookup(name).name
    except (LookupError, ValueError):
        raise InvalidValue("encoding", name, "write one that Python knows, such as utf-8, cp1252 or utf-16") from None


def _checked_delimiter(delimiter: str | None) -> str | None:
    if delimiter in _WRITTEN:
        return _WRITTEN[delimiter]
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n \0' or delimiter.isalnum()):
        raise InvalidValue("delimiter", delimiter, "write one character: , ; | or tab")
    return delimiter
