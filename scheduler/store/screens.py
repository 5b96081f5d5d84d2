"""Every read for the overview and for the pages of campaigns.

A page has a budget of ten statements, however large the tables are. So what is small is asked for in one
statement together, what is large comes from `service.totals`, and what is counted here is counted
up to a limit: `Capped.is_more` says that there are more. What a newcomer would get wrong: a COUNT over what
is due looks cheap on an empty database and reads millions of index entries after a night without a daemon.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Text, and_, func, or_, select, type_coerce

from scheduler.model import OPEN_STATES, AttemptState, ScheduleStatus
from scheduler.store.calls import word
from scheduler.store.database import ids_in
from scheduler.store.reports import ReportRow
from scheduler.store.tables import accounts, call_attempts, call_schedule, campaigns, events

A, C, E, K, S = call_attempts.c, campaigns.c, events.c, accounts.c, call_schedule.c
MOST = 10_000
"""So far things are counted; above, people only need to know that there are more."""
LATEST_CALLS = 5_000
"""Calls of one campaign whose outcomes are told."""
MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Pulse:
    """What moves: calls that are due (counted up to `MOST`), open calls by state, dials of the last minute."""

    due: int
    oldest_due_at: datetime | None
    placing: int
    live: int
    unknown: int
    dials: int

    @property
    def in_use(self) -> int:
        return self.placing + self.live + self.unknown

    @property
    def is_more(self) -> bool:
        return self.due > MOST


def read_pulse(connection: Connection, campaign_ids: Collection[int], now: datetime, *, alone: bool = False) -> Pulse:
    """Of these campaigns and of leads without one (`alone`: of these alone), in one statement.

    Lines are those of the whole installation unless `alone`.
    """
    def of(column: ColumnElement[Any]) -> ColumnElement[bool]:
        parts = [ids_in(column, campaign_ids)] if campaign_ids else []
        return or_(*parts, *(() if alone and parts else (column.is_(None),)))

    def is_due(campaign: ColumnElement[bool]) -> ColumnElement[bool]:
        return and_(S.status == ScheduleStatus.PENDING, campaign, S.scheduled_at <= now)

    due = select(S.id).where(is_due(of(S.campaign_id))).limit(MOST + 1).subquery()
    # One seek of the index for each campaign; a MIN over all of them together would read every due row.
    first = (
        select(S.scheduled_at).where(is_due(S.campaign_id == C.id)).order_by(S.scheduled_at).limit(1).scalar_subquery()
    )
    oldest = select(func.min(first)).where(ids_in(C.id, campaign_ids) if campaign_ids else C.id.is_(None))
    without = (
        select(S.scheduled_at).where(is_due(S.campaign_id.is_(None))).order_by(S.scheduled_at).limit(1)
    )
    dials = select(A.id).where(
        of(A.campaign_id), A.claimed_at > now - MINUTE, A.claimed_at <= now, A.state != AttemptState.REFUSED
    ).limit(MOST + 1).subquery()

    def open_calls(state: AttemptState) -> Any:
        query = select(func.count()).select_from(call_attempts).where(A.state == state)
        return (query.where(of(A.campaign_id)) if alone else query).scalar_subquery()

    row = connection.execute(select(
        select(func.count()).select_from(due).scalar_subquery(),
        type_coerce(oldest.scalar_subquery(), S.scheduled_at.type),
        type_coerce(without.scalar_subquery(), S.scheduled_at.type),
        *(open_calls(state) for state in OPEN_STATES),
        select(func.count()).select_from(dials).scalar_subquery(),
    )).one()
    instants = [at for at in (row[1], None if alone else row[2]) if at is not None]
    states = dict(zip(OPEN_STATES, row[3:6], strict=True))
    return Pulse(
        due=row[0], oldest_due_at=min(instants, default=None), placing=states[AttemptState.PLACING],
        live=states[AttemptState.LIVE], unknown=states[AttemptState.UNKNOWN], dials=row[6],
    )


def find_campaign(connection: Connection, campaign_id: int) -> ReportRow | None:
    """Everything in its row, settings as they are written, and the code and name of who pays."""
    row = connection.execute(
        select(
            C.id, C.code, C.name, C.description, word(C.status), C.status_reason, C.priority, C.provider,
            type_coerce(C.call_settings, Text).label("call_settings"), C.started_at, C.completed_at, C.created_at,
            C.fecha_limite, C.group_name, C.account_id, K.code.label("account"), K.name.label("account_name"),
            word(K.billing_type),
        )
        .outerjoin_from(campaigns, accounts, K.id == C.account_id)
        .where(C.id == campaign_id)
    ).mappings().first()
    return None if row is None else {str(name): value for name, value in row.items()}


def count_outcomes(connection: Connection, campaign_id: int) -> dict[str, int]:
    """How the latest calls of a campaign ended (`LATEST_CALLS` of them), the most frequent outcome first."""
    latest = (
        select(word(A.outcome))
        .where(A.campaign_id == campaign_id, A.claimed_at.is_not(None))
        .order_by(A.claimed_at.desc())
        .limit(LATEST_CALLS)
        .subquery()
    )
    rows = connection.execute(
        select(latest.c.outcome, func.count())
        .where(latest.c.outcome.is_not(None))
        .group_by(latest.c.outcome)
        .order_by(func.count().desc(), latest.c.outcome)
    )
    return {str(outcome): count for outcome, count in rows}


def find_last_edit(connection: Connection, campaign_id: int) -> ReportRow | None:
    """Who changed a campaign last, when and why."""
    row = connection.execute(
        select(E.at, E.kind, E.actor, E.reason)
        .where(E.campaign_id == campaign_id, E.kind.in_((
            "campaign_edited", "campaign_paused", "campaign_resumed", "campaign_cancelled", "campaign_created"
        )))
        .order_by(E.id.desc())
        .limit(1)
    ).mappings().first()
    return None if row is None else dict(row)


def list_accounts_of(connection: Connection, limit: int) -> list[ReportRow]:
    """Code and name of accounts in use, to choose from."""
    rows = connection.execute(
        select(K.id, K.code, K.name).where(K.status == "active").order_by(K.code).limit(limit)
    )
    return [dict(row) for row in rows.mappings()]

