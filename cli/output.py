"""How things are printed: what was asked for on stdout, everything else on stderr.

With --json stdout holds one document: instants as UTC with Z, Decimals as text, names as the tables have
them. Without it, tables for people. Phone numbers are shown whole here: they are the operator's own data,
and this is no log. Names come from files that anyone may have written, so nothing in them may steer a terminal.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, TypeVar

import click

from scheduler.lines import STEERING, one_line

if TYPE_CHECKING:
    from rich.console import Console

F = TypeVar("F", bound=Callable[..., Any])
DEFAULT_LIMIT = 50
PIPE_WIDTH = 10_000
"""Columns where nobody watches: a table in a pipe must not be folded at 80."""

Row = Mapping[str, Any]


def json_option(command: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")(command)


def limit_option(command: F) -> F:
    return click.option(
        "--limit", type=click.IntRange(1, 10_000_000), default=DEFAULT_LIMIT, show_default=True,
        help="At most so many rows.",
    )(command)


def tell(sentence: str) -> None:
    """A word to the person, beside the answer."""
    click.echo(f"ringback: {printable(sentence)}", err=True)


def tell_error(error: BaseException, *, is_bug: bool = False) -> None:
    """An error and what caused it, as sentences."""
    first, *causes = explain(error)
    if is_bug:
        first = f"{type(error).__name__}: {first}. This is a bug; RINGBACK_LOG_LEVEL=DEBUG shows where it is"
    tell(first)
    for cause in causes:
        click.echo(f"  because: {printable(cause)}", err=True)


def explain(error: BaseException) -> list[str]:
    """The sentence of an error and those of its causes that say something new."""
    said: list[str] = []
    at: BaseException | None = error
    while at is not None:
        sentence = _sentence(at)
        if not any(sentence in earlier for earlier in said):
            said.append(sentence)
        at = at.__cause__ or (None if at.__suppress_context__ else at.__context__)
    return said


def show(value: Any) -> None:
    """One JSON document."""
    text = json.dumps(plain(value), ensure_ascii=False, indent=2)
    # What a terminal would obey can stand in strings alone, where JSON has an escape for it.
    click.echo(STEERING.sub(lambda found: json.dumps(found[0])[1:-1], text))


def show_list(
    rows: Sequence[Row], columns: Sequence[str], *, limit: int, as_json: bool, what: str, no: str | None = None
) -> None:
    """A list of at most `limit` rows; `rows` holds one more when there are more."""
    shown = rows[:limit]
    if as_json:
        show(shown)
    elif shown:
        show_table(shown, columns)
    else:
        tell(no or f"no {what}")
    if len(rows) > limit:
        tell(f"these are {limit} {what}, and there are more; see --limit")


def show_table(rows: Iterable[Row], columns: Sequence[str], *, title: str | None = None) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    screen = console()
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", show_edge=False, pad_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=not screen.is_terminal, overflow="fold")
    for row in rows:
        table.add_row(*[Text(printable(words(row.get(column)))) for column in columns])
    screen.print(table)


def show_facts(facts: Row) -> None:
    """One thing, a line for each value that it has."""
    wide = max((len(name) for name in facts), default=0)
    for name, value in facts.items():
        if value is None or value == {}:
            continue
        click.echo(f"{name:<{wide}}  {printable(words(value))}".rstrip())


def words(value: Any) -> str:
    """A value as people read it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"
    if isinstance(value, Mapping):
        return ", ".join(f"{words(one)} {name}" for name, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(words(one) for one in value)
    return str(value)


def plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Decimal | PurePath):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):  # a named one
        return plain(value._asdict())
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value


def printable(text: str) -> str:
    """Without anything that a terminal would obey or that would begin a line."""
    return one_line(text)


def share(part: float | None) -> str:
    return "" if part is None else f"{part:.0%}"


class Bar:
    """A progress bar on stderr, when somebody watches it. `in_bytes`: it counts bytes of a file, else things."""

    def __init__(self, title: str, *, in_bytes: bool = False) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        screen = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}", markup=False), BarColumn(),
            DownloadColumn() if in_bytes else MofNCompleteColumn(), TimeRemainingColumn(),
            console=screen, transient=True, disable=not screen.is_terminal,
        )  # fmt: skip
        self._task = self._bar.add_task(title, total=None)

    def __enter__(self) -> Bar:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def move(self, done: int, total: int) -> None:
        self._bar.update(self._task, completed=done, total=total)


def console() -> Console:
    from rich.console import Console

    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=PIPE_WIDTH)


def _sentence(error: BaseException) -> str:
    """What an error says, without an SQL statement and its values: they may hold people's numbers."""
    cause = getattr(error, "orig", None)
    if isinstance(cause, BaseException):
        error = cause
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if len(error.args) == 2 and isinstance(error.args[0], int):  # a driver's (code, message)
        return str(error.args[1])
    return str(error) or type(error).__name__
