"""The gate: may this scheduled call be placed now, and if not, why not and when.

One ordered list of questions, asked by the daemon at the claim, and by everything that explains it.
Pure: everything that the answer depends on is in `Case`. What must stay true: the first question that
is not answered yes decides; a "later" always names an instant in the future, so that a row never comes
straight back; a "never" closes or holds the lead with the reason and never loops.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import TypeAlias
from zoneinfo import ZoneInfo

from scheduler.errors import InvalidValue
from scheduler.model import (
    RETRYABLE_OUTCOMES,
    UNREADABLE,
    CallStatus,
    Campaign,
    CampaignStatus,
    Hold,
    Lead,
    LeadStatus,
    Outcome,
    Phone,
    PhoneStatus,
    ScheduledCall,
)
from scheduler.rules.hours import HoursRule, OpenSpan, explain_closed, next_allowed, open_span, zone_info
from scheduler.rules.phones import is_e164
from scheduler.rules.policy import Policy, Setting
from scheduler.rules.retry import most_with_promises
from scheduler.rules.zones import LeadZones, lead_zones

RECHECK_HELD = timedelta(hours=1)
"""How often a held row is looked at again, besides when its lead changes."""
RECHECK_CAMPAIGN = timedelta(minutes=1)
RECHECK_LINE = timedelta(seconds=60)
"""How long to wait when the same number is being called for somebody else."""


@dataclass(frozen=True, slots=True)
class Yes:
    """It may be placed, to `phone`, while `open_span` lasts."""

    phone: Phone
    span: OpenSpan


@dataclass(frozen=True, slots=True)
class Later:
    """Not now; ask again at `at`."""

    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Held:
    """Not until somebody changes something; looked at again at `at` all the same."""

    hold: Hold
    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Dropped:
    """This row is cancelled; the lead needs nothing more from it."""

    reason: str


@dataclass(frozen=True, slots=True)
class Closed:
    """The lead is closed, with the word for the table and the reason for people."""

    closed_reason: str
    reason: str


@dataclass(frozen=True, slots=True)
class RoundOver:
    """None of the numbers that were left for this round can be dialed: what follows is as after a call."""

    reason: str


Verdict: TypeAlias = Yes | Later | Held | Dropped | Closed | RoundOver


@dataclass(frozen=True)
class Case:
    """One scheduled call at one instant, with everything that bears on it.

    `barred` are numbers on the do-not-call list, with the reason; `engaged` are numbers that have an open
    attempt somewhere, `is_engaged` says that this lead or this very row has one. `dial_budget` is how long
    the dial may take to begin.
    """

    now: datetime
    call: ScheduledCall
    lead: Lead | None
    campaign: Campaign | None
    policy: Policy
    barred: Mapping[str, str] = field(default_factory=dict)
    engaged: Collection[str] = frozenset()
    is_engaged: bool = False
    dial_budget: timedelta = timedelta(0)

    @property
    def known_lead(self) -> Lead:
        assert self.lead is not None, "asked first"
        return self.lead

    @cached_property
    def phones(self) -> tuple[Phone, ...]:
        return phones_of(self.known_lead)

    @cached_property
    def phone(self) -> Phone | None:
        """The number to dial: the first usable one from the planned position on. A row planned for a later
        number never goes back to an earlier one: that was rung in this round, and its delay must pass first.
        """
        start = self.call.phone_position or 1
        return next((phone for phone in self.usable if phone.position >= start), None)

    @cached_property
    def usable(self) -> tuple[Phone, ...]:
        """Numbers that are neither invalid nor barred."""
        return tuple(
            phone for phone in self.phones
            if phone.status is PhoneStatus.ACTIVE and phone.number not in self.barred
        )

    @cached_property
    def where(self) -> LeadZones:
        return zones_of(self.known_lead, self.phone.number if self.phone else None, self.policy)

    @cached_property
    def rules(self) -> tuple[HoursRule, ...]:
        return self.policy.hours(self.where)


def judge(case: Case) -> Verdict:
    """The first answer that is not yes, or the yes with its evidence."""
    for question in QUESTIONS:
        answer = question(case)
        if answer is not None:
            return answer
    raise AssertionError("the last question always answers")


@dataclass(frozen=True, slots=True)
class Answer:
    question: str
    verdict: Verdict | None
    """None: this question does not stand in the way."""


def explain(case: Case) -> list[Answer]:
    """Every question with its answer, for people: not only the first that refuses."""
    answers = []
    for question in QUESTIONS:
        verdict = question(case)
        answers.append(Answer(question.__name__.lstrip("_").replace("_", " "), verdict))
        if isinstance(verdict, Dropped) or (case.lead is None):
            break
        if case.phone is None and isinstance(verdict, Closed | RoundOver):
            break  # without a number to call, the rest cannot be asked
    return answers


# --- the questions, in order: None is a yes ------------------------------------------------------


def _lead_exists(case: Case) -> Verdict | None:
    return Dropped("its lead does not exist any more") if case.lead is None else None


def _lead_open(case: Case) -> Verdict | None:
    lead = case.known_lead
    if lead.status is LeadStatus.CLOSED:
        return Dropped(f"the lead is closed ({lead.closed_reason or 'by hand'})")
    if lead.status is LeadStatus.SUSPENDED:
        return Held(Hold.SUSPENDED, case.now + RECHECK_HELD, "the lead is suspended")
    return None


def _not_manual(case: Case) -> Verdict | None:
    if case.known_lead.manual_management:
        return Held(Hold.MANUAL, case.now + RECHECK_HELD, "the lead is managed by hand")
    return None


def _is_readable(case: Case) -> Verdict | None:
    if case.call.scheduled_at == UNREADABLE or case.known_lead.closed_at == UNREADABLE:
        return Held(Hold.ERROR, case.now + RECHECK_HELD, "a date of it cannot be read; write 2027-03-01 10:00:00 (UTC)")
    if case.known_lead.call_until == UNREADABLE.date():
        return Held(Hold.ERROR, case.now + RECHECK_HELD, "its fecha_limite cannot be read; write 2027-03-01")
    if case.known_lead.variables is None:
        return Held(
            Hold.ERROR, case.now + RECHECK_HELD, 'its variables are not a JSON object, like {"debt": "120"}'
        )
    return None


def _campaign_active(case: Case) -> Verdict | None:
    if case.known_lead.campaign_id is None:
        return None
    if case.campaign is None:
        return Held(
            Hold.ERROR, case.now + RECHECK_HELD,
            f"its campaign {case.known_lead.campaign_id} does not exist",
        )
    if case.campaign.status is CampaignStatus.ACTIVE:
        return None
    if case.campaign.status is CampaignStatus.PAUSED:
        return Later(case.now + RECHECK_CAMPAIGN, f"campaign {case.campaign.code} is paused")
    return Dropped(f"campaign {case.campaign.code} is {case.campaign.status}")


def _has_number(case: Case) -> Verdict | None:
    if case.phone is None:
        if case.usable:
            return RoundOver("the numbers left for this round cannot be dialed any more")
        if any(phone.number in case.barred for phone in case.phones):
            return None  # the next question says so
        return Closed("invalid_number", "no number of this lead can be dialed")
    if not is_e164(case.phone.number):
        return Held(
            Hold.ERROR, case.now + RECHECK_HELD,
            "its number cannot be dialed as written; telefono must be like +56912345678",
        )
    return None


def _not_barred(case: Case) -> Verdict | None:
    if case.phone is None:
        return Closed("do_not_call", "every number of this lead is on the do-not-call list")
    return None


def _attempts_left(case: Case) -> Verdict | None:
    most = _most_attempts(case.known_lead, case.policy)
    allowed = most_with_promises(most.value) if case.call.promise else most.value
    if case.call.attempt_number > allowed:
        return Closed(
            "max_attempts", f"attempt {case.call.attempt_number} of {most.value} allowed ({most.source})"
        )
    return None


def _before_deadline(case: Case) -> Verdict | None:
    until = case.known_lead.call_until
    if until is None:
        return None
    try:
        today = latest_date(case.where.zones, case.now)
    except InvalidValue as error:
        return Held(Hold.ERROR, case.now + RECHECK_HELD, str(error))
    if today > until:
        return Closed("deadline", f"the last date to call was {until} and it is {today}")
    return None


def _line_free(case: Case) -> Verdict | None:
    if case.is_engaged:
        return Later(case.now + RECHECK_LINE, "an earlier call to this lead is still in progress")
    if case.phone is not None and case.phone.number in case.engaged:
        return Later(case.now + RECHECK_LINE, "another call to this number is in progress")
    return None


def _inside_hours(case: Case) -> Verdict:
    assert case.phone is not None, "asked before"
    try:
        span = open_span(case.rules, case.now)
        if span is not None and case.now + case.dial_budget <= span.open_until:
            return Yes(case.phone, span)
        # Open, but it would close before the dial could begin: as good as shut.
        opens_at = next_allowed(case.rules, span.open_until if span else case.now)
        if opens_at is None:
            return Held(Hold.NEVER, case.now + RECHECK_HELD, explain_closed(case.rules, case.now))
        if span is not None:
            return Later(opens_at, f"too close to closing; opens {_local(opens_at, case.where)}")
        return Later(opens_at, explain_closed(case.rules, case.now))
    except InvalidValue as error:  # a zone that this machine's database does not have, an odd region
        return Held(Hold.ERROR, case.now + RECHECK_HELD, str(error))


QUESTIONS: Sequence[Callable[[Case], Verdict | None]] = (
    _lead_exists,
    _lead_open,
    _not_manual,
    _is_readable,
    _campaign_active,
    _has_number,
    _not_barred,
    _attempts_left,
    _before_deadline,
    _line_free,
    _inside_hours,
)


def phones_of(lead: Lead) -> tuple[Phone, ...]:
    """The numbers of a lead by position; a lead written by hand has only `telefono`."""
    if not lead.phones:
        return (Phone(lead.id, 1, lead.phone),) if lead.phone else ()
    first, rest = lead.phones[0], lead.phones[1:]
    if lead.phone and first.position > 1:
        # Written by hand: `telefono` alone, and later a second number.
        return (Phone(lead.id, 1, lead.phone), *lead.phones)
    if lead.phone and first.number != lead.phone:
        # Somebody changed `leads.telefono` by SQL: position 1 mirrors it, and a new number is untried.
        return (Phone(lead.id, 1, lead.phone), *rest)
    return lead.phones


def zones_of(lead: Lead, number: str | None, policy: Policy) -> LeadZones:
    """Where this lead may be when rung at this number."""
    return lead_zones(
        time_zone=lead.time_zone,
        region=lead.region,
        number=number if number and is_e164(number) else None,
        campaign_zones=policy.zones,
        default_zone=policy.default_zone,
    )


def latest_date(zones: Sequence[str], at: datetime) -> date:
    """The date that is furthest on among these zones: a deadline has passed as soon as it has in one."""
    return max(at.astimezone(zone_info(zone)).date() for zone in zones)


def _most_attempts(lead: Lead, policy: Policy) -> Setting[int]:
    """Attempts in all, by the outcome that planned the present one.

    A row that was given back has hidden it: the lead is still `selected`. Then the most that any outcome
    allows counts, because trouble of ours must not close a lead.
    """
    if lead.call_status in (CallStatus.SELECTED, CallStatus.CALLING):
        return max((policy.max_attempts(one) for one in RETRYABLE_OUTCOMES), key=lambda most: most.value)
    return policy.max_attempts(last_outcome(lead))


def last_outcome(lead: Lead) -> Outcome | None:
    """The outcome that planned the present attempt, which may have a maximum of its own."""
    if lead.call_status is CallStatus.ERROR:
        return Outcome.FAILED
    try:
        return Outcome(lead.call_status.value)
    except ValueError:
        return None


def _local(at: datetime, where: LeadZones) -> str:
    zone: ZoneInfo = zone_info(where.zones[0])
    return f"{at.astimezone(zone):%A %H:%M} in {where.zones[0]}"
