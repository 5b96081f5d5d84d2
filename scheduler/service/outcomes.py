"""What happened on a call, applied once: from a provider's answer, a poll, a webhook, the CLI.

One transaction holds all of it: the attempt ended, its row completed, the lead's counters, and the next
row or the closed lead. Batches are written as sets, a handful of statements for hundreds of calls. What
must stay true: an end is applied only from an open state, so a report that comes twice changes nothing;
a call whose row was cancelled meanwhile is recorded but plans nothing; a truth that comes after we had
given an attempt up is recorded and alarmed, and never makes a second open row.
"""

from __future__ import annotations

import contextlib
import json
import random
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from scheduler.errors import Conflict, InvalidValue, NotFound
from scheduler.events import Reporter
from scheduler.model import (
    CALL_STATUS_AFTER,
    OPEN_STATES,
    Account,
    AttemptState,
    Happening,
    Hold,
    Lead,
    LeadStatus,
    Outcome,
    PhoneStatus,
    ScheduleStatus,
)
from scheduler.providers.base import CallReport, Phase, RefusalKind, Refused
from scheduler.rules.billing import charge
from scheduler.rules.caps import PastCall, next_release
from scheduler.rules.eligibility import (
    CAPS_REASON,
    RECHECK_HELD,
    latest_date,
    number_at,
    phones_of,
    target_of,
    zones_of,
)
from scheduler.rules.hours import next_allowed, zone_info
from scheduler.rules.policy import Policy
from scheduler.rules.retry import Ended, Finish, NextStep, Reschedule, after_refusal, better_informed, decide_next
from scheduler.service.breakers import Answered
from scheduler.service.history import History
from scheduler.service.rulebook import RuleBook
from scheduler.service.runtime import Runtime, shared_runtime
from scheduler.store import accounts, calls, journal, leads, second_calls
from scheduler.store.calls import Ending, Move
from scheduler.store.database import Connection
from scheduler.store.second_calls import SecondCall

ACTOR = "daemon"
BY_HAND = "by_hand"
FIRST_REST_LOOK = timedelta(seconds=15)
"""When a call of which more will be said is asked about once more."""
WAIT_AFTER: Mapping[RefusalKind, timedelta] = {
    RefusalKind.NEVER_SENT: timedelta(seconds=10),
    RefusalKind.REFUSED: timedelta(seconds=60),
    RefusalKind.THROTTLED: timedelta(seconds=10),
    RefusalKind.HOLD: timedelta(seconds=60),
    RefusalKind.OUTAGE: timedelta(seconds=60),
    RefusalKind.INVALID_NUMBER: timedelta(seconds=60),
    RefusalKind.DO_NOT_CALL: timedelta(seconds=60),
}
"""How long a row waits whose call was not made, where the provider does not say."""
OF_THE_PROVIDER = frozenset({RefusalKind.HOLD, RefusalKind.OUTAGE})
"""Trouble that is no row's own: it never holds a lead, however often it meets it."""
SHORTEST_WAIT, LONGEST_WAIT = timedelta(seconds=1), timedelta(hours=1)


def wait_after(answer: Refused) -> timedelta:
    """How long a row waits whose call was not made. A vendor may ask for years: it is asked again within the hour."""
    if answer.retry_after is None:
        return WAIT_AFTER[answer.kind]
    return max(SHORTEST_WAIT, min(answer.retry_after, LONGEST_WAIT))


@dataclass(frozen=True, slots=True)
class End:
    """An attempt that is over, and what is known of it."""

    attempt_id: int
    report: CallReport
    placed_at: datetime | None = None
    error: str | None = None
    was_found: bool = False
    """Nobody had known the id of this call before."""


@dataclass(slots=True)
class Applied:
    """What one application did, to be told after its commit: (reporter method, arguments)."""

    changed: int = 0
    notes: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    refusals: list[Answered] = field(default_factory=list)
    """What providers refused after they had accepted it: news for their breakers."""
    reached: set[str] = field(default_factory=set)
    """Providers of which a call came to somebody's phone."""

    def note(self, what: str, **details: Any) -> None:
        self.notes.append((what, details))

    def tell(self, reporter: Reporter, at: datetime) -> None:
        for what, details in self.notes:
            getattr(reporter, what)(at, **details)


def apply_ends(
    connection: Connection, ends: Sequence[End], *, now: datetime, rulebook: RuleBook, actor: str = ACTOR
) -> Applied:
    """Apply finished attempts, as a step of the caller's transaction.

    Those that ended before are left alone, save for what was not known then: an analysis, a price.
    """
    applied = Applied()
    by_id = {}
    for end in ends:
        report = clean(end.report)
        by_id[end.attempt_id] = end if report is end.report else replace(end, report=report)
    endings = calls.lock_endings(connection, by_id)
    late = _record_late_truths(connection, [one for one in endings if one.was_given_up], by_id, now, actor, applied)
    over = [one for one in endings if one.state is AttemptState.ENDED and not one.was_given_up]
    amended = amend_ends(connection, over, by_id, now=now, rulebook=rulebook, actor=actor, applied=applied)
    in_hand = [one for one in endings if one.state in OPEN_STATES]
    refused = [one for one in in_hand if by_id[one.id].report.refusal is not None]
    released = _refuse_ends(connection, refused, by_id, now, applied)
    open_ones = [one for one in in_hand if by_id[one.id].report.refusal is None]
    if not open_ones:
        _charge_late(connection, [*late, *amended], by_id, now, actor)
        release_reserves(connection, released, actor, now)
        return applied
    people = leads.read_leads(connection, {one.lead_id for one in open_ones}, lock=True, deciding=True)
    rules = rulebook.read_for(connection, {person.campaign_id for person in people.values()})

    # One number needs no look: the gate asks about it before the next dial. Several may pass the call on.
    several = {phone.number for lead in people.values() if len(lead.phones) > 1 for phone in phones_of(lead)}
    history = History.read(connection, now, people.values(), rules.policies)
    for ending in open_ones:
        report = by_id[ending.id].report
        history.end(ending.id, (report.outcome or Outcome.FAILED).value, report.ended_at or now)
    payers = accounts.read_accounts(connection, {one.account_id for one in open_ones if one.account_id is not None})
    ended_by_us = _ended_by_us(connection, open_ones, by_id)
    work = _Batch(
        connection, now, actor, applied, leads.read_barred(connection, several, now), history, payers, ended_by_us
    )
    for ending in open_ones:
        lead = people.get(ending.lead_id)
        policy = rules.policy(lead.campaign_id if lead else None)
        work.add(ending, by_id[ending.id], lead, policy)
    rulebook.record(connection, rules, {lead.campaign_id for lead in people.values()}, now)
    work.write()
    awaited = [one.id for one in open_ones if not by_id[one.id].report.is_final]
    calls.await_rest(connection, awaited, now + FIRST_REST_LOOK)
    _charge_late(connection, [*late, *amended], by_id, now, actor)
    release_reserves(connection, released, actor, now)
    return applied


def _ended_by_us(connection: Connection, endings: Iterable[Ending], by_id: Mapping[int, End]) -> set[int]:
    """Which of the calls that were cancelled we hung up ourselves."""
    return journal.list_ended_by_us(connection, {
        one.id: one.lead_id for one in endings if by_id[one.id].report.outcome is Outcome.CANCELLED
    })


def _refuse_ends(
    connection: Connection, refused: Sequence[Ending], by_id: Mapping[int, End], now: datetime, applied: Applied
) -> list[int]:
    """Calls that the provider accepted and then never made: their rows wait again, their attempts are not spent.

    Returns the attempts whose reserve must be given back.
    """
    if not refused:
        return []
    answers = {one.id: by_id[one.id].report.refusal for one in refused}
    earlier = calls.count_refusals(connection, [one.schedule_id for one in refused if one.schedule_id is not None])
    calls.mark_refused(connection, {one: answer.reason for one, answer in answers.items() if answer is not None})
    calls.note_refused(connection, [
        {
            "id": one.id, "provider_call_id": (report := by_id[one.id].report).call_id or None,
            "provider_status": calls.cut(report.provider_status, 128), "details": dict(report.details) or None,
        }
        for one in refused
    ])
    moves = []
    for one in refused:
        answer = answers[one.id]
        assert answer is not None, "asked before"
        applied.changed += 1
        applied.refusals.append(Answered(one.provider, answer))
        applied.note("refused", who=f"lead {one.lead_id}", reason=answer.reason)
        applied.note("not_made", provider=one.provider, outcome="refused")
        if one.schedule_id is not None and one.row_status is ScheduleStatus.IN_PROGRESS:
            back = after_refusal(
                answer.reason, wait_after(answer), now,
                refusals=earlier.get(one.schedule_id, 0), jitter=random.random(),
                counts=answer.kind is RefusalKind.REFUSED, grows=answer.kind in OF_THE_PROVIDER,
            )
            moves.append(Move(one.schedule_id, back.at, back.reason, hold=back.hold))
    calls.give_back(connection, moves, now)
    calls.clear_leases(connection, [
        one.schedule_id for one in refused
        if one.schedule_id is not None and one.row_status is ScheduleStatus.CANCELLED and one.lease_token
    ], now)
    return [one.id for one in refused]


class _Batch:
    """Ends of one transaction, decided one by one and written as sets."""

    def __init__(
        self, connection: Connection, now: datetime, actor: str, applied: Applied, not_callable: Collection[str],
        history: History, payers: Mapping[int, Account], ended_by_us: Collection[int] = (),
    ) -> None:
        self.connection, self.now, self.actor, self.applied = connection, now, actor, applied
        self.not_callable, self.history, self.payers = not_callable, history, payers
        self.ended_by_us = ended_by_us
        self.settlements: list[accounts.Settlement] = []
        self.ended: list[Mapping[str, Any]] = []
        self.completed: dict[int, Outcome] = {}
        self.statuses: dict[int, Any] = {}
        self.closed: dict[int, str] = {}
        self.appointments: dict[int, datetime] = {}
        self.planned: list[dict[str, Any]] = []
        self.barred: dict[str, int] = {}
        self.invalid: list[tuple[Lead, int, str]] = []
        self.strays: set[int] = set()
        self.leased: list[int] = []
        self.happenings: list[Happening] = []

    def add(self, attempt: Ending, end: End, lead: Lead | None, policy: Policy) -> None:
        report = in_zone_of(end.report, lead, policy)
        if report.outcome is Outcome.VOICEMAIL and report.appointment_at is not None:
            report = replace(report, appointment_at=None)  # a machine books nothing, whatever the agent wrote down
        end = end if report is end.report else replace(end, report=report)
        outcome = report.outcome or Outcome.FAILED
        if outcome in REACHED:
            self.applied.reached.add(attempt.provider)
        if outcome is Outcome.HANG_UP and report.appointment_at is not None:
            outcome = Outcome.COMPLETED  # whoever books an appointment was reached, however short the call
        self.ended.append(end_columns(end, outcome, self.now))
        in_work = attempt.row_status is ScheduleStatus.IN_PROGRESS
        if attempt.schedule_id is not None and in_work:
            self.completed[attempt.schedule_id] = outcome
        elif attempt.schedule_id is not None and attempt.lease_token is not None:
            self.leased.append(attempt.schedule_id)
        if outcome is Outcome.DO_NOT_CALL:
            self.barred[attempt.phone] = attempt.lead_id
        if not report.known_word:
            self.applied.note("unknown_word", provider=attempt.provider, word=report.provider_status)
        payer = self.payers.get(attempt.account_id or 0)
        if payer is not None and attempt.reserved is not None:
            cost = charge(payer, report.talk_seconds, report.cost)
            self.settlements.append(accounts.Settlement(payer.id, attempt.id, attempt.reserved, cost, outcome.value))
            if report.answered_at is not None and report.talk_seconds is None and report.cost is None:
                self._say_uncosted(attempt, payer)
        if lead is None:
            return
        self.statuses[lead.id] = CALL_STATUS_AFTER[outcome]
        position = attempt.phone_position or _position_of(lead, attempt.phone)
        if outcome is Outcome.INVALID_NUMBER:
            self.invalid.append((lead, position, attempt.phone))
            lead = without_phone(lead, position, attempt.phone)
        step = next_step(
            Ended(
                outcome=outcome, attempt_number=attempt.attempt_number, phone_position=position,
                has_appointment=report.appointment_at is not None, callback_at=report.callback_at,
                callback_zone=report.callback_zone, by_us=attempt.id in self.ended_by_us,
            ),
            lead, policy, self.now, self.not_callable, self.history.of(lead, policy),
        )
        if report.appointment_at is not None:
            self.appointments[lead.id] = report.appointment_at
        if lead.status is LeadStatus.CLOSED:
            follows = f"the lead was closed already ({lead.closed_reason or 'by hand'})"
        elif isinstance(step, Finish) and (in_work or step.closed_reason != "max_attempts"):
            self.closed[lead.id] = step.closed_reason
            follows = f"closed: {step.reason}"
            if not in_work:
                self.strays.add(lead.id)
        elif isinstance(step, Finish) or not in_work:
            follows = "its plan was cancelled meanwhile, so nothing follows"
        else:
            self.planned.append(planned_row(lead, step, self.now))
            follows = f"{step.reason} ({step.at:%Y-%m-%d %H:%M:%S} UTC)"
        goes_on = isinstance(step, Reschedule) and in_work and lead.status is not LeadStatus.CLOSED
        kind = "closed" if lead.id in self.closed else "planned" if goes_on else "ended"
        self.happenings.append(Happening(
            kind=kind, actor=self.actor, lead_id=lead.id, campaign_id=lead.campaign_id, attempt_id=attempt.id,
            schedule_id=attempt.schedule_id, reason=f"{outcome}; {follows}", rule_version=policy.version,
        ))
        self.applied.note(
            "ended", who=spoken(lead), number=attempt.phone, provider=attempt.provider, outcome=outcome.value,
            follows=follows,
        )

    def _say_uncosted(self, attempt: Ending, payer: Account) -> None:
        """Somebody answered, and neither a length nor a price was told: nothing is charged, and that is said."""
        reason = f"answered, but nobody told how long it was: account {payer.code} is charged nothing"
        self.happenings.append(Happening(
            kind="uncosted", actor=self.actor, lead_id=attempt.lead_id, attempt_id=attempt.id, reason=reason,
        ))
        self.applied.note("uncosted", attempt_id=attempt.id, account=payer.code)

    def write(self) -> None:
        connection, now = self.connection, self.now
        changed = calls.mark_ended(connection, self.ended)
        must_be(changed, len(self.ended), "attempts that were locked while open")
        must_be(calls.complete_rows(connection, self.completed, now), len(self.completed), "rows locked in work")
        calls.clear_leases(connection, self.leased, now)  # rows that were cancelled by hand while dialing
        leads.record_calls(connection, self.statuses, now)
        leads.close_leads(connection, self.closed, now)
        leads.set_appointment(connection, self.appointments)
        for number, lead_id in self.barred.items():
            leads.bar_number(connection, number, reason="asked not to be called", source=f"call to lead {lead_id}",
                             now=now)
        for lead, position, number in self.invalid:
            leads.mark_invalid(connection, lead, position, number)
        if self.strays:
            # Their own row was cancelled, but somebody may have planned another one since.
            others = calls.list_open_calls(connection, self.strays, lock=True)
            calls.cancel_rows(
                connection,
                {one.id: "the lead was closed by an earlier call" for one in others
                 if one.status is ScheduleStatus.PENDING},
                now,
            )
        calls.insert_scheduled(connection, self.planned)
        journal.add_events(connection, self.happenings, now)
        # The last locks of the transaction, so that it never waits for anything while it holds them.
        accounts.settle(connection, self.settlements, self.actor, now)
        self.applied.changed += changed


def in_zone_of(report: CallReport, lead: Lead | None, policy: Policy) -> CallReport:
    """The report with an appointment that was written as a local time as an instant, in the lead's zone."""
    at = report.appointment_at
    if at is None or at.tzinfo is not None:
        return report
    zones: Sequence[str] = ()
    if lead is not None:
        with contextlib.suppress(InvalidValue):
            zones = zones_of(lead, None, policy).zones
    here = at.replace(tzinfo=zone_info(zones[0] if zones else "UTC", "time_zone"))
    return replace(report, appointment_at=_storable(here.astimezone(UTC)))


def amend_ends(
    connection: Connection, over: Sequence[Ending], by_id: Mapping[int, End], *, now: datetime, rulebook: RuleBook,
    actor: str, applied: Applied,
) -> list[Ending]:
    """Add what was learnt of calls after they had been recorded as over, and decide again where that matters.

    Facts fill what is empty. An outcome gives way only to a better informed one (an answered call turns out
    to have been a voicemail, a person to have asked for a callback or not to be called), and then what had
    followed is undone if nothing happened since. Returns those that cost something after all.
    """
    told = [one for one in over if by_id[one.id].report.phase is Phase.ENDED]
    if not told:
        return []
    people = leads.read_leads(connection, {one.lead_id for one in told}, lock=True)
    rules = rulebook.read_for(connection, {person.campaign_id for person in people.values()})
    costing = []
    for ending in told:
        lead = people.get(ending.lead_id)
        policy = rules.policy(lead.campaign_id if lead else None)
        report = in_zone_of(by_id[ending.id].report, lead, policy)
        values = _news_of(ending, report)
        if not values:
            continue
        calls.amend_ended(connection, ending.id, {**values, "details": dict(report.details) or None})
        applied.changed += 1
        if "cost" in values or "talk_seconds" in values:
            costing.append(ending)
        if lead is not None and ("outcome" in values or "appointment_at" in values):
            outcome = Outcome(values.get("outcome") or ending.outcome or Outcome.FAILED)
            follows = _decide_again(connection, ending, outcome, report, lead, policy, now, actor)
            journal.add_events(connection, [Happening(
                kind="amended", actor=actor, lead_id=lead.id, campaign_id=lead.campaign_id, attempt_id=ending.id,
                schedule_id=ending.schedule_id, reason=f"{ending.outcome} was {outcome}; {follows}",
                rule_version=policy.version,
            )], now)
            applied.note("settled", attempt_id=ending.id, how=f"now known to be {outcome}; {follows}")
    rulebook.record(connection, rules, {lead.campaign_id for lead in people.values()}, now)
    return costing


def _news_of(ending: Ending, report: CallReport) -> dict[str, Any]:
    """What a report knows that the attempt does not."""
    found: dict[str, Any] = {}
    better = better_informed(ending.outcome, report.outcome)
    if better is None and ending.outcome is Outcome.HANG_UP and report.appointment_at is not None:
        better = Outcome.COMPLETED  # whoever books an appointment was reached, however short the call
    if better is not None:
        found |= {
            "outcome": better.value, "provider_status": calls.cut(report.provider_status, 128),
            "answered_at": report.answered_at,
        }
    if ending.cost is None and report.cost is not None:
        found |= {"cost": report.cost, "cost_unit": report.cost_unit}
    if report.talk_seconds is not None and report.talk_seconds > (
        -1 if ending.talk_seconds is None else ending.talk_seconds
    ):
        found["talk_seconds"] = report.talk_seconds  # the longest, whatever the order of the reports
    if ending.appointment_at is None and report.appointment_at is not None:
        found["appointment_at"] = report.appointment_at
    if ending.summary is None and report.summary is not None:
        found["summary"] = report.summary
    return found


def _decide_again(
    connection: Connection, ending: Ending, outcome: Outcome, report: CallReport, lead: Lead, policy: Policy,
    now: datetime, actor: str,
) -> str:
    """What follows from the better informed outcome. Returns it as a sentence."""
    if ending.schedule_id is not None:
        calls.set_last_outcome(connection, ending.schedule_id, outcome, now)
    if report.appointment_at is not None:
        leads.set_appointment(connection, {lead.id: report.appointment_at})
    position = ending.phone_position or _position_of(lead, ending.phone)
    if ending.outcome is Outcome.INVALID_NUMBER and outcome is not Outcome.INVALID_NUMBER:
        leads.mark_active(connection, lead.id, position)
        lead = with_phone(lead, position)
    lead = mark_number(connection, lead, position, outcome, source=f"call to lead {lead.id}", now=now)
    is_newest = calls.find_newest_attempt_id(connection, lead.id) == ending.id
    if is_newest:
        leads.set_call_status(connection, [lead.id], CALL_STATUS_AFTER[outcome], now)
    planned = calls.list_open_calls(connection, [lead.id], lock=True)
    is_called = any(one.status is ScheduleStatus.IN_PROGRESS for one in planned)
    is_ours = lead.status is LeadStatus.CLOSED and lead.closed_reason in CLOSED_BY_OUTCOME
    if lead.status is LeadStatus.CLOSED and not is_ours:
        return f"the lead was closed already ({lead.closed_reason or 'by hand'})"
    if outcome not in SETTLING and not is_newest:
        return "the lead was called again since, so nothing else follows"
    if outcome not in SETTLING and is_called:
        return "the lead is being called again at this moment, so nothing else follows"
    if is_called:
        # Nothing follows that call either: whoever was reached is not rung again for what is over.
        leads.close_leads(connection, {lead.id: outcome.value}, now)
        return f"closed ({outcome}); the call that is under way goes on to its end, and nothing follows it"
    if lead.status is LeadStatus.OPEN and not planned and ending.row_status is not ScheduleStatus.COMPLETED:
        return "its plan was cancelled meanwhile, so nothing follows"
    calls.cancel_rows(connection, {one.id: f"its last call turned out to be {outcome}" for one in planned}, now)
    if is_ours:
        leads.reopen_closed(connection, lead.id, now)
        lead = replace(lead, status=LeadStatus.OPEN, closed_reason=None, closed_at=None)
    step = next_step(
        Ended(
            outcome=outcome, attempt_number=ending.attempt_number, phone_position=position,
            has_appointment=report.appointment_at is not None, callback_at=report.callback_at,
            callback_zone=report.callback_zone,
            by_us=bool(journal.list_ended_by_us(connection, {ending.id: lead.id})),
        ),
        lead, policy, now, read_barred_of(connection, lead, now),
        History.read(connection, now, [lead], {lead.campaign_id: policy}).of(lead, policy),
    )
    return carry_out(connection, lead, step, now, policy, actor)


def release_reserves(connection: Connection, attempt_ids: Collection[int], actor: str, now: datetime) -> None:
    """Give back what was set aside for attempts that turned out to be no calls. Takes the last locks."""
    accounts.settle(connection, [
        accounts.Settlement(account_id, attempt_id, reserved, Decimal(0), "no call was made")
        for attempt_id, account_id, reserved in calls.list_reserves(connection, attempt_ids)
    ], actor, now)


def next_step(
    ended: Ended, lead: Lead, policy: Policy, now: datetime, barred: Collection[str] = (),
    history: Sequence[PastCall] = (),
) -> NextStep:
    """What follows for this lead; a lead whose rules cannot be read is held with the reason, never lost.

    Planned under the caps, as far as `history` tells; the gate asks again before the dial.
    """
    try:
        step = decide_next(
            ended, phones_of(lead), policy, lambda number: policy.hours(zones_of(lead, number, policy)), now,
            barred=barred,
        )
        if isinstance(step, Reschedule) and step.hold is None and history:
            step = under_caps(step, lead, policy, history)
        until = policy.last_date(lead.call_until)
        if isinstance(step, Reschedule) and until is not None:
            zones = zones_of(lead, None, policy).zones
            if latest_date(zones, step.at) > until.value:
                return Finish("deadline", f"the last date to call is {until.value} ({until.source})")
        return step
    except InvalidValue as error:
        return Reschedule(
            at=now + RECHECK_HELD, wanted_at=now, reason=f"held: {error}", attempt_number=ended.attempt_number + 1,
            phone_position=1, hold=Hold.ERROR,
        )


def under_caps(step: Reschedule, lead: Lead, policy: Policy, history: Sequence[PastCall]) -> Reschedule:
    """The step at the first instant at which caps, cool-downs and hours all agree."""
    number = number_at(lead, step.phone_position)
    where = zones_of(lead, number, policy)
    released_at, why = next_release(
        policy.caps, policy.cooldowns, history, target_of(lead, number, policy), where.zones, step.at
    )
    if not why:
        return step
    opens_at = next_allowed(policy.hours(where), released_at)
    return replace(
        step, at=opens_at or released_at, wanted_at=step.wanted_at or step.at,
        reason=f"{CAPS_REASON}{why}; {step.reason}", hold=Hold.NEVER if opens_at is None else None,
    )


def planned_row(lead: Lead, step: Reschedule, now: datetime) -> dict[str, Any]:
    """The columns of the row that carries out `step`."""
    held = step.hold is not None
    return {
        "lead_id": lead.id,
        "campaign_id": lead.campaign_id,
        "scheduled_at": max(step.at, now + RECHECK_HELD) if held else step.at,
        "wanted_at": step.wanted_at or (step.at if held else None),
        "attempt_number": step.attempt_number,
        "phone_position": step.phone_position,
        "status": ScheduleStatus.PENDING.value,
        "reason": step.reason,
        "promise": step.promise,
        "hold": step.hold.value if step.hold else None,
        "created_at": now,
        "updated_at": now,
    }


def end_columns(end: End, outcome: Outcome, now: datetime) -> dict[str, Any]:
    """A report as columns of `call_attempts` (see store.calls.END_COLUMNS)."""
    report = end.report
    details = dict(report.details)
    if not report.known_word:
        details["known_word"] = False
    return {
        "id": end.attempt_id,
        "outcome": outcome.value,
        "provider_call_id": report.call_id or None,
        "provider_status": calls.cut(report.provider_status, 128),
        "placed_at": end.placed_at,
        "answered_at": report.answered_at,
        "ended_at": report.ended_at or now,
        "talk_seconds": report.talk_seconds,
        "cost": report.cost,
        "cost_unit": report.cost_unit,
        "summary": report.summary,
        "appointment_at": report.appointment_at,
        "details": details or None,
        "error": calls.cut(end.error),
    }


SETTLING = frozenset({Outcome.COMPLETED, Outcome.DO_NOT_CALL})
"""Outcomes after which nobody is called again, whatever else was planned or happened meanwhile."""
REACHED = frozenset(Outcome) - {Outcome.FAILED, Outcome.INVALID_NUMBER, Outcome.CANCELLED}
"""Outcomes that the network was needed for."""
CLOSED_BY_OUTCOME = ("completed", "appointment", "max_attempts", "cancelled", "invalid_number")
"""Why a lead is closed by what its last call was, as far as a better informed outcome may change that."""
EARLIEST, LATEST = datetime(1971, 1, 1, tzinfo=UTC), datetime(2037, 12, 31, tzinfo=UTC)
"""What a TIMESTAMP column holds."""


def clean(report: CallReport) -> CallReport:
    """The report without what no column can hold: an agent invents dates, a vendor changes its units.

    One such fact must not keep the end of the call, and of the others in its batch, from being written.
    """
    doubtful = (
        report.answered_at, report.ended_at, report.appointment_at, report.callback_at, report.talk_seconds,
        report.cost, report.cost_unit, report.summary, report.details or None,
    )
    if all(fact is None for fact in doubtful) and len(report.call_id) <= CALL_ID_LENGTH:
        return report  # nothing in it that could be wrong
    cost = report.cost if report.cost is not None and report.cost.is_finite() and abs(report.cost) < 10**9 else None
    wish = report.callback_at
    return replace(
        report,
        call_id=report.call_id if len(report.call_id) <= CALL_ID_LENGTH else "",
        answered_at=_storable(report.answered_at),
        ended_at=_storable(report.ended_at),
        appointment_at=_storable(report.appointment_at, may_be_local=True),
        callback_at=wish if wish is not None and EARLIEST.year < wish.year < LATEST.year else None,
        talk_seconds=max(0, min(report.talk_seconds, 10**9)) if report.talk_seconds is not None else None,
        cost=cost,
        cost_unit=calls.cut(report.cost_unit, 16),
        summary=calls.cut(report.summary, 15_000),
        details=_plain_json(report.details),
    )


CALL_ID_LENGTH = 128


def _storable(at: datetime | None, *, may_be_local: bool = False) -> datetime | None:
    if at is None or (at.tzinfo is None and not may_be_local):
        return None
    return at if EARLIEST < (at if at.tzinfo else at.replace(tzinfo=UTC)) < LATEST else None


def _plain_json(details: Mapping[str, Any]) -> Mapping[str, Any]:
    if not details:
        return {}
    try:
        found: dict[str, Any] = json.loads(json.dumps(dict(details), default=str, allow_nan=False))
        return found
    except (TypeError, ValueError):
        return {"unreadable": repr(details)[:2000]}


def without_phone(lead: Lead, position: int, number: str) -> Lead:
    """The lead with that number marked invalid."""
    return replace(
        lead,
        phones=tuple(
            replace(phone, status=PhoneStatus.INVALID)
            if phone.position == position or phone.number == number else phone
            for phone in phones_of(lead)
        ),
    )


def with_phone(lead: Lead, position: int) -> Lead:
    """The lead with the number at that position usable again."""
    return replace(lead, phones=tuple(
        replace(phone, status=PhoneStatus.ACTIVE) if phone.position == position else phone for phone in phones_of(lead)
    ))


def spoken(lead: Lead | None) -> str:
    """A lead as logs name it."""
    if lead is None:
        return "a lead that does not exist any more"
    return f"lead {lead.id}" + (f" ({lead.first_name})" if lead.first_name else "")


def must_be(changed: int, expected: int, what: str) -> None:
    """Row counts of rows that this transaction has locked cannot differ; if they do, undo everything."""
    if changed != expected:
        raise AssertionError(f"{changed} of {expected} {what} were changed: this is a bug, nothing was written")


def _position_of(lead: Lead, number: str) -> int:
    return next((phone.position for phone in phones_of(lead) if phone.number == number), 1)


def _record_late_truths(
    connection: Connection, attempts: Iterable[Ending], by_id: Mapping[int, End], now: datetime, actor: str,
    applied: Applied,
) -> list[Ending]:
    """Attempts that we had given up and that were calls after all: recorded, counted, alarmed.

    Returns those that somebody has to pay for after all.
    """
    late_payers: list[Ending] = []
    for attempt in attempts:
        end = by_id[attempt.id]
        report = end.report
        if report.phase is not Phase.ENDED or report.outcome is None or not report.call_id:
            continue
        if not calls.record_late_truth(connection, end_columns(end, report.outcome, now)):
            continue
        applied.changed += 1
        if attempt.account_id is not None and attempt.reserved is not None:
            late_payers.append(attempt)
        lead = leads.find_lead(connection, attempt.lead_id, lock=True)
        if lead is not None and attempt.state is AttemptState.REFUSED:
            leads.record_calls(connection, {lead.id: CALL_STATUS_AFTER[report.outcome]}, now)
        if report.outcome is Outcome.DO_NOT_CALL:
            leads.bar_number(connection, attempt.phone, reason="asked not to be called", source="late report", now=now)
        if lead is not None and report.outcome in (Outcome.COMPLETED, Outcome.DO_NOT_CALL):
            leads.close_leads(connection, {lead.id: report.outcome.value}, now)
            others = calls.list_open_calls(connection, [lead.id], lock=True)
            calls.cancel_rows(
                connection,
                {one.id: f"an earlier call turned out to be {report.outcome}" for one in others
                 if one.status is ScheduleStatus.PENDING},
                now,
            )
        journal.add_events(connection, [Happening(
            kind="late_truth", actor=actor, lead_id=attempt.lead_id, attempt_id=attempt.id,
            schedule_id=attempt.schedule_id,
            reason=f"given up as {attempt.state}, but it was a call that ended {report.outcome}",
        )], now)
        applied.note("settled", attempt_id=attempt.id, how=f"late: it was a call after all, {report.outcome}")
    return late_payers


def _charge_late(
    connection: Connection, late: Sequence[Ending], by_id: Mapping[int, End], now: datetime, actor: str
) -> None:
    """Charge calls that were believed not to have been made, or whose price came late. Takes the last locks."""
    payers = accounts.read_accounts(connection, {one.account_id for one in late if one.account_id is not None})
    for one in late:
        payer, report = payers.get(one.account_id or 0), by_id[one.id].report
        if payer is None or one.reserved is None:
            continue
        was_call = not one.was_given_up
        before = charge(payer, one.talk_seconds, one.cost) if was_call else Decimal(0)
        talk = max((each for each in (report.talk_seconds, one.talk_seconds) if each is not None), default=None)
        if (more := charge(payer, talk, report.cost) - before) > 0:
            why = "its price came later" if was_call else "a call after all"
            accounts.correct(connection, payer.id, one.id, more, why, actor, now)


LAST_LOOKS = 5
"""How often a call that is over is asked about for the rest: an analysis, a price."""
LOOK_AGAIN = timedelta(seconds=30)


def end_second_call(
    connection: Connection, second: SecondCall, report: CallReport | None, now: datetime, applied: Applied
) -> None:
    """A call beside the one that was asked for is over: paid for like any other, and its person's wish is heeded.

    `report` None: the provider does not know it any more. It spends no attempt and plans nothing.
    """
    holder = calls.find_holder(connection, second.provider, second.call_id)
    is_others = holder not in (None, second.attempt_id) or (
        report is not None and report.attempt_ref not in (None, second.attempt_ref)
    )
    known = clean(report) if report is not None and not is_others else None
    is_done = known is None or known.is_final or second.lookups + 1 >= LAST_LOOKS
    payers = accounts.read_accounts(connection, {second.account_id} if second.account_id is not None else set())
    payer = payers.get(second.account_id or 0)
    taken = charge(payer, known.talk_seconds, known.cost) if payer and known else second.charged
    second_calls.end(connection, second.id, {
        "outcome": known.outcome.value if known and known.outcome else None,
        "provider_status": known.provider_status if known else "another's" if is_others else "gone",
        "talk_seconds": known.talk_seconds if known else None, "cost": known.cost if known else None,
        "cost_unit": known.cost_unit if known else None, "charged": max(taken, second.charged),
        "ended_at": (known.ended_at if known else None) or now, "lookups": second.lookups + 1,
        "next_poll_at": None if is_done else now + LOOK_AGAIN * 2**second.lookups,
    })
    if known is not None and known.outcome in SETTLING:
        if known.outcome is Outcome.DO_NOT_CALL:
            leads.bar_number(
                connection, second.phone, reason="asked not to be called", source="second call for one request", now=now
            )
        leads.close_leads(connection, {second.lead_id: known.outcome.value}, now)
        others = calls.list_open_calls(connection, [second.lead_id], lock=True)
        calls.cancel_rows(
            connection,
            {one.id: f"a second call for one request was {known.outcome}" for one in others
             if one.status is ScheduleStatus.PENDING},
            now,
        )
    if payer is not None and taken > second.charged:
        why = "a second call for one request"
        accounts.correct(connection, payer.id, second.attempt_id, taken - second.charged, why, ACTOR, now)
    if is_done:
        cost = f", cost {known.cost} {known.cost_unit or ''}".rstrip() if known and known.cost is not None else ""
        how = f"its second call was {known.outcome or 'not made'}{cost}" if known else "its second call is gone"
        how = f"what looked like its second call is of attempt {holder}" if is_others else how
        applied.note("settled", attempt_id=second.attempt_id, how=how)


# --- calls recorded by people -------------------------------------------------------------------


def read_outcome(text: str) -> Outcome:
    """Raises InvalidValue naming the outcomes there are; `cancelled` is ours to say, not a person's."""
    words = [one.value for one in Outcome if one is not Outcome.CANCELLED]
    if text not in words:
        raise InvalidValue("outcome", text, f"the outcomes are {', '.join(words)}")
    return Outcome(text)


def process_call_result(
    lead_id: int, result: str, provider_payload: Mapping[str, Any] | None = None, *,
    callback_at: datetime | None = None, callback_zone: str | None = None, runtime: Runtime | None = None,
    actor: str = "api", may_end_live: bool = True, reason: str | None = None,
) -> str:
    """Apply the result of a call to this lead: of the one that is open, or of one made by hand.

    Cancels what was planned, then decides. Returns what follows, as a sentence. Raises NotFound for a
    lead that does not exist, InvalidValue for an outcome that does not, Conflict for a call being placed.
    """
    runtime = runtime or shared_runtime()
    outcome = read_outcome(result)
    if callback_zone:
        zone_info(callback_zone, "callback_zone")
    if callback_at is not None and outcome is not Outcome.CALLBACK:
        raise InvalidValue("callback_at", callback_at.isoformat(), "a time belongs to the outcome callback alone")
    now = runtime.clock.now()
    payload = dict(provider_payload or {})

    def work(connection: Connection) -> str:
        attempt = calls.find_open_attempt(connection, lead_id)
        report = CallReport(
            call_id="", phase=Phase.ENDED, outcome=outcome, provider_status=BY_HAND, ended_at=now,
            callback_at=callback_at, callback_zone=callback_zone, details=payload,
        )
        if attempt is not None:
            if attempt.state is AttemptState.PLACING:
                raise Conflict(
                    f"lead {lead_id} is being dialed at this moment (attempt {attempt.id}); try again in a few seconds"
                )
            if not may_end_live:
                raise Conflict(
                    f"a call to lead {lead_id} is open (attempt {attempt.id}, {attempt.state}); hang it up, or say how "
                    f"it ended with `ringback calls resolve {attempt.id} OUTCOME`"
                )
            rulebook = RuleBook()
            applied = apply_ends(
                connection, [End(attempt.id, replace(report, call_id=attempt.provider_call_id or ""))], now=now,
                rulebook=rulebook, actor=actor,
            )
            return next((str(details["follows"]) for what, details in applied.notes if what == "ended"), "recorded")
        return _record_by_hand(connection, lead_id, report, now, actor, reason)

    return runtime.database.transact(work)


def _record_by_hand(
    connection: Connection, lead_id: int, report: CallReport, now: datetime, actor: str, reason: str | None
) -> str:
    outcome = report.outcome or Outcome.FAILED
    lead = leads.find_lead(connection, lead_id, lock=True)
    if lead is None:
        raise NotFound("lead", lead_id)
    row = calls.find_open_call(connection, lead_id)
    last = row or calls.find_last_call(connection, lead_id)
    # A plan that was cancelled before it was dialed spent nothing.
    number = last.attempt_number + (0 if row or last.last_outcome is None else 1) if last else 1
    position = (row.phone_position if row else None) or 1
    phone = number_at(lead, position) or ""
    attempt_id = calls.insert_ended_attempt(connection, {
        "attempt_ref": str(uuid.uuid4()), "schedule_id": row.id if row else None, "lead_id": lead.id,
        "campaign_id": lead.campaign_id, "attempt_number": number, "telefono": phone, "provider": BY_HAND,
        "state": AttemptState.ENDED.value, "outcome": outcome.value, "provider_status": BY_HAND,
        "ended_at": now, "details": dict(report.details) or None,
    })
    if row is not None:
        calls.cancel_rows(connection, {row.id: f"a call made by hand was recorded: {outcome}"}, now)
    journal.add_events(connection, [Happening(
        kind="call_recorded", actor=actor, lead_id=lead.id, campaign_id=lead.campaign_id, attempt_id=attempt_id,
        schedule_id=row.id if row else None,
        reason=calls.cut(f"made by hand: {outcome}" + (f": {reason}" if reason else "")),
    )], now)
    leads.record_calls(connection, {lead.id: CALL_STATUS_AFTER[outcome]}, now)
    lead = mark_number(connection, lead, position, outcome, source=f"recorded by {actor}", now=now)
    policy, history = read_deciding(connection, lead, now)
    step = next_step(
        Ended(outcome, number, position, callback_at=report.callback_at, callback_zone=report.callback_zone),
        lead, policy, now, read_barred_of(connection, lead, now), history,
    )
    return carry_out(connection, lead, step, now, policy, actor)


def read_deciding(connection: Connection, lead: Lead, now: datetime) -> tuple[Policy, Sequence[PastCall]]:
    """The rules in force for a lead, kept for its events, and the calls that they count."""
    rulebook = RuleBook()
    rules = rulebook.read_for(connection, {lead.campaign_id})
    rulebook.record(connection, rules, {lead.campaign_id}, now)
    policy = rules.policy(lead.campaign_id)
    return policy, History.read(connection, now, [lead], rules.policies).of(lead, policy)


def read_barred_of(connection: Connection, lead: Lead, now: datetime) -> Mapping[str, str]:
    """The lead's numbers that are on the do-not-call list."""
    return leads.read_barred(connection, {phone.number for phone in phones_of(lead)}, now)


def mark_number(
    connection: Connection, lead: Lead, position: int, outcome: Outcome, *, source: str, now: datetime
) -> Lead:
    """Write down what an outcome says of the number itself. Returns the lead without it, if it is invalid."""
    number = number_at(lead, position) or ""
    if outcome is Outcome.DO_NOT_CALL and number:
        leads.bar_number(connection, number, reason="asked not to be called", source=source, now=now)
    if outcome is Outcome.INVALID_NUMBER:
        leads.mark_invalid(connection, lead, position, number)
        return without_phone(lead, position, number)
    return lead


def carry_out(
    connection: Connection, lead: Lead, step: NextStep, now: datetime, policy: Policy | None = None,
    actor: str = ACTOR,
) -> str:
    """Plan the next call or close the lead. Returns it as a sentence. `policy` is what decided the step."""
    if lead.status is LeadStatus.CLOSED:
        return f"lead {lead.id} was closed already ({lead.closed_reason or 'by hand'}); nothing follows"
    if policy is not None:
        journal.add_events(connection, [Happening(
            kind="closed" if isinstance(step, Finish) else "planned", actor=actor, lead_id=lead.id,
            campaign_id=lead.campaign_id, reason=step.reason, rule_version=policy.version,
        )], now)
    if isinstance(step, Finish):
        leads.close_leads(connection, {lead.id: step.closed_reason}, now)
        return f"lead {lead.id} is closed ({step.closed_reason}): {step.reason}"
    calls.insert_scheduled(connection, [planned_row(lead, step, now)])
    if step.hold is not None:
        return f"lead {lead.id} is held: {step.reason}"
    return f"lead {lead.id} is called again at {step.at:%Y-%m-%d %H:%M:%S} UTC: {step.reason}"

