"""A provider whose host cannot be found, because the resolver gives no answer: the others' calls do not wait for it."""

from __future__ import annotations

import time

import pytest
from sqlalchemy import update

from scheduler.config import Settings
from scheduler.rules.alerts import AlertCode
from scheduler.service.alerts import list_alerts
from scheduler.service.checks import run_checks
from scheduler.service.runtime import open_runtime
from scheduler.store.tables import campaigns
from tests.faults.conftest import BuildHouse
from tests.faults.harness import DaemonProcess, House, wait_until
from tests.providers.fakes import retell

pytestmark = [pytest.mark.faults, pytest.mark.parametrize("engine", ["sqlite"], indirect=True)]

SILENT = ("-m", "tests.faults.silent_resolver", "run")
HOST = "api.hangs.example"
FOUND_NOWHERE = {
    "RETELL_BASE_URL": f"https://{HOST}", "RETELL_API_KEY": retell.KEY, "RETELL_FROM_NUMBER": retell.FROM,
}
SOON, PROMPTLY = 8.0, 2.5
"""Seconds: the first look at providers, and starting; and what a polite stop may take."""


def test_a_name_that_hangs_keeps_no_call_of_another_provider_waiting_and_is_said(build_house: BuildHouse) -> None:
    house = build_house(mix="completed=1")
    elsewhere = add_campaign_elsewhere(house)
    house.add_leads(5, campaign_id=elsewhere, sharing=0)
    house.add_leads(40, sharing=0)
    daemon = start_without_names(house)

    wait_until(lambda: house.simulator.count("accepted") >= 5, "calls begin all the same", house.tell, seconds=SOON)
    wait_until(lambda: house.simulator.count("accepted") >= 40, "and go on", house.tell)
    wait_until(lambda: house.count_events("name_hangs"), "it is written down", house.tell, seconds=30)
    said = [line["event"] for line in daemon.lines() if line.get("kind") == "name_hangs"]
    assert any(HOST in text for text in said), said
    assert house.attempts("unknown") == 0, "what waited for a name was not sent"

    began = time.monotonic()
    assert daemon.stop() == 0
    assert time.monotonic() - began < PROMPTLY
    runtime = open_runtime(Settings(database_url=house.url, provider="simulator"))
    try:
        assert AlertCode.NAME_HANGS in {one.code for one in list_alerts(runtime=runtime)}
        assert any(HOST in one.sentence for one in run_checks(runtime) if one.check == "providers")
    finally:
        runtime.close()


def test_a_daemon_whose_only_provider_hangs_ends_promptly_and_loses_nothing(build_house: BuildHouse) -> None:
    house = build_house()
    house.add_leads(20, campaign_id=add_campaign_elsewhere(house), sharing=0)
    daemon = start_without_names(house, provider="retell")
    wait_until(lambda: house.count_events("name_hangs"), "it waits for the name", house.tell, seconds=30)

    began = time.monotonic()
    assert daemon.stop() == 0
    assert time.monotonic() - began < PROMPTLY
    assert house.attempts("placing") + house.attempts("unknown") == 0, house.tell()


def test_a_daemon_told_to_end_while_it_first_looks_at_its_providers_ends_promptly(build_house: BuildHouse) -> None:
    house = build_house()
    daemon = start_without_names(house, provider="retell")
    wait_until(daemon.has_started, "it has started", house.tell)

    began = time.monotonic()
    assert daemon.stop() == 0
    assert time.monotonic() - began < PROMPTLY


def add_campaign_elsewhere(house: House) -> int:
    campaign_id = house.add_campaign("elsewhere")
    change = update(campaigns).where(campaigns.c.id == campaign_id).values(provider="retell")
    house.database.transact(lambda connection: connection.execute(change))
    return campaign_id


def start_without_names(house: House, **settings: object) -> DaemonProcess:
    """With the ordinary limits of a request: what hangs must not be saved by a short one."""
    return house.start_daemon(
        command=SILENT, environment=FOUND_NOWHERE,
        **{"request_timeout": 20, "dial_budget": 10, "lease_seconds": 40, "settle_seconds": 60, **settings},
    )
