"""What every voice provider is to us: a few verbs, and three answers to a start.

An adapter only translates. It makes at most one start request per `attempt_ref`, without automatic
retry, and says *accepted*, *refused* (with proof that no call exists) or *unknown*. A time-out, a
reset, any 5xx, a 2xx without an id is unknown: never a failure and never repeated. Adapters read no
clock and no table, and they raise `ProviderError` only from `poll`, `find`, `hang_up` and `read_vitals`;
`place` always answers.

What a vendor posts to us is a provider event. `receive` proves that it is genuine, on the raw bytes, and
names the call that it is about; `read_event` translates it when its turn comes, perhaps in another process.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from threading import Event
from typing import Any, Protocol, TypeAlias, runtime_checkable

from scheduler.errors import ProviderError, RingbackError
from scheduler.model import Outcome


class Phase(StrEnum):
    """How far a call has come. Facts only move forward through these."""

    DIALING = "dialing"
    RINGING = "ringing"
    ANSWERED = "answered"
    ENDED = "ended"


class RefusalKind(StrEnum):
    """Why no call was made; it decides what happens to the row and to the provider's breaker."""

    NEVER_SENT = "never_sent"  # nothing left this house: budget gone, connection refused
    REFUSED = "refused"  # this request was turned down; others may pass
    THROTTLED = "throttled"  # too fast or too many at once: slow down
    HOLD = "hold"  # the account is the problem: bad key, no credit
    OUTAGE = "outage"  # the vendor, or the network behind it, had no way to anybody's phone
    INVALID_NUMBER = "invalid_number"  # the number cannot be dialed, ever
    DO_NOT_CALL = "do_not_call"  # the provider's own list bars it


@dataclass(frozen=True, slots=True)
class DialRequest:
    """One start request. `attempt_ref` goes into the strongest field that the provider has."""

    attempt_ref: str
    number: str
    ring_timeout: timedelta
    max_duration: timedelta
    variables: Mapping[str, Any] = field(default_factory=dict)
    agent_id: str | None = None
    """The campaign's own voice agent; None: the account's (`RETELL_AGENT_ID`...)."""
    from_number: str | None = None
    """The campaign's own caller id, E.164; None: the account's."""
    lead_id: int | None = None
    campaign_id: int | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """No call exists, and this is the proof."""

    kind: RefusalKind
    reason: str
    retry_after: timedelta | None = None
    ours: bool = False
    """It was we who did not send it: that says nothing of the provider."""


@dataclass(frozen=True, slots=True)
class CallReport:
    """What the provider knows of one call. When `phase` is ENDED, either `outcome` is set or `refusal`.

    `refusal`: it was accepted at first, and then never dialed for want of credit, of a free line... That is
    the vendor's own word that nobody's phone rang, so the attempt is not spent.

    `provider_status` is the vendor's own word, kept raw. An unknown word is reported as
    `Outcome.FAILED` with `known_word=False`: it is shown by `check` and never closes a lead. One without any sign
    of an end (its time, a duration, a reason) is reported as live, for the phone may still ring.
    `callback_at` is the local wall time that the lead asked for (naive; `callback_zone` None: the lead's own).
    `appointment_at` is an instant, or, where the agent wrote a local time, naive: then it is the lead's.
    `is_final` False: the call is over, but more will be said of it (an analysis, a price), so ask again.
    """

    call_id: str
    phase: Phase
    attempt_ref: str | None = None
    outcome: Outcome | None = None
    provider_status: str | None = None
    known_word: bool = True
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    talk_seconds: int | None = None
    cost: Decimal | None = None
    cost_unit: str | None = None
    summary: str | None = None
    appointment_at: datetime | None = None
    callback_at: datetime | None = None
    callback_zone: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    is_final: bool = True
    refusal: Refused | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider has the call. `report` when the same answer already says more (even its end)."""

    call_id: str
    report: CallReport | None = None


@dataclass(frozen=True, slots=True)
class Unanswered:
    """Nobody can say whether a call was made; it must be looked up, never repeated."""

    reason: str


DialAnswer: TypeAlias = Accepted | Refused | Unanswered


@dataclass(frozen=True, slots=True)
class CallKey:
    """What identifies a call when asking about it; `placed_at` narrows a search by time."""

    attempt_ref: str
    call_id: str | None
    number: str
    placed_at: datetime | None
    answered_at: datetime | None = None
    agent_id: str | None = None
    """The campaign's own voice agent, as far as it is known when a call is looked for."""


@dataclass(frozen=True, slots=True)
class Hook:
    """A request that somebody posted to `/webhooks/{provider}`, as it came.

    `url` is the full public address as the vendor called it, query included; header names are lower case;
    `tail` is what follows the provider's name in the path.
    """

    url: str
    headers: Mapping[str, str]
    body: bytes
    tail: str = ""


class HookRefused(RingbackError):
    """A webhook that is not taken: `status` is the answer, the message one sentence without its content.

    401: nothing proves who sent it. 403: genuine, but of another account. 400: it cannot be read.
    """

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class ProviderEvent:
    """What a vendor posted, proven genuine. `key` is the same for a repetition of the same event.

    `payload` is kept in the inbox, without secrets (see `payloads.scrub`), and is all that `read_event` needs.
    """

    key: str
    kind: str
    payload: Mapping[str, Any]
    attempt_ref: str | None = None
    call_id: str | None = None
    answered_at: datetime | None = None
    """Filled in when it is read: when the call was answered, as far as that was known before this event."""


@dataclass(frozen=True, slots=True)
class Vitals:
    """How an account stands. `problem`: nothing may be dialed (no credit, suspended), in one sentence.

    `most_calls` is how many calls the vendor lets it have at once, `in_use` how many it has, ours and others'.
    """

    problem: str | None = None
    most_calls: int | None = None
    in_use: int | None = None
    notices: tuple[str, ...] = ()
    """What is wrong although calls can be made, a sentence each."""


class Standing(StrEnum):
    PROBLEM = "problem"
    WARNING = "warning"
    OK = "ok"


@dataclass(frozen=True, slots=True)
class Inspection:
    """One thing that was verified before the first dial: keys, agent, caller id, credit."""

    standing: Standing
    sentence: str


class NothingProven(ProviderError):
    """A call was looked for and not found, and it may have been made all the same: the message says why."""


class Provider(Protocol):
    """A voice provider. Safe for use by several threads at once."""

    name: str
    finds_by_ref: bool
    """May `find` prove that no call with a ref exists? If not, None from it concludes nothing."""
    waits: bool
    """Does `place` wait for a network? If not, it is called without a thread of its own."""
    calls_per_second: float | None
    """What the vendor takes where nobody has set another rate; None: no limit that is known."""
    listing_lag: timedelta
    """How long a call may be missing from what `find` searches, beyond its request and its ringing."""

    def place(self, request: DialRequest) -> DialAnswer:
        """Ask for one call: at most one request leaves, whatever happens. Never raises."""
        ...

    def poll(self, calls: Sequence[CallKey], now: datetime) -> dict[str, CallReport | None]:
        """Reports by call id, for calls whose `call_id` is known; None: the provider has no such call.

        A call missing from the answer was not learnt this time. Raises ProviderError.
        """
        ...

    def find(self, call: CallKey, now: datetime) -> CallReport | None:
        """The call made for `attempt_ref`, or None when the provider has none. Raises ProviderError.

        Raises a permanent ProviderError where several calls could be the one: people must decide. Raises
        NothingProven where nothing was found, and that proves nothing this time.
        """
        ...

    def hang_up(self, call_id: str) -> bool:
        """Stop a live call. False: it was not there any more. Raises ProviderError."""
        ...

    def receive(self, hook: Hook, now: datetime) -> Sequence[ProviderEvent]:
        """The events in a genuine webhook; none when it is about nothing that we follow. Raises HookRefused."""
        ...

    def read_event(self, event: ProviderEvent) -> CallReport | None:
        """What an event says. None: that the call should be asked about now, for it proves nothing by itself."""
        ...

    def read_vitals(self) -> Vitals | None:
        """How the account stands; None where the vendor does not tell. Raises ProviderError."""
        ...

    def inspect(self, agents: Collection[str], numbers: Collection[str]) -> Sequence[Inspection]:
        """Verify keys, then the account's own agent and caller id and those of campaigns. Never raises."""
        ...

    def close(self) -> None:
        """Give back connections."""
        ...


class Quiet:
    """What a provider says that posts no events, tells nothing of its account and has nothing to verify."""

    listing_lag = timedelta(0)
    calls_per_second: float | None = None

    def receive(self, hook: Hook, now: datetime) -> Sequence[ProviderEvent]:
        raise HookRefused(404, "this provider posts no events")

    def read_event(self, event: ProviderEvent) -> CallReport | None:
        return None

    def read_vitals(self) -> Vitals | None:
        return None

    def inspect(self, agents: Collection[str], numbers: Collection[str]) -> Sequence[Inspection]:
        return ()


@runtime_checkable
class Queueing(Protocol):
    """A provider that keeps calls in a queue of its own before it dials them."""

    def take_back(self, call_id: str) -> bool:
        """Withdraw a call that was not dialed yet. False: it is not in the queue any more. Raises ProviderError."""
        ...


EventSink: TypeAlias = Callable[[Sequence[ProviderEvent]], None]


@runtime_checkable
class Listener(Protocol):
    """A provider whose events come over a connection that we keep, rather than as webhooks."""

    def listen(self, keep: EventSink, stopped: Event) -> None:
        """Hand every event to `keep`, until `stopped` is set; reconnects by itself. Blocks, never raises."""
        ...

    def hears(self) -> bool:
        """Is the connection there now?"""
        ...


@dataclass(frozen=True, slots=True)
class Wiring:
    """What an adapter is told of this process beside its keys."""

    places: int
    request_timeout: timedelta
    short_call: timedelta = timedelta(seconds=8)
    """Answered, and ended by the callee before this: `hang_up`, not `completed`."""
    public_url: str | None = None
    """Where vendors reach our webhooks, without a slash at the end; None: they are told of none."""
    allow_hosts: frozenset[str] = frozenset()

    def hook_url(self, provider: str) -> str | None:
        return f"{self.public_url}/webhooks/{provider}" if self.public_url else None
