"""`ringback`: the group of all commands, and what becomes of errors.

A command raises; this is the one place that turns an error into a sentence on stderr and an exit code: 0
done, 1 refused or found wanting, 2 misused, 130 interrupted. Nobody sees a traceback, except with
RINGBACK_LOG_LEVEL=DEBUG, where a bug shows its own.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from typing import Any

import click

import scheduler
from cli import Program, output
from scheduler.errors import RingbackError

COMMANDS = {
    "db": "cli.db:db",
    "run": "cli.run:run",
    "serve": "cli.serve:serve",
    "keys": "cli.keys:keys",
    "users": "cli.users:users",
    "config": "cli.config:config",
    "check": "cli.check:check",
    "leads": "cli.leads:leads",
    "imports": "cli.imports:imports",
    "schedule": "cli.schedule:schedule",
    "calls": "cli.calls:calls",
    "campaigns": "cli.campaigns:campaigns",
    "accounts": "cli.accounts:accounts",
    "daemons": "cli.daemons:daemons",
    "recovery": "cli.recovery:recovery",
    "explain": "cli.explain:explain",
    "stats": "cli.stats:stats",
    "report": "cli.report:report",
    "alerts": "cli.alerts:alerts",
    "cleanup": "cli.cleanup:cleanup",
    "rules": "cli.rules:rules",
    "simulator": "cli.simulator:simulator",
    "completion": "cli.completion:completion",
}


class Commands(click.Group):
    """Commands that are imported when they are asked for, and errors that become sentences."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        found = getattr(importlib.import_module(module), name)
        assert isinstance(found, click.Command)
        return found

    def invoke(self, ctx: click.Context) -> Any:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()  # a full disk shows here, while there is still somebody to tell
            return result
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise  # click's own: misuse, a chosen exit code, a reader that has left
        except KeyboardInterrupt:
            output.tell("interrupted")
            ctx.exit(130)
        except (RingbackError, OSError) as error:
            output.tell_error(error)
            ctx.exit(1)
        except Exception as error:
            if os.environ.get("RINGBACK_LOG_LEVEL") == "DEBUG":
                traceback.print_exc()
            output.tell_error(error, is_bug=True)
            ctx.exit(1)


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option(
    "--database-url",
    metavar="URL",
    help="sqlite:///path or mysql+pymysql://user:password@host/name. Better: RINGBACK_DATABASE_URL, because other "
    "users of this machine can read a command line.",
)
@click.version_option(scheduler.__version__, prog_name="ringback")
@click.pass_context
def cli(ctx: click.Context, database_url: str | None) -> None:
    """The relational call scheduler: leads and rules in SQL tables, dialed inside their calling hours.

    \b
    A first look, with a simulated telephone network:
      ringback db upgrade                       make the tables
      ringback leads import examples/leads.csv  who is to be called
      ringback run                              call them, until Ctrl-C

    Settings come from RINGBACK_* variables, .env and ringback.toml. Every command that reads has --json: one
    document on stdout and nothing else there. Exit codes: 0 done, 1 refused or found wanting, 2 misused.
    """
    ctx.obj = Program(database_url)


def main() -> None:
    """The console script."""
    cli(prog_name="ringback")


if __name__ == "__main__":
    main()
