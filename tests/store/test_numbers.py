"""What numbers tell is kept beside them, follows an UPDATE, and is learnt anew when the tables of numbers are newer."""

import pytest
from sqlalchemy import select, update

from scheduler.model import NumberTraits, PhoneStatus
from scheduler.rules.eligibility import phones_of
from scheduler.rules.phones import DATA_VERSION, learn
from scheduler.store import leads, numbers, tables
from tests.factories import Station, add_due_lead, add_lead, call_of, events_of, find_all, plan_call, sql

CHILEAN, SPANISH = "+56912345678", "+34911234567"
T, P = tables.number_traits.c, tables.lead_phones.c


@pytest.mark.parametrize("number", [CHILEAN, SPANISH, "+80012345678", "+12025550123"])
def test_what_is_read_of_a_lead_is_what_its_number_tells(database, number):
    lead_id = database.transact(lambda connection: leads.insert_lead(connection, {}, [number]))

    assert [phone.traits for phone in read(database, lead_id).phones] == [learn(number)]
    assert kept(database, lead_id) == [(number, number, number[-7:])]


def test_numbers_of_one_kind_share_what_they_tell(database):
    for number in (CHILEAN, "+56912345679", "+56912345670"):
        database.transact(lambda connection, number=number: leads.insert_lead(connection, {}, [number]))

    assert len(find_all(database, tables.number_traits)) == 1


def test_a_number_changed_by_sql_tells_nothing_until_it_is_learnt(database):
    lead_id = database.transact(lambda connection: leads.insert_lead(connection, {}, [CHILEAN]))
    sql(database, "UPDATE lead_phones SET telefono = :number", number=SPANISH)
    sql(database, "UPDATE leads SET telefono = :number", number=SPANISH)

    assert read(database, lead_id).phones[0].traits is None
    assert learn_again(database, lead_id) == [learn(SPANISH)]
    assert read(database, lead_id).phones[0].traits == learn(SPANISH)
    assert kept(database, lead_id) == [(SPANISH, SPANISH, SPANISH[-7:])]


def test_a_lead_written_by_sql_alone_gets_the_row_of_its_number(database):
    sql(database, "INSERT INTO leads (nombre, telefono) VALUES ('Ana', :number)", number=CHILEAN)
    [lead_id] = [row.id for row in find_all(database, tables.leads)]

    assert learn_again(database, lead_id) == [learn(CHILEAN)]
    assert kept(database, lead_id) == [(CHILEAN, CHILEAN, CHILEAN[-7:])]


def test_a_first_number_changed_by_sql_is_mirrored_untried(database):
    lead_id = database.transact(lambda connection: leads.insert_lead(connection, {}, [CHILEAN, SPANISH]))
    sql(database, "UPDATE lead_phones SET status = 'invalid' WHERE position = 1")
    sql(database, "UPDATE leads SET telefono = '+56987654321'")

    learn_again(database, lead_id)

    first, second = read(database, lead_id).phones
    assert (first.number, first.status, first.traits) == ("+56987654321", PhoneStatus.ACTIVE, learn("+56987654321"))
    assert (second.number, second.traits) == (SPANISH, learn(SPANISH))


def test_what_a_person_wrote_meanwhile_is_not_written_over(database):
    lead_id = database.transact(lambda connection: leads.insert_lead(connection, {}, [CHILEAN]))
    forget(database)
    people = database.read(lambda connection: leads.read_leads(connection, [lead_id]))
    sql(database, "UPDATE lead_phones SET telefono = :number", number=SPANISH)

    database.transact(lambda connection: numbers.learn_unknown(connection, people))

    assert [row[0] for row in kept(database, lead_id)] == [SPANISH]
    assert read(database, lead_id).phones[0].traits is None


@pytest.mark.parametrize("text", ["9 1234 5678", "nobody", "+999123456789", ""])
def test_a_text_that_is_no_number_is_left_as_it_is(database, text):
    lead_id = add_lead(database, CHILEAN)
    sql(database, "UPDATE lead_phones SET telefono = :text", text=text)
    sql(database, "UPDATE leads SET telefono = :text", text=text)

    assert learn_again(database, lead_id) in ([None], [])
    assert kept(database, lead_id) == [(text, None, None)]


def test_what_older_tables_told_is_learnt_anew(database):
    older = numbers.traits_id(NumberTraits("AR", "fixed", ("America/Argentina/Salta",)), "1.0")
    lead_id = add_lead(database, CHILEAN)
    keep(database, older, "1.0", "AR", "fixed", "America/Argentina/Salta")
    sql(database, "UPDATE lead_phones SET e164 = telefono, traits_id = :older", older=older)

    assert list_unlearnt(database) == (lead_id,)
    assert read(database, lead_id).phones[0].traits is None
    assert learn_again(database, lead_id) == [learn(CHILEAN)]
    assert list_unlearnt(database) == ()


def test_what_newer_tables_told_stays(database):
    told = NumberTraits("CL", "voip", ("America/Punta_Arenas",))
    newer = numbers.traits_id(told, "999.1")
    lead_id = add_lead(database, CHILEAN)
    keep(database, newer, "999.1", "CL", "voip", "America/Punta_Arenas")
    sql(database, "UPDATE lead_phones SET e164 = telefono, traits_id = :newer", newer=newer)

    assert learn_again(database, lead_id) == [told]


def test_a_row_of_traits_that_somebody_changed_counts_for_nothing(database):
    told = NumberTraits("CL", "voip", ("America/Coyhaique",))
    row_id = numbers.traits_id(told)
    lead_id = add_lead(database, CHILEAN)
    keep(database, row_id, DATA_VERSION, "CL", "voip", "Asia/Tokyo")
    sql(database, "UPDATE lead_phones SET e164 = telefono, traits_id = :row_id", row_id=row_id)

    assert read(database, lead_id).phones[0].traits is None
    assert learn_again(database, lead_id) == [learn(CHILEAN)]


def test_pages_of_what_is_not_learnt_cover_every_lead(database):
    ids = [add_lead(database, f"+5691234567{number}", f"+5698765432{number}") for number in range(5)]
    forget(database)

    found, after = set(), 0
    while after is not None:
        page = database.read(lambda connection, after=after: numbers.list_unlearnt(connection, after, 3))
        found |= set(page.leads)
        after = page.until

    assert found == set(ids)


def read(database, lead_id):
    return database.read(lambda connection: leads.read_leads(connection, [lead_id]))[lead_id]


def learn_again(database, lead_id):
    def work(connection):
        return numbers.learn_unknown(connection, leads.read_leads(connection, [lead_id]))

    return [phone.traits for phone in phones_of(database.transact(work)[lead_id])]


def kept(database, lead_id):
    query = select(P.telefono, P.e164, P.number_key).where(P.lead_id == lead_id).order_by(P.position)
    return [tuple(row) for row in database.read(lambda connection: connection.execute(query).all())]


def list_unlearnt(database):
    return database.read(lambda connection: numbers.list_unlearnt(connection, 0, 100)).leads


def keep(database, row_id, version, country, line, zones):
    values = {"id": row_id, "data_version": version, "country": country, "line": line, "zones": zones}
    database.transact(lambda connection: connection.execute(tables.number_traits.insert().values(**values)))


def forget(database):
    nothing = update(tables.lead_phones).values(e164=None, number_key=None, traits_id=None)
    database.transact(lambda connection: connection.execute(nothing))


@pytest.mark.parametrize("text", [CHILEAN + " ", "09 1234 5678", "+560912345678"])
def test_a_number_written_by_sql_is_dialed_as_the_one_that_it_can_only_mean(runtime, database, text):
    lead_id = database.transact(lambda connection: leads.insert_lead(connection, {}, [CHILEAN]))
    plan_call(database, lead_id)
    sql(database, "UPDATE lead_phones SET telefono = :text, status = 'invalid'", text=text)
    sql(database, "UPDATE leads SET telefono = :text", text=text)
    station = Station(runtime)

    station.dispatch()

    assert station.provider.numbers == [CHILEAN]
    assert kept(database, lead_id) == [(CHILEAN, CHILEAN, CHILEAN[-7:])]
    assert [repr(text) in one.reason for one in events_of(database, "number_mended")] == [True]


def test_a_text_that_is_no_number_is_quoted_where_its_call_is_held(runtime, database):
    lead_id = add_due_lead(database)
    sql(database, "UPDATE lead_phones SET telefono = 'Ana '")
    sql(database, "UPDATE leads SET telefono = 'Ana '")
    station = Station(runtime)

    station.dispatch()

    assert station.provider.dials == []
    assert "'Ana ' cannot be dialed as written" in call_of(database, lead_id).reason


def test_a_take_learns_what_it_meets_once(runtime, database):
    lead_id = add_due_lead(database, CHILEAN)
    station = Station(runtime)
    station.dispatch()

    assert station.provider.numbers == [CHILEAN]
    assert kept(database, lead_id) == [(CHILEAN, CHILEAN, CHILEAN[-7:])]


def test_upkeep_learns_what_no_take_has_met(runtime, database):
    lead_id = add_lead(database, CHILEAN)
    forget(database)

    Station(runtime).upkeep()

    assert kept(database, lead_id) == [(CHILEAN, CHILEAN, CHILEAN[-7:])]
