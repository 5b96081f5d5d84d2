"""`ringback serve`: the dashboard, the REST API and webhooks over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cli import Program, output
from scheduler.errors import MissingExtra

if TYPE_CHECKING:
    from scheduler.events import Reporter
    from scheduler.service.runtime import Runtime
    from scheduler.web.server import WebServer

HOST, PORT = "127.0.0.1", 8000


@click.command()
@click.option("--host", default=HOST, show_default=True, help="Where to listen. A proxy with TLS belongs in front.")
@click.option("--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="0 takes any free one.")
@click.pass_obj
def serve(program: Program, host: str, port: int) -> None:
    """Serve the dashboard, the REST API (/api/v1) and webhooks (POST /webhooks/PROVIDER), until Ctrl-C.

    As long as there is no API key and no user, it prints a link that lets one browser in, once; RINGBACK_OPEN_ACCESS=1
    lets in whoever is on this machine. From the first one on, everybody has to say who they are (`ringback keys`,
    `ringback users`). Where other machines can reach it (--host) there must be an admin first.

    Calls go on without it: webhooks are stored and then answered, and providers are polled too.

    \b
    Examples:
      ringback serve
      ringback serve --port 9000
      ringback users add ana --role admin && ringback serve --host 0.0.0.0
    """
    from scheduler.events import Reporter

    with program.working() as runtime:
        reporter = Reporter()
        server = open_server(runtime, host, port, reporter)
        tell_where(server)
        reporter.speak_aside()  # no webhook waits for whoever reads the log
        try:
            server.serve()
        finally:
            reporter.speak_here()


def tell_where(server: WebServer) -> None:
    output.tell(f"listening at {server.url} (Ctrl-C ends)")
    output.tell(f"open {server.page} in a browser")
    if server.is_open:
        until = "until there is a user (ringback users add) or a key"
        if server.is_switched_open:
            output.tell(f"RINGBACK_OPEN_ACCESS: whoever reaches it from this machine may do everything, {until}")
            output.tell("a proxy, a tunnel or a forwarded port makes that everybody: make an admin before there is one")
        else:
            output.tell(f"that link lets in one browser, once, {until}")


def open_server(runtime: Runtime, host: str, port: int, reporter: Reporter) -> WebServer:
    """Raises UsageError where the extra `web` is not installed, Conflict where others could reach it unasked."""
    try:
        from scheduler.web.server import WebServer
    except ImportError:
        raise click.UsageError(str(MissingExtra("serving", "web"))) from None
    return WebServer(runtime, host, port, reporter=reporter)
