"""Every command of README.md and docs/*.md, run in the order of its page in a fresh clone, by a newcomer's shell.

Whoever adds a block of commands to a page has it run here without doing anything. Listed below is what cannot run
here, with its reason; what is to be refused, with the words of the refusal; what a reader types; and where a page
names an example (a port, a server, a file) in whose place stands ours.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import openpyxl
import pytest

from tests.checkout import ROOT, borrow_libraries, clone_to, newcomers_environment
from tests.conftest import fresh_database

PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])

LEFT_OUT = {
    "make test": "it runs this very test",
    "python3.11 -m venv /opt/ringback": "from here on a machine of its own is set up: /opt, /etc, systemd",
    "/opt/ringback/bin/pip install": "on that machine",
    "install -m": "on that machine",
    "install -d": "on that machine",
    "RINGBACK_CONFIG=/etc/ringback/ringback.toml": "on that machine",
    "systemctl daemon-reload": "on that machine",
    "pip install 'websockets>=15'": "it is installed here, and nothing is fetched while tests run",
}
"""Commands that begin so are not run."""

ON_MARIADB_ALONE = (
    "mysqldump ", "mysql -e ", "zcat ringback.sql.gz ", "RINGBACK_DATABASE_URL=mysql+pymysql://ringback@",
)  # fmt: skip
ON_SQLITE_ALONE = ("sqlite3 ", "make build", "python3 -m venv ~/ringback", 'pip install "$(ls dist/')
"""The wheel is the same on every engine, so it is built once."""

REFUSED = {
    "ringback check --provider": "problem",
    "ringback check --provider retell": "problem",
    "ringback check --provider nlpearl": "problem",
    "ringback check --provider twilio": "problem",
    "ringback check --provider asterisk": "problem",
    "ringback alerts": "",  # exit code 1 when somebody should look, as here where nobody dials
    "ringback daemons drain 3": "daemon 3",
    "ringback calls hangup 731": "there is no",
    "ringback campaigns edit autumn --provider twilio": "cancelled for good",  # by the README, which was read before
}
"""What may end with 1, because keys or rows are the reader's own, and what is said then."""

TYPED = {
    "ringback users add ana --role admin": "correct horse battery staple",
    "ringback users set-password ana": "another correct horse battery",
}
"""Passwords, asked for twice."""

GOES_ON = ("make run", "ringback run", "ringback serve", "python -m tests.providers.fakes.http_dialer")
"""Commands that go on until Ctrl-C: the next of them stops the one before it, as a reader would."""

NEVER_REACHED = {
    "RETELL_BASE_URL": "http://127.0.0.1:9", "NLPEARL_BASE_URL": "http://127.0.0.1:9",
    "TWILIO_BASE_URL": "http://127.0.0.1:9",
}  # fmt: skip
"""No vendor is asked with the keys of an example."""


@pytest.mark.timeout(600)
@pytest.mark.parametrize("engine", ["sqlite", "mariadb"])
def test_the_readme_runs_from_its_first_command_on_and_then_the_page_for_operators(engine, request, tmp_path):
    with Reader(tmp_path, database_of(engine, request)) as reader:
        reader.read("README.md")
        reader.run("ringback serve --port 8000")  # for operators the web is a process of its own
        reader.read("docs/operations.md")

    assert reader.count > 45


@pytest.mark.timeout(600)
@pytest.mark.parametrize("engine", ["sqlite", "mariadb"])
def test_the_pages_about_http_run_on_empty_tables(engine, request, tmp_path):
    with Reader(tmp_path, database_of(engine, request), borrows_program=True) as reader:
        reader.run("ringback db upgrade")
        reader.run("ringback serve --port 8000")
        reader.read("docs/api.md")
        reader.run("echo \"header = \\\"Authorization: Bearer $RINGBACK_KEY\\\"\" >> ~/.curlrc")
        reader.run("ringback accounts create Example --code acc-test-001")
        reader.read("docs/batches.md")

    assert reader.count > 30


@pytest.mark.timeout(600)
def test_the_pages_about_providers_run_and_keys_of_an_example_are_refused(tmp_path):
    with Reader(tmp_path, "sqlite:///var/ringback.db", borrows_program=True) as reader:
        reader.run("ringback db upgrade")
        reader.read("docs/providers.md")
        reader.read("docs/http_dialer.md")

    assert reader.count > 30


def test_no_page_is_left_out():
    read = {"README.md", "operations.md", "api.md", "batches.md", "providers.md", "http_dialer.md"}

    assert {page.name for page in PAGES if list(commands_in(page.read_text("utf-8")))} == read
    everything = [one for page in PAGES for one in commands_in(page.read_text("utf-8"))]
    for known in (*LEFT_OUT, *REFUSED, *TYPED, *ON_MARIADB_ALONE, *ON_SQLITE_ALONE):
        assert any(one.startswith(known) for one in everything), f"no page says {known}"


# --- what this file needs ---------------------------------------------------------------------------------------------


def commands_in(page: str) -> Iterator[str]:
    """The commands of a page: blocks of `sh`, and indented lines that begin with `$ `, curl, printf or `NAME=$(`."""
    lines = iter(page.splitlines())
    for line in lines:
        if line == "```sh":
            yield from whole_commands(iter(lambda: next(lines), "```"))
        elif line.startswith("```"):
            for inside in lines:
                if inside == "```":
                    break
        elif found := re.match(r"    (?:\$ (.+)|((?:curl |printf |\w+=\$\().+))", line):
            command = found[1] or found[2]
            while command.endswith("\\"):
                command += "\n" + next(lines)
            yield command


def whole_commands(lines: Iterator[str]) -> Iterator[str]:
    """Lines put together until the shell can read them."""
    command = ""
    for line in lines:
        command += line + "\n"
        read = subprocess.run(["bash", "-n", "-c", command], capture_output=True)
        if read.returncode == 0 and not line.endswith("\\"):
            if without_comment(command):
                yield without_comment(command)
            command = ""
    assert not command, f"no shell can read {command}"


def without_comment(command: str) -> str:
    return re.sub(r"\s+# .*", "", command).strip() if "\n" not in command.strip() else command.strip()


@dataclass
class Reader:
    """Somebody with one shell in a fresh clone. `borrows_program`: `ringback` is there before `make run` was."""

    folder: Path
    url: str
    borrows_program: bool = False
    count: int = 0
    _going: Going | None = None
    _environment: dict[str, str] = field(default_factory=dict)

    def __enter__(self) -> Reader:
        self.clone = clone_to(self.folder / "clone")
        self.home = self.folder / "home"
        self.home.mkdir()
        (self.home / ".curlrc").write_text("fail-with-body\nsilent\nshow-error\nmax-time = 30\n")
        self.port, self.dialer_port = free_port(), free_port()
        tools = [str(Path(sys.executable).parent)] if self.borrows_program else []
        self._environment = newcomers_environment(
            HOME=str(self.home), PATH=os.pathsep.join([*tools, "/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin"]),
            PORT=str(self.port), PYTHON=sys.executable, PIP_NO_INDEX="1", PIP_CONFIG_FILE=os.devnull,
            PYTHONPATH=str(borrow_libraries(self.folder / "borrowed", without=("pip",))),
            **NEVER_REACHED,
        )  # fmt: skip
        if self.borrows_program:
            self._environment |= {"RINGBACK_DATABASE_URL": self.url, "PYTHONPATH": str(self.clone)}
        self._remember_the_server()
        self._make_files_of_readers()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def read(self, page: str) -> None:
        """Every command of the page. What the section about real calls exports is forgotten after it."""
        text = (self.clone / page).read_text("utf-8")
        for section in re.split(r"(?m)^(?=## )", text):
            before = self._exported()
            for command in commands_in(section):
                if not self._is_left_out(command):
                    self.run(command)
            if "_API_KEY" in section:
                (self.folder / "exported").write_text(before)

    def run(self, command: str) -> None:
        ours = self._with_ours(command)
        self.count += 1
        if command.startswith(GOES_ON):
            if self._going is not None and self._going.command == ours:
                return  # the page says it twice, of two databases that are one here
            self.stop()
            shell, log = self._shell(ours, keeps=False), self.folder / "going.log"
            self._going = Going(shell, ours, self._environment, self.clone, log)
            self._going.wait_for(self.dialer_port if "http_dialer" in command else self.port)
            return
        typed = TYPED.get(command)
        done = subprocess.run(
            self._shell(ours), cwd=self.clone, env=self._environment, capture_output=True, text=True, timeout=300,
            input=f"{typed}\n{typed}\n" if typed else "",
        )  # fmt: skip
        said = f"$ {ours}\n{done.stdout}\n{done.stderr}"
        if done.returncode and command in REFUSED:
            assert done.returncode == 1 and REFUSED[command] in said and "Traceback" not in said, said
        else:
            is_refused = '"12345"' in command
            assert done.returncode == (22 if is_refused else 0), said + (self._going.log() if self._going else "")

    def stop(self) -> None:
        if self._going is not None:
            self._going.stop()
            self._going = None

    def _is_left_out(self, command: str) -> bool:
        others = ON_SQLITE_ALONE if self.url.startswith("mysql") else ON_MARIADB_ALONE
        return command.startswith((*LEFT_OUT, *others))

    def _with_ours(self, command: str) -> str:
        """The command with our port, server and file in the place of the page's."""
        ours = {
            "127.0.0.1:8000": f"127.0.0.1:{self.port}", "--port 8000": f"--port {self.port}",
            "8090": str(self.dialer_port), "/tmp/dialer.ledger": str(self.folder / "ledger"),
            "10.0.0.5:8088": "127.0.0.1:9", "@10.0.0.5/": "@127.0.0.1:9/",
            "mysql+pymysql://user:password@127.0.0.1/ringback": f"'{self.url}'",
            "sqlite:///var/ringback.db": f"'{self.url}'",
        }  # fmt: skip
        if self.url.startswith("mysql"):
            server, _, name = self.url.partition("?")[0].rpartition("/")
            if command == "make run":
                command = "make run DATABASE_URL=mysql+pymysql://user:password@127.0.0.1/ringback"
            ours |= {
                "mysql+pymysql://ringback@127.0.0.1/ringback_restored": f"{server}/{name}_restored",
                "CREATE DATABASE ringback_restored": f"CREATE DATABASE {name}_restored",
                "mysql ringback_restored": f"mysql {name}_restored",
                "--no-tablespaces ringback ": f"--no-tablespaces {name} ",
            }
        for theirs, own in ours.items():
            command = command.replace(theirs, own)
        return f"{command} --port {self.port}" if command == "ringback run --with-web" else command

    def _shell(self, command: str, *, keeps: bool = True) -> list[str]:
        """A shell that knows what the commands before have set, and leaves what this one sets to those after."""
        state = shlex.quote(str(self.folder / "exported"))
        keep = f"; code=$?; export -p > {state}; exit $code" if keeps else ""
        return ["bash", "-c", f"set -ao pipefail; [ ! -f {state} ] || . {state}; {command}\n{keep[2:]}"]

    def _exported(self) -> str:
        state = self.folder / "exported"
        return state.read_text() if state.exists() else ""

    def _remember_the_server(self) -> None:
        """Where mysql and mysqldump find the server, as on the machine of somebody who has one."""
        if self.url.startswith("mysql"):
            from sqlalchemy import make_url

            url = make_url(self.url)
            (self.home / ".my.cnf").write_text(
                f"[client]\nhost={url.host}\nport={url.port}\nuser={url.username}\npassword={url.password}\n"
            )

    def _make_files_of_readers(self) -> None:
        book = openpyxl.Workbook()
        assert book.active is not None
        for row in (("nombre", "telefono"), ("Ana", "+56912345678"), ("Luis", "+56987654321")):
            book.active.append(row)
        book.save(self.clone / "deudores.xlsx")


class Going:
    """A command that goes on, and what it says."""

    def __init__(self, shell: Sequence[str], command: str, environment: dict[str, str], clone: Path, log: Path) -> None:
        self.command, self._log = command, log
        with log.open("wb") as said:
            self._process = subprocess.Popen(
                shell, cwd=clone, env=environment, stdout=said, stderr=said, stdin=subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip

    def wait_for(self, port: int) -> None:
        for _ in range(3000):
            try:
                ended = self._process.wait(timeout=0.1)
            except subprocess.TimeoutExpired:
                with socket.socket() as attempt:
                    if attempt.connect_ex(("127.0.0.1", port)) == 0:
                        return
            else:
                pytest.fail(f"$ {self.command}\nended with {ended}\n{self.log()}")
        self.stop()
        pytest.fail(f"$ {self.command}\ndoes not answer at {port}\n{self.log()}")

    def stop(self) -> None:
        """Ctrl-C, which a terminal sends to all of them."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGINT)
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            pytest.fail(f"$ {self.command}\ndoes not end with Ctrl-C\n{self.log()}")

    def log(self) -> str:
        return self._log.read_text("utf-8", "replace")


def database_of(engine: str, request: pytest.FixtureRequest) -> str:
    if engine == "sqlite":
        return "sqlite:///var/ringback.db"
    if shutil.which("mysqldump") is None:
        pytest.skip("there is no mysqldump here")
    server = request.getfixturevalue("mariadb_server")
    made = fresh_database(server, f"ringback_test_pages_{os.getpid()}")
    url = made.__enter__()
    request.addfinalizer(lambda: made.__exit__())
    return url


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
