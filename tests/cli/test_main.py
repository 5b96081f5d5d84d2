"""What holds for every command: help, exit codes, errors as sentences."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
from click.testing import CliRunner

import scheduler
from cli.main import COMMANDS, Commands, cli
from scheduler.store.database import Database
from tests.cli.conftest import Ringback
from tests.each import each
from tests.factories import add_lead

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def list_commands(group: click.Group, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    found: list[tuple[tuple[str, ...], click.Command]] = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        here = (*path, name)
        found += list_commands(command, here) if isinstance(command, click.Group) else [(here, command)]
    return found


EVERY = list_commands(cli)


def test_the_commands_are_those_of_the_contract() -> None:
    contract = {
        "db": "upgrade current check",
        "config": "list get set",
        "leads": "import add list show close reopen suspend resume",
        "schedule": "list add cancel release",
        "calls": "record list hangup resolve",
        "campaigns": "create edit list show pause resume cancel pause-all resume-all",
        "daemons": "list pause resume drain",
        "rules": "test",
        "simulator": "serve",
    }
    wanted = {f"{noun} {verb}" for noun, verbs in contract.items() for verb in verbs.split()}

    assert {" ".join(path) for path, _ in EVERY} >= wanted | {"run", "check", "stats", "cleanup", "completion"}


@each(("path", "command"), EVERY, ids=[" ".join(path) for path, _ in EVERY])
def test_every_command_teaches_by_an_example(path: tuple[str, ...], command: click.Command) -> None:
    help_text = command.help or ""

    assert "Example" in help_text
    assert f"ringback {' '.join(path)}" in help_text
    assert help_text.splitlines()[0].endswith(".")


@each("name", ["list", "show", "get", "current", "stats", "check", "test"])
def test_every_read_has_json_and_every_list_a_limit(name: str) -> None:
    for path, command in EVERY:
        if path[-1] == name:
            options = {word for one in command.params for word in one.opts}
            assert "--json" in options, path
            assert "--limit" in options or name != "list", path


def test_help_imports_neither_database_nor_network() -> None:
    script = (
        "import sys; from click.testing import CliRunner; from cli.main import cli\n"
        "assert CliRunner().invoke(cli, ['--help']).exit_code == 0\n"
        "print([name for name in ('sqlalchemy', 'alembic', 'httpx', 'pydantic', 'rich') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], env=ENVIRONMENT, capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_version_is_told(homeless: Ringback) -> None:
    assert scheduler.__version__ in homeless.ok("--version")


@each(
    "arguments",
    ["bogus", "leads show", "leads show x", "leads list --limit 0", "schedule add 1 --at tomorrow", "stats --bogus"],
)
def test_misuse_ends_with_2_and_shows_the_usage(homeless: Ringback, arguments: str) -> None:
    done = homeless(*arguments.split())

    assert done.exit_code == 2
    assert "Usage: ringback" in done.stderr


@each(
    "arguments",
    ["stats", "leads list", "db upgrade", "db current", "db check", "run --once", "config set timezone UTC", "cleanup"],
)
def test_a_database_that_is_away_is_one_sentence_without_the_password(homeless: Ringback, arguments: str) -> None:
    sentence = homeless.refused(*arguments.split())

    assert "Can't connect to MySQL server" in sentence
    assert "secret" not in sentence


def test_a_database_of_another_kind_is_refused(homeless: Ringback) -> None:
    assert "Ringback runs on mysql+pymysql://" in homeless.refused("stats", RINGBACK_DATABASE_URL="postgresql://h/x")
    assert "sqlite:///path" in homeless.refused("stats", RINGBACK_DATABASE_URL="nonsense")


def test_a_setting_that_cannot_be_used_is_named(homeless: Ringback) -> None:
    assert "RINGBACK_DIALING_PLACES: '0' cannot be used" in homeless.refused("stats", RINGBACK_DIALING_PLACES="0")


def test_a_file_that_is_no_database_is_one_sentence(homeless: Ringback, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear operator, this is a letter and long enough to be read. " * 20)

    sentence = homeless("stats", RINGBACK_DATABASE_URL=f"sqlite:///{tmp_path / 'letter.txt'}")

    assert sentence.exit_code == 1
    assert "not an SQLite database" in sentence.stderr


def test_commands_refuse_an_empty_database_and_name_the_command_that_helps(homeless: Ringback, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'empty.db'}"
    (tmp_path / "empty.db").touch()
    for arguments in (("stats",), ("leads", "list"), ("leads", "close", 1), ("run", "--once"), ("run",)):
        assert "run `ringback db upgrade`" in homeless.refused(*arguments, RINGBACK_DATABASE_URL=url)


class WithABug(Commands):
    """The same group with one command more, which fails as no command should."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return click.Command(cmd_name, callback=lambda: {}["missing"])


def test_a_bug_is_a_sentence_too_and_shows_itself_when_asked() -> None:
    said = CliRunner().invoke(WithABug(), ["any"])
    shown = CliRunner().invoke(WithABug(), ["any"], env={"RINGBACK_LOG_LEVEL": "DEBUG"})

    assert (said.exit_code, shown.exit_code) == (1, 1)
    assert "This is a bug" in said.stderr and "Traceback" not in said.stderr
    assert "Traceback" in shown.stderr


def test_the_url_may_be_given_before_the_command(homeless: Ringback, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'other.db'}"

    assert "upgraded from nothing" in homeless.ok("--database-url", url, "db", "upgrade")
    assert homeless("--database-url", url, "stats").exit_code == 0


def test_a_reader_that_leaves_is_no_error(database: Database, database_url: str) -> None:
    for _ in range(3):
        add_lead(database)
    command = f"{sys.executable} -m cli.main leads list --json | true"
    environment = {**ENVIRONMENT, "RINGBACK_DATABASE_URL": database_url}
    done = subprocess.run(["/bin/sh", "-c", command], env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 0
    assert done.stderr == ""


def test_a_full_disk_is_one_sentence(database: Database, database_url: str) -> None:
    add_lead(database)
    command = f"{sys.executable} -m cli.main leads list --json > /dev/full"
    environment = {**ENVIRONMENT, "RINGBACK_DATABASE_URL": database_url}
    done = subprocess.run(["/bin/sh", "-c", command], env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert done.stderr == "ringback: No space left on device\n"


def test_every_command_is_a_file_of_its_noun() -> None:
    for name, where in COMMANDS.items():
        assert where == f"cli.{name}:{name}"
