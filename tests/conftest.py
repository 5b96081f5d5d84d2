"""Real databases for tests: an SQLite file and a database server, each with the migrated schema.

The server is the one that RINGBACK_TEST_MYSQL_URL names, or one started here as a plain process: Debian's
MariaDB, or what RINGBACK_TEST_SERVER names (`make test SERVER=mysql`), and then nothing is run that asks no
server. Its parameter is called `mariadb`, whichever server it is. Under CI, and where a server was named, it must
be there; elsewhere its tests are skipped with the reason when it cannot be started.

On which engine a test runs follows from its claim. What is claimed of SQL, of types, of locks or of several at once
is true of an engine: those tests take `database` and run on every one, and so does whatever says nothing else. What is
claimed of rules, of words that are refused, of a command or a page is true of our code: there `sqlite_suffices`, which
tests/cli says for all of its tests, and `on_every_engine` takes back for one. What exists on one engine only asks for
that engine by name. RINGBACK_TEST_EVERY_ENGINE=1 (`make test-more`) runs what SQLite suffices for on every engine too.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest
from sqlalchemy import make_url, text

from scheduler.clock import ManualClock
from scheduler.config import Settings, read_settings
from scheduler.providers.registry import open_provider
from scheduler.service.runtime import Providers, Runtime
from scheduler.service.totals import NOT_KEPT, Keeping
from scheduler.store import schema, tables
from scheduler.store.database import Database
from tests.examples import keep_profile
from tests.mariadb import APP_PASSWORD, APP_USER, PrivateMariaDB, Unavailable
from tests.servers import is_database_half, private_server

keep_profile()
os.environ["RINGBACK_STATE_DIR"] = tempfile.mkdtemp(prefix="ringback-state-")
"""What daemons of tests remember is not this user's; databases have names of their own."""

NOON = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
"""A Friday: 12:00 in Santiago, 16:00 in Madrid, 10:00 in New York. Open nearly everywhere."""

ENGINES = ["sqlite", "mariadb"]
SUFFICIENT_ENGINES = ENGINES if os.environ.get("RINGBACK_TEST_EVERY_ENGINE") else ["sqlite"]
on_every_engine = pytest.mark.parametrize("database_url", ENGINES, indirect=True)
sqlite_suffices = pytest.mark.parametrize("database_url", SUFFICIENT_ENGINES, indirect=True)


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[str]:
    """URL of a server on which databases may be made and dropped."""
    given = os.environ.get("RINGBACK_TEST_MYSQL_URL")
    if given:
        yield given
        return
    with started() as server:
        yield server.url


@contextmanager
def started(*, durable: bool = False, options: Sequence[str] = ()) -> Iterator[PrivateMariaDB]:
    """A private server of the chosen kind, or the reason why the test is not run."""
    try:
        server = private_server(durable=durable, options=options).__enter__()
    except Unavailable as error:
        if os.environ.get("CI") == "true" or is_database_half():
            pytest.fail(f"a database server is needed here: {error}")
        pytest.skip(f"no database server: {error}")
    try:
        yield server
    finally:
        server.__exit__()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With a server named, what asks none is left out: it does not change with the server."""
    if not is_database_half():
        return
    asked = {"mariadb_server", "mariadb_url", "durable_server"}
    kept, left = [], []
    for item in items:
        of = getattr(item, "callspec", None)
        asks = of is not None and "mariadb" in of.params.values()
        (kept if asks or asked & set(getattr(item, "fixturenames", ())) else left).append(item)
    config.hook.pytest_deselected(items=left)
    items[:] = kept


@pytest.fixture(scope="session")
def mariadb_url(mariadb_server: str, worker_id: str) -> Iterator[str]:
    """A database of this worker alone, dropped at the end."""
    with fresh_database(mariadb_server, f"ringback_test_{worker_id}_{os.getpid()}") as url:
        yield url


@pytest.fixture(scope="session")
def sqlite_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """In memory where there is a place for files in memory: each commit waits for the disk, thousands of times."""
    memory = Path("/dev/shm")
    if not (os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 200 * 2**20):
        yield f"sqlite:///{tmp_path_factory.mktemp('db') / 'ringback.db'}"
        return
    with tempfile.TemporaryDirectory(prefix="ringback-test-", dir=memory) as folder:
        yield f"sqlite:///{folder}/ringback.db"


@pytest.fixture(scope="session")
def _migrated() -> dict[str, Database]:
    """What each test finds empty. An engine is kept because it keeps the statements that it has compiled."""
    return {}


@pytest.fixture(params=ENGINES)
def database_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """URL of a migrated database with nothing in it but the seeds of `scheduler_config`."""
    return url_of_engine(request, tmp_path_factory)


def url_of_engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    url: str = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "mariadb_url")
    return url


@pytest.fixture
def database(database_url: str, _migrated: dict[str, Database]) -> Iterator[Database]:
    known = _migrated.get(database_url) or _prepare(database_url)
    if known.is_sqlite:
        _renew(known)
    elif database_url in _migrated:
        _empty(known)
    _migrated[database_url] = known
    listeners = _listeners(known)
    yield known
    if known.is_sqlite:
        known.close()
        if _listeners(known) != listeners:  # the next test is not to be listened to
            del _migrated[database_url]


@pytest.fixture
def admin(database: Database, request: pytest.FixtureRequest) -> Iterator[Database]:
    """The same database for the user that may make others, and change the server."""
    if database.is_sqlite:
        yield database
        return
    server = make_url(request.getfixturevalue("mariadb_server"))
    made = Database(server.set(database=database.url.database))
    yield made
    made.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


@pytest.fixture
def settings(database_url: str) -> Settings:
    return _settings_with(database_url)


@cache
def _settings_with(database_url: str) -> Settings:
    """Nobody can change them, and to read them costs as much as a short test."""
    return read_settings(
        database_url=database_url, host="test", simulator_ring_seconds=0, simulator_talk_seconds=0, open_access=True,
        _env_file=None,
    )


@pytest.fixture
def runtime(
    request: pytest.FixtureRequest, database: Database, settings: Settings, clock: ManualClock
) -> Iterator[Runtime]:
    """A runtime on a clock that stands still, with the simulator in process.

    What is counted is counted when it is asked, unless the test is marked `counts_kept`: then nearly for ever.
    """
    keeping = Keeping(least=3600, oldest=7200, cheap=60) if request.node.get_closest_marker("counts_kept") else NOT_KEPT
    providers = Providers(lambda name: open_provider(name, settings, clock))
    made = Runtime(settings, database, clock, providers, keeping=keeping)
    yield made
    made.providers.close()


class fresh_database:  # noqa: N801  reads as what it is in a with statement
    """A database of its own on a server; the URL is its value, for an ordinary user who has no right beside it."""

    def __init__(self, server_url: str, name: str) -> None:
        self.server, self.name = Database(server_url), name

    def __enter__(self) -> str:
        with self.server.engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE IF EXISTS {self.name}"))
            connection.execute(text(f"CREATE DATABASE {self.name}"))  # in whatever character set the server has
        url = self.server.url.set(database=self.name)
        if not os.environ.get("RINGBACK_TEST_MYSQL_URL"):
            url = url.set(username=APP_USER, password=APP_PASSWORD)
        return url.render_as_string(hide_password=False)

    def __exit__(self, *_: object) -> None:
        with self.server.engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE IF EXISTS {self.name}"))
        self.server.close()


_SEEDED: list[dict[str, str]] = []


def _prepare(url: str) -> Database:
    """SQLite files are copied from one that was migrated once; a MariaDB database is kept and emptied."""
    database = Database(url)
    if database.is_sqlite:
        _renew(database)
    else:
        schema.upgrade(database)
    if not _SEEDED:
        c = tables.scheduler_config.c
        with database.engine.connect() as connection:
            found = connection.execute(tables.scheduler_config.select().with_only_columns(
                c.config_key, c.config_value, c.description
            ))
            _SEEDED.extend(dict(row._mapping) for row in found)
    return database


def _renew(database: Database) -> None:
    database.close()
    path = Path(str(database.url.database))
    for left in (f"{path}-wal", f"{path}-shm"):
        Path(left).unlink(missing_ok=True)
    path.unlink(missing_ok=True)  # who still has the old file keeps it, and does not meet the new one
    path.write_bytes(_sqlite_template())


def _listeners(database: Database) -> list[int]:
    heard = database.engine.dispatch, database.engine.pool.dispatch
    return [len(getattr(one, name)) for one in heard for name in dir(one) if not name.startswith("_")
            and hasattr(getattr(one, name), "__len__")]


_TEMPLATE: list[bytes] = []


def _sqlite_template() -> bytes:
    if not _TEMPLATE:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "template.db"
            template = Database(f"sqlite:///{path}")
            schema.upgrade(template)
            with template.engine.connect() as connection:
                connection.connection.driver_connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # type: ignore[union-attr]
            template.close()
            _TEMPLATE.append(path.read_bytes())
    return _TEMPLATE[0]


def _empty(database: Database) -> None:
    with database.engine.connect() as connection, connection.begin():
        for table in tables.metadata.sorted_tables:
            connection.execute(table.delete())
        connection.execute(tables.scheduler_config.insert(), _SEEDED)
