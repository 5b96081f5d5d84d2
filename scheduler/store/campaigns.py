"""Campaigns: reading them, starting and finishing them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Text, or_, select, type_coerce, update

from scheduler.model import OPEN_STATES, Campaign, CampaignStatus, LeadStatus, ScheduleStatus
from scheduler.store.calls import CAMPAIGN_COLUMNS, cut, to_campaign
from scheduler.store.database import insert_row
from scheduler.store.tables import call_attempts, call_schedule, campaigns, leads

A, C, L, S = call_attempts.c, campaigns.c, leads.c, call_schedule.c


def read_campaigns(connection: Connection, ids: Collection[int]) -> dict[int, Campaign]:
    if not ids:
        return {}
    rows = connection.execute(select(*CAMPAIGN_COLUMNS).where(C.id.in_(sorted(ids))))
    return {row.id: to_campaign(row) for row in rows}


def lock_campaign(connection: Connection, key: str | int) -> Campaign | None:
    """By code or id, locked: a take that is under way is waited for, and none follows until this is committed."""
    found = find_campaign(connection, key)
    if found is None:
        return None
    row = connection.execute(select(*CAMPAIGN_COLUMNS).where(C.id == found.id).with_for_update()).first()
    return to_campaign(row) if row else None


def change_status(
    connection: Connection, ids: Collection[int], to: CampaignStatus, *, leaving: Collection[CampaignStatus],
    reason: str | None, completed_at: datetime | None = None,
) -> int:
    """Move campaigns to a status, each from one of `leaving`. Returns how many were."""
    if not ids:
        return 0
    return connection.execute(
        update(campaigns)
        .where(C.id.in_(sorted(ids)), C.status.in_(list(leaving)))
        .values(status=to, status_reason=cut(reason), completed_at=completed_at)
    ).rowcount


def change_campaign(connection: Connection, campaign_id: int, values: Mapping[str, Any]) -> None:
    connection.execute(update(campaigns).where(C.id == campaign_id).values(**values))


def read_values(connection: Connection, campaign_id: int, names: Sequence[str]) -> dict[str, Any]:
    """Columns of one campaign as they are; settings that are no JSON are given as text."""
    found: dict[str, Any] = {}
    for name in names:
        column = type_coerce(campaigns.c[name], Text) if name == "call_settings" else campaigns.c[name]
        value = connection.execute(select(column).where(C.id == campaign_id)).scalar()
        if name == "call_settings" and isinstance(value, str):
            with contextlib.suppress(ValueError):
                value = json.loads(value)
        found[name] = value
    return found


def list_paused(connection: Connection) -> list[tuple[int, str, str | None]]:
    """(id, code, reason) of paused campaigns."""
    rows = connection.execute(
        select(C.id, C.code, C.status_reason).where(C.status == CampaignStatus.PAUSED).order_by(C.id)
    )
    return [(row[0], row[1], row[2]) for row in rows]


def list_overdue(connection: Connection, today: date) -> list[Campaign]:
    """Active and paused campaigns whose last date to call lies before `today`."""
    rows = connection.execute(
        select(*CAMPAIGN_COLUMNS)
        .where(C.status.in_((CampaignStatus.ACTIVE, CampaignStatus.PAUSED)), C.fecha_limite < today)
        .order_by(C.id)
    )
    return [to_campaign(row) for row in rows]


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
    quiet = connection.execute(
        select(C.id, C.started_at).where(
            C.status == CampaignStatus.ACTIVE, _any_row(ScheduleStatus.PENDING).is_(None),
            _any_row(ScheduleStatus.IN_PROGRESS).is_(None), ~calling,
        )
    ).all()
    # One that never called is done when its leads were all closed by hand; one without leads waits for some.
    found = [row.id for row in quiet if row.started_at is not None or _are_all_closed(connection, row.id)]
    return _set_status(connection, found, CampaignStatus.ACTIVE, CampaignStatus.COMPLETED, now)


def _are_all_closed(connection: Connection, campaign_id: int) -> bool:
    of = select(L.id).where(L.campaign_id == campaign_id)
    if connection.execute(of.limit(1)).first() is None:
        return False
    is_open = or_(L.lead_status.is_(None), L.lead_status != LeadStatus.CLOSED)
    return connection.execute(of.where(is_open).limit(1)).first() is None


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
            .values(
                status=to, completed_at=now if to is CampaignStatus.COMPLETED else None,
                status_reason="nothing is left to call" if to is CampaignStatus.COMPLETED else None,
            )
        )
    return ids
