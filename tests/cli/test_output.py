"""How values are printed."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import click
import pytest
import structlog
from sqlalchemy.exc import OperationalError

from cli import output
from cli.instants import read_instant
from scheduler.errors import DatabaseUnavailable, RingbackError
from scheduler.events import Reporter, set_up_logging
from scheduler.lines import STEERING, one_line
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


HOSTILE = (
    "Ana\n2027-03-01 12:00:00Z lead 7 is closed", "Ana\r\nx", "Ana\rx", "Ana\x85x", "Ana\u2028x", "Ana\u2029x",
    "Ana\x0bx", "Ana\x1b[2J", "Ana\x9b31m", "Ana\u202egnp", "Ana\u2066x", "Ana\x00", "Ana\x7f", "Ana\ud800",
)


@each("text", HOSTILE)
def test_nothing_that_people_wrote_begins_a_line_or_is_obeyed(text: str) -> None:
    shown = one_line(text)

    assert len(shown.splitlines()) == 1
    assert shown.startswith("Ana")
    assert STEERING.search(shown) is None
    assert output.printable(text) == shown


@each("text", ["José Ñandú", "日本", "👩\u200d👧", "می\u200cخواهم", "a\tb", "80\xa0%"])
def test_names_of_every_kind_are_shown_as_they_are(text: str) -> None:
    assert one_line(text) == text


def test_a_table_has_one_line_for_each_row_whatever_is_written_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    output.show_table([{"nombre": text} for text in HOSTILE], ["nombre"])
    output.show_facts({"name": HOSTILE[0]})

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + len(HOSTILE) + 1
    assert not any(line.startswith("2027") for line in lines)


@each("text", HOSTILE[:-1])
def test_json_keeps_the_text_and_steers_no_terminal(text: str) -> None:
    with redirect_stdout(io.StringIO()) as shown:
        output.show({"nombre": text})

    assert json.loads(shown.getvalue()) == {"nombre": text}
    assert STEERING.search(shown.getvalue()) is None


def test_a_name_forges_no_line_of_a_log() -> None:
    for log_format in ("text", "json"):
        said: list[str] = []
        Reporter(lambda line, said=said: said.append(line.text)).closed(THREE, who="lead 7 (" + HOSTILE[0], reason="x")
        assert said == ["lead 7 (Ana ↵ 2027-03-01 12:00:00Z lead 7 is closed is closed: x"]
        with redirect_stderr(io.StringIO()) as log:
            set_up_logging("INFO", log_format)
            for text in HOSTILE:
                Reporter().closed(THREE, who=text, reason=text)
        assert len(log.getvalue().splitlines()) == len(HOSTILE)
        structlog.reset_defaults()
        assert "\x1b[2J" not in log.getvalue()


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
