"""A campaign made of a file in one step, for front ends that upload a spreadsheet and get a batch.

The file is looked at first: one that is refused, or in which no row can be used, makes no campaign. Then the
campaign is made paused, filled, and only then active: nobody is called while the file is read. What must stay true:
whatever cuts this in the middle leaves a paused campaign whose reason says that its file was being imported, which
people can fill with the same file, resume or cancel. A newcomer would make the campaign first and delete it when the
file is refused: its id would be used again, and the audit of the one would be told of the other. And would activate
it with `resume_campaign`, which refuses while everything is paused, although a campaign may well be made then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from scheduler.errors import Conflict, InvalidValue, NotFound, RingbackError
from scheduler.model import Campaign, CampaignStatus
from scheduler.rules.hours import explain_closed, is_allowed, next_allowed, zone_info
from scheduler.rules.policy import LONGEST_DEADLINE_DAYS, Policy, read_call_settings
from scheduler.rules.rows import Verdict
from scheduler.rules.zones import lead_zones
from scheduler.service import control
from scheduler.service.allowances import require_allowed
from scheduler.service.imports import ImportReport, Manner, import_leads
from scheduler.service.rulebook import RuleBook
from scheduler.service.runtime import Runtime
from scheduler.store import accounts, campaigns
from scheduler.store import batches as store
from scheduler.store.database import Connection

MAXIMUM_DATE = "fecha_maxima"
"""The variable that tells an agent the date behind `maximum_days`."""


@dataclass(frozen=True, slots=True)
class BatchFile:
    """What a batch is made of. `account` is a code or id.

    `per_person`: rows of one person become one lead, with sums. Without `allow_duplicates`, numbers that other
    campaigns of the account have are left out. `deadline_days` from today is the last date to call, for every lead;
    `maximum_days` from today is a date for the agent to speak of.
    """

    account: str
    file_name: str
    name: str | None = None
    description: str | None = None
    priority: int = 0
    call_settings: str | Mapping[str, Any] | None = None
    per_person: bool = False
    allow_duplicates: bool = False
    deadline_days: int | None = None
    maximum_days: int | None = None
    default_country: str | None = None
    sheet: str | None = None
    encoding: str | None = None
    delimiter: str | None = None
    header_row: int | None = None
    hidden_rows: str | None = None
    date_order: str | None = None
    decimal_mark: str | None = None
    joined_numbers: str | None = None
    column_map: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NewBatch:
    code: str
    name: str
    report: ImportReport


class NothingUsable(InvalidValue):
    """No row of a file can be used, so no batch was made of it. `report` says why."""

    def __init__(self, file_name: str, report: ImportReport) -> None:
        self.report = report
        super().__init__("file", file_name, _why_nothing(report))


def create_batch(path: Path, order: BatchFile, *, runtime: Runtime) -> NewBatch:
    """A campaign with the leads of a file.

    Raises InvalidValue for what cannot be used and NotFound for the account: then there is no campaign. Any other
    error, such as DatabaseUnavailable in the middle, may leave a paused one; its message says so.
    """
    checked = _check(path, order, runtime)
    found = _import(path, order, checked, runtime, only_looks=True)
    if found.added == 0:
        raise NothingUsable(order.file_name, found)
    now = runtime.clock.now()
    name = order.name or _make_name(order.file_name, now)
    why = f"its leads are being imported from {order.file_name}"[:255]
    code = control.create_campaign(
        name, description=order.description, priority=order.priority, account=order.account,
        call_settings=order.call_settings, paused=True, paused_reason=why, runtime=runtime,
    )
    try:
        report = _import(path, order, checked, runtime, campaign=code)
    except RingbackError as error:
        error.args = (f"{error}; batch {code} stays paused with what was added",)
        raise
    runtime.database.transact(lambda connection: _activate(connection, code, why))
    return NewBatch(code, name, report)


def preview_batch(path: Path, order: BatchFile, *, runtime: Runtime) -> ImportReport:
    """What `create_batch` would find in a file; writes nothing. Raises what it raises."""
    return _import(path, order, _check(path, order, runtime), runtime)


@dataclass(frozen=True, slots=True)
class _Checked:
    account_id: int
    settings: Mapping[str, Any]
    variables: Mapping[str, str]


def _check(path: Path, order: BatchFile, runtime: Runtime) -> _Checked:
    """Everything that can be refused before a campaign is made."""
    settings = read_call_settings(order.call_settings)
    for field, days in (("dias_fecha_limite", order.deadline_days), ("dias_fecha_maxima", order.maximum_days)):
        if days is not None and not 0 <= days <= LONGEST_DEADLINE_DAYS:
            raise InvalidValue(field, days, f"write a whole number of days from 0 to {LONGEST_DEADLINE_DAYS}")
    account = runtime.database.read(lambda connection: accounts.find_account(connection, order.account))
    if account is None:
        raise NotFound("account", order.account)
    wanted = {"priority": order.priority, "call_settings": settings.model_dump(mode="json", exclude_unset=True)}
    runtime.database.read(lambda connection: require_allowed(connection, wanted, None))
    variables = {}
    if order.maximum_days is not None:
        now = runtime.clock.now()
        policy = runtime.database.read(lambda connection: RuleBook().read(connection).policy(None))
        today = now.astimezone(zone_info(policy.default_zone)).date()
        variables[MAXIMUM_DATE] = (today + timedelta(days=order.maximum_days)).isoformat()
    return _Checked(account.id, settings.model_dump(mode="json", exclude_unset=True), variables)


def _import(
    path: Path, order: BatchFile, checked: _Checked, runtime: Runtime, *, campaign: str | None = None,
    only_looks: bool = False,
) -> ImportReport:
    return import_leads(
        path, campaign=campaign, default_country=order.default_country or runtime.settings.default_country,
        encoding=order.encoding, delimiter=order.delimiter, sheet=order.sheet, column_map=order.column_map,
        header_row=order.header_row, hidden_rows=order.hidden_rows, date_order=order.date_order,
        decimal_mark=order.decimal_mark, joined_numbers=order.joined_numbers,
        deadline_days=order.deadline_days, skip_known=not order.allow_duplicates, dry_run=campaign is None,
        manner=Manner(
            file_name=order.file_name, per_person=order.per_person, variables=checked.variables,
            deadline_for_all=True, account_id=checked.account_id, keeps_rejects=True,
            is_new=campaign is None, new_settings=checked.settings, only_looks=only_looks,
        ),
        runtime=runtime,
    )


def _make_name(file_name: str, now: datetime) -> str:
    return f"{Path(file_name).stem[:200] or 'batch'} {now:%Y-%m-%d %H:%M}"


def _activate(connection: Connection, code: str, why: str) -> None:
    found = campaigns.lock_campaign(connection, code)
    if found is not None:
        store.activate(connection, found.id, while_reason=why)


def _why_nothing(report: ImportReport) -> str:
    first = report.first_rejects[0] if report.first_rejects else None
    because = f"; line {first.line}, {first.field} {first.value!r}: {first.reason}" if first else ""
    known = report.verdicts.get(Verdict.DUPLICATE_IN_INSTALLATION, 0)
    allow = f"; {known} are in other batches of the account, which allow_duplicates=true lets pass" if known else ""
    return f"none of its {report.read} rows can be used{because}{allow}"


# --- pausing, resuming, cancelling, by clients that ask again when no answer came ------------------


@dataclass(frozen=True, slots=True)
class Turned:
    """`has_changed` is False when it was so already, `reason` is why it is so."""

    code: str
    has_changed: bool
    reason: str | None


def pause_batch(key: str, *, reason: str | None, runtime: Runtime) -> Turned:
    """Pause; also one that is paused already. Raises NotFound, and Conflict for one that is over."""
    return _turn(key, CampaignStatus.PAUSED, reason, control.pause_campaign, runtime)


def resume_batch(key: str, *, reason: str | None, runtime: Runtime) -> Turned:
    """Go on; also with one that runs already. Raises NotFound, and Conflict for one that is over."""
    return _turn(key, CampaignStatus.ACTIVE, reason, control.resume_campaign, runtime)


def cancel_batch(key: str, *, reason: str, runtime: Runtime) -> Turned:
    """End for good; also one that is cancelled already, whose first reason stays."""
    def cancel(found: str, *, reason: str | None, runtime: Runtime) -> object:
        return control.cancel_campaign(found, reason or "", runtime=runtime)

    return _turn(key, CampaignStatus.CANCELLED, reason, cancel, runtime)


def _turn(
    key: str, to: CampaignStatus, reason: str | None, change: Callable[..., object], runtime: Runtime
) -> Turned:
    try:
        change(key, reason=reason, runtime=runtime)
    except Conflict:
        found, why = runtime.database.read(lambda connection: _read_status(connection, key))
        if found.status is not to:
            raise
        return Turned(found.code, False, why)
    return Turned(key, True, reason)


def _read_status(connection: Connection, key: str) -> tuple[Campaign, str | None]:
    found = campaigns.find_campaign(connection, key)
    if found is None:
        raise NotFound("campaign", key)
    return found, campaigns.read_values(connection, found.id, ["status_reason"])["status_reason"]


# --- when it calls ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HoursNow:
    """Whether the hours of a campaign let calls through now, in its own zone; `opens_at` is None while they do, and
    when they never will. Leads in other zones have hours of their own.
    """

    is_open: bool
    opens_at: datetime | None
    zone: str
    text: str


def read_hours_now(policy: Policy, now: datetime) -> HoursNow:
    where = lead_zones(
        time_zone=None, region=None, traits=None, campaign_zones=policy.zones, default_zone=policy.default_zone
    )
    rules = policy.hours(where)
    if is_allowed(rules, now):
        return HoursNow(True, None, where.zones[0], "open now")
    return HoursNow(False, next_allowed(rules, now), where.zones[0], explain_closed(rules, now))
