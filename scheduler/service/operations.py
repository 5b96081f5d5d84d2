"""What people ask for: leads, plans and campaigns changed by hand, each in one transaction.

The same functions serve the command line and Python callers; a caller that brings no `runtime` works on
the database that the environment names. Each refuses in one sentence what cannot be done, writes who did
what into `events`, and leaves nothing half-written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from scheduler.clock import to_utc
from scheduler.errors import Conflict, InvalidValue, NotFound, ProviderError
from scheduler.model import (
    AttemptState,
    Campaign,
    CampaignStatus,
    Happening,
    Hold,
    Lead,
    LeadStatus,
    Outcome,
    ScheduleStatus,
)
from scheduler.providers.base import CallReport, Phase
from scheduler.rules.eligibility import missing_variables, zones_of
from scheduler.rules.hours import wall_to_utc, zone_info
from scheduler.rules.phones import learn, may_be_dialed, to_e164
from scheduler.rules.policy import FOUND_BY, PROVIDER_NAMES, Policy, read_config, read_config_value
from scheduler.rules.retry import Ended, Reschedule
from scheduler.rules.subdivisions import read_region
from scheduler.service.acting import current_actor
from scheduler.service.control import create_campaign, past_last_date
from scheduler.service.outcomes import (
    End,
    apply_ends,
    carry_out,
    mark_number,
    next_step,
    process_call_result,
    read_barred_of,
    read_deciding,
    read_outcome,
)
from scheduler.service.rulebook import RuleBook
from scheduler.service.runtime import Runtime, shared_runtime
from scheduler.service.upkeep import first_call
from scheduler.store import calls, campaigns, do_not_call, journal, leads, settings
from scheduler.store.database import Connection

# --- leads --------------------------------------------------------------------------------------


def add_lead(
    first_name: str | None,
    last_name: str | None,
    phones: Sequence[str],
    *,
    default_country: str | None = None,
    campaign: str | None = None,
    email: str | None = None,
    time_zone: str | None = None,
    region: str | None = None,
    priority: int = 0,
    call_until: date | None = None,
    variables: Mapping[str, Any] | None = None,
    at: datetime | None = None,
    runtime: Runtime | None = None,
) -> int:
    """Add a lead and plan its first call, now or at `at` (an instant, or a naive wall time where the lead is).

    Returns its id. Raises InvalidValue for a number, zone or region that cannot be used.
    """
    runtime = runtime or shared_runtime()
    country = default_country or runtime.settings.default_country
    if not phones:
        raise InvalidValue("telefono", "", "a lead needs at least one number")
    numbers = list(dict.fromkeys(to_e164(text, country) for text in phones))
    if time_zone:
        zone_info(time_zone, "time_zone")
    for field, text in (("nombre", first_name), ("apellidos", last_name), ("email", email)):
        if text and len(text) > 255:
            raise InvalidValue(field, text[:20] + "...", f"it has {len(text)} characters; at most 255 fit")
    if not -(2**31) <= priority < 2**31:
        raise InvalidValue("priority", priority, "write a whole number of at most nine digits")
    values = {
        "nombre": first_name, "apellidos": last_name, "email": email, "time_zone": time_zone,
        "region": read_region(region, learn(numbers[0]).country) if region else None,
        "priority": priority, "fecha_limite": call_until,
        "variables": dict(variables) if variables else None,
    }
    now = runtime.clock.now()

    def work(connection: Connection) -> int:
        found = _campaign_to_fill(connection, campaign) if campaign else None
        allowed = _policy_of(connection, found).allowed_countries.value
        for number in numbers:
            if (why := may_be_dialed(number, allowed)) is not None:
                raise InvalidValue("telefono", number, f"it must not be dialed: {why}")
        required = _policy_of(connection, found).settings.required_variables or ()
        missing = missing_variables(
            required, variables or {}, first_name=first_name, last_name=last_name, email=email
        )
        if missing:
            right = f"campaign {found.code if found else ''} needs it for its agent; write it into --variables"
            raise InvalidValue("variables", ", ".join(missing), right)
        lead_id = leads.insert_lead(
            connection, {**values, "campaign_id": found.id if found else None, "created_at": now, "updated_at": now},
            numbers, _policy_of(connection, found).config.get(FOUND_BY, ()),
        )
        lead = _get_lead(connection, lead_id)
        _plan(connection, lead, _instant(connection, lead, at, now), "added", now)
        _record(connection, "lead_added", now, lead_id=lead_id, campaign_id=lead.campaign_id)
        return lead_id

    return runtime.database.transact(work)


def close_lead(lead_id: int, *, reason: str = "by_hand", runtime: Runtime | None = None) -> None:
    """Close a lead and cancel what was planned for it. A call in flight ends, and nothing follows it."""
    runtime = runtime or shared_runtime()
    now = runtime.clock.now()
    word = reason.strip()[:64] or "by_hand"

    def work(connection: Connection) -> None:
        lead = _get_lead(connection, lead_id)
        if lead.status is LeadStatus.CLOSED:
            raise Conflict(f"lead {lead_id} is closed already ({lead.closed_reason or 'by hand'})")
        leads.close_leads(connection, {lead_id: word}, now)
        _cancel_pending(connection, lead_id, f"the lead was closed: {word}", now)
        _record(connection, "lead_closed", now, lead_id=lead_id, campaign_id=lead.campaign_id, reason=word)

    runtime.database.transact(work)


def reopen_lead(lead_id: int, *, reason: str | None = None, runtime: Runtime | None = None) -> str:
    """Open a closed or suspended lead again. A closed one gets a new first round; its history stays.

    Returns what it was and what follows, as a sentence.
    """
    runtime = runtime or shared_runtime()
    now = runtime.clock.now()

    def work(connection: Connection) -> str:
        lead = _get_lead(connection, lead_id)
        if lead.status is LeadStatus.OPEN:
            raise Conflict(f"lead {lead_id} is open already")
        barred = do_not_call.read_barred(connection, {phone.number for phone in lead.phones} | {lead.phone or ""}, now)
        if barred:
            raise Conflict(
                f"lead {lead_id} has a number on the do-not-call list; take it out of do_not_call before reopening"
            )
        of = [lead.campaign_id] if lead.campaign_id is not None else []
        for campaign in campaigns.read_campaigns(connection, of).values():
            if campaign.status is CampaignStatus.CANCELLED:
                raise Conflict(
                    f"lead {lead_id} is of campaign {campaign.code}, which is cancelled for good; add it to another one"
                )
        policy = RuleBook().read_for(connection, {lead.campaign_id}).policy(lead.campaign_id)
        if (until := past_last_date(lead, policy, now)) is not None:
            raise Conflict(f"the last date to call lead {lead_id} was {until.value} ({until.source}); set a later one")
        leads.set_lead_status(
            connection, lead_id, LeadStatus.OPEN, reason=None, closed_at=None, now=now, leaving=[lead.status]
        )
        opened = _get_lead(connection, lead_id)
        row = calls.find_open_call(connection, lead_id)
        if row is None:
            carry_out(connection, opened, first_call(opened, now, "reopened by hand"), now)
        elif row.hold is not None:
            calls.move_pending(
                connection, [calls.Move(row.id, row.wanted_at or row.scheduled_at, "reopened by hand")], now
            )
        why = reason or f"was {lead.status}"
        _record(connection, "lead_reopened", now, lead_id=lead_id, campaign_id=lead.campaign_id, reason=why)
        was = f"closed ({lead.closed_reason or 'by hand'})" if lead.status is LeadStatus.CLOSED else lead.status.value
        follows = "a new first round begins" if row is None else "it goes on with what was planned"
        return f"lead {lead_id} is open again; it was {was}, and {follows}"

    return runtime.database.transact(work)


def suspend_lead(lead_id: int, *, reason: str | None = None, runtime: Runtime | None = None) -> None:
    """Stop calling a lead until it is reopened. Its plan is kept and held."""
    runtime = runtime or shared_runtime()
    now = runtime.clock.now()

    def work(connection: Connection) -> None:
        lead = _get_lead(connection, lead_id)
        if lead.status is not LeadStatus.OPEN:
            raise Conflict(f"lead {lead_id} is {lead.status}, so it cannot be suspended")
        leads.set_lead_status(
            connection, lead_id, LeadStatus.SUSPENDED, reason=None, closed_at=None, now=now, leaving=[LeadStatus.OPEN]
        )
        # The row says why it waits, as after a bulk: one that waited for money does not any more.
        rows = calls.list_open_calls(connection, [lead_id], lock=True)
        calls.move_pending(connection, [
            calls.Move(row.id, row.scheduled_at, "held: the lead is suspended", row.wanted_at or row.scheduled_at,
                       Hold.SUSPENDED)
            for row in rows if row.status is ScheduleStatus.PENDING
        ], now)
        _record(connection, "lead_suspended", now, lead_id=lead_id, campaign_id=lead.campaign_id, reason=reason)

    runtime.database.transact(work)


# --- plans --------------------------------------------------------------------------------------


def schedule_call(
    lead_id: int, *, at: datetime | None = None, reason: str | None = None, runtime: Runtime | None = None
) -> int:
    """Plan a call now or at `at` (an instant, or a naive wall time where the lead is). Returns the row's id.

    What was planned before is cancelled: a lead has one next step. The attempt keeps its number.
    """
    runtime = runtime or shared_runtime()
    now = runtime.clock.now()

    def work(connection: Connection) -> int:
        lead = _get_lead(connection, lead_id)
        if lead.status is LeadStatus.CLOSED:
            raise Conflict(f"lead {lead_id} is closed ({lead.closed_reason or 'by hand'}); reopen it first")
        row = calls.find_open_call(connection, lead_id)
        if row is not None and row.status is ScheduleStatus.IN_PROGRESS:
            raise Conflict(f"lead {lead_id} is being called right now (scheduled call {row.id})")
        last = row or calls.find_last_call(connection, lead_id)
        if row is not None:
            calls.cancel_rows(connection, {row.id: "planned anew by hand"}, now)
        number = last.attempt_number + (0 if row or last.last_outcome is None else 1) if last else 1
        planned_for = _instant(connection, lead, at, now)
        schedule_id = _plan(connection, lead, planned_for, "planned by hand", now, number)
        why = f"for {planned_for:%Y-%m-%d %H:%M:%S} UTC" + (f": {reason}" if reason else "")
        _record(
            connection, "call_planned", now, lead_id=lead_id, campaign_id=lead.campaign_id, schedule_id=schedule_id,
            reason=why,
        )
        return schedule_id

    return runtime.database.transact(work)


def cancel_scheduled_calls_for_lead(lead_id: int, reason: str, *, runtime: Runtime | None = None) -> int:
    """Cancel what is planned for a lead. Returns how many rows. A call in flight goes on."""
    runtime = runtime or shared_runtime()
    now = runtime.clock.now()

    def work(connection: Connection) -> int:
        lead = _get_lead(connection, lead_id)
        cancelled = _cancel_pending(connection, lead_id, reason, now)
        if cancelled:
            _record(
                connection, "schedule_cancelled", now, lead_id=lead_id, campaign_id=lead.campaign_id, reason=reason
            )
        return cancelled

    return runtime.database.transact(work)


def reschedule_failed_call(lead_id: int, outcome: str, *, runtime: Runtime | None = None) -> bool:
    """Plan what follows a call that failed with `outcome`. True: planned again; False: the lead is closed.

    For systems that write calls themselves: no attempt is added, the lead's last scheduled call tells
    which round it was.
    """
    runtime = runtime or shared_runtime()
    kind = read_outcome(outcome)
    now = runtime.clock.now()

    def work(connection: Connection) -> bool:
        lead = _get_lead(connection, lead_id)
        if lead.status is LeadStatus.CLOSED:
            return False
        row = calls.find_open_call(connection, lead_id)
        if row is not None and row.status is ScheduleStatus.IN_PROGRESS:
            raise Conflict(f"lead {lead_id} is being called right now (scheduled call {row.id}); its end decides")
        last = row or calls.find_last_call(connection, lead_id)
        if row is not None:
            calls.cancel_rows(connection, {row.id: f"a call ended {kind}"}, now)
        ended = Ended(kind, last.attempt_number if last else 1, (last.phone_position if last else None) or 1)
        lead = mark_number(connection, lead, ended.phone_position, kind, source="another system", now=now)
        policy, history = read_deciding(connection, lead, now)
        step = next_step(ended, lead, policy, now, read_barred_of(connection, lead, now), history)
        carry_out(connection, lead, step, now, policy, current_actor())
        return isinstance(step, Reschedule)

    return runtime.database.transact(work)


# --- calls --------------------------------------------------------------------------------------


def record_call(
    lead_id: int, outcome: str, *, callback_at: datetime | None = None, callback_zone: str | None = None,
    reason: str | None = None, runtime: Runtime | None = None,
) -> str:
    """Record a call that was made by hand. Returns what follows. See `outcomes.process_call_result`.

    Raises Conflict while a call of ours to the lead is open: that one has an end of its own.
    """
    return process_call_result(
        lead_id, outcome, callback_at=callback_at, callback_zone=callback_zone, runtime=runtime,
        actor=current_actor(), may_end_live=False, reason=reason,
    )


def find_call(key: str | int, *, runtime: Runtime | None = None) -> int:
    """The id of an attempt by that id, by our reference (`attempt_ref`) or by the provider's id of its call.

    Raises NotFound.
    """
    runtime = runtime or shared_runtime()
    found = runtime.database.read(lambda connection: calls.find_attempt_id(connection, str(key), PROVIDER_NAMES))
    if found is None:
        raise NotFound("attempt", str(key)[:128])
    return found


def report_call(
    key: str | int, outcome: str, *, callback_at: datetime | None = None, callback_zone: str | None = None,
    appointment_at: datetime | None = None, summary: str | None = None, runtime: Runtime | None = None,
) -> str:
    """What a script or a person learnt on a call of ours, by any of its names. Returns what follows, as a sentence.

    A call that is over is amended where this is better informed; one that goes on is taken for over, and what its
    provider tells of it later (its length, its price) is added. Raises NotFound, InvalidValue, and Conflict for a
    call that is being placed.
    """
    runtime = runtime or shared_runtime()
    attempt_id = find_call(key, runtime=runtime)
    kind = read_outcome(outcome)
    if callback_zone:
        zone_info(callback_zone, "callback_zone")
    if callback_at is not None and kind is not Outcome.CALLBACK:
        raise InvalidValue("callback_at", callback_at.isoformat(), "a time belongs to the outcome callback alone")
    now = runtime.clock.now()

    def work(connection: Connection) -> str:
        attempt = calls.lock_attempts(connection, [attempt_id]).get(attempt_id)
        if attempt is None:
            raise NotFound("attempt", attempt_id)
        if attempt.state is AttemptState.PLACING:
            raise Conflict(f"attempt {attempt_id} is being dialed at this moment; try again in a few seconds")
        report = CallReport(
            call_id=attempt.provider_call_id or "", phase=Phase.ENDED, outcome=kind, provider_status="reported",
            callback_at=callback_at, callback_zone=callback_zone, appointment_at=appointment_at, summary=summary,
            is_final=False,
        )
        applied = apply_ends(
            connection, [End(attempt_id, report)], now=now, rulebook=RuleBook(), actor=current_actor()
        )
        _record(
            connection, "call_reported", now, lead_id=attempt.lead_id, campaign_id=attempt.campaign_id,
            attempt_id=attempt_id, reason=kind.value,
        )
        said = (str(details.get("follows") or details.get("how")) for what, details in applied.notes
                if what in ("ended", "settled"))
        return next(said, "nothing follows: as much was known already")

    return runtime.database.transact(work)


def hang_up_call(attempt_id: int, *, reason: str | None = None, runtime: Runtime | None = None) -> str:
    """Ask the provider to end a live call; its report ends the attempt. Returns what happened, as a sentence."""
    runtime = runtime or shared_runtime()
    attempt = runtime.database.read(lambda connection: calls.find_attempt(connection, attempt_id))
    if attempt is None:
        raise NotFound("attempt", attempt_id)
    if attempt.state is not AttemptState.LIVE or attempt.provider_call_id is None:
        raise Conflict(f"attempt {attempt_id} is {attempt.state}, so there is no live call to hang up")
    provider, now = runtime.providers.get(attempt.provider), runtime.clock.now()

    def work(connection: Connection) -> None:
        _record(
            connection, "call_hung_up", now, lead_id=attempt.lead_id, campaign_id=attempt.campaign_id,
            attempt_id=attempt_id, reason=reason,
        )
        calls.poll_soon(connection, [attempt_id], now)

    # Before the provider is asked: its word that the call was cancelled must not be taken for somebody else's wish.
    runtime.database.transact(work)
    try:
        was_there = provider.hang_up(attempt.provider_call_id)
    except ProviderError as error:
        raise Conflict(f"{attempt.provider} could not hang up attempt {attempt_id}: {error}") from error
    if was_there:
        return f"attempt {attempt_id} was hung up; the daemon records its end at its next look"
    return f"{attempt.provider} has no such call any more; the daemon records its end at its next look"


def resolve_call(
    attempt_id: int, outcome: str, *, reason: str | None = None, runtime: Runtime | None = None
) -> str:
    """End a live or unknown attempt by hand, when a person knows what became of it. Returns what follows."""
    runtime = runtime or shared_runtime()
    kind = read_outcome(outcome)
    now = runtime.clock.now()
    known = runtime.database.read(lambda connection: calls.find_attempt(connection, attempt_id))
    if known is not None and known.state is AttemptState.LIVE:
        hang_up_call(attempt_id, runtime=runtime)  # or the person would still be in it when they are called again

    def work(connection: Connection) -> str:
        attempt = calls.lock_attempts(connection, [attempt_id]).get(attempt_id)
        if attempt is None:
            raise NotFound("attempt", attempt_id)
        if attempt.state not in (AttemptState.LIVE, AttemptState.UNKNOWN):
            raise Conflict(f"attempt {attempt_id} is {attempt.state}; only live and unknown ones can be resolved")
        report = CallReport(
            call_id=attempt.provider_call_id or "", phase=Phase.ENDED, outcome=kind, provider_status="resolved by hand",
            ended_at=now,
        )
        applied = apply_ends(
            connection, [End(attempt_id, report)], now=now, rulebook=RuleBook(), actor=current_actor()
        )
        _record(
            connection, "call_resolved", now, lead_id=attempt.lead_id, campaign_id=attempt.campaign_id,
            attempt_id=attempt_id, reason=f"{kind}: {reason}" if reason else kind.value,
        )
        return next((str(details["follows"]) for what, details in applied.notes if what == "ended"), "recorded")

    return runtime.database.transact(work)


# --- settings -----------------------------------------------------------------------------------


def set_config(key: str, value: str, *, reason: str | None = None, runtime: Runtime | None = None) -> None:
    """Change one row of `scheduler_config`. Raises InvalidValue for a value that could not be used."""
    set_config_rows({key: value}, reason=reason, runtime=runtime)


def set_config_rows(
    values: Mapping[str, str], *, reason: str | None = None, runtime: Runtime | None = None
) -> None:
    """Change rows of `scheduler_config`, all of them or none. Raises InvalidValue for what could not be used."""
    runtime = runtime or shared_runtime()
    for key, value in values.items():
        read_config_value(key, value)
    now = runtime.clock.now()

    def work(connection: Connection) -> None:
        rows = settings.read_config_rows(connection)
        config = read_config({**rows, **values})
        if "lease_seconds" in values:
            unsafe = runtime.settings.problems(timedelta(seconds=config.get("lease_seconds", 60)))
            if unsafe:
                raise InvalidValue("lease_seconds", values["lease_seconds"], "; ".join(unsafe))
        for key, value in values.items():
            problem = config.problems.get(key)
            if problem is not None:  # fine by itself, but not beside the other rows
                raise InvalidValue(key, value, problem.partition("; ")[2] or problem)
            settings.write_config(connection, key, value, now)
            why = f"; {reason}" if reason else ""
            _record(connection, "config_set", now, reason=f"{key}: {rows.get(key)!r} -> {value!r}{why}")

    runtime.database.transact(work)


# --- tidying ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CleanupReport:
    """Rows of closed leads cancelled, old cancelled rows deleted, orphans found (never touched)."""

    closed_lead_rows: int
    deleted_rows: int
    orphan_rows: int
    orphan_examples: tuple[int, ...]


def cleanup(*, dry_run: bool = False, runtime: Runtime | None = None) -> CleanupReport:
    """Cancel pending rows of closed leads, delete cancelled rows older than `cleanup_after_days`, count orphans."""
    runtime = runtime or shared_runtime()
    now = runtime.clock.now()
    rules = runtime.database.read(lambda connection: RuleBook().read(connection))
    before = now - timedelta(days=rules.config.get("cleanup_after_days", 30))
    orphans, examples = runtime.database.read(calls.count_orphans)
    if dry_run:
        closed, old = runtime.database.read(
            lambda connection: (calls.count_rows_of_closed(connection), calls.count_cancelled(connection, before))
        )
        return CleanupReport(closed, old, orphans, examples)
    return CleanupReport(
        cleanup_closed_leads_schedules(runtime=runtime), _delete_cancelled(runtime, before), orphans, examples
    )


def cleanup_closed_leads_schedules(*, runtime: Runtime | None = None) -> int:
    """Cancel every pending row of a closed lead. Returns how many."""
    runtime = runtime or shared_runtime()
    now = runtime.clock.now()
    total = 0
    while True:
        cancelled = runtime.database.transact(lambda connection: calls.cancel_rows(
            connection,
            dict.fromkeys(calls.list_rows_of_closed(connection, 500), "the lead was closed"),
            now,
        ))
        total += cancelled
        if not cancelled:
            return total


def _delete_cancelled(runtime: Runtime, before: datetime) -> int:
    total = 0
    while True:
        deleted = runtime.database.transact(lambda connection: calls.delete_cancelled(connection, before, 1000))
        total += deleted
        if not deleted:
            return total


# --- steps --------------------------------------------------------------------------------------


def _get_lead(connection: Connection, lead_id: int) -> Lead:
    lead = leads.find_lead(connection, lead_id, lock=True)
    if lead is None:
        raise NotFound("lead", lead_id)
    return lead


def _campaign_to_fill(connection: Connection, key: str) -> Campaign:
    found = campaigns.find_campaign(connection, key)
    if found is None:
        raise NotFound("campaign", key)
    if found.status is CampaignStatus.CANCELLED:
        raise Conflict(f"campaign {found.code} is cancelled, so no lead can be added to it")
    return found


def _policy_of(connection: Connection, campaign: Campaign | None) -> Policy:
    rules = RuleBook().read(connection, [campaign] if campaign else [])
    return rules.policy(campaign.id if campaign else None)


def _plan(connection: Connection, lead: Lead, at: datetime, reason: str, now: datetime, number: int = 1) -> int:
    first = first_call(lead, now, reason)
    calls.insert_scheduled(connection, [{
        "lead_id": lead.id, "campaign_id": lead.campaign_id, "scheduled_at": at, "attempt_number": number,
        "phone_position": first.phone_position, "status": ScheduleStatus.PENDING.value, "reason": reason,
        "created_at": now, "updated_at": now,
    }])
    planned = calls.find_open_call(connection, lead.id)
    assert planned is not None, "it was written in this transaction"
    return planned.id


def _instant(connection: Connection, lead: Lead, at: datetime | None, now: datetime) -> datetime:
    """`at` as an instant: a wall time is read on the lead's own clock. Nothing: now."""
    if at is None:
        return now
    if at.tzinfo is not None:
        return to_utc(at)
    policy = RuleBook().read_for(connection, {lead.campaign_id}).policy(lead.campaign_id)
    return wall_to_utc(at, zone_info(zones_of(lead, lead.phone, policy).zones[0]))


def _cancel_pending(connection: Connection, lead_id: int, reason: str, now: datetime) -> int:
    row = calls.find_open_call(connection, lead_id)
    if row is None or row.status is not ScheduleStatus.PENDING:
        return 0
    return calls.cancel_rows(connection, {row.id: reason}, now)


def _record(
    connection: Connection, kind: str, now: datetime, *, lead_id: int | None = None, campaign_id: int | None = None,
    attempt_id: int | None = None, schedule_id: int | None = None, reason: str | None = None,
) -> None:
    journal.add_events(connection, [Happening(
        kind=kind, actor=current_actor(), lead_id=lead_id, campaign_id=campaign_id, attempt_id=attempt_id,
        schedule_id=schedule_id, reason=calls.cut(reason),
    )], now)


__all__ = [
    "CleanupReport", "Outcome", "add_lead", "cancel_scheduled_calls_for_lead", "cleanup",
    "cleanup_closed_leads_schedules", "close_lead", "create_campaign", "find_call", "hang_up_call", "record_call",
    "reopen_lead", "report_call", "reschedule_failed_call", "resolve_call", "schedule_call", "set_config",
    "suspend_lead",
]
