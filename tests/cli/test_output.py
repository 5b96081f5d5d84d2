"""How values are printed."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import click
import pytest
from sqlalchemy.exc import OperationalError

from cli import output
from cli.instants import read_instant
from scheduler.errors import DatabaseUnavailable, RingbackError
from scheduler.model import Outcome
from tests.each import each

SANTIAGO = timezone(timedelta(hours=-3))
THREE = datetime(2027, 3, 1, 15, 0, tzinfo=UTC)
TWELVE_SOMEWHERE = datetime(2027, 3, 1, 12, 0, tzinfo=UTC).replace(tzinfo=None)


def test_json_has_instants_with_z_and_decimals_as_text() -> None:
    at = datetime(2027, 3, 1, 12, 0, tzinfo=SANTIAGO)
    document = {
        "at": at, "on": date(2027, 3, 1), "cost": Decimal("0.1000"), "outcome": Outcome.BUSY, "path": Path("a/b"),
    }  # fmt: skip

    assert json.loads(json.dumps(output.plain(document))) == {
        "at": "2027-03-01T15:00:00Z", "on": "2027-03-01", "cost": "0.1000", "outcome": "busy", "path": "a/b",
    }  # fmt: skip


def test_a_name_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    output.show_table([{"nombre": "Ana \x1b[31m[red]\x07"}], ["nombre"])

    shown = capsys.readouterr().out
    assert "\x1b" not in shown and "\x07" not in shown
    assert "[red]" in shown


def test_a_list_says_on_stderr_that_there_is_more(capsys: pytest.CaptureFixture[str]) -> None:
    output.show_list([{"id": 1}, {"id": 2}, {"id": 3}], ["id"], limit=2, as_json=True, what="leads")

    shown = capsys.readouterr()
    assert json.loads(shown.out) == [{"id": 1}, {"id": 2}]
    assert "there are more; see --limit" in shown.err


def test_an_error_is_told_with_the_causes_that_say_something_new() -> None:
    try:
        try:
            raise OSError(28, "No space left on device", "leads.rejects.csv")
        except OSError as cause:
            raise RingbackError("the import stopped") from cause
    except RingbackError as error:
        assert output.explain(error) == ["the import stopped", "leads.rejects.csv: No space left on device"]


def test_a_database_error_is_told_without_its_statement_and_values() -> None:
    statement = "UPDATE leads SET telefono = %s"
    cause = OperationalError(statement, {"telefono": "+56912345678"}, Exception(1205, "too slow"))
    error = DatabaseUnavailable("the database: too slow")
    error.__cause__ = cause

    assert output.explain(error) == ["the database: too slow"]
    assert output.explain(cause) == ["too slow"]


def test_now_is_the_present_instant() -> None:
    before = datetime.now(UTC)

    at = read_at("now")

    assert at is not None and before <= at <= datetime.now(UTC)


@each(
    ("text", "expected"),
    [
        ("2027-03-01T15:00:00Z", THREE),
        ("2027-03-01T12:00-03:00", THREE),
        ("2027-03-01T12:00", TWELVE_SOMEWHERE),
        ("2027-03-01 12:00", TWELVE_SOMEWHERE),
        (None, None),
    ],
)
def test_a_time_is_read_as_iso_8601_or_now(text: str | None, expected: datetime | None) -> None:
    assert read_at(text) == expected


@each("text", ["tomorrow", "01/03/2027 12:00", "2027", "2027-03-01", "2027-13-01T12:00", "12:00",
                                  "2099-01-01T12:00Z", "1960-01-01T00:00", "2027-03-01T25:00", ""])  # fmt: skip
def test_any_other_time_is_refused_and_never_guessed(text: str) -> None:
    with pytest.raises(click.BadParameter):
        read_at(text)


def read_at(text: str | None) -> datetime | None:
    option = click.Option(["--at"])
    return read_instant(click.Context(click.Command("test")), option, text)
