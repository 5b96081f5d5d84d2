"""What follows an outcome: the next call of this lead, or none.

Pure. Decided here: next phone or next round, after how long, and when it is over. `attempt_number`
counts rounds over the lead's phones, so going to the next phone keeps it; the maximum is one total per
lead, whatever mix of outcomes came. Not decided here: whether that call may then be placed, which the
gate asks again when its time comes (`rules.eligibility`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from scheduler.model import Hold, Outcome, Phone, PhoneStatus
from scheduler.rules.hours import AtLocal, Delay, Elapsed, HoursRule, NoDelay, plan
from scheduler.rules.policy import Policy

RulesOf: TypeAlias = Callable[[str], Sequence[HoursRule]]
"""The calendar for one number of the lead: another number may be in another zone."""


@dataclass(frozen=True, slots=True)
class Reschedule:
    """The lead is called again. `wanted_at` is set when hours moved the plan to `at`."""

    at: datetime
    reason: str
    attempt_number: int
    phone_position: int
    wanted_at: datetime | None = None
    promise: bool = False
    hold: Hold | None = None


@dataclass(frozen=True, slots=True)
class Finish:
    """The lead is not called again. `closed_reason` is the word for the table, `reason` for people."""

    closed_reason: str
    reason: str


NextStep: TypeAlias = Reschedule | Finish


@dataclass(frozen=True, slots=True)
class Ended:
    """An attempt that is over, as the rule needs to see it. `callback_at` is a naive local wish."""

    outcome: Outcome
    attempt_number: int
    phone_position: int
    has_appointment: bool = False
    callback_at: datetime | None = None
    callback_zone: str | None = None
    by_us: bool = False
    """It was we who ended the call: an operator with `ringback calls hangup`, or its maximum duration."""


def decide_next(
    ended: Ended, phones: Sequence[Phone], policy: Policy, rules_of: RulesOf, now: datetime, *,
    barred: Collection[str] = (),
) -> NextStep:
    """What follows. `phones` are the lead's, by position, those found invalid marked so; `barred` numbers
    are on the do-not-call list.
    """
    outcome = ended.outcome
    valid = [phone for phone in phones if phone.status is PhoneStatus.ACTIVE]
    active = [phone for phone in valid if phone.number not in barred]
    if outcome is Outcome.COMPLETED:
        word = "appointment" if ended.has_appointment else "completed"
        return Finish(word, "an appointment was booked" if ended.has_appointment else "the call was completed")
    if outcome is Outcome.DO_NOT_CALL:
        return Finish("do_not_call", "the person asked not to be called")
    if outcome is Outcome.CANCELLED and not ended.by_us:
        # Whoever stops a call in the vendor's console has a reason that is not known here: nobody is rung again.
        return Finish(
            "cancelled", "somebody cancelled the call at the provider; `ringback leads reopen` lets it be called again"
        )
    if not valid:
        return Finish("invalid_number", "no number of this lead can be dialed")
    if not active:
        return Finish("do_not_call", "every number of this lead is on the do-not-call list")
    if outcome is Outcome.CALLBACK:
        return _call_back(ended, active, policy, rules_of, now)
    # The same number written at two positions is one number: it has been rung in this round.
    rung = {phone.number for phone in phones if phone.position <= ended.phone_position}
    following = next(
        (phone for phone in active if phone.position > ended.phone_position and phone.number not in rung), None
    )
    if following is not None:
        return _plan(
            following, ended.attempt_number, NoDelay(), f"next phone after {outcome}", rules_of, now
        )
    # An invalid number has no delay of its own; the other numbers of the lead wait as after a failure.
    waits_as = Outcome.FAILED if outcome in (Outcome.INVALID_NUMBER, Outcome.CANCELLED) else outcome
    most = policy.max_attempts(waits_as)
    if ended.attempt_number >= most.value:
        return Finish("max_attempts", f"{ended.attempt_number} of {most.value} attempts made ({most.source})")
    delay = policy.delay(waits_as)
    return _plan(
        active[0], ended.attempt_number + 1, Elapsed(delay.value.total_seconds()),
        f"attempt {ended.attempt_number + 1} of {most.value}, {_spoken(delay.value.total_seconds())} after {outcome}",
        rules_of, now,
    )


def better_informed(known: Outcome | None, told: Outcome | None) -> Outcome | None:
    """The outcome that takes the place of `known` when the same call is told of again; None: it stays.

    The order of reports must not matter, so outcomes have one order: each gives way only to one that takes more to
    know (somebody answered; it was a machine; the person asked for a callback; they asked not to be called).
    """
    if known is None or told is None:
        return None
    return told if KNOWLEDGE.index(told) > KNOWLEDGE.index(known) else None


KNOWLEDGE: Sequence[Outcome] = (
    Outcome.FAILED, Outcome.NO_ANSWER, Outcome.BUSY, Outcome.CANCELLED, Outcome.HANG_UP, Outcome.INVALID_NUMBER,
    Outcome.COMPLETED, Outcome.VOICEMAIL, Outcome.CALLBACK, Outcome.DO_NOT_CALL,
)
"""From what is least informed to what is best."""


def _call_back(
    ended: Ended, active: Sequence[Phone], policy: Policy, rules_of: RulesOf, now: datetime
) -> NextStep:
    """A promise is kept beyond the maximum, but there are no more promises than attempts: a voice agent that
    hears "call me later" in everything must not ring somebody for ever.
    """
    number = ended.attempt_number + 1
    most = policy.max_attempts(Outcome.CALLBACK)
    if number > most_with_promises(most.value):
        return Finish("max_attempts", f"{ended.attempt_number} calls made, callbacks included ({most.source})")
    phone = next((phone for phone in active if phone.position == ended.phone_position), active[0])
    if ended.callback_at is not None:
        wish = AtLocal(ended.callback_at, ended.callback_zone)
        planned = plan(rules_of(phone.number), now, wish)
        if planned.wanted_at is None or planned.wanted_at > now:
            zone = f" {ended.callback_zone}" if ended.callback_zone else ""
            reason = f"callback asked for at {ended.callback_at:%Y-%m-%d %H:%M}{zone}"
            return _plan(phone, number, wish, reason, rules_of, now, promise=True)
    delay = policy.delay(Outcome.CALLBACK)
    what = "without a time" if ended.callback_at is None else "for a time that has passed"
    return _plan(
        phone, number, Elapsed(delay.value.total_seconds()),
        f"callback asked for {what}, {_spoken(delay.value.total_seconds())} later", rules_of, now, promise=True,
    )


def most_with_promises(most: int) -> int:
    """How far the attempt number may go when leads asked to be called back."""
    return 2 * most


def _plan(
    phone: Phone, number: int, delay: Delay, reason: str, rules_of: RulesOf, now: datetime, *, promise: bool = False
) -> Reschedule:
    planned = plan(rules_of(phone.number), now, delay)
    if planned.at is None:
        return Reschedule(
            at=now, reason=f"{reason}; never: {planned.reason}", attempt_number=number,
            phone_position=phone.position, promise=promise, hold=Hold.NEVER,
        )
    moved = planned.wanted_at is not None and planned.wanted_at != planned.at
    return Reschedule(
        at=planned.at, reason=f"{reason}; {planned.reason}" if moved else reason, attempt_number=number,
        phone_position=phone.position, wanted_at=planned.wanted_at if moved else None, promise=promise,
    )


def _spoken(seconds: float) -> str:
    for size, word in ((3600, "h"), (60, "min")):
        if seconds >= size and seconds % (size / 4) == 0:
            return f"{seconds / size:g} {word}"
    return f"{seconds:g} s"


MANY_REFUSALS = 5
"""A row that a provider turned down so often waits for people."""


@dataclass(frozen=True, slots=True)
class GiveBack:
    """No call was made: the row waits again, its attempt unspent."""

    at: datetime
    reason: str
    hold: Hold | None = None


def after_refusal(
    why: str, wait: timedelta, now: datetime, *, refusals: int, jitter: float, counts: bool = True, grows: bool = False
) -> GiveBack:
    """When to try again after `refusals` earlier ones. `jitter` in 0..1 spreads those that come back together.

    `counts`: was it this row that was turned down? Trouble of ours or of the account never holds a lead; but a row
    that meets it each time waits longer (`grows`), so that the one call that is tried is not always the same one.
    """
    if counts and refusals + 1 >= MANY_REFUSALS:
        return GiveBack(
            now + timedelta(hours=1), f"held: refused {refusals + 1} times, last: {why}", Hold.ERROR
        )
    longer = wait * (2 ** min(refusals, 6)) if counts or grows else wait
    return GiveBack(now + longer * (1 + 0.5 * jitter), f"not dialed, attempt not spent: {why}")
