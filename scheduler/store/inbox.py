"""The inbox: what providers posted to us, once per event, until it is applied.

What must stay true: an event is stored before the vendor is answered, and marked as processed in the very
transaction that applies it. One that is about a call that we do not know yet waits, and holds up nobody.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, or_, select

from scheduler.store.calls import cut
from scheduler.store.database import change_rows, ids_in, insert_or_ignore
from scheduler.store.tables import provider_events
from scheduler.store.texts import dump_json

E = provider_events.c
KEY_LENGTH, KIND_LENGTH, REF_LENGTH, CALL_ID_LENGTH = 191, 64, 36, 128


@dataclass(frozen=True, slots=True)
class KeptEvent:
    """A row of `provider_events`."""

    id: int
    provider: str
    key: str
    kind: str
    attempt_ref: str | None
    call_id: str | None
    received_at: datetime
    tries: int
    payload: Mapping[str, Any] = field(default_factory=dict)


def add_events(connection: Connection, rows: Sequence[Mapping[str, Any]], now: datetime) -> int:
    """Keep events: `provider`, `event_key`, `kind`, `attempt_ref`, `provider_call_id`, `payload` each. Those that
    are there already are left as they are. Returns how many were new.

    One that has the key of another and names another attempt, or says something else, is no repetition of it: one of
    the two is genuine, or better informed, and must not be swallowed for the other's sake. It is kept under a key of
    its own.
    """
    if not rows:
        return 0
    # A repetition may arrive at the same instant in another process, so the unique key decides, not a look before.
    statement = insert_or_ignore(provider_events)
    new = 0
    for row in rows:
        ref, call_id = _whole(row["attempt_ref"], REF_LENGTH), _whole(row["provider_call_id"], CALL_ID_LENGTH)
        insert = statement.values(
            provider=row["provider"], kind=cut(row["kind"], KIND_LENGTH), attempt_ref=ref, provider_call_id=call_id,
            payload=row["payload"], received_at=now, next_try_at=now,
        )
        key = row["event_key"][:KEY_LENGTH]
        added = connection.execute(insert.values(event_key=key)).rowcount
        said = dump_json(row["payload"])
        if not added and _what_is_kept(connection, row["provider"], key) != (ref, call_id, json.loads(said)):
            own_key = hashlib.sha256(f"{key}#{ref}#{call_id}#{said}".encode("utf-8", "surrogatepass")).hexdigest()
            added = connection.execute(insert.values(event_key=own_key)).rowcount
        new += added
    return new


def _what_is_kept(connection: Connection, provider: str, key: str) -> tuple[str | None, str | None, Any] | None:
    """The reference, the call and the content of the event with this key."""
    row = connection.execute(
        select(E.attempt_ref, E.provider_call_id, E.payload).where(E.provider == provider, E.event_key == key)
    ).first()
    return (row.attempt_ref, row.provider_call_id, row.payload) if row else None


def is_any_waiting(connection: Connection, now: datetime) -> bool:
    return connection.execute(select(E.id).where(*_waiting(now)).limit(1)).first() is not None


def take_events(connection: Connection, now: datetime, limit: int) -> list[KeptEvent]:
    """Events whose turn has come, oldest first, locked; those that another process holds are passed by."""
    rows = connection.execute(
        select(
            E.id, E.provider, E.event_key, E.kind, E.attempt_ref, E.provider_call_id, E.received_at, E.tries, E.payload
        )
        # In a small table MySQL would rather sort all of it, and what it sorts it locks.
        .with_hint(provider_events, "FORCE INDEX (ix_provider_events_waiting)", "mysql")
        .where(*_waiting(now))
        .order_by(E.next_try_at, E.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return [
        KeptEvent(
            row.id, row.provider, row.event_key, row.kind or "", row.attempt_ref, row.provider_call_id,
            row.received_at, row.tries, row.payload if isinstance(row.payload, dict) else {},
        )
        for row in rows
    ]


def settle_events(connection: Connection, results: Mapping[int, str], now: datetime) -> int:
    """These are processed; `result` says what became of each."""
    return change_rows(
        connection, provider_events, [{"id": one, "result": cut(result)} for one, result in results.items()],
        per_row=("result",), same={"processed_at": now, "next_try_at": None}, guard="processed_at IS NULL",
    )


def postpone_events(connection: Connection, waits: Mapping[int, tuple[int, datetime, str]]) -> int:
    """These wait: (tries so far, when to look again, why)."""
    return change_rows(
        connection, provider_events,
        [{"id": one, "tries": tries, "next_try_at": at, "result": cut(why)} for one, (tries, at, why) in waits.items()],
        per_row=("tries", "next_try_at", "result"), guard="processed_at IS NULL",
    )


def is_any_processed(connection: Connection, before: datetime) -> bool:
    return connection.execute(select(E.id).where(E.processed_at < before).limit(1)).first() is not None


def delete_processed(connection: Connection, before: datetime, limit: int) -> int:
    """Forget processed events that are older than any vendor repeats them."""
    ids: Collection[int] = connection.execute(
        select(E.id).where(E.processed_at < before).order_by(E.processed_at).limit(limit)
    ).scalars().all()
    return connection.execute(delete(provider_events).where(ids_in(E.id, ids))).rowcount if ids else 0


def _waiting(now: datetime) -> tuple[Any, ...]:
    # A row written by hand, or by an earlier release, has no time of its own: it is due.
    return E.processed_at.is_(None), or_(E.next_try_at <= now, E.next_try_at.is_(None))


def _whole(text: str | None, longest: int) -> str | None:
    """An id that does not fit is none: cut short it could be another's."""
    return text if text is not None and len(text) <= longest else None
