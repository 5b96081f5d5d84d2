"""Nothing depends on a server's default character set or collation, and no text costs the facts beside it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy.dialects import mysql

from scheduler.errors import RingbackError
from scheduler.model import Outcome
from scheduler.providers.base import Accepted, CallReport, Phase
from scheduler.service.imports import import_leads
from scheduler.store import accounts, inbox, leads, listings, schema, tables
from scheduler.store.database import Database, change_rows, insert_rows
from scheduler.store.server import collations, list_odd_columns
from scheduler.store.texts import cut_bytes, dump_json, storable
from tests.conftest import NOON, fresh_database
from tests.factories import (
    HOUR,
    Station,
    add_campaign,
    add_due_lead,
    add_lead,
    attempt_of,
    chilean,
    find_all,
    lead_of,
    plan_call,
    sql,
)
from tests.servers import chosen

server_only = pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)
BEFORE = schema.list_revisions()[schema.list_revisions().index("0035") - 1]
EMOJI, HALF = "Ana 😀 Ñuñoa", "half \ud83d of a \udc00 pair"


# --- columns ---------------------------------------------------------------------------------------------------


def test_every_text_column_names_its_character_set_and_collation():
    dialect = mysql.dialect()
    unnamed = [
        f"{table.name}.{column.name}" for table in tables.metadata.sorted_tables for column in table.columns
        if any(word in (ddl := column.type.compile(dialect)) for word in ("CHAR", "TEXT", "ENUM"))
        and f"CHARACTER SET utf8mb4 COLLATE {tables.EXACT}" not in ddl
        and f"CHARACTER SET utf8mb4 COLLATE {tables.FOR_PEOPLE}" not in ddl
    ]  # fmt: skip

    assert unnamed == []


def test_what_is_unique_is_compared_letter_by_letter():
    folded = [
        f"{table.name}.{column.name}" for table in tables.metadata.sorted_tables
        for key in (table.primary_key, *(one for one in table.constraints if one.name and one.name.startswith("uq")))
        for column in key.columns if collations().get((table.name, column.name), tables.EXACT) != tables.EXACT
    ]  # fmt: skip

    assert folded == []


@pytest.fixture(params=["latin1"])
def elsewhere(request: pytest.FixtureRequest, mariadb_server: str) -> Iterator[Database]:
    """An empty database whose default character set is another one."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    with fresh_database(mariadb_server, f"ringback_test_else_{worker}_{os.getpid()}") as url:
        made = Database(url)
        sql(made, f"ALTER DATABASE CHARACTER SET {request.param}")
        yield made
        made.close()


def test_new_tables_take_nothing_from_the_servers_defaults(elsewhere: Database):
    elsewhere.transact(lambda connection: command.upgrade(schema.alembic_config(connection), "0026"))

    assert default_collations(elsewhere) == {tables.EXACT}  # halfway, by migrations that name none
    schema.upgrade(elsewhere)

    assert default_collations(elsewhere) == {tables.EXACT}
    assert schema.list_differences(elsewhere) == []


@pytest.mark.parametrize("elsewhere", ["utf8mb3", "utf8mb4 COLLATE utf8mb4_general_ci"], indirect=True)
def test_an_installation_made_wrong_is_mended_and_keeps_what_it_holds(elsewhere: Database):
    schema.upgrade(elsewhere)
    first, second = add_lead(elsewhere, "+56955501001", nombre="José Ñandú"), add_lead(elsewhere, "+56955501002")
    call = plan_call(elsewhere, first, reason="a wish")
    charset = spoil(elsewhere)
    before = everything(elsewhere)
    odd = elsewhere.read(list_odd_columns)
    assert f"accounts.code is in {charset.split()[-1]} and not in {tables.EXACT}" in odd
    sql(elsewhere, f"ALTER TABLE leads MODIFY email VARCHAR(255) CHARACTER SET utf8mb4 COLLATE {tables.FOR_PEOPLE}")
    said: list[str] = []

    schema.upgrade(elsewhere, said.append)

    assert (schema.list_differences(elsewhere), everything(elsewhere)) == ([], before)
    assert "setting the character set of leads ..." in said
    assert not any("daemons" in one for one in said), "an empty table takes no time"
    sql(elsewhere, "UPDATE leads SET nombre = :name WHERE id = :id", name=EMOJI, id=second)
    assert lead_of(elsewhere, second).nombre == EMOJI
    assert sql(elsewhere, "SELECT open_lead_id FROM call_schedule WHERE id = :id", id=call) == [(first,)]
    with pytest.raises(Exception, match="uq_call_schedule_open_lead"):
        plan_call(elsewhere, first)
    again: list[str] = []
    go_back(elsewhere)  # as after a cut just before the end: what is right already is passed by
    schema.upgrade(elsewhere, again.append)
    assert again == []


def test_what_differs_in_spaces_at_its_end_alone_becomes_one_or_is_named(elsewhere: Database):
    schema.upgrade(elsewhere)
    go_back(elsewhere)
    counts_spaces = "utf8mb4_0900_ai_ci" if chosen() == "mysql" else "utf8mb4_unicode_nopad_ci"
    for table, column in (("do_not_call", "telefono VARCHAR(32)"), ("campaigns", "code VARCHAR(64)")):
        sql(elsewhere, f"ALTER TABLE {table} MODIFY {column} CHARACTER SET utf8mb4 COLLATE {counts_spaces} NOT NULL")
    for number, until in (("+56955501001", "2027-01-01"), ("+56955501001 ", None), ("+56955501002", None)):
        sql(elsewhere, "INSERT INTO do_not_call (telefono, expires_at) VALUES (:number, :until)",
            number=number, until=until)  # fmt: skip
    first = add_campaign(elsewhere, "autumn")
    add_campaign(elsewhere, "autumn ")

    with pytest.raises(RingbackError, match=r"campaigns\.code: 'autumn' is there twice"):
        schema.upgrade(elsewhere)
    sql(elsewhere, "UPDATE campaigns SET code = 'autumn-1' WHERE id = :id", id=first)
    schema.upgrade(elsewhere)

    assert schema.list_differences(elsewhere) == []
    barred = sql(elsewhere, "SELECT RTRIM(telefono), expires_at FROM do_not_call ORDER BY 1")
    assert barred == [("+56955501001", None), ("+56955501002", None)]


def everything(database: Database) -> list[tuple[Any, ...]]:
    names = ("leads", "call_schedule", "scheduler_config")
    return [tuple(row) for table in names for row in sql(database, f"SELECT * FROM {table} ORDER BY 1")]


def go_back(database: Database) -> None:
    database.transact(lambda connection: command.downgrade(schema.alembic_config(connection), BEFORE))


def default_collations(database: Database) -> set[str]:
    rows = sql(database, "SELECT DISTINCT table_collation FROM information_schema.tables"
                         " WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE'")  # fmt: skip
    return {row[0] for row in rows}


def default_of(database: Database) -> str:
    (row,) = sql(database, "SELECT default_character_set_name, default_collation_name FROM information_schema.schemata"
                           " WHERE schema_name = DATABASE()")  # fmt: skip
    return f"{row[0]} COLLATE {row[1]}"


def spoil(database: Database) -> str:
    """Make of this database what earlier releases made where the server has this default."""
    go_back(database)
    charset = default_of(database)
    for table in sql(database, "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()"):
        sql(database, f"ALTER TABLE {table[0]} CONVERT TO CHARACTER SET {charset}")
    return charset


# --- what people and programs look for -----------------------------------------------------------------------


def test_leads_and_barred_numbers_are_found_by_the_beginning_of_their_number(database: Database):
    mine = add_lead(database, "+56955501001")
    add_lead(database, "+56855501001")
    for number in ("+56955501009", "+56455501009"):
        sql(database, "INSERT INTO do_not_call (telefono) VALUES (:number)", number=number)

    found = database.read(lambda one: leads.list_matching(one, leads.LeadFilter(phone_prefix="+569")))
    barred = sql(database, "SELECT telefono FROM do_not_call WHERE telefono >= '+569' AND telefono < '+56:'")

    assert list(found) == [mine]
    assert [row[0] for row in barred] == ["+56955501009"]


def test_a_digit_in_another_script_is_no_account(database: Database):
    for code in ("1", "2"):
        sql(database, "INSERT INTO accounts (code, name) VALUES (:code, 'x')", code=code)

    found = [database.read(lambda one, code=code: accounts.find_account(one, code)) for code in ("2", "²", "２")]

    assert [one.code if one else None for one in found] == ["2", None, None]


def test_ids_that_differ_in_a_case_or_an_accent_are_two(database: Database):
    keys = ["Kx7aB", "Kx7Ab", "kx7ab", "Kx7áB", "Kx7åB", "Kx7aB2"]
    rows = [
        {"provider": "dialer", "event_key": one, "kind": "end", "attempt_ref": None, "provider_call_id": one,
         "payload": {}} for one in keys
    ]  # fmt: skip

    new = database.transact(lambda connection: inbox.add_events(connection, rows, NOON))

    assert new == len(keys)
    found = sql(database, "SELECT provider_call_id FROM provider_events WHERE event_key = 'Kx7Ab'")
    assert [row[0] for row in found] == ["Kx7Ab"]


def test_calls_whose_ids_differ_in_a_case_all_settle(runtime, database, clock):
    station = Station(runtime)
    by_id = {call_id: chilean() for call_id in ("Kx7aB", "Kx7Ab", "kx7ab", "KX7AB")}
    made = {}
    for call_id, number in by_id.items():
        made[call_id] = add_due_lead(database, number)
        station.provider.answers(number, Accepted(call_id))
        station.provider.ends(number, "busy")
    station.dispatch()
    clock.advance(HOUR)
    station.follow()

    kept = {one: attempt_of(database, lead).provider_call_id for one, lead in made.items()}
    assert kept == {one: one for one in by_id}
    assert {attempt_of(database, lead).outcome for lead in made.values()} == {"busy"}


@server_only
def test_people_find_names_without_case_and_accents(database: Database):
    mine = add_lead(database, nombre="María José", apellidos="Sepúlveda Ñandú")
    add_lead(database, nombre="Ana", apellidos="Soto")

    def search(words: str) -> list[int]:
        return [row["id"] for row in database.read(lambda one: listings.list_leads_page(one, search=words, limit=9))]

    assert [search(one) for one in ("sepulveda", "MARIA", "ñandú", "Pérez")] == [[mine], [mine], [mine], []]


# --- what nobody can store -----------------------------------------------------------------------------------


@pytest.mark.parametrize("given, kept", [
    ("plain", "plain"), (EMOJI, EMOJI), ("\ud800", "\\ud800"), (f"{EMOJI}\udc00\0", f"{EMOJI}\\udc00\\x00"),
    ("a\0b", "a\\x00b"),
])  # fmt: skip
def test_a_text_keeps_what_can_be_stored_and_tells_the_rest(given, kept):
    assert storable(given) == kept
    kept.encode()


def test_two_texts_that_differ_still_differ():
    assert len({storable(one) for one in ("a\ud800", "a\ud801", "a\0", "a", "a?", "a\ufffd")}) == 6


@pytest.mark.parametrize("size", [65_536, 100_000])
@pytest.mark.parametrize("letter", ["x", "ñ", "😀"])
def test_a_long_text_is_cut_at_a_whole_letter(letter, size):
    found = cut_bytes(letter * size)

    assert 65_500 < len(found.encode()) <= 65_535
    assert set(found) == {letter, "…"}


def test_a_document_is_json_for_every_engine():
    found = dump_json({"a": float("nan"), "b": [float("inf"), HALF, {"\0": (1, 2)}], "c": EMOJI})

    assert json.loads(found) == {
        "a": "nan", "b": ["inf", "half \\ud83d of a \\udc00 pair", {"\\x00": [1, 2]}], "c": EMOJI,
    }


ODD_REPORTS: dict[str, dict[str, Any]] = {
    "emoji": {"summary": EMOJI, "provider_status": "ended 😀", "details": {"note": EMOJI}},
    "half of a pair": {"summary": HALF, "provider_status": HALF, "details": {HALF: [HALF]}, "cost_unit": "\ud800"},
    "nul": {"summary": "a\0b", "provider_status": "a\0b", "details": {"a\0": "\0"}},
    "too long": {"summary": "😀" * 70_000, "provider_status": "ñ" * 500, "details": {"x": "y" * 200_000},
                 "cost_unit": "dollars of the United States"},
    "halves, too long": {"summary": "\ud800" * 70_000, "provider_status": "\ud800" * 500, "cost_unit": "\ud800" * 16},
    "no numbers": {"details": {"a": float("nan"), "b": float("-inf"), "c": 10**400}},
}  # fmt: skip


@pytest.mark.parametrize("way", ["poll", "event", "amended"])
def test_a_text_that_cannot_be_stored_costs_no_callback_and_no_appointment(runtime, database, clock, way):
    """All of them in one batch: neither their own facts are lost, nor those of the others."""
    station = Station(runtime)
    asked, when = NOON + timedelta(days=3), NOON + timedelta(days=2)
    wish = {"outcome": Outcome.CALLBACK, "callback_at": asked.replace(tzinfo=None), "callback_zone": "UTC"}
    booking = {"outcome": Outcome.COMPLETED, "appointment_at": when}
    facts = {}
    for odd in ODD_REPORTS.values():
        for fact in (wish, booking):
            facts[number := chilean()] = {"provider_status": "over", **fact, **odd}
            add_due_lead(database, number)
    station.dispatch()
    clock.advance(HOUR)
    for number, fact in facts.items():
        (attempt,) = find_all(database, tables.call_attempts, telefono=number)
        if way == "poll":
            station.provider.ends(number, **fact)
            continue
        if way == "amended":
            station.provider.ends(number, "completed", is_final=False)
        report = CallReport(attempt.provider_call_id, Phase.ENDED, **fact)
        station.hears(f"end of {number}", report, ref=attempt.attempt_ref)
    if way != "event":
        station.follow()
    station.turn_inbox()

    ends = {one.telefono: one for one in find_all(database, tables.call_attempts)}
    for number, fact in facts.items():
        assert ends[number].outcome == fact["outcome"]
        if fact["outcome"] is Outcome.COMPLETED:
            assert lead_of(database, ends[number].lead_id).appointment_at == when
            continue
        (row,) = find_all(database, tables.call_schedule, lead_id=ends[number].lead_id, status="pending")
        assert row.promise and (row.wanted_at or row.scheduled_at) == asked


def test_an_event_with_half_a_character_is_kept_and_its_neighbours_too(database: Database):
    rows = [
        {"provider": HALF, "event_key": f"{HALF}{number}", "kind": HALF, "attempt_ref": HALF, "provider_call_id": HALF,
         "payload": {HALF: HALF, "deep": [HALF, {"\0": "\0"}]}} for number in range(3)
    ]  # fmt: skip

    assert database.transact(lambda connection: inbox.add_events(connection, rows, NOON)) == 3
    assert len(database.transact(lambda connection: inbox.take_events(connection, NOON, 9))) == 3


@pytest.mark.parametrize("words", [EMOJI, HALF, "a\0b", "x" * 1000, "😀" * 1000], ids=range(5))
def test_what_people_write_is_stored_by_every_way_of_writing(database: Database, words: str):
    row = {"lead_id": 1, "reason": words}
    database.transact(lambda one: one.execute(tables.call_schedule.insert().values(lead_id=2, reason=words)))
    database.transact(lambda one: insert_rows(one, tables.call_schedule, [row, {"lead_id": 3, "reason": "short"}]))
    ids = [one.id for one in find_all(database, tables.call_schedule)]
    database.transact(lambda one: change_rows(one, tables.call_schedule, [{"id": ids[2], "reason": words}, {
        "id": ids[0], "reason": words + "!"}], per_row=("reason",)))  # fmt: skip

    kept = [one.reason for one in find_all(database, tables.call_schedule)]
    assert all(one and len(one) <= 255 for one in kept)
    assert all(one.startswith(storable(words)[:20]) for one in kept)


def test_one_row_of_a_file_that_cannot_be_stored_costs_no_other(runtime, database, tmp_path: Path):
    file = tmp_path / "leads.csv"
    file.write_text("telefono,nombre,nota\n955501001,Ana 😀,👍\n955501002,Eva,ok\n955501003,𝓛𝓾𝔃,ok\n", "utf-8")

    report = import_leads(file, default_country="CL", runtime=runtime)

    assert (report.added, report.rejected) == (3, 0)
    assert [one.nombre for one in find_all(database, tables.leads)] == ["Ana 😀", "Eva", "𝓛𝓾𝔃"]


# --- the server these tests run on -----------------------------------------------------------------------------


@server_only
def test_the_database_of_these_tests_has_a_default_of_its_own(database: Database):
    """Where the default were ours, the tests above would prove nothing."""
    if os.environ.get("RINGBACK_TEST_MYSQL_URL"):
        pytest.skip("that server is somebody's own")
    wanted = {"mariadb": "latin1", "mysql": "utf8mb4 COLLATE utf8mb4_0900_ai_ci", "mariadb-11.8": "uca1400"}[chosen()]

    assert wanted in default_of(database)


