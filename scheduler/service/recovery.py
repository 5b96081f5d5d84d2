"""A database that came back older than it was: notice it before anything is dialed from it, and find what it lost.

Decided here: what proves that calls are missing, what is asked of the providers then, and when calls may be taken
again: once every provider in use has listed its calls, each of which is an attempt by now, or once somebody says so.
What must stay true: while a recovery is open nobody claims anything; it does not end by itself while a provider
cannot be asked, while a call is found that belongs to no lead, or before all that was under way must be listed.

A newcomer would trust the tables. They are right about everything but what happened after the copy was made.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Any

from scheduler.clock import SystemClock, boottime
from scheduler.errors import Conflict, ProviderError
from scheduler.events import Reporter
from scheduler.model import CallStatus, Happening, ScheduleStatus
from scheduler.providers.base import Listed, Lister
from scheduler.rules.billing import expected_cost
from scheduler.rules.eligibility import phones_of
from scheduler.service.acting import current_actor
from scheduler.service.marks import Mark, Marks, folder_of
from scheduler.service.refs import beginnings_between, claimed_at, is_marked, mark_of
from scheduler.service.rulebook import RuleBook
from scheduler.service.runtime import Runtime, shared_runtime
from scheduler.store import accounts, calls, campaigns, journal, leads, recoveries
from scheduler.store.database import Connection
from scheduler.store.recoveries import Identity, Recovery

MARGIN = timedelta(minutes=2)
"""How far before the newest call of the copy providers are asked: takes and clocks overlap."""
AHEAD = timedelta(minutes=10)
"""How far beyond now: the clock of the copy's server may be behind."""
PATIENCE = 3.0
"""Seconds that the first dial waits for what providers list."""
SILENT = timedelta(minutes=1)
"""A daemon that was heard of since then is taken for alive: it remembers."""
OLDER = (
    "the database is older than what this process has done (a restore, or a failover to a lagging copy): {why}; calls "
    "that were made may be missing from it"
)


class Found(Enum):
    """What became of a call that no attempt knew."""

    ADOPTED = auto()
    WAITS = auto()
    """Another call of the same lead or number is open: its turn comes after that."""
    UNPLACED = auto()
    """No lead has its number."""


class Memory:
    """What this process, and others on its host, know to have been done in one database.

    `knows` is asked in the transaction of every take. Safe for several threads.
    """

    def __init__(self, runtime: Runtime, owner: str) -> None:
        self.runtime, self.owner = runtime, owner
        self.ticks = 0
        """How many heartbeats of this process are committed."""
        self.doubt: str | None = None
        """Why the database is older than it should be, as the last take saw it."""
        self.identity: Identity | None = None
        self.marks: Marks | None = None
        self._epoch = 0
        self._seen: Mark | None = None
        self._listed: set[str] = set()

    @property
    def mark(self) -> str:
        return mark_of(self.identity.name) if self.identity else ""

    @property
    def epoch(self) -> int:
        """The newest recovery that this process, or another on its host, knows of."""
        newest = self._newest()
        return max(self._epoch, newest.epoch if newest else 0)

    @property
    def attempt_id(self) -> int:
        """The newest attempt that is remembered."""
        newest = self._newest()
        return newest.attempt_id if newest else 0

    def identify(self) -> None:
        """Learn which database this is, and what this host remembers of it."""
        now = self.runtime.clock.now()
        self.identity = self.runtime.database.transact(lambda connection: recoveries.read_identity(connection, now))
        self.marks = Marks(folder_of(self.runtime.settings.state_dir, self.identity.name), self.owner)
        self.marks.tidy()

    def knows(self, connection: Connection) -> bool:
        """May calls be taken by what stands in this database? False: `doubt` says why not, or a recovery is open."""
        mark, ticks = self._newest(), self.ticks  # before the look: a later heartbeat proves nothing
        found = recoveries.read_footing(connection, self.owner, mark.attempt_id if mark else 0)
        self._epoch, self.doubt = found.epoch, None
        if found.is_open:
            return False
        if found.ticks is None:
            self.doubt = "it does not know this daemon any more"
        elif found.ticks < ticks:
            self.doubt = f"it knows {found.ticks} of {ticks} heartbeats of this daemon"
        elif mark is not None and mark.epoch >= found.epoch and mark.ref != found.ref:
            self.doubt = f"attempt {mark.attempt_id} is not in it any more"
        return self.doubt is None

    def note(self, claimed: Sequence[tuple[int, str]]) -> None:
        """These attempts, (id, reference), are committed: from now on the database must know the newest."""
        if claimed and self.marks is not None:
            attempt_id, ref = max(claimed)
            self.marks.note(Mark(self._epoch, attempt_id, ref))

    def saw(self, attempt_id: int | None, ref: str | None) -> None:
        """The newest attempt of anybody, as it was read just now."""
        if attempt_id is not None and ref is not None:
            seen = Mark(self._epoch, attempt_id, ref)
            self._seen = max(seen, self._seen) if self._seen else seen

    def may_dial(self, provider: str) -> bool:
        """Was this provider asked for calls that the database does not know, or can't it be asked?"""
        return provider in self._listed

    def note_listed(self, provider: str) -> None:
        self._listed.add(provider)

    def _newest(self) -> Mark | None:
        known = [one for one in (self._seen, self.marks.newest() if self.marks else None) if one is not None]
        return max(known, default=None)


class LostCalls:
    """Holds everything when calls are missing, and makes attempts of them. For daemons and whoever takes webhooks."""

    def __init__(self, runtime: Runtime, rulebook: RuleBook, reporter: Reporter, *, actor: str) -> None:
        self.runtime, self.rulebook, self.reporter, self.actor = runtime, rulebook, reporter, actor
        self.beyond = 0
        """An id that attempts had before: answers that are under way speak of those, so none is given twice."""
        self._identity: Identity | None = None
        self._lock = threading.Lock()

    def identity(self) -> Identity:
        with self._lock:
            if self._identity is None:
                now = self.runtime.clock.now()
                self._identity = self.runtime.database.transact(
                    lambda connection: recoveries.read_identity(connection, now)
                )
            return self._identity

    def is_ours(self, ref: str | None) -> bool:
        return is_marked(ref, mark_of(self.identity().name))

    def hold(self, reason: str, epoch: int = 0) -> None:
        """Nothing is dialed by anybody from now on. Said once, however many notice it."""
        now = self.runtime.clock.now()

        def work(connection: Connection) -> bool:
            is_new = recoveries.open_recovery(connection, by=self.actor, reason=reason, epoch=epoch, now=now)
            if is_new:
                journal.add_events(connection, [Happening(
                    kind="database_older", actor=self.actor[:96], reason=calls.cut(reason),
                )], now)
            return is_new

        if self.runtime.database.transact(work):
            self.reporter.recovery(now, f"{reason}. Nothing is dialed until that is cleared up", level="error")

    def hear(self, provider: str, events: Sequence[tuple[str, str | None, Mapping[str, Any]]]) -> None:
        """A provider tells of calls of ours, (reference, call id, payload), that no attempt knows."""
        known = self.runtime.database.read(
            lambda connection: recoveries.list_known(connection, {ref for ref, *_ in events})
        )
        events = [one for one in events if one[0] not in known]  # known under another provider: that one was misled
        newest = self.runtime.database.read(recoveries.find_newest)
        if any(newest is None or claimed_at(ref) > newest.noticed_at for ref, *_ in events):
            self.hold(f"{provider} tells of a call of ours that the database does not know (a restore, or a failover)")
            newest = self.runtime.database.read(recoveries.find_newest)
        for ref, call_id, payload in events:
            lead_id = _lead_in(payload)
            if call_id and lead_id is not None:
                self.adopt(provider, Listed(ref, call_id, lead_id=lead_id), newest.id if newest else None)

    def adopt(self, provider: str, lost: Listed, recovery_id: int | None) -> Found:
        """Write an attempt for a call that none knows, so that limits and promises count it. It is followed like any
        other: whether it is over already is asked.
        """
        now, is_ours = self.runtime.clock.now(), self.is_ours(lost.attempt_ref)

        def work(connection: Connection) -> Found:
            if recoveries.list_known(connection, [lost.attempt_ref]):
                return Found.ADOPTED
            if calls.find_holder(connection, provider, lost.call_id) is not None:
                return Found.WAITS  # under another reference: people must look
            lead_id = recoveries.find_called(connection, lost.lead_id, lost.number)
            lead = leads.find_lead(connection, lead_id, lock=True) if lead_id is not None else None
            if lead is None:
                return Found.UNPLACED
            number = lost.number or next((phone.number for phone in phones_of(lead)), None)
            if number is None:
                return Found.UNPLACED
            row = recoveries.find_planned(connection, lead.id)
            is_busy = row is not None and row.status is ScheduleStatus.IN_PROGRESS
            if is_busy or recoveries.is_in_a_call(connection, number):
                return Found.WAITS
            rules = self.rulebook.read_for(connection, {lead.campaign_id})
            policy = rules.policy(lead.campaign_id)
            campaign = campaigns.read_campaigns(connection, {lead.campaign_id} if lead.campaign_id else set())
            payer_id = campaign[lead.campaign_id].account_id if lead.campaign_id in campaign else None
            payer = accounts.read_accounts(connection, {payer_id}).get(payer_id) if payer_id is not None else None
            reserved = None
            if payer is not None and payer.is_paying and payer.problem is None:
                reserved = expected_cost(payer, policy.max_call_duration)
            if row is not None:
                recoveries.put_in_work(connection, row.id, now)
            claimed = claimed_at(lost.attempt_ref) if is_ours else lost.placed_at or now
            attempt_id = recoveries.insert_adopted(connection, {
                "id": recoveries.next_id(connection, self.beyond), "attempt_ref": lost.attempt_ref,
                "schedule_id": row.id if row else None, "lead_id": lead.id,
                "campaign_id": lead.campaign_id, "telefono": number, "provider": provider,
                "attempt_number": row.attempt_number if row else recoveries.count_attempts(connection, lead.id) + 1,
                "provider_call_id": lost.call_id, "claimed_at": claimed, "placed_at": claimed, "next_poll_at": now,
                "account_id": payer_id, "reserved": reserved, "claimed_by": self.actor[:96],
            })
            leads.set_call_status(connection, [lead.id], CallStatus.CALLING, now)
            journal.add_events(connection, [Happening(
                kind="call_adopted", actor=self.actor[:96], lead_id=lead.id, campaign_id=lead.campaign_id,
                schedule_id=row.id if row else None, attempt_id=attempt_id,
                reason=f"{provider} has a call for it that the database did not know",
            )], now)
            if recovery_id is not None:
                recoveries.count_adopted(connection, recovery_id)
            if payer is not None and reserved is not None:
                accounts.reserve(
                    connection, [accounts.Reservation(payer.id, attempt_id, reserved)], self.actor[:96], now
                )
            return Found.ADOPTED

        return self.runtime.database.transact(work)


class Recoverer:
    """One daemon's part in it: asks the providers, once at its start and again while a recovery is open."""

    def __init__(self, memory: Memory, lost: LostCalls, rulebook: RuleBook, reporter: Reporter) -> None:
        self.runtime, self.memory, self.lost = memory.runtime, memory, lost
        self.rulebook, self.reporter = rulebook, reporter
        self._said: str | None = None
        self._asking: dict[str, threading.Thread] = {}

    def run_once(self) -> None:
        """Raises DatabaseUnavailable."""
        found = self.runtime.database.read(recoveries.find_open)
        if found is None:
            self._said = None
            self._ask_at_first()
            found = self.runtime.database.read(recoveries.find_open)
        if found is not None:
            self._look(found)

    def begin(self) -> None:
        """What can be told before the first take without asking anybody."""
        newest = self.runtime.database.read(recoveries.find_newest_claim)
        if newest is None:
            return
        for name in self._in_use():
            if not isinstance(self.runtime.providers.find(name), Lister) and self._is_blind():
                self.lost.hold(
                    f"a daemon worked here that never said goodbye, this host remembers nothing of it, and {name} "
                    "cannot be asked for its calls: whether the database is older than it was cannot be told"
                )

    def _is_blind(self) -> bool:
        """Nobody here remembers, and somebody may have dialed after what the tables say."""
        marks, silent_since = self.memory.marks, self.runtime.clock.now() - SILENT
        if marks is not None and marks.newest() is not None:
            return False
        left_at = self.runtime.database.read(
            lambda connection: recoveries.find_left(connection, self.memory.owner, silent_since)
        )
        settled = self.runtime.database.read(recoveries.find_newest)
        return left_at is not None and (settled is None or left_at > settled.noticed_at)

    def _ask_at_first(self) -> None:
        """A copy that was restored while no daemon ran: providers may know calls later than its newest.

        Each is asked beside the others: one that gives no answer keeps its own calls waiting, and no other's.
        """
        for name in self._in_use():
            provider = self.runtime.providers.find(name)
            if provider is None or self.memory.may_dial(name):
                continue
            if not isinstance(provider, Lister):
                self.memory.note_listed(name)
            elif name not in self._asking or not self._asking[name].is_alive():
                self._asking[name] = threading.Thread(
                    target=self._ask_one, args=(name, provider), name=f"listing-{name}", daemon=True
                )
                self._asking[name].start()
        until = boottime() + PATIENCE
        for asking in self._asking.values():
            asking.join(max(0.0, until - boottime()))

    def _ask_one(self, name: str, provider: Lister) -> None:
        now = SystemClock().now()
        try:
            now = self.runtime.clock.now()
            since = self._since(self.runtime.database.read(recoveries.find_newest_claim))
            missing = self._list_missing(provider, since, now)
            settled = self.runtime.database.read(recoveries.find_newest)
            if settled is not None:  # somebody released it knowing of these
                missing = [one for one in missing if claimed_at(one.attempt_ref) > settled.noticed_at]
            if missing:
                self.lost.hold(OLDER.format(
                    why=f"{name} has {len(missing)} calls of ours that it does not know"
                ).replace("what this process has done", "what was done"))
                return
        except Exception as error:  # it is asked again at the next look, and its calls wait
            self.reporter.tick_failed(now, f"asking {name} for calls that the database does not know", error)
            return
        self.memory.note_listed(name)

    def _look(self, found: Recovery) -> None:
        now = self.runtime.clock.now()
        self.lost.beyond = self.memory.attempt_id
        doubts: list[str] = []
        unplaced, waiting, lag = 0, 0, timedelta(0)
        for name in self._in_use():
            provider = self.runtime.providers.find(name)
            if not isinstance(provider, Lister):
                doubts.append(f"{name} cannot be asked for its calls")
                continue
            lag = max(lag, getattr(provider, "listing_lag", lag))
            try:
                missing = self._list_missing(provider, self._since(found.newest_at), now)
            except ProviderError as error:
                doubts.append(f"{name} could not be asked: {error}")
                continue
            for one in sorted(missing, key=lambda one: one.attempt_ref):
                became = self.lost.adopt(name, one, found.id)
                unplaced += became is Found.UNPLACED
                waiting += became is not Found.UNPLACED  # one that was adopted just now is looked for once more
        if unplaced:
            doubts.append(f"{unplaced} calls are of no lead that the database knows")
        doubt = "; ".join(doubts) or None
        settle = self.runtime.settings.settle(self._ring_timeout(), lag)
        is_over = not doubts and not waiting and now >= found.noticed_at + settle
        if is_over:
            # What is under way by now was listed: the claims of others are older than the settle time.
            self._release(found)
            return
        self.runtime.database.transact(lambda connection: recoveries.note_look(
            connection, found.id, {"looked_at": now, "unplaced": unplaced, "doubt": doubt}
        ))
        said = doubt or "calls that are missing are being looked up at the providers; it goes on by itself"
        if said != self._said:
            self._said = said
            follows = f"; `ringback recovery release` goes on, once somebody has looked for calls since {_utc(found)}"
            self.reporter.recovery(
                now, f"nothing is dialed: {found.reason}: {said}{follows if doubt else ''}", level="error"
            )

    def _release(self, found: Recovery) -> None:
        now = self.runtime.clock.now()

        def work(connection: Connection) -> bool:
            recoveries.note_look(connection, found.id, {"looked_at": now, "unplaced": 0, "doubt": None})
            released = recoveries.release(connection, found.id, by=self.memory.owner, now=now)
            if released:
                journal.add_events(connection, [Happening(
                    kind="recovery_released", actor=self.memory.owner,
                    reason="every provider in use has listed its calls, and each is an attempt",
                )], now)
            return released

        if self.runtime.database.transact(work):
            self.reporter.recovery(
                now, "calls are taken again: every provider in use has listed its calls, and each is an attempt",
                level="warning",
            )

    def _list_missing(self, provider: Lister, since: datetime, now: datetime) -> list[Listed]:
        beginnings = beginnings_between(since, now + AHEAD)
        ours = [one for one in provider.list_since(since, now, beginnings) if self.lost.is_ours(one.attempt_ref)]
        ours = [one for one in ours if claimed_at(one.attempt_ref) >= since]
        known = self.runtime.database.read(
            lambda connection: recoveries.list_known(connection, {one.attempt_ref for one in ours})
        )
        return [one for one in ours if one.attempt_ref not in known]

    def _since(self, newest_at: datetime | None) -> datetime:
        return (newest_at or self.lost.identity().created_at) - MARGIN

    def _in_use(self) -> list[str]:
        named = self.runtime.database.read(campaigns.list_providers)
        return sorted({self.runtime.default_provider} | named)

    def _ring_timeout(self) -> timedelta:
        return self.runtime.database.read(
            lambda connection: self.rulebook.read(connection)
        ).policy(None).ring_timeout


def release_recovery(reason: str | None = None, *, runtime: Runtime | None = None) -> str:
    """Let calls be taken again although the database came back older: somebody has looked. Returns a sentence."""
    runtime = runtime or shared_runtime()
    now = runtime.clock.now()

    def work(connection: Connection) -> str:
        calls.lock_capacity(connection)
        found = recoveries.find_open(connection)
        if found is None:
            raise Conflict("nothing is held: the database was not found older than what was done")
        recoveries.release(connection, found.id, by=current_actor(), now=now)
        journal.add_events(connection, [Happening(
            kind="recovery_released", actor=current_actor(), reason=calls.cut(reason or "somebody has looked"),
        )], now)
        return f"released; calls are taken again ({found.adopted} lost calls were found and are attempts now)"

    return runtime.database.transact(work)


def _lead_in(payload: Mapping[str, Any]) -> int | None:
    """Which lead a vendor's report names, as we told the vendor at the start."""
    inner = [payload, *(one for name in ("call", "data") if isinstance(one := payload.get(name), Mapping))]
    inner += [one for part in tuple(inner) if isinstance(one := part.get("metadata"), Mapping)]
    for part in inner:
        for name in ("lead_id", "contact_id"):
            written = str(part.get(name))
            if written.isascii() and written.isdecimal() and len(written) < 19:
                return int(written)
    return None


def _utc(found: Recovery) -> str:
    return f"{found.newest_at:%Y-%m-%d %H:%M:%S} UTC" if found.newest_at else "the beginning"
