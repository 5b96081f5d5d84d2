"""Leads and calls are found as people say them, on every engine."""

from __future__ import annotations

from datetime import timedelta

import pytest

from scheduler.rules.terms import terms_of
from scheduler.service import operations
from scheduler.store import listings, tables, terms, timeline
from tests.conftest import on_every_engine, sqlite_suffices
from tests.each import each
from tests.factories import HOUR, Station, add_campaign, add_due_lead, add_lead, find_all, set_config, sql

MOBILE, FIXED, SPANISH, OTHER = "+56901002192", "+56223456789", "+34911223344", "+12125550123"


@pytest.fixture
def people(runtime, database):
    """Three leads as the program writes them, and what each is called."""
    set_config(database, searchable_variables="rut, contrato")

    def add(first, last, *phones, **more):
        return operations.add_lead(first, last, phones, runtime=runtime, **more)

    return {
        "rosa": add("Rosa María", "Sepúlveda O'Ryan", MOBILE, FIXED, email="Rosa.S@Example.org"),
        "jose": add("José", "Ñandú-Pérez", SPANISH,
                    variables={"rut": "12.345.678-5", "contrato": "POL-99/7", "x": "Secreto"}),
        "mary": add("Mary", "Smith", OTHER),
    }


SEARCHES = [
    ("901002192", {"rosa"}), ("9 0100 2192", {"rosa"}), ("09 0100 2192", {"rosa"}), ("2192", {"rosa"}),
    ("002192", {"rosa"}),
    ("+56 (0) 9 0100 2192", {"rosa"}), ("+56 9 0100 2192", {"rosa"}), ("5690", {"rosa"}), ("22345-6789", {"rosa"}),
    ("911 22 33 44", {"jose"}), ("(212) 555-0123", {"mary"}), ("999", set()),
    ("sepulveda", {"rosa"}), ("SEPÚLVEDA", {"rosa"}), ("sepul", {"rosa"}), ("rosa sepulveda", {"rosa"}),
    ("sepúlveda rosa", {"rosa"}), ("maria", {"rosa"}), ("oryan", {"rosa"}), ("o'ryan", {"rosa"}), ("lveda", {"rosa"}),
    ("ñandú", {"jose"}), ("nandu", {"jose"}), ("Ñandu", {"jose"}), ("jose nandu", {"jose"}), ("perez", {"jose"}),
    ("nandu-perez", {"jose"}), ("mar", {"rosa", "mary"}), ("jose smith", set()),
    ("rosa.s@example.org", {"rosa"}), ("ROSA.S@", {"rosa"}), ("s@example.org", set()),
    ("12.345.678-5", {"jose"}), ("123456785", {"jose"}), ("POL-99/7", {"jose"}), ("pol99", {"jose"}),
    ("secreto", set()),
    ("100%", set()), ("' OR 1=1", set()), ("_", set()),
]  # fmt: skip


@on_every_engine
def test_leads_are_found_as_people_say_them(runtime, database, people):
    names = {lead_id: name for name, lead_id in people.items()}
    for search, expected in SEARCHES:
        assert {names[one] for one in found(database, search)} == expected, search
        every = {"campaign_id": None, "status": None, "manual": None, "call_status": None, "import_id": None,
                 "reached": None, "called": None, "search": search}
        ids = database.read(lambda connection: timeline.list_ids(connection, **every))  # noqa: B023
        assert {names[one] for one in ids} == expected, search


@on_every_engine
def test_a_lead_written_or_changed_by_sql_is_found_after_the_next_pass_of_upkeep(runtime, database, clock):
    station = Station(runtime)
    lead_id = add_lead(database, MOBILE, nombre="Íñigo", apellidos="Ibáñez")
    station.upkeep()
    assert found(database, "inigo") == found(database, "ibanez") == found(database, "2192") == [lead_id]
    sql(database, "UPDATE leads SET apellidos = 'Núñez' WHERE id = :id", id=lead_id)
    clock.advance(timedelta(hours=1))
    station.upkeep()

    assert (found(database, "nunez"), found(database, "inigo ibanez")) == ([lead_id], [])
    sql(database, "DELETE FROM leads WHERE id = :id", id=lead_id)
    assert found(database, "nunez") == []


@sqlite_suffices
def test_other_variables_are_searchable_as_soon_as_they_are_chosen(runtime, database):
    station = Station(runtime)
    lead_id = operations.add_lead("Ana", "Soto", [MOBILE], variables={"contrato": "ZX-81"}, runtime=runtime)
    station.upkeep()
    assert found(database, "zx81") == []

    set_config(database, searchable_variables="contrato")
    station.upkeep()
    assert found(database, "zx81") == [lead_id]
    set_config(database, searchable_variables="")
    station.upkeep()

    assert found(database, "zx81") == []


@on_every_engine
def test_a_name_that_many_have_is_walked_to_and_page_after_page_gives_all_of_them(runtime, database):
    campaign = add_campaign(database)
    ids = [
        add_lead(database, nombre="María", apellidos="Rara" if at == 3 else "Soto", campaign_id=campaign)
        for at in range(12)
    ]
    Station(runtime).upkeep()
    few = 5

    wanted = database.read(lambda connection: terms.read_search(connection, "maria rara", few=few))
    assert (wanted.ids, len(wanted.ranges)) == (None, 1) or wanted.ids == {ids[3]}
    pages, before = [], None
    while rows := database.read(lambda connection: listings.list_leads_page(
        connection, search="maria", before=before, limit=5, few=few  # noqa: B023
    )):
        pages += [row["id"] for row in rows[:5]]
        before = pages[-1]

    assert pages == ids[::-1]


@on_every_engine
def test_calls_are_found_by_number_name_date_and_outcome(runtime, database, clock):
    station = Station(runtime)
    for number, name, outcome in ((MOBILE, "Sepúlveda", "no_answer"), (FIXED, "Soto", "completed")):
        lead_id = add_due_lead(database, number, apellidos=name, campaign_id=None)
        station.provider.ends(number, outcome)
        station.dispatch()
        clock.advance(HOUR / 2)
        station.follow()
        station.upkeep()
        sql(database, "UPDATE leads SET nombre = :name WHERE id = :id", name=name, id=lead_id)
    first, second = (one.id for one in find_all(database, tables.call_attempts))

    def calls(**asked):
        return [row["id"] for row in database.read(
            lambda connection: listings.list_attempts_page(connection, limit=10, **asked)
        )]

    assert calls(search="901002192") == calls(search="2192") == calls(search="sepulveda") == [first]
    assert calls(search="22345 6789") == calls(search="soto") == [second]
    assert calls(search="sepulveda", outcome="completed") == calls(search="nobody") == []
    assert calls(outcome="completed") == [second]
    at = find_all(database, tables.call_attempts)[1].claimed_at
    assert (calls(since=at), calls(until=at)) == ([second], [first])
    assert calls(search="soto", until=at) == []


@each("wanted, lead", [
    ({"jose", "nandu", "nanduperez", "perez", "#2912001096"}, (("José", "Ñandú-Pérez"), None, ["+6901002192"])),
    ({"a@b.c"}, ((None, None), " A@B.c ", [])),
    ({"李明", "7"}, (("李明", None), "", ["12"], [7, True, None, ["x"]])),
])  # fmt: skip
def test_what_a_lead_is_found_by(wanted, lead):
    assert set(terms_of(*lead)) == wanted


def found(database, search):
    rows = database.read(lambda connection: listings.list_leads_page(connection, search=search, limit=10))
    return [row["id"] for row in rows]
