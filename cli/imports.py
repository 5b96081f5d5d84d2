"""`ringback imports`: the files that were imported, and taking one back."""

from __future__ import annotations

import json

import click

from cli import Program, output
from cli.leads import find_campaign_id

IMPORT = click.IntRange(1, 2**63 - 1)


@click.group()
def imports() -> None:
    """See the files that were imported, and take back what was not called.

    `ringback leads import FILE` makes an import.
    """


@imports.command("list")
@click.option("--campaign", metavar="CODE", help="Only into this campaign (code or id).")
@output.json_option
@output.limit_option
@click.pass_obj
def list_(program: Program, campaign: str | None, as_json: bool, limit: int) -> None:
    """List imports, newest first.

    One that stays `running` after its end was killed: importing the same file again adds the rest.

    \b
    Example:
      ringback imports list --campaign autumn
    """
    from scheduler.store import imports as store

    with program.reading() as database:
        campaign_id = find_campaign_id(database, campaign)
        rows = database.read(
            lambda connection: store.list_imports(connection, campaign_id=campaign_id, limit=limit + 1)
        )
    columns = (
        "id", "campaign", "file_name", "status", "rows_read", "added", "duplicates", "rejected", "taken_back",
        "created_at",
    )  # fmt: skip
    output.show_list(rows, columns, limit=limit, as_json=as_json, what="imports")


@imports.command()
@click.argument("import_id", metavar="ID", type=IMPORT)
@output.json_option
@click.pass_obj
def show(program: Program, import_id: int, as_json: bool) -> None:
    """Show one import: counts per verdict, its first rejects, and what has become of its leads.

    \b
    Example:
      ringback imports show 12
    """
    from scheduler.errors import NotFound
    from scheduler.store import imports as store

    with program.reading() as database:
        found = database.read(lambda connection: store.describe_import(connection, import_id))
    if found is None:
        raise NotFound("import", import_id)
    details = found.pop("details") or {}
    found |= json.loads(details) if isinstance(details, str) else details
    if as_json:
        output.show(found)
        return
    rejects, assumed = found.pop("first_rejects", None), found.pop("assumptions", None)
    output.show_facts(found)
    if assumed:
        click.echo()
        output.show_table(assumed, ("what", "value", "because"), title="how the file was read")
    if rejects:
        click.echo()
        output.show_table(rejects, ("line", "field", "value", "verdict", "reason"), title="first rejects")


@imports.command()
@click.argument("import_id", metavar="ID", type=IMPORT)
@click.option("--dry-run", is_flag=True, help="Say what would be taken back, change nothing.")
@output.json_option
@click.pass_obj
def undo(program: Program, import_id: int, dry_run: bool, as_json: bool) -> None:
    """Take an import back: delete its leads that were never called, with their numbers and plans.

    Leads that were called, or are being called at this moment, stay. What was taken back may be imported again.

    \b
    Examples:
      ringback imports undo 12 --dry-run
      ringback imports undo 12
    """
    from scheduler.service import imports as service

    with program.working() as runtime:
        report = service.undo_import(import_id, dry_run=dry_run, runtime=runtime)
    if as_json:
        output.show(report)
        return
    done = "would be taken back" if dry_run else "taken back"
    stay = f", {report.stay} stay because they were called or are being called" if report.stay else ""
    click.echo(f"import {import_id} ({output.printable(report.file_name)}): {report.taken_back} leads {done}{stay}")
