"""Scheduled calls and attempts: the claim, the intent, and every move of a row.

What must stay true: the take locks rows of `call_schedule` alone (a join under SKIP LOCKED would lock the
campaign too, and starve the other daemons); every UPDATE names the ids and the state that is left, and
its row count is read; nothing here dials. Functions that take a `Connection` are steps of a transaction
that the service composes, so that an outcome and its next step are written together or not at all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import starmap
from typing import Any, NamedTuple

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Select,
    String,
    Text,
    and_,
    case,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    type_coerce,
    union_all,
    update,
)

from scheduler.model import (
    OPEN_STATES,
    Attempt,
    AttemptState,
    Campaign,
    CampaignStatus,
    Hold,
    LeadStatus,
    Outcome,
    ScheduledCall,
    ScheduleStatus,
)
from scheduler.rules.lifecycle import states_before, statuses_before
from scheduler.rules.pacing import FIRST_REST, Breaker
from scheduler.rules.policy import CLEARLY_NO, STOP
from scheduler.store.database import (
    BY_ID,
    Raw,
    change_rows,
    ids_in,
    insert_or_ignore,
    insert_row,
    insert_rows,
    raw,
)
from scheduler.store.do_not_call import read_callable
from scheduler.store.tables import (
    account_do_not_call,
    call_attempts,
    call_schedule,
    campaigns,
    lead_phones,
    leads,
    provider_pace,
    scheduler_config,
    second_calls,
)
from scheduler.store.texts import cut as cut

S, A, C, L, N, P = call_schedule.c, call_attempts.c, campaigns.c, leads.c, provider_pace.c, lead_phones.c
O = account_do_not_call.c  # noqa: E741



def word(column: Column[Any]) -> Any:
    """An enumeration read as plain text: it becomes one of our own enums right after."""
    return type_coerce(column, String).label(column.name)


SCHEDULE_COLUMNS = (
    S.id, S.lead_id, S.campaign_id, S.scheduled_at, S.attempt_number, S.phone_position, word(S.status), S.wanted_at,
    word(S.last_outcome), S.reason, S.promise, word(S.hold), S.lease_owner, S.lease_token, S.lease_expires_at,
)
ATTEMPT_COLUMNS = (
    A.id, A.attempt_ref, A.schedule_id, A.lead_id, A.campaign_id, A.attempt_number, A.telefono, A.provider,
    word(A.state), A.provider_call_id, word(A.outcome), A.claimed_at, A.placed_at, A.lookups,
    A.answered_at, A.dial_before, A.claimed_by,
)
CAMPAIGN_COLUMNS = (
    C.id, C.code, C.name, word(C.status), C.priority, C.provider, type_coerce(C.call_settings, Text).label("settings"),
    C.account_id, C.fecha_limite, C.group_name,
)
NO_LEASE: Mapping[str, Any] = {"lease_owner": None, "lease_token": None, "lease_expires_at": None}
CAPACITY_KEY = "max_concurrent_calls"


def in_states(states: Iterable[str]) -> Raw:
    return Raw("(" + ", ".join(f"'{state}'" for state in states) + ")")


# --- what is due --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DueCampaign:
    """An active campaign (None: leads without one) whose oldest pending row is due since `oldest`."""

    campaign: Campaign | None
    oldest: datetime

    @property
    def id(self) -> int | None:
        return self.campaign.id if self.campaign else None

    @property
    def priority(self) -> int:
        """0 for one that cannot be read: such a campaign is not dialed."""
        return self.campaign.priority if self.campaign and isinstance(self.campaign.priority, int) else 0


def list_due_campaigns(connection: Connection, now: datetime) -> list[DueCampaign]:
    """Active campaigns with due rows, best first: by priority, then by how long their oldest has waited.

    One seek in the index of due rows per active campaign; a paused one costs nothing, however many rows
    of it are due.
    """
    oldest = _oldest_pending(S.campaign_id == C.id).scalar_subquery()
    found = connection.execute(
        select(*CAMPAIGN_COLUMNS, oldest.label("oldest")).where(C.status == CampaignStatus.ACTIVE)
    )
    due = []
    for row in found:
        since: Any = row.oldest  # a scalar subquery: typed as the row that it selects
        if since is not None and since <= now:
            due.append(DueCampaign(to_campaign(row), since))
    without: Any = connection.execute(_oldest_pending(S.campaign_id.is_(None))).scalar()
    if without is not None and without <= now:
        due.append(DueCampaign(None, without))
    return sorted(due, key=lambda one: (-one.priority, one.oldest, one.id or 0))


def list_stopped_with_due(connection: Connection, now: datetime, limit: int) -> list[tuple[str, str]]:
    """(code, status) of paused and cancelled campaigns with due calls: a seek for each."""
    oldest = _oldest_pending(S.campaign_id == C.id).scalar_subquery()
    stopped = (CampaignStatus.PAUSED, CampaignStatus.CANCELLED)
    rows = connection.execute(
        select(C.code, word(C.status)).where(C.status.in_(stopped), oldest <= now).order_by(C.id).limit(limit)
    )
    return [(code, status) for code, status in rows]


def is_any_due(connection: Connection, now: datetime) -> bool:
    """Is a row of an active campaign, or of none, due? Stops at the first that is.

    Not by EXISTS: MariaDB would turn that into a list of all pending rows first.
    """
    oldest = _oldest_pending(S.campaign_id == C.id).scalar_subquery()
    found = connection.execute(
        select(C.id).where(C.status == CampaignStatus.ACTIVE, oldest <= now).limit(1)
    ).first()
    if found is None:
        found = connection.execute(_oldest_pending(S.campaign_id.is_(None)).where(S.scheduled_at <= now)).first()
    return found is not None


def find_next_due_at(connection: Connection) -> datetime | None:
    """When the next pending row of an active campaign (or of none) is due."""
    return min(
        (one.oldest for one in list_due_campaigns(connection, datetime.max.replace(tzinfo=UTC))), default=None
    )


@dataclass(frozen=True, slots=True)
class Workload:
    """Open attempts, rows waiting for their time (the next at `next_at`), rows held for people."""

    in_flight: int
    waiting: int
    held: int
    next_at: datetime | None


def is_any_open(connection: Connection) -> bool:
    """Is any call being placed, live or unknown, or any row in work?"""
    attempt = connection.execute(select(A.id).where(A.state.in_(OPEN_STATES)).limit(1)).first()
    row = connection.execute(select(S.id).where(S.status == ScheduleStatus.IN_PROGRESS).limit(1)).first()
    return attempt is not None or row is not None


def count_open(connection: Connection) -> dict[str, int]:
    """How many attempts are in each of the open states."""
    rows = connection.execute(
        select(A.state, func.count()).where(A.state.in_(OPEN_STATES)).group_by(A.state).order_by(A.state)
    )
    return {AttemptState(state).value: count for state, count in rows}


def read_workload(connection: Connection) -> Workload:
    """What active campaigns, and leads without one, have left to do."""
    of_active = or_(S.campaign_id.is_(None), C.status == CampaignStatus.ACTIVE)
    waiting = (
        select(func.count(), func.min(S.scheduled_at))
        .select_from(call_schedule)
        .outerjoin(campaigns, C.id == S.campaign_id)
        .where(S.status == ScheduleStatus.PENDING, of_active)
    )
    count, next_at = connection.execute(waiting.where(S.hold.is_(None))).one()
    held = connection.execute(waiting.where(S.hold.is_not(None))).one()[0]
    in_work = connection.execute(
        select(func.count()).where(S.status == ScheduleStatus.IN_PROGRESS)
    ).scalar_one()
    return Workload(max(count_in_flight(connection).total, in_work), count, held, next_at)


def _oldest_pending(of: Any) -> Select[tuple[datetime]]:
    return (
        select(S.scheduled_at)
        .where(S.status == ScheduleStatus.PENDING, of)
        .order_by(S.scheduled_at)
        .limit(1)
    )


# --- the take -----------------------------------------------------------------------------------


def lock_capacity(connection: Connection) -> None:
    """Make takes of all daemons follow one another, so that two never both find the last line free.

    The row that limits the calls is the lock on them. If somebody deleted it, it is written again.
    """
    c = scheduler_config.c
    found = connection.execute(
        select(c.config_key).where(c.config_key == CAPACITY_KEY).with_for_update()
    ).scalar()
    if found is None:
        connection.execute(insert(scheduler_config).values(
            config_key=CAPACITY_KEY, config_value="20", description="Calls at once, over all campaigns and daemons",
        ))


@dataclass(frozen=True, slots=True)
class InFlight:
    """Open attempts per campaign and in all; `placing` are those that a provider has not answered for yet."""

    by_campaign: Mapping[int | None, int]
    by_account: Mapping[int, int]
    by_provider: Mapping[str, int]
    placing: Mapping[str, int]
    total: int


def count_in_flight(connection: Connection) -> InFlight:
    rows = connection.execute(
        select(A.campaign_id, A.account_id, A.provider, A.state, func.count())
        .where(A.state.in_(OPEN_STATES))
        .group_by(A.campaign_id, A.account_id, A.provider, A.state)
    ).all()
    by_campaign: Counter[int | None] = Counter()
    by_account: Counter[int] = Counter()
    by_provider: Counter[str] = Counter()
    placing: Counter[str] = Counter()
    for campaign_id, account_id, provider, state, count in rows:
        by_campaign[campaign_id] += count
        by_provider[provider] += count
        if account_id is not None:
            by_account[account_id] += count
        if state == AttemptState.PLACING:
            placing[provider] += count
    return InFlight(by_campaign, by_account, by_provider, placing, by_campaign.total())


def read_last_turns(connection: Connection, campaign_ids: Collection[int]) -> dict[int | None, datetime]:
    """When each of these campaigns, and leads without one, last had a call claimed: one seek for each."""
    last = _last_claim(A.campaign_id == C.id).scalar_subquery()
    found: dict[int | None, datetime] = {}
    if campaign_ids:
        rows = connection.execute(select(C.id, last).where(ids_in(C.id, campaign_ids)))
        found = {row[0]: row[1] for row in rows if row[1] is not None}
    without: Any = connection.execute(_last_claim(A.campaign_id.is_(None))).scalar()
    if without is not None:
        found[None] = without
    return found


def _last_claim(of: Any) -> Select[tuple[datetime]]:
    return select(A.claimed_at).where(of, A.claimed_at.is_not(None)).order_by(A.claimed_at.desc()).limit(1)


@dataclass(frozen=True, slots=True)
class Pace:
    """What a provider may be asked for, as all daemons know it: when its next call may begin, and its breaker."""

    next_at: datetime | None = None
    breaker: Breaker = field(default_factory=Breaker)
    reason: str | None = None


def read_paces(connection: Connection, *, lock: Collection[str] = ()) -> dict[str, Pace]:
    """By provider. Takes follow one another, so `next_at` is read and set by one; breakers are locked by name."""
    query = select(
        N.provider, N.next_at, N.faults, N.rest_seconds, N.open_until, N.pace, N.rate, N.throttled_at, N.reason
    )
    if lock:
        query = query.where(N.provider.in_(lock)).order_by(N.provider).with_for_update()
    return {
        row.provider: Pace(row.next_at, Breaker(
            faults=row.faults, rest=FIRST_REST if row.rest_seconds is None else timedelta(seconds=row.rest_seconds),
            open_until=row.open_until, pace=row.pace, rate=row.rate, throttled_at=row.throttled_at,
        ), row.reason)
        for row in connection.execute(query)
    }


def write_pace(connection: Connection, provider: str, next_at: datetime) -> None:
    """When the next call to this provider may begin."""
    _write_pace(connection, provider, {"next_at": next_at}, next_at)


def write_breaker(
    connection: Connection, provider: str, breaker: Breaker, reason: str | None, now: datetime
) -> None:
    _write_pace(connection, provider, {
        "faults": breaker.faults, "rest_seconds": breaker.rest.total_seconds(), "open_until": breaker.open_until,
        "pace": breaker.pace, "rate": breaker.rate, "throttled_at": breaker.throttled_at, "reason": cut(reason),
        "changed_at": now,
    }, now)


def _write_pace(connection: Connection, provider: str, values: Mapping[str, Any], next_at: datetime) -> None:
    change = update(provider_pace).where(N.provider == provider).values(**values)
    if connection.execute(change).rowcount == 0:
        # Its first row: another daemon may be writing it at this moment, and then it is there.
        connection.execute(insert_or_ignore(provider_pace).values(provider=provider, next_at=next_at))
        connection.execute(change)


def lock_campaigns(connection: Connection, ids: Collection[int]) -> dict[int, Campaign]:
    """Lock these campaigns, in a statement of their own, and read them as they are now.

    While it is held, a pause waits: no take follows once the pause has returned. One that somebody else
    holds (an operator's open transaction) is passed by.
    """
    if not ids:
        return {}
    rows = connection.execute(
        select(*CAMPAIGN_COLUMNS)
        .where(C.id.in_(sorted(ids)))
        .order_by(C.id)
        .with_for_update(skip_locked=True)
    )
    return {row.id: to_campaign(row) for row in rows}


# Only what the gate needs: at the pace of a take every further column is felt.
TAKEN_COLUMNS = (
    S.id, S.lead_id, S.campaign_id, S.scheduled_at, S.attempt_number, S.phone_position, S.wanted_at, S.promise,
    word(S.hold),
)


BY_DUE = "FORCE INDEX (ix_call_schedule_due)"
"""In a small table a server would rather sort all of it, and what it sorts it locks: other daemons get nothing."""


def take_due(connection: Connection, campaign_id: int | None, now: datetime, limit: int) -> list[ScheduledCall]:
    """Lock and read the oldest due rows of one campaign, passing by those that others hold."""
    of = S.campaign_id.is_(None) if campaign_id is None else S.campaign_id == campaign_id
    rows = connection.execute(
        select(*TAKEN_COLUMNS)
        .with_hint(call_schedule, BY_DUE, "mysql")
        .where(S.status == ScheduleStatus.PENDING, of, S.scheduled_at <= now)
        .order_by(S.scheduled_at, S.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return [_due_call(row) for row in rows]


def take_due_of(connection: Connection, limits: Mapping[int | None, int], now: datetime) -> list[ScheduledCall]:
    """`take_due` for many campaigns, each with its own limit, in their order, by a few statements instead of one each.

    The locking selects are parts of a union: each still walks the index of due rows for its campaign and
    stops at its limit, so no other row is locked.
    """
    ranked = list_ranked(connection, limits)
    if len(limits) <= FEW or ranked:
        plain = {one: limit for one, limit in limits.items() if one not in ranked}
        taken = {
            one: take_urgent(connection, one, now, limit) for one, limit in limits.items() if one in ranked
        }
        if len(plain) <= FEW:
            taken |= {one: take_due(connection, one, now, limit) for one, limit in plain.items()}
        else:
            for row in _take_by_union(connection, plain, now):
                taken.setdefault(row.campaign_id, []).append(row)
        return [row for one in limits for row in taken.get(one, ())]
    return _take_by_union(connection, limits, now)


def list_ranked(connection: Connection, campaign_ids: Collection[int | None]) -> set[int | None]:
    """Of these campaigns (None: leads without one), those with leads of different priority: two seeks each.

    Asked for by their ends: `priority > 0` inside a dependent subquery would read every lead of the campaign.
    """
    ids = [one for one in campaign_ids if one is not None]
    ranked: set[int | None] = set()
    if ids:
        of = L.campaign_id == C.id
        rows = connection.execute(
            select(C.id, _first_priority(of, L.priority), _first_priority(of, L.priority.desc()))
            .where(ids_in(C.id, ids))
        )
        ranked |= {row[0] for row in rows if {row[1], row[2]} - {0, None}}
    if None in campaign_ids:
        of = L.campaign_id.is_(None)
        ends = connection.execute(select(_first_priority(of, L.priority), _first_priority(of, L.priority.desc()))).one()
        if set(ends) - {0, None}:
            ranked.add(None)
    return ranked


def _first_priority(of: Any, order: Any) -> Any:
    return select(L.priority).where(of).order_by(order).limit(1).scalar_subquery()


OLDEST = 2000
"""So many of the oldest due rows are compared by the priority of their leads."""
MOST_URGENT = 20_000
"""Where more are due, so many of the most urgent leads are looked at besides."""


def take_urgent(connection: Connection, campaign_id: int | None, now: datetime, limit: int) -> list[ScheduledCall]:
    """Lock and read the due rows of the most urgent leads of one campaign, of equal ones the oldest.

    The priority is the lead's as it is now. No index holds it beside the due time, so two bounded sets are
    compared: the oldest due rows, and, behind a backlog, the due rows of the most urgent leads.
    """
    of = S.campaign_id.is_(None) if campaign_id is None else S.campaign_id == campaign_id
    due = (S.status == ScheduleStatus.PENDING, of, S.scheduled_at <= now)
    oldest = connection.execute(
        select(S.id, S.scheduled_at, func.coalesce(L.priority, 0))
        .outerjoin(leads, L.id == S.lead_id)
        .where(*due)
        .order_by(S.scheduled_at, S.id)
        .limit(OLDEST)
    ).all()
    found = {row[0]: (-row[2], row[1], row[0]) for row in oldest}
    if len(oldest) == OLDEST:
        least = -sorted(found.values())[min(limit, OLDEST) - 1][0]
        lead_of = L.campaign_id.is_(None) if campaign_id is None else L.campaign_id == campaign_id
        urgent = (
            select(L.id, L.priority).where(lead_of, L.priority > least).order_by(L.priority.desc()).limit(MOST_URGENT)
        ).subquery()
        rows = connection.execute(
            select(S.id, S.scheduled_at, urgent.c.priority)
            .join(urgent, S.open_lead_id == urgent.c.id)
            .where(*due)
            .order_by(urgent.c.priority.desc(), S.scheduled_at, S.id)
            .limit(limit)
        )
        found |= {row[0]: (-row[2], row[1], row[0]) for row in rows}
    ids = [row_id for _, _, row_id in sorted(found.values())[:limit]]
    if not ids:
        return []
    locked = connection.execute(
        select(*TAKEN_COLUMNS)
        .with_hint(call_schedule, BY_ID, "mysql")
        .where(ids_in(S.id, ids), *due)
        .with_for_update(skip_locked=True)
    )
    taken = {row[0]: row for row in locked}
    return [_due_call(taken[one]) for one in ids if one in taken]


def _take_by_union(connection: Connection, limits: Mapping[int | None, int], now: datetime) -> list[ScheduledCall]:
    is_sqlite = connection.dialect.name == "sqlite"
    part = "SELECT id FROM ({})" if is_sqlite else "({} FOR UPDATE SKIP LOCKED)"
    parts = [
        part.format(
            f"SELECT id FROM call_schedule {'' if is_sqlite else BY_DUE} WHERE status = 'pending'"
            f" AND campaign_id {'IS NULL' if campaign_id is None else f'= {int(campaign_id)}'}"
            f" AND scheduled_at <= {':now' if is_sqlite else '%(now)s'} ORDER BY scheduled_at, id LIMIT {int(limit)}"
        )
        for campaign_id, limit in limits.items()
    ]
    ids: list[int] = []
    for start in range(0, len(parts), UNION_PARTS):
        union = " UNION ALL ".join(parts[start : start + UNION_PARTS])
        ids += connection.exec_driver_sql(union, {"now": raw(now)}).scalars()
    if not ids:
        return []
    rows = {row[0]: row for row in connection.execute(select(*TAKEN_COLUMNS).where(ids_in(S.id, ids)))}
    return [_due_call(rows[one]) for one in ids]


FEW = 20
UNION_PARTS = 250
"""SQLite takes 500 at most."""


def mark_in_progress(
    connection: Connection, ids: Sequence[int], *, owner: str, token: str, expires_at: datetime, now: datetime
) -> int:
    """Lease rows that this transaction has locked."""
    return change_rows(
        connection, call_schedule, [{"id": one} for one in ids],
        same={
            "status": ScheduleStatus.IN_PROGRESS.value, "lease_owner": owner, "lease_token": token,
            "lease_expires_at": expires_at, "hold": None, "updated_at": now,
        },
        guard=f"status IN {in_states(statuses_before(ScheduleStatus.IN_PROGRESS))}",
    )


def is_anything_called() -> ColumnElement[bool]:
    """False while somebody has paused everything, in whatever words: only what is clearly no lets calls be placed."""
    c = scheduler_config.c
    value = func.coalesce(func.lower(func.trim(c.config_value)), "")
    return ~exists(select(literal(1)).where(c.config_key == STOP, value.not_in(CLEARLY_NO)))


@dataclass(frozen=True, slots=True)
class Intent:
    """The permission to dial, with the evidence that it was right: becomes the `placing` row."""

    attempt_ref: str
    schedule_id: int
    lead_id: int
    campaign_id: int | None
    attempt_number: int
    phone: str
    provider: str
    claimed_at: datetime
    dial_before: datetime
    open_from: datetime
    open_until: datetime
    not_again_before: datetime | None = None
    account_id: int | None = None
    reserved: Decimal | None = None
    debt: str | None = None
    subject: str | None = None
    claimed_by: str | None = None
    rule_version: str | None = None


def insert_intents(connection: Connection, intents: Sequence[Intent]) -> dict[int, int]:
    """Write the attempts in `placing`. Returns their ids by schedule row."""
    if not intents:
        return {}
    insert_rows(connection, call_attempts, [
        {
            "attempt_ref": one.attempt_ref,
            "schedule_id": one.schedule_id,
            "lead_id": one.lead_id,
            "campaign_id": one.campaign_id,
            "attempt_number": one.attempt_number,
            "telefono": one.phone,
            "provider": one.provider,
            "state": AttemptState.PLACING.value,
            "claimed_at": one.claimed_at,
            "dial_before": one.dial_before,
            "open_from": one.open_from,
            "open_until": one.open_until,
            "not_again_before": one.not_again_before,
            "account_id": one.account_id,
            "reserved": one.reserved,
            "debt": one.debt,
            "subject": one.subject,
            "claimed_by": one.claimed_by,
            "rule_version": one.rule_version,
        }
        for one in intents
    ])
    rows = connection.execute(
        select(A.schedule_id, A.id).where(ids_in(A.schedule_id, [one.schedule_id for one in intents]), A.open_mark == 1)
    )
    return {row[0]: row[1] for row in rows}


def list_still_callable(
    connection: Connection, schedule_ids: Mapping[int, str], token: str, now: datetime, home: str
) -> set[int]:
    """Which of these rows are still ours, of an open lead, of an active campaign, to a number not barred.

    Asked once more just before dialing, of the whole batch: a person may have acted since the take. Each row comes
    with its number; `home` is the country that entries of the do-not-call list are read in.
    """
    if not schedule_ids:
        return set()
    # Asked for in WHERE, the state would tempt the optimizer to read every placing attempt for each row.
    rows = (
        select(S.id, A.telefono, case((A.state == AttemptState.PLACING, 1), else_=0))
        .join(leads, L.id == S.lead_id)
        .join(call_attempts, and_(A.schedule_id == S.id, A.open_mark == 1))
        .outerjoin(campaigns, C.id == S.campaign_id)
        .outerjoin(account_do_not_call, and_(O.account_id == C.account_id, O.telefono == A.telefono))
        .where(
            O.id.is_(None),
            ids_in(S.id, schedule_ids), S.status == ScheduleStatus.IN_PROGRESS, S.lease_token == token,
            or_(L.lead_status.is_(None), L.lead_status == LeadStatus.OPEN),
            or_(L.manual_management.is_(None), L.manual_management.is_(False)),
            or_(S.campaign_id.is_(None), C.status == CampaignStatus.ACTIVE),
            is_anything_called(),
        )
    )
    return read_callable(connection, rows, set(schedule_ids.values()), now, home)


def set_phone_positions(connection: Connection, positions: Mapping[int, int]) -> int:
    """Which number of the lead is dialed, where that was left open or the planned one is out."""
    return change_rows(
        connection, call_schedule, [{"id": one, "phone_position": at} for one, at in positions.items()],
        per_row=("phone_position",), guard="status = 'in_progress'",
    )


@dataclass(frozen=True, slots=True)
class Engaged:
    """Numbers, leads and schedule rows that have an open attempt now."""

    numbers: set[str]
    leads: set[int]
    rows: set[int]


SECOND_CALLS_LAST = timedelta(hours=6)
"""After so long a second call whose end nobody tells is taken for over."""


def read_engaged(
    connection: Connection, numbers: Collection[str], lead_ids: Collection[int], row_ids: Collection[int],
    now: datetime,
) -> Engaged:
    """Which of these are engaged, by a second call for one request too: by seeks, because there may be many thousand
    open attempts.
    """
    open_ones = select(A.telefono, A.lead_id, A.schedule_id)
    found = Engaged(set(), set(), set())
    # Each branch seeks in an index of its own; as one condition with OR they would be looked for one by one.
    asked = union_all(
        open_ones.where(A.telefono.in_(sorted(numbers)), A.open_mark == 1),
        open_ones.where(ids_in(A.lead_id, lead_ids), A.state.in_(OPEN_STATES)),
        open_ones.where(ids_in(A.schedule_id, row_ids), A.open_mark == 1),
        open_ones.join(second_calls, second_calls.c.attempt_id == A.id).where(
            second_calls.c.next_poll_at.is_not(None), second_calls.c.ended_at.is_(None),
            second_calls.c.seen_at > now - SECOND_CALLS_LAST,
            or_(A.telefono.in_(sorted(numbers)), ids_in(A.lead_id, lead_ids)),
        ),
    )
    for number, lead_id, row_id in connection.execute(asked):
        found.numbers.add(number)
        found.leads.add(lead_id)
        found.rows.add(row_id)
    return found


def lock_placing(connection: Connection, keys: Sequence[tuple[int, int, str]]) -> set[int]:
    """Of (attempt, schedule row, token): the attempts still `placing` whose row is still held by that token."""
    if not keys:
        return set()
    attempts = lock_attempts(connection, [attempt_id for attempt_id, _, _ in keys])
    rows = read_calls(connection, [schedule_id for _, schedule_id, _ in keys], lock=True)
    return {
        attempt_id
        for attempt_id, schedule_id, token in keys
        if attempt_id in attempts
        and attempts[attempt_id].state is AttemptState.PLACING
        and (row := rows.get(schedule_id)) is not None
        and row.lease_token == token
    }


def release_leases(connection: Connection, ids: Sequence[int]) -> int:
    """From here on no lease is needed: anybody may ask the provider about these rows' attempts."""
    return change_rows(
        connection, call_schedule, [{"id": one} for one in ids], same=NO_LEASE, guard="status = 'in_progress'"
    )


# --- moves of a scheduled call ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Move:
    """A pending row's new due time, and why."""

    id: int
    at: datetime
    reason: str
    wanted_at: datetime | None = None
    hold: Hold | None = None
    phone_position: int | None = None


def move_pending(connection: Connection, moves: Sequence[Move], now: datetime) -> int:
    """Give pending rows another due time. Rows that stopped waiting meanwhile are left alone."""
    return change_rows(
        connection, call_schedule,
        [
            {
                "id": one.id, "scheduled_at": one.at, "wanted_at": one.wanted_at, "reason": cut(one.reason),
                "hold": one.hold.value if one.hold else None,
            }
            for one in moves
        ],
        per_row=("scheduled_at", "wanted_at", "reason", "hold"),
        same={"updated_at": now},
        guard="status = 'pending'",
    )


def set_reason(connection: Connection, ids: Sequence[int], reason: str, now: datetime) -> int:
    """Say why rows wait, without moving them."""
    return change_rows(
        connection, call_schedule, [{"id": one} for one in ids], same={"reason": cut(reason), "updated_at": now},
        guard="status = 'pending'",
    )


def set_rounds(connection: Connection, rounds: Sequence[tuple[int, int, int]]) -> int:
    """(row, attempt number, phone position): a pending row whose round ended without a call."""
    return change_rows(
        connection, call_schedule,
        [{"id": one, "attempt_number": number, "phone_position": position} for one, number, position in rounds],
        per_row=("attempt_number", "phone_position"), guard="status = 'pending'",
    )


def hold_oldest(connection: Connection, now: datetime, *, again_at: datetime, reason: str) -> int:
    """Hold the row that a take would begin with, because no take can be written with it."""
    for one in list_due_campaigns(connection, now):
        for row in take_due(connection, one.id, now, 1):
            move = Move(row.id, again_at, reason, row.wanted_at or row.scheduled_at, Hold.ERROR)
            return move_pending(connection, [move], now)
    return 0


def give_back(connection: Connection, moves: Sequence[Move], now: datetime) -> int:
    """Rows in work wait again: no call was made, so the attempt is not spent.

    They stay on the phone they were on, unless a move names another.
    """
    set_phone_positions(
        connection, {one.id: one.phone_position for one in moves if one.phone_position is not None}
    )
    return change_rows(
        connection, call_schedule,
        [
            {
                "id": one.id, "scheduled_at": one.at, "reason": cut(one.reason),
                "hold": one.hold.value if one.hold else None,
            }
            for one in moves
        ],
        per_row=("scheduled_at", "reason", "hold"),
        same={"status": ScheduleStatus.PENDING.value, "wanted_at": None, "updated_at": now, **NO_LEASE},
        guard="status = 'in_progress'",
    )


def set_campaign(connection: Connection, campaign_of: Mapping[int, int | None], now: datetime) -> int:
    """Copy the campaign of their leads to rows that were written by hand or moved between campaigns."""
    return change_rows(
        connection, call_schedule,
        [{"id": one, "campaign_id": campaign_id} for one, campaign_id in campaign_of.items()],
        per_row=("campaign_id",), same={"updated_at": now}, guard="status = 'pending'",
    )


def cancel_rows(connection: Connection, reasons: Mapping[int, str], now: datetime) -> int:
    """Cancel open rows by id. An open attempt of theirs stays until it ends."""
    return change_rows(
        connection, call_schedule,
        [{"id": one, "reason": cut(reason)} for one, reason in reasons.items()],
        per_row=("reason",),
        same={"status": ScheduleStatus.CANCELLED.value, "hold": None, "updated_at": now, **NO_LEASE},
        guard=f"status IN {in_states(statuses_before(ScheduleStatus.CANCELLED))}",
    )


def complete_rows(connection: Connection, outcomes: Mapping[int, Outcome], now: datetime) -> int:
    """Rows in work are done, each with its outcome."""
    return change_rows(
        connection, call_schedule,
        [{"id": one, "last_outcome": outcome.value} for one, outcome in outcomes.items()],
        per_row=("last_outcome",),
        same={"status": ScheduleStatus.COMPLETED.value, "hold": None, "updated_at": now, **NO_LEASE},
        guard=f"status IN {in_states(statuses_before(ScheduleStatus.COMPLETED))}",
    )


def clear_leases(connection: Connection, ids: Sequence[int], now: datetime) -> int:
    """Take the lease off rows that are not in work any more (cancelled by hand while dialing)."""
    return change_rows(
        connection, call_schedule, [{"id": one} for one in ids],
        same={"updated_at": now, **NO_LEASE}, guard="status <> 'in_progress' AND lease_token IS NOT NULL",
    )


def insert_scheduled(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Plan calls. Each mapping holds columns of `call_schedule`; all must hold the same ones."""
    insert_rows(connection, call_schedule, [{**row, "reason": cut(row.get("reason"))} for row in rows])


def find_open_call(connection: Connection, lead_id: int) -> ScheduledCall | None:
    """The lead's open row, locked."""
    row = connection.execute(
        select(*SCHEDULE_COLUMNS).where(S.open_lead_id == lead_id).with_for_update()
    ).first()
    return to_scheduled_call(row) if row else None


def find_last_call(connection: Connection, lead_id: int) -> ScheduledCall | None:
    row = connection.execute(
        select(*SCHEDULE_COLUMNS).where(S.lead_id == lead_id).order_by(S.id.desc()).limit(1)
    ).first()
    return to_scheduled_call(row) if row else None


def read_calls(connection: Connection, ids: Collection[int], *, lock: bool = False) -> dict[int, ScheduledCall]:
    if not ids:
        return {}
    query = select(*SCHEDULE_COLUMNS).with_hint(call_schedule, BY_ID, "mysql").where(ids_in(S.id, ids)).order_by(S.id)
    rows = connection.execute(query.with_for_update() if lock else query)
    return {row[0]: to_scheduled_call(row) for row in rows}


def list_open_calls(connection: Connection, lead_ids: Collection[int], *, lock: bool = False) -> list[ScheduledCall]:
    if not lead_ids:
        return []
    query = select(*SCHEDULE_COLUMNS).where(ids_in(S.open_lead_id, lead_ids)).order_by(S.id)
    return [to_scheduled_call(row) for row in connection.execute(query.with_for_update() if lock else query)]


def list_waiting(
    connection: Connection, campaign_id: int | None, after: tuple[datetime, int] | None, limit: int
) -> list[ScheduledCall]:
    """Pending rows of one campaign in the order of the index of due rows, from beyond (due time, id)."""
    of = S.campaign_id.is_(None) if campaign_id is None else S.campaign_id == campaign_id
    beyond = [] if after is None else [
        or_(S.scheduled_at > after[0], and_(S.scheduled_at == after[0], S.id > after[1]))
    ]
    rows = connection.execute(
        select(*SCHEDULE_COLUMNS)
        .with_hint(call_schedule, "FORCE INDEX (ix_call_schedule_due)", "mysql")
        .where(S.status == ScheduleStatus.PENDING, of, *beyond)
        .order_by(S.scheduled_at, S.id)
        .limit(limit)
    )
    return [to_scheduled_call(row) for row in rows]


class PlannedCall(NamedTuple):
    """A pending row with what decides when the hours let it through. `lead_id` is None when its lead is gone."""

    id: int
    scheduled_at: datetime
    wanted_at: datetime | None
    hold: str | None
    reason: str | None
    lead_id: int | None
    time_zone: str | None
    region: str | None
    number: str | None
    """At the position that is to be rung, as `eligibility.number_at` finds it."""


_POSITION = func.coalesce(func.nullif(S.phone_position, 0), 1)
PLANNED_COLUMNS = (
    S.id, S.scheduled_at, S.wanted_at, word(S.hold), S.reason, L.id, L.time_zone, L.region,
    # Position 1 mirrors `leads.telefono`, whatever stands in lead_phones.
    func.coalesce(P.telefono, L.telefono),
)


def list_planned(
    connection: Connection, campaign_id: int | None, after: tuple[datetime, int] | None, limit: int
) -> list[PlannedCall]:
    """Pending rows of one campaign in the order of the index of due rows, from beyond (due time, id)."""
    beyond = [] if after is None else [
        or_(S.scheduled_at > after[0], and_(S.scheduled_at == after[0], S.id > after[1]))
    ]
    rows = connection.execute(
        select(*PLANNED_COLUMNS)
        .with_hint(call_schedule, "FORCE INDEX (ix_call_schedule_due)", "mysql")
        .select_from(call_schedule.outerjoin(leads, L.id == S.lead_id).outerjoin(lead_phones, and_(
            P.lead_id == L.id, P.position == _POSITION,
            or_(_POSITION > 1, func.coalesce(L.telefono, "") == ""),
        )))
        .where(S.status == ScheduleStatus.PENDING, _of(campaign_id), *beyond)
        .order_by(S.scheduled_at, S.id)
        .limit(limit)
    )
    return list(starmap(PlannedCall, rows))


def count_planned(connection: Connection, campaign_id: int | None) -> int:
    """Pending rows of one campaign, from the index of due rows alone."""
    return connection.execute(
        select(func.count()).select_from(call_schedule)
        .with_hint(call_schedule, "FORCE INDEX (ix_call_schedule_due)", "mysql")
        .where(S.status == ScheduleStatus.PENDING, _of(campaign_id))
    ).scalar_one()


def _of(campaign_id: int | None) -> ColumnElement[bool]:
    return S.campaign_id.is_(None) if campaign_id is None else S.campaign_id == campaign_id


# --- attempts -----------------------------------------------------------------------------------


def lock_attempts(connection: Connection, ids: Collection[int], *, skip_locked: bool = False) -> dict[int, Attempt]:
    """Lock attempts, in the order of their ids, so that two batches never wait for each other.

    `skip_locked`: those that somebody else holds are passed by, for work that comes round again.
    """
    if not ids:
        return {}
    rows = connection.execute(
        select(*ATTEMPT_COLUMNS)
        .with_hint(call_attempts, BY_ID, "mysql")
        .where(ids_in(A.id, ids))
        .order_by(A.id)
        .with_for_update(skip_locked=skip_locked)
    )
    return {row[0]: _attempt(row) for row in rows}


@dataclass(frozen=True, slots=True)
class Ending:
    """An attempt about to end, with what matters of the row it came from; `row_status` None: that is gone."""

    id: int
    state: AttemptState
    schedule_id: int | None
    lead_id: int
    attempt_number: int
    phone: str
    provider: str
    provider_call_id: str | None
    row_status: ScheduleStatus | None
    phone_position: int | None
    lease_token: str | None
    account_id: int | None
    reserved: Decimal | None
    campaign_id: int | None
    outcome: Outcome | None = None
    cost: Decimal | None = None
    talk_seconds: int | None = None
    appointment_at: datetime | None = None
    summary: str | None = None
    provider_status: str | None = None
    cost_unit: str | None = None

    @property
    def was_given_up(self) -> bool:
        """Refused, or ended without anybody knowing how: the truth may still come."""
        is_guess = self.provider_call_id is None or self.provider_status == UNKNOWN_END
        return self.state is AttemptState.REFUSED or (self.state is AttemptState.ENDED and is_guess)


def lock_endings(connection: Connection, ids: Collection[int]) -> list[Ending]:
    """Lock attempts and their rows, in the order of the attempts' ids."""
    rows = connection.execute(
        select(
            A.id, word(A.state), A.schedule_id, A.lead_id, A.attempt_number, A.telefono, A.provider,
            A.provider_call_id, word(S.status), S.phone_position, S.lease_token, A.account_id, A.reserved,
            A.campaign_id,
        )
        .outerjoin(call_schedule, S.id == A.schedule_id)
        .with_hint(call_attempts, BY_ID, "mysql")
        .where(ids_in(A.id, ids))
        .order_by(A.id)
        .with_for_update()
    ).all()
    # An open attempt has no end: what that was is asked of the few that are over.
    over = {row[0]: () for row in rows if row[1] not in OPEN_STATES}
    if over:
        ends = connection.execute(
            select(
                A.id, word(A.outcome), A.cost, A.talk_seconds, A.appointment_at, func.substr(A.summary, 1, 1),
                A.provider_status, A.cost_unit,
            ).where(ids_in(A.id, over))
        )
        over |= {
            row_id: (Outcome(outcome) if outcome else None, *facts) for row_id, outcome, *facts in ends
        }
    return [
        Ending(
            attempt_id, AttemptState(state), schedule_id, lead_id, number, phone, provider, call_id,
            ScheduleStatus(status) if status else None, position, token, account_id, reserved, campaign_id,
            *over.get(attempt_id, ()),
        )
        for (
            attempt_id, state, schedule_id, lead_id, number, phone, provider, call_id, status, position, token,
            account_id, reserved, campaign_id,
        ) in rows
    ]


def has_reserves(connection: Connection, account_id: int) -> bool:
    """Is something set aside of this account for a call that is open, or may a second call still be charged to it?"""
    of = select(A.id).where(A.account_id == account_id)
    second = of.join(second_calls, second_calls.c.attempt_id == A.id).where(second_calls.c.next_poll_at.is_not(None))
    query = union_all(of.where(A.state.in_(OPEN_STATES), A.reserved.is_not(None)), second)
    return connection.execute(query).first() is not None


def list_reserves(connection: Connection, attempt_ids: Collection[int]) -> list[tuple[int, int, Decimal]]:
    """(attempt, account, amount) of what is set aside for these attempts."""
    if not attempt_ids:
        return []
    rows = connection.execute(
        select(A.id, A.account_id, A.reserved)
        .where(ids_in(A.id, attempt_ids), A.reserved.is_not(None), A.account_id.is_not(None))
        .order_by(A.id)
    )
    return [(row[0], row[1], row[2]) for row in rows]


def find_open_attempt(connection: Connection, lead_id: int) -> Attempt | None:
    row = connection.execute(
        select(*ATTEMPT_COLUMNS).where(A.lead_id == lead_id, A.state.in_(OPEN_STATES)).order_by(A.id).limit(1)
    ).first()
    return _attempt(row) if row else None


def list_open_attempts(connection: Connection, campaign_id: int) -> list[Attempt]:
    """Calls of a campaign that are being placed, live or unknown."""
    rows = connection.execute(
        select(*ATTEMPT_COLUMNS).where(A.state.in_(OPEN_STATES), A.campaign_id == campaign_id).order_by(A.id)
    )
    return [_attempt(row) for row in rows]


def expire_lease(connection: Connection, schedule_id: int, now: datetime) -> int:
    """End the lease of a row in work now, so that its attempt becomes unknown and is looked up."""
    return change_rows(
        connection, call_schedule, [{"id": schedule_id}], same={"lease_expires_at": now, "updated_at": now},
        guard="status = 'in_progress' AND lease_token IS NOT NULL",
    )


def find_attempt(connection: Connection, attempt_id: int) -> Attempt | None:
    row = connection.execute(select(*ATTEMPT_COLUMNS).where(A.id == attempt_id)).first()
    return _attempt(row) if row else None


def find_attempt_id(connection: Connection, key: str, providers: Collection[str]) -> int | None:
    """The attempt by its id, by our reference, or by the id that one of these providers has given its call."""
    if key.isascii() and key.isdigit() and len(key) < 19:
        return int(key)
    by_ref = connection.execute(select(A.id).where(A.attempt_ref == key)).scalar()
    if by_ref is not None:
        return int(by_ref)
    return connection.execute(
        select(A.id).where(A.provider.in_(sorted(providers)), A.provider_call_id == key).order_by(A.id.desc()).limit(1)
    ).scalar()


def mark_live(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> int:
    """Attempts known to the provider: `id`, `provider_call_id`, `placed_at`, `next_poll_at` each."""
    return change_rows(
        connection, call_attempts, rows,
        per_row=("provider_call_id", "placed_at", "next_poll_at"),
        same={"state": AttemptState.LIVE.value, "error": None},
        guard=f"state IN {in_states(states_before(AttemptState.LIVE))}",
    )


def mark_unknown(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> int:
    """Attempts of which nobody can say whether a call was made: `id`, `placed_at`, `next_poll_at`, `error`."""
    return change_rows(
        connection, call_attempts, rows,
        per_row=("placed_at", "next_poll_at", "error"),
        same={"state": AttemptState.UNKNOWN.value},
        guard=f"state IN {in_states(states_before(AttemptState.UNKNOWN))}",
    )


def mark_refused(connection: Connection, errors: Mapping[int, str]) -> int:
    """Attempts proven to have made no call."""
    return change_rows(
        connection, call_attempts, [{"id": one, "error": cut(error)} for one, error in errors.items()],
        per_row=("error",),
        same={"state": AttemptState.REFUSED.value, "next_poll_at": None},
        guard=f"state IN {in_states(states_before(AttemptState.REFUSED))}",
    )


def note_refused(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> int:
    """What the provider said of calls that it never made: `id`, `provider_call_id`, `provider_status`, `details`."""
    described = [{"id": row["id"], "details": row["details"]} for row in rows if row.get("details") is not None]
    change_rows(connection, call_attempts, described, per_row=("details",), guard="state = 'refused'")
    return change_rows(
        connection, call_attempts,
        [{name: row[name] for name in ("id", "provider_call_id", "provider_status")} for row in rows],
        per_row=("provider_call_id", "provider_status"), guard="state = 'refused'", keep=True,
    )


def read_details(connection: Connection, ids: Collection[int]) -> dict[int, Any]:
    """What providers sent about these attempts, where they sent something."""
    if not ids:
        return {}
    rows = connection.execute(select(A.id, A.details).where(ids_in(A.id, ids), A.details.is_not(None)))
    return {row_id: details for row_id, details in rows if isinstance(details, dict)}


AMENDED = (
    "outcome", "talk_seconds", "cost", "cost_unit", "summary", "appointment_at", "answered_at", "provider_status",
)


def amend_ended(connection: Connection, attempt_id: int, values: Mapping[str, Any]) -> int:
    """More, or better, of what is known of a call that is over."""
    described = values.get("details")
    if described is not None:
        change_rows(
            connection, call_attempts, [{"id": attempt_id, "details": described}], per_row=("details",),
            guard="state = 'ended'",
        )
    return change_rows(
        connection, call_attempts, [{"id": attempt_id}],
        same={name: values[name] for name in AMENDED if values.get(name) is not None}, guard="state = 'ended'",
    )


def look_again(connection: Connection, looks: Mapping[int, datetime | None]) -> int:
    """When calls that are over are asked about once more, because more will be said of them; None: never."""
    return change_rows(
        connection, call_attempts, [{"id": one, "next_poll_at": at} for one, at in looks.items()],
        per_row=("next_poll_at",), guard="state IN ('ended', 'refused')",
    )


def rest_looks(connection: Connection, rests: Mapping[int, datetime]) -> int:
    """When unknown attempts are looked up next."""
    return change_rows(
        connection, call_attempts, [{"id": one, "next_poll_at": at} for one, at in rests.items()],
        per_row=("next_poll_at",), guard="state = 'unknown'",
    )


def await_rest(connection: Connection, ids: Sequence[int], at: datetime) -> int:
    """Calls that are over and of which more will be said: they are asked about once more at that time."""
    return change_rows(
        connection, call_attempts, [{"id": one} for one in ids], same={"next_poll_at": at, "lookups": 0},
        guard="state = 'ended'",
    )


def set_last_outcome(connection: Connection, schedule_id: int, outcome: Outcome, now: datetime) -> int:
    """A row that is done turned out otherwise."""
    return change_rows(
        connection, call_schedule, [{"id": schedule_id}],
        same={"last_outcome": outcome.value, "updated_at": now}, guard="status = 'completed'",
    )


def find_newest_attempt_id(connection: Connection, lead_id: int) -> int | None:
    return connection.execute(select(func.max(A.id)).where(A.lead_id == lead_id)).scalar()


END_COLUMNS = (
    "outcome", "provider_call_id", "provider_status", "placed_at", "answered_at", "ended_at", "talk_seconds", "cost",
    "cost_unit", "summary", "appointment_at", "error",
)


def mark_ended(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> int:
    """Attempts that are over: `id` and the columns of END_COLUMNS that any of them has a value for."""
    return _end(connection, rows, f"state IN {in_states(states_before(AttemptState.ENDED))}")


UNKNOWN_END = "unknown"
"""`provider_status` of an attempt that ended because nobody could say what became of it."""
GIVEN_UP = (
    "(state = 'refused' OR (state = 'ended' AND "
    f"(provider_call_id IS NULL OR provider_status = '{UNKNOWN_END}')))"
)


def record_late_truth(connection: Connection, row: Mapping[str, Any]) -> bool:
    """What really happened on an attempt that we had given up. False: somebody recorded it already."""
    return _end(connection, [row], GIVEN_UP) == 1


def _end(connection: Connection, rows: Sequence[Mapping[str, Any]], guard: str) -> int:
    # Columns that no row has a value for keep theirs, and values that all rows share are written once.
    used = tuple(name for name in END_COLUMNS if any(row.get(name) is not None for row in rows))
    changed = tuple(name for name in used if any(row.get(name) != rows[0].get(name) for row in rows))
    same = {name: rows[0].get(name) for name in used if name not in changed}
    if "error" not in used:
        same["error"] = None  # that of a lost start is no part of what the call turned out to be
    elif "error" in changed:
        cleared = [{"id": row["id"]} for row in rows if row.get("error") is None]
        change_rows(connection, call_attempts, cleared, same={"error": None}, guard=guard)
    # JSON goes in a statement of its own: mixed with the column's own value it would lose its type on MySQL.
    described = [{"id": row["id"], "details": row["details"]} for row in rows if row.get("details") is not None]
    change_rows(connection, call_attempts, described, per_row=("details",), guard=guard)
    return change_rows(
        connection, call_attempts,
        [{"id": row["id"], **{name: row.get(name) for name in changed}} for row in rows],
        per_row=changed,
        same={"state": AttemptState.ENDED.value, "next_poll_at": None, **same},
        guard=guard,
        keep=True,  # a report that leaves something out does not take back what an earlier one said
    )


def insert_ended_attempt(connection: Connection, values: Mapping[str, Any]) -> int:
    """A call made by hand: an attempt that is over when it is first written."""
    return insert_row(connection, call_attempts, values)


FOLLOWED = (AttemptState.LIVE, AttemptState.UNKNOWN, AttemptState.ENDED, AttemptState.REFUSED)
"""Those with a `next_poll_at`, in the order of their looks: of calls that are over or were given up only those of
which more is to be learnt.
"""


BY_NEXT_LOOK = "FORCE INDEX (ix_call_attempts_poll)"


def take_polls(connection: Connection, now: datetime, again_at: datetime, limit: int) -> list[Attempt]:
    """Live and unknown attempts whose look is due, and those that are over and of which more will be said; the
    next look is set first, so that no other daemon asks at the same time and one that cannot be answered does
    not come straight back.
    """
    found: list[Attempt] = []
    for state in FOLLOWED:
        # A seek for each: over several states at once MySQL would sort, and what it sorts it locks, all that is due.
        rows = connection.execute(
            select(*ATTEMPT_COLUMNS)
            .with_hint(call_attempts, BY_NEXT_LOOK, "mysql")
            .where(A.state == state, A.next_poll_at <= now)
            .order_by(A.next_poll_at)
            .limit(limit - len(found))
            .with_for_update(skip_locked=True)
        )
        found += [_attempt(row) for row in rows]
        if len(found) >= limit:
            break
    change_rows(
        connection, call_attempts, [{"id": one.id} for one in found],
        same={"next_poll_at": again_at}, guard=f"state IN {in_states(FOLLOWED)}",
    )
    return found


def is_poll_due(connection: Connection, now: datetime) -> bool:
    return connection.execute(
        select(A.id).where(A.state.in_(FOLLOWED), A.next_poll_at <= now).limit(1)
    ).first() is not None


def count_look(connection: Connection, ids: Sequence[int]) -> int:
    """One more look at the provider found nothing."""
    return change_rows(
        connection, call_attempts, [{"id": one} for one in ids],
        same={"lookups": Raw("lookups + 1")}, guard="state IN ('unknown', 'ended', 'refused')",
    )


def note_doubts(connection: Connection, doubts: Mapping[int, str]) -> int:
    """Why open attempts could not be settled so far: what people read who must decide."""
    return change_rows(
        connection, call_attempts, [{"id": one, "error": cut(why)} for one, why in doubts.items()],
        per_row=("error",), guard="state IN ('live', 'unknown')",
    )


def find_followed(
    connection: Connection, provider: str, refs: Collection[str], call_ids: Collection[str]
) -> list[Attempt]:
    """Attempts at this provider by our reference or by its call id."""
    found: dict[int, Attempt] = {}
    for column, keys in ((A.attempt_ref, refs), (A.provider_call_id, call_ids)):
        if keys:
            rows = connection.execute(
                select(*ATTEMPT_COLUMNS).where(A.provider == provider, column.in_(sorted(keys)))
            )
            found |= {row[0]: _attempt(row) for row in rows}
    return list(found.values())


def find_own_refs(connection: Connection, refs: Collection[str]) -> set[str]:
    """Those of these references that attempts of ours have."""
    if not refs:
        return set()
    return set(connection.execute(select(A.attempt_ref).where(A.attempt_ref.in_(sorted(refs)))).scalars())


def find_holder(connection: Connection, provider: str, call_id: str) -> int | None:
    """The attempt that this call of a provider belongs to, if any."""
    return connection.execute(
        select(A.id).where(A.provider == provider, A.provider_call_id == call_id)
    ).scalar()


def note_late_call(connection: Connection, attempt_id: int, call_id: str, now: datetime) -> int:
    """An attempt that had been given up turns out to be a call: it is asked about, until its end is known."""
    return change_rows(
        connection, call_attempts, [{"id": attempt_id}],
        same={"provider_call_id": call_id, "next_poll_at": now, "lookups": 0},
        guard=f"{GIVEN_UP} AND provider_call_id IS NULL",
    )


def search_again(connection: Connection, ids: Sequence[int], now: datetime) -> int:
    """Attempts that were given up although their requests may have left later: looked for by reference once more."""
    return change_rows(
        connection, call_attempts, [{"id": one} for one in ids], same={"next_poll_at": now, "lookups": 0},
        guard=f"{GIVEN_UP} AND provider_call_id IS NULL",
    )


def note_placed(connection: Connection, placed: Mapping[int, datetime]) -> int:
    """When requests really left, as the process that sent them knows: others had to guess."""
    return change_rows(
        connection, call_attempts, [{"id": one, "placed_at": at} for one, at in placed.items()],
        per_row=("placed_at",), guard="state <> 'placing'",
    )


def read_closings(connection: Connection, ids: Collection[int]) -> dict[int, datetime]:
    """When the hours end that these attempts were judged by."""
    rows = connection.execute(select(A.id, A.open_until).where(ids_in(A.id, ids), A.open_until.is_not(None)))
    return {row[0]: row[1] for row in rows}


def poll_soon(connection: Connection, ids: Sequence[int], now: datetime) -> int:
    """Ask about these calls at the next look."""
    return change_rows(
        connection, call_attempts, [{"id": one} for one in ids], same={"next_poll_at": now},
        guard="state IN ('live', 'unknown')",
    )


def note_answered(connection: Connection, answered: Mapping[int, datetime]) -> int:
    return change_rows(
        connection, call_attempts, [{"id": one, "answered_at": at} for one, at in answered.items()],
        per_row=("answered_at",), guard="state = 'live' AND answered_at IS NULL",
    )


def list_expired_leases(connection: Connection, now: datetime, limit: int) -> list[tuple[int, int]]:
    """(attempt, schedule row) of dials whose lease ran out: the process that held them is gone or frozen."""
    rows = connection.execute(
        select(A.id, S.id)
        .join(call_schedule, S.id == A.schedule_id)
        .where(
            A.state == AttemptState.PLACING,
            or_(S.lease_expires_at < now, and_(S.status != ScheduleStatus.IN_PROGRESS, A.dial_before < now)),
        )
        .limit(limit)
    )
    return [(attempt_id, schedule_id) for attempt_id, schedule_id in rows]


def list_placing_without_row(connection: Connection, before: datetime, limit: int) -> list[int]:
    """Attempts still `placing` whose schedule row somebody deleted."""
    return list(connection.execute(
        select(A.id)
        .outerjoin(call_schedule, S.id == A.schedule_id)
        .where(A.state == AttemptState.PLACING, S.id.is_(None), A.claimed_at < before)
        .limit(limit)
    ).scalars())


def list_rows_without_attempt(connection: Connection, before: datetime, limit: int) -> list[int]:
    """Rows in work without an open attempt: only a hand-written UPDATE makes one."""
    return list(connection.execute(
        select(S.id)
        .outerjoin(call_attempts, and_(A.schedule_id == S.id, A.open_mark == 1))
        .where(S.status == ScheduleStatus.IN_PROGRESS, A.id.is_(None), S.updated_at < before)
        .limit(limit)
    ).scalars())


def list_leased_but_over(connection: Connection) -> list[int]:
    """Rows with an open attempt that were cancelled by hand and still carry a lease."""
    return list(connection.execute(
        select(S.id)
        .join(call_attempts, A.schedule_id == S.id)
        .where(A.state.in_(OPEN_STATES), S.status == ScheduleStatus.CANCELLED, S.lease_token.is_not(None))
    ).scalars())


def count_refusals(connection: Connection, schedule_ids: Collection[int]) -> dict[int, int]:
    """How often each row was refused by a provider so far."""
    if not schedule_ids:
        return {}
    rows = connection.execute(
        select(A.schedule_id, func.count())
        .where(ids_in(A.schedule_id, schedule_ids), A.state == AttemptState.REFUSED)
        .group_by(A.schedule_id)
    )
    return {row[0]: row[1] for row in rows}


# --- tidying ------------------------------------------------------------------------------------


def list_rows_of_closed(connection: Connection, limit: int) -> list[int]:
    """Pending rows whose lead is closed."""
    return list(connection.execute(_rows_of_closed(S.id).limit(limit)).scalars())


def count_rows_of_closed(connection: Connection) -> int:
    return int(connection.execute(_rows_of_closed(func.count())).scalar_one())


def count_cancelled(connection: Connection, before: datetime) -> int:
    return connection.execute(
        select(func.count()).where(S.status == ScheduleStatus.CANCELLED, S.created_at < before)
    ).scalar_one()


def delete_cancelled(connection: Connection, before: datetime, limit: int) -> int:
    """Delete cancelled rows made before then. Their attempts stay: history is never deleted."""
    found = list(connection.execute(
        select(S.id).where(S.status == ScheduleStatus.CANCELLED, S.created_at < before).limit(limit)
    ).scalars())
    if not found:
        return 0
    return connection.execute(
        delete(call_schedule).where(S.id.in_(found), S.status == ScheduleStatus.CANCELLED)
    ).rowcount


def count_orphans(connection: Connection) -> tuple[int, tuple[int, ...]]:
    """How many scheduled calls have no lead any more, and the first of them."""
    orphans = select(S.id).outerjoin(leads, L.id == S.lead_id).where(L.id.is_(None))
    count = connection.execute(select(func.count()).select_from(orphans.subquery())).scalar_one()
    return count, tuple(connection.execute(orphans.order_by(S.id).limit(10)).scalars()) if count else ()


def _rows_of_closed(what: Any) -> Select[Any]:
    return (
        select(what)
        .select_from(call_schedule)
        .join(leads, L.id == S.lead_id)
        .where(S.status == ScheduleStatus.PENDING, L.lead_status == LeadStatus.CLOSED)
    )


# --- rows as values -----------------------------------------------------------------------------


def to_scheduled_call(row: Any) -> ScheduledCall:
    (
        row_id, lead_id, campaign_id, scheduled_at, number, position, status, wanted_at, outcome, reason, promise, hold,
        owner, token, expires_at,
    ) = row
    return ScheduledCall(
        row_id, lead_id, campaign_id, scheduled_at, number, position, ScheduleStatus(status), wanted_at,
        Outcome(outcome) if outcome else None, reason, bool(promise), Hold(hold) if hold else None, owner, token,
        expires_at,
    )


def _due_call(row: Any) -> ScheduledCall:
    row_id, lead_id, campaign_id, scheduled_at, number, position, wanted_at, promise, hold = row
    return ScheduledCall(
        row_id, lead_id, campaign_id, scheduled_at, number, position, ScheduleStatus.PENDING, wanted_at,
        promise=bool(promise), hold=Hold(hold) if hold else None,
    )


def _attempt(row: Any) -> Attempt:
    (
        attempt_id, ref, schedule_id, lead_id, campaign_id, number, phone, provider, state, call_id, outcome,
        claimed_at, placed_at, lookups, answered_at, dial_before, claimed_by,
    ) = row
    return Attempt(
        attempt_id, ref, schedule_id, lead_id, campaign_id, number, phone, provider, AttemptState(state), call_id,
        Outcome(outcome) if outcome else None, claimed_at, placed_at, lookups, answered_at=answered_at,
        dial_before=dial_before, claimed_by=claimed_by,
    )


def to_campaign(row: Any) -> Campaign:
    return Campaign(
        id=row.id, code=row.code, name=row.name, status=to_campaign_status(row.status), priority=row.priority,
        provider=row.provider, settings=row.settings, account_id=row.account_id,
        call_until=row.fecha_limite, group=row.group_name, odd_status=None if row.status in _STATUSES else row.status,
    )


def to_campaign_status(text: str) -> CampaignStatus:
    """A word that is none of ours is what a server without strict mode makes of one that it does not know: it stops."""
    return CampaignStatus(text) if text in _STATUSES else CampaignStatus.PAUSED


_STATUSES = {one.value for one in CampaignStatus}



