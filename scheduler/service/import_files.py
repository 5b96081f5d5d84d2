"""What an import writes beside the tables: the rejects file and the verdicts file, CSV for people's spreadsheets.

Each is opened before anything is imported, so that a place where it cannot be written stops the import, and is
published under its name at the end. No cell of it can be taken for a formula.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from scheduler.errors import InvalidValue
from scheduler.rules.cells import neutralise
from scheduler.rules.headers import REJECT_COLUMNS, Columns
from scheduler.rules.rows import Reject
from scheduler.rules.verdicts import RowVerdict


class _Draft:
    """A CSV file beside its place until `publish` puts it there."""

    def __init__(self, what: str, path: Path, source: Path) -> None:
        self._what, self.path = what, path
        # A device or a pipe is written to as it stands: a file put in its place would end it for everybody.
        self._is_in_place = path.exists() and not path.is_file()
        self._draft = path if self._is_in_place else path.with_name(f".{path.name}.{os.getpid()}")
        if path.exists() and source.exists() and path.samefile(source):
            raise InvalidValue(what, str(path), "it is the file that is being imported")
        if path.is_dir():
            raise InvalidValue(what, str(path), "it is a directory")
        if not path.parent.exists():
            right = f"there is no folder {path.parent}; make it first, or name another place"
            raise InvalidValue(what, str(path), right)
        try:
            self._file = self._draft.open("w", encoding="utf-8", newline="")
        except OSError as error:
            raise self.unwritable(error) from None
        self._csv = csv.writer(self._file)

    def write(self, rows: Iterable[Sequence[object]]) -> None:
        try:
            self._csv.writerows([[_clean(cell) for cell in row] for row in rows])
            self._file.flush()
        except OSError as error:
            raise self.unwritable(error) from None

    def publish(self) -> None:
        try:
            self._file.close()
            if not self._is_in_place:
                self._draft.replace(self.path)
        except OSError as error:
            raise self.unwritable(error) from None

    def discard(self) -> None:
        self._file.close()
        if not self._is_in_place:
            self._draft.unlink()

    def unwritable(self, error: OSError) -> InvalidValue:
        why = f"it cannot be written ({error.strerror or error}); name another place for it"
        return InvalidValue(self._what, str(self.path), why)


def _clean(cell: object) -> object:
    return neutralise(cell).encode(errors="replace").decode() if isinstance(cell, str) else cell


class Rejects:
    """The rejects file: published when there is something in it."""

    def __init__(self, path: Path, source: Path, columns: Columns) -> None:
        self._draft = _Draft("rejects file", path, source)
        self._skipped = len(REJECT_COLUMNS) if columns.is_rejects_file else 0
        self._headers = columns.headers[self._skipped :]
        self._has_lines = False
        self.published_path: Path | None = None

    def write(self, rejects: Sequence[Reject]) -> None:
        if not rejects:
            return
        if not self._has_lines:
            self._draft.write([(*REJECT_COLUMNS, *self._headers)])
            self._has_lines = True
        self._draft.write(
            (one.line, one.field, one.value, one.reason, *one.cells[self._skipped :]) for one in rejects
        )

    def close(self) -> None:
        if self._has_lines:
            self._draft.publish()
            self.published_path = self._draft.path
            return
        try:
            self._draft.discard()
            if _is_rejects_file(self._draft.path):  # of an earlier import: it would speak of rows that are mended
                self._draft.path.unlink()
        except OSError as error:
            raise self._draft.unwritable(error) from None


def _is_rejects_file(path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return file.readline(200).startswith(",".join(REJECT_COLUMNS).encode())
    except OSError:
        return False


class Verdicts:
    """The verdicts file: a line for every row, also for the good ones. Several values of one row stand one after
    another, with a semicolon between those of different numbers.
    """

    def __init__(self, path: Path, source: Path) -> None:
        self._draft = _Draft("verdicts file", path, source)
        self._draft.write([RowVerdict._fields])

    def write(self, rows: Iterable[RowVerdict]) -> None:
        self._draft.write(
            (one.line, one.verdict.value, "; ".join(one.numbers), "; ".join(one.kinds), "; ".join(one.countries),
             " ".join(one.zones), one.reason)
            for one in rows
        )

    def close(self) -> None:
        self._draft.publish()


@contextmanager
def open_rejects(source: Path, asked: Path | None, columns: Columns, *, is_wanted: bool) -> Iterator[Rejects | None]:
    """The rejects file beside the source, or where it was asked for; None when nothing is to be written."""
    if not is_wanted:
        yield None
        return
    rejects = Rejects(_place_of_rejects(source, asked), source, columns)
    try:
        yield rejects
    finally:
        rejects.close()


def _place_of_rejects(source: Path, asked: Path | None) -> Path:
    return asked or source.with_name(source.name + ".rejects.csv")


@contextmanager
def open_verdicts(source: Path, asked: Path | None, rejects: Path | None) -> Iterator[Verdicts | None]:
    """The verdicts file, when one is asked for. `rejects` is where the rejects were asked to go."""
    if asked is None:
        yield None
        return
    if asked.absolute() == _place_of_rejects(source, rejects).absolute():
        raise InvalidValue("verdicts file", str(asked), "the rejects go there; name another place")
    verdicts = Verdicts(asked, source)
    try:
        yield verdicts
    finally:
        verdicts.close()
