"""`/api/v1/campaigns`: made, seen, edited with the effect shown first, paused, resumed, ended."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Query, Request, Response
from fastapi.responses import JSONResponse

from scheduler.errors import InvalidSettings, NotFound
from scheduler.model import CampaignStatus
from scheduler.rules.policy import read_call_settings
from scheduler.service import control
from scheduler.service.effects import Patience
from scheduler.service.runtime import Runtime
from scheduler.store import listings
from scheduler.store.calls import to_campaign_status
from scheduler.store.database import Connection
from scheduler.store.totals import find_campaign
from scheduler.web.access import Caller, Operator, Reader, RuntimeOf
from scheduler.web.api.asked import (
    NO_REASON,
    CampaignKey,
    Flag,
    Search,
    as_json,
    by_id,
    figures,
    found,
    plain,
    read_list,
)
from scheduler.web.api.models import (
    NO_NUL,
    CampaignCancel,
    CampaignCancelled,
    CampaignEdit,
    CampaignEffect,
    CampaignFull,
    CampaignItem,
    CampaignNew,
    CampaignPreview,
    CampaignState,
    CampaignSummary,
    Change,
    OpenCall,
    PausedAll,
    ResumedAll,
    Why,
)
from scheduler.web.api.route import noun
from scheduler.web.problems import Refusal, responses
from scheduler.web.reach import reached_campaign, require_account, require_everything
from scheduler.web.replies import Cursor, Limit, Page, is_stale, paged, read_cursor, tag_of, tagged

EFFECT_PATIENCE = 10.0
"""Seconds that planned calls are counted for; whoever asks waits, and their proxy may not for long."""
router = noun("campaigns")
Group = Annotated[str | None, Query(min_length=1, max_length=64, pattern=NO_NUL)]
OfAccount = Annotated[str | None, Query(min_length=1, max_length=64, pattern=NO_NUL, description="Code or id")]


@router.get("/campaigns", response_model=Page[CampaignItem], operation_id="list_campaigns", responses=responses(404))
def list_campaigns(
    caller: Reader, runtime: RuntimeOf, status: CampaignStatus | None = None, account: OfAccount = None,
    group: Group = None, search: Search = None, limit: Limit = 50, cursor: Cursor = None,
) -> Any:
    """Campaigns, newest first. `search` is a part of a name or code, or an id."""
    place = read_cursor(cursor, int)
    rows = read_list(runtime, caller, None, account, lambda connection, account_id, campaign_id: (
        listings.list_campaigns_page(
            connection, account_id=account_id, status=status, group=group, search=search,
            before=place[0] if place else None, limit=limit,
        )
    ))
    return paged(rows, limit, by_id)


@router.post(
    "/campaigns", response_model=CampaignFull, status_code=201, operation_id="create_campaign",
    responses={200: {"model": CampaignPreview, "description": "A dry run: what it would be like"}, **responses(404)},
)
def create_campaign(
    caller: Operator, runtime: RuntimeOf, body: CampaignNew, response: Response,
    dry_run: Annotated[Flag, Query(description="Say what it would be like, write nothing")] = "false",
) -> Any:
    """Make a campaign. Its code is made up when left out. A dry run says in which hours it would call."""
    if dry_run == "true":
        found = control.preview_campaign(control.CampaignPlan(
            name=body.name, description=body.description, priority=body.priority, provider=body.provider,
            account=own_account(runtime, caller, body.account), group=body.group, call_settings=body.call_settings,
            deadline=body.deadline, deadline_days=body.deadline_days,
        ), code=body.code, runtime=runtime)
        return JSONResponse(CampaignPreview(
            dry_run=True, hours=[one.spoken() for one in found.windows], closed_days=list(found.closed_days),
            nights=list(found.nights),
        ).model_dump())
    code = control.create_campaign(
        body.name, code=body.code, description=body.description, priority=body.priority, provider=body.provider,
        call_settings=body.call_settings, account=own_account(runtime, caller, body.account), group=body.group,
        deadline=body.deadline, deadline_days=body.deadline_days, paused=body.paused, runtime=runtime,
    )
    made = read_campaign_full(runtime, reached_campaign(runtime, caller, code).id)
    response.headers["Location"] = f"/api/v1/campaigns/{made.id}"
    return made


@router.get(
    "/campaigns/{campaign}", response_model=CampaignFull, operation_id="read_campaign", responses=responses(304, 404)
)
def read_campaign(request: Request, caller: Reader, runtime: RuntimeOf, campaign: CampaignKey) -> Response:
    """One campaign with its settings as they are written. Its ETag is what If-Match of an edit means."""
    return tagged(request, read_campaign_full(runtime, reached_campaign(runtime, caller, campaign).id))


@router.patch(
    "/campaigns/{campaign}", response_model=CampaignEffect, operation_id="edit_campaign", responses=responses(404, 412)
)
def edit_campaign(
    request: Request, caller: Operator, runtime: RuntimeOf, campaign: CampaignKey, body: CampaignEdit,
    dry_run: Annotated[Flag, Query(description="Say what would change, write nothing")] = "false",
) -> Any:
    """Change a campaign, all that is named or nothing, and say what that does to the calls that are planned.

    So many planned calls that they are not counted within 10 seconds are estimated from those that are due first: then
    `exact` is false.

    With the header `If-Match` (the ETag of the campaign as it was read) it is refused (412) once somebody else has
    changed the campaign.
    """
    known = reached_campaign(runtime, caller, campaign)

    def only_if(connection: Connection) -> None:
        row = listings.find_campaign_row(connection, known.id)
        if is_stale(request.headers.get("if-match"), tag_of(to_campaign_full(row, known.id))):
            raise Refusal(HTTPStatus.PRECONDITION_FAILED, "the campaign was changed meanwhile; read it again")

    plan = control.CampaignPlan(
        name=body.name, description=body.description, priority=body.priority, provider=body.provider,
        account=own_account(runtime, caller, body.account, is_new=False), group=body.group,
        call_settings=body.call_settings, set_values=body.set or {}, deadline=body.deadline,
        deadline_days=body.deadline_days, no_deadline=body.no_deadline,
    )
    done = control.edit_campaign(
        known.code, plan, dry_run=dry_run == "true", reason=body.reason, only_if=only_if,
        told=Patience(EFFECT_PATIENCE), runtime=runtime,
    )
    effect = done.effect
    return CampaignEffect(
        code=done.code, dry_run=dry_run == "true", waiting=effect.waiting, moved=effect.moved,
        exact=effect.is_exact, looked_at=effect.looked_at, never=effect.never, first_at=effect.first_at,
        last_at=effect.last_at, closed_days=list(done.closed_days), nights=list(done.nights),
        changes=[Change(field=name, before=plain(old), after=plain(new)) for name, (old, new) in done.changes.items()],
    )


@router.get(
    "/campaigns/{campaign}/summary", response_model=CampaignSummary, operation_id="read_campaign_summary",
    responses=responses(304, 404),
)
def read_summary(request: Request, caller: Reader, runtime: RuntimeOf, campaign: CampaignKey) -> Response:
    """How a campaign is doing, made for polling. `counted_at` says of when the figures are."""
    row = found(runtime.database.read(lambda connection: find_campaign(connection, campaign)), "campaign", campaign)
    if caller.account_id is not None and row.account_id != caller.account_id:
        raise NotFound("campaign", campaign)
    counted = runtime.counts.of_campaign(row.id)
    return tagged(request, CampaignSummary(
        id=row.id, code=row.code, name=row.name, status=to_campaign_status(row.status), status_reason=row.status_reason,
        account_id=row.account_id, priority=row.priority, created_at=row.created_at, started_at=row.started_at,
        completed_at=row.completed_at, totals=figures(counted.value), counted_at=counted.at,
    ), volatile=("counted_at",))


@router.post(
    "/campaigns/{campaign}/pause", response_model=CampaignState, operation_id="pause_campaign", responses=responses(404)
)
def pause_campaign(caller: Operator, runtime: RuntimeOf, campaign: CampaignKey, body: Why = NO_REASON) -> Any:
    """Place no more calls of a campaign until it is resumed. Calls in progress go on."""
    known = reached_campaign(runtime, caller, campaign)
    code = control.pause_campaign(known.code, reason=body.reason, runtime=runtime)
    return CampaignState(code=code, status=CampaignStatus.PAUSED, message=f"campaign {code} is paused")


@router.post(
    "/campaigns/{campaign}/resume", response_model=CampaignState, operation_id="resume_campaign",
    responses=responses(404),
)
def resume_campaign(caller: Operator, runtime: RuntimeOf, campaign: CampaignKey, body: Why = NO_REASON) -> Any:
    """Go on with a paused campaign."""
    known = reached_campaign(runtime, caller, campaign)
    code = control.resume_campaign(known.code, reason=body.reason, runtime=runtime)
    return CampaignState(code=code, status=CampaignStatus.ACTIVE, message=f"campaign {code} goes on")


@router.post(
    "/campaigns/{campaign}/cancel", response_model=CampaignCancelled, operation_id="cancel_campaign",
    responses=responses(404),
)
def cancel_campaign(caller: Operator, runtime: RuntimeOf, campaign: CampaignKey, body: CampaignCancel) -> Any:
    """End a campaign for good: nothing more is dialed, and its leads are closed. It cannot be undone."""
    known = reached_campaign(runtime, caller, campaign)
    done = control.cancel_campaign(known.code, body.reason, hang_up=body.hangup, runtime=runtime)
    return CampaignCancelled(
        code=done.code, closed_leads=done.closed_leads, hung_up=done.hung_up,
        still_open=[
            OpenCall(attempt_id=one.attempt_id, lead_id=one.lead_id, state=one.state)
            for one in done.still_open
        ],
    )


@router.post("/pause-all", response_model=PausedAll, operation_id="pause_all")
def pause_all(caller: Operator, runtime: RuntimeOf, body: Why = NO_REASON) -> Any:
    """Place no calls at all, of no campaign and of leads without one, until everything is resumed."""
    require_everything(caller)
    return PausedAll(paused=list(control.pause_all(reason=body.reason, runtime=runtime)))


@router.post("/resume-all", response_model=ResumedAll, operation_id="resume_all")
def resume_all(caller: Operator, runtime: RuntimeOf, body: Why = NO_REASON) -> Any:
    """Go on after pausing everything. Campaigns that were paused by themselves stay so."""
    require_everything(caller)
    done = control.resume_all(reason=body.reason, runtime=runtime)
    return ResumedAll(resumed=list(done.resumed), still_paused=list(done.still_paused))


def read_campaign_full(runtime: Runtime, campaign_id: int) -> CampaignFull:
    return to_campaign_full(
        runtime.database.read(lambda connection: listings.find_campaign_row(connection, campaign_id)), campaign_id
    )


def to_campaign_full(row: dict[str, Any] | None, campaign_id: int) -> CampaignFull:
    row = found(row, "campaign", campaign_id)
    problem = None
    try:
        read_call_settings(row["call_settings"], f"campaign {row['code']}")
    except InvalidSettings as error:
        problem = str(error)
    return CampaignFull.model_validate(
        {**row, "call_settings": as_json(row["call_settings"]), "settings_problem": problem}
    )


def own_account(runtime: Runtime, caller: Caller, key: str | None, *, is_new: bool = True) -> str | None:
    """The account of a campaign as its maker may name it: a key of one account makes campaigns of that one.

    Raises NotFound for another account, Refusal for one that would let its campaign be nobody's.
    """
    if caller.account_id is None:
        return key
    if key == "":
        raise Refusal(HTTPStatus.FORBIDDEN, "a key of one account cannot give its campaign away")
    if key is None:
        if not is_new:
            return None
        key = str(caller.account_id)
    account = key
    # By its code: the id of one account may be the code of another.
    return runtime.database.read(lambda connection: require_account(connection, caller, account)).code
