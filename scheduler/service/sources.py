"""What an import needs of a file, whatever its kind: its columns, then its records in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from scheduler.errors import InvalidValue
from scheduler.rules.conventions import Assumption
from scheduler.rules.headers import Columns, HeaderWishes
from scheduler.rules.rows import Reject

CHUNK = 2000
"""Rows per batch, and so per transaction: enough that round trips do not count, few enough that nobody waits
for its locks."""

Record = tuple[int, list[str]]
"""The line of the file on which it begins, and its cells as texts."""


MOST_TEXT = 8_000_000
"""Characters in a batch: rows of long texts come in smaller ones, so that memory stays flat."""
HEADER_ROWS = 20
"""So many rows that are not empty are looked at for the header."""
LAST_HEADER_ROW = 1000
"""People may name one that lies deeper."""

Look = Callable[[int, Sequence[str]], None]
"""Is shown every record before the first is judged."""
Watch = Callable[[Columns], Look | None]


class Batch(NamedTuple):
    """Records and what could not be read as one, in the order of the file; `done` of `size` is read then."""

    records: list[Record | Reject]
    done: int


class Source(Protocol):
    """A file of leads. `inspect` comes first; it refuses with InvalidValue what cannot be imported."""

    size: int
    """Of the whole, in the unit of `Batch.done`."""
    from_1904: bool
    """Does it count days from 1904? Known once the header was found."""

    def inspect(self, wishes: HeaderWishes, watch: Watch | None = None) -> Columns:
        """Look at the file and recognise its header. `watch` says who looks at every record meanwhile, if anybody."""
        ...

    def read_batches(self) -> Iterator[Batch]: ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What people should know of how it was read, complete once it was."""
        ...

    @property
    def assumptions(self) -> tuple[Assumption, ...]:
        """What was decided of it that nobody had said, complete once it was inspected."""
        ...


def refuse_file(path: Path, why: str) -> InvalidValue:
    return InvalidValue("file", str(path), why)
