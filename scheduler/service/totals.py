"""What was counted, kept for a little while, so that a poll every few seconds costs a look into memory.

Decided here: how long an answer is kept, and who counts. One that took long is kept for longer (twenty times that),
but whoever asks never gets one older than half a minute, and is told when it was counted. Where a thread counts in
the background (`start`), an answer that is due for a new count is given at once while that is made. What must stay
true: a question is counted once for all who ask it meanwhile; a figure says what the tables said at its instant,
whoever changed them; whoever changes something through this process sees it at once where counting is cheap.
A newcomer would count for each request, or add up changes beside the tables, which drift from them.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar, cast

from scheduler.clock import Clock, boottime
from scheduler.errors import DatabaseUnavailable
from scheduler.events import Reporter
from scheduler.rules.billing import affordable, expected_cost
from scheduler.service.rulebook import RuleBook
from scheduler.store import totals as store
from scheduler.store.database import Connection, Database
from scheduler.store.totals import HourFigures, Totals

T = TypeVar("T")
MOST_KEPT = 4_000
WANTED_FOR = 900.0
"""So many seconds after somebody asked, what takes long to count is still counted anew in the background."""
LOOKS_EVERY = 1.0
AWAY = 5.0
EVERYTHING = ("everything",)


@dataclass(frozen=True, slots=True)
class Keeping:
    """In seconds. `least` 0: nothing is kept, and each question is counted when it is asked."""

    least: float = 1.0
    share: float = 20.0
    """A count that takes a second is made again after so many, at the earliest."""
    oldest: float = 30.0
    cheap: float = 0.1
    """What takes no longer is counted again as soon as somebody has changed something through this process."""

    def lasts(self, took: float) -> float:
        """For how long an answer is kept. A new one must be there before this one is too old."""
        return max(self.least, min(self.share * took, self.oldest - 2 * took - 2 * LOOKS_EVERY))


NOT_KEPT = Keeping(least=0.0)


@dataclass(frozen=True, slots=True)
class Counted(Generic[T]):
    """An answer, and the instant (by the database's clock) that it is of."""

    value: T
    at: datetime


@dataclass(frozen=True, slots=True)
class Overview:
    """Of one account, or of everything there is.

    `jobs_today`: leads that were created today. `active_totals`: of campaigns that are active alone.
    """

    jobs_today: int
    active_batches: int
    totals: Totals
    active_totals: Totals


@dataclass(frozen=True, slots=True)
class _Everything:
    """Of each campaign (0: leads without one), and added up: of each account (None: of all), then what is active."""

    campaigns: Mapping[int, Totals]
    sums: Mapping[int | None, tuple[Totals, Totals]]


@dataclass(slots=True)
class _Entry:
    counted: Counted[Any]
    begun: float
    took: float
    asked: float


@dataclass(slots=True)
class _Flight:
    """A count under way, that everybody who asks meanwhile waits for."""

    begun: float
    result: Future[_Entry] = field(default_factory=Future)


class Counts:
    """For one process. Safe for threads. Never asked inside a transaction: it takes a connection of its own."""

    def __init__(
        self, database: Database, clock: Clock, *, keeping: Keeping | None = None,
        elapsed: Callable[[], float] = boottime,
    ) -> None:
        self._database, self._clock, self._elapsed = database, clock, elapsed
        self._keeping = keeping or Keeping()
        self._rulebook = RuleBook()
        self._lock = threading.Lock()
        self._known: OrderedDict[Hashable, _Entry] = OrderedDict()
        self._questions: dict[Hashable, Callable[[datetime], Any]] = {}
        self._flights: dict[Hashable, _Flight] = {}
        self._hurried: set[Hashable] = set()
        self._changed = float("-inf")
        self._wake, self._is_over = threading.Event(), False
        self._thread: threading.Thread | None = None
        self._helper: ThreadPoolExecutor | None = None

    # --- questions ------------------------------------------------------------------------------

    def of_campaign(self, campaign_id: int, since: datetime | None = None) -> Counted[Totals]:
        """Of one campaign; zeros for one that nothing belongs to. Raises DatabaseUnavailable.

        Counted anew where it was counted before `since`: whoever is told that a campaign is over does not ask again.
        """
        found = self._of_campaign(campaign_id)
        # What lies further ahead than any answer is old was typed by a person, and is no news.
        if since is not None and found.at < since <= found.at + timedelta(seconds=self._keeping.oldest):
            key, ids = ("campaign", campaign_id), {campaign_id}
            entry = self._count(key, lambda now: self._count_campaigns(ids, now)[campaign_id], self._elapsed())
            return cast(Counted[Totals], entry.counted)
        return found

    def _of_campaign(self, campaign_id: int) -> Counted[Totals]:
        key = ("campaign", campaign_id)
        with self._lock:
            is_known = key in self._known
            everything = self._known.get(EVERYTHING)
            if (
                not is_known and everything is not None and self._thread is not None
                and everything.begun >= self._changed and self._age(everything) <= self._keeping.oldest
            ):
                # Soon counted for itself, which is the more often the smaller it is.
                self._questions[key] = lambda now: self._count_campaigns({campaign_id}, now)[campaign_id]
                self._hurry(key)
                everything.asked = self._elapsed()
                known = cast(Counted[_Everything], everything.counted)
                return Counted(known.value.campaigns.get(campaign_id, Totals()), known.at)
        return self._ask(key, lambda now: self._count_campaigns({campaign_id}, now)[campaign_id])

    def of_campaigns(self, campaign_ids: Collection[int]) -> Counted[dict[int, Totals]]:
        """Of each of these campaigns. Raises DatabaseUnavailable."""
        if not self._keeping.least:
            return self._ask(None, lambda now: self._count_campaigns(set(campaign_ids), now))
        known = self._ask(EVERYTHING, self._count_everything)
        found = {one: known.value.campaigns.get(one, Totals()) for one in campaign_ids}
        with self._lock:
            for one in campaign_ids:
                # Counted for itself since then: what was shown of it must not go back.
                entry = self._known.get(("campaign", one))
                if entry is not None and entry.counted.at > known.at:
                    found[one] = entry.counted.value
        return Counted(found, known.at)

    def of_everything(self) -> Counted[Totals]:
        """Of all leads and calls there are. Raises DatabaseUnavailable."""
        known = self._ask(EVERYTHING, self._count_everything)
        return Counted(known.value.sums[None][0], known.at)

    def overview(self, account_id: int | None, today_since: datetime) -> Counted[Overview]:
        """Of the campaigns of an account, or (None) of everything, leads without a campaign too.

        `today_since` is when today began. How many campaigns are active is read now. Raises DatabaseUnavailable.
        """
        known = self._ask(EVERYTHING, self._count_everything)
        created = self._ask(("created", today_since), lambda now: self._count_created(today_since))
        everything, active = known.value.sums.get(account_id, (Totals(), Totals()))
        batches = self._database.read(lambda connection: store.count_active(connection, account_id))
        found = Overview(created.value.get(account_id, 0), batches, everything, active)
        return Counted(found, min(known.at, created.at))

    def hours(
        self, since: datetime, campaign_id: int | None = None, account_id: int | None = None
    ) -> Counted[list[HourFigures]]:
        """Hour by hour from the one that `since` is in, oldest first; hours in which nothing was counted are left out.

        Raises DatabaseUnavailable.
        """
        first = since.replace(minute=0, second=0, microsecond=0)
        return self._ask(
            ("hours", first, campaign_id, account_id),
            lambda now: self._database.read(
                lambda connection: store.read_hours(connection, first, campaign_id, account_id)
            ),
        )

    # --- in the background ----------------------------------------------------------------------

    def note_change(self) -> None:
        """Somebody changed something through this process, and may look at it now."""
        self._changed = self._elapsed()

    def start(self, reporter: Reporter) -> None:
        """Count in the background until `close`, everything first."""
        if not self._keeping.least or self._thread is not None:
            return
        self._is_over = False
        self._helper = ThreadPoolExecutor(1, thread_name_prefix="counts")
        with self._lock:
            self._questions[EVERYTHING] = self._count_everything
            self._hurry(EVERYTHING)
        self._thread = threading.Thread(target=self._run, args=(reporter,), name="counts", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Returns when the count that is under way is over, or after some seconds."""
        self._is_over = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(10)
            self._thread = None
        if self._helper is not None:
            self._helper.shutdown(wait=False, cancel_futures=True)
            self._helper = None

    def refresh(self) -> int:
        """Count anew what is due for it. Returns how many answers. Raises DatabaseUnavailable."""
        done = 0
        while not self._is_over:
            with self._lock:
                key = self._find_due()
                question = self._questions.get(key) if key is not None else None
                self._hurried.discard(key)
            if question is None:
                break
            self._count(key, question, float("-inf"))
            done += 1
        return done

    def _run(self, reporter: Reporter) -> None:
        while not self._is_over:
            pause = LOOKS_EVERY
            try:
                self.refresh()
            except DatabaseUnavailable:  # every request says so already
                pause = AWAY
            except Exception as error:  # the thread must live: tried again
                reporter.tick_failed(self._clock.now(), "counting", error)
                pause = AWAY
            self._wake.wait(pause)
            self._wake.clear()

    def _find_due(self) -> Hashable | None:
        """What somebody waits for, else the oldest answer that was asked for lately and takes long to count."""
        if self._hurried:
            return next(iter(self._hurried))
        now, keeping = self._elapsed(), self._keeping
        due = [
            (entry.begun, key) for key, entry in self._known.items()
            if entry.took > keeping.cheap and now - entry.asked < WANTED_FOR
            and self._age(entry) >= keeping.lasts(entry.took)
        ]
        return min(due, key=lambda one: one[0])[1] if due else None

    def _hurry(self, key: Hashable) -> None:
        self._hurried.add(key)
        self._wake.set()

    # --- steps ----------------------------------------------------------------------------------

    def _ask(self, key: Hashable, question: Callable[[datetime], T]) -> Counted[T]:
        keeping = self._keeping
        if not keeping.least:
            now = self._clock.now()
            return Counted(question(now), now)
        wanted_since = float("-inf")
        with self._lock:
            self._questions[key] = question
            entry = self._known.get(key)
            if entry is not None:
                entry.asked = self._elapsed()
                self._known.move_to_end(key)
                age = self._age(entry)
                if entry.begun < self._changed and entry.took <= keeping.cheap:
                    wanted_since = self._changed
                elif age < keeping.lasts(entry.took):
                    return cast(Counted[T], entry.counted)
                elif age <= keeping.oldest and self._thread is not None:
                    self._hurry(key)
                    return cast(Counted[T], entry.counted)
        return cast(Counted[T], self._count(key, question, wanted_since).counted)

    def _count(self, key: Hashable, question: Callable[[datetime], Any], wanted_since: float) -> _Entry:
        """Count, or wait for whoever counts it already; again where that one began before `wanted_since`."""
        while True:
            with self._lock:
                flight = self._flights.get(key)
                is_ours = flight is None
                if flight is None:
                    flight = self._flights[key] = _Flight(self._elapsed())
            if not is_ours:
                entry = flight.result.result()
                if entry.begun >= wanted_since:
                    return entry
                continue
            try:
                now = self._clock.now()
                counted = Counted(question(now), now)
                ended = self._elapsed()
                entry = _Entry(counted, flight.begun, ended - flight.begun, ended)
            except BaseException as error:
                with self._lock:
                    del self._flights[key]
                flight.result.set_exception(error)
                raise
            with self._lock:
                self._keep(key, entry)
                del self._flights[key]
            flight.result.set_result(entry)
            return entry

    def _keep(self, key: Hashable, entry: _Entry) -> None:
        before = self._known.get(key)
        if before is not None:
            entry.asked = before.asked
        self._known[key] = entry
        while len(self._known) > MOST_KEPT:
            self._questions.pop(self._known.popitem(last=False)[0], None)

    def _age(self, entry: _Entry) -> float:
        return self._elapsed() - entry.begun

    def _count_everything(self, now: datetime) -> _Everything:
        """In two transactions, side by side where there is a second thread."""
        database = self._database
        if self._helper is not None:
            calls = self._helper.submit(database.read, store.count_calls)
        else:
            calls = Future()
            calls.set_result(database.read(store.count_calls))
        leads, unpaid, owners = database.read(lambda connection: (
            store.count_leads(connection), self._count_unpaid(connection, None, now), store.list_owners(connection)
        ))
        found = _merge(leads, calls.result(), unpaid)
        parts: dict[int | None, tuple[list[Totals], list[Totals]]] = {}
        for campaign_id, counted in found.items():
            account_id, is_active = owners.get(campaign_id, (None, False))
            for owner in {None, account_id}:
                every, active = parts.setdefault(owner, ([], []))
                every.append(counted)
                if is_active:
                    active.append(counted)
        sums = {key: (store.add_up(every), store.add_up(active)) for key, (every, active) in parts.items()}
        return _Everything(found, {None: (Totals(), Totals()), **sums})

    def _count_campaigns(self, ids: set[int], now: datetime) -> dict[int, Totals]:
        leads, calls, unpaid = self._database.read(lambda connection: (
            store.count_leads(connection, ids), store.count_calls(connection, ids),
            self._count_unpaid(connection, ids, now),
        ))
        return {**dict.fromkeys(ids, Totals()), **_merge(leads, calls, unpaid)}

    def _count_created(self, since: datetime) -> dict[int | None, int]:
        created, owners = self._database.read(
            lambda connection: (store.count_created(connection, since), store.list_owners(connection))
        )
        found: dict[int | None, int] = {None: sum(created.values())}
        for campaign_id, count in created.items():
            account_id = owners.get(campaign_id, (None, False))[0]
            if account_id is not None:
                found[account_id] = found.get(account_id, 0) + count
        return found

    def _count_unpaid(self, connection: Connection, ids: set[int] | None, now: datetime) -> dict[int, Totals]:
        """Due calls that nobody can pay for."""
        broke = find_broke(connection, self._rulebook)
        due = store.count_due(connection, broke if ids is None else broke & ids, now)
        return {key: Totals(unpaid=count) for key, count in due.items()}


def find_broke(connection: Connection, rulebook: RuleBook, account_id: int | None = None) -> set[int]:
    """Campaigns whose account cannot pay for another call, or is closed: what is due in them waits for money.

    Of one account, or of all.
    """
    paid = store.list_paid(connection, account_id)
    rules = rulebook.read(connection, [one for _, own in paid for one in own])
    return {
        one.id for account, own in paid for one in own
        if account.problem is not None
        or affordable(account, expected_cost(account, rules.policy(one.id).max_call_duration)) == 0
    }


def _merge(*parts: Mapping[int, Totals]) -> dict[int, Totals]:
    found: dict[int, Totals] = {}
    for part in parts:
        for key, counted in part.items():
            found[key] = found[key] + counted if key in found else counted
    return found
