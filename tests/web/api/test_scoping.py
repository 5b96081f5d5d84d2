"""A key of one account sees that account alone: what is of others does not exist for it."""

from __future__ import annotations

import httpx
import pytest

from scheduler.model import AttemptState
from scheduler.service import access
from scheduler.store import tables
from tests import factories
from tests.conftest import NOON
from tests.waiting import PLAIN

V1 = "/api/v1"
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def world(database):
    """Two accounts, each with a campaign, a lead with a planned call, a live attempt."""
    found = {}
    for code in ("acme", "other"):
        account = factories._insert(database, tables.accounts, {"code": code, "name": code})
        campaign = factories.add_campaign(database, f"of-{code}", account_id=account)
        lead = factories.add_due_lead(database, campaign_id=campaign)
        attempt = factories._insert(database, tables.call_attempts, {
            "attempt_ref": code, "lead_id": lead, "campaign_id": campaign, "attempt_number": 1,
            "telefono": f"+5691{lead:07d}", "provider": "simulator", "state": AttemptState.LIVE.value,
            "claimed_at": NOON, "provider_call_id": code,
        })
        row = factories.call_of(database, lead)
        found[code] = {"account": account, "campaign": campaign, "lead": lead, "attempt": attempt, "row": row.id}
    return found


@pytest.fixture
def asking(served, runtime, world):
    def ask(scope="admin", account="acme"):
        made = access.create_key(f"{scope}-{account}", scope=scope, account=account, runtime=runtime)
        return httpx.Client(base_url=served, headers={"Authorization": f"Bearer {made.token}"}, **PLAIN)

    return ask


def test_lists_hold_what_is_of_the_account(asking, world):
    with asking() as client:
        for address, own in (
            ("campaigns", "campaign"), ("leads", "lead"), ("schedule", "row"), ("calls", "attempt"),
            ("schedule?due=true", "row"), ("calls?open=true", "attempt"), ("accounts", "account"),
        ):
            items = client.get(f"{V1}/{address}").json()["items"]
            assert [one["id"] for one in items] == [world["acme"][own]], address
        stats = client.get(f"{V1}/stats").json()
        assert (stats["totals"]["leads"], stats["in_flight"], stats["due_now"]) == (1, 1, 1)


def test_what_is_of_others_does_not_exist_whatever_is_asked_of_it(asking, world, database):
    other = world["other"]
    campaign, lead, attempt = other["campaign"], other["lead"], other["attempt"]
    before = {table: factories.find_all(database, table) for table in (tables.campaigns, tables.leads, tables.events)}
    with asking() as client:
        before[tables.events] = factories.find_all(database, tables.events)  # its own key was noted
        for method, address, body in (
            ("GET", f"campaigns/{campaign}", None), ("GET", "campaigns/of-other/summary", None),
            ("PATCH", f"campaigns/{campaign}", {"name": "mine"}), ("POST", f"campaigns/{campaign}/pause", {}),
            ("POST", f"campaigns/{campaign}/cancel", {"reason": "x"}), ("GET", "leads?campaign=of-other", None),
            ("GET", f"leads/{lead}", None), ("GET", f"leads/{lead}/explain", None),
            ("POST", f"leads/{lead}/close", {}),
            ("POST", "leads/bulk", {"action": "close", "filter": {"ids": [lead]}}),
            ("POST", "leads/bulk", {"action": "close", "filter": {"campaign": "of-other"}}),
            ("POST", "leads/count", {"ids": [lead, world["acme"]["lead"]]}), ("GET", f"schedule?lead_id={lead}", None),
            ("POST", "schedule", {"lead_id": lead}), ("POST", "schedule/cancel", {"lead_id": lead, "reason": "x"}),
            ("POST", f"schedule/{other['row']}/release", None), ("GET", f"calls/{attempt}", None),
            ("POST", f"calls/{attempt}/hangup", {}), ("POST", f"calls/{attempt}/resolve", {"outcome": "busy"}),
            ("POST", "calls", {"lead_id": lead, "outcome": "busy"}), ("GET", f"events?lead_id={lead}", None),
            ("GET", "events?campaign=of-other", None), ("GET", "accounts/other", None),
            ("GET", "report?campaign=of-other", None),
            ("POST", "leads", {"phones": ["+56912345678"], "campaign": "of-other"}),
            ("POST", "campaigns", {"name": "x", "account": "other"}),
        ):
            answer = client.request(method, f"{V1}/{address}", **({} if body is None else {"json": body}))
            assert answer.status_code == 404, (method, address, answer.text)
    assert {table: factories.find_all(database, table) for table in before} == before


def test_a_bulk_change_without_a_campaign_reaches_the_account_alone(asking, world, database):
    with asking() as client:
        done = client.post(f"{V1}/leads/bulk", json={"action": "suspend", "filter": {"status": "open"}}).json()

    assert (done["matched"], done["changed"]) == (1, 1)
    assert factories.lead_of(database, world["other"]["lead"]).lead_status == "open"


def test_what_concerns_everything_is_refused(asking, world, database):
    bar = {"telefono": "+56912345678", "reason": "x"}
    with asking() as client:
        for method, address, body in (
            ("POST", "pause-all", {}), ("POST", "resume-all", {}), ("GET", "config", None),
            ("GET", "config/paused", None), ("PATCH", "config", {"values": {"paused": True}}),
            ("GET", "daemons", None), ("POST", "daemons/1/drain", {}),
            ("GET", "do-not-call", None), ("POST", "do-not-call", bar), ("GET", "do-not-call/+56912345678", None),
            ("DELETE", "do-not-call/+56912345678?reason=x", None), ("GET", "alerts", None), ("GET", "report", None),
            ("POST", "accounts", {"name": "x"}), ("POST", "accounts/acme/top-up", {"amount": "5"}),
            ("PATCH", "accounts/acme", {"name": "x"}), ("POST", "leads", {"phones": ["+56912345678"]}),
            ("PATCH", f"campaigns/{world['acme']['campaign']}", {"account": ""}),
        ):
            answer = client.request(method, f"{V1}/{address}", **({} if body is None else {"json": body}))
            assert answer.status_code == 403, (method, address, answer.text)


def test_a_campaign_that_it_makes_is_of_its_account_and_says_who_made_it(asking, world, database):
    with asking("operate") as client:
        made = client.post(f"{V1}/campaigns", json={"name": "Mine"}).json()

    assert made["account_id"] == world["acme"]["account"]
    assert factories.events_of(database, "campaign_created")[-1].actor == "key:operate-acme"


def test_a_scope_lets_do_what_it_says_and_no_more(asking, world):
    wanted = f"{V1}/campaigns/{world['acme']['campaign']}"
    with asking("read") as reader, asking("operate") as operator:
        assert reader.get(wanted).status_code == 200
        assert reader.post(f"{wanted}/pause").status_code == 403
        assert reader.post(f"{V1}/leads/count", json={"status": "open"}).json() == {"matched": 1}
        assert operator.post(f"{wanted}/pause").status_code == 200
        assert operator.post(f"{V1}/accounts/acme/close").status_code == 403


def test_an_answer_that_one_caller_was_given_is_not_given_to_another(asking, world, runtime):
    key = {"Idempotency-Key": "the-same"}
    with asking("operate") as first, asking("operate", "other") as second:
        made = first.post(f"{V1}/campaigns", json={"name": "Mine"}, headers=key)
        again = second.post(f"{V1}/campaigns", json={"name": "Mine"}, headers=key)

    assert made.status_code == again.status_code == 201
    assert made.json()["id"] != again.json()["id"]
