from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scheduler.clock import ManualClock
from scheduler.config import Keys
from scheduler.errors import InvalidValue, MissingKeys, ProviderError
from scheduler.model import Outcome
from scheduler.providers.base import (
    Accepted,
    CallReport,
    Hook,
    HookRefused,
    Inspection,
    Phase,
    ProviderEvent,
    RefusalKind,
    Refused,
    Standing,
    Unanswered,
    Wiring,
)
from scheduler.providers.registry import KNOWN_PROVIDERS
from scheduler.providers.twilio import MOST_CLAIMS, MOST_SINGLE, Memory, Twilio, open_provider
from tests.each import each
from tests.examples import examples
from tests.providers.contract import NOON, NUMBER, Line, ProviderContract, key, request
from tests.providers.fakes.twilio import (
    ACCOUNT_SID,
    API_KEY,
    API_SECRET,
    APPLICATION,
    AUTH_TOKEN,
    OWN_NUMBER,
    VERIFIED_NUMBER,
    error,
    rfc2822,
)
from tests.providers.fakes.twilio import Twilio as FakeTwilio
from tests.providers.fakes.vendor import (
    Hook as PostedHook,
)
from tests.providers.fakes.vendor import (
    HookPlan,
    Reply,
    VendorServer,
    calls_made,
    misbehave,
    open_vendor,
    requests_made,
)

PATIENCE = timedelta(seconds=30)
LIMIT = int(PATIENCE.total_seconds())
IMPATIENCE = timedelta(seconds=0.3)
PUBLIC = "https://dialer.example.com"
HOOK = f"{PUBLIC}/webhooks/twilio"
SCRIPT = "https://scripts.example.com/hello?lang=es"
SID = "CA" + "0" * 31 + "1"
FORM = "application/x-www-form-urlencoded"
NOWHERE = "http://127.0.0.1:9"
WEBHOOK_KEY = "shared-webhook-key-91"
SECRETS = (AUTH_TOKEN, API_SECRET, WEBHOOK_KEY)


class TestTwilioKeepsTheContract(ProviderContract):
    refusals = {  # noqa: RUF012
        "refuse": RefusalKind.REFUSED,
        "throttle": RefusalKind.THROTTLED,
        "hold": RefusalKind.HOLD,
        "invalid_number": RefusalKind.INVALID_NUMBER,
    }
    finds = False  # by its webhook, or by the requests that Twilio made for it: not by asking for it alone
    test_a_found_call_can_be_followed_by_its_id = None

    @pytest.fixture
    def line(self, tmp_path: Path) -> Iterator[Line]:
        clock = ManualClock(NOON)
        with serving(tmp_path, clock=clock) as server:
            # "not found" is proof only where every call is announced to a public address
            patient, impatient = adapter(server, public=PUBLIC), adapter(server, public=PUBLIC, timeout=IMPATIENCE)

            def mumble(call_id: str, is_over: bool) -> None:
                end = {"end_time": rfc2822(NOON)} if is_over else {"end_time": None, "duration": None, "price": None}
                server.vendor.overrides[call_id] = {"status": "hovering", **end}

            yield Line(
                patient, clock, lambda faults: misbehave(server, faults), lambda ref: calls_made(server, ref),
                impatient, mumble,
            )
            patient.close()
            impatient.close()


# --- the start request


def test_a_start_says_what_to_call_what_to_run_and_where_to_post(tmp_path: Path):
    with dialing(tmp_path) as (provider, server, _):
        variables = {"name": "Ana & Co", "visits": 3, "vip": True, "note": None}
        answer = provider.place(request("ref-1", variables=variables))
        [asked] = server.vendor.starts

    assert isinstance(answer, Accepted)
    assert asked.target == f"/2010-04-01/Accounts/{ACCOUNT_SID}/Calls.json"
    assert asked.headers["content-type"] == FORM
    assert asked.headers["authorization"].startswith("Basic ")
    form = parse_qs(asked.body.decode())
    script = urlsplit(form.pop("Url")[0])
    assert form == {
        "To": [NUMBER],
        "From": [OWN_NUMBER],
        "Timeout": ["30"],
        "TimeLimit": ["300"],
        "StatusCallback": [f"{HOOK}?ref=ref-1"],
        "StatusCallbackMethod": ["POST"],
        "StatusCallbackEvent": ["initiated", "ringing", "answered", "completed"],
        "MachineDetection": ["Enable"],
        "AsyncAmd": ["true"],
        "AsyncAmdStatusCallback": [f"{HOOK}?ref=ref-1"],
        "AsyncAmdStatusCallbackMethod": ["POST"],
    }
    assert (script.netloc, script.path) == ("scripts.example.com", "/hello")
    assert parse_qs(script.query) == {
        "lang": ["es"], "name": ["Ana & Co"], "visits": ["3"], "vip": ["true"], "ref": ["ref-1"],
    }  # fmt: skip


def test_without_a_public_address_or_detection_nothing_is_said_of_them(tmp_path: Path):
    with dialing(tmp_path, public=None, TWILIO_MACHINE_DETECTION="OFF") as (provider, server, _):
        provider.place(request("ref-1"))
        form = server.vendor.starts[0].form()

    assert sorted(form) == ["From", "TimeLimit", "Timeout", "To", "Url"]


def test_a_webhook_that_could_not_be_proven_is_not_asked_for(tmp_path: Path):
    with dialing(tmp_path, TWILIO_AUTH_TOKEN=None, **WITH_API_KEY) as (provider, server, _):
        provider.place(request("ref-1"))

    assert "StatusCallback" not in server.vendor.starts[0].form()


@each(
    ("script", "agent", "sent"),
    [
        ({"TWILIO_TWIML": "<Response/>"}, None, ("Twiml", "<Response/>")),
        ({"TWILIO_APPLICATION_SID": APPLICATION}, None, ("ApplicationSid", APPLICATION)),
        ({"TWILIO_TWIML": "<Response/>"}, APPLICATION, ("ApplicationSid", APPLICATION)),
        ({"TWILIO_TWIML": "<Response/>"}, "http://a.example/x", ("Url", "http://a.example/x?ref=ref-1")),
        ({"TWILIO_APPLICATION_SID": APPLICATION}, "https://a.example/x#rc=2", ("Url", "https://a.example/x?ref=ref-1#rc=2")),
    ],
)  # fmt: skip
def test_one_script_runs_and_a_campaigns_own_comes_first(tmp_path: Path, script, agent, sent):
    with dialing(tmp_path, TWILIO_TWIML_URL=None, **script) as (provider, server, _):
        assert isinstance(provider.place(request("ref-1", agent_id=agent)), Accepted)
        form = server.vendor.starts[0].form()

    assert {name: form[name] for name in ("Url", "Twiml", "ApplicationSid") if name in form} == dict([sent])
    assert ("StatusCallback" in form) is (sent[0] != "ApplicationSid")
    assert form["AsyncAmdStatusCallback"] == f"{HOOK}?ref=ref-1"


@each(
    ("ring", "talk", "sent"),
    [(0.2, 0.2, ("1", "1")), (20.4, 60, ("21", "60")), (600, 7200, ("600", "7200")), (900, 9.1, ("600", "10"))],
)
def test_ring_and_talk_limits_are_whole_seconds_within_what_twilio_takes(tmp_path: Path, ring, talk, sent):
    limits = {"ring_timeout": timedelta(seconds=ring), "max_duration": timedelta(seconds=talk)}
    with dialing(tmp_path) as (provider, server, _):
        provider.place(request("a", **limits))
        form = server.vendor.starts[0].form()

    assert (form["Timeout"], form["TimeLimit"]) == sent


def test_a_campaigns_own_caller_id_is_used(tmp_path: Path):
    with dialing(tmp_path) as (provider, server, _):
        assert isinstance(provider.place(request("a", from_number=VERIFIED_NUMBER)), Accepted)
        assert server.vendor.starts[0].form()["From"] == VERIFIED_NUMBER


@each(
    "changes",
    [
        {"agent_id": "agent_of_another_vendor"},
        {"agent_id": "https://user:pw@a.example/"},
        {"agent_id": "https://[::1/x"},
        {"variables": {"name": "\udc80"}},
    ],
)
def test_a_request_that_cannot_be_written_is_refused_before_it_is_sent(tmp_path: Path, changes):
    with dialing(tmp_path) as (provider, server, _):
        answer = provider.place(request("a", **changes))

    assert isinstance(answer, Refused)
    assert answer.kind is RefusalKind.REFUSED
    assert server.vendor.starts == []


def test_an_api_key_signs_requests_and_the_token_stays_at_home(tmp_path: Path):
    with dialing(tmp_path, **WITH_API_KEY) as (provider, server, _):
        assert isinstance(provider.place(request("a")), Accepted)

    assert server.vendor.starts[0].headers["authorization"] == basic(API_KEY, API_SECRET)


DOCUMENTED = {
    "21211": (400, 21211, RefusalKind.INVALID_NUMBER),
    "21217": (400, 21217, RefusalKind.INVALID_NUMBER),
    "21214": (400, 21214, RefusalKind.INVALID_NUMBER),
    "21202": (400, 21202, RefusalKind.INVALID_NUMBER),
    "21215": (400, 21215, RefusalKind.REFUSED),
    "21216": (400, 21216, RefusalKind.REFUSED),
    "21210": (400, 21210, RefusalKind.HOLD),
    "21212": (400, 21212, RefusalKind.HOLD),
    "21219": (400, 21219, RefusalKind.HOLD),
    "21205": (400, 21205, RefusalKind.HOLD),
    "21609": (400, 21609, RefusalKind.HOLD),
    "a code split off later": (400, 29999, RefusalKind.REFUSED),
    "20003": (401, 20003, RefusalKind.HOLD),
    "10001": (403, 10001, RefusalKind.HOLD),
    "20005": (403, 20005, RefusalKind.HOLD),
    "20429": (429, 20429, RefusalKind.THROTTLED),
    "a code as text": (400, "21211", RefusalKind.INVALID_NUMBER),
}


@each(("status", "code", "kind"), DOCUMENTED.values(), ids=DOCUMENTED.keys())
def test_a_refusal_in_twilios_form_is_proof(tmp_path: Path, status: int, code: Any, kind: RefusalKind):
    message = f"No: {NUMBER}, +56 9 1234-5678, https://scripts.example.com/hello?name=Ana&to=912345678 {'x' * 500}"
    with dialing(tmp_path) as (provider, server, _):
        server.vendor.answer_starts = error(status, code, message, {"Retry-After": "7"})
        answer = provider.place(request("a"))

    assert isinstance(answer, Refused)
    assert answer.kind is kind
    assert answer.retry_after == (timedelta(seconds=7) if kind is RefusalKind.THROTTLED else None)
    assert str(code) in answer.reason
    assert len(answer.reason) <= 200
    assert not [part for part in (NUMBER, "12345678", "1234-5678", "Ana") if part in answer.reason]
    assert len(server.vendor.starts) == 1


HTML = "text/html"
PROVES_NOTHING = {
    "500": error(500, 20500, "Internal Server Error"),
    "503": error(503, 20503, "Service Unavailable"),
    "504 of a proxy": Reply(504, b"<html></html>", content_type=HTML),
    "408": error(408, 20408, "Request Timeout"),
    "400 of a proxy": Reply(400, b"<html>Bad Request</html>", content_type=HTML),
    "404 of a proxy": Reply(404, b"<html>no such page</html>", content_type=HTML),
    "404": error(404, 20404, "not found"),
    "401 of a proxy": Reply(401, b"<html>Unauthorized</html>", content_type=HTML),
    "401 of a proxy that says it is JSON": Reply(401, b"\xef\xbb\xbf \n<!DOCTYPE html>"),
    "403 of a proxy": Reply(403, b"Forbidden", content_type="Text/HTML; charset=utf-8"),
    "429 of a proxy": Reply(429, b"<html>slow down</html>", content_type=HTML),
    "400 without a code": Reply(400, {"message": "?", "status": 400}),
    "400 with a code in words": Reply(400, {"code": "invalid", "message": "?", "status": 400}),
    "400 with a code of no digits": Reply(400, {"code": "²¹²¹¹", "message": "?", "status": 400}),
    "400 with a code of thousands of digits": Reply(400, {"code": "9" * 5000, "message": "?", "status": 400}),
    "400 with a truth for a code": Reply(400, {"code": True, "message": "?", "status": 400}),
    "400 that says another status": Reply(400, {"code": 21211, "message": "?", "status": 500}),
    "400 with a list": Reply(400, [21211]),
    "redirect": Reply(307, None, {"Location": "/elsewhere"}),
    "2xx without a sid": Reply(201, {"status": "queued"}),
    "2xx with an empty sid": Reply(201, {"sid": "", "status": "queued"}),
    "2xx with a number for a sid": Reply(201, {"sid": 7}),
    "2xx with another thing's sid": Reply(201, {"sid": "SM" + "0" * 32}),
    "2xx with a list": Reply(200, [SID]),
    "2xx with nothing": Reply(204),
    "2xx with HTML": Reply(200, b"<html>Welcome</html>", content_type=HTML),
    "2xx with cut JSON": Reply(201, b'{"sid": "' + SID.encode()),
    "2xx nested too deep": Reply(200, b"[" * 100_000),
}


FOREIGN_NUMBERS = {
    21215: "country is not opened",
    21216: "may not call this number",
    21219: "trial account calls verified numbers only",
}


@each(("code", "words"), FOREIGN_NUMBERS.items())
def test_a_number_that_the_account_may_not_call_says_so_to_people(tmp_path: Path, code: int, words: str):
    with dialing(tmp_path) as (provider, server, _):
        server.vendor.answer_starts = error(400, code, "No. " + "x" * 500)
        answer = provider.place(request("a"))

    assert isinstance(answer, Refused)
    assert words in answer.reason
    assert str(code) in answer.reason


AS_TEXT = {"code": "21211", "message": "no", "status": "400"}
BY_STATUS_ALONE = {
    "code and status as text": (Reply(400, AS_TEXT), RefusalKind.INVALID_NUMBER),
    "401 in another form": (Reply(401, {"error": "unauthorized"}), RefusalKind.HOLD),
    "401 with a code as text": (Reply(401, {**AS_TEXT, "code": "20003", "status": "401"}), RefusalKind.HOLD),
    "401 that says nothing": (Reply(401), RefusalKind.HOLD),
    "403 in words": (Reply(403, b"Forbidden", content_type="text/plain"), RefusalKind.HOLD),
    "403 with a list": (Reply(403, [1]), RefusalKind.HOLD),
    "429 that says nothing": (Reply(429, None, {"Retry-After": "7"}), RefusalKind.THROTTLED),
    "429 in another form": (Reply(429, {"message": "slow down"}, {"Retry-After": "7"}), RefusalKind.THROTTLED),
}


@each(("reply", "kind"), BY_STATUS_ALONE.values(), ids=BY_STATUS_ALONE.keys())
def test_keys_and_pace_are_refused_by_the_status_alone(tmp_path: Path, reply: Reply, kind: RefusalKind):
    with dialing(tmp_path) as (provider, server, _):
        server.vendor.answer_starts = reply
        answer = provider.place(request("a"))

    assert isinstance(answer, Refused)
    assert answer.kind is kind
    assert answer.retry_after == (timedelta(seconds=7) if kind is RefusalKind.THROTTLED else None)
    assert "None" not in answer.reason


@each("answer", PROVES_NOTHING.values(), ids=PROVES_NOTHING.keys())
def test_what_proves_nothing_is_unanswered_and_asked_once(tmp_path: Path, answer: Reply):
    with dialing(tmp_path) as (provider, server, _):
        server.vendor.answer_starts = answer

        assert isinstance(provider.place(request("a")), Unanswered)
        assert len(server.vendor.starts) == 1


@each("fault", ["error_500", "error_502_after", "lose_answer", "reset_after_accept"])
def test_a_failing_start_is_exactly_one_request(tmp_path: Path, fault: str):
    with dialing(tmp_path) as (provider, server, _):
        misbehave(server, f"{fault}=1")

        assert isinstance(provider.place(request("a")), Unanswered)
        assert requests_made(server, "a") == 1


# --- what a call's end means

COMPLETED = {"status": "completed", "duration": "42", "end_time": rfc2822(NOON)}
ROWS = {
    "completed": (COMPLETED, Outcome.COMPLETED),
    "completed by a person": ({**COMPLETED, "answered_by": "human"}, Outcome.COMPLETED),
    "completed, nobody knows by whom": ({**COMPLETED, "answered_by": "unknown"}, Outcome.COMPLETED),
    "an empty word": ({**COMPLETED, "answered_by": ""}, Outcome.COMPLETED),
    "machine_start": ({**COMPLETED, "answered_by": "machine_start"}, Outcome.VOICEMAIL),
    "machine_end_beep": ({**COMPLETED, "answered_by": "machine_end_beep"}, Outcome.VOICEMAIL),
    "machine_end_silence": ({**COMPLETED, "answered_by": "machine_end_silence"}, Outcome.VOICEMAIL),
    "machine_end_other": ({**COMPLETED, "answered_by": "machine_end_other"}, Outcome.VOICEMAIL),
    "machine, as the resource has it": ({**COMPLETED, "answered_by": "machine"}, Outcome.VOICEMAIL),
    "a short machine": ({**COMPLETED, "answered_by": "machine_start", "duration": "2"}, Outcome.VOICEMAIL),
    "fax": ({**COMPLETED, "answered_by": "fax"}, Outcome.INVALID_NUMBER),
    "cut at once": ({**COMPLETED, "duration": "7"}, Outcome.HANG_UP),
    "cut at once by a person": ({**COMPLETED, "duration": "0", "answered_by": "human"}, Outcome.HANG_UP),
    "just long enough": ({**COMPLETED, "duration": "8"}, Outcome.COMPLETED),
    "of unknown length": ({**COMPLETED, "duration": None}, Outcome.COMPLETED),
    "busy": ({"status": "busy"}, Outcome.BUSY),
    "no-answer": ({"status": "no-answer"}, Outcome.NO_ANSWER),
    "canceled": ({"status": "canceled"}, Outcome.CANCELLED),
    "failed": ({"status": "failed"}, Outcome.FAILED),
    "a word nobody knows": ({"status": "evaporated", "end_time": rfc2822(NOON)}, Outcome.FAILED),
}


@each(("fields", "outcome"), ROWS.values(), ids=ROWS.keys())
def test_every_status_of_the_call_resource_is_read(tmp_path: Path, fields: Mapping[str, Any], outcome: Outcome):
    report = polled(tmp_path, **fields)

    assert (report.phase, report.outcome, report.refusal) == (Phase.ENDED, outcome, None)
    assert report.provider_status == fields["status"]
    assert report.is_final is (fields["status"] not in ("failed", "busy", "completed") or fields.get("duration") == "0")
    assert report.known_word is (fields["status"] != "evaporated")
    assert report.ended_at == NOON


@each(
    ("status", "phase"),
    [
        ("queued", Phase.DIALING), ("initiated", Phase.DIALING), ("ringing", Phase.RINGING),
        ("in-progress", Phase.ANSWERED),
    ],
)  # fmt: skip
def test_a_live_call_is_told_apart_from_its_end(tmp_path: Path, status: str, phase: Phase):
    report = polled(tmp_path, status=status, answered_by="machine_start")

    assert (report.phase, report.outcome, report.ended_at) == (phase, None, None)


SIP = {
    "busy 486": ("busy", "486", Outcome.BUSY),
    "busy 600": ("busy", "600", Outcome.BUSY),
    "busy 603": ("busy", "603", Outcome.HANG_UP),
    "busy 607": ("busy", "607", Outcome.HANG_UP),
    "busy 608": ("busy", "608", Outcome.HANG_UP),
    "busy 404": ("busy", "404", Outcome.BUSY),
    "busy without a code": ("busy", None, Outcome.BUSY),
    "no-answer 603": ("no-answer", "603", Outcome.NO_ANSWER),
    "canceled 487": ("canceled", "487", Outcome.CANCELLED),
    "failed 404": ("failed", "404", Outcome.INVALID_NUMBER),
    "failed 484": ("failed", "484", Outcome.INVALID_NUMBER),
    "failed 604": ("failed", "604", Outcome.INVALID_NUMBER),
    "failed 486": ("failed", "486", Outcome.BUSY),
    "failed 480": ("failed", "480", Outcome.NO_ANSWER),
    "failed 603": ("failed", "603", Outcome.HANG_UP),
    "failed 403": ("failed", "403", Outcome.FAILED),
    "failed 488": ("failed", "488", Outcome.FAILED),
    "failed 200": ("failed", "200", Outcome.FAILED),
    "failed with nonsense": ("failed", "-4", Outcome.FAILED),
    "failed without a code": ("failed", None, Outcome.FAILED),
}


@each(("status", "code", "outcome"), SIP.values(), ids=SIP.keys())
def test_the_networks_own_code_refines_a_callback(status: str, code: str | None, outcome: Outcome):
    report = read_back(offline(), CallStatus=status, SipResponseCode=code, CallDuration="0")

    assert (report.outcome, report.is_final) == (outcome, True)
    assert report.provider_status == status


@each(
    ("code", "outcome", "kind"),
    [
        ("13224", Outcome.INVALID_NUMBER, None),
        ("21214", Outcome.INVALID_NUMBER, None),
        ("13227", None, RefusalKind.REFUSED),
        ("32205", None, RefusalKind.REFUSED),
        ("21216", None, RefusalKind.REFUSED),
        ("10001", None, RefusalKind.HOLD),
        ("10004", None, RefusalKind.THROTTLED),
        ("32500", None, RefusalKind.OUTAGE),
        ("20503", None, RefusalKind.OUTAGE),
        ("99999", Outcome.FAILED, None),
    ],
)
def test_an_error_told_after_the_start_may_refuse_the_call_or_close_the_number(code, outcome, kind):
    report = read_back(offline(), CallStatus="failed", ErrorCode=code)

    assert report.outcome is outcome
    assert (report.refusal and report.refusal.kind) is kind
    assert report.refusal is None or code in report.refusal.reason


@each("code", ["500", "502", "503", "504", "580"])
def test_a_network_that_did_not_take_the_call_spends_nothing(code: str):
    report = read_back(offline(), CallStatus="failed", SipResponseCode=code, CallDuration="0")

    assert (report.phase, report.outcome, report.refusal.kind) == (Phase.ENDED, None, RefusalKind.OUTAGE)


@each(("queued", "kind"), [(23 * 3_600_000, RefusalKind.THROTTLED), (60_000, None), ("", None), (None, None)])
def test_a_call_that_twilios_queue_dropped_was_cancelled_by_nobody(tmp_path: Path, queued: Any, kind):
    report = polled(tmp_path, status="canceled", queue_time=queued)

    assert (report.refusal and report.refusal.kind) is kind
    assert report.outcome is (None if kind else Outcome.CANCELLED)


@each(
    ("codes", "outcome", "kind"),
    [
        ([], Outcome.FAILED, None),
        ([12100], Outcome.FAILED, None),
        ([12100, 13224], Outcome.INVALID_NUMBER, None),
        ([21217], Outcome.INVALID_NUMBER, None),
        ([32500], None, RefusalKind.OUTAGE),
    ],
)
def test_without_webhooks_what_twilio_noted_of_a_call_tells_why_it_failed(tmp_path: Path, codes, outcome, kind):
    with dialing(tmp_path, public=None) as (provider, server, _):
        server.vendor.script(SID, status="failed")
        server.vendor.notes[SID] = codes
        report = provider.poll([key("a", SID)], NOON)[SID]

    assert (report.phase, report.outcome) == (Phase.ENDED, outcome)
    assert (report.refusal and report.refusal.kind) is kind
    assert report.is_final is bool(codes)


@each("fields", [{"sip_response_code": "404"}, {"error_code": 13224}])
def test_a_code_in_the_call_itself_is_read_too(tmp_path: Path, fields: Mapping[str, Any]):
    assert polled(tmp_path, status="failed", **fields).outcome is Outcome.INVALID_NUMBER


def test_why_a_call_failed_is_awaited_from_its_webhook_for_a_moment(tmp_path: Path):
    with dialing(tmp_path) as (provider, server, _):
        server.vendor.script(SID, status="failed", end_time=rfc2822(NOON))
        early, late = (
            provider.poll([key("a", SID)], NOON + timedelta(seconds=wait))[SID] for wait in (19, 20)
        )

    assert (early.phase, early.outcome) == (Phase.DIALING, None)
    assert (late.phase, late.outcome) == (Phase.ENDED, Outcome.FAILED)


@each(
    ("fields", "cost", "unit", "final"),
    [
        ({"price": None}, None, None, False),
        ({"price": "-0.0140"}, Decimal("0.0140"), "usd", True),
        ({"price": "0.0140", "price_unit": "EUR"}, Decimal("0.0140"), "eur", True),
        ({"price": "0"}, Decimal(0), "usd", True),
        ({"price": "soon"}, None, None, False),
        ({"price": None, "duration": "0"}, None, None, True),
        ({"price": None, "status": "no-answer", "duration": None}, None, None, True),
        ({"price": -0.5, "price_unit": None}, Decimal("0.5"), None, True),
        ({"price": ["-1"], "price_unit": 7}, None, None, False),
    ],
)
def test_a_price_comes_late_is_signed_and_is_never_negative(tmp_path: Path, fields, cost, unit, final):
    report = polled(tmp_path, **{**COMPLETED, "answered_by": "human", **fields})

    assert (report.cost, report.cost_unit, report.is_final) == (cost, unit, final)


def test_a_completed_call_was_answered_as_long_ago_as_it_lasted(tmp_path: Path):
    report = polled(tmp_path, **COMPLETED)

    assert (report.talk_seconds, report.answered_at) == (42, NOON - timedelta(seconds=42))


def test_a_price_that_is_asked_for_again_is_there(tmp_path: Path):
    with dialing(tmp_path, mix="completed=1") as (provider, server, clock):
        call_id = placed(provider, "a")
        clock.advance(server.vendor.exchange._network.length("a"))
        first = poll(provider, call_id)
        clock.advance(timedelta(seconds=30))
        later = poll(provider, call_id)

    assert (first.cost, first.is_final) == (None, False)
    assert (later.cost_unit, later.is_final) == ("usd", True)
    assert later.cost is not None
    assert later.cost > 0


def test_numbers_and_secrets_are_not_in_what_is_kept_of_a_call(tmp_path: Path):
    report = polled(tmp_path, **COMPLETED, forwarded_from=NUMBER, to_formatted=NUMBER, caller_name=NUMBER)

    assert report.details["status"] == "completed"
    assert not [text for text in (NUMBER, OWN_NUMBER, *SECRETS) if text in json.dumps(report.details)]


# --- asking about many


def test_many_calls_are_asked_for_by_one_list_and_the_hidden_ones_singly(tmp_path: Path):
    with dialing(tmp_path, mix="completed=1") as (provider, server, _):
        ids = [placed(provider, f"a-{number}") for number in range(30)]
        for hidden in ids[:3]:
            server.vendor.overrides[hidden] = {"status": "queued", "start_time": None}
        reports = provider.poll([key(f"a-{at}", one) for at, one in enumerate(ids)], NOON)

    assert {one: reports[one].phase for one in ids[:4]} == dict(
        zip(ids, [Phase.DIALING, Phase.DIALING, Phase.DIALING, Phase.RINGING], strict=False)
    )
    assert reports.keys() == set(ids)
    assert server.vendor.asked == {"list": 1, "one": 3}


def test_few_calls_are_asked_for_singly(tmp_path: Path):
    with dialing(tmp_path) as (provider, server, _):
        ids = [placed(provider, f"a-{number}") for number in range(10)]
        assert len(provider.poll([key("a", one) for one in ids], NOON)) == 10

    assert server.vendor.asked == {"one": 10}


def test_calls_of_yesterday_are_in_the_list_and_older_ones_are_asked_for_singly(tmp_path: Path):
    with dialing(tmp_path) as (provider, server, _):
        ids = [sid(number) for number in range(12)]
        for at, call_id in enumerate(ids):
            days = {0: 1, 1: 3}.get(at, 0)
            server.vendor.script(call_id, status="completed", start_time=rfc2822(NOON - timedelta(days=days)))
        reports = provider.poll([key("a", one) for one in ids], NOON)

    assert reports.keys() == set(ids)
    assert server.vendor.asked == {"list": 1, "one": 1}


def test_a_poll_asks_singly_for_no_more_than_a_part_and_for_another_part_next_time(tmp_path: Path):
    with dialing(tmp_path) as (provider, server, _):
        ids = [sid(number) for number in range(MOST_SINGLE + 20)]
        for call_id in ids:
            server.vendor.script(call_id)  # queued, so not in a list by StartTime
        calls = [key("a", one) for one in ids]
        first = provider.poll(calls, NOON)
        second = provider.poll(calls, NOON)

    assert len(first) == len(second) == MOST_SINGLE
    assert first.keys() | second.keys() == set(ids)


def test_pages_are_followed_by_their_address(tmp_path: Path):
    with dialing(tmp_path) as (provider, server, _):
        wanted = [sid(number) for number in range(0, 1500, 100)]
        for number in range(1500):
            server.vendor.script(sid(number), status="ringing", start_time=rfc2822(NOON))
        reports = provider.poll([key("a", one) for one in wanted], NOON)

    assert reports.keys() == set(wanted)
    assert server.vendor.asked == {"list": 2}


@each(
    "elsewhere",
    ["https://evil.example/2010-04-01/", "//evil.example/x", "/2010-04-01/Accounts/ACother/Calls.json", 7,
     f"/2010-04-01/Accounts/{ACCOUNT_SID}/Calls.json?Page=\ud800", f"/2010-04-01/Accounts/{ACCOUNT_SID}/Calls.json\n"],
)
def test_a_page_elsewhere_is_never_asked_for(tmp_path: Path, elsewhere: object):
    with dialing(tmp_path) as (provider, server, _):
        server.vendor.answer_lists = Reply(200, {"calls": [], "next_page_uri": elsewhere})

        with pytest.raises(ProviderError, match="nothing that can be used"):
            provider.find(key("a"), NOON)
        assert server.vendor.asked == {"list": 1}


def test_a_list_without_an_end_is_left_to_people(tmp_path: Path):
    path = f"/2010-04-01/Accounts/{ACCOUNT_SID}/Calls.json?Page=1"
    with dialing(tmp_path) as (provider, server, _):
        server.vendor.answer_lists = Reply(200, {"calls": [], "next_page_uri": path})

        with pytest.raises(ProviderError) as told:
            provider.find(key("a"), NOON)
    assert told.value.permanent
    assert server.vendor.asked["list"] <= 6


def test_what_was_learnt_before_a_failure_is_kept(tmp_path: Path):
    with dialing(tmp_path) as (provider, server, _):
        server.vendor.script(sid(1), status="busy")
        server.vendor.scripted[sid(2)] = {"no": "call"}
        server.vendor.script(sid(3), status="busy")
        reports = provider.poll([key("a", sid(number)) for number in (1, 2, 3)], NOON)

    assert reports.keys() == {sid(1)}


def test_keys_that_are_not_taken_are_a_permanent_error(tmp_path: Path):
    with dialing(tmp_path, TWILIO_AUTH_TOKEN="wrong-token-000") as (provider, _, _):
        for question in (
            lambda: provider.poll([key("a", SID)], NOON), lambda: provider.find(key("a"), NOON),
            lambda: provider.hang_up(SID), provider.read_vitals,
        ):  # fmt: skip
            with pytest.raises(ProviderError) as told:
                question()
            assert told.value.permanent
            assert "wrong-token-000" not in str(told.value)
        refused = provider.place(request("a"))

    assert isinstance(refused, Refused)
    assert refused.kind is RefusalKind.HOLD


def test_a_page_of_a_proxy_does_not_say_that_a_call_is_gone(tmp_path: Path):
    with dialing(tmp_path) as (provider, server, _):
        server.vendor.handle = lambda asked: Reply(404, b"<html>Not Found</html>", content_type=HTML)
        with pytest.raises(ProviderError):
            provider.poll([key("a", SID)], NOON)
        with pytest.raises(ProviderError):
            provider.hang_up(SID)


# --- finding a call whose start went unanswered

MADE = rfc2822(NOON)


def found(
    tmp_path: Path, *rows: Mapping[str, Any], prepare: Callable[[Any], Any] = lambda provider: None, **changes: Any
):
    with dialing(tmp_path, **changes) as (provider, server, _):
        prepare(provider)
        for number, row in enumerate(rows, 1):
            server.vendor.script(sid(number), **{"date_created": MADE, **row})
        return provider.find(key("lost"), NOON)


ELSEWHERE: Mapping[str, Any] = {"public": None}
OVER = {"status": "completed", "duration": "9", "end_time": rfc2822(NOON + timedelta(seconds=9))}


@each(
    ("seconds", "is_it"),
    [(-6, False), (-5, True), (0, True), (60 + LIMIT, True), (60 + LIMIT + 1, False), (3600, False)],
)
def test_a_call_of_that_time_that_nothing_proves_is_left_to_people_where_calls_are_not_announced(
    tmp_path: Path, seconds: int, is_it: bool
):
    row = {"date_created": rfc2822(NOON + timedelta(seconds=seconds))}
    if not is_it:
        assert found(tmp_path, row, **ELSEWHERE) is None
        return
    with pytest.raises(ProviderError, match="calls resolve") as told:
        found(tmp_path, row, **ELSEWHERE)
    assert told.value.permanent
    assert NUMBER not in str(told.value)


def test_where_calls_are_announced_one_that_said_nothing_is_never_ours(tmp_path: Path):
    with dialing(tmp_path) as (provider, server, _):
        server.vendor.script(SID, date_created=MADE, status="in-progress")
        for status in ("queued", "ringing", "in-progress", "hovering"):
            server.vendor.scripted[SID]["status"] = status
            with pytest.raises(ProviderError, match="may announce itself yet") as told:
                provider.find(key("lost"), NOON + timedelta(hours=1))
            assert not told.value.permanent
        server.vendor.scripted[SID] |= OVER
        with pytest.raises(ProviderError, match="may announce itself yet"):
            provider.find(key("lost"), NOON + timedelta(seconds=68))

        assert provider.find(key("lost"), NOON + timedelta(seconds=69)) is None


@each("public", [PUBLIC, None])
def test_a_call_that_asked_our_script_for_our_reference_is_ours(tmp_path: Path, public: str | None):
    with dialing(tmp_path, public=public) as (provider, server, _):
        for number, ref in enumerate(("other", "lost", "third"), 1):
            server.vendor.script(sid(number), **{"date_created": MADE, **OVER})
            server.vendor.requests[sid(number)] = ["https://x.example/other", f"{SCRIPT}&ref={ref}"]
        report = provider.find(key("lost"), NOON)

    assert report is not None
    assert (report.call_id, report.attempt_ref, report.phase) == (sid(2), "lost", Phase.ENDED)


@each("asked", [["https://else.example/hello"], [f"{SCRIPT}&ref=another"]])
def test_a_call_that_asked_somebody_else_is_not_ours(tmp_path: Path, asked: list[str]):
    with dialing(tmp_path, **ELSEWHERE) as (provider, server, _):
        server.vendor.script(SID, **{"date_created": MADE, **OVER})
        server.vendor.requests[SID] = asked

        assert provider.find(key("lost"), NOON) is None


def test_what_was_asked_for_a_call_proves_nothing_where_the_script_is_told_no_reference(tmp_path: Path):
    with dialing(tmp_path, public=None, **WITH_APPLICATION) as (provider, server, _):
        server.vendor.script(SID, **{"date_created": MADE, **OVER})
        server.vendor.requests[SID] = ["https://else.example/hello"]
        with pytest.raises(ProviderError, match="nothing proves it"):
            provider.find(key("lost"), NOON)


def test_a_call_of_a_campaigns_application_is_left_to_people_where_others_are_announced(tmp_path: Path):
    with dialing(tmp_path) as (provider, server, _):
        server.vendor.script(SID, **{"date_created": MADE, **OVER})
        with pytest.raises(ProviderError, match="nothing proves it"):
            provider.find(replace(key("lost"), agent_id=APPLICATION), NOON + timedelta(hours=1))


@each("row", [{"direction": "inbound"}, {"direction": "outbound-dial"}, {"to": "+56987654321"}])
def test_other_calls_of_that_time_are_not_ours(tmp_path: Path, row):
    assert found(tmp_path, row) is None


@each("status", ["queued", "ringing"])
def test_a_call_that_a_list_hides_unless_asked_for_its_status_is_seen(tmp_path: Path, status: str):
    with dialing(tmp_path, **ELSEWHERE) as (provider, server, _):
        server.vendor.hides = frozenset({"queued", "ringing"})
        server.vendor.script(sid(1), status="completed", date_created=rfc2822(NOON - timedelta(hours=1)))
        server.vendor.script(sid(2), status=status, date_created=MADE)
        with pytest.raises(ProviderError, match="nothing proves it"):
            provider.find(key("lost"), NOON)


def test_none_is_said_only_after_the_queue_was_asked_for(tmp_path: Path):
    with dialing(tmp_path) as (provider, server, _):
        assert provider.find(key("lost"), NOON) is None
        assert server.vendor.asked == {"list": 3}


@each("status", ["queued", "ringing"])
def test_a_queue_that_cannot_be_read_proves_nothing(tmp_path: Path, status: str):
    with dialing(tmp_path) as (provider, server, _):
        answer = server.vendor.handle
        server.vendor.handle = lambda asked: (
            error(503, 20503, "no") if asked.query.get("Status") == status else answer(asked)
        )
        with pytest.raises(ProviderError):
            provider.find(key("lost"), NOON)


WITH_APPLICATION = {"TWILIO_TWIML_URL": None, "TWILIO_APPLICATION_SID": APPLICATION}


@each(
    ("settings_here", "proves"),
    [
        ({}, True),
        ({"public": None}, False),
        ({"TWILIO_API_KEY": API_KEY, "TWILIO_API_SECRET": API_SECRET}, True),
        ({"TWILIO_API_KEY": API_KEY, "TWILIO_API_SECRET": API_SECRET, "TWILIO_AUTH_TOKEN": None}, False),
        ({"TWILIO_API_KEY": API_KEY, "TWILIO_API_SECRET": API_SECRET, "TWILIO_AUTH_TOKEN": None,
          "TWILIO_WEBHOOK_KEY": WEBHOOK_KEY}, True),
        (WITH_APPLICATION, False),
        ({**WITH_APPLICATION, "TWILIO_MACHINE_DETECTION": "off"}, False),
    ],
)  # fmt: skip
def test_not_found_is_proof_only_where_every_call_is_announced_to_us(settings_here, proves: bool):
    assert offline(**settings_here).finds_by_ref is proves


def test_not_found_is_no_proof_once_a_campaign_dials_with_an_application(tmp_path: Path):
    with dialing(tmp_path) as (provider, _, _):
        provider.place(request("a", agent_id="https://a.example/x"))
        before = provider.finds_by_ref
        provider.place(request("b", agent_id=APPLICATION))

        assert (before, provider.finds_by_ref) == (True, False)


@each("date", [None, "soon", 7])
def test_a_call_whose_time_cannot_be_read_could_be_the_one(tmp_path: Path, date):
    with pytest.raises(ProviderError, match="nothing proves it"):
        found(tmp_path, {"date_created": date}, **ELSEWHERE)


def test_a_call_without_the_time_of_its_start_is_left_to_people(tmp_path: Path):
    with dialing(tmp_path) as (provider, server, _), pytest.raises(ProviderError) as told:
        provider.find(key("lost", placed_at=None), NOON)
    assert told.value.permanent
    assert server.vendor.asked == {}


def test_a_call_that_another_attempt_has_is_not_adopted(tmp_path: Path):
    with dialing(tmp_path) as (provider, _, clock):
        placed(provider, "other")
        assert provider.find(key("lost"), clock.now()) is None


def test_a_call_that_a_poll_knew_as_another_attempts_is_not_adopted(tmp_path: Path):
    assert found(tmp_path, {}, prepare=lambda provider: known_by_poll(provider, "other")) is None


def test_the_call_that_a_webhook_announced_is_the_one_among_several(tmp_path: Path):
    def announce(provider: Any) -> None:
        provider.receive(genuine({"CallSid": sid(2), "CallStatus": "initiated"}, url=f"{HOOK}?ref=lost"), NOON)

    report = found(tmp_path, {}, {}, {}, prepare=announce)

    assert report is not None
    assert report.call_id == sid(2)


def test_a_row_of_another_number_is_not_believed_whatever_was_asked_for(tmp_path: Path):
    with dialing(tmp_path) as (provider, server, _):
        row = server.vendor.script(SID, to="+56987654321")
        server.vendor.answer_lists = Reply(200, {"calls": [row]})
        assert provider.find(key("lost"), NOON) is None
        server.vendor.answer_lists = Reply(200, {"calls": [row | {"to": "+56 9 1234 5678"}]})
        with pytest.raises(ProviderError, match="may announce itself yet"):
            provider.find(key("lost"), NOON)


@each(
    "answer",
    [
        Reply(200, {"calls": None}), Reply(200, {"calls": [7]}), Reply(200, []), Reply(200, b"<html>"),
        Reply(200, {"calls": [{}]}), Reply(200, {"calls": [{"sid": SID, "status": None, "from": OWN_NUMBER}]}),
        Reply(404, b"<html>", content_type=HTML), error(404, 20404, "no"), error(429, 20429, "slow"),
    ],
)  # fmt: skip
def test_only_a_whole_list_proves_that_there_is_no_call(tmp_path: Path, answer: Reply):
    with dialing(tmp_path) as (provider, server, _):
        server.vendor.answer_lists = answer
        with pytest.raises(ProviderError):
            provider.find(key("lost"), NOON)


# --- hanging up


def test_a_call_that_is_answered_meanwhile_is_ended_all_the_same(tmp_path: Path):
    with dialing(tmp_path, mix="completed=1") as (provider, server, clock):
        call_id = placed(provider, "a")
        ring = server.vendor.exchange._network.fate("a").ring
        server.vendor.before_update = lambda call: clock.set(max(clock.now(), NOON + ring))

        assert provider.hang_up(call_id) is True
        assert poll(provider, call_id).provider_status == "completed"


def test_a_call_that_ends_meanwhile_was_over(tmp_path: Path):
    with dialing(tmp_path, mix="busy=1") as (provider, server, clock):
        call_id = placed(provider, "a")
        server.vendor.before_update = lambda call: clock.set(NOON + timedelta(hours=1))

        assert provider.hang_up(call_id) is False


def test_a_call_that_is_gone_when_it_is_to_be_ended_was_over(tmp_path: Path):
    with dialing(tmp_path) as (provider, server, _):
        server.vendor.script(SID, status="ringing")  # it can be seen, and not be changed

        assert provider.hang_up(SID) is False
        assert server.vendor.updates == []


@each(("wait", "word"), [(0, "canceled"), (6, "completed")])
def test_a_ringing_call_is_canceled_and_an_answered_one_completed(tmp_path: Path, wait: int, word: str):
    with dialing(tmp_path, mix="completed=1", talk=timedelta(seconds=60)) as (provider, server, clock):
        call_id = placed(provider, "a")
        clock.advance(timedelta(seconds=wait))
        assert provider.hang_up(call_id) is True
        assert server.vendor.updates == [word]
        assert poll(provider, call_id).provider_status == word


def test_a_call_whose_word_nobody_knows_can_be_ended(tmp_path: Path):
    with dialing(tmp_path, mix="completed=1", talk=timedelta(seconds=60)) as (provider, server, clock):
        call_id = placed(provider, "a")
        clock.advance(timedelta(seconds=6))
        server.vendor.overrides[call_id] = {"status": "hovering"}
        server.vendor.before_update = lambda call: server.vendor.overrides.clear()

        assert provider.hang_up(call_id) is True
        assert server.vendor.updates == ["completed"]


@each(("status", "is_taken"), [("queued", True), ("ringing", False), ("in-progress", False), ("completed", False)])
def test_a_call_is_taken_back_only_from_the_queue(tmp_path: Path, status: str, is_taken: bool):
    with dialing(tmp_path) as (provider, server, _):
        call_id = placed(provider, "a")
        server.vendor.overrides[call_id] = {"status": status}
        server.vendor.before_update = lambda call: server.vendor.overrides.clear()

        assert provider.take_back(call_id) is is_taken
        assert server.vendor.updates == (["canceled"] if is_taken else [])


# --- machines and scripts


def answered_by(provider: Any, call_id: str, who: str) -> None:
    provider.receive(genuine({"CallSid": call_id, "AnsweredBy": who}, url=f"{HOOK}?ref=a"), NOON)


@each(("who", "is_ended"), [("machine_start", True), ("machine_end_beep", True), ("fax", True), ("human", False),
                            ("unknown", False)])
def test_a_call_to_a_machine_is_ended_once(tmp_path: Path, who: str, is_ended: bool):
    with dialing(tmp_path, mix="completed=1", talk=timedelta(seconds=60)) as (provider, server, clock):
        call_id = placed(provider, "a")
        clock.advance(timedelta(seconds=6))
        for _ in range(2):
            answered_by(provider, call_id, who)
        poll(provider, call_id)
        provider.close()

        assert server.vendor.updates == (["completed"] if is_ended else [])


def test_without_webhooks_a_poll_ends_the_call_to_a_machine(tmp_path: Path):
    with dialing(tmp_path, mix="voicemail=1", talk=timedelta(seconds=60), public=None) as (provider, server, clock):
        call_id = placed(provider, "a")
        clock.advance(timedelta(seconds=6))
        live = poll(provider, call_id)
        over = poll(provider, call_id)

        assert (live.phase, server.vendor.updates) == (Phase.ANSWERED, ["completed"])
        assert (over.phase, over.outcome) == (Phase.ENDED, Outcome.VOICEMAIL)


@each(
    ("setting", "field", "value"),
    [
        ("https://a.example/leave", "Url", "https://a.example/leave?ref=a"),
        ("<Response><Say>Hola {{ref}}</Say></Response>", "Twiml", "<Response><Say>Hola a</Say></Response>"),
        ("continue", None, None),
    ],
)
def test_a_machine_may_be_given_something_else_to_hear(tmp_path: Path, setting: str, field: str | None, value: str):
    settings_here = {"TWILIO_ON_MACHINE": setting}
    with dialing(tmp_path, mix="completed=1", talk=timedelta(seconds=60), **settings_here) as (provider, server, clock):
        call_id = placed(provider, "a")
        clock.advance(timedelta(seconds=6))
        asked = []
        answer = server.vendor.handle
        server.vendor.handle = lambda request: (asked.append(request), answer(request))[1]
        answered_by(provider, call_id, "machine_start")
        provider.close()

    changes = [one.form() for one in asked if one.method == "POST"]
    assert changes == ([{field: value}] if field else [])


def test_an_end_that_could_not_be_asked_for_is_asked_for_at_the_next_poll(tmp_path: Path):
    with dialing(tmp_path, mix="voicemail=1", talk=timedelta(seconds=60), public=None) as (provider, server, clock):
        call_id = placed(provider, "a")
        clock.advance(timedelta(seconds=6))
        answer = server.vendor.handle
        server.vendor.handle = lambda asked: error(503, 20503, "no") if asked.method == "POST" else answer(asked)
        poll(provider, call_id)
        server.vendor.handle = answer
        poll(provider, call_id)

        assert server.vendor.updates == ["completed"]


def test_a_twiml_text_is_filled_in_with_what_is_known_and_escaped():
    text = "<Response><Say>{{name}}, {{ lead_id }} {{ref}} {{unknown}}</Say></Response>"
    form = offline(TWILIO_TWIML_URL=None, TWILIO_TWIML=text)._start_form(
        request("r-1", variables={"name": "Ana & <Co>"}, lead_id=7)
    )

    assert form["Twiml"] == "<Response><Say>Ana &amp; &lt;Co&gt;, 7 r-1 {{unknown}}</Say></Response>"


def test_a_twiml_text_that_its_variables_make_too_long_is_not_sent(tmp_path: Path):
    with dialing(tmp_path, TWILIO_TWIML_URL=None, TWILIO_TWIML="<Say>{{name}}</Say>") as (provider, server, _):
        answer = provider.place(request("a", variables={"name": "x" * 4000}))

        assert isinstance(answer, Refused)
        assert server.vendor.starts == []


def test_a_script_is_told_how_to_report_what_it_learnt():
    form = offline()._start_form(request("r-1", lead_id=7, campaign_id=3, variables={"ref": "mine", "lead_id": "mine"}))

    query = parse_qs(urlsplit(form["Url"]).query)
    assert (query["ref"], query["lead_id"], query["campaign_id"]) == (["r-1"], ["7"], ["3"])


# --- webhooks


def test_the_vector_of_the_vendors_own_documentation_is_genuine():
    form = "CallSid=CA1234567890ABCDE&Caller=%2B14158675309&Digits=1234&From=%2B14158675309&To=%2B18005551212"
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    provider = offline(TWILIO_AUTH_TOKEN="12345")

    assert refusal_of(provider, hook(form, "RSOYDt4T1cUTdK1PDd93/VVr8B8=", url=url)) == 400  # it names no account
    assert refusal_of(provider, hook(form, "RSOYDt4T1cUTdK1PDd93/VVr8B9=", url=url)) == 401
    assert refusal_of(provider, hook(form.replace("1234&", "1235&"), "RSOYDt4T1cUTdK1PDd93/VVr8B8=", url=url)) == 401
    assert refusal_of(provider, hook(form, "RSOYDt4T1cUTdK1PDd93/VVr8B8=", url=url[:-1])) == 401


def test_a_genuine_webhook_names_the_call_and_the_attempt():
    [event] = offline().receive(genuine({"CallStatus": "ringing", "SequenceNumber": "1"}), NOON)

    assert (event.call_id, event.attempt_ref, event.key) == (SID, "ref-1", f"{SID}:1")
    assert event.kind == "call ringing"
    assert event.payload["CallStatus"] == "ringing"
    assert NUMBER not in json.dumps(event.payload)


@each(
    ("signed", "called"),
    [
        ("https://a.example:443/webhooks/twilio?ref=1", "https://a.example/webhooks/twilio?ref=1"),
        ("https://a.example/webhooks/twilio?ref=1", "https://a.example:443/webhooks/twilio?ref=1"),
        ("http://a.example:80/webhooks/twilio", "http://a.example/webhooks/twilio"),
        ("https://a.example/webhooks/twilio?ref=1", "https://a.example:8443/webhooks/twilio?ref=1"),
        ("https://[2001:db8::1]:443/x", "https://[2001:db8::1]/x"),
        ("https://[2001:db8::1]/x", "https://[2001:db8::1]:443/x"),
    ],
)
def test_the_port_may_be_in_what_was_signed_or_not(signed: str, called: str):
    form = {"CallStatus": "ringing"}

    assert offline().receive(replace(genuine(form, url=signed), url=called), NOON)


@each(
    "called", ["https://b.example/webhooks/twilio?ref=1", "https://a.example/webhooks/twilio?ref=2", "https://[a", ""]
)
def test_another_address_was_not_signed(called: str):
    posted = replace(genuine({"CallStatus": "ringing"}, url="https://a.example/webhooks/twilio?ref=1"), url=called)

    assert refusal_of(offline(), posted) == 401


def test_repeated_and_empty_parameters_are_signed_sorted_and_once():
    pairs = [("Zone", ""), ("Digits", "2"), ("Digits", "1"), ("Digits", "2"), *common().items(), ("CallStatus", "busy")]
    text = f"{HOOK}?ref=ref-1" + "".join(name + value for name, value in sorted(set(pairs)))
    assert text.count("Digits") == 2

    assert offline().receive(hook(urlencode(pairs), signature(text)), NOON)


def test_one_changed_bit_anywhere_is_noticed():
    posted = genuine({"CallStatus": "busy", "SipResponseCode": "603"})
    provider = offline()
    for at in range(0, len(posted.body) * 8, 5):
        body = bytearray(posted.body)
        body[at // 8] ^= 1 << (at % 8)
        pairs = parse_qsl(bytes(body).decode("latin-1"), keep_blank_values=True)
        if sorted(set(pairs)) == sorted(set(parse_qsl(posted.body.decode(), keep_blank_values=True))):
            continue  # the case of a hexadecimal digit, or a plus for a space
        assert refusal_of(provider, replace(posted, body=bytes(body))) in (401,), at


@each(
    "headers",
    [
        {}, {"x-twilio-signature": ""}, {"x-twilio-signature": "AAAA"}, {"x-twilio-signature": "é" * 28},
        {"x-twilio-signature": "RSOYDt4T1cUTdK1PDd93/VVr8B8="},
    ],
)  # fmt: skip
def test_a_missing_or_wrong_signature_proves_nothing(headers):
    posted = genuine({"CallStatus": "busy"})

    assert refusal_of(offline(), replace(posted, headers={"content-type": FORM, **headers})) == 401


def test_a_secret_of_another_account_proves_nothing():
    assert refusal_of(offline(TWILIO_AUTH_TOKEN="another-token"), genuine({"CallStatus": "busy"})) == 401


def test_without_the_token_nothing_is_proven():
    provider = offline(TWILIO_AUTH_TOKEN=None, **WITH_API_KEY)

    assert refusal_of(provider, genuine({"CallStatus": "busy"}, token="")) == 401


def test_another_account_is_told_apart_from_a_forgery():
    assert refusal_of(offline(), genuine({"CallStatus": "busy", "AccountSid": "AC" + "9" * 32})) == 403


@each(
    ("age", "status"), [(timedelta(hours=24), None), (timedelta(hours=24, seconds=1), 401), (timedelta(days=-1), None)]
)
def test_a_webhook_of_long_ago_is_stale(age: timedelta, status: int | None):
    posted = genuine({"CallStatus": "busy", "Timestamp": rfc2822(NOON)})

    assert refusal_of(offline(), posted, NOON + age) == status


@each("form", [{}, {"Timestamp": "soon"}, {"Timestamp": ""}])
def test_a_webhook_without_a_readable_time_is_taken(form):
    assert refusal_of(offline(), genuine({"CallStatus": "busy", **form}), NOON + timedelta(days=9)) is None


def test_a_shared_key_signs_with_sha_256_where_it_is_set():
    posted = genuine({"CallStatus": "busy"}, token=WEBHOOK_KEY, digest="sha256")
    said = {**posted.headers, "x-twilio-webhooks-signature-settings": "key=webhooks_1,algorithm=HMAC_SHA256"}
    posted = replace(posted, headers=said)

    assert offline(TWILIO_WEBHOOK_KEY=WEBHOOK_KEY).receive(posted, NOON)
    assert refusal_of(offline(TWILIO_WEBHOOK_KEY="another"), posted) == 401
    assert refusal_of(offline(), posted) == 401


@each(
    ("settings_header", "status"),
    [("key=webhooks_1", None), ("", None), ("algorithm=HMAC_SHA1", None), ("algorithm=HMAC_MD5", 401), (",,=", None)],
)
def test_the_algorithm_is_the_one_that_is_named(settings_header: str, status: int | None):
    posted = genuine({"CallStatus": "busy"})
    headers = {**posted.headers, "x-twilio-webhooks-signature-settings": settings_header}

    assert refusal_of(offline(), replace(posted, headers=headers)) == status


def test_a_json_body_is_proven_by_its_hash_in_the_address():
    body = json.dumps({**common(), "CallStatus": "busy"})
    url = f"{HOOK}?ref=ref-1&bodySHA256={sha256(body.encode()).hexdigest()}"
    posted = hook(body, signature(url), url=url, content_type="application/json")
    provider = offline()

    [event] = provider.receive(posted, NOON)
    assert (event.call_id, event.attempt_ref) == (SID, "ref-1")
    assert refusal_of(provider, replace(posted, body=posted.body.replace(b"busy", b"bust"))) == 401
    assert refusal_of(provider, replace(posted, url=url.replace("ref-1", "ref-2"))) == 401
    assert refusal_of(provider, replace(posted, headers={**posted.headers, "content-type": FORM})) == 401


@each("body", ["", "7", "[]", "nonsense", "{", "null", "[" * 100_000])
def test_a_genuine_body_that_is_no_object_is_not_taken(body: str):
    url = f"{HOOK}?bodySHA256={sha256(body.encode()).hexdigest()}"

    assert refusal_of(offline(), hook(body, signature(url), url=url, content_type="application/json")) == 400


def test_a_body_of_another_kind_without_its_hash_is_not_taken():
    posted = hook(urlencode(common()), signature(f"{HOOK}?ref=ref-1"), content_type="text/plain")

    assert refusal_of(offline(), posted) == 401


@each(
    "form",
    [
        {"CallStatus": "completed", "Direction": "inbound"},
        {"CallStatus": "completed", "Direction": "outbound-dial"},
        {"CallStatus": "completed", "CallSid": "SM" + "0" * 32},
        {"RecordingSid": "RE1"},
        {"CallStatus": ""},
    ],
)
def test_what_is_not_about_a_call_of_ours_is_no_event(form):
    assert list(offline().receive(genuine(form), NOON)) == []


@each(("url", "ref"), [(HOOK, None), (f"{HOOK}?ref=", None), (f"{HOOK}?ref=a&ref=b", None)])
def test_a_webhook_without_one_reference_still_names_the_call(url: str, ref: str | None):
    [event] = offline().receive(genuine({"CallStatus": "busy"}, url=url), NOON)

    assert (event.attempt_ref, event.call_id) == (ref, SID)


def test_a_repeated_event_has_the_same_key_and_another_event_another():
    provider = offline()
    forms: list[dict[str, str]] = [
        {"CallStatus": "ringing", "SequenceNumber": "1"}, {"CallStatus": "in-progress", "SequenceNumber": "2"},
        {"CallStatus": "ringing"}, {"CallStatus": "completed"}, {"CallStatus": "completed", "AnsweredBy": "human"},
        {"AnsweredBy": "human"}, {"AnsweredBy": "machine_start"},
        {"AnsweredBy": "machine_start", "SequenceNumber": "1"} | DETECTED | {"CallStatus": "in-progress"},
        {"AnsweredBy": "machine_start", "SequenceNumber": "1"} | DETECTED | {"CallStatus": "completed"},
        {"CallStatus": "ringing", "SequenceNumber": "1", "CallSid": sid(7)},
    ]  # fmt: skip
    first, again = ([provider.receive(genuine(form), NOON)[0].key for form in forms] for _ in range(2))

    assert first == again
    assert len(set(first)) == len(forms)


def test_a_completed_callback_has_seconds_and_waits_for_its_price():
    report = read_back(
        offline(), CallStatus="completed", CallDuration="61", Duration="2", AnsweredBy="human",
        Timestamp=rfc2822(NOON), CallToken="xyz",
    )  # fmt: skip

    assert (report.phase, report.outcome, report.talk_seconds) == (Phase.ENDED, Outcome.COMPLETED, 61)
    assert (report.ended_at, report.answered_at) == (NOON, NOON - timedelta(seconds=61))
    assert (report.attempt_ref, report.is_final, report.cost) == ("ref-1", False, None)
    assert "xyz" not in json.dumps(report.details)


@each(
    ("answered_by", "outcome"),
    [
        ("machine_start", Outcome.VOICEMAIL), ("machine_end_beep", Outcome.VOICEMAIL),
        ("machine_end_silence", Outcome.VOICEMAIL), ("machine_end_other", Outcome.VOICEMAIL),
        ("fax", Outcome.INVALID_NUMBER), ("human", Outcome.COMPLETED), ("unknown", Outcome.COMPLETED),
    ],
)  # fmt: skip
def test_who_answered_is_read_from_a_callback(answered_by: str, outcome: Outcome):
    assert read_back(offline(), CallStatus="completed", CallDuration="20", AnsweredBy=answered_by).outcome is outcome


def test_a_completed_callback_that_does_not_say_who_answered_has_the_call_asked_about():
    told = {"CallStatus": "completed", "CallDuration": "20"}

    assert read(offline(), **told) is None
    assert read_back(offline(TWILIO_MACHINE_DETECTION="off"), **told).outcome is Outcome.COMPLETED


@each(
    ("status", "phase", "answered_at"),
    [
        ("queued", Phase.DIALING, None), ("initiated", Phase.DIALING, None), ("ringing", Phase.RINGING, None),
        ("in-progress", Phase.ANSWERED, NOON),
    ],
)  # fmt: skip
def test_a_callback_about_a_live_call_tells_how_far_it_is(status: str, phase: Phase, answered_at: datetime | None):
    report = read_back(offline(), CallStatus=status, Timestamp=rfc2822(NOON))

    assert (report.phase, report.answered_at, report.outcome) == (phase, answered_at, None)


DETECTED = {"MachineDetectionDuration": "1800"}
MACHINES = ("machine_start", "machine_end_beep", "machine_end_silence", "machine_end_other")
DETECTIONS = [*((word, Outcome.VOICEMAIL) for word in MACHINES), ("fax", Outcome.INVALID_NUMBER)]
ENDED_WITHOUT_A_WORD = {"CallStatus": "completed", "CallDuration": "20", "Timestamp": rfc2822(NOON)}


@each("word", ["human", "unknown"])
def test_a_detection_of_no_machine_says_that_somebody_answered(word: str):
    report = read_back(offline(), AnsweredBy=word, **DETECTED)

    assert (report.phase, report.outcome) == (Phase.ANSWERED, None)


@each(("word", "outcome"), DETECTIONS)
def test_a_detection_alone_does_not_end_a_call_that_may_go_on(word: str, outcome: Outcome):
    provider = offline()

    assert read(provider, AnsweredBy=word, **DETECTED) is None  # ask now
    live = read_back(provider, AnsweredBy=word, CallStatus="in-progress", **DETECTED)
    assert (live.phase, live.outcome) == (Phase.ANSWERED, None)
    over = read_back(provider, AnsweredBy=word, CallStatus="completed", **DETECTED)
    assert (over.phase, over.outcome) == (Phase.ENDED, outcome)


@each(("word", "outcome"), DETECTIONS)
def test_a_detection_is_remembered_until_the_callback_of_the_end(word: str, outcome: Outcome):
    provider = offline()
    read(provider, AnsweredBy=word, **DETECTED)

    assert read_back(provider, **ENDED_WITHOUT_A_WORD).outcome is outcome


@each("others", [0, 20])
@each(("word", "outcome"), DETECTIONS)
def test_a_detection_is_remembered_until_a_poll_sees_the_end(tmp_path: Path, word: str, outcome: Outcome, others: int):
    with dialing(tmp_path) as (provider, server, _):
        row = {**COMPLETED, "start_time": rfc2822(NOON), "price": "-0.01"}
        for number in range(others + 1):
            server.vendor.script(sid(number + 2), **row)
        server.vendor.script(SID, **row)
        calls = [key("a", SID), *(key("b", sid(number + 2)) for number in range(others))]
        before = provider.poll(calls, NOON)[SID]
        provider.receive(genuine({"AnsweredBy": word, **DETECTED}), NOON)  # kept by another process's inbox
        after = provider.poll(calls, NOON)[SID]

    assert (before.outcome, before.is_final) == (Outcome.COMPLETED, False)
    assert (after.outcome, after.is_final) == (outcome, True)


@each("said", ["human", "unknown"])
def test_a_machine_stays_one_whatever_else_is_said_and_in_whatever_order(tmp_path: Path, said: str):
    with dialing(tmp_path) as (provider, server, _):
        server.vendor.script(SID, **COMPLETED, answered_by=said)
        for word in ("machine_start", said):
            provider.receive(genuine({"AnsweredBy": word, **DETECTED}), NOON)

        assert poll(provider, SID).outcome is Outcome.VOICEMAIL
        assert read_back(provider, **ENDED_WITHOUT_A_WORD, AnsweredBy=said).outcome is Outcome.VOICEMAIL
    provider = offline()
    first = read_back(provider, **ENDED_WITHOUT_A_WORD, AnsweredBy=said)
    later = read_back(provider, AnsweredBy="machine_start", **DETECTED)
    assert (first.outcome, later.outcome) == (Outcome.COMPLETED, Outcome.VOICEMAIL)


@each(("word", "outcome"), DETECTIONS)
def test_a_detection_after_an_end_that_was_seen_tells_of_that_end(tmp_path: Path, word: str, outcome: Outcome):
    with dialing(tmp_path) as (provider, server, _):
        server.vendor.script(SID, **COMPLETED)
        poll(provider, SID)
        by_poll = read_back(provider, AnsweredBy=word, **DETECTED)
    provider = offline()
    assert read(provider, **ENDED_WITHOUT_A_WORD) is None
    by_callback = read_back(provider, AnsweredBy=word, **DETECTED)

    assert [(one.phase, one.outcome) for one in (by_poll, by_callback)] == [(Phase.ENDED, outcome)] * 2
    assert by_poll.provider_status == word
    assert (by_poll.attempt_ref, by_poll.is_final) == ("ref-1", False)


def test_a_late_detection_ends_no_call_that_nobody_answered():
    provider = offline()
    read_back(provider, CallStatus="no-answer")

    assert read(provider, AnsweredBy="machine_start", **DETECTED) is None


def test_without_detection_a_completed_call_needs_no_word_of_who_answered(tmp_path: Path):
    with dialing(tmp_path, TWILIO_MACHINE_DETECTION="off") as (provider, server, _):
        server.vendor.script(SID, **COMPLETED, price="-0.01")

        assert poll(provider, SID).is_final is True


def test_the_memory_of_detections_and_ends_is_bounded():
    memory = Memory()
    for number in range(MOST_CLAIMS + 2):
        memory.note_answer(sid(number), "human")
        memory.note_completed(sid(number))

    assert [memory.answered_by(sid(number)) for number in (1, 2, MOST_CLAIMS + 1)] == [None, "human", "human"]
    assert [memory.is_completed(sid(number)) for number in (1, 2, MOST_CLAIMS + 1)] == [False, True, True]


@each("sign", [{"CallDuration": "12"}, {"SipResponseCode": "487"}, {"ErrorCode": "32017"}])
def test_an_unknown_word_in_a_callback_is_a_failure_only_with_a_sign_of_an_end(sign: Mapping[str, str]):
    live, over = read_back(offline(), CallStatus="evaporated"), read_back(offline(), CallStatus="evaporated", **sign)

    assert (live.phase, live.outcome, live.known_word) == (Phase.DIALING, None, False)
    assert (over.outcome, over.known_word, over.provider_status) == (Outcome.FAILED, False, "evaporated")


@each("kind", ["completed", "no_answer", "busy", "hang_up", "voicemail", "failed", "invalid_number"])
def test_webhooks_in_any_order_and_twice_end_as_the_poll_does(tmp_path: Path, kind: str):
    with dialing(tmp_path, mix=f"{kind}=1") as (provider, server, clock):
        call_id = placed(provider, "a")
        clock.advance(timedelta(minutes=1))
        hooks = [build() for _, build in server.vendor.hooks_of(server.vendor.call_of(call_id))]
        events = {}
        for posted in [*reversed(hooks), *hooks]:
            for event in provider.receive(as_received(posted), clock.now()):
                events.setdefault(event.key, event)
        reports = [provider.read_event(event) for event in events.values()]
        ends = [report for report in reports if report is not None and report.phase is Phase.ENDED]
        end = poll(provider, call_id)

    assert len(events) == len(hooks)
    assert {report.attempt_ref for report in reports if report is not None} == {"a"}
    [told] = ends
    refined = {"failed": "failed", "invalid_number": "invalid_number", "hang_up": "hang_up"}.get(kind)
    assert told.outcome == (refined or end.outcome)  # a SIP code is told by callbacks alone
    assert (told.talk_seconds or 0, told.ended_at) == (end.talk_seconds or 0, end.ended_at)


def test_the_fake_posts_what_a_real_start_asked_for_and_signs_it(tmp_path: Path):
    with dialing(tmp_path, mix="voicemail=1") as (provider, server, clock):
        call = server.vendor.call_of(placed(provider, "a"))
        clock.advance(timedelta(minutes=1))
        names = [build().name for _, build in server.vendor.hooks_of(call)]

    assert names == ["initiated", "ringing", "answered", "completed", "amd"]


# --- keys


@each(
    ("missing", "named"),
    [
        ({"TWILIO_ACCOUNT_SID": None}, "TWILIO_ACCOUNT_SID is"),
        ({"TWILIO_FROM_NUMBER": None}, "TWILIO_FROM_NUMBER is"),
        ({"TWILIO_AUTH_TOKEN": None}, "TWILIO_AUTH_TOKEN is"),
        ({"TWILIO_API_KEY": API_KEY}, "TWILIO_API_SECRET is"),
        ({"TWILIO_API_SECRET": API_SECRET}, "TWILIO_API_KEY is"),
        ({"TWILIO_ACCOUNT_SID": None, "TWILIO_FROM_NUMBER": None, "TWILIO_AUTH_TOKEN": None},
         "TWILIO_ACCOUNT_SID, TWILIO_FROM_NUMBER, TWILIO_AUTH_TOKEN are"),
    ],
)  # fmt: skip
def test_missing_keys_are_named(missing, named):
    with pytest.raises(MissingKeys, match=named):
        offline(**missing)


@each(
    ("wrong", "named"),
    [
        ({"TWILIO_ACCOUNT_SID": AUTH_TOKEN}, "TWILIO_ACCOUNT_SID"),
        ({"TWILIO_API_KEY": AUTH_TOKEN, "TWILIO_API_SECRET": API_SECRET}, "TWILIO_API_KEY"),
        ({"TWILIO_FROM_NUMBER": "4155550100"}, "TWILIO_FROM_NUMBER"),
        ({"TWILIO_TWIML_URL": "scripts.example.com"}, "TWILIO_TWIML_URL"),
        ({"TWILIO_TWIML_URL": f"https://user:{AUTH_TOKEN}@a.example"}, "TWILIO_TWIML_URL"),
        ({"TWILIO_TWIML_URL": None}, "TWILIO_TWIML_URL.*exactly one"),
        ({"TWILIO_TWIML": "<Response/>"}, "TWILIO_TWIML.*exactly one"),
        ({"TWILIO_TWIML_URL": None, "TWILIO_TWIML": "<R>" + "x" * 4000}, "TWILIO_TWIML.*4000"),
        ({"TWILIO_TWIML_URL": None, "TWILIO_TWIML": "Hello"}, "TWILIO_TWIML"),
        ({"TWILIO_TWIML_URL": None, "TWILIO_APPLICATION_SID": "AP1"}, "TWILIO_APPLICATION_SID"),
        ({"TWILIO_MACHINE_DETECTION": "maybe"}, "TWILIO_MACHINE_DETECTION"),
        ({"TWILIO_BASE_URL": "http://api.twilio.com"}, "TWILIO_BASE_URL"),
        ({"TWILIO_BASE_URL": "http://169.254.169.254"}, "TWILIO_BASE_URL"),
    ],
)
def test_keys_of_a_wrong_shape_are_named_and_not_shown(wrong, named):
    with pytest.raises(InvalidValue, match=named) as told:
        offline(**wrong)
    assert AUTH_TOKEN not in str(told.value)


def test_nothing_shows_a_secret():
    provider = offline(TWILIO_WEBHOOK_KEY=WEBHOOK_KEY, **WITH_API_KEY)
    shown = repr(provider) + repr(provider._account) + repr(vars(provider))

    assert not [secret for secret in SECRETS if secret in shown]


def test_the_registry_knows_the_adapter_and_its_own_address_is_twilios():
    assert Twilio.name in KNOWN_PROVIDERS
    assert str(offline(TWILIO_BASE_URL=None)._client._client.base_url) == "https://api.twilio.com"


# --- the account


@each("status", ["suspended", "closed"])
def test_an_account_that_may_not_dial_is_a_problem(tmp_path: Path, status: str):
    with dialing(tmp_path) as (provider, server, _):
        server.vendor.account["status"] = status
        vitals = provider.read_vitals()
        found = provider.inspect([], [])

    assert vitals is not None
    assert status in (vitals.problem or "")
    assert [one for one in found if one.standing is Standing.PROBLEM and status in one.sentence]


def test_an_active_account_has_no_problem(tmp_path: Path):
    with dialing(tmp_path) as (provider, _, _):
        vitals = provider.read_vitals()
        found = provider.inspect([], [])

    assert vitals is not None
    assert vitals.problem is None
    assert {one.standing for one in found} == {Standing.OK}


def test_an_api_key_alone_may_not_read_the_account_and_may_dial(tmp_path: Path):
    with dialing(tmp_path, TWILIO_AUTH_TOKEN=None, **WITH_API_KEY) as (provider, _, _):
        assert provider.read_vitals() is None
        assert complaints(provider.inspect([], [])) == ["warning: TWILIO_AUTH_TOKEN"] * 2


def test_the_token_reads_the_account_beside_an_api_key(tmp_path: Path):
    with dialing(tmp_path, **WITH_API_KEY) as (provider, _, _):
        assert provider.read_vitals() is not None
        assert complaints(provider.inspect([], [])) == []


def test_wrong_keys_are_said_once(tmp_path: Path):
    with dialing(tmp_path, TWILIO_AUTH_TOKEN="wrong-token-000") as (provider, _, _):
        found = provider.inspect([], [])

    assert found[0].standing is Standing.PROBLEM
    assert "TWILIO_AUTH_TOKEN" in found[0].sentence
    assert "wrong-token-000" not in str(found)
    assert len(found) <= 2


def test_caller_ids_and_agents_of_campaigns_are_verified(tmp_path: Path):
    gone = "AP" + "9" * 32
    with dialing(tmp_path) as (provider, server, _):
        server.vendor.numbers["+14155550122"] = {"voice": False}
        found = provider.inspect(
            [APPLICATION, gone, "https://a.example/x?key=hidden", "agent_7"],
            [VERIFIED_NUMBER, "+14155550122", "+14155550133", "+1415555010"],
        )  # fmt: skip

    problems = sorted(one.sentence.split(" ")[0].strip("'") for one in found if one.standing is Standing.PROBLEM)
    assert problems == ["+1415555010", "+14155550122", "+14155550133", "agent", "agent_7"]
    assert [one.sentence for one in found if gone in one.sentence and one.standing is Standing.PROBLEM]
    assert "hidden" not in str(found)


def test_an_application_that_posts_elsewhere_is_warned_about(tmp_path: Path):
    with dialing(tmp_path, TWILIO_TWIML_URL=None, TWILIO_APPLICATION_SID=APPLICATION) as (provider, server, _):
        before = provider.inspect([], [])
        server.vendor.application["status_callback"] = HOOK
        after = provider.inspect([], [])

    assert [one.sentence for one in before if one.standing is Standing.WARNING and HOOK in one.sentence]
    assert complaints(after) == []


def test_without_a_public_address_nothing_is_said_of_an_applications_callback(tmp_path: Path):
    with dialing(
        tmp_path, public=None, TWILIO_TWIML_URL=None, TWILIO_APPLICATION_SID=APPLICATION
    ) as (provider, _, _):
        found = provider.inspect([], [])

    assert not [one for one in found if "callback" in one.sentence]


def test_trial_used_up_credit_and_a_missing_public_address_are_warned_about(tmp_path: Path):
    with dialing(tmp_path, public=None) as (provider, server, _):
        server.vendor.account["type"] = "Trial"
        server.vendor.balance = "-0.01"
        found = provider.inspect([], [])

    warned = " ".join(one.sentence for one in found if one.standing is Standing.WARNING)
    assert all(word in warned for word in ("trial", "balance", "RINGBACK_PUBLIC_URL"))
    assert not [one for one in found if one.standing is Standing.PROBLEM]


def test_a_public_host_that_twilio_would_not_post_to_is_a_problem(tmp_path: Path):
    with dialing(tmp_path, public="https://my_dialer.example.com") as (provider, _, _):
        found = provider.inspect([], [])

    assert [one for one in found if one.standing is Standing.PROBLEM and "underscore" in one.sentence]


def test_an_inspection_without_a_network_says_so():
    provider = offline(TWILIO_BASE_URL=NOWHERE)
    found = provider.inspect([APPLICATION], [VERIFIED_NUMBER])

    assert found
    assert {one.standing for one in found if "could not be verified" in one.sentence} == {Standing.WARNING}


# --- whatever is sent

LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30)
    | st.sampled_from(["completed", "busy", SID, ACCOUNT_SID, "9" * 400, "-5", "machine_start", rfc2822(NOON)])
)
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
ROW_FIELDS = (
    "sid", "status", "to", "from", "direction", "date_created", "date_updated", "end_time", "duration", "price",
    "price_unit", "answered_by",
)  # fmt: skip
FORM_FIELDS = (
    "CallSid", "AccountSid", "CallStatus", "AnsweredBy", "Timestamp", "CallDuration", "SipResponseCode", "ErrorCode",
    "SequenceNumber", "Direction",
)  # fmt: skip


def objects(names: tuple[str, ...]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from(names) | st.text(max_size=8), JSON, max_size=len(names))


@pytest.fixture(scope="module")
def garbage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, VendorServer]]:
    with dialing(tmp_path_factory.mktemp("garbage")) as (provider, server, _):
        yield provider, server


MANY = settings(max_examples=examples(20), suppress_health_check=[HealthCheck.function_scoped_fixture])


@MANY
@given(answer=st.one_of(JSON, objects((*ROW_FIELDS, "calls", "code", "message")), st.binary(max_size=40)),
       row=objects(ROW_FIELDS), status=st.sampled_from([200, 200, 201, 302, 400, 404, 429, 500]))  # fmt: skip
def test_no_answer_raises_anything_of_its_own(garbage, answer, row, status):
    provider, server = garbage
    server.vendor.answer_starts = Reply(status, answer if isinstance(answer, bytes) else json.dumps(answer).encode())
    server.vendor.scripted = {SID: row, sid(2): answer}
    server.vendor.answer_lists = Reply(status, {"calls": [row], "next_page_uri": None})
    calls = [key(f"a-{number}", sid(number)) for number in range(12)]

    assert isinstance(provider.place(request("garbage")), Accepted | Refused | Unanswered)
    for question in (
        lambda: provider.poll(calls[:3], NOON), lambda: provider.poll(calls, NOON),
        lambda: provider.find(key("lost"), NOON), lambda: provider.hang_up(SID), provider.read_vitals,
    ):  # fmt: skip
        try:
            question()
        except ProviderError as told:
            assert NUMBER not in str(told)
    assert all(isinstance(one, Inspection) for one in provider.inspect([], []))


@MANY
@given(fields=objects(FORM_FIELDS), body=st.binary(max_size=60), url=st.text(max_size=40), headers=st.dictionaries(
    st.sampled_from(["content-type", "x-twilio-signature", "x-twilio-webhooks-signature-settings"]),
    st.text(max_size=40)))  # fmt: skip
def test_no_webhook_raises_anything_but_a_refusal(garbage, fields, body, url, headers):
    provider, _ = garbage
    text = json.dumps(fields)
    address = f"{HOOK}?ref=a&bodySHA256={sha256(text.encode()).hexdigest()}"
    signed = hook(text, signature(address), url=address, content_type="application/json")
    as_form = genuine({name: str(value) for name, value in fields.items() if _is_plain(name + str(value))})
    for posted in (signed, as_form, Hook(url, headers, body), Hook(HOOK, headers, body)):
        try:
            events = provider.receive(posted, NOON)
        except HookRefused as told:
            assert told.status in (400, 401, 403)
        else:
            assert all(provider.read_event(event) is None or event.call_id for event in events)


@MANY
@given(fields=objects(FORM_FIELDS), status=st.sampled_from(["completed", "failed", "busy", "in-progress", "odd"]))
def test_no_stored_event_raises_when_it_is_read(garbage, fields, status):
    event = ProviderEvent("key", "call", {**fields, "CallStatus": status}, "a", SID)
    report = garbage[0].read_event(event)

    assert report is None or (report.outcome is not None or report.refusal is not None) is (report.phase is Phase.ENDED)


# --- helpers

KEYS = {
    "TWILIO_ACCOUNT_SID": ACCOUNT_SID,
    "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
    "TWILIO_FROM_NUMBER": OWN_NUMBER,
    "TWILIO_TWIML_URL": SCRIPT,
}
WITH_API_KEY = {"TWILIO_API_KEY": API_KEY, "TWILIO_API_SECRET": API_SECRET}


def offline(*, public: str | None = PUBLIC, timeout: timedelta = PATIENCE, **changes: str | None) -> Any:
    # Without TLS by default: reading the list of authorities takes longer than most of these tests.
    values = {name: text for name, text in {"TWILIO_BASE_URL": NOWHERE, **KEYS, **changes}.items() if text is not None}
    return open_provider(Keys(values), Wiring(places=8, request_timeout=timeout, public_url=public))


def adapter(server: VendorServer, **changes: Any) -> Any:
    return offline(TWILIO_BASE_URL=server.url, **changes)


@contextmanager
def serving(tmp_path: Path, **options: Any) -> Iterator[VendorServer]:
    server = open_vendor(FakeTwilio, tmp_path / "ledger", plan=HookPlan(), **options)
    loop = Thread(target=server.serve_forever, args=(0.005,), daemon=True)
    loop.start()
    try:
        yield server
    finally:
        server.stop()
        loop.join()


@contextmanager
def dialing(
    tmp_path: Path, *, mix: str = "completed=1", talk: timedelta = timedelta(seconds=30), **changes: Any
) -> Iterator[tuple[Any, Any, ManualClock]]:
    clock = ManualClock(NOON)
    with serving(tmp_path, clock=clock, mix=mix, talk=talk) as server:
        provider = adapter(server, **changes)
        try:
            yield provider, server, clock
        finally:
            provider.close()


def placed(provider: Any, attempt_ref: str) -> str:
    answer = provider.place(request(attempt_ref))
    assert isinstance(answer, Accepted)
    return answer.call_id


def poll(provider: Any, call_id: str) -> CallReport:
    return provider.poll([key("a", call_id)], NOON + timedelta(minutes=5))[call_id]


def polled(tmp_path: Path, **fields: Any) -> CallReport:
    with dialing(tmp_path) as (provider, server, _):
        server.vendor.script(SID, **fields)
        return poll(provider, SID)


def known_by_poll(provider: Any, attempt_ref: str) -> None:
    provider.poll([key(attempt_ref, sid(1))], NOON)


def sid(number: int) -> str:
    return f"CA{number:032x}"


def basic(user: str, password: str) -> str:
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


def signature(text: str, token: str = AUTH_TOKEN, digest: str = "sha1") -> str:
    return FakeTwilio.sign(None, text, (), token, digest)


def common() -> dict[str, str]:
    return {"CallSid": SID, "AccountSid": ACCOUNT_SID, "To": NUMBER, "From": OWN_NUMBER, "ToCity": ""}


def hook(body: str, signed: str, *, url: str = f"{HOOK}?ref=ref-1", content_type: str = FORM) -> Hook:
    return Hook(url, {"content-type": content_type, "x-twilio-signature": signed}, body.encode())


def genuine(
    form: Mapping[str, str], *, url: str = f"{HOOK}?ref=ref-1", token: str = AUTH_TOKEN, digest: str = "sha1"
) -> Hook:
    whole = {**common(), **form}
    return hook(urlencode(whole), FakeTwilio.sign(None, url, whole.items(), token, digest), url=url)


def as_received(posted: PostedHook) -> Hook:
    """What our web server hands on: the public address, header names in lower case."""
    headers = {name.lower(): value for name, value in posted.headers.items()}
    return Hook(PUBLIC + posted.path, headers, posted.body)


def read(provider: Any, **form: str | None) -> CallReport | None:
    told = {name: text for name, text in form.items() if text is not None}
    [event] = provider.receive(genuine(told), NOON)
    return provider.read_event(event)


def read_back(provider: Any, **form: str | None) -> CallReport:
    report = read(provider, **form)
    assert report is not None
    return report


def refusal_of(provider: Any, posted: Hook, now: datetime = NOON) -> int | None:
    try:
        provider.receive(posted, now)
    except HookRefused as told:
        assert NUMBER not in str(told)
        return told.status
    return None


def complaints(found: Any) -> list[str]:
    """Standing and the variable that is named, of everything that is not in order."""
    return [
        f"{one.standing}: {next((word.strip(':,') for word in one.sentence.split() if 'TWILIO_' in word), '')}"
        .removesuffix("too")
        for one in found if one.standing is not Standing.OK
    ]  # fmt: skip


def _is_plain(text: str) -> bool:
    return text.isprintable() and text.encode("utf-8", "ignore").decode() == text
