"""What an import needs of a file, whatever its kind: its columns, then its records in batches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from scheduler.errors import InvalidValue
from scheduler.rules.headers import Columns, HeaderWishes
from scheduler.rules.rows import Reject

CHUNK = 2000
"""Rows per batch, and so per transaction: enough that round trips do not count, few enough that nobody waits
for its locks."""

Record = tuple[int, list[str]]
"""The line of the file on which it begins, and its cells as texts."""


class Batch(NamedTuple):
    """Records and what could not be read as one, in the order of the file; `done` of `size` is read then."""

    records: list[Record | Reject]
    done: int


class Source(Protocol):
    """A file of leads. `inspect` comes first; it refuses with InvalidValue what cannot be imported."""

    size: int
    """Of the whole, in the unit of `Batch.done`."""

    def inspect(self, wishes: HeaderWishes) -> Columns:
        """Look at the file and recognise its header."""
        ...

    def read_batches(self) -> Iterator[Batch]: ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What people should know of how it was read, complete once it was."""
        ...


def refuse_file(path: Path, why: str) -> InvalidValue:
    return InvalidValue("file", str(path), why)
