from __future__ import annotations

import pytest

from scheduler.errors import DatabaseUnavailable, InvalidValue
from scheduler.store.cdr import CallRecords
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


def test_a_name_that_is_no_table_is_refused(database_url):
    with pytest.raises(InvalidValue, match="ASTERISK_CDR_TABLE"):
        CallRecords(database_url, "cdr; DROP TABLE leads")


def test_a_database_that_is_away_is_said_without_its_password():
    away = CallRecords("mysql+pymysql://asterisk:hunter2@127.0.0.1:1/cdr")
    with pytest.raises(DatabaseUnavailable) as error:
        away(["a"])
    assert "hunter2" not in str(error.value)
