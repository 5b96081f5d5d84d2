"""The name of this database, and the times at which it was found to be older than what had been done.

Decided here: what a process asks in the transaction of a take, so that a restored copy is never dialed from. What
must stay true: while a recovery is open nothing is claimed by anybody; a call of ours that no attempt knows becomes
an attempt once, for its reference is unique.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, or_, select, update

from scheduler.model import AttemptState, ScheduledCall, ScheduleStatus
from scheduler.store.calls import cut, list_open_calls, lock_capacity
from scheduler.store.database import insert_or_ignore, insert_row
from scheduler.store.tables import call_attempts, call_schedule, daemons, identity, lead_phones, leads, recoveries

A, D, L, P, R, S = call_attempts.c, daemons.c, leads.c, lead_phones.c, recoveries.c, call_schedule.c


@dataclass(frozen=True, slots=True)
class Identity:
    name: str
    created_at: datetime


def read_identity(connection: Connection, now: datetime) -> Identity:
    """Which database this is: the same for every copy of it. Given when it is first asked for."""
    found = connection.execute(select(identity.c.name, identity.c.created_at)).first()
    if found is None:
        connection.execute(insert_or_ignore(identity).values(id=1, name=str(uuid.uuid4()), created_at=now))
        found = connection.execute(select(identity.c.name, identity.c.created_at)).one()
    return Identity(*found)


@dataclass(frozen=True, slots=True)
class Footing:
    """What the database knows of what a process remembers. `ticks` None: the row of that daemon is gone; `ref` is
    the reference of the attempt that was asked about; `epoch` the newest recovery, `is_open`: one is not released.
    """

    ticks: int | None
    ref: str | None
    epoch: int
    is_open: bool


def read_footing(connection: Connection, owner: str, attempt_id: int) -> Footing:
    """One statement, a seek for each part."""
    row = connection.execute(select(
        select(D.ticks).where(D.owner == owner).scalar_subquery(),
        select(A.attempt_ref).where(A.id == attempt_id).scalar_subquery(),
        select(func.coalesce(func.max(R.id), 0)).scalar_subquery(),
        select(func.count()).where(R.released_at.is_(None)).scalar_subquery(),
    )).one()
    return Footing(row[0], row[1], row[2], row[3] > 0)


@dataclass(frozen=True, slots=True)
class Recovery:
    """`newest_at`: when the newest call was claimed that the copy knew. `adopted` calls became attempts, `unplaced`
    ones belong to no lead. `doubt`: why it does not end by itself.
    """

    id: int
    noticed_at: datetime
    noticed_by: str
    reason: str
    newest_at: datetime | None
    looked_at: datetime | None
    adopted: int
    unplaced: int
    doubt: str | None
    released_at: datetime | None
    released_by: str | None


COLUMNS = (
    R.id, R.noticed_at, R.noticed_by, R.reason, R.newest_at, R.looked_at, R.adopted, R.unplaced, R.doubt,
    R.released_at, R.released_by,
)


def find_open(connection: Connection, *, lock: bool = False) -> Recovery | None:
    query = select(*COLUMNS).where(R.released_at.is_(None)).order_by(R.id).limit(1)
    row = connection.execute(query.with_for_update() if lock else query).first()
    return Recovery(*row) if row else None


def find_newest(connection: Connection) -> Recovery | None:
    row = connection.execute(select(*COLUMNS).order_by(R.id.desc()).limit(1)).first()
    return Recovery(*row) if row else None


def list_recoveries(connection: Connection, limit: int) -> list[Recovery]:
    return [Recovery(*row) for row in connection.execute(select(*COLUMNS).order_by(R.id.desc()).limit(limit))]


def open_recovery(connection: Connection, *, by: str, reason: str, epoch: int, now: datetime) -> bool:
    """Hold everything, unless that is so already. After `epoch`, which a process remembers of another life."""
    lock_capacity(connection)  # no take is under way, and none begins before this is seen
    if find_open(connection) is not None:
        return False
    known = connection.execute(select(func.coalesce(func.max(R.id), 0))).scalar_one()
    connection.execute(insert(recoveries).values(
        id=max(known, epoch) + 1, noticed_at=now, noticed_by=by[:96], reason=cut(reason),
        newest_at=find_newest_claim(connection),
    ))
    return True


def find_newest_claim(connection: Connection) -> datetime | None:
    """When the newest attempt was claimed, by its id: a seek."""
    newest = select(A.claimed_at).where(A.claimed_at.is_not(None)).order_by(A.id.desc()).limit(1)
    found: datetime | None = connection.execute(newest).scalar()
    return found


def note_look(connection: Connection, recovery_id: int, values: dict[str, Any]) -> None:
    if "doubt" in values:
        values["doubt"] = cut(values["doubt"])
    connection.execute(update(recoveries).where(R.id == recovery_id).values(**values))


def count_adopted(connection: Connection, recovery_id: int) -> None:
    connection.execute(update(recoveries).where(R.id == recovery_id).values(adopted=R.adopted + 1))


def release(connection: Connection, recovery_id: int, *, by: str, now: datetime) -> bool:
    """Let calls be taken again. False: somebody was faster."""
    open_one = update(recoveries).where(R.id == recovery_id, R.released_at.is_(None))
    return connection.execute(open_one.values(released_at=now, released_by=by[:96])).rowcount == 1


def list_known(connection: Connection, refs: Collection[str]) -> set[str]:
    """Those of these references that an attempt has."""
    if not refs:
        return set()
    return set(connection.execute(select(A.attempt_ref).where(A.attempt_ref.in_(sorted(refs)))).scalars())


def find_left(connection: Connection, owner: str, silent_since: datetime) -> datetime | None:
    """When the last daemon of others that worked here fell silent before then, without saying goodbye; None: it did."""
    last = connection.execute(
        select(D.status, D.last_seen_at).where(D.owner != owner).order_by(D.last_seen_at.desc(), D.id.desc()).limit(1)
    ).first()
    is_left = last is not None and str(last[0]) != "stopped" and last[1] < silent_since
    return last[1] if last is not None and is_left else None


# --- a call that no attempt knows -----------------------------------------------------------------


def find_called(connection: Connection, lead_id: int | None, number: str | None) -> int | None:
    """Whose call that was: the lead that the call names, if that has the number, else one that has it; best one with
    a call planned.
    """
    if number is None:
        return connection.execute(select(L.id).where(L.id == (lead_id or 0))).scalar()
    having = connection.execute(select(P.lead_id).where(P.telefono == number)).scalars().all()
    found = connection.execute(
        select(L.id, func.max(S.open_lead_id))
        .outerjoin(call_schedule, S.open_lead_id == L.id)
        .where(or_(L.telefono == number, L.id.in_(having)))
        .group_by(L.id)
        .order_by(L.id)
    ).all()
    if any(row[0] == lead_id for row in found):
        return lead_id
    planned = [row[0] for row in found if row[1] is not None]
    return next(iter(planned or [row[0] for row in found]), None)


def find_planned(connection: Connection, lead_id: int) -> ScheduledCall | None:
    return next(iter(list_open_calls(connection, [lead_id], lock=True)), None)


def is_in_a_call(connection: Connection, number: str) -> bool:
    query = select(A.id).where(A.telefono == number, A.open_mark == 1).limit(1)
    return connection.execute(query).first() is not None


def put_in_work(connection: Connection, schedule_id: int, now: datetime) -> None:
    """A planned call turns out to be under way, or over. It has no lease: nobody of us is placing it."""
    connection.execute(
        update(call_schedule)
        .where(S.id == schedule_id, S.status == ScheduleStatus.PENDING)
        .values(status=ScheduleStatus.IN_PROGRESS, hold=None, updated_at=now)
    )


ID_GAP = 1000
"""Attempts that other hosts may have claimed beyond what is remembered here."""


def next_id(connection: Connection, beyond: int) -> int:
    """An id that no attempt had before, in this copy or in what was lost."""
    newest: int = connection.execute(select(func.coalesce(func.max(A.id), 0))).scalar_one()
    return newest + 1 if newest > beyond else beyond + ID_GAP


def insert_adopted(connection: Connection, values: dict[str, Any]) -> int:
    """An attempt that is live, for all we know: what became of it is asked."""
    return insert_row(connection, call_attempts, {"state": AttemptState.LIVE, **values})


def count_attempts(connection: Connection, lead_id: int) -> int:
    return connection.execute(select(func.count()).select_from(call_attempts).where(A.lead_id == lead_id)).scalar_one()
