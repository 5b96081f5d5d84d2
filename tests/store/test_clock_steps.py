"""A clock that went back: noted once, and what it showed twice is not judged by its order."""

from __future__ import annotations

from datetime import timedelta

from scheduler.service.refs import new_refs
from scheduler.store import journal, tables
from tests.conftest import NOON
from tests.factories import MINUTE, add_lead, broken_promises

BACK = timedelta(seconds=90)


def test_a_step_is_noted_once_by_however_many(database):
    noted = [
        database.transact(lambda connection, late=late: journal.add_clock_step(connection, NOON + late, NOON + BACK))
        for late in (timedelta(0), timedelta(seconds=5))
    ]
    later = database.transact(
        lambda connection: journal.add_clock_step(connection, NOON + 9 * MINUTE, NOON + 20 * MINUTE)
    )

    assert (noted, later) == ([True, False], True)


def test_what_the_clock_showed_twice_is_not_judged_by_its_order(database):
    """Claimed at 12:01 by the clock before its step, closed at 12:00:30 after it: first the one, then the other."""
    called_then_closed(database)
    before = set(broken_promises(database))
    database.transact(lambda connection: journal.add_clock_step(connection, NOON, NOON + BACK))

    assert (before, set(broken_promises(database))) == ({"R17"}, set())


def test_what_is_beyond_the_step_is_judged_as_ever(database):
    called_then_closed(database)
    database.transact(lambda connection: journal.add_clock_step(connection, NOON - 9 * MINUTE, NOON - 5 * MINUTE))

    assert set(broken_promises(database)) == {"R17"}


def called_then_closed(database) -> None:
    lead_id = add_lead(database, lead_status="closed", closed_reason="completed", closed_at=NOON + MINUTE / 2)
    with database.engine.connect() as connection, connection.begin():
        connection.execute(tables.call_attempts.insert().values(
            attempt_ref=new_refs(1, NOON)[0], lead_id=lead_id, attempt_number=1, telefono="+56912345678",
            provider="simulator", state="ended", outcome="completed", claimed_at=NOON + MINUTE, ended_at=NOON + MINUTE,
        ))
