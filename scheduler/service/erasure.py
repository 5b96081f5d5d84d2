"""Erase a person on request: who asked, when and why stays; names, numbers, variables and what was said do not.

What must stay true: all of it or nothing, in one transaction; a call in flight ends first. What was erased is in no
event, not even of the erasing itself. With the users of deploy/grants.sql it is done as ringback_owner, because the
working user may not rewrite the audit.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from scheduler.errors import Conflict, InvalidValue, NotFound
from scheduler.model import Happening
from scheduler.rules.phones import to_e164
from scheduler.service.acting import current_account, current_actor
from scheduler.service.runtime import Runtime, shared_runtime
from scheduler.store import do_not_call, erasure, journal
from scheduler.store.database import Connection


@dataclass(frozen=True, slots=True)
class Erased:
    """The leads that are nobody's now; `is_barred`: a number of theirs stays on the do-not-call list."""

    leads: tuple[int, ...]
    is_barred: bool


def erase_person(
    *, lead_ids: Collection[int] = (), number: str | None = None, reason: str, default_country: str | None = None,
    runtime: Runtime | None = None,
) -> Erased:
    """Erase these leads, or all that have this number. Whoever is of one account erases what is of it.

    Raises InvalidValue, NotFound where nobody is found, Conflict while a call to one of them is in flight.
    """
    runtime = runtime or shared_runtime()
    if not reason.strip():
        raise InvalidValue("reason", reason, "say who asked for it")
    wanted = to_e164(number, default_country or runtime.settings.default_country) if number is not None else None
    now = runtime.clock.now()

    def work(connection: Connection) -> Erased:
        account_id = current_account()
        own = erasure.list_campaigns_of(connection, account_id) if account_id is not None else None
        found = set(lead_ids)
        if wanted is not None:
            found |= set(erasure.find_of_number(connection, wanted, campaign_ids=own))
        if not found and (wanted is None or own is not None):
            raise NotFound("lead with", "this number" if wanted is not None else "no id")
        if busy := erasure.list_in_flight(connection, found):
            raise Conflict(f"a call to lead {busy[0]} is in flight; erase the person when it has ended")
        numbers = erasure.erase_leads(connection, found, now) if found else set()
        numbers |= {wanted} if wanted is not None else set()
        barred = any(
            do_not_call.find_entry(connection, one, now) is not None for one in numbers if one.startswith("+")
        )
        erasure.erase_numbers(connection, numbers, campaign_ids=own)
        told = Happening("person_erased", current_actor(), reason=reason, details={"leads": sorted(found)[:100]})
        journal.add_events(connection, [told], now)
        return Erased(tuple(sorted(found)), barred)

    return runtime.database.transact(work)
