"""The audit (`events`, append-only) and the heartbeat of each daemon."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Text, delete, func, insert, or_, select, type_coerce, update

from scheduler.model import DaemonDoing, DaemonWish, Happening
from scheduler.store.calls import cut, word
from scheduler.store.database import insert_rows
from scheduler.store.tables import daemons, events

E, N = events.c, daemons.c


def add_events(connection: Connection, happenings: Sequence[Happening], now: datetime) -> None:
    if happenings:
        insert_rows(connection, events, [
            {
                "at": now, "kind": one.kind, "actor": one.actor, "lead_id": one.lead_id,
                "campaign_id": one.campaign_id, "schedule_id": one.schedule_id, "attempt_id": one.attempt_id,
                "reason": cut(one.reason), "details": dict(one.details) or None, "rule_version": one.rule_version,
            }
            for one in happenings
        ])


def list_ended_by_us(connection: Connection, attempts: Mapping[int, int]) -> set[int]:
    """Those of these attempts, each with its lead, that we asked the provider to hang up."""
    if not attempts:
        return set()
    rows = connection.execute(select(E.attempt_id).where(
        E.lead_id.in_(sorted(set(attempts.values()))), E.kind.in_(("call_hung_up", "call_stopped", "late_dial")),
        E.attempt_id.in_(sorted(attempts)),
    ))
    return {row.attempt_id for row in rows}


LONGEST_TRANSACTION = timedelta(minutes=15)
"""Ids of events follow time, but for transactions that were long: none waits longer for its locks."""


def find_first_since(connection: Connection, since: datetime) -> int | None:
    """An id that no event since then is below; None when nothing happened since.

    By halves along the key, a seek each: an index on `at` would be changed by every call that is made. `at` is the
    database's clock; where that was set back by more than LONGEST_TRANSACTION, what was noted in between may be missed.
    """
    since -= LONGEST_TRANSACTION
    low, high = connection.execute(select(func.min(E.id), func.max(E.id))).one()
    if low is None:
        return None
    before, first = low - 1, high
    while first - before > 1:
        middle = (before + first) // 2
        found = connection.execute(select(E.id, E.at).where(E.id >= middle).order_by(E.id).limit(1)).one()
        if found.at < since:
            before = found.id
        else:
            first = middle
    return int(first)


def add_daemon(
    connection: Connection, *, owner: str, host: str, pid: int, provider: str, version: str, now: datetime
) -> None:
    connection.execute(insert(daemons).values(
        owner=owner, host=host, pid=pid, provider=provider, version=version, started_at=now, last_seen_at=now,
    ))


def beat(
    connection: Connection, owner: str, *, ticks: int, status: str, now: datetime,
    vitals: Mapping[str, Any] | None = None,
) -> int | None:
    """Write the heartbeat. Returns the tick count that the table held before, None if the row is gone.

    `vitals` is what the daemon measured of itself, in the shape of `service/vitals.py`; None leaves what is there.

    A count lower than the one written last means that the database is older than what we did: a restore,
    or a failover to a lagging copy.
    """
    before = connection.execute(select(N.ticks).where(N.owner == owner).with_for_update()).scalar()
    connection.execute(
        update(daemons).where(N.owner == owner).values(
            ticks=ticks, status=status, last_seen_at=now, **({} if vitals is None else {"vitals": dict(vitals)})
        )
    )
    return before


@dataclass(frozen=True, slots=True)
class VitalsRow:
    """A daemon and what it wrote of itself: text, because a person may have changed it to what is no JSON."""

    id: int
    owner: str
    host: str
    provider: str | None
    version: str | None
    status: str
    doing: DaemonDoing
    last_seen_at: datetime
    vitals: str | None


def list_vitals(connection: Connection, seen_since: datetime, limit: int) -> list[VitalsRow]:
    """Daemons heard of since then, newest first; those that stopped meanwhile too."""
    rows = connection.execute(
        select(
            N.id, N.owner, N.host, N.provider, N.version, N.status, word(N.doing), N.last_seen_at,
            type_coerce(N.vitals, Text).label("vitals"),
        )
        .where(N.last_seen_at >= seen_since)
        .order_by(N.id.desc())
        .limit(limit)
    )
    return [
        VitalsRow(
            row.id, row.owner, row.host, row.provider, row.version, str(row.status), DaemonDoing(row.doing),
            row.last_seen_at, row.vitals,
        )
        for row in rows
    ]


@dataclass(frozen=True, slots=True)
class DaemonRow:
    id: int
    owner: str
    status: str
    wanted: DaemonWish
    doing: DaemonDoing
    last_seen_at: datetime


def find_daemons(connection: Connection, key: str) -> list[DaemonRow]:
    """By id, by owner or by the beginning of an owner."""
    of = N.owner.startswith(key, autoescape=True)
    if key.isascii() and key.isdecimal() and len(key) < 19:
        of = or_(of, N.id == int(key))
    rows = connection.execute(select(*DAEMON_COLUMNS).where(of).order_by(N.id))
    found = [_daemon(row) for row in rows]
    exact = [one for one in found if key in (str(one.id), one.owner)]
    return exact or found


def list_others(connection: Connection, owner: str, seen_since: datetime) -> list[DaemonRow]:
    """Other daemons that follow calls: running, not draining, heard of since then."""
    rows = connection.execute(
        select(*DAEMON_COLUMNS)
        .where(N.owner != owner, N.status == "running", N.wanted != DaemonWish.DRAIN, N.last_seen_at >= seen_since)
        .order_by(N.id)
    )
    return [_daemon(row) for row in rows]


def set_wanted(connection: Connection, daemon_id: int, wanted: DaemonWish) -> None:
    connection.execute(update(daemons).where(N.id == daemon_id).values(wanted=wanted))


def read_wanted(connection: Connection, owner: str) -> DaemonWish:
    """What people ask of this daemon; one whose row is gone goes on."""
    found = connection.execute(select(N.wanted).where(N.owner == owner)).scalar()
    return DaemonWish(found) if found else DaemonWish.RUN


def set_doing(connection: Connection, owner: str, doing: DaemonDoing, now: datetime) -> None:
    connection.execute(update(daemons).where(N.owner == owner).values(doing=doing, last_seen_at=now))


DAEMON_COLUMNS = (N.id, N.owner, N.status, N.wanted, N.doing, N.last_seen_at)


def _daemon(row: Any) -> DaemonRow:
    return DaemonRow(
        row.id, row.owner, str(row.status), DaemonWish(row.wanted), DaemonDoing(row.doing), row.last_seen_at
    )


def touch(connection: Connection, owner: str, *, now: datetime) -> None:
    """A write that changes nothing but the time: proof that the database takes writes."""
    connection.execute(update(daemons).where(N.owner == owner).values(last_seen_at=now))


def forget_daemons(connection: Connection, silent_since: datetime) -> int:
    """Delete the rows of daemons that have said nothing for long; their leases expired long before."""
    return connection.execute(delete(daemons).where(N.last_seen_at < silent_since)).rowcount


FORGET_AFTER = timedelta(days=30)
