"""Leads, their phones and the do-not-call list.

What a newcomer would get wrong: rows come from people too. `lead_status` NULL is open,
`manual_management` NULL is false, `lead_phones` may be missing (then `telefono` is the only number), and
a lead closed by an UPDATE has no `closed_at` yet: that is how upkeep finds it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    String,
    Text,
    case,
    cast,
    func,
    insert,
    or_,
    select,
    type_coerce,
    update,
)

from scheduler.model import CallStatus, Hold, Lead, LeadStatus, Phone, PhoneStatus, ScheduleStatus
from scheduler.store.calls import in_states, word
from scheduler.store.database import BY_ID, Raw, change_rows, ids_in, insert_row, insert_rows, raw, select_among
from scheduler.store.numbers import COLUMNS, NOT_LEARNT, known_traits, learnt_columns, read_traits
from scheduler.store.tables import call_schedule, do_not_call, lead_phones, leads

L, P, D, S = leads.c, lead_phones.c, do_not_call.c, call_schedule.c

# The numbers of a lead as one text, "1 active 86 +56912345678,2 invalid ...": one row per lead, not per number. The
# third word is the id of what the number tells, 0 where that was learnt of another number or not yet.
PHONES = select(func.group_concat(
    cast(P.position, String(3)) + " " + type_coerce(P.status, String) + " "
    + cast(func.coalesce(case((P.e164 == P.telefono, P.traits_id)), 0), String(20)) + " "
    + func.replace(P.telefono, ",", ";")
)).where(P.lead_id == L.id).scalar_subquery()

DECIDING_COLUMNS = (
    L.id, L.campaign_id, L.nombre, L.telefono, word(L.lead_status), L.closed_reason, L.manual_management,
    word(L.call_status), L.time_zone, L.region, L.fecha_limite, PHONES.label("phones"),
)
LEAD_COLUMNS = (
    *DECIDING_COLUMNS, L.apellidos, L.email, L.closed_at, L.call_attempts_count, L.priority,
    type_coerce(L.variables, Text).label("variables"),
)


def read_leads(
    connection: Connection, ids: Collection[int], *, lock: bool = False, deciding: bool = False
) -> dict[int, Lead]:
    """Leads with their phones, by id; ids without a row are missing.

    `deciding`: only what decides about a next call (of two reads per call, one needs no more than that).
    """
    if not ids:
        return {}
    columns = DECIDING_COLUMNS if deciding else LEAD_COLUMNS
    query = select(*columns).with_hint(leads, BY_ID, "mysql").where(ids_in(L.id, set(ids))).order_by(L.id)
    rows = connection.execute(query.with_for_update() if lock else query).all()
    read_traits(connection, {one for row in rows for one in _traits_ids(row.phones)})
    return {row[0]: to_lead(row) for row in rows}


def find_lead(connection: Connection, lead_id: int, *, lock: bool = False) -> Lead | None:
    return read_leads(connection, [lead_id], lock=lock).get(lead_id)


def set_call_status(connection: Connection, ids: Sequence[int], status: CallStatus, now: datetime) -> int:
    return change_rows(
        connection, leads, [{"id": one} for one in ids], same={"call_status": status.value, "updated_at": now}
    )


def record_calls(connection: Connection, statuses: Mapping[int, CallStatus], now: datetime) -> int:
    """One more call was made to each of these leads, with this as what an operator sees."""
    return change_rows(
        connection, leads, [{"id": one, "call_status": status.value} for one, status in statuses.items()],
        per_row=("call_status",),
        same={"call_attempts_count": Raw("call_attempts_count + 1"), "updated_at": now},
    )


def close_leads(connection: Connection, reasons: Mapping[int, str], now: datetime) -> int:
    """Close leads, each with its word. One that somebody closed already keeps its own reason and time."""
    return change_rows(
        connection, leads, [{"id": one, "closed_reason": reason} for one, reason in reasons.items()],
        per_row=("closed_reason",),
        same={"lead_status": LeadStatus.CLOSED.value, "closed_at": now, "updated_at": now},
        guard=f"(lead_status IS NULL OR lead_status IN {in_states((LeadStatus.OPEN, LeadStatus.SUSPENDED))})",
    )


def reopen_closed(connection: Connection, lead_id: int, now: datetime) -> int:
    """A lead that its last call had closed is open again, because that call turned out otherwise."""
    return change_rows(
        connection, leads, [{"id": lead_id}],
        same={"lead_status": LeadStatus.OPEN.value, "closed_reason": None, "closed_at": None, "updated_at": now},
        guard=f"lead_status = '{LeadStatus.CLOSED.value}'",
    )


def set_appointment(connection: Connection, appointments: Mapping[int, datetime]) -> int:
    return change_rows(
        connection, leads, [{"id": one, "appointment_at": at} for one, at in appointments.items()],
        per_row=("appointment_at",),
    )


def set_lead_status(
    connection: Connection, lead_id: int, status: LeadStatus, *, reason: str | None, closed_at: datetime | None,
    now: datetime, leaving: Collection[LeadStatus],
) -> bool:
    """Move one lead to `status` if it is in one of `leaving`. False: it was not."""
    before: ColumnElement[bool] = L.lead_status.in_([one.value for one in leaving])
    if LeadStatus.OPEN in leaving:
        before = or_(before, L.lead_status.is_(None))
    changed = connection.execute(
        update(leads)
        .where(L.id == lead_id, before)
        .values(lead_status=status.value, closed_reason=reason, closed_at=closed_at, updated_at=now)
    )
    return changed.rowcount == 1


def insert_lead(connection: Connection, values: Mapping[str, Any], phones: Sequence[str]) -> int:
    """One lead and its numbers; the first number is `telefono` too."""
    lead_id = insert_row(connection, leads, {**values, "telefono": phones[0] if phones else None})
    insert_phones(connection, [(lead_id, position, number) for position, number in enumerate(phones, 1)])
    return lead_id


def insert_phones(connection: Connection, phones: Sequence[tuple[int, int, str]]) -> None:
    learnt = learnt_columns(connection, [number for _, _, number in phones])
    insert_rows(connection, lead_phones, [
        {
            "lead_id": lead_id, "position": position, "telefono": number,
            **dict(zip(COLUMNS, learnt.get(number, NOT_LEARNT), strict=True)),
        }
        for lead_id, position, number in phones
    ])


def mark_invalid(connection: Connection, lead: Lead, position: int, number: str) -> None:
    """A number that cannot be dialed, for this lead; one that had no row of its own gets it now."""
    changed = connection.execute(
        update(lead_phones)
        .where(P.lead_id == lead.id, P.position == position)
        .values(status=PhoneStatus.INVALID.value, telefono=number)
    )
    if changed.rowcount == 0:
        connection.execute(insert(lead_phones).values(
            lead_id=lead.id, position=position, telefono=number, status=PhoneStatus.INVALID.value,
        ))


def mark_active(connection: Connection, lead_id: int, position: int) -> None:
    """A number that had been found invalid, and that somebody answered after all."""
    connection.execute(
        update(lead_phones)
        .where(P.lead_id == lead_id, P.position == position, P.status == PhoneStatus.INVALID.value)
        .values(status=PhoneStatus.ACTIVE.value)
    )


# --- the do-not-call list -----------------------------------------------------------------------


def read_barred(connection: Connection, numbers: Collection[str], now: datetime) -> dict[str, str]:
    """Those of these numbers that may not be dialed at `now`, with the reason.

    Entries typed without + or with 00 count from the first moment; upkeep writes them properly later.
    """
    if not numbers:
        return {}
    spellings = {text: number for number in numbers for text in (number, number[1:], "00" + number[1:])}
    rows = select_among(
        connection, sorted(spellings),
        f"SELECT telefono, reason FROM do_not_call WHERE (expires_at IS NULL OR expires_at > '{raw(now)}') "
        "AND telefono IN ",
    )
    # Some collations take trailing spaces for nothing, so what comes back may not be what was asked for.
    found = ((spellings.get(listed.strip()), reason) for listed, reason in rows)
    return {number: reason or "on the do-not-call list" for number, reason in found if number}


def list_misspelt(connection: Connection, after: int, limit: int) -> list[tuple[int, str]]:
    """(id, number) of do-not-call entries beyond this id, for upkeep to look at once."""
    rows = connection.execute(select(D.id, D.telefono).where(D.id > after).order_by(D.id).limit(limit))
    return [(row_id, number) for row_id, number in rows]


def respell(connection: Connection, entry_id: int, number: str) -> bool:
    """Write a do-not-call entry as +<country><number>. False: that number is listed already."""
    if connection.execute(select(D.id).where(D.telefono == number, D.id != entry_id)).first() is not None:
        return False
    connection.execute(update(do_not_call).where(D.id == entry_id).values(telefono=number))
    return True


def bar_number(connection: Connection, number: str, *, reason: str, source: str, now: datetime) -> None:
    """Never dial this number again. One that is listed already stays as it is, but does not expire."""
    listed = connection.execute(
        select(D.id, D.expires_at).where(D.telefono == number).with_for_update()
    ).first()
    if listed is None:
        connection.execute(insert(do_not_call).values(
            telefono=number, reason=reason, source=source, created_at=now,
        ))
        return
    # One that had expired begins anew: calls made in between were right.
    begun = {"created_at": now} if listed.expires_at is not None and listed.expires_at <= now else {}
    connection.execute(update(do_not_call).where(D.id == listed.id).values(expires_at=None, **begun))


# --- what people changed by SQL -----------------------------------------------------------------


def list_closed_by_hand(connection: Connection, limit: int) -> list[int]:
    """Leads that an UPDATE closed: they have no `closed_at` yet."""
    return list(connection.execute(
        select(L.id).where(L.lead_status == LeadStatus.CLOSED, L.closed_at.is_(None)).limit(limit)
    ).scalars())


def list_opened_by_hand(connection: Connection, limit: int) -> list[int]:
    """Leads that an UPDATE opened again: their `closed_at` is still there."""
    found = [
        list(connection.execute(select(L.id).where(of, L.closed_at.is_not(None)).limit(limit)).scalars())
        for of in (L.lead_status == LeadStatus.OPEN, L.lead_status.is_(None))
    ]
    return found[0] + found[1]


def list_closed_with_open_row(connection: Connection, since: datetime, limit: int) -> list[tuple[int, int]]:
    """(schedule row, lead) of leads closed since then that still have a pending row."""
    rows = connection.execute(
        select(S.id, S.lead_id)
        .join(leads, L.id == S.open_lead_id)
        .where(
            L.lead_status == LeadStatus.CLOSED, L.closed_at >= since, S.status == ScheduleStatus.PENDING,
        )
        .limit(limit)
    )
    return [(row_id, lead_id) for row_id, lead_id in rows]


@dataclass(frozen=True, slots=True)
class HeldRow:
    """A row that waits for people; `is_free` when what it waited for has come."""

    id: int
    scheduled_at: datetime
    wanted_at: datetime | None
    is_free: bool


def list_held(connection: Connection, hold: Hold, after: int, limit: int) -> list[HeldRow]:
    """Rows held for this reason, by id beyond `after`.

    Held for the lead's sake: free when it is open and not managed by hand. Held because something could
    not be read: worth another look when the lead was changed since.
    """
    rows = connection.execute(
        select(S.id, S.lead_id, S.scheduled_at, S.wanted_at, S.updated_at)
        .with_hint(call_schedule, "FORCE INDEX (ix_call_schedule_held)", "mysql")
        .where(S.hold == hold, S.id > after, S.status == ScheduleStatus.PENDING)
        .order_by(S.id)
        .limit(limit)
    ).all()
    if not rows:
        return []
    free = {
        lead_id: (status in (None, LeadStatus.OPEN) and not manual, changed_at)
        for lead_id, status, manual, changed_at in connection.execute(
            select(L.id, word(L.lead_status), L.manual_management, L.updated_at)
            .where(ids_in(L.id, {row.lead_id for row in rows}))
        )
    }
    return [
        HeldRow(
            row.id, row.scheduled_at, row.wanted_at,
            row.lead_id in free and free[row.lead_id][0]
            and (hold in (Hold.MANUAL, Hold.SUSPENDED) or free[row.lead_id][1] > row.updated_at),
        )
        for row in rows
    ]


@dataclass(frozen=True, slots=True)
class LeadFilter:
    """Which leads: all that is given must hold. `ids` alone names them one by one."""

    ids: tuple[int, ...] = ()
    campaign_id: int | None = None
    status: LeadStatus | None = None
    closed_reason: str | None = None
    closed_since: datetime | None = None
    call_status: CallStatus | None = None
    region: str | None = None
    phone_prefix: str | None = None
    variable: tuple[str, str] | None = None
    import_id: int | None = None
    created_since: datetime | None = None
    created_before: datetime | None = None

    @property
    def is_empty(self) -> bool:
        return self == LeadFilter()


def list_matching(connection: Connection, wanted: LeadFilter) -> list[int]:
    """The ids of the leads that match, in order."""
    return list(connection.execute(select(L.id).where(*conditions(connection, wanted)).order_by(L.id)).scalars())


def conditions(connection: Connection, wanted: LeadFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.ids:
        found.append(ids_in(L.id, wanted.ids))
    if wanted.campaign_id is not None:
        found.append(L.campaign_id == wanted.campaign_id)
    if wanted.status is LeadStatus.OPEN:
        found.append(or_(L.lead_status.is_(None), L.lead_status == LeadStatus.OPEN))
    elif wanted.status is not None:
        found.append(L.lead_status == wanted.status)
    if wanted.closed_reason is not None:
        found.append(L.closed_reason == wanted.closed_reason)
    if wanted.closed_since is not None:
        found.append(L.closed_at >= wanted.closed_since)
    if wanted.call_status is not None:
        found.append(L.call_status == wanted.call_status)
    if wanted.region is not None:
        found.append(or_(L.region == wanted.region, L.region.like(f"{wanted.region}-%")))
    if wanted.phone_prefix is not None:
        found.append(L.telefono.startswith(wanted.phone_prefix, autoescape=True))
    if wanted.import_id is not None:
        found.append(L.import_id == wanted.import_id)
    if wanted.created_since is not None:
        found.append(L.created_at >= wanted.created_since)
    if wanted.created_before is not None:
        found.append(L.created_at < wanted.created_before)
    if wanted.variable is not None:
        name, value = wanted.variable
        found.append(_variable(connection, name) == value)
    return found


def _variable(connection: Connection, name: str) -> ColumnElement[Any]:
    """One variable as text; of a document that is no JSON, none."""
    path = f"$.{json.dumps(name)}"
    text = type_coerce(L.variables, Text)
    if connection.dialect.name == "sqlite":
        return cast(case((func.json_valid(text) == 1, func.json_extract(text, path))), Text)
    return case((func.json_valid(text) == 1, func.json_unquote(func.json_extract(text, path))))


def list_not_closed(connection: Connection, campaign_id: int, limit: int | None = None) -> list[int]:
    """Leads of a campaign that are open or suspended."""
    return list(connection.execute(
        select(L.id)
        .where(L.campaign_id == campaign_id, or_(L.lead_status.is_(None), L.lead_status != LeadStatus.CLOSED))
        .limit(limit)
    ).scalars())


def set_suspended(connection: Connection, ids: Sequence[int], now: datetime) -> int:
    return change_rows(
        connection, leads, [{"id": one} for one in ids],
        same={"lead_status": LeadStatus.SUSPENDED.value, "updated_at": now},
        guard="(lead_status IS NULL OR lead_status = 'open')",
    )


def set_open(connection: Connection, ids: Sequence[int], leaving: LeadStatus, now: datetime) -> int:
    return change_rows(
        connection, leads, [{"id": one} for one in ids],
        same={"lead_status": LeadStatus.OPEN.value, "closed_reason": None, "closed_at": None, "updated_at": now},
        guard=f"lead_status = '{leaving.value}'",
    )


def set_closed_at(connection: Connection, ids: Sequence[int], now: datetime) -> int:
    """Complete what an UPDATE by hand left out."""
    return change_rows(
        connection, leads, [{"id": one} for one in ids],
        same={"closed_at": now, "closed_reason": Raw("COALESCE(closed_reason, 'by_hand')")},
        guard="lead_status = 'closed' AND closed_at IS NULL",
    )


def clear_closed_at(connection: Connection, ids: Sequence[int]) -> int:
    return change_rows(
        connection, leads, [{"id": one} for one in ids], same={"closed_at": None, "closed_reason": None},
        guard="(lead_status IS NULL OR lead_status = 'open') AND closed_at IS NOT NULL",
    )


def to_lead(row: Any) -> Lead:
    (
        lead_id, campaign_id, first_name, phone, status, closed_reason, manual, call_status, time_zone, region,
        call_until, phones, *rest,
    ) = row
    # An empty word is what a server without strict mode makes of one that it does not know.
    standing = LeadStatus.OPEN if status is None else LeadStatus(status or LeadStatus.SUSPENDED)
    last_name, email, closed_at, count, priority, variables = rest or (None, None, None, 0, 0, None)
    return Lead(
        id=lead_id, campaign_id=campaign_id, first_name=first_name, last_name=last_name, phone=phone, email=email,
        status=standing, closed_reason=closed_reason, closed_at=closed_at,
        manual_management=bool(manual), call_status=CallStatus(call_status or "no_selected"),
        call_attempts_count=count, time_zone=time_zone, region=region, priority=priority, call_until=call_until,
        variables=_variables(variables), phones=_phones(lead_id, phones) if phones else (),
    )


def _traits_ids(text: str | None) -> list[int]:
    if not text:
        return []
    return [int(traits_id) for one in text.split(",") if (traits_id := one.split(" ", 3)[2]) != "0"]


def _phones(lead_id: int, text: str) -> tuple[Phone, ...]:
    if "," not in text:
        return (_phone(lead_id, text),)
    return tuple(sorted((_phone(lead_id, one) for one in text.split(",")), key=lambda one: one.position))


def _phone(lead_id: int, text: str) -> Phone:
    position, status, traits_id, number = text.split(" ", 3)
    return Phone(lead_id, int(position), number, _STATUSES[status], known_traits(int(traits_id)))


_STATUSES = {one.value: one for one in PhoneStatus}


def _variables(text: str | None) -> Mapping[str, Any] | None:
    """None: what is written there is no JSON object, and the gate holds the lead."""
    if not text:
        return {}
    try:
        found = json.loads(text)
    except ValueError:
        return None
    if found is None:
        return {}
    return found if isinstance(found, dict) else None
