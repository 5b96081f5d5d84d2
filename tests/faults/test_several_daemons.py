"""Several daemons on one database: the work is shared, and a frozen one does no harm when it wakes."""

from __future__ import annotations

import pytest

from tests.faults.conftest import BuildHouse
from tests.faults.freezes import LASTING, count_late, freeze_while_sending, spread
from tests.faults.harness import HELD_SECONDS, SETTLE_SECONDS, DaemonProcess, pause, wait_until

pytestmark = pytest.mark.faults

FREEZES_TOGETHER = ("take.after_commit", "dial.before_request", "dial.after_answer", "answer.before_commit")
FREEZE_ALONE = "take.before_commit"  # it holds the lock on capacity meanwhile: nobody else takes


def test_daemons_share_many_due_leads(build_house: BuildHouse) -> None:
    house = build_house(capacity=40, max_attempts=2, mix="completed=85,busy=15", ring=0.1, talk=0.2, delay=(0, 0.02))
    daemons = house.start_daemons(2, dialing_places=20)
    many = 0

    def each_has_a_share() -> bool:
        """With work enough for all, again and again: on a busy machine one may be faster than the others for long."""
        nonlocal many
        if many - house.count_dialed() < 20:
            house.add_leads(50, sharing=0)
            many += 50
        return many > 50 and all(map(_dialed_by, daemons))

    wait_until(each_has_a_share, "each takes a share", house.tell, every=0.1)
    wait_until(lambda: house.count_dialed() >= many, "all leads were dialed", house.tell, every=0.2)
    house.require_clean(least_calls=many)
    assert house.logged_errors() == []


@pytest.mark.parametrize("engine", ["mariadb"], indirect=True)
def test_daemons_frozen_past_their_lease_do_not_dial_when_they_wake(build_house: BuildHouse) -> None:
    house = build_house()
    frozen = []
    for point in (*FREEZES_TOGETHER, FREEZE_ALONE):
        house.add_leads(8)
        one = house.start_daemon(f"{point}=stop")
        wait_until(lambda: house.is_frozen(one), f"frozen at {point}", house.tell)  # noqa: B023
        frozen.append(one)
    house.start_daemons(1)
    pause(HELD_SECONDS + 1)
    house.add_leads(8)
    pause(0.4)
    for one in reversed(frozen):
        house.free(one)
    house.require_clean(least_calls=8 * len(frozen))


@pytest.mark.parametrize("engine", ["mariadb"], indirect=True)
def test_what_a_frozen_daemon_asked_for_waits_for_it_while_another_dials_the_others(build_house: BuildHouse) -> None:
    house = build_house(faults="swallow=1")
    house.add_leads(8, sharing=0)
    frozen = house.start_daemon()
    # All of them: a daemon frozen inside a take would hold the lock on capacity.
    wait_until(lambda: house.simulator.count("request") >= 8, "it asks", house.tell)
    frozen.freeze()
    house.simulator.behave(faults="", delay_seconds=[0.7, 0.9])
    house.add_leads(4, sharing=0)
    house.start_daemons(1)
    wait_until(lambda: house.simulator.count("accepted") >= 4, "the other one dials", house.tell)
    assert house.attempts("unknown") + house.attempts("placing") >= 8, "its requests may still leave"
    frozen.thaw()
    house.require_clean(least_calls=12)


@pytest.mark.parametrize("engine", ["mariadb"], indirect=True)
def test_a_dial_that_left_late_or_may_have_is_owned_up_to(build_house: BuildHouse) -> None:
    house = build_house(mix="completed=1", faults="timeout_after_accept=1")
    house.add_leads(8, sharing=0)
    asking = house.start_daemon()
    wait_until(lambda: house.simulator.count("request") >= 8, "it asks", house.tell)
    asking.freeze()
    house.add_leads(1)
    in_the_gap = house.start_daemon(command=("-m", "tests.faults.variant_daemon", "stop_in_the_last_gap"))
    wait_until(lambda: house.is_frozen(in_the_gap), "it stops before its request leaves", house.tell)
    pause(2)  # past the request time-out of the one that asked, not past its lease
    house.simulator.behave(faults="")
    asking.thaw()
    others = lambda: house.attempts("placing") + house.attempts("live") == 0  # noqa: E731
    wait_until(lambda: house.attempts("unknown") == 1 and others(), "the others are settled", house.tell)
    pause(SETTLE_SECONDS)
    assert house.attempts("unknown") == 1, "nobody dials that lead while its request may still leave"
    house.free(in_the_gap)
    house.require_clean(least_calls=9)


@pytest.mark.parametrize("engine", ["mariadb"], indirect=True)  # a frozen process may hold the one lock of SQLite
@pytest.mark.parametrize("leases", [0.5, 1.5])
def test_frozen_while_it_sends_a_late_request_is_owned_up_to_and_hung_up(
    build_house: BuildHouse, leases: float
) -> None:
    house = build_house(**LASTING)
    freeze_while_sending(house, spread(6, house.random.random()), leases * HELD_SECONDS)
    assert count_late(house), "a request left late, or nothing was proven"
    house.require_clean(least_calls=6)


@pytest.mark.parametrize("engine", ["mariadb"], indirect=True)
def test_frozen_at_any_instant(build_house: BuildHouse) -> None:
    house = build_house(delay=(0, 0.3))
    house.add_leads(60)
    daemons = house.start_daemons(2)
    for leases in (0.5, 1.3):
        one = house.random.choice(daemons)
        pause(house.random.uniform(0.2, 0.8))
        one.freeze()
        house.add_leads(30)
        pause(leases * HELD_SECONDS)
        one.thaw()
    house.require_clean(least_calls=80)


def _dialed_by(daemon: DaemonProcess) -> int:
    return sum(1 for line in daemon.lines() if line.get("kind") == "dialing")
