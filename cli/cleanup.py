"""`ringback cleanup`: tidy the plan."""

from __future__ import annotations

import click

from cli import Program, output


@click.command()
@click.option("--dry-run", is_flag=True, help="Count, change nothing.")
@output.json_option
@click.pass_obj
def cleanup(program: Program, dry_run: bool, as_json: bool) -> None:
    """Tidy the plan.

    Cancels what is planned for closed leads, deletes old cancelled rows, reports orphans. Old is what
    cleanup_after_days says. Orphans are scheduled calls whose lead somebody deleted; they are counted and
    never touched. Attempts are history and are never deleted.

    \b
    Example:
      ringback cleanup --dry-run
    """
    from scheduler.service import operations

    with program.working() as runtime:
        report = operations.cleanup(dry_run=dry_run, runtime=runtime)
    if as_json:
        output.show({"dry_run": dry_run, **output.plain(report)})
        return
    would = "would be " if dry_run else ""
    click.echo(f"{report.closed_lead_rows} scheduled calls of closed leads {would}cancelled")
    click.echo(f"{report.deleted_rows} old cancelled scheduled calls {would}deleted")
    examples = f" (such as {output.words(report.orphan_examples)})" if report.orphan_examples else ""
    click.echo(f"{report.orphan_rows} scheduled calls without a lead{examples}")
