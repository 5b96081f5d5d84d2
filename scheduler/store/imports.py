"""Leads from a file: who has a number already, and chunks of new leads with their first calls.

What must stay true: ids are read back by number and never computed from the first one, because an
AUTO_INCREMENT may have gaps and other writers; and of two imports that bring the same number at the same
time one gives way. No unique index can hold that (a person may be a lead of several campaigns), so after
the insert the numbers are read again under a lock: the later import waits there for the earlier one,
finds its rows and starts again (`Overtaken`), or is the victim of a deadlock, which starts it again too.

Speed is decided here, and most of it is the client's: each value bound to a statement costs as much as
reading a cell of the file. So people's texts are bound, and what we made ourselves (ids, positions, instants,
numbers checked to be + and digits) is written into the statement as it stands.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, select, update

from scheduler.errors import Conflict, NotFound
from scheduler.model import Campaign, CampaignStatus
from scheduler.rules.rows import NewLead, Settled, settle
from scheduler.store.database import raw
from scheduler.store.leads import read_barred
from scheduler.store.tables import call_schedule, campaigns, lead_phones, leads

C, L = campaigns.c, leads.c

IMPORTED = "imported"
"""The reason of a first call, for people."""


class Overtaken(Exception):
    """Another import brought one of these numbers at the same moment; roll back and start again."""


def settle_rows(
    connection: Connection, campaign: Campaign | None, rows: Sequence[NewLead], seen: Mapping[int, int], now: datetime
) -> Settled:
    """Judge rows against the tables: duplicates and barred numbers. Writes nothing.

    `seen` are the numbers of earlier rows of the file. Raises Conflict or NotFound when the campaign takes
    no leads any more: somebody may cancel it while a large file is being imported.
    """
    campaign_id = campaign.id if campaign else None
    if campaign:
        found = connection.execute(select(C.status).where(C.id == campaign.id)).scalar()
        if found is None:
            raise NotFound("campaign", campaign.code)
        check_takes_leads(CampaignStatus(found), campaign.code)
    numbers = {one.number for row in rows for one in row.numbers}
    return settle(
        rows,
        seen=seen,
        held=find_holders(connection, campaign_id, numbers),
        barred=read_barred(connection, numbers, now),
    )


def add_rows(
    connection: Connection, campaign: Campaign | None, rows: Sequence[NewLead], seen: Mapping[int, int], now: datetime
) -> tuple[Settled, bool]:
    """Settle rows and add the good ones. Also says whether a completed campaign goes on because of them.

    Raises Overtaken, and what `settle_rows` raises.
    """
    settled = settle_rows(connection, campaign, rows, seen, now)
    insert_leads(connection, campaign.id if campaign else None, settled.added, now)
    return settled, bool(campaign and settled.added and _reactivate(connection, campaign.id))


def check_takes_leads(status: CampaignStatus, code: str) -> None:
    """Raises Conflict for a cancelled campaign."""
    if status is CampaignStatus.CANCELLED:
        raise Conflict(f"campaign {code} is cancelled and takes no leads; import into another one")


def find_holders(connection: Connection, campaign_id: int | None, numbers: Collection[str]) -> dict[str, int]:
    """Those of these numbers that leads of this campaign have (of none, for None), with the lead's id."""
    if not numbers:
        return {}
    in_phones = _select_among(
        connection, numbers,
        "SELECT p.telefono, p.lead_id FROM lead_phones p JOIN leads l ON l.id = p.lead_id "
        f"WHERE l.campaign_id {_is(campaign_id)} AND p.telefono IN ",
    )
    # Leads written by hand have no row in lead_phones.
    return dict([*in_phones, *_list_ids(connection, campaign_id, numbers)])


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
    _insert_made(
        connection, lead_phones, ("lead_id", "position", "telefono"),
        [
            (ids[row.numbers[0].number], position, one.number)
            for row in rows
            for position, one in enumerate(row.numbers, 1)
        ],
    )
    _check_not_overtaken(connection, campaign_id, rows, set(ids.values()))
    at = raw(now)
    _insert_made(
        connection, call_schedule, ("lead_id", "campaign_id", "scheduled_at", "phone_position", "reason"),
        [
            (ids[row.numbers[0].number], campaign_id, raw(row.call_at) if row.call_at else at, 1, IMPORTED)
            for row in rows
        ],
    )


def _reactivate(connection: Connection, campaign_id: int) -> bool:
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
    numbers = [one.number for row in rows for one in row.numbers]
    found = _select_among(
        connection, numbers, "SELECT telefono, lead_id FROM lead_phones WHERE telefono IN ", " FOR UPDATE"
    )
    others = {lead_id for _, lead_id in found}.difference(own)
    if others and connection.execute(
        select(L.id).where(L.id.in_(sorted(others)), L.campaign_id.is_not_distinct_from(campaign_id)).limit(1)
    ).first():
        raise Overtaken


def _list_ids(connection: Connection, campaign_id: int | None, numbers: Collection[str]) -> list[tuple[str, int]]:
    """(number, lead) of leads whose first number is one of these."""
    return _select_among(
        connection, numbers, f"SELECT telefono, id FROM leads WHERE campaign_id {_is(campaign_id)} AND telefono IN "
    )


def _is(campaign_id: int | None) -> str:
    return "IS NULL" if campaign_id is None else f"= {int(campaign_id)}"


def _select_among(
    connection: Connection, numbers: Collection[str], before: str, after: str = ""
) -> list[tuple[str, int]]:
    if connection.dialect.name == "sqlite":
        found = connection.exec_driver_sql(f"{before}({_marks('?', len(numbers))}){after}", tuple(numbers))
    else:
        found = connection.exec_driver_sql(f"{before}({', '.join(map(_literal, numbers))}){after}")
    return [(number, lead_id) for number, lead_id in found]


def _insert(connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """Columns that no row fills are left to their default, which is what an empty value means in them."""
    filled = [at for at in range(len(columns)) if any(row[at] for row in rows)]
    mark = "?" if connection.dialect.name == "sqlite" else "%s"
    names, values = ", ".join(columns[at] for at in filled), _marks(mark, len(filled))
    connection.exec_driver_sql(
        f"INSERT INTO {table.name} ({names}) VALUES ({values})", [tuple(row[at] for at in filled) for row in rows]
    )


def _insert_made(
    connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[tuple[int | str | None, ...]]
) -> None:
    if connection.dialect.name == "sqlite":
        _insert(connection, table, columns, rows)  # its driver binds fast, and keeps every other statement it saw
        return
    values = ", ".join(f"({', '.join(map(_literal, row))})" for row in rows)
    connection.exec_driver_sql(f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES {values}")


def _marks(mark: str, count: int) -> str:
    return ", ".join([mark] * count)


_PLAIN = re.compile(r"[+0-9a-z .:_-]*")


def _literal(value: int | str | None) -> str:
    """A value that we made, as SQL. Nothing that would have to be escaped gets through."""
    if value is None:
        return "NULL"
    if isinstance(value, int):
        return str(value)
    if not _PLAIN.fullmatch(value):
        raise ValueError(f"{value!r} cannot be written into a statement as it stands")
    return f"'{value}'"
