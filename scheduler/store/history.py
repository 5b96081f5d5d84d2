"""Calls already made, as caps and cool-downs need to know them.

Read by what a cap may count by: the lead, its numbers, its debt, or a campaign as a whole. A refusal was no
call and is left out; a call in progress is in, without an outcome.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, CompoundSelect, Connection, Select, and_, or_, select, union_all

from scheduler.model import OPEN_STATES, AttemptState
from scheduler.rules.caps import ANY, PastCall, group_key
from scheduler.rules.phones import line_kind
from scheduler.store.calls import word
from scheduler.store.database import ids_in
from scheduler.store.tables import call_attempts, campaigns

A, C = call_attempts.c, campaigns.c

COLUMNS = (
    A.id, A.lead_id, A.telefono, A.campaign_id, word(A.outcome), A.placed_at, A.claimed_at, A.ended_at, A.debt,
    A.subject, C.group_name,
)


def read_past_calls(
    connection: Connection, *, lead_ids: Collection[int], numbers: Collection[str], debts: Collection[str],
    since: datetime,
) -> dict[int, PastCall]:
    """Calls since then to these leads, to these numbers for whomever, or about these debts; by attempt."""
    # A branch for each index: as one condition with OR they would be looked for one by one.
    asked = [
        _calls().where(of, _since(since)) for of in (
            ids_in(A.lead_id, lead_ids) if lead_ids else None,
            A.telefono.in_(sorted(numbers)) if numbers else None,
            A.debt.in_(sorted(debts)) if debts else None,
        ) if of is not None
    ]
    return _read(connection, union_all(*asked)) if asked else {}


def read_campaign_calls(
    connection: Connection, campaign_ids: Sequence[int | None], *, outcomes: Iterable[str], since: datetime, limit: int
) -> dict[int, PastCall]:
    """The newest calls of these campaigns that count among `outcomes`, with those in progress."""
    ids = sorted(one for one in campaign_ids if one is not None)
    of = or_(A.campaign_id.is_(None), A.campaign_id.in_(ids)) if None in campaign_ids else A.campaign_id.in_(ids)
    words = tuple(outcomes)
    counted = [] if ANY in words else [or_(A.state.in_(OPEN_STATES), A.outcome.in_(words))]
    newest = _calls().where(of, _since(since), *counted).order_by(A.claimed_at.desc(), A.id.desc()).limit(limit)
    return _read(connection, newest)


def list_group(connection: Connection, group: str) -> list[int]:
    """The campaigns whose calls count together."""
    return list(connection.execute(select(C.id).where(C.group_name == group)).scalars())


def _calls() -> Select[Any]:
    return select(*COLUMNS).outerjoin(campaigns, C.id == A.campaign_id).where(A.state != AttemptState.REFUSED)


def _since(since: datetime) -> ColumnElement[bool]:
    # A call recorded by hand was never claimed.
    return or_(A.claimed_at >= since, and_(A.claimed_at.is_(None), A.ended_at >= since))


def _read(connection: Connection, query: Select[Any] | CompoundSelect[Any]) -> dict[int, PastCall]:
    return {row[0]: _past_call(*row[1:]) for row in connection.execute(query)}


def _past_call(
    lead_id: int, number: str, campaign_id: int | None, outcome: str | None, placed_at: datetime | None,
    claimed_at: datetime | None, ended_at: datetime | None, debt: str | None, subject: str | None, group: str | None,
) -> PastCall:
    at = placed_at or claimed_at or ended_at
    assert at is not None, "an attempt has the instant of its claim, or of its end"
    return PastCall(
        at=at, outcome=outcome, lead=lead_id, phone=number, debt=debt, campaign=campaign_id or 0, subject=subject,
        line=line_kind(number), group=group_key(group, campaign_id), ended_at=ended_at,
    )
