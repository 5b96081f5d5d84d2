"""What a request asks the database for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event

from scheduler.store.database import Database


@contextmanager
def counted(database: Database, *, of_requests: bool = True) -> Iterator[list[str]]:
    """The statements that are sent meanwhile, but for the beginning of transactions.

    Those of requests alone, unless it is said otherwise: others count, fold and follow beside them.
    """
    statements: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        is_meant = threading.current_thread().name.startswith("AnyIO") or not of_requests
        if is_meant and not statement.upper().startswith("BEGIN"):
            statements.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(database.engine, "before_cursor_execute", note)
