"""What is known of a person, taken out of every table that has it; and texts of calls that are old.

What must stay true: nothing of the person is left but what a ledger must show: when calls were made, from what, how
they ended and what they cost, by a name of the number that says no digit of it. That name is the same for one number,
so that caps still count. `LEADS` and `ATTEMPTS` say of each column whether it is kept, and a test knows them all.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from itertools import takewhile
from typing import Any

from sqlalchemy import Connection, Table, delete, or_, select, union, update

from scheduler.model import AttemptState, LeadStatus, ScheduleStatus
from scheduler.store.database import ids_in
from scheduler.store.tables import (
    call_attempts,
    call_schedule,
    campaigns,
    do_not_call,
    events,
    idempotency_keys,
    imports,
    lead_phones,
    lead_terms,
    leads,
    provider_events,
    second_calls,
)

A, E, L, M, P, S = call_attempts.c, events.c, leads.c, imports.c, lead_phones.c, call_schedule.c
V, D, K = provider_events.c, do_not_call.c, idempotency_keys.c
LEADS: Mapping[str, bool] = {
    **dict.fromkeys(("nombre", "apellidos", "telefono", "email", "time_zone", "region", "variables"), False),
    **dict.fromkeys((
        "id", "campaign_id", "lead_status", "closed_reason", "manual_management", "call_status", "call_attempts_count",
        "closed_at", "priority", "fecha_limite", "appointment_at", "created_at", "updated_at", "import_id",
        "was_called",
    ), True),
}  # fmt: skip
"""Columns that stay (True) and that are taken out."""
ATTEMPTS: Mapping[str, bool] = {
    **dict.fromkeys(("summary", "details", "error", "debt", "subject"), False),
    **dict.fromkeys((
        "id", "attempt_ref", "schedule_id", "lead_id", "campaign_id", "attempt_number", "telefono", "provider",
        "provider_call_id", "state", "outcome", "provider_status", "claimed_at", "placed_at", "answered_at", "ended_at",
        "talk_seconds", "cost", "cost_unit", "next_poll_at", "lookups", "account_id", "reserved", "claimed_by",
        "rule_version", "open_mark", "not_again_before", "appointment_at", "open_from", "open_until", "dial_before",
    ), True),
}  # fmt: skip
OPEN = (AttemptState.PLACING, AttemptState.LIVE, AttemptState.UNKNOWN)
ERASED, ERASED_END = "erased-", "erased."
PAGE = 1000
LAST_DIGITS = 8
NUMBER_KINDS = ("number_barred", "number_unbarred")


def find_of_number(connection: Connection, number: str, *, campaign_ids: Collection[int] | None = None) -> list[int]:
    """Leads that have this number (in E.164), in whatever spelling."""
    spellings = [number, number[1:], "00" + number[1:]]
    found = set(connection.execute(select(L.id).where(L.telefono.in_(spellings))).scalars())
    found |= set(connection.execute(select(P.lead_id).where(P.telefono.in_(spellings))).scalars())
    found |= set(connection.execute(select(A.lead_id).where(A.telefono.in_(spellings))).scalars())
    if campaign_ids is not None:
        found &= set(connection.execute(
            select(L.id).where(ids_in(L.id, found), L.campaign_id.in_(sorted(campaign_ids)))
        ).scalars()) if found else set()
    return sorted(found)


def list_in_flight(connection: Connection, lead_ids: Collection[int]) -> list[int]:
    """Those with a call that has not ended, or a second one for the same request that is still followed."""
    if not lead_ids:
        return []
    of = select(A.lead_id).where(ids_in(A.lead_id, lead_ids))
    second = of.join(second_calls, second_calls.c.attempt_id == A.id).where(second_calls.c.next_poll_at.is_not(None))
    return sorted(set(connection.execute(union(of.where(A.state.in_(OPEN)), second)).scalars()))


def erase_leads(connection: Connection, lead_ids: Collection[int], now: datetime) -> set[str]:
    """Take the people out of leads, plans, attempts, what vendors posted and the audit. Returns their numbers."""
    people = connection.execute(
        select(L.id, L.telefono, L.closed_at).where(ids_in(L.id, lead_ids)).order_by(L.id).with_for_update()
    ).all()
    phones = connection.execute(select(P.telefono).where(ids_in(P.lead_id, lead_ids))).scalars()
    attempts = connection.execute(
        select(A.id, A.telefono, A.attempt_ref, A.provider, A.provider_call_id).where(ids_in(A.lead_id, lead_ids))
    ).all()
    numbers = {one.telefono for one in (*people, *attempts) if one.telefono} | {one for one in phones if one}
    connection.execute(
        update(call_schedule).where(ids_in(S.lead_id, lead_ids), S.status == ScheduleStatus.PENDING.value)
        .values(status=ScheduleStatus.CANCELLED.value)
    )
    connection.execute(update(call_schedule).where(ids_in(S.lead_id, lead_ids)).values(reason=None))
    connection.execute(delete(lead_phones).where(ids_in(P.lead_id, lead_ids)))
    connection.execute(delete(lead_terms).where(ids_in(lead_terms.c.lead_id, lead_ids)))
    gone = {name: None for name, is_kept in LEADS.items() if not is_kept}
    for one in people:
        connection.execute(update(leads).where(L.id == one.id).values(
            **gone, lead_status=LeadStatus.CLOSED.value, closed_reason="erased", closed_at=one.closed_at or now,
        ))
    texts = {name: None for name, is_kept in ATTEMPTS.items() if not is_kept}
    for attempt in attempts:
        connection.execute(update(call_attempts).where(A.id == attempt.id).values(
            **texts, telefono=name_of(attempt.telefono)
        ))
    refs = {one.attempt_ref for one in attempts}
    ids = {(one.provider, one.provider_call_id) for one in attempts if one.provider_call_id}
    for page in _pages(connection, provider_events, V.provider, V.attempt_ref, V.provider_call_id):
        found = [row.id for row in page if row.attempt_ref in refs or (row.provider, row.provider_call_id) in ids]
        if found:
            connection.execute(update(provider_events).where(ids_in(V.id, found)).values(payload=None, result=None))
    connection.execute(update(events).where(ids_in(E.lead_id, lead_ids)).values(details=None, reason=None))
    return numbers


def erase_numbers(
    connection: Connection, numbers: Collection[str], *, campaign_ids: Collection[int] | None = None
) -> None:
    """Take numbers out of what is of no lead: rows of files that were left out, kept answers, and the audit.

    `campaign_ids`: of the files of these campaigns alone. An entry of the do-not-call list stays, without its reason:
    it bars nobody whom it does not name.
    """
    endings = {digits[-LAST_DIGITS:] for one in numbers if len(digits := re.sub(r"\D", "", one)) >= LAST_DIGITS}
    if not endings:
        return
    of = [] if campaign_ids is None else [M.campaign_id.in_(sorted(campaign_ids))]
    for page in _pages(connection, imports, M.details, where=of, size=50):
        for row in page:
            left = _without(_read(row.details), endings)
            if left is not None:
                connection.execute(update(imports).where(M.id == row.id).values(details=left))
    if campaign_ids is not None:
        return
    for page in _pages(connection, idempotency_keys, K.answer):
        found = [row.id for row in page if _holds(row.answer or "", endings)]
        if found:
            connection.execute(delete(idempotency_keys).where(ids_in(K.id, found)))
    for page in _pages(connection, events, E.details, E.reason, where=[E.lead_id.is_(None), E.kind.in_(NUMBER_KINDS)]):
        found = [row.id for row in page if _holds(f"{_read(row.details)} {row.reason}", endings)]
        if found:
            connection.execute(update(events).where(ids_in(E.id, found)).values(details=None, reason=None))
    spellings = [text for one in numbers for text in (one, one.lstrip("+"), "00" + one.lstrip("+"))]
    connection.execute(update(do_not_call).where(D.telefono.in_(spellings)).values(reason="asked not to be called"))


def erase_again(connection: Connection) -> int:
    """What a vendor told of a call after its person was erased is taken out too. Returns of how many calls."""
    texts = {name: None for name, is_kept in ATTEMPTS.items() if not is_kept}
    told = or_(*(A[name].is_not(None) for name in texts))
    return connection.execute(
        update(call_attempts).where(A.telefono >= ERASED, A.telefono < ERASED_END, told).values(**texts)
    ).rowcount


def age_texts(connection: Connection, after: int, before: datetime, limit: int) -> tuple[int, int]:
    """Take transcripts and summaries out of calls that ended before `before`, in the order of their ids.

    Returns (the last id that is that old, from which to go on, and how many lost their texts).
    """
    rows = connection.execute(
        select(A.id, A.claimed_at, A.ended_at, A.summary.is_not(None).label("has_summary"), A.details)
        .where(A.id > after).order_by(A.id).limit(limit)
    ).all()
    old = list(takewhile(lambda row: (ended := row.ended_at or row.claimed_at) is not None and ended < before, rows))
    changed = 0
    for row in old:
        details = _read(row.details)
        known = details if isinstance(details, dict) else {}
        left = {name: value for name, value in known.items() if name not in TEXTS}
        if row.has_summary or left != (details or {}):
            connection.execute(update(call_attempts).where(A.id == row.id).values(summary=None, details=left or None))
            changed += 1
    return (old[-1].id if old else after), changed


TEXTS = frozenset({
    "transcript", "transcript_object", "transcript_with_tool_calls", "summary", "call_summary", "analysis",
    "call_analysis", "recording_url", "conversation", "messages",
})  # fmt: skip
"""What was said, in `call_attempts.details`."""


def list_campaigns_of(connection: Connection, account_id: int) -> set[int]:
    return set(connection.execute(select(campaigns.c.id).where(campaigns.c.account_id == account_id)).scalars())


def name_of(number: str) -> str:
    """What stands for a number that was erased."""
    if number.startswith(ERASED):
        return number
    return ERASED + hashlib.sha256(f"ringback {number}".encode("utf-8", "replace")).hexdigest()[:24]


def _pages(
    connection: Connection, table: Table, *columns: Any, where: Collection[Any] = (), size: int = PAGE
) -> Iterator[list[Any]]:
    after = 0
    key = table.c.id
    while rows := connection.execute(
        select(key, *columns).where(key > after, *where).order_by(key).limit(size)
    ).all():
        yield list(rows)
        after = rows[-1].id


def _read(document: Any) -> Any:
    if isinstance(document, str):
        try:
            return json.loads(document)
        except (ValueError, RecursionError):
            return document
    return document


def _holds(text: str, endings: Collection[str]) -> bool:
    """Is a number in it? Spaces and signs between its digits do not hide it."""
    digits = re.sub(r"(?<=\d)[\s().+\-/]+(?=\d)", "", text)
    return any(one in digits for one in endings)


def _without(document: Any, endings: Collection[str]) -> Any | None:
    """The document without the rows that hold a number; None where none does."""
    if not isinstance(document, dict) or not _holds(json.dumps(document, ensure_ascii=False), endings):
        return None
    return _prune(document, endings)


def _prune(node: Any, endings: Collection[str]) -> Any:
    if isinstance(node, dict):
        return {name: _prune(one, endings) for name, one in node.items()}
    if isinstance(node, list):
        # A row of a file is a list of cells, or an object: it goes as a whole.
        return [_prune(one, endings) for one in node if not (
            _is_row(one) and _holds(json.dumps(one, ensure_ascii=False), endings)
        )]
    return "(erased)" if isinstance(node, str) and _holds(node, endings) else node


def _is_row(node: Any) -> bool:
    if isinstance(node, dict):
        return True
    return isinstance(node, list) and not any(isinstance(one, list | dict) for one in node)
