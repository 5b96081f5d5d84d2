"""`ringback check`: every question is asked, and what is found has the right weight."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from scheduler.store.database import Database
from tests.cli.conftest import Ringback
from tests.conftest import on_every_engine
from tests.factories import HOUR, add_campaign, add_due_lead, add_lead, plan_call, set_config, sql


@on_every_engine
def test_all_is_well_on_a_new_database(ringback: Ringback) -> None:
    found = ringback.json("check")

    assert (found["ok"], found["problems"]) == (True, 0)
    asked = {one["check"] for one in found["findings"]}
    assert asked >= {f"R{number}" for number in range(1, 18)}
    assert asked >= {
        "settings", "scheduler_config", "campaigns", "schema", "tzdata", "server", "clock", "in_time", "vendor_words",
        "held",
    }  # fmt: skip
    assert "no closed lead was dialed" in ringback.ok("check")


def test_quiet_tells_problems_and_warnings_alone(ringback: Ringback) -> None:
    assert "no closed lead was dialed" not in ringback.ok("check", "--quiet")


@on_every_engine
def test_a_broken_promise_is_a_problem_with_its_rows(ringback: Ringback, database: Database) -> None:
    call_id = plan_call(database, add_lead(database), lease_owner="somebody")

    (problem,) = problems(ringback)

    assert (problem["check"], problem["rows"]) == ("R6", [call_id])
    assert "broken by 1 rows: no lease outside work" in ringback("check").stdout


def test_rules_that_cannot_be_used_are_problems(ringback: Ringback, database: Database) -> None:
    set_config(database, timezone="Mars/Olympus")
    add_campaign(database, "broken", call_settings='{"max_attempts": 0}')
    add_campaign(database, "stranger", provider="pigeon")
    add_campaign(database, "over", status="completed", call_settings='{"max_attempts": 0}')

    found = problems(ringback)

    assert [one["check"] for one in found] == ["scheduler_config", "campaigns", "campaigns"]
    assert all(word in one["sentence"] for one, word in zip(found, ("Mars", "broken", "pigeon"), strict=True))
    assert any("over" in one["sentence"] for one in findings(ringback, "warning"))


def test_settings_that_do_not_fit_together_are_a_problem(ringback: Ringback, database: Database) -> None:
    set_config(database, lease_seconds="20")

    assert [one["check"] for one in problems(ringback)] == ["settings"]


def test_a_misspelled_setting_is_a_warning(ringback: Ringback) -> None:
    done = ringback("check", "--json", RINGBACK_DIALING_PLACE="3")

    assert done.exit_code == 0
    assert "RINGBACK_DIALING_PLACE is set but is no setting" in done.stdout


def test_an_unknown_key_is_a_warning_and_a_missing_one_good_to_know(ringback: Ringback, database: Database) -> None:
    sql(database, "UPDATE scheduler_config SET config_key = 'workin_days' WHERE config_key = 'working_days'")

    found = {one["level"]: one for one in json.loads(ringback.ok("check", "--json"))["findings"]
             if one["check"] == "scheduler_config"}  # fmt: skip

    assert found["warning"]["rows"] == ["workin_days"]
    assert found["info"]["rows"] == ["working_days"]


def test_an_old_zone_database_is_a_warning(ringback: Ringback) -> None:
    done = ringback("check", "--json", RINGBACK_MIN_TZDATA="2099a")

    assert done.exit_code == 0
    warnings = [one for one in json.loads(done.stdout)["findings"] if one["level"] == "warning"]
    assert "tzdata" in [one["check"] for one in warnings]


def test_a_database_that_is_away_or_empty_is_a_problem_among_the_others(homeless: Ringback, tmp_path: Any) -> None:
    away = homeless("check", "--json")
    assert (away.exit_code, json.loads(away.stdout)["findings"][-1]["check"]) == (1, "database")

    empty = homeless("check", "--json", RINGBACK_DATABASE_URL=f"sqlite:///{tmp_path / 'empty.db'}")
    assert (empty.exit_code, json.loads(empty.stdout)["findings"][-1]["check"]) == (1, "schema")


def test_calls_that_are_due_while_no_daemon_runs_are_a_warning(ringback: Ringback, database: Database) -> None:
    add_due_lead(database, at=database.now() - HOUR)

    assert any("no daemon is running" in one["sentence"] for one in findings(ringback, "warning"))


def test_calls_that_wait_although_there_is_room_are_a_warning(ringback: Ringback, database: Database) -> None:
    add_due_lead(database, at=database.now() - HOUR)
    full = add_campaign(database, "full", call_settings='{"max_concurrent_calls": 0}')
    add_due_lead(database, at=database.now() - HOUR, campaign_id=full)
    sql(
        database,
        "INSERT INTO daemons (owner, host, pid, status, last_seen_at) VALUES ('d1', 'h', 1, 'running', :at)",
        at=f"{database.now():%Y-%m-%d %H:%M:%S.%f}",
    )

    late = [one["sentence"] for one in findings(ringback, "warning") if "room for them" in one["sentence"]]

    assert len(late) == 1
    assert "leads without a campaign" in late[0]


def test_regions_of_which_something_is_not_known_are_told(ringback: Ringback, database: Database) -> None:
    campaign = add_campaign(database, call_settings={"preset": "es-sales"})
    for region in ("ES-QQ", "ES-QQ", "ES-B", None):
        add_lead(database, campaign_id=campaign, region=region)
    add_lead(database, region="Atlantis")

    told = [one["sentence"] for one in findings(ringback, "warning") if one["check"] == "regions"]

    assert len(told) == 2
    assert told[0].startswith("2 leads: no region ES-QQ is known")
    assert "the regional holidays of ES-QQ are not known" in told[0]
    assert told[1].startswith("1 leads: region: 'Atlantis' cannot be used")


def test_held_calls_are_told_with_their_reason(ringback: Ringback, database: Database) -> None:
    plan_call(database, add_lead(database), at=database.now() + timedelta(days=1), hold="never", reason="no hours")

    (held,) = [one for one in findings(ringback, "info") if one["check"] == "held"]

    assert held["sentence"] == "1 planned calls are held (never): no hours"


def findings(ringback: Ringback, level: str) -> list[dict[str, Any]]:
    return [one for one in json.loads(ringback("check", "--json").stdout)["findings"] if one["level"] == level]


def problems(ringback: Ringback) -> list[dict[str, Any]]:
    done = ringback("check", "--json")
    assert done.exit_code == 1
    return [one for one in json.loads(done.stdout)["findings"] if one["level"] == "problem"]


def test_the_server_is_named_and_a_column_in_another_collation_is_a_problem(
    ringback: Ringback, database: Database
) -> None:
    told = [one["sentence"] for one in findings(ringback, "info") if one["check"] == "server"]
    assert any(one.startswith(("MySQL ", "MariaDB ", "SQLite ")) for one in told)
    if database.is_sqlite:
        return
    column = "campaigns MODIFY code VARCHAR(64) CHARACTER SET {} NOT NULL"
    sql(database, f"ALTER TABLE {column.format('latin1')}")
    try:
        (problem,) = problems(ringback)
        refused = ringback("db", "check")
    finally:
        sql(database, f"ALTER TABLE {column.format('utf8mb4 COLLATE utf8mb4_bin')}")

    assert problem["check"] == "server" and "campaigns.code is in latin1" in problem["sentence"]
    assert refused.exit_code == 1 and "campaigns.code is in latin1" in refused.stderr
    ringback.ok("check")


def test_a_server_that_nobody_may_write_to_is_a_problem(
    ringback: Ringback, database: Database, admin: Database
) -> None:
    if database.is_sqlite:
        return
    sql(admin, "SET GLOBAL read_only = 1")
    try:
        (problem,) = problems(ringback)
    finally:
        sql(admin, "SET GLOBAL read_only = 0")

    assert problem["check"] == "server" and "read_only is on" in problem["sentence"]


def test_open_access_behind_a_proxy_is_said_until_there_is_somebody(ringback: Ringback) -> None:
    ringback.environment |= {"RINGBACK_OPEN_ACCESS": "1", "RINGBACK_PUBLIC_URL": "https://calls.example.com"}
    assert "RINGBACK_OPEN_ACCESS is set and nobody has to log in" in ringback("check").stdout
    ringback.ok("keys", "create", "first", "--scope", "admin")
    assert "RINGBACK_OPEN_ACCESS" not in ringback("check").stdout
