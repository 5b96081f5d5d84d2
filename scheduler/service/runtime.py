"""What one process works with: settings, database, clock, providers.

The one place where real ones are created; everything else is given them. Nothing is connected until it
is used, so opening a runtime never fails for a database that is away.
"""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache

from scheduler.clock import Clock, SystemClock
from scheduler.config import Keys, Settings, read_settings
from scheduler.errors import InvalidValue
from scheduler.providers.base import Provider
from scheduler.service.totals import Counts, Keeping
from scheduler.store.cdr import CallRecords, ChannelEvents
from scheduler.store.database import Database, DatabaseClock


@cache
def prepare_process() -> None:
    """Set this process up for a daemon's work. Everything that is imported now stays for good.

    Dials, answers and ticks are many short waits for sockets: at the interpreter's 5 ms a thread that has its answer
    would mostly wait for another to give way. A take makes thousands of small values that die young: at the
    interpreter's pace the garbage collector would walk through all that was ever imported several times in each.
    """
    sys.setswitchinterval(0.0005)
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


class Providers:
    """Providers by name, opened when first asked for. Safe for several threads."""

    def __init__(self, open_one: Callable[[str], Provider], ready: Mapping[str, Provider] | None = None) -> None:
        self._open_one = open_one
        self._open: dict[str, Provider] = dict(ready or {})
        self._problems: dict[str, str] = {}
        self._lock = threading.Lock()

    def get(self, name: str) -> Provider:
        """Raises InvalidValue for a provider that does not exist or lacks its keys."""
        with self._lock:
            if name not in self._open:
                self._open[name] = self._open_one(name)
            return self._open[name]

    def find(self, name: str) -> Provider | None:
        """The provider, or None with the reason kept in `problem(name)`."""
        try:
            return self.get(name)
        except InvalidValue as error:
            self._problems[name] = str(error)
            return None

    def opened(self) -> list[tuple[str, Provider]]:
        """Those that somebody has asked for so far, by name."""
        with self._lock:
            return sorted(self._open.items())

    def problem(self, name: str) -> str:
        return self._problems.get(name, f"provider {name!r} is not available here")

    def close(self) -> None:
        for provider in self._open.values():
            provider.close()


@dataclass(frozen=True)
class Runtime:
    settings: Settings
    database: Database
    clock: Clock
    providers: Providers
    default_provider: str = field(default="simulator")
    keeping: Keeping = field(default_factory=Keeping)
    """For how long what was counted is kept."""
    counts: Counts = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "counts", Counts(self.database, self.clock, keeping=self.keeping))

    def clock_of_host(self) -> datetime:
        """The time of this host, for words about a database that cannot be asked."""
        return SystemClock().now()

    def close(self) -> None:
        self.providers.close()
        self.database.close()


def open_runtime(settings: Settings | None = None) -> Runtime:
    """The runtime of this process, from its settings. Raises InvalidValue for settings that cannot be used."""
    from scheduler.providers.registry import open_provider  # httpx and friends only where calls are made

    settings = settings or read_settings()
    database = Database(settings.url, pool_size=10)
    return Runtime(
        settings=settings,
        database=database,
        clock=DatabaseClock(database),
        # Provider times are stored and never compared with ours, so this host's clock serves them.
        providers=Providers(lambda name: _with_records(open_provider(name, settings, SystemClock()))),
        default_provider=settings.provider,
    )


def _with_records(provider: Provider) -> Provider:
    """Asterisk forgets a call when it is over, unless we may read its channel events or its call detail records."""
    if provider.name == "asterisk":
        keys = Keys()
        for kind, reader in (("CEL", ChannelEvents), ("CDR", CallRecords)):
            url = keys.secret(f"ASTERISK_{kind}_URL")
            if url is not None:
                name = keys.text(f"ASTERISK_{kind}_TABLE") or kind.lower()
                setattr(provider, kind.lower(), reader(url.get_secret_value(), name))
    return provider


_shared: Runtime | None = None
_shared_lock = threading.Lock()


def shared_runtime() -> Runtime:
    """The runtime for Python callers that bring none: opened once per process, from the environment."""
    global _shared
    with _shared_lock:
        if _shared is None:
            _shared = open_runtime()
        return _shared
