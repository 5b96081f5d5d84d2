"""What an import writes beside the tables: the rejects file and the verdicts file, both CSV for people's spreadsheets.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from scheduler.errors import InvalidValue
from scheduler.rules.rows import REJECT_COLUMNS, Columns, Reject, neutralise

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
