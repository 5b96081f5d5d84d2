"""Lists page by page: every row once, in order, whatever is added meanwhile, and never by sorting a whole table."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from sqlalchemy import event

from scheduler.store import listings, tables
from scheduler.store.journal import LONGEST_TRANSACTION, find_first_since
from tests import factories
from tests.conftest import NOON


@pytest.fixture
def filled(database):
    """Three campaigns (two of one account), leads of all kinds, some of no campaign."""
    dice = random.Random(5)
    account = factories._insert(database, tables.accounts, {"code": "acme", "name": "Acme"})
    own = [factories.add_campaign(database, code, account_id=account, group_name="g") for code in ("one", "two")]
    other = factories.add_campaign(database, "three", status="paused")
    for number in range(60):
        campaign_id = dice.choice([*own, other, None])
        lead_id = factories.add_lead(
            database, campaign_id=campaign_id, nombre=dice.choice(["Ana", "Eva_"]), apellidos=f"Soto%{number % 7}",
            lead_status=dice.choice(["open", "closed", "suspended", None]), call_status=dice.choice(["busy", None]),
            manual_management=dice.choice([True, False, None]),
        )
        at = NOON + timedelta(minutes=dice.randrange(20))
        factories.plan_call(database, lead_id, at=at, status=dice.choice(["pending", "completed", "cancelled"]))
        for turn in range(2):
            state = dice.choice(["live", "ended", "refused"]) if turn else "ended"
            factories._insert(database, tables.call_attempts, {
                "attempt_ref": f"{number}-{turn}", "lead_id": lead_id, "campaign_id": campaign_id, "attempt_number": 1,
                "telefono": f"+5699{number:04d}{turn}", "provider": "simulator", "state": state,
                "claimed_at": dice.choice([at, None, NOON]), "outcome": "busy" if state == "ended" else None,
            })
        factories._insert(database, tables.events, {
            "at": NOON + timedelta(minutes=number), "kind": dice.choice(["lead_added", "planned"]),
            "actor": dice.choice(["cli", "key:front", "host:1"]), "lead_id": lead_id, "campaign_id": campaign_id,
        })
    return {"account": account, "own": own, "other": other}


def test_leads_come_once_each_newest_first_for_every_filter(database, filled):
    leads = {row.id: row for row in factories.find_all(database, tables.leads)}
    own = filled["own"]
    for wanted, matches in [
        ({}, lambda row: True),
        ({"account_id": filled["account"]}, lambda row: row.campaign_id in own),
        ({"campaign_id": filled["other"]}, lambda row: row.campaign_id == filled["other"]),
        ({"campaign_id": filled["other"], "account_id": filled["account"]}, lambda row: False),
        ({"account_id": 999}, lambda row: False),
        ({"status": "open"}, lambda row: row.lead_status in ("open", None)),
        ({"status": "suspended", "account_id": filled["account"]},
         lambda row: row.lead_status == "suspended" and row.campaign_id in own),
        ({"manual": False, "call_status": "busy"}, lambda row: not row.manual_management and row.call_status == "busy"),
        ({"call_status": "no_selected", "campaign_id": own[0]},
         lambda row: row.call_status is None and row.campaign_id == own[0]),
        ({"search": "%3"}, lambda row: row.apellidos.endswith("%3")),
        ({"search": "eva_", "campaign_id": own[1]}, lambda row: row.nombre == "Eva_" and row.campaign_id == own[1]),
    ]:
        expected = sorted((one for one, row in leads.items() if matches(row)), reverse=True)
        assert pages(database, listings.list_leads_page, **wanted) == expected, wanted


def test_a_lead_is_found_by_its_second_number_by_its_beginning_and_by_its_id(database):
    lead_id = factories.add_lead(database, "+56911112222", "+34600111222")
    factories.add_lead(database, "+56922223333")

    for search in ("+34600111222", "34 600-111", "+34600", str(lead_id)):
        assert pages(database, listings.list_leads_page, search=search) == [lead_id], search
    assert pages(database, listings.list_leads_page, search="+34600111223") == []
    assert pages(database, listings.list_leads_page, search="+34600", account_id=1) == []


def test_planned_calls_come_once_each_pending_ones_soonest_first(database, filled):
    rows = factories.find_all(database, tables.call_schedule)
    leads = {row.id: row for row in factories.find_all(database, tables.leads)}
    own = filled["own"]
    callable_ = {
        one for one, row in leads.items() if row.lead_status in ("open", None) and not row.manual_management
    }
    later = NOON + timedelta(minutes=8)
    for wanted, matches in [
        ({}, lambda row: True),
        ({"status": "pending"}, lambda row: row.status == "pending"),
        ({"status": "pending", "account_id": filled["account"]},
         lambda row: row.status == "pending" and row.campaign_id in own),
        ({"status": "cancelled", "campaign_id": own[0]},
         lambda row: row.status == "cancelled" and row.campaign_id == own[0]),
        ({"campaign_id": own[0]}, lambda row: row.campaign_id == own[0]),
        ({"due_at": later},
         lambda row: row.status == "pending" and row.scheduled_at <= later and row.lead_id in callable_),
        ({"since": later}, lambda row: row.scheduled_at >= later),
        ({"lead_id": rows[3].lead_id}, lambda row: row.lead_id == rows[3].lead_id),
    ]:
        soonest = wanted.get("status") == "pending" or "due_at" in wanted
        found = sorted((row for row in rows if matches(row)), key=lambda row: (row.scheduled_at, row.id))
        expected = [row.id for row in (found if soonest else found[::-1])]
        assert pages(database, listings.list_schedule_page, place=by_time("scheduled_at"), **wanted) == expected, wanted


def test_calls_of_many_campaigns_are_merged_in_order(database):
    dice = random.Random(7)
    for number in range(30):
        campaign_id = factories.add_campaign(database, f"c-{number}")
        for _ in range(2):
            lead_id = factories.add_lead(database, campaign_id=campaign_id, manual_management=dice.random() < 0.5)
            factories.plan_call(database, lead_id, at=NOON + timedelta(minutes=dice.randrange(9)))
    rows = sorted(factories.find_all(database, tables.call_schedule), key=lambda row: (row.scheduled_at, row.id))
    people = {row.id for row in factories.find_all(database, tables.leads) if not row.manual_management}
    later = NOON + timedelta(minutes=5)

    def found(**wanted):
        return pages(database, listings.list_schedule_page, place=by_time("scheduled_at"), limit=3, **wanted)

    assert found(status="pending") == [row.id for row in rows]
    assert found() == [row.id for row in rows[::-1]]
    assert found(until=later, since=NOON + timedelta(minutes=2)) == [
        row.id for row in rows[::-1] if NOON + timedelta(minutes=2) <= row.scheduled_at < later
    ]
    assert found(due_at=later) == [row.id for row in rows if row.scheduled_at <= later and row.lead_id in people]


def test_rows_typed_by_people_with_the_same_instant_in_several_spellings_come_once(database):
    """SQLite keeps the text: `15:00`, `15:00:00` and `15:00:00.000000` are one instant."""
    for _ in range(6):
        factories.add_due_lead(database)
    for number, spelling in enumerate(["15:00", "15:00:00", "15:00:00.000", "15:00:00.000000", "15:00:00.5"], 1):
        factories.sql(database, f"UPDATE call_schedule SET scheduled_at = '2026-11-20 {spelling}' WHERE id = "
                      f"(SELECT id FROM (SELECT id FROM call_schedule ORDER BY id LIMIT 1 OFFSET {number}) x)")

    ids = [row.id for row in factories.find_all(database, tables.call_schedule)]
    assert pages(database, listings.list_schedule_page, place=by_time("scheduled_at"), status="pending") == ids
    assert sorted(pages(database, listings.list_schedule_page, place=by_time("scheduled_at"))) == ids


def test_attempts_come_once_each_for_every_filter(database, filled):
    rows = factories.find_all(database, tables.call_attempts)
    own = filled["own"]
    for wanted, matches in [
        ({}, lambda row: True),
        ({"campaign_id": own[0]}, lambda row: row.campaign_id == own[0]),
        ({"account_id": filled["account"], "outcome": "busy"},
         lambda row: row.campaign_id in own and row.outcome == "busy"),
        ({"is_open": True}, lambda row: row.state == "live"),
        ({"is_open": True, "account_id": filled["account"]},
         lambda row: row.state == "live" and row.campaign_id in own),
        ({"state": "refused"}, lambda row: row.state == "refused"),
        ({"lead_id": rows[7].lead_id, "account_id": filled["account"]},
         lambda row: row.lead_id == rows[7].lead_id and row.campaign_id in own),
    ]:
        expected = sorted(row.id for row in rows if matches(row))
        assert sorted(pages(database, listings.list_attempts_page, place=by_time("claimed_at"), **wanted)) == expected


def test_what_happened_comes_once_each_for_every_filter(database, filled):
    rows = factories.find_all(database, tables.events)
    own = filled["own"]
    later = NOON + timedelta(minutes=40)
    for wanted, matches in [
        ({}, lambda row: True),
        ({"account_id": filled["account"]}, lambda row: row.campaign_id in own),
        ({"campaign_id": own[0], "kind": "planned"}, lambda row: row.campaign_id == own[0] and row.kind == "planned"),
        ({"kind": "planned", "actor": "cli"}, lambda row: row.kind == "planned" and row.actor == "cli"),
        ({"since": later}, lambda row: row.at >= later),
        ({"since": later, "campaign_id": own[1]}, lambda row: row.at >= later and row.campaign_id == own[1]),
        ({"people_only": True}, lambda row: row.kind == "lead_added" and row.actor in ("cli", "key:front")),
        ({"lead_id": rows[5].lead_id}, lambda row: row.lead_id == rows[5].lead_id),
    ]:
        expected = sorted((row.id for row in rows if matches(row)), reverse=True)
        assert pages(database, listings.list_events_page, **wanted) == expected, wanted


def test_a_page_looks_no_further_than_its_window_and_says_where_it_stopped(database, filled):
    rows = factories.find_all(database, tables.leads)
    wanted = [row.id for row in rows if row.call_status == "busy" and row.lead_status == "closed"][::-1]

    filters = {"call_status": "busy", "status": "closed", "limit": 8, "window": 9}
    first = database.read(lambda connection: listings.list_leads_page(connection, **filters))

    assert len(first) < 8 and first.goes_on_at == rows[-10].id
    assert pages(database, listings.list_leads_page, **filters) == wanted
    filters = {"outcome": "busy", "campaign_id": filled["other"], "limit": 2, "window": 3}
    attempts = factories.find_all(database, tables.call_attempts, outcome="busy", campaign_id=filled["other"])
    found = pages(database, listings.list_attempts_page, place=by_time("claimed_at"), **filters)
    assert sorted(found) == [row.id for row in attempts]


def test_rows_added_and_removed_between_two_pages_neither_repeat_nor_hide_others(database):
    ids = [factories.add_due_lead(database) for _ in range(6)]

    first = database.read(lambda connection: listings.list_leads_page(connection, limit=2))[:2]
    factories.add_lead(database)
    factories.sql(database, "DELETE FROM leads WHERE id = :id", id=first[-1]["id"])
    rest = pages(database, listings.list_leads_page, before=first[-1]["id"])

    assert [row["id"] for row in first] + rest == ids[::-1]


def test_numbers_barred_are_found_by_their_beginning(database):
    for number in ("+56911112222", "+56933334444", "+34600111222"):
        factories.bar(database, number)

    def found(search=None):
        rows = database.read(lambda connection: listings.list_numbers_barred_page(connection, search=search, limit=9))
        return [row["telefono"] for row in rows]

    assert found() == ["+34600111222", "+56933334444", "+56911112222"]
    assert found("569") == ["+56933334444", "+56911112222"]
    assert found("+56 9 1111 2222") == ["+56911112222"]
    assert found("nobody") == []


@pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)
def test_no_page_sorts_what_an_index_has_in_order(database, filled):
    """Asked of the server itself, for the walks of large tables."""
    walked = [
        lambda c: listings.list_leads_page(c, limit=2),
        lambda c: listings.list_leads_page(c, campaign_id=filled["other"], limit=2, before=10**9),
        lambda c: listings.list_schedule_page(c, status="pending", campaign_id=filled["other"], limit=2,
                                              before=(NOON, 3)),
        lambda c: listings.list_schedule_page(c, status="completed", campaign_id=filled["other"], limit=2),
        lambda c: listings.list_attempts_page(c, campaign_id=filled["other"], limit=2, before=(NOON, 3)),
        lambda c: listings.list_events_page(c, campaign_id=filled["other"], limit=2),
        lambda c: listings.list_events_page(c, kind="planned", limit=2),
    ]
    for walk in walked:
        for statement, plan in plans(database, walk):
            if " t FORCE INDEX" in statement:
                assert "filesort" not in plan, (statement, plan)


def by_time(name):
    return lambda row: (row[name], row["id"])


def pages(database, list_page, *, limit=4, place=lambda row: row["id"], before=None, **wanted):
    """The ids of all pages, one after the other."""
    found = []
    while True:
        rows = database.read(lambda c: list_page(c, before=before, limit=limit, **wanted))  # noqa: B023
        found += [row["id"] for row in rows[:limit]]
        assert len(found) < 1000, "it goes round in circles"
        if len(rows) > limit:
            before = place(rows[limit - 1])
        elif rows.goes_on_at is not None:
            before = rows.goes_on_at
        else:
            return found


def plans(database, read):
    said = []

    def remember(connection, cursor, statement, parameters, context, executemany):
        said.append((statement, parameters))

    event.listen(database.engine, "before_cursor_execute", remember)
    try:
        database.read(read)
    finally:
        event.remove(database.engine, "before_cursor_execute", remember)
    with database.engine.connect() as connection:
        return [
            (statement, str(connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).all()))
            for statement, parameters in said if statement.lstrip("(").startswith("SELECT")
        ]


@pytest.mark.parametrize("count", [1, 2, 3, 17])
def test_the_first_event_since_an_instant_is_found_by_halves(database, count):
    ids = []
    hour = timedelta(hours=1)
    for number in range(count):
        at = NOON + number * hour
        ids.append(factories._insert(database, tables.events, {"kind": "moved", "actor": "daemon", "at": at}))
        factories._insert(database, tables.events, {"kind": "gone", "actor": "daemon", "at": at})
    factories.sql(database, "DELETE FROM events WHERE kind = 'gone'")  # ids have gaps

    for number, row_id in enumerate(ids):
        since = NOON + number * hour + LONGEST_TRANSACTION
        first = database.read(lambda connection, since=since: find_first_since(connection, since))
        assert (ids[number - 1] if number else 0) < first <= row_id


def test_of_no_event_none_is_the_first(database):
    assert database.read(lambda connection: find_first_since(connection, NOON)) is None
