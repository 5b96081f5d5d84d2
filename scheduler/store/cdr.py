"""Asterisk's call detail records: read from its own table, never written.

The table is the one that cdr_adaptive_odbc or cdr_odbc fills (`contrib/ast-db-manage/cdr` in Asterisk's
source): our `attempt_ref` is its `uniqueid`. A record is written after the hang-up, and one call may have
several.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, column, select, table

from scheduler.errors import InvalidValue
from scheduler.store.database import Database

COLUMNS = ("uniqueid", "start", "answer", "end", "duration", "billsec", "disposition")
AT_ONCE = 500


class CallRecords:
    """Records by `uniqueid`. Raises InvalidValue for an address or a name that cannot be one."""

    def __init__(self, url: str, name: str = "cdr") -> None:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,63}", name):
            raise InvalidValue("ASTERISK_CDR_TABLE", name, "write the name of a table, such as cdr")
        self._database = Database(url, pool_size=2)
        self._table = table(name, *[column(one) for one in COLUMNS])

    def __call__(self, ids: Sequence[str]) -> Sequence[Mapping[str, Any]]:
        """Every record of these calls, oldest first. Raises DatabaseUnavailable."""
        found: list[Mapping[str, Any]] = []
        for at in range(0, len(ids), AT_ONCE):
            some = ids[at : at + AT_ONCE]
            found += self._database.read(lambda connection: self._read(connection, some))  # noqa: B023
        return found

    def _read(self, connection: Connection, ids: Sequence[str]) -> list[Mapping[str, Any]]:
        c = self._table.c
        rows = connection.execute(select(*c).where(c.uniqueid.in_(ids)).order_by(c.uniqueid, c.end))
        return [dict(row) for row in rows.mappings()]

    def close(self) -> None:
        self._database.close()
