"""`ringback serve`: webhooks over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cli import Program, output

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
    """Take in the webhooks of providers at POST /webhooks/PROVIDER, until Ctrl-C.

    Each is proven genuine, stored and then answered; what was stored is applied at once, here or by a daemon.
    Calls go on without it: providers are polled too.

    \b
    Examples:
      ringback serve
      ringback serve --port 9000
    """
    from scheduler.events import Reporter

    with program.working() as runtime:
        server = open_server(runtime, host, port, Reporter())
        output.tell(f"listening at {server.url} (Ctrl-C ends)")
        server.serve()


def open_server(runtime: Runtime, host: str, port: int, reporter: Reporter) -> WebServer:
    """Raises UsageError where the extra `web` is not installed."""
    try:
        from scheduler.web.server import WebServer
    except ImportError as error:
        raise click.UsageError(
            f"serving needs the extra `web` ({error.name} is missing); install it with pip install 'ringback[web]'"
        ) from None
    return WebServer(runtime, host, port, reporter=reporter)
