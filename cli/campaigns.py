"""`ringback campaigns`: calling efforts with rules of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from cli import Program, output
from scheduler.errors import RingbackError

STATUSES = ("active", "paused", "cancelled", "completed")


@click.group()
def campaigns() -> None:
    """Create and see campaigns.

    A campaign is a list of leads that may have hours, retries, a priority and a provider of its own: what
    its call_settings say goes before the rules that hold for all.
    """


@campaigns.command()
@click.argument("name")
@click.option("--code", help="Its public name, e.g. autumn-2027; made up when left out.")
@click.option("--description")
@click.option("--priority", type=int, default=0, show_default=True, help="Higher is served first.")
@click.option("--provider", help="Voice provider; that of the installation when left out.")
@click.option(
    "--settings", metavar="FILE|JSON", help="call_settings: a file with a JSON object, or the object itself."
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
    Examples:
      ringback campaigns create "Autumn survey" --code autumn --settings autumn.json
      ringback campaigns create Evening --settings '{"allowed_hours": {"start": "18:00", "end": "21:00"}}'
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
        output.show_facts(found)


def _read_settings(text: str | None) -> str | None:
    """The document itself, or what is in the file of that name."""
    if text is None or text.lstrip().startswith("{"):
        return text
    try:
        return Path(text).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise RingbackError(f"{text} is not UTF-8: {error}") from None


def _as_document(text: str | None) -> Any:
    try:
        return None if text is None else json.loads(text)
    except ValueError:
        return text  # somebody broke it by SQL; settings_problem says so
