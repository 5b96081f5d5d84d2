"""A provider that answers late, wrongly, or not at all. Whatever it does: one request, one call, no lead lost."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import func, select

from scheduler.store.tables import call_attempts
from tests.faults.conftest import BuildHouse
from tests.faults.harness import House, pause, wait_until

pytestmark = pytest.mark.faults
on_mariadb = pytest.mark.parametrize("engine", ["mariadb"], indirect=True)

A = call_attempts.c
LOST = "timeout_after_accept=0.05,reset_after_accept=0.07,lose_answer=0.07,error_502_after=0.07,unreadable_after=0.07"
NOT_MADE = "swallow=0.05,error_500=0.07"


def test_lost_answers_are_looked_up_and_never_repeated(build_house: BuildHouse) -> None:
    # The lookup lags by less than the settle time, and every tenth lookup fails.
    house = build_house(faults=f"{LOST},{NOT_MADE},lookup_error=0.1", lag=(0, 3))
    house.add_leads(60)
    house.start_daemons(2)
    wait_until(lambda: house.count_dialed() >= 50, 60, "most leads were dialed", house.tell)
    house.simulator.behave(faults="")
    house.require_clean(least_calls=60)


@on_mariadb
def test_throttling_and_an_empty_account_cost_no_attempt(build_house: BuildHouse) -> None:
    house = build_house(faults="throttle=0.2", max_attempts=2)
    house.add_leads(30)
    house.start_daemons(2)
    wait_until(lambda: house.simulator.count("refused"), 30, "some are throttled", house.tell)
    house.simulator.behave(faults="hold=1")
    house.add_leads(10)
    pause(3)
    asked_while_empty = sum(one.get("fault") == "hold" for one in house.simulator.entries())
    assert asked_while_empty <= 2 * 15, "two daemons of ten places ask once, then leave it alone but for a probe"
    house.simulator.behave(faults="")
    house.require_clean(least_calls=5)
    assert _spent_without_call(house) == 0


@on_mariadb
def test_a_provider_that_refuses_connections_is_not_stormed_when_it_returns(build_house: BuildHouse) -> None:
    house = build_house()
    house.add_leads(80)
    house.start_daemons(2)
    wait_until(lambda: house.simulator.count("accepted") > 5, 30, "they dial", house.tell)
    house.simulator.stop()
    pause(5)
    before = house.simulator.count("request")
    house.simulator.start()
    house.add_leads(20)
    wait_until(lambda: house.simulator.count("accepted") > before + 40, 60, "they dial again", house.tell)
    asked = [datetime.fromisoformat(one["at"]) for one in house.simulator.entries() if one["event"] == "request"]
    back = asked[before]
    at_once = sum(at < back + timedelta(milliseconds=100) for at in asked[before:])
    assert at_once <= 2 * 10, f"{at_once} requests in the first tenth of a second"
    house.require_clean(least_calls=60)


@on_mariadb
def test_a_slow_provider_holds_up_nothing_but_its_calls(build_house: BuildHouse) -> None:
    house = build_house(delay=(0.5, 1.4))  # some answers come after the request's time-out
    house.add_leads(40)
    house.start_daemons(2)
    pause(5)
    house.simulator.behave(delay_seconds=[0, 0.05])
    house.require_clean(least_calls=40)


def _spent_without_call(house: House) -> int:
    """Ended attempts that the ledger knows nothing about."""
    called = {one.ref for one in house.simulator.calls()}
    ended = select(A.attempt_ref, func.count()).where(A.state == "ended").group_by(A.attempt_ref)
    return house.database.read(
        lambda connection: sum(row[0] not in called for row in connection.execute(ended))
    )
