"""The simulated provider inside this process: for a first look, for tests, for measuring.

Calls live in memory and end by the fate that `network` gives them; a call made by an earlier process
can still be followed, because its fate follows from its id. What must stay true: a second request
for the same `attempt_ref` makes a second call, so that a double dial shows; a lookup finds every call
that was made here; memory stays flat. Not here: waiting. A simulated time-out is answered at once.
The clock given to it is read once per dial, so give it one that costs nothing.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from threading import Lock

from scheduler.clock import Clock
from scheduler.errors import ProviderError, RingbackError
from scheduler.model import Outcome
from scheduler.providers.base import (
    Accepted,
    CallKey,
    CallReport,
    DialAnswer,
    DialRequest,
    Phase,
    Quiet,
    RefusalKind,
    Refused,
    Unanswered,
)
from scheduler.providers.network import (
    LOST_WITHOUT_CALL,
    STOPPED_RINGING,
    STOPPED_TALKING,
    Fault,
    FaultPlan,
    Sighting,
    SimulatedNetwork,
)

ID_PREFIX = "sim-"
THROTTLE_WAIT = timedelta(seconds=2)

# The one place where the network's words become ours. A call that we stopped tells nothing about the
# lead, so both of its words lead to another attempt and neither closes anything.
OUTCOMES: Mapping[str, Outcome] = {
    "ended-completed": Outcome.COMPLETED,
    "ended-call-me-later": Outcome.CALLBACK,
    "ended-rang-out": Outcome.NO_ANSWER,
    "ended-busy": Outcome.BUSY,
    "ended-by-callee": Outcome.HANG_UP,
    "ended-at-machine": Outcome.VOICEMAIL,
    "ended-no-route": Outcome.FAILED,
    "ended-no-such-number": Outcome.INVALID_NUMBER,
    "ended-opted-out": Outcome.DO_NOT_CALL,
    STOPPED_RINGING: Outcome.NO_ANSWER,
    STOPPED_TALKING: Outcome.HANG_UP,
}
PHASES: Mapping[str, Phase] = {
    "dialing": Phase.DIALING,
    "ringing": Phase.RINGING,
    "in-call": Phase.ANSWERED,
}
SUMMARIES: Mapping[Outcome, str] = {
    Outcome.COMPLETED: "Simulated conversation, carried to its end.",
    Outcome.CALLBACK: "Simulated conversation; asked to be called again.",
    Outcome.DO_NOT_CALL: "Simulated conversation; asked not to be called any more.",
}
REFUSED_AS: Mapping[Fault, Refused] = {
    Fault.REFUSE: Refused(RefusalKind.REFUSED, "simulated refusal"),
    Fault.THROTTLE: Refused(RefusalKind.THROTTLED, "simulated throttling", THROTTLE_WAIT),
    Fault.HOLD: Refused(RefusalKind.HOLD, "simulated account without credit"),
    Fault.INVALID_NUMBER: Refused(RefusalKind.INVALID_NUMBER, "simulated refusal of the number"),
    Fault.DO_NOT_CALL: Refused(RefusalKind.DO_NOT_CALL, "simulated do-not-call list of the provider"),
}


class Simulator(Quiet):
    """A provider in memory. `started` counts the start requests it has seen, `accepted` the calls made.

    `faults` may be replaced at any time.
    """

    name = "simulator"
    finds_by_ref = True
    waits = False

    def __init__(
        self,
        network: SimulatedNetwork,
        clock: Clock,
        faults: FaultPlan | None = None,
        *,
        keep_ended: int = 1000,
        keep_most: int = 100_000,
    ) -> None:
        self.started = 0
        self.accepted = 0
        self._network, self._clock = network, clock
        self.faults = faults or FaultPlan({}, seed=0)
        self._memory = _Memory(keep_ended, keep_most)
        self._questions = count()
        self._lock = Lock()

    def place(self, request: DialRequest) -> DialAnswer:
        try:
            now = self._clock.now()
        except RingbackError as error:  # a clock kept by a database may be away
            return Refused(RefusalKind.NEVER_SENT, f"the simulator could not read its clock: {error}")
        fault = self.faults.at_start(request.attempt_ref)
        if fault is None:
            return self._accept(request.attempt_ref, now)
        if refused := REFUSED_AS.get(fault):
            with self._lock:
                self.started += 1
            return refused
        if fault in LOST_WITHOUT_CALL:
            with self._lock:
                self.started += 1
        else:
            self._remember(request.attempt_ref, now)
        return Unanswered(f"simulated {fault.value}: whether a call was made is not known")

    def poll(self, calls: Sequence[CallKey], now: datetime) -> dict[str, CallReport | None]:
        self._perhaps_fail("the reports of calls")
        return {call.call_id: self._look(call, now) for call in calls if call.call_id is not None}

    def find(self, call: CallKey, now: datetime) -> CallReport | None:
        self._perhaps_fail(f"call {call.attempt_ref}")
        with self._lock:
            call_id = self._memory.find(call.attempt_ref)
        if call_id is None:
            return None
        found = CallKey(call.attempt_ref, call_id, call.number, call.placed_at)
        return self._look(found, now)

    def hang_up(self, call_id: str) -> bool:
        """A call of an earlier process is not there any more: nobody here holds its line."""
        now = self._clock.now()
        with self._lock:
            held = self._memory.calls.get(call_id)
            if held is None or held.hung_up_at is not None:
                return False
            if now >= held.placed_at + self._network.length(held.token):
                return False
            held.hung_up_at = now
        return True

    def close(self) -> None:
        """Nothing to give back."""

    def held_calls(self) -> list[HeldCall]:
        """The calls in memory, oldest first: a witness for tests of whoever dials."""
        with self._lock:
            return list(self._memory.calls.values())

    def _accept(self, attempt_ref: str, now: datetime) -> Accepted:
        call_id, call = self._remember(attempt_ref, now)
        sighting = self._network.sight(call.token, now, now)
        if sighting.ended_at is None:
            return Accepted(call_id)
        with self._lock:
            self._memory.told_end(call_id, call)
        return Accepted(call_id, translate(call_id, attempt_ref, sighting))

    def _remember(self, attempt_ref: str, placed_at: datetime) -> tuple[str, HeldCall]:
        with self._lock:
            self.started += 1
            self.accepted += 1
            return self._memory.add(attempt_ref, placed_at)

    def _look(self, key: CallKey, now: datetime) -> CallReport | None:
        """The call as it stands; one that this process does not hold is told from its id."""
        call_id = key.call_id
        if call_id is None or not call_id.startswith(ID_PREFIX):
            return None
        with self._lock:
            held = self._memory.calls.get(call_id)
        if held is None:
            token = call_id.removeprefix(ID_PREFIX)
            placed_at = key.placed_at or now - self._network.length(token)
            return translate(call_id, key.attempt_ref, self._network.sight(token, placed_at, now))
        sighting = self._network.sight(held.token, held.placed_at, now, held.hung_up_at)
        if sighting.ended_at is not None:
            with self._lock:
                self._memory.told_end(call_id, held)
        return translate(call_id, key.attempt_ref, sighting)

    def _perhaps_fail(self, about: str) -> None:
        if self.faults.lookup_fails(next(self._questions)):
            raise ProviderError(f"simulated {Fault.LOOKUP_ERROR.value}: {about} could not be asked for")


def translate(call_id: str, attempt_ref: str | None, sighting: Sighting) -> CallReport:
    """What the network said, in our words. A word that we do not know is a failure, never a success."""
    word = sighting.word
    if sighting.ended_at is None:
        phase = PHASES.get(word)
        return CallReport(
            call_id,
            phase or Phase.DIALING,
            attempt_ref,
            provider_status=word,
            known_word=phase is not None,
            answered_at=sighting.answered_at,
        )
    outcome = OUTCOMES.get(word)
    callback_at = sighting.callback_at
    return CallReport(
        call_id,
        Phase.ENDED,
        attempt_ref,
        outcome or Outcome.FAILED,
        word,
        outcome is not None,
        sighting.answered_at,
        sighting.ended_at,
        sighting.talk_seconds,
        sighting.cost,
        None if sighting.cost is None else "simulated",
        None if outcome is None else SUMMARIES.get(outcome),
        sighting.appointment_at,
        None if callback_at is None else callback_at.astimezone(UTC).replace(tzinfo=None),
        None if callback_at is None else "UTC",
        {"ring_seconds": sighting.ring_seconds},
    )


class HeldCall:
    """A call in memory. `token` decides its fate; it differs from the reference in a second call."""

    __slots__ = ("attempt_ref", "hung_up_at", "placed_at", "token", "told")

    def __init__(self, attempt_ref: str, token: str, placed_at: datetime) -> None:
        self.attempt_ref, self.token, self.placed_at = attempt_ref, token, placed_at
        self.hung_up_at: datetime | None = None
        self.told = False


class _Memory:
    """The calls made here. Guarded by the simulator's lock.

    A call is forgotten when its end was told and `keep_ended` more ends were told after it, or when it
    is the oldest of `keep_most`, because nobody ever came to ask for their ends. Of the forgotten, a
    fingerprint stays in a ring of fixed size: "no such call" must be a proof, and a dialer whose
    database failed as the call was accepted will ask by reference minutes later.
    """

    RING = 131_072  # one mebibyte

    def __init__(self, keep_ended: int, keep_most: int) -> None:
        self.calls: dict[str, HeldCall] = {}
        self._keep_ended, self._keep_most = keep_ended, keep_most
        self._told: deque[str] = deque()
        self._ring = array("Q", bytes(8 * self.RING))
        self._at = 0

    def add(self, attempt_ref: str, placed_at: datetime) -> tuple[str, HeldCall]:
        token, call_id = attempt_ref, ID_PREFIX + attempt_ref
        times = 1
        while call_id in self.calls:
            times += 1
            token = f"{attempt_ref}-{times}"
            call_id = ID_PREFIX + token
        if len(self.calls) >= self._keep_most:
            self._forget(next(iter(self.calls)))
        call = self.calls[call_id] = HeldCall(attempt_ref, token, placed_at)
        return call_id, call

    def find(self, attempt_ref: str) -> str | None:
        call_id = ID_PREFIX + attempt_ref
        if call_id in self.calls or _fingerprint(call_id) in self._ring:
            return call_id
        return None

    def told_end(self, call_id: str, call: HeldCall) -> None:
        if call.told:
            return
        call.told = True
        self._told.append(call_id)
        if len(self._told) > self._keep_ended:
            self._forget(self._told.popleft())

    def _forget(self, call_id: str) -> None:
        if self.calls.pop(call_id, None) is not None:
            self._ring[self._at] = _fingerprint(call_id)
            self._at = (self._at + 1) % self.RING


def _fingerprint(call_id: str) -> int:
    return hash(call_id) & 0xFFFF_FFFF_FFFF_FFFF
