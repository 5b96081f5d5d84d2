"""Take in what providers post, and apply it: stored first, processed once, in any order.

Decided here: which attempt an event is about, and when one that is about a call nobody knows is given up.
Not decided: what an event means (its adapter) and what follows (outcomes). What must stay true: an event
and its effect are one transaction; an event that beat our own commit waits, for it is no mistake; an odd
event holds up no other.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from scheduler.errors import DatabaseUnavailable, RingbackError
from scheduler.events import Reporter
from scheduler.model import Attempt, AttemptState, Happening
from scheduler.providers.base import CallReport, Phase, ProviderEvent
from scheduler.providers.payloads import find_oddity
from scheduler.service.breakers import Breakers
from scheduler.service.facts import Learnt, let_lead_wait, write_facts
from scheduler.service.fault_points import reach
from scheduler.service.outcomes import ACTOR, Applied, End
from scheduler.service.rulebook import RuleBook
from scheduler.service.runtime import Runtime
from scheduler.store import calls, inbox, journal, second_calls
from scheduler.store.database import Connection
from scheduler.store.inbox import KeptEvent

MANY = 200
FIRST_WAIT = timedelta(seconds=0.5)
LONGEST_WAIT = timedelta(minutes=1)
GIVE_UP_AFTER = timedelta(hours=6)
"""An event about a call that we do not know: after so long it is none of ours."""
KEEP_PROCESSED = timedelta(days=30)
OPEN = (AttemptState.PLACING, AttemptState.LIVE, AttemptState.UNKNOWN)


@dataclass(slots=True)
class Report:
    """What one turn did with events: applied, left waiting for their call, given up."""

    applied: int = 0
    waiting: int = 0
    given_up: int = 0


class Inbox:
    """Keeps and applies provider events. Safe for several threads and several processes."""

    def __init__(
        self, runtime: Runtime, *, rulebook: RuleBook | None = None, reporter: Reporter | None = None,
        breakers: Breakers | None = None,
    ) -> None:
        self.runtime = runtime
        self.rulebook = rulebook or RuleBook()
        self.reporter = reporter or Reporter()
        self.breakers = breakers or Breakers(runtime, owner=ACTOR, reporter=self.reporter)

    def keep(self, provider: str, events: Sequence[ProviderEvent]) -> int:
        """Store events, in one transaction. Returns how many were new. Raises DatabaseUnavailable."""
        return self.keep_all([(provider, one) for one in events])

    def keep_own(self, provider: str, events: Sequence[ProviderEvent]) -> int:
        """As `keep`, without those of calls that are not ours: over one connection comes what concerns others too.

        An attempt is committed before its call is asked for, so one that is not known here is somebody else's.
        """
        refs = {one.attempt_ref for one in events if one.attempt_ref}
        ours = self.runtime.database.read(lambda connection: calls.find_own_refs(connection, refs))
        return self.keep(provider, [one for one in events if one.attempt_ref in ours])

    def keep_all(self, events: Sequence[tuple[str, ProviderEvent]]) -> int:
        if not events:
            return 0
        rows = [
            {
                "provider": provider, "event_key": one.key, "kind": one.kind, "attempt_ref": one.attempt_ref,
                "provider_call_id": one.call_id, "payload": dict(one.payload),
            }
            for provider, one in events
        ]
        now = self.runtime.clock.now()

        def work(connection: Connection) -> int:
            new = inbox.add_events(connection, rows, now)
            reach("inbox.before_commit")
            return new

        new = self.runtime.database.transact(work)
        reach("inbox.after_commit")
        return new

    def run_once(self) -> Report:
        """Apply every event whose turn has come. Each of them is either processed then, or waits for later."""
        report = Report()
        while True:
            now = self.runtime.clock.now()
            if not self.runtime.database.read(lambda connection: inbox.is_any_waiting(connection, now)):  # noqa: B023
                return report
            try:
                taken = self._apply(MANY, report, now)
            except DatabaseUnavailable:
                raise
            except Exception as error:  # one odd event must not hold up the others: they come one by one
                self.reporter.tick_failed(now, "applying provider events", error)
                taken = self._apply_alone(report, now)
            if not taken:
                return report

    def _apply(self, limit: int, report: Report, now: datetime) -> int:
        told = Applied()
        turn = _Turn(self, now)

        def work(connection: Connection) -> int:
            nonlocal told, turn
            told, turn = Applied(), _Turn(self, now)
            taken = inbox.take_events(connection, now, limit)
            turn.sort(connection, taken)
            reach("inbox.before_apply")
            write_facts(connection, turn.learnt, told, now=now, rulebook=self.rulebook)
            turn.write(connection, told)
            reach("inbox.before_applied")
            return len(taken)

        taken = self.runtime.database.transact(work)
        told.tell(self.reporter, now)
        for event, attempt_id, oddity in turn.oddities:
            self.reporter.event_doubted(now, provider=event.provider, attempt_id=attempt_id, oddity=oddity)
        self.breakers.judge(told.refusals, now, told.reached)
        report.applied += len(turn.settled) - len(turn.strangers)
        report.given_up += len(turn.strangers)
        report.waiting += len(turn.waits) - turn.deferred
        return taken

    def _apply_alone(self, report: Report, now: datetime) -> int:
        taken = 0
        for _ in range(MANY):
            try:
                if not self._apply(1, report, now):
                    break
            except DatabaseUnavailable:
                raise
            except Exception as error:
                self._put_back(error, now)
            taken += 1
        return taken

    def _put_back(self, error: Exception, now: datetime) -> None:
        """The oldest event cannot be applied: it waits, with the reason, and the others go on."""
        why = f"could not be applied: {type(error).__name__}: {error}"

        def work(connection: Connection) -> None:
            for one in inbox.take_events(connection, now, 1):
                inbox.postpone_events(connection, {one.id: (one.tries + 1, now + _wait(one.tries), why)})

        self.runtime.database.transact(work)
        self.reporter.tick_failed(now, "applying a provider event", error)

    def forget(self, limit: int = 1000) -> int:
        """Delete events that were processed long ago."""
        before = self.runtime.clock.now() - KEEP_PROCESSED
        if not self.runtime.database.read(lambda connection: inbox.is_any_processed(connection, before)):
            return 0
        return self.runtime.database.transact(lambda connection: inbox.delete_processed(connection, before, limit))


class _Turn:
    """Events of one transaction, sorted into facts."""

    def __init__(self, house: Inbox, now: datetime) -> None:
        self.house, self.now = house, now
        self.learnt = Learnt()
        self.settled: dict[int, str] = {}
        self.waits: dict[int, tuple[int, datetime, str]] = {}
        self.strangers: list[KeptEvent] = []
        self.doubles: list[tuple[KeptEvent, Attempt]] = []
        self.mismatches: list[tuple[KeptEvent, Attempt, Attempt]] = []
        self.oddities: list[tuple[KeptEvent, int, str]] = []
        self.deferred = 0
        self._ending: set[int] = set()
        self._ids: dict[int, str] = {}

    def sort(self, connection: Connection, taken: Sequence[KeptEvent]) -> None:
        for name in sorted({one.provider for one in taken}):
            of_it = [one for one in taken if one.provider == name]
            attempts = calls.find_followed(
                connection, name, {one.attempt_ref for one in of_it if one.attempt_ref},
                {one.call_id for one in of_it if one.call_id},
            )
            by_ref = {one.attempt_ref: one for one in attempts}
            by_call = {one.provider_call_id: one for one in attempts if one.provider_call_id}
            for event in of_it:
                self._sort_one(event, by_ref, by_call)

    def _sort_one(
        self, event: KeptEvent, by_ref: Mapping[str, Attempt], by_call: Mapping[str, Attempt]
    ) -> None:
        attempt = by_ref.get(event.attempt_ref or "") or by_call.get(event.call_id or "")
        if attempt is None:
            self._wait_for_call(event)
            return
        provider = self.house.runtime.providers.find(event.provider)
        if provider is None:
            why = self.house.runtime.providers.problem(event.provider)
            self.waits[event.id] = (event.tries + 1, self.now + LONGEST_WAIT, why)
            return
        holder = by_call.get(event.call_id or "")
        known_id = attempt.provider_call_id or self._ids.get(attempt.id)
        if holder is not None and holder.id != attempt.id:
            # The reference is of one attempt and the call of another: it is believed of neither.
            self.mismatches.append((event, attempt, holder))
            self.settled[event.id] = f"names attempt {attempt.id} by its reference and {holder.id} by its call"
            return
        is_other = bool(event.call_id and known_id and event.call_id != known_id)
        if is_other:
            # Two calls for one reference: the vendor, or somebody before it, repeated our request.
            self.doubles.append((event, attempt))
            self.settled[event.id] = f"another call for attempt {attempt.id}, which is {known_id}"
            return
        if event.call_id:
            self._ids[attempt.id] = event.call_id
        report = provider.read_event(ProviderEvent(
            event.key, event.kind, event.payload, attempt_ref=attempt.attempt_ref,
            call_id=event.call_id or attempt.provider_call_id, answered_at=attempt.answered_at,
        ))
        if attempt.id in self._ending:
            # Its end is being written in this very transaction: what more is said of it amends that, in the next.
            self.waits[event.id] = (event.tries, self.now, "after another event of the same call")
            self.deferred += 1
            return
        oddity = find_oddity(event.payload) if report is not None else None
        if oddity is not None:
            self.oddities.append((event, attempt.id, oddity))
            report = None
        if report is not None and not report.call_id:
            report = replace(report, call_id=event.call_id or attempt.provider_call_id or "")
        self.settled[event.id] = self._learn(attempt, report, event.call_id)

    def _learn(self, attempt: Attempt, report: CallReport | None, call_id: str | None) -> str:
        is_known = attempt.provider_call_id is not None
        if report is None:
            if attempt.state in OPEN and not is_known and call_id:
                seen = CallReport(call_id, Phase.DIALING, attempt.attempt_ref)
                self.learnt.found.append((attempt, seen))
            elif not is_known and call_id:
                self.learnt.risen.append((attempt, call_id))
            self.learnt.hints.append(attempt.id)
            return f"attempt {attempt.id} is asked about"
        if report.phase is Phase.ENDED:
            self._end(attempt, report)
            return f"attempt {attempt.id}: {report.outcome or 'not made'}"
        if attempt.state not in OPEN:
            if not is_known and call_id:
                self.learnt.risen.append((attempt, call_id))
            return f"attempt {attempt.id} was {attempt.state} already"
        if not is_known and report.call_id and all(one.id != attempt.id for one, _ in self.learnt.found):
            self.learnt.found.append((attempt, report))
        if report.phase is Phase.ANSWERED:
            self.learnt.answered.setdefault(attempt.id, report.answered_at or self.now)
        return f"attempt {attempt.id}: {report.phase}"

    def _end(self, attempt: Attempt, report: CallReport) -> None:
        self._ending.add(attempt.id)
        placed_at = attempt.placed_at or attempt.claimed_at
        self.learnt.ends.append(End(attempt.id, report, placed_at=None if attempt.placed_at else placed_at))

    def _wait_for_call(self, event: KeptEvent) -> None:
        if self.now - event.received_at > GIVE_UP_AFTER:
            self.settled[event.id] = "about no call of ours"
            self.strangers.append(event)
        else:
            wait = _wait(event.tries)
            self.waits[event.id] = (event.tries + 1, self.now + wait, "about a call that is not known (yet)")

    def write(self, connection: Connection, told: Applied) -> None:
        inbox.settle_events(connection, self.settled, self.now)
        inbox.postpone_events(connection, self.waits)
        happenings = []
        for event, attempt in self.doubles:
            if not second_calls.add(connection, event.provider, event.call_id or "", attempt.id, self.now):
                continue  # said before
            happenings.append(Happening(
                kind="second_call", actor=event.provider, lead_id=attempt.lead_id, campaign_id=attempt.campaign_id,
                attempt_id=attempt.id,
                reason=f"{event.provider} tells of a second call for one request: {event.call_id}",
            ))
            told.note("second_call", provider=event.provider, attempt_id=attempt.id)
            why = "a second call for the last request may still be going on"
            let_lead_wait(connection, attempt, why, self.now, self.house.rulebook)
        for event, attempt, holder in self.mismatches:
            happenings.append(Happening(
                kind="event_mismatch", actor=event.provider, lead_id=attempt.lead_id, campaign_id=attempt.campaign_id,
                attempt_id=attempt.id,
                reason=f"an event of {event.provider} names this attempt by its reference and attempt {holder.id} by "
                "its call; it is believed of neither",
            ))
            told.note("event_mismatch", provider=event.provider, attempt_id=attempt.id, other_id=holder.id)
        journal.add_events(connection, happenings, self.now)


def _wait(tries: int) -> timedelta:
    return min(FIRST_WAIT * (1 << min(tries, 12)), LONGEST_WAIT)


class InboxWriter:
    """Stores what many requests bring at once in few commits, and applies it soon after.

    A vendor wants its answer within seconds, and a commit is a disk's turn: events that arrive while one
    commit is under way share the next one.
    """

    def __init__(self, house: Inbox) -> None:
        self.house = house
        self._queue: queue.SimpleQueue[tuple[str, Sequence[ProviderEvent], Future[int]] | None] = queue.SimpleQueue()
        self._kept = threading.Event()
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._write, name="inbox-write", daemon=True),
            threading.Thread(target=self._apply, name="inbox-apply", daemon=True),
        ]
        for one in self._threads:
            one.start()

    def keep(self, provider: str, events: Sequence[ProviderEvent], timeout: float = 8.0) -> None:
        """Returns once they are committed. Raises DatabaseUnavailable or TimeoutError: the vendor sends them again."""
        done: Future[int] = Future()
        self._queue.put((provider, events, done))
        done.result(timeout)

    def close(self) -> None:
        """Nothing more is taken in; what was stored is applied by a daemon."""
        self._stopping.set()
        self._queue.put(None)
        self._kept.set()
        for one in self._threads:
            one.join(10)

    def _write(self) -> None:
        while (first := self._queue.get()) is not None:
            batch = [first]
            while len(batch) < MANY and not self._queue.empty():
                following = self._queue.get()
                if following is None:
                    self._queue.put(None)
                    break
                batch.append(following)
            self._commit(batch)

    def _commit(self, batch: Sequence[tuple[str, Sequence[ProviderEvent], Future[int]]]) -> None:
        try:
            new = self.house.keep_all([(provider, one) for provider, events, _ in batch for one in events])
        except BaseException as error:
            if len(batch) > 1 and not isinstance(error, DatabaseUnavailable):
                for one in batch:  # an event that cannot be stored must not keep out those that came with it
                    self._commit([one])
                return
            for *_, done in batch:
                done.set_exception(
                    error if isinstance(error, RingbackError) else RingbackError(f"{type(error).__name__}")
                )
            return
        for *_, done in batch:
            done.set_result(new)
        self._kept.set()

    def _apply(self) -> None:
        while not self._stopping.is_set():
            self._kept.wait()
            self._kept.clear()
            if self._stopping.is_set():
                return
            try:
                self.house.run_once()
            except Exception as error:  # a daemon applies them at its next look
                self.house.reporter.daemon(
                    self.house.runtime.clock_of_host(), f"provider events wait for a daemon: {error}", level="warning"
                )
