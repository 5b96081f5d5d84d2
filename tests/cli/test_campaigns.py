"""`ringback campaigns`: what they are made with, and control while calls run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from scheduler.store import tables
from scheduler.store.database import Database
from tests.cli.conftest import Ringback
from tests.conftest import on_every_engine
from tests.factories import add_campaign, add_due_lead, add_lead, find, find_all, lead_of, plan_call, set_config, sql


def test_create_takes_account_group_preset_and_last_date(ringback: Ringback, database: Database) -> None:
    sql(database, "INSERT INTO accounts (code, name) VALUES ('acme', 'Acme')")
    set_config(database, timezone="UTC")

    ringback.ok(
        "campaigns", "create", "Autumn", "--code", "autumn", "--account", "acme", "--group", "debts", "--deadline-days",
        30, "--preset", "cl-collections", "--max-concurrent-calls", 5, "--set", "ring_timeout=40", "--paused",
    )  # fmt: skip

    shown = ringback.json("campaigns", "show", "autumn")
    assert shown["call_settings"] == {"preset": "cl-collections", "max_concurrent_calls": 5, "ring_timeout": 40}
    assert shown["fecha_limite"] == f"{database.now().date() + timedelta(days=30)}"
    assert (shown["group_name"], shown["status"]) == ("debts", "paused")
    assert shown["account_id"] == find(database, tables.accounts, code="acme").id


def test_a_night_is_said_before_a_campaign_is_made_with_it(ringback: Ringback, database: Database) -> None:
    night = '{"windows": {"fri": [["20:00", "02:00"]]}}'

    refused = ringback("campaigns", "create", "Nights", "--settings", night, "--dry-run")
    told = ringback.ok("campaigns", "create", "Nights", "--settings", night, "--set", "overnight=true", "--dry-run")

    assert refused.exit_code == 1
    assert "until 02:00 of the next day; write 02:00-20:00" in refused.stderr
    assert "hours: fri 20:00-02:00\n" in told
    assert "people are called at night, past midnight: fri 20:00-02:00\n" in told
    assert "nobody is called on Mon, Tue, Wed, Thu, Sun\n" in told
    assert find_all(database, tables.campaigns) == []


@pytest.mark.parametrize(
    "words, says",
    [
        (("--account", "nobody"), "there is no account nobody"),
        (("--preset", "atlantis"), "atlantis"),
        (("--set", "max_attemps=3"), "there is no such setting"),
        (("--deadline", "2020-01-31"), "lies in the past"),
        (("--deadline", "2099-01-31", "--deadline-days", "3"), "not both"),
    ],
)
def test_create_and_edit_refuse_what_cannot_be_used(
    ringback: Ringback, database: Database, words: tuple[str, ...], says: str
) -> None:
    add_campaign(database, "autumn")

    assert says in ringback.refused("campaigns", "create", "Winter", *words)
    assert says in ringback.refused("campaigns", "edit", "autumn", *words)

    assert [(one.code, one.call_settings) for one in find_all(database, tables.campaigns)] == [("autumn", None)]


def test_options_that_are_no_such_thing_are_misuse(ringback: Ringback, database: Database) -> None:
    add_campaign(database, "autumn")

    for words in (("--set", "max_attempts"), ("--deadline", "31-12-2027"), ("--max-concurrent-calls", "many")):
        assert ringback("campaigns", "edit", "autumn", *words).exit_code == 2
    assert ringback("campaigns", "cancel", "autumn").exit_code == 2, "a cancel says why"


@on_every_engine
def test_edit_tells_what_changed_and_a_dry_run_writes_nothing(ringback: Ringback, database: Database) -> None:
    campaign_id = add_campaign(database, "autumn", call_settings={"max_attempts": 3})
    add_due_lead(database, campaign_id=campaign_id)
    words = ("campaigns", "edit", "autumn", "--name", "Winter", "--set", "max_attempts=5", "--set", "ring_timeout=40")

    tried = ringback.ok(*words, "--dry-run")
    before = find(database, tables.campaigns, code="autumn").name
    done = ringback.json(*words)

    assert "name: autumn -> Winter" in tried and "of 1 planned calls would move" in tried
    assert before == "autumn"
    assert done["changes"]["name"] == ["autumn", "Winter"]
    assert find(database, tables.campaigns, code="autumn").call_settings == {"max_attempts": 5, "ring_timeout": 40}
    assert "nothing changes" in ringback.ok(*words)
    ringback.ok("campaigns", "edit", "autumn", "--set", "ring_timeout=")
    assert find(database, tables.campaigns, code="autumn").call_settings == {"max_attempts": 5}


def test_edit_tells_when_the_moved_calls_go(ringback: Ringback, database: Database) -> None:
    campaign_id = add_campaign(database, "autumn", call_settings={"windows": {"all": [["00:00", "24:00"]]}})
    plan_call(database, add_lead(database, campaign_id=campaign_id), at=datetime(2037, 1, 1, 12, tzinfo=UTC))
    windows = ("campaigns", "edit", "autumn", "--dry-run", "--set", 'windows={"tue": [["09:00", "10:00"]]}')

    told, facts = ringback.ok(*windows), ringback.json(*windows)

    assert "1 of 1 planned calls would move" in told and "the new times: 2037-01-06" in told
    assert (facts["moved"], facts["never"], facts["closed_days"]) == (1, 0, [1, 3, 4, 5, 6, 7])


def test_a_campaign_is_paused_and_resumed(ringback: Ringback, database: Database) -> None:
    add_campaign(database, "autumn")

    assert "is paused" in ringback.ok("campaigns", "pause", "autumn", "--reason", "lunch")
    shown = ringback.json("campaigns", "show", "autumn")
    assert (shown["status"], shown["status_reason"]) == ("paused", "lunch")
    assert "is paused; only an active one" in ringback.refused("campaigns", "pause", "autumn")
    assert "goes on" in ringback.ok("campaigns", "resume", "autumn")
    assert "is active; only a paused one" in ringback.refused("campaigns", "resume", "autumn")
    assert ringback.refused("campaigns", "pause", "none") == "there is no campaign none"


def test_everything_is_paused_and_resumed(ringback: Ringback, database: Database) -> None:
    for code in ("autumn", "winter"):
        add_campaign(database, code)
    ringback.ok("campaigns", "pause", "winter")

    assert ringback.json("campaigns", "pause-all", "--reason", "storm") == {"paused": ["autumn"]}
    assert "`ringback campaigns resume-all` comes first" in ringback.refused("campaigns", "resume", "autumn")
    assert "winter" in ringback.ok("campaigns", "resume-all")
    assert [one["code"] for one in ringback.json("campaigns", "list", "--status", "active")] == ["autumn"]
    assert "nothing was paused" in ringback.refused("campaigns", "resume-all")


def test_a_cancel_closes_the_leads_and_names_the_calls_that_go_on(ringback: Ringback, database: Database) -> None:
    campaign_id = add_campaign(database, "autumn")
    lead_id = add_lead(database, campaign_id=campaign_id)
    sql(
        database,
        "INSERT INTO call_attempts (attempt_ref, lead_id, campaign_id, attempt_number, telefono, provider, state)"
        " VALUES ('r1', :lead, :campaign, 1, '+56912345678', 'simulator', 'unknown')",
        lead=lead_id, campaign=campaign_id,
    )  # fmt: skip

    said = ringback.ok("campaigns", "cancel", "autumn", "--reason", "list withdrawn", "--hangup")

    assert "campaign autumn is cancelled: 1 leads closed" in said
    assert f"to lead {lead_id} is unknown" in said
    assert lead_of(database, lead_id).closed_reason == "campaign_cancelled"
    assert ringback.json("campaigns", "show", "autumn")["status_reason"] == "list withdrawn"
    for words in (("cancel", "autumn", "--reason", "again"), ("resume", "autumn"), ("edit", "autumn", "--name", "x")):
        assert "campaign autumn is cancelled" in ringback.refused("campaigns", *words)
