"""A database that comes back older than it was, or another file in its place: nobody is rung again by it."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Table, text

from scheduler.config import Settings
from scheduler.errors import RingbackError
from scheduler.model import OPEN_STATES
from scheduler.service.alerts import list_alerts
from scheduler.service.recovery import release_recovery
from scheduler.service.runtime import open_runtime
from scheduler.store import recoveries, tables
from scheduler.store.database import Connection
from tests.faults.conftest import BuildHouse
from tests.faults.harness import DaemonProcess, House, pause, wait_until

pytestmark = pytest.mark.faults
on_sqlite = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
on_mariadb = pytest.mark.parametrize("engine", ["mariadb"], indirect=True)

ONCE: Mapping[str, Any] = {"max_attempts": 1, "mix": "completed=70,no_answer=20,busy=10", "rings_once": True}
"""Every lead is called once, so that a second call to a number is one too many."""
Rows = dict[str, list[tuple[Any, ...]]]


@on_sqlite
def test_a_copy_that_is_younger_than_the_daemon_rings_nobody_again(build_house: BuildHouse) -> None:
    house = build_house(**ONCE)
    restore_under_a_daemon(house)
    must_have_rung_once(house)


@on_mariadb
def test_a_daemon_that_registered_after_the_copy_was_taken_rings_nobody_again(build_house: BuildHouse) -> None:
    house = build_house(vendor="retell", lag=(0, 2), **ONCE)
    restore_under_a_younger_daemon(house)
    must_have_rung_once(house, least_calls=18)


@on_sqlite
@pytest.mark.parametrize("vendor", ["retell", "http"])
def test_a_daemon_that_starts_on_an_old_copy_rings_nobody_again(build_house: BuildHouse, vendor: str) -> None:
    """On a host that remembers nothing, if the provider lists its calls; where it cannot, by what the host knows."""
    house = build_house(vendor=vendor, **ONCE)
    restore_before_a_start(house, forget=vendor == "retell")
    must_have_rung_once(house)


@on_sqlite
def test_what_cannot_be_looked_up_is_held_until_somebody_says_so(build_house: BuildHouse) -> None:
    house = build_house(vendor="http", **ONCE)
    restore_under_a_daemon(house)
    must_have_rung_once(house)


@on_sqlite
@pytest.mark.parametrize("what", ["deleted", "replaced", "log deleted"])
def test_a_file_that_is_not_there_any_more_is_dialed_from_no_more(build_house: BuildHouse, what: str) -> None:
    house = build_house(**ONCE)
    swap_file(house, what)
    must_have_rung_once(house)


# --- the faults -----------------------------------------------------------------------------------


def restore_under_a_daemon(house: House, leads: int = 12) -> int:
    """The copy knows the daemon, and not what it did last."""
    house.stop_daemons()
    daemons = house.start_daemons(2)
    dial_some(house, leads)
    come_to_rest(house)
    copy = read_all(house)
    lost = dial_some(house, leads, before=copy)
    write_all(house, copy)
    return be_held(house, daemons, lost)


def restore_under_a_younger_daemon(house: House, leads: int = 12) -> int:
    """The copy was taken before the daemon began."""
    house.stop_daemons()
    known = {one.number for one in house.simulator.calls()}
    house.add_leads(leads, sharing=0)
    copy = read_all(house)
    daemon = house.start_daemons(1)[0]
    wait_until(lambda: len(house.simulator.calls()) >= len(known) + leads, "they are dialed", house.tell)
    lost = {one.number for one in house.simulator.calls()} - known
    write_all(house, copy)
    return be_held(house, [daemon], lost)


def restore_before_a_start(house: House, leads: int = 12, *, forget: bool = False) -> int:
    """Restored while nobody works; `forget`: and on another host."""
    house.stop_daemons()
    daemon = house.start_daemons(1)[0]
    dial_some(house, leads)
    come_to_rest(house)
    copy = read_all(house)
    lost = dial_some(house, leads, before=copy)
    daemon.kill()
    write_all(house, copy)
    if forget:
        shutil.rmtree(house.folder / "state")
    return be_held(house, [house.start_daemon()], lost)


def swap_file(house: House, what: str, leads: int = 12) -> int:
    """The file of the database, or its log, is deleted or replaced by a copy of itself under a daemon."""
    file = Path(str(house.database.url.database))
    house.stop_daemons()
    daemon = house.start_daemons(1)[0]
    dial_some(house, leads)
    house.add_leads(leads, sharing=0)
    wait_until(lambda: not count_open(house), "nothing is under way", house.tell)
    house.sampler.stop()
    swapped = file.with_name("ringback.db-wal") if what == "log deleted" else file
    house.database.engine.dispose()
    held = sqlite3.connect(file)
    with held:
        held.execute("SELECT COUNT(*) FROM leads").fetchone()
    daemon.freeze()
    copy = file.with_name("copy.db")
    with sqlite3.connect(copy) as other:
        held.backup(other)
    other.close()
    held.close()
    asked = house.simulator.count("request")
    swapped.unlink()
    if what == "replaced":
        shutil.copy(copy, file)
    daemon.thaw()
    wait_until(lambda: not daemon.is_running, "the daemon ends", house.tell)
    assert daemon.child.returncode == 1
    assert str(swapped) in daemon.said(), "it names the file"
    assert house.simulator.count("request") == asked, "it dials from a file that nobody sees"
    for one in file.parent.glob("ringback.db*"):
        one.unlink()
    copy.rename(file)
    house.sampler = type(house.sampler)(house.url, house.is_attended)
    house.start_daemons(1)
    return 1


# --- steps ----------------------------------------------------------------------------------------


def come_to_rest(house: House) -> None:
    """Nothing is under way in the copy, where it could never be looked up."""
    if not house.simulator.vendor.finds:
        wait_until(lambda: not count_open(house), "nothing is under way", house.tell)


def dial_some(house: House, leads: int, *, before: Rows | None = None) -> set[str]:
    """Leads that are all called, and which numbers those were. With `before` they are in that copy, uncalled."""
    known = {one.number for one in house.simulator.calls()}
    house.add_leads(leads, sharing=0)
    if before is not None:
        add_uncalled(house, before)
    wait_until(lambda: len(house.simulator.calls()) >= len(known) + leads, "they are dialed", house.tell)
    return {one.number for one in house.simulator.calls()} - known


def be_held(house: House, daemons: list[DaemonProcess], lost: set[str]) -> int:
    """What must follow: it is held and said, and the lost calls are found, or somebody looks. Returns how many
    restores that was.
    """
    for one in daemons:
        house.wait_started(one)
    wait_until(lambda: open_recovery(house) is not None, "it is noticed", house.tell)
    alerts = alerts_of(house)
    assert "database_older" in alerts, alerts
    if house.simulator.vendor.finds:
        wait_until(lambda: open_recovery(house) is None, "the lost calls are found", house.tell)
    else:
        pause(1.0)
        wait_until(lambda: getattr(open_recovery(house), "doubt", None), "it says that it cannot ask", house.tell)
        assert open_recovery(house) is not None
        # Somebody finds out in the vendor's console who was called, and writes it down.
        settle_by_hand(house, lost)
        release(house)
    house.add_leads(6, sharing=0)
    return 1


def must_have_rung_once(house: House, least_calls: int = 24) -> None:
    house.require_clean(least_calls=least_calls)


def open_recovery(house: House) -> recoveries.Recovery | None:
    try:
        return house.database.read(recoveries.find_open)
    except RingbackError:
        return None


def with_runtime(house: House, work: Callable[[Any], Any]) -> Any:
    runtime = open_runtime(Settings(database_url=house.url, provider="simulator"))
    try:
        return work(runtime)
    finally:
        runtime.close()


def alerts_of(house: House) -> set[str]:
    return {one.code.value for one in with_runtime(house, lambda runtime: list_alerts(runtime=runtime))}


def release(house: House) -> None:
    with_runtime(house, lambda runtime: release_recovery("looked up by hand", runtime=runtime))


def settle_by_hand(house: House, lost: set[str]) -> None:
    """Close the leads that were called, as an operator does who knows it."""
    house.written_by_hand |= lost

    def write(connection: Connection) -> None:
        for number in lost:
            connection.execute(text(
                "UPDATE call_schedule SET status = 'cancelled', reason = 'called before the restore', hold = NULL"
                " WHERE status = 'pending' AND lead_id IN (SELECT id FROM leads WHERE telefono = :number)"
            ), {"number": number})
            connection.execute(text(
                "UPDATE leads SET lead_status = 'closed', closed_reason = 'completed' WHERE telefono = :number"
            ), {"number": number})

    house.database.transact(write)


def count_open(house: House) -> int:
    states = ", ".join(f"'{one}'" for one in OPEN_STATES)
    return house.database.read(lambda connection: connection.execute(
        text(f"SELECT COUNT(*) FROM call_attempts WHERE state IN ({states})")
    ).scalar_one())


# --- copies ---------------------------------------------------------------------------------------


def columns_of(table: Table) -> list[str]:
    return [f"`{one.name}`" for one in table.columns if one.computed is None]


def read_all(house: House) -> Rows:
    """Every row of every table, in one reading: a copy."""

    def read(connection: Connection) -> Rows:
        return {
            table.name: [tuple(row) for row in connection.exec_driver_sql(
                f"SELECT {', '.join(columns_of(table))} FROM {table.name}"
            )]
            for table in tables.metadata.sorted_tables
        }

    return house.database.read_snapshot(read)


def write_all(house: House, copy: Rows) -> None:
    """Put the copy in the place of what is there, at once."""
    mark = "?" if house.database.is_sqlite else "%s"

    def write(connection: Connection) -> None:
        for table in reversed(tables.metadata.sorted_tables):
            connection.exec_driver_sql(f"DELETE FROM {table.name}")
        for table in tables.metadata.sorted_tables:
            columns, rows = columns_of(table), copy[table.name]
            if rows:
                places = ", ".join([mark] * len(columns))
                connection.exec_driver_sql(
                    f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({places})", rows
                )
            if house.database.is_sqlite:
                connection.exec_driver_sql(
                    "UPDATE sqlite_sequence SET seq = ? WHERE name = ?",
                    (max((row[0] for row in rows if isinstance(row[0], int)), default=0), table.name),
                )

    house.database.transact(write, tries=100)
    if not house.database.is_sqlite:
        with house.database.engine.connect() as connection:
            for name in ("call_attempts", "call_schedule", "events"):
                connection.exec_driver_sql(f"ALTER TABLE {name} AUTO_INCREMENT = 1")


UNCALLED: Mapping[str, Mapping[str, Any]] = {
    "leads": {
        "lead_status": "open", "closed_reason": None, "closed_at": None, "call_status": "no_selected",
        "call_attempts_count": 0,
    },
    "lead_phones": {},
    "call_schedule": {
        "status": "pending", "lease_owner": None, "lease_token": None, "lease_expires_at": None, "last_outcome": None,
    },
}


def add_uncalled(house: House, copy: Rows) -> None:
    """What was added since, as it was before it was called: the copy was taken after it had been added."""
    now = read_all(house)
    for name, fresh in UNCALLED.items():
        columns = [one.strip("`") for one in columns_of(tables.metadata.tables[name])]
        known = {row[0] for row in copy[name]}
        for row in now[name]:
            if row[0] not in known:
                full = dict(zip(columns, row, strict=True)) | fresh
                copy[name].append(tuple(full[column] for column in columns))
