"""Pages: providers and their breakers, daemons, the audit log, the configuration, the do-not-call list.

They concern the whole installation, so a key of one account sees none of them. What must stay true: no provider is
asked by looking at a page, only by a button; a setting is validated before it is written, and its change has a reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from scheduler.errors import InvalidValue, NotFound, RingbackError
from scheduler.model import DaemonWish
from scheduler.rules.alerts import Thresholds
from scheduler.rules.policy import ALL_KEYS, PROVIDER_NAMES, read_config
from scheduler.service import control, do_not_call, operations
from scheduler.service.checks import Finding, check_providers
from scheduler.service.recovery import release_recovery
from scheduler.service.runtime import Runtime
from scheduler.store import calls, campaigns, listings, recoveries, reports, timeline
from scheduler.store.database import Connection
from scheduler.web.access import Admin, Caller, Operator, Reader, RuntimeOf
from scheduler.web.pages.base import FormOf, ScreenOf, field_errors, redirect, render
from scheduler.web.reach import require_campaign, require_everything
from scheduler.web.replies import read_cursor, write_cursor

router = APIRouter()

PAGE = 50
Word = Annotated[str, Query(max_length=100)]
CursorText = Annotated[str, Query(max_length=200)]
EntryId = Annotated[int, Path(ge=1, lt=2**62)]


# --- providers ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ProviderRow:
    """`rate` is calls a second while it is throttled, `pace` calls at a time after a breaker; None: no such limit.
    `problem` says why it cannot be used here.
    """

    name: str
    is_default: bool
    is_used: bool
    problem: str | None
    is_open: bool
    open_until: datetime | None
    reason: str | None
    faults: int
    rate: float | None
    pace: int | None
    open_calls: Mapping[str, int]
    most_calls: int | None
    most_per_second: float | None


@router.get("/providers")
def providers_page(request: Request, runtime: RuntimeOf, caller: Reader, screen: ScreenOf) -> Response:
    """Providers in use, how they are doing and what they may be asked for."""
    require_everything(caller)
    return _show_providers(request, runtime, screen, None, [])


@router.post("/providers/check")
def check(request: Request, runtime: RuntimeOf, caller: Admin, screen: ScreenOf, form: FormOf) -> Response:
    """Ask the providers about keys, agents, caller ids and credit, now."""
    require_everything(caller)
    name = form.get("provider", "").strip() or None
    if name is not None and name not in PROVIDER_NAMES and runtime.providers.find(name) is None:
        raise NotFound("provider", name[:40])
    findings = list(check_providers(runtime, name))
    return _show_providers(request, runtime, screen, screen.now, findings)


def _show_providers(
    request: Request, runtime: Any, screen: Any, checked_at: datetime | None, findings: list[Finding]
) -> Response:
    now, config = screen.now, screen.config
    paces, used, opened = runtime.database.read(lambda connection: (
        calls.read_paces(connection), campaigns.list_providers(connection), timeline.count_open_by_provider(connection)
    ))
    rows = []
    for name in sorted({runtime.default_provider, *used, *paces, *opened}):
        pace = paces.get(name)
        breaker = pace.breaker if pace else None
        is_usable = runtime.providers.find(name) is not None
        rows.append(ProviderRow(
            name=name, is_default=name == runtime.default_provider,
            is_used=name in used or name == runtime.default_provider,
            problem=None if is_usable else runtime.providers.problem(name),
            is_open=breaker is not None and breaker.is_open(now), open_until=breaker.open_until if breaker else None,
            reason=pace.reason if pace else None, faults=breaker.faults if breaker else 0,
            rate=breaker.calls_per_second(now) if breaker else None, pace=breaker.pace if breaker else None,
            open_calls=opened.get(name, {}), most_calls=config.get(f"{name}_max_concurrent_calls", None),
            most_per_second=config.get(f"{name}_calls_per_second", None),
        ))
    return render(
        request, "providers.html", rows=rows, checked_at=checked_at, findings=findings,
        lines=config.get("max_concurrent_calls", 20),
    )


# --- daemons --------------------------------------------------------------------------------------


@router.get("/daemons")
def daemons_page(
    request: Request, runtime: RuntimeOf, caller: Reader, screen: ScreenOf, all: Word = "",
) -> Response:
    """The processes that call, and what they are asked to do."""
    require_everything(caller)
    rows = runtime.database.read(lambda connection: reports.list_all_daemons(
        connection, with_stopped=bool(all), limit=201
    ))
    silent = Thresholds.of(screen.config).silent
    for row in rows:
        row["is_silent"] = row["status"] != "stopped" and screen.now - row["last_seen_at"] > silent
    rows.sort(key=lambda row: (row["status"] == "stopped", row["is_silent"], -row["id"]))
    return render(
        request, "daemons.html", rows=rows[:200], has_more=len(rows) > 200, with_stopped=bool(all),
        silent_after=silent, held=runtime.database.read(recoveries.find_open),
    )


@router.post("/recovery/release")
def release(request: Request, runtime: RuntimeOf, caller: Operator, screen: ScreenOf, form: FormOf) -> Response:
    require_everything(caller)
    try:
        release_recovery(form.get("reason", "").strip()[:200] or None, runtime=runtime)
    except RingbackError as error:
        return redirect(request, "/daemons", str(error), kind="error")
    return redirect(request, "/daemons", "Released: calls are taken again.")


@router.post("/daemons/{daemon_id}/{wish}")
def steer(
    request: Request, runtime: RuntimeOf, caller: Operator, screen: ScreenOf, form: FormOf,
    daemon_id: Annotated[int, Path(ge=1, lt=2**63)], wish: DaemonWish,
) -> Response:
    require_everything(caller)
    reason = form.get("reason", "").strip()[:200] or None
    try:
        owner = control.steer_daemon(
            str(daemon_id), wish, silent_after=Thresholds.of(screen.config).silent, reason=reason, runtime=runtime
        )
    except RingbackError as error:
        return redirect(request, "/daemons", str(error), kind="error")
    asked = {
        DaemonWish.PAUSE: "{owner} is asked to pause; it obeys at its next tick.",
        DaemonWish.RUN: "{owner} is asked to go on; it obeys at its next tick.",
        DaemonWish.DRAIN: "{owner} is asked to drain; it ends when its calls are over.",
    }
    return redirect(request, "/daemons", asked[wish], owner=owner)


# --- the audit ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AskedEvents:
    """What the address of the audit asks for. `who` is people (the default) or all."""

    who: str = "people"
    kind: str = ""
    actor: str = ""
    campaign: str = ""
    lead: str = ""
    since: str = ""

    def address(self, **more: str) -> str:
        plain = {**vars(self), **more}
        kept = {name: value for name, value in plain.items() if value and not (name == "who" and value == "people")}
        return f"/audit?{urlencode(kept)}" if kept else "/audit"


def read_events_asked(
    who: Word = "people", kind: Word = "", actor: Word = "", campaign: Word = "", lead: Word = "", since: Word = "",
) -> AskedEvents:
    if who not in ("people", "all"):
        raise InvalidValue("who", who[:40], "write people or all")
    if lead and not (lead.isascii() and lead.isdigit() and len(lead) < 19):
        raise InvalidValue("lead", lead[:40], "write the id of a lead")
    asked = AskedEvents(who, kind.strip()[:64], actor.strip()[:96], campaign.strip(), lead, since.strip())
    _since_of(asked, UTC)
    return asked


def _since_of(asked: AskedEvents, zone: Any) -> datetime | None:
    if not asked.since:
        return None
    try:
        at = datetime.fromisoformat(asked.since)
        return at if at.tzinfo else at.replace(tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidValue("since", asked.since[:40], "write a date like 2027-03-01") from None


AskedEventsOf = Annotated[AskedEvents, Depends(read_events_asked)]


@router.get("/audit")
def audit_page(
    request: Request, runtime: RuntimeOf, caller: Reader, screen: ScreenOf, asked: AskedEventsOf,
    cursor: CursorText = "",
) -> Response:
    """What happened, newest first: what people did, or everything."""
    require_everything(caller)
    place = read_cursor(cursor or None, int)
    since = _since_of(asked, screen.zone)

    def read(connection: Connection) -> tuple[listings.Rows, dict[int, str], Any]:
        campaign = require_campaign(connection, caller, asked.campaign) if asked.campaign else None
        rows = listings.list_events_page(
            connection, campaign_id=campaign.id if campaign else None, lead_id=int(asked.lead) if asked.lead else None,
            kind=asked.kind or None, actor=asked.actor or None, since=since,
            # An actor says already who it was, and a kind what.
            people_only=asked.who == "people" and not asked.actor and not asked.kind,
            before=place[0] if place else None, limit=PAGE,
        )
        return rows, timeline.name_campaigns(connection, (row["campaign_id"] for row in rows)), campaign

    rows, codes, campaign = runtime.database.read(read)
    following = None
    if len(rows) > PAGE:
        following = asked.address(cursor=write_cursor(rows[PAGE - 1]["id"]))
    elif rows.goes_on_at is not None:
        following = asked.address(cursor=write_cursor(rows.goes_on_at))
    return render(
        request, "audit.html", asked=asked, rows=rows[:PAGE], codes=codes, campaign=campaign, following=following,
        first=asked.address() if cursor else None, kinds=listings.KINDS_OF_PEOPLE,
        has_window_ended=rows.goes_on_at is not None, everything=replace(asked, who="all").address(),
        people=replace(asked, who="people").address(),
    )


# --- configuration --------------------------------------------------------------------------------


GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Hours", ("working_", "timezone", "holidays")),
    ("Attempts and delays", ("_delay_hours", "_max_attempts")),
    ("Calls at once and their pace",
     ("_concurrent_calls", "_per_second", "ring_timeout", "max_call_duration", "paused")),
    ("Alerts", ("alert_",)),
)  # fmt: skip
OTHERS = "Everything else"


@router.get("/config")
def config_page(request: Request, runtime: RuntimeOf, caller: Reader) -> Response:
    """Every rule that holds for all campaigns, and which cannot be used."""
    require_everything(caller)
    rows = runtime.database.read(_read_config)
    groups: dict[str, list[dict[str, Any]]] = {name: [] for name in (*(name for name, _ in GROUPS), OTHERS)}
    for row in rows:
        groups[_group_of(row["config_key"])].append(row)
    there = {row["config_key"] for row in rows}
    return render(
        request, "config.html", groups=[(name, found) for name, found in groups.items() if found],
        problems=[row for row in rows if row["problem"]], missing=[key for key in ALL_KEYS if key not in there],
    )


@router.get("/config/{key}")
def config_row_page(
    request: Request, runtime: RuntimeOf, caller: Reader, key: Annotated[str, Path(max_length=100)]
) -> Response:
    require_everything(caller)
    row = _find_config(runtime, key)
    return render(request, "config_row.html", row=row, value=row["config_value"], reason="", errors={})


@router.post("/config/{key}")
def change_config(
    request: Request, runtime: RuntimeOf, caller: Admin, form: FormOf, key: Annotated[str, Path(max_length=100)]
) -> Response:
    """Change one rule. A value that could not be used is refused, and nothing is written."""
    require_everything(caller)
    row = _find_config(runtime, key)
    value, reason = form.get("value", "").strip(), form.get("reason", "").strip()
    errors: dict[str, str] = {}
    if not reason:
        errors["reason"] = "say why"
    elif len(reason) > 120:
        errors["reason"] = "write at most 120 characters"
    if not errors:
        try:
            operations.set_config(key, value, reason=reason, runtime=runtime)
        except RingbackError as error:
            errors = {"value": "; ".join(one.reason for one in field_errors(error))}
    if errors:
        return render(request, "config_row.html", status=422, row=row, value=value, reason=reason, errors=errors)
    return redirect(request, "/config", "{key} is “{value}” now; the daemons use it from their next look on.",
                    key=key, value=value)  # fmt: skip


def _find_config(runtime: Any, key: str) -> dict[str, Any]:
    found = next((row for row in runtime.database.read(_read_config) if row["config_key"] == key), None)
    if found is None and key in ALL_KEYS:
        return {"config_key": key, "config_value": "", "description": None, "updated_at": None, "problem": None}
    if found is None:
        raise NotFound("setting", key)
    return dict(found)


def _read_config(connection: Connection) -> list[dict[str, Any]]:
    rows = reports.list_config(connection)
    read = read_config({row["config_key"]: row["config_value"] for row in rows})
    problems = dict(read.problems) | {key: f"{key}: there is no such setting; misspelled?" for key in read.unknown}
    return [{**row, "problem": problems.get(row["config_key"])} for row in rows]


def _group_of(key: str) -> str:
    return next((name for name, words in GROUPS if any(word in key for word in words)), OTHERS)


# --- the do-not-call list -------------------------------------------------------------------------


@router.get("/do-not-call")
def barred_page(
    request: Request, runtime: RuntimeOf, caller: Reader, search: Word = "", cursor: CursorText = "",
) -> Response:
    """Numbers that are never dialed, newest first."""
    return _show_barred(request, runtime, caller, search.strip(), cursor)


def _show_barred(
    request: Request, runtime: Runtime, caller: Caller, search: str = "", cursor: str = "",
    given: Mapping[str, str] | None = None, errors: Mapping[str, str] | None = None,
) -> Response:
    require_everything(caller)
    place = read_cursor(cursor or None, int)
    rows = runtime.database.read(lambda connection: listings.list_numbers_barred_page(
        connection, search=search or None, before=place[0] if place else None, limit=PAGE
    ))
    kept = {"search": search} if search else {}
    following = urlencode({**kept, "cursor": write_cursor(rows[PAGE - 1]["id"])}) if len(rows) > PAGE else None
    return render(
        request, "do_not_call.html", status=422 if errors else 200, rows=rows[:PAGE], search=search, given=given or {},
        errors=errors or {}, following=f"/do-not-call?{following}" if following else None, has_cursor=bool(cursor),
    )


@router.post("/do-not-call")
def bar(request: Request, runtime: RuntimeOf, caller: Operator, form: FormOf) -> Response:
    """Never dial a number again."""
    require_everything(caller)
    number, reason = form.get("number", "").strip(), form.get("reason", "").strip()
    try:
        if not reason:
            raise InvalidValue("reason", "", "say why")
        barred = do_not_call.bar_number(number[:100], reason=reason[:200], runtime=runtime)
    except RingbackError as error:
        errors = {"reason" if one.field == "reason" else "number": one.reason for one in field_errors(error)}
        return _show_barred(request, runtime, caller, given=form, errors=errors)
    return redirect(request, "/do-not-call", "{number} is never dialed from now on.", number=barred.entry["telefono"])


@router.get("/do-not-call/{entry_id}/remove")
def ask_unbar(request: Request, runtime: RuntimeOf, caller: Admin, entry_id: EntryId) -> Response:
    require_everything(caller)
    return render(request, "do_not_call_remove.html", row=_find_barred(runtime, entry_id), errors={})


@router.post("/do-not-call/{entry_id}/remove")
def unbar(request: Request, runtime: RuntimeOf, caller: Admin, form: FormOf, entry_id: EntryId) -> Response:
    """Let a number be dialed again."""
    require_everything(caller)
    row = _find_barred(runtime, entry_id)
    reason = form.get("reason", "").strip()
    if not reason:
        return render(request, "do_not_call_remove.html", status=422, row=row, errors={"reason": "say why"})
    try:
        do_not_call.unbar_number(row["telefono"], reason=reason[:200], runtime=runtime)
    except RingbackError as error:
        return redirect(request, "/do-not-call", str(error), kind="error")
    return redirect(request, "/do-not-call", "{number} is taken out of the list.", number=row["telefono"])


def _find_barred(runtime: Runtime, entry_id: int) -> dict[str, Any]:
    rows = runtime.database.read(
        lambda connection: listings.list_numbers_barred_page(connection, before=entry_id + 1, limit=1)
    )
    if not rows or rows[0]["id"] != entry_id:
        raise NotFound("entry of the do-not-call list", entry_id)
    return rows[0]
