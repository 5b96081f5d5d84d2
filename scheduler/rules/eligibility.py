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
from decimal import Decimal
from functools import cached_property
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

from scheduler.errors import InvalidValue
from scheduler.model import (
    RETRYABLE_OUTCOMES,
    UNREADABLE,
    CallStatus,
    Campaign,
    CampaignStatus,
    Doubt,
    Hold,
    Lead,
    LeadStatus,
    NumberTraits,
    Outcome,
    Phone,
    PhoneStatus,
    ScheduledCall,
)
from scheduler.rules.caps import PastCall, Target, group_key, next_release
from scheduler.rules.hours import (
    HoursRule,
    OpenSpan,
    explain_closed,
    next_allowed,
    open_span,
    zone_info,
)
from scheduler.rules.phones import is_e164, learn, why_not
from scheduler.rules.policy import Policy, Setting
from scheduler.rules.retry import most_with_promises
from scheduler.rules.zones import LeadZones, lead_zones

RECHECK_HELD = timedelta(hours=1)
"""How often a held row is looked at again, besides when its lead changes."""
RECHECK_CAMPAIGN = timedelta(minutes=1)
RECHECK_LINE = timedelta(seconds=60)
"""How long to wait when the same number is being called for somebody else."""
RECHECK_BALANCE = timedelta(seconds=60)
CAPS_REASON = "caps: "
"""How the reason of a row begins that waits for room in a cap: such rows are judged anew when caps change."""


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


@dataclass(frozen=True, slots=True)
class Funds:
    """What the campaign's account has left, and what a call may cost, both in the account's unit."""

    account: str
    unit: str
    available: Decimal
    expected: Decimal
    is_open: bool = True
    fault: str | None = None
    """What is wrong with the account's row."""

    @property
    def problem(self) -> str | None:
        """Why no call can be paid. Without figures, so that it reads the same until somebody tops up."""
        if self.fault is not None:
            return f"no balance: account {self.account} cannot be used: {self.fault}"
        if not self.is_open:
            return f"account {self.account} is closed"
        if self.available < self.expected:
            return f"no balance: account {self.account} cannot pay for another call; top it up"
        return None


@dataclass(frozen=True)
class Case:
    """One scheduled call at one instant, with everything that bears on it.

    `barred` are numbers on the do-not-call list, with the reason; `engaged` are numbers that have an open
    attempt somewhere, `is_engaged` says that this lead or this very row has one. `dial_budget` is how long
    the dial may take to begin. `history` are earlier calls that caps may count, of this lead and of others;
    `funds` is None where nobody pays by the call. `obstacle` is what keeps the whole campaign from being dialed,
    so that the daemon does not even take its rows: settings or a provider that cannot be used, a limit of none.
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
    history: Sequence[PastCall] = ()
    own_history: Sequence[PastCall] | None = None
    """Of these, what may be told to whoever asks why; None: all. It decides nothing."""
    funds: Funds | None = None
    obstacle: str | None = None

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
        """Numbers that are neither invalid nor barred, in places that may be called."""
        return tuple(
            phone for phone in self.phones
            if phone.status is PhoneStatus.ACTIVE and phone.number not in self.barred
            and phone.number not in self.unreachable
        )

    @cached_property
    def unreachable(self) -> Mapping[str, str]:
        """Numbers that must not be dialed for where they lead, with the reason."""
        allowed = self.policy.allowed_countries.value
        found = {}
        for phone in self.phones:
            try:
                traits = phone.traits or (learn(phone.number) if is_e164(phone.number) else None)
                why = why_not(traits, allowed) if traits is not None else None
            except InvalidValue as error:
                why = str(error)
            if why is not None:
                found[phone.number] = why
        return found

    @cached_property
    def where(self) -> LeadZones:
        return zones_of(self.known_lead, self.phone.number if self.phone else None, self.policy)

    @cached_property
    def rules(self) -> tuple[HoursRule, ...]:
        return self.policy.hours(self.where)

    @cached_property
    def span(self) -> OpenSpan | None:
        """The open span that now lies in."""
        return open_span(self.rules, self.now)

    @cached_property
    def target(self) -> Target:
        """What caps may count the call by."""
        return target_of(self.known_lead, self.phone.number if self.phone else None, self.policy)

    def release(self, *, open_counts: bool = False) -> tuple[datetime, str]:
        """When caps and cool-downs let the call through, and what holds it back until then."""
        return next_release(
            self.policy.caps, self.policy.cooldowns, self.history, self.target, self.where.zones, self.now,
            open_counts=open_counts,
        )


def judge(case: Case) -> Verdict:
    """The first answer that is not yes, or the yes with its evidence."""
    for question in QUESTIONS:
        verdict = question.ask(case)
        if verdict is not None:
            return verdict
    assert case.phone is not None and case.span is not None, "asked before"
    return Yes(case.phone, case.span)


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


def _has_variables(case: Case) -> Verdict | None:
    required = case.policy.settings.required_variables
    if not required:
        return None
    lead = case.known_lead
    missing = missing_variables(
        required, lead.variables or {}, first_name=lead.first_name, last_name=lead.last_name, email=lead.email
    )
    if missing:
        names = ", ".join(missing)
        return Held(Hold.ERROR, case.now + RECHECK_HELD, f"the campaign's agent needs {names}, and the lead has none")
    return None


def _may_be_dialed_by_rules(case: Case) -> Verdict | None:
    if case.obstacle is not None:
        return Later(case.now + RECHECK_CAMPAIGN, case.obstacle)
    return None


def _not_paused(case: Case) -> Verdict | None:
    if case.policy.is_paused:
        return Later(case.now + RECHECK_CAMPAIGN, "everything is paused (scheduler_config.paused)")
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
    if case.campaign.status is CampaignStatus.CANCELLED:
        return Closed("campaign_cancelled", f"campaign {case.campaign.code} is cancelled")
    return Dropped(f"campaign {case.campaign.code} is {case.campaign.status}")


def _has_number(case: Case) -> Verdict | None:
    if case.phone is None:
        if case.usable:
            return RoundOver("the numbers left for this round cannot be dialed any more")
        if any(phone.number in case.barred or phone.number in case.unreachable for phone in case.phones):
            return None  # the next questions say so
        return Closed("invalid_number", "no number of this lead can be dialed")
    if not is_e164(case.phone.number):
        return Held(
            Hold.ERROR, case.now + RECHECK_HELD,
            f"its number {case.phone.number!r} cannot be dialed as written; telefono must be like +56912345678",
        )
    return None


def _destination_allowed(case: Case) -> Verdict | None:
    if case.phone is None and case.unreachable:
        why = next(iter(case.unreachable.values()))
        return Held(Hold.ERROR, case.now + RECHECK_HELD, f"its number must not be dialed: {why}")
    return None


def _not_barred(case: Case) -> Verdict | None:
    if case.phone is None:
        doubts = [why for one in case.phones if isinstance(why := case.barred.get(one.number), Doubt)]
        if doubts:
            return Held(Hold.ERROR, case.now + RECHECK_HELD, doubts[0])
        return Closed("do_not_call", "every number of this lead is on the do-not-call list")
    return None


def _attempts_left(case: Case) -> Verdict | None:
    most = most_attempts(case.known_lead, case.policy)
    allowed = most_with_promises(most.value) if case.call.promise else most.value
    if case.call.attempt_number > allowed:
        return Closed(
            "max_attempts", f"attempt {case.call.attempt_number} of {most.value} allowed ({most.source})"
        )
    return None


def _before_deadline(case: Case) -> Verdict | None:
    until = case.policy.last_date(case.known_lead.call_until)
    if until is None:
        return None
    try:
        today = latest_date(case.where.zones, case.now)
    except InvalidValue as error:
        return Held(Hold.ERROR, case.now + RECHECK_HELD, str(error))
    if today > until.value:
        return Closed("deadline", f"the last date to call was {until.value} ({until.source}) and it is {today}")
    return None


def _line_free(case: Case) -> Verdict | None:
    if case.is_engaged:
        return Later(case.now + RECHECK_LINE, "an earlier call to this lead is still in progress")
    if case.phone is not None and case.phone.number in case.engaged:
        return Later(case.now + RECHECK_LINE, "another call to this number is in progress")
    return None


def _under_caps(case: Case) -> Verdict | None:
    if not case.policy.is_capped:
        return None
    try:
        released_at, why = case.release()
        if why:
            opens_at = next_allowed(case.rules, released_at)
            if opens_at is None:
                return Held(Hold.NEVER, case.now + RECHECK_HELD, explain_closed(case.rules, released_at))
            if opens_at > released_at:
                why += f"; opens {_local(opens_at, case.where)}"
            return Later(opens_at, f"{CAPS_REASON}{why}")
        if any(call.outcome is None for call in case.history):
            _, why = case.release(open_counts=True)
            if why:  # what becomes of that call decides; to plan beyond the whole period would be too much
                reason = f"{CAPS_REASON}a call in progress may use up the last room: {why}"
                return Later(case.now + RECHECK_LINE, reason)
    except InvalidValue as error:
        return Held(Hold.ERROR, case.now + RECHECK_HELD, str(error))
    return None


def _inside_hours(case: Case) -> Verdict | None:
    try:
        span = case.span
        if span is not None and case.now + case.dial_budget <= span.open_until:
            return None
        # Open, but it would close before the dial could begin: as good as shut.
        opens_at = next_allowed(case.rules, span.open_until if span else case.now)
        if opens_at is None:
            return Held(Hold.NEVER, case.now + RECHECK_HELD, explain_closed(case.rules, case.now))
        if span is not None:
            return Later(opens_at, f"too close to closing; opens {_local(opens_at, case.where)}")
        return Later(opens_at, explain_closed(case.rules, case.now))
    except InvalidValue as error:  # a zone that this machine's database does not have, an odd region
        return Held(Hold.ERROR, case.now + RECHECK_HELD, str(error))


def _balance_left(case: Case) -> Verdict | None:
    if case.funds is not None and (problem := case.funds.problem) is not None:
        return Later(case.now + RECHECK_BALANCE, problem)
    return None


@dataclass(frozen=True, slots=True)
class Question:
    """One question of the gate. `ask` answers None for a yes."""

    text: str
    ask: Callable[[Case], Verdict | None]


QUESTIONS: Sequence[Question] = (
    Question("lead exists?", _lead_exists),
    Question("lead open?", _lead_open),
    Question("not managed by hand?", _not_manual),
    Question("readable?", _is_readable),
    Question("not paused?", _not_paused),
    Question("campaign active?", _campaign_active),
    Question("rules, provider and limits usable?", _may_be_dialed_by_rules),
    Question("variables there?", _has_variables),
    Question("a number left?", _has_number),
    Question("destination allowed?", _destination_allowed),
    Question("not on the do-not-call list?", _not_barred),
    Question("attempts left?", _attempts_left),
    Question("before the deadline?", _before_deadline),
    Question("line free?", _line_free),
    Question("room in caps and cool-downs?", _under_caps),
    Question("inside calling hours?", _inside_hours),
    Question("balance left?", _balance_left),
)


def target_of(lead: Lead, number: str | None, policy: Policy) -> Target:
    """What a call to this lead counts by. Debt and subject are variables of the lead (deuda, asunto)."""
    return Target(
        lead=lead.id, phone=number, debt=variable_of(lead, "debt", "deuda"), campaign=policy.campaign_id or 0,
        subject=variable_of(lead, "subject", "asunto"), line=line_of(lead, number),
        group=group_key(policy.group, policy.campaign_id),
    )


def missing_variables(
    required: Sequence[str], variables: Mapping[str, Any], *, first_name: str | None, last_name: str | None,
    email: str | None,
) -> list[str]:
    """Of these names, those for which a lead has neither a variable nor a field of its own."""
    there = {name.casefold() for name, value in variables.items() if value not in (None, "")}
    there |= {"telefono", "phone"}
    for names, value in ((("nombre", "first_name"), first_name), (("apellidos", "last_name"), last_name),
                         (("email",), email)):
        there.update(names if value else ())
    return [name for name in required if name.casefold() not in there]


def variable_of(lead: Lead, *names: str) -> str | None:
    """The first of these variables that the lead has, as text of at most 64 characters."""
    for name in names:
        found = (lead.variables or {}).get(name)
        if found not in (None, ""):
            return str(found)[:64]
    return None


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


def number_at(lead: Lead, position: int) -> str | None:
    """The number of a lead at a position; its first where there is none at that."""
    return next((phone.number for phone in phones_of(lead) if phone.position == position), lead.phone)


def traits_at(lead: Lead, number: str | None) -> NumberTraits | None:
    """What is known of this number of a lead; None for none, or one that cannot be dialed as it is written.

    Raises InvalidValue for a country code that does not exist.
    """
    for phone in lead.phones:
        if phone.number == number and phone.traits is not None:
            return phone.traits
    return learn(number) if number is not None and is_e164(number) else None


def line_of(lead: Lead, number: str | None) -> str | None:
    """The kind of line that this number of a lead is; None where it says nothing."""
    try:
        traits = traits_at(lead, number)
    except InvalidValue:
        return "unknown"
    return traits.line if traits is not None else None


def zones_of(lead: Lead, number: str | None, policy: Policy) -> LeadZones:
    """Where this lead may be when rung at this number."""
    return lead_zones(
        time_zone=lead.time_zone,
        region=lead.region,
        traits=traits_at(lead, number),
        campaign_zones=policy.zones,
        default_zone=policy.default_zone,
    )


def latest_date(zones: Sequence[str], at: datetime) -> date:
    """The date that is furthest on among these zones: a deadline has passed as soon as it has in one."""
    return max(at.astimezone(zone_info(zone)).date() for zone in zones)


def most_attempts(lead: Lead, policy: Policy) -> Setting[int]:
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
