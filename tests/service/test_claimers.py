"""Whether the process that claimed a dial may still send its request: real processes, frozen, killed and buried."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from scheduler.service.claimers import NOWHERE, here, is_dead, mark_of
from scheduler.service.dispatch import DialJob, Dispatcher
from scheduler.store.journal import Claimer, add_daemon
from tests.conftest import NOON
from tests.factories import (
    MINUTE,
    Station,
    add_due_lead,
    attempt_of,
    broken_promises,
    call_of,
    chilean,
    sql,
    with_settings,
)
from tests.waiting import wait_until

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
OURS = "this-host"
SECOND = timedelta(seconds=1)


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(SLEEP) as process:
        yield process
        process.send_signal(signal.SIGCONT)
        process.kill()


# --- dead or frozen ---------------------------------------------------------------------------------------


def test_a_process_that_runs_or_is_frozen_is_not_known_to_be_dead(sleeper):
    row = claimer(sleeper.pid)
    assert not is_dead(row, OURS)

    sleeper.send_signal(signal.SIGSTOP)
    assert not is_dead(row, OURS)


def test_a_killed_process_is_known_to_be_dead_even_before_it_is_buried(sleeper):
    row = claimer(sleeper.pid)
    os.kill(sleeper.pid, signal.SIGKILL)
    wait_until(lambda: mark_of(sleeper.pid) is None, what="it is dead, and its parent has not asked for it")

    assert is_dead(row, OURS)


def test_another_process_with_its_id_does_not_stand_in_for_it(sleeper):
    begun_earlier = f"{here()} 1"
    assert is_dead(claimer(sleeper.pid, mark=begun_earlier), OURS)


def test_the_same_host_started_again_has_none_of_its_processes_any_more():
    machine, _, space = here().split()
    before = f"{machine} another-start {space} 1"

    assert is_dead(claimer(os.getpid(), mark=before), OURS) is (machine != NOWHERE)
    assert not is_dead(claimer(os.getpid(), mark=before, host="another-host"), OURS)


@pytest.mark.parametrize("mark", [None, "", "half a mark", "other-machine other-start 1 1"])
def test_of_a_process_elsewhere_or_without_a_mark_nothing_is_known_here(mark):
    assert not is_dead(claimer(99_999_999, mark=mark), OURS)


def test_a_container_with_ids_of_its_own_says_nothing_of_processes_in_another():
    machine, start, _ = here().split()
    assert not is_dead(claimer(99_999_999, mark=f"{machine} {start} 1 1"), OURS)


def test_where_the_system_tells_nothing_nobody_is_known_to_be_dead(tmp_path: Path):
    assert mark_of(os.getpid(), tmp_path) is None
    nowhere = here(tmp_path)
    assert not is_dead(claimer(os.getpid(), mark=f"{nowhere} 1"), OURS, tmp_path)


# --- what "not found" is worth ----------------------------------------------------------------------------

NOT_BELIEVED, BELIEVED = "unknown", "refused"


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ("status = 'running'", NOT_BELIEVED),
        ("status = 'stopped'", BELIEVED),
        ("process_mark = CONCAT(process_mark, '0')", BELIEVED),
        ("process_mark = NULL", NOT_BELIEVED),
        ("process_mark = 'other other 1 1'", NOT_BELIEVED),
    ],
)
def test_not_found_is_believed_only_when_nobody_may_still_send_it(runtime, database, clock, change, state):
    lead_id, other = claim_and_freeze(runtime, database, clock)
    if database.is_sqlite:
        change = change.replace("CONCAT(process_mark, '0')", "process_mark || '0'")
    sql(database, f"UPDATE daemons SET {change}")

    look_for(other, clock, 10 * MINUTE)

    assert attempt_of(database, lead_id).state == state
    if state == NOT_BELIEVED:
        assert "may still leave" in attempt_of(database, lead_id).error
        assert other.dispatch().taken == 0, "nobody else dials that phone meanwhile"
    else:
        assert call_of(database, lead_id).status == "pending"
    assert broken_promises(database) == {}


def test_a_claimer_that_goes_on_is_believed_to_have_sent_what_it_would(runtime, database, clock):
    lead_id, other = claim_and_freeze(runtime, database, clock)
    look_for(other, clock, 5 * MINUTE)
    before = attempt_of(database, lead_id).state
    sql(database, f"UPDATE daemons SET last_seen_at = '{clock.now():%Y-%m-%d %H:%M:%S}'")

    look_for(other, clock, 2 * MINUTE)

    assert (before, attempt_of(database, lead_id).state) == (NOT_BELIEVED, BELIEVED)


def test_a_claimer_that_woke_just_now_has_the_time_of_a_request_before_it_is_believed(runtime, database, clock):
    lead_id, other = claim_and_freeze(with_settings(runtime, poll_every=2), database, clock)
    look_for(other, clock, 5 * MINUTE)
    sql(database, f"UPDATE daemons SET last_seen_at = '{clock.now():%Y-%m-%d %H:%M:%S}'")

    look_for(other, clock, timedelta(seconds=runtime.settings.request_timeout) - 2 * SECOND, step=2 * SECOND)

    assert attempt_of(database, lead_id).state == NOT_BELIEVED


def test_a_claimer_that_is_silent_for_long_is_believed_gone(runtime, database, clock):
    lead_id, other = claim_and_freeze(runtime, database, clock)
    long = timedelta(seconds=runtime.settings.gone_after)

    look_for(other, clock, long - MINUTE)
    before = attempt_of(database, lead_id).state
    look_for(other, clock, 3 * MINUTE)

    assert (before, attempt_of(database, lead_id).state) == (NOT_BELIEVED, BELIEVED)


def test_a_claimer_without_a_row_is_no_better_than_one_that_is_silent(runtime, database, clock):
    lead_id, other = claim_and_freeze(runtime, database, clock)
    sql(database, "DELETE FROM daemons")

    look_for(other, clock, 10 * MINUTE)

    assert attempt_of(database, lead_id).state == NOT_BELIEVED


# --- what this file needs ---------------------------------------------------------------------------------


def claimer(pid: int, *, mark: str | None = "", host: str = OURS) -> Claimer:
    return Claimer(host, pid, "running", NOON, mark_of(pid) if mark == "" else mark)


class StoppedDispatcher(Dispatcher):
    """Its process is stopped right after the commit of its take."""

    def _dial_all(self, jobs: Sequence[DialJob], started: float) -> None:
        return


def claim_and_freeze(runtime, database, clock) -> tuple[int, Station]:
    """A daemon that claimed a lead and said nothing since; and another one, that finds no call."""
    number = chilean()
    lead_id = add_due_lead(database, number)
    other = Station(runtime, owner="other")
    frozen = StoppedDispatcher(other.runtime, owner="frozen")
    database.transact(lambda connection: add_daemon(
        connection, owner="frozen", host=OURS, pid=os.getpid(), provider="scripted", version="1", now=clock.now(),
        process_mark=mark_of(os.getpid()),
    ))
    other.provider.forgets(number)
    frozen.run_once()
    return lead_id, other


def look_for(other: Station, clock, lasts: timedelta, *, step: timedelta = 10 * SECOND) -> None:
    """Everything that another daemon does about the dials of others, for so long."""
    until = clock.now() + lasts
    other.upkeep()
    while clock.now() < until:
        clock.advance(min(step, until - clock.now()))
        other.upkeep()
        other.follow()
