"""Freezes aimed at the instants between a daemon's last look at the clock and the answer to its request."""

from __future__ import annotations

from collections.abc import Sequence

from tests.faults.harness import HELD_SECONDS, House, pause, wait_until

VARIANT = ("-m", "tests.faults.variant_daemon", "stop_while_sending")
LASTING: dict[str, object] = {"mix": "completed=1", "ring": 0.2, "talk": 20, "delay": (0, 0.05), "capacity": 200}
"""Calls that last: one that left late and is not hung up, or meets another on the same phone, is seen.

One daemon would dial again a second or two after the settle time, if it believed that nothing was sent.
"""
ORDINARY: dict[str, object] = {"dial_budget": 10, "request_timeout": 20, "lease_seconds": 60, "settle_seconds": 120}
"""The limits that daemons have where nobody sets any."""
HUNG_UP_WITHIN = 4.0
"""Seconds from the wake of the process to the end of its late call; a busy machine is slower than it."""


def freeze_while_sending(
    house: House, places: Sequence[str], seconds: float, settings: dict[str, object] | None = None
) -> int:
    """One daemon for each place in a dial, stopped there for so long, while a sound one works.

    Returns how many were stopped. What is not said elsewhere is required here: a late call was hung up.
    """
    if not any(one.is_at_work for one in house.daemons):
        house.start_daemons(1)
    frozen = [
        house.start_daemon(
            command=VARIANT, environment={"RINGBACK_TEST_FREEZE_AT": place}, dialing_places=1, **(settings or {})
        )
        for place in places
    ]
    house.sampler.held = float(str((settings or {}).get("lease_seconds", HELD_SECONDS)))
    waiting = list(frozen)

    def are_frozen() -> bool:
        waiting[:] = [one for one in waiting if not house.is_frozen(one)]
        if waiting:
            house.add_leads(2 * len(waiting), sharing=0)  # the sound one takes most
        return not waiting

    wait_until(are_frozen, "each of them stops", house.tell, every=0.5)
    house.add_leads(2 * len(places), sharing=0)
    pause(seconds)
    for one in frozen:
        one.thaw()
    woken_at = house.database.now()
    for one in frozen:
        house.free(one)
    wait_until(house.is_quiet, "everything came to rest", house.tell)
    house.sampler.held = HELD_SECONDS
    for call in house.simulator.calls():
        attempt = house.read_attempts()[call.ref]
        if call.began > attempt.dial_before + house.sampler.late_tolerance and call.began >= woken_at:
            lasted = (call.over - call.began).total_seconds()
            within = HUNG_UP_WITHIN + 4 * house.sampler.lag
            assert call.fate is None and lasted <= within, f"{call.ref} left late and went on for {lasted:.1f} s"
    return len(frozen)


def count_late(house: House) -> int:
    """Calls that the ledger shows to have begun after their limit."""
    attempts = house.read_attempts()
    return sum(
        call.began > attempts[call.ref].dial_before + house.sampler.late_tolerance
        for call in house.simulator.calls() if call.ref in attempts
    )


def spread(count: int, offset: float) -> list[str]:
    """So many places in a dial: right after the last look at the clock, right after the send, and instructions from
    the first to the last, shifted by a part of a step.
    """
    rest = max(0, count - 3)
    return [*("look", "note", "look")[:count], *(f"{(number + offset) / rest:.4f}" for number in range(rest))]


LEASES = tuple(leases * HELD_SECONDS for leases in (0.5, 1.5, 4))
