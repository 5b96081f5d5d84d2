"""The door for people: logging in and out, and the page where an admin sees who may.

No word here tells which of name and password was wrong, and who waits hears only how long. What must stay true:
each log-in makes a new session and ends the one that the browser had; the cookie is out of reach for scripts, and
over https it has a name that only https can set; where a log-in leads back to is an address of this site.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from http import HTTPStatus

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from scheduler.errors import InvalidValue, NotFound
from scheduler.service import access as service
from scheduler.service.access import LONGEST_SESSION, Admitted, Wait, WrongPassword
from scheduler.service.runtime import Runtime
from scheduler.service.second_factor import link_of
from scheduler.store import access as store
from scheduler.web.access import (
    COOKIE,
    OPENED_COOKIE,
    SECURE_COOKIE,
    Admin,
    Caller,
    Reader,
    RuntimeOf,
    Unforged,
    door_of,
    is_secure,
    require_local,
    session_token,
)
from scheduler.web.pages.base import FormOf, Screen, local_address, redirect, render
from scheduler.web.problems import Refusal
from scheduler.web.reach import require_everything

router = APIRouter(include_in_schema=False)
MOST_SHOWN = 200
DEVICE = "ringback_device"
SECURE_DEVICE = f"__Host-{DEVICE}"
DEVICE_LASTS = timedelta(days=180)
"""By this cookie a browser is known that somebody logged in with: whoever guesses elsewhere cannot keep it waiting."""


@router.get("/login")
def ask_to_log_in(request: Request, next: str = "/") -> Response:
    door, token = door_of(request), session_token(request)
    if token is not None and door.entrance.find_by_session(token) is not None:
        return RedirectResponse(local_address(next), status_code=HTTPStatus.SEE_OTHER)
    return _page(request, next)


@router.get("/open")
def open_once(request: Request, runtime: RuntimeOf, link: str = "") -> Response:
    """Before there is a user or a key: let this one browser in, by the link that the terminal shows."""
    door, answer = door_of(request), RedirectResponse("/", status_code=HTTPStatus.SEE_OTHER)
    if not door.entrance.is_open():
        return answer
    require_local(request)
    shown = door.opening.redeem(link)
    if shown is not None:
        answer.set_cookie(OPENED_COOKIE, shown, path="/", httponly=True, samesite="lax")
    elif not door.opening.lets_in(request.cookies.get(OPENED_COOKIE)):
        raise Refusal(
            HTTPStatus.FORBIDDEN,
            "this link was used already, or never was one: start anew for another, or make a user or a key",
        )
    return answer


@router.post("/login")
def log_in(request: Request, form: FormOf, runtime: RuntimeOf) -> Response:
    name, password, back = form.get("name", ""), form.get("password", ""), form.get("next", "/")
    address = request.client.host if request.client else ""
    done = service.log_in(
        name, password, code=form.get("code", ""), address=address, replaces=session_token(request),
        device=_device_of(request), runtime=runtime,
    )
    if isinstance(done, Admitted):
        answer = RedirectResponse(local_address(back), status_code=HTTPStatus.SEE_OTHER)
        secure = is_secure(request)
        _set_cookie(answer, SECURE_COOKIE if secure else COOKIE, done.token, LONGEST_SESSION, secure=secure)
        _set_cookie(answer, SECURE_DEVICE if secure else DEVICE, done.device, DEVICE_LASTS, secure=secure)
        return answer
    if isinstance(done, Wait):
        page = _page(request, back, wait=done.seconds, name=name, status=HTTPStatus.TOO_MANY_REQUESTS)
        page.headers["Retry-After"] = str(done.seconds)
        return page
    page = _page(request, back, is_wrong=True, name=name, status=HTTPStatus.UNAUTHORIZED)
    page.headers["WWW-Authenticate"] = 'Bearer realm="ringback"'
    return page


@router.post("/logout", dependencies=[Unforged])
def log_out(request: Request, caller: Reader, runtime: RuntimeOf) -> Response:
    token = session_token(request)
    if caller.kind == "user" and token is not None:
        service.log_out(token, caller.name, runtime=runtime)
    answer = RedirectResponse("/login", status_code=HTTPStatus.SEE_OTHER)
    for name, secure in ((COOKIE, False), (SECURE_COOKIE, True)):
        answer.delete_cookie(name, path="/", secure=secure, httponly=True, samesite="lax")
    return answer


@router.get("/me")
def show_own(request: Request, caller: Reader, runtime: RuntimeOf) -> Response:
    """One's own password and second factor."""
    return _own(request, caller, runtime)


@router.post("/me/{what}", dependencies=[Unforged])
def change_own(request: Request, what: str, caller: Reader, form: FormOf, runtime: RuntimeOf) -> Response:
    name = _own_name(caller)
    address, token = request.client.host if request.client else "", session_token(request)
    done: Wait | WrongPassword | list[str] | None
    try:
        if what == "password":
            if form.get("new", "") != form.get("again", ""):
                raise InvalidValue("again", "...", "write the new password twice, the same")
            done = service.change_own_password(
                name, form.get("current", ""), form.get("new", ""), address=address, keeps=token, runtime=runtime
            )
        elif what == "begin":
            return _own(request, caller, runtime, secret=service.begin_second_factor(name, runtime=runtime))
        elif what == "confirm":
            done = service.confirm_second_factor(
                name, form.get("code", ""), address=address, keeps=token, runtime=runtime
            )
        elif what == "end":
            done = service.end_second_factor(
                name, form.get("password", ""), form.get("code", ""), address=address, runtime=runtime
            )
        else:
            raise NotFound("action", what[:20])
    except InvalidValue as error:
        return _own(request, caller, runtime, wrong=error.right, status=422)
    if isinstance(done, Wait):
        return _own(request, caller, runtime, wait=done.seconds, status=429)
    if isinstance(done, WrongPassword):
        return _own(request, caller, runtime, wrong="the password or the code is wrong", status=422)
    if isinstance(done, list):
        return _own(request, caller, runtime, codes=done)
    return redirect(request, "/me", "It is changed. Wherever else you were logged in, that ended.")


def _own_name(caller: Caller) -> str:
    if caller.kind != "user":
        raise Refusal(HTTPStatus.FORBIDDEN, "this is for people who log in; a key has no password")
    return caller.name


def _own(
    request: Request, caller: Caller, runtime: Runtime, *, wrong: str = "", wait: int = 0, secret: str = "",
    codes: Sequence[str] = (), status: int = HTTPStatus.OK,
) -> Response:
    name = _own_name(caller)
    return render(
        request, "me.html", status=status, wrong=wrong, wait=wait, secret=secret, codes=codes, name=name,
        link=link_of(secret, name) if secret else "", has_second=service.has_second_factor(name, runtime=runtime),
    )


@router.get("/access")
def show_access(request: Request, caller: Admin, runtime: RuntimeOf) -> Response:
    """Keys and users. They are made and ended on the command line, where whoever is locked out gets in too."""
    require_everything(caller)
    keys, users = runtime.database.read(lambda connection: (
        store.list_keys(connection, limit=MOST_SHOWN), store.list_users(connection, limit=MOST_SHOWN),
    ))  # fmt: skip
    now = door_of(request).entrance.now()
    for key in keys:
        is_over = key["expires_at"] is not None and key["expires_at"] <= now
        key["state"] = "revoked" if key["revoked_at"] else "expired" if is_over else "valid"
    return render(request, "access.html", keys=keys, users=users)


def _page(
    request: Request, back: str, *, is_wrong: bool = False, wait: int = 0, name: str = "", status: int = HTTPStatus.OK
) -> Response:
    # Who is not in yet learns nothing of the installation, and no table is needed for asking.
    request.state.screen = Screen(request, needs_tables=False)
    return render(
        request, "login.html", status=status, back=local_address(back), is_wrong=is_wrong, wait=wait, name=name[:64],
    )


def _device_of(request: Request) -> str | None:
    return request.cookies.get(SECURE_DEVICE if is_secure(request) else DEVICE)


def _set_cookie(answer: Response, name: str, text: str, lasts: timedelta, *, secure: bool) -> None:
    answer.set_cookie(
        name, text, max_age=int(lasts.total_seconds()), path="/", secure=secure, httponly=True, samesite="lax"
    )
