"""Keep what was counted folded, and count again when somebody doubts it.

Every daemon folds at its upkeep and every web process once a second, none of them special. Nothing waits for it:
figures are exact before it and after it, folding only keeps the questions cheap. What must stay true: each fold is
a short transaction of its own, and one turn ends although changes come in faster than they can be folded.
"""

from __future__ import annotations

import threading

from scheduler.errors import Contended, DatabaseUnavailable
from scheduler.events import Reporter
from scheduler.model import Happening
from scheduler.service.acting import current_actor
from scheduler.service.runtime import Runtime, shared_runtime
from scheduler.store import journal, totals
from scheduler.store.database import Connection
from scheduler.store.totals import Drift

FOLD_INTERVAL = 1.0
WAIT_WHILE_AWAY = 5.0
MOST_ROUNDS = 20


class Folder:
    """Folds for one process: turned by hand with `run_once`, or by a thread of its own from `start` to `stop`."""

    def __init__(
        self, runtime: Runtime, reporter: Reporter | None = None, *, limit: int = totals.FOLDED_AT_ONCE
    ) -> None:
        self.runtime = runtime
        self.reporter = reporter or Reporter()
        self._limit = limit
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def run_once(self) -> int:
        """Fold what is there, up to twenty times the limit. Returns how many changes. Raises DatabaseUnavailable."""
        database, done = self.runtime.database, 0
        for _ in range(MOST_ROUNDS):
            # Asked first: on SQLite even a transaction that changes nothing keeps other writers out.
            if not database.read(totals.has_changes):
                break
            try:
                folded = database.transact(lambda connection: totals.fold(connection, self._limit))
            except Contended:  # another process is folding just these
                break
            done += folded
            if folded < self._limit:
                break
        return done

    def start(self) -> Folder:
        """Fold every second, until `stop`."""
        self._thread = threading.Thread(target=self._run, name="fold", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Returns when the turn that is under way is over."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(10)

    def _run(self) -> None:
        wait = FOLD_INTERVAL
        while not self._stopping.wait(wait):
            try:
                self.run_once()
                wait = FOLD_INTERVAL
            except DatabaseUnavailable:  # every request says so already
                wait = WAIT_WHILE_AWAY
            except Exception as error:  # the thread must live: tried again
                self.reporter.tick_failed(self.runtime.clock_of_host(), "adding up what was counted", error)
                wait = WAIT_WHILE_AWAY


def measure_drift(runtime: Runtime) -> Drift:
    """Count everything again, in one snapshot, and compare. Raises DatabaseUnavailable."""
    return runtime.database.read_snapshot(totals.measure_drift)


def recount(*, runtime: Runtime | None = None) -> Drift:
    """Set right what was counted otherwise than the tables say, while calls go on. Returns what that was."""
    runtime = runtime or shared_runtime()
    drift = measure_drift(runtime)
    now = runtime.clock.now()

    def work(connection: Connection) -> None:
        totals.add_corrections(connection, drift)
        journal.add_events(connection, [Happening(
            kind="recounted", actor=current_actor(),
            reason=f"{len(drift.campaigns)} campaigns and {len(drift.hours)} hours were counted otherwise",
        )], now)

    if drift:
        runtime.database.transact(work)
    return drift
