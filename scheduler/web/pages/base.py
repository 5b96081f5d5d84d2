"""What every page shares: how it is rendered, in which language, zone and theme, and how forms are read.

Decided here: what a template can use (see `render`). What must stay true: everything is escaped; no page has a
script or a style of its own, because the policy of the site refuses them; a page of an error needs no database.
What a newcomer would get wrong: one rendering reads `scheduler_config` once (zone, "is everything paused?"),
which counts among the statements of the page.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

from fastapi import Depends, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape

from scheduler.errors import InvalidSettings, InvalidValue, RingbackError
from scheduler.model import UNREADABLE, Scope
from scheduler.rules.billing import say_unit
from scheduler.rules.hours import zone_info
from scheduler.rules.policy import Config, read_config
from scheduler.store import settings
from scheduler.store.totals import Amount
from scheduler.web import access, words
from scheduler.web.access import Caller, runtime_of
from scheduler.web.guard import is_for_people
from scheduler.web.problems import FieldError, Refusal

WEB = Path(__file__).parent.parent
LANGUAGE_COOKIE, THEME_COOKIE, NOTICE_COOKIE = "ringback_language", "ringback_theme", "ringback_notice"
THEMES = ("auto", "light", "dark")
YEAR = 365 * 24 * 3600
LONGEST_VALUE = 200_000
"""Characters of one field of a form."""
MOST_FIELDS = 400

NAVIGATION: tuple[tuple[str, str, str], ...] = (
    ("/", "Overview", "overview"),
    ("/campaigns", "Campaigns", "campaigns"),
    ("/leads", "Leads", "leads"),
    ("/calls", "Calls", "calls"),
    ("/schedule", "Schedule", "schedule"),
    ("/imports", "Imports", "imports"),
    ("/accounts", "Accounts", "money"),
    ("/providers", "Providers", "providers"),
    ("/daemons", "Daemons", "daemons"),
    ("/audit", "Audit log", "audit"),
    ("/config", "Configuration", "config"),
)
FOR_ADMINS = (("/access", "Access", "unlocked"),)


OF_AN_ACCOUNT = ("/leads", "/calls", "/imports")
"""Where somebody who is bound to an account finds what is of it."""


class Screen:
    """One request for a page: who asks, in which language, and what the installation says of itself."""

    def __init__(self, request: Request, *, needs_tables: bool = True) -> None:
        self.request = request
        cookies = request.cookies
        self.language = words.choose_language(cookies.get(LANGUAGE_COOKIE), request.headers.get("accept-language"))
        theme = cookies.get(THEME_COOKIE)
        self.theme = theme if theme in THEMES else "auto"
        self._config: Config | None = None if needs_tables else Config()
        self._now: datetime | None = None if needs_tables else datetime.now(UTC)

    @property
    def caller(self) -> Caller | None:
        found: Caller | None = getattr(self.request.state, "caller", None)
        return found

    @property
    def config(self) -> Config:
        """`scheduler_config`, read once per request."""
        if self._config is None:
            rows = runtime_of(self.request).database.read(settings.read_config_rows)
            self._config = read_config(rows)
        return self._config

    def take(self, config: Config, now: datetime | None = None) -> None:
        """What the page has read already, and when."""
        self._config = config
        self._now = now or self._now

    def adopt(self, config: Config) -> None:
        """Somebody has read `scheduler_config` for this request already."""
        self._config = config

    @property
    def now(self) -> datetime:
        if self._now is None:
            self._now = runtime_of(self.request).clock.now()
        return self._now

    @property
    def zone(self) -> ZoneInfo:
        """Of the installation (`scheduler_config.timezone`)."""
        return zone_of(self.config)

    @property
    def today_since(self) -> datetime:
        """When today began on the clock of the installation."""
        return day_start(self.now, self.zone)

    def say(self, sentence: str, /, **values: Any) -> str:
        return words.say(self.language, sentence, **values)

    def say_number(self, n: int, one: str, many: str, /, **values: Any) -> str:
        return words.say_number(self.language, n, one, many, **values)

    def may(self, scope: Scope) -> bool:
        return self.caller is not None and self.caller.scope.includes(scope)


def screen_of(request: Request) -> Screen:
    """The one of this request, made when it is first asked for."""
    found: Screen | None = getattr(request.state, "screen", None)
    if found is None:
        found = request.state.screen = Screen(request)
    return found


ScreenOf = Annotated[Screen, Depends(screen_of)]


def zone_of(config: Config) -> ZoneInfo:
    try:
        return zone_info(config.get("timezone", "UTC"))
    except InvalidValue:
        return ZoneInfo("UTC")


def day_start(now: datetime, zone: tzinfo) -> datetime:
    local = now.astimezone(zone)
    return local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0).astimezone(UTC)


# --- rendering ------------------------------------------------------------------------------------


def navigation_of(screen: Screen) -> tuple[tuple[str, str, str], ...]:
    if screen.caller is not None and screen.caller.account_id is not None:
        return tuple(one for one in NAVIGATION if one[0] in OF_AN_ACCOUNT)
    return NAVIGATION + (FOR_ADMINS if screen.may(Scope.ADMIN) else ())


def render(request: Request, template: str, *, status: int = 200, **context: Any) -> HTMLResponse:
    """The page, with `context` beside what every template has.

    `t(sentence, **values)` and `tn(n, one, many)` say it in the reader's language, `retell` what the service said
    in English; `caller`, `is_open`, `may_operate`, `may_admin`, `csrf_token`, `now`, `zone`, `theme`, `language`,
    `is_all_paused`, `notices`, `here` (path and query).
    """
    return _render(screen_of(request), template, status, context)


def render_error(request: Request, status: int, sentence: str) -> Response:
    """A page that says what is wrong; without any table, because that may be what is wrong."""
    screen = Screen(request, needs_tables=False)
    if status == HTTPStatus.UNAUTHORIZED and request.method == "GET":
        return RedirectResponse(f"/login?next={quote(here(request), safe='')}", status_code=HTTPStatus.SEE_OTHER)
    title = HTTPStatus(status).phrase
    return _render(screen, "error.html", status, {"title": title, "sentence": sentence})


def page_of(request: Request, answer: Response) -> Response:
    """The same problem as a page, where a browser asked for one."""
    if not is_for_people(request) or "text/html" not in request.headers.get("accept", ""):
        return answer
    sentence = str(json.loads(bytes(answer.body)).get("detail", ""))
    page = render_error(request, answer.status_code, sentence)
    for name in ("allow", "retry-after"):
        if name in answer.headers:
            page.headers[name] = answer.headers[name]
    return page


def _render(screen: Screen, template: str, status: int, context: Mapping[str, Any]) -> HTMLResponse:
    request = screen.request
    notices = _read_notices(request)
    everything = {
        "screen": screen, "language": screen.language, "languages": words.LANGUAGES, "theme": screen.theme,
        "caller": screen.caller, "is_open": screen.caller is not None and screen.caller.kind == "open",
        "may_operate": screen.may(Scope.OPERATE), "may_admin": screen.may(Scope.ADMIN),
        "csrf_token": access.csrf_token(request), "here": here(request), "path": request.url.path,
        "navigation": navigation_of(screen),
        "now": screen.now, "zone": screen.zone, "is_all_paused": bool(screen.config.get("paused", False)),
        "notices": notices, "t": screen.say, "tn": screen.say_number, "static": static,
        **context,
    }
    answer = HTMLResponse(_templates().get_template(template).render(everything), status_code=status)
    answer.headers.setdefault("Cache-Control", "no-store")
    answer.headers.setdefault("Content-Language", screen.language)
    answer.headers.setdefault("Vary", "Cookie, Accept-Language")
    if notices:
        answer.delete_cookie(NOTICE_COOKIE, path="/")
    return answer


def render_part(language: str, zone: ZoneInfo, now: datetime, template: str, **context: Any) -> str:
    """A piece of a page as text, for the live stream, which speaks to everybody of one language at once."""
    def say(sentence: str, /, **values: Any) -> str:
        return words.say(language, sentence, **values)

    def say_number(n: int, one: str, many: str, /, **values: Any) -> str:
        return words.say_number(language, n, one, many, **values)

    return _templates().get_template(template).render(
        language=language, zone=zone, now=now, t=say, tn=say_number, static=static, **context
    )


def here(request: Request) -> str:
    """The address of this page within the site."""
    query = request.url.query
    return request.url.path + (f"?{query}" if query else "")


def local_address(text: str | None, otherwise: str = "/") -> str:
    """An address of this site; anything else (another site, a scheme) becomes `otherwise`."""
    wanted = text or ""
    is_local = wanted.startswith("/") and not wanted.startswith(("//", "/\\"))
    return wanted if is_local and wanted.isprintable() and "\\" not in wanted else otherwise


@lru_cache(maxsize=1)
def _templates() -> Environment:
    made = Environment(
        loader=FileSystemLoader(WEB / "templates"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )
    made.filters.update({
        "instant": _instant, "clock": _clock, "day": _day, "duration": _duration, "number": _number, "share": _share,
        "money": _money, "costs": _costs, "phone": _phone, "retell": _retell, "told": _told, "word": _word,
        "since": _since, "address": _address,
        "spoken": _spoken, "as_json": _as_json, "pairs": _pairs,
    })
    # What needs these is made of this module.
    from scheduler.web.pages.figures import campaign_path, speak_hours, speak_windows

    made.globals.update({
        "campaign_path": campaign_path, "speak_hours": speak_hours, "speak_windows": speak_windows,
    })
    return made


@lru_cache(maxsize=64)
def static(name: str) -> str:
    """The address of one of our files, new when its content is."""
    content = (WEB / "static" / name).read_bytes()
    return f"/static/{name}?v={hashlib.sha256(content).hexdigest()[:12]}"


# --- filters --------------------------------------------------------------------------------------


@pass_context
def _instant(context: Context, at: datetime | None, form: str = "short") -> str:
    """`<time>` on the clock of the installation: form `short` (20 Nov 2026, 12:00), `seconds` or `clock` (12:00)."""
    if at is None:
        return Markup('<span class="none">–</span>')
    if at == UNREADABLE:
        return Markup('<span class="none">?</span>')
    local, language = at.astimezone(context["zone"]), context["language"]
    is_clock = form == "clock"
    text = f"{local:%H:%M}" if is_clock else words.write_instant(language, local, seconds=form == "seconds")
    full = f"{words.write_instant(language, local, seconds=True)} {local:%Z}"
    machine = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Markup('<time datetime="{}" title="{}">{}</time>').format(machine, full, text)


@pass_context
def _clock(context: Context, at: datetime | None) -> str:
    return _instant(context, at, "clock")


@pass_context
def _day(context: Context, day: date | None) -> str:
    if day is None:
        return Markup('<span class="none">–</span>')
    if day == UNREADABLE.date():
        return Markup('<span class="none">?</span>')
    text = words.write_date(context["language"], day)
    return Markup('<time datetime="{}">{}</time>').format(day.isoformat(), text)


@pass_context
def _duration(context: Context, length: timedelta | float | None) -> str:
    return "–" if length is None else words.write_duration(context["language"], length)


@pass_context
def _since(context: Context, at: datetime | None) -> str:
    """How long ago, as a bare length."""
    if at is None:
        return "–"
    return words.write_duration(context["language"], max(timedelta(0), context["now"] - at))


@pass_context
def _number(context: Context, value: float | Decimal | None, places: int | None = None) -> str:
    return "–" if value is None else words.write_number(context["language"], value, places)


@pass_context
def _share(context: Context, value: float | None, places: int = 0) -> str:
    return words.write_share(context["language"], value, places)


@pass_context
def _money(context: Context, value: Decimal | None, unit: str = "") -> str:
    """At least two places, and the unit where there is one (minutes, credits)."""
    if value is None:
        return "–"
    exponent = value.normalize().as_tuple().exponent if value.is_finite() else 0
    places = max(2, -exponent) if isinstance(exponent, int) else 2
    text = words.write_number(context["language"], value, min(4, places))
    return f"{text} {words.say(context['language'], say_unit(unit))}" if unit else text


@pass_context
def _costs(context: Context, costs: Sequence[Amount]) -> str:
    """Amounts of several units, one beside the other."""
    said = (_money(context, one.cost, one.unit or words.say(context["language"], "without a unit")) for one in costs)
    return " + ".join(said) or "–"


def _phone(number: str | None) -> str:
    """A number as people read it, with spaces that do not break."""
    if not number:
        return "–"
    return _spaced(number)


@lru_cache(maxsize=4096)
def _spaced(number: str) -> str:
    import phonenumbers

    try:
        read = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return number
    text: str = phonenumbers.format_number(read, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
    return text.replace(" ", "\u00a0")


@pass_context
def _retell(context: Context, sentence: object) -> str:
    """What the service said in English, in the reader's language."""
    return words.retell(context["language"], None if sentence is None else str(sentence))


_COMMAND = re.compile(r"`([^`]+)`")


@pass_context
def _told(context: Context, sentence: object) -> str:
    """The same, with commands (between backquotes) set apart."""
    parts = _COMMAND.split(_retell(context, sentence))
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if place % 2 else escape(part) for place, part in enumerate(parts)
    )


@pass_context
def _word(context: Context, word: object) -> str:
    """A word of the tables (`no_answer`) as people say it."""
    return "–" if word is None else words.say(context["language"], str(word).replace("_", " "))


@pass_context
def _pairs(context: Context, table_words: Sequence[object]) -> list[tuple[str, str]]:
    """Words of the tables as the options of a choice."""
    return [(str(one), words.say(context["language"], str(one).replace("_", " "))) for one in table_words]


def _address(path: str, **query: Any) -> str:
    """`path` with these values in its query, but those that are None or empty."""
    kept = {name: value for name, value in query.items() if value not in (None, "", False)}
    joint = "&" if "?" in path else "?"
    return f"{path}{joint}{urlencode(kept)}" if kept else path


def _as_json(value: Any, indent: int | None = 2) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent, default=str)


@pass_context
def _spoken(context: Context, error: object) -> str:
    return said(context["language"], error)


def said(language: str, error: object) -> str:
    """An error as a sentence in this language."""
    return words.retell(language, str(error))


# --- forms ----------------------------------------------------------------------------------------


_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Nobody types them, and no screen shows them."""


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a posted form, the last of each name. Raises Refusal for one that is too large or broken."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("", "application/x-www-form-urlencoded"):
        raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send the form as application/x-www-form-urlencoded")
    found = {}
    async with request.form(max_files=0, max_fields=MOST_FIELDS, max_part_size=LONGEST_VALUE * 4) as form:
        for name, value in form.multi_items():
            if isinstance(value, str):
                if len(value) > LONGEST_VALUE:
                    raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"{name[:40]}: this is too long")
                found[name] = _CONTROLS.sub("", value.replace("\r\n", "\n"))
    return found


FormOf = Annotated[dict[str, str], Depends(read_form)]


def redirect(
    request: Request, to: str, sentence: str | None = None, /, *, kind: str = "done", **values: Any
) -> Response:
    """After a form: go there, and say this at the top of the next page. `kind` is done, warning or error.

    `sentence` is English; it is said in the language of whoever reads the page.
    """
    answer = RedirectResponse(local_address(to), status_code=HTTPStatus.SEE_OTHER)
    if sentence is not None:
        text = json.dumps([kind, sentence, {name: _flat(value) for name, value in values.items()}])[:3000]
        answer.set_cookie(
            NOTICE_COOKIE, base64.urlsafe_b64encode(text.encode()).decode(), max_age=60, path="/", httponly=True,
            samesite="lax", secure=request.url.scheme == "https",
        )
    return answer


def _flat(value: Any) -> Any:
    return value if isinstance(value, int | float | str) else str(value)


def _read_notices(request: Request) -> list[tuple[str, str]]:
    """What the form before has to say. The cookie may hold anything: it is only ever shown as text."""
    text = request.cookies.get(NOTICE_COOKIE)
    if not text:
        return []
    try:
        kind, sentence, values = json.loads(base64.urlsafe_b64decode(text))
    except (ValueError, TypeError):
        return []
    if kind not in ("done", "warning", "error") or not isinstance(sentence, str) or not isinstance(values, dict):
        return []
    screen = screen_of(request) if hasattr(request.state, "screen") else Screen(request, needs_tables=False)
    return [(kind, _say_notice(screen.language, sentence, values))]


def _say_notice(language: str, sentence: str, values: Mapping[str, Any]) -> str:
    one, split, many = sentence.partition("|")
    if split and isinstance(values.get("n"), int):
        rest = {name: value for name, value in values.items() if name != "n" and isinstance(name, str)}
        return words.say_number(language, values["n"], one, many, **rest)
    plain = words.say(language, sentence, **values)
    return plain if plain != sentence else words.retell(language, sentence)


def field_errors(error: RingbackError) -> list[FieldError]:
    """What is wrong with which field, as far as the error says."""
    if isinstance(error, InvalidSettings):
        return [_field_error(one) for one in error.problems]
    if isinstance(error, InvalidValue):
        return [FieldError(field=error.field, reason=error.right)]
    return [FieldError(field="", reason=str(error))]


_FIELD = re.compile(r"([a-z_]+(?:\.[\w]+)*): (.+)", re.DOTALL)


def _field_error(sentence: str) -> FieldError:
    found = _FIELD.match(sentence)
    return FieldError(field=found[1], reason=found[2]) if found else FieldError(field="", reason=sentence)


__all__ = [
    "FormOf", "Screen", "ScreenOf", "day_start", "escape", "field_errors", "here", "local_address", "read_form",
    "redirect", "render", "render_error", "render_part", "said", "screen_of", "static", "zone_of",
]
