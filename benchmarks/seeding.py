"""What the benchmarks work on: a migrated database, campaigns open at any hour, leads with a due call.

Everything made here hangs on campaigns whose code begins with `benchmark`, and only that is deleted again.
Their provider is called `benchmark` too, which no daemon knows: one that runs on the same database leaves
these leads alone, and the benchmarks leave all others alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.engine import URL

from scheduler.clock import Clock
from scheduler.config import Settings
from scheduler.errors import InvalidValue
from scheduler.providers.base import Provider
from scheduler.service.runtime import Providers, Runtime
from scheduler.store import schema
from scheduler.store.database import Connection, Database, DatabaseClock
from scheduler.store.numbers import learnt_columns

MARK = "benchmark"
ALWAYS_OPEN = json.dumps({"allowed_hours": {"start": "00:00", "end": "24:00"}, "days_of_week": [1, 2, 3, 4, 5, 6, 7]})
FIRST_NUMBER = 56_910_000_000
"""Chilean mobiles, so that the calendar has a zone to find, as for leads that were imported."""
CHUNK = 5_000
IMPORT = -1
"""The import that these leads came by, as it were."""


class NotOurs(Exception):
    """The database holds leads that no benchmark made."""


@contextmanager
def prepared(url: str | URL, *, force: bool = False, places: int = 500, keep: bool = False) -> Iterator[Database]:
    """A database with our tables and none of our rows; what is made in it goes again at the end.

    Raises NotOurs when it holds leads of somebody else, unless `force`: those stay untouched all the same.
    """
    database = Database(url, pool_size=10)
    try:
        schema.upgrade(database)
        remove_all(database)
        if not force and database.read(_has_leads):
            raise NotOurs(
                f"{database} holds leads already; give an empty database, or say --force "
                "(its own leads are then neither called nor changed)"
            )
        before = _raise_capacity(database, places)
        try:
            yield database
        finally:
            if not keep:
                remove_all(database)
                _set_capacity(database, before)
    finally:
        database.close()


def open_runtime(database: Database, provider: Provider, clock: Clock | None = None) -> Runtime:
    """A runtime that knows `provider` alone: campaigns of others have none here, and are passed by."""

    def unknown(name: str) -> Provider:
        raise InvalidValue("provider", name, "a benchmark dials its own leads only")

    return Runtime(
        settings=Settings(), database=database, clock=clock or DatabaseClock(database),
        providers=Providers(unknown, {MARK: provider}), default_provider="nobody",
    )


def add_campaign(database: Database, name: str = MARK, *, status: str = "active") -> int:
    """A campaign open at any hour, by its code."""
    return add_campaigns(database, [name], status=status)[0]


def add_campaigns(database: Database, names: list[str], *, status: str = "active") -> list[int]:
    def work(connection: Connection) -> list[int]:
        connection.execute(
            text(
                "INSERT INTO campaigns (code, name, status, provider, call_settings)"
                " VALUES (:code, :code, :status, :provider, :settings)"
            ),
            [{"code": name, "status": status, "provider": MARK, "settings": ALWAYS_OPEN} for name in names],
        )
        return list(connection.execute(
            text("SELECT id FROM campaigns WHERE code LIKE :ours ORDER BY id DESC LIMIT :many"),
            {"ours": f"{MARK}%", "many": len(names)},
        ).scalars())[::-1]

    return database.transact(work)


def add_leads(database: Database, campaign_id: int, count: int, *, first: int = 0, at: datetime | None = None) -> None:
    """Leads with one number and one pending call each, due an hour ago unless `at` says otherwise.

    `first` counts on from earlier leads, so that no two share a number.
    """
    due = at or database.now() - timedelta(hours=1)
    for start in range(first, first + count, CHUNK):
        numbers = [f"+{FIRST_NUMBER + one}" for one in range(start, min(start + CHUNK, first + count))]
        database.transact(lambda connection: _add_leads(connection, campaign_id, numbers, due))  # noqa: B023


def add_waiting(database: Database, campaign_id: int, count: int, *, first: int, at: datetime) -> None:
    """Many leads with a pending call at `at`, by statements that double what is there. For millions of rows."""
    add_leads(database, campaign_id, min(count, CHUNK), first=first, at=at)
    made = min(count, CHUNK)
    last = FIRST_NUMBER + first + made - 1
    while made < count:
        more = min(made, count - made)
        database.transact(lambda connection: _double(connection, campaign_id, last, made, more, at))  # noqa: B023
        made += more
        last += more


def _double(connection: Connection, campaign_id: int, last: int, made: int, more: int, at: datetime) -> None:
    between = f"campaign_id = {campaign_id} AND telefono BETWEEN '+{last - made + 1}' AND '+{last - made + more}'"
    number = f"CONCAT('+', CAST(SUBSTR(telefono, 2) AS UNSIGNED) + {made})"
    if connection.dialect.name == "sqlite":
        number = f"'+' || (CAST(SUBSTR(telefono, 2) AS INTEGER) + {made})"
    connection.execute(text(
        "INSERT INTO leads (campaign_id, nombre, apellidos, telefono, import_id)"
        f" SELECT campaign_id, nombre, apellidos, {number}, {IMPORT} FROM leads WHERE {between}"
    ))
    _complete_leads(connection, campaign_id, f"+{last + 1}", f"+{last + more}", at)


def _add_leads(connection: Connection, campaign_id: int, numbers: list[str], due: datetime) -> None:
    values = ", ".join(f"({campaign_id}, 'Ana', 'Rojas', '{number}', {IMPORT})" for number in numbers)
    connection.execute(text(
        f"INSERT INTO leads (campaign_id, nombre, apellidos, telefono, import_id) VALUES {values}"
    ))
    _complete_leads(connection, campaign_id, numbers[0], numbers[-1], due)


def _complete_leads(connection: Connection, campaign_id: int, first: str, last: str, due: datetime) -> None:
    new = f"campaign_id = {campaign_id} AND telefono BETWEEN '{first}' AND '{last}'"
    # As an import writes them: what one of these numbers tells all of them do.
    _, _, traits = learnt_columns(connection, [first])[first]
    connection.execute(text(
        "INSERT INTO lead_phones (lead_id, position, telefono, e164, number_key, traits_id)"
        f" SELECT id, 1, telefono, telefono, SUBSTR(telefono, -7), {traits} FROM leads WHERE {new}"
    ))
    connection.execute(
        text(
            "INSERT INTO call_schedule (lead_id, campaign_id, scheduled_at, phone_position)"
            f" SELECT id, campaign_id, :due, 1 FROM leads WHERE {new}"
        ),
        {"due": f"{due:%Y-%m-%d %H:%M:%S.%f}"},
    )


def count_done(database: Database, campaign_id: int, prefix: str = "") -> int:
    """Leads of the campaign that were called once and have their next call planned, in the tables named so."""
    return database.read(lambda connection: connection.execute(
        text(
            f"SELECT COUNT(*) FROM {prefix}leads l"
            f" JOIN (SELECT lead_id, attempt_number FROM {prefix}call_schedule WHERE status = 'pending') s"
            f" ON s.lead_id = l.id JOIN {prefix}call_attempts a ON a.lead_id = l.id AND a.state = 'ended'"
            " WHERE l.campaign_id = :key AND l.call_attempts_count = 1 AND s.attempt_number = 2"
        ),
        {"key": campaign_id},
    ).scalar_one())


def remove_all(database: Database) -> None:
    """Delete what any benchmark made here, an earlier one that was cut off included."""
    ours = f"(SELECT id FROM campaigns WHERE code LIKE '{MARK}%')"
    for statement in (
        f"DELETE FROM call_attempts WHERE campaign_id IN {ours}",
        f"DELETE FROM call_schedule WHERE campaign_id IN {ours}",
        f"DELETE FROM lead_phones WHERE lead_id IN (SELECT id FROM leads WHERE campaign_id IN {ours})",
        f"DELETE FROM leads WHERE campaign_id IN {ours}",
        f"DELETE FROM events WHERE campaign_id IN {ours}",
        f"DELETE FROM rule_versions WHERE campaign_id IN {ours}",
        f"DELETE FROM campaigns WHERE code LIKE '{MARK}%'",
    ):
        database.transact(lambda connection: connection.execute(text(statement)))  # noqa: B023


def _has_leads(connection: Connection) -> bool:
    return connection.execute(text("SELECT id FROM leads LIMIT 1")).first() is not None


def _raise_capacity(database: Database, places: int) -> str:
    before = database.read(lambda connection: connection.execute(
        text("SELECT config_value FROM scheduler_config WHERE config_key = 'max_concurrent_calls'")
    ).scalar_one())
    if int(before) < places:
        _set_capacity(database, str(places))
    return str(before)


def _set_capacity(database: Database, value: str) -> None:
    database.transact(lambda connection: connection.execute(
        text("UPDATE scheduler_config SET config_value = :value WHERE config_key = 'max_concurrent_calls'"),
        {"value": value},
    ))
