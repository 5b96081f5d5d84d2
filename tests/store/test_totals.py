"""What is counted is what the tables say, at every instant, whoever changes them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, text

from scheduler.store import tables, totals
from scheduler.store.database import Connection, Database
from scheduler.store.totals import Amount, Totals
from tests.conftest import NOON
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
    st.tuples(st.just("plan"), minute),
    st.tuples(st.just("set_plan"), st.sampled_from(["pending", "cancelled", "completed"])),
    st.tuples(st.just("delete_plans")),
    st.tuples(st.just("insert_attempt"), st.sampled_from(["ended", "live", "refused"]), minute),
    st.tuples(st.just("end_attempt"), st.sampled_from(["completed", "no_answer", "hang_up", "busy"]), minute),
    st.tuples(st.just("amend_attempt"), st.sampled_from(["completed", "voicemail"]), st.integers(0, 900),
              st.sampled_from(["0.1", "12.3456", None]), st.sampled_from(["usd", "credits", None])),
    st.tuples(st.just("ask_about"), st.sampled_from([3, None])),
    st.tuples(st.just("forget_start")),
    st.tuples(st.just("move_attempt"), place),
    st.tuples(st.just("delete_attempt")),
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


def test_what_an_hour_saw_is_counted_in_it(database):
    first, second = add_campaign(database, "a"), add_campaign(database, "b")
    lead_id = add_lead(database, campaign_id=first, created_at=NOON + 59 * MINUTE)
    add_lead(database, campaign_id=second, created_at=NOON - MINUTE)
    add_attempt(database, lead_id, first, state="ended", outcome="hang_up", placed_at=NOON + 3 * HOUR)
    add_attempt(database, lead_id, first, state="ended", outcome="completed", placed_at=NOON + 3 * HOUR)

    def hours(since: datetime, **of: Any) -> list[tuple[Any, ...]]:
        found = database.read(lambda connection: totals.read_hours(connection, since, **of))
        return [(one.hour_at, one.leads, one.dials, one.answered, one.completed) for one in found]

    assert hours(NOON + MINUTE) == [(NOON, 1, 0, 0, 0), (NOON + 3 * HOUR, 0, 2, 2, 1)]
    assert hours(NOON - HOUR, campaign_id=second) == [(NOON - HOUR, 1, 0, 0, 0)]
    assert hours(NOON + HOUR, campaign_id=second) == []


@pytest.mark.parametrize("minutes", [0, 15, 30, 45])
def test_a_day_may_begin_at_any_quarter_of_an_hour(database, minutes):
    """In Kathmandu at 18:15 UTC."""
    begin = NOON + timedelta(minutes=minutes)
    for after in (-DAY, -timedelta(microseconds=1), timedelta(0), 14 * MINUTE, 15 * MINUTE, HOUR):
        add_lead(database, created_at=begin + after)

    assert database.read(lambda connection: totals.count_created(connection, begin)) == {0: 4}


def test_costs_of_two_units_are_two_figures(database):
    first, second = add_campaign(database, "a"), add_campaign(database, "b")
    lead_id = add_lead(database, campaign_id=first)
    for campaign_id, cost, unit in (
        (first, "9.76", "usd"), (first, "0.24", "usd"), (first, "12.5", "credits"), (first, "1", None),
        (first, None, None), (second, "3", "eur"), (second, None, "eur"),
    ):  # fmt: skip
        add_attempt(database, lead_id, campaign_id, state="ended", outcome="busy", cost=cost and Decimal(cost),
                    cost_unit=unit)

    found = database.read(totals.count_calls)

    mixed = (("", Decimal(1)), ("credits", Decimal("12.5")), ("usd", Decimal(10)))
    assert (found[first].costs, found[second].costs) == (mixed, (("eur", Decimal(3)),))
    assert (found[first] + found[second]).costs == (*mixed[:2], ("eur", Decimal(3)), mixed[2])


def test_a_campaign_is_found_by_code_and_by_id(database):
    first = add_campaign(database, "spring")
    second = add_campaign(database, str(first))  # a code comes before the id that it reads as

    def find(key: str | int) -> Any:
        return database.read(lambda connection: totals.find_campaign(connection, key))

    assert (find("spring").id, find(first).id, find(second).id) == (first, second, second)
    assert find("no such") is None


def test_what_belongs_to_a_deleted_campaign_is_counted_still(database):
    campaign_id = add_campaign(database)
    lead_id = add_lead(database, campaign_id=campaign_id, created_at=NOON)
    add_attempt(database, lead_id, campaign_id, state="ended", outcome="busy", placed_at=NOON)
    sql(database, "DELETE FROM campaigns")

    found = database.read(lambda connection: totals.count_calls(connection)[campaign_id])
    (hour,) = database.read(lambda connection: totals.read_hours(connection, NOON))

    assert (count(database, campaign_id).leads, found.dials) == (1, 1)
    assert (hour.leads, hour.dials) == (1, 1)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_dates_and_amounts_that_are_none_stop_nobody(database):
    campaign_id = add_campaign(database)
    for typed in ("now", "yesterday", "2026-11-20T12:00:00+02:00", "0000-00-00", ""):
        lead_id = add_lead(database, campaign_id=campaign_id)
        sql(database, "UPDATE leads SET created_at = :typed WHERE id = :id", typed=typed, id=lead_id)
    add_attempt(database, lead_id, campaign_id, state="ended", outcome="busy", placed_at=NOON)
    sql(database, "UPDATE call_attempts SET cost = 'dear', talk_seconds = 'long', placed_at = 'then'")

    nothing = (Amount("", Decimal("0.0000")),)
    assert count(database, campaign_id) == Totals(leads=5, open=5, dials=1, costs=nothing)
    since = database.read(lambda connection: totals.read_hours(connection, NOON - 6 * HOUR))
    assert [(one.hour_at, one.leads) for one in since] == [(datetime(2026, 11, 20, 10, tzinfo=UTC), 1)]
    today = database.read(lambda connection: totals.count_created(connection, NOON - 6 * HOUR))
    assert today == {campaign_id: 1}


# --- how they are counted -------------------------------------------------------------------------


def test_what_is_counted_is_read_from_one_index_and_no_row(database):
    campaign_id = add_campaign(database)
    for _ in range(30):
        lead_id = add_due_lead(database, campaign_id=campaign_id, created_at=NOON)
        add_attempt(database, lead_id, campaign_id, state="ended", outcome="busy", placed_at=NOON, ended_at=NOON)
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        asked.append((statement, values))

    event.listen(database.engine, "before_cursor_execute", note)
    database.read(lambda connection: (
        totals.count_leads(connection), totals.count_leads(connection, {campaign_id}),
        totals.count_calls(connection), totals.count_calls(connection, {campaign_id}),
        totals.count_created(connection, NOON), totals.read_hours(connection, NOON, campaign_id=campaign_id),
        totals.count_due(connection, {campaign_id}, NOON),
    ))
    event.remove(database.engine, "before_cursor_execute", note)
    counting = [one for one in asked if "count(*)" in one[0] and "coalesce(call_attempts.placed_at" not in one[0]]

    assert len(counting) == 10
    assert [statement for statement, values in counting if not is_covered(database, statement, values)] == []


def is_covered(database: Database, statement: str, values: Any) -> bool:
    """Does it take everything from an index?"""
    if not database.is_sqlite:
        asked = f"EXPLAIN FORMAT=TRADITIONAL {statement}"
        plan = database.read(lambda connection: connection.exec_driver_sql(asked, values).all())
        return all("Using index" in row[-1] and "condition" not in row[-1] for row in plan)
    steps = database.read(lambda connection: connection.exec_driver_sql(f"EXPLAIN {statement}", values).all())
    # A computed column is never called covering, though it is read from the index: what counts is what is read.
    opened = {step[2] for step in steps if step[1] == "OpenRead" and not str(step[5]).startswith("k(")}
    return not [step for step in steps if step[1] in ("Column", "Rowid") and step[2] in opened]


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

    def plan(self, minute: int) -> None:
        for lead in self._leads():
            sql(
                self.database, "INSERT INTO call_schedule (lead_id, campaign_id, scheduled_at) VALUES (:id, :of, :at)",
                id=lead.id, of=lead.campaign_id, at=f"{NOON + timedelta(minutes=minute):%Y-%m-%d %H:%M:%S.%f}",
            )

    def set_plan(self, status: str) -> None:
        self._of_newest("call_schedule", "status = :status", status=status)

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

    def amend_attempt(self, outcome: str, seconds: int, cost: str | None, unit: str | None) -> None:
        values = {"what": outcome, "talk": seconds, "cost": cost, "unit": unit}
        change = "outcome = :what, talk_seconds = :talk, cost = :cost, cost_unit = :unit"
        self._of_newest("call_attempts", change, **values)

    def ask_about(self, minutes: int | None) -> None:
        at = f"{NOON + timedelta(minutes=minutes):%Y-%m-%d %H:%M:%S.%f}" if minutes is not None else None
        self._of_newest("call_attempts", "next_poll_at = :at", at=at)

    def forget_start(self) -> None:
        self._of_newest("call_attempts", "placed_at = NULL")

    def move_attempt(self, place: int) -> None:
        self._of_newest("call_attempts", "campaign_id = :to", to=self.campaigns[place])

    def delete_attempt(self) -> None:
        sql(self.database, f"DELETE FROM call_attempts WHERE id = {self._newest('call_attempts')}")

    def assert_exact(self) -> None:
        leads, attempts = find_all(self.database, tables.leads), find_all(self.database, tables.call_attempts)
        rows = find_all(self.database, tables.call_schedule)
        every = {None: (self._count_all(None)), **{key or 0: self._count_all({key or 0}) for key in self.campaigns}}
        due = self.database.read(
            lambda connection: totals.count_due(connection, {key or 0 for key in self.campaigns}, NOON + HOUR)
        )
        created = self.database.read(lambda connection: totals.count_created(connection, NOON + HOUR))
        for campaign_id in self.campaigns:
            key = campaign_id or 0
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
                dials=len(ended), answered=sum(one.outcome in ANSWERED for one in ended),
                completed=sum(one.outcome == "completed" for one in ended),
                talk_seconds=sum(one.talk_seconds or 0 for one in ended),
                costs=costs_of(ended),
            )  # fmt: skip
            assert every[key].get(key, Totals()) == every[None].get(key, Totals()) == expected
            assert due.get(key, 0) == sum(
                one.campaign_id == campaign_id and one.status == "pending" and one.scheduled_at <= NOON + HOUR
                for one in rows
            )
            assert created.get(key, 0) == sum(one.created_at >= NOON + HOUR for one in own)
            assert self._read_hours(key) == self._hours_of(own, ended)
        assert self._read_hours(None) == self._hours_of(leads, [one for one in attempts if one.state == "ended"])

    def _count_all(self, ids: set[int] | None) -> dict[int, Totals]:
        def read(connection: Connection) -> dict[int, Totals]:
            found = totals.count_leads(connection, ids)
            for key, counted in totals.count_calls(connection, ids).items():
                found[key] = found.get(key, Totals()) + counted
            return found

        return self.database.read(read)

    def _read_hours(self, campaign_id: int | None) -> dict[datetime, list[int]]:
        found = self.database.read(lambda connection: totals.read_hours(connection, NOON + HOUR, campaign_id))
        return {one.hour_at: [one.leads, one.dials, one.answered, one.completed] for one in found}

    @staticmethod
    def _hours_of(leads: list[Any], ended: list[Any]) -> dict[datetime, list[int]]:
        found: dict[datetime, list[int]] = {}
        for lead in leads:
            found.setdefault(lead.created_at.replace(minute=0, second=0, microsecond=0), [0, 0, 0, 0])[0] += 1
        for one in ended:
            begun = one.placed_at or one.claimed_at or one.ended_at
            if begun is not None:
                hour = found.setdefault(begun.replace(minute=0, second=0, microsecond=0), [0, 0, 0, 0])
                for place, counts in enumerate((True, one.outcome in ANSWERED, one.outcome == "completed"), 1):
                    hour[place] += counts
        return {at: counts for at, counts in found.items() if at >= NOON + HOUR}

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


def add_attempt(database: Database, lead_id: int, campaign_id: int | None, **columns: Any) -> None:
    values = {"attempt_number": 1, "telefono": f"+5691{lead_id}", "provider": "simulator", **columns}
    with database.engine.connect() as connection, connection.begin():
        number = connection.execute(text("SELECT COALESCE(MAX(id), 0) FROM call_attempts")).scalar()
        connection.execute(tables.call_attempts.insert().values(
            attempt_ref=f"ref-{number}", lead_id=lead_id, campaign_id=campaign_id, **values
        ))


def count(database: Database, campaign_id: int) -> Totals:
    return Operator(database)._count_all({campaign_id}).get(campaign_id, Totals())


def costs_of(attempts: list[Any]) -> tuple[Amount, ...]:
    units = sorted({one.cost_unit or "" for one in attempts if one.cost is not None})
    return tuple(
        Amount(unit, sum((one.cost for one in attempts if one.cost is not None and (one.cost_unit or "") == unit),
                         Decimal("0.0000")))
        for unit in units
    )  # fmt: skip
