"""`ringback rules`: the calling rules, tried out, and those of countries to start from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli import output

if TYPE_CHECKING:
    from scheduler.rules.presets import Preset


@click.group()
def rules() -> None:
    """Try the calling rules out, and see those of countries. Needs no database."""


@rules.command()
@click.argument("cases", type=click.Path(path_type=Path))
@output.json_option
@click.pass_context
def test(ctx: click.Context, cases: Path, as_json: bool) -> None:
    """Run a table of legal cases against these rules, as a regression test.

    CASES is a JSON file with a list of objects: name, settings (zones, windows, holidays, close_margin_s),
    base_utc, delay, and expected_utc, the instant that must come out (null: never). Exit code 1 when any case
    does not come out as expected.

    \b
    Example:
      ringback rules test my_cases.json
    """
    from scheduler.rules.cases import run_cases

    results = run_cases(_read(cases))
    rows = [
        {
            "name": one.name, "expected_utc": one.expected_utc, "actual_utc": one.actual_utc, "ok": one.ok,
            "why": one.why,
        }
        for one in results
    ]  # fmt: skip
    failed = sum(not one.ok for one in results)
    if as_json:
        output.show(rows)
    else:
        never = {"expected_utc": "never", "actual_utc": "never"}
        output.show_table(
            [{**row, **{key: word for key, word in never.items() if row[key] is None}} for row in rows],
            ("name", "expected_utc", "actual_utc", "ok", "why"),
        )
    output.tell(f"{len(rows)} cases, {failed} not as expected")
    ctx.exit(1 if failed else 0)


@rules.command()
@click.argument("name", required=False)
@output.json_option
@output.limit_option
def presets(name: str | None, as_json: bool, limit: int) -> None:
    """List the calling rules of countries to start from, or show everything about one.

    A campaign takes one with call_settings {"preset": "cl-collections"}: its hours and the campaign's own must
    both be open, and every cap must have room. A country alone (cl, us, uk) is the strictest of its presets.
    Certainty: A the law was read, B several secondary sources, C one source, or custom.

    \b
    Example:
      ringback rules presets
      ringback rules presets cl-collections
    """
    from scheduler.rules.presets import PRESETS, find_preset

    if name is not None:
        _show_preset(find_preset(name), as_json=as_json)
    else:
        _show_presets(list(PRESETS.values()), as_json=as_json, limit=limit)


def _show_presets(presets: Sequence[Preset], *, as_json: bool, limit: int) -> None:
    from scheduler.rules.presets import DISCLAIMER

    rows = [_facts(one) for one in presets]
    if as_json:
        output.show({"disclaimer": DISCLAIMER, "presets": rows[:limit]})
        if len(rows) > limit:
            output.tell(f"these are {limit} presets, and there are more; see --limit")
        return
    columns = ("name", "hours", "limits", "certainty", "gathered_on")
    output.show_list(rows, columns, limit=limit, as_json=False, what="presets")
    output.tell(DISCLAIMER)


def _show_preset(preset: Preset, *, as_json: bool) -> None:
    from scheduler.rules.presets import DISCLAIMER

    facts = _facts(preset)
    if as_json:
        output.show({**facts, "disclaimer": DISCLAIMER})
        return
    document, notes, caveats = (facts.pop(name) for name in ("call_settings", "notes", "caveats"))
    output.show_facts({**facts, "certainty": preset.spoken_certainty()})
    click.echo("\nnotes")
    for note in notes:
        click.echo(f"  - {note}")
    click.echo("\ncall_settings")
    click.echo(_document(document))
    for caveat in caveats:
        output.tell(caveat)
    output.tell(DISCLAIMER)


def _facts(preset: Preset) -> dict[str, Any]:
    return {
        "name": preset.name, "country": preset.country, "region": preset.region, "purpose": preset.purpose,
        "adds_to": preset.base, "clock": preset.clock or "lead", "hours": preset.spoken_hours(),
        "limits": preset.spoken_limits() or None, "certainty": preset.certainty,
        "gathered_on": f"{preset.gathered_on:%Y-%m}", "notes": preset.all_notes, "caveats": preset.caveats,
        "call_settings": preset.as_call_settings(),
    }  # fmt: skip


def _document(settings: Mapping[str, Any]) -> str:
    """JSON with a line for each setting: short enough to be read, and to be copied."""
    lines = [f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in settings.items()]
    return "{\n" + ",\n".join(lines) + "\n}" if lines else "{}"


def _read(path: Path) -> Any:
    from scheduler.errors import RingbackError

    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:  # no JSON, or no UTF-8
        raise RingbackError(f"{path} cannot be read: {error}; write a JSON list of cases, in UTF-8") from None
