"""The pages of leads, calls, imports, the schedule, money and the system, over real HTTP."""

from __future__ import annotations

import csv
import io
import re
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from scheduler.events import Reporter
from scheduler.service import accounts, control, operations
from scheduler.service.access import create_key
from scheduler.service.bulk import BulkJobs
from scheduler.service.heat import Counted, draw
from scheduler.service.runtime import Runtime
from scheduler.store import tables
from scheduler.store.leads import LeadFilter
from scheduler.web.server import WebServer
from scheduler.web.words_es_system import WORDS
from tests.conftest import NOON
from tests.factories import (
    HOUR,
    ScriptedProvider,
    Station,
    add_campaign,
    add_due_lead,
    add_lead,
    attempt_of,
    call_id_of,
    call_of,
    config_of,
    events_of,
    find,
    find_all,
    lead_of,
    plan_call,
    set_config,
)
from tests.waiting import BACKSTOP, PLAIN, wait_until
from tests.web.statements import counted

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
NASTY = "<script>alert(1)</script>"
MOST_STATEMENTS = 10


@pytest.fixture
def provider() -> ScriptedProvider:
    return ScriptedProvider("simulator")


@pytest.fixture
def station(runtime: Runtime, provider: ScriptedProvider) -> Station:
    return Station(runtime, provider)


@pytest.fixture
def served(station: Station) -> Iterator[str]:
    server = WebServer(station.runtime, "127.0.0.1", 0, reporter=Reporter(lambda line: None))
    server.start()
    yield server.url
    server.stop()


@pytest.fixture
def client(served: str) -> Iterator[httpx.Client]:
    html = {"Accept": "text/html"}
    with httpx.Client(base_url=served, **PLAIN, follow_redirects=True, headers=html) as made:
        yield made


# --- every page ----------------------------------------------------------------------------------


@pytest.mark.counts_kept
def test_every_page_renders_escapes_what_was_typed_and_takes_at_most_ten_statements(client, station, database):
    lead_id, attempt_id = furnish(station)
    pages = [
        "/leads", "/leads?campaign=autumn", "/leads?campaign=autumn&status=suspended", "/leads?search=script",
        "/leads?campaign=autumn&search=569", f"/leads?search={lead_id}", "/leads?campaign=autumn&called=1&reached=0",
        "/leads?campaign=autumn&manual=no&call_status=no_selected", f"/leads/{lead_id}",
        f"/leads/{lead_id}?at=2026-11-22T10:00", "/leads/bulk?campaign=autumn&action=suspend", "/calls", "/calls/live",
        "/calls?campaign=autumn&outcome=no_answer", "/calls?open=1", f"/calls/{attempt_id}",
        f"/calls/{attempt_id}/hangup", "/schedule", "/schedule?campaign=autumn", "/schedule/rows",
        "/schedule/rows?status=completed&campaign=autumn", "/imports", "/providers", "/daemons", "/audit",
        "/audit?who=all", "/audit?campaign=autumn&kind=lead_suspended", "/config", "/config/working_days", "/accounts",
        "/accounts/acme", "/accounts/new", "/do-not-call",
    ]
    too_many = {}
    for page in pages:
        client.get(page)  # what is kept is counted now
        with counted(database) as statements:
            answer = client.get(page)
        assert answer.status_code == 200, page
        assert NASTY not in answer.text, page
        if len(statements) > MOST_STATEMENTS:
            too_many[page] = statements

    assert too_many == {}


@SQLITE
def test_what_was_typed_is_shown_as_text(client, station):
    lead_id, _ = furnish(station)

    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in client.get(f"/leads/{lead_id}").text
    assert "&lt;b&gt;because&lt;/b&gt;" in client.get("/audit").text


@SQLITE
def test_a_word_that_there_is_none_of_is_refused_and_what_does_not_exist_is_not_found(client, station):
    furnish(station)

    for page in (
        "/leads?status=nonsense", "/leads?import_id=-1", "/leads/bulk?campaign=autumn&action=delete",
        "/calls?state=gone", "/schedule/rows?since=2026-01-01", "/audit?since=never", "/leads/bulk?action=close",
        "/accounts?status=x",
    ):
        assert client.get(page).status_code == 422, page
    for page in (
        "/leads/999", "/calls/999", "/imports/999", "/leads?campaign=nobody", "/config/nonsense", "/accounts/nobody",
        "/imports/look/aaaaaaaaaaaaaaaaaaaaaaaa", "/do-not-call/99/remove", "/leads/bulk/nothing",
    ):
        assert client.get(page).status_code == 404, page


# --- leads ---------------------------------------------------------------------------------------


@SQLITE
def test_pages_follow_one_another_without_losing_or_repeating_a_lead(client, database):
    campaign_id = add_campaign(database, "autumn")
    everybody = {add_lead(database, campaign_id=campaign_id) for _ in range(70)}

    seen, page = [], "/leads?campaign=autumn"
    while page:
        text = client.get(page).text
        seen += [int(one) for one in re.findall(r'<th scope="row"><a href="/leads/(\d+)"', text)]
        found = re.search(r'href="([^"]+)" rel="next"', text)
        page = found[1].replace("&amp;", "&") if found else ""

    assert len(seen) == len(everybody)
    assert set(seen) == everybody


@SQLITE
@pytest.mark.parametrize(("asked", "matching"), [
    ({"campaign": "autumn"}, 64), ({"campaign": "autumn", "search": "Ana"}, 33),
    ({"campaign": "autumn", "search": "+5695", "status": "open"}, 31), ({"campaign": "autumn", "manual": "yes"}, 3),
])
def test_a_change_of_all_is_about_every_lead_that_matches_and_not_about_a_page(client, database, asked, matching):
    campaign_id, other = add_campaign(database, "autumn"), add_campaign(database, "other")
    for number in range(61):
        one_of = (f"+56950{number:06d}",) if number % 2 == 0 else ()
        add_lead(database, *one_of, campaign_id=campaign_id, nombre="Luis" if one_of else "Ana")
    for _ in range(3):
        add_lead(database, campaign_id=campaign_id, manual_management=True)
    bystander = add_lead(database, campaign_id=other)

    asking = client.get("/leads/bulk", params={**asked, "action": "suspend"})
    assert f"{matching} leads match:" in asking.text
    done = client.post("/leads/bulk", data={**asked, "action": "suspend", "reason": "a pause", "expected": matching})

    assert f"{matching} leads are suspended." in wait_for_end(client, done).text
    assert len(find_all(database, tables.leads, lead_status="suspended")) == matching
    assert lead_of(database, bystander).lead_status == "open"
    assert {one.reason for one in events_of(database, "lead_suspended")} == {"a pause"}
    assert {one.actor for one in events_of(database, "lead_suspended")} == {"open"}


@SQLITE
def test_a_change_of_all_says_what_had_changed_since_it_was_shown_and_what_was_left(client, database):
    campaign_id = add_campaign(database, "autumn")
    ids = [add_lead(database, campaign_id=campaign_id) for _ in range(3)]
    add_lead(database, campaign_id=campaign_id, lead_status="closed")

    form = {"campaign": "autumn", "action": "suspend", "reason": "why not", "expected": "3"}
    text = wait_for_end(client, client.post("/leads/bulk", data=form)).text

    assert "3 leads are suspended." in text
    assert "The leads that match had changed in between." in text
    assert "closed already" in text
    assert [lead_of(database, one).lead_status for one in ids] == ["suspended"] * 3


def test_a_change_of_all_ends_at_its_next_chunk_when_the_server_stops():
    jobs, chunk = BulkJobs(), threading.Event()

    def change(wanted: LeadFilter, move: control.Progress) -> control.Bulk:
        move(1, 3)
        chunk.wait(BACKSTOP)
        move(2, 3)
        return control.Bulk(3, 3, {})

    job = jobs.start("suspend", "user:ana", change, lambda: [LeadFilter(campaign_id=1)], expected=3, wait=0)
    threading.Timer(0.05, chunk.set).start()
    jobs.close()

    assert job.is_over
    assert "asking again does the rest" in str(job.error)
    assert jobs.find(job.key, "user:eve") is None


def test_a_mistake_in_a_change_of_all_is_logged_although_nobody_waits_for_it():
    said = []
    jobs = BulkJobs(Reporter(said.append))

    def change(wanted: LeadFilter, move: control.Progress) -> control.Bulk:
        raise KeyError("+56911111111")

    job = jobs.start("suspend", "user:ana", change, lambda: [LeadFilter(campaign_id=1)], expected=3, wait=0)
    jobs.close()

    assert "a mistake of ours" in str(job.error)
    assert [one.kind for one in said] == ["request_failed"]
    assert "KeyError" in said[0].text and "+56911111111" not in said[0].text


@SQLITE
def test_a_change_of_all_needs_a_reason(client, database):
    lead_id = add_lead(database, campaign_id=add_campaign(database, "autumn"))

    answer = client.post("/leads/bulk", data={"campaign": "autumn", "action": "close", "reason": " "})

    assert answer.status_code == 422
    assert lead_of(database, lead_id).lead_status == "open"


@SQLITE
def test_the_list_is_exported_whole_and_holds_no_formula(client, database):
    campaign_id = add_campaign(database, "autumn")
    with database.engine.connect() as connection, connection.begin():
        connection.execute(tables.leads.insert(), [
            {"campaign_id": campaign_id, "nombre": "=cmd|' /C calc'!A0" if number % 2 else "Ana"}
            for number in range(620)
        ])

    answer = client.get("/leads/export.csv", params={"campaign": "autumn"})
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))

    assert answer.headers["content-type"].startswith("text/csv")
    assert len({row["id"] for row in rows}) == 620
    assert not [cell for row in rows for cell in row.values() if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]


@SQLITE
def test_a_lead_says_in_one_sentence_why_it_is_not_called_in_both_languages(client, database):
    campaign_id = add_campaign(database, "night", call_settings={"windows": {"mon-fri": [["20:00", "21:00"]]}})
    lead_id = add_due_lead(database, campaign_id=campaign_id, time_zone="America/Santiago")

    english = client.get(f"/leads/{lead_id}").text
    spanish = client.get(f"/leads/{lead_id}", headers={"Accept-Language": "es"}).text

    assert "<strong>Not now:</strong> outside hours: Friday 12:00 in America/Santiago; opens Friday 20:00" in english
    assert "<strong>Ahora no:</strong> fuera de horario: viernes 12:00 en America/Santiago; abre el viernes 20:00" \
        in spanish
    assert "Yes:" in client.get(f"/leads/{lead_id}?at=2026-11-20T20:30").text


@SQLITE
def test_a_lead_is_changed_by_its_forms_each_time_with_a_reason(client, database):
    lead_id = add_lead(database, campaign_id=add_campaign(database, "autumn"))

    def post(what: str, **form: str) -> str:
        return client.post(f"/leads/{lead_id}/{what}", data=form).text

    assert "reason" in post("suspend")
    assert lead_of(database, lead_id).lead_status == "open"
    post("suspend", reason="<b>wait</b>")
    assert lead_of(database, lead_id).lead_status == "suspended"
    post("reopen", reason="go on")
    post("plan", plan_at="2026-11-23T10:00", reason="as wished")
    assert call_of(database, lead_id).scheduled_at == NOON.replace(day=23, hour=13)
    post("cancel-plan", reason="no more")
    assert call_of(database, lead_id).status == "cancelled"
    post("record", outcome="no_answer", reason="I rang")
    assert events_of(database, "call_recorded")[0].reason == "made by hand: no_answer: I rang"
    assert lead_of(database, lead_id).call_status == "no_answer"
    post("close", reason="paid")
    assert lead_of(database, lead_id).closed_reason == "paid"
    assert [one.reason for one in events_of(database, "lead_suspended")] == ["<b>wait</b>"]


# --- calls ---------------------------------------------------------------------------------------


@SQLITE
def test_a_live_call_is_hung_up_by_a_form_and_a_second_time_says_why_not(client, station, provider, database):
    lead_id = add_due_lead(database)
    station.dispatch()
    attempt = attempt_of(database, lead_id)

    assert f"/calls/{attempt.id}/hangup" in client.get("/calls").text
    said = client.post(f"/calls/{attempt.id}/hangup", data={"reason": "wrong person"}).text

    assert "was hung up" in said
    assert provider.hung_up == [call_id_of(attempt.attempt_ref)]
    assert [one.reason for one in events_of(database, "call_hung_up")] == ["wrong person"]
    provider.ends(attempt.telefono, "hang_up")
    station.follow()
    assert "there is no live call to hang up" in client.post(f"/calls/{attempt.id}/hangup", data={}).text


@SQLITE
def test_calls_are_found_by_name_number_and_day(client, station, database):
    for number, name in (("+56901002192", "Sepúlveda"), ("+56223456789", "Soto")):
        lead = add_due_lead(database, number, apellidos=name)
        station.dispatch()
    station.upkeep()
    first, second = (one.id for one in find_all(database, tables.call_attempts))

    def shown(**asked):
        page = client.get("/calls", params=asked)
        assert page.status_code == 200
        return set(map(int, re.findall(r'<tr>\s*<th scope="row"><a href="/calls/(\d+)"', page.text)))

    day = f"{NOON:%Y-%m-%d}"
    assert shown(search="sepulveda") == shown(search="901002192") == shown(search="2192") == {first}
    assert shown(search="soto", since=day, until=day) == {second}
    assert shown(search="nobody") == shown(until="2026-11-19") == shown(since="2026-11-21") == set()
    assert client.get("/calls", params={"since": "mañana"}).status_code == 422
    found = client.get("/api/v1/calls", params={"search": "sepulveda", "since": f"{day}T00:00:00Z"}).json()
    assert [one["id"] for one in found["items"]] == [first]
    assert client.get("/api/v1/calls", params={"until": f"{day}T00:00:00Z"}).json()["items"] == []
    assert [one["id"] for one in client.get("/api/v1/leads", params={"search": "678 9"}).json()["items"]] == [lead]


def test_an_unknown_call_is_settled_by_whoever_knows(client, station, database):
    lead_id = add_due_lead(database)
    station.dispatch()
    attempt_id = attempt_of(database, lead_id).id

    said = client.post(f"/calls/{attempt_id}/resolve", data={"outcome": "busy", "reason": "I heard it"}).text
    assert "Recorded." in said
    assert attempt_of(database, lead_id).outcome == "busy"


# --- the schedule --------------------------------------------------------------------------------


def test_the_map_counts_planned_calls_by_hour_and_links_to_their_rows(client, database):
    campaign_id = add_campaign(database, "autumn")
    for _ in range(3):
        plan_call(database, add_lead(database, campaign_id=campaign_id), at=NOON + 24 * HOUR + timedelta(minutes=10))
    plan_call(database, add_lead(database, campaign_id=campaign_id), at=NOON + 30 * 24 * HOUR)
    plan_call(database, add_lead(database, campaign_id=add_campaign(database, "gone", status="cancelled")))

    text = client.get("/schedule").text
    found = re.search(r'<a href="([^"]+)" aria-label="Saturday 12:00, 3 calls">3</a>', text)

    assert found is not None
    rows = client.get(found[1].replace("&amp;", "&")).text
    assert len(re.findall(r'<td data-name="Who"><a href="/leads/', rows)) == 3


def test_an_hour_that_comes_twice_is_one_cell_and_one_that_is_skipped_is_none():
    from zoneinfo import ZoneInfo

    madrid = ZoneInfo("Europe/Madrid")
    autumn = NOON.replace(month=10, day=25, hour=0)  # 03:00 is 02:00 again
    spring = NOON.replace(month=3, day=29, hour=0)
    twice = draw(Counted(autumn, 0, [(autumn, 4), (autumn + HOUR, 3)]), madrid).rows[0][1][2]
    skipped = draw(Counted(spring, 0, []), madrid).rows[0][1][2]

    assert twice is not None
    assert (twice.calls, twice.until - twice.since) == (7, 2 * HOUR)
    assert skipped is None


# --- imports -------------------------------------------------------------------------------------


def test_a_file_is_looked_through_imported_and_taken_back(client, database):
    add_campaign(database, "autumn")
    people = f"nombre,telefono\n{NASTY},912345601\nAna,912345602\nBad,12\nTwin,912345602\n"

    look = send_file(client, people, campaign="autumn")
    assert "Import 2 leads" in look.text
    assert "too few digits" in look.text
    assert NASTY not in look.text
    assert find_all(database, tables.leads) == []

    done = client.post(str(look.url), data={"what": "import"})
    import_id = int(str(done.url).rsplit("/", 1)[1])
    wait_until(lambda: find(database, tables.imports, id=import_id).status == "done", what="it is imported")
    assert len(find_all(database, tables.leads, import_id=import_id)) == 2
    rejects = client.get(f"/imports/{import_id}/rejects.csv")
    assert "912345602" in rejects.text

    assert "2 leads that were never called are deleted" in client.get(f"/imports/{import_id}/undo").text
    wait_for_end(client, client.post(f"/imports/{import_id}/undo", data={"expected": "2"}))
    assert find_all(database, tables.leads) == []


@SQLITE
def test_a_file_that_was_looked_through_can_be_read_otherwise(client, database):
    people = "telefono;fecha_limite\n912345601;03/04/2030\n912345602;05/06/2030\n"
    look = send_file(client, people)
    assert "How the file was read" in look.text and "day_first" in look.text
    assert "nothing else shows it, and this is usual in CL" in look.text

    again = client.post(str(look.url), data={"what": "again", "date_order": "month_first", "header_row": "1"})
    assert "Import 2 leads" in again.text and "this is usual in CL" not in again.text
    wrong = client.post(str(look.url), data={"what": "again", "header_row": "x"})
    assert "write the number of a row" in wrong.text
    done = client.post(str(look.url), data={"what": "import"})
    import_id = int(str(done.url).rsplit("/", 1)[1])
    wait_until(lambda: find(database, tables.imports, id=import_id).status == "done", what="it is imported")
    assert {str(one.fecha_limite) for one in find_all(database, tables.leads)} == {"2030-03-04", "2030-05-06"}
    assert "How the file was read" in client.get(f"/imports/{import_id}").text


@SQLITE
def test_a_file_may_fill_a_new_campaign_that_begins_paused(client, database):
    look = send_file(client, "telefono\n912345601\n", new_campaign="Fresh")
    client.post(str(look.url), data={"what": "import", "paused": "yes"})

    wait_until(lambda: find_all(database, tables.leads) != [], what="it is imported")
    assert [one.status for one in find_all(database, tables.campaigns, name="Fresh")] == ["paused"]


@SQLITE
def test_a_file_that_cannot_be_used_is_refused_and_nothing_is_added(client, database):
    good = "telefono\n912345601\n"
    for content, options in (
        ("", {}), ("just text", {}), (good, {"campaign": "nobody"}), (good, {"deadline": "soon"}),
        (good, {"country": "??"}), (good, {"campaign": "x", "new_campaign": "y"}), (good, {"unheard": "of"}),
    ):
        answer = send_file(client, content, **options)
        assert answer.status_code in (404, 409, 422), options

    assert find_all(database, tables.leads) == []
    assert find_all(database, tables.imports) == []


# --- the system ----------------------------------------------------------------------------------


@SQLITE
def test_a_setting_is_changed_with_a_reason_and_refused_when_it_cannot_be_used(client, database):
    url = "/config/working_hours_end"
    assert client.post(url, data={"value": "25:99", "reason": "x"}).status_code == 422
    assert client.post(url, data={"value": "18:30", "reason": ""}).status_code == 422
    assert events_of(database, "config_set") == []

    assert client.post(url, data={"value": "18:30", "reason": "winter"}).status_code == 200
    assert config_of(database, "working_hours_end") == "18:30"
    assert events_of(database, "config_set")[0].reason.endswith("winter")


@SQLITE
def test_a_setting_that_cannot_be_used_is_named_at_the_top(client, database):
    set_config(database, working_hours_end="whenever")

    assert "1 value cannot be used:" in client.get("/config").text


@SQLITE
def test_daemons_are_asked_to_pause_and_silent_ones_are_marked(client, database):
    for owner, seen in (("alive:1", NOON), ("gone:2", NOON - HOUR)):
        with database.engine.connect() as connection, connection.begin():
            connection.execute(tables.daemons.insert().values(
                owner=owner, host="h", pid=1, started_at=NOON - 2 * HOUR, last_seen_at=seen
            ))
    alive, gone = find_all(database, tables.daemons)

    assert "silent" in client.get("/daemons").text
    assert "asked to pause" in client.post(f"/daemons/{alive.id}/pause", data={"reason": "upgrade"}).text
    assert find(database, tables.daemons, id=alive.id).wanted == "pause"
    assert "gone or frozen" in client.post(f"/daemons/{gone.id}/pause", data={}).text


@SQLITE
def test_numbers_are_barred_and_let_go_with_a_reason(client, database):
    assert client.post("/do-not-call", data={"number": "912345678", "reason": ""}).status_code == 422
    client.post("/do-not-call", data={"number": "912345678", "reason": "asked us"})
    entry = find(database, tables.do_not_call, telefono="+56912345678")
    assert entry.reason == "asked us"

    client.post(f"/do-not-call/{entry.id}/remove", data={"reason": "a mistake"})
    assert find_all(database, tables.do_not_call) == []


@SQLITE
def test_money_moves_by_forms_with_a_reason(client, station, database):
    accounts.create_account("Acme", code="acme", billing_type="minutes", balance=10, runtime=station.runtime)

    client.post("/accounts/acme/top-up", data={"amount": "90", "reason": "invoice 7"})
    assert client.post("/accounts/acme/adjust", data={"amount": "-1", "reason": ""}).status_code == 422
    assert client.post("/accounts/acme/top-up", data={"amount": "much", "reason": "x"}).status_code == 422
    assert find(database, tables.accounts, code="acme").balance == 100
    text = client.get("/accounts/acme").text
    assert "invoice 7" in text


@SQLITE
def test_providers_are_asked_by_the_button_and_never_by_looking(station, database):
    class Asked(ScriptedProvider):
        asked = 0

        def inspect(self, agents: Any, numbers: Any) -> list[Any]:
            self.asked += 1
            return []

    provider = Asked("simulator")
    house = Station(station.runtime, provider)
    server = WebServer(house.runtime, "127.0.0.1", 0, reporter=Reporter(lambda line: None))
    server.start()
    with httpx.Client(base_url=server.url, **PLAIN) as client:
        client.get("/providers")
        assert provider.asked == 0
        assert "there is nothing to verify" in client.post("/providers/check", data={}).text
    server.stop()

    assert provider.asked == 1


def test_every_place_of_a_sentence_is_in_its_translation():
    def places(text: str) -> set[str]:
        return set(re.findall(r"\{(\w+)\}", text))

    plural = {key: entry if isinstance(entry, str) else entry[1] for key, entry in WORDS.items()}
    assert [key for key, said in plural.items() if places(said) != places(key)] == []


# --- who may -------------------------------------------------------------------------------------


@SQLITE
def test_whoever_may_only_look_sees_no_button_and_changes_nothing(client, station, database):
    lead_id, attempt_id = furnish(station)
    key = create_key("looker", scope="read", runtime=station.runtime)
    client.headers["Authorization"] = f"Bearer {key.token}"

    for page in (f"/leads/{lead_id}", "/leads?campaign=autumn", "/calls", f"/calls/{attempt_id}", "/imports",
                 "/daemons", "/providers", "/config", "/config/working_days", "/accounts", "/accounts/acme",
                 "/do-not-call"):
        text = client.get(page).text
        forms = re.findall(r'<form method="post" action="([^"]+)"', text)
        assert set(forms) <= {"/language", "/theme", "/logout"}, page
        assert not re.search(r"/hangup|/undo|action=close|/accounts/new", text), page
    before = find_all(database, tables.events)
    for address in (f"/leads/{lead_id}/close", f"/calls/{attempt_id}/hangup", "/leads/bulk", "/imports", "/do-not-call",
                    "/config/working_days", "/accounts/acme/top-up", "/daemons/1/pause", "/providers/check"):
        assert client.post(address, data={"reason": "x"}).status_code == 403, address
    assert [one for one in find_all(database, tables.events) if one.kind != "not_allowed"] == before


@SQLITE
def test_a_key_of_one_account_sees_its_own_leads_and_calls_alone(client, station, database):
    lead_id, attempt_id = furnish(station)
    accounts.create_account("Other", code="other", runtime=station.runtime)
    key = create_key("theirs", scope="operate", account="other", runtime=station.runtime)
    client.headers["Authorization"] = f"Bearer {key.token}"

    for page in (f"/leads/{lead_id}", f"/calls/{attempt_id}", "/leads?campaign=autumn", "/accounts/acme",
                 "/schedule?campaign=autumn"):
        assert client.get(page).status_code == 404, page
    for page in ("/schedule", "/providers", "/daemons", "/audit", "/config", "/accounts", "/do-not-call"):
        assert client.get(page).status_code == 403, page
    assert f"/leads/{lead_id}" not in client.get("/leads").text
    assert f"/calls/{attempt_id}" not in client.get("/calls").text
    assert client.post(f"/leads/{lead_id}/close", data={"reason": "x"}).status_code == 404
    assert lead_of(database, lead_id).lead_status == "open"


# --- helpers -------------------------------------------------------------------------------------


def furnish(station: Station) -> tuple[int, int]:
    """A campaign of an account with leads and calls, typed by somebody nasty. Returns a lead and a live attempt."""
    database, runtime = station.runtime.database, station.runtime
    accounts.create_account("Acme", code="acme", billing_type="minutes", balance=500, runtime=runtime)
    caps = [{"max": 5, "per": {"hours": 24}, "by": ["lead"]}]
    control.create_campaign(NASTY, code="autumn", account="acme", call_settings={"caps": caps}, runtime=runtime)
    campaign_id = find(database, tables.campaigns, code="autumn").id
    first = add_due_lead(database, campaign_id=campaign_id, nombre=NASTY)
    for _ in range(3):
        last = add_due_lead(database, campaign_id=campaign_id, at=NOON + HOUR)
    operations.suspend_lead(last, reason="<b>because</b>", runtime=runtime)
    station.dispatch()
    attempt = attempt_of(database, first)
    operations.hang_up_call(attempt.id, reason=NASTY, runtime=runtime)
    return first, attempt.id


def send_file(client: httpx.Client, content: str, **fields: str) -> httpx.Response:
    return client.post("/imports", data=fields, files={"file": ("people.csv", content.encode(), "text/csv")})


def wait_for_end(client: httpx.Client, answer: httpx.Response) -> httpx.Response:
    """The page of a change of many leads once it is over."""
    found = answer

    def is_over() -> bool:
        nonlocal found
        found = client.get(str(answer.url))
        return "hx-trigger" not in found.text

    wait_until(is_over, what="the change is over")
    return found


@SQLITE
def test_an_admin_erases_a_person_on_the_page_of_their_lead(client, station, database):
    lead_id = add_lead(database, "+56987651234", nombre="Zacarias")
    said = client.post(f"/leads/{lead_id}/erase", data={"reason": "request 14"})

    assert f"Lead {lead_id} is erased" in said.text
    assert lead_of(database, lead_id).nombre is None
    assert "Zacarias" not in client.get(f"/leads/{lead_id}").text
