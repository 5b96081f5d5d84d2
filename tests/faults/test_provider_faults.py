"""A provider that answers late, wrongly, or not at all. Whatever it does: one request, one call, no lead lost."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from tests.faults.conftest import BuildHouse
from tests.faults.harness import House, pause, wait_until

pytestmark = pytest.mark.faults
on_mariadb = pytest.mark.parametrize("engine", ["mariadb"], indirect=True)

LOST = "timeout_after_accept=0.05,reset_after_accept=0.07,lose_answer=0.07,error_502_after=0.07,unreadable_after=0.07"
NOT_MADE = "swallow=0.05,error_500=0.07"


def test_lost_answers_are_looked_up_and_never_repeated(engine: str, build_house: BuildHouse) -> None:
    # The lookup lags by less than the settle time, every tenth lookup fails, and some answers come too late.
    house = build_house(lag=(0, 3), vendor={"sqlite": "simulator", "mariadb": "retell"}[engine])
    lose_answers(house, leads=40)
    house.require_clean(least_calls=40)


@on_mariadb
@pytest.mark.parametrize("faults", [["error_500"], ["throttle"], ["hold"]], ids=str)
def test_a_storm_of_refusals_costs_no_attempt_and_loses_no_lead(build_house: BuildHouse, faults: list[str]) -> None:
    house = build_house(vendor="retell", mix="completed=1")
    storm_with_refusals(house, 28 + 4 * len(faults), faults)
    house.require_clean(least_calls=20)  # those held wait a minute more; the long run waits with them
    assert house.spent_without_call() == []


@on_mariadb
def test_a_provider_that_refuses_connections_is_not_stormed_when_it_returns(build_house: BuildHouse) -> None:
    house = build_house()
    house.add_leads(50)
    house.start_daemons(2)
    wait_until(lambda: house.simulator.count("accepted") > 5, "they dial", house.tell)
    house.simulator.stop()
    pause(3)
    before = house.simulator.count("request")
    house.simulator.start()
    house.add_leads(20)
    wait_until(lambda: house.simulator.count("accepted") > before + 20, "they dial again", house.tell)
    asked = [datetime.fromisoformat(one["at"]) for one in house.simulator.entries() if one["event"] == "request"]
    back = asked[before]
    at_once = sum(at < back + timedelta(milliseconds=100) for at in asked[before:])
    assert at_once <= 2 * 10, f"{at_once} requests in the first tenth of a second"
    house.require_clean(least_calls=50)


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)  # the long run does it on MariaDB, with webhooks too
def test_a_strangers_call_is_never_taken_for_ours(build_house: BuildHouse) -> None:
    house = build_house(**STOLEN)
    assert steal_identities(house, leads=20) >= 3
    house.require_clean(least_calls=15)


STOLEN = {"vendor": "stolen twilio", "mix": "completed=2,no_answer=1,busy=1"}
STOLEN_ANNOUNCED = {**STOLEN, "hooks": "", "hook_delay": (0, 0.3)}


def steal_identities(house: House, leads: int) -> int:
    """Starts are swallowed, and a stranger calls each of those people in the same second. Returns how often.

    Where calls are announced, ours is made once the stranger's had its say; elsewhere people say what became of it.
    """
    house.start_daemons(2)
    if house.announces:
        house.start_web()
    house.simulator.behave(faults="error_500=0.5")
    house.add_leads(leads, sharing=0)
    wait_until(lambda: count_lost(house) >= 3, "starts are swallowed", house.tell)
    house.simulator.behave(faults="")
    lost = {one["attempt_ref"] for one in house.simulator.entries() if one.get("fault") == "error_500"}
    if house.announces:
        wait_until(house.is_quiet, "each was called by us in the end", house.tell, seconds=400)
        assert house.spent_without_call() == [], "no attempt has a stranger's call"
    else:
        def waits_for_people() -> bool:
            held = {ref for ref, one in house.read_attempts().items() if one.state == "unknown"}
            return lost <= held and house.count_doubted("nothing proves it") >= len(lost)

        wait_until(waits_for_people, "what could be ours waits for people", house.tell)
        house.resolve_unknown("no_answer")
    return len(lost)


def lose_answers(house: House, leads: int, rounds: int = 1) -> int:
    """Answers of every kind are lost, until Ringback leaves the provider alone; then all is well. Returns how many."""
    house.start_daemons(2)
    for _ in range(rounds):
        house.simulator.behave(faults=f"{LOST},{NOT_MADE},lookup_error=0.1", delay_seconds=[0, 1.3])
        lost = count_lost(house)
        house.add_leads(leads)
        wait_until(lambda: count_lost(house) >= lost + 8, "answers are lost", house.tell)  # noqa: B023
        house.simulator.behave(faults="", delay_seconds=[0, 0.05])
        wait_until(house.is_quiet, "everything came to rest", house.tell)
    return count_lost(house)


def count_lost(house: House) -> int:
    return sum(one["event"] == "request" and one["fault"] is not None for one in house.simulator.entries())


def storm_with_refusals(house: House, leads: int, faults: Sequence[str] = ("error_500", "throttle", "hold")) -> int:
    """The provider fails, then throttles, and everybody is reached; then it is out of credit: for four leads each.

    Each lasts no longer than until it strikes: the provider is then left alone for longer every time, asked slowly
    for a while after it said "too fast", and those whom it refused for our account's sake wait a minute.
    """
    house.start_daemons(2)
    reached = leads - 4 * len(faults)
    house.add_leads(reached, sharing=0)
    wait_until(lambda: house.count_dialed() >= reached, "they dial at full pace", house.tell)
    for fault in (one for one in faults if one != "hold"):
        house.simulator.behave(faults=f"{fault}=0.7")
        house.add_leads(4, sharing=0)
        reached += 4
        wait_until(lambda: _struck(house, fault), f"{fault} strikes", house.tell)  # noqa: B023
    house.simulator.behave(faults="")
    wait_until(lambda: house.count_dialed() >= reached, "everybody is dialed in the end", house.tell, seconds=400)
    if "hold" in faults:
        house.simulator.behave(faults="hold=1")
        house.add_leads(4, sharing=0)
        wait_until(lambda: _struck(house, "hold"), "it is out of credit", house.tell)
        pause(2)
        most = 2 * 15
        assert _struck(house, "hold") <= most, "two daemons of ten places ask once, then leave it alone but for a probe"
        house.simulator.behave(faults="")
    return house.simulator.count("refused") + house.simulator.count("not_accepted")


def _struck(house: House, fault: str) -> int:
    return sum(one.get("fault") == fault for one in house.simulator.entries())
