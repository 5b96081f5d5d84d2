"""A real Chromium for tests of pages, with what a person would see as wrong collected while they run.

It is the system's (`chromium`, or what RINGBACK_TEST_CHROMIUM names), driven by Playwright. Under CI it must be
there; elsewhere tests that need it are skipped with the reason. A newcomer would keep one for the whole session:
Playwright holds an event loop of its own as long as it lives, and tests that run one would fail beside it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.waiting import BACKSTOP

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
LONGEST_MS = BACKSTOP * 1000
MOST_TABS = 150
FAULTS = Path(__file__).with_name("faults.js")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One for the tests of a module."""
    path = os.environ.get("RINGBACK_TEST_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        _without("Playwright is not installed")
    if path is None:
        _without("there is no chromium on this machine; on Debian: apt-get install chromium")
    with sync_playwright() as driver:
        try:
            browser = driver.chromium.launch(
                executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
            )
        except Error as error:
            _without(f"{path} does not start: {str(error).splitlines()[0]}")
        yield browser
        browser.close()


def _without(why: str) -> Any:
    if os.environ.get("CI") == "true":
        pytest.fail(f"Chromium is needed here: {why}")
    pytest.skip(why)


@pytest.fixture
def visit(chromium: Browser, served: str) -> Iterator[Callable[..., Visitor]]:
    """Makes visitors of the served application. Errors on the console or refusals by the policy fail the test."""
    made: list[Visitor] = []

    def one(**options: Any) -> Visitor:
        made.append(Visitor(chromium, served, **options))
        return made[-1]

    yield one
    for visitor in made:
        visitor.page.context.close()
    assert [trouble for visitor in made for trouble in visitor.troubles] == []


class Visitor:
    """Somebody with a browser of their own: no cookies, a width, a language, a taste for light or dark."""

    def __init__(
        self, chromium: Browser, address: str, *, width: int = 1280, dark: bool = False, language: str = "en-GB"
    ) -> None:
        context = chromium.new_context(
            base_url=address, viewport={"width": width, "height": 900}, locale=language,
            color_scheme="dark" if dark else "light", reduced_motion="reduce",
        )
        context.set_default_timeout(LONGEST_MS)
        self.troubles: list[str] = []
        self.page: Page = context.new_page()
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.troubles.append(f"{self.page.url}: {error}"))

    def _hear(self, message: Any) -> None:
        # What was refused by its status is said by the page itself, which the test looks at.
        if message.type == "error" and "the server responded with a status of" not in message.text:
            self.troubles.append(f"{self.page.url}: {message.text}")

    def go(self, path: str) -> Page:
        self.page.goto(path, wait_until="load")
        return self.page

    def tab_to(self, name: str) -> None:
        """Press Tab until what has the focus is called so."""
        for _ in range(MOST_TABS):
            if self.focused() == name:
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"{name!r} is not reached by Tab on {self.page.url}")

    def focused(self) -> str:
        """What has the focus: its label, or its text."""
        return str(self.page.evaluate(
            "() => { const e = document.activeElement; if (!e || e === document.body) return '';"
            " const l = e.labels && e.labels[0]; const text = l ? l.innerText : (e.getAttribute('aria-label') ||"
            " e.innerText || ''); return text.replace(/\\(.*\\)/, '').trim(); }"
        ))

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def type(self, text: str) -> None:
        """In the place of what is there."""
        self.page.keyboard.press("Control+a")
        self.page.keyboard.type(text)

    def resize(self, width: int) -> None:
        self.page.set_viewport_size({"width": width, "height": 900})

    def overflow(self, *, at: tuple[int, ...] = ()) -> list[str]:
        """What stands out of the page to the right, as wide as it is or at each of these widths."""
        found = []
        for width in at:
            self.resize(width)
            found += [f"{one} at {width}" for one in self.overflow()]
        return found if at else list(self.page.evaluate(
            "() => document.documentElement.scrollWidth <= document.documentElement.clientWidth ? [] :"
            " [...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1"
            " && !e.closest('.table-frame')).slice(0, 5).map(e => e.tagName + '.' + e.className)"
        ))

    def faults(self) -> list[str]:
        """What keeps people out who see little or nothing: names, ids, headings, contrast."""
        return list(self.page.evaluate(FAULTS.read_text("utf-8")))
