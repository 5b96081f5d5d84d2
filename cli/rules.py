"""`ringback rules`: the calling rules, tried out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from cli import output


@click.group()
def rules() -> None:
    """Try the calling rules out. Needs no database."""


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


def _read(path: Path) -> Any:
    from scheduler.errors import RingbackError

    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:  # no JSON, or no UTF-8
        raise RingbackError(f"{path} cannot be read: {error}; write a JSON list of cases, in UTF-8") from None
