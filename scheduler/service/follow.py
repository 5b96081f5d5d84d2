"""Learn what became of calls: ask the provider about live ones, look up unknown ones.

What must stay true: "not found" concludes nothing before the settle time, nor on fewer than three looks,
nor when the provider could not be asked; a live call has its next look set before it is asked about, so
that a provider that hangs or a process that dies loses nothing but time; nor while the process that claimed the
dial may still send its request: it is silent, perhaps frozen, and not known to be dead (`claimers`). A call whose
request left after its limit is hung up, whoever finds it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from scheduler.config import SLACK
from scheduler.errors import DatabaseUnavailable, ProviderError
from scheduler.events import Reporter
from scheduler.model import Attempt, AttemptState, CampaignStatus, Happening, Outcome
from scheduler.providers.base import CallKey, CallReport, NothingProven, Phase, Provider, Queueing
from scheduler.service.breakers import Breakers
from scheduler.service.claimers import Claimers
from scheduler.service.facts import Learnt, write_facts
from scheduler.service.fault_points import reach
from scheduler.service.outcomes import ACTOR, LAST_LOOKS, LOOK_AGAIN, Applied, End, end_second_call
from scheduler.service.rulebook import RuleBook, Rules
from scheduler.service.runtime import Runtime
from scheduler.store import calls, campaigns, journal, second_calls
from scheduler.store.database import Connection
from scheduler.store.second_calls import SecondCall

MANY = 500
LOOKS_NEEDED = 3
PATIENCE = 3
"""Errors in one turn after which it is the provider that is in trouble, not one call."""
FROZEN = (
    "the process that was dialing it is silent and not known to be dead, so its request may still leave; it is settled "
    "when that process goes on or is gone, or by `ringback calls resolve`"
)
GRACE = timedelta(seconds=30)
"""What a call may last beyond its ring time-out and maximum before it is hung up."""


@dataclass(slots=True)
class Report:
    """What one turn learnt: calls asked about, ended, found again, proven never made."""

    asked: int = 0
    ended: int = 0
    found: int = 0
    never_made: int = 0


class Follower:
    """Follows calls for one process. Any process may follow any call: no lease is needed from `live` on."""

    def __init__(
        self, runtime: Runtime, *, rulebook: RuleBook | None = None, reporter: Reporter | None = None,
        breakers: Breakers | None = None,
    ) -> None:
        self.runtime = runtime
        self.rulebook = rulebook or RuleBook()
        self.reporter = reporter or Reporter()
        self.breakers = breakers or Breakers(runtime, owner=ACTOR, reporter=self.reporter)
        self._stopping: OrderedDict[int, None] = OrderedDict()
        """Attempts that we noted to be ending, lately."""

    def run_once(self) -> Report:
        """Ask about every call whose look is due, and write what was learnt."""
        report = Report()
        self.ask_about_seconds()
        while True:
            now = self.runtime.clock.now()
            again_at = now + timedelta(seconds=self.runtime.settings.poll_every)
            due: list[Attempt] = []
            if self.runtime.database.read(lambda connection: calls.is_poll_due(connection, now)):  # noqa: B023
                due = self.runtime.database.transact(
                    lambda connection: calls.take_polls(connection, now, again_at, MANY)  # noqa: B023
                )
            if not due:
                return report
            report.asked += len(due)
            rules = self.runtime.database.read(
                lambda connection: self.rulebook.read_for(connection, {one.campaign_id for one in due})  # noqa: B023
            )
            learnt = self._ask(due, rules, now, self._read_claimers(due, now))
            self._write(learnt, report)
            if len(due) < MANY:
                return report

    def ask_about_seconds(self) -> int:
        """Ask about second calls whose look is due, and write what they came to. Returns how many were asked about."""
        now = self.runtime.clock.now()
        if not self.runtime.database.read(lambda connection: second_calls.is_any_due(connection, now)):
            return 0
        again_at = now + timedelta(seconds=self.runtime.settings.poll_every)
        due = self.runtime.database.transact(
            lambda connection: second_calls.take_due(connection, now, again_at, MANY)
        )
        for name in sorted({one.provider for one in due}):
            provider = self.runtime.providers.find(name)
            of_it = [one for one in due if one.provider == name]
            if provider is not None:
                self._ask_seconds(provider, of_it, now)
        return len(due)

    def _ask_seconds(self, provider: Provider, seconds: Sequence[SecondCall], now: datetime) -> None:
        keys = [CallKey(one.attempt_ref, one.call_id, one.phone, one.seen_at) for one in seconds]
        try:
            reports = provider.poll(keys, now)
        except Exception as error:  # the next look is already set
            self.reporter.tick_failed(now, f"asking {provider.name} about second calls", error)
            return
        for one in seconds:
            report = reports.get(one.call_id)
            is_gone = one.call_id in reports and report is None
            if not is_gone and (report is None or report.phase is not Phase.ENDED):
                continue
            told = Applied()
            try:
                self.runtime.database.transact(
                    lambda connection: end_second_call(connection, one, report, now, told)  # noqa: B023
                )
            except DatabaseUnavailable:
                raise
            except Exception as error:  # the next look is already set; the calls after it must not wait for it
                self.reporter.tick_failed(now, f"recording the second call of attempt {one.attempt_id}", error)
                continue
            told.tell(self.reporter, now)

    def _ask(self, due: Sequence[Attempt], rules: Rules, now: datetime, claimers: Claimers) -> Learnt:
        learnt = Learnt()
        for name in sorted({one.provider for one in due}):
            of_it = [one for one in due if one.provider == name]
            provider = self.runtime.providers.find(name)
            if provider is None:  # open attempts are followed at their own provider, or not at all
                learnt.looks |= {one.id: None for one in of_it if one.state is AttemptState.ENDED}
                self.reporter.settings_refused(
                    now, where=f"provider {name}", problem=self.runtime.providers.problem(name), kept=False
                )
                continue
            live = [one for one in of_it if one.state is AttemptState.LIVE]
            if live:
                try:
                    self._ask_live(provider, live, rules, now, learnt)
                except Exception as error:  # an error concludes nothing; the next look is already set
                    self.reporter.tick_failed(now, f"asking {name} about calls", error)
            over = [one for one in of_it if one.state in (AttemptState.ENDED, AttemptState.REFUSED)]
            if over:
                self._ask_over(provider, over, now, learnt)
            unknown = [one for one in of_it if one.state is AttemptState.UNKNOWN]
            self._look_up_all(provider, unknown, rules, now, learnt, claimers)
        return learnt

    def _read_claimers(self, due: Sequence[Attempt], now: datetime) -> Claimers:
        owners = {one.claimed_by for one in due if one.claimed_by and _is_guess(one)}
        return self.runtime.database.read(lambda connection: Claimers(
            connection, owners, host=self.runtime.settings.host,
            gone_after=timedelta(seconds=self.runtime.settings.gone_after), now=now,
        ))

    def _ask_live(
        self, provider: Provider, live: Sequence[Attempt], rules: Rules, now: datetime, learnt: Learnt
    ) -> None:
        reports = provider.poll([_key(one) for one in live], now)
        ended_by_us = self._ended_by_us([one for one in live if reports.get(one.provider_call_id or "", one) is None])
        for one in live:
            if one.provider_call_id is None or one.provider_call_id not in reports:
                continue
            report = reports[one.provider_call_id]
            if report is not None and report.phase is Phase.ENDED:
                learnt.ends.append(End(one.id, report))
            elif report is None and one.id in ended_by_us:
                gone = CallReport(one.provider_call_id, Phase.ENDED, outcome=Outcome.CANCELLED, provider_status="gone")
                learnt.ends.append(End(one.id, gone))
            elif _horizon(one, rules) < now:
                self._stop(provider, one, report, rules, now, learnt)
            elif report is not None and one.was_late:
                self._hang_up_late(provider, one, report, now)
            elif report is not None and report.phase is Phase.ANSWERED:
                learnt.answered[one.id] = report.answered_at or now
            if report is not None and report.phase is not Phase.ENDED and not report.known_word:
                said = f"{provider.name} says {report.provider_status!r}, which is not known; the call counts as live"
                learnt.doubts.setdefault(one.id, said)
        if isinstance(provider, Queueing):
            self._take_back(provider, [
                one for one in live
                if (report := reports.get(one.provider_call_id or "")) is not None and report.phase is Phase.DIALING
            ], now, learnt)

    def _take_back(self, provider: Queueing, waiting: Sequence[Attempt], now: datetime, learnt: Learnt) -> None:
        """Calls that wait in the provider's own queue although their campaign was cancelled, by whatever means."""
        ids = {one.campaign_id for one in waiting if one.campaign_id is not None}
        known = self.runtime.database.read(lambda connection: campaigns.read_campaigns(connection, ids)) if ids else {}
        over = {one for one, campaign in known.items() if campaign.status is CampaignStatus.CANCELLED}
        for one in waiting:
            if one.campaign_id in over and one.provider_call_id is not None:
                try:
                    why = "its campaign is cancelled: to be taken back from the provider's queue"
                    self._note_stopping(one, why, now)
                    if provider.take_back(one.provider_call_id):
                        learnt.hints.append(one.id)
                except ProviderError as error:  # tried again at the next look
                    self.reporter.tick_failed(now, f"taking back attempt {one.id} from the provider's queue", error)

    def _ended_by_us(self, gone: Sequence[Attempt]) -> set[int]:
        """Which of these calls we asked the provider to end, or took back from its queue."""
        if not gone:
            return set()
        return self.runtime.database.read(
            lambda connection: journal.list_ended_by_us(connection, {one.id: one.lead_id for one in gone})
        )

    def _note_stopping(self, one: Attempt, why: str, now: datetime) -> None:
        """Before the provider is asked to end a call: its word that the call was cancelled may come at once, and must
        not be taken for somebody else's wish.
        """
        if one.id in self._stopping:
            return
        self.runtime.database.transact(lambda connection: journal.add_events(connection, [Happening(
            kind="call_stopped", actor=ACTOR, lead_id=one.lead_id, campaign_id=one.campaign_id, attempt_id=one.id,
            reason=why,
        )], now))
        self._stopping[one.id] = None
        while len(self._stopping) > MANY:
            self._stopping.popitem(last=False)

    def _hang_up_late(self, provider: Provider, one: Attempt, report: CallReport, now: datetime) -> None:
        try:
            self._note_stopping(one, "it was dialed after its time", now)
            provider.hang_up(report.call_id)
        except ProviderError as error:  # tried again at its next look
            self.reporter.tick_failed(now, f"hanging up attempt {one.id}, which was dialed too late", error)
            return
        self.reporter.settled(now, attempt_id=one.id, how="hung up: it was dialed after its time")

    def _search_again(self, provider: Provider, one: Attempt, now: datetime, learnt: Learnt) -> None:
        """A dial that was given up, and whose request may have left later after all: its process was stopped."""
        try:
            report = provider.find(_key(one), now)
            if report is not None:
                self._require_own(one, report)
        except Exception as error:
            report = None
            self.reporter.tick_failed(now, f"looking up attempt {one.id} at {provider.name} once more", error)
        if report is None:
            learnt.looks[one.id] = now + LOOK_AGAIN * 2 ** one.lookups if one.lookups + 1 < LAST_LOOKS else None
            learnt.looked.append(one.id)
        elif report.phase is Phase.ENDED:
            learnt.ends.append(End(one.id, report, was_found=True))
            learnt.looks[one.id] = None
        else:
            self._hang_up_late(provider, one, report, now)
            learnt.risen.append((one, report.call_id))

    def _ask_over(self, provider: Provider, over: Sequence[Attempt], now: datetime, learnt: Learnt) -> None:
        """Calls of which more was to be said: an analysis, a price. Asked a few times, then no more."""
        for one in over:
            if one.provider_call_id is None:
                self._search_again(provider, one, now, learnt)
        over = [one for one in over if one.provider_call_id is not None]
        if not over:
            return
        try:
            reports = provider.poll([_key(one) for one in over], now)
        except Exception as error:
            self.reporter.tick_failed(now, f"asking {provider.name} for the rest about calls that are over", error)
            reports = {}
        for one in over:
            report = reports.get(one.provider_call_id or "")
            if report is not None and report.phase is Phase.ENDED:
                learnt.ends.append(End(one.id, report))
            if (report is not None and report.is_final) or one.lookups + 1 >= LAST_LOOKS:
                learnt.looks[one.id] = None
            else:
                learnt.looks[one.id] = now + LOOK_AGAIN * 2 ** (one.lookups + 1)
                learnt.looked.append(one.id)

    def _stop(
        self, provider: Provider, one: Attempt, report: CallReport | None, rules: Rules, now: datetime, learnt: Learnt
    ) -> None:
        """A call past its maximum is hung up; what the provider knows nothing about any more is over."""
        if report is None:
            gone = CallReport(
                call_id=one.provider_call_id or "", phase=Phase.ENDED, outcome=Outcome.FAILED, provider_status="gone"
            )
            learnt.ends.append(End(one.id, gone, error="the provider knows nothing of it and its maximum has passed"))
            return
        try:
            self._note_stopping(one, "past its maximum duration", now)
            was_there = provider.hang_up(report.call_id)
        except ProviderError as error:  # tried again at its next look; the other calls must not wait for it
            if error.permanent and report.known_word:
                # It may still be waiting in the vendor's own queue, so it is not taken for over: people must decide.
                learnt.doubts[one.id] = f"past its maximum duration, and {error}"
                return
            if error.permanent:  # a word that nobody knows is no sign that it goes on
                learnt.ends.append(End(one.id, replace(report, phase=Phase.ENDED, outcome=Outcome.FAILED)))
                return
            self.reporter.tick_failed(now, f"hanging up attempt {one.id}, past its maximum duration", error)
            return
        if not was_there and not report.known_word:  # by a word that nobody knows, it was over
            learnt.ends.append(End(one.id, replace(report, phase=Phase.ENDED, outcome=Outcome.FAILED)))
            return
        self.reporter.settled(now, attempt_id=one.id, how="hung up: past its maximum duration")

    def _look_up_all(
        self, provider: Provider, unknown: Sequence[Attempt], rules: Rules, now: datetime, learnt: Learnt,
        claimers: Claimers,
    ) -> None:
        errors = 0
        for one in unknown:
            try:
                self._look_up(provider, one, rules, now, learnt, claimers)
            except Exception as error:  # concludes nothing, and does not hide the other calls
                learnt.doubts[one.id] = str(error)
                self.reporter.tick_failed(now, f"looking up attempt {one.id} at {provider.name}", error)
                errors += not (isinstance(error, ProviderError) and error.permanent)
                if errors == PATIENCE:
                    return

    def _look_up(
        self, provider: Provider, one: Attempt, rules: Rules, now: datetime, learnt: Learnt, claimers: Claimers
    ) -> None:
        proves, why = provider.finds_by_ref, ""
        key = replace(_key(one), agent_id=rules.policy(one.campaign_id).settings.agent_id)
        try:
            report = provider.find(key, now)
        except NothingProven as error:
            report, proves, why = None, False, f": {error}"
            learnt.doubts[one.id] = str(error)
        if report is not None:
            self._require_own(one, report)
        if report is None and self._may_still_be_sent(one, claimers):
            learnt.doubts[one.id] = FROZEN
            return
        if report is None and not proves:  # it cannot be asked exactly, so this proves nothing
            if _horizon(one, rules) < now:
                lost = CallReport(
                    call_id="", phase=Phase.ENDED, outcome=Outcome.FAILED, provider_status=calls.UNKNOWN_END
                )
                learnt.ends.append(
                    End(one.id, lost, error=f"never answered for; its longest possible time is over{why}")
                )
            return
        if report is not None and report.phase is Phase.ENDED:
            learnt.ends.append(End(one.id, report, placed_at=one.placed_at or one.claimed_at, was_found=True))
        elif report is not None:
            if one.was_late:
                self._hang_up_late(provider, one, report, now)
            learnt.found.append((one, report))
        else:
            ring = rules.policy(one.campaign_id).ring_timeout
            settled = (one.claimed_at or now) + self.runtime.settings.settle(ring, provider.listing_lag)
            learnt.looked.append(one.id)
            if one.lookups == 0 and _is_guess(one):
                # Its process may have woken just now: what it has sent by now must be in the listing by the next look.
                settle = self.runtime.settings.settle(ring, provider.listing_lag)
                learnt.rests[one.id] = now + min(self._shown_after(ring, provider), settle)
            if now >= settled and one.lookups + 1 >= LOOKS_NEEDED:
                learnt.never_made.append(one)

    def _may_still_be_sent(self, one: Attempt, claimers: Claimers) -> bool:
        if not _is_guess(one) or one.claimed_at is None:
            return False
        over_by = (one.dial_before or one.claimed_at) + timedelta(seconds=self.runtime.settings.request_timeout) + SLACK
        return claimers.may_still_send(one.claimed_by, one.claimed_at, over_by)

    def _shown_after(self, ring: timedelta, provider: Provider) -> timedelta:
        """How long after its request a call may be missing from what can be searched."""
        lag = ring + provider.listing_lag if provider.listing_lag else timedelta(0)
        return timedelta(seconds=self.runtime.settings.request_timeout) + lag

    def _require_own(self, one: Attempt, report: CallReport) -> None:
        """A vendor that is searched by number and time may show the call of another attempt: only we know whose.

        Raises a permanent ProviderError: people must decide.
        """
        holder = self.runtime.database.read(
            lambda connection: calls.find_holder(connection, one.provider, report.call_id)
        )
        if holder not in (None, one.id):
            raise ProviderError(f"the call that was found belongs to attempt {holder}", permanent=True)

    def _write(self, learnt: Learnt, report: Report) -> None:
        try:
            self._write_all(learnt)
        except DatabaseUnavailable:
            raise
        except Exception as error:  # one odd fact must not keep the others from being written
            self.reporter.tick_failed(self.runtime.clock.now(), "writing what was learnt of calls", error)
            for one in learnt.apart():
                self._write_alone(one)
        report.ended += len(learnt.ends)
        report.found += len(learnt.found)
        report.never_made += len(learnt.never_made)

    def _write_alone(self, learnt: Learnt) -> None:
        try:
            self._write_all(learnt)
        except DatabaseUnavailable:
            raise
        except Exception as error:
            now = self.runtime.clock.now()
            self.reporter.tick_failed(now, "writing what was learnt of one call", error)
            for end in learnt.ends:  # that it is over is worth more than what else was said of it
                if end.was_found:
                    continue  # whose call that was is the very thing in doubt
                bare = CallReport(call_id="", phase=Phase.ENDED, outcome=end.report.outcome or Outcome.FAILED)
                kept = End(end.attempt_id, bare, error=f"its report could not be kept: {error}")
                self._write_all(Learnt(ends=[kept]))

    def _write_all(self, learnt: Learnt) -> None:
        now = self.runtime.clock.now()
        told = Applied()

        def work(connection: Connection) -> None:
            nonlocal told
            told = Applied()
            reach("outcome.before_write")
            write_facts(connection, learnt, told, now=now, rulebook=self.rulebook)
            reach("outcome.before_commit")

        if learnt:
            self.runtime.database.transact(work)
            reach("outcome.after_commit")
        told.tell(self.reporter, now)
        self.breakers.judge(told.refusals, now, told.reached)


def _is_guess(one: Attempt) -> bool:
    """Nobody has said when its request left: the process that claimed it has not answered for it yet."""
    return one.placed_at is None


def _key(one: Attempt) -> CallKey:
    return CallKey(
        one.attempt_ref, one.provider_call_id, one.phone, one.placed_at or one.claimed_at, one.answered_at
    )


def _horizon(one: Attempt, rules: Rules) -> datetime:
    """When the call must be over, whatever happened: its maximum from the answer, where that is known, else from the
    end of its ring time-out, and some grace.
    """
    policy = rules.policy(one.campaign_id)
    begun = one.placed_at or one.claimed_at
    assert begun is not None, "every attempt of ours has the instant of its claim"
    latest = begun + policy.ring_timeout
    answered = min(one.answered_at, latest) if one.answered_at is not None else latest
    return answered + policy.max_call_duration + GRACE
