"""What accounts may use after an upgrade: what their campaigns use already."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command

from scheduler.store import leads, schema, tables
from scheduler.store.database import Connection, Database
from tests.conftest import NOON, fresh_database, on_every_engine
from tests.factories import _insert, find_all, sql

ENGINES = ["sqlite", "mariadb"]


@pytest.fixture(params=ENGINES)
def before(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database of the release that had no lists."""
    if request.param == "sqlite":
        yield _at(Database(f"sqlite:///{tmp_path / 'ringback.db'}"))
        return
    with fresh_database(request.getfixturevalue("mariadb_server"), "ringback_test_allowances") as url:
        yield _at(Database(url))


def _at(database: Database) -> Database:
    database.make_file()
    database.transact(lambda connection: command.upgrade(schema.alembic_config(connection), "0056"))
    return database


def test_an_upgrade_lists_what_the_campaigns_of_an_account_use(before: Database) -> None:
    rows = [
        (1, "a", "active", "retell", "g", 7, {"agent_id": "agent", "from_number": "+56221234567"}),
        (1, "b", "paused", None, None, -2, {"allowed_countries": "cl"}),
        (1, "c", "cancelled", "twilio", "old", 99, {"agent_id": "gone"}),
        (2, "d", "completed", "retell", None, -5, {"allowed_countries": ["CL", "PE"]}),
        (2, "e", "active", None, None, 0, {"agent_id": 5, "allowed_countries": ["AR"]}),
        (None, "f", "active", "http", "all", 50, {"agent_id": "nobodys"}),
    ]
    for account, code, status, provider, group, priority, settings in rows:
        _insert(before, tables.campaigns, {
            "account_id": account, "code": code, "name": code, "status": status, "provider": provider,
            "group_name": group, "priority": priority, "call_settings": settings,
        })
    odd = json.dumps("no document")
    sql(before, f"UPDATE campaigns SET call_settings = '{odd}' WHERE code = 'c'")

    schema.upgrade(before)

    found = {(one.account_id, one.kind, one.value) for one in find_all(before, tables.account_allowances)}
    assert found == {
        (1, "provider", "retell"), (1, "group", "g"), (1, "agent", "agent"), (1, "caller_id", "+56221234567"),
        (1, "priority", "7"),  # and no country: its campaign a names none, so it calls where the installation does
        (2, "provider", "retell"), (2, "country", "CL"), (2, "country", "PE"), (2, "country", "AR"),
    }  # fmt: skip


def test_listing_again_after_an_upgrade_that_was_cut_off_lists_nothing_twice(before: Database) -> None:
    _insert(before, tables.campaigns, {"account_id": 1, "code": "a", "name": "a", "provider": "retell"})
    sql(before, "INSERT INTO account_allowances (account_id, kind, value) VALUES (1, 'provider', 'retell')")

    schema.upgrade(before)

    assert len(find_all(before, tables.account_allowances)) == 1


@on_every_engine
def test_a_number_is_barred_for_an_account_once_and_for_no_other(database: Database) -> None:
    number, other = "+56987651234", "+56987655678"

    def work(connection: Connection) -> dict[int, dict[str, str]]:
        for _ in range(2):
            leads.bar_for_account(connection, 1, number, source="x", now=NOON)
        leads.bar_for_account(connection, 3, other, source="x", now=NOON)
        assert leads.read_barred_by_accounts(connection, [], [number]) == {}
        assert leads.read_barred_by_accounts(connection, [1], []) == {}
        return leads.read_barred_by_accounts(connection, [1, 2], [number, other])

    assert database.transact(work) == {1: {number: "its account was asked not to call it"}}
