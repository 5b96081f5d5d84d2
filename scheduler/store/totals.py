"""What was counted: of each campaign, of its hours, of an account, at a price that does not grow with the tables.

Triggers of `leads`, `call_schedule` and `call_attempts` (migration 0033) add a row to `campaign_changes` for every
change that counts, whoever makes it: a difference, never a state. `fold` adds such rows into `campaign_totals` and
`campaign_hours` and deletes them, in one transaction. Every question here is one statement over what was folded and
what was not, so its answer is exact at every instant, whoever folds meanwhile.

What must stay true: the figures are those of `BASES`, which say the same as the triggers; totals are changed by
`fold` alone. A newcomer would set a wrong total right: `add_corrections` adds the difference as one more row of
changes instead, which stays true although calls go on and others fold. Instants are counted by quarters of an hour
since 1970, because a day may begin at any of them; the rows of hours keep what is needed to cut an hour at a quarter.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Select,
    Table,
    and_,
    case,
    delete,
    exists,
    func,
    insert,
    literal,
    null,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from scheduler.model import AttemptState, CampaignStatus, LeadStatus, Outcome, ScheduleStatus
from scheduler.store.calls import word
from scheduler.store.database import ids_in, insert_rows
from scheduler.store.funnel import ANSWERED, BEGUN_AT
from scheduler.store.reports import REACHED
from scheduler.store.tables import (
    COUNTED,
    COUNTED_BY_HOUR,
    LEADS_FROM,
    call_attempts,
    call_schedule,
    campaign_changes,
    campaign_hours,
    campaign_totals,
    campaigns,
    leads,
)

A, C, L, S = call_attempts.c, campaigns.c, leads.c, call_schedule.c
G, T, H = campaign_changes.c, campaign_totals.c, campaign_hours.c
FIGURES = (*COUNTED, "cost")
FOLDED_AT_ONCE = 5_000
_COUNTS = 2
"""Marks the row of an overview that has no sums of campaigns."""
PAGE = 250_000
"""Rows of a base table that one statement of `measure_drift` looks at: at millions it would take too long."""
FIRST_QUARTER = 4
"""Quarters before it, as 0000-00-00 is read, are in no hour: MySQL has no such instant."""


class _Quarter(FunctionElement[int]):
    """An instant as quarters of an hour since 1970; NULL where a person typed what is none (or `now`, on SQLite)."""

    type = Integer()
    inherit_cache = True


@compiles(_Quarter, "sqlite")
def _on_sqlite(element: _Quarter, compiler: Any, **kw: Any) -> str:
    at = compiler.process(element.clauses, **kw)
    # Microseconds are cut off: strftime would round them up, into the next quarter.
    return (
        f"(CASE WHEN {at} LIKE '____-__-__ __:__:__.______%'"
        f" THEN CAST(strftime('%s', substr({at}, 1, 19) || substr({at}, 27)) AS INTEGER) / 900"
        f" WHEN {at} LIKE '____-__-__%' THEN CAST(strftime('%s', {at}) AS INTEGER) / 900 END)"
    )


@compiles(_Quarter, "mysql", "mariadb")
def _on_mysql(element: _Quarter, compiler: Any, **kw: Any) -> str:
    return f"(UNIX_TIMESTAMP({compiler.process(element.clauses, **kw)}) DIV 900)"


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
    if not campaign_ids:
        return {}
    counted = union_all(*(
        select(of.campaign_id, *(of[name] for name in FIGURES)).where(ids_in(of.campaign_id, campaign_ids))
        for of in (T, G)
    )).subquery()
    sums = (func.sum(counted.c[name]) for name in FIGURES)
    rows = connection.execute(select(counted.c.campaign_id, *sums).group_by(counted.c.campaign_id))
    found = {row[0]: _to_totals(row[1:]) for row in rows}
    return {key: found.get(key, Totals()) for key in campaign_ids}


def read_status(connection: Connection, key: str | int) -> CampaignStatusRow | None:
    """A campaign by code or id, and what was counted of it, in one statement."""
    of = C.code == str(key)
    if str(key).isascii() and str(key).isdecimal() and len(str(key)) < 19:
        of = or_(of, C.id == int(key))
    columns = (
        C.id, C.code, C.name, word(C.status), C.status_reason, C.account_id, C.priority, C.started_at, C.completed_at,
        C.created_at,
    )  # fmt: skip
    # A code that reads as the id of another campaign comes first.
    one = select(*columns).where(of).order_by((C.code == str(key)).desc()).limit(1).subquery()
    # The totals are one row at most, repeated beside each change that is not folded yet.
    sums = [
        func.coalesce(func.max(T[name]), 0) + func.coalesce(func.sum(G[name]), 0) for name in FIGURES
    ]
    row = connection.execute(
        select(*one.c, *sums)
        .select_from(one)
        .outerjoin(campaign_totals, T.campaign_id == one.c.id)
        .outerjoin(campaign_changes, G.campaign_id == one.c.id)
        .group_by(*one.c)
    ).first()
    if row is None:
        return None
    of_campaign: dict[str, Any] = dict(zip((one.name for one in columns), row, strict=False))
    return CampaignStatusRow(**of_campaign, totals=_to_totals(row[len(columns) :]))


def read_overview(connection: Connection, account_id: int | None, today_since: datetime) -> Overview:
    """Of the campaigns of an account, or (None) of everything, leads without a campaign too.

    In one statement. `today_since` is when today began; it is taken to the quarter of an hour, at which days begin in
    every zone.
    """
    batches = select(func.count()).select_from(campaigns).where(C.status == CampaignStatus.ACTIVE)
    if account_id is not None:
        batches = batches.where(C.account_id == account_id)
    counts = [_leads_since(today_since, account_id), batches.scalar_subquery(), *[literal(0)] * (len(FIGURES) - 2)]
    rows = connection.execute(
        union_all(
            *(_sums_by_active(table, account_id) for table in (campaign_totals, campaign_changes)),
            select(literal(_COUNTS), *counts),
        )
    ).all()
    sums = {row[0]: [Decimal(0)] * len(FIGURES) for row in (*rows, (0,), (1,))}
    for which, *values in rows:
        sums[which] = [one + _exact(value) for one, value in zip(sums[which], values, strict=True)]
    return Overview(
        jobs_today=int(sums[_COUNTS][0]), active_batches=int(sums[_COUNTS][1]),
        totals=_to_totals([one + two for one, two in zip(sums[0], sums[1], strict=True)]),
        active_totals=_to_totals(sums[1]),
    )  # fmt: skip


def read_hours(
    connection: Connection, since: datetime, campaign_id: int | None = None, account_id: int | None = None
) -> list[HourFigures]:
    """Hour by hour from the one that `since` is in, oldest first; hours in which nothing was counted are left out."""
    first = _quarter_of(since) // 4 * 4
    folded, left = (
        select(quarter, *(func.sum(of[name]) for name in COUNTED_BY_HOUR)).group_by(by)
        for of, quarter, by in ((H, _Quarter(H.hour_at), H.hour_at), (G, G.quarter, G.quarter))
    )
    folded, left = folded.where(H.hour_at >= _quarter_at(first)), left.where(G.quarter >= first)
    if campaign_id is not None:
        folded, left = folded.where(H.campaign_id == campaign_id), left.where(G.campaign_id == campaign_id)
    if account_id is not None:
        folded = folded.join_from(campaigns, campaign_hours, C.id == H.campaign_id).where(C.account_id == account_id)
        left = left.join_from(campaigns, campaign_changes, C.id == G.campaign_id).where(C.account_id == account_id)
    found: dict[int, list[int]] = defaultdict(lambda: [0] * len(COUNTED_BY_HOUR))
    # Added up by hours where they are, in the order of the key, and here: not by way of a table of both.
    for quarter, *values in connection.execute(union_all(folded, left)):
        hour = int(quarter) // 4
        found[hour] = [one + int(value) for one, value in zip(found[hour], values, strict=True)]
    return [HourFigures(_quarter_at(hour * 4), *values) for hour, values in sorted(found.items()) if any(values)]


# --- imports ------------------------------------------------------------------------------------


@contextmanager
def counting_import(connection: Connection, import_id: int) -> Iterator[None]:
    """Leads of this import that are inserted here are left out by the trigger, for `count_imported`.

    SQLite has no variables that a trigger could ask: it counts each of them, at the price of an import that is a
    little slower.
    """
    if connection.dialect.name == "sqlite":
        yield
        return
    connection.exec_driver_sql(f"SET @ringback_import = {int(import_id)}")
    yield
    # After an error it stays set, which changes nothing: no other rows have this number.
    connection.exec_driver_sql("SET @ringback_import = NULL")


def count_imported(connection: Connection, ids: Collection[int]) -> None:
    """Count the leads that were inserted while `counting_import`, in the same transaction."""
    if connection.dialect.name == "sqlite" or not ids:
        return
    key, quarter = func.coalesce(L.campaign_id, 0), _Quarter(L.created_at)
    found = select(key, quarter, func.count(), func.count()).where(ids_in(L.id, ids)).group_by(key, quarter)
    connection.execute(insert(campaign_changes).from_select(["campaign_id", "quarter", "leads", "open"], found))


# --- folding ------------------------------------------------------------------------------------


def has_changes(connection: Connection) -> bool:
    """Is there anything to fold?"""
    return bool(connection.execute(select(exists().where(G.id.is_not(None)))).scalar())


def fold(connection: Connection, limit: int = FOLDED_AT_ONCE) -> int:
    """Add the oldest changes to the totals and delete them. Returns how many they were.

    Several may fold at once: each takes rows that nobody else has, and that are committed.
    """
    ids = connection.execute(
        select(G.id).order_by(G.id).limit(limit).with_for_update(skip_locked=True)
    ).scalars().all()  # fmt: skip
    if not ids:
        return 0
    is_sqlite = connection.dialect.name == "sqlite"
    taken = f"id IN ({', '.join(map(str, ids))})"
    # In the order of the keys, so that two folders wait for each other and neither of both.
    _add_up(connection, "campaign_totals", ("campaign_id",), ("campaign_id",), {one: one for one in FIGURES}, taken)
    parts = {
        name: f"CASE WHEN quarter % 4 >= {quarter} THEN leads ELSE 0 END"
        for quarter, name in enumerate(LEADS_FROM, start=1)
    }
    begin = "strftime('%Y-%m-%d %H:%M:%S.000000', quarter / 4 * 3600, 'unixepoch')" if is_sqlite else (
        "FROM_UNIXTIME(quarter DIV 4 * 3600)"
    )
    _add_up(
        connection, "campaign_hours", ("hour_at", "campaign_id"), (begin, "campaign_id"),
        {**{one: one for one in COUNTED_BY_HOUR}, **parts},
        f"{taken} AND quarter >= {FIRST_QUARTER} AND (leads <> 0 OR dials <> 0 OR answered <> 0 OR completed <> 0)",
    )
    connection.execute(delete(campaign_changes).where(ids_in(G.id, ids)))
    return len(ids)


def _add_up(
    connection: Connection, table: str, key: Sequence[str], key_of: Sequence[str], sums: dict[str, str], where: str
) -> None:
    columns = ", ".join((*key, *sums))
    found = ", ".join((*key_of, *(f"SUM({one})" for one in sums.values())))
    insert = (
        f"INSERT INTO {table} ({columns}) SELECT {found} FROM campaign_changes WHERE {where}"
        f" GROUP BY {', '.join(key_of)} ORDER BY {', '.join(key_of)}"
    )
    if connection.dialect.name == "sqlite":
        more = ", ".join(f"{one} = {one} + excluded.{one}" for one in sums)
        connection.exec_driver_sql(f"{insert} ON CONFLICT ({', '.join(key)}) DO UPDATE SET {more}")
    else:
        more = ", ".join(f"{table}.{one} = {table}.{one} + VALUES({one})" for one in sums)
        connection.exec_driver_sql(f"{insert} ON DUPLICATE KEY UPDATE {more}".replace("%", "%%"))


# --- counting again -----------------------------------------------------------------------------


@dataclass(slots=True)
class Drift:
    """What the tables say minus what was counted, where that is not zero.

    `campaigns`: by campaign (0: none) and figure. `hours`: by campaign and quarter, of the figures by hour.
    """

    campaigns: dict[int, dict[str, int | Decimal]] = field(default_factory=dict)
    hours: dict[tuple[int, int], dict[str, int]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.campaigns or self.hours)


def measure_drift(connection: Connection) -> Drift:
    """Count everything again and compare. All statements must see one snapshot; nobody is kept waiting.

    Drift does not depend on when the snapshot was taken: changes made meanwhile are counted on both sides.
    """
    totals: dict[int, list[Decimal]] = defaultdict(lambda: [Decimal(0)] * len(FIGURES))
    hours: dict[tuple[int, int], list[int]] = defaultdict(lambda: [0] * len(COUNTED_BY_HOUR))
    for names, sign, rows in _count_again(connection):
        of_totals = [FIGURES.index(name) for name in names]
        of_hours = [COUNTED_BY_HOUR.index(name) if name in COUNTED_BY_HOUR else None for name in names]
        for campaign_id, quarter, *values in rows:
            total = totals[campaign_id]
            for place, value in zip(of_totals, values, strict=True):
                total[place] += sign * _exact(value)
            if quarter is not None and quarter >= FIRST_QUARTER:
                for figure, value in zip(of_hours, values, strict=True):
                    if figure is not None and value:
                        # Of calls the hours know no quarters.
                        at = quarter if COUNTED_BY_HOUR[figure] == "leads" else quarter // 4 * 4
                        hours[campaign_id, at][figure] += sign * int(value)
    _take_off_totals(connection, totals)
    _take_off_hours(connection, hours)
    return Drift(
        {
            key: {
                name: value if name == "cost" else int(value)
                for name, value in zip(FIGURES, values, strict=True) if value
            }
            for key, values in sorted(totals.items()) if any(values)
        },
        {
            key: {name: value for name, value in zip(COUNTED_BY_HOUR, values, strict=True) if value}
            for key, values in sorted(hours.items()) if any(values)
        },
    )  # fmt: skip


def add_corrections(connection: Connection, drift: Drift) -> int:
    """Set right what `measure_drift` found, by rows of changes like any other. Returns how many were added."""
    rows: list[dict[str, Any]] = []
    nothing = dict.fromkeys(FIGURES, 0)
    left = {key: dict(values) for key, values in drift.campaigns.items()}
    for (campaign_id, quarter), values in drift.hours.items():
        rows.append({**nothing, "campaign_id": campaign_id, "quarter": quarter, **values})
        of_campaign = left.setdefault(campaign_id, {})
        for name, value in values.items():
            of_campaign[name] = of_campaign.get(name, 0) - value
    for campaign_id, figures in left.items():
        if any(figures.values()):
            rows.append({**nothing, "campaign_id": campaign_id, "quarter": None, **figures})
    insert_rows(connection, campaign_changes, rows)
    return len(rows)


def _count_again(connection: Connection) -> Iterator[tuple[Sequence[str], int, Any]]:
    """(figures, +1 or -1, rows of campaign, quarter and these figures): the base tables, less what waits."""
    is_open = or_(L.lead_status.is_(None), L.lead_status == LeadStatus.OPEN)
    is_closed, why = L.lead_status == LeadStatus.CLOSED, func.coalesce(L.closed_reason, "")
    for table, names, columns, campaign_id, at, where in (
        (
            leads, ("leads", "open", "suspended", "called", "reached", "unreached"),
            (
                func.count(), _count(is_open), _count(L.lead_status == LeadStatus.SUSPENDED),
                _count(L.call_attempts_count > 0), _count(and_(is_closed, why.in_(REACHED))),
                _count(and_(is_closed, why.not_in(REACHED))),
            ),
            L.campaign_id, _Quarter(L.created_at), true(),
        ),
        (
            call_schedule, ("unpaid",), (func.count(),), S.campaign_id, None,
            and_(
                S.status == ScheduleStatus.PENDING,
                or_(S.reason.like("no balance%"), S.reason.like("account % is closed%")),
            ),
        ),
        (
            call_attempts, ("dials", "answered", "completed", "talk_seconds", "cost"),
            (
                func.count(), _count(A.outcome.in_(ANSWERED)), _count(A.outcome == Outcome.COMPLETED),
                func.coalesce(func.sum(A.talk_seconds), 0), func.coalesce(func.sum(A.cost), 0),
            ),
            A.campaign_id, _Quarter(BEGUN_AT), A.state == AttemptState.ENDED,
        ),
    ):
        key = func.coalesce(campaign_id, 0).label("of_campaign")
        groups = [key] if at is None else [key, at.label("quarter")]
        for after, until in _pages(connection, table):
            query = select(key, null() if at is None else groups[-1], *columns).where(where, table.c.id > after)
            if until is not None:
                query = query.where(table.c.id <= until)
            yield names, 1, connection.execute(query.group_by(*groups))
    waiting = select(G.campaign_id, G.quarter, *(func.sum(G[name]) for name in FIGURES))
    yield FIGURES, -1, connection.execute(waiting.group_by(G.campaign_id, G.quarter))


def _count(condition: ColumnElement[bool]) -> ColumnElement[Any]:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)


def _pages(connection: Connection, table: Table) -> Iterator[tuple[int, int | None]]:
    """Bounds (after, until) by which a whole table is read page by page; the last has no end."""
    key = table.c.id
    after = connection.execute(select(func.min(key))).scalar()
    after = -1 if after is None else after - 1
    while True:
        until = connection.execute(
            select(key).where(key > after).order_by(key).offset(PAGE - 1).limit(1)
        ).scalar()  # fmt: skip
        yield after, until
        if until is None:
            return
        after = until


def _take_off_totals(connection: Connection, totals: dict[int, list[Decimal]]) -> None:
    for campaign_id, *values in connection.execute(select(T.campaign_id, *(T[name] for name in FIGURES))):
        totals[campaign_id] = [
            one - _exact(value) for one, value in zip(totals[campaign_id], values, strict=True)
        ]  # fmt: skip


def _take_off_hours(connection: Connection, hours: dict[tuple[int, int], list[int]]) -> None:
    columns = (*COUNTED_BY_HOUR, *LEADS_FROM)
    rows = connection.execute(select(_Quarter(H.hour_at), H.campaign_id, *(H[name] for name in columns)))
    for begin, campaign_id, *values in rows:
        found = dict(zip(columns, values, strict=True))
        # Leads from each quarter on, as leads in each.
        steps = [found["leads"], *(found[name] for name in LEADS_FROM), 0]
        for number in range(4):
            if steps[number] != steps[number + 1]:
                hours[campaign_id, begin + number][COUNTED_BY_HOUR.index("leads")] -= steps[number] - steps[number + 1]
        for figure, name in enumerate(COUNTED_BY_HOUR):
            if name != "leads" and found[name]:
                hours[campaign_id, begin][figure] -= found[name]


# --- steps --------------------------------------------------------------------------------------


def _sums_by_active(table: Table, account_id: int | None) -> Select[Any]:
    """Rows of is it active (0 or 1) and each figure over such campaigns: added up here, not by way of a table."""
    is_active = case((C.status == CampaignStatus.ACTIVE, 1), else_=0).label("which")
    sums = select(is_active, *(func.sum(table.c[name]) for name in FIGURES)).group_by(is_active)
    if account_id is None:
        return sums.outerjoin_from(table, campaigns, C.id == table.c.campaign_id)
    return sums.join_from(campaigns, table, C.id == table.c.campaign_id).where(C.account_id == account_id)


def _leads_since(since: datetime, account_id: int | None) -> ColumnElement[Any]:
    """Leads created since then, whose first hour may be cut at a quarter."""
    first = _quarter_of(since)
    hour_at = _quarter_at(first // 4 * 4)
    folded = select(func.coalesce(func.sum(H.leads), 0))
    left = select(func.coalesce(func.sum(G.leads), 0)).where(G.quarter >= first)
    begun = select(func.coalesce(func.sum(H.leads - H[("leads", *LEADS_FROM)[first % 4]]), 0))
    if account_id is not None:
        folded = folded.join_from(campaigns, campaign_hours, C.id == H.campaign_id).where(C.account_id == account_id)
        begun = begun.join_from(campaigns, campaign_hours, C.id == H.campaign_id).where(C.account_id == account_id)
        left = left.join_from(campaigns, campaign_changes, C.id == G.campaign_id).where(C.account_id == account_id)
    found = folded.where(H.hour_at >= hour_at).scalar_subquery() + left.scalar_subquery()
    if first % 4:
        found -= begun.where(H.hour_at == hour_at).scalar_subquery()
    return found.label("jobs_today")


def _to_totals(values: Sequence[Any]) -> Totals:
    figures: dict[str, Any] = {name: int(value) for name, value in zip(COUNTED, values, strict=False)}
    return Totals(**figures, cost=_exact(values[-1]))


def _exact(value: Any) -> Decimal:
    """A sum of any engine, of which SQLite adds up money in binary."""
    found = value if isinstance(value, Decimal) else Decimal(str(value))
    return found.quantize(Decimal("0.0001")) if found.is_finite() else Decimal("0.0000")


def _quarter_of(at: datetime) -> int:
    return int(at.timestamp()) // 900


def _quarter_at(quarter: int) -> datetime:
    return datetime.fromtimestamp(quarter * 900, UTC)
