"""The do-not-call list: what the gate asks of it, and how people change it, number by number.

Entries are what people wrote, by the program or by SQL, in whatever spelling. One bars from the moment when it is
committed: it is found by the last digits of its text, which the tables compute (`number_key`), and judged here. Where
SQL cannot tell the digits that matter (`reading` is 2) the row is looked at by everyone who asks, until upkeep has
read it; so is a part of the others that nobody has read yet, for what SQL may have taken for a number. Of an entry
that is no number the digits of every number that it could mean are kept (`do_not_call_keys`).

What must stay true: a number that was on the list when a call was made shows it: an entry that had expired begins
anew (`created_at`) when its number is listed again. What was read of a text counts only for that text (`read_text`),
so an UPDATE of `telefono` makes the row an unread one, and never needs a trigger.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Select,
    and_,
    case,
    delete,
    func,
    literal_column,
    null,
    or_,
    select,
    union_all,
    update,
)

from scheduler.model import AttemptState, Doubt
from scheduler.rules.phones import Meaning, meaning_of, number_key, number_keys, read_number, windows_of
from scheduler.store.database import change_rows, ids_in, insert_or_ignore
from scheduler.store.tables import call_attempts, do_not_call, do_not_call_keys

A, D, K = call_attempts.c, do_not_call.c, do_not_call_keys.c
ENTRY = (D.id, D.telefono, D.reason, D.source, D.created_at, D.expires_at)
UNSURE, NO_NUMBER = 2, 3
"""Of `reading`: only a program can tell the digits, and none has yet; it was read, and is no number."""
MOST_UNREAD = 1000
"""Of entries that SQL understands, which are looked at once more until they are read."""


class _Listed(NamedTuple):
    id: int
    telefono: str
    reason: str | None
    reading: int | None
    read_as: str | None


def read_barred(
    connection: Connection, numbers: Collection[str], now: datetime, home: str | None = None
) -> dict[str, str]:
    """Those of these numbers that may not be dialed at `now`, with the reason.

    The reason is a `Doubt` where an entry is no number and could mean this one. `home` is the country that numbers
    without a country code are read in; without it, entries that nobody has read yet raise no doubts.
    """
    return _why(_find(connection, numbers, now, home))


def read_callable(
    connection: Connection, rows: Select[Any], numbers: Collection[str], now: datetime, home: str | None
) -> set[int]:
    """The ids among `rows` (id, number, whether it counts: 1 or 0) that count and whose number is not barred.

    In one statement with the list: it is asked between a take and its dials, and each statement makes them later.
    """
    asked: list[_Listed] = []
    barred = _why(_find(connection, numbers, now, home, rows, asked))
    return {row.id for row in asked if row.reading and row.telefono not in barred}


def _why(found: Iterable[tuple[str, _Listed, Meaning]]) -> dict[str, str]:
    why: dict[str, str] = {}
    for number, entry, meaning in found:
        if meaning is Meaning.SAME:
            why[number] = entry.reason or "on the do-not-call list"
        elif number not in why:
            why[number] = Doubt(
                f"entry {entry.id} of the do-not-call list ({entry.telefono!r}) is no number and could mean this one"
            )
    return why


def _find(
    connection: Connection, numbers: Collection[str], now: datetime, home: str | None,
    beside: Select[Any] | None = None, asked: list[_Listed] | None = None,
) -> Iterator[tuple[str, _Listed, Meaning]]:
    """Every pair of a number and an entry in force that means it, or could. The rows of `beside` go to `asked`."""
    by_key: dict[str, list[str]] = {}
    for number in numbers:
        for key in number_keys(number):
            by_key.setdefault(key, []).append(number)
    if not by_key:
        return
    for entry in dict.fromkeys(_candidates(connection, sorted(by_key), now, beside, asked)):
        for number in {number for key in windows_of(entry.telefono) & by_key.keys() for number in by_key[key]}:
            meaning = meaning_of(entry.telefono.strip(), number, home, entry.read_as)
            if meaning is Meaning.SAME or (meaning is Meaning.MAYBE and (home or entry.reading == NO_NUMBER)):
                yield number, entry, meaning


LISTED = (D.id, D.telefono, D.reason, D.reading, case((D.reading.is_(None), D.read_as)).label("read_as"))
_OF_KEY, _UNREAD, _BESIDE = (literal_column(str(number), Integer).label("part") for number in range(3))


def _candidates(
    connection: Connection, keys: Collection[str], now: datetime, beside: Select[Any] | None,
    asked: list[_Listed] | None,
) -> Iterator[_Listed]:
    """Entries with these keys, and those whose key is not certain. One statement, unless very many are uncertain."""
    valid = or_(D.expires_at.is_(None), D.expires_at > now)

    def unread(which: ColumnElement[bool], most: int) -> Select[Any]:
        last_first = (D.reading.desc(), D.id.desc())
        return select(select(_UNREAD, *LISTED).where(which, valid).order_by(*last_first).limit(most).subquery())

    rows: Sequence[Any] = connection.execute(union_all(
        select(_OF_KEY, *LISTED).where(D.number_key.in_(keys), valid),
        select(_OF_KEY, *LISTED)
        .join_from(do_not_call_keys, do_not_call, D.id == K.entry_id)
        .where(K.number_key.in_(keys), valid),
        unread(D.reading.between(1, UNSURE), MOST_UNREAD),
        *([] if beside is None else [beside.with_only_columns(_BESIDE, *_as_listed(beside))]),
    )).all()
    most = MOST_UNREAD
    while rows:
        entries = [_Listed(*row[1:]) for row in rows]
        if asked is not None:
            asked += [entry for row, entry in zip(rows, entries, strict=True) if row[0] == 2]
        yield from (entry for row, entry in zip(rows, entries, strict=True) if row[0] != 2)
        unsure = [one.id for row, one in zip(rows, entries, strict=True) if row[0] == 1 and one.reading == UNSURE]
        if len(unsure) < most:
            return
        most = 10 * MOST_UNREAD
        rows = connection.execute(unread(and_(D.reading == UNSURE, D.id < unsure[-1]), most)).all()


def _as_listed(query: Select[Any]) -> tuple[Any, ...]:
    row_id, number, counts = query.selected_columns
    return row_id, number, null(), counts, null()


def find_entry(
    connection: Connection, number: str, now: datetime, home: str | None = None
) -> dict[str, Any] | None:
    """The entry that bars a number in E.164, however somebody wrote it; one that only could mean it comes last."""
    pairs = _find(connection, [number], now, home)
    return _read(connection, sorted((meaning is not Meaning.SAME, entry.id) for _, entry, meaning in pairs))


def _find_same(connection: Connection, number: str, now: datetime) -> dict[str, Any] | None:
    pairs = _find(connection, [number], now, None)
    return _read(connection, sorted((0, entry.id) for _, entry, meaning in pairs if meaning is Meaning.SAME))


def _read(connection: Connection, found: Sequence[tuple[int, int]]) -> dict[str, Any] | None:
    if not found:
        return None
    row = connection.execute(select(*ENTRY).where(D.id == found[0][1])).mappings().first()
    return _row(row) if row else None


def add_entry(
    connection: Connection, number: str, *, reason: str, source: str, expires_at: datetime | None, now: datetime
) -> tuple[dict[str, Any], bool]:
    """Bar a number. Returns its entry, and whether it was barred already: that one is never made weaker."""
    before = _find_same(connection, number, now)
    added = connection.execute(insert_or_ignore(do_not_call).values(
        telefono=number, reason=reason, source=source, created_at=now, expires_at=expires_at,
        read_text=number, read_as=number,
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
    entry = _find_same(connection, number, now)
    assert entry is not None, "it was written in this transaction"
    return entry, before is not None


def remove_entries(connection: Connection, number: str, home: str) -> int:
    """Take a number off the list, in every spelling. Returns how many entries it had."""
    ever = datetime(2000, 1, 1, tzinfo=UTC)  # those that have expired go too
    return _delete(connection, [
        entry.id for _, entry, meaning in _find(connection, [number], ever, home) if meaning is Meaning.SAME
    ])


def remove_text(connection: Connection, text: str) -> int:
    """Take an entry that is no number off the list, as it is written. Returns how many there were."""
    found = select(D.id, D.telefono).where(D.telefono == text)
    return _delete(connection, [row.id for row in connection.execute(found) if row.telefono.strip() == text.strip()])


def _delete(connection: Connection, ids: Collection[int]) -> int:
    if not ids:
        return 0
    connection.execute(delete(do_not_call_keys).where(ids_in(K.entry_id, ids)))
    return connection.execute(delete(do_not_call).where(ids_in(D.id, ids))).rowcount


# --- reading what people wrote ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Misread:
    """An entry that is no number, with why."""

    id: int
    telefono: str


def read_entries(connection: Connection, home: str, limit: int, now: datetime) -> tuple[int, list[Misread]]:
    """Read a page of entries that nobody has read since they were written or changed. Returns how many, and those
    that are no number. One that was changed bars another number than before, so it begins anew.
    """
    rows = connection.execute(
        select(D.id, D.telefono, D.number_key, D.read_text, D.created_at).where(D.reading.between(1, UNSURE))
        .order_by(D.reading.desc(), D.id.desc()).limit(limit)
    ).all()
    if not rows:
        return 0, []
    changes, keys, wrong = [], [], []
    for row in rows:
        number = read_number(row.telefono.strip(), home).number
        changes.append({
            "id": row.id, "read_text": row.telefono, "read_as": number,
            "created_at": row.created_at if row.read_text is None else now,
        })
        if number is None:
            wrong.append(Misread(row.id, row.telefono))
            keys += [{"entry_id": row.id, "number_key": key} for key in windows_of(row.telefono)]
        elif row.number_key not in number_keys(number):
            keys.append({"entry_id": row.id, "number_key": number_key(number)})
    connection.execute(delete(do_not_call_keys).where(ids_in(K.entry_id, [row.id for row in rows])))
    change_rows(connection, do_not_call, changes, per_row=("read_text", "read_as", "created_at"))
    if keys:
        connection.execute(insert_or_ignore(do_not_call_keys), keys)
    return len(rows), wrong


def list_misread(connection: Connection, home: str | None, limit: int) -> tuple[int, list[Misread]]:
    """How many entries are no number, and some of them, newest first. With the country that they are read in, those
    that nobody has read yet are among them, as far as `MOST_UNREAD` of them tell.
    """
    known = D.reading == NO_NUMBER
    found = [
        Misread(row.id, row.telefono)
        for row in connection.execute(select(D.id, D.telefono).where(known).order_by(D.id.desc()).limit(limit))
    ]
    count = connection.execute(select(func.count()).select_from(do_not_call).where(known)).scalar_one()
    if home is None:
        return count, found
    unread = connection.execute(
        select(D.id, D.telefono).where(D.reading.between(1, UNSURE)).order_by(D.reading.desc()).limit(MOST_UNREAD)
    )
    new = [Misread(*row) for row in unread if read_number(row.telefono.strip(), home).number is None]
    return count + len(new), (new + found)[:limit]


def list_dialed_unread(connection: Connection, home: str) -> list[int]:
    """Attempts to numbers of entries that nobody has read yet, made after those were written."""
    found: list[int] = []
    last = None
    while True:
        page = select(D.id, D.telefono, D.created_at, D.expires_at).where(
            D.reading.between(1, UNSURE), D.read_text.is_(None), *([] if last is None else [D.id < last])
        )
        rows = connection.execute(page.order_by(D.id.desc()).limit(MOST_UNREAD)).all()
        by_number = {number: row for row in rows if (number := read_number(row.telefono.strip(), home).number)}
        attempts = connection.execute(
            select(A.id, A.telefono, A.claimed_at)
            .where(A.telefono.in_(sorted(by_number)), A.state != AttemptState.REFUSED)
        )
        for attempt in attempts:
            entry = by_number[attempt.telefono]
            was_over = entry.expires_at is not None and attempt.claimed_at >= entry.expires_at
            if attempt.claimed_at is not None and attempt.claimed_at > entry.created_at and not was_over:
                found.append(attempt.id)
        if len(rows) < MOST_UNREAD:
            return found
        last = rows[-1].id


def _row(found: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(name): value for name, value in found.items()}
