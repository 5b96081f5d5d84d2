"""What every voice provider is to us: three verbs and three answers.

An adapter only translates. It makes at most one start request per `attempt_ref`, without automatic
retry, and says *accepted*, *refused* (with proof that no call exists) or *unknown*. A time-out, a
reset, any 5xx, a 2xx without an id is unknown: never a failure and never repeated. Adapters read no
clock and no table, and they raise `ProviderError` only from `poll`, `find` and `hang_up`; `place`
always answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, Protocol, TypeAlias

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


@dataclass(frozen=True, slots=True)
class CallReport:
    """What the provider knows of one call. `outcome` is set exactly when `phase` is ENDED.

    `provider_status` is the vendor's own word, kept raw. An unknown word is reported as
    `Outcome.FAILED` with `known_word=False`: it is shown by `check` and never closes a lead.
    `callback_at` is the local wall time that the lead asked for (naive), `appointment_at` an instant.
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


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider has the call. `report` when the same answer already says more (even its end)."""

    call_id: str
    report: CallReport | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """No call exists, and this is the proof."""

    kind: RefusalKind
    reason: str
    retry_after: timedelta | None = None


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


class Provider(Protocol):
    """A voice provider. Safe for use by several threads at once."""

    name: str
    finds_by_ref: bool  # may `find` prove that no call with a ref exists?
    waits: bool  # does `place` wait for a network? If not, it is called without a thread of its own

    def place(self, request: DialRequest) -> DialAnswer:
        """Ask for one call: at most one request leaves, whatever happens. Never raises."""
        ...

    def poll(self, calls: Sequence[CallKey], now: datetime) -> dict[str, CallReport | None]:
        """Reports by call id, for calls whose `call_id` is known; None: the provider has no such call.

        A call missing from the answer was not learnt this time. Raises ProviderError.
        """
        ...

    def find(self, call: CallKey, now: datetime) -> CallReport | None:
        """The call made for `attempt_ref`, or None when the provider has none. Raises ProviderError."""
        ...

    def hang_up(self, call_id: str) -> bool:
        """Stop a live call. False: it was not there any more. Raises ProviderError."""
        ...

    def close(self) -> None:
        """Give back connections."""
        ...
