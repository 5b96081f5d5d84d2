"""`ringback config`, `campaigns` and `rules`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scheduler.rules.presets import PRESETS
from scheduler.store import tables
from scheduler.store.database import Database
from tests.cli.conftest import Ringback
from tests.conftest import on_every_engine
from tests.each import each
from tests.factories import add_campaign, config_of, find_all, set_config, sql

CASES = Path(__file__).parents[1] / "rules" / "calling_cases.json"


@on_every_engine
def test_every_seeded_rule_is_listed_as_valid(ringback: Ringback) -> None:
    rows = ringback.json("config", "list")

    assert len(rows) == 30
    assert all(row["valid"] and row["problem"] is None and row["description"] for row in rows)
    assert "working_hours_start" in ringback.ok("config", "list")


def test_a_bad_value_and_an_unknown_key_are_shown(ringback: Ringback, database: Database) -> None:
    set_config(database, working_hours_end="25:00")
    sql(database, "INSERT INTO scheduler_config (config_key, config_value) VALUES ('workin_days', '1')")

    bad = {row["config_key"]: row["problem"] for row in ringback.json("config", "list") if not row["valid"]}

    assert set(bad) == {"working_hours_end", "workin_days"}
    assert "25:00" in bad["working_hours_end"] and "misspelled" in bad["workin_days"]
    assert ringback("config", "get", "working_hours_end").stdout == "25:00\n"


def test_get_and_set(ringback: Ringback, database: Database) -> None:
    ringback.ok("config", "set", "working_hours_end", "18:30")

    assert ringback.ok("config", "get", "working_hours_end") == "18:30\n"
    assert ringback.json("config", "get", "working_hours_end")["config_value"] == "18:30"
    assert "the keys are" in ringback.refused("config", "get", "nonsense")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("working_hours_end", "25:00"), ("working_hours_end", "08:00"), ("working_days", ""), ("working_days", "0,8"),
        ("timezone", "Mars/Olympus"), ("default_delay_hours", "-1"), ("default_max_attempts", "many"),
        ("holidays", "ZZ"), ("nonsense", "1"),
    ],
)  # fmt: skip
def test_set_refuses_what_cannot_be_used_and_writes_nothing(
    ringback: Ringback, database: Database, key: str, value: str
) -> None:
    before = config_of(database, key)

    sentence = ringback.refused("config", "set", "--", key, value)

    assert key in sentence
    assert config_of(database, key) == before


@on_every_engine
def test_campaigns_are_created_listed_and_shown(ringback: Ringback, database: Database, tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text('{"max_attempts": 4}')

    made = ringback.json(
        "campaigns", "create", "Autumn", "--code", "autumn", "--settings", tmp_path / "settings.json", "--priority", 2
    )
    ringback.ok("campaigns", "create", "Winter", "--settings", '{"retry_delay_hours": 0.5}')

    assert made == {"code": "autumn"}
    assert [one["name"] for one in ringback.json("campaigns", "list")] == ["Winter", "Autumn"]
    shown = ringback.json("campaigns", "show", "autumn")
    assert (shown["call_settings"], shown["priority"], shown["settings_problem"]) == ({"max_attempts": 4}, 2, None)
    assert "autumn" in ringback.ok("campaigns", "show", shown["id"])


def test_settings_of_a_campaign_that_cannot_be_used_are_refused(
    ringback: Ringback, database: Database, tmp_path: Path
) -> None:
    for settings in ('{"max_attempt": 4}', '{"days_of_week": []}', '{"timezone": "Mars"}', "{", str(tmp_path / "none")):
        ringback.refused("campaigns", "create", "x", "--settings", settings)
    ringback.refused("campaigns", "create", "x", "--provider", "pigeon")

    assert find_all(database, tables.campaigns) == []
    assert ringback.refused("campaigns", "show", "none") == "there is no campaign none"


def test_settings_broken_by_sql_are_shown_with_what_is_wrong(ringback: Ringback, database: Database) -> None:
    add_campaign(database, "broken", call_settings='{"max_attempts": 0}')

    shown = ringback.json("campaigns", "show", "broken")

    assert shown["call_settings"] == {"max_attempts": 0}
    assert "max_attempts" in shown["settings_problem"]


def test_cases_are_run_and_told_one_by_one(homeless: Ringback) -> None:
    rows = homeless.json("rules", "test", CASES)

    assert len(rows) == 65
    assert all(list(row) == ["name", "expected_utc", "actual_utc", "ok", "why"] for row in rows)
    assert all(row["ok"] for row in rows)
    assert "margin-boundary-allowed" in homeless.ok("rules", "test", CASES)


def test_a_case_that_comes_out_otherwise_ends_with_1(homeless: Ringback, tmp_path: Path) -> None:
    cases = json.loads(CASES.read_text())[:2]
    cases[1]["expected_utc"] = "2027-01-01T00:00:00Z"
    (tmp_path / "cases.json").write_text(json.dumps(cases))

    done = homeless("rules", "test", tmp_path / "cases.json", "--json")

    assert done.exit_code == 1
    assert [row["ok"] for row in json.loads(done.stdout)] == [True, False]


@each("content", [b"[", b"\xff\xfe[]", b"{}", b'"cases"'])
def test_a_file_that_is_no_table_of_cases_is_one_sentence(homeless: Ringback, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "cases.json").write_bytes(content)

    homeless.refused("rules", "test", tmp_path / "cases.json")


def test_a_file_that_is_not_there_is_one_sentence(homeless: Ringback, tmp_path: Path) -> None:
    assert "No such file" in homeless.refused("rules", "test", tmp_path / "none.json")


def test_presets_are_listed_with_their_hours_and_limits_as_no_legal_advice(homeless: Ringback) -> None:
    done = homeless("rules", "presets")

    (line,) = (line for line in done.stdout.splitlines() if line.startswith("cl-collections "))
    for words in ("mon-fri 08:00-20:00, sat 10:00-13:00", "holidays of CL", "1 in 7 days by lead", "A/C", "2026-11"):
        assert words in line
    assert "not legal advice" in done.stderr
    assert "there are more" not in done.stderr


def test_presets_as_json_have_everything_in_one_document(homeless: Ringback) -> None:
    listed = homeless.json("rules", "presets")
    shown = {one["name"]: one for one in listed["presets"]}

    assert "check with counsel" in listed["disclaimer"]
    assert set(shown) == set(PRESETS)
    for name, one in shown.items():
        assert homeless.json("rules", "presets", name) == {**one, "disclaimer": listed["disclaimer"]}
    assert shown["us-ms-sales"]["clock"] == "America/Chicago"
    assert any("Chicago" in caveat for caveat in shown["us-ms-sales"]["caveats"])
    assert [one["name"] for one in homeless.json("rules", "presets", "--limit", 2)["presets"]] == [*shown][:2]
    assert "see --limit" in homeless("rules", "presets", "--limit", 2).stderr
    assert "see --limit" in homeless("rules", "presets", "--limit", 2, "--json").stderr


def test_a_preset_is_shown_with_its_notes_and_settings_that_a_campaign_takes(
    ringback: Ringback, database: Database, tmp_path: Path
) -> None:
    done = ringback("rules", "presets", "co-all")
    copy = tmp_path / "settings.json"
    copy.write_text(done.stdout.partition("call_settings\n")[2])

    assert "Do not call references." in done.stdout
    assert "not legal advice" in done.stderr
    ringback.ok("campaigns", "create", "Copied", "--code", "copied", "--settings", copy)
    assert ringback.json("campaigns", "show", "copied")["call_settings"] == PRESETS["co-all"].as_call_settings()


def test_the_presets_of_a_country_are_shown_together(homeless: Ringback) -> None:
    shown = homeless.json("rules", "presets", "cl")

    assert shown["hours"].startswith("mon-fri 09:00-20:00, sat 10:00-13:00")
    assert "cl-collections and cl-sales" in shown["notes"][0]


def test_a_preset_that_does_not_exist_is_answered_with_those_near_to_it(homeless: Ringback) -> None:
    sentence = homeless.refused("rules", "presets", "cl-colections")

    assert "did you mean cl-collections" in sentence


def test_a_campaign_is_not_made_with_a_preset_that_does_not_exist(ringback: Ringback, database: Database) -> None:
    sentence = ringback.refused("campaigns", "create", "x", "--settings", '{"preset": "es-sale"}')

    assert "preset" in sentence and "es-sales" in sentence
    assert find_all(database, tables.campaigns) == []
