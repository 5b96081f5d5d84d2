"""Which adapter answers to which name. Nothing is imported before its provider is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from importlib import import_module

from scheduler.clock import Clock
from scheduler.config import Keys, Settings
from scheduler.errors import InvalidValue
from scheduler.providers.base import Provider, Wiring

# Each module has `open_provider(keys, wiring)`, which raises InvalidValue for keys that are missing or wrong.
ADAPTERS: Mapping[str, str] = {
    "retell": "scheduler.providers.retell",
    "nlpearl": "scheduler.providers.nlpearl",
    "twilio": "scheduler.providers.twilio",
    "asterisk": "scheduler.providers.asterisk",
    "http": "scheduler.providers.http_dialer",
}
KNOWN_PROVIDERS = ("simulator", *ADAPTERS)


def open_provider(name: str, settings: Settings, clock: Clock, keys: Keys | None = None) -> Provider:
    """The provider `name`, ready to dial. Raises InvalidValue for a name that nobody answers to, or without its keys.

    The simulator in memory reads `clock` at every dial: a clock that asks a database would slow it down.
    """
    if name == "simulator":
        return _open_simulator(settings, clock)
    if name not in ADAPTERS:
        raise InvalidValue("provider", name, f"known providers: {', '.join(KNOWN_PROVIDERS)}")
    adapter: Provider = import_module(ADAPTERS[name]).open_provider(keys or Keys(), wiring_of(settings))
    return adapter


def wiring_of(settings: Settings) -> Wiring:
    """What adapters are told of this process. Raises InvalidValue for a public address that is none."""
    from scheduler.providers.http_client import read_address

    allowed = settings.allowed_hosts
    public = settings.public_url
    return Wiring(
        places=settings.dialing_places,
        request_timeout=timedelta(seconds=settings.request_timeout),
        short_call=timedelta(seconds=settings.short_call_seconds),
        public_url=read_address("RINGBACK_PUBLIC_URL", public, allow_hosts=allowed) if public else None,
        allow_hosts=allowed,
    )


def _open_simulator(settings: Settings, clock: Clock) -> Provider:
    if settings.simulator_url:
        from scheduler.providers.simulator_http import HttpSimulator

        return HttpSimulator(
            settings.simulator_url,
            places=settings.dialing_places,
            request_timeout=timedelta(seconds=settings.request_timeout),
            allow_hosts=settings.allowed_hosts,
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
