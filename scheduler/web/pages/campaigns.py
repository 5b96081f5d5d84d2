"""Campaigns: which there are, how one goes, its settings with their effect before they are saved, and its end.

What must stay true: a change is shown before it is made and saved as it was shown; who saves settings that somebody
else changed meanwhile is told so first; a list costs the same few statements whatever it shows. What a newcomer would
get wrong: a cancel of many leads takes longer than a browser waits, so it goes on behind the answer, and upkeep does
the rest if this process ends meanwhile.
"""

from __future__ import annotations

import contextvars
import hashlib
import json
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import urlencode
from zoneinfo import available_timezones

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import RedirectResponse

from scheduler.errors import Conflict, InvalidSettings, InvalidValue, NotFound
from scheduler.model import RETRYABLE_OUTCOMES, Campaign, CampaignStatus
from scheduler.rules.policy import PROVIDER_NAMES, Config, Policy
from scheduler.rules.presets import PRESETS
from scheduler.service import control
from scheduler.service.control import CampaignPlan, Cancelled, Edited, Preview
from scheduler.service.effects import Count, EffectCounts, Patience
from scheduler.service.runtime import Runtime
from scheduler.store import campaigns as store
from scheduler.store import screens
from scheduler.store.database import Connection
from scheduler.store.listings import list_campaigns_page
from scheduler.store.screens import Pulse
from scheduler.store.totals import Totals
from scheduler.web import words
from scheduler.web.access import Caller, Operator, Reader, RuntimeOf
from scheduler.web.pages import settings_form
from scheduler.web.pages.base import FormOf, Screen, day_start, redirect, render, screen_of, zone_of
from scheduler.web.pages.figures import (
    Hours,
    campaign_path,
    hours_of,
    memory_of,
    number_due,
    say_counted,
    speak_windows,
)
from scheduler.web.pages.settings_form import Draft
from scheduler.web.reach import require_everything

PAGE = 50
MOST_ACCOUNTS = 500
PATIENCE = 8.0
"""Seconds that somebody waits for a cancel; then it goes on behind the answer."""
EFFECT_PATIENCE = 1.5
"""Seconds that somebody waits for what new settings do; then the count goes on behind the answer."""
NOT_SETTINGS = ("step", "reason", "csrf_token")
Search = Annotated[str, Query(max_length=100)]

router = APIRouter()
_cancels = ThreadPoolExecutor(max_workers=2, thread_name_prefix="cancel")


# --- the list -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Listed:
    """A campaign in the list."""

    row: Mapping[str, Any]
    totals: Totals
    hours: Hours


@router.get("/campaigns")
def list_campaigns(
    request: Request, caller: Reader, runtime: RuntimeOf, status: str = "", search: Search = "",
    before: Annotated[int | None, Query(ge=1, lt=2**63)] = None,
) -> Response:
    require_everything(caller)
    screen, rulebook = screen_of(request), memory_of(request.app).rulebook
    known = [one.value for one in CampaignStatus]
    chosen, wanted = status if status in known else None, search.strip()

    def read(connection: Connection) -> tuple[list[tuple[dict[str, Any], Hours]], int | None, Config]:
        rows = list_campaigns_page(connection, status=chosen, search=wanted or None, before=before, limit=PAGE)
        shown = rows[:PAGE]
        ids = [row["id"] for row in shown]
        found = store.read_campaigns(connection, ids)
        rules = rulebook.read(connection, list(found.values()))
        listed = [(row, hours_of(rules.policy(row["id"]), screen.now)) for row in shown]
        return listed, shown[-1]["id"] if len(rows) > PAGE else None, rules.config

    rows, following, config = runtime.database.read(read)
    screen.take(config)
    counted = runtime.counts.of_campaigns([row["id"] for row, _ in rows])
    listed = [Listed(row, counted.value[row["id"]], hours) for row, hours in rows]
    return render(
        request, "campaigns.html", listed=listed, counted=say_counted(screen.language, counted.at, screen.now),
        following=following, before=before, chosen=chosen or "",
        search=wanted, statuses=known,
    )


# --- one campaign ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class InForce:
    """A setting as it holds now, and who says so."""

    name: str
    value: str
    source: str


@router.get("/campaigns/new")
def ask_for_campaign(request: Request, caller: Operator, runtime: RuntimeOf) -> Response:
    require_everything(caller)
    return _show_form(request, runtime, None, {"name": "", "paused": "yes"}, {})


@router.post("/campaigns/new")
def create_campaign(request: Request, caller: Operator, runtime: RuntimeOf, form: FormOf) -> Response:
    """Three steps of one form, as for `edit_settings`; a post that names none creates."""
    require_everything(caller)
    screen, step = screen_of(request), form.get("step", "save")
    if step == "edit":
        return _show_form(request, runtime, None, form, {})
    draft = settings_form.read_form(form, None, {}, screen.config, as_json="call_settings" in form)
    if not draft.errors:
        plan, code = draft.plan, form.get("code", "").strip() or None
        try:
            if step == "preview":
                return _show_new(request, form, plan, control.preview_campaign(plan, code=code, runtime=runtime))
            made = control.create_campaign(
                plan.name or "", code=code, description=plan.description or None, priority=plan.priority or 0,
                provider=plan.provider or None, account=plan.account or None, group=plan.group or None,
                call_settings=plan.call_settings, deadline=plan.deadline, paused=form.get("paused") == "yes",
                runtime=runtime,
            )
        except (InvalidValue, NotFound, Conflict) as error:
            draft.errors.update(_errors_of(error))
        else:
            return redirect(request, campaign_path(made), "Campaign {code} is created.", code=made)
    return _show_form(request, runtime, None, form, draft.errors, status=HTTPStatus.UNPROCESSABLE_ENTITY)


@router.get("/campaigns/{key}")
def show_campaign(request: Request, caller: Reader, runtime: RuntimeOf, key: str) -> Response:
    require_everything(caller)
    screen, rulebook = screen_of(request), memory_of(request.app).rulebook

    def read(connection: Connection) -> tuple[Any, ...]:
        campaign, row = _find(connection, key)
        rules = rulebook.read(connection, [campaign])
        since = day_start(screen.now, zone_of(rules.config))
        return (
            campaign, row, rules, since, screens.read_pulse(connection, [campaign.id], screen.now, alone=True),
            screens.count_outcomes(connection, campaign.id),
        )

    campaign, row, rules, since, pulse, outcomes = runtime.database.read(read)
    screen.take(rules.config)
    counted = runtime.counts.of_campaign(campaign.id)
    by_hour = runtime.counts.hours(since, campaign_id=campaign.id)
    today = by_hour.value
    policy: Policy = rules.policy(campaign.id)
    dials = sum(one.dials for one in today)
    return render(
        request, "campaign.html", row=row, totals=counted.value,
        counted=say_counted(screen.language, min(counted.at, by_hour.at), screen.now), pulse=pulse, outcomes=outcomes,
        outcomes_total=sum(outcomes.values()), latest=screens.LATEST_CALLS, due=number_due(pulse, screen.language),
        hours=hours_of(policy, screen.now), settings=_in_force(screen, policy, campaign, runtime),
        problems=[one.sentence for one in rules.problems if one.campaign_id == campaign.id],
        dials_today=dials, answered_today=sum(one.answered for one in today), funnel=_funnel(counted.value),
        path_of=campaign_path(row["code"], row["id"]), may_dial=rules.may_dial(campaign.id),
    )


@router.get("/campaigns/{key}/leads")
def go_to_leads(request: Request, caller: Reader, runtime: RuntimeOf, key: str) -> Response:
    require_everything(caller)
    campaign = runtime.database.read(lambda connection: _find_campaign(connection, key))
    query = urlencode({**request.query_params, "campaign": campaign.code})
    return RedirectResponse(f"/leads?{query}", status_code=HTTPStatus.SEE_OTHER)


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of the funnel: its share is of all leads."""

    name: str
    leads: int
    share: float
    query: Mapping[str, str]


def _funnel(counted: Totals) -> list[Stage]:
    whole = counted.leads or 1
    return [
        Stage("Leads", counted.leads, counted.leads / whole, {}),
        Stage("Called", counted.called, counted.called / whole, {"called": "1"}),
        Stage("Closed", counted.finished, counted.finished / whole, {"status": "closed"}),
        Stage("Reached", counted.reached, counted.reached / whole, {"status": "closed", "reached": "1"}),
    ]


def _in_force(screen: Screen, policy: Policy, campaign: Campaign, runtime: Runtime) -> list[InForce]:
    """The settings as the daemons read them, each with its source."""
    say, own = screen.say, policy.settings
    hours = hours_of(policy, screen.now)
    built_in = "built-in"

    def setting(name: str, config_key: str) -> str:
        if getattr(own, name) is not None:
            return f"call_settings.{name}"
        return f"scheduler_config.{config_key}" if config_key in policy.config.values else built_in

    windows = "; ".join(speak_windows(screen.language, rule.windows) for rule in hours.rules)
    found = [
        InForce(say("Hours"), windows, policy.hours_source),
        InForce(
            say("Time zone"), ", ".join(hours.zones) + f" ({say('a lead may have its own')})",
            "call_settings.timezone" if policy.zones else "scheduler_config.timezone",
        ),
    ]
    if policy.settings.preset is not None:
        found.append(InForce(say("Preset"), policy.settings.preset, "call_settings.preset"))
    most = policy.max_attempts(None)
    found.append(InForce(say("Attempts in all"), str(most.value), most.source))
    for outcome in RETRYABLE_OUTCOMES:
        delay, attempts = policy.delay(outcome), policy.max_attempts(outcome)
        text = say("again after {span}", span=delay.value)
        if attempts.value != most.value:
            text += ", " + screen.say_number(attempts.value, "{n} attempt", "{n} attempts")
        found.append(InForce(
            say("After {outcome}", outcome=say(outcome.replace("_", " "))), text,
            delay.source if attempts.value == most.value else f"{delay.source}, {attempts.source}",
        ))
    if own.max_concurrent_calls is not None:
        found.append(InForce(
            say("Calls at once"), str(own.max_concurrent_calls), "call_settings.max_concurrent_calls"
        ))
    else:
        lines = policy.config.get("max_concurrent_calls", 20)
        text = say("as many as the installation has lines ({lines})", lines=lines)
        found.append(InForce(say("Calls at once"), text, "scheduler_config.max_concurrent_calls"))
    found += [
        InForce(
            say("Rings for"), words.write_duration(screen.language, policy.ring_timeout),
            setting("ring_timeout", "ring_timeout"),
        ),
        InForce(
            say("A call lasts at most"), words.write_duration(screen.language, policy.max_call_duration),
            setting("max_call_duration", "max_call_duration"),
        ),
    ]
    if policy.caps:
        found.append(InForce(say("Caps"), "; ".join(map(str, policy.caps)), "call_settings"))
    if policy.cooldowns:
        found.append(InForce(say("Silence"), "; ".join(map(str, policy.cooldowns)), "call_settings.cooldowns"))
    countries = policy.allowed_countries
    if countries.value:
        found.append(InForce(say("Countries"), ", ".join(countries.value), countries.source))
    until = policy.last_date(None)
    text = words.write_date(screen.language, until.value) if until is not None else say("none")
    found.append(InForce(say("Last date to call"), text, "campaigns.fecha_limite"))
    found.append(InForce(say("Priority"), str(campaign.priority), "campaigns.priority"))
    if campaign.provider:
        found.append(InForce(say("Provider"), campaign.provider, "campaigns.provider"))
    else:
        found.append(InForce(say("Provider"), runtime.default_provider, "RINGBACK_PROVIDER"))
    return found


# --- running, paused, over ------------------------------------------------------------------------


@router.get("/campaigns/{key}/pause")
def ask_to_pause(request: Request, caller: Operator, runtime: RuntimeOf, key: str) -> Response:
    return _ask(request, caller, runtime, key, "Pause campaign {code}", "Pause", PAUSES)


@router.post("/campaigns/{key}/pause")
def pause_campaign(request: Request, caller: Operator, runtime: RuntimeOf, key: str, form: FormOf) -> Response:
    require_everything(caller)
    code = _code_of(runtime, key)
    control.pause_campaign(code, reason=_reason(form), runtime=runtime)
    memory_of(request.app).alerts.forget()
    return redirect(request, _path(runtime, code), "Campaign {code} is paused.", code=code)


@router.get("/campaigns/{key}/resume")
def ask_to_resume(request: Request, caller: Operator, runtime: RuntimeOf, key: str) -> Response:
    return _ask(request, caller, runtime, key, "Resume campaign {code}", "Resume", RESUMES)


@router.post("/campaigns/{key}/resume")
def resume_campaign(request: Request, caller: Operator, runtime: RuntimeOf, key: str, form: FormOf) -> Response:
    require_everything(caller)
    code = _code_of(runtime, key)
    control.resume_campaign(code, reason=_reason(form), runtime=runtime)
    memory_of(request.app).alerts.forget()
    return redirect(request, _path(runtime, code), "Campaign {code} goes on.", code=code)


PAUSES = "No more of its calls are placed until it is resumed. Calls in progress go on to their end."
RESUMES = "Its calls are placed again as soon as its hours are open."


def _ask(
    request: Request, caller: Caller, runtime: Runtime, key: str, title: str, button: str, sentence: str
) -> Response:
    require_everything(caller)
    screen, campaign = screen_of(request), runtime.database.read(lambda connection: _find_campaign(connection, key))
    path = campaign_path(campaign.code, campaign.id)
    return render(
        request, "confirm.html", title=screen.say(title, code=campaign.code), sentence=screen.say(sentence),
        action=f"{path}/{button.lower()}", button=screen.say(button), back=path,
    )


@router.get("/campaigns/{key}/cancel")
def ask_to_cancel(request: Request, caller: Operator, runtime: RuntimeOf, key: str) -> Response:
    require_everything(caller)
    return _show_cancel(request, runtime, key, {}, {})


@router.post("/campaigns/{key}/cancel")
def cancel_campaign(request: Request, caller: Operator, runtime: RuntimeOf, key: str, form: FormOf) -> Response:
    require_everything(caller)
    code, errors = _code_of(runtime, key), {}
    if not form.get("reason", "").strip():
        errors["reason"] = "say why the campaign is cancelled"
    if form.get("typed", "").strip() != code:
        errors["typed"] = "write the code of the campaign, as it is shown here"
    if errors:
        return _show_cancel(request, runtime, key, form, errors, status=HTTPStatus.UNPROCESSABLE_ENTITY)
    work: Future[Cancelled] = _cancels.submit(
        contextvars.copy_context().run, control.cancel_campaign, code, form["reason"].strip(),
        hang_up=form.get("hang_up") == "yes", runtime=runtime,
    )
    path = _path(runtime, code)
    memory_of(request.app).alerts.forget()
    try:
        done = work.result(PATIENCE)
    except TimeoutError:
        return redirect(
            request, path, "Campaign {code} is cancelled. Its leads are still being closed; that goes on by itself.",
            code=code,
        )
    return redirect(
        request, path,
        "Campaign {code} is cancelled: {n} lead is closed.|Campaign {code} is cancelled: {n} leads are closed.",
        code=code, n=done.closed_leads,
    )


def _show_cancel(
    request: Request, runtime: Runtime, key: str, form: Mapping[str, str], errors: Mapping[str, str],
    status: int = HTTPStatus.OK,
) -> Response:
    def read(connection: Connection) -> tuple[Campaign, Pulse]:
        campaign = _find_campaign(connection, key)
        if campaign.status is CampaignStatus.CANCELLED:
            raise Conflict(f"campaign {campaign.code} is cancelled already, and for good; create a new one")
        return campaign, screens.read_pulse(connection, [campaign.id], screen_of(request).now, alone=True)

    campaign, pulse = runtime.database.read(read)
    counted = runtime.counts.of_campaign(campaign.id).value
    return render(
        request, "campaign_cancel.html", status=status, campaign=campaign, totals=counted, pulse=pulse, form=form,
        errors=errors, path_of=campaign_path(campaign.code, campaign.id),
    )


# --- settings -------------------------------------------------------------------------------------


@router.get("/campaigns/{key}/settings")
def show_settings(request: Request, caller: Reader, runtime: RuntimeOf, key: str, mode: str = "") -> Response:
    require_everything(caller)
    row = runtime.database.read(lambda connection: _find(connection, key)[1])
    return _show_form(request, runtime, row, {}, {}, as_json=mode == "json")


@router.post("/campaigns/{key}/settings")
def edit_settings(request: Request, caller: Operator, runtime: RuntimeOf, key: str, form: FormOf) -> Response:
    """Three steps of one form: `edit` shows it again, `preview` shows what would change, `save` changes it."""
    require_everything(caller)
    screen = screen_of(request)
    campaign, row = runtime.database.read(lambda connection: _find(connection, key))
    as_json, step = "call_settings" in form, form.get("step", "preview")
    if step == "edit":
        return _show_form(request, runtime, row, form, {}, as_json=as_json)
    document = _usable(row["call_settings"])
    draft = settings_form.read_form(form, row, document, screen.config, as_json=as_json)
    unprocessable = HTTPStatus.UNPROCESSABLE_ENTITY
    if draft.errors:
        return _show_form(request, runtime, row, form, draft.errors, as_json=as_json, status=unprocessable)
    if form.get("seen") != seen_as(row):
        return _show_form(
            request, runtime, row, form, {}, as_json=as_json, status=HTTPStatus.CONFLICT,
            overtaken=runtime.database.read(lambda connection: screens.find_last_edit(connection, campaign.id)) or {},
        )
    try:
        edited = control.edit_campaign(
            campaign.code, draft.plan, dry_run=step != "save", reason=_reason(form),
            told=Patience(EFFECT_PATIENCE if step == "save" else 0), runtime=runtime,
        )
    except (InvalidValue, NotFound) as error:
        return _show_form(
            request, runtime, row, form, _errors_of(error), as_json=as_json, status=unprocessable
        )
    if step == "save":
        return _saved(request, row, edited)
    count = None
    if not edited.effect.is_exact:
        count = counts_of(request).start(
            _question(row, form), caller.actor, lambda told: control.edit_campaign(
                campaign.code, draft.plan, dry_run=True, told=told, runtime=runtime
            ), wait=EFFECT_PATIENCE,
        )
    return _show_preview(request, row, form, draft, edited, count)


@router.get("/campaigns/{key}/settings/effect/{question}")
def show_effect(
    request: Request, caller: Operator, runtime: RuntimeOf, key: str, question: Annotated[str, Path(max_length=64)]
) -> Response:
    """How far the count of a preview is."""
    require_everything(caller)
    row = runtime.database.read(lambda connection: _find(connection, key)[1])
    count = counts_of(request).find(question, caller.actor)
    return render(
        request, "campaign_effect.html", status=200 if count else 404, row=row, count=count,
        effect=count.effect if count else None, path_of=campaign_path(row["code"], row["id"]),
    )


def counts_of(request: Request) -> EffectCounts:
    """Of this process."""
    found: EffectCounts = request.app.state.effect_counts
    return found


def _question(row: Mapping[str, Any], form: Mapping[str, str]) -> str:
    """The same for the same settings of the same campaign: asked again, one count answers."""
    asked = sorted((name, text) for name, text in form.items() if name not in NOT_SETTINGS)
    return hashlib.sha256(json.dumps([seen_as(row), asked]).encode()).hexdigest()[:32]


def _saved(request: Request, row: Mapping[str, Any], edited: Edited) -> Response:
    path = campaign_path(row["code"], row["id"])
    if not edited.changes:
        return redirect(request, path, "Nothing was changed.", kind="warning")
    if not edited.effect.is_exact:
        share = words.write_share(screen_of(request).language, edited.effect.share)
        return redirect(
            request, path, "Campaign {code} is changed: about {share} of {waiting} planned calls move.",
            code=row["code"], share=share, waiting=edited.waiting,
        )
    if edited.waiting:
        return redirect(
            request, path,
            "Campaign {code} is changed: {n} of {waiting} planned calls moves."
            "|Campaign {code} is changed: {n} of {waiting} planned calls move.",
            code=row["code"], n=edited.moved, waiting=edited.waiting,
        )
    return redirect(request, path, "Campaign {code} is changed.", code=row["code"])


def _show_preview(
    request: Request, row: Mapping[str, Any], form: Mapping[str, str], draft: Draft, edited: Edited, count: Count | None
) -> Response:
    kept = {name: text for name, text in form.items() if name not in NOT_SETTINGS}
    language = screen_of(request).language
    return render(
        request, "campaign_preview.html", row=row, edited=edited, changes=list(_spell_out(edited)), kept=kept,
        path_of=campaign_path(row["code"], row["id"]), plan=draft.plan, count=count,
        effect=count.effect if count and count.effect.looked_at else edited.effect,
        closed=[words.name_day(language, day) for day in edited.closed_days], nights=edited.nights,
    )


def _show_new(request: Request, form: Mapping[str, str], plan: CampaignPlan, preview: Preview) -> Response:
    language = screen_of(request).language
    return render(
        request, "campaign_new.html", plan=plan, kept={n: t for n, t in form.items() if n not in NOT_SETTINGS},
        hours=[speak_windows(language, one) for one in preview.windows], nights=preview.nights,
        closed=[words.name_day(language, day) for day in preview.closed_days],
    )


def _spell_out(edited: Edited) -> list[tuple[str, str | None, str | None]]:
    """(what, before, after) of each change, the settings key by key."""
    found: list[tuple[str, str | None, str | None]] = []
    for name, (before, after) in edited.changes.items():
        if name != "call_settings":
            found.append((name, _plain(before), _plain(after)))
            continue
        if not isinstance(before, dict | None) or not isinstance(after, dict | None):
            found.append((name, _plain(before), _plain(after)))
            continue
        old, new = before or {}, after or {}
        found += [
            (f"call_settings.{key}", _plain(old.get(key)), _plain(new.get(key)))
            for key in sorted({*old, *new}) if old.get(key) != new.get(key)
        ]
    return found


def _plain(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def seen_as(row: Mapping[str, Any]) -> str:
    """What a form was made from: it must be the same when the form comes back."""
    parts = [str(row[name]) for name in (
        "id", "name", "description", "priority", "provider", "account_id", "group_name", "fecha_limite", "call_settings"
    )]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _usable(text: str | None) -> dict[str, Any] | None:
    try:
        return settings_form.read_document(text)
    except InvalidSettings:
        return None


def _show_form(
    request: Request, runtime: Runtime, row: Mapping[str, Any] | None, form: Mapping[str, str],
    errors: Mapping[str, str], *, as_json: bool = False, status: int = HTTPStatus.OK,
    overtaken: Mapping[str, Any] | None = None,
) -> Response:
    """The form with what was typed, or else with what is in the tables."""
    screen = screen_of(request)
    broken = None
    document: dict[str, Any] | None = {}
    if row is not None:
        try:
            document = settings_form.read_document(row["call_settings"])
        except InvalidSettings as error:
            document, broken, as_json = None, list(error.problems), True
    values = settings_form.plain_values(row)
    values |= settings_form.field_values(document or {}, screen.config)
    values["call_settings"] = (
        json.dumps(document, ensure_ascii=False, indent=2) if document is not None else row["call_settings"]  # type: ignore[index]
    ) if document or row is not None else ""
    if as_json:
        errors = _about_json(errors)
    policy = Policy(screen.config)
    accounts = runtime.database.read(lambda connection: screens.list_accounts_of(connection, MOST_ACCOUNTS))
    return render(
        request, "campaign_form.html", status=int(status), row=row, values={**values, **form}, errors=dict(errors),
        as_json=as_json, broken=broken, overtaken=overtaken, days=settings_form.DAYS, outcomes=RETRYABLE_OUTCOMES,
        providers=PROVIDER_NAMES, default_provider=runtime.default_provider, presets=sorted(PRESETS),
        zones=_zones(),
        accounts=accounts, policy=policy, seen=seen_as(row) if row is not None else "",
        own_hours=", ".join(speak_windows(screen.language, one.windows) for one in hours_of(policy, screen.now).rules),
        path_of=campaign_path(row["code"], row["id"]) if row is not None else "/campaigns",
    )


def _about_json(errors: Mapping[str, str]) -> dict[str, str]:
    """What is wrong within the document is said beside it, where it has no field of its own."""
    found = {name: said for name, said in errors.items() if name in (*settings_form.PLAIN, "call_settings", "")}
    inside = [f"{name}: {said}" for name, said in errors.items() if name not in found]
    if inside:
        found["call_settings"] = "; ".join(inside)
    return found


@lru_cache(maxsize=1)
def _zones() -> list[str]:
    """To choose from; any other name that the zone database knows can be written too."""
    return sorted(one for one in available_timezones() if "/" in one and not one.startswith("Etc/"))


# --- finding --------------------------------------------------------------------------------------


def _find_campaign(connection: Connection, key: str) -> Campaign:
    found = store.find_campaign(connection, key)
    if found is None:
        raise NotFound("campaign", key[:64])
    return found


def _find(connection: Connection, key: str) -> tuple[Campaign, Mapping[str, Any]]:
    campaign = _find_campaign(connection, key)
    row = screens.find_campaign(connection, campaign.id)
    if row is None:
        raise NotFound("campaign", key[:64])
    return campaign, row


def _code_of(runtime: Runtime, key: str) -> str:
    return runtime.database.read(lambda connection: _find_campaign(connection, key)).code


def _path(runtime: Runtime, code: str) -> str:
    campaign = runtime.database.read(lambda connection: _find_campaign(connection, code))
    return campaign_path(campaign.code, campaign.id)


def _reason(form: Mapping[str, str]) -> str | None:
    return form.get("reason", "").strip() or None


def _errors_of(error: Exception) -> dict[str, str]:
    if isinstance(error, InvalidValue):
        return settings_form.errors_of(error)
    if isinstance(error, NotFound) and error.what == "account":
        return {"account": str(error)}
    if isinstance(error, Conflict):
        return {"code": str(error)}
    return {"": str(error)}
