"""`ringback recovery`: a database that came back older than it was, and calls that it does not know."""

from __future__ import annotations

import click

from cli import Program, output


@click.group()
def recovery() -> None:
    """See whether everything is held because the database came back older than it was, and let it go on."""


@recovery.command()
@output.json_option
@output.limit_option
@click.pass_obj
def show(program: Program, as_json: bool, limit: int) -> None:
    """List when the database was found to be older than what was done, newest first.

    One that is not released holds everything: nothing is dialed.

    \b
    Example:
      ringback recovery show
    """
    from scheduler.store import recoveries

    with program.working() as runtime:
        found = runtime.database.read(lambda connection: recoveries.list_recoveries(connection, limit + 1))
    rows = [output.plain(one) for one in found]
    columns = (
        "id", "noticed_at", "noticed_by", "reason", "newest_at", "adopted", "unplaced", "doubt", "released_at",
        "released_by",
    )  # fmt: skip
    output.show_list(rows, columns, limit=limit, as_json=as_json, what="recoveries")


@recovery.command()
@click.option("--reason", help="What was found at the provider; kept in the audit.")
@click.pass_obj
def release(program: Program, reason: str | None) -> None:
    """Let calls be taken again.

    Look first, in the provider's own list, for calls since `newest_at`: who was called then is called again otherwise.

    \b
    Example:
      ringback recovery release --reason "no calls after 10:42 in the console"
    """
    from scheduler.service.recovery import release_recovery

    with program.working() as runtime:
        click.echo(release_recovery(reason, runtime=runtime))
