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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from stat import S_ISREG
from typing import Protocol, TextIO

from scheduler.errors import InvalidValue
from scheduler.rules.headers import Columns, HeaderWishes, read_header
from scheduler.rules.rows import ROW, Reject
from scheduler.service.sources import CHUNK, Batch, Record, refuse_file

DELIMITERS = (",", ";", "\t")
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


class CsvFile:
    """A `Source` that is read twice: once to see that it can be read at all, and once for its rows."""

    notes: tuple[str, ...] = ()

    def __init__(self, path: Path, *, encoding: str, delimiter: str | None) -> None:
        self._path, self._encoding = path, _checked_encoding(encoding)
        self._delimiter = _checked_delimiter(delimiter)
        self.size = 0

    def inspect(self, wishes: HeaderWishes) -> Columns:
        """Look at the whole file and recognise its header. Raises InvalidValue when it cannot be imported."""
        with self._open_bytes() as file:
            self._check_text(file)
        with self._open_text() as (_, text):
            if self._delimiter is None:
                self._delimiter = _sniff(text)
        with self._open_text() as (_, text):
            reader = self._reader(text)
            columns = read_header(self._find_header(reader), wishes)
            self._check_quotes(reader)
        return columns

    def read_batches(self) -> Iterator[Batch]:
        with self._open_text() as (file, text):
            records = self._read_records(self._reader(text))
            next(records)  # the header
            while batch := list(islice(records, CHUNK)):
                yield Batch(batch, min(file.tell(), self.size))

    def _read_records(self, reader: CsvReader) -> Iterator[Record | Reject]:
        """Every record that is not empty, with the line of the file on which it begins."""
        while True:
            line = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield Reject(line, ROW, "", _quoting_fault(error))
                continue
            if line == 1 and cells and _is_delimiter_line(cells):
                continue
            if "".join(cells).strip():
                yield line, cells

    def _find_header(self, reader: CsvReader) -> list[str]:
        found = next(self._read_records(reader), None)
        if found is None:
            raise self._refuse("it is empty; write a header line like nombre,telefono and one line per lead")
        if isinstance(found, Reject):
            raise self._refuse(f"line {found.line}: {found.reason}")
        return found[1]

    def _check_quotes(self, reader: CsvReader) -> None:
        """A quote that is never closed would take all rows after it for one cell."""
        has_rows = False
        for record in self._read_records(reader):
            if isinstance(record, Reject) and record.reason != _STRAY_QUOTE:
                raise self._refuse(f"line {record.line}: {record.reason}")
            has_rows = True
        if not has_rows:
            raise self._refuse("it has a header and no rows")

    def _check_text(self, file: io.BufferedReader) -> None:
        start = file.read(512)
        for signature, kind in _SIGNATURES.items():
            if start.startswith(signature):
                raise self._refuse(f"it is {kind}; save it as .xlsx or CSV, without a password, and import that")
        if _WEB_PAGE.match(start.removeprefix(codecs.BOM_UTF8)):
            raise self._refuse("it is a web page or XML, whatever its name says; open it and save it as .xlsx or CSV")
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

    def _reader(self, text: TextIO) -> CsvReader:
        return csv.reader(text, delimiter=self._delimiter or DELIMITERS[0], strict=True)

    def _refuse(self, why: str) -> InvalidValue:
        return refuse_file(self._path, why)


class CsvReader(Protocol):
    @property
    def line_num(self) -> int: ...

    def __next__(self) -> list[str]: ...


_STRAY_QUOTE = "text follows a closing quote; a quote inside quotes is written twice"


def _quoting_fault(error: csv.Error) -> str:
    if "unexpected end" in str(error):
        return "a quote is opened here and never closed"
    if "larger" in str(error):
        return f"a cell has more than {csv.field_size_limit()} characters; is a quote opened here and never closed?"
    return _STRAY_QUOTE


def _sniff(text: TextIO) -> str:
    """The delimiter that gives the header most columns; or the one that Excel's own first line names."""
    line = next((line for line in iter(lambda: text.readline(_BLOCK), "") if line.strip()), "")
    if _is_delimiter_line(line.split("=")[:1]) and line[4:5] in DELIMITERS:
        return line[4]

    def count_columns(delimiter: str) -> int:
        try:
            return len(next(csv.reader([line], delimiter=delimiter), []))
        except csv.Error:
            return 0

    return max(DELIMITERS, key=count_columns)  # of equals the first


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
    if delimiter in ("tab", "\\t"):
        return "\t"
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n \0' or delimiter.isalnum()):
        raise InvalidValue("delimiter", delimiter, "write one character: , ; | or tab")
    return delimiter
