"""The SQL that operators run by hand (design, section 9), letter by letter."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pymysql
import pytest
from sqlalchemy import exc

from scheduler.service import operations
from scheduler.store import tables
from scheduler.store.database import Connection, Database
from tests.factories import (
    DAY,
    MINUTE,
    Station,
    add_campaign,
    add_lead,
    attempt_of,
    attempts_of,
    broken_promises,
    call_of,
    config_of,
    find_all,
    lead_of,
    plan_call,
    set_config,
    sql,
)
from tests.mariadb import Unavailable
from tests.servers import chosen, loader, unpacked

mariadb_only = pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)

DUE = """
SELECT cs.id, cs.lead_id, cs.scheduled_at, cs.attempt_number, l.nombre, l.apellidos, l.telefono
FROM call_schedule cs JOIN leads l ON cs.lead_id = l.id
WHERE cs.status = 'pending' AND cs.scheduled_at <= NOW()
  AND (l.lead_status IS NULL OR l.lead_status = 'open')
  AND (l.manual_management IS NULL OR l.manual_management = FALSE)
ORDER BY cs.scheduled_at ASC, cs.attempt_number ASC;
"""
BY_STATUS = "SELECT status, COUNT(*) AS total FROM call_schedule GROUP BY status;"
UPSERT = """
INSERT INTO scheduler_config (config_key, config_value, description)
VALUES ('default_delay_hours', '2', 'Horas de retraso por defecto')
ON DUPLICATE KEY UPDATE config_value = '2';
"""
DELETE_OLD = (
    "DELETE FROM call_schedule WHERE status = 'cancelled' AND created_at < DATE_SUB(NOW(), INTERVAL 30 DAY);"
)
ORPHANS = "SELECT cs.* FROM call_schedule cs LEFT JOIN leads l ON cs.lead_id = l.id WHERE l.id IS NULL;"
INSERT_LEAD = "INSERT INTO leads (nombre, apellidos, telefono) VALUES ('Ana', 'Soto', '+56912345678');"
INSERT_CALL = (
    "INSERT INTO call_schedule (lead_id, scheduled_at, attempt_number, status) VALUES (1, NOW(), 1, 'pending');"
)
CLOSE = "UPDATE leads SET lead_status = 'closed' WHERE id = 1;"
TAKE_OVER = "UPDATE leads SET manual_management = TRUE WHERE id = 2;"

IN_ANY_ZONE = pytest.mark.parametrize("zone", ["+00:00", "-03:00", "America/Santiago"], indirect=True)


@mariadb_only
@IN_ANY_ZONE
def test_the_due_calls_are_those_that_may_be_called_now(database, session):
    now = database.now()
    expected = []
    for minutes, attempt, columns in (
        (30, 1, {"lead_status": "open"}),
        (20, 1, {"lead_status": None}),
        (10, 1, {"manual_management": None}),
        (10, 2, {"manual_management": False}),
    ):
        lead_id = add_lead(database, **columns)
        expected.append(plan_call(database, lead_id, at=now - minutes * MINUTE, attempt_number=attempt))
    for columns in ({"lead_status": "closed"}, {"lead_status": "suspended"}, {"manual_management": True}):
        plan_call(database, add_lead(database, **columns), at=now - MINUTE)
    # Three hours is how far a session of Santiago is from UTC: neither may pass for due, nor for not yet due.
    plan_call(database, add_lead(database), at=now + 5 * MINUTE)
    plan_call(database, add_lead(database), at=now - MINUTE, status="cancelled")

    found = session.exec_driver_sql(DUE).all()

    assert [row.id for row in found] == expected
    assert (found[0].nombre, found[0].apellidos) == ("Ana", "Soto")
    assert len(found[0]) == 7


@mariadb_only
@IN_ANY_ZONE
def test_rows_by_status_are_counted(database, session):
    add_rows_of_each_status(database)

    assert dict(session.exec_driver_sql(BY_STATUS).all()) == {"pending": 2, "cancelled": 1, "completed": 1}


@mariadb_only
@IN_ANY_ZONE
def test_a_setting_is_changed_or_added_and_acts_at_the_next_tick(database, session, runtime, clock):
    for _ in range(2):
        session.exec_driver_sql(UPSERT)
        session.commit()
    assert config_of(database, "default_delay_hours") == "2"
    sql(database, "DELETE FROM scheduler_config WHERE config_key = 'default_delay_hours'")
    session.exec_driver_sql(UPSERT)
    session.commit()

    station = Station(runtime)
    lead_id = add_lead(database, "+56911111111")
    plan_call(database, lead_id)
    station.dispatch()
    station.provider.ends("+56911111111", "no_answer")
    clock.advance(MINUTE)
    station.follow()

    assert call_of(database, lead_id).scheduled_at == clock.now() + timedelta(hours=2)


@mariadb_only
@IN_ANY_ZONE
def test_old_cancelled_rows_are_deleted_and_history_stays(database, session, runtime):
    now = database.now()
    lead_id = add_lead(database)
    plan_call(database, lead_id)
    station = Station(runtime)
    station.dispatch()
    sql(database, "UPDATE call_schedule SET status = 'cancelled'")
    sql(database, "UPDATE call_schedule SET created_at = UTC_TIMESTAMP() - INTERVAL 31 DAY")
    kept = [
        plan_call(database, add_lead(database), status="cancelled", created_at=now - 30 * DAY + MINUTE),
        plan_call(
            database, add_lead(database, lead_status="closed", closed_at=now), status="completed",
            created_at=now - 90 * DAY, last_outcome="busy",
        ),
        plan_call(database, add_lead(database), status="pending", created_at=now - 90 * DAY),
    ]
    gone = plan_call(database, add_lead(database), status="cancelled", created_at=now - 30 * DAY - MINUTE)

    deleted = session.exec_driver_sql(DELETE_OLD).rowcount
    session.commit()

    assert deleted == 2
    assert [row.id for row in find_all(database, tables.call_schedule)] == kept
    assert gone not in kept
    assert [one.state for one in attempts_of(database, lead_id)] == ["live"]
    operations.resolve_call(attempt_of(database, lead_id).id, "no_answer", runtime=station.runtime)
    assert attempt_of(database, lead_id).outcome == "no_answer"
    assert broken_promises(database) == {}


@mariadb_only
@IN_ANY_ZONE
def test_orphans_are_found(database, session):
    plan_call(database, add_lead(database))
    orphan = plan_call(database, 999_999)

    assert [row.id for row in session.exec_driver_sql(ORPHANS)] == [orphan]


@mariadb_only
@IN_ANY_ZONE
def test_a_lead_and_a_call_written_by_hand_are_complete_and_dialed(database, session, runtime, clock):
    open_all_day(database)
    start_ids_at_one(database)

    session.exec_driver_sql(INSERT_LEAD)
    session.exec_driver_sql(INSERT_CALL)
    session.commit()
    row = call_of(database, 1)
    clock.set(database.now() + timedelta(seconds=1))
    station = Station(runtime)
    station.dispatch()

    assert abs(row.scheduled_at - database.now()) < MINUTE
    assert station.provider.numbers == ["+56912345678"]
    assert (attempt_of(database, 1).state, lead_of(database, 1).lead_status) == ("live", "open")
    station.provider.ends("+56912345678", "no_answer")
    clock.advance(MINUTE)
    station.follow()
    assert (call_of(database, 1).attempt_number, call_of(database, 1).status) == (2, "pending")
    assert broken_promises(database) == {}


@mariadb_only
@IN_ANY_ZONE
def test_a_call_written_by_hand_for_a_lead_of_a_campaign_joins_it(database, session, runtime, clock):
    open_all_day(database)
    start_ids_at_one(database)
    session.exec_driver_sql(INSERT_LEAD)
    session.exec_driver_sql(INSERT_CALL)
    session.commit()
    campaign_id = add_campaign(database)
    sql(database, "UPDATE leads SET campaign_id = :id", id=campaign_id)

    clock.set(database.now() + timedelta(seconds=1))
    Station(runtime).dispatch()

    assert (call_of(database, 1).campaign_id, attempt_of(database, 1).campaign_id) == (campaign_id, campaign_id)


@mariadb_only
@IN_ANY_ZONE
def test_a_lead_closed_by_hand_is_never_dialed_and_its_rows_are_cancelled(database, session, runtime, clock):
    open_all_day(database)
    start_ids_at_one(database)
    session.exec_driver_sql(INSERT_LEAD)
    session.exec_driver_sql(INSERT_CALL)

    session.exec_driver_sql(CLOSE)
    session.commit()
    clock.set(database.now() + timedelta(seconds=1))
    station = Station(runtime)
    station.upkeep()
    station.dispatch()

    assert station.provider.dials == []
    assert call_of(database, 1).status == "cancelled"
    assert lead_of(database, 1).closed_at == clock.now()


@mariadb_only
@IN_ANY_ZONE
def test_a_lead_taken_over_by_hand_is_never_dialed_while_it_is(database, session, runtime, clock):
    start_ids_at_one(database)
    for _ in range(2):
        plan_call(database, add_lead(database), at=clock.now())

    session.exec_driver_sql(TAKE_OVER)
    session.commit()
    Station(runtime).dispatch()

    assert attempt_of(database, 1).state == "live"
    assert (attempt_of(database, 2), call_of(database, 2).status) == (None, "pending")
    assert [row.lead_id for row in session.exec_driver_sql(DUE)] == []


@mariadb_only
@IN_ANY_ZONE
def test_an_instant_that_an_operator_reads_is_that_of_their_own_clock(database, session, zone):
    plan_call(database, add_lead(database), at=database.now().replace(year=2026, month=7, day=1, hour=12, minute=0))

    shown = session.exec_driver_sql("SELECT HOUR(scheduled_at) FROM call_schedule").scalar()

    assert shown == {"+00:00": 12, "-03:00": 9, "America/Santiago": 8}[zone]  # in winter Santiago is at -04


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_is_portable_runs_on_sqlite_too(database, runtime, clock):
    sql(database, INSERT_LEAD)
    sql(database, INSERT_LEAD)
    sql(database, INSERT_CALL.replace("NOW()", "CURRENT_TIMESTAMP"))
    sql(database, "INSERT INTO call_schedule (lead_id) VALUES (2)")
    orphan = plan_call(database, 999_999, status="completed", last_outcome="busy")

    assert {row.status: row.total for row in sql(database, BY_STATUS)} == {"pending": 2, "completed": 1}
    assert [row.id for row in sql(database, ORPHANS)] == [orphan]
    assert {row.lead_id for row in sql(database, DUE.replace("NOW()", "'2999-01-01'"))} == {1, 2}
    sql(database, CLOSE)
    sql(database, TAKE_OVER)
    assert sql(database, DUE.replace("NOW()", "'2999-01-01'")) == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_lead_and_a_call_written_by_hand_are_dialed_from_sqlite_too(database, runtime, clock):
    open_all_day(database)
    sql(database, INSERT_LEAD)
    sql(database, INSERT_CALL.replace("NOW()", "CURRENT_TIMESTAMP"))

    clock.set(database.now() + timedelta(seconds=1))
    station = Station(runtime)
    station.dispatch()

    assert station.provider.numbers == ["+56912345678"]


# --- what this file needs -------------------------------------------------------------------------------------


@pytest.fixture
def zone(request: pytest.FixtureRequest, mariadb_server: str) -> str:
    """The time zone of the operator's session; named zones need the server's own tables."""
    name: str = request.param
    if "/" in name and not knows_zone(mariadb_server, name):
        pytest.skip(f"this server has no time zone tables, so it knows no {name}")
    return name


@pytest.fixture
def session(database: Database, zone: str) -> Iterator[Connection]:
    """An operator's own session, with its own time zone."""
    with database.engine.connect() as connection:
        connection.exec_driver_sql(f"SET time_zone = '{zone}'")
        connection.commit()
        yield connection
        connection.rollback()
        connection.invalidate()


def knows_zone(server_url: str, name: str) -> bool:
    server = Database(server_url)
    try:
        if can_set(server, name):
            return True
        load_zone(server, name)
        return can_set(server, name)
    finally:
        server.close()


def can_set(server: Database, name: str) -> bool:
    try:
        with server.engine.connect() as connection:
            connection.exec_driver_sql(f"SET time_zone = '{name}'")
            connection.invalidate()
    except exc.OperationalError:
        return False
    return True


def zone_program() -> list[str]:
    """Each server brings its own, and reads nothing of the other's."""
    if chosen() == "mysql":
        with contextlib.suppress(Unavailable):
            tree = unpacked("mysql")
            return [*loader(tree), str(tree / "usr/bin/mysql_tzinfo_to_sql")]
    return [one for one in (shutil.which("mariadb-tzinfo-to-sql") or shutil.which("mysql_tzinfo_to_sql"),) if one]


def load_zone(server: Database, name: str) -> None:
    """Give a private server the one zone that is asked for; one that we may not change stays as it is."""
    program, file = zone_program(), Path("/usr/share/zoneinfo") / name
    if not program or not file.exists():
        return
    statements = subprocess.run([*program, str(file), name], capture_output=True, text=True, check=True).stdout
    options: dict[str, Any] = server.url.translate_connect_args(username="user")
    options["database"] = "mysql"
    try:
        with pymysql.connect(**options, client_flag=pymysql.constants.CLIENT.MULTI_STATEMENTS) as connection:
            cursor = connection.cursor()
            cursor.execute(statements)
            while cursor.nextset():
                continue
            connection.commit()
    except pymysql.MySQLError:
        return


def add_rows_of_each_status(database: Database) -> None:
    for status, outcome in (("pending", None), ("pending", None), ("cancelled", None), ("completed", "busy")):
        plan_call(database, add_lead(database), status=status, last_outcome=outcome)


def open_all_day(database: Database) -> None:
    """These tests run on the server's own clock, at any hour of any day."""
    set_config(database, working_hours_start="00:00", working_hours_end="24:00", working_days="1,2,3,4,5,6,7")


def start_ids_at_one(database: Database) -> None:
    sql(database, "ALTER TABLE leads AUTO_INCREMENT = 1")
