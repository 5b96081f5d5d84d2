"""Find what is due, claim it, dial it, write down the answer.

Order at a dial: (1) one transaction takes rows, asks the gate and writes the intent; (2) whether anything
changed since is asked once more; (3) one request to the provider, outside any transaction, never
repeated; (4) one transaction writes what it answered. What must stay true: no commit of (1), no dial; no
dial after the dial budget, by a clock that counts suspended time; never more rows in `placing` than there
are places to dial from, because a crash turns each of them into `unknown`. A process may be stopped at any
instruction, so whether a request left in time is judged by a look at the clock after its last byte, whatever was
answered and whoever has settled the attempt meanwhile: a late one is hung up, written down and said.

A newcomer would dial inside the transaction, or repeat a request that timed out. Both ring people twice.
"""

from __future__ import annotations

import contextlib
import queue
import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from scheduler.clock import boottime
from scheduler.errors import Contended, DatabaseUnavailable, ProviderError
from scheduler.events import Reporter
from scheduler.model import (
    Account,
    AttemptState,
    CallStatus,
    Campaign,
    Doubt,
    Happening,
    Hold,
    Lead,
    LeadStatus,
    Outcome,
    ScheduledCall,
)
from scheduler.providers.base import (
    Accepted,
    CallKey,
    CallReport,
    DialAnswer,
    DialRequest,
    Phase,
    Provider,
    RefusalKind,
    Refused,
    Unanswered,
)
from scheduler.providers.sending import Sending
from scheduler.rules.billing import affordable, expected_cost
from scheduler.rules.eligibility import (
    RECHECK_HELD,
    RECHECK_LINE,
    Case,
    Closed,
    Dropped,
    Funds,
    Held,
    Later,
    RoundOver,
    Verdict,
    Yes,
    judge,
    last_outcome,
    phones_of,
    variable_of,
)
from scheduler.rules.pacing import SEND_TOLERANCE, SLOTS_AHEAD, Breaker, Claim, list_slots, share_out, slot_step
from scheduler.rules.policy import Policy
from scheduler.rules.retry import Ended, Finish, after_refusal
from scheduler.service.breakers import Answered, Breakers
from scheduler.service.facts import FIRST_LOOK
from scheduler.service.fault_points import reach
from scheduler.service.history import History
from scheduler.service.outcomes import (
    CALL_ID_LENGTH,
    OF_THE_PROVIDER,
    Applied,
    End,
    apply_ends,
    carry_out,
    must_be,
    next_step,
    read_barred_of,
    release_reserves,
    spoken,
    wait_after,
    without_phone,
)
from scheduler.service.recovery import Memory
from scheduler.service.refs import new_refs
from scheduler.service.rulebook import RuleBook, Rules
from scheduler.service.runtime import Runtime
from scheduler.service.vitals import cause_of
from scheduler.store import accounts, calls, campaigns, do_not_call, journal, leads
from scheduler.store.calls import Intent, Move
from scheduler.store.database import Connection
from scheduler.store.numbers import learn_unknown

LARGEST_TAKE = 500
WORTH_A_TAKE = 8
"""A take waits until this part of the places is free."""
LOOK_FOR = 0.5
"""For how much of the interval of ticks one tick waits for places or for rows."""
THIN_TAKES = 3
SHORT_REST = 0.05
"""Seconds of rest between takes, after so many in a row found few rows: these become due one by one."""
ASK_STEP = 0.1
"""Seconds between looks whether providers have answered, or this process is to end."""
VITALS_LAST = 900.0
"""Seconds for which what a vendor told of its account is believed, when it does not answer any more."""


@dataclass(frozen=True, slots=True)
class DialJob:
    """A committed intent, and what is needed to carry it out."""

    attempt_id: int
    schedule_id: int
    lead_id: int
    attempt_number: int
    token: str
    provider: str
    request: DialRequest
    send_before: float
    """On the clock of `boottime()`: after it nothing may be sent."""
    send_after: float
    """The same clock: a provider that takes only so many calls a second has a slot for this one."""
    dial_before: datetime
    due_at: datetime
    who: str
    has_slot: bool = False


@dataclass(frozen=True, slots=True)
class Dialed:
    """A job and its answer. `asked` is when its request had left at the latest, on the clock of `boottime()`."""

    job: DialJob
    answer: DialAnswer
    asked: float
    was_late: bool = False
    """By this host's own clock: it may have left after its limit, because this process was stopped."""

    @property
    def may_have_left(self) -> bool:
        return not (isinstance(self.answer, Refused) and self.answer.kind is RefusalKind.NEVER_SENT)


@dataclass(slots=True)
class Report:
    """What one turn did, in rows."""

    taken: int = 0
    dialed: int = 0
    moved: int = 0
    held: int = 0
    closed: int = 0
    dropped: int = 0

    @property
    def judged(self) -> int:
        return self.taken

    def add(self, other: Report) -> None:
        for name in ("taken", "dialed", "moved", "held", "closed", "dropped"):
            setattr(self, name, getattr(self, name) + getattr(other, name))


class Dispatcher:
    """Claims and dials for one process. `run_once` is one tick; `drain` waits for the dials in flight."""

    def __init__(
        self, runtime: Runtime, *, owner: str, rulebook: RuleBook | None = None, reporter: Reporter | None = None,
        places: int | None = None, largest_take: int = LARGEST_TAKE,
    ) -> None:
        self.runtime = runtime
        self.owner = owner
        self.home = runtime.settings.default_country
        self.rulebook = rulebook or RuleBook()
        self.reporter = reporter or Reporter()
        self.breakers = Breakers(runtime, owner=owner, reporter=self.reporter)
        self.memory: Memory | None = None
        """What the database must know, where somebody remembers it: asked in each take."""
        self._vendor_limits: dict[str, tuple[int, float]] = {}
        """Calls at once that a vendor lets us have, and when it said so, on the clock of `boottime()`."""
        self._places = places or runtime.settings.dialing_places
        self._largest_take = largest_take
        self._pool = ThreadPoolExecutor(max_workers=self._places, thread_name_prefix="dial")
        self._results: queue.SimpleQueue[Dialed] = queue.SimpleQueue()
        self._unrecorded: list[Dialed] = []
        self._recording = threading.Lock()
        self._busy = 0
        self._asking: dict[str, threading.Thread] = {}
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._budget = timedelta(seconds=runtime.settings.dial_budget)
        self.take_lasts = timedelta(0)
        """How long it lately took from the time of a take to its first dial; falls slowly, rises at once."""

    # --- one tick --------------------------------------------------------------------------------

    @property
    def free_places(self) -> int:
        with self._changed:
            return self._places - self._busy

    def run_once(self, may_go_on: Callable[[], bool] = lambda: True) -> Report:
        """Take and dial until nothing is due, no place is free, or no rule lets more through.

        While rows keep becoming due this may last; `may_go_on` is asked meanwhile, once in each interval.
        """
        total = Report()
        self.record_answers()
        interval = self.runtime.settings.dispatch_interval
        until = boottime() + LOOK_FOR * interval
        ask_at = boottime() + interval
        thin = 0
        while not self._stopping.is_set():
            if boottime() >= ask_at:
                ask_at = boottime() + interval
                if not may_go_on():
                    break
            free = self._await_places(until)
            if free <= 0:
                break
            asked = min(free, self._largest_take)
            report = self._turn(asked)
            total.add(report)
            if report.taken == 0:
                break
            # Rows that become due one by one must not each have a take of their own, nor keep this tick for ever.
            thin = thin + 1 if report.taken < asked // 4 else 0
            if thin > THIN_TAKES and (boottime() >= until or self._stopping.wait(SHORT_REST)):
                break
        return total

    def _await_places(self, until: float) -> int:
        """How many places are free, once it is a share of them that is worth a take, or the tick is over.

        A take costs the same for one row as for fifty, and answers come one by one.
        """
        enough = max(1, self._places // WORTH_A_TAKE)
        with self._changed:
            while (free := self._places - self._busy) < enough and not self._stopping.is_set():
                if not self._changed.wait(max(0.0, min(until - boottime(), 0.5))) and boottime() >= until:
                    break
            return free

    def stop(self) -> None:
        """Take nothing new. Dials in flight finish; see `drain`."""
        self._stopping.set()

    def drain(self, timeout: float | None = None) -> bool:
        """Wait until every dial in flight is answered and written. False: some were not in `timeout` seconds."""
        until = None if timeout is None else boottime() + timeout
        while True:
            with contextlib.suppress(DatabaseUnavailable):  # kept, and asked again until the time is over
                self.record_answers()
            with self._changed:
                if not self._busy:
                    return True
                if until is not None and boottime() >= until:
                    return False
                self._changed.wait(0.05)

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def vendor_limit(self, provider: str) -> int | None:
        """How many calls the vendor itself lets us have at once, less those that it has of others."""
        most, said_at = self._vendor_limits.get(provider, (0, -VITALS_LAST))
        return most if boottime() - said_at < VITALS_LAST else None

    def watch_vitals(self, patience: float | None = None) -> list[str]:
        """Ask every provider in use how its account stands, each beside the others. What cannot be learnt changes
        nothing. Returns those that have not answered after so many seconds: they are still being asked.
        """
        ours = self.runtime.database.read(calls.count_in_flight).by_provider  # before the vendor counts them too
        for name, provider in self.runtime.providers.opened():
            if name not in self._asking or not self._asking[name].is_alive():
                about = name, provider, ours.get(name, 0)
                asking = threading.Thread(target=self._ask_vitals, args=about, name=f"vitals-{name}", daemon=True)
                self._asking[name] = asking
                asking.start()
        until = boottime() + (self.runtime.settings.request_timeout + 2 if patience is None else patience)
        for thread in self._asking.values():
            while thread.is_alive() and boottime() < until and not self._stopping.is_set():
                thread.join(ASK_STEP)
        return sorted(name for name, thread in self._asking.items() if thread.is_alive())

    def _ask_vitals(self, name: str, provider: Provider, ours: int) -> None:
        now = self._host_now()
        try:
            now = self.runtime.clock.now()
            vitals = provider.read_vitals()
            if vitals is None:
                return
            now = self.runtime.clock.now()
            self.breakers.judge_vitals(name, vitals, now)
            self.breakers.note_notices(name, vitals.notices, now)
            if vitals.most_calls is not None:
                of_others = max(0, (vitals.in_use or 0) - ours)
                self._vendor_limits[name] = (max(0, vitals.most_calls - of_others), boottime())
        except Exception as error:
            self.reporter.tick_failed(now, f"asking {name} how its account stands", error)

    # --- (1) the take ----------------------------------------------------------------------------

    def _turn(self, places: int) -> Report:
        started = boottime()  # before the statement that grants the budget, so that it never looks longer
        now = self.runtime.clock.now()
        if not self.runtime.database.read(lambda connection: calls.is_any_due(connection, now)):
            return Report()
        report = Report()
        told = Applied()

        def take(connection: Connection) -> list[DialJob]:
            nonlocal report, told
            report, told = Report(), Applied()
            jobs = _Take(self, connection, now, started, places, report, told).run()
            reach("take.before_commit")
            return jobs

        self.runtime.database.require_same_file()
        try:
            # When the commit's answer is lost (CommitUnclear, a DatabaseUnavailable) nothing is dialed: if the
            # intents exist after all, their lease runs out and they are looked up by their refs.
            jobs = self.runtime.database.transact(take, tries=3)
        except DatabaseUnavailable:
            raise
        except Contended as error:  # somebody's open transaction: passed by, and tried at the next tick
            self.reporter.daemon(now, f"nothing could be claimed this time: {error}", level="warning")
            return Report()
        except Exception as error:  # something in these rows, or a bug: the others must not wait for it
            return self._take_fewer(places, report.taken, error)
        reach("take.after_commit")
        if jobs and self.memory is not None:
            self.memory.note([(job.attempt_id, job.request.attempt_ref) for job in jobs])
        self.runtime.database.require_same_file()  # else that was committed where nobody sees it
        told.tell(self.reporter, now)
        if jobs:
            self._dial_all(jobs, started)
        return report

    def _take_fewer(self, places: int, taken: int, error: Exception) -> Report:
        """Find the row that a take cannot be written with, by taking half as many, and hold it."""
        if taken > 1:
            return self._turn(min(places, taken) // 2)
        now = self.runtime.clock.now()
        self.reporter.tick_failed(now, "taking a row", error)
        if not taken:  # it came before any row was looked at, so it is no row's fault
            return Report()
        held = self.runtime.database.transact(lambda connection: calls.hold_oldest(
            connection, now, again_at=now + RECHECK_HELD, reason=f"held: {type(error).__name__}: {error}"
        ))
        return Report(taken=held, held=held)

    # --- (2) and (3) the dial --------------------------------------------------------------------

    def _dial_all(self, jobs: Sequence[DialJob], started: float) -> None:
        with self._changed:
            self._busy += len(jobs)
        try:
            allowed = self._ask_again(jobs)
        except DatabaseUnavailable as error:
            # Committed, but not confirmed: nothing was sent, and that can be proven.
            allowed = set()
            reason = f"the database went away before dialing ({error})"
        except Exception as error:  # a bug; the places and the rows must be given back all the same
            allowed = set()
            reason = f"they could not be asked about again ({type(error).__name__}: {error})"
            self.reporter.tick_failed(self._host_now(), "asking again before dialing", error)
        else:
            reason = "it was changed while it was being claimed"
        took = timedelta(seconds=boottime() - started)
        self.take_lasts = max(took, self.take_lasts * 0.8)
        waits = {name: self.runtime.providers.get(name).waits for name in {job.provider for job in jobs}}
        for job in jobs:
            if job.schedule_id not in allowed:
                self._results.put(Dialed(job, Refused(RefusalKind.NEVER_SENT, reason, ours=True), boottime()))
            elif waits[job.provider] or job.send_after > boottime():
                self._pool.submit(self._dial_and_record, job)
            else:
                self._dial(job)  # it answers at once: handing it to another thread would cost more than the dial
        if len(allowed) < len(jobs):
            self._try_recording()  # at once: they are due again, and this tick judges them again
        elif not self._results.empty():
            self._pool.submit(self._try_recording)  # while it is written, the next rows can be taken

    def _ask_again(self, jobs: Sequence[DialJob]) -> set[int]:
        token = jobs[0].token
        now = self.runtime.clock.now()
        return self.runtime.database.read(
            lambda connection: calls.list_still_callable(
                connection, {job.schedule_id: job.request.number for job in jobs}, token, now, self.home
            )
        )

    def _dial_and_record(self, job: DialJob) -> None:
        self._dial(job)
        self._try_recording()

    def _dial(self, job: DialJob) -> None:
        try:
            answer, asked = self._place(job)
            dialed = Dialed(job, answer, asked, was_late=asked > job.send_before)
            reach("dial.after_answer")
            if dialed.was_late:
                self._hang_up_late([dialed], self._host_now())  # at once: the database may be away
            self._results.put(dialed)
        except BaseException as error:  # the place must be given back whatever happens
            self._results.put(Dialed(job, Unanswered(f"{type(error).__name__}: {error}"), boottime()))

    def _place(self, job: DialJob) -> tuple[DialAnswer, float]:
        """The answer, and when the request had left at the latest."""
        provider = self.runtime.providers.get(job.provider)
        reach("dial.before_request")
        if (wait := job.send_after - boottime()) > 0:
            time.sleep(wait)
        asked = boottime()
        if asked >= job.send_before:
            late = "its dial budget was over before it could be sent"
            return Refused(RefusalKind.NEVER_SENT, late, ours=True), asked
        if job.has_slot and asked > job.send_after + SEND_TOLERANCE.total_seconds():
            missed = "it missed its slot: this provider takes only so many calls a second"
            return Refused(RefusalKind.NEVER_SENT, missed, ours=True), asked
        self.breakers.note_sent(job.provider)
        longest = self.runtime.settings.request_timeout
        with Sending(send_before=job.send_before, over_by=asked + longest) as sending:
            reach("dial.after_look")
            answer = provider.place(job.request)
        if sending.has_begun:
            return answer, max(sending.seen_at, asked)
        # An adapter that does not tell when its request left: one that took longer than any answer may was stopped.
        answered = boottime()
        return answer, answered if not sending.is_watched and answered - asked > longest + 2 else asked

    # --- (4) what was answered -------------------------------------------------------------------

    def _try_recording(self) -> None:
        try:
            self.record_answers()
        except DatabaseUnavailable as error:
            self.reporter.daemon(
                self._host_now(), f"answers of the provider cannot be written yet and are kept: {error}", level="error"
            )
        except Exception as error:  # reported here, kept, and tried again at the next tick
            self.reporter.tick_failed(self._host_now(), "recording answers", error)

    def record_answers(self) -> int:
        """Write the answers that have come, many in one transaction. Raises DatabaseUnavailable: they are kept.

        Whichever thread comes first writes for all; the others go on, because it looks again before it
        leaves. So one commit serves as many dials as were answered while the last one was under way.
        """
        written = 0
        while (self._unrecorded or not self._results.empty()) and self._recording.acquire(blocking=False):
            try:
                while len(self._unrecorded) < LARGEST_TAKE:
                    try:
                        self._unrecorded.append(self._results.get_nowait())
                    except queue.Empty:
                        break
                batch = self._unrecorded[:LARGEST_TAKE]
                if batch:
                    self._write_batch(batch)
                    self._unrecorded = self._unrecorded[len(batch) :]
                    written += len(batch)
                    with self._changed:
                        self._busy -= len(batch)
                        self._changed.notify_all()
            finally:
                self._recording.release()
        return written

    def _write_batch(self, batch: Sequence[Dialed]) -> None:
        """All at once; if that cannot be, one by one, so that one odd answer holds up no other."""
        try:
            self._write_answers(batch)
        except DatabaseUnavailable:
            raise
        except Exception as error:
            if len(batch) > 1:
                for one in batch:
                    self._write_batch([one])
                return
            # Its lease runs out and it is looked up, as if this process had died with the answer.
            self.reporter.tick_failed(
                self._host_now(), f"writing the answer to attempt {batch[0].job.attempt_id}", error
            )

    def _write_answers(self, batch: Sequence[Dialed]) -> None:
        told = Applied()
        now = self.runtime.clock.now()
        here = boottime()

        given_up: list[Dialed] = []
        late: list[Dialed] = []

        def work(connection: Connection) -> None:
            nonlocal told, given_up, late
            told = Applied()
            reach("answer.before_write")
            answers = _Answers(self, connection, now, here, told)
            given_up, late = answers.write(batch), answers.late
            reach("answer.before_commit")

        self.runtime.database.transact(work)
        reach("answer.after_commit")
        judged = [
            Answered(
                one.job.provider, verdict_of(one.answer), now - timedelta(seconds=here - one.asked),
                is_own=bool(one.job.request.agent_id or one.job.request.from_number),
            )
            for one in batch
        ]
        self.breakers.judge(judged, now)
        told.tell(self.reporter, now)
        self._count(batch, now, here)
        self._hang_up_late([one for one in batch if not one.was_late and (one in late or one in given_up)], now)
        self._own_up(given_up, now)

    def _count(self, batch: Sequence[Dialed], now: datetime, here: float) -> None:
        for one in batch:
            answer, provider, is_sent = usable(one.answer), one.job.provider, one.may_have_left
            if is_sent:
                asked_at = now - timedelta(seconds=here - one.asked)
                self.reporter.placed(asked_at - one.job.due_at)
            if isinstance(answer, Unanswered):
                self.reporter.not_made(now, provider=provider, outcome="unknown")
            elif isinstance(answer, Refused):
                self.reporter.not_made(now, provider=provider, outcome="refused" if is_sent else "not_sent")

    def _hang_up_late(self, late: Sequence[Dialed], now: datetime) -> None:
        for one in late:
            if isinstance(one.answer, Accepted):
                provider = self.runtime.providers.get(one.job.provider)
                try:
                    provider.hang_up(one.answer.call_id)
                except Exception as error:  # it ends by itself; the event is written
                    self.reporter.tick_failed(now, f"hanging up the late call of attempt {one.job.attempt_id}", error)

    def _own_up(self, given_up: Sequence[Dialed], now: datetime) -> None:
        """Write down calls whose attempts had been given up: this process was frozen as their requests left."""
        if not given_up:
            return
        ends = [End(one.job.attempt_id, self._ask_late(one, now)) for one in given_up]
        applied = self.runtime.database.transact(
            lambda connection: apply_ends(connection, ends, now=now, rulebook=self.rulebook, actor=self.owner)
        )
        applied.tell(self.reporter, now)

    def _ask_late(self, one: Dialed, now: datetime) -> CallReport:
        assert isinstance(one.answer, Accepted), "only what was accepted can be owned up to"
        call_id, request = one.answer.call_id, one.job.request
        try:
            key = CallKey(request.attempt_ref, call_id, request.number, now)
            report = self.runtime.providers.get(one.job.provider).poll([key], now).get(call_id)
        except ProviderError as error:
            self.reporter.tick_failed(now, f"asking about the late call of attempt {one.job.attempt_id}", error)
            report = None
        if report is not None and report.phase is Phase.ENDED:
            return report
        return CallReport(call_id, Phase.ENDED, outcome=Outcome.FAILED, provider_status="hung up: dialed too late")

    def _host_now(self) -> datetime:
        from scheduler.clock import SystemClock  # the database's clock is what is missing here

        return SystemClock().now()


class _Take:
    """One take: rows of several campaigns, judged and written as sets, in the caller's transaction."""

    def __init__(
        self, dispatcher: Dispatcher, connection: Connection, now: datetime, started: float, places: int,
        report: Report, told: Applied,
    ) -> None:
        self.dispatcher, self.connection, self.now = dispatcher, connection, now
        self.started, self.places, self.report, self.told = started, places, report, told
        self.moves: list[Move] = []
        self.cancelled: dict[int, str] = {}
        self.closed: dict[int, str] = {}
        self.readdressed: dict[int, int | None] = {}
        self.next_rounds: list[tuple[int, int, int]] = []
        self.closed_by_hand: list[int] = []
        self.chosen: list[tuple[ScheduledCall, Lead, Yes, Policy, str]] = []
        self.accounts: dict[int, Account] = {}
        self.locked: Mapping[int, Campaign] = {}
        self.balances: dict[int, Decimal] = {}
        self.slots: dict[str, tuple[float, list[datetime]]] = {}
        self.paces: Mapping[str, calls.Pace] = {}
        self.happenings: list[Happening] = []
        self.unpaid: dict[str, list[int]] = {}
        self.refused_units: dict[int, str] = {}

    def run(self) -> list[DialJob]:
        jobs = self._choose()
        accounts.refuse_units(self.connection, self.refused_units)
        return jobs

    def _choose(self) -> list[DialJob]:
        connection = self.connection
        calls.lock_capacity(connection)
        memory = self.dispatcher.memory
        # The one statement more of a take: after its lock, for what others committed before it must be seen.
        if memory is not None and not memory.knows(connection):
            return []
        due = calls.list_due_campaigns(connection, self.now)
        rules = self.dispatcher.rulebook.read(connection, [one.campaign for one in due if one.campaign])
        if rules.policy(None).is_paused:
            return []
        self._read_accounts([one.campaign for one in due if one.campaign])
        self.paces = calls.read_paces(connection)
        self.dispatcher.breakers.note_seen(self.paces)
        shares = self._share(due, rules)
        locked = calls.lock_campaigns(connection, [key for key in shares if key is not None])
        active = {
            key: share for key, share in shares.items()
            if key is None or (key in locked and locked[key].status == "active")
        }
        rows = calls.take_due_of(connection, active, self.now)
        if not rows:
            return []
        self.report.taken = len(rows)
        self.locked = locked
        self._judge_all(rows, locked, rules)
        return self._write(rules)

    def _read_accounts(self, due: Sequence[Campaign]) -> None:
        self.accounts = accounts.read_accounts(
            self.connection, {one.account_id for one in due if one.account_id is not None}
        )
        self.balances = {one.id: one.balance for one in self.accounts.values()}

    # --- who gets how many -----------------------------------------------------------------------

    def _share(self, due: Sequence[calls.DueCampaign], rules: Rules) -> dict[int | None, int]:
        in_flight = calls.count_in_flight(self.connection)
        places = min(self.places, max(0, rules.config.get("max_concurrent_calls", 20) - in_flight.total))
        rooms: dict[Hashable, int] = {}
        claims = []
        for one in due:
            if not rules.may_dial(one.id):
                continue
            provider = self._provider_of(one.campaign)
            if provider not in rooms:
                self._open_rooms(rooms, provider, rules.policy(None), in_flight, places)
            policy = rules.policy(one.id)
            room, draws = places, [provider]
            if policy.settings.max_concurrent_calls is not None:
                room = min(room, policy.settings.max_concurrent_calls - in_flight.by_campaign.get(one.id, 0))
            if one.campaign is not None and one.campaign.account_id is not None:
                room = min(room, self._room_of_account(one.campaign, policy))
                draws.append(account := f"account {one.campaign.account_id}")
                self._open_account(rooms, account, one.campaign.account_id, in_flight)
            claims.append(Claim(
                one.id, one.priority, max(0, room),
                in_use=in_flight.by_campaign.get(one.id, 0), draws=tuple(draws),
            ))
        return share_out(places, self._in_turn(claims, places), rooms)

    def _in_turn(self, claims: list[Claim[int | None]], places: int) -> list[Claim[int | None]]:
        """With when each was served last: asked only where there is not enough for all."""
        if len(claims) < 2 or sum(claim.room for claim in claims) <= places:
            return claims
        turns = calls.read_last_turns(self.connection, [claim.key for claim in claims if claim.key is not None])
        return [replace(claim, served_at=turns.get(claim.key)) for claim in claims]

    def _open_rooms(
        self, rooms: dict[Hashable, int], provider: str, policy: Policy, in_flight: calls.InFlight, places: int
    ) -> None:
        """What a provider may still be given: its limit of calls at once, its breaker, its calls a second."""
        pace = self.paces.get(provider, calls.Pace())
        room = self._room_at(provider, pace.breaker, in_flight.placing.get(provider, 0))
        ours = in_flight.by_provider.get(provider, 0)
        for most in (policy.provider_limit(provider), self.dispatcher.vendor_limit(provider)):
            if most is not None:
                room = most - ours if room is None else min(room, most - ours)
        opened = self.dispatcher.runtime.providers.find(provider)
        own = policy.calls_per_second(provider)
        usual = opened.calls_per_second if opened is not None and own is None else own
        rates = (usual, pace.breaker.calls_per_second(self.now))
        rate = min((one for one in rates if one is not None), default=None)
        if rate is not None:
            # The first slot is when this take will be ready to send, or it would be missed on a slow database.
            ready_at = self.now + min(self.dispatcher.take_lasts, self.dispatcher._budget / 4)
            slots = list_slots(pace.next_at, ready_at, rate, ready_at + min(SLOTS_AHEAD, self.dispatcher._budget / 2))
            self.slots[provider] = (rate, slots)
            room = len(slots) if room is None else min(room, len(slots))
        rooms[provider] = places if room is None else max(0, room)

    def _open_account(
        self, rooms: dict[Hashable, int], name: str, account_id: int, in_flight: calls.InFlight
    ) -> None:
        account = self.accounts.get(account_id)
        if account is not None and account.problem is None and account.max_concurrent_calls is not None:
            rooms[name] = account.max_concurrent_calls - in_flight.by_account.get(account_id, 0)

    def _room_of_account(self, campaign: Campaign, policy: Policy) -> int:
        """How many calls its account can pay. Where that is none its rows wait where they are, and cost nothing."""
        assert campaign.account_id is not None, "asked before"
        account = self._read_unit_refused(self.accounts.get(campaign.account_id), self._provider_of(campaign))
        if account is None:
            problem = f"its account {campaign.account_id} does not exist"
            self.told.note("settings_refused", where=f"campaign {campaign.code}", problem=problem, kept=False)
            return 0
        if account.problem is not None:
            problem = f"account {account.code}: {account.problem}"
            self.told.note("settings_refused", where=f"campaign {campaign.code}", problem=problem, kept=False)
            return 0
        most = affordable(account, expected_cost(account, policy.max_call_duration))
        return self.places if most is None else most

    def _read_unit_refused(self, account: Account | None, provider: str) -> Account | None:
        """The account; where this provider charges in what it is not kept in, that is written down before any call."""
        opened = self.dispatcher.runtime.providers.find(provider)
        unit = opened.cost_unit if opened is not None else None
        if account is None or unit is None or account.refused_unit is not None or account.takes(unit):
            return account
        self.refused_units[account.id] = unit
        self.accounts[account.id] = replace(account, refused_unit=unit)
        return self.accounts[account.id]

    def _room_at(self, provider: str, breaker: Breaker, placing: int) -> int | None:
        if self.dispatcher.runtime.providers.find(provider) is None:
            self.told.note("settings_refused", where=f"provider {provider}",
                           problem=self.dispatcher.runtime.providers.problem(provider), kept=False)
            return 0
        if self.dispatcher.memory is not None and not self.dispatcher.memory.may_dial(provider):
            return 0  # it is being asked for calls that the database does not know
        return breaker.room(self.now, placing)

    def _provider_of(self, campaign: Campaign | None) -> str:
        return (campaign.provider if campaign else None) or self.dispatcher.runtime.default_provider

    def _judge_all(self, rows: Sequence[ScheduledCall], locked: dict[int, Campaign], rules: Rules) -> None:
        found = leads.read_leads(self.connection, {row.lead_id for row in rows})
        people = learn_unknown(self.connection, found, self.dispatcher.home, self.now)
        numbers = {phone.number for lead in people.values() for phone in phones_of(lead)}
        barred = do_not_call.read_barred(self.connection, numbers, self.now, self.dispatcher.home)
        payers = {one.account_id for one in locked.values() if one.account_id is not None}
        of_accounts = leads.read_barred_by_accounts(self.connection, payers, numbers)
        of_all = barred
        engaged = calls.read_engaged(self.connection, numbers, set(people), [row.id for row in rows], self.now)
        elsewhere = {lead.campaign_id for lead in people.values() if lead.campaign_id is not None} - set(locked)
        known = {None, *locked, *campaigns.read_campaigns(self.connection, elsewhere)}
        history = History.read(self.connection, self.now, people.values(), rules.policies)
        for row in rows:
            lead = people.get(row.lead_id)
            if lead is not None and lead.campaign_id != row.campaign_id and lead.campaign_id in known:
                # Written by hand without a campaign, or the lead was moved: it waits in the right queue.
                self.readdressed[row.id] = lead.campaign_id
                continue
            campaign = locked.get(lead.campaign_id) if lead is not None and lead.campaign_id is not None else None
            policy = rules.policy(row.campaign_id)
            own = of_accounts.get(campaign.account_id or 0) if campaign is not None else None
            barred = of_all
            if own:  # what is certain goes before what is only feared
                barred = {**of_all, **{one: why for one, why in own.items() if isinstance(of_all.get(one, ""), Doubt)}}
                barred = {**own, **barred}
            case = Case(
                now=self.now, call=row, lead=lead, campaign=campaign, policy=policy, barred=barred,
                engaged=engaged.numbers, is_engaged=row.lead_id in engaged.leads or row.id in engaged.rows,
                dial_budget=self.dispatcher._budget,
                history=history.of(lead, policy) if lead is not None else (),
                funds=funds_of(self._account_of(campaign), policy, self.balances),
            )
            try:
                verdict = judge(case)
                if isinstance(verdict, Later) and case.funds is not None and verdict.reason == case.funds.problem:
                    self.unpaid.setdefault(verdict.reason, []).append(row.id)  # it keeps its place, for a top-up
                    continue
                self._sort(row, lead, verdict, policy, self._provider_of(campaign), barred)
            except Exception as error:  # one bad row must not stop the others, nor come straight back
                self.told.note("row_failed", schedule_id=row.id, error=error)
                self.moves.append(Move(row.id, self.now + RECHECK_HELD, f"held: {type(error).__name__}: {error}",
                                       row.wanted_at or row.scheduled_at, Hold.ERROR))
                self.report.held += 1
                continue
            if lead is not None and self.chosen and self.chosen[-1][0] is row:
                number = self.chosen[-1][2].phone.number
                engaged.numbers.add(number)
                if policy.is_capped:
                    history.add(lead, number, policy, self.now)
                if campaign is not None and campaign.account_id in self.balances and case.funds is not None:
                    self.balances[campaign.account_id] -= case.funds.expected

    def _sort(
        self, row: ScheduledCall, lead: Lead | None, verdict: Verdict, policy: Policy, provider: str,
        barred: Mapping[str, str],
    ) -> None:
        if isinstance(verdict, RoundOver) and lead is not None:
            verdict = self._end_round(row, lead, policy, barred, verdict)
        match verdict:
            case Yes() if lead is not None:
                self.chosen.append((row, lead, verdict, policy, provider))
                self.report.dialed += 1
            case Later(at, reason):
                self.moves.append(Move(row.id, at, reason, row.wanted_at or row.scheduled_at))
                self.report.moved += 1
                if at - self.now > RECHECK_LINE:  # a look again in a minute is no step of the lead
                    self._keep("moved", row, lead, policy, reason, until=at.isoformat())
                self.told.note("moved", who=spoken(lead), reason=reason, until=at, cause=cause_of(reason))
            case Held(hold, at, reason):
                self.moves.append(Move(row.id, at, f"held: {reason}", row.wanted_at or row.scheduled_at, hold))
                self.report.held += 1
                if row.hold != hold:
                    self.told.note("held", who=spoken(lead), reason=reason)
                    self._keep("held", row, lead, policy, reason)
            case Dropped(reason):
                if lead is not None and lead.status is LeadStatus.CLOSED and lead.closed_at is None:
                    self.closed_by_hand.append(lead.id)
                self.cancelled[row.id] = reason
                self.report.dropped += 1
                self.told.note("dropped", lead_id=row.lead_id, reason=reason)
                self._keep("dropped", row, lead, policy, reason)
            case Closed(word, reason):
                self.closed[row.lead_id] = word
                self.cancelled[row.id] = reason
                self.report.closed += 1
                self.told.note("closed", who=spoken(lead), reason=reason)
                self._keep("closed", row, lead, policy, reason, closed_reason=word)

    def _keep(
        self, kind: str, row: ScheduledCall, lead: Lead | None, policy: Policy, reason: str, **details: str
    ) -> None:
        """A step of this lead, with the rules that decided it: later edits do not rewrite history."""
        self.happenings.append(Happening(
            kind=kind, actor=self.dispatcher.owner, lead_id=row.lead_id, schedule_id=row.id,
            campaign_id=lead.campaign_id if lead else row.campaign_id, reason=reason, details=details,
            rule_version=policy.version,
        ))

    def _end_round(
        self, row: ScheduledCall, lead: Lead, policy: Policy, barred: Mapping[str, str], over: RoundOver
    ) -> Verdict:
        """The numbers that were left for this round are out: the next round after its delay, or the end."""
        last = max((phone.position for phone in phones_of(lead)), default=1)
        outcome = last_outcome(lead) or Outcome.NO_ANSWER
        step = next_step(Ended(outcome, row.attempt_number, last), lead, policy, self.now, barred)
        if isinstance(step, Finish):
            return Closed(step.closed_reason, f"{over.reason}; {step.reason}")
        self.next_rounds.append((row.id, step.attempt_number, step.phone_position))
        if step.hold is not None:
            return Held(step.hold, self.now + RECHECK_HELD, step.reason)
        return Later(step.at, f"{over.reason}; {step.reason}")

    def _write(self, rules: Rules) -> list[DialJob]:
        connection, now, dispatcher = self.connection, self.now, self.dispatcher
        calls.move_pending(connection, self.moves, now)
        calls.set_rounds(connection, self.next_rounds)
        leads.set_closed_at(connection, self.closed_by_hand, now)
        calls.cancel_rows(connection, self.cancelled, now)
        leads.close_leads(connection, self.closed, now)
        calls.set_campaign(connection, self.readdressed, now)
        for reason, waiting in self.unpaid.items():
            calls.set_reason(connection, waiting, reason, now)
            self.told.note("unpaid", calls=len(waiting))
        deciding = {lead.campaign_id for _, lead, *_ in self.chosen} | {one.campaign_id for one in self.happenings}
        dispatcher.rulebook.record(connection, rules, deciding, now)
        if not self.chosen:
            journal.add_events(connection, self.happenings, now)
            return []
        token = str(uuid.uuid4())
        dial_before = now + dispatcher._budget
        refs = new_refs(len(self.chosen), now, dispatcher.memory.mark if dispatcher.memory else "")
        intents = [
            Intent(
                attempt_ref=ref, schedule_id=row.id, lead_id=lead.id, campaign_id=lead.campaign_id,
                attempt_number=row.attempt_number, phone=verdict.phone.number, provider=provider,
                claimed_at=now, dial_before=dial_before,
                open_from=verdict.span.open_from, open_until=verdict.span.open_until,
                account_id=account.id if account else None,
                reserved=expected_cost(account, policy.max_call_duration) if account and account.is_paying else None,
                debt=variable_of(lead, "debt", "deuda"), subject=variable_of(lead, "subject", "asunto"),
                claimed_by=dispatcher.owner, rule_version=policy.version,
            )
            for ref, (row, lead, verdict, policy, provider) in zip(refs, self.chosen, strict=True)
            for account in [self._account_of(self.locked.get(lead.campaign_id or 0))]
        ]
        reach("take.before_write")
        configured = timedelta(seconds=rules.config.get("lease_seconds", 60))
        lease = dispatcher.runtime.settings.safe_lease(configured)
        for problem in dispatcher.runtime.settings.problems(configured):
            self.told.note("settings_refused", where="lease_seconds", problem=problem, kept=True)
        leased = calls.mark_in_progress(
            connection, [row.id for row, *_ in self.chosen], owner=dispatcher.owner, token=token,
            expires_at=now + lease, now=now,
        )
        must_be(leased, len(self.chosen), "rows locked while pending")
        by_position = {}
        for row, _, verdict, _, _ in self.chosen:
            if row.phone_position != verdict.phone.position:
                by_position[row.id] = verdict.phone.position
        calls.set_phone_positions(connection, by_position)
        ids = calls.insert_intents(connection, intents)
        leads.set_call_status(connection, [lead.id for _, lead, *_ in self.chosen], CallStatus.SELECTED, now)
        campaigns.start_campaigns(connection, {row.campaign_id for row, *_ in self.chosen if row.campaign_id}, now)
        slots = self._give_slots()
        jobs = []
        for intent, (row, lead, _, policy, provider) in zip(intents, self.chosen, strict=True):
            slot = next(slots[provider]) if provider in slots else None
            jobs.append(DialJob(
                attempt_id=ids[intent.schedule_id], schedule_id=row.id, lead_id=lead.id,
                attempt_number=row.attempt_number, token=token, provider=provider,
                send_before=self.started + dispatcher._budget.total_seconds(),
                send_after=self.started + ((slot - now).total_seconds() if slot else 0), has_slot=slot is not None,
                dial_before=dial_before, due_at=row.scheduled_at, who=spoken(lead),
                request=DialRequest(
                    attempt_ref=intent.attempt_ref, number=intent.phone, ring_timeout=policy.ring_timeout,
                    max_duration=policy.max_call_duration,
                    variables={"first_name": lead.first_name or "", "last_name": lead.last_name or "",
                               **(lead.variables or {})},
                    agent_id=policy.settings.agent_id, from_number=policy.settings.from_number,
                    lead_id=lead.id, campaign_id=lead.campaign_id,
                ),
            ))
            self.told.note("dialing", who=spoken(lead), number=intent.phone, attempt=row.attempt_number)
        journal.add_events(connection, self.happenings, now)
        # The last locks of the transaction, so that it never waits for anything while it holds them.
        accounts.reserve(connection, [
            accounts.Reservation(one.account_id, ids[one.schedule_id], one.reserved)
            for one in intents if one.account_id is not None and one.reserved is not None
        ], dispatcher.owner, now)
        return jobs

    def _account_of(self, campaign: Campaign | None) -> Account | None:
        return self.accounts.get(campaign.account_id or 0) if campaign else None

    def _give_slots(self) -> dict[str, Iterator[datetime]]:
        """A slot for each chosen call of a provider that takes only so many a second; the next take goes on there."""
        used = Counter(provider for *_, provider in self.chosen)
        for provider, (rate, slots) in self.slots.items():
            if used[provider]:
                calls.write_pace(self.connection, provider, slots[used[provider] - 1] + slot_step(rate))
        return {provider: iter(slots) for provider, (_, slots) in self.slots.items()}


def find_obstacle(
    runtime: Runtime, campaign: Campaign | None, rules: Rules, account: Account | None
) -> str | None:
    """What keeps a whole campaign (None: leads without one) from being dialed, beside its status and its money."""
    key = campaign.id if campaign else None
    policy, provider = rules.policy(key), (campaign.provider if campaign else None) or runtime.default_provider
    if not rules.may_dial(key):
        return "its settings cannot be used and no last good ones are known; `ringback check` says what is wrong"
    if runtime.providers.find(provider) is None:
        return f"provider {provider}: {runtime.providers.problem(provider)}"
    if campaign is not None and campaign.account_id is not None and account is None:
        return f"its account {campaign.account_id} does not exist"
    limits = {
        "call_settings.max_concurrent_calls": policy.settings.max_concurrent_calls,
        "scheduler_config.max_concurrent_calls": rules.config.get("max_concurrent_calls", 20),
        f"scheduler_config.{provider}_max_concurrent_calls": policy.provider_limit(provider),
        "accounts.max_concurrent_calls": account.max_concurrent_calls if account else None,
    }
    none = [name for name, most in limits.items() if most == 0]
    return f"no calls at once are allowed: {none[0]} is 0" if none else None


def find_rest(
    runtime: Runtime, campaign: Campaign | None, paces: Mapping[str, calls.Pace], now: datetime
) -> str | None:
    """Why the provider of a campaign is left alone now, if it is. It comes back by itself."""
    provider = (campaign.provider if campaign else None) or runtime.default_provider
    pace = paces.get(provider)
    if pace is None or not pace.breaker.is_open(now):
        return None
    return f"provider {provider} is left alone for now, and asked again by itself: {pace.reason or 'too many faults'}"


def find_hindrance(
    runtime: Runtime, campaign: Campaign | None, rules: Rules, account: Account | None
) -> str | None:
    """Why no call of a campaign is placed although some are due and it is active: an obstacle, or no money."""
    obstacle = find_obstacle(runtime, campaign, rules, account)
    if obstacle is not None:
        return obstacle
    funds = funds_of(account, rules.policy(campaign.id if campaign else None))
    return funds.problem if funds is not None else None


def funds_of(account: Account | None, policy: Policy, balances: Mapping[int, Decimal] | None = None) -> Funds | None:
    """What an account has left for a call by these rules; None where nobody pays by the call."""
    if account is None:
        return None
    is_open = account.status == "active"
    if account.problem is not None:
        return Funds(account.code, account.billing, Decimal(0), Decimal(0), is_open=is_open, fault=account.problem)
    if not account.is_paying:
        return None if is_open else Funds(account.code, account.billing, Decimal(0), Decimal(0), is_open=False)
    left = account.balance if balances is None else balances[account.id]
    return Funds(account.code, account.billing, left, expected_cost(account, policy.max_call_duration), is_open)


def verdict_of(answer: DialAnswer) -> DialAnswer:
    """What an answer says of the provider: a call that was accepted and at once not made is a refusal."""
    if isinstance(answer, Accepted) and answer.report is not None and answer.report.refusal is not None:
        return answer.report.refusal
    return answer


def usable(answer: DialAnswer) -> DialAnswer:
    """An acceptance whose id cannot be kept is none: the call must be looked up by its ref."""
    if isinstance(answer, Accepted) and not 0 < len(answer.call_id) <= CALL_ID_LENGTH:
        return Unanswered(f"it was accepted with an id of {len(answer.call_id)} characters, which cannot be kept")
    return answer


class _Answers:
    """The answers to a batch of dials, written as sets in the caller's transaction."""

    def __init__(
        self, dispatcher: Dispatcher, connection: Connection, now: datetime, here: float, told: Applied
    ) -> None:
        self.dispatcher, self.connection, self.now, self.here, self.told = dispatcher, connection, now, here, told
        self.late: list[Dialed] = []

    def write(self, batch: Sequence[Dialed]) -> list[Dialed]:
        """Write them all. Returns those that were accepted although their attempts had been given up."""
        live, ends, unknown, refused = [], [], [], []
        for one in batch:
            match usable(one.answer):
                case Accepted(call_id, report) if report is not None and report.phase is Phase.ENDED:
                    full = report if report.call_id == call_id else replace(report, call_id=call_id)
                    ends.append(End(one.job.attempt_id, full, self._placed_at(one)))
                case Accepted():
                    live.append(one)
                case Unanswered():
                    unknown.append(one)
                case Refused():
                    refused.append(one)
        given_up = self._write_live(live)
        lost = self._write_unknown(unknown)
        returned = self._write_refused(refused)
        # What may have left late is said whatever was answered, and whoever has settled the attempt meanwhile.
        self.late = [one for one in batch if one.may_have_left and self._is_late(one)]
        self._write_late(self.late)
        self._search_for(lost)
        if ends:
            applied = apply_ends(self.connection, ends, now=self.now, rulebook=self.dispatcher.rulebook)
            self.told.notes += applied.notes
        # Accounts are locked last, here as in the take.
        release_reserves(self.connection, [one.job.attempt_id for one in returned], self.dispatcher.owner, self.now)
        return given_up

    def _placed_at(self, one: Dialed) -> datetime:
        """When the request left, by the database's clock: now, less the time elapsed since, here."""
        placed_at = self.now - timedelta(seconds=self.here - one.asked)
        # Stopped between the looks at the two clocks, this process would take it for in time.
        return max(placed_at, one.job.dial_before + timedelta(milliseconds=1)) if one.was_late else placed_at

    def _is_late(self, one: Dialed) -> bool:
        return one.was_late or self._placed_at(one) > one.job.dial_before

    def _write_live(self, live: Sequence[Dialed]) -> list[Dialed]:
        """Returns those whose attempts had been given up: looked up, not found, and dialed all the same."""
        given_up: list[Dialed] = []
        if not live:
            return given_up
        changed = calls.mark_live(self.connection, [
            {
                "id": one.job.attempt_id,
                "provider_call_id": one.answer.call_id,  # type: ignore[union-attr]
                "placed_at": self._placed_at(one),
                "next_poll_at": self.now + FIRST_LOOK,
            }
            for one in live
        ])
        if changed < len(live):
            # A webhook or a look-up was first: it has the same facts, or later ones.
            self.told.note("daemon", text=f"{len(live) - changed} answers came after the report of the same call")
            known = calls.lock_attempts(self.connection, [one.job.attempt_id for one in live])
            given_up = [
                one for one in live
                if (found := known.get(one.job.attempt_id)) is not None and found.provider_call_id is None
            ]
            live = [
                one for one in live
                if (found := known.get(one.job.attempt_id)) is not None and found.state is AttemptState.LIVE
            ]
        leads.set_call_status(self.connection, [one.job.lead_id for one in live], CallStatus.CALLING, self.now)
        return given_up

    def _write_unknown(self, unknown: Sequence[Dialed]) -> list[Dialed]:
        """Returns those whose attempts others have settled, or are settling, meanwhile."""
        answered, unknown = unknown, self._still_ours(unknown)
        lost = [one for one in answered if one not in unknown]
        if not unknown:
            return lost
        look = timedelta(seconds=min(self.dispatcher.runtime.settings.poll_every, 5))
        calls.mark_unknown(self.connection, [
            {
                "id": one.job.attempt_id, "placed_at": self._placed_at(one), "next_poll_at": self.now + look,
                "error": calls.cut(one.answer.reason),  # type: ignore[union-attr]
            }
            for one in unknown
        ])
        calls.release_leases(self.connection, [one.job.schedule_id for one in unknown])
        for one in unknown:
            self.told.note("unknown", who=one.job.who, reason=one.answer.reason)  # type: ignore[union-attr]
        return lost

    def _search_for(self, lost: Sequence[Dialed]) -> None:
        """Requests that may have left, while others believed that none would: their calls are looked for, anew where
        that had been given up, and found ones that left too late are hung up by whoever finds them.
        """
        ids = [one.job.attempt_id for one in lost]
        calls.note_placed(self.connection, {one.job.attempt_id: self._placed_at(one) for one in lost})
        calls.search_again(self.connection, ids, self.now)
        calls.poll_soon(self.connection, ids, self.now)

    def _write_refused(self, refused: Sequence[Dialed]) -> Sequence[Dialed]:
        """Proven not to have been calls: the rows wait again, unless the number itself is at fault.

        Returns those that were still ours to refuse.
        """
        ours = self._still_ours(refused)
        refused = ours + self._never_sent([one for one in refused if one not in ours])
        if not refused:
            return refused
        answers: dict[int, Refused] = {
            one.job.attempt_id: one.answer for one in refused if isinstance(one.answer, Refused)
        }
        counts = calls.count_refusals(self.connection, [one.job.schedule_id for one in refused])
        calls.mark_refused(self.connection, {one: answer.reason for one, answer in answers.items()})
        moves: list[Move] = []
        for one in refused:
            answer = answers[one.job.attempt_id]
            if answer.kind in (RefusalKind.INVALID_NUMBER, RefusalKind.DO_NOT_CALL):
                moves += self._at_fault(one, answer)
                continue
            moves.append(self._give_back(one, answer, counts.get(one.job.schedule_id, 0)))
        if calls.give_back(self.connection, moves, self.now) < len(moves):
            # Cancelled by hand meanwhile: such a row waits for nothing, and keeps no lease.
            calls.clear_leases(self.connection, [one.id for one in moves], self.now)
        return refused

    def _still_ours(self, answered: Sequence[Dialed]) -> list[Dialed]:
        """Those whose row we hold by its token. A process that was frozen past its lease finds its attempt
        settled and its row in other hands, and then writes nothing.
        """
        ours = calls.lock_placing(
            self.connection, [(one.job.attempt_id, one.job.schedule_id, one.job.token) for one in answered]
        )
        return [one for one in answered if one.job.attempt_id in ours]

    def _never_sent(self, refused: Sequence[Dialed]) -> list[Dialed]:
        """Those whose leases ran out and of which nobody else could say yet that nothing was sent: we can."""
        silent = [one for one in refused if not one.may_have_left]
        found = calls.lock_attempts(self.connection, [one.job.attempt_id for one in silent])
        return [
            one for one in silent
            if (attempt := found.get(one.job.attempt_id)) is not None
            and attempt.state is AttemptState.UNKNOWN and attempt.provider_call_id is None
        ]

    def _give_back(self, one: Dialed, answer: Refused, refusals: int) -> Move:
        wait = wait_after(answer)
        if answer.ours:
            # Once at once, but a row that is turned away each time must not spin.
            wait = timedelta(seconds=5) if refusals else timedelta(0)
        back = after_refusal(
            answer.reason, wait, self.now, refusals=refusals, jitter=random.random(),
            # A slot that was missed says nothing about the row: it must not be held for that.
            counts=answer.kind is RefusalKind.REFUSED or (answer.ours and not one.job.has_slot),
            grows=answer.kind in OF_THE_PROVIDER,
        )
        self.told.note("refused", who=one.job.who, reason=answer.reason)
        return Move(one.job.schedule_id, back.at, back.reason, hold=back.hold)

    def _at_fault(self, one: Dialed, answer: Refused) -> list[Move]:
        """The provider will not dial this number at all: the next number of the lead, or what follows the last."""
        connection, number = self.connection, one.job.request.number
        lead = leads.find_lead(connection, one.job.lead_id, lock=True)
        if lead is None:
            calls.cancel_rows(connection, {one.job.schedule_id: "its lead does not exist any more"}, self.now)
            return []
        outcome = Outcome(answer.kind.value)
        position = next((phone.position for phone in phones_of(lead) if phone.number == number), 1)
        if outcome is Outcome.DO_NOT_CALL:
            leads.bar_number(connection, number, reason=answer.reason, source=one.job.provider, now=self.now)
        else:
            leads.mark_invalid(connection, lead, position, number)
            lead = without_phone(lead, position, number)
            following = (phone for phone in phones_of(lead) if phone.position > position and phone.status == "active")
            if (phone := next(following, None)) is not None:
                return [Move(one.job.schedule_id, self.now, f"next phone, the last one was refused: {answer.reason}",
                             phone_position=phone.position)]
        policy = self.dispatcher.rulebook.read_for(connection, {lead.campaign_id}).policy(lead.campaign_id)
        barred = read_barred_of(connection, lead, self.now)
        step = next_step(Ended(outcome, one.job.attempt_number, position), lead, policy, self.now, barred)
        was_ours = calls.cancel_rows(connection, {one.job.schedule_id: f"{outcome}: {answer.reason}"}, self.now)
        if not was_ours:  # cancelled by hand meanwhile
            calls.clear_leases(connection, [one.job.schedule_id], self.now)
        if was_ours or isinstance(step, Finish):
            follows = carry_out(connection, lead, step, self.now, policy)
            self.told.note("refused", who=one.job.who, reason=f"{outcome}: {answer.reason}; {follows}")
        return []

    def _write_late(self, late: Sequence[Dialed]) -> None:
        if not late:
            return
        calls.note_placed(self.connection, {one.job.attempt_id: self._placed_at(one) for one in late})
        closing = calls.read_closings(self.connection, [one.job.attempt_id for one in late])
        happenings = []
        for one in late:
            attempt_id, placed_at = one.job.attempt_id, self._placed_at(one)
            by, closes_at = placed_at - one.job.dial_before, closing.get(attempt_id)
            is_outside = closes_at is not None and placed_at >= closes_at
            happenings.append(Happening(
                kind="late_dial", actor=self.dispatcher.owner, lead_id=one.job.lead_id,
                campaign_id=one.job.request.campaign_id, schedule_id=one.job.schedule_id, attempt_id=attempt_id,
                reason=f"dialed up to {by.total_seconds():.1f} s after {one.job.dial_before:%Y-%m-%d %H:%M:%S} UTC"
                + (f", outside hours: these ended at {closes_at:%Y-%m-%d %H:%M:%S} UTC" if is_outside else ""),
                details={"late_seconds": round(by.total_seconds(), 3), "outside_hours": is_outside},
            ))
            self.told.note("late_dial", attempt_id=attempt_id, by=by.total_seconds(), is_outside_hours=is_outside)
        journal.add_events(self.connection, happenings, self.now)
