"""Run a team's own table of legal cases against these rules.

A case is plain data: settings, a base instant, a delay, and the instant that must come out (null =
never). What must stay true: a case that cannot be read is a failed case with a reason; it raises
nothing, and the others still run. Not done here: reading the file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from scheduler.errors import InvalidValue, RingbackError
from scheduler.rules import caps, hours

_RULE_KEYS = ("zones", "clock", "windows", "holidays", "close_margin_s", "label")
_SETTINGS_KEYS = (*_RULE_KEYS, "rules", "caps", "spacing", "cooldowns", "history", "target")
_CASE_KEYS = ("name", "trap", "settings", "base_utc", "delay", "expected_utc", "why", "min_tzdata")


@dataclass(frozen=True, slots=True)
class CaseResult:
    """`why` says what moved the call, or what went wrong. An actual of None with ok is never."""

    name: str
    expected_utc: str | None
    actual_utc: str | None
    ok: bool
    why: str


def run_cases(cases: object) -> list[CaseResult]:
    """One result per case, in their order. Raises InvalidValue when it is no list of cases at all."""
    if not isinstance(cases, Sequence) or isinstance(cases, str | bytes):
        raise InvalidValue("cases", type(cases).__name__, "the file must hold a list of cases")
    return [run_case(case, number) for number, case in enumerate(cases, 1)]


def run_case(case: object, number: int = 1) -> CaseResult:
    """What these rules answer to one case; `number` names it when it has no name."""
    name = f"case {number}"
    expected: str | None = None
    try:
        if not isinstance(case, Mapping):
            raise InvalidValue(name, case, f"write an object with the keys {', '.join(_CASE_KEYS)}")
        name = str(case.get("name") or name)
        expected = None if case.get("expected_utc") is None else str(case["expected_utc"])
        return _judge(name, case)
    except RingbackError as error:
        return CaseResult(name, expected, None, False, str(error))
    except Exception as error:
        # A case comes from a file that anyone may have written: its failure must stay its own.
        return CaseResult(name, expected, None, False, f"it cannot be run: {type(error).__name__}: {error}")


def format_utc(at: datetime) -> str:
    """Such as 2027-06-11T12:00:00Z, with fractions only when there are any. For a UTC instant."""
    return at.replace(tzinfo=None).isoformat() + "Z"


def _judge(name: str, case: Mapping[str, object]) -> CaseResult:
    for key in case:
        if key not in _CASE_KEYS:
            raise InvalidValue(key, case[key], f"the keys are {', '.join(_CASE_KEYS)}")
    if "expected_utc" not in case:
        raise InvalidValue("expected_utc", None, "write the instant that must come out, or null for never")
    expected = _parse_expected(case["expected_utc"])
    actual, reason = _answer(case)
    ok = actual == expected
    expected_utc, actual_utc = (None if at is None else format_utc(at) for at in (expected, actual))
    why = reason if ok else f"expected {expected_utc or 'never'}, got {actual_utc or 'never'}"
    if not ok and reason:
        why = f"{why}: {reason}"
    return CaseResult(name, expected_utc, actual_utc, ok, "; ".join(filter(None, (_age(case), why))))


def _answer(case: Mapping[str, object]) -> tuple[datetime | None, str]:
    """The instant these rules give, and what moved it there."""
    settings = _parse_settings(case.get("settings"))
    rules = _parse_rules(settings)
    limits = (*caps.parse_caps(settings.get("caps")), *caps.parse_spacing(settings.get("spacing")))
    cooldowns = caps.parse_cooldowns(settings.get("cooldowns"))
    history = caps.parse_history(settings.get("history"))
    target = caps.parse_target(settings.get("target"))
    base = caps.parse_instant(case.get("base_utc"), "base_utc")

    planned = hours.plan(rules, base, hours.parse_delay(case.get("delay")))
    if planned.at is None or planned.wanted_at is None:
        return None, planned.reason
    at = caps.next_callable(rules, limits, cooldowns, history, target, planned.wanted_at)
    zones = tuple(zone for rule in rules for zone in rule.zones)
    _, held = caps.next_release(limits, cooldowns, history, target, zones, planned.wanted_at)
    return at, held or planned.reason


def _parse_settings(value: object) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise InvalidValue("settings", value, f"write an object with the keys {', '.join(_SETTINGS_KEYS)}")
    for key in value:
        if key not in _SETTINGS_KEYS:
            raise InvalidValue(f"settings.{key}", value[key], f"the keys are {', '.join(_SETTINGS_KEYS)}")
    return value


def _parse_rules(settings: Mapping[str, object]) -> tuple[hours.HoursRule, ...]:
    """The rule written into the settings themselves, or those of the `rules` list; zones may be shared."""
    shared = settings.get("zones")
    zones = [shared] if isinstance(shared, str) else shared
    lead_zones = tuple(map(str, zones)) if isinstance(zones, Sequence) else ()
    listed = settings.get("rules")
    if listed is None:
        own = {key: settings[key] for key in _RULE_KEYS if key in settings}
        return (hours.HoursRule.parse(own, "settings"),)
    if not isinstance(listed, Sequence) or isinstance(listed, str) or not listed:
        raise InvalidValue("settings.rules", listed, "write a list of at least one rule")
    rules = [
        hours.HoursRule.parse(rule, f"settings.rules[{i}]", lead_zones=lead_zones)
        for i, rule in enumerate(listed)
    ]
    if "windows" in settings:
        own = {key: settings[key] for key in _RULE_KEYS if key in settings}
        rules.append(hours.HoursRule.parse(own, "settings"))
    return tuple(rules)


def _parse_expected(value: object) -> datetime | None:
    return None if value is None else caps.parse_instant(value, "expected_utc")


def _age(case: Mapping[str, object]) -> str:
    """A warning when the zone database is too old for this case to come out right."""
    wanted, version = case.get("min_tzdata"), hours.tzdata_version()
    if not isinstance(wanted, str) or version == "unknown" or version >= wanted:
        return ""
    return f"the time zone database {version} is older than the {wanted} this case needs"
