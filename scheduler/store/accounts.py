"""Accounts and the entries that their balances are made of.

What must stay true: a balance changes only together with its entry, in one transaction and by a relative
UPDATE, so that the sum of the entries is the balance in every committed state. Accounts are the last rows
that a transaction locks, in the order of their ids: whoever holds one waits for nothing more. An entry says what the
account was kept in, which changes only while its balance is 0: so the entries of each unit add up by themselves.
Where somebody changed a balance by SQL the balance is right and the entries are completed. Sums are made in whole
ten-thousandths, because SQLite adds fractions in binary and would drift away from the decimals.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, String, delete, func, or_, select, type_coerce, update

from scheduler.model import CREDITS, Account, AllowanceKind, BillingType, EntryKind
from scheduler.store.calls import cut
from scheduler.store.database import insert_new, insert_or_ignore, insert_rows
from scheduler.store.tables import account_allowances, account_entries, accounts

E, K, L = account_entries.c, accounts.c, account_allowances.c

COLUMNS = (
    K.id, K.code, K.name, type_coerce(K.status, String), type_coerce(K.billing_type, String), K.balance,
    K.max_concurrent_calls, K.price_per_minute, K.reserve_per_call, K.low_balance, K.credit_unit, K.refused_unit,
)
PARTS = 10_000
"""Money has four places."""
PAYER = (E.account_id + 0).label("account_id")
"""An account to group new entries by. As a column alone it would make SQLite walk the index of all entries."""


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
    return {row[0]: to_account(row) for row in rows}


def list_all(connection: Connection, *only: ColumnElement[bool]) -> list[Account]:
    return [to_account(row) for row in connection.execute(select(*COLUMNS).where(*only).order_by(K.id))]


def find_account(connection: Connection, key: str | int) -> Account | None:
    """By code, or by id."""
    row = connection.execute(_by_key(key)).first()
    return to_account(row) if row else None


def lock_account(connection: Connection, key: str | int) -> Account | None:
    """By code or id, locked: its balance stays as it is read here until this is committed."""
    found = find_account(connection, key)
    if found is None:
        return None
    row = connection.execute(select(*COLUMNS).where(K.id == found.id).with_for_update()).first()
    return to_account(row) if row else None


def insert_account(connection: Connection, values: Mapping[str, Any]) -> int:
    """Write an account with nothing on it; what it begins with is its first entry. Raises Conflict for a code that
    is taken.
    """
    return insert_new(connection, accounts, values, "an account")


def change_account(connection: Connection, account_id: int, values: Mapping[str, Any]) -> None:
    connection.execute(update(accounts).where(K.id == account_id).values(**values))


def refuse_units(connection: Connection, units: Mapping[int, str]) -> None:
    """Keep in what unit a provider charged these accounts, that they are not kept in. The transaction's last locks."""
    for account_id, unit in sorted(units.items()):
        connection.execute(
            update(accounts).where(K.id == account_id, K.refused_unit.is_(None)).values(refused_unit=unit)
        )


# --- what moves a balance -----------------------------------------------------------------------


def list_allowances(connection: Connection, account_id: int) -> dict[AllowanceKind, list[str]]:
    """What its keys may use, by kind. A kind that somebody made up by SQL allows nothing."""
    rows = connection.execute(
        select(L.kind, L.value).where(L.account_id == account_id).order_by(L.kind, L.value)
    )
    found: dict[AllowanceKind, list[str]] = {}
    for row in rows:
        if row.kind in set(AllowanceKind) and (row.kind != AllowanceKind.PRIORITY or _is_whole(row.value)):
            found.setdefault(AllowanceKind(row.kind), []).append(row.value)
    return found


def _is_whole(text: str) -> bool:
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdecimal() and len(digits) < 10


def change_allowances(
    connection: Connection, account_id: int, kind: AllowanceKind, gone: Collection[str], new: Sequence[str],
    now: datetime,
) -> None:
    if gone:
        connection.execute(delete(account_allowances).where(
            L.account_id == account_id, L.kind == kind.value, L.value.in_(sorted(gone))
        ))
    for value in new:
        connection.execute(insert_or_ignore(account_allowances).values(
            account_id=account_id, kind=kind.value, value=value, created_at=now
        ))


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
    """Charge what became known later of a call. `note`: `late_price`, `late_call`, `second_call`."""
    _book(connection, [_entry(account_id, attempt_id, EntryKind.CHARGE, -cost, note, actor, now)])


def move(
    connection: Connection, account_id: int, kind: EntryKind, amount: Decimal, note: str | None, actor: str,
    now: datetime,
) -> None:
    """Change the balance by hand: what it begins with, a top-up, an adjustment."""
    _book(connection, [_entry(account_id, None, kind, amount, note, actor, now)])


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
    units = {one.id: one.unit for one in read_accounts(connection, sums).values()}
    insert_rows(connection, account_entries, [
        {**entry, "unit": units.get(entry["account_id"], CREDITS)} for entry in entries
    ])
    for account_id, amount in sorted(sums.items()):
        # An account that somebody deleted meanwhile has no balance to keep; its entries stay as history.
        to = func.round(K.balance + amount, 4)
        connection.execute(update(accounts).where(K.id == account_id).values(balance=to))


# --- balances that were changed by SQL ----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tally:
    """What the entries up to the id `until` add up to, in ten-thousandths by account.

    Kept between two looks, so that a look adds up only what is new. Ids are given out before a commit, so an
    entry may appear below `until` when it was counted already: a tally raises a suspicion and proves nothing.
    """

    until: int = 0
    sums: Mapping[int, int] = field(default_factory=dict)

    def corrected(self, amounts: Mapping[int, Decimal]) -> Tally:
        """With what it had missed."""
        sums = dict(self.sums)
        for account_id, amount in amounts.items():
            sums[account_id] = sums.get(account_id, 0) + int(amount * PARTS)
        return Tally(self.until, sums)


def find_newest_entry(connection: Connection) -> int:
    return connection.execute(select(func.max(E.id))).scalar() or 0


def count_entries(connection: Connection, tally: Tally, *, up_to: int, most: int) -> Tally:
    """The tally with the next entries counted in: at most `most` of them, and none behind the id `up_to`."""
    new = (E.id > tally.until, E.id <= up_to)
    last = connection.execute(select(E.id).where(*new).order_by(E.id).limit(1).offset(most - 1)).scalar() or up_to
    rows = connection.execute(
        select(PAYER, func.sum(_parts(E.amount))).where(*new, E.id <= last).group_by(PAYER)
    )
    sums = dict(tally.sums)
    for account_id, total in rows:
        sums[account_id] = sums.get(account_id, 0) + int(total)
    return Tally(max(last, tally.until), sums)


def list_suspects(connection: Connection, tally: Tally) -> dict[int, Decimal]:
    """Balances that differ from the tally and the entries since, and by how much. One statement, one snapshot."""
    since = (
        select(PAYER, func.sum(_parts(E.amount)).label("total"))
        .where(E.id > tally.until)
        .group_by(PAYER)
        .subquery()
    )
    rows = connection.execute(
        select(K.id, _parts(K.balance), func.coalesce(since.c.total, 0)).outerjoin(since, since.c.account_id == K.id)
    )
    differences = {
        account_id: int(balance) - tally.sums.get(account_id, 0) - int(total) for account_id, balance, total in rows
    }
    return {account_id: Decimal(parts) / PARTS for account_id, parts in differences.items() if parts}


def complete_entries(connection: Connection, account_id: int, now: datetime) -> Decimal:
    """Write down what somebody added to a balance by SQL, or took from it. Returns it; 0: nothing of the kind.

    Adds up every entry of the account under its lock, which is proof. The balance stays as it is.
    """
    balance = connection.execute(select(_parts(K.balance)).where(K.id == account_id).with_for_update()).scalar()
    if balance is None:
        return Decimal(0)
    unit = read_accounts(connection, [account_id])[account_id].unit
    total = connection.execute(select(func.sum(_parts(E.amount))).where(E.account_id == account_id)).scalar()
    amount = Decimal(int(balance) - int(total or 0)) / PARTS
    if amount:
        insert_rows(connection, account_entries, [
            {**_entry(account_id, None, EntryKind.ADJUST, amount, "balance changed by SQL", "sql", now), "unit": unit}
        ])
    return amount


def _parts(column: ColumnElement[Any]) -> Any:
    return func.round(column * PARTS)


# --- rows as values -----------------------------------------------------------------------------


def _by_key(key: str | int) -> Select[Any]:
    text = str(key)
    of = K.code == text
    if text.isascii() and text.isdigit() and len(text) < 19:
        of = or_(of, K.id == int(text))
    return select(*COLUMNS).where(of).order_by((K.code == text).desc()).limit(1)


def to_account(row: Any) -> Account:
    (account_id, code, name, status, billing, *figures) = row
    if billing in _BILLING:
        return Account(account_id, code, name, status, BillingType(billing), *figures)
    # What a server without strict mode makes of a word that it does not know.
    return replace(Account(account_id, code, name, status, BillingType.CREDITS, *figures), odd_billing=billing)


_BILLING = {one.value for one in BillingType}
