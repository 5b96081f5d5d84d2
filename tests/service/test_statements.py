"""What a take and its answers cost in statements does not grow with the rows in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event

from scheduler.store.database import Database
from tests.factories import Station, add_campaign, add_due_lead, attempts_of, ended_at_once, events_of, set_config

MOST = 34
"""On a server; reading the time is no statement on SQLite, nor is an insert of many rows one by one."""


@pytest.mark.parametrize("leads", [1, 60])
def test_a_take_and_its_answers_cost_as_many_statements_for_sixty_rows_as_for_one(runtime, database, leads):
    set_config(database, max_concurrent_calls="100")
    campaign_id = add_campaign(database, call_settings=ALWAYS_OPEN)
    for number in range(2 * leads):
        add_due_lead(database, f"+5691000{number:04}", campaign_id=campaign_id)
    station = Station(runtime, places=leads)
    station.provider.waits = False  # so that all answers come at once
    station.provider.answers(None, *[ended_at_once("busy")] * 200)
    station.dispatcher._turn(leads)  # a process reads what it keeps once
    station.dispatcher.drain()

    with counted(database) as statements:
        taken = station.dispatcher._turn(leads).taken
        assert station.dispatcher.drain(20)

    assert taken == leads
    assert statements.total() <= MOST, statements.most_common()
    assert max(statements.values()) <= 3, statements.most_common(3)


def test_one_act_is_one_row(runtime, database):
    lead_id = add_due_lead(database, "+56910000001")
    station = Station(runtime)
    station.provider.answers(None, *[ended_at_once("busy")] * 200)
    station.dispatch()

    [attempt] = attempts_of(database, lead_id)
    assert (attempt.claimed_by, len(events_of(database, "planned")), events_of(database, "dialed")) == (
        "station:1", 1, []
    )
    assert attempt.rule_version == events_of(database, "planned")[0].rule_version


ALWAYS_OPEN = {"windows": {"all": [["00:00", "24:00"]]}}


@contextmanager
def counted(database: Database) -> Iterator[Counter[str]]:
    statements: Counter[str] = Counter()

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        statements[statement[:60]] += 1

    event.listen(database.engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(database.engine, "before_cursor_execute", note)
