"""`/api/v1/imports` over real HTTP: files sent, in the foreground and behind, what they said, and taken back."""

from __future__ import annotations

import csv
import io
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from scheduler.errors import Conflict
from scheduler.rules.cells import restore
from scheduler.service import access
from scheduler.service.accounts import create_account
from scheduler.service.acting import acting_as
from scheduler.service.import_jobs import ImportJobs
from scheduler.service.imports import Manner, import_leads
from scheduler.store import tables
from tests.factories import add_campaign, add_lead, attempts_of, chilean, events_of, find, find_all, sql
from tests.waiting import PLAIN, wait_until

IMPORTS = "/api/v1/imports"
only_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture(autouse=True)
def uploads_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where files that are sent lie for as long as somebody reads them."""
    folder = tmp_path / "uploads"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    wait_until(lambda: not list(folder.glob("ringback-upload-*")), what="the files that were sent are gone")


def test_a_file_becomes_leads_with_a_verdict_on_every_row(client, database):
    add_campaign(database, "autumn")
    good = chilean()
    answer = send(client, f"Celular,Monto\n{good},10\n{good},20\n12,30\n", campaign="autumn", map="phone=Celular")

    body = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (201, f"{IMPORTS}/{body['import_id']}")
    assert body["verdicts"] == {"good": 1, "duplicate_in_file": 1, "bad": 1}
    assert [(one["line"], one["verdict"]) for one in body["first_rejects"]] == [(3, "duplicate_in_file"), (4, "bad")]
    shown = client.get(f"{IMPORTS}/{body['import_id']}").json()
    assert (shown["status"], shown["progress"], shown["actor"], shown["rejects_kept"]) == ("done", 1.0, "open", 2)
    assert (shown["leads"], shown["verdicts"]) == ({"open": 1}, body["verdicts"])
    assert find(database, tables.leads).variables == {"Monto": "10"}
    assert [one.actor for one in events_of(database, "imported")] == ["open"]


def test_a_dry_run_tells_and_writes_nothing(client, database):
    answer = send(client, f"telefono\n{chilean()}\n", dry_run="true", deadline_days="3", per_person="true")

    assert (answer.status_code, answer.json()["import_id"], answer.json()["verdicts"]) == (200, None, {"good": 1})
    assert answer.json()["countries"] == {"CL": 1}
    assert find_all(database, tables.leads) + find_all(database, tables.imports) == []


def test_a_file_is_imported_in_the_background_and_its_row_says_how_far_it_is(client, database):
    begun = send(client, "telefono\n" + "\n".join(f"+5622{n:07d}" for n in range(2000, 5000)), background="true")

    body = begun.json()
    assert (begun.status_code, body["status"]) == (202, "running")
    wait_until(lambda: shown(client, body)["status"] == "done", what="the import is done")
    assert (shown(client, body)["added"], shown(client, body)["progress"]) == (3000, 1.0)
    assert find(database, tables.imports).actor == "open"


@only_sqlite
def test_what_is_refused_before_its_first_row_is_refused_in_the_background_too(client, database):
    for fields in ({"background": "true"}, {}):
        refused = send(client, "nombre\nAna\n", **fields)
        assert refused.status_code == 409 and "a column telefono" in refused.json()["detail"]
    for status, cases in (
        (422, [{"deadline": "2027-02-30"}, {"skip_known": "?"}, {"delimiter": "ab"}, {"colour": "red"},
               {"encoding": "klingon"}, {"deadline_days": "x"}, {"default_country": "cl"}]),
        (409, [{"deadline": "2020-01-01"}, {"deadline": "2027-01-01", "deadline_days": "3"}, {"map": "phone"},
               {"sheet": "x"}]),
    ):  # fmt: skip
        for fields in cases:
            assert send(client, f"telefono\n{chilean()}\n", **fields).status_code == status, fields
    assert send(client, f"telefono\n{chilean()}\n", campaign="nix").status_code == 404
    assert find_all(database, tables.leads) + find_all(database, tables.imports) == []


AMBIGUOUS = "Cartera;;\ntelefono;fecha_limite;monto\n{a} / {b};03/04/2030;1.500\n{c};05/06/2030;1.500\n"


@only_sqlite
def test_what_was_assumed_of_a_file_is_told_and_each_of_it_can_be_said_otherwise(client, database):
    people = AMBIGUOUS.format(a=chilean(), b=chilean(), c=chilean())
    assumed = send(client, people, dry_run="true", per_person="true").json()["assumptions"]

    told = {one["what"]: (one["value"], one["option"]) for one in assumed}
    assert told == {
        "delimiter": ("semicolon", "delimiter"), "header_row": ("2", "header_row"),
        "date_order": ("day_first", "date_order"), "decimal_mark": ("thousands", "decimal_mark"),
        "joined_numbers": ("split", "joined_numbers"),
    }
    said = {
        "delimiter": ";", "header_row": "2", "date_order": "month_first", "decimal_mark": "point",
        "joined_numbers": "split", "encoding": "utf-8",
    }
    made = send(client, people, **said).json()
    assert (made["added"], made["assumptions"]) == (2, [])
    assert {str(one.fecha_limite) for one in find_all(database, tables.leads)} == {"2030-03-04", "2030-05-06"}
    refused = send(client, people, joined_numbers="refuse", dry_run="true").json()
    assert "its own column" in refused["first_rejects"][0]["reason"]


@only_sqlite
def test_what_was_assumed_is_kept_with_the_import(client):
    made = send(client, AMBIGUOUS.format(a=chilean(), b=chilean(), c=chilean())).json()
    assert client.get(f"{IMPORTS}/{made['import_id']}").json()["assumptions"] == made["assumptions"] != []


@only_sqlite
def test_a_way_to_read_a_file_that_is_none_is_refused(client, database):
    for fields in (
        {"header_row": "0"}, {"header_row": "x"}, {"hidden_rows": "both"}, {"date_order": "year_first"},
        {"decimal_mark": "mixed"}, {"joined_numbers": "maybe"},
    ):
        assert send(client, f"telefono\n{chilean()}\n", **fields).status_code == 422, fields
    assert send(client, f"telefono\n{chilean()}\n", hidden_rows="take").status_code == 409
    assert find_all(database, tables.leads) == []


@only_sqlite
def test_a_header_of_very_many_columns_is_refused_at_once(client, database):
    began = time.monotonic()
    answer = send(client, "telefono," + ",".join(f"columna {at}" for at in range(100_000)) + "\n1\n")
    assert answer.status_code == 409 and len(answer.text) < 2000
    assert time.monotonic() - began < 5
    assert find_all(database, tables.imports) == []


def test_rejects_come_as_csv_without_formulas_that_can_be_mended_and_imported_again(client, database):
    number = chilean()
    formulas = '12,"=HYPERLINK(""http://x"")"\n13,@SUM(A1)\n14,-1\n15,"\ttab"\n'
    made = send(client, f"telefono,nota\n{formulas}{number},fine\n")

    rejects = client.get(f"{IMPORTS}/{made.json()['import_id']}/rejects")

    assert rejects.headers["content-type"].startswith("text/csv")
    rows = list(csv.reader(io.StringIO(rejects.text)))
    assert rows[0] == ["line", "field", "value", "reason", "telefono", "nota"]
    assert [row[5] for row in rows[1:]] == ["'=HYPERLINK(\"http://x\")", "'@SUM(A1)", "'-1", "'\ttab"]
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for row in rows for cell in row)
    mended = rejects.text.replace(',12,"', f',{chilean()},"')
    assert send(client, mended).json()["verdicts"] == {"bad": 3, "good": 1}
    assert find(database, tables.leads).variables == {"nota": restore(rows[1][5])}


@only_sqlite
def test_rejects_that_nobody_kept_are_not_there(client, runtime, tmp_path):
    file = tmp_path / "l.csv"
    file.write_text("telefono\n12\n")
    by_cli = import_leads(file, default_country="CL", runtime=runtime).import_id
    clean = send(client, f"telefono\n{chilean()}\n").json()["import_id"]
    for import_id in (by_cli, clean, 999, 2**63 - 1):
        assert client.get(f"{IMPORTS}/{import_id}/rejects").status_code == 404
    assert client.get(f"{IMPORTS}/0").status_code == client.get(f"{IMPORTS}/x").status_code == 422


@only_sqlite
def test_more_rejects_than_are_kept_are_counted(client):
    made = send(client, "telefono\n" + "12\n" * 5003).json()
    rejects = client.get(f"{IMPORTS}/{made['import_id']}/rejects")
    assert (rejects.headers["x-left-out"], rejects.text.count("\n")) == ("3", 5001)


def test_an_import_is_taken_back_as_far_as_nobody_was_called(client, database):
    made = send(client, f"telefono\n{chilean()}\n{chilean()}\n").json()
    called = find(database, tables.leads).id
    sql(database, "UPDATE leads SET call_attempts_count = 1 WHERE id = :id", id=called)
    path = f"{IMPORTS}/{made['import_id']}/undo"

    tried = client.post(path, params={"dry_run": "true"}).json()
    done = client.post(path).json()
    again = client.post(path)

    assert (tried["taken_back"], tried["stay"], tried["dry_run"]) == (1, 1, True)
    assert (done["taken_back"], done["stay"], done["dry_run"]) == (1, 1, False)
    assert again.status_code == 409
    assert [one.id for one in find_all(database, tables.leads)] == [called] and attempts_of(database, called) == []


@only_sqlite
def test_imports_are_listed_page_by_page(client, database):
    add_campaign(database, "autumn")
    ids = [send(client, f"telefono\n{chilean()}\n", campaign="autumn").json()["import_id"] for _ in range(3)]
    send(client, f"telefono\n{chilean()}\n")

    first = client.get(IMPORTS, params={"limit": 2, "campaign": "autumn"})
    rest = client.get(IMPORTS, params={"limit": 2, "campaign": "autumn", "cursor": first.json()["next_cursor"]}).json()

    assert [one["id"] for one in first.json()["items"] + rest["items"]] == ids[::-1]
    assert rest["next_cursor"] is None
    assert client.get(
        IMPORTS, params={"limit": 2, "campaign": "autumn"}, headers={"If-None-Match": first.headers["etag"]}
    ).status_code == 304
    assert client.get(IMPORTS, params={"cursor": "nonsense"}).status_code == 404


@only_sqlite
def test_a_key_of_one_account_imports_there_alone_and_learns_nothing_of_others(served, runtime, database):
    create_account("Ours", code="ours", runtime=runtime)
    create_account("Theirs", code="theirs", runtime=runtime)
    for code in ("ours", "theirs"):
        add_campaign(database, f"{code}-1", account_id=find(database, tables.accounts, code=code).id)
    number = chilean()
    add_lead(database, number, campaign_id=find(database, tables.campaigns, code="theirs-1").id)
    key = access.create_key("front", scope="operate", account="ours", runtime=runtime).token
    admin = access.create_key("all", scope="admin", runtime=runtime).token
    with httpx.Client(base_url=served, headers={"Authorization": f"Bearer {admin}"}, **PLAIN) as client:
        foreign = send(client, f"telefono\n{chilean()}\n12\n", campaign="theirs-1").json()["import_id"]
        nobodys = send(client, f"telefono\n{chilean()}\n12\n").json()["import_id"]
    with httpx.Client(base_url=served, headers={"Authorization": f"Bearer {key}"}, **PLAIN) as client:
        assert send(client, f"telefono\n{chilean()}\n").status_code == 409  # into no campaign
        assert send(client, f"telefono\n{chilean()}\n", campaign="theirs-1").status_code == 404
        made = send(client, f"telefono\n{number}\n", campaign="ours-1", skip_known="true").json()
        assert (made["verdicts"], made["known_elsewhere"]) == ({"good": 1}, 0)
        for import_id in (foreign, nobodys):
            for path in ("", "/rejects"):
                assert client.get(f"{IMPORTS}/{import_id}{path}").status_code == 404
            assert client.post(f"{IMPORTS}/{import_id}/undo").status_code == 404
        assert client.get(IMPORTS, params={"campaign": "theirs-1"}).status_code == 404
        assert [one["id"] for one in client.get(IMPORTS).json()["items"]] == [made["import_id"]]


@only_sqlite
def test_a_server_that_stops_ends_its_imports_and_the_same_file_adds_the_rest(runtime, database, tmp_path):
    file = tmp_path / "many.csv"
    file.write_text("telefono\n" + "\n".join(f"+5622{n:07d}" for n in range(2000, 22_000)))
    jobs, ended = ImportJobs(runtime), []
    with acting_as("key:front"):
        import_id = jobs.start(
            file, manner=Manner(file_name="many.csv"), on_end=lambda: ended.append(1), default_country="CL"
        )

    jobs.close()

    row = find(database, tables.imports, id=import_id)
    assert (row.status, row.actor, ended) == ("failed", "key:front", [1])
    assert "the same file again adds only the rest" in row.details["error"] or row.added == 0
    assert row.added < 20_000
    with pytest.raises(Conflict):
        jobs.start(file, manner=Manner(), on_end=lambda: None, default_country="CL")
    assert import_leads(file, default_country="CL", runtime=runtime).added == 20_000 - row.added


@only_sqlite
def test_an_import_whose_process_is_gone_says_since_when_it_was_not_heard_of(client, database, clock):
    import_id = send(client, f"telefono\n{chilean()}\n").json()["import_id"]
    alive_at = clock.now() - timedelta(minutes=5)
    sql(
        database, "UPDATE imports SET status = 'running', details = :details WHERE id = :id", id=import_id,
        details=f'{{"done": 30, "size": 100, "alive_at": "{alive_at.isoformat()}"}}',
    )
    found = client.get(f"{IMPORTS}/{import_id}").json()
    assert (found["status"], found["progress"]) == ("running", 0.3)
    assert found["note"].startswith(f"nothing was heard of it since {alive_at:%Y-%m-%d %H:%M} UTC")


def send(client: httpx.Client, rows: str, **fields: str) -> httpx.Response:
    return client.post(IMPORTS, files={"file": ("lista.csv", rows.encode())}, data=fields)


def shown(client: httpx.Client, begun: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"{IMPORTS}/{begun['import_id']}").json()
    return found
