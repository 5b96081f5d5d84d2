"""Pages: the leads of a campaign, changes of all that match, and one lead with why it was not called yet.

Nothing is decided here. What must stay true: a change of many leads is about the same leads that the list shows for
the same filter, on all its pages, and says their number before and after; what a person typed is only ever text.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import StreamingResponse

from scheduler.errors import InvalidValue, RingbackError
from scheduler.model import CallStatus, Campaign, LeadStatus, Outcome
from scheduler.rules.cells import neutralise
from scheduler.rules.eligibility import phones_of, zones_of
from scheduler.service import control, operations
from scheduler.service.bulk import Action, BulkJobs, Job, slices
from scheduler.service.erasure import erase_person
from scheduler.service.explain import explain_case, read_case
from scheduler.service.refusals import record_export
from scheduler.service.runtime import Runtime
from scheduler.store import listings, timeline
from scheduler.store.database import Connection
from scheduler.store.leads import LeadFilter
from scheduler.store.totals import Totals
from scheduler.web.access import Admin, Caller, Operator, Reader, RuntimeOf
from scheduler.web.pages.base import FormOf, Screen, ScreenOf, redirect, render
from scheduler.web.pages.figures import say_counted
from scheduler.web.problems import Refusal
from scheduler.web.reach import require_campaign, require_lead
from scheduler.web.replies import read_cursor, write_cursor

router = APIRouter()

PAGE = 50
EXPORT_PAGE = 500
LeadId = Annotated[int, Path(ge=1, lt=2**63)]
CursorText = Annotated[str, Query(max_length=200)]
Word = Annotated[str, Query(max_length=100)]
STATUSES = tuple(one.value for one in LeadStatus)
CALL_STATUSES = tuple(one.value for one in CallStatus)
RECORDABLE = tuple(one.value for one in Outcome if one is not Outcome.CANCELLED)
BULK_PATIENCE = 2.0
"""Seconds that a change of many leads may take before its progress is shown instead."""


# --- which leads ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    """What the address of a list asks for, as it is written there. Empty: anything."""

    campaign: str = ""
    status: str = ""
    search: str = ""
    call_status: str = ""
    manual: str = ""
    import_id: str = ""
    reached: str = ""
    called: str = ""

    @property
    def query(self) -> dict[str, str]:
        return {name: value for name, value in vars(self).items() if value}

    def address(self, path: str = "/leads", **more: str) -> str:
        """`path` with this filter; `more` replaces parts of it."""
        kept = {name: value for name, value in {**self.query, **more}.items() if value}
        return f"{path}?{urlencode(kept)}" if kept else path

    @property
    def of_import(self) -> int | None:
        return int(self.import_id) if self.import_id else None

    @property
    def is_listed(self) -> bool:
        """Must leads be named one by one, because `LeadFilter` does not know what is asked?"""
        return bool(
            self.search or self.manual or self.reached or self.called or self.call_status == CallStatus.NO_SELECTED
        )

    @property
    def filters(self) -> dict[str, Any]:
        """As `listings` and `timeline` take them."""
        return {
            "status": self.status or None, "search": self.search or None, "manual": _yes_or_no(self.manual),
            "call_status": self.call_status or None, "import_id": self.of_import, "reached": _yes_or_no(self.reached),
            "called": _yes_or_no(self.called),
        }

    def filter(self, campaign: Campaign | None) -> LeadFilter:
        return LeadFilter(
            campaign_id=campaign.id if campaign else None, status=LeadStatus(self.status) if self.status else None,
            call_status=CallStatus(self.call_status) if self.call_status else None, import_id=self.of_import,
        )


def read_asked(
    campaign: Word = "", status: Word = "", search: Word = "", call_status: Word = "", manual: Word = "",
    import_id: Word = "", reached: Word = "", called: Word = "",
) -> Asked:
    """Raises InvalidValue for a word that there is none of."""
    return checked(Asked(campaign.strip(), status, search.strip(), call_status, manual, import_id, reached, called))


YES_OR_NO = {"": None, "yes": True, "no": False, "1": True, "0": False}


def _yes_or_no(word: str) -> bool | None:
    return YES_OR_NO[word]


def checked(asked: Asked) -> Asked:
    yes_or_no = tuple(YES_OR_NO)[1:]
    for name, words in (("status", STATUSES), ("call_status", CALL_STATUSES), ("manual", yes_or_no),
                        ("reached", yes_or_no), ("called", yes_or_no)):  # fmt: skip
        value = getattr(asked, name)
        if value and value not in words:
            raise InvalidValue(name, value[:40], f"write one of {', '.join(words)}")
    text = asked.import_id
    if text and not (text.isascii() and text.isdigit() and len(text) < 19):
        raise InvalidValue("import_id", text[:40], "write the number of an import")
    if len(asked.search) > 100:
        raise InvalidValue("search", asked.search[:20], "write at most 100 characters")
    return asked


AskedOf = Annotated[Asked, Depends(read_asked)]


def find_of(connection: Connection, caller: Caller, asked: Asked) -> Campaign | None:
    """The campaign that is asked for. Raises NotFound."""
    return require_campaign(connection, caller, asked.campaign) if asked.campaign else None


def list_page(
    connection: Connection, caller: Caller, asked: Asked, campaign: Campaign | None, before: int | None, limit: int
) -> listings.Rows:
    return listings.list_leads_page(
        connection, account_id=caller.account_id if campaign is None else None,
        campaign_id=campaign.id if campaign else None, **asked.filters, before=before, limit=limit,
    )


def list_all_ids(connection: Connection, asked: Asked, campaign: Campaign | None) -> list[int]:
    return timeline.list_ids(connection, campaign_id=campaign.id if campaign else None, **asked.filters)


# --- the list -------------------------------------------------------------------------------------


@router.get("/leads")
def leads_page(
    request: Request, runtime: RuntimeOf, caller: Reader, screen: ScreenOf, asked: AskedOf, cursor: CursorText = "",
) -> Response:
    """The leads that match, newest first, a page at a time."""
    place = read_cursor(cursor or None, int)

    def read(connection: Connection) -> tuple[Campaign | None, listings.Rows, list[dict[str, Any]]]:
        campaign = find_of(connection, caller, asked)
        rows = list_page(connection, caller, asked, campaign, place[0] if place else None, PAGE)
        if campaign is not None:
            return campaign, rows, []
        return None, rows, timeline.list_choices(connection) if caller.account_id is None else []

    campaign, rows, choices = runtime.database.read(read)
    # A search costs more statements than the other filters, and the figures are of all leads anyway.
    counted = runtime.counts.of_campaign(campaign.id) if campaign is not None and not asked.search else None
    shown = rows[:PAGE]
    following = None
    if len(rows) > PAGE:
        following = asked.address(cursor=write_cursor(shown[-1]["id"]))
    elif rows.goes_on_at is not None:
        following = asked.address(cursor=write_cursor(rows.goes_on_at))
    return render(
        request, "leads.html", asked=asked, campaign=campaign, totals=counted.value if counted else None,
        counted=say_counted(screen.language, counted.at, screen.now) if counted else None, rows=shown, choices=choices,
        codes={one["id"]: one["code"] for one in choices}, following=following,
        first=asked.address() if cursor else None, has_window_ended=rows.goes_on_at is not None,
        statuses=choices_of(screen, STATUSES), call_statuses=choices_of(screen, CALL_STATUSES),
    )


def choices_of(screen: Screen, words: Sequence[str], *, any_too: bool = True) -> list[tuple[str, str]]:
    """Words of the tables to choose from, as people say them."""
    shown = [(one, screen.say(one.replace("_", " "))) for one in words]
    return [("", screen.say("Any")), *shown] if any_too else shown


EXPORTED = (
    "id", "campaign_id", "nombre", "apellidos", "telefono", "lead_status", "closed_reason", "manual_management",
    "call_status", "call_attempts_count", "closed_at", "next_call_at", "next_call_reason",
)  # fmt: skip


@router.get("/leads/export.csv")
def export_leads(runtime: RuntimeOf, caller: Reader, asked: AskedOf) -> Response:
    """Every lead that matches as CSV, written while it is read. Cells that a spreadsheet could take for formulas are
    marked as text.
    """
    campaign = runtime.database.read(lambda connection: find_of(connection, caller, asked))
    if caller.account_id is not None and campaign is None:
        raise Refusal(HTTPStatus.FORBIDDEN, "choose a campaign; a key of one account sees its campaigns alone")

    def pages() -> Iterator[Sequence[Mapping[str, Any]]]:
        if asked.is_listed:
            ids = runtime.database.read(lambda connection: list_all_ids(connection, asked, campaign))
            for start in range(0, len(ids), EXPORT_PAGE):
                chunk = ids[start : start + EXPORT_PAGE]
                yield runtime.database.read(lambda connection: timeline.read_rows(connection, chunk))  # noqa: B023
            return
        before: int | None = None
        while True:
            def read(connection: Connection, beyond: int | None = before) -> listings.Rows:
                return list_page(connection, caller, asked, campaign, beyond, EXPORT_PAGE)

            rows = runtime.database.read(read)
            yield rows[:EXPORT_PAGE]
            before = rows[EXPORT_PAGE - 1]["id"] if len(rows) > EXPORT_PAGE else rows.goes_on_at
            if before is None:
                return

    # What was looked for may be a number or a name.
    wanted = {**asked.query, **({"search": "(given)"} if asked.search else {})}
    record_export(
        "leads as CSV", asked=urlencode(wanted)[:500] or "all", campaign_id=campaign.id if campaign else None,
        runtime=runtime,
    )
    name = f"leads-{_file_word(asked.campaign)}" if asked.campaign else "leads"
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"', "Cache-Control": "no-store"}
    return StreamingResponse(_write_csv(EXPORTED, pages()), media_type="text/csv; charset=utf-8", headers=headers)


def _write_csv(columns: Sequence[str], pages: Iterator[Sequence[Mapping[str, Any]]]) -> Iterator[bytes]:
    # The mark at the beginning tells spreadsheets that it is UTF-8.
    yield "\ufeff".encode() + _csv_lines([columns])
    for rows in pages:
        yield _csv_lines([[neutralise(_cell(row[name])) for name in columns] for row in rows])


def _csv_lines(rows: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:%Y-%m-%dT%H:%M:%SZ}" if isinstance(value, datetime) else str(value)


def _file_word(text: str) -> str:
    return "".join(one if one.isascii() and (one.isalnum() or one in "-_") else "-" for one in text)[:60]


# --- all that match -------------------------------------------------------------------------------


def bulk_jobs(request: Request) -> BulkJobs:
    """Of this process."""
    found: BulkJobs = request.app.state.bulk_jobs
    return found


def _actions(runtime: Runtime, reason: str) -> dict[str, Action]:
    return {
        "suspend": lambda wanted, move: control.suspend_leads(
            wanted, reason=reason, on_progress=move, runtime=runtime
        ),
        "resume": lambda wanted, move: control.resume_leads(wanted, reason=reason, on_progress=move, runtime=runtime),
        "close": lambda wanted, move: control.close_leads(wanted, word=reason, on_progress=move, runtime=runtime),
        "reopen": lambda wanted, move: control.reopen_leads(wanted, note=reason, on_progress=move, runtime=runtime),
    }


ACTIONS = ("suspend", "resume", "close", "reopen")


@router.get("/leads/bulk")
def ask_bulk(
    request: Request, runtime: RuntimeOf, caller: Operator, asked: AskedOf, action: Word = "",
) -> Response:
    """How many leads match, on all pages, and why they are to be changed."""
    campaign, count = _count(runtime, caller, asked, _action(action))
    return render(
        request, "leads_bulk.html", asked=asked, campaign=campaign, action=action, count=count, errors={}, reason="",
    )


@router.post("/leads/bulk")
def do_bulk(request: Request, runtime: RuntimeOf, caller: Operator, form: FormOf) -> Response:
    """Change all that match now."""
    asked = checked(Asked(**{name: form.get(name, "").strip() for name in Asked.__dataclass_fields__}))
    action, reason = _action(form.get("action", "")), form.get("reason", "").strip()
    if not reason or (action == "close" and len(reason) > 64):
        campaign, count = _count(runtime, caller, asked, action)
        why = "say why" if not reason else "write at most 64 characters: it is kept with each lead"
        return render(
            request, "leads_bulk.html", status=422, asked=asked, campaign=campaign, action=action, count=count,
            errors={"reason": why}, reason=reason,
        )
    campaign = _find_changeable(runtime, caller, asked)
    expected = form.get("expected", "")

    def find() -> Sequence[LeadFilter]:
        if not asked.is_listed:
            return [asked.filter(campaign)]
        ids = runtime.database.read(lambda connection: list_all_ids(connection, asked, campaign))
        return slices(ids, campaign.id if campaign else None)

    job = bulk_jobs(request).start(
        action, caller.actor, _actions(runtime, reason)[action], find,
        expected=int(expected) if expected.isascii() and expected.isdigit() and len(expected) < 10 else 0,
        facts={"reason": reason, "list": asked.address(), "again": asked.address("/leads/bulk", action=action)},
        wait=BULK_PATIENCE,
    )
    return redirect(request, f"/leads/bulk/{job.key}")


@router.get("/leads/bulk/{key}")
def bulk_page(request: Request, caller: Operator, key: Annotated[str, Path(max_length=40)]) -> Response:
    """What became of a change of many leads, or how far it is."""
    job = bulk_jobs(request).find(key, caller.actor)
    return render(request, "leads_bulk_done.html", status=200 if job else 404, job=job, left=_left(job))


def _left(job: Job | None) -> list[tuple[str, int]]:
    return sorted(job.result.left.items(), key=lambda one: -one[1]) if job is not None and job.result else []


def _action(text: str) -> str:
    if text not in ACTIONS:
        raise InvalidValue("action", text[:40], f"write one of {', '.join(ACTIONS)}")
    return text


def _find_changeable(runtime: Runtime, caller: Caller, asked: Asked) -> Campaign | None:
    """The campaign that the change is limited to. Raises Refusal where it is limited to nothing."""
    campaign = runtime.database.read(lambda connection: find_of(connection, caller, asked))
    if caller.account_id is not None and campaign is None:
        raise Refusal(HTTPStatus.FORBIDDEN, "choose a campaign; a key of one account changes its campaigns alone")
    if not asked.query:
        raise Refusal(
            HTTPStatus.UNPROCESSABLE_ENTITY, "this would change every lead there is; choose a campaign or a filter"
        )
    return campaign


def _count(runtime: Runtime, caller: Caller, asked: Asked, action: str) -> tuple[Campaign | None, int]:
    campaign = _find_changeable(runtime, caller, asked)
    if campaign is not None and asked.query.keys() <= {"campaign", "status"}:
        return campaign, count_of(runtime.counts.of_campaign(campaign.id).value, asked.status)
    if asked.is_listed:
        return campaign, len(runtime.database.read(lambda connection: list_all_ids(connection, asked, campaign)))
    return campaign, control.count_leads(asked.filter(campaign), runtime=runtime)


def count_of(totals: Totals, status: str) -> int:
    closed = totals.leads - totals.open - totals.suspended
    return {"": totals.leads, "open": totals.open, "suspended": totals.suspended, "closed": closed}[status]


# --- one lead -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Question:
    """One question of the gate as the page shows it."""

    text: str
    word: str
    reason: str | None
    opens_at: datetime | None
    facts: Sequence[tuple[str, Sequence[Any]]]
    source: str


@router.get("/leads/{lead_id}")
def lead_page(
    request: Request, runtime: RuntimeOf, caller: Reader, screen: ScreenOf, lead_id: LeadId, at: Word = "",
) -> Response:
    """Who it is, why it is not being called now (or `at` another time), and everything that happened."""
    now = screen.now
    asked_at, wrong = None, None
    try:
        asked_at = read_time(at)
    except InvalidValue as error:
        wrong = error.right

    def read(connection: Connection) -> tuple[Any, bool, list[dict[str, Any]]]:
        if caller.account_id is not None:
            require_lead(connection, caller, lead_id)
        case, is_planned = read_case(connection, runtime, lead_id, now)
        return case, is_planned, timeline.list_timeline(connection, lead_id)

    case, is_planned, steps = runtime.database.read(read)
    screen.adopt(case.policy.config)
    found = explain_case(case, at=asked_at, is_planned=is_planned)
    lead = case.known_lead
    refusal = next((one for one in found.answers if not one.is_yes), None)
    try:
        zones = zones_of(lead, lead.phone, case.policy).zones
    except InvalidValue:
        zones = ()
    questions = [
        Question(one.question, one.word, one.reason, one.opens_at, _facts(one.values), one.source)
        for one in found.answers
    ]
    return render(
        request, "lead.html", lead=lead, name=_name(lead.first_name, lead.last_name), campaign=case.campaign,
        phones=phones_of(lead), zones=zones, found=found, refusal=refusal, questions=questions, steps=steps,
        most_steps=timeline.MOST_STEPS, at=at, at_wrong={"at": wrong} if wrong else {}, is_planned=is_planned,
        call=case.call if is_planned else None, outcomes=choices_of(screen, RECORDABLE, any_too=False),
        variables=lead.variables or {},
    )


def read_time(text: str) -> datetime | None:
    """What a field of a date and time holds: a wall time (of the lead), or an instant with its offset."""
    if not text.strip():
        return None
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        raise InvalidValue("at", text[:40], "write a time like 2027-03-01T10:00") from None
    if not 2000 <= at.year <= 2200:
        raise InvalidValue("at", text[:40], "write a year from 2000 to 2200")
    return at


def _name(first: str | None, last: str | None) -> str:
    return " ".join(part for part in (first, last) if part)


def _facts(values: Mapping[str, Any]) -> list[tuple[str, Sequence[Any]]]:
    """What was compared, as (name, pieces): instants and dates for the page to write, the rest as text."""
    return [(name, _pieces(value)) for name, value in values.items() if value is not None]


def _pieces(value: Any) -> Sequence[Any]:
    if isinstance(value, datetime | date | bool):
        return [value]
    if isinstance(value, float | Decimal | timedelta):
        return [f"{value:f}".rstrip("0").rstrip(".") if not isinstance(value, timedelta) else str(value)]
    if isinstance(value, Mapping):
        return [f"{name} {one}" for name, one in value.items()] or [None]
    if isinstance(value, list | tuple | set | frozenset):
        return [piece for one in value for piece in _pieces(one)] or [None]
    return [str(value)]


def _act(request: Request, lead_id: int, work: Callable[[], tuple[str, Mapping[str, Any]]]) -> Response:
    """Do it, and say on the lead's page what happened, or why it did not."""
    to = f"/leads/{lead_id}"
    try:
        sentence, values = work()
    except RingbackError as error:
        return redirect(request, to, str(error), kind="error")
    return redirect(request, to, sentence, **values)


def _reach(runtime: Runtime, caller: Caller, lead_id: int) -> None:
    if caller.account_id is not None:
        runtime.database.read(lambda connection: require_lead(connection, caller, lead_id))


@router.post("/leads/{lead_id}/suspend")
def suspend(request: Request, runtime: RuntimeOf, caller: Operator, form: FormOf, lead_id: LeadId) -> Response:
    _reach(runtime, caller, lead_id)

    def work() -> tuple[str, Mapping[str, Any]]:
        operations.suspend_lead(lead_id, reason=_reason(form), runtime=runtime)
        return "Lead {id} is suspended. What was planned for it is kept and held.", {"id": str(lead_id)}

    return _act(request, lead_id, work)


@router.post("/leads/{lead_id}/reopen")
def reopen(request: Request, runtime: RuntimeOf, caller: Operator, form: FormOf, lead_id: LeadId) -> Response:
    _reach(runtime, caller, lead_id)
    return _act(request, lead_id, lambda: (
        operations.reopen_lead(lead_id, reason=_reason(form), runtime=runtime), {}
    ))


@router.post("/leads/{lead_id}/close")
def close(request: Request, runtime: RuntimeOf, caller: Operator, form: FormOf, lead_id: LeadId) -> Response:
    _reach(runtime, caller, lead_id)

    def work() -> tuple[str, Mapping[str, Any]]:
        operations.close_lead(lead_id, reason=_reason(form, most=64), runtime=runtime)
        return "Lead {id} is closed. What was planned for it is cancelled.", {"id": str(lead_id)}

    return _act(request, lead_id, work)


@router.post("/leads/{lead_id}/erase")
def erase(request: Request, runtime: RuntimeOf, caller: Admin, form: FormOf, lead_id: LeadId) -> Response:
    _reach(runtime, caller, lead_id)

    def work() -> tuple[str, Mapping[str, Any]]:
        erase_person(lead_ids=[lead_id], reason=_reason(form), runtime=runtime)
        return "Lead {id} is erased: when it was called and how that ended stays.", {"id": str(lead_id)}

    return _act(request, lead_id, work)


@router.post("/leads/{lead_id}/plan")
def plan(request: Request, runtime: RuntimeOf, caller: Operator, form: FormOf, lead_id: LeadId) -> Response:
    _reach(runtime, caller, lead_id)

    def work() -> tuple[str, Mapping[str, Any]]:
        operations.schedule_call(
            lead_id, at=read_time(form.get("plan_at", "")), reason=_reason(form), runtime=runtime
        )
        return "A call to lead {id} is planned.", {"id": str(lead_id)}

    return _act(request, lead_id, work)


@router.post("/leads/{lead_id}/cancel-plan")
def cancel_plan(request: Request, runtime: RuntimeOf, caller: Operator, form: FormOf, lead_id: LeadId) -> Response:
    _reach(runtime, caller, lead_id)

    def work() -> tuple[str, Mapping[str, Any]]:
        cancelled = operations.cancel_scheduled_calls_for_lead(lead_id, _reason(form), runtime=runtime)
        if not cancelled:
            raise InvalidValue("plan", str(lead_id), "no call is planned for this lead")
        return "The planned call of lead {id} is cancelled.", {"id": str(lead_id)}

    return _act(request, lead_id, work)


@router.post("/leads/{lead_id}/record")
def record(request: Request, runtime: RuntimeOf, caller: Operator, form: FormOf, lead_id: LeadId) -> Response:
    """A call that was made by hand."""
    _reach(runtime, caller, lead_id)

    def work() -> tuple[str, Mapping[str, Any]]:
        at = read_time(form.get("callback_at", ""))
        follows = operations.record_call(
            lead_id, form.get("outcome", ""), callback_at=at, reason=_reason(form), runtime=runtime
        )
        return "Recorded. What follows: {follows}", {"follows": follows}

    return _act(request, lead_id, work)


def _reason(form: Mapping[str, str], most: int = 200) -> str:
    reason = form.get("reason", "").strip()
    if not reason:
        raise InvalidValue("reason", "", "say why")
    if len(reason) > most:
        raise InvalidValue("reason", reason[:20], f"write at most {most} characters")
    return reason
