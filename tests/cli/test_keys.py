"""`ringback keys`, `ringback users`, and where `serve` and `run --with-web` listen."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.main import cli
from scheduler.store import tables
from scheduler.store.database import Database
from tests.cli.conftest import Ringback
from tests.factories import find, find_all
from tests.waiting import BACKSTOP

ROOT = Path(__file__).parents[2]
PASSWORD = "three blind mice"


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """Nothing here depends on the engine."""
    return f"sqlite:///{tmp_path / 'ringback.db'}"


def test_a_key_is_shown_once_and_listed_without_its_secret(ringback: Ringback):
    ringback.ok("accounts", "create", "Acme", "--code", "acme")
    done = ringback("keys", "create", "acme-report", "--account", "acme", "--days", "90")
    key = done.stdout.strip()
    listed = ringback.ok("keys", "list", "--json")

    assert re.fullmatch(r"rb_[0-9a-f]{12}_[A-Za-z0-9_-]{43}", key)
    assert "not shown again" in done.stderr
    assert "from now on" in done.stderr
    assert key.split("_", 2)[2] not in listed
    (row,) = ringback.json("keys", "list")
    assert (row["name"], row["scope"], row["account"], row["state"]) == ("acme-report", "read", "acme", "valid")
    assert "acme-report" in ringback.ok("keys", "list")


def test_a_key_is_revoked_by_id_name_or_prefix_and_forgotten_after_that(ringback: Ringback):
    made = [ringback.json("keys", "create", name) for name in ("a", "b", "c")]
    assert "from now on" not in ringback("keys", "create", "d").stderr
    for key in (made[0]["id"], "b", made[2]["prefix"], "d"):
        assert "revoked" in ringback.ok("keys", "revoke", key)
    assert [row["state"] for row in ringback.json("keys", "list")] == ["revoked"] * 4
    assert "there is no key nobody" in ringback.refused("keys", "revoke", "nobody")
    for key in "abc":
        assert "the link opens it" not in ringback("keys", "forget", key).stderr

    assert "the link opens it" in ringback("keys", "forget", "d").stderr


@pytest.mark.parametrize(
    "arguments, word",
    [(("x" * 65,), "1 to 64"), (("12",), "not a number"), (("k", "--account", "nobody"), "no account nobody")],
)
def test_a_key_that_cannot_be_made_is_refused_in_one_sentence(
    ringback: Ringback, arguments: tuple[str, ...], word: str
):
    assert word in ringback.refused("keys", "create", *arguments)
    assert ringback("keys", "create", "k", "--scope", "root").exit_code == 2
    assert ringback("keys", "create", "k", "--days", "0").exit_code == 2


def test_users_are_added_changed_and_removed(ringback: Ringback, database: Database):
    assert "ana may log in as admin" in typed(ringback, PASSWORD, "users", "add", "Ana", "--role", "admin").stdout
    before = find(database, tables.users).password_hash
    assert [(row["name"], row["role"]) for row in ringback.json("users", "list")] == [("ana", "admin")]
    assert "viewer" in ringback.ok("users", "set-role", "ana", "viewer")
    assert "changed" in typed(ringback, PASSWORD + "!", "users", "set-password", "ana").stdout
    assert find(database, tables.users).password_hash != before
    done = ringback("users", "remove", "ana")

    assert "removed" in done.stdout
    assert "the link opens it" in done.stderr
    assert find_all(database, tables.users) == []
    for words in (("remove", "ana"), ("set-role", "ana", "admin")):
        assert "there is no user ana" in ringback.refused("users", *words)
    assert PASSWORD not in repr(find_all(database, tables.events))


@pytest.mark.parametrize("password", ["short", "ana", "", "x" * 129])
def test_a_password_that_will_not_do_is_refused(ringback: Ringback, database: Database, password: str):
    done = typed(ringback, password, "users", "add", "ana", "--role", "viewer")

    assert (done.exit_code, len(done.stderr.splitlines())) == (1, 1)
    assert "12 to 128" in done.stderr
    assert find_all(database, tables.users) == []


def test_a_password_is_asked_for_twice_and_not_shown(database: Database, database_url: str):
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "cli.main", "users", "add", "ana", "--role", "viewer"], cwd=ROOT, stdin=theirs,
        stdout=theirs, stderr=theirs, env={**os.environ, "RINGBACK_DATABASE_URL": database_url}, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    said = b""
    for _ in range(2):
        asked = said.count(b": ")
        while said.count(b": ") == asked:
            said += os.read(ours, 1024)
        os.write(ours, f"{PASSWORD}\n".encode())
    assert process.wait(BACKSTOP) == 0
    said += os.read(ours, 1024)
    os.close(ours)

    assert PASSWORD.encode() not in said
    assert find(database, tables.users).name == "ana"


@pytest.mark.parametrize("arguments", [("serve",), ("run", "--once", "--with-web")])
@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_nothing_listens_wider_without_an_admin(ringback: Ringback, arguments: tuple[str, ...], host: str):
    ringback.ok("keys", "create", "reader")
    said = ringback.refused(*arguments, "--host", host, "--port", "0", RINGBACK_ALLOW_UNSAFE_DURABILITY="1")

    assert "make an admin first (ringback users add NAME --role admin)" in said


# --- what this file needs --------------------------------------------------------------------------------------


def typed(ringback: Ringback, password: str, *arguments: str) -> Result:
    words = [*arguments, "--password-stdin"]
    return CliRunner().invoke(cli, words, prog_name="ringback", env=ringback.environment, input=f"{password}\n")
