"""Numbers that are never dialed: put on the list and taken off it by people, each with who and why.

A number is written as +<country><number>, as everywhere; a call that is in flight goes on, and what is planned for
the number is dropped by the gate when its time comes. What must stay true: listing a number that is listed already
never makes that weaker.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from scheduler.errors import Conflict, InvalidValue, NotFound
from scheduler.model import Happening
from scheduler.rules.phones import to_e164
from scheduler.service.acting import current_actor
from scheduler.service.runtime import Runtime, shared_runtime
from scheduler.store import do_not_call as store
from scheduler.store import journal
from scheduler.store.database import Connection

LONGEST_SOURCE = 64


@dataclass(frozen=True, slots=True)
class Barred:
    """The entry as it is now, with the columns' names; `was_listed`: the number was barred before."""

    entry: dict[str, Any]
    was_listed: bool


def bar_number(
    text: str, *, reason: str, expires_at: datetime | None = None, default_country: str | None = None,
    runtime: Runtime | None = None,
) -> Barred:
    """Never dial this number again, or not before `expires_at`. Raises InvalidValue for what is no number."""
    runtime = runtime or shared_runtime()
    number = to_e164(text, default_country or runtime.settings.default_country)
    if not reason.strip():
        raise InvalidValue("reason", reason, "say why the number must not be dialed")
    now = runtime.clock.now()
    if expires_at is not None and expires_at <= now:
        raise Conflict(f"expires_at {expires_at:%Y-%m-%d %H:%M:%S} UTC has passed, so it would bar nothing")

    def work(connection: Connection) -> Barred:
        entry, was_listed = store.add_entry(
            connection, number, reason=reason, source=current_actor()[:LONGEST_SOURCE], expires_at=expires_at, now=now
        )
        _record(connection, "number_barred", number, reason, now)
        return Barred(entry, was_listed)

    return runtime.database.transact(work)


def unbar_number(
    text: str, *, reason: str, default_country: str | None = None, runtime: Runtime | None = None
) -> str:
    """Take a number off the list, in every spelling. Returns it as it is dialed.

    An entry that is no number is taken out as it is written. Raises NotFound for one that is not listed, Conflict
    where only such an entry could mean it.
    """
    runtime = runtime or shared_runtime()
    home = default_country or runtime.settings.default_country
    if not reason.strip():
        raise InvalidValue("reason", reason, "say why the number may be dialed again")
    now = runtime.clock.now()
    try:
        number = to_e164(text, home)
    except InvalidValue:
        if runtime.database.transact(lambda connection: _remove_misread(connection, text, reason, now)):
            return text
        raise

    def work(connection: Connection) -> None:
        if not store.remove_entries(connection, number, home):
            found = store.find_entry(connection, number, now, home)
            if found is None:
                raise NotFound("entry of the do-not-call list for", number)
            raise Conflict(
                f"entry {found['id']} of the do-not-call list, {found['telefono']!r}, is no number and could mean "
                f"{number}; take that entry out, as it is written"
            )
        _record(connection, "number_unbarred", number, reason, now)

    runtime.database.transact(work)
    return number


def find_barred(
    text: str, *, default_country: str | None = None, runtime: Runtime | None = None
) -> tuple[str, dict[str, Any] | None]:
    """A number as it is dialed, and the entry that bars it now. Raises InvalidValue for what is no number."""
    runtime = runtime or shared_runtime()
    home = default_country or runtime.settings.default_country
    number = to_e164(text, home)
    now = runtime.clock.now()
    return number, runtime.database.read(lambda connection: store.find_entry(connection, number, now, home))


def _remove_misread(connection: Connection, text: str, reason: str, now: datetime) -> bool:
    if not store.remove_text(connection, text):
        return False
    _record(connection, "number_unbarred", text, reason, now)
    return True


def _record(connection: Connection, kind: str, number: str, reason: str, now: datetime) -> None:
    journal.add_events(connection, [
        Happening(kind=kind, actor=current_actor(), reason=reason, details={"telefono": number})
    ], now)
