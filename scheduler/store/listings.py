"""Lists for screens and programs, page by page, in tables of millions.

A page is found by walking an index and stopping at its limit: no statement here sorts or reads more than a few
thousand rows, whatever the tables hold. What lies in several ranges of an index (the campaigns of an account,
the statuses of a plan) is one branch of a UNION for each range, merged by the server. A filter that no index
answers looks at `WINDOW` rows and says where it stopped: `Rows.goes_on_at`, from where the next page begins,
even when this one is short or empty.

Rows have the names of the columns, as in `reports`. Each function gives one row more than `limit` when there are
more. A newcomer would leave the choice of the index to the optimizer: it takes the one that fits the filter best
and then sorts a million rows, or walks the primary key past all campaigns but one.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Connection, Select, Text, func, select, text, type_coerce

from scheduler.model import OPEN_STATES, OPEN_STATUSES, Hold, LeadStatus, ScheduleStatus
from scheduler.store import reports
from scheduler.store.database import ids_in, raw
from scheduler.store.journal import find_first_since
from scheduler.store.reports import A, E, K, L, P, ReportRow, S
from scheduler.store.tables import UTCDateTime, campaigns, do_not_call

C, D = campaigns.c, do_not_call.c
WINDOW = 20_000
"""Rows that one page looks at when no index answers its filter."""
FEW = 2_000
"""Rows of a rare kind that are sorted rather than searched for."""
FEW_BRANCHES = 16
BRANCHES = 400
"""Ranges of one statement: SQLite takes no more than 500."""
MOST_PHONES = 200
PEOPLE = ("cli", "open", "api", "sql")
"""Who did something, beside `key:NAME` and `user:NAME`: what people do. Everything else is a daemon or a provider."""
KINDS_OF_PEOPLE = (
    "account_adjusted", "account_changed", "account_closed", "account_created", "account_reopened",
    "account_topped_up", "all_paused", "all_resumed", "balance_changed_by_sql", "call_hung_up", "call_planned",
    "call_recorded", "call_released", "call_reported", "call_resolved", "campaign_cancelled", "campaign_created",
    "campaign_edited", "campaign_paused", "campaign_resumed", "closed_by_hand", "config_set", "daemon_drain",
    "daemon_pause", "daemon_run", "import_undone", "imported", "key_created", "key_forgotten", "key_revoked",
    "lead_added", "lead_closed", "lead_reopened", "lead_resumed", "lead_suspended", "number_barred", "number_unbarred",
    "opened_by_hand", "password_set", "role_set", "schedule_cancelled", "user_added", "user_removed",
)  # fmt: skip

Place = tuple[datetime | None, int]
"""Where a page begins in a list by time: the time and the id of the last row before it."""


class Rows(list[ReportRow]):
    """`goes_on_at` is where to look further when this is all that was found within the window; None: it is all."""

    goes_on_at: Any = None


# --- campaigns and leads --------------------------------------------------------------------------


def list_campaigns_page(
    connection: Connection,
    *,
    account_id: int | None = None,
    status: str | None = None,
    group: str | None = None,
    search: str | None = None,
    before: int | None = None,
    limit: int,
) -> Rows:
    """Campaigns, newest first. `search` is an id, or a part of a name or code. There are thousands, not millions."""
    query = reports.campaign_query(C.account_id, C.description)
    for column, value in ((C.account_id, account_id), (C.status, status), (C.group_name, group)):
        if value is not None:
            query = query.where(column == value)
    if search:
        wanted = C.name.contains(search, autoescape=True) | C.code.contains(search, autoescape=True)
        query = query.where(wanted | (C.id == int(search)) if _is_id(search) else wanted)
    if before is not None:
        query = query.where(C.id < before)
    return _fetch(connection, query.order_by(C.id.desc()).limit(limit + 1))


def find_campaign_row(connection: Connection, campaign_id: int) -> ReportRow | None:
    """One campaign as its columns are; `call_settings` as text. Nothing of it is counted."""
    settings = type_coerce(C.call_settings, Text).label("call_settings")
    found = _fetch(connection, reports.campaign_query(C.account_id, C.description, settings).where(C.id == campaign_id))
    return found[0] if found else None


def list_campaign_ids(connection: Connection, account_id: int) -> list[int]:
    """The campaigns of an account."""
    return list(connection.execute(select(C.id).where(C.account_id == account_id).order_by(C.id)).scalars())


def count_campaigns(connection: Connection, account_id: int | None = None) -> dict[str, int]:
    """Campaigns by status, of one account or all."""
    query = select(C.status, func.count()).group_by(C.status)
    rows = connection.execute(query if account_id is None else query.where(C.account_id == account_id))
    return {str(status): count for status, count in rows}


def list_accounts_page(
    connection: Connection, *, account_id: int | None = None, status: str | None = None, before: int | None = None,
    limit: int,
) -> Rows:
    """Accounts, newest first, each with what is set aside for its open calls."""
    query = reports.account_query()
    if account_id is not None:
        query = query.where(K.id == account_id)
    if status is not None:
        query = query.where(K.status == status)
    if before is not None:
        query = query.where(K.id < before)
    return _fetch(connection, query.order_by(K.id.desc()).limit(limit + 1))


def list_leads_page(
    connection: Connection,
    *,
    account_id: int | None = None,
    campaign_id: int | None = None,
    status: str | None = None,
    search: str | None = None,
    manual: bool | None = None,
    call_status: str | None = None,
    import_id: int | None = None,
    reached: bool | None = None,
    called: bool | None = None,
    before: int | None = None,
    limit: int,
    window: int = WINDOW,
) -> Rows:
    """Leads, newest first. `reached`: closed ones that were, or were not; `called`: those with an attempt, or without.

    `search`: `+569...` or digits are a number, whole or its beginning (digits an id too); anything else is a part
    of a name, which needs a campaign to be found quickly.
    """
    walk = _Walk("leads", ("id",), before=None if before is None else (before,), limit=limit, window=window)
    scopes = _scopes(connection, account_id, campaign_id)
    if scopes == []:
        return Rows()
    if status is not None:
        walk.filter(_LEAD_STATUS[status])
    if manual is not None:
        walk.filter("COALESCE(t.manual_management, 0) = :manual", manual=int(manual))
    if call_status == "no_selected":
        walk.filter("(t.call_status IS NULL OR t.call_status = 'no_selected')")
    elif call_status is not None:
        walk.filter("t.call_status = :call_status", call_status=call_status)
    if reached is not None:
        words = f"COALESCE(t.closed_reason, '') {'IN' if reached else 'NOT IN'} ({_quoted(reports.REACHED)})"
        walk.filter(f"t.lead_status = 'closed' AND {words}")
    if called is not None:
        walk.filter(f"t.call_attempts_count {'>' if called else '='} 0")
    if import_id is not None:
        walk.filter("t.import_id = :import_id", import_id=import_id)
    if import_id is not None and not search:
        walk.of_scopes_as_filter(scopes)
        return _leads(connection, walk, [_Branch("t.import_id = :import_id", "ix_leads_import")])
    if search and (number := _number(search)) is not None:
        return _leads_by_number(connection, walk, scopes, number, search)
    if search:
        walk.filter(
            "(t.nombre LIKE :name ESCAPE '!' OR t.apellidos LIKE :name ESCAPE '!')", name=f"%{_escaped(search)}%"
        )
    if status == LeadStatus.SUSPENDED and not search and _are_few(connection, "leads", "lead_status = 'suspended'"):
        walk.of_scopes_as_filter(scopes)
        return _leads(connection, walk, [_Branch("t.lead_status = 'suspended'", "ix_leads_closed", is_ordered=False)])
    return _leads(connection, walk, _branches(scopes, "ix_leads_campaign"))


_LEAD_STATUS = {
    "open": "(t.lead_status IS NULL OR t.lead_status = 'open')",
    "closed": "t.lead_status = 'closed'",
    "suspended": "t.lead_status = 'suspended'",
}


def _leads(connection: Connection, walk: _Walk, branches: Sequence[_Branch]) -> Rows:
    ids, goes_on_at = walk.run(connection, branches)
    found = _fetch(connection, reports.lead_query(L.created_at).where(ids_in(L.id, ids)), ids)
    found.goes_on_at = goes_on_at[0] if goes_on_at else None
    return found


def _leads_by_number(
    connection: Connection, walk: _Walk, scopes: list[int] | None, number: str, search: str
) -> Rows:
    """Leads one of whose numbers is this or begins so; few have the same, so they are sorted."""
    spellings = [number] if number.startswith("+") else [number, f"+{number}"]
    ids: set[int] = {int(search)} if _is_id(search) else set()
    for one in spellings:
        for column, of in ((P.lead_id, P.telefono), (L.id, L.telefono)):
            # A range of the index on the numbers; past so many, the beginning says too little.
            query = select(column).where(of >= one, of < one + ":").order_by(of).limit(MOST_PHONES)
            ids.update(connection.execute(query).scalars())
    if not ids:
        return Rows()
    walk.filter(f"t.id IN ({', '.join(map(str, sorted(ids)))})")
    walk.of_scopes_as_filter(scopes)
    return _leads(connection, walk, [_Branch("1 = 1", "PRIMARY", is_ordered=False)])


def _number(search: str) -> str | None:
    """What could be a number or its beginning, without what people write between digits."""
    bare = re.sub(r"[\s().\-/]", "", search)
    return bare if re.fullmatch(r"\+?[0-9]{1,20}", bare) else None


def _is_id(search: str) -> bool:
    return re.fullmatch(r"[0-9]{1,18}", search.strip()) is not None


# --- what is planned ------------------------------------------------------------------------------


def list_schedule_page(
    connection: Connection,
    *,
    account_id: int | None = None,
    campaign_id: int | None = None,
    lead_id: int | None = None,
    status: str | None = None,
    due_at: datetime | None = None,
    hold: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    before: Place | None = None,
    limit: int,
    window: int = WINDOW,
) -> Rows:
    """Scheduled calls: pending ones and those in work soonest first, otherwise the latest `scheduled_at` first.

    With `due_at`, those that may be dialed then: pending, due, their lead open and not managed by hand. `since` and
    `until` are for `scheduled_at` (half-open). `before` is the place (scheduled_at, id) of the last row of the page
    before, whatever the order.
    """
    if due_at is not None:
        status = ScheduleStatus.PENDING
    soonest_first = status in OPEN_STATUSES
    walk = _Walk(
        "call_schedule", ("scheduled_at", "id"), before=before, limit=limit, window=window, descending=not soonest_first
    )
    scopes = _scopes(connection, account_id, campaign_id)
    if scopes == []:
        return Rows()
    if since is not None:
        walk.range("t.scheduled_at >= :since", since=since)
    if until is not None:
        walk.range("t.scheduled_at < :until", until=until)
    if hold is not None:
        walk.filter("t.hold = :hold", hold=Hold(hold).value)
    if due_at is not None:
        walk.range("t.scheduled_at <= :due_at", due_at=due_at)
        walk.filter(
            "EXISTS (SELECT 1 FROM leads l WHERE l.id = t.lead_id AND (l.lead_status IS NULL OR l.lead_status = 'open')"
            " AND COALESCE(l.manual_management, 0) = 0)"
        )
    if lead_id is not None:
        if status is not None:
            walk.filter("t.status = :status", status=status)
        walk.of_scopes_as_filter(scopes)
        branches = [_Branch(f"t.lead_id = {int(lead_id)}", "ix_call_schedule_lead", is_ordered=False)]
    else:
        statuses = [status] if status is not None else [one.value for one in ScheduleStatus]
        branches = [
            _Branch(f"t.status = '{ScheduleStatus(word).value}' AND {_is_of(one)}", "ix_call_schedule_due")
            for word, one in _parts_of_plan(connection, walk, statuses, scopes)
        ]
    ids, goes_on_at = walk.run(connection, branches)
    query = reports.schedule_query(C.code.label("campaign_code")).outerjoin(campaigns, C.id == S.campaign_id)
    found = _fetch(connection, query.where(ids_in(S.id, ids)), ids)
    found.goes_on_at = goes_on_at
    return found


def _parts_of_plan(
    connection: Connection, walk: _Walk, statuses: Sequence[str], scopes: list[int] | None
) -> list[tuple[str, int | None]]:
    """The ranges (status, campaign) of the index that this page can lie in, by hops from one to the next in it.

    Of a thousand campaigns, those whose first row comes soonest fill the page; what the others have comes later.
    """
    if scopes is not None and len(scopes) * len(statuses) <= FEW_BRANCHES:
        return [(word, one) for one in scopes for word in statuses]
    is_sqlite = connection.dialect.name == "sqlite"
    first = func.max(S.scheduled_at) if walk.descending else func.min(S.scheduled_at)
    # With a single status the server reads every row of it instead of hopping.
    query = select(S.status, S.campaign_id, first).where(S.status.in_([one.value for one in ScheduleStatus]))
    if walk.before is not None and not is_sqlite:
        at = walk.before[0]
        query = query.where(S.scheduled_at <= at if walk.descending else S.scheduled_at >= at)
    for name, condition in (("since", S.scheduled_at.__ge__), ("until", S.scheduled_at.__lt__)):
        if name in walk.parameters:
            query = query.where(condition(walk.parameters[name]))
    rows = connection.execute(query.group_by(S.status, S.campaign_id)).all()
    found = [row for row in rows if row[0] in statuses and (scopes is None or row[1] in scopes)]
    if is_sqlite or len(found) <= FEW_BRANCHES:
        return [(word, one) for word, one, _ in found]
    found.sort(key=lambda row: row[2], reverse=walk.descending)
    count = (4 if walk.filters else 1) * (walk.limit + 1)
    while count < len(found) and found[count][2] == found[count - 1][2]:
        count += 1
    if count < len(found):
        walk.bound = (found[count][2], 2**63 - 1 if walk.descending else 0)
    return [(word, one) for word, one, _ in found[:count]]


# --- what was dialed ------------------------------------------------------------------------------


def list_attempts_page(
    connection: Connection,
    *,
    account_id: int | None = None,
    campaign_id: int | None = None,
    lead_id: int | None = None,
    state: str | None = None,
    outcome: str | None = None,
    is_open: bool = False,
    provider: str | None = None,
    since: datetime | None = None,
    attempt_id: int | None = None,
    before: Place | None = None,
    limit: int,
    window: int = WINDOW,
) -> Rows:
    """Attempts, those claimed last first; `before` is the place (claimed_at, id) of the last row before this page."""
    scopes = _scopes(connection, account_id, campaign_id)
    if scopes == []:
        return Rows()
    by_time = scopes is not None and lead_id is None
    order = ("claimed_at", "id") if by_time else ("id",)
    place = before if by_time or before is None else before[1:]
    walk = _Walk("call_attempts", order, before=place, limit=limit, window=window)
    states = [state] if state is not None else [one.value for one in OPEN_STATES] if is_open else []
    if is_open and state is not None and state not in OPEN_STATES:
        return Rows()
    for name, value in (("outcome", outcome), ("provider", provider)):
        if value is not None:
            walk.filter(f"t.{name} = :{name}", **{name: value})
    if since is not None:
        walk.filter("t.claimed_at >= :since", since=since)
    if attempt_id is not None:
        walk.filter("t.id = :attempt_id", attempt_id=attempt_id)
        if lead_id is None:
            lead_id = connection.execute(select(A.lead_id).where(A.id == attempt_id)).scalar()
    if lead_id is not None:
        if states:
            walk.filter(f"t.state IN ({_quoted(states)})")
        walk.of_scopes_as_filter(scopes)
        branches = [_Branch(f"t.lead_id = {int(lead_id)}", "ix_call_attempts_lead", is_ordered=False)]
    elif states and set(states) <= {one.value for one in OPEN_STATES}:
        # Lines are thousands, so what is open is sorted; everything else is beyond counting.
        walk.of_scopes_as_filter(scopes)
        branches = [_Branch(f"t.state IN ({_quoted(states)})", "ix_call_attempts_poll", is_ordered=False)]
    else:
        if states:
            walk.filter(f"t.state IN ({_quoted(states)})")
        branches = _branches(scopes, "ix_call_attempts_campaign")
    ids, goes_on_at = walk.run(connection, branches)
    found = _fetch(connection, reports.attempt_query().where(ids_in(A.id, ids)), ids)
    found.goes_on_at = goes_on_at if by_time or goes_on_at is None else (None, goes_on_at[0])
    return found


def find_attempt_row(connection: Connection, attempt_id: int) -> ReportRow | None:
    found = _fetch(connection, reports.attempt_query().where(A.id == attempt_id))
    return found[0] if found else None


def count_open(connection: Connection, account_id: int | None = None) -> dict[str, int]:
    """Calls in flight by state, of one account or all: as many as there are lines."""
    query = select(A.state, func.count()).where(A.state.in_(OPEN_STATES)).group_by(A.state)
    if account_id is not None:
        query = query.join(campaigns, C.id == A.campaign_id).where(C.account_id == account_id)
    return {one.value: 0 for one in OPEN_STATES} | {str(state): count for state, count in connection.execute(query)}


# --- the audit ------------------------------------------------------------------------------------


def list_events_page(
    connection: Connection,
    *,
    account_id: int | None = None,
    campaign_id: int | None = None,
    lead_id: int | None = None,
    kind: str | None = None,
    actor: str | None = None,
    since: datetime | None = None,
    people_only: bool = False,
    before: int | None = None,
    limit: int,
    window: int = WINDOW,
) -> Rows:
    """What happened, newest first. `people_only` leaves out what daemons and providers noted.

    `details` is text. Of an account are the events of its campaigns, and with `lead_id` all of its lead.
    """
    walk = _Walk("events", ("id",), before=None if before is None else (before,), limit=limit, window=window)
    scopes = _scopes(connection, account_id, campaign_id)
    if scopes == []:
        return Rows()
    if since is not None:
        first = find_first_since(connection, since)
        if first is None:
            return Rows()
        walk.range(f"t.id >= {first}")
        walk.filter("t.at >= :since", since=since)
    if actor is not None:
        walk.filter("t.actor = :actor", actor=actor)
    if people_only:
        walk.filter(f"(t.actor IN ({_quoted(PEOPLE)}) OR t.actor LIKE 'key:%' OR t.actor LIKE 'user:%')")
    if lead_id is not None:
        if kind is not None:
            walk.filter("t.kind = :kind", kind=kind)
        if scopes is not None:  # not all that happens to a lead names its campaign
            walk.filter(
                "EXISTS (SELECT 1 FROM leads l WHERE l.id = t.lead_id AND l.campaign_id IN "
                f"({', '.join(map(str, scopes))}))"
            )
        branches = [_Branch(f"t.lead_id = {int(lead_id)}", "ix_events_lead")]
    elif scopes is not None:
        if kind is not None:
            walk.filter("t.kind = :kind", kind=kind)
        branches = _branches(scopes, "ix_events_campaign")
    elif kind is not None:
        walk.parameters["kind"] = kind
        branches = [_Branch("t.kind = :kind", "ix_events_kind")]
    elif people_only:
        branches = [_Branch(f"t.kind = '{one}'", "ix_events_kind") for one in KINDS_OF_PEOPLE]
    else:
        branches = _branches(None, "PRIMARY")
    ids, goes_on_at = walk.run(connection, branches)
    found = _fetch(connection, select(
        E.id, E.at, E.kind, E.actor, E.lead_id, E.campaign_id, E.schedule_id, E.attempt_id, E.reason,
        E.rule_version, type_coerce(E.details, Text).label("details"),
    ).where(ids_in(E.id, ids)), ids)
    found.goes_on_at = goes_on_at[0] if goes_on_at else None
    return found


# --- the do-not-call list -------------------------------------------------------------------------


def list_numbers_barred_page(
    connection: Connection, *, search: str | None = None, before: int | None = None, limit: int
) -> Rows:
    """Entries of the do-not-call list, newest first; `search` is a number or its beginning."""
    query = select(D.id, D.telefono, D.reason, D.source, D.created_at, D.expires_at)
    if before is not None:
        query = query.where(D.id < before)
    if search:
        number = _number(search)
        if number is None:
            return Rows()
        begins = [number] if number.startswith("+") else [number, f"+{number}"]
        of: list[int] = []
        for one in begins:
            found = select(D.id).where(D.telefono >= one, D.telefono < one + ":").order_by(D.telefono).limit(FEW)
            of += connection.execute(found).scalars()
        query = query.where(ids_in(D.id, of))
    return _fetch(connection, query.order_by(D.id.desc()).limit(limit + 1))


# --- walking an index -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Branch:
    """One range of an index. Not `is_ordered`: its rows are few, and are sorted."""

    condition: str
    index: str
    is_ordered: bool = True


@dataclass
class _Walk:
    """Finds the ids of a page: rows `t` of a table along `order` (columns, the last one its id), newest first."""

    table: str
    order: tuple[str, ...]
    before: tuple[Any, ...] | None
    limit: int
    window: int
    descending: bool = True
    parameters: dict[str, Any] = field(default_factory=dict)
    ranges: list[str] = field(default_factory=list)
    filters: list[str] = field(default_factory=list)
    bound: tuple[Any, ...] | None = None
    """How far the branches that are walked know everything."""
    is_sqlite: bool = False

    def range(self, condition: str, **values: Any) -> None:
        """A condition that narrows the walk itself, on a column of the order."""
        self.ranges.append(condition)
        self.parameters.update(values)

    def filter(self, condition: str, **values: Any) -> None:
        """A condition that rows are looked at for, one by one."""
        self.filters.append(condition)
        self.parameters.update(values)

    def of_scopes_as_filter(self, scopes: list[int] | None) -> None:
        if scopes is not None:
            self.filter(f"t.campaign_id IN ({', '.join(map(str, scopes))})")

    def run(self, connection: Connection, branches: Sequence[_Branch]) -> tuple[list[int], tuple[Any, ...] | None]:
        """(ids of the page and one more, where to go on when the window was too narrow to fill it)."""
        if not branches:
            return [], None
        self.is_sqlite = connection.dialect.name == "sqlite"
        beyond = self._beyond(self.before, "before", self._forward) if self.before is not None else []
        floor = self._nearest(self._find_floor(connection, branches, beyond) if self.filters else None, self.bound)
        within = self._beyond(floor, "floor", self._backward, or_same=True) if floor is not None else []
        conditions = [*self.ranges, *beyond, *within, *self.filters]
        rows = self._union(connection, branches, conditions, f"LIMIT {self.limit + 1}")
        ids = [row[-1] for row in rows[: self.limit + 1]]
        return ids, floor if len(ids) <= self.limit else None

    def _find_floor(
        self, connection: Connection, branches: Sequence[_Branch], beyond: list[str]
    ) -> tuple[Any, ...] | None:
        """Where this page stops looking, so that all branches together look at no more than `window` rows."""
        ordered = [one for one in branches if one.is_ordered]
        if not ordered:
            return None
        share = max(self.window // len(ordered), self.limit + 1)
        rows = self._union(connection, ordered, [*self.ranges, *beyond], f"LIMIT 1 OFFSET {share}")
        return tuple(rows[0]) if rows else None

    def _nearest(self, *places: tuple[Any, ...] | None) -> tuple[Any, ...] | None:
        known = [one for one in places if one is not None]
        return None if not known else max(known, key=self._key) if self.descending else min(known, key=self._key)

    def _union(
        self, connection: Connection, branches: Sequence[_Branch], conditions: list[str], limit: str
    ) -> list[Any]:
        found: list[Any] = []
        for start in range(0, len(branches), BRANCHES):
            chunk = branches[start : start + BRANCHES]
            parts = [self._select(one, conditions, limit) for one in chunk]
            if len(parts) > 1:
                merged = f"SELECT * FROM ({' UNION ALL '.join(parts)}) y"
                parts = [f"{merged} ORDER BY {self._along('')} LIMIT {self.limit + 1}"]
            named = set(re.findall(r":([a-z_]+)", parts[0]))
            values = {name: raw(value) for name, value in self.parameters.items() if name in named}
            types = {name: BigInteger() if name == "id" else UTCDateTime() for name in self.order}
            found += connection.execute(text(parts[0]).columns(**types), values).all()
        return found if len(branches) <= BRANCHES else sorted(found, key=self._key, reverse=self.descending)

    def _select(self, branch: _Branch, conditions: list[str], limit: str) -> str:
        what = ", ".join(f"t.{name} AS {name}" for name in self.order)
        hint = "" if self.is_sqlite else f" FORCE INDEX ({branch.index})"
        where = " AND ".join([f"({branch.condition})", *conditions])
        query = f"SELECT {what} FROM {self.table} t{hint} WHERE {where} ORDER BY {self._along('t.')} {limit}"
        return f"SELECT * FROM ({query}) x" if self.is_sqlite else f"({query})"

    @property
    def _forward(self) -> str:
        return "<" if self.descending else ">"

    @property
    def _backward(self) -> str:
        return ">" if self.descending else "<"

    def _along(self, prefix: str) -> str:
        way = " DESC" if self.descending else ""
        return ", ".join(f"{self._comparable(prefix + name)}{way}" for name in self.order)

    def _beyond(self, place: tuple[Any, ...], name: str, than: str, *, or_same: bool = False) -> list[str]:
        """What lies beyond a place in the order. NULL is lower than everything, for both engines."""
        row_id = f"t.id {than}{'=' if or_same else ''} :{name}_id"
        self.parameters[f"{name}_id"] = place[-1]
        if len(self.order) == 1:
            return [row_id]
        column = self._comparable(f"t.{self.order[0]}")
        if place[0] is None:
            return [f"({column} IS NULL AND {row_id})" if than == "<" else f"({column} IS NOT NULL OR {row_id})"]
        self.parameters[f"{name}_at"] = place[0]
        at = self._comparable(f":{name}_at")
        lower = f" OR {column} IS NULL" if than == "<" and self.order[0] == "claimed_at" else ""
        return [f"({column} {than} {at} OR ({column} = {at} AND {row_id}){lower})"]

    def _comparable(self, what: str) -> str:
        """SQLite keeps the text that a person typed, and one instant has several: `15:00`, `15:00:00.000000`."""
        if not self.is_sqlite or not what.endswith("_at"):
            return what
        read = f"strftime('%Y-%m-%d %H:%M:%f', {what})"
        return f"CASE WHEN {what} IS NOT NULL THEN COALESCE({read}, '0001-01-01 00:00:00.000') END"

    def _key(self, row: Any) -> tuple[Any, ...]:
        return tuple((value is not None, value) for value in row)


def _scopes(connection: Connection, account_id: int | None, campaign_id: int | None) -> list[int] | None:
    """The campaigns that are meant; None: all, and what belongs to none."""
    if account_id is None:
        return None if campaign_id is None else [campaign_id]
    own = list(connection.execute(select(C.id).where(C.account_id == account_id).order_by(C.id)).scalars())
    return own if campaign_id is None else [campaign_id] if campaign_id in own else []


def _branches(scopes: list[int] | None, index: str) -> list[_Branch]:
    if scopes is None:
        return [_Branch("1 = 1", "PRIMARY")]
    return [_Branch(f"t.campaign_id = {one}", index) for one in scopes]


def _is_of(campaign_id: int | None) -> str:
    return "t.campaign_id IS NULL" if campaign_id is None else f"t.campaign_id = {int(campaign_id)}"


def _are_few(connection: Connection, table: str, condition: str) -> bool:
    """Are there at most `FEW` rows of this kind? Counted no further."""
    of = text(f"SELECT COUNT(*) FROM (SELECT 1 FROM {table} WHERE {condition} LIMIT {FEW + 1}) x")
    return int(connection.execute(of).scalar_one()) <= FEW


def _quoted(words: Collection[str]) -> str:
    """Words of ours as SQL."""
    return ", ".join(f"'{one}'" for one in words)


def _escaped(part: str) -> str:
    return re.sub(r"([!%_])", r"!\1", part)


def _fetch(connection: Connection, query: Select[Any], ids: Sequence[int] | None = None) -> Rows:
    """Rows as mappings; those with these ids in their order, without those that were deleted meanwhile."""
    if ids is not None and not ids:
        return Rows()
    rows = ({str(name): value for name, value in one.items()} for one in connection.execute(query).mappings())
    if ids is None:
        return Rows(rows)
    by_id = {row["id"]: row for row in rows}
    return Rows(by_id[one] for one in ids if one in by_id)
