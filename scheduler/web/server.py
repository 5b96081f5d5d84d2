"""Serve the web application: in the foreground, or beside a daemon in a thread of its own."""

from __future__ import annotations

import os
import signal
import socket
import threading
from types import FrameType

import uvicorn

from scheduler.errors import InvalidValue
from scheduler.events import Reporter
from scheduler.service.runtime import Runtime
from scheduler.web.app import create_app

KEEP_ALIVE_SECONDS = 75
STOP_SECONDS = 10


class WebServer:
    """Bound when it is made, so that an address in use is said at once. Raises InvalidValue."""

    def __init__(self, runtime: Runtime, host: str, port: int, *, reporter: Reporter | None = None) -> None:
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self._socket = socket.create_server((host, port), family=family, backlog=1024)
        except OSError as error:
            right = f"choose another with --host and --port ({error.strerror or error})"
            raise InvalidValue("address", f"{host}:{port}", right) from None
        self.host, self.port = host, int(self._socket.getsockname()[1])
        config = uvicorn.Config(
            create_app(runtime, reporter=reporter, host=host, port=self.port),
            log_config=None, access_log=False, server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS, timeout_graceful_shutdown=STOP_SECONDS, lifespan="on",
        )
        self._server = uvicorn.Server(config)
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    def serve(self) -> None:
        """Until SIGTERM or SIGINT, which only the main thread may wait for; a second one ends the process at once."""
        told = threading.Event()

        def stop(number: int, _frame: FrameType | None) -> None:
            if told.is_set():
                os._exit(128 + number)
            told.set()

        before = {one: signal.signal(one, stop) for one in (signal.SIGTERM, signal.SIGINT)}
        self.start()
        try:
            while not told.wait(1.0) and self._thread is not None and self._thread.is_alive():
                pass
        finally:
            self.stop()
            for one, handler in before.items():
                signal.signal(one, handler)

    def start(self) -> None:
        """Beside other work; see `stop`."""
        # In a thread of its own uvicorn leaves signals alone; in the main thread it would raise them again at its end.
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="web", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Take no more requests, finish those under way."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(STOP_SECONDS + 2)
