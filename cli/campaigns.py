"""`ringback campaigns`: calling efforts with rules of their own."""

from __future__ import annotations

import json
from typing import Any

import click

from cli import Program, output

STATUSES = ("active", "paused", "cancelled", "completed")


@click.group()
def campaigns() -> None:
    """Create and see campaigns: a list of leads with hours, retries and a provider of its own."""


@campaigns.command()
@click.argument("name")
@click.option("--code", help="Its public name, e.g. autumn-2027; made up when left out.")
@click.option("--description")
@click.option("--priority", type=int, default=0, show_default=True, help="Higher is served first.")
@click.option("--provider", help="Voice provider; that of the installation when left out.")
@click.option(
    "--settings", metavar="JSON|@FILE", help="call_settings: a JSON object, or @ and the name of a file that holds one."
)
@output.json_option
@click.pass_obj
def create(
    program: Program,
    name: str,
    code: str | None,
    description: str | None,
    priority: int,
    provider: str | None,
    settings: str | None,
    as_json: bool,
) -> None:
    """Create an active campaign and print its code.

    \b
    Example:
      ringback campaigns create "Autumn survey" --code autumn --settings
        '{"max_attempts": 4, "allowed_hours": {"start": "10:00", "end": "18:00"}, "days_of_week": [1, 2, 3]}'
    """
    from scheduler.service import operations

    document = _read_settings(settings)
    with program.working() as runtime:
        made = operations.create_campaign(
            name,
            code=code,
            description=description,
            priority=priority,
            provider=provider,
            call_settings=document,
            runtime=runtime,
        )
    if as_json:
        output.show({"code": made})
    else:
        click.echo(made)


@campaigns.command("list")
@click.option("--status", type=click.Choice(STATUSES), help="Only these.")
@output.json_option
@output.limit_option
@click.pass_obj
def list_(program: Program, status: str | None, as_json: bool, limit: int) -> None:
    """List campaigns, newest first.

    \b
    Example:
      ringback campaigns list --status active
    """
    from scheduler.store import reports

    with program.reading() as database:
        rows = database.read(lambda connection: reports.list_campaigns(connection, status=status, limit=limit + 1))
    columns = ("id", "code", "name", "status", "status_reason", "priority", "provider", "started_at", "completed_at")
    output.show_list(rows, columns, limit=limit, as_json=as_json, what="campaigns")


@campaigns.command()
@click.argument("campaign", metavar="CODE")
@output.json_option
@click.pass_obj
def show(program: Program, campaign: str, as_json: bool) -> None:
    """Show one campaign (by code or id): its settings, its leads and calls by status.

    \b
    Example:
      ringback campaigns show autumn
    """
    from cli.leads import find_campaign_id
    from scheduler.errors import InvalidSettings, NotFound
    from scheduler.rules.policy import read_call_settings
    from scheduler.store import reports

    with program.reading() as database:
        campaign_id = find_campaign_id(database, campaign)
        found = database.read(lambda connection: reports.find_campaign(connection, campaign_id or 0))
    if found is None:
        raise NotFound("campaign", campaign)
    written, found["settings_problem"] = found["call_settings"], None
    try:
        read_call_settings(written, f"campaign {found['code']}")
    except InvalidSettings as error:
        found["settings_problem"] = str(error)
    if as_json:
        output.show({**found, "call_settings": _as_document(written)})
    else:
        output.show_facts({name: value for name, value in found.items() if value is not None})


def _read_settings(text: str | None) -> str | None:
    if text is None or not text.startswith("@"):
        return text
    with open(text[1:], encoding="utf-8-sig") as file:  # noqa: PTH123 (the name is the person's own)
        try:
            return file.read()
        except UnicodeDecodeError as error:
            raise click.BadParameter(f"{text[1:]} is not UTF-8: {error}", param_hint="--settings") from None


def _as_document(text: str | None) -> Any:
    try:
        return None if text is None else json.loads(text)
    except ValueError:
        return text  # somebody broke it by SQL; settings_problem says so
