"""`ringback explain`: why a lead is (not) called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from cli import Program, output
from cli.instants import HELP as INSTANT_HELP
from cli.instants import read_instant
from cli.leads import LEAD

if TYPE_CHECKING:
    from scheduler.service.explain import Explanation


@click.command()
@click.argument("lead_id", metavar="LEAD", type=LEAD)
@click.option("--at", metavar="TIME", callback=read_instant, help=f"Ask about that time instead of now. {INSTANT_HELP}")
@output.json_option
@click.pass_obj
def explain(program: Program, lead_id: int, at: datetime | None, as_json: bool) -> None:
    """Say why a lead is called, or why not and when: every question that the daemon asks before it dials.

    Each with its answer, what was compared, where the setting comes from and when the answer changes; then
    what is planned, and the steps that led there with the version of the rules that decided them. It is
    judged by what is known now: calls still to come may use up a cap, and lines may be busy.

    \b
    Examples:
      ringback explain 12
      ringback explain 12 --at 2027-03-01T10:00
    """
    from scheduler.service.explain import explain_lead

    with program.working() as runtime:
        found = explain_lead(lead_id, at=at, runtime=runtime)
    if as_json:
        output.show({**asdict(found), "answers": [_answer(one) for one in found.answers]})
    else:
        _show(found)


def _answer(one: Any) -> dict[str, Any]:
    return {
        "question": one.question, "verdict": one.word, "reason": one.reason, "values": one.values,
        "source": one.source or None, "opens_at": one.opens_at,
    }


def _show(found: Explanation) -> None:
    click.echo(f"lead {found.lead_id} at {output.words(found.at)}: {output.printable(found.decided)}")
    if found.first_yes_at is not None:
        click.echo(f"first yes: {output.words(found.first_yes_at)}")
    elif found.waiting_for:
        click.echo(f"waiting for: {output.printable(found.waiting_for)}")
    if found.planned is not None:
        click.echo()
        output.show_facts({"planned": "", **found.planned})
    click.echo()
    for one in found.answers:
        compared = _values(one.values) + (f" [{one.source}]" if one.source else "")
        click.echo(f"{one.word:>10}  {one.question:<29} {output.printable(compared)}")
        if one.reason:
            opens = f"; asked again {output.words(one.opens_at)}" if one.opens_at else ""
            click.echo(f"{'':>10}  -> {output.printable(one.reason)}{opens}")
    if found.steps:
        click.echo()
        output.show_table(found.steps, ("at", "kind", "reason", "rule_version"), title="steps, newest first")


def _values(values: Mapping[str, Any]) -> str:
    return "; ".join(f"{name}: {_plain(value)}" for name, value in values.items() if value is not None)


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_plain(one)}" for name, one in value.items()) or "none"
    return output.words(value)
