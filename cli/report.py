"""`ringback report`: how a campaign is doing, as tables and bars, as a document, as a plot."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli import Program, output
from cli.instants import FIRST_YEAR, LAST_YEAR, LOOKS_LIKE_ISO, read_instant, read_span

if TYPE_CHECKING:
    from rich.console import Console

    from scheduler.service.report import Answers, Report, Since

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
BAR_WIDTH = 24
EIGHTHS = " ▏▎▍▌▋▊▉"
SHADES = ("white on grey23", "white on dark_blue", "white on dark_cyan", "black on sea_green3", "black on yellow2")
"""From the fewest answers to the most."""


def read_since(ctx: click.Context, param: click.Parameter, value: str | None) -> Since | None:
    """Callback: a date, a time, or a span such as 7d."""
    if value is None:
        return None
    text = value.strip()
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        try:
            day = date.fromisoformat(text)
        except ValueError as error:
            raise click.BadParameter(f"{value!r} is no date ({error}); write it like 2027-03-01") from None
        if not FIRST_YEAR <= day.year <= LAST_YEAR:
            raise click.BadParameter(f"{value!r} is out of range; write a year from {FIRST_YEAR} to {LAST_YEAR}")
        return day
    if LOOKS_LIKE_ISO.match(text):
        return read_instant(ctx, param, text)
    if re.match(r"\d+(\.\d+)?\s*[smhdw]\s*$", text.lower()):
        return read_span(ctx, param, text)
    raise click.BadParameter(f"{value!r} is no time; write a date (2027-03-01), a time, or a span (7d, 24h)")


@click.command()
@click.option("--campaign", metavar="CODE", help="Of this campaign alone (code or id).")
@click.option(
    "--since", metavar="TIME", callback=read_since,
    help="Only what happened since a date (2027-03-01) or time on the clock of scheduler_config.timezone, an instant "
    "(2027-03-01T15:00:00Z), or within a span until now (7d, 24h).",
)
@output.json_option
@click.option("--csv", "as_csv", is_flag=True, help="One table on stdout: section,key,subkey,value.")
@click.option(
    "--plot", metavar="FILE.png", type=click.Path(path_type=Path),
    help="Also draw funnel, outcomes and answer rates into this file; needs the extra `plot`.",
)
@click.pass_obj
def report(
    program: Program, campaign: str | None, since: Since | None, as_json: bool, as_csv: bool, plot: Path | None
) -> None:
    """Show how a campaign, or everything, is doing.

    \b
    called      leads with an attempt (one dial); a refused one made no call and does not count
    reached     leads of which a person answered an attempt: it ended completed, callback, do_not_call or hang_up
    succeeded   leads with an attempt that ended completed, as `ringback stats` counts success
    answered    attempts that a person took, as for `reached`; rates are of attempts that have ended
    put off     by calling hours, caps, balance, pauses, a busy line: how often, and who waits so now
    delays      from the end of a call to the first of the next round; planned is what the settings say
    cost        as providers report it; minutes are those talked
    ETA         leads with a planned call, over those that calls close in an hour: in the last hour, else in the
                hours with calls of the last day. It goes on only inside the hours of the campaign with most leads

    Hours and weekdays are those of the lead's own zone, known as the daemon knows it; where a number may be in
    several zones, that of the campaign or of the installation if it is one of them. All leads are counted,
    whatever `--since` says; what happened to them is counted since then.

    \b
    Examples:
      ringback report --campaign autumn --since 7d
      ringback report --since 2027-03-01 --csv > march.csv
      ringback report --campaign autumn --plot autumn.png
    """
    from scheduler.service.report import make_report

    if as_json and as_csv:
        raise click.UsageError("--json and --csv cannot both be written to stdout; choose one")
    if plot is not None:
        from cli.plots import check_plot

        check_plot(plot)
    with program.working() as runtime:
        found = make_report(campaign, since, runtime=runtime)
    if as_json:
        output.show(found)
    elif as_csv:
        click.echo(_as_csv(output.plain(found)), nl=False)
    else:
        _show(found)
    if plot is not None:
        from cli.plots import draw_report

        draw_report(found, plot)
        output.tell(f"drawn into {plot}")


# --- one table ----------------------------------------------------------------------------------


def _as_csv(document: Mapping[str, Any]) -> str:
    from scheduler.rules.cells import neutralise

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("section", "key", "subkey", "value"))
    for path, value in _leaves(document):
        cells = [*_columns(path), "" if value is None else value]
        writer.writerow([neutralise(output.printable(cell)) if isinstance(cell, str) else cell for cell in cells])
    return text.getvalue()


def _leaves(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every single value, with the names on the way to it. An item of a list is named by its first value."""
    if isinstance(node, list):
        node = {next(iter(item.values())): dict(list(item.items())[1:]) for item in node}
    if isinstance(node, Mapping):
        for name, child in node.items():
            yield from _leaves(child, (*path, name))
    else:
        yield path, node


def _columns(path: Sequence[str]) -> tuple[str, str, str]:
    """Section, key and subkey: the last two names, and what is before them as one; weekday and hour are one key."""
    if len(path) == 1:
        return "report", path[0], ""
    if len(path) == 2:
        return path[0], path[1], ""
    if len(path) == 5:
        return "_".join(path[:2]), " ".join(path[2:4]), path[4]
    return "_".join(path[:-2]), path[-2], path[-1]


# --- for people ---------------------------------------------------------------------------------


def _show(found: Report) -> None:
    screen = output.console()
    about = f"campaign {found.campaign}" if found.campaign else "all leads"
    since = f"since {output.words(found.since)}" if found.since else "since the beginning"
    click.echo(output.printable(f"{about}, {since}, as of {output.words(found.at)}"))
    _show_funnel(screen, found)
    if found.attempts.total or found.attempts.refused:
        _show_attempts(screen, found)
        _show_hours(screen, found)
    else:
        click.echo("\nno attempt was made")
    _show_postponed(screen, found)
    _show_delays(screen, found)
    if found.attempts.total:
        _show_spent(found)
    _show_eta(found)


def _show_funnel(screen: Console, found: Report) -> None:
    funnel = found.funnel
    steps = {"leads": funnel.leads, "called": funnel.called, "reached": funnel.reached, "succeeded": funnel.succeeded,
             "closed": funnel.closed}
    _table(screen, "leads", [
        {"": name, "leads": leads, "of all": _percent(leads, funnel.leads), " ": _bar(screen, leads, funnel.leads)}
        for name, leads in steps.items()
    ])
    _table(screen, "closed because", [
        {"reason": reason, "leads": leads, "of closed": _percent(leads, funnel.closed),
         "": _bar(screen, leads, funnel.closed)}
        for reason, leads in funnel.closed_by_reason.items()
    ])


def _show_attempts(screen: Console, found: Report) -> None:
    attempts, funnel, first = found.attempts, found.funnel, found.first_answer
    most = max(funnel.by_outcome.values(), default=0)
    _table(screen, "attempts by outcome", [
        {"outcome": outcome, "attempts": number, "leads": funnel.leads_by_outcome[outcome],
         "of ended": _percent(number, attempts.ended), "": _bar(screen, number, most)}
        for outcome, number in funnel.by_outcome.items()
    ])
    click.echo(
        f"{attempts.total} attempts: {attempts.ended} ended ({_rate(attempts.answer_rate)} answered, "
        f"{_rate(attempts.success_rate)} completed), {attempts.in_progress} in progress; {attempts.refused} refused"
    )
    most = max(first.by_attempt.values(), default=0)
    _table(screen, f"attempts to first answer (mean {first.mean}, median {first.median})", [
        {"attempt": number, "leads": leads, "of reached": _percent(leads, first.leads), "": _bar(screen, leads, most)}
        for number, leads in first.by_attempt.items()
    ])


def _show_hours(screen: Console, found: Report) -> None:
    rates = found.answer_rate
    _table(screen, "answer rate by hour, on the clock of each lead",
           [{"hour": f"{hour:02}", **_answers(screen, one)} for hour, one in rates.by_hour.items() if one.attempts])
    _table(screen, "answer rate by weekday, on the clock of each lead",
           [{"day": DAYS[day - 1], **_answers(screen, one)} for day, one in rates.by_weekday.items() if one.attempts])
    hours = [hour for hour, one in rates.by_hour.items() if one.attempts]
    if hours:
        _show_week(screen, rates.by_weekday_and_hour, hours)


def _answers(screen: Console, one: Answers) -> dict[str, Any]:
    bar = _bar(screen, one.answered, one.attempts)
    return {"attempts": one.attempts, "answered": one.answered, "rate": _rate(one.rate), "": bar}


def _show_week(screen: Console, week: Mapping[int, Mapping[int, Answers]], hours: Sequence[int]) -> None:
    """A line for each weekday, a column for each hour, the percentage answered in it, the best ones brightest."""
    from rich.text import Text

    best = max((one.rate or 0 for day in week.values() for one in day.values()), default=0)
    wide = 4 if 4 * len(hours) + 4 <= screen.width else 3
    none = "." if screen.options.ascii_only else "·"
    screen.print(f"\npercent answered by weekday and hour ({none} no attempt)")
    screen.print("    " + "".join(f"{hour:>{wide}}" for hour in hours))
    for day, by_hour in week.items():
        line = Text(f"{DAYS[day - 1]:<4}")
        for hour in hours:
            rate = by_hour[hour].rate if hour in by_hour else None
            shade = SHADES[min(int((rate or 0) / best * len(SHADES)), len(SHADES) - 1)] if best else SHADES[0]
            cell = none if rate is None else f"{100 * rate:.0f}"
            line.append(f"{cell:>{wide}}", style="" if rate is None else shade)
        screen.print(line)


def _show_postponed(screen: Console, found: Report) -> None:
    most = max((one.times for one in found.postponed.times), default=0)
    _table(screen, "put off", [
        {"by": one.cause, "times": one.times, "leads": one.leads, "": _bar(screen, one.times, most)}
        for one in found.postponed.times
    ])
    _table(screen, "waiting now, later than wished", [
        {"by": one.cause, "calls": one.calls, "mean": _lasting(one.mean_seconds),
         "longest": _lasting(one.longest_seconds)}
        for one in found.postponed.waiting
    ])


def _show_delays(screen: Console, found: Report) -> None:
    _table(screen, "delays used, from the end of a call to the next round", [
        {"after": one.outcome, "times": one.times, "median": _lasting(one.median_seconds),
         "90 % within": _lasting(one.p90_seconds),
         "planned": "differs" if one.planned_seconds is None else _lasting(one.planned_seconds)}
        for one in found.delays
    ])


def _show_spent(found: Report) -> None:
    from scheduler.rules.billing import say_unit

    spent = found.spent
    click.echo("\ncost")
    output.show_facts({
        "minutes talked": f"{spent.minutes:g}{_each(spent.minutes_per_reached_lead)}",
        **{
            say_unit(one.unit) or "without a unit":
                f"{one.cost:f} for {one.attempts} attempts{_each(one.per_reached_lead)}"
            for one in spent.by_unit
        },
    })


def _each(per_lead: object) -> str:
    return "" if per_lead is None else f" ({per_lead} for each lead reached)"


def _show_eta(found: Report) -> None:
    eta = found.eta
    click.echo("\nETA at the present pace")
    output.show_facts({
        "leads left": f"{eta.left}" + (f", {eta.held} held for people" if eta.held else "")
        + (f", {eta.stopped} in campaigns that are not active" if eta.stopped else ""),
        "closed per hour": None if eta.closed_per_hour is None else f"{eta.closed_per_hour:g}",
        "hours of calling": None if eta.hours_of_calling is None else f"{eta.hours_of_calling:g}",
        "done": eta.at or "unknown",
        "method": eta.method.removeprefix("unknown: "),
    })


def _table(screen: Console, title: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """A short table with its title; numbers stand to the right. Nothing at all without rows."""
    from rich.table import Table
    from rich.text import Text

    shown = list(rows)
    if not shown:
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column, (name, value) in enumerate(shown[0].items()):
        is_text = column == 0 or not name.strip()
        table.add_column(name, justify="left" if is_text and not isinstance(value, int) else "right", no_wrap=True)
    for row in shown:
        table.add_row(*[Text(output.printable(output.words(value))) for value in row.values()])
    screen.print(Text(f"\n{title}"))
    screen.print(table)


def _bar(screen: Console, part: float, whole: float) -> str:
    """As long as its part of the whole; in eighths of a letter where the terminal can show them."""
    if not whole:
        return ""
    length = BAR_WIDTH * min(part / whole, 1)
    if screen.options.ascii_only:
        return "#" * round(length)
    full, eighths = divmod(round(length * 8), 8)
    return ("█" * full + EIGHTHS[eighths]).rstrip()


def _percent(part: int, whole: int) -> str:
    return _rate(part / whole if whole else None)


def _rate(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:.1%}"


def _lasting(seconds: float) -> str:
    """A length of time in its two largest units."""
    length = timedelta(seconds=round(seconds))
    hours, rest = divmod(length.seconds, 3600)
    minutes, left = divmod(rest, 60)
    parts = [(length.days, "d"), (hours, "h"), (minutes, "min"), (left, "s")]
    said = [f"{number} {unit}" for number, unit in parts if number]
    return " ".join(said[:2]) or "0 s"


__all__ = ["read_since", "report"]
