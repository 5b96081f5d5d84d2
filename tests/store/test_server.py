"""What a session sets for itself, and what is said of a server before anything is made on it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import pytest
from sqlalchemy import exc, inspect, make_url

from scheduler.errors import DatabaseUnavailable, RingbackError
from scheduler.store import schema, tables
from scheduler.store.database import SESSION, Database
from scheduler.store.server import Server, read_server
from tests.conftest import fresh_database, started
from tests.factories import config_of, sql

server_only = pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)


@contextlib.contextmanager
def setting(admin: Database, **values: str) -> Iterator[None]:
    """The server's own settings are these; sessions that begin now see them."""
    before = {}
    try:
        for name, value in values.items():
            ((was,),) = sql(admin, f"SELECT @@GLOBAL.{name}")
            sql(admin, f"SET GLOBAL {name} = {value}")
            before[name] = f"'{was}'" if isinstance(was, str) else was
    except exc.DBAPIError as error:
        pytest.skip(f"this server lets its user set nothing: {type(error).__name__}")
    try:
        yield
    finally:
        for name, was in before.items():
            sql(admin, f"SET GLOBAL {name} = {was}")


@pytest.fixture
def blank(mariadb_server: str) -> Iterator[Database]:
    with fresh_database(mariadb_server, f"ringback_test_fit_{os.getpid()}") as url:
        made = Database(url)
        yield made
        made.close()


@pytest.fixture
def master(mariadb_server: str) -> Iterator[Database]:
    made = Database(mariadb_server)
    yield made
    made.close()


# --- set ---------------------------------------------------------------------------------------------------------


@server_only
def test_a_careless_server_changes_nothing_of_a_session(database_url: str, database: Database, admin: Database):
    with setting(
        admin, sql_mode="''", time_zone="'-03:00'", wait_timeout="1", innodb_lock_wait_timeout="1",
        group_concat_max_len="64",
    ):  # fmt: skip
        fresh = Database(database_url)
        found = dict(zip(SESSION, fresh.read(lambda one: one.exec_driver_sql(
            "SELECT " + ", ".join(f"@@SESSION.{name}" for name in SESSION)
        ).one()), strict=True))
        isolation = fresh.read(lambda one: one.get_isolation_level())
        fresh.close()

    wanted = {name: value.strip("'") if isinstance(value, str) else value for name, value in SESSION.items()}
    assert {**found, "sql_mode": set(found["sql_mode"].split(","))} == {
        **wanted, "sql_mode": set(str(wanted["sql_mode"]).split(","))
    }  # fmt: skip
    assert isolation == "READ COMMITTED"


@server_only
def test_a_value_that_does_not_fit_is_an_error_whatever_the_server_thinks(database_url: str, admin: Database):
    with setting(admin, sql_mode="''"):
        fresh = Database(database_url)
        with pytest.raises(RingbackError, match="does not fit its column"):
            fresh.transact(lambda one: one.execute(tables.scheduler_config.update().where(
                tables.scheduler_config.c.config_key == "holidays"
            ).values(config_value="2026-12-25," * 40)))
        fresh.close()
    assert config_of(admin, "holidays") == ""


def test_an_upgrade_may_take_longer_than_a_server_waits_for_its_clients(blank: Database, master: Database):
    with setting(master, wait_timeout="1", interactive_timeout="1"):
        before = schema.upgrade(blank)

    assert (before.current, schema.read_state(blank).is_current) == (None, True)


# --- verified ----------------------------------------------------------------------------------------------------


def test_a_read_only_server_is_named_before_anything_is_made(blank: Database, master: Database):
    with setting(master, read_only="1"), pytest.raises(DatabaseUnavailable, match=r"read_only is on.*name the one"):
        schema.upgrade(blank)

    assert inspect(blank.engine).get_table_names() == []


def test_a_binary_log_by_statement_is_refused_before_anything_is_made(mariadb_server: str):
    """On a server of its own, which is like the one of the other tests but for its log."""
    log = ["--log-bin=binlog", "--server-id=1", "--binlog-format=STATEMENT"]
    with started(options=log) as server, fresh_database(server.url, "ringback_test_statement"):
        blank = Database(make_url(server.url).set(database="ringback_test_statement"))
        with pytest.raises(RingbackError, match=r"binlog_format = STATEMENT.*error 1665.*set it to ROW"):
            schema.upgrade(blank)

        assert inspect(blank.engine).get_table_names() == []
        blank.close()


@pytest.mark.parametrize("name, version, is_refused", [
    ("MariaDB", "10.5.29-MariaDB", True), ("MariaDB", "10.6.0-MariaDB-log", False),
    ("MariaDB", "11.8.9-MariaDB", False),
    ("MySQL", "8.0.43", True), ("MySQL", "8.4.0", False), ("MySQL", "9.7.4-2", False), ("MySQL", "5.7.44-log", True),
    ("SQLite", "3.40.1", False),
])  # fmt: skip
def test_a_server_that_is_too_old_is_refused_by_name(name: str, version: str, is_refused: bool):
    obstacles = Server(name, version, "READ COMMITTED", True, "").obstacles

    assert bool(obstacles) == is_refused
    assert all(version in one and "MariaDB 10.6, MySQL 8.4 or newer" in one for one in obstacles)


@pytest.mark.parametrize("values, is_refused", [
    ({"log_bin": "ON", "binlog_format": "STATEMENT"}, True), ({"log_bin": "ON", "binlog_format": "MIXED"}, False),
    ({"log_bin": "OFF", "binlog_format": "STATEMENT"}, False), ({"log_bin": "ON", "binlog_format": "ROW"}, False),
    ({}, False),
])  # fmt: skip
def test_only_a_log_by_statement_that_is_written_stands_in_the_way(values: dict[str, str], is_refused: bool):
    assert bool(Server("MySQL", "9.7.4", "READ COMMITTED", True, "", values=values).obstacles) == is_refused


def test_a_session_that_was_reset_on_its_way_is_told_of():
    values = {"sql_mode": "", "time_zone": "SYSTEM"}
    odd = Server("MySQL", "9.7.4", "READ COMMITTED", True, "", values=values).odd_session

    assert ["sql_mode" in odd[0], "time_zone" in odd[1], len(odd)] == [True, True, 2]


@server_only
def test_a_server_is_read_with_what_it_has(database: Database):
    server = database.read(read_server)

    assert server.odd_session == server.obstacles == ()
    assert server.read_only is None
    assert server.values["binlog_format"] in ("ROW", "MIXED", "STATEMENT")
