"""The database killed, frozen, read-only, full, locked: no commit, no dial; and work goes on by itself."""

from __future__ import annotations

import resource
import signal
import threading
from collections.abc import Sequence

import pymysql
import pytest
from sqlalchemy import text

from tests.faults.conftest import BuildHouse
from tests.faults.harness import BACKSTOP, HELD_SECONDS, House, pause, wait_until
from tests.mariadb import PrivateMariaDB

pytestmark = pytest.mark.faults
on_mariadb = pytest.mark.parametrize("engine", ["mariadb"], indirect=True)
on_sqlite = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)

BACK_WITHIN = 5.0
"""Seconds from the database's return to the first dial, on a quiet machine."""


@on_mariadb
def test_the_server_killed_under_load(build_house: BuildHouse, server: PrivateMariaDB) -> None:
    house = build_house()
    house.add_leads(40)
    house.start_daemons(1)
    house.start_daemons(1, upkeep_interval=0.1, follow_interval=0.5, dispatch_interval=0.4)  # its heartbeat is cut off
    for _ in range(2):
        pause(house.random.uniform(0.3, 0.8))
        server.kill()
        pause(house.random.uniform(0.2, 1.0))
        server.start()
        house.kills += 1
        must_dial_again(house)
    house.require_clean(least_calls=60)
    assert not [one for one in house.logged_errors() if "older than what this process has done" in one]


@on_mariadb
def test_the_server_away_at_the_start_and_at_the_end(build_house: BuildHouse, server: PrivateMariaDB) -> None:
    house = build_house()
    house.add_leads(20)
    server.kill()
    daemon = house.start_daemon()
    wait_until(lambda: "trying again" in daemon.said(), "it says that the database is away", house.tell)
    server.start()
    must_dial_again(house, add=0)
    server.kill()
    wait_until(lambda: daemon.said().count("trying again") >= 2, "it says so again", house.tell)
    assert daemon.stop() == 0
    server.start()
    house.require_clean(least_calls=20)


@on_mariadb
def test_connections_killed_at_random(build_house: BuildHouse, server: PrivateMariaDB) -> None:
    house = build_house()
    house.add_leads(60)
    house.start_daemons(2)
    with server.connect() as admin, admin.cursor() as cursor:
        for _ in range(20):
            pause(0.1)
            cursor.execute("SELECT id FROM information_schema.processlist WHERE db = 'ringback'")
            victims = [row[0] for row in cursor.fetchall()]
            try:
                cursor.execute(f"KILL CONNECTION {house.random.choice(victims)}")
            except (IndexError, pymysql.err.MySQLError):
                continue  # it had gone already
    house.require_clean(least_calls=60)


@on_mariadb
def test_the_server_read_only_and_then_frozen(build_house: BuildHouse, server: PrivateMariaDB) -> None:
    house = build_house()
    house.use_account(without_admin_rights(server))
    house.add_leads(40)
    house.start_daemons(2)
    wait_until(lambda: house.simulator.count("accepted") > 5, "they dial", house.tell)
    with server.connect() as admin, admin.cursor() as cursor:
        cursor.execute("SET GLOBAL read_only = 1")
        house.wait_sent()
        asked = house.simulator.count("request")
        pause(2)
        assert house.simulator.count("request") == asked, "nothing may be dialed that cannot be written down"
        cursor.execute("SET GLOBAL read_only = 0")
    must_dial_again(house)
    assert server.process is not None
    server.process.send_signal(signal.SIGSTOP)
    pause(HELD_SECONDS + 0.5)
    server.process.send_signal(signal.SIGCONT)
    must_dial_again(house)
    house.require_clean(least_calls=80)


@on_mariadb
def test_a_storm_of_deadlocks(build_house: BuildHouse, server: PrivateMariaDB) -> None:
    house = build_house(max_attempts=2)
    storm(house, server, daemons=5, leads=60, seconds=2)
    house.require_clean(least_calls=80)


@on_mariadb
def test_an_operator_holding_rows_holds_up_nobody_else(build_house: BuildHouse) -> None:
    house = build_house()
    house.add_leads(60, sharing=0)
    with house.database.engine.connect() as operator, operator.begin():
        operator.execute(text("SELECT id FROM call_schedule WHERE id <= 30 FOR UPDATE")).all()
        operator.execute(text("SELECT id FROM leads WHERE id <= 30 FOR UPDATE")).all()
        house.start_daemons(2)
        wait_until(lambda: house.count_dialed() >= 30, "the other thirty are dialed", house.tell)
    house.require_clean(least_calls=60)


@on_sqlite
def test_sqlite_full(build_house: BuildHouse) -> None:
    house = build_house()
    house.add_leads(40)
    daemon = house.start_daemons(1)[0]
    wait_until(lambda: house.simulator.count("accepted") > 3, "it dials", house.tell)
    # No byte more in any file: the log of the database cannot grow, as on a full disk.
    resource.prlimit(daemon.child.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
    house.wait_sent()
    asked = house.simulator.count("request")
    house.add_leads(20)
    pause(2)
    assert house.simulator.count("request") == asked, "nothing may be dialed that cannot be written down"
    resource.prlimit(daemon.child.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    must_dial_again(house)
    house.require_clean(least_calls=40)


def storm(house: House, server: PrivateMariaDB, *, daemons: int, leads: int, seconds: float) -> int:
    """Many daemons, and operators who change the same rows the other way round, until there were deadlocks, and for
    so many seconds at least. Returns how many deadlocks.
    """
    before, over = count_deadlocks(server), threading.Event()
    operators = [
        threading.Thread(target=change_backwards, args=(server, over, tables), daemon=True)
        for tables in (("call_attempts", "leads", "call_schedule"), ("leads", "call_attempts"))
    ]
    house.add_leads(leads, sharing=0)
    for one in operators:
        one.start()
    house.start_daemons(daemons, dialing_places=5)
    turns = iter(range(1, 1000))

    def is_over() -> bool:
        house.try_to(lambda: house.add_leads(20, sharing=0))
        return next(turns) > seconds and count_deadlocks(server) > before

    wait_until(is_over, "there were deadlocks", house.tell, every=1)
    over.set()
    for one in operators:
        one.join(BACKSTOP)
        assert not one.is_alive()
    return count_deadlocks(server) - before


COLUMNS = {"leads": "region", "call_schedule": "reason", "call_attempts": "summary"}


def change_backwards(server: PrivateMariaDB, over: threading.Event, tables: Sequence[str]) -> None:
    """Transactions of an operator on what is in work, from the last row to the first, as no program of ours does it."""
    connection = server.connect()
    connection.select_db("ringback")
    with connection, connection.cursor() as cursor:
        while not over.is_set():
            try:
                cursor.execute(
                    "SELECT id, schedule_id, lead_id FROM call_attempts"
                    " WHERE state IN ('placing', 'live', 'unknown') ORDER BY id DESC LIMIT 40"
                )
                in_work = cursor.fetchall()
                for table in tables:
                    at = ("call_attempts", "call_schedule", "leads").index(table)
                    for row in in_work:
                        cursor.execute(
                            f"UPDATE {table} SET {COLUMNS[table]} = CONCAT('by hand ', {len(table)}) WHERE id = %s",
                            (row[at],),
                        )
                connection.commit()
            except pymysql.err.OperationalError:
                connection.rollback()  # it was the victim
            over.wait(0.02)


def count_deadlocks(server: PrivateMariaDB) -> int:
    with server.connect() as admin, admin.cursor() as cursor:
        if cursor.execute("SHOW GLOBAL STATUS LIKE 'Innodb_deadlocks'") == 0:  # Oracle's MySQL counts it elsewhere
            cursor.execute("SELECT name, `count` FROM information_schema.innodb_metrics WHERE name = 'lock_deadlocks'")
        return int(cursor.fetchall()[0][1])


def must_dial_again(house: House, *, add: int = 20, within: float = BACKSTOP) -> None:
    """New leads are dialed soon after the database is back, without anybody's help."""
    if add:
        wait_until(lambda: house.try_to(lambda: house.add_leads(add)), "leads can be added", house.tell)
    asked = house.simulator.count("request")
    wait_until(lambda: house.simulator.count("request") > asked, "it dials again", house.tell, seconds=within)


def without_admin_rights(server: PrivateMariaDB) -> tuple[str, str]:
    """An account that a read-only server refuses to write for."""
    with server.connect() as admin, admin.cursor() as cursor:
        cursor.execute("CREATE USER IF NOT EXISTS 'plain'@'127.0.0.1' IDENTIFIED BY 'plain'")
        cursor.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON ringback.* TO 'plain'@'127.0.0.1'")
    return "plain", "plain"
