"""What whoever is bound to an account may choose for its campaigns: from a list that an admin of everything keeps.

Decided here: which settings are chosen from a list, and what stands for nothing listed. Not bound by it is who sees
everything. What must stay true: it is asked in the transaction that writes the campaign, whatever door the wish came
through; what a campaign has already may stay; a refusal names what would be allowed.

Nothing chosen is the installation's own choice, which is always allowed. Without a listed country a campaign calls
where the installation does; with one it must name its countries, all of them listed. A listed value that ends with *
allows what begins so, such as `sales,*` for the extensions of a context. The highest priority is 0 unless one is
listed: an account orders its own campaigns below that, and never before those of others.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from scheduler.errors import InvalidValue, NotAllowed, NotFound
from scheduler.model import AllowanceKind, Campaign, Happening
from scheduler.rules.phones import read_countries
from scheduler.rules.policy import PROVIDER_NAMES, read_call_settings
from scheduler.service.acting import current_account, current_actor
from scheduler.service.runtime import Runtime, shared_runtime
from scheduler.store import accounts, journal
from scheduler.store.database import Connection

Allowances = Mapping[AllowanceKind, Sequence[str]]
LONGEST, MOST, MOST_NAMED = 191, 1000, 20
FIELDS = {
    AllowanceKind.PROVIDER: "provider", AllowanceKind.GROUP: "group", AllowanceKind.PRIORITY: "priority",
    AllowanceKind.AGENT: "call_settings.agent_id", AllowanceKind.CALLER_ID: "call_settings.from_number",
    AllowanceKind.COUNTRY: "call_settings.allowed_countries",
}  # fmt: skip
_AGENT = re.compile(r"[!-~]([ -~]{0,126}[!-~])?")
_CALLER_ID = re.compile(r"\+[1-9][0-9]{1,14}\*?")


def require_allowed(connection: Connection, values: Mapping[str, Any], campaign: Campaign | None) -> None:
    """Raises NotAllowed where columns that are about to be written hold what the caller's account may not use."""
    account_id = current_account()
    if account_id is None:
        return
    before = _wanted({
        "provider": campaign.provider, "group_name": campaign.group, "priority": campaign.priority,
        "call_settings": campaign.settings,
    }) if campaign is not None else {}
    wanted = {kind: value for kind, value in _wanted(values).items() if value != before.get(kind)}
    if not wanted:
        return
    allowed = accounts.list_allowances(connection, account_id)
    for kind, value in wanted.items():
        listed = allowed.get(kind, [])
        if not _may(kind, value, listed):
            raise NotAllowed(FIELDS[kind], _shown(value), _right(kind, listed))


def _wanted(values: Mapping[str, Any]) -> dict[AllowanceKind, Any]:
    found: dict[AllowanceKind, Any] = {}
    for column, kind in (
        ("provider", AllowanceKind.PROVIDER), ("group_name", AllowanceKind.GROUP), ("priority", AllowanceKind.PRIORITY),
    ):
        if column in values:
            found[kind] = values[column]
    if "call_settings" in values:
        try:
            read = read_call_settings(values["call_settings"])
        except InvalidValue:
            return found  # of a campaign that somebody changed by SQL: whatever is chosen now is new
        found[AllowanceKind.AGENT], found[AllowanceKind.CALLER_ID] = read.agent_id, read.from_number
        found[AllowanceKind.COUNTRY] = read.countries
    return found


def _may(kind: AllowanceKind, value: Any, listed: Sequence[str]) -> bool:
    if kind is AllowanceKind.PRIORITY:
        return value is None or int(value) <= highest_priority(listed)
    if kind is AllowanceKind.COUNTRY:
        return not listed or (bool(value) and set(value) <= set(listed))
    return not value or any(
        value.startswith(one[:-1]) if one.endswith("*") else value == one for one in listed
    )


def highest_priority(listed: Collection[str]) -> int:
    return max((int(one) for one in listed), default=0)


def _right(kind: AllowanceKind, listed: Sequence[str]) -> str:
    if kind is AllowanceKind.PRIORITY:
        return f"write at most {highest_priority(listed)}: this account may use no higher one"
    named = ", ".join(listed[:MOST_NAMED]) + (", ..." if len(listed) > MOST_NAMED else "")
    if kind is AllowanceKind.COUNTRY:
        return f"name some of the countries that this account may use: {named}"
    if not listed:
        return "leave it out: nothing is listed that this account may use"
    return f"write one that this account may use, or leave it out: {named}"


def _shown(value: Any) -> Any:
    return ", ".join(value) if isinstance(value, tuple) else value


# --- the list -------------------------------------------------------------------------------------


def read_allowances(account_id: int, *, runtime: Runtime) -> dict[AllowanceKind, list[str]]:
    """What is listed for an account, of every kind, in order."""
    found = runtime.database.read(lambda connection: accounts.list_allowances(connection, account_id))
    return {kind: found.get(kind, []) for kind in AllowanceKind}


def set_allowances(
    key: str | int, wanted: Mapping[str, Sequence[str | int]], *, reason: str | None = None,
    runtime: Runtime | None = None,
) -> dict[AllowanceKind, list[str]]:
    """List what the keys of an account may use, in the place of what was listed of the kinds that are named.

    Returns what is listed now. Campaigns keep what they have. Raises NotFound, InvalidValue.
    """
    runtime = runtime or shared_runtime()
    read = {_kind(kind): _read(_kind(kind), values) for kind, values in wanted.items()}
    now = runtime.clock.now()

    def work(connection: Connection) -> dict[AllowanceKind, list[str]]:
        account = accounts.lock_account(connection, key)
        if account is None:
            raise NotFound("account", key)
        before = accounts.list_allowances(connection, account.id)
        for kind, values in read.items():
            gone = set(before.get(kind, ())) - set(values)
            new = [one for one in values if one not in before.get(kind, ())]
            accounts.change_allowances(connection, account.id, kind, gone, new, now)
            if gone or new:
                journal.add_events(connection, [Happening(
                    "account_allowed", current_actor(), reason=reason, details={
                        "account": account.code, "kind": kind.value, "added": new[:MOST_NAMED],
                        "taken": sorted(gone)[:MOST_NAMED],
                    },
                )], now)
        after = accounts.list_allowances(connection, account.id)
        return {kind: after.get(kind, []) for kind in AllowanceKind}

    return runtime.database.transact(work)


def change_allowances(
    key: str | int, *, add: Mapping[str, Sequence[str]] | None = None, take: Mapping[str, Sequence[str]] | None = None,
    reason: str | None = None, runtime: Runtime | None = None,
) -> dict[AllowanceKind, list[str]]:
    """The same, by what is added and what is taken away. Raises NotFound, InvalidValue."""
    runtime = runtime or shared_runtime()
    account = runtime.database.read(lambda connection: accounts.find_account(connection, key))
    if account is None:
        raise NotFound("account", key)
    known = read_allowances(account.id, runtime=runtime)
    wanted: dict[str, Sequence[str]] = {}
    for kind in AllowanceKind:
        more, less = (add or {}).get(kind, ()), (take or {}).get(kind, ())
        if kind is AllowanceKind.PRIORITY and more:
            wanted[kind] = more
        elif more or less:
            gone = set(_read(kind, less))
            wanted[kind] = [one for one in known[kind] if one not in gone] + list(more)
    return set_allowances(account.id, wanted, reason=reason, runtime=runtime)


def _kind(word: str) -> AllowanceKind:
    try:
        return AllowanceKind(word)
    except ValueError:
        raise InvalidValue("kind", word[:40], f"write {', '.join(AllowanceKind)}") from None


def _read(kind: AllowanceKind, values: Sequence[str | int]) -> list[str]:
    found = [_read_one(kind, str(one).strip()) for one in values]
    if len(found) > MOST:
        raise InvalidValue(kind, f"{len(found)} values", f"list at most {MOST}")
    if kind is AllowanceKind.PRIORITY and len(found) > 1:
        raise InvalidValue(kind, ", ".join(found), "write one number, the highest")
    return sorted(set(found))


def _read_one(kind: AllowanceKind, text: str) -> str:
    if kind is AllowanceKind.PROVIDER:
        if text not in PROVIDER_NAMES:
            raise InvalidValue(kind, text[:40], f"write {', '.join(PROVIDER_NAMES)}")
    elif kind is AllowanceKind.COUNTRY:
        return read_countries(text, kind)[0]
    elif kind is AllowanceKind.PRIORITY:
        if not re.fullmatch(r"-?[0-9]{1,9}", text):
            raise InvalidValue(kind, text[:40], "write a whole number of at most nine digits")
        return str(int(text))
    elif kind is AllowanceKind.CALLER_ID:
        if not _CALLER_ID.fullmatch(text):
            raise InvalidValue(kind, text[:40], "write a number like +56221234567, or its beginning with a * after it")
    elif kind is AllowanceKind.AGENT:
        if not _AGENT.fullmatch(text):
            raise InvalidValue(kind, text[:40], "write the agent as the provider names it; a * at its end means any")
    elif not 0 < len(text) <= 64:
        raise InvalidValue(kind, text[:40], "write 1 to 64 characters")
    return text
