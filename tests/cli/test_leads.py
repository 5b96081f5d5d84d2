"""`ringback leads`."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from dateutil.parser import isoparse

from scheduler.store import tables
from scheduler.store.database import Database
from tests.cli.conftest import Ringback
from tests.conftest import on_every_engine
from tests.each import each
from tests.factories import add_campaign, add_due_lead, add_lead, bar, call_of, find_all, lead_of, sql
from tests.waiting import BACKSTOP

ROOT = Path(__file__).parents[2]


def test_add_plans_the_first_call_on_the_clock_of_the_lead(ringback: Ringback, database: Database) -> None:
    added = ringback.json(
        "leads", "add", "--first-name", "Ana", "--phone", "9 1234 5678", "--phone", "+34 912 34 56 78", "--at",
        "2027-03-01T10:00", "--variables", '{"plan": "gold"}', "--call-until", "2027-03-31",
    )  # fmt: skip

    shown = ringback.json("leads", "show", added["id"])
    assert [one["telefono"] for one in shown["phones"]] == ["+56912345678", "+34912345678"]
    assert shown["next_call_at"] == "2027-03-01T13:00:00Z"
    assert (shown["variables"], shown["fecha_limite"]) == ({"plan": "gold"}, "2027-03-31")
    assert [one["status"] for one in shown["schedule"]] == ["pending"]
    assert "+56912345678" in ringback.ok("leads", "show", added["id"])


def test_add_takes_the_spanish_names_too(ringback: Ringback, database: Database) -> None:
    ringback.ok("leads", "add", "--nombre", "José", "--apellidos", "Núñez", "--telefono", "+56912345678")

    assert [(one.nombre, one.apellidos) for one in find_all(database, tables.leads)] == [("José", "Núñez")]


def test_add_refuses_what_cannot_be_used_and_writes_nothing(ringback: Ringback, database: Database) -> None:
    for words in (
        ("--phone", "12"),
        ("--phone", "+56912345678", "--time-zone", "America/Nowhere"),
        ("--phone", "+56912345678", "--campaign", "none"),
        ("--phone", "+56912345678", "--region", "Chile"),
    ):
        ringback.refused("leads", "add", *words)
    assert ringback("leads", "add", "--phone", "+56912345678", "--variables", "[1]").exit_code == 2

    assert find_all(database, tables.leads) == []


def test_list_is_limited_and_says_so(ringback: Ringback, database: Database) -> None:
    ids = [add_lead(database) for _ in range(3)]

    done = ringback("leads", "list", "--limit", 2, "--json")
    assert [one["id"] for one in ringback.json("leads", "list", "--limit", 2)] == ids[:0:-1]
    assert "there are more" in done.stderr
    assert "there are more" not in ringback("leads", "list", "--limit", 3).stderr


@on_every_engine
def test_list_narrows_by_status_campaign_and_number(ringback: Ringback, database: Database) -> None:
    campaign_id = add_campaign(database, "autumn")
    mine = add_lead(database, "+56912345678", campaign_id=campaign_id, lead_status="suspended")
    add_lead(database)

    for words in (("--status", "suspended"), ("--campaign", "autumn"), ("--phone", "9 1234 5678")):
        assert [one["id"] for one in ringback.json("leads", "list", *words)] == [mine]
    assert "there is no campaign none" in ringback.refused("leads", "list", "--campaign", "none")


@on_every_engine
def test_close_suspend_and_reopen_change_the_lead_and_its_plan(ringback: Ringback, database: Database) -> None:
    lead_id = add_due_lead(database)

    ringback.ok("leads", "suspend", lead_id)
    assert lead_of(database, lead_id).lead_status == "suspended"
    ringback.ok("leads", "reopen", lead_id)
    assert lead_of(database, lead_id).lead_status == "open"
    ringback.ok("leads", "close", lead_id, "--reason", "paid")
    assert (lead_of(database, lead_id).closed_reason, call_of(database, lead_id).status) == ("paid", "cancelled")


def test_a_lead_that_is_not_there_is_one_sentence(ringback: Ringback) -> None:
    for words in (("show", 7), ("close", 7), ("reopen", 7), ("suspend", 7)):
        assert ringback.refused("leads", *words) == "there is no lead 7"


def test_closing_twice_is_refused(ringback: Ringback, database: Database) -> None:
    lead_id = add_lead(database, lead_status="closed", closed_reason="paid")

    assert f"lead {lead_id} is closed already (paid)" in ringback.refused("leads", "close", lead_id)


def test_many_leads_are_changed_by_filter(ringback: Ringback, database: Database) -> None:
    campaign_id = add_campaign(database, "autumn")
    vip = [add_due_lead(database, campaign_id=campaign_id, variables={"segment": "vip"}) for _ in range(3)]
    other = add_due_lead(database, campaign_id=campaign_id)
    which = ("--campaign", "autumn", "--variable", "segment=vip")

    assert ringback.ok("leads", "suspend", *which, "--dry-run") == "3 leads match; nothing was changed\n"
    assert {lead_of(database, one).lead_status for one in vip} == {"open"}
    assert ringback.ok("leads", "suspend", *which) == "3 leads match, 3 are suspended\n"
    assert {lead_of(database, one).lead_status for one in vip} == {"suspended"}
    assert lead_of(database, other).lead_status == "open"
    assert ringback.json("leads", "resume", *vip[:2]) == {"matched": 2, "changed": 2, "left": {}}
    assert "1 are closed" in ringback.ok("leads", "close", "--status", "suspended", "--reason", "withdrawn")
    assert [lead_of(database, one).closed_reason for one in vip] == [None, None, "withdrawn"]


def test_closed_leads_get_a_new_budget_and_the_others_are_counted(ringback: Ringback, database: Database) -> None:
    ago = database.now() - timedelta(hours=2)
    columns = {"lead_status": "closed", "closed_reason": "max_attempts", "closed_at": ago}
    lead_id, barred = add_lead(database, **columns), add_lead(database, "+56912345678", **columns)
    old = add_lead(database, **{**columns, "closed_at": ago - timedelta(days=2)})
    paid = add_lead(database, **{**columns, "closed_reason": "paid"})
    bar(database, "+56912345678")

    said = ringback.ok("leads", "reopen", "--reason", "max_attempts", "--closed-within", "24h")

    assert said == "2 leads match, 1 are open again\n1 left as they are: on the do-not-call list\n"
    assert (call_of(database, lead_id).status, call_of(database, lead_id).attempt_number) == ("pending", 1)
    assert {lead_of(database, one).lead_status for one in (barred, old, paid)} == {"closed"}


def test_a_suspended_lead_is_resumed_and_one_that_is_not_is_refused(ringback: Ringback, database: Database) -> None:
    lead_id = add_due_lead(database)
    ringback.ok("leads", "suspend", lead_id)

    assert ringback.ok("leads", "resume", lead_id) == f"lead {lead_id} is resumed\n"
    sentence = f"lead {lead_id} was left as it is: not suspended, but open"
    assert ringback.refused("leads", "resume", lead_id) == sentence
    assert ringback.refused("leads", "resume", lead_id, "--json") == sentence
    assert ringback.refused("leads", "resume", lead_id, 4711) == "there is no lead 4711"


@each("verb", ["close", "reopen", "suspend", "resume"])
@each(
    "words",
    [
        (), ("--dry-run",), ("7", "--campaign", "autumn"), ("--closed-within", "soon"), ("--variable", "vip"),
        ("--phone-prefix", "569"), ("--call-status", "asleep"), ("--import", "0"),
    ],
)
def test_leads_that_are_named_by_nothing_or_badly_are_misuse(
    ringback: Ringback, database: Database, lead_of_autumn: int, verb: str, words: tuple[str, ...]
) -> None:
    assert ringback("leads", verb, *words).exit_code == 2
    assert lead_of(database, lead_of_autumn).lead_status == "open"


@pytest.fixture
def lead_of_autumn(database: Database) -> int:
    add_campaign(database, "autumn")
    return add_due_lead(database)


@pytest.mark.parametrize(("answer", "status"), [("n", "open"), ("y", "suspended")])
def test_on_a_terminal_several_leads_are_asked_about_first(
    database: Database, database_url: str, answer: str, status: str
) -> None:
    leads = [add_lead(database, region="ES-CT") for _ in range(2)]
    ours, theirs = os.openpty()
    os.write(ours, f"{answer}\n".encode())

    done = subprocess.run(
        [sys.executable, "-m", "cli.main", "leads", "suspend", "--region", "ES"], cwd=ROOT, stdin=theirs,
        env={**os.environ, "RINGBACK_DATABASE_URL": database_url}, capture_output=True, text=True, timeout=BACKSTOP,
    )  # fmt: skip
    os.close(ours)
    os.close(theirs)

    assert "suspend 2 leads?" in done.stderr
    assert done.returncode == (0 if answer == "y" else 1)
    assert {lead_of(database, one).lead_status for one in leads} == {status}


def test_show_survives_variables_that_somebody_broke(ringback: Ringback, database: Database) -> None:
    lead_id = add_lead(database)
    if database.is_sqlite:  # the servers refuse it themselves
        sql(database, "UPDATE leads SET variables = '{broken' WHERE id = :id", id=lead_id)

        assert ringback.json("leads", "show", lead_id)["variables"] == "{broken"


def test_import_keeps_good_rows_and_tells_the_others(ringback: Ringback, database: Database, tmp_path: Path) -> None:
    file = tmp_path / "leads.csv"
    file.write_text("nombre,telefono\nAna,+56912345678\nBob,12\n")

    report = ringback.json("leads", "import", file)

    assert (report["read"], report["added"], report["rejected"]) == (2, 1, 1)
    assert "Bob" in Path(report["rejects_path"]).read_text()
    assert ringback.json("leads", "import", file)["duplicates"] == 1
    done = ringback("leads", "import", file)
    assert done.exit_code == 0 and "line 3, telefono" in done.stderr and "0 leads added" in done.stdout


def test_import_of_nothing_usable_is_found_wanting(ringback: Ringback, database: Database, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("nombre,telefono\nBob,12\n")
    assert ringback("leads", "import", tmp_path / "bad.csv").exit_code == 1

    assert "there is no such file" in ringback.refused("leads", "import", tmp_path / "none.csv")
    (tmp_path / "latin.csv").write_bytes("nombre,telefono\nJosé,+56912345678\n".encode("latin-1"))
    ringback.refused("leads", "import", tmp_path / "latin.csv", "--encoding", "utf-8")
    assert ringback.json("leads", "import", tmp_path / "latin.csv", "--encoding", "latin-1")["added"] == 1


def test_a_dry_run_adds_nothing(ringback: Ringback, database: Database, tmp_path: Path) -> None:
    (tmp_path / "leads.csv").write_text("nombre,telefono\nAna,+56912345678\n")

    assert "1 leads would be added" in ringback.ok("leads", "import", tmp_path / "leads.csv", "--dry-run")
    assert find_all(database, tables.leads) == []


def test_a_lead_without_a_time_is_due_at_once(ringback: Ringback, database: Database) -> None:
    lead_id = ringback.json("leads", "add", "--phone", "+56912345678", "--at", "now")["id"]

    planned = isoparse(ringback.json("leads", "show", lead_id)["next_call_at"])
    assert abs(planned - database.now()) < timedelta(minutes=1)
