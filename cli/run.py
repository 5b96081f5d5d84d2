"""`ringback run`: the daemon in the foreground."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from cli import Program, output
from cli.serve import HOST, PORT, open_server, tell_where

if TYPE_CHECKING:
    from scheduler.events import Line
    from scheduler.service.daemon import Daemon
    from scheduler.service.runtime import Runtime
    from scheduler.web.server import WebServer

LEVELS = ("debug", "info", "warning", "error")


@click.command()
@click.option("--once", is_flag=True, help="One look at everything, the calls that it begins, then end.")
@click.option("--until-idle", is_flag=True, help="End when no call is in flight and none is due soon.")
@click.option(
    "--idle-after",
    type=click.FloatRange(min=0),
    default=300,
    show_default=True,
    metavar="SECONDS",
    help="What soon means for --until-idle: a call due within these seconds is waited for.",
)
@click.option("--plain", is_flag=True, help="Lines instead of the live view, on a terminal too.")
@click.option("--with-web", is_flag=True, help="Serve the dashboard, the REST API and webhooks too.")
@click.option("--host", default=HOST, show_default=True, help="Where to listen, for --with-web.")
@click.option("--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="For --with-web.")
@click.pass_context
def run(
    ctx: click.Context, once: bool, until_idle: bool, idle_after: float, plain: bool, with_web: bool, host: str,
    port: int,
) -> None:
    """Call what is due, until Ctrl-C.

    Several may run on one database and share the work. SIGTERM or Ctrl-C stops it politely: nothing new is
    dialed, dials in flight finish, exit code 0. A second one stops it at once; the next daemon looks up what
    was left. While the database is away it waits, says so, and goes on by itself.

    On a terminal it shows a live view, otherwise a line for each thing that happens. With
    RINGBACK_LOG_FORMAT=json it writes logs for machines to stderr instead.

    \b
    Examples:
      ringback run
      ringback run --until-idle
      ringback run --with-web
      RINGBACK_DATABASE_URL=mysql+pymysql://user:password@host/dialer ringback run
    """
    from scheduler.service.daemon import Daemon

    program: Program = ctx.obj
    with program.working(check_schema=once) as runtime:
        voice = _choose_voice(runtime, plain=plain or once)
        daemon = Daemon(runtime, on_event=voice.hear if voice else None)
        web = open_server(runtime, host, port, daemon.reporter) if with_web else None
        if voice is not None and web is not None:
            voice.page = web.page
        with voice.heard(daemon) if voice else contextlib.nullcontext(), _serving(web):
            if once:
                daemon.run_once()
                code = 0
            else:
                code = daemon.run(until_idle=until_idle, idle_after=timedelta(seconds=idle_after))
    ctx.exit(code)


@contextlib.contextmanager
def _serving(web: WebServer | None) -> Iterator[None]:
    if web is None:
        yield
        return
    web.start()
    tell_where(web)
    try:
        yield
    finally:
        web.stop()


class Voice:
    """Says on stdout what happens, a line each. Told by any thread; never raises into the daemon's work."""

    def __init__(self, least: str) -> None:
        self._least = LEVELS.index(least.lower())
        self._daemon: Daemon | None = None
        self._failure: OSError | None = None
        self._lock = threading.Lock()
        self.page: str | None = None
        """Where the dashboard is to be seen, if it is served."""

    def hear(self, line: Line) -> None:
        if LEVELS.index(line.level) < self._least or self._failure:
            return
        try:
            with self._lock:
                self.say(line)
        except OSError as error:  # nobody reads any more, or the disk is full: stop dialing, politely
            self._failure = error
            if self._daemon:
                self._daemon.stop()

    def say(self, line: Line) -> None:
        mark = "" if line.level == "info" else f"{line.level}: "
        click.echo(f"{output.words(line.at)} {mark}{output.printable(line.text)}")

    @contextlib.contextmanager
    def heard(self, daemon: Daemon) -> Iterator[None]:
        """While this lasts, `daemon` is what is heard. Raises what kept us from speaking, at its end."""
        self._daemon = daemon
        yield
        if self._failure:
            raise self._failure


def _choose_voice(runtime: Runtime, *, plain: bool) -> Voice | None:
    """The live view where somebody watches, lines where not, nothing beside logs for machines."""
    settings = runtime.settings
    if settings.log_format == "json":
        return None
    if plain or not output.console().is_terminal:
        return Voice(settings.log_level)
    from cli.live import LiveVoice

    return LiveVoice(settings.log_level, runtime.database)

