"""The pages for people: rendered on the server, kept live by events, usable without a mouse."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from scheduler.web import words
from scheduler.web.pages import accounts, calls, campaigns, imports, leads, overview, schedule, system
from scheduler.web.pages.base import LANGUAGE_COOKIE, THEME_COOKIE, THEMES, YEAR, FormOf, local_address

router = APIRouter(include_in_schema=False)
for part in (overview, campaigns, leads, calls, imports, schedule, accounts, system):
    router.include_router(part.router)


# How a page looks is nobody's secret and changes nothing: so these two ask for no scope.


@router.post("/language")
def choose_language(request: Request, form: FormOf) -> Response:
    return _remember(request, form, LANGUAGE_COOKIE, form.get("language"), tuple(words.LANGUAGES))


@router.post("/theme")
def choose_theme(request: Request, form: FormOf) -> Response:
    return _remember(request, form, THEME_COOKIE, form.get("theme"), THEMES)


def _remember(
    request: Request, form: dict[str, str], cookie: str, chosen: str | None, known: tuple[str, ...]
) -> Response:
    answer = RedirectResponse(local_address(form.get("next")), status_code=HTTPStatus.SEE_OTHER)
    if chosen in known:
        answer.set_cookie(
            cookie, chosen, max_age=YEAR, path="/", httponly=True, samesite="lax",
            secure=request.url.scheme == "https",
        )
    return answer
