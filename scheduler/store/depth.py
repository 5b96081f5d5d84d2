"""How much waits in the queue, at a price that does not grow with it.

Every count is read from the index that finds such rows and stops at a limit that it is given, so that millions
of them cost what the limit costs. A newcomer would count them all: that is a second of the server for each look.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, literal, select, union_all

from scheduler.model import AttemptState, ScheduleStatus
from scheduler.store.calls import word
from scheduler.store.tables import call_attempts, call_schedule

A, S = call_attempts.c, call_schedule.c
OPEN = (AttemptState.PLACING, AttemptState.LIVE, AttemptState.UNKNOWN)
TOGETHER = 100
"""So many counts in one statement."""


def count_due(
    connection: Connection, campaign_ids: Collection[int | None], now: datetime, most: int
) -> dict[int | None, int]:
    """Due calls of each of these campaigns (None: of leads without one), each counted to `most`."""
    found: dict[int | None, int] = {}
    chosen = list(campaign_ids)
    for start in range(0, len(chosen), TOGETHER):
        parts: list[Any] = [
            _count(
                most, S.status == ScheduleStatus.PENDING, S.scheduled_at <= now,
                S.campaign_id.is_(None) if one is None else S.campaign_id == one, key=one or 0,
            )
            for one in chosen[start : start + TOGETHER]
        ]
        counts: Any = union_all(*parts)
        rows = connection.execute(counts)
        found.update({row[0] or None: row[1] for row in rows})
    return found


def count_in_work(connection: Connection, most: int) -> int:
    """Calls that a daemon has taken, counted to `most`."""
    return int(connection.execute(_count(most, S.status == ScheduleStatus.IN_PROGRESS)).one()[1])


def count_held(connection: Connection, most: int) -> int:
    """Pending calls that wait for people, counted to `most`."""
    held = _count(most, S.hold.is_not(None), S.status == ScheduleStatus.PENDING)
    return int(connection.execute(held).one()[1])


def count_open_attempts(connection: Connection) -> dict[tuple[str, AttemptState], int]:
    """Open attempts by provider and state: as many as there are lines, so that all are counted."""
    rows = connection.execute(
        select(A.provider, word(A.state), func.count()).where(A.state.in_(OPEN)).group_by(A.provider, A.state)
    )
    return {(row[0], AttemptState(row[1])): row[2] for row in rows}


def _count(most: int, *which: ColumnElement[bool], key: int = 0) -> Any:
    found = select(S.id).where(*which).limit(most).subquery()
    return select(literal(key, literal_execute=True).label("key"), func.count()).select_from(found)
