"""`ringback keys`: what programs show to be let in over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from cli import Program, output

if TYPE_CHECKING:
    from scheduler.service.runtime import Runtime

SCOPES = ("read", "operate", "admin")


@click.group()
def keys() -> None:
    """Create, see and revoke API keys.

    From the first key or user on, every request over HTTP needs one: keys are sent as `Authorization: Bearer rb_...`
    or as `X-API-Key`. That stays so when they are all revoked; this command line always gets in.
    """


@keys.command()
@click.argument("name")
@click.option(
    "--scope", type=click.Choice(SCOPES), default="read", show_default=True,
    help="read: look; operate: run campaigns and leads too; admin: everything.",
)
@click.option("--account", metavar="CODE", help="It sees and changes what belongs to this account alone.")
@click.option("--days", type=click.IntRange(1, 3650), metavar="N", help="It ends by itself after so many days.")
@output.json_option
@click.pass_obj
def create(program: Program, name: str, scope: str, account: str | None, days: int | None, as_json: bool) -> None:
    """Make a key and print it: this once, for only its hash is kept.

    \b
    Examples:
      ringback keys create front-end --scope operate
      ringback keys create acme-report --account acme --days 90
    """
    from scheduler.service import access

    with program.working() as runtime:
        is_first = _is_open(runtime)
        made = access.create_key(name, scope=scope, account=account, days=days, runtime=runtime)
    if as_json:
        output.show({"id": made.id, "name": made.name, "prefix": made.prefix, "scope": scope, "key": made.token})
    else:
        click.echo(made.token)
    output.tell(f"this is the key {made.name}; it is not shown again")
    if is_first:
        output.tell("from now on everything over HTTP needs a key or a user who logs in (ringback users add)")


@keys.command("list")
@output.json_option
@output.limit_option
@click.pass_obj
def list_(program: Program, as_json: bool, limit: int) -> None:
    """List keys, newest first, revoked ones too. `last_used_at` is exact to a minute.

    \b
    Example:
      ringback keys list
    """
    from scheduler.store import access

    with program.reading() as database:
        rows = database.read(lambda connection: access.list_keys(connection, limit=limit + 1))
    now = datetime.now(UTC)
    for row in rows:
        is_over = row["expires_at"] is not None and row["expires_at"] <= now
        row["state"] = "revoked" if row["revoked_at"] else "expired" if is_over else "valid"
    columns = ("id", "name", "prefix", "scope", "account", "state", "created_at", "expires_at", "last_used_at")
    output.show_list(rows, columns, limit=limit, as_json=as_json, what="keys")


@keys.command()
@click.argument("key", metavar="ID|NAME|PREFIX")
@click.option("--reason")
@click.pass_obj
def revoke(program: Program, key: str, reason: str | None) -> None:
    """End a key: it is refused from the next request on.

    Access does not open again when the last one is revoked.

    \b
    Example:
      ringback keys revoke front-end --reason "it was in a mail"
    """
    from scheduler.service import access

    with program.working() as runtime:
        name = access.revoke_key(key, reason=reason, runtime=runtime)
    click.echo(f"the key {output.printable(name)} is revoked")


@keys.command()
@click.argument("key", metavar="ID|NAME|PREFIX")
@click.pass_obj
def forget(program: Program, key: str) -> None:
    """Delete a revoked key from the list; the audit keeps that it was there.

    Where no other key and no user is left, the link opens it again that `ringback serve` shows when it starts.

    \b
    Example:
      ringback keys forget front-end
    """
    from scheduler.service import access

    with program.working() as runtime:
        name = access.forget_key(key, runtime=runtime)
        is_open = _is_open(runtime)
    click.echo(f"the key {output.printable(name)} is forgotten")
    if is_open:
        tell_open()


def tell_open() -> None:
    output.tell(
        "there is no key and no user any more: over HTTP the link opens it that `ringback serve` shows when it starts"
    )


def _is_open(runtime: Runtime) -> bool:
    from scheduler.store import access

    return not runtime.database.read(access.has_anybody)
