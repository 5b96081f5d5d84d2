"""Folding goes on by itself, changes no figure, and what was miscounted is found and set right."""

from __future__ import annotations

import pytest

from scheduler.service.imports import import_leads
from scheduler.service.operations import reopen_lead, suspend_lead
from scheduler.store import totals
from tests.factories import MINUTE, Station, add_campaign, add_due_lead, attempt_of, lead_of, sql

ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def test_a_days_work_is_counted(runtime, database, clock):
    campaign_id = add_campaign(database)
    add_due_lead(database, number := "+56911111111", campaign_id=campaign_id)
    station = Station(runtime)
    station.dispatch()
    assert status(runtime, campaign_id).dials == 0  # it still rings
    station.provider.ends(number, "completed", talk_seconds=61)
    clock.advance(MINUTE)
    station.follow()
    before = status(runtime, campaign_id)
    station.upkeep()

    assert (before.dials, before.completed, before.talk_seconds, before.reached, before.progress) == (1, 1, 61, 1, 1.0)
    assert status(runtime, campaign_id) == before


def test_the_status_of_a_campaign_is_exact_while_it_is_imported_into(runtime, database, tmp_path):
    campaign_id = add_campaign(database, "spring")
    path = tmp_path / "leads.csv"
    path.write_text("nombre,telefono\n" + "".join(f"Ana,+5691234{number:04}\n" for number in range(1500)))
    seen = []

    def look(*_: object) -> None:
        said = sql(database, "SELECT COUNT(*) FROM leads")[0][0]
        seen.append((status(runtime, campaign_id).leads, said))

    import_leads(path, campaign="spring", default_country="CL", on_progress=look, runtime=runtime)
    look()

    assert len(seen) > 2 and all(counted == said for counted, said in seen)
    assert seen[-1] == (1500, 1500)


def test_a_suspended_lead_does_not_wait_for_money_any_more(runtime, database):
    lead_id = add_due_lead(database)
    sql(database, "UPDATE call_schedule SET reason = 'no balance: account a cannot pay for another call; top it up'")
    suspend_lead(lead_id, runtime=runtime)
    suspended = status(runtime, 0)
    reopen_lead(lead_id, runtime=runtime)

    assert (suspended.suspended, suspended.unpaid, suspended.held_up) == (1, 0, 1)
    assert (status(runtime, 0).pending, lead_of(database, lead_id).lead_status) == (1, "open")


@ON_SQLITE
def test_a_call_that_is_amended_after_its_end_is_counted_once(runtime, database, clock):
    lead_id = add_due_lead(database, number := "+56911111111")
    station = Station(runtime)
    station.dispatch()
    station.provider.ends(number, "no_answer")
    clock.advance(MINUTE)
    station.follow()
    sql(database, "UPDATE call_attempts SET cost = 0.25 WHERE id = :id", id=attempt_of(database, lead_id).id)

    assert (status(runtime, 0).dials, str(status(runtime, 0).cost)) == (1, "0.2500")


def status(runtime, campaign_id):
    return runtime.database.read(lambda connection: totals.read_totals(connection, [campaign_id]))[campaign_id]
