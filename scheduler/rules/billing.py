"""What a call may cost, what it did cost, how many an account can pay, and what people may write about money.

Pure, in exact decimals of four places, in the account's own unit: minutes of talk, or credits (money paid
before). What must stay true: a paying account always has something set aside for an open call, never
nothing, so that an empty one dials nobody. What a newcomer would get wrong: multiply first and divide last,
or two thirds of a minute at 3 a minute is a little more than 2, and rounded up it is 2.0001.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal
from typing import Any, TypeAlias

from scheduler.errors import InvalidValue
from scheduler.model import CREDITS, Account, BillingType

SMALLEST = Decimal("0.0001")
LIMIT = Decimal(10) ** 9
"""Amounts and balances that people write stay below it, so that sums of them fit the columns."""
MOST_CALLS = 2**31 - 1

Amount: TypeAlias = str | int | Decimal
"""An amount as a person or a caller writes it. No float: 0.1 is none that could be paid."""


# --- calls --------------------------------------------------------------------------------------


def expected_cost(account: Account, max_call_duration: timedelta) -> Decimal:
    """What is set aside for one call: the account's own figure, else the most that it can cost. 0: nobody pays."""
    if not account.is_paying:
        return Decimal(0)
    if account.reserve_per_call is not None:
        return max(account.reserve_per_call, SMALLEST)
    milliseconds = Decimal(max_call_duration // timedelta(milliseconds=1))
    most = milliseconds * (_price_per_minute(account) or 0) / 60_000
    return max(most.quantize(SMALLEST, ROUND_CEILING), SMALLEST)


def charge(account: Account, talk_seconds: int | None, cost: Decimal | None, unit: str | None = None) -> Decimal | None:
    """What a call took: minutes talked; in credits these at the account's price, else what the provider reports.

    None: that is in a `unit` which the account is not kept in, so nobody can say what it took.
    """
    if not account.is_paying:
        return Decimal(0)
    if cost and not account.takes(unit):
        return None
    price = _price_per_minute(account)
    if price is not None and not price.is_finite():  # typed by SQL; the end of the call must be written all the same
        return Decimal(0)
    taken = (cost or Decimal(0)) if price is None else Decimal(talk_seconds or 0) * price / 60
    return max(taken, Decimal(0)).quantize(SMALLEST, ROUND_HALF_UP)


def affordable(account: Account, expected: Decimal) -> int | None:
    """How many calls the balance pays for; None: as many as one likes. A closed account pays for none."""
    if account.status != "active":
        return 0
    if not account.is_paying:
        return None
    return max(0, int(account.balance // expected))


def _price_per_minute(account: Account) -> Decimal | None:
    """In the account's unit. None: what a call costs only the provider can tell."""
    return account.price_per_minute if account.billing is BillingType.CREDITS else Decimal(1)


# --- what people write --------------------------------------------------------------------------


def read_amount(field: str, value: Amount, *, may_be_zero: bool = False, may_be_negative: bool = False) -> Decimal:
    """An amount of minutes or credits, exact. Raises InvalidValue saying what could be written instead."""
    text = f"{value:f}" if isinstance(value, Decimal) else str(value).strip()
    if re.fullmatch(r"[+-]?[0-9]+,([0-9]{1,2}|[0-9]{4})", text):
        raise InvalidValue(field, text, f"write {text.replace(',', '.')}")
    lowest = f"above -{LIMIT}, not 0," if may_be_negative else "of 0 or more" if may_be_zero else "above 0"
    right = f"write a plain number {lowest} and below {LIMIT}, with at most 4 decimals, such as 12.5"
    if not re.fullmatch(r"[+-]?[0-9]+(\.[0-9]{1,4})?", text):
        raise InvalidValue(field, text, right)
    amount = Decimal(text)
    is_signed_well = amount > 0 or (may_be_zero and amount == 0) or (may_be_negative and amount < 0)
    if not is_signed_well or abs(amount) >= LIMIT:
        raise InvalidValue(field, text, right)
    return amount.quantize(SMALLEST)


CURRENCY = re.compile(r"[a-z]{3}")


def read_credit_unit(billing: BillingType, text: str | None) -> str:
    """What one credit is: `credits`, or a currency by its three letters (ISO 4217), lower case.

    Raises InvalidValue for anything else, and for an account that is not in credits.
    """
    unit = (text or CREDITS).strip().lower()
    if unit != CREDITS and billing is not BillingType.CREDITS:
        raise InvalidValue("credit_unit", unit, "leave it out: only an account in credits is kept in a currency")
    if unit != CREDITS and not CURRENCY.fullmatch(unit):
        raise InvalidValue("credit_unit", unit[:40], "write credits, or a currency by its three letters, such as usd")
    return unit


def say_unit(unit: str | None) -> str:
    """A unit as people read it: currencies in capitals."""
    return (unit or "").upper() if CURRENCY.fullmatch(unit or "") else unit or ""


def read_billing_type(text: str) -> BillingType:
    words = [one.value for one in BillingType]
    if text not in words:
        raise InvalidValue("billing_type", text, f"the billing types are {', '.join(words)}")
    return BillingType(text)


def read_terms(billing: BillingType, written: Mapping[str, Amount | None]) -> dict[str, Any]:
    """The limits and prices of an account, as its columns have them, from what was written. None: there is none.

    Raises InvalidValue for a value that cannot be used, and for one that means nothing for this billing type.
    """
    terms: dict[str, Any] = {}
    for field in ("price_per_minute", "reserve_per_call", "low_balance"):
        value = written.get(field)
        if value is None:
            terms[field] = None
            continue
        if billing is BillingType.UNLIMITED:
            raise InvalidValue(field, str(value), "leave it out: an unlimited account has no balance to pay from")
        if field == "price_per_minute" and billing is BillingType.MINUTES:
            raise InvalidValue(field, str(value), "leave it out: an account in minutes pays a minute for a minute")
        terms[field] = read_amount(field, value, may_be_zero=field == "low_balance")
    if billing is BillingType.CREDITS and terms["price_per_minute"] is None and terms["reserve_per_call"] is None:
        raise InvalidValue(
            "price_per_minute", "",
            "credits need a price_per_minute, or a reserve_per_call where the provider tells what a call cost",
        )  # fmt: skip
    calls = written.get("max_concurrent_calls")
    return {**terms, "max_concurrent_calls": None if calls is None else _read_calls(calls)}


def _read_calls(value: Amount) -> int:
    text = str(value).strip()
    if not re.fullmatch(r"[0-9]{1,10}", text) or not 1 <= int(text) <= MOST_CALLS:
        right = f"write a whole number from 1 to {MOST_CALLS}; to stop its calls, close the account"
        raise InvalidValue("max_concurrent_calls", text, right)
    return int(text)
