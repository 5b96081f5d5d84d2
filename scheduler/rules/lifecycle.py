"""The legal moves of a scheduled call and of an attempt, in one table.

Every UPDATE in `store` takes the states that it may leave from here, so that what is not drawn below
cannot happen. "Late truth" is the one move out of a terminal state: an attempt that we had given up
turns out to have been a call; the fact is recorded, and no new row follows from it.
"""

from __future__ import annotations

from collections.abc import Mapping

from scheduler.model import AttemptState, ScheduleStatus

ATTEMPT_MOVES: Mapping[AttemptState, frozenset[AttemptState]] = {
    AttemptState.PLACING: frozenset(
        {AttemptState.LIVE, AttemptState.REFUSED, AttemptState.UNKNOWN, AttemptState.ENDED}
    ),
    AttemptState.UNKNOWN: frozenset({AttemptState.LIVE, AttemptState.ENDED, AttemptState.REFUSED}),
    # A call may be accepted and then never dialed, for want of credit or of a free line at the vendor.
    AttemptState.LIVE: frozenset({AttemptState.ENDED, AttemptState.REFUSED}),
    AttemptState.REFUSED: frozenset({AttemptState.ENDED}),  # late truth
    AttemptState.ENDED: frozenset(),
}

SCHEDULE_MOVES: Mapping[ScheduleStatus, frozenset[ScheduleStatus]] = {
    ScheduleStatus.PENDING: frozenset(
        {ScheduleStatus.PENDING, ScheduleStatus.IN_PROGRESS, ScheduleStatus.CANCELLED}
    ),
    ScheduleStatus.IN_PROGRESS: frozenset(
        {ScheduleStatus.COMPLETED, ScheduleStatus.PENDING, ScheduleStatus.CANCELLED}
    ),
    ScheduleStatus.COMPLETED: frozenset(),
    ScheduleStatus.CANCELLED: frozenset(),
}


def states_before(state: AttemptState) -> tuple[AttemptState, ...]:
    """The states that an attempt may leave to come to `state`, late truth aside."""
    return tuple(
        before
        for before, after in ATTEMPT_MOVES.items()
        if state in after and before is not AttemptState.REFUSED
    )


def statuses_before(status: ScheduleStatus) -> tuple[ScheduleStatus, ...]:
    """The statuses that a scheduled call may leave to come to `status`."""
    return tuple(before for before, after in SCHEDULE_MOVES.items() if status in after)
