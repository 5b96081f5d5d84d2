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


