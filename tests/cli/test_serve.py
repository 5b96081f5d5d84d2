"""`ringback serve`, `run --with-web` and `check --provider`, as real processes against a vendor's fake."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from scheduler.store import tables
from scheduler.store.database import Database
from tests.cli.conftest import Ringback
from tests.factories import add_campaign, find_all
from tests.providers.fakes.retell import AGENT, FROM, KEY, Retell
from tests.providers.fakes.vendor import VendorServer, open_vendor
from tests.waiting import BACKSTOP, PLAIN

ROOT = Path(__file__).parents[2]
SECRET = "key_that_nobody_may_see_0001"


@pytest.fixture
def vendor(tmp_path: Path) -> Iterator[VendorServer]:
    server = open_vendor(Retell, tmp_path / "ledger")
    server.serve_in_thread()
    yield server
    server.stop()


def keys(vendor: VendorServer, **changed: str) -> dict[str, str]:
    return {
        "RINGBACK_PROVIDER": "retell", "RETELL_BASE_URL": vendor.url, "RETELL_API_KEY": KEY,
        "RETELL_FROM_NUMBER": FROM, "RETELL_AGENT_ID": AGENT, **changed,
    }  # fmt: skip


@pytest.mark.parametrize("arguments", [("serve",), ("run", "--with-web")])
def test_webhooks_are_taken_until_a_signal(database: Database, database_url: str, vendor: VendorServer, arguments):
    environment = {**os.environ, "RINGBACK_DATABASE_URL": database_url, "RINGBACK_ALLOW_UNSAFE_DURABILITY": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "cli.main", *arguments, "--port", "0"], cwd=ROOT, env={**environment, **keys(vendor)},
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    said = ""
    while (found := re.search(r"listening at (http://\S+)", said)) is None:
        said += process.stderr.readline()
        assert process.poll() is None, said
    url = found[1]

    with httpx.Client(**PLAIN) as client:
        refused = client.post(f"{url}/webhooks/retell", json={"event": "call_ended", "call": {"call_id": "x"}})
        large = client.post(f"{url}/webhooks/retell", content=b"x" * (6 * 2**20))
        nobody = client.post(f"{url}/webhooks/nobody", json={})
    process.send_signal(signal.SIGTERM)
    rest = process.communicate(timeout=BACKSTOP)[1]

    assert [one.status_code for one in (refused, large, nobody)] == [401, 413, 404]
    assert process.returncode == 0, rest
    assert find_all(database, tables.provider_events) == []
    assert KEY not in said + rest


def test_without_its_extra_serving_says_what_to_install(database_url: str):
    program = "import sys; sys.modules['uvicorn'] = None; from cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "serve"], cwd=ROOT, capture_output=True, text=True, timeout=BACKSTOP,
        env={**os.environ, "RINGBACK_DATABASE_URL": database_url}, check=False,
    )  # fmt: skip

    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr


def test_check_provider_finds_everything_right(ringback: Ringback, vendor: VendorServer):
    assert "0 problems" in ringback("check", "--provider", **keys(vendor)).stderr
    assert ringback("check", "--provider", "retell", **keys(vendor)).exit_code == 0


@pytest.mark.parametrize(
    "wrong, word",
    [
        ({"RETELL_API_KEY": SECRET}, "RETELL_API_KEY"), ({"RETELL_AGENT_ID": "agent_nobody"}, "agent_nobody"),
        ({"RETELL_FROM_NUMBER": "+14157779999"}, "+1415"), ({"RETELL_API_KEY": ""}, "RETELL_API_KEY"),
        ({"RETELL_FROM_NUMBER": "12345"}, "RETELL_FROM_NUMBER"),
        ({"RETELL_BASE_URL": "http://169.254.169.254"}, "link-local"),
        ({"RETELL_BASE_URL": "ftp://example.com"}, "RETELL_BASE_URL"),
        ({"RETELL_BASE_URL": "http://127.0.0.1:9"}, "nothing is verified"),
    ],
)  # fmt: skip
def test_check_provider_names_what_is_wrong_before_the_first_dial(
    ringback: Ringback, vendor: VendorServer, wrong: dict[str, str], word: str
):
    done = ringback("check", "--provider", "retell", **keys(vendor, **wrong))

    assert done.exit_code == 1
    problems = [line for line in done.stdout.splitlines() if line.startswith("problem")]
    assert len(problems) >= 1
    assert word in " ".join(problems)
    assert SECRET not in done.output
    assert [one for one in vendor.vendor.exchange.entries() if one["event"] == "request"] == []


def test_check_provider_asks_for_the_agents_and_caller_ids_of_campaigns(
    ringback: Ringback, database: Database, vendor: VendorServer
):
    add_campaign(database, call_settings={"agent_id": "agent_of_yesterday", "from_number": "+14150000000"})
    add_campaign(database, "over", status="cancelled", call_settings={"agent_id": "agent_long_gone"})
    done = ringback("check", "--provider", **keys(vendor))

    assert done.exit_code == 1
    assert "agent_of_yesterday" in done.stdout
    assert "agent_long_gone" not in done.stdout


def test_keys_may_be_in_files_and_are_never_shown(ringback: Ringback, vendor: VendorServer, tmp_path: Path):
    (tmp_path / "key").write_text(f"{KEY}\n")
    environment = keys(vendor, RETELL_API_KEY="", RETELL_API_KEY_FILE=str(tmp_path / "key"))
    done = ringback("check", "--provider", "retell", "--json", **environment)

    assert done.exit_code == 0
    assert KEY not in done.output
    missing = ringback("check", "--provider", "retell", **{**environment, "RETELL_API_KEY_FILE": "/nowhere"})
    assert "RETELL_API_KEY_FILE" in missing.stdout
    assert missing.exit_code == 1


def test_a_campaign_dials_through_its_own_provider(
    ringback: Ringback, database: Database, vendor: VendorServer, tmp_path: Path
):
    add_campaign(database, provider="retell", call_settings={"allowed_hours": {"start": "00:00", "end": "24:00"},
                                                             "days_of_week": [1, 2, 3, 4, 5, 6, 7]})
    (tmp_path / "leads.csv").write_text("nombre,telefono\nAna,+56912345678\n")
    ringback.ok("leads", "import", "leads.csv", "--campaign", "batch-1")
    ringback.ok("run", "--once", **{**keys(vendor), "RINGBACK_PROVIDER": "simulator"})

    (one,) = find_all(database, tables.call_attempts)
    assert (one.provider, one.state) == ("retell", "live")
    assert len([call for call in vendor.vendor.exchange.entries() if call["event"] == "accepted"]) == 1
