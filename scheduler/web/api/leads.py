"""`/api/v1/leads`: the people to call, one by one and all that match."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Query, Response

from scheduler.errors import Conflict, InvalidValue, NotFound
from scheduler.model import CallStatus, LeadStatus
from scheduler.service import control, operations
from scheduler.service.control import Bulk
from scheduler.service.erasure import erase_person
from scheduler.service.explain import explain_lead
from scheduler.service.runtime import Runtime
from scheduler.store import listings, reports
from scheduler.store.leads import LeadFilter, list_matching
from scheduler.web.access import Admin, Caller, Operator, Reader, RuntimeOf
from scheduler.web.api.asked import (
    NEWEST,
    NO_REASON,
    Flag,
    LeadId,
    OfCampaign,
    Search,
    WholeId,
    as_json,
    by_id,
    found,
    plain,
    read_list,
)
from scheduler.web.api.models import (
    AnswerItem,
    ExplanationItem,
    InstantOrWall,
    LeadAdded,
    LeadClose,
    LeadFilters,
    LeadFull,
    LeadItem,
    LeadNew,
    LeadsBulk,
    LeadsChanged,
    LeadsCount,
    LeadState,
    MustSayWhy,
    Said,
    Step,
    Why,
)
from scheduler.web.api.route import noun
from scheduler.web.problems import Refusal, responses
from scheduler.web.reach import reached_campaign, reached_lead, require_everything
from scheduler.web.replies import Cursor, Limit, Page, paged, read_cursor

router = noun("leads")
CLOSE_BY_HAND = LeadClose()
Manual = Annotated[Flag | None, Query(description="Only those managed by hand, or only the others")]


@router.get("/leads", response_model=Page[LeadItem], operation_id="list_leads", responses=responses(404))
def list_leads(
    caller: Reader, runtime: RuntimeOf, campaign: OfCampaign = None, status: LeadStatus | None = None,
    call_status: CallStatus | None = None, manual: Manual = None,
    import_id: WholeId | None = None, search: Search = None, limit: Limit = 50,
    cursor: Cursor = None,
) -> Any:
    """Leads, newest first.

    `search` is a number (whole, its beginning or its last digits, also in national form), an id, words of a name or
    their beginnings, with or without accents, an e-mail, or the value of a variable that is searchable. A page may be
    short or empty and still have a `next_cursor`: then the rows looked at held no more matches, and others do.
    """
    place = read_cursor(cursor, int)
    rows = read_list(runtime, caller, campaign, None, lambda connection, account_id, campaign_id: (
        listings.list_leads_page(
            connection, account_id=account_id, campaign_id=campaign_id, status=status, search=search,
            manual=None if manual is None else manual == "true", call_status=call_status, import_id=import_id,
            before=place[0] if place else None, limit=limit,
        )
    ))
    return paged(rows, limit, by_id)


@router.post("/leads", response_model=LeadAdded, status_code=201, operation_id="create_lead", responses=responses(404))
def create_lead(caller: Operator, runtime: RuntimeOf, body: LeadNew, response: Response) -> Any:
    """Add a lead with its numbers, in the order in which they are dialed, and plan its first call."""
    campaign = reached_campaign(runtime, caller, body.campaign).code if body.campaign is not None else None
    if campaign is None:
        require_everything(caller)
    lead_id = operations.add_lead(
        body.nombre, body.apellidos, body.phones, default_country=body.default_country, campaign=campaign,
        email=body.email, time_zone=body.time_zone, region=body.region, priority=body.priority,
        call_until=body.call_until, variables=body.variables, at=body.at, runtime=runtime,
    )
    response.headers["Location"] = f"/api/v1/leads/{lead_id}"
    row = read_row(runtime, lead_id)
    return LeadAdded(id=lead_id, lead_status=row["lead_status"], next_call_at=row["next_call_at"])


@router.get("/leads/{lead_id:int}", response_model=LeadFull, operation_id="read_lead", responses=responses(404))
def read_lead(caller: Reader, runtime: RuntimeOf, lead_id: LeadId) -> Any:
    """One lead with its phones, its plan, its calls and what happened to it."""
    reached_lead(runtime, caller, lead_id)
    row = read_row(runtime, lead_id)
    return LeadFull.model_validate({**row, "variables": as_json(row["variables"])})


@router.get(
    "/leads/{lead_id:int}/explain", response_model=ExplanationItem, operation_id="explain_lead",
    responses=responses(404), tags=["explain"],
)
def explain(
    caller: Reader, runtime: RuntimeOf, lead_id: LeadId,
    at: Annotated[InstantOrWall | None, Query(description="Ask about that time instead of now")] = None,
) -> Any:
    """Why a lead is called, or why not and when: every question that the daemon asks before it dials."""
    reached_lead(runtime, caller, lead_id)
    said = explain_lead(lead_id, at=at, runtime=runtime)
    return ExplanationItem(
        lead_id=said.lead_id, at=said.at, may_be_called=said.may_be_called, decided=said.decided,
        first_yes_at=said.first_yes_at, waiting_for=said.waiting_for, rule_version=said.rule_version,
        planned=plain(said.planned) if said.planned is not None else None,
        answers=[
            AnswerItem(
                question=one.question, verdict=one.word, reason=one.reason, values=plain(one.values),
                source=one.source or None, opens_at=one.opens_at,
            )
            for one in said.answers
        ],
        steps=[Step.model_validate(dict(one)) for one in said.steps],
    )


@router.post(
    "/leads/{lead_id:int}/close", response_model=LeadState, operation_id="close_lead", responses=responses(404)
)
def close_lead(caller: Operator, runtime: RuntimeOf, lead_id: LeadId, body: LeadClose = CLOSE_BY_HAND) -> Any:
    """Close a lead and cancel what was planned for it. A call in flight ends, and nothing follows it."""
    reached_lead(runtime, caller, lead_id)
    operations.close_lead(lead_id, reason=body.reason, runtime=runtime)
    return LeadState(id=lead_id, lead_status=LeadStatus.CLOSED, message=f"lead {lead_id} is closed")


@router.post(
    "/leads/{lead_id:int}/erase", response_model=Said, operation_id="erase_lead", responses=responses(404)
)
def erase_lead(caller: Admin, runtime: RuntimeOf, lead_id: LeadId, body: MustSayWhy) -> Any:
    """Erase a person: names, numbers, variables, transcripts and summaries. It cannot be undone.

    When calls were made, how they ended and what they cost stays, and so does an entry of the do-not-call list.
    """
    reached_lead(runtime, caller, lead_id)
    done = erase_person(lead_ids=[lead_id], reason=body.reason, runtime=runtime)
    listed = "; a number of theirs stays on the do-not-call list" if done.is_barred else ""
    return Said(message=f"lead {lead_id} is erased{listed}")


@router.post(
    "/leads/{lead_id:int}/reopen", response_model=LeadState, operation_id="reopen_lead", responses=responses(404)
)
def reopen_lead(caller: Operator, runtime: RuntimeOf, lead_id: LeadId, body: Why = NO_REASON) -> Any:
    """Open a closed or suspended lead again. A closed one gets a new first round; its history stays."""
    reached_lead(runtime, caller, lead_id)
    message = operations.reopen_lead(lead_id, reason=body.reason, runtime=runtime)
    return LeadState(id=lead_id, lead_status=LeadStatus.OPEN, message=message)


@router.post(
    "/leads/{lead_id:int}/suspend", response_model=LeadState, operation_id="suspend_lead", responses=responses(404)
)
def suspend_lead(caller: Operator, runtime: RuntimeOf, lead_id: LeadId, body: Why = NO_REASON) -> Any:
    """Stop calling a lead until it is resumed. Its plan is kept and held."""
    reached_lead(runtime, caller, lead_id)
    operations.suspend_lead(lead_id, reason=body.reason, runtime=runtime)
    return LeadState(id=lead_id, lead_status=LeadStatus.SUSPENDED, message=f"lead {lead_id} is suspended")


@router.post(
    "/leads/{lead_id:int}/resume", response_model=LeadState, operation_id="resume_lead", responses=responses(404)
)
def resume_lead(caller: Operator, runtime: RuntimeOf, lead_id: LeadId, body: Why = NO_REASON) -> Any:
    """Go on with a suspended lead where it was."""
    reached_lead(runtime, caller, lead_id)
    done = control.resume_leads(LeadFilter(ids=(lead_id,)), reason=body.reason, runtime=runtime)
    if not done.changed:
        raise Conflict(f"lead {lead_id} was left as it is: {', '.join(done.left)}")
    return LeadState(id=lead_id, lead_status=LeadStatus.OPEN, message=f"lead {lead_id} is resumed")


# --- all that match -------------------------------------------------------------------------------


@router.post("/leads/count", response_model=LeadsCount, operation_id="count_leads", responses=responses(404))
def count_leads(caller: Reader, runtime: RuntimeOf, body: LeadFilters) -> Any:
    """How many leads match: all of them, whatever a list shows at once."""
    return LeadsCount(matched=sum(
        control.count_leads(one, runtime=runtime) for one in filters_of(runtime, caller, body)
    ))


@router.post("/leads/bulk", response_model=LeadsChanged, operation_id="change_leads", responses=responses(404))
def change_leads(caller: Operator, runtime: RuntimeOf, body: LeadsBulk) -> Any:
    """Close, reopen, suspend or resume ALL leads that match. With `dry_run` they are counted and left as they are."""
    wanted = filters_of(runtime, caller, body.filter)
    if body.dry_run or body.expected is not None:
        matched = sum(control.count_leads(one, runtime=runtime) for one in wanted)
        if body.expected is not None and matched != body.expected:
            raise Refusal(
                HTTPStatus.CONFLICT,
                f"{matched} leads match, not {body.expected}; nothing was changed, look at them again",
            )
        if body.dry_run:
            return LeadsChanged(action=body.action, dry_run=True, matched=matched, changed=0, left={})
    change = ACTIONS[body.action]
    done = add_up([change(one, body.reason, runtime) for one in wanted])
    return LeadsChanged(
        action=body.action, dry_run=False, matched=done.matched, changed=done.changed, left=dict(done.left)
    )


ACTIONS: dict[str, Callable[[LeadFilter, str | None, Runtime], Bulk]] = {
    "close": lambda wanted, reason, runtime: control.close_leads(wanted, word=reason or "by_hand", runtime=runtime),
    "reopen": lambda wanted, reason, runtime: control.reopen_leads(wanted, note=reason, runtime=runtime),
    "suspend": lambda wanted, reason, runtime: control.suspend_leads(wanted, reason=reason, runtime=runtime),
    "resume": lambda wanted, reason, runtime: control.resume_leads(wanted, reason=reason, runtime=runtime),
}


def filters_of(runtime: Runtime, caller: Caller, asked: LeadFilters) -> list[LeadFilter]:
    """What matches, for this caller: one filter, or one for each campaign of their account.

    Raises InvalidValue for a filter that says nothing, NotFound for ids that there are none of.
    """
    campaign = reached_campaign(runtime, caller, asked.campaign) if asked.campaign is not None else None
    wanted = LeadFilter(
        ids=tuple(dict.fromkeys(asked.ids or ())), campaign_id=campaign.id if campaign else None, status=asked.status,
        closed_reason=asked.closed_reason, closed_since=asked.closed_since, call_status=asked.call_status,
        region=asked.region, phone_prefix=asked.phone_prefix, import_id=asked.import_id,
        variable=(asked.variable.name, asked.variable.value) if asked.variable else None,
        created_since=asked.created_since, created_before=asked.created_before,
    )
    if wanted.is_empty:
        raise InvalidValue("filter", "", "name leads by their ids, or say which with a filter")
    if caller.account_id is None or campaign is not None:
        return [wanted]
    account_id = caller.account_id
    own = runtime.database.read(lambda connection: listings.list_campaign_ids(connection, account_id))
    chosen = [replace(wanted, campaign_id=one) for one in own]
    if wanted == LeadFilter(ids=wanted.ids):
        matched = {one for each in chosen for one in match(runtime, each)}
        missing = sorted(set(wanted.ids) - matched)
        if missing:
            raise NotFound("lead", missing[0])
    return chosen


def match(runtime: Runtime, wanted: LeadFilter) -> Iterator[int]:
    yield from runtime.database.read(lambda connection: list_matching(connection, wanted))


def add_up(done: list[Bulk]) -> Bulk:
    left: Counter[str] = Counter()
    for one in done:
        left.update(one.left)
    return Bulk(sum(one.matched for one in done), sum(one.changed for one in done), dict(left))


def read_row(runtime: Runtime, lead_id: int) -> dict[str, Any]:
    row = runtime.database.read(lambda connection: reports.find_lead(connection, lead_id, limit=NEWEST))
    return found(row, "lead", lead_id)
