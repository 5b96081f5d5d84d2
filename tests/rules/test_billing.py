from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.errors import InvalidValue
from scheduler.model import Account, BillingType
from scheduler.rules.billing import (
    LIMIT,
    SMALLEST,
    affordable,
    charge,
    expected_cost,
    read_amount,
    read_credit_unit,
    read_terms,
)
from tests.each import each

MINUTES, CREDITS, UNLIMITED = BillingType.MINUTES, BillingType.CREDITS, BillingType.UNLIMITED
MINUTE = timedelta(minutes=1)


def account(billing=MINUTES, **fields):
    known = {"balance": Decimal(100), **fields}
    money = ("balance", "price_per_minute", "reserve_per_call", "low_balance")
    values = {name: Decimal(value) if name in money else value for name, value in known.items()}
    return Account(id=1, code="acme", name="Acme", billing=billing, **{"status": "active", **values})


# --- calls -----------------------------------------------------------------------------------------------------


@each(
    "payer, longest, expected",
    [
        (account(UNLIMITED), 10 * MINUTE, "0"),
        (account(UNLIMITED, reserve_per_call="3"), 10 * MINUTE, "0"),
        (account(), 10 * MINUTE, "10"),
        (account(), timedelta(seconds=90), "1.5"),
        (account(), timedelta(seconds=100), "1.6667"),
        (account(), timedelta(0), "0.0001"),
        (account(reserve_per_call="2.5"), 10 * MINUTE, "2.5"),
        (account(reserve_per_call="0"), 10 * MINUTE, "0.0001"),
        (account(reserve_per_call="-1"), 10 * MINUTE, "0.0001"),
        (account(CREDITS, price_per_minute="0.12"), 10 * MINUTE, "1.2"),
        (account(CREDITS, price_per_minute="3"), timedelta(seconds=40), "2"),
        (account(CREDITS, price_per_minute="0.0001"), timedelta(seconds=61), "0.0002"),
        (account(CREDITS, price_per_minute="0.12", reserve_per_call="1"), 10 * MINUTE, "1"),
        (account(CREDITS, price_per_minute="-5"), 10 * MINUTE, "0.0001"),
        (account(CREDITS), 10 * MINUTE, "0.0001"),
    ],
)
def test_what_is_set_aside_is_the_accounts_own_figure_or_the_most_that_a_call_can_cost(payer, longest, expected):
    assert expected_cost(payer, longest) == Decimal(expected)


@each(
    "payer, talk_seconds, cost, taken",
    [
        (account(UNLIMITED), 600, Decimal(5), "0"),
        (account(), 90, Decimal(5), "1.5"),
        (account(), 100, None, "1.6667"),
        (account(), 1, None, "0.0167"),
        (account(), None, None, "0"),
        (account(), -5, None, "0"),
        (account(CREDITS, price_per_minute="0.12"), 90, Decimal(5), "0.18"),
        (account(CREDITS, price_per_minute="3"), 40, None, "2"),
        (account(CREDITS, price_per_minute="0.003"), 1, None, "0.0001"),  # half of the smallest counts as one
        (account(CREDITS, price_per_minute="0.0029"), 1, None, "0"),
        (account(CREDITS, price_per_minute="0.12"), None, Decimal(5), "0"),
        (account(CREDITS, price_per_minute="-0.12"), 90, None, "0"),
        (account(CREDITS, reserve_per_call="1"), 90, Decimal("0.12345"), "0.1235"),
        (account(CREDITS, reserve_per_call="1"), 90, None, "0"),
        (account(CREDITS, reserve_per_call="1"), 90, Decimal(-3), "0"),
    ],
)
def test_a_call_takes_its_talk_or_what_the_provider_says_that_it_cost(payer, talk_seconds, cost, taken):
    assert charge(payer, talk_seconds, cost, "credits") == Decimal(taken)


@each(
    "payer, unit, taken",
    [
        (account(CREDITS, reserve_per_call="1"), "credits", "9.76"),
        (account(CREDITS, reserve_per_call="1"), "usd", None),
        (account(CREDITS, reserve_per_call="1"), None, None),
        (account(CREDITS, reserve_per_call="1"), "simulated", "9.76"),
        (account(CREDITS, reserve_per_call="1", credit_unit="usd"), "usd", "9.76"),
        (account(CREDITS, reserve_per_call="1", credit_unit=" USD "), "usd", "9.76"),
        (account(CREDITS, reserve_per_call="1", credit_unit="usd"), "eur", None),
        (account(CREDITS, reserve_per_call="1", credit_unit="usd"), "credits", None),
        (account(CREDITS, price_per_minute="0.5"), "usd", "0.5"),
        (account(), "usd", "1"),
        (account(UNLIMITED), "usd", "0"),
    ],
)
def test_a_cost_is_taken_in_the_accounts_own_unit_alone(payer, unit, taken):
    assert charge(payer, 60, Decimal("9.76"), unit) == (taken if taken is None else Decimal(taken))
    assert charge(payer, 60, Decimal(0), unit) is not None, "nothing is nothing in any unit"


@each(
    "billing, written, unit",
    [(CREDITS, None, "credits"), (CREDITS, "", "credits"), (CREDITS, "Credits", "credits"), (CREDITS, " USD ", "usd"),
     (CREDITS, "clp", "clp"), (MINUTES, None, "credits"), (UNLIMITED, "credits", "credits")],
)  # fmt: skip
def test_what_a_credit_is(billing, written, unit):
    assert read_credit_unit(billing, written) == unit


@each(
    "billing, written, says",
    [(CREDITS, "dollars", "such as usd"), (CREDITS, "us$", "such as usd"), (CREDITS, "usd_cents", "such as usd"),
     (MINUTES, "usd", "only an account in credits"), (UNLIMITED, "eur", "only an account in credits")],
)  # fmt: skip
def test_what_is_no_unit_is_refused(billing, written, says):
    with pytest.raises(InvalidValue, match=says):
        read_credit_unit(billing, written)


@each(
    "payer, expected, calls",
    [
        (account(UNLIMITED, balance="0"), "0", None),
        (account(UNLIMITED, status="closed"), "0", 0),
        (account(balance="25"), "10", 2),
        (account(balance="20"), "10", 2),
        (account(balance="9.9999"), "10", 0),
        (account(balance="0"), "0.0001", 0),
        (account(balance="-30"), "10", 0),
        (account(balance="25", status="closed"), "10", 0),
        (account(balance="999999999.9999"), "0.0001", 9_999_999_999_999),
    ],
)
def test_a_balance_pays_for_whole_calls_and_a_closed_account_for_none(payer, expected, calls):
    assert affordable(payer, Decimal(expected)) == calls


def places(lowest, highest):
    return st.decimals(Decimal(lowest), Decimal(highest), places=4)


PAYING = st.one_of(
    st.builds(account, balance=places("-10", "10000"), reserve_per_call=places(0, 50)),
    st.builds(account, balance=places("-10", "10000")),
    st.builds(account, st.just(CREDITS), balance=places("-10", "10000"), price_per_minute=places(0, 100)),
)
LONGEST = st.integers(0, 4 * 3600).map(lambda seconds: timedelta(seconds=seconds))


@given(PAYING, LONGEST)
def test_an_open_call_of_a_paying_account_is_never_free_and_never_overdraws_it(payer, longest):
    expected = expected_cost(payer, longest)
    calls = affordable(payer, expected)

    assert expected >= SMALLEST and expected == expected.quantize(SMALLEST)
    assert calls == 0 or payer.balance - calls * expected >= 0
    assert calls == 0 or payer.balance - (calls + 1) * expected < 0


@given(PAYING.filter(lambda payer: payer.reserve_per_call is None), LONGEST, st.integers(0, 4 * 3600))
def test_a_call_never_takes_more_than_the_most_that_was_set_aside_for_it(payer, longest, talk_seconds):
    seconds = min(talk_seconds, int(longest.total_seconds()))

    assert 0 <= charge(payer, seconds, None) <= expected_cost(payer, longest)


# --- what people write -----------------------------------------------------------------------------------------


@each(
    "written, amount",
    [("12.5", "12.5"), (" 7 ", "7"), ("+0.0001", "0.0001"), (3, "3"), (Decimal("1E+2"), "100"),
     ("999999999.9999", "999999999.9999"), ("007", "7")],
)  # fmt: skip
def test_an_amount_is_a_plain_number(written, amount):
    assert read_amount("amount", written) == Decimal(amount)


@each(
    "written",
    ["0", "0.0000", "-5", "NaN", "nan", "sNaN", "inf", "-Infinity", "1e999", "1e3", "", " ", ".", "5.", ".5", "1.23456",
     "1,000", "1.000.000", "1 000", "1_000", "0x10", "ten", "$5", "1000000000", "٣", "½", True, 0.5e-9,
     Decimal("NaN"), Decimal("0.00001")],
)  # fmt: skip
def test_anything_else_is_refused_and_the_sentence_says_what_would_be_right(written):
    with pytest.raises(InvalidValue) as refused:
        read_amount("amount", written)

    assert str(refused.value).startswith("amount: ")
    assert "above 0 and below 1000000000, with at most 4 decimals, such as 12.5" in str(refused.value)


@each("written, right", [("12,5", "12.5"), ("-0,25", "-0.25"), ("3,1415", "3.1415")])
def test_a_decimal_comma_is_answered_with_the_point(written, right):
    with pytest.raises(InvalidValue, match=f"amount: '{written}' cannot be used; write {right}$"):
        read_amount("amount", written)


def test_zero_and_negative_amounts_are_taken_where_they_mean_something():
    assert read_amount("low_balance", "0", may_be_zero=True) == 0
    assert read_amount("amount", "-5", may_be_negative=True) == -5
    for written, may in (("-5", {"may_be_zero": True}), ("0", {"may_be_negative": True})):
        with pytest.raises(InvalidValue):
            read_amount("amount", written, **may)
    with pytest.raises(InvalidValue, match="above -1000000000, not 0, and below"):
        read_amount("amount", f"-{LIMIT}", may_be_negative=True)


@given(st.one_of(st.text(max_size=12), st.decimals(), st.integers(), st.from_regex(r"[0-9+.,eE-]{1,14}")))
def test_whatever_is_written_is_refused_or_an_exact_amount(written):
    try:
        amount = read_amount("amount", written)
    except InvalidValue:
        return
    assert 0 < amount < LIMIT
    assert amount == amount.quantize(SMALLEST)


@each(
    "billing, written, field, says",
    [
        (UNLIMITED, {"price_per_minute": "1"}, "price_per_minute", "unlimited account has no balance"),
        (UNLIMITED, {"reserve_per_call": "1"}, "reserve_per_call", "unlimited account has no balance"),
        (UNLIMITED, {"low_balance": "1"}, "low_balance", "unlimited account has no balance"),
        (MINUTES, {"price_per_minute": "1"}, "price_per_minute", "a minute for a minute"),
        (MINUTES, {"reserve_per_call": "0"}, "reserve_per_call", "above 0"),
        (MINUTES, {"low_balance": "-1"}, "low_balance", "0 or more"),
        (CREDITS, {}, "price_per_minute", "or a reserve_per_call"),
        (CREDITS, {"price_per_minute": "0"}, "price_per_minute", "above 0"),
        (MINUTES, {"max_concurrent_calls": "0"}, "max_concurrent_calls", "from 1 to"),
        (MINUTES, {"max_concurrent_calls": "2.5"}, "max_concurrent_calls", "whole number"),
        (MINUTES, {"max_concurrent_calls": str(2**31)}, "max_concurrent_calls", "from 1 to 2147483647"),
    ],
)
def test_terms_that_mean_nothing_are_refused_by_the_name_of_their_field(billing, written, field, says):
    with pytest.raises(InvalidValue, match=says) as refused:
        read_terms(billing, written)

    assert refused.value.field == field


def test_terms_are_read_as_the_columns_have_them():
    assert read_terms(CREDITS, {"price_per_minute": "0.12", "low_balance": 0, "max_concurrent_calls": " 5 "}) == {
        "price_per_minute": Decimal("0.12"), "reserve_per_call": None, "low_balance": 0, "max_concurrent_calls": 5,
    }  # fmt: skip
    assert read_terms(CREDITS, {"reserve_per_call": "2"})["reserve_per_call"] == 2
    assert read_terms(UNLIMITED, {"max_concurrent_calls": 3, "low_balance": None})["max_concurrent_calls"] == 3
