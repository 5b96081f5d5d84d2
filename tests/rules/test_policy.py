from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from scheduler.errors import InvalidSettings, InvalidValue
from scheduler.model import RETRYABLE_OUTCOMES, Outcome
from scheduler.rules.holiday_calendars import Holidays, narrow_holidays
from scheduler.rules.hours import explain_closed, is_allowed
from scheduler.rules.policy import (
    CONFIG_KEYS,
    Policy,
    read_call_settings,
    read_config,
    read_config_value,
)
from scheduler.rules.zones import LeadZones
from tests.each import each

HOUR = timedelta(hours=1)
BUSY = Outcome.BUSY


# --- scheduler_config, one value ------------------------------------------------------------------------------


@each(
    "key, text, value",
    [
        ("default_delay_hours", "4", 4.0), ("default_delay_hours", " 0.5 ", 0.5), ("default_delay_hours", "0", 0.0),
        ("busy_delay_hours", "", None), ("busy_delay_hours", "2", 2.0), ("default_max_attempts", "1", 1),
        ("failed_max_attempts", "", None), ("working_hours_start", "09:00", 32_400),
        ("working_hours_start", "9:30", 34_200), ("working_hours_end", "24:00", 86_400),
        ("working_days", "1,2,3,4,5", (1, 2, 3, 4, 5)), ("working_days", "7, 1 ,1", (1, 7)),
        ("timezone", "America/Santiago", "America/Santiago"), ("ring_timeout", "30", 30),
        ("max_concurrent_calls", "off", 0), ("twilio_max_concurrent_calls", " Ninguna ", 0),
        ("max_concurrent_calls", "0", 0), ("cleanup_after_days", "0", 0),
    ],
)  # fmt: skip
def test_a_value_is_read_as_what_it_means(key, text, value):
    assert read_config_value(key, text) == value


@each(
    "key, text",
    [
        ("default_delay_hours", ""), ("default_delay_hours", "-1"), ("default_delay_hours", "four"),
        ("default_delay_hours", "nan"), ("default_delay_hours", "inf"), ("default_delay_hours", "1e9"),
        ("default_delay_hours", "4,5"), ("default_max_attempts", "0"), ("default_max_attempts", "101"),
        ("default_max_attempts", "2.5"), ("default_max_attempts", ""), ("working_hours_start", "25:00"),
        ("working_hours_start", "09"), ("working_hours_start", "09:60"), ("working_hours_start", "9:5"),
        ("working_hours_end", "24:01"), ("working_hours_end", "-1:00"), ("working_hours_end", "noon"),
        ("working_days", ""), ("working_days", "0"), ("working_days", "8"), ("working_days", "mon"),
        ("working_days", "1,,2"), ("timezone", "Santiago"), ("timezone", ""), ("timezone", "america/santiago/x"),
        ("holidays", "XX"), ("ring_timeout", "4"), ("ring_timeout", "301"), ("max_call_duration", "9"),
        ("max_concurrent_calls", "-1"), ("lease_seconds", "0"), ("cleanup_after_days", "-1"), ("no_such_key", "1"),
        ("ring_timeout", "٣٠"), ("ring_timeout", "３０"), ("max_concurrent_calls", "1_0"),
        ("default_delay_hours", "١.٥"),
        ("working_hours_start", "٠٩:٠٠"), ("working_hours_start", "²3:00"), ("working_days", "١,٢"),
        ("twilio_calls_per_second", "٢"), ("paused", "alto"), ("paused", ""),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_used_is_refused_and_says_what_could(key, text):
    with pytest.raises(InvalidValue, match=r"cannot be used; .+"):
        read_config_value(key, text)


# --- hours past midnight --------------------------------------------------------------------------------------


@each(
    "windows, said",
    [
        ({"mon-fri": [["20:00", "09:00"]]}, "windows.mon: '20:00-09:00' .* until 09:00 of the next day; write 09:00"),
        ({"fri": [["09:00", "13:00"], ["22:00", "02:00"]]}, "windows.fri: '22:00-02:00'"),
        ({"all": [["09:00", "20:00"]], "hol": [["18:00", "06:00"]]}, "windows.hol: '18:00-06:00'"),
        ({"sun": [["09:00", "09:00"]]}, "windows.sun: '09:00-09:00' cannot be used; it goes on past midnight"),
    ],
)
def test_hours_past_midnight_are_taken_only_when_they_are_said_to_be_meant(windows, said):
    for overnight in (None, False):
        with pytest.raises(InvalidSettings, match=said):
            read_call_settings({"windows": windows, "overnight": overnight})

    assert Policy(read_config({}), read_call_settings({"windows": windows, "overnight": True})).nights


@each("windows", [
    {"all": [["20:00", "24:00"]]}, {"all": [["20:00", "00:00"]]}, {"all": [["00:00", "24:00"]]},
    {"all": [["00:00", "00:00"]]}, {"fri": [["22:00", "24:00"]], "sat": [["00:00", "02:00"]]},
])  # fmt: skip
def test_hours_that_end_at_midnight_need_no_word(windows):
    assert Policy(read_config({}), read_call_settings({"windows": windows})).nights == ()


# --- scheduler_config, all of it ------------------------------------------------------------------------------


def test_good_rows_are_read_beside_bad_ones():
    config = read_config({"default_delay_hours": "2", "timezone": "Chile", "ring_timeout": "40"})

    assert config.values == {"default_delay_hours": 2.0, "ring_timeout": 40}
    assert list(config.problems) == ["timezone"]
    assert not config.is_usable


def test_a_stop_that_cannot_be_read_is_no_reason_to_go_on_as_before():
    config = read_config({"paused": "alto"}, {"paused": "no"})

    assert Policy(config).is_paused
    assert "everything is paused as long as it is not clearly no" in config.problems["paused"]
    assert read_config({"paused": "sí"}).problems == {}


def test_a_bad_row_keeps_its_last_good_text():
    config = read_config({"timezone": "Chile"}, {"timezone": "America/Santiago", "ring_timeout": "40"})

    assert (config.get("timezone", "UTC"), config.get("ring_timeout", 30)) == ("America/Santiago", 30)
    assert list(config.problems) == ["timezone"]
    assert config.is_usable


@each(
    "start, end", [("18:00", "09:00"), ("09:00", "09:00"), ("24:00", "24:00")]
)
def test_hours_that_end_before_they_begin_are_taken_from_neither_row(start, end):
    rows = {"working_hours_start": start, "working_hours_end": end}

    config = read_config(rows, {"working_hours_start": "08:00", "working_hours_end": "17:00"})

    assert config.problems
    assert config.get("working_hours_start", 0) == 8 * 3600
    assert not read_config(rows).is_usable


def test_a_key_nobody_knows_is_named_and_harmless():
    config = read_config({"worknig_days": "1", "default_delay_hours": "2"})

    assert (config.unknown, config.problems, config.is_usable) == (("worknig_days",), {}, True)


def test_every_retried_outcome_has_a_delay_and_a_maximum_of_its_own():
    own = {f"{one}_{what}" for one in RETRYABLE_OUTCOMES for what in ("delay_hours", "max_attempts")}

    assert own < set(CONFIG_KEYS)


# --- call_settings --------------------------------------------------------------------------------------------


@each(
    "flat, nested",
    [
        ({"max_attempts": 5}, {"retry_settings": {"max_attempts": 5}}),
        ({"retry_delay_hours": 0.5}, {"retry_settings": {"retry_delay_hours": 0.5}}),
        (
            {"allowed_hours": {"start": "10:00", "end": "18:00"}},
            {"allowed_call_hours": {"start": "10:00", "end": "18:00"}},
        ),
    ],
)
def test_the_flat_and_the_nested_shape_mean_the_same(flat, nested):
    one, other = Policy(read_config({}), read_call_settings(flat)), Policy(read_config({}), read_call_settings(nested))

    assert (one.max_attempts(BUSY), one.delay(BUSY)) == (other.max_attempts(BUSY), other.delay(BUSY))
    assert one.hours(IN_SANTIAGO) == other.hours(IN_SANTIAGO)


@each("document", [None, "null", "{}", b"{}", {}, json.dumps({"zones": ["UTC", "Asia/Tokyo"]})])
def test_nothing_written_is_nothing_asked_for(document):
    settings = read_call_settings(document)

    assert (settings.max_attempts, settings.hours, settings.windows) == (None, None, None)


@each(
    "document, says",
    [
        ("{", "it is not JSON"),
        ("[1]", "JSON object"),
        ('"text"', "JSON object"),
        ({"max_atempts": 3}, "there is no such setting; the settings are"),
        ({"max_attempts": 0}, "max_attempts: 0 cannot be used"),
        ({"max_attempts": True}, "true and false are not numbers"),
        ({"max_attempts": "many"}, "max_attempts"),
        ({"retry_delay_hours": -1}, "retry_delay_hours"),
        ({"retry_settings": {"max_atempts": 3}}, "retry_settings.max_atempts"),
        ({"max_attempts": 3, "retry_settings": {"max_attempts": 4}}, "contradict each other"),
        ({"allowed_hours": {"start": "25:00", "end": "26:00"}}, "25:00"),
        ({"allowed_hours": {"start": "18:00", "end": "09:00"}}, "later than the start"),
        ({"allowed_hours": {"start": "09:00"}}, "allowed_hours.end"),
        (
            {
                "allowed_hours": {"start": "09:00", "end": "18:00"},
                "allowed_call_hours": {"start": "10:00", "end": "18:00"},
            },
            "contradict",
        ),
        ({"days_of_week": []}, "days_of_week"),
        ({"days_of_week": [0]}, "days are 1 to 7"),
        ({"days_of_week": [8]}, "days are 1 to 7"),
        ({"timezone": "Chile"}, "Chile"),
        ({"zones": ["UTC", "Mars/Base"]}, "Mars/Base"),
        ({"timezone": "UTC", "zones": ["Asia/Tokyo"]}, "contradict"),
        ({"windows": {"mon": [["09:00", "18:00"]]}, "days_of_week": [1]}, "must go"),
        ({"windows": {"mondag": [["09:00", "18:00"]]}}, "windows"),
        ({"holidays": "XX"}, "holidays"),
        ({"ring_timeout": 4}, "ring_timeout"),
        ({"max_call_duration": 9}, "max_call_duration"),
        ({"max_concurrent_calls": -1}, "max_concurrent_calls"),
        ({"close_margin_s": -1}, "close_margin_s"),
        ({"outcomes": {"answered": {}}}, "the outcomes that are retried are"),
        ({"outcomes": {"completed": {"max_attempts": 2}}}, "the outcomes that are retried are"),
        ({"outcomes": {"busy": {"delay": 2}}}, "outcomes.busy.delay"),
        ({"caps": [{"per": "day"}]}, "caps[0].max"),
    ],
)
def test_a_document_that_cannot_be_used_is_refused_by_the_name_of_its_field(document, says):
    with pytest.raises(InvalidSettings, match="call_settings: ") as refusal:
        read_call_settings(document)

    assert says in str(refusal.value)


def test_every_complaint_is_made_at_once():
    with pytest.raises(InvalidSettings) as refusal:
        read_call_settings({"max_attempts": 0, "ring_timeout": 1, "nonsense": 1})

    assert len(refusal.value.problems) == 3


# --- which value is in force ----------------------------------------------------------------------------------

LADDER = [
    ({}, {}, 4.0, 3, "built-in", "built-in"),
    ({"default": (2, 5)}, {}, 2.0, 5, "scheduler_config.default_{}", "scheduler_config.default_{}"),
    ({"default": (2, 5), "busy": (1, 6)}, {}, 1.0, 6, "scheduler_config.busy_{}", "scheduler_config.busy_{}"),
    (
        {"default": (2, 5), "no_answer": (1, 6)}, {},
        2.0, 5, "scheduler_config.default_{}", "scheduler_config.default_{}",
    ),
    (
        {"busy": (1, 6)}, {"retry_delay_hours": 7, "max_attempts": 8},
        7.0, 8, "call_settings.retry_delay_hours", "call_settings.max_attempts",
    ),
    (
        {"busy": (1, 6)}, {"retry_settings": {"retry_delay_hours": 7, "max_attempts": 8}},
        7.0, 8, "call_settings.retry_delay_hours", "call_settings.max_attempts",
    ),
    (
        {}, {"retry_delay_hours": 7, "max_attempts": 8, "outcomes": {"busy": {"delay_hours": 0.25, "max_attempts": 9}}},
        0.25, 9, "call_settings.outcomes.busy.{}", "call_settings.outcomes.busy.{}",
    ),
    (
        {}, {"retry_delay_hours": 7, "outcomes": {"busy": {"max_attempts": 9}}},
        7.0, 9, "call_settings.retry_delay_hours", "call_settings.outcomes.busy.{}",
    ),
    (
        {"busy": (1, 6)}, {"outcomes": {"voicemail": {"delay_hours": 3, "max_attempts": 2}}},
        1.0, 6, "scheduler_config.busy_{}", "scheduler_config.busy_{}",
    ),
]  # fmt: skip


@each("config, settings, hours, attempts, delay_source, attempts_source", LADDER)
def test_the_first_that_has_a_value_wins_and_is_named(config, settings, hours, attempts, delay_source, attempts_source):
    policy = make_policy(config, settings)

    delay, most = policy.delay(BUSY), policy.max_attempts(BUSY)
    assert (delay.value, delay.source) == (hours * HOUR, delay_source.format("delay_hours"))
    assert (most.value, most.source) == (attempts, attempts_source.format("max_attempts"))


def test_an_empty_value_of_an_outcome_falls_to_the_default():
    policy = Policy(read_config({"busy_delay_hours": "", "default_delay_hours": "3"}))

    assert policy.delay(BUSY).source == "scheduler_config.default_delay_hours"


def test_a_delay_of_zero_is_a_delay():
    assert make_policy({"busy": (0, 3)}, {}).delay(BUSY).value == timedelta(0)
    assert make_policy({"busy": (2, 3)}, {"retry_delay_hours": 0}).delay(BUSY).value == timedelta(0)


def test_before_any_call_the_maximum_is_that_of_no_outcome():
    assert make_policy({"default": (1, 4), "busy": (1, 9)}, {}).max_attempts(None).value == 4


@each(
    "config, settings, ring, longest",
    [
        ({}, {}, 30, 600),
        ({"ring_timeout": "20", "max_call_duration": "120"}, {}, 20, 120),
        ({"ring_timeout": "20"}, {"ring_timeout": 45, "max_call_duration": 90}, 45, 90),
    ],
)
def test_a_campaign_may_ring_and_talk_for_a_time_of_its_own(config, settings, ring, longest):
    policy = Policy(read_config(config), read_call_settings(settings))

    assert (policy.ring_timeout, policy.max_call_duration) == (timedelta(seconds=ring), timedelta(seconds=longest))


# --- hours ----------------------------------------------------------------------------------------------------

IN_SANTIAGO = LeadZones(("America/Santiago",), "its number", "CL", None)
ALL_DAY = {"all": [["00:00", "24:00"]]}
WORKING_HOURS, WORKING_DAYS = "scheduler_config.working_hours_start and _end", "scheduler_config.working_days"
HOLIDAYS = "scheduler_config.holidays"


@each(
    "config, settings, monday, saturday",
    [
        ({}, {}, "09:00-20:00", ""),
        ({"working_hours_start": "10:00", "working_days": "6"}, {}, "", "10:00-20:00"),
        ({"working_hours_start": "10:00"}, {"allowed_hours": {"start": "08:00", "end": "12:00"}}, "08:00-12:00", ""),
        ({}, {"days_of_week": [6, 7]}, "", "09:00-20:00"),
        ({}, {"windows": {"mon": [["09:00", "11:00"], ["16:00", "18:00"]]}}, "09:00-11:00 16:00-18:00", ""),
        ({"working_days": "6"}, {"windows": {"mon": [["22:00", "02:00"]]}, "overnight": True}, "22:00-02:00", ""),
    ],
)
def test_windows_go_before_allowed_hours_and_these_before_working_hours(config, settings, monday, saturday):
    [rule] = Policy(read_config(config), read_call_settings(settings)).hours(IN_SANTIAGO)

    spans = [" ".join(map(str, rule.windows.weekdays[day])) for day in (0, 5)]
    assert spans == [monday, saturday]
    assert rule.zones == ("America/Santiago",)


def test_a_closing_margin_is_part_of_the_hours():
    [rule] = Policy(read_config({}), read_call_settings({"close_margin_s": 120})).hours(IN_SANTIAGO)

    assert rule.close_margin == timedelta(seconds=120)


def test_the_same_question_gets_the_same_rules_so_that_they_cache():
    policy = make_policy({}, {})

    assert policy.hours(IN_SANTIAGO) is policy.hours(LeadZones(("America/Santiago",), "the campaign", "CL", None))


@each(
    "listed, country, region, bound",
    [
        ("", "CL", None, ()),
        ("CL,ES", "CL", None, ("CL",)),
        ("CL,ES", "ES", None, ("ES",)),
        ("CL,ES", "US", None, ("CL", "ES")),
        ("CL,ES", None, None, ("CL", "ES")),
        ("ES", "ES", "ES-CT", ("ES-CT",)),
        ("ES-MD", "ES", "ES-CT", ("ES-MD",)),
        ("ES", "ES", "ES-ZZ", ("ES",)),
    ],
)
def test_a_lead_keeps_the_holidays_of_its_own_country(listed, country, region, bound):
    assert narrow_holidays(Holidays.parse(listed), country, region).calendars == bound


def test_a_campaign_may_keep_other_holidays_than_the_installation():
    own = Policy(read_config({"holidays": "CL"}), read_call_settings({"holidays": "AR"}))

    [rule] = own.hours(LeadZones(("UTC",), "the campaign", None, None))

    assert rule.holidays.calendars == ("AR",)


@each(
    "settings, sources",
    [
        ({}, [WORKING_HOURS, WORKING_DAYS, HOLIDAYS]),
        ({"windows": ALL_DAY}, ["call_settings.windows", HOLIDAYS]),
        ({"days_of_week": [1]}, ["call_settings.days_of_week", WORKING_HOURS, HOLIDAYS]),
        ({"preset": "cl-sales"}, ["call_settings.preset (cl-sales)", HOLIDAYS]),
        ({"preset": "cl-sales", "holidays": []}, ["call_settings.holidays", "call_settings.preset (cl-sales)"]),
        (
            {"preset": "cl-sales", "allowed_hours": {"start": "10:00", "end": "12:00"}},
            ["call_settings.allowed_hours", "call_settings.preset (cl-sales)", WORKING_DAYS, HOLIDAYS],
        ),
        (
            {"preset": "us-ri-sales", "windows": ALL_DAY},
            ["call_settings.windows", "call_settings.preset (us-ri-sales)", HOLIDAYS],
        ),
    ],
)
def test_the_hours_name_everyone_who_had_a_say_in_them(settings, sources):
    policy = Policy(read_config({"holidays": "CL"}), read_call_settings(settings))

    assert policy.hours_source.split(", ") == sources


@each("preset", ["us-sales", "us-collections", "es-sales"])
def test_a_preset_does_not_open_the_holidays_of_the_installation_but_the_campaign_may(preset):
    config, where = read_config({"holidays": "2026-12-24"}), LeadZones(("UTC",), "the campaign", None, None)
    shut = Policy(config, read_call_settings({"preset": preset}))
    opened = Policy(config, read_call_settings({"preset": preset, "holidays": []}))

    noon = datetime(2026, 12, 24, 12, tzinfo=UTC)
    assert (is_allowed(shut.hours(where), noon), is_allowed(opened.hours(where), noon)) == (False, True)


def test_the_reason_for_waiting_names_the_preset_that_is_shut():
    policy = Policy(read_config({}), read_call_settings({"preset": "cl-sales", "windows": ALL_DAY}))

    said = explain_closed(policy.hours(IN_SANTIAGO), datetime(2027, 6, 8, 2, tzinfo=UTC))

    assert "(preset cl-sales)" in said


# --- fingerprints ---------------------------------------------------------------------------------------------


@each(
    "config, settings",
    [({"default_delay_hours": "5"}, {}), ({}, {"max_attempts": 2}), ({}, {"windows": {"mon": [["09:00", "10:00"]]}})],
)
def test_the_fingerprint_changes_with_every_rule(config, settings):
    assert Policy(read_config(config), read_call_settings(settings)).fingerprint != make_policy({}, {}).fingerprint


def test_the_fingerprint_does_not_depend_on_the_order_of_rows():
    rows = {"default_delay_hours": "5", "ring_timeout": "20"}

    one, other = Policy(read_config(rows)), Policy(read_config(dict(reversed(rows.items()))))

    assert one.fingerprint == other.fingerprint


# --- what this file needs -------------------------------------------------------------------------------------


def make_policy(config: dict[str, tuple[float, int]], settings: dict[str, object]) -> Policy:
    """`config`: outcome, or `default`, to (delay in hours, attempts)."""
    rows = {}
    for name, (hours, attempts) in config.items():
        rows |= {f"{name}_delay_hours": str(hours), f"{name}_max_attempts": str(attempts)}
    return Policy(read_config(rows), read_call_settings(settings))
