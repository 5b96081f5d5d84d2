from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from scheduler.model import Outcome
from scheduler.store import calls, inbox
from scheduler.store.calls import Move
from scheduler.store.database import Connection, Database
from scheduler.store.leads import find_lead
from tests.conftest import NOON
from tests.factories import (
    DAY,
    HOUR,
    MINUTE,
    Station,
    add_campaign,
    add_due_lead,
    add_lead,
    attempt_of,
    call_of,
    plan_call,
    set_config,
    sql,
)

mariadb_only = pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)
MICROSECOND = timedelta(microseconds=1)


# --- taking --------------------------------------------------------------------------------------------------


@mariadb_only
def test_a_take_passes_by_the_rows_that_another_one_holds(database):
    ids = [plan_call(database, add_lead(database)) for _ in range(6)]

    with open_transaction(database) as one, open_transaction(database) as other:
        first = [row.id for row in calls.take_due(one, None, NOON, 4)]
        second = [row.id for row in calls.take_due(other, None, NOON, 4)]

    assert (first, second) == (ids[:4], ids[4:])


@mariadb_only
def test_a_take_passes_by_a_row_that_an_operator_is_editing(database):
    leads = [add_lead(database) for _ in range(3)]
    ids = [plan_call(database, lead_id) for lead_id in leads]

    with open_transaction(database) as operator:
        operator.exec_driver_sql("UPDATE call_schedule SET reason = 'mine' WHERE id = %s", (ids[1],))
        with open_transaction(database) as daemon:
            taken = [row.id for row in calls.take_due(daemon, None, NOON, 10)]

    assert taken == [ids[0], ids[2]]


@mariadb_only
def test_a_take_locks_only_the_rows_that_it_returns(database):
    ids = [plan_call(database, add_lead(database), at=NOON - number * HOUR) for number in range(4)]
    future = plan_call(database, add_lead(database), at=NOON + DAY)

    with open_transaction(database) as daemon:
        taken = [row.id for row in calls.take_due(daemon, None, NOON, 2)]
        with open_transaction(database) as operator:
            operator.exec_driver_sql("SET innodb_lock_wait_timeout = 1")
            for row_id in (ids[0], ids[1], future):
                operator.exec_driver_sql("UPDATE call_schedule SET reason = 'free' WHERE id = %s", (row_id,))

    assert taken == [ids[3], ids[2]]


@mariadb_only
def test_new_calls_can_be_planned_while_a_take_is_open(database):
    plan_call(database, add_lead(database))

    with open_transaction(database) as daemon:
        calls.take_due(daemon, None, NOON, 10)
        with open_transaction(database) as other:
            other.exec_driver_sql("SET innodb_lock_wait_timeout = 1")
            other.exec_driver_sql("INSERT INTO call_schedule (lead_id, scheduled_at) VALUES (4711, '2020-01-01')")


def test_a_take_brings_the_oldest_first_and_no_more_than_asked(database):
    ids = {hours: plan_call(database, add_lead(database), at=NOON - hours * HOUR) for hours in (1, 5, 3, 2, 4)}

    taken = database.transact(lambda connection: calls.take_due(connection, None, NOON, 3))

    assert [row.id for row in taken] == [ids[5], ids[4], ids[3]]


def test_rows_of_one_instant_come_in_the_order_they_were_planned(database):
    ids = [plan_call(database, add_lead(database)) for _ in range(4)]

    taken = database.transact(lambda connection: calls.take_due(connection, None, NOON, 10))

    assert [row.id for row in taken] == ids


@pytest.mark.parametrize(
    "columns, is_taken",
    [
        ({"at": NOON}, True),
        ({"at": NOON + MICROSECOND}, False),
        ({"at": NOON - 365 * DAY}, True),
        ({"status": "cancelled"}, False),
        ({"status": "completed", "last_outcome": "busy"}, False),
        ({"status": "in_progress"}, False),
        ({"campaign_id": 7}, False),
    ],
)
def test_a_take_brings_pending_rows_that_are_due_in_this_queue(database, columns, is_taken):
    plan_call(database, add_lead(database), **columns)

    taken = database.transact(lambda connection: calls.take_due(connection, None, NOON, 10))

    assert len(taken) == is_taken


def test_each_campaign_has_a_queue_of_its_own(database):
    one, other = add_campaign(database, "one"), add_campaign(database, "other")
    ids = {key: plan_call(database, add_lead(database, campaign_id=key)) for key in (one, other, None)}

    for key, row_id in ids.items():
        taken = database.transact(lambda connection, key=key: calls.take_due(connection, key, NOON, 10))
        assert [row.id for row in taken] == [row_id]


# --- campaigns with calls due -----------------------------------------------------------------------------------


def test_campaigns_come_by_priority_and_then_by_how_long_they_wait(database):
    expected = []
    for code, priority, hours in (("urgent", 9, 1), ("old", 0, 5), ("young", 0, 1), ("low", -1, 9)):
        add_due_lead(database, campaign_id=add_campaign(database, code, priority=priority), at=NOON - hours * HOUR)
        expected.append(code)
    add_due_lead(database, at=NOON - 3 * HOUR)
    expected.insert(2, None)

    due = database.read(lambda connection: calls.list_due_campaigns(connection, NOON))

    assert [one.campaign and one.campaign.code for one in due] == expected
    assert due[1].oldest == NOON - 5 * HOUR


@pytest.mark.parametrize("status", ["paused", "cancelled", "completed"])
def test_rows_of_a_campaign_that_is_not_active_are_not_due(database, status):
    add_due_lead(database, campaign_id=add_campaign(database, status=status))

    assert database.read(lambda connection: calls.list_due_campaigns(connection, NOON)) == []
    assert database.read(calls.find_next_due_at) is None


def test_the_next_due_instant_is_that_of_the_first_pending_row(database):
    for hours in (3, 2, 5):
        plan_call(database, add_lead(database), at=NOON + hours * HOUR)

    assert database.read(calls.find_next_due_at) == NOON + 2 * HOUR


@mariadb_only
def test_a_pause_waits_for_a_take_and_no_take_follows_it(database):
    campaign_id = add_campaign(database)

    with open_transaction(database) as daemon:
        locked = calls.lock_campaigns(daemon, [campaign_id])
        with open_transaction(database) as operator:
            operator.exec_driver_sql("SET innodb_lock_wait_timeout = 1")
            with pytest.raises(Exception, match="Lock wait"):
                operator.exec_driver_sql("UPDATE campaigns SET status = 'paused'")
    sql(database, "UPDATE campaigns SET status = 'paused'")

    assert locked[campaign_id].status == "active"
    assert database.transact(lambda one: calls.lock_campaigns(one, [campaign_id]))[campaign_id].status == "paused"


@mariadb_only
def test_a_campaign_that_an_operator_holds_is_passed_by(database):
    held, free = add_campaign(database, "held"), add_campaign(database, "free")

    with open_transaction(database) as operator:
        operator.exec_driver_sql("UPDATE campaigns SET name = 'x' WHERE id = %s", (held,))
        with open_transaction(database) as daemon:
            assert list(calls.lock_campaigns(daemon, [held, free])) == [free]


@mariadb_only
def test_takes_of_two_daemons_follow_one_another(database):
    with open_transaction(database) as one:
        calls.lock_capacity(one)
        with open_transaction(database) as other:
            other.exec_driver_sql("SET innodb_lock_wait_timeout = 1")
            with pytest.raises(Exception, match="Lock wait"):
                calls.lock_capacity(other)


def test_the_row_that_limits_calls_is_written_again_when_somebody_deleted_it(database):
    sql(database, "DELETE FROM scheduler_config WHERE config_key = 'max_concurrent_calls'")

    database.transact(calls.lock_capacity)

    [found] = sql(database, "SELECT config_value FROM scheduler_config WHERE config_key = 'max_concurrent_calls'")
    assert found.config_value == "20"


# --- guards and row counts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "status, moved, cancelled, completed, given_back",
    [
        ("pending", 1, 1, 0, 0),
        ("in_progress", 0, 1, 1, 1),
        ("completed", 0, 0, 0, 0),
        ("cancelled", 0, 0, 0, 0),
    ],
)
def test_a_move_changes_only_rows_in_the_state_it_leaves(database, status, moved, cancelled, completed, given_back):
    counts = []
    for step in (
        lambda connection, row: calls.move_pending(connection, [Move(row, NOON + HOUR, "later")], NOON),
        lambda connection, row: calls.cancel_rows(connection, {row: "no more"}, NOON),
        lambda connection, row: calls.complete_rows(connection, {row: Outcome.BUSY}, NOON),
        lambda connection, row: calls.give_back(connection, [Move(row, NOON + HOUR, "not dialed")], NOON),
    ):
        row_id = plan_call(database, add_lead(database), status=status)
        counts.append(database.transact(lambda connection, step=step, row_id=row_id: step(connection, row_id)))

    assert counts == [moved, cancelled, completed, given_back]


@pytest.mark.parametrize("status, leased", [("pending", 1), ("in_progress", 0), ("completed", 0), ("cancelled", 0)])
def test_only_a_row_that_waits_is_leased(database, status, leased):
    row_id = plan_call(database, add_lead(database), status=status)

    found = database.transact(lambda connection: calls.mark_in_progress(
        connection, [row_id], owner="me", token="mine", expires_at=NOON + HOUR, now=NOON
    ))

    assert found == leased


def test_many_rows_are_moved_each_to_its_own_time(database):
    leads = [add_lead(database) for _ in range(20)]
    moves = [
        Move(plan_call(database, lead_id), NOON + number * HOUR, f"reason {number}")
        for number, lead_id in enumerate(leads)
    ]

    changed = database.transact(lambda connection: calls.move_pending(connection, moves, NOON))

    assert changed == 20
    assert [call_of(database, one).scheduled_at for one in leads] == [NOON + number * HOUR for number in range(20)]
    assert call_of(database, leads[7]).reason == "reason 7"


def test_a_reason_that_is_too_long_is_cut_and_not_an_error(database):
    lead_id = add_lead(database)
    row_id = plan_call(database, lead_id)

    database.transact(lambda connection: calls.cancel_rows(connection, {row_id: "ñ" * 400}, NOON))

    assert len(call_of(database, lead_id).reason) == 255


def test_a_row_given_back_is_as_it_was_but_for_its_time_and_reason(database):
    lead_id = add_lead(database)
    row_id = plan_call(
        database, lead_id, status="in_progress", attempt_number=2, phone_position=2, lease_owner="me", lease_token="t",
        lease_expires_at=NOON, promise=True,
    )

    database.transact(lambda connection: calls.give_back(connection, [Move(row_id, NOON + HOUR, "not dialed")], NOON))

    row = call_of(database, lead_id)
    assert (row.status, row.scheduled_at, row.reason) == ("pending", NOON + HOUR, "not dialed")
    assert (row.attempt_number, row.phone_position, bool(row.promise)) == (2, 2, True)
    assert (row.lease_owner, row.lease_token, row.lease_expires_at) == (None, None, None)


@pytest.mark.parametrize(
    "state, live, unknown, refused, ended",
    [
        ("placing", 1, 1, 1, 1),
        ("unknown", 1, 0, 1, 1),
        ("live", 0, 0, 1, 1),
        ("ended", 0, 0, 0, 0),
        ("refused", 0, 0, 0, 0),
    ],
)
def test_an_attempt_moves_only_as_the_table_of_moves_says(runtime, database, state, live, unknown, refused, ended):
    common = {"placed_at": NOON, "next_poll_at": NOON}
    counts = []
    for step in (
        lambda connection, one: calls.mark_live(connection, [{"id": one, "provider_call_id": f"c{one}", **common}]),
        lambda connection, one: calls.mark_unknown(connection, [{"id": one, "error": "?", **common}]),
        lambda connection, one: calls.mark_refused(connection, {one: "no"}),
        lambda connection, one: calls.mark_ended(connection, [{"id": one, "outcome": "busy", "ended_at": NOON}]),
    ):
        lead_id = add_due_lead(database)
        Station(runtime).dispatch()
        attempt_id = attempt_of(database, lead_id).id
        sql(database, "UPDATE call_attempts SET state = :state WHERE id = :id", state=state, id=attempt_id)
        counts.append(database.transact(lambda connection, step=step, one=attempt_id: step(connection, one)))

    assert counts == [live, unknown, refused, ended]


@pytest.mark.parametrize(
    "state, provider_status, call_id, recorded",
    [
        ("refused", None, None, True),
        ("ended", None, None, True),
        ("ended", "unknown", "c1", True),
        ("ended", "busy", "c1", False),
        ("live", None, "c1", False),
        ("placing", None, None, False),
    ],
)
def test_late_truth_is_recorded_of_attempts_that_were_given_up_alone(
    runtime, database, state, provider_status, call_id, recorded
):
    lead_id = add_due_lead(database)
    Station(runtime).dispatch()
    sql(
        database, "UPDATE call_attempts SET state = :state, provider_status = :said, provider_call_id = :call_id",
        state=state, said=provider_status, call_id=call_id,
    )

    row = {"id": attempt_of(database, lead_id).id, "outcome": "completed", "provider_call_id": "c2"}
    assert database.transact(lambda connection: calls.record_late_truth(connection, row)) is recorded


def test_an_attempt_is_ours_only_by_the_token_and_while_it_is_placed(runtime, database):
    keys = []

    def meanwhile(request):
        row, attempt = call_of(database, lead_id), attempt_of(database, lead_id)
        for token, state in ((row.lease_token, "placing"), ("another", "placing"), (row.lease_token, "live")):
            sql(database, "UPDATE call_attempts SET state = :state", state=state)
            keys.append(database.transact(
                lambda connection, token=token: calls.lock_placing(connection, [(attempt.id, row.id, token)])
            ))
        raise RuntimeError("enough")

    station = Station(runtime)
    lead_id = add_due_lead(database)
    station.provider.answers(None, meanwhile)
    station.dispatch()

    assert keys == [{attempt_of(database, lead_id).id}, set(), set()]


def test_calls_in_flight_are_counted_by_campaign_and_in_all(runtime, database):
    set_config(database, max_concurrent_calls="50")
    campaign_id = add_campaign(database)
    for campaign in (campaign_id, campaign_id, None):
        add_due_lead(database, campaign_id=campaign)
    Station(runtime).dispatch()

    found = database.read(calls.count_in_flight)

    assert (found.by_campaign, found.total, found.placing) == ({campaign_id: 2, None: 1}, 3, {})


@mariadb_only
def test_looks_that_are_due_are_shared_between_daemons(runtime, database, clock):
    set_config(database, max_concurrent_calls="50")
    for _ in range(6):
        add_due_lead(database)
    Station(runtime).dispatch()
    later = clock.advance(HOUR)

    assert share(database, lambda one: [it.id for it in calls.take_polls(one, later, later + HOUR, 4)]) == (4, 2)


@mariadb_only
def test_looks_are_shared_whatever_state_their_calls_are_in(runtime, database, clock):
    set_config(database, max_concurrent_calls="50")
    leads = [add_due_lead(database) for _ in range(8)]
    Station(runtime).dispatch()
    ids = [attempt_of(database, one).id for one in leads]
    for state, some in (("unknown", ids[2:4]), ("ended", ids[4:6]), ("refused", ids[6:])):
        for one in some:
            sql(database, f"UPDATE call_attempts SET state = '{state}' WHERE id = {one}")
    later = clock.advance(HOUR)
    sql(database, "UPDATE call_attempts SET next_poll_at = :at", at=later - HOUR)

    def take(connection):
        return [it.id for it in calls.take_polls(connection, later, later + HOUR, 3)]

    assert share(database, take, 4) == (3, 3, 2, 0)


@mariadb_only
def test_events_that_wait_are_shared_between_daemons(database):
    rows = [
        {"provider": "twilio", "event_key": f"e{number}", "kind": "end", "attempt_ref": None,
         "provider_call_id": None, "payload": {}} for number in range(9)
    ]  # fmt: skip
    database.transact(lambda connection: inbox.add_events(connection, rows, NOON))
    sql(database, "UPDATE provider_events SET next_try_at = NULL WHERE event_key IN ('e7', 'e8')")
    sql(database, "UPDATE provider_events SET processed_at = :at, next_try_at = NULL WHERE event_key = 'e0'", at=NOON)

    def take(connection):
        return [one.id for one in inbox.take_events(connection, NOON + MINUTE, 3)]

    assert share(database, take, 4) == (3, 3, 2, 0)


@mariadb_only
def test_due_rows_of_many_campaigns_are_shared_between_daemons(database):
    campaigns = [add_campaign(database, f"c{number}") for number in range(25)]
    for one in campaigns:
        for _ in range(3):
            add_due_lead(database, campaign_id=one)
    later = NOON + HOUR

    def take(connection):
        return [one.id for one in calls.take_due_of(connection, dict.fromkeys(campaigns, 2), later)]

    assert share(database, take, 3) == (50, 25, 0)


def share(database, take, daemons=2):
    """How many each of so many daemons gets, all at once; none gets what another has."""
    with contextlib.ExitStack() as stack:
        shares = [take(stack.enter_context(open_transaction(database))) for _ in range(daemons)]
    taken = [row_id for one in shares for row_id in one]
    assert len(taken) == len(set(taken))
    return tuple(len(one) for one in shares)


def test_a_deleted_lead_leaves_an_orphan_that_is_counted_and_named(database):
    lead_id = add_lead(database)
    row_id = plan_call(database, lead_id)
    sql(database, "DELETE FROM leads")

    assert database.read(calls.count_orphans) == (1, (row_id,))


@pytest.mark.parametrize("variables, read", [(None, {}), ({}, {}), ({"a": 1}, {"a": 1}), ([1], None), ("text", None)])
def test_variables_that_are_no_object_are_told_apart_from_none(database, variables, read):
    lead_id = add_lead(database, variables=variables)

    assert database.read(lambda connection: find_lead(connection, lead_id)).variables == read


# --- what this file needs ---------------------------------------------------------------------------------------------


@contextmanager
def open_transaction(database: Database) -> Iterator[Connection]:
    """A transaction on a connection of its own, left open until the end and then undone."""
    with database.engine.connect() as connection:
        transaction = connection.begin()
        try:
            yield connection
        finally:
            transaction.rollback()
            connection.invalidate()  # with whatever was set for the session
