from __future__ import annotations

from decimal import Decimal

import pytest

from scheduler.errors import Conflict, InvalidValue, NotFound
from scheduler.model import Outcome
from scheduler.service import accounts
from scheduler.service.accounts import BalanceWatch, Stray
from scheduler.service.alerts import list_alerts
from scheduler.store import tables
from tests.conftest import NOON, sqlite_suffices
from tests.factories import (
    MINUTE,
    Station,
    add_campaign,
    add_due_lead,
    attempt_of,
    attempts_of,
    broken_promises,
    call_of,
    chilean,
    events_of,
    find,
    find_all,
    refused,
    sql,
)

# --- making and filling ----------------------------------------------------------------------------------------


def test_an_account_begins_with_its_balance_as_its_first_entry(runtime, database):
    code = accounts.create_account(
        " Acme Ltd ", code="acme", billing_type="credits", balance="100.5", max_concurrent_calls=5,
        price_per_minute="0.12", low_balance=10, runtime=runtime,
    )

    account = account_of(database, code)
    assert (account.name, account.status, account.billing_type) == ("Acme Ltd", "active", "credits")
    assert (account.balance, account.price_per_minute, account.low_balance) == (Decimal("100.5"), Decimal("0.12"), 10)
    assert (account.max_concurrent_calls, account.reserve_per_call) == (5, None)
    (entry,) = entries_of(database, "acme")
    assert (entry.kind, entry.amount, entry.actor, entry.at) == ("opening", Decimal("100.5"), "cli", NOON)
    (event,) = events_of(database, "account_created")
    assert (event.actor, event.details["account"], event.details["balance"]) == ("cli", "acme", "100.5000")
    assert broken_promises(database) == {}


def test_an_account_without_a_code_is_given_one_and_without_a_balance_has_no_entry(runtime, database):
    code = accounts.create_account("Free", runtime=runtime)

    assert code.startswith("account-20261120-")
    assert (account_of(database, code).billing_type, entries_of(database, code)) == ("unlimited", [])


@sqlite_suffices
@pytest.mark.parametrize(
    "values, field",
    [
        ({"name": " "}, "name"),
        ({"name": "x" * 256}, "name"),
        ({"code": ""}, "code"),
        ({"code": "x" * 65}, "code"),
        ({"billing_type": "gold"}, "billing_type"),
        ({"billing_type": "minutes", "balance": "-5"}, "balance"),
        ({"billing_type": "minutes", "balance": "NaN"}, "balance"),
        ({"balance": "5"}, "balance"),
        ({"low_balance": "5"}, "low_balance"),
        ({"billing_type": "credits"}, "price_per_minute"),
        ({"billing_type": "minutes", "max_concurrent_calls": "many"}, "max_concurrent_calls"),
    ],
)
def test_an_account_that_makes_no_sense_is_refused_by_field_and_not_written(runtime, database, values, field):
    with pytest.raises(InvalidValue) as error:
        accounts.create_account(**{"name": "Acme", **values}, runtime=runtime)

    assert error.value.field == field
    assert find_all(database, tables.accounts) == find_all(database, tables.events) == []


def test_a_code_is_used_once(runtime):
    accounts.create_account("Acme", code="acme", runtime=runtime)

    with pytest.raises(Conflict, match="there is an account acme already"):
        accounts.create_account("Another", code="acme", runtime=runtime)


def test_a_top_up_is_an_entry_with_its_note_and_an_event(runtime, database):
    create(runtime, balance=10)

    after = accounts.top_up("acme", "12.5", note="invoice 1027", runtime=runtime)

    assert (after.code, after.balance) == ("acme", Decimal("22.5"))
    entry = entries_of(database, "acme")[-1]
    assert (entry.kind, entry.amount, entry.note, entry.actor) == ("top_up", Decimal("12.5"), "invoice 1027", "cli")
    (event,) = events_of(database, "account_topped_up")
    assert (event.reason, event.details) == (
        "invoice 1027", {"account": "acme", "amount": "12.5000", "balance": "22.5000"},
    )  # fmt: skip
    assert broken_promises(database) == {}


@sqlite_suffices
@pytest.mark.parametrize("amount", ["0", "NaN", "1e999", "-5", "12,5", "", "1000000000"])
def test_an_amount_that_is_none_is_refused_and_nothing_moves(runtime, database, amount):
    create(runtime, balance=10)

    with pytest.raises(InvalidValue, match=r"^amount: "):
        accounts.top_up("acme", amount, runtime=runtime)

    assert (account_of(database, "acme").balance, len(entries_of(database, "acme"))) == (10, 1)


def test_a_balance_never_grows_beyond_what_its_column_holds(runtime, database):
    create(runtime, balance="999999999")

    with pytest.raises(InvalidValue, match=r"the balance would be 1000000000\.0000; it must stay below 1000000000"):
        accounts.top_up("acme", "1", runtime=runtime)
    assert accounts.top_up("acme", "0.9999", runtime=runtime).balance == Decimal("999999999.9999")


def test_an_adjustment_may_take_away_and_says_why(runtime, database):
    create(runtime, balance=10)

    assert accounts.adjust("acme", "-12.5", reason="charged twice", runtime=runtime).balance == Decimal("-2.5")
    with pytest.raises(InvalidValue, match=r"^reason: "):
        accounts.adjust("acme", "1", reason=" ", runtime=runtime)

    entry = entries_of(database, "acme")[-1]
    assert (entry.kind, entry.amount, entry.note) == ("adjust", Decimal("-12.5"), "charged twice")
    assert [one.reason for one in events_of(database, "account_adjusted")] == ["charged twice"]


def test_only_open_accounts_with_a_balance_are_topped_up(runtime):
    create(runtime, balance=10)
    accounts.create_account("Free", code="free", runtime=runtime)
    accounts.close_account("acme", runtime=runtime)

    with pytest.raises(Conflict, match="account acme is closed; reopen it"):
        accounts.top_up("acme", "5", runtime=runtime)
    with pytest.raises(Conflict, match="account free is unlimited: it has no balance"):
        accounts.top_up("free", "5", runtime=runtime)
    with pytest.raises(NotFound, match="there is no account nobody"):
        accounts.top_up("nobody", "5", runtime=runtime)


# --- changing --------------------------------------------------------------------------------------------------


def test_limits_and_prices_are_changed_and_taken_away(runtime, database):
    create(runtime, billing_type="credits", price_per_minute="0.12", max_concurrent_calls=5)

    changed = accounts.edit_account(
        "acme", name="Acme SA", terms={"price_per_minute": "0.14", "max_concurrent_calls": None}, runtime=runtime
    )

    assert changed == {"name": "Acme SA", "price_per_minute": Decimal("0.14"), "max_concurrent_calls": None}
    account = account_of(database, "acme")
    assert (account.name, account.price_per_minute, account.max_concurrent_calls) == ("Acme SA", Decimal("0.14"), None)
    (event,) = events_of(database, "account_changed")
    assert "price_per_minute: 0.1200 -> 0.1400" in event.reason


def test_an_edit_that_changes_nothing_writes_nothing(runtime, database):
    create(runtime, low_balance="10")

    assert accounts.edit_account("acme", name="Acme", terms={"low_balance": "10.0"}, runtime=runtime) == {}

    assert events_of(database, "account_changed") == []


def test_an_edit_leaves_an_account_that_makes_sense(runtime):
    create(runtime, billing_type="credits", price_per_minute="0.12")

    with pytest.raises(InvalidValue, match="credits need a price_per_minute"):
        accounts.edit_account("acme", terms={"price_per_minute": None}, runtime=runtime)
    with pytest.raises(NotFound):
        accounts.edit_account("nobody", name="x", runtime=runtime)


def test_an_account_is_closed_and_reopened_with_a_trace(runtime, database):
    create(runtime)

    accounts.close_account("acme", reason="contract ended", runtime=runtime)
    with pytest.raises(Conflict, match="account acme is closed already"):
        accounts.close_account("acme", runtime=runtime)
    assert account_of(database, "acme").status == "closed"
    accounts.reopen_account("acme", runtime=runtime)
    with pytest.raises(Conflict, match="account acme is active already"):
        accounts.reopen_account("acme", runtime=runtime)

    assert account_of(database, "acme").status == "active"
    assert [one.reason for one in events_of(database, "account_closed")] == ["contract ended"]
    assert len(events_of(database, "account_reopened")) == 1


# --- calls that somebody pays for ------------------------------------------------------------------------------


def test_leads_of_several_campaigns_wait_for_a_top_up_and_spend_no_attempt_meanwhile(runtime, database, clock):
    create(runtime, balance=15)  # a call may last 10 minutes
    first, second = (lead_of_account(database, "acme") for _ in range(2))
    station = Station(runtime)

    station.dispatch_until_quiet()
    assert [len(attempts_of(database, lead_id)) for lead_id in (first, second)] == [1, 0]
    assert (call_of(database, second).status, call_of(database, second).attempt_number) == ("pending", 1)
    accounts.top_up("acme", "10", runtime=runtime)
    clock.advance(MINUTE)
    station.dispatch_until_quiet()

    assert [len(attempts_of(database, lead_id)) for lead_id in (first, second)] == [1, 1]
    assert account_of(database, "acme").balance == 5
    assert broken_promises(database) == {}


@sqlite_suffices
@pytest.mark.parametrize(
    "terms, report, balance",
    [
        ({"billing_type": "minutes"}, {"talk_seconds": 90}, "98.5"),
        ({"billing_type": "minutes"}, {}, "100"),
        ({"billing_type": "credits", "price_per_minute": "0.1"},
         {"talk_seconds": 100, "cost": Decimal(7), "cost_unit": "usd"}, "99.8333"),
        ({"billing_type": "credits", "reserve_per_call": "3"}, {"cost": Decimal(7), "cost_unit": "credits"}, "93"),
        ({"billing_type": "credits", "reserve_per_call": "3", "credit_unit": "eur"},
         {"cost": Decimal(7), "cost_unit": "eur"}, "93"),
        ({"billing_type": "credits", "reserve_per_call": "3"}, {"talk_seconds": 100}, "100"),
    ],
)
def test_at_its_end_a_call_costs_what_the_account_says(runtime, database, clock, terms, report, balance):
    create(runtime, **{"balance": 100, **terms})
    number = chilean()
    lead_id = lead_of_account(database, "acme", number)
    station = Station(runtime)
    station.provider.ends(number, Outcome.COMPLETED, **report)

    station.dispatch()
    set_aside = attempt_of(database, lead_id).reserved
    assert account_of(database, "acme").balance == 100 - set_aside < 100
    clock.advance(attempt_of(database, lead_id).next_poll_at - NOON)
    station.follow()

    assert attempt_of(database, lead_id).state == "ended"
    assert account_of(database, "acme").balance == Decimal(balance)
    assert sum(one.amount for one in entries_of(database, "acme")) == Decimal(balance)
    assert broken_promises(database) == {}


@sqlite_suffices
@pytest.mark.parametrize(
    "report, says", [({"answered_at": NOON}, True), ({"answered_at": NOON, "talk_seconds": 9}, False), ({}, False)]
)
def test_an_answered_call_whose_length_nobody_told_is_charged_nothing_and_shown(runtime, database, clock, report, says):
    create(runtime, balance=100)
    number = chilean()
    lead_id = lead_of_account(database, "acme", number)
    station = Station(runtime)
    station.provider.ends(number, Outcome.COMPLETED, **report)
    station.dispatch()
    clock.advance(attempt_of(database, lead_id).next_poll_at - NOON)
    station.follow()

    found = [one.reason for one in events_of(database, "uncosted")]
    assert [("acme" in one and "nothing" in one) for one in found] == ([True] if says else [])
def test_a_cost_in_another_unit_takes_nothing_stops_the_account_and_is_said(runtime, database, clock):
    create(runtime, billing_type="credits", reserve_per_call="3", balance=100)
    first, second = chilean(), chilean()
    lead_id = lead_of_account(database, "acme", first)
    station = Station(runtime)
    station.provider.ends(first, Outcome.NO_ANSWER, cost=Decimal("9.76"), cost_unit="usd")
    station.dispatch()
    clock.advance(attempt_of(database, lead_id).next_poll_at - NOON)
    station.follow()
    later = lead_of_account(database, "acme", second)
    station.dispatch()

    assert (account_of(database, "acme").balance, account_of(database, "acme").refused_unit) == (100, "usd")
    assert [(one.attempt_id, one.details["unit"]) for one in events_of(database, "uncharged")] == [
        (attempt_of(database, lead_id).id, "usd")
    ]
    assert attempts_of(database, later) == []
    assert any("charges in usd" in one.sentence for one in list_alerts(runtime=runtime))
    assert broken_promises(database) == {}

    accounts.edit_account("acme", terms={"price_per_minute": "0.5"}, runtime=runtime)
    station.dispatch()
    assert len(attempts_of(database, later)) == 1


@pytest.mark.parametrize(("unit", "dials"), [("usd", 0), ("credits", 1), (None, 1)])
def test_a_provider_that_is_known_to_charge_in_another_unit_is_never_dialed_on_credit(runtime, database, unit, dials):
    create(runtime, billing_type="credits", reserve_per_call="3", balance=100)
    lead_id = lead_of_account(database, "acme")
    station = Station(runtime)
    station.provider.cost_unit = unit

    station.dispatch()

    assert len(attempts_of(database, lead_id)) == dials
    assert account_of(database, "acme").refused_unit == (None if dials else "usd")


def test_a_ledger_of_two_currencies_is_never_added_up(runtime, database):
    create(runtime, billing_type="credits", reserve_per_call="3", balance=100)
    with pytest.raises(Conflict, match="credits left"):
        accounts.edit_account("acme", terms={"credit_unit": "usd"}, runtime=runtime)
    accounts.adjust("acme", "-100", reason="moved to dollars", runtime=runtime)
    accounts.edit_account("acme", terms={"credit_unit": "USD"}, runtime=runtime)
    accounts.top_up("acme", "40", runtime=runtime)

    assert [(one.amount, one.unit) for one in entries_of(database, "acme")] == [
        (100, "credits"), (-100, "credits"), (40, "usd"),
    ]  # fmt: skip
    assert broken_promises(database) == {}
    sql(database, "UPDATE accounts SET credit_unit = 'eur'")
    assert list(broken_promises(database)) == ["R22"]


def test_a_call_that_was_refused_costs_nothing(runtime, database):
    create(runtime, balance=100)
    number = chilean()
    lead_of_account(database, "acme", number)
    station = Station(runtime)
    station.provider.answers(number, refused())

    station.dispatch()

    assert account_of(database, "acme").balance == 100
    assert [one.kind for one in entries_of(database, "acme")] == ["opening", "reserve", "release"]
    assert broken_promises(database) == {}


def test_an_unlimited_account_pays_for_every_call_without_an_entry(runtime, database):
    accounts.create_account("Free", code="free", runtime=runtime)
    lead_id = lead_of_account(database, "free")

    Station(runtime).dispatch()

    assert attempt_of(database, lead_id).reserved is None
    assert entries_of(database, "free") == []


# --- balances that were changed by SQL -------------------------------------------------------------------------


def test_a_balance_changed_by_sql_is_found_at_the_first_look_and_at_any_later_one(runtime, database):
    create(runtime, balance=100)
    account_id = account_of(database, "acme").id
    watch = BalanceWatch(database)

    sql(database, "UPDATE accounts SET balance = 150")
    assert list(broken_promises(database)) == ["R18"]
    assert watch.run_once(NOON) == [Stray(account_id, Decimal(50))]
    assert broken_promises(database) == {}
    accounts.top_up("acme", "5", runtime=runtime)
    assert watch.run_once(NOON) == []
    sql(database, "UPDATE accounts SET balance = balance - 0.5")
    assert watch.run_once(NOON) == [Stray(account_id, Decimal("-0.5"))]

    assert watch.run_once(NOON) == watch.run_once(NOON) == []
    assert account_of(database, "acme").balance == Decimal("154.5")
    assert [(one.actor, one.details["amount"]) for one in events_of(database, "balance_changed_by_sql")] == [
        ("sql", "50"), ("sql", "-0.5"),
    ]  # fmt: skip
    assert broken_promises(database) == {}


def test_what_two_daemons_watch_is_written_once(runtime, database):
    create(runtime, balance=100)
    watches = [BalanceWatch(database) for _ in range(2)]
    for watch in watches:
        assert watch.run_once(NOON) == []
    sql(database, "UPDATE accounts SET balance = 150")

    found = [stray for _ in range(3) for watch in watches for stray in watch.run_once(NOON)]

    assert [stray.amount for stray in found] == [50]
    assert [one.amount for one in entries_of(database, "acme")] == [100, 50]


def test_entries_that_were_deleted_by_sql_are_made_up_for_by_the_next_daemon(runtime, database):
    create(runtime, balance=100)
    accounts.top_up("acme", "5", runtime=runtime)
    assert BalanceWatch(database).run_once(NOON) == []
    sql(database, "DELETE FROM account_entries WHERE kind = 'opening'")

    assert [stray.amount for stray in BalanceWatch(database).run_once(NOON)] == [100]

    assert account_of(database, "acme").balance == 105
    assert broken_promises(database) == {}


def test_very_many_entries_are_counted_over_several_turns(runtime, database):
    create(runtime, balance=100)
    for _ in range(7):
        accounts.top_up("acme", "1", runtime=runtime)
    sql(database, "UPDATE accounts SET balance = 200")
    watch = BalanceWatch(database, page=2, pages=2)

    assert watch.run_once(NOON) == []
    assert [stray.amount for stray in watch.run_once(NOON)] == [93]
    assert broken_promises(database) == {}


# --- what this file needs --------------------------------------------------------------------------------------


def create(runtime, *, billing_type="minutes", **values):
    accounts.create_account("Acme", code="acme", billing_type=billing_type, **values, runtime=runtime)


def lead_of_account(database, code, *phones):
    """A due lead in a campaign that this account pays for, one for each lead."""
    campaign_id = add_campaign(database, f"campaign-{chilean()}", account_id=account_of(database, code).id)
    return add_due_lead(database, *phones, campaign_id=campaign_id)


def account_of(database, code):
    return find(database, tables.accounts, code=code)


def entries_of(database, code):
    return find_all(database, tables.account_entries, account_id=account_of(database, code).id)
