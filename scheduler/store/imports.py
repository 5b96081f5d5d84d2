"""Leads from a file: who has a number already, and whole chunks of new leads with their first calls.

What must stay true: ids are read back by number and never computed from the first one, because an
AUTO_INCREMENT may have gaps and other writers; and of two imports that bring the same number at the same
time one gives way. No unique index can hold that (a person may be a lead of several campaigns), so after
the insert the numbers are read again under a lock: the later import waits there for the earlier one,
finds its rows and starts again (`Overtaken`), or is the victim of a deadlock, which starts it again too.

Statements are driver SQL with plain tuples: through the type system of Core the same insert costs the
client twice the time, and that time is most of an import.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, or_, select, update

from scheduler.model import CampaignStatus
from scheduler.rules.rows import NewLead
from scheduler.store.database import marks, raw
from scheduler.store.tables import call_schedule, campaigns, lead_phones, leads

C, L, P = campaigns.c, leads.c, lead_phones.c

IMPORTED = "imported"
"""The reason of a first call, for people."""


class Overtaken(Exception):
    """Another import brought one of these numbers at the same moment; roll back and start again."""


def find_holders(connection: Connection, campaign_id: int | None, numbers: Collection[str]) -> dict[str, int]:
    """Those of these numbers that leads of this campaign have (of none, for None), with the lead's id."""
    if not numbers:
        return {}
    wanted = sorted(numbers)
    holders = {
        number: lead_id
        for number, lead_id in connection.execute(
            select(P.telefono, P.lead_id).join(leads, L.id == P.lead_id).where(P.telefono.in_(wanted), _of(campaign_id))
        )
    }
    # Leads written by hand have no row in lead_phones.
    holders.update(_list_ids(connection, campaign_id, wanted))
    return holders


def insert_leads(connection: Connection, campaign_id: int | None, rows: Sequence[NewLead], now: datetime) -> None:
    """Add leads with their numbers, and plan a first call for each. No number of theirs is held yet.

    Raises Overtaken.
    """
    if not rows:
        return
    _insert(
        connection, leads,
        ("campaign_id", "nombre", "apellidos", "telefono", "email", "time_zone", "region", "priority", "variables",
         "fecha_limite"),
        [
            (
                campaign_id, row.first_name, row.last_name, row.numbers[0].number, row.email, row.time_zone,
                row.region, row.priority, json.dumps(row.variables, ensure_ascii=False) if row.variables else None,
                row.call_until.isoformat() if row.call_until else None,
            )
            for row in rows
        ],
    )
    found = _list_ids(connection, campaign_id, [row.numbers[0].number for row in rows])
    if len(found) != len(rows):
        raise Overtaken
    ids = dict(found)
    _insert(
        connection, lead_phones, ("lead_id", "position", "telefono"),
        [
            (ids[row.numbers[0].number], position, one.number)
            for row in rows
            for position, one in enumerate(row.numbers, 1)
        ],
    )
    _check_not_overtaken(connection, campaign_id, rows, set(ids.values()))
    at = raw(now)
    _insert(
        connection, call_schedule, ("lead_id", "campaign_id", "scheduled_at", "phone_position", "reason"),
        [
            (ids[row.numbers[0].number], campaign_id, raw(row.call_at) if row.call_at else at, 1, IMPORTED)
            for row in rows
        ],
    )


def read_campaign_status(connection: Connection, campaign_id: int) -> CampaignStatus | None:
    """As it is now; None if the campaign is gone."""
    found = connection.execute(select(C.status).where(C.id == campaign_id)).scalar()
    return CampaignStatus(found) if found is not None else None


def reactivate_campaign(connection: Connection, campaign_id: int) -> bool:
    """A completed campaign that is given new leads goes on."""
    changed = connection.execute(
        update(campaigns)
        .where(C.id == campaign_id, C.status == CampaignStatus.COMPLETED)
        .values(status=CampaignStatus.ACTIVE, completed_at=None)
    )
    return changed.rowcount == 1


def _check_not_overtaken(
    connection: Connection, campaign_id: int | None, rows: Sequence[NewLead], own: Collection[int]
) -> None:
    if connection.dialect.name == "sqlite":
        return  # one writer at a time
    numbers = sorted(one.number for row in rows for one in row.numbers)
    others = {
        lead_id
        for lead_id in connection.execute(
            select(P.lead_id).where(P.telefono.in_(numbers)).with_for_update()
        ).scalars()
        if lead_id not in own
    }
    if others and connection.execute(
        select(L.id).where(L.id.in_(sorted(others)), _of(campaign_id)).limit(1)
    ).first():
        raise Overtaken


def _list_ids(connection: Connection, campaign_id: int | None, numbers: Sequence[str]) -> list[tuple[str, int]]:
    """(number, lead) of leads whose first number is one of these."""
    found = connection.execute(select(L.telefono, L.id).where(L.telefono.in_(numbers), _of(campaign_id)))
    return [(number, lead_id) for number, lead_id in found]


def _of(campaign_id: int | None) -> ColumnElement[bool]:
    return L.campaign_id.is_(None) if campaign_id is None else L.campaign_id == campaign_id


def _insert(connection: Connection, table: Table, columns: Sequence[str], rows: list[tuple[Any, ...]]) -> None:
    mark = "?" if connection.dialect.name == "sqlite" else "%s"
    values = marks(mark, len(columns))
    connection.exec_driver_sql(f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({values})", rows)
