from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal

import pytest
from sqlalchemy.exc import OperationalError

from scheduler.model import BillingType, EntryKind
from scheduler.store import accounts, tables
from scheduler.store.accounts import Reservation, Settlement, Tally
from scheduler.store.database import Connection, Database
from tests.conftest import NOON
from tests.factories import broken_promises, find, find_all, sql
from tests.waiting import BACKSTOP

mariadb_only = pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)


# --- reading ---------------------------------------------------------------------------------------------------


def test_an_account_is_read_as_its_columns_say(database):
    account_id = add_account(
        database, "acme", 100, billing_type="credits", max_concurrent_calls=5, price_per_minute="0.12", low_balance=10
    )

    found = database.read(lambda connection: accounts.read_accounts(connection, {account_id, 999}))

    assert list(found) == [account_id]
    account = found[account_id]
    assert (account.code, account.status, account.billing) == ("acme", "active", BillingType.CREDITS)
    assert (account.balance, account.price_per_minute, account.low_balance) == (100, Decimal("0.12"), 10)
    assert (account.max_concurrent_calls, account.reserve_per_call) == (5, None)


def test_an_account_is_found_by_its_code_before_another_ones_id(database):
    first = add_account(database, "acme")
    numbered = add_account(database, str(first))

    def find_id(key):
        found = database.read(lambda connection: accounts.find_account(connection, key))
        return found and found.id

    assert (find_id("acme"), find_id(str(first)), find_id(numbered)) == (first, numbered, numbered)
    assert (find_id("nobody"), find_id("²"), find_id(999)) == (None, None, None)


@mariadb_only
def test_a_locked_account_waits_for_whoever_holds_it(database):
    account_id = add_account(database, "acme", 10)

    with open_transaction(database) as one:
        assert accounts.lock_account(one, "acme").id == account_id
        with open_transaction(database) as other:
            other.exec_driver_sql("SET innodb_lock_wait_timeout = 1")
            with pytest.raises(OperationalError, match="Lock wait"):
                accounts.lock_account(other, account_id)
    assert database.transact(lambda connection: accounts.lock_account(connection, "nobody")) is None


# --- what moves a balance --------------------------------------------------------------------------------------


def test_what_is_set_aside_leaves_the_balance_and_comes_back_less_what_the_call_cost(database):
    account_id = add_account(database, "acme", 100)

    reserve(database, (account_id, 1, "10"), (account_id, 2, "10"))
    assert balance_of(database, account_id) == 80
    settle(database, (account_id, 1, "10", "1.5"), (account_id, 2, "10", "0"))

    assert balance_of(database, account_id) == Decimal("98.5")
    assert [(one.kind, one.attempt_id, one.amount) for one in entries_of(database, account_id)] == [
        ("opening", None, 100), ("reserve", 1, -10), ("reserve", 2, -10),
        ("release", 1, 10), ("charge", 1, Decimal("-1.5")), ("release", 2, 10),
    ]  # fmt: skip
    assert {(one.actor, one.at) for one in entries_of(database, account_id)[1:]} == {("daemon", NOON)}


def test_nothing_to_book_writes_nothing(database):
    account_id = add_account(database, "acme", 100)

    reserve(database)
    settle(database)

    assert len(entries_of(database, account_id)) == 1


def test_a_batch_books_each_account_by_itself(database):
    ids = [add_account(database, code, 100) for code in ("a", "b", "c")]

    reserve(database, *[(account_id, attempt, "1.25") for attempt, account_id in enumerate(ids * 2)])

    assert [balance_of(database, account_id) for account_id in ids] == [Decimal("97.5")] * 3
    assert_books_are_right(database)


def test_a_call_that_was_made_after_all_is_charged_when_that_is_learnt(database):
    account_id = add_account(database, "acme", 100)
    reserve(database, (account_id, 1, "10"))
    settle(database, (account_id, 1, "10", "0"))

    database.transact(lambda connection: accounts.correct(
        connection, account_id, 1, Decimal("2.5"), "a call after all", "daemon", NOON
    ))

    assert balance_of(database, account_id) == Decimal("97.5")
    assert entries_of(database, account_id)[-1].note == "a call after all"
    assert_books_are_right(database)


def test_a_note_that_is_too_long_is_shortened(database):
    account_id = add_account(database, "acme")

    move(database, account_id, "5", note="x" * 300)

    note = entries_of(database, account_id)[0].note
    assert len(note) == 255 and note.endswith("…")


def test_a_deleted_account_keeps_its_history_and_stops_no_other_one(database):
    gone, other = add_account(database, "gone", 100), add_account(database, "other", 100)
    reserve(database, (gone, 1, "10"), (other, 2, "10"))
    sql(database, "DELETE FROM accounts WHERE id = :id", id=gone)

    settle(database, (gone, 1, "10", "1"), (other, 2, "10", "1"))

    assert balance_of(database, other) == 99
    assert len(entries_of(database, gone)) == 4
    assert_books_are_right(database)


def test_many_small_amounts_add_up_to_the_last_place(database):
    account_id = add_account(database, "acme", "123456789.0001")
    for _ in range(20):
        reserve(database, *[(account_id, attempt, "0.1") for attempt in range(50)])
        settle(database, *[(account_id, attempt, "0.1", "0.0003") for attempt in range(50)])

    assert balance_of(database, account_id) == Decimal("123456788.7001")
    assert_books_are_right(database)


def test_calls_and_top_ups_at_once_lose_nothing(database):
    """Each thread books on its own connection, accounts in its own order; what is right at the end is arithmetic."""
    ids = [add_account(database, code, 1000) for code in ("a", "b", "c")]

    def call(number: int) -> None:
        chosen = random.Random(number).sample(ids, 3)
        for turn in range(10):
            attempt = number * 100 + turn
            reserve(database, *[(account_id, attempt, "7.5") for account_id in chosen])
            settle(database, *[(account_id, attempt, "7.5", "0.25") for account_id in chosen])

    def pay(number: int) -> None:
        for _ in range(10):
            move(database, ids[number % 3], "3.0001")

    run_at_once([lambda n=n: call(n) for n in range(4)] + [lambda n=n: pay(n) for n in range(3)])

    spent, paid = 4 * 10 * Decimal("0.25"), 10 * Decimal("3.0001")
    assert [balance_of(database, one) for one in ids] == [1000 - spent + paid] * 3
    assert_books_are_right(database)


@mariadb_only
def test_a_settlement_adds_to_the_balance_that_is_there_when_its_turn_comes(database):
    account_id = add_account(database, "acme", 100)
    reserve(database, (account_id, 1, "10"))
    begun = threading.Event()

    def settle_meanwhile(connection: Connection) -> None:
        accounts.read_accounts(connection, {account_id})
        begun.set()
        accounts.settle(connection, [Settlement(account_id, 1, Decimal(10), Decimal(1))], "daemon", NOON)

    with database.engine.connect() as other, other.begin():
        accounts.move(other, account_id, EntryKind.TOP_UP, Decimal(50), None, "cli", NOON)
        settling = threading.Thread(target=database.transact, args=(settle_meanwhile,))
        settling.start()
        assert begun.wait(BACKSTOP)
    settling.join(BACKSTOP)

    assert balance_of(database, account_id) == 149
    assert_books_are_right(database)


# --- balances that were changed by SQL -------------------------------------------------------------------------


def test_a_tally_counts_page_by_page_and_suspects_nobody_whose_entries_add_up(database):
    ids = [add_account(database, code, 100) for code in ("a", "b")]
    add_account(database, "empty")
    for attempt in range(5):
        reserve(database, *[(account_id, attempt, "0.1") for account_id in ids])
    newest = database.read(accounts.find_newest_entry)

    tally, pages = Tally(), 0
    while tally.until < newest:
        tally = count(database, tally, up_to=newest, most=5)
        pages += 1
        assert suspects(database, tally) == {}, "what is not counted yet is added up on the spot"

    assert pages == 3
    assert tally.sums == dict.fromkeys(ids, 995_000)


def test_a_tally_without_entries_suspects_whoever_has_a_balance(database):
    rich = add_account(database, "rich")
    sql(database, "UPDATE accounts SET balance = -5.5 WHERE id = :id", id=rich)

    assert database.read(accounts.find_newest_entry) == 0
    assert suspects(database, count(database, Tally(), up_to=0, most=5)) == {rich: Decimal("-5.5")}


@mariadb_only
def test_an_entry_that_is_committed_late_raises_a_suspicion_and_is_no_stray(database):
    account_id = add_account(database, "acme", 100)

    with database.engine.connect() as late, late.begin():
        late.exec_driver_sql(
            "INSERT INTO account_entries (account_id, attempt_id, kind, amount, actor)"
            " VALUES (%s, 1, 'reserve', -7, 'daemon')", (account_id,),
        )  # its id is given out; its balance and its commit follow
        move(database, account_id, "5")
        newest = database.read(accounts.find_newest_entry)
        tally = count(database, Tally(), up_to=newest, most=100)
        late.exec_driver_sql("UPDATE accounts SET balance = balance - 7 WHERE id = %s", (account_id,))

    assert suspects(database, tally) == {account_id: -7}
    assert complete(database, account_id) == 0
    assert suspects(database, tally.corrected({account_id: Decimal(-7)})) == {}


@pytest.mark.parametrize("amount", ["12.5", "-0.0001", "-250"])
def test_a_balance_changed_by_sql_gets_the_entry_that_it_lacks(database, amount):
    account_id = add_account(database, "acme", 100)
    sql(database, "UPDATE accounts SET balance = balance + :amount WHERE id = :id", amount=amount, id=account_id)

    assert complete(database, account_id) == Decimal(amount)

    entry = entries_of(database, account_id)[-1]
    assert (entry.kind, entry.amount, entry.note) == ("adjust", Decimal(amount), "balance changed by SQL")
    assert (entry.actor, entry.attempt_id, entry.at) == ("sql", None, NOON)
    assert balance_of(database, account_id) == 100 + Decimal(amount)
    assert_books_are_right(database)
    assert complete(database, account_id) == 0


def test_an_account_written_by_sql_with_a_balance_gets_an_entry_for_it(database):
    sql(database, "INSERT INTO accounts (code, name, billing_type, balance) VALUES ('x', 'X', 'minutes', 500)")
    account_id = find(database, tables.accounts, code="x").id

    assert complete(database, account_id) == 500

    assert [one.amount for one in entries_of(database, account_id)] == [500]
    assert complete(database, 999) == 0


def test_two_daemons_that_find_the_same_stray_write_one_entry(database):
    account_id = add_account(database, "acme", 100)
    sql(database, "UPDATE accounts SET balance = 130 WHERE id = :id", id=account_id)

    run_at_once([lambda: complete(database, account_id)] * 4)

    assert [one.amount for one in entries_of(database, account_id)] == [100, 30]


# --- what this file needs --------------------------------------------------------------------------------------


def add_account(database: Database, code: str, balance: str | int = 0, **columns) -> int:
    values = {"code": code, "name": code, "billing_type": "minutes", **columns}

    def work(connection: Connection) -> int:
        account_id = accounts.insert_account(connection, values)
        if balance:
            accounts.move(connection, account_id, EntryKind.OPENING, Decimal(balance), None, "test", NOON)
        return account_id

    return database.transact(work)


def reserve(database: Database, *reservations) -> None:
    made = [Reservation(account_id, attempt, Decimal(amount)) for account_id, attempt, amount in reservations]
    database.transact(lambda connection: accounts.reserve(connection, made, "daemon", NOON))


def settle(database: Database, *settlements) -> None:
    made = [Settlement(one, attempt, Decimal(aside), Decimal(taken)) for one, attempt, aside, taken in settlements]
    database.transact(lambda connection: accounts.settle(connection, made, "daemon", NOON))


def move(database: Database, account_id: int, amount: str, *, note: str | None = None) -> None:
    database.transact(lambda connection: accounts.move(
        connection, account_id, EntryKind.TOP_UP, Decimal(amount), note, "cli", NOON
    ))


def count(database: Database, tally: Tally, *, up_to: int, most: int) -> Tally:
    return database.read(lambda connection: accounts.count_entries(connection, tally, up_to=up_to, most=most))


def suspects(database: Database, tally: Tally) -> dict[int, Decimal]:
    return database.read(lambda connection: accounts.list_suspects(connection, tally))


def complete(database: Database, account_id: int) -> Decimal:
    return database.transact(lambda connection: accounts.complete_entries(connection, account_id, NOON))


def balance_of(database: Database, account_id: int) -> Decimal:
    return find(database, tables.accounts, id=account_id).balance


def entries_of(database: Database, account_id: int) -> list:
    return find_all(database, tables.account_entries, account_id=account_id)


def assert_books_are_right(database: Database) -> None:
    """By adding up the money, and by the promise that says so."""
    for account in find_all(database, tables.accounts):
        assert sum(one.amount for one in entries_of(database, account.id)) == account.balance
    assert "R18" not in broken_promises(database)


def run_at_once(works: list[Callable[[], object]]) -> None:
    """Each in a thread of its own; the first error of any is raised."""
    errors: list[BaseException] = []

    def guarded(work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(BACKSTOP)
    assert errors == []
    assert not any(thread.is_alive() for thread in threads)


@contextmanager
def open_transaction(database: Database) -> Iterator[Connection]:
    """A transaction on a connection of its own, left open until the end and then undone."""
    with database.engine.connect() as connection:
        transaction = connection.begin()
        try:
            yield connection
        finally:
            transaction.rollback()
            connection.invalidate()  # with whatever was set for the session
