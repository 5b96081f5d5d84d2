"""Import leads from a CSV file or a spreadsheet, as through a staging room: every row gets a verdict, each good one
becomes a lead with its numbers and a first planned call. And take an import back.

Decided here: what is written when. The whole file is looked at first, so that one that cannot be read is refused
before a single lead is added. Then rows stream through in chunks, each one transaction with the counts of the
import: a crash leaves whole chunks, and the same file again adds only the rest. While a chunk is being written,
the next one is judged.

Bad rows, duplicates and numbers left out go to a rejects file, whose rows can be mended and imported
again. What a newcomer would get wrong: rows of the file that were rejected do not count as taken, so a
good row with the same number is imported. And an import is taken back only as far as nobody was called.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

from scheduler.errors import Conflict, InvalidSettings, InvalidValue, NotFound, RingbackError
from scheduler.model import Campaign, CampaignStatus, Happening, ImportStatus
from scheduler.rules.conventions import Assumption, Survey
from scheduler.rules.dates import DateOrder
from scheduler.rules.headers import REJECT_COLUMNS, Columns, HeaderWishes, Mapped, read_map
from scheduler.rules.hours import zone_info
from scheduler.rules.people import Mark, People
from scheduler.rules.phone_cells import NumberReader
from scheduler.rules.policy import FOUND_BY, Policy, read_last_date
from scheduler.rules.rows import DUPLICATES, NewLead, Reject, RowJudge, Settled, Verdict
from scheduler.rules.verdicts import RowVerdict, describe_rows
from scheduler.service.acting import current_actor
from scheduler.service.csv_files import CsvFile
from scheduler.service.import_files import open_rejects, open_verdicts
from scheduler.service.rulebook import RuleBook
from scheduler.service.runtime import Runtime
from scheduler.service.sources import CHUNK, LAST_HEADER_ROW, Batch, Look, Source
from scheduler.service.spreadsheets import SKIP, TAKE, Spreadsheet, is_spreadsheet, looks_broken
from scheduler.store import imports as store
from scheduler.store import journal
from scheduler.store.campaigns import find_campaign
from scheduler.store.database import Connection

__all__ = ["CHUNK", "READINGS", "ImportReport", "Manner", "UndoReport", "import_leads", "undo_import"]

MOST_TRIES = 10
FIRST_REJECTS = 10
MOST_GATHERED = 100_000
"""Rows of a file whose people are gathered: all of them are in memory at once then."""
MOST_KEPT, MOST_KEPT_TEXT = 5_000, 1_000_000
"""Rejects that are kept in the table, and characters of them; the others are counted."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What became of a file. `read` = `added` + `duplicates` + `rejected`; a dry run counts what it would do.

    `rejects_path` is None when there was nothing to write or nothing was to be written, `import_id` after a dry
    run. `known_elsewhere` are added rows whose number another campaign has. The kinds of line, countries and
    zones of good rows are told by a dry run, and where verdicts are written. `assumptions` are what was decided of
    the file that nobody had said.
    """

    read: int
    added: int
    duplicates: int
    rejected: int
    rejects_path: Path | None
    first_rejects: tuple[Reject, ...] = ()
    warnings: tuple[str, ...] = ()
    import_id: int | None = None
    verdicts: Mapping[str, int] = field(default_factory=dict)
    known_elsewhere: int = 0
    kinds: Mapping[str, int] = field(default_factory=dict)
    countries: Mapping[str, int] = field(default_factory=dict)
    zones: Mapping[str, int] = field(default_factory=dict)
    verdicts_path: Path | None = None
    assumptions: tuple[Assumption, ...] = ()


@dataclass(frozen=True, slots=True)
class Manner:
    """How an import is to be done that does not come from the command line.

    `file_name` is what the file is called towards people, in place of its path. `per_person`: rows of the same
    person become one lead (`rules.people`). `variables` go to every lead. `deadline_for_all`: the last date counts
    for rows that name another one too, which is kept as a variable. `account_id`: only numbers that campaigns of
    this account have are known elsewhere. `keeps_rejects`: in the table, not beside the file. `on_start` is told the
    id of the import as soon as it has one. `is_new`: a dry run is for a campaign that is not there yet, with these
    `new_settings`; with `only_looks` it ends soon after its first usable row.
    """

    file_name: str | None = None
    per_person: bool = False
    variables: Mapping[str, str] = field(default_factory=dict)
    deadline_for_all: bool = False
    account_id: int | None = None
    keeps_rejects: bool = False
    on_start: Callable[[int], None] | None = None
    is_new: bool = False
    new_settings: Mapping[str, Any] | None = None
    only_looks: bool = False


AT_THE_COMMAND_LINE = Manner()


def import_leads(
    path: Path | str,
    *,
    campaign: str | None = None,
    default_country: str,
    encoding: str | None = None,
    delimiter: str | None = None,
    sheet: str | None = None,
    header_row: int | None = None,
    hidden_rows: str | None = None,
    date_order: str | None = None,
    decimal_mark: str | None = None,
    joined_numbers: str | None = None,
    column_map: Sequence[str] = (),
    deadline: date | None = None,
    deadline_days: int | None = None,
    skip_known: bool = False,
    rejects_path: Path | None = None,
    verdicts_path: Path | None = None,
    dry_run: bool = False,
    on_progress: Progress | None = None,
    manner: Manner = AT_THE_COMMAND_LINE,
    runtime: Runtime,
) -> ImportReport:
    """Add the leads of a CSV or .xlsx file, to a campaign (its code or id) or to none.

    `encoding` to `joined_numbers` say how the file is to be read (`READINGS`); what is not said is recognised, and
    told in the report's `assumptions`. `column_map` says what columns mean, like `phone=Celular`. Rows without a last
    date to call get `deadline`, or the day that is `deadline_days` from today. `skip_known` leaves out numbers that
    other campaigns have.

    Raises InvalidValue for a file, header or option that cannot be used, NotFound for the campaign, Conflict
    when it is cancelled, DatabaseUnavailable. Then nothing was added, or, where the sentence says so, whole
    chunks; the same file again adds the rest.
    """
    path = Path(path)
    name = manner.file_name or path.name
    NumberReader(default_country)  # refuse a wrong country before a large file is read
    mapped = read_map(column_map)
    reading = _read_reading(date_order=date_order, decimal_mark=decimal_mark, joined_numbers=joined_numbers)
    _check_header_row(header_row)
    with _calling_it(path, manner):
        source = _open_source(path, encoding=encoding, delimiter=delimiter, sheet=sheet, hidden_rows=hidden_rows)
    target = _find_target(runtime, campaign)
    policy = _read_policy(runtime, target or (_imagine(manner.new_settings) if manner.is_new else None))
    today = runtime.clock.now().astimezone(zone_info(policy.default_zone)).date()
    call_until = read_last_date(deadline, deadline_days, today)
    required = tuple(policy.settings.required_variables or ())
    survey: Survey | None = None

    def watch(columns: Columns) -> Look | None:
        nonlocal survey
        survey = Survey(
            columns, country=default_country, date_order=reading.date_order, decimal_mark=reading.decimal_mark,
            sums=manner.per_person, from_1904=source.from_1904,
        )
        return survey.see if survey.is_needed else None

    with _calling_it(path, manner):
        columns = source.inspect(HeaderWishes(mapped, required, header_row), watch)
    assert survey is not None
    conventions, assumed = survey.conclude()
    if manner.deadline_for_all and call_until is not None:
        columns = _without_dates(columns)
    judge = RowJudge(
        columns, default_country=default_country, campaign_zones=policy.zones, default_zone=policy.default_zone,
        allowed_countries=policy.allowed_countries.value, required=required, call_until=call_until,
        added_variables=manner.variables, orders=conventions.orders, from_1904=conventions.from_1904,
        takes_several=reading.takes_several, today=today,
    )
    judged = _judge(source.read_batches(), judge)
    if manner.per_person:
        judged = _gather(judged, People(columns, conventions.marks), name)
    is_described = dry_run or verdicts_path is not None
    tally = _Tally(kept=_Kept(columns) if manner.keeps_rejects else None)

    def assumptions() -> tuple[Assumption, ...]:
        phones = [columns.headers[at] for at in columns.phones]
        return (
            *source.assumptions, *assumed, *_assumed_of_phones(phones, mapped), *_assumed_of_rows(judge, reading),
        )

    is_wanted = rejects_path is not None or not (dry_run or manner.keeps_rejects)
    with (
        _calling_it(path, manner),
        open_rejects(path, rejects_path, columns, is_wanted=is_wanted) as rejects,
        open_verdicts(path, verdicts_path, rejects_path) as verdicts,
        _open_writer(
            runtime, target, path, manner, size=source.size, skip_known=skip_known, dry_run=dry_run,
            found_by=policy.config.get(FOUND_BY, ()),
        ) as writer,
    ):
        try:
            for outcome in _overlap(writer, judged):
                tally.count(outcome)
                if rejects is not None:
                    rejects.write(outcome.faults)
                if is_described:
                    described = describe_rows(
                        outcome.settled.added, outcome.rejects, outcome.settled.known,
                        campaign_zones=policy.zones, default_zone=policy.default_zone,
                    )
                    tally.describe(described)
                    if verdicts is not None:
                        verdicts.write(described)
                if on_progress:
                    on_progress(outcome.done, source.size)
                if manner.only_looks and tally.added:
                    break
        except RingbackError as error:
            _tell_how_far(error, tally, dry_run=dry_run)
            raise
        writer.finish(tally, assumptions())
    if on_progress:
        on_progress(source.size, source.size)
    warnings = (
        *_warnings(columns, target, writer, source, tally, manner, judge, dry_run=dry_run),
        *(f"{tally.regions[one]} rows are in {one}: {doubt}" for one in sorted(tally.regions)
          if (doubt := policy.doubt_about(one))),
    )
    return tally.report(
        warnings, assumptions=assumptions(), import_id=writer.import_id, verdicts_path=verdicts_path,
        rejects_path=rejects.published_path if rejects else None,
    )


@dataclass(frozen=True)
class _Chunk:
    """Rows as judged by themselves, and how far in the file they end."""

    rows: list[NewLead]
    rejects: list[Reject]
    done: int


@dataclass(frozen=True)
class _Outcome:
    """What became of a chunk. `rejects` are all of it, in the order of the file."""

    settled: Settled
    rejects: list[Reject]
    done: int

    @property
    def faults(self) -> list[Reject]:
        """What people can mend. A row that went into the lead of another one is none."""
        return [one for one in self.rejects if one.verdict is not Verdict.MERGED]


def _judge(batches: Iterator[Batch], judge: RowJudge) -> Iterator[_Chunk]:
    for batch in batches:
        verdicts = [one if isinstance(one, Reject) else judge.judge(*one) for one in batch.records]
        yield _Chunk(
            [one for one in verdicts if isinstance(one, NewLead)],
            [one for one in verdicts if isinstance(one, Reject)],
            batch.done,
        )


def _gather(chunks: Iterator[_Chunk], people: People, name: str) -> Iterator[_Chunk]:
    """The rows of a whole file as leads, one for each person. Nothing is written before it was read to its end."""
    count = done = 0
    for chunk in chunks:
        count, done = count + len(chunk.rows) + len(chunk.rejects), chunk.done
        if count > MOST_GATHERED:
            right = f"a file whose people are gathered has at most {MOST_GATHERED:,} rows; split it by person"
            raise InvalidValue("file", name, right)
        people.add(sorted([*chunk.rows, *chunk.rejects], key=lambda one: one.line))
    made, rejects = people.leads()
    for start in range(0, max(len(made), len(rejects)), CHUNK):
        yield _Chunk(made[start : start + CHUNK], rejects[start : start + CHUNK], done)


def _without_dates(columns: Columns) -> Columns:
    """The column of last dates is told to the agent, and decides nothing."""
    at = columns.call_until
    if at is None:
        return columns
    names = (*columns.variable_names, columns.headers[at])
    return replace(columns, call_until=None, variables=(*columns.variables, at), variable_names=names)


@contextlib.contextmanager
def _calling_it(path: Path, manner: Manner) -> Iterator[None]:
    """Speak of a file by the name that people gave it: where it lies for us is nobody's business."""
    try:
        yield
    except InvalidValue as error:
        if manner.file_name is None or isinstance(error, InvalidSettings) or str(path.parent) not in str(error):
            raise
        raise InvalidValue(
            error.field, str(error.value).replace(str(path), manner.file_name).replace(path.name, manner.file_name),
            error.right.replace(str(path), manner.file_name).replace(path.name, manner.file_name),
        ) from None


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
    verdicts: Counter[Verdict] = field(default_factory=Counter)
    known: int = 0
    first: list[Reject] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    countries: Counter[str] = field(default_factory=Counter)
    zones: Counter[str] = field(default_factory=Counter)
    regions: Counter[str] = field(default_factory=Counter)
    kept: _Kept | None = None

    def count(self, outcome: _Outcome) -> None:
        self.verdicts += _count_verdicts(outcome.settled.added, outcome.rejects)
        self.known += len(outcome.settled.known)
        self.regions.update(row.region for row in outcome.settled.added if row.region is not None)
        self.first += outcome.faults[: FIRST_REJECTS - len(self.first)]
        if self.kept is not None:
            self.kept.add(outcome.faults)

    def describe(self, rows: Sequence[RowVerdict]) -> None:
        """Kinds of line and so on of the good rows, by their first numbers."""
        good = [one for one in rows if one.verdict is Verdict.GOOD]
        self.kinds.update(one.kinds[0] for one in good)
        self.countries.update(one.countries[0] for one in good)
        self.zones.update(" + ".join(one.zones) for one in good)

    @property
    def added(self) -> int:
        return self.verdicts[Verdict.GOOD]

    def details(self, assumptions: Sequence[Assumption]) -> dict[str, object]:
        """What is kept of an import beside its counts."""
        first = [{**dict(zip(REJECT_COLUMNS, one, strict=False)), "verdict": one.verdict.value} for one in self.first]
        kept = {store.KEPT: self.kept.document()} if self.kept is not None and self.kept.rows else {}
        return {
            "verdicts": _words(self.verdicts), "known_elsewhere": self.known, "first_rejects": first,
            "assumptions": [one._asdict() for one in assumptions], **kept,
        }

    def report(
        self, warnings: tuple[str, ...], *, assumptions: tuple[Assumption, ...], import_id: int | None,
        rejects_path: Path | None, verdicts_path: Path | None,
    ) -> ImportReport:
        counts = _sum_up(self.verdicts)
        return ImportReport(
            read=sum(counts.values()), **counts, rejects_path=rejects_path, first_rejects=tuple(self.first),
            warnings=warnings, import_id=import_id, verdicts=_words(self.verdicts), known_elsewhere=self.known,
            kinds=_words(self.kinds), countries=_words(self.countries), zones=_words(self.zones),
            verdicts_path=verdicts_path, assumptions=assumptions,
        )


class _Kept:
    """The first rejects as lines of a file that can be mended and imported again, for the table."""

    def __init__(self, columns: Columns) -> None:
        self._skipped = len(REJECT_COLUMNS) if columns.is_rejects_file else 0
        self._header = (*REJECT_COLUMNS, *columns.headers[self._skipped :])
        self._length = self._left_out = 0
        self.rows: list[list[str]] = []

    def add(self, rejects: Sequence[Reject]) -> None:
        for one in rejects:
            cells = [str(one.line), one.field, one.value, one.reason, *one.cells[self._skipped :]]
            length = sum(map(len, cells))
            if len(self.rows) == MOST_KEPT or self._length + length > MOST_KEPT_TEXT:
                self._left_out += 1
                continue
            self._length += length
            self.rows.append([cell.encode(errors="replace").decode() for cell in cells])

    def document(self) -> dict[str, object]:
        return {"header": self._header, "rows": self.rows, "left_out": self._left_out}


def _count_verdicts(added: Sequence[NewLead], rejects: Sequence[Reject]) -> Counter[Verdict]:
    counts = Counter(one.verdict for one in rejects if not one.is_warning)
    counts[Verdict.GOOD] += len(added)
    return counts


def _sum_up(verdicts: Counter[Verdict]) -> dict[str, int]:
    duplicates = sum(verdicts[one] for one in DUPLICATES)
    added = verdicts[Verdict.GOOD]
    return {"added": added, "duplicates": duplicates, "rejected": verdicts.total() - duplicates - added}


def _words(counts: Counter[Verdict] | Counter[str]) -> dict[str, int]:
    """Most frequent first."""
    return {str(word): count for word, count in counts.most_common() if count}


def _tell_how_far(error: RingbackError, tally: _Tally, *, dry_run: bool) -> None:
    """Let the error say that part of the file is in the table already."""
    if tally.added and not dry_run:
        error.args = (f"{error}; {tally.added} leads were added before: the same file again adds only the rest",)


def _warnings(
    columns: Columns, target: Campaign | None, writer: _Writer, source: Source, tally: _Tally, manner: Manner,
    judge: RowJudge, *, dry_run: bool,
) -> tuple[str, ...]:
    found = list(source.notes)
    if columns.variable_names:
        found.append(f"kept as variables for the voice agent: {', '.join(columns.variable_names)}")
    if judge.passed.count:
        passed = judge.passed
        found.append(
            f"{passed.count} rows have a last date that has passed, the first is line {passed.line}: {passed.first}; "
            "they will not be called"
        )
    if tally.known:
        was = "would be added" if dry_run else "were added"
        option = "--skip-known" if manner.file_name is None else "skip_known"
        found.append(f"{tally.known} rows {was} whose number other campaigns have too; {option} leaves them out")
    if target is not None and writer.has_reactivated:
        was = "would be" if dry_run else "is"
        found.append(f"campaign {target.code} was completed and {was} active again")
    return tuple(found)


# --- what the file is, and where the leads go -----------------------------------------------------


def _open_source(
    path: Path, *, encoding: str | None, delimiter: str | None, sheet: str | None, hidden_rows: str | None
) -> Source:
    if is_spreadsheet(path):
        return Spreadsheet(path, sheet=sheet, hidden_rows=hidden_rows)
    if looks_broken(path):
        raise InvalidValue("file", path.name, "it is named like a workbook but is none; save it again as .xlsx or CSV")
    if sheet is not None:
        raise InvalidValue("sheet", sheet, f"{path.name} is no .xlsx file, so it has no sheets")
    if hidden_rows is not None:
        raise InvalidValue("hidden_rows", hidden_rows, f"{path.name} is no .xlsx file, so it has no hidden rows")
    return CsvFile(path, encoding=encoding, delimiter=delimiter)


READINGS: Mapping[str, Sequence[str]] = {
    "hidden_rows": (SKIP, TAKE),
    "date_order": tuple(DateOrder),
    "decimal_mark": (Mark.POINT, Mark.COMMA, Mark.THOUSANDS),
    "joined_numbers": ("split", "refuse"),
}
"""The words of the options that say how a file is to be read where it can be read in two ways."""


@dataclass(frozen=True, slots=True)
class _Reading:
    """What people said of how a file is to be read."""

    date_order: DateOrder | None
    decimal_mark: Mark | None
    takes_several: bool
    says_joined: bool


def _read_reading(**given: str | None) -> _Reading:
    for name, word in given.items():
        if word is not None and word not in READINGS[name]:
            raise InvalidValue(name, word, f"write {' or '.join(READINGS[name])}")
    order, mark, joined = given["date_order"], given["decimal_mark"], given["joined_numbers"]
    return _Reading(
        DateOrder(order) if order else None, Mark(mark) if mark else None, joined != "refuse", joined is None
    )


def _check_header_row(row: int | None) -> None:
    if row is not None and not 1 <= row <= LAST_HEADER_ROW:
        raise InvalidValue("header_row", row, f"write the number of a row, from 1 to {LAST_HEADER_ROW}")


def _assumed_of_phones(headers: Sequence[str], mapped: Sequence[Mapped]) -> list[Assumption]:
    """Which of several numbers is dialed first is said, unless it was people who said it."""
    if len(headers) < 2 or any(one.meaning.startswith("phone") for one in mapped):
        return []
    return [Assumption("phones", ", ".join(headers), "they are dialed in this order", "map", True)]


def _assumed_of_rows(judge: RowJudge, reading: _Reading) -> list[Assumption]:
    """What was decided of single cells."""
    found = []
    if judge.joined.count and reading.says_joined:
        joined = judge.joined
        because = f"{joined.count} cells hold several numbers, the first is line {joined.line}: {joined.first!r}"
        found.append(Assumption("joined_numbers", "split", because, "joined_numbers"))
    if judge.timed.count:
        timed = judge.timed
        because = f"{timed.count} have a time of day, the first is line {timed.line}: {timed.first!r}"
        found.append(Assumption("last_dates", "whole_day", because, ""))
    return found


def _find_target(runtime: Runtime, key: str | None) -> Campaign | None:
    if key is None:
        return None
    found = runtime.database.read(lambda connection: find_campaign(connection, key))
    if found is None:
        raise NotFound("campaign", key)
    store.check_takes_leads(found.status, found.code)
    return found


def _imagine(settings: Mapping[str, Any] | None) -> Campaign:
    """A campaign with these settings that nobody made yet."""
    return Campaign(
        id=0, code="", name="", status=CampaignStatus.PAUSED, priority=0, provider=None, settings=settings
    )


def _read_policy(runtime: Runtime, target: Campaign | None) -> Policy:
    rules = runtime.database.read(lambda connection: RuleBook().read(connection, [target] if target else []))
    return rules.policy(target.id if target else None)


@contextlib.contextmanager
def _open_writer(
    runtime: Runtime, target: Campaign | None, path: Path, manner: Manner, *, size: int, skip_known: bool,
    dry_run: bool, found_by: Sequence[str],
) -> Iterator[_Writer]:
    """A writer whose import says that it failed, should it not come to its end."""
    writer = _Writer(
        runtime, target, manner, size=size, skip_known=skip_known, dry_run=dry_run, found_by=found_by
    )
    if not dry_run:
        writer.start(path)
    try:
        yield writer
    except BaseException as error:
        writer.fail(error)
        raise


class _Writer:
    """Settles chunks against the table and writes them, one transaction each, in the order of the file."""

    def __init__(
        self, runtime: Runtime, target: Campaign | None, manner: Manner, *, size: int, skip_known: bool, dry_run: bool,
        found_by: Sequence[str],
    ) -> None:
        self._manner, self._size = manner, size
        self._database, self._clock, self._target = runtime.database, runtime.clock, target
        self._skip_known, self._dry_run, self._found_by = skip_known, dry_run, found_by
        self._now, self._actor = runtime.clock.now(), current_actor()
        self._seen: dict[int, int] = {}
        self.has_reactivated = False
        self.import_id: int | None = None

    def start(self, path: Path) -> None:
        campaign_id = self._target.id if self._target else None
        sha256, name = _fingerprint(path), self._manner.file_name or path.name
        self.import_id = self._database.transact(
            lambda connection: store.start_import(
                connection, campaign_id=campaign_id, file_name=name, sha256=sha256, actor=self._actor, now=self._now,
            )
        )
        if self._manner.on_start is not None:
            self._manner.on_start(self.import_id)

    def finish(self, tally: _Tally, assumptions: Sequence[Assumption]) -> None:
        self._end(ImportStatus.DONE, tally.details(assumptions))

    def fail(self, error: BaseException) -> None:
        """Say why it ended, if the database can be reached; else it stays as running."""
        with contextlib.suppress(RingbackError):
            self._end(ImportStatus.FAILED, {"error": str(error) or type(error).__name__})

    def _end(self, status: ImportStatus, details: Mapping[str, object]) -> None:
        if (import_id := self.import_id) is None:
            return
        now = self._clock.now()

        def write(connection: Connection) -> None:
            store.finish_import(connection, import_id, status, details, now)
            ended = store.find_import(connection, import_id)
            if ended is not None and (ended.added or status is ImportStatus.DONE):
                journal.add_events(connection, [Happening(
                    kind="imported", actor=self._actor, campaign_id=ended.campaign_id,
                    reason=f"import {import_id} of {ended.file_name}: {ended.added} leads added",
                    details={"import_id": import_id, "added": ended.added, "status": status.value},
                )], now)

        self._database.transact(write)

    def write(self, chunk: _Chunk) -> _Outcome:
        settled = self._settle_and_store(chunk)
        # Only now: a transaction that lost a race runs again, and must not find its own rows as twins.
        self._seen.update(settled.seen)
        return _Outcome(settled, _in_order(chunk, settled), chunk.done)

    def _settle_and_store(self, chunk: _Chunk) -> Settled:
        if self.import_id is None:
            return self._database.read(
                lambda connection: store.settle_rows(
                    connection, self._target, chunk.rows, self._seen, self._now, skip_known=self._skip_known,
                    account_id=self._manner.account_id, is_new=self._manner.is_new,
                )
            )
        # A dead import says when it was last alive: its row is the only thing that outlives its process.
        progress = {"done": chunk.done, "size": self._size, "alive_at": self._clock.now().isoformat()}
        for _ in range(MOST_TRIES):
            try:
                settled, has_reactivated = self._database.transact(
                    lambda connection: self._store(connection, chunk, progress)
                )
            except store.Overtaken:
                continue
            self.has_reactivated |= has_reactivated
            return settled
        raise Conflict("other imports bring the same numbers at the same time; wait until they are done")

    def _store(
        self, connection: Connection, chunk: _Chunk, progress: Mapping[str, object]
    ) -> tuple[Settled, bool]:
        assert self.import_id is not None
        settled, has_reactivated = store.add_rows(
            connection, self._target, chunk.rows, self._seen, self._now, import_id=self.import_id,
            skip_known=self._skip_known, account_id=self._manner.account_id, found_by=self._found_by,
        )
        counts = _sum_up(_count_verdicts(settled.added, _in_order(chunk, settled)))
        store.count_rows(connection, self.import_id, **counts, progress=progress)
        return settled, has_reactivated


def _in_order(chunk: _Chunk, settled: Settled) -> list[Reject]:
    return sorted(chunk.rejects + settled.rejects, key=lambda one: one.line)


def _fingerprint(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --- taking an import back ------------------------------------------------------------------------

UNDO_CHUNK = 500
MOST_PASSES = 3
"""Over leads that somebody holds for a moment; those that are still held then are about to be called."""


@dataclass(frozen=True, slots=True)
class UndoReport:
    """What became of an import's leads: `taken_back` are gone, `stay` were called or are being called."""

    import_id: int
    file_name: str
    taken_back: int
    stay: int


def undo_import(import_id: int, *, dry_run: bool = False, runtime: Runtime) -> UndoReport:
    """Delete the leads of an import that were never called, with their numbers and plans, so that they can be
    imported again. Those that were called, or are being called now, stay.

    One that is cut off goes on when it is asked for again. Raises NotFound, and Conflict when nothing can be
    taken back.
    """
    database, now = runtime.database, runtime.clock.now()
    found = database.read(lambda connection: store.find_import(connection, import_id))
    if found is None:
        raise NotFound("import", import_id)
    total, free = database.read(lambda connection: store.count_untouched(connection, import_id))
    if free == 0:
        raise Conflict(_why_nothing(found, total))
    if dry_run:
        return UndoReport(import_id, found.file_name, free, total - free)
    database.transact(lambda connection: store.mark_undone(connection, import_id, now))
    taken_back = 0
    for _ in range(MOST_PASSES):
        taken_back += _take_back_all(runtime, import_id)
        total, free = database.read(lambda connection: store.count_untouched(connection, import_id))
        if free == 0:
            break
    database.transact(lambda connection: journal.add_events(connection, [Happening(
        kind="import_undone", actor=current_actor(), campaign_id=found.campaign_id,
        reason=f"import {import_id} of {found.file_name}: {taken_back} leads taken back, {total} stay",
        details={"import_id": import_id, "taken_back": taken_back, "stay": total},
    )], now))
    return UndoReport(import_id, found.file_name, taken_back, total)


def _take_back_all(runtime: Runtime, import_id: int) -> int:
    taken_back, after = 0, 0
    while True:
        def take(connection: Connection, beyond: int = after) -> tuple[int, int | None]:
            return store.take_back(connection, import_id, after=beyond, limit=UNDO_CHUNK)

        count, last = runtime.database.transact(take)
        taken_back += count
        if last is None:
            return taken_back
        after = last


def _why_nothing(found: store.Import, total: int) -> str:
    close = "`ringback leads close ID` stops further calls to one"
    if found.added == 0:
        return f"import {found.id} added no leads, so there is nothing to take back"
    if found.undone_at is not None:
        done = f"import {found.id} was taken back on {found.undone_at:%Y-%m-%d %H:%M}Z ({found.taken_back} leads)"
        if total == 0:
            return f"{done}; nothing of it is left"
        return f"{done}; its {total} remaining leads were called or are being called, and stay; {close}"
    if total == 0:
        return f"no lead of import {found.id} is there any more, so there is nothing to take back"
    return f"all {total} leads of import {found.id} were called or are being called, so none can be taken back; {close}"
