"""Reads for the pages about leads: who, what happened in which order, and where planned calls crowd together.

Nothing is decided or changed here. What must stay true: a page costs a handful of statements however long a
history is. Only what is said to does read a whole campaign: `list_ids`, for a change of all leads that match, and
`count_planned`, which `service.heat` asks at most once a minute. Lists page by page are in `listings`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Select,
    String,
    Text,
    cast,
    func,
    literal,
    null,
    or_,
    select,
    type_coerce,
    union_all,
)

from scheduler.model import (
    OPEN_STATES,
    OPEN_STATUSES,
    Account,
    CallStatus,
    Campaign,
    CampaignStatus,
    Lead,
    LeadStatus,
    ScheduledCall,
    ScheduleStatus,
)
from scheduler.store import accounts as payers
from scheduler.store.calls import CAMPAIGN_COLUMNS, SCHEDULE_COLUMNS, to_campaign, to_scheduled_call, word
from scheduler.store.database import ids_in
from scheduler.store.leads import LEAD_COLUMNS, LeadFilter, conditions, to_lead
from scheduler.store.reports import REACHED, account_query, entry_unit, lead_query, list_dials
from scheduler.store.tables import (
    account_entries,
    accounts,
    call_attempts,
    call_schedule,
    campaigns,
    events,
    imports,
    lead_phones,
    leads,
)
from scheduler.store.terms import Wanted, conditions_of, read_search

Row = dict[str, Any]

A, C, E, K, L, P, S = (
    call_attempts.c, campaigns.c, events.c, accounts.c, leads.c, lead_phones.c, call_schedule.c
)  # fmt: skip
M, N = imports.c, account_entries.c
GOING = (CampaignStatus.ACTIVE, CampaignStatus.PAUSED)
BUCKET = timedelta(minutes=15)
"""Planned calls are counted by it: in every zone on earth an hour begins at one."""
BY_DUE = "FORCE INDEX (ix_call_schedule_due)"
MOST_STEPS = 200
"""Events, attempts and plans of a lead that are shown, of each the newest."""
MOST_IDS = 5_000
MOST_CHOICES = 300


# --- one lead -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Subject:
    """A lead with its campaign, who pays for it, and its open scheduled call, or the last one where none is."""

    lead: Lead
    campaign: Campaign | None
    account: Account | None
    call: ScheduledCall | None

    @property
    def open_call(self) -> ScheduledCall | None:
        return self.call if self.call is not None and self.call.status in OPEN_STATUSES else None


def read_subject(connection: Connection, lead_id: int) -> Subject | None:
    """One statement: it is read before every explanation."""
    latest = (
        select(S.id)
        .where(S.lead_id == lead_id)
        .order_by(S.open_lead_id.is_(None), S.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    row = connection.execute(
        select(*LEAD_COLUMNS, *SCHEDULE_COLUMNS, *CAMPAIGN_COLUMNS, *payers.COLUMNS)
        .outerjoin_from(leads, call_schedule, S.id == latest)
        .outerjoin(campaigns, C.id == L.campaign_id)
        .outerjoin(accounts, K.id == C.account_id)
        .where(L.id == lead_id)
    ).first()
    if row is None:
        return None
    lead, call, campaign, account = _split(
        tuple(row), len(LEAD_COLUMNS), len(SCHEDULE_COLUMNS), len(CAMPAIGN_COLUMNS)
    )
    names = [column.name for column in CAMPAIGN_COLUMNS]
    return Subject(
        to_lead(lead),
        to_campaign(SimpleNamespace(**dict(zip(names, campaign, strict=True)))) if campaign[0] is not None else None,
        payers.to_account(account) if account[0] is not None else None,
        to_scheduled_call(call) if call[0] is not None else None,
    )


def _split(row: tuple[Any, ...], *widths: int) -> list[tuple[Any, ...]]:
    parts, start = [], 0
    for width in widths:
        parts.append(row[start : start + width])
        start += width
    return [*parts, row[start:]]


def list_timeline(connection: Connection, lead_id: int, *, limit: int = MOST_STEPS) -> list[Row]:
    """What was planned, dialed and noted for a lead, by one statement, newest first, what is planned on top.

    `what` is plan, attempt or event; a plan stands at the time it is or was due. The other fields: `id`, `word`
    (status, state or kind), `outcome`, `reason`, `actor` (who noted it, or the provider), `rule_version`,
    `number` of the attempt, `phone`, `schedule_id`, `attempt_id`, `seconds` of talk.
    """
    nothing, no_number = cast(null(), String(255)), cast(null(), Integer)

    def some(what: str, query: Select[Any], newest: ColumnElement[Any]) -> Select[Any]:
        part = query.where(query.selected_columns["lead_id"] == lead_id).order_by(newest.desc()).limit(limit).subquery()
        return select(literal(what).label("what"), *(one for one in part.c if one.name != "lead_id"))

    noted = select(
        E.lead_id, E.at, E.id, type_coerce(E.kind, String).label("word"), nothing.label("outcome"), E.reason, E.actor,
        E.rule_version, no_number.label("number"), nothing.label("phone"), E.schedule_id, E.attempt_id,
        no_number.label("seconds"),
    )  # fmt: skip
    dialed = select(
        A.lead_id, func.coalesce(A.placed_at, A.claimed_at, A.ended_at).label("at"), A.id, word(A.state).label("word"),
        word(A.outcome), A.error.label("reason"), A.provider.label("actor"), A.rule_version,
        A.attempt_number.label("number"), A.telefono.label("phone"), A.schedule_id, A.id.label("attempt_id"),
        A.talk_seconds.label("seconds"),
    )  # fmt: skip
    planned = select(
        S.lead_id, S.scheduled_at.label("at"), S.id, word(S.status).label("word"),
        word(S.last_outcome).label("outcome"), S.reason, word(S.hold).label("actor"), nothing.label("rule_version"),
        S.attempt_number.label("number"), nothing.label("phone"), S.id.label("schedule_id"),
        no_number.label("attempt_id"), no_number.label("seconds"),
    )  # fmt: skip
    parts = (some("event", noted, E.id), some("attempt", dialed, A.id), some("plan", planned, S.id))
    all_of = union_all(*parts).subquery()
    order = (all_of.c.at.desc(), all_of.c.what, all_of.c.id.desc())
    return _rows(connection, select(all_of).order_by(*order))


# --- many leads ---------------------------------------------------------------------------------


def list_ids(
    connection: Connection, *, campaign_id: int | None, status: str | None, search: str | None, manual: bool | None,
    call_status: str | None, import_id: int | None, reached: bool | None, called: bool | None,
) -> list[int]:
    """Every lead that `listings.list_leads_page` finds for the same filter, in order: what a change of all is about.

    Reads all leads of the campaign where no index answers, and so takes seconds for millions.
    """
    wanted = LeadFilter(
        campaign_id=campaign_id, status=LeadStatus(status) if status else None, import_id=import_id,
        call_status=CallStatus(call_status) if call_status not in (None, CallStatus.NO_SELECTED) else None,
    )
    query = select(L.id).where(*conditions(connection, wanted)).order_by(L.id)
    if call_status == CallStatus.NO_SELECTED:
        query = query.where(or_(L.call_status.is_(None), L.call_status == CallStatus.NO_SELECTED))
    if manual is not None:
        query = query.where(func.coalesce(L.manual_management, False).is_(manual))
    if reached is not None:
        why = func.coalesce(L.closed_reason, "")
        query = query.where(L.lead_status == LeadStatus.CLOSED, why.in_(REACHED) if reached else why.not_in(REACHED))
    if called is not None:
        query = query.where(L.call_attempts_count > 0 if called else L.call_attempts_count == 0)
    found_by = read_search(connection, search) if search else Wanted()
    if found_by.part is not None:
        named = (name.contains(found_by.part, autoescape=True) for name in (L.nombre, L.apellidos))
        query = query.where(or_(*named))
    query = query.where(*conditions_of(found_by))
    if found_by.ids is None:
        return list(connection.execute(query).scalars())
    ids = sorted(found_by.ids)
    found: list[int] = []
    for start in range(0, len(ids), MOST_IDS):
        found += connection.execute(query.where(ids_in(L.id, ids[start : start + MOST_IDS]))).scalars()
    return found


def read_rows(connection: Connection, ids: Sequence[int]) -> list[Row]:
    """These leads as `listings` gives them, in this order; those that are gone are left out."""
    found = {row["id"]: row for row in _rows(connection, lead_query(L.created_at).where(ids_in(L.id, ids)))}
    return [found[one] for one in ids if one in found]


def name_campaigns(connection: Connection, ids: Iterable[int | None]) -> dict[int, str]:
    """The codes of campaigns, for lists that have only their ids."""
    known = {one for one in ids if one is not None}
    if not known:
        return {}
    return {row[0]: row[1] for row in connection.execute(select(C.id, C.code).where(ids_in(C.id, known)))}


def name_leads(connection: Connection, ids: Iterable[int | None]) -> dict[int, str]:
    """The names of leads, as they are written; one without a name is missing."""
    known = {one for one in ids if one is not None}
    if not known:
        return {}
    rows = connection.execute(select(L.id, L.nombre, L.apellidos).where(ids_in(L.id, known)))
    return {row[0]: name for row in rows if (name := " ".join(filter(None, row[1:])))}


def list_choices(connection: Connection) -> list[Row]:
    """The newest campaigns that take leads or are called, for a box to choose from."""
    query = select(C.id, C.code, C.name, word(C.status)).where(C.status != CampaignStatus.CANCELLED)
    return _rows(connection, query.order_by(C.id.desc()).limit(MOST_CHOICES))


# --- planned calls by time ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Planned:
    """`due` calls whose time has come; `buckets` by the beginning of their quarter of an hour."""

    due: int
    buckets: Sequence[tuple[datetime, int]]


def count_planned(connection: Connection, campaign_id: int | None, since: datetime, until: datetime) -> Planned:
    """Pending calls of one campaign (None: of all that are going on, and of leads without one), by time.

    Reads the entries of the index of due rows in that time, and nothing else; of millions that takes seconds.
    """
    of = _of_campaign(connection, campaign_id)
    quarter = _epoch_quarters(connection)
    due = connection.execute(
        select(func.count()).with_hint(call_schedule, BY_DUE, "mysql").select_from(call_schedule)
        .where(S.status == ScheduleStatus.PENDING, of, S.scheduled_at < since)
    ).scalar_one()
    counted = connection.execute(
        select(quarter.label("quarter"), func.count())
        .with_hint(call_schedule, BY_DUE, "mysql")
        .select_from(call_schedule)
        .where(S.status == ScheduleStatus.PENDING, of, S.scheduled_at >= since, S.scheduled_at < until)
        .group_by(quarter)
    )
    return Planned(int(due), [
        (datetime.fromtimestamp(int(number) * BUCKET.total_seconds(), UTC), int(count)) for number, count in counted
    ])


def _of_campaign(connection: Connection, campaign_id: int | None) -> ColumnElement[bool]:
    if campaign_id is not None:
        return S.campaign_id == campaign_id
    going = list(connection.execute(select(C.id).where(C.status.in_(GOING))).scalars())
    return or_(S.campaign_id.is_(None), ids_in(S.campaign_id, going)) if going else S.campaign_id.is_(None)


def _epoch_quarters(connection: Connection) -> ColumnElement[int]:
    seconds = int(BUCKET.total_seconds())
    if connection.dialect.name == "sqlite":
        return cast(func.strftime("%s", S.scheduled_at), Integer).op("/")(seconds)
    return func.floor(func.unix_timestamp(S.scheduled_at) / seconds)


# --- calls --------------------------------------------------------------------------------------


def list_open_calls(connection: Connection, *, limit: int, account_id: int | None = None) -> list[Row]:
    """Calls that are being placed, live or unknown, with who is called, oldest first: there are thousands at most."""
    query = _call_query().where(A.state.in_(OPEN_STATES))
    if account_id is not None:
        query = query.where(C.account_id == account_id)
    return _rows(connection, query.order_by(A.id).limit(limit))


def find_call(connection: Connection, attempt_id: int) -> Row | None:
    """One attempt with everything that is known of it."""
    kept_in = select(func.min(N.unit)).where(N.attempt_id == A.id)
    found = _rows(
        connection,
        _call_query(
            A.attempt_ref, A.schedule_id, A.provider_call_id, A.provider_status, A.dial_before, A.open_from,
            A.open_until, A.not_again_before, A.next_poll_at, A.lookups, A.cost, A.cost_unit, A.summary,
            A.appointment_at, A.reserved, kept_in.scalar_subquery().label("reserved_unit"), A.debt, A.subject,
        ).where(A.id == attempt_id),
    )  # fmt: skip
    return found[0] if found else None


def list_steps_of_call(connection: Connection, attempt_id: int) -> list[Row]:
    """What was noted of an attempt, newest first: found among the events of its lead."""
    lead_id = select(A.lead_id).where(A.id == attempt_id).scalar_subquery()
    query = (
        select(E.id, E.at, E.kind, E.actor, E.reason, E.rule_version)
        .where(E.lead_id == lead_id, E.attempt_id == attempt_id)
        .order_by(E.id.desc())
        .limit(MOST_STEPS)
    )
    dialed = [{"id": None, **one} for one in list_dials(connection, A.id == attempt_id, limit=1)]
    return _rows(connection, query) + dialed


def count_open_by_provider(connection: Connection) -> dict[str, dict[str, int]]:
    """How many attempts are open, by provider and state: read from the few that are."""
    state = word(A.state)
    counted = connection.execute(
        select(A.provider, state, func.count())
        .where(A.state.in_(OPEN_STATES))
        .group_by(A.provider, A.state)
    )
    found: dict[str, dict[str, int]] = {}
    for provider, name, count in counted:
        found.setdefault(provider, {})[name] = count
    return found


def _call_query(*more: ColumnElement[Any]) -> Select[Any]:
    return (
        select(
            A.id, A.lead_id, A.campaign_id, C.code.label("campaign"), L.nombre, L.apellidos, A.telefono, A.provider,
            word(A.state), word(A.outcome), A.attempt_number, A.claimed_at, A.placed_at, A.answered_at, A.ended_at,
            A.talk_seconds, A.error, *more,
        )
        .outerjoin_from(call_attempts, leads, L.id == A.lead_id)
        .outerjoin(campaigns, C.id == A.campaign_id)
    )  # fmt: skip


# --- money and imports ---------------------------------------------------------------------------


def read_account(connection: Connection, account_id: int, *, limit: int) -> Row | None:
    """An account with its newest entries and campaigns; nothing in it is added up over all its calls."""
    found = _rows(connection, account_query().where(K.id == account_id))
    if not found:
        return None
    unit = entry_unit(found[0]).label("unit")
    moved = select(N.id, N.at, word(N.kind), N.amount, unit, N.attempt_id, N.note, N.actor)
    entries = moved.where(N.account_id == account_id)
    own = select(C.id, C.code, C.name, word(C.status)).where(C.account_id == account_id)
    return {
        **found[0],
        "entries": _rows(connection, entries.order_by(N.id.desc()).limit(limit)),
        "campaigns": _rows(connection, own.order_by(C.id.desc()).limit(limit)),
    }


def read_import(connection: Connection, import_id: int) -> Row | None:
    """An import as it is written, with its `details` as text; what became of its leads is not counted."""
    query = select(
        M.id, M.campaign_id, C.code.label("campaign"), M.file_name, word(M.status), M.rows_read, M.added, M.duplicates,
        M.rejected, M.taken_back, M.actor, M.created_at, M.finished_at, M.undone_at,
        type_coerce(M.details, Text).label("details"), C.account_id,
    ).outerjoin_from(imports, campaigns, C.id == M.campaign_id)  # fmt: skip
    found = _rows(connection, query.where(M.id == import_id))
    return found[0] if found else None


def _rows(connection: Connection, query: Select[Any]) -> list[Row]:
    return [{str(name): value for name, value in found.items()} for found in connection.execute(query).mappings()]
