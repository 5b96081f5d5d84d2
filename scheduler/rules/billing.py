"""What a call may cost, what it did cost, and how many an account can pay.

Pure, in exact decimals of four places, in the account's own unit: minutes of talk, or credits (money paid
before). What must stay true: a paying account always has something set aside for an open call, never
nothing, so that an empty one dials nobody.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal

from scheduler.model import Account, BillingType

SMALLEST = Decimal("0.0001")


def expected_cost(account: Account, max_call_duration: timedelta) -> Decimal:
    """What is set aside for one call: the account's own figure, else the most that it can cost. 0: nobody pays."""
    if not account.is_paying:
        return Decimal(0)
    if account.reserve_per_call is not None:
        return max(account.reserve_per_call, SMALLEST)
    minutes = Decimal(max_call_duration // timedelta(milliseconds=1)) / 60_000
    most = minutes * (account.price_per_minute or 0) if account.billing is BillingType.CREDITS else minutes
    return max(most.quantize(SMALLEST, ROUND_CEILING), SMALLEST)


def charge(account: Account, talk_seconds: int | None, cost: Decimal | None) -> Decimal:
    """What a call took: minutes talked; in credits these at the account's price, else what the provider reports."""
    minutes = Decimal(max(0, talk_seconds or 0)) / 60
    if account.billing is BillingType.MINUTES:
        return minutes.quantize(SMALLEST, ROUND_HALF_UP)
    if account.billing is BillingType.CREDITS:
        price = account.price_per_minute
        taken = minutes * price if price is not None else max(cost or Decimal(0), Decimal(0))
        return taken.quantize(SMALLEST, ROUND_HALF_UP)
    return Decimal(0)


def affordable(account: Account, expected: Decimal) -> int | None:
    """How many calls the balance pays for; None: as many as one likes. A closed account pays for none."""
    if account.status != "active":
        return 0
    if not account.is_paying:
        return None
    return max(0, int(account.balance // expected))
