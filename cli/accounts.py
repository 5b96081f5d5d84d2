"""`ringback accounts`: who pays for the calls of which campaigns, and how much is left."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

import click

from cli import Program, output

if TYPE_CHECKING:
    from scheduler.model import AllowanceKind
    from scheduler.store.database import Connection

SIGNED = {"ignore_unknown_options": True}
"""For commands that take an amount: -5 is a number there, and is answered as one."""
NONE = "none"
"""What takes a limit or a price away."""


@click.group()
def accounts() -> None:
    """Create, fill and see accounts.

    An account pays for the calls of its campaigns. When a call is about to be made, what it may cost is set
    aside; at its end that comes back, and what the call cost is taken. Where the balance pays for no further
    call, leads wait with that reason, no attempt is spent, and they go on by themselves after a top-up.
    """


@accounts.command()
@click.argument("name")
@click.option("--code", help="Its public name, e.g. acme; made up when left out.")
@click.option(
    "--billing-type", type=click.Choice(["unlimited", "minutes", "credits"]), default="unlimited", show_default=True
)
@click.option("--balance", default="0", show_default=True, metavar="AMOUNT", help="What it begins with.")
@click.option("--max-concurrent-calls", metavar="N", help="At most so many of its calls at once.")
@click.option("--price-per-minute", metavar="AMOUNT", help="Credits that a minute of talk costs.")
@click.option("--reserve-per-call", metavar="AMOUNT", help="What is set aside for an open call.")
@click.option("--low-balance", metavar="AMOUNT", help="Warn when the balance falls below it.")
@click.option("--credit-unit", metavar="UNIT", help="What a credit is: credits (as it is unsaid), or usd, eur, ...")
@output.json_option
@click.pass_obj
def create(
    program: Program,
    name: str,
    code: str | None,
    billing_type: str,
    balance: str,
    max_concurrent_calls: str | None,
    price_per_minute: str | None,
    reserve_per_call: str | None,
    low_balance: str | None,
    credit_unit: str | None,
    as_json: bool,
) -> None:
    """Create an account and print its code.

    \b
    The billing type says what the balance is and what a call takes from it:
      unlimited  there is none: nothing is set aside and nothing is taken
      minutes    minutes of talk: a call takes as many as were talked, to the second
      credits    money paid before: a call takes its talk at --price-per-minute, or, where there is no price,
                 what the provider says that it cost (nothing, if it says nothing). For that the account must be
                 kept in what the provider charges in, by --credit-unit; else it pays for no call

    For an open call --reserve-per-call is set aside, or else the most that it can cost: the longest duration of
    a call in its campaign, in minutes, for credits at the price. Credits need a price or a --reserve-per-call.
    Amounts have up to 4 decimals.

    \b
    Examples:
      ringback accounts create "Acme Ltd" --code acme --billing-type minutes --balance 500
      ringback accounts create Survey --billing-type credits --balance 100 --price-per-minute 0.12 --low-balance 10
    """
    from scheduler.service import accounts as service

    with program.working() as runtime:
        made = service.create_account(
            name,
            code=code,
            billing_type=billing_type,
            balance=balance,
            max_concurrent_calls=max_concurrent_calls,
            price_per_minute=price_per_minute,
            reserve_per_call=reserve_per_call,
            low_balance=low_balance,
            credit_unit=credit_unit,
            runtime=runtime,
        )
    if as_json:
        output.show({"code": made})
    else:
        click.echo(output.printable(made))


@accounts.command("list")
@click.option("--status", type=click.Choice(["active", "closed"]), help="Only these.")
@output.json_option
@output.limit_option
@click.pass_obj
def list_(program: Program, status: str | None, as_json: bool, limit: int) -> None:
    """List accounts, newest first. `set_aside` is for open calls, and is not in the balance any more.

    \b
    Example:
      ringback accounts list --status active
    """
    from scheduler.store import reports

    with program.reading() as database:
        rows = database.read(lambda connection: reports.list_accounts(connection, status=status, limit=limit + 1))
    columns = (
        "id", "code", "name", "status", "unit", "balance", "set_aside", "max_concurrent_calls", "low_balance",
    )  # fmt: skip
    output.show_list(rows, columns, limit=limit, as_json=as_json, what="accounts")


@accounts.command()
@click.argument("account", metavar="CODE")
@output.json_option
@output.limit_option
@click.pass_obj
def show(program: Program, account: str, as_json: bool, limit: int) -> None:
    """Show one account (by code or id): what is left, set aside and spent, its campaigns, its entries, newest first.

    The entries add up to the balance. --limit is for campaigns and entries.

    \b
    Example:
      ringback accounts show acme --limit 10
    """
    from scheduler.errors import NotFound
    from scheduler.store import accounts as store
    from scheduler.store import reports

    def read(connection: Connection) -> reports.ReportRow | None:
        known = store.find_account(connection, account)
        return reports.find_account(connection, known.id, limit=limit) if known else None

    with program.reading() as database:
        found = database.read(read)
    if found is None:
        raise NotFound("account", account)
    if as_json:
        output.show(found)
        return
    entries = found.pop("entries")
    output.show_facts(found)
    if entries:
        click.echo()
        columns = ("id", "at", "kind", "amount", "unit", "attempt_id", "note", "actor")
        output.show_table(entries, columns, title="entries")


@accounts.command("top-up", context_settings=SIGNED)
@click.argument("account", metavar="CODE")
@click.argument("amount")
@click.option("--note", help="For the entry, e.g. the number of an invoice.")
@click.pass_obj
def top_up(program: Program, account: str, amount: str, note: str | None) -> None:
    """Add minutes or credits to an account. Leads that waited for it go on by themselves.

    \b
    Example:
      ringback accounts top-up acme 250 --note "invoice 1027"
    """
    from scheduler.service import accounts as service

    with program.working() as runtime:
        after = service.top_up(account, amount, note=note, runtime=runtime)
    _tell_balance(after.code, after.balance, after.unit)


@accounts.command(context_settings=SIGNED)
@click.argument("account", metavar="CODE")
@click.argument("amount")
@click.option("--reason", required=True, help="Why; it is kept with the entry.")
@click.pass_obj
def adjust(program: Program, account: str, amount: str, reason: str) -> None:
    """Put the balance of an account right, by a signed amount.

    \b
    Examples:
      ringback accounts adjust acme 12.5 --reason "a call that was charged twice"
      ringback accounts adjust acme -20 --reason "topped up by mistake"
    """
    from scheduler.service import accounts as service

    with program.working() as runtime:
        after = service.adjust(account, amount, reason=reason, runtime=runtime)
    _tell_balance(after.code, after.balance, after.unit)


KINDS = {
    "provider": "provider", "agent": "agent", "caller_id": "caller-id", "country": "country", "group": "group",
    "priority": "priority",
}  # fmt: skip


def allowance_options(command: Callable[..., None]) -> Callable[..., None]:
    for name, option in reversed(KINDS.items()):
        if name != "priority":
            add = click.option(f"--{option}", name, multiple=True, metavar="VALUE", help="Can be repeated.")
            command = add(command)
    return command


@accounts.command()
@click.argument("account", metavar="CODE")
@allowance_options
@click.option("--priority", metavar="N", help="The highest that its campaigns may have.")
@click.option("--reason")
@output.json_option
@click.pass_obj
def allow(
    program: Program, /, account: str, priority: str | None, reason: str | None, as_json: bool, **given: tuple[str, ...]
) -> None:
    """List what the keys and users of an account may choose for its campaigns; without options, show the list.

    To choose nothing is always allowed: it is the installation's own choice. Without a country they call where the
    installation does. Agents and caller ids that end with * allow what begins so. The highest priority is 0.

    \b
    Examples:
      ringback accounts allow acme --agent "sales,*" --caller-id +56221234567 --country CL
      ringback accounts allow acme --priority 5 --reason "their contract"
      ringback accounts allow acme
    """
    from scheduler.service import allowances

    add: dict[str, Sequence[str]] = {**given, **({"priority": [priority]} if priority is not None else {})}
    with program.working() as runtime:
        now = allowances.change_allowances(account, add=add, reason=reason, runtime=runtime)
    _show_allowed(now, as_json)


@accounts.command()
@click.argument("account", metavar="CODE")
@allowance_options
@click.option("--reason")
@output.json_option
@click.pass_obj
def disallow(program: Program, /, account: str, reason: str | None, as_json: bool, **given: tuple[str, ...]) -> None:
    """Take values from what an account may choose. Campaigns that have them keep them.

    \b
    Example:
      ringback accounts disallow acme --caller-id +56221234567 --reason "given back to the carrier"
    """
    from scheduler.service import allowances

    with program.working() as runtime:
        now = allowances.change_allowances(account, take=given, reason=reason, runtime=runtime)
    _show_allowed(now, as_json)


def _show_allowed(now: Mapping[AllowanceKind, list[str]], as_json: bool) -> None:
    if as_json:
        output.show({kind.value: values for kind, values in now.items()})
    else:
        output.show_facts({kind.value: ", ".join(values) or "-" for kind, values in now.items()})


@accounts.command()
@click.argument("account", metavar="CODE")
@click.option("--name")
@click.option("--max-concurrent-calls", metavar="N|none")
@click.option("--price-per-minute", metavar="AMOUNT|none")
@click.option("--reserve-per-call", metavar="AMOUNT|none")
@click.option("--low-balance", metavar="AMOUNT|none")
@click.option("--credit-unit", metavar="UNIT", help="What a credit is; only while the balance is 0.")
@click.pass_obj
def edit(
    program: Program,
    account: str,
    name: str | None,
    max_concurrent_calls: str | None,
    price_per_minute: str | None,
    reserve_per_call: str | None,
    low_balance: str | None,
    credit_unit: str | None,
) -> None:
    """Change the name, limits and prices of an account; `none` takes one away. The billing type stays.

    \b
    Examples:
      ringback accounts edit acme --price-per-minute 0.14
      ringback accounts edit acme --max-concurrent-calls none
    """
    from scheduler.service import accounts as service

    written = {
        "max_concurrent_calls": max_concurrent_calls,
        "price_per_minute": price_per_minute,
        "reserve_per_call": reserve_per_call,
        "low_balance": low_balance,
        "credit_unit": credit_unit,
    }
    terms = {field: None if text == NONE else text for field, text in written.items() if text is not None}
    if name is None and not terms:
        raise click.UsageError("nothing to change; see --help")
    with program.working() as runtime:
        changed = service.edit_account(account, name=name, terms=terms, runtime=runtime)
    for field, value in changed.items():
        click.echo(f"{field}: {NONE if value is None else output.printable(str(value))}")
    if not changed:
        output.tell("it was so already")


@accounts.command()
@click.argument("account", metavar="CODE")
@click.option("--reason")
@click.pass_obj
def close(program: Program, account: str, reason: str | None) -> None:
    """Let an account pay for no further call: the leads of its campaigns wait. Calls in flight are settled.

    \b
    Example:
      ringback accounts close acme --reason "contract ended"
    """
    from scheduler.service import accounts as service

    with program.working() as runtime:
        service.close_account(account, reason=reason, runtime=runtime)
    click.echo(f"account {output.printable(account)} is closed; leads that it pays for wait")


@accounts.command()
@click.argument("account", metavar="CODE")
@click.option("--reason")
@click.pass_obj
def reopen(program: Program, account: str, reason: str | None) -> None:
    """Let a closed account pay again.

    \b
    Example:
      ringback accounts reopen acme
    """
    from scheduler.service import accounts as service

    with program.working() as runtime:
        service.reopen_account(account, reason=reason, runtime=runtime)
    click.echo(f"account {output.printable(account)} is active again; leads that waited for it go on")


def _tell_balance(code: str, balance: Decimal, unit: str) -> None:
    from scheduler.rules.billing import say_unit

    click.echo(f"account {output.printable(code)} has {balance:f} {say_unit(unit)} now")
