"""Webhooks as vendors send them: twice, late, out of order, not at all; and as others do. Receivers die meanwhile.

The vendor is a fake Retell, as a process of its own; what became of each call is known from its ledger alone.
"""

from __future__ import annotations

import pytest

from tests.faults.conftest import BuildHouse
from tests.faults.harness import POINTS_OF_HOOKS, House, pause, wait_until

pytestmark = pytest.mark.faults

HOOKS = {
    "vendor": "retell", "hooks": "lost=0.15,double=0.3,forged=0.3", "hook_delay": (0, 1), "delay": (0, 0.4),
    "talk": 0.4,
}
"""Some come late and so after others, some before the start request is answered."""
RARE_POLLS = {"poll_every": 3}
"""Most ends are heard of by webhook first."""


@pytest.mark.parametrize("engine", ["mariadb"], indirect=True)  # the long run does it on SQLite too
def test_webhooks_doubled_late_lost_and_forged_while_receivers_die(build_house: BuildHouse) -> None:
    house = build_house(**HOOKS)
    kill_receivers(house, rounds=1, kills=1)
    require_clean_hooks(house, least=50)


DOUBTFUL = {
    "vendor": "doubtful retell", "hooks": "double=0.2", "hook_delay": (0, 0.1), "mix": "completed=4,no_answer=2,busy=1",
    "talk": 0.4,
}


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)  # the long run does it on MariaDB
def test_events_that_disagree_shadow_no_truth_and_the_better_informed_end_stays(build_house: BuildHouse) -> None:
    house = build_house(**DOUBTFUL)
    assert doubt_events(house, leads=25) >= 25
    house.require_clean(least_calls=25)


def doubt_events(house: House, leads: int) -> int:
    """Events name the reference of another call, and an end that is not true comes first. Returns how many did."""
    house.start_daemons(2, poll_every=30)
    house.start_web()
    house.add_leads(leads, sharing=0)
    wait_until(
        # What comes last of a call comes after its leads may have been closed by what was not true.
        lambda: house.is_quiet() and house.simulator.count_told("call_analyzed") >= len(house.simulator.calls())
        and house.count_unread_events() == 0 and house.count_dialed() >= leads,
        "it came to rest", house.tell,
    )
    assert house.count_events("amended") > 0, "an end gave way to a better informed one"
    assert house.count_reached_but_open() == 0, "whoever was reached is called no more"
    return house.count_events("event_mismatch") + house.count_events("amended")


def kill_receivers(house: House, rounds: int, kills: int = 2) -> int:
    """Kill web processes and daemons while webhooks come in, then daemons that receive them at every step of it."""
    daemons, web = house.start_daemons(2, **RARE_POLLS), house.start_web()
    house.add_leads(40)
    for _ in range(kills):
        pause(house.random.uniform(0.5, 2))
        web.kill()
        house.random.choice(daemons).kill()
        house.kills += 2
        web = house.start_web()
    web.kill()  # its address is taken over by those that follow
    house.kills += 1
    house.stop_daemons()
    for point in POINTS_OF_HOOKS * rounds:
        house.kill_at(point, leads_per_kill=8)
    house.start_daemon(options=house.with_web)
    return house.kills


def require_clean_hooks(house: House, *, least: int) -> None:
    """Every count is zero, and webhooks of both kinds did come, and were taken or turned away as they should."""
    wait_until(lambda: house.is_quiet() and house.count_unread_events() == 0, "it came to rest", house.tell)
    house.require_clean(least_calls=least)
    genuine, forged = house.simulator.hooks("genuine"), house.simulator.hooks("forged")
    assert genuine[204] > 20, genuine
    assert forged[401] > 5, forged
    assert set(genuine) <= {0, 204, 503}, genuine
    assert set(forged) <= {0, 401}, forged
