"""The terms that leads are found by (`rules.terms`), kept beside them in an index: `lead_terms`.

They are written with a lead. What people write by SQL, or change, is brought up to date by upkeep, page by page: new
leads first, then all of them again from time to time. Until then such a lead is found by its beginning of a number
and by walking its campaign.

What must stay true: a search never shows what is not so any more beyond the next pass of upkeep, and the take never
touches this table. A newcomer would look for a frequent name by its list of leads: where more than `FEW` have a word,
leads are walked in the order of the page, and each is asked whether it has it.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, Text, bindparam, delete, literal, select, type_coerce, union_all

from scheduler.rules.terms import asked_end, asked_words, terms_of
from scheduler.store.database import ids_in, insert_or_ignore
from scheduler.store.tables import lead_phones, lead_terms, leads

L, P, T = leads.c, lead_phones.c, lead_terms.c
FEW = 2_000
"""Leads that are listed by a term; of a more frequent one the leads are walked instead."""
MOST_OF_NUMBER = 500
END = "\uffff"


# --- kept up to date ------------------------------------------------------------------------------


def add_terms(connection: Connection, terms: Mapping[int, Collection[str]]) -> None:
    """Of leads that are new."""
    rows = [{"lead_id": lead_id, "term": term} for lead_id, found in terms.items() for term in found]
    if rows:
        connection.execute(insert_or_ignore(lead_terms), rows)


def forget_terms(connection: Connection, lead_ids: Collection[int]) -> None:
    """Of leads that are no more, or that are not to be found any more."""
    if lead_ids:
        connection.execute(delete(lead_terms).where(ids_in(T.lead_id, lead_ids)))


def bring_up_to_date(connection: Connection, after: int, limit: int, names: Sequence[str]) -> int | None:
    """Make the terms of a page of leads beyond this id those of what is written there now. Returns the last id;
    None when there are no more. `names` are the variables that leads are found by.
    """
    columns: list[Any] = [L.id, L.nombre, L.apellidos, L.email, L.telefono]
    if names:
        columns.append(type_coerce(L.variables, Text))
    rows = connection.execute(select(*columns).where(L.id > after).order_by(L.id).limit(limit)).all()
    if not rows:
        return None
    last = int(rows[-1][0])
    numbers: dict[int, list[str]] = defaultdict(list)
    for lead_id, number in connection.execute(
        select(P.lead_id, P.telefono).where(P.lead_id > after, P.lead_id <= last)
    ):
        numbers[lead_id].append(number)
    known: dict[int, set[str]] = defaultdict(set)
    for lead_id, term in connection.execute(select(T.lead_id, T.term).where(T.lead_id > after, T.lead_id <= last)):
        known[lead_id].add(term)
    new, old = {}, []
    for lead_id, first, family, email, number, *rest in rows:
        values = variables_of(rest[0], names) if names else ()
        found = terms_of((first, family), email, (number, *numbers[lead_id]), values)
        if missing := found - known[lead_id]:
            new[lead_id] = missing
        old += [{"of": lead_id, "was": term} for term in known[lead_id] - found]
    add_terms(connection, new)
    if old:
        connection.execute(_FORGET, old)
    return last


_FORGET = delete(lead_terms).where(T.lead_id == bindparam("of"), T.term == bindparam("was"))


def variables_of(document: str | Mapping[str, Any] | None, names: Sequence[str]) -> list[object]:
    """The values of these variables."""
    if not document or not names:
        return []
    if isinstance(document, str):
        try:
            document = json.loads(document)
        except ValueError:
            return []
    return [document[name] for name in names if name in document] if isinstance(document, Mapping) else []


# --- searched -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which leads a search means: only `ids` (None: any), and of them those that have a term in each of `ranges`
    (from, up to and without); `part`: those with this in a name, because no term begins so.
    """

    ids: frozenset[int] | None = None
    ranges: tuple[tuple[str, str], ...] = ()
    part: str | None = None


def read_search(connection: Connection, search: str, *, few: int = FEW) -> Wanted:
    """By the index."""
    digits = find_digits(search)
    if digits is not None:
        return Wanted(ids=frozenset(_ids_of_number(connection, digits, search)))
    ranges = [(word, word + END) for word in asked_words(search)]
    if not ranges:
        return Wanted(part=search)
    rare: set[int] | None = None
    others = []
    for low, high in ranges:
        ids = _list_ids(connection, low, high, few + 1) if rare is None else []
        if rare is None and not ids:
            return Wanted(part=search)
        if rare is None and len(ids) <= few:
            rare = set(ids)
        else:
            others.append((low, high))
    return Wanted(ids=None if rare is None else frozenset(rare), ranges=tuple(others))


def find_digits(search: str) -> str | None:
    """What could be a number or its beginning, without what people write between digits; None: it is a name."""
    bare = re.sub(r"\(0\)|[\s().\-/]", "", search)  # the (0) of +56 (0) 9 ... is dialed at home alone
    return bare if re.fullmatch(r"\+?[0-9]{1,20}", bare) else None


def _ids_of_number(connection: Connection, digits: str, search: str) -> set[int]:
    """Leads with a number that begins or ends so, the lead with this id, and those with such a variable."""
    ids = {int(search)} if re.fullmatch(r"[0-9]{1,18}", search.strip()) else set()
    # Ranges of the indexes on the numbers; past so many, the beginning says too little.
    ranges = [
        select(column.label("lead_id")).where(of >= one, of < one + ":").order_by(of).limit(MOST_OF_NUMBER)
        for one in ([digits] if digits.startswith("+") else [digits, f"+{digits}"])
        for column, of in ((P.lead_id, P.telefono), (L.id, L.telefono))
    ]
    terms = [digits] if not digits.startswith("+") else []
    if (end := asked_end(digits)) is not None:
        terms.append(end)
    ranges += [_of_terms(term, term + END, MOST_OF_NUMBER) for term in terms]
    found = connection.execute(union_all(*(select(one.subquery().c.lead_id) for one in ranges)))
    return ids | set(found.scalars())


def _list_ids(connection: Connection, low: str, high: str, limit: int) -> list[int]:
    return list(dict.fromkeys(connection.execute(_of_terms(low, high, limit)).scalars()))


def _of_terms(low: str, high: str, limit: int) -> Select[Any]:
    query = select(T.lead_id).with_hint(lead_terms, "FORCE INDEX (ix_lead_terms_term)", "mysql")
    return query.where(T.term >= low, T.term < high).order_by(T.term).limit(limit)


def conditions_of(wanted: Wanted) -> Iterable[Any]:
    """`ranges` as conditions on `leads`."""
    for low, high in wanted.ranges:
        has = select(literal(1)).where(T.lead_id == L.id, T.term >= low, T.term < high).limit(1)
        yield has.scalar_subquery() == 1  # not by EXISTS: MariaDB would list all leads that have it
