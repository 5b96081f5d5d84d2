"""When the hours let planned calls through, for many calls at once.

Pure. `rules.hours` answers for one lead and one instant; here each place (the zones and the country that a lead's own
words and its number come to) is worked out once per set of rules, and all calls whose time has come share one answer.
What must stay true: the answer is the one that asking lead by lead gives; a property test holds it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from scheduler.errors import InvalidValue
from scheduler.rules.hours import HoursRule, explain_closed, find_openings
from scheduler.rules.phones import is_e164, learn
from scheduler.rules.policy import Policy
from scheduler.rules.zones import lead_zones

MOST_PLACES = 20_000
"""Leads may name any zone and region, and memory must stay flat over millions of them."""

Whereabouts = tuple[str | None, str | None, object]
"""A lead's own zone and region, and what its number tells. Equal ones have the same hours."""


class Place(NamedTuple):
    """The hours of one place: its rules, the opening for all calls whose time has come, and for later ones."""

    rules: tuple[HoursRule, ...]
    opening_now: datetime | None
    opening_from: Callable[[datetime], datetime | None]
    problem: InvalidValue | None = None
    """Why no hours can be read for it; then nothing is ever open."""


def whereabouts(number: str | None, time_zone: str | None, region: str | None) -> Whereabouts:
    """Of a lead when rung at this number, written as it may be."""
    if not number or not is_e164(number):
        return time_zone, region, None
    try:
        facts = learn(number)
    except InvalidValue:
        return time_zone, region, number
    return time_zone, region, (facts.country, facts.zones)


class Openings:
    """By one set of rules, at one `now`: a call is placed at the first opening that is neither before the instant that
    is wanted nor before now.
    """

    def __init__(self, policy: Policy, now: datetime) -> None:
        self._policy, self._now = policy, now
        self._places: dict[Whereabouts, Place] = {}
        self._reasons: dict[tuple[HoursRule, ...], str] = {}

    def place(self, where: Whereabouts, number: str | None) -> Place:
        """The hours at `where`, which is the whereabouts of somebody with this number."""
        found = self._places.get(where)
        if found is None:
            if len(self._places) >= MOST_PLACES:
                self._places.clear()
            found = self._places[where] = self._read(where, number)
        return found

    def opening(self, where: Whereabouts, number: str | None, wanted_at: datetime) -> datetime | None:
        """When such a call is let through. None: never, or the hours cannot be read for it."""
        place = self.place(where, number)
        return place.opening_now if wanted_at <= self._now else place.opening_from(wanted_at)

    def explain(self, place: Place, wanted_at: datetime) -> str:
        """Why it is not let through at once, as `explain_closed` says it."""
        if wanted_at > self._now:
            return explain_closed(place.rules, wanted_at)
        if (found := self._reasons.get(place.rules)) is None:
            found = self._reasons[place.rules] = explain_closed(place.rules, self._now)
        return found

    def _read(self, where: Whereabouts, number: str | None) -> Place:
        policy = self._policy
        try:
            rules = policy.hours(lead_zones(
                time_zone=where[0], region=where[1], traits=learn(number) if number and is_e164(number) else None,
                campaign_zones=policy.zones, default_zone=policy.default_zone,
            ))
            opening_from = find_openings(rules)
            return Place(rules, opening_from(self._now), opening_from)
        except InvalidValue as problem:
            return Place((), None, _never, problem)


def _never(at: datetime) -> None:
    return None
