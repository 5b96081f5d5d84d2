"""`ringback leads`: the people to call."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli import Program, output
from cli.instants import HELP as INSTANT_HELP
from cli.instants import read_instant

if TYPE_CHECKING:
    from scheduler.store.database import Database

LEAD = click.IntRange(1, 2**63 - 1)
STATUSES = ("open", "closed", "suspended")


@click.group()
def leads() -> None:
    """Add, find and close the people to call.

    Rows written by SQL into the table leads are as good as these; plan their first call with a row in
    call_schedule, or with `ringback schedule add`.
    """


@leads.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--campaign", metavar="CODE", help="Put them into this campaign (code or id).")
@click.option("--default-country", metavar="CC", help="Country of numbers without +. [RINGBACK_DEFAULT_COUNTRY]")
@click.option("--encoding", default="utf-8-sig", show_default=True, help="How its letters are encoded, e.g. cp1252.")
@click.option("--delimiter", metavar="CHAR", help="Between fields; comma, semicolon and tab are recognised.")
@click.option("--rejects", type=click.Path(path_type=Path), help="Where rows that cannot be used go.")
@click.option("--dry-run", is_flag=True, help="Read and judge every row, write nothing.")
@output.json_option
@click.pass_context
def import_(
    ctx: click.Context,
    file: Path,
    campaign: str | None,
    default_country: str | None,
    encoding: str,
    delimiter: str | None,
    rejects: Path | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Add leads from a CSV file and plan their first calls.

    The first line names the columns, in English or Spanish: name/nombre, last_name/apellidos,
    phone/telefono, telefono2, email, time_zone, region... A row that cannot be used goes into the rejects
    file with its line, field and reason; the others are added. A number that is there already is not added
    again, so the same file may be imported twice.

    \b
    Example:
      ringback leads import examples/leads.csv --default-country CL
    """
    from scheduler.service import imports

    program: Program = ctx.obj
    with program.working() as runtime, _Bar(f"reading {file.name}") as bar:
        report = imports.import_leads(
            file,
            campaign=campaign,
            default_country=default_country or runtime.settings.default_country,
            encoding=encoding,
            delimiter=delimiter,
            rejects_path=rejects,
            dry_run=dry_run,
            on_progress=bar.move,
            runtime=runtime,
        )
    if as_json:
        output.show(report)
    else:
        done = "would be added" if dry_run else "added"
        click.echo(
            f"{file.name}: {report.read} rows read, {report.added} leads {done}, {report.duplicates} known already, "
            f"{report.rejected} rejected"
        )
    for warning in report.warnings:
        output.tell(warning)
    if not as_json:
        for one in report.first_rejects:
            output.tell(f"line {one.line}, {one.field} {one.value!r}: {one.reason}")
        more = report.rejected + report.duplicates - len(report.first_rejects)
        if more > 0:
            output.tell(f"... and {more} more")
    if report.rejects_path:
        output.tell(f"what was left out and why: {report.rejects_path}")
    nothing_usable = report.rejected and not report.added and not report.duplicates
    ctx.exit(1 if nothing_usable else 0)


@leads.command()
@click.option("--first-name", "--nombre", "first_name", help="First name.")
@click.option("--last-name", "--apellidos", "last_name", help="Last name.")
@click.option("--phone", "--telefono", "phones", multiple=True, required=True, help="Number; repeat it for several.")
@click.option("--default-country", metavar="CC", help="Country of numbers without +. [RINGBACK_DEFAULT_COUNTRY]")
@click.option("--campaign", metavar="CODE", help="Campaign (code or id).")
@click.option("--email")
@click.option("--time-zone", metavar="ZONE", help="Where the lead lives, e.g. America/Lima; else its number tells.")
@click.option("--region", metavar="CODE", help="Country and region, such as ES-CT.")
@click.option("--priority", type=int, default=0, show_default=True)
@click.option("--call-until", type=click.DateTime(["%Y-%m-%d"]), metavar="DATE", help="Last date to call, 2027-12-31.")
@click.option("--variables", metavar="JSON", help="What the voice agent should know: a JSON object.")
@click.option("--at", metavar="TIME", callback=read_instant, help=f"When to call first. {INSTANT_HELP}")
@output.json_option
@click.pass_obj
def add(
    program: Program,
    first_name: str | None,
    last_name: str | None,
    phones: tuple[str, ...],
    default_country: str | None,
    campaign: str | None,
    email: str | None,
    time_zone: str | None,
    region: str | None,
    priority: int,
    call_until: datetime | None,
    variables: str | None,
    at: datetime | None,
    as_json: bool,
) -> None:
    """Add one lead and plan its first call.

    \b
    Example:
      ringback leads add --first-name Ana --last-name Soto --phone +56912345678 --at 2027-03-01T10:00
    """
    from scheduler.service import operations

    with program.working() as runtime:
        lead_id = operations.add_lead(
            first_name,
            last_name,
            phones,
            default_country=default_country,
            campaign=campaign,
            email=email,
            time_zone=time_zone,
            region=region,
            priority=priority,
            call_until=call_until.date() if call_until else None,
            variables=_read_variables(variables),
            at=at,
            runtime=runtime,
        )
    if as_json:
        output.show({"id": lead_id})
    else:
        click.echo(f"lead {lead_id} added")


@leads.command("list")
@click.option("--status", type=click.Choice(STATUSES), help="Only these.")
@click.option("--campaign", metavar="CODE", help="Only of this campaign (code or id).")
@click.option("--phone", "--telefono", "phone", help="Only with this number.")
@output.json_option
@output.limit_option
@click.pass_obj
def list_(
    program: Program, status: str | None, campaign: str | None, phone: str | None, as_json: bool, limit: int
) -> None:
    """List leads, newest first.

    \b
    Example:
      ringback leads list --status open --limit 10
    """
    from scheduler.rules.phones import to_e164
    from scheduler.store import reports

    number = to_e164(phone, program.settings().default_country) if phone else None
    with program.reading() as database:
        campaign_id = find_campaign_id(database, campaign)
        rows = database.read(
            lambda connection: reports.list_leads(
                connection, status=status, campaign_id=campaign_id, telefono=number, limit=limit + 1
            )
        )
    columns = (
        "id", "nombre", "apellidos", "telefono", "lead_status", "closed_reason", "call_status",
        "call_attempts_count", "next_call_at",
    )  # fmt: skip
    output.show_list(rows, columns, limit=limit, as_json=as_json, what="leads")


@leads.command()
@click.argument("lead_id", metavar="ID", type=LEAD)
@output.json_option
@output.limit_option
@click.pass_obj
def show(program: Program, lead_id: int, as_json: bool, limit: int) -> None:
    """Show one lead: what it is, what is planned for it and why, and every call made.

    \b
    Example:
      ringback leads show 12
    """
    from scheduler.errors import NotFound
    from scheduler.store import reports

    with program.reading() as database:
        lead = database.read(lambda connection: reports.find_lead(connection, lead_id, limit=limit))
    if lead is None:
        raise NotFound("lead", lead_id)
    lead["variables"] = _as_json(lead["variables"])
    if as_json:
        output.show(lead)
        return
    parts = {name: lead.pop(name) for name in ("phones", "schedule", "attempts", "events")}
    output.show_facts(lead)
    for name, columns in (
        ("phones", ("position", "telefono", "status")),
        ("schedule", ("id", "scheduled_at", "attempt_number", "status", "last_outcome", "hold", "reason")),
        ("attempts", ("id", "attempt_number", "telefono", "state", "outcome", "placed_at", "ended_at", "error")),
        ("events", ("at", "kind", "actor", "reason")),
    ):
        if parts[name]:
            click.echo()
            output.show_table(parts[name], columns, title=name)


@leads.command()
@click.argument("lead_id", metavar="ID", type=LEAD)
@click.option("--reason", default="by_hand", show_default=True, help="Why, in a word; it is kept as closed_reason.")
@click.pass_obj
def close(program: Program, lead_id: int, reason: str) -> None:
    """Close a lead: nothing more is planned for it, and what was planned is cancelled.

    A call in flight goes on to its end.

    \b
    Example:
      ringback leads close 12 --reason paid
    """
    from scheduler.service import operations

    with program.working() as runtime:
        operations.close_lead(lead_id, reason=reason, runtime=runtime)
    click.echo(f"lead {lead_id} is closed")


@leads.command()
@click.argument("lead_id", metavar="ID", type=LEAD)
@click.pass_obj
def reopen(program: Program, lead_id: int) -> None:
    """Open a closed or suspended lead again, with a new first round of calls for a closed one.

    \b
    Example:
      ringback leads reopen 12
    """
    from scheduler.service import operations

    with program.working() as runtime:
        click.echo(operations.reopen_lead(lead_id, runtime=runtime))


@leads.command()
@click.argument("lead_id", metavar="ID", type=LEAD)
@click.pass_obj
def suspend(program: Program, lead_id: int) -> None:
    """Stop calling a lead until it is reopened. What was planned for it is kept and held.

    \b
    Example:
      ringback leads suspend 12
    """
    from scheduler.service import operations

    with program.working() as runtime:
        operations.suspend_lead(lead_id, runtime=runtime)
    click.echo(f"lead {lead_id} is suspended; `ringback leads reopen {lead_id}` goes on with it")


def find_campaign_id(database: Database, key: str | None) -> int | None:
    """The id of a campaign given by code or id. Raises NotFound."""
    from scheduler.errors import NotFound
    from scheduler.store import campaigns

    if key is None:
        return None
    found = database.read(lambda connection: campaigns.find_campaign(connection, key))
    if found is None:
        raise NotFound("campaign", key)
    return found.id


def _refuse_constant(word: str) -> None:
    raise ValueError(f"{word} is not JSON")


def _read_variables(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        found = json.loads(text, parse_constant=_refuse_constant)
    except ValueError as error:
        raise click.BadParameter(f"it is not JSON: {error}", param_hint="--variables") from None
    if not isinstance(found, dict):
        raise click.BadParameter('it must be a JSON object, like {"plan": "gold"}', param_hint="--variables")
    return found


def _as_json(text: str | None) -> Any:
    """A JSON column as it is meant; one that somebody broke by SQL as it is written."""
    try:
        return None if text is None else json.loads(text)
    except ValueError:
        return text


class _Bar:
    """A progress bar on stderr, when somebody watches it."""

    def __init__(self, title: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

        screen = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TimeRemainingColumn(),
            console=screen, transient=True, disable=not screen.is_terminal,
        )  # fmt: skip
        self._task = self._bar.add_task(title, total=None)

    def __enter__(self) -> _Bar:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def move(self, done: int, total: int) -> None:
        self._bar.update(self._task, completed=done, total=total)
