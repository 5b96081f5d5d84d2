"""What `explain` says is what the daemon then does."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from scheduler.errors import NotFound
from scheduler.service.explain import explain_lead
from scheduler.store import tables
from tests.conftest import NOON, sqlite_suffices
from tests.factories import (
    DAY,
    HOUR,
    MINUTE,
    Station,
    add_campaign,
    add_due_lead,
    add_lead,
    attempts_of,
    bar,
    plan_call,
    set_config,
)

SETTINGS = [
    None,
    {"windows": {"mon-fri": [["09:00", "13:00"], ["15:00", "19:00"]], "sat": [["10:00", "12:00"]]}},
    {"allowed_hours": {"start": "18:00", "end": "21:00"}, "days_of_week": [2, 4], "close_margin_s": 60},
    {"windows": {"all": [["00:00", "24:00"]]}, "caps": [{"max": 2, "per": {"hours": 24}, "by": "phone"}]},
    {"windows": {"all": [["22:00", "06:00"]]}, "overnight": True, "spacing": [{"per": {"hours": 5}, "by": "lead"}]},
    {"windows": {"mon-fri": [["08:00", "20:00"]]},
     "cooldowns": [{"after": ["no_answer"], "wait": {"days": 2, "first_day": "next"}, "by": "lead"}]},
    {"windows": {}, "max_attempts": 2},
    {"allowed_countries": ["AR", "US"], "holidays": ["AR", "2026-11-25"]},
]
NUMBERS = ["+56912345{:03d}", "+34611234{:03d}", "+12025550{:03d}", "+5491145{:06d}"]


@sqlite_suffices
@pytest.mark.parametrize("seed", range(12))
def test_its_first_yes_is_when_the_daemon_dials(runtime, database, clock, seed):
    chance = random.Random(seed)
    lead_id = a_lead_by_chance(database, chance)
    clock.set(NOON + chance.random() * 7 * DAY)
    station = Station(runtime)

    found = explain_lead(lead_id, runtime=station.runtime)

    assert found.may_be_called == (found.first_yes_at == clock.now() or (not found.planned["is_due"]
                                   and all(one.is_yes for one in found.answers)))
    now, before = clock.now(), len(attempts_of(database, lead_id))
    if found.first_yes_at is None:
        station.dispatch()
        assert len(attempts_of(database, lead_id)) == before, found.waiting_for
        return
    for at in sorted({now, *just_before(found.first_yes_at, now, chance)}):
        if now <= at < found.first_yes_at:
            clock.set(at)
            station.dispatch()
            assert len(attempts_of(database, lead_id)) == before, f"dialed at {at}, before {found.first_yes_at}"
    clock.set(found.first_yes_at)
    station.dispatch()
    assert len(attempts_of(database, lead_id)) == before + 1


@sqlite_suffices
@pytest.mark.parametrize("seed", range(6))
def test_it_answers_for_another_instant_as_the_daemon_would_then(runtime, database, clock, seed):
    chance = random.Random(100 + seed)
    lead_id = a_lead_by_chance(database, chance)
    station = Station(runtime)
    at = NOON + 8 * DAY + chance.random() * 7 * DAY

    found = explain_lead(lead_id, at=at, runtime=station.runtime)
    clock.set(at)
    before = len(attempts_of(database, lead_id))
    station.dispatch()

    assert (len(attempts_of(database, lead_id)) > before) == found.may_be_called


def test_it_names_values_sources_and_the_next_opening(runtime, database):
    set_config(database, working_hours_start="18:00")
    lead_id = add_due_lead(database, "+56912345678", campaign_id=add_campaign(database, call_settings={
        "max_attempts": 7, "caps": [{"max": 1, "per": {"calendar": "day"}, "by": "lead"}],
    }))

    found = explain_lead(lead_id, runtime=runtime)

    answers = {one.question: one for one in found.answers}
    assert len(answers) == 17
    assert answers["attempts left?"].values == {"attempt_number": 1, "max_attempts": 7}
    assert answers["attempts left?"].source == "call_settings.max_attempts"
    hours = answers["inside calling hours?"]
    assert (hours.word, hours.opens_at) == ("later", NOON + 6 * HOUR)
    assert hours.values["windows"] == ["mon-fri 18:00-20:00"]
    assert hours.source == "scheduler_config.working_hours_start and _end, scheduler_config.working_days"
    assert answers["room in caps and cool-downs?"].values["cap 1"] == "1 in one day by lead: has room"
    assert found.decided == "no: outside hours: Friday 12:00 in America/Santiago; opens Friday 18:00"
    assert found.first_yes_at == NOON + 6 * HOUR


def test_a_wall_time_is_read_where_the_lead_is(runtime, database):
    lead_id = add_due_lead(database, "+56912345678")

    found = explain_lead(lead_id, at=datetime.fromisoformat("2026-11-23T09:00"), runtime=runtime)

    assert found.at == datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
    assert found.may_be_called


def test_it_says_what_has_to_happen_where_no_instant_is_known(runtime, database):
    number = "+56912345678"
    barred, closed, idle = (add_lead(database, one) for one in (number, "+56912345679", "+56912345680"))
    plan_call(database, barred)
    bar(database, number)
    with database.engine.connect() as connection, connection.begin():
        connection.execute(update(tables.leads).where(tables.leads.c.id == closed).values(
            lead_status="closed", closed_reason="paid", closed_at=NOON
        ))

    assert "do-not-call" in explain_lead(barred, runtime=runtime).waiting_for
    assert explain_lead(closed, runtime=runtime).waiting_for == "no call is planned; the lead is closed (paid)"
    assert "no call is planned" in explain_lead(idle, runtime=runtime).decided
    with pytest.raises(NotFound):
        explain_lead(987_654, runtime=runtime)


def test_a_lead_that_is_being_called_is_explained_too(runtime, database):
    lead_id = add_due_lead(database, "+56912345678")
    station = Station(runtime)
    station.dispatch()

    found = explain_lead(lead_id, runtime=runtime)

    assert found.planned["status"] == "in_progress"
    assert "an earlier call to this lead is still in progress" in found.decided


# --- leads ------------------------------------------------------------------------------------------------


def a_lead_by_chance(database, chance: random.Random) -> int:
    """A lead with settings, a number, a plan and a past of its own."""
    campaign_id = add_campaign(database, call_settings=chance.choice(SETTINGS))
    number = chance.choice(NUMBERS).format(chance.randrange(1000))
    columns = chance.choice([{}, {}, {}, {"manual_management": True}, {"fecha_limite": (NOON + 3 * DAY).date()},
                             {"time_zone": "Europe/Madrid"}, {"lead_status": "suspended"}])
    lead_id = add_lead(database, number, campaign_id=campaign_id, **columns)
    plan_call(database, lead_id, at=NOON + chance.randrange(-24, 72) * HOUR, attempt_number=chance.choice((1, 2, 3)))
    if chance.random() < 0.2:
        bar(database, number)
    for hours in chance.sample(range(1, 40), chance.randrange(4)):
        at = NOON - hours * HOUR
        with database.engine.connect() as connection, connection.begin():
            connection.execute(tables.call_attempts.insert().values(
                attempt_ref=f"past-{lead_id}-{hours}", lead_id=lead_id, campaign_id=campaign_id, attempt_number=1,
                telefono=number, provider="scripted", state="ended", outcome=chance.choice(("no_answer", "busy")),
                claimed_at=at, placed_at=at, ended_at=at + MINUTE,
            ))
    return lead_id


def just_before(first_yes_at: datetime, now: datetime, chance: random.Random) -> list[datetime]:
    between = (first_yes_at - now).total_seconds()
    return [first_yes_at - timedelta(seconds=1), *(
        now + timedelta(seconds=between * chance.random()) for _ in range(3)
    )]


