"""The SQL of `ringback report`: what became of the leads and of the attempts to reach them.

Every figure is counted, summed or put into a histogram by the server, in one statement over the attempts of
one campaign or of all; nothing is decided here. An attempt *answered* is one whose outcome means that a person
took the call. What must stay true: a refused attempt made no call and is in no figure but its own; where a
report begins at some instant, attempts are found by the index of campaigns, also when it is about all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    String,
    and_,
    case,
    distinct,
    func,
    literal,
    or_,
    select,
    type_coerce,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from scheduler.model import AttemptState, LeadStatus, Outcome, ScheduleStatus
from scheduler.rules.caps import words_counted
from scheduler.rules.eligibility import CAPS_REASON
from scheduler.rules.figures import QUARTER
from scheduler.store.calls import word
from scheduler.store.journal import find_first_since
from scheduler.store.tables import call_attempts, call_schedule, events, leads, second_calls

A, D, E, L, S = call_attempts.c, second_calls.c, events.c, leads.c, call_schedule.c

ANSWERED = tuple(Outcome(one) for one in words_counted(("answered_live",)))
"""Outcomes that mean that a person took the call: completed, callback, do_not_call and hang_up."""
CLOSED_BY_CALLS = ("completed", "appointment", "max_attempts", "invalid_number", "do_not_call")
"""Why calls close leads, as against people and dates."""
STREAMED = 5_000
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class _Quarters(FunctionElement[int]):
    """An instant as a whole number of quarters of an hour since 1970."""

    type = Integer()
    inherit_cache = True


@compiles(_Quarters, "sqlite")
def _quarters_on_sqlite(element: _Quarters, compiler: Any, **kw: Any) -> str:
    return f"(CAST(strftime('%s', {compiler.process(element.clauses, **kw)}) AS INTEGER) / 900)"


@compiles(_Quarters, "mysql", "mariadb")
def _quarters_on_mysql(element: _Quarters, compiler: Any, **kw: Any) -> str:
    return f"(UNIX_TIMESTAMP({compiler.process(element.clauses, **kw)}) DIV 900)"


class _SecondsBetween(FunctionElement[int]):
    """Whole seconds from one instant to another."""

    type = Integer()
    inherit_cache = True


@compiles(_SecondsBetween, "sqlite")
def _seconds_on_sqlite(element: _SecondsBetween, compiler: Any, **kw: Any) -> str:
    begin, end = (compiler.process(one, **kw) for one in element.clauses)
    return f"CAST(ROUND((julianday({end}) - julianday({begin})) * 86400) AS INTEGER)"


@compiles(_SecondsBetween, "mysql", "mariadb")
def _seconds_on_mysql(element: _SecondsBetween, compiler: Any, **kw: Any) -> str:
    begin, end = (compiler.process(one, **kw) for one in element.clauses)
    return f"TIMESTAMPDIFF(SECOND, {begin}, {end})"


IS_ANSWERED = and_(A.outcome.is_not(None), A.outcome.in_(ANSWERED))
IS_CALL = A.state != AttemptState.REFUSED
BEGUN_AT = func.coalesce(A.placed_at, A.claimed_at, A.ended_at)
"""A call recorded by hand was neither claimed nor placed by us."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What is counted: attempts of `campaign_id` (None: of all, which are `called`), made since then (None: ever)."""

    campaign_id: int | None = None
    since: datetime | None = None
    called: tuple[int, ...] = ()


def read_scope(connection: Connection, campaign_id: int | None, since: datetime | None) -> Scope:
    if campaign_id is not None or since is None:
        return Scope(campaign_id, since)
    # One seek for each: by the campaigns their latest attempts are found in the index, and without only by
    # looking at every attempt that there is.
    called = connection.execute(select(A.campaign_id).distinct()).scalars()
    return Scope(None, since, tuple(sorted(one for one in called if one is not None)))


# --- leads --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LeadCount:
    """Leads with this status and, if they were closed within the scope, why."""

    status: str
    closed_reason: str | None
    leads: int


def count_leads(connection: Connection, scope: Scope) -> list[LeadCount]:
    """All leads by status, and those closed since then by why (`by_hand` where the row does not say)."""
    status = func.coalesce(type_coerce(L.lead_status, String), LeadStatus.OPEN.value)
    closed_at = func.coalesce(L.closed_at, L.updated_at)
    within = status == LeadStatus.CLOSED.value
    if scope.since is not None:
        within = and_(within, closed_at >= scope.since)
    why = case((within, func.coalesce(L.closed_reason, "by_hand")))
    query = select(status, why, func.count()).group_by(status, why)
    if scope.campaign_id is not None:
        query = query.where(L.campaign_id == scope.campaign_id)
    return [LeadCount(*row) for row in connection.execute(query)]


@dataclass(frozen=True, slots=True)
class Called:
    """Leads with an attempt, with one that was answered, with one that was completed."""

    called: int
    reached: int
    succeeded: int


def count_called(connection: Connection, scope: Scope) -> Called:
    found = connection.execute(
        select(
            _count_leads_with(IS_CALL),
            _count_leads_with(IS_ANSWERED),
            _count_leads_with(A.outcome == Outcome.COMPLETED),
        ).where(*_attempts_of(scope))
    ).one()
    return Called(*found)


def _count_leads_with(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.count(distinct(case((condition, A.lead_id))))


@dataclass(frozen=True, slots=True)
class Left:
    """Leads of one campaign that have a call planned or in work, and those whose planned call waits for people."""

    campaign_id: int | None
    waiting: int
    held: int


def count_left(connection: Connection, campaign_id: int | None) -> list[Left]:
    """What is left to call: in this campaign, or (None) in each."""
    open_rows = S.status.in_((ScheduleStatus.PENDING, ScheduleStatus.IN_PROGRESS))
    query = select(S.campaign_id, func.count(), func.count(S.hold)).where(open_rows).group_by(S.campaign_id)
    if campaign_id is not None:
        query = query.where(S.campaign_id == campaign_id)
    return [Left(key, total - held, held) for key, total, held in connection.execute(query)]


# --- attempts -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AttemptCount:
    """`outcome` is None while the call is open, and for a refusal."""

    state: str
    outcome: str | None
    attempts: int
    leads: int
    talk_seconds: int


def count_attempts(connection: Connection, scope: Scope) -> list[AttemptCount]:
    talked = func.coalesce(func.sum(A.talk_seconds), 0)
    query = (
        select(word(A.state), word(A.outcome), func.count(), func.count(distinct(A.lead_id)), talked)
        .where(*_attempts_of(scope))
        .group_by(A.state, A.outcome)
    )
    return [
        AttemptCount(state, outcome, attempts, people, int(seconds))
        for state, outcome, attempts, people, seconds in connection.execute(query)
    ]


@dataclass(frozen=True, slots=True)
class Cost:
    unit: str
    cost: Decimal
    attempts: int


def sum_costs(connection: Connection, scope: Scope) -> list[Cost]:
    """What providers reported as cost, by unit; of calls that they made twice for one request too."""
    asked = (
        select(func.coalesce(A.cost_unit, ""), func.sum(A.cost), func.count())
        .where(A.cost.is_not(None), *_attempts_of(scope)).group_by(A.cost_unit),
        select(func.coalesce(D.cost_unit, ""), func.sum(D.cost), literal(0))
        .join_from(second_calls, call_attempts, A.id == D.attempt_id)
        .where(D.cost.is_not(None), *_attempts_of(scope)).group_by(D.cost_unit),
    )
    found: dict[str, Cost] = {}
    for unit, cost, attempts in (row for one in asked for row in connection.execute(one)):
        known = found.get(unit, Cost(unit, Decimal(0), 0))
        found[unit] = Cost(unit, known.cost + Decimal(cost).quantize(Decimal("0.0001")), known.attempts + attempts)
    return [found[unit] for unit in sorted(found)]


def count_first_answers(connection: Connection, scope: Scope) -> dict[int, int]:
    """How many leads were first answered within the scope, by which of their calls that was.

    All calls of such a lead before it count, also those before the scope.
    """
    first = (
        select(A.lead_id, func.min(A.id).label("first_id"))
        .where(IS_ANSWERED, *_attempts_of(scope))
        .group_by(A.lead_id)
        .subquery()
    )
    answers = func.sum(case((IS_ANSWERED, 1), else_=0))
    calls = (
        select(first.c.lead_id, func.count().label("calls"))
        .join(call_attempts, and_(A.lead_id == first.c.lead_id, A.id <= first.c.first_id))
        .where(IS_CALL)
        .group_by(first.c.lead_id)
        .having(answers == 1)  # one that was answered before the scope too had its first answer then
        .subquery()
    )
    rows = connection.execute(select(calls.c.calls, func.count()).group_by(calls.c.calls))
    return {row[0]: row[1] for row in sorted(rows)}


@dataclass(frozen=True, slots=True)
class Dials:
    """The ended attempts to one number of one lead: when, in quarters of an hour since 1970, those answered apart."""

    number: str
    campaign_id: int | None
    time_zone: str | None
    region: str | None
    quarters: tuple[str, ...]

    @staticmethod
    def read_quarter(text: str) -> tuple[int, bool]:
        """(quarter, was it answered?)"""
        quarter, answered = divmod(int(text), 2)
        return quarter, bool(answered)


def stream_dials(connection: Connection, scope: Scope) -> Iterator[Dials]:
    """Every lead that was dialed, with what its zone depends on.

    One row for each lead and number, its attempts as one text: a row for each attempt costs the client five times
    as much. The text holds 8,000 attempts, which no lead has.
    """
    coded = _Quarters(BEGUN_AT) * 2 + case((IS_ANSWERED, 1), else_=0)
    query = (
        select(
            A.telefono, A.campaign_id, func.min(L.time_zone), func.min(L.region),
            type_coerce(func.group_concat(coded), String),
        )
        .outerjoin_from(call_attempts, leads, L.id == A.lead_id)
        .where(A.outcome.is_not(None), *_attempts_of(scope))
        .group_by(A.lead_id, A.telefono, A.campaign_id)
    )  # fmt: skip
    rows = connection.execution_options(yield_per=STREAMED).execute(query)
    for number, campaign_id, time_zone, region, quarters in rows:
        if quarters:  # none where somebody typed dates that are none
            yield Dials(number, campaign_id, time_zone, region, tuple(quarters.split(",")))


@dataclass(frozen=True, slots=True)
class Gap:
    """`pairs` of a call and the first of the next round, both to one lead, that were so far apart."""

    campaign_id: int | None
    outcome: str
    seconds: int
    pairs: int


def count_gaps(connection: Connection, scope: Scope) -> list[Gap]:
    """How long leads waited between one round and the next, by the outcome that ended the round.

    From the end of a call to the beginning of the next; to the second below an hour, else to the minute.
    """

    def of_next(column: ColumnElement[Any]) -> ColumnElement[Any]:
        return func.lead(column).over(partition_by=A.lead_id, order_by=A.id)

    pair = (
        select(
            A.campaign_id, A.outcome, A.attempt_number, A.ended_at,
            of_next(A.attempt_number).label("next_number"), of_next(BEGUN_AT).label("next_at"),
        )
        .where(IS_CALL, *_attempts_of(scope))
        .subquery()
    )  # fmt: skip
    seconds = _SecondsBetween(pair.c.ended_at, pair.c.next_at)
    rounded = case((seconds < 3600, seconds), else_=seconds - seconds % 60).label("seconds")
    rows = connection.execute(
        select(pair.c.campaign_id, type_coerce(pair.c.outcome, String), rounded, func.count())
        .where(pair.c.next_number > pair.c.attempt_number, pair.c.outcome.is_not(None), seconds >= 0)
        .group_by(pair.c.campaign_id, pair.c.outcome, rounded)
    )
    return [Gap(*row) for row in rows]


# --- what was put off ---------------------------------------------------------------------------


CAUSES = ("hours", "caps", "balance", "pause", "line", "other")
"""Why calls are put off: calling hours, caps and cool-downs, no money, something paused, the line busy with us."""


def _cause(reason: ColumnElement[Any]) -> ColumnElement[str]:
    """The cause behind a reason as the gate words it; a plan for later says its own reason first."""
    return case(
        (reason.like(f"{CAPS_REASON}%"), "caps"),
        (or_(reason.like("%outside hours%"), reason.like("%too close to closing%")), "hours"),
        (or_(reason.like("no balance%"), reason.like("account % is closed%")), "balance"),
        (or_(reason.like("everything is paused%"), reason.like("campaign % is paused%")), "pause"),
        (or_(reason.like("an earlier call%"), reason.like("another call%")), "line"),
        else_="other",
    )


@dataclass(frozen=True, slots=True)
class Postponed:
    """How often calls were put off for this cause, and how many leads had one put off."""

    cause: str
    times: int
    leads: int


def count_postponed(connection: Connection, scope: Scope) -> list[Postponed]:
    """What the gate put off, and what was planned for later than its delay because of hours."""
    cause = _cause(E.reason).label("cause")
    by_plan = and_(E.kind == "planned", cause == "hours")
    query = (
        select(cause, func.count(), func.count(distinct(E.lead_id)))
        .where(or_(E.kind == "moved", by_plan))
        .group_by(cause)
    )
    if scope.campaign_id is not None:
        query = query.where(E.campaign_id == scope.campaign_id)
    if scope.since is not None:
        query = query.where(E.at >= scope.since, E.id >= (find_first_since(connection, scope.since) or 0))
    return sorted((Postponed(*row) for row in connection.execute(query)), key=lambda one: CAUSES.index(one.cause))


@dataclass(frozen=True, slots=True)
class Waiting:
    """Calls that wait now, later than they were wished, and by how much on average and at most."""

    cause: str
    calls: int
    mean_seconds: float
    longest_seconds: int


def count_waiting(connection: Connection, campaign_id: int | None, now: datetime) -> list[Waiting]:
    """Calls planned for later than they were wished, by cause; those that wait for people are not among them."""
    cause, later = _cause(S.reason).label("cause"), _SecondsBetween(S.wanted_at, S.scheduled_at)
    query = (
        select(cause, func.count(), func.avg(later), func.max(later))
        .where(
            S.status == ScheduleStatus.PENDING, S.scheduled_at > now, S.hold.is_(None), S.wanted_at < S.scheduled_at
        )
        .group_by(cause)
    )
    if campaign_id is not None:
        query = query.where(S.campaign_id == campaign_id)
    found = (Waiting(row[0], row[1], float(row[2]), row[3]) for row in connection.execute(query))
    return sorted(found, key=lambda one: CAUSES.index(one.cause))


# --- the present pace ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Progress:
    """Leads that calls have closed of late, and when there were calls: since when in the last hour (None: none
    then), and in how many clock hours of the last day.
    """

    closed_in_hour: int
    closed_in_day: int
    calling_since: datetime | None
    hours_with_calls: int


def read_progress(connection: Connection, campaign_id: int | None, now: datetime) -> Progress:
    closed = select(func.count(), func.count(case((L.closed_at >= now - HOUR, 1)))).where(
        L.lead_status == LeadStatus.CLOSED, L.closed_at >= now - DAY, L.closed_at <= now,
        L.closed_reason.in_(CLOSED_BY_CALLS),
    )  # fmt: skip
    if campaign_id is not None:
        closed = closed.where(L.campaign_id == campaign_id)
    in_day, in_hour = connection.execute(closed).one()
    begun_at = func.coalesce(A.claimed_at, A.ended_at)
    clock_hour = _Quarters(begun_at) // (HOUR // QUARTER)
    since, hours = connection.execute(
        select(func.min(case((begun_at >= now - HOUR, begun_at))), func.count(distinct(clock_hour)))
        .where(IS_CALL, *_attempts_of(read_scope(connection, campaign_id, now - DAY)))
    ).one()
    return Progress(in_hour, in_day, since, hours)


# --- steps --------------------------------------------------------------------------------------


def _attempts_of(scope: Scope) -> Sequence[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if scope.campaign_id is not None:
        found.append(A.campaign_id == scope.campaign_id)
    elif scope.since is not None:
        found.append(or_(A.campaign_id.in_(scope.called), A.campaign_id.is_(None)))
    if scope.since is not None:
        # A call recorded by hand was never claimed.
        found.append(or_(A.claimed_at >= scope.since, and_(A.claimed_at.is_(None), A.ended_at >= scope.since)))
    return found
