"""A person is erased everywhere, and the ledger stays; texts of calls age."""

from __future__ import annotations

from datetime import timedelta

import pytest

from scheduler.errors import Conflict, InvalidValue, NotFound
from scheduler.model import AttemptState
from scheduler.service import do_not_call
from scheduler.service.erasure import erase_person
from scheduler.service.imports import Manner, import_leads
from scheduler.store import erasure, tables
from tests.conftest import NOON, on_every_engine
from tests.factories import (
    Station,
    _insert,
    add_campaign,
    add_due_lead,
    add_lead,
    attempt_of,
    events_of,
    find_all,
    lead_of,
    with_settings,
)

NUMBER, NATIONAL = "+56987651234", "9 8765 1234"
LEFT_OUT = {"do_not_call", "alembic_version"}


@pytest.fixture
def person(database, runtime, tmp_path):
    """Somebody who is in every table: called, told of, imported twice, barred."""
    campaign = add_campaign(database, "autumn")
    lead = add_due_lead(database, NUMBER, campaign_id=campaign, nombre="Zacarias", apellidos="Quintanilla",
                        email="zq@example.org", variables={"debt": "D-777", "note": "calls Zacarias"})
    _insert(database, tables.lead_phones, {"lead_id": lead, "position": 2, "telefono": "+56987655678"})
    with database.engine.connect() as connection, connection.begin():
        connection.execute(tables.lead_terms.insert().values(lead_id=lead, term="zacarias"))
    attempt = _insert(database, tables.call_attempts, {
        "attempt_ref": "ref-z", "lead_id": lead, "campaign_id": campaign, "attempt_number": 1, "telefono": NUMBER,
        "provider": "retell", "provider_call_id": "call-z", "state": AttemptState.ENDED.value, "outcome": "completed",
        "claimed_at": NOON, "ended_at": NOON, "cost": "0.5", "summary": "Zacarias said yes", "debt": "D-777",
        "details": {"transcript": "I am Zacarias"}, "error": "to 9 8765 1234",
    })
    for key, ref, call in (("e1", "ref-z", None), ("e2", None, "call-z")):
        _insert(database, tables.provider_events, {
            "provider": "retell", "event_key": key, "attempt_ref": ref, "provider_call_id": call,
            "payload": {"from": NATIONAL, "text": "Zacarias"}, "result": "Zacarias", "processed_at": NOON,
        })
    _insert(database, tables.events, {
        "at": NOON, "kind": "ended", "actor": "x", "lead_id": lead, "attempt_id": attempt, "reason": "Zacarias",
        "details": {"telefono": NUMBER},
    })
    _insert(database, tables.idempotency_keys, {
        "caller": "key:1", "idempotency_key": "k", "request_sha256": "0", "answer": f"made {NUMBER}",
    })
    do_not_call.bar_number(NUMBER, reason="Zacarias asked", runtime=runtime)
    file = tmp_path / "again.csv"
    file.write_text(f"nombre,telefono\nZacarias,{NATIONAL}\nAna,+56911112222\n")
    import_leads(file, campaign="autumn", default_country="CL", runtime=runtime, manner=Manner(keeps_rejects=True))
    return lead


@on_every_engine
def test_nothing_of_a_person_is_left_but_the_ledger(person, database, runtime):
    assert hits(database) > 8
    done = erase_person(number=NATIONAL, reason="request 14", runtime=runtime)

    assert (done.leads, done.is_barred) == ((person,), True)
    assert hits(database) == 0
    assert find_all(database, tables.lead_terms, lead_id=person) == []
    lead = lead_of(database, person)
    assert (lead.lead_status, lead.closed_reason, lead.nombre, lead.telefono) == ("closed", "erased", None, None)
    attempt = attempt_of(database, person)
    assert (attempt.outcome, attempt.ended_at, float(attempt.cost)) == ("completed", NOON, 0.5)
    assert attempt.telefono.startswith("erased-")
    [entry] = find_all(database, tables.do_not_call)
    assert (entry.telefono, entry.reason) == (NUMBER, "asked not to be called")
    assert [(one.reason, one.details) for one in events_of(database, "person_erased")] == [
        ("request 14", {"leads": [person]})
    ]
    assert {one.nombre for one in find_all(database, tables.leads)} == {None, "Ana"}
    assert all(one.status == "cancelled" for one in find_all(database, tables.call_schedule) if one.lead_id == person)


@on_every_engine
def test_what_a_vendor_tells_later_is_taken_out_too(person, database, runtime, clock):
    erase_person(lead_ids=[person], reason="request", runtime=runtime)
    database.transact(lambda connection: connection.execute(
        tables.call_attempts.update().values(summary="Zacarias said yes", details={"transcript": "Zacarias"})
    ))
    Station(runtime).upkeep()

    assert "Zacarias" not in repr(find_all(database, tables.call_attempts))


def test_nobody_is_erased_in_the_middle_of_a_call_or_without_a_reason(database, runtime):
    lead = add_lead(database, NUMBER)
    _insert(database, tables.call_attempts, {
        "attempt_ref": "r", "lead_id": lead, "attempt_number": 1, "telefono": NUMBER, "provider": "simulator",
        "state": AttemptState.LIVE.value, "claimed_at": NOON,
    })
    with pytest.raises(Conflict, match="in flight"):
        erase_person(lead_ids=[lead], reason="x", runtime=runtime)
    with pytest.raises(InvalidValue, match="who asked"):
        erase_person(lead_ids=[lead], reason=" ", runtime=runtime)
    with pytest.raises(NotFound):
        erase_person(reason="x", runtime=runtime)
    assert lead_of(database, lead).telefono == NUMBER


def test_every_column_of_leads_and_attempts_is_kept_or_erased():
    """Whoever adds a column decides which."""
    assert set(erasure.LEADS) == {one.name for one in tables.leads.c}
    assert set(erasure.ATTEMPTS) == {one.name for one in tables.call_attempts.c}


@on_every_engine
def test_texts_of_old_calls_go_and_the_others_stay(database, runtime, clock):
    lead = add_lead(database, NUMBER)
    for days in (40, 31, 5):
        at = NOON - timedelta(days=days)
        _insert(database, tables.call_attempts, {
            "attempt_ref": f"r{days}", "lead_id": lead, "attempt_number": 1, "telefono": NUMBER,
            "provider": "retell", "state": AttemptState.ENDED.value, "outcome": "completed", "claimed_at": at,
            "ended_at": at, "summary": f"said {days}", "details": {"transcript": "...", "direction": "out"},
        })
    Station(runtime).upkeep()
    assert [one.summary for one in find_all(database, tables.call_attempts)] == ["said 40", "said 31", "said 5"]
    Station(with_settings(runtime, keep_texts_days=30)).upkeep()

    found = find_all(database, tables.call_attempts)
    assert [one.summary for one in found] == [None, None, "said 5"]
    assert [one.details for one in found] == [{"direction": "out"}] * 2 + [{"transcript": "...", "direction": "out"}]


def hits(database) -> int:
    """Rows of any table in which the person can be found."""
    words = ("Zacarias", "Quintanilla", "zq@example", "D-777", "87651234", "8765 1234", "87655678")
    return sum(
        any(word in repr(row) for word in words) for table in tables.metadata.sorted_tables
        if table.name not in LEFT_OUT for row in find_all(database, table)
    )
