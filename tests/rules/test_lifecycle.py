from __future__ import annotations

from itertools import product

from scheduler.model import OPEN_STATES, OPEN_STATUSES, AttemptState, ScheduleStatus
from scheduler.rules.lifecycle import ATTEMPT_MOVES, SCHEDULE_MOVES, states_before, statuses_before
from tests.each import each

LEGAL_ATTEMPTS = {
    ("placing", "live"), ("placing", "refused"), ("placing", "unknown"), ("placing", "ended"), ("unknown", "live"),
    ("unknown", "ended"), ("unknown", "refused"), ("live", "ended"), ("live", "refused"),
    ("refused", "ended"),
}  # fmt: skip
LEGAL_CALLS = {
    ("pending", "pending"), ("pending", "in_progress"), ("pending", "cancelled"), ("in_progress", "completed"),
    ("in_progress", "pending"), ("in_progress", "cancelled"),
}  # fmt: skip


@each("before, after", [*product(AttemptState, repeat=2)])
def test_an_attempt_moves_as_drawn_and_not_otherwise(before, after):
    assert (after in ATTEMPT_MOVES[before]) == ((before.value, after.value) in LEGAL_ATTEMPTS)


@each("before, after", [*product(ScheduleStatus, repeat=2)])
def test_a_scheduled_call_moves_as_drawn_and_not_otherwise(before, after):
    assert (after in SCHEDULE_MOVES[before]) == ((before.value, after.value) in LEGAL_CALLS)


@each(
    "state, before",
    [
        ("placing", set()), ("live", {"placing", "unknown"}), ("unknown", {"placing"}),
        ("refused", {"placing", "unknown", "live"}), ("ended", {"placing", "unknown", "live"}),
    ],
)  # fmt: skip
def test_updates_leave_the_states_of_the_table_and_late_truth_has_its_own(state, before):
    assert {one.value for one in states_before(AttemptState(state))} == before


@each(
    "status, before",
    [
        ("pending", {"pending", "in_progress"}), ("in_progress", {"pending"}), ("completed", {"in_progress"}),
        ("cancelled", {"pending", "in_progress"}),
    ],
)  # fmt: skip
def test_a_row_comes_to_each_status_from_these(status, before):
    assert {one.value for one in statuses_before(ScheduleStatus(status))} == before


def test_what_is_over_is_never_open_again():
    for state in set(AttemptState) - set(OPEN_STATES):
        assert ATTEMPT_MOVES[state].isdisjoint(OPEN_STATES)
    for status in set(ScheduleStatus) - set(OPEN_STATUSES):
        assert SCHEDULE_MOVES[status] == frozenset()
