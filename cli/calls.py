"""`ringback calls`: what was dialed and what came of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from cli import Program, output
from cli.instants import HELP as INSTANT_HELP
from cli.instants import read_instant
from cli.leads import LEAD

STATES = ("placing", "live", "unknown", "ended", "refused")


class Call(click.ParamType[str]):
    """A call by the id of its attempt, by our reference, or by the id that its provider has given it."""

    name = "call"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not value.strip() or len(value) > 128 or not value.isprintable():
            self.fail("write the id of an attempt, its attempt_ref, or the provider's id of the call", param, ctx)
        return value.strip()


class LeadOrCall(click.ParamType["int | str"]):
    """The id of a lead, or else what names a call."""

    name = "lead"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        kind: click.ParamType[Any] = LEAD if value.strip().lstrip("-").isdecimal() else CALL
        found: int | str = kind.convert(value, param, ctx)
        return found


CALL, LEAD_OR_CALL = Call(), LeadOrCall()


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
@click.argument("about", metavar="LEAD", type=LEAD_OR_CALL)
@click.argument("outcome", shell_complete=_complete_outcome)
@click.option(
    "--callback-at",
    metavar="TIME",
    callback=read_instant,
    help=f"When the lead wants to be called, for the outcome callback. {INSTANT_HELP}",
)
@click.pass_obj
def record(program: Program, about: int | str, outcome: str, callback_at: datetime | None) -> None:
    """Record a call that was made by hand: cancels what was planned, then decides what follows.

    In the place of LEAD, the attempt_ref of a call of ours, or the provider's id of it, says what was learnt on that
    call, also while it goes on: what its provider tells later is added.

    Outcomes: completed, callback, no_answer, busy, hang_up, voicemail, failed, invalid_number, do_not_call.

    \b
    Examples:
      ringback calls record 12 no_answer
      ringback calls record 12 callback --callback-at 2027-03-01T18:00
      ringback calls record CA5d0d0d8047bf685c3f0ff980fe62c123 completed
    """
    from scheduler.service import operations

    zone = None
    if callback_at is not None and callback_at.tzinfo is not None:
        callback_at, zone = callback_at.astimezone(UTC).replace(tzinfo=None), "UTC"
    with program.working() as runtime:
        told: dict[str, Any] = {"callback_at": callback_at, "callback_zone": zone, "runtime": runtime}
        if isinstance(about, int):
            follows = operations.record_call(about, outcome, **told)
        else:
            follows = operations.report_call(about, outcome, **told)
    click.echo(output.printable(follows))


@calls.command("list")
@click.option("--ref", type=CALL, metavar="REF", help="Only the call with this attempt_ref or provider's id.")
@click.option("--lead", "lead_id", type=LEAD, metavar="ID", help="Only of this lead.")
@click.option("--state", type=click.Choice(STATES), help="Only in this state.")
@click.option("--open", "is_open", is_flag=True, help="Only those in flight: placing, live or unknown.")
@click.option("--outcome", shell_complete=_complete_outcome, help="Only with this outcome.")
@output.json_option
@output.limit_option
@click.pass_obj
def list_(
    program: Program,
    ref: str | None,
    lead_id: int | None,
    state: str | None,
    is_open: bool,
    outcome: str | None,
    as_json: bool,
    limit: int,
) -> None:
    """List attempts, newest first.

    \b
    Examples:
      ringback calls list --open
      ringback calls list --lead 12 --json
    """
    from scheduler.rules.policy import PROVIDER_NAMES
    from scheduler.service.outcomes import read_outcome
    from scheduler.store import calls as attempts
    from scheduler.store import reports

    word = read_outcome(outcome).value if outcome else None
    with program.reading() as database:
        rows = database.read(
            lambda connection: reports.list_attempts(
                connection, state=state, outcome=word, lead_id=lead_id, is_open=is_open, limit=limit + 1,
                attempt_id=(attempts.find_attempt_id(connection, ref, PROVIDER_NAMES) or 0) if ref else None,
            )
        )
    columns = (
        "id", "lead_id", "attempt_number", "telefono", "provider", "state", "outcome", "placed_at", "ended_at",
        "talk_seconds", "error",
    )  # fmt: skip
    output.show_list(rows, columns, limit=limit, as_json=as_json, what="attempts")


@calls.command()
@click.argument("call", metavar="CALL", type=CALL)
@click.pass_obj
def hangup(program: Program, call: str) -> None:
    """End a live call.

    CALL is the id of the attempt (see `ringback calls list --open`), its attempt_ref, or the provider's id of the call.

    \b
    Example:
      ringback calls hangup 731
    """
    from scheduler.service import operations

    with program.working() as runtime:
        click.echo(operations.hang_up_call(operations.find_call(call, runtime=runtime), runtime=runtime))


@calls.command()
@click.argument("call", metavar="CALL", type=CALL)
@click.argument("outcome", shell_complete=_complete_outcome)
@click.pass_obj
def resolve(program: Program, call: str, outcome: str) -> None:
    """Say what became of a live or unknown attempt, when you know and the provider does not tell.

    CALL is the id of the attempt, its attempt_ref, or the provider's id of the call.

    \b
    Example:
      ringback calls resolve 731 no_answer
    """
    from scheduler.service import operations

    with program.working() as runtime:
        attempt_id = operations.find_call(call, runtime=runtime)
        click.echo(output.printable(operations.resolve_call(attempt_id, outcome, runtime=runtime)))
