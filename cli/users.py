"""`ringback users`: the people who log in to the dashboard."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from cli import Program, output
from cli.keys import tell_open

if TYPE_CHECKING:
    from scheduler.store.database import Connection

ROLES = click.Choice(["viewer", "operator", "admin"])
STDIN = click.option("--password-stdin", is_flag=True, help="Read the password from stdin instead of asking for it.")
LONGEST_LINE = 4096


@click.group()
def users() -> None:
    """Add and remove the people who log in, and change their password or role.

    A viewer looks, an operator runs campaigns and leads too, an admin does everything. From the first user or API
    key on, everybody has to say who they are. Passwords have 12 to 128 characters.
    """


@users.command()
@click.argument("name")
@click.option("--role", type=ROLES, required=True)
@click.option("--account", metavar="CODE", help="They see this account alone.")
@STDIN
@click.pass_obj
def add(program: Program, name: str, role: str, account: str | None, password_stdin: bool) -> None:
    """Let somebody log in. The password is asked for twice, without being shown.

    \b
    Examples:
      ringback users add ana --role admin
      pass show ringback/ana | ringback users add ana --role admin --password-stdin
    """
    from scheduler.service import access

    with program.working() as runtime:
        known = access.check_new_user(name, runtime=runtime)
        made = access.add_user(known, _read_password(password_stdin), role=role, account=account, runtime=runtime)
    click.echo(f"{output.printable(made)} may log in as {role}")


@users.command("list")
@output.json_option
@output.limit_option
@click.pass_obj
def list_(program: Program, as_json: bool, limit: int) -> None:
    """List users, by name.

    \b
    Example:
      ringback users list --json
    """
    from scheduler.store import access

    with program.reading() as database:
        rows = database.read(lambda connection: access.list_users(connection, limit=limit + 1))
    columns = ("id", "name", "role", "account", "has_second_factor", "created_at", "last_login_at")
    output.show_list(rows, columns, limit=limit, as_json=as_json, what="users")


@users.command("set-password")
@click.argument("name")
@STDIN
@click.pass_obj
def set_password(program: Program, name: str, password_stdin: bool) -> None:
    """Give somebody another password. Wherever they are logged in, that ends.

    \b
    Example:
      ringback users set-password ana
    """
    from scheduler.service import access

    with program.working() as runtime:
        known = access.require_user(name, runtime=runtime)
        ended = access.set_password(known, _read_password(password_stdin), runtime=runtime)
    click.echo(f"the password of {output.printable(known)} is changed; {_sessions(ended)} ended")


@users.command("set-role")
@click.argument("name")
@click.argument("role", type=ROLES)
@click.pass_obj
def set_role(program: Program, name: str, role: str) -> None:
    """Give somebody another role. Wherever they are logged in, that ends.

    \b
    Example:
      ringback users set-role ana viewer
    """
    from scheduler.service import access

    with program.working() as runtime:
        is_changed = access.set_role(name, role, runtime=runtime)
    if is_changed:
        click.echo(f"{output.printable(name)} is {role} now")
    else:
        output.tell("it was so already")


@users.command()
@click.argument("name")
@click.option("--account", metavar="CODE", help="They see this account alone.")
@click.option("--everything", is_flag=True, help="They see everything again.")
@click.pass_obj
def bind(program: Program, name: str, account: str | None, everything: bool) -> None:
    """Let somebody see one account alone, or everything. Wherever they are logged in, that ends.

    \b
    Examples:
      ringback users bind ana --account acme
      ringback users bind ana --everything
    """
    from scheduler.service import access

    if (account is None) is not everything:
        raise click.UsageError("name an account with --account CODE, or write --everything")
    with program.working() as runtime:
        is_changed = access.bind_user(name, account, runtime=runtime)
    if is_changed:
        of = f"account {output.printable(account)} alone" if account is not None else "everything"
        click.echo(f"{output.printable(name)} sees {of} now")
    else:
        output.tell("it was so already")


@users.command("reset-second-factor")
@click.argument("name")
@click.pass_obj
def reset_second_factor(program: Program, name: str) -> None:
    """Take the second factor away from somebody who lost it. They set up a new one in the browser.

    \b
    Example:
      ringback users reset-second-factor ana
    """
    from scheduler.service import access

    with program.working() as runtime:
        is_changed = access.reset_second_factor(name, runtime=runtime)
    if is_changed:
        click.echo(f"{output.printable(name)} logs in with the password alone now")
    else:
        output.tell("there was none")


@users.command()
@click.argument("name")
@click.pass_obj
def remove(program: Program, name: str) -> None:
    """Remove somebody. Wherever they are logged in, that ends at once.

    \b
    Example:
      ringback users remove ana
    """
    from scheduler.service import access
    from scheduler.store import access as store

    def is_open(connection: Connection) -> bool:
        return not store.has_anybody(connection)

    with program.working() as runtime:
        ended = access.remove_user(name, runtime=runtime)
        opened = runtime.database.read(is_open)
    click.echo(f"{output.printable(name)} is removed; {_sessions(ended)} ended")
    if opened:
        tell_open()


def _read_password(from_stdin: bool) -> str:
    """Without echo, twice; or the first line of stdin."""
    if from_stdin:
        return sys.stdin.readline(LONGEST_LINE).rstrip("\r\n")
    password: str = click.prompt("Password", hide_input=True, confirmation_prompt="Again", err=True)
    return password


def _sessions(count: int) -> str:
    return f"{count} session{'' if count == 1 else 's'}"
