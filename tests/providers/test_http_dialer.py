from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from scheduler.clock import ManualClock
from scheduler.config import Keys
from scheduler.errors import InvalidValue, MissingKeys, ProviderError
from scheduler.model import Outcome
from scheduler.providers.base import (
    Accepted,
    CallReport,
    Hook,
    HookRefused,
    Phase,
    ProviderEvent,
    RefusalKind,
    Refused,
    Standing,
    Unanswered,
    Wiring,
)
from scheduler.providers.http_client import Answer
from scheduler.providers.http_dialer import (
    MOST_POLLED,
    POLL_PATIENCE,
    HttpDialer,
    open_provider,
    read_account,
    read_report,
    read_start_answer,
    sign,
)
from scheduler.providers.network import WORDS
from tests.each import each
from tests.examples import examples
from tests.providers.contract import LONG_AFTER, NOON, NUMBER, Line, ProviderContract, key, poll_one, request
from tests.providers.fakes.http_dialer import ACCOUNT, SECRET, TOKEN
from tests.providers.fakes.http_dialer import HttpDialer as FakeDialer
from tests.providers.fakes.vendor import (
    Reply,
    VendorServer,
    calls_made,
    misbehave,
    open_vendor,
    requests_made,
)
from tests.providers.test_simulator_http import closed_port

PATIENCE = timedelta(seconds=30)
IMPATIENCE = timedelta(seconds=0.3)
SHORT = timedelta(seconds=8)
FIND = "/calls?attempt_ref={attempt_ref}"
ENDED = "2026-03-02T12:00:30+00:00"
ANSWERED = "2026-03-02T12:00:10+00:00"
HOOK_URL = "https://calls.example.com/webhooks/http"
on_one_server = partial(each, anew=lambda fixtures: fixtures["server"].vendor.forget_script())


class TestHttpDialerKeepsTheContract(ProviderContract):
    many = MOST_POLLED

    @pytest.fixture
    def line(self, tmp_path: Path) -> Iterator[Line]:
        with line_to(tmp_path, HTTP_DIALER_FIND_URL=FIND) as line:
            yield line


class TestHttpDialerWithoutLookUpKeepsTheContract(ProviderContract):
    """As most dialers are at first: nobody can ask them for a reference."""

    many = 20
    finds = False
    proves = False
    test_a_found_call_can_be_followed_by_its_id = None
    test_phases_only_go_forward_and_reach_the_end = None  # no other than above, and it asks 2400 times

    @pytest.fixture
    def line(self, tmp_path: Path) -> Iterator[Line]:
        with line_to(tmp_path) as line:
            yield line

    def test_a_lookup_that_fails_proves_nothing(self, line: Line) -> None:
        line.misbehave("lookup_error=1")

        with pytest.raises(ProviderError) as failed:
            line.provider.poll([key("hidden", "hd-hidden")], line.clock.now())
        assert not failed.value.permanent


# --- the start request, as the dialer gets it


def test_a_start_has_the_three_old_fields_the_new_ones_and_the_reference_as_a_header(server: VendorServer):
    with dialer(server, public_url="https://calls.example.com") as provider:
        provider.place(request(
            "ref-1", campaign_id=3, lead_id=42, agent_id="sofia", from_number="+56221234567",
            variables={"nombre": "Ana", "deuda": Decimal("12.50"), "vip": True, "nota": None},
        ))  # fmt: skip
        (asked,) = server.vendor.starts

    assert asked.method == "POST"
    assert asked.target == "/calls/originate"
    assert json.loads(asked.body) == {
        "campaign_id": 3,
        "contact_id": 42,
        "phone_number": NUMBER,
        "attempt_ref": "ref-1",
        "ring_timeout": 30,
        "max_duration": 300,
        "variables": {"nombre": "Ana", "deuda": "12.50", "vip": "true"},
        "from_number": "+56221234567",
        "agent_id": "sofia",
        "webhook_url": HOOK_URL,
    }
    assert asked.headers["authorization"] == f"Bearer {TOKEN}"
    assert asked.headers["idempotency-key"] == "ref-1"
    assert asked.headers["content-type"] == "application/json"


def test_what_is_not_known_is_left_out_and_spans_are_whole_seconds_of_at_least_one(tmp_path: Path):
    with serving(tmp_path, token=None) as server, dialer(server, HTTP_DIALER_TOKEN="") as provider:
        provider.place(request("r", ring_timeout=timedelta(0), max_duration=timedelta(seconds=59.2)))
        (asked,) = server.vendor.starts

    body = json.loads(asked.body)
    assert (body["ring_timeout"], body["max_duration"]) == (1, 60)
    assert not body.keys() & {"from_number", "agent_id", "webhook_url"}
    assert "authorization" not in asked.headers


@each("path", ["", "/", "/dialer/v1", "/dialer/v1/"])
def test_a_base_address_may_have_a_path(tmp_path: Path, path: str):
    with serving(tmp_path, prefix=path) as server, dialer(server, HTTP_DIALER_URL=server.url + path) as provider:
        call_id = provider.place(request("a")).call_id
        assert provider.poll([key("a", call_id)], NOON)[call_id].phase is Phase.RINGING
        assert provider.hang_up(call_id)


def test_a_reference_with_odd_letters_goes_into_the_header_encoded(server: VendorServer):
    with dialer(server, HTTP_DIALER_FIND_URL=FIND) as provider:
        provider.place(request("a/b?c=d&e #ñ"))
        found = provider.find(key("a/b?c=d&e #ñ"), NOON)
        (asked,) = server.vendor.starts

    assert asked.headers["idempotency-key"] == "a%2Fb%3Fc%3Dd%26e%20%23%C3%B1"
    assert found is not None
    assert found.attempt_ref == "a/b?c=d&e #ñ"


def test_variables_that_are_no_text_are_refused_before_anything_is_sent(server: VendorServer):
    circle: list[Any] = []
    circle.append(circle)
    with dialer(server) as provider:
        answer = provider.place(request("r", variables={"circle": circle}))

    assert isinstance(answer, Refused)
    assert answer.kind is RefusalKind.REFUSED
    assert server.vendor.starts == []


# --- the three answers

ACCEPTED = {
    "call_id": (201, {"call_id": "c-1"}, "c-1"),
    "call_id in 200": (200, {"call_id": "c-1", "status": "queued"}, "c-1"),
    "202": (202, {"call_id": "c-1"}, "c-1"),
    "callId": (200, {"callId": "c-1"}, "c-1"),
    "call_sid": (200, {"call_sid": "c-1"}, "c-1"),
    "id": (200, {"id": "c-1"}, "c-1"),
    "uuid": (200, {"uuid": "c-1"}, "c-1"),
    "a whole number": (200, {"id": 4711}, "4711"),
    "under data": (200, {"data": {"call_id": "c-1"}}, "c-1"),
    "under call": (200, {"call": {"id": 7}}, "7"),
    "the surest name": (200, {"id": "row-9", "uuid": "u", "call_id": "c-1"}, "c-1"),
    "a call below before an id above": (200, {"id": "request-9", "data": {"call_id": "c-1"}}, "c-1"),
    "said to be right": (200, {"success": True, "ok": 1, "status": "success", "call_id": "c-1"}, "c-1"),
    "a failed call is a call": (200, {"call_id": "c-1", "status": "failed"}, "c-1"),
    "our own reference": (200, {"call_id": "c-1", "attempt_ref": "ref-1"}, "c-1"),
    "409 with the call": (409, {"error": "exists", "call_id": "c-1"}, "c-1"),
    "409 with success false": (409, {"success": False, "call": {"id": "c-1"}}, "c-1"),
    "409 with our reference": (409, {"call_id": "c-1", "attempt_ref": "ref-1"}, "c-1"),
}


@each(("status", "body", "call_id"), ACCEPTED.values(), ids=ACCEPTED.keys())
def test_a_success_with_an_id_is_accepted(status: int, body: object, call_id: str):
    assert read(status, body) == Accepted(call_id)


DOCUMENTED = {
    "success false": (200, {"success": False, "message": "no line"}, RefusalKind.REFUSED),
    "ok false": (200, {"ok": False, "error": "no line"}, RefusalKind.REFUSED),
    "status error": (200, {"status": "error", "message": "no line"}, RefusalKind.REFUSED),
    "false as text": (200, {"success": "false"}, RefusalKind.REFUSED),
    "false with an empty id": (200, {"success": False, "call_id": None}, RefusalKind.REFUSED),
    "success false, bad number": (200, {"success": False, "error": "invalid_number"}, RefusalKind.INVALID_NUMBER),
    "success false, barred": (200, {"success": False, "error": "do_not_call"}, RefusalKind.DO_NOT_CALL),
    "success false, too fast": (200, {"success": False, "error": "throttled"}, RefusalKind.THROTTLED),
    "success false, no credit": (200, {"success": False, "code": "no_credit"}, RefusalKind.HOLD),
    "400 invalid": (400, {"error": "invalid_number"}, RefusalKind.INVALID_NUMBER),
    "404 invalid": (404, {"error": "invalid_number"}, RefusalKind.INVALID_NUMBER),
    "422 invalid": (422, {"error": "invalid_number"}, RefusalKind.INVALID_NUMBER),
    "422 with a code inside": (422, {"error": {"code": "INVALID-NUMBER"}}, RefusalKind.INVALID_NUMBER),
    "422 of FastAPI": (422, {"detail": "invalid_number"}, RefusalKind.INVALID_NUMBER),
    "403 invalid is of the account": (403, {"error": "invalid_number"}, RefusalKind.HOLD),
    "418 invalid closes nothing": (418, {"error": "invalid_number"}, RefusalKind.REFUSED),
    "400 barred": (400, {"error": "do_not_call"}, RefusalKind.DO_NOT_CALL),
    "403 barred": (403, {"error": "do_not_call"}, RefusalKind.DO_NOT_CALL),
    "422 barred": (422, {"error_code": "do_not_call"}, RefusalKind.DO_NOT_CALL),
    "451 barred": (451, {"error": "do_not_call"}, RefusalKind.DO_NOT_CALL),
    "401": (401, {"error": "unauthorized"}, RefusalKind.HOLD),
    "401 with nothing to say": (401, {}, RefusalKind.HOLD),
    "401 barred is of the account": (401, {"error": "do_not_call"}, RefusalKind.HOLD),
    "402": (402, {"message": "no credit"}, RefusalKind.HOLD),
    "403": (403, {"detail": "Forbidden"}, RefusalKind.HOLD),
    "400 no credit": (400, {"error": "no_credit"}, RefusalKind.HOLD),
    "400 suspended": (400, {"error": "suspended"}, RefusalKind.HOLD),
    "400 hold": (400, {"error": "hold"}, RefusalKind.HOLD),
    "429": (429, {"error": "throttled"}, RefusalKind.THROTTLED),
    "429 with an empty object": (429, {}, RefusalKind.THROTTLED),
    "400 rate limited": (400, {"error": "rate_limited"}, RefusalKind.THROTTLED),
    "400 error": (400, {"error": "campaign is closed"}, RefusalKind.REFUSED),
    "400 message": (400, {"message": "campaign is closed"}, RefusalKind.REFUSED),
    "422 detail": (422, {"detail": [{"loc": ["body"], "msg": "field required"}]}, RefusalKind.REFUSED),
    "404 of a framework": (404, {"detail": "Not Found"}, RefusalKind.REFUSED),
    "405": (405, {"detail": "Method Not Allowed"}, RefusalKind.REFUSED),
    "400 success false": (400, {"success": False}, RefusalKind.REFUSED),
    "400 with the id of the error": (400, {"error": "closed", "id": "err-1"}, RefusalKind.REFUSED),
}


@each(("status", "body", "kind"), DOCUMENTED.values(), ids=DOCUMENTED.keys())
def test_a_refusal_in_the_dialers_own_json_is_proof(status: int, body: object, kind: RefusalKind):
    answer = read(status, body)

    assert isinstance(answer, Refused)
    assert answer.kind is kind


PROVES_NOTHING = {
    "500": (500, {"error": "invalid_number"}),
    "502 of a proxy": (502, b"<html>Bad Gateway</html>"),
    "503": (503, {"error": "throttled"}),
    "504": (504, {"success": False}),
    "408": (408, {"error": "refused"}),
    "409 without a call": (409, {"error": "conflict"}),
    "409 with a bare id": (409, {"error": "conflict", "id": "err-1"}),
    "409 with the call of another": (409, {"call_id": "c-9", "attempt_ref": "ref-9"}),
    "409 of a proxy": (409, b"<html>Conflict</html>"),
    "400 of a proxy": (400, b"<html>Bad Request</html>"),
    "400 with a list": (400, ["invalid_number"]),
    "400 with a word": (400, "invalid_number"),
    "400 without a reason": (400, {"trace": "abc"}),
    "400 with an empty reason": (400, {"error": None, "message": ""}),
    "400 with a call": (400, {"error": "busy", "call_id": "c-1"}),
    "422 with a call below": (422, {"error": "invalid_number", "call": {"id": "c-1"}}),
    "401 of a proxy": (401, b"Unauthorized"),
    "403 of a proxy": (403, b"<html>Forbidden</html>"),
    "404 of a proxy": (404, b"<html>Not Found</html>"),
    "429 of a proxy": (429, b"slow down"),
    "429 with a call": (429, {"error": "throttled", "call_id": "c-1"}),
    "redirect": (307, {"call_id": "c-1"}),
    "304": (304, b""),
    "2xx with nothing": (204, b""),
    "2xx without id": (201, {"status": "queued"}),
    "2xx with only an error": (200, {"error": "no line"}),
    "2xx with an empty id": (201, {"call_id": ""}),
    "2xx with a blank id": (201, {"call_id": "  "}),
    "2xx with 0": (201, {"call_id": 0}),
    "2xx with a negative id": (201, {"call_id": -1}),
    "2xx with a fraction": (201, {"call_id": 1.5}),
    "2xx with true": (201, {"call_id": True}),
    "2xx with a list for an id": (201, {"call_id": ["c-1"]}),
    "2xx with an id too long to keep": (201, {"call_id": "c" * 129}),
    "2xx with an id that is a path": (201, {"call_id": ".."}),
    "2xx with a line end in the id": (201, {"call_id": "c\n1"}),
    "2xx with an id two levels below": (201, {"data": {"call": {"call_id": "c-1"}}}),
    "2xx with the call of another": (201, {"call_id": "c-9", "attempt_ref": "ref-9"}),
    "2xx, a call and a failure": (200, {"success": False, "call_id": "c-1"}),
    "2xx, an error and an id": (200, {"status": "error", "id": 7}),
    "2xx with a list": (200, [{"call_id": "c-1"}]),
    "2xx with HTML": (200, b"<html>welcome</html>"),
    "2xx with cut JSON": (200, b'{"call_id": "c-1'),
    "2xx with bad bytes": (200, b'{"call_id": "\xff\xfe"}'),
    "2xx nested too deep": (200, b"[" * 100_000),
    "2xx with a number too long": (200, b'{"call_id": ' + b"9" * 5000 + b"}"),
}


@each(("status", "body"), PROVES_NOTHING.values(), ids=PROVES_NOTHING.keys())
def test_what_proves_nothing_is_unanswered(status: int, body: object):
    assert isinstance(read(status, body), Unanswered)


@each(
    ("status", "headers", "body", "wait"),
    [
        (429, {"Retry-After": "7"}, {"error": "throttled"}, 7),
        (429, {"Retry-After": "7"}, b"slow down", 7),
        (429, {"Retry-After": "soon"}, b"slow down", None),
        (429, {}, {"error": "throttled"}, None),
        (400, {"Retry-After": "7"}, {"error": "rate_limited"}, 7),
        (400, {"Retry-After": "7"}, {"error": "closed"}, None),
    ],
)
def test_a_refusal_for_speed_says_how_long(status: int, headers: dict[str, str], body: object, wait: int | None):
    answer = read(status, body, headers)

    assert isinstance(answer, Refused)
    assert answer.retry_after == (None if wait is None else timedelta(seconds=wait))


@on_one_server("status", [500, 502, 408, 409, 307])
def test_a_start_without_proof_is_one_request_over_the_wire(server: VendorServer, status: int):
    with dialer(server) as provider:
        server.vendor.start_reply = Reply(status, {"error": "x"}, {"Location": f"{server.url}/calls/originate"})
        answer = provider.place(request("once"))

    assert isinstance(answer, Unanswered)
    assert len(server.vendor.starts) == 1


def test_a_start_that_meets_an_internal_error_is_sent_once(tmp_path: Path):
    with serving(tmp_path, faults="error_500=1") as server, dialer(server) as provider:
        assert isinstance(provider.place(request("once")), Unanswered)

    assert requests_made(server, "once") == 1


def test_a_dialer_that_is_not_there_is_never_sent():
    provider = open_dialer(f"http://127.0.0.1:{closed_port()}")

    answer = provider.place(request("a"))

    provider.close()
    assert isinstance(answer, Refused)
    assert answer.kind is RefusalKind.NEVER_SENT


def test_a_wrong_token_holds_the_account(server: VendorServer):
    with dialer(server, HTTP_DIALER_TOKEN="another") as provider:
        answer = provider.place(request("a"))
        with pytest.raises(ProviderError) as failed:
            provider.poll([key("a", "hd-a")], NOON)

    assert isinstance(answer, Refused)
    assert answer.kind is RefusalKind.HOLD
    assert failed.value.permanent


@on_one_server(
    "text",
    [
        f"cannot call {NUMBER}",
        "cannot call 56912345678 now",
        "cannot call +56 9 1234 5678",
        "cannot call (569) 1234-5678",
        f"the token {TOKEN} is not known",
    ],
)
def test_a_reason_repeats_neither_number_nor_token(server: VendorServer, text: str):
    with dialer(server) as provider:
        server.vendor.start_reply = Reply(400, {"error": text + "!" * 1000})
        answer = provider.place(request("a"))

    assert isinstance(answer, Refused)
    assert "refused with 400" in answer.reason
    assert len(answer.reason) <= 200
    for part in (TOKEN, "12345678", "1234 5678", "1234-5678"):
        assert part not in answer.reason


# --- what a call came to

PHASES = {
    "queued": Phase.DIALING,
    "dialing": Phase.DIALING,
    "dialling": Phase.DIALING,
    "Initiated": Phase.DIALING,
    "pending": Phase.DIALING,
    "ringing": Phase.RINGING,
    "RINGING": Phase.RINGING,
    "answered": Phase.ANSWERED,
    "in_progress": Phase.ANSWERED,
    "in-progress": Phase.ANSWERED,
    "In Progress": Phase.ANSWERED,
    "inProgress": Phase.ANSWERED,
    "connected": Phase.ANSWERED,
    "on hold": Phase.ANSWERED,
}


@each(("word", "phase"), PHASES.items())
def test_a_live_word_is_a_phase(word: str, phase: Phase):
    report = translate({"status": word})

    assert (report.phase, report.outcome, report.refusal, report.known_word) == (phase, None, None, True)
    assert report.provider_status == word


OUTCOMES = {
    "completed": Outcome.COMPLETED,
    "Completed": Outcome.COMPLETED,
    "complete": Outcome.COMPLETED,
    "ended": Outcome.FAILED,
    "Finished": Outcome.FAILED,
    "done": Outcome.FAILED,
    "terminated": Outcome.FAILED,
    "disconnected": Outcome.FAILED,
    "expired": Outcome.FAILED,
    "timeout": Outcome.NO_ANSWER,
    "timed_out": Outcome.NO_ANSWER,
    "no_answer": Outcome.NO_ANSWER,
    "no-answer": Outcome.NO_ANSWER,
    "NO ANSWER": Outcome.NO_ANSWER,
    "noAnswer": Outcome.NO_ANSWER,
    "unanswered": Outcome.NO_ANSWER,
    "busy": Outcome.BUSY,
    "user-busy": Outcome.BUSY,
    "hang_up": Outcome.HANG_UP,
    "hangup": Outcome.HANG_UP,
    "rejected": Outcome.HANG_UP,
    "declined": Outcome.HANG_UP,
    "voicemail": Outcome.VOICEMAIL,
    "answering_machine": Outcome.VOICEMAIL,
    "machine": Outcome.VOICEMAIL,
    "failed": Outcome.FAILED,
    "invalid_number": Outcome.INVALID_NUMBER,
    "invalid-number": Outcome.INVALID_NUMBER,
    "do_not_call": Outcome.DO_NOT_CALL,
    "DNC": Outcome.DO_NOT_CALL,
    "cancelled": Outcome.CANCELLED,
    "canceled": Outcome.CANCELLED,
    "callback": Outcome.CALLBACK,
}


@each(("word", "outcome"), OUTCOMES.items())
def test_a_last_word_is_an_outcome(word: str, outcome: Outcome):
    report = translate({"status": word})

    assert (report.phase, report.outcome, report.refusal, report.known_word) == (Phase.ENDED, outcome, None, True)
    assert report.provider_status == word


OVER = ["ended", "Finished", "done", "terminated", "disconnected", "expired", "timeout", "timed-out"]


@each("word", OVER)
@each("told", [{"answered_at": ANSWERED}, {"duration": 12}, {"duration": "12.5"}])
def test_a_word_that_only_says_over_is_a_talk_when_somebody_answered(word: str, told: dict[str, Any]):
    report = translate({"status": word, **told})

    assert (report.phase, report.outcome, report.known_word) == (Phase.ENDED, Outcome.COMPLETED, True)
    assert report.provider_status == word
    cut = {"hangup_by": "callee", "ended_at": "2026-03-02T12:00:12Z", **told, "duration": 2}
    assert translate({"status": word, **cut}).outcome is Outcome.HANG_UP


@each("told", [{"duration": 0}, {"duration": -3}, {"duration": "x"}, {"ended_at": ENDED}, {}])
def test_a_word_that_only_says_over_is_a_failure_when_nobody_answered(told: dict[str, Any]):
    assert translate({"status": "ended", **told}).outcome is Outcome.FAILED
    assert translate({"status": "ended", "sip_code": 486, **told}).outcome is Outcome.BUSY
    assert translate({"status": "done", "cause": 19, **told}).outcome is Outcome.NO_ANSWER


DECIDED = {
    "busy": Outcome.BUSY, "NO ANSWER": Outcome.NO_ANSWER, "voicemail": Outcome.VOICEMAIL, "timeout": Outcome.NO_ANSWER,
    "invalid_number": Outcome.INVALID_NUMBER, "dnc": Outcome.DO_NOT_CALL, "completed": Outcome.COMPLETED,
    "ANSWERED": Outcome.COMPLETED, "success": Outcome.COMPLETED, "failed": Outcome.FAILED, "error": Outcome.FAILED,
    "canceled": Outcome.CANCELLED, "callback": Outcome.CALLBACK, "rejected": Outcome.HANG_UP,
}  # fmt: skip


@each("name", ["outcome", "result", "disposition"])
@each("word", ["ended", "finished", "timeout", "error", "success"])
@each(("told", "outcome"), DECIDED.items())
def test_an_outcome_beside_a_word_that_only_says_over_decides(word: str, name: str, told: str, outcome: Outcome):
    report = translate({"status": word, name: told, "ended_at": ENDED})

    assert (report.phase, report.outcome, report.known_word) == (Phase.ENDED, outcome, True)
    assert report.provider_status == f"{word}/{told}"


@each("told", ["sold", "ringing", "", None, 7, ["busy"], {"word": "busy"}, "ended"])
def test_an_outcome_that_is_no_last_word_decides_nothing(told: Any):
    report = translate({"status": "ended", "outcome": told, "result": "busy"})

    assert (report.outcome, report.provider_status) == (Outcome.BUSY, "ended/busy")
    assert translate({"status": "ended", "outcome": told}).outcome is Outcome.FAILED
    assert translate({"status": "ended", "outcome": told, "duration": 9}).outcome is Outcome.COMPLETED


def test_an_outcome_beside_a_word_that_says_more_changes_nothing():
    assert translate({"status": "completed", "result": "failed", "duration": 60}).outcome is Outcome.COMPLETED
    assert translate({"status": "ringing", "result": "busy"}).phase is Phase.RINGING
    assert translate({"status": "no_answer", "disposition": "answered"}).outcome is Outcome.NO_ANSWER


def test_an_account_that_could_not_dial_may_say_so_beside_its_last_word():
    report = translate({"status": "ended", "outcome": "no_credit"})

    assert report.outcome is None
    assert report.refusal is not None
    assert report.refusal.kind is RefusalKind.HOLD


@each(("word", "outcome"), [("error", Outcome.FAILED), ("success", Outcome.COMPLETED)])
def test_a_word_that_is_said_of_requests_too_is_an_end_with_a_sign_of_one(word: str, outcome: Outcome):
    live, talking = translate({"status": word}), translate({"status": word, "answered_at": ANSWERED})
    over = translate({"status": word, "ended_at": ENDED})

    assert (live.phase, live.outcome, live.known_word) == (Phase.DIALING, None, True)
    assert talking.phase is Phase.ANSWERED
    assert (over.phase, over.outcome, over.known_word) == (Phase.ENDED, outcome, True)
    assert translate({"status": "error", "duration": 0, "sip_code": 486}).outcome is Outcome.BUSY
    assert translate({"status": word, "duration": 30}).outcome is outcome
    assert translate({"status": word, "result": "busy"}).outcome is Outcome.BUSY
    for unsure in ("answered", "timeout", "error", "success", "ended"):
        assert translate({"status": word, "result": unsure}).phase is Phase.DIALING


@each(
    ("word", "kind"),
    [
        ("throttled", RefusalKind.THROTTLED),
        ("rate_limited", RefusalKind.THROTTLED),
        ("Rate-Limited", RefusalKind.THROTTLED),
        ("no_credit", RefusalKind.HOLD),
        ("suspended", RefusalKind.HOLD),
    ],
)
def test_a_call_that_was_never_dialed_is_a_refusal_unless_it_was_answered(word: str, kind: RefusalKind):
    never = translate({"status": word, "ended_at": ENDED})
    cut = translate({"status": word, "ended_at": ENDED, "answered_at": ANSWERED})

    assert (never.phase, never.outcome) == (Phase.ENDED, None)
    assert never.refusal is not None
    assert never.refusal.kind is kind
    assert (cut.outcome, cut.refusal) == (Outcome.FAILED, None)


@each(
    "sign_of_end",
    [{"ended_at": ENDED}, {"hangup_by": "callee"}, {"cause": 16}, {"sip_code": 487}, {"duration": 7},
     {"duration": "7.5"}],
)
def test_an_unknown_word_with_a_sign_of_an_end_is_a_failure_and_is_kept(sign_of_end: dict[str, Any]):
    report = translate({"status": "Swallowed by whale", **sign_of_end})

    assert (report.phase, report.outcome, report.known_word) == (Phase.ENDED, Outcome.FAILED, False)
    assert report.provider_status == "Swallowed by whale"


def test_an_unknown_word_without_a_sign_of_an_end_is_no_end():
    early, late = translate({"status": "warming up"}), translate({"status": "warming up", "answered_at": ANSWERED})

    assert (early.phase, early.outcome, early.known_word) == (Phase.DIALING, None, False)
    assert (late.phase, late.known_word) == (Phase.ANSWERED, False)


@each(
    "told",
    [{"duration": "soon"}, {"duration": -1}, {"duration": True}, {"duration": 0}, {"duration": 9, "ended_at": None},
     {"ended_at": "", "hangup_by": "", "cause": 0, "sip_code": 0}, {"result": "busy"}],
)  # fmt: skip
def test_a_field_that_every_document_has_is_no_sign_of_an_end(told: dict[str, Any]):
    assert translate({"status": "speaking slowly", **told}).phase is Phase.DIALING


@each(
    ("told", "outcome"),
    [
        ({"sip_code": 404}, Outcome.INVALID_NUMBER),
        ({"sip_code": "486"}, Outcome.BUSY),
        ({"sip_code": 603, "cause": 16}, Outcome.HANG_UP),
        ({"sip_code": 480}, Outcome.NO_ANSWER),
        ({"sip_code": 200, "cause": 19}, Outcome.NO_ANSWER),
        ({"cause": 1}, Outcome.INVALID_NUMBER),
        ({"cause": "17"}, Outcome.BUSY),
        ({"cause": 21}, Outcome.HANG_UP),
        ({"cause": 127}, Outcome.FAILED),
        ({"sip_code": 503, "duration": 4}, Outcome.FAILED),
        ({"cause": "NORMAL_CLEARING"}, Outcome.FAILED),
        ({}, Outcome.FAILED),
        ({"sip_code": 404, "answered_at": ANSWERED}, Outcome.FAILED),
        ({"cause": 17, "duration": 12}, Outcome.FAILED),
    ],
)
def test_a_failure_that_nobody_answered_is_refined_by_the_networks_code(told: dict[str, Any], outcome: Outcome):
    report = translate({"status": "failed", "ended_at": ENDED, **told})

    assert (report.outcome, report.refusal, report.known_word) == (outcome, None, True)


@each("told", [{"sip_code": 500}, {"sip_code": "503", "cause": 17}, {"cause": 34}, {"cause": "38"}, {"cause": 42}])
def test_a_network_that_could_not_be_passed_is_an_outage(told: dict[str, Any]):
    report = translate({"status": "failed", "ended_at": ENDED, **told})

    assert (report.outcome, report.refusal and report.refusal.kind) == (None, RefusalKind.OUTAGE)


@each("word", ["congestion", "CHANUNAVAIL", "no_route", "network-error", "outage", "provider unavailable"])
def test_a_word_for_a_trunk_in_trouble_is_an_outage_where_nobody_answered(word: str):
    never, cut = translate({"status": word}), translate({"status": word, "answered_at": ANSWERED})

    assert (never.outcome, never.refusal and never.refusal.kind) == (None, RefusalKind.OUTAGE)
    assert (cut.outcome, cut.refusal) == (Outcome.FAILED, None)


@each("told", [{"sip_code": 403}, {"sip_code": 407, "cause": 21}, {"cause": 52}])
def test_a_trunk_that_was_turned_away_holds_the_account(told: dict[str, Any]):
    report = translate({"status": "failed", "ended_at": ENDED, **told})

    assert report.outcome is None
    assert report.refusal is not None
    assert report.refusal.kind is RefusalKind.HOLD


@each(
    ("told", "outcome"),
    [
        ({"hangup_by": "callee", "duration": 7}, Outcome.HANG_UP),
        ({"hangup_by": "Customer", "duration": "7.9"}, Outcome.HANG_UP),
        ({"hangup_by": "callee", "duration": 0}, Outcome.HANG_UP),
        ({"hangup_by": "callee", "duration": 8}, Outcome.COMPLETED),
        ({"hangup_by": "agent", "duration": 2}, Outcome.COMPLETED),
        ({"duration": 2}, Outcome.COMPLETED),
        ({"hangup_by": "callee"}, Outcome.COMPLETED),
        ({"hangup_by": "callee", "answered_at": "2026-03-02T12:00:27Z"}, Outcome.HANG_UP),
        ({"hangup_by": "callee", "answered_at": ANSWERED}, Outcome.COMPLETED),
        ({"hangup_by": 7, "duration": 2}, Outcome.COMPLETED),
    ],
)
def test_a_talk_that_the_callee_cut_short_is_a_hang_up(told: dict[str, Any], outcome: Outcome):
    assert translate({"status": "completed", "ended_at": ENDED, **told}).outcome is outcome


def test_the_agents_notes_make_a_callback_an_appointment_or_a_wish_not_to_be_called():
    callback = translate({"status": "completed", "variables": {"callback_at": "2026-03-05 10:30"}})
    top = translate({"status": "callback", "callback_at": "2026-03-05T10:30:00-03:00"})
    plain = translate({"status": "callback"})
    booked = translate({"status": "completed", "appointment_at": "2026-03-06T15:00:00-03:00"})
    barred = translate({"status": "completed", "variables": {"no_llamar": "sí", "callback_at": "2026-03-05 10:30"}})

    assert (callback.outcome, callback.callback_at, callback.callback_zone) == (
        Outcome.CALLBACK, datetime(2026, 3, 5, 10, 30), None,  # noqa: DTZ001  # the lead's wall time
    )  # fmt: skip
    assert (top.callback_at, top.callback_zone) == (datetime(2026, 3, 5, 13, 30), "UTC")  # noqa: DTZ001
    assert (plain.outcome, plain.callback_at) == (Outcome.CALLBACK, None)
    assert booked.outcome is Outcome.COMPLETED
    assert booked.appointment_at == datetime(2026, 3, 6, 18, 0, tzinfo=UTC)
    assert barred.outcome is Outcome.DO_NOT_CALL


@each("told", [{"status": "voicemail"}, {"status": "ended", "outcome": "machine", "duration": 20}])
def test_a_machine_books_nothing_and_asks_for_nothing(told: dict[str, Any]):
    found = {"callback_at": "2026-03-05 10:30", "appointment_at": "2026-03-06 10:30", "do_not_call": True}

    report = translate({**told, **found, "answered_at": ANSWERED, "variables": found})

    assert report.outcome is Outcome.VOICEMAIL
    assert (report.callback_at, report.callback_zone, report.appointment_at) == (None, None, None)


@each("word", ["no_answer", "voicemail", "busy", "failed", "rejected", "cancelled"])
def test_notes_on_a_call_without_a_conversation_change_nothing(word: str):
    told = {"status": word, "variables": {"callback_at": "2026-03-05 10:30", "do_not_call": True}}

    report = translate(told)

    assert report.outcome is translate({"status": word}).outcome
    assert (report.callback_at, report.appointment_at) == (None, None)


def test_an_end_has_its_times_length_price_and_summary():
    report = translate({
        "status": "completed", "answered_at": ANSWERED, "ended_at": "2026-03-02T13:00:30+01:00", "duration": 19,
        "cost": "0.25", "cost_unit": "usd", "summary": " All well. ",
    })  # fmt: skip

    assert report.answered_at == NOON + timedelta(seconds=10)
    assert report.ended_at == NOON + timedelta(seconds=30)
    assert (report.talk_seconds, report.cost, report.cost_unit) == (19, Decimal("0.25"), "usd")
    assert report.summary == "All well."
    assert report.is_final


def test_values_of_wrong_types_are_as_good_as_none():
    report = translate({
        "status": "completed", "answered_at": 12, "ended_at": ["x"], "duration": -3, "cost": "much", "cost_unit": 7,
        "summary": {"a": 1}, "appointment_at": True, "callback_at": 5, "variables": "none",
    })  # fmt: skip

    assert report.outcome is Outcome.COMPLETED
    assert (report.answered_at, report.ended_at, report.talk_seconds) == (None, None, None)
    assert (report.cost, report.cost_unit, report.summary, report.callback_at) == (None, None, None, None)


def test_details_hold_the_document_without_secrets_and_numbers():
    report = translate({
        "status": "completed", "phone_number": NUMBER, "to": NUMBER, "trunk": {"api_key": "k-secret", "name": "main"},
        "recording_url": "https://x.example/r?sig=s-secret", "link": "https://x.example/a?sig=s-secret",
    })  # fmt: skip

    kept = json.dumps(report.details)
    assert "secret" not in kept.replace("api_key", "")
    assert NUMBER not in kept
    assert report.details["trunk"] == {"api_key": "(left out)", "name": "main"}
    assert report.details["link"] == "https://x.example/a"


# --- polling over the wire


def test_a_poll_reads_the_documents_that_dialers_write(server: VendorServer):
    documents: Mapping[str, Any] = {
        "bare": {"call_id": "bare", "status": "ringing"},
        "number": {"id": 4711, "status": "ringing"},
        "by-call": {"call": {"call_id": "by-call", "status": "ringing"}},
        "by-data": {"status": "success", "data": {"id": "by-data", "status": "ringing"}},
        "two-names": {"id": 17, "uuid": "two-names", "status": "ringing"},
        "by-ref": {"attempt_ref": "by-ref", "status": "ringing"},
    }
    with dialer(server) as provider:
        server.vendor.scripted |= {"4711": documents["number"], **documents}
        keys = [key(name, "4711" if name == "number" else name) for name in documents]
        reports = provider.poll(keys, NOON)

    assert reports.keys() == {one.call_id for one in keys}
    assert {report and report.phase for report in reports.values()} == {Phase.RINGING}
    assert {report and report.attempt_ref for report in reports.values()} == set(documents)


@on_one_server(
    "told",
    [
        {"call_id": "another", "status": "completed"},
        {"call_id": "c-1", "attempt_ref": "another", "status": "completed"},
        {"status": "completed"},
        {"call_id": "c-1"},
        {"call_id": "c-1", "status": None},
        {"call_id": "c-1", "status": "completed", "success": False},
        {"status": "error", "message": "the database is away"},
        [{"call_id": "c-1", "status": "completed"}],
        Reply(200, b"<html></html>", content_type="text/html"),
        Reply(404, b"<html>no such page</html>", content_type="text/html"),
        Reply(500, {"call_id": "c-1", "status": "completed"}),
        Reply(302, {"call_id": "c-1", "status": "completed"}),
    ],
)
def test_an_answer_that_is_not_about_the_call_teaches_nothing(server: VendorServer, told: Any):
    with dialer(server) as provider:
        server.vendor.scripted |= {"c-1": told, "c-2": {"call_id": "c-2", "status": "busy"}}
        assert provider.poll([key("r-1", "c-1"), key("r-2", "c-2")], NOON).keys() == {"c-2"}
        with pytest.raises(ProviderError) as failed:
            provider.poll([key("r-1", "c-1")], NOON)

    assert not failed.value.permanent


def test_an_error_named_by_the_call_itself_is_no_end_without_a_sign_of_one(server: VendorServer):
    with dialer(server) as provider:
        server.vendor.scripted["c-1"] = {"call_id": "c-1", "status": "error"}
        live = provider.poll([key("r", "c-1")], NOON)["c-1"]
        server.vendor.scripted["c-1"] = {"call_id": "c-1", "status": "error", "ended_at": ENDED}
        over = provider.poll([key("r", "c-1")], NOON)["c-1"]

    assert live is not None
    assert over is not None
    assert (live.phase, over.phase, over.outcome) == (Phase.DIALING, Phase.ENDED, Outcome.FAILED)


def test_a_missing_call_needs_json_to_be_missing(server: VendorServer):
    with dialer(server) as provider:
        server.vendor.scripted["a"] = Reply(404, {"detail": "Call not found"})
        server.vendor.scripted["b"] = Reply(404, b"nothing here", content_type="text/plain")
        assert provider.poll([key("a", "a"), key("b", "b")], NOON) == {"a": None}


def test_a_poll_asks_about_a_bounded_number_and_every_call_gets_its_turn(server: VendorServer):
    with dialer(server) as provider:
        keys = [key(f"r-{number}", f"c-{number}") for number in range(MOST_POLLED + 20)]
        first, second = provider.poll(keys, NOON), provider.poll(keys, NOON)

    assert len(first) == len(second) == MOST_POLLED
    assert first.keys() != second.keys()


def test_a_poll_gives_up_on_a_dialer_that_answers_nonsense(tmp_path: Path):
    with serving(tmp_path, faults="lookup_error=1") as server, dialer(server) as provider:
        with pytest.raises(ProviderError):
            provider.poll([key(f"r-{number}", f"c-{number}") for number in range(100)], NOON)

        assert POLL_PATIENCE <= server.vendor.asked["status"] < 30


def test_a_poll_gives_up_on_a_dialer_that_is_silent():
    provider = open_dialer(f"http://127.0.0.1:{closed_port()}")

    with pytest.raises(ProviderError, match="without an answer"):
        provider.poll([key(f"r-{number}", f"c-{number}") for number in range(100)], NOON)
    provider.close()


def test_every_fate_of_the_network_comes_through_the_dialers_words(tmp_path: Path):
    expected = {kind: (kind, True) for kind in WORDS} | {"mystery": ("failed", False)}
    clock = ManualClock(NOON)
    told = {}
    for kind in WORDS:
        (tmp_path / kind).mkdir()
        with serving(tmp_path / kind, clock=clock, mix=f"{kind}=1") as server, dialer(server) as provider:
            call_id = provider.place(request(kind)).call_id
            clock.advance(LONG_AFTER)
            report = provider.poll([key(kind, call_id)], clock.now())[call_id]
        told[kind] = (str(report.outcome), report.known_word)

    assert told == expected


def test_a_status_address_of_ones_own_is_asked(tmp_path: Path):
    with serving(tmp_path) as server:
        for template in ("{base}/calls/{call_id}", f"{server.url}/calls/{{call_id}}", "/calls/{call_id}?full=1"):
            with dialer(server, HTTP_DIALER_STATUS_URL=template) as provider:
                call_id = provider.place(request(template)).call_id
                assert provider.poll([key(template, call_id)], NOON)[call_id].phase in (Phase.DIALING, Phase.RINGING)


def test_an_id_is_put_into_the_address_as_one_part(server: VendorServer):
    with dialer(server) as provider:
        server.vendor.scripted["a/../b?c"] = {"call_id": "a/../b?c", "status": "busy"}
        assert provider.poll([key("r", "a/../b?c")], NOON)["a/../b?c"].outcome is Outcome.BUSY


# --- finding again


def test_a_dialer_without_a_look_up_is_not_asked_and_proves_nothing(server: VendorServer):
    with dialer(server) as provider:
        provider.place(request("made"))
        assert provider.find(key("made"), NOON) is None
        assert not provider.finds_by_ref
        assert server.vendor.asked["find"] == 0


MADE = {"call_id": "c-1", "attempt_ref": "made", "status": "ringing"}
OTHER = {"call_id": "c-2", "attempt_ref": "other", "status": "ringing"}


@on_one_server(
    "body",
    [
        MADE, [MADE], {"calls": [MADE]}, {"data": [MADE]}, {"call": MADE}, {"status": "success", "data": MADE},
        [OTHER, MADE], [MADE, MADE],
    ],
)  # fmt: skip
def test_a_look_up_may_answer_an_object_or_a_list(server: VendorServer, body: Any):
    with dialer(server, HTTP_DIALER_FIND_URL=FIND) as provider:
        server.vendor.find_reply = Reply(200, body)
        found = provider.find(key("made"), NOON)

    assert found is not None
    assert (found.call_id, found.attempt_ref, found.phase) == ("c-1", "made", Phase.RINGING)


@on_one_server("more", [{}, {"ended_at": ENDED}])
def test_a_found_call_whose_own_word_is_error_is_a_call(server: VendorServer, more: dict[str, Any]):
    with dialer(server, HTTP_DIALER_FIND_URL=FIND) as provider:
        server.vendor.find_reply = Reply(200, {**MADE, "status": "error", **more})
        found = provider.find(key("made"), NOON)

    assert found is not None
    assert (found.call_id, found.outcome) == ("c-1", Outcome.FAILED if more else None)


@on_one_server(
    "reply",
    [
        Reply(200, []), Reply(200, {"calls": []}), Reply(200, {"data": []}), Reply(404, {"error": "not_found"}),
        Reply(404, {"code": "call_not_found"}), Reply(404, {"detail": "not_found"}),
    ],
)  # fmt: skip
def test_no_such_call_is_an_empty_list_or_the_documented_word(server: VendorServer, reply: Reply):
    with dialer(server, HTTP_DIALER_FIND_URL=FIND) as provider:
        server.vendor.find_reply = reply
        assert provider.find(key("made"), NOON) is None


@on_one_server(
    "reply",
    [
        Reply(404, {"detail": "Not Found"}), Reply(404, {"error": "Not Found", "status": 404}), Reply(404, {}),
        Reply(404, b"<html></html>", content_type="text/html"), Reply(200, {}), Reply(200, None), Reply(200, b"null"),
        Reply(200, {"calls": None}), Reply(200, [7]), Reply(200, [{"attempt_ref": "made", "status": "busy"}]),
        Reply(200, [{"call_id": "c-1", "attempt_ref": "made"}]), Reply(200, {"success": False, "calls": []}),
        Reply(200, {**MADE, "success": False}), Reply(200, {"status": "error", "data": []}), Reply(500, []),
        Reply(302, []), Reply(204),
    ],
)  # fmt: skip
def test_an_unusable_answer_to_a_look_up_is_no_proof(server: VendorServer, reply: Reply):
    with dialer(server, HTTP_DIALER_FIND_URL=FIND) as provider:
        server.vendor.find_reply = reply
        with pytest.raises(ProviderError) as failed:
            provider.find(key("made"), NOON)

    assert not failed.value.permanent


@on_one_server(
    "body",
    [
        [MADE, {**MADE, "call_id": "c-9"}],  # two calls for one reference
        [OTHER],  # a filter that is ignored: ours may be on the next page
        [{"call_id": "c-1", "status": "ringing"}],  # nobody knows whose it is
    ],
)
def test_a_look_up_that_needs_people_is_a_permanent_error(server: VendorServer, body: Any):
    with dialer(server, HTTP_DIALER_FIND_URL=FIND) as provider:
        server.vendor.find_reply = Reply(200, body)
        with pytest.raises(ProviderError) as failed:
            provider.find(key("made"), NOON)

    assert failed.value.permanent


def test_a_reference_dialed_twice_is_left_to_people(server: VendorServer):
    with dialer(server, HTTP_DIALER_FIND_URL=FIND) as provider:
        provider.place(request("twice"))
        provider.place(request("twice"))
        with pytest.raises(ProviderError, match="2 calls") as failed:
            provider.find(key("twice"), NOON)

    assert failed.value.permanent
    assert calls_made(server, "twice") == 2


# --- hanging up


@on_one_server(
    ("reply", "ended"),
    [
        (Reply(200, {"ended": True}), True),
        (Reply(200, {"status": "ok"}), True),
        (Reply(204), True),
        (Reply(202), True),
        (Reply(200, {"ended": False}), False),
        (Reply(409, {"error": "over"}), False),
        (Reply(410), False),
        (Reply(404, {"error": "not_found"}), False),
    ],
)
def test_a_hang_up_says_whether_a_call_was_there(server: VendorServer, reply: Reply, ended: bool):
    with dialer(server) as provider:
        server.vendor.hangup_reply = reply
        assert provider.hang_up("c-1") is ended
        assert server.vendor.asked["hangup"] == 1


@on_one_server(
    ("reply", "permanent"),
    [
        (Reply(404, {"detail": "Not Found"}), True),
        (Reply(405), True),
        (Reply(501), True),
        (Reply(401, {"error": "unauthorized"}), True),
        (Reply(500), False),
        (Reply(200, {"success": False}), False),
        (Reply(302), False),
    ],
)
def test_a_hang_up_that_did_not_happen_is_an_error(server: VendorServer, reply: Reply, permanent: bool):
    with dialer(server) as provider:
        server.vendor.hangup_reply = reply
        with pytest.raises(ProviderError) as failed:
            provider.hang_up("c-1")

    assert failed.value.permanent is permanent
    assert ("cannot end a call" in str(failed.value)) == (reply.status in (404, 405, 501))


# --- webhooks

VECTOR_SECRET = "dialer_secret_test"
VECTOR_AT = "1700000000"
VECTOR_BODY = b'{"event_id":"evt-1","call_id":"c-1","attempt_ref":"ref-1","status":"busy"}'
VECTOR = "f646649c7d0b9f16893dee6d77aa2dd99ea335291c7bdd5db24b967aa2d59dd7"
VECTOR_NOW = datetime.fromtimestamp(int(VECTOR_AT), UTC)


def test_the_worked_example_of_the_format_is_signed_as_it_says():
    assert sign(SecretStr(VECTOR_SECRET), VECTOR_AT, VECTOR_BODY) == VECTOR
    written = (Path(__file__).parents[2] / "docs" / "http_dialer.md").read_text("utf-8")
    for part in (VECTOR_SECRET, VECTOR_AT, VECTOR_BODY.decode(), f"t={VECTOR_AT},v1={VECTOR}"):
        assert part in written


def test_a_genuine_event_names_its_call_and_tells_its_end():
    (event,) = receive(VECTOR_BODY)

    report = hooked().read_event(event)
    assert (event.kind, event.attempt_ref, event.call_id) == ("busy", "ref-1", "c-1")
    assert report is not None
    assert (report.call_id, report.attempt_ref, report.outcome) == ("c-1", "ref-1", Outcome.BUSY)


@each("seconds", [-300, 0, 300])
def test_a_signature_is_believed_for_five_minutes(seconds: int):
    assert receive(VECTOR_BODY, now=VECTOR_NOW + timedelta(seconds=seconds))


@each(
    "header",
    [
        f"t={VECTOR_AT},v1={'0' * 64},v1={VECTOR}",
        f"t={VECTOR_AT},v1={VECTOR},v1={'0' * 64}",
        f"v1={VECTOR}, t={VECTOR_AT}",
        f"t={VECTOR_AT},v0=old,v1={VECTOR},v2=new",
        f"t={VECTOR_AT},v1={VECTOR.upper()}",
    ],
)
def test_one_of_several_signatures_is_enough_while_keys_are_exchanged(header: str):
    assert receive(VECTOR_BODY, header)


BAD_SIGNATURES = {
    "none": None,
    "empty": "",
    "no time": f"v1={VECTOR}",
    "no signature": f"t={VECTOR_AT}",
    "an empty one": f"t={VECTOR_AT},v1=",
    "another version": f"t={VECTOR_AT},v0={VECTOR}",
    "one bit off": f"t={VECTOR_AT},v1={VECTOR[:-1]}{'1' if VECTOR[-1] == '0' else '0'}",
    "cut": f"t={VECTOR_AT},v1={VECTOR[:-1]}",
    "another time": f"t={int(VECTOR_AT) + 1},v1={VECTOR}",
    "two times": f"t={VECTOR_AT},t={VECTOR_AT},v1={VECTOR}",
    "a time with a sign": f"t=+{VECTOR_AT},v1={VECTOR}",
    "other digits": f"t=١٧٠٠٠٠٠٠٠٠,v1={VECTOR}",
    "a time too long": f"t={'9' * 400},v1={VECTOR}",
    "letters beyond ASCII": f"t={VECTOR_AT},v1=ñ{VECTOR[1:]}",
    "half a character": f"t={VECTOR_AT},v1=\udcff{VECTOR[1:]}",
}


@each("header", BAD_SIGNATURES.values(), ids=BAD_SIGNATURES.keys())
def test_a_signature_that_does_not_fit_is_refused(header: str | None):
    assert refused(VECTOR_BODY, header) == 401


@each("seconds", [-301, 301, 10**7])
def test_a_signature_is_not_believed_outside_its_window(seconds: int):
    with pytest.raises(HookRefused) as failed:
        receive(VECTOR_BODY, now=VECTOR_NOW + timedelta(seconds=seconds))
    assert failed.value.status == 401


@given(st.integers(0, len(VECTOR_BODY) * 8 - 1))
@settings(max_examples=examples(25))
def test_a_body_with_one_bit_altered_is_refused(bit: int):
    body = bytearray(VECTOR_BODY)
    body[bit // 8] ^= 1 << bit % 8

    assert refused(bytes(body), f"t={VECTOR_AT},v1={VECTOR}") == 401


def test_without_a_secret_every_event_is_refused():
    provider = hooked(HTTP_DIALER_WEBHOOK_SECRET="")
    with pytest.raises(HookRefused) as failed:
        provider.receive(hook(VECTOR_BODY, f"t={VECTOR_AT},v1={VECTOR}"), VECTOR_NOW)
    assert failed.value.status == 401


@each(
    ("account", "told", "status"),
    [
        (ACCOUNT, {"account": "another"}, 403),
        (ACCOUNT, {"account": ["acme"]}, 403),
        (ACCOUNT, {"account": ACCOUNT}, None),
        (ACCOUNT, {}, None),
        ("12", {"account": 12}, None),
        ("", {"account": "another"}, None),
    ],
)
def test_an_event_of_another_account_is_refused(account: str, told: dict[str, Any], status: int | None):
    body = json.dumps({"call_id": "c-1", "status": "busy", **told}).encode()
    assert refused(body, signed_header(body), HTTP_DIALER_ACCOUNT=account) == status


@each(
    "body",
    [b"", b"{", b"[]", b"7", b'"c-1"', b"\xff", b"{}", b'{"status":"busy"}', b'{"call_id":null,"status":"busy"}',
     b"[" * 100_000],
)  # fmt: skip
def test_a_signed_body_that_names_no_call_is_refused_as_unreadable(body: bytes):
    assert refused(body, signed_header(body)) == 400


def test_a_repeated_event_has_the_same_key_and_another_one_has_not():
    def key_of(told: dict[str, Any], at: str = VECTOR_AT) -> str:
        body = json.dumps(told).encode()
        (event,) = receive(body, signed_header(body, at))
        return event.key

    ringing = {"event_id": "e-1", "call_id": "c-1", "status": "ringing"}
    again = {**ringing, "sent_at": "later"}
    nameless = {"call_id": "c-1", "status": "ringing"}

    assert key_of(ringing) == key_of(again, str(int(VECTOR_AT) + 60))
    assert key_of(nameless) == key_of(nameless)
    different = [
        ringing, {**ringing, "event_id": "e-2"}, {**ringing, "event_id": "E-1"}, {**ringing, "call_id": "c-2"},
        nameless, {**nameless, "status": "busy"}, {**ringing, "event_id": "e" * 500},
    ]  # fmt: skip
    keys = [key_of(told) for told in different]
    assert len(set(keys)) == len(different)
    assert all(len(one) <= 191 for one in keys)


def test_an_event_with_the_reference_alone_asks_for_a_look():
    body = b'{"attempt_ref":"ref-1","status":"ringing"}'
    (event,) = receive(body, signed_header(body))

    assert (event.call_id, event.attempt_ref) == (None, "ref-1")
    assert hooked().read_event(event) is None


def test_an_event_without_a_status_asks_for_a_look():
    body = b'{"call_id":"c-1"}'
    (event,) = receive(body, signed_header(body))

    assert hooked().read_event(event) is None


def test_an_event_may_hold_the_call_in_an_envelope():
    body = b'{"event":"call.ended","event_id":9,"call":{"call_id":"c-1","attempt_ref":"r","status":"no-answer"}}'
    (event,) = receive(body, signed_header(body))

    report = hooked().read_event(event)
    assert (event.call_id, event.attempt_ref) == ("c-1", "r")
    assert report is not None
    assert report.outcome is Outcome.NO_ANSWER


def test_a_kept_event_tells_all_and_holds_neither_number_nor_secret():
    body = json.dumps({
        "event_id": "e", "call_id": "c-1", "attempt_ref": "r", "status": "completed", "ended_at": ENDED, "duration": 20,
        "phone_number": NUMBER, "api_key": "s-secret", "cost": 0.5, "cost_unit": "usd", "summary": "Booked.",
        "variables": {"cita": "2026-03-06 15:00"}, "transcript": ["word " * 20] * 2000,
    }).encode()  # fmt: skip
    (event,) = receive(body, signed_header(body))

    kept = json.dumps(event.payload)
    report = hooked().read_event(event)
    assert NUMBER not in kept
    assert "s-secret" not in kept
    assert len(kept) < 50_000
    assert report is not None
    assert (report.outcome, report.talk_seconds, report.cost) == (Outcome.COMPLETED, 20, Decimal("0.5"))
    assert report.appointment_at == datetime(2026, 3, 6, 15, 0)  # noqa: DTZ001  # the lead's wall time
    assert report.summary == "Booked."


@each("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0, 2), (2, 2, 0, 1)])
def test_events_in_any_order_and_number_have_the_same_last_report(tmp_path: Path, order: tuple[int, ...]):
    clock = ManualClock(NOON)
    with serving(tmp_path, clock=clock) as server, dialer(server) as provider:
        call_id = provider.place(request("hooked")).call_id
        call = server.vendor.call_of(call_id)
        hooks = []
        for name in ("ringing", "answered", "ended"):
            hooks.append((server.vendor.hook(call, name), clock.now()))
            clock.advance(timedelta(seconds=7) if name == "ringing" else LONG_AFTER)
        reports = [read_hook(provider, *hooks[number]) for number in order]
        polled = poll_one(Line(provider, clock, str, len), "hooked", call_id)

    last = max(reports, key=lambda report: list(Phase).index(report.phase))
    assert last.phase is Phase.ENDED
    assert (last.outcome, last.ended_at, last.talk_seconds, last.cost) == (
        polled.outcome, polled.ended_at, polled.talk_seconds, polled.cost,
    )  # fmt: skip


def test_a_forged_event_of_the_fake_is_refused(server: VendorServer):
    with dialer(server) as provider:
        call = server.vendor.call_of(provider.place(request("hooked")).call_id)
        genuine = server.vendor.hook(call, "ringing")
        assert read_hook(provider, genuine, NOON).phase is Phase.RINGING
        with pytest.raises(HookRefused) as failed:
            read_hook(provider, server.vendor.forge(genuine), NOON)

    assert failed.value.status == 401


# --- keys, addresses, inspection


def test_the_address_is_the_one_key_that_is_needed():
    with pytest.raises(MissingKeys, match="HTTP_DIALER_URL"):
        open_provider(Keys({}), wiring())

    account = read_account(Keys({"HTTP_DIALER_URL": "https://dialer.example.com/v1"}))
    assert (account.status.origin, account.status.path) == ("https://dialer.example.com", "/v1/calls/{call_id}")
    assert account.hang_up.path == "/v1/calls/{call_id}/hangup"
    assert (account.find, account.token, account.webhook_secret, account.name) == (None, None, None, None)


@each("url", ["http://10.0.0.5:8080", "http://dialer:8080", "http://192.168.1.9", "http://pbx.lan"])
def test_a_dialer_in_the_private_network_may_speak_plain_http(url: str):
    assert read_account(Keys({"HTTP_DIALER_URL": url})).base == url


@each(
    ("name", "value"),
    [
        ("HTTP_DIALER_URL", "http://dialer.example.com"),
        ("HTTP_DIALER_URL", "ftp://10.0.0.5"),
        ("HTTP_DIALER_URL", "http://169.254.169.254"),
        ("HTTP_DIALER_URL", "http://user:p-secret@10.0.0.5"),
        ("HTTP_DIALER_URL", "http://user:p-secret@10.0.0.5:99999"),
        ("HTTP_DIALER_URL", "http://10.0.0.5?key=p-secret"),
        ("HTTP_DIALER_STATUS_URL", "/calls"),
        ("HTTP_DIALER_STATUS_URL", "calls/{call_id}"),
        ("HTTP_DIALER_STATUS_URL", "/calls/{id}"),
        ("HTTP_DIALER_STATUS_URL", "/calls/{call_id}/{nonsense}"),
        ("HTTP_DIALER_STATUS_URL", "/calls/{call_id"),
        ("HTTP_DIALER_STATUS_URL", "/calls/{call_id}}"),
        ("HTTP_DIALER_STATUS_URL", "/calls/{call_id}#part"),
        ("HTTP_DIALER_STATUS_URL", "/calls/{call_id} now"),
        ("HTTP_DIALER_STATUS_URL", "/llamadas/ñ/{call_id}"),
        ("HTTP_DIALER_STATUS_URL", "https://{call_id}.example.com/"),
        ("HTTP_DIALER_STATUS_URL", "http://169.254.169.254/{call_id}"),
        ("HTTP_DIALER_STATUS_URL", "http://dialer.example.com/{call_id}"),
        ("HTTP_DIALER_STATUS_URL", "https://[dialer/{call_id}"),
        ("HTTP_DIALER_STATUS_URL", "https://u:p-secret@dialer.example.com/{call_id}?key=p-secret"),
        ("HTTP_DIALER_FIND_URL", "/calls?key=p-secret"),
        ("HTTP_DIALER_FIND_URL", "/calls/{call_id}"),
        ("HTTP_DIALER_HANGUP_URL", "/calls/{attempt_ref}/end"),
        ("HTTP_DIALER_TOKEN", "p-secret with spaces"),
        ("HTTP_DIALER_TOKEN", "p-secret\nX-Other: 1"),
        ("HTTP_DIALER_TOKEN", "p-secret-ñ"),
    ],
)
def test_a_key_of_the_wrong_shape_is_named_and_not_shown(name: str, value: str):
    values = {"HTTP_DIALER_URL": "https://dialer.example.com", name: value}

    with pytest.raises(InvalidValue, match=name) as failed:
        open_provider(Keys(values), wiring())
    assert "p-secret" not in str(failed.value)


def test_the_token_shows_in_no_repr(server: VendorServer):
    with dialer(server) as provider:
        shown = repr(provider) + repr(vars(provider)) + str(provider._account)

    assert TOKEN not in shown
    assert SECRET not in shown


@on_one_server(
    ("reply", "standing"),
    [
        (None, Standing.OK),
        (Reply(404, {"detail": "Not Found"}), Standing.OK),
        (Reply(404, b"<html></html>", content_type="text/html"), Standing.OK),
        (Reply(405), Standing.OK),
        (Reply(401, {"error": "unauthorized"}), Standing.PROBLEM),
        (Reply(403), Standing.PROBLEM),
        (Reply(301), Standing.PROBLEM),
        (Reply(503), Standing.PROBLEM),
    ],
)
def test_inspection_asks_for_the_dialers_health(server: VendorServer, reply: Reply | None, standing: Standing):
    with dialer(server, HTTP_DIALER_FIND_URL=FIND) as provider:
        server.vendor.health_reply = reply
        (found,) = provider.inspect((), ())

    assert found.standing is standing
    assert TOKEN not in found.sentence


def test_inspection_finds_a_dialer_that_is_not_there():
    provider = open_dialer(f"http://127.0.0.1:{closed_port()}", HTTP_DIALER_FIND_URL=FIND)

    (found,) = provider.inspect((), ())

    provider.close()
    assert found.standing is Standing.PROBLEM
    assert "HTTP_DIALER_URL" in found.sentence


def test_inspection_warns_of_what_is_missing_and_of_caller_ids_that_are_none(server: VendorServer):
    settings = {"HTTP_DIALER_WEBHOOK_SECRET": "", "public_url": "https://calls.example.com"}
    with dialer(server, **settings) as provider:
        found = provider.inspect({"sofia"}, {"+56221234567", "221234567"})

    assert [one.standing for one in found] == [Standing.OK, Standing.WARNING, Standing.WARNING, Standing.PROBLEM]
    for one, part in zip(found[1:], ("FIND_URL", "WEBHOOK_SECRET", "no E.164 number: 1"), strict=True):
        assert part in one.sentence


def test_a_dialer_tells_no_vitals(server: VendorServer):
    with dialer(server) as provider:
        assert provider.read_vitals() is None


# --- garbage

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from(["call_id", "id", "attempt_ref", "status", "call", "data", "calls", "error", "success", "cause",
                         "duration", "cost", "variables", "callback_at", "ended_at", "event_id", "x"]),
        inner, max_size=6),
    max_leaves=20,
)  # fmt: skip


@given(JSON)
@settings(max_examples=examples(40))
def test_any_signed_json_is_an_event_or_refused(document: Any):
    body = json.dumps(document).encode()
    try:
        events = receive(body, signed_header(body))
    except HookRefused as error:
        assert error.status in (400, 403)
        return
    for event in events:
        json.dumps(event.payload, allow_nan=False).encode()
        report = hooked().read_event(event)
        assert report is None or (report.outcome is None) != (
            report.phase is Phase.ENDED and report.refusal is None
        )


@given(st.integers(200, 599), JSON)
@settings(max_examples=examples(40))
def test_any_answer_to_a_start_is_one_of_three(status: int, document: Any):
    answer = read(status, document)

    assert isinstance(answer, Accepted | Refused | Unanswered)
    if isinstance(answer, Refused):
        assert status < 500
    if isinstance(answer, Accepted):
        assert answer.call_id
        assert status < 300 or status == 409


@given(JSON)
@settings(max_examples=examples(15))
def test_any_answer_to_a_question_is_a_report_or_a_provider_error(garbage_server: Any, document: Any):
    server, provider = garbage_server
    server.vendor.scripted["c-1"] = Reply(200, document)
    server.vendor.find_reply = server.vendor.hangup_reply = Reply(200, document)
    for ask in (
        lambda: provider.poll([key("r", "c-1")], NOON),
        lambda: provider.find(key("r"), NOON),
        lambda: provider.hang_up("c-1"),
    ):
        try:
            ask()
        except ProviderError as error:
            assert NUMBER not in str(error)


@given(st.binary(max_size=200), st.text(max_size=80))
@settings(max_examples=examples(25))
def test_any_bytes_from_a_stranger_are_refused(body: bytes, header: str):
    assert refused(body, header) == 401


# --- helpers


@pytest.fixture(scope="module")
def long_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VendorServer]:
    with serving(tmp_path_factory.mktemp("standing")) as server:
        yield server


@pytest.fixture
def server(long_server: VendorServer) -> VendorServer:
    """One that stands for the whole module, as if it had just begun; its calls stay."""
    long_server.vendor.forget_script()
    return long_server


@pytest.fixture(scope="module")
def garbage_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with serving(tmp_path_factory.mktemp("garbage")) as server, dialer(server, HTTP_DIALER_FIND_URL=FIND) as provider:
        yield server, provider


@contextmanager
def serving(path: Path, **options: Any) -> Iterator[VendorServer]:
    server = open_vendor(FakeDialer, path / "ledger", clock=options.pop("clock", ManualClock(NOON)), **options)
    server.serve_in_thread()
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def line_to(path: Path, **keys: str) -> Iterator[Line]:
    clock = ManualClock(NOON)
    with (
        serving(path, clock=clock) as server,
        dialer(server, **keys) as patient,
        dialer(server, timeout=IMPATIENCE, **keys) as impatient,
    ):
        def mumble(call_id: str, is_over: bool) -> None:
            end = {"ended_at": "2026-03-02T12:00:30Z"} if is_over else {"ended_at": None, "duration": 0}
            server.vendor.scripted[call_id] = {"call_id": call_id, "status": "hovering", **end}

        yield Line(
            patient, clock, lambda faults: misbehave(server, faults), lambda ref: calls_made(server, ref), impatient,
            mumble,
        )


@contextmanager
def dialer(server: VendorServer, **options: Any) -> Iterator[HttpDialer]:
    provider = open_dialer(server.url, **options)
    try:
        yield provider
    finally:
        provider.close()


def open_dialer(
    url: str, *, timeout: timedelta = PATIENCE, public_url: str | None = None, **keys: str
) -> HttpDialer:
    defaults = {"HTTP_DIALER_TOKEN": TOKEN, "HTTP_DIALER_WEBHOOK_SECRET": SECRET, "HTTP_DIALER_ACCOUNT": ACCOUNT}
    provider = open_provider(Keys({"HTTP_DIALER_URL": url, **defaults, **keys}), wiring(timeout, public_url))
    assert isinstance(provider, HttpDialer)
    return provider


def wiring(timeout: timedelta = PATIENCE, public_url: str | None = None) -> Wiring:
    return Wiring(places=8, request_timeout=timeout, short_call=SHORT, public_url=public_url)


@cache
def hooked(**keys: str) -> HttpDialer:
    """An adapter that only takes webhooks."""
    return open_dialer("http://127.0.0.1:9", **{"HTTP_DIALER_WEBHOOK_SECRET": VECTOR_SECRET, **keys})


def hook(body: bytes, header: str | None) -> Hook:
    headers = {} if header is None else {"x-ringback-signature": header}
    return Hook("https://calls.example.com/webhooks/http", headers, body)


def signed_header(body: bytes, at: str = VECTOR_AT) -> str:
    return f"t={at},v1={sign(SecretStr(VECTOR_SECRET), at, body)}"


def receive(
    body: bytes, header: str | None = f"t={VECTOR_AT},v1={VECTOR}", now: datetime = VECTOR_NOW, **keys: str
) -> list[ProviderEvent]:
    return list(hooked(**keys).receive(hook(body, header), now))


def refused(body: bytes, header: str | None, **keys: str) -> int | None:
    try:
        receive(body, header, **keys)
    except HookRefused as error:
        return error.status
    return None


def read_hook(provider: HttpDialer, posted: Any, now: datetime) -> CallReport:
    headers = {name.lower(): value for name, value in posted.headers.items()}
    (event,) = provider.receive(Hook(HOOK_URL, headers, posted.body), now)
    report = provider.read_event(event)
    assert report is not None
    return report


def read(status: int, body: object, headers: Mapping[str, str] | None = None) -> Any:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_start_answer(Answer(status, content, headers or {}), "ref-1", str)


def translate(document: Mapping[str, Any]) -> CallReport:
    report = read_report({"call_id": "c-1", **document}, "c-1", "ref-1", SHORT)
    assert report is not None
    return report
