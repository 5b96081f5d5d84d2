from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scheduler.clock import ManualClock
from scheduler.config import Keys
from scheduler.errors import InvalidValue, MissingKeys, ProviderError
from scheduler.model import Outcome
from scheduler.providers.base import (
    Accepted,
    CallKey,
    CallReport,
    Hook,
    HookRefused,
    Phase,
    Provider,
    ProviderEvent,
    RefusalKind,
    Refused,
    Standing,
    Unanswered,
    Vitals,
    Wiring,
)
from scheduler.providers.retell import open_provider
from tests.each import each
from tests.examples import examples
from tests.providers.contract import LONG_AFTER, NOON, NUMBER, Line, ProviderContract, key, request
from tests.providers.fakes import retell as fake
from tests.providers.fakes.retell import AGENT, FROM, KEY, REMOVED, Retell, error, milliseconds, sign
from tests.providers.fakes.vendor import Hook as Posted
from tests.providers.fakes.vendor import Reply, VendorServer, calls_made, misbehave, open_vendor, requests_made

MIX = "completed=4,no_answer=2,busy=1,voicemail=1,hang_up=1,callback=1,do_not_call=1,mystery=1"
PATIENCE = timedelta(seconds=30)
IMPATIENCE = timedelta(seconds=0.3)
PUBLIC_URL = "https://ringback.example"
ENDED_AT = NOON + timedelta(minutes=2)
WEBHOOK_KEY = "key_badge_00000000000000000002"


def unscript(bench: Bench) -> None:
    bench.vendor.answers.clear()
    bench.vendor.overrides.clear()
    bench.clock.set(NOON)


on_one_server = partial(each, anew=lambda fixtures: unscript(fixtures["bench"]))


class TestRetellKeepsTheContract(ProviderContract):
    refusals: ClassVar[Mapping[str, RefusalKind]] = {
        "throttle": RefusalKind.THROTTLED,
        "hold": RefusalKind.HOLD,
        "invalid_number": RefusalKind.INVALID_NUMBER,
        "do_not_call": RefusalKind.DO_NOT_CALL,
    }
    phases = frozenset({Phase.DIALING, Phase.ANSWERED, Phase.ENDED})

    @pytest.fixture
    def line(self, tmp_path: Path) -> Iterator[Line]:
        with serving(tmp_path) as bench:
            impatient = adapter(bench.server, timeout=IMPATIENCE)

            def mumble(call_id: str, is_over: bool) -> None:
                end = {"disconnection_reason": "moonstruck"} if is_over else {}
                bench.vendor.overrides[call_id] = {"call_status": "hovering", **end}

            yield Line(
                bench.provider, bench.clock, lambda faults: misbehave(bench.server, faults),
                lambda ref: calls_made(bench.server, ref), impatient, mumble,
            )
            impatient.close()


# --- what a start says


def test_a_start_is_what_retell_documents(tmp_path: Path):
    with serving(tmp_path, public_url=PUBLIC_URL) as bench:
        bench.provider.place(request(
            "ref-1", variables={"name": "Ana", "debt": 12.5, "vip": True, "none": None}, lead_id=7, campaign_id=3,
        ))
        [asked] = bench.vendor.requests

    assert (asked.method, asked.target) == ("POST", "/v2/create-phone-call")
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert asked.headers["content-type"] == "application/json"
    assert asked.document() == {
        "from_number": FROM,
        "to_number": NUMBER,
        "override_agent_id": AGENT,
        "idempotency_key": "ref-1",
        "metadata": {"attempt_ref": "ref-1", "lead_id": "7", "campaign_id": "3"},
        "retell_llm_dynamic_variables": {"name": "Ana", "debt": "12.5", "vip": "true"},
        "honor_internal_dnc": True,
        "agent_override": {"agent": {
            "ring_duration_ms": 30_000,
            "max_call_duration_ms": 300_000,
            "voicemail_option": {"action": {"type": "hangup"}},
            "webhook_url": "https://ringback.example/webhooks/retell",
            "webhook_events": ["call_started", "call_ended", "call_analyzed"],
        }},
    }


def test_the_same_start_is_the_same_bytes_whatever_the_order_of_its_variables(tmp_path: Path):
    with serving(tmp_path) as bench:
        bench.provider.place(request("same", variables={"b": "2", "a": "1"}))
        bench.provider.place(request("same", variables={"a": "1", "b": "2"}))
        first, second = bench.vendor.requests

    assert first.body == second.body


def test_without_a_public_address_retell_is_told_of_no_webhook(tmp_path: Path):
    assert "webhook" not in json.dumps(start_body(tmp_path))


@each(
    ("ring", "longest", "told"),
    [
        (timedelta(seconds=1), timedelta(seconds=10), (5_000, 60_000)),
        (timedelta(seconds=45), timedelta(minutes=10), (45_000, 600_000)),
        (timedelta(minutes=30), timedelta(days=1), (300_000, 7_200_000)),
    ],
)
def test_durations_are_kept_within_what_retell_takes(
    tmp_path: Path, ring: timedelta, longest: timedelta, told: tuple[int, int]
):
    agent = start_body(tmp_path, ring_timeout=ring, max_duration=longest)["agent_override"]["agent"]

    assert (agent["ring_duration_ms"], agent["max_call_duration_ms"]) == told


def test_a_campaign_has_its_own_agent_and_caller_id(tmp_path: Path):
    with serving(tmp_path, keys={"RETELL_AGENT_VERSION": "3"}) as bench:
        bench.vendor.agents["agent_own"] = {}
        bench.vendor.numbers["+14150000001"] = {}
        bench.provider.place(request("own", agent_id="agent_own", from_number="+14150000001"))
        bench.provider.place(request("account"))
        own, account = (asked.document() for asked in bench.vendor.requests)

    assert (own["override_agent_id"], own["from_number"]) == ("agent_own", "+14150000001")
    assert "override_agent_version" not in own
    assert (account["override_agent_id"], account["override_agent_version"]) == (AGENT, 3)


def test_without_an_agent_the_number_decides(tmp_path: Path):
    assert "override_agent_id" not in start_body(tmp_path, keys={"RETELL_AGENT_ID": ""})


@each(("version", "told"), [("latest_published", "latest_published"), ("prod", "prod"), ("12", 12)])
def test_an_agent_version_may_be_a_number_or_a_tag(tmp_path: Path, version: str, told: object):
    assert start_body(tmp_path, keys={"RETELL_AGENT_VERSION": version})["override_agent_version"] == told


def test_voicemail_detection_and_the_internal_list_can_be_switched_off(tmp_path: Path):
    body = start_body(tmp_path, keys={"RETELL_VOICEMAIL": "off", "RETELL_HONOR_DNC": "No"})

    assert body["agent_override"]["agent"]["voicemail_option"] is None
    assert body["honor_internal_dnc"] is False


def test_variables_that_cannot_be_written_are_refused_before_anything_is_sent(tmp_path: Path):
    circular: dict[str, Any] = {}
    circular["self"] = circular
    with serving(tmp_path) as bench:
        answer = bench.provider.place(request("a", variables={"loop": circular}))

    assert isinstance(answer, Refused)
    assert answer.kind is RefusalKind.REFUSED
    assert not bench.vendor.requests


# --- the three answers to a start

REFUSALS: Mapping[str, tuple[Reply, RefusalKind]] = {
    "malformed": (error(400, "agent_override is malformed"), RefusalKind.HOLD),
    "do not call": (error(400, f"The contact {NUMBER} is marked do_not_call"), RefusalKind.DO_NOT_CALL),
    "do-not-call in words": (error(400, "contact is on the Do Not Call list"), RefusalKind.DO_NOT_CALL),
    "DNC": (error(400, "Rejected by internal DNC"), RefusalKind.DO_NOT_CALL),
    "bad to_number": (error(400, "to_number must be in E.164 format"), RefusalKind.INVALID_NUMBER),
    "bad destination": (error(400, "The destination phone number is invalid"), RefusalKind.INVALID_NUMBER),
    "the number itself": (error(400, f"{NUMBER} is no valid number"), RefusalKind.INVALID_NUMBER),
    "the number with spaces": (error(400, "+56 9 1234 5678 is no valid number"), RefusalKind.INVALID_NUMBER),
    "bad from_number": (error(400, "from_number must be in E.164 format"), RefusalKind.HOLD),
    "both numbers": (error(400, "from_number and to_number must differ"), RefusalKind.HOLD),
    "the caller's own number": (error(400, f"{FROM} is not a valid phone number"), RefusalKind.HOLD),
    "bad caller id": (error(400, "Caller ID is not a valid phone number"), RefusalKind.HOLD),
    "no such agent version": (error(400, "agent version 7 does not exist"), RefusalKind.HOLD),
    "no outbound agent": (error(400, "No outbound agent id set up for phone number"), RefusalKind.HOLD),
    "a key in a 400": (error(400, "The API key has been revoked"), RefusalKind.HOLD),
    "credit in a 400": (error(400, f"Not enough credits to call the destination {NUMBER}"), RefusalKind.HOLD),
    "balance in a 400": (error(400, "Insufficient balance, add a payment method"), RefusalKind.HOLD),
    "bad format": (error(400, "Invalid phone number format"), RefusalKind.INVALID_NUMBER),
    "not valid": (error(400, "this is not a valid phone number"), RefusalKind.INVALID_NUMBER),
    "phone number not valid": (error(400, "phone_number is not valid"), RefusalKind.INVALID_NUMBER),
    "bad destination in a word": (error(400, "Unreachable destination"), RefusalKind.INVALID_NUMBER),
    "toNumber": (error(400, "toNumber: must be a string"), RefusalKind.INVALID_NUMBER),
    "country": (error(400, "to_number: country not enabled"), RefusalKind.REFUSED),
    "US only": (error(400, f"{NUMBER}: only US numbers are supported as destination number"), RefusalKind.REFUSED),
    "permission": (error(400, "No permission to call this destination"), RefusalKind.REFUSED),
    "too many at once": (error(400, f"Concurrency limit reached, cannot call {NUMBER}"), RefusalKind.REFUSED),
    "something else": (error(400, "request/body/metadata must be an object"), RefusalKind.HOLD),
    "hardly a word": (error(400, "Bad Request"), RefusalKind.HOLD),
    "bad key": (error(401, "Invalid API Key"), RefusalKind.HOLD),
    "no credit": (error(402, "Trial has ended, please add payment method."), RefusalKind.HOLD),
    "no such agent": (error(422, "Cannot find requested asset under given api key."), RefusalKind.HOLD),
    "too fast": (error(429, "Account rate limited"), RefusalKind.THROTTLED),
}


@on_one_server(("reply", "kind"), REFUSALS.values(), ids=REFUSALS.keys())
def test_a_documented_refusal_is_read(bench: Bench, reply: Reply, kind: RefusalKind):
    answer = bench.place_answered(reply)

    assert isinstance(answer, Refused)
    assert answer.kind is kind
    assert str(reply.status) in answer.reason


def test_throttling_says_how_long(bench: Bench):
    answer = bench.place_answered(error(429, "Account rate limited", {"Retry-After": "7"}))

    assert isinstance(answer, Refused)
    assert answer.retry_after == timedelta(seconds=7)


HTML = {"content_type": "text/html"}
PROVES_NOTHING: Mapping[str, Reply] = {
    "500": error(500, "An unexpected server error occurred."),
    "503 with a wait": error(503, "Busy", {"Retry-After": "1"}),
    "502 of a proxy": Reply(502, b"<html></html>", **HTML),
    "408": error(408, "Request timeout"),
    "403, which is not documented": error(403, "Forbidden"),
    "404, which is not documented": error(404, "Not Found"),
    "409, which is not documented": error(409, "idempotency_key is in use"),
    "400 of a proxy": Reply(400, b"<html>Bad Request</html>", **HTML),
    "401 of a proxy": Reply(401, b"<html>Unauthorized</html>", **HTML),
    "401 of a proxy without a type": Reply(401, b" \n<!doctype html>no"),
    "401 that names a call": Reply(401, {"call_id": "call_1"}),
    "402 in a word": Reply(402, b"pay", content_type="text/plain"),
    "403 in a word": Reply(403, b"no", content_type="text/plain"),
    "400 in a word": Reply(400, b"to_number", content_type="text/plain"),
    "a key of ours that is known": error(400, "A request with this idempotency_key already exists"),
    "402 of a proxy": Reply(402, b"pay", **HTML),
    "402 that names a call": Reply(402, {"message": "no credit", "call_id": "call_1"}),
    "422 of something else": Reply(422, {"status": "error"}),
    "422 with a text that is none": Reply(422, {"status": "error", "message": 7}),
    "429 of a proxy": Reply(429, b"slow down", **HTML),
    "429 that names a call": Reply(429, {"call_id": "call_1"}),
    "400 with a list": Reply(400, [{"status": "error", "message": "to_number"}]),
    "redirect": Reply(307, None, {"Location": "/v2/create-phone-call"}),
    "201 without id": Reply(201, {"call_status": "registered"}),
    "201 with an empty id": Reply(201, {"call_id": ""}),
    "201 with a number for an id": Reply(201, {"call_id": 7}),
    "201 with an id for another path": Reply(201, {"call_id": "../delete-call/x"}),
    "201 with an endless id": Reply(201, {"call_id": "x" * 129}),
    "201 with a list": Reply(201, ["call_1"]),
    "201 with cut JSON": Reply(201, b'{"call_id": "call_1'),
    "200 with HTML": Reply(200, b"<html>welcome</html>", **HTML),
    "204": Reply(204),
    "200 nested too deep": Reply(200, b"[" * 100_000),
}


@on_one_server("reply", PROVES_NOTHING.values(), ids=PROVES_NOTHING.keys())
def test_what_proves_nothing_is_unanswered_and_asked_once(bench: Bench, reply: Reply):
    before = bench.vendor.asked["create-phone-call"]

    answer = bench.place_answered(reply)

    assert isinstance(answer, Unanswered)
    assert NUMBER not in answer.reason
    assert bench.vendor.asked["create-phone-call"] - before == 1


@on_one_server(
    "reply, kind",
    [
        (Reply(402, {"message": "pay"}), RefusalKind.HOLD), (Reply(401, {"error": "Unauthorized"}), RefusalKind.HOLD),
        (Reply(429, {"error": "throttled"}), RefusalKind.THROTTLED),
        (Reply(429, b"", {"Retry-After": "7"}), RefusalKind.THROTTLED), (Reply(429, {}), RefusalKind.THROTTLED),
        (Reply(429, b"", content_type="text/plain"), RefusalKind.THROTTLED),
        (Reply(429, b"slow down", content_type="text/plain"), RefusalKind.THROTTLED),
        (Reply(401, b"", content_type="text/plain"), RefusalKind.HOLD),
        (Reply(401, b"Unauthorized", content_type="text/plain"), RefusalKind.HOLD),
    ],
    ids=str,
)  # fmt: skip
def test_a_refusal_of_the_gateway_before_retell_is_one_too(bench: Bench, reply: Reply, kind: RefusalKind):
    answer = bench.place_answered(reply)

    assert isinstance(answer, Refused)
    assert answer.kind is kind


def test_a_server_error_is_asked_exactly_once(tmp_path: Path):
    with serving(tmp_path) as bench:
        misbehave(bench.server, "error_500=1")
        answer = bench.provider.place(request("once"))

        assert isinstance(answer, Unanswered)
        assert requests_made(bench.server, "once") == 1
        assert bench.vendor.asked.total() == 1


def test_a_wrong_key_holds_the_account_and_is_not_told(tmp_path: Path):
    with serving(tmp_path, keys={"RETELL_API_KEY": "key_of_somebody_else"}) as bench:
        answer = bench.provider.place(request("a"))

    assert isinstance(answer, Refused)
    assert answer.kind is RefusalKind.HOLD
    assert "somebody" not in answer.reason


@on_one_server("number", [NUMBER, "+56 9 1234 5678", "56-912-345-678", "(569) 1234.5678", "912345678"])
def test_a_reason_quotes_neither_the_number_nor_a_key(bench: Bench, number: str):
    told = f"to_number {number} with {KEY} cannot be dialed. " + "x" * 500
    answer = bench.place_answered(error(400, told))

    assert isinstance(answer, Refused)
    assert not any(char.isdigit() for char in answer.reason.replace("(400)", ""))
    assert KEY not in answer.reason
    assert len(answer.reason) < 260


def test_a_number_at_the_cut_is_masked_as_a_whole(bench: Bench):
    answer = bench.place_answered(error(400, "x" * 195 + NUMBER))

    assert isinstance(answer, Refused)
    assert "+569" not in answer.reason


def test_an_answer_that_tells_the_end_is_read(bench: Bench):
    row = {"call_id": "call_1", "call_status": "not_connected", "disconnection_reason": "dial_busy"}
    answer = bench.place_answered(Reply(201, row))

    assert isinstance(answer, Accepted)
    assert answer.report is not None
    assert (answer.report.outcome, answer.report.attempt_ref) == (Outcome.BUSY, "scripted")


def test_an_accepted_start_with_an_unreadable_rest_is_accepted(bench: Bench):
    row = {"call_id": "call_1", "call_status": ["?"], "metadata": 7, "start_timestamp": "soon"}

    assert bench.place_answered(Reply(201, row)) == Accepted("call_1")


# --- every word of Retell's

ANSWERED = {
    "user_hangup": Outcome.COMPLETED,
    "agent_hangup": Outcome.COMPLETED,
    "call_transfer": Outcome.COMPLETED,
    "transfer_bridged": Outcome.COMPLETED,
    "transfer_cancelled": Outcome.COMPLETED,
    "call_take_over": Outcome.COMPLETED,
    "inactivity": Outcome.COMPLETED,
    "max_duration_reached": Outcome.COMPLETED,
    "user_requested_callback": Outcome.CALLBACK,
    "user_requested_dnc": Outcome.DO_NOT_CALL,
    "voicemail_reached": Outcome.VOICEMAIL,
    "ivr_reached": Outcome.VOICEMAIL,
    "manual_stopped": Outcome.CANCELLED,
}
UNCONNECTED = {
    "dial_busy": Outcome.BUSY,
    "dial_no_answer": Outcome.NO_ANSWER,
    "user_declined": Outcome.HANG_UP,
    "dial_failed": Outcome.FAILED,
    "invalid_destination": Outcome.INVALID_NUMBER,
}
BROKEN = {
    "error_llm_websocket_open": Outcome.FAILED,
    "error_llm_websocket_lost_connection": Outcome.FAILED,
    "error_llm_websocket_runtime": Outcome.FAILED,
    "error_llm_websocket_corrupt_payload": Outcome.FAILED,
    "error_no_audio_received": Outcome.FAILED,
    "error_asr": Outcome.FAILED,
    "error_retell": Outcome.FAILED,
    "error_unknown": Outcome.FAILED,
    "error_user_not_joined": Outcome.FAILED,
}
NEVER_DIALED = {
    "concurrency_limit_reached": RefusalKind.THROTTLED,
    "no_concurrency_fallback": RefusalKind.THROTTLED,
    "no_valid_payment": RefusalKind.HOLD,
    "credit_exhausted": RefusalKind.HOLD,
    "budget_reached": RefusalKind.HOLD,
    "scam_detected": RefusalKind.HOLD,
    "telephony_provider_permission_denied": RefusalKind.HOLD,
    "sip_routing_error": RefusalKind.OUTAGE,
    "telephony_provider_unavailable": RefusalKind.OUTAGE,
    "marked_as_spam": RefusalKind.OUTAGE,
    "network_blocked": RefusalKind.OUTAGE,
    "registered_call_timeout": RefusalKind.OUTAGE,
}
NOBODY: Mapping[str, object] = {"duration_ms": 0, "transcript": "Agent: Hola?\n", "end_timestamp": milliseconds(NOON)}
WORDS = [
    *(("ended", reason, outcome) for reason, outcome in ANSWERED.items()),
    *(("not_connected", reason, outcome) for reason, outcome in UNCONNECTED.items()),
    *(("error", reason, outcome) for reason, outcome in BROKEN.items()),
]


def test_every_word_of_the_sdk_is_in_the_tables_of_these_tests():
    assert len(ANSWERED) + len(UNCONNECTED) + len(BROKEN) + len(NEVER_DIALED) == 39


@on_one_server(("status", "reason", "outcome"), WORDS, ids=[reason for _, reason, _ in WORDS])
def test_a_word_is_read_the_same_from_a_list_and_from_a_webhook(
    bench: Bench, status: str, reason: str, outcome: Outcome
):
    polled, told = bench.tell_both(call_status=status, disconnection_reason=reason)

    for report in (polled, told):
        assert (report.phase, report.outcome, report.refusal) == (Phase.ENDED, outcome, None)
        assert (report.provider_status, report.known_word) == (reason, True)


@on_one_server("status", ["not_connected", "error"])
@on_one_server(("reason", "kind"), NEVER_DIALED.items())
def test_a_call_that_the_account_could_not_make_is_refused(
    bench: Bench, status: str, reason: str, kind: RefusalKind
):
    for report in bench.tell_both(call_status=status, disconnection_reason=reason, **NOBODY):
        assert (report.phase, report.outcome, report.is_final) == (Phase.ENDED, None, True)
        assert report.refusal is not None
        assert report.refusal.kind is kind
        assert report.provider_status == reason


TALKED: Mapping[str, dict[str, object]] = {
    "ended": {},
    "ended, not timed": {"duration_ms": None, "end_timestamp": None, "transcript": REMOVED},
    "error, timed": {"call_status": "error", "transcript": REMOVED},
    "error, timed by its dates": {"call_status": "error", "duration_ms": None, "transcript": REMOVED},
    "error, written down": {
        "call_status": "error", "duration_ms": 0, "end_timestamp": REMOVED, "start_timestamp": milliseconds(NOON),
    },
    "error, at too great length": {"call_status": "error", **NOBODY, "transcript": "Agent: " + "x" * 20_000},
    "not connected, timed all the same": {"call_status": "not_connected", "transcript": REMOVED},
    "a status nobody knows": {"call_status": "paused", "duration_ms": 2_000, "transcript": REMOVED},
}  # fmt: skip


@on_one_server("fields", TALKED.values(), ids=TALKED.keys())
@on_one_server("reason", NEVER_DIALED)
def test_an_account_that_runs_dry_during_a_conversation_has_spent_the_attempt(
    bench: Bench, reason: str, fields: dict[str, object]
):
    for report in bench.tell_both(disconnection_reason=reason, **fields):
        assert (report.outcome, report.refusal, report.known_word) == (Outcome.FAILED, None, True)


@on_one_server("reason", NEVER_DIALED)
def test_a_talk_that_was_written_down_is_one_though_retell_says_that_nobody_was_reached(bench: Bench, reason: str):
    _, told = bench.tell_both(call_status="not_connected", disconnection_reason=reason, duration_ms=0)

    assert (told.outcome, told.refusal) == (Outcome.FAILED, None)


def test_a_list_that_cannot_say_whether_anybody_spoke_is_asked_of_the_call(tmp_path: Path):
    with serving(tmp_path) as bench:
        dry = ended(call_status="error", disconnection_reason="credit_exhausted", duration_ms=0, end_timestamp=REMOVED)
        ids = {ref: bench.place(ref) for ref in ("spoke", "never")}
        bench.vendor.overrides |= {ids["spoke"]: dry, ids["never"]: {**dry, "start_timestamp": REMOVED}}
        bench.vendor.overrides[ids["never"]]["transcript"] = REMOVED
        reports = bench.provider.poll([key(ref, call_id) for ref, call_id in ids.items()], NOON)

    spoke, never = (reports[call_id] for call_id in ids.values())
    assert spoke is not None
    assert never is not None
    assert (spoke.outcome, spoke.refusal) == (Outcome.FAILED, None)
    assert never.refusal is not None
    assert bench.vendor.asked["get-call"] == 1


@on_one_server(
    ("status", "reason", "outcome", "known", "word"),
    [
        ("not_connected", None, Outcome.NO_ANSWER, True, "not_connected"),
        ("not_connected", REMOVED, Outcome.NO_ANSWER, True, "not_connected"),
        ("error", None, Outcome.FAILED, True, "error"),
        ("ended", None, Outcome.FAILED, False, "ended"),
        ("ended", "abducted", Outcome.FAILED, False, "abducted"),
        ("error", "machine_detected", Outcome.FAILED, False, "machine_detected"),
        ("ended", ["user_hangup"], Outcome.FAILED, False, "(unreadable)"),
        ("ended", {"a": 1}, Outcome.FAILED, False, "(unreadable)"),
        ("vanished", "agent_hangup", Outcome.COMPLETED, True, "agent_hangup"),
        ("vanished", None, Outcome.FAILED, False, "vanished"),
        ("error", "dial_no_answer", Outcome.NO_ANSWER, True, "dial_no_answer"),
    ],
)
def test_statuses_without_a_reason_and_unknown_words(
    bench: Bench, status: str, reason: object, outcome: Outcome, known: bool, word: str
):
    for report in bench.tell_both(call_status=status, disconnection_reason=reason):
        assert (report.outcome, report.known_word, report.provider_status) == (outcome, known, word)


@on_one_server(
    ("fields", "phase", "known"),
    [
        ({"call_status": "registered"}, Phase.DIALING, True),
        ({"call_status": "ongoing"}, Phase.ANSWERED, True),
        ({"call_status": "paused"}, Phase.DIALING, False),
        ({"call_status": REMOVED}, Phase.DIALING, False),
        ({"call_status": "ongoing", "disconnection_reason": "user_hangup"}, Phase.ANSWERED, True),
    ],
)
def test_a_call_without_a_sign_of_its_end_is_live(
    bench: Bench, fields: dict[str, object], phase: Phase, known: bool
):
    report = bench.tell(**{"disconnection_reason": REMOVED, "end_timestamp": REMOVED, **fields})

    assert (report.phase, report.outcome, report.known_word) == (phase, None, known)
    assert report.answered_at == (NOON + timedelta(minutes=1) if phase is Phase.ANSWERED else None)


@on_one_server(
    ("fields", "outcome"),
    [
        ({"duration_ms": 7_999}, Outcome.HANG_UP),
        ({"duration_ms": 8_000}, Outcome.COMPLETED),
        ({"duration_ms": 0}, Outcome.HANG_UP),
        ({"duration_ms": None, "end_timestamp": milliseconds(NOON) + 65_000}, Outcome.HANG_UP),
        ({"duration_ms": -5, "end_timestamp": milliseconds(NOON) + 68_000}, Outcome.COMPLETED),
        ({"duration_ms": "long", "start_timestamp": None}, Outcome.COMPLETED),
    ],
)
def test_a_callee_who_hangs_up_at_once_has_refused(bench: Bench, fields: dict[str, object], outcome: Outcome):
    assert bench.tell(disconnection_reason="user_hangup", **fields).outcome is outcome


def test_an_agent_who_hangs_up_at_once_has_completed_the_call(bench: Bench):
    assert bench.tell(disconnection_reason="agent_hangup", duration_ms=100).outcome is Outcome.COMPLETED


def test_what_counts_as_a_short_call_is_a_setting(tmp_path: Path):
    with serving(tmp_path, short_call=timedelta(seconds=20)) as bench:
        assert bench.tell(disconnection_reason="user_hangup", duration_ms=19_999).outcome is Outcome.HANG_UP


@on_one_server(
    ("transcript", "outcome"),
    [
        ("", Outcome.HANG_UP),
        ("Agent: Hello?\nAgent: Are you there?\n", Outcome.HANG_UP),
        ("Agent: Hello?\nwhat the User: says\n", Outcome.HANG_UP),
        ("Agent: Hello?\nUser: Yes.\n", Outcome.COMPLETED),
        ("User: Hello?", Outcome.COMPLETED),
        ("Agent: " + "x" * 20_000, Outcome.COMPLETED),  # cut: the callee may have spoken later
        (REMOVED, Outcome.COMPLETED),
        (None, Outcome.COMPLETED),
        (["Agent: Hello?"], Outcome.COMPLETED),
    ],
)
def test_a_silent_line_is_a_refusal_only_when_nobody_ever_spoke(bench: Bench, transcript: object, outcome: Outcome):
    for report in bench.tell_both(disconnection_reason="inactivity", transcript=transcript):
        assert report.outcome is outcome


def test_silence_is_asked_of_the_call_because_lists_have_no_transcript(tmp_path: Path):
    with serving(tmp_path) as bench:
        ids = {f"silent-{number}": bench.place(f"silent-{number}") for number in range(8)}
        for call_id in ids.values():
            bench.vendor.overrides[call_id] = ended(disconnection_reason="inactivity", transcript="Agent: Hello?")

        reports = bench.provider.poll([key(ref, call_id) for ref, call_id in ids.items()], NOON)

    assert bench.vendor.asked["get-call"] == 5
    assert len(reports) == 5  # the others are asked for again, rather than guessed at
    assert {report.outcome for report in reports.values() if report} == {Outcome.HANG_UP}


# --- what the agent found

FOUND = {
    "in the analysis": {"call_analysis": {"custom_analysis_data": {"Callback Time": "2026-03-05 17:30"}}},
    "in the variables": {"collected_dynamic_variables": {"callback_at": "2026-03-05T17:30:00"}},
    "beside the analysis": {"call_analysis": {"callback_at": "2026-03-05T17:30"}},
}


@on_one_server("fields", FOUND.values(), ids=FOUND.keys())
@on_one_server("reason", ["user_requested_callback", "agent_hangup", "user_hangup"])
def test_a_callback_has_the_time_that_the_agent_wrote_down(bench: Bench, reason: str, fields: dict[str, object]):
    for report in bench.tell_both(disconnection_reason=reason, **fields):
        assert report.outcome is Outcome.CALLBACK
        assert (report.callback_at, report.callback_zone) == (datetime(2026, 3, 5, 17, 30), None)  # noqa: DTZ001


def test_a_callback_at_an_instant_is_told_in_utc(bench: Bench):
    report = bench.tell(collected_dynamic_variables={"callback_at": "2026-03-05T17:30:00-03:00"})

    assert (report.callback_at, report.callback_zone) == (datetime(2026, 3, 5, 20, 30), "UTC")  # noqa: DTZ001


@on_one_server("fields", [{}, {"call_analysis": {"custom_analysis_data": {"callback_at": "some day"}}}])
def test_a_callback_without_a_time_is_one(bench: Bench, fields: dict[str, object]):
    report = bench.tell(disconnection_reason="user_requested_callback", **fields)

    assert (report.outcome, report.callback_at) == (Outcome.CALLBACK, None)


def test_an_appointment_and_a_summary_are_kept(bench: Bench):
    analysis = {"call_summary": " Booked. ", "custom_analysis_data": {"appointment_at": "2026-03-05T17:30:00Z"}}
    report = bench.tell(call_analysis=analysis)

    assert (report.outcome, report.summary) == (Outcome.COMPLETED, "Booked.")
    assert report.appointment_at == datetime(2026, 3, 5, 17, 30, tzinfo=UTC)


@on_one_server("reason", ["agent_hangup", "user_hangup", "user_requested_callback", "error_asr"])
def test_a_wish_not_to_be_called_comes_before_everything(bench: Bench, reason: str):
    analysis = {"custom_analysis_data": {"do_not_call": "Yes, please.", "callback_at": "2026-03-05 17:30"}}
    report = bench.tell(
        call_status="error" if reason == "error_asr" else "ended", disconnection_reason=reason, call_analysis=analysis
    )

    assert (report.outcome, report.callback_at) == (Outcome.DO_NOT_CALL, None)


def test_the_leads_own_variables_are_no_findings(bench: Bench):
    report = bench.tell(retell_llm_dynamic_variables={"do_not_call": "yes", "callback_at": "2026-03-05 17:30"})

    assert report.outcome is Outcome.COMPLETED


def test_what_is_analyzed_of_a_call_that_nobody_answered_is_no_finding(bench: Bench):
    report = bench.tell(
        call_status="not_connected", disconnection_reason="dial_no_answer",
        call_analysis={"custom_analysis_data": {"do_not_call": True}},
    )

    assert report.outcome is Outcome.NO_ANSWER


@on_one_server("reason", ["user_hangup", "agent_hangup", "inactivity", "user_requested_callback"])
def test_an_analysis_that_heard_a_machine_makes_it_voicemail(bench: Bench, reason: str):
    found = {"callback_at": "2026-03-05 17:30", "appointment_at": "2026-03-06 10:00", "do_not_call": "yes"}
    analysis = {"in_voicemail": True, "custom_analysis_data": found}
    for report in bench.tell_both(disconnection_reason=reason, call_analysis=analysis):
        assert (report.outcome, report.callback_at, report.appointment_at) == (Outcome.VOICEMAIL, None, None)


@on_one_server("reason", ["voicemail_reached", "ivr_reached", "error_asr", "manual_stopped"])
def test_a_machine_books_nothing_and_asks_for_nothing(bench: Bench, reason: str):
    found = {"callback_at": "2026-03-05 17:30", "appointment_at": "2026-03-06 10:00", "do_not_call": "yes"}
    analysis = {"in_voicemail": reason not in ("voicemail_reached", "ivr_reached"), "custom_analysis_data": found}
    status = "error" if reason == "error_asr" else "ended"
    for report in bench.tell_both(
        call_status=status, disconnection_reason=reason, call_analysis=analysis, collected_dynamic_variables=found
    ):
        assert report.outcome is {**ANSWERED, **BROKEN}[reason]
        assert (report.callback_at, report.callback_zone, report.appointment_at) == (None, None, None)


@on_one_server("reason", ["user_requested_dnc", "manual_stopped"])
def test_a_machine_does_not_undo_what_is_certain(bench: Bench, reason: str):
    assert bench.tell(disconnection_reason=reason, call_analysis={"in_voicemail": True}).outcome is ANSWERED[reason]


@on_one_server(
    ("fields", "is_final"),
    [
        ({"call_analysis": {"call_summary": "x"}}, True),
        ({"call_analysis": REMOVED}, False),
        ({"call_analysis": None}, False),
        ({"call_status": "not_connected", "disconnection_reason": "dial_busy", "call_analysis": REMOVED}, True),
        ({"call_status": "error", "disconnection_reason": "error_asr", "call_analysis": REMOVED}, True),
    ],
)
def test_an_answered_call_is_final_once_it_is_analyzed(bench: Bench, fields: dict[str, object], is_final: bool):
    assert bench.tell(**fields).is_final is is_final


# --- facts and money


def test_times_talk_and_cost_are_read(bench: Bench):
    report = bench.tell(duration_ms=59_900, call_cost={"combined_cost": 12.75})

    assert (report.answered_at, report.ended_at) == (NOON + timedelta(minutes=1), ENDED_AT)
    assert report.talk_seconds == 59
    assert (report.cost, report.cost_unit) == (Decimal("12.75"), "usd_cents")


def test_a_call_that_never_connected_has_no_talk_and_was_not_answered(bench: Bench):
    report = bench.tell(call_status="not_connected", disconnection_reason="dial_no_answer", duration_ms=30_000)

    assert (report.talk_seconds, report.answered_at, report.ended_at) == (0, None, ENDED_AT)


@on_one_server(
    "cost", [None, [], {}, {"combined_cost": -1}, {"combined_cost": True}, {"combined_cost": "x"}, 7]
)
def test_a_cost_that_is_none_is_not_known(bench: Bench, cost: object):
    report = bench.tell(call_cost=cost)

    assert (report.cost, report.cost_unit) == (None, None)


def test_details_hold_no_number_no_recording_and_no_token(bench: Bench):
    for report in bench.tell_both(
        recording_url="https://x.example/a.wav?token=sEcReT", public_log_url="https://x.example/?k=sEcReT",
        knowledge_base_retrieved_contents_url="https://x.example/?k=sEcReT",
    ):
        kept = json.dumps(dict(report.details))
        assert report.details["disconnection_reason"] == "agent_hangup"
        assert not any(word in kept for word in (NUMBER, FROM, "sEcReT", KEY))


# --- asking


def test_a_thousand_calls_are_one_list(tmp_path: Path):
    with serving(tmp_path) as bench:
        calls = [key(f"c{number}", f"call_{number}") for number in range(1, 2001)]
        bench.provider.poll(calls, NOON)
        lists = [asked.document() for asked in bench.vendor.requests if asked.path[-1] == "list-calls"]

    assert [len(one["filter_criteria"]["call_id"]["value"]) for one in lists] == [1000, 1000]
    assert lists[0] | {"filter_criteria": {}} == {"filter_criteria": {}, "limit": 1000, "sort_order": "descending"}
    assert lists[0]["filter_criteria"]["call_id"] | {"value": []} == {"type": "enum", "op": "in", "value": []}
    assert bench.vendor.asked["get-call"] == 5  # absence is confirmed, but a few at a time


def test_pages_are_followed_to_the_end(tmp_path: Path):
    with serving(tmp_path, page_size=2) as bench:
        ids = {f"p{number}": bench.place(f"p{number}") for number in range(5)}
        reports = bench.provider.poll([key(ref, call_id) for ref, call_id in ids.items()], NOON)

    assert reports.keys() == set(ids.values())
    assert (bench.vendor.asked["list-calls"], bench.vendor.asked["get-call"]) == (3, 0)


def test_a_ringing_call_that_lists_leave_out_is_not_taken_for_absent(tmp_path: Path):
    with serving(tmp_path, lists_registered=False) as bench:
        call_id = bench.place("rings")
        reports = bench.provider.poll([key("rings", call_id)], NOON)

    assert reports[call_id] is not None
    assert reports[call_id].phase is Phase.DIALING


@on_one_server("status", [404, 422])
def test_a_call_is_absent_only_when_retell_says_so(bench: Bench, status: int):
    bench.vendor.answers["get-call"] = error(status, "Cannot find requested asset under given api key.")

    assert bench.provider.poll([key("gone", "call_gone")], NOON) == {"call_gone": None}


@on_one_server(
    "reply",
    [
        Reply(404, b"<html>Not Found</html>", **HTML),
        Reply(422, {"detail": "no"}),
        Reply(200, {"call_id": "call_other", "call_status": "ended"}),
        Reply(200, []),
        Reply(204),
        error(500, "oops"),
    ],
)
def test_an_unusable_answer_does_not_make_a_call_absent(bench: Bench, reply: Reply):
    bench.vendor.answers["get-call"] = reply

    with pytest.raises(ProviderError):
        bench.provider.poll([key("gone", "call_gone")], NOON)


def test_what_was_learnt_before_a_failure_counts(tmp_path: Path):
    with serving(tmp_path) as bench:
        call_id = bench.place("known")
        bench.vendor.answers["get-call"] = error(503, "Service unavailable")
        reports = bench.provider.poll([key("known", call_id), key("gone", "call_gone")], NOON)

    assert reports.keys() == {call_id}


UNUSABLE_LISTS = {
    "HTML": Reply(200, b"<html></html>", **HTML),
    "a bare list": Reply(200, []),
    "no items": Reply(200, {"has_more": False}),
    "no word on more": Reply(200, {"items": []}),
    "more without a key": Reply(200, {"items": [], "has_more": True}),
    "more with the same key for ever": Reply(200, {"items": [], "has_more": True, "pagination_key": "again"}),
    "items that are none": Reply(200, {"items": [7], "has_more": False}),
    "items of another kind": Reply(200, {"items": {}, "has_more": False}),
    "429": error(429, "Account rate limited"),
    "500": error(500, "oops"),
    "404": error(404, "Not Found"),
    "redirect": Reply(302, None, {"Location": "/elsewhere"}),
}


@on_one_server("reply", UNUSABLE_LISTS.values(), ids=UNUSABLE_LISTS.keys())
def test_a_list_that_cannot_be_used_proves_nothing(bench: Bench, reply: Reply):
    bench.vendor.answers["list-calls"] = reply

    for ask in (lambda: bench.provider.poll([key("a", "call_a")], NOON), lambda: bench.provider.find(key("a"), NOON)):
        with pytest.raises(ProviderError) as failed:
            ask()
        assert not failed.value.permanent
        assert NUMBER not in str(failed.value)


@on_one_server("status", [401, 402, 403])
def test_an_account_that_is_turned_away_is_a_permanent_error(bench: Bench, status: int):
    bench.vendor.answers["list-calls"] = error(status, "Invalid API Key")

    with pytest.raises(ProviderError) as failed:
        bench.provider.poll([key("a", "call_a")], NOON)
    assert failed.value.permanent


def test_a_call_is_searched_by_reference_and_then_by_number(tmp_path: Path):
    with serving(tmp_path) as bench:
        assert bench.provider.find(key("never"), NOON) is None
        by_ref, by_number = (asked.document()["filter_criteria"] for asked in bench.vendor.requests)

    assert by_ref == {"metadata": [{"key": "attempt_ref", "type": "string", "op": "eq", "value": "never"}]}
    assert by_number == {"to_number": {"type": "string", "op": "eq", "value": NUMBER}}


def test_a_call_found_by_its_reference_is_not_searched_by_number(tmp_path: Path):
    with serving(tmp_path) as bench:
        call_id = bench.place("mine")
        bench.place("not-mine")
        found = bench.provider.find(key("mine"), NOON)

    assert found is not None
    assert (found.call_id, found.attempt_ref) == (call_id, "mine")
    assert bench.vendor.asked["list-calls"] == 1


def test_the_second_net_finds_what_the_filter_misses_and_takes_no_other_call(tmp_path: Path):
    with serving(tmp_path) as bench:
        call_id = bench.place("hidden")
        bench.place("other")
        bench.vendor.heeds_metadata = False
        found = bench.provider.find(key("hidden"), NOON)

    assert found is not None
    assert found.call_id == call_id


def test_a_filter_that_goes_unheeded_finds_no_strangers(bench: Bench):
    strangers = [{"call_id": "call_1", "metadata": {"attempt_ref": "other"}}, {"call_id": "call_2", "metadata": "?"}]
    bench.vendor.answers["list-calls"] = Reply(200, {"items": strangers, "has_more": False})

    assert bench.provider.find(key("mine"), NOON) is None


def test_a_list_that_turns_in_a_circle_is_left_at_once(bench: Bench):
    before = bench.vendor.asked["list-calls"]
    bench.vendor.answers["list-calls"] = UNUSABLE_LISTS["more with the same key for ever"]

    with pytest.raises(ProviderError):
        bench.provider.find(key("a"), NOON)
    assert bench.vendor.asked["list-calls"] - before == 2


def test_two_calls_for_one_attempt_are_for_people_to_decide(tmp_path: Path):
    with serving(tmp_path) as bench:
        bench.place("twice")
        bench.place("twice")
        with pytest.raises(ProviderError, match="2 calls for attempt twice") as failed:
            bench.provider.find(key("twice"), NOON)

    assert failed.value.permanent


def test_a_call_that_is_listed_twice_is_one_call(bench: Bench):
    row = {"call_id": "call_1", "metadata": {"attempt_ref": "mine"}, "call_status": "ongoing"}
    bench.vendor.answers["list-calls"] = Reply(200, {"items": [row, row], "has_more": False})

    found = bench.provider.find(key("mine"), NOON)

    assert found is not None
    assert found.call_id == "call_1"


def test_a_found_call_without_a_usable_id_is_no_absence(bench: Bench):
    row = {"call_id": None, "metadata": {"attempt_ref": "mine"}}
    bench.vendor.answers["list-calls"] = Reply(200, {"items": [row], "has_more": False})

    with pytest.raises(ProviderError):
        bench.provider.find(key("mine"), NOON)


# --- hanging up


def test_a_call_that_retell_will_not_stop_while_it_rings_is_not_said_to_be_over(tmp_path: Path):
    with serving(tmp_path) as bench:
        call_id = bench.place("rings")
        bench.vendor.answers["stop-call"] = fake.not_found()
        with pytest.raises(ProviderError, match="still live") as failed:
            bench.provider.hang_up(call_id)

    assert not failed.value.permanent


@on_one_server("reply", [Reply(404, b"<html></html>", **HTML), error(500, "oops"), error(429, "slow down")])
def test_a_stop_that_fails_says_nothing_of_the_call(bench: Bench, reply: Reply):
    bench.vendor.answers["stop-call"] = reply

    with pytest.raises(ProviderError):
        bench.provider.hang_up("call_1")


def test_a_call_that_we_stopped_is_cancelled(tmp_path: Path):
    with serving(tmp_path) as bench:
        call_id = bench.place("cut")
        assert bench.provider.hang_up(call_id) is True
        report = bench.provider.poll([key("cut", call_id)], NOON)[call_id]

    assert report is not None
    assert (report.outcome, report.provider_status) == (Outcome.CANCELLED, "manual_stopped")


# --- webhooks

VECTOR_BODY = b'{"event":"call_ended","call":{"call_id":"call_123","call_status":"ended"}}'
VECTOR_AT = datetime.fromtimestamp(1_700_000_000, UTC)
VECTOR = "v=1700000000000,d=43e0099163c8b521a27ab6cb033b9234ed2a11a928adb46b80e36a889bc16399"


def test_the_signature_vector_is_accepted():
    [event] = receive(VECTOR_BODY, VECTOR, VECTOR_AT)

    assert (event.key, event.kind, event.call_id, event.attempt_ref) == (
        "call_ended:call_123", "call_ended", "call_123", None,
    )


@each("late", [timedelta(milliseconds=300_000), timedelta(milliseconds=-300_000), timedelta(0)])
def test_a_signature_within_five_minutes_is_accepted(late: timedelta):
    assert len(receive(VECTOR_BODY, VECTOR, VECTOR_AT + late)) == 1


@each("late", [timedelta(milliseconds=300_001), timedelta(milliseconds=-300_001), timedelta(days=9)])
def test_a_signature_of_another_time_is_rejected(late: timedelta):
    assert rejected(VECTOR_BODY, VECTOR, VECTOR_AT + late) == 401


def test_a_signature_fits_one_body_alone():
    with vector_provider() as provider:
        for place in range(len(VECTOR_BODY)):
            altered = bytearray(VECTOR_BODY)
            altered[place] ^= 1
            with pytest.raises(HookRefused) as refused:
                provider.receive(Hook("https://x.example/", {"x-retell-signature": VECTOR}, bytes(altered)), VECTOR_AT)
            assert refused.value.status == 401


@each(
    "signature",
    [
        "", "v=1700000000000", VECTOR[:-1], VECTOR + "0", VECTOR.upper(), VECTOR.replace(",d=", ";d="), " " + VECTOR,
        VECTOR + "\n", VECTOR.replace("v=1700000000000", "v=1700000000001"), "v=" + "9" * 5000 + VECTOR[15:],
        VECTOR.replace("v=17", "v=١٧"), VECTOR[:-1] + ("0" if VECTOR[-1] != "0" else "1"),
        sign(VECTOR_BODY, "key_of_somebody_else", 1_700_000_000_000),
    ],
)
def test_a_signature_that_is_none_is_rejected(signature: str):
    assert rejected(VECTOR_BODY, signature) == 401


def test_a_webhook_without_a_signature_is_rejected():
    with pytest.raises(HookRefused) as refused, vector_provider() as provider:
        provider.receive(Hook("https://x.example/", {}, VECTOR_BODY), VECTOR_AT)
    assert refused.value.status == 401


def test_a_bad_signature_is_told_before_a_bad_body():
    assert rejected(b"no JSON at all", VECTOR) == 401


@each("signed_with", [KEY, WEBHOOK_KEY])
def test_either_of_two_keys_may_sign(tmp_path: Path, signed_with: str):
    with serving(tmp_path, keys={"RETELL_WEBHOOK_KEY": WEBHOOK_KEY}, webhook_key=signed_with) as bench:
        assert len(bench.post(bench.vendor.signed(VECTOR_BODY))) == 1


def test_a_key_that_is_not_set_signs_nothing(tmp_path: Path):
    with serving(tmp_path, webhook_key=WEBHOOK_KEY) as bench, pytest.raises(HookRefused) as refused:
        bench.post(bench.vendor.signed(VECTOR_BODY))
    assert refused.value.status == 401


@on_one_server(
    "body",
    [
        b"", b"{", b"[]", b"7", b"null", b"\xff\xfe\x00", b"[" * 100_000, b'{"event": 7}',
        b'{"call": {"call_id": "call_1"}}',
        b'{"event": "call_ended"}', b'{"event": "call_ended", "call": []}', b'{"event": "call_ended", "call": {}}',
        b'{"event": "call_ended", "call": {"call_id": 7}}', b'{"event": "call_ended", "call": {"call_id": "a/../b"}}',
        b'{"event": "call_ended", "call": {"call_id": "' + b"x" * 200 + b'"}}',
    ],
)
def test_a_genuine_body_that_cannot_be_read_is_a_bad_request(bench: Bench, body: bytes):
    with pytest.raises(HookRefused) as refused:
        bench.post(bench.vendor.signed(body))
    assert refused.value.status == 400


@on_one_server(
    "told",
    [
        {"event": "transcript_updated", "call": {"call_id": "call_1"}},
        {"event": "transfer_started", "call": {"call_id": "call_1"}},
        {"event": "transfer_bridged", "call": {"call_id": "call_1"}},
        {"event": "transfer_cancelled", "call": {"call_id": "call_1"}},
        {"event": "transfer_ended", "call": {"call_id": "call_1"}},
        {"event": "chat_ended", "chat": {"chat_id": "chat_1"}},
        {"event": "call_ended", "call": {"call_id": "call_1", "direction": "inbound"}},
    ],
    ids=lambda told: str(told["event"]),
)
def test_events_that_are_not_followed_are_taken_and_dropped(bench: Bench, told: dict[str, object]):
    assert bench.post(bench.vendor.signed(json.dumps(told).encode())) == []


@on_one_server(
    "metadata", [None, {}, [], "x", {"attempt_ref": 7}, {"attempt_ref": ""}, {"attempt_ref": "x" * 37}]
)
def test_a_call_of_another_program_has_no_reference_of_ours(bench: Bench, metadata: object):
    body = json.dumps({"event": "call_ended", "call": {"call_id": "call_1", "metadata": metadata}}).encode()
    [event] = bench.post(bench.vendor.signed(body))

    assert event.attempt_ref is None


def test_events_of_one_call_have_keys_of_their_own_and_repeats_have_the_same(tmp_path: Path):
    with serving(tmp_path, mix="completed=1") as bench:
        hooks = bench.hooks_of("told")
        keys = [event.key for hook in (*hooks, *hooks) for event in bench.post(hook)]

    assert len(set(keys)) == 3
    assert keys[:3] == keys[3:]
    assert all(len(key) <= 191 for key in keys)


def test_events_tell_the_call_from_its_start_to_its_analysis(tmp_path: Path):
    with serving(tmp_path, mix="completed=1") as bench:
        reports = [bench.read(hook) for hook in bench.hooks_of("told")]
        call_id = bench.vendor.vendor_id("told")

    started, over, analyzed = reports
    assert started is not None and over is not None and analyzed is not None
    assert [report.phase for report in (started, over, analyzed)] == [Phase.ANSWERED, Phase.ENDED, Phase.ENDED]
    assert {(report.call_id, report.attempt_ref) for report in (started, over, analyzed)} == {(call_id, "told")}
    assert (over.is_final, analyzed.is_final) == (False, True)
    assert (over.outcome, over.summary) == (Outcome.COMPLETED, None)
    assert (analyzed.outcome, analyzed.summary) == (Outcome.COMPLETED, "The agent introduced herself.")
    assert started.answered_at == over.answered_at == analyzed.answered_at


def test_a_lost_webhook_changes_nothing_because_polling_says_the_same(tmp_path: Path):
    with serving(tmp_path, mix="completed=1") as bench:
        hooks = bench.hooks_of("told")
        told = bench.read(hooks[-1])
        call_id = bench.vendor.vendor_id("told")
        polled = bench.provider.poll([key("told", call_id)], bench.clock.now())[call_id]

    assert told is not None and polled is not None
    assert replace(told, details={}) == replace(polled, details={})


def test_an_event_read_later_or_in_another_order_says_the_same(tmp_path: Path):
    with serving(tmp_path, mix="completed=1") as bench:
        events = [event for hook in bench.hooks_of("told") for event in bench.post(hook)]
        stored = [replace(event, payload=json.loads(json.dumps(dict(event.payload)))) for event in events]
        in_order = [bench.provider.read_event(event) for event in events]
        bench.clock.advance(LONG_AFTER)
        backwards = [bench.provider.read_event(event) for event in reversed(stored)]

    assert backwards[::-1] == in_order


@on_one_server(
    ("kind", "fields"),
    [
        ("call_ended", {"call_status": "registered"}),  # as in the sample of Retell's own documentation
        ("call_ended", {"call_status": "ongoing"}),
        ("call_analyzed", {"call_status": "ongoing"}),
        ("call_ended", {"call_status": "paused"}),
        ("call_started", {"call_status": "registered"}),
        ("call_started", {}),
    ],
)
def test_an_event_that_does_not_fit_its_call_makes_us_ask(bench: Bench, kind: str, fields: dict[str, object]):
    event = ProviderEvent("k", kind, {"event": kind, "call": {"call_id": "call_1", **fields}}, call_id="call_1")

    assert bench.provider.read_event(event) is None


def test_the_sample_of_the_documentation_is_read_as_an_end(bench: Bench):
    call = ended(call_status="registered", disconnection_reason="user_hangup")
    event = ProviderEvent("k", "call_ended", {"call": call}, attempt_ref="a", call_id="call_1")

    report = bench.provider.read_event(event)

    assert report is not None
    assert (report.phase, report.outcome) == (Phase.ENDED, Outcome.COMPLETED)


def test_a_payload_that_is_kept_holds_no_number_and_no_secret(tmp_path: Path):
    with serving(tmp_path, mix="completed=1") as bench:
        kept = [json.dumps(dict(event.payload)) for hook in bench.hooks_of("told") for event in bench.post(hook)]

    assert not any(word in text for word in (NUMBER, FROM, "sEcReT", KEY) for text in kept)


def test_an_event_with_a_long_transcript_keeps_what_the_agent_found(bench: Bench):
    words = "User: no\n" * 20_000
    call = ended(call_id="call_1", transcript=words, transcript_object=[{"content": words}] * 20) | {
        "call_analysis": {"call_summary": "Later.", "custom_analysis_data": {"callback_at": "2026-03-05 17:30"}},
        "metadata": {"attempt_ref": "mine", "noise": "x" * 45_000},
    }
    [event] = bench.post(bench.vendor.signed(json.dumps({"event": "call_analyzed", "call": call}).encode()))
    report = bench.provider.read_event(event)

    assert event.attempt_ref == "mine"
    assert len(json.dumps(dict(event.payload))) < 60_000
    assert report is not None
    assert (report.outcome, report.attempt_ref, report.summary) == (Outcome.CALLBACK, "mine", "Later.")


def test_webhooks_go_to_the_address_that_the_start_named(tmp_path: Path):
    with serving(tmp_path, public_url=f"{PUBLIC_URL}/calls", mix="completed=1") as bench:
        assert {hook.path for hook in bench.hooks_of("told")} == {"/calls/webhooks/retell"}


# --- keys


def test_missing_keys_are_named_together():
    with pytest.raises(MissingKeys) as missing:
        open_provider(Keys({}), wiring())

    assert missing.value.names == ("RETELL_API_KEY", "RETELL_FROM_NUMBER")


@each(
    ("name", "value"),
    [
        ("RETELL_API_KEY", "key with spaces"),
        ("RETELL_API_KEY", "kéy_ñandú_0001"),
        ("RETELL_API_KEY", "short"),
        ("RETELL_WEBHOOK_KEY", "two\nlines_of_text"),
        ("RETELL_FROM_NUMBER", "4155550000"),
        ("RETELL_FROM_NUMBER", "+1 415 777 4444"),
        ("RETELL_FROM_NUMBER", KEY),
        ("RETELL_AGENT_ID", "agent/../x"),
        ("RETELL_AGENT_ID", "my agent"),
        ("RETELL_AGENT_VERSION", "-1"),
        ("RETELL_VOICEMAIL", "leave a message"),
        ("RETELL_HONOR_DNC", "maybe"),
    ],
)
def test_a_key_of_the_wrong_shape_is_named_and_not_shown(name: str, value: str):
    with pytest.raises(InvalidValue, match=name) as wrong:
        open_provider(Keys({**ACCOUNT, name: value}), wiring())

    assert value not in str(wrong.value)


def test_a_version_belongs_to_an_agent():
    with pytest.raises(InvalidValue, match="RETELL_AGENT_VERSION"):
        open_provider(Keys({**ACCOUNT, "RETELL_AGENT_ID": "", "RETELL_AGENT_VERSION": "3"}), wiring())


@each("url", ["http://api.retellai.com", "ftp://x.example", "https://169.254.169.254", "https://u:p@x.example"])
def test_a_base_address_must_be_safe(url: str):
    with pytest.raises(InvalidValue, match="RETELL_BASE_URL"):
        open_provider(Keys({**ACCOUNT, "RETELL_BASE_URL": url}), wiring())


def test_keys_are_in_no_representation(tmp_path: Path):
    with serving(tmp_path, keys={"RETELL_WEBHOOK_KEY": WEBHOOK_KEY}) as bench:
        shown = repr(bench.provider) + str(vars(bench.provider))

    assert KEY not in shown
    assert WEBHOOK_KEY not in shown


# --- the account


@each(
    ("changes", "most"),
    [
        ({}, 15),
        ({"reserved_inbound_concurrency": REMOVED}, 20),
        ({"reserved_inbound_concurrency": 30}, 0),
        ({"concurrency_burst_enabled": True, "concurrency_burst_limit": 60}, 60),
        ({"concurrency_burst_enabled": False, "concurrency_burst_limit": 60}, 15),
        ({"concurrency_burst_enabled": True, "concurrency_burst_limit": 0}, 15),
        ({"concurrency_limit": "many"}, None),
    ],
)
def test_vitals_tell_how_many_calls_may_be_had(tmp_path: Path, changes: dict[str, object], most: int | None):
    with serving(tmp_path) as bench:
        told = {**bench.vendor.concurrency, **changes}
        bench.vendor.concurrency = {name: value for name, value in told.items() if value is not REMOVED}
        bench.place("one")
        bench.place("two")

        assert bench.provider.read_vitals() == Vitals(None, most, 2)


def test_vitals_tell_that_there_is_no_credit(bench: Bench):
    bench.vendor.answers["get-concurrency"] = error(402, "Trial has ended, please add payment method.")

    vitals = bench.provider.read_vitals()

    assert vitals is not None
    assert vitals.problem is not None


@on_one_server(
    ("reply", "permanent"),
    [(error(401, "Invalid API Key"), True), (error(500, "oops"), False), (Reply(200, []), False)],
)
def test_vitals_that_cannot_be_read_raise(bench: Bench, reply: Reply, permanent: bool):
    bench.vendor.answers["get-concurrency"] = reply

    with pytest.raises(ProviderError) as failed:
        bench.provider.read_vitals()
    assert failed.value.permanent is permanent


def test_an_account_in_order_is_inspected_without_complaint(tmp_path: Path):
    with serving(tmp_path) as bench:
        bench.vendor.agents["agent_two"] = {}
        found = bench.provider.inspect([AGENT, "agent_two"], [FROM])

    assert [one.standing for one in found] == [Standing.OK] * 4
    assert [asked.path[0] for asked in bench.vendor.requests] == [
        "get-concurrency", "get-agent", "get-agent", "get-phone-number",
    ]


def test_agents_and_numbers_that_retell_does_not_have_are_problems(tmp_path: Path):
    with serving(tmp_path) as bench:
        found = bench.provider.inspect(["agent_gone", "a/b?c"], ["+14150000009"])

    wrong = [one.sentence for one in found if one.standing is Standing.PROBLEM]
    assert len(wrong) == 3
    assert "agent_gone" in wrong[0]
    assert "+14150000009" in wrong[2]


def test_a_caller_id_without_an_agent_is_warned_of_unless_the_account_has_one(tmp_path: Path):
    with serving(tmp_path) as bench, serving(tmp_path / "other", keys={"RETELL_AGENT_ID": ""}) as without:
        for one in (bench, without):
            one.vendor.numbers[FROM] = {}

        assert bench.provider.inspect([], [])[-1].standing is Standing.OK
        assert without.provider.inspect([], [])[-1].standing is Standing.WARNING


@on_one_server(
    ("reply", "standing"),
    [
        (error(401, "Invalid API Key"), Standing.PROBLEM),
        (error(402, "Trial has ended, please add payment method."), Standing.PROBLEM),
        (error(500, "oops"), Standing.WARNING),
        (Reply(200, b"<html></html>", **HTML), Standing.WARNING),
    ],
)
def test_a_key_is_inspected_first(bench: Bench, reply: Reply, standing: Standing):
    bench.vendor.answers["get-concurrency"] = reply

    found = bench.provider.inspect([], [])

    assert found[0].standing is standing
    assert (len(found) == 1) is (standing is Standing.PROBLEM)
    assert KEY not in str(found)


def test_an_inspection_without_a_network_warns():
    provider = open_provider(Keys({**ACCOUNT, "RETELL_BASE_URL": "http://127.0.0.1:9"}), wiring())
    try:
        assert {one.standing for one in provider.inspect(["agent_x"], [])} == {Standing.WARNING}
    finally:
        provider.close()


# --- nothing that Retell could say breaks anything

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
HUGE = st.sampled_from([10**30, -(10**30), 1e300, float("nan"), "9" * 40, "\ud800", "\x00", [[]], {"": {}}])
WORD = st.sampled_from([
    "ended", "error", "ongoing", "registered", "not_connected", "inactivity", "user_hangup", "budget_reached",
])  # fmt: skip
FIELDS = (
    "call_status", "disconnection_reason", "start_timestamp", "end_timestamp", "duration_ms", "call_cost", "transcript",
    "call_analysis", "metadata", "collected_dynamic_variables", "direction", "retell_llm_dynamic_variables",
)  # fmt: skip
CALL = st.fixed_dictionaries(
    {"call_id": st.just("call_x") | JSON}, optional=dict.fromkeys(FIELDS, WORD | HUGE | JSON)
)
ANY = CALL | JSON
PAGE = st.fixed_dictionaries({"items": st.lists(ANY, max_size=3) | JSON, "has_more": st.booleans() | JSON}) | JSON
MANY = settings(max_examples=examples(15), suppress_health_check=[HealthCheck.function_scoped_fixture])


@MANY
@given(told=st.fixed_dictionaries({"event": st.sampled_from(fake.EVENTS[:3]), "call": ANY}) | JSON)
def test_no_genuine_webhook_breaks_the_reader(bench: Bench, told: object):
    try:
        events = bench.post(bench.vendor.signed(json.dumps(told).encode()))
    except HookRefused as refused:
        assert refused.status == 400
        return
    for event in events:
        json.dumps(dict(event.payload), allow_nan=False)
        is_sound(bench.provider.read_event(event))


@MANY
@given(payload=st.dictionaries(st.just("call") | st.text(max_size=5), ANY, max_size=3))
def test_no_stored_event_breaks_the_reader(bench: Bench, payload: dict[str, Any]):
    is_sound(bench.provider.read_event(ProviderEvent("k", "call_ended", payload)))


@MANY
@given(page=PAGE, row=ANY)
def test_no_answer_breaks_a_question(bench: Bench, page: object, row: object):
    bench.vendor.answers |= {"list-calls": Reply(200, page), "get-call": Reply(200, row)}
    questions: list[Callable[[], object]] = [
        lambda: is_sound(*bench.provider.poll([key("x", "call_x")], NOON).values()),
        lambda: is_sound(bench.provider.find(key("x"), NOON)),
    ]
    for ask in questions:
        try:
            ask()
        except ProviderError:
            continue


@MANY
@given(status=st.sampled_from([200, 201, 400, 401, 402, 404, 422, 429, 500]), body=ANY)
def test_no_answer_breaks_a_start_or_an_inspection(bench: Bench, status: int, body: object):
    answer = bench.place_answered(Reply(status, body))
    for verb in ("get-concurrency", "get-agent", "get-phone-number"):
        bench.vendor.answers[verb] = Reply(status, body)

    assert isinstance(answer, Accepted | Refused | Unanswered)
    assert not isinstance(answer, Accepted) or status in (200, 201)
    assert bench.provider.inspect(["agent_x"], ["+1"])


# --- helpers

ACCOUNT = {"RETELL_API_KEY": KEY, "RETELL_FROM_NUMBER": FROM, "RETELL_AGENT_ID": AGENT}


@dataclass
class Bench:
    """A fake Retell, and an adapter that speaks to it."""

    server: VendorServer
    clock: ManualClock
    provider: Provider
    placed: int = 0

    @property
    def vendor(self) -> Retell:
        assert isinstance(self.server.vendor, Retell)
        return self.server.vendor

    def place(self, ref: str) -> str:
        answer = self.provider.place(request(ref))
        assert isinstance(answer, Accepted), answer
        return answer.call_id

    def place_answered(self, reply: Reply) -> object:
        self.vendor.answers["create-phone-call"] = reply
        return self.provider.place(request("scripted"))

    def tell(self, **fields: object) -> CallReport:
        """What is reported, by polling, of a call that ended as `fields` say."""
        return self.tell_both(**fields)[0]

    def tell_both(self, **fields: object) -> tuple[CallReport, CallReport]:
        """The same call as polling and as its last webhook tell it; the first alone where that one tells nothing."""
        self.placed += 1
        ref = f"told-{self.placed}"
        call_id = self.place(ref)
        self.vendor.overrides[call_id] = ended(**fields)
        polled = self.provider.poll([CallKey(ref, call_id, NUMBER, NOON)], self.clock.now())[call_id]
        call = self.vendor.call_of(call_id)
        assert polled is not None and call is not None
        told = self.read(self.vendor.event(call, "call_analyzed", self.clock.now(), analyzed=True))
        return polled, told or polled

    def hooks_of(self, ref: str) -> list[Posted]:
        """Every webhook of a call that lasts until its end and beyond, each built in its time."""
        self.place(ref)
        [call] = self.vendor.find(ref)
        hooks = []
        for at, build in sorted(self.vendor.hooks_of(call), key=lambda due: due[0]):
            self.clock.set(at)
            hook = build()
            assert hook is not None
            hooks.append(hook)
        return hooks

    def post(self, posted: Posted) -> list[ProviderEvent]:
        headers = {name.lower(): value for name, value in posted.headers.items()}
        return list(self.provider.receive(Hook(PUBLIC_URL + posted.path, headers, posted.body), self.clock.now()))

    def read(self, posted: Posted) -> CallReport | None:
        [event] = self.post(posted)
        return self.provider.read_event(event)


@contextmanager
def serving(
    tmp_path: Path, *, keys: Mapping[str, str] | None = None, public_url: str | None = None,
    short_call: timedelta = timedelta(seconds=8), **options: Any,
) -> Iterator[Bench]:
    tmp_path.mkdir(exist_ok=True)
    clock = ManualClock(NOON)
    server = open_vendor(
        Retell, tmp_path / "ledger", clock=clock, mix=options.pop("mix", MIX), ring=timedelta(seconds=10),
        talk=timedelta(seconds=30), **options,
    )
    server.serve_in_thread()
    provider = adapter(server, keys=keys, public_url=public_url, short_call=short_call)
    try:
        yield Bench(server, clock, provider)
    finally:
        provider.close()
        server.stop()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with serving(tmp_path_factory.mktemp("retell")) as bench:
        yield bench


@pytest.fixture
def bench(shared: Bench) -> Bench:
    """One server for the many tests that script what it says; each begins with nothing scripted."""
    unscript(shared)
    return shared


def adapter(
    server: VendorServer, *, keys: Mapping[str, str] | None = None, timeout: timedelta = PATIENCE,
    public_url: str | None = None, short_call: timedelta = timedelta(seconds=8),
) -> Provider:
    known = {**ACCOUNT, "RETELL_BASE_URL": server.url, **(keys or {})}
    return open_provider(Keys(known), replace(wiring(timeout), public_url=public_url, short_call=short_call))


def wiring(timeout: timedelta = PATIENCE) -> Wiring:
    return Wiring(places=8, request_timeout=timeout)


def start_body(tmp_path: Path, keys: Mapping[str, str] | None = None, **changes: object) -> dict[str, Any]:
    """The body of an accepted start."""
    with serving(tmp_path, keys=keys) as bench:
        assert isinstance(bench.provider.place(request("a", **changes)), Accepted)
        return bench.vendor.requests[0].document()


def ended(**fields: object) -> dict[str, Any]:
    """A call that was answered after a minute and lasted another, unless `fields` say otherwise."""
    return {
        "call_status": "ended", "disconnection_reason": "agent_hangup",
        "start_timestamp": milliseconds(NOON + timedelta(minutes=1)), "end_timestamp": milliseconds(ENDED_AT),
        "duration_ms": 60_000, "transcript": "Agent: Hola.\nUser: Hola.\n", "call_analysis": {"in_voicemail": False},
        **fields,
    }


@contextmanager
def vector_provider() -> Iterator[Provider]:
    provider = open_provider(Keys({**ACCOUNT, "RETELL_API_KEY": "key_test_0001"}), wiring())
    try:
        yield provider
    finally:
        provider.close()


def receive(body: bytes, signature: str, now: datetime = VECTOR_AT) -> list[ProviderEvent]:
    with vector_provider() as provider:
        return list(provider.receive(Hook("https://x.example/", {"x-retell-signature": signature}, body), now))


def rejected(body: bytes, signature: str, now: datetime = VECTOR_AT) -> int:
    with pytest.raises(HookRefused) as refused:
        receive(body, signature, now)
    return refused.value.status


def is_sound(*reports: CallReport | None) -> None:
    for report in reports:
        if report is not None:
            assert (report.phase is Phase.ENDED) == (report.outcome is not None or report.refusal is not None)
            assert report.talk_seconds is None or report.talk_seconds >= 0
            json.dumps(dict(report.details), allow_nan=False)
