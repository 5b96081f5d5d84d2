"""Serve the web application: in the foreground, or beside a daemon in a thread of its own.

What must stay true: nothing is listened to beyond this machine before there is an admin; what a proxy says of
where a request came from is believed only where RINGBACK_PUBLIC_URL says that there is one, and only from this
machine or from RINGBACK_TRUSTED_PROXIES. A connection that does not get to its request is closed: the server
below would wait for ever.
"""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import signal
import socket
import threading
from types import FrameType

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from scheduler.clock import boottime
from scheduler.errors import InvalidValue, RingbackError
from scheduler.events import Reporter
from scheduler.service.access import Entrance, is_loopback, require_admin_beyond_loopback
from scheduler.service.notify import Notifier
from scheduler.service.runtime import Runtime
from scheduler.web.access import Opening
from scheduler.web.app import create_app
from scheduler.web.guard import LARGEST_HEADERS
from scheduler.web.live import board_of

KEEP_ALIVE_SECONDS = 75
STOP_SECONDS = 10
HEADERS_SECONDS = 20.0
"""For the line and the headers of a request to arrive."""
BACKLOG = 4096
SPARE_FILES = 256
"""Open files that connections must leave for the database and the disk."""
READ_AT_ONCE = 32 * 2**10
"""What a connection hands over at a time. asyncio's own 256 KiB, two of them for each slow sender, are too much."""
LOOPBACK = "127.0.0.1, ::1"
LOGGER = logging.getLogger("uvicorn")
LOGGER.propagate = False


class WebServer:
    """Bound when it is made, so that an address in use is said at once.

    Raises InvalidValue for an address that cannot be had, Conflict for one that others can reach while nobody has to
    log in.
    """

    def __init__(self, runtime: Runtime, host: str, port: int, *, reporter: Reporter | None = None) -> None:
        self.host = host
        self._socket = bind(host, port)
        try:
            bound, self.port = self._socket.getsockname()[:2]
            require_admin_beyond_loopback(bound, runtime)
            self._socket.listen(BACKLOG)
        except BaseException:
            self._socket.close()
            raise
        self._runtime, settings = runtime, runtime.settings
        files = raise_open_files()
        self.app = create_app(runtime, reporter=reporter, host=bound, port=self.port)
        config = uvicorn.Config(
            self.app,
            http=Prompt, ws="none", log_config=None, access_log=False, server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS, timeout_graceful_shutdown=STOP_SECONDS, lifespan="on",
            proxy_headers=settings.public_url is not None,
            forwarded_allow_ips=", ".join(filter(None, (LOOPBACK, settings.trusted_proxies))),
            h11_max_incomplete_event_size=LARGEST_HEADERS, limit_concurrency=max(64, files - SPARE_FILES),
        )
        self._server = Watched(config)
        self._thread: threading.Thread | None = None
        self._complaints = Complaints(runtime, self.app.state.reporter)

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def page(self) -> str:
        """What to open in a browser on this machine. While nobody can log in it is a link that is good once."""
        page = f"http://127.0.0.1:{self.port}" if self.host in ("", "0.0.0.0", "::") else self.url
        if not self.is_open or self.is_switched_open:
            return page
        opening: Opening = self.app.state.door.opening
        return f"{page}/open?link={opening.link}"

    @property
    def is_behind_proxy(self) -> bool:
        """Is it said that others reach it by another address?"""
        return self._runtime.settings.public_url is not None

    @property
    def is_switched_open(self) -> bool:
        return self._runtime.settings.open_access

    @property
    def is_open(self) -> bool:
        """Is there neither a key nor a user yet, and nobody beyond this machine? False too while nobody can tell."""
        try:
            return is_loopback(self.host) and Entrance(self._runtime).is_open()
        except RingbackError:
            return False

    def serve(self) -> None:
        """Until SIGTERM or SIGINT, which only the main thread may wait for; a second one ends the process at once."""
        told = threading.Event()

        def stop(number: int, _frame: FrameType | None) -> None:
            if told.is_set():
                os._exit(128 + number)
            told.set()

        before = {one: signal.signal(one, stop) for one in (signal.SIGTERM, signal.SIGINT)}
        notifier = Notifier()
        self.start()
        try:
            is_ready = False
            while not told.wait(0.5) and self._thread is not None and self._thread.is_alive():
                if self._server.started and not is_ready:
                    is_ready = True
                    notifier.ready(f"listening at {self.url}")
                if notifier.watchdog is not None and boottime() - self._server.turned_at < notifier.watchdog:
                    notifier.alive()
        finally:
            notifier.stopping("requests under way are finishing")
            self.stop()
            for one, handler in before.items():
                signal.signal(one, handler)

    def start(self) -> None:
        """Beside other work; see `stop`."""
        LOGGER.addHandler(self._complaints)
        # In a thread of its own uvicorn leaves signals alone; in the main thread it would raise them again at its end.
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="web", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Take no more requests, finish those under way."""
        board_of(self.app).close()  # event streams would never finish by themselves
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(STOP_SECONDS + 2)
        LOGGER.removeHandler(self._complaints)


class Complaints(logging.Handler):
    """What the server below complains of, as everything else is told: without a trace, which may hold numbers."""

    def __init__(self, runtime: Runtime, reporter: Reporter) -> None:
        super().__init__(logging.ERROR)  # a warning is what any stranger can cause, as often as they like
        self._runtime, self._reporter = runtime, reporter

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage().strip()
        if not text.startswith("Exception in ASGI application"):  # `guard.py` has told of that
            error = record.exc_info[1] if record.exc_info else None
            self._reporter.request_failed(
                self._runtime.clock_of_host(), what="serving", error=error or RuntimeError(text)
            )


class Watched(uvicorn.Server):
    """Knows when its loop last came round: one that is stuck answers nobody, and the watchdog is to see that."""

    turned_at = 0.0

    async def on_tick(self, counter: int) -> bool:
        self.turned_at = boottime()
        return await super().on_tick(counter)


class Prompt(H11Protocol):
    """Closes a connection whose request does not arrive."""

    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        if hasattr(transport, "max_size"):  # of asyncio's own loop
            transport.max_size = READ_AT_ONCE
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        is_served = self.cycle is not None and not self.cycle.response_complete
        if is_served and self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
        elif not is_served and self._waiting is None:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._waiting = self.loop.call_later(HEADERS_SECONDS, self._give_up)

    def _give_up(self) -> None:
        self._waiting = None
        if (self.cycle is None or self.cycle.response_complete) and not self.transport.is_closing():
            self.transport.close()


def bind(host: str, port: int) -> socket.socket:
    """A socket at the address, which does not listen yet. Raises InvalidValue."""
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        # Only where the protocol is named does asyncio send small packets at once: else an answer to a client that
        # keeps its connection waits 40 ms for the client's acknowledgement.
        made = socket.socket(family, kind, protocol)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            made.bind(address)
        except BaseException:
            made.close()
            raise
        return made
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise InvalidValue("address", f"{host}:{port}", f"choose another with --host and --port ({why})") from None


def raise_open_files() -> int:
    """As many open files as this process may have: each connection is one. Returns how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 1_048_576 if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY and soft < most:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        except (OSError, ValueError):
            return soft
    return most
