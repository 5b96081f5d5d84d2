"""Asterisk's call records: read from its own tables, never written.

The tables are those that cdr_adaptive_odbc and cel_odbc fill, or their SQLite relatives (deploy/asterisk has both):
our `attempt_ref` is their `uniqueid`. A detail record is written after the hang-up, and one call may have several;
channel events are written as they happen.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, bindparam, column, create_engine, literal_column, make_url, select, table
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from scheduler.errors import DatabaseUnavailable, InvalidValue
from scheduler.store.database import Database

COLUMNS = ("uniqueid", "start", "answer", "end", "duration", "billsec", "disposition")
AT_ONCE = 500
BUSY_SECONDS = 5.0


class CallRecords:
    """Detail records by `uniqueid`. Raises InvalidValue for an address or a name that cannot be one."""

    setting = "ASTERISK_CDR_TABLE"

    def __init__(self, url: str, name: str = "cdr") -> None:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,63}", name):
            raise InvalidValue(self.setting, name, f"write the name of a table, such as {self.setting[9:12].lower()}")
        self._database = _SqliteFile(url) if _is_sqlite(url) else Database(url, pool_size=2)
        source = table(name, *[column(one) for one in COLUMNS])
        self._query = self._select(source).where(source.c.uniqueid.in_(bindparam("ids", expanding=True)))

    def _select(self, source: Any) -> Any:
        return select(*source.c).order_by(source.c.uniqueid, source.c.end)

    def __call__(self, ids: Sequence[str]) -> Sequence[Mapping[str, Any]]:
        """Every record of these calls, oldest first. Raises DatabaseUnavailable."""
        found: list[Mapping[str, Any]] = []
        for at in range(0, len(ids), AT_ONCE):
            some = list(ids[at : at + AT_ONCE])
            found += self._database.read(lambda connection: self._read(connection, some))  # noqa: B023
        return found

    def _read(self, connection: Connection, ids: Sequence[str]) -> list[Mapping[str, Any]]:
        return [dict(row) for row in connection.execute(self._query, {"ids": ids}).mappings()]

    def close(self) -> None:
        self._database.close()


class ChannelEvents(CallRecords):
    """Channel events by `uniqueid`, with whatever columns the table has: not every one has the channel's name."""

    setting = "ASTERISK_CEL_TABLE"

    def __init__(self, url: str, name: str = "cel") -> None:
        super().__init__(url, name)

    def _select(self, source: Any) -> Any:
        return select(literal_column("*")).select_from(source).order_by(literal_column("eventtime"))


class _SqliteFile:
    """Asterisk's own file, opened so that nothing of it can change, its journal included."""

    def __init__(self, url: str) -> None:
        path = make_url(url).database or ""
        address = f"file:{quote(path)}?mode=ro"
        self._engine = create_engine(
            "sqlite://", poolclass=NullPool,
            creator=lambda: sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS, check_same_thread=False),
        )  # fmt: skip

    def read(self, work: Any) -> Any:
        try:
            with self._engine.connect() as connection:
                return work(connection)
        except SQLAlchemyError as error:
            cause = getattr(error, "orig", None) or error
            raise DatabaseUnavailable(f"Asterisk's records cannot be read: {cause}") from error

    def close(self) -> None:
        self._engine.dispose()


def _is_sqlite(url: str) -> bool:
    try:
        return make_url(url).get_backend_name() == "sqlite"
    except ArgumentError:
        return False
