"""`/api/v1/daemons`: the processes that call, and what they are asked to do."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, Any

from fastapi import Path, Query, Request, Response
from pydantic import StringConstraints

from scheduler.model import DaemonWish
from scheduler.service import control
from scheduler.service.recovery import release_recovery
from scheduler.service.rulebook import RuleBook
from scheduler.service.runtime import Runtime
from scheduler.store import recoveries, reports
from scheduler.web.access import Operator, Reader, RuntimeOf
from scheduler.web.api.asked import NO_REASON, Flag
from scheduler.web.api.models import DaemonAsked, DaemonItem, DaemonList, RecoveryItem, RecoveryList, Why
from scheduler.web.api.route import noun
from scheduler.web.problems import responses
from scheduler.web.reach import require_everything
from scheduler.web.replies import Limit, tagged

router = noun("daemons")
DaemonKey = Annotated[
    str, StringConstraints(min_length=1, max_length=96, pattern=r"^[^\x00/]+$"),
    Path(description="Its id, its owner name, or the beginning of that", examples=["3"]),
]


@router.get("/daemons", response_model=DaemonList, operation_id="list_daemons", responses=responses(304))
def list_daemons(
    request: Request, caller: Reader, runtime: RuntimeOf,
    stopped: Annotated[Flag, Query(description="Also those that have stopped")] = "false",
    limit: Limit = 50,
) -> Response:
    """Daemons, newest first."""
    require_everything(caller)
    now, silent = runtime.clock.now(), silent_after(runtime)
    rows = runtime.database.read(
        lambda connection: reports.list_all_daemons(connection, with_stopped=stopped == "true", limit=limit)
    )
    return tagged(request, DaemonList(items=[
        DaemonItem.model_validate({
            **row, "silent": row["status"] != "stopped" and now - row["last_seen_at"] > silent
        })
        for row in rows
    ]))


@router.post(
    "/daemons/{daemon}/pause", response_model=DaemonAsked, operation_id="pause_daemon", responses=responses(404)
)
def pause_daemon(caller: Operator, runtime: RuntimeOf, daemon: DaemonKey, body: Why = NO_REASON) -> Any:
    """Let a daemon take nothing new, from its next tick on. It goes on following live calls."""
    return steer(runtime, caller, daemon, DaemonWish.PAUSE, body.reason)


@router.post(
    "/daemons/{daemon}/resume", response_model=DaemonAsked, operation_id="resume_daemon", responses=responses(404)
)
def resume_daemon(caller: Operator, runtime: RuntimeOf, daemon: DaemonKey, body: Why = NO_REASON) -> Any:
    """Let a paused daemon go on."""
    return steer(runtime, caller, daemon, DaemonWish.RUN, body.reason)


@router.post(
    "/daemons/{daemon}/drain", response_model=DaemonAsked, operation_id="drain_daemon", responses=responses(404)
)
def drain_daemon(caller: Operator, runtime: RuntimeOf, daemon: DaemonKey, body: Why = NO_REASON) -> Any:
    """Let a daemon take nothing new, and end when its calls are over or another daemon follows them."""
    return steer(runtime, caller, daemon, DaemonWish.DRAIN, body.reason)


@router.get("/recovery", response_model=RecoveryList, operation_id="list_recoveries", responses=responses(304))
def list_recoveries(request: Request, caller: Reader, runtime: RuntimeOf, limit: Limit = 50) -> Response:
    """When the database was found to be older than what was done, newest first. One that is not released holds
    everything."""
    require_everything(caller)
    found = runtime.database.read(lambda connection: recoveries.list_recoveries(connection, limit))
    return tagged(request, RecoveryList(items=[RecoveryItem.model_validate(asdict(one)) for one in found]))


@router.post(
    "/recovery/release", response_model=RecoveryItem, operation_id="release_recovery", responses=responses(409)
)
def release(caller: Operator, runtime: RuntimeOf, body: Why = NO_REASON) -> Any:
    """Let calls be taken again, once somebody has looked for calls since `newest_at` at the provider: who was called
    then is called again otherwise."""
    require_everything(caller)
    release_recovery(body.reason, runtime=runtime)
    [newest] = runtime.database.read(lambda connection: recoveries.list_recoveries(connection, 1))
    return RecoveryItem.model_validate(asdict(newest))


def steer(runtime: Runtime, caller: Any, daemon: str, wanted: DaemonWish, reason: str | None) -> DaemonAsked:
    require_everything(caller)
    owner = control.steer_daemon(
        daemon, wanted, silent_after=silent_after(runtime), reason=reason, runtime=runtime
    )
    return DaemonAsked(owner=owner, wanted=wanted)


def silent_after(runtime: Runtime) -> timedelta:
    """After how long without a word a daemon is taken for gone."""
    config = runtime.database.read(lambda connection: RuleBook().read(connection)).config
    return timedelta(seconds=config.get("alert_silent_seconds", 60))
