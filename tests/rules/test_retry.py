from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from scheduler.model import RETRYABLE_OUTCOMES, Hold, Outcome, Phone, PhoneStatus
from scheduler.rules.hours import HoursRule, Windows
from scheduler.rules.policy import Policy, read_call_settings, read_config
from scheduler.rules.retry import KNOWLEDGE, MANY_REFUSALS, Ended, Finish, Reschedule, after_refusal, decide_next
from tests.each import each

NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
"""A Friday, 12:00 in Santiago."""
HOUR = timedelta(hours=1)
SANTIAGO = ZoneInfo("America/Santiago")
ALWAYS = HoursRule(("UTC",), Windows.parse({"all": [["00:00", "24:00"]]}))
OFFICE = HoursRule(("America/Santiago",), Windows.parse({"mon-fri": [["09:00", "20:00"]]}))
NEVER = HoursRule(("UTC",), Windows.parse({}))
DEFAULT = Policy(read_config({}))

ONE, TWO, THREE = (1,), (1, 2), (1, 2, 3)

TABLE = [
    # outcome, active phones, phone dialed, attempt; then (attempt, phone, hours later) or the word it is closed with
    ("completed", ONE, 1, 1, "completed"), ("completed", TWO, 1, 3, "completed"),
    ("do_not_call", ONE, 1, 1, "do_not_call"), ("do_not_call", TWO, 1, 1, "do_not_call"),
    ("invalid_number", (), 1, 1, "invalid_number"), ("invalid_number", (2,), 1, 1, (1, 2, 0)),
    ("invalid_number", (1,), 2, 1, (2, 1, 4)), ("invalid_number", (1,), 2, 3, "max_attempts"),
    ("invalid_number", (1, 3), 2, 1, (1, 3, 0)), ("cancelled", ONE, 1, 1, "cancelled"),
    ("callback", ONE, 1, 2, (3, 1, 4)), ("callback", TWO, 2, 2, (3, 2, 4)), ("callback", ONE, 2, 1, (2, 1, 4)),
    ("callback", ONE, 1, 5, (6, 1, 4)), ("callback", ONE, 1, 6, "max_attempts"),
    *[
        (outcome, *row)
        for outcome in RETRYABLE_OUTCOMES
        for row in [
            (ONE, 1, 1, (2, 1, 4)), (ONE, 1, 2, (3, 1, 4)), (ONE, 1, 3, "max_attempts"), (ONE, 1, 9, "max_attempts"),
            (TWO, 1, 1, (1, 2, 0)), (TWO, 2, 1, (2, 1, 4)), (TWO, 1, 3, (3, 2, 0)), (TWO, 2, 3, "max_attempts"),
            (THREE, 2, 1, (1, 3, 0)), ((1, 3), 1, 1, (1, 3, 0)), ((2, 3), 3, 1, (2, 2, 4)),
            ((), 1, 1, "invalid_number"),
        ]
    ],
]  # fmt: skip


@each("outcome, active, phone, attempt, follows", TABLE)
def test_what_follows(outcome, active, phone, attempt, follows):
    step = decide(outcome, active=active, phone=phone, attempt=attempt)

    if isinstance(follows, str):
        assert isinstance(step, Finish)
        assert step.closed_reason == follows
    else:
        number, position, hours = follows
        assert isinstance(step, Reschedule)
        assert (step.attempt_number, step.phone_position, step.at) == (number, position, NOW + hours * HOUR)
    assert step.reason


def test_an_appointment_is_a_reason_of_its_own():
    step = decide("completed", has_appointment=True)

    assert isinstance(step, Finish)
    assert step.closed_reason == "appointment"


@given(st.lists(st.sampled_from(RETRYABLE_OUTCOMES), min_size=1, max_size=12), st.integers(1, 5))
def test_whatever_mix_of_outcomes_comes_the_maximum_is_one_total(outcomes, most):
    policy = Policy(read_config({"default_max_attempts": str(most)}))
    attempt = made = 1
    for outcome in outcomes:
        step = decide(outcome, attempt=attempt, policy=policy)
        if isinstance(step, Finish):
            break
        attempt, made = step.attempt_number, made + 1

    assert made == min(most, len(outcomes) + 1)


@given(
    st.sampled_from(Outcome), st.integers(1, 3), st.sets(st.integers(1, 3)), st.integers(1, 6),
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31)),  # noqa: DTZ001  made aware below
)  # fmt: skip
def test_no_plan_lies_in_the_past_nor_outside_hours_nor_on_a_phone_that_is_out(outcome, phone, active, attempt, at):
    now = at.replace(tzinfo=UTC)
    step = decide(outcome, active=tuple(sorted(active)), phone=phone, attempt=attempt, rule=OFFICE, now=now)

    if isinstance(step, Reschedule):
        local = step.at.astimezone(SANTIAGO)
        assert step.at >= now
        assert step.phone_position in active
        assert local.isoweekday() <= 5 and 9 <= local.hour < 20
        assert step.attempt_number in (attempt, attempt + 1)


def test_a_plan_outside_hours_is_moved_later_and_says_what_was_wanted():
    step = decide("no_answer", rule=OFFICE, now=NOW + 6 * HOUR)  # 18:00 in Santiago, so 22:00

    assert isinstance(step, Reschedule)
    assert step.at == datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
    assert step.wanted_at == NOW + 10 * HOUR
    assert "outside hours" in step.reason


def test_the_next_phone_is_judged_by_its_own_hours():
    asked = []

    def rules_of(number: str):
        asked.append(number)
        return (OFFICE,)

    decide_next(Ended(Outcome.BUSY, 1, 1), phones(TWO), DEFAULT, rules_of, NOW)

    assert asked == ["+5690000002"]


@each("outcome, active", [*product(("busy", "callback"), (ONE, TWO))])
def test_never_is_an_answer_and_holds_the_lead(outcome, active):
    step = decide(outcome, active=active, rule=NEVER)

    assert isinstance(step, Reschedule)
    assert step.hold is Hold.NEVER
    assert "never" in step.reason


@each(
    "wish, zone, at, moved",
    [
        ("2026-11-20T18:30", None, "2026-11-20T21:30", False),
        ("2026-11-20T18:30", "Europe/Madrid", "2026-11-20T17:30", False),
        ("2026-11-20T20:00", None, "2026-11-23T12:00", True),
        ("2026-11-22T10:00", None, "2026-11-23T12:00", True),
    ],
)
def test_a_callback_is_planned_for_the_time_that_was_asked_for(wish, zone, at, moved):
    step = decide("callback", attempt=3, rule=OFFICE, callback_at=datetime.fromisoformat(wish), callback_zone=zone)

    assert isinstance(step, Reschedule)
    assert f"{step.at:%Y-%m-%dT%H:%M}" == at
    assert (step.promise, step.attempt_number, step.wanted_at is not None) == (True, 4, moved)
    assert "callback asked for at" in step.reason


@each("wish", ["2026-11-19T10:00", "2026-11-20T12:00"])
def test_a_callback_for_a_time_that_has_passed_waits_the_usual_delay(wish):
    step = decide("callback", rule=OFFICE, callback_at=datetime.fromisoformat(wish))

    assert isinstance(step, Reschedule)
    assert (step.at, step.promise) == (NOW + 4 * HOUR, True)
    assert "has passed" in step.reason


@each(
    "barred, follows",
    [
        (["+5690000002"], (1, 3, 0)),
        (["+5690000002", "+5690000003"], (2, 1, 4)),
        (["+5690000001", "+5690000002", "+5690000003"], "do_not_call"),
    ],
)
def test_a_barred_number_is_no_next_phone(barred, follows):
    step = decide_next(Ended(Outcome.BUSY, 1, 1), phones(THREE), DEFAULT, lambda number: (ALWAYS,), NOW, barred=barred)

    if isinstance(follows, str):
        assert isinstance(step, Finish)
        assert step.closed_reason == follows
    else:
        assert isinstance(step, Reschedule)
        assert (step.attempt_number, step.phone_position, step.at) == (*follows[:2], NOW + follows[2] * HOUR)


def test_a_number_written_twice_is_rung_once_a_round():
    twice = tuple(replace(phone, number="+5690000001") for phone in phones(TWO))

    step = decide_next(Ended(Outcome.BUSY, 1, 1), twice, DEFAULT, lambda number: (ALWAYS,), NOW)

    assert isinstance(step, Reschedule)
    assert (step.attempt_number, step.at) == (2, NOW + 4 * HOUR)


@each(
    "settings, hours, most",
    [
        ({}, 4, 3),
        ({"max_attempts": 9}, 4, 9),
        ({"outcomes": {"busy": {"delay_hours": 0.25, "max_attempts": 5}}}, 0.25, 5),
    ],
)
def test_delay_and_maximum_are_those_of_the_outcome(settings, hours, most):
    policy = Policy(read_config({}), read_call_settings(settings))

    step = decide("busy", policy=policy)

    assert isinstance(step, Reschedule)
    assert (step.at, f"of {most}" in step.reason) == (NOW + hours * HOUR, True)
    assert isinstance(decide("busy", policy=policy, attempt=most), Finish)


# --- refusals ---------------------------------------------------------------------------------------------------


@each(
    "refusals, counts, jitter, wait",
    [
        (0, True, 0.0, 60), (1, True, 0.0, 120), (3, True, 0.0, 480), (0, True, 1.0, 90), (0, False, 0.0, 60),
        (50, False, 0.0, 60), (0, False, 0.5, 75),
    ],
)  # fmt: skip
def test_a_refused_row_comes_back_later_each_time_unless_the_trouble_was_ours(refusals, counts, jitter, wait):
    back = after_refusal("no route", timedelta(seconds=60), NOW, refusals=refusals, jitter=jitter, counts=counts)

    assert (back.at, back.hold) == (NOW + timedelta(seconds=wait), None)
    assert "not spent" in back.reason


def test_a_row_turned_down_again_and_again_is_held():
    back = after_refusal("no route", timedelta(seconds=60), NOW, refusals=MANY_REFUSALS - 1, jitter=0)

    assert back.hold is Hold.ERROR
    assert back.at > NOW
    assert "no route" in back.reason


# --- what this file needs ---------------------------------------------------------------------------------------


def decide(outcome, *, active=ONE, phone=1, attempt=1, policy=DEFAULT, rule=ALWAYS, now=NOW, **more):
    ended = Ended(Outcome(outcome), attempt, phone, **more)
    return decide_next(ended, phones(active), policy, lambda number: (rule,), now)


def phones(active: tuple[int, ...]) -> tuple[Phone, ...]:
    """Three numbers, of which these positions are active."""
    return tuple(
        Phone(1, position, f"+569000000{position}", PhoneStatus.ACTIVE if position in active else PhoneStatus.INVALID)
        for position in (1, 2, 3)
    )


def test_every_outcome_has_its_place_in_the_order_of_knowledge():
    assert sorted(KNOWLEDGE) == sorted(Outcome)
