"""The front ends that speak of batches and jobs: their addresses, their words, over the same functions.

A batch is a campaign and a job is a lead's work in it. *Completed* is reached, *failed* is closed without being
reached, *suspended* is suspended or out of balance, everything else is *pending*. What must stay true: answers keep
the names, the order and the status 200 that existing clients know; what such a client sends again because no answer
came is a success the second time too. `status` and `overview` are polled, so they are one statement and two.

A newcomer would answer 409 to a pause of a paused batch, as `campaigns` does: these clients show that as a failure.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictStr, TypeAdapter, ValidationError
from pydantic_core import to_jsonable_python

from scheduler.errors import InvalidSettings, InvalidValue, NotFound
from scheduler.model import Campaign
from scheduler.rules.hours import day_start, zone_info
from scheduler.rules.policy import read_config_value
from scheduler.rules.rows import Verdict
from scheduler.service import batches as service
from scheduler.service import control
from scheduler.service.effects import Patience
from scheduler.service.imports import ImportReport, Manner, import_leads
from scheduler.service.rulebook import RuleBook
from scheduler.service.totals import find_broke
from scheduler.store import batches as store
from scheduler.store import totals
from scheduler.store.database import Connection
from scheduler.store.reports import ReportRow
from scheduler.store.totals import Totals
from scheduler.web.access import Caller, Operator, Reader, RuntimeOf
from scheduler.web.api.models import COUNTED_AT, NO_NUL, NOT_BLANK, CostItem, Key, Name, Priority
from scheduler.web.api.route import JsonRoute
from scheduler.web.api.settings import CallSettingsDocument
from scheduler.web.problems import responses
from scheduler.web.reach import reached_campaign, require_account, require_campaign
from scheduler.web.replies import tagged
from scheduler.web.uploads import (
    FILE_ERRORS,
    LARGEST_FIELD,
    LINE,
    MAP,
    READING,
    TAKES_KEY,
    AssumedOfFile,
    RejectedRow,
    Upload,
    assumptions_of,
    describe_form,
    done_once,
    judging,
    read_json_object,
    read_options,
    rejects_of,
    uploads,
)

MOST_SKIPPED = 1_000_000
LONGEST_REASON = 500
LONGEST_DESCRIPTION = 10_000
LAST_HOURS = timedelta(hours=24)
WITHOUT_A_REASON = "cancelled through the batch interface"
PROCESSING = ("basic", "acquisition")
TOTAL_COST = Field(description="In the one unit that `costs` names; null where calls were charged in several")

router = APIRouter(tags=["batches"])
versioned = APIRouter(prefix="/api/v1", route_class=JsonRoute)
files = APIRouter(prefix="/api/v1")
unversioned = APIRouter(prefix="/api", route_class=JsonRoute)
"""The addresses without a version that some clients still call."""

Reason = Annotated[str | None, Query(max_length=LONGEST_REASON, pattern=NO_NUL, description="Why, for the audit")]
Skip = Annotated[int, Query(ge=0, le=MOST_SKIPPED, description="So many are passed over")]
Most = Annotated[int, Query(ge=1, le=1000, description="At most so many")]
BatchKey = Annotated[Key, Path(description="Code or number of a batch")]
Description = Annotated[StrictStr, Field(max_length=LONGEST_DESCRIPTION, pattern=NO_NUL)]
OfAccount = Annotated[
    str | None, Query(max_length=64, pattern=NO_NUL, description="Code or number of an account; none: everything")
]


# --- shapes --------------------------------------------------------------------------------------


class Counts(BaseModel):
    """`completed_jobs`: reached. `failed_jobs`: closed without that. `suspended_jobs`: suspended or out of balance."""

    total_jobs: int
    pending_jobs: int
    completed_jobs: int
    failed_jobs: int
    suspended_jobs: int
    total_cost: float | None = TOTAL_COST
    costs: list[CostItem]
    total_minutes: float


class BatchStatus(BaseModel):
    """Made for polling: a few hundred bytes. `progress_percentage` is 100 once every job is completed or failed."""

    batch_id: str
    is_active: bool
    total_jobs: int
    pending_jobs: int
    completed_jobs: int
    failed_jobs: int
    suspended_jobs: int
    total_cost: float | None = TOTAL_COST
    costs: list[CostItem]
    total_minutes: float
    progress_percentage: float
    started_at: datetime | None
    completed_at: datetime | None
    counted_at: datetime = COUNTED_AT


class Batch(Counts):
    """A batch. `_id` is its number, `batch_id` its code; every address takes either. `account_id` is a code."""

    model_config = ConfigDict(populate_by_name=True)

    id_: str = Field(alias="_id")
    batch_id: str
    name: str
    description: str
    account_id: str | None
    status: str
    status_reason: str | None
    is_active: bool
    priority: int
    call_settings: dict[str, Any] | None
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None


class BatchMade(BaseModel):
    success: Literal[True] = True
    batch: Batch


class CountedBatch(Batch):
    counted_at: datetime = COUNTED_AT


class BatchList(BaseModel):
    """`total` counts all that match, whatever `limit` and `skip` are."""

    batches: list[Batch]
    total: int
    counted_at: datetime = COUNTED_AT


class Turned(BaseModel):
    success: Literal[True] = True
    message: str
    reason: str | None


class Updated(BaseModel):
    success: Literal[True] = True
    message: str
    batch_id: str
    updated_fields: list[str]


class BatchRequest(BaseModel):
    """`call_settings` in the flat or in the nested shape."""

    model_config = ConfigDict(extra="forbid")

    account_id: Key = Field(description="Code or number of an account")
    name: Name
    description: Description | None = None
    priority: Priority | None = None
    call_settings: CallSettingsDocument | None = None


class BatchChange(BaseModel):
    """What is null or missing stays as it is. `is_active` pauses or resumes; `call_settings` replaces them all."""

    model_config = ConfigDict(extra="forbid")

    is_active: StrictBool | None = None
    name: Name | None = None
    description: Description | None = None
    priority: Priority | None = None
    call_settings: CallSettingsDocument | None = None


class ImportStats(BaseModel):
    """`total_rows` = `total_jobs` + `duplicates` + `merged` + `rejected`."""

    total_rows: int
    total_jobs: int
    duplicates: int
    merged: int
    rejected: int
    known_elsewhere: int


class FileTaken(BaseModel):
    """What became of a file. `verdicts` counts rows by verdict; `good` ones are jobs."""

    success: Literal[True] = True
    message: str
    batch_id: str
    batch_name: str
    processing_type: str
    total_rows: int
    total_jobs: int
    duplicates_found: int
    verdicts: dict[str, int]
    stats: ImportStats
    import_id: int
    warnings: list[str]
    assumptions: list[AssumedOfFile]
    first_rejects: list[RejectedRow]


class FileAdded(BaseModel):
    success: Literal[True] = True
    message: str
    batch_id: str
    jobs_added: int
    verdicts: dict[str, int]
    stats: ImportStats
    import_id: int
    warnings: list[str]
    assumptions: list[AssumedOfFile]
    first_rejects: list[RejectedRow]


class PreviewFigures(BaseModel):
    total_rows: int
    valid_rows: int
    invalid_rows: int
    duplicates: int
    merged: int
    verdicts: dict[str, int]
    kinds: dict[str, int]
    countries: dict[str, int]
    zones: dict[str, int]
    warnings: list[str]
    assumptions: list[AssumedOfFile]
    first_rejects: list[RejectedRow]


class Preview(BaseModel):
    success: Literal[True] = True
    filename: str
    preview: PreviewFigures


class Contact(BaseModel):
    name: str
    phones: list[str]


class Job(BaseModel):
    job_id: int
    batch_id: str
    status: Literal["pending", "in_progress", "completed", "failed", "suspended"]
    contact: Contact
    attempts: int
    priority: int
    closed_reason: str | None
    fecha_limite: str | None
    payload: dict[str, Any]
    created_at: datetime
    completed_at: datetime | None


class JobList(BaseModel):
    """Oldest first. `total` counts the jobs of the batch in every status."""

    jobs: list[Job]
    total: int


class Hours(BaseModel):
    """In the batch's own zone; a lead elsewhere has hours of its own. `opens_at` is null while it is open."""

    open_now: bool
    opens_at: datetime | None
    zone: str
    text: str


class HourOfWork(BaseModel):
    hour: datetime
    jobs: int
    dials: int
    answered: int
    completed: int


class Summary(Counts):
    """`completion_rate`: percent of jobs that are over; `success_rate`: percent of those that were reached."""

    batch_id: str
    name: str
    account_id: str | None
    status: str
    status_reason: str | None
    is_active: bool
    completion_rate: float
    success_rate: float
    cost_per_completed_job: float | None = Field(description="null where calls were charged in no unit, or several")
    called_jobs: int
    dials: int
    answered: int
    outcomes: dict[str, int]
    hours: Hours
    hourly_stats: list[HourOfWork]
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    counted_at: datetime = COUNTED_AT


class OverviewAccount(BaseModel):
    account_id: str
    name: str
    status: str
    balance: float
    billing_type: str
    unit: str


class OverviewMetrics(BaseModel):
    jobs_today: int
    success_rate_percentage: float
    active_batches: int
    pending_jobs: int


class OverviewJobs(BaseModel):
    today: int
    pending: int
    completed: int
    failed: int
    total_finished: int


class OverviewBatches(BaseModel):
    """Of the active batches."""

    active_count: int
    total_jobs: int
    total_cost: float | None = TOTAL_COST
    costs: list[CostItem]
    total_minutes: float


class OverviewDetails(BaseModel):
    jobs: OverviewJobs
    batches: OverviewBatches


class Overview(BaseModel):
    success: Literal[True] = True
    timestamp: datetime
    counted_at: datetime = COUNTED_AT
    account: OverviewAccount | None
    metrics: OverviewMetrics
    detailed_stats: OverviewDetails


# --- batches -------------------------------------------------------------------------------------


@versioned.post("/batches", responses=responses(401, 403, 404, 409, 422), response_model=BatchMade)
def create_batch(body: BatchRequest, caller: Operator, runtime: RuntimeOf) -> dict[str, Any]:
    """Make a batch for an account. It has no jobs yet, so nothing is dialed."""
    account = runtime.database.read(lambda connection: require_account(connection, caller, body.account_id))
    code = control.create_campaign(
        body.name, description=body.description, priority=body.priority or 0, call_settings=body.call_settings,
        account=account.code, runtime=runtime,
    )
    made = {name: one for name, one in _one_batch(runtime, caller, code).items() if name != "counted_at"}
    return {"success": True, "batch": made}


@versioned.get("/batches", responses=responses(401, 403, 404, 422), response_model=BatchList)
def list_batches(
    request: Request, caller: Reader, runtime: RuntimeOf, account_id: OfAccount = None,
    is_active: Annotated[bool | None, Query()] = None, limit: Most = 100, skip: Skip = 0,
) -> Response:
    """Batches, newest first."""

    def read(connection: Connection) -> tuple[list[ReportRow], int]:
        account = require_account(connection, caller, account_id).id if account_id else caller.account_id
        return store.list_batches(connection, account_id=account, is_active=is_active, skip=skip, limit=limit)

    rows, total = runtime.database.read(read)
    counted = runtime.counts.of_campaigns([row["id"] for row in rows])
    found = [_batch(row, counted.value[row["id"]]) for row in rows]
    return tagged(request, {"batches": found, "total": total, "counted_at": counted.at}, volatile=["counted_at"])


@versioned.get("/batches/{batch_id}", responses=responses(401, 403, 404, 422), response_model=CountedBatch)
def show_batch(request: Request, batch_id: BatchKey, caller: Reader, runtime: RuntimeOf) -> Response:
    """One batch with its settings as they are stored."""
    return tagged(request, _one_batch(runtime, caller, batch_id), volatile=["counted_at"])


@versioned.patch("/batches/{batch_id}", responses=responses(401, 403, 404, 409, 422), response_model=Updated)
def change_batch(batch_id: BatchKey, body: BatchChange, caller: Operator, runtime: RuntimeOf) -> dict[str, Any]:
    """Change a batch, pause it or let it go on."""
    given = [name for name in BatchChange.model_fields if getattr(body, name) is not None]
    campaign = reached_campaign(runtime, caller, batch_id)
    if not given:
        return {"success": True, "message": "Nothing to change", "batch_id": campaign.code, "updated_fields": []}
    plan = control.CampaignPlan(
        name=body.name, description=body.description, priority=body.priority, call_settings=body.call_settings
    )
    is_edited = given != ["is_active"]
    if is_edited and body.is_active is not None:
        # Refuse all of it or nothing; nobody asks here how many calls move.
        control.edit_campaign(campaign.code, plan, dry_run=True, told=Patience(0), runtime=runtime)
    if body.is_active is not None:
        turn = service.resume_batch if body.is_active else service.pause_batch
        turn(campaign.code, reason=None, runtime=runtime)
    if is_edited:
        control.edit_campaign(campaign.code, plan, told=Patience(0), runtime=runtime)
    message = {True: "Batch resumed", False: "Batch paused", None: "Batch updated successfully"}[body.is_active]
    return {"success": True, "message": message, "batch_id": campaign.code, "updated_fields": given}


@versioned.get("/batches/{batch_id}/status", responses=responses(401, 403, 404, 422), response_model=BatchStatus)
def show_status(request: Request, batch_id: BatchKey, caller: Reader, runtime: RuntimeOf) -> Response:
    """Where a batch stands, for a poll every few seconds."""
    row = runtime.database.read(lambda connection: totals.find_campaign(connection, batch_id))
    if row is None or (caller.account_id is not None and row.account_id != caller.account_id):
        raise NotFound("campaign", batch_id)
    counted = runtime.counts.of_campaign(row.id, since=row.completed_at)
    figures = counted.value
    return tagged(request, {
        "batch_id": row.code, "is_active": row.status == "active", **_counts(figures),
        "progress_percentage": _share(figures.finished, figures.leads),
        "started_at": _seconds(row.started_at), "completed_at": _seconds(row.completed_at), "counted_at": counted.at,
    }, volatile=["counted_at"])


@versioned.get("/batches/{batch_id}/summary", responses=responses(401, 403, 404, 422), response_model=Summary)
def show_summary(request: Request, batch_id: BatchKey, caller: Reader, runtime: RuntimeOf) -> Response:
    """Where a batch stands, in full: its figures, calls by outcome, the last day by hour, its hours now."""
    now = runtime.clock.now()

    def read(connection: Connection) -> tuple[ReportRow, service.HoursNow, dict[str, int]]:
        campaign = require_campaign(connection, caller, batch_id)
        row = store.find_batch(connection, campaign.id)
        if row is None:
            raise NotFound("campaign", batch_id)
        policy = RuleBook().read(connection, [campaign]).policy(campaign.id)
        return row, service.read_hours_now(policy, now), store.count_outcomes(connection, campaign.id)

    row, hours, outcomes = runtime.database.read(read)
    counted = runtime.counts.of_campaign(row["id"])
    by_hour = runtime.counts.hours(now - LAST_HOURS, campaign_id=row["id"])
    figures, batch = counted.value, _batch(row, counted.value)
    return tagged(request, {
        **{name: batch[name] for name in Summary.model_fields if name in batch},
        "completion_rate": _share(figures.finished, figures.leads),
        "success_rate": _share(figures.reached, figures.finished),
        "cost_per_completed_job": _share_of_cost(figures),
        "called_jobs": figures.called, "dials": figures.dials, "answered": figures.answered,
        "outcomes": outcomes,
        "hours": {
            "open_now": hours.is_open, "opens_at": hours.opens_at, "zone": hours.zone, "text": hours.text,
        },
        "hourly_stats": [
            {
                "hour": one.hour_at, "jobs": one.leads, "dials": one.dials, "answered": one.answered,
                "completed": one.completed,
            }
            for one in by_hour.value
        ],
        "counted_at": min(counted.at, by_hour.at),
    }, volatile=["counted_at"])


@versioned.get("/batches/{batch_id}/jobs", responses=responses(401, 403, 404, 422), response_model=JobList)
def list_jobs(
    request: Request, batch_id: BatchKey, caller: Reader, runtime: RuntimeOf,
    status: Annotated[Literal["pending", "in_progress", "completed", "failed", "suspended"] | None, Query()] = None,
    limit: Most = 100, skip: Skip = 0,
) -> Response:
    """Jobs of a batch, oldest first."""
    now = runtime.clock.now()

    def read(connection: Connection) -> tuple[Campaign, list[ReportRow]]:
        campaign = require_campaign(connection, caller, batch_id)
        payer = campaign.account_id
        is_broke = payer is not None and campaign.id in find_broke(connection, RuleBook(), payer)
        return campaign, store.list_jobs(
            connection, campaign.id, status=status, skip=skip, limit=limit, unpaid_at=now if is_broke else None
        )

    campaign, rows = runtime.database.read(read)
    total = runtime.counts.of_campaign(campaign.id).value.leads
    return tagged(request, {"jobs": [_job(row, campaign.code) for row in rows], "total": total})


# --- pausing, resuming, cancelling ---------------------------------------------------------------

TURN_ERRORS = responses(401, 403, 404, 409, 422)


def pause(batch_id: BatchKey, caller: Operator, runtime: RuntimeOf, reason: Reason = None) -> Turned:
    """Place no more calls of a batch until it is resumed. Calls in progress go on to their end."""
    campaign = reached_campaign(runtime, caller, batch_id)
    done = service.pause_batch(campaign.code, reason=_said(reason), runtime=runtime)
    return Turned(message="Batch paused" if done.has_changed else "Batch is paused already", reason=done.reason)


def resume(batch_id: BatchKey, caller: Operator, runtime: RuntimeOf, reason: Reason = None) -> Turned:
    """Go on with a paused batch. One that is cancelled or completed is over (409)."""
    campaign = reached_campaign(runtime, caller, batch_id)
    done = service.resume_batch(campaign.code, reason=_said(reason), runtime=runtime)
    return Turned(message="Batch resumed" if done.has_changed else "Batch is active already", reason=done.reason)


def cancel(batch_id: BatchKey, caller: Operator, runtime: RuntimeOf, reason: Reason = None) -> Turned:
    """End a batch for good: its open jobs fail, calls in progress go on to their end."""
    campaign = reached_campaign(runtime, caller, batch_id)
    done = service.cancel_batch(campaign.code, reason=_said(reason) or WITHOUT_A_REASON, runtime=runtime)
    message = "Batch cancelled successfully" if done.has_changed else "Batch is cancelled already"
    return Turned(message=message, reason=done.reason)


for _router in (versioned, unversioned):
    for _turn in (pause, resume, cancel):
        for _method in ("POST", "PUT"):
            _router.add_api_route(
                f"/batches/{{batch_id}}/{_turn.__name__}", _turn, methods=[_method], responses=TURN_ERRORS,
                response_model=Turned, operation_id=f"{_method}{_router.prefix}_{_turn.__name__}".replace("/", "_"),
            )  # fmt: skip


# --- files ---------------------------------------------------------------------------------------

_DAYS = {"type": "integer", "minimum": 0, "maximum": 3650}
_FLAG = {"type": "boolean", "default": False}
_CREATE_FIELDS: dict[str, dict[str, Any]] = {
    "account_id": {"type": "string", "minLength": 1, "maxLength": 64, "pattern": NOT_BLANK},
    "batch_name": {**LINE, "maxLength": 255},
    "batch_description": {**LINE, "maxLength": LONGEST_DESCRIPTION},
    "processing_type": {"type": "string", "enum": list(PROCESSING), "default": "basic"},
    "allow_duplicates": _FLAG, "dias_fecha_limite": _DAYS, "dias_fecha_maxima": _DAYS,
    "priority": {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1},
    "call_settings_json": {
        **LINE, "maxLength": 32_768, "contentMediaType": "application/json",
        "examples": ['{"max_attempts": 5, "timezone": "America/Santiago"}'], "description": "The document CallSettings",
    },
    **READING,
}
_PREVIEW_FIELDS = {
    name: _CREATE_FIELDS[name] for name in ("account_id", "processing_type", "allow_duplicates", *READING)
}
_SETTINGS = TypeAdapter(CallSettingsDocument)

CreateUpload = Annotated[Upload, Depends(uploads(*_CREATE_FIELDS, lists=("map",)))]
PreviewUpload = Annotated[Upload, Depends(uploads(*_PREVIEW_FIELDS, lists=("map",)))]
AddUpload = Annotated[Upload, Depends(uploads(*READING, lists=("map",)))]


@files.post(
    "/batches/excel/create", responses=FILE_ERRORS, response_model=FileTaken, dependencies=TAKES_KEY,
    openapi_extra=describe_form({**_CREATE_FIELDS, **MAP}, required=("account_id",)),
)
def create_from_file(
    request: Request, caller: Operator, upload: CreateUpload, runtime: RuntimeOf,
    call_settings_json: Annotated[list[str] | None, Query(include_in_schema=False)] = None,
) -> Response:
    """Make a batch of a CSV or .xlsx file. It is active when all of it was read; a file that is refused leaves none.

    `acquisition` makes one job of all rows of a person (same RUT or DNI, or same number), with the sums of their
    amounts; `basic` makes a job of each row. `dias_fecha_limite` is the last date to call, in days from today.
    `call_settings_json` may stand in the query instead.
    """
    account = _account_code(runtime, caller, upload.text("account_id", most=64))
    settings = _read_settings(upload.text("call_settings_json", most=LARGEST_FIELD), *call_settings_json or ())
    order = _order(upload, account, settings)

    def work() -> Response:
        with judging():
            made = service.create_batch(upload.path, order, runtime=runtime)
        kind = "acquisition" if order.per_person else "basic"
        return JSONResponse(to_jsonable_python({
            "success": True,
            "message": f"Batch '{made.name}' created with {made.report.added} jobs ({kind})",
            "batch_id": made.code, "batch_name": made.name, "processing_type": kind,
            "total_rows": made.report.read, "total_jobs": made.report.added,
            "duplicates_found": _stats(made.report)["duplicates"], **_told(made.report),
        }))

    return done_once(request, caller, upload, work)


@files.post(
    "/batches/excel/preview", responses=FILE_ERRORS, response_model=Preview,
    openapi_extra=describe_form({**_PREVIEW_FIELDS, **MAP}, required=("account_id",)),
)
def preview_file(
    caller: Operator, upload: PreviewUpload, runtime: RuntimeOf,
    account_id: Annotated[str | None, Query(include_in_schema=False)] = None,
) -> dict[str, Any]:
    """What `create` would make of a file. Nothing is written. `account_id` may stand in the query instead."""
    key = upload.text("account_id", most=64) or account_id
    order = _order(upload, _account_code(runtime, caller, key), None)
    with judging():
        report = service.preview_batch(upload.path, order, runtime=runtime)
    stats = _stats(report)
    return {"success": True, "filename": upload.name, "preview": {
        "total_rows": report.read, "valid_rows": report.added, "invalid_rows": report.rejected,
        "duplicates": stats["duplicates"], "merged": stats["merged"], "verdicts": report.verdicts,
        "kinds": report.kinds, "countries": report.countries, "zones": report.zones,
        "warnings": report.warnings, "assumptions": assumptions_of(report),
        "first_rejects": rejects_of(report),
    }}


@files.post(
    "/batches/{batch_id}/upload", responses=FILE_ERRORS, response_model=FileAdded, dependencies=TAKES_KEY,
    openapi_extra=describe_form({**READING, **MAP}),
)
def add_file(
    request: Request, batch_id: BatchKey, caller: Operator, upload: AddUpload, runtime: RuntimeOf
) -> Response:
    """Add the rows of a file to a batch. An active one may call them while the rest is being read."""
    campaign = reached_campaign(runtime, caller, batch_id)
    options = read_options(upload, runtime.settings.default_country)
    manner = Manner(file_name=upload.name, account_id=campaign.account_id, keeps_rejects=True)

    def work() -> Response:
        with judging():
            report = import_leads(upload.path, campaign=campaign.code, **options, manner=manner, runtime=runtime)
        return JSONResponse(to_jsonable_python({
            "success": True, "message": f"Added {report.added} jobs to batch {campaign.code}",
            "batch_id": campaign.code, "jobs_added": report.added, **_told(report),
        }))

    return done_once(request, caller, upload, work)


def _order(upload: Upload, account: str, settings: Mapping[str, Any] | None) -> service.BatchFile:
    kind = upload.text("processing_type", most=100) or "basic"
    if kind not in PROCESSING:
        raise InvalidValue("processing_type", kind[:40], f"write {' or '.join(PROCESSING)}")
    return service.BatchFile(
        account=account, file_name=upload.name, name=upload.text("batch_name", most=255),
        description=upload.text("batch_description", most=LONGEST_DESCRIPTION),
        priority=upload.whole("priority", least=-(2**31), most=2**31 - 1) or 0, call_settings=settings,
        per_person=kind == "acquisition", allow_duplicates=upload.flag("allow_duplicates"),
        deadline_days=upload.whole("dias_fecha_limite", least=0, most=3650),
        maximum_days=upload.whole("dias_fecha_maxima", least=0, most=3650),
        **read_options(upload, ""),
    )


def _account_code(runtime: RuntimeOf, caller: Caller, key: str | None) -> str:
    if key is None:
        raise InvalidValue("account_id", "", "name the account that pays for the calls")
    return runtime.database.read(lambda connection: require_account(connection, caller, key)).code


def _read_settings(*texts: str | None) -> dict[str, Any] | None:
    """Of the form and of the query: all that say something say the same."""
    name = "call_settings_json"
    found = [read_json_object(name, text) for text in texts if text is not None and text.strip()]
    if any(one != found[0] for one in found):
        raise InvalidValue(name, "two documents", "the form and the query say different things; send one of them")
    for document in found:
        try:
            _SETTINGS.validate_python(document)
        except ValidationError as error:
            raise InvalidSettings(name, [str(one["msg"]) for one in error.errors()]) from None
    return found[0] if found else None


def _told(report: ImportReport) -> dict[str, Any]:
    return {
        "verdicts": report.verdicts, "stats": _stats(report), "import_id": report.import_id,
        "warnings": report.warnings, "assumptions": assumptions_of(report),
        "first_rejects": rejects_of(report),
    }


def _stats(report: ImportReport) -> dict[str, int]:
    merged = report.verdicts.get(Verdict.MERGED, 0)
    return {
        "total_rows": report.read, "total_jobs": report.added, "duplicates": report.duplicates - merged,
        "merged": merged, "rejected": report.rejected, "known_elsewhere": report.known_elsewhere,
    }


# --- the dashboard of such a front end -----------------------------------------------------------


@versioned.get("/dashboard/overview", responses=responses(401, 403, 404, 422), response_model=Overview)
def show_overview(
    request: Request, caller: Reader, runtime: RuntimeOf,
    account_id: OfAccount = None,
) -> Response:
    """Figures of everything, or of one account. Today begins at midnight in the installation's time zone."""
    now = runtime.clock.now()

    def read(connection: Connection) -> tuple[Mapping[str, Any] | None, str]:
        account, zone = store.find_account_and_zone(connection, account_id or None, caller.account_id)
        own = account["id"] if account else None
        if account_id and (own is None or caller.account_id not in (None, own)):
            raise NotFound("account", account_id)
        return account, zone

    account, zone = runtime.database.read(read)
    counted = runtime.counts.overview(account["id"] if account else caller.account_id, _today_since(now, zone))
    found = counted.value
    everything, active = found.totals, found.active_totals
    return tagged(request, {
        "success": True,
        "timestamp": now,
        "counted_at": counted.at,
        "account": {
            "account_id": account["code"], "name": account["name"], "status": str(account["status"]),
            "balance": float(account["balance"]), "billing_type": _word(account["billing_type"]),
            "unit": account["unit"],
        } if account else None,
        "metrics": {
            "jobs_today": found.jobs_today,
            "success_rate_percentage": _share(everything.reached, everything.finished),
            "active_batches": found.active_batches, "pending_jobs": everything.pending,
        },
        "detailed_stats": {
            "jobs": {
                "today": found.jobs_today, "pending": everything.pending, "completed": everything.reached,
                "failed": everything.unreached, "total_finished": everything.finished,
            },
            "batches": {
                "active_count": found.active_batches, "total_jobs": active.leads, **_costs(active),
                "total_minutes": _minutes(active),
            },
        },
    }, volatile=["timestamp", "counted_at"])


def _today_since(now: datetime, zone: str) -> datetime:
    """A zone that somebody mistyped by SQL counts as UTC here; `ringback check` names it."""
    try:
        name = read_config_value("timezone", zone)
    except InvalidValue:
        name = "UTC"
    there = zone_info(name)
    return day_start(now.astimezone(there).date(), there).astimezone(UTC)


# --- values --------------------------------------------------------------------------------------


def _one_batch(runtime: RuntimeOf, caller: Caller, key: str) -> dict[str, Any]:
    def read(connection: Connection) -> ReportRow:
        campaign: Campaign = require_campaign(connection, caller, key)
        row = store.find_batch(connection, campaign.id)
        if row is None:
            raise NotFound("campaign", key)
        return row

    row = runtime.database.read(read)
    counted = runtime.counts.of_campaign(row["id"])
    return {**_batch(row, counted.value), "counted_at": counted.at}


def _batch(row: Mapping[str, Any], figures: Totals) -> dict[str, Any]:
    return {
        "_id": str(row["id"]), "batch_id": row["code"], "name": row["name"], "description": row["description"] or "",
        "account_id": row["account"], "status": row["status"], "status_reason": row["status_reason"],
        "is_active": row["status"] == "active", "priority": row["priority"],
        "call_settings": _document(row["call_settings"]), **_counts(figures), "created_at": row["created_at"],
        "started_at": row["started_at"], "completed_at": row["completed_at"],
    }


def _counts(figures: Totals) -> dict[str, Any]:
    return {
        "total_jobs": figures.leads, "pending_jobs": figures.pending, "completed_jobs": figures.reached,
        "failed_jobs": figures.unreached, "suspended_jobs": figures.held_up, **_costs(figures),
        "total_minutes": _minutes(figures),
    }


def _job(row: Mapping[str, Any], code: str) -> dict[str, Any]:
    until = row["fecha_limite"]
    return {
        "job_id": row["id"], "batch_id": code, "status": row["status"],
        "contact": {
            "name": " ".join(part for part in (row["nombre"], row["apellidos"]) if part), "phones": row["numbers"],
        },
        "attempts": row["call_attempts_count"], "priority": row["priority"], "closed_reason": row["closed_reason"],
        "fecha_limite": until.isoformat() if until else None, "payload": _document(row["variables"]) or {},
        "created_at": row["created_at"], "completed_at": row["closed_at"],
    }


def _document(text: str | None) -> dict[str, Any] | None:
    """JSON as it is stored; None for what somebody wrote by SQL that is no object."""
    try:
        found = json.loads(text) if text else None
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _costs(figures: Totals) -> dict[str, Any]:
    """One number only where there is one unit: amounts of two are never added."""
    costs = figures.costs
    return {
        "total_cost": None if len(costs) > 1 else _money(costs[0].cost) if costs else 0.0,
        "costs": [{"unit": one.unit, "cost": str(one.cost)} for one in costs],
    }


def _share_of_cost(figures: Totals) -> float | None:
    return _money(figures.costs[0].cost / figures.reached) if figures.reached and len(figures.costs) == 1 else None


def _money(amount: Decimal) -> float:
    return round(float(amount), 2)


def _minutes(figures: Totals) -> float:
    return round(figures.talk_seconds / 60, 2)


def _share(part: int, whole: int) -> float:
    """Percent with two decimals, cut off: 100 means all of them."""
    return math.floor(part * 10_000 / whole) / 100 if whole else 0.0


def _seconds(at: datetime | None) -> datetime | None:
    return at.replace(microsecond=0) if at else None


def _said(reason: str | None) -> str | None:
    return (reason or "").strip() or None


def _word(value: Any) -> str:
    return str(getattr(value, "value", value))



router.include_router(files)
router.include_router(versioned)
router.include_router(unversioned)
