"""`ringback schedule`: what is planned."""

from __future__ import annotations

from datetime import datetime

import click

from cli import Program, output
from cli.instants import HELP as INSTANT_HELP
from cli.instants import read_instant
from cli.leads import LEAD, find_campaign_id

STATUSES = ("pending", "in_progress", "completed", "cancelled")


@click.group()
def schedule() -> None:
    """See and change what is planned.

    A scheduled call is a row of the table call_schedule: the intention to call a lead at or after a time.
    A lead has at most one that is open.
    """


@schedule.command("list")
@click.option("--due", is_flag=True, help="Only what may be dialed now: pending, due, lead open and not manual.")
@click.option("--status", type=click.Choice(STATUSES), help="Only these.")
@click.option("--lead", "lead_id", type=LEAD, metavar="ID", help="Only of this lead.")
@click.option("--campaign", metavar="CODE", help="Only of this campaign (code or id).")
@output.json_option
@output.limit_option
@click.pass_obj
def list_(
    program: Program,
    due: bool,
    status: str | None,
    lead_id: int | None,
    campaign: str | None,
    as_json: bool,
    limit: int,
) -> None:
    """List scheduled calls: pending ones by when they are due, otherwise newest first.

    \b
    Examples:
      ringback schedule list --due
      ringback schedule list --status pending --limit 20
    """
    from scheduler.store import reports

    if due and status not in (None, "pending"):
        raise click.UsageError("--due lists pending calls alone; leave --status out")
    with program.reading() as database:
        campaign_id = find_campaign_id(database, campaign)
        due_at = database.now() if due else None
        rows = database.read(
            lambda connection: reports.list_schedule(
                connection, due_at=due_at, status=status, lead_id=lead_id, campaign_id=campaign_id, limit=limit + 1
            )
        )
    columns = (
        "id", "lead_id", "nombre", "apellidos", "telefono", "scheduled_at", "attempt_number", "status",
        "last_outcome", "hold", "reason",
    )  # fmt: skip
    no = "nothing is due" if due else None
    output.show_list(rows, columns, limit=limit, as_json=as_json, what="scheduled calls", no=no)


@schedule.command()
@click.argument("lead_id", metavar="LEAD", type=LEAD)
@click.option("--at", metavar="TIME", callback=read_instant, help=f"When; now when left out. {INSTANT_HELP}")
@output.json_option
@click.pass_obj
def add(program: Program, lead_id: int, at: datetime | None, as_json: bool) -> None:
    """Plan a call to a lead, in place of what was planned for it.

    Outside calling hours it is dialed when they begin.

    \b
    Examples:
      ringback schedule add 12
      ringback schedule add 12 --at 2027-03-01T15:30
    """
    from scheduler.service import operations

    with program.working() as runtime:
        schedule_id = operations.schedule_call(lead_id, at=at, runtime=runtime)
    if as_json:
        output.show({"id": schedule_id, "lead_id": lead_id})
    else:
        click.echo(f"scheduled call {schedule_id} planned for lead {lead_id}")


@schedule.command()
@click.argument("lead_id", metavar="LEAD", type=LEAD)
@click.option("--reason", required=True, help="Why; it is kept with the row.")
@click.pass_obj
def cancel(program: Program, lead_id: int, reason: str) -> None:
    """Cancel what is planned for a lead. The lead stays open; a call in flight goes on.

    \b
    Example:
      ringback schedule cancel 12 --reason "paid this morning"
    """
    from scheduler.service import operations

    with program.working() as runtime:
        cancelled = operations.cancel_scheduled_calls_for_lead(lead_id, reason, runtime=runtime)
    click.echo(f"{cancelled} scheduled calls of lead {lead_id} cancelled" if cancelled else
               f"nothing was planned for lead {lead_id}")  # fmt: skip


@schedule.command()
@click.argument("schedule_id", metavar="ID", type=click.IntRange(1, 2**63 - 1))
@click.pass_obj
def release(program: Program, schedule_id: int) -> None:
    """Free a row in work whose process is gone, without waiting for its lease to end.

    Whether the call was made is looked up at the provider; it is never simply dialed again.

    \b
    Example:
      ringback schedule release 345
    """
    from scheduler.service import control

    with program.working() as runtime:
        click.echo(output.printable(control.release_call(schedule_id, runtime=runtime)))
