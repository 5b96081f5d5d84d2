"""What a row of a file says: the verdict on it, by itself and among the others.

Pure: texts in, values out; the file and the tables are `service.imports`. A row becomes a `NewLead` or a
`Reject` with a reason that a person can act on; no text raises anything else. What must stay true: a
number is never guessed (`phone_cells`), and columns that could mean two things are refused (`headers`).

One line of a file gives at most one verdict: its first fault. Only extra phones differ: when the first
number is good, the lead is kept, and each extra number that cannot be used is reported and left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple, TypeVar
from zoneinfo import ZoneInfo

from scheduler.errors import InvalidValue
from scheduler.rules.cells import ERROR_CELLS, NumberCell, restore
from scheduler.rules.dates import WRITE_DATE, WRITE_TIME, DateOrder, Unclear, Written, read_written
from scheduler.rules.headers import REJECT_COLUMNS, Columns, plain
from scheduler.rules.hours import wall_to_utc, zone_info
from scheduler.rules.phone_cells import Destinations, NumberReader
from scheduler.rules.phones import DEAR_KINDS, learn, line_kind
from scheduler.rules.subdivisions import read_region
from scheduler.rules.zones import lead_zones

T = TypeVar("T")

LONGEST_TEXT = 255
"""Of `nombre`, `apellidos` and `email`, as the columns are."""
LONGEST_SHOWN = 120
"""Of the faulty value in a report; the whole cell stands beside it in the rejects file."""

RANGE = (datetime(1970, 1, 2, tzinfo=UTC), datetime(2038, 1, 18, tzinfo=UTC))
"""What a TIMESTAMP column holds on every server that is supported."""

ROW = "row"
"""The `field` of a fault that is in no single cell."""


class Verdict(StrEnum):
    """What becomes of a row, in a word. The first three kinds of fault are its own, the others lie in the tables."""

    GOOD = "good"
    BAD = "bad"
    PREMIUM = "premium"
    NOT_ALLOWED_COUNTRY = "not_allowed_country"
    MISSING_VARIABLE = "missing_variable"
    DO_NOT_CALL = "do_not_call"
    DUPLICATE_IN_FILE = "duplicate_in_file"
    DUPLICATE_IN_CAMPAIGN = "duplicate_in_campaign"
    DUPLICATE_IN_INSTALLATION = "duplicate_in_installation"
    MERGED = "merged"
    """It went into the lead of another row of the same person (`people`)."""


DUPLICATES = {
    Verdict.DUPLICATE_IN_FILE, Verdict.DUPLICATE_IN_CAMPAIGN, Verdict.DUPLICATE_IN_INSTALLATION, Verdict.MERGED,
}
"""Rows that make no lead because their person or number is there already."""


def in_order(counts: Mapping[str, int]) -> dict[str, int]:
    """Counts by verdict, the good ones first: MySQL gives the keys of a document back in an order of its own."""
    return {one.value: counts[one] for one in Verdict if one in counts} | dict(counts)


class Reject(NamedTuple):
    """One line of the rejects file. A `verdict` of good is a warning: the row is kept, without this value."""

    line: int
    field: str
    value: str
    reason: str
    verdict: Verdict = Verdict.BAD
    cells: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    """Of the row, as far as they could be read."""

    @property
    def is_warning(self) -> bool:
        return self.verdict is Verdict.GOOD


class _Unfit(InvalidValue):
    """A value that is well written and yet keeps its row out."""

    def __init__(
        self, field: str, value: object, right: str, *, verdict: Verdict, numbers: tuple[Number, ...] = ()
    ) -> None:
        self.verdict, self.numbers = verdict, tuple(one.number for one in numbers)
        super().__init__(field, value, right)


class Number(NamedTuple):
    """A phone number of a row, with the header of the column that it stands in."""

    number: str
    column: str


@dataclass(frozen=True, slots=True)
class NewLead:
    """A row that may be imported. `left_out` are extra numbers of it that may not."""

    line: int
    numbers: tuple[Number, ...]
    first_name: str | None
    last_name: str | None
    email: str | None
    time_zone: str | None
    region: str | None
    priority: int
    call_until: date | None
    call_at: datetime | None
    variables: Mapping[str, str]
    cells: tuple[str, ...]
    left_out: tuple[Reject, ...] = ()


# --- the verdict on a row -----------------------------------------------------------------------


class RowJudge:
    """Judges the rows of one file. Zones give a time without offset its meaning (`programar`).

    `required` are variables without which a lead is of no use to the campaign's agent, `call_until` the last
    date to call for rows that name none. `added_variables` are the same for every lead.
    """

    def __init__(
        self,
        columns: Columns,
        *,
        default_country: str,
        campaign_zones: tuple[str, ...] = (),
        default_zone: str = "UTC",
        allowed_countries: tuple[str, ...] = (),
        required: Sequence[str] = (),
        call_until: date | None = None,
        added_variables: Mapping[str, str] = MappingProxyType({}),
        orders: Mapping[int, DateOrder | None] = MappingProxyType({}),
        from_1904: bool = False,
        takes_several: bool = True,
        today: date | None = None,
    ) -> None:
        self.columns = columns
        self._numbers = NumberReader(default_country)
        self._destinations = Destinations(allowed_countries)
        self._campaign_zones, self._default_zone = campaign_zones, default_zone
        self._required = [(name, columns.find(name)) for name in required]
        self._variables = list(zip(columns.variable_names, columns.variables, strict=True))
        self._call_until, self._added_variables = call_until, added_variables
        first = len(REJECT_COLUMNS) if columns.is_rejects_file else 0
        self._orders, self._from_1904, self._takes_several = orders, from_1904, takes_several
        self._today = today
        self.joined, self.timed, self.passed = Noted(), Noted(), Noted()
        """Cells with several numbers; last dates with a time of day; last dates of good rows that have passed."""
        self._others = [at for at in range(first, len(columns.headers)) if at not in columns.phones]

    def judge(self, line: int, given: Sequence[str]) -> NewLead | Reject:
        """The lead that a row describes, or why it cannot be one."""
        cells = tuple(map(restore, given)) if self.columns.is_rejects_file else tuple(given)
        try:
            return self._read_lead(line, cells)
        except _Unfit as error:
            return Reject(line, error.field, _shown(error.value), error.right, error.verdict, cells, error.numbers)
        except InvalidValue as error:
            return Reject(line, error.field, _shown(error.value), error.right, cells=cells)

    def _read_lead(self, line: int, cells: tuple[str, ...]) -> NewLead:
        columns = self.columns
        missing = len(columns.headers) - len(cells)
        if missing < 0:
            _refuse_surplus(cells, len(columns.headers))
            cells = cells[:missing]  # what is left is empty: delimiters at the end of a line
        _refuse_unwritable(cells)
        texts = [cell.strip() for cell in cells]
        if missing > 0:  # spreadsheets leave out empty cells at the end
            texts += [""] * missing
        if not ERROR_CELLS.keys().isdisjoint(texts):
            self._refuse_errors(texts)
        numbers, left_out = self._read_numbers(line, cells, texts)
        for name, at in self._required:
            if at is None or not texts[at]:
                self._refuse_missing(name, at, numbers)
        time_zone = self._read(texts, columns.time_zone, _read_zone)
        region = self._read_region(texts, columns.region, numbers[0].number)

        def zone() -> ZoneInfo:
            where = lead_zones(
                time_zone=time_zone, region=region, traits=learn(numbers[0].number),
                campaign_zones=self._campaign_zones, default_zone=self._default_zone,
            )
            return zone_info(where.zones[0])

        call_at = call_until = None
        if columns.call_at is not None and texts[columns.call_at]:
            call_at = self._read_instant(texts[columns.call_at], columns.call_at, zone)
        if columns.call_until is not None and texts[columns.call_until]:
            call_until = self._read_date(line, texts[columns.call_until], columns.call_until, zone)
        found = NewLead(
            line, numbers,
            first_name=self._read(texts, columns.first_name, _read_text),
            last_name=self._read(texts, columns.last_name, _read_text),
            email=self._read(texts, columns.email, _read_text),
            time_zone=time_zone,
            region=region,
            priority=self._read(texts, columns.priority, _read_priority) or 0,
            call_until=call_until or self._call_until,
            call_at=call_at,
            variables={**{name: texts[at] for name, at in self._variables}, **self._added_variables},
            cells=cells,
            left_out=left_out,
        )
        if call_until is not None and self._today is not None and call_until < self._today:
            self.passed.add(line, f"{call_until}")
        return found

    def _refuse_errors(self, texts: Sequence[str]) -> None:
        for at in self._others:
            if texts[at] in ERROR_CELLS:
                raise InvalidValue(self.columns.headers[at], texts[at], ERROR_CELLS[texts[at]])

    def _refuse_missing(self, name: str, at: int | None, numbers: tuple[Number, ...]) -> None:
        if at is None:
            field, why = name, f"there is no such column; add it, or say --map variable:{name}=HEADER"
        else:
            field, why = self.columns.headers[at], "it is empty"
        right = f"the campaign's agent needs {name}, and {why}"
        raise _Unfit(field, "", right, verdict=Verdict.MISSING_VARIABLE, numbers=numbers)

    def _read(self, texts: list[str], at: int | None, read: Callable[[str, str], T]) -> T | None:
        if at is None or not texts[at]:
            return None
        return read(texts[at], self.columns.headers[at])

    def _read_region(self, texts: Sequence[str], at: int | None, number: str) -> str | None:
        if at is None or not (text := texts[at]):
            return None
        # A name that several countries have is read as one of the number's.
        is_name = len(text) > 2 and "-" not in text
        return read_region(text, learn(number).country if is_name else None, self.columns.headers[at])

    def _read_numbers(
        self, line: int, cells: tuple[str, ...], texts: list[str]
    ) -> tuple[tuple[Number, ...], tuple[Reject, ...]]:
        """Numbers in dialing order, each once. The first that is written must be good."""
        headers = self.columns.headers
        numbers: list[Number] = []
        left_out: list[Reject] = []
        for at in self.columns.phones:
            if not texts[at]:
                continue
            parts: Sequence[str] = (texts[at],)
            if isinstance(cells[at], NumberCell):
                if "." in texts[at]:
                    raise InvalidValue(headers[at], texts[at], "it is a number with decimals; make the column text")
            elif len(found := self._numbers.split(texts[at])) > 1:
                if not self._takes_several:
                    raise InvalidValue(headers[at], texts[at], "it holds several numbers; write each in its own column")
                self.joined.add(line, texts[at])
                parts = found
            else:
                parts = found
            for text in parts:
                try:
                    number = self._read_number(text, headers[at])
                except InvalidValue as error:
                    if plain(texts[at]) == plain(headers[at]):
                        raise InvalidValue(ROW, texts[at], "it repeats the header, and is no lead") from None
                    if not numbers:
                        raise
                    left_out.append(leave_out(line, headers[at], text, error.right, cells))
                    continue
                if not any(number == other.number for other in numbers):
                    numbers.append(Number(number, headers[at]))
        if not numbers:
            if any(_TOTAL.match(text) for text in texts):
                raise InvalidValue(ROW, next(filter(_TOTAL.match, texts)), "it is a line of totals, and no lead")
            raise InvalidValue(headers[self.columns.phones[0]], "", "there is no phone number")
        return tuple(numbers), tuple(left_out)

    def _read_number(self, text: str, header: str) -> str:
        """A number that may be called."""
        number = self._numbers.read(text, header)
        reason = self._destinations.why_not(number)
        if reason is not None:
            verdict = Verdict.PREMIUM if line_kind(number) in DEAR_KINDS else Verdict.NOT_ALLOWED_COUNTRY
            raise _Unfit(header, text, reason, verdict=verdict, numbers=(Number(number, header),))
        return number

    def _read_instant(self, text: str, at: int, zone: Callable[[], ZoneInfo]) -> datetime:
        column = self.columns.headers[at]
        try:
            given = self._read_time(text, at, column)
            instant = wall_to_utc(given, zone()) if given.tzinfo is None else given.astimezone(UTC)
        except (ValueError, OverflowError):
            raise InvalidValue(column, text, WRITE_TIME) from None
        if not RANGE[0] <= instant <= RANGE[1]:
            raise InvalidValue(column, text, f"write a time between {RANGE[0].year} and {RANGE[1].year}")
        return instant

    def _read_time(self, text: str, at: int, column: str) -> datetime:
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            try:
                written = self._read_written(text, at)
            except Unclear as error:
                right = WRITE_TIME if str(error) == WRITE_DATE else str(error)
                raise InvalidValue(column, text, right) from None
        return datetime.combine(written.day, written.at or time(), written.zone)

    def _read_date(self, line: int, text: str, at: int, zone: Callable[[], ZoneInfo]) -> date:
        """The last day. One that is written as an instant is the day which that is for the lead; midnight is the day
        that stands there, as programs write a date that has no time.
        """
        column = self.columns.headers[at]
        try:
            if _DATE.fullmatch(text):
                return date.fromisoformat(text)
            written = self._read_written(text, at)
        except Unclear as error:
            right = WRITE_DATE if str(error) == WRITE_TIME else str(error)
            raise InvalidValue(column, text, right) from None
        except ValueError:
            raise InvalidValue(column, text, "there is no such date") from None
        if written.at is None or written.at == time():
            return written.day
        if (written.at.hour, written.at.minute) != (23, 59):
            self.timed.add(line, text)
        if written.zone is None:
            return written.day
        try:
            return datetime.combine(written.day, written.at, written.zone).astimezone(zone()).date()
        except (ValueError, OverflowError):
            raise InvalidValue(column, text, "there is no such date") from None

    def _read_written(self, text: str, at: int) -> Written:
        return read_written(text, self._orders.get(at), from_1904=self._from_1904)


class Noted:
    """How many cells were so, and the first of them."""

    def __init__(self) -> None:
        self.count, self.first, self.line = 0, "", 0

    def add(self, line: int, text: str) -> None:
        if self.count == 0:
            self.first, self.line = _shown(text), line
        self.count += 1


def leave_out(line: int, column: str, value: str, reason: str, cells: tuple[str, ...]) -> Reject:
    """The report of an extra number that is left out of a lead that is kept."""
    return Reject(line, column, _shown(value), f"warning: phone left out: {reason}", Verdict.GOOD, cells)


def _refuse_surplus(cells: Sequence[str], most: int) -> None:
    if not any(map(str.strip, cells[most:])):
        return
    right = f"it has {len(cells)} cells and the header has {most}; is a text with the delimiter in it not in quotes?"
    raise InvalidValue(ROW, " | ".join(cells[most:]), right)


def _refuse_unwritable(cells: Sequence[str]) -> None:
    try:
        "".join(cells).encode()
    except UnicodeEncodeError:  # half a surrogate pair: no database stores it
        broken = next(cell for cell in cells if not _is_writable(cell))
        shown = broken.encode(errors="replace").decode()
        raise InvalidValue(ROW, shown, "it holds half a character; is --encoding right?") from None


def _is_writable(text: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def _read_text(text: str, column: str) -> str:
    if len(text) > LONGEST_TEXT:
        raise InvalidValue(column, text, f"it has {len(text)} characters and the column holds {LONGEST_TEXT}")
    return text


def _read_zone(text: str, column: str) -> str:
    zone_info(text, column)
    return text


def _read_priority(text: str, column: str) -> int:
    number = _PRIORITY.fullmatch(text)
    if number is None:
        raise InvalidValue(column, text, "write a whole number, such as 0 or 10")
    return int(number[1])


def _shown(value: object) -> str:
    text = str(value)
    return text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 1] + "…"


_PRIORITY = re.compile(r"([+-]?[0-9]{1,6})(?:\.0+)?")
_DATE = re.compile(r"[12][0-9]{3}-[0-9]{2}-[0-9]{2}")
_TOTAL = re.compile(r"(?:sub|gran )?total(?:es)?\b", re.IGNORECASE)


# --- rows among rows ----------------------------------------------------------------------------


class Settled(NamedTuple):
    """What becomes of rows that are good by themselves. `seen` are the numbers taken, with their lines.

    `known` says, by line, where else in the installation a number of an added row is.
    """

    added: list[NewLead]
    rejects: list[Reject]
    seen: dict[int, int]
    known: dict[int, str]


class Holder(NamedTuple):
    """A lead that has a number already."""

    lead_id: int
    campaign_id: int | None

    def __str__(self) -> str:
        where = "no campaign" if self.campaign_id is None else f"campaign {self.campaign_id}"
        return f"lead {self.lead_id} of {where} has this number"


def settle(
    rows: Iterable[NewLead],
    *,
    seen: Mapping[int, int],
    held: Mapping[str, int],
    barred: Mapping[str, str],
    elsewhere: Mapping[str, Holder] = MappingProxyType({}),
    skip_known: bool = False,
) -> Settled:
    """Sort out duplicates and numbers that may not be called, in the order of the file.

    `seen` are numbers of earlier rows (`small_key`) with their lines, `held` numbers of leads of the campaign
    with their ids, `barred` the do-not-call list. A row is a duplicate if any number of it is taken; a
    barred first number rejects the row, a barred extra one is left out. Numbers that leads of other campaigns
    have (`elsewhere`) are noted; with `skip_known` such a row is a duplicate too.
    """
    done = Settled([], [], {}, {})
    for row in rows:
        if (reason := barred.get(row.numbers[0].number)) is not None:
            done.rejects.append(_reject(row, row.numbers[0], f"do_not_call: {reason}", Verdict.DO_NOT_CALL))
            continue
        numbers = [one for one in row.numbers if one.number not in barred]
        if (twin := _find_twin(row, numbers, (seen, done.seen), held)) is not None:
            done.rejects.append(twin)
            continue
        if elsewhere and (known := next((one for one in numbers if one.number in elsewhere), None)):
            sentence = str(elsewhere[known.number])
            if skip_known:
                found = _reject(row, known, f"duplicate: {sentence}", Verdict.DUPLICATE_IN_INSTALLATION)
                done.rejects.append(found)
                continue
            done.known[row.line] = sentence
        done.rejects.extend(row.left_out)
        if len(numbers) < len(row.numbers):
            done.rejects.extend(
                leave_out(row.line, one.column, one.number, f"do_not_call: {barred[one.number]}", row.cells)
                for one in row.numbers if one.number in barred
            )
        done.seen.update((small_key(one.number), row.line) for one in numbers)
        done.added.append(row if len(numbers) == len(row.numbers) else _with_numbers(row, numbers))
    return done


def small_key(number: str) -> int:
    """A number as a small key: a file may have millions."""
    return int(number[1:])


def _find_twin(
    row: NewLead, numbers: Sequence[Number], seen: Sequence[Mapping[int, int]], held: Mapping[str, int]
) -> Reject | None:
    for one in numbers:
        key = small_key(one.number)
        for lines in seen:
            if key in lines:
                reason = f"duplicate: line {lines[key]} has this number"
                return _reject(row, one, reason, Verdict.DUPLICATE_IN_FILE)
        if one.number in held:
            reason = f"duplicate: lead {held[one.number]} has this number"
            return _reject(row, one, reason, Verdict.DUPLICATE_IN_CAMPAIGN)
    return None


def _reject(row: NewLead, number: Number, reason: str, verdict: Verdict) -> Reject:
    numbers = tuple(one.number for one in row.numbers)
    return Reject(row.line, number.column, number.number, reason, verdict, row.cells, numbers)


def _with_numbers(row: NewLead, numbers: Sequence[Number]) -> NewLead:
    return replace(row, numbers=tuple(numbers))
