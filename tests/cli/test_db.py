"""`ringback db`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from scheduler.store import schema
from scheduler.store.database import Database
from tests.cli.conftest import Ringback
from tests.conftest import on_every_engine
from tests.factories import sql


def test_upgrade_says_what_it_did_and_may_be_repeated(homeless: Ringback, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new' / 'folder' / 'ringback.db'}"

    assert "upgraded from nothing to revision" in homeless.ok("db", "upgrade", RINGBACK_DATABASE_URL=url)
    assert "already" in homeless.ok("db", "upgrade", RINGBACK_DATABASE_URL=url)


@on_every_engine
def test_current_tells_the_revision_of_database_and_program(ringback: Ringback) -> None:
    found = ringback.json("db", "current")

    assert found["current"] == found["head"] == schema.head()
    assert found["is_current"] and found["problem"] is None


@on_every_engine
def test_check_is_clean_after_an_upgrade(ringback: Ringback) -> None:
    assert ringback.json("db", "check")["ok"]
    assert "as this program expects" in ringback.ok("db", "check")


def test_check_finds_a_column_added_by_hand(homeless: Ringback, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ringback.db'}"
    homeless.ok("db", "upgrade", RINGBACK_DATABASE_URL=url)
    database = Database(url)
    sql(database, "ALTER TABLE leads ADD COLUMN note VARCHAR(10)")
    database.close()

    done = homeless("db", "check", "--json", RINGBACK_DATABASE_URL=url)

    assert done.exit_code == 1
    assert any("note" in problem for problem in json.loads(done.stdout)["problems"])


def test_a_newer_database_is_refused_by_every_command(homeless: Ringback, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ringback.db'}"
    homeless.ok("db", "upgrade", RINGBACK_DATABASE_URL=url)
    database = Database(url)
    sql(database, "UPDATE alembic_version SET version_num = '9999'")
    database.close()

    for arguments in (("stats",), ("db", "upgrade"), ("run",), ("db", "check"), ("leads", "suspend", 1)):
        assert "newer than this program" in homeless.refused(*arguments, RINGBACK_DATABASE_URL=url)
    assert "newer than this program" in homeless.ok("db", "current", RINGBACK_DATABASE_URL=url)


@pytest.mark.parametrize("arguments", [
    ("stats",), ("run",), ("run", "--once"), ("serve", "--port", 0), ("db", "current"), ("db", "check"),
    ("leads", "list"), ("leads", "suspend", 1), ("config", "set", "paused", "yes"), ("users", "list"),
    ("cleanup",), ("alerts",), ("leads", "import", __file__), ("campaigns", "create", "Autumn", "--code", "autumn"),
])  # fmt: skip
def test_a_mistyped_path_is_refused_and_makes_nothing(arguments: Sequence[object], homeless: Ringback) -> None:
    said = homeless.refused(*arguments, RINGBACK_DATABASE_URL="sqlite:///var/mistyped.db")

    assert f"there is no file {Path.cwd() / 'var' / 'mistyped.db'}; make it with `ringback db upgrade`" in said
    assert list(Path.cwd().iterdir()) == []


def test_check_names_the_file_that_is_not_there_and_makes_none(homeless: Ringback) -> None:
    done = homeless("check", RINGBACK_DATABASE_URL="sqlite:///var/mistyped.db")

    assert done.exit_code == 1
    assert f"there is no file {Path.cwd() / 'var' / 'mistyped.db'}" in done.stdout
    assert list(Path.cwd().iterdir()) == []
