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
from scheduler.store.database import ids_in
from scheduler.store.tables import call_attempts, call_schedule

A, S = call_attempts.c, call_schedule.c
OPEN = (AttemptState.PLACING, AttemptState.LIVE, AttemptState.UNKNOWN)
TOGETHER = 100
"""So many counts in one statement."""
NAMED_AT_ONCE = 500
"""So many ids in one list: one of a thousand MariaDB makes a table of, and then no longer seeks in the index."""
BY_DUE = "FORCE INDEX (ix_call_schedule_due)"


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


def count_due_together(
    connection: Connection, campaign_ids: Collection[int | None], now: datetime, most: int
) -> int:
    """Due calls of all these campaigns (None: of leads without one), counted to `most`, in one statement."""
    named = sorted(one for one in campaign_ids if one is not None)
    of = [ids_in(S.campaign_id, named[start : start + NAMED_AT_ONCE]) for start in range(0, len(named), NAMED_AT_ONCE)]
    if None in campaign_ids:
        of.append(S.campaign_id.is_(None))
    if not of:
        return 0
    found = (
        select(S.id).with_hint(call_schedule, BY_DUE, "mysql")
        .where(S.status == ScheduleStatus.PENDING, S.scheduled_at <= now, which).limit(most).subquery()
        for which in of
    )  # fmt: skip
    counts = [select(func.count()).select_from(one).scalar_subquery() for one in found]
    return min(most, sum(connection.execute(select(*counts)).one()))


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
