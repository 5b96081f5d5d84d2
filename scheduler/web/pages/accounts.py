"""Pages: who pays. Balances, what is set aside for open calls, and every entry; topping up and putting right.

What must stay true: money moves only through `service.accounts`, each time with who and why.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response

from scheduler.errors import InvalidValue, NotFound, RingbackError
from scheduler.model import Account, AllowanceKind
from scheduler.service import accounts, allowances
from scheduler.store import accounts as store
from scheduler.store import reports, timeline
from scheduler.store.database import Connection
from scheduler.web.access import Admin, Reader, RuntimeOf
from scheduler.web.pages.base import FormOf, field_errors, redirect, render
from scheduler.web.reach import require_account, require_everything

router = APIRouter()

MOST_ACCOUNTS = 200
MOST_ENTRIES = 200
Word = Annotated[str, Query(max_length=100)]
Code = Annotated[str, Path(max_length=64)]
BILLING = ("unlimited", "minutes", "credits")
KINDS = {
    AllowanceKind.PROVIDER: "Providers", AllowanceKind.AGENT: "Agents", AllowanceKind.CALLER_ID: "Caller ids",
    AllowanceKind.COUNTRY: "Countries", AllowanceKind.GROUP: "Groups", AllowanceKind.PRIORITY: "Highest priority",
}  # fmt: skip
TERMS = ("max_concurrent_calls", "price_per_minute", "reserve_per_call", "low_balance")


@router.get("/accounts")
def accounts_page(request: Request, runtime: RuntimeOf, caller: Reader, status: Word = "") -> Response:
    require_everything(caller)
    if status not in ("", "active", "closed"):
        raise InvalidValue("status", status[:40], "write active or closed")
    rows = runtime.database.read(
        lambda connection: reports.list_accounts(connection, status=status or None, limit=MOST_ACCOUNTS + 1)
    )
    return render(
        request, "accounts.html", rows=rows[:MOST_ACCOUNTS], has_more=len(rows) > MOST_ACCOUNTS, chosen=status,
    )


@router.get("/accounts/new")
def new_account_page(request: Request, caller: Admin) -> Response:
    require_everything(caller)
    return render(request, "account_new.html", given={}, errors={}, billing=BILLING)


@router.post("/accounts/new")
def create_account(request: Request, runtime: RuntimeOf, caller: Admin, form: FormOf) -> Response:
    require_everything(caller)
    names = ("name", "code", "billing_type", "balance", "credit_unit", *TERMS)
    given = {name: form.get(name, "").strip() for name in names}
    try:
        code = accounts.create_account(
            given["name"], code=given["code"] or None, billing_type=given["billing_type"] or "unlimited",
            balance=given["balance"] or 0, runtime=runtime, max_concurrent_calls=given["max_concurrent_calls"] or None,
            price_per_minute=given["price_per_minute"] or None, reserve_per_call=given["reserve_per_call"] or None,
            low_balance=given["low_balance"] or None,
            credit_unit=given["credit_unit"] or None,
        )
    except RingbackError as error:
        errors = {one.field: one.reason for one in field_errors(error)}
        return render(request, "account_new.html", status=422, given=given, errors=errors, billing=BILLING)
    return redirect(request, f"/accounts/{_id_of(runtime, code)}", "Account {code} is created.", code=code)


@router.get("/accounts/{key}")
def account_page(request: Request, runtime: RuntimeOf, caller: Reader, key: Code) -> Response:
    """One account by code or id, with its newest entries."""
    return _show(request, runtime, caller, key, {}, {})


def _show(
    request: Request, runtime: Any, caller: Any, key: str, given: dict[str, str], errors: dict[str, str]
) -> Response:
    def read(connection: Connection) -> tuple[Account, dict[str, Any] | None]:
        account = require_account(connection, caller, key)
        return account, timeline.read_account(connection, account.id, limit=MOST_ENTRIES)

    account, row = runtime.database.read(read)
    if row is None:
        raise NotFound("account", key)
    return render(
        request, "account.html", status=422 if errors else 200, account=account, row=row, given=given, errors=errors,
        allowed=allowances.read_allowances(account.id, runtime=runtime), kinds=KINDS,
        most=MOST_ENTRIES, has_everything=caller.account_id is None,
    )


@router.post("/accounts/{key}/{what}")
def change_account(
    request: Request, runtime: RuntimeOf, caller: Admin, form: FormOf, key: Code,
    what: Annotated[str, Path(max_length=20)],
) -> Response:
    """Top up, put right, change the terms, close or reopen: each with a reason."""
    require_everything(caller)
    account = runtime.database.read(lambda connection: require_account(connection, caller, key))
    reason, amount = form.get("reason", "").strip(), form.get("amount", "").strip()
    works: dict[str, tuple[Callable[[], object], str]] = {
        "top-up": (
            lambda: accounts.top_up(account.id, amount, note=reason, runtime=runtime), "Account {code} is topped up."
        ),
        "adjust": (
            lambda: accounts.adjust(account.id, amount, reason=reason, runtime=runtime),
            "The balance of account {code} is put right.",
        ),
        "terms": (
            lambda: accounts.edit_account(
                account.id, name=form.get("name", "").strip() or None,
                terms={name: form[name].strip() or None for name in (*TERMS, "credit_unit") if name in form},
                runtime=runtime,
            ),
            "The terms of account {code} are changed.",
        ),
        "allow": (
            lambda: allowances.set_allowances(
                account.id,
                {kind: re.split(r"\s*[\n;]\s*", form[kind].strip()) if form[kind].strip() else [] for kind in KINDS
                 if kind in form},
                reason=reason, runtime=runtime,
            ),
            "What account {code} may use is listed.",
        ),
        "close": (
            lambda: accounts.close_account(account.id, reason=reason, runtime=runtime),
            "Account {code} is closed. Its campaigns make no further call.",
        ),
        "reopen": (
            lambda: accounts.reopen_account(account.id, reason=reason, runtime=runtime),
            "Account {code} is open again.",
        ),
    }
    if what not in works:
        raise NotFound("action", what)
    work, sentence = works[what]
    try:
        if not reason and what != "terms":
            raise InvalidValue("reason", "", "say why")
        if len(reason) > 200:
            raise InvalidValue("reason", reason[:20], "write at most 200 characters")
        work()
    except RingbackError as error:
        found = field_errors(error)[0]
        errors = {f"{what}-{found.field}" if found.field else "": found.reason}
        return _show(request, runtime, caller, key, dict(form), errors)
    return redirect(request, f"/accounts/{account.id}", sentence, code=account.code)


def _id_of(runtime: Any, code: str) -> int:
    """Codes may hold a slash, ids never do."""
    found = runtime.database.read(lambda connection: store.find_account(connection, code))
    return int(found.id) if found is not None else 0
