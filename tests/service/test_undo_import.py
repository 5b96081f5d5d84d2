"""The list of imports, and taking one back: what was never called goes, all else stays."""

from __future__ import annotations

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from scheduler.errors import Conflict, DatabaseUnavailable, NotFound
from scheduler.service import imports as service
from scheduler.service.acting import acting_as
from scheduler.service.imports import ImportReport, undo_import
from scheduler.service.runtime import Runtime
from scheduler.store import imports as store
from scheduler.store import tables
from scheduler.store.database import Database
from tests.conftest import NOON
from tests.factories import (
    ScriptedProvider,
    Station,
    add_campaign,
    add_lead,
    broken_promises,
    calls_of,
    events_of,
    find,
    find_all,
    sql,
)

# --- the list -------------------------------------------------------------------------------------


def test_an_import_is_written_down_with_its_file_its_counts_and_its_leads(runtime: Runtime, tmp_path: Path) -> None:
    campaign_id = add_campaign(runtime.database, "renewals")
    path = write(tmp_path, "telefono", number(1), number(1), "12", number(2))
    with acting_as("user:ana"):
        report = run(runtime, path, campaign="renewals")
    row = find(runtime.database, tables.imports, id=report.import_id)
    assert (row.campaign_id, row.file_name, row.status, row.actor) == (campaign_id, "leads.csv", "done", "user:ana")
    assert (row.rows_read, row.added, row.duplicates, row.rejected) == (4, 2, 1, 1)
    assert row.file_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert row.created_at == row.finished_at == NOON
    assert row.details["verdicts"] == {"good": 2, "duplicate_in_file": 1, "bad": 1}
    assert [(one["line"], one["verdict"]) for one in row.details["first_rejects"]] == [
        (3, "duplicate_in_file"), (4, "bad"),
    ]  # fmt: skip
    assert {lead.import_id for lead in find_all(runtime.database, tables.leads)} == {report.import_id}


def test_a_dry_run_and_a_refused_file_are_no_imports(runtime: Runtime, tmp_path: Path) -> None:
    assert run(runtime, write(tmp_path, "telefono", number(1)), dry_run=True).import_id is None
    with pytest.raises(Exception, match="a column telefono"):
        run(runtime, write(tmp_path, "nombre", "Ana"))
    assert find_all(runtime.database, tables.imports) == []


def test_an_import_that_fails_says_so_with_the_counts_of_its_whole_chunks(
    runtime: Runtime, tmp_path: Path
) -> None:
    add_campaign(runtime.database, "shaky")
    path = write(tmp_path, "telefono", *(number(i) for i in range(service.CHUNK * 4)))

    def cancel(done: int, total: int) -> None:
        sql(runtime.database, "UPDATE campaigns SET status = 'cancelled' WHERE code = 'shaky'")

    with pytest.raises(Conflict, match=f"cancelled.*{service.CHUNK} leads were added before"):
        run(runtime, path, campaign="shaky", on_progress=cancel)
    (row,) = find_all(runtime.database, tables.imports)
    assert row.status == "failed" and row.finished_at is not None and "cancelled" in row.details["error"]
    assert row.added == len(find_all(runtime.database, tables.leads)) and row.added % service.CHUNK == 0


def test_an_import_that_was_killed_stays_running_until_the_same_file_brings_the_rest(
    runtime: Runtime, tmp_path: Path
) -> None:
    path = write(tmp_path, "telefono", *(number(i) for i in range(3)))
    killed = break_off(runtime, path, [number(0)])
    assert find(runtime.database, tables.imports, id=killed).status == "running"
    report = run(runtime, path)
    assert (report.added, report.duplicates) == (2, 1)
    row = find(runtime.database, tables.imports, id=killed)
    assert row.status == "failed" and f"import {report.import_id} added the rest" in row.details["error"]


def test_imports_are_listed_newest_first_and_by_campaign(runtime: Runtime, tmp_path: Path) -> None:
    one, two = (add_campaign(runtime.database, code) for code in ("one", "two"))
    for code in ("one", "two", "one"):
        run(runtime, write(tmp_path, "telefono", number(1)), campaign=code)

    def listed(campaign_id: int | None, limit: int = 10) -> list[tuple[str, int]]:
        rows = runtime.database.read(lambda c: store.list_imports(c, campaign_id=campaign_id, limit=limit))
        return [(row["campaign"], row["added"]) for row in rows]

    assert listed(None) == [("one", 0), ("two", 1), ("one", 1)]
    assert listed(one) == [("one", 0), ("one", 1)] and listed(two) == [("two", 1)]
    assert listed(None, 1) == [("one", 0)]


def test_an_import_shows_what_has_become_of_its_leads(runtime: Runtime, tmp_path: Path) -> None:
    report = run(runtime, write(tmp_path, "telefono", *(number(i) for i in range(3))))
    sql(runtime.database, "UPDATE leads SET lead_status = 'closed' WHERE telefono = :number", number=number(2))
    call(runtime, number(0))
    found = runtime.database.read(lambda c: store.describe_import(c, int(report.import_id or 0)))
    assert found is not None
    assert found["leads"] == {"closed": 1, "open": 2} and found["called"] == 1
    assert sum(found["calls"].values()) == 3


# --- taking back ----------------------------------------------------------------------------------


def test_undo_deletes_leads_phones_and_plans_and_makes_the_numbers_free_again(
    runtime: Runtime, tmp_path: Path
) -> None:
    kept = add_lead(runtime.database, number(50))
    path = write(tmp_path, "telefono,telefono2", *(f"{number(i)},{number(i + 10)}" for i in range(3)))
    report = run(runtime, path)
    undone = undo(runtime, report)
    assert (undone.taken_back, undone.stay) == (3, 0)
    assert [lead.id for lead in find_all(runtime.database, tables.leads)] == [kept]
    assert {row.lead_id for row in find_all(runtime.database, tables.lead_phones)} == {kept}
    assert find_all(runtime.database, tables.call_schedule) == []
    row = find(runtime.database, tables.imports, id=report.import_id)
    assert (row.status, row.taken_back, row.undone_at) == ("undone", 3, NOON)
    (event,) = events_of(runtime.database, "import_undone")
    assert event.reason == f"import {report.import_id} of leads.csv: 3 leads taken back, 0 stay"
    assert run(runtime, path).added == 3
    assert broken_promises(runtime.database) == {}


def test_undo_after_calls_takes_back_the_others_and_says_how_many_stay(runtime: Runtime, tmp_path: Path) -> None:
    report = run(runtime, write(tmp_path, "telefono", *(number(i) for i in range(4))))
    call(runtime, number(2))
    dry = undo(runtime, report, dry_run=True)
    assert (dry.taken_back, dry.stay) == (3, 1) and len(find_all(runtime.database, tables.leads)) == 4
    undone = undo(runtime, report)
    assert (undone.taken_back, undone.stay) == (3, 1)
    (lead,) = find_all(runtime.database, tables.leads)
    assert lead.telefono == number(2) and len(calls_of(runtime.database, lead.id)) >= 1
    assert broken_promises(runtime.database) == {}


def test_undo_is_refused_when_every_lead_was_called(runtime: Runtime, tmp_path: Path) -> None:
    report = run(runtime, write(tmp_path, "telefono", number(1), number(2)))
    call(runtime, number(1))
    call(runtime, number(2))
    with pytest.raises(Conflict, match=r"all 2 leads of import \d+ were called .* leads close"):
        undo(runtime, report)
    assert find(runtime.database, tables.imports, id=report.import_id).status == "done"
    assert events_of(runtime.database, "import_undone") == []


def test_undo_twice_is_refused_with_what_the_first_one_did(runtime: Runtime, tmp_path: Path) -> None:
    report = run(runtime, write(tmp_path, "telefono", number(1), number(2)))
    call(runtime, number(1))
    undo(runtime, report)
    with pytest.raises(Conflict, match=r"on 2026-11-20 15:00Z \(1 leads\); its 1 remaining leads were called"):
        undo(runtime, report)
    whole = run(runtime, write(tmp_path, "telefono", number(3)))
    undo(runtime, whole)
    with pytest.raises(Conflict, match=r"taken back on .*\(1 leads\); nothing of it is left$"):
        undo(runtime, whole)


def test_undo_of_an_import_without_leads_or_of_none_is_refused(runtime: Runtime, tmp_path: Path) -> None:
    path = write(tmp_path, "telefono", number(1))
    first, again = run(runtime, path), run(runtime, path)
    with pytest.raises(Conflict, match="added no leads"):
        undo(runtime, again)
    with pytest.raises(NotFound, match="there is no import 99999"):
        undo_import(99999, runtime=runtime)
    sql(runtime.database, "DELETE FROM leads")
    with pytest.raises(Conflict, match=r"no lead of import .* is there any more"):
        undo(runtime, first)


def test_undo_reaches_beyond_a_chunk(runtime: Runtime, tmp_path: Path) -> None:
    rows = service.UNDO_CHUNK * 2 + 3
    report = run(runtime, write(tmp_path, "telefono", *(number(i) for i in range(rows))))
    assert undo(runtime, report).taken_back == rows
    for name in ("leads", "lead_phones", "call_schedule"):
        assert sql(runtime.database, f"SELECT COUNT(*) FROM {name}")[0][0] == 0


def test_a_lead_that_is_being_called_now_stays(runtime: Runtime, tmp_path: Path) -> None:
    report = run(runtime, write(tmp_path, "telefono", number(1), number(2)))
    (first, _) = find_all(runtime.database, tables.leads)
    sql(runtime.database, "UPDATE call_schedule SET status = 'in_progress' WHERE lead_id = :id", id=first.id)
    assert (undo(runtime, report).taken_back, undo_stays(runtime, report)) == (1, [first.id])


@pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)  # SQLite has one writer at a time
def test_a_row_that_a_daemon_is_just_taking_stays_and_is_not_waited_for(
    database: Database, runtime: Runtime, tmp_path: Path
) -> None:
    report = run(runtime, write(tmp_path, "telefono", number(1), number(2)))
    first, second = find_all(database, tables.call_schedule)
    with database.engine.connect() as daemon, daemon.begin():
        daemon.execute(
            select(tables.call_schedule.c.id).where(tables.call_schedule.c.id == first.id).with_for_update()
        )
        undone = undo(runtime, report)
    assert (undone.taken_back, undone.stay) == (1, 1)
    assert [row.id for row in find_all(database, tables.call_schedule)] == [first.id] != [second.id]
    assert undo(runtime, report).taken_back == 1, "what was only held for a moment can be taken back later"


def test_undo_beside_a_daemon_that_dials_loses_no_call(runtime: Runtime, tmp_path: Path) -> None:
    add_campaign(runtime.database, "busy")
    rows = 300
    report = run(runtime, write(tmp_path, "telefono", *(number(i) for i in range(rows))), campaign="busy")
    provider = ScriptedProvider()
    station = Station(runtime, provider)
    start = threading.Barrier(2)

    def dial() -> None:
        start.wait()
        for _ in range(6):
            station.dispatch()

    def take_back() -> service.UndoReport:
        start.wait()
        return undo(runtime, report)

    with ThreadPoolExecutor(2) as pool:
        dialing, undoing = pool.submit(dial), pool.submit(take_back)
        dialing.result()
        undone = undoing.result()
    called = set(provider.numbers)
    left = {lead.telefono for lead in find_all(runtime.database, tables.leads)}
    assert called <= left and len(left) == rows - undone.taken_back
    assert {row.telefono for row in find_all(runtime.database, tables.call_attempts)} >= called
    orphans = sql(
        runtime.database,
        "SELECT COUNT(*) FROM call_schedule s LEFT JOIN leads l ON l.id = s.lead_id WHERE l.id IS NULL",
    )
    assert orphans[0][0] == 0 and broken_promises(runtime.database) == {}


def test_an_import_that_is_taken_back_while_it_runs_stops(runtime: Runtime, tmp_path: Path) -> None:
    path = write(tmp_path, "telefono", *(number(i) for i in range(service.CHUNK * 4)))

    def take_back(done: int, total: int) -> None:
        (row,) = find_all(runtime.database, tables.imports)
        if row.status == "running":
            undo_import(row.id, runtime=runtime)

    with pytest.raises(Conflict, match="was taken back while it ran"):
        run(runtime, path, on_progress=take_back)
    (row,) = find_all(runtime.database, tables.imports)
    assert row.status == "undone" and row.taken_back == row.added
    assert find_all(runtime.database, tables.leads) == []


def test_an_undo_that_was_cut_off_goes_on_when_it_is_asked_for_again(runtime: Runtime, tmp_path: Path) -> None:
    rows = service.UNDO_CHUNK + 10
    report = run(runtime, write(tmp_path, "telefono", *(number(i) for i in range(rows))))
    with pytest.raises(DatabaseUnavailable):
        undo_import(int(report.import_id or 0), runtime=with_database(runtime, Breaking(runtime.database, good=2)))
    assert len(find_all(runtime.database, tables.leads)) == 10
    assert undo(runtime, report).taken_back == 10
    assert find(runtime.database, tables.imports, id=report.import_id).taken_back == rows


# --- what the claims above need -------------------------------------------------------------------


class Breaking(Database):
    """A database that goes away after some transactions."""

    def __init__(self, real: Database, good: int) -> None:
        self.__dict__.update(real.__dict__)
        self._good = good

    def transact(self, work: Any, **options: Any) -> Any:
        if self._good == 0:
            raise DatabaseUnavailable("gone")
        self._good -= 1
        return super().transact(work, **options)


def with_database(runtime: Runtime, database: Database) -> Runtime:
    return Runtime(runtime.settings, database, runtime.clock, runtime.providers)


def break_off(runtime: Runtime, path: Path, numbers: list[str]) -> int:
    """What a killed import leaves: its row as running, and the leads of its whole chunks."""
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    import_id = runtime.database.transact(
        lambda c: store.start_import(c, campaign_id=None, file_name=path.name, sha256=sha256, actor="cli", now=NOON)
    )
    for one in numbers:
        add_lead(runtime.database, one, import_id=import_id)
    return import_id


def call(runtime: Runtime, wanted: str) -> None:
    """Let a daemon call this number and no other."""
    sql(runtime.database, "UPDATE call_schedule SET scheduled_at = '2030-01-01 00:00:00'")
    sql(
        runtime.database,
        "UPDATE call_schedule SET scheduled_at = '2026-11-20 14:00:00' WHERE status = 'pending' AND lead_id IN "
        "(SELECT id FROM leads WHERE telefono = :number)",
        number=wanted,
    )
    station = Station(runtime)
    station.dispatch_until_quiet()
    assert station.provider.numbers == [wanted]


def run(runtime: Runtime, path: Path, **options: Any) -> ImportReport:
    return service.import_leads(path, runtime=runtime, **{"default_country": "CL", **options})


def undo(runtime: Runtime, report: ImportReport, **options: Any) -> service.UndoReport:
    assert report.import_id is not None
    return undo_import(report.import_id, runtime=runtime, **options)


def undo_stays(runtime: Runtime, report: ImportReport) -> list[int]:
    return [lead.id for lead in find_all(runtime.database, tables.leads, import_id=report.import_id)]


def write(folder: Path, *lines: str, name: str = "leads.csv") -> Path:
    path = folder / name
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def number(i: int) -> str:
    return f"+569{20_000_000 + i}"
