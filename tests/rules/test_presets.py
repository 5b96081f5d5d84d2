"""The list of presets: that its hours, holidays, caps and silences are those of the table, and bind a campaign."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.errors import InvalidSettings, InvalidValue
from scheduler.rules.caps import PastCall, Target, next_callable
from scheduler.rules.hours import HoursRule, is_allowed
from scheduler.rules.policy import Policy, read_call_settings, read_config
from scheduler.rules.presets import CERTAINTIES, PRESETS, Preset, find_preset, strictest_for
from scheduler.rules.zones import LeadZones
from tests.each import each
from tests.examples import examples

ZONE_OF = {
    "US": "America/New_York", "CA": "America/St_Johns", "GB": "Europe/London", "IE": "Europe/Dublin",
    "ES": "Europe/Madrid", "PT": "Europe/Lisbon", "FR": "Europe/Paris", "DE": "Europe/Berlin",
    "CL": "America/Santiago", "CO": "America/Bogota", "MX": "America/Mexico_City",
    "AR": "America/Argentina/Buenos_Aires", "BR": "America/Sao_Paulo", "AU": "Australia/Sydney",
    "IN": "Asia/Kolkata", "EU": "Europe/Brussels",
}  # fmt: skip
# Regions with holidays of their own, or of their country only, to try what a lead's region changes.
REGIONS = {"ES": ("ES-CT", "ES-MD"), "GB": ("GB-ENG", "GB-SCT"), "DE": ("DE-BY",), "BR": ("BR-SP",), "AU": ("AU-WA",)}
MONDAY = date(2027, 8, 23)
"""No country of the list has a holiday in this week."""
NEW_YEAR = date(2027, 1, 1)
"""A Friday, and a holiday everywhere."""
QUARTER = timedelta(minutes=15)

TABLE = [
    # preset, Monday to Friday, Saturday, Sunday, New Year
    ("us-sales", "08:00-21:00", "08:00-21:00", "08:00-21:00", "08:00-21:00"),
    ("us-collections", "08:00-21:00", "08:00-21:00", "08:00-21:00", "08:00-21:00"),
    ("us-ma-collections", "08:00-21:00", "08:00-21:00", "08:00-21:00", "08:00-21:00"),
    ("us-fl-sales", "08:00-20:00", "08:00-20:00", "08:00-20:00", "08:00-20:00"),
    ("us-ok-sales", "08:00-20:00", "08:00-20:00", "08:00-20:00", "08:00-20:00"),
    ("us-md-sales", "08:00-20:00", "08:00-20:00", "08:00-20:00", "08:00-20:00"),
    ("us-wa-sales", "08:00-20:00", "08:00-20:00", "08:00-20:00", "08:00-20:00"),
    ("us-tx-sales", "09:00-21:00", "09:00-21:00", "12:00-21:00", "09:00-21:00"),
    ("us-ct-sales", "09:00-20:00", "09:00-20:00", "09:00-20:00", "09:00-20:00"),
    ("us-nv-sales", "09:00-20:00", "09:00-20:00", "09:00-20:00", "09:00-20:00"),
    ("us-ky-sales", "10:00-21:00", "10:00-21:00", "10:00-21:00", "10:00-21:00"),
    ("us-al-sales", "08:00-20:00", "08:00-20:00", "", ""),
    ("us-la-sales", "08:00-20:00", "08:00-20:00", "", ""),
    # Read in Chicago, where it is an hour earlier than in New York; those of us-sales hold as well.
    ("us-ms-sales", "09:00-21:00", "09:00-21:00", "", ""),
    # Their own hours are not known: those of us-sales, and shut on holidays.
    ("us-ri-sales", "08:00-21:00", "08:00-21:00", "08:00-21:00", ""),
    ("us-pa-sales", "08:00-21:00", "08:00-21:00", "08:00-21:00", ""),
    ("us-ut-sales", "08:00-21:00", "08:00-21:00", "08:00-21:00", ""),
    ("ca-sales", "09:00-21:30", "10:00-18:00", "10:00-18:00", "09:00-21:30"),
    ("uk-sales", "08:00-21:00", "09:00-21:00", "", ""),
    ("uk-collections", "08:00-21:00", "09:00-21:00", "", ""),
    ("ie-credit", "09:00-21:00", "09:00-21:00", "", ""),
    ("es-sales", "09:00-21:00", "", "", ""),
    ("es-telecom-code", "10:00-15:00, 16:00-21:00", "", "", ""),
    ("pt-sales", "09:00-22:00", "", "", ""),
    ("fr-sales", "10:00-13:00, 14:00-20:00", "", "", ""),
    ("de-sales", "09:00-20:00", "", "", ""),
    ("cl-collections", "08:00-20:00", "10:00-13:00", "", ""),
    ("cl-sales", "09:00-20:00", "10:00-14:00", "", ""),
    ("co-all", "07:00-19:00", "08:00-15:00", "", ""),
    ("mx-collections", "07:00-22:00", "07:00-22:00", "07:00-22:00", "07:00-22:00"),
    ("mx-sales", "09:00-20:00", "09:00-20:00", "", ""),
    ("ar-sales", "09:00-20:00", "09:00-13:00", "", ""),
    ("br-sales", "09:00-21:00", "10:00-16:00", "", ""),
    ("au-sales", "09:00-20:00", "09:00-17:00", "", ""),
    ("au-research", "09:00-20:30", "09:00-17:00", "09:00-17:00", ""),
    ("au-collections", "07:30-21:00", "09:00-21:00", "09:00-21:00", ""),
    ("in-sales", "09:00-21:00", "09:00-21:00", "09:00-21:00", "09:00-21:00"),
    ("in-collections", "08:00-19:00", "08:00-19:00", "08:00-19:00", "08:00-19:00"),
]
NO_RULES = "eu-ai"
"""A disclosure alone, to stand beside a country's rules."""
WITHOUT_HOURS = ("us-ri-sales", "us-pa-sales", "us-ut-sales", NO_RULES)
CERTAINTY = {
    "us-sales": "A/B", "us-collections": "A/C", "us-ma-collections": "A", "us-fl-sales": "A/B", "us-ok-sales": "A/B",
    "us-md-sales": "A/B", "us-wa-sales": "B", "us-tx-sales": "B", "us-ct-sales": "C", "us-nv-sales": "C",
    "us-ky-sales": "B", "us-al-sales": "B", "us-la-sales": "B", "us-ms-sales": "C", "us-ri-sales": "C",
    "us-pa-sales": "C", "us-ut-sales": "C", "ca-sales": "A", "uk-sales": "B", "uk-collections": "A/C",
    "ie-credit": "A", "es-sales": "A/B", "es-telecom-code": "B", "pt-sales": "B", "fr-sales": "A/B",
    "de-sales": "A/C", "cl-collections": "A/C", "cl-sales": "B/C", "co-all": "A/B", "mx-collections": "B",
    "mx-sales": "B/C", "ar-sales": "B/C", "br-sales": "B", "au-sales": "A", "au-research": "A",
    "au-collections": "A/B", "in-sales": "B", "in-collections": "A", "eu-ai": "B",
}  # fmt: skip
WITH_HOURS = sorted(PRESETS.keys() - set(WITHOUT_HOURS))


# --- The list -------------------------------------------------------------------------------------


@each(("name", "workday", "saturday", "sunday", "new_year"), TABLE)
def test_the_hours_are_those_of_the_table(
    name: str, workday: str, saturday: str, sunday: str, new_year: str
) -> None:
    where = lead_in(PRESETS[name].country)
    rules = PRESETS[name].hours_rules(where, timedelta(0))
    week = [read_open(rules, where.zones[0], MONDAY + timedelta(days=day)) for day in range(7)]
    assert week == [workday] * 5 + [saturday, sunday]
    assert read_open(rules, where.zones[0], NEW_YEAR) == new_year


def test_the_list_is_that_of_the_table_and_of_nobody_else() -> None:
    assert set(PRESETS) == {name for name, *_ in TABLE} | {NO_RULES}
    assert {name: one.certainty for name, one in PRESETS.items()} == CERTAINTY
    assert {name for name, one in PRESETS.items() if one.windows is None} == set(WITHOUT_HOURS)


@each("name", PRESETS)
def test_every_preset_says_how_certain_it_is_when_it_was_gathered_and_what_it_cannot_do(name: str) -> None:
    preset = PRESETS[name]
    assert set(preset.certainty.split("/")) <= set(CERTAINTIES)
    assert (preset.gathered_on.year, preset.gathered_on.month) == (2026, 11)
    assert preset.all_notes


@each(
    ("name", "words"),
    [
        ("us-sales", ("3%", "2 seconds", "15 seconds", "written consent", "31 days", "opt-outs", "reassigned")),
        ("us-collections", ("presumption", "last 7 days", "inconvenient")),
        ("us-ma-collections", ("Eastern", "last 7 days")),  # and those of the one that it adds to
        ("us-fl-sales", ("area code", "3%")),
        ("us-tx-sales", ("register", "Central")),
        ("us-ct-sales", ("stricter",)),
        ("us-la-sales", ("emergencies",)),
        ("ca-sales", ("5%", "31 days", "surveys")),
        ("uk-sales", ("safe reading", "28 days", "3%", "15 seconds")),
        ("es-sales", ("66", "2 years", "Robinson", "400")),
        ("fr-sales", ("11 August 2026", "2022", "consent")),
        ("de-sales", ("5 years", "custom")),
        ("cl-collections", ("600", "2 years", "2 in 7 days, 2 days apart", "safer")),
        ("cl-sales", ("809", "600")),
        ("co-all", ("one channel", "authorisation", "references")),
        ("mx-sales", ("REUS", "REPEP")),
        ("ar-sales", ("No Llame", "30 days")),
        ("br-sales", ("6 seconds", "0303", "Nao Me Perturbe")),
        ("in-sales", ("140",)),
        ("eu-ai", ("article 50", "2 August 2026")),
    ],
)
def test_what_cannot_be_enforced_stands_in_the_notes(name: str, words: tuple[str, ...]) -> None:
    notes = " ".join(PRESETS[name].all_notes)
    assert [word for word in words if word not in notes] == []


# --- Holidays and zones ---------------------------------------------------------------------------


@each(
    ("name", "region", "day", "is_shut"),
    [
        ("es-sales", "ES-CT", date(2027, 6, 24), True),  # Sant Joan
        ("es-sales", "ES-MD", date(2027, 6, 24), False),
        ("es-sales", None, date(2027, 6, 24), False),
        ("es-telecom-code", "ES-CT", date(2027, 6, 24), True),
        ("uk-sales", "GB-ENG", date(2027, 3, 29), True),  # Easter Monday, not a holiday in Scotland
        ("uk-sales", "GB-SCT", date(2027, 3, 29), False),
        ("de-sales", "DE-BY", date(2027, 1, 6), True),  # Epiphany
        ("de-sales", "DE-BE", date(2027, 1, 6), False),
        # Where the law says national, the region's own holidays do not shut.
        ("au-sales", "AU-WA", date(2027, 6, 7), False),  # Western Australia Day
        ("au-collections", "AU-WA", date(2027, 1, 26), True),  # Australia Day
        ("cl-collections", "CL-RM", date(2027, 6, 29), False),  # moved to Monday 28
        ("cl-collections", "CL-RM", date(2027, 6, 28), True),
        ("us-al-sales", "US-AL", date(2027, 7, 5), True),  # Independence Day, observed
    ],
)
def test_the_holidays_are_those_of_the_lead_s_region(name: str, region: str | None, day: date, is_shut: bool) -> None:
    where = lead_in(PRESETS[name].country, region)
    assert (read_open(PRESETS[name].hours_rules(where, timedelta(0)), where.zones[0], day) == "") == is_shut


def test_a_lead_in_two_zones_is_called_when_both_are_open() -> None:
    where = LeadZones(("Europe/Madrid", "Atlantic/Canary"), "its number", "ES", None)
    rules = PRESETS["es-sales"].hours_rules(where, timedelta(0))
    assert read_open(rules, "Europe/Madrid", MONDAY) == "10:00-21:00"


def test_a_closing_margin_shortens_every_span() -> None:
    rules = PRESETS["fr-sales"].hours_rules(lead_in("FR"), timedelta(minutes=30))
    # 12:30 is the last quarter of an hour that opens early enough.
    assert read_open(rules, "Europe/Paris", MONDAY) == "10:00-12:45, 14:00-19:45"


def test_a_fixed_clock_is_read_there_and_the_base_on_the_lead_s_own() -> None:
    where = lead_in("US", zone="Pacific/Honolulu")  # 5 hours behind Chicago in August
    rules = PRESETS["us-ms-sales"].hours_rules(where, timedelta(0))
    assert read_open(rules, "America/Chicago", MONDAY) == "13:00-20:00"


# --- In a campaign --------------------------------------------------------------------------------


@each("name", PRESETS)
def test_a_campaign_is_held_by_every_rule_of_its_preset(name: str) -> None:
    preset = PRESETS[name]
    policy = policy_of(with_hours({"preset": name}))
    where = lead_in(preset.country)
    assert set(preset.hours_rules(where, timedelta(0))) <= set(policy.hours(where))
    assert (policy.caps, policy.cooldowns) == (preset.caps, preset.cooldowns)
    assert f"call_settings.preset ({name})" in policy.hours_source


def test_the_hours_of_a_preset_stand_in_the_place_of_the_installation_s() -> None:
    policy = policy_of({"preset": "cl-collections"}, working_hours_start="12:00", working_days="1")
    assert read_week(policy, lead_in("CL")) == ["08:00-20:00"] * 5 + ["10:00-13:00", ""]


@each(
    ("own", "week"),
    [
        ({"allowed_hours": {"start": "07:00", "end": "11:00"}}, ["08:00-11:00"] * 5 + ["", ""]),
        ({"windows": {"all": [["12:00", "23:00"]]}}, ["12:00-20:00"] * 5 + ["12:00-13:00", ""]),
        ({"days_of_week": [1, 6, 7]}, ["08:00-20:00", "", "", "", "", "10:00-13:00", ""]),
        ({"holidays": {"dates": ["2027-08-24"]}}, ["08:00-20:00", "", *["08:00-20:00"] * 3, "10:00-13:00", ""]),
        ({"close_margin_s": 3600}, ["08:00-19:15"] * 5 + ["10:00-12:15", ""]),  # 19:00 is the last quarter that fits
    ],
)
def test_the_campaign_s_own_hours_must_be_open_as_well(own: dict[str, Any], week: list[str]) -> None:
    assert read_week(policy_of({"preset": "cl-collections", **own}), lead_in("CL")) == week


def test_the_installation_s_holidays_are_shut_beside_a_preset() -> None:
    policy = policy_of({"preset": "us-sales"}, holidays="US")
    assert read_open(policy.hours(lead_in("US")), "America/New_York", NEW_YEAR) == ""
    assert "scheduler_config.holidays" in policy.hours_source


def test_the_campaign_s_own_caps_and_spacing_stand_beside_those_of_the_preset() -> None:
    own = {"caps": [{"max": 2, "per": {"days": 1}, "by": "lead"}], "spacing": [{"per": {"hours": 2}, "by": "phone"}]}
    policy = policy_of({"preset": "br-sales", **own})
    assert [str(cap) for cap in policy.caps] == [
        "2 in 1 days by lead", "1 in 2 hours by phone", "2 in one day by phone",
    ]  # fmt: skip


@each(
    ("name", "near"), [("cl-colections", "cl-collections"), ("us-flsales", "us-fl-sales"), ("CL-SALES", "cl-sales")]
)
def test_an_unknown_preset_is_refused_by_the_name_of_the_field_with_the_near_ones(name: str, near: str) -> None:
    with pytest.raises(InvalidSettings) as refused:
        read_call_settings({"preset": name})
    for words in (f"preset: {name!r} cannot be used", near, "ringback rules presets"):
        assert words in str(refused.value)


def test_a_preset_like_no_other_is_refused_with_the_whole_list() -> None:
    with pytest.raises(InvalidValue, match="ar-sales, au-collections") as refused:
        find_preset("qqqq")
    assert "did you mean" not in str(refused.value)


@each("name", WITHOUT_HOURS)
def test_a_preset_that_knows_no_hours_asks_for_the_campaign_s_own(name: str) -> None:
    with pytest.raises(InvalidSettings, match=r"preset: .* allowed_hours or windows of your own"):
        read_call_settings({"preset": name})
    assert read_call_settings(with_hours({"preset": name})).preset == name


# --- Caps and silences, each from the words of its line -------------------------------------------


@each(
    ("name", "calls", "asked_at", "called_at"),
    [
        # Florida: the fourth call about a subject waits 24 hours for the first, whichever number was used.
        (
            "us-fl-sales",
            [("06-10T09:00", "no_answer", {"subject": "roof", "phone": "P2"}),
             ("06-10T11:00", "busy", {"subject": "roof"}), ("06-10T12:00", "failed", {"subject": "roof"})],
            "06-10T12:30", "06-11T09:00",
        ),
        (
            "us-fl-sales",
            [("06-10T09:00", "busy", {"subject": "car"}), ("06-10T10:00", "busy", {"subject": "roof"}),
             ("06-10T11:00", "busy", {"subject": "roof"})],
            "06-10T12:30", "06-10T12:30",
        ),
        # Reg F: seven calls in seven dates; busy and failed ones do not count, nor does another debt.
        ("us-collections", [(f"06-{day:02}T12:00", "no_answer", {}) for day in range(1, 8)], "06-07T13:00",
         "06-08T08:00"),
        (
            "us-collections",
            [*((f"06-{day:02}T12:00", "no_answer", {}) for day in range(1, 7)), ("06-07T09:00", "busy", {}),
             ("06-07T10:00", "no_answer", {"debt": "D2"})],
            "06-07T13:00", "06-07T13:00",
        ),
        ("us-collections", [("06-07T20:30", "completed", {})], "06-07T20:40", "06-14T08:00"),
        # Massachusetts: two that reached somebody, or left a message, and the silence of Reg F beside it.
        ("us-ma-collections", [("06-07T12:00", "voicemail", {}), ("06-08T12:00", "hang_up", {})], "06-08T13:00",
         "06-14T08:00"),
        ("us-ma-collections", [("06-07T12:00", "no_answer", {}), ("06-08T12:00", "no_answer", {})], "06-08T13:00",
         "06-08T13:00"),
        ("us-ma-collections", [("06-09T12:00", "completed", {})], "06-09T13:00", "06-16T08:00"),
        # United Kingdom: 72 hours after an abandoned call, for whoever has the number; then Sunday is shut.
        ("uk-sales", [("06-09T19:30", "abandoned", {"lead": "L9"})], "06-09T19:31", "06-12T19:30"),
        ("uk-sales", [("06-10T19:30", "abandoned", {})], "06-10T19:31", "06-14T08:00"),
        # France: every attempt counts for 30 dates; a refusal is followed by 60 full days.
        ("fr-sales", [(f"06-{day:02}T11:00", "failed", {}) for day in (1, 4, 8, 14)], "06-14T11:10", "07-01T10:00"),
        ("fr-sales", [("06-09T14:30", "do_not_call", {})], "06-09T14:31", "08-09T10:00"),
        # Chile: a conversation closes seven dates; other attempts close none.
        ("cl-collections", [("06-09T11:00", "completed", {})], "06-09T11:10", "06-16T08:00"),
        ("cl-collections", [("06-09T11:00", "no_answer", {}), ("06-09T11:30", "hang_up", {})], "06-09T12:00",
         "06-09T12:00"),
        # Colombia: one conversation in a date.
        ("co-all", [("06-09T11:00", "completed", {})], "06-09T11:10", "06-10T07:00"),
        # Brazil: two calls in a date to a number, whoever they were for.
        ("br-sales", [("06-09T11:00", "busy", {"lead": "L9"}), ("06-09T12:00", "busy", {})], "06-09T12:01",
         "06-10T09:00"),
        ("br-sales", [("06-09T11:00", "busy", {"phone": "P2"}), ("06-09T12:00", "busy", {})], "06-09T12:01",
         "06-09T12:01"),
        # Australia: three in seven dates, and ten in a month.
        ("au-collections", [(f"06-{day:02}T11:00", "busy", {}) for day in (1, 2, 3)], "06-03T12:00", "06-08T07:30"),
        ("au-collections", [(f"06-{day:02}T11:00", "busy", {}) for day in (1, 2, 3, 8, 9, 10, 15, 16, 17, 22)],
         "06-24T12:00", "07-01T07:30"),
    ],
)  # fmt: skip
def test_caps_and_silences_hold_as_their_line_says(
    name: str, calls: list[tuple[str, str, dict[str, Any]]], asked_at: str, called_at: str
) -> None:
    preset = PRESETS[name]
    where = lead_in(preset.country)
    zone = ZoneInfo(where.zones[0])
    keys: dict[str, Any] = {"lead": "L1", "phone": "P1", "debt": "D1"}
    history = [replace(PastCall(local(at, zone), outcome, **keys), **other) for at, outcome, other in calls]
    found = next_callable(
        preset.hours_rules(where, timedelta(0)), preset.caps, preset.cooldowns, history,
        Target(**keys, subject="roof"), local(asked_at, zone),
    )  # fmt: skip
    assert found == local(called_at, zone)


# --- A copy ---------------------------------------------------------------------------------------


@each("name", PRESETS)
def test_a_copy_is_json_is_accepted_and_is_the_reader_s_own(name: str) -> None:
    preset = PRESETS[name]
    copy = preset.as_call_settings()
    assert json.loads(json.dumps(copy)) == copy
    read_call_settings(copy)
    for value in copy.values():
        value.clear()
    copy["windows"] = {}
    assert preset.as_call_settings() != copy


@each("name", PRESETS)
def test_a_preset_says_what_its_copy_cannot_say(name: str) -> None:
    preset = PRESETS[name]
    caveats = " ".join(preset.caveats)
    assert ("on the clock of the lead" in caveats) == (name in ("us-ms-sales", "us-ma-collections"))
    assert ("national ones" in caveats) == name.startswith("au-")
    assert ("place of the installation's" in caveats) == bool(preset.holidays)
    assert ("no hours of your own are asked for" in caveats) == (name in WITHOUT_HOURS)


def test_a_copy_keeps_its_own_holidays_in_the_place_of_the_installation_s() -> None:
    preset, local_holiday = PRESETS["es-sales"], {"holidays": MONDAY.isoformat()}
    week = ["09:00-21:00"] * 5 + ["", ""]
    assert read_week(policy_of({"preset": "es-sales"}, **local_holiday), lead_in("ES")) == ["", *week[1:]]
    assert read_week(policy_of(preset.as_call_settings(), **local_holiday), lead_in("ES")) == week


def test_a_preset_without_rules_leaves_the_hours_to_the_campaign() -> None:
    assert PRESETS[NO_RULES].hours_rules(lead_in("EU"), timedelta(0)) == ()
    policy = policy_of({"preset": NO_RULES, "windows": {"mon": [["09:00", "10:00"]]}})
    assert read_week(policy, lead_in("ES")) == ["09:00-10:00", *[""] * 6]
    assert (policy.caps, policy.cooldowns) == ((), ())


@settings(max_examples=examples(40))
@given(st.data())
def test_a_campaign_with_a_copy_decides_as_one_with_the_preset(data: st.DataObject) -> None:
    preset = PRESETS[data.draw(st.sampled_from(WITH_HOURS))]
    # With a region the copy's holidays are those of the region, which the caveats of these say.
    region = None if preset.national_holidays else data.draw(st.sampled_from((None, *REGIONS.get(preset.country, ()))))
    where = lead_in(preset.country, region, zone=preset.clock)
    at, history = data.draw(situations())
    by_name, by_copy = policy_of({"preset": preset.name}), policy_of(preset.as_call_settings())
    assert decide(by_name, where, at, history) == decide(by_copy, where, at, history)


@settings(max_examples=examples(15))
@given(st.data())
def test_a_copy_beside_own_hours_decides_as_a_preset_that_knows_none(data: st.DataObject) -> None:
    preset = PRESETS[data.draw(st.sampled_from(WITHOUT_HOURS))]
    where = lead_in(preset.country)
    at, history = data.draw(situations())
    own = {"windows": {"mon-fri": [["09:00", "18:00"]]}}  # within those of us-sales, so that these add nothing
    by_name, by_copy = policy_of({"preset": preset.name, **own}), policy_of({**preset.as_call_settings(), **own})
    assert decide(by_name, where, at, history) == decide(by_copy, where, at, history)


# --- One beside another ---------------------------------------------------------------------------


@settings(max_examples=examples(40))
@given(st.data())
def test_a_preset_never_allows_more_than_the_one_it_adds_to(data: st.DataObject) -> None:
    preset = PRESETS[data.draw(st.sampled_from(sorted(name for name, one in PRESETS.items() if one.base)))]
    assert preset.base is not None
    where = lead_in(preset.country, zone=data.draw(st.sampled_from((None, "America/Los_Angeles"))))
    at, history = data.draw(situations())
    assert_not_earlier(decide_by(preset, where, at, history), decide_by(PRESETS[preset.base], where, at, history))


@settings(max_examples=examples(40))
@given(st.data())
def test_the_strictest_of_a_country_never_allows_more_than_any_of_its_presets(data: st.DataObject) -> None:
    member = PRESETS[data.draw(st.sampled_from([name for name in WITH_HOURS if PRESETS[name].region is None]))]
    strictest = strictest_for(member.country)
    assert strictest is not None
    where = lead_in(member.country, data.draw(st.sampled_from((None, *REGIONS.get(member.country, ())))))
    at, history = data.draw(situations())
    assert_not_earlier(decide_by(strictest, where, at, history), decide_by(member, where, at, history))


def test_the_strictest_of_a_country_is_all_of_its_presets_at_once_and_says_so() -> None:
    strictest = find_preset("cl")
    where = lead_in("CL")
    rules = strictest.hours_rules(where, timedelta(0))
    week = [read_open(rules, where.zones[0], MONDAY + timedelta(days=day)) for day in range(7)]
    assert week == ["09:00-20:00"] * 5 + ["10:00-13:00", ""]
    assert strictest.caps == PRESETS["cl-collections"].caps
    assert "cl-collections and cl-sales" in strictest.notes[0]
    assert "us-fl-sales" in find_preset("us").notes[1]  # left out, because it binds a part of the country
    assert find_preset("uk") is strictest_for("GB")


def test_the_strictest_reads_the_lead_s_own_clock_as_every_preset_of_a_whole_country_does() -> None:
    assert [one.name for one in PRESETS.values() if one.region is None and one.clock is not None] == []


def test_a_country_without_presets_has_no_strictest() -> None:
    assert strictest_for("NZ") is None
    with pytest.raises(InvalidValue):
        find_preset("nz")


# --- Helpers --------------------------------------------------------------------------------------


def lead_in(country: str, region: str | None = None, *, zone: str | None = None) -> LeadZones:
    return LeadZones((zone or ZONE_OF[country],), "the lead's own zone", country, region)


def policy_of(settings: Mapping[str, Any], **config: str) -> Policy:
    return Policy(read_config(config), read_call_settings(dict(settings)))


def with_hours(settings: dict[str, Any]) -> dict[str, Any]:
    """With hours of its own where the preset knows none."""
    return {**settings, "windows": {"all": [["00:00", "24:00"]]}} if settings["preset"] in WITHOUT_HOURS else settings


def read_week(policy: Policy, where: LeadZones) -> list[str]:
    return [read_open(policy.hours(where), where.zones[0], MONDAY + timedelta(days=day)) for day in range(7)]


def read_open(rules: tuple[HoursRule, ...], zone: str, day: date) -> str:
    """The spans of a local date on which every quarter of an hour is open, such as "09:00-13:00, 14:00-20:00"."""
    start = datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC)
    quarters = [is_allowed(rules, start + number * QUARTER) for number in range(96)]
    spans, opened = [], None
    for number, is_open in enumerate((*quarters, False)):
        if is_open and opened is None:
            opened = number
        elif not is_open and opened is not None:
            spans.append(f"{opened // 4:02}:{opened % 4 * 15:02}-{number // 4:02}:{number % 4 * 15:02}")
            opened = None
    return ", ".join(spans)


def local(text: str, zone: ZoneInfo) -> datetime:
    return datetime.fromisoformat(f"2027-{text}").replace(tzinfo=zone).astimezone(UTC)


def decide(policy: Policy, where: LeadZones, at: datetime, history: list[PastCall]) -> datetime | None:
    return next_callable(policy.hours(where), policy.caps, policy.cooldowns, history, TARGET, at, zones=where.zones)


def decide_by(preset: Preset, where: LeadZones, at: datetime, history: list[PastCall]) -> datetime | None:
    rules = preset.hours_rules(where, timedelta(0))
    return next_callable(rules, preset.caps, preset.cooldowns, history, TARGET, at, zones=where.zones)


def assert_not_earlier(found: datetime | None, other: datetime | None) -> None:
    assert found is None or (other is not None and found >= other)


TARGET = Target(lead="L1", phone="P1", debt="D1", subject="roof")


@st.composite
def situations(draw: st.DrawFn) -> tuple[datetime, list[PastCall]]:
    """An instant, and calls of the weeks before it: mostly with the target, so that caps are used up."""
    start = datetime(2026, 12, 20, tzinfo=UTC)
    at = start + timedelta(minutes=draw(st.integers(0, 400 * 24 * 60)))
    calls = st.builds(
        PastCall,
        at=st.integers(1, 40 * 24 * 60).map(lambda minutes: at - timedelta(minutes=minutes)),
        outcome=st.sampled_from(
            (None, "no_answer", "busy", "voicemail", "completed", "do_not_call", "hang_up", "abandoned")
        ),
        lead=st.sampled_from(("L1", "L1", "L2")),
        phone=st.sampled_from(("P1", "P1", "P2")),
        debt=st.sampled_from(("D1", "D1", "D2", None)),
        subject=st.sampled_from(("roof", "car", None)),
    )
    return at, draw(st.lists(calls, max_size=12))
