"""`ringback check`: is everything as it should be?"""

from __future__ import annotations

import click

from cli import Program, output

MANY = 10


@click.command()
@output.json_option
@click.option("--quiet", "-q", is_flag=True, help="Only problems and warnings.")
@click.option(
    "--provider", "of_provider", is_flag=False, flag_value="", metavar="[NAME]",
    help="Ask the voice provider instead: keys, agent, caller ids, credit. Without a name: every one in use.",
)
@click.pass_context
def check(ctx: click.Context, as_json: bool, quiet: bool, of_provider: str | None) -> None:
    """Verify that all is as it should be.

    Settings and their relations, rules, schema, server, clocks, and every promise about the calls made. One
    line per finding. A problem is wrong and must be mended (exit code 1); a warning works, but somebody
    should look. R1 to R17 are the promises: nobody called twice at once, too soon, out of hours, no lead lost.

    --provider asks the providers themselves, before the first dial, whether their keys, agents and caller ids
    are right, for the campaigns that use them.

    \b
    Examples:
      ringback check --json
      ringback check --provider
      ringback check --provider retell
    """
    from scheduler.service.checks import Level, check_providers, run_checks

    program: Program = ctx.obj
    found = []
    with program.working(check_schema=of_provider is not None) as runtime:
        findings = run_checks(runtime) if of_provider is None else check_providers(runtime, of_provider or None)
        for finding in findings:
            found.append(finding)
            if not as_json and not (quiet and finding.level in (Level.OK, Level.INFO)):
                rows = ""
                if finding.rows and finding.level in (Level.PROBLEM, Level.WARNING):
                    more = ", ..." if len(finding.rows) > MANY else ""
                    rows = f" [{output.words(finding.rows[:MANY])}{more}]"
                click.echo(output.printable(f"{finding.level:<8} {finding.check:<16} {finding.sentence}{rows}"))
    problems = sum(finding.level is Level.PROBLEM for finding in found)
    warnings = sum(finding.level is Level.WARNING for finding in found)
    if as_json:
        output.show({"ok": not problems, "problems": problems, "warnings": warnings, "findings": found})
    else:
        output.tell(f"{problems} problems, {warnings} warnings")
    ctx.exit(1 if problems else 0)
