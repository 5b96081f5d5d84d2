"""What a line of a CSV file says: which column is what, and the verdict on each row.

Pure: texts in, values out; the file and the tables are `service.imports`. A row becomes a `NewLead` or a
`Reject` with a reason that a person can act on; no text raises anything else. What must stay true: a
number is never guessed. Digits that a spreadsheet rounded away, letters that a telephone keypad would turn
into digits, and columns that could mean two things are refused, because the guess would ring a stranger.

One line of a file gives at most one verdict: its first fault. Only extra phones differ: when the first
number is good, the lead is kept, and each extra number that cannot be used is reported and left out.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import cache
from typing import Literal, NamedTuple, TypeVar

import phonenumbers

from scheduler.errors import InvalidValue
from scheduler.rules.hours import wall_to_utc, zone_info
from scheduler.rules.phones import to_e164
from scheduler.rules.zones import REGIONS, lead_zones, normal_region

T = TypeVar("T")

MOST_PHONES = 9
LONGEST_TEXT = 255
"""Of `nombre`, `apellidos` and `email`, as the columns are."""
LONGEST_SHOWN = 120
"""Of the faulty value in a report; the whole cell stands beside it in the rejects file."""

RANGE = (datetime(1970, 1, 2, tzinfo=UTC), datetime(2038, 1, 18, tzinfo=UTC))
"""What a TIMESTAMP column holds on every server that is supported."""

REJECT_COLUMNS = ("line", "field", "value", "reason")
"""The first columns of a rejects file. A mended one may be imported as it is: they are passed over."""

ROW = "row"
"""The `field` of a fault that is in no single cell."""


class Reject(NamedTuple):
    """One line of the rejects file. `kind` says what became of the row: only `warning` keeps it."""

    line: int
    field: str
    value: str
    reason: str
    kind: Literal["rejected", "duplicate", "warning"] = "rejected"
    cells: tuple[str, ...] = ()


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


# --- the header ---------------------------------------------------------------------------------

_NAMES = {
    "first_name": "nombre nombres name firstname",
    "last_name": "apellidos apellido lastname surname",
    "phone": "telefono phone tel celular movil mobile",
    "email": "email correo",
    "time_zone": "zonahoraria timezone",
    "region": "region",
    "priority": "prioridad priority",
    "call_until": "fechalimite deadline calluntil",
    "call_at": "programar scheduledat callat",
}
_MEANINGS = {name: meaning for meaning, names in _NAMES.items() for name in names.split()}
_PHONE_COLUMN = re.compile(rf"(?:{_NAMES['phone'].replace(' ', '|')})([1-9])?")


@dataclass(frozen=True)
class Columns:
    """Where each thing stands in a row: positions counted from 0, `None` for a column that is absent.

    `phones` are in dialing order. `variables` are the columns that mean nothing to the scheduler: they go
    to the voice agent under their own name.
    """

    headers: tuple[str, ...]
    phones: tuple[int, ...]
    variables: tuple[int, ...]
    is_rejects_file: bool = False
    first_name: int | None = None
    last_name: int | None = None
    email: int | None = None
    time_zone: int | None = None
    region: int | None = None
    priority: int | None = None
    call_until: int | None = None
    call_at: int | None = None


def read_header(cells: Sequence[str]) -> Columns:
    """Recognise the columns. Raises InvalidValue naming what was found and what would be right."""
    headers = tuple(cell.strip().removeprefix("\ufeff").strip() for cell in cells)
    is_rejects_file = headers[: len(REJECT_COLUMNS)] == REJECT_COLUMNS
    skipped = len(REJECT_COLUMNS) if is_rejects_file else 0
    found: dict[str, int] = {}
    variables: dict[str, int] = {}
    for at in range(skipped, len(headers)):
        name = _plain(headers[at])
        if not name:
            raise InvalidValue("header", ", ".join(headers), f"column {at + 1} has no name; name it or remove it")
        meaning = _meaning(name)
        before = variables.get(name) if meaning is None else found.get(meaning)
        if before is not None:
            raise InvalidValue("header", f"{headers[before]}, {headers[at]}", _two_alike(meaning))
        if meaning is None:
            variables[name] = at
        else:
            found[meaning] = at
    if "phone1" not in found:
        raise InvalidValue("header", ", ".join(headers), _no_phone(headers, list(found), list(variables)))
    phones = tuple(
        found[meaning] for meaning in (f"phone{n}" for n in range(1, MOST_PHONES + 1)) if meaning in found
    )
    singles = {meaning: at for meaning, at in found.items() if not meaning.startswith("phone")}
    return Columns(headers, phones, tuple(variables.values()), is_rejects_file, **singles)


def _plain(header: str) -> str:
    """Without accents, case, spaces and underscores: "Fecha Límite" and "fecha_limite" are one name."""
    letters = unicodedata.normalize("NFKD", header.casefold())
    return "".join(letter for letter in letters if letter.isalnum() and not unicodedata.combining(letter))


def _meaning(name: str) -> str | None:
    if phone := _PHONE_COLUMN.fullmatch(name):
        return f"phone{phone[1] or 1}"
    return _MEANINGS.get(name)


def _two_alike(meaning: str | None) -> str:
    if meaning is None:
        return "two columns have this name; rename one of them"
    if meaning.startswith("phone"):
        return "these columns mean the same phone; name the further ones telefono2, telefono3 and so on"
    return "these columns mean the same; keep one of them"


def _no_phone(headers: Sequence[str], found: Sequence[str], variables: Sequence[str]) -> str:
    right = "a column telefono (or phone, tel, celular, movil, mobile) is needed, and telefono2 ... for further ones"
    if any(sum(map(str.isdigit, header)) >= 7 for header in headers):
        return f"the first line must name the columns, like nombre,telefono; this one looks like a lead ({right})"
    if further := [meaning for meaning in found if meaning.startswith("phone")]:
        return f"{right}; found number {further[0][-1]} but no first one"
    names = _NAMES["phone"].split()
    near = [name for name in variables if difflib.get_close_matches(name, names, n=1, cutoff=0.7)]
    return f"{right}; is {near[0]} meant?" if near else right


# --- the verdict on a row -----------------------------------------------------------------------


class RowJudge:
    """Judges the rows of one file. Zones give a time without offset its meaning (`programar`)."""

    def __init__(
        self, columns: Columns, *, default_country: str, campaign_zones: tuple[str, ...] = (), default_zone: str = "UTC"
    ) -> None:
        self.columns = columns
        self._numbers = NumberReader(default_country)
        self._campaign_zones, self._default_zone = campaign_zones, default_zone

    def judge(self, line: int, given: Sequence[str]) -> NewLead | Reject:
        """The lead that a row describes, or why it cannot be one."""
        cells = tuple(map(restore, given)) if self.columns.is_rejects_file else tuple(given)
        try:
            return self._read_lead(line, cells)
        except InvalidValue as error:
            return Reject(line, error.field, _shown(error.value), error.right, cells=cells)

    def _read_lead(self, line: int, cells: tuple[str, ...]) -> NewLead:
        columns = self.columns
        missing = len(columns.headers) - len(cells)
        if missing < 0:
            _refuse_surplus(cells, len(columns.headers))
        _refuse_unwritable(cells)
        texts = [cell.strip() for cell in cells]
        if missing > 0:  # spreadsheets leave out empty cells at the end
            texts += [""] * missing
        numbers, left_out = self._read_numbers(line, cells, texts)
        time_zone = self._read(texts, columns.time_zone, _read_zone)
        region = self._read(texts, columns.region, _read_region)
        call_at = None
        if columns.call_at is not None and texts[columns.call_at]:
            call_at = self._read_instant(texts[columns.call_at], columns.call_at, time_zone, region, numbers[0].number)
        return NewLead(
            line, numbers,
            first_name=self._read(texts, columns.first_name, _read_text),
            last_name=self._read(texts, columns.last_name, _read_text),
            email=self._read(texts, columns.email, _read_text),
            time_zone=time_zone,
            region=region,
            priority=self._read(texts, columns.priority, _read_priority) or 0,
            call_until=self._read(texts, columns.call_until, _read_date),
            call_at=call_at,
            variables={columns.headers[at]: texts[at] for at in columns.variables},
            cells=cells,
            left_out=left_out,
        )

    def _read(self, texts: list[str], at: int | None, read: Callable[[str, str], T]) -> T | None:
        if at is None or not texts[at]:
            return None
        return read(texts[at], self.columns.headers[at])

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
            try:
                number = self._numbers.read(texts[at], headers[at])
            except InvalidValue as error:
                if not numbers:
                    raise
                left_out.append(leave_out(line, headers[at], texts[at], error.right, cells))
                continue
            if not any(number == other.number for other in numbers):
                numbers.append(Number(number, headers[at]))
        if not numbers:
            raise InvalidValue(headers[self.columns.phones[0]], "", "there is no phone number")
        return tuple(numbers), tuple(left_out)

    def _read_instant(
        self, text: str, at: int, time_zone: str | None, region: str | None, number: str
    ) -> datetime:
        column = self.columns.headers[at]
        right = "write a date and time, such as 2027-06-08T09:30 (in the lead's zone) or 2027-06-08T09:30-04:00"
        try:
            given = datetime.fromisoformat(text)
            if given.tzinfo is None:
                where = lead_zones(
                    time_zone=time_zone, region=region, number=number, campaign_zones=self._campaign_zones,
                    default_zone=self._default_zone,
                )
                instant = wall_to_utc(given, zone_info(where.zones[0]))
            else:
                instant = given.astimezone(UTC)
        except (ValueError, OverflowError):
            raise InvalidValue(column, text, right) from None
        if not RANGE[0] <= instant <= RANGE[1]:
            raise InvalidValue(column, text, f"write a time between {RANGE[0].year} and {RANGE[1].year}")
        return instant


def leave_out(line: int, column: str, value: str, reason: str, cells: tuple[str, ...]) -> Reject:
    """The report of an extra number that is left out of a lead that is kept."""
    return Reject(line, column, _shown(value), f"warning: phone left out: {reason}", "warning", cells)


def _refuse_surplus(cells: Sequence[str], most: int) -> None:
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


def _read_region(text: str, column: str) -> str:
    try:
        code = normal_region(text)
    except InvalidValue as error:
        raise InvalidValue(column, text, error.right) from None
    country, _, subdivision = code.partition("-")
    known = SUBDIVISIONS.get(country)
    if country not in phonenumbers.SUPPORTED_REGIONS:
        raise InvalidValue(column, text, f"there is no country {country}; write an ISO code like CL, CL-MA or ES-CT")
    if "-" in code and code not in REGIONS and not (
        subdivision in known.split() if known else _ISO_SUBDIVISION.fullmatch(subdivision)
    ):
        right = f"{country} has no region {subdivision}"
        raise InvalidValue(column, text, f"{right}; its codes are {known}" if known else right)
    return code


def _read_priority(text: str, column: str) -> int:
    number = _PRIORITY.fullmatch(text)
    if number is None:
        raise InvalidValue(column, text, "write a whole number, such as 0 or 10")
    return int(number[1])


def _read_date(text: str, column: str) -> date:
    try:
        if _DATE.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        raise InvalidValue(column, text, "there is no such date") from None
    raise InvalidValue(column, text, "write the date as YYYY-MM-DD, such as 2026-12-24")


def _shown(value: object) -> str:
    text = str(value)
    return text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 1] + "…"


_PRIORITY = re.compile(r"([+-]?[0-9]{1,6})(?:\.0+)?")
_DATE = re.compile(r"[12][0-9]{3}-[0-9]{2}-[0-9]{2}")
_ISO_SUBDIVISION = re.compile(r"[A-Z0-9]{1,3}")

SUBDIVISIONS: Mapping[str, str] = {
    "AR": "A B C D E F G H J K L M N P Q R S T U V W X Y Z",
    "CL": "AI AN AP AR AT BI CO LI LL LR MA ML NB RM TA VS",
    "CO": "AMA ANT ARA ATL BOL BOY CAL CAQ CAS CAU CES CHO COR CUN DC GUA GUV HUI LAG MAG MET NAR NSA PUT QUI RIS "
    "SAN SAP SUC TOL VAC VAU VID",
    "ES": "AN AR AS CB CE CL CM CN CT EX GA IB MC MD ML NC PV RI VC "
    "A AB AL AV B BA BI BU C CA CC CO CR CS CU GC GI GR GU H HU J L LE LO LU M MA MU NA O OR P PM PO S SA SE SG SO "
    "SS T TE TF TO V VA VI Z ZA",
    "MX": "AGU BCN BCS CAM CHH CHP CMX COA COL DUR GRO GUA HID JAL MEX MIC MOR NAY NLE OAX PUE QUE ROO SIN SLP SON "
    "TAB TAM TLA VER YUC ZAC",
    "US": "AL AK AZ AR CA CO CT DE DC FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO MT NE NV NH NJ NM NY NC ND "
    "OH OK OR PA RI SC SD TN TX UT VT VA WA WV WI WY AS GU MP PR UM VI",
}
"""ISO 3166-2 of the countries that are called most; of the others only the form is checked."""


# --- numbers ------------------------------------------------------------------------------------

_PLAIN_NUMBER = re.compile(r"\+?[0-9]+(?:[ -][0-9]+)*")
_WHOLE_FLOAT = re.compile(r"(\+?[0-9]+)[.,]0{1,2}")
_SCIENTIFIC = re.compile(r"\+?([0-9])(?:[.,]([0-9]+))?[eE]\+?([0-9]{1,3})")
_TEXT_FORMULA = re.compile(r'="?([^"]*)"?')


class NumberReader:
    """Turns phone cells into E.164, as `to_e164` does, but knows what spreadsheets do to numbers.

    Most cells are plain digits that need nothing stripped. Those are answered from the numbering plan
    alone, ten times as fast; a property test holds that the answer is the one `to_e164` gives.
    """

    def __init__(self, default_country: str) -> None:
        """Raises InvalidValue for a country that does not exist."""
        self._country = default_country.strip().upper()
        if self._country not in phonenumbers.SUPPORTED_REGIONS:
            raise InvalidValue("default country", default_country, "write two ISO letters, such as CL")
        self._home = _plan_of_country(self._country)

    def read(self, text: str, column: str) -> str:
        """Raises InvalidValue."""
        if _PLAIN_NUMBER.fullmatch(text):
            return self._read_plain(text) or to_e164(text, self._country, column)
        return to_e164(_mend(text, column), self._country, column)

    def _read_plain(self, text: str) -> str | None:
        digits = text.replace(" ", "").replace("-", "")
        if digits[0] == "+":
            for end in (2, 3, 4):
                if plan := _plan_of_code(digits[1:end]):
                    return digits if plan.takes(digits[end:]) else None
            return None
        home = self._home
        if digits.startswith(home.code) or home.abroad.match(digits) or not home.takes(digits):
            return None
        return f"+{home.code}{digits}"


def _mend(text: str, column: str) -> str:
    """Undo what a spreadsheet does to a number, where that loses nothing."""
    if formula := _TEXT_FORMULA.fullmatch(text):  # ="56912345678" keeps a number a text
        text = formula[1]
    if whole := _WHOLE_FLOAT.fullmatch(text):
        return whole[1]
    if rounded := _SCIENTIFIC.fullmatch(text):
        digits = rounded[1] + (rounded[2] or "")
        if len(digits) != int(rounded[3]) + 1:
            right = "a spreadsheet rounded it and its last digits are lost; make the column text and write it again"
            raise InvalidValue(column, text, right)
        return digits
    if any(map(str.isalpha, text)):  # a keypad would read them as digits, and ring somebody else
        raise InvalidValue(column, text, "it has letters in it; write digits alone, like +56912345678")
    return text


@dataclass(frozen=True, slots=True)
class _Plan:
    """What decides about plain digits: lengths, and prefixes that would be stripped."""

    code: str
    lengths: frozenset[int]
    prefix: re.Pattern[str]
    abroad: re.Pattern[str]

    def takes(self, national: str) -> bool:
        """Is it a possible number as it stands, with nothing to strip?"""
        return len(national) in self.lengths and national[0] != "0" and not self.prefix.match(national)


_NOTHING = "(?!)"


@cache
def _plan_of_country(country: str) -> _Plan:
    own = phonenumbers.PhoneMetadata.metadata_for_region(country, None)
    assert own is not None and own.country_code  # every supported country has them
    # Several countries share +1 and +7: lengths are those of the main one, as for any such number.
    main = _main_metadata(own.country_code)
    return _Plan(str(own.country_code), _lengths(main), _prefix(own), re.compile(own.international_prefix or _NOTHING))


@cache
def _plan_of_code(code: str) -> _Plan | None:
    if not code.isdigit() or code[0] == "0" or int(code) not in phonenumbers.COUNTRY_CODE_TO_REGION_CODE:
        return None
    main = _main_metadata(int(code))
    return _Plan(code, _lengths(main), _prefix(main), re.compile(_NOTHING))


def _main_metadata(code: int) -> phonenumbers.PhoneMetadata:
    country = phonenumbers.region_code_for_country_code(code)
    found = phonenumbers.PhoneMetadata.metadata_for_region_or_calling_code(code, country)
    assert found is not None  # as long as COUNTRY_CODE_TO_REGION_CODE knows the code
    return found


def _prefix(metadata: phonenumbers.PhoneMetadata) -> re.Pattern[str]:
    return re.compile(metadata.national_prefix_for_parsing or _NOTHING)


def _lengths(metadata: phonenumbers.PhoneMetadata) -> frozenset[int]:
    possible = metadata.general_desc
    assert possible is not None
    return frozenset(possible.possible_length) - frozenset(possible.possible_length_local_only)


# --- rows among rows ----------------------------------------------------------------------------


class Settled(NamedTuple):
    """What becomes of rows that are good by themselves. `seen` are the numbers taken, with their lines."""

    added: list[NewLead]
    rejects: list[Reject]
    seen: dict[int, int]


def settle(
    rows: Iterable[NewLead],
    *,
    seen: Mapping[int, int],
    held: Mapping[str, int],
    barred: Mapping[str, str],
) -> Settled:
    """Sort out duplicates and numbers that may not be called, in the order of the file.

    `seen` are numbers of earlier rows (`number_key`) with their lines, `held` numbers of leads in the table
    with their ids, `barred` the do-not-call list. A row is a duplicate if any number of it is taken; a
    barred first number rejects the row, a barred extra one is left out.
    """
    done = Settled([], [], {})
    for row in rows:
        if (reason := barred.get(row.numbers[0].number)) is not None:
            number, column = row.numbers[0]
            done.rejects.append(Reject(row.line, column, number, f"do_not_call: {reason}", cells=row.cells))
            continue
        numbers = [one for one in row.numbers if one.number not in barred]
        if (twin := _find_twin(row, numbers, (seen, done.seen), held)) is not None:
            done.rejects.append(twin)
            continue
        done.rejects.extend(row.left_out)
        if len(numbers) < len(row.numbers):
            done.rejects.extend(
                leave_out(row.line, one.column, one.number, f"do_not_call: {barred[one.number]}", row.cells)
                for one in row.numbers if one.number in barred
            )
        done.seen.update((number_key(one.number), row.line) for one in numbers)
        done.added.append(row if len(numbers) == len(row.numbers) else _with_numbers(row, numbers))
    return done


def number_key(number: str) -> int:
    """A number as a small key: a file may have millions."""
    return int(number[1:])


def _find_twin(
    row: NewLead, numbers: Sequence[Number], seen: Sequence[Mapping[int, int]], held: Mapping[str, int]
) -> Reject | None:
    for number, column in numbers:
        key = number_key(number)
        for lines in seen:
            if key in lines:
                reason = f"duplicate: line {lines[key]} has this number"
                return Reject(row.line, column, number, reason, "duplicate", row.cells)
        if number in held:
            reason = f"duplicate: lead {held[number]} has this number"
            return Reject(row.line, column, number, reason, "duplicate", row.cells)
    return None


def _with_numbers(row: NewLead, numbers: Sequence[Number]) -> NewLead:
    return replace(row, numbers=tuple(numbers))


# --- cells for people's spreadsheets --------------------------------------------------------------

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def neutralise(cell: str) -> str:
    """A cell that a spreadsheet cannot take for a formula."""
    return "'" + cell if cell.startswith(_FORMULA_STARTS) else cell


def restore(cell: str) -> str:
    """Undo `neutralise`."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_FORMULA_STARTS) else cell
