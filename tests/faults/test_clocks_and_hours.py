"""A host whose clock is two hours off, either way, and a window that closes while everybody dials."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, select

from scheduler.model import ScheduleStatus
from scheduler.store.tables import call_schedule
from tests.faults.conftest import BuildHouse
from tests.faults.harness import House, pause, wait_until
from tests.faults.strange_clock import has_faketime, start_with_clock_off
from tests.faults.test_webhooks import HOOKS

pytestmark = [pytest.mark.faults, pytest.mark.parametrize("engine", ["mariadb"], indirect=True)]

S = call_schedule.c


def test_a_host_whose_clock_is_off_dials_nothing_and_harms_nothing(build_house: BuildHouse) -> None:
    house = build_house()
    work_with_clocks_off(house)
    house.require_clean(least_calls=60)


def test_a_receiver_whose_clock_is_off_still_tells_genuine_webhooks_from_forged(build_house: BuildHouse) -> None:
    if not has_faketime():
        pytest.skip("libfaketime is not installed; on Debian: apt-get install libfaketime")
    house = build_house(**HOOKS)
    start_with_clock_off(house, "+2h", receives=True)
    house.start_daemons(1)
    house.add_leads(30)
    wait_until(lambda: house.simulator.hooks("forged")[401] >= 3, "forged ones came", house.tell)
    house.require_clean(least_calls=30)
    genuine = house.simulator.hooks("genuine")
    assert genuine[204] > 5, genuine


def test_no_call_leaves_after_the_window_closed(build_house: BuildHouse) -> None:
    house = build_house(delay=(0, 0.3), capacity=10)
    dial_until_closing(house, leads=200)
    found = house.require_clean(least_calls=10)
    assert found.out_of_hours_dials == 0


def work_with_clocks_off(house: House) -> int:
    """Hosts that are hours ahead and behind, alone with work that is due, then beside one that is right."""
    house.add_leads(30)
    strange = [start_with_clock_off(house, off) for off in ("+2h", "-2h")]
    for one in strange:
        wait_until(lambda: any("set it right (NTP)" in error for error in one.errors()), "it says so", house.tell)  # noqa: B023
    pause(2.5)
    assert house.simulator.count("request") == 0, f"nobody here knows what time it is {house.tell()}"
    house.start_daemons(1)
    house.add_leads(30)
    wait_until(lambda: house.count_dialed() >= 50, "the host that is right dials", house.tell)
    return len(strange)


def dial_until_closing(house: House, leads: int) -> int:
    """More leads than can be called before the window closes; one of two daemons is killed on the way."""
    doomed = house.start_daemons(2)[0]
    campaign = house.add_campaign_closing_in(3600)
    house.add_leads(leads, campaign_id=campaign, sharing=0)
    wait_until(lambda: house.simulator.count("accepted") > 10, "they dial", house.tell)
    doomed.kill()
    house.kills += 1
    closes_at = house.close_campaign_in(campaign, 3)
    wait_until(lambda: house.database.now() > closes_at + timedelta(seconds=2), "the window closed")
    wait_until(house.is_quiet, "nothing is due before tomorrow", house.tell)
    waiting, first = house.database.read(lambda connection: connection.execute(
        select(func.count(), func.min(S.scheduled_at)).where(S.status == ScheduleStatus.PENDING)
    ).one())
    assert waiting > leads / 4, f"the rest waits, not {waiting}"
    assert first > closes_at + timedelta(hours=12), f"for the next opening, not for {first}"
    return leads
