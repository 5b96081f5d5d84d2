"""Pages: live calls with hang-up, calls that nobody can be sure of, past calls, and one call with its evidence.

What must stay true: nobody is hung up by looking; the list refreshes by itself without moving the focus of somebody
who is about to press a button.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Annotated, Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from scheduler.errors import InvalidValue, NotFound, RingbackError
from scheduler.model import AttemptState, Campaign, Outcome
from scheduler.rules.hours import wall_to_utc
from scheduler.service import operations
from scheduler.service.runtime import Runtime
from scheduler.store import listings, timeline
from scheduler.store.database import Connection
from scheduler.web.access import Caller, Operator, Reader, RuntimeOf
from scheduler.web.pages.base import FormOf, ScreenOf, local_address, redirect, render
from scheduler.web.pages.leads import choices_of
from scheduler.web.reach import require_attempt, require_campaign
from scheduler.web.replies import read_cursor, write_cursor

router = APIRouter()

PAGE = 50
MOST_OPEN = 300
"""Open calls that are shown; how many there are is said."""
AttemptId = Annotated[int, Path(ge=1, lt=2**63)]
Word = Annotated[str, Query(max_length=100)]
STATES = tuple(one.value for one in AttemptState)
OUTCOMES = tuple(one.value for one in Outcome)
RESOLVABLE = tuple(one for one in OUTCOMES if one not in (Outcome.CALLBACK, Outcome.CANCELLED))
"""How a call that a person knows about may have ended. A callback needs its time: that is recorded at the lead."""


@dataclass(frozen=True)
class Asked:
    """What the address of the list asks for. Empty: anything."""

    campaign: str = ""
    lead: str = ""
    state: str = ""
    outcome: str = ""
    provider: str = ""
    open: str = ""
    search: str = ""
    since: str = ""
    until: str = ""

    @property
    def query(self) -> dict[str, str]:
        return {name: value for name, value in vars(self).items() if value}

    @property
    def is_open(self) -> bool:
        return self.open in ("1", "yes")

    @property
    def is_plain(self) -> bool:
        """Is nothing asked for? Then the open calls come first."""
        return not self.query

    def address(self, **more: str) -> str:
        kept = {name: value for name, value in {**self.query, **more}.items() if value}
        return f"/calls?{urlencode(kept)}" if kept else "/calls"


def read_asked(
    campaign: Word = "", lead: Word = "", state: Word = "", outcome: Word = "", provider: Word = "", open: Word = "",
    search: Word = "", since: Word = "", until: Word = "",
) -> Asked:
    for name, value, words in (("state", state, STATES), ("outcome", outcome, OUTCOMES)):
        if value and value not in words:
            raise InvalidValue(name, value[:40], f"write one of {', '.join(words)}")
    if lead and not (lead.isascii() and lead.isdigit() and len(lead) < 19):
        raise InvalidValue("lead", lead[:40], "write the id of a lead")
    for name, value in (("since", since), ("until", until)):
        if value:
            read_day(value, name)
    return Asked(
        campaign.strip(), lead, state, outcome, provider.strip()[:32], open if open in ("1", "yes") else "",
        search.strip(), since.strip(), until.strip(),
    )


def read_day(text: str, name: str) -> date:
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        raise InvalidValue(name, text[:40], "write a date like 2027-12-31") from None


AskedOf = Annotated[Asked, Depends(read_asked)]


@router.get("/calls")
def calls_page(
    request: Request, runtime: RuntimeOf, caller: Reader, screen: ScreenOf, asked: AskedOf,
    cursor: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """Open calls first, then the others, newest first."""
    place, zone = _read_place(cursor), screen.zone if asked.since or asked.until else ZoneInfo("UTC")

    def read(connection: Connection) -> dict[str, Any]:
        campaign = require_campaign(connection, caller, asked.campaign) if asked.campaign else None
        is_first = asked.is_plain and place is None
        opened = timeline.list_open_calls(
            connection, limit=MOST_OPEN + 1, account_id=caller.account_id
        ) if is_first else []
        rows = _list(connection, caller, asked, campaign, place, zone)
        return {
            "campaign": campaign, "opened": opened, "has_open_list": is_first, "rows": rows,
            "names": timeline.name_leads(connection, (row["lead_id"] for row in rows)),
            "codes": timeline.name_campaigns(connection, (row["campaign_id"] for row in rows)),
        }

    found = runtime.database.read(read)
    rows = found.pop("rows")
    following = None
    if len(rows) > PAGE:
        following = asked.address(cursor=_write_place((rows[PAGE - 1]["claimed_at"], rows[PAGE - 1]["id"])))
    elif rows.goes_on_at is not None:
        following = asked.address(cursor=_write_place(rows.goes_on_at))
    return render(
        request, "calls.html", asked=asked, rows=rows[:PAGE], following=following,
        first=asked.address() if cursor else None, states=choices_of(screen, STATES),
        outcomes=choices_of(screen, OUTCOMES), most_open=MOST_OPEN,
        has_window_ended=rows.goes_on_at is not None, **found,
    )


def _list(
    connection: Connection, caller: Caller, asked: Asked, campaign: Campaign | None, place: listings.Place | None,
    zone: ZoneInfo,
) -> listings.Rows:
    return listings.list_attempts_page(
        connection, account_id=caller.account_id if campaign is None else None,
        campaign_id=campaign.id if campaign else None, lead_id=int(asked.lead) if asked.lead else None,
        state=asked.state or None, outcome=asked.outcome or None, is_open=asked.is_open,
        provider=asked.provider or None, search=asked.search or None, before=place, limit=PAGE,
        since=_begin_of(read_day(asked.since, "since"), zone) if asked.since else None,
        until=_begin_of(read_day(asked.until, "until") + timedelta(days=1), zone) if asked.until else None,
    )


def _begin_of(day: date, zone: ZoneInfo) -> datetime:
    return wall_to_utc(datetime.combine(day, time()), zone)


def _write_place(place: listings.Place) -> str:
    return write_cursor(place[0].isoformat() if place[0] else "", place[1])


def _read_place(cursor: str) -> listings.Place | None:
    parts = read_cursor(cursor or None, str, int)
    if parts is None:
        return None
    try:
        at = datetime.fromisoformat(parts[0]) if parts[0] else None
    except ValueError:
        at = None
    if parts[0] and (at is None or at.tzinfo is None):
        raise InvalidValue("cursor", cursor[:40], "use the link of the page before as it is")
    return at, parts[1]


@router.get("/calls/live")
def live_page(request: Request, runtime: RuntimeOf, caller: Reader) -> Response:
    """The open calls alone: what the list asks for again and again."""
    opened = runtime.database.read(
        lambda connection: timeline.list_open_calls(connection, limit=MOST_OPEN + 1, account_id=caller.account_id)
    )
    return render(request, "calls_live_page.html", opened=opened, most_open=MOST_OPEN)


# --- one call -------------------------------------------------------------------------------------


@router.get("/calls/{attempt_id}")
def call_page(
    request: Request, runtime: RuntimeOf, caller: Reader, screen: ScreenOf, attempt_id: AttemptId
) -> Response:
    """One attempt: what was promised when it was claimed, and what came of it."""
    call, steps = runtime.database.read(lambda connection: (
        _find(connection, caller, attempt_id), timeline.list_steps_of_call(connection, attempt_id)
    ))
    return render(
        request, "call.html", call=call, steps=steps, outcomes=choices_of(screen, RESOLVABLE, any_too=False),
    )


@router.get("/calls/{attempt_id}/hangup")
def ask_hang_up(request: Request, runtime: RuntimeOf, caller: Operator, attempt_id: AttemptId) -> Response:
    """Asks before a call is ended, for those without scripts."""
    call = runtime.database.read(lambda connection: _find(connection, caller, attempt_id))
    return render(request, "call_hangup.html", call=call)


@router.post("/calls/{attempt_id}/hangup")
def hang_up(request: Request, runtime: RuntimeOf, caller: Operator, form: FormOf, attempt_id: AttemptId) -> Response:
    _reach(runtime, caller, attempt_id)
    to = local_address(form.get("next"), "/calls")
    try:
        sentence = operations.hang_up_call(attempt_id, reason=_reason(form), runtime=runtime)
    except RingbackError as error:
        return redirect(request, to, str(error), kind="error")
    return redirect(request, to, sentence)


@router.post("/calls/{attempt_id}/resolve")
def resolve(request: Request, runtime: RuntimeOf, caller: Operator, form: FormOf, attempt_id: AttemptId) -> Response:
    """Say how a call ended that nobody else can."""
    _reach(runtime, caller, attempt_id)
    to = f"/calls/{attempt_id}"
    try:
        reason = _reason(form)
        if reason is None:
            raise InvalidValue("reason", "", "say why")
        follows = operations.resolve_call(attempt_id, form.get("outcome", ""), reason=reason, runtime=runtime)
    except RingbackError as error:
        return redirect(request, to, str(error), kind="error")
    return redirect(request, to, "Recorded. What follows: {follows}", follows=follows)


def _find(connection: Connection, caller: Caller, attempt_id: int) -> dict[str, Any]:
    if caller.account_id is not None:
        require_attempt(connection, caller, attempt_id)
    found = timeline.find_call(connection, attempt_id)
    if found is None:
        raise NotFound("attempt", attempt_id)
    return found


def _reach(runtime: Runtime, caller: Caller, attempt_id: int) -> None:
    if caller.account_id is not None:
        runtime.database.read(lambda connection: require_attempt(connection, caller, attempt_id))


def _reason(form: dict[str, str]) -> str | None:
    return form.get("reason", "").strip()[:200] or None
