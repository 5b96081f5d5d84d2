"""How many calls to place: sharing free places between campaigns, and sparing a provider in trouble.

Pure: counts and instants are given. What must stay true: shares never add up to more than the places, nor
to more than any room that several campaigns draw from (a provider's, an account's); of two campaigns of
one priority the next place goes to the one with fewer calls in progress, and of these to the one that has
waited longer for its turn, so that none starves. A breaker opens on
repeated faults, lets one probe through when its rest is over, and comes back slowly: a provider that has
just recovered must not meet every waiting call at once. Being throttled is no fault: it halves the calls a
second, and the rate comes back by itself, doubling with time.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Claim(Generic[K]):
    """One campaign that wants places. `room` is how many calls it may still place, `in_use` how many it has in
    progress, `served_at` when it last had a turn, `draws` names the rooms that it shares with others.
    """

    key: K
    priority: int
    room: int
    in_use: int = 0
    served_at: datetime | None = None
    draws: tuple[Hashable, ...] = ()


NEVER = datetime.min.replace(tzinfo=UTC)


def share_out(
    places: int, claims: Sequence[Claim[K]], rooms: Mapping[Hashable, int] | None = None
) -> dict[K, int]:
    """Places for each claim: the higher priority is served before the lower one; within a priority the next
    place goes to whoever uses the fewest, then to whoever was served longest ago, then by the order given.

    `rooms` are what several claims may take together, by the names in `draws`; one that is missing is no limit.
    """
    left = dict(rooms or {})
    shares: dict[K, int] = {}
    ordered = sorted(claims, key=lambda claim: -claim.priority)  # stable: the order given decides the rest
    for _, group in groupby(ordered, key=lambda claim: claim.priority):
        queue = [
            (claim.in_use, claim.served_at or NEVER, number, claim)
            for number, claim in enumerate(group) if claim.room > 0
        ]
        heapq.heapify(queue)
        while places > 0 and queue:
            in_use, served_at, number, claim = queue[0]
            if any(left.get(name, 1) <= 0 for name in claim.draws):
                heapq.heappop(queue)  # what it draws from is used up, and does not come back in this turn
                continue
            shares[claim.key] = shares.get(claim.key, 0) + 1
            places -= 1
            for name in claim.draws:
                if name in left:
                    left[name] -= 1
            if shares[claim.key] < claim.room:
                heapq.heapreplace(queue, (in_use + 1, served_at, number, claim))
            else:
                heapq.heappop(queue)
        if places <= 0:
            break
    return shares


SEND_TOLERANCE = timedelta(milliseconds=200)
"""How late after its slot a request may still be sent, where a provider takes only so many a second."""
SLOTS_AHEAD = timedelta(seconds=1)


def slot_step(rate: float) -> timedelta:
    """The distance of slots that keeps every window of a second within `rate` requests, though each of them
    may be sent anywhere in its tolerance. A rate below one means one request in 1/rate seconds.
    """
    if rate < 1:
        return timedelta(seconds=1 / rate) + SEND_TOLERANCE + timedelta(microseconds=1)
    return (timedelta(seconds=1) + SEND_TOLERANCE) / math.floor(rate) + timedelta(microseconds=1)


def list_slots(next_at: datetime | None, now: datetime, rate: float, until: datetime) -> list[datetime]:
    """When requests may be sent between now and `until`, the first not before `next_at`."""
    step = slot_step(rate)
    slots = []
    at = max(next_at or now, now)
    while at <= until:
        slots.append(at)
        at += step
    return slots


FAULTS_TO_OPEN = 5
FIRST_REST = timedelta(seconds=5)
LONGEST_REST = timedelta(minutes=5)
FULL_PACE = 64
LEAST_RATE = 0.2
FULL_RATE = 200.0
DOUBLES_EVERY = timedelta(seconds=30)
THROTTLED_TOGETHER = timedelta(seconds=2)
"""Requests that were in flight together are throttled together: that is one word of the provider, not many."""
SHORTEST_THROTTLE = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Breaker:
    """What one provider may be asked for. Immutable: each event gives the next one.

    `open_until` set and in the future: nothing is asked. Afterwards `pace` calls at a time, doubling with
    each that succeeds, until it is None: no limit. `rate` is the calls a second that were left after the
    provider throttled us at `throttled_at`.
    """

    faults: int = 0
    rest: timedelta = FIRST_REST
    open_until: datetime | None = None
    pace: int | None = None
    rate: float | None = None
    throttled_at: datetime | None = None

    def room(self, now: datetime, in_flight: int) -> int | None:
        """How many more calls may be placed now; None: as many as one likes."""
        if self.open_until is not None and now < self.open_until:
            return 0
        return None if self.pace is None else max(0, self.pace - in_flight)

    def succeeded(self, now: datetime) -> Breaker:
        """The provider answered sensibly (a refusal of one number is sensible). While it is left alone that is
        the answer to a call placed before, which says nothing new.
        """
        if self.is_open(now):
            return self
        if self.pace is None:
            return self if self.faults == 0 else replace(self, faults=0)
        pace = self.pace * 2
        if pace > FULL_PACE:
            return Breaker(rate=self.rate, throttled_at=self.throttled_at)
        return replace(self, faults=0, open_until=None, pace=pace, rest=max(FIRST_REST, self.rest / 2))

    def failed(self, now: datetime, *, at_once: bool = False, rest: timedelta | None = None) -> Breaker:
        """A fault: no answer, no connection. `at_once` opens without counting (bad key, throttled);
        `rest` is how long the provider itself asks to be left alone."""
        faults = self.faults + 1
        if not at_once and self.pace is None and faults < FAULTS_TO_OPEN:
            return replace(self, faults=faults)
        if self.open_until is not None and now < self.open_until:
            return self  # a late answer to a call placed before it opened says nothing new
        wait = max(min(self.rest, LONGEST_REST), rest or timedelta(0))
        return replace(
            self, faults=faults, rest=min(self.rest * 2, LONGEST_REST), open_until=now + wait, pace=1
        )

    def throttled(self, now: datetime, *, rate: float, wait: timedelta | None = None) -> Breaker:
        """The provider said: too fast. `rate` is how many calls a second it had of us, `wait` what it asks for."""
        until = now + max(SHORTEST_THROTTLE, min(wait or SHORTEST_THROTTLE, LONGEST_REST))
        until = max(until, self.open_until or until)
        if self.throttled_at is not None and now - self.throttled_at < THROTTLED_TOGETHER:
            return replace(self, open_until=until)
        had = min(rate, self.calls_per_second(now) or FULL_RATE)
        return replace(self, open_until=until, rate=max(LEAST_RATE, had / 2), throttled_at=now)

    def calls_per_second(self, now: datetime) -> float | None:
        """What is left of the rate, growing again since it was cut; None: no limit."""
        if self.rate is None or self.throttled_at is None:
            return None
        grown = min((now - self.throttled_at) / DOUBLES_EVERY, 60.0)
        rate: float = self.rate * 2 ** max(0.0, grown)
        return rate if rate < FULL_RATE else None

    def is_open(self, now: datetime) -> bool:
        return self.open_until is not None and now < self.open_until
