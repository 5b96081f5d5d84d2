"""A process that has imported everything, and forks what the tests start: a daemon is there in a few milliseconds.

Importing Ringback takes most of a second of processor time, and fault tests start hundreds of processes. A child
here is what `python -m module` would be: its own environment, arguments and files, no thread and no connection of
anybody else; it ends as an interpreter ends. The nursery has one thread and opens nothing, so forking it is safe.

Each child has a line to whoever asked for it. The nursery tells by it how the child ended, and when the asker is
gone, however it ended, the child is killed: no test leaves a process behind.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import IO, Any

WARM = (
    "alembic.command", "cli.check", "cli.run", "cli.serve", "fastapi", "holidays", "httpx", "phonenumbers", "pymysql",
    "scheduler.providers.retell", "scheduler.providers.simulator_http", "scheduler.service.checks",
    "scheduler.service.daemon", "scheduler.web.server", "sqlalchemy.dialects.mysql.pymysql",
    "sqlalchemy.dialects.sqlite.pysqlite", "tests.providers.fakes.retell", "uvicorn",
    "uvicorn.protocols.http.h11_impl", "uvicorn.lifespan.on", "uvicorn.loops.auto",
)
LARGEST_ORDER = 1 << 18


class Child:
    """What `subprocess.Popen` is for a process of our own, for one of the nursery."""

    def __init__(self, line: socket.socket, pid: int, stdout: IO[bytes] | None) -> None:
        self._line, self.pid, self.stdout = line, pid, stdout
        self.returncode: int | None = None
        self._lock = threading.Lock()

    def poll(self) -> int | None:
        return self._hear(0)

    def wait(self, timeout: float | None = None) -> int:
        code = self._hear(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def _hear(self, seconds: float | None) -> int | None:
        with self._lock:
            if self.returncode is None:
                self._line.settimeout(seconds)
                try:
                    said = self._line.recv(64)
                except (BlockingIOError, TimeoutError):
                    return None
                assert said, "the nursery is gone"
                self.returncode = os.waitstatus_to_exitcode(int(said))
                self._line.close()
            return self.returncode


class Nursery:
    """Starts children. One for each process of tests, started when it is first needed."""

    def __init__(self) -> None:
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno())], pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL, env={**os.environ, "PYTHONHASHSEED": "0"},
            )
        self._lock = threading.Lock()

    def start(
        self, module: str, arguments: Sequence[str], *, log: int, environment: Mapping[str, str], folder: str,
        answers: bool = False,
    ) -> Child:
        """As `python -m module`. `answers`: its standard output comes to us, not to `log`."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        reading, writing = os.pipe() if answers else (None, None)
        order = {"module": module, "arguments": list(arguments), "environment": dict(environment), "folder": folder}
        fds = [theirs.fileno(), log, log if writing is None else writing]
        with theirs, self._lock:
            socket.send_fds(self._line, [json.dumps(order).encode()], fds)
        if writing is not None:
            os.close(writing)
        said = ours.recv(64)
        assert said, "the nursery is gone"
        return Child(ours, int(said), None if reading is None else os.fdopen(reading, "rb"))

    def close(self) -> None:
        self._line.close()
        self._process.wait()


_ours: list[Nursery] = []


def nursery() -> Nursery:
    if not _ours:
        _ours.append(Nursery())
        atexit.register(_ours[0].close)
    return _ours[0]


# --- in the nursery -----------------------------------------------------------------------------


class _Keeper:
    """Forks on order, tells how children end, and kills those that nobody waits for any more."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._lines: dict[int, socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(line, selectors.EVENT_READ, 0)
        self._wake, self._told = os.pipe()
        os.set_blocking(self._told, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._told)
        self._selector.register(self._wake, selectors.EVENT_READ, -1)

    def work(self) -> dict[str, Any] | None:
        """In the nursery: until the asker is gone, None. In each child: its order."""
        while True:
            for key, _ in self._selector.select():
                if key.data > 0:
                    self._kill(key.data)
                elif key.data < 0:
                    os.read(self._wake, 4096)
                    self._bury()
                elif (order := self._hear()) is not None:
                    return order or None

    def _hear(self) -> dict[str, Any] | None:
        """An order for this very process, which is a new child; {} at the end of all; None to go on."""
        said, fds, _, _ = socket.recv_fds(self._line, LARGEST_ORDER, 3)
        if not said:
            for pid in tuple(self._lines):
                self._kill(pid)
            return {}
        assert threading.active_count() == 1, "a thread would be lost by forking"
        pid = os.fork()
        if not pid:
            self._leave()
            os.dup2(fds[1], 2)
            os.dup2(fds[2], 1)
            for fd in fds:
                os.close(fd)
            found: dict[str, Any] = json.loads(said)
            return found
        line = self._lines[pid] = socket.socket(fileno=fds[0])
        for fd in fds[1:]:
            os.close(fd)
        line.send(str(pid).encode())
        self._selector.register(line, selectors.EVENT_READ, pid)
        return None

    def _leave(self) -> None:
        """In a child: keep nothing of the nursery, or the ends of lines would not be noticed."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self._selector.close()
        for line in (self._line, *self._lines.values()):
            line.close()
        os.close(self._wake)
        os.close(self._told)

    def _bury(self) -> None:
        while self._lines:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            line = self._lines.pop(pid)
            with contextlib.suppress(KeyError):
                self._selector.unregister(line)
            with contextlib.suppress(OSError):
                line.send(str(status).encode())
            line.close()

    def _kill(self, pid: int) -> None:
        if pid in self._lines:
            with contextlib.suppress(KeyError):
                self._selector.unregister(self._lines[pid])
            os.kill(pid, signal.SIGKILL)


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # for the tests; they let us go when they end
    for name in WARM:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    order = _Keeper(socket.socket(fileno=int(sys.argv[1]))).work()
    if order is None:
        return
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environment"])
    from scheduler.service import fault_points

    importlib.reload(fault_points)  # it reads the environment once, when it is imported
    module = importlib.import_module(order["module"])
    sys.argv = [str(module.__file__), *order["arguments"]]
    sys.exit(module.main())


if __name__ == "__main__":
    main()
