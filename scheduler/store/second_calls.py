"""Calls that a provider made for a request beside the one that we know: a vendor, or somebody before it, repeated it.

One row for each, so that each is said once, followed to its end, and paid for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, func, select

from scheduler.store.calls import cut
from scheduler.store.database import change_rows, insert_or_ignore
from scheduler.store.tables import call_attempts, events, second_calls

D, A, E = second_calls.c, call_attempts.c, events.c
EXAMPLES = 20
ODD_KINDS = ("second_call", "event_mismatch")


@dataclass(frozen=True, slots=True)
class SecondCall:
    """A row of `second_calls`, with what is needed of its attempt."""

    id: int
    provider: str
    call_id: str
    attempt_id: int
    attempt_ref: str
    lead_id: int
    phone: str
    account_id: int | None
    charged: Decimal
    seen_at: datetime
    lookups: int


@dataclass(frozen=True, slots=True)
class Spent:
    """What second calls cost, in one unit."""

    calls: int
    cost: Decimal
    unit: str | None


def add(connection: Connection, provider: str, call_id: str, attempt_id: int, now: datetime) -> bool:
    """Keep a second call, to be asked about at once. False: it was known."""
    statement = insert_or_ignore(second_calls).values(
        provider=provider, provider_call_id=call_id, attempt_id=attempt_id, seen_at=now, next_poll_at=now,
    )
    return connection.execute(statement).rowcount == 1


def is_any_due(connection: Connection, now: datetime) -> bool:
    return connection.execute(select(D.id).where(D.next_poll_at <= now).limit(1)).first() is not None


def take_due(connection: Connection, now: datetime, again_at: datetime, limit: int) -> list[SecondCall]:
    """Those to be asked about; their next look is set first, so that no other daemon asks at the same time."""
    ids = connection.execute(
        select(D.id).where(D.next_poll_at <= now).order_by(D.next_poll_at).limit(limit)
        .with_for_update(skip_locked=True)
    ).scalars().all()
    look_again(connection, dict.fromkeys(ids, again_at))
    if not ids:
        return []
    rows = connection.execute(
        select(
            D.id, D.provider, D.provider_call_id, D.attempt_id, A.attempt_ref, A.lead_id, A.telefono, A.account_id,
            D.charged, D.seen_at, D.lookups,
        )
        .join(call_attempts, A.id == D.attempt_id)
        .where(D.id.in_(ids))
        .order_by(D.id)
    )
    return [SecondCall(*row) for row in rows]


def look_again(connection: Connection, looks: Mapping[int, datetime | None]) -> int:
    """When they are asked about next; None: never."""
    return change_rows(
        connection, second_calls, [{"id": one, "next_poll_at": at} for one, at in looks.items()],
        per_row=("next_poll_at",),
    )


def end(connection: Connection, one_id: int, values: Mapping[str, Any]) -> int:
    """What is known of one that is over: outcome, provider_status, talk_seconds, cost, cost_unit, charged, lookups."""
    told = {**values, "provider_status": cut(values.get("provider_status"), 128)}
    # A later look that says less does not take back what an earlier one said.
    known = {name: value for name, value in told.items() if value is not None or name == "next_poll_at"}
    return change_rows(connection, second_calls, [{"id": one_id}], same=known)


def count_odd(connection: Connection, since: datetime) -> dict[str, tuple[int, tuple[int, ...]]]:
    """How often providers told of second calls, or of what does not fit together, since then; and the last attempts."""
    found: dict[str, tuple[int, tuple[int, ...]]] = {}
    for kind in ODD_KINDS:
        rows = connection.execute(
            select(E.attempt_id).where(E.kind == kind, E.at >= since).order_by(E.id.desc()).limit(1000)
        ).scalars().all()
        if rows:
            found[kind] = len(rows), tuple(sorted({one for one in rows if one is not None}))[-EXAMPLES:]
    return found


def count_spent(connection: Connection, since: datetime) -> Sequence[Spent]:
    """What second calls that were seen since then cost, by unit; those of which no cost is known are left out."""
    rows = connection.execute(
        select(func.count(), func.sum(D.cost), D.cost_unit)
        .where(D.seen_at >= since, D.cost.is_not(None))
        .group_by(D.cost_unit)
        .order_by(D.cost_unit)
    )
    return [Spent(*row) for row in rows]
