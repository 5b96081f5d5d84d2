"""Campaigns over HTTP: what an edit does is said before it is done, and is what then happens."""

from __future__ import annotations

from datetime import timedelta

import pytest

from scheduler.store import tables
from tests import factories
from tests.conftest import NOON

CAMPAIGNS = "/api/v1/campaigns"
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def test_what_a_campaign_would_be_like_is_told_before_it_is_made(client, database):
    night = {"windows": {"mon-fri": [["20:00", "02:00"]]}}
    body = {"name": "Nights", "call_settings": {**night, "overnight": True}}
    refused = client.post(f"{CAMPAIGNS}?dry_run=true", json={"name": "Nights", "call_settings": night})
    told = client.post(f"{CAMPAIGNS}?dry_run=true", json=body)

    assert refused.status_code == 422
    assert "it goes on past midnight until 02:00 of the next day" in refused.text
    assert told.status_code == 200
    assert told.json() == {
        "dry_run": True, "hours": ["mon-fri 20:00-02:00"], "closed_days": [7],
        "nights": [f"{day} 20:00-02:00" for day in ("mon", "tue", "wed", "thu", "fri")],
    }
    assert factories.find_all(database, tables.campaigns) == []


def test_a_campaign_is_made_with_settings_and_answers_with_where_it_is(client, database):
    answer = client.post(CAMPAIGNS, json={
        "name": "Autumn", "code": "autumn", "priority": 3, "group": "north", "deadline_days": 30, "paused": True,
        "call_settings": {
            "retry_settings": {"max_attempts": 4}, "allowed_call_hours": {"start": "9:00", "end": "19:00"},
        },
    })

    assert answer.status_code == 201
    made = answer.json()
    assert answer.headers["location"] == f"/api/v1/campaigns/{made['id']}"
    assert (made["status"], made["group_name"], made["fecha_limite"]) == ("paused", "north", "2026-12-20")
    assert made["call_settings"]["retry_settings"] == {"max_attempts": 4}
    assert client.get(answer.headers["location"]).json() == made == client.get(f"{CAMPAIGNS}/autumn").json()
    assert factories.events_of(database, "campaign_created")[0].actor == "open"


def test_the_effect_of_a_dry_run_is_what_the_edit_then_does(client, database, runtime, clock):
    """Five calls at noon in Santiago; from 14:00 on, all of them move there."""
    campaign_id = factories.add_campaign(database, "autumn", call_settings={"timezone": "America/Santiago"})
    for minute in range(5):
        factories.add_due_lead(database, campaign_id=campaign_id, at=NOON + timedelta(minutes=minute))
    daemon = factories.Station(runtime)
    daemon.upkeep()
    edit = {"set": {"allowed_hours": {"start": "14:00", "end": "19:00"}}, "reason": "nobody answers at noon"}

    told = client.patch(f"{CAMPAIGNS}/autumn?dry_run=true", json=edit).json()
    assert told["dry_run"] and (told["waiting"], told["moved"]) == (5, 5)
    assert told["changes"] == [{
        "field": "call_settings", "before": {"timezone": "America/Santiago"},
        "after": {"timezone": "America/Santiago", "allowed_hours": {"start": "14:00", "end": "19:00"}},
    }]
    assert factories.events_of(database, "campaign_edited") == []
    done = client.patch(f"{CAMPAIGNS}/autumn", json=edit).json()

    assert done == {**told, "dry_run": False}
    assert "nobody answers at noon" in factories.events_of(database, "campaign_edited")[0].reason
    clock.advance(timedelta(minutes=5))
    daemon.upkeep()
    daemon.dispatch()
    at = {row.scheduled_at for row in factories.find_all(database, tables.call_schedule)}
    assert at == {NOON + timedelta(hours=2)}


def test_an_edit_of_a_campaign_that_was_changed_meanwhile_is_refused(client, database):
    factories.add_campaign(database, "autumn")
    first = client.get(f"{CAMPAIGNS}/autumn")
    tag = first.headers["etag"]

    assert client.get(f"{CAMPAIGNS}/autumn", headers={"If-None-Match": tag}).status_code == 304
    assert client.patch(f"{CAMPAIGNS}/autumn", json={"priority": 1}, headers={"If-Match": tag}).status_code == 200
    stale = client.patch(f"{CAMPAIGNS}/autumn", json={"priority": 2}, headers={"If-Match": tag})

    assert stale.status_code == 412
    assert client.get(f"{CAMPAIGNS}/autumn", headers={"If-None-Match": tag}).json()["priority"] == 1


@pytest.mark.parametrize(("body", "status", "said"), [
    ({"name": "x", "priority": "1"}, 422, "body.priority"),
    ({"name": "x", "priority": True}, 422, "body.priority"),
    ({"name": "x", "colour": "red"}, 422, "there is no such field"),
    ({"name": "a\x00b"}, 422, "body.name"),
    ({"name": " "}, 422, "body.name"),
    ({"name": "x", "deadline": 0}, 422, "body.deadline"),
    ({"name": "x", "deadline": "2027-02-30"}, 422, "body.deadline"),
    ({"name": "x", "deadline": "2020-01-01"}, 409, "it is past"),
    ({"name": "x", "provider": "carrier-pigeon"}, 422, "body.provider"),
    ({"name": "x", "account": "nobody"}, 404, "there is no account nobody"),
    ({"name": "x", "call_settings": {"max_attempts": "3"}}, 422, "max_attempts"),
    ({"name": "x", "call_settings": {"zones": ["Mars/Olympus"]}}, 422, "zones"),
    ({"name": "x", "call_settings": {"allowed_hours": {"start": "20:00", "end": "09:00"}}}, 422, "later than"),
    ({"name": "x", "call_settings": "{"}, 422, "body.call_settings"),
    ([], 422, "body"),
])
def test_what_cannot_be_a_campaign_is_refused_in_one_sentence_and_makes_none(client, database, body, status, said):
    answer = client.post(CAMPAIGNS, json=body)

    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert said in answer.json()["detail"]
    assert factories.find_all(database, tables.campaigns) == []


@pytest.mark.parametrize(("body", "kind", "status"), [
    (b'{"name": "x"', "application/json", 400),
    (b'{"name": "\\ud800"}', "application/json", 422),
    (b'{"name": "x", "priority": NaN}', "application/json", 422),
    (b'{"name": "\xff"}', "application/json", 400),
    (b"[" * 50_000, "application/json", 400),
    (b'{"name": "x", "code": "a", "code": "b"}', "application/json", 400),
    (b'{"name": "x", "call_settings": {"max_attempts": 3, "max_attempts": 9}}', "application/json", 400),
    (b'{"name": "x"}', "text/plain", 415),
    (b"name=x", "application/x-www-form-urlencoded", 415),
    (b"", "application/json", 422),
])
def test_a_body_that_is_no_json_is_refused_and_makes_nothing(client, database, body, kind, status):
    answer = client.post(CAMPAIGNS, content=body, headers={"Content-Type": kind})

    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert factories.find_all(database, tables.campaigns) == []


def test_pause_resume_and_cancel_say_who_and_why(client, database):
    campaign_id = factories.add_campaign(database, "autumn")
    lead_id = factories.add_due_lead(database, campaign_id=campaign_id)
    campaign = f"{CAMPAIGNS}/{campaign_id}"

    assert client.post(f"{campaign}/pause", json={"reason": "lunch"}).json()["status"] == "paused"
    assert client.post(f"{campaign}/pause").status_code == 409
    assert client.post(f"{campaign}/resume").json()["message"] == "campaign autumn goes on"
    assert client.post(f"{campaign}/cancel", json={}).status_code == 422
    assert client.post(f"{campaign}/cancel", json={"reason": " "}).status_code == 422
    done = client.post(f"{campaign}/cancel", json={"reason": "withdrawn", "hangup": True})

    assert done.json() == {"code": "autumn", "closed_leads": 1, "hung_up": 0, "still_open": []}
    assert factories.lead_of(database, lead_id).closed_reason == "campaign_cancelled"
    said = client.get("/api/v1/events?people=true&campaign=autumn").json()["items"]
    assert [(one["kind"], one["actor"], one["reason"]) for one in said if one["lead_id"] is None] == [
        ("campaign_cancelled", "open", "withdrawn"), ("campaign_resumed", "open", None),
        ("campaign_paused", "open", "lunch"),
    ]


def test_pausing_everything_stops_all_but_what_was_paused_by_itself(client, database):
    factories.add_campaign(database, "one")
    factories.add_campaign(database, "two", status="paused")

    assert client.post("/api/v1/pause-all", json={"reason": "storm"}).json() == {"paused": ["one"]}
    assert client.post(f"{CAMPAIGNS}/one/resume").status_code == 409
    assert client.post("/api/v1/resume-all").json() == {"resumed": ["one"], "still_paused": ["two"]}
    assert client.post("/api/v1/resume-all").status_code == 409


def test_the_summary_counts_and_costs_nothing_while_nothing_changes(client, database):
    campaign_id = factories.add_campaign(database, "autumn")
    factories.add_due_lead(database, campaign_id=campaign_id)
    factories.add_lead(database, campaign_id=campaign_id, lead_status="suspended")

    first = client.get(f"{CAMPAIGNS}/autumn/summary")
    totals = first.json()["totals"]
    again = client.get(f"{CAMPAIGNS}/autumn/summary", headers={"If-None-Match": first.headers["etag"]})

    assert (totals["leads"], totals["open"], totals["held_up"], totals["progress"]) == (2, 1, 1, 0.0)
    assert (again.status_code, again.content) == (304, b"")


def test_the_id_of_one_campaign_may_be_the_code_of_another(client, database):
    first = factories.add_campaign(database, "one")
    second = factories.add_campaign(database, str(first))

    assert client.post(f"{CAMPAIGNS}/{first}/pause").json()["code"] == str(first)
    assert client.get(f"{CAMPAIGNS}/{second}").json()["status"] == "paused"
    assert client.get(f"{CAMPAIGNS}/one").json()["status"] == "active"


def test_methods_that_an_address_does_not_take_are_named_by_those_it_takes(client):
    for address, allowed in (
        (f"{CAMPAIGNS}/x", "GET, PATCH"), ("/api/v1/leads/bulk", "POST"),
        ("/api/v1/do-not-call/+56912345678", "DELETE, GET"),
    ):
        answer = client.put(address)
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
