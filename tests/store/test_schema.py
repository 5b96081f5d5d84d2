"""Making, upgrading and recognising the tables, on real databases."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, make_url

from scheduler.errors import RingbackError, SchemaMismatch
from scheduler.rules.policy import read_call_settings
from scheduler.store import schema, tables
from scheduler.store.database import Database
from tests.conftest import fresh_database
from tests.factories import add_campaign, find_all, sql
from tests.waiting import BACKSTOP

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["sqlite", "mariadb"])
def blank(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database with nothing in it."""
    if request.param == "sqlite":
        made = Database(f"sqlite:///{tmp_path / 'blank.db'}")
        made.make_file()
        yield made
        made.close()
        return
    server = request.getfixturevalue("mariadb_server")
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    with fresh_database(server, f"ringback_test_blank_{worker}_{os.getpid()}") as url:
        made = Database(url)
        yield made
        made.close()


def test_an_empty_database_is_told_to_be_upgraded(blank: Database) -> None:
    with pytest.raises(SchemaMismatch, match="no tables yet; run `ringback db upgrade`"):
        schema.require_current(blank)


def test_upgrade_makes_every_table_and_nothing_that_the_metadata_does_not_know(blank: Database) -> None:
    before = schema.upgrade(blank)

    assert before.current is None
    assert schema.read_state(blank).is_current
    schema.require_current(blank)
    assert set(inspect(blank.engine).get_table_names()) == {*tables.metadata.tables, "alembic_version"}
    assert schema.list_differences(blank) == []


def test_upgrade_again_changes_nothing(blank: Database) -> None:
    schema.upgrade(blank)
    sql(blank, "UPDATE scheduler_config SET config_value = '7' WHERE config_key = 'default_delay_hours'")

    before = schema.upgrade(blank)

    assert before.is_current
    assert sql(blank, "SELECT config_value FROM scheduler_config WHERE config_key = 'default_delay_hours'") == [("7",)]


def test_upgrade_goes_on_from_an_older_revision(blank: Database) -> None:
    from alembic import command

    def up_to_seven(connection: object) -> None:
        command.upgrade(schema.alembic_config(connection), "0007")  # type: ignore[arg-type]

    blank.transact(up_to_seven)
    with pytest.raises(SchemaMismatch, match=r"at revision 0007, this program needs \d{4}; run `ringback db upgrade`"):
        schema.require_current(blank)

    assert schema.upgrade(blank).current == "0007"
    assert schema.list_differences(blank) == []


def test_night_shifts_of_before_keep_working_and_are_undone_as_they_were(blank: Database) -> None:
    from alembic import command

    def move(to: str, how: Any) -> None:
        blank.transact(lambda connection: how(schema.alembic_config(connection), to))

    night = {"windows": {"mon-fri": [["20:00", "02:00"]], "sat": []}, "max_attempts": 2}
    others = ({"windows": {"all": [["9:00", "00:00"]]}}, {"windows": "?"}, {"max_attempts": 3}, None)
    at = schema.list_revisions().index("0044")
    move(schema.list_revisions()[at - 1], command.upgrade)
    for number, settings in enumerate((night, *others)):
        add_campaign(blank, f"c{number}", call_settings=settings)
    move("0044", command.upgrade)

    assert [one.call_settings for one in find_all(blank, tables.campaigns)] == [{**night, "overnight": True}, *others]
    assert read_call_settings(find_all(blank, tables.campaigns)[0].call_settings).overnight
    move("-1", command.downgrade)
    assert [one.call_settings for one in find_all(blank, tables.campaigns)] == [night, *others]


def test_a_newer_database_is_refused_and_left_alone(blank: Database) -> None:
    schema.upgrade(blank)
    sql(blank, "UPDATE alembic_version SET version_num = '9999'")

    with pytest.raises(SchemaMismatch, match="revision 9999, newer than this program"):
        schema.require_current(blank)
    with pytest.raises(SchemaMismatch, match="revision 9999, newer than this program"):
        schema.upgrade(blank)
    assert sql(blank, "SELECT version_num FROM alembic_version") == [("9999",)]


def test_processes_that_upgrade_at_once_all_succeed_and_one_of_them_does_the_work(blank: Database) -> None:
    url = blank.url.render_as_string(hide_password=False)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "RINGBACK_DATABASE_URL": url}
    command = [sys.executable, "-m", "cli.main", "db", "upgrade"]

    started = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    said = [process.communicate(timeout=BACKSTOP) for process in started]

    assert [process.returncode for process in started] == [0] * 3, said
    assert sum("upgraded from nothing" in out for out, _ in said) == 1
    assert schema.list_differences(blank) == []


def test_a_table_of_somebody_else_is_named_and_not_touched(blank: Database) -> None:
    sql(blank, "CREATE TABLE leads (note VARCHAR(10))")
    sql(blank, "INSERT INTO leads VALUES ('mine')")

    with pytest.raises(SchemaMismatch, match=r"leads.* already exists.*drop it and run `ringback db upgrade`"):
        schema.upgrade(blank)

    assert sql(blank, "SELECT note FROM leads") == [("mine",)]


def test_a_column_that_somebody_changed_by_hand_is_named(blank: Database) -> None:
    schema.upgrade(blank)
    sql(blank, "ALTER TABLE leads ADD COLUMN note VARCHAR(10)")
    sql(blank, "DROP INDEX ix_events_kind" + ("" if blank.is_sqlite else " ON events"))

    found = " / ".join(schema.list_differences(blank))

    assert "leads" in found and "note" in found and "ix_events_kind" in found


def test_revisions_are_the_numbers_of_their_files_in_order() -> None:
    scripts = ScriptDirectory.from_config(schema.alembic_config())
    in_order = [one.revision for one in scripts.walk_revisions()][::-1]

    assert tuple(in_order) == schema.list_revisions()
    assert scripts.get_current_head() == schema.head()


def test_alembic_itself_upgrades_and_finds_no_difference(blank: Database) -> None:
    url = blank.url.render_as_string(hide_password=False)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "RINGBACK_DATABASE_URL": url}

    for arguments in (["upgrade", "head"], ["check"]):
        command = [sys.executable, "-m", "alembic", *arguments]
        done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    assert schema.read_state(blank).is_current


def test_each_migration_can_be_undone(blank: Database) -> None:
    from alembic import command

    schema.upgrade(blank)
    blank.transact(lambda connection: command.downgrade(schema.alembic_config(connection), "base"))

    assert inspect(blank.engine).get_table_names() == ["alembic_version"]


def test_an_upgrade_takes_away_the_triggers_that_counted_and_no_other(
    blank: Database, request: pytest.FixtureRequest
) -> None:
    from alembic import command

    schema.upgrade(blank)
    blank.transact(lambda connection: command.downgrade(schema.alembic_config(connection), "0033"))
    maker = blank if blank.is_sqlite else make_admin(request, blank)
    for name, table in (("count_leads_insert", "leads"), ("count_call_attempts_delete", "leads"), ("my_own", "leads")):
        statement = "INSERT INTO campaign_changes (campaign_id, leads) VALUES (0, 1)"
        if name == "my_own":
            statement = "INSERT INTO events (kind, actor) VALUES ('mine', 'me')"
        sql(maker, f"CREATE TRIGGER {name} AFTER INSERT ON {table} FOR EACH ROW BEGIN {statement}; END")
    sql(blank, "INSERT INTO leads (telefono, call_attempts_count) VALUES ('+56911111111', 2)")
    assert sql(blank, "SELECT SUM(leads) FROM campaign_changes")[0][0] == 2

    schema.upgrade(blank)
    sql(blank, "INSERT INTO leads (telefono) VALUES ('+56922222222')")

    assert not {"campaign_changes", "campaign_totals", "campaign_hours"} & set(inspect(blank.engine).get_table_names())
    assert sql(blank, "SELECT COUNT(*) FROM events") == [(2,)]
    assert [row[0] for row in sql(blank, "SELECT was_called FROM leads ORDER BY id")] == [1, 0]
    assert schema.list_differences(blank) == []


def test_an_upgrade_that_was_cut_off_among_the_counters_goes_on(blank: Database) -> None:
    from alembic import command

    blank.transact(lambda connection: command.upgrade(schema.alembic_config(connection), "0034"))
    sql(blank, "UPDATE alembic_version SET version_num = '0033'")
    sql(blank, "DROP INDEX ix_leads_created" if blank.is_sqlite else "DROP INDEX ix_leads_created ON leads")

    schema.upgrade(blank)

    assert schema.list_differences(blank) == []


def test_amounts_of_an_older_release_keep_the_unit_that_people_were_told(blank: Database) -> None:
    from alembic import command

    blank.transact(lambda connection: command.upgrade(schema.alembic_config(connection), "0040"))
    for account_id, billing in ((1, "minutes"), (2, "credits")):
        sql(blank, "INSERT INTO accounts (id, code, name, billing_type, balance) VALUES (:id, :code, 'x', :billing, 5)",
            id=account_id, code=f"a{account_id}", billing=billing)
        sql(blank, "INSERT INTO account_entries (account_id, kind, amount, actor) VALUES (:id, 'opening', 5, 'cli')",
            id=account_id)
    for number, cost, unit in ((1, "976", "usd_cents"), (2, "12.5", "usd_cents"), (3, "0.25", "usd"), (4, "3", None)):
        sql(blank, "INSERT INTO call_attempts (attempt_ref, lead_id, attempt_number, telefono, provider, state,"
            " outcome, cost, cost_unit) VALUES (:ref, 1, 1, '+1', 'x', 'ended', 'busy', :cost, :unit)",
            ref=f"r{number}", cost=cost, unit=unit)

    schema.upgrade(blank)

    told = find_all(blank, tables.call_attempts)
    assert [(one.cost, one.cost_unit) for one in told] == [
        (Decimal("9.76"), "usd"), (Decimal("0.125"), "usd"), (Decimal("0.25"), "usd"), (Decimal(3), None),
    ]  # fmt: skip
    assert [one.unit for one in find_all(blank, tables.account_entries)] == ["minutes", "credits"]
    assert [one.credit_unit for one in find_all(blank, tables.accounts)] == ["credits", "credits"]
    assert schema.list_differences(blank) == []


@pytest.mark.parametrize("blank", ["mariadb"], indirect=True)
def test_an_upgrade_asks_for_nothing_beyond_tables(
    blank: Database, mariadb_server: str, request: pytest.FixtureRequest
) -> None:
    """No trigger, no function, no privilege of the server."""
    from alembic import command

    user, name = f"poor_{str(blank.url.database)[-12:]}", blank.url.database
    rights = "SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX, DROP, REFERENCES"
    admin = Database(mariadb_server)
    try:
        sql(admin, f"CREATE USER '{user}'@'127.0.0.1' IDENTIFIED BY 'x'")
        sql(admin, f"GRANT {rights} ON {name}.* TO '{user}'@'127.0.0.1'")
    except Exception as error:
        admin.close()
        pytest.skip(f"the user of that server may make no others: {type(error).__name__}")
    poor = Database(blank.url.set(username=user, password="x"))
    try:
        schema.upgrade(poor)
        assert schema.read_state(poor).is_current
        # What an earlier release left is not shown to this user, and must not be left without its tables.
        blank.transact(lambda connection: command.downgrade(schema.alembic_config(connection), "0033"))
        maker = make_admin(request, blank)
        sql(maker, "CREATE TRIGGER count_leads_insert AFTER INSERT ON leads FOR EACH ROW"
                   " INSERT INTO campaign_changes (campaign_id, leads) VALUES (0, 1)")  # fmt: skip
        with pytest.raises(RingbackError, match="TRIGGER"):
            schema.upgrade(poor)
        schema.upgrade(blank)
        sql(poor, "INSERT INTO leads (telefono) VALUES ('+56911111111')")
    finally:
        poor.close()
        sql(admin, f"DROP USER '{user}'@'127.0.0.1'")
        admin.close()


def make_admin(request: pytest.FixtureRequest, database: Database) -> Database:
    """The same database for a user that may make triggers whatever the server logs."""
    server = make_url(request.getfixturevalue("mariadb_server"))
    made = Database(server.set(database=database.url.database))
    request.addfinalizer(made.close)
    return made
