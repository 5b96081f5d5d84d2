"""The command line: one file per noun; a command parses, calls one function, prints.

Here the program is put together: settings from the options and the environment, and from them a runtime
with its real database, clock and providers. What must stay true: nothing is imported or opened before a
command needs it, so that `ringback --help` answers at once; a command that finds the tables older or newer
than this program says so and touches nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scheduler.config import Settings
    from scheduler.service.runtime import Runtime
    from scheduler.store.database import Database


class Program:
    """What the options before the command said. Every command gets it as its first argument."""

    def __init__(self, database_url: str | None = None) -> None:
        self._database_url = database_url

    def settings(self) -> Settings:
        """Raises InvalidSettings."""
        from scheduler.config import read_settings

        return read_settings(database_url=self._database_url)

    @contextmanager
    def reading(self, *, check_schema: bool = True) -> Iterator[Database]:
        """The database, for commands that only look."""
        from scheduler.store import schema
        from scheduler.store.database import Database

        database = Database(self.settings().url)
        try:
            if check_schema:
                schema.require_current(database)
            yield database
        finally:
            database.close()

    @contextmanager
    def working(self, *, check_schema: bool = True) -> Iterator[Runtime]:
        """The runtime, for commands that change something; logs are set up, and go to stderr."""
        from scheduler.events import set_up_logging
        from scheduler.service.runtime import open_runtime
        from scheduler.store import schema

        settings = self.settings()
        set_up_logging(settings.log_level, settings.log_format)
        runtime = open_runtime(settings)
        try:
            if check_schema:
                schema.require_current(runtime.database)
            yield runtime
        finally:
            runtime.close()
