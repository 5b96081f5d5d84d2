"""Pages as a browser gets them: what they cost, whom they serve, what they say, and the pages of campaigns."""

from __future__ import annotations

import html
import re
import threading
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest

import scheduler.web
from scheduler.clock import ManualClock
from scheduler.events import Reporter
from scheduler.rules.policy import Config
from scheduler.service import access, accounts, control
from scheduler.service.effects import Count, EffectCounts, Told
from scheduler.service.runtime import Runtime
from scheduler.store import journal, tables
from scheduler.store.database import Database
from scheduler.web import pages
from scheduler.web.pages import settings_form
from scheduler.web.server import WebServer
from tests.conftest import NOON
from tests.each import each
from tests.factories import (
    HOUR,
    MINUTE,
    Station,
    add_campaign,
    add_due_lead,
    add_lead,
    add_many_planned,
    events_of,
    find,
    find_all,
    plan_call,
    set_config,
    sql,
)
from tests.web.statements import counted

MOST_STATEMENTS = 10
PASSWORD = "three blind mice"
HTML = {"Accept": "text/html"}
HOSTILE = '<script>alert("x")</script>\'"&'
sqlite_alone = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


# --- every page -----------------------------------------------------------------------------------


@sqlite_alone
@pytest.mark.counts_kept
def test_no_page_takes_more_than_ten_statements(
    client: httpx.Client, runtime: Runtime, database: Database, busy: dict[str, Any]
):
    log_in(client, runtime, "viewer")
    spent = {}
    for path in page_addresses(busy):
        client.get(path, headers=HTML)  # what a process reads once is read now
        with counted(database) as statements:
            answer = client.get(path, headers=HTML)
        assert answer.status_code in (200, 303, 403, 404, 409), (path, answer.status_code, answer.text[:2000])
        spent[path] = statements
    # On a server the time is one statement more: here the clock stands still.
    assert {path: asked for path, asked in spent.items() if len(asked) > MOST_STATEMENTS - 1} == {}
    assert len(spent) > 25


@sqlite_alone
def test_while_access_is_open_every_page_says_so_and_is_whole(client: httpx.Client, busy: dict[str, Any]):
    for path in page_addresses(busy):
        answer = client.get(path, headers=HTML)
        if answer.status_code != 200 or not answer.headers["content-type"].startswith("text/html"):
            continue
        text = answer.text
        assert "Access is open." in text, path
        assert '<html lang="en"' in text and 'id="main"' in text and 'class="skip"' in text, path
        assert len(re.findall(r"<h1[ >]", text)) == 1, path
        forms = re.findall(r'<form method="post".*?</form>', text, re.S)
        assert all('name="csrf_token"' in form for form in forms), path


@sqlite_alone
def test_a_viewer_is_shown_nothing_that_changes_things_and_is_refused_it(
    client: httpx.Client, runtime: Runtime, busy: dict[str, Any]
):
    token = log_in(client, runtime, "viewer")
    for path in page_addresses(busy):
        text = client.get(path, headers=HTML).text
        forms = set(re.findall(r'<form[^>]*method="post"[^>]*action="([^"]*)"', text))
        forms |= set(re.findall(r'<form[^>]*action="([^"]*)"[^>]*method="post"', text))
        changing = {form for form in forms if form not in ("/language", "/theme", "/logout")}
        buttons = re.findall(r'<button(?![^>]*(?:lang=|name="theme"))[^>]*>', text)
        is_disabled = changing == {path} and "<fieldset" in text and " disabled>" in text
        assert not changing or is_disabled, (path, changing)
        assert "/pause" not in changing and len(buttons) < 60, path
    refused = {path: client.post(path, data={"csrf_token": token, "reason": "x"}, headers=HTML).status_code
               for path in page_addresses(busy, "POST")}
    assert {path: status for path, status in refused.items() if status != 403} == {}
    assert find(runtime.database, tables.campaigns, code="busy").status == "active"


@sqlite_alone
def test_a_key_of_one_account_sees_none_of_the_pages_about_everything(
    client: httpx.Client, runtime: Runtime, busy: dict[str, Any]
):
    key = access.create_key("acme's", scope="admin", account="acme", runtime=runtime).token
    for path in ("/", "/alerts", "/pause", "/live", "/campaigns", "/campaigns/busy", "/campaigns/busy/settings"):
        assert client.get(path, headers={"X-API-Key": key}).status_code == 403, path
    refused = [client.post(path, data={"reason": "x", "typed": "busy"}, headers={"X-API-Key": key}).status_code
               for path in ("/pause", "/campaigns/busy/pause", "/campaigns/resting/cancel", "/campaigns/new")]
    assert refused == [403] * 4


def test_templates_carry_no_script_and_no_style_of_their_own():
    templates = Path(scheduler.web.__file__).parent / "templates"
    wrong = [
        (path.name, found[0]) for path in templates.glob("**/*.html")
        for found in re.finditer(
            r"<script(?![^>]* src=)[^>]*>|<style|\sstyle=|\son[a-z]+=|hx-on|hx-vals=.js|javascript:|\|safe\b",
            path.read_text("utf-8"),
        )
    ]
    assert wrong == []


@sqlite_alone
def test_what_cannot_be_served_is_a_page_for_people_and_a_problem_for_programs(client: httpx.Client):
    page = client.get("/campaigns/<b>nope", headers=HTML)
    program = client.get("/campaigns/nope")
    lost = client.get("/nothing/here", headers={**HTML, "Accept-Language": "es"})

    assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "there is no campaign &lt;b&gt;nope" in page.text
    assert (program.status_code, program.json()["detail"]) == (404, "there is no campaign nope")
    assert (lost.status_code, "no hay nada en esta dirección" in lost.text) == (404, True)


@sqlite_alone
def test_language_and_colours_are_remembered_and_lead_back_to_this_site_alone(client: httpx.Client):
    spanish = client.get("/", headers={**HTML, "Accept-Language": "es-CL,en;q=0.5"}).text
    token = token_of(spanish)
    back = client.post("/language", data={"csrf_token": token, "language": "es", "next": "/campaigns?status=paused"})
    away = client.post("/theme", data={"csrf_token": token, "theme": "dark", "next": "//evil.example/x"})
    odd = client.post("/theme", data={"csrf_token": token, "theme": "pink", "next": "/\\evil.example"})
    chosen = client.get("/campaigns", headers={**HTML, "Accept-Language": "en"}).text

    assert "<h1>Resumen</h1>" in spanish and '<html lang="es"' in spanish
    assert [one.headers["location"] for one in (back, away, odd)] == ["/campaigns?status=paused", "/", "/"]
    assert '<html lang="es" data-theme="dark">' in chosen and "Aún no hay campañas" in chosen


@sqlite_alone
def test_text_from_outside_is_always_escaped(client: httpx.Client, runtime: Runtime, database: Database):
    code = control.create_campaign(HOSTILE, code="x", description=HOSTILE, runtime=runtime)
    control.pause_campaign(code, reason=HOSTILE, runtime=runtime)
    lead = add_lead(database, campaign_id=find(database, tables.campaigns, code="x").id, nombre=HOSTILE)
    for path in ("/", "/campaigns", "/campaigns/x", "/campaigns/x/settings", "/campaigns/x/cancel", "/audit",
                 "/leads?campaign=x", f"/leads/{lead}", f"/campaigns?search={HOSTILE}"):
        text = client.get(path, headers=HTML).text
        assert "<script>alert" not in text, path
    assert "&lt;script&gt;alert(&#34;x&#34;)" in client.get("/campaigns", headers=HTML).text


# --- the overview ---------------------------------------------------------------------------------


def test_the_overview_shows_what_is_due_late_dialed_answered_and_owed(
    client: httpx.Client, runtime: Runtime, database: Database, clock: ManualClock
):
    accounts.create_account(
        "Acme", code="acme", billing_type="minutes", balance="30", low_balance="40", runtime=runtime
    )
    campaign = add_campaign(database, "busy", account_id=find(database, tables.accounts, code="acme").id)
    station = Station(runtime)
    clock.advance(MINUTE)
    for place in range(3):
        lead = add_due_lead(database, campaign_id=campaign, at=NOON)
        station.provider.ends(find(database, tables.leads, id=lead).telefono, "completed" if place else "busy")
    station.dispatch()
    clock.advance(10 * MINUTE)
    station.follow()
    waiting = add_campaign(database, "waiting")
    for late in (5, 90):
        add_due_lead(database, campaign_id=waiting, at=clock.now() - late * MINUTE)
    add_due_lead(database, at=clock.now() - 2 * MINUTE)
    add_due_lead(database, campaign_id=add_campaign(database, "resting", status="paused"), at=clock.now() - 9 * HOUR)
    text = plain(client.get("/", headers=HTML).text)

    assert "Lines in use 0 of 20 lines Due now 3 the oldest for 1 h 30 min" in text
    assert "Answer rate today 67% 2 of 3 dials" in text
    assert "Active campaigns 2 1 paused" in text
    assert re.search(r"Acme acme [-\d.]+ minutes low", text)
    assert re.search(r"12:00 3 2 2", text), "today by hour as a table"


def test_due_calls_are_counted_with_the_oldest_of_campaigns_that_run(database: Database):
    from scheduler.store import screens

    first, second = add_campaign(database, "one"), add_campaign(database, "two")
    resting = add_campaign(database, "resting", status="paused")
    for campaign, late in ((first, 1), (second, 7), (resting, 99), (None, 3)):
        plan_call(database, add_lead(database, campaign_id=campaign), at=NOON - late * MINUTE, campaign_id=campaign)
    plan_call(database, add_lead(database, campaign_id=first), at=NOON + MINUTE)

    def pulse(ids: list[int], **more: bool) -> tuple[int, Any]:
        found = database.read(lambda connection: screens.read_pulse(connection, ids, NOON, **more))
        return found.due, found.oldest_due_at

    assert pulse([first, second]) == (3, NOON - 7 * MINUTE)
    assert pulse([]) == (1, NOON - 3 * MINUTE)
    assert pulse([first], alone=True) == (1, NOON - MINUTE)
    assert pulse([resting], alone=True) == (1, NOON - 99 * MINUTE)


@sqlite_alone
def test_a_newcomer_is_told_what_to_do(client: httpx.Client):
    text = plain(client.get("/", headers=HTML).text)
    assert "Begin here" in text and "Create a campaign" in text and "ringback run" in text


@sqlite_alone
def test_everything_is_paused_and_resumed_with_a_reason_and_every_page_says_so(
    client: httpx.Client, runtime: Runtime, database: Database
):
    add_campaign(database, "busy")
    token = token_of(client.get("/pause", headers=HTML).text)
    done = client.post("/pause", data={"csrf_token": token, "reason": "storm"}, headers=HTML)
    said = client.get("/", headers=HTML).text
    again = client.get("/campaigns", headers=HTML).text

    assert (done.status_code, done.headers["location"]) == (303, "/")
    assert "Everything is paused. 1 campaign was running." in said
    assert "Everything is paused. 1 campaign" not in again and "Everything is paused.</strong>" in again
    paused = events_of(database, "all_paused")[0]
    assert (paused.reason, paused.actor) == ("storm", "open")
    client.post("/resume", data={"csrf_token": token, "reason": "over"}, headers=HTML)
    assert "1 campaign goes on" in client.get("/", headers=HTML).text
    assert find(database, tables.campaigns, code="busy").status == "active"
    client.post("/resume", data={"csrf_token": token}, headers=HTML)
    assert "Nothing was paused" in client.get("/", headers=HTML).text


# --- campaigns ------------------------------------------------------------------------------------


@sqlite_alone
def test_hours_are_told_on_the_clock_of_the_campaign(client: httpx.Client, database: Database):
    for code, windows, zone in (
        ("madrid", {"all": [["09:00", "16:30"]]}, "Europe/Madrid"),
        ("tokyo", {"mon-sat": [["09:00", "18:00"]]}, "Asia/Tokyo"), ("never", {"mon": []}, "UTC"),
    ):
        add_campaign(database, code, call_settings={"windows": windows, "timezone": zone})
    text = plain(client.get("/campaigns", headers=HTML).text)

    assert "open now, until 16:30 Europe/Madrid" in text
    assert "opens 09:00 Asia/Tokyo" in text, "there it is Saturday, soon after midnight"
    assert "never open" in text


@sqlite_alone
def test_campaigns_are_filtered_searched_and_paged(client: httpx.Client, database: Database):
    for number in range(55):
        add_campaign(database, f"c-{number}", status="paused" if number % 2 else "active")
    first = client.get("/campaigns", headers=HTML).text
    following = unescape(re.findall(r'href="([^"]*)" rel="next"', first)[0])
    second = client.get(following, headers=HTML).text

    assert (first.count("<th scope=\"row\">"), second.count("<th scope=\"row\">")) == (50, 5)
    assert 'rel="first"' in second and 'rel="next"' not in second
    assert client.get("/campaigns?search=c-54", headers=HTML).text.count("<th scope=\"row\">") == 1
    assert client.get("/campaigns?status=paused", headers=HTML).text.count("<th scope=\"row\">") == 27
    assert "No campaign fits" in client.get("/campaigns?search=%25", headers=HTML).text
    assert client.get("/campaigns?before=x", headers=HTML).status_code == 422


@sqlite_alone
def test_a_campaign_shows_its_funnel_and_each_number_leads_to_its_rows(
    client: httpx.Client, runtime: Runtime, database: Database, busy: dict[str, Any]
):
    page = client.get("/campaigns/busy", headers=HTML).text
    text = plain(page)

    assert "Leads 4 100% Called 1 25% Closed 1 25% Reached 1 25%" in text
    for address in (
        "/leads?campaign=busy&amp;status=closed&amp;reached=1", "/calls?campaign=busy&amp;outcome=completed",
        "/schedule?campaign=busy", "/audit?campaign=busy", "/calls?campaign=busy&amp;open=1",
    ):
        assert f'href="{address}"' in page, address
    due = re.search(r'<dt>Due now</dt>.*?href="(/schedule/rows[^"]*)">(\d+)<', page, re.DOTALL)
    assert due
    rows = client.get(html.unescape(due[1]), headers=HTML).text
    assert int(due[2]) == len(re.findall(r'<tr>\s*<th scope="row">', rows)) > 0
    assert client.get("/campaigns/busy/leads?status=open", headers=HTML).headers["location"] == (
        "/leads?status=open&campaign=busy"
    )
    assert "call_settings.windows" in text and "scheduler_config.max_attempts" not in text


@sqlite_alone
def test_a_code_that_an_address_cannot_hold_is_reached_by_its_id(client: httpx.Client, database: Database):
    found = [add_campaign(database, code) for code in ("a/b", "new", "..", "año 1?#%")]
    page = client.get("/campaigns", headers=HTML).text
    links = re.findall(r'<th scope="row"><a href="([^"]*)"', page)

    assert set(links) == {*(f"/campaigns/{one}" for one in found[:3]), "/campaigns/a%C3%B1o%201%3F%23%25"}
    assert {client.get(link, headers=HTML).status_code for link in links} == {200}


@sqlite_alone
def test_a_campaign_is_created_with_what_was_filled_in_and_refused_in_words(
    client: httpx.Client, database: Database
):
    form = form_of(client, "/campaigns/new")
    wrong = client.post("/campaigns/new", headers=HTML, data=form | {
        "name": " ", "windows.mon": "9 to five", "max_attempts": "many", "deadline": "2020-01-01", "account": "nobody",
    })
    assert wrong.status_code == 422
    assert {"windows.mon-wrong", "max_attempts-wrong"} <= set(re.findall(r'id="([\w.]+-wrong)"', wrong.text))
    right = client.post("/campaigns/new", headers=HTML, data=form | {
        "name": "Autumn", "code": "autumn", "windows.mon": "9-13, 15:00-20:00", "windows.tue": "9-13, 15:00-20:00",
        "timezone": "Europe/Madrid", "max_attempts": "4", "outcomes.busy.delay_hours": "0.5", "deadline": "2026-12-24",
        "priority": "7", "paused": "yes",
    })
    made = find(database, tables.campaigns, code="autumn")

    assert (right.status_code, right.headers["location"]) == (303, "/campaigns/autumn")
    assert (made.name, made.status, made.priority, str(made.fecha_limite)) == ("Autumn", "paused", 7, "2026-12-24")
    assert made.call_settings == {
        "windows": {"mon-tue": [["09:00", "13:00"], ["15:00", "20:00"]]}, "timezone": "Europe/Madrid",
        "max_attempts": 4, "outcomes": {"busy": {"delay_hours": 0.5}},
    }
    taken = client.post("/campaigns/new", headers=HTML, data=form | {"name": "Again", "code": "autumn"})
    assert (taken.status_code, "there is a campaign autumn already" in taken.text) == (422, True)


REFUSED = (
    ("name", "", "a campaign needs a name"), ("priority", "high", "write a whole number"),
    ("priority", "99999999999", "at most nine digits"), ("deadline", "2020-01-01", "it is past"),
    ("account", "nobody", "there is no account nobody"), ("provider", "pigeon", "known providers"),
    ("windows.sat", "25:00-26:00", "cannot be used"), ("windows.sat", "10", "write hours like"),
    ("timezone", "Mars/Base", "cannot be used"), ("max_attempts", "0", "greater than or equal to 1"),
    ("outcomes.busy.max_attempts", "101", "less than or equal to 100"), ("caps", "[{", "it is not JSON"),
    ("caps", '[{"max": 0}]', "cannot be used"), ("from_number", "600", "should match pattern"),
    ("preset", "xx", "cannot be used"), ("retry_delay_hours", "nan", "cannot be used"),
)


@sqlite_alone
def test_a_value_that_cannot_be_used_is_refused_beside_its_field_and_nothing_is_saved(
    client: httpx.Client, database: Database
):
    add_campaign(database, "busy", call_settings={"max_attempts": 3})
    form = form_of(client, "/campaigns/busy/settings") | {"step": "save"}
    for field, value, said in REFUSED:
        answer = client.post("/campaigns/busy/settings", headers=HTML, data=form | {field: value})
        wrong = re.search(rf'id="{re.escape(field)}-wrong">(.*?)</p>', answer.text, re.S)
        assert answer.status_code == 422, (field, value)
        assert wrong is not None, (field, value, plain(answer.text))
        assert said in unescape(wrong[1]), (field, value)
    assert find(database, tables.campaigns, code="busy").call_settings == {"max_attempts": 3}
    assert events_of(database, "campaign_edited") == []


def test_a_form_that_is_broken_or_too_large_changes_nothing(client: httpx.Client, database: Database):
    token = token_of(client.get("/pause", headers=HTML).text)
    head = {**HTML, "X-CSRF-Token": token}

    def post(path: str, **data: str) -> int:
        return client.post(path, data={"csrf_token": token, **data}, headers=HTML).status_code

    broken = client.post(
        "/pause", content=b"--x\r\nbroken", headers={**head, "Content-Type": "multipart/form-data; boundary=x"}
    )
    assert broken.status_code == 415
    assert client.post("/pause", content=b"{}", headers={**head, "Content-Type": "application/json"}).status_code == 415
    strange = {"Origin": "http://evil.example"}
    assert client.post("/pause", data={"reason": "no token"}, headers=strange).status_code == 403
    assert post("/campaigns/new", name="n", description="d" * 70_000) == 422
    assert post("/campaigns/new", name="n", call_settings="[" * 5_000) == 422
    assert post("/campaigns/new", name="n", caps="[" * 5_000) == 422
    assert post("/campaigns/new", name="n", max_attempts="9" * 5_000) == 422
    assert post("/campaigns/new", name="\0\x07") == 422
    assert post("/campaigns/new", name="n" * 2_000_000) == 413
    many = {f"f{one}": "" for one in range(900)}
    assert client.post("/campaigns/new", data=many, headers=head).status_code == 400
    assert events_of(database, "all_paused") == events_of(database, "campaign_created") == []


@sqlite_alone
def test_the_effect_is_told_before_settings_are_saved(client: httpx.Client, database: Database):
    campaign = add_campaign(database, "busy", call_settings={"windows": {"all": [["09:00", "20:00"]]}})
    for minutes in (1, 30, 300):
        plan_call(database, add_lead(database, campaign_id=campaign), at=NOON + minutes * MINUTE)
    form = form_of(client, "/campaigns/busy/settings") | {"windows.fri": "15:00-20:00"}
    preview = client.post("/campaigns/busy/settings", headers=HTML, data=form)
    before = find(database, tables.campaigns, code="busy").call_settings
    kept = fields_of(preview.text) | {"step": "save", "reason": "siesta"}
    saved = client.post("/campaigns/busy/settings", headers=HTML, data=kept)
    edited = events_of(database, "campaign_edited")[0]

    assert "2 of 3 planned calls will move." in plain(preview.text)
    assert before == {"windows": {"all": [["09:00", "20:00"]]}}
    assert (saved.status_code, saved.headers["location"]) == (303, "/campaigns/busy")
    assert find(database, tables.campaigns, code="busy").call_settings == {"windows": {
        "mon-thu": [["09:00", "20:00"]], "fri": [["15:00", "20:00"]], "sat-sun": [["09:00", "20:00"]],
    }}
    assert (edited.actor, edited.reason) == ("open", "call_settings: siesta")
    assert "2 of 3 planned calls move." in plain(client.get("/campaigns/busy", headers=HTML).text)


class Held(EffectCounts):
    """Counts that stand still after their first page until they are let go."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = threading.Event()

    def start(self, key: str, owner: str, look: Callable[[Told], object], *, wait: float) -> Count:
        return super().start(
            key, owner, lambda told: look(lambda effect: told(effect) and self.go_on.wait(20)),
            wait=20 if self.go_on.is_set() else 0,
        )


@sqlite_alone
def test_many_planned_calls_are_estimated_first_and_then_counted(runtime: Runtime, database: Database):
    campaign = add_campaign(database, "busy", call_settings={"windows": {"all": [["09:00", "20:00"]]}})
    add_many_planned(database, campaign, 1301)
    held, server = Held(), WebServer(runtime, "127.0.0.1", 0, reporter=Reporter(lambda line: None))
    server.start()
    with httpx.Client(base_url=server.url, timeout=30) as client:
        form = form_of(client, "/campaigns/busy/settings") | {"windows.fri": "15:00-20:00"}
        server.app.state.effect_counts = held  # by now the server has made its own
        early = client.post("/campaigns/busy/settings", headers=HTML, data=form)
        progress = re.search(r'hx-get="([^"]*)"', early.text)
        assert progress is not None
        meanwhile = client.get(progress[1], headers=HTML)
        held.go_on.set()
        again = fields_of(early.text) | {"step": "preview"}
        exact = client.post("/campaigns/busy/settings", headers=HTML, data=again)
        ended = client.get(progress[1], headers=HTML)
        gone = client.get("/campaigns/busy/settings/effect/unknown", headers=HTML)
        spanish = client.get(progress[1], headers=HTML | {"Accept-Language": "es"})
    server.stop()
    held.close()

    assert "About 100% of 1,301 planned calls will move." in plain(early.text)
    assert "the first 1,000 of 1,301, of which 1,000 move" in plain(early.text)
    assert meanwhile.status_code == 200
    for page in (exact, ended):
        assert "1,301 of 1,301 planned calls will move." in plain(page.text) and "hx-get" not in page.text
    assert "Primera de las nuevas horas" in spanish.text
    assert gone.status_code == 404


@sqlite_alone
def test_a_preview_names_the_days_on_which_nobody_is_called(client: httpx.Client, database: Database):
    campaign = add_campaign(database, "busy", call_settings={"windows": {"all": [["09:00", "20:00"]]}})
    plan_call(database, add_lead(database, campaign_id=campaign))
    form = form_of(client, "/campaigns/busy/settings") | {"windows.sat": "", "windows.sun": ""}
    preview = client.post("/campaigns/busy/settings", headers=HTML, data=form)

    assert "Days on which nobody is called: Sat, Sun" in plain(preview.text)


@sqlite_alone
def test_settings_that_somebody_changed_meanwhile_are_not_overwritten_unseen(
    client: httpx.Client, runtime: Runtime, database: Database
):
    add_campaign(database, "busy", call_settings={"max_attempts": 3})
    form = form_of(client, "/campaigns/busy/settings") | {"max_attempts": "5", "step": "save"}
    theirs = control.CampaignPlan(set_values={"ring_timeout": 40})
    control.edit_campaign("busy", theirs, reason="patience", runtime=runtime)
    answer = client.post("/campaigns/busy/settings", headers=HTML, data=form)

    assert answer.status_code == 409
    assert "Somebody changed this campaign" in answer.text and "patience" in answer.text
    assert 'name="max_attempts" type="text" value="5"' in answer.text, "what was typed is still there"
    assert find(database, tables.campaigns, code="busy").call_settings == {"max_attempts": 3, "ring_timeout": 40}


@sqlite_alone
def test_settings_that_are_broken_are_mended_as_json(client: httpx.Client, database: Database):
    add_campaign(database, "busy", call_settings='{"max_attempts": "lots"}')
    page = client.get("/campaigns/busy/settings", headers=HTML).text
    shown, form = client.get("/campaigns/busy", headers=HTML).text, fields_of(page)
    refused = client.post("/campaigns/busy/settings", headers=HTML, data=form | {"call_settings": "{oops"})
    done = client.post(
        "/campaigns/busy/settings", headers=HTML, data=form | {"call_settings": '{"max_attempts": 2}', "step": "save"}
    )

    assert "cannot be used:" in page and "lots" in page
    assert "Nothing is dialed by it until that is mended." in shown
    assert (refused.status_code, "it is not JSON" in refused.text) == (422, True)
    assert done.status_code == 303
    assert find(database, tables.campaigns, code="busy").call_settings == {"max_attempts": 2}


@sqlite_alone
def test_a_campaign_is_cancelled_only_by_who_writes_its_code_and_says_why(client: httpx.Client, database: Database):
    campaign = add_campaign(database, "busy")
    for _ in range(3):
        add_due_lead(database, campaign_id=campaign)
    page = client.get("/campaigns/busy/cancel", headers=HTML).text
    token = {"csrf_token": token_of(page)}
    refused = client.post("/campaigns/busy/cancel", headers=HTML, data=token | {"typed": "bus", "reason": ""})
    done = client.post("/campaigns/busy/cancel", headers=HTML, data=token | {"typed": "busy", "reason": "withdrawn"})

    assert "3 leads will be closed, and it cannot be undone." in page
    assert (refused.status_code, set(re.findall(r'id="(\w+)-wrong"', refused.text))) == (422, {"reason", "typed"})
    assert done.status_code == 303
    assert "3 leads are closed" in client.get("/campaigns/busy", headers=HTML).text
    assert find(database, tables.campaigns, code="busy").status == "cancelled"
    assert {one.actor for one in events_of(database, "lead_closed")} <= {"open"}
    assert client.get("/campaigns/busy/cancel", headers=HTML).status_code == 409


# --- settings as fields ---------------------------------------------------------------------------


DOCUMENTS: tuple[dict[str, Any], ...] = (
    {},
    {"max_attempts": 3, "allowed_hours": {"start": "09:00", "end": "18:00"}, "days_of_week": [1, 3]},
    {"retry_settings": {"max_attempts": 4, "retry_delay_hours": 1.5},
     "allowed_call_hours": {"start": "08:00", "end": "9:30"}},
    {"windows": {"mon-fri": [["22:00", "02:00"]], "sat": [], "hol": [["10:00", "12:00"]]},
     "overnight": True, "zones": ["Asia/Tokyo", "UTC"]},
    {"caps": [{"max": 3, "per": {"days": 7}, "by": "lead"}], "outcomes": {"busy": {"delay_hours": 0.25}},
     "days_of_week": [6]},
    {"allowed_countries": ["CL", "ES"], "required_variables": ["debt"], "preset": "cl-collections"},
)


@each("document", DOCUMENTS)
def test_fields_that_nobody_touched_leave_the_document_as_it_is(document: dict[str, Any]):
    form = settings_form.field_values(document, Config())
    draft = settings_form.read_form(form, None, document, Config(), as_json=False)
    assert (draft.errors, draft.plan.call_settings) == ({}, None)


@each(("document", "field", "text", "after"), [
    ({"retry_settings": {"max_attempts": 4, "retry_delay_hours": 1}}, "max_attempts", "6",
     {"retry_settings": {"retry_delay_hours": 1}, "max_attempts": 6}),
    ({"allowed_hours": {"start": "09:00", "end": "18:00"}, "days_of_week": [1, 2]}, "windows.tue", "",
     {"windows": {"mon": [["09:00", "18:00"]]}}),
    ({"zones": ["UTC", "Asia/Tokyo"]}, "timezone", "UTC", {"timezone": "UTC"}),
    ({"timezone": "UTC"}, "timezone", "", {}),
    ({"outcomes": {"busy": {"delay_hours": 2}}}, "outcomes.busy.delay_hours", "", {}),
    ({"overnight": True, "windows": {"all": [["22:00", "02:00"]]}}, "windows.hol", "10:00–12:00 y 15-16",
     {"overnight": True,
      "windows": {"mon-sun": [["22:00", "02:00"]], "hol": [["10:00", "12:00"], ["15:00", "16:00"]]}}),
])  # fmt: skip
def test_a_changed_field_replaces_its_setting_in_whichever_shape_it_was_written(
    document: dict[str, Any], field: str, text: str, after: dict[str, Any]
):
    form = settings_form.field_values(document, Config()) | {field: text}
    draft = settings_form.read_form(form, None, document, Config(), as_json=False)
    assert (draft.errors, draft.plan.call_settings) == ({}, after)


def test_a_box_that_is_taken_away_takes_the_night_away():
    document = {"overnight": True, "windows": {"all": [["22:00", "02:00"]]}}
    form = {**settings_form.field_values(document, Config()), settings_form.OVERNIGHT_SHOWN: "yes"}
    del form["overnight"]
    draft = settings_form.read_form(form, None, document, Config(), as_json=False)
    assert list(draft.errors) == ["windows.mon"]
    assert "it goes on past midnight until 02:00 of the next day" in draft.errors["windows.mon"]


@sqlite_alone
def test_a_night_is_confirmed_in_the_form_and_seen_before_a_campaign_is_made(client: httpx.Client, database: Database):
    form = form_of(client, "/campaigns/new") | {"name": "Nights", "code": "nights", "windows.mon": "20:00-09:00"}
    preview = form | {"step": "preview"}
    slip = client.post("/campaigns/new", headers=HTML, data=preview)
    spanish = client.post("/campaigns/new", headers={**HTML, "Accept-Language": "es"}, data=preview)
    seen = client.post("/campaigns/new", headers=HTML, data=preview | {"overnight": "yes"})

    assert slip.status_code == spanish.status_code == 422
    assert "write 09:00-20:00 if that is the wrong way round" in slip.text
    assert "sigue después de la medianoche hasta las 09:00" in spanish.text
    assert seen.status_code == 200
    assert "People are called at night, past midnight: mon 20:00-09:00" in seen.text
    assert "Days on which nobody is called" in seen.text
    assert find_all(database, tables.campaigns) == []
    again = fields_of(seen.text)
    back = client.post("/campaigns/new", headers=HTML, data=again | {"step": "edit"})
    made = client.post("/campaigns/new", headers=HTML, data=again | {"step": "save"})
    assert (back.status_code, 'value="Nights"' in back.text) == (200, True)
    assert made.status_code == 303
    assert find(database, tables.campaigns, code="nights").call_settings == {
        "windows": {"mon": [["20:00", "09:00"]]}, "overnight": True,
    }


# --- help -----------------------------------------------------------------------------------------


@pytest.fixture
def busy(runtime: Runtime, database: Database, clock: ManualClock) -> dict[str, Any]:
    """An installation in which every table has something, and the keys that addresses name."""
    accounts.create_account("Acme", code="acme", billing_type="minutes", balance="50", runtime=runtime)
    campaign = add_campaign(
        database, "busy", call_settings={"windows": {"all": [["00:00", "24:00"]]}},
        account_id=find(database, tables.accounts, code="acme").id,
    )
    station = Station(runtime)
    leads = [add_due_lead(database, campaign_id=campaign) for _ in range(2)]
    station.provider.ends(find(database, tables.leads, id=leads[0]).telefono, "completed")
    station.dispatch()
    clock.advance(MINUTE)
    station.follow()
    leads.append(add_due_lead(database, campaign_id=campaign, at=NOON + HOUR))
    add_lead(database, campaign_id=campaign, lead_status="suspended")
    add_due_lead(database, campaign_id=add_campaign(database, "resting", status="paused"), at=NOON - 9 * HOUR)
    by_hand = add_lead(database, campaign_id=campaign, manual_management=True)
    plan_call(database, by_hand, at=NOON - 9 * HOUR, hold="manual")
    sql(database, "DELETE FROM leads WHERE manual_management = 1")
    with database.engine.connect() as connection, connection.begin():
        journal.add_daemon(connection, owner="here:1", host="here", pid=1, provider="scripted", version="1", now=NOON)
        connection.execute(tables.imports.insert().values(
            campaign_id=campaign, file_name="leads.csv", status="done", rows_read=4, added=4, finished_at=NOON
        ))
    set_config(database, alert_success_below="50")
    return {
        "campaigns": "busy", "leads": leads[0], "calls": find(database, tables.call_attempts, lead_id=leads[0]).id,
        "imports": find(database, tables.imports).id, "accounts": "acme", "config": "max_concurrent_calls",
        "daemons": find(database, tables.daemons).id, "what": "top-up", "wish": "pause", "token": "none",
    }


def page_addresses(keys: dict[str, Any], method: str = "GET") -> list[str]:
    """Every address of the pages, with these keys in it."""
    found = []
    for part in vars(pages).values():
        router = getattr(part, "router", None)
        for route in getattr(router, "routes", ()) if part is not pages.router else ():
            path = getattr(route, "path", None)
            if path is None or method not in route.methods or path in ("/language", "/theme"):
                continue
            noun = path.split("/")[1]
            for name in re.findall(r"\{(\w+)\}", path):
                path = path.replace(f"{{{name}}}", str(keys.get(name, keys.get(noun, 1))))
            found.append(path)
    return sorted(set(found))


def log_in(client: httpx.Client, runtime: Runtime, role: str) -> str:
    """Log in as somebody new with this role. Returns the token that forms need."""
    access.add_user(f"somebody-{role}", PASSWORD, role=role, runtime=runtime)
    page = client.get("/login", headers=HTML).text
    fields = fields_of(page) | {"name": f"somebody-{role}", "password": PASSWORD}
    assert client.post("/login", data=fields, headers=HTML).status_code == 303
    return token_of(client.get("/", headers=HTML).text)


def token_of(page: str) -> str:
    found = re.search(r'name="csrf_token" value="([^"]*)"', page)
    assert found, page[:500]
    return found[1]


def form_of(client: httpx.Client, path: str) -> dict[str, str]:
    return fields_of(client.get(path, headers=HTML).text)


def fields_of(page: str) -> dict[str, str]:
    """What the form in the middle of a page would send, untouched."""
    middle = page[page.index("<main"):]
    found = {}
    for tag in re.findall(r"<input[^>]*>", middle):
        name, value = re.search(r'name="([^"]*)"', tag), re.search(r'value="([^"]*)"', tag)
        is_unticked = 'type="checkbox"' in tag and " checked" not in tag
        if name and not is_unticked:
            found[name[1]] = unescape(value[1]) if value else ""
    for name, text in re.findall(r'<textarea[^>]*name="([^"]*)"[^>]*>\n?(.*?)</textarea>', middle, re.S):
        found[name] = unescape(text)
    for name, options in re.findall(r'<select[^>]*name="([^"]*)"[^>]*>(.*?)</select>', middle, re.S):
        chosen = re.search(r'value="([^"]*)" selected', options)
        found[name] = unescape(chosen[1]) if chosen else ""
    return found


def plain(page: str) -> str:
    """What is there to read."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", page)))

