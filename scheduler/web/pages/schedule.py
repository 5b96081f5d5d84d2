"""Pages: when planned calls will crowd, by weekday and hour, and the rows behind each hour.

What must stay true: the map of the whole installation costs the same however many rows there are, because it is
counted in the background at most once a minute (`service.heat`); a page says when it was counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Request, Response

from scheduler.errors import InvalidValue
from scheduler.model import Campaign, Hold, ScheduleStatus
from scheduler.service.heat import Heat, draw, level
from scheduler.store import listings, timeline
from scheduler.store.database import Connection
from scheduler.store.totals import HourFigures
from scheduler.web import words
from scheduler.web.access import Caller, Reader, RuntimeOf
from scheduler.web.pages.base import ScreenOf, render
from scheduler.web.pages.leads import choices_of
from scheduler.web.reach import require_campaign, require_everything
from scheduler.web.replies import read_cursor, write_cursor

router = APIRouter()

PAGE = 50
ANSWERS_OVER = timedelta(days=28)
FEWEST = 5
"""Calls of an hour before its answer rate says anything."""
Word = Annotated[str, Query(max_length=100)]
STATUSES = tuple(one.value for one in ScheduleStatus)
HOLDS = tuple(one.value for one in Hold)


def heat_of(request: Request) -> Heat:
    """Of this process."""
    found: Heat = request.app.state.heat
    return found


@router.get("/schedule")
def schedule_page(
    request: Request, runtime: RuntimeOf, caller: Reader, screen: ScreenOf, campaign: Word = "",
) -> Response:
    """The next seven days by hour, and how often people answered at these hours."""
    now = screen.now

    def read(connection: Connection) -> tuple[Campaign | None, list[dict[str, Any]]]:
        found = _find(connection, caller, campaign)
        return found, [] if found else timeline.list_choices(connection)

    found, choices = runtime.database.read(read)
    hours = runtime.counts.hours(now - ANSWERS_OVER, campaign_id=found.id if found else None).value
    counted = heat_of(request).count(found.id if found else None)
    return render(
        request, "schedule.html", campaign=found, asked=campaign, choices=choices,
        heat=draw(counted, screen.zone) if counted is not None else None,
        answers=answer_rates(hours, screen.zone), over_days=ANSWERS_OVER.days,
        name_day=lambda day, long=False: words.name_day(screen.language, day, long=long),
        short=lambda calls: shorten(screen.language, calls),
    )


def shorten(language: str, calls: int) -> str:
    """A number that fits a cell: 940, 1.2k, 35k, 2.4M."""
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if calls >= size:
            short = round(calls / size, 1) if calls < 10 * size else calls // size
            return f"{words.write_number(language, short)}{unit}"
    return str(calls)


@dataclass(frozen=True, slots=True)
class Answers:
    """Calls that ended in an hour of a weekday. `rate` None: too few to tell."""

    dials: int
    answered: int
    rate: float | None
    level: int


def answer_rates(hours: Sequence[HourFigures], zone: ZoneInfo) -> list[list[Answers]]:
    """Monday first, each with 24 hours."""
    sums = [[[0, 0] for _ in range(24)] for _ in range(7)]
    for one in hours:
        local = one.hour_at.astimezone(zone)
        cell = sums[local.weekday()][local.hour]
        cell[0] += one.dials
        cell[1] += one.answered
    rates = [answered / dials for day in sums for dials, answered in day if dials >= FEWEST]
    best = max(rates, default=0.0)
    return [
        [
            Answers(dials, answered, rate := answered / dials if dials >= FEWEST else None,
                    level(round(1000 * (rate or 0)), round(1000 * best)))
            for dials, answered in day
        ]
        for day in sums
    ]  # fmt: skip


@router.get("/schedule/rows")
def rows_page(
    request: Request, runtime: RuntimeOf, caller: Reader, screen: ScreenOf, campaign: Word = "", status: Word = "",
    hold: Word = "", since: Word = "", until: Word = "", cursor: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """Scheduled calls: of an hour of the map, held ones, due ones."""
    for name, value, known in (("status", status, STATUSES), ("hold", hold, HOLDS)):
        if value and value not in known:
            raise InvalidValue(name, value[:40], f"write one of {', '.join(known)}")
    begin, end = _instant("since", since), _instant("until", until)
    place = read_cursor(cursor or None, datetime, int)
    wanted = status or ScheduleStatus.PENDING.value

    def read(connection: Connection) -> tuple[Campaign | None, listings.Rows]:
        found = _find(connection, caller, campaign)
        return found, listings.list_schedule_page(
            connection, campaign_id=found.id if found else None, status=wanted, hold=hold or None, since=begin,
            until=end, before=(place[0], place[1]) if place else None, limit=PAGE,
        )

    found, rows = runtime.database.read(read)
    asked = {"campaign": campaign, "status": status, "hold": hold, "since": since, "until": until}
    following = None
    if len(rows) > PAGE:
        following = write_cursor(rows[PAGE - 1]["scheduled_at"], rows[PAGE - 1]["id"])
    elif rows.goes_on_at is not None and rows.goes_on_at[0] is not None:
        following = write_cursor(rows.goes_on_at[0].astimezone(UTC), rows.goes_on_at[1])
    return render(
        request, "schedule_rows.html", campaign=found, asked=asked, wanted=wanted, begin=begin, end=end,
        rows=rows[:PAGE], following=following, has_cursor=bool(cursor),
        statuses=choices_of(screen, STATUSES, any_too=False), holds=choices_of(screen, HOLDS),
        has_window_ended=rows.goes_on_at is not None,
    )


def _find(connection: Connection, caller: Caller, key: str) -> Campaign | None:
    if not key.strip():
        require_everything(caller)
        return None
    return require_campaign(connection, caller, key.strip())


def _instant(name: str, text: str) -> datetime | None:
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None or not 2000 <= at.year <= 2200:
        raise InvalidValue(name, text[:40], "write an instant like 2027-03-01T10:00:00Z")
    return at.astimezone(UTC)
