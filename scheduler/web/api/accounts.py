"""`/api/v1/accounts`: who pays for the calls of which campaigns, and how much is left."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from fastapi import Response

from scheduler.model import Account, AllowanceKind
from scheduler.service import accounts, allowances
from scheduler.service.runtime import Runtime
from scheduler.store import listings, reports
from scheduler.web.access import Admin, Caller, Reader, RuntimeOf
from scheduler.web.api.asked import NEWEST, NO_REASON, AccountKey, by_id, found
from scheduler.web.api.models import (
    AccountEdit,
    AccountFull,
    AccountItem,
    AccountNew,
    AccountState,
    Adjustment,
    Allowances,
    AllowancesSet,
    TopUp,
    Why,
)
from scheduler.web.api.route import noun
from scheduler.web.problems import responses
from scheduler.web.reach import require_account, require_everything
from scheduler.web.replies import Cursor, Limit, Page, paged, read_cursor

router = noun("accounts")


@router.get("/accounts", response_model=Page[AccountItem], operation_id="list_accounts", responses=responses(404))
def list_accounts(
    caller: Reader, runtime: RuntimeOf, status: Literal["active", "closed"] | None = None, limit: Limit = 50,
    cursor: Cursor = None,
) -> Any:
    """Accounts, newest first. `set_aside` is taken from the balance for calls that are open."""
    place = read_cursor(cursor, int)
    rows = runtime.database.read(lambda connection: listings.list_accounts_page(
        connection, account_id=caller.account_id, status=status, before=place[0] if place else None, limit=limit
    ))
    return paged(rows, limit, by_id)


@router.post("/accounts", response_model=AccountFull, status_code=201, operation_id="create_account")
def create_account(caller: Admin, runtime: RuntimeOf, body: AccountNew, response: Response) -> Any:
    """Make an account. Its code is made up when left out."""
    require_everything(caller)
    code = accounts.create_account(
        body.name, code=body.code, billing_type=body.billing_type, balance=body.balance or 0,
        max_concurrent_calls=body.max_concurrent_calls, price_per_minute=body.price_per_minute,
        reserve_per_call=body.reserve_per_call, low_balance=body.low_balance, runtime=runtime,
    )
    made = read_full(runtime, reached(runtime, caller, code).id)
    response.headers["Location"] = f"/api/v1/accounts/{made.id}"
    return made


@router.get("/accounts/{account}", response_model=AccountFull, operation_id="read_account", responses=responses(404))
def read_account(caller: Reader, runtime: RuntimeOf, account: AccountKey) -> Any:
    """One account: what is left, set aside and spent, its campaigns, its entries."""
    return read_full(runtime, reached(runtime, caller, account).id)


@router.patch(
    "/accounts/{account}", response_model=AccountFull, operation_id="edit_account", responses=responses(404, 409)
)
def edit_account(caller: Admin, runtime: RuntimeOf, account: AccountKey, body: AccountEdit) -> Any:
    """Change the name, limits and prices of an account. Calls in flight keep what was set aside for them.

    What its credits are changes only while its balance is 0 and nothing is set aside (409).
    """
    require_everything(caller)
    known = reached(runtime, caller, account)
    given = body.model_dump(exclude_unset=True)
    name = given.pop("name", None)
    accounts.edit_account(known.code, name=name, terms=given, runtime=runtime)
    return read_full(runtime, known.id)


@router.post(
    "/accounts/{account}/top-up", response_model=AccountState, operation_id="top_up_account", responses=responses(404)
)
def top_up(caller: Admin, runtime: RuntimeOf, account: AccountKey, body: TopUp) -> Any:
    """Add minutes or credits. Leads that waited for it go on by themselves."""
    require_everything(caller)
    known = reached(runtime, caller, account)
    return state_of(accounts.top_up(known.code, body.amount, note=body.note, runtime=runtime))


@router.post(
    "/accounts/{account}/adjust", response_model=AccountState, operation_id="adjust_account", responses=responses(404)
)
def adjust(caller: Admin, runtime: RuntimeOf, account: AccountKey, body: Adjustment) -> Any:
    """Put a balance right, by a signed amount."""
    require_everything(caller)
    known = reached(runtime, caller, account)
    return state_of(accounts.adjust(known.code, body.amount, reason=body.reason, runtime=runtime))


@router.post(
    "/accounts/{account}/close", response_model=AccountState, operation_id="close_account", responses=responses(404)
)
def close(caller: Admin, runtime: RuntimeOf, account: AccountKey, body: Why = NO_REASON) -> Any:
    """Let an account pay for no further call: the leads of its campaigns wait. Calls in flight are settled."""
    require_everything(caller)
    known = reached(runtime, caller, account)
    accounts.close_account(known.code, reason=body.reason, runtime=runtime)
    return state_of(reached(runtime, caller, known.code))


@router.post(
    "/accounts/{account}/reopen", response_model=AccountState, operation_id="reopen_account", responses=responses(404)
)
def reopen(caller: Admin, runtime: RuntimeOf, account: AccountKey, body: Why = NO_REASON) -> Any:
    """Let a closed account pay again."""
    require_everything(caller)
    known = reached(runtime, caller, account)
    accounts.reopen_account(known.code, reason=body.reason, runtime=runtime)
    return state_of(reached(runtime, caller, known.code))


@router.get(
    "/accounts/{account}/allowances", response_model=Allowances, operation_id="read_allowances",
    responses=responses(404),
)
def read_allowances(caller: Reader, runtime: RuntimeOf, account: AccountKey) -> Any:
    """What the keys of an account may choose for its campaigns."""
    return allowances_of(allowances.read_allowances(reached(runtime, caller, account).id, runtime=runtime))


@router.put(
    "/accounts/{account}/allowances", response_model=Allowances, operation_id="set_allowances",
    responses=responses(404),
)
def set_allowances(caller: Admin, runtime: RuntimeOf, account: AccountKey, body: AllowancesSet) -> Any:
    """List what the keys of an account may choose. Campaigns keep what they have."""
    require_everything(caller)
    known = reached(runtime, caller, account)
    wanted: dict[str, list[str | int]] = {
        kind: list(given) for kind, name in LISTS.items() if (given := getattr(body, name)) is not None
    }
    if body.highest_priority is not None:
        wanted[AllowanceKind.PRIORITY] = [body.highest_priority]
    return allowances_of(allowances.set_allowances(known.code, wanted, reason=body.reason, runtime=runtime))


LISTS = {
    AllowanceKind.PROVIDER: "providers", AllowanceKind.AGENT: "agents", AllowanceKind.CALLER_ID: "caller_ids",
    AllowanceKind.COUNTRY: "countries", AllowanceKind.GROUP: "groups",
}  # fmt: skip


def allowances_of(listed: Mapping[AllowanceKind, list[str]]) -> Allowances:
    return Allowances(
        **{name: listed[kind] for kind, name in LISTS.items()},
        highest_priority=allowances.highest_priority(listed[AllowanceKind.PRIORITY]),
    )


def reached(runtime: Runtime, caller: Caller, key: str) -> Account:
    return runtime.database.read(lambda connection: require_account(connection, caller, key))


def read_full(runtime: Runtime, account_id: int) -> AccountFull:
    row = runtime.database.read(lambda connection: reports.find_account(connection, account_id, limit=NEWEST))
    return AccountFull.model_validate(found(row, "account", account_id))


def state_of(account: Account) -> AccountState:
    return AccountState(
        code=account.code, status=account.status, billing_type=account.billing, unit=account.unit,
        balance=account.balance,
    )
