"""Changes of many leads that somebody asked for on a screen: done in the background, with how far they are.

What is done is `control`'s; what is added here is only that nobody's browser has to wait for a million leads. What
must stay true: a change goes on when the page is closed, in the name of whoever asked for it, and a mistake of ours
is logged although nobody waits any more. It ends with the process: chunks that were written stay, and asking again
does the rest.
"""

from __future__ import annotations

import contextvars
import threading
import uuid
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from dataclasses import dataclass, field

from scheduler.clock import SystemClock
from scheduler.errors import RingbackError
from scheduler.events import Reporter
from scheduler.service.control import Bulk, Progress
from scheduler.store.leads import LeadFilter

SLICE = 20_000
"""Leads named by their ids in one statement."""
MOST_KEPT = 200

Action = Callable[[LeadFilter, Progress], Bulk]


@dataclass
class Job:
    """One change. `expected` is how many were shown before it was asked for; `error` says why it ended early."""

    key: str
    what: str
    owner: str
    expected: int
    done: int = 0
    total: int = 0
    result: Bulk | None = None
    error: str | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    """What its page says about it."""

    @property
    def is_over(self) -> bool:
        return self.result is not None or self.error is not None


class Stopped(RingbackError):
    """The server was stopped in the middle; what was written stays, and asking again does the rest"""


class BulkJobs:
    """The changes of one process, two at a time. Safe for threads."""

    def __init__(self, reporter: Reporter | None = None) -> None:
        self._reporter = reporter or Reporter()
        self._lock = threading.Lock()
        self._is_stopping = threading.Event()
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="bulk")
        self._jobs: OrderedDict[str, tuple[Job, Future[None]]] = OrderedDict()

    def start(
        self, what: str, owner: str, action: Action, find: Callable[[], Sequence[LeadFilter]], *, expected: int,
        facts: Mapping[str, str] | None = None, wait: float = 2.0,
    ) -> Job:
        """Begin it, and wait for so many seconds: most are over by then. `find` says which leads, at that moment."""
        job = Job(uuid.uuid4().hex, what, owner, expected, facts=facts or {})
        context = contextvars.copy_context()  # who asks is in it
        under_way = self._pool.submit(context.run, self._run, job, action, find)
        with self._lock:
            self._jobs[job.key] = (job, under_way)
            over = [key for key, (one, _) in self._jobs.items() if one.is_over]
            for key in over[: max(0, len(self._jobs) - MOST_KEPT)]:
                del self._jobs[key]
        wait_for([under_way], wait)
        return job

    def find(self, key: str, owner: str) -> Job | None:
        """A change that this caller asked for; None where this process knows none."""
        with self._lock:
            found = self._jobs.get(key)
        return found[0] if found is not None and found[0].owner == owner else None

    def close(self) -> None:
        """Let every change end at its next chunk."""
        self._is_stopping.set()
        self._pool.shutdown(wait=True, cancel_futures=True)
        for job, _ in self._jobs.values():
            if not job.is_over:  # it had not even begun
                job.error = str(Stopped())

    def _run(self, job: Job, action: Action, find: Callable[[], Sequence[LeadFilter]]) -> None:
        try:
            job.result = self._change(job, action, find())
        except RingbackError as error:
            job.error = str(error)
        except Exception as error:  # whoever asked may be gone: nobody else would tell of it
            self._reporter.request_failed(SystemClock().now(), what=f"{job.what} of many leads", error=error)
            job.error = "this is a mistake of ours; what was written stays, and asking again does the rest"

    def _change(self, job: Job, action: Action, parts: Sequence[LeadFilter]) -> Bulk:
        matched = changed = 0
        left = Counter[str]()
        job.total = job.expected

        def move(done: int, total: int) -> None:
            if self._is_stopping.is_set() and done < total:
                raise Stopped
            job.done, job.total = matched + done, max(job.total, matched + total)

        for part in parts:
            found = action(part, move)
            matched, changed = matched + found.matched, changed + found.changed
            left.update(found.left)
        return Bulk(matched, changed, {why: count for why, count in left.items() if count})


def slices(ids: Sequence[int], campaign_id: int | None) -> list[LeadFilter]:
    """These leads as filters of a size that one statement takes. With the campaign, one that is gone is no error."""
    return [
        LeadFilter(ids=tuple(ids[start : start + SLICE]), campaign_id=campaign_id)
        for start in range(0, len(ids), SLICE)
    ]


__all__ = ["BulkJobs", "Job", "slices"]
