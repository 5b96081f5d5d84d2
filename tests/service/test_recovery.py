"""A database that came back older than what was done: noticed in the take, cleared up, or held until people look."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import event

from scheduler.errors import Conflict
from scheduler.providers.base import Listed
from scheduler.service.alerts import list_alerts
from scheduler.service.daemon import Daemon
from scheduler.service.marks import Mark, Marks
from scheduler.service.recovery import LostCalls, release_recovery
from scheduler.service.refs import beginnings_between, is_marked, mark_of, new_refs
from scheduler.service.rulebook import RuleBook
from scheduler.store import recoveries
from tests.conftest import NOON
from tests.each import each
from tests.factories import (
    HOUR,
    MINUTE,
    ScriptedProvider,
    Station,
    add_due_lead,
    attempt_of,
    attempts_of,
    broken_promises,
    call_of,
    chilean,
    events_of,
    sql,
    with_providers,
)


class ListingProvider(ScriptedProvider):
    """One that can be asked which calls it has."""

    def __init__(self) -> None:
        super().__init__("simulator")
        self.listed: list[Listed] = []

    def list_since(self, since: datetime, now: datetime, beginnings: Sequence[str]) -> Sequence[Listed]:
        return [one for one in self.listed if one.attempt_ref.startswith(tuple(beginnings))]


@pytest.fixture(params=["lists", "lists none"])
def provider(request) -> ScriptedProvider:
    return ListingProvider() if request.param == "lists" else ScriptedProvider("simulator")


@pytest.fixture
def house(runtime, provider):
    return with_providers(runtime, {provider.name: provider}, provider.name)


# --- noticed ------------------------------------------------------------------------------------------------------


def test_the_very_next_take_notices_that_a_claimed_attempt_is_gone(house, provider, database):
    daemon = begun(house, database)
    lose_newest(database)
    add_due_lead(database)

    daemon.dispatcher.run_once()

    assert len(provider.dials) == 1
    assert is_missed(daemon)


def test_a_heartbeat_that_is_committed_during_the_look_is_no_sign_of_an_older_database(house, provider, database):
    daemon = begun(house, database)

    def beat(_connection, _cursor, statement, *_):
        if "daemons.ticks" in statement and statement.startswith("SELECT"):
            daemon.memory.ticks += 1

    event.listen(database.engine, "after_cursor_execute", beat)
    knows = database.transact(daemon.memory.knows)
    event.remove(database.engine, "after_cursor_execute", beat)

    assert (knows, daemon.memory.doubt) == (True, None)


def test_a_daemon_that_starts_later_on_this_host_notices_it_too(house, provider, database):
    begun(house, database)
    lose_newest(database)
    lead_id = add_due_lead(database)
    Daemon(house).run_once()

    assert len(provider.dials) == 1
    assert call_of(database, lead_id).status == "pending"
    assert "database_older" in {one.code for one in list_alerts(runtime=house)}


def test_another_attempt_under_the_same_id_is_not_the_one_that_was_claimed(house, provider, database):
    daemon = begun(house, database)
    sql(database, "UPDATE call_attempts SET attempt_ref = :other", other=str(uuid.uuid4()))
    add_due_lead(database)

    daemon.dispatcher.run_once()

    assert (len(provider.dials), is_missed(daemon)) == (1, True)


def test_what_another_daemon_did_is_known_from_the_last_tick(house, provider, database):
    """On another host there is no file of it."""
    begun(house, database)
    other = Daemon(house)
    other._begin()
    other.recoverer.run_once()
    other.memory.marks = None
    other._obey()
    lose_newest(database)
    add_due_lead(database)

    other.dispatcher.run_once()

    assert (len(provider.dials), is_missed(other)) == (1, True)


def test_while_one_has_noticed_nobody_takes_anything(house, provider, database):
    first, second = begun(house, database), Daemon(house)
    second._begin()
    second.recoverer.run_once()
    lost_calls(house).hold("a test")
    add_due_lead(database)

    assert [one.dispatcher.run_once().taken for one in (first, second)] == [0, 0]
    assert len(provider.dials) == 1


def test_a_host_that_remembers_nothing_holds_where_nobody_can_be_asked(house, provider, database, clock, tmp_path):
    daemon = begun(house, database)
    sql(database, "UPDATE daemons SET status = 'running'")  # it was killed
    clock.advance(HOUR)
    elsewhere = replace(house, settings=house.settings.model_copy(update={"state_dir": str(tmp_path / "other")}))
    add_due_lead(database)
    Daemon(elsewhere).run_once()

    is_asked = isinstance(provider, ListingProvider)
    assert len(provider.dials) == (2 if is_asked else 1)
    assert daemon.memory.identity is not None
    assert ("database_older" in {one.code for one in list_alerts(runtime=house)}) is not is_asked


def test_a_listing_that_knows_more_holds_before_the_first_dial(runtime, database):
    provider = ListingProvider()
    house = with_providers(runtime, {provider.name: provider}, provider.name)
    begun(house, database)
    provider.listed = [lost_one(database)]
    add_due_lead(database)
    Daemon(house).run_once()

    assert len(provider.dials) == 1
    assert "has 1 calls of ours that it does not know" in open_one(database).reason


def test_calls_of_another_database_are_not_ours(runtime, database):
    provider = ListingProvider()
    house = with_providers(runtime, {provider.name: provider}, provider.name)
    begun(house, database)
    provider.listed = [Listed(new_refs(1, NOON)[0], "call-9", chilean())]
    add_due_lead(database)
    Daemon(house).run_once()

    assert len(provider.dials) == 2


def test_an_event_about_a_call_of_ours_that_no_attempt_has_holds_everything_and_becomes_an_attempt(
    runtime, database, clock
):
    station = Station(runtime)
    lead_id = add_due_lead(database)
    ref = ours(runtime, database)
    station.inbox.keep("scripted", [told(ref, "call-7", {"call": {"metadata": {"lead_id": str(lead_id)}}})])
    for _ in range(2):
        station.turn_inbox()
        clock.advance(MINUTE)

    assert open_one(database).reason.startswith("scripted tells of a call of ours")
    adopted = attempt_of(database, lead_id)
    assert (adopted.attempt_ref, adopted.provider_call_id) == (ref, "call-7")
    assert call_of(database, lead_id).status == "in_progress"
    assert not broken_promises(database)


# --- cleared up ---------------------------------------------------------------------------------------------------


def test_it_goes_on_once_every_lost_call_is_an_attempt_and_no_more_can_come(runtime, database, clock):
    provider = ListingProvider()
    house = with_providers(runtime, {provider.name: provider}, provider.name)
    daemon = begun(house, database)
    lead_id = add_due_lead(database, number := chilean())
    provider.listed = [replace(lost_one(database), number=number)]
    lost_calls(house).hold("a test")

    daemon.recoverer.run_once()
    first = open_one(database)
    daemon.recoverer.run_once()
    still = open_one(database)
    clock.advance(timedelta(seconds=runtime.settings.settle_seconds))
    daemon.recoverer.run_once()

    assert first is not None and still is not None
    assert open_one(database) is None
    assert attempt_of(database, lead_id).state == "live"
    assert [one.lead_id for one in events_of(database, "call_adopted")] == [lead_id]
    assert not broken_promises(database)


def test_a_call_of_no_lead_waits_for_people(runtime, database, clock):
    provider = ListingProvider()
    house = with_providers(runtime, {provider.name: provider}, provider.name)
    daemon = begun(house, database)
    provider.listed = [lost_one(database)]
    lost_calls(house).hold("a test")
    clock.advance(HOUR)
    daemon.recoverer.run_once()

    assert (open_one(database).unplaced, open_one(database).doubt) == (
        1, "1 calls are of no lead that the database knows",
    )


def test_a_lost_call_is_adopted_once_and_after_the_open_one_of_its_lead(house, database):
    lead_id = add_due_lead(database, number := chilean())
    lost = lost_calls(house)
    one, other = (Listed(ref, f"call-{ref}", number) for ref in (ours(house, database), ours(house, database)))

    became = [lost.adopt("scripted", listed, None).name for listed in (one, one, other)]

    assert became == ["ADOPTED", "ADOPTED", "WAITS"]
    assert len(attempts_of(database, lead_id)) == 1


def test_people_release_it_once(house, provider, database):
    daemon = begun(house, database)
    lose_newest(database)
    lead_id = add_due_lead(database)
    daemon.run_once()
    release_recovery("looked", runtime=house)
    with pytest.raises(Conflict, match="nothing is held"):
        release_recovery(runtime=house)
    Daemon(house).run_once()

    assert len(provider.dials) == 2
    assert call_of(database, lead_id).status == "in_progress"


# --- what a host remembers ----------------------------------------------------------------------------------------


def test_marks_are_of_every_daemon_of_a_host_and_an_unreadable_one_proves_nothing(tmp_path):
    one, other = Marks(tmp_path / "db", "host:1:aa"), Marks(tmp_path / "db", "host:2:bb")
    one.note(Mark(0, 7, "ref-7"))
    one.note(Mark(0, 5, "ref-5"))  # written late: the newest stays
    other.note(Mark(0, 6, "ref-6"))
    (tmp_path / "db" / "odd.mark").write_text('{"epoch": "x"}')

    assert other.newest() == Mark(0, 7, "ref-7")
    assert max(Mark(0, 7, "ref-7"), Mark(1, 2, "ref-2")).epoch == 1


def test_marks_that_cannot_be_written_are_said_and_remembered_all_the_same(tmp_path):
    (tmp_path / "db").write_text("a file")
    marks = Marks(tmp_path / "db", "host:1:aa")
    marks.note(Mark(0, 7, "ref-7"))

    assert marks.newest() == Mark(0, 7, "ref-7")
    assert marks.problem is not None


@each("span", [timedelta(0), MINUTE, HOUR, timedelta(days=1), timedelta(days=400)])
def test_beginnings_cover_the_references_of_a_time(span):
    texts = beginnings_between(NOON - span, NOON)

    assert len(texts) <= 16
    assert all(new_refs(1, at)[0].startswith(tuple(texts)) for at in (NOON - span, NOON - span / 2, NOON))


def test_references_are_known_again_by_the_mark_of_their_database():
    name = str(uuid.uuid4())
    [ref] = new_refs(1, NOON, mark_of(name))

    assert is_marked(ref, mark_of(name))
    assert not is_marked(ref, mark_of(str(uuid.uuid4())))
    assert not is_marked("asterisk-1730", mark_of(name))


# --- steps --------------------------------------------------------------------------------------------------------


def begun(house, database) -> Daemon:
    """A daemon that has dialed one lead."""
    add_due_lead(database)
    daemon = Daemon(house)
    daemon.run_once()
    return daemon


def is_missed(daemon: Daemon) -> bool:
    return (daemon.memory.doubt or "").endswith("is not in it any more")


def lose_newest(database) -> None:
    """As in a copy of before the last take; what else was written stands."""
    sql(database, "DELETE FROM call_attempts")
    sql(database, "UPDATE call_schedule SET status = 'cancelled', lease_owner = NULL, lease_token = NULL,"
                  " lease_expires_at = NULL")


def lost_calls(house) -> LostCalls:
    return LostCalls(house, RuleBook(), Station(house).reporter, actor="test")


def ours(house, database) -> str:
    name = database.transact(lambda connection: recoveries.read_identity(connection, NOON)).name
    return new_refs(1, house.clock.now(), mark_of(name))[0]


def lost_one(database) -> Listed:
    name = database.transact(lambda connection: recoveries.read_identity(connection, NOON)).name
    ref = new_refs(1, NOON + MINUTE, mark_of(name))[0]
    return Listed(ref, f"call-{ref}", chilean())


def told(ref: str, call_id: str, payload):
    from scheduler.providers.base import ProviderEvent

    return ProviderEvent(f"{call_id}:{ref}", "told", payload, attempt_ref=ref, call_id=call_id)


def open_one(database):
    return database.read(recoveries.find_open)


