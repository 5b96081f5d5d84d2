"""The overview: how it goes, what needs somebody now, and how to stop everything in a hurry."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from scheduler.errors import Conflict
from scheduler.service import control
from scheduler.web.access import Operator, Reader, RuntimeOf
from scheduler.web.pages.base import FormOf, redirect, render, screen_of
from scheduler.web.pages.figures import (
    SHOWN_ALERTS,
    alert_address,
    memory_of,
    number_due,
    read_glance,
    texts_of,
)
from scheduler.web.reach import require_everything

router = APIRouter()


@router.get("/")
def show_overview(request: Request, caller: Reader, runtime: RuntimeOf) -> Response:
    if caller.kind == "user" and caller.account_id is not None:
        return RedirectResponse("/leads", status_code=303)  # the first page of what they see
    require_everything(caller)
    screen, memory = screen_of(request), memory_of(request.app)
    glance = read_glance(runtime, memory.rulebook, screen.now)
    screen.take(glance.config)
    return render(
        request, "overview.html", glance=glance, texts=texts_of(glance, screen.language),
        due=number_due(glance.pulse, screen.language), alerts=memory.alerts.peek(), shown=SHOWN_ALERTS,
        alert_address=alert_address,
    )


@router.get("/alerts")
def show_alerts(request: Request, caller: Reader) -> Response:
    """Every alert. The overview fetches its list from here when nobody has read them lately."""
    require_everything(caller)
    memory = memory_of(request.app)
    found = memory.alerts.read()
    if memory.alerts.looked_at is not None:
        screen_of(request).take(memory.rulebook.config, memory.alerts.looked_at)
    return render(request, "alerts.html", alerts=found, alert_address=alert_address)


@router.get("/pause")
def ask_to_pause(request: Request, caller: Operator) -> Response:
    require_everything(caller)
    return render(request, "pause.html")


@router.post("/pause")
def pause_everything(request: Request, caller: Operator, runtime: RuntimeOf, form: FormOf) -> Response:
    require_everything(caller)
    paused = control.pause_all(reason=form.get("reason", "").strip() or None, runtime=runtime)
    memory_of(request.app).alerts.forget()
    return redirect(
        request, "/",
        "Everything is paused. {n} campaign was running.|Everything is paused. {n} campaigns were running.",
        n=len(paused),
    )


@router.get("/resume")
def ask_to_resume(request: Request, caller: Operator) -> Response:
    require_everything(caller)
    screen = screen_of(request)
    return render(
        request, "confirm.html", title=screen.say("Resume everything"),
        sentence=screen.say(
            "Calls are placed again at once. Campaigns that were paused by themselves before stay paused."
        ),
        action="/resume", button=screen.say("Resume everything"), back="/",
    )


@router.post("/resume")
def resume_everything(request: Request, caller: Operator, runtime: RuntimeOf, form: FormOf) -> Response:
    require_everything(caller)
    try:
        done = control.resume_all(reason=form.get("reason", "").strip() or None, runtime=runtime)
    except Conflict:
        return redirect(request, "/", "Nothing was paused: calls are being placed.", kind="warning")
    memory_of(request.app).alerts.forget()
    if done.still_paused:
        return redirect(
            request, "/",
            "Calls are placed again; {n} campaign goes on. Still paused by themselves: {codes}"
            "|Calls are placed again; {n} campaigns go on. Still paused by themselves: {codes}",
            n=len(done.resumed), codes=", ".join(done.still_paused[:10]),
        )
    return redirect(
        request, "/", "Calls are placed again; {n} campaign goes on.|Calls are placed again; {n} campaigns go on.",
        n=len(done.resumed),
    )
