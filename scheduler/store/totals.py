"""The SQL of what is counted: of each campaign, of its hours, by reading what the tables say at that instant.

Nothing is kept beside the tables, so nothing can drift from them, whoever changes a row; `service.totals` asks these
and keeps the answers for a little while. What must stay true: each statement reads one index and no row, because
they are asked of tables of millions every few seconds: `ix_leads_counted`, `ix_leads_created`, `ix_call_attempts_poll`
and `ix_call_schedule_due`. A newcomer would add up what is open by one statement over all three tables.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import chain
from operator import attrgetter
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    and_,
    case,
    func,
    literal_column,
    or_,
    select,
    true,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from scheduler.model import (
    Account,
    AttemptState,
    BillingType,
    Campaign,
    CampaignStatus,
    LeadStatus,
    Outcome,
    ScheduleStatus,
)
from scheduler.store.accounts import list_all
from scheduler.store.calls import CAMPAIGN_COLUMNS, to_campaign, word
from scheduler.store.database import ids_in
from scheduler.store.funnel import ANSWERED, BEGUN_AT
from scheduler.store.reports import REACHED
from scheduler.store.tables import accounts, call_attempts, call_schedule, campaigns, leads

A, C, K, L, S = call_attempts.c, campaigns.c, accounts.c, leads.c, call_schedule.c
NAMED_AT_ONCE = 500
"""So many ids in one list: one of a thousand MariaDB makes a table of, and then no longer seeks in the index."""
BY_CREATION = "FORCE INDEX (ix_leads_created)"
BY_STATE = "FORCE INDEX (ix_call_attempts_poll)"
BY_DUE = "FORCE INDEX (ix_call_schedule_due)"
# Apart, so that each campaign's are one range of the index. Of calls that are over few are still asked about.
IS_SETTLED = and_(A.state == AttemptState.ENDED, A.next_poll_at.is_(None))
IS_ASKED_ABOUT = and_(A.state == AttemptState.ENDED, A.next_poll_at.is_not(None))
UNIT = case((A.cost.is_not(None), func.coalesce(A.cost_unit, "")))
"""What a call was charged in; none where it was not."""
WIDEST_OFFSET = timedelta(hours=15)
"""What a person typed into SQLite may carry an offset, and lies that far from its place in an index of texts."""


class _Hour(FunctionElement[int]):
    """An instant as hours since 1970; NULL where a person typed what is none (or `now`, on SQLite)."""

    type = Integer()
    inherit_cache = True


class _Second(FunctionElement[int]):
    """The same as seconds, on SQLite."""

    type = Integer()
    inherit_cache = True


@compiles(_Hour, "mysql", "mariadb")
def _hour_on_mysql(element: _Hour, compiler: Any, **kw: Any) -> str:
    return f"(UNIX_TIMESTAMP({compiler.process(element.clauses, **kw)}) DIV 3600)"


@compiles(_Hour, "sqlite")
def _hour_on_sqlite(element: _Hour, compiler: Any, **kw: Any) -> str:
    return f"({_second_on_sqlite(element, compiler, **kw)} / 3600)"


@compiles(_Second, "sqlite")
def _second_on_sqlite(element: FunctionElement[int], compiler: Any, **kw: Any) -> str:
    at = compiler.process(element.clauses, **kw)
    # Microseconds are cut off: strftime would round them up, into the next hour.
    return (
        f"(CASE WHEN {at} LIKE '____-__-__ __:__:__.______%'"
        f" THEN CAST(strftime('%s', substr({at}, 1, 19) || substr({at}, 27)) AS INTEGER)"
        f" WHEN {at} LIKE '____-__-__%' THEN CAST(strftime('%s', {at}) AS INTEGER) END)"
    )


class Amount(NamedTuple):
    """So much of one unit; the unit is empty where the provider told none. Those of two units are never one number."""

    unit: str
    cost: Decimal


@dataclass(frozen=True, slots=True)
class Totals:
    """What was counted. `leads` are all; each is open, suspended, reached or unreached (closed without being reached).

    `called`: leads with an attempt. `unpaid`: open leads whose call waits for money. Of calls that ended: `dials`,
    `answered` by a person, `completed`, seconds of talk and what providers reported as cost, by unit.
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
    costs: tuple[Amount, ...] = ()

    def __add__(self, other: Totals) -> Totals:
        return add_up((self, other))

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


_all_figures = attrgetter(*(one.name for one in fields(Totals)))


@dataclass(frozen=True, slots=True)
class CampaignRow:
    """A campaign as polls are told of it."""

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


@dataclass(frozen=True, slots=True)
class HourFigures:
    """What was counted in the clock hour (UTC) that begins at `hour_at`: leads created, calls begun and over by now."""

    hour_at: datetime
    leads: int
    dials: int
    answered: int
    completed: int


# --- campaigns ----------------------------------------------------------------------------------


def find_campaign(connection: Connection, key: str | int) -> CampaignRow | None:
    """A campaign by code or id."""
    of = C.code == str(key)
    if str(key).isascii() and str(key).isdecimal() and len(str(key)) < 19:
        of = or_(of, C.id == int(key))
    # A code that reads as the id of another campaign comes first.
    row = connection.execute(
        select(
            C.id, C.code, C.name, word(C.status).label("status"), C.status_reason, C.account_id, C.priority,
            C.started_at, C.completed_at, C.created_at,
        ).where(of).order_by((C.code == str(key)).desc()).limit(1)
    ).first()  # fmt: skip
    return CampaignRow(**row._mapping) if row is not None else None


def list_owners(connection: Connection) -> dict[int, tuple[int | None, bool]]:
    """Of each campaign the account and whether it is active."""
    rows = connection.execute(select(C.id, C.account_id, C.status))
    return {row[0]: (row[1], row[2] == CampaignStatus.ACTIVE) for row in rows}


def list_paid(connection: Connection, account_id: int | None = None) -> list[tuple[Account, list[Campaign]]]:
    """Accounts that may stand in the way of a call, because they pay for it or are closed; with their campaigns.

    One of them, or all.
    """
    may_refuse = or_(K.billing_type != BillingType.UNLIMITED, K.status != "active")
    of = [] if account_id is None else [K.id == account_id]
    payers = {one.id: one for one in list_all(connection, may_refuse, *of)}
    found: dict[int, list[Campaign]] = {}
    rows = connection.execute(select(*CAMPAIGN_COLUMNS).where(ids_in(C.account_id, payers))) if payers else ()
    for row in rows:
        found.setdefault(row.account_id, []).append(to_campaign(row))
    return [(payers[key], own) for key, own in found.items()]


def count_active(connection: Connection, account_id: int | None) -> int:
    of = [] if account_id is None else [C.account_id == account_id]
    query = select(func.count()).select_from(campaigns).where(C.status == CampaignStatus.ACTIVE, *of)
    return connection.execute(query).scalar_one()


# --- figures, by campaign -----------------------------------------------------------------------
#
# Of the campaigns named (0: leads without one), or (None) of all that anything belongs to, deleted ones too.


def count_leads(connection: Connection, ids: Collection[int] | None = None) -> dict[int, Totals]:
    is_reached = func.coalesce(L.closed_reason, "").in_(REACHED)
    # By what tells leads apart, in the order of the index: half the time that sums of each figure take.
    groups = (L.campaign_id, L.lead_status, L.closed_reason, L.was_called)
    found: dict[int, Counter[str]] = {}
    for within in _parts(L.campaign_id, ids):
        for campaign_id, status, reached, called, count in connection.execute(
            select(L.campaign_id, L.lead_status, is_reached, L.was_called, func.count())
            .with_hint(leads, "FORCE INDEX (ix_leads_counted)", "mysql").where(within).group_by(*groups)
        ):
            figures = found.setdefault(campaign_id or 0, Counter())
            figures["leads"] += count
            if called:
                figures["called"] += count
            if status is None or status == LeadStatus.OPEN:
                figures["open"] += count
            elif status == LeadStatus.SUSPENDED:
                figures["suspended"] += count
            else:
                figures["reached" if reached else "unreached"] += count
    return {key: Totals(**figures) for key, figures in found.items()}  # type: ignore[arg-type]


def count_calls(connection: Connection, ids: Collection[int] | None = None) -> dict[int, Totals]:
    """Calls that are over."""
    figures = (
        func.count(), _sum(A.outcome.in_(ANSWERED)), _sum(A.outcome == Outcome.COMPLETED),
        func.coalesce(func.sum(A.talk_seconds), 0), func.sum(A.cost), func.min(UNIT), func.max(UNIT),
    )  # fmt: skip
    found: dict[int, Totals] = {}
    for within in (*(and_(IS_SETTLED, of) for of in _parts(A.campaign_id, ids)), IS_ASKED_ABOUT):
        for campaign_id, dials, answered, completed, talk, cost, unit, last_unit in connection.execute(
            select(A.campaign_id, *figures).with_hint(call_attempts, BY_STATE, "mysql")
            .where(within).group_by(A.campaign_id)
        ).all():
            key = campaign_id or 0
            if ids is None or key in ids:
                costs: tuple[Amount, ...] = ()
                if unit is not None:
                    costs = (Amount(unit, _exact(cost)),)
                if unit != last_unit:
                    costs = _sum_costs(connection, and_(within, A.campaign_id == campaign_id))
                counted = Totals(dials=dials, answered=int(answered), completed=int(completed), talk_seconds=int(talk),
                                 costs=costs)  # fmt: skip
                found[key] = found[key] + counted if key in found else counted
    return found


def _sum_costs(connection: Connection, within: ColumnElement[bool]) -> tuple[Amount, ...]:
    """Of a campaign whose calls were charged in several units. To group all calls by unit would cost them all."""
    rows = connection.execute(
        select(UNIT, func.sum(A.cost)).with_hint(call_attempts, BY_STATE, "mysql")
        .where(within, A.cost.is_not(None)).group_by(UNIT).order_by(UNIT)
    )
    return tuple(Amount(unit, _exact(cost)) for unit, cost in rows)


def count_due(connection: Connection, ids: Collection[int], now: datetime) -> dict[int, int]:
    """Planned calls whose time has come."""
    found: Counter[int] = Counter()
    for within in _parts(S.campaign_id, ids):
        rows = connection.execute(
            select(S.campaign_id, func.count()).with_hint(call_schedule, BY_DUE, "mysql")
            .where(S.status == ScheduleStatus.PENDING, within, S.scheduled_at <= now).group_by(S.campaign_id)
        )
        for campaign_id, count in rows:
            found[campaign_id or 0] += count
    return found


def count_created(connection: Connection, since: datetime) -> dict[int, int]:
    """Leads that were created since then."""
    # As a term, because SQLite would rather walk all leads in the order of their campaigns than sort today's.
    of = L.campaign_id + literal_column("0")
    exactly = [_Second(L.created_at) >= since.timestamp()] if connection.dialect.name == "sqlite" else []
    found: Counter[int] = Counter()
    for campaign_id, count in connection.execute(
        select(of, func.count()).with_hint(leads, BY_CREATION, "mysql")
        .where(L.created_at >= _earliest(connection, since), *exactly).group_by(of)
    ):
        found[campaign_id or 0] += count
    return found


def add_up(parts: Iterable[Totals]) -> Totals:
    columns: list[tuple[Any, ...]] = list(zip(*map(_all_figures, parts), strict=True))
    if not columns:
        return Totals()
    *counts, costs = columns
    return Totals(*map(sum, counts), _add_costs(costs))  # type: ignore[arg-type,call-arg]


def _add_costs(parts: Iterable[tuple[Amount, ...]]) -> tuple[Amount, ...]:
    sums: dict[str, Decimal] = {}
    for one in chain.from_iterable(parts):
        sums[one.unit] = sums.get(one.unit, Decimal(0)) + one.cost
    return tuple(Amount(unit, cost) for unit, cost in sorted(sums.items()))


# --- figures, by hour ---------------------------------------------------------------------------


def read_hours(
    connection: Connection, since: datetime, campaign_id: int | None = None, account_id: int | None = None
) -> list[HourFigures]:
    """Hour by hour from the one that `since` is in, oldest first; hours in which nothing was counted are left out."""
    first = int(since.timestamp()) // 3600
    since = _earliest(connection, datetime.fromtimestamp(first * 3600, UTC))
    ids: set[int] | None = None if campaign_id is None else {campaign_id}
    if account_id is not None:
        of_account = set(connection.execute(select(C.id).where(C.account_id == account_id)).scalars())
        ids = of_account if ids is None else of_account & ids
    found: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    by_hour = (_Hour(L.created_at), L.campaign_id)
    for hour, key, count in connection.execute(
        select(*by_hour, func.count()).with_hint(leads, BY_CREATION, "mysql")
        .where(L.created_at >= since).group_by(*by_hour)
    ):
        if hour is not None and hour >= first and (ids is None or (key or 0) in ids):
            found[hour][0] += count
    if ids is None:
        # Named, so that of each campaign only what began since then is read. To find them is one look for each.
        ids = {key or 0 for key in connection.execute(select(A.campaign_id).distinct()).scalars()}
    parts = list(_parts(A.campaign_id, ids))
    for within, begun_at in (
        *((and_(IS_SETTLED, of, A.placed_at >= since), A.placed_at) for of in parts),
        # Few: calls of which nobody knows when they began to ring, and those above.
        *((and_(IS_SETTLED, of, A.placed_at.is_(None), since <= BEGUN_AT), BEGUN_AT) for of in parts),
        (and_(IS_ASKED_ABOUT, since <= BEGUN_AT), BEGUN_AT),
    ):
        by_hour = (_Hour(begun_at), A.campaign_id)
        for hour, key, *counts in connection.execute(
            select(*by_hour, func.count(), _sum(A.outcome.in_(ANSWERED)), _sum(A.outcome == Outcome.COMPLETED))
            .with_hint(call_attempts, BY_STATE, "mysql").where(within).group_by(*by_hour)
        ):
            if hour is not None and hour >= first and (key or 0) in ids:
                found[hour] = [one + int(more) for one, more in zip(found[hour], (0, *counts), strict=True)]
    return [HourFigures(datetime.fromtimestamp(hour * 3600, UTC), *counts) for hour, counts in sorted(found.items())]


# --- steps --------------------------------------------------------------------------------------


def _earliest(connection: Connection, since: datetime) -> datetime:
    """Where to begin in an index of instants."""
    return since - WIDEST_OFFSET if connection.dialect.name == "sqlite" else since


def _parts(of: ColumnElement[Any], ids: Collection[int] | None) -> Iterator[ColumnElement[bool]]:
    """Conditions that together are true of these campaigns, each answered by one seek in an index per campaign."""
    if ids is None:
        yield true()
        return
    named = sorted(ids)
    for start in range(0, len(named), NAMED_AT_ONCE):
        yield ids_in(of, named[start : start + NAMED_AT_ONCE])
    if 0 in ids:
        yield of.is_(None)


def _sum(condition: ColumnElement[bool]) -> ColumnElement[Any]:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)


def _exact(value: Any) -> Decimal:
    """A sum of any engine, of which SQLite adds up money in binary."""
    found = value if isinstance(value, Decimal) else Decimal(str(value))
    return found.quantize(Decimal("0.0001")) if found.is_finite() else Decimal("0.0000")
