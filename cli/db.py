"""`ringback db`: the tables and their version."""

from __future__ import annotations

import click

from cli import Program, output


@click.group()
def db() -> None:
    """Make and upgrade the tables.

    The tables are made by numbered migrations that come with the program; a database knows which of them
    it has had. Works on SQLite, MariaDB 10.6 and MySQL 8.4 and newer.
    """


@db.command()
@click.pass_obj
def upgrade(program: Program) -> None:
    """Bring the tables to the version of this program.

    Makes them in an empty database. Safe to repeat, and safe when two start it at once.

    \b
    Example:
      RINGBACK_DATABASE_URL=mysql+pymysql://user:password@host/dialer ringback db upgrade
    """
    from scheduler.store import schema

    with program.reading(check_schema=False) as database:
        before = schema.upgrade(database, output.tell)
        if before.is_current:
            click.echo(f"{database} is at revision {before.head} already")
        else:
            click.echo(f"{database} upgraded from {before.current or 'nothing'} to revision {before.head}")


@db.command()
@output.json_option
@click.pass_obj
def current(program: Program, as_json: bool) -> None:
    """Show which version the tables have.

    \b
    Example:
      ringback db current --json
    """
    from scheduler.store import schema

    with program.reading(check_schema=False) as database:
        state = schema.read_state(database)
        facts = {
            "database": str(database), "current": state.current, "head": state.head, "is_current": state.is_current,
            "problem": state.problem,
        }  # fmt: skip
    if as_json:
        output.show(facts)
    else:
        click.echo(f"{facts['database']}: {state.problem or f'at revision {state.current}, as this program needs it'}")


@db.command()
@output.json_option
@click.pass_context
def check(ctx: click.Context, as_json: bool) -> None:
    """Compare the tables with what this program expects, column by column.

    Exit code 1 when they are older, newer or otherwise different: somebody may have changed one by hand.

    \b
    Example:
      ringback db check
    """
    from scheduler.store import schema

    program: Program = ctx.obj
    with program.reading(check_schema=False) as database:
        state = schema.read_state(database)
        problems = [state.problem] if state.problem else schema.list_differences(database)
    if as_json:
        output.show({"ok": not problems, "current": state.current, "head": state.head, "problems": problems})
    else:
        for problem in problems:
            output.tell(problem)
        if not problems:
            click.echo(f"the tables are at revision {state.current} and as this program expects them")
    ctx.exit(1 if problems else 0)
