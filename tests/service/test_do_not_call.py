"""An entry of the do-not-call list bars from the moment it is committed, whoever wrote it and however it is spelt."""

from __future__ import annotations

from datetime import timedelta

import pytest

from scheduler.errors import Conflict, NotFound
from scheduler.events import SilentReporter
from scheduler.model import Doubt
from scheduler.rules.phones import read_number
from scheduler.service import do_not_call as service
from scheduler.service.alerts import list_alerts
from scheduler.service.checks import Level, run_checks
from scheduler.service.daemon import Daemon
from scheduler.store import do_not_call as store
from scheduler.store import tables
from tests.conftest import NOON
from tests.factories import (
    MINUTE,
    ScriptedProvider,
    Station,
    add_due_lead,
    attempts_of,
    call_of,
    events_of,
    find_all,
    lead_of,
    plan_call,
    sql,
    with_providers,
)

PERSON = "+56955501059"
SPELLINGS = (
    "+56955501059", "56955501059", "0056955501059", "955501059", "9 5550 1059", "09 5550 1059", "0955501059",
    "+56 9 5550 1059", "+56 (0) 9 5550 1059", "(9) 5550-1059", "9-5550-1059", "9.5550.1059", "tel:+56955501059",
    "+56955501059.0", "p:+56955501059", " 955501059 ", "whatsapp:+56955501059", "+560955501059", "9.55501059E8",
)
UNREADABLE = (
    "tel:+56955501059;ext=12", "955501059.5", "9 5550 1059-12", "Juan 955501059", "955501059 o 223456789",
    "9 5550 1059 anexo 3",
)


FURTHER = ("955 50 10 59", "02-2345 6789", "+1 (202) 555-0123", "12", "²³", "９５５５０１０５９")


def write(database, text, **columns):
    values = {"telefono": text, **columns}
    marks = ", ".join(f":{name}" for name in values)
    sql(database, f"INSERT INTO do_not_call ({', '.join(values)}) VALUES ({marks})", **values)


@pytest.mark.parametrize("text", SPELLINGS)
def test_an_entry_written_by_sql_bars_in_the_very_next_take(runtime, database, text):
    lead_id, other = add_due_lead(database, PERSON), add_due_lead(database, "+56955501058")
    write(database, text)
    station = Station(runtime)

    station.dispatch()

    assert station.provider.numbers == ["+56955501058"]
    assert lead_of(database, lead_id).closed_reason == "do_not_call"
    assert attempts_of(database, other)


@pytest.mark.parametrize("text", SPELLINGS)
def test_it_bars_as_well_once_it_was_read_and_the_text_stays_as_it_was_written(runtime, database, text):
    lead_id = add_due_lead(database, PERSON)
    write(database, text)
    station = Station(runtime)

    station.upkeep()
    station.dispatch()

    [entry] = find_all(database, tables.do_not_call)
    assert (entry.telefono, entry.read_text, entry.read_as, entry.reading) == (text, text, PERSON, None)
    assert station.provider.dials == []
    assert lead_of(database, lead_id).closed_reason == "do_not_call"


@pytest.mark.parametrize("is_read", [False, True])
@pytest.mark.parametrize("text", UNREADABLE)
def test_an_entry_that_is_no_number_holds_what_it_could_mean_until_it_is_put_right(runtime, database, text, is_read):
    lead_id = add_due_lead(database, PERSON)
    add_due_lead(database, "+56955501999")
    write(database, text)
    station = Station(runtime)
    if is_read:
        station.upkeep()

    station.dispatch()

    assert station.provider.numbers == ["+56955501999"]
    row = call_of(database, lead_id)
    assert (row.status, row.hold) == ("pending", "error")
    assert text in row.reason

    sql(database, "UPDATE do_not_call SET telefono = '+56955500000'")
    sql(database, "UPDATE call_schedule SET scheduled_at = :at, hold = NULL WHERE id = :id",
        at=NOON.replace(tzinfo=None), id=row.id)
    station.dispatch()
    assert PERSON in station.provider.numbers


@pytest.mark.parametrize("text", [PERSON, "09 5550 1059", "tel:+56955501059"])
def test_an_entry_changed_by_sql_bars_the_new_number_at_once_and_no_more_the_old_one(runtime, database, text):
    write(database, "+56955501058")
    station = Station(runtime)
    station.upkeep()
    sql(database, "UPDATE do_not_call SET telefono = :text", text=text)
    add_due_lead(database, PERSON)
    add_due_lead(database, "+56955501058")

    station.dispatch()

    assert station.provider.numbers == ["+56955501058"]
    station.upkeep()
    assert [one.read_as for one in find_all(database, tables.do_not_call)] == [PERSON]


def test_an_entry_with_a_lower_id_that_comes_later_is_read_too(runtime, database):
    write(database, "223456789", id=100)
    station = Station(runtime)
    station.upkeep()
    write(database, "09 5550 1059", id=7)

    station.upkeep()

    assert {one.id: one.read_as for one in find_all(database, tables.do_not_call)} == {7: PERSON, 100: "+56223456789"}


def test_an_entry_that_has_expired_bars_in_no_spelling(runtime, database):
    add_due_lead(database, PERSON)
    for text in SPELLINGS[3:8]:
        write(database, text, expires_at=(NOON - MINUTE).replace(tzinfo=None))
    station = Station(runtime)

    station.dispatch()

    assert station.provider.numbers == [PERSON]


def test_a_national_entry_bars_the_number_in_each_country_that_it_may_be_of(runtime, database):
    for number in ("+34612345678", "+56612345678", "+51612345678"):
        add_due_lead(database, number)
    write(database, "612345678")
    station = Station(runtime)

    station.upkeep()
    station.dispatch()

    assert station.provider.dials == []


@pytest.mark.parametrize("text", ["2 5550 1059", "+54 11 5550-1059", "nonsense", "12", "5501059"])
def test_an_entry_for_another_number_or_for_none_bars_nobody(runtime, database, text):
    add_due_lead(database, PERSON)
    add_due_lead(database, "+56911112222")
    write(database, text)
    station = Station(runtime)

    station.upkeep()
    station.dispatch()

    assert "+56911112222" in station.provider.numbers
    assert (PERSON in station.provider.numbers) is (text != "5501059")  # those are its last digits


def test_more_unread_entries_than_are_looked_at_in_one_go_all_bar(runtime, database):
    station = Station(runtime)
    odd = 2 * store.MOST_UNREAD + 5
    with database.engine.begin() as connection:
        connection.execute(tables.do_not_call.insert(), [
            {"telefono": f"+5695{number:07}.0"} for number in range(odd)
        ] + [{"telefono": f"09 6{number:03} {number:04}"} for number in range(1000)])
    for number in ("+56950000005", f"+5695{odd - 1:07}", "+56960000000", "+56969990999"):
        add_due_lead(database, number)

    station.dispatch()

    assert station.provider.dials == []


def test_a_lead_in_a_spelling_of_its_own_is_barred_by_any_other_and_dialed_as_one_number(runtime, database):
    for text in ("+560955501059", "09 5550 1059"):
        sql(database, "INSERT INTO leads (telefono) VALUES (:text)", text=text)
    for lead in find_all(database, tables.leads):
        plan_call(database, lead.id)
    write(database, "9 5550 1059", id=1)
    station = Station(runtime)

    station.dispatch()
    assert station.provider.dials == []

    sql(database, "DELETE FROM do_not_call")
    add_due_lead(database, "+560955501058")
    station.dispatch()
    assert station.provider.numbers == ["+56955501058"]
    assert {lead.telefono for lead in find_all(database, tables.leads)} == {PERSON, "+56955501058"}
    assert len(events_of(database, "number_mended")) == 3


def test_numbers_that_were_stored_wrongly_are_mended_in_the_background(runtime, database):
    sql(database, "INSERT INTO leads (telefono) VALUES ('+560955501059')")
    sql(database, "INSERT INTO lead_phones (lead_id, position, telefono) SELECT id, 1, telefono FROM leads")
    Station(runtime).upkeep()

    [lead], [phone] = find_all(database, tables.leads), find_all(database, tables.lead_phones)
    assert (lead.telefono, phone.telefono, phone.e164, phone.number_key) == (PERSON, PERSON, PERSON, "5501059")


@pytest.mark.parametrize("text", ["+5622555100112", "+541523456789"])
def test_a_number_that_cannot_be_mended_is_held_and_said(runtime, database, text):
    lead_id = add_due_lead(database, text)
    station = Station(runtime)

    station.dispatch()

    assert station.provider.dials == []
    assert call_of(database, lead_id).hold == "error"


def test_an_entry_that_is_no_number_is_said_once_in_the_log_and_stays_a_problem_and_an_alert(runtime, database):
    write(database, "tel:+56955501059;ext=12")
    write(database, "nonsense")
    unread = [one for one in run_checks(runtime) if one.check == "do_not_call"]
    station = Station(runtime)
    station.upkeep()
    station.upkeep()

    checked = [one for one in run_checks(runtime) if one.check == "do_not_call"]
    assert [one.level for one in checked] == [one.level for one in unread] == [Level.PROBLEM] * 2
    assert len(events_of(database, "do_not_call_misread")) == 2
    assert [one.code for one in list_alerts(runtime=runtime) if "do_not_call" in one.about] == ["entry_unreadable"]


@pytest.mark.parametrize("text", ["09 5550 1059", "tel:+56955501059"])
@pytest.mark.parametrize("is_read", [False, True])
def test_a_promise_that_was_broken_is_found_in_whatever_spelling(runtime, database, text, is_read):
    add_due_lead(database, PERSON)
    station = Station(runtime)
    station.dispatch()
    write(database, text, created_at=(NOON - MINUTE).replace(tzinfo=None))
    write(database, "2 5550 1059", created_at=(NOON - MINUTE).replace(tzinfo=None))
    if is_read:
        station.upkeep()

    [promise] = [one for one in run_checks(runtime) if one.check == "R16"]
    assert promise.level is Level.PROBLEM


def test_a_call_before_its_entry_was_changed_to_its_number_breaks_nothing(runtime, database, clock):
    write(database, "+56955501058", created_at=(NOON - timedelta(days=1)).replace(tzinfo=None))
    station = Station(runtime)
    station.upkeep()
    add_due_lead(database, PERSON)
    station.dispatch()
    clock.advance(MINUTE)
    sql(database, "UPDATE do_not_call SET telefono = '09 5550 1059'")
    station.upkeep()

    assert [one.level for one in run_checks(runtime) if one.check == "R16"] == [Level.OK]


def test_a_daemon_dials_nobody_who_is_listed_in_any_spelling_from_its_first_turn_on(runtime, database):
    provider = ScriptedProvider("simulator")  # under this name a database that is fast and unsafe will do
    of_daemon = with_providers(runtime, {"simulator": provider}, "simulator")
    people = [f"+569555020{number:02}" for number in range(len(FORMS))]
    for number, form in zip(people, FORMS, strict=True):
        add_due_lead(database, number)
        write(database, form.format(number[3:], f"{number[3]} {number[4:8]} {number[8:]}"))
    add_due_lead(database, "+56955501058")

    Daemon(of_daemon, reporter=SilentReporter()).run_once()
    assert provider.numbers == ["+56955501058"]

    sql(database, "UPDATE do_not_call SET telefono = '09 5550 1077' WHERE telefono = :was", was=people[0])
    add_due_lead(database, "+56955501077")
    add_due_lead(database, people[0])
    Daemon(of_daemon, reporter=SilentReporter()).run_once()
    assert provider.numbers == ["+56955501058", people[0]]
    assert {one.reading for one in find_all(database, tables.do_not_call)} == {None, 3}


FORMS = (
    "+56{0}", "56{0}", "0056{0}", "{0}", "0{0}", "{1}", "0{1}", "+56 {1}", "+56 (0) {1}", "tel:+56{0}", "+56{0}.0",
    "p:+56{0}", "Ana {1}", "{1}-12",
)
"""Of the digits {0}, and {1} as they are grouped."""


# --- number by number ---------------------------------------------------------------------------


@pytest.mark.parametrize("text", SPELLINGS)
def test_whoever_asks_or_bars_or_unbars_in_any_spelling_means_the_same_entry(runtime, database, text):
    write(database, "09 5550 1059")

    number, entry = service.find_barred(text, runtime=runtime)
    assert (number, entry["telefono"]) == (PERSON, "09 5550 1059")
    assert service.bar_number(text, reason="again", runtime=runtime).was_listed
    assert service.unbar_number(text, reason="a mistake", runtime=runtime) == PERSON
    assert find_all(database, tables.do_not_call) == []
    with pytest.raises(NotFound):
        service.unbar_number(text, reason="again", runtime=runtime)


def test_an_entry_that_is_no_number_is_shown_for_what_it_could_mean_and_taken_out_as_it_is_written(runtime, database):
    write(database, "tel:+56955501059;ext=12")

    assert service.find_barred(PERSON, runtime=runtime)[1]["telefono"] == "tel:+56955501059;ext=12"
    with pytest.raises(Conflict, match="as it is written"):
        service.unbar_number(PERSON, reason="a mistake", runtime=runtime)
    service.unbar_number("tel:+56955501059;ext=12", reason="a mistake", runtime=runtime)
    assert service.find_barred(PERSON, runtime=runtime)[1] is None


def test_a_doubt_is_a_reason_that_ends_nothing(database):
    write(database, "955501059.5")

    barred = database.read(lambda connection: store.read_barred(connection, [PERSON], NOON, "CL"))
    assert isinstance(barred[PERSON], Doubt)
    assert database.read(lambda connection: store.read_barred(connection, [PERSON], NOON)) == {}


@pytest.mark.parametrize("text", [*SPELLINGS, *UNREADABLE, *FURTHER])
def test_the_tables_compute_the_key_that_the_program_computes_or_say_that_they_are_not_sure(database, text):
    write(database, text)
    [entry] = find_all(database, tables.do_not_call)

    number = read_number(text.strip(), "CL").number
    assert entry.reading == 2 or number is None or entry.number_key == number[-7:]
