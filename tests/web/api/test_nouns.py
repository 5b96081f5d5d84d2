"""Leads, plans, calls, the do-not-call list, settings, accounts, daemons and figures over HTTP."""

from __future__ import annotations

import shlex
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import event

from scheduler.model import AttemptState
from scheduler.store import tables
from tests import factories
from tests.conftest import NOON
from tests.waiting import BACKSTOP, PLAIN

V1 = "/api/v1"
on_one_engine = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def test_a_lead_is_added_with_several_numbers_and_planned(client, database):
    factories.add_campaign(database, "autumn")
    answer = client.post(f"{V1}/leads", json={
        "nombre": "Ana", "apellidos": "Soto", "phones": ["+56912345678", "2 2345 6789"], "default_country": "CL",
        "campaign": "autumn", "variables": {"plan": "oro", "debt": 1.5, "vip": True}, "at": "2026-11-20T13:00",
    })

    assert answer.status_code == 201
    assert answer.json()["next_call_at"] == "2026-11-20T16:00:00Z"
    lead = client.get(answer.headers["location"]).json()
    assert [one["telefono"] for one in lead["phones"]] == ["+56912345678", "+56223456789"]
    assert lead["variables"] == {"plan": "oro", "debt": 1.5, "vip": True}
    assert lead["events"][0]["kind"] == "lead_added"


@on_one_engine
@pytest.mark.parametrize(("body", "status"), [
    ({"phones": []}, 422),
    ({"phones": ["abc"]}, 422),
    ({"phones": ["+999123456789"]}, 409),
    ({"phones": [56912345678]}, 422),
    ({"phones": ["+56912345678"], "time_zone": "Mars/Olympus"}, 422),
    ({"phones": ["+56912345678"], "campaign": "nowhere"}, 404),
    ({"phones": ["+56912345678"], "variables": {"a": [1]}}, 422),
    ({"phones": ["+56912345678"], "at": "2050-01-01T00:00:00Z"}, 422),
    ({"phones": ["+56912345678"], "at": 1900000000}, 422),
    ({"phones": ["+56912345678"], "nombre": "x" * 256}, 422),
])
def test_what_cannot_be_a_lead_is_refused_and_adds_nothing(client, database, body, status):
    answer = client.post(f"{V1}/leads", json=body)

    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert factories.find_all(database, tables.leads) == []


@on_one_engine
def test_a_lead_is_suspended_resumed_closed_and_reopened_with_who_and_why(client, database):
    campaign_id = factories.add_campaign(database, "autumn")
    lead_id = factories.add_due_lead(database, campaign_id=campaign_id)
    lead = f"{V1}/leads/{lead_id}"

    assert client.post(f"{lead}/suspend", json={"reason": "strike"}).json()["lead_status"] == "suspended"
    assert client.post(f"{lead}/resume").json()["lead_status"] == "open"
    assert client.post(f"{lead}/resume").status_code == 409
    assert client.post(f"{lead}/close", json={"reason": "paid"}).json()["lead_status"] == "closed"
    assert client.post(f"{lead}/close").status_code == 409
    assert client.post(f"{lead}/reopen", json={"reason": "paid too little"}).json()["lead_status"] == "open"

    said = client.get(f"{V1}/events?campaign=autumn&people=true").json()["items"]
    assert [(one["kind"], one["reason"]) for one in said] == [
        ("lead_reopened", "paid too little"), ("lead_closed", "paid"), ("lead_resumed", None),
        ("lead_suspended", "strike"),
    ]
    assert {one["actor"] for one in said} == {"open"}


def test_a_bulk_change_means_all_that_match_and_says_how_many(client, database):
    campaign_id = factories.add_campaign(database, "autumn")
    chosen = [factories.add_due_lead(database, campaign_id=campaign_id, region="ES-CT") for _ in range(3)]
    factories.add_lead(database, campaign_id=campaign_id, region="ES-CT", lead_status="closed")
    other = factories.add_due_lead(database, campaign_id=campaign_id, region="ES-MD")
    wanted = {"campaign": "autumn", "region": "ES-CT"}

    assert client.post(f"{V1}/leads/count", json=wanted).json() == {"matched": 4}
    bulk = {"action": "suspend", "filter": wanted, "reason": "strike"}
    assert client.post(f"{V1}/leads/bulk", json={**bulk, "expected": 3}).status_code == 409
    told = client.post(f"{V1}/leads/bulk", json={**bulk, "dry_run": True}).json()
    assert (told["matched"], told["changed"]) == (4, 0)
    assert factories.lead_of(database, chosen[0]).lead_status == "open"
    done = client.post(f"{V1}/leads/bulk", json={**bulk, "expected": 4}).json()

    assert (done["matched"], done["changed"], done["left"]) == (4, 3, {"closed already": 1})
    assert {factories.lead_of(database, one).lead_status for one in chosen} == {"suspended"}
    assert factories.lead_of(database, other).lead_status == "open"
    assert {one.reason for one in factories.events_of(database, "lead_suspended")} == {"strike"}
    assert client.post(f"{V1}/leads/bulk", json={"action": "close", "filter": {}}).status_code == 409


@on_one_engine
def test_a_call_is_planned_recorded_and_cancelled(client, database):
    lead_id = factories.add_due_lead(database)

    planned = client.post(f"{V1}/schedule", json={"lead_id": lead_id, "at": "2026-11-20T18:30:00+02:00"})
    assert (planned.status_code, planned.json()["scheduled_at"]) == (201, "2026-11-20T16:30:00Z")
    listed = client.get(f"{V1}/schedule?lead_id={lead_id}&status=pending").json()["items"]
    assert [one["id"] for one in listed] == [planned.json()["id"]]
    assert client.get(f"{V1}/schedule?due=true").json()["items"] == []
    recorded = client.post(f"{V1}/calls", json={"lead_id": lead_id, "outcome": "busy"})
    assert recorded.status_code == 201 and recorded.json()["message"]
    assert client.get(f"{V1}/calls?outcome=busy").json()["items"][0]["provider_status"] == "by_hand"
    cancel = {"lead_id": lead_id, "reason": "paid this morning"}
    assert client.post(f"{V1}/schedule/cancel", json=cancel).json()["cancelled"] == 1
    assert client.post(f"{V1}/schedule/cancel", json=cancel).json()["cancelled"] == 0
    assert client.post(f"{V1}/schedule/999/release").status_code == 404


@on_one_engine
def test_a_live_call_is_listed_and_hung_up(client, database, runtime):
    lead_id = factories.add_lead(database, "+56912345678")
    attempt_id = factories._insert(database, tables.call_attempts, {
        "attempt_ref": "a", "lead_id": lead_id, "attempt_number": 1, "telefono": "+56912345678",
        "provider": "simulator", "state": AttemptState.LIVE.value, "provider_call_id": "gone", "claimed_at": NOON,
    })
    listed = client.get(f"{V1}/calls?open=true")
    assert [one["id"] for one in listed.json()["items"]] == [attempt_id]
    tag = listed.headers["etag"]
    assert client.get(f"{V1}/calls?open=true", headers={"If-None-Match": tag}).status_code == 304

    answer = client.post(f"{V1}/calls/{attempt_id}/hangup", json={"reason": "wrong person"})

    assert answer.status_code == 200 and "no such call" in answer.json()["message"]
    assert factories.events_of(database, "call_hung_up")[0].reason == "wrong person"
    assert client.post(f"{V1}/calls/{attempt_id}/resolve", json={"outcome": "cancelled"}).status_code == 422


def live_call(database) -> int:
    lead_id = factories.add_due_lead(database, "+56912345678")
    return factories._insert(database, tables.call_attempts, {
        "attempt_ref": "r-1", "lead_id": lead_id, "attempt_number": 1, "telefono": "+56912345678",
        "provider": "simulator", "state": AttemptState.LIVE.value, "provider_call_id": "CA7", "claimed_at": NOON,
    })


@on_one_engine
def test_a_call_is_named_by_its_id_our_reference_or_its_providers_id(client, database):
    attempt_id = live_call(database)

    for name in (attempt_id, "r-1", "CA7"):
        assert client.get(f"{V1}/calls/{name}").json()["id"] == attempt_id
        assert [one["id"] for one in client.get(f"{V1}/calls?ref={name}").json()["items"]] == [attempt_id]
    assert client.get(f"{V1}/calls?ref=r-1&state=ended").json()["items"] == []
    assert client.get(f"{V1}/calls?ref=r-2").json() == {"items": [], "next_cursor": None}
    assert client.get(f"{V1}/calls/r-2").status_code == 404
    assert client.post(f"{V1}/calls/CA7/hangup", json={}).status_code == 200
    assert client.post(f"{V1}/calls/r-1/resolve", json={"outcome": "busy"}).status_code == 200
    assert client.get(f"{V1}/calls/CA7").json()["outcome"] == "busy"


@on_one_engine
@pytest.mark.parametrize("name", ["r-1", "CA7"])
def test_a_script_reports_what_it_learnt_on_a_call_by_its_reference(client, database, name):
    attempt_id = live_call(database)
    told = {"outcome": "callback", "callback_at": "2027-03-01T18:00:00Z", "summary": "Later."}

    said = client.post(f"{V1}/calls/{name}/result", json=told)
    again = client.post(f"{V1}/calls/{name}/result", json=told | {"outcome": "busy", "callback_at": None})
    opted_out = client.post(f"{V1}/calls/{name}/result", json={"outcome": "do_not_call"})

    assert [one.status_code for one in (said, again, opted_out)] == [201, 201, 201]
    assert "nothing follows" in again.json()["message"]
    row = client.get(f"{V1}/calls/{attempt_id}").json()
    assert (row["outcome"], row["summary"]) == ("do_not_call", "Later.")
    assert client.get(f"{V1}/do-not-call/+56912345678").json()["barred"] is True
    assert factories.attempt_of(database, row["lead_id"]).next_poll_at is not None, "its length and price come later"


@on_one_engine
def test_a_report_of_no_call_or_of_no_outcome_is_refused(client, database):
    live_call(database)

    assert client.post(f"{V1}/calls/r-9/result", json={"outcome": "busy"}).status_code == 404
    assert client.post(f"{V1}/calls/r-1/result", json={"outcome": "gone"}).status_code == 422
    late = {"outcome": "busy", "callback_at": "2027-03-01T18:00:00Z"}
    refused = client.post(f"{V1}/calls/r-1/result", json=late)
    assert "a time belongs to the outcome callback alone" in refused.text


def test_a_number_is_barred_in_any_spelling_and_never_made_weaker(client, database, clock):
    until = (NOON + timedelta(days=9)).isoformat()
    bar = {"telefono": "9 1234 5678", "default_country": "CL", "reason": "asked us", "expires_at": until}

    first = client.post(f"{V1}/do-not-call", json=bar).json()
    assert (first["telefono"], first["was_listed"]) == ("+56912345678", False)
    forever = client.post(f"{V1}/do-not-call", json={"telefono": "+56912345678", "reason": "again"}).json()
    assert (forever["was_listed"], forever["expires_at"], forever["reason"]) == (True, None, "asked us")
    shorter = client.post(f"{V1}/do-not-call", json=bar).json()
    assert shorter["expires_at"] is None
    assert client.get(f"{V1}/do-not-call/+56 9 1234 5678").json()["barred"] is True
    assert client.delete(f"{V1}/do-not-call/+56912345678").status_code == 422
    assert client.delete(f"{V1}/do-not-call/+56912345678?reason=a+mistake").status_code == 200
    assert client.get(f"{V1}/do-not-call/+56912345678").json() == {
        "telefono": "+56912345678", "barred": False, "entry": None,
    }
    assert client.delete(f"{V1}/do-not-call/+56912345678?reason=again").status_code == 404
    assert [one.reason for one in factories.events_of(database, "number_barred")] == ["asked us", "again", "asked us"]
    assert factories.events_of(database, "number_unbarred")[0].reason == "a mistake"


def test_an_expired_entry_begins_anew_and_one_typed_by_hand_counts(client, database, clock):
    factories.bar(database, "+56911111111", created_at=NOON - timedelta(days=9), expires_at=NOON - timedelta(days=1))
    factories.bar(database, "56922222222")

    assert client.get(f"{V1}/do-not-call/+56911111111").json()["barred"] is False
    anew = client.post(f"{V1}/do-not-call", json={"telefono": "+56911111111", "reason": "again"}).json()
    assert (anew["was_listed"], anew["created_at"], anew["reason"]) == (False, "2026-11-20T15:00:00Z", "again")
    assert client.get(f"{V1}/do-not-call/+56922222222").json()["entry"]["telefono"] == "56922222222"
    assert client.delete(f"{V1}/do-not-call/+56922222222?reason=typed+wrong").status_code == 200
    past = {"telefono": "+56933333333", "reason": "x", "expires_at": "2026-01-01T00:00:00Z"}
    assert client.post(f"{V1}/do-not-call", json=past).status_code == 409


@on_one_engine
def test_rules_are_set_together_or_not_at_all(client, database):
    answer = client.patch(f"{V1}/config", json={
        "values": {"working_hours_start": "21:00", "working_hours_end": "23:00", "working_days": [1, 2], "paused": True,
                   "holidays": ["CL", "2026-12-24"], "busy_delay_hours": None}, "reason": "night shift",
    })
    assert answer.status_code == 200
    assert factories.config_of(database, "working_days") == "1,2"
    assert factories.config_of(database, "holidays") == "CL,2026-12-24"
    assert factories.config_of(database, "paused") == "yes"
    assert factories.config_of(database, "busy_delay_hours") == ""
    assert len(factories.events_of(database, "config_set")) == 6

    for values, status in (
        ({"working_hours_end": "20:00", "ring_timeout": 60}, 409), ({"ring_timeout": "60"}, 422), ({"nothing": 1}, 422),
        ({"ring_timeout": 4}, 422), ({"timezone": "Mars/Olympus"}, 422), ({}, 422), ({"paused": "yes"}, 422),
    ):
        assert client.patch(f"{V1}/config", json={"values": values}).status_code == status, values
    assert factories.config_of(database, "ring_timeout") != "60"
    assert client.get(f"{V1}/config/working_hours_end").json()["config_value"] == "23:00"
    assert client.get(f"{V1}/config/nothing").status_code == 422


@on_one_engine
def test_an_account_is_made_filled_changed_and_closed(client, database):
    made = client.post(f"{V1}/accounts", json={
        "name": "Acme", "code": "acme", "billing_type": "credits", "balance": "250", "price_per_minute": "0.14",
    })
    assert (made.status_code, made.json()["balance"]) == (201, "250.0000")
    assert made.json()["entries"][0]["kind"] == "opening"
    account = f"{V1}/accounts/acme"

    filled = client.post(f"{account}/top-up", json={"amount": "12.5", "note": "invoice 7"})
    assert filled.json()["balance"] == "262.5000"
    assert client.post(f"{account}/adjust", json={"amount": "-2.5", "reason": "twice"}).json()["balance"] == "260.0000"
    for amount in ("0", "-1", "1e3", "1.23456", 5, "NaN"):
        assert client.post(f"{account}/top-up", json={"amount": amount}).status_code == 422, amount
    edited = client.patch(account, json={"max_concurrent_calls": 5, "low_balance": "10"}).json()
    assert (edited["max_concurrent_calls"], edited["low_balance"]) == (5, "10.0000")
    assert edited["price_per_minute"] == "0.1400"
    assert client.patch(account, json={"max_concurrent_calls": None}).json()["max_concurrent_calls"] is None
    assert client.post(f"{account}/close", json={"reason": "contract ended"}).json()["status"] == "closed"
    assert client.post(f"{account}/top-up", json={"amount": "1"}).status_code == 409
    assert client.post(f"{account}/reopen").json()["status"] == "active"
    assert client.post(f"{V1}/accounts", json={"name": "Acme", "code": "acme"}).status_code == 409
    assert factories.events_of(database, "account_closed")[0].reason == "contract ended"


@on_one_engine
def test_a_daemon_is_asked_to_drain_and_one_that_is_gone_is_not(client, database):
    row = {"owner": "host:1:abc", "host": "host", "pid": 1, "started_at": NOON, "last_seen_at": NOON}
    factories._insert(database, tables.daemons, row)
    gone = {**row, "owner": "host:2:abc", "last_seen_at": NOON - timedelta(hours=1)}
    factories._insert(database, tables.daemons, gone)

    listed = client.get(f"{V1}/daemons").json()["items"]
    assert [(one["owner"], one["silent"]) for one in listed] == [("host:2:abc", True), ("host:1:abc", False)]
    asked = client.post(f"{V1}/daemons/host:1:abc/drain", json={"reason": "upgrade"})
    assert asked.json() == {"owner": "host:1:abc", "wanted": "drain"}
    assert client.post(f"{V1}/daemons/host:1/resume").status_code == 409
    assert client.post(f"{V1}/daemons/host:2:abc/pause").status_code == 409
    assert client.post(f"{V1}/daemons/nobody/pause").status_code == 404
    assert "upgrade" in factories.events_of(database, "daemon_drain")[0].reason


def test_the_figures_are_those_of_the_tables(client, database):
    campaign_id = factories.add_campaign(database, "autumn")
    factories.add_due_lead(database, campaign_id=campaign_id)
    factories.add_due_lead(database, campaign_id=campaign_id, at=NOON + timedelta(hours=2))

    stats = client.get(f"{V1}/stats").json()
    assert (stats["due_now"], stats["totals"]["leads"], stats["campaigns"]) == (1, 2, {"active": 1})
    assert stats["next_due_at"] == "2026-11-20T15:00:00Z"
    alerts = client.get(f"{V1}/alerts").json()
    assert alerts["ok"] is (alerts["raised"] == 0)
    report = client.get(f"{V1}/report?campaign=autumn&since=7d").json()
    assert (report["campaign"], report["funnel"]["leads"]) == ("autumn", 2)
    for since, status in (("yesterday", 422), ("2027-01-01", 409), ("2026-11-19T00:00", 200), ("0d", 422)):
        assert client.get(f"{V1}/report?since={since}").status_code == status, since


@pytest.mark.counts_kept
def test_the_figures_take_as_many_statements_however_many_campaigns_there_are(client, database, monkeypatch):
    statements: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda *of: statements.append(of[2]))
    for code in range(3):
        campaign_id = factories.add_campaign(database, f"c{code}")
        factories.add_due_lead(database, campaign_id=campaign_id)
        factories.add_due_lead(database, campaign_id=campaign_id, at=NOON + timedelta(hours=2))
    factories.add_due_lead(database)
    paused = factories.add_campaign(database, "paused", status="paused")
    factories.add_due_lead(database, campaign_id=paused)

    client.get(f"{V1}/stats")
    statements.clear()
    stats = client.get(f"{V1}/stats").json()

    assert (stats["due_now"], stats["due_is_at_least"]) == (4, False)
    asked = [one for one in statements if one.startswith("SELECT")]
    assert len(asked) < 10, "\n".join(one[:90].replace("\n", " ") for one in asked)
    monkeypatch.setattr("scheduler.web.api.figures.DUE_COUNTED", 3)
    stats = client.get(f"{V1}/stats").json()
    assert (stats["due_now"], stats["due_is_at_least"]) == (3, True)


def test_why_a_lead_is_not_called_is_explained(client, database):
    lead_id = factories.add_due_lead(database, "+56912345678", manual_management=True)

    said = client.get(f"{V1}/leads/{lead_id}/explain").json()

    assert said["may_be_called"] is False and "hand" in said["decided"]
    assert {one["verdict"] for one in said["answers"]} >= {"yes", "held"}
    assert client.get(f"{V1}/leads/{lead_id}/explain?at=2026-11-22T03:00").json()["at"] == "2026-11-22T06:00:00Z"
    assert client.get(f"{V1}/leads/{lead_id}/explain?at=tomorrow").status_code == 422


@on_one_engine
def test_a_list_refuses_parameters_that_it_does_not_know(client):
    for address in ("leads", "campaigns", "schedule", "calls", "do-not-call", "accounts", "events", "daemons", "stats"):
        for query in ("colour=red", "limit=0", "limit=501", "limit=1&limit=2", "status=x", "cursor=zzz"):
            status = client.get(f"{V1}/{address}?{query}").status_code
            assert status in ((404, 422) if query == "cursor=zzz" else (422,)), (address, query)


@on_one_engine
def test_pages_go_on_where_the_last_one_stopped_while_rows_are_added(client, database):
    ids = [factories.add_lead(database) for _ in range(5)]

    first = client.get(f"{V1}/leads?limit=2").json()
    factories.add_lead(database)
    second = client.get(f"{V1}/leads?limit=2&cursor={first['next_cursor']}").json()
    third = client.get(f"{V1}/leads?limit=2&cursor={second['next_cursor']}").json()

    found = [one["id"] for page in (first, second, third) for one in page["items"]]
    assert (found, third["next_cursor"]) == (ids[::-1], None)
    calls = client.get(f"{V1}/schedule?cursor={first['next_cursor']}")
    assert calls.status_code == 404, "a cursor of another list is none of this one"


def test_of_several_that_make_the_same_campaign_at_the_same_moment_one_does(served, database):
    ready = threading.Barrier(6)

    def make(noun):
        with httpx.Client(base_url=served, **PLAIN) as client:
            ready.wait(BACKSTOP)
            return client.post(f"{V1}/{noun}", json={"name": "x", "code": "same"}).status_code

    with ThreadPoolExecutor(6) as pool:
        for noun in ("campaigns", "accounts"):
            assert sorted(pool.map(make, [noun] * 6)) == [201, *[409] * 5]


@on_one_engine
def test_every_example_of_the_guide_works_as_it_stands(client):
    """In its order, on tables with nothing in them, as a reader would run them."""
    guide = (Path(__file__).parents[3] / "docs" / "api.md").read_text(encoding="utf-8").replace("\\\n", " ")
    examples = [line.strip() for line in guide.splitlines() if line.startswith("    curl ")]
    assert len(examples) > 25
    for example in examples:
        _, *words = shlex.split(example)
        method, headers, body, address = "GET", {}, None, ""
        while words:
            word = words.pop(0)
            if word == "-X":
                method = words.pop(0)
            elif word == "-H":
                name, _, value = words.pop(0).partition(": ")
                headers[name] = value
            elif word == "-d":
                body = words.pop(0)
            elif word.startswith("http"):
                address = word.removeprefix("http://127.0.0.1:8000")
        headers.pop("Authorization", None)  # nobody needs one while access is open
        answer = client.request(method, address, headers=headers, content=body)
        assert answer.is_success, (example, answer.text)
