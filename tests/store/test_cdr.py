from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from scheduler.errors import DatabaseUnavailable, InvalidValue
from scheduler.store.cdr import CallRecords, ChannelEvents
from tests.factories import sql

# As contrib/ast-db-manage/cdr of Asterisk makes it, without the columns that nobody reads here.
TABLE = (
    "CREATE TABLE cdr (accountcode VARCHAR(80), {start} DATETIME, {answer} DATETIME, {end} DATETIME, duration INTEGER, "
    "billsec INTEGER, disposition VARCHAR(45), uniqueid VARCHAR(150), sequence INTEGER)"
)


@pytest.fixture
def records(database, database_url):
    mark = '"' if database.is_sqlite else "`"
    sql(database, "DROP TABLE IF EXISTS cdr")
    sql(database, TABLE.format(**{name: f"{mark}{name}{mark}" for name in ("start", "answer", "end")}))
    made = CallRecords(database_url)
    yield made
    made.close()
    sql(database, "DROP TABLE cdr")


def test_every_record_of_a_call_is_found_by_our_reference(records, database):
    for ref, disposition, talk in (("a", "NO ANSWER", 0), ("a", "ANSWERED", 42), ("b", "BUSY", 0), ("c", "FAILED", 0)):
        sql(database, "INSERT INTO cdr (uniqueid, disposition, billsec, duration) VALUES (:u, :d, :t, :t)",
            u=ref, d=disposition, t=talk)

    found = records(["a", "b", "nobody's"])

    assert [(row["uniqueid"], row["disposition"], row["billsec"]) for row in found] == [
        ("a", "NO ANSWER", 0), ("a", "ANSWERED", 42), ("b", "BUSY", 0),
    ]  # fmt: skip
    assert records([]) == []


def test_more_calls_than_fit_into_one_statement_are_found(records, database):
    for number in range(1200):
        sql(database, "INSERT INTO cdr (uniqueid, disposition) VALUES (:u, 'BUSY')", u=f"ref-{number}")

    assert len(records([f"ref-{number}" for number in range(1200)])) == 1200


def test_channel_events_are_read_with_whatever_columns_the_table_has(database, database_url):
    sql(database, "DROP TABLE IF EXISTS cel")
    columns = "eventtype VARCHAR(30), eventtime VARCHAR(40), uniqueid VARCHAR(150), more INTEGER"
    sql(database, f"CREATE TABLE cel ({columns})")
    for kind, at, ref in (("ANSWER", "1796145602.5", "a"), ("CHAN_START", "1796145600.5", "a"), ("HANGUP", "1", "b")):
        sql(database, "INSERT INTO cel VALUES (:k, :t, :u, 1)", k=kind, t=at, u=ref)
    events = ChannelEvents(database_url)

    found = events(["a", "nobody's"])
    events.close()
    sql(database, "DROP TABLE cel")
    assert [(row["eventtype"], row["eventtime"], row["more"]) for row in found] == [
        ("CHAN_START", "1796145600.5", 1), ("ANSWER", "1796145602.5", 1),
    ]  # fmt: skip


def test_asterisks_own_file_stays_as_it_is(tmp_path):
    """A reader that turned its journal to WAL would leave files that Asterisk's user cannot write."""
    file = tmp_path / "master.db"
    with closing(sqlite3.connect(file)) as own:
        own.execute("CREATE TABLE cdr (uniqueid, start, answer, end, duration, billsec, disposition)")
        own.execute("INSERT INTO cdr VALUES ('a', '', '', '', 0, 0, 'BUSY')")
        own.commit()
    before = file.read_bytes()
    records = CallRecords(f"sqlite:///{file}")

    assert [row["disposition"] for row in records(["a"])] == ["BUSY"]
    records.close()
    assert (file.read_bytes(), [one.name for one in tmp_path.iterdir()]) == (before, ["master.db"])
    with closing(sqlite3.connect(file)) as own:
        assert own.execute("PRAGMA journal_mode").fetchone() == ("delete",)


def test_a_file_that_is_not_there_is_not_made(tmp_path):
    records = CallRecords(f"sqlite:///{tmp_path / 'nothing.db'}")
    with pytest.raises(DatabaseUnavailable):
        records(["a"])
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_no_table_is_refused(database_url):
    with pytest.raises(InvalidValue, match="ASTERISK_CDR_TABLE"):
        CallRecords(database_url, "cdr; DROP TABLE leads")
    with pytest.raises(InvalidValue, match="ASTERISK_CEL_TABLE"):
        ChannelEvents(database_url, "cel; DROP TABLE leads")


def test_a_database_that_is_away_is_said_without_its_password():
    away = CallRecords("mysql+pymysql://asterisk:hunter2@127.0.0.1:1/cdr")
    with pytest.raises(DatabaseUnavailable) as error:
        away(["a"])
    assert "hunter2" not in str(error.value)
