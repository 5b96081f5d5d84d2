"""The users of deploy/grants.sql can do their work, and no more."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from scheduler.errors import DatabaseUnavailable
from scheduler.service.imports import import_leads
from scheduler.service.operations import cleanup_closed_leads_schedules
from scheduler.store import schema, tables
from scheduler.store.database import Database
from tests.factories import MINUTE, Station, add_due_lead, attempt_of, broken_promises, chilean, sql

SCRIPT = Path(__file__).resolve().parents[2] / "deploy" / "grants.sql"
PASSWORD = "three blind mice"
pytestmark = pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)


@pytest.fixture
def granted(database: Database, admin: Database) -> Iterator[str]:
    """Runs the script on this test's own database, as users of its own. Gives the address of the working one."""
    name = str(database.url.database)
    suffix = re.sub(r"\W", "", name)[-8:]
    script = re.sub(r"\bringback\.", f"{name}.", SCRIPT.read_text("utf-8"))
    script = re.sub(r"'(ringback\w*)'@'%'", rf"'\1_{suffix}'@'127.0.0.1'", script)
    script = re.sub(r"<a password for [a-z_]+>", f"'{PASSWORD}'", script)
    users = sorted(set(re.findall(r"'(ringback\w*)'@'127.0.0.1'", script)))
    try:
        for user in users:
            sql(admin, f"DROP USER IF EXISTS '{user}'@'127.0.0.1'")
    except Exception as error:
        pytest.skip(f"this server lets its user make no others: {type(error).__name__}")
    for statement in filter(None, (one.strip() for one in re.sub(r"--.*", "", script).split(";"))):
        sql(admin, statement)
    yield database.url.set(username=f"ringback_{suffix}", password=PASSWORD).render_as_string(hide_password=False)
    for user in users:
        sql(admin, f"DROP USER '{user}'@'127.0.0.1'")


def test_the_working_user_can_do_a_days_work(granted, runtime, database, clock, tmp_path):
    from dataclasses import replace

    working = replace(runtime, database=Database(granted))
    schema.require_current(working.database)
    leads = tmp_path / "leads.csv"
    leads.write_text("nombre,telefono\nAna,+56912345678\n")
    import_leads(leads, default_country="CL", runtime=working)
    number = chilean()
    lead_id = add_due_lead(database, number)
    station = Station(working)
    station.dispatch()
    station.hears("e", None, ref=attempt_of(database, lead_id).attempt_ref)
    station.turn_inbox()
    station.provider.ends(number, "no_answer")
    clock.advance(MINUTE)
    station.follow()
    station.upkeep()
    clock.advance(timedelta(days=40))
    station.inbox.forget()
    cleanup_closed_leads_schedules(runtime=working)

    assert attempt_of(database, lead_id).outcome == "no_answer"
    assert broken_promises(working.database) == {}
    working.database.close()


@pytest.mark.parametrize(
    "statement",
    ["DELETE FROM call_attempts", "DELETE FROM events", "UPDATE events SET reason = ''", "DELETE FROM account_entries",
     "DROP TABLE leads", "ALTER TABLE leads ADD COLUMN x INT", "DELETE FROM do_not_call",
     "UPDATE alembic_version SET version_num = '0001'"],
)  # fmt: skip
def test_the_working_user_cannot_rewrite_history_or_tables(granted, statement):
    working = Database(granted)
    with pytest.raises(Exception, match="denied"), working.engine.connect() as connection:
        connection.execute(text(statement))
    working.close()


def test_what_is_not_granted_is_said_in_one_sentence(granted):
    working = Database(granted)
    with pytest.raises(DatabaseUnavailable, match="denied"):
        working.transact(lambda connection: connection.execute(text("DELETE FROM events")))
    working.close()


HIDDEN = {"sessions", "login_failures", "idempotency_keys"}
"""Tables of which the reader sees nothing."""
IN_PART = {
    "api_keys": {"secret_sha256"}, "users": {"password_hash", "totp_secret", "totp_step", "recovery_codes"},
    "provider_events": {"event_key", "payload", "next_try_at"},
}  # fmt: skip
"""Columns that the reader does not see. Whoever adds a table or a column decides here whether it is a secret."""


def test_the_reader_sees_every_table_but_what_holds_secrets(granted):
    reader = Database(re.sub(r"//ringback_", "//ringback_reader_", granted))
    for table in tables.metadata.sorted_tables:
        hidden = {one.name for one in table.columns} if table.name in HIDDEN else IN_PART.get(table.name, set())
        for column in table.columns:
            asked = text(f"SELECT `{column.name}` FROM `{table.name}` LIMIT 1")
            if column.name in hidden:
                with pytest.raises(Exception, match="denied"), reader.engine.connect() as connection:
                    connection.execute(asked)
            else:
                with reader.engine.connect() as connection:
                    connection.execute(asked)
    with pytest.raises(Exception, match="denied"), reader.engine.connect() as connection:
        connection.execute(text("INSERT INTO leads (nombre) VALUES ('x')"))
    reader.close()


def test_the_script_does_not_run_before_somebody_has_chosen_passwords(database, admin):
    script = re.sub(r"--.*", "", SCRIPT.read_text("utf-8"))
    first = next(filter(None, (one.strip() for one in script.split(";"))))

    assert "change" not in script
    with pytest.raises(Exception, match="syntax"):
        sql(admin, first)
