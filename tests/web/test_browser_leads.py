"""The pages of leads, calls and imports in a real Chromium: by keyboard alone, on a phone, without scripts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from scheduler.events import Reporter
from scheduler.service.runtime import Runtime
from scheduler.store import tables
from scheduler.web.server import WebServer
from tests.conftest import NOON
from tests.factories import HOUR, ScriptedProvider, Station, add_campaign, add_due_lead, add_lead, find_all, plan_call

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
NASTY = "<img src=x onerror=alert(1)>"
PAGES = (
    "/leads", "/leads?campaign=night", "/leads/1", "/leads/bulk?campaign=night&action=close", "/calls", "/calls/1",
    "/calls/1/hangup", "/schedule", "/schedule/rows", "/imports", "/providers", "/daemons", "/audit?who=all", "/config",
    "/config/holidays", "/accounts", "/accounts/new", "/do-not-call",
)  # fmt: skip


@pytest.fixture
def station(runtime: Runtime) -> Station:
    return Station(runtime, ScriptedProvider("simulator"))


@pytest.fixture
def served(station: Station) -> Iterator[str]:
    """A site with a lead that must wait for the night, a live call, and plans for tomorrow."""
    database = station.runtime.database
    night = add_campaign(database, "night", call_settings={"windows": {"mon-fri": [["20:00", "21:00"]]}})
    add_due_lead(database, campaign_id=night, nombre="Carla", apellidos="Díaz", time_zone="America/Santiago")
    add_due_lead(database, nombre=NASTY)
    for _ in range(3):
        plan_call(database, add_lead(database, campaign_id=night), at=NOON + 24 * HOUR)
    with database.engine.connect() as connection, connection.begin():
        connection.execute(tables.daemons.insert().values(
            owner="a-host-with-a-rather-long-name:4711:0123456789", host="h", pid=1, started_at=NOON, last_seen_at=NOON
        ))
    station.dispatch()
    server = WebServer(station.runtime, "127.0.0.1", 0, reporter=Reporter(lambda line: None))
    server.start()
    yield server.url
    server.stop()


def test_by_keyboard_alone_somebody_finds_out_why_a_lead_was_not_called(visit):
    visitor = visit()
    page = visitor.go("/leads")
    visitor.tab_to("Search")
    page.keyboard.type("Carla")
    visitor.press("Enter")
    page.wait_for_url("**search=Carla**")
    visitor.tab_to("Carla Díaz")
    visitor.press("Enter")
    page.wait_for_url("**/leads/1")

    said = "outside hours: Friday 12:00 in America/Santiago; opens Friday 20:00"
    assert page.inner_text(".decision") == f"Not now: {said}"
    visitor.tab_to("Ask about another time")
    page.fill("#at", "2026-11-20T20:30")  # in which order its parts are typed is the browser's affair
    visitor.tab_to("Ask")
    visitor.press("Enter")
    page.wait_for_url("**at=**")
    assert page.inner_text(".decision").startswith("Yes:")


def test_by_keyboard_alone_a_live_call_is_hung_up(visit, station):
    visitor = visit()
    page = visitor.go("/calls")
    page.focus("#hangup-1")
    name = visitor.focused()
    page.reload()
    visitor.tab_to(name)
    visitor.press("Enter")
    page.wait_for_url("**/calls/1/hangup")
    page.keyboard.type("wrong person")  # the reason has the focus
    visitor.press("Enter")
    page.wait_for_url("**/calls")

    assert "was hung up" in page.inner_text(".notice-done")
    assert len(station.provider.hung_up) == 1


def test_the_list_of_open_calls_keeps_the_focus_when_it_is_looked_at_again(visit):
    page = visit().go("/calls")
    page.focus("#hangup-1")
    page.evaluate("document.getElementById('hangup-1').dataset.old = 'yes'")
    with page.expect_response("**/calls/live"):
        pass  # it asks by itself every few seconds
    page.wait_for_selector("#hangup-1:not([data-old])")

    assert page.evaluate("document.activeElement.id") == "hangup-1"


def test_a_file_is_dropped_looked_through_and_imported(visit, database):
    page = visit().go("/imports")
    dropped = page.evaluate_handle(
        "() => { const data = new DataTransfer();"
        " data.items.add(new File(['nombre,telefono\\nAna,912345601\\nEva,12\\n'], 'people.csv')); return data; }"
    )
    page.dispatch_event("[data-drop]", "drop", {"dataTransfer": dropped})
    assert page.inner_text("#file-chosen") == "Chosen: people.csv"
    page.fill("#campaign", "night")
    page.click("text=Look through the file")
    page.wait_for_url("**/imports/look/**")
    page.click("text=Import 1 lead")
    page.wait_for_url("**/imports/1")
    page.wait_for_selector("text=Take it back…")

    assert "too few digits" in page.inner_text("#rejects")
    assert [one.nombre for one in find_all(database, tables.leads, import_id=1)] == ["Ana"]


def test_without_scripts_all_that_match_are_suspended(chromium, served, database):
    context = chromium.new_context(base_url=served, java_script_enabled=False)
    page = context.new_page()
    page.goto("/leads?campaign=night")
    page.click("text=Suspend all…")
    assert "4 leads match:" in page.inner_text("main")
    page.fill("#reason", "a pause")
    page.click("main button.primary")
    said = page.inner_text("main")
    context.close()

    assert "4 leads are suspended." in said
    assert len(find_all(database, tables.leads, lead_status="suspended")) == 4


@pytest.mark.parametrize(("dark", "language"), [(False, "en-GB"), (True, "es-ES")])
def test_on_a_phone_every_page_fits_and_keeps_nobody_out(visit, dark, language):
    visitor = visit(width=400, dark=dark, language=language)
    found: dict[str, Any] = {}
    for address in PAGES:
        visitor.go(address)
        if wrong := visitor.overflow() + visitor.faults():
            found[address] = wrong

    assert found == {}
