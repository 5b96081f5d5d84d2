"""What things are: the words of the tables as enums, and the rows as frozen values.

Nothing is decided here. The English attribute names are for Python; tables and columns keep the
names that operators already use (`Lead.first_name` is the column `nombre`). Every instant is aware
UTC. A newcomer would mix up three words: `status` is where a scheduled call stands with us, `state`
is where one attempt (one dial) stands, `outcome` is what happened on that attempt.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

UNREADABLE = datetime(1, 1, 1, tzinfo=UTC)
"""Stands for a date that somebody typed into SQLite and that is none: its row is held, the others go on."""


class LeadStatus(StrEnum):
    OPEN = "open"
    CLOSED = "closed"
    SUSPENDED = "suspended"


class CallStatus(StrEnum):
    """`leads.call_status`: what an operator's screen shows for the lead."""

    NO_SELECTED = "no_selected"
    SELECTED = "selected"
    CALLING = "calling"
    COMPLETED = "completed"
    ERROR = "error"
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    HANG_UP = "hang_up"
    VOICEMAIL = "voicemail"


class ScheduleStatus(StrEnum):
    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


OPEN_STATUSES = (ScheduleStatus.PENDING, ScheduleStatus.IN_PROGRESS)


class AttemptState(StrEnum):
    PLACING = "placing"
    LIVE = "live"
    UNKNOWN = "unknown"
    ENDED = "ended"
    REFUSED = "refused"


OPEN_STATES = (AttemptState.PLACING, AttemptState.LIVE, AttemptState.UNKNOWN)


class Outcome(StrEnum):
    """What happened on an attempt. The field also says disposition."""

    COMPLETED = "completed"
    CALLBACK = "callback"
    NO_ANSWER = "no_answer"
    BUSY = "busy"
    HANG_UP = "hang_up"
    VOICEMAIL = "voicemail"
    FAILED = "failed"
    INVALID_NUMBER = "invalid_number"
    DO_NOT_CALL = "do_not_call"
    CANCELLED = "cancelled"


RETRYABLE_OUTCOMES = (
    Outcome.NO_ANSWER,
    Outcome.BUSY,
    Outcome.HANG_UP,
    Outcome.VOICEMAIL,
    Outcome.FAILED,
)

CALL_STATUS_AFTER: Mapping[Outcome, CallStatus] = {
    Outcome.COMPLETED: CallStatus.COMPLETED,
    Outcome.CALLBACK: CallStatus.COMPLETED,
    Outcome.DO_NOT_CALL: CallStatus.COMPLETED,
    Outcome.NO_ANSWER: CallStatus.NO_ANSWER,
    Outcome.BUSY: CallStatus.BUSY,
    Outcome.HANG_UP: CallStatus.HANG_UP,
    Outcome.VOICEMAIL: CallStatus.VOICEMAIL,
    Outcome.FAILED: CallStatus.ERROR,
    Outcome.INVALID_NUMBER: CallStatus.ERROR,
    Outcome.CANCELLED: CallStatus.ERROR,
}


class PhoneStatus(StrEnum):
    ACTIVE = "active"
    INVALID = "invalid"


class CampaignStatus(StrEnum):
    ACTIVE = "active"
    PAUSED = "paused"
    CANCELLED = "cancelled"
    COMPLETED = "completed"


class Hold(StrEnum):
    """Why a pending row waits for people rather than for the clock (`call_schedule.hold`)."""

    MANUAL = "manual"
    SUSPENDED = "suspended"
    NEVER = "never"
    ERROR = "error"


class BillingType(StrEnum):
    """How an account pays: not at all, in minutes talked, in credits (money paid before)."""

    UNLIMITED = "unlimited"
    MINUTES = "minutes"
    CREDITS = "credits"


CREDITS = "credits"
"""What a credits account is kept in where nobody says otherwise."""
SIMULATED = "simulated"
"""What the simulator charges in."""


class EntryKind(StrEnum):
    """Why a balance moved. What is set aside for a call (`reserve`) comes back at its end (`release`), and
    what the call cost goes (`charge`); the sum of all entries is the balance.
    """

    OPENING = "opening"
    TOP_UP = "top_up"
    RESERVE = "reserve"
    RELEASE = "release"
    CHARGE = "charge"
    ADJUST = "adjust"


class ImportStatus(StrEnum):
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    UNDONE = "undone"


class DaemonWish(StrEnum):
    """What people ask of a daemon (`daemons.wanted`)."""

    RUN = "run"
    PAUSE = "pause"
    DRAIN = "drain"


class DaemonDoing(StrEnum):
    """What it answers (`daemons.doing`)."""

    WORKING = "working"
    PAUSED = "paused"
    DRAINING = "draining"


class Scope(StrEnum):
    """What an API key may do: look, run campaigns and leads, or everything. Each includes the one before."""

    READ = "read"
    OPERATE = "operate"
    ADMIN = "admin"

    def includes(self, other: Scope) -> bool:
        order = list(Scope)
        return order.index(self) >= order.index(other)


class Role(StrEnum):
    """What a person may do who logs in."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    @property
    def scope(self) -> Scope:
        return {Role.VIEWER: Scope.READ, Role.OPERATOR: Scope.OPERATE, Role.ADMIN: Scope.ADMIN}[self]


class Doubt(str):
    """Why a number is not dialed although nobody barred it: an entry of the do-not-call list could mean it.

    It holds calls until somebody puts that right, and ends nothing.
    """

    __slots__ = ()


class AllowanceKind(StrEnum):
    """What the key of an account may only choose from a list."""

    PROVIDER = "provider"
    AGENT = "agent"
    CALLER_ID = "caller_id"
    COUNTRY = "country"
    GROUP = "group"
    PRIORITY = "priority"


@dataclass(frozen=True, slots=True)
class NumberTraits:
    """What many telephone numbers have in common.

    `country` is an ISO code or None (a number of no country), `line` the kind of line (mobile, fixed, toll_free,
    premium_rate ... or unknown); `zones` is empty when the number does not tell.
    """

    country: str | None
    line: str
    zones: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Phone:
    """A number of a lead. `traits` is None while nothing was learnt of it, or what was is of another number."""

    lead_id: int
    position: int
    number: str
    status: PhoneStatus = PhoneStatus.ACTIVE
    traits: NumberTraits | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Lead:
    """One person and their numbers within a campaign. `phones` is ordered by position.

    `variables` is None when what is written there cannot be read.
    """

    id: int
    campaign_id: int | None
    first_name: str | None
    last_name: str | None
    phone: str | None
    status: LeadStatus
    closed_reason: str | None
    closed_at: datetime | None
    manual_management: bool
    call_status: CallStatus
    call_attempts_count: int
    time_zone: str | None
    region: str | None
    priority: int
    call_until: date | None
    variables: Mapping[str, Any] | None = field(default_factory=dict)
    email: str | None = None
    phones: tuple[Phone, ...] = ()


@dataclass(frozen=True, slots=True)
class ScheduledCall:
    """A row of `call_schedule`: the intention to call a lead at or after `scheduled_at`."""

    id: int
    lead_id: int
    campaign_id: int | None
    scheduled_at: datetime
    attempt_number: int
    phone_position: int | None
    status: ScheduleStatus
    wanted_at: datetime | None = None
    last_outcome: Outcome | None = None
    reason: str | None = None
    promise: bool = False
    hold: Hold | None = None
    lease_owner: str | None = None
    lease_token: str | None = None
    lease_expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One dial, whatever came of it. Attempts are added before the dial and never deleted."""

    id: int
    attempt_ref: str
    schedule_id: int | None
    lead_id: int
    campaign_id: int | None
    attempt_number: int
    phone: str
    provider: str
    state: AttemptState
    provider_call_id: str | None = None
    outcome: Outcome | None = None
    claimed_at: datetime | None = None
    placed_at: datetime | None = None
    lookups: int = 0
    details: Mapping[str, Any] | None = None
    answered_at: datetime | None = None
    dial_before: datetime | None = None
    claimed_by: str | None = None

    @property
    def was_late(self) -> bool:
        """Its request left after its limit: such a call is hung up."""
        return self.placed_at is not None and self.dial_before is not None and self.placed_at > self.dial_before


@dataclass(frozen=True, slots=True)
class Campaign:
    """`settings` is the raw `call_settings` document; `rules.policy` reads it."""

    id: int
    code: str
    name: str
    status: CampaignStatus
    priority: int
    provider: str | None
    settings: Any
    account_id: int | None = None
    call_until: date | None = None
    group: str | None = None
    odd_status: str | None = None
    """What is written as its status, where that is no status: it counts as paused."""

    @property
    def problems(self) -> tuple[str, ...]:
        """What somebody wrote into its row that cannot be used."""
        found = []
        if self.odd_status is not None:
            right = f"write {', '.join(CampaignStatus)}"
            found.append(f"status is {self.odd_status!r}, so it is paused; {right}")
        if self.call_until == UNREADABLE.date():
            found.append("fecha_limite is no date; write 2027-03-01, or NULL for none")
        if not isinstance(self.priority, int):
            found.append(f"priority is {self.priority!r}; write a whole number")
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Account:
    """Who pays. All amounts are in the account's own `unit`: minutes, or what one of its credits is.

    `credit_unit` is that: `credits`, or a currency such as `usd`. `refused_unit` is what a provider charged in, that
    the account has no price for and is not kept in; until people say how, it pays for no further call.
    """

    id: int
    code: str
    name: str
    status: str
    billing: BillingType
    balance: Decimal
    max_concurrent_calls: int | None = None
    price_per_minute: Decimal | None = None
    reserve_per_call: Decimal | None = None
    low_balance: Decimal | None = None
    credit_unit: str = CREDITS
    refused_unit: str | None = None
    odd_billing: str | None = None
    """What is written as its billing type, where that is none."""

    @property
    def unit(self) -> str:
        """What its balance counts."""
        return (self.credit_unit.strip().lower() or CREDITS) if self.billing is BillingType.CREDITS else self.billing

    def takes(self, unit: str | None) -> bool:
        """May what a provider charges in this unit be taken from the balance as it is?

        Calls of a minutes account, and those at a price, cost what was talked, whatever the provider says. The
        simulator plays any provider, so it charges in the account's own unit.
        """
        by_talk = self.billing is not BillingType.CREDITS or self.price_per_minute is not None
        return by_talk or unit in (self.unit, SIMULATED)

    @property
    def problem(self) -> str | None:
        """What somebody wrote into its row that cannot be used."""
        if self.odd_billing is not None:
            return f"billing_type is {self.odd_billing!r}; write {', '.join(BillingType)}"
        if self.status not in ("active", "closed"):
            return f"status is {self.status!r}; write active or closed"
        for name in ("balance", "price_per_minute", "reserve_per_call", "low_balance"):
            value = getattr(self, name)
            if value is not None and not value.is_finite():
                return f"{name} is no number"
        if self.reserve_per_call is not None and self.reserve_per_call <= 0:
            return f"reserve_per_call is {self.reserve_per_call}; write more than 0, or NULL for the longest call"
        if self.price_per_minute is not None and self.price_per_minute < 0:
            return f"price_per_minute is {self.price_per_minute}; write 0 or more"
        most = self.max_concurrent_calls
        if most is not None and (not isinstance(most, int) or most < 0):
            return f"max_concurrent_calls is {most!r}; write a whole number from 0, or NULL for no limit"
        if self.refused_unit is not None and not self.takes(self.refused_unit):
            return (
                f"its provider charges in {self.refused_unit or 'no unit'}, and it is kept in {self.unit}; "
                "give it a price_per_minute, or an empty balance and another credit_unit"
            )
        return None

    @property
    def is_paying(self) -> bool:
        """Does a call take something from its balance?"""
        return self.billing is not BillingType.UNLIMITED


@dataclass(frozen=True, slots=True)
class Happening:
    """One line of the append-only audit (`events`)."""

    kind: str
    actor: str
    reason: str | None = None
    lead_id: int | None = None
    campaign_id: int | None = None
    schedule_id: int | None = None
    attempt_id: int | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    rule_version: str | None = None
    """The fingerprint of the rules that decided it (`rule_versions.fingerprint`)."""


Money = Decimal
