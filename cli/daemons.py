"""`ringback daemons`: the processes that call, and what they are asked to do."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import click

from cli import Program, output

if TYPE_CHECKING:
    from scheduler.model import DaemonWish
    from scheduler.service.runtime import Runtime


@click.group()
def daemons() -> None:
    """See the daemons, and pause, resume or drain one: each obeys at its next tick."""


@daemons.command("list")
@click.option("--all", "with_stopped", is_flag=True, help="Also those that have stopped.")
@output.json_option
@output.limit_option
@click.pass_obj
def list_(program: Program, with_stopped: bool, as_json: bool, limit: int) -> None:
    """List daemons, newest first. One that is `silent` has said nothing for alert_silent_seconds.

    \b
    Example:
      ringback daemons list
    """
    from scheduler.store import recoveries, reports

    with program.working() as runtime:
        now = runtime.clock.now()
        held = runtime.database.read(recoveries.find_open)
        silent = _silent_after(runtime)
        rows = runtime.database.read(
            lambda connection: reports.list_all_daemons(connection, with_stopped=with_stopped, limit=limit + 1)
        )
    for row in rows:
        row["silent"] = row["status"] != "stopped" and now - row["last_seen_at"] > silent
    columns = (
        "id", "owner", "host", "pid", "status", "doing", "wanted", "silent", "provider", "version", "started_at",
        "last_seen_at",
    )  # fmt: skip
    output.show_list(rows, columns, limit=limit, as_json=as_json, what="daemons")
    if held is not None:
        output.tell(f"nothing is dialed: {held.reason}; see `ringback recovery show`")


@daemons.command()
@click.argument("daemon", metavar="ID")
@click.pass_obj
def pause(program: Program, daemon: str) -> None:
    """Let a daemon take nothing new. It goes on following live calls.

    \b
    Example:
      ringback daemons pause 3
    """
    from scheduler.model import DaemonWish

    click.echo(f"{_steer(program, daemon, DaemonWish.PAUSE)} is asked to pause; it obeys at its next tick")


@daemons.command()
@click.argument("daemon", metavar="ID")
@click.pass_obj
def resume(program: Program, daemon: str) -> None:
    """Let a paused daemon go on.

    \b
    Example:
      ringback daemons resume 3
    """
    from scheduler.model import DaemonWish

    click.echo(f"{_steer(program, daemon, DaemonWish.RUN)} is asked to go on; it obeys at its next tick")


@daemons.command()
@click.argument("daemon", metavar="ID")
@click.pass_obj
def drain(program: Program, daemon: str) -> None:
    """Let a daemon take nothing new, and end when its calls are over or another daemon follows them.

    \b
    Example:
      ringback daemons drain 3
    """
    from scheduler.model import DaemonWish

    click.echo(f"{_steer(program, daemon, DaemonWish.DRAIN)} is asked to drain; it ends when its calls are over")


def _steer(program: Program, daemon: str, wanted: DaemonWish) -> str:
    from scheduler.service import control

    with program.working() as runtime:
        return control.steer_daemon(daemon, wanted, silent_after=_silent_after(runtime), runtime=runtime)


def _silent_after(runtime: Runtime) -> timedelta:
    """After how long without a word a daemon is taken for gone."""
    from scheduler.service.rulebook import RuleBook

    config = runtime.database.read(lambda connection: RuleBook().read(connection)).config
    return timedelta(seconds=config.get("alert_silent_seconds", 60))
