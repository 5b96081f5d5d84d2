"""A house on fire, by request: on an SQLite file or on a durable MariaDB of its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from scheduler.store import schema, tables
from scheduler.store.database import Database
from tests.conftest import _sqlite_template, started
from tests.faults.harness import BACKSTOP, House, choose_seed
from tests.mariadb import PrivateMariaDB
from tests.servers import private_server

BuildHouse = Callable[..., House]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What these tests wait for is an event, however long it takes on a busy machine."""
    for item in items:
        if item.get_closest_marker("faults"):
            item.add_marker(pytest.mark.timeout(4 * BACKSTOP))


def start_server() -> PrivateMariaDB:
    """Whatever stands here must be able to `kill`, `start` and `stop`, and have a `url`, a `process` and `connect`."""
    return private_server(durable=True)


@pytest.fixture(scope="session")
def durable_server() -> Iterator[PrivateMariaDB]:
    """A server that keeps what it promised when it is killed; the shared fast one does not."""
    with started(durable=True) as server:
        yield server


GIVEN_DATABASE = f"ringback_faults_{os.getpid()}"


@pytest.fixture(scope="session")
def given_server() -> Iterator[str | None]:
    """The URL of the server that RINGBACK_TEST_MYSQL_URL names: for tests that do it no harm, in a database of ours."""
    given = os.environ.get("RINGBACK_TEST_MYSQL_URL")
    yield given
    if given is not None:
        admin = Database(given)
        with admin.engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE IF EXISTS {GIVEN_DATABASE}"))
        admin.close()


@pytest.fixture(params=["sqlite", "mariadb"])
def engine(request: pytest.FixtureRequest) -> str:
    """Which database; a test for one alone says so with `indirect`."""
    return str(request.param)


@pytest.fixture
def server(durable_server: PrivateMariaDB) -> PrivateMariaDB:
    """For tests that kill or freeze it, so that it is always ours; the others may be given one by its URL."""
    return durable_server


@pytest.fixture
def build_house(engine: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BuildHouse]:
    """Build a house on an empty database: `build_house(capacity=20, faults="throttle=0.1")`."""
    built: list[House] = []

    def build(**options: Any) -> House:
        server, given = None, request.getfixturevalue("given_server")
        if engine == "sqlite":
            url = f"sqlite:///{tmp_path / 'ringback.db'}"
            (tmp_path / "ringback.db").write_bytes(_sqlite_template())
        elif given and "server" not in request.fixturenames:
            url = empty_database(given, GIVEN_DATABASE)
        else:
            server = request.getfixturevalue("durable_server")
            url = empty_database(server.url)
        built.append(House(url, tmp_path, seed=choose_seed(), server=server, **options))
        return built[-1]

    yield build
    for one in built:
        one.close()


_seeds: dict[str, list[dict[str, str]]] = {}


def empty_database(server_url: str, name: str = "ringback") -> str:
    """The URL of a migrated database with nothing in it but the seeds; migrated once per server."""
    admin = Database(server_url)
    url = admin.url.set(database=name).render_as_string(hide_password=False)
    database = Database(url)
    config = tables.scheduler_config
    try:
        if url not in _seeds:
            with admin.engine.connect() as connection:
                connection.execute(text(f"CREATE DATABASE IF NOT EXISTS {name}"))
            schema.upgrade(database)
            with database.engine.connect() as connection:
                rows = connection.execute(config.select()).mappings()
                _seeds[url] = [
                    {name: row[name] for name in ("config_key", "config_value", "description")} for row in rows
                ]
        with database.engine.connect() as connection, connection.begin():
            for table in tables.metadata.sorted_tables:
                connection.execute(text(f"TRUNCATE TABLE {table.name}"))
            connection.execute(config.insert(), _seeds[url])
    finally:
        database.close()
        admin.close()
    return url
