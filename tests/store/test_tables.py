from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from sqlalchemy import exc, insert, select, update

from scheduler.rules.policy import CONFIG_KEYS
from scheduler.store import tables
from tests.conftest import NOON
from tests.factories import add_campaign, add_lead, call_of, chilean, find, find_all, lead_of, plan_call, sql

MICROSECOND = timedelta(microseconds=1)
OPEN_STATES, OVER_STATES = ("placing", "live", "unknown"), ("ended", "refused")


# --- what the database says no to ---------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["pending", "in_progress"])
@pytest.mark.parametrize("second", ["pending", "in_progress"])
def test_a_lead_never_has_two_open_rows(database, first, second):
    lead_id = add_lead(database)
    plan_call(database, lead_id, status=first)

    with pytest.raises(exc.IntegrityError):
        plan_call(database, lead_id, status=second)


def test_a_lead_may_have_any_number_of_rows_that_are_over(database):
    lead_id = add_lead(database)
    for status in ("completed", "cancelled", "cancelled", "completed", "pending"):
        plan_call(database, lead_id, status=status, last_outcome="busy" if status == "completed" else None)

    with pytest.raises(exc.IntegrityError):
        sql(database, "UPDATE call_schedule SET status = 'pending' WHERE status = 'cancelled'")


@pytest.mark.parametrize("state", OPEN_STATES)
def test_a_number_never_has_two_open_attempts_whatever_campaign_it_is_for(database, state):
    add_attempt(database, schedule_id=1, campaign_id=1, telefono="+56911111111", state="live")

    with pytest.raises(exc.IntegrityError):
        add_attempt(database, schedule_id=2, campaign_id=2, telefono="+56911111111", state=state)


@pytest.mark.parametrize("state", OPEN_STATES)
def test_a_row_never_has_two_open_attempts(database, state):
    add_attempt(database, schedule_id=1, state="unknown")

    with pytest.raises(exc.IntegrityError):
        add_attempt(database, schedule_id=1, state=state)


@pytest.mark.parametrize("state", OVER_STATES)
def test_attempts_that_are_over_may_be_many(database, state):
    for _ in range(3):
        add_attempt(database, schedule_id=1, telefono="+56911111111", state=state)

    add_attempt(database, schedule_id=1, telefono="+56911111111", state="placing")


def test_an_attempt_cannot_be_opened_again_beside_another(database):
    add_attempt(database, schedule_id=1, state="refused")
    add_attempt(database, schedule_id=1, state="live")

    with pytest.raises(exc.IntegrityError):
        sql(database, "UPDATE call_attempts SET state = 'unknown' WHERE state = 'refused'")


@pytest.mark.parametrize(
    "twice",
    [
        {"attempt_ref": "one-ref"},
        {"provider": "vendor", "provider_call_id": "one-call"},
    ],
)
def test_an_attempt_is_known_by_its_ref_and_by_the_providers_id(database, twice):
    add_attempt(database, **twice)

    with pytest.raises(exc.IntegrityError):
        add_attempt(database, **twice)


def test_two_providers_may_use_the_same_call_id(database):
    add_attempt(database, provider="one", provider_call_id="7")
    add_attempt(database, provider="other", provider_call_id="7")
    add_attempt(database, provider="one", provider_call_id=None)
    add_attempt(database, provider="one", provider_call_id=None)


@pytest.mark.parametrize(
    "table, row",
    [
        ("campaigns", "(code, name) VALUES ('batch-1', 'x')"),
        ("accounts", "(code, name) VALUES ('acme', 'x')"),
        ("do_not_call", "(telefono) VALUES ('+56911111111')"),
        ("provider_events", "(provider, event_key) VALUES ('retell', 'evt-1')"),
        ("daemons", "(owner, host, pid) VALUES ('host:1:abc', 'host', 1)"),
        ("lead_phones", "(lead_id, position, telefono) VALUES (1, 1, '+56911111111')"),
        ("scheduler_config", "(config_key, config_value) VALUES ('mine', '1')"),
    ],
)
def test_what_is_there_once_is_never_there_twice(database, table, row):
    sql(database, f"INSERT INTO {table} {row}")

    with pytest.raises(exc.IntegrityError):
        sql(database, f"INSERT INTO {table} {row}")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE leads SET lead_status = 'opened'",
        "UPDATE leads SET call_status = 'ringing'",
        "UPDATE call_schedule SET status = 'done'",
        "UPDATE call_schedule SET last_outcome = 'answered'",
        "UPDATE call_schedule SET hold = 'later'",
        "UPDATE campaigns SET status = 'stopped'",
        "UPDATE lead_phones SET status = 'wrong'",
        "UPDATE call_attempts SET state = 'over'",
        "UPDATE call_attempts SET outcome = 'answered'",
    ],
)
def test_a_word_that_is_not_in_the_list_is_refused(database, statement):
    plan_call(database, add_lead(database))
    add_campaign(database)
    add_attempt(database)

    with pytest.raises(exc.DBAPIError):
        sql(database, statement)


# --- instants -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "at",
    [
        NOON,
        NOON + MICROSECOND,
        NOON + timedelta(seconds=1) - MICROSECOND,
        datetime(2037, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        NOON.astimezone(timezone(timedelta(hours=-3))),
    ],
)
def test_an_instant_is_kept_to_the_microsecond_and_comes_back_aware(database, at):
    lead_id = add_lead(database)
    plan_call(database, lead_id, at=at)

    found = call_of(database, lead_id).scheduled_at
    assert found == at
    assert found.utcoffset() == timedelta(0)


def test_a_time_without_a_zone_is_no_instant(database):
    with pytest.raises(exc.StatementError, match="names no instant"):
        plan_call(database, add_lead(database), at=datetime.fromisoformat("2026-11-20T12:00"))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # MySQL reads such text itself
def test_an_instant_written_by_hand_with_an_offset_is_understood_on_sqlite(database):
    lead_id = add_lead(database)
    plan_call(database, lead_id)
    sql(database, "UPDATE call_schedule SET scheduled_at = '2026-11-20 12:00:00+00:00'")

    assert call_of(database, lead_id).scheduled_at == datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "table, row, column",
    [
        (tables.leads, {"nombre": "Ana"}, "created_at"),
        (tables.leads, {"nombre": "Ana"}, "updated_at"),
        (tables.call_schedule, {"lead_id": 1}, "created_at"),
        (tables.call_schedule, {"lead_id": 1}, "updated_at"),
        (tables.call_schedule, {"lead_id": 1}, "scheduled_at"),
        (tables.campaigns, {"code": "a", "name": "a"}, "created_at"),
        (tables.accounts, {"code": "a", "name": "a"}, "created_at"),
        (tables.do_not_call, {"telefono": "+56911111111"}, "created_at"),
        (tables.events, {"kind": "k", "actor": "a"}, "at"),
        (tables.provider_events, {"provider": "p", "event_key": "k"}, "received_at"),
        (tables.daemons, {"owner": "o", "host": "h", "pid": 1}, "started_at"),
        (tables.rule_versions, {"fingerprint": "f"}, "first_seen_at"),
    ],
)
def test_a_row_is_stamped_with_the_present_by_the_database(database, table, row, column):
    before = database.now() - timedelta(seconds=1)
    with database.engine.connect() as connection, connection.begin():
        connection.execute(insert(table).values(**row))

    found = getattr(find(database, table, **row), column)
    assert before <= found <= database.now() + timedelta(seconds=1)


@pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)  # SQLite has no ON UPDATE; the code writes it
def test_a_change_by_hand_moves_updated_at_on_mysql(database):
    lead_id = add_lead(database, updated_at=NOON)

    sql(database, "UPDATE leads SET nombre = 'Eva'")

    assert lead_of(database, lead_id).updated_at > NOON


# --- what a row is when nothing is said of it -------------------------------------------------------------------------


def test_a_lead_of_a_name_and_a_number_is_complete(database):
    sql(database, "INSERT INTO leads (nombre, apellidos, telefono) VALUES ('Ana', 'Soto', '+56912345678')")

    lead = find(database, tables.leads)
    assert (lead.lead_status, lead.call_status, lead.call_attempts_count) == ("open", "no_selected", 0)
    assert (bool(lead.manual_management), lead.closed_at, lead.campaign_id, lead.priority) == (False, None, None, 0)


def test_a_scheduled_call_of_a_lead_alone_is_complete(database):
    sql(database, "INSERT INTO call_schedule (lead_id) VALUES (1)")

    row = find(database, tables.call_schedule)
    assert (row.status, row.attempt_number, bool(row.promise), row.hold) == ("pending", 1, False, None)
    assert (row.lease_owner, row.lease_token, row.lease_expires_at) == (None, None, None)


def test_a_campaign_of_a_code_and_a_name_is_active(database):
    campaign_id = add_campaign(database)

    row = find(database, tables.campaigns, id=campaign_id)
    assert (row.status, row.priority, row.dial_mode, row.call_settings) == ("active", 0, "agentless", None)


def test_the_seeds_name_every_setting_with_a_description(database):
    rows = find_all(database, tables.scheduler_config)

    assert {one.config_key for one in rows} == set(CONFIG_KEYS)
    assert all(one.description for one in rows)


def test_money_and_documents_come_back_as_they_were_written(database):
    attempt_id = add_attempt(database, cost=Decimal("12.3456"), details={"a": [1, {"b": None}], "ñ": "é"})

    one = find(database, tables.call_attempts, id=attempt_id)
    assert (one.cost, one.details) == (Decimal("12.3456"), {"a": [1, {"b": None}], "ñ": "é"})


def test_no_document_is_null_and_not_the_word(database):
    add_lead(database, variables=None)

    [found] = sql(database, "SELECT COUNT(*) AS nulls FROM leads WHERE variables IS NULL")
    assert found.nulls == 1


def test_ids_of_deleted_rows_are_never_used_again(database):
    first = plan_call(database, add_lead(database))
    sql(database, "DELETE FROM call_schedule")

    assert plan_call(database, add_lead(database)) > first


def test_attempts_outlive_the_rows_they_came_from(database):
    attempt_id = add_attempt(database, schedule_id=plan_call(database, add_lead(database)))

    sql(database, "DELETE FROM call_schedule")
    sql(database, "DELETE FROM leads")

    assert find(database, tables.call_attempts, id=attempt_id) is not None


def test_the_open_marks_follow_the_state(database):
    attempt_id = add_attempt(database, state="placing")
    call, mark = tables.call_attempts, tables.call_attempts.c.open_mark
    marks = []
    with database.engine.connect() as connection, connection.begin():
        for state in ("live", "unknown", "ended"):
            connection.execute(update(call).where(call.c.id == attempt_id).values(state=state))
            marks.append(connection.execute(select(mark).where(call.c.id == attempt_id)).scalar())

    assert marks == [1, 1, None]


# --- what this file needs ---------------------------------------------------------------------------------------------


def add_attempt(database, **columns) -> int:
    """An attempt past every check but the database's own."""
    values = {
        "attempt_ref": chilean(), "lead_id": 1, "attempt_number": 1, "telefono": chilean(), "provider": "vendor",
        "state": "ended", **columns,
    }
    with database.engine.connect() as connection, connection.begin():
        key = connection.execute(insert(tables.call_attempts).values(**values)).inserted_primary_key
    return int(key[0])
