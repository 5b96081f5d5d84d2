"""How the writer of a file writes dates and amounts, told by the whole column and not by one cell.

Pure. `03/04/2027` may be the 3rd of April or the 4th of March, `1.500` one and a half or fifteen hundred: a cell that
can be both is read as those cells of its column that can be only one thing, then as the other columns of the file,
then as it is usual. What must stay true: what was assumed is said, with what it was concluded from; where a column
contradicts itself nothing is assumed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from scheduler.rules.cells import NumberCell
from scheduler.rules.dates import DateOrder, has_short_year, is_serial, tell_order
from scheduler.rules.headers import Columns
from scheduler.rules.people import Mark, amount_columns, tell_mark

S = TypeVar("S", DateOrder, Mark)

MONTH_FIRST = frozenset({"US", "PR", "VI", "GU", "AS", "MP", "FM", "MH", "PW", "PH"})
"""Countries where the month is written before the day."""
BOTH_WAYS = frozenset({"CA"})
"""Countries where neither is usual."""


class Assumption(NamedTuple):
    """What was not said and had to be decided. `what` and `value` are words, `because` is for people, `option` is the
    name under which it can be said. `is_plain`: it could hardly be otherwise, and is of interest to few.
    """

    what: str
    value: str
    because: str
    option: str
    is_plain: bool = False


class Conventions(NamedTuple):
    """By column: the order of a date (None: nobody knows), and the decimal mark of an amount."""

    orders: Mapping[int, DateOrder | None]
    marks: Mapping[int, Mark]
    from_1904: bool


@dataclass
class _Column(Generic[S]):
    """What was seen in one column: the first cell that shows each convention, and how many show none."""

    header: str
    shown: dict[S, tuple[int, str]] = field(default_factory=dict)
    unclear: int = 0
    first: str = ""

    def see(self, line: int, text: str, told: S | bool | None) -> None:
        if told is None:
            self.unclear += 1
            self.first = self.first or text[:40]
        elif not isinstance(told, bool) and told not in self.shown:
            self.shown[told] = (line, text[:40])

    @property
    def said(self) -> str:
        return f"{self.header}: {self.unclear} can be read in two ways, such as {self.first!r}"


class Survey:
    """Looks at each row of a file once, before any is judged. What people said of it goes before what it shows."""

    def __init__(
        self, columns: Columns, *, country: str, date_order: DateOrder | None = None, decimal_mark: Mark | None = None,
        sums: bool = False, from_1904: bool = False,
    ) -> None:
        self._order, self._mark, self._from_1904 = date_order, decimal_mark, from_1904
        self._country = country.strip().upper()
        headers = columns.headers
        self._dates: dict[int, _Column[DateOrder]] = {
            at: _Column(headers[at]) for at in (columns.call_until, columns.call_at) if at is not None
        }
        amounts = amount_columns(columns) if sums else ()
        self._amounts: dict[int, _Column[Mark]] = {at: _Column(headers[at]) for _, at in amounts}
        self._serials, self._short_years = _Column[DateOrder](""), _Column[DateOrder]("")
        self.is_needed = bool(self._dates or self._amounts)

    def see(self, line: int, cells: Sequence[str]) -> None:
        for at, column in self._dates.items():
            if at < len(cells) and (text := cells[at].strip()) and text[4:5] != "-":  # most are as ISO writes them
                if is_serial(text):
                    self._serials.see(line, text, None)
                    continue
                if has_short_year(text):
                    self._short_years.see(line, text, None)
                if (told := tell_order(text)) is not False:
                    column.see(line, text, told)
        for at, amounts in self._amounts.items():
            if at < len(cells) and not isinstance(cells[at], NumberCell):
                amounts.see(line, cells[at], tell_mark(cells[at]))

    def conclude(self) -> tuple[Conventions, list[Assumption]]:
        """What holds for each column, and what is to be said of it."""
        assumed: list[Assumption] = []
        orders: dict[int, DateOrder | None] = {
            at: self._order or self._conclude(column, self._dates, "date_order", self._usual_order, assumed)
            for at, column in self._dates.items()
        }
        marks = {
            at: self._mark or self._conclude(column, self._amounts, "decimal_mark", _usual_mark, assumed) or Mark.MIXED
            for at, column in self._amounts.items()
        }
        if self._serials.unclear:
            first = "1904-01-01" if self._from_1904 else "1900-01-01"
            because = f"{self._serials.unclear} dates are bare numbers, such as {self._serials.first}"
            assumed.append(Assumption("serial_dates", f"days since {first}", because, ""))
        if self._short_years.unclear:
            because = f"{self._short_years.unclear} years have two digits, such as {self._short_years.first}"
            assumed.append(Assumption("short_years", "2000 to 2099", because, ""))
        return Conventions(orders, marks, self._from_1904), assumed

    def _conclude(
        self, column: _Column[S], all_columns: Mapping[int, _Column[S]], option: str,
        usual: Callable[[], tuple[S | None, str]], assumed: list[Assumption],
    ) -> S | None:
        """The convention of a column; None where it cannot be told."""
        found, because = _shown(column)
        if found is None and not column.shown:
            others = [one for one in all_columns.values() if one is not column and len(one.shown) == 1]
            if len({next(iter(one.shown)) for one in others}) == 1:
                found, because = _shown(others[0])
            elif not others:
                found, because = usual()
        if column.unclear:
            value = "unknown" if found is None else found.value
            why = because or "other columns contradict each other"
            assumed.append(Assumption(option, value, f"{column.said}; {why}", option))
        return found

    def _usual_order(self) -> tuple[DateOrder | None, str]:
        if self._country in BOTH_WAYS:
            return None, f"nothing else shows it, and in {self._country} neither is usual"
        order = DateOrder.MONTH_FIRST if self._country in MONTH_FIRST else DateOrder.DAY_FIRST
        return order, f"nothing else shows it, and this is usual in {self._country}"


def _usual_mark() -> tuple[Mark, str]:
    return Mark.THOUSANDS, "nothing else shows it, and three digits behind one mark are mostly thousands"


def _shown(column: _Column[S]) -> tuple[S | None, str]:
    proofs = [f"line {line} of {column.header} has {text!r}" for line, text in column.shown.values()]
    if len(column.shown) == 1:
        return next(iter(column.shown)), proofs[0]
    return None, " but ".join(proofs)
