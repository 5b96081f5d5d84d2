"""What telephone numbers tell, learnt once and kept beside them.

A number is read when it is written: `lead_phones.traits_id` names a row of `number_traits` (country, kind of line,
zones), which thousands of numbers share. The id of such a row follows from what it says, so that what a process
remembers of an id stays true whatever happens to the table. Numbers that people write by SQL, and those that were
learnt from older tables than this program has, are learnt by the first take that meets them; upkeep goes through all
of `lead_phones` once in the life of a process (a lead that a person wrote without a row there is met by its take).

What must stay true: traits count only for the number that they were learnt of (`e164` beside them), so an UPDATE of
`telefono` makes them unknown, never wrong. A newcomer would write what was learnt over a number that a person has
changed meanwhile: every UPDATE here names the number that it found.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, bindparam, select, update

from scheduler.errors import InvalidValue
from scheduler.model import Happening, Lead, NumberTraits, Phone, PhoneStatus
from scheduler.rules.eligibility import phones_of
from scheduler.rules.phones import DATA_VERSION, is_e164, learn, number_key, read_number
from scheduler.store.database import ids_in, insert_or_ignore
from scheduler.store.journal import add_events
from scheduler.store.tables import lead_phones, leads, number_traits

P, T = lead_phones.c, number_traits.c

_known: dict[int, NumberTraits | None] = {}
"""By id; None for what older tables told. A few thousand at most: they are kinds of numbers, not numbers."""


def traits_id(traits: NumberTraits, version: str = DATA_VERSION) -> int:
    """The id of the row that says this."""
    text = json.dumps([version, traits.country, traits.line, traits.zones])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) >> 1


def learnt_columns(connection: Connection, numbers: Iterable[str]) -> dict[str, tuple[str, str, int]]:
    """(e164, number_key, traits_id) of each number that tells something; its traits are written where they are new."""
    found: dict[str, tuple[str, str, int]] = {}
    told: dict[int, NumberTraits] = {}
    for number in numbers:
        if number not in found and (traits := find_traits(number)) is not None:
            key = _id_of(traits)
            told[key] = traits
            found[number] = (number, number_key(number), key)
    _keep(connection, told)
    return found


def find_traits(number: str | None) -> NumberTraits | None:
    """What this number tells; None for what is no number in international form."""
    try:
        return learn(number) if number is not None and is_e164(number) else None
    except InvalidValue:
        return None


def read_traits(connection: Connection, ids: Collection[int]) -> Mapping[int, NumberTraits | None]:
    """By id, as far as the tables of this program or newer ones told them; asked once in the life of a process."""
    unknown = [one for one in ids if one not in _known]
    if unknown:
        rows = connection.execute(select(T.id, T.data_version, T.country, T.line, T.zones).where(ids_in(T.id, unknown)))
        for row_id, version, country, line, zones in rows:
            traits = NumberTraits(country, line, tuple(zones.split()))
            # A row that a person changed does not say what its id stands for.
            is_whole = traits_id(traits, version) == row_id
            _known[row_id] = traits if is_whole and _order(version) >= _order(DATA_VERSION) else None
    return _known


def known_traits(traits_id: int) -> NumberTraits | None:
    """What `read_traits` found for this id, if it was asked."""
    return _known.get(traits_id)


def learn_unknown(
    connection: Connection, people: Mapping[int, Lead], home: str | None = None, now: datetime | None = None
) -> dict[int, Lead]:
    """The same leads, with what their numbers tell: what was not known of them is learnt and kept.

    A text that is no number as it stands and can only mean one (`phones.read_number`, in the country `home`) becomes
    that one, untried, and at `now` an event of its lead says so.
    """
    learnt = {key: lead for key, lead in people.items() if any(map(_is_unlearnt, phones_of(lead)))}
    if not learnt:
        return dict(people)
    unknown = {one.number for lead in learnt.values() for one in phones_of(lead) if _is_unlearnt(one)}
    meant = {number: _as_dialed(number, home) for number in unknown}
    columns = learnt_columns(connection, meant.values())
    found, added, changed, first, mended = dict(people), [], [], [], []
    for key, lead in learnt.items():
        written = {one.position: one.number for one in lead.phones}
        phones = []
        for was in phones_of(lead):
            phone = was
            if _is_unlearnt(was) and meant[was.number] != was.number:
                phone = replace(was, number=meant[was.number], status=PhoneStatus.ACTIVE)
                mended.append(Happening(
                    kind="number_mended", actor="ringback", lead_id=lead.id, campaign_id=lead.campaign_id,
                    reason=f"{was.number!r} can only mean {phone.number}", details={"position": was.position},
                ))
                if lead.phone == was.number:
                    first.append({"of": lead.id, "was": was.number, "telefono": phone.number})
            phones.append(replace(phone, traits=phone.traits or find_traits(phone.number)))
            if not _is_unlearnt(was) or phone.number not in columns:
                continue
            values = dict(zip(COLUMNS, columns[phone.number], strict=True))
            if was.position in written:
                # Where it is another number, `leads.telefono` was changed by hand, and position 1 mirrors it.
                changed.append({"of": lead.id, "at": was.position, "was": written[was.position],
                                "telefono": phone.number, "status": phone.status.value, **values})
            else:  # by hand too: `telefono` alone
                added.append({"lead_id": lead.id, "position": was.position, "telefono": phone.number,
                              "status": phone.status.value, **values})
        found[key] = replace(lead, phone=meant.get(lead.phone or "", lead.phone), phones=tuple(phones))
    if added:
        connection.execute(insert_or_ignore(lead_phones), added)
    if changed:
        connection.execute(_CHANGE, changed)
    if first:
        connection.execute(_CHANGE_FIRST, first)
    if now is not None:
        add_events(connection, mended, now)
    return found


def _is_unlearnt(phone: Phone) -> bool:
    # To a server a number with a space behind it is the number that its traits were learnt of.
    return phone.traits is None or not is_e164(phone.number)


def _as_dialed(number: str, home: str | None) -> str:
    return number if find_traits(number) is not None else read_number(number, home).number or number


COLUMNS = ("e164", "number_key", "traits_id")
NOT_LEARNT = (None, None, None)
_CHANGE = (
    update(lead_phones)
    .where(P.lead_id == bindparam("of"), P.position == bindparam("at"), P.telefono == bindparam("was"))
    .values({name: bindparam(name) for name in ("telefono", "status", *COLUMNS)})
)
_CHANGE_FIRST = (
    update(leads).where(leads.c.id == bindparam("of"), leads.c.telefono == bindparam("was"))
    .values(telefono=bindparam("telefono"))
)


@dataclass(frozen=True, slots=True)
class Unlearnt:
    """Leads of which a number was not learnt, or from older tables. `until`: the last one looked at; None: no more."""

    leads: tuple[int, ...]
    until: int | None


def list_unlearnt(connection: Connection, after: int, limit: int) -> Unlearnt:
    """A page of `lead_phones`, of leads beyond this id."""
    rows = connection.execute(
        select(P.lead_id, P.telefono, P.e164, P.traits_id)
        .where(P.lead_id > after)
        .order_by(P.lead_id, P.position)
        .limit(limit)
    ).all()
    known = read_traits(connection, {row.traits_id for row in rows if row.traits_id is not None})
    found = {
        row.lead_id for row in rows
        if row.e164 != row.telefono or known.get(row.traits_id) is None
    }
    if len(rows) < limit:
        return Unlearnt(tuple(sorted(found)), None)
    # The page may end among the numbers of its last lead: that one begins the next page, unless it fills this one.
    last, before = rows[-1].lead_id, [row.lead_id for row in rows if row.lead_id != rows[-1].lead_id]
    return Unlearnt(tuple(sorted(found)), before[-1] if before else last)


def _keep(connection: Connection, told: Mapping[int, NumberTraits]) -> None:
    if not told:
        return
    there = set(connection.execute(select(T.id).where(ids_in(T.id, told))).scalars())
    new = [
        {
            "id": key, "data_version": DATA_VERSION, "country": one.country, "line": one.line,
            "zones": " ".join(one.zones),
        }
        for key, one in told.items() if key not in there
    ]
    if new:
        connection.execute(insert_or_ignore(number_traits), new)
    _known.update(told)


_ids: dict[NumberTraits, int] = {}


def _id_of(traits: NumberTraits) -> int:
    found = _ids.get(traits)
    if found is None:
        found = _ids[traits] = traits_id(traits)
    return found


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())
