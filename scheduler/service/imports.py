"""Import leads from a CSV file: each good row becomes a lead with its numbers and a first planned call.

Decided here: what a usable file is, and what is written when. The whole file is looked at first, so that
a wrong encoding, a quote that is never closed or a header that cannot be read refuses it before a single
lead is added. Then rows stream through in chunks, each one transaction: a crash leaves whole chunks, and
the same file again adds only the rest. While a chunk is being written, the next one is judged.

Bad rows, duplicates and numbers left out go to a rejects file, whose rows can be mended and imported
again. What a newcomer would get wrong: rows of the file that were rejected do not count as taken, so a
good row with the same number is imported.
"""

from __future__ import annotations

import codecs
import csv
import io
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from stat import S_ISREG
from typing import Protocol, TextIO

from scheduler.errors import Conflict, InvalidValue, NotFound, RingbackError
from scheduler.model import Campaign
from scheduler.rules.rows import (
    REJECT_COLUMNS,
    ROW,
    Columns,
    NewLead,
    NumberReader,
    Reject,
    RowJudge,
    Settled,
    neutralise,
    read_header,
)
from scheduler.service.rulebook import RuleBook
from scheduler.service.runtime import Runtime
from scheduler.store import imports as store
from scheduler.store.campaigns import find_campaign

CHUNK = 2000
"""Rows per transaction: enough that round trips do not count, few enough that nobody waits for its locks."""
MOST_TRIES = 10
FIRST_REJECTS = 10
DELIMITERS = (",", ";", "\t")
"""Those that are recognised; any other can be named."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What became of a file. `read` = `added` + `duplicates` + `rejected`; a dry run counts what it would do.

    `rejects_path` is None when there was nothing to write or nothing was to be written.
    """

    read: int
    added: int
    duplicates: int
    rejected: int
    rejects_path: Path | None
    first_rejects: tuple[Reject, ...] = ()
    warnings: tuple[str, ...] = ()


def import_leads(
    path: Path | str,
    *,
    campaign: str | None = None,
    default_country: str,
    encoding: str = "utf-8-sig",
    delimiter: str | None = None,
    rejects_path: Path | None = None,
    dry_run: bool = False,
    on_progress: Progress | None = None,
    runtime: Runtime,
) -> ImportReport:
    """Add the leads of a CSV file, to a campaign (its code or id) or to none.

    Raises InvalidValue for a file, header or option that cannot be used, NotFound for the campaign, Conflict
    when it is cancelled, DatabaseUnavailable. Then nothing was added, or, where the sentence says so, whole
    chunks; the same file again adds the rest.
    """
    path = Path(path)
    NumberReader(default_country)  # refuse a wrong country before a large file is read
    source = _Source(path, encoding=encoding, delimiter=delimiter)
    columns = source.inspect()
    target = _find_target(runtime, campaign)
    judge = _open_judge(runtime, columns, target, default_country)
    writer = _Writer(runtime, target, dry_run=dry_run)
    tally = _Tally()
    with _open_rejects(path, rejects_path, columns, is_wanted=not dry_run or rejects_path is not None) as rejects:
        try:
            for outcome in _overlap(writer, source.read_chunks(judge)):
                tally.count(outcome)
                rejects.write(outcome.rejects)
                if on_progress:
                    on_progress(outcome.bytes_read, source.size)
        except RingbackError as error:
            _tell_how_far(error, tally, dry_run=dry_run)
            raise
    if on_progress:
        on_progress(source.size, source.size)
    return tally.report(rejects.published_path, _warnings(columns, target, writer, dry_run=dry_run))


@dataclass(frozen=True)
class _Chunk:
    """Rows as judged by themselves, and how far in the file they end."""

    rows: list[NewLead]
    rejects: list[Reject]
    bytes_read: int


@dataclass(frozen=True)
class _Outcome:
    """What became of a chunk. `rejects` are in the order of the file."""

    added: int
    rejects: list[Reject]
    bytes_read: int


def _overlap(writer: _Writer, chunks: Iterator[_Chunk]) -> Iterator[_Outcome]:
    """Write each chunk while the next one is read: the database's work and ours are done side by side."""
    with ThreadPoolExecutor(1, thread_name_prefix="import") as pool:
        under_way: Future[_Outcome] | None = None
        for chunk in chunks:
            if under_way is not None:
                yield under_way.result()
            under_way = pool.submit(writer.write, chunk)
        if under_way is not None:
            yield under_way.result()


@dataclass
class _Tally:
    added: int = 0
    duplicates: int = 0
    rejected: int = 0
    first: list[Reject] = field(default_factory=list)

    def count(self, outcome: _Outcome) -> None:
        self.added += outcome.added
        self.duplicates += sum(one.kind == "duplicate" for one in outcome.rejects)
        self.rejected += sum(one.kind == "rejected" for one in outcome.rejects)
        self.first += outcome.rejects[: FIRST_REJECTS - len(self.first)]

    def report(self, rejects_path: Path | None, warnings: tuple[str, ...]) -> ImportReport:
        return ImportReport(
            read=self.added + self.duplicates + self.rejected, added=self.added, duplicates=self.duplicates,
            rejected=self.rejected, rejects_path=rejects_path, first_rejects=tuple(self.first), warnings=warnings,
        )


def _tell_how_far(error: RingbackError, tally: _Tally, *, dry_run: bool) -> None:
    """Let the error say that part of the file is in the table already."""
    if tally.added and not dry_run:
        error.args = (f"{error}; {tally.added} leads were added before: the same file again adds only the rest",)


def _warnings(columns: Columns, target: Campaign | None, writer: _Writer, *, dry_run: bool) -> tuple[str, ...]:
    found = []
    if columns.variables:
        names = ", ".join(columns.headers[at] for at in columns.variables)
        found.append(f"kept as variables for the voice agent: {names}")
    if target is not None and writer.has_reactivated:
        was = "would be" if dry_run else "is"
        found.append(f"campaign {target.code} was completed and {was} active again")
    return tuple(found)


# --- where the leads go -------------------------------------------------------------------------


def _find_target(runtime: Runtime, key: str | None) -> Campaign | None:
    if key is None:
        return None
    found = runtime.database.read(lambda connection: find_campaign(connection, key))
    if found is None:
        raise NotFound("campaign", key)
    store.check_takes_leads(found.status, found.code)
    return found


def _open_judge(runtime: Runtime, columns: Columns, target: Campaign | None, default_country: str) -> RowJudge:
    rules = runtime.database.read(lambda connection: RuleBook().read(connection, [target] if target else []))
    policy = rules.policy(target.id if target else None)
    return RowJudge(
        columns, default_country=default_country, campaign_zones=policy.zones, default_zone=policy.default_zone
    )


class _Writer:
    """Settles chunks against the table and writes them, one transaction each, in the order of the file."""

    def __init__(self, runtime: Runtime, target: Campaign | None, *, dry_run: bool) -> None:
        self._database, self._target, self._dry_run = runtime.database, target, dry_run
        self._now = runtime.clock.now()
        self._seen: dict[int, int] = {}
        self.has_reactivated = False

    def write(self, chunk: _Chunk) -> _Outcome:
        settled = self._settle_and_store(chunk.rows)
        # Only now: a transaction that lost a race runs again, and must not find its own rows as twins.
        self._seen.update(settled.seen)
        rejects = sorted(chunk.rejects + settled.rejects, key=lambda one: one.line)
        return _Outcome(len(settled.added), rejects, chunk.bytes_read)

    def _settle_and_store(self, rows: list[NewLead]) -> Settled:
        if not rows:
            return Settled([], [], {})
        if self._dry_run:
            return self._database.read(
                lambda connection: store.settle_rows(connection, self._target, rows, self._seen, self._now)
            )
        for _ in range(MOST_TRIES):
            try:
                settled, has_reactivated = self._database.transact(
                    lambda connection: store.add_rows(connection, self._target, rows, self._seen, self._now)
                )
            except store.Overtaken:
                continue
            self.has_reactivated |= has_reactivated
            return settled
        raise Conflict("other imports bring the same numbers at the same time; wait until they are done")


# --- the file -----------------------------------------------------------------------------------

_SIGNATURES = {
    b"PK\x03\x04": "a spreadsheet or another packed file (.xlsx, .ods, .zip)",
    b"\xd0\xcf\x11\xe0": "an old spreadsheet (.xls)",
    b"%PDF": "a PDF",
    b"\x1f\x8b": "packed (.gz)",
}
_BLOCK = 1 << 20


class _Source:
    """A CSV file that is read twice: once to see that it can be read at all, and once for its rows."""

    def __init__(self, path: Path, *, encoding: str, delimiter: str | None) -> None:
        self._path, self._encoding = path, _checked_encoding(encoding)
        self._delimiter = _checked_delimiter(delimiter)
        self.size = 0

    def inspect(self) -> Columns:
        """Look at the whole file and recognise its header. Raises InvalidValue when it cannot be imported."""
        with self._open_bytes() as file:
            self._check_text(file)
        with self._open_text() as (_, text):
            if self._delimiter is None:
                self._delimiter = _sniff(text)
        with self._open_text() as (_, text):
            reader = self._reader(text)
            columns = read_header(self._find_header(reader))
            self._check_quotes(reader)
        return columns

    def read_chunks(self, judge: RowJudge) -> Iterator[_Chunk]:
        with self._open_text() as (file, text):
            records = self._read_records(self._reader(text))
            next(records)  # the header
            while batch := list(islice(records, CHUNK)):
                verdicts = [one if isinstance(one, Reject) else judge.judge(*one) for one in batch]
                yield _Chunk(
                    [one for one in verdicts if isinstance(one, NewLead)],
                    [one for one in verdicts if isinstance(one, Reject)],
                    min(file.tell(), self.size),
                )

    def _read_records(self, reader: CsvReader) -> Iterator[tuple[int, list[str]] | Reject]:
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
            if any(cell and not cell.isspace() for cell in cells):
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
        start = file.read(4)
        for signature, kind in _SIGNATURES.items():
            if start.startswith(signature):
                raise self._refuse(f"it is {kind}, not text; save it as CSV and import that")
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
        return InvalidValue("file", str(self._path), why)


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


# --- the rejects file ---------------------------------------------------------------------------


class _Rejects:
    """The rejects file: opened before anything is imported, published when there is something in it."""

    def __init__(self, path: Path, columns: Columns) -> None:
        self._path, self._draft = path, path.with_name(f".{path.name}.{os.getpid()}")
        self._skipped = len(REJECT_COLUMNS) if columns.is_rejects_file else 0
        self._headers = columns.headers[self._skipped :]
        self._has_lines = False
        self.published_path: Path | None = None
        if path.is_dir():
            raise InvalidValue("rejects file", str(path), "it is a directory")
        try:
            self._file = self._draft.open("w", encoding="utf-8", newline="")
        except OSError as error:
            raise self._unwritable(error) from None
        self._csv = csv.writer(self._file)

    def write(self, rejects: Sequence[Reject]) -> None:
        if not rejects:
            return
        try:
            if not self._has_lines:
                self._csv.writerow([*REJECT_COLUMNS, *map(neutralise, self._headers)])
                self._has_lines = True
            for one in rejects:
                texts = (one.field, one.value, one.reason, *one.cells[self._skipped :])
                self._csv.writerow([one.line, *(_writable(neutralise(text)) for text in texts)])
            self._file.flush()
        except OSError as error:
            raise self._unwritable(error) from None

    def close(self) -> None:
        try:
            self._file.close()
            if self._has_lines:
                self._draft.replace(self._path)
                self.published_path = self._path
                return
            self._draft.unlink()
            if _is_rejects_file(self._path):  # of an earlier import: it would speak of rows that are mended
                self._path.unlink()
        except OSError as error:
            raise self._unwritable(error) from None

    def _unwritable(self, error: OSError) -> InvalidValue:
        why = f"it cannot be written ({error.strerror or error}); name another place for it"
        return InvalidValue("rejects file", str(self._path), why)


class _NoRejects:
    """For a dry run: nothing is written."""

    published_path: Path | None = None

    def write(self, rejects: Sequence[Reject]) -> None:
        pass


@contextmanager
def _open_rejects(
    source: Path, asked: Path | None, columns: Columns, *, is_wanted: bool
) -> Iterator[_Rejects | _NoRejects]:
    if not is_wanted:
        yield _NoRejects()
        return
    path = asked or source.with_name(source.name + ".rejects.csv")
    if path.exists() and path.samefile(source):
        raise InvalidValue("rejects file", str(path), "it is the file that is being imported")
    rejects = _Rejects(path, columns)
    try:
        yield rejects
    finally:
        rejects.close()


def _is_rejects_file(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.readline(200).startswith(",".join(REJECT_COLUMNS).encode())
    except OSError:
        return False


def _writable(text: str) -> str:
    return text.encode(errors="replace").decode()
