"""What the front ends that speak of batches and jobs ask for: a batch is a campaign, a job is a lead of it.

Their lists are cut by `skip` and `limit`, because their clients count pages; so a page far down costs what lies
before it, and callers limit `skip`. The figures of a batch are those of `totals`. A job that waits for money is
`suspended`, as a suspended lead is.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Text, and_, case, false, func, or_, select, true, type_coerce

from scheduler.model import OPEN_STATES, CampaignStatus, LeadStatus, ScheduleStatus
from scheduler.store.calls import word
from scheduler.store.reports import REACHED, UNIT, ReportRow
from scheduler.store.tables import (
    accounts,
    call_attempts,
    call_schedule,
    campaigns,
    lead_phones,
    leads,
    scheduler_config,
)

A, C, K, L, P, S = call_attempts.c, campaigns.c, accounts.c, leads.c, lead_phones.c, call_schedule.c
JOB_STATUSES = ("pending", "in_progress", "completed", "failed", "suspended")


def find_account_and_zone(
    connection: Connection, key: str | None, account_id: int | None
) -> tuple[ReportRow | None, str]:
    """(the account by code or id, else that one by `account_id`; the time zone as it is written), in one statement."""
    zone = select(scheduler_config.c.config_value).where(scheduler_config.c.config_key == "timezone").scalar_subquery()
    if key is None and account_id is None:
        return None, connection.execute(select(zone)).scalar() or ""
    of = K.id == account_id if key is None else K.code == key
    if key is not None and key.isascii() and key.isdecimal() and len(key) < 19:
        of = or_(of, K.id == int(key))
    wanted = select(K.id).where(of).order_by((K.code == key).desc()).limit(1).subquery()
    here = select(zone.label("zone")).subquery()
    columns = (K.id, K.code, K.name, K.status, K.billing_type, K.balance, UNIT.label("unit"))
    row = connection.execute(
        select(here.c.zone, *columns)
        .select_from(here.outerjoin(wanted, true()).outerjoin(accounts, K.id == wanted.c.id))
    ).mappings().one()
    found = {str(name): value for name, value in row.items() if name != "zone"}
    return found if found["id"] is not None else None, row["zone"] or ""


def list_batches(
    connection: Connection, *, account_id: int | None, is_active: bool | None, skip: int, limit: int
) -> tuple[list[ReportRow], int]:
    """Campaigns, newest first, and how many there are in all."""
    wanted: list[ColumnElement[bool]] = []
    if account_id is not None:
        wanted.append(C.account_id == account_id)
    if is_active is not None:
        wanted.append((C.status == CampaignStatus.ACTIVE) if is_active else (C.status != CampaignStatus.ACTIVE))
    total = connection.execute(select(func.count()).select_from(campaigns).where(*wanted)).scalar_one()
    rows = connection.execute(_batches().where(*wanted).order_by(C.id.desc()).offset(skip).limit(limit))
    return [dict(row) for row in rows.mappings()], total


def find_batch(connection: Connection, campaign_id: int) -> ReportRow | None:
    row = connection.execute(_batches().where(C.id == campaign_id)).mappings().first()
    return dict(row) if row else None


def _batches() -> Any:
    return select(
        C.id, C.code, C.name, C.description, word(C.status).label("status"), C.status_reason, C.priority,
        K.code.label("account"), type_coerce(C.call_settings, Text).label("call_settings"), C.created_at, C.started_at,
        C.completed_at,
    ).outerjoin(accounts, K.id == C.account_id)


def list_jobs(
    connection: Connection, campaign_id: int, *, status: str | None, skip: int, limit: int, unpaid_at: datetime | None
) -> list[ReportRow]:
    """Leads of a campaign as jobs, oldest first, each with all its numbers in dialing order.

    `unpaid_at`: calls that are due then wait for money; None: the campaign can pay for its calls.
    """
    of_job = _job_status(unpaid_at)
    query = (
        select(
            L.id, L.nombre, L.apellidos, L.telefono, type_coerce(L.variables, Text).label("variables"),
            of_job.label("status"), L.closed_reason, L.call_attempts_count, L.priority, L.fecha_limite,
            L.created_at, L.closed_at,
        )
        .where(L.campaign_id == campaign_id)
        .order_by(L.id)
        .offset(skip)
        .limit(limit)
    )
    if status is not None:
        query = query.where(of_job == status)
    found = [dict(row) for row in connection.execute(query).mappings()]
    numbers: dict[int, list[str]] = {}
    if found:
        ids = [row["id"] for row in found]
        for lead_id, number in connection.execute(
            select(P.lead_id, P.telefono).where(P.lead_id.in_(ids)).order_by(P.lead_id, P.position)
        ):
            numbers.setdefault(lead_id, []).append(number)
    for row in found:
        row["numbers"] = numbers.get(row["id"]) or ([row["telefono"]] if row["telefono"] else [])
    return found


def _job_status(unpaid_at: datetime | None) -> ColumnElement[Any]:
    called = select(A.id).where(A.lead_id == L.id, A.state.in_(OPEN_STATES)).correlate(leads).exists()
    unpaid: ColumnElement[bool] = false()
    if unpaid_at is not None:
        is_due = (S.open_lead_id == L.id, S.status == ScheduleStatus.PENDING, S.scheduled_at <= unpaid_at)
        due = select(S.id).where(*is_due)
        unpaid = due.correlate(leads).exists()
    return case(
        (and_(L.lead_status == LeadStatus.CLOSED, L.closed_reason.in_(REACHED)), "completed"),
        (L.lead_status == LeadStatus.CLOSED, "failed"),
        (L.lead_status == LeadStatus.SUSPENDED, "suspended"),
        (called, "in_progress"),
        (unpaid, "suspended"),
        else_="pending",
    )


def count_outcomes(connection: Connection, campaign_id: int) -> dict[str, int]:
    """Ended calls of a campaign by outcome, most frequent first."""
    rows = connection.execute(
        select(word(A.outcome), func.count())
        .where(A.campaign_id == campaign_id, A.outcome.is_not(None))
        .group_by(A.outcome)
        .order_by(func.count().desc(), A.outcome)
    )
    return {str(name): count for name, count in rows}


def activate(connection: Connection, campaign_id: int, *, while_reason: str) -> bool:
    """Let a campaign go on that waits for this reason. One that people paused or cancelled meanwhile stays so."""
    changed = connection.execute(
        campaigns.update()
        .where(C.id == campaign_id, C.status == CampaignStatus.PAUSED, C.status_reason == while_reason)
        .values(status=CampaignStatus.ACTIVE, status_reason=None)
    )
    return changed.rowcount == 1
