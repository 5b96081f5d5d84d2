"""Put right what nobody else will: expired leases, what people changed by SQL, changed rules.

Runs every few seconds in every daemon, each step in a short transaction of its own, so that one that
fails leaves the others done. What must stay true: each step is safe to run twice and by several daemons
at once, and none looks at more rows than there are to put right.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from scheduler.errors import DatabaseUnavailable, InvalidValue
from scheduler.events import Reporter
from scheduler.model import (
    Campaign,
    CampaignStatus,
    Happening,
    Hold,
    Lead,
    LeadStatus,
    ScheduledCall,
    ScheduleStatus,
)
from scheduler.rules.eligibility import CAPS_REASON, RECHECK_HELD, phones_of
from scheduler.rules.hours import is_allowed
from scheduler.rules.openings import Openings, Place, whereabouts
from scheduler.rules.policy import FOUND_BY, Fingerprint, Policy, read_call_settings, read_config
from scheduler.rules.retry import Reschedule
from scheduler.service.accounts import BalanceWatch
from scheduler.service.dispatch import find_hindrance, find_rest
from scheduler.service.effects import MOVABLE
from scheduler.service.fault_points import reach
from scheduler.service.outcomes import carry_out
from scheduler.service.rulebook import RuleBook, Rules, settings_of_version, version_document
from scheduler.service.runtime import Runtime
from scheduler.store import (
    accounts,
    calls,
    campaigns,
    do_not_call,
    erasure,
    journal,
    leads,
    numbers,
    settings,
    terms,
)
from scheduler.store.calls import Move, PlannedCall
from scheduler.store.database import Connection

MANY = 500
PAGE = 2000
PAGES_OF_LIST = 5
"""Pages of unread entries of the do-not-call list at a turn, each in a transaction of its own."""
SLOW_EVERY = timedelta(minutes=1)
TERM_PAGE, TERM_PAGES = 1000, 10
"""Leads of one transaction, and transactions at a turn, that what leads are found by is brought up to date in."""
TERMS_AGAIN = timedelta(hours=1)
"""After so long all leads are gone through again, a page at a turn: a name changed by SQL is found by then."""
SWEEP = timedelta(minutes=1)
"""How far back leads closed with `closed_at` already set are looked at for rows left waiting."""


@dataclass(slots=True)
class Report:
    """What one turn put right, in rows."""

    expired: int = 0
    closed_by_hand: int = 0
    opened_by_hand: int = 0
    released: int = 0
    replanned: int = 0
    closed_in_campaigns: int = 0
    completed_campaigns: int = 0

    @property
    def total(self) -> int:
        return (
            self.expired + self.closed_by_hand + self.opened_by_hand + self.released + self.replanned
            + self.closed_in_campaigns + self.completed_campaigns
        )


class Upkeep:
    """Upkeep for one process. `run_once` is one turn."""

    def __init__(
        self, runtime: Runtime, *, owner: str, rulebook: RuleBook | None = None, reporter: Reporter | None = None
    ) -> None:
        self.runtime = runtime
        self.owner = owner
        self.rulebook = rulebook or RuleBook()
        self.reporter = reporter or Reporter()
        self._known_problems: frozenset[tuple[str, str]] = frozenset()
        self._held_after: dict[Hold, int] = {}
        self._stopped_after: dict[int, tuple[datetime, int]] = {}
        self._waiting_after: dict[int | None, tuple[datetime, int]] = {}
        self._aged_until = 0
        self._learnt_until: int | None = 0
        self._terms_until, self._terms_again = 0, 0
        self._terms_since: datetime | None = None
        self._found_by: tuple[str, ...] = ()
        self._slow_at: datetime | None = None
        self._balances = BalanceWatch(runtime.database)

    def run_once(self) -> Report:
        """Every step once. Raises DatabaseUnavailable; a step that fails otherwise is reported and passed by."""
        report = Report()
        now = self.runtime.clock.now()
        steps: list[tuple[str, Callable[[Connection, datetime, Report], None]]] = [
            ("returning expired leases", self._expire_leases),
            ("completing what was closed by hand", self._follow_hand_closed),
            ("planning for leads opened by hand", self._follow_hand_opened),
            ("releasing held rows", self._release_held),
            ("closing what is past its last date", self._close_overdue),
            ("closing what cancelled campaigns left", self._finish_cancelled),
            ("finishing campaigns", self._finish_campaigns),
            ("saying why due calls wait", self._say_waiting),
            ("tidying what waits in stopped campaigns", self._tidy_stopped),
            ("learning what numbers tell", self._learn_numbers),
        ]
        is_slow_turn = self._slow_at is None or now - self._slow_at >= SLOW_EVERY
        if is_slow_turn:
            self._slow_at = now
            steps += [
                ("holding what waits in deleted campaigns", self._hold_lost),
                ("deleting what is old", self._clean_up),
            ]
        for name, step in steps:
            try:
                self.runtime.database.transact(lambda connection, step=step: step(connection, now, report))  # type: ignore[misc]
            except DatabaseUnavailable:
                raise
            except Exception as error:  # one step must not stop the others; it is tried again next time
                self.reporter.tick_failed(now, name, error)
        self._read_barred(now)
        if is_slow_turn:
            self._complete_books(now)
        self._keep_terms(now)
        self._follow_rules(now, report)
        return report

    def _complete_books(self, now: datetime) -> None:
        """Balances that somebody changed by SQL get the entry that they lack. In short transactions of its own."""
        try:
            for stray in self._balances.run_once(now):
                text = f"the balance of account {stray.account_id} was changed by {stray.amount}; an entry says so now"
                self.reporter.by_hand(now, text=text)
        except DatabaseUnavailable:
            raise
        except Exception as error:  # as with the other steps: tried again next time
            self.reporter.tick_failed(now, "adding up the accounts", error)

    def _keep_terms(self, now: datetime) -> None:
        """What leads are found by, for those that people wrote by SQL or changed: page by page in transactions of its
        own, all leads again from time to time, and at once when other variables are chosen.
        """
        try:
            found_by = self.runtime.database.read(self.rulebook.read).config.get(FOUND_BY, ())
            if found_by != self._found_by:
                self._found_by, self._terms_until = found_by, 0
            for _ in range(TERM_PAGES):
                last = self._bring_terms_up_to_date(self._terms_until)
                if last is None:
                    break
                self._terms_until = last
            else:
                return
            if self._terms_since is None:
                self._terms_since = now
            if now - self._terms_since >= TERMS_AGAIN:
                last = self._bring_terms_up_to_date(self._terms_again)
                self._terms_again, self._terms_since = (0, now) if last is None else (last, self._terms_since)
        except DatabaseUnavailable:
            raise
        except Exception as error:  # as with the other steps: tried again next time
            self.reporter.tick_failed(now, "keeping what leads are found by", error)

    def _bring_terms_up_to_date(self, after: int) -> int | None:
        return self.runtime.database.transact(
            lambda connection: terms.bring_up_to_date(connection, after, TERM_PAGE, self._found_by)
        )

    # --- leases ----------------------------------------------------------------------------------

    def _expire_leases(self, connection: Connection, now: datetime, report: Report) -> None:
        """A dial whose lease ran out belongs to nobody: unknown, to be looked up, never simply given back."""
        found = calls.list_expired_leases(connection, now, MANY)
        orphans = calls.list_placing_without_row(connection, now - timedelta(minutes=2), MANY)
        # Whoever holds one may be frozen: waiting for it would keep the others, and a polite stop, waiting too.
        attempts = calls.lock_attempts(
            connection, [attempt_id for attempt_id, _ in found] + orphans, skip_locked=True
        )
        placing = [one for one in attempts.values() if one.state == "placing"]
        report.expired += calls.mark_unknown(connection, [
            {
                "id": one.id, "placed_at": one.placed_at, "next_poll_at": now,
                "error": "its lease ran out: the process that was dialing is gone or was stopped",
            }
            for one in placing
        ])
        calls.release_leases(connection, [one.schedule_id for one in placing if one.schedule_id])
        over = calls.list_leased_but_over(connection)
        calls.clear_leases(connection, over, now)
        strays = calls.list_rows_without_attempt(connection, now - timedelta(minutes=2), MANY)
        calls.give_back(
            connection, [Move(one, now, "it was in work without an attempt; waiting again") for one in strays], now
        )
        reach("upkeep.before_commit")
        for one in placing:
            self.reporter.unknown(now, who=f"lead {one.lead_id}", reason="its lease ran out")
            self.reporter.not_made(now, provider=one.provider, outcome="unknown")

    # --- what people changed by SQL --------------------------------------------------------------

    def _follow_hand_closed(self, connection: Connection, now: datetime, report: Report) -> None:
        closed = leads.list_closed_by_hand(connection, MANY)
        leads.set_closed_at(connection, closed, now)
        rows = leads.list_closed_with_open_row(connection, now - SWEEP, MANY)
        cancelled = calls.cancel_rows(connection, {row_id: "the lead was closed" for row_id, _ in rows}, now)
        journal.add_events(connection, [
            Happening(kind="closed_by_hand", actor="sql", lead_id=one, reason="lead_status was set to closed")
            for one in closed
        ], now)
        report.closed_by_hand += len(closed)
        if closed or cancelled:
            self.reporter.by_hand(
                now, text=f"{len(closed)} leads were closed by hand, {cancelled} planned calls cancelled"
            )

    def _follow_hand_opened(self, connection: Connection, now: datetime, report: Report) -> None:
        """An open lead that was worked on has a next step: one that was opened again gets a new first round."""
        opened = leads.list_opened_by_hand(connection, MANY)
        if not opened:
            return
        people = leads.read_leads(connection, opened, lock=True)
        leads.clear_closed_at(connection, opened)
        planned = {one.lead_id for one in calls.list_open_calls(connection, opened)}
        for lead in people.values():
            if lead.id not in planned and lead.status is LeadStatus.OPEN:
                carry_out(connection, lead, first_call(lead, now, "opened again by hand"), now)
        journal.add_events(connection, [
            Happening(kind="opened_by_hand", actor="sql", lead_id=one, reason="lead_status was set to open")
            for one in opened
        ], now)
        report.opened_by_hand += len(opened)
        self.reporter.by_hand(now, text=f"{len(opened)} leads were opened again by hand")

    def _release_held(self, connection: Connection, now: datetime, report: Report) -> None:
        """A page of each kind of held row at a turn, so that many of them cost no more than few."""
        for hold in Hold:
            rows = leads.list_held(connection, hold, self._held_after.get(hold, 0), PAGE)
            self._held_after[hold] = rows[-1].id if len(rows) == PAGE else 0
            report.released += calls.move_pending(
                connection,
                [
                    Move(row.id, row.wanted_at or row.scheduled_at, "released: its lead was changed")
                    for row in rows if row.is_free
                ],
                now,
            )

    def _finish_campaigns(self, connection: Connection, now: datetime, report: Report) -> None:
        for code in campaigns.resume_completed(connection):
            self.reporter.campaign(now, code=code, text="goes on: it has new calls")
        done = campaigns.complete_campaigns(connection, now)
        report.completed_campaigns += len(done)
        for code, reason in done:
            self.reporter.campaign(now, code=code, text=f"is completed: {reason}")

    def _close_overdue(self, connection: Connection, now: datetime, report: Report) -> None:
        """Campaigns whose last date is over everywhere on earth: what still waits in them is closed, page by page,
        and then they complete by themselves. Until then the gate closes leads one by one as they come due.
        """
        for campaign in campaigns.list_overdue(connection, now):
            rows = calls.list_waiting(connection, campaign.id, None, PAGE)
            people = leads.read_leads(connection, {row.lead_id for row in rows}, deciding=True)
            moved = _moved_elsewhere(rows, people, campaign)
            calls.set_campaign(connection, moved, now)
            why = f"the last date to call was {campaign.call_until} (campaigns.fecha_limite)"
            late = [row.lead_id for row in rows if row.id not in moved]
            closed = close_open_leads(connection, late, "deadline", why, now, actor=self.owner)
            report.closed_in_campaigns += closed
            if closed:
                self.reporter.campaign(now, code=campaign.code, text=f"is past its last date: {closed} leads closed")

    def _finish_cancelled(self, connection: Connection, now: datetime, report: Report) -> None:
        """Campaigns that were cancelled by SQL, or by a command that was cut in the middle: their leads are closed,
        page by page; `completed_at` says that none is left.
        """
        for campaign in campaigns.list_cancelled_unfinished(connection):
            ids = leads.list_not_closed(connection, campaign.id, PAGE)
            why = f"campaign {campaign.code} is cancelled"
            closed = close_open_leads(connection, ids, "campaign_cancelled", why, now, actor=self.owner)
            report.closed_in_campaigns += closed
            if len(ids) < PAGE:
                campaigns.finish_cancelled(connection, campaign.id, now)
            if closed:
                self.reporter.campaign(now, code=campaign.code, text=f"is cancelled: {closed} leads closed")

    def _say_waiting(self, connection: Connection, now: datetime, report: Report) -> None:
        """Rows that are due and that no take comes to, for want of money, of usable rules or of a provider, say so.
        They keep their place, and go on when that is mended.
        """
        due = calls.list_due_campaigns(connection, now)
        if not due:
            return
        rules = self.rulebook.read(connection, [one.campaign for one in due if one.campaign])
        payers = accounts.read_accounts(
            connection, {one.campaign.account_id for one in due if one.campaign and one.campaign.account_id}
        )
        paces = calls.read_paces(connection)
        for one in due:
            account = payers.get(one.campaign.account_id or 0) if one.campaign else None
            problem = find_hindrance(self.runtime, one.campaign, rules, account)
            problem = problem or find_rest(self.runtime, one.campaign, paces, now)
            if problem is None:
                self._waiting_after.pop(one.id, None)
                continue
            rows = calls.list_waiting(connection, one.id, self._waiting_after.get(one.id), PAGE)
            waiting = [row for row in rows if row.scheduled_at <= now]
            if len(waiting) == PAGE:
                self._waiting_after[one.id] = (waiting[-1].scheduled_at, waiting[-1].id)
            else:
                self._waiting_after.pop(one.id, None)
            new = [row.id for row in waiting if row.reason != calls.cut(problem)]
            calls.set_reason(connection, new, problem, now)

    def _tidy_stopped(self, connection: Connection, now: datetime, report: Report) -> None:
        """Rows that no take will ever come to: of leads that were moved elsewhere, of cancelled campaigns."""
        for campaign in campaigns.list_stopped_with_rows(connection):
            rows = calls.list_waiting(connection, campaign.id, self._stopped_after.get(campaign.id), MANY)
            if len(rows) == MANY:
                self._stopped_after[campaign.id] = (rows[-1].scheduled_at, rows[-1].id)
            else:
                self._stopped_after.pop(campaign.id, None)
            people = leads.read_leads(connection, {row.lead_id for row in rows}, deciding=True)
            moved = _moved_elsewhere(rows, people, campaign)
            calls.set_campaign(connection, moved, now)
            if campaign.status is not CampaignStatus.PAUSED:
                why = f"campaign {campaign.code} is {campaign.status}"
                left = [row for row in rows if row.id not in moved]
                calls.cancel_rows(connection, {row.id: why for row in left}, now)
                if campaign.status is CampaignStatus.CANCELLED:
                    of = [row.lead_id for row in left]
                    close_open_leads(connection, of, "campaign_cancelled", why, now, actor=self.owner)

    def _hold_lost(self, connection: Connection, now: datetime, report: Report) -> None:
        for campaign_id in campaigns.list_lost_campaigns(connection):
            rows = calls.list_waiting(connection, campaign_id, None, MANY)
            why = f"held: its campaign {campaign_id} does not exist"
            calls.move_pending(
                connection,
                [
                    Move(row.id, now + RECHECK_HELD, why, row.wanted_at or row.scheduled_at, Hold.ERROR)
                    for row in rows
                ],
                now,
            )
            self.reporter.by_hand(now, text=f"campaign {campaign_id} was deleted; {len(rows)} calls of it are held")

    def _read_barred(self, now: datetime) -> None:
        """Some pages of what people wrote into the do-not-call list by SQL, each in a transaction of its own. It bars
        already; once it is read, a take has less to look at.
        """
        try:
            for _ in range(PAGES_OF_LIST):
                read, misread = self.runtime.database.transact(lambda connection: self._read_page(connection, now))
                for entry in misread:
                    self.reporter.entry_misread(now, entry_id=entry.id, text=entry.telefono)
                if read < PAGE:
                    return
        except DatabaseUnavailable:
            raise
        except Exception as error:  # as with the other steps: tried again next time
            self.reporter.tick_failed(now, "reading the do-not-call list", error)

    def _read_page(self, connection: Connection, now: datetime) -> tuple[int, list[do_not_call.Misread]]:
        read, misread = do_not_call.read_entries(connection, self.runtime.settings.default_country, PAGE, now)
        journal.add_events(connection, [
            Happening(
                kind="do_not_call_misread", actor=self.owner,
                reason=f"entry {one.id} is no number: {one.telefono!r}; calls to what it could mean are held",
            )
            for one in misread
        ], now)
        return read, misread

    def _learn_numbers(self, connection: Connection, now: datetime, report: Report) -> None:
        """Every number once in the life of a process: a new release knows more, and some were written by SQL."""
        if self._learnt_until is None:
            return
        page = numbers.list_unlearnt(connection, self._learnt_until, PAGE)
        people = leads.read_leads(connection, page.leads, deciding=True)
        numbers.learn_unknown(connection, people, self.runtime.settings.default_country, now)
        self._learnt_until = page.until

    def _clean_up(self, connection: Connection, now: datetime, report: Report) -> None:
        rules = self.rulebook.read(connection)
        before = now - timedelta(days=rules.config.get("cleanup_after_days", 30))
        calls.delete_cancelled(connection, before, 10 * MANY)
        journal.forget_daemons(connection, now - journal.FORGET_AFTER)
        erasure.erase_again(connection)
        self._age_texts(connection, now)

    def _age_texts(self, connection: Connection, now: datetime) -> None:
        """A page at a time: transcripts of calls that are older than RINGBACK_KEEP_TEXTS_DAYS go."""
        days = self.runtime.settings.keep_texts_days
        if days is not None:
            self._aged_until, _ = erasure.age_texts(connection, self._aged_until, now - timedelta(days=days), 10 * MANY)

    # --- changed rules ---------------------------------------------------------------------------

    def _follow_rules(self, now: datetime, report: Report) -> None:
        """Say what does not validate; plan again what waits by rules that have changed since."""
        active, rules, known = self.runtime.database.read(self._read_rules)
        self._report_problems(rules, now)
        changed = [
            campaign for campaign in [None, *active]
            if rules.may_dial(key := campaign.id if campaign else None)
            and _is_changed(rules.policy(key).fingerprint, known.get(key))
        ]
        if not changed:
            return
        # What was in force until now, read before anything is written about it.
        before = self.runtime.database.read(lambda connection: {
            key: _policy_before(connection, key) for key in [one.id if one else None for one in changed]
        })
        for campaign in changed:
            key = campaign.id if campaign else None
            report.replanned += self._replan_changed(campaign, rules.policy(key), known.get(key), before[key], now)

    def _read_rules(self, connection: Connection) -> tuple[list[Campaign], Rules, dict[int | None, str]]:
        active = campaigns.list_active(connection)
        return active, self.rulebook.read(connection, active), settings.read_last_fingerprints(connection)

    def _report_problems(self, rules: Rules, now: datetime) -> None:
        self.reporter.settings_problems(len(rules.problems))
        found = frozenset((one.where, one.sentence) for one in rules.problems)
        new = [one for one in rules.problems if (one.where, one.sentence) not in self._known_problems]
        for one in new:  # once, and not at every look: `check` and the alerts say it as long as it lasts
            self.reporter.settings_refused(now, where=one.where, problem=one.sentence, kept=one.kept)
        if new:
            self.runtime.database.transact(lambda connection: journal.add_events(connection, [
                Happening(
                    kind="settings_refused", actor=self.owner, campaign_id=one.campaign_id,
                    reason=f"{one.where}: {one.sentence}", details={"last_good_value_kept": one.kept},
                )
                for one in new
            ], now))
        self._known_problems = found

    def _replan_changed(
        self, campaign: Campaign | None, policy: Policy, known: str | None, before: Policy | None, now: datetime
    ) -> int:
        key = campaign.id if campaign else None
        fingerprint = policy.fingerprint
        moved = 0
        if known is not None and fingerprint.moves_calls_of(Fingerprint.parse(known)):
            openings, earlier = Openings(policy, now), Openings(before, now) if before else None
            for rows in self._waiting(key):
                moved += self._replan(rows, openings, earlier, now)
        # Written last: a process that dies before this does it again, which changes nothing.
        self.runtime.database.transact(lambda connection: settings.add_version(
            connection, key, str(fingerprint), version_document(policy), now, followed=True
        ))
        if known is not None:
            where = f"campaign {campaign.code}" if campaign else "scheduler_config"
            self.reporter.rules_changed(now, where=where, rows=moved)
        return moved

    def _waiting(self, campaign_id: int | None) -> Iterator[list[PlannedCall]]:
        """Rows that hours or a rule moved away from when they were wished, page by page."""
        after: tuple[datetime, int] | None = None
        while True:
            page = self.runtime.database.read(
                lambda connection: calls.list_planned(connection, campaign_id, after, PAGE)  # noqa: B023
            )
            rows = [
                row for row in page
                if row.wanted_at is not None and row.lead_id is not None and row.hold in MOVABLE
            ]
            if rows:
                yield rows
            if len(page) < PAGE:
                return
            after = (page[-1].scheduled_at, page[-1].id)

    def _replan(
        self, rows: list[PlannedCall], openings: Openings, before: Openings | None, now: datetime
    ) -> int:
        moves = [move for row in rows if (move := plan_again(row, openings, now, before)) is not None]
        return self.runtime.database.transact(lambda connection: calls.move_pending(connection, moves, now))


def plan_again(row: PlannedCall, openings: Openings, now: datetime, before: Openings | None = None) -> Move | None:
    """The due time of a row that hours had moved, by the rules as they are now. None: it stays.

    A row that does not stand where the rules of `before` put it was moved by a person, and stays too.
    """
    wanted_at = row.wanted_at or row.scheduled_at
    where = whereabouts(row.number, row.time_zone, row.region)
    capped = (row.reason or "").startswith(CAPS_REASON)
    problem = None
    if before is not None and row.hold is None and not capped:
        earlier = before.place(where, row.number)
        if (problem := earlier.problem) is None and not _stands_at_opening(row, earlier):
            return None
    place = openings.place(where, row.number)
    if (problem := problem or place.problem) is not None:
        return Move(row.id, now + RECHECK_HELD, f"held: {problem}", wanted_at, Hold.ERROR)
    at = openings.opening(where, row.number, wanted_at)
    if at is None:
        reason = openings.explain(place, now)
        return Move(row.id, now + RECHECK_HELD, f"held: {reason}", wanted_at, Hold.NEVER)
    if at == row.scheduled_at and row.hold is None:
        return None
    if capped or at <= max(wanted_at, now):
        # By hours alone: whether a cap still holds it back the gate says when it is due.
        return Move(row.id, max(at, wanted_at) if capped else wanted_at, "planned again: the rules were changed",
                    wanted_at if capped else None)
    return Move(row.id, at, f"planned again: {openings.explain(place, wanted_at)}", wanted_at)


def _stands_at_opening(row: PlannedCall, place: Place) -> bool:
    return not is_allowed(place.rules, row.scheduled_at - timedelta(seconds=1))


def _is_changed(fingerprint: Fingerprint, known: str | None) -> bool:
    if known is None:
        return True
    before = Fingerprint.parse(known)
    return fingerprint.rules != before.rules or fingerprint.moves_calls_of(before)


def _policy_before(connection: Connection, campaign_id: int | None) -> Policy | None:
    """The policy that was last seen in force; None when that cannot be told."""
    config = settings.find_last_version(connection, None, followed=True)
    own = settings.find_last_version(connection, campaign_id, followed=True) if campaign_id is not None else None
    if config is None or (campaign_id is not None and own is None):
        return None
    try:
        return Policy(
            read_config(dict(config[1].get("config", {}))),
            read_call_settings(settings_of_version(own[1]) if own else None),
            campaign_id=campaign_id,
        )
    except InvalidValue:
        return None  # written by a release that knew other settings


def first_call(lead: Lead, now: datetime, reason: str) -> Reschedule:
    """A first round for this lead, due now: the gate moves it inside hours."""
    first = next((phone.position for phone in phones_of(lead) if phone.status == "active"), 1)
    return Reschedule(at=now, reason=reason, attempt_number=1, phone_position=first)


def close_open_leads(
    connection: Connection, ids: Collection[int], word: str, reason: str, now: datetime, *, actor: str
) -> int:
    """Close those of these leads that are not closed yet, and cancel what was planned for them.

    A call in flight goes on to its end, and nothing follows it. Rows are locked first, as a take locks them.
    """
    rows = calls.list_open_calls(connection, ids, lock=True)
    people = leads.read_leads(connection, ids, lock=True, deciding=True)
    found = [one for one in people.values() if one.status is not LeadStatus.CLOSED]
    calls.cancel_rows(connection, {one.id: reason for one in rows if one.status is ScheduleStatus.PENDING}, now)
    leads.close_leads(connection, {one.id: word for one in found}, now)
    journal.add_events(connection, [
        Happening(
            kind="lead_closed", actor=actor, lead_id=one.id, campaign_id=one.campaign_id, reason=reason,
            details={"was": one.status.value, "closed_reason": word},
        )
        for one in found
    ], now)
    return len(found)


def _moved_elsewhere(
    rows: Collection[ScheduledCall], people: Mapping[int, Lead], campaign: Campaign
) -> dict[int, int | None]:
    """Rows whose leads belong to another campaign by now, with that one."""
    return {
        row.id: lead.campaign_id
        for row in rows
        if (lead := people.get(row.lead_id)) is not None and lead.campaign_id != campaign.id
    }
