"""`ringback stats`: the figures."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from cli import Program, output

if TYPE_CHECKING:
    from scheduler.store.database import Database


@click.command()
@output.json_option
@click.pass_obj
def stats(program: Program, as_json: bool) -> None:
    """Show where everything stands.

    Scheduled calls and leads by status, what is due and in flight, attempts and outcomes. Today is the date
    in the zone of scheduler_config.timezone. A success is an attempt that ended `completed`; per outcome it
    is the share of attempts whose lead was reached in the end, by that call or a later one.

    \b
    Example:
      ringback stats --json
    """
    with program.reading() as database:
        figures = read_figures(database)
    if as_json:
        output.show(figures)
    else:
        _show(figures)


def read_figures(database: Database) -> dict[str, Any]:
    """The figures, with the date and zone that `today` means."""
    from scheduler.rules.hours import day_start, zone_info
    from scheduler.rules.policy import Policy, read_config
    from scheduler.store import reports, settings

    now = database.now()
    config = read_config(database.read(settings.read_config_rows))
    zone = Policy(config).default_zone  # UTC when the row cannot be used; `check` says why
    today = now.astimezone(zone_info(zone)).date()
    start = day_start(today, zone_info(zone))
    figures = database.read(lambda connection: reports.read_stats(connection, now, start))
    return {"timezone": zone, "today": today, "today_since": start, **figures}


def _show(figures: dict[str, Any]) -> None:
    due = str(figures["due_now"])
    if figures["due_in_stopped_campaigns"]:
        due += f" ({figures['due_in_stopped_campaigns']} of them in campaigns that are not active)"
    output.show_facts(
        {
            "at": figures["at"],
            "scheduled calls": figures["schedule"],
            "due now": due,
            "next due": _relative(figures["next_due_at"], figures["at"]),
            "in flight": f"{figures['in_flight']} ({output.words(figures['in_flight_by_state'])})",
            "leads": figures["leads"],
            "closed because": figures["closed_reasons"],
            f"attempts today ({figures['today']}, {figures['timezone']})": figures["attempts"]["today"],
            "attempts in total": figures["attempts"]["total"],
            "refused, not spent": figures["refused"]["total"],
            "success": f"{output.share(figures['success_rate']['today']) or 'none'} today, "
            f"{output.share(figures['success_rate']['total']) or 'none'} in total",
        }
    )
    rows = [
        {
            "outcome": outcome,
            "today": figures["outcomes"]["today"].get(outcome, 0),
            "total": total,
            "lead reached in the end": output.share(figures["success_by_outcome"].get(outcome, {}).get("success_rate")),
        }
        for outcome, total in figures["outcomes"]["total"].items()
    ]
    if rows:
        click.echo()
        output.show_table(rows, tuple(rows[0]))


def _relative(at: datetime | None, now: datetime) -> str:
    if at is None:
        return "nothing is planned in an active campaign"
    return f"{output.words(at)}" + (" (due)" if at <= now else "")
