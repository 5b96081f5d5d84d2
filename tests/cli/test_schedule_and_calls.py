"""`ringback schedule` and `ringback calls`."""

from __future__ import annotations

import pytest

from scheduler.service.runtime import Runtime
from scheduler.store import tables
from scheduler.store.database import Database
from tests.cli.conftest import Ringback
from tests.conftest import on_every_engine
from tests.factories import (
    DAY,
    _insert,
    add_due_lead,
    add_lead,
    attempt_of,
    attempts_of,
    call_of,
    calls_of,
    find_all,
    lead_of,
    plan_call,
    sql,
)


@on_every_engine
def test_add_plans_in_place_of_what_was_planned(ringback: Ringback, database: Database) -> None:
    lead_id = add_due_lead(database, "+56912345678")

    planned = ringback.json("schedule", "add", lead_id, "--at", "2027-03-01T15:30:00Z")

    assert planned["id"] == call_of(database, lead_id).id
    assert [one.status for one in calls_of(database, lead_id)] == ["cancelled", "pending"]
    (row,) = ringback.json("schedule", "list", "--lead", lead_id, "--status", "pending")
    assert row["scheduled_at"] == "2027-03-01T15:30:00Z"


def test_a_time_without_an_offset_is_the_clock_of_the_lead(ringback: Ringback, database: Database) -> None:
    lead_id = add_lead(database, "+34912345678")

    ringback.ok("schedule", "add", lead_id, "--at", "2027-03-01T10:00")

    assert ringback.json("leads", "show", lead_id)["next_call_at"] == "2027-03-01T09:00:00Z"


@on_every_engine
def test_due_lists_what_may_be_dialed_now(ringback: Ringback, database: Database) -> None:
    now = database.now()
    due = add_due_lead(database, at=now - DAY)
    add_due_lead(database, at=now + DAY)
    add_due_lead(database, at=now - DAY, manual_management=True)

    assert [one["lead_id"] for one in ringback.json("schedule", "list", "--due")] == [due]
    assert str(due) in ringback.ok("schedule", "list", "--due")
    assert len(ringback.json("schedule", "list")) == 3
    assert ringback("schedule", "list", "--due", "--status", "completed").exit_code == 2


def test_cancel_needs_a_reason_and_keeps_it(ringback: Ringback, database: Database) -> None:
    lead_id = add_due_lead(database)

    assert ringback("schedule", "cancel", lead_id).exit_code == 2
    assert "1 scheduled calls" in ringback.ok("schedule", "cancel", lead_id, "--reason", "paid this morning")
    assert (call_of(database, lead_id).status, call_of(database, lead_id).reason) == ("cancelled", "paid this morning")
    assert "nothing was planned" in ringback.ok("schedule", "cancel", lead_id, "--reason", "again")
    assert ringback.refused("schedule", "cancel", 999, "--reason", "x") == "there is no lead 999"


def test_a_call_made_by_hand_cancels_the_plan_and_decides(ringback: Ringback, database: Database) -> None:
    lead_id = add_due_lead(database)

    said = ringback.ok("calls", "record", lead_id, "no_answer")

    assert f"lead {lead_id} is called again at" in said
    assert [one.status for one in calls_of(database, lead_id)] == ["cancelled", "pending"]
    assert attempt_of(database, lead_id).outcome == "no_answer"
    assert "is closed" in ringback.ok("calls", "record", lead_id, "completed")
    assert lead_of(database, lead_id).lead_status == "closed"


@pytest.mark.parametrize(
    ("at", "expected"),
    [("2027-03-01T18:00", "2027-03-01T17:00:00Z"), ("2027-03-01T17:00:00Z", "2027-03-01T17:00:00Z")],
)
def test_a_callback_is_planned_on_the_clock_of_the_lead_or_at_the_instant(
    ringback: Ringback, database: Database, at: str, expected: str
) -> None:
    lead_id = add_lead(database, "+34912345678")

    ringback.ok("calls", "record", lead_id, "callback", "--callback-at", at)

    (row,) = ringback.json("schedule", "list", "--lead", lead_id, "--status", "pending")
    assert (row["scheduled_at"], row["promise"]) == (expected, True)


def test_unknown_outcomes_and_ids_are_one_sentence_and_change_nothing(ringback: Ringback, database: Database) -> None:
    lead_id = add_due_lead(database)

    assert "the outcomes are completed, callback" in ringback.refused("calls", "record", lead_id, "maybe")
    assert ringback.refused("calls", "record", 999, "busy") == "there is no lead 999"
    assert ringback.refused("calls", "hangup", 999) == "there is no attempt 999"
    assert ringback.refused("calls", "resolve", 999, "busy") == "there is no attempt 999"
    assert "the outcomes are" in ringback.refused("calls", "list", "--outcome", "maybe")
    assert attempts_of(database, lead_id) == []


@on_every_engine
def test_an_unknown_attempt_is_listed_as_open_and_may_be_resolved(ringback: Ringback, database: Database) -> None:
    lead_id = add_lead(database)
    schedule_id = plan_call(database, lead_id, status="in_progress")
    sql(
        database,
        "INSERT INTO call_attempts (attempt_ref, schedule_id, lead_id, attempt_number, telefono, provider, state)"
        " VALUES ('r1', :row, :lead, 1, '+56912345678', 'simulator', 'unknown')",
        row=schedule_id, lead=lead_id,
    )  # fmt: skip
    (attempt,) = ringback.json("calls", "list", "--open")

    ringback.ok("calls", "resolve", attempt["id"], "busy")

    assert ringback.json("calls", "list", "--open") == []
    assert [one["outcome"] for one in ringback.json("calls", "list", "--lead", lead_id)] == ["busy"]
    assert "only live and unknown ones" in ringback.refused("calls", "resolve", attempt["id"], "busy")
    assert "no live call to hang up" in ringback.refused("calls", "hangup", attempt["id"])


def test_release_frees_a_row_in_work_and_refuses_any_other(ringback: Ringback, database: Database) -> None:
    stuck = plan_call(database, lead_id := add_lead(database), status="in_progress")
    waiting = plan_call(database, add_lead(database))

    assert f"scheduled call {stuck} is released" in ringback.ok("schedule", "release", stuck)
    assert call_of(database, lead_id).status == "pending"
    assert "is pending; only one in_progress" in ringback.refused("schedule", "release", waiting)
    assert ringback.refused("schedule", "release", 999) == "there is no scheduled call 999"


@on_every_engine
def test_what_people_did_is_in_the_audit(ringback: Ringback, runtime: Runtime) -> None:
    lead_id = add_due_lead(runtime.database)

    ringback.ok("calls", "record", lead_id, "busy")
    ringback.ok("leads", "close", lead_id)

    found = [(one.kind, one.actor) for one in find_all(runtime.database, tables.events)]
    assert found == [("call_recorded", "cli"), ("planned", "cli"), ("lead_closed", "cli")]


def test_a_call_is_named_by_its_reference_or_its_providers_id(ringback: Ringback, database: Database) -> None:
    lead_id = add_due_lead(database)
    _insert(database, tables.call_attempts, {
        "attempt_ref": "r-1", "lead_id": lead_id, "attempt_number": 1, "telefono": "+56912345678",
        "provider": "simulator", "state": "live", "provider_call_id": "CA7",
    })

    assert [one["attempt_ref"] for one in ringback.json("calls", "list", "--ref", "CA7")] == ["r-1"]
    assert ringback.json("calls", "list", "--ref", "CA8") == []
    assert ringback.refused("calls", "resolve", "CA8", "busy") == "there is no attempt CA8"
    ringback.ok("calls", "record", "r-1", "no_answer")
    ringback.ok("calls", "record", "CA7", "completed")
    assert lead_of(database, lead_id).closed_reason == "completed"
