"""What alerts are raised from, in a few statements for the whole installation, however many campaigns it has.

Counted are only rows that are due, held, open or of the last day: what waits for later and what is long over
is never read. Nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    String,
    func,
    literal,
    literal_column,
    null,
    or_,
    select,
    type_coerce,
    union_all,
)

from scheduler.model import (
    OPEN_STATES,
    Account,
    AttemptState,
    BillingType,
    Campaign,
    CampaignStatus,
    DaemonWish,
    Hold,
    Outcome,
    ScheduleStatus,
)
from scheduler.store.accounts import list_all
from scheduler.store.calls import CAMPAIGN_COLUMNS, to_campaign, word
from scheduler.store.database import ids_in
from scheduler.store.journal import to_wish
from scheduler.store.tables import accounts, call_attempts, call_schedule, campaigns, daemons, events

A, C, E, K, N, S = call_attempts.c, campaigns.c, events.c, accounts.c, daemons.c, call_schedule.c

NEWEST_EVENTS = 200_000
"""Among so many events, the newest, news are looked for: their kinds have no index of their own."""


@dataclass(frozen=True, slots=True)
class DueRow:
    campaign_id: int | None
    calls: int
    oldest: datetime


@dataclass(frozen=True, slots=True)
class HeldRow:
    """`oldest` is when the first of these calls was wished."""

    campaign_id: int | None
    hold: Hold
    calls: int
    oldest: datetime


@dataclass(frozen=True, slots=True)
class LiveRow:
    attempt_id: int
    campaign_id: int | None
    begun_at: datetime


@dataclass(frozen=True, slots=True)
class EndedRow:
    campaign_id: int | None
    calls: int
    completed: int


@dataclass(frozen=True, slots=True)
class NewsRow:
    """What one daemon wrote down of a provider, of a host or of one of its dials."""

    kind: str
    daemon: str
    at: datetime
    attempt_id: int | None
    reason: str | None
    details: dict[str, Any]


@dataclass(frozen=True, slots=True)
class SignRow:
    owner: str
    host: str
    wanted: DaemonWish
    started_at: datetime
    last_seen_at: datetime


def list_in_use(connection: Connection) -> list[Campaign]:
    """Campaigns that are called, or will be once somebody lets them go on."""
    in_use = C.status.in_((CampaignStatus.ACTIVE, CampaignStatus.PAUSED))
    return [to_campaign(row) for row in connection.execute(select(*CAMPAIGN_COLUMNS).where(in_use).order_by(C.id))]


@dataclass(frozen=True, slots=True)
class Waiting:
    """Calls that are due in campaigns that are called, since when the first is due in those that rest, held ones."""

    due: list[DueRow]
    resting: dict[int, datetime]
    held: list[HeldRow]


def read_waiting(
    connection: Connection, called: Collection[int], resting: Collection[int], now: datetime, wished_before: datetime
) -> Waiting:
    """In one statement: due calls of the campaigns that are `called` and of none, each from its part of the index of
    due rows; since when the first call of each `resting` one is due, by one seek and no row more, because a campaign
    that rests may have millions; and pending calls that wait for people, wished before then.
    """
    no_hold = type_coerce(null(), String)
    due = (
        select(literal("due"), S.campaign_id, no_hold.label("hold"), func.count(), func.min(S.scheduled_at))
        .where(S.status == ScheduleStatus.PENDING, S.scheduled_at <= now, _of(S.campaign_id, called))
        .group_by(S.campaign_id)
    )
    oldest = (
        select(S.scheduled_at)
        .where(S.status == ScheduleStatus.PENDING, S.campaign_id == C.id, S.scheduled_at <= now)
        .order_by(S.scheduled_at)
        .limit(1)
        .scalar_subquery()
    )
    rest = select(literal("resting"), C.id, no_hold, literal_column("0"), oldest).where(ids_in(C.id, resting))
    wished_at = func.coalesce(S.wanted_at, S.scheduled_at)
    held = (
        select(literal("held"), S.campaign_id, word(S.hold), func.count(), func.min(wished_at))
        .where(S.hold.is_not(None), S.status == ScheduleStatus.PENDING, wished_at < wished_before)
        .group_by(S.campaign_id, S.hold)
    )
    found = Waiting([], {}, [])
    for what, campaign_id, hold, calls, at in connection.execute(union_all(due, *((rest,) if resting else ()), held)):
        if what == "due":
            found.due.append(DueRow(campaign_id, calls, at))
        elif what == "held":
            found.held.append(HeldRow(campaign_id, Hold(hold), calls, at))
        elif at is not None:
            found.resting[campaign_id] = at
    found.due.sort(key=lambda one: one.campaign_id or 0)
    found.held.sort(key=lambda one: (one.campaign_id or 0, one.hold))
    return Waiting(found.due, dict(sorted(found.resting.items())), found.held)


def list_going_on(connection: Connection, campaign_ids: Collection[int | None]) -> set[int | None]:
    """Those of these campaigns (None: leads without one) that have a call planned or in work and not held."""
    if not campaign_ids:
        return set()
    known = [one for one in campaign_ids if one is not None]
    found: set[int | None] = set(connection.execute(
        select(C.id).where(ids_in(C.id, known), _any_not_held(S.campaign_id == C.id).scalar_subquery().is_not(None))
    ).scalars()) if known else set()
    if None in campaign_ids and connection.execute(_any_not_held(S.campaign_id.is_(None))).first() is not None:
        found.add(None)
    return found


def list_open(connection: Connection) -> tuple[list[LiveRow], list[LiveRow], int]:
    """Calls that are live with when they began, dials that are undecided with when they were claimed, and how many
    calls are open at all.
    """
    begun_at = func.coalesce(A.placed_at, A.claimed_at)
    rows = connection.execute(
        select(A.id, A.campaign_id, begun_at, word(A.state)).where(A.state.in_(OPEN_STATES)).order_by(A.id)
    ).all()
    live = [LiveRow(*row[:3]) for row in rows if row[3] == AttemptState.LIVE and row[2] is not None]
    undecided = [LiveRow(*row[:3]) for row in rows if row[3] == AttemptState.UNKNOWN and row[2] is not None]
    return live, undecided, len(rows)


def count_ended(connection: Connection, campaign_ids: Collection[int], since: datetime) -> list[EndedRow]:
    """Calls of these campaigns and of none that we began since then and that are over."""
    completed = func.coalesce(func.sum(type_coerce(A.outcome == Outcome.COMPLETED, S.attempt_number.type)), 0)
    rows = connection.execute(
        select(A.campaign_id, func.count(), completed)
        .where(_of(A.campaign_id, campaign_ids), A.claimed_at >= since, A.outcome.is_not(None))
        .group_by(A.campaign_id)
        .order_by(A.campaign_id)
    )
    return [EndedRow(campaign_id, calls, int(people)) for campaign_id, calls, people in rows]


def list_news(connection: Connection, kinds: Collection[str], since: datetime) -> list[NewsRow]:
    """Events of these kinds since then, oldest first."""
    newest = select(func.coalesce(func.max(E.id), 0)).scalar_subquery()
    rows = connection.execute(
        select(E.kind, E.actor, E.at, E.attempt_id, E.reason, E.details)
        .where(E.id > newest - NEWEST_EVENTS, E.at >= since, E.kind.in_(sorted(kinds)))
        .order_by(E.id)
    )
    return [NewsRow(row.kind, row.actor, row.at, row.attempt_id, row.reason, row.details or {}) for row in rows]


def list_payers(connection: Connection) -> list[Account]:
    """Accounts in use whose balance pays for calls."""
    return list_all(connection, K.status == "active", K.billing_type != BillingType.UNLIMITED)


def list_signs(connection: Connection) -> list[SignRow]:
    """Daemons that did not say goodbye, with their last sign of life."""
    rows = connection.execute(
        select(N.owner, N.host, word(N.wanted), N.started_at, N.last_seen_at)
        .where(N.status == "running")
        .order_by(N.id)
    )
    return [SignRow(row[0], row[1], to_wish(row[2]), row[3], row[4]) for row in rows]


def _of(column: ColumnElement[Any], campaign_ids: Collection[int]) -> ColumnElement[bool]:
    return or_(column.is_(None), ids_in(column, campaign_ids)) if campaign_ids else column.is_(None)


def _any_not_held(of: ColumnElement[bool]) -> Any:
    """One row that nobody holds. A scalar with LIMIT stops at the first one."""
    return (
        select(S.id)
        .where(S.status.in_((ScheduleStatus.PENDING, ScheduleStatus.IN_PROGRESS)), of, S.hold.is_(None))
        .limit(1)
    )
