"""Who pays: accounts made and changed by people, each in one transaction, and balances changed by SQL.

The same functions serve the command line and Python callers; a caller that brings no `runtime` works on
the database that the environment names. What must stay true: no balance changes without an entry that says
why, so the entries of an account add up to its balance at any time; each change by a person is in `events`
too. Setting aside and settling calls is not done here: dispatch and outcomes do it with the call itself.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from scheduler.errors import Conflict, InvalidValue, NotFound
from scheduler.model import Account, BillingType, EntryKind, Happening
from scheduler.rules.billing import LIMIT, Amount, read_amount, read_billing_type, read_credit_unit, read_terms
from scheduler.service.acting import current_actor
from scheduler.service.runtime import Runtime, shared_runtime
from scheduler.store import accounts, calls, journal
from scheduler.store.database import Connection, Database

TERMS = ("max_concurrent_calls", "price_per_minute", "reserve_per_call", "low_balance")
UNITS = ("credit_unit", "refused_unit")
PAGE = 100_000
PAGES = 20
"""Entries that are added up in one statement, and statements in one turn: about two seconds of work."""


# --- what people do -----------------------------------------------------------------------------


def create_account(
    name: str, *, code: str | None = None, billing_type: str = "unlimited", balance: Amount = 0,
    max_concurrent_calls: Amount | None = None, price_per_minute: Amount | None = None,
    reserve_per_call: Amount | None = None, low_balance: Amount | None = None, credit_unit: str | None = None,
    runtime: Runtime | None = None,
) -> str:
    """Create an account. Returns its code. What it begins with is its first entry, `opening`.

    `credit_unit` is what its credits are: `credits`, or a currency such as `usd`, for an account that pays what its
    provider says a call cost.

    Raises InvalidValue for a value that cannot be used, or that means nothing for this billing type.
    """
    runtime = runtime or shared_runtime()
    name = _read_name(name)
    if code is not None and not 0 < len(code.strip()) <= 64:
        raise InvalidValue("code", code[:40], "write 1 to 64 characters")
    billing = read_billing_type(billing_type)
    opening = read_amount("balance", balance, may_be_zero=True)
    if opening and billing is BillingType.UNLIMITED:
        raise InvalidValue("balance", str(balance), "leave it out, or choose the billing type minutes or credits")
    terms = read_terms(billing, {
        "max_concurrent_calls": max_concurrent_calls, "price_per_minute": price_per_minute,
        "reserve_per_call": reserve_per_call, "low_balance": low_balance,
    })  # fmt: skip
    unit = read_credit_unit(billing, credit_unit)
    now = runtime.clock.now()
    public = code.strip() if code else f"account-{now:%Y%m%d}-{uuid.uuid4().hex[:6]}"

    def work(connection: Connection) -> str:
        if accounts.find_account(connection, public) is not None:
            raise Conflict(f"there is an account {public} already")
        account_id = accounts.insert_account(connection, {
            "code": public, "name": name, "billing_type": billing.value, "created_at": now, "credit_unit": unit,
            **terms,
        })
        _record(connection, "account_created", public, now, reason=name, billing_type=billing.value, balance=opening)
        if opening:
            accounts.move(connection, account_id, EntryKind.OPENING, opening, None, current_actor(), now)
        return public

    return runtime.database.transact(work)


def top_up(key: str | int, amount: Amount, *, note: str | None = None, runtime: Runtime | None = None) -> Account:
    """Add minutes or credits. Returns the account as it is then. Leads that waited for it go on by themselves."""
    runtime = runtime or shared_runtime()
    added = read_amount("amount", amount)
    return _move(runtime, key, EntryKind.TOP_UP, added, note, "account_topped_up")


def adjust(key: str | int, amount: Amount, *, reason: str, runtime: Runtime | None = None) -> Account:
    """Put a balance right by a signed amount. Returns the account as it is then."""
    runtime = runtime or shared_runtime()
    moved = read_amount("amount", amount, may_be_negative=True)
    if not reason.strip():
        raise InvalidValue("reason", reason, "say why the balance is put right")
    return _move(runtime, key, EntryKind.ADJUST, moved, reason, "account_adjusted")


def edit_account(
    key: str | int, *, name: str | None = None, terms: Mapping[str, Amount | None] | None = None,
    runtime: Runtime | None = None,
) -> dict[str, object]:
    """Change the name, limits and prices of an account. Returns what was changed, as its columns have it.

    `terms` has values for some of `TERMS`, None takes one away, and for `credit_unit`. Calls in flight keep what was
    set aside for them. Raises Conflict where what its credits are would change under a balance or open calls.
    """
    runtime = runtime or shared_runtime()
    named = {} if name is None else {"name": _read_name(name)}
    now = runtime.clock.now()

    def work(connection: Connection) -> dict[str, object]:
        account = _lock(connection, key)
        before = {field: getattr(account, field) for field in ("name", *TERMS, *UNITS)}
        written = dict(terms or {})
        after: dict[str, object] = dict(named)
        if "credit_unit" in written:
            unit = read_credit_unit(account.billing, str(written.pop("credit_unit") or ""))
            if unit != account.unit and account.billing is BillingType.CREDITS:
                _must_be_empty(connection, account)
            after |= {"credit_unit": unit, "refused_unit": None}
        after |= read_terms(account.billing, {**_terms_of(account), **written})
        if after.get("price_per_minute") is not None:
            after["refused_unit"] = None
        changed = {field: value for field, value in after.items() if value != before[field]}
        if changed:
            accounts.change_account(connection, account.id, changed)
            reason = ", ".join(f"{field}: {before[field]} -> {value}" for field, value in changed.items())
            _record(connection, "account_changed", account.code, now, reason=reason)
        return changed

    return runtime.database.transact(work)


def close_account(key: str | int, *, reason: str | None = None, runtime: Runtime | None = None) -> None:
    """Let its campaigns make no further call; their leads wait. Calls in flight end, and are settled."""
    _set_status(runtime or shared_runtime(), key, "closed", reason)


def reopen_account(key: str | int, *, reason: str | None = None, runtime: Runtime | None = None) -> None:
    """Let the campaigns of a closed account go on."""
    _set_status(runtime or shared_runtime(), key, "active", reason)


# --- what people did by SQL ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stray:
    """A balance that somebody changed by SQL, and by how much."""

    account_id: int
    amount: Decimal


class BalanceWatch:
    """Finds balances that were changed by SQL, and writes the entries that they lack. One for each process.

    A turn costs as much as there are entries since the turn before last, not as much as there are entries;
    only the first adds up everything, in pages, and over several turns where that is very much. A balance
    that looks wrong is added up afresh under its lock before anything is written, so turns of several daemons
    at once, and entries that were committed late, do no harm.
    """

    def __init__(self, database: Database, *, page: int = PAGE, pages: int = PAGES) -> None:
        self._database = database
        self._page, self._pages = page, pages
        self._tally = accounts.Tally()
        self._up_to: int | None = None

    def run_once(self, now: datetime) -> list[Stray]:
        """One look, for about every minute."""
        newest = self._database.read(accounts.find_newest_entry)
        if not self._count_up_to(newest if self._up_to is None else self._up_to):
            return []
        # Counted next time: by then, what is being written beside the newest is committed.
        self._up_to = newest
        suspects = self._database.read(lambda connection: accounts.list_suspects(connection, self._tally))
        found = {account_id: self._complete(account_id, now) for account_id in suspects}
        # What was no stray was an entry that the tally had missed.
        self._tally = self._tally.corrected({one: suspects[one] - found[one] for one in suspects})
        return [Stray(account_id, amount) for account_id, amount in found.items() if amount]

    def _count_up_to(self, up_to: int) -> bool:
        """Count in what is older than the last look. False: it is too much for one turn."""
        for _ in range(self._pages):
            if self._tally.until >= up_to:
                return True
            self._tally = self._database.read(
                lambda connection: accounts.count_entries(connection, self._tally, up_to=up_to, most=self._page)
            )
        return self._tally.until >= up_to

    def _complete(self, account_id: int, now: datetime) -> Decimal:
        def work(connection: Connection) -> Decimal:
            amount = accounts.complete_entries(connection, account_id, now)
            if amount:
                code = accounts.read_accounts(connection, [account_id])[account_id].code
                _record(
                    connection, "balance_changed_by_sql", code, now, actor="sql", amount=amount,
                    reason=f"the balance was changed by SQL, {amount:+}; an entry was written for it",
                )
            return amount

        return self._database.transact(work)


# --- steps --------------------------------------------------------------------------------------


def _move(
    runtime: Runtime, key: str | int, kind: EntryKind, amount: Decimal, note: str | None, event: str
) -> Account:
    now = runtime.clock.now()

    def work(connection: Connection) -> Account:
        if amount < 0:
            calls.lock_capacity(connection)  # a take that is under way counts on what it has read
        account = _lock(connection, key)
        if not account.is_paying:
            raise Conflict(f"account {account.code} is unlimited: it has no balance")
        if account.status != "active" and kind is EntryKind.TOP_UP:
            raise Conflict(f"account {account.code} is closed; reopen it before topping it up")
        balance = account.balance + amount
        if abs(balance) >= LIMIT:
            raise InvalidValue("amount", f"{amount:f}", f"the balance would be {balance:f}; it must stay below {LIMIT}")
        _record(connection, event, account.code, now, reason=note, amount=amount, balance=balance)
        accounts.move(connection, account.id, kind, amount, note, current_actor(), now)
        return accounts.read_accounts(connection, [account.id])[account.id]

    return runtime.database.transact(work)


def _set_status(runtime: Runtime, key: str | int, to: str, reason: str | None) -> None:
    now = runtime.clock.now()

    def work(connection: Connection) -> None:
        calls.lock_capacity(connection)  # a take that is under way is waited for: none follows the close
        account = _lock(connection, key)
        if account.status == to:
            raise Conflict(f"account {account.code} is {to} already")
        accounts.change_account(connection, account.id, {"status": to})
        kind = "account_closed" if to == "closed" else "account_reopened"
        _record(connection, kind, account.code, now, reason=reason)

    runtime.database.transact(work)


def _lock(connection: Connection, key: str | int) -> Account:
    account = accounts.lock_account(connection, key)
    if account is None:
        raise NotFound("account", key)
    return account


def _must_be_empty(connection: Connection, account: Account) -> None:
    """An amount keeps the unit that it was written in, so none may be there when the unit changes."""
    if account.balance or calls.has_reserves(connection, account.id):
        raise Conflict(
            f"account {account.code} has {account.balance:f} {account.unit} left, or calls that are open; bring its "
            "balance to 0 first (`ringback accounts adjust`), and top it up in the other unit after the change"
        )


def _terms_of(account: Account) -> dict[str, Amount | None]:
    return {field: getattr(account, field) for field in TERMS}


def _read_name(text: str) -> str:
    name = text.strip()
    if not 0 < len(name) <= 255:
        raise InvalidValue("name", text[:40], "an account needs a name of 1 to 255 characters")
    return name


def _record(
    connection: Connection, kind: str, code: str, now: datetime, *, reason: str | None, actor: str | None = None,
    **details: object,
) -> None:
    words = {name: f"{value:f}" if isinstance(value, Decimal) else value for name, value in details.items()}
    journal.add_events(connection, [
        Happening(kind=kind, actor=actor or current_actor(), reason=reason, details={"account": code, **words})
    ], now)
