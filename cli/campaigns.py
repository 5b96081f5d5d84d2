"""`ringback campaigns`: calling efforts with rules of their own."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cli import Program, output
from scheduler.errors import RingbackError

if TYPE_CHECKING:
    from scheduler.service.control import CampaignPlan

F = TypeVar("F", bound=Callable[..., Any])
STATUSES = ("active", "paused", "cancelled", "completed")
SHOWN = 10
"""So many calls that go on are named one by one."""


@click.group()
def campaigns() -> None:
    """Create and see campaigns.

    A campaign is a list of leads that may have hours, retries, a priority and a provider of its own: what
    its call_settings say goes before the rules that hold for all.
    """


def _plan_options(command: F) -> F:
    """What `create` and `edit` can both set."""
    for option in reversed((
        click.option("--description"),
        click.option("--provider", help="Voice provider; that of the installation when left out."),
        click.option("--account", metavar="CODE", help="Who pays and how many calls at once (code or id)."),
        click.option("--group", help="Campaigns of one group count together in caps by group."),
        click.option(
            "--settings", metavar="FILE|JSON", help="call_settings: a file with a JSON object, or the object itself."
        ),
        click.option(
            "--set", "set_values", metavar="KEY=VALUE", multiple=True,
            help="One key of call_settings, the value as JSON or plain text; KEY= takes it out. Repeat it for several.",
        ),
        click.option("--preset", metavar="NAME", help="Hours and caps of a country, see `ringback rules presets`."),
        click.option("--max-concurrent-calls", type=click.IntRange(0, 100_000), help="Calls of it at once."),
        click.option(
            "--deadline", "--fecha-limite", "deadline", type=click.DateTime(["%Y-%m-%d"]), metavar="DATE",
            help="The last date on which it calls, 2027-12-31.",
        ),
        click.option("--deadline-days", type=int, metavar="N", help="The same, N days from today."),
    )):
        command = option(command)
    return command


@campaigns.command()
@click.argument("name")
@click.option("--code", help="Its public name, e.g. autumn-2027; made up when left out.")
@click.option("--priority", type=int, default=0, show_default=True, help="Higher is served first.")
@click.option("--paused", "--inactive", "paused", is_flag=True, help="It places no calls until `campaigns resume`.")
@click.option("--dry-run", is_flag=True, help="Show the hours that it would have, write nothing.")
@_plan_options
@output.json_option
@click.pass_obj
def create(
    program: Program,
    /,
    name: str,
    code: str | None,
    priority: int,
    paused: bool,
    dry_run: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Create a campaign, active unless --paused, and print its code.

    Hours that go on past midnight (20:00-02:00) are taken with `overnight` alone: true says that they are meant.

    \b
    Examples:
      ringback campaigns create "Autumn survey" --code autumn --settings autumn.json
      ringback campaigns create Evening --settings '{"allowed_hours": {"start": "18:00", "end": "21:00"}}'
      ringback campaigns create Collections --preset cl-collections --deadline-days 30 --account acme
    """
    from scheduler.service import control

    if dry_run:
        _preview(program, _plan(name, priority, given), code, as_json=as_json)
        return
    with program.working() as runtime:
        made = control.create_campaign(
            name,
            code=code,
            description=given["description"],
            priority=priority,
            provider=given["provider"],
            call_settings=_read_settings(given["settings"]),
            account=given["account"],
            group=given["group"],
            deadline=given["deadline"].date() if given["deadline"] else None,
            deadline_days=given["deadline_days"],
            set_values=_values(given),
            paused=paused,
            runtime=runtime,
        )
    if as_json:
        output.show({"code": made})
    else:
        click.echo(output.printable(made))


def _preview(program: Program, plan: CampaignPlan, code: str | None, *, as_json: bool) -> None:
    from scheduler.service import control

    with program.working() as runtime:
        found = control.preview_campaign(plan, code=code, runtime=runtime)
    hours = [one.spoken() for one in found.windows]
    if as_json:
        output.show({"hours": hours, "closed_days": found.closed_days, "nights": found.nights})
        return
    click.echo(f"hours: {'; and '.join(hours)}")
    _tell_hours(found.closed_days, found.nights)
    click.echo("nothing is written: it is a dry run")


def _tell_hours(closed_days: Sequence[int], nights: Sequence[str]) -> None:
    if closed_days:
        days = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
        click.echo(f"nobody is called on {', '.join(days[day - 1] for day in closed_days)}")
    if nights:
        click.echo(f"people are called at night, past midnight: {', '.join(nights)}")


def _plan(name: str | None, priority: int | None, given: dict[str, Any], *, no_deadline: bool = False) -> CampaignPlan:
    from scheduler.service.control import CampaignPlan

    return CampaignPlan(
        name=name,
        description=given["description"],
        priority=priority,
        provider=given["provider"],
        account=given["account"],
        group=given["group"],
        call_settings=_read_settings(given["settings"]),
        set_values=_values(given),
        deadline=given["deadline"].date() if given["deadline"] else None,
        deadline_days=given["deadline_days"],
        no_deadline=no_deadline,
    )


@campaigns.command()
@click.argument("campaign", metavar="CODE")
@click.option("--name")
@click.option("--priority", type=int, help="Higher is served first.")
@click.option("--no-deadline", is_flag=True, help="It may call on any date.")
@click.option("--dry-run", is_flag=True, help="Show what would change, write nothing.")
@_plan_options
@output.json_option
@click.pass_obj
def edit(
    program: Program,
    /,
    campaign: str,
    name: str | None,
    priority: int | None,
    no_deadline: bool,
    dry_run: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Change a campaign: all that is named, or nothing. The daemons act on it at their next look.

    \b
    Examples:
      ringback campaigns edit autumn --set max_attempts=5 --set retry_delay_hours=2
      ringback campaigns edit autumn --settings autumn.json --dry-run
    """
    from scheduler.service import control
    from scheduler.service.effects import Effect

    plan = _plan(name, priority, given, no_deadline=no_deadline)
    with program.working() as runtime, output.Bar("looking at planned calls") as bar:
        def told(effect: Effect) -> bool:
            bar.move(effect.looked_at, effect.waiting)
            return True

        edited = control.edit_campaign(campaign, plan, dry_run=dry_run, told=told, runtime=runtime)
    effect = edited.effect
    if as_json:
        output.show({
            "code": edited.code, "changes": edited.changes, "waiting": effect.waiting, "moved": effect.moved,
            "never": effect.never, "first_at": effect.first_at, "last_at": effect.last_at,
            "closed_days": edited.closed_days, "nights": edited.nights,
        })
        return
    if not edited.changes:
        click.echo(f"campaign {output.printable(edited.code)}: nothing changes")
    for field, (old, new) in edited.changes.items():
        click.echo(output.printable(f"{field}: {_shown(old)} -> {_shown(new)}"))
    if "call_settings" in edited.changes:
        will = "would move" if dry_run else "move"
        click.echo(f"{effect.moved} of {effect.waiting} planned calls {will} with the new settings")
        if effect.first_at and effect.last_at:
            click.echo(f"the new times: {output.words(effect.first_at)} to {output.words(effect.last_at)}")
        if effect.never:
            click.echo(f"{effect.never} of them are never called with these hours")
        _tell_hours((), edited.nights)


@campaigns.command()
@click.argument("campaign", metavar="CODE")
@click.option("--reason", help="Why; it is kept with the campaign.")
@click.pass_obj
def pause(program: Program, campaign: str, reason: str | None) -> None:
    """Place no more calls of a campaign until it is resumed. Calls in progress go on.

    \b
    Example:
      ringback campaigns pause autumn --reason "agents at lunch"
    """
    from scheduler.service import control

    with program.working() as runtime:
        code = control.pause_campaign(campaign, reason=reason, runtime=runtime)
    click.echo(f"campaign {output.printable(code)} is paused")


@campaigns.command()
@click.argument("campaign", metavar="CODE")
@click.pass_obj
def resume(program: Program, campaign: str) -> None:
    """Go on with a paused campaign.

    \b
    Example:
      ringback campaigns resume autumn
    """
    from scheduler.service import control

    with program.working() as runtime:
        code = control.resume_campaign(campaign, runtime=runtime)
    click.echo(f"campaign {output.printable(code)} goes on")


@campaigns.command()
@click.argument("campaign", metavar="CODE")
@click.option("--reason", required=True, help="Why; it is kept with the campaign.")
@click.option("--hangup", is_flag=True, help="End its live calls now, instead of letting them finish.")
@output.json_option
@click.pass_obj
def cancel(program: Program, campaign: str, reason: str, hangup: bool, as_json: bool) -> None:
    """End a campaign for good: nothing more is dialed and its leads are closed. It cannot be undone.

    Suspended leads and those managed by hand are closed too. Calls in progress go on to their end, and nothing
    follows them; with --hangup live ones are ended now.

    \b
    Example:
      ringback campaigns cancel autumn --reason "list withdrawn by the client"
    """
    from scheduler.service import control

    with program.working() as runtime, output.Bar(f"cancelling {campaign}") as bar:
        done = control.cancel_campaign(campaign, reason, hang_up=hangup, on_progress=bar.move, runtime=runtime)
    if as_json:
        output.show(done)
        return
    click.echo(f"campaign {output.printable(done.code)} is cancelled: {done.closed_leads} leads closed")
    if done.hung_up:
        click.echo(f"{done.hung_up} live calls were hung up")
    if done.still_open:
        click.echo(f"{len(done.still_open)} calls in progress go on to their end, and nothing follows them:")
    for one in done.still_open[:SHOWN]:
        click.echo(f"  attempt {one.attempt_id} to lead {one.lead_id} is {one.state}")
    if len(done.still_open) > SHOWN:
        click.echo(f"  and {len(done.still_open) - SHOWN} more; see `ringback calls list --open`")


@campaigns.command("pause-all")
@click.option("--reason", help="Why; it is kept with the campaigns.")
@output.json_option
@click.pass_obj
def pause_all(program: Program, reason: str | None, as_json: bool) -> None:
    """Place no calls at all, of no campaign and of leads without one, until `resume-all`.

    \b
    Example:
      ringback campaigns pause-all --reason "storm warning"
    """
    from scheduler.service import control

    with program.working() as runtime:
        paused = control.pause_all(reason=reason, runtime=runtime)
    if as_json:
        output.show({"paused": paused})
    else:
        click.echo(f"everything is paused; {len(paused)} campaigns were running")


@campaigns.command("resume-all")
@output.json_option
@click.pass_obj
def resume_all(program: Program, as_json: bool) -> None:
    """Go on after `pause-all`. Campaigns that were paused by themselves stay paused.

    \b
    Example:
      ringback campaigns resume-all
    """
    from scheduler.service import control

    with program.working() as runtime:
        done = control.resume_all(runtime=runtime)
    if as_json:
        output.show(done)
        return
    click.echo(f"calls are placed again; {len(done.resumed)} campaigns go on")
    if done.still_paused:
        click.echo(f"paused by themselves, and still so: {output.printable(', '.join(done.still_paused))}")


@campaigns.command("list")
@click.option("--status", type=click.Choice(STATUSES), help="Only these.")
@output.json_option
@output.limit_option
@click.pass_obj
def list_(program: Program, status: str | None, as_json: bool, limit: int) -> None:
    """List campaigns, newest first.

    \b
    Example:
      ringback campaigns list --status active
    """
    from scheduler.store import reports

    with program.reading() as database:
        rows = database.read(lambda connection: reports.list_campaigns(connection, status=status, limit=limit + 1))
    columns = ("id", "code", "name", "status", "status_reason", "priority", "provider", "started_at", "completed_at")
    output.show_list(rows, columns, limit=limit, as_json=as_json, what="campaigns")


@campaigns.command()
@click.argument("campaign", metavar="CODE")
@output.json_option
@click.pass_obj
def show(program: Program, campaign: str, as_json: bool) -> None:
    """Show one campaign (by code or id): its settings, its leads and calls by status.

    \b
    Example:
      ringback campaigns show autumn
    """
    from cli.leads import find_campaign_id
    from scheduler.errors import InvalidSettings, NotFound
    from scheduler.rules.policy import read_call_settings
    from scheduler.store import reports

    with program.reading() as database:
        campaign_id = find_campaign_id(database, campaign)
        found = database.read(lambda connection: reports.find_campaign(connection, campaign_id or 0))
    if found is None:
        raise NotFound("campaign", campaign)
    written, found["settings_problem"] = found["call_settings"], None
    try:
        read_call_settings(written, f"campaign {found['code']}")
    except InvalidSettings as error:
        found["settings_problem"] = str(error)
    if as_json:
        output.show({**found, "call_settings": _as_document(written)})
    else:
        output.show_facts(found)


def _read_settings(text: str | None) -> str | None:
    """The document itself, or what is in the file of that name."""
    if text is None or text.lstrip().startswith("{"):
        return text
    try:
        return Path(text).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise RingbackError(f"{text} is not UTF-8: {error}") from None


def _values(given: dict[str, Any]) -> dict[str, Any]:
    """Single keys of call_settings, from --set and from the options that have a name of their own."""
    found: dict[str, Any] = {}
    for text in given["set_values"]:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise click.BadParameter(f"{text!r} is not KEY=VALUE, like max_attempts=5", param_hint="--set")
        try:
            found[key.strip()] = json.loads(value) if value.strip() else None
        except ValueError:
            found[key.strip()] = value
    for name in ("preset", "max_concurrent_calls"):
        if given[name] is not None:
            found[name] = given[name]
    return found


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return json.dumps(output.plain(value), ensure_ascii=False)
    return output.words(value) or "-"


def _as_document(text: str | None) -> Any:
    try:
        return None if text is None else json.loads(text)
    except ValueError:
        return text  # somebody broke it by SQL; settings_problem says so
