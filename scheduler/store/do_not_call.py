"""The do-not-call list as people change it, number by number. What the gate asks of it is in `leads`.

What must stay true: a number has one entry, and one that was on the list when a call was made shows it: an entry
that had expired begins anew (`created_at`) when its number is listed again.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, or_, select, update

from scheduler.store.database import insert_or_ignore
from scheduler.store.tables import do_not_call

D = do_not_call.c
ENTRY = (D.id, D.telefono, D.reason, D.source, D.created_at, D.expires_at)


def find_entry(connection: Connection, number: str, now: datetime) -> dict[str, Any] | None:
    """The entry that bars a number in E.164, however somebody wrote it."""
    in_force = or_(D.expires_at.is_(None), D.expires_at > now)
    query = select(*ENTRY).where(D.telefono.in_(_spellings(number)), in_force)
    # Some collations take trailing spaces for nothing.
    rows = [_row(one) for one in connection.execute(query.order_by(D.id)).mappings()]
    return next((one for one in rows if one["telefono"].strip() in _spellings(number)), None)


def add_entry(
    connection: Connection, number: str, *, reason: str, source: str, expires_at: datetime | None, now: datetime
) -> tuple[dict[str, Any], bool]:
    """Bar a number. Returns its entry, and whether it was barred already: that one is never made weaker."""
    before = find_entry(connection, number, now)
    added = connection.execute(insert_or_ignore(do_not_call).values(
        telefono=number, reason=reason, source=source, created_at=now, expires_at=expires_at,
    )).rowcount if before is None else 0
    if not added:
        row = _row(connection.execute(
            select(*ENTRY).where(D.telefono == (before["telefono"] if before else number)).with_for_update()
        ).mappings().one())
        is_over = row["expires_at"] is not None and row["expires_at"] <= now
        values: dict[str, Any] = {"expires_at": expires_at}
        if is_over:
            values |= {"reason": reason, "source": source, "created_at": now}
        elif row["expires_at"] is None or (expires_at is not None and row["expires_at"] >= expires_at):
            values = {}
        if values:
            connection.execute(update(do_not_call).where(D.id == row["id"]).values(**values))
    entry = find_entry(connection, number, now)
    assert entry is not None, "it was written in this transaction"
    return entry, before is not None


def remove_entries(connection: Connection, number: str) -> int:
    """Take a number off the list, in every spelling. Returns how many entries it had."""
    return connection.execute(delete(do_not_call).where(D.telefono.in_(_spellings(number)))).rowcount


def _spellings(number: str) -> list[str]:
    return [number, number[1:], "00" + number[1:]]


def _row(found: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(name): value for name, value in found.items()}
