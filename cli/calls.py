"""`ringback calls`: what was dialed and what came of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from cli import Program, output
from cli.instants import HELP as INSTANT_HELP
from cli.instants import read_instant
from cli.leads import LEAD
from cli.report import read_since

if TYPE_CHECKING:
    from scheduler.service.report import Since
    from scheduler.store import listings

STATES = ("placing", "live", "unknown", "ended", "refused")
ATTEMPT = LEAD


@click.group()
def calls() -> None:
    """See calls, record those made by hand, end and settle them.

    An attempt is one dial, a row of the table call_attempts. `live` is in flight, `unknown` may or may not
    have been made (it is looked up, never repeated), `refused` is proven not to have been made.
    """


def _complete_outcome(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    from scheduler.model import Outcome

    return [one.value for one in Outcome if one.startswith(incomplete)]


@calls.command()
@click.argument("lead_id", metavar="LEAD", type=LEAD)
@click.argument("outcome", shell_complete=_complete_outcome)
@click.option(
    "--callback-at",
    metavar="TIME",
    callback=read_instant,
    help=f"When the lead wants to be called, for the outcome callback. {INSTANT_HELP}",
)
@click.pass_obj
def record(program: Program, lead_id: int, outcome: str, callback_at: datetime | None) -> None:
    """Record a call that was made by hand: cancels what was planned, then decides what follows.

    Outcomes: completed, callback, no_answer, busy, hang_up, voicemail, failed, invalid_number, do_not_call.

    \b
    Examples:
      ringback calls record 12 no_answer
      ringback calls record 12 callback --callback-at 2027-03-01T18:00
    """
    from scheduler.service import operations

    zone = None
    if callback_at is not None and callback_at.tzinfo is not None:
        callback_at, zone = callback_at.astimezone(UTC).replace(tzinfo=None), "UTC"
    with program.working() as runtime:
        follows = operations.record_call(
            lead_id, outcome, callback_at=callback_at, callback_zone=zone, runtime=runtime
        )
    click.echo(output.printable(follows))


@calls.command("list")
@click.option("--lead", "lead_id", type=LEAD, metavar="ID", help="Only of this lead.")
@click.option("--state", type=click.Choice(STATES), help="Only in this state.")
@click.option("--open", "is_open", is_flag=True, help="Only those in flight: placing, live or unknown.")
@click.option("--outcome", shell_complete=_complete_outcome, help="Only with this outcome.")
@click.option("--search", metavar="TEXT", help="Only to a number (its last digits too), or a lead's name or e-mail.")
@click.option(
    "--since", metavar="TIME", callback=read_since,
    help="Only since a date (2027-03-01) or time on the installation's clock, an instant, or a span (7d).",
)
@click.option("--until", metavar="TIME", callback=read_since, help="Only before then, in the same words.")
@output.json_option
@output.limit_option
@click.pass_obj
def list_(
    program: Program,
    lead_id: int | None,
    state: str | None,
    is_open: bool,
    outcome: str | None,
    search: str | None,
    since: Since | None,
    until: Since | None,
    as_json: bool,
    limit: int,
) -> None:
    """List attempts, newest first.

    \b
    Examples:
      ringback calls list --open
      ringback calls list --lead 12 --json
      ringback calls list --search "901002192" --outcome no_answer --since 2027-03-01
    """
    from scheduler.service.outcomes import read_outcome
    from scheduler.service.report import resolve_since
    from scheduler.service.rulebook import RuleBook
    from scheduler.store import listings

    word = read_outcome(outcome).value if outcome else None
    with program.reading() as database:
        zone = database.read(RuleBook().read).policy(None).default_zone if since or until else ""
        first = resolve_since(since, database.now(), zone) if since else None
        last = resolve_since(until, database.now(), zone) if until else None

        def read(before: listings.Place | None) -> listings.Rows:
            return database.read(lambda connection: listings.list_attempts_page(
                connection, state=state, outcome=word, lead_id=lead_id, is_open=is_open, search=search,
                since=first, until=last, before=before, limit=limit,
            ))

        rows = listings.read_on(read, limit)
    columns = (
        "id", "lead_id", "attempt_number", "telefono", "provider", "state", "outcome", "placed_at", "ended_at",
        "talk_seconds", "error",
    )  # fmt: skip
    output.show_list(rows, columns, limit=limit, as_json=as_json, what="attempts")


@calls.command()
@click.argument("attempt_id", metavar="ID", type=ATTEMPT)
@click.pass_obj
def hangup(program: Program, attempt_id: int) -> None:
    """End a live call. ID is that of the attempt, see `ringback calls list --open`.

    \b
    Example:
      ringback calls hangup 731
    """
    from scheduler.service import operations

    with program.working() as runtime:
        click.echo(output.printable(operations.hang_up_call(attempt_id, runtime=runtime)))


@calls.command()
@click.argument("attempt_id", metavar="ID", type=ATTEMPT)
@click.argument("outcome", shell_complete=_complete_outcome)
@click.pass_obj
def resolve(program: Program, attempt_id: int, outcome: str) -> None:
    """Say what became of a live or unknown attempt, when you know and the provider does not tell.

    \b
    Example:
      ringback calls resolve 731 no_answer
    """
    from scheduler.service import operations

    with program.working() as runtime:
        click.echo(output.printable(operations.resolve_call(attempt_id, outcome, runtime=runtime)))
