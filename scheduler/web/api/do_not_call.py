"""`/api/v1/do-not-call`: numbers that are never dialed."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path, Query

from scheduler.service import do_not_call
from scheduler.store import listings
from scheduler.web.access import Admin, Operator, Reader, RuntimeOf
from scheduler.web.api.asked import Search, by_id
from scheduler.web.api.models import NOT_BLANK, Country, NumberBar, NumberBarred, NumberCheck, NumberItem, Said
from scheduler.web.api.route import noun
from scheduler.web.problems import responses
from scheduler.web.reach import require_everything
from scheduler.web.replies import Cursor, Limit, Page, paged, read_cursor

router = noun("do-not-call")
Number = Annotated[str, Path(max_length=32, pattern=r"^\+?[0-9][0-9 ().\-]{5,24}$", examples=["+56912345678"])]
OfCountry = Annotated[Country | None, Query(description="Of a number without +")]


@router.get(
    "/do-not-call", response_model=Page[NumberItem], operation_id="list_numbers_barred", responses=responses(404)
)
def list_numbers(
    caller: Reader, runtime: RuntimeOf, search: Search = None, limit: Limit = 50, cursor: Cursor = None
) -> Any:
    """The list, newest first, with those that have expired. `search` is a number or its beginning."""
    require_everything(caller)
    place = read_cursor(cursor, int)
    rows = runtime.database.read(lambda connection: listings.list_numbers_barred_page(
        connection, search=search, before=place[0] if place else None, limit=limit
    ))
    return paged(rows, limit, by_id)


@router.post("/do-not-call", response_model=NumberBarred, status_code=201, operation_id="bar_number")
def bar_number(caller: Operator, runtime: RuntimeOf, body: NumberBar) -> Any:
    """Never dial a number again, or not before `expires_at`. One that is listed already is never made weaker."""
    require_everything(caller)
    done = do_not_call.bar_number(
        body.telefono, reason=body.reason, expires_at=body.expires_at, default_country=body.default_country,
        runtime=runtime,
    )
    return NumberBarred.model_validate({**done.entry, "was_listed": done.was_listed})


@router.get("/do-not-call/{number}", response_model=NumberCheck, operation_id="check_number", responses=responses(409))
def check_number(caller: Reader, runtime: RuntimeOf, number: Number, default_country: OfCountry = None) -> Any:
    """May this number be dialed, as far as the list says?"""
    require_everything(caller)
    known, entry = do_not_call.find_barred(number, default_country=default_country, runtime=runtime)
    item = NumberItem.model_validate(entry) if entry else None
    return NumberCheck(telefono=known, barred=item is not None, entry=item)


@router.delete("/do-not-call/{number}", response_model=Said, operation_id="unbar_number", responses=responses(404, 409))
def unbar_number(
    caller: Admin, runtime: RuntimeOf, number: Number,
    reason: Annotated[str, Query(min_length=1, max_length=255, pattern=NOT_BLANK)], default_country: OfCountry = None,
) -> Any:
    """Take a number off the list."""
    require_everything(caller)
    known = do_not_call.unbar_number(number, reason=reason, default_country=default_country, runtime=runtime)
    return Said(message=f"{known} is not on the do-not-call list any more")
