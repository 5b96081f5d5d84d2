"""Calling hours, caps and cool-downs of countries, as data to start from: never legal advice.

Laws, codes of conduct and their readings change, and depend on sector, consent and relationship. So each
preset says how certain it is and when it was gathered, and is shown as "default, check with counsel". A
preset is a rule like any other: beside a campaign's own settings both must allow a call.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

from scheduler.errors import InvalidValue
from scheduler.rules.caps import Cap, Cooldown
from scheduler.rules.holiday_calendars import Holidays
from scheduler.rules.hours import HoursRule, Windows
from scheduler.rules.zones import LeadZones


@dataclass(frozen=True)
class Preset:
    """One line of the list. `windows` None: no hours are known. `clock` None: the clock of the lead, else an
    IANA zone on which the hours are read whatever the lead's. `holidays` lists calendars that are shut.
    """

    name: str
    country: str
    purpose: str
    windows: Windows | None
    holidays: Holidays = field(default_factory=Holidays)
    caps: tuple[Cap, ...] = ()
    cooldowns: tuple[Cooldown, ...] = ()
    clock: str | None = None
    certainty: str = "C"
    gathered_on: date = date(2026, 11, 1)
    notes: tuple[str, ...] = ()
    """What it cannot enforce: consent, lists to check, caller ids, disclosures."""

    def hours_rule(self, where: LeadZones, close_margin: timedelta) -> HoursRule:
        assert self.windows is not None, "asked before"
        zones = (self.clock,) if self.clock else where.zones
        return HoursRule(zones=zones, windows=self.windows, holidays=self.holidays, close_margin=close_margin)


PRESETS: Mapping[str, Preset] = {}


def find_preset(name: str) -> Preset:
    """Raises InvalidValue for a name that no preset has."""
    found = PRESETS.get(name)
    if found is None:
        raise InvalidValue("preset", name, "see `ringback rules presets`; they are " + ", ".join(sorted(PRESETS)))
    return found
