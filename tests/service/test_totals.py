"""What is counted of a day's work, and for how long it is kept for whom."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal

import pytest

from scheduler.events import Reporter
from scheduler.service.imports import import_leads
from scheduler.service.totals import Counts, Keeping
from scheduler.store import tables
from tests.conftest import NOON
from tests.factories import MINUTE, Station, add_campaign, add_due_lead, add_lead, attempt_of, sql

ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def test_a_days_work_is_counted(runtime, database, clock):
    campaign_id = add_campaign(database)
    add_due_lead(database, number := "+56911111111", campaign_id=campaign_id)
    station = Station(runtime)
    station.dispatch()
    assert status(runtime, campaign_id).dials == 0  # it still rings
    station.provider.ends(number, "completed", talk_seconds=61)
    clock.advance(MINUTE)
    station.follow()
    before = status(runtime, campaign_id)
    station.upkeep()

    assert (before.dials, before.completed, before.talk_seconds, before.reached, before.progress) == (1, 1, 61, 1, 1.0)
    assert status(runtime, campaign_id) == before


def test_the_status_of_a_campaign_is_exact_while_it_is_imported_into(runtime, database, tmp_path):
    campaign_id = add_campaign(database, "spring")
    path = tmp_path / "leads.csv"
    path.write_text("nombre,telefono\n" + "".join(f"Ana,+5691234{number:04}\n" for number in range(1500)))
    seen = []

    def look(*_: object) -> None:
        said = sql(database, "SELECT COUNT(*) FROM leads")[0][0]
        seen.append((status(runtime, campaign_id).leads, said))

    import_leads(path, campaign="spring", default_country="CL", on_progress=look, runtime=runtime)
    look()

    assert len(seen) > 2 and all(counted == said for counted, said in seen)
    assert seen[-1] == (1500, 1500)


def test_due_calls_wait_for_money_while_their_account_cannot_pay_for_one(runtime, database, clock):
    rich, broke, closed = (
        add_campaign(database, code, account_id=add_account(
            database, code, billing_type="credits", balance=5, **{"reserve_per_call": 1, **columns}
        ))
        for code, columns in (("rich", {}), ("broke", {"reserve_per_call": 6}), ("closed", {"status": "closed"}))
    )
    for campaign_id in (rich, broke, closed, None):
        add_due_lead(database, campaign_id=campaign_id)
        add_due_lead(database, campaign_id=campaign_id, at=clock.now() + MINUTE)
        add_lead(database, campaign_id=campaign_id, lead_status="suspended")

    assert [status(runtime, one).unpaid for one in (rich, broke, closed, 0)] == [0, 1, 1, 0]
    assert (status(runtime, broke).pending, status(runtime, broke).held_up) == (1, 2)
    assert runtime.counts.of_everything().value.unpaid == 2
    sql(database, "UPDATE accounts SET balance = 7")
    assert [status(runtime, one).unpaid for one in (rich, broke, closed, 0)] == [0, 0, 1, 0]


def test_an_overview_is_of_one_account_or_of_everything(runtime, database):
    mine, other = (add_account(database, code) for code in ("mine", "other"))
    active = add_campaign(database, "active", account_id=mine)
    paused = add_campaign(database, "paused", account_id=mine, status="paused")
    add_campaign(database, "elsewhere", account_id=other)
    for campaign_id in (active, active, paused, None):
        add_lead(database, campaign_id=campaign_id, created_at=NOON)

    def figures(account_id):
        found = runtime.counts.overview(account_id, NOON).value
        return found.jobs_today, found.active_batches, found.totals.leads, found.active_totals.open

    assert figures(mine) == (3, 1, 3, 2)
    assert figures(other) == (0, 1, 0, 0)
    assert figures(None) == (4, 2, 4, 2)
    assert figures(999) == (0, 0, 0, 0)


# --- what is kept ---------------------------------------------------------------------------------


class Watch:
    """A clock that says when it was asked, and stops whoever asks until it is let go on: each count asks it once."""

    def __init__(self, clock):
        self.clock, self.asked, self.holds = clock, 0, False
        self.arrived, self.go_on = threading.Event(), threading.Event()

    def now(self):
        self.asked += 1
        if self.holds:
            self.arrived.set()
            assert self.go_on.wait(30)
        return self.clock.now()

    def elapsed(self):
        return self.clock.now().timestamp()


@pytest.fixture
def watch(clock):
    return Watch(clock)


@pytest.fixture
def counts(database, watch):
    made = Counts(database, watch, elapsed=watch.elapsed)
    yield made
    watch.go_on.set()
    made.close()


@ON_SQLITE
def test_an_answer_is_kept_for_a_second_and_says_of_when_it_is(counts, database, clock):
    add_lead(database)
    first = counts.of_campaign(0)
    add_lead(database)
    clock.advance(timedelta(seconds=0.9))
    kept = counts.of_campaign(0)
    clock.advance(timedelta(seconds=0.2))
    fresh = counts.of_campaign(0)

    assert (first.value.leads, kept.value.leads, fresh.value.leads) == (1, 1, 2)
    assert first.at == kept.at == NOON and fresh.at == NOON + timedelta(seconds=1.1)


@pytest.mark.parametrize(
    ("took", "lasts"), [(0.001, 1), (0.2, 4), (1, 20), (4, 20), (12, 4), (100, 1)]
)  # fmt: skip
def test_what_takes_long_is_kept_for_longer_and_never_too_long(took, lasts):
    assert Keeping().lasts(took) == lasts


@ON_SQLITE
def test_whoever_changes_something_here_sees_it_counted_at_once(counts, database, clock):
    counts.of_campaign(0), counts.of_everything()
    clock.advance(timedelta(seconds=0.5))
    add_lead(database)
    counts.note_change()

    assert counts.of_campaign(0).value.leads == counts.of_everything().value.leads == 1
    assert counts.of_campaigns([0]).value[0].leads == 1


@ON_SQLITE
def test_what_a_campaign_ended_with_is_counted_after_its_end(counts, database, clock):
    counts.of_campaign(0)
    add_lead(database)
    clock.advance(timedelta(seconds=0.5))

    assert counts.of_campaign(0, since=NOON).value.leads == 0
    assert counts.of_campaign(0, since=NOON + timedelta(days=9)).value.leads == 0
    assert counts.of_campaign(0, since=NOON + timedelta(seconds=0.4)).value.leads == 1


@ON_SQLITE
def test_a_question_is_counted_once_for_all_who_ask_it_meanwhile(counts, watch, database):
    add_lead(database)
    watch.holds = True
    with ThreadPoolExecutor(5) as people:
        asked = [people.submit(counts.of_campaign, 0) for _ in range(5)]
        assert watch.arrived.wait(30)
        watch.go_on.set()
        found = [one.result(30).value.leads for one in asked]

    assert found == [1] * 5
    assert watch.asked == 1


@ON_SQLITE
def test_an_error_while_counting_is_told_to_whoever_asked_and_the_next_one_counts(counts, watch, database):
    watch.now = lambda: 1 / 0
    with pytest.raises(ZeroDivisionError):
        counts.of_campaign(0)
    del watch.now

    assert counts.of_campaign(0).value.leads == 0


@ON_SQLITE
def test_an_old_answer_is_given_while_a_new_one_is_counted_until_it_is_too_old(counts, watch, database, clock):
    counts.start(Reporter(lambda line: None))
    first = counts.of_campaign(0)
    add_lead(database)
    clock.advance(timedelta(seconds=29))
    watch.holds = True
    given = counts.of_campaign(0)
    assert watch.arrived.wait(30)  # in the background
    again = counts.of_campaign(0)
    clock.advance(timedelta(seconds=2))
    with ThreadPoolExecutor(1) as people:
        late = people.submit(counts.of_campaign, 0)  # too old by now: it waits for the count that is under way
        watch.holds = False
        watch.go_on.set()
        found = late.result(30)

    assert given == again == first
    assert found.value.leads == 1 and found.at > first.at


@ON_SQLITE
def test_what_takes_long_stays_fresh_while_somebody_has_asked_lately(database, watch, clock):
    counts = Counts(database, watch, keeping=Keeping(cheap=-1), elapsed=watch.elapsed)
    counts.of_everything()
    assert counts.refresh() == 0
    clock.advance(timedelta(seconds=2))
    assert (counts.refresh(), counts.refresh()) == (1, 0)
    clock.advance(timedelta(hours=1))
    assert counts.refresh() == 0


@ON_SQLITE
def test_a_campaign_that_was_not_asked_for_before_is_answered_from_the_count_of_everything(counts, watch, database):
    add_lead(database)
    counts.start(Reporter(lambda line: None))
    everything = counts.of_everything()
    watch.holds = True
    found = counts.of_campaign(0)

    assert (found.value.leads, found.at) == (1, everything.at)


@ON_SQLITE
def test_a_call_that_is_amended_after_its_end_is_counted_once(runtime, database, clock):
    lead_id = add_due_lead(database, number := "+56911111111")
    station = Station(runtime)
    station.dispatch()
    station.provider.ends(number, "no_answer")
    clock.advance(MINUTE)
    station.follow()
    change = "UPDATE call_attempts SET cost = 0.25, cost_unit = 'usd' WHERE id = :id"
    sql(database, change, id=attempt_of(database, lead_id).id)

    assert (status(runtime, 0).dials, status(runtime, 0).costs) == (1, (("usd", Decimal("0.2500")),))


def status(runtime, campaign_id):
    return runtime.counts.of_campaign(campaign_id).value


def add_account(database, code, **columns):
    with database.engine.connect() as connection, connection.begin():
        made = connection.execute(tables.accounts.insert().values(code=code, name=code, **columns))
    return int(made.inserted_primary_key[0])
