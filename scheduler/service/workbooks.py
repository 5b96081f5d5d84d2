"""Read the cells of an .xlsx file as texts, in a stream, out of an archive that nobody trusts.

Decided here: how much a file may unpack to, and how a cell reads as text. What must stay true: no file, however it
was made, takes more memory than its shared texts (`MOST_SHARED`) and one row (`LONGEST_ROW`), or more time than
reading `MOST_UNPACKED` takes. That is why this reads the XML itself: the libraries for it hold a sheet as a full
grid, and a file of two kilobytes that names the cell XFD1048576 asks them for all the memory there is.

What a newcomer would get wrong: a date is a number like any other, known as a date by its style alone.
"""

from __future__ import annotations

import posixpath
import re
import struct
import zipfile
import zlib
from array import array
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cached_property
from math import isfinite
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple
from xml.parsers import expat

from scheduler.errors import InvalidValue
from scheduler.rules.cells import NEVER_CALCULATED, NumberCell
from scheduler.service.sources import refuse_file

MB = 1 << 20
MOST_UNPACKED = 600 * MB
"""Of all parts together. A sheet of a million rows and ten columns has about 400 MB."""
MOST_SHARED = 200 * MB
"""Of the texts that cells share: they are held in memory while the sheet is read."""
MOST_SMALL = 20 * MB
"""Of each other part that is read, such as the styles."""
MOST_ENTRIES = 10_000
MOST_RATIO = 200
"""Sheets pack to a tenth or a fiftieth of their size; a bomb packs to a thousandth."""
RATIO_FROM = 5 * MB
MOST_TAGS = 40_000_000
"""In one part, closing ones too: a million rows of ten cells. Small files of empty tags would be read for minutes."""
LONGEST_CELL = 32_767
"""Characters; the most that a spreadsheet takes."""
LONGEST_ROW = 1_000_000
MOST_MERGES = 100_000
LAST_ROW, LAST_COLUMN = 1_048_576, 16_384
DEEPEST = 64
_BLOCK = 1 << 16
_LONGEST_TAG = 4 * MB

Refuse = Callable[[str], InvalidValue]


class Sheet(NamedTuple):
    """`part` is its place in the archive."""

    name: str
    is_hidden: bool
    part: str


class Row(NamedTuple):
    """A row with something in it: its cells by column, counted from 0, and how far into the sheet it ends. Cells that
    are numbers for the spreadsheet are `NumberCell`.
    """

    number: int
    cells: dict[int, str]
    done: int
    is_hidden: bool = False


class Layout(NamedTuple):
    """What a sheet says of its cells beside their values: columns that are hidden, counted from 0, and by column, by
    its first row, the last row of each cell that is merged over several rows.
    """

    hidden_columns: Set[int]
    merged: Mapping[int, Mapping[int, int]]


NO_LAYOUT = Layout(frozenset(), MappingProxyType({}))


class Workbook:
    """An .xlsx file. Opening it checks the archive; anything that cannot be read is refused with InvalidValue."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._archive = _Archive(path, self._refuse)
        try:
            main = self._find_main()
            relations = self._read_relations(main)
            self.sheets, self.from_1904 = self._read_sheets(main, relations)
        except BaseException:
            self.close()
            raise
        self._layouts: dict[str, Layout] = {}
        self._styles = _find(relations, "/styles")
        self._shared = _find(relations, "/sharedStrings")

    def close(self) -> None:
        self._archive.close()

    def size(self, sheet: Sheet) -> int:
        return self._archive.size(sheet.part)

    def read_rows(self, sheet: Sheet) -> Iterator[Row]:
        """Its rows that are not empty, in order, from a stream."""
        parser = _SheetParser(self._strings, self._formats, from_1904=self.from_1904)
        self._layouts[sheet.part] = Layout(parser.hidden_columns, parser.merged)  # it fills as rows are read
        for done in self._parse(sheet.part, MOST_UNPACKED, parser):
            yield from (Row(number, cells, done, is_hidden) for number, cells, is_hidden in parser.take_rows())

    def layout(self, sheet: Sheet) -> Layout:
        """Of a sheet whose rows are read: columns stand before them, what is merged behind the last."""
        return self._layouts.get(sheet.part, NO_LAYOUT)

    @cached_property
    def _strings(self) -> _Strings:
        parser = _StringsParser()
        if self._shared:
            self._run(self._shared, MOST_SHARED, parser)
        return parser.strings

    @cached_property
    def _formats(self) -> list[str]:
        """What each style makes of a number: a "date", a "percent" or nothing."""
        parser = _StylesParser()
        if self._styles:
            self._run(self._styles, MOST_SMALL, parser)
        return parser.formats

    def _find_main(self) -> str:
        names = self._archive.names
        if "mimetype" in names and "content.xml" in names:
            raise self._refuse("it is an OpenDocument spreadsheet (.ods); save it as .xlsx or CSV")
        root = self._read_relations("") if "_rels/.rels" in names else {}
        main = _find(root, "/officeDocument") or "xl/workbook.xml"
        if main.endswith(".bin"):
            raise self._refuse("it is a binary spreadsheet (.xlsb); save it as .xlsx or CSV")
        if main not in names or main.startswith(("word/", "ppt/")):
            raise self._refuse("it is packed but no .xlsx spreadsheet; open it in Excel and save it as .xlsx or CSV")
        return main

    def _read_relations(self, part: str) -> dict[str, tuple[str, str]]:
        """(type, part) by id of what a part refers to."""
        folder, name = posixpath.split(part)
        place = posixpath.join(folder, "_rels", f"{name}.rels")
        if place not in self._archive.names:
            return {}
        parser = _TagsParser("Relationship")
        self._run(place, MOST_SMALL, parser)
        return {
            one.get("Id", ""): (one.get("Type", ""), self._archive.find(folder, one.get("Target", "")))
            for one in parser.tags
        }

    def _read_sheets(self, main: str, relations: Mapping[str, tuple[str, str]]) -> tuple[list[Sheet], bool]:
        parser = _TagsParser("sheet", "workbookPr")
        self._run(main, MOST_SMALL, parser)
        sheets = []
        from_1904 = False
        for tag in parser.tags:
            if "name" not in tag:
                from_1904 |= tag.get("date1904") in ("1", "true")
                continue
            key = next((value for name, value in tag.items() if name.endswith(":id")), "")
            kind, part = relations.get(key, ("", ""))
            if kind.endswith("/worksheet") and part in self._archive.names:
                sheets.append(Sheet(tag["name"], tag.get("state", "visible") != "visible", part))
        if not sheets:
            raise self._refuse("it has no sheets; open it in Excel and save it again")
        return sheets, from_1904

    def _run(self, part: str, most: int, parser: _Parser) -> None:
        for _ in self._parse(part, most, parser):
            pass

    def _parse(self, part: str, most: int, parser: _Parser) -> Iterator[int]:
        """Feed a part to a parser, block by block; after each, how many bytes it has seen."""
        reader = expat.ParserCreate()
        reader.buffer_text = True

        def begin(name: str, attributes: dict[str, str]) -> None:
            """The first tag tells whether names have prefixes; most files have none, and need nothing taken off."""
            reader.StartElementHandler, reader.EndElementHandler = parser.start, parser.end
            if ":" in name:
                reader.StartElementHandler = lambda name, attributes: parser.start(name.rpartition(":")[2], attributes)
                reader.EndElementHandler = lambda name: parser.end(name.rpartition(":")[2])
            parser.start(name, attributes)

        def refuse_doctype(*_: object) -> None:
            raise self._refuse(f"its {part} declares entities, which no spreadsheet does")

        reader.StartElementHandler, reader.CharacterDataHandler = begin, parser.text
        reader.StartDoctypeDeclHandler = refuse_doctype
        done = tags = 0
        try:
            for block in self._archive.read(part, most):
                tags += block.count(b"<")
                if tags > MOST_TAGS:
                    raise self._refuse(
                        f"its {part} has more than {MOST_TAGS // 1_000_000} million tags; split the file, or save it "
                        "as CSV"
                    )
                reader.Parse(block, False)
                done += len(block)
                if done - reader.CurrentByteIndex > _LONGEST_TAG:
                    raise self._refuse(f"its {part} holds a tag longer than any spreadsheet writes it")
                yield done
            reader.Parse(b"", True)
        except (expat.ExpatError, LookupError, ValueError) as error:
            raise self._refuse(f"its {part} is broken ({error}); open it in Excel and save it again") from None
        yield done

    def _refuse(self, why: str) -> InvalidValue:
        return refuse_file(self._path, why)


def _find(relations: Mapping[str, tuple[str, str]], kind: str) -> str | None:
    return next((part for found, part in relations.values() if found.endswith(kind)), None)


# --- the archive ----------------------------------------------------------------------------------


class _Archive:
    """A zip file whose claims are checked before anything of it is unpacked."""

    def __init__(self, path: Path, refuse: Refuse) -> None:
        self._refuse = refuse
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise refuse(f"it cannot be read ({error.strerror or error})") from None
        try:
            self._check_entries()
            with self._broken("it"):
                self._zip = zipfile.ZipFile(self._file)
            # Some programs write the names of parts as Windows writes paths.
            self._infos = {_unix(one.filename).lstrip("/"): one for one in self._zip.infolist()}
            self._check_sizes()
        except BaseException:
            self._file.close()
            raise
        self.names = self._infos.keys()

    def close(self) -> None:
        self._zip.close()
        self._file.close()

    def size(self, part: str) -> int:
        return self._infos[part].file_size

    def find(self, folder: str, target: str) -> str:
        """The part that a relation names; some programs get the case of its letters wrong."""
        target = _unix(target)
        path = target[1:] if target.startswith("/") else posixpath.normpath(posixpath.join(folder, target))
        if path in self._infos:
            return path
        return next((name for name in self._infos if name.casefold() == path.casefold()), path)

    def read(self, part: str, most: int) -> Iterator[bytes]:
        """The part in blocks; one of more than so many bytes is refused.

        The size is a claim, but `zipfile` gives no byte more than it says, and what was cut off does not add up.
        """
        info = self._infos[part]
        if info.file_size > most:
            right = "split the file, or save it as CSV"
            raise self._refuse(f"its {part} unpacks to more than {most // MB} MB; {right}")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise self._refuse(f"its {part} is packed in a way that no spreadsheet uses")
        if info.flag_bits & 1:
            raise self._refuse("it is locked with a password; save it without one")
        with self._broken(part), self._zip.open(info) as file:
            while block := file.read(_BLOCK):
                yield block

    def _check_entries(self) -> None:
        """Before the directory is read, which takes memory for each entry: count what may be one."""
        count = 0
        while block := self._file.read(MB):
            count += block.count(b"PK\x01\x02")
            if count > MOST_ENTRIES:
                raise self._refuse(f"it is an archive of more than {MOST_ENTRIES} files, which no spreadsheet is")
        self._file.seek(0)

    def _check_sizes(self) -> None:
        total = sum(one.file_size for one in self._infos.values())
        if total > MOST_UNPACKED:
            raise self._refuse(
                f"it unpacks to {total // MB} MB, and at most {MOST_UNPACKED // MB} MB are read; split the file, or "
                "save it as CSV"
            )
        for one in self._infos.values():
            if one.file_size > RATIO_FROM and one.file_size > MOST_RATIO * max(one.compress_size, 1):
                raise self._refuse(
                    f"its {one.filename} is packed more than {MOST_RATIO} times over, as a zip bomb is; open it in "
                    "Excel and save it as CSV"
                )

    @contextmanager
    def _broken(self, what: str) -> Iterator[None]:
        try:
            yield
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, struct.error, RuntimeError, ValueError) as error:
            raise self._refuse(f"{what} is broken ({error}); open it in Excel and save it again") from None


def _unix(name: str) -> str:
    return name.replace("\\", "/")


# --- parts ----------------------------------------------------------------------------------------


class _Parser:
    """What a part means, told tag by tag. Names come without their prefix."""

    def __init__(self) -> None:
        self.depth = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.depth += 1
        if self.depth > DEEPEST:
            raise ValueError(_TOO_DEEP)

    def end(self, name: str) -> None:
        self.depth -= 1

    def text(self, text: str) -> None:
        pass


_TOO_DEEP = f"tags are nested more than {DEEPEST} deep"


class _TagsParser(_Parser):
    """The attributes of all tags of some names, in order."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        self._names = names
        self.tags: list[dict[str, str]] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        super().start(name, attributes)
        if name in self._names:
            self.tags.append(attributes)


class _StylesParser(_Parser):
    def __init__(self) -> None:
        super().__init__()
        self._codes: dict[str, str] = {}
        self._is_inside = False
        self.formats: list[str] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        super().start(name, attributes)
        if name == "numFmt":
            self._codes[attributes.get("numFmtId", "")] = attributes.get("formatCode", "")
        elif name == "cellXfs":
            self._is_inside = True
        elif name == "xf" and self._is_inside:
            number = attributes.get("numFmtId", "0")
            code = self._codes.get(number)
            self.formats.append(_BUILT_IN.get(number, "") if code is None else _format_of(code))

    def end(self, name: str) -> None:
        super().end(name)
        if name == "cellXfs":
            self._is_inside = False


_BUILT_IN = {
    **{str(number): "date" for number in (*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59))},
    "9": "percent", "10": "percent",
}  # fmt: skip
_UNSPOKEN = re.compile(r'"[^"]*"|\\.|_.|\*.|\[[^\]]*\]')
"""Of a format code: texts, fillers, colours and conditions."""


def _format_of(code: str) -> str:
    spoken = _UNSPOKEN.sub("", code.partition(";")[0]).casefold()
    if "%" in spoken:
        return "percent"
    return "date" if any(letter in spoken for letter in "dmyhs") and "general" not in spoken else ""


class _Strings:
    """Texts by index, kept as the bytes of one block: millions of them cost no more than what is written in them."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._ends = array("Q", [0])

    def add(self, text: str) -> None:
        self._bytes += text.encode("utf-8", "replace")
        self._ends.append(len(self._bytes))

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, index: int) -> str:
        if not 0 <= index < len(self):
            raise ValueError(f"a cell names text {index}, which is not there")
        return self._bytes[self._ends[index] : self._ends[index + 1]].decode()


_TOO_LONG = f"a cell holds more than {LONGEST_CELL} characters"


class _StringsParser(_Parser):
    """Shared texts: the pieces of one are written in several tags, and beside them how it is pronounced."""

    def __init__(self) -> None:
        super().__init__()
        self.strings = _Strings()
        self._pieces: list[str] = []
        self._length = 0
        self._is_text = self._is_spoken = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        super().start(name, attributes)
        if name == "t":
            self._is_text = not self._is_spoken
        elif name == "si":
            self._pieces, self._length = [], 0
        elif name == "rPh":
            self._is_spoken = True

    def end(self, name: str) -> None:
        super().end(name)
        if name == "t":
            self._is_text = False
        elif name == "si":
            self.strings.add(_unescape("".join(self._pieces)))
        elif name == "rPh":
            self._is_spoken = False

    def text(self, text: str) -> None:
        if self._is_text:
            self._length += len(text)
            if self._length > LONGEST_CELL:
                raise ValueError(_TOO_LONG)
            self._pieces.append(text)


class _SheetParser(_Parser):
    """The rows of a sheet. `take_rows` gives those that have come to their end.

    Called several times for each cell, so it does no more than it must.
    """

    def __init__(self, strings: _Strings, formats: list[str], *, from_1904: bool) -> None:
        super().__init__()
        self._strings, self._formats, self._from_1904 = strings, formats, from_1904
        self._known = {str(at) for at in range(len(formats))}
        self._rows: list[tuple[int, dict[int, str], bool]] = []
        self.hidden_columns: set[int] = set()
        self.merged: dict[int, dict[int, int]] = {}
        self._merges = 0
        self._number = 0
        self._cells: dict[int, str] = {}
        self._row_length = 0
        self._column = -1
        self._kind = self._style = self._value = ""
        self._is_value = self._is_spoken = self._has_formula = self._is_hidden = False

    def take_rows(self) -> list[tuple[int, dict[int, str], bool]]:
        rows, self._rows = self._rows, []
        return rows

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.depth += 1
        if self.depth > DEEPEST:
            raise ValueError(_TOO_DEEP)
        if name == "c":
            place = attributes.get("r")
            self._column = self._column + 1 if place is None else _column_of(place)
            self._kind, self._style = attributes.get("t", "n"), attributes.get("s", "")
            self._value, self._has_formula = "", False
        elif name == "v":
            self._is_value = True
        elif name == "row":
            self._number = int(attributes.get("r", self._number + 1))
            self._cells, self._row_length, self._column = {}, 0, -1
            self._is_hidden = attributes.get("hidden") in _TRUE or attributes.get("ht") in _NO_HEIGHT
        elif name == "f":
            self._has_formula = True
        elif name == "t":
            self._is_value = not self._is_spoken
        elif name == "rPh":
            self._is_spoken = True
        elif name == "mergeCell":
            self._merge(attributes.get("ref", ""))
        elif name == "col" and attributes.get("hidden") in _TRUE:
            last = min(int(attributes.get("max", "0")), LAST_COLUMN)
            self.hidden_columns.update(range(max(int(attributes.get("min", "1")), 1) - 1, last))

    def _merge(self, place: str) -> None:
        """Keep where a cell is merged over several rows."""
        found = _MERGED.fullmatch(place)
        if found is None or int(found[2]) >= int(found[3]):
            return
        self._merges += 1
        if self._merges > MOST_MERGES:
            raise ValueError(f"more than {MOST_MERGES} cells are merged over several rows")
        self.merged.setdefault(_column_of(found[1]), {})[int(found[2])] = int(found[3])

    def end(self, name: str) -> None:
        self.depth -= 1
        if name == "v" or name == "t":
            self._is_value = False
        elif name == "c":
            text = self._read_cell()
            if text and not text.isspace():
                self._keep(text)
        elif name == "row":
            if self._cells:
                self._rows.append((self._number, self._cells, self._is_hidden))
        elif name == "rPh":
            self._is_spoken = False

    def text(self, text: str) -> None:
        if self._is_value:
            self._value += text
            if len(self._value) > LONGEST_CELL:
                raise ValueError(_TOO_LONG)

    def _keep(self, text: str) -> None:
        self._row_length += len(text)
        if self._row_length > LONGEST_ROW:
            raise ValueError(f"row {self._number} holds more than {LONGEST_ROW} characters")
        if self._column >= LAST_COLUMN or not 0 < self._number <= LAST_ROW:
            raise ValueError(f"a cell lies beyond row {LAST_ROW} or column {LAST_COLUMN}")
        self._cells[self._column] = text

    def _read_cell(self) -> str:
        kind, value = self._kind, self._value
        if kind == "s":
            return self._strings[int(value)] if value else ""
        if kind == "n":
            if not value:
                return NEVER_CALCULATED if self._has_formula else ""
            return self._read_number(value)
        if kind == "b":
            return "TRUE" if value.strip() == "1" else "FALSE"
        return _unescape(value)

    def _read_number(self, text: str) -> str:
        try:
            number = float(text)
        except ValueError:
            return text
        if not isfinite(number):
            return text
        style = self._formats[int(self._style)] if self._style in self._known else ""
        if style == "date" and (instant := _read_instant(number, from_1904=self._from_1904)):
            return instant
        if style == "percent":
            return f"{number * 100:.12g}%"
        is_whole = number.is_integer() and abs(number) < 1e16
        return NumberCell(str(int(number)) if is_whole else f"{number:.15g}")


_TRUE, _NO_HEIGHT = ("1", "true"), ("0", "0.0")
_MERGED = re.compile(r"\$?([A-Za-z]{1,3})\$?([0-9]{1,7}):\$?[A-Za-z]{1,3}\$?([0-9]{1,7})")
_COLUMNS: dict[str, int] = {}


def _column_of(place: str) -> int:
    """Of "AB12", counted from 0."""
    letters = place.rstrip("0123456789")
    found = _COLUMNS.get(letters)
    if found is None:
        if not (1 <= len(letters) <= 3 and letters.isascii() and letters.isalpha()):
            raise ValueError(f"{place[:20]!r} is no place of a cell")
        found = 0
        for letter in letters.upper():
            found = found * 26 + ord(letter) - ord("A") + 1
        _COLUMNS[letters] = found = found - 1
    return found


def column_name(at: int) -> str:
    """The letters of a column counted from 0."""
    name = ""
    at += 1
    while at:
        at, rest = divmod(at - 1, 26)
        name = chr(ord("A") + rest) + name
    return name


_LAST_DAY = 2_958_466
"""The first serial number beyond the year 9999."""


def _read_instant(serial: float, *, from_1904: bool) -> str | None:
    """A spreadsheet's date as ISO text: a date, a date and time, or a time of day; None when it is none."""
    if not 0 <= serial < _LAST_DAY - 1462:
        return None
    seconds = round(serial * 86400)
    if seconds < 86400:
        return _clock(_DAY_ONE + timedelta(seconds=seconds))
    # 1900 was no leap year, but it has a 29th of February in spreadsheets: day 60.
    before = timedelta(days=2 if serial >= 60 else 1)
    first = datetime(1904, 1, 1, tzinfo=UTC) if from_1904 else _DAY_ONE - before
    at = first + timedelta(seconds=seconds)
    return at.date().isoformat() if seconds % 86400 == 0 else f"{at.date().isoformat()}T{_clock(at)}"


_DAY_ONE = datetime(1900, 1, 1, tzinfo=UTC)


def _clock(at: datetime) -> str:
    return f"{at:%H:%M:%S}" if at.second else f"{at:%H:%M}"


_ESCAPE = re.compile(r"_x([0-9A-Fa-f]{4})_")


def _unescape(text: str) -> str:
    """_x000D_ stands for a character that XML does not take."""
    if "_x" not in text:
        return text
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)) if int(found[1], 16) >= 32 else " ", text)
