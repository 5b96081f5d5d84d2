"""The overview and the pages of campaigns in a real browser: by keyboard alone, narrow, dark, live."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from scheduler.clock import ManualClock
from scheduler.events import Reporter
from scheduler.service.runtime import Runtime
from scheduler.store import tables
from scheduler.store.database import Database
from scheduler.web.server import WebServer
from tests.conftest import NOON
from tests.factories import HOUR, MINUTE, Station, add_campaign, add_due_lead, add_lead, events_of, find, plan_call
from tests.web.browser import Visitor

Visit = Callable[..., Visitor]
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
WIDTHS = (320, 400, 1280)
PAGES = (
    "/", "/alerts", "/pause", "/resume", "/campaigns", "/campaigns?search=zz", "/campaigns/new", "/campaigns/busy",
    "/campaigns/busy/settings", "/campaigns/busy/settings?mode=json", "/campaigns/busy/cancel", "/campaigns/busy/pause",
    "/campaigns/nothing", "/nowhere",
)  # fmt: skip


def test_a_campaign_is_created_and_its_hours_edited_by_keyboard_alone(visit: Visit, database: Database):
    visitor = visit()
    page = visitor.go("/")
    visitor.press("Tab")
    assert visitor.focused() == "Skip to the content"
    visitor.press("Enter")
    visitor.tab_to("New campaign")
    visitor.press("Enter")
    page.wait_for_url("**/campaigns/new")
    assert visitor.focused() == "Name"
    visitor.type("Autumn")
    visitor.tab_to("Code")
    visitor.type("autumn")
    visitor.tab_to("Friday")
    visitor.type("09:00-20:00")
    visitor.press("Enter")
    page.get_by_text("Days on which nobody is called").wait_for()
    assert visitor.focused() == "Create the campaign"
    visitor.press("Enter")
    page.wait_for_url("**/campaigns/autumn")
    campaign = find(database, tables.campaigns, code="autumn")
    for minutes in (1, 60, 300):
        lead = add_lead(database, campaign_id=campaign.id)
        plan_call(database, lead, at=NOON + minutes * MINUTE)
    visitor.tab_to("Edit settings")
    visitor.press("Enter")
    page.wait_for_url("**/settings")
    visitor.tab_to("Friday")
    visitor.type("15:00-20:00")
    visitor.tab_to("Preview the effect")
    visitor.press("Enter")
    page.get_by_text("2 of 3 planned calls will move.").wait_for()
    assert find(database, tables.campaigns, code="autumn").call_settings == {"windows": {"fri": [["09:00", "20:00"]]}}
    assert visitor.focused() == "Reason"
    visitor.type("siesta")
    visitor.press("Enter")
    page.get_by_text("Campaign autumn is changed").wait_for()

    assert find(database, tables.campaigns, code="autumn").call_settings == {"windows": {"fri": [["15:00", "20:00"]]}}
    assert events_of(database, "campaign_edited")[0].reason == "call_settings: siesta"


def test_everything_is_stopped_with_two_keys(visit: Visit, database: Database):
    add_campaign(database, "busy")
    visitor = visit()
    page = visitor.go("/campaigns/busy")
    visitor.press("Alt+p")
    page.wait_for_url("**/pause")
    assert visitor.focused() == "Reason"
    visitor.press("Enter")
    page.get_by_text("Everything is paused. 1 campaign was running.").wait_for()

    assert find(database, tables.campaigns, code="busy").status == "paused"
    assert events_of(database, "all_paused")[0].reason == "stopped in a hurry"
    visitor.tab_to("Resume everything")
    visitor.press("Enter")
    page.wait_for_url("**/resume")
    visitor.press("Enter")
    page.get_by_text("1 campaign goes on").wait_for()


def test_a_dialog_asks_before_a_campaign_is_paused_and_gives_the_focus_back(visit: Visit, database: Database):
    add_campaign(database, "busy")
    visitor = visit()
    page = visitor.go("/campaigns/busy")
    visitor.tab_to("Pause")
    visitor.press("Enter")
    page.get_by_role("dialog").wait_for()
    assert visitor.focused() == "Reason"
    visitor.press("Escape")
    assert not page.get_by_role("dialog").is_visible() and visitor.focused() == "Pause"
    visitor.press("Enter")
    visitor.type("lunch")
    visitor.press("Enter")
    page.get_by_text("Campaign busy is paused.").wait_for()

    assert find(database, tables.campaigns, code="busy").status_reason == "lunch"


@pytest.mark.parametrize(("dark", "language"), [(False, "es-CL"), (True, "en-GB")])
def test_pages_fit_are_readable_and_name_everything(
    visit: Visit, runtime: Runtime, database: Database, clock: ManualClock, dark: bool, language: str
):
    fill(runtime, database, clock)
    visitor = visit(width=WIDTHS[0], dark=dark, language=language)
    found = {}
    for path in PAGES:
        visitor.resize(WIDTHS[0])  # each is drawn on the narrowest
        visitor.go(path)
        found[path] = [*visitor.overflow(at=WIDTHS), *visitor.faults()]
    visitor.go("/campaigns/busy/settings")
    for what, hours in (("refused", "10"), ("preview", "10:00-12:00")):
        visitor.page.locator('[name="windows.mon"]').fill(hours)
        with visitor.page.expect_navigation():
            visitor.page.locator('button[value="preview"]').click()
        found[what] = [*visitor.overflow(at=WIDTHS), *visitor.faults()]

    assert {path: faults for path, faults in found.items() if faults} == {}


def test_figures_move_by_themselves_and_a_lost_connection_is_seen(
    chromium: object, runtime: Runtime, database: Database
):
    campaign = add_campaign(database, "busy")
    server = WebServer(runtime, "127.0.0.1", 0, reporter=Reporter(lambda line: None))
    server.start()
    visitor = Visitor(chromium, server.url)  # type: ignore[arg-type]
    page = visitor.go("/campaigns/busy")
    page.locator(f"[data-live=c{campaign}_leads]").get_by_text("0").wait_for()
    add_due_lead(database, campaign_id=campaign)
    page.locator(f"[data-live=c{campaign}_leads]").get_by_text("1").wait_for()
    assert not page.locator("#connection").is_visible()
    server.stop()
    page.get_by_text("The connection is lost").wait_for()
    page.context.close()

    assert [one for one in visitor.troubles if "ERR_" not in one] == []


def test_today_is_drawn_from_its_table(visit: Visit, runtime: Runtime, database: Database, clock: ManualClock):
    fill(runtime, database, clock)
    page = visit().go("/")
    page.locator(".chart canvas").wait_for()
    page.get_by_text("The figures as a table").click()

    assert page.locator("#hours-table tbody tr").last.inner_text().split() == ["12:00", "2", "1", "1"]


def test_figures_fill_their_grid_and_the_page_keeps_its_title(
    visit: Visit, runtime: Runtime, database: Database, clock: ManualClock
):
    fill(runtime, database, clock)
    visitor = visit()
    for path in ("/campaigns/busy", "/"):
        page = visitor.go(path)
        for width in (400, 800, 1280, 1600):
            visitor.resize(width)
            edges = page.locator(".figures").evaluate(
                "e => [e, ...e.children].map(one => one.getBoundingClientRect()).map(one => [one.bottom, one.right])"
            )
            ends = {bottom: max(right for at, right in edges[1:] if at == bottom) for bottom, _ in edges[1:]}
            assert [path for right in ends.values() if abs(right - edges[0][1]) > 2] == [], (width, ends)
    page.locator("#alerts-list").wait_for()
    assert page.title() == "Overview · Ringback"


def fill(runtime: Runtime, database: Database, clock: ManualClock) -> None:
    """Campaigns with long names, calls of today, and something that needs attention."""
    campaign = add_campaign(
        database, "busy", name="Encuesta de satisfacción con un nombre bastante largo " + "x" * 60,
        call_settings={
            "windows": {"all": [["09:00", "20:00"]]}, "caps": [{"max": 3, "per": {"days": 7}, "by": "lead"}],
        },
    )
    add_campaign(database, "r" * 60, status="paused", status_reason="<b>agents</b> at lunch " * 8)
    station = Station(runtime)
    clock.advance(MINUTE)
    for place in range(2):
        lead = add_due_lead(database, campaign_id=campaign, at=NOON)
        station.provider.ends(find(database, tables.leads, id=lead).telefono, "completed" if place else "busy")
    station.dispatch()
    clock.advance(MINUTE)
    station.follow()
    add_due_lead(database, campaign_id=campaign, at=NOON - 5 * HOUR)
