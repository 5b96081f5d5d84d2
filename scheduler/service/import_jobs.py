"""Imports that go on after their request was answered, in threads of this process.

Their progress is in their rows of `imports`, for whoever asks. Nothing here survives the process: a stop in good
order lets each import end at its next chunk, and its row says why; one that was killed stays as running, with the
instant at which it was last alive. In both cases the same file again adds only the rest.

What must stay true: a file that is refused before its first row is refused to the one who sent it, so `start`
returns only once the import has an id.
"""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from scheduler.errors import Conflict, RingbackError
from scheduler.events import Reporter
from scheduler.service.imports import Manner, import_leads
from scheduler.service.runtime import Runtime

MOST_AT_ONCE = 4


class Stopped(RingbackError):
    """The server was stopped while it imported this file"""


class ImportJobs:
    """The imports that go on in this process. Safe for several threads."""

    def __init__(self, runtime: Runtime, reporter: Reporter | None = None) -> None:
        self._runtime, self._reporter = runtime, reporter or Reporter()
        self._lock = threading.Lock()
        self._threads: set[threading.Thread] = set()
        self._is_stopping = threading.Event()

    def start(self, path: Path, *, manner: Manner, on_end: Callable[[], None], **options: Any) -> int:
        """Begin an import with the options of `import_leads`, and return its id. `on_end` is called at its end,
        whatever comes of it, unless this raises: Conflict when too many go on, and what `import_leads` raises
        before the first row.
        """
        job = _Job(self, path, manner, on_end, options)
        with self._lock:
            if self._is_stopping.is_set() or len(self._threads) >= MOST_AT_ONCE:
                raise Conflict(f"{MOST_AT_ONCE} files are being imported at this moment; try again when one is done")
            # The thread does what the caller asked for, so the audit must name the caller.
            context = contextvars.copy_context()
            thread = threading.Thread(target=context.run, args=(job.run,), name="import-job", daemon=True)
            job.thread = thread
            self._threads.add(thread)
        thread.start()
        return job.wait_for_id()

    def close(self, wait_seconds: float = 8.0) -> None:
        """Let every import end at its next chunk."""
        self._is_stopping.set()
        with self._lock:
            threads = list(self._threads)
        until = time.monotonic() + wait_seconds
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))

    def check_on(self, done: int, size: int) -> None:
        if self._is_stopping.is_set() and done < size:
            raise Stopped

    def run(self, path: Path, manner: Manner, options: dict[str, Any]) -> None:
        import_leads(path, manner=manner, on_progress=self.check_on, runtime=self._runtime, **options)

    def tell(self, import_id: int, error: Exception) -> None:
        """A mistake of ours in an import that was answered for: nobody else would log it."""
        self._reporter.request_failed(self._runtime.clock_of_host(), what=f"import {import_id}", error=error)

    def forget(self, thread: threading.Thread | None) -> None:
        with self._lock:
            self._threads.discard(thread or threading.current_thread())


class _Job:
    def __init__(
        self, jobs: ImportJobs, path: Path, manner: Manner, on_end: Callable[[], None], options: dict[str, Any]
    ) -> None:
        self._jobs, self._path, self._options, self._on_end = jobs, path, options, on_end
        self._manner = replace(manner, on_start=self._begin)
        self._has_begun = threading.Event()
        self._import_id: int | None = None
        self._refusal: Exception | None = None
        self.thread: threading.Thread | None = None

    def run(self) -> None:
        try:
            self._jobs.run(self._path, self._manner, self._options)
        except Exception as error:  # once it has an id, its row says why it failed
            self._refusal = error
            if self._import_id is not None and not isinstance(error, RingbackError):
                self._jobs.tell(self._import_id, error)
        finally:
            self._jobs.forget(self.thread)
            if self._import_id is not None:
                self._on_end()
            self._has_begun.set()

    def _begin(self, import_id: int) -> None:
        self._import_id = import_id
        self._has_begun.set()

    def wait_for_id(self) -> int:
        self._has_begun.wait()
        if self._import_id is not None:
            return self._import_id
        raise self._refusal or Stopped()
