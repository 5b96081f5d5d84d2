"""How many calls to place: sharing free places between campaigns, and sparing a provider in trouble.

Pure: counts and instants are given. What must stay true: shares never add up to more than the places,
and no campaign with room gets nothing while another of its priority gets two. A breaker opens on
repeated faults, lets one probe through when its rest is over, and comes back slowly: a provider that has
just recovered must not meet every waiting call at once.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Claim(Generic[K]):
    """One campaign that wants places. `room` is how many calls it may still place."""

    key: K
    priority: int
    room: int


def share_out(places: int, claims: Sequence[Claim[K]]) -> dict[K, int]:
    """Places for each claim, given best first: the higher priority is served before the lower one, and
    within a priority everyone gets one before anyone gets two. What one cannot use goes to the others.
    """
    shares: dict[K, int] = {}
    for _, group in groupby(claims, key=lambda claim: claim.priority):
        wanting = [claim for claim in group if claim.room > 0]
        while places > 0 and wanting:
            each = max(1, places // len(wanting))
            for claim in wanting:
                given = min(each, claim.room - shares.get(claim.key, 0), places)
                shares[claim.key] = shares.get(claim.key, 0) + given
                places -= given
            wanting = [claim for claim in wanting if shares[claim.key] < claim.room]
    return {key: share for key, share in shares.items() if share}


FAULTS_TO_OPEN = 5
FIRST_REST = timedelta(seconds=5)
LONGEST_REST = timedelta(minutes=5)
FULL_PACE = 64


@dataclass(frozen=True, slots=True)
class Breaker:
    """What one provider may be asked for. Immutable: each event gives the next one.

    `open_until` set and in the future: nothing is asked. Afterwards `pace` calls at a time, doubling with
    each that succeeds, until it is None: no limit.
    """

    faults: int = 0
    rest: timedelta = FIRST_REST
    open_until: datetime | None = None
    pace: int | None = None

    def room(self, now: datetime, in_flight: int) -> int | None:
        """How many more calls may be placed now; None: as many as one likes."""
        if self.open_until is not None and now < self.open_until:
            return 0
        return None if self.pace is None else max(0, self.pace - in_flight)

    def succeeded(self) -> Breaker:
        """The provider answered sensibly (a refusal of one number is sensible)."""
        if self.pace is None:
            return self if self.faults == 0 else replace(self, faults=0)
        pace = self.pace * 2
        if pace > FULL_PACE:
            return Breaker()
        return replace(self, faults=0, open_until=None, pace=pace)

    def failed(self, now: datetime, *, at_once: bool = False, rest: timedelta | None = None) -> Breaker:
        """A fault: no answer, no connection. `at_once` opens without counting (bad key, throttled);
        `rest` is how long the provider itself asks to be left alone."""
        faults = self.faults + 1
        if not at_once and self.pace is None and faults < FAULTS_TO_OPEN:
            return replace(self, faults=faults)
        if self.open_until is not None and now < self.open_until:
            return self  # a late answer to a call placed before it opened says nothing new
        wait = max(min(self.rest, LONGEST_REST), rest or timedelta(0))
        return Breaker(faults=faults, rest=min(self.rest * 2, LONGEST_REST), open_until=now + wait, pace=1)

    def is_open(self, now: datetime) -> bool:
        return self.open_until is not None and now < self.open_until
