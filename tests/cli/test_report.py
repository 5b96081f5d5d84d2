"""`ringback report` as people and programs read it."""

from __future__ import annotations

import csv
import io
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import cli
from scheduler.store.database import Database
from tests.cli.conftest import Ringback
from tests.conftest import on_every_engine
from tests.dials import add_dial, add_event
from tests.each import each
from tests.factories import add_campaign, add_lead, plan_call, sql

PNG = b"\x89PNG\r\n\x1a\n"
HOUR = timedelta(hours=1)
SECTIONS = {
    "leads", "closed because", "attempts by outcome", "answer rate by hour, on the clock of each lead",
    "answer rate by weekday, on the clock of each lead", "percent answered by weekday and hour (· no attempt)",
    "put off", "waiting now, later than wished", "delays used, from the end of a call to the next round", "cost",
    "ETA at the present pace",
}  # fmt: skip


@pytest.fixture
def autumn(database: Database) -> int:
    """A campaign with four leads: one succeeded, one is called again, one was never called, one is held."""
    ago = datetime.now(UTC) - 3 * HOUR
    campaign_id = add_campaign(database, "autumn")
    done, again, _, held = (add_lead(database, campaign_id=campaign_id) for _ in range(4))
    add_dial(database, done, "busy", at=ago, number=1)
    add_dial(database, done, "completed", at=ago + HOUR, number=2, talk_seconds=90, cost="0.05", cost_unit="usd")
    add_dial(database, again, "no_answer", at=ago)
    sql(
        database,
        "UPDATE leads SET lead_status = 'closed', closed_reason = 'completed', closed_at = :at WHERE id = :id",
        at=(ago + HOUR).replace(tzinfo=None), id=done,
    )
    add_event(database, "moved", "outside hours: Friday 08:00", lead_id=again, campaign_id=campaign_id, at=ago)
    later = {"wanted_at": ago, "reason": "outside hours: Friday 08:00"}
    plan_call(database, again, at=datetime.now(UTC) + HOUR, **later)
    plan_call(database, held, hold="manual")
    return campaign_id


def test_every_section_is_shown_with_bars(ringback: Ringback, autumn: int) -> None:
    lines = [line.rstrip() for line in ringback.ok("report").splitlines()]

    assert lines[0].startswith("all leads, since the beginning, as of 20")
    assert set(lines) >= SECTIONS
    assert "leads          4  100.0%  ████████████████████████" in lines
    assert "called         2   50.0%  ████████████" in lines
    assert "completed         1      1     33.3%  ████████████████████████" in lines
    assert "attempts to first answer (mean 2.0, median 2)" in lines
    assert "3 attempts: 3 ended (33.3% answered, 33.3% completed), 0 in progress; 0 refused" in lines
    assert ["busy", "1", "59", "min", "59", "min", "4", "h"] in [line.split() for line in lines]
    assert "minutes talked  1.5 (1.5 for each lead reached)" in lines
    assert "USD             0.0500 for 1 attempts (0.0500 for each lead reached)" in lines
    assert "leads left        1, 1 held for people" in lines


def test_an_empty_installation_has_a_short_report(ringback: Ringback) -> None:
    said = ringback.ok("report")

    assert "no attempt was made" in said
    assert "unknown" in said and "no lead is left to call" in said
    assert "put off" not in said


def test_a_terminal_without_block_characters_gets_plain_bars(ringback: Ringback, autumn: int) -> None:
    done = CliRunner(charset="ascii").invoke(cli, ["report"], env=ringback.environment)

    assert done.exit_code == 0, done.output
    assert "called         2   50.0%  ############" in [line.rstrip() for line in done.stdout.splitlines()]
    assert "percent answered by weekday and hour (. no attempt)" in done.stdout


@on_every_engine
def test_the_document_holds_what_is_asked_for(ringback: Ringback, autumn: int) -> None:
    found = ringback.json("report", "--campaign", "autumn", "--since", "7d")

    assert found["campaign"] == "autumn" and found["since"].endswith("Z")
    assert found["funnel"]["by_outcome"] == {"busy": 1, "completed": 1, "no_answer": 1}
    assert found["funnel"]["closed_by_reason"] == {"completed": 1}
    assert found["first_answer"]["by_attempt"] == {"2": 1}
    assert sum(one["attempts"] for one in found["answer_rate"]["by_hour"].values()) == 3
    assert [one["cause"] for one in found["postponed"]["times"]] == ["hours"]
    assert found["delays"][0]["planned_seconds"] == 4 * 3600
    assert found["spent"]["by_unit"][0]["cost"] == "0.0500"
    assert found["eta"]["left"] == 1


def test_the_table_for_programs_has_four_columns(ringback: Ringback, autumn: int, database: Database) -> None:
    sql(database, "UPDATE leads SET closed_reason = '=cmd' WHERE closed_reason IS NOT NULL")

    rows = list(csv.reader(io.StringIO(ringback.ok("report", "--csv"))))

    assert rows[0] == ["section", "key", "subkey", "value"]
    assert {len(row) for row in rows} == {4}
    found = {tuple(row[:3]): row[3] for row in rows}
    assert len(found) == len(rows), "no figure stands twice"
    assert found["funnel", "leads", ""] == "4"
    assert found["funnel", "closed_by_reason", "'=cmd"] == "1", "a spreadsheet takes it for text"
    assert found["postponed_times", "hours", "leads"] == "1"
    assert found["delays", "busy", "median_seconds"] == "3540"
    assert found["spent_by_unit", "usd", "cost"] == "0.0500"
    assert found["answer_rate_by_hour", "0", "attempts"].isdigit()
    cells = [row for row in rows if row[0] == "answer_rate_by_weekday_and_hour" and row[2] == "attempts"]
    assert sum(int(row[3]) for row in cells) == 3
    assert all(1 <= int(row[1].split()[0]) <= 7 and 0 <= int(row[1].split()[1]) <= 23 for row in cells)


@pytest.mark.parametrize("is_empty", [False, True])
def test_a_plot_is_drawn_beside_the_answer(
    ringback: Ringback, database: Database, tmp_path: Path, is_empty: bool
) -> None:
    if not is_empty:
        lead_id = add_lead(database, campaign_id=add_campaign(database, "spring $x_1$"))
        add_dial(database, lead_id, "completed", at=datetime.now(UTC) - HOUR)
    else:
        add_campaign(database, "spring $x_1$")
    path = tmp_path / "spring.png"
    path.write_text("an older one")

    done = ringback("report", "--campaign", "spring $x_1$", "--plot", path, "--json")

    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("{") and f"drawn into {path}" in done.stderr
    assert path.read_bytes().startswith(PNG)


@each(
    "name, why",
    [
        ("plot.pdf", "write the name of a file that ends in .png"),
        ("folder.png", "it is there and is no file"),
        ("nowhere/plot.png", "there is no folder"),
    ],
)
def test_a_plot_that_cannot_be_written_is_refused_before_anything_is_counted(
    homeless: Ringback, tmp_path: Path, name: str, why: str
) -> None:
    (tmp_path / "folder.png").mkdir()

    assert why in homeless.refused("report", "--plot", tmp_path / name)


def test_a_plot_names_the_extra_that_it_needs(homeless: Ringback, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # as where it is not installed

    said = homeless.refused("report", "--plot", "autumn.png")

    assert "needs the extra `plot`" in said
    assert f"{sys.executable} -m pip install 'matplotlib>=3" in said


@each(
    "arguments, why",
    [
        (("--since", "tomorrow"), "is no time; write a date (2027-03-01), a time, or a span (7d, 24h)"),
        (("--since", "2026-02-30"), "is no date"),
        (("--since", "0001-01-01"), "is out of range"),
        (("--since", "99999d"), "is too long"),
        (("--json", "--csv"), "choose one"),
    ],
)
def test_what_cannot_be_read_is_misuse(homeless: Ringback, arguments: tuple[str, ...], why: str) -> None:
    done = homeless("report", *arguments)

    assert done.exit_code == 2
    assert why in " ".join(done.stderr.split())


def test_refusals_are_sentences(ringback: Ringback) -> None:
    assert ringback.refused("report", "--campaign", "nowhere") == "there is no campaign nowhere"
    assert "write a time that has passed" in ringback.refused("report", "--since", "2037-01-01")
