"""Campaigns: reading them, starting and finishing them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, or_, select, update

from scheduler.model import OPEN_STATES, Campaign, CampaignStatus, ScheduleStatus
from scheduler.store.calls import CAMPAIGN_COLUMNS, to_campaign
from scheduler.store.database import insert_row
from scheduler.store.tables import call_attempts, call_schedule, campaigns

A, C, S = call_attempts.c, campaigns.c, call_schedule.c


def read_campaigns(connection: Connection, ids: Collection[int]) -> dict[int, Campaign]:
    if not ids:
        return {}
    rows = connection.execute(select(*CAMPAIGN_COLUMNS).where(C.id.in_(sorted(ids))))
    return {row.id: to_campaign(row) for row in rows}


def list_active(connection: Connection) -> list[Campaign]:
    rows = connection.execute(select(*CAMPAIGN_COLUMNS).where(C.status == CampaignStatus.ACTIVE).order_by(C.id))
    return [to_campaign(row) for row in rows]


def find_campaign(connection: Connection, key: str | int) -> Campaign | None:
    """By code, or by id."""
    of = C.code == str(key)
    if str(key).isdigit():
        of = or_(of, C.id == int(key))
    row = connection.execute(select(*CAMPAIGN_COLUMNS).where(of).order_by(C.code == str(key)).limit(1)).first()
    return to_campaign(row) if row else None


def insert_campaign(connection: Connection, values: Mapping[str, Any]) -> int:
    return insert_row(connection, campaigns, values)


def start_campaigns(connection: Connection, ids: Collection[int], now: datetime) -> int:
    """Note the first time that a campaign had calls to place."""
    if not ids:
        return 0
    return connection.execute(
        update(campaigns).where(C.id.in_(sorted(ids)), C.started_at.is_(None)).values(started_at=now)
    ).rowcount


def complete_campaigns(connection: Connection, now: datetime) -> list[int]:
    """Complete started campaigns that have nothing left to call."""
    calling = select(A.id).where(A.campaign_id == C.id, A.state.in_(OPEN_STATES)).exists()
    found = list(connection.execute(
        select(C.id).where(
            C.status == CampaignStatus.ACTIVE, C.started_at.is_not(None), _any_row(ScheduleStatus.PENDING).is_(None),
            _any_row(ScheduleStatus.IN_PROGRESS).is_(None), ~calling,
        )
    ).scalars())
    return _set_status(connection, found, CampaignStatus.ACTIVE, CampaignStatus.COMPLETED, now)


def resume_completed(connection: Connection, now: datetime) -> list[int]:
    """A campaign that we completed and that was given new rows since, by SQL or import, goes on.

    One that a person set to completed stays so: it has no `completed_at`.
    """
    found = list(connection.execute(
        select(C.id).where(
            C.status == CampaignStatus.COMPLETED, C.completed_at.is_not(None),
            _any_row(ScheduleStatus.PENDING, S.created_at > C.completed_at).is_not(None),
        )
    ).scalars())
    return _set_status(connection, found, CampaignStatus.COMPLETED, CampaignStatus.ACTIVE, now)


def list_stopped_with_rows(connection: Connection) -> list[Campaign]:
    """Campaigns that are not called (paused, cancelled, completed by hand) and have pending rows."""
    rows = connection.execute(
        select(*CAMPAIGN_COLUMNS)
        .where(C.status != CampaignStatus.ACTIVE, _any_row(ScheduleStatus.PENDING).is_not(None))
        .order_by(C.id)
    )
    return [to_campaign(row) for row in rows]


def list_lost_campaigns(connection: Connection) -> list[int]:
    """Campaign ids of pending rows that no campaign has: somebody deleted it."""
    used = select(S.campaign_id).where(S.status == ScheduleStatus.PENDING).group_by(S.campaign_id)
    ids = {one for one in connection.execute(used).scalars() if one is not None}
    return sorted(ids - set(read_campaigns(connection, ids)))


def _any_row(status: ScheduleStatus, *also: ColumnElement[bool]) -> Any:
    """One row of the campaign in that status. A scalar with LIMIT is one seek; EXISTS would be materialised,
    by reading every pending row there is.
    """
    return select(S.id).where(S.campaign_id == C.id, S.status == status, *also).limit(1).scalar_subquery()


def _set_status(
    connection: Connection, ids: list[int], leaving: CampaignStatus, to: CampaignStatus, now: datetime
) -> list[int]:
    if ids:
        connection.execute(
            update(campaigns)
            .where(C.id.in_(ids), C.status == leaving)
            .values(status=to, completed_at=now if to is CampaignStatus.COMPLETED else None)
        )
    return ids
