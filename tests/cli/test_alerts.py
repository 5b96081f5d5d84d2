"""`ringback alerts`: said in a table, in JSON and by the exit code."""

from __future__ import annotations

import json

from scheduler.rules.alerts import AlertCode
from scheduler.store.database import Database
from tests.cli.conftest import Ringback
from tests.conftest import on_every_engine
from tests.factories import HOUR, add_campaign, add_due_lead, set_config


@on_every_engine
def test_all_is_well_on_a_new_database(ringback: Ringback) -> None:
    done = ringback("alerts")

    assert (done.exit_code, done.stdout) == (0, "")
    assert "no alerts" in done.stderr
    codes = {code.value: False for code in AlertCode}
    assert ringback.json("alerts") == {"ok": True, "raised": 0, "codes": codes, "alerts": []}


def test_what_is_raised_is_said_and_ends_with_1(ringback: Ringback, database: Database) -> None:
    add_due_lead(database, at=database.now() - HOUR, campaign_id=add_campaign(database, "idle", status="paused"))
    add_due_lead(database, at=database.now() - HOUR)

    table, document = ringback("alerts"), ringback("alerts", "--json")

    assert (table.exit_code, document.exit_code) == (1, 1)
    assert "calls of campaign idle are due, the oldest for 1 h" in table.stdout
    found = json.loads(document.stdout)
    assert (found["ok"], found["raised"]) == (False, 2)
    assert [code for code, is_raised in found["codes"].items() if is_raised] == ["stopped_with_due", "no_daemon"]
    first, second = found["alerts"]
    assert set(first) == {"code", "severity", "about", "sentence", "value", "threshold"}
    assert (first["about"], first["severity"], first["value"], first["threshold"]) == (
        "campaign idle", "warning", 60, 15.0,
    )
    assert (second["code"], second["severity"]) == ("no_daemon", "problem")


def test_thresholds_come_from_the_rows(ringback: Ringback, database: Database) -> None:
    add_due_lead(database, at=database.now() - HOUR, campaign_id=add_campaign(database, "idle", status="paused"))

    set_config(database, alert_due_minutes="90")

    ringback.ok("alerts")


def test_the_help_names_every_code(homeless: Ringback) -> None:
    said = homeless.ok("alerts", "--help")

    assert [code for code in AlertCode if code not in said] == []


def test_a_database_that_is_away_is_one_sentence(homeless: Ringback) -> None:
    assert "Can't connect" in homeless.refused("alerts")
