"""Why was this lead (not) called: every question of the gate, answered for people.

Pure, and about the same `Case` that the daemon judges: what is added here is only what was compared, who
said so, and when the answer could change. What must stay true: the verdicts are the gate's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from scheduler.errors import InvalidValue
from scheduler.events import shorten
from scheduler.rules.caps import next_release
from scheduler.rules.eligibility import (
    QUESTIONS,
    Case,
    Closed,
    Dropped,
    Later,
    RoundOver,
    Verdict,
    Yes,
    judge,
    latest_date,
    most_attempts,
)
from scheduler.rules.hours import format_local
from scheduler.rules.retry import most_with_promises

Facts = tuple[Mapping[str, Any], str]
"""What was compared, and where the setting came from."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One question. `verdict` None: it does not stand in the way. `opens_at` is when that could change."""

    question: str
    verdict: Verdict | None
    values: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""
    is_hidden: bool = False
    """When it could change is not for whoever asks."""

    @property
    def is_yes(self) -> bool:
        return self.verdict is None

    @property
    def word(self) -> str:
        """yes, later, held, dropped, closed, round_over."""
        if self.verdict is None:
            return "yes"
        return "round_over" if isinstance(self.verdict, RoundOver) else type(self.verdict).__name__.lower()

    @property
    def reason(self) -> str | None:
        return None if self.verdict is None else getattr(self.verdict, "reason", None)

    @property
    def opens_at(self) -> datetime | None:
        return self.verdict.at if isinstance(self.verdict, Later) and not self.is_hidden else None


def explain(case: Case) -> list[Answer]:
    """Every question with its answer, not only the first that refuses."""
    answers: list[Answer] = []
    for question in QUESTIONS:
        verdict = question.ask(case)
        values, source = ({}, "") if case.lead is None else _facts(question.text, case)
        answers.append(Answer(question.text, verdict, values, source))
        if case.lead is None:
            break
        if case.phone is None and isinstance(verdict, Closed | RoundOver):
            break  # without a number to call, the rest cannot be asked
    return answers


LONGEST_SEARCH = 400


def find_first_yes(case_at: Callable[[datetime], Case], at: datetime) -> tuple[datetime | None, Verdict]:
    """The first instant from `at` on at which nothing stands in the way, as far as is known now; else None and
    the verdict that ends the search: what waits for people, or for a call in progress, has no instant.
    """
    verdict = judge(case_at(at))
    for _ in range(LONGEST_SEARCH):
        if isinstance(verdict, Yes):
            return at, verdict
        if not isinstance(verdict, Later) or not _is_foreseeable(verdict, at):
            return None, verdict
        at = verdict.at
        verdict = judge(case_at(at))
    return None, verdict


def _is_foreseeable(verdict: Later, at: datetime) -> bool:
    """A recheck after a minute is no forecast: somebody must do something first."""
    return verdict.reason.startswith(("outside hours", "too close", "caps: cap", "caps: quiet"))


def _facts(question: str, case: Case) -> Facts:
    try:
        return _FACTS[question](case)
    except InvalidValue as error:  # the verdict says the same; the other questions are still answered
        return {"unreadable": str(error)}, ""


def _lead_facts(case: Case) -> Facts:
    lead = case.known_lead
    return {"lead_status": lead.status.value, "closed_reason": lead.closed_reason}, "leads.lead_status"


def _campaign_facts(case: Case) -> Facts:
    if case.campaign is None:
        return {"campaign": case.known_lead.campaign_id}, "leads.campaign_id"
    return {"campaign": case.campaign.code, "status": case.campaign.status.value}, "campaigns.status"


def _number_facts(case: Case) -> Facts:
    phones = {f"{phone.position}": f"{shorten(phone.number)} {phone.status}" for phone in case.phones}
    return {"phones": phones, "from_position": case.call.phone_position or 1}, "lead_phones, leads.telefono"


def _destination_facts(case: Case) -> Facts:
    allowed = case.policy.allowed_countries
    values: dict[str, Any] = {"allowed_countries": list(allowed.value) or "any that is known"}
    if case.phone is not None:
        values |= {"country": case.where.country, "line": case.target.line}
    if case.unreachable:
        values["refused"] = {shorten(number): why for number, why in case.unreachable.items()}
    return values, allowed.source


def _barred_facts(case: Case) -> Facts:
    return {"barred": {shorten(number): why for number, why in case.barred.items()}}, "do_not_call"


def _attempt_facts(case: Case) -> Facts:
    most = most_attempts(case.known_lead, case.policy)
    allowed = most_with_promises(most.value) if case.call.promise else most.value
    return {"attempt_number": case.call.attempt_number, "max_attempts": allowed}, most.source


def _deadline_facts(case: Case) -> Facts:
    until = case.policy.last_date(case.known_lead.call_until)
    if until is None:
        return {"last_date": None}, "leads.fecha_limite, campaigns.fecha_limite"
    return {"last_date": until.value, "today": latest_date(case.where.zones, case.now)}, until.source


def _line_facts(case: Case) -> Facts:
    engaged = case.is_engaged or (case.phone is not None and case.phone.number in case.engaged)
    return {"open_call": engaged}, "call_attempts"


def _caps_facts(case: Case) -> Facts:
    target, zones = case.target, case.where.zones
    values: dict[str, Any] = {"calls_known": len(case.history)}
    for number, cap in enumerate(case.policy.caps, 1):
        until, why = next_release([cap], [], case.history, target, zones, case.now)
        values[f"cap {number}"] = f"{cap}: " + (f"full until {format_local(until, zones[0])}" if why else "has room")
    for number, cooldown in enumerate(case.policy.cooldowns, 1):
        until, why = next_release([], [cooldown], case.history, target, zones, case.now)
        values[f"cool-down {number}"] = f"{cooldown}: " + (
            f"quiet until {format_local(until, zones[0])}" if why else "over"
        )
    sources = [name for name in ("caps", "spacing", "cooldowns", "preset") if getattr(case.policy.settings, name)]
    return values, ", ".join(f"call_settings.{name}" for name in sources) or "none is set"


def _hours_facts(case: Case) -> Facts:
    where = case.where
    values: dict[str, Any] = {
        "zones": list(where.zones), "zones_from": where.source,
        "local_time": [format_local(case.now, zone) for zone in where.zones],
        "windows": [rule.windows.spoken() for rule in case.rules],
        "closing_margin_s": max((rule.close_margin for rule in case.rules), default=timedelta(0)).total_seconds(),
    }
    if case.span is not None:
        values |= {"open_from": case.span.open_from, "open_until": case.span.open_until}
    return values, case.policy.hours_source


def _balance_facts(case: Case) -> Facts:
    funds = case.funds
    if funds is None:
        return {"billing": "nobody pays by the call"}, "campaigns.account_id"
    return (
        {"account": funds.account, "balance": funds.available, "set_aside_for_a_call": funds.expected,
         "unit": funds.unit},
        "accounts.balance",
    )


_FACTS: Mapping[str, Callable[[Case], Facts]] = {
    "lead exists?": lambda case: ({"lead": case.known_lead.id}, "leads"),
    "lead open?": _lead_facts,
    "not managed by hand?": lambda case: (
        {"manual_management": case.known_lead.manual_management}, "leads.manual_management"
    ),
    "readable?": lambda case: ({"scheduled_at": case.call.scheduled_at}, "call_schedule, leads"),
    "not paused?": lambda case: ({"paused": case.policy.is_paused}, "scheduler_config.paused"),
    "campaign active?": _campaign_facts,
    "rules, provider and limits usable?": lambda case: (
        {"obstacle": case.obstacle}, "call_settings, campaigns.provider, accounts, scheduler_config"
    ),
    "variables there?": lambda case: (
        {"required": list(case.policy.settings.required_variables or ())}, "call_settings.required_variables"
    ),
    "a number left?": _number_facts,
    "destination allowed?": _destination_facts,
    "not on the do-not-call list?": _barred_facts,
    "attempts left?": _attempt_facts,
    "before the deadline?": _deadline_facts,
    "line free?": _line_facts,
    "room in caps and cool-downs?": _caps_facts,
    "inside calling hours?": _hours_facts,
    "balance left?": _balance_facts,
}


__all__ = ["Answer", "Dropped", "explain", "find_first_yes"]
