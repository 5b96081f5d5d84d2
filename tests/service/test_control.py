"""Control while calls run: campaigns, many leads at once, stuck rows, daemons; on both engines."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert

from scheduler.errors import Conflict, InvalidSettings, InvalidValue, NotFound
from scheduler.model import CallStatus, DaemonWish, LeadStatus
from scheduler.providers.base import Accepted, CallReport, Phase, Unanswered
from scheduler.rules.eligibility import number_at
from scheduler.service import control, operations
from scheduler.service.control import CampaignPlan
from scheduler.store import calls, journal, leads, tables
from scheduler.store.leads import LeadFilter
from tests.conftest import NOON, sqlite_suffices
from tests.factories import (
    DAY,
    HOUR,
    MINUTE,
    ScriptedProvider,
    Station,
    add_campaign,
    add_due_lead,
    add_lead,
    add_many_planned,
    attempt_of,
    attempts_of,
    bar,
    broken_promises,
    call_id_of,
    call_of,
    calls_of,
    chilean,
    config_of,
    events_of,
    find,
    find_all,
    lead_of,
    plan_call,
    set_config,
    sql,
)
from tests.waiting import BACKSTOP

SECOND = timedelta(seconds=1)
SATURDAY = datetime(2026, 11, 21, 15, 0, tzinfo=UTC)
SILENT_AFTER = MINUTE


# --- campaigns are made ---------------------------------------------------------------------------


def test_a_campaign_is_made_with_everything_it_needs(runtime, database):
    account_id = add_account(database, "acme")

    code = control.create_campaign(
        "Autumn", code="autumn", account="acme", group="debts", deadline_days=30, priority=4, paused=True,
        set_values={"preset": "cl-collections", "max_concurrent_calls": 7}, runtime=runtime,
    )

    made = campaign_of(database, code)
    assert (made.account_id, made.group_name, made.priority) == (account_id, "debts", 4)
    assert made.fecha_limite == date(2026, 12, 20), "30 days from the installation's today"
    assert made.call_settings == {"preset": "cl-collections", "max_concurrent_calls": 7}
    assert (made.status, made.status_reason) == ("paused", "created paused")


def test_days_are_counted_on_the_installations_clock(runtime, clock):
    clock.set(datetime(2026, 11, 21, 2, 0, tzinfo=UTC))  # still the 20th in Santiago

    code = control.create_campaign("Autumn", deadline_days=1, runtime=runtime)

    assert campaign_of(runtime.database, code).fecha_limite == date(2026, 11, 21)


@sqlite_suffices
@pytest.mark.parametrize(
    "given, error, says",
    [
        ({"account": "nobody"}, NotFound, "no account nobody"),
        ({"deadline": date(2026, 11, 19)}, InvalidValue, "lies in the past"),
        ({"deadline": date(2026, 12, 1), "deadline_days": 3}, InvalidValue, "not both"),
        ({"deadline_days": -1}, InvalidValue, "0 to 3650"),
        ({"set_values": {"max_attemps": 3}}, InvalidSettings, "there is no such setting"),
        ({"set_values": {"preset": "atlantis"}}, InvalidSettings, "preset"),
        ({"group": "g" * 65}, InvalidValue, "at most 64"),
        ({"provider": "smoke"}, InvalidValue, "provider"),
        ({"code": "taken"}, Conflict, "there is a campaign taken already"),
    ],
)
def test_a_campaign_that_could_not_be_called_is_not_made(runtime, database, given, error, says):
    add_campaign(database, "taken")

    with pytest.raises(error, match=says):
        control.create_campaign("Autumn", **given, runtime=runtime)

    assert len(find_all(database, tables.campaigns)) == 1


# --- campaigns are changed ------------------------------------------------------------------------


def test_an_edit_says_what_it_changed_and_leaves_the_rest(runtime, database):
    add_campaign(database, "autumn", priority=2, call_settings={"max_attempts": 3, "ring_timeout": 40})

    done = control.edit_campaign(
        "autumn", CampaignPlan(name="Winter", priority=2, set_values={"max_attempts": 5, "ring_timeout": None}),
        runtime=runtime,
    )

    assert done.changes == {
        "name": ("autumn", "Winter"),
        "call_settings": ({"max_attempts": 3, "ring_timeout": 40}, {"max_attempts": 5}),
    }
    assert campaign_of(database, "autumn").call_settings == {"max_attempts": 5}
    [event] = events_of(database, "campaign_edited")
    assert (event.reason, event.details["name"]) == ("name, call_settings", {"before": "autumn", "after": "Winter"})


def test_an_edit_is_done_whole_or_not_at_all(runtime, database):
    add_campaign(database, "autumn", call_settings={"retry_settings": {"max_attempts": 3}})

    with pytest.raises(InvalidSettings, match="contradict each other"):
        control.edit_campaign(
            "autumn", CampaignPlan(name="Winter", set_values={"max_attempts": 5}), runtime=runtime
        )

    assert campaign_of(database, "autumn").name == "autumn"
    assert events_of(database, "campaign_edited") == []


def test_a_last_date_can_be_set_and_taken_away(runtime, database):
    add_campaign(database, "autumn")

    control.edit_campaign("autumn", CampaignPlan(deadline=date(2026, 11, 20)), runtime=runtime)
    with_date = campaign_of(database, "autumn").fecha_limite
    control.edit_campaign("autumn", CampaignPlan(no_deadline=True), runtime=runtime)

    assert (with_date, campaign_of(database, "autumn").fecha_limite) == (date(2026, 11, 20), None)


def test_an_edit_that_changes_nothing_writes_nothing(runtime, database):
    add_campaign(database, "autumn", call_settings={"max_attempts": 3})

    done = control.edit_campaign("autumn", CampaignPlan(set_values={"max_attempts": 3}), runtime=runtime)

    assert done.changes == {}
    assert events_of(database, "campaign_edited") == []


def test_an_edit_of_anything_but_hours_moves_no_call(runtime, database):
    campaign_id = add_campaign(database, "autumn")
    for _ in range(3):
        add_due_lead(database, campaign_id=campaign_id)

    done = control.edit_campaign("autumn", CampaignPlan(set_values={"max_attempts": 6}), runtime=runtime)

    assert (done.waiting, done.moved) == (3, 0)


@pytest.mark.parametrize("dry_run", [True, False])
def test_an_edit_counts_the_calls_that_upkeep_will_move(runtime, database, clock, dry_run):
    clock.set(SATURDAY)
    campaign_id = add_campaign(database, "autumn")
    station = Station(runtime)
    leads = [add_due_lead(database, campaign_id=campaign_id, at=SATURDAY - HOUR) for _ in range(3)]
    plan_call(database, add_lead(database, campaign_id=campaign_id), at=SATURDAY + 3 * DAY)  # a weekday anyway
    station.upkeep()
    station.dispatch()
    monday = {call_of(database, one).scheduled_at for one in leads}

    done = control.edit_campaign(
        "autumn", CampaignPlan(set_values={"days_of_week": [1, 2, 3, 4, 5, 6]}), dry_run=dry_run, runtime=runtime
    )
    replanned = station.upkeep().replanned

    assert monday == {datetime(2026, 11, 23, 12, 0, tzinfo=UTC)}
    assert (done.waiting, done.moved) == (4, 3)
    assert replanned == (0 if dry_run else 3)
    assert campaign_of(database, "autumn").call_settings == (None if dry_run else {"days_of_week": [1, 2, 3, 4, 5, 6]})


def test_an_edit_says_when_the_moved_calls_go_and_which_days_call_nobody(runtime, database, clock):
    clock.set(SATURDAY)
    campaign_id = add_campaign(database, "autumn")
    for days in (2, 3, 4):  # Monday to Wednesday at noon in Santiago
        plan_call(database, add_lead(database, campaign_id=campaign_id), at=SATURDAY + days * DAY)

    done = control.edit_campaign(
        "autumn", CampaignPlan(call_settings={"windows": {"tue,thu": [["09:00", "10:00"]]}}), dry_run=True,
        runtime=runtime,
    )

    assert (done.moved, done.effect.is_exact, done.effect.never) == (3, True, 0)
    assert (done.effect.first_at, done.effect.last_at) == (
        datetime(2026, 11, 24, 12, tzinfo=UTC), datetime(2026, 11, 26, 12, tzinfo=UTC)
    )
    assert done.closed_days == (1, 3, 5, 6, 7)


def test_calls_that_wait_for_people_are_not_counted_as_moved(runtime, database, clock):
    clock.set(SATURDAY)
    campaign_id = add_campaign(database, "autumn")
    for hold in (None, "suspended", "never"):
        plan_call(database, add_lead(database, campaign_id=campaign_id), at=SATURDAY, hold=hold)

    done = control.edit_campaign(
        "autumn", CampaignPlan(set_values={"days_of_week": [1, 2, 3, 4, 5, 6]}), dry_run=True, runtime=runtime
    )

    assert (done.waiting, done.moved) == (3, 2)


def test_hours_that_never_open_move_calls_to_no_time_at_all(runtime, database, clock):
    clock.set(SATURDAY)
    campaign_id = add_campaign(database, "autumn")
    add_due_lead(database, campaign_id=campaign_id, at=SATURDAY)

    done = control.edit_campaign(
        "autumn", CampaignPlan(call_settings={"windows": {"hol": [["09:00", "10:00"]]}}), dry_run=True, runtime=runtime
    )

    assert (done.waiting, done.moved, done.effect.never, done.effect.first_at) == (1, 1, 1, None)
    assert done.closed_days == (1, 2, 3, 4, 5, 6, 7)


def test_a_count_that_is_not_waited_for_says_how_far_it_looked(runtime, database, clock):
    clock.set(SATURDAY)
    campaign_id = add_campaign(database, "autumn")
    add_many_planned(database, campaign_id, 1301, at=SATURDAY)
    plan, told = CampaignPlan(set_values={"days_of_week": [1, 2, 3, 4, 5, 6]}), []

    early = control.edit_campaign("autumn", plan, dry_run=True, told=lambda effect: False, runtime=runtime)
    exact = control.edit_campaign(
        "autumn", plan, dry_run=True, told=lambda effect: told.append(effect) is None, runtime=runtime
    )

    assert (early.waiting, early.effect.looked_at, early.moved, early.effect.is_exact) == (1301, 1000, 1000, False)
    assert (exact.waiting, exact.effect.looked_at, exact.moved, exact.effect.is_exact) == (1301, 1301, 1301, True)
    assert [one.looked_at for one in told] == [1000, 1301]


def test_a_planned_call_is_judged_by_the_number_that_it_will_ring(runtime, database):
    campaign_id = add_campaign(database, "autumn")
    two = add_lead(database, "+56955501085", "+34911234567", campaign_id=campaign_id)
    by_hand = add_lead(database, "+56955501086", campaign_id=campaign_id)
    sql(database, "DELETE FROM lead_phones WHERE lead_id = :id", id=by_hand)
    changed = add_lead(database, "+56955501087", "+34911234568", campaign_id=campaign_id)
    sql(database, "UPDATE leads SET telefono = '+12025550123' WHERE id = :id", id=changed)
    emptied = add_lead(database, "+56955501088", campaign_id=campaign_id)
    sql(database, "UPDATE leads SET telefono = '' WHERE id = :id", id=emptied)
    ids = [two, by_hand, changed, emptied]
    planned = {plan_call(database, lead_id): lead_id for lead_id in ids}

    for position in (None, 0, 1, 2, 7):
        sql(database, "UPDATE call_schedule SET phone_position = :position", position=position)
        rows = database.read(lambda connection: calls.list_planned(connection, campaign_id, None, 10))
        people = database.read(lambda connection: leads.read_leads(connection, ids))

        assert [row.id for row in rows] == sorted(planned)
        assert [row.number or None for row in rows] == [
            number_at(people[planned[row.id]], position or 1) or None for row in rows
        ]


def test_settings_broken_by_sql_are_mended_whole_and_not_in_parts(runtime, database):
    add_campaign(database, "autumn", call_settings='{"max_attempts": "many"}')

    with pytest.raises(InvalidSettings, match="max_attempts"):
        control.edit_campaign("autumn", CampaignPlan(set_values={"ring_timeout": 30}), runtime=runtime)
    control.edit_campaign("autumn", CampaignPlan(call_settings='{"ring_timeout": 30}'), runtime=runtime)

    assert campaign_of(database, "autumn").call_settings == {"ring_timeout": 30}


# --- pause and resume -----------------------------------------------------------------------------


def test_a_paused_campaign_places_nothing_until_it_is_resumed(runtime, database):
    station = Station(runtime)
    mine, other = (add_campaign(database, code) for code in ("mine", "other"))
    waiting = add_due_lead(database, campaign_id=mine)
    add_due_lead(database, campaign_id=other)

    control.pause_campaign("mine", reason="lunch", runtime=runtime)
    station.dispatch()
    while_paused = (attempts_of(database, waiting), len(station.provider.dials))
    row = call_of(database, waiting)
    control.resume_campaign("mine", runtime=runtime)
    station.dispatch()

    assert while_paused == ([], 1)
    assert (row.status, row.scheduled_at) == ("pending", NOON), "it keeps its place"
    assert attempt_of(database, waiting).state == "live"
    assert [(one.reason, one.actor) for one in events_of(database, "campaign_paused")] == [("lunch", "cli")]
    assert len(events_of(database, "campaign_resumed")) == 1


@pytest.mark.parametrize("pause", ["pause_campaign", "pause_all", "cancel_campaign"])
def test_a_pause_returns_only_after_a_take_that_is_under_way(runtime, database, pause):
    """A take locks what limits calls, then its campaigns: whoever pauses waits for both."""
    campaign_id = add_campaign(database, "mine")
    act: Callable[[], Any] = {
        "pause_campaign": lambda: control.pause_campaign("mine", runtime=runtime),
        "pause_all": lambda: control.pause_all(runtime=runtime),
        "cancel_campaign": lambda: control.cancel_campaign("mine", "why", runtime=runtime),
    }[pause]
    pausing = threading.Thread(target=act)

    def take(connection: Any) -> bool:
        calls.lock_capacity(connection)
        calls.lock_campaigns(connection, [campaign_id])
        pausing.start()
        pausing.join(0.3)
        return pausing.is_alive()

    waited = database.transact(take)
    pausing.join(BACKSTOP)

    assert waited
    assert campaign_of(database, "mine").status in ("paused", "cancelled")


@sqlite_suffices
@pytest.mark.parametrize(
    "status, pause, resume",
    [
        ("active", None, "is active; only a paused one can be resumed"),
        ("paused", "is paused; only an active one can be paused", None),
        ("completed", "only an active one can be paused", "only a paused one can be resumed"),
        ("cancelled", "only an active one can be paused", "cancelled for good; create a new one"),
    ],
)
def test_a_campaign_is_paused_and_resumed_from_where_that_makes_sense(runtime, database, status, pause, resume):
    add_campaign(database, "mine", status=status)

    for act, says in ((control.pause_campaign, pause), (control.resume_campaign, resume)):
        if says is not None:
            with pytest.raises(Conflict, match=says):
                act("mine", runtime=runtime)
            assert campaign_of(database, "mine").status == status


@sqlite_suffices
@pytest.mark.parametrize(
    "act",
    [
        control.pause_campaign, control.resume_campaign,
        lambda key, runtime: control.cancel_campaign(key, "why", runtime=runtime),
        lambda key, runtime: control.edit_campaign(key, CampaignPlan(name="New"), runtime=runtime),
    ],
)
@pytest.mark.parametrize("key", ["nowhere", "7", "99999999999999999999", "²"])
def test_a_campaign_that_is_not_there_is_said_so(runtime, act, key):
    with pytest.raises(NotFound, match=f"there is no campaign {key}"):
        act(key, runtime=runtime)


def test_pause_all_stops_leads_without_campaign_and_campaigns_made_later(runtime, database):
    station = Station(runtime)
    add_due_lead(database, campaign_id=add_campaign(database, "mine"))
    add_due_lead(database)

    assert control.pause_all(reason="storm", runtime=runtime) == ["mine"]
    add_due_lead(database, campaign_id=add_campaign(database, "later"))
    station.dispatch()
    station.upkeep()
    station.dispatch()

    assert station.provider.dials == []
    assert campaign_of(database, "mine").status_reason == "paused with all: storm"
    assert config_of(database, "paused") == "yes"
    assert [one.details for one in events_of(database, "all_paused")] == [{"campaigns": ["mine"]}]


def test_resume_all_resumes_what_was_paused_with_all_and_names_the_others(runtime, database):
    station = Station(runtime)
    for code in ("mine", "own", "dead"):
        add_due_lead(database, campaign_id=add_campaign(database, code))
    control.pause_campaign("own", reason="lunch", runtime=runtime)
    control.cancel_campaign("dead", "withdrawn", runtime=runtime)
    control.pause_all(runtime=runtime)

    done = control.resume_all(runtime=runtime)
    station.dispatch()

    assert (done.resumed, done.still_paused) == (("mine",), ("own",))
    assert [campaign_of(database, code).status for code in ("mine", "own", "dead")] == [
        "active", "paused", "cancelled",
    ]
    assert len(station.provider.dials) == 1
    assert config_of(database, "paused") == "no"


def test_one_campaign_is_not_resumed_while_everything_is_paused(runtime, database):
    add_campaign(database, "mine")
    control.pause_all(runtime=runtime)

    with pytest.raises(Conflict, match="`ringback campaigns resume-all` comes first"):
        control.resume_campaign("mine", runtime=runtime)

    assert campaign_of(database, "mine").status == "paused"


def test_what_was_not_paused_is_not_resumed(runtime):
    with pytest.raises(Conflict, match="nothing was paused"):
        control.resume_all(runtime=runtime)


def test_a_pause_that_was_set_in_the_table_is_undone_too(runtime, database):
    set_config(database, paused="yes")

    assert control.resume_all(runtime=runtime).resumed == ()
    assert config_of(database, "paused") == "no"


# --- cancel ---------------------------------------------------------------------------------------


def test_a_cancelled_campaign_closes_its_leads_whatever_they_are(runtime, database):
    campaign_id = add_campaign(database, "mine")
    open_ones = [
        add_due_lead(database, campaign_id=campaign_id),
        add_due_lead(database, campaign_id=campaign_id, lead_status=None),
        add_due_lead(database, campaign_id=campaign_id, lead_status="suspended"),
        add_due_lead(database, campaign_id=campaign_id, manual_management=True),
        add_lead(database, campaign_id=campaign_id),
    ]
    done_before = add_lead(
        database, campaign_id=campaign_id, lead_status="closed", closed_reason="completed", closed_at=NOON - DAY
    )
    elsewhere = add_due_lead(database)

    done = control.cancel_campaign("mine", "list withdrawn", runtime=runtime)

    assert (done.closed_leads, done.hung_up, done.still_open) == (5, 0, ())
    assert {(lead_of(database, one).lead_status, lead_of(database, one).closed_reason) for one in open_ones} == {
        ("closed", "campaign_cancelled"),
    }
    assert {one.status for one in find_all(database, tables.call_schedule, campaign_id=campaign_id)} == {"cancelled"}
    assert (lead_of(database, done_before).closed_reason, lead_of(database, done_before).closed_at) == (
        "completed", NOON - DAY,
    )
    assert lead_of(database, elsewhere).lead_status == "open"
    found = campaign_of(database, "mine")
    assert (found.status, found.status_reason, found.completed_at) == ("cancelled", "list withdrawn", NOON)
    assert [one.reason for one in events_of(database, "campaign_cancelled")] == ["list withdrawn"]
    assert {one.lead_id for one in events_of(database, "lead_closed")} == set(open_ones)
    assert Station(runtime).upkeep().total == 0, "nothing is left to put right"


def test_calls_in_progress_end_by_themselves_and_nothing_follows(runtime, database, clock):
    station = Station(runtime)
    number = chilean()
    campaign_id = add_campaign(database, "mine")
    lead_id = add_due_lead(database, number, campaign_id=campaign_id)
    station.dispatch()

    done = control.cancel_campaign("mine", "withdrawn", runtime=station.runtime)
    station.provider.ends(number, "no_answer")
    clock.advance(MINUTE)
    station.follow()
    station.upkeep()

    assert [(one.lead_id, one.state) for one in done.still_open] == [(lead_id, "live")]
    assert station.provider.hung_up == []
    assert attempt_of(database, lead_id).outcome == "no_answer"
    assert [one.status for one in calls_of(database, lead_id)] == ["completed"]
    assert lead_of(database, lead_id).closed_reason == "campaign_cancelled"
    assert broken_promises(database) == {}


class QueueingProvider(ScriptedProvider):
    """It keeps calls in a queue of its own before it dials them."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: set[str] = set()

    def take_back(self, call_id: str) -> bool:
        if call_id not in self.queue:
            return False
        self.queue.discard(call_id)
        return True


@pytest.mark.parametrize("by", ["the service", "SQL"])
def test_what_waits_in_a_providers_queue_is_taken_back_when_its_campaign_is_cancelled(runtime, database, clock, by):
    provider = QueueingProvider()
    station = Station(runtime, provider)
    campaign_id = add_campaign(database, "mine")
    queued, ringing = (add_due_lead(database, campaign_id=campaign_id) for _ in range(2))
    elsewhere = add_due_lead(database)
    station.dispatch()
    ids = {one: attempt_of(database, one).provider_call_id for one in (queued, ringing, elsewhere)}
    provider.queue |= {ids[queued], ids[elsewhere]}
    for one in ids:
        provider.knows(lead_of(database, one).telefono, CallReport("", Phase.DIALING, provider_status="queued"))
    if by == "SQL":
        sql(database, "UPDATE campaigns SET status = 'cancelled'")
    else:
        control.cancel_campaign("mine", "withdrawn", runtime=station.runtime)
    clock.advance(MINUTE)
    station.follow()
    provider.forgets(lead_of(database, queued).telefono)
    clock.advance(MINUTE)
    station.follow()
    station.upkeep()

    assert provider.queue == {ids[elsewhere]}
    assert attempt_of(database, queued).outcome == "cancelled"
    assert {attempt_of(database, one).state for one in (ringing, elsewhere)} == {"live"}
    assert provider.hung_up == []
    assert broken_promises(database) == {}


def test_live_calls_are_hung_up_on_demand_and_the_others_are_named(runtime, database, clock):
    station = Station(runtime)
    campaign_id = add_campaign(database, "mine")
    live, stubborn, lost = (add_due_lead(database, campaign_id=campaign_id) for _ in range(3))
    station.provider.answers(lead_of(database, lost).telefono, Unanswered("the line went dead"))
    other = add_due_lead(database)
    station.dispatch()
    station.provider.cannot_hang_up.add(attempt_of(database, stubborn).provider_call_id)

    done = control.cancel_campaign("mine", "withdrawn", hang_up=True, runtime=station.runtime)

    assert station.provider.hung_up == [attempt_of(database, live).provider_call_id]
    assert done.hung_up == 1
    assert {(one.attempt_id, one.lead_id, one.state) for one in done.still_open} == {
        (attempt_of(database, stubborn).id, stubborn, "live"), (attempt_of(database, lost).id, lost, "unknown"),
    }
    assert [one.lead_id for one in events_of(database, "call_hung_up")] == [live]
    assert attempt_of(database, live).next_poll_at == clock.now(), "its end is asked for at once"
    assert attempt_of(database, other).state == "live"


def test_a_call_that_was_being_placed_is_hung_up_once_it_is_live(runtime, database):
    """The dial is answered while the leads are being closed."""
    station = Station(runtime)
    campaign_id = add_campaign(database, "mine")
    lead_id = add_due_lead(database, campaign_id=campaign_id)
    answered = threading.Event()
    asked = threading.Event()

    def slowly(request: Any) -> Accepted:
        asked.set()
        assert answered.wait(BACKSTOP)
        return Accepted(call_id_of(request.attempt_ref))

    station.provider.answers(None, slowly)
    dialing = threading.Thread(target=station.dispatch)
    dialing.start()
    assert asked.wait(BACKSTOP)

    def now_it_is_answered(done: int, total: int) -> None:
        answered.set()
        dialing.join(BACKSTOP)

    done = control.cancel_campaign(
        "mine", "withdrawn", hang_up=True, on_progress=now_it_is_answered, runtime=station.runtime
    )

    assert station.provider.hung_up == [attempt_of(database, lead_id).provider_call_id]
    assert (done.hung_up, done.still_open) == (1, ())


def test_a_call_that_fails_after_the_cancel_is_not_planned_again(runtime, database, clock):
    """Looked up long after, and never made: the row waits again for a moment, and upkeep cancels it."""
    station = Station(runtime)
    campaign_id = add_campaign(database, "mine")
    number = chilean()
    lead_id = add_due_lead(database, number, campaign_id=campaign_id)
    station.provider.answers(number, Unanswered("the line went dead"))
    station.provider.forgets(number)
    station.dispatch()
    control.cancel_campaign("mine", "withdrawn", runtime=station.runtime)

    for _ in range(4):
        clock.advance(5 * MINUTE)
        station.follow()
    station.upkeep()
    station.dispatch()

    assert attempt_of(database, lead_id).state == "refused"
    assert call_of(database, lead_id).status == "cancelled"
    assert len(station.provider.dials) == 1


def test_many_leads_are_closed_in_short_transactions_and_told(runtime, database):
    campaign_id = add_campaign(database, "mine")
    add_many_due(database, 1200, campaign_id)
    told: list[tuple[int, int]] = []

    done = control.cancel_campaign(
        "mine", "withdrawn", on_progress=lambda done, total: told.append((done, total)), runtime=runtime
    )

    assert told == [(500, 1200), (1000, 1200), (1200, 1200)]
    assert done.closed_leads == len(events_of(database, "lead_closed")) == 1200
    assert count(database, "leads", "lead_status = 'closed'") == 1200
    assert count(database, "call_schedule", "status = 'pending'") == 0


def test_a_cancel_that_was_cut_in_the_middle_is_finished_by_upkeep(runtime, database):
    campaign_id = add_campaign(database, "mine")
    add_many_due(database, 1100, campaign_id)
    planned_for_nothing = add_lead(database, campaign_id=campaign_id, lead_status="suspended")

    def cut(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        control.cancel_campaign("mine", "withdrawn", on_progress=cut, runtime=runtime)
    left = count(database, "leads", "lead_status <> 'closed'")
    station = Station(runtime)
    station.dispatch()
    report = station.upkeep()

    assert left == 601
    assert station.provider.dials == []
    assert report.closed_in_campaigns == 601
    assert lead_of(database, planned_for_nothing).closed_reason == "campaign_cancelled"
    assert count(database, "leads", "lead_status <> 'closed'") == 0
    assert campaign_of(database, "mine").completed_at == NOON
    assert station.upkeep().total == 0


@pytest.mark.parametrize("again", ["cancel", "pause", "resume", "edit"])
def test_a_cancel_is_for_good(runtime, database, again):
    add_campaign(database, "mine")
    control.cancel_campaign("mine", "withdrawn", runtime=runtime)

    with pytest.raises(Conflict, match="campaign mine is cancelled"):
        {
            "cancel": lambda: control.cancel_campaign("mine", "once more", runtime=runtime),
            "pause": lambda: control.pause_campaign("mine", runtime=runtime),
            "resume": lambda: control.resume_campaign("mine", runtime=runtime),
            "edit": lambda: control.edit_campaign("mine", CampaignPlan(priority=3), runtime=runtime),
        }[again]()

    found = campaign_of(database, "mine")
    assert (found.status, found.status_reason) == ("cancelled", "withdrawn")


def test_a_cancel_without_a_reason_is_refused(runtime, database):
    add_campaign(database, "mine")

    with pytest.raises(InvalidValue, match="say why"):
        control.cancel_campaign("mine", " ", runtime=runtime)

    assert campaign_of(database, "mine").status == "active"


# --- many leads -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wanted",
    [
        LeadFilter(ids=(1,)),
        LeadFilter(campaign_id=1),
        LeadFilter(status=LeadStatus.SUSPENDED),
        LeadFilter(closed_reason="max_attempts"),
        LeadFilter(closed_since=NOON - HOUR),
        LeadFilter(call_status=CallStatus.BUSY),
        LeadFilter(region="ES"),
        LeadFilter(region="ES-CT"),
        LeadFilter(phone_prefix="+349"),
        LeadFilter(variable=("segment", "vip")),
        LeadFilter(variable=("debt", "120")),
        LeadFilter(import_id=4),
        LeadFilter(created_since=NOON - HOUR),
        LeadFilter(created_before=NOON - 20 * DAY),
    ],
    ids=str,
)
def test_a_filter_finds_the_leads_it_describes_and_no_other(runtime, database, wanted):
    """Each lead differs from the plain one in a single way."""
    campaign_id = add_campaign(database, "mine")
    plain: dict[str, Any] = {"created_at": NOON - 10 * DAY}
    leads = {
        "ids": add_lead(database, **plain),
        "campaign_id": add_lead(database, campaign_id=campaign_id, **plain),
        "status": add_lead(database, lead_status="suspended", **plain),
        "closed_reason": add_lead(
            database, lead_status="closed", closed_reason="max_attempts", closed_at=NOON - DAY, **plain
        ),
        "closed_since": add_lead(
            database, lead_status="closed", closed_reason="paid", closed_at=NOON - MINUTE, **plain
        ),
        "call_status": add_lead(database, call_status="busy", **plain),
        "region": add_lead(database, region="ES-CT", **plain),
        "phone_prefix": add_lead(database, "+34911234567", **plain),
        "variable": add_lead(database, variables={"segment": "vip", "debt": 120}, **plain),
        "import_id": add_lead(database, import_id=4, **plain),
        "created_since": add_lead(database, created_at=NOON - MINUTE),
        "created_before": add_lead(database, created_at=NOON - 30 * DAY),
    }
    [asked] = [name for name in leads if getattr(wanted, name) != getattr(LeadFilter(), name)]
    if asked in ("ids", "campaign_id"):
        wanted = LeadFilter(**{asked: (leads["ids"],) if asked == "ids" else campaign_id})

    done = control.close_leads(wanted, word="swept", runtime=runtime)

    assert done.matched == 1
    swept = {one.lead_id for one in events_of(database, "lead_closed")}
    already = lead_of(database, leads[asked]).closed_reason != "swept"
    assert swept == (set() if already else {leads[asked]})
    assert done.left.get("closed already", 0) == int(already)


def test_all_that_is_asked_for_must_hold(runtime, database):
    campaign_id = add_campaign(database, "mine")
    both = add_lead(database, campaign_id=campaign_id, region="CL-RM")
    add_lead(database, campaign_id=campaign_id)
    add_lead(database, region="CL-RM")

    control.suspend_leads(LeadFilter(campaign_id=campaign_id, region="CL"), runtime=runtime)

    assert [one.id for one in find_all(database, tables.leads, lead_status="suspended")] == [both]


def test_variables_that_are_no_json_match_nothing(runtime, database):
    add_lead(database)
    if database.is_sqlite:  # the servers refuse it themselves
        sql(database, "UPDATE leads SET variables = '{broken'")

    assert control.count_leads(LeadFilter(variable=("segment", "vip")), runtime=runtime) == 0


@sqlite_suffices
@pytest.mark.parametrize(
    "change", [control.close_leads, control.reopen_leads, control.suspend_leads, control.resume_leads]
)
def test_everybody_is_never_meant_by_nothing(runtime, database, change):
    add_due_lead(database)

    with pytest.raises(InvalidValue, match="say which with a filter"):
        change(LeadFilter(), runtime=runtime)
    with pytest.raises(NotFound, match="there is no lead 4711"):
        change(LeadFilter(ids=(4711,)), runtime=runtime)


def test_suspended_leads_keep_their_plan_and_go_on_with_it(runtime, database, clock):
    station = Station(runtime)
    due, later, manual = add_due_lead(database), add_lead(database), add_due_lead(database, manual_management=True)
    plan_call(database, later, at=NOON + 2 * HOUR, attempt_number=2)
    everybody = LeadFilter(ids=(due, later, manual))

    suspended = control.suspend_leads(everybody, reason="strike", runtime=runtime)
    station.dispatch()
    station.upkeep()
    clock.advance(HOUR / 2)
    station.upkeep()
    while_suspended = len(station.provider.dials)
    resumed = control.resume_leads(everybody, runtime=runtime)
    station.dispatch()

    assert (suspended.changed, resumed.changed, while_suspended) == (3, 3, 0)
    assert attempt_of(database, due).state == "live"
    row = call_of(database, later)
    assert (row.status, row.attempt_number, row.scheduled_at, row.hold) == ("pending", 2, NOON + 2 * HOUR, None)
    assert call_of(database, manual).hold == "manual", "a person still has it"
    assert {one.reason for one in events_of(database, "lead_suspended")} == {"strike"}
    assert broken_promises(database) == {}


def test_what_cannot_be_suspended_or_resumed_is_counted_with_the_reason(runtime, database):
    leads = [add_lead(database, lead_status=status) for status in ("open", "suspended", "closed")]
    everybody = LeadFilter(ids=tuple(leads))

    suspended = control.suspend_leads(everybody, runtime=runtime)
    resumed = control.resume_leads(everybody, runtime=runtime)

    assert suspended.left == {"suspended already": 1, "closed already": 1}
    assert (resumed.changed, resumed.left) == (2, {"not suspended, but closed": 1})


def test_a_resumed_lead_for_which_nothing_was_planned_gets_a_first_round(runtime, database):
    lead_id = add_lead(database, lead_status="suspended")

    control.resume_leads(LeadFilter(ids=(lead_id,)), runtime=runtime)

    assert (call_of(database, lead_id).status, call_of(database, lead_id).attempt_number) == ("pending", 1)


def test_reopened_leads_have_a_new_budget_and_both_lives_are_in_the_history(runtime, database, clock):
    station = Station(runtime)
    set_config(database, default_max_attempts="2", default_delay_hours="0")
    numbers = [chilean() for _ in range(3)]
    leads = [add_due_lead(database, number) for number in numbers]
    for number in numbers:
        station.provider.ends(number, "no_answer")
    exhaust(station, clock)
    closed = {lead_of(database, one).closed_reason for one in leads}
    before = {one: [attempt.id for attempt in attempts_of(database, one)] for one in leads}

    done = control.reopen_leads(
        LeadFilter(closed_reason="max_attempts", closed_since=clock.now() - DAY), note="new offer", runtime=runtime
    )
    rows = [call_of(database, one) for one in leads]
    exhaust(station, clock)

    assert closed == {"max_attempts"}
    assert (done.matched, done.changed, done.left) == (3, 3, {})
    assert {(row.status, row.attempt_number) for row in rows} == {("pending", 1)}
    for lead_id in leads:
        attempts = attempts_of(database, lead_id)
        assert [one.id for one in attempts][:2] == before[lead_id]
        assert [one.attempt_number for one in attempts] == [1, 2, 1, 2]
        assert lead_of(database, lead_id).call_attempts_count == 4
        assert lead_of(database, lead_id).closed_reason == "max_attempts"
    assert {(one.reason, one.details["was"]) for one in events_of(database, "lead_reopened")} == {
        ("new offer", "max_attempts"),
    }
    assert broken_promises(database) == {}


def test_leads_that_must_not_be_called_again_stay_closed_and_are_counted(runtime, database):
    dead = add_campaign(database, "dead", status="cancelled")
    over = add_campaign(database, "over", fecha_limite=date(2026, 11, 19))
    columns: dict[str, Any] = {"lead_status": "closed", "closed_reason": "max_attempts", "closed_at": NOON - HOUR}
    barred, second = chilean(), chilean()
    bar(database, barred)
    stays = [
        add_lead(database, barred, **columns),
        add_lead(database, second, barred, **columns),
        add_lead(database, campaign_id=dead, **columns),
        add_lead(database, campaign_id=over, **columns),
        add_lead(database, fecha_limite=date(2026, 11, 19), **columns),
    ]
    opened = [add_lead(database, **columns), add_lead(database, fecha_limite=date(2026, 11, 20), **columns)]

    done = control.reopen_leads(LeadFilter(closed_reason="max_attempts"), runtime=runtime)

    assert (done.matched, done.changed) == (7, 2)
    assert done.left == {
        "on the do-not-call list": 2, "campaign dead is cancelled": 1, "past the last date to call": 2,
    }
    assert {lead_of(database, one).lead_status for one in stays} == {"closed"}
    assert {lead_of(database, one).lead_status for one in opened} == {"open"}


@pytest.mark.parametrize(
    "campaign, until, says",
    [
        ("active", date(2026, 11, 19), "the last date to call lead .* was 2026-11-19"),
        ("cancelled", None, "campaign mine, which is cancelled for good"),
    ],
)
def test_one_lead_that_must_not_be_called_again_is_refused_with_the_reason(runtime, database, campaign, until, says):
    campaign_id = add_campaign(database, "mine", status=campaign)
    lead_id = add_lead(
        database, campaign_id=campaign_id, lead_status="closed", closed_at=NOON, fecha_limite=until
    )

    with pytest.raises(Conflict, match=says):
        operations.reopen_lead(lead_id, runtime=runtime)

    assert lead_of(database, lead_id).lead_status == "closed"


def test_a_completed_campaign_goes_on_with_reopened_leads(runtime, database, clock):
    station = Station(runtime)
    number = chilean()
    campaign_id = add_campaign(database, "mine")
    lead_id = add_due_lead(database, number, campaign_id=campaign_id)
    station.provider.ends(number, "completed")
    exhaust(station, clock)
    station.upkeep()
    completed = campaign_of(database, "mine").status

    control.reopen_leads(LeadFilter(campaign_id=campaign_id), runtime=runtime)
    station.upkeep()
    station.dispatch()

    assert completed == "completed"
    assert campaign_of(database, "mine").status == "active"
    assert attempt_of(database, lead_id).state == "live"


def test_a_lead_reopened_during_its_last_call_gets_no_second_plan(runtime, database, clock):
    station = Station(runtime)
    number = chilean()
    lead_id = add_due_lead(database, number)
    station.dispatch()
    operations.close_lead(lead_id, runtime=runtime)

    control.reopen_leads(LeadFilter(ids=(lead_id,)), runtime=runtime)
    station.provider.ends(number, "busy")
    clock.advance(MINUTE)
    station.follow()

    assert [(one.status, one.attempt_number) for one in calls_of(database, lead_id)] == [
        ("completed", 1), ("pending", 2),
    ]
    assert broken_promises(database) == {}


def test_many_leads_are_changed_in_short_transactions(runtime, database):
    campaign_id = add_campaign(database, "mine")
    add_many_due(database, 1001, campaign_id)
    told: list[tuple[int, int]] = []

    done = control.suspend_leads(
        LeadFilter(campaign_id=campaign_id), on_progress=lambda *progress: told.append(progress), runtime=runtime
    )

    assert done.changed == 1001
    assert told == [(500, 1001), (1000, 1001), (1001, 1001)]


# --- stuck work -----------------------------------------------------------------------------------


def test_a_stuck_row_that_is_released_is_looked_up_and_never_dialed_blindly(runtime, database, clock):
    """A process takes it and is gone. Released by hand it is not due again: its call is asked for first."""
    lead_id, row_id = died_while_dialing(runtime, database)
    station = Station(runtime, owner="next")

    said = control.release_call(row_id, runtime=runtime)
    clock.advance(SECOND)
    station.upkeep()
    released = attempt_of(database, lead_id).state
    station.dispatch()
    dialed_again = len(station.provider.dials)
    clock.advance(SECOND)
    station.follow()

    assert "looks up whether its call was made" in said
    assert (released, dialed_again) == ("unknown", 0)
    assert len(station.provider.lookups) == 1
    assert [one.schedule_id for one in events_of(database, "call_released")] == [row_id]


def test_a_row_in_work_without_a_call_waits_again_at_once(runtime, database):
    station = Station(runtime)
    lead_id = add_lead(database)
    row_id = plan_call(database, lead_id, status="in_progress")

    said = control.release_call(row_id, runtime=runtime)
    station.dispatch()

    assert "waits again" in said
    assert attempt_of(database, lead_id).state == "live"


def test_only_a_row_that_is_stuck_can_be_released(runtime, database):
    station = Station(runtime)
    waiting = plan_call(database, add_lead(database), at=NOON + DAY)
    live = add_due_lead(database)
    station.dispatch()
    attempt = attempt_of(database, live)

    with pytest.raises(Conflict, match=f"scheduled call {waiting} is pending; only one in_progress"):
        control.release_call(waiting, runtime=runtime)
    with pytest.raises(Conflict, match=f"is live: hang it up with `ringback calls hangup {attempt.id}`"):
        control.release_call(attempt.schedule_id, runtime=runtime)
    with pytest.raises(NotFound, match="there is no scheduled call 4711"):
        control.release_call(4711, runtime=runtime)


# --- daemons --------------------------------------------------------------------------------------


def test_a_daemon_is_found_by_id_owner_or_the_beginning_of_it(runtime, database):
    first, second = add_daemon(database, "alpha:1:aa"), add_daemon(database, "beta:2:bb")

    for key, wanted in ((str(first), DaemonWish.PAUSE), ("alpha:1:aa", DaemonWish.RUN), ("alph", DaemonWish.DRAIN)):
        assert steer(runtime, key, wanted) == "alpha:1:aa"
        assert daemon_of(database, first).wanted == wanted.value

    assert daemon_of(database, second).wanted == "run"
    assert [one.kind for one in find_all(database, tables.events)] == ["daemon_pause", "daemon_run", "daemon_drain"]


@sqlite_suffices
@pytest.mark.parametrize(
    "columns, key, says",
    [
        ({"status": "stopped"}, "alpha", "has stopped; `ringback run` starts a new one"),
        ({"last_seen_at": NOON - 2 * SILENT_AFTER}, "alpha", "has said nothing since 2026-11-20 14:58:00 UTC"),
        ({"wanted": "drain"}, "alpha", "is draining and will end; start another one"),
        ({}, "", "may be several daemons"),
        ({}, "gamma", "there is no daemon gamma"),
        ({}, "%", "there is no daemon %"),
    ],
)
def test_a_daemon_that_cannot_obey_is_not_asked(runtime, database, columns, key, says):
    daemon_id = add_daemon(database, "alpha:1:aa", **columns)
    add_daemon(database, "beta:2:bb")
    before = daemon_of(database, daemon_id).wanted

    with pytest.raises((Conflict, NotFound), match=says):
        steer(runtime, key, DaemonWish.PAUSE)

    assert daemon_of(database, daemon_id).wanted == before


def test_a_daemon_may_be_told_to_drain_twice(runtime, database):
    add_daemon(database, "alpha:1:aa", wanted="drain")

    assert steer(runtime, "alpha", DaemonWish.DRAIN) == "alpha:1:aa"


# --- what this file needs -------------------------------------------------------------------------


def campaign_of(database: Any, code: str) -> Any:
    return find(database, tables.campaigns, code=code)


def add_account(database: Any, code: str) -> int:
    sql(database, "INSERT INTO accounts (code, name) VALUES (:code, :code)", code=code)
    return int(find(database, tables.accounts, code=code).id)


def add_many_due(database: Any, many: int, campaign_id: int) -> None:
    with database.engine.connect() as connection, connection.begin():
        connection.execute(insert(tables.leads), [
            {"telefono": chilean(), "campaign_id": campaign_id} for _ in range(many)
        ])
        connection.exec_driver_sql(
            "INSERT INTO call_schedule (lead_id, campaign_id, scheduled_at) "
            f"SELECT id, campaign_id, '{NOON:%Y-%m-%d %H:%M:%S}.000000' FROM leads WHERE campaign_id = {campaign_id}"
        )


def count(database: Any, table: str, where: str) -> int:
    [[found]] = sql(database, f"SELECT COUNT(*) FROM {table} WHERE {where}")
    return int(found)


def exhaust(station: Station, clock: Any) -> None:
    """Dial and follow until nothing is due any more."""
    for _ in range(12):
        station.dispatch()
        clock.advance(MINUTE)
        station.follow()


def died_while_dialing(runtime: Any, database: Any) -> tuple[int, int]:
    """A lead whose row is held by a process that never wrote what its provider answered."""
    lead_id = add_due_lead(database)
    row_id, number = call_of(database, lead_id).id, lead_of(database, lead_id).telefono

    def take(connection: Any) -> None:
        calls.mark_in_progress(
            connection, [row_id], owner="gone", token="t", expires_at=NOON + MINUTE, now=NOON
        )
        calls.insert_intents(connection, [calls.Intent(
            attempt_ref="11111111-1111-4111-8111-111111111111", schedule_id=row_id, lead_id=lead_id, campaign_id=None,
            attempt_number=1, phone=number, provider="scripted", claimed_at=NOON,
            dial_before=NOON + 10 * SECOND, open_from=NOON - HOUR, open_until=NOON + HOUR,
        )])

    runtime.database.transact(take)
    return lead_id, row_id


def add_daemon(database: Any, owner: str, **columns: Any) -> int:
    with database.engine.connect() as connection, connection.begin():
        journal.add_daemon(connection, owner=owner, host="h", pid=1, provider="simulator", version="1", now=NOON)
        if columns:
            connection.execute(tables.daemons.update().where(tables.daemons.c.owner == owner).values(**columns))
    return int(find(database, tables.daemons, owner=owner).id)


def daemon_of(database: Any, daemon_id: int) -> Any:
    return find(database, tables.daemons, id=daemon_id)


def steer(runtime: Any, key: str, wanted: DaemonWish) -> str:
    return control.steer_daemon(key, wanted, silent_after=SILENT_AFTER, runtime=runtime)
