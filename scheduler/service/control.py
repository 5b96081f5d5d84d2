"""Control while calls run: campaigns, many leads at once, daemons, and work that is stuck.

What must stay true: once a pause or a cancel has returned, no take of that campaign follows, because both
lock the row that a take locks; a cancelled campaign stays cancelled; work over many leads is done in short
transactions, so that daemons go on beside it; cut in the middle, it is repeated, or upkeep does the rest.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any

from scheduler.errors import Conflict, InvalidValue, NotFound, ProviderError
from scheduler.model import (
    Attempt,
    AttemptState,
    Campaign,
    CampaignStatus,
    DaemonWish,
    Happening,
    Hold,
    Lead,
    LeadStatus,
    ScheduleStatus,
)
from scheduler.providers.base import Queueing
from scheduler.rules.eligibility import latest_date, phones_of, zones_of
from scheduler.rules.hours import Windows, zone_info
from scheduler.rules.policy import CallSettings, Policy, Setting, read_call_settings, read_last_date
from scheduler.service.acting import current_actor
from scheduler.service.effects import Effect, Told, count_effect, to_the_end
from scheduler.service.outcomes import planned_row
from scheduler.service.rulebook import RuleBook
from scheduler.service.runtime import Runtime, shared_runtime
from scheduler.service.upkeep import close_open_leads, first_call
from scheduler.store import accounts, calls, campaigns, journal, leads, settings
from scheduler.store.calls import Move
from scheduler.store.database import Connection
from scheduler.store.leads import LeadFilter

CHUNK = 500
LONGEST_DESCRIPTION = 10_000
"""Its column holds 65,535 bytes, and a character has up to four."""
WITH_ALL = "paused with all"
"""How the reason of a campaign begins that was paused together with everything."""
NOT_CANCELLED = (CampaignStatus.ACTIVE, CampaignStatus.PAUSED, CampaignStatus.COMPLETED)
Progress = Callable[[int, int], None]


# --- campaigns: their making and their settings --------------------------------------------------


@dataclass(frozen=True, slots=True)
class CampaignPlan:
    """What a campaign is made or changed with; None leaves a value as it is.

    `call_settings` replaces the whole document, `set_values` changes single keys of it (None takes one out).
    `deadline_days` counts from today on the installation's clock.
    """

    name: str | None = None
    description: str | None = None
    priority: int | None = None
    provider: str | None = None
    account: str | None = None
    group: str | None = None
    call_settings: str | Mapping[str, Any] | None = None
    set_values: Mapping[str, Any] = field(default_factory=dict)
    deadline: date | None = None
    deadline_days: int | None = None
    no_deadline: bool = False


def create_campaign(
    name: str, *, code: str | None = None, description: str | None = None, priority: int = 0,
    provider: str | None = None, call_settings: str | Mapping[str, Any] | None = None, account: str | None = None,
    group: str | None = None, deadline: date | None = None, deadline_days: int | None = None,
    set_values: Mapping[str, Any] | None = None, paused: bool = False, paused_reason: str = "created paused",
    runtime: Runtime | None = None,
) -> str:
    """Create a campaign, active unless `paused`. Returns its code.

    Raises InvalidSettings for `call_settings` that cannot be used, NotFound for an account that does not exist.
    """
    runtime = runtime or shared_runtime()
    plan = CampaignPlan(
        name=name, description=description, priority=priority, provider=provider, account=account, group=group,
        call_settings=call_settings, set_values=set_values or {}, deadline=deadline, deadline_days=deadline_days,
    )
    if code is not None and not 0 < len(code) <= 64:
        raise InvalidValue("code", code[:40], "write 1 to 64 characters")
    now = runtime.clock.now()
    public = code or f"batch-{now:%Y%m%d}-{uuid.uuid4().hex[:6]}"

    def work(connection: Connection) -> str:
        if campaigns.find_campaign(connection, public) is not None:
            raise Conflict(f"there is a campaign {public} already")
        values = _values(connection, plan, None, runtime, now)
        if paused:
            values |= {"status": CampaignStatus.PAUSED, "status_reason": paused_reason}
        campaign_id = campaigns.insert_campaign(connection, {**values, "code": public, "created_at": now})
        _record(connection, "campaign_created", now, campaign_id, name)
        return public

    return runtime.database.transact(work)


@dataclass(frozen=True, slots=True)
class Edited:
    """What an edit changes: fields with their values before and after, and what it does to planned calls.

    On `closed_days` (1 is Monday) the new hours call nobody.
    """

    code: str
    changes: Mapping[str, tuple[Any, Any]]
    effect: Effect
    closed_days: tuple[int, ...]

    @property
    def waiting(self) -> int:
        return self.effect.waiting

    @property
    def moved(self) -> int:
        return self.effect.moved


def edit_campaign(
    key: str, plan: CampaignPlan, *, dry_run: bool = False, reason: str | None = None,
    only_if: Callable[[Connection], None] | None = None, told: Told = to_the_end, runtime: Runtime | None = None,
) -> Edited:
    """Change a campaign, all of it or nothing. The daemons act on it at their next tick, and upkeep moves planned
    calls into the new hours. Raises Conflict for a cancelled one, InvalidSettings for settings that cannot be used.

    `only_if` is asked while the campaign is locked, and raises when it is not the one that was meant any more.
    `told` hears how many planned calls move, page by page, and says how long it goes on to count them.
    """
    runtime = runtime or shared_runtime()
    now = runtime.clock.now()

    def look(connection: Connection, lock: bool = False) -> tuple[Campaign, dict[str, tuple[Any, Any]]]:
        campaign = _get_campaign(connection, key, lock=lock)
        if campaign.status is CampaignStatus.CANCELLED:
            raise Conflict(f"campaign {campaign.code} is cancelled for good; create a new one")
        if only_if is not None:
            only_if(connection)
        values = _values(connection, plan, campaign, runtime, now)
        before = campaigns.read_values(connection, campaign.id, list(values))
        return campaign, {name: (before[name], value) for name, value in values.items() if before[name] != value}

    def write(connection: Connection) -> tuple[Campaign, dict[str, tuple[Any, Any]]]:
        campaign, changes = look(connection, lock=True)
        if changes:
            campaigns.change_campaign(connection, campaign.id, {name: new for name, (_, new) in changes.items()})
            what = ", ".join(changes)
            _record(connection, "campaign_edited", now, campaign.id, f"{what}: {reason}" if reason else what, details={
                name: {"before": _plain(old), "after": _plain(new)} for name, (old, new) in changes.items()
            })
        return campaign, changes

    campaign, changes = runtime.database.read(look)
    effect, closed_days = Effect(), tuple[int, ...]()
    if "call_settings" in changes:  # told by what is in force until now, so before it is written
        before = runtime.database.read(lambda connection: RuleBook().read(connection, [campaign])).policy(campaign.id)
        after = replace(before, settings=read_call_settings(changes["call_settings"][1]))
        effect = count_effect(runtime, campaign.id, before, after, now, told)
        closed_days = after.closed_days
    if changes and not dry_run:
        campaign, changes = runtime.database.transact(write)
    return Edited(campaign.code, changes, effect, closed_days)


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value


def _values(
    connection: Connection, plan: CampaignPlan, campaign: Campaign | None, runtime: Runtime, now: datetime
) -> dict[str, Any]:
    """The columns that a plan sets, each of them checked."""
    values: dict[str, Any] = {}
    if plan.name is not None:
        if not plan.name.strip() or len(plan.name) > 255:
            raise InvalidValue("name", plan.name[:40], "a campaign needs a name of 1 to 255 characters")
        values["name"] = plan.name.strip()
    if plan.description is not None:
        if len(plan.description) > LONGEST_DESCRIPTION:
            right = f"write at most {LONGEST_DESCRIPTION} characters"
            raise InvalidValue("description", plan.description[:40], right)
        values["description"] = plan.description
    if plan.priority is not None:
        if not -(2**31) <= plan.priority < 2**31:
            raise InvalidValue("priority", plan.priority, "write a whole number of at most nine digits")
        values["priority"] = plan.priority
    if plan.provider is not None:
        if plan.provider:
            runtime.providers.get(plan.provider)
        values["provider"] = plan.provider or None
    if plan.account is not None:
        values["account_id"] = _account_id(connection, plan.account)
    if plan.group is not None:
        if len(plan.group) > 64:
            raise InvalidValue("group", plan.group[:40], "write at most 64 characters")
        values["group_name"] = plan.group.strip() or None
    if (until := _deadline(connection, plan, now)) is not None or plan.no_deadline:
        values["fecha_limite"] = until
    if plan.call_settings is not None or plan.set_values:
        values["call_settings"] = _document(plan, campaign)
    return values


def _account_id(connection: Connection, key: str) -> int | None:
    if not key:
        return None
    found = accounts.find_account(connection, key)
    if found is None:
        raise NotFound("account", key)
    return found.id


def _deadline(connection: Connection, plan: CampaignPlan, now: datetime) -> date | None:
    if plan.no_deadline and (plan.deadline is not None or plan.deadline_days is not None):
        raise InvalidValue("deadline", str(plan.deadline or plan.deadline_days), "name a last date or none, not both")
    return read_last_date(plan.deadline, plan.deadline_days, _today(connection, now))


def _today(connection: Connection, now: datetime) -> date:
    zone = RuleBook().read(connection).policy(None).default_zone
    return now.astimezone(zone_info(zone)).date()


def _document(plan: CampaignPlan, campaign: Campaign | None) -> dict[str, Any] | None:
    """The new `call_settings`: a whole document, or the present one with some keys changed."""
    if plan.call_settings is not None:
        base = read_call_settings(plan.call_settings).model_dump(mode="json", exclude_unset=True)
    else:
        base = read_call_settings(campaign.settings if campaign else None).model_dump(mode="json", exclude_unset=True)
    for name in set(plan.set_values) - set(CallSettings.model_fields):
        read_call_settings({name: plan.set_values[name]})  # says which there are
    changed = {**base, **plan.set_values}
    kept = {name: value for name, value in changed.items() if value is not None}
    read = read_call_settings(kept)
    if read.windows is not None and Windows.parse(read.windows).is_empty():
        right = 'it names no span at all, so nobody could ever be called; write {"mon-fri": [["09:00", "20:00"]]}'
        raise InvalidValue("windows", read.windows, right)
    return read.model_dump(mode="json", exclude_unset=True) or None


# --- campaigns: running, paused, over -------------------------------------------------------------


def pause_campaign(key: str, *, reason: str | None = None, runtime: Runtime | None = None) -> str:
    """Place no more calls of a campaign until it is resumed. Live calls go on. Returns its code."""
    runtime = runtime or shared_runtime()
    now = runtime.clock.now()

    def work(connection: Connection) -> str:
        campaign = _get_campaign(connection, key)
        if campaign.status is not CampaignStatus.ACTIVE:
            raise Conflict(f"campaign {campaign.code} is {campaign.status}; only an active one can be paused")
        campaigns.change_status(
            connection, [campaign.id], CampaignStatus.PAUSED, leaving=[CampaignStatus.ACTIVE], reason=reason
        )
        _record(connection, "campaign_paused", now, campaign.id, reason)
        return campaign.code

    return runtime.database.transact(work)


def resume_campaign(key: str, *, reason: str | None = None, runtime: Runtime | None = None) -> str:
    """Go on with a paused campaign. Returns its code."""
    runtime = runtime or shared_runtime()
    now = runtime.clock.now()

    def work(connection: Connection) -> str:
        campaign = _get_campaign(connection, key)
        if campaign.status is CampaignStatus.CANCELLED:
            raise Conflict(f"campaign {campaign.code} is cancelled for good; create a new one")
        if campaign.status is not CampaignStatus.PAUSED:
            raise Conflict(f"campaign {campaign.code} is {campaign.status}; only a paused one can be resumed")
        if _is_all_paused(connection):
            raise Conflict("everything is paused; `ringback campaigns resume-all` comes first")
        campaigns.change_status(
            connection, [campaign.id], CampaignStatus.ACTIVE, leaving=[CampaignStatus.PAUSED], reason=None
        )
        _record(connection, "campaign_resumed", now, campaign.id, reason)
        return campaign.code

    return runtime.database.transact(work)


def pause_all(*, reason: str | None = None, runtime: Runtime | None = None) -> list[str]:
    """Place no calls at all, of no campaign and of leads without one. Returns the campaigns that were running."""
    runtime = runtime or shared_runtime()
    now = runtime.clock.now()
    why = f"{WITH_ALL}: {reason}" if reason else WITH_ALL

    def work(connection: Connection) -> list[str]:
        calls.lock_capacity(connection)  # takes follow one another by it: one under way is waited for
        running = campaigns.list_active(connection)
        campaigns.change_status(
            connection, [one.id for one in running], CampaignStatus.PAUSED, leaving=[CampaignStatus.ACTIVE], reason=why
        )
        settings.write_config(connection, "paused", "yes", now)
        _record(connection, "all_paused", now, None, reason, details={"campaigns": [one.code for one in running]})
        return [one.code for one in running]

    return runtime.database.transact(work)


@dataclass(frozen=True, slots=True)
class Resumed:
    """Campaigns that go on, and those that stay paused because they were paused by themselves."""

    resumed: tuple[str, ...]
    still_paused: tuple[str, ...]


def resume_all(*, reason: str | None = None, runtime: Runtime | None = None) -> Resumed:
    """Undo `pause_all`. Campaigns that were paused by themselves stay so."""
    runtime = runtime or shared_runtime()
    now = runtime.clock.now()

    def work(connection: Connection) -> Resumed:
        calls.lock_capacity(connection)
        paused = campaigns.list_paused(connection)
        together = [(one, code) for one, code, why in paused if (why or "").startswith(WITH_ALL)]
        if not together and not _is_all_paused(connection):
            raise Conflict("nothing was paused with `ringback campaigns pause-all`")
        campaigns.change_status(
            connection, [one for one, _ in together], CampaignStatus.ACTIVE, leaving=[CampaignStatus.PAUSED],
            reason=None,
        )
        settings.write_config(connection, "paused", "no", now)
        resumed = tuple(code for _, code in together)
        _record(connection, "all_resumed", now, None, reason, details={"campaigns": resumed})
        return Resumed(resumed, tuple(code for _, code, _ in paused if code not in resumed))

    return runtime.database.transact(work)


def _is_all_paused(connection: Connection) -> bool:
    return settings.read_config_rows(connection).get("paused", "no").strip().lower() == "yes"


@dataclass(frozen=True, slots=True)
class OpenCall:
    """A call that goes on: `state` is live, or placing or unknown, which nobody can hang up yet."""

    attempt_id: int
    lead_id: int
    state: str


@dataclass(frozen=True, slots=True)
class Cancelled:
    """What a cancel did: leads closed, calls hung up, calls that go on to their end."""

    code: str
    closed_leads: int
    hung_up: int
    still_open: tuple[OpenCall, ...]


def cancel_campaign(
    key: str, reason: str, *, hang_up: bool = False, on_progress: Progress | None = None,
    runtime: Runtime | None = None,
) -> Cancelled:
    """End a campaign for good: nothing more is dialed, its leads are closed (`campaign_cancelled`).

    Calls in progress go on to their end, and nothing follows them; with `hang_up` live ones are ended now. What still
    waits in a provider's own queue is taken back in any case.
    If this is cut in the middle, upkeep closes the other leads.
    """
    runtime = runtime or shared_runtime()
    if not reason.strip():
        raise InvalidValue("reason", reason, "say why the campaign is cancelled")
    now = runtime.clock.now()

    def end(connection: Connection) -> Campaign:
        campaign = _get_campaign(connection, key)
        if campaign.status is CampaignStatus.CANCELLED:
            raise Conflict(f"campaign {campaign.code} is cancelled already, and for good; create a new one")
        campaigns.change_status(
            connection, [campaign.id], CampaignStatus.CANCELLED, leaving=NOT_CANCELLED, reason=reason
        )
        _record(connection, "campaign_cancelled", now, campaign.id, reason)
        return campaign

    campaign = runtime.database.transact(end)
    stop = _hang_up if hang_up else _take_back
    hung_up = _stop_all(runtime, campaign, now, stop)
    ids = runtime.database.read(lambda connection: leads.list_not_closed(connection, campaign.id))
    why = f"campaign {campaign.code} is cancelled: {reason}"
    for done, chunk in _chunks(ids):
        runtime.database.transact(lambda connection: close_open_leads(
            connection, chunk, "campaign_cancelled", why, now, actor=current_actor()  # noqa: B023
        ))
        if on_progress:
            on_progress(done, len(ids))
    runtime.database.transact(lambda connection: campaigns.finish_cancelled(connection, campaign.id, now))
    hung_up |= _stop_all(runtime, campaign, now, stop, but=hung_up)  # those that were being placed may be live by now
    left = runtime.database.read(lambda connection: calls.list_open_attempts(connection, campaign.id))
    return Cancelled(campaign.code, len(ids), len(hung_up), tuple(
        OpenCall(one.id, one.lead_id, one.state.value) for one in left if one.id not in hung_up
    ))


def _stop_all(
    runtime: Runtime, campaign: Campaign, now: datetime, stop: Callable[[Runtime, Attempt], bool], *,
    but: Collection[int] = frozenset(),
) -> set[int]:
    """Stop the live calls of a campaign. Returns their attempts; one that could not be is not among them."""
    attempts = runtime.database.read(lambda connection: calls.list_open_attempts(connection, campaign.id))
    ended = {
        one.id: one for one in attempts
        if one.id not in but and one.state is AttemptState.LIVE and stop(runtime, one)
    }

    def write(connection: Connection) -> None:
        for attempt_id in ended:
            calls.poll_soon(connection, [attempt_id], now)
        journal.add_events(connection, [
            Happening(
                kind="call_hung_up", actor=current_actor(), lead_id=one.lead_id, attempt_id=one.id,
                campaign_id=campaign.id, reason=f"campaign {campaign.code} is cancelled",
            )
            for one in ended.values()
        ], now)

    if ended:
        runtime.database.transact(write)
    return set(ended)


def _hang_up(runtime: Runtime, attempt: Attempt) -> bool:
    if attempt.provider_call_id is None:
        return False
    try:
        runtime.providers.get(attempt.provider).hang_up(attempt.provider_call_id)
    except (ProviderError, InvalidValue):
        return False  # named among those that go on; its maximum duration ends it
    return True


def _take_back(runtime: Runtime, attempt: Attempt) -> bool:
    """Withdraw a call that waits in its provider's own queue: nobody's phone has rung."""
    try:
        provider = runtime.providers.get(attempt.provider)
        if attempt.provider_call_id is None or not isinstance(provider, Queueing):
            return False
        return provider.take_back(attempt.provider_call_id)
    except (ProviderError, InvalidValue):
        return False


# --- many leads -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Bulk:
    """How many leads matched, how many were changed, and why the others were left alone."""

    matched: int
    changed: int
    left: Mapping[str, int]


def count_leads(wanted: LeadFilter, *, runtime: Runtime | None = None) -> int:
    runtime = runtime or shared_runtime()
    return len(runtime.database.read(lambda connection: leads.list_matching(connection, wanted)))


def suspend_leads(
    wanted: LeadFilter, *, reason: str | None = None, on_progress: Progress | None = None,
    runtime: Runtime | None = None,
) -> Bulk:
    """Stop calling leads until they are resumed. What was planned for them is kept and held."""

    def change(connection: Connection, people: Mapping[int, Lead], now: datetime, left: Counter[str]) -> list[int]:
        found = _in_status(people, LeadStatus.OPEN, left)
        leads.set_suspended(connection, found, now)
        rows = calls.list_open_calls(connection, found, lock=True)
        calls.move_pending(connection, [
            Move(row.id, row.scheduled_at, "held: the lead is suspended", row.wanted_at or row.scheduled_at,
                 Hold.SUSPENDED)
            for row in rows if row.status is ScheduleStatus.PENDING
        ], now)
        return found

    return _change_leads(wanted, "lead_suspended", change, reason, on_progress, runtime)


def resume_leads(
    wanted: LeadFilter, *, reason: str | None = None, on_progress: Progress | None = None,
    runtime: Runtime | None = None,
) -> Bulk:
    """Go on with suspended leads where they were; one for which nothing is planned gets a new first round."""

    def change(connection: Connection, people: Mapping[int, Lead], now: datetime, left: Counter[str]) -> list[int]:
        found = _in_status(people, LeadStatus.SUSPENDED, left)
        leads.set_open(connection, found, LeadStatus.SUSPENDED, now)
        rows = calls.list_open_calls(connection, found, lock=True)
        calls.move_pending(connection, [
            Move(row.id, row.wanted_at or row.scheduled_at, "resumed by hand")
            for row in rows if row.status is ScheduleStatus.PENDING and row.hold is not None
        ], now)
        planned = {row.lead_id for row in rows}
        _plan_first(connection, [people[one] for one in found if one not in planned], "resumed by hand", now)
        return found

    return _change_leads(wanted, "lead_resumed", change, reason, on_progress, runtime)


def close_leads(
    wanted: LeadFilter, *, word: str = "by_hand", on_progress: Progress | None = None, runtime: Runtime | None = None
) -> Bulk:
    """Close leads and cancel what was planned for them. Calls in flight end, and nothing follows them."""
    closed_reason = word.strip()[:64] or "by_hand"

    def change(connection: Connection, people: Mapping[int, Lead], now: datetime, left: Counter[str]) -> list[int]:
        found = [one.id for one in people.values() if one.status is not LeadStatus.CLOSED]
        left["closed already"] += len(people) - len(found)
        rows = calls.list_open_calls(connection, found, lock=True)
        calls.cancel_rows(connection, {
            row.id: f"the lead was closed: {closed_reason}" for row in rows if row.status is ScheduleStatus.PENDING
        }, now)
        leads.close_leads(connection, dict.fromkeys(found, closed_reason), now)
        return found

    return _change_leads(wanted, "lead_closed", change, closed_reason, on_progress, runtime)


def reopen_leads(
    wanted: LeadFilter, *, note: str | None = None, on_progress: Progress | None = None,
    runtime: Runtime | None = None,
) -> Bulk:
    """Give closed leads a new budget of attempts: a new first round, due now. Their history stays.

    Left alone: leads with a number on the do-not-call list, of a cancelled campaign, past their last date.
    """

    def change(connection: Connection, people: Mapping[int, Lead], now: datetime, left: Counter[str]) -> list[int]:
        closed = _in_status(people, LeadStatus.CLOSED, left)
        numbers = {phone.number for one in closed for phone in phones_of(people[one])}
        barred = leads.read_barred(connection, numbers, now)
        of = campaigns.read_campaigns(connection, {lead.campaign_id for lead in people.values() if lead.campaign_id})
        rules = RuleBook().read(connection, list(of.values()))
        found = []
        for one in closed:
            lead = people[one]
            campaign = of.get(lead.campaign_id or 0)
            if any(phone.number in barred for phone in phones_of(lead)):
                left["on the do-not-call list"] += 1
            elif campaign is not None and campaign.status is CampaignStatus.CANCELLED:
                left[f"campaign {campaign.code} is cancelled"] += 1
            elif past_last_date(lead, rules.policy(lead.campaign_id), now) is not None:
                left["past the last date to call"] += 1
            else:
                found.append(one)
        leads.set_open(connection, found, LeadStatus.CLOSED, now)
        busy = {row.lead_id for row in calls.list_open_calls(connection, found, lock=True)}
        _plan_first(connection, [people[one] for one in found if one not in busy], "reopened by hand", now)
        return found

    return _change_leads(wanted, "lead_reopened", change, note, on_progress, runtime)


def past_last_date(lead: Lead, policy: Policy, now: datetime) -> Setting[date] | None:
    """The last date to call this lead, if it is over, with who says so."""
    until = policy.last_date(lead.call_until)
    if until is None:
        return None
    number = next((phone.number for phone in phones_of(lead)), None)
    return until if latest_date(zones_of(lead, number, policy).zones, now) > until.value else None


def _in_status(people: Mapping[int, Lead], status: LeadStatus, left: Counter[str]) -> list[int]:
    found = [one.id for one in people.values() if one.status is status]
    for one in people.values():
        if one.status is not status:
            left[f"{one.status} already" if status is LeadStatus.OPEN else f"not {status}, but {one.status}"] += 1
    return found


def _plan_first(connection: Connection, people: Sequence[Lead], reason: str, now: datetime) -> None:
    calls.insert_scheduled(connection, [planned_row(lead, first_call(lead, now, reason), now) for lead in people])


Change = Callable[[Connection, Mapping[int, Lead], datetime, "Counter[str]"], list[int]]


def _change_leads(
    wanted: LeadFilter, kind: str, change: Change, reason: str | None, on_progress: Progress | None,
    runtime: Runtime | None,
) -> Bulk:
    """`change` for all that match, in chunks: it gets the leads of one, locked, and returns those it changed."""
    runtime = runtime or shared_runtime()
    if wanted.is_empty:
        raise InvalidValue("leads", "", "name leads by their ids, or say which with a filter")
    now = runtime.clock.now()
    ids = runtime.database.read(lambda connection: leads.list_matching(connection, wanted))
    missing = sorted(set(wanted.ids) - set(ids))
    if missing and wanted == LeadFilter(ids=wanted.ids):
        raise NotFound("lead", missing[0])
    total, left = 0, Counter[str]()
    for done, chunk in _chunks(ids):
        def work(connection: Connection, chunk: Sequence[int] = chunk) -> tuple[int, Counter[str]]:
            why_not = Counter[str]()
            calls.list_open_calls(connection, chunk, lock=True)  # rows before leads, as a take locks them
            people = leads.read_leads(connection, chunk, lock=True)
            changed = change(connection, people, now, why_not)
            journal.add_events(connection, [
                Happening(
                    kind=kind, actor=current_actor(), lead_id=one, campaign_id=people[one].campaign_id,
                    reason=calls.cut(reason), details={"was": people[one].closed_reason or people[one].status.value},
                )
                for one in changed
            ], now)
            return len(changed), why_not

        changed, why_not = runtime.database.transact(work)
        total += changed
        left += why_not
        if on_progress:
            on_progress(done, len(ids))
    return Bulk(len(ids), total, dict(left))


def _chunks(ids: Sequence[int]) -> Iterator[tuple[int, Sequence[int]]]:
    for start in range(0, len(ids), CHUNK):
        chunk = ids[start : start + CHUNK]
        yield start + len(chunk), chunk


# --- stuck work -----------------------------------------------------------------------------------


def release_call(schedule_id: int, *, runtime: Runtime | None = None) -> str:
    """Free a row whose process is gone, without waiting for its lease: the call is looked up at the provider and
    never simply dialed again. Returns what follows, as a sentence.
    """
    runtime = runtime or shared_runtime()
    now = runtime.clock.now()

    def work(connection: Connection) -> str:
        row = calls.read_calls(connection, [schedule_id], lock=True).get(schedule_id)
        if row is None:
            raise NotFound("scheduled call", schedule_id)
        if row.status is not ScheduleStatus.IN_PROGRESS:
            raise Conflict(f"scheduled call {schedule_id} is {row.status}; only one in_progress can be released")
        attempt = calls.find_open_attempt(connection, row.lead_id)
        if attempt is not None and attempt.schedule_id != schedule_id:
            attempt = None  # of an earlier row of this lead, which was cancelled meanwhile
        if attempt is not None and attempt.state is not AttemptState.PLACING:
            raise Conflict(
                f"scheduled call {schedule_id} has attempt {attempt.id}, which is {attempt.state}: hang it up with "
                f"`ringback calls hangup {attempt.id}`, or say how it ended with "
                f"`ringback calls resolve {attempt.id} OUTCOME`"
            )
        if attempt is None:  # an UPDATE by hand put it in work: nothing was dialed for it
            calls.give_back(connection, [Move(schedule_id, now, "released by hand: it had no call")], now)
            what = "it was in work without a call, and waits again"
        else:
            calls.expire_lease(connection, schedule_id, now)
            what = "the next daemon looks up whether its call was made"
        journal.add_events(connection, [Happening(
            kind="call_released", actor=current_actor(), lead_id=row.lead_id, campaign_id=row.campaign_id,
            schedule_id=schedule_id,
            attempt_id=attempt.id if attempt else None,
            reason=f"lease of {row.lease_owner or 'nobody'} ended by hand",
        )], now)
        return f"scheduled call {schedule_id} is released; {what}"

    return runtime.database.transact(work)


# --- daemons --------------------------------------------------------------------------------------


def steer_daemon(
    key: str, wanted: DaemonWish, *, silent_after: timedelta, reason: str | None = None,
    runtime: Runtime | None = None,
) -> str:
    """Ask a running daemon to pause, run or drain; it obeys at its next tick. Returns its owner name.

    `key` is its id, its owner, or the beginning of that. Raises Conflict for one that is not there any more.
    """
    runtime = runtime or shared_runtime()
    now = runtime.clock.now()

    def work(connection: Connection) -> str:
        found = journal.find_daemons(connection, key)
        if not found:
            raise NotFound("daemon", key)
        if len(found) > 1:
            names = ", ".join(f"{one.id} ({one.owner})" for one in found[:5])
            raise Conflict(f"{key!r} may be several daemons: {names}; write an id")
        one = found[0]
        if one.status == "stopped":
            raise Conflict(f"daemon {one.id} ({one.owner}) has stopped; `ringback run` starts a new one")
        if now - one.last_seen_at > silent_after:
            raise Conflict(
                f"daemon {one.id} ({one.owner}) has said nothing since {one.last_seen_at:%Y-%m-%d %H:%M:%S} UTC; it is "
                "gone or frozen, and what it held frees itself when its lease ends"
            )
        if one.wanted is DaemonWish.DRAIN and wanted is not DaemonWish.DRAIN:
            raise Conflict(f"daemon {one.id} ({one.owner}) is draining and will end; start another one")
        journal.set_wanted(connection, one.id, wanted)
        _record(connection, f"daemon_{wanted}", now, None, f"{one.owner}: {reason}" if reason else one.owner)
        return one.owner

    return runtime.database.transact(work)


# --- steps ----------------------------------------------------------------------------------------


def _get_campaign(connection: Connection, key: str, *, lock: bool = True) -> Campaign:
    found = campaigns.lock_campaign(connection, key) if lock else campaigns.find_campaign(connection, key)
    if found is None:
        raise NotFound("campaign", key)
    return found


def _record(
    connection: Connection, kind: str, now: datetime, campaign_id: int | None, reason: str | None,
    details: Mapping[str, Any] | None = None,
) -> None:
    journal.add_events(connection, [Happening(
        kind=kind, actor=current_actor(), campaign_id=campaign_id, reason=calls.cut(reason), details=details or {},
    )], now)
