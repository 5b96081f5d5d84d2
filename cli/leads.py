"""`ringback leads`: the people to call."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cli import Program, output
from cli.instants import HELP as INSTANT_HELP
from cli.instants import read_instant, read_span

if TYPE_CHECKING:
    from scheduler.service.imports import ImportReport
    from scheduler.service.runtime import Runtime
    from scheduler.store.database import Database
    from scheduler.store.leads import LeadFilter

F = TypeVar("F", bound=Callable[..., Any])

LEAD = click.IntRange(1, 2**63 - 1)
STATUSES = ("open", "closed", "suspended")
CALL_STATUSES = (
    "no_selected", "selected", "calling", "completed", "error", "busy", "no_answer", "hang_up", "voicemail",
)  # fmt: skip


@click.group()
def leads() -> None:
    """Add, find and close the people to call.

    Rows written by SQL into the table leads are as good as these; plan their first call with a row in
    call_schedule, or with `ringback schedule add`.
    """


@leads.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--campaign", metavar="CODE", help="Put them into this campaign (code or id).")
@click.option("--default-country", metavar="CC", help="Country of numbers without +. [RINGBACK_DEFAULT_COUNTRY]")
@click.option("--map", "column_map", metavar="FIELD=HEADER", multiple=True,
              help='What a column means, such as phone="Celular" or variable:debt="Monto". Repeat it for several.')
@click.option("--sheet", metavar="NAME", help="Sheet of an .xlsx file; else the first visible one with phones.")
@click.option("--encoding", help="How a CSV is encoded, e.g. cp1252; else UTF-8, UTF-16 and cp1252 are recognised.")
@click.option("--delimiter", metavar="CHAR", help="Between fields; comma, semicolon, tab and | are recognised.")
@click.option("--header-row", type=int, metavar="N", help="Row, or line of a CSV, that names the columns.")
@click.option("--hidden-rows", type=click.Choice(["skip", "take"]),
              help="Rows of an .xlsx file that are hidden, as by a filter; else they are skipped.")
@click.option("--date-order", type=click.Choice(["day_first", "month_first"]),
              help="What 03/04/2027 means; else the column's other dates tell.")
@click.option("--decimal-mark", type=click.Choice(["point", "comma", "thousands"]),
              help="What 1.500 means in amounts that are added up; else the column's other amounts tell.")
@click.option("--joined-numbers", type=click.Choice(["split", "refuse"]),
              help="Cells with several numbers; else they are split.")
@click.option("--deadline", "--fecha-limite", "deadline", type=click.DateTime(["%Y-%m-%d"]), metavar="DATE",
              help="Last date to call, for rows that name none.")
@click.option("--deadline-days", type=int, metavar="N", help="The same, N days from today.")
@click.option("--skip-known", is_flag=True, help="Leave out numbers that other campaigns have.")
@click.option("--per-person", is_flag=True, help="One lead for all rows of a person, with the sums of their amounts.")
@click.option("--rejects", type=click.Path(path_type=Path), help="Where rows that cannot be used go.")
@click.option("--verdicts", type=click.Path(path_type=Path), metavar="FILE",
              help="Write a line for every row: verdict, numbers, kind of line, country, zones, reason.")
@click.option("--dry-run", is_flag=True, help="Read and judge every row, add nothing.")
@output.json_option
@click.pass_context
def import_(
    ctx: click.Context,
    /,
    file: Path,
    default_country: str | None,
    deadline: datetime | None,
    rejects: Path | None,
    verdicts: Path | None,
    per_person: bool,
    dry_run: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Add leads from a CSV or Excel (.xlsx) file and plan their first calls.

    The header names the columns, in English or Spanish: name/nombre, last_name/apellidos,
    phone/telefono, telefono2, email, time_zone, region... or --map says what they mean; any other column is a
    variable for the voice agent. A row that cannot be used goes into the rejects file with its line, field and
    reason; the others are added. A number that is there already is not added again, so the same file may be
    imported twice. `ringback imports undo` takes an import back.

    \b
    Examples:
      ringback leads import examples/leads.csv --default-country CL
      ringback leads import debtors.xlsx --campaign autumn --map phone=Celular --deadline-days 30 --dry-run
    """
    from scheduler.service import imports

    program: Program = ctx.obj
    with program.working() as runtime, output.Bar(f"reading {file.name}", in_bytes=True) as bar:
        report = imports.import_leads(
            file,
            default_country=default_country or runtime.settings.default_country,
            deadline=deadline.date() if deadline else None,
            rejects_path=rejects,
            verdicts_path=verdicts,
            dry_run=dry_run,
            on_progress=bar.move,
            manner=imports.Manner(per_person=per_person),
            runtime=runtime,
            **given,
        )
    if as_json:
        output.show(report)
    else:
        _show_report(file, report, dry_run=dry_run)
    for warning in report.warnings:
        output.tell(warning)
    for assumed in report.assumptions:
        if not assumed.is_plain:
            output.tell(f"assumed {assumed.what}: {assumed.value}; {assumed.because}{_how_to_change(assumed.option)}")
    if not as_json:
        for one in report.first_rejects:
            output.tell(f"line {one.line}, {one.field} {one.value!r}: {one.reason}")
        more = report.rejected + report.duplicates - len(report.first_rejects)
        if more > 0:
            output.tell(f"... and {more} more")
    if report.rejects_path:
        output.tell(f"what was left out and why: {report.rejects_path}")
    if report.verdicts_path:
        output.tell(f"the verdict on every row: {report.verdicts_path}")
    nothing_usable = report.rejected and not report.added and not report.duplicates
    ctx.exit(1 if nothing_usable else 0)


def _how_to_change(option: str) -> str:
    return f" (--{option.replace('_', '-')} changes it)" if option else ""


def _show_report(file: Path, report: ImportReport, *, dry_run: bool) -> None:
    done = "would be added" if dry_run else "added"
    click.echo(
        f"{file.name}: {report.read} rows read, {report.added} leads {done}, {report.duplicates} known already, "
        f"{report.rejected} rejected"
    )
    if report.assumptions:
        read_with = ", ".join(f"{one.what} {one.value}" for one in report.assumptions)
        click.echo(f"  read with {output.printable(read_with)}")
    click.echo(f"  verdicts: {output.words(report.verdicts)}")
    for name in ("kinds", "countries", "zones"):
        if counts := getattr(report, name):
            click.echo(f"  {name}: {output.printable(output.words(counts))}")
    if report.import_id is not None and report.added:
        click.echo(f"  import {report.import_id}; `ringback imports undo {report.import_id}` takes it back")


@leads.command()
@click.option("--first-name", "--nombre", "first_name", help="First name.")
@click.option("--last-name", "--apellidos", "last_name", help="Last name.")
@click.option("--phone", "--telefono", "phones", multiple=True, required=True, help="Number; repeat it for several.")
@click.option("--default-country", metavar="CC", help="Country of numbers without +. [RINGBACK_DEFAULT_COUNTRY]")
@click.option("--campaign", metavar="CODE", help="Campaign (code or id).")
@click.option("--email")
@click.option("--time-zone", metavar="ZONE", help="Where the lead lives, e.g. America/Lima; else its number tells.")
@click.option("--region", metavar="CODE", help="Country and region, such as ES-CT.")
@click.option("--priority", type=int, default=0, show_default=True)
@click.option("--call-until", type=click.DateTime(["%Y-%m-%d"]), metavar="DATE", help="Last date to call, 2027-12-31.")
@click.option("--variables", metavar="JSON", help="What the voice agent should know: a JSON object.")
@click.option("--at", metavar="TIME", callback=read_instant, help=f"When to call first. {INSTANT_HELP}")
@output.json_option
@click.pass_obj
def add(
    program: Program,
    first_name: str | None,
    last_name: str | None,
    phones: tuple[str, ...],
    default_country: str | None,
    campaign: str | None,
    email: str | None,
    time_zone: str | None,
    region: str | None,
    priority: int,
    call_until: datetime | None,
    variables: str | None,
    at: datetime | None,
    as_json: bool,
) -> None:
    """Add one lead and plan its first call.

    \b
    Example:
      ringback leads add --first-name Ana --last-name Soto --phone +56912345678 --at 2027-03-01T10:00
    """
    from scheduler.service import operations

    with program.working() as runtime:
        lead_id = operations.add_lead(
            first_name,
            last_name,
            phones,
            default_country=default_country,
            campaign=campaign,
            email=email,
            time_zone=time_zone,
            region=region,
            priority=priority,
            call_until=call_until.date() if call_until else None,
            variables=_read_variables(variables),
            at=at,
            runtime=runtime,
        )
    if as_json:
        output.show({"id": lead_id})
    else:
        click.echo(f"lead {lead_id} added")


@leads.command("list")
@click.option("--status", type=click.Choice(STATUSES), help="Only these.")
@click.option("--campaign", metavar="CODE", help="Only of this campaign (code or id).")
@click.option("--phone", "--telefono", "phone", help="Only with this number.")
@click.option("--search", metavar="TEXT", help="A number or its last digits, words of a name, an e-mail, a variable.")
@output.json_option
@output.limit_option
@click.pass_obj
def list_(
    program: Program, status: str | None, campaign: str | None, phone: str | None, search: str | None, as_json: bool,
    limit: int,
) -> None:
    """List leads, newest first.

    \b
    Examples:
      ringback leads list --status open --limit 10
      ringback leads list --search "sepulveda"
      ringback leads list --search 2192
    """
    from scheduler.rules.phones import to_e164
    from scheduler.store import listings, reports

    if search and phone:
        raise click.UsageError("--phone and --search both say whom to find; choose one")
    number = to_e164(phone, program.settings().default_country) if phone else None
    with program.reading() as database:
        campaign_id = find_campaign_id(database, campaign)
        def read(before: int | None) -> listings.Rows:
            return database.read(lambda connection: listings.list_leads_page(
                connection, status=status, campaign_id=campaign_id, search=search, before=before, limit=limit
            ))

        rows = listings.read_on(read, limit) if search else database.read(
            lambda connection: reports.list_leads(
                connection, status=status, campaign_id=campaign_id, telefono=number, limit=limit + 1
            )
        )
    columns = (
        "id", "nombre", "apellidos", "telefono", "lead_status", "closed_reason", "call_status",
        "call_attempts_count", "next_call_at",
    )  # fmt: skip
    output.show_list(rows, columns, limit=limit, as_json=as_json, what="leads")


@leads.command()
@click.argument("lead_id", metavar="ID", type=LEAD)
@output.json_option
@output.limit_option
@click.pass_obj
def show(program: Program, lead_id: int, as_json: bool, limit: int) -> None:
    """Show one lead: what it is, what is planned for it and why, and every call made.

    \b
    Example:
      ringback leads show 12
    """
    from scheduler.errors import NotFound
    from scheduler.store import reports

    with program.reading() as database:
        lead = database.read(lambda connection: reports.find_lead(connection, lead_id, limit=limit))
    if lead is None:
        raise NotFound("lead", lead_id)
    lead["variables"] = _as_json(lead["variables"])
    if as_json:
        output.show(lead)
        return
    parts = {name: lead.pop(name) for name in ("phones", "schedule", "attempts", "events")}
    output.show_facts(lead)
    for name, columns in (
        ("phones", ("position", "telefono", "status")),
        ("schedule", ("id", "scheduled_at", "attempt_number", "status", "last_outcome", "hold", "reason")),
        ("attempts", ("id", "attempt_number", "telefono", "state", "outcome", "placed_at", "ended_at", "error")),
        ("events", ("at", "kind", "actor", "reason")),
    ):
        if parts[name]:
            click.echo()
            output.show_table(parts[name], columns, title=name)


def _filter_options(command: F) -> F:
    """Which leads a command is about: some by id, or all that match every filter given."""
    for option in reversed((
        click.argument("lead_ids", metavar="[ID]...", type=LEAD, nargs=-1),
        click.option("--campaign", metavar="CODE", help="All of this campaign (code or id)."),
        click.option("--closed-within", metavar="SPAN", callback=read_span, help="All closed within 24h, 7d, 90m."),
        click.option("--created-within", metavar="SPAN", callback=read_span, help="All added within that time."),
        click.option("--created-before", metavar="SPAN", callback=read_span, help="All added longer ago than that."),
        click.option("--call-status", type=click.Choice(CALL_STATUSES), help="All whose last call ended so."),
        click.option("--region", metavar="CODE", help="All of a country or region, such as ES or ES-CT."),
        click.option("--phone-prefix", metavar="+569", help="All whose first number begins so."),
        click.option("--variable", metavar="NAME=VALUE", help="All that have this variable."),
        click.option("--import", "import_id", type=click.IntRange(1), help="All that this import brought."),
        click.option("--dry-run", is_flag=True, help="Say how many match, change nothing."),
        click.option("--yes", is_flag=True, help="Do not ask first; asked is only on a terminal, for several leads."),
        output.json_option,
    )):
        command = option(command)
    return command


@leads.command()
@_filter_options
@click.option("--status", type=click.Choice(("open", "suspended")), help="All in this status.")
@click.option("--reason", default="by_hand", show_default=True, help="Why, in a word; it is kept as closed_reason.")
@click.pass_obj
def close(program: Program, /, reason: str, **given: Any) -> None:
    """Close leads: nothing more is planned for them, and what was planned is cancelled.

    A call in flight goes on to its end. Name leads by id, or all that match the filters.

    \b
    Examples:
      ringback leads close 12 --reason paid
      ringback leads close --campaign autumn --region ES-CT --reason withdrawn
    """
    from scheduler.service import operations

    if (lead_id := _only_one(given)) is not None:
        with program.working() as runtime:
            operations.close_lead(lead_id, reason=reason, runtime=runtime)
        click.echo(f"lead {lead_id} is closed")
        return
    _change(program, "close", given, status=None, word=reason)


@leads.command()
@_filter_options
@click.option("--reason", metavar="CLOSED_REASON", help="All closed for this reason, e.g. max_attempts.")
@click.pass_obj
def reopen(program: Program, /, reason: str | None, **given: Any) -> None:
    """Open closed leads again, with a new budget of attempts; a suspended one goes on with its plan.

    Every call made stays in the history. Leads on the do-not-call list, of a cancelled campaign or past their
    last date are left as they are.

    \b
    Examples:
      ringback leads reopen 12
      ringback leads reopen --reason max_attempts --closed-within 24h
    """
    from scheduler.service import operations

    if (lead_id := _only_one(given)) is not None and reason is None:
        with program.working() as runtime:
            click.echo(output.printable(operations.reopen_lead(lead_id, runtime=runtime)))
        return
    _change(program, "reopen", given, status="closed", closed_reason=reason)


@leads.command()
@_filter_options
@click.option("--reason", help="Why; it is kept in the history.")
@click.pass_obj
def suspend(program: Program, /, reason: str | None, **given: Any) -> None:
    """Stop calling leads until they are resumed. What was planned for them is kept and held.

    \b
    Examples:
      ringback leads suspend 12 13
      ringback leads suspend --campaign autumn --variable segment=vip
    """
    from scheduler.service import operations

    if (lead_id := _only_one(given)) is not None:
        with program.working() as runtime:
            operations.suspend_lead(lead_id, reason=reason, runtime=runtime)
        click.echo(f"lead {lead_id} is suspended; `ringback leads resume {lead_id}` goes on with it")
        return
    _change(program, "suspend", given, status="open", reason=reason)


@leads.command()
@_filter_options
@click.option("--reason", help="Why; it is kept in the history.")
@click.pass_obj
def resume(program: Program, /, reason: str | None, **given: Any) -> None:
    """Go on with suspended leads where they were.

    \b
    Examples:
      ringback leads resume 12 13
      ringback leads resume --campaign autumn
    """
    _change(program, "resume", given, status="suspended", reason=reason)


def _only_one(given: dict[str, Any]) -> int | None:
    """The lead that a command names, where it names one alone and asks for nothing special."""
    filters = ("campaign", "status", "closed_within", "created_within", "created_before", "call_status", "region",
               "phone_prefix", "variable", "import_id", "dry_run", "as_json")  # fmt: skip
    if len(given["lead_ids"]) != 1 or any(given.get(name) for name in filters):
        return None
    return int(given["lead_ids"][0])


DONE = {"close": "closed", "reopen": "open again", "suspend": "suspended", "resume": "resumed"}


def _change(
    program: Program, what: str, given: dict[str, Any], *, status: str | None, closed_reason: str | None = None,
    word: str | None = None, reason: str | None = None,
) -> None:
    """One change for every lead that is named or matches."""
    from scheduler.errors import RingbackError
    from scheduler.service import control

    with program.working() as runtime:
        wanted = _wanted(runtime, given, status, closed_reason)
        if given["dry_run"]:
            matched = control.count_leads(wanted, runtime=runtime)
            if given["as_json"]:
                output.show({"matched": matched, "changed": 0, "left": {}})
            else:
                click.echo(f"{matched} leads match; nothing was changed")
            return
        if sys.stdin.isatty() and not given["yes"]:
            matched = control.count_leads(wanted, runtime=runtime)
            if matched > 1:
                click.confirm(f"{what} {matched} leads?", abort=True, err=True)
        with output.Bar(f"{what} leads") as bar:
            if what == "close":
                done = control.close_leads(wanted, word=word or "by_hand", on_progress=bar.move, runtime=runtime)
            elif what == "reopen":
                done = control.reopen_leads(wanted, on_progress=bar.move, runtime=runtime)
            elif what == "suspend":
                done = control.suspend_leads(wanted, reason=reason, on_progress=bar.move, runtime=runtime)
            else:
                done = control.resume_leads(wanted, reason=reason, on_progress=bar.move, runtime=runtime)
    if given["lead_ids"] and done.matched == 1 and not done.changed:
        raise RingbackError(f"lead {given['lead_ids'][0]} was left as it is: {', '.join(done.left)}")
    if given["as_json"]:
        output.show(done)
    elif given["lead_ids"] and done.changed == 1 and done.matched == 1:
        click.echo(f"lead {given['lead_ids'][0]} is {DONE[what]}")
    else:
        click.echo(f"{done.matched} leads match, {done.changed} are {DONE[what]}")
        for why, count in done.left.items():
            if count:
                click.echo(f"{count} left as they are: {output.printable(why)}")


def _wanted(runtime: Runtime, given: dict[str, Any], status: str | None, closed_reason: str | None) -> LeadFilter:
    from scheduler.model import CallStatus, LeadStatus
    from scheduler.rules.subdivisions import normal_region
    from scheduler.store.leads import LeadFilter

    now = runtime.clock.now()
    variable = None
    if given["variable"]:
        name, equals, value = given["variable"].partition("=")
        if not equals or not name:
            raise click.BadParameter("write NAME=VALUE, like segment=vip", param_hint="--variable")
        variable = (name, value)
    if given["phone_prefix"] and not given["phone_prefix"].startswith("+"):
        raise click.BadParameter("numbers begin with + and the country, like +569", param_hint="--phone-prefix")
    filtered = LeadFilter(
        campaign_id=find_campaign_id(runtime.database, given["campaign"]),
        status=LeadStatus(given["status"]) if given.get("status") else None,
        closed_reason=closed_reason,
        closed_since=now - given["closed_within"] if given["closed_within"] else None,
        created_since=now - given["created_within"] if given["created_within"] else None,
        created_before=now - given["created_before"] if given["created_before"] else None,
        call_status=CallStatus(given["call_status"]) if given["call_status"] else None,
        region=normal_region(given["region"]) if given["region"] else None,
        phone_prefix=given["phone_prefix"],
        variable=variable,
        import_id=given["import_id"],
    )
    if given["lead_ids"]:
        if not filtered.is_empty:
            raise click.UsageError("name leads by id or by filters, not both")
        return LeadFilter(ids=tuple(given["lead_ids"]))
    if filtered.is_empty:
        raise click.UsageError("name leads by id, or say which with a filter such as --campaign")
    return replace(filtered, status=LeadStatus(status)) if status else filtered


def find_campaign_id(database: Database, key: str | None) -> int | None:
    """The id of a campaign given by code or id. Raises NotFound."""
    from scheduler.errors import NotFound
    from scheduler.store import campaigns

    if key is None:
        return None
    found = database.read(lambda connection: campaigns.find_campaign(connection, key))
    if found is None:
        raise NotFound("campaign", key)
    return found.id


def _refuse_constant(word: str) -> None:
    raise ValueError(f"{word} is not JSON")


def _read_variables(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        found = json.loads(text, parse_constant=_refuse_constant)
    except ValueError as error:
        raise click.BadParameter(f"it is not JSON: {error}", param_hint="--variables") from None
    if not isinstance(found, dict):
        raise click.BadParameter('it must be a JSON object, like {"plan": "gold"}', param_hint="--variables")
    return found


def _as_json(text: str | None) -> Any:
    """A JSON column as it is meant; one that somebody broke by SQL as it is written."""
    try:
        return None if text is None else json.loads(text)
    except ValueError:
        return text


@leads.command()
@click.argument("lead_ids", metavar="[LEAD]...", nargs=-1, type=int)
@click.option("--number", help="All leads that have this number.")
@click.option("--reason", required=True, help="Who asked for it; it stays in the audit, so name no person.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@output.json_option
@click.pass_obj
def erase(
    program: Program, lead_ids: tuple[int, ...], number: str | None, reason: str, yes: bool, as_json: bool
) -> None:
    """Erase a person: names, numbers, variables, transcripts and summaries, everywhere. It cannot be undone.

    What stays: when calls were made, how they ended and what they cost; and an entry of the do-not-call list. With the
    users of deploy/grants.sql run it as ringback_owner: the working user may not rewrite the audit.

    \b
    Examples:
      ringback leads erase --number +56912345678 --reason "request 2027-14" --yes
      ringback leads erase 17 18 --reason "request 2027-15"
    """
    from scheduler.service.erasure import erase_person

    if not lead_ids and number is None:
        raise click.UsageError("name leads by their ids, or a number with --number")
    if not yes:
        click.confirm("It cannot be undone. Erase?", abort=True, err=True)
    with program.working() as runtime:
        done = erase_person(lead_ids=lead_ids, number=number, reason=reason, runtime=runtime)
    if as_json:
        output.show({"leads": list(done.leads), "is_barred": done.is_barred})
    else:
        click.echo(f"{len(done.leads)} lead{'' if len(done.leads) == 1 else 's'} erased"
                   + ("; a number of theirs stays on the do-not-call list" if done.is_barred else ""))
