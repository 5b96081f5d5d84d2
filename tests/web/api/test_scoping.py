"""A key of one account sees that account alone: what is of others does not exist for it."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import httpx
import pytest

from scheduler.model import AttemptState
from scheduler.service import access, allowances, control
from scheduler.service.control import CampaignPlan
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


ALLOWED = {
    "provider": ["simulator"], "agent": ["agent-1", "sales,*"], "caller_id": ["+56221234567", "+56229*"],
    "country": ["CL", "PE"], "group": ["own"], "priority": ["3"],
}
CL = {"allowed_countries": ["CL"]}


@pytest.mark.parametrize(("wish", "field", "right"), [
    ({"provider": "twilio"}, "provider", "simulator"),
    ({"group": "theirs"}, "group", "own"),
    ({"priority": 4}, "priority", "at most 3"),
    ({"call_settings": {**CL, "agent_id": "agent-2"}}, "call_settings.agent_id", "agent-1, sales,*"),
    ({"call_settings": {**CL, "agent_id": "internal,s"}}, "call_settings.agent_id", "sales,*"),
    ({"call_settings": {**CL, "from_number": "+56221234568"}}, "call_settings.from_number", "+56221234567"),
    ({"call_settings": {"allowed_countries": ["CL", "CU"]}}, "call_settings.allowed_countries", "CL, PE"),
    ({"call_settings": {}}, "call_settings.allowed_countries", "CL, PE"),
    ({"call_settings": None}, "call_settings.allowed_countries", "CL, PE"),
])
def test_what_an_account_may_use_is_a_list_whatever_the_door(asking, world, runtime, database, wish, field, right):
    allowances.set_allowances("acme", ALLOWED, runtime=runtime)
    own = f"{V1}/campaigns/{world['acme']['campaign']}"
    fine = {"call_settings": CL, **wish}
    with asking("operate") as client:
        assert client.patch(own, json={"call_settings": CL}).status_code == 200
        before = factories.find_all(database, tables.campaigns)
        asked = [client.post(f"{V1}/campaigns", json={"name": "x", **fine})]
        if wish.get("call_settings", True):
            asked.append(client.patch(own, json=wish))
        if not {"provider", "group"} & set(wish):  # batches know neither
            asked.append(client.post(f"{V1}/batches", json={"name": "x", "account_id": "acme", **fine}))
            file = {"file": ("a.csv", b"telefono\n+56912345678\n")}
            form = {"account_id": "acme", "batch_name": "x", "priority": str(wish.get("priority", 0)),
                    **({"call_settings_json": json.dumps(fine["call_settings"])} if fine["call_settings"] else {})}
            asked.append(client.post(f"{V1}/batches/excel/create", data=form, files=file))
            if wish.get("call_settings", True):
                asked.append(client.patch(f"{V1}/batches/of-acme", json=wish))

    for answer in asked:
        assert answer.status_code == 403, answer.text
        assert field in answer.text and right in answer.text, answer.text
    assert factories.find_all(database, tables.campaigns) == before


def test_what_is_listed_may_be_chosen_and_nothing_chosen_too(asking, world, runtime):
    allowances.set_allowances("acme", ALLOWED, runtime=runtime)
    settings = {"agent_id": "sales,100", "from_number": "+56229876543", **CL}
    with asking("operate") as client:
        made = client.post(f"{V1}/campaigns", json={
            "name": "x", "provider": "simulator", "group": "own", "priority": 3, "call_settings": settings,
        })
        assert made.status_code == 201, made.text
        assert client.post(f"{V1}/campaigns", json={"name": "y", "call_settings": CL}).status_code == 201
        own = f"{V1}/campaigns/{made.json()['id']}"
        assert client.patch(own, json={"provider": "", "group": ""}).status_code == 200


def test_a_new_account_may_use_what_the_installation_does_and_no_more(asking, world):
    with asking("operate") as client:
        assert client.post(f"{V1}/campaigns", json={"name": "x", "priority": -5}).status_code == 201
        for wish in ({"provider": "twilio"}, {"group": "g"}, {"priority": 1}, {"call_settings": {"agent_id": "a"}},
                     {"call_settings": {"from_number": "+56221234567"}}):
            assert client.post(f"{V1}/campaigns", json={"name": "y", **wish}).status_code == 403, wish


def test_what_an_admin_gave_a_campaign_stays_when_its_account_edits_it(asking, world, runtime):
    settings = {"agent_id": "a", "from_number": "+56221234567"}
    control.edit_campaign("of-acme", CampaignPlan(
        provider="simulator", group="g", priority=9, call_settings=settings
    ), runtime=runtime)
    with asking("operate") as client:
        own = f"{V1}/campaigns/of-acme"
        assert client.patch(own, json={"set": {"max_attempts": 3}}).status_code == 200
        assert client.patch(own, json={"priority": 9, "group": "g", "call_settings": settings}).status_code == 200
        assert client.patch(own, json={"priority": 10}).status_code == 403
        assert client.patch(own, json={"set": {"agent_id": "b"}}).status_code == 403


def test_the_list_is_an_admins_affair(asking, world, runtime, database):
    everything = access.create_key("all", scope="admin", runtime=runtime).token
    with asking() as client:
        address = f"{V1}/accounts/acme/allowances"
        assert client.get(address).json()["agents"] == []
        assert client.get(f"{V1}/accounts/other/allowances").status_code == 404
        assert client.put(address, json={"agents": ["a"]}).status_code == 403
        told = client.put(address, json={"agents": ["b", "a"], "highest_priority": 2, "reason": "contract"},
                          headers={"Authorization": f"Bearer {everything}"})
        assert (told.json()["agents"], told.json()["highest_priority"]) == (["a", "b"], 2)
        assert client.get(address).json() == told.json()
        for wrong in ({"countries": ["XX"]}, {"caller_ids": ["56"]}, {"providers": ["x"]}, {"agents": ["ñ"]}):
            refused = client.put(address, json=wrong, headers={"Authorization": f"Bearer {everything}"})
            assert refused.status_code in (409, 422), wrong
    happened = factories.events_of(database, "account_allowed")
    assert {(one.actor, one.details["account"], one.reason) for one in happened} == {("key:all", "acme", "contract")}


SECRETS = ("Zacarias", "Their secret survey")


def test_no_operation_shows_or_changes_what_is_of_another_account(asking, world, database, served, runtime):
    """Every operation of the document, with ids and codes of the other account, by every scope of a foreign key."""
    factories.sql(database, f"UPDATE leads SET nombre = '{SECRETS[0]}' WHERE id = {world['other']['lead']}")
    factories.sql(database, f"UPDATE campaigns SET name = '{SECRETS[1]}' WHERE code = 'of-other'")
    whole = access.create_key("whole", scope="admin", runtime=runtime).token
    document = httpx.get(f"{served}/openapi.json", headers={"Authorization": f"Bearer {whole}"}, **PLAIN).json()
    other = world["other"]
    stands_for = {
        "campaign": "of-other", "account": "other", "lead_id": other["lead"], "attempt_id": other["attempt"],
        "row_id": other["row"], "batch_id": "of-other", "job_id": other["lead"],
    }  # fmt: skip
    about = {
        "campaign": "of-other", "account": "other", "account_id": "other", "lead_id": other["lead"], "reason": "x",
        "ids": [other["lead"]], "lead_ids": [other["lead"]], "batch_id": "of-other",
    }  # fmt: skip
    count = 0
    with asking() as admin, asking("operate") as operator, asking("read") as reader:
        watched = (tables.campaigns, tables.leads, tables.lead_phones, tables.call_schedule, tables.call_attempts,
                   tables.do_not_call, tables.scheduler_config, tables.accounts, tables.account_allowances,
                   tables.account_entries, tables.imports, tables.daemons)
        before = {table: of_others(database, table) for table in watched}
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                if method not in ("get", "post", "put", "patch", "delete"):
                    continue
                address = path
                for one in operation.get("parameters", ()):
                    if one["in"] == "path":
                        value = stands_for.get(one["name"], other["lead"])
                        address = re.sub(r"\{" + one["name"] + r"(:\w+)?\}", str(value), address)
                known = {one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"}
                query = {name: value for name, value in about.items() if name in known}
                bodies = [bodied(document, operation, about)] if "requestBody" in operation else [None]
                for client in (admin, operator, reader):
                    for body in bodies:
                        said = client.request(method, address, params=query, **({} if body is None else {"json": body}))
                        count += 1
                        assert said.status_code < 500, (method, path, said.text)
                        assert not any(one in said.text for one in SECRETS), (method, path, said.text)
                        if "{" in path and said.status_code < 300:
                            raise AssertionError(f"{method} {path} answered {said.status_code}: {said.text[:200]}")
        assert {table: of_others(database, table) for table in watched} == before
    assert count > 200


def of_others(database, table):
    """The rows that are not of acme, as far as a table tells."""
    return [row for row in factories.find_all(database, table) if getattr(row, "account_id", None) != 1
            and getattr(row, "campaign_id", None) != 1 and getattr(row, "lead_id", None) != 1]


def bodied(document, operation, about):
    """A body with what it must hold, and of what it may whatever names something of the other account."""
    schema = next(iter(operation["requestBody"]["content"].values()))["schema"]
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    example = (schema.get("examples") or [{}])[0]
    properties = schema.get("properties", {})
    return {**example, **{name: value for name, value in about.items() if name in properties}}


def test_explain_does_not_tell_when_another_account_called_a_number(asking, world, database, runtime):
    """A cap by phone counts the calls of all: that it is full is said, but not since when."""
    settings = {"caps": [{"max": 1, "per": {"hours": 24}, "by": "phone"}], "windows": {"all": [["00:00", "24:00"]]}}
    for code in ("of-acme", "of-other"):
        control.edit_campaign(code, CampaignPlan(call_settings=settings), runtime=runtime)
    number = "+56987650001"
    ours = factories.add_due_lead(database, number, campaign_id=world["acme"]["campaign"])
    theirs = factories.add_due_lead(database, number, campaign_id=world["other"]["campaign"])
    factories._insert(database, tables.call_attempts, {
        "attempt_ref": "theirs", "lead_id": theirs, "campaign_id": world["other"]["campaign"], "attempt_number": 1,
        "telefono": number, "provider": "simulator", "state": AttemptState.ENDED.value, "outcome": "no_answer",
        "claimed_at": NOON - timedelta(hours=5), "placed_at": NOON - timedelta(hours=5),
        "ended_at": NOON - timedelta(hours=5), "provider_call_id": "theirs",
    })
    whole = access.create_key("whole", scope="admin", runtime=runtime).token
    with asking() as client:
        address = f"{V1}/leads/{ours}/explain"
        said = client.get(address).json()
        known = client.get(address, headers={"Authorization": f"Bearer {whole}"}).json()

    until = (NOON + timedelta(hours=19)).isoformat()[:16]
    assert until in str(known)  # whoever sees everything is told
    assert (said["may_be_called"], said["first_yes_at"]) == (False, None)
    assert "calls that are not of this account count too" in said["decided"]
    for hint in (until, until[11:], "full until"):
        assert hint not in str(said), hint


def test_what_a_key_of_an_account_says_of_a_number_bars_it_for_that_account_alone(asking, world, database, runtime):
    number, late = "+56987650002", "+56987650003"
    ours, again = (factories.add_due_lead(database, number, campaign_id=world["acme"]["campaign"]) for _ in "12")
    theirs = factories.add_due_lead(database, number, campaign_id=world["other"]["campaign"])
    resolved = factories.add_due_lead(database, late, campaign_id=world["acme"]["campaign"])
    attempt = factories._insert(database, tables.call_attempts, {
        "attempt_ref": "late", "lead_id": resolved, "campaign_id": world["acme"]["campaign"], "attempt_number": 1,
        "telefono": late, "provider": "simulator", "state": AttemptState.UNKNOWN.value, "claimed_at": NOON,
    })
    with asking("operate") as client:
        assert client.post(f"{V1}/calls", json={"lead_id": ours, "outcome": "do_not_call"}).status_code == 201
        resolve = client.post(f"{V1}/calls/{attempt}/resolve", json={"outcome": "do_not_call"})
        assert resolve.status_code == 200, resolve.text

    assert factories.find_all(database, tables.do_not_call) == []
    kept = {(one.account_id, one.telefono) for one in factories.find_all(database, tables.account_do_not_call)}
    assert kept == {(world["acme"]["account"], number), (world["acme"]["account"], late)}
    station = factories.Station(runtime)
    station.dispatch()
    assert number in station.provider.numbers
    assert factories.attempt_of(database, theirs).telefono == number
    assert factories.lead_of(database, again).closed_reason == "do_not_call", "its own are not called any more"
    assert factories.lead_of(database, ours).closed_reason == "do_not_call"
