"""What alerts are raised from, in a few statements for the whole installation, however many campaigns it has.

Counted are only rows that are due, held, open or of the last day: what waits for later and what is long over
is never read. Nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, or_, select, type_coerce

from scheduler.model import (
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
from scheduler.store.accounts import read_accounts
from scheduler.store.calls import CAMPAIGN_COLUMNS, to_campaign, word
from scheduler.store.database import ids_in
from scheduler.store.tables import accounts, call_attempts, call_schedule, campaigns, daemons, events

A, C, E, K, N, S = call_attempts.c, campaigns.c, events.c, accounts.c, daemons.c, call_schedule.c

NEWEST_EVENTS = 200_000
"""Among so many events, the newest, a breaker is looked for: its kind has no index of its own."""


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
class BreakerRow:
    """The newest event of one daemon about one provider."""

    is_open: bool
    details: dict[str, Any]
    reason: str | None


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


def count_due(connection: Connection, campaign_ids: Collection[int], now: datetime) -> list[DueRow]:
    """Due calls of these campaigns and of none, each from its part of the index of due rows."""
    rows = connection.execute(
        select(S.campaign_id, func.count(), func.min(S.scheduled_at))
        .where(S.status == ScheduleStatus.PENDING, S.scheduled_at <= now, _of(S.campaign_id, campaign_ids))
        .group_by(S.campaign_id)
        .order_by(S.campaign_id)
    )
    return [DueRow(*row) for row in rows]


def list_oldest_due(connection: Connection, campaign_ids: Collection[int], now: datetime) -> dict[int, datetime]:
    """Since when the first call of each of these campaigns is due: one seek each, and no row more, because a
    campaign that rests may have millions.
    """
    if not campaign_ids:
        return {}
    oldest = (
        select(S.scheduled_at)
        .where(S.status == ScheduleStatus.PENDING, S.campaign_id == C.id, S.scheduled_at <= now)
        .order_by(S.scheduled_at)
        .limit(1)
        .scalar_subquery()
    )
    rows = connection.execute(select(C.id, oldest).where(ids_in(C.id, campaign_ids)).order_by(C.id))
    return {campaign_id: at for campaign_id, at in rows if at is not None}


def count_held(connection: Connection, wished_before: datetime) -> list[HeldRow]:
    """Pending calls that wait for people, wished before then."""
    wished_at = func.coalesce(S.wanted_at, S.scheduled_at)
    rows = connection.execute(
        select(S.campaign_id, word(S.hold), func.count(), func.min(wished_at))
        .where(S.hold.is_not(None), S.status == ScheduleStatus.PENDING, wished_at < wished_before)
        .group_by(S.campaign_id, S.hold)
        .order_by(S.campaign_id, S.hold)
    )
    return [HeldRow(row[0], Hold(row[1]), *row[2:]) for row in rows]


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


def list_live(connection: Connection) -> list[LiveRow]:
    begun_at = func.coalesce(A.placed_at, A.claimed_at)
    rows = connection.execute(
        select(A.id, A.campaign_id, begun_at)
        .where(A.state == AttemptState.LIVE, begun_at.is_not(None))
        .order_by(A.id)
    )
    return [LiveRow(*row) for row in rows]


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


def list_breaker_news(connection: Connection, since: datetime) -> list[BreakerRow]:
    """What the daemons said of their breakers since then, oldest first."""
    newest = connection.execute(select(func.max(E.id))).scalar() or 0
    rows = connection.execute(
        select(E.kind, E.actor, E.details, E.reason)
        .where(E.id > newest - NEWEST_EVENTS, E.at >= since, E.kind.in_(("breaker_open", "breaker_closed")))
        .order_by(E.id)
    )
    return [
        BreakerRow(row.kind == "breaker_open", {**(row.details or {}), "daemon": row.actor}, row.reason) for row in rows
    ]


def list_payers(connection: Connection) -> list[Account]:
    """Accounts in use whose balance pays for calls."""
    ids = connection.execute(
        select(K.id).where(K.status == "active", K.billing_type != BillingType.UNLIMITED).order_by(K.id)
    )
    found = read_accounts(connection, list(ids.scalars()))
    return [found[one] for one in sorted(found)]


def list_signs(connection: Connection) -> list[SignRow]:
    """Daemons that did not say goodbye, with their last sign of life."""
    rows = connection.execute(
        select(N.owner, N.host, word(N.wanted), N.started_at, N.last_seen_at)
        .where(N.status == "running")
        .order_by(N.id)
    )
    return [SignRow(row[0], row[1], DaemonWish(row[2]), row[3], row[4]) for row in rows]


def _of(column: ColumnElement[Any], campaign_ids: Collection[int]) -> ColumnElement[bool]:
    return or_(column.is_(None), ids_in(column, campaign_ids)) if campaign_ids else column.is_(None)


def _any_not_held(of: ColumnElement[bool]) -> Any:
    """One row that nobody holds. A scalar with LIMIT stops at the first one."""
    return (
        select(S.id)
        .where(S.status.in_((ScheduleStatus.PENDING, ScheduleStatus.IN_PROGRESS)), of, S.hold.is_(None))
        .limit(1)
    )
