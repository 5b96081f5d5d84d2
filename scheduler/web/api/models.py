"""What `/api/v1` takes and gives, as the OpenAPI document says it.

Two promises hang on this file. What a request may hold is said here exactly, in types, bounds and patterns: what
breaks them is refused with 422 before anything is looked up, and what keeps them is never refused for its form.
What an answer holds is said here too, with the names of the columns, because those are the words that operators
know. A newcomer would write `str` and `int`: Pydantic would read "1" as 1, true as 1 and 0 as a date, and a NUL
byte or half a surrogate pair would fail only in the database.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    WithJsonSchema,
    model_validator,
)

from scheduler.model import (
    AttemptState,
    BillingType,
    CallStatus,
    CampaignStatus,
    DaemonDoing,
    DaemonWish,
    EntryKind,
    Hold,
    LeadStatus,
    Outcome,
    PhoneStatus,
    ScheduleStatus,
)
from scheduler.rules.alerts import AlertCode, Severity
from scheduler.rules.policy import PROVIDER_NAMES
from scheduler.web.api.settings import CallSettingsDocument, ConfigValues, Zone, as_whole

# --- what requests are made of --------------------------------------------------------------------

MOST_ID = 2**63 - 1
NO_NUL = r"^[^\x00]*$"
NOT_BLANK = r"^[^\x00]*[^\x00\s][^\x00]*$"
_DAY = (
    r"((0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])|(0[13-9]|1[0-2])-(29|30)|(0[13578]|1[02])-31)"
)
_YEAR = r"(19[89][0-9]|20[0-2][0-9]|203[0-6])"
_LEAP = r"(19(8[048]|9[26])|20([02][048]|[13][26]))-02-29"
DATE = rf"^({_YEAR}-{_DAY}|{_LEAP})$"
_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6})?)?"
_OFFSET = r"(Z|[+\-](0[0-9]|1[0-3]):[0-5][0-9])"
INSTANT = rf"^({_YEAR}-{_DAY}|{_LEAP})T{_TIME}{_OFFSET}$"
INSTANT_OR_WALL = rf"^({_YEAR}-{_DAY}|{_LEAP})T{_TIME}{_OFFSET}?$"
NUMBER = r"^\+?[0-9][0-9 ().\-/]{5,24}$"
AMOUNT = r"^(0|[1-9][0-9]{0,8})(\.[0-9]{1,4})?$"
POSITIVE_AMOUNT = r"^([1-9][0-9]{0,8}(\.[0-9]{1,4})?|0\.(0{0,3}[1-9]|0{0,2}[1-9][0-9]|0?[1-9][0-9]{2}|[1-9][0-9]{3}))$"
SIGNED_AMOUNT = POSITIVE_AMOUNT.replace("^(", "^[+\\-]?(")

Whole = BeforeValidator(as_whole)
Id = Annotated[StrictInt, Field(ge=1, le=MOST_ID), Whole]
Days = Annotated[StrictInt, Field(ge=0, le=3650), Whole]
Priority = Annotated[StrictInt, Field(ge=-(2**31), le=2**31 - 1), Whole]
Reason = Annotated[StrictStr, Field(min_length=1, max_length=255, pattern=NOT_BLANK, examples=["agents at lunch"])]
Name = Annotated[StrictStr, Field(min_length=1, max_length=255, pattern=NOT_BLANK)]
Line = Annotated[StrictStr, Field(max_length=255, pattern=NO_NUL)]
Key = Annotated[StrictStr, Field(min_length=1, max_length=64, pattern=NOT_BLANK)]
Code = Annotated[StrictStr, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._\-]*$")]
ClosedWord = Annotated[StrictStr, Field(min_length=1, max_length=64, pattern=NOT_BLANK, examples=["paid"])]
PhoneText = Annotated[StrictStr, Field(max_length=32, pattern=NUMBER, examples=["+56912345678"])]
Country = Annotated[StrictStr, Field(pattern="^[A-Z]{2}$", examples=["CL"])]
Region = Annotated[StrictStr, Field(max_length=16, pattern="^[A-Z]{2}(-[A-Z0-9]{1,8})?$", examples=["ES-CT"])]
Provider = Literal[*PROVIDER_NAMES]  # type: ignore[valid-type]
SaidOutcome = Literal[
    "completed", "callback", "no_answer", "busy", "hang_up", "voicemail", "failed", "invalid_number", "do_not_call",
]
"""What a person may say of a call; `cancelled` is ours to say."""


def _read_date(value: Any) -> Any:
    if not isinstance(value, str) or re.fullmatch(DATE[1:-1], value) is None:
        raise ValueError("write a date like 2027-03-01, from 1980 to 2036")
    return date.fromisoformat(value)


def _read_instant(value: Any) -> Any:
    if not isinstance(value, str) or re.fullmatch(INSTANT[1:-1], value) is None:
        raise ValueError("write an instant like 2027-03-01T15:00:00Z, from 1980 to 2036")
    return datetime.fromisoformat(value).astimezone(UTC)


def _read_wall(value: Any) -> Any:
    if not isinstance(value, str) or re.fullmatch(INSTANT_OR_WALL[1:-1], value) is None:
        raise ValueError("write a time like 2027-03-01T15:00:00Z or 2027-03-01T12:00, from 1980 to 2036")
    return datetime.fromisoformat(value)


Day = Annotated[
    date, BeforeValidator(_read_date), WithJsonSchema({"type": "string", "pattern": DATE, "examples": ["2027-03-01"]})
]
Instant = Annotated[
    datetime, BeforeValidator(_read_instant),
    WithJsonSchema({"type": "string", "pattern": INSTANT, "examples": ["2027-03-01T15:00:00Z"]}),
]
InstantOrWall = Annotated[
    datetime, BeforeValidator(_read_wall),
    WithJsonSchema({
        "type": "string", "pattern": INSTANT_OR_WALL, "examples": ["2027-03-01T15:00:00Z"],
        "description": "With an offset or Z an instant; without one the time on the lead's own clock",
    }),
]


Amount = Annotated[StrictStr, Field(pattern=AMOUNT, examples=["12.5"])]
PositiveAmount = Annotated[StrictStr, Field(pattern=POSITIVE_AMOUNT, examples=["12.5"])]
SignedAmount = Annotated[StrictStr, Field(pattern=SIGNED_AMOUNT, examples=["-12.5"])]


VariableName = Annotated[StrictStr, Field(min_length=1, max_length=64, pattern=NO_NUL)]
VariableText = Annotated[StrictStr, Field(max_length=1000)]
Variables = Annotated[
    dict[VariableName, VariableText | StrictInt | StrictBool | StrictFloat | None],
    Field(max_length=100),
    # Pydantic would say of names that break the pattern that they may be anything.
    WithJsonSchema({
        "type": "object", "maxProperties": 100, "examples": [{"plan": "gold", "debt": 120}],
        "propertyNames": {"minLength": 1, "maxLength": 64, "pattern": NO_NUL},
        "additionalProperties": {"anyOf": [
            {"type": "string", "maxLength": 1000}, {"type": "number"}, {"type": "boolean"}, {"type": "null"},
        ]},
    }),
]


class Body(BaseModel):
    """What a request holds: nothing that is not named here, and nothing that a database could not keep."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _check_text(cls, value: Any) -> Any:
        _refuse_unwritable(value)
        return value


def _refuse_unwritable(value: Any) -> None:
    if isinstance(value, str):
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise ValueError("a text holds half of a surrogate pair, which is no character")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError("NaN and Infinity are not JSON")
    elif isinstance(value, Mapping):
        for name, one in value.items():
            _refuse_unwritable(name)
            _refuse_unwritable(one)
    elif isinstance(value, Sequence) and not isinstance(value, bytes):
        for one in value:
            _refuse_unwritable(one)


class Why(Body):
    reason: Reason | None = None


class MustSayWhy(Body):
    reason: Reason


# --- campaigns ------------------------------------------------------------------------------------


class CampaignNew(Body):
    """A campaign to be made, active unless `paused`."""

    model_config = ConfigDict(json_schema_extra={"examples": [
        {"name": "Autumn survey", "code": "autumn", "call_settings": {"max_attempts": 5, "timezone": "America/Lima"}},
    ]})

    name: Name
    code: Code | None = None
    description: Annotated[StrictStr, Field(max_length=10_000, pattern=NO_NUL)] | None = None
    priority: Priority = 0
    provider: Provider | None = None
    account: Key | None = Field(None, description="Who pays: code or id")
    group: Key | None = None
    call_settings: CallSettingsDocument | None = None
    deadline: Day | None = Field(None, description="The last date to call")
    deadline_days: Days | None = Field(None, description="The same, from today")
    paused: StrictBool = False


class CampaignEdit(Body):
    """What is left out, or null, stays as it is; an empty text takes provider, account or group away."""

    model_config = ConfigDict(json_schema_extra={"examples": [
        {"set": {"max_attempts": 5, "allowed_hours": {"start": "10:00", "end": "19:00"}}, "reason": "fewer complaints"},
    ]})

    name: Name | None = None
    description: Annotated[StrictStr, Field(max_length=10_000, pattern=NO_NUL)] | None = None
    priority: Priority | None = None
    provider: Provider | Literal[""] | None = Field(None, description="Empty: that of the installation")
    account: Key | Literal[""] | None = Field(None, description="Code or id; empty: nobody pays")
    group: Key | Literal[""] | None = Field(None, description="Empty: none")
    call_settings: CallSettingsDocument | None = Field(None, description="In place of the whole document")
    set: CallSettingsDocument | None = Field(None, description="Single keys of call_settings; null takes one out")
    deadline: Day | None = None
    deadline_days: Days | None = None
    no_deadline: StrictBool = False
    reason: Reason | None = None


class CampaignCancel(Body):
    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "list withdrawn by the client"}]})

    reason: Reason
    hangup: StrictBool = Field(False, description="End its live calls now, instead of letting them finish")


class CampaignItem(BaseModel):
    id: int
    code: str
    name: str
    status: CampaignStatus
    status_reason: str | None
    priority: int
    provider: str | None
    dial_mode: str
    account_id: int | None
    group_name: str | None
    fecha_limite: date | None
    description: str | None
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None


class CampaignFull(CampaignItem):
    """`settings_problem` says what cannot be used of `call_settings`, after somebody changed it by SQL."""

    call_settings: JsonValue
    settings_problem: str | None


class Change(BaseModel):
    field: str
    before: JsonValue
    after: JsonValue


class CampaignEffect(BaseModel):
    """What an edit changes: of `waiting` planned calls `moved` get another time. Nothing is written by a dry run.

    Many planned calls are counted for some seconds only. Then `exact` is false, and `moved` is that of the first
    `looked_at` of `waiting`. The new times lie from `first_at` to `last_at`; `never` of the moved calls get none, and
    on `closed_days` (1 is Monday) the new hours call nobody.
    """

    code: str
    dry_run: bool
    changes: list[Change]
    waiting: int
    moved: int
    exact: bool
    looked_at: int
    never: int
    first_at: datetime | None = None
    last_at: datetime | None = None
    closed_days: list[int]


class CampaignState(BaseModel):
    code: str
    status: CampaignStatus
    message: str


class OpenCall(BaseModel):
    attempt_id: int
    lead_id: int
    state: AttemptState


class CampaignCancelled(BaseModel):
    """`still_open` are calls that go on to their end; nothing follows them."""

    code: str
    closed_leads: int
    hung_up: int
    still_open: list[OpenCall]


class Figures(BaseModel):
    """`pending` wait for the clock, `held_up` for people or money, `finished` are closed; `cost` as providers say."""

    leads: int
    open: int
    suspended: int
    unpaid: int
    pending: int
    held_up: int
    finished: int
    called: int
    reached: int
    unreached: int
    dials: int
    answered: int
    completed: int
    talk_seconds: int
    cost: Decimal
    progress: float = Field(description="Share of the leads that are closed, 0 to 1")


COUNTED_AT = Field(description="When the figures were true: half a minute ago at most, and of no later change")


class CampaignSummary(BaseModel):
    id: int
    code: str
    name: str
    status: CampaignStatus
    status_reason: str | None
    account_id: int | None
    priority: int
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    totals: Figures
    counted_at: datetime = COUNTED_AT


class PausedAll(BaseModel):
    paused: list[str] = Field(description="Codes of the campaigns that were running")


class ResumedAll(BaseModel):
    resumed: list[str]
    still_paused: list[str] = Field(description="Paused by themselves before, and so they stay")


# --- leads ----------------------------------------------------------------------------------------


class LeadNew(Body):
    model_config = ConfigDict(json_schema_extra={"examples": [
        {"nombre": "Ana", "apellidos": "Soto", "phones": ["+56912345678"], "campaign": "autumn",
         "variables": {"plan": "gold"}},
    ]})

    phones: Annotated[list[PhoneText], Field(min_length=1, max_length=20)]
    nombre: Line | None = None
    apellidos: Line | None = None
    email: Line | None = None
    campaign: Key | None = Field(None, description="Code or id")
    default_country: Country | None = Field(None, description="Of numbers without +")
    time_zone: Zone | None = Field(None, description="Where the lead lives; else its number tells")
    region: Region | None = None
    priority: Priority = 0
    call_until: Day | None = Field(None, description="The last date to call")
    variables: Variables | None = Field(None, description="What the voice agent should know")
    at: InstantOrWall | None = Field(None, description="When to call first; now when left out")


class LeadAdded(BaseModel):
    id: int
    lead_status: LeadStatus
    next_call_at: datetime | None


class LeadClose(Body):
    reason: ClosedWord = Field("by_hand", description="Kept as closed_reason")


class LeadFilters(Body):
    """Which leads: all that is given must hold, and what matches is all of them, not a page."""

    ids: Annotated[list[Id], Field(min_length=1, max_length=10_000)] | None = None
    campaign: Key | None = Field(None, description="Code or id")
    status: LeadStatus | None = None
    closed_reason: ClosedWord | None = None
    closed_since: Instant | None = None
    call_status: CallStatus | None = None
    region: Region | None = None
    phone_prefix: Annotated[StrictStr, Field(pattern=r"^\+[0-9]{1,15}$", examples=["+569"])] | None = None
    variable: VariableMatch | None = None
    import_id: Id | None = None
    created_since: Instant | None = None
    created_before: Instant | None = None


class VariableMatch(Body):
    name: VariableName
    value: Line


class LeadsBulk(Body):
    """Changes ALL leads that match. `expected` is how many the caller believes that is: another number changes none."""

    model_config = ConfigDict(json_schema_extra={"examples": [
        {"action": "suspend", "filter": {"campaign": "autumn", "region": "ES-CT"}, "reason": "a strike"},
    ]})

    action: Literal["close", "reopen", "suspend", "resume"]
    filter: LeadFilters
    reason: ClosedWord | None = Field(None, description="For close it is kept as closed_reason")
    expected: Annotated[StrictInt, Field(ge=0, le=MOST_ID), Whole] | None = None
    dry_run: StrictBool = False


class LeadsChanged(BaseModel):
    """`left` says why others that matched were left as they are, and how many."""

    action: Literal["close", "reopen", "suspend", "resume"]
    dry_run: bool
    matched: int
    changed: int
    left: dict[str, int]


class LeadsCount(BaseModel):
    matched: int


class LeadItem(BaseModel):
    id: int
    campaign_id: int | None
    nombre: str | None
    apellidos: str | None
    telefono: str | None
    lead_status: LeadStatus
    closed_reason: str | None
    manual_management: bool
    call_status: CallStatus
    call_attempts_count: int
    closed_at: datetime | None
    next_call_at: datetime | None
    next_call_reason: str | None
    created_at: datetime


class PhoneItem(BaseModel):
    position: int
    telefono: str
    status: PhoneStatus


class Step(BaseModel):
    at: datetime
    kind: str
    actor: str
    reason: str | None
    rule_version: str | None


class ScheduleItem(BaseModel):
    id: int
    lead_id: int
    campaign_id: int | None
    nombre: str | None
    apellidos: str | None
    telefono: str | None
    scheduled_at: datetime
    wanted_at: datetime | None
    attempt_number: int
    phone_position: int | None
    status: ScheduleStatus
    promise: bool
    hold: Hold | None
    last_outcome: Outcome | None
    reason: str | None
    lease_owner: str | None
    lease_expires_at: datetime | None


class AttemptItem(BaseModel):
    id: int
    lead_id: int
    schedule_id: int | None
    campaign_id: int | None
    attempt_number: int
    telefono: str
    provider: str
    state: AttemptState
    outcome: Outcome | None
    provider_status: str | None
    provider_call_id: str | None
    attempt_ref: str
    claimed_at: datetime | None
    placed_at: datetime | None
    answered_at: datetime | None
    ended_at: datetime | None
    talk_seconds: int | None
    cost: Decimal | None
    cost_unit: str | None
    summary: str | None
    appointment_at: datetime | None
    error: str | None


class LeadFull(LeadItem):
    """With its newest 100 calls, plans and steps."""

    email: str | None
    time_zone: str | None
    region: str | None
    priority: int
    fecha_limite: date | None
    appointment_at: datetime | None
    variables: JsonValue
    updated_at: datetime
    phones: list[PhoneItem]
    schedule: list[ScheduleItem]
    attempts: list[AttemptItem]
    events: list[Step]


class LeadState(BaseModel):
    id: int
    lead_status: LeadStatus
    message: str


# --- plans and calls ------------------------------------------------------------------------------


class CallPlan(Body):
    """A call to plan, in place of what was planned for the lead. Outside calling hours it is dialed when they begin."""

    lead_id: Id
    at: InstantOrWall | None = Field(None, description="When; now when left out")
    reason: Reason | None = None


class CallPlanned(BaseModel):
    id: int
    lead_id: int
    scheduled_at: datetime


class PlanCancel(Body):
    lead_id: Id
    reason: Reason


class PlanCancelled(BaseModel):
    lead_id: int
    cancelled: int


class CallMade(Body):
    """A call that was made by hand: what was planned is cancelled, and what follows is decided."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"lead_id": 12, "outcome": "no_answer"}]})

    lead_id: Id
    outcome: SaidOutcome
    callback_at: InstantOrWall | None = Field(None, description="When the lead wants to be called, for callback")


class CallLearnt(Body):
    """What a script learnt on a call of ours, while it goes on or after its end."""

    model_config = ConfigDict(json_schema_extra={"examples": [
        {"outcome": "callback", "callback_at": "2027-03-01T18:00:00", "summary": "Call again in the evening."},
    ]})

    outcome: SaidOutcome
    callback_at: InstantOrWall | None = Field(None, description="When the lead wants to be called, for callback")
    appointment_at: Instant | None = None
    summary: Annotated[StrictStr, Field(max_length=15_000, pattern=NO_NUL)] | None = None


class CallOutcome(Body):
    outcome: SaidOutcome


class Said(BaseModel):
    """What was done, as a sentence."""

    message: str


# --- the do-not-call list -------------------------------------------------------------------------


class NumberBar(Body):
    model_config = ConfigDict(json_schema_extra={"examples": [
        {"telefono": "+56912345678", "reason": "asked us to stop"},
    ]})

    telefono: PhoneText
    default_country: Country | None = Field(None, description="Of a number without +")
    reason: Reason
    expires_at: Instant | None = Field(None, description="Never, when left out")


class NumberItem(BaseModel):
    id: int
    telefono: str
    reason: str | None
    source: str | None
    created_at: datetime
    expires_at: datetime | None


class NumberBarred(NumberItem):
    """`was_listed`: it was on the list already."""

    was_listed: bool


class NumberCheck(BaseModel):
    telefono: str
    barred: bool
    entry: NumberItem | None


# --- settings -------------------------------------------------------------------------------------


class ConfigEdit(Body):
    model_config = ConfigDict(json_schema_extra={"examples": [
        {"values": {"working_hours_end": "18:30", "busy_delay_hours": 0.5}, "reason": "summer hours"},
    ]})

    values: ConfigValues
    reason: Reason | None = None


class ConfigItem(BaseModel):
    config_key: str
    config_value: str
    description: str | None
    updated_at: datetime
    valid: bool
    problem: str | None


class ConfigList(BaseModel):
    items: list[ConfigItem]


# --- accounts -------------------------------------------------------------------------------------


class AccountNew(Body):
    """`credits` need a price per minute or a reserve per call; `unlimited` takes no amount at all."""

    model_config = ConfigDict(json_schema_extra={"examples": [
        {"name": "Acme", "code": "acme", "billing_type": "credits", "balance": "250", "price_per_minute": "0.14"},
    ]})

    name: Name
    code: Code | None = None
    billing_type: BillingType = BillingType.UNLIMITED
    balance: Amount | None = None
    max_concurrent_calls: Annotated[StrictInt, Field(ge=1, le=100_000), Whole] | None = None
    price_per_minute: PositiveAmount | None = None
    reserve_per_call: PositiveAmount | None = None
    low_balance: Amount | None = None


class AccountEdit(Body):
    """What is left out stays; null takes a limit or a price away. The billing type stays."""

    name: Name = Field(None, description="The name")  # type: ignore[assignment]
    max_concurrent_calls: Annotated[StrictInt, Field(ge=1, le=100_000), Whole] | None = None
    price_per_minute: PositiveAmount | None = None
    reserve_per_call: PositiveAmount | None = None
    low_balance: Amount | None = None


class TopUp(Body):
    amount: PositiveAmount
    note: Reason | None = Field(None, description="For the entry, such as the number of an invoice")


class Adjustment(Body):
    amount: SignedAmount
    reason: Reason


class AccountItem(BaseModel):
    id: int
    code: str
    name: str
    status: Literal["active", "closed"]
    billing_type: BillingType
    balance: Decimal
    set_aside: Decimal
    price_per_minute: Decimal | None
    reserve_per_call: Decimal | None
    max_concurrent_calls: int | None
    low_balance: Decimal | None
    created_at: datetime


class EntryItem(BaseModel):
    id: int
    at: datetime
    kind: EntryKind
    amount: Decimal
    attempt_id: int | None
    note: str | None
    actor: str


class AccountFull(AccountItem):
    """With its newest 100 campaigns (codes) and entries. The entries of an account add up to its balance."""

    spent: Decimal
    campaigns: list[str]
    entries: list[EntryItem]


class AccountState(BaseModel):
    code: str
    status: Literal["active", "closed"]
    billing_type: BillingType
    balance: Decimal


# --- daemons --------------------------------------------------------------------------------------


class DaemonItem(BaseModel):
    """`silent`: nothing was heard of it for alert_silent_seconds, and it did not say goodbye."""

    id: int
    owner: str
    host: str
    pid: int
    status: Literal["running", "stopping", "stopped"]
    doing: DaemonDoing
    wanted: DaemonWish
    provider: str | None
    version: str | None
    ticks: int
    started_at: datetime
    last_seen_at: datetime
    silent: bool


class DaemonList(BaseModel):
    items: list[DaemonItem]


class DaemonAsked(BaseModel):
    owner: str
    wanted: DaemonWish


# --- figures --------------------------------------------------------------------------------------


class AnswerItem(BaseModel):
    """One question of the gate. `opens_at` is when the answer could change."""

    question: str
    verdict: Literal["yes", "later", "held", "dropped", "closed", "round_over"]
    reason: str | None
    values: dict[str, JsonValue]
    source: str | None
    opens_at: datetime | None


class ExplanationItem(BaseModel):
    """Why a lead is called or not, at an instant. `decided` is the answer that counts."""

    lead_id: int
    at: datetime
    may_be_called: bool
    decided: str
    first_yes_at: datetime | None
    waiting_for: str | None
    rule_version: str
    planned: dict[str, JsonValue] | None
    answers: list[AnswerItem]
    steps: list[Step]


class StatsFigures(BaseModel):
    """Where everything, or everything of one account, stands. `today` begins at midnight in `timezone`."""

    at: datetime
    timezone: str
    today: date
    today_since: datetime
    campaigns: dict[CampaignStatus, int]
    totals: Figures
    active_totals: Figures
    in_flight: int
    in_flight_by_state: dict[AttemptState, int]
    due_now: int
    due_is_at_least: bool = Field(description="due_now was counted no further")
    next_due_at: datetime | None
    today_dials: int
    today_answered: int
    today_completed: int
    counted_at: datetime = COUNTED_AT


class AlertItem(BaseModel):
    code: AlertCode
    severity: Severity
    about: str
    sentence: str
    value: JsonValue
    threshold: JsonValue


class AlertList(BaseModel):
    ok: bool
    raised: int
    codes: dict[AlertCode, bool]
    alerts: list[AlertItem]


class EventItem(BaseModel):
    """One line of the audit. `actor` is who: `cli`, `open`, `key:NAME`, `user:NAME`, `sql`, or a daemon."""

    id: int
    at: datetime
    kind: str
    actor: str
    lead_id: int | None
    campaign_id: int | None
    schedule_id: int | None
    attempt_id: int | None
    reason: str | None
    rule_version: str | None
    details: JsonValue
