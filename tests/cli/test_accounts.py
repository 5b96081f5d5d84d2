"""`ringback accounts`."""

from __future__ import annotations

from decimal import Decimal

import pytest

from scheduler.store import tables
from scheduler.store.database import Database
from tests.cli.conftest import Ringback
from tests.conftest import on_every_engine
from tests.factories import add_campaign, find, find_all


def test_create_prints_the_code_and_show_what_it_was_given(ringback: Ringback) -> None:
    made = ringback.json(
        "accounts", "create", "Acme Ltd", "--code", "acme", "--billing-type", "credits", "--balance", "100.5",
        "--max-concurrent-calls", 5, "--price-per-minute", "0.12", "--reserve-per-call", 2, "--low-balance", 10,
    )  # fmt: skip

    assert made == {"code": "acme"}
    shown = ringback.json("accounts", "show", "acme")
    assert {name: shown[name] for name in ("name", "status", "billing_type", "max_concurrent_calls")} == {
        "name": "Acme Ltd", "status": "active", "billing_type": "credits", "max_concurrent_calls": 5,
    }  # fmt: skip
    money = ("balance", "set_aside", "spent", "price_per_minute", "reserve_per_call", "low_balance")
    assert [shown[name] for name in money] == ["100.5000", "0.0000", "0.0000", "0.1200", "2.0000", "10.0000"]
    assert [(one["kind"], one["amount"]) for one in shown["entries"]] == [("opening", "100.5000")]


def test_an_account_made_without_a_code_is_named(ringback: Ringback) -> None:
    code = ringback.ok("accounts", "create", "Free").strip()

    (row,) = ringback.json("accounts", "list")
    assert (row["code"], row["billing_type"], row["balance"]) == (code, "unlimited", "0.0000")


@on_every_engine
def test_money_put_in_and_put_right_adds_up_to_the_balance(ringback: Ringback) -> None:
    create(ringback, "--balance", 100)

    said = ringback.ok("accounts", "top-up", "acme", "12.5", "--note", "invoice 1027")
    assert said == "account acme has 112.5000 minutes now\n"
    said = ringback.ok("accounts", "adjust", "acme", "-0.0001", "--reason", "a call charged twice")
    assert said == "account acme has 112.4999 minutes now\n"

    shown = ringback.json("accounts", "show", "acme")
    assert shown["balance"] == "112.4999"
    assert sum(Decimal(one["amount"]) for one in shown["entries"]) == Decimal("112.4999")
    assert [one["note"] for one in shown["entries"]] == ["a call charged twice", "invoice 1027", None]
    assert [one["kind"] for one in ringback.json("accounts", "show", "acme", "--limit", 1)["entries"]] == ["adjust"]


@pytest.mark.parametrize("amount", ["0", "NaN", "1e999", "-5", "-NaN", "ten", ""])
def test_an_amount_that_is_none_is_one_sentence_and_changes_nothing(
    ringback: Ringback, database: Database, amount: str
) -> None:
    create(ringback, "--balance", 100)

    said = ringback.refused("accounts", "top-up", "acme", amount)

    assert said.startswith(f"amount: {amount!r} cannot be used; write a plain number above 0")
    assert find(database, tables.accounts, code="acme").balance == 100
    assert len(find_all(database, tables.account_entries)) == 1


def test_a_decimal_comma_is_answered_with_what_to_write(ringback: Ringback) -> None:
    create(ringback)

    assert ringback.refused("accounts", "top-up", "acme", "12,5") == "amount: '12,5' cannot be used; write 12.5"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--billing-type", "minutes", "--balance", "-5"), "balance: '-5' cannot be used"),
        (("--billing-type", "credits"), "credits need a price_per_minute, or a reserve_per_call"),
        (("--balance", "5"), "balance: '5' cannot be used; leave it out, or choose"),
        (("--max-concurrent-calls", "0"), "max_concurrent_calls: '0' cannot be used; write a whole number from 1"),
        (("--billing-type", "minutes", "--low-balance", "inf"), "low_balance: 'inf' cannot be used"),
        (("--code", ""), "code: '' cannot be used; write 1 to 64 characters"),
    ],
)
def test_an_account_that_makes_no_sense_is_refused_by_field(
    ringback: Ringback, database: Database, options: tuple[str, ...], says: str
) -> None:
    assert says in ringback.refused("accounts", "create", "Acme", *options)
    assert find_all(database, tables.accounts) == []


def test_an_unknown_billing_type_is_misuse(ringback: Ringback) -> None:
    done = ringback("accounts", "create", "Acme", "--billing-type", "gold")

    assert done.exit_code == 2
    assert "'unlimited', 'minutes', 'credits'" in done.stderr


@on_every_engine
def test_list_shows_the_newest_first_and_not_more_than_asked(ringback: Ringback) -> None:
    for code in ("one", "two", "three"):
        ringback.ok("accounts", "create", code, "--code", code)
    ringback.ok("accounts", "close", "two")

    assert [one["code"] for one in ringback.json("accounts", "list")] == ["three", "two", "one"]
    assert [one["code"] for one in ringback.json("accounts", "list", "--status", "closed")] == ["two"]
    done = ringback("accounts", "list", "--limit", 2)
    assert "one" not in done.stdout.split()
    assert "these are 2 accounts, and there are more" in done.stderr


def test_show_is_for_people_too(ringback: Ringback, database: Database) -> None:
    create(ringback, "--balance", 100)
    add_campaign(database, "spring", account_id=find(database, tables.accounts, code="acme").id)

    said = ringback.ok("accounts", "show", "acme")

    for word in ("acme", "minutes", "100.0000", "spring", "opening"):
        assert word in said.split()


def test_edit_changes_what_is_given_and_takes_away_with_none(ringback: Ringback) -> None:
    create(ringback, "--low-balance", 10, "--max-concurrent-calls", 5)

    said = ringback.ok("accounts", "edit", "acme", "--low-balance", "none", "--max-concurrent-calls", 7)

    assert sorted(said.splitlines()) == ["low_balance: none", "max_concurrent_calls: 7"]
    shown = ringback.json("accounts", "show", "acme")
    assert (shown["low_balance"], shown["max_concurrent_calls"], shown["name"]) == (None, 7, "Acme")
    assert ringback("accounts", "edit", "acme").exit_code == 2
    assert "it was so already" in ringback("accounts", "edit", "acme", "--name", "Acme").stderr
    assert "price_per_minute" in ringback.refused("accounts", "edit", "acme", "--price-per-minute", "2")


def test_close_and_reopen(ringback: Ringback) -> None:
    create(ringback)

    assert "leads that it pays for wait" in ringback.ok("accounts", "close", "acme", "--reason", "contract ended")
    assert ringback.refused("accounts", "close", "acme") == "account acme is closed already"
    assert "reopen it before topping it up" in ringback.refused("accounts", "top-up", "acme", "5")
    ringback.ok("accounts", "reopen", "acme")

    assert ringback.json("accounts", "show", "acme")["status"] == "active"


@pytest.mark.parametrize(
    "arguments",
    [("show", "nobody"), ("top-up", "nobody", "5"), ("adjust", "nobody", "5", "--reason", "x"), ("close", "nobody"),
     ("reopen", "nobody"), ("edit", "nobody", "--name", "x")],
)  # fmt: skip
def test_an_account_that_is_not_there_is_named(ringback: Ringback, arguments: tuple[str, ...]) -> None:
    assert ringback.refused("accounts", *arguments) == "there is no account nobody"


def create(ringback: Ringback, *options: object) -> None:
    ringback.ok("accounts", "create", "Acme", "--code", "acme", "--billing-type", "minutes", *options)


@on_every_engine
def test_what_an_account_may_use_is_listed_and_taken_away(ringback: Ringback, database: Database) -> None:
    ringback.ok("accounts", "create", "Acme", "--code", "acme")
    listed = ringback.json(
        "accounts", "allow", "acme", "--agent", "sales,*", "--agent", "a", "--country", "cl", "--priority", 5
    )

    assert listed == {
        "provider": [], "agent": ["a", "sales,*"], "caller_id": [], "country": ["CL"], "group": [], "priority": ["5"],
    }  # fmt: skip
    assert ringback.json("accounts", "disallow", "acme", "--agent", "a", "--country", "CL")["agent"] == ["sales,*"]
    assert ringback.json("accounts", "allow", "acme", "--priority", 1)["priority"] == ["1"]
    assert "sales,*" in ringback.ok("accounts", "allow", "acme")
    assert "write a number like +56221234567" in ringback.refused("accounts", "allow", "acme", "--caller-id", "12")
    assert "there is no account nobody" in ringback.refused("accounts", "allow", "nobody")
    assert len(find_all(database, tables.account_allowances)) == 2
