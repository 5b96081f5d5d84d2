"""The table of legal cases, run as a user's `rules test` runs it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from scheduler.errors import InvalidValue
from scheduler.rules.cases import run_case, run_cases
from tests.each import each

CASES: list[dict[str, Any]] = json.loads(Path(__file__).with_name("calling_cases.json").read_text())


@each("case", CASES, ids=lambda case: case["name"])
def test_every_case_of_the_table_gives_the_instant_that_was_computed_by_hand(case: dict[str, Any]) -> None:
    result = run_case(case)
    assert result.actual_utc == case["expected_utc"], result.why
    assert result.ok


def test_the_table_is_whole() -> None:
    assert len(CASES) == 65
    assert len({case["name"] for case in CASES}) == 65


@each(
    ("broken", "named"),
    [
        (None, "write an object"),
        ([], "write an object"),
        ("close-exact", "write an object"),
        ({}, "expected_utc"),
        ({"expected_utc": None}, "settings"),
        ({"settings": {"windows": {}}}, "settings.zones"),
        ({"settings": {"zones": ["UTC"]}}, "settings.windows"),
        ({"settings": {"zones": ["Mars/Olympus"], "windows": {}}}, "Mars/Olympus"),
        ({"settings": {"zones": ["UTC"], "windows": {"mon": [["25:00", "26:00"]]}}}, "windows.mon[0][0]"),
        ({"settings": {"zones": ["UTC"], "windows": {}, "window": {}}}, "settings.window"),
        ({"settings": {"rules": []}}, "settings.rules"),
        ({"settings": {"rules": [7]}}, "settings.rules[0]"),
        ({"settings": {"zones": 5, "windows": {}}}, "settings.zones"),
        ({"base_utc": "2027-06-11T01:00:00"}, "base_utc"),
        ({"base_utc": "yesterday"}, "base_utc"),
        ({"base_utc": 5}, "base_utc"),
        ({"base_utc": "0001-01-01T00:00:00+10:00"}, "base_utc"),
        ({"expected_utc": "soon"}, "expected_utc"),
        ({"delay": {"kind": "elapsed", "seconds": -1}}, "delay.seconds"),
        ({"delay": 5}, "delay"),
        ({"dely": {}}, "dely"),
        ({"settings": {"zones": ["UTC"], "windows": {}, "caps": [{}]}}, "caps[0].max"),
        ({"settings": {"zones": ["UTC"], "windows": {}, "history": [{"at": 3}]}}, "history[0].at"),
        ({"settings": {"zones": ["UTC"], "windows": {}, "target": {"lead": []}}}, "target.lead"),
        ({"settings": {"zones": ["UTC"], "windows": {}, "holidays": ["2027-02-30"]}}, "holidays[0]"),
    ],
)
def test_a_malformed_case_fails_with_the_reason_and_the_others_still_run(broken: Any, named: str) -> None:
    if isinstance(broken, dict) and broken and "expected_utc" not in broken:
        broken = {**CASES[0], **broken}
    first, result, last = run_cases([CASES[0], broken, CASES[1]])
    assert not result.ok
    assert result.actual_utc is None
    assert named in result.why
    assert first.ok
    assert last.ok


def test_a_wrong_answer_says_what_was_expected_what_came_and_what_moved_it() -> None:
    result = run_case({**CASES[0], "expected_utc": "2027-06-11T01:00:00Z"})
    assert result == (
        type(result)(
            name="close-exact",
            expected_utc="2027-06-11T01:00:00Z",
            actual_utc="2027-06-11T12:00:00Z",
            ok=False,
            why="expected 2027-06-11T01:00:00Z, got 2027-06-11T12:00:00Z: "
            "outside hours: Thursday 21:00 in America/New_York; opens Friday 08:00",
        )
    )


def test_never_where_an_instant_was_expected_is_told_as_never() -> None:
    result = run_case({**CASES[0], "settings": {"zones": ["UTC"], "windows": {}}})
    assert result.actual_utc is None
    assert result.why == (
        "expected 2027-06-11T12:00:00Z, got never: never allowed: the rule has no window at all"
    )


def test_a_database_older_than_the_case_needs_is_told() -> None:
    result = run_case({**CASES[0], "min_tzdata": "2999a"})
    assert result.ok
    assert "older than the 2999a this case needs" in result.why


def test_fractions_of_a_second_are_printed_only_when_there_are_any() -> None:
    whole = run_case({**CASES[2], "base_utc": "2027-06-10T14:00:00+02:00"})
    part = run_case({**CASES[2], "base_utc": "2027-06-10T12:00:00.250Z"})
    assert (whole.actual_utc, part.actual_utc) == ("2027-06-10T12:00:00Z", "2027-06-10T12:00:00.250000Z")


def test_a_rule_on_the_leads_clock_takes_the_zones_of_the_settings() -> None:
    open_8_to_20 = {"all": [["08:00", "20:00"]]}
    case = {
        "name": "lead and fixed clock",
        "settings": {
            "zones": ["America/Denver"],
            "rules": [
                {"clock": "lead", "windows": open_8_to_20},
                {"clock": "America/Chicago", "windows": open_8_to_20},
            ],
        },
        "base_utc": "2027-06-10T01:30:00Z",
        "expected_utc": "2027-06-10T14:00:00Z",
    }
    assert run_case(case).ok  # 20:30 in Chicago is shut, 19:30 in Denver is not; Denver opens last


def test_a_case_that_is_no_list_at_all_is_refused() -> None:
    for cases in ({}, "[]", None, 5):
        with pytest.raises(InvalidValue, match="list of cases"):
            run_cases(cases)
