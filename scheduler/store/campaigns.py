"""Campaigns: reading them, starting and finishing them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Text, and_, or_, select, type_coerce, update

from scheduler.model import OPEN_STATES, UNREADABLE, Campaign, CampaignStatus, LeadStatus, ScheduleStatus
from scheduler.store.calls import CAMPAIGN_COLUMNS, cut, to_campaign
from scheduler.store.database import insert_new
from scheduler.store.tables import call_attempts, call_schedule, campaigns, leads

A, C, L, S = call_attempts.c, campaigns.c, leads.c, call_schedule.c
GOING = (CampaignStatus.ACTIVE, CampaignStatus.PAUSED)


def read_campaigns(connection: Connection, ids: Collection[int]) -> dict[int, Campaign]:
    if not ids:
        return {}
    rows = connection.execute(select(*CAMPAIGN_COLUMNS).where(C.id.in_(sorted(ids))))
    return {row.id: to_campaign(row) for row in rows}


def list_providers(connection: Connection) -> set[str]:
    """The providers that active campaigns name."""
    return set(connection.execute(
        select(C.provider).where(C.status == CampaignStatus.ACTIVE, C.provider.is_not(None)).distinct()
    ).scalars())


def lock_campaign(connection: Connection, key: str | int) -> Campaign | None:
    """By code or id, locked: a take that is under way is waited for, and none follows until this is committed."""
    found = find_campaign(connection, key)
    if found is None:
        return None
    row = connection.execute(select(*CAMPAIGN_COLUMNS).where(C.id == found.id).with_for_update()).first()
    return to_campaign(row) if row else None


def change_status(
    connection: Connection, ids: Collection[int], to: CampaignStatus, *, leaving: Collection[CampaignStatus],
    reason: str | None,
) -> int:
    """Move campaigns to a status that is not `completed`, each from one of `leaving`. Returns how many were."""
    if not ids:
        return 0
    return connection.execute(
        update(campaigns)
        .where(C.id.in_(sorted(ids)), C.status.in_(list(leaving)))
        .values(status=to, status_reason=cut(reason), completed_at=None)
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


def list_overdue(connection: Connection, now: datetime) -> list[Campaign]:
    """Active and paused campaigns whose last date to call is over everywhere on earth."""
    rows = connection.execute(
        select(*CAMPAIGN_COLUMNS).where(C.status.in_(GOING), C.fecha_limite.is_not(None)).order_by(C.id)
    )
    return [to_campaign(row) for row in rows if is_over_on_earth(row.fecha_limite, now)]


def is_over_on_earth(until: date | None, now: datetime) -> bool:
    """Is this date over even where the day begins last? A date that cannot be read never is."""
    return until is not None and until != UNREADABLE.date() and until < (now - timedelta(hours=12)).date()


def list_cancelled_unfinished(connection: Connection) -> list[Campaign]:
    """Cancelled campaigns, by command or by SQL, whose leads may not all be closed yet: no `completed_at`."""
    rows = connection.execute(
        select(*CAMPAIGN_COLUMNS)
        .where(C.status == CampaignStatus.CANCELLED, C.completed_at.is_(None))
        .order_by(C.id)
    )
    return [to_campaign(row) for row in rows]


def finish_cancelled(connection: Connection, campaign_id: int, now: datetime) -> int:
    """Note that every lead of a cancelled campaign is closed."""
    return connection.execute(
        update(campaigns)
        .where(C.id == campaign_id, C.status == CampaignStatus.CANCELLED, C.completed_at.is_(None))
        .values(completed_at=now)
    ).rowcount


def list_active(connection: Connection) -> list[Campaign]:
    rows = connection.execute(select(*CAMPAIGN_COLUMNS).where(C.status == CampaignStatus.ACTIVE).order_by(C.id))
    return [to_campaign(row) for row in rows]


def find_campaign(connection: Connection, key: str | int) -> Campaign | None:
    """By code, or by id."""
    of = C.code == str(key)
    if str(key).isascii() and str(key).isdecimal() and len(str(key)) < 19:
        of = or_(of, C.id == int(key))
    row = connection.execute(select(*CAMPAIGN_COLUMNS).where(of).order_by((C.code == str(key)).desc()).limit(1)).first()
    return to_campaign(row) if row else None


def insert_campaign(connection: Connection, values: Mapping[str, Any]) -> int:
    """Raises Conflict for a code that is taken."""
    return insert_new(connection, campaigns, values, "a campaign")


def start_campaigns(connection: Connection, ids: Collection[int], now: datetime) -> int:
    """Note the first time that a campaign had calls to place."""
    if not ids:
        return 0
    return connection.execute(
        update(campaigns).where(C.id.in_(sorted(ids)), C.started_at.is_(None)).values(started_at=now)
    ).rowcount


def complete_campaigns(connection: Connection, now: datetime) -> list[tuple[str, str]]:
    """Complete campaigns that have nothing left to call. Returns (code, reason) of each.

    Active ones that began, or whose leads were all closed without a call; and those past their last date,
    paused ones too. One that has no leads yet waits for some.
    """
    calling = select(A.id).where(A.campaign_id == C.id, A.state.in_(OPEN_STATES)).exists()
    quiet = connection.execute(
        select(C.id, C.code, C.status, C.started_at, C.fecha_limite).where(
            C.status.in_(GOING), _any_row(ScheduleStatus.PENDING).is_(None),
            _any_row(ScheduleStatus.IN_PROGRESS).is_(None), ~calling,
        )
    ).all()
    done = []
    for campaign_id, code, status, started_at, until in quiet:
        is_past = is_over_on_earth(until, now)
        if status == CampaignStatus.PAUSED and not is_past:
            continue
        if not (is_past or started_at is not None or _are_all_closed(connection, campaign_id)):
            continue
        reason = "nothing is left to call"
        if is_past or (until is not None and _was_any_too_late(connection, campaign_id)):
            reason = f"deadline: the last date to call was {until}"
        changed = connection.execute(
            update(campaigns)
            .where(C.id == campaign_id, C.status == status)
            .values(status=CampaignStatus.COMPLETED, completed_at=now, status_reason=reason)
        )
        if changed.rowcount:
            done.append((code, reason))
    return done


def _was_any_too_late(connection: Connection, campaign_id: int) -> bool:
    of = select(L.id).where(L.campaign_id == campaign_id, L.closed_reason == "deadline")
    return connection.execute(of.limit(1)).first() is not None


def _are_all_closed(connection: Connection, campaign_id: int) -> bool:
    of = select(L.id).where(L.campaign_id == campaign_id)
    if connection.execute(of.limit(1)).first() is None:
        return False
    is_open = or_(L.lead_status.is_(None), L.lead_status != LeadStatus.CLOSED)
    return connection.execute(of.where(is_open).limit(1)).first() is None


def resume_completed(connection: Connection) -> list[str]:
    """A campaign that we completed and that was given new rows since, by SQL or import, goes on. Returns the codes.

    One that a person set to completed stays so: it has no `completed_at`.
    """
    found = connection.execute(
        select(C.id, C.code).where(
            C.status == CampaignStatus.COMPLETED, C.completed_at.is_not(None),
            _any_row(ScheduleStatus.PENDING).is_not(None),
        )
    ).all()
    if found:
        connection.execute(
            update(campaigns)
            .where(C.id.in_([row.id for row in found]), C.status == CampaignStatus.COMPLETED)
            .values(status=CampaignStatus.ACTIVE, completed_at=None, status_reason=None)
        )
    return [row.code for row in found]


def list_stopped_with_rows(connection: Connection) -> list[Campaign]:
    """Campaigns that people have stopped (paused, cancelled, completed by hand) and that have pending rows.

    Not those that we completed ourselves: they go on with such rows.
    """
    by_us = and_(C.status == CampaignStatus.COMPLETED, C.completed_at.is_not(None))
    rows = connection.execute(
        select(*CAMPAIGN_COLUMNS)
        .where(C.status != CampaignStatus.ACTIVE, ~by_us, _any_row(ScheduleStatus.PENDING).is_not(None))
        .order_by(C.id)
    )
    return [to_campaign(row) for row in rows]


def list_lost_campaigns(connection: Connection) -> list[int]:
    """Campaign ids of pending rows that no campaign has: somebody deleted it."""
    used = select(S.campaign_id).where(S.status == ScheduleStatus.PENDING).group_by(S.campaign_id)
    ids = {one for one in connection.execute(used).scalars() if one is not None}
    return sorted(ids - set(read_campaigns(connection, ids)))


def _any_row(status: ScheduleStatus) -> Any:
    """One row of the campaign in that status. A scalar with LIMIT is one seek; EXISTS would be materialised,
    by reading every pending row there is.
    """
    return select(S.id).where(S.campaign_id == C.id, S.status == status).limit(1).scalar_subquery()
