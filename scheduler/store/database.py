"""Connections, transactions and the database's clock.

Decided here: isolation, durability, what is retried and what means "the database is away". A whole
transaction is run again when the engine says that it lost a race (deadlock, lock wait, busy); nothing
inside one may dial, sleep or print, because it may run more than once. When the answer to a COMMIT is
lost nobody knows whether it happened: that is `CommitUnclear`, and the caller must look before acting.
An SQLite file is never made by opening it: a mistyped path is refused, and only `make_file` makes one.
"""

from __future__ import annotations

import inspect
import os
import random
import re
import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import pymysql.err
from pymysql.constants import FIELD_TYPE
from pymysql.converters import conversions, convert_datetime
from sqlalchemy import (
    ColumnElement,
    Connection,
    Dialect,
    Engine,
    Insert,
    Table,
    bindparam,
    create_engine,
    event,
    exc,
    insert,
    make_url,
)
from sqlalchemy.engine import URL

from scheduler.errors import (
    Conflict,
    Contended,
    DatabaseUnavailable,
    FileReplaced,
    InvalidValue,
    MissingExtra,
    RingbackError,
    SchemaMismatch,
)
from scheduler.store.texts import dump_json, storable

T = TypeVar("T")

__all__ = ["CommitUnclear", "Connection", "Database", "DatabaseClock", "Raw", "change_rows", "ids_in", "insert_row"]

LOST_RACE = {1213, 1205, 1020, 3572}  # deadlock, lock wait, changed since read (MariaDB), NOWAIT
DUPLICATE = 1062
CONNECTION_LOST = {2006, 2013, 2055, 4031}
MAX_TRIES = 12
CHUNK = 500
"""Rows per set-based statement: past this the CASE lists cost more than the round trips they save."""
BY_ID = "FORCE INDEX (PRIMARY)"
"""For statements that lock rows by id: in a small table the optimizer would rather scan all of it, and wait for
rows that other daemons hold and that it does not even want."""


class CommitUnclear(DatabaseUnavailable):
    """The connection broke while committing: the transaction may or may not have happened."""


class Database:
    """One database, by URL. Safe for several threads; each unit of work takes a connection of its own.

    `is_patient`: a statement may take hours, as an upgrade's may.
    """

    def __init__(self, url: str | URL, *, pool_size: int = 10, is_patient: bool = False) -> None:
        self.url = _checked_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._inodes: dict[Path, tuple[int, int]] = {}
        """Which files are open, as long as a connection is."""
        self._connections: set[int] = set()
        if self.is_sqlite:
            self.engine = _sqlite_engine(self.url, pool_size)
            event.listen(self.engine, "connect", self._note_open)
            event.listen(self.engine, "close", self._note_closed)
        else:
            self.engine = _mysql_engine(self.url, pool_size, is_patient)
        self._reader = self.engine.execution_options(ringback_readonly=True)
        # On SQLite every transaction sees one snapshot.
        self._snapshots = self._reader if self.is_sqlite else self._reader.execution_options(
            isolation_level="REPEATABLE READ"
        )

    def __str__(self) -> str:
        return self.url.render_as_string(hide_password=True)

    def transact(self, work: Callable[[Connection], T], *, tries: int = MAX_TRIES) -> T:
        """Run `work` in one write transaction and commit it; again from the start if a race was lost.

        Raises Contended when it was lost `tries` times, and DatabaseUnavailable; the latter's subclass
        CommitUnclear when only the commit's answer is missing.
        """
        return self._run(self.engine, work, tries)

    def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction that only reads. Raises DatabaseUnavailable."""
        return self._run(self._reader, work, MAX_TRIES)

    def read_snapshot(self, work: Callable[[Connection], T]) -> T:
        """As `read`, where all statements of `work` see what was committed when the first began."""
        return self._run(self._snapshots, work, MAX_TRIES)

    def now(self) -> datetime:
        """The present instant by the database's clock (by this host's, for SQLite: it is the same host)."""
        if self.is_sqlite:
            return datetime.now(UTC)
        found = self.read(lambda connection: connection.exec_driver_sql("SELECT UTC_TIMESTAMP(6)").scalar_one())
        return _aware(found)

    def unsafe_durability(self) -> str | None:
        """Why a power cut could lose commits here; None when it could not. SQLite is opened with FULL."""
        if self.is_sqlite:
            return None
        flush = self.read(
            lambda connection: connection.exec_driver_sql("SELECT @@innodb_flush_log_at_trx_commit").scalar_one()
        )
        return None if int(flush) == 1 else f"innodb_flush_log_at_trx_commit is {flush}, not 1"

    @property
    def file(self) -> Path | None:
        """Where the SQLite database is; None on a server."""
        return _file_of(self.url) if self.is_sqlite else None

    def require_same_file(self) -> None:
        """Raises FileReplaced when the path leads to another SQLite file, or to none, than the one that is open.

        What is written to a file without a name is read by nobody. The same for its log of changes (`-wal`), which
        stays as long as anybody has the file open, as the pool of connections here has.
        """
        if not self.is_sqlite:
            return
        file = _file_of(self.url)
        for one in (file, file.with_name(f"{file.name}-wal")):
            known, found = self._inodes.get(one), _inode(one)
            if known is not None and found != known:
                what = "is not there any more" if found is None else "is another file than the one that was opened"
                raise FileReplaced(
                    f"{one.absolute()} {what}: nothing is dialed from what nobody else can see. Put the right file in "
                    "its place while no daemon runs, then start one again"
                )
            if found is not None:
                self._inodes.setdefault(one, found)

    def _note_open(self, connection: sqlite3.Connection, _record: object) -> None:
        if not self._connections:
            self._inodes.clear()
        self._connections.add(id(connection))
        file = _file_of(self.url)
        if (found := _inode(file)) is not None:
            self._inodes.setdefault(file, found)

    def _note_closed(self, connection: sqlite3.Connection, _record: object) -> None:
        self._connections.discard(id(connection))

    def make_file(self) -> None:
        """An empty SQLite file in its folder, where there is none. Does nothing on a server."""
        if self.file is None or not _is_missing(self.file):
            return
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            # It holds people's numbers: for nobody else on this machine. SQLite gives its other files the same mode.
            os.close(os.open(self.file, os.O_CREAT | os.O_RDWR, 0o600))
        except OSError as error:
            why = f"it cannot be made ({error.strerror}); name another place for it"
            raise InvalidValue("database file", str(self.file), why) from None

    def close(self) -> None:
        self.engine.dispose()

    def _run(self, engine: Engine, work: Callable[[Connection], T], tries: int) -> T:
        for attempt in range(1, tries + 1):
            committing = False
            try:
                with engine.connect() as connection, connection.begin() as transaction:
                    result = work(connection)
                    committing = True
                    transaction.commit()
                return result
            except RuntimeError as error:
                if "cryptography" in str(error):  # the driver's way to say that a password is to be sent encrypted
                    raise MissingExtra(f"{self}: this login without TLS", "mysql-rsa") from None
                raise
            except exc.SQLAlchemyError as error:
                cause = error.orig if isinstance(error, exc.DBAPIError) else None
                # A deadlock undoes everything, a lock wait only its own statement; leaving the block
                # above has rolled back in both cases, so the whole work starts again from nothing.
                if _is_lost_race(cause) and attempt == tries:
                    raise Contended(f"{self}: somebody else holds these rows ({explain(cause or error)})") from error
                if _is_lost_race(cause):
                    time.sleep(random.uniform(0.2, 1.0) * min(0.5, 0.005 * 2**attempt))
                    continue
                if committing and _is_connection_lost(cause):
                    raise CommitUnclear(f"{self}: the connection broke while committing ({cause})") from error
                if isinstance(error, exc.DataError) or isinstance(cause, OverflowError):
                    raise RingbackError(f"a value does not fit its column: {explain(cause or error)}") from error
                if self.file is not None and _is_missing(self.file):
                    # No waiting will mend that, so it is not as if the database were away.
                    raise SchemaMismatch(
                        f"{self}: there is no file {self.file.absolute()}; make it with `ringback db upgrade`, or "
                        "name the right one"
                    ) from None
                if is_unavailable(cause):
                    self.require_same_file()
                if isinstance(error, exc.TimeoutError) or is_unavailable(cause):
                    raise DatabaseUnavailable(f"{self}: {explain(cause or error)}") from error
                raise
        raise AssertionError("unreachable: the last try returns or raises")


class DatabaseClock:
    """`Clock` of a daemon: the database's time, so that several hosts agree on what is due."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def now(self) -> datetime:
        return self._database.now()


def change_rows(
    connection: Connection,
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    *,
    per_row: Sequence[str] = (),
    same: Mapping[str, Any] | None = None,
    guard: str = "1 = 1",
    keep: bool = False,
) -> int:
    """UPDATE many rows by id in few statements: `per_row` columns differ, `same` ones do not.

    `rows` are mappings with `id` and the `per_row` columns (raw values: text, numbers, None, aware
    datetimes). A value of `same` may be raw SQL, given as `Raw("...")`. `guard` is the state that the
    rows must be leaving. `keep`: where a row has None, what the column holds stays. Returns how many rows
    matched; fewer than given means that a race was lost.
    """
    is_sqlite = connection.dialect.name == "sqlite"
    mark = "?" if is_sqlite else "%s"
    target = table.name if is_sqlite else f"{table.name} {BY_ID}"
    changed = 0
    for start in range(0, len(rows), CHUNK):
        chunk = rows[start : start + CHUNK]
        sets: list[str] = []
        values: list[Any] = []
        for column, value in (same or {}).items():
            if isinstance(value, Raw):
                sets.append(f"{column} = {value}")
            else:
                sets.append(f"{column} = {mark}")
                values.append(fitted(table, column, value))
        for column in per_row:
            if _are_same([row[column] for row in chunk]):
                to = mark
                values.append(fitted(table, column, chunk[0][column]))
            else:
                to = "CASE id " + " ".join(f"WHEN {int(row['id'])} THEN {mark}" for row in chunk) + " END"
                values += (fitted(table, column, row[column]) for row in chunk)
            sets.append(f"{column} = COALESCE({to}, {column})" if keep else f"{column} = {to}")
        ids = ", ".join(str(int(row["id"])) for row in chunk)
        statement = f"UPDATE {target} SET {', '.join(sets)} WHERE id IN ({ids}) AND {guard}"
        changed += connection.exec_driver_sql(statement, tuple(values)).rowcount
    return changed


def insert_rows(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """INSERT many rows, all with the same columns, in few statements. Values are raw ones, as in `change_rows`.

    Through the type system of Core the same insert costs the client several times as much.
    """
    if not rows:
        return
    columns = tuple(rows[0])
    into = f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES "
    if connection.dialect.name == "sqlite":
        values = [tuple(fitted(table, column, row[column]) for column in columns) for row in rows]
        connection.exec_driver_sql(f"{into}({marks('?', len(columns))})", values)
        return
    for start in range(0, len(rows), CHUNK):
        chunk = rows[start : start + CHUNK]
        named: dict[str, Any] = {}
        written = [_write_column(table, column, [row[column] for row in chunk], named) for column in columns]
        lines = ["(" + ", ".join(line) + ")" for line in zip(*written, strict=True)]
        connection.exec_driver_sql(into + ", ".join(lines), named)


def _write_column(table: Table, column: str, values: Sequence[Any], named: dict[str, Any]) -> Iterable[str]:
    """The values of a column as SQL: numbers as they are, text by a name in `named`.

    The driver writes a value under a name once, however often it is used: most columns are the same in all rows.
    Text never stands in the statement, which errors and logs may show.
    """
    if _are_same(values):
        named[column] = fitted(table, column, values[0])
        return [f"%({column})s"] * len(values)
    marks = []
    for number, value in enumerate(values):
        if type(value) is int:
            marks.append(str(value))
        elif value is None:
            marks.append("NULL")
        else:
            name = f"{column}.{number}"
            named[name] = fitted(table, column, value)
            marks.append(f"%({name})s")
    return marks


def _are_same(values: Sequence[Any]) -> bool:
    first = values[0]
    return all(value is first or value == first for value in values)


def insert_row(connection: Connection, table: Table, values: Mapping[str, Any]) -> int:
    """Insert one row and return its id."""
    key = connection.execute(table.insert().values(**values)).inserted_primary_key
    assert key is not None, f"{table.name} has an id of its own"
    return int(key[0])


def insert_new(connection: Connection, table: Table, values: Mapping[str, Any], what: str) -> int:
    """`insert_row` for a row whose `code` is its own. Raises Conflict where somebody was faster by a moment."""
    try:
        return insert_row(connection, table, values)
    except exc.IntegrityError as error:
        if _code(error.orig or error) == DUPLICATE or "UNIQUE" in str(error.orig):
            raise Conflict(f"there is {what} {values['code']} already") from None
        raise


def insert_or_ignore(table: Table) -> Insert:
    """An INSERT that leaves a row with the same unique key as it is."""
    statement = insert(table)
    for words, engine in (("IGNORE", "mysql"), ("IGNORE", "mariadb"), ("OR IGNORE", "sqlite")):
        statement = statement.prefix_with(words, dialect=engine)
    return statement


class Raw(str):
    """SQL to be written as it stands, never from outside."""


def marks(mark: str, count: int) -> str:
    return ", ".join([mark] * count)


def ids_in(column: ColumnElement[Any], ids: Collection[int]) -> ColumnElement[bool]:
    """`column IN (ids)`, sorted, with the numbers written into the statement: hundreds of parameters cost more."""
    return column.in_(bindparam(None, sorted(ids), expanding=True, literal_execute=True))


_PLAIN = re.compile(r"[+0-9a-z .:_-]*")


def are_plain(texts: Iterable[str]) -> bool:
    """May these stand in a statement as they are? Nothing in them would have to be escaped."""
    return _PLAIN.fullmatch("".join(texts)) is not None


def select_among(
    connection: Connection, texts: Collection[str], before: str, after: str = ""
) -> list[tuple[Any, ...]]:
    """The rows of a SELECT that ends in `IN (texts)`: where these are plain they cost no parameter each."""
    if connection.dialect.name != "sqlite" and are_plain(texts):
        listed = "', '".join(texts)
        found = connection.exec_driver_sql(f"{before}('{listed}'){after}")
    else:
        mark = "?" if connection.dialect.name == "sqlite" else "%s"
        found = connection.exec_driver_sql(f"{before}({marks(mark, len(texts))}){after}", tuple(texts))
    return [tuple(row) for row in found]


def fitted(table: Table, column: str, value: Any) -> Any:
    """`raw`, and a text as its column holds it: what people wrote is cut where it is too long."""
    if isinstance(value, str) and (len(value) > FITS_EVERYWHERE or not value.isascii() or "\0" in value):
        fit = getattr(table.c[column].type, "fit", storable)
        return fit(value)
    return raw(value)


FITS_EVERYWHERE = 64
"""No column that people write to is shorter."""


def raw(value: Any) -> Any:
    """A value as both drivers take it: instants as UTC text with microseconds."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, Mapping):
        return dump_json(value)
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone, so it names no instant")
        return value.astimezone(UTC).isoformat(" ", "microseconds").removesuffix("+00:00")
    return value


def is_unavailable(cause: BaseException | None) -> bool:
    """Is this error the database's absence (down, read-only, full, refused), not a mistake of ours?"""
    if isinstance(cause, pymysql.err.InterfaceError):
        return True
    if isinstance(cause, pymysql.err.MySQLError):
        return _code(cause) in CONNECTION_LOST | {
            1021, 1026, 1030, 1040, 1041, 1044, 1045, 1049, 1053, 1114, 1129, 1130, 1142, 1158, 1159, 1160,
            1161, 1203, 1226, 1290, 1665, 1792, 1836, 1927, 2002, 2003, 2005, 2026, 2059, 3024, 3159,
        }
    return isinstance(cause, sqlite3.OperationalError | sqlite3.DatabaseError) and not isinstance(
        cause, sqlite3.IntegrityError | sqlite3.ProgrammingError
    ) and any(word in str(cause) for word in (
        "locked", "busy", "unable to open", "full", "readonly", "disk I/O", "not a database", "malformed",
    ))


def explain(error: BaseException) -> str:
    """One sentence for people, without the statement and its values."""
    if isinstance(error, pymysql.err.MySQLError) and len(error.args) > 1:
        hints = {
            1044: "this user has no right to that database",
            1045: "user or password refused",
            1049: "there is no database of that name; create it first",
            1114: "the disk or the table space is full",
            1021: "the disk is full",
            1290: "the server is read-only",
            1665: "set binlog_format to ROW",
            1836: "the server is read-only",
        }
        hint = hints.get(_code(error))
        return f"{error.args[1]}" + (f" ({hint})" if hint else "")
    text = str(error)
    if "unable to open" in text:
        return "the file cannot be opened; may this user read it, and write into its folder?"
    if "not a database" in text or "malformed" in text:
        return "the file is not an SQLite database, or is damaged"
    if "full" in text:
        return "the disk is full; nothing was written"
    return text


def _checked_url(url: str | URL) -> URL:
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except (exc.ArgumentError, ValueError):
        # The text may hold a password, so it is not repeated.
        right = "write mysql+pymysql://user:password@host/name or sqlite:///path"
        raise InvalidValue("database URL", "...", right) from None
    if backend in ("mysql", "mariadb"):
        if not parsed.database:
            raise InvalidValue("database URL", parsed.render_as_string(hide_password=True), "name the database too: mysql+pymysql://user:password@host/name")
        # One driver for both: the mariadb+ prefix would refuse an Oracle server.
        _check_options(parsed)
        return parsed.set(drivername="mysql+pymysql")
    if backend == "sqlite":
        return parsed
    raise InvalidValue("database URL", backend, "Ringback runs on mysql+pymysql:// (MySQL, MariaDB) and sqlite:///")


def _check_options(url: URL) -> None:
    """The driver would say of a character set that it does not know, or an option, that it is a bug."""
    known = {*inspect.signature(pymysql.connections.Connection.__init__).parameters, *DIALECT_OPTIONS} - {"self"}
    for name in url.query:
        if name not in known:
            right = f"there is no such option; the options are {', '.join(sorted(known))}"
            raise InvalidValue("database URL", name, right)
    charset = str(url.query.get("charset", CHARSET)).lower()
    if charset not in (CHARSET, "utf8", "utf8mb3"):
        raise InvalidValue("database URL", f"charset={charset}", f"write charset={CHARSET}, or leave it out")


CHARSET = "utf8mb4"
"""Everything that people write, whatever an older URL asks for."""
DIALECT_OPTIONS = ("ssl_check_hostname",)
SQL_MODE = "STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"
"""A value that does not fit is an error, whatever the server thinks: `config set` would store half of it."""
DAY = 86_400
SESSION = {
    "time_zone": "'+00:00'", "sql_mode": f"'{SQL_MODE}'", "innodb_lock_wait_timeout": 10, "group_concat_max_len": 65536,
    "wait_timeout": DAY, "sql_safe_updates": 0,
}
"""What a session needs and every user may set; with READ COMMITTED, which the engine sets."""
PATIENCE = DAY


def _mysql_engine(url: URL, pool_size: int, is_patient: bool) -> Engine:
    session = ", ".join(f"{name} = {value}" for name, value in SESSION.items())
    if is_patient:
        session += "/*M! , max_statement_time = 0 */"  # MariaDB's alone
    return create_engine(
        url.update_query_dict({"charset": CHARSET}),
        json_serializer=dump_json,
        hide_parameters=True,  # an error's text goes to logs and tables, and parameters are numbers and names
        # REPEATABLE READ would deadlock concurrent takes by the thousand and block inserts by gap locks.
        isolation_level="READ COMMITTED",
        pool_pre_ping=True,
        pool_recycle=1800,
        pool_size=pool_size,
        max_overflow=4,
        pool_timeout=10,
        connect_args={
            "connect_timeout": 5,
            "read_timeout": PATIENCE if is_patient else 60,
            "write_timeout": 60,
            "init_command": f"SET {session}",
            "conv": {**conversions, FIELD_TYPE.TIMESTAMP: _read_instant, FIELD_TYPE.DATETIME: _read_instant},
        },
    )


def _read_instant(text: str) -> Any:
    """As the driver reads it, which takes thirty times as long by a regular expression."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return convert_datetime(text)  # such as 0000-00-00, which old tables may hold


def _sqlite_engine(url: URL, pool_size: int) -> Engine:
    if not url.database or url.database == ":memory:":
        raise InvalidValue("database URL", str(url), "several threads share the database, so it must be a file: sqlite:///path")
    engine = create_engine(
        url, pool_size=pool_size, max_overflow=4, connect_args={"timeout": 10}, hide_parameters=True,
        json_serializer=dump_json,
    )

    @event.listens_for(engine, "do_connect")
    def _open(_dialect: Dialect, _record: object, arguments: list[Any], options: dict[str, Any]) -> None:
        """As a URI with a mode, because the driver makes a file of whatever path it is given."""
        if not options.get("uri"):
            arguments[0] = f"{_file_of(url).absolute().as_uri()}?mode=rw"
            options["uri"] = True
        elif "mode=" not in arguments[0]:
            arguments[0] += ("&" if "?" in arguments[0] else "?") + "mode=rw"

    @event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _record: object) -> None:
        # The driver's own BEGIN handling would start reading and write later, and lose the race.
        connection.isolation_level = None
        connection.execute("PRAGMA busy_timeout = 10000")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")  # NORMAL may lose an intent whose call was made
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        readonly = connection.get_execution_options().get("ringback_readonly", False)
        connection.exec_driver_sql("BEGIN" if readonly else "BEGIN IMMEDIATE")

    return engine


def _file_of(url: URL) -> Path:
    """The file, of a path and of `file:path?options` alike."""
    name = url.database or ""
    return Path(unquote(urlsplit(name).path) if name.startswith("file:") else name)


def _inode(file: Path) -> tuple[int, int] | None:
    """Which file a path leads to, on which device; None: to none that can be seen."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _is_missing(file: Path) -> bool:
    """Is nothing there? A folder that may not be looked into is no answer."""
    try:
        file.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _code(error: BaseException) -> int:
    return error.args[0] if error.args and isinstance(error.args[0], int) else 0


def _is_lost_race(cause: BaseException | None) -> bool:
    if isinstance(cause, pymysql.err.MySQLError):
        return _code(cause) in LOST_RACE
    return isinstance(cause, sqlite3.OperationalError) and ("locked" in str(cause) or "busy" in str(cause))


def _is_connection_lost(cause: BaseException | None) -> bool:
    return isinstance(cause, pymysql.err.InterfaceError) or _code(cause or Exception()) in CONNECTION_LOST


def _aware(at: datetime) -> datetime:
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def skew(database: Database) -> timedelta:
    """This host's clock minus the database's."""
    return datetime.now(UTC) - database.now()
