"""The settings of a campaign as fields of a form, and back again.

Decided here: how a document of `call_settings` is shown in fields, and what of it a changed field replaces. What
must stay true: a field that nobody touched leaves the document as it is, in whichever shape it was written; what
the fields do not know is kept; whether a value can be used is said by `rules.policy` alone. What a newcomer would
get wrong: `retry_settings.max_attempts` and `max_attempts` are one setting, so writing one takes the other out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from scheduler.errors import InvalidSettings, InvalidValue
from scheduler.model import RETRYABLE_OUTCOMES, UNREADABLE
from scheduler.rules.hours import Span, Windows
from scheduler.rules.policy import CallSettings, Config, read_call_settings
from scheduler.service.control import CampaignPlan

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun", "hol")
WHOLE = ("max_attempts", "ring_timeout", "max_call_duration", "max_concurrent_calls")
NUMBERS = ("retry_delay_hours", "close_margin_s")
TEXTS = ("preset", "agent_id", "from_number")
LISTS = ("allowed_countries", "required_variables")
DOCUMENTS = ("caps", "cooldowns", "spacing", "holidays")
PLAIN = ("name", "description", "priority", "provider", "account", "group", "deadline")
OVERNIGHT_SHOWN = "overnight_shown"
"""A hidden field beside the box, so that one that is not ticked can be told from a form without it."""
_SPAN = re.compile(r"\s*([0-9]{1,2}(?::[0-9]{2})?)\s*(?:-|–|—|a|to)\s*([0-9]{1,2}(?::[0-9]{2})?)\s*", re.IGNORECASE)
_SETTING = re.compile(r"(?:call_settings: )?([a-z_]+(?:\.[\w, -]+|\[\d+\])*): (.+)", re.DOTALL)


@dataclass(slots=True)
class Draft:
    """What a posted form asks for. `errors` maps fields to sentences; without any, `plan` can be tried."""

    plan: CampaignPlan
    errors: dict[str, str] = field(default_factory=dict)


# --- a document as fields -------------------------------------------------------------------------


def plain_values(row: Mapping[str, Any] | None) -> dict[str, str]:
    """The fields beside `call_settings`, from a row of `store.screens.find_campaign`; None: of a new campaign."""
    if row is None:
        return {name: "0" if name == "priority" else "" for name in PLAIN}
    until = row["fecha_limite"]
    return {
        "name": row["name"], "description": row["description"] or "", "priority": str(row["priority"]),
        "provider": row["provider"] or "", "account": row["account"] or "", "group": row["group_name"] or "",
        "deadline": until.isoformat() if until is not None and until != UNREADABLE.date() else "",
    }


def read_document(text: str | None) -> dict[str, Any]:
    """`call_settings` as an object. Raises InvalidSettings for one that cannot be used as it is."""
    if text is None or not text.strip():
        return {}
    read_call_settings(text)
    return json.loads(text) or {}


def field_values(document: Mapping[str, Any], config: Config) -> dict[str, str]:
    """Each field as text, empty where the document says nothing of it. What it says of hours in half (the days, or
    from when to when) is completed from `scheduler_config`, as the rules do.
    """
    settings = read_call_settings(dict(document))
    found = {name: _text(getattr(settings, name)) for name in (*WHOLE, *NUMBERS, *TEXTS)}
    nested = settings.retry_settings
    if nested is not None:
        found["max_attempts"] = found["max_attempts"] or _text(nested.max_attempts)
        found["retry_delay_hours"] = found["retry_delay_hours"] or _text(nested.retry_delay_hours)
    found["timezone"] = ", ".join(settings.zone_names)
    found["overnight"] = "yes" if settings.overnight else ""
    for name in LISTS:
        value = document.get(name)
        found[name] = ", ".join(map(str, value)) if isinstance(value, list) else _text(value)
    for name in DOCUMENTS:
        found[name] = json.dumps(document[name], ensure_ascii=False) if document.get(name) is not None else ""
    for outcome in RETRYABLE_OUTCOMES:
        own = (settings.outcomes or {}).get(outcome)
        found[f"outcomes.{outcome}.delay_hours"] = _text(own.delay_hours if own else None)
        found[f"outcomes.{outcome}.max_attempts"] = _text(own.max_attempts if own else None)
    return found | _hours_values(settings, config)


def _hours_values(settings: CallSettings, config: Config) -> dict[str, str]:
    """What begins on each weekday; all empty: the hours of the installation, or of the preset."""
    found = {f"windows.{day}": "" for day in DAYS}
    if settings.windows is not None:
        windows = Windows.parse(settings.windows)
        for day, spans in zip(DAYS, (*windows.weekdays, windows.holiday), strict=True):
            found[f"windows.{day}"] = ", ".join(map(str, spans))
    elif settings.span is not None or settings.days_of_week is not None:
        span = settings.span or Span(
            config.get("working_hours_start", 9 * 3600), config.get("working_hours_end", 20 * 3600)
        )
        days = settings.days_of_week or config.get("working_days", (1, 2, 3, 4, 5))
        found |= {f"windows.{day}": str(span) for number, day in enumerate(DAYS[:7], start=1) if number in days}
    return found


def _text(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)


# --- fields as a document -------------------------------------------------------------------------


def read_form(
    form: Mapping[str, str], row: Mapping[str, Any] | None, document: Mapping[str, Any] | None, config: Config, *,
    as_json: bool,
) -> Draft:
    """What this form changes of a campaign (None: it makes a new one). `document` None: the present one is broken."""
    errors: dict[str, str] = {}
    before = plain_values(row)
    given = {name: form.get(name, before[name]).strip() for name in PLAIN}
    settings = _read_json(form, errors) if as_json else _read_fields(form, document or {}, config, errors)
    if not errors and settings is not None:
        _check(settings, errors)
    changes: dict[str, Any] = {
        name: given[name] for name in ("name", "description", "provider", "account", "group")
        if row is None or given[name] != before[name]
    }
    if given["priority"] != before["priority"] or row is None:
        changes["priority"] = _read_whole(given["priority"] or "0", "priority", errors)
    if given["deadline"] != before["deadline"]:
        if given["deadline"]:
            changes["deadline"] = _read_date(given["deadline"], errors)
        else:
            changes["no_deadline"] = True
    if settings is not None and (document is None or settings != document):
        changes["call_settings"] = settings
    return Draft(CampaignPlan(**changes) if not errors else CampaignPlan(), errors)


def _check(settings: Mapping[str, Any], errors: dict[str, str]) -> None:
    try:
        read_call_settings(dict(settings))
    except InvalidSettings as error:
        for sentence in error.problems:
            name, said = split_sentence(sentence)
            errors.setdefault(name, said)


def split_sentence(sentence: str) -> tuple[str, str]:
    """Which field a complaint about settings is about, and what it says; "" for the form."""
    found = _SETTING.fullmatch(sentence)
    if found is None:
        return "", sentence
    name = _field_of(found[1])
    return (name, found[2]) if name else ("", sentence)


def _field_of(path: str) -> str:
    """The field of the form that shows this part of the document."""
    parts = re.sub(r"\[(\d+)\]", r".\1", path).split(".")
    if parts[0] in ("allowed_hours", "allowed_call_hours", "days_of_week"):
        return "windows.mon"
    if parts[0] == "windows":
        day = re.split(r"[-, ]", parts[1])[0] if len(parts) > 1 else ""
        return f"windows.{day}" if day in DAYS else "windows.mon"
    if parts[0] == "zones":
        return "timezone"
    if parts[0] == "retry_settings" and len(parts) > 1:
        return parts[1]
    if parts[0] == "outcomes":
        is_shown = len(parts) > 2 and parts[2] in ("delay_hours", "max_attempts")
        return ".".join(parts[:3]) if is_shown else ""
    known = (*WHOLE, *NUMBERS, *TEXTS, *LISTS, *DOCUMENTS, *PLAIN, "timezone", "code")
    return parts[0] if parts[0] in known else ""


def _read_json(form: Mapping[str, str], errors: dict[str, str]) -> dict[str, Any] | None:
    text = form.get("call_settings", "").strip()
    try:
        return read_document(text)
    except InvalidSettings as error:
        errors["call_settings"] = "; ".join(error.problems)
        return None


def _read_fields(
    form: Mapping[str, str], document: Mapping[str, Any], config: Config, errors: dict[str, str]
) -> dict[str, Any]:
    """The document with what the form changed. Only what differs from what was shown is a change."""
    shown = field_values(document, config)
    changed = {
        name: text.strip() for name, text in form.items() if name in shown and text.strip() != shown[name].strip()
    }
    found = dict(document)
    for name in changed.keys() & {*WHOLE, *NUMBERS}:
        _put_number(found, name, changed[name], errors)
    for name in changed.keys() & {*TEXTS}:
        _put(found, name, changed[name] or None)
    for name in changed.keys() & {*LISTS}:
        _put(found, name, [one.strip() for one in changed[name].split(",") if one.strip()] or None)
    for name in changed.keys() & {*DOCUMENTS}:
        _put_document(found, name, changed[name], errors)
    if "timezone" in changed:
        zones = [one.strip() for one in changed["timezone"].split(",") if one.strip()]
        found.pop("zones", None)
        _put(found, "timezone", zones[0] if len(zones) == 1 else None)
        _put(found, "zones", zones if len(zones) > 1 else None)
    if any(name.startswith("windows.") for name in changed):
        _put_hours(found, form, errors)
    if OVERNIGHT_SHOWN in form:  # a box that is not ticked is not posted
        _put(found, "overnight", True if form.get("overnight") == "yes" else None)
    if any(name.startswith("outcomes.") for name in changed):
        _put_outcomes(found, changed, errors)
    return found


def _put(found: dict[str, Any], name: str, value: Any) -> None:
    if value is None:
        found.pop(name, None)
    else:
        found[name] = value


def _put_number(found: dict[str, Any], name: str, text: str, errors: dict[str, str]) -> None:
    nested = found.get("retry_settings")
    if isinstance(nested, Mapping) and name in nested:
        rest = {one: value for one, value in nested.items() if one != name}
        _put(found, "retry_settings", rest or None)
    if not text:
        _put(found, name, None)
    else:
        _put(found, name, _read_whole(text, name, errors) if name in WHOLE else _read_number(text, name, errors))


def _put_document(found: dict[str, Any], name: str, text: str, errors: dict[str, str]) -> None:
    try:
        _put(found, name, json.loads(text) if text else None)
    except ValueError as error:
        errors[name] = f"it is not JSON: {error}"
    except RecursionError:
        errors[name] = "it is not JSON: it is nested too deeply"


def _put_hours(found: dict[str, Any], form: Mapping[str, str], errors: dict[str, str]) -> None:
    windows: dict[str, list[list[str]]] = {}
    for day in DAYS:
        name = f"windows.{day}"
        spans = _read_spans(form.get(name, ""), name, errors)
        if spans:
            windows[day] = spans
    for name in ("allowed_hours", "allowed_call_hours", "days_of_week", "windows"):
        found.pop(name, None)
    if windows:
        found["windows"] = _folded(windows)


def _folded(windows: Mapping[str, list[list[str]]]) -> dict[str, list[list[str]]]:
    """Neighbouring days with the same hours under one key: mon-fri."""
    found: dict[str, list[list[str]]] = {}
    first = 0
    for last in range(7):
        if last == 6 or windows.get(DAYS[last + 1]) != windows.get(DAYS[first]):
            if spans := windows.get(DAYS[first]):
                found[DAYS[first] if first == last else f"{DAYS[first]}-{DAYS[last]}"] = spans
            first = last + 1
    if "hol" in windows:
        found["hol"] = windows["hol"]
    return found


def _read_spans(text: str, name: str, errors: dict[str, str]) -> list[list[str]]:
    spans = []
    for part in re.split(r"[,;]| y | and ", text.strip()) if text.strip() else ():
        found = _SPAN.fullmatch(part)
        if found is None:
            errors[name] = "write hours like 09:00-13:00, 15:00-20:00; nothing for a day without calls"
            return []
        spans.append([_clock(found[1]), _clock(found[2])])
    return spans


def _clock(text: str) -> str:
    hour, _, minute = text.partition(":")
    return f"{int(hour):02}:{minute or '00'}"


def _put_outcomes(found: dict[str, Any], changed: Mapping[str, str], errors: dict[str, str]) -> None:
    outcomes: dict[str, dict[str, Any]] = {
        name: dict(own) for name, own in (found.get("outcomes") or {}).items() if isinstance(own, Mapping)
    }
    for name, text in changed.items():
        if not name.startswith("outcomes."):
            continue
        _, outcome, key = name.split(".")
        own = outcomes.setdefault(outcome, {})
        if not text:
            own.pop(key, None)
        else:
            is_whole = key == "max_attempts"
            own[key] = _read_whole(text, name, errors) if is_whole else _read_number(text, name, errors)
    _put(found, "outcomes", {name: own for name, own in outcomes.items() if own} or None)


def _read_whole(text: str, name: str, errors: dict[str, str]) -> int | None:
    try:
        return int(text)
    except ValueError:
        errors[name] = "write a whole number"
        return None


def _read_number(text: str, name: str, errors: dict[str, str]) -> float | int | None:
    try:
        number = float(text.replace(",", "."))
    except ValueError:
        errors[name] = "write a number, like 1.5"
        return None
    return int(number) if number.is_integer() else number


def _read_date(text: str, errors: dict[str, str]) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        errors["deadline"] = "write a date like 2027-12-31"
        return None


# --- errors of the service ------------------------------------------------------------------------


def errors_of(error: InvalidValue) -> dict[str, str]:
    """What the service refused, by field of the form."""
    if isinstance(error, InvalidSettings):
        found: dict[str, str] = {}
        for sentence in error.problems:
            name, said = split_sentence(sentence)
            found.setdefault(name, said)
        return found
    name = {"provider": "provider", "deadline": "deadline"}.get(error.field, _field_of(error.field))
    return {name: error.right if name else str(error)}
