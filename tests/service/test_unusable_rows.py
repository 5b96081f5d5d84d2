"""What people write by SQL that cannot be used holds its own row or campaign, is said, and stops nobody else."""

from __future__ import annotations

import pytest

from scheduler.errors import InvalidValue
from scheduler.service.checks import Level, run_checks
from scheduler.service.control import CampaignPlan, create_campaign, edit_campaign
from scheduler.service.explain import explain_lead
from scheduler.service.operations import add_lead
from tests.factories import (
    DAY,
    ScriptedProvider,
    Station,
    add_campaign,
    add_due_lead,
    attempts_of,
    call_of,
    lead_of,
    set_config,
    sql,
)
from tests.service.test_limits import ALWAYS, add_account

BROKEN_CAMPAIGNS = [
    ("UPDATE campaigns SET fecha_limite = :bad WHERE code = 'broken'", "fecha_limite is no date"),
    ("UPDATE campaigns SET call_settings = '{\"max_attempts\": 0}' WHERE code = 'broken'", "max_attempts"),
    ("UPDATE campaigns SET provider = 'nope' WHERE code = 'broken'", "nope"),
    ("UPDATE campaigns SET account_id = 77 WHERE code = 'broken'", "its account 77 does not exist"),
    ("UPDATE campaigns SET call_settings = '{\"max_concurrent_calls\": 0}' WHERE code = 'broken'",
     "call_settings.max_concurrent_calls is 0"),
]


@pytest.mark.parametrize(("statement", "says"), BROKEN_CAMPAIGNS)
def test_a_campaign_that_cannot_be_dialed_says_so_everywhere_and_stops_nobody(runtime, database, statement, says):
    broken = add_campaign(database, "broken", call_settings=ALWAYS)
    waiting = add_due_lead(database, campaign_id=broken)
    called = add_due_lead(database, campaign_id=add_campaign(database, "sound", call_settings=ALWAYS))
    values = {"bad": "2026-99-99" if database.is_sqlite else "0000-00-00"} if ":bad" in statement else {}
    if values and not database.is_sqlite:
        sql_without_strictness(database, statement, **values)
    else:
        sql(database, statement, **values)
    station = Station(runtime)

    station.upkeep()
    station.dispatch()
    station.upkeep()

    assert [len(attempts_of(database, one)) for one in (waiting, called)] == [0, 1]
    found = explain_lead(waiting, runtime=station.runtime)
    reason = call_of(database, waiting).reason
    assert not found.may_be_called and found.first_yes_at is None
    if "settings" not in reason:
        assert says in reason
    assert any(says in line for line in [*station.said("settings_refused"), reason, str(found.decided)])
    assert lead_of(database, waiting).lead_status == "open"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # MySQL takes no text for a number
def test_a_priority_that_is_no_number_stops_its_own_campaign_alone(runtime, database):
    broken = add_campaign(database, "broken", call_settings=ALWAYS)
    waiting = add_due_lead(database, campaign_id=broken)
    called = add_due_lead(database, campaign_id=add_campaign(database, "sound", call_settings=ALWAYS))
    sql(database, "UPDATE campaigns SET priority = 'abc' WHERE code = 'broken'")
    station = Station(runtime)

    station.dispatch()

    assert [len(attempts_of(database, one)) for one in (waiting, called)] == [0, 1]
    problems = [one.sentence for one in run_checks(station.runtime) if one.level is Level.PROBLEM]
    assert "campaign broken: priority is 'abc'; write a whole number" in problems


@pytest.mark.parametrize(("column", "value", "says"), [
    ("reserve_per_call", "-5", "reserve_per_call is -5"),
    ("max_concurrent_calls", "-1", "max_concurrent_calls is -1"),
    ("price_per_minute", "-1", "price_per_minute is -1"),
])
def test_an_account_that_cannot_be_used_is_named_and_calls_nobody_until_it_is_mended(
    runtime, database, column, value, says
):
    account_id = add_account(database, billing_type="credits", balance=100, reserve_per_call=1)
    lead_id = add_due_lead(database, campaign_id=add_campaign(database, call_settings=ALWAYS, account_id=account_id))
    sql(database, f"UPDATE accounts SET {column} = {value}")
    station = Station(runtime, ScriptedProvider("simulator"))

    station.dispatch()
    station.upkeep()

    assert attempts_of(database, lead_id) == []
    assert says in call_of(database, lead_id).reason
    assert any(says in one.sentence for one in run_checks(station.runtime) if one.level is Level.PROBLEM)
    sql(database, f"UPDATE accounts SET {column} = 1")
    station.dispatch()
    assert len(attempts_of(database, lead_id)) == 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # MySQL takes no text for a number
def test_a_balance_that_is_no_number_is_named(runtime, database):
    account_id = add_account(database, billing_type="minutes", balance=100)
    lead_id = add_due_lead(database, campaign_id=add_campaign(database, call_settings=ALWAYS, account_id=account_id))
    sql(database, "UPDATE accounts SET balance = 'abc'")
    station = Station(runtime)

    station.dispatch()

    assert attempts_of(database, lead_id) == []
    assert "balance is no number" in explain_lead(lead_id, runtime=station.runtime).decided


def test_what_the_agent_needs_is_asked_for_at_every_door(runtime, database):
    campaign_id = add_campaign(database, "needy", call_settings={"required_variables": ["debt", "nombre"], **ALWAYS})
    without = add_due_lead(database, campaign_id=campaign_id)
    complete = add_due_lead(database, campaign_id=campaign_id, variables={"Debt": "120"})
    station = Station(runtime)

    station.dispatch()

    assert [len(attempts_of(database, one)) for one in (without, complete)] == [0, 1]
    assert call_of(database, without).reason == "held: the campaign's agent needs debt, and the lead has none"
    with pytest.raises(InvalidValue, match="debt"):
        add_lead("Ana", None, ["+56912345671"], campaign="needy", runtime=runtime)


def test_windows_without_a_span_and_twins_are_refused_when_written_by_people(runtime, database):
    add_campaign(database, "c")

    for document, says in (
        ('{"windows": {}}', "no span"), ('{"windows": {"mon": []}}', "no span"),
        ('{"max_attempts": 3, "max_attempts": 4}', "'max_attempts' is there twice"),
        ('{"outcomes": {"busy": {"delay": 1}}}', "the settings are max_attempts, delay_hours"),
        ('{"retry_settings": {"foo": 3}}', "the settings are max_attempts, retry_delay_hours"),
    ):
        with pytest.raises(InvalidValue, match=says):
            create_campaign("X", call_settings=document, runtime=runtime)
        with pytest.raises(InvalidValue, match=says):
            edit_campaign("c", CampaignPlan(call_settings=document), runtime=runtime)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # a strict MySQL refuses the date
def test_a_lead_whose_last_date_cannot_be_read_is_held_and_not_closed(runtime, database):
    set_config(database, default_delay_hours="0")
    lead_id = add_due_lead(database, campaign_id=add_campaign(database, call_settings=ALWAYS))
    sql(database, "UPDATE leads SET fecha_limite = 'soon'")
    station = Station(runtime)

    station.dispatch()

    assert call_of(database, lead_id).reason == "held: its fecha_limite cannot be read; write 2027-03-01"
    assert "fecha_limite" in explain_lead(lead_id, at=call_of(database, lead_id).scheduled_at + DAY,
                                          runtime=station.runtime).decided


def sql_without_strictness(database, statement, **values):
    """As a server does whose sql_mode lets zero dates in."""
    from sqlalchemy import text

    with database.engine.connect() as connection, connection.begin():
        connection.execute(text("SET SESSION sql_mode = ''"))
        connection.execute(text(statement), values)
        connection.execute(text("SET SESSION sql_mode = DEFAULT"))
