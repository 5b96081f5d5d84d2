from __future__ import annotations

import re
import socket
import sqlite3
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import URL, event, exc, make_url

from scheduler.errors import Contended, DatabaseUnavailable, FileReplaced, InvalidValue, MissingExtra, SchemaMismatch
from scheduler.service.runtime import Runtime
from scheduler.store import schema, tables
from scheduler.store.database import MAX_TRIES, CommitUnclear, Database, DatabaseClock, Raw, change_rows, insert_row
from tests.conftest import NOON
from tests.factories import (
    MINUTE,
    Relay,
    Station,
    add_due_lead,
    add_lead,
    attempt_of,
    broken_promises,
    call_of,
    find_all,
    lead_of,
)
from tests.waiting import BACKSTOP

mariadb_only = pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)
sqlite_only = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


# --- races that are lost and run again ------------------------------------------------------------------------


@mariadb_only
def test_the_victim_of_a_deadlock_starts_again_and_both_are_done(database):
    leads = [add_lead(database), add_lead(database)]
    both_hold_one = threading.Barrier(2, timeout=BACKSTOP)
    tries: dict[str, int] = {}

    def crossing(name: str, order: list[int]) -> None:
        def work(connection) -> None:
            tries[name] = tries.get(name, 0) + 1
            for number, lead_id in enumerate(order):
                connection.exec_driver_sql("UPDATE leads SET priority = priority + 1 WHERE id = %s", (lead_id,))
                if number == 0 and tries[name] == 1:
                    both_hold_one.wait()

        database.transact(work)

    threads = [
        threading.Thread(target=crossing, args=("one", leads)),
        threading.Thread(target=crossing, args=("other", leads[::-1])),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(BACKSTOP)

    assert sorted(tries.values()) == [1, 2]
    assert [lead_of(database, one).priority for one in leads] == [2, 2]


@mariadb_only
def test_a_lock_that_was_waited_for_in_vain_undoes_the_first_half_too(database):
    held = add_lead(database)
    tries = 0
    with database.engine.connect() as operator:
        operator.exec_driver_sql("UPDATE leads SET priority = 9 WHERE id = %s", (held,))

        def work(connection) -> None:
            nonlocal tries
            tries += 1
            connection.exec_driver_sql("SET innodb_lock_wait_timeout = 1")
            connection.exec_driver_sql("INSERT INTO leads (nombre) VALUES ('half')")
            if tries == 2:
                operator.rollback()
            connection.exec_driver_sql("UPDATE leads SET priority = priority + 1 WHERE id = %s", (held,))
            connection.exec_driver_sql("SET innodb_lock_wait_timeout = 10")

        database.transact(work)

    assert tries == 2
    assert len(find_all(database, tables.leads, nombre="half")) == 1
    assert lead_of(database, held).priority == 1


@sqlite_only
def test_a_busy_file_is_waited_for(database):
    tries = 0

    @event.listens_for(database.engine, "checkout")
    def count(*_: object) -> None:
        nonlocal tries
        tries += 1
        if tries == 3:
            holder.rollback()

    with impatient_holder(database) as holder:
        database.transact(lambda connection: insert_row(connection, tables.leads, {"nombre": "Ana"}))

    assert tries == 3
    assert len(find_all(database, tables.leads)) == 1


@sqlite_only
def test_a_file_that_stays_busy_is_contended_and_not_away(database):
    with impatient_holder(database), pytest.raises(Contended, match="somebody else holds"):
        database.transact(lambda connection: insert_row(connection, tables.leads, {"nombre": "Ana"}))


@sqlite_only
def test_reading_goes_on_while_another_process_writes(database):
    add_lead(database)

    with impatient_holder(database) as holder:
        holder.execute("UPDATE leads SET nombre = 'other'")
        found = database.read(lambda connection: connection.exec_driver_sql("SELECT nombre FROM leads").scalar())

    assert found == "Ana"


def test_a_mistake_is_no_lost_race_and_is_not_repeated(database):
    tries = 0

    def work(connection) -> None:
        nonlocal tries
        tries += 1
        connection.execute(tables.campaigns.insert().values(name="no code"))

    with pytest.raises(exc.DBAPIError):
        database.transact(work)

    assert tries == 1


def test_work_that_raises_leaves_nothing(database):
    def work(connection) -> None:
        insert_row(connection, tables.leads, {"nombre": "half"})
        raise ValueError("enough")

    with pytest.raises(ValueError, match="enough"):
        database.transact(work)

    assert find_all(database, tables.leads) == []


def test_tries_are_bounded():
    assert MAX_TRIES < 20


# --- a commit whose answer is lost ----------------------------------------------------------------------------


@mariadb_only
@pytest.mark.parametrize("happened", [True, False])
def test_a_commit_without_an_answer_is_unclear_whether_it_happened_or_not(database, relayed, relay, happened):
    relay.cut_commit_after("INSERT INTO leads", is_passed_on=happened)

    with pytest.raises(CommitUnclear) as unclear:
        relayed.transact(lambda connection: insert_row(connection, tables.leads, {"nombre": "Ana"}))

    assert relay.cuts == 1
    assert len(find_all(database, tables.leads)) == happened
    assert "while committing" in str(unclear.value)
    assert "***" in str(unclear.value)


@mariadb_only
def test_after_an_unclear_commit_the_next_transaction_works(database, relayed, relay):
    relay.cut_commit_after("INSERT INTO leads")
    with pytest.raises(CommitUnclear):
        relayed.transact(lambda connection: insert_row(connection, tables.leads, {"nombre": "Ana"}))

    relayed.transact(lambda connection: insert_row(connection, tables.leads, {"nombre": "Eva"}))

    assert [one.nombre for one in find_all(database, tables.leads)] == ["Ana", "Eva"]


@mariadb_only
@pytest.mark.parametrize("happened", [True, False])
def test_nobody_is_dialed_on_an_intent_whose_commit_is_unclear(runtime, database, clock, relayed, relay, happened):
    station = Station(Runtime(runtime.settings, relayed, clock, runtime.providers))
    lead_id = add_due_lead(database)
    relay.cut_commit_after("INSERT INTO call_attempts", is_passed_on=happened)

    with pytest.raises(CommitUnclear):
        station.dispatcher.run_once()

    assert station.provider.dials == []
    assert call_of(database, lead_id).status == ("in_progress" if happened else "pending")
    station.provider.forgets(lead_of(database, lead_id).telefono)
    for _ in range(4):
        clock.advance(8 * MINUTE)  # the process that claimed it counts as gone after a quarter of an hour
        station.upkeep()
        station.follow()
    assert call_of(database, lead_id).status == "pending"
    assert lead_of(database, lead_id).call_attempts_count == 0
    assert broken_promises(database) == {}
    station.dispatch()
    assert len(station.provider.dials) == 1


@mariadb_only
@pytest.mark.parametrize("happened", [True, False])
def test_an_answer_whose_commit_is_unclear_is_written_again_to_the_same_end(
    runtime, database, clock, relayed, relay, happened
):
    station = Station(Runtime(runtime.settings, relayed, clock, runtime.providers))
    lead_id = add_due_lead(database)
    relay.cut_commit_after("SET state = 'live'", is_passed_on=happened)

    station.dispatch()

    assert relay.cuts == 1
    assert (attempt_of(database, lead_id).state, lead_of(database, lead_id).call_status) == ("live", "calling")
    assert len(station.provider.dials) == 1
    assert broken_promises(database) == {}


# --- away -----------------------------------------------------------------------------------------------------


def test_a_server_that_is_not_there_is_unavailable_in_one_sentence():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    check_unavailable(f"mysql+pymysql://ana:secret@127.0.0.1:{port}/ringback", "refused")


def test_a_wrong_password_is_unavailable_and_is_not_repeated_in_the_message(mariadb_server):
    check_unavailable(str(make_url(mariadb_server).set(username="ana", password="secret")), "user or password refused")


def test_a_database_that_does_not_exist_is_unavailable_and_says_what_to_do(mariadb_server):
    url = make_url(mariadb_server).set(database="nowhere").render_as_string(hide_password=False)

    check_unavailable(url, "create it first", secret=make_url(url).password)


def test_a_login_that_the_driver_has_no_library_for_says_which_extra_brings_it(tmp_path):
    def log_in(_connection) -> None:
        raise RuntimeError("'cryptography' package is required for sha256_password or caching_sha2_password")

    made = Database(f"sqlite:///{tmp_path / 'any.db'}")
    made.make_file()

    with pytest.raises(MissingExtra, match=r"needs the extra `mysql-rsa`; install it with .* install '?PyMySQL"):
        made.read(log_in)

    made.close()


def test_a_file_that_is_no_database_is_unavailable(tmp_path):
    (tmp_path / "notes.db").write_text("dear diary, " * 200)

    check_unavailable(f"sqlite:///{tmp_path / 'notes.db'}", "not an SQLite database")


def test_a_file_that_cannot_be_opened_is_unavailable(tmp_path):
    (tmp_path / "folder.db").mkdir()

    check_unavailable(f"sqlite:///{tmp_path / 'folder.db'}", "cannot be opened")


@pytest.mark.parametrize("what", ["deleted", "replaced", "its log deleted"])
def test_a_file_that_is_deleted_or_replaced_while_it_is_open_is_named(what, tmp_path):
    file, other = tmp_path / "ringback.db", tmp_path / "other.db"
    for one in (file, other):
        made = Database(f"sqlite:///{one}")
        made.make_file()
        made.transact(lambda connection: connection.exec_driver_sql("CREATE TABLE t (id INTEGER)"))
        made.close()
    database = Database(f"sqlite:///{file}")
    database.transact(lambda connection: connection.exec_driver_sql("INSERT INTO t VALUES (1)"))
    database.require_same_file()
    changed = tmp_path / "ringback.db-wal" if what == "its log deleted" else file
    changed.unlink()
    if what == "replaced":
        other.rename(file)

    with pytest.raises(FileReplaced, match=re.escape(str(changed))):
        database.require_same_file()
    database.close()


def test_a_file_that_is_opened_anew_may_be_another_one(tmp_path):
    file = tmp_path / "ringback.db"
    database = Database(f"sqlite:///{file}")
    for _ in range(2):
        database.make_file()
        database.transact(lambda connection: connection.exec_driver_sql("CREATE TABLE t (id INTEGER)"))
        database.require_same_file()
        database.close()
        file.unlink()


def test_a_file_that_is_not_there_is_refused_by_its_name_and_nothing_is_made(tmp_path):
    missing = Database(f"sqlite:///{tmp_path / 'no' / 'such one.db'}")

    for ask in (missing.read, missing.read_snapshot, missing.transact):
        with pytest.raises(SchemaMismatch, match=r"no file .*/no/such one\.db; make it with `ringback db upgrade`"):
            ask(lambda connection: connection.exec_driver_sql("SELECT 1").scalar_one())

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["new.db", "a folder/50% ready #1?.db", "file:as%20uri.db?uri=true"])
def test_an_upgrade_makes_the_file_that_is_named_and_its_folder(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    url = f"sqlite:///{name}" if "uri=" in name else URL.create("sqlite", database=name)
    made = Database(url)

    schema.upgrade(made)

    assert schema.read_state(made).is_current
    made.close()
    [file] = tmp_path.rglob("*.db")
    assert str(file.relative_to(tmp_path)) == ("as uri.db" if "uri=" in name else name)


def test_a_place_where_no_file_can_be_made_is_refused(tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(InvalidValue, match=r"it cannot be made .*; name another place"):
        schema.upgrade(Database(f"sqlite:///{tmp_path / 'file' / 'ringback.db'}"))


@sqlite_only
def test_a_full_disk_is_unavailable_and_nothing_is_written(database):
    def fill(connection) -> None:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        for _ in range(1000):
            insert_row(connection, tables.leads, {"nombre": "x" * 250})

    with pytest.raises(DatabaseUnavailable, match="disk is full; nothing was written"):
        database.transact(fill)

    assert find_all(database, tables.leads) == []


@pytest.mark.parametrize(
    "url, says",
    [
        ("postgresql://ana:secret@host/db", "mysql\\+pymysql://"),
        ("ana:secret@host", "write mysql"),
        ("sqlite://", "must be a file"),
        ("sqlite:///:memory:", "must be a file"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_without_its_password(url, says):
    with pytest.raises(InvalidValue, match=says) as refusal:
        Database(url)

    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize("prefix", ["mysql", "mysql+mysqldb", "mariadb", "mariadb+pymysql"])
def test_one_driver_serves_mysql_and_mariadb(prefix):
    database = Database(f"{prefix}://ana:secret@host/db")

    assert str(database) == "mysql+pymysql://ana:***@host/db"


# --- sessions and clocks --------------------------------------------------------------------------------------


def test_the_clock_of_the_database_is_aware_and_right(database):
    now = DatabaseClock(database).now()

    assert now.utcoffset() == timedelta(0)
    assert abs(now - datetime.now(UTC)) < timedelta(seconds=5)


@mariadb_only
def test_sessions_read_committed_rows_in_utc(database_url):
    fresh = Database(database_url)  # other tests change sessions of the one that they share
    found = fresh.read(lambda connection: connection.exec_driver_sql(
        "SELECT @@session.time_zone, @@innodb_lock_wait_timeout, @@sql_mode LIKE '%%STRICT_TRANS_TABLES%%'"
    ).one())
    isolation = fresh.read(lambda connection: connection.get_isolation_level())

    fresh.close()
    assert (isolation, *found) == ("READ COMMITTED", "+00:00", 10, 1)


@sqlite_only
def test_commits_on_sqlite_survive_a_power_cut(database):
    pragmas = database.read(lambda connection: [
        connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")
    ])

    assert pragmas == ["wal", 2]
    assert database.unsafe_durability() is None


@mariadb_only
def test_a_server_that_may_lose_commits_says_so(database):
    flush = database.read(lambda one: one.exec_driver_sql("SELECT @@innodb_flush_log_at_trx_commit").scalar())

    assert (database.unsafe_durability() is None) == (flush == 1)


# --- changing many rows ---------------------------------------------------------------------------------------


def test_a_thousand_rows_are_changed_each_with_its_own_value(database):
    database.transact(lambda connection: connection.execute(
        tables.leads.insert(), [{"id": number, "nombre": "x"} for number in range(1, 1101)]
    ))

    changed = database.transact(lambda connection: change_rows(
        connection, tables.leads, [{"id": one, "nombre": f"name {one}"} for one in range(1, 1101)],
        per_row=("nombre",), same={"updated_at": NOON, "priority": Raw("priority + 1")},
    ))

    rows = find_all(database, tables.leads)
    assert changed == 1100
    assert all(one.nombre == f"name {one.id}" and one.priority == 1 and one.updated_at == NOON for one in rows)


def test_rows_that_the_guard_shuts_out_are_neither_changed_nor_counted(database):
    leads = [add_lead(database, priority=number) for number in range(4)]

    changed = database.transact(lambda connection: change_rows(
        connection, tables.leads, [{"id": one} for one in leads], same={"nombre": "new"}, guard="priority >= 2"
    ))

    assert changed == 2
    assert [lead_of(database, one).nombre for one in leads] == ["Ana", "Ana", "new", "new"]


def test_a_change_that_changes_nothing_is_counted_all_the_same(database):
    lead_id = add_lead(database, nombre="same")

    for _ in range(2):
        assert database.transact(lambda connection: change_rows(
            connection, tables.leads, [{"id": lead_id}], same={"nombre": "same"}
        )) == 1


def test_kept_columns_are_not_taken_back_by_what_was_left_out(database):
    leads = [add_lead(database, email="ana@example.org"), add_lead(database, email="eva@example.org")]

    database.transact(lambda connection: change_rows(
        connection, tables.leads,
        [{"id": leads[0], "email": None}, {"id": leads[1], "email": "new@example.org"}],
        per_row=("email",), keep=True,
    ))

    assert [lead_of(database, one).email for one in leads] == ["ana@example.org", "new@example.org"]


def test_no_rows_are_no_statement(database):
    assert database.transact(lambda connection: change_rows(connection, tables.leads, [], same={"nombre": "x"})) == 0


@pytest.mark.parametrize(
    "column, value",
    [("closed_at", NOON), ("variables", {"a": Decimal("1.5")}), ("nombre", "Ñandú 🐦"), ("email", None)],
)
def test_values_are_written_alike_on_both_engines(database, column, value):
    lead_id = add_lead(database)

    database.transact(lambda connection: change_rows(
        connection, tables.leads, [{"id": lead_id, column: value}], per_row=(column,)
    ))

    written = {"a": "1.5"} if column == "variables" else value
    assert getattr(lead_of(database, lead_id), column) == written


def test_a_naive_instant_is_refused_here_too(database):
    lead_id = add_lead(database)

    with pytest.raises(ValueError, match="names no instant"):
        database.transact(lambda connection: change_rows(
            connection, tables.leads, [{"id": lead_id}], same={"closed_at": datetime.fromisoformat("2026-11-20")}
        ))


# --- what this file needs -------------------------------------------------------------------------------------


@pytest.fixture
def relay(database: Database) -> Iterator[Relay]:
    url = database.url
    made = Relay(url.host or "127.0.0.1", url.port or 3306)
    yield made
    made.close()


@pytest.fixture
def relayed(database: Database, relay: Relay) -> Iterator[Database]:
    """The same database, reached through the relay."""
    url = database.url.set(host="127.0.0.1", port=relay.port)
    made = Database(url.update_query_dict({"ssl_disabled": "true"}))  # the relay reads what passes
    yield made
    made.close()


class impatient_holder:  # noqa: N801  reads as what it is in a with statement
    """Another process that holds the write lock of an SQLite file, while we wait for nothing."""

    def __init__(self, database: Database) -> None:
        database.engine.dispose()
        event.listen(database.engine, "connect", lambda one, _: one.execute("PRAGMA busy_timeout = 0"))
        self._path = str(database.url.database)

    def __enter__(self) -> sqlite3.Connection:
        self._connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        self._connection.execute("BEGIN IMMEDIATE")
        return self._connection

    def __exit__(self, *_: object) -> None:
        if self._connection.in_transaction:
            self._connection.rollback()
        self._connection.close()


def check_unavailable(url: str, says: str, secret: str | None = "secret") -> None:
    database = Database(url)
    with pytest.raises(DatabaseUnavailable, match=says) as away:
        database.transact(lambda connection: connection.exec_driver_sql("SELECT 1 FROM leads"))
    database.close()
    message = str(away.value)
    assert "\n" not in message
    assert not secret or f":{secret}@" not in message


@pytest.mark.parametrize("option", ["charset=utf9", "charset=latin1", "foo=1", "password=x&bar=2"])
def test_an_option_of_a_url_that_cannot_be_used_is_named(option):
    with pytest.raises(InvalidValue, match=r"charset=utf8mb4|there is no such option") as refused:
        Database(f"mysql+pymysql://app:secret@127.0.0.1/app?{option}")

    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("option", ["charset=utf8", "charset=utf8mb3", "charset=UTF8MB4", "connect_timeout=3", ""])
def test_every_session_speaks_all_of_unicode(option):
    database = Database(f"mysql+pymysql://app:secret@127.0.0.1/app?{option}")

    assert database.engine.url.query["charset"] == "utf8mb4"
    database.close()


def test_the_file_of_a_database_is_for_its_owner_alone(tmp_path):
    made = Database(f"sqlite:///{tmp_path / 'ringback.db'}")
    schema.upgrade(made)

    modes = {one.name: oct(one.stat().st_mode & 0o777) for one in tmp_path.iterdir()}
    assert set(modes.values()) == {"0o600"}, modes
    made.close()
