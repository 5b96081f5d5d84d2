"""Every read for people: lists, figures, and the promises as queries.

A row is a mapping with the names of the columns, because those are the words that operators know from
their own SQL (`nombre`, `lead_status`); NULLs that have a meaning are read as what they mean. Nothing is
changed or decided here. Lists come newest first, or soonest first where they are a plan, and never longer
than asked. The invariants must return no row in any committed state, whatever was killed before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    String,
    Text,
    and_,
    case,
    func,
    literal,
    or_,
    select,
    text,
    type_coerce,
)

from scheduler.model import (
    OPEN_STATES,
    OPEN_STATUSES,
    AttemptState,
    BillingType,
    Campaign,
    CampaignStatus,
    EntryKind,
    LeadStatus,
    ScheduleStatus,
)
from scheduler.store.calls import CAMPAIGN_COLUMNS, find_next_due_at, to_campaign
from scheduler.store.tables import (
    account_entries,
    accounts,
    call_attempts,
    call_schedule,
    campaigns,
    daemons,
    events,
    lead_phones,
    leads,
    provider_events,
    scheduler_config,
)

ReportRow = dict[str, Any]

A, C, E, L, P, S = call_attempts.c, campaigns.c, events.c, leads.c, lead_phones.c, call_schedule.c
K, N = accounts.c, account_entries.c
EXAMPLES = 100
"""Rows of one broken promise that are worth listing."""

REACHED = ("completed", "appointment")
"""What `leads.closed_reason` says of a lead that was reached."""

LEAD_STATUS = func.coalesce(L.lead_status, LeadStatus.OPEN.value)
IS_MANUAL = func.coalesce(L.manual_management, False)
IS_CALLABLE = and_(or_(L.lead_status.is_(None), L.lead_status == LeadStatus.OPEN), IS_MANUAL.is_(False))


# --- lists --------------------------------------------------------------------------------------


def list_leads(
    connection: Connection,
    *,
    status: str | None = None,
    campaign_id: int | None = None,
    telefono: str | None = None,
    limit: int,
) -> list[ReportRow]:
    """Leads, newest first."""
    query = lead_query()
    if status is not None:
        query = query.where(_lead_status_is(status))
    if campaign_id is not None:
        query = query.where(L.campaign_id == campaign_id)
    if telefono is not None:
        # Asked for first: as a subquery it would make the server read every lead.
        having = connection.execute(select(P.lead_id).where(P.telefono == telefono)).scalars().all()
        query = query.where(or_(L.telefono == telefono, L.id.in_(having)))
    return _rows(connection, query.order_by(L.id.desc()).limit(limit))


def find_lead(connection: Connection, lead_id: int, *, limit: int) -> ReportRow | None:
    """One lead with its phones, its plan, its attempts (newest first) and what happened to it."""
    found = _rows(
        connection,
        lead_query(
            L.email, L.time_zone, L.region, L.priority, L.fecha_limite, L.appointment_at,
            type_coerce(L.variables, Text).label("variables"), L.created_at, L.updated_at,
        ).where(L.id == lead_id),
    )  # fmt: skip
    if not found:
        return None
    phones = select(P.position, P.telefono, P.status).where(P.lead_id == lead_id).order_by(P.position)
    return {
        **found[0],
        "phones": _rows(connection, phones),
        "schedule": list_schedule(connection, lead_id=lead_id, limit=limit),
        "attempts": list_attempts(connection, lead_id=lead_id, limit=limit),
        "events": list_steps(connection, lead_id, limit=limit),
    }


def list_steps(connection: Connection, lead_id: int, *, limit: int) -> list[ReportRow]:
    """What happened to a lead, newest first, each step with the version of the rules that decided it."""
    noted = _rows(
        connection,
        select(E.at, E.kind, E.actor, E.reason, E.rule_version)
        .where(E.lead_id == lead_id)
        .order_by(E.id.desc())
        .limit(limit),
    )
    dialed = list_dials(connection, A.lead_id == lead_id, limit=limit)
    # At the same instant a dial comes before what follows from it.
    return sorted([*noted, *dialed], key=lambda one: (one["at"], one["kind"] != DIALED), reverse=True)[:limit]


DIALED = "dialed"


def list_dials(connection: Connection, of: ColumnElement[bool], *, limit: int) -> list[ReportRow]:
    """Attempts as steps of their lead, newest first: an attempt is what is noted of a dial."""
    query = (
        select(
            A.claimed_at.label("at"), literal(DIALED).label("kind"), A.claimed_by.label("actor"), A.attempt_number,
            A.rule_version,
        )
        .where(of, A.rule_version.is_not(None))
        .order_by(A.id.desc())
        .limit(limit)
    )
    found = []
    for row in _rows(connection, query):
        number = row.pop("attempt_number")
        found.append({**row, "reason": f"attempt {number}"})
    return found


def list_schedule(
    connection: Connection,
    *,
    due_at: datetime | None = None,
    status: str | None = None,
    lead_id: int | None = None,
    campaign_id: int | None = None,
    limit: int,
) -> list[ReportRow]:
    """Scheduled calls. With `due_at` those that may be dialed then, oldest first, as operators ask for them by SQL.

    Otherwise open rows by when they are due, and the rest newest first.
    """
    query = schedule_query()
    if due_at is not None:
        is_due = and_(S.status == ScheduleStatus.PENDING, S.scheduled_at <= due_at)
        query = query.where(is_due, L.id.is_not(None), IS_CALLABLE)
        status = ScheduleStatus.PENDING
    elif status is not None:
        query = query.where(S.status == status)
    if lead_id is not None:
        query = query.where(S.lead_id == lead_id)
    if campaign_id is not None:
        query = query.where(S.campaign_id == campaign_id)
    soonest_first = status in OPEN_STATUSES
    order = (S.scheduled_at, S.attempt_number, S.id) if soonest_first else (S.id.desc(),)
    return _rows(connection, query.order_by(*order).limit(limit))


def list_attempts(
    connection: Connection,
    *,
    state: str | None = None,
    outcome: str | None = None,
    lead_id: int | None = None,
    is_open: bool = False,
    attempt_id: int | None = None,
    limit: int,
) -> list[ReportRow]:
    """Attempts, newest first."""
    query = attempt_query()
    if attempt_id is not None:
        query = query.where(A.id == attempt_id)
    if state is not None:
        query = query.where(A.state == state)
    if is_open:
        query = query.where(A.state.in_(OPEN_STATES))
    if outcome is not None:
        query = query.where(A.outcome == outcome)
    if lead_id is not None:
        query = query.where(A.lead_id == lead_id)
    return _rows(connection, query.order_by(A.id.desc()).limit(limit))


def list_campaigns(connection: Connection, *, status: str | None = None, limit: int) -> list[ReportRow]:
    """Campaigns, newest first."""
    query = campaign_query()
    if status is not None:
        query = query.where(C.status == status)
    return _rows(connection, query.order_by(C.id.desc()).limit(limit))


def find_campaign(connection: Connection, campaign_id: int) -> ReportRow | None:
    """One campaign with its settings as they are written, its leads and its rows by status."""
    found = _rows(
        connection,
        campaign_query(C.description, type_coerce(C.call_settings, Text).label("call_settings"), C.account_id).where(
            C.id == campaign_id
        ),
    )
    if not found:
        return None
    return {
        **found[0],
        "leads": _counts(connection, LEAD_STATUS, L.campaign_id == campaign_id),
        "schedule": _counts(connection, S.status, S.campaign_id == campaign_id),
    }


def read_campaigns(connection: Connection) -> tuple[Campaign, ...]:
    """Every campaign with its settings as they are written."""
    return tuple(to_campaign(row) for row in connection.execute(select(*CAMPAIGN_COLUMNS).order_by(C.id)))


def list_accounts(connection: Connection, *, status: str | None = None, limit: int) -> list[ReportRow]:
    """Accounts, newest first, each with what is set aside for its open calls."""
    query = account_query().order_by(K.id.desc()).limit(limit)
    return _rows(connection, query if status is None else query.where(K.status == status))


def find_account(connection: Connection, account_id: int, *, limit: int) -> ReportRow | None:
    """One account with what its calls cost so far, its campaigns and its entries, newest first."""
    found = _rows(connection, account_query().where(K.id == account_id))
    if not found:
        return None
    unit = entry_unit(found[0])
    spent = select(-func.sum(N.amount)).where(
        N.account_id == account_id, N.kind == EntryKind.CHARGE, unit == found[0]["unit"]
    )
    codes = select(C.code).where(C.account_id == account_id).order_by(C.id.desc()).limit(limit)
    entries = (
        select(N.id, N.at, N.kind, N.amount, unit.label("unit"), N.attempt_id, N.note, N.actor)
        .where(N.account_id == account_id)
        .order_by(N.id.desc())
        .limit(limit)
    )
    return {
        **found[0],
        "spent": connection.execute(select(_money(spent.scalar_subquery()))).scalar_one(),
        "campaigns": list(connection.execute(codes).scalars()),
        "entries": _rows(connection, entries),
    }


def entry_unit(account: Mapping[str, Any]) -> ColumnElement[str]:
    """What entries of this account are in: only credits may have been something else before."""
    return N.unit if account["billing_type"] == BillingType.CREDITS else literal(account["unit"])


def list_config(connection: Connection) -> list[ReportRow]:
    """Every row of `scheduler_config`."""
    g = scheduler_config.c
    query = select(g.config_key, g.config_value, g.description, g.updated_at).order_by(g.config_key)
    return _rows(connection, query)


# --- figures ------------------------------------------------------------------------------------


def read_progress(connection: Connection, now: datetime) -> ReportRow:
    """Where everything stands, cheaply: what a screen shows every second."""
    by_state = _counts(connection, A.state, A.state.in_(OPEN_STATES))
    return {
        "at": now,
        "schedule": {one.value: 0 for one in ScheduleStatus} | _counts(connection, S.status),
        "in_flight": sum(by_state.values()),
        "in_flight_by_state": {one.value: 0 for one in OPEN_STATES} | by_state,
        "leads": {one.value: 0 for one in LeadStatus} | _counts(connection, LEAD_STATUS),
        "next_due_at": find_next_due_at(connection),
    }


def read_stats(connection: Connection, now: datetime, day_start: datetime) -> ReportRow:
    """All the figures of `ringback stats`; `day_start` is when today began where the installation is."""
    return {
        **read_progress(connection, now),
        "due_now": _count_due(connection, now),
        "due_in_stopped_campaigns": _count_due(connection, now, C.status != CampaignStatus.ACTIVE),
        "closed_reasons": _counts(
            connection, func.coalesce(L.closed_reason, "by_hand"), L.lead_status == LeadStatus.CLOSED
        ),
        **_read_attempts(connection, day_start),
        "success_by_outcome": _read_success(connection),
    }


def _read_attempts(connection: Connection, day_start: datetime) -> ReportRow:
    """Attempts and outcomes in one pass over the table. A refused attempt made no call and is not spent."""
    is_today = func.coalesce(A.ended_at, A.placed_at, A.claimed_at) >= day_start
    today = func.sum(type_coerce(is_today, S.attempt_number.type))
    found = connection.execute(
        select(A.state, A.outcome, func.count(), func.coalesce(today, 0)).group_by(A.state, A.outcome)
    ).all()
    attempts, refused, outcomes = ({"today": 0, "total": 0} for _ in range(3))
    by_outcome: dict[str, dict[str, int]] = {"today": {}, "total": {}}
    for state, outcome, total, of_today in found:
        for when, count in (("today", int(of_today)), ("total", int(total))):
            (refused if state == AttemptState.REFUSED else attempts)[when] += count
            if outcome is not None:
                outcomes[when] += count
                by_outcome[when][outcome] = by_outcome[when].get(outcome, 0) + count
    return {
        "attempts": attempts,
        "refused": refused,
        "ended": outcomes,
        "outcomes": {when: dict(sorted(counts.items())) for when, counts in by_outcome.items()},
        "success_rate": {
            when: _share(by_outcome[when].get("completed", 0), outcomes[when]) for when in ("today", "total")
        },
    }


def _read_success(connection: Connection) -> dict[str, ReportRow]:
    """By outcome: how many attempts ended so, and how many of their leads were reached in the end."""
    is_reached = L.closed_reason.in_(REACHED)
    reached = func.coalesce(func.sum(type_coerce(is_reached, S.attempt_number.type)), 0)
    found = connection.execute(
        select(A.outcome, func.count(), reached)
        .outerjoin_from(call_attempts, leads, L.id == A.lead_id)
        .where(A.outcome.is_not(None))
        .group_by(A.outcome)
        .order_by(A.outcome)
    )
    return {
        outcome: {"attempts": total, "reached": int(people), "success_rate": _share(int(people), total)}
        for outcome, total, people in found
    }


def _count_due(connection: Connection, now: datetime, of: ColumnElement[bool] | None = None) -> int:
    query = (
        select(func.count())
        .select_from(call_schedule)
        .join(leads, L.id == S.lead_id)
        .where(S.status == ScheduleStatus.PENDING, S.scheduled_at <= now, IS_CALLABLE)
    )
    if of is not None:
        query = query.join(campaigns, C.id == S.campaign_id).where(of)
    return int(connection.execute(query).scalar_one())


# --- promises -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Promise:
    """A query that finds what breaks a promise: no row in any committed state."""

    key: str
    sentence: str
    sql: str


@dataclass(frozen=True, slots=True)
class Broken:
    """What a promise's query found: up to `EXAMPLES` ids, and whether there are more."""

    promise: Promise
    examples: tuple[Any, ...]
    has_more: bool


SAME_CLOCK = (
    " AND NOT EXISTS (SELECT 1 FROM clock_steps k WHERE {0} >= k.at AND {0} <= k.until_at"
    " AND {1} >= k.at AND {1} <= k.until_at)"
)
"""Two instants that the clock showed twice, because it went back: which of them was first, nobody can tell by it."""

INVARIANTS: Sequence[Promise] = (
    Promise(
        "R1", "one open attempt per scheduled call",
        "SELECT schedule_id FROM call_attempts WHERE state IN ('placing','live','unknown')"
        " GROUP BY schedule_id HAVING COUNT(*) > 1",
    ),
    Promise(
        "R2", "one open attempt per phone, across campaigns",
        "SELECT telefono FROM call_attempts WHERE state IN ('placing','live','unknown')"
        " GROUP BY telefono HAVING COUNT(*) > 1",
    ),
    Promise(
        "R3", "one open scheduled call per lead",
        "SELECT lead_id FROM call_schedule WHERE status IN ('pending','in_progress')"
        " GROUP BY lead_id HAVING COUNT(*) > 1",
    ),
    Promise(
        "R4", "a scheduled call in work has exactly one open attempt",
        "SELECT s.id FROM call_schedule s LEFT JOIN call_attempts a ON a.schedule_id = s.id"
        " AND a.state IN ('placing','live','unknown')"
        " WHERE s.status = 'in_progress' GROUP BY s.id HAVING COUNT(a.id) <> 1",
    ),
    Promise(
        "R5", "an open attempt never belongs to a scheduled call that is waiting or done",
        "SELECT a.id FROM call_attempts a JOIN call_schedule s ON s.id = a.schedule_id"
        " WHERE a.state IN ('placing','live','unknown') AND s.status IN ('pending','completed')",
    ),
    Promise(
        "R6", "no lease outside work",
        "SELECT id FROM call_schedule WHERE status <> 'in_progress'"
        " AND (lease_owner IS NOT NULL OR lease_token IS NOT NULL OR lease_expires_at IS NOT NULL)",
    ),
    Promise(
        "R7", "what is being placed is leased",
        "SELECT s.id FROM call_schedule s JOIN call_attempts a ON a.schedule_id = s.id AND a.state = 'placing'"
        " WHERE s.status = 'in_progress'"
        " AND (s.lease_owner IS NULL OR s.lease_token IS NULL OR s.lease_expires_at IS NULL)",
    ),
    Promise(
        "R8", "a live attempt is known to the provider",
        "SELECT id FROM call_attempts WHERE state = 'live' AND provider_call_id IS NULL",
    ),
    Promise(
        "R9", "one attempt per call of the provider",
        "SELECT provider, provider_call_id FROM call_attempts WHERE provider_call_id IS NOT NULL"
        " GROUP BY provider, provider_call_id HAVING COUNT(*) > 1",
    ),
    Promise(
        "R10", "an end has an outcome and a time; what is open has neither; a refusal has no outcome",
        "SELECT id FROM call_attempts WHERE (state = 'ended' AND (outcome IS NULL OR ended_at IS NULL))"
        " OR (state IN ('placing','live','unknown') AND (outcome IS NOT NULL OR ended_at IS NOT NULL))"
        " OR (state = 'refused' AND outcome IS NOT NULL)",
    ),
    Promise(
        "R11", "every scheduled call says enough about itself",
        "SELECT id FROM call_schedule WHERE (status = 'pending' AND scheduled_at IS NULL)"
        " OR (status = 'completed' AND last_outcome IS NULL)",
    ),
    Promise(
        "R12", "no lead that was worked on and is still open is without a next step",
        "SELECT l.id FROM leads l JOIN call_schedule d ON d.lead_id = l.id AND d.status = 'completed'"
        " LEFT JOIN call_schedule n ON n.lead_id = l.id AND (n.status IN ('pending','in_progress')"
        " OR (n.status = 'cancelled' AND n.id > d.id))"
        " LEFT JOIN call_attempts x ON x.lead_id = l.id AND x.state IN ('placing','live','unknown')"
        " WHERE COALESCE(l.lead_status,'open') = 'open' AND COALESCE(l.manual_management, FALSE) = FALSE"
        " AND n.id IS NULL AND x.id IS NULL",
    ),
    Promise(
        "R13", "every dial was inside hours",
        "SELECT id FROM call_attempts WHERE claimed_at < open_from OR dial_before > open_until",
    ),
    Promise(
        "R14", "every dial was in time, or an event says that it was late",
        "SELECT id FROM call_attempts WHERE placed_at > dial_before AND id NOT IN"
        " (SELECT attempt_id FROM events WHERE kind = 'late_dial' AND attempt_id IS NOT NULL)",
    ),
    Promise(
        "R15", "no phone was dialed again too soon",
        "SELECT b.id FROM call_attempts a JOIN call_attempts b ON b.telefono = a.telefono AND b.id > a.id"
        " WHERE a.state <> 'refused' AND b.claimed_at < a.not_again_before"
        + SAME_CLOCK.format("b.claimed_at", "a.claimed_at"),
    ),
    Promise(
        "R16", "no number on the do-not-call list was dialed",
        # In other spellings, what nobody has read yet is asked of `do_not_call.list_dialed_unread`.
        " UNION ".join(
            f"SELECT a.id FROM call_attempts a JOIN do_not_call d ON {same}"
            " WHERE a.state <> 'refused' AND a.claimed_at > d.created_at"
            " AND (d.expires_at IS NULL OR a.claimed_at < d.expires_at)"
            + SAME_CLOCK.format("a.claimed_at", "d.created_at")
            for same in (
                "d.read_as = a.telefono AND d.reading IS NULL", "d.telefono = a.telefono AND d.read_text IS NULL",
            )
        )
        + " UNION SELECT a.id FROM call_attempts a JOIN campaigns c ON c.id = a.campaign_id"
        " JOIN account_do_not_call d ON d.account_id = c.account_id AND d.telefono = a.telefono"
        " WHERE a.state <> 'refused' AND a.claimed_at > d.created_at"
        + SAME_CLOCK.format("a.claimed_at", "d.created_at"),
    ),
    Promise(
        "R17", "no closed lead was dialed",
        "SELECT a.id FROM call_attempts a JOIN leads l ON l.id = a.lead_id"
        " WHERE a.state <> 'refused' AND l.lead_status = 'closed' AND a.claimed_at > l.closed_at"
        + SAME_CLOCK.format("a.claimed_at", "l.closed_at"),
    ),
    # In whole ten-thousandths, which every engine adds up exactly.
    Promise(
        "R18", "the entries of an account add up to its balance",
        "SELECT c.id FROM accounts c LEFT JOIN (SELECT account_id, SUM(ROUND(amount * 10000)) AS total"
        " FROM account_entries GROUP BY account_id) e ON e.account_id = c.id"
        " WHERE ROUND(c.balance * 10000) <> COALESCE(e.total, 0)",
    ),
    Promise(
        "R19", "for an open call that somebody pays for, its cost is set aside once",
        "SELECT a.id FROM call_attempts a JOIN accounts c ON c.id = a.account_id"
        " LEFT JOIN account_entries e ON e.attempt_id = a.id AND e.kind IN ('reserve','release','charge')"
        " WHERE a.state IN ('placing','live','unknown') AND a.reserved IS NOT NULL GROUP BY a.id, a.reserved"
        " HAVING COUNT(e.id) <> 1 OR MIN(e.kind) <> 'reserve' OR MIN(e.amount) <> -a.reserved",
    ),
    Promise(
        "R20", "what was set aside for a call came back once at its end, and no call was charged twice",
        "SELECT a.id FROM call_attempts a JOIN accounts c ON c.id = a.account_id LEFT JOIN (SELECT attempt_id,"
        " SUM(CASE WHEN kind = 'reserve' THEN amount END) AS aside,"
        " SUM(CASE WHEN kind = 'release' THEN amount END) AS back,"
        " COUNT(CASE WHEN kind IN ('reserve','release') THEN 1 END) AS moves,"
        " COUNT(CASE WHEN kind = 'charge' AND COALESCE(note, '') NOT IN"
        " ('late_price','late_call','second_call') THEN 1 END)"
        " AS charges"
        " FROM account_entries GROUP BY attempt_id) e ON e.attempt_id = a.id"
        " WHERE a.state IN ('ended','refused') AND a.reserved IS NOT NULL AND (e.aside IS NULL OR e.back IS NULL"
        " OR e.moves <> 2 OR e.aside <> -a.reserved OR e.back <> a.reserved OR e.charges > 1)",
    ),
    Promise(
        "R21", "money moves for calls of the account alone, and is taken for calls that ended",
        "SELECT e.id FROM account_entries e LEFT JOIN call_attempts a ON a.id = e.attempt_id"
        " AND a.account_id = e.account_id"
        " WHERE e.kind IN ('reserve','release','charge')"
        " AND (a.id IS NULL"
        " OR (e.kind = 'charge' AND a.state <> 'ended' AND COALESCE(e.note, '') <> 'second_call'))",
    ),
    Promise(
        "R22", "amounts of two units are never one number: entries of another unit than the account's add up to 0",
        "SELECT e.account_id, e.unit FROM account_entries e JOIN accounts c ON c.id = e.account_id"
        " AND c.billing_type = 'credits' AND e.unit <> c.credit_unit"
        " GROUP BY e.account_id, e.unit HAVING SUM(ROUND(e.amount * 10000)) <> 0",
    ),
)  # fmt: skip


def find_broken(connection: Connection, promise: Promise) -> Broken | None:
    """What breaks this promise now; None: nothing does."""
    found = connection.execute(text(f"{promise.sql} LIMIT {EXAMPLES + 1}")).all()
    if not found:
        return None
    examples = tuple(" ".join(map(str, row)) if len(row) > 1 else row[0] for row in found[:EXAMPLES])
    return Broken(promise, examples, has_more=len(found) > EXAMPLES)


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that should have moved on by now. `kind` says what, `ids` of which rows."""

    sentence: str
    key: str
    ids: tuple[int, ...]


def list_alarms(
    connection: Connection, now: datetime, *, upkeeps_ago: datetime, minute_ago: datetime, horizon: datetime
) -> list[Alarm]:
    """What stands still: nothing of this stays true for long while a daemon runs.

    `upkeeps_ago` is when two upkeeps fit since, `horizon` when the oldest unknown attempt should be settled.
    """
    inbox = provider_events.c
    closed_at = func.coalesce(L.closed_at, L.updated_at)
    questions: tuple[tuple[str, str, Select[Any]], ...] = (
        (
            "placing_past_lease", "attempts are being placed by a process whose lease ran out",
            select(A.id)
            .join(call_schedule, S.id == A.schedule_id)
            .where(A.state == AttemptState.PLACING, S.lease_expires_at < upkeeps_ago),
        ),
        (
            "live_not_polled", "live calls have not been asked about in time",
            select(A.id).where(
                A.state == AttemptState.LIVE, or_(A.next_poll_at < minute_ago, A.next_poll_at.is_(None))
            ),
        ),
        (
            "unknown_not_settled", "attempts are still unknown after the time in which they should be settled",
            select(A.id).where(A.state == AttemptState.UNKNOWN, A.claimed_at < horizon),
        ),
        (
            "live_for_too_long",
            "calls are live past the longest time that a call may last; settle them with `ringback calls resolve`",
            select(A.id).where(A.state == AttemptState.LIVE, A.claimed_at < horizon),
        ),
        (
            "closed_but_planned", "closed leads still have a call planned",
            select(L.id)
            .join(call_schedule, S.open_lead_id == L.id)
            .where(L.lead_status == LeadStatus.CLOSED, S.status == ScheduleStatus.PENDING, closed_at < upkeeps_ago),
        ),
        (
            "inbox_waiting", "reports of a provider have not been applied",
            select(inbox.id).where(inbox.processed_at.is_(None), inbox.received_at < minute_ago),
        ),
    )  # fmt: skip
    found = []
    for key, sentence, query in questions:
        ids = tuple(int(one) for one in connection.execute(query.limit(EXAMPLES)).scalars())
        if ids:
            found.append(Alarm(sentence, key, ids))
    return found


def list_unknown_words(connection: Connection) -> list[ReportRow]:
    """Words of providers that were not understood and were read as failed, most frequent first."""
    details = type_coerce(A.details, Text)
    word = func.coalesce(A.details["unknown_word"].as_string(), A.provider_status)  # a later report has another
    total = func.count()
    query = (
        select(A.provider, word.label("provider_status"), total.label("attempts"),
               func.max(A.id).label("last_attempt_id"))
        .where(or_(details.like('%"known_word": false%'), details.like('%"known_word":false%')))
        .group_by(A.provider, word)
        .order_by(total.desc())
        .limit(EXAMPLES)
    )
    return _rows(connection, query)


def list_held(connection: Connection) -> list[ReportRow]:
    """Why pending rows wait for people, most frequent first."""
    total = func.count()
    query = (
        select(S.hold, S.reason, total.label("calls"))
        .where(S.hold.is_not(None), S.status == ScheduleStatus.PENDING)
        .group_by(S.hold, S.reason)
        .order_by(total.desc())
        .limit(EXAMPLES)
    )
    return _rows(connection, query)


def count_regions(connection: Connection) -> list[tuple[int | None, str, int]]:
    """(campaign, region as it is written, callable leads in it)."""
    query = (
        select(L.campaign_id, L.region, func.count())
        .where(IS_CALLABLE, L.region.is_not(None), L.region != "")
        .group_by(L.campaign_id, L.region)
        .order_by(L.campaign_id, L.region)
    )
    return [(campaign_id, region, count) for campaign_id, region, count in connection.execute(query)]


def list_daemons(connection: Connection, seen_since: datetime) -> list[ReportRow]:
    """Daemons that have given a sign of life since then and did not say goodbye."""
    n = daemons.c
    query = (
        select(n.owner, n.host, n.pid, n.status, n.provider, n.version, n.started_at, n.last_seen_at)
        .where(n.last_seen_at >= seen_since, n.status != "stopped")
        .order_by(n.id)
    )
    return _rows(connection, query)


def list_all_daemons(connection: Connection, *, with_stopped: bool, limit: int) -> list[ReportRow]:
    """Daemons, newest first, and what they were asked to do."""
    n = daemons.c
    query = select(
        n.id, n.owner, n.host, n.pid, n.status, n.doing, n.wanted, n.provider, n.version, n.ticks, n.started_at,
        n.last_seen_at,
    )
    if not with_stopped:
        query = query.where(n.status != "stopped")
    return _rows(connection, query.order_by(n.id.desc()).limit(limit))


# --- rows ---------------------------------------------------------------------------------------


def lead_query(*more: ColumnElement[Any]) -> Select[Any]:
    return select(
        L.id, L.campaign_id, L.nombre, L.apellidos, L.telefono, LEAD_STATUS.label("lead_status"), L.closed_reason,
        IS_MANUAL.label("manual_management"), func.coalesce(L.call_status, "no_selected").label("call_status"),
        L.call_attempts_count, L.closed_at, S.scheduled_at.label("next_call_at"), S.reason.label("next_call_reason"),
        *more,
    ).outerjoin_from(leads, call_schedule, S.open_lead_id == L.id)  # fmt: skip


def schedule_query(*more: ColumnElement[Any]) -> Select[Any]:
    return select(
        S.id, S.lead_id, S.campaign_id, S.scheduled_at, S.attempt_number, S.phone_position, S.status,
        L.nombre, L.apellidos, L.telefono, S.promise, S.hold, S.last_outcome, S.reason, S.wanted_at,
        S.lease_owner, S.lease_expires_at, *more,
    ).outerjoin_from(call_schedule, leads, L.id == S.lead_id)  # fmt: skip


def attempt_query(*more: ColumnElement[Any]) -> Select[Any]:
    return select(
        A.id, A.lead_id, A.schedule_id, A.campaign_id, A.attempt_number, A.telefono, A.provider, A.state, A.outcome,
        A.provider_status, A.provider_call_id, A.attempt_ref, A.claimed_at, A.placed_at, A.answered_at, A.ended_at,
        A.talk_seconds, A.cost, A.cost_unit, A.summary, A.appointment_at, A.error, *more,
    )  # fmt: skip


def _lead_status_is(status: str) -> ColumnElement[bool]:
    is_it = L.lead_status == status
    return or_(is_it, L.lead_status.is_(None)) if status == LeadStatus.OPEN else is_it


def campaign_query(*more: ColumnElement[Any]) -> Select[Any]:
    return select(
        C.id, C.code, C.name, C.status, C.status_reason, C.priority, C.provider, C.dial_mode, C.started_at,
        C.completed_at, C.created_at, C.fecha_limite, C.group_name, *more,
    )  # fmt: skip


UNIT = case((K.billing_type == BillingType.CREDITS, K.credit_unit), else_=type_coerce(K.billing_type, String))
"""What an account is kept in."""


def account_query() -> Select[Any]:
    aside = (
        select(A.account_id, func.sum(A.reserved).label("total"))
        .where(A.state.in_(OPEN_STATES), A.account_id.is_not(None))
        .group_by(A.account_id)
        .subquery()
    )
    return select(
        K.id, K.code, K.name, K.status, K.billing_type, K.balance, UNIT.label("unit"),
        _money(aside.c.total).label("set_aside"),
        K.price_per_minute, K.reserve_per_call, K.max_concurrent_calls, K.low_balance, K.created_at,
    ).outerjoin_from(accounts, aside, aside.c.account_id == K.id)  # fmt: skip


def _money(amount: ColumnElement[Any]) -> ColumnElement[Any]:
    """A sum of money, of nothing too, with four places from every engine."""
    return type_coerce(func.coalesce(amount, 0), K.balance.type)


def _counts(connection: Connection, of: ColumnElement[Any], where: ColumnElement[bool] | None = None) -> dict[str, int]:
    query = select(of, func.count()).group_by(of).order_by(of)
    if where is not None:
        query = query.where(where)
    return {str(word): count for word, count in connection.execute(query)}


def _rows(connection: Connection, query: Select[Any]) -> list[ReportRow]:
    return [_row(found) for found in connection.execute(query).mappings()]


def _row(found: Mapping[Any, Any]) -> ReportRow:
    return {str(name): value for name, value in found.items()}


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None
