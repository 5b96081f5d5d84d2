"""Reads for people: what a list holds, what a figure counts, and that every broken promise is found."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from scheduler.store import reports, tables
from scheduler.store.database import Database
from scheduler.store.server import read_server
from tests.conftest import NOON
from tests.factories import (
    DAY,
    HOUR,
    MINUTE,
    add_campaign,
    add_due_lead,
    add_lead,
    bar,
    broken_promises,
    call_of,
    chilean,
    plan_call,
    sql,
)
from tests.servers import chosen

# --- promises -----------------------------------------------------------------------------------

BREAKS: dict[str, Callable[[Database], None]] = {
    "R4": lambda database: add_call(database, status="in_progress", **LEASE),
    "R5": lambda database: add_attempt(database, add_call(database), state="live", provider_call_id="c1"),
    "R6": lambda database: add_call(database, lease_owner="somebody"),
    "R7": lambda database: add_attempt(database, add_call(database, status="in_progress"), state="placing"),
    "R8": lambda database: add_attempt(database, add_call(database, status="in_progress", **LEASE), state="live"),
    "R10": lambda database: add_attempt(database, None, state="ended", outcome="busy"),
    "R11": lambda database: plan_call(database, add_lead(database, lead_status="closed"), status="completed"),
    "R12": lambda database: add_call(database, status="completed", last_outcome="busy"),
    "R13": lambda database: add_attempt(
        database, None, **ENDED, claimed_at=NOON, open_from=NOON + MINUTE, open_until=NOON + HOUR, dial_before=NOON
    ),
    "R14": lambda database: add_attempt(database, None, **ENDED, placed_at=NOON + MINUTE, dial_before=NOON),
    "R15": lambda database: add_two_attempts_too_close(database),
    "R16": lambda database: dial_a_barred_number(database),
    "R17": lambda database: dial_a_closed_lead(database),
    "R18": lambda database: add_account(database, balance="0.0001"),
    "R19": lambda database: add_paid_attempt(database, is_open=True, entries=()),
    "R20": lambda database: add_paid_attempt(database, is_open=False, entries=(("reserve", "-5"),)),
    "R21": lambda database: add_entry(database, add_account(database, balance=-1), "charge", -1),
}


@pytest.mark.parametrize("key", BREAKS)
def test_a_broken_promise_is_found_and_named(database: Database, key: str) -> None:
    assert broken_promises(database) == {}

    BREAKS[key](database)

    assert list(broken_promises(database)) == [key]


def test_what_the_unique_indexes_hold_cannot_be_broken_at_all(database: Database) -> None:
    lead_id = add_due_lead(database)
    call_id, phone = call_of(database, lead_id).id, chilean()
    add_attempt(database, call_id, state="unknown", telefono=phone, provider_call_id="c1")

    for again in (
        lambda: plan_call(database, lead_id),
        lambda: add_attempt(database, call_id, state="live"),
        lambda: add_attempt(database, None, state="placing", telefono=phone),
        lambda: add_attempt(database, None, **ENDED, provider_call_id="c1"),
    ):
        with pytest.raises(IntegrityError):
            again()


def test_a_late_dial_that_was_reported_breaks_no_promise(database: Database) -> None:
    late = add_attempt(database, None, **ENDED, placed_at=NOON + MINUTE, dial_before=NOON)
    write(database, tables.events, kind="late_dial", actor="daemon", attempt_id=late, at=NOON)

    assert broken_promises(database) == {}


ASIDE, BACK, PAID = ("reserve", "-5"), ("release", "5"), ("charge", "-1.5")


@pytest.mark.parametrize("is_open, entries", [(True, (ASIDE,)), (False, (ASIDE, BACK)), (False, (ASIDE, BACK, PAID))])
def test_a_call_whose_money_is_in_order_breaks_no_promise(
    database: Database, is_open: bool, entries: tuple[tuple[str, str], ...]
) -> None:
    add_paid_attempt(database, is_open=is_open, entries=entries)

    assert broken_promises(database) == {}


@pytest.mark.parametrize(
    ("key", "is_open", "entries"),
    [
        ("R19", True, (ASIDE, ASIDE)),
        ("R19", True, (("reserve", "-4"),)),
        ("R19", True, (ASIDE, BACK)),
        ("R20", False, ()),
        ("R20", False, (ASIDE, BACK, BACK)),
        ("R20", False, (ASIDE, ("release", "4"))),
        ("R20", False, (ASIDE, BACK, PAID, PAID)),
    ],
)
def test_money_that_was_booked_twice_not_at_all_or_wrongly_is_found(
    database: Database, key: str, is_open: bool, entries: tuple[tuple[str, str], ...]
) -> None:
    attempt_id = add_paid_attempt(database, is_open=is_open, entries=entries)

    assert broken_promises(database) == {key: (attempt_id,)}


def test_a_charge_for_a_call_that_was_refused_is_found(database: Database) -> None:
    add_paid_attempt(database, is_open=False, entries=(ASIDE, BACK, PAID))
    sql(database, "UPDATE call_attempts SET state = 'refused', outcome = NULL")

    assert list(broken_promises(database)) == ["R21"]


def test_a_charge_for_a_call_that_another_account_pays_for_is_found(database: Database) -> None:
    attempt_id = add_paid_attempt(database, is_open=False, entries=(ASIDE, BACK))
    wrong = add_entry(database, add_account(database, balance=-1, code="other"), "charge", -1, attempt_id)

    assert broken_promises(database) == {"R21": (wrong,)}


def test_a_refused_attempt_breaks_no_promise_about_calls(database: Database) -> None:
    number = chilean()
    bar(database, number, created_at=NOON - HOUR)
    add_attempt(database, None, state="refused", telefono=number, claimed_at=NOON)

    assert broken_promises(database) == {}


def test_only_some_of_many_broken_rows_are_listed(database: Database) -> None:
    for _ in range(3):
        add_call(database, lease_owner="somebody")
    promise = next(one for one in reports.INVARIANTS if one.key == "R6")

    few = database.read(lambda connection: reports.find_broken(connection, promise))
    assert few is not None and len(few.examples) == 3 and not few.has_more

    many = [{"lead_id": 10_000 + one, "status": "cancelled", "lease_owner": "x"} for one in range(reports.EXAMPLES)]
    with database.engine.connect() as connection, connection.begin():
        connection.execute(insert(tables.call_schedule), many)
    found = database.read(lambda connection: reports.find_broken(connection, promise))
    assert found is not None and len(found.examples) == reports.EXAMPLES and found.has_more


# --- alarms -------------------------------------------------------------------------------------


def test_what_stands_still_is_told_and_what_moves_is_not(database: Database) -> None:
    for age in (timedelta(seconds=10), 3 * HOUR):
        at = NOON - age
        lease = {**LEASE, "lease_expires_at": at}
        add_attempt(database, add_call(database, status="in_progress", **lease), state="placing", claimed_at=at)
        live = {"state": "live", "provider_call_id": f"c{age}", "next_poll_at": at}
        add_attempt(database, add_call(database, status="in_progress"), **live)
        add_attempt(database, add_call(database, status="in_progress"), state="unknown", claimed_at=at)
        plan_call(database, add_lead(database, lead_status="closed", closed_at=at))
        write(database, tables.provider_events, provider="p", event_key=f"e{age}", received_at=at)

    found = database.read(
        lambda connection: reports.list_alarms(
            connection, NOON, upkeeps_ago=NOON - MINUTE, minute_ago=NOON - MINUTE, horizon=NOON - HOUR
        )
    )

    assert {one.key: len(one.ids) for one in found} == dict.fromkeys(
        ("placing_past_lease", "live_not_polled", "unknown_not_settled", "closed_but_planned", "inbox_waiting"), 1
    )


def test_unknown_words_are_counted_by_provider(database: Database) -> None:
    for _ in range(2):
        add_attempt(database, None, **ENDED, provider_status="exploded", details={"known_word": False})
    add_attempt(database, None, **ENDED, provider_status="busy", details={"known_word": True})

    (row,) = database.read(reports.list_unknown_words)

    assert (row["provider"], row["provider_status"], row["attempts"]) == ("simulator", "exploded", 2)


def test_held_rows_are_counted_by_reason(database: Database) -> None:
    for _ in range(2):
        plan_call(database, add_lead(database), hold="manual", reason="manual management")
    plan_call(database, add_lead(database))

    assert database.read(reports.list_held) == [{"hold": "manual", "reason": "manual management", "calls": 2}]


# --- lists --------------------------------------------------------------------------------------


def test_what_is_due_is_what_operators_find_by_their_own_query(database: Database) -> None:
    paused = add_campaign(database, "paused", status="paused")
    add_due_lead(database, at=NOON - HOUR, attempt_number=2)
    add_due_lead(database, at=NOON - HOUR)
    add_due_lead(database, at=NOON - DAY, campaign_id=paused)
    add_due_lead(database, lead_status=None, manual_management=None, at=NOON - MINUTE)
    for columns in ({"lead_status": "closed"}, {"lead_status": "suspended"}, {"manual_management": True}):
        add_due_lead(database, at=NOON - DAY, **columns)
    add_due_lead(database, at=NOON + MINUTE)
    plan_call(database, 999_999, at=NOON - DAY)
    by_hand = sql(
        database,
        "SELECT cs.id FROM call_schedule cs JOIN leads l ON cs.lead_id = l.id"
        " WHERE cs.status = 'pending' AND cs.scheduled_at <= :now"
        " AND (l.lead_status IS NULL OR l.lead_status = 'open')"
        " AND (l.manual_management IS NULL OR l.manual_management = FALSE)"
        " ORDER BY cs.scheduled_at ASC, cs.attempt_number ASC",
        now=f"{NOON:%Y-%m-%d %H:%M:%S.%f}",
    )

    found = database.read(lambda connection: reports.list_schedule(connection, due_at=NOON, limit=10))

    assert [row["id"] for row in found] == [row.id for row in by_hand]
    assert len(found) == 4


def test_a_lead_written_by_hand_is_read_as_what_its_nulls_mean(database: Database) -> None:
    sql(database, "INSERT INTO leads (nombre, telefono, lead_status, manual_management, call_status)"
                  " VALUES ('Ana', '+56912345678', NULL, NULL, NULL)")  # fmt: skip

    (lead,) = database.read(lambda connection: reports.list_leads(connection, status="open", limit=5))

    assert (lead["lead_status"], lead["manual_management"], lead["call_status"]) == ("open", False, "no_selected")


def test_leads_are_found_by_any_of_their_numbers(database: Database) -> None:
    second = chilean()
    lead_id = add_lead(database, chilean(), second)
    add_lead(database)

    found = database.read(lambda connection: reports.list_leads(connection, telefono=second, limit=5))

    assert [row["id"] for row in found] == [lead_id]


def test_one_lead_is_shown_with_everything_about_it(database: Database) -> None:
    lead_id = add_due_lead(database, chilean(), chilean())
    add_attempt(database, None, **ENDED, lead_id=lead_id)
    write(database, tables.events, kind="lead_reopened", actor="cli", lead_id=lead_id, reason="asked", at=NOON)

    lead = database.read(lambda connection: reports.find_lead(connection, lead_id, limit=5))

    assert lead is not None
    assert [len(lead[part]) for part in ("phones", "schedule", "attempts", "events")] == [2, 1, 1, 1]
    assert lead["next_call_at"] == NOON
    assert database.read(lambda connection: reports.find_lead(connection, lead_id + 1, limit=5)) is None


def test_accounts_are_listed_with_what_is_set_aside_for_their_open_calls(database: Database) -> None:
    add_account(database, code="idle", status="closed")
    add_paid_attempt(database, is_open=True, entries=(ASIDE,))
    add_account(database, code="new")

    found = database.read(lambda connection: reports.list_accounts(connection, limit=5))
    closed = database.read(lambda connection: reports.list_accounts(connection, status="closed", limit=5))

    assert [(one["code"], one["balance"], str(one["set_aside"])) for one in found] == [
        ("new", 0, "0.0000"), ("paying", -5, "5.0000"), ("idle", 0, "0.0000"),
    ]  # fmt: skip
    assert [one["code"] for one in closed] == ["idle"]
    assert len(database.read(lambda connection: reports.list_accounts(connection, limit=2))) == 2


def test_one_account_is_shown_with_what_it_spent_its_campaigns_and_its_newest_entries(database: Database) -> None:
    add_paid_attempt(database, is_open=False, entries=(ASIDE, BACK, PAID))
    account_id = sql(database, "SELECT id FROM accounts")[0].id
    add_campaign(database, "spring", account_id=account_id)
    add_campaign(database, "other")

    account = database.read(lambda connection: reports.find_account(connection, account_id, limit=2))

    assert account is not None
    assert (str(account["spent"]), str(account["set_aside"]), account["campaigns"]) == ("1.5000", "0.0000", ["spring"])
    assert [(one["kind"], str(one["amount"])) for one in account["entries"]] == [
        ("charge", "-1.5000"), ("release", "5.0000"),
    ]  # fmt: skip
    assert database.read(lambda connection: reports.find_account(connection, account_id + 1, limit=2)) is None


# --- figures ------------------------------------------------------------------------------------


def test_stats_count_today_and_in_total_and_who_was_reached_after_what(database: Database) -> None:
    reached, missed = add_lead(database), add_due_lead(database)
    for lead_id, outcome, ended_at in (
        (reached, "busy", NOON - DAY),
        (missed, "busy", NOON - DAY),
        (missed, "no_answer", NOON - HOUR),
        (reached, "completed", NOON - HOUR),
    ):
        add_attempt(database, None, state="ended", outcome=outcome, ended_at=ended_at, lead_id=lead_id)
    add_attempt(database, None, state="refused", claimed_at=NOON - MINUTE, lead_id=missed)
    sql(database, "UPDATE leads SET lead_status = 'closed', closed_reason = 'completed' WHERE id = :id", id=reached)

    stats = database.read(lambda connection: reports.read_stats(connection, NOON, NOON - 12 * HOUR))

    assert stats["attempts"] == {"today": 2, "total": 4}
    assert stats["refused"] == {"today": 1, "total": 1}
    assert stats["outcomes"]["today"] == {"busy": 0, "completed": 1, "no_answer": 1}
    assert stats["outcomes"]["total"] == {"busy": 2, "completed": 1, "no_answer": 1}
    assert stats["success_rate"] == {"today": 0.5, "total": 0.25}
    assert {name: one["success_rate"] for name, one in stats["success_by_outcome"].items()} == {
        "busy": 0.5, "completed": 1.0, "no_answer": 0.0,
    }  # fmt: skip
    assert stats["leads"] == {"open": 1, "closed": 1, "suspended": 0}
    assert stats["closed_reasons"] == {"completed": 1}
    assert (stats["schedule"]["pending"], stats["due_now"], stats["next_due_at"]) == (1, 1, NOON)


def test_rows_of_a_paused_campaign_are_due_but_told_apart(database: Database) -> None:
    add_due_lead(database, campaign_id=add_campaign(database, "paused", status="paused"))
    add_due_lead(database)

    stats = database.read(lambda connection: reports.read_stats(connection, NOON, NOON - DAY))

    assert (stats["due_now"], stats["due_in_stopped_campaigns"]) == (2, 1)


def test_the_server_is_named_with_what_keeps_commits(database: Database) -> None:
    server = database.read(read_server)

    named = "SQLite" if database.is_sqlite else "MySQL" if chosen() == "mysql" else "MariaDB"
    assert os.environ.get("RINGBACK_TEST_MYSQL_URL") or server.name == named
    assert server.isolation == ("SERIALIZABLE" if database.is_sqlite else "READ COMMITTED")
    assert server.is_durable or not database.is_sqlite


# --- rows as they should never be ---------------------------------------------------------------

LEASE: dict[str, Any] = {"lease_owner": "d1", "lease_token": "t1", "lease_expires_at": NOON + MINUTE}
ENDED: dict[str, Any] = {"state": "ended", "outcome": "busy", "ended_at": NOON}


def write(database: Database, table: Any, **values: Any) -> int:
    with database.engine.connect() as connection, connection.begin():
        key = connection.execute(insert(table).values(**values)).inserted_primary_key
    assert key is not None
    return int(key[0])


def add_call(database: Database, **columns: Any) -> int:
    """A scheduled call of an open lead, in any state."""
    return plan_call(database, add_lead(database), **columns)


def add_attempt(database: Database, schedule_id: int | None, **columns: Any) -> int:
    known = {
        "attempt_ref": chilean(), "lead_id": 1, "attempt_number": 1, "telefono": chilean(), "provider": "simulator",
    }  # fmt: skip
    return write(database, tables.call_attempts, schedule_id=schedule_id, **{**known, **columns})


def add_account(database: Database, **columns: Any) -> int:
    """An account, without an entry for its balance."""
    return write(database, tables.accounts, **{"code": "acme", "name": "Acme", "billing_type": "minutes", **columns})


def add_entry(database: Database, account_id: int, kind: str, amount: Any, attempt_id: int | None = None) -> int:
    return write(
        database, tables.account_entries, account_id=account_id, kind=kind, amount=amount, attempt_id=attempt_id,
        actor="test",
    )  # fmt: skip


def add_paid_attempt(database: Database, *, is_open: bool, entries: tuple[tuple[str, str], ...]) -> int:
    """An attempt that an account set 5 aside for, with these entries; they add up to the balance."""
    balance = sum((Decimal(amount) for _, amount in entries), Decimal(0))
    account_id = add_account(database, balance=balance, code="paying")
    paid = {"account_id": account_id, "reserved": 5}
    if is_open:
        row_id = add_call(database, status="in_progress", **LEASE)
        attempt_id = add_attempt(database, row_id, **paid, state="live", provider_call_id="paid")
    else:
        attempt_id = add_attempt(database, None, **paid, **ENDED)
    for kind, amount in entries:
        add_entry(database, account_id, kind, amount, attempt_id)
    return attempt_id


def add_two_attempts_too_close(database: Database) -> None:
    number = chilean()
    for at in (NOON, NOON + MINUTE):
        add_attempt(database, None, **ENDED, telefono=number, claimed_at=at, not_again_before=NOON + HOUR)


def dial_a_barred_number(database: Database) -> None:
    number = chilean()
    bar(database, number, created_at=NOON - MINUTE)
    add_attempt(database, None, **ENDED, telefono=number, claimed_at=NOON)


def dial_a_closed_lead(database: Database) -> None:
    lead_id = add_lead(database, lead_status="closed", closed_at=NOON - MINUTE)
    add_attempt(database, None, **ENDED, lead_id=lead_id, claimed_at=NOON)
