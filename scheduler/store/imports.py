"""Leads from a file: who has a number already, chunks of new leads with their first calls, and taking them back.

Each import is a row of `imports`, whose counts move in the same transaction as the leads: after a crash it
says what is there. An import that was taken back while it ran adds nothing more.

What must stay true: ids are read back by number and never computed from the first one, because an
AUTO_INCREMENT may have gaps and other writers; and of two imports that bring the same number at the same
time one gives way. No unique index can hold that (a person may be a lead of several campaigns), so after
the insert the numbers are read again under a lock: the later import waits there for the earlier one,
finds its rows and starts again (`Overtaken`), or is the victim of a deadlock, which starts it again too.

Speed is decided here, and most of it is the client's: each value bound to a statement costs as much as
reading a cell of the file. So the driver escapes people's texts column by column, and what we made ourselves (ids,
positions, instants, numbers checked to be + and digits) is written into the statement as it stands.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, delete, func, select, update

from scheduler.errors import Conflict, NotFound
from scheduler.model import Campaign, CampaignStatus, ImportStatus, ScheduleStatus
from scheduler.rules.rows import Holder, NewLead, Settled, in_order, settle
from scheduler.rules.terms import terms_of
from scheduler.store.calls import to_campaign_status, word
from scheduler.store.database import BY_ID, ids_in, insert_row, marks, raw, select_among
from scheduler.store.do_not_call import read_barred
from scheduler.store.numbers import COLUMNS, NOT_LEARNT, learnt_columns
from scheduler.store.tables import call_attempts, call_schedule, campaigns, imports, lead_phones, lead_terms, leads
from scheduler.store.terms import forget_terms, variables_of

A, C, L, M, P, S = call_attempts.c, campaigns.c, leads.c, imports.c, lead_phones.c, call_schedule.c

IMPORTED = "imported"
"""The reason of a first call, for people."""


_write_json = json.JSONEncoder(ensure_ascii=False).encode
_NOBODY = 0
"""The id of no campaign and of no lead."""


class Overtaken(Exception):
    """Another import brought one of these numbers at the same moment; roll back and start again."""


def settle_rows(
    connection: Connection, campaign: Campaign | None, rows: Sequence[NewLead], seen: Mapping[int, int], now: datetime,
    *, skip_known: bool = False, account_id: int | None = None, is_new: bool = False,
) -> Settled:
    """Judge rows against the tables: duplicates and barred numbers. Writes nothing.

    `seen` are the numbers of earlier rows of the file; with `skip_known`, numbers that other campaigns have are
    duplicates too: campaigns of `account_id` alone, if there is one. `is_new`: the campaign is not there yet, so
    nobody holds a number in it. Raises Conflict or NotFound when the campaign takes no leads any more: somebody may
    cancel it while a large file is being imported.
    """
    campaign_id = campaign.id if campaign else _NOBODY if is_new else None
    if campaign:
        found = connection.execute(select(C.status).where(C.id == campaign.id)).scalar()
        if found is None:
            raise NotFound("campaign", campaign.code)
        check_takes_leads(to_campaign_status(found), campaign.code)
    numbers = {one.number for row in rows for one in row.numbers}
    held, elsewhere = find_holders(connection, campaign_id, numbers, account_id=account_id)
    return settle(
        rows, seen=seen, held=held, barred=read_barred(connection, numbers, now), elsewhere=elsewhere,
        skip_known=skip_known,
    )


def add_rows(
    connection: Connection, campaign: Campaign | None, rows: Sequence[NewLead], seen: Mapping[int, int], now: datetime,
    *, import_id: int, skip_known: bool = False, account_id: int | None = None, found_by: Sequence[str] = (),
) -> tuple[Settled, bool]:
    """Settle rows and add the good ones. Also says whether a completed campaign goes on because of them.

    Raises Overtaken, and what `settle_rows` raises.
    """
    settled = settle_rows(connection, campaign, rows, seen, now, skip_known=skip_known, account_id=account_id)
    insert_leads(connection, campaign.id if campaign else None, settled.added, now, import_id, found_by)
    return settled, bool(campaign and settled.added and _reactivate(connection, campaign.id))


def check_takes_leads(status: CampaignStatus, code: str) -> None:
    """Raises Conflict for a cancelled campaign."""
    if status is CampaignStatus.CANCELLED:
        raise Conflict(f"campaign {code} is cancelled and takes no leads; import into another one")


def find_holders(
    connection: Connection, campaign_id: int | None, numbers: Collection[str], *, account_id: int | None = None
) -> tuple[dict[str, int], dict[str, Holder]]:
    """Who has these numbers: leads of this campaign (of none, for None) by number, and leads of others (of this
    account alone, if one is given: what others have is none of its business).
    """
    if not numbers:
        return {}, {}
    own = None
    if account_id is not None:
        own = set(connection.execute(select(C.id).where(C.account_id == account_id)).scalars())
    in_phones = select_among(
        connection, numbers,
        "SELECT p.telefono, p.lead_id, l.campaign_id FROM lead_phones p JOIN leads l ON l.id = p.lead_id "
        "WHERE p.telefono IN ",
    )
    # Leads written by hand have no row in lead_phones.
    by_hand = select_among(
        connection, numbers, "SELECT telefono, id, campaign_id FROM leads WHERE telefono IN "
    )
    held: dict[str, int] = {}
    elsewhere: dict[str, Holder] = {}
    for number, lead_id, campaign in (*in_phones, *by_hand):
        if campaign == campaign_id:
            held[number] = lead_id
        elif own is None or campaign in own:
            elsewhere[number] = Holder(lead_id, campaign)
    return held, elsewhere


def insert_leads(
    connection: Connection, campaign_id: int | None, rows: Sequence[NewLead], now: datetime, import_id: int,
    found_by: Sequence[str] = (),
) -> None:
    """Add leads with their numbers and what they are found by, and plan a first call for each. No number of theirs is
    held yet.

    Raises Overtaken.
    """
    if not rows:
        return
    _insert(
        connection, leads,
        ("campaign_id", "nombre", "apellidos", "telefono", "email", "time_zone", "region", "priority", "variables",
         "fecha_limite", "import_id"),
        [
            (
                campaign_id, row.first_name, row.last_name, row.numbers[0].number, row.email, row.time_zone,
                row.region, row.priority, _write_json(row.variables) if row.variables else None,
                row.call_until.isoformat() if row.call_until else None, import_id,
            )
            for row in rows
        ],
    )
    found = _list_ids(connection, campaign_id, [row.numbers[0].number for row in rows])
    if len(found) != len(rows):
        raise Overtaken
    ids = dict(found)
    learnt = learnt_columns(connection, [one.number for row in rows for one in row.numbers])
    _insert(
        connection, lead_phones, ("lead_id", "position", "telefono", *COLUMNS),
        [
            (ids[row.numbers[0].number], position, one.number, *learnt.get(one.number, NOT_LEARNT))
            for row in rows
            for position, one in enumerate(row.numbers, 1)
        ],
    )
    _insert(
        connection, lead_terms, ("lead_id", "term"),
        [
            (ids[row.numbers[0].number], term)
            for row in rows
            for term in sorted(terms_of(
                (row.first_name, row.last_name), row.email, [one.number for one in row.numbers],
                variables_of(row.variables, found_by),
            ))
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
    # Our own rows are left out there: most often nothing comes back, and to read it would cost more than to ask.
    found = select_among(
        connection, numbers,
        "SELECT lead_id FROM lead_phones FORCE INDEX (ix_lead_phones_phone) WHERE telefono IN ",
        f" AND lead_id NOT IN ({', '.join(map(str, sorted(own)))}) FOR UPDATE",
    )
    others = {lead_id for lead_id, in found}
    if others and connection.execute(
        select(L.id).where(L.id.in_(sorted(others)), L.campaign_id.is_not_distinct_from(campaign_id)).limit(1)
    ).first():
        raise Overtaken


def _list_ids(connection: Connection, campaign_id: int | None, numbers: Collection[str]) -> list[tuple[str, int]]:
    """(number, lead) of leads whose first number is one of these."""
    found = select_among(
        connection, numbers, f"SELECT telefono, id FROM leads WHERE campaign_id {_is(campaign_id)} AND telefono IN "
    )
    return [(number, lead_id) for number, lead_id in found]


def _is(campaign_id: int | None) -> str:
    return "IS NULL" if campaign_id is None else f"= {int(campaign_id)}"


Values = Sequence[tuple[int | str | None, ...]]
LONGEST_STATEMENT = 1_000_000
"""Characters of values in one INSERT: four bytes each are still less than every server takes."""


def _insert(connection: Connection, table: Table, columns: Sequence[str], rows: Values) -> None:
    """Columns that no row fills are left to their default, which is what an empty value means in them."""
    filled = [at for at in range(len(columns)) if any(row[at] for row in rows)]
    into = f"INSERT INTO {table.name} ({', '.join(columns[at] for at in filled)}) VALUES "
    if connection.dialect.name == "sqlite":  # its driver binds fast, and keeps every other statement it saw
        values = [tuple(row[at] for at in filled) for row in rows]
        connection.exec_driver_sql(f"{into}({marks('?', len(filled))})", values)
        return
    escape = connection.connection.driver_connection.escape  # type: ignore[union-attr]
    written = [_write_column([row[at] for row in rows], escape) for at in filled]
    lines = [f"({', '.join(cells)})" for cells in zip(*written, strict=True)]
    for part in _cut(lines):
        # Without parameters: a % in a name is no mark of one.
        connection.exec_driver_sql(into + ", ".join(part), execution_options={"no_parameters": True})


def _cut(lines: Sequence[str]) -> Iterator[Sequence[str]]:
    start = length = 0
    for at, line in enumerate(lines):
        if length + len(line) > LONGEST_STATEMENT and at > start:
            yield lines[start:at]
            start, length = at, 0
        length += len(line)
    yield lines[start:]


_BETWEEN = "\x1f"


def _write_column(values: Sequence[int | str | None], escape: Callable[[object], str]) -> Sequence[str]:
    """The values of one column as SQL."""
    texts = [value for value in values if isinstance(value, str)]
    if len(texts) == len(values):
        # All at once: to escape is one pass over a text, and most of its price is to begin.
        together = _BETWEEN.join(texts)
        if together.count(_BETWEEN) == len(texts) - 1:
            return [f"'{one}'" for one in escape(together)[1:-1].split(_BETWEEN)]
    return ["NULL" if value is None else str(value) if isinstance(value, int) else escape(value) for value in values]


# --- the list of imports --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Import:
    id: int
    campaign_id: int | None
    file_name: str
    status: ImportStatus
    added: int
    taken_back: int
    undone_at: datetime | None


def start_import(
    connection: Connection, *, campaign_id: int | None, file_name: str, sha256: str, actor: str, now: datetime
) -> int:
    return insert_row(connection, imports, {
        "campaign_id": campaign_id, "file_name": file_name[:255], "file_sha256": sha256, "actor": actor[:96],
        "created_at": now,
    })


def count_rows(
    connection: Connection, import_id: int, *, added: int, duplicates: int, rejected: int, progress: Mapping[str, Any]
) -> None:
    """Add to the counts of a running import, and keep how far it is in its details until it ends.

    Raises Conflict for one that was taken back meanwhile.
    """
    changed = connection.execute(
        update(imports).where(M.id == import_id, M.status != ImportStatus.UNDONE).values(
            rows_read=M.rows_read + added + duplicates + rejected, added=M.added + added,
            duplicates=M.duplicates + duplicates, rejected=M.rejected + rejected, details=dict(progress),
        )
    )
    if changed.rowcount == 0:
        raise Conflict(f"import {import_id} was taken back while it ran, so it stops here")


def finish_import(
    connection: Connection, import_id: int, status: ImportStatus, details: Mapping[str, Any], now: datetime
) -> None:
    """End a running import. One of the same file that broke off earlier is over too: this one brought the rest."""
    this = connection.execute(select(M.campaign_id, M.file_sha256).where(M.id == import_id)).first()
    connection.execute(
        update(imports)
        .where(M.id == import_id, M.status != ImportStatus.UNDONE)
        .values(status=status, details=dict(details), finished_at=now)
    )
    if this is not None and status is ImportStatus.DONE:
        connection.execute(
            update(imports)
            .where(
                M.id < import_id, M.status == ImportStatus.RUNNING, M.file_sha256 == this.file_sha256,
                M.campaign_id.is_not_distinct_from(this.campaign_id),
            )
            .values(status=ImportStatus.FAILED, details={"error": f"it broke off; import {import_id} added the rest"},
                    finished_at=now)
        )


def find_import(connection: Connection, import_id: int) -> Import | None:
    row = connection.execute(
        select(M.id, M.campaign_id, M.file_name, M.status, M.added, M.taken_back, M.undone_at).where(M.id == import_id)
    ).first()
    return Import(*row[:3], ImportStatus(row.status), *row[4:]) if row else None


def list_imports(
    connection: Connection, *, campaign_id: int | None, account_id: int | None = None, before: int | None = None,
    limit: int,
) -> list[dict[str, Any]]:
    """Newest first; of one campaign, of the campaigns of an account, or all."""
    query = _summaries().order_by(M.id.desc()).limit(limit)
    if campaign_id is not None:
        query = query.where(M.campaign_id == campaign_id)
    if account_id is not None:
        query = query.where(C.account_id == account_id)
    if before is not None:
        query = query.where(M.id < before)
    return [dict(row) for row in connection.execute(query).mappings()]


def describe_import(connection: Connection, import_id: int) -> dict[str, Any] | None:
    """An import with its details, and what has become of its leads. Kept rejects are counted, not shown."""
    row = connection.execute(_summaries().add_columns(M.details).where(M.id == import_id)).mappings().first()
    if row is None:
        return None
    of = L.import_id == import_id
    details = _document(row["details"])
    if isinstance(details.get("verdicts"), dict):
        details["verdicts"] = in_order(details["verdicts"])
    kept = details.pop(KEPT, None)
    if kept:
        details["rejects_kept"] = len(kept["rows"])
        details["rejects_left_out"] = kept["left_out"]
    return {
        **row,
        "details": details,
        "leads": _count_by(connection, func.coalesce(word(L.lead_status), "open"), of),
        "calls": _count_by(connection, func.coalesce(word(L.call_status), "no_selected"), of),
        "called": connection.execute(select(func.count()).select_from(leads).where(of, ~_is_untouched())).scalar_one(),
    }


KEPT = "rejects"
"""Where `details` has the rejects of an import that came without a file system of its own."""


@dataclass(frozen=True, slots=True)
class KeptRejects:
    """`rows` begin with line, field, value and reason, then the row as it was; `left_out` more were not kept."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    left_out: int


def find_rejects(connection: Connection, import_id: int) -> KeptRejects | None:
    """None when none were kept."""
    kept = _document(connection.execute(select(M.details).where(M.id == import_id)).scalar()).get(KEPT)
    return KeptRejects(kept["header"], kept["rows"], kept["left_out"]) if kept else None


def _document(details: Any) -> dict[str, Any]:
    """`details` as it was written; some drivers give JSON as text."""
    found = json.loads(details) if isinstance(details, str) else details
    return dict(found) if isinstance(found, dict) else {}


def _summaries() -> Any:
    return select(
        M.id, C.code.label("campaign"), M.file_name, word(M.status).label("status"), M.rows_read, M.added, M.duplicates,
        M.rejected, M.taken_back, M.actor, M.created_at, M.finished_at, M.undone_at, M.file_sha256,
    ).outerjoin(campaigns, C.id == M.campaign_id)


def _count_by(connection: Connection, value: ColumnElement[Any], of: ColumnElement[bool]) -> dict[str, int]:
    rows = connection.execute(select(value, func.count()).where(of).group_by(value).order_by(value))
    return {str(name): count for name, count in rows}


# --- taking back ----------------------------------------------------------------------------------


def count_untouched(connection: Connection, import_id: int) -> tuple[int, int]:
    """How many leads of an import are there, and how many of them were never called."""
    of = L.import_id == import_id
    count = select(func.count()).select_from(leads)
    total = connection.execute(count.where(of)).scalar_one()
    return total, connection.execute(count.where(of, _is_untouched())).scalar_one()


def mark_undone(connection: Connection, import_id: int, now: datetime) -> None:
    """From now on the import adds nothing more, should it still run."""
    connection.execute(update(imports).where(M.id == import_id).values(status=ImportStatus.UNDONE, undone_at=now))


def take_back(connection: Connection, import_id: int, *, after: int, limit: int) -> tuple[int, int | None]:
    """Delete the next leads of an import beyond this id that were never called, with their numbers and plans.

    A lead that somebody holds at this moment is passed by: a daemon may be about to call it. Returns how many
    were deleted and the last id that was looked at, None when there were no more.
    """
    ids = list(connection.execute(
        select(L.id).where(L.import_id == import_id, L.id > after, _is_untouched()).order_by(L.id).limit(limit)
    ).scalars())
    if not ids:
        return 0, None
    free = _lock_untouched(connection, ids)
    if free:
        connection.execute(delete(call_schedule).where(ids_in(S.lead_id, free)))
        connection.execute(delete(lead_phones).where(ids_in(P.lead_id, free)))
        forget_terms(connection, free)
        connection.execute(delete(leads).where(ids_in(L.id, free)))
        connection.execute(update(imports).where(M.id == import_id).values(taken_back=M.taken_back + len(free)))
    return len(free), ids[-1]


def _lock_untouched(connection: Connection, ids: Sequence[int]) -> set[int]:
    """Those of these leads that nobody else holds and that are still not called, locked with their plans.

    A take locks the schedule row, and writes its attempt in the same transaction; so once we hold every row of a
    lead, what we read of it stays true.
    """
    locked = set(connection.execute(
        select(L.id).with_hint(leads, BY_ID, "mysql").where(ids_in(L.id, ids)).with_for_update(skip_locked=True)
    ).scalars())
    if not locked:
        return set()
    planned = connection.execute(select(S.id, S.lead_id).where(ids_in(S.lead_id, locked))).all()
    rows = {row.id for row in planned}
    held = set(connection.execute(
        select(S.id)
        .with_hint(call_schedule, BY_ID, "mysql")
        .where(ids_in(S.id, rows))
        .order_by(S.id)
        .with_for_update(skip_locked=True)
    ).scalars()) if rows else set()
    taken = {row.lead_id for row in planned if row.id not in held}
    return set(connection.execute(select(L.id).where(ids_in(L.id, locked - taken), _is_untouched())).scalars())


def _is_untouched() -> ColumnElement[bool]:
    """No call was ever made to this lead, and none is being made."""
    called = select(A.id).where(A.lead_id == L.id).correlate(leads).exists()
    of_lead = (S.open_lead_id == L.id, S.status == ScheduleStatus.IN_PROGRESS)
    in_work = select(S.id).where(*of_lead).correlate(leads).exists()
    return (L.call_attempts_count == 0) & ~called & ~in_work
