"""What was learnt of calls, by asking or by being told, written in one transaction.

Facts come from polls, from look-ups and from provider events, in any order and more than once; they only
move an attempt forward, so whoever comes second changes nothing. Accounts are locked last.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from scheduler.model import Attempt, AttemptState, CallStatus, Happening, ScheduleStatus
from scheduler.providers.base import CallReport
from scheduler.service.outcomes import ACTOR, Applied, End, apply_ends, release_reserves
from scheduler.service.rulebook import RuleBook
from scheduler.store import calls, journal, leads
from scheduler.store.calls import Move
from scheduler.store.database import Connection

FIRST_LOOK = timedelta(seconds=1)
"""How soon after a call went live, or was found, it is first asked about."""


@dataclass(slots=True)
class Learnt:
    """Facts and conclusions of one round, before they are written."""

    ends: list[End] = field(default_factory=list)
    answered: dict[int, datetime] = field(default_factory=dict)
    found: list[tuple[Attempt, CallReport]] = field(default_factory=list)
    looked: list[int] = field(default_factory=list)
    looks: dict[int, datetime | None] = field(default_factory=dict)
    rests: dict[int, datetime] = field(default_factory=dict)
    """When unknown attempts are looked up next, where that is later than usual."""
    never_made: list[Attempt] = field(default_factory=list)
    doubts: dict[int, str] = field(default_factory=dict)
    hints: list[int] = field(default_factory=list)
    risen: list[tuple[Attempt, str]] = field(default_factory=list)
    """Attempts that had been given up and turn out to be calls, with the provider's id: not over, as far as known."""

    def __bool__(self) -> bool:
        return bool(
            self.ends or self.answered or self.found or self.looked or self.looks or self.doubts or self.hints
            or self.risen or self.rests
        )

    def apart(self) -> Iterator[Learnt]:
        """The same, one call at a time."""
        yield from (Learnt(ends=[one]) for one in self.ends)
        yield from (Learnt(answered={one: at}) for one, at in self.answered.items())
        yield from (Learnt(found=[one]) for one in self.found)
        yield from (Learnt(looks={one: at}) for one, at in self.looks.items())
        yield from (Learnt(doubts={one: why}) for one, why in self.doubts.items())
        yield from (Learnt(rests={one: at}) for one, at in self.rests.items())
        yield from (Learnt(hints=[one]) for one in self.hints)
        yield from (Learnt(risen=[one]) for one in self.risen)
        gone = {one.id: one for one in self.never_made}
        for one_id in self.looked:
            yield Learnt(looked=[one_id], never_made=[gone[one_id]] if one_id in gone else [])


def write_facts(
    connection: Connection, learnt: Learnt, told: Applied, *, now: datetime, rulebook: RuleBook
) -> None:
    """Write it all, as a step of the caller's transaction; `told` is what is to be said after its commit."""
    _write_found(connection, learnt, now, told)
    calls.note_answered(connection, learnt.answered)
    calls.note_doubts(connection, learnt.doubts)
    calls.poll_soon(connection, learnt.hints, now)
    calls.rest_looks(connection, learnt.rests)
    for one, call_id in learnt.risen:
        _take_up_again(connection, one, call_id, now, told, rulebook)
    gone = _write_never_made(connection, learnt, now, told)
    if learnt.ends:
        applied = apply_ends(connection, learnt.ends, now=now, rulebook=rulebook)
        told.notes += applied.notes
        told.refusals += applied.refusals
        told.reached |= applied.reached
    calls.look_again(connection, learnt.looks)
    release_reserves(connection, gone, ACTOR, now)  # accounts are locked last


def _write_found(connection: Connection, learnt: Learnt, now: datetime, told: Applied) -> None:
    if not learnt.found:
        return
    calls.mark_live(connection, [
        {
            "id": one.id, "provider_call_id": report.call_id, "placed_at": one.placed_at or one.claimed_at,
            "next_poll_at": now + FIRST_LOOK,
        }
        for one, report in learnt.found
    ])
    leads.set_call_status(connection, [one.lead_id for one, _ in learnt.found], CallStatus.CALLING, now)
    for one, _ in learnt.found:
        if one.state is AttemptState.UNKNOWN:
            told.note("settled", attempt_id=one.id, how="found at the provider: it is a call")


def _take_up_again(
    connection: Connection, one: Attempt, call_id: str, now: datetime, told: Applied, rulebook: RuleBook
) -> None:
    """A call that we believed not to exist is going on: it is followed to its end, and its lead waits for that."""
    if not calls.note_late_call(connection, one.id, call_id, now):
        return
    why = "an earlier call, believed not to have been made, may still be going on"
    let_lead_wait(connection, one, why, now, rulebook)
    journal.add_events(connection, [Happening(
        kind="late_truth", actor=ACTOR, lead_id=one.lead_id, attempt_id=one.id, schedule_id=one.schedule_id,
        reason=f"given up as {one.state}, but the provider tells of a call",
    )], now)
    told.note("settled", attempt_id=one.id, how="given up, but the provider tells of a call; it is followed to its end")


def let_lead_wait(connection: Connection, one: Attempt, why: str, now: datetime, rulebook: RuleBook) -> None:
    """What is planned for the lead waits until a call to it that may be going on must be over."""
    policy = rulebook.read_for(connection, {one.campaign_id}).policy(one.campaign_id)
    until = now + policy.ring_timeout + policy.max_call_duration
    waiting = calls.list_open_calls(connection, [one.lead_id], lock=True)
    calls.move_pending(connection, [
        Move(row.id, until, why, row.wanted_at or row.scheduled_at)
        for row in waiting if row.status is ScheduleStatus.PENDING and row.scheduled_at < until
    ], now)


def _write_never_made(connection: Connection, learnt: Learnt, now: datetime, told: Applied) -> list[int]:
    """Returns the attempts that are now known to have been no calls."""
    calls.count_look(connection, learnt.looked)
    if not learnt.never_made:
        return []
    # Locked first: a webhook may have shown the call while we were asking.
    attempts = calls.lock_attempts(connection, [one.id for one in learnt.never_made])
    gone = [one for one in attempts.values() if one.state is AttemptState.UNKNOWN]
    calls.mark_refused(connection, {one.id: "looked up by its ref: no such call was made" for one in gone})
    rows = calls.read_calls(connection, {one.schedule_id for one in gone if one.schedule_id}, lock=True)
    calls.give_back(
        connection,
        [
            Move(row.id, now, "looked up: no call was made, attempt not spent", phone_position=row.phone_position)
            for row in rows.values()
            if row.status == "in_progress"
        ],
        now,
    )
    for one in gone:
        told.note("settled", attempt_id=one.id, how="looked up: no call was made; the lead waits again")
    return [one.id for one in gone]
