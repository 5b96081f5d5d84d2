"""Polite stops: nothing new is taken, dials in flight finish, nothing is left unknown. A second signal is a kill."""

from __future__ import annotations

import signal

import pytest
from sqlalchemy import text

from tests.faults.conftest import BuildHouse
from tests.faults.harness import pause, wait_until

pytestmark = pytest.mark.faults


def test_a_polite_stop_finishes_the_dials_in_flight(engine: str, build_house: BuildHouse) -> None:
    house = build_house(delay=(0.3, 0.6))
    house.add_leads(40)
    daemon = house.start_daemon()
    wait_until(lambda: house.simulator.count("request"), "dials are in flight", house.tell)
    pause(house.random.uniform(0, 0.3))
    number = {"mariadb": signal.SIGTERM, "sqlite": signal.SIGINT}[engine]
    assert daemon.stop(number) == 0
    assert house.attempts("placing") == 0, house.tell()
    assert house.attempts("unknown") == 0, house.tell()
    house.require_clean(least_calls=40)


def test_a_stop_during_a_take_finishes_what_was_taken(build_house: BuildHouse) -> None:
    house = build_house(delay=(0.4, 0.6))
    daemon = house.start_daemons(1)[0]
    with house.database.engine.connect() as operator, operator.begin():
        key = "config_key = 'max_concurrent_calls'"
        operator.execute(text(f"UPDATE scheduler_config SET config_value = '50' WHERE {key}"))
        if not house.database.is_sqlite:
            house.add_leads(10, sharing=0)
            pause(1)  # the take now waits for the operator
        daemon.send(signal.SIGTERM)
        pause(0.5)
    assert daemon.wait() == 0
    assert house.attempts("placing") + house.attempts("unknown") == 0, house.tell()
    house.add_leads(5)
    house.require_clean(least_calls=5)


@pytest.mark.parametrize("engine", ["mariadb"], indirect=True)  # SQLite has no locks on rows
def test_a_stop_does_not_wait_for_rows_that_somebody_else_holds(build_house: BuildHouse) -> None:
    """As a process does that was frozen in the middle of a transaction."""
    house = build_house(delay=(0.7, 0.9), faults="refuse=0.5")
    house.add_leads(8, sharing=0)
    daemon = house.start_daemon()
    wait_until(lambda: house.simulator.count("request") >= 8, "dials are in flight", house.tell)
    with house.database.engine.connect() as holder, holder.begin():
        holder.execute(text("SELECT id FROM call_attempts FOR UPDATE"))
        holder.execute(text("SELECT id FROM call_schedule FOR UPDATE"))
        daemon.send(signal.SIGTERM)
        assert daemon.wait() == 0, "it does not wait for what is held until it has ended"
    house.require_clean(least_calls=4)


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_signals_while_frozen_are_heard_and_a_second_one_ends_it_at_once(build_house: BuildHouse) -> None:
    house = build_house(faults="timeout_after_accept=1")
    for daemon in house.start_daemons(3):
        daemon.freeze()
        wait_until(lambda: house.is_frozen(daemon), "it is frozen")  # noqa: B023
        daemon.send(signal.SIGTERM)  # any thread may take it when the process goes on, not only the first
        daemon.thaw()
        assert daemon.wait() == 0
    house.add_leads(10)
    house.sampler.held += 5
    daemon = house.start_daemon(request_timeout=6, lease_seconds=13.2, settle_seconds=13.5)
    wait_until(lambda: house.simulator.count("request"), "a dial is in flight", house.tell)
    # Two that come at once may be heard as one.
    wait_until(lambda: daemon.send(signal.SIGTERM) or not daemon.is_running, "it ends", house.tell, every=0.3)
    assert daemon.wait() == 128 + signal.SIGTERM, "it did not wait for the dial in flight"
    house.simulator.behave(faults="")
    house.require_clean(least_calls=10)
