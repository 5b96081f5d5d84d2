"""Which adapter answers to which name. Nothing is imported before its provider is asked for."""

from __future__ import annotations

from datetime import timedelta

from scheduler.clock import Clock
from scheduler.config import Settings
from scheduler.errors import InvalidValue
from scheduler.providers.base import Provider

KNOWN_PROVIDERS = ("simulator",)


def open_provider(name: str, settings: Settings, clock: Clock) -> Provider:
    """The provider `name`, ready to dial. Raises InvalidValue for a name that nobody answers to.

    The simulator in memory reads `clock` at every dial: a clock that asks a database would slow it down.
    """
    if name == "simulator":
        return _open_simulator(settings, clock)
    raise InvalidValue("provider", name, f"known providers: {', '.join(KNOWN_PROVIDERS)}")


def _open_simulator(settings: Settings, clock: Clock) -> Provider:
    if settings.simulator_url:
        from scheduler.providers.simulator_http import HttpSimulator

        return HttpSimulator(
            settings.simulator_url,
            places=settings.dialing_places,
            request_timeout=timedelta(seconds=settings.request_timeout),
        )
    from scheduler.providers.network import FaultPlan, SimulatedNetwork, parse_faults, parse_mix
    from scheduler.providers.simulator import Simulator

    network = SimulatedNetwork(
        seed=settings.simulator_seed,
        mix=parse_mix(settings.simulator_mix),
        ring=timedelta(seconds=settings.simulator_ring_seconds),
        talk=timedelta(seconds=settings.simulator_talk_seconds),
        callback_after=timedelta(minutes=settings.simulator_callback_minutes),
    )
    return Simulator(network, clock, FaultPlan(parse_faults(settings.simulator_faults), seed=settings.simulator_seed))
