from __future__ import annotations

import json
import os
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scheduler.config import Keys
from scheduler.errors import InvalidValue
from scheduler.providers.payloads import (
    LARGEST_PAYLOAD,
    LEFT_OUT,
    LONGEST_TEXT,
    MORNING,
    TOO_LONG,
    Findings,
    find_oddity,
    is_page,
    read_cost,
    read_decimal,
    read_epoch,
    read_findings,
    read_instant,
    read_local,
    read_seconds,
    read_text,
    read_word,
    scrub,
    variables_as_text,
)
from tests.each import each
from tests.examples import examples

SECRET = "s3cr3t-m4rk3r"
TEN_THIRTY = datetime(2026, 3, 5, 10, 30)  # noqa: DTZ001  # a wall time
SECRET_NAMES = [
    "token", "access_token", "accessToken", "ACCESS-TOKEN", "api_key", "apiKey", "X-Api-Key", "Authorization",
    "password", "client_secret", "webhookSignature", "recording_url", "recordingUrl", "RecordingSid", "credentials",
    "aws_access_key_id", "Set-Cookie", "signed_url", "public_log_url",
]  # fmt: skip
PLAIN_NAMES = ["call", "data", "list", "0", "ñandú", "", "tokens", "recording_enabled"]

PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
ANYTHING = st.recursive(
    PLAIN | st.decimals() | st.binary(max_size=5) | st.datetimes(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=15,
)  # fmt: skip


# --- what is kept


def nested(depth: int, name: str, value: Any, *, lists: bool) -> Any:
    document: Any = {name: value, "kept": "yes"}
    for level in range(depth):
        document = [document] if lists and level % 2 else {"level": document}
    return document


@each("name", SECRET_NAMES)
@each("depth", [0, 1, 5, 11, 12, 13, 40, 400])
def test_a_secret_is_left_out_at_any_depth(name: str, depth: int):
    for value in (SECRET, {"value": SECRET}, [SECRET], [{"x": [SECRET]}]):
        kept = scrub(nested(depth, name, value, lists=depth % 2 == 0))

        assert SECRET not in json.dumps(kept)


WITH_SECRETS = st.recursive(
    PLAIN | st.sampled_from([f"https://u:{SECRET}@x.example/a?key={SECRET}#{SECRET}", f"see wss://x/?t={SECRET} now"]),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.sampled_from(PLAIN_NAMES), inner, max_size=4)
    | st.dictionaries(st.sampled_from(SECRET_NAMES), st.just(SECRET) | st.just([{"x": SECRET}]), max_size=3),
    max_leaves=25,
)  # fmt: skip


@given(WITH_SECRETS)
@settings(max_examples=examples(50))
def test_no_secret_outlives_scrubbing_whatever_the_nesting(payload: Any):
    assert SECRET not in json.dumps(scrub(payload))


def test_names_that_only_look_like_secrets_are_kept():
    counted = {"token_count": 12, "tokens": 12, "llm_token_usage": {"average": 3}, "recording_enabled": True}

    assert scrub(counted) == counted


def test_addresses_lose_their_users_queries_and_fragments_within_texts_too():
    kept = scrub({"log": f"at https://u:{SECRET}@x.example:8/a/b?sig={SECRET}#f and HTTP://y.example/?{SECRET}, end"})

    assert kept == {"log": "at https://x.example:8/a/b and http://y.example/ end"}
    assert scrub({"a": "http://[::1/x"}) == {"a": LEFT_OUT}
    assert scrub({"a": "no address: a://, b?c=d"})["a"].endswith("b?c=d")


def test_what_is_dropped_is_dropped_in_any_spelling_and_place():
    payload = {"call": {"phoneNumber": "+1", "transcript_object": [1], "id": 1}, "phone_number": "+1"}

    assert scrub(payload, drop=("phone_number", "transcript_object")) == {"call": {"id": 1}}


@each("payload", [None, 7, "text", ["a"], True])
def test_what_is_no_object_is_kept_as_the_value_of_one(payload: Any):
    assert scrub(payload) == {"value": payload}


def test_numbers_that_are_no_json_become_text():
    kept = scrub({"a": float("nan"), "b": float("inf"), "c": Decimal("0.10"), "d": 1.5, "e": -(2**63), "f": 10**5000})

    assert kept == {"a": "nan", "b": "inf", "c": "0.10", "d": 1.5, "e": -(2**63), "f": TOO_LONG}


@given(ANYTHING)
@settings(max_examples=examples(50))
@example({"\ud800": ["\udfff half a character", "https://x/\ud800?a=b"]})
def test_what_is_kept_is_json_and_text_that_any_database_takes(payload: Any):
    kept = scrub(payload)

    assert json.dumps(kept, allow_nan=False, ensure_ascii=False).encode("utf-8")
    assert scrub(kept) == kept


TOO_LARGE = {
    "one long text": {"call_id": "c", "transcript": "x" * 10**6},
    "many texts": {"call_id": "c", **{f"part-{number}": "x" * 15_000 for number in range(50)}},
    "many small ones": {"call_id": "c", **{f"name-{number}": 1 for number in range(30_000)}},
    "many long names": {"call_id": "c", **{f"{number:0>128}": 1 for number in range(3_000)}},
    "below an envelope": {"event": "e", "call": {"call_id": "c", "words": [{"word": "x" * 50}] * 1900}},
    "two levels below": {"a": {"b": {"call_id": "c", "t": ["x" * 1000] * 1900}, "u": "y" * 16_000}},
    "a list of everything": {"call_id": "c", "rows": [{"x": "y" * 100}] * 1900},
    "beyond ASCII": {"call_id": "c", "t": ["ñ" * 15_000] * 10},
    "beyond every plane": {"call_id": "c", **{f"t{number}": "😀" * 6_000 for number in range(10)}},
}


@each("payload", TOO_LARGE.values(), ids=TOO_LARGE.keys())
def test_what_is_kept_is_bounded_and_the_small_things_stay(payload: dict[str, Any]):
    kept = scrub(payload)

    assert len(json.dumps(kept)) <= LARGEST_PAYLOAD
    assert '"call_id": "c"' in json.dumps(kept)


def test_a_large_part_is_named_and_its_small_neighbours_within_it_stay():
    kept = scrub({"event": "ended", "call": {"id": 7, "words": ["x" * 100] * 1900, "cost": {"usd": 2}}})

    assert kept == {"event": "ended", "call": {"id": 7, "words": TOO_LONG, "cost": {"usd": 2}}}
    assert list(kept["call"]) == ["id", "words", "cost"]


@given(st.dictionaries(st.text(max_size=200), st.integers(0, 30_000).map("x".__mul__), max_size=30))
@settings(max_examples=examples(15))
def test_no_object_is_kept_beyond_the_bound(payload: dict[str, str]):
    assert len(json.dumps(scrub(payload))) <= LARGEST_PAYLOAD


def test_what_fits_is_kept_whole():
    payload = {"call_id": "c", "turns": [{"who": "agent", "said": "Buenos días"}] * 100}

    assert scrub(payload) == payload


def test_what_is_too_deep_is_named_instead_of_exhausting_the_stack():
    for lists in (True, False):
        kept = scrub(nested(5000, "call_id", "c", lists=lists))

        assert "(too deep to keep)" in json.dumps(kept)
    assert scrub(nested(11, "call_id", "c", lists=False)) == nested(11, "call_id", "c", lists=False)


# --- findings


@each(
    "name",
    ["callback_at", "callbackTime", "callback_date", "callback_datetime", "callback", "call_back_at", "Call Back Time",
     "rellamada", "fecha_rellamada", "Fecha-Rellamada", "llamar_de_nuevo", "volver_a_llamar"],
)  # fmt: skip
def test_a_callback_is_found_in_both_languages(name: str):
    assert read_findings({name: "2026-03-05 10:30"}) == Findings(callback_at=TEN_THIRTY, wants_callback=True)
    for wish in ("sí", "yes", True, 1, "true"):
        assert read_findings({name: wish}) == Findings(wants_callback=True)
    for vague in ("next week", "10:30", "3 de marzo", "el lunes por la tarde", "Sí, por favor", "yes!", "7"):
        assert read_findings({name: vague}) == Findings(wants_callback=True)
    for other in (7, 2.5, ["yes"], {"at": "2026-03-05 10:30"}):
        assert read_findings({name: other}) == Findings()


@each("value", [
    "2026-03-05", "05/03/2026", "5.3.2026", "5 March 2026", "5 de marzo de 2026", "Mar 5, 2026",
    "jueves 5 de marzo de 2026", "5 March", "March 5th", "5 de marzo", "el jueves 5 de marzo", "5/3",
    "2026-03-05T00:00:00",
])
def test_a_callback_on_a_day_is_meant_for_the_morning_of_that_day_and_never_for_today(value: str):
    found = read_findings({"callback_at": value}, said_on=date(2026, 2, 20))
    assert found == Findings(callback_at=datetime(2026, 3, 5, 9), wants_callback=True)  # noqa: DTZ001


def test_a_day_without_its_year_is_the_next_one_from_the_call_on():
    def day(text: str, said_on: date) -> date | None:
        at = read_findings({"callback_at": text}, said_on=said_on).callback_at
        return at and at.date()

    assert day("3 December", date(2026, 12, 1)) == date(2026, 12, 3)
    assert day("3 December", date(2026, 12, 20)) == date(2027, 12, 3)
    assert day("3 December", date(2026, 12, 4)) == date(2026, 12, 3), "west of Greenwich it is still the 3rd"
    assert day("29 de febrero", date(2026, 12, 1)) == date(2028, 2, 29)
    assert day("31 de febrero", date(2026, 12, 1)) is None
    assert read_findings({"callback_at": "3 December at 4:30 pm"}, said_on=date(2026, 12, 1)).callback_at == (
        datetime(2026, 12, 3, 16, 30)  # noqa: DTZ001
    )


@each("name", ["callback_requested", "wants_callback", "callbackRequested", "Wants Callback"])
def test_a_wish_for_a_callback_needs_no_time(name: str):
    assert read_findings({name: "yes"}) == Findings(wants_callback=True)
    assert read_findings({name: True, "callback_at": "no"}) == Findings(wants_callback=True)
    assert read_findings({name: "no", "callback_time": "the caller did not ask for any"}) == Findings()
    assert read_findings({name: False, "callback_at": "2026-03-05 10:30"}) == Findings(
        callback_at=TEN_THIRTY, wants_callback=True
    )


@each(
    "value",
    ["No, gracias", "none.", "Ninguna", "not specified", "No aplica", "N/A", "n/a.", "unknown", "NULL", "-", "?", "...",
     "{{callback_at}}", "undefined", "never", "Nunca más", "«no»"],
)  # fmt: skip
def test_a_no_in_more_words_is_no_callback(value: str):
    assert read_findings({"callback_at": value, "dnc": value, "cita": value}) == Findings()


@each(
    "variables",
    [
        {"callback_at": "soon", "callback_time": "2026-03-05 10:30"},
        {"callback_at": "no", "callback": "2026-03-05 10:30"},
        {"callback_at": 7, "rellamada": "2026-03-05 10:30"},
        {"callback": "yes", "volver_a_llamar": "05/03/2026 10:30"},
        {"callback_time": "10:30", "callback_date": "2026-03-05"},
        {"callback_time": "10:30", "callback_date": "2026-03-05T00:00:00"},
        {"callbackTime": "10.30 hrs", "callbackDate": "5/3/2026"},
        {"call_back_date": "2026-03-05", "call_back_time": "10:30 AM"},
        {"fecha_rellamada": "2026-03-05", "hora_rellamada": "10:30"},
        {"rellamada_fecha": "2026-03-05", "rellamada_hora": "10:30"},
    ],
    ids=str,
)
def test_the_first_callback_that_can_be_read_is_taken(variables: dict[str, Any]):
    assert read_findings(variables) == Findings(callback_at=TEN_THIRTY, wants_callback=True)


@each(
    "variables",
    [
        {"appointment": "yes", "appointment_time": "2026-03-05T10:30"},
        {"appointment_at": "tomorrow", "cita": "2026-03-05 10:30"},
        {"appointment_date": "2026-03-05", "appointment_time": "10:30"},
        {"appointmentDate": "05/03/2026", "appointmentTime": "10:30:00"},
        {"fecha_cita": "2026-03-05", "hora_cita": "10:30"},
        {"cita_fecha": "2026-03-05", "cita_hora": "10.30"},
        {"appointment_date": "2026-03-05 10:30", "appointment_time": "10:30"},
        {"appointment_date": "Thursday", "appointment_time": "2026-03-05 10:30"},
    ],
    ids=str,
)
def test_the_first_appointment_that_can_be_read_is_taken(variables: dict[str, Any]):
    assert read_findings(variables) == Findings(appointment_at=TEN_THIRTY)


@each(
    "variables",
    [{"appointment_date": "2026-03-05"}, {"appointment_time": "10:30"}, {"fecha_cita": "2026-03-05", "hora_cita": "pm"},
     {"appointment_date": "2026-03-05", "hora_cita": "10:30"}, {"appointment_date": 20260305, "appointment_time": 10}],
    ids=str,
)  # fmt: skip
def test_half_an_appointment_is_none(variables: dict[str, Any]):
    assert read_findings(variables) == Findings()


def test_halves_of_a_time_are_joined_within_what_wrote_them():
    first, second = {"appointment_date": "2026-03-05"}, {"appointment_time": "10:30"}

    assert read_findings(first, second) == Findings()
    assert read_findings(first, {**second, "appointment_date": "2026-03-05"}) == Findings(appointment_at=TEN_THIRTY)


def test_a_zone_in_either_half_counts():
    found = read_findings({"callback_date": "2026-03-05", "callback_time": "07:30 -03:00"})

    assert (found.callback_at, found.callback_zone) == (TEN_THIRTY, "UTC")


@each(
    "name",
    ["appointment_at", "appointmentDate", "appointment_datetime", "appointment_time", "appointment", "cita", "Cita",
     "fecha_cita", "cita_at", "fecha_hora_cita"],
)  # fmt: skip
def test_an_appointment_is_found_in_both_languages(name: str):
    assert read_findings({name: "2026-03-05T10:30:00"}) == Findings(appointment_at=TEN_THIRTY)
    assert read_findings({name: "sí"}) == Findings()


@each(
    "name",
    ["do_not_call", "doNotCall", "dnc", "DNC", "opt_out", "optout", "unsubscribe", "no_llamar", "no_llamar_mas",
     "user_requested_dnc"],
)  # fmt: skip
@each(
    "value",
    [True, "true", "YES", "y", 1, "1", "si", "Sí", " verdadero ", "Sí, por favor", "YES.", "¡sí!", "True - he said so",
     "si\u0301"],
)  # fmt: skip
def test_a_wish_not_to_be_called_is_found_in_both_languages(name: str, value: Any):
    assert read_findings({name: value}) == Findings(do_not_call=True)


@each(
    "value",
    [None, False, "", " ", "false", "No", "n", 0, "0", "none", "NULL", "falso", "ninguna", "ninguno", "N/A", [], {},
     ["sí"], {"at": "sí"}, 0.0, float("nan")],
)  # fmt: skip
def test_a_no_is_no_finding(value: Any):
    assert read_findings({"callback": value, "cita": value, "dnc": value}) == Findings()


def test_a_callback_with_a_zone_is_told_in_utc():
    found = read_findings({"callback_at": "2026-03-05T07:30:00-03:00"})

    assert (found.callback_at, found.callback_zone) == (TEN_THIRTY, "UTC")


def test_the_first_that_says_something_wins():
    first, second = {"callback_at": None, "cita": "", "dnc": "no"}, {"callback_at": "2026-03-05 10:30", "dnc": "yes"}

    assert read_findings(first, second) == Findings(callback_at=TEN_THIRTY, wants_callback=True)
    assert read_findings({"cita": "no", "appointment_at": "2026-03-05 10:30"}).appointment_at == TEN_THIRTY
    assert read_findings(None, "text", 7, [second]) == Findings()


@given(ANYTHING, ANYTHING)
@settings(max_examples=examples(50))
@example({"callback_at": "0001-01-01T00:00+05:00"}, {"cita": "9999-12-31T23:59-05:00"})
def test_findings_never_raise(first: Any, second: Any):
    assert isinstance(read_findings(first, second), Findings)


@given(
    st.sampled_from(["callback_at", "cita", "dnc", "rellamada"]),
    st.from_regex(r"\A\d{4}-\d{2}-\d{2}[T ]\d{1,2}:\d{2}.{0,8}\Z")
    | st.from_regex(r"\A[0-9]{1,4}[-/.][0-9]{1,2}[-/.][0-9]{1,4}[T ,][0-9]{1,2}[:.h]?[0-9]{0,2} ?([ap]m)?.{0,8}\Z"),
)
@settings(max_examples=examples(50))
def test_findings_of_anything_like_a_time_can_be_told_in_utc(name: str, written: str):
    found = read_findings({name: written})

    for at in (found.appointment_at, found.callback_at):
        assert at is None or at.astimezone(UTC)


NAMES = [
    "callback_at", "callback_date", "callback_time", "callback", "callback_requested", "wants_callback", "cita",
    "fecha_cita", "hora_cita", "appointment_at", "appointment_date", "appointment_time", "dnc",
]  # fmt: skip
SAID = st.sampled_from(["yes", "No, gracias", "2026-03-05", "10:30", "2026-03-05 10:30", "05/03/2026 5 PM", "soon", ""])


@given(st.lists(st.dictionaries(st.sampled_from(NAMES), SAID | ANYTHING, max_size=6), max_size=3))
@settings(max_examples=examples(75))
def test_findings_of_any_variables_hold_together(variables: list[dict[str, Any]]):
    found = read_findings(*variables)

    assert found.wants_callback or found.callback_at is None
    assert found.callback_zone is None or found.callback_at is not None
    assert found.callback_at is None or found.callback_at.tzinfo is None


@given(st.dictionaries(st.sampled_from(NAMES), st.dates().map(str) | st.times().map(str) | st.just("yes"), max_size=3))
@settings(max_examples=examples(50))
def test_no_date_alone_is_ever_an_appointment_and_no_time_alone_a_time(variables: dict[str, str]):
    halves = [{"callback_date", "callback_time"}, {"fecha_cita", "hora_cita"}, {"appointment_date", "appointment_time"}]
    if not any(both <= variables.keys() for both in halves):
        found = read_findings(variables)
        assert found.appointment_at is None
        assert found.callback_at is None or found.callback_at.time() == MORNING


@given(st.datetimes(), st.sampled_from(["%Y-%m-%d %H:%M", "%d/%m/%Y %H:%M", "%Y-%m-%d %I:%M %p", "%d/%m/%Y %H.%M"]))
@settings(max_examples=examples(50))
def test_a_time_in_any_usual_writing_is_read_as_it_was_meant(at: datetime, written: str):
    at = at.replace(year=max(at.year, 1000), second=0, microsecond=0)
    assert read_local(at.strftime(written)) == (at if 1 < at.year < 9999 else read_local(at.isoformat()))


# --- times and numbers


@each(
    ("written", "read"),
    [
        ("2026-03-05T10:30", TEN_THIRTY),
        ("2026-03-05 10:30:00", TEN_THIRTY),
        ("  2026-03-05   10:30 ", TEN_THIRTY),
        ("2026-03-05T10:30:00Z", TEN_THIRTY.replace(tzinfo=UTC)),
        ("2026-03-05", None),
        ("10:30", None),
        ("2026-03-05T07:30:00 -03:00", TEN_THIRTY.replace(tzinfo=UTC)),
        ("2026-03-05 07:30 UTC-3", TEN_THIRTY.replace(tzinfo=UTC)),
        ("2026-03-05 10:30 UTC", TEN_THIRTY.replace(tzinfo=UTC)),
        ("2026-03-05T10:30:00.000123456Z", TEN_THIRTY.replace(tzinfo=UTC, microsecond=123)),
        ("2026-03-05 10:30 AM", TEN_THIRTY),
        ("2026-03-05, 10:30 a. m.", TEN_THIRTY),
        ("2026-03-05 5:30 PM", TEN_THIRTY.replace(hour=17)),
        ("2026-03-05 5:30p.m.", TEN_THIRTY.replace(hour=17)),
        ("2026-03-05 5 PM", TEN_THIRTY.replace(hour=17, minute=0)),
        ("2026-03-05 17:30 PM", TEN_THIRTY.replace(hour=17)),
        ("2026-03-05 12:30 PM", TEN_THIRTY.replace(hour=12)),
        ("2026-03-05 12:30 am", TEN_THIRTY.replace(hour=0)),
        ("2026-03-05 17:30 AM", None),
        ("2026-03-05 00:30 PM", None),
        ("2026-03-05 10.30", TEN_THIRTY),
        ("2026-03-05 10h30", TEN_THIRTY),
        ("2026-03-05 a las 10:30 hrs.", TEN_THIRTY),
        ("2026/03/05 10:30", TEN_THIRTY),
        ("05/03/2026 10:30", TEN_THIRTY),
        ("5/3/2026 10:30", TEN_THIRTY),
        ("05-03-2026 10:30", TEN_THIRTY),
        ("05.03.2026 10:30", TEN_THIRTY),
        ("03/25/2026 10:30", None),
        ("05/03/26 10:30", None),
        ("05/03/2026", None),
        ("2026-03-05 10", None),
        ("2026-03-05 -03:00", None),
        ("2026-03-05 10:30 -99:00", None),
        ("2026-03-05" + " " * 10_000 + "10:30", None),
        ("٢٠٢٦-٠٣-٠٥ ١٠:٣٠", None),
        ("tomorrow at 2026-03-05 10:30", None),
        ("2026-02-30 10:30", None),
        ("2026-03-05 25:30", None),
        ("0001-01-01T00:00+05:00", None),
        ("9999-12-31T23:59-05:00", None),
        (20260305, None),
        (None, None),
    ],
)
def test_a_local_time_is_read_as_it_was_written(written: Any, read: datetime | None):
    found = read_local(written)

    assert found == read
    assert (found and found.tzinfo is None) == (read and read.tzinfo is None)


@each(
    ("body", "content_type", "page"),
    [
        (b"", "text/html", True), (b"no", "Text/HTML; charset=utf-8", True), (b"<html>", None, True),
        (b"\xef\xbb\xbf\r\n <!doctype html>", "text/plain", True), (b'{"a": "<b>"}', "application/json", False),
        (b"", None, False), (b"Not Found", "text/plain", False), (b"\xff<", "", False),
    ],
)  # fmt: skip
def test_a_page_is_told_from_an_answer(body: bytes, content_type: str | None, page: bool):
    assert is_page(body, content_type) is page


@each(
    "written",
    [
        "2026-03-05T10:30:00Z", "2026-03-05T10:30:00", "2026-03-05T07:30:00-03:00", " 2026-03-05T10:30:00.000+00:00 ",
        "Thu, 05 Mar 2026 10:30:00 GMT", "Thu, 05 Mar 2026 07:30:00 -0300",
    ],
)  # fmt: skip
def test_an_instant_is_read_in_both_forms(written: str):
    assert read_instant(written) == TEN_THIRTY.replace(tzinfo=UTC)


@each(
    ("value", "unit", "read"),
    [
        (1772706600000, timedelta(milliseconds=1), TEN_THIRTY.replace(tzinfo=UTC)),
        ("1772706600", timedelta(seconds=1), TEN_THIRTY.replace(tzinfo=UTC)),
        (0, timedelta(seconds=1), None),
        (-5, timedelta(seconds=1), None),
        (10**11, timedelta(days=1), None),
        (True, timedelta(seconds=1), None),
        ("soon", timedelta(seconds=1), None),
    ],
)
def test_an_instant_may_be_counted(value: Any, unit: timedelta, read: datetime | None):
    assert read_epoch(value, unit) == read


@each(
    ("value", "read"),
    [
        (3, Decimal(3)),
        ("-0.0135", Decimal("-0.0135")),
        (0.1, Decimal("0.1")),
        (" 12 ", Decimal(12)),
        ("999999999999", Decimal(999999999999)),
        ("1000000000000", None),
        ("1e9999999", None),
        ("-1e9999999", None),
        ("1e-9999999", Decimal(0)),
        ("0e9999999", Decimal(0)),
        (10**4000, None),
        ("9" * 100_000, None),
        ("0." + "0" * 100_000, None),
        (float("nan"), None),
        (float("inf"), None),
        ("NaN", None),
        ("sNaN", None),
        ("-Infinity", None),
        (True, None),
        (None, None),
        ("much", None),
        ([3], None),
    ],
)
def test_a_number_is_read_from_text_too_and_nothing_else(value: Any, read: Decimal | None):
    found = read_decimal(value)

    assert found == read
    assert found is None or len(f"{found:f}") < 100  # it can be written down


def test_a_cost_and_a_duration_are_not_below_zero():
    assert (read_cost("0.5"), read_cost(0), read_cost(-0.1)) == (Decimal("0.5"), Decimal(0), None)
    assert (read_seconds("7.9"), read_seconds(0), read_seconds(-1), read_seconds(10**9)) == (7, 0, None, None)


@each(
    ("value", "read"),
    [
        ("abc", "abc"), (" abc ", "abc"), (17, "17"), (-1, "-1"), (True, None), ("", None), ("  ", None), (1.5, None),
        (None, None), (["a"], None), ("x" * 500, "x" * 128), (10**4000, None), ("a\ud800b", "a?b"),
    ],
)  # fmt: skip
def test_a_word_is_short_text_or_a_whole_number(value: Any, read: str | None):
    assert read_word(value) == read


def test_a_text_is_bounded():
    assert read_text("x" * 10**6) == "x" * LONGEST_TEXT
    assert read_text(" abc ", 2) == "ab"
    assert (read_text(7), read_text("   ")) == (None, None)


READERS = [read_local, read_instant, read_epoch, read_decimal, read_cost, read_seconds, read_text, read_word]
ODD_TEXTS = st.text(max_size=40) | st.text("0123456789-+:.TZ eE,", max_size=30) | st.from_regex(
    r"\A(Mon|Tue)?,? ?\d{1,5} [A-Z][a-z]{2} \d{1,5} \d{1,3}:\d{1,3}(:\d{1,3})? ?([-+]\d{1,6}|GMT|[A-Z]{1,4})?\Z"
)  # fmt: skip


@given(ANYTHING | ODD_TEXTS)
@settings(max_examples=examples(100))
@example(",")
@example("Mon, 02 Mar 2026 12:00:00 +999999")
@example("0001-01-01T00:00:00+05:00")
@example("Fri, 31 Dec 9999 23:59:59 -0500")
@example("1e99999999999999999999")
def test_no_reader_raises(value: Any):
    for reader in READERS:
        found = reader(value)
        if isinstance(found, str):
            found.encode("utf-8")
        if isinstance(found, datetime):
            found.astimezone(UTC)


def test_a_number_too_long_to_be_written_is_none():
    huge = 10**5000

    assert [reader(huge) for reader in READERS] == [None] * len(READERS)
    assert read_findings({"callback": huge, "cita": huge, "dnc": huge}) == Findings()


# --- what we send


def test_variables_are_text_and_the_unknown_ones_left_out():
    given_ones = {
        "nombre": "Ñandú", "edad": 7, "deuda": Decimal("1.50"), "vip": True, "no": False, "nada": None, "vacío": "",
        "lista": ["a", 1], "mapa": {"ñ": 1}, 3: "three",
    }  # fmt: skip

    assert variables_as_text(given_ones) == {
        "nombre": "Ñandú", "edad": "7", "deuda": "1.50", "vip": "true", "no": "false", "vacío": "",
        "lista": '["a", 1]', "mapa": '{"ñ": 1}', "3": "three",
    }  # fmt: skip


@each("payload", [
    {}, [], "x", None, {"duration_ms": 0}, {"cost": "0.05"}, {"cost": None, "duration": ""}, {"price": "-0.0130"},
    {"call": {"duration_ms": 12, "call_cost": {"combined_cost": 1.5}}},
], ids=str)  # fmt: skip
def test_values_that_can_be_are_no_oddity(payload):
    assert find_oddity(payload) is None


@each("payload", [
    {"duration_ms": -1}, {"a": [{"b": {"combined_cost": "twelve"}}]}, {"CallDuration": "-4"}, {"cost": "NaN"},
], ids=str)  # fmt: skip
def test_a_duration_or_cost_that_cannot_be_is_named(payload):
    assert find_oddity(payload) is not None


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=20,
))
def test_looking_for_oddities_never_raises(payload):
    find_oddity(payload)


def test_a_key_that_a_vendor_echoes_is_not_kept(tmp_path):
    (tmp_path / "secret").write_text("key_of_ours_9d1f\n")
    keys = Keys({"RETELL_API_KEY": "key_of_ours_00aa77", "OTHER_SECRET_FILE": str(tmp_path / "secret")})
    keys.secret("RETELL_API_KEY")
    keys.secret("OTHER_SECRET")
    kept = json.dumps(scrub({"email": "api_key=key_of_ours_00aa77", "deep": [{"said": "key_of_ours_9d1f!"}]}))

    assert "key_of_ours" not in kept
    assert kept.count("(key)") == 2
    assert read_text("it is key_of_ours_00aa77") == "it is (key)"


@each("special", ["/dev/zero", "folder", "pipe", "large"])
def test_a_key_file_that_is_no_small_plain_file_is_refused_at_once(tmp_path, special):
    path = tmp_path / special if not special.startswith("/") else Path(special)
    if special == "folder":
        path.mkdir()
    elif special == "pipe":
        os.mkfifo(path)
    elif special == "large":
        path.write_bytes(b"x" * 100_000)

    with pytest.raises(InvalidValue, match="SOME_KEY_FILE"):
        Keys({"SOME_KEY_FILE": str(path)}).text("SOME_KEY")
