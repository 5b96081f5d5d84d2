"""The contract of the batch front ends over real HTTP: as their clients call it, and as nobody should."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from openpyxl import Workbook
from sqlalchemy import event

from scheduler.service import access
from scheduler.service.accounts import create_account
from scheduler.store import tables
from tests.conftest import NOON
from tests.factories import (
    add_campaign,
    add_due_lead,
    add_lead,
    chilean,
    events_of,
    find,
    find_all,
    set_config,
    sql,
)
from tests.waiting import BACKSTOP, PLAIN, wait_until

ACCOUNT = "acc-test-001"
SETTINGS = {
    "allowed_call_hours": {"start": "09:00", "end": "20:00"}, "timezone": "America/Santiago",
    "retry_settings": {"max_attempts": 5, "retry_delay_hours": 12}, "max_concurrent_calls": 15,
}  # fmt: skip
STATUS_FIELDS = [
    "batch_id", "is_active", "total_jobs", "pending_jobs", "completed_jobs", "failed_jobs", "suspended_jobs",
    "total_cost", "costs", "total_minutes", "progress_percentage", "started_at", "completed_at", "counted_at",
]  # fmt: skip
CREATE = "/api/v1/batches/excel/create"
only_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture(autouse=True)
def account(runtime) -> int:
    create_account("Cliente", code=ACCOUNT, billing_type="credits", balance="5000", price_per_minute=1, runtime=runtime)
    return int(find(runtime.database, tables.accounts, code=ACCOUNT).id)


@pytest.fixture
def uploads_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where files that are sent lie while they are looked at; empty again at the end of every test that asks for it."""
    folder = tmp_path / "uploads"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    # They go after the answer, not before it.
    wait_until(lambda: not list(folder.glob("ringback-upload-*")), what="the files that were sent are gone")


# --- as existing clients call it -----------------------------------------------------------------


@only_sqlite
@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
def test_the_commands_of_existing_clients_work_as_they_stand(served, database, tmp_path):
    book = tmp_path / "chile_10_usuarios.xlsx"
    write_book(book, [("Nombre", "Teléfono móvil", "RUTS", "Saldo actualizado")] + [
        (f"Persona {n}", 991_000_000 + n, f"12.345.{n:03d}-5", 1000 + n) for n in range(10)
    ])

    made = curl("-X", "POST", f"{served}/api/v1/batches", "-H", "Content-Type: application/json", "-d", json.dumps({
        "account_id": ACCOUNT, "name": "Campaña Cobranza Urgente", "description": "Horario extendido 09:00-20:00",
        "priority": 1, "call_settings": SETTINGS,
    }))
    filled = curl(
        "-X", "POST", f"{served}{CREATE}", "-F", f"file=@{book}", "-F", f"account_id={ACCOUNT}",
        "-F", "batch_name=Campaña Marketing", "-F", "processing_type=acquisition", "-F", "dias_fecha_limite=30",
        "-F", 'call_settings_json={"allowed_call_hours":{"start":"10:00","end":"18:00"},'
        '"timezone":"America/Santiago","max_concurrent_calls":5}',
    )  # fmt: skip
    batch = filled["batch_id"]
    status = curl("-X", "GET", f"{served}/api/v1/batches/{batch}/status")
    cancelled = curl(
        "-X", "POST", f"{served}/api/v1/batches/{batch}/cancel?reason=Cliente%20solicit%C3%B3%20detenci%C3%B3n"
    )
    overview = curl("-X", "GET", f"{served}/api/v1/dashboard/overview")
    of_account = curl("-X", "GET", f"{served}/api/v1/dashboard/overview?account_id={ACCOUNT}")

    assert made["success"] is True and made["batch"]["name"] == "Campaña Cobranza Urgente"
    assert made["batch"]["call_settings"]["max_concurrent_calls"] == 15
    assert (filled["batch_name"], filled["processing_type"], filled["total_jobs"]) == (
        "Campaña Marketing", "acquisition", 10
    )  # fmt: skip
    assert filled["verdicts"] == {"good": 10}
    assert list(status) == STATUS_FIELDS and (status["is_active"], status["pending_jobs"]) == (True, 10)
    assert cancelled == {
        "success": True, "message": "Batch cancelled successfully", "reason": "Cliente solicitó detención",
    }
    assert overview["account"] is None and of_account["account"]["account_id"] == ACCOUNT
    assert {str(one.fecha_limite) for one in find_all(database, tables.leads)} == {"2026-12-20"}


def test_a_batch_is_made_from_settings_in_either_shape(client, database):
    flat = {"max_attempts": 5, "allowed_hours": {"start": "09:00", "end": "20:00"}, "timezone": "America/Santiago"}
    for settings in (SETTINGS, flat, None):
        made = client.post("/api/v1/batches", json={"account_id": ACCOUNT, "name": "N", "call_settings": settings})
        batch = made.json()["batch"]

        assert made.status_code == 200
        assert (batch["call_settings"] or None) == settings
        assert (batch["account_id"], batch["is_active"], batch["total_jobs"]) == (ACCOUNT, True, 0)
        again = client.get(f"/api/v1/batches/{batch['_id']}").json()
        assert again.pop("counted_at") and again == batch
        assert find(database, tables.campaigns, code=batch["batch_id"]).name == "N"
    assert client.get("/api/v1/batches?limit=2&skip=1").json()["total"] == 3


BODIES = [
    {"name": "N"}, {"account_id": ACCOUNT}, {"account_id": ACCOUNT, "name": ""}, {"account_id": ACCOUNT, "name": 5},
    {"account_id": ACCOUNT, "name": "N", "priority": "1"}, {"account_id": ACCOUNT, "name": "N", "colour": "red"},
    {"account_id": ACCOUNT, "name": "N", "call_settings": {"max_attempts": 0}},
    {"account_id": ACCOUNT, "name": "N", "call_settings": {"colour": 1}},
    {"account_id": ACCOUNT, "name": "N", "call_settings": []}, {"account_id": ACCOUNT, "name": "\ud800"},
    {"account_id": ACCOUNT, "name": "N", "priority": 2**31}, {"account_id": ACCOUNT, "name": "N", "\ud800": 1},  [], 7,
]  # fmt: skip


@only_sqlite
def test_a_batch_that_cannot_be_made_changes_nothing(client, database):
    for body in BODIES:
        refused = client.post(
            "/api/v1/batches", content=json.dumps(body).encode(), headers={"Content-Type": "application/json"}
        )
        assert refused.status_code == 422 and refused.json()["detail"].count("\n") == 0, body
    assert find_all(database, tables.campaigns) == []


@only_sqlite
@pytest.mark.parametrize(("more", "headers", "status"), [
    ('"name": "M"', {}, 400), ('"call_settings": {"max_attempts": 3, "max_attempts": 9}', {}, 400),
    ('"priority": 1', {"Content-Type": "text/plain"}, 415), ('"priority": 1', {"Content-Encoding": "gzip"}, 415),
])  # fmt: skip
def test_a_body_that_can_be_read_in_two_ways_makes_nothing(client, database, more, headers, status):
    body = f'{{"account_id": "{ACCOUNT}", "name": "N", {more}}}'
    answer = client.post(
        "/api/v1/batches", content=body.encode(), headers={"Content-Type": "application/json", **headers}
    )

    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    assert find_all(database, tables.campaigns) == []


def test_a_number_in_other_digits_names_no_batch(client, database):
    batch_id = add_campaign(database, "autumn")
    for digits in ("".join(chr(0x660 + int(digit)) for digit in str(batch_id)), f"+{batch_id}", f" {batch_id}"):
        assert client.post(f"/api/v1/batches/{digits}/cancel").status_code == 404, digits
        assert client.get(f"/api/v1/batches/{digits}/status").status_code == 404, digits
    assert client.get(f"/api/v1/batches/{batch_id}/status").json()["batch_id"] == "autumn"


@only_sqlite
def test_an_account_that_is_not_there_is_named(client, database):
    refused = client.post("/api/v1/batches", json={"account_id": "acc-typo", "name": "N"})
    assert (refused.status_code, refused.json()["detail"]) == (404, "there is no account acc-typo")
    assert find_all(database, tables.campaigns) == []


# --- where a batch stands ------------------------------------------------------------------------


def test_jobs_are_told_in_the_words_of_the_contract(client, database, account):
    batch = fill_batch(database, account)

    status = client.get(f"/api/v1/batches/{batch}/status").json()
    jobs = client.get(f"/api/v1/batches/{batch}/jobs").json()
    summary = client.get(f"/api/v1/batches/{batch}/summary").json()

    assert status == {
        "batch_id": batch, "is_active": True, "total_jobs": 6, "pending_jobs": 1, "completed_jobs": 1, "failed_jobs": 2,
        "suspended_jobs": 2, "total_cost": 0.0, "costs": [], "total_minutes": 0.0, "progress_percentage": 50.0,
        "started_at": "2026-11-20T15:00:00Z", "completed_at": None, "counted_at": "2026-11-20T15:00:00Z",
    }
    assert [one["status"] for one in jobs["jobs"]] == [
        "pending", "suspended", "suspended", "completed", "failed", "failed",
    ]
    assert jobs["total"] == 6
    assert len(client.get(f"/api/v1/batches/{batch}/jobs?status=failed&skip=1").json()["jobs"]) == 1
    assert (summary["completion_rate"], summary["success_rate"]) == (50.0, 33.33)
    assert summary["hours"]["open_now"] is True and summary["hours"]["zone"] == "America/Santiago"


@pytest.mark.counts_kept
def test_a_poll_is_small_is_one_statement_and_costs_a_header_when_nothing_changed(client, runtime, database, account):
    batch = fill_batch(database, account, code="b" * 64)
    sql(database, "UPDATE campaigns SET completed_at = started_at")
    path = f"/api/v1/batches/{batch}/status"
    overview = "/api/v1/dashboard/overview"
    for one in (path, overview):
        client.get(one)  # counted
    statements: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda *of: is_request() and statements.append(of[2]))

    first = client.get(path)
    again = client.get(path, headers={"If-None-Match": first.headers["etag"]})
    overviews = client.get(overview), client.get(f"{overview}?account_id={ACCOUNT}")

    assert len(first.content) < 600 and list(first.json()) == STATUS_FIELDS
    assert (again.status_code, again.content) == (304, b"")
    asked = [one for one in statements if one.startswith("SELECT") and "api_keys" not in one]  # beside who is asking
    assert len(asked) == 2 * 1 + len(overviews) * 2
    add_lead(database, campaign_id=find(database, tables.campaigns, code=batch).id)
    runtime.counts.note_change()
    assert client.get(path, headers={"If-None-Match": first.headers["etag"]}).status_code == 200


def test_the_overview_counts_an_account_or_everything(client, database, account, clock):
    fill_batch(database, account)
    sql(database, "UPDATE leads SET created_at = :at", at=clock.now() - timedelta(days=2))
    other = add_campaign(database, "other", status="paused")
    add_due_lead(database, campaign_id=other, created_at=clock.now())

    everything = client.get("/api/v1/dashboard/overview").json()
    own = client.get(f"/api/v1/dashboard/overview?account_id={ACCOUNT}").json()

    assert list(own) == ["success", "timestamp", "counted_at", "account", "metrics", "detailed_stats"]
    assert own["account"] == {
        "account_id": ACCOUNT, "name": "Cliente", "status": "active", "balance": 5000.0, "billing_type": "credits",
        "unit": "credits",
    }
    assert own["metrics"] == {
        "jobs_today": 0, "success_rate_percentage": 33.33, "active_batches": 1, "pending_jobs": 1,
    }
    assert own["detailed_stats"] == {
        "jobs": {"today": 0, "pending": 1, "completed": 1, "failed": 2, "total_finished": 3},
        "batches": {"active_count": 1, "total_jobs": 6, "total_cost": 0.0, "costs": [], "total_minutes": 0.0},
    }
    assert everything["account"] is None and everything["metrics"]["jobs_today"] == 1
    assert everything["metrics"]["pending_jobs"] == 2
    assert client.get("/api/v1/dashboard/overview?account_id=nobody").status_code == 404


# --- pausing, resuming, cancelling ---------------------------------------------------------------


@pytest.mark.parametrize("base", ["/api/v1", "/api"])
@pytest.mark.parametrize("method", ["POST", "PUT"])
@only_sqlite
def test_a_batch_is_paused_and_resumed_at_either_address_and_twice_is_no_error(client, database, base, method):
    add_campaign(database, "autumn")
    for name, message, again in (
        ("pause", "Batch paused", "Batch is paused already"), ("resume", "Batch resumed", "Batch is active already"),
    ):
        path = f"{base}/batches/autumn/{name}"
        assert client.request(method, path, params={"reason": "pausa <b>"}).json() == {
            "success": True, "message": message, "reason": "pausa <b>",
        }
        second = client.request(method, path)
        assert (second.status_code, second.json()["message"]) == (200, again)
    (event_,) = events_of(database, "campaign_paused")
    assert (event_.actor, event_.reason) == ("open", "pausa <b>")


def test_a_cancelled_batch_is_over(client, database):
    lead_id = add_due_lead(database, campaign_id=add_campaign(database, "autumn"))

    assert client.post("/api/v1/batches/autumn/cancel").json()["success"] is True
    again = client.post("/api/v1/batches/autumn/cancel?reason=other")
    resumed = client.post("/api/v1/batches/autumn/resume")

    assert again.json() == {
        "success": True, "message": "Batch is cancelled already", "reason": "cancelled through the batch interface",
    }
    assert (resumed.status_code, client.post("/api/v1/batches/autumn/pause").status_code) == (409, 409)
    assert find(database, tables.leads, id=lead_id).closed_reason == "campaign_cancelled"
    assert client.post("/api/v1/batches/autumn/cancel", params={"reason": "x" * 501}).status_code == 422


@only_sqlite
def test_a_batch_is_changed_all_of_it_or_nothing(client, database):
    add_campaign(database, "autumn")

    done = client.patch("/api/v1/batches/autumn", json={"is_active": False, "name": "Otoño", "priority": 2})
    refused = client.patch("/api/v1/batches/autumn", json={"is_active": True, "call_settings": {"max_attempts": -1}})

    assert done.json() == {
        "success": True, "message": "Batch paused", "batch_id": "autumn",
        "updated_fields": ["is_active", "name", "priority"],
    }
    assert refused.status_code == 422
    row = find(database, tables.campaigns, code="autumn")
    assert (row.status, row.name, row.priority) == ("paused", "Otoño", 2)
    for body in ({"is_active": "no"}, {"colour": 1}, {"name": " "}):
        assert client.patch("/api/v1/batches/autumn", json=body).status_code == 422
    assert client.patch("/api/v1/batches/autumn", json={}).json()["updated_fields"] == []


# --- files ---------------------------------------------------------------------------------------


def test_acquisition_makes_one_job_of_a_person_and_basic_one_of_each_row(client, database, uploads_folder):
    rows = "nombre,telefono,RUT,monto\nAna,+56911111111,12.345.678-5,$ 12.500\nAna,+56933333333,12345678-5,500\n"
    sent = {"account_id": ACCOUNT, "dias_fecha_maxima": "45"}

    grouped = send(client, rows, **sent, processing_type="acquisition").json()
    single = send(client, rows, **sent, allow_duplicates="true").json()

    assert (grouped["total_rows"], grouped["total_jobs"], grouped["verdicts"]) == (2, 1, {"good": 1, "merged": 1})
    assert grouped["stats"]["merged"] == 1 and grouped["duplicates_found"] == 0
    assert (single["processing_type"], single["total_jobs"]) == ("basic", 2)
    (job,) = client.get(f"/api/v1/batches/{grouped['batch_id']}/jobs").json()["jobs"]
    assert job["contact"] == {"name": "Ana", "phones": ["+56911111111", "+56933333333"]}
    assert job["payload"] == {
        "RUT": "12.345.678-5", "monto": "13000", "cantidad": "2", "fecha_maxima": "2027-01-04",
    }
    assert find(database, tables.campaigns, code=grouped["batch_id"]).status == "active"


def test_numbers_of_other_batches_of_the_account_are_left_out_unless_they_are_allowed(client, database, runtime):
    create_account("Other", code="other", runtime=runtime)
    rows = f"telefono\n{chilean()}\n{chilean()}\n"
    assert send(client, rows, account_id=ACCOUNT).json()["total_jobs"] == 2

    another = send(client, rows, account_id="other").json()
    refused = send(client, rows, account_id=ACCOUNT)
    partly = send(client, f"{rows}{chilean()}\n", account_id=ACCOUNT).json()
    allowed = send(client, rows, account_id=ACCOUNT, allow_duplicates="true").json()

    assert (another["total_jobs"], another["stats"]["known_elsewhere"]) == (2, 0)
    assert refused.status_code == 409 and "allow_duplicates=true" in refused.json()["detail"]
    assert partly["verdicts"] == {"duplicate_in_installation": 2, "good": 1} and partly["duplicates_found"] == 2
    assert (allowed["total_jobs"], allowed["stats"]["known_elsewhere"]) == (2, 2)
    assert len(find_all(database, tables.campaigns)) == 4


@only_sqlite
def test_a_file_that_is_sent_again_under_its_key_makes_one_batch(client, database):
    keyed = {"Idempotency-Key": "lista-1"}
    content = f"telefono\n{chilean()}\n".encode()
    first, again, other = (
        client.post(CREATE, files={"file": ("l.csv", rows)}, data={"account_id": ACCOUNT}, headers=keyed)
        for rows in (content, content, content + b"\n")
    )
    assert (first.status_code, again.status_code, other.status_code) == (200, 200, 422)
    assert again.json() == first.json() and again.headers["idempotency-replayed"] == "true"
    assert len(find_all(database, tables.campaigns)) == 1


@only_sqlite
def test_days_to_the_last_date_count_for_rows_that_name_another(client, database):
    rows = f"telefono,fecha_limite\n{chilean()},2020-01-01\n{chilean()},\n"
    assert send(client, rows, account_id=ACCOUNT, dias_fecha_limite="30").json()["total_jobs"] == 2
    leads = find_all(database, tables.leads)
    assert [str(one.fecha_limite) for one in leads] == ["2026-12-20", "2026-12-20"]
    assert [one.variables["fecha_limite"] for one in leads] == ["2020-01-01", ""]


@only_sqlite
def test_settings_come_as_a_field_or_in_the_address_but_not_two_of_them(client, database):
    inside, outside = '{"max_attempts": 4}', '{"max_attempts":4}'
    for form, query in ((inside, None), (None, inside), (inside, outside)):
        made = send(client, account_id=ACCOUNT, query=query, **({"call_settings_json": form} if form else {}))
        assert client.get(f"/api/v1/batches/{made.json()['batch_id']}").json()["call_settings"] == {"max_attempts": 4}
    assert send(client, account_id=ACCOUNT, call_settings_json=inside, query='{"max_attempts": 5}').status_code == 422
    assert send(client, account_id=ACCOUNT, query=['{"max_attempts": 5}', inside]).status_code == 422
    assert len(find_all(database, tables.campaigns)) == 3


REFUSED: list[tuple[str | None, dict[str, str], int, str]] = [
    (None, {"sheet": "x"}, 409, "so it has no sheets"), (None, {"map": "phone"}, 409, "write FIELD=HEADER"),
    (None, {"call_settings_json": "not json"}, 422, "call_settings_json: 'not json' cannot be used; it is not JSON"),
    (None, {"call_settings_json": '{"max_attempts": "5"}'}, 422, "max_attempts"),
    (None, {"call_settings_json": "[" * 100_000}, 422, "nested too deep"),
    (None, {"call_settings_json": "[1]"}, 422, "must be a JSON object"),
    (None, {"call_settings_json": '{"max_attempts": NaN}'}, 422, "it is not JSON"),
    (None, {"call_settings_json": '{"a": 1, "a": 2}'}, 422, "it is not JSON"),
    (None, {"call_settings_json": '{"timezone": "Mars/Base"}'}, 422, "Mars/Base"),
    (None, {"call_settings_json": '{"timezone": "\\ud800"}'}, 422, "it is not JSON"),
    (None, {"processing_type": "both"}, 422, "write basic or acquisition"),
    (None, {"dias_fecha_limite": "-1"}, 422, "write a whole number from 0 to 3650"),
    (None, {"dias_fecha_limite": "thirty"}, 422, "write a whole number from 0 to 3650"),
    (None, {"dias_fecha_limite": "9" * 5000}, 422, "write a whole number from 0 to 3650"),
    (None, {"allow_duplicates": "perhaps"}, 422, "write true or false"),
    (None, {"dias_fecha_limit": "30"}, 422, "there is no such field"),
    (None, {"account_id": "nobody"}, 404, "there is no account nobody"),
    (None, {"account_id": ""}, 422, "name the account"),
    (None, {"batch_name": "x" * 256}, 422, "at most 255 characters"),
    (None, {"batch_name": "zero\0byte"}, 422, "it holds a zero byte"),
    (None, {"batch_description": "x" * (256 * 1024 + 1)}, 413, "256 KiB"),
    (None, {"default_country": "XX"}, 422, "two ISO letters"),
    (None, {"encoding": "klingon"}, 422, "klingon"),
    ("nombre\nAna\n", {}, 409, "a column telefono"),
    ("telefono\n12\n", {}, 409, "none of its 1 rows can be used; line 2, telefono '12': it has too few digits"),
    ("telefono\n", {}, 409, "it has a header and no rows"),
    ("", {}, 409, "lista.csv is empty"),
    ("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "x" * 600, {}, 409, "save it as .xlsx or CSV"),
    ("PK\x03\x04 broken", {}, 409, "cannot be used"),
    ("telefono\n+56911111111\nñ", {"encoding": "utf-8"}, 409, "is not utf-8"),
]  # fmt: skip


@only_sqlite
def test_a_file_that_is_refused_leaves_nothing(client, database, uploads_folder):
    before = len(find_all(database, tables.events))
    for rows, fields, status, says in REFUSED:
        content = (rows if rows is not None else f"telefono\n{chilean()}\n").encode("latin-1")

        refused = client.post(CREATE, files={"file": ("lista.csv", content)}, data={"account_id": ACCOUNT, **fields})

        assert refused.status_code == status, (rows, fields, refused.text)
        assert refused.headers["content-type"] == "application/problem+json"
        assert says in refused.json()["detail"] and str(uploads_folder) not in refused.text, (rows, fields)
    assert find_all(database, tables.campaigns) + find_all(database, tables.leads) == []
    assert find_all(database, tables.imports) == [] and len(find_all(database, tables.events)) == before


BOUND = "multipart/form-data; boundary=cut"
END = b"--cut--\r\n"
PART = b'--cut\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
FILE_PART = PART % (b"file", b'; filename="a.csv"', b"telefono\n+56911111111\n")
ACCOUNT_PART = PART % (b"account_id", b"", ACCOUNT.encode())


NO_UPLOADS = [
    ("application/json", b"{}", 415), ("", b"x", 415), ("text/csv", b"telefono\n", 415),
    ("multipart/form-data", b"x", 400), ("multipart/form-data; boundary=", b"x", 400), (BOUND, b"", 400),
    (BOUND, b"--cut", 400), (BOUND, b"no boundary at all", 400), (BOUND, FILE_PART + ACCOUNT_PART, 400),
    (BOUND, ACCOUNT_PART + FILE_PART + b"--cut\r\n", 400),
    (BOUND, b"--cut\r\nContent-Disposition: form-data\r\n\r\nx\r\n--cut--\r\n", 400),
    (BOUND, b"--cut\r\n" + b"X-Long: " + b"y" * 70_000 + b"\r\n\r\nx\r\n--cut--\r\n", 400),
    (BOUND, FILE_PART + END, 422),
    (BOUND, ACCOUNT_PART + END, 422),
    (BOUND, PART % (b"file", b"", b"telefono") + ACCOUNT_PART + END, 422),
    (BOUND, PART % (b"file", b'; filename=""', b"") + ACCOUNT_PART + END, 422),
    (BOUND, FILE_PART + FILE_PART + ACCOUNT_PART + END, 422),
    (BOUND, FILE_PART + PART % (b"account_id", b'; filename="x"', b"a") + END, 422),
    (BOUND, FILE_PART + ACCOUNT_PART + ACCOUNT_PART + END, 422),
    (BOUND, FILE_PART + PART % (b"map", b"", b"phone=x") * 2000 + END, 413),
]  # fmt: skip


@only_sqlite
def test_a_body_that_is_no_upload_is_told_so(client, database, uploads_folder):
    for kind, body, status in NO_UPLOADS:
        answer = client.post(CREATE, content=body, headers={"Content-Type": kind} if kind else {})
        assert answer.status_code == status, (kind, body[:200], answer.text)
        assert find_all(database, tables.campaigns) == []
    odd = client.post(CREATE, content=FILE_PART + ACCOUNT_PART + END, headers={"Content-Type": f"{BOUND}; charset=no"})
    assert odd.status_code == 200  # a charset that nobody knows harms nobody


@only_sqlite
def test_a_body_that_is_too_large_is_refused_before_it_is_sent(served, uploads_folder):
    where = urlsplit(served)
    with socket.create_connection((where.hostname or "", where.port or 0), timeout=BACKSTOP) as raw:
        raw.sendall(
            f"POST {CREATE} HTTP/1.1\r\nHost: {where.netloc}\r\nContent-Type: {BOUND}\r\n"
            f"Content-Length: {65 * 2**20}\r\nExpect: 100-continue\r\n\r\n".encode()
        )
        assert raw.recv(64).startswith(b"HTTP/1.1 413 ")


@only_sqlite
def test_the_name_of_a_file_is_a_label_and_never_a_place(client, database, uploads_folder):
    for name, label in (
        ("../../etc/passwd", "passwd"), ("C:\\leads\\lista.csv", "lista.csv"), ("<b>x</b>.csv", "b>.csv"),
        ("x" * 300 + ".csv", f"{'x' * 88}…{'x' * 7}.csv"), ("..", "file"), ("=cmd.csv", "=cmd.csv"),
    ):  # fmt: skip
        send(client, account_id=ACCOUNT, name=name)
        assert find(database, tables.imports).file_name == label


@only_sqlite
def test_what_cuts_an_import_leaves_a_paused_batch_that_the_same_file_completes(served, database, uploads_folder):
    """A bug or a full disk: nobody is called from half a file, and a person understands what is there."""
    numbers = [f"+5622{n:07d}" for n in range(2000, 4001)]
    rows = "nombre,telefono\n" + "\n".join(f"P,{one}" for one in numbers[:-1]) + f"\nboom,{numbers[-1]}\n"
    sql(database, "CREATE TRIGGER cut BEFORE INSERT ON leads WHEN NEW.nombre = 'boom' "
                  "BEGIN SELECT RAISE(ABORT, 'disk'); END")  # fmt: skip

    with httpx.Client(base_url=served, **PLAIN) as client:
        cut = send(client, rows, account_id=ACCOUNT)
    batch = find(database, tables.campaigns)
    sql(database, "DROP TRIGGER cut")
    with httpx.Client(base_url=f"{served}/api/v1/batches/{batch.id}", **PLAIN) as client:
        completed = client.post("/upload", files={"file": ("lista.csv", rows.encode())}).json()
        resumed = client.post("/resume")
        status = client.get("/status").json()

    assert cut.status_code >= 500
    assert (batch.status, batch.status_reason) == ("paused", "its leads are being imported from lista.csv")
    assert completed["jobs_added"] == 1 and completed["verdicts"] == {"duplicate_in_campaign": 2000, "good": 1}
    assert resumed.status_code == 200
    assert (status["is_active"], status["total_jobs"]) == (True, 2001)


@only_sqlite
def test_a_batch_is_made_while_everything_is_paused(client, database):
    set_config(database, paused="yes")
    made = send(client, account_id=ACCOUNT).json()
    assert find(database, tables.campaigns, code=made["batch_id"]).status == "active"


def test_a_preview_says_what_would_be_made_and_makes_nothing(client, database, uploads_folder):
    add_lead(database, "+56911111111")  # of no campaign: no batch has it
    rows = b"telefono\n+56911111111\n+56911111111\n12\n"
    for where in ({"data": {"account_id": ACCOUNT}}, {"params": {"account_id": ACCOUNT}}):
        answer = client.post("/api/v1/batches/excel/preview", files={"file": ("l.csv", rows)}, **where).json()
        assert (answer["filename"], answer["preview"]["verdicts"]) == (
            "l.csv", {"good": 1, "duplicate_in_file": 1, "bad": 1}
        )  # fmt: skip
    assert find_all(database, tables.campaigns) + find_all(database, tables.imports) == []


@only_sqlite
def test_a_batch_tells_what_was_assumed_of_its_file_and_takes_it_otherwise(client, database, uploads_folder):
    people = f"telefono;fecha_limite\n{chilean()};03/04/2030\n"
    file = {"files": {"file": ("l.csv", people.encode())}, "data": {"account_id": ACCOUNT}}
    shown = client.post("/api/v1/batches/excel/preview", **file).json()["preview"]
    assert {one["what"] for one in shown["assumptions"]} == {"delimiter", "header_row", "date_order"}
    made = send(client, people, account_id=ACCOUNT, date_order="month_first", delimiter="semicolon").json()
    assert {one["what"] for one in made["assumptions"]} == {"header_row"}
    more = people.replace(people.splitlines()[1], f"{chilean()};03/04/2030")
    added = client.post(
        f"/api/v1/batches/{made['batch_id']}/upload", files={"file": ("m.csv", more.encode())},
        data={"header_row": "1", "delimiter": ";"},
    ).json()  # fmt: skip
    assert (added["jobs_added"], {one["what"] for one in added["assumptions"]}) == (1, {"date_order"})


# --- who may --------------------------------------------------------------------------------------


@only_sqlite
def test_a_key_of_one_account_finds_nothing_of_others(served, runtime, database, account):
    create_account("Other", code="other", runtime=runtime)
    add_campaign(database, "theirs", account_id=find(database, tables.accounts, code="other").id)
    add_campaign(database, "ours", account_id=account)
    key = access.create_key("front", scope="operate", account=ACCOUNT, runtime=runtime).token
    with httpx.Client(base_url=served, headers={"Authorization": f"Bearer {key}"}, **PLAIN) as client:
        for path in ("", "/status", "/summary", "/jobs"):
            assert client.get(f"/api/v1/batches/theirs{path}").status_code == 404
            assert client.get(f"/api/v1/batches/ours{path}").status_code == 200
        for name in ("pause", "resume", "cancel"):
            assert client.post(f"/api/v1/batches/theirs/{name}").status_code == 404
            assert client.post(f"/api/batches/theirs/{name}").status_code == 404
        assert client.patch("/api/v1/batches/theirs", json={"name": "mine"}).status_code == 404
        assert client.post("/api/v1/batches", json={"account_id": "other", "name": "N"}).status_code == 404
        assert send(client, account_id="other").status_code == 404
        added = client.post("/api/v1/batches/theirs/upload", files={"file": ("l.csv", b"telefono\n1")})
        assert added.status_code == 404
        assert client.get("/api/v1/dashboard/overview?account_id=other").status_code == 404
        assert client.get("/api/v1/batches?account_id=other").status_code == 404
        assert [one["batch_id"] for one in client.get("/api/v1/batches").json()["batches"]] == ["ours"]
        assert client.get("/api/v1/dashboard/overview").json()["metrics"]["active_batches"] == 1
    assert find(database, tables.campaigns, code="theirs").status == "active"
    assert len(find_all(database, tables.campaigns)) == 2


@only_sqlite
def test_an_upload_without_the_right_to_it_is_refused(served, runtime, uploads_folder):
    key = access.create_key("watch", scope="read", runtime=runtime).token
    with httpx.Client(base_url=served, **PLAIN) as client:
        assert send(client, account_id=ACCOUNT).status_code == 401
        client.headers["Authorization"] = f"Bearer {key}"
        assert send(client, account_id=ACCOUNT).status_code == 403


# --- helpers --------------------------------------------------------------------------------------


def fill_batch(database: Any, account_id: int, *, code: str = "autumn") -> str:
    """A batch with a job in every state: pending, suspended, without money, reached, and two that failed."""
    campaign_id = add_campaign(
        database, code, account_id=account_id, started_at=NOON, call_settings={"timezone": "America/Santiago"}
    )
    add_due_lead(database, campaign_id=campaign_id, at=NOON + timedelta(hours=1))
    add_lead(database, campaign_id=campaign_id, lead_status="suspended")
    add_due_lead(database, campaign_id=campaign_id)
    sql(database, "UPDATE accounts SET reserve_per_call = balance + 1 WHERE id = :id", id=account_id)
    for reason in ("completed", "exhausted", "closed by hand"):
        add_lead(database, campaign_id=campaign_id, lead_status="closed", closed_reason=reason, closed_at=NOON)
    return code


def send(
    client: httpx.Client, rows: str | None = None, *, query: str | list[str] | None = None, name: str = "lista.csv",
    **fields: str,
) -> httpx.Response:
    content = (rows if rows is not None else f"telefono\n{chilean()}\n").encode()
    params = {} if query is None else {"call_settings_json": query}
    return client.post(CREATE, files={"file": (name, content)}, data=fields, params=params)


def is_request() -> bool:
    """Is this one of the threads that serve requests, and none that works beside them?"""
    return threading.current_thread().name.startswith("AnyIO")


def write_book(path: Path, rows: list[tuple[Any, ...]]) -> None:
    book = Workbook()
    for row in rows:
        book.active.append(row)
    book.save(path)


def curl(*arguments: str) -> Any:
    command = ["curl", "-sS", "--fail-with-body", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=BACKSTOP)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)
