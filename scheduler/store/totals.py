"""What is counted: of each campaign, of its hours, of an account, by reading what the tables say at that instant.

Nothing is kept beside the tables, so nothing can drift from them, whoever changes a row; `service.totals` keeps
answers for as long as they took to count.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    and_,
    case,
    func,
    or_,
    select,
    true,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from scheduler.model import AttemptState, CampaignStatus, LeadStatus, Outcome, ScheduleStatus
from scheduler.store.calls import word
from scheduler.store.database import ids_in
from scheduler.store.funnel import ANSWERED, BEGUN_AT
from scheduler.store.reports import REACHED
from scheduler.store.tables import call_attempts, call_schedule, campaigns, leads

A, C, L, S = call_attempts.c, campaigns.c, leads.c, call_schedule.c
FIRST_HOUR = 1
"""Hours before it, as 0000-00-00 is read, are none: MySQL has no such instant."""


class _Hour(FunctionElement[int]):
    """An instant as hours since 1970; NULL where a person typed what is none (or `now`, on SQLite)."""

    type = Integer()
    inherit_cache = True


@compiles(_Hour, "sqlite")
def _on_sqlite(element: _Hour, compiler: Any, **kw: Any) -> str:
    at = compiler.process(element.clauses, **kw)
    # Microseconds are cut off: strftime would round them up, into the next hour.
    return (
        f"(CASE WHEN {at} LIKE '____-__-__ __:__:__.______%'"
        f" THEN CAST(strftime('%s', substr({at}, 1, 19) || substr({at}, 27)) AS INTEGER) / 3600"
        f" WHEN {at} LIKE '____-__-__%' THEN CAST(strftime('%s', {at}) AS INTEGER) / 3600 END)"
    )


@compiles(_Hour, "mysql", "mariadb")
def _on_mysql(element: _Hour, compiler: Any, **kw: Any) -> str:
    return f"(UNIX_TIMESTAMP({compiler.process(element.clauses, **kw)}) DIV 3600)"


@dataclass(frozen=True, slots=True)
class Totals:
    """What was counted. `leads` are all; each is open, suspended, reached or unreached (closed without being reached).

    `called`: leads with an attempt. `unpaid`: open leads whose call waits for money. Of calls that ended: `dials`,
    `answered` by a person, `completed`, seconds of talk and what providers reported as cost.
    """

    leads: int = 0
    open: int = 0
    suspended: int = 0
    called: int = 0
    reached: int = 0
    unreached: int = 0
    unpaid: int = 0
    dials: int = 0
    answered: int = 0
    completed: int = 0
    talk_seconds: int = 0
    cost: Decimal = Decimal("0.0000")

    def __add__(self, other: Totals) -> Totals:
        return Totals(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(Totals)))

    @property
    def pending(self) -> int:
        """Leads that are open and do not wait for money."""
        return max(0, self.open - self.unpaid)

    @property
    def held_up(self) -> int:
        """Leads that are suspended or wait for money."""
        return self.suspended + self.unpaid

    @property
    def finished(self) -> int:
        return self.reached + self.unreached

    @property
    def progress(self) -> float:
        """The part of the leads that is finished, 0 to 1; 0 where there is none."""
        return self.finished / self.leads if self.leads else 0.0


@dataclass(frozen=True, slots=True)
class CampaignStatusRow:
    """A campaign and what was counted of it."""

    id: int
    code: str
    name: str
    status: str
    status_reason: str | None
    account_id: int | None
    priority: int
    started_at: datetime | None
    completed_at: datetime | None
    created_at: datetime
    totals: Totals


@dataclass(frozen=True, slots=True)
class Overview:
    """Of one account, or of everything there is.

    `jobs_today`: leads that were created today. `active_totals`: of campaigns that are active alone.
    """

    jobs_today: int
    active_batches: int
    totals: Totals
    active_totals: Totals


@dataclass(frozen=True, slots=True)
class HourFigures:
    """What was counted in the clock hour (UTC) that begins at `hour_at`: leads created, calls begun and over by now."""

    hour_at: datetime
    leads: int
    dials: int
    answered: int
    completed: int


# --- questions ----------------------------------------------------------------------------------


def read_totals(connection: Connection, campaign_ids: Collection[int]) -> dict[int, Totals]:
    """Of each of these campaigns (0: of leads without one); zeros for one of which nothing was ever counted."""
    return _count(connection, campaign_ids) if campaign_ids else {}


def read_status(connection: Connection, key: str | int) -> CampaignStatusRow | None:
    """A campaign by code or id, and what is counted of it."""
    of = C.code == str(key)
    if str(key).isascii() and str(key).isdecimal() and len(str(key)) < 19:
        of = or_(of, C.id == int(key))
    # A code that reads as the id of another campaign comes first.
    row = connection.execute(
        select(
            C.id, C.code, C.name, word(C.status).label("status"), C.status_reason, C.account_id, C.priority,
            C.started_at, C.completed_at, C.created_at,
        ).where(of).order_by((C.code == str(key)).desc()).limit(1)
    ).mappings().first()  # fmt: skip
    if row is None:
        return None
    of_campaign: dict[str, Any] = dict(row)
    return CampaignStatusRow(**of_campaign, totals=_count(connection, [row["id"]])[row["id"]])


def read_overview(connection: Connection, account_id: int | None, today_since: datetime) -> Overview:
    """Of the campaigns of an account, or (None) of everything, leads without a campaign too.

    `today_since` is when today began.
    """
    known = select(C.id, C.status)
    if account_id is not None:
        known = known.where(C.account_id == account_id)
    campaigns_now: dict[int, Any] = {row.id: row.status for row in connection.execute(known)}
    ids = None if account_id is None else campaigns_now.keys()
    active = {key for key, status in campaigns_now.items() if status == CampaignStatus.ACTIVE}
    created = select(func.count()).select_from(leads).where(L.created_at >= today_since, _within(L.campaign_id, ids))
    counted = _count(connection, ids)
    return Overview(
        jobs_today=connection.execute(created).scalar_one(), active_batches=len(active),
        totals=add_up(counted.values()),
        active_totals=add_up(one for key, one in counted.items() if key in active),
    )


def read_hours(
    connection: Connection, since: datetime, campaign_id: int | None = None, account_id: int | None = None
) -> list[HourFigures]:
    """Hour by hour from the one that `since` is in, oldest first; hours in which nothing was counted are left out."""
    since = since.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    ids: Collection[int] | None = None if campaign_id is None else [campaign_id]
    if account_id is not None:
        of_account = set(connection.execute(select(C.id).where(C.account_id == account_id)).scalars())
        ids = of_account if ids is None else of_account.intersection(ids)
    found: dict[int, list[int]] = {}
    created = select(_Hour(L.created_at), func.count()).where(L.created_at >= since, _within(L.campaign_id, ids))
    for hour, count in connection.execute(created.group_by(_Hour(L.created_at))):
        if hour is not None and hour >= FIRST_HOUR:
            found.setdefault(hour, [0, 0, 0, 0])[0] = int(count)
    begun = select(_Hour(BEGUN_AT), func.count(), _sum(A.outcome.in_(ANSWERED)), _sum(A.outcome == Outcome.COMPLETED))
    begun = begun.where(A.state == AttemptState.ENDED, since <= BEGUN_AT, _within(A.campaign_id, ids))
    for hour, *counts in connection.execute(begun.group_by(_Hour(BEGUN_AT))):
        if hour is not None and hour >= FIRST_HOUR:
            found.setdefault(hour, [0, 0, 0, 0])[1:] = [int(one) for one in counts]
    return [HourFigures(datetime.fromtimestamp(hour * 3600, UTC), *counts) for hour, counts in sorted(found.items())]


# --- steps --------------------------------------------------------------------------------------


def add_up(parts: Iterable[Totals]) -> Totals:
    sums = Totals()
    for one in parts:
        sums = sums + one
    return sums


def _count(connection: Connection, ids: Collection[int] | None) -> dict[int, Totals]:
    """Of these campaigns, or (None) of all that anything belongs to."""
    found: dict[int, dict[str, Any]] = {key: {} for key in ids or ()}
    is_open = or_(L.lead_status.is_(None), L.lead_status == LeadStatus.OPEN)
    is_closed, why = L.lead_status == LeadStatus.CLOSED, func.coalesce(L.closed_reason, "")
    for names, of, columns, where in (
        (
            ("leads", "open", "suspended", "called", "reached", "unreached"), L.campaign_id,
            (
                func.count(), _sum(is_open), _sum(L.lead_status == LeadStatus.SUSPENDED),
                _sum(L.call_attempts_count > 0), _sum(and_(is_closed, why.in_(REACHED))),
                _sum(and_(is_closed, why.not_in(REACHED))),
            ),
            (),
        ),
        (
            ("unpaid",), S.campaign_id, (func.count(),),
            (
                S.status == ScheduleStatus.PENDING,
                or_(S.reason.like("no balance%"), S.reason.like("account % is closed%")),
            ),
        ),
        (
            ("dials", "answered", "completed", "talk_seconds", "cost"), A.campaign_id,
            (
                func.count(), _sum(A.outcome.in_(ANSWERED)), _sum(A.outcome == Outcome.COMPLETED),
                func.coalesce(func.sum(A.talk_seconds), 0), func.coalesce(func.sum(A.cost), 0),
            ),
            (A.state == AttemptState.ENDED,),
        ),
    ):
        for campaign_id, *values in connection.execute(
            select(of, *columns).where(*where, _within(of, ids)).group_by(of)
        ):
            figures = found.setdefault(campaign_id or 0, {})
            for name, value in zip(names, values, strict=True):
                figures[name] = figures.get(name, 0) + (_exact(value) if name == "cost" else int(value))
    return {key: Totals(**figures) for key, figures in found.items()}


def _within(of: ColumnElement[Any], ids: Collection[int] | None) -> ColumnElement[bool]:
    if ids is None:
        return true()
    within = ids_in(of, [one for one in ids if one])
    return or_(within, of.is_(None), of == 0) if 0 in ids else within


def _sum(condition: ColumnElement[bool]) -> ColumnElement[Any]:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)


def _exact(value: Any) -> Decimal:
    """A sum of any engine, of which SQLite adds up money in binary."""
    found = value if isinstance(value, Decimal) else Decimal(str(value))
    return found.quantize(Decimal("0.0001")) if found.is_finite() else Decimal("0.0000")
