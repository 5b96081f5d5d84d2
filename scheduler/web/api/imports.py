"""`/api/v1/imports`: files of leads that are sent here, what became of their rows, and taking them back.

A file is imported while its sender waits, or in the background: then the answer is 202 with the id of the import,
whose row says how far it is. What must stay true: a file that cannot be used is refused with a sentence and adds
nothing, in both ways; a key of one account imports into campaigns of that account alone, and learns nothing of
numbers that others have.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from scheduler.errors import InvalidValue, NotFound
from scheduler.model import ImportStatus
from scheduler.rules.cells import neutralise
from scheduler.service.import_jobs import ImportJobs
from scheduler.service.imports import ImportReport, Manner, import_leads, undo_import
from scheduler.service.refusals import record_export
from scheduler.store import imports as store
from scheduler.store.database import Connection
from scheduler.web.access import Caller, Operator, Reader, RuntimeOf
from scheduler.web.api.asked import WholeId
from scheduler.web.api.models import DATE
from scheduler.web.api.route import NounRoute, noun
from scheduler.web.idempotency import Handler
from scheduler.web.problems import responses
from scheduler.web.reach import require_campaign
from scheduler.web.replies import Cursor, Limit, Page, paged, read_cursor, tagged
from scheduler.web.uploads import (
    FILE_ERRORS,
    LINE,
    MAP,
    READING,
    AssumedOfFile,
    RejectedRow,
    Upload,
    assumptions_of,
    describe_form,
    done_once,
    judging,
    read_options,
    rejects_of,
    uploads,
)

SILENT_AFTER = timedelta(minutes=2)
"""So long without a sign of life, and a running import is said to have broken off."""

router = noun("imports")
ImportId = Annotated[WholeId, Path(examples=[3])]


class ImportAnswer(BaseModel):
    """What became of a file. `read` = `added` + `duplicates` + `rejected`. `import_id` is null after a dry run.

    `kinds` of line, `countries` and `zones` of the good rows are told by a dry run alone.
    """

    import_id: int | None
    campaign: str | None
    file_name: str
    read: int
    added: int
    duplicates: int
    rejected: int
    verdicts: dict[str, int]
    known_elsewhere: int
    kinds: dict[str, int]
    countries: dict[str, int]
    zones: dict[str, int]
    warnings: list[str]
    assumptions: list[AssumedOfFile]
    first_rejects: list[RejectedRow]


class ImportBegun(BaseModel):
    """It goes on; `GET /imports/{id}` says how far it is."""

    import_id: int
    status: str


class ImportRow(BaseModel):
    """`status`: running, done, failed or undone. `progress` is 0 to 1, as far as the file was read.

    `note` says what a person should know: why it failed, or that it was heard of no more.
    """

    id: int
    campaign: str | None
    file_name: str
    status: str
    rows_read: int
    added: int
    duplicates: int
    rejected: int
    taken_back: int
    actor: str
    created_at: datetime
    finished_at: datetime | None
    undone_at: datetime | None


class ImportShown(ImportRow):
    progress: float
    note: str | None
    verdicts: dict[str, int]
    known_elsewhere: int
    assumptions: list[AssumedOfFile]
    first_rejects: list[RejectedRow]
    rejects_kept: int
    rejects_left_out: int
    leads: dict[str, int]
    calls: dict[str, int]
    called: int


class Undone(BaseModel):
    """`taken_back` leads are gone (or would be, in a dry run), `stay` were called or are being called."""

    import_id: int
    file_name: str
    taken_back: int
    stay: int
    dry_run: bool


_FLAG = {"type": "boolean", "default": False}
_FIELDS: dict[str, dict[str, Any]] = {
    "campaign": {**LINE, "maxLength": 64, "description": "Code or number; none: leads of no campaign"},
    **READING,
    "deadline": {"type": "string", "pattern": DATE, "description": "Last date to call, for rows that name none"},
    "deadline_days": {"type": "integer", "minimum": 0, "maximum": 3650},
    "skip_known": _FLAG, "per_person": _FLAG, "dry_run": _FLAG, "background": _FLAG,
}
ImportUpload = Annotated[Upload, Depends(uploads(*_FIELDS, lists=("map",)))]


class FileRoute(NounRoute):
    """Takes a file, and looks after its `Idempotency-Key` by itself."""

    def get_plain_handler(self) -> Handler:
        return APIRoute.get_route_handler(self)

    def get_route_handler(self) -> Any:
        serve = self.get_plain_handler()

        async def checked(request: Request) -> Response:
            self._check_query(request)
            return await serve(request)

        return checked


files = APIRouter(route_class=FileRoute)


@files.post(
    "/imports", status_code=201, response_model=ImportAnswer, operation_id="add_import",
    responses={
        **FILE_ERRORS, 200: {"model": ImportAnswer, "description": "A dry run: nothing was written"},
        202: {"model": ImportBegun, "description": "It goes on in the background"},
    },
    openapi_extra=describe_form({**_FIELDS, **MAP}),
)  # fmt: skip
def add_import(request: Request, caller: Operator, upload: ImportUpload, runtime: RuntimeOf) -> Response:
    """Add the leads of a CSV or .xlsx file. `map` says what columns mean, like `phone=Celular`; repeat it.

    How the file is read is recognised and told in `assumptions`; each names the field that says it otherwise.

    `skip_known` leaves out numbers that other campaigns have; `per_person` makes one lead of all rows of a person.
    """
    is_dry, is_background = upload.flag("dry_run"), upload.flag("background")
    options = {
        **read_options(upload, runtime.settings.default_country),
        "deadline": _read_date(upload.text("deadline", most=40)),
        "deadline_days": upload.whole("deadline_days", least=0, most=3650), "skip_known": upload.flag("skip_known"),
    }
    manner = Manner(
        file_name=upload.name, per_person=upload.flag("per_person"), account_id=caller.account_id, keeps_rejects=True
    )
    key = upload.text("campaign", most=64)

    def work() -> Response:
        with judging():
            options["campaign"] = _find_target(runtime, caller, key)
            if is_background and not is_dry:
                jobs: ImportJobs = request.app.state.import_jobs
                import_id = jobs.start(upload.path, manner=manner, on_end=upload.remove, **options)
                upload.keep()
                return _begun(import_id)
            report = import_leads(upload.path, **options, dry_run=is_dry, manner=manner, runtime=runtime)
        return _done(report, options["campaign"], upload.name)

    return work() if is_dry else done_once(request, caller, upload, work)


def _begun(import_id: int) -> Response:
    body = {"import_id": import_id, "status": ImportStatus.RUNNING.value}
    return JSONResponse(body, HTTPStatus.ACCEPTED, headers={"Location": f"/api/v1/imports/{import_id}"})


def _done(report: ImportReport, campaign: str | None, file_name: str) -> Response:
    answer = JSONResponse(to_jsonable_python({
        "import_id": report.import_id, "campaign": campaign, "file_name": file_name, "read": report.read,
        "added": report.added, "duplicates": report.duplicates, "rejected": report.rejected,
        "verdicts": report.verdicts, "known_elsewhere": report.known_elsewhere, "kinds": report.kinds,
        "countries": report.countries, "zones": report.zones, "warnings": report.warnings,
        "assumptions": assumptions_of(report), "first_rejects": rejects_of(report),
    }))  # fmt: skip
    if report.import_id is not None:
        answer.status_code = HTTPStatus.CREATED
        answer.headers["Location"] = f"/api/v1/imports/{report.import_id}"
    return answer


@router.get("/imports", responses=responses(401, 403, 404, 422), response_model=Page[ImportRow])
def list_imports(
    request: Request, caller: Reader, runtime: RuntimeOf, limit: Limit = 50, cursor: Cursor = None,
    campaign: Annotated[str | None, Query(max_length=64, description="Code or number of a campaign")] = None,
) -> Response:
    """Imports, newest first."""
    place = read_cursor(cursor, int)

    def read(connection: Connection) -> list[dict[str, Any]]:
        of = require_campaign(connection, caller, campaign).id if campaign else None
        return store.list_imports(
            connection, campaign_id=of, account_id=caller.account_id, before=place[0] if place else None,
            limit=limit + 1,
        )

    page = paged(runtime.database.read(read), limit, lambda row: [row["id"]])
    page["items"] = [{name: row[name] for name in ImportRow.model_fields} for row in page["items"]]
    return tagged(request, page)


@router.get("/imports/{import_id}", responses=responses(401, 403, 404, 422), response_model=ImportShown)
def show_import(request: Request, import_id: ImportId, caller: Reader, runtime: RuntimeOf) -> Response:
    """One import: counts per verdict, its first rejects, how far it is, and what has become of its leads."""
    now = runtime.clock.now()
    found = runtime.database.read(lambda connection: _require_import(connection, caller, import_id))
    return tagged(request, describe(found, now))


@router.get(
    "/imports/{import_id}/rejects", response_class=StreamingResponse,
    responses={**responses(401, 403, 404, 422), 200: {"content": {"text/csv": {}}, "description": "CSV"}},
)
def download_rejects(import_id: ImportId, caller: Reader, runtime: RuntimeOf) -> Response:
    """Rows that made no lead, with the reason of each: CSV that can be mended and imported as it is.

    No cell of it is a formula. The first 5000 are kept. An import of the command line wrote them beside its file.
    """

    def read(connection: Connection) -> store.KeptRejects:
        _require_import(connection, caller, import_id)
        kept = store.find_rejects(connection, import_id)
        if kept is None:
            raise NotFound("file of rejects kept for import", import_id)
        return kept

    kept = runtime.database.read(read)
    record_export("rows of a file that were left out", asked=f"import {import_id}", runtime=runtime)
    headers = {"Content-Disposition": f'attachment; filename="import-{import_id}-rejects.csv"'}
    if kept.left_out:
        headers["X-Left-Out"] = str(kept.left_out)
    return StreamingResponse(_write_csv([kept.header, *kept.rows]), media_type="text/csv", headers=headers)


@router.post("/imports/{import_id}/undo", responses=responses(401, 403, 404, 409, 422), response_model=Undone)
def undo(
    import_id: ImportId, caller: Operator, runtime: RuntimeOf,
    dry_run: Annotated[bool, Query(description="Say what would be taken back, change nothing")] = False,
) -> dict[str, Any]:
    """Take an import back: delete its leads that were never called. The same file may be imported again then."""
    runtime.database.read(lambda connection: _require_import(connection, caller, import_id))
    report = undo_import(import_id, dry_run=dry_run, runtime=runtime)
    return {
        "import_id": report.import_id, "file_name": report.file_name, "taken_back": report.taken_back,
        "stay": report.stay, "dry_run": dry_run,
    }


def describe(found: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """An import as `store.describe_import` has it, with its progress from 0 to 1 and a note for people."""
    details: Mapping[str, Any] = found["details"]
    shown = {name: found[name] for name in ImportRow.model_fields}
    return {
        **shown, "progress": _progress(found, details), "note": _note(found, details, now),
        "verdicts": details.get("verdicts", {}), "known_elsewhere": details.get("known_elsewhere", 0),
        "assumptions": details.get("assumptions", ()),
        "first_rejects": [_shown(one) for one in details.get("first_rejects", ())],
        "rejects_kept": details.get("rejects_kept", 0), "rejects_left_out": details.get("rejects_left_out", 0),
        "leads": found["leads"], "calls": found["calls"], "called": found["called"],
    }


def _progress(found: Mapping[str, Any], details: Mapping[str, Any]) -> float:
    if found["status"] in ("done", "undone"):
        return 1.0
    done, size = details.get("done", 0), details.get("size", 0)
    return min(0.99, round(done / size, 2)) if size else 0.0


def _note(found: Mapping[str, Any], details: Mapping[str, Any], now: datetime) -> str | None:
    if found["status"] != ImportStatus.RUNNING:
        error: str | None = details.get("error")
        return error
    alive_at = found["created_at"]
    if isinstance(written := details.get("alive_at"), str):
        alive_at = datetime.fromisoformat(written)
    if now - alive_at > SILENT_AFTER:
        return (
            f"nothing was heard of it since {alive_at:%Y-%m-%d %H:%M} UTC; if its process is gone, the same file again "
            "adds only the rest"
        )
    return None


def _shown(one: Mapping[str, Any]) -> dict[str, Any]:
    return {name: one.get(name, "") for name in RejectedRow.model_fields}


def _find_target(runtime: RuntimeOf, caller: Caller, key: str | None) -> str | None:
    """The code of the campaign."""
    if key is None:
        if caller.account_id is not None:
            raise InvalidValue("campaign", "", "a key of one account imports into a campaign of it; name one")
        return None
    return runtime.database.read(lambda connection: require_campaign(connection, caller, key)).code


def _require_import(connection: Connection, caller: Caller, import_id: int) -> dict[str, Any]:
    found = store.describe_import(connection, import_id)
    if found is None:
        raise NotFound("import", import_id)
    if caller.account_id is not None:
        try:
            require_campaign(connection, caller, found["campaign"] or "")
        except NotFound:
            raise NotFound("import", import_id) from None
    return found


def _read_date(text: str | None) -> date | None:
    if text is None:
        return None
    if re.fullmatch(DATE[1:-1], text) is None:
        raise InvalidValue("deadline", text, "write a date like 2027-03-01, from 1980 to 2036")
    return date.fromisoformat(text)


def _write_csv(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines of CSV, in pieces, that no spreadsheet takes for formulas."""
    for start in range(0, len(rows), 500):
        text = io.StringIO()
        csv.writer(text).writerows([[neutralise(cell) for cell in row] for row in rows[start : start + 500]])
        yield text.getvalue()


router.include_router(files)
