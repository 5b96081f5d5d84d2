"""`ringback` as people call it, in this process, on a real database."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from click.testing import CliRunner, Result

from cli.main import cli
from scheduler.store.database import Database
from tests.conftest import SUFFICIENT_ENGINES, url_of_engine


class Ringback:
    """Runs commands on one database. `ok` expects exit code 0 and gives stdout, `json` what is in it."""

    def __init__(self, url: str) -> None:
        self.environment: dict[str, str | None] = {"RINGBACK_DATABASE_URL": url, "RINGBACK_HOST": "test"}

    def __call__(self, *arguments: object, **environment: str) -> Result:
        words = [str(one) for one in arguments]
        return CliRunner().invoke(cli, words, prog_name="ringback", env={**self.environment, **environment})

    def ok(self, *arguments: object, **environment: str) -> str:
        done = self(*arguments, **environment)
        assert done.exit_code == 0, done.output
        return done.stdout

    def json(self, *arguments: object) -> Any:
        return json.loads(self.ok(*arguments, "--json"))

    def refused(self, *arguments: object, **environment: str) -> str:
        """What is said on stderr by a command that ends with 1, in one line and without a traceback."""
        done = self(*arguments, **environment)
        assert done.exit_code == 1, (done.exit_code, done.output)
        assert done.stdout == ""
        assert "Traceback" not in done.stderr
        assert len(done.stderr.splitlines()) == 1, done.stderr
        return done.stderr.removeprefix("ringback: ").strip()


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """In an empty folder, so that no .env or TOML file of the developer is read; logs are set back at the end."""
    monkeypatch.chdir(tmp_path)
    yield
    structlog.reset_defaults()


@pytest.fixture(params=SUFFICIENT_ENGINES)
def database_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What commands say and refuse is the same on every engine, because all of it comes from the service."""
    return url_of_engine(request, tmp_path_factory)


@pytest.fixture
def ringback(database: Database, database_url: str) -> Ringback:
    return Ringback(database_url)


@pytest.fixture
def homeless() -> Ringback:
    """With a database that cannot be reached."""
    return Ringback("mysql+pymysql://nobody:secret@127.0.0.1:1/nothing")
