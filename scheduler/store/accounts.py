"""Accounts and the entries that their balances are made of.

What must stay true: a balance changes only together with its entry, in one transaction and by a relative
UPDATE, so that the sum of the entries is the balance in every committed state. Accounts are the last rows
that a transaction locks, in the order of their ids: whoever holds one waits for nothing more.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, String, func, or_, select, type_coerce, update

from scheduler.model import Account, BillingType, EntryKind
from scheduler.store.calls import cut
from scheduler.store.database import insert_rows
from scheduler.store.tables import account_entries, accounts

K = accounts.c

COLUMNS = (
    K.id, K.code, K.name, type_coerce(K.status, String), type_coerce(K.billing_type, String), K.balance,
    K.max_concurrent_calls, K.price_per_minute, K.reserve_per_call, K.low_balance,
)


@dataclass(frozen=True, slots=True)
class Reservation:
    """Set aside for one attempt. `amount` is positive."""

    account_id: int
    attempt_id: int
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Settlement:
    """The end of one attempt: what was set aside comes back, what it cost goes."""

    account_id: int
    attempt_id: int
    reserved: Decimal
    charge: Decimal
    note: str | None = None


def read_accounts(connection: Connection, ids: Collection[int]) -> dict[int, Account]:
    if not ids:
        return {}
    rows = connection.execute(select(*COLUMNS).where(K.id.in_(sorted(ids))))
    return {row[0]: _account(row) for row in rows}


def find_account(connection: Connection, key: str | int) -> Account | None:
    """By code, or by id."""
    of = K.code == str(key)
    if str(key).isdigit():
        of = or_(of, K.id == int(key))
    row = connection.execute(select(*COLUMNS).where(of).order_by((K.code == str(key)).desc()).limit(1)).first()
    return _account(row) if row else None


def reserve(connection: Connection, reservations: Sequence[Reservation], actor: str, now: datetime) -> None:
    """Set the expected cost of calls aside. The transaction's last locks."""
    _book(connection, [
        _entry(one.account_id, one.attempt_id, EntryKind.RESERVE, -one.amount, None, actor, now)
        for one in reservations
    ])


def settle(connection: Connection, settlements: Sequence[Settlement], actor: str, now: datetime) -> None:
    """Give back what was set aside and take what the calls cost. The transaction's last locks."""
    entries = []
    for one in settlements:
        entries.append(_entry(
            one.account_id, one.attempt_id, EntryKind.RELEASE, one.reserved, one.note, actor, now
        ))
        if one.charge:
            entries.append(_entry(
                one.account_id, one.attempt_id, EntryKind.CHARGE, -one.charge, one.note, actor, now
            ))
    _book(connection, entries)


def correct(
    connection: Connection, account_id: int, attempt_id: int, cost: Decimal, note: str, actor: str, now: datetime
) -> None:
    """Charge a call that was believed not to have been made."""
    _book(connection, [_entry(account_id, attempt_id, EntryKind.CHARGE, -cost, note, actor, now)])


def _entry(
    account_id: int, attempt_id: int | None, kind: EntryKind, amount: Decimal, note: str | None, actor: str,
    now: datetime,
) -> dict[str, Any]:
    return {
        "account_id": account_id, "attempt_id": attempt_id, "kind": kind.value, "amount": amount, "note": cut(note),
        "actor": actor, "at": now,
    }


def _book(connection: Connection, entries: Sequence[dict[str, Any]]) -> None:
    if not entries:
        return
    sums: dict[int, Decimal] = defaultdict(Decimal)
    for entry in entries:
        sums[entry["account_id"]] += entry["amount"]
    insert_rows(connection, account_entries, entries)
    for account_id, amount in sorted(sums.items()):
        # Rounded, because SQLite adds in binary and would drift away from the decimals.
        to = func.round(K.balance + amount, 4)
        connection.execute(update(accounts).where(K.id == account_id).values(balance=to))


def _account(row: Any) -> Account:
    (account_id, code, name, status, billing, *figures) = row
    return Account(account_id, code, name, status, BillingType(billing), *figures)
