"""The server behind a database: what it is, whether it can be worked on, how it keeps what it was told.

Decided here: what no session can set for itself, and so is asked before anything is made. A newcomer would let the
first statement fail: DDL commits as it goes, and half a schema stays behind.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from sqlalchemy import Connection, text
from sqlalchemy.dialects import mysql

from scheduler.errors import DatabaseUnavailable, RingbackError
from scheduler.store import tables
from scheduler.store.database import SESSION, SQL_MODE

OLDEST: Mapping[str, tuple[int, int]] = {"MariaDB": (10, 6), "MySQL": (8, 4)}
_ASKED = (
    "innodb_flush_log_at_trx_commit", "binlog_format", "log_bin", "read_only", "super_read_only", "innodb_read_only",
    "sql_mode", "time_zone",
)
_OFF = ("", "0", "OFF")
_IS_TEXT = re.compile(r"(?:VAR)?CHAR|\w*TEXT|ENUM")
_COLLATED = re.compile(r"COLLATE (\w+)")


@dataclass(frozen=True, slots=True)
class Server:
    """What a database is and how safely it keeps what it was told. `values` are those of our own session."""

    name: str
    version: str
    isolation: str
    is_durable: bool
    durability: str
    knows_zones: bool = True
    values: Mapping[str, str] = field(default_factory=dict)

    @property
    def obstacles(self) -> tuple[str, ...]:
        """Why nothing can be made or written here, each with what to do."""
        found = []
        oldest = OLDEST.get(self.name)
        if oldest and _numbers(self.version) < oldest:
            needed = ", ".join(f"{name} {one}.{other}" for name, (one, other) in OLDEST.items())
            found.append(f"{self.name} {self.version} is too old; {needed} or newer is needed")
        if self.values.get("log_bin", "OFF") not in _OFF and self.values.get("binlog_format") == "STATEMENT":
            found.append(
                "the server writes its binary log with binlog_format = STATEMENT, which refuses every change under "
                "READ COMMITTED (error 1665); set it to ROW: SET GLOBAL binlog_format = ROW, and binlog_format = ROW "
                "in the server's configuration"
            )
        return tuple(found)

    @property
    def read_only(self) -> str | None:
        """Which switch keeps everybody from writing, or None."""
        switches = ("innodb_read_only", "super_read_only", "read_only")
        return next((one for one in switches if self.values.get(one, "OFF").upper() not in _OFF), None)

    @property
    def odd_session(self) -> tuple[str, ...]:
        """What our session does not have although we set it: something between us and the server undid it."""
        wanted = {"sql_mode": SQL_MODE, "time_zone": str(SESSION["time_zone"]).strip("'")}
        return tuple(
            f"{name} is {self.values[name]!r} and not {value!r}" for name, value in wanted.items()
            if name in self.values and set(self.values[name].split(",")) != set(value.split(","))
        )


def read_server(connection: Connection) -> Server:
    isolation = str(connection.get_isolation_level())
    if connection.dialect.name == "sqlite":
        version = str(connection.exec_driver_sql("SELECT sqlite_version()").scalar())
        level = connection.exec_driver_sql("PRAGMA synchronous").scalar() or 0
        journal = connection.exec_driver_sql("PRAGMA journal_mode").scalar()
        return Server("SQLite", version, isolation, level >= 2, f"synchronous = {level}, journal_mode = {journal}")
    version = str(connection.exec_driver_sql("SELECT VERSION()").scalar())
    names = ", ".join(f"'{one}'" for one in _ASKED)
    rows = connection.exec_driver_sql(f"SHOW VARIABLES WHERE variable_name IN ({names})")
    values = {str(name).lower(): str(value) for name, value in rows}
    flush = values.pop("innodb_flush_log_at_trx_commit", "unknown")
    zone = connection.exec_driver_sql("SELECT CONVERT_TZ('2026-01-01', 'UTC', 'America/Santiago')").scalar()
    return Server(
        "MariaDB" if "mariadb" in version.lower() else "MySQL", version, isolation, flush == "1",
        f"innodb_flush_log_at_trx_commit = {flush}", zone is not None, values,
    )


def require_fit(connection: Connection) -> None:
    """Raises RingbackError for a server that will not do, DatabaseUnavailable for one that takes no writes now."""
    if connection.dialect.name == "sqlite":
        return
    server = read_server(connection)
    if server.obstacles:
        raise RingbackError("; ".join(server.obstacles))
    if server.read_only:
        raise DatabaseUnavailable(
            f"the server is read-only ({server.read_only} is on): it may be a replica; name the one that takes writes"
        )


@cache
def collations() -> Mapping[tuple[str, str], str]:
    """Which collation each text column of ours has on MySQL and MariaDB: (table, column)."""
    dialect = mysql.dialect()
    found = {}
    for table in tables.metadata.sorted_tables:
        for column in table.columns:
            ddl = column.type.compile(dialect)
            if _IS_TEXT.match(ddl):
                named = _COLLATED.search(ddl)
                found[table.name, column.name] = named[1] if named else ""
    return found


def list_odd_columns(connection: Connection) -> list[str]:
    """Columns whose character set or collation is not ours, as sentences."""
    if connection.dialect.name == "sqlite":
        return []
    rows = connection.execute(text(
        "SELECT table_name AS t, column_name AS c, collation_name AS named FROM information_schema.columns"
        " WHERE table_schema = DATABASE() AND collation_name IS NOT NULL"
    ))
    is_now = {(table, column): named for table, column, named in rows}
    return [
        f"{table}.{column} is in {is_now[table, column]} and not in {wanted}"
        for (table, column), wanted in collations().items()
        if (table, column) in is_now and is_now[table, column] != wanted
    ]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(one) for one in re.findall(r"\d+", version)[:2])
