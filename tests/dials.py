"""Attempts of the past, as rows: what reports are made from."""

from __future__ import annotations

import itertools
from datetime import datetime
from typing import Any

from sqlalchemy import insert

from scheduler.store import tables
from scheduler.store.database import Database
from tests.conftest import NOON
from tests.factories import MINUTE, lead_of

_refs = itertools.count()


def add_dial(
    database: Database, lead_id: int, outcome: str | None = "no_answer", *, at: datetime = NOON, number: int = 1,
    **columns: Any,
) -> None:
    """An attempt to call this lead at `at`, in its campaign; it ended a minute later. Without outcome: live."""
    lead = lead_of(database, lead_id)
    ended = {"state": "ended", "outcome": outcome, "ended_at": at + MINUTE}
    _write(database, tables.call_attempts, {
        "attempt_ref": f"dial-{next(_refs)}", "lead_id": lead_id, "campaign_id": lead.campaign_id,
        "attempt_number": number, "telefono": lead.telefono, "provider": "simulator", "claimed_at": at,
        "placed_at": at, **(ended if outcome else {"state": "live"}), **columns,
    })


def add_event(database: Database, kind: str, reason: str | None, **columns: Any) -> None:
    _write(database, tables.events, {"kind": kind, "actor": "daemon", "reason": reason, "at": NOON, **columns})


def _write(database: Database, table: Any, values: dict[str, Any]) -> None:
    with database.engine.connect() as connection, connection.begin():
        connection.execute(insert(table), values)
