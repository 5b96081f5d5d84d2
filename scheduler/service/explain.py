"""Why was this lead (not) called: the gate asked about it, at an instant, with everything that it is asked with.

What must stay true: the case is built from the same tables and rules as the daemon's, so that what is said
here is what the daemon then does. Limits on calls at once are not part of it: they delay a call by what is
ahead of it, and forbid nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from scheduler.clock import to_utc
from scheduler.errors import NotFound
from scheduler.model import Lead, ScheduledCall, ScheduleStatus
from scheduler.rules.caps import PastCall
from scheduler.rules.eligibility import Case, Later, Verdict, Yes, phones_of, zones_of
from scheduler.rules.explain import Answer, explain, find_first_yes
from scheduler.rules.hours import wall_to_utc, zone_info
from scheduler.service.acting import current_account
from scheduler.service.dispatch import find_obstacle, find_rest, funds_of
from scheduler.service.history import History
from scheduler.service.outcomes import read_barred_of
from scheduler.service.rulebook import RuleBook
from scheduler.service.runtime import Runtime, shared_runtime
from scheduler.store import calls, campaigns, reports, timeline
from scheduler.store.database import Connection


@dataclass(frozen=True)
class Explanation:
    """`planned` is the lead's open row, None without one. `decided` is the answer that counts: the first that is
    no yes, or the yes. `first_yes_at` is the next instant at which nothing stands in the way, as far as can be
    told now; `waiting_for` says what has to happen first where there is none.
    """

    lead_id: int
    at: datetime
    planned: Mapping[str, Any] | None
    answers: Sequence[Answer]
    may_be_called: bool
    decided: str
    first_yes_at: datetime | None
    waiting_for: str | None
    rule_version: str
    steps: Sequence[Mapping[str, Any]]


def explain_lead(lead_id: int, *, at: datetime | None = None, runtime: Runtime | None = None) -> Explanation:
    """The gate's whole list for a lead at an instant (a naive one is wall time where the lead is; none: now).

    Raises NotFound for a lead that does not exist.
    """
    runtime = runtime or shared_runtime()
    now = runtime.clock.now()

    def read(connection: Connection) -> tuple[Case, bool, Sequence[Mapping[str, Any]]]:
        case, is_planned = read_case(connection, runtime, lead_id, now)
        return case, is_planned, reports.list_steps(connection, lead_id, limit=20)

    case, is_planned, steps = runtime.database.read(read)
    return explain_case(case, at=at, is_planned=is_planned, steps=steps)


FOREIGN = "calls that are not of this account count too"


def _seen_by_account(whole: Explanation, own: Explanation) -> Explanation:
    """What the calls of others change is said, but not when they were: that they count, and nothing of them."""
    answers = [
        one if one == other else Answer(one.question, Later(one.verdict.at, FOREIGN), {}, one.source, is_hidden=True)
        if isinstance(one.verdict, Later) else replace(other, verdict=one.verdict)
        for one, other in zip(whole.answers, own.answers, strict=False)
    ]
    if answers == list(whole.answers) and whole.first_yes_at == own.first_yes_at:
        return whole
    refusal = next((one for one in answers if not one.is_yes), None)
    planned = whole.planned
    if planned is not None and str(planned["reason"] or "").startswith("caps:"):
        planned = {**planned, "reason": FOREIGN}
    return replace(
        whole, answers=answers, planned=planned, first_yes_at=None,
        decided=f"no: {refusal.reason}" if refusal is not None else whole.decided,
        waiting_for=None if whole.first_yes_at is None and whole.waiting_for is None else FOREIGN,
    )


def explain_case(
    case: Case, *, is_planned: bool, at: datetime | None = None, steps: Sequence[Mapping[str, Any]] = ()
) -> Explanation:
    """What `read_case` has read, explained for the instant that it was read at or for another one."""
    if case.own_history is not None and len(case.own_history) < len(case.history):
        whole = replace(case, own_history=None)
        own = replace(whole, history=case.own_history)
        return _seen_by_account(
            explain_case(whole, is_planned=is_planned, at=at, steps=steps),
            explain_case(own, is_planned=is_planned, at=at, steps=steps),
        )
    asked_at = _instant(case, at) if at is not None else case.now
    case = replace(case, now=asked_at)
    answers = explain(case)
    refusal = next((one for one in answers if not one.is_yes), None)
    due_at = max(asked_at, case.call.scheduled_at) if is_planned else asked_at
    first_yes_at, verdict = find_first_yes(lambda instant: replace(case, now=instant), due_at)
    if not is_planned and isinstance(verdict, Yes):
        first_yes_at = None
    return Explanation(
        lead_id=case.known_lead.id,
        at=asked_at,
        planned=_planned(case.call, asked_at) if is_planned else None,
        answers=answers,
        may_be_called=refusal is None,
        decided=_decided(case, refusal, is_planned=is_planned),
        first_yes_at=first_yes_at,
        waiting_for=None if first_yes_at is not None else _waiting_for(verdict, is_planned=is_planned),
        rule_version=case.policy.version,
        steps=steps,
    )


def read_case(connection: Connection, runtime: Runtime, lead_id: int, now: datetime) -> tuple[Case, bool]:
    """What the daemon would judge for this lead now, and whether a call is planned. Raises NotFound."""
    subject = timeline.read_subject(connection, lead_id)
    if subject is None:
        raise NotFound("lead", lead_id)
    lead, campaign, account, row = subject.lead, subject.campaign, subject.account, subject.open_call
    rules = RuleBook().read(connection, [campaign] if campaign else [])
    policy = rules.policy(lead.campaign_id)
    engaged = calls.read_engaged(
        connection, {phone.number for phone in phones_of(lead)}, {lead.id}, [row.id] if row else [], now
    )
    history = History.read(connection, now, [lead], rules.policies).of(lead, policy)
    return Case(
        now=now,
        call=row or _imagined(lead, subject.call, now),
        lead=lead,
        campaign=campaign,
        policy=policy,
        barred=read_barred_of(connection, lead, now, runtime.settings.default_country),
        engaged=engaged.numbers,
        is_engaged=lead_id in engaged.leads or (row is not None and row.id in engaged.rows),
        dial_budget=timedelta(seconds=runtime.settings.dial_budget),
        history=history,
        own_history=_own(connection, history),
        funds=funds_of(account, policy),
        obstacle=find_obstacle(runtime, campaign, rules, account)
        or find_rest(runtime, campaign, calls.read_paces(connection), now),
    ), row is not None


def _own(connection: Connection, history: Sequence[PastCall]) -> Sequence[PastCall] | None:
    """The calls that the account of whoever asks made itself; None for one who sees everything."""
    account_id = current_account()
    if account_id is None:
        return None
    known = campaigns.read_campaigns(connection, {one.campaign for one in history if isinstance(one.campaign, int)})
    ours = {campaign_id for campaign_id, one in known.items() if one.account_id == account_id}
    return [one for one in history if one.campaign in ours]


def _imagined(lead: Lead, last: ScheduledCall | None, now: datetime) -> ScheduledCall:
    """The call that would follow, where none is planned."""
    number = last.attempt_number + (last.last_outcome is not None) if last else 1
    return ScheduledCall(
        id=0, lead_id=lead.id, campaign_id=lead.campaign_id, scheduled_at=now, attempt_number=number,
        phone_position=None, status=ScheduleStatus.PENDING,
    )


def _instant(case: Case, at: datetime) -> datetime:
    if at.tzinfo is not None:
        return to_utc(at)
    lead = case.known_lead
    first = next((phone.number for phone in phones_of(lead)), None)
    return wall_to_utc(at, zone_info(zones_of(lead, first, case.policy).zones[0]))


def _planned(row: ScheduledCall, at: datetime) -> Mapping[str, Any]:
    return {
        "id": row.id, "scheduled_at": row.scheduled_at, "wanted_at": row.wanted_at, "status": row.status.value,
        "attempt_number": row.attempt_number, "phone_position": row.phone_position, "promise": row.promise,
        "hold": row.hold.value if row.hold else None, "reason": row.reason, "is_due": row.scheduled_at <= at,
    }


def _decided(case: Case, refusal: Answer | None, *, is_planned: bool) -> str:
    if refusal is not None:
        return f"no: {refusal.reason}"
    if not is_planned:
        return "nothing stands in the way, but no call is planned; `ringback schedule add` plans one"
    if case.call.scheduled_at > case.now:
        return "nothing stands in the way at that instant, but its call is planned for later"
    return "yes: nothing stands in the way"


def _waiting_for(verdict: Verdict, *, is_planned: bool) -> str:
    if isinstance(verdict, Yes):
        return "no call is planned"
    reason = str(getattr(verdict, "reason", ""))
    return reason if is_planned else f"no call is planned; {reason}"
