"""A private MariaDB: a plain process in a folder of its own, for the length of a test run."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pymysql

USER, PASSWORD = "ringback", "ringback"
"""May do everything: what makes databases and users, and strains the server."""
APP_USER, APP_PASSWORD = "ringback_app", "ringback"
"""An ordinary user, as the program has it: every right on its own databases, none on the server."""
OWN_DATABASES = r"`ringback\_test\_%`"


class Unavailable(Exception):
    """No MariaDB can be started here."""


class PrivateMariaDB:
    """Fast by default (a kill of the server may lose commits); `durable` keeps every promise it makes.

    The small `buffer_pool` and log start quickly; tables of millions of rows want larger ones.
    """

    def __init__(
        self, *, durable: bool = False, buffer_pool: str = "64M", log_size: str = "8M", options: Sequence[str] = ()
    ) -> None:
        self.durable = durable
        self.options = options
        self.buffer_pool, self.log_size = buffer_pool, log_size
        self.port = _free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="rb"))  # short: socket names are limited to 107 bytes
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"mysql+pymysql://{USER}:{PASSWORD}@127.0.0.1:{self.port}/mysql?charset=utf8mb4"

    def __enter__(self) -> PrivateMariaDB:
        try:
            self._create()
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        """Start the server and wait until the account can log in."""
        with (self.folder / "log").open("ab") as file:
            self.process = subprocess.Popen(self._command(), stdout=file, stderr=file, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while True:
            try:
                self.connect().close()
                return
            except pymysql.err.OperationalError as error:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    log = (self.folder / "log").read_text()
                    raise Unavailable(f"the server did not start: {log[-2000:]}") from error
                self.process_wait(0.05)

    def connect(self) -> pymysql.Connection[pymysql.cursors.Cursor]:
        return pymysql.connect(host="127.0.0.1", port=self.port, user=USER, password=PASSWORD, connect_timeout=5)

    def process_wait(self, seconds: float) -> None:
        """Give the server a moment, or less if it ends."""
        assert self.process is not None
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return

    def kill(self) -> None:
        """As a power cut does, for the process."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()

    def _create(self) -> None:
        install = _program("mariadb-install-db", "mysql_install_db")
        (self.folder / "tmp").mkdir()
        made = subprocess.run(
            [
                install, "--no-defaults", f"--datadir={self.folder / 'data'}", f"--tmpdir={self.folder / 'tmp'}",
                "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve",
                f"--user={getpass.getuser()}", f"--innodb-log-file-size={self.log_size}",
                *([] if self.durable else ["--innodb-flush-method=nosync"]),
            ],
            capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"},
        )
        if made.returncode:
            raise Unavailable(f"mariadb-install-db failed: {made.stderr[-1000:]}")
        self._write_init()

    def _command(self) -> list[str]:
        unsafe = [] if self.durable else ["--innodb-flush-method=nosync", "--innodb-doublewrite=0"]
        return [
            *self._program(), f"--datadir={self.folder / 'data'}", *self._shared_options(), "--skip-networking=0",
            "--skip-log-bin", f"--innodb-log-file-size={self.log_size}", "--performance-schema=0", *unsafe,
            *self.options,
        ]

    def _program(self) -> list[str]:
        return [_program("mariadbd", "mysqld"), "--no-defaults", f"--user={getpass.getuser()}"]

    def _shared_options(self) -> list[str]:
        return [
            f"--socket={self.folder / 's.sock'}", f"--pid-file={self.folder / 'm.pid'}", f"--port={self.port}",
            "--bind-address=127.0.0.1", "--skip-name-resolve", f"--init-file={self.folder / 'init.sql'}",
            f"--tmpdir={self.folder / 'tmp'}", "--default-time-zone=+00:00",
            f"--innodb-buffer-pool-size={self.buffer_pool}", f"--innodb-flush-log-at-trx-commit={int(self.durable)}",
            "--max-connections=200",
        ]

    def _write_init(self) -> None:
        (self.folder / "init.sql").write_text(
            f"CREATE USER IF NOT EXISTS '{USER}'@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';\n"
            f"GRANT ALL ON *.* TO '{USER}'@'127.0.0.1' WITH GRANT OPTION;\n"
            f"CREATE USER IF NOT EXISTS '{APP_USER}'@'127.0.0.1' IDENTIFIED BY '{APP_PASSWORD}';\n"
            f"GRANT ALL ON {OWN_DATABASES}.* TO '{APP_USER}'@'127.0.0.1';\n"
        )


def _program(*names: str) -> str:
    for name in names:
        found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
        if found:
            return found
    raise Unavailable(f"{names[0]} is not installed; on Debian: apt-get install mariadb-server")


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
