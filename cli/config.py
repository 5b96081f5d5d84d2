"""`ringback config`: the calling rules in `scheduler_config`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cli import Program, output

if TYPE_CHECKING:
    from scheduler.store.database import Database


@click.group()
def config() -> None:
    """See and change the calling rules.

    Hours, delays and maxima that hold for every campaign. They are rows of the table scheduler_config, and
    an UPDATE there does the same: a change acts at the daemon's next look. A campaign may have its own, in
    its call_settings.
    """


def _complete_key(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    from scheduler.rules.policy import ALL_KEYS

    return [key for key in ALL_KEYS if key.startswith(incomplete)]


@config.command("list")
@output.json_option
@output.limit_option
@click.pass_obj
def list_(program: Program, as_json: bool, limit: int) -> None:
    """Show every rule, and whether its value can be used.

    \b
    Example:
      ringback config list
    """
    with program.reading() as database:
        rows = _read(database)
    problem = ("problem",) if any(row["problem"] for row in rows) else ()
    columns = ("config_key", "config_value", "valid", "description", *problem)
    output.show_list(rows, columns, limit=limit, as_json=as_json, what="rules")


@config.command()
@click.argument("key", shell_complete=_complete_key)
@output.json_option
@click.pass_obj
def get(program: Program, key: str, as_json: bool) -> None:
    """Show one rule.

    \b
    Example:
      ringback config get working_hours_end
    """
    from scheduler.errors import InvalidValue, NotFound
    from scheduler.rules.policy import ALL_KEYS, CONFIG_KEYS

    with program.reading() as database:
        found = next((row for row in _read(database) if row["config_key"] == key), None)
    if found is None and key not in ALL_KEYS:
        raise InvalidValue("config_key", key, f"the keys are {', '.join(CONFIG_KEYS)}")
    if found is None:
        raise NotFound("row of scheduler_config for", key)
    if as_json:
        output.show(found)
    else:
        click.echo(output.printable(found["config_value"]))
        if found["problem"]:
            output.tell(found["problem"])


@config.command("set")
@click.argument("key", shell_complete=_complete_key)
@click.argument("value")
@click.pass_obj
def set_(program: Program, key: str, value: str) -> None:
    """Change one rule. A value that could not be used is refused, and nothing is written.

    \b
    Examples:
      ringback config set working_hours_end 18:30
      ringback config set busy_delay_hours 0.5
      ringback config set holidays CL,2026-12-24
    """
    from scheduler.service import operations

    with program.working() as runtime:
        operations.set_config(key, value, runtime=runtime)
    click.echo(f"{key} is {output.printable(value)!r} now; the daemon uses it from its next look on")


def _read(database: Database) -> list[dict[str, Any]]:
    from scheduler.rules.policy import read_config
    from scheduler.store import reports

    rows = database.read(reports.list_config)
    read = read_config({row["config_key"]: row["config_value"] for row in rows})
    problems = dict(read.problems) | {key: f"{key}: there is no such setting; misspelled?" for key in read.unknown}
    return [
        {**row, "valid": row["config_key"] not in problems, "problem": problems.get(row["config_key"])} for row in rows
    ]
