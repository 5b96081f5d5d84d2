"""The telephone network that does not exist: what becomes of a call, and which request goes wrong.

Decided here: the fate of a call (outcome, ring and talk time, callback, appointment) and the fault of a
start request, each a pure function of the seed and of the call's token (its `attempt_ref`). Nothing is
remembered, so the same call can be told again by another process, or after a restart. Not decided
here: what the network's own words mean to us; `simulator` translates them, as any adapter does. A
newcomer would expect ring and talk limits to be kept: a fate known from the reference alone cannot
know what the request asked for, so they are not.
"""

from __future__ import annotations

import hashlib
import math
from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from itertools import accumulate
from struct import unpack
from typing import NamedTuple

from scheduler.errors import InvalidValue
from scheduler.model import Outcome

MYSTERY = "mystery"
"""In a mix: a call that ends with a word that no adapter knows."""

WORDS: Mapping[str, str] = {
    Outcome.COMPLETED: "ended-completed",
    Outcome.CALLBACK: "ended-call-me-later",
    Outcome.NO_ANSWER: "ended-rang-out",
    Outcome.BUSY: "ended-busy",
    Outcome.HANG_UP: "ended-by-callee",
    Outcome.VOICEMAIL: "ended-at-machine",
    Outcome.FAILED: "ended-no-route",
    Outcome.INVALID_NUMBER: "ended-no-such-number",
    Outcome.DO_NOT_CALL: "ended-opted-out",
    MYSTERY: "ended-q7",
}
STOPPED_RINGING = "ended-stopped-ringing"
STOPPED_TALKING = "ended-stopped-talking"

NEVER_RING = frozenset({Outcome.BUSY, Outcome.FAILED, Outcome.INVALID_NUMBER, MYSTERY})
TALK = frozenset({Outcome.COMPLETED, Outcome.CALLBACK, Outcome.DO_NOT_CALL})
ANSWERED = TALK | {Outcome.VOICEMAIL}
# As plain words: looking up a member of an enumeration costs more than the comparison, at every dial.
COMPLETED, CALLBACK, HANG_UP = Outcome.COMPLETED.value, Outcome.CALLBACK.value, Outcome.HANG_UP.value
NOTHING = timedelta(0)
PRICE_PER_SECOND = Decimal("0.001")
FREE = Decimal(0)
CHANCES = 2**64


class Fault(StrEnum):
    """What can go wrong with a request. All but LOOKUP_ERROR concern the start of a call."""

    REFUSE = "refuse"
    THROTTLE = "throttle"
    HOLD = "hold"
    INVALID_NUMBER = "invalid_number"
    DO_NOT_CALL = "do_not_call"
    ERROR_500 = "error_500"  # no call, and an answer that proves nothing
    SWALLOW = "swallow"  # no call, no answer
    LOSE_ANSWER = "lose_answer"  # a call; the connection ends without an answer
    RESET_AFTER_ACCEPT = "reset_after_accept"
    TIMEOUT_AFTER_ACCEPT = "timeout_after_accept"
    ERROR_502_AFTER = "error_502_after"
    UNREADABLE_AFTER = "unreadable_after"  # a call; a 2xx without id, cut JSON or a page of HTML
    LOOKUP_ERROR = "lookup_error"  # a question about calls fails


REFUSALS = frozenset({Fault.REFUSE, Fault.THROTTLE, Fault.HOLD, Fault.INVALID_NUMBER, Fault.DO_NOT_CALL})
LOST_WITHOUT_CALL = frozenset({Fault.ERROR_500, Fault.SWALLOW})


class Fate(NamedTuple):
    """What will become of a call, counted from the instant it is placed."""

    kind: str
    ring: timedelta
    talk: timedelta
    answered: bool
    booked_after_days: int | None


class Sighting(NamedTuple):
    """What the network tells of a call at one instant, in its own words. Over when it has `ended_at`."""

    word: str
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    ring_seconds: int | None = None
    talk_seconds: int | None = None
    cost: Decimal | None = None
    appointment_at: datetime | None = None
    callback_at: datetime | None = None


class SimulatedNetwork:
    """Fates drawn from `mix`. Ring and talk times vary between half and one and a half of those given."""

    def __init__(
        self,
        *,
        seed: int,
        mix: Mapping[str, float],
        ring: timedelta = NOTHING,
        talk: timedelta = NOTHING,
        callback_after: timedelta = timedelta(minutes=1),
    ) -> None:
        self._dice = _dice(seed, b"fate")
        self._kinds = tuple(mix)
        self._bounds = _bounds(mix.values(), total=sum(mix.values()))
        self._ring, self._talk, self._callback_after = ring, talk, callback_after

    def fate(self, token: str) -> Fate:
        dice = self._dice.copy()
        dice.update(token.encode())
        which, ring, talk, extra = unpack("<4Q", dice.digest())
        kind = self._kinds[bisect_right(self._bounds, which)]
        answered = kind in ANSWERED or (kind == HANG_UP and extra % 2 == 0)
        return Fate(
            kind,
            self._ring_time(kind, ring / CHANCES) if self._ring else NOTHING,
            self._talk_time(kind, talk / CHANCES) if answered and self._talk else NOTHING,
            answered,
            1 + (extra >> 8) % 5 if kind == COMPLETED and extra % 5 == 0 else None,
        )

    def sight(self, token: str, placed_at: datetime, now: datetime, hung_up_at: datetime | None = None) -> Sighting:
        """The call `token`, placed at `placed_at`, as it stands at `now`."""
        fate = self.fate(token)
        picked_up_at = placed_at + fate.ring  # the end, when nobody picks up
        ended_at = picked_up_at + fate.talk
        if hung_up_at is not None and hung_up_at < ended_at:
            return _stopped(fate, placed_at, picked_up_at, hung_up_at)
        if now < picked_up_at:
            return Sighting("dialing" if fate.kind in NEVER_RING else "ringing")
        if now < ended_at:
            return Sighting("in-call", answered_at=picked_up_at)
        talk_seconds = _whole_seconds(fate.talk)
        return Sighting(
            WORDS[fate.kind],
            picked_up_at if fate.answered else None,
            ended_at,
            _whole_seconds(fate.ring),
            talk_seconds,
            PRICE_PER_SECOND * talk_seconds if talk_seconds else FREE,
            _booked(ended_at, fate.booked_after_days) if fate.booked_after_days else None,
            ended_at + self._callback_after if fate.kind == CALLBACK else None,
        )

    def length(self, token: str) -> timedelta:
        """How long the call lasts from placing to its end."""
        fate = self.fate(token)
        return fate.ring + fate.talk

    def _ring_time(self, kind: str, share: float) -> timedelta:
        return self._ring * 2 if kind == Outcome.NO_ANSWER else self._ring * (0.5 + share)

    def _talk_time(self, kind: str, share: float) -> timedelta:
        return self._talk * (0.5 + share) if kind in TALK else self._talk * (share / 4)


class FaultPlan:
    """Which start request fails, and how. The same reference fails the same way each time."""

    def __init__(self, faults: Mapping[Fault, float], *, seed: int) -> None:
        at_start = {fault: chance for fault, chance in faults.items() if fault is not Fault.LOOKUP_ERROR}
        self.seed = seed
        self._kinds = tuple(at_start)
        self._bounds = _bounds(at_start.values(), total=1.0)
        self._dice, self._lookup_dice = _dice(seed, b"fault"), _dice(seed, b"lookup")
        self._lookup_bound = int(faults.get(Fault.LOOKUP_ERROR, 0.0) * CHANCES)

    def at_start(self, attempt_ref: str) -> Fault | None:
        if not self._kinds:
            return None
        place = bisect_right(self._bounds, _roll(self._dice, attempt_ref))
        return self._kinds[place] if place < len(self._kinds) else None

    def lookup_fails(self, question: int) -> bool:
        """Whether the lookup number `question` fails; a repeated lookup is a new question."""
        return self._lookup_bound > 0 and _roll(self._lookup_dice, str(question)) < self._lookup_bound

    def share(self, attempt_ref: str, what: str) -> float:
        """A number from 0 up to 1 for this reference: where it lies in a range of delays."""
        return _roll(self._dice, f"{what}:{attempt_ref}") / CHANCES


def parse_mix(text: str, field: str = "RINGBACK_SIMULATOR_MIX") -> dict[str, float]:
    """`completed=35,busy=12`: relative weights by outcome, and `mystery` for a word nobody knows."""
    right = f"write weights such as completed=35,busy=12, of {', '.join(WORDS)}, with a sum above zero"
    mix = dict(_pairs(text, field, right, known=WORDS))
    if not 0 < sum(mix.values()) < math.inf:
        raise InvalidValue(field, text, right)
    return {name: weight for name, weight in mix.items() if weight}


def parse_faults(text: str, field: str = "RINGBACK_SIMULATOR_FAULTS") -> dict[Fault, float]:
    """`refuse=0.05,hold=0.01`: the probability of each fault. Those at the start exclude each other."""
    right = f"write probabilities such as refuse=0.05,hold=0.01, of {', '.join(Fault)}, together at most 1"
    if not text.strip():
        return {}
    faults = {Fault(name): chance for name, chance in _pairs(text, field, right, known=frozenset(Fault))}
    at_start = sum(chance for fault, chance in faults.items() if fault is not Fault.LOOKUP_ERROR)
    if at_start > 1 + 1e-9 or faults.get(Fault.LOOKUP_ERROR, 0.0) > 1:
        raise InvalidValue(field, text, right)
    return {fault: chance for fault, chance in faults.items() if chance}


def shorten(number: str) -> str:
    """A number for logs and messages: `+569****5678`."""
    return f"{number[:4]}****{number[-4:]}" if len(number) > 8 else "****"


def _pairs(text: str, field: str, right: str, *, known: Collection[str]) -> Iterator[tuple[str, float]]:
    seen = set()
    for part in text.split(","):
        name, _, written = (piece.strip() for piece in part.partition("="))
        try:
            value = float(written)
        except ValueError:
            raise InvalidValue(field, part.strip(), right) from None
        if name not in known or name in seen or not 0 <= value < math.inf:
            raise InvalidValue(field, part.strip(), right)
        seen.add(name)
        yield name, value


def _stopped(fate: Fate, placed_at: datetime, picked_up_at: datetime, hung_up_at: datetime) -> Sighting:
    if not fate.answered or hung_up_at < picked_up_at:
        return Sighting(STOPPED_RINGING, None, hung_up_at, _whole_seconds(hung_up_at - placed_at), 0, FREE)
    talk_seconds = _whole_seconds(hung_up_at - picked_up_at)
    return Sighting(
        STOPPED_TALKING,
        picked_up_at,
        hung_up_at,
        _whole_seconds(fate.ring),
        talk_seconds,
        PRICE_PER_SECOND * talk_seconds,
    )


def _whole_seconds(span: timedelta) -> int:
    return round(span.total_seconds()) if span else 0


def _booked(ended_at: datetime, days: int) -> datetime:
    return ended_at.replace(minute=0, second=0, microsecond=0) + timedelta(days=days)


def _bounds(weights: Collection[float], *, total: float) -> list[int]:
    # Whole numbers out of 2**64: with floats the last bound could fall short of the highest roll.
    reached = list(accumulate(weights))
    return [CHANCES if math.isclose(bound, total, rel_tol=1e-12) else int(bound / total * CHANCES) for bound in reached]


def _dice(seed: int, purpose: bytes) -> hashlib.blake2b:
    return hashlib.blake2b(str(seed).encode() + b":", digest_size=32, person=purpose)


def _roll(dice: hashlib.blake2b, word: str) -> int:
    own = dice.copy()
    own.update(word.encode())
    return int.from_bytes(own.digest()[:8], "little")
