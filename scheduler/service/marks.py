"""What this host remembers of a database, outside of it: the newest calls that its daemons claimed there.

Each daemon keeps a small file in a folder named after the database, written after each take and before its dials, so
that one that starts later notices a database that came back older. What must stay true: a file that cannot be
written stops no call, and one that cannot be read proves nothing; the file holds no number and no name of a person.
A newcomer would keep it in the database: it would be restored with it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from dataclasses import asdict, dataclass
from pathlib import Path

LENGTH = 200
"""Bytes of each file: a line is written over the last one, in one piece."""
FORGET_AFTER = 7 * 86_400
"""Seconds after which the file of another daemon goes, when its mark is an older one."""


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """An attempt that was committed, and after how many recoveries of the database that was."""

    epoch: int
    attempt_id: int
    ref: str


class Marks:
    """The marks of one database on this host. `problem` says why they cannot be kept, or is None."""

    def __init__(self, folder: Path, owner: str) -> None:
        self.folder = folder
        self.problem: str | None = None
        self._file = folder / (re.sub(r"[^\w.-]", "_", owner) + ".mark")
        self._own: Mark | None = None
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            self.problem = f"{folder} cannot be made ({error.strerror})"

    def note(self, mark: Mark) -> None:
        """From now on this is what the database must know."""
        self._own = max(mark, self._own) if self._own else mark
        try:
            line = json.dumps(asdict(self._own)).ljust(LENGTH - 1) + "\n"
            self._file.touch(mode=0o600)
            with self._file.open("r+b", buffering=0) as file:
                file.write(line.encode())
            self.problem = None
        except OSError as error:
            self.problem = f"{self._file} cannot be written ({error.strerror})"

    def newest(self) -> Mark | None:
        """Of this daemon and of every other one on this host."""
        found = [self._own] if self._own else []
        found += [mark for _, mark in self._read_files()]
        return max(found, default=None)

    def tidy(self) -> None:
        """Delete what daemons left long ago, save the newest mark."""
        newest, before = self.newest(), time.time() - FORGET_AFTER
        for file, mark in self._read_files():
            with contextlib.suppress(OSError):
                if file != self._file and mark != newest and file.stat().st_mtime < before:
                    file.unlink()

    def _read_files(self) -> list[tuple[Path, Mark]]:
        found = []
        with contextlib.suppress(OSError):
            for file in self.folder.iterdir():
                if file.suffix == ".mark" and (mark := _read(file)) is not None:
                    found.append((file, mark))
        return found


def _read(file: Path) -> Mark | None:
    try:
        told = json.loads(file.read_bytes())
        mark = Mark(told["epoch"], told["attempt_id"], told["ref"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    is_right = type(mark.epoch) is int and type(mark.attempt_id) is int and isinstance(mark.ref, str)
    return mark if is_right else None


def folder_of(state_dir: str | None, identity: str) -> Path:
    """Where the marks of this database are: below what is set, what the service manager gives, or the user's own."""
    given = state_dir or os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if not given:
        home = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
        given = f"{home}/ringback"
    return Path(given).expanduser() / identity
