"""Take the README's pictures from the running example: `make screenshots`.

The example of `make run` is run in a folder of its own: import, daemon, simulated network, web application. A
headless Chromium looks at it as a person would. What must stay true: nothing is drawn by hand, so a picture
that no longer fits the program is one that nobody took anew.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "pictures"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
AS_IN_MAKE_RUN = {
    "RINGBACK_PROVIDER": "simulator", "RINGBACK_SIMULATOR_RING_SECONDS": "0.7", "RINGBACK_SIMULATOR_TALK_SECONDS": "2",
    "RINGBACK_SIMULATOR_CALLBACK_MINUTES": "0.5", "RINGBACK_DISPATCH_INTERVAL": "0.5",
    "RINGBACK_FOLLOW_INTERVAL": "0.5", "RINGBACK_POLL_EVERY": "1", "RINGBACK_UPKEEP_INTERVAL": "2",
    "RINGBACK_SIMULATOR_SEED": "7", "RINGBACK_OPEN_ACCESS": "1",
}  # fmt: skip
WORKED_FOR = 25.0
"""Seconds of calling before the first picture, so that there is something to see."""


@dataclass(frozen=True)
class Picture:
    """What is to be seen: a page (or how to get there), how wide, light or dark, in which language."""

    name: str
    path: str
    width: int = 1280
    height: int = 860
    scheme: str = "light"
    language: str = "en-US"


def pictures(lead_id: int) -> list[Picture]:
    return [
        Picture("overview", "/"),
        Picture("overview-phone", "/", width=400, height=860, scheme="dark", language="es-CL"),
        Picture("campaign", "/campaigns/example"),
        Picture("why-not-called", f"/leads/{lead_id}", height=1000),
        Picture("settings", "/campaigns/example/settings"),
    ]


def main() -> int:
    browser_path = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser_path is None:
        print("chromium is not installed; on Debian: apt-get install chromium", file=sys.stderr)
        return 1
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, running_example(Path(folder)) as url, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        time.sleep(WORKED_FOR)
        for one in pictures(find_waiting_lead(Path(folder))):
            take(browser, url, one)
            print(f"docs/pictures/{one.name}.png")
        browser.close()
    return 0


def take(browser: Browser, url: str, picture: Picture) -> None:
    context = browser.new_context(
        viewport={"width": picture.width, "height": picture.height}, color_scheme=picture.scheme,  # type: ignore[arg-type]
        locale=picture.language, timezone_id="America/Santiago",
    )
    page: Page = context.new_page()
    answer = page.goto(url + picture.path)
    if answer is None or not answer.ok:
        raise RuntimeError(f"{picture.path} was answered {answer.status if answer else 'nothing'}")
    page.wait_for_timeout(2500)  # the first live figures, and the chart
    page.screenshot(path=str(PICTURES / f"{picture.name}.png"))
    context.close()


@contextmanager
def running_example(folder: Path) -> Iterator[str]:
    """The address of the example at work."""
    env = {**os.environ, **AS_IN_MAKE_RUN, "RINGBACK_DATABASE_URL": f"sqlite:///{folder / 'ringback.db'}"}
    ringback = [sys.executable, "-m", "cli.main"]

    def tell(*words: str) -> None:
        subprocess.run([*ringback, *words], cwd=ROOT, env=env, check=True, stdout=subprocess.DEVNULL)

    tell("db", "upgrade")
    settings = "examples/call_settings.json"
    tell(
        "accounts", "create", "--code", "acc-test-001", "--billing-type", "minutes", "--balance", "2000",
        "Example account",
    )
    tell(
        "campaigns", "create", "--code", "example", "--account", "acc-test-001", "--settings", settings,
        "Example: any hour, retries within seconds",
    )
    tell("leads", "import", "examples/leads.csv", "--campaign", "example", "--rejects", str(folder / "rejects.csv"))
    log = (folder / "run.log").open("w+")
    process = subprocess.Popen(
        [*ringback, "run", "--with-web", "--port", "0", "--plain"], cwd=ROOT, env=env, stdout=log, stderr=log
    )
    try:
        yield wait_for_address(folder / "run.log")
    finally:
        process.terminate()
        process.wait(timeout=60)
        log.close()


def wait_for_address(log: Path) -> str:
    for _ in range(300):
        found = re.search(r"(http://127\.0\.0\.1:\d+)", log.read_text("utf-8"))
        if found:
            with urllib.request.urlopen(f"{found[1]}/health/live", timeout=10):
                return found[1]
        time.sleep(0.1)
    raise TimeoutError(log.read_text("utf-8"))


def find_waiting_lead(folder: Path) -> int:
    """One that was called and waits for its next attempt: its page has the most to tell."""
    from scheduler.store.database import Database
    from scheduler.store.reports import list_schedule

    database = Database(f"sqlite:///{folder / 'ringback.db'}")
    try:
        rows = database.read(lambda connection: list_schedule(connection, status="pending", limit=500))
    finally:
        database.close()
    return max(rows, key=lambda row: (row["attempt_number"], row["scheduled_at"]))["lead_id"] if rows else 1


if __name__ == "__main__":
    sys.exit(main())
