"""`call_settings` and the rows of `scheduler_config` as the OpenAPI document says them.

What may be written there is decided by `rules.policy` and by nothing here. This is its description, exact enough
for a program to write settings that are not refused; where the rules take several spellings of one thing, all are
taken here too, but not all are described. What must stay true: no number is read from a text, and what one value
forbids another (hours twice, a preset without hours) is said here as well.
"""

from __future__ import annotations

import json
import zoneinfo
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any

import phonenumbers
from pydantic import (
    AfterValidator,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from scheduler.errors import InvalidSettings, InvalidValue
from scheduler.model import RETRYABLE_OUTCOMES
from scheduler.rules.caps import ANY, CLASSES, CLASSES_OF, KEYS, LONGEST_DAYS, UNITS
from scheduler.rules.hours import Windows, zone_info
from scheduler.rules.policy import PROVIDER_NAMES, CallSettings, read_call_settings, read_config_value
from scheduler.rules.presets import PRESETS

Schema = dict[str, Any]
COMPONENT = "x-component"
"""Where a schema stands for a component of the document of that name: see `problems.describe`."""
LARGEST = 65_536
"""Characters of one document."""


def as_whole(value: Any) -> Any:
    """JSON has one kind of number: 3.0 is the whole number 3."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _with_whole_numbers(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _with_whole_numbers(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_with_whole_numbers(one) for one in value]
    return as_whole(value)


def _check_settings(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Raises errors that name the place, as Pydantic's own do."""
    document = _with_whole_numbers(document)
    text = json.dumps(document)
    if len(text) > LARGEST:
        raise ValueError(f"it is longer than {LARGEST} characters")
    try:
        CallSettings.model_validate_json(text, strict=True)
    except ValidationError as error:
        for one in error.errors():
            if one["type"].endswith("_type"):
                place = ".".join(str(part) for part in one["loc"])
                raise PydanticCustomError("settings", f"{place}: {one['msg'].lower()}") from None
    except InvalidValue:
        pass  # said below, as everybody else is told
    try:
        settings = read_call_settings(document)
        if settings.windows is not None and Windows.parse(settings.windows).is_empty():
            raise InvalidSettings("windows", ["they name no span at all, so nobody could ever be called"])
    except InvalidSettings as error:
        raise PydanticCustomError("settings", "{said}", {"said": "; ".join(error.problems)}) from None
    return document


CallSettingsDocument = Annotated[
    dict[str, Any], AfterValidator(_check_settings), WithJsonSchema({COMPONENT: "CallSettings"})
]


def _check_zone(name: str) -> str:
    try:
        zone_info(name, "time_zone")
    except InvalidValue as error:
        raise PydanticCustomError("zone", "{said}", {"said": error.right}) from None
    return name


Zone = Annotated[
    StrictStr, Field(max_length=64), AfterValidator(_check_zone), WithJsonSchema({COMPONENT: "TimeZone"})
]

# --- scheduler_config -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Kind:
    """How a row is written as JSON: its schema, what reads it strictly, and how the table has it."""

    schema: Schema
    reads: Any
    to_text: Callable[[Any], str] = str
    may_be_empty: bool = False


def _number(least: float, most: float, *, is_whole: bool = False, may_be_empty: bool = False) -> Kind:
    schema = {"type": "integer" if is_whole else "number", "minimum": least, "maximum": most}
    bounds = Field(ge=least, le=most)
    reads = Annotated[StrictInt, bounds] if is_whole else Annotated[StrictFloat | StrictInt, bounds]
    return Kind(schema, reads, may_be_empty=may_be_empty)


def _words(items: Any, schema: Schema, *, most: int) -> Kind:
    of = {"type": "array", "items": schema, "minItems": 1, "maxItems": most}
    return Kind(of, Annotated[list[items], Field(min_length=1, max_length=most)], _joined, may_be_empty=True)


def _time(pattern: str) -> Kind:
    return Kind({"type": "string", "pattern": pattern}, Annotated[StrictStr, Field(pattern=pattern)])


def _joined(items: Any) -> str:
    return ",".join(map(str, items))


@cache
def kinds() -> dict[str, Kind]:
    """Every row that there may be."""
    hours, attempts = _number(0, 8760), _number(1, 100, is_whole=True)
    found = {
        "default_delay_hours": hours,
        "default_max_attempts": attempts,
        "working_hours_start": _time(_CLOCK),
        "working_hours_end": _time(_CLOSING),
        "working_days": Kind(
            {"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 7}, "minItems": 1, "maxItems": 7},
            Annotated[list[Annotated[StrictInt, Field(ge=1, le=7)]], Field(min_length=1, max_length=7)], _joined,
        ),
        "timezone": Kind({"$ref": "#/components/schemas/TimeZone"}, Zone),
        "holidays": _words(
            StrictStr, {"type": "string", "anyOf": [{"enum": _countries()}, {"pattern": f"^-?{_DATE}$"}]}, most=20
        ),
        "allowed_countries": _words(StrictStr, {"enum": sorted(phonenumbers.SUPPORTED_REGIONS)}, most=80),
        "searchable_variables": _words(StrictStr, {"type": "string", "pattern": "^[^,\\s]+$", "maxLength": 25}, most=8),
        "ring_timeout": _number(5, 300, is_whole=True),
        "max_call_duration": _number(10, 86_400, is_whole=True),
        "max_concurrent_calls": _number(0, 100_000, is_whole=True),
        "lease_seconds": _number(1, 86_400, is_whole=True),
        "cleanup_after_days": _number(0, 3650, is_whole=True),
        "paused": Kind({"type": "boolean"}, StrictBool, lambda value: "yes" if value else "no"),
        "alert_pending_above": _number(0, 10**9, is_whole=True),
        "alert_success_below": _number(0, 100),
        "alert_due_minutes": _number(0, 60 * 24 * 365),
        "alert_balance_below": _number(0, 10**9),
        "alert_silent_seconds": _number(1, 86_400, is_whole=True),
    }
    for outcome in RETRYABLE_OUTCOMES:
        found[f"{outcome}_delay_hours"] = _number(0, 8760, may_be_empty=True)
        found[f"{outcome}_max_attempts"] = _number(1, 100, is_whole=True, may_be_empty=True)
    for provider in PROVIDER_NAMES:
        found[f"{provider}_max_concurrent_calls"] = _number(0, 100_000, is_whole=True, may_be_empty=True)
        found[f"{provider}_calls_per_second"] = _number(0.01, 1000, may_be_empty=True)
    return found


@cache
def _reader(key: str) -> TypeAdapter[Any]:
    return TypeAdapter(kinds()[key].reads)


def _check_config(values: Mapping[str, Any]) -> Mapping[str, Any]:
    values = _with_whole_numbers(values)
    for key, value in values.items():
        kind = kinds().get(key)
        if kind is None:
            raise PydanticCustomError("config", "there is no such rule: {key}", {"key": key[:64]})
        if value is None and kind.may_be_empty:
            continue
        try:
            _reader(key).validate_python(value)
            read_config_value(key, kind.to_text(value))
        except ValidationError as error:
            said = error.errors()[0]["msg"].removeprefix("Input should be ").lower()
            raise PydanticCustomError("config", "{key}: {said}", {"key": key, "said": said}) from None
        except InvalidValue as error:
            raise PydanticCustomError("config", "{key}: {said}", {"key": key, "said": error.right}) from None
    return values


def as_texts(values: Mapping[str, Any]) -> dict[str, str]:
    """Rules as the table has them; null is empty there."""
    return {key: "" if value is None else kinds()[key].to_text(value) for key, value in values.items()}


ConfigValues = Annotated[
    dict[str, Any], Field(min_length=1), AfterValidator(_check_config), WithJsonSchema({COMPONENT: "ConfigValues"})
]


def _config_values() -> Schema:
    return {
        "type": "object", "title": "ConfigValues", "minProperties": 1, "additionalProperties": False,
        "description": "Rules by key, each as JSON. null: none of its own, where that can be",
        "properties": {
            key: {"anyOf": [kind.schema, {"type": "null"}]} if kind.may_be_empty else kind.schema
            for key, kind in kinds().items()
        },
        "examples": [{"working_hours_end": "18:30", "busy_delay_hours": 0.5}],
    }


# --- schemas --------------------------------------------------------------------------------------

_CLOCK = "^([01][0-9]|2[0-3]):[0-5][0-9]$"
_CLOSING = "^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$"
_DATE = r"20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])"
_DAYS = "(mon|tue|wed|thu|fri|sat|sun)(-(mon|tue|wed|thu|fri|sat|sun))?"


@cache
def components() -> dict[str, Schema]:
    """The components that stand for `x-component`."""
    return {
        "CallSettings": _call_settings(),
        "ConfigValues": _config_values(),
        "TimeZone": {
            "type": "string", "enum": _zones(), "description": "A zone of the IANA database", "maxLength": 64,
        },
    }


def _zones() -> list[str]:
    known = zoneinfo.available_timezones() - {"Factory", "localtime"}
    return sorted(one for one in known if _is_zone(one))


def _is_zone(name: str) -> bool:
    try:
        zone_info(name)
    except InvalidValue:
        return False
    return True


def _call_settings() -> Schema:
    attempts = {"type": ["integer", "null"], "minimum": 1, "maximum": 100}
    delay = {"type": ["number", "null"], "minimum": 0, "maximum": 8760, "description": "Hours"}
    hours = {
        "description": "Opening and closing on the clock of the lead; closing is later than opening",
        "anyOf": [*(_hours_from(hour) for hour in range(24)), {"type": "null"}],
        "examples": [{"start": "10:00", "end": "19:00"}],
    }
    zone = {"$ref": "#/components/schemas/TimeZone"}
    without_hours = sorted(name for name, preset in PRESETS.items() if preset.windows is None)
    return {
        "type": "object",
        "title": "CallSettings",
        "description": "The rules of a campaign, in the flat or the nested shape. What is left out is as in "
        "scheduler_config. Two settings for one thing must not contradict each other.",
        "additionalProperties": False,
        "properties": {
            "max_attempts": attempts,
            "retry_delay_hours": delay,
            "retry_settings": _object({"max_attempts": attempts, "retry_delay_hours": delay}),
            "allowed_hours": hours,
            "allowed_call_hours": hours,
            "days_of_week": _list({"type": "integer", "minimum": 1, "maximum": 7}, least=1),
            "timezone": {"anyOf": [zone, {"type": "null"}]},
            "zones": _list(zone, least=1),
            "ring_timeout": {"type": ["integer", "null"], "minimum": 5, "maximum": 300},
            "max_call_duration": {"type": ["integer", "null"], "minimum": 10, "maximum": 86_400},
            "max_concurrent_calls": {"type": ["integer", "null"], "minimum": 0, "maximum": 100_000},
            "windows": {
                "type": ["object", "null"], "minProperties": 1, "maxProperties": 20,
                "propertyNames": {"pattern": f"^(all|hol|{_DAYS}(,{_DAYS})*)$", "maxLength": 60},
                "additionalProperties": {"type": "array", "maxItems": 20, "items": {
                    "type": "array", "minItems": 2, "maxItems": 2,
                    "prefixItems": [{"type": "string", "pattern": _CLOCK}, {"type": "string", "pattern": _CLOSING}],
                }},
                "not": {"type": "object", "additionalProperties": {"type": "array", "maxItems": 0}},
                "description": "Spans by days; the key that names the fewest days counts, an empty list shuts them. "
                "One that does not end after it begins goes on past midnight, and needs `overnight`",
                "examples": [{"mon-fri": [["09:00", "13:00"], ["15:00", "20:00"]], "sat": [["10:00", "14:00"]]}],
            },
            "overnight": {
                "type": ["boolean", "null"],
                "description": "Spans of windows that go on past midnight are meant, and not hours the wrong way round",
            },
            "holidays": _list({"type": "string", "anyOf": [
                {"enum": _countries()}, {"pattern": f"^-?{_DATE}$"},
            ]}, description="Countries whose holidays are kept, dates that are shut too, -dates that are worked"),
            "close_margin_s": {"type": ["number", "null"], "minimum": 0, "maximum": 86_400},
            "outcomes": {
                "type": ["object", "null"], "propertyNames": {"enum": [one.value for one in RETRYABLE_OUTCOMES]},
                "additionalProperties": _object({"max_attempts": attempts, "delay_hours": delay}, or_null=False),
            },
            "caps": _list(_object({
                "max": {"type": "integer", "minimum": 1}, "per": _period(), "by": _by(), "counts": _outcomes(),
                "channel": _CHANNEL,
            }, ["max", "per", "by"], or_null=False)),
            "spacing": _list(_object({
                "per": _period(), "by": _by(), "counts": _outcomes(), "channel": _CHANNEL,
            }, ["per", "by"], or_null=False)),
            "cooldowns": _list(_object(
                {"after": _outcomes(), "wait": _wait(), "by": _by()}, ["after", "wait", "by"], or_null=False
            )),
            "preset": {"type": ["string", "null"], "enum": [*sorted(PRESETS), None]},
            "allowed_countries": _list({"enum": sorted(phonenumbers.SUPPORTED_REGIONS)}, least=1),
            "required_variables": _list({"type": "string"}),
            "agent_id": {"type": ["string", "null"], "pattern": r"^[!-~]([ -~]{0,126}[!-~])?$"},
            "from_number": {"type": ["string", "null"], "pattern": r"^\+[1-9][0-9]{6,14}$"},
        },
        "anyOf": [
            {"required": ["overnight"], "properties": {"overnight": {"const": True}}},
            {"properties": {"windows": {"additionalProperties": {"items": {"anyOf": [
                {"prefixItems": [{"pattern": f"^{hour:02}:"}, {"pattern": _end_after(hour)}]} for hour in range(24)
            ]}}}}},
        ],
        "not": {"anyOf": [
            *({"required": [one, other]} for one, other in (
                ("allowed_hours", "allowed_call_hours"), ("timezone", "zones"), ("windows", "allowed_hours"),
                ("windows", "allowed_call_hours"), ("windows", "days_of_week"), ("max_attempts", "retry_settings"),
                ("retry_delay_hours", "retry_settings"),
            )),
            {
                "required": ["preset"], "properties": {"preset": {"enum": without_hours}},
                "not": {"anyOf": [_has("allowed_hours"), _has("allowed_call_hours"), _has("windows")]},
            },
        ]},
        "examples": [{"max_attempts": 5, "retry_delay_hours": 2, "allowed_hours": {"start": "10:00", "end": "19:00"}}],
    }  # fmt: skip


_CHANNEL: Schema = {"type": ["string", "null"], "enum": ["voice", "written", ANY, None]}


def _hours_from(hour: int) -> Schema:
    """Hours that begin in this hour of the day and end in a later one."""
    return _object({
        "start": {"type": "string", "pattern": f"^{hour:02}:[0-5][0-9]$"},
        "end": {"type": "string", "pattern": _end_after(hour)},
    }, ["start", "end"], or_null=False)


def _end_after(hour: int) -> str:
    later = "|".join(f"{one:02}" for one in range(hour + 1, 24))
    return f"^(({later}):[0-5][0-9]|24:00)$" if later else "^24:00$"


def _object(properties: Schema, required: list[str] | None = None, *, or_null: bool = True) -> Schema:
    return {
        "type": ["object", "null"] if or_null else "object", "additionalProperties": False, "properties": properties,
        **({"required": required} if required else {}),
    }


def _list(items: Schema, *, least: int = 0, description: str | None = None) -> Schema:
    return {
        "type": ["array", "null"], "items": items, "maxItems": 100, **({"minItems": least} if least else {}),
        **({"description": description} if description else {}),
    }


def _period() -> Schema:
    return {"oneOf": [*_lengths(), _object({"calendar": {"enum": list(UNITS)}}, ["calendar"], or_null=False)]}


def _wait() -> Schema:
    hours, days = _lengths()
    days["properties"] = {**days["properties"], "first_day": {"enum": ["event", "next"]}}
    return {"oneOf": [hours, days]}


def _lengths() -> tuple[Schema, Schema]:
    hours = {"type": "number", "exclusiveMinimum": 0, "maximum": LONGEST_DAYS * 24}
    days = {"type": "integer", "minimum": 1, "maximum": LONGEST_DAYS}
    return _object({"hours": hours}, ["hours"], or_null=False), _object({"days": days}, ["days"], or_null=False)


def _by() -> Schema:
    firm = ["lead", "phone", "debt", "campaign", "group"]
    return {"oneOf": [
        {"enum": firm},
        {"type": "array", "items": {"enum": list(KEYS)}, "minItems": 1, "maxItems": 10, "contains": {"enum": firm}},
    ]}


def _outcomes() -> Schema:
    known = [*dict.fromkeys((ANY, *CLASSES, *CLASSES_OF))]
    return {"type": "array", "items": {"enum": known}, "minItems": 1, "maxItems": 40}


def _countries() -> list[str]:
    from scheduler.rules.holiday_calendars import Holidays

    def is_known(code: str) -> bool:
        try:
            Holidays.parse(code)
        except InvalidValue:
            return False
        return True

    return [one for one in sorted(phonenumbers.SUPPORTED_REGIONS) if is_known(one)]


def _has(name: str) -> Schema:
    return {"required": [name], "properties": {name: {"type": "object"}}}
