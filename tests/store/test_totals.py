"""What is counted is what the tables say, at every instant, whoever changes them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from scheduler.store import schema, tables, totals
from scheduler.store.database import Database
from scheduler.store.totals import Totals
from tests.conftest import NOON, fresh_database
from tests.factories import DAY, HOUR, MINUTE, add_campaign, add_due_lead, add_lead, find_all, sql

ANSWERED = ("completed", "callback", "do_not_call", "hang_up")
CAMPAIGNS = (0, 1, 2)
"""As the statements below name them: none, and the two of the test."""

place = st.sampled_from(CAMPAIGNS)
minute = st.integers(0, 200)
CHANGES = st.one_of(
    st.tuples(st.just("insert_lead"), place, minute, st.sampled_from(["open", "suspended", None])),
    st.tuples(st.just("set_status"), st.sampled_from(["open", "suspended", "closed", None]),
              st.sampled_from(["completed", "appointment", "max_attempts", None])),
    st.tuples(st.just("count_attempt")),
    st.tuples(st.just("move_lead"), place),
    st.tuples(st.just("move_all"), place),
    st.tuples(st.just("redate_lead"), minute),
    st.tuples(st.just("delete_lead")),
    st.tuples(st.just("plan"), st.sampled_from(["no balance: account a", "account a is closed", "due now", None])),
    st.tuples(st.just("set_plan"), st.sampled_from(["pending", "cancelled", "completed"]),
              st.sampled_from(["no balance: account b", "account b is closed", "for later", None])),
    st.tuples(st.just("delete_plans")),
    st.tuples(st.just("insert_attempt"), st.sampled_from(["ended", "live", "refused"]), minute),
    st.tuples(st.just("end_attempt"), st.sampled_from(["completed", "no_answer", "hang_up", "busy"]), minute),
    st.tuples(st.just("amend_attempt"), st.sampled_from(["completed", "voicemail"]), st.integers(0, 900),
              st.sampled_from(["0.1", "12.3456", None])),
    st.tuples(st.just("move_attempt"), place),
    st.tuples(st.just("delete_attempt")),
    st.tuples(st.just("fold"), st.integers(1, 3)),
)  # fmt: skip


@settings(
    max_examples=15, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(changes=st.lists(CHANGES, min_size=4, max_size=10))
def test_totals_are_what_the_tables_say_after_every_change(database, changes):
    operator = Operator(database)
    for change in changes:
        operator.do(*change)
        operator.assert_exact()
    while fold(database):
        operator.assert_exact()

    assert find_all(database, tables.campaign_changes) == []


def test_what_an_hour_saw_is_counted_in_it_whether_folded_or_not(database):
    first, second = add_campaign(database, "a"), add_campaign(database, "b")
    lead_id = add_lead(database, campaign_id=first, created_at=NOON + 59 * MINUTE)
    add_lead(database, campaign_id=second, created_at=NOON - MINUTE)
    add_attempt(database, lead_id, first, state="ended", outcome="hang_up", placed_at=NOON + 3 * HOUR)
    add_attempt(database, lead_id, first, state="ended", outcome="completed", placed_at=NOON + 3 * HOUR)
    expected = [(NOON, 1, 0, 0, 0), (NOON + 3 * HOUR, 0, 2, 2, 1)]

    for _ in range(2):
        found = database.read(lambda connection: totals.read_hours(connection, NOON + MINUTE))
        of_second = database.read(lambda connection: totals.read_hours(connection, NOON - HOUR, campaign_id=second))

        assert [(one.hour_at, one.leads, one.dials, one.answered, one.completed) for one in found] == expected
        assert [(one.hour_at, one.leads) for one in of_second] == [(NOON - HOUR, 1)]
        fold(database)


@pytest.mark.parametrize("minutes", [0, 15, 30, 45])
def test_a_day_may_begin_at_any_quarter_of_an_hour(database, minutes):
    """In Kathmandu at 18:15 UTC."""
    begin = NOON + timedelta(minutes=minutes)
    for after in (-DAY, -timedelta(microseconds=1), timedelta(0), 14 * MINUTE, 15 * MINUTE, HOUR):
        add_lead(database, created_at=begin + after)

    for _ in range(2):
        found = database.read(lambda connection: totals.read_overview(connection, None, begin))

        assert (found.jobs_today, found.totals.leads) == (4, 6)
        fold(database)


def test_an_overview_is_of_one_account_or_of_everything(database):
    mine, other = (add_account(database, code) for code in ("mine", "other"))
    active = add_campaign(database, "active", account_id=mine)
    paused = add_campaign(database, "paused", account_id=mine, status="paused")
    add_campaign(database, "elsewhere", account_id=other)
    for campaign_id in (active, active, paused, None):
        add_lead(database, campaign_id=campaign_id, created_at=NOON)

    def figures(account_id: int | None) -> tuple[Any, ...]:
        found = database.read(lambda connection: totals.read_overview(connection, account_id, NOON))
        return found.jobs_today, found.active_batches, found.totals.leads, found.active_totals.open

    assert figures(mine) == (3, 1, 3, 2)
    assert figures(other) == (0, 1, 0, 0)
    assert figures(None) == (4, 2, 4, 2)
    assert figures(999) == (0, 0, 0, 0)


def test_the_status_of_a_campaign_is_found_by_code_and_by_id(database):
    first = add_campaign(database, "spring")
    second = add_campaign(database, str(first))  # a code comes before the id that it reads as
    add_lead(database, campaign_id=first, lead_status="suspended")
    add_lead(database, campaign_id=second)

    def status(key: str | int) -> Any:
        return database.read(lambda connection: totals.read_status(connection, key))

    assert status("spring").totals == Totals(leads=1, suspended=1)
    assert (status(first).id, status(first).totals.open) == (second, 1)
    assert status(second).totals.leads == 1
    assert status("no such") is None


def test_each_lead_is_pending_held_up_or_finished(database):
    campaign_id = add_campaign(database)
    add_lead(database, campaign_id=campaign_id)
    unpaid = add_due_lead(database, campaign_id=campaign_id)
    sql(database, "UPDATE call_schedule SET reason = 'no balance: top up' WHERE lead_id = :id", id=unpaid)
    add_lead(database, campaign_id=campaign_id, lead_status="suspended")
    add_lead(database, campaign_id=campaign_id, lead_status="closed", closed_reason="appointment")
    add_lead(database, campaign_id=campaign_id, lead_status="closed")

    found = database.read(lambda connection: totals.read_totals(connection, {campaign_id, 999}))

    of = found[campaign_id]
    assert (of.pending, of.held_up, of.reached, of.unreached, of.progress) == (1, 2, 1, 1, 0.4)
    assert found[999] == Totals() and found[999].progress == 0


@pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)
def test_what_is_not_committed_is_neither_counted_nor_folded(database):
    campaign_id = add_campaign(database)
    with database.engine.connect() as other, other.begin() as transaction:
        other.execute(tables.leads.insert().values(campaign_id=campaign_id, telefono="+56911111111"))
        add_lead(database, campaign_id=campaign_id)
        assert count(database, campaign_id).leads == 1
        assert fold(database) == 1
        transaction.rollback()

    assert count(database, campaign_id).leads == 1
    assert not drift(database)


@pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)
def test_changes_that_count_do_not_wait_for_each_other(database):
    """A lock on the counters' next id, held until a statement is over, would chain every daemon to the slowest."""
    held, free, third = (add_lead(database) for _ in range(3))
    with database.engine.connect() as holder, holder.begin():
        holder.execute(text("UPDATE leads SET nombre = 'Eva' WHERE id = :id"), {"id": held})
        waiting = threading.Thread(
            target=sql, args=(database, f"UPDATE leads SET lead_status = 'suspended' WHERE id IN ({free}, {held})")
        )
        waiting.start()
        while not sql(database, "SELECT 1 FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'"):
            waiting.join(0.15)  # asked more often, the server shows for ever what it showed before
            assert waiting.is_alive()
        with database.engine.connect() as third_one, third_one.begin():
            third_one.execute(text("SET innodb_lock_wait_timeout = 2"))
            third_one.execute(text("UPDATE leads SET lead_status = 'suspended' WHERE id = :id"), {"id": third})
    waiting.join(10)

    assert count(database, 0).suspended == 3


def test_folders_side_by_side_fold_each_change_once(database):
    ids = [add_campaign(database, f"c{number}") for number in range(4)]
    stop, exact = threading.Event(), []

    def keep_folding() -> None:
        while not stop.is_set():
            database.transact(lambda connection: totals.fold(connection, 7))

    def watch() -> None:
        while not stop.is_set():
            found = database.read(lambda connection: totals.read_totals(connection, ids))
            exact.append(all(one.leads == one.open for one in found.values()))

    others = [threading.Thread(target=one) for one in (keep_folding, keep_folding, watch)]
    for one in others:
        one.start()
    for number in range(25):
        values = ", ".join(f"({ids[(number + step) % 4]}, '+5691{number:04}{step:03}')" for step in range(8))
        database.transact(
            lambda connection, values=values: connection.execute(
                text(f"INSERT INTO leads (campaign_id, telefono) VALUES {values}")
            )
        )
    stop.set()
    for one in others:
        one.join(20)
    while fold(database):
        pass

    assert all(exact) and exact
    assert [count(database, one).leads for one in ids] == [50] * 4
    assert not drift(database)


def test_corrections_make_up_for_what_the_triggers_missed_while_calls_go_on(database):
    campaign_id = add_campaign(database)
    add_lead(database, campaign_id=campaign_id, created_at=NOON + 20 * MINUTE)
    fold(database)
    sql(database, "UPDATE campaign_totals SET leads = 7, cost = 1.5")
    sql(database, "UPDATE campaign_hours SET leads_from_15 = 0, dials = 3")
    found = drift(database)
    add_lead(database, campaign_id=campaign_id, lead_status="suspended")  # after the snapshot
    fold(database)

    assert found.campaigns == {campaign_id: {"leads": -6, "cost": Decimal("-1.5")}}
    database.transact(lambda connection: totals.add_corrections(connection, found))

    assert count(database, campaign_id) == Totals(leads=2, open=1, suspended=1)
    assert not drift(database)
    while fold(database):
        assert not drift(database)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_dates_and_amounts_that_are_none_stop_nobody(database):
    campaign_id = add_campaign(database)
    for typed in ("now", "yesterday", "2026-11-20T12:00:00+02:00", "0000-00-00", ""):
        lead_id = add_lead(database, campaign_id=campaign_id)
        sql(database, "UPDATE leads SET created_at = :typed WHERE id = :id", typed=typed, id=lead_id)
    add_attempt(database, lead_id, campaign_id, state="ended", outcome="busy", placed_at=NOON)
    sql(database, "UPDATE call_attempts SET cost = 'dear', talk_seconds = 'long', placed_at = 'then'")

    assert not drift(database)
    assert fold(database)
    assert count(database, campaign_id) == Totals(leads=5, open=5, dials=1)
    since = database.read(lambda connection: totals.read_hours(connection, NOON - 6 * HOUR))
    assert [(one.hour_at, one.leads) for one in since] == [(datetime(2026, 11, 20, 10, tzinfo=UTC), 1)]


def test_an_upgrade_counts_what_is_there(older: Database):
    campaign_id = add_campaign(older)
    lead_id = add_due_lead(older, campaign_id=campaign_id, created_at=NOON, call_attempts_count=1)
    add_lead(older, lead_status="closed", closed_reason="completed", created_at=NOON)
    sql(older, "UPDATE call_schedule SET reason = 'account a is closed'")
    add_attempt(older, lead_id, campaign_id, state="ended", outcome="completed", placed_at=NOON, talk_seconds=61,
                cost=Decimal("0.0001"))  # fmt: skip
    assert find_all(older, tables.campaign_changes) == []

    schema.upgrade(older)

    assert count(older, campaign_id) == Totals(
        leads=1, open=1, called=1, unpaid=1, dials=1, answered=1, completed=1, talk_seconds=61, cost=Decimal("0.0001")
    )
    assert count(older, 0) == Totals(leads=1, reached=1)
    assert not drift(older)


@pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)
def test_an_upgrade_misses_nothing_that_changes_meanwhile(older: Database):
    over = threading.Event()

    def work(number: int) -> None:
        while not over.is_set():
            lead_id = add_lead(older, campaign_id=number, created_at=NOON)
            sql(older, "UPDATE leads SET lead_status = 'suspended' WHERE id = :id", id=lead_id - 5)
            sql(older, "DELETE FROM leads WHERE id = :id", id=lead_id - 9)

    workers = [threading.Thread(target=work, args=(number,)) for number in (1, 2)]
    for one in workers:
        one.start()
    schema.upgrade(older)
    over.set()
    for one in workers:
        one.join(20)

    assert sql(older, "SELECT COUNT(*) FROM leads")[0][0] > 2
    assert not drift(older)
    while fold(older):
        pass
    assert not drift(older)


def test_an_upgrade_that_was_cut_off_may_be_run_again(older: Database):
    add_lead(older)
    schema.upgrade(older)
    sql(older, "UPDATE alembic_version SET version_num = '0032'")
    sql(older, "DROP TRIGGER count_leads_update")
    add_lead(older)

    schema.upgrade(older)
    sql(older, "UPDATE leads SET lead_status = 'suspended'")

    assert count(older, 0) == Totals(leads=2, suspended=2)


@pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)
def test_a_server_that_refuses_triggers_is_told_of_with_what_to_do(older: Database):
    user, name = f"poor_{str(older.url.database)[-12:]}", older.url.database
    rights = "SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX, DROP, REFERENCES"
    try:
        sql(older, f"CREATE USER '{user}'@'127.0.0.1' IDENTIFIED BY 'x'")
        sql(older, f"GRANT {rights} ON {name}.* TO '{user}'@'127.0.0.1'")
    except Exception as error:
        pytest.skip(f"this server lets its user make no others: {type(error).__name__}")
    poor = Database(older.url.set(username=user, password="x"))
    try:
        with pytest.raises(Exception, match=r"GRANT TRIGGER ON .* log_bin_trust_function_creators"):
            schema.upgrade(poor)
        sql(older, f"GRANT TRIGGER ON {name}.* TO '{user}'@'127.0.0.1'")
        poor.close()  # connections keep the rights that they began with
        schema.upgrade(poor)
    finally:
        poor.close()
        sql(older, f"DROP USER '{user}'@'127.0.0.1'")


# --- an operator and what they see ----------------------------------------------------------------


class Operator:
    """Changes rows by SQL, each statement a transaction of its own, and knows nothing of counters."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.campaigns: list[int | None] = [None, *(one.id for one in find_all(database, tables.campaigns))]
        while len(self.campaigns) < len(CAMPAIGNS):
            self.campaigns.append(add_campaign(database, f"c{len(self.campaigns)}"))

    def do(self, what: str, *how: Any) -> None:
        getattr(self, what)(*how)

    def insert_lead(self, place: int, minute: int, status: str | None) -> None:
        add_lead(
            self.database, campaign_id=self.campaigns[place], created_at=NOON + timedelta(minutes=minute),
            lead_status=status,
        )

    def set_status(self, status: str | None, reason: str | None) -> None:
        self._of_newest("leads", "lead_status = :status, closed_reason = :reason", status=status, reason=reason)

    def count_attempt(self) -> None:
        self._of_newest("leads", "call_attempts_count = call_attempts_count + 1")

    def move_lead(self, place: int) -> None:
        self._of_newest("leads", "campaign_id = :to", to=self.campaigns[place])

    def move_all(self, place: int) -> None:
        for table in ("leads", "call_schedule", "call_attempts"):
            sql(self.database, f"UPDATE {table} SET campaign_id = :to", to=self.campaigns[place])

    def redate_lead(self, minute: int) -> None:
        self._of_newest("leads", "created_at = :at", at=f"{NOON + timedelta(minutes=minute):%Y-%m-%d %H:%M:%S.%f}")

    def delete_lead(self) -> None:
        sql(self.database, f"DELETE FROM leads WHERE id = {self._newest('leads')}")

    def plan(self, reason: str | None) -> None:
        for lead in self._leads():
            sql(
                self.database, "INSERT INTO call_schedule (lead_id, campaign_id, reason) VALUES (:id, :of, :why)",
                id=lead.id, of=lead.campaign_id, why=reason,
            )

    def set_plan(self, status: str, reason: str | None) -> None:
        self._of_newest("call_schedule", "status = :status, reason = :reason", status=status, reason=reason)

    def delete_plans(self) -> None:
        sql(self.database, "DELETE FROM call_schedule")

    def insert_attempt(self, state: str, minute: int) -> None:
        for lead in self._leads():
            ended = {"outcome": "voicemail", "talk_seconds": 9} if state == "ended" else {}
            add_attempt(
                self.database, lead.id, lead.campaign_id, state=state, claimed_at=NOON + timedelta(minutes=minute),
                **ended,
            )

    def end_attempt(self, outcome: str, minute: int) -> None:
        at = f"{NOON + timedelta(minutes=minute):%Y-%m-%d %H:%M:%S.%f}"
        self._of_newest("call_attempts", "state = 'ended', outcome = :what, placed_at = :at", what=outcome, at=at)

    def amend_attempt(self, outcome: str, seconds: int, cost: str | None) -> None:
        values = {"what": outcome, "talk": seconds, "cost": cost}
        self._of_newest("call_attempts", "outcome = :what, talk_seconds = :talk, cost = :cost", **values)

    def move_attempt(self, place: int) -> None:
        self._of_newest("call_attempts", "campaign_id = :to", to=self.campaigns[place])

    def delete_attempt(self) -> None:
        sql(self.database, f"DELETE FROM call_attempts WHERE id = {self._newest('call_attempts')}")

    def fold(self, limit: int) -> None:
        fold(self.database, limit)

    def assert_exact(self) -> None:
        leads, attempts = find_all(self.database, tables.leads), find_all(self.database, tables.call_attempts)
        rows = find_all(self.database, tables.call_schedule)
        for campaign_id in self.campaigns:
            own = [one for one in leads if one.campaign_id == campaign_id]
            closed = [one for one in own if one.lead_status == "closed"]
            reached = [one for one in closed if one.closed_reason in ("completed", "appointment")]
            ended = [one for one in attempts if one.campaign_id == campaign_id and one.state == "ended"]
            expected = Totals(
                leads=len(own),
                open=sum(one.lead_status in ("open", None) for one in own),
                suspended=sum(one.lead_status == "suspended" for one in own),
                called=sum(one.call_attempts_count > 0 for one in own),
                reached=len(reached), unreached=len(closed) - len(reached),
                unpaid=sum(
                    one.campaign_id == campaign_id and one.status == "pending"
                    and (one.reason or "").startswith(("no balance", "account ")) for one in rows
                ),
                dials=len(ended), answered=sum(one.outcome in ANSWERED for one in ended),
                completed=sum(one.outcome == "completed" for one in ended),
                talk_seconds=sum(one.talk_seconds or 0 for one in ended),
                cost=sum((one.cost or Decimal(0) for one in ended), Decimal("0.0000")),
            )  # fmt: skip
            assert count(self.database, campaign_id or 0) == expected
        assert not drift(self.database)

    def _leads(self) -> Iterator[Any]:
        """The newest lead without a call planned or open."""
        busy = {one.lead_id for one in find_all(self.database, tables.call_schedule) if one.status == "pending"}
        busy |= {one.lead_id for one in find_all(self.database, tables.call_attempts) if one.state == "live"}
        yield from [one for one in find_all(self.database, tables.leads) if one.id not in busy][-1:]

    def _newest(self, table: str) -> int:
        return sql(self.database, f"SELECT COALESCE(MAX(id), 0) FROM {table}")[0][0]

    def _of_newest(self, table: str, change: str, **values: Any) -> None:
        newest = self._newest(table)
        if values.get("status") == "pending":
            sql(self.database, "DELETE FROM call_schedule WHERE id <> :newest", newest=newest)
        sql(self.database, f"UPDATE {table} SET {change} WHERE id = :newest", newest=newest, **values)


@pytest.fixture
def older(request: pytest.FixtureRequest, tmp_path: Any, database_url: str, worker_id: str) -> Iterator[Database]:
    """A database whose tables count nothing yet."""
    if database_url.startswith("sqlite"):
        database = Database(f"sqlite:///{tmp_path / 'older.db'}")
        _go_back(database)
        yield database
        database.close()
        return
    with fresh_database(request.getfixturevalue("mariadb_server"), f"ringback_older_{worker_id}") as url:
        database = Database(url)
        _go_back(database)
        yield database
        database.close()


def _go_back(database: Database) -> None:
    from alembic import command

    schema.upgrade(database)
    database.transact(lambda connection: command.downgrade(schema.alembic_config(connection), "0032"))


def add_account(database: Database, code: str) -> int:
    with database.engine.connect() as connection, connection.begin():
        key = connection.execute(tables.accounts.insert().values(code=code, name=code)).inserted_primary_key
    return int(key[0])


def add_attempt(database: Database, lead_id: int, campaign_id: int | None, **columns: Any) -> None:
    values = {"attempt_number": 1, "telefono": f"+5691{lead_id}", "provider": "simulator", **columns}
    with database.engine.connect() as connection, connection.begin():
        number = connection.execute(text("SELECT COALESCE(MAX(id), 0) FROM call_attempts")).scalar()
        connection.execute(tables.call_attempts.insert().values(
            attempt_ref=f"ref-{number}", lead_id=lead_id, campaign_id=campaign_id, **values
        ))


def fold(database: Database, limit: int = 1000) -> int:
    return database.transact(lambda connection: totals.fold(connection, limit))


def count(database: Database, campaign_id: int) -> Totals:
    return database.read(lambda connection: totals.read_totals(connection, [campaign_id]))[campaign_id]


def drift(database: Database) -> totals.Drift:
    return database.read_snapshot(totals.measure_drift)
