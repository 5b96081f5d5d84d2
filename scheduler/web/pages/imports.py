"""Pages: a file of leads sent, looked through first, imported in the background, and taken back.

What must stay true: a file is kept between the look and the import only, for a while, for the one who sent it;
nothing is added before somebody has seen what would be. A newcomer would let people send the same file twice.
"""

from __future__ import annotations

import csv
import io
import json
import secrets
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import RedirectResponse

from scheduler.clock import boottime
from scheduler.errors import Conflict, InvalidValue, NotFound, RingbackError
from scheduler.model import Campaign
from scheduler.rules.cells import neutralise
from scheduler.rules.rows import Verdict, in_order
from scheduler.service import control
from scheduler.service import imports as service
from scheduler.service.import_jobs import ImportJobs
from scheduler.service.imports import ImportReport, Manner
from scheduler.service.refusals import record_export
from scheduler.service.runtime import Runtime
from scheduler.store import imports as store
from scheduler.store import timeline
from scheduler.store.database import Connection
from scheduler.store.leads import LeadFilter
from scheduler.web.access import Caller, Operator, Reader, RuntimeOf
from scheduler.web.pages.base import FormOf, field_errors, redirect, render
from scheduler.web.pages.leads import BULK_PATIENCE, bulk_jobs
from scheduler.web.reach import require_campaign
from scheduler.web.replies import read_cursor, write_cursor
from scheduler.web.uploads import Upload, uploads

router = APIRouter()

PAGE = 50
KEPT_SECONDS = 1800.0
MOST_KEPT = 20
"""Files that wait for their import. The oldest makes room for a new one."""
READING = (
    "encoding", "delimiter", "sheet", "header_row", "hidden_rows", "date_order", "decimal_mark", "joined_numbers",
    "columns",
)  # fmt: skip
"""How the file is to be read; what is left open is recognised."""
FIELDS = (
    "csrf_token", "campaign", "new_campaign", "country", "deadline", "skip_known", "per_person", *READING,
)  # fmt: skip
ImportId = Annotated[int, Path(ge=1, lt=2**63)]
Token = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{20,64}$")]


@dataclass(frozen=True)
class Waiting:
    """A file that was looked through and may be imported."""

    upload: Upload
    options: Mapping[str, Any]
    manner: Manner
    new_campaign: str | None
    campaign: str | None
    actor: str
    kept_at: float
    report: ImportReport
    given: Mapping[str, str]
    """What the form said of how to read it."""


class Shelf:
    """The files that wait, of one process. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: OrderedDict[str, Waiting] = OrderedDict()

    def put(self, one: Waiting) -> str:
        token = secrets.token_urlsafe(24)
        with self._lock:
            self._waiting[token] = one
            late = [key for key, kept in self._waiting.items() if boottime() - kept.kept_at > KEPT_SECONDS]
            late += list(self._waiting)[: max(0, len(self._waiting) - MOST_KEPT)]
            gone = [self._waiting.pop(key) for key in dict.fromkeys(late)]
        for kept in gone:
            kept.upload.remove()
        return token

    def find(self, token: str, actor: str) -> Waiting | None:
        with self._lock:
            found = self._waiting.get(token)
        return found if found is not None and found.actor == actor else None

    def take(self, token: str, actor: str) -> Waiting | None:
        """It is the caller's from now on, to be removed by them."""
        with self._lock:
            found = self._waiting.get(token)
            return self._waiting.pop(token) if found is not None and found.actor == actor else None

    def give_back(self, token: str, one: Waiting) -> None:
        with self._lock:
            self._waiting[token] = one

    def clear(self) -> None:
        with self._lock:
            gone = list(self._waiting.values())
            self._waiting.clear()
        for kept in gone:
            kept.upload.remove()


def shelf_of(request: Request) -> Shelf:
    """Of this process."""
    found: Shelf = request.app.state.shelf
    return found


def jobs_of(request: Request) -> ImportJobs:
    """Of this process; the other interfaces use the same."""
    found: ImportJobs = request.app.state.import_jobs
    return found


# --- the list and the file ------------------------------------------------------------------------


@router.get("/imports")
def imports_page(
    request: Request, runtime: RuntimeOf, caller: Reader, campaign: Annotated[str, Query(max_length=100)] = "",
    cursor: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """Send a file, and every import so far, newest first."""
    return _show_list(request, runtime, caller, campaign=campaign, cursor=cursor)


def _show_list(
    request: Request, runtime: Runtime, caller: Caller, *, campaign: str = "", cursor: str = "", given: Any = None,
    errors: Mapping[str, str] | None = None,
) -> Response:
    place = read_cursor(cursor or None, int)

    def read(connection: Connection) -> tuple[Campaign | None, list[dict[str, Any]], list[dict[str, Any]]]:
        found = require_campaign(connection, caller, campaign.strip()) if campaign.strip() else None
        rows = store.list_imports(
            connection, campaign_id=found.id if found else None, account_id=caller.account_id,
            before=place[0] if place else None, limit=PAGE + 1,
        )
        return found, rows, timeline.list_choices(connection) if caller.account_id is None else []

    found, rows, choices = runtime.database.read(read)
    following = None
    if len(rows) > PAGE:
        more = {"campaign": campaign} if campaign else {}
        following = "/imports?" + "&".join(
            f"{name}={value}" for name, value in {**more, "cursor": write_cursor(rows[PAGE - 1]["id"])}.items()
        )
    return render(
        request, "imports.html", status=422 if errors else 200, campaign=found, rows=rows[:PAGE], choices=choices,
        given=given or {"campaign": campaign, "country": runtime.settings.default_country}, errors=errors or {},
        following=following, has_cursor=bool(cursor),
    )


SentFile = Annotated[Upload, Depends(uploads(*FIELDS))]


@router.post("/imports")
def look_through(
    request: Request, runtime: RuntimeOf, caller: Operator, sent: SentFile,
) -> Response:
    """Look through a file and say what would be imported. Nothing is added yet."""
    try:
        waiting = _judge(runtime, caller, sent)
    except RingbackError as error:
        errors = {one.field if one.field in ("file", *FIELDS) else "": one.reason for one in field_errors(error)}
        if "" in errors:
            errors[""] = str(error)
        return _show_list(request, runtime, caller, given=dict(sent.fields), errors=errors)
    sent.keep()
    token = shelf_of(request).put(waiting)
    return RedirectResponse(f"/imports/look/{token}", status_code=303)


def _judge(runtime: Runtime, caller: Caller, sent: Upload) -> Waiting:
    campaign, new = sent.text("campaign", most=100), sent.text("new_campaign", most=255)
    if campaign and new:
        raise InvalidValue("new_campaign", new[:40], "choose a campaign or name a new one, not both")
    if caller.account_id is not None and campaign is None:
        raise InvalidValue("campaign", "", "choose a campaign; a key of one account fills its campaigns alone")
    if campaign is not None:
        runtime.database.read(lambda connection: require_campaign(connection, caller, campaign))
    options: dict[str, Any] = {
        "default_country": (sent.text("country", most=2) or runtime.settings.default_country).upper(),
        "deadline": _date(sent.text("deadline", most=40)),
        "skip_known": sent.flag("skip_known"),
        **_reading({name: sent.text(name, most=5000) for name in READING}),
    }
    manner = Manner(
        file_name=sent.name, per_person=sent.flag("per_person"), account_id=caller.account_id, keeps_rejects=True,
    )
    given = {name: sent.fields.get(name, "") for name in READING}
    report = _look(runtime, sent, campaign, new, options, manner)
    return Waiting(sent, options, manner, new, campaign, caller.actor, boottime(), report, given)


def _look(
    runtime: Runtime, sent: Upload, campaign: str | None, new: str | None, options: Mapping[str, Any], manner: Manner
) -> ImportReport:
    return service.import_leads(
        sent.path, campaign=campaign, dry_run=True, runtime=runtime, **options,
        manner=replace(manner, keeps_rejects=False, is_new=new is not None),
    )


def _reading(given: Mapping[str, str | None]) -> dict[str, Any]:
    """The options of `import_leads` that say how a file is to be read. Raises InvalidValue."""
    row = given["header_row"]
    if row is not None and not (row.isascii() and row.isdigit() and len(row) < 5):
        raise InvalidValue("header_row", row[:40], "write the number of a row, such as 3")
    words = {name: given[name] for name in (*service.READINGS, "encoding", "delimiter", "sheet")}
    lines = (given["columns"] or "").splitlines()
    return {
        **words, "header_row": None if row is None else int(row),
        "column_map": tuple(line.strip() for line in lines if line.strip()),
    }


def _date(text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidValue("deadline", text[:40], "write a date like 2027-03-01") from None


@router.get("/imports/look/{token}")
def look_page(request: Request, caller: Operator, token: Token) -> Response:
    """What the import of a file would add, and what it would leave out."""
    waiting = shelf_of(request).find(token, caller.actor)
    if waiting is None:
        return render(request, "import_gone.html", status=404)
    return render(request, "import_look.html", waiting=waiting, report=waiting.report, token=token, verdicts=Verdict)


@router.post("/imports/look/{token}")
def begin(request: Request, runtime: RuntimeOf, caller: Operator, form: FormOf, token: Token) -> Response:
    """Import the file that was looked through, or throw it away."""
    waiting = shelf_of(request).take(token, caller.actor)
    if waiting is None:
        return render(request, "import_gone.html", status=404)
    if form.get("what") == "discard":
        waiting.upload.remove()
        return redirect(request, "/imports", "The file was thrown away. Nothing was imported.")
    if form.get("what") == "again":
        return _look_again(request, runtime, token, waiting, form)
    code = waiting.campaign
    try:
        if waiting.new_campaign is not None:
            code = control.create_campaign(
                waiting.new_campaign, paused=bool(form.get("paused")), runtime=runtime,
            )
        import_id = jobs_of(request).start(
            waiting.upload.path, manner=waiting.manner, on_end=waiting.upload.remove, campaign=code, **waiting.options,
        )
    except RingbackError as error:
        # A campaign that was made for it is there already, and must not be made again.
        kept = replace(waiting, new_campaign=None, campaign=code) if code != waiting.campaign else waiting
        shelf_of(request).give_back(token, kept)
        return redirect(request, f"/imports/look/{token}", str(error), kind="error")
    return redirect(request, f"/imports/{import_id}")


def _look_again(request: Request, runtime: Runtime, token: str, waiting: Waiting, form: Mapping[str, str]) -> Response:
    """Read the same file otherwise."""
    given = {name: form.get(name, "").strip() for name in READING}
    to = f"/imports/look/{token}"
    try:
        options = {**waiting.options, **_reading({name: text or None for name, text in given.items()})}
        report = _look(runtime, waiting.upload, waiting.campaign, waiting.new_campaign, options, waiting.manner)
    except RingbackError as error:
        return redirect(request, to, str(error), kind="error")
    else:
        waiting = replace(waiting, options=options, report=report, given=given)
        return redirect(request, to)
    finally:
        shelf_of(request).give_back(token, waiting)


# --- one import -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Details:
    """`imports.details` as far as it can be read."""

    verdicts: Mapping[str, int] = field(default_factory=dict)
    first_rejects: list[Mapping[str, Any]] = field(default_factory=list)
    progress: float | None = None
    error: str | None = None
    kept: int = 0
    left_out: int = 0
    known_elsewhere: int = 0
    assumptions: list[Mapping[str, Any]] = field(default_factory=list)


@router.get("/imports/{import_id}")
def import_page(request: Request, runtime: RuntimeOf, caller: Reader, import_id: ImportId) -> Response:
    """How far an import is, or what became of it, with its first rejects."""
    row = runtime.database.read(lambda connection: _find(connection, caller, import_id))
    details = read_details(row["details"])
    return render(request, "import.html", row=row, details=details, is_running=row["status"] == "running")


@router.get("/imports/{import_id}/rejects.csv")
def rejects(runtime: RuntimeOf, caller: Reader, import_id: ImportId) -> Response:
    """The rows that were left out, to be mended and imported again."""
    def read(connection: Connection) -> tuple[dict[str, Any], store.KeptRejects | None]:
        return _find(connection, caller, import_id), store.find_rejects(connection, import_id)

    row, kept = runtime.database.read(read)
    if kept is None:
        raise Conflict(f"import {row['id']} has no rejects that were kept")
    text = io.StringIO()
    writer = csv.writer(text)
    for cells in (kept.header, *kept.rows):
        writer.writerow([neutralise(cell) for cell in cells])
    record_export("rows of a file that were left out", asked=f"import {import_id}", runtime=runtime)
    headers = {"Content-Disposition": f'attachment; filename="rejects-{import_id}.csv"', "Cache-Control": "no-store"}
    return Response("\ufeff" + text.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)


@router.get("/imports/{import_id}/undo")
def ask_undo(request: Request, runtime: RuntimeOf, caller: Operator, import_id: ImportId) -> Response:
    """What taking an import back would do."""
    row = runtime.database.read(lambda connection: _find(connection, caller, import_id))
    try:
        report = service.undo_import(import_id, dry_run=True, runtime=runtime)
    except Conflict as error:
        return redirect(request, f"/imports/{import_id}", str(error), kind="error")
    return render(request, "import_undo.html", row=row, report=report)


@router.post("/imports/{import_id}/undo")
def undo(request: Request, runtime: RuntimeOf, caller: Operator, form: FormOf, import_id: ImportId) -> Response:
    """Take it back, in the background where that takes long."""
    row = runtime.database.read(lambda connection: _find(connection, caller, import_id))
    expected = form.get("expected", "")

    def take_back(wanted: LeadFilter, move: control.Progress) -> control.Bulk:
        report = service.undo_import(import_id, runtime=runtime)
        left = {"called, or being called at this moment": report.stay}
        return control.Bulk(report.taken_back + report.stay, report.taken_back, left)

    job = bulk_jobs(request).start(
        "take back", caller.actor, take_back, lambda: [LeadFilter(import_id=import_id)],
        expected=int(expected) if expected.isascii() and expected.isdigit() and len(expected) < 10 else 0,
        facts={"list": f"/leads?import_id={import_id}", "again": f"/imports/{import_id}/undo",
               "import": str(import_id), "reason": str(row["file_name"])},
        wait=BULK_PATIENCE,
    )  # fmt: skip
    return redirect(request, f"/leads/bulk/{job.key}")


def _find(connection: Connection, caller: Caller, import_id: int) -> dict[str, Any]:
    found = timeline.read_import(connection, import_id)
    if found is None or (caller.account_id is not None and found["account_id"] != caller.account_id):
        raise NotFound("import", import_id)
    return found


def read_details(text: str | None) -> Details:
    try:
        found = json.loads(text) if text else {}
    except ValueError:
        found = {}
    if not isinstance(found, dict):
        found = {}
    done, size = found.get("done"), found.get("size")
    share = done / size if isinstance(done, int) and isinstance(size, int) and size > 0 else None
    kept = found.get(store.KEPT)
    return Details(
        verdicts=in_order(found.get("verdicts") or {}), first_rejects=found.get("first_rejects") or [],
        progress=min(1.0, share) if share is not None else None, error=found.get("error"),
        kept=len(kept["rows"]) if isinstance(kept, dict) else 0,
        left_out=int(kept.get("left_out") or 0) if isinstance(kept, dict) else 0,
        known_elsewhere=int(found.get("known_elsewhere") or 0), assumptions=found.get("assumptions") or [],
    )
