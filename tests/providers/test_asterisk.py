from __future__ import annotations

import base64
import json
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Any, ClassVar
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scheduler.clock import ManualClock
from scheduler.config import Keys
from scheduler.errors import InvalidValue, MissingKeys, ProviderError
from scheduler.model import Outcome
from scheduler.providers.asterisk import LONGEST_BODY, MOST_REMEMBERED, Asterisk, Memory, open_provider
from scheduler.providers.base import (
    Accepted,
    CallReport,
    Hook,
    HookRefused,
    Listener,
    NothingProven,
    Phase,
    ProviderEvent,
    RefusalKind,
    Refused,
    Standing,
    Unanswered,
    Wiring,
)
from scheduler.service.refs import new_refs
from tests.each import each
from tests.examples import examples
from tests.providers.contract import LONG_AFTER, NOON, NUMBER, Line, ProviderContract, key, place_accepted, request
from tests.providers.fakes.asterisk import PASSWORD, USERNAME, stamp
from tests.providers.fakes.asterisk import Asterisk as FakeAsterisk
from tests.providers.fakes.vendor import Reply, VendorServer, calls_made, misbehave, open_vendor, requests_made
from tests.waiting import BACKSTOP, wait_until

PATIENCE = timedelta(seconds=30)
IMPATIENCE = timedelta(seconds=0.3)
DIGITS = NUMBER.removeprefix("+")
REF = "0b9dd6a5-5f9f-4a3e-9a57-2f3b1c0d4e5f"
ANSWERED_AT = NOON + timedelta(seconds=5)


class TestAsteriskWithCallRecordsKeepsTheContract(ProviderContract):
    refusals: ClassVar = {"refuse": RefusalKind.OUTAGE, "hold": RefusalKind.HOLD}

    @pytest.fixture
    def line(self, tmp_path: Path) -> Iterator[Line]:
        clock = ManualClock(NOON)
        with serving(tmp_path / "ledger", clock) as server:
            patient = adapter(server, ASTERISK_CDR_COMPLETE="yes")
            impatient = adapter(server, timeout=IMPATIENCE, ASTERISK_CDR_COMPLETE="yes")
            patient.cel = impatient.cel = fake(server).cel
            yield Line(
                patient, clock, lambda faults: misbehave(server, faults), lambda ref: calls_made(server, ref), impatient
            )
            patient.close()
            impatient.close()

    def test_poll_says_which_call_does_not_exist_and_leaves_out_those_without_id(self, line: Line) -> None:
        """Asterisk cannot tell a call that is over from one that never was: both have no channel."""
        call_id = place_accepted(line, "real")
        asked = [key("real", call_id), key("gone", "no-such-call"), key("nameless")]

        assert line.provider.poll(asked, line.clock.now()).keys() == {call_id}
        later = line.provider.poll(asked, line.clock.now() + timedelta(seconds=15))

        assert later.keys() == {call_id, "no-such-call"}
        assert later["no-such-call"] is not None
        assert (later["no-such-call"].phase, later["no-such-call"].outcome) == (Phase.ENDED, Outcome.FAILED)


# --- the start request


def test_a_start_is_the_documented_request_into_the_dialplan(server: VendorServer):
    provider = adapter(server, ASTERISK_CALLER_ID='"Acme" <+56221234567>')
    answer = provider.place(request(
        REF, ring_timeout=timedelta(seconds=25.2), max_duration=timedelta(minutes=4), lead_id=42,
        variables={"first_name": "Ana", "debt": 1200.5, "vip": True, "nothing": None},
    ))  # fmt: skip
    provider.close()

    assert answer == Accepted(REF)
    [sent] = fake(server).starts
    assert (sent.method, sent.target) == ("POST", f"/ari/channels/{REF}")
    assert sent.headers["authorization"] == "Basic " + base64.b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()
    assert sent.headers["content-type"] == "application/json"
    assert sent.document() == {
        "endpoint": f"PJSIP/{NUMBER}@trunk",
        "context": "ringback",
        "extension": "s",
        "priority": 1,
        "callerId": '"Acme" <+56221234567>',
        "timeout": 26,
        "variables": {
            "first_name": "Ana", "debt": "1200.5", "vip": "true", "LEAD_ID": "42", "RINGBACK_REF": REF,
            "RINGBACK_MAX_SECONDS": "240", "TIMEOUT(absolute)": "266",
        },
    }  # fmt: skip


@pytest.mark.parametrize(
    ("keys", "agent", "fields"),
    [
        ({"ASTERISK_APP": "voice-agent"}, None, {"app": "voice-agent"}),
        ({"ASTERISK_CONTEXT": "out", "ASTERISK_EXTENSION": "100", "ASTERISK_PRIORITY": "3"}, None,
         {"context": "out", "extension": "100", "priority": 3}),
        ({"ASTERISK_CONTEXT": "out"}, None, {"context": "out", "extension": "s", "priority": 1}),
        ({}, "sales, 7", {"context": "sales", "extension": "7", "priority": 1}),
        ({}, "sales,7,2", {"context": "sales", "extension": "7", "priority": 2}),
        ({}, "app:robot", {"app": "robot"}),
        ({"ASTERISK_APP": "voice-agent"}, "sales,7", {"context": "sales", "extension": "7", "priority": 1}),
    ],
)  # fmt: skip
def test_an_answered_call_goes_where_the_campaign_or_the_account_says(
    server: VendorServer, keys: dict[str, str], agent: str | None, fields: dict[str, object]
):
    assert isinstance(dial(server, agent_id=agent, **keys), Accepted)

    sent = fake(server).starts[0].document()
    assert {name: sent[name] for name in ("app", "context", "extension", "priority") if name in sent} == fields


def test_a_campaign_has_its_own_caller_id_and_a_trunk_may_want_digits(server: VendorServer):
    keys = {"ASTERISK_ENDPOINT": "PJSIP/trunk/sip:00{digits}@10.0.0.1", "ASTERISK_CALLER_ID": "+56221234567"}
    assert isinstance(dial(server, from_number="+56229999999", **keys), Accepted)

    sent = fake(server).starts[0].document()
    assert (sent["endpoint"], sent["callerId"]) == (f"PJSIP/trunk/sip:00{DIGITS}@10.0.0.1", "+56229999999")


def test_without_a_caller_id_none_is_sent(server: VendorServer):
    dial(server)

    assert "callerId" not in fake(server).starts[0].document()


def test_a_variable_never_becomes_a_function_of_the_dialplan_and_ours_win(server: VendorServer):
    dial(server, variables={
        "SHELL(reboot)": "x", "CALLERID(num)": "y", "fecha de cita": "mañana", "RINGBACK_REF": "false", "LEAD_ID": "0",
        "broken": "a\x00b\ud800", "list": [1, "é"], "": "nameless", "TIMEOUT(absolute)": "0",
    }, lead_id=7)  # fmt: skip

    sent = fake(server).starts[0].document()["variables"]
    assert sent.pop("TIMEOUT(absolute)") == "330"
    assert sent == {
        "SHELL_reboot_": "x", "CALLERID_num_": "y", "fecha_de_cita": "mañana", "broken": "ab?", "list": '[1, "é"]',
        "TIMEOUT_absolute_": "0", "LEAD_ID": "7", "RINGBACK_REF": REF, "RINGBACK_MAX_SECONDS": "300",
    }  # fmt: skip


@pytest.mark.parametrize(
    "number",
    [
        "56912345678", "+0912345678", "+569", "+5691234567890123456", "+56912345678@evil", "+56912345678&PJSIP/1@x",
        "Local/1@internal", "", "+56 9 1234 5678", "+56912345678\n", "+5691234567٨",
    ],
)  # fmt: skip
def test_what_is_no_number_is_refused_and_reaches_no_dial_string(server: VendorServer, number: str):
    answer = dial(server, number=number)

    assert isinstance(answer, Refused)
    assert answer.kind is RefusalKind.INVALID_NUMBER
    assert not number or number not in answer.reason
    assert fake(server).starts == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"agent_id": "sales"}, {"agent_id": "sales,7,1,9"}, {"agent_id": "sales,7,zero"}, {"agent_id": "app:"},
        {"agent_id": "app:a,b"}, {"agent_id": "a b,7"}, {"from_number": "Acme"}, {"from_number": "+1@x"},
        {"variables": {"long": "x" * LONGEST_BODY}},
    ],
)  # fmt: skip
def test_a_request_that_asterisk_would_misread_is_refused_before_it_is_sent(
    server: VendorServer, wrong: dict[str, Any]
):
    answer = dial(server, **wrong)

    assert isinstance(answer, Refused)
    assert answer.kind is RefusalKind.REFUSED
    assert fake(server).starts == []


def test_variables_that_contain_themselves_are_refused(server: VendorServer):
    endless: list[object] = []
    endless.append(endless)

    assert isinstance(dial(server, variables={"endless": endless}), Refused)
    assert fake(server).starts == []


DOCUMENTED = {
    "no channel, as the source has it": (500, {"error": "Allocation failed"}, RefusalKind.OUTAGE),
    "no channel, as the facts have it": (500, {"message": "Allocation failed"}, RefusalKind.OUTAGE),
    "no login": (401, {"message": "Authentication required"}, RefusalKind.HOLD),
    "kept out": (403, {"message": "Write access denied"}, RefusalKind.HOLD),
    "no such thing": (404, {"message": "Requested label can not be found"}, RefusalKind.HOLD),
    "our request": (400, {"message": "Invalid endpoint specified"}, RefusalKind.HOLD),
    "the number": (400, {"message": f"Cannot dial {NUMBER} there"}, RefusalKind.INVALID_NUMBER),
    "its digits": (400, {"message": f"Cannot dial PJSIP/{DIGITS}@trunk"}, RefusalKind.INVALID_NUMBER),
}


@pytest.mark.parametrize(("status", "body", "kind"), DOCUMENTED.values(), ids=DOCUMENTED.keys())
def test_a_documented_refusal_is_read(server: VendorServer, status: int, body: dict[str, str], kind: RefusalKind):
    answer = dial_scripted(server, Reply(status, body))

    assert isinstance(answer, Refused)
    assert answer.kind is kind
    assert DIGITS not in answer.reason
    assert len(fake(server).starts) == 1


PROVES_NOTHING = {
    "500 with another word": Reply(500, {"message": "Internal Server Error"}),
    "500 without a word": Reply(500),
    "500 as a page": Reply(500, b"<html>Allocation failed</html>"),
    "502 of a proxy": Reply(502, b"<html></html>"),
    "503 of a proxy": Reply(503, {"message": "Asterisk not booted"}, {"Server": "nginx", "Date": "x"}),
    "503 of a proxy with a page": Reply(503, b"<html>no upstream</html>"),
    "400 of a proxy": Reply(400, b"<html>Bad Request</html>"),
    "401 of a proxy": Reply(401, b"<html>login</html>"),
    "404 of a proxy": Reply(404, b"<html>no such page</html>"),
    "409 of a proxy": Reply(409, b"<html>conflict</html>"),
    "400 without a message": Reply(400, {"message": ["a", "list"]}),
    "402": Reply(402, {"message": "Payment Required"}),
    "408": Reply(408, {"message": "Request Timeout"}),
    "413": Reply(413, {"message": "Request body too large"}),
    "429": Reply(429, {"message": "slow down"}),
    "redirect": Reply(307, None, {"Location": "/elsewhere"}),
    "2xx without id": Reply(200, {"state": "Down"}),
    "2xx with another id": Reply(200, {"id": "1700000000.12", "state": "Down"}),
    "2xx with a number for an id": Reply(200, {"id": 7}),
    "2xx with a list": Reply(200, [{"id": REF}]),
    "2xx with nothing": Reply(204),
    "2xx with HTML": Reply(200, b"<html>welcome</html>"),
    "2xx with cut JSON": Reply(200, b'{"id": "0b9d'),
    "a silent goodbye": Reply(behaviour="close"),
    "a reset": Reply(behaviour="reset"),
}


@pytest.mark.parametrize("reply", PROVES_NOTHING.values(), ids=PROVES_NOTHING.keys())
def test_what_proves_nothing_is_unanswered_and_asked_once(server: VendorServer, reply: Reply):
    answer = dial_scripted(server, reply)

    assert isinstance(answer, Unanswered)
    assert DIGITS not in answer.reason
    assert PASSWORD not in answer.reason
    assert len(fake(server).starts) == 1


def test_a_reason_is_short_and_without_numbers(server: VendorServer):
    answer = dial_scripted(server, Reply(403, {"message": f"no way to {NUMBER} or 0056912345678, " + "x" * 500}))

    assert isinstance(answer, Refused)
    assert "(number)" in answer.reason
    assert "12345678" not in answer.reason
    assert len(answer.reason) < 260


def test_a_channel_that_lives_under_our_reference_is_this_call(server: VendorServer):
    first, second = dial(server), dial(server)

    assert first == second == Accepted(REF)
    assert calls_made(server, REF) == 1


def test_the_fake_dials_again_once_the_channel_is_gone_as_asterisk_does(server: VendorServer, clock: ManualClock):
    dial(server)
    clock.advance(LONG_AFTER)
    dial(server)

    assert (calls_made(server, REF), requests_made(server, REF)) == (2, 2)


# --- causes

CAUSES: list[tuple[int | None, int | None, Outcome]] = [
    (0, None, Outcome.FAILED),
    *((1, sip, Outcome.INVALID_NUMBER) for sip in (None, 404, 485, 604)),
    *((cause, sip, Outcome.FAILED) for cause, sip in ((5, None), (3, 420))),
    *((cause, None, Outcome.FAILED) for cause in (6, 7, 8, 14, 23, 30)),
    (23, 302, Outcome.FAILED),
    (16, None, Outcome.NO_ANSWER), (31, None, Outcome.NO_ANSWER), (16, 487, Outcome.NO_ANSWER),
    (31, 480, Outcome.NO_ANSWER),
    (17, None, Outcome.BUSY), (17, 486, Outcome.BUSY), (17, 600, Outcome.BUSY),
    (18, None, Outcome.NO_ANSWER), (18, 408, Outcome.NO_ANSWER),
    (19, None, Outcome.NO_ANSWER), (19, 480, Outcome.NO_ANSWER), (19, 483, Outcome.NO_ANSWER),
    (19, 487, Outcome.NO_ANSWER),  # our own ring time-out, and what our CANCEL was answered with
    (20, None, Outcome.NO_ANSWER), (20, 480, Outcome.NO_ANSWER),
    (21, None, Outcome.HANG_UP), (21, 603, Outcome.HANG_UP), (127, 607, Outcome.HANG_UP), (127, 608, Outcome.HANG_UP),
    (22, None, Outcome.INVALID_NUMBER), (22, 410, Outcome.INVALID_NUMBER),
    (26, None, Outcome.NO_ANSWER),
    (28, None, Outcome.INVALID_NUMBER), (28, 484, Outcome.INVALID_NUMBER),
    *((cause, None, Outcome.FAILED) for cause in (29, 50, 57, 58, 65, 66, 69, 88)),
    (58, 488, Outcome.FAILED), (58, 606, Outcome.FAILED), (41, 409, Outcome.FAILED),
    *((cause, None, Outcome.FAILED) for cause in (81, *range(95, 104), 111, 127)),
    (127, 487, Outcome.FAILED), (127, 400, Outcome.FAILED),
]  # fmt: skip


@each(("cause", "sip", "outcome"), CAUSES)
def test_the_cause_of_an_unanswered_call_decides(cause: int, sip: int | None, outcome: Outcome):
    report = read_end(cause=cause, tech_cause=sip)

    assert (report.phase, report.outcome, report.known_word) == (Phase.ENDED, outcome, True)
    assert (report.provider_status or "").startswith(str(cause))
    assert report.refusal is None


@each(
    ("cause", "sip"),
    [
        *((cause, None) for cause in (2, 3, 27, 34, 38, 41, 42, 44)), (34, 503), (42, 503), (44, 503), (38, 500),
        (27, 502), (102, 504), (29, 501), (127, 505), (41, 500),
        *((cause, 404) for cause in (2, 3)),  # the 404 is made of the cause, by Asterisk itself
    ],
)  # fmt: skip
def test_a_network_without_a_way_spends_no_attempt(cause: int, sip: int | None):
    report = read_end(cause=cause, tech_cause=sip, state="Down")

    assert (report.phase, report.outcome) == (Phase.ENDED, None)
    assert report.refusal is not None
    assert report.refusal.kind is RefusalKind.OUTAGE
    assert "no way" in report.refusal.reason


@each(
    ("cause", "sip", "kind", "words"),
    [
        (21, 401, RefusalKind.HOLD, "login"), (21, 407, RefusalKind.HOLD, "login"), (0, 407, RefusalKind.HOLD, "login"),
        (52, 401, RefusalKind.HOLD, "login"),
        (21, 403, RefusalKind.HOLD, "may not call this number"), (0, 403, RefusalKind.HOLD, "may not call"),
        (52, None, RefusalKind.HOLD, "may not call"), (54, None, RefusalKind.HOLD, "may not call"),
        (54, 403, RefusalKind.HOLD, "may not call"),
    ],
)  # fmt: skip
def test_a_call_that_the_trunk_turns_away_spends_no_attempt_and_stops_the_others(
    cause: int, sip: int | None, kind: RefusalKind, words: str
):
    report = read_end(cause=cause, tech_cause=sip)

    assert (report.phase, report.outcome) == (Phase.ENDED, None)
    assert report.refusal is not None
    assert report.refusal.kind is kind
    assert words in report.refusal.reason
    assert str(sip or cause) in report.refusal.reason


@each("cause", [120, -1, 9999, "soon", None, 17.5])
def test_a_cause_that_nobody_knows_is_a_failure_that_shows(cause: object):
    report = read_end(cause=cause)

    assert (report.outcome, report.known_word) == (Outcome.FAILED, False)


@each("cause", [0, 1, 16, 17, 19, 21, 34, 52, 127, 999])
@each(
    ("talked", "outcome"),
    [(0, Outcome.HANG_UP), (7, Outcome.HANG_UP), (8, Outcome.COMPLETED), (95, Outcome.COMPLETED)],
)
def test_an_answered_call_is_judged_by_its_length_whatever_ended_it(cause: int, talked: int, outcome: Outcome):
    report = read_end(
        cause=cause, tech_cause=403, answered_at=ANSWERED_AT, at=ANSWERED_AT + timedelta(seconds=talked), state="Up",
        requests=[{}],
    )

    assert (report.outcome, report.talk_seconds, report.answered_at) == (outcome, talked, ANSWERED_AT)
    assert (report.known_word, report.refusal) == (True, None)


def test_an_answer_that_is_in_our_books_counts_even_if_nobody_heard_it(server: VendorServer):
    provider = adapter(server)
    hear(provider, end_of(REF, cause=17, state="Ringing", at=ANSWERED_AT + timedelta(seconds=30)))
    asked = replace(key(REF, REF), answered_at=ANSWERED_AT)

    for report in (provider.poll([asked], NOON)[REF], provider.find(asked, NOON)):
        assert report is not None
        assert (report.outcome, report.talk_seconds) == (Outcome.COMPLETED, 30)


@each("cause", [16, 17, 19, 21, 52, 127])
@each(("talked", "outcome"), [(7, Outcome.HANG_UP), (30, Outcome.COMPLETED)])
def test_an_event_of_the_end_after_a_restart_counts_the_answer_that_is_in_our_books(
    cause: int, talked: int, outcome: Outcome
):
    restarted = adapter_at("http://127.0.0.1:9")
    end = end_of(REF, cause=cause, tech_cause=403, state="Ringing", at=ANSWERED_AT + timedelta(seconds=talked))
    event = hear(restarted, end)

    report = restarted.read_event(replace(event, answered_at=ANSWERED_AT))
    assert report is not None
    assert (report.outcome, report.talk_seconds, report.answered_at) == (outcome, talked, ANSWERED_AT)
    assert report.refusal is None


def test_an_answer_that_was_heard_is_more_exact_than_the_one_in_our_books():
    provider = adapter_at("http://127.0.0.1:9")
    hear(provider, answer_of(REF, ANSWERED_AT))
    event = hear(provider, end_of(REF, cause=16, state="Up", at=ANSWERED_AT + timedelta(seconds=30)))

    report = provider.read_event(replace(event, answered_at=ANSWERED_AT + timedelta(seconds=3)))
    assert report is not None
    assert (report.answered_at, report.talk_seconds) == (ANSWERED_AT, 30)


@each(("lived", "outcome"), [(7, Outcome.HANG_UP), (60, Outcome.COMPLETED)])
def test_an_answer_that_only_another_process_saw_is_known_by_the_channels_state(lived: int, outcome: Outcome):
    report = read_end(cause=16, state="Up", at=NOON + timedelta(seconds=lived))

    assert (report.outcome, report.answered_at, report.talk_seconds) == (outcome, None, None)


def test_the_length_of_a_short_call_is_a_setting():
    provider = adapter_at("http://127.0.0.1:9", short_call=timedelta(seconds=30))
    hear(provider, answer_of(REF))
    say(provider, *asked_for())
    event = hear(provider, end_of(REF, cause=16, at=ANSWERED_AT + timedelta(seconds=29), state="Up"))

    report = provider.read_event(event)
    assert report is not None
    assert report.outcome is Outcome.HANG_UP


# --- what is heard

ANSWERS = {
    "the dial": {"type": "Dial", "dialstatus": "ANSWER", "peer": {"id": REF, "state": "Up"}},
    "the state": {"type": "ChannelStateChange", "channel": {"id": REF, "state": "Up"}},
    "the application": {"type": "StasisStart", "args": [], "channel": {"id": REF, "state": "Up"}},
}


@each("document", ANSWERS.values(), ids=ANSWERS.keys())
def test_an_answer_is_heard_in_three_ways(document: dict[str, Any]):
    provider = adapter_at("http://127.0.0.1:9")
    event = hear(provider, {**document, "timestamp": stamp(ANSWERED_AT)})
    report = provider.read_event(event)

    assert (event.key, event.attempt_ref, event.call_id) == (f"{REF}:answered", REF, REF)
    assert report is not None
    assert (report.phase, report.answered_at, report.attempt_ref) == (Phase.ANSWERED, ANSWERED_AT, REF)


def test_what_is_heard_of_a_reference_as_ringback_makes_them_is_an_event():
    [ref] = new_refs(1, NOON)

    assert hear(adapter_at("http://127.0.0.1:9"), end_of(ref, cause=17)).attempt_ref == ref


def test_an_answer_is_told_once_and_an_end_has_a_key_of_its_own():
    provider = adapter_at("http://127.0.0.1:9")
    said = [json.dumps({**document, "timestamp": stamp(ANSWERED_AT)}) for document in ANSWERS.values()]
    told = [provider.read_message(one) for one in said]
    end = hear(provider, end_of(REF, cause=16))

    assert [event is not None for event in told] == [True, False, False]
    assert end.key == f"{REF}:ended"
    assert hear(provider, end_of(REF, cause=16)).key == end.key


@each(
    "document",
    [
        {"type": "ChannelCreated", "channel": {"id": REF}},
        {"type": "Dial", "dialstatus": "RINGING", "peer": {"id": REF}},
        {"type": "Dial", "dialstatus": "ANSWER", "caller": {"id": REF}, "peer": {"id": "1700000000.12"}},
        {"type": "ChannelStateChange", "channel": {"id": REF, "state": "Ringing"}},
        {"type": "ChannelHangupRequest", "channel": {"id": REF}, "cause": 16},
        {"type": "StasisEnd", "channel": {"id": REF}},
        {"type": "ChannelDestroyed", "channel": {"id": "1700000000.12"}, "cause": 16},
        {"type": "ChannelDestroyed", "channel": {"id": REF.upper()}, "cause": 16},
        {"type": "ChannelDestroyed", "channel": {"id": REF + "-2"}, "cause": 16},
        {"type": "ChannelDestroyed", "channel": {"id": "0b9dd6a5-5f9f-1a3e-9a57-2f3b1c0d4e5f"}, "cause": 16},
        {"type": "ChannelDestroyed", "channel": [REF], "cause": 16},
        {"type": "ApplicationReplaced"},
        [], 7, None, "text",
    ],
)  # fmt: skip
def test_what_says_nothing_of_our_calls_is_passed_over(document: object):
    assert adapter_at("http://127.0.0.1:9").read_message(json.dumps(document)) is None


def test_the_end_is_the_same_whether_its_answer_is_read_before_or_after_it():
    provider = adapter_at("http://127.0.0.1:9")
    answered = hear(provider, answer_of(REF))
    ended = hear(provider, end_of(REF, cause=16, at=ANSWERED_AT + timedelta(seconds=60), state="Up"))

    first = [provider.read_event(event) for event in (answered, ended, ended)]
    second = [adapter_at("http://127.0.0.1:9").read_event(event) for event in (ended, answered, ended)]
    assert first[1] == first[2] == second[0] == second[2]
    assert first[1] is not None
    assert (first[1].outcome, first[1].talk_seconds) == (Outcome.COMPLETED, 60)


def test_what_is_kept_of_an_event_holds_no_number():
    channel = {
        "id": REF, "state": "Up", "name": f"Local/{NUMBER}@out-0001;1", "caller": {"number": NUMBER},
        "connected": {"number": DIGITS}, "dialplan": {"exten": DIGITS}, "channelvars": {"LEAD": NUMBER},
        "creationtime": stamp(NOON),
    }  # fmt: skip
    provider = adapter_at("http://127.0.0.1:9")
    dialed = {"type": "Dial", "dialstatus": "ANSWER", "peer": channel, "dialstring": f"{NUMBER}@trunk"}
    events = [
        hear(provider, {**dialed, "timestamp": stamp(ANSWERED_AT)}),
        hear(provider, {"type": "ChannelDestroyed", "cause": 16, "cause_txt": f"to {NUMBER}", "channel": channel}),
    ]
    reports = [provider.read_event(event) for event in events]

    assert DIGITS not in repr([event.payload for event in events])
    assert DIGITS not in repr(reports)


MIXES = {
    "completed": (Outcome.COMPLETED, True),
    "callback": (Outcome.COMPLETED, True),
    "do_not_call": (Outcome.COMPLETED, True),
    "voicemail": (Outcome.HANG_UP, True),  # a machine's short answer: Asterisk itself cannot tell it from a person's
    "no_answer": (Outcome.NO_ANSWER, True),
    "busy": (Outcome.BUSY, True),
    "hang_up": (Outcome.HANG_UP, True),
    "failed": (Outcome.FAILED, True),
    "invalid_number": (Outcome.INVALID_NUMBER, True),
    "mystery": (Outcome.FAILED, False),
}


@each(("fate", "expected"), MIXES.items(), ids=MIXES.keys())
def test_every_fate_is_heard_over_the_websocket(tmp_path: Path, fate: str, expected: tuple[Outcome, bool]):
    clock = ManualClock(NOON)
    with serving(tmp_path / "ledger", clock, mix=f"{fate}=1", talk=timedelta(seconds=20)) as server:
        provider = adapter(server)
        with listening(provider, server) as heard:
            refs = [str(uuid4()) for _ in range(4)]
            for ref in refs:
                assert isinstance(provider.place(request(ref)), Accepted)
            clock.advance(LONG_AFTER)
            wait_until(lambda: ends_in(heard) >= set(refs))
        reports = [provider.read_event(event) for event in heard if event.kind == "ended"]
        polled = provider.poll([key(ref, ref) for ref in refs], clock.now())
        provider.close()

    told = {report.attempt_ref: report for report in reports if report is not None}
    assert {(report.outcome, report.known_word) for report in told.values()} == {expected}
    assert polled == told


def test_an_application_hears_the_same_of_its_calls(tmp_path: Path):
    clock = ManualClock(NOON)
    with serving(tmp_path / "ledger", clock, mix="completed=1") as server:
        fake(server).apps = {"voice-agent"}
        provider = adapter(server, ASTERISK_APP="voice-agent")
        with listening(provider, server) as heard:
            provider.place(request(REF))
            clock.advance(LONG_AFTER)
            wait_until(lambda: ends_in(heard) == {REF})
        provider.close()

    assert [event.kind for event in heard] == ["answered", "ended"]


def test_the_voice_agents_own_websocket_is_never_thrown_out(server: VendorServer):
    robot = adapter(server)
    robot.listens_as = "voice-agent"
    daemons = [adapter(server, ASTERISK_APP="voice-agent") for _ in range(2)]
    with (
        listening(robot, server, lines=1), listening(daemons[0], server, lines=2),
        listening(daemons[1], server, lines=3),
    ):  # fmt: skip
        names = [line.app for line in fake(server).lines]

    assert len(set(names)) == 3
    assert names[0] == "voice-agent"
    assert all(name.startswith("ringback-") and len(name) == 17 for name in names[1:])


def test_the_login_goes_in_a_header_and_never_into_an_address_or_a_log(
    server: VendorServer, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    provider = adapter(server)
    with listening(provider, server):
        [handshake] = fake(server).handshakes
    login = base64.b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()

    assert handshake.path == f"/ari/events?app={provider.listens_as}&subscribeAll=true"
    assert handshake.headers["Authorization"] == f"Basic {login}"
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith("websockets.server")]
    assert PASSWORD not in " ".join(ours)
    assert login not in " ".join(ours)


def test_a_broken_connection_is_made_again_and_what_was_missed_is_polled(server: VendorServer, clock: ManualClock):
    vendor, provider = fake(server), adapter(server)
    provider.cdr = vendor.cdr
    missed, seen = str(uuid4()), str(uuid4())
    with listening(provider, server) as heard:
        vendor.turns_listeners_away = True
        assert vendor.drop() == 1
        wait_until(lambda: not vendor.lines)
        provider.place(request(missed))
        clock.advance(LONG_AFTER)
        wait_until(vendor.has_told_everything)
        vendor.turns_listeners_away = False
        wait_until(lambda: bool(vendor.lines))
        provider.place(request(seen))
        clock.advance(LONG_AFTER)
        wait_until(lambda: ends_in(heard) == {seen})
    found = provider.poll([key(missed, missed), key(seen, seen)], clock.now())
    provider.close()

    assert {ref: report and report.phase for ref, report in found.items()} == {missed: Phase.ENDED, seen: Phase.ENDED}


def test_events_that_cannot_be_kept_are_offered_again_in_their_order(server: VendorServer, clock: ManualClock):
    vendor, provider = fake(server), adapter(server)
    offers: list[Sequence[ProviderEvent]] = []

    def fail_at_first(events: Sequence[ProviderEvent]) -> None:
        offers.append(events)
        if len(offers) == 1:
            raise OSError("the database is away")

    refs = [str(uuid4()) for _ in range(3)]
    with listening(provider, server, keep=fail_at_first):
        for ref in refs:
            vendor.say({**end_of(ref, cause=17), "timestamp": stamp(NOON)})
        wait_until(lambda: sum(len(events) for events in offers[1:]) == 3)
    provider.close()

    assert [event.attempt_ref for events in offers[1:] for event in events] == refs


def test_events_that_were_never_kept_are_offered_once_more_at_the_end(server: VendorServer):
    provider = adapter(server)
    offers: list[Sequence[ProviderEvent]] = []

    def fail(events: Sequence[ProviderEvent]) -> None:
        offers.append(events)
        raise OSError("the database is away")

    with listening(provider, server, keep=fail):
        fake(server).say(end_of(REF, cause=17))
        wait_until(lambda: bool(offers))
    provider.close()

    assert len(offers) >= 2
    assert [event.attempt_ref for event in offers[-1]] == [REF]


def test_a_listener_that_is_turned_away_goes_on_until_it_is_stopped(server: VendorServer):
    vendor, provider = fake(server), adapter(server, ASTERISK_PASSWORD="wrong")
    stopped = Event()
    thread = Thread(target=provider.listen, args=(lambda events: None, stopped))
    thread.start()
    wait_until(lambda: len(vendor.handshakes) >= 2)
    assert thread.is_alive()
    stopped.set()
    thread.join(BACKSTOP)

    assert not thread.is_alive()
    assert vendor.lines == []


def test_without_the_library_everything_but_listening_works(server: VendorServer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "websockets.sync.client", None)
    provider, stopped = adapter(server), Event()
    thread = Thread(target=provider.listen, args=(lambda events: None, stopped))
    thread.start()
    findings = provider.inspect([], [])
    placed = provider.place(request(REF))
    stopped.set()
    thread.join(BACKSTOP)
    provider.close()

    assert placed == Accepted(REF)
    assert not thread.is_alive()
    assert any("websockets is missing" in one.sentence for one in findings if one.standing is Standing.WARNING)


def test_a_host_that_leads_to_metadata_is_not_listened_to(server: VendorServer):
    keys = {"ASTERISK_EVENTS_URL": "ws://169.254.169.254"}
    with pytest.raises(InvalidValue, match="ASTERISK_EVENTS_URL"):
        adapter(server, **keys)


def test_it_is_a_listener_and_takes_no_webhooks(server: VendorServer):
    provider = adapter(server)

    assert isinstance(provider, Listener)
    with pytest.raises(HookRefused) as refused:
        provider.receive(Hook("http://x/webhooks/asterisk", {}, b"{}"), NOON)
    assert refused.value.status == 404


# --- polling


@pytest.mark.parametrize(
    ("state", "phase"),
    [
        ("Down", Phase.DIALING), ("Rsrvd", Phase.DIALING), ("Rsrved", Phase.DIALING), ("Dialing", Phase.DIALING),
        ("Ring", Phase.RINGING), ("Ringing", Phase.RINGING), ("Pre-ring", Phase.RINGING), ("Up", Phase.ANSWERED),
        ("OffHook", Phase.DIALING), ("Busy", Phase.DIALING), ("Unknown", Phase.DIALING), ("eaten", Phase.DIALING),
        (None, Phase.DIALING), (7, Phase.DIALING),
    ],
)  # fmt: skip
def test_the_state_of_a_channel_is_a_phase(server: VendorServer, state: object, phase: Phase):
    dial(server)
    fake(server).changes[REF] = {"state": state}
    provider = adapter(server)

    found, polled = provider.find(key(REF), NOON), provider.poll([key(REF, REF)], NOON)[REF]
    assert found == polled
    assert polled is not None
    assert (polled.phase, polled.call_id, polled.attempt_ref, polled.outcome) == (phase, REF, REF, None)
    assert DIGITS not in repr(polled)


def test_one_request_polls_all_calls(server: VendorServer):
    provider = adapter(server)
    refs = [str(uuid4()) for _ in range(30)]
    for ref in refs:
        provider.place(request(ref))
    fake(server).asked.clear()
    provider.poll([key(ref, ref) for ref in refs], NOON)

    assert fake(server).asked == {"GET ari channels": 1}


def test_a_call_that_left_no_trace_has_failed_after_15_seconds(server: VendorServer):
    provider = adapter(server)
    asked = [key(REF, REF)]

    assert [provider.poll(asked, NOON + timedelta(seconds=at)) for at in (0, 14.9)] == [{}, {}]
    report = provider.poll(asked, NOON + timedelta(seconds=15))[REF]
    assert report is not None
    assert (report.phase, report.outcome, report.provider_status) == (Phase.ENDED, Outcome.FAILED, "gone")
    assert report.ended_at == NOON
    assert provider.poll(asked, NOON + timedelta(seconds=90)) == {REF: report}


def test_a_call_that_was_answered_and_left_no_trace_is_completed(server: VendorServer):
    provider = adapter(server)
    asked = [replace(key(REF, REF), answered_at=ANSWERED_AT)]

    assert provider.poll(asked, NOON) == {}
    report = provider.poll(asked, NOON + timedelta(seconds=20))[REF]
    assert report is not None
    assert (report.outcome, report.answered_at, report.talk_seconds) == (Outcome.COMPLETED, ANSWERED_AT, None)


def test_a_channel_that_is_there_after_all_was_never_gone(server: VendorServer):
    provider = adapter(server)
    asked = [key(REF, REF)]

    assert provider.poll(asked, NOON) == {}
    dial(server)
    assert provider.poll(asked, NOON + timedelta(seconds=16))[REF] is not None
    fake(server).replies["GET /ari/channels"] = Reply(200, [])
    assert provider.poll(asked, NOON + timedelta(seconds=17)) == {}


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, {}), Reply(200, b"<html></html>"), Reply(200, [7]), Reply(200, [{"id": 7}]), Reply(200, [{}]),
        Reply(200, b"[" * 100_000), Reply(404, {"message": "Resource not found"}), Reply(500), Reply(204),
        Reply(behaviour="close"),
    ],
)  # fmt: skip
def test_an_unusable_list_of_channels_ends_no_call(server: VendorServer, reply: Reply):
    fake(server).replies["GET /ari/channels"] = reply
    provider = adapter(server)

    with pytest.raises(ProviderError) as failed:
        provider.poll([key(REF, REF)], NOON)
    assert not failed.value.permanent


def test_a_wrong_login_is_a_permanent_error_without_its_secret(server: VendorServer):
    provider = adapter(server, ASTERISK_PASSWORD="wrong-s3cret")
    for ask in (
        lambda: provider.poll([key(REF, REF)], NOON), lambda: provider.find(key(REF), NOON),
        lambda: provider.hang_up(REF), provider.read_vitals,
    ):  # fmt: skip
        with pytest.raises(ProviderError) as failed:
            ask()
        assert failed.value.permanent
        assert "wrong-s3cret" not in str(failed.value) + repr(failed.value)


# --- call records


def record(disposition: str, **changes: Any) -> dict[str, Any]:
    return {
        "uniqueid": REF, "start": NOON, "answer": None, "end": NOON + timedelta(seconds=30), "duration": 30,
        "billsec": 0, "disposition": disposition, "dst": NUMBER, **changes,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("disposition", "outcome", "is_known"),
    [
        ("BUSY", Outcome.BUSY, True), ("NO ANSWER", Outcome.NO_ANSWER, True),
        ("no answer", Outcome.NO_ANSWER, True), ("EATEN", Outcome.FAILED, False),
        ("", Outcome.FAILED, False), (None, Outcome.FAILED, False), (8, Outcome.FAILED, False),
    ],
)  # fmt: skip
def test_the_disposition_of_a_record_decides(server: VendorServer, disposition: Any, outcome: Outcome, is_known: bool):
    report = report_of(server, record(disposition))

    assert (report.phase, report.outcome, report.known_word) == (Phase.ENDED, outcome, is_known)
    assert (report.ended_at, report.talk_seconds) == (NOON + timedelta(seconds=30), None)
    assert DIGITS not in repr(report)


@pytest.mark.parametrize(
    ("talked", "outcome"), [(3, Outcome.HANG_UP), (8, Outcome.COMPLETED), ("20", Outcome.COMPLETED)]
)
def test_an_answered_record_is_judged_by_its_length(server: VendorServer, talked: Any, outcome: Outcome):
    end = ANSWERED_AT + timedelta(seconds=int(talked))
    report = report_of(server, record("ANSWERED", answer=ANSWERED_AT, end=end, billsec=talked))

    assert (report.outcome, report.talk_seconds, report.answered_at) == (outcome, int(talked), ANSWERED_AT)


def test_of_several_records_the_first_answer_and_the_last_end_count(server: VendorServer):
    rows = [
        record("NO ANSWER"),
        record("ANSWERED", answer=ANSWERED_AT, billsec=4),
        record("ANSWERED", answer=ANSWERED_AT + timedelta(seconds=4), billsec=21, end=NOON + timedelta(seconds=60)),
        record("FAILED"),
    ]
    report = report_of(server, *rows)

    assert (report.outcome, report.talk_seconds) == (Outcome.COMPLETED, 55)
    assert (report.answered_at, report.ended_at) == (ANSWERED_AT, NOON + timedelta(seconds=60))


@pytest.mark.parametrize("zone", [timedelta(hours=-4), timedelta(hours=2)])
def test_records_in_the_local_time_of_the_server_do_not_move_a_call_by_hours(server: VendorServer, zone: timedelta):
    shifted = {"answer": ANSWERED_AT + zone, "end": NOON + timedelta(seconds=30) + zone, "billsec": 25}
    report = report_of(server, record("ANSWERED", **shifted), now=NOON + timedelta(seconds=35))

    assert report.outcome is Outcome.COMPLETED
    assert (report.ended_at, report.answered_at) == (NOON + timedelta(seconds=35), NOON + timedelta(seconds=10))


def test_times_of_a_record_may_be_text_or_without_a_zone(server: VendorServer):
    report = report_of(server, record(
        "ANSWERED", answer="2026-03-02 12:00:05", end=(NOON + timedelta(seconds=30)).replace(tzinfo=None), billsec=25
    ))  # fmt: skip

    assert (report.answered_at, report.ended_at) == (ANSWERED_AT, NOON + timedelta(seconds=30))


def test_a_call_that_was_seen_answered_stays_so_whatever_its_record_says(server: VendorServer):
    asked = replace(key(REF, REF), answered_at=ANSWERED_AT)
    provider = with_records(server, record("NO ANSWER"))

    report = provider.poll([asked], NOON + timedelta(seconds=40))[REF]
    assert report is not None
    assert (report.outcome, report.answered_at) == (Outcome.COMPLETED, ANSWERED_AT)


def test_an_event_is_worth_more_than_a_record(server: VendorServer):
    provider = with_records(server, record("FAILED"))
    hear(provider, end_of(REF, cause=17))

    report = provider.poll([key(REF, REF)], NOON)[REF]
    assert report is not None
    assert report.outcome is Outcome.BUSY
    assert provider.find(key(REF), NOON) == report


def test_a_record_that_comes_late_is_waited_for(tmp_path: Path):
    clock = ManualClock(NOON)
    with serving(tmp_path / "ledger", clock, mix="busy=1") as server:
        provider = with_records(server)
        provider.place(request(REF))
        clock.advance(timedelta(seconds=20))
        assert provider.poll([key(REF, REF)], clock.now()) == {}
        provider.cdr = fake(server).cdr
        clock.advance(timedelta(seconds=3))
        report = provider.poll([key(REF, REF)], clock.now())[REF]

    assert report is not None
    assert report.outcome is Outcome.BUSY


def test_records_that_cannot_be_read_conclude_nothing_at_once_and_are_told_of(server: VendorServer):
    def fail(ids: Sequence[str]) -> Sequence[Mapping[str, Any]]:
        raise OSError(f"the database is away: {PASSWORD}")

    provider = adapter(server)
    provider.cdr = fail
    other = str(uuid4())
    provider.place(request(other))
    for at in (0, 59):
        assert provider.poll([key(REF, REF), key(other, other)], NOON + timedelta(seconds=at)).keys() == {other}
    with pytest.raises(NothingProven):
        provider.find(key(REF), NOON)
    vitals = provider.read_vitals()
    assert vitals is not None
    assert "could not be read" in " ".join(vitals.notices)
    assert PASSWORD not in " ".join(vitals.notices)
    # Its channel is gone, so a call is over all the same.
    report = provider.poll([replace(key(REF, REF), answered_at=ANSWERED_AT)], NOON + timedelta(seconds=60))[REF]
    assert report is not None
    assert (report.phase, report.outcome) == (Phase.ENDED, Outcome.COMPLETED)


# --- channel events


def events(*told: tuple[str, float, str], channame: str = "PJSIP/trunk-1", ref: str = REF) -> list[dict[str, Any]]:
    return [
        {"uniqueid": ref, "eventtype": kind, "eventtime": NOON + timedelta(seconds=at), "channame": channame,
         "extra": extra}
        for kind, at, extra in told
    ]  # fmt: skip


def hangup(at: float, cause: int, source: str = "PJSIP/trunk-1") -> list[tuple[str, float, str]]:
    extra = json.dumps({"hangupcause": cause, "hangupsource": source, "dialstatus": ""})
    return [("HANGUP", at, extra), ("CHAN_END", at, "")]


START, ANSWER = ("CHAN_START", 0.0, ""), ("ANSWER", 5.0, "")
UNANSWERED_EVENTS: list[tuple[int, str, Outcome | RefusalKind]] = [
    (1, "PJSIP/trunk-1", Outcome.INVALID_NUMBER), (21, "PJSIP/trunk-1", Outcome.HANG_UP),
    (17, "PJSIP/trunk-1", Outcome.BUSY), (19, "PJSIP/trunk-1", Outcome.NO_ANSWER), (19, "", Outcome.NO_ANSWER),
    (28, "PJSIP/trunk-1", Outcome.INVALID_NUMBER), (58, "PJSIP/trunk-1", Outcome.FAILED),
    (34, "PJSIP/trunk-1", RefusalKind.OUTAGE), (38, "PJSIP/trunk-1", RefusalKind.OUTAGE),
    (27, "PJSIP/trunk-1", RefusalKind.OUTAGE), (29, "PJSIP/trunk-1", RefusalKind.OUTAGE),
    (102, "PJSIP/trunk-1", RefusalKind.OUTAGE), (52, "PJSIP/trunk-1", RefusalKind.HOLD),
    (16, "", Outcome.CANCELLED), (0, "", Outcome.CANCELLED), (120, "PJSIP/trunk-1", Outcome.FAILED),
]  # fmt: skip


@each(("cause", "source", "expected"), UNANSWERED_EVENTS)
def test_channel_events_tell_the_cause_and_who_it_was(server: VendorServer, cause: int, source: str, expected: Any):
    report = told_by_events(server, events(START, *hangup(30, cause, source)))

    assert report.ended_at == NOON + timedelta(seconds=30)
    assert (report.outcome or (report.refusal and report.refusal.kind)) is expected


@each(
    ("source", "talked", "outcome"),
    [
        ("PJSIP/trunk-1", 4, Outcome.HANG_UP), ("PJSIP/trunk-1", 20, Outcome.COMPLETED), ("", 4, Outcome.COMPLETED),
        ("PJSIP/agent-7", 4, Outcome.COMPLETED), ("", 0.004, Outcome.FAILED),
    ],
)  # fmt: skip
def test_channel_events_tell_the_talk_and_who_ended_it(
    server: VendorServer, source: str, talked: float, outcome: Outcome
):
    report = told_by_events(server, events(START, ANSWER, *hangup(5 + talked, 0, source)))

    assert (report.outcome, report.answered_at, report.talk_seconds) == (outcome, ANSWERED_AT, int(talked))


def test_a_ringing_call_that_ended_as_asterisk_was_started_anew_was_cancelled_by_nobody(server: VendorServer):
    fake(server).started_at = stamp(NOON + timedelta(seconds=31))
    fake(server).clock.advance(timedelta(seconds=70))  # type: ignore[attr-defined]

    assert told_by_events(server, events(START, *hangup(30, 0, ""))).outcome is Outcome.FAILED


@pytest.mark.parametrize("written", [1772452805.25, "1772452805.250000", "2026-03-02 12:00:05.250000"])
def test_times_of_channel_events_are_read_as_each_table_has_them(server: VendorServer, written: Any):
    rows = events(START, ANSWER, *hangup(60, 16))
    rows[1]["eventtime"] = written

    assert told_by_events(server, rows).answered_at == ANSWERED_AT + timedelta(seconds=0.25)


def test_channel_events_without_the_name_of_the_channel_are_read(server: VendorServer):
    rows = [{name: value for name, value in row.items() if name != "channame"}
            for row in events(START, ANSWER, *hangup(8, 16))]  # fmt: skip

    assert told_by_events(server, rows).outcome is Outcome.HANG_UP


def test_a_call_without_an_end_in_its_events_was_made_and_is_over_once_its_channel_is_gone(server: VendorServer):
    """Asterisk was killed: the row of the channel's beginning is there, no other will come."""
    provider = adapter(server, ASTERISK_CDR_COMPLETE="yes")
    provider.cel = lambda ids: events(START, ANSWER)
    with pytest.raises(NothingProven):
        provider.find(key(REF), NOON + timedelta(seconds=30))

    found = provider.find(key(REF), NOON + timedelta(seconds=45))
    assert found is not None
    assert (found.phase, found.outcome, found.answered_at) == (Phase.ENDED, Outcome.COMPLETED, ANSWERED_AT)


# --- what proves that no call was made


def test_no_record_proves_nothing_where_asterisk_was_started_since(server: VendorServer):
    vendor, provider = fake(server), adapter(server, ASTERISK_CDR_COMPLETE="yes")
    provider.cel, provider.cdr = vendor.cel, vendor.cdr
    vendor.clock.advance(timedelta(minutes=3))  # type: ignore[attr-defined]
    now = vendor.clock.now()

    assert provider.find(key(REF), now) is None
    for started_at in (stamp(now - timedelta(minutes=2)), stamp(NOON + timedelta(seconds=5)), "", "soon", None):
        vendor.started_at = started_at  # type: ignore[assignment]
        with pytest.raises(NothingProven):
            provider.find(key(REF), now)
    vendor.started_at = stamp(NOON - timedelta(minutes=1))
    assert provider.find(key(REF), now) is None


@pytest.mark.parametrize("reply", [Reply(500), Reply(200, {}), Reply(200, {"status": []}), Reply(behaviour="close")])
def test_no_record_proves_nothing_where_asterisk_does_not_tell_since_when_it_runs(server: VendorServer, reply: Reply):
    provider = adapter(server, ASTERISK_CDR_COMPLETE="yes")
    provider.cel = fake(server).cel
    fake(server).replies["GET /ari/asterisk/info"] = reply

    with pytest.raises(NothingProven):
        provider.find(key(REF), NOON)


def test_no_record_proves_nothing_where_no_call_that_ended_has_one(server: VendorServer):
    provider = adapter(server, ASTERISK_CDR_COMPLETE="yes")
    provider.cel = lambda ids: []
    other = str(uuid4())
    hear(provider, end_of(other, cause=17))

    with pytest.raises(NothingProven, match="not being written"):
        provider.find(key(REF), NOON)
    provider.cel = lambda ids: events(START, ref=other)
    assert provider.find(key(REF), NOON) is None


@each(
    ("headers", "kind"),
    [
        ({"Server": "Asterisk/22.10.1", "Date": "x"}, Refused), ({"Server": "nginx", "Date": "x"}, Unanswered),
        ({}, Unanswered),
    ],
)
def test_a_503_of_asterisk_itself_proves_that_nothing_was_dialed(
    server: VendorServer, headers: dict[str, str], kind: type
):
    for body in ({"message": "Asterisk not booted"}, b""):
        answer = dial_scripted(server, Reply(503, body, headers))
        assert isinstance(answer, kind)
        assert not isinstance(answer, Refused) or answer.kind is RefusalKind.NEVER_SENT


# --- a trunk that says nothing


def begin(provider: Asterisk, ref: str, number: str = NUMBER) -> None:
    peer = {"id": ref, "state": "Down"}
    say(provider, {"type": "Dial", "dialstatus": "", "dialstring": f"{number}@trunk", "peer": peer})


def silent_end(provider: Asterisk, ref: str, **told: Any) -> CallReport:
    said = {"cause": 19, "tech_cause": 480, "state": "Down", **told}
    report = provider.read_event(hear(provider, end_of(ref, **said)))
    assert report is not None
    return report


@each("told", [{}, {"cause": 18, "tech_cause": 408}, {"tech_cause": None}, {"cause": 18, "tech_cause": None}])
def test_a_dead_trunk_spends_no_attempt(told: dict[str, Any]):
    provider = adapter_at("http://127.0.0.1:9")
    for _ in range(6):
        ref, number = str(uuid4()), f"+56912{uuid4().int % 10**6:06}"
        begin(provider, ref, number)
        report = silent_end(provider, ref, **told)
        assert report.refusal is not None
        assert report.refusal.kind is RefusalKind.OUTAGE


SIGNS: dict[str, dict[str, Any]] = {
    "it rings": {"type": "ChannelStateChange", "channel": {"state": "Ringing"}},
    "there is sound": {"type": "Dial", "dialstatus": "PROGRESS", "peer": {"state": "Down"}},
    "it is busy": {"type": "ChannelHangupRequest", "cause": 17, "tech_cause": 486, "channel": {"state": "Down"}},
    "it is answered": {"type": "ChannelStateChange", "channel": {"state": "Up"}},
}


@pytest.mark.parametrize("sign", SIGNS.values(), ids=SIGNS.keys())
def test_one_silent_number_of_a_trunk_that_lives_did_not_answer(sign: dict[str, Any]):
    for of_another in (False, True):
        provider, other = adapter_at("http://127.0.0.1:9"), str(uuid4())
        begin(provider, REF)
        part = "peer" if "peer" in sign else "channel"
        told = {**sign, "timestamp": stamp(NOON + timedelta(seconds=3)),
                part: {**sign[part], "id": other if of_another else REF}}  # fmt: skip
        provider.read_message(json.dumps(told))
        if of_another:
            assert silent_end(provider, REF).outcome is Outcome.NO_ANSWER
        elif sign[part]["state"] != "Up":
            assert silent_end(provider, REF).refusal is None


def test_a_number_that_is_silent_again_and_again_did_not_answer():
    """Some trunks tell of no ringing: nobody is to be rung without end for that."""
    provider = adapter_at("http://127.0.0.1:9")
    found = []
    for _ in range(5):
        ref = str(uuid4())
        begin(provider, ref)
        found.append(silent_end(provider, ref).outcome)

    assert found == [None, None, None, Outcome.NO_ANSWER, Outcome.NO_ANSWER]


def test_silence_that_was_not_heard_from_the_beginning_proves_nothing():
    assert silent_end(adapter_at("http://127.0.0.1:9"), REF).outcome is Outcome.NO_ANSWER


# --- the maximum and the answer


def test_a_call_is_hung_up_at_its_maximum_counted_from_the_answer(tmp_path: Path):
    clock = ManualClock(NOON)
    with serving(tmp_path / "ledger", clock, mix="completed=1", talk=timedelta(hours=1)) as server:
        provider = adapter(server)
        with listening(provider, server) as heard:
            provider.place(request(REF, max_duration=timedelta(seconds=0.2)))
            clock.advance(timedelta(seconds=30))
            wait_until(lambda: ends_in(heard) == {REF})
        report = provider.read_event(heard[-1])
        provider.close()

    assert report is not None
    assert report.outcome is Outcome.COMPLETED
    assert fake(server).asked["DELETE ari channels"] == 1


def test_a_call_that_was_answered_while_nobody_listened_has_its_own_answer_time_and_maximum(tmp_path: Path):
    clock = ManualClock(NOON)
    with serving(tmp_path / "ledger", clock, mix="completed=1", talk=timedelta(hours=1)) as server:
        dial(server, max_duration=timedelta(minutes=5))
        clock.advance(timedelta(seconds=100))
        answered_at = fake(server).sight(fake(server).call_of(REF)).answered_at  # type: ignore[arg-type]
        taken_over = adapter(server)
        first = taken_over.poll([key(REF, REF)], clock.now())[REF]
        clock.advance(timedelta(minutes=5))
        late = adapter(server)
        late.poll([key(REF, REF)], clock.now())
        over = fake(server).sight(fake(server).call_of(REF)).ended_at  # type: ignore[arg-type]

    assert first is not None
    assert (first.phase, first.answered_at) == (Phase.ANSWERED, answered_at)
    assert over == clock.now()


def test_an_end_whose_answer_nobody_heard_is_told_by_the_records(server: VendorServer):
    provider = adapter(server)
    provider.cel = lambda ids: events(START, ANSWER, *hangup(50, 16))
    event = hear(provider, end_of(REF, cause=16, state="Up", at=NOON + timedelta(seconds=50)))

    assert provider.read_event(event) is None
    report = provider.poll([key(REF, REF)], NOON + timedelta(seconds=51))[REF]
    assert report is not None
    assert (report.answered_at, report.talk_seconds) == (ANSWERED_AT, 45)


def test_an_answered_call_without_records_is_as_long_as_it_was_seen(server: VendorServer):
    dial(server)
    fake(server).changes[REF] = {"state": "Up"}
    provider = adapter(server)
    asked = replace(key(REF, REF), answered_at=ANSWERED_AT)
    provider.poll([asked], NOON + timedelta(seconds=40))
    fake(server).replies["GET /ari/channels"] = Reply(200, [])
    assert provider.poll([asked], NOON + timedelta(seconds=43)) == {}

    report = provider.poll([asked], NOON + timedelta(seconds=60))[REF]
    assert report is not None
    assert (report.outcome, report.talk_seconds) == (Outcome.COMPLETED, 35)


# --- nobody there to talk


def test_nothing_is_dialed_into_a_place_that_the_dialplan_has_not(server: VendorServer):
    provider = adapter(server, ASTERISK_CONTEXT="nosuch")
    vitals = provider.read_vitals()

    assert vitals is not None
    assert vitals.problem is not None
    assert "nosuch,s,1" in vitals.problem
    refused = provider.place(request(REF))
    assert isinstance(refused, Refused)
    assert (refused.kind, fake(server).starts) == (RefusalKind.HOLD, [])


@pytest.mark.parametrize("keys", [{"ASTERISK_CONTEXT": "nosuch"}, {"ASTERISK_APP": "robot"}])
def test_a_place_that_could_not_be_asked_about_is_asked_about_at_the_first_call(
    server: VendorServer, keys: dict[str, str]
):
    provider = adapter(server, **keys)
    assert provider.place(request(REF)) == Accepted(REF)

    assert fake(server).asked["DELETE ari channels"] == 1  # hung up before anybody could answer
    polled = provider.poll([key(REF, REF)], NOON)[REF]
    assert polled is not None
    assert polled.refusal is not None
    assert (polled.refusal.kind, polled.refusal.ours) == (RefusalKind.HOLD, False)
    assert isinstance(provider.place(request(str(uuid4()))), Refused)
    assert len(fake(server).starts) == 1


@pytest.mark.parametrize("agent", ["nosuch,7", "app:other"])
def test_a_campaigns_own_place_that_is_missing_stops_that_campaign_alone(server: VendorServer, agent: str):
    provider = adapter(server)
    with listening(provider, server) as heard:
        provider.place(request(REF, agent_id=agent))
        wait_until(lambda: ends_in(heard) == {REF})
    told = provider.read_event(heard[-1])

    assert told is not None
    assert told.refusal is not None
    assert (told.refusal.kind, told.refusal.ours) == (RefusalKind.HOLD, True)
    assert isinstance(provider.place(request(str(uuid4()), agent_id=agent)), Refused)
    assert isinstance(provider.place(request(str(uuid4()))), Accepted)
    vitals = provider.read_vitals()
    assert vitals is not None
    assert vitals.problem is None


@each(
    ("state", "keys", "word"),
    [
        ("offline", {}, "offline"), (None, {}, "not there"), ("online", {"ASTERISK_APP": "robot"}, "robot"),
        ("unknown", {}, None), ("online", {}, None),
    ],
)
def test_vitals_look_at_the_trunk_and_at_the_application(
    server: VendorServer, state: str | None, keys: dict[str, str], word: str | None
):
    fake(server).endpoints = {} if state is None else {"PJSIP/trunk": state}
    vitals = adapter(server, **keys).read_vitals()

    assert vitals is not None
    assert (vitals.problem is None) is (word is None)
    assert word is None or word in (vitals.problem or "")


def test_a_user_that_may_only_read_is_told_before_the_first_call(server: VendorServer):
    fake(server).read_only = True
    findings = adapter(server).inspect([], [])

    assert any(one.standing is Standing.PROBLEM and "read_only = no" in one.sentence for one in findings)


@each("name", ["cel", "cdr"])
def test_records_that_cannot_be_read_are_told_before_the_first_call(server: VendorServer, name: str):
    def fail(ids: Sequence[str]) -> Sequence[Mapping[str, Any]]:
        raise OSError("Access denied")

    provider = adapter(server)
    setattr(provider, name, fail)
    findings = provider.inspect([], [])

    assert any(one.standing is Standing.PROBLEM and f"ASTERISK_{name.upper()}_URL" in one.sentence for one in findings)


# --- finding


def test_without_records_that_are_complete_not_found_proves_nothing(server: VendorServer):
    silent, doubtful = adapter(server), adapter(server, ASTERISK_CDR_COMPLETE="no")
    complete = adapter(server, ASTERISK_CDR_COMPLETE="yes")
    doubtful.cdr = complete.cdr = fake(server).cdr

    assert [one.finds_by_ref for one in (silent, doubtful, complete)] == [False, False, True]
    assert silent.find(key(REF), NOON) is None


def test_a_call_whose_end_was_heard_is_found(server: VendorServer):
    provider = adapter(server)
    hear(provider, end_of(REF, cause=1, tech_cause=404))

    report = provider.find(key(REF), NOON)
    assert report is not None
    assert (report.phase, report.outcome, report.call_id) == (Phase.ENDED, Outcome.INVALID_NUMBER, REF)


def test_a_call_that_is_only_in_the_records_is_found(server: VendorServer):
    report = with_records(server, record("NO ANSWER")).find(key(REF), NOON + timedelta(seconds=40))

    assert report is not None
    assert (report.outcome, report.call_id, report.attempt_ref) == (Outcome.NO_ANSWER, REF, REF)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(404, b"<html></html>"), Reply(404, {"message": "Resource not found"}), Reply(404), Reply(200, {}),
        Reply(200, {"id": "another"}), Reply(200, []), Reply(503, {"message": "Asterisk not booted"}), Reply(400),
    ],
)  # fmt: skip
def test_an_unusable_answer_to_find_is_no_proof(server: VendorServer, reply: Reply):
    fake(server).replies[f"GET /ari/channels/{REF}"] = reply

    with pytest.raises(ProviderError):
        with_records(server).find(key(REF), NOON)


# --- hanging up


@each(
    ("mix", "after", "outcome"), [("no_answer=1", 1, Outcome.CANCELLED), ("completed=1", 7, Outcome.COMPLETED)]
)
def test_a_call_that_we_end_is_cancelled_before_its_answer_and_completed_after(
    tmp_path: Path, mix: str, after: float, outcome: Outcome
):
    clock = ManualClock(NOON)
    with serving(tmp_path / "ledger", clock, mix=mix) as server:
        provider, elsewhere = adapter(server), adapter(server)
        with listening(provider, server) as heard:
            provider.place(request(REF))
            clock.advance(timedelta(seconds=after))
            assert provider.hang_up(REF) is True
            wait_until(lambda: ends_in(heard) == {REF})
        report = elsewhere.read_event(heard[-1])
        polled = provider.poll([key(REF, REF)], clock.now())[REF]
        again = provider.hang_up(REF)

    assert report == polled
    assert report is not None
    assert (report.outcome, report.ended_at) == (outcome, clock.now())
    assert again is False
    assert fake(server).asked["DELETE ari channels"] == 2


@each(
    ("state", "said", "outcome"),
    [
        ("Ringing", {"soft": True, "cause": 32}, Outcome.CANCELLED),
        ("Down", {"soft": True}, Outcome.CANCELLED),
        ("Ringing", {"soft": False}, Outcome.NO_ANSWER),
        ("Ringing", {"soft": 1}, Outcome.NO_ANSWER),
        ("Ringing", {"cause": 16}, Outcome.NO_ANSWER),
        ("Ringing", None, Outcome.NO_ANSWER),  # the listener was away: nothing tells it from the callee's end
    ],
)
def test_a_ringing_call_that_somebody_stopped_at_asterisk_is_cancelled(state: str, said, outcome: Outcome):
    provider, elsewhere = adapter_at("http://127.0.0.1:9"), adapter_at("http://127.0.0.1:9")
    if said is not None:
        asked = {"type": "ChannelHangupRequest", "channel": {"id": REF, "state": state}, **said}
        assert provider.read_message(json.dumps(asked)) is None
    event = hear(provider, end_of(REF, cause=16, state=state))

    for reader in (provider, elsewhere):
        report = reader.read_event(event)
        assert report is not None
        assert report.outcome is outcome


THEIRS: list[dict[str, Any]] = [{}, {"soft": True, "cause": 16}]
ENDED_BY: dict[str, tuple[list[dict[str, Any]], int, Outcome]] = {
    "the callee, in the dialplan": (THEIRS, 0, Outcome.HANG_UP),
    "the callee, in an application": ([{}], 0, Outcome.HANG_UP),
    "the callee, in a bridge": ([{}], 16, Outcome.HANG_UP),
    "our dialplan": ([{"soft": True, "cause": 16}], 16, Outcome.COMPLETED),
    "us, or somebody at the PBX": ([{"soft": True, "cause": 32}, {"soft": True, "cause": 16}], 16, Outcome.COMPLETED),
    "our maximum, in an application": ([], 0, Outcome.COMPLETED),
    "our maximum, in a bridge": ([], 16, Outcome.COMPLETED),
    "a restart of Asterisk": ([{"soft": True, "cause": 4}, {"soft": True, "cause": 16}], 0, Outcome.COMPLETED),
    "a line without sound": ([{"soft": True, "cause": 1}], 44, Outcome.COMPLETED),
}


@pytest.mark.parametrize(("requests", "cause", "outcome"), ENDED_BY.values(), ids=ENDED_BY.keys())
def test_who_ended_a_short_talk_is_told_by_the_first_request(
    requests: list[dict[str, Any]], cause: int, outcome: Outcome
):
    report = read_end(
        cause=cause, answered_at=ANSWERED_AT, at=ANSWERED_AT + timedelta(seconds=4), state="Up", requests=requests
    )

    assert (report.outcome, report.talk_seconds) == (outcome, 4)


@pytest.mark.parametrize(
    "requests", [[{"soft": True, "cause": 16}], []], ids=["no such place", "no such application"]
)
def test_a_call_that_is_cut_off_as_it_is_answered_was_none_and_no_other_follows_it(
    server: VendorServer, requests: list[dict[str, Any]]
):
    provider = adapter(server)
    provider.place(request(REF))
    hear(provider, answer_of(REF))
    if requests:
        say(provider, *asked_for(*requests))
    event = hear(provider, end_of(REF, cause=0, state="Up", at=ANSWERED_AT + timedelta(milliseconds=4)))
    report = provider.read_event(event)

    assert report is not None
    assert (report.outcome, report.talk_seconds) == (Outcome.FAILED, 0)
    refused = provider.place(request(str(uuid4())))
    assert isinstance(refused, Refused)
    assert (refused.kind, len(fake(server).starts)) == (RefusalKind.HOLD, 1)
    assert "cut off" in refused.reason
    vitals = provider.read_vitals()  # the place is there after all: something else cut it off
    assert vitals is not None
    assert vitals.problem is None
    assert isinstance(provider.place(request(str(uuid4()))), Accepted)


def test_a_ringing_call_that_a_restart_of_asterisk_broke_off_was_cancelled_by_nobody():
    provider = adapter_at("http://127.0.0.1:9")
    say(provider, *asked_for({"soft": True, "cause": 4}, state="Ringing"))
    report = provider.read_event(hear(provider, end_of(REF, cause=0, state="Ringing")))

    assert report is not None
    assert report.outcome is Outcome.FAILED


def test_a_call_that_another_process_ends_while_it_rings_is_cancelled(tmp_path: Path):
    clock = ManualClock(NOON)
    with serving(tmp_path / "ledger", clock, mix="no_answer=1") as server:
        daemon, command_line = adapter(server), adapter(server)
        with listening(daemon, server) as heard:
            daemon.place(request(REF))
            clock.advance(timedelta(seconds=1))
            assert command_line.hang_up(REF) is True
            wait_until(lambda: ends_in(heard) == {REF})
        told, polled = daemon.read_event(heard[-1]), daemon.poll([key(REF, REF)], clock.now())[REF]

    assert told == polled
    assert told is not None
    assert told.outcome is Outcome.CANCELLED


def test_without_events_and_records_a_call_that_we_end_is_over_at_once(server: VendorServer):
    answered = str(uuid4())
    provider = adapter(server)
    for ref in (REF, answered):
        provider.place(request(ref))
        provider.hang_up(ref)
    asked = [key(REF, REF), replace(key(answered, answered), answered_at=ANSWERED_AT)]

    found = provider.poll(asked, NOON)
    assert {ref: report and report.outcome for ref, report in found.items()} == {
        REF: Outcome.CANCELLED, answered: Outcome.COMPLETED,
    }  # fmt: skip
    assert provider.poll(asked, NOON + timedelta(minutes=1)) == found


def test_a_call_that_was_not_there_to_be_ended_is_not_cancelled(server: VendorServer):
    provider = adapter(server)

    assert provider.hang_up(REF) is False
    assert provider.poll([key(REF, REF)], NOON) == {}


@pytest.mark.parametrize(
    "reply", [Reply(404, b"<html></html>"), Reply(200, {}), Reply(500), Reply(400, {"message": "Invalid reason"})]
)
def test_an_unusable_answer_to_a_hang_up_is_an_error(server: VendorServer, reply: Reply):
    fake(server).replies[f"DELETE /ari/channels/{REF}"] = reply
    provider = adapter(server)

    with pytest.raises(ProviderError):
        provider.hang_up(REF)
    assert provider.poll([key(REF, REF)], NOON) == {}


def test_the_memory_is_bounded_and_forgets_the_oldest():
    memory = Memory(most=3)
    for name in ("a", "b", "c", "a", "d"):
        memory.note(name, hung_up=True)

    assert [memory.of(name).hung_up for name in "abcd"] == [True, False, True, True]
    assert MOST_REMEMBERED >= 10_000


# --- the account


def test_vitals_count_the_channels(server: VendorServer):
    dial(server)
    provider = adapter(server)
    vitals = provider.read_vitals()

    assert vitals is not None
    assert (vitals.problem, vitals.most_calls, vitals.in_use) == (None, 40, 1)


@pytest.mark.parametrize("reply", [Reply(500), Reply(404, b"<html></html>"), Reply(behaviour="close")])
def test_vitals_of_an_asterisk_that_does_not_answer_are_an_error(server: VendorServer, reply: Reply):
    fake(server).replies["GET /ari/asterisk/info"] = reply

    with pytest.raises(ProviderError):
        adapter(server).read_vitals()


def test_an_inspection_of_what_is_right_has_no_problem(server: VendorServer):
    fake(server).apps = {"robot"}
    provider = adapter(server, ASTERISK_CALLER_ID="+56221234567", ASTERISK_CDR_COMPLETE="yes")
    provider.cdr, provider.cel = fake(server).cdr, fake(server).cel
    findings = provider.inspect(["app:robot", "sales,7"], ["+56229999999"])

    assert {one.standing for one in findings} == {Standing.OK}
    said = " ".join(one.sentence for one in findings)
    assert all(word in said for word in ("22.5.0", "PJSIP/trunk", "robot", "sales,7,1", "unanswered = yes"))


INSPECTIONS: dict[str, tuple[dict[str, str], dict[str, Reply], list[str], list[str], Standing, str]] = {
    "a wrong password": ({"ASTERISK_PASSWORD": "wr0ng-one"}, {}, [], [], Standing.PROBLEM, "ASTERISK_PASSWORD"),
    "an address that is closed to us": ({}, {"GET /ari/asterisk/info": Reply(403, {"message": "Access denied by ACL"})},
                                        [], [], Standing.PROBLEM, "permit"),
    "no ARI": ({}, {"GET /ari/asterisk/info": Reply(404, b"<html></html>")}, [], [], Standing.PROBLEM, "ari.conf"),
    "an Asterisk that fails": ({}, {"GET /ari/asterisk/info": Reply(500)}, [], [], Standing.PROBLEM, "ASTERISK_URL"),
    "an Asterisk that is gone": ({"ASTERISK_URL": "http://127.0.0.1:9"}, {}, [], [], Standing.PROBLEM, "ASTERISK_URL"),
    "no such trunk": ({"ASTERISK_ENDPOINT": "PJSIP/{number}@nowhere"}, {}, [], [], Standing.PROBLEM, "PJSIP/nowhere"),
    "a trunk that is offline": ({"ASTERISK_ENDPOINT": "PJSIP/{number}@down"}, {}, [], [], Standing.PROBLEM, "offline"),
    "a trunk that has no name": ({"ASTERISK_ENDPOINT": "Local/{number}@out"}, {}, [], [], Standing.WARNING, "by hand"),
    "a trunk that cannot be asked": ({}, {"GET /ari/endpoints/PJSIP/trunk": Reply(500)}, [], [], Standing.PROBLEM,
                                     "PJSIP/trunk"),
    "an application that is away": ({"ASTERISK_APP": "robot"}, {}, [], [], Standing.PROBLEM, "robot"),
    "a campaign's application that is away": ({}, {}, ["app:other"], [], Standing.PROBLEM, "other"),
    "an application that cannot be asked": ({}, {"GET /ari/applications/other": Reply(500)}, ["app:other"], [],
                                            Standing.PROBLEM, "other"),
    "a campaign's agent that is none": ({}, {}, ["agent_123"], [], Standing.PROBLEM, "agent_123"),
    "a campaign's caller id that is none": ({}, {}, [], ["+12", "Acme"], Standing.PROBLEM, "not numbers: 1"),
    "no caller id": ({}, {}, [], [], Standing.WARNING, "ASTERISK_CALLER_ID"),
    "no call records": ({}, {}, [], [], Standing.WARNING, "ASTERISK_CDR_URL"),
    "no such place": ({"ASTERISK_CONTEXT": "nosuch"}, {}, [], [], Standing.PROBLEM, "nosuch,s,1"),
    "a campaign's place that is not there": ({}, {}, ["nosuch,7"], [], Standing.PROBLEM, "nosuch,7,1"),
    "a place that cannot be asked about": ({}, {"POST /ari/channels/create": Reply(500)}, [], [], Standing.WARNING,
                                           "did not tell"),
    "no WebSocket": ({"ASTERISK_EVENTS_URL": "ws://127.0.0.1:9"}, {}, [], [], Standing.PROBLEM, "ASTERISK_EVENTS_URL"),
}  # fmt: skip


@pytest.mark.parametrize("case", INSPECTIONS.values(), ids=INSPECTIONS.keys())
def test_an_inspection_says_what_is_wrong_and_no_secret(server: VendorServer, case: Any):
    keys, replies, agents, numbers, standing, word = case
    fake(server).endpoints["PJSIP/down"] = "offline"
    fake(server).replies.update(replies)
    findings = adapter(server, **keys).inspect(agents, numbers)

    assert any(one.standing is standing and word in one.sentence for one in findings), findings
    assert not any(secret in one.sentence for one in findings for secret in (PASSWORD, "wr0ng-one"))


@pytest.mark.parametrize(
    ("endpoint", "asked"),
    [
        ("PJSIP/{number}@trunk", "PJSIP/trunk"),
        ("PJSIP/trunk/sip:{digits}@10.0.0.1:5060", "PJSIP/trunk"),
        ("SIP/trunk/{number}", "SIP/trunk"),
        ("IAX2/user:s3cret@host/{digits}", None),
        ("DAHDI/g1/{digits}", None),
        ("PJSIP/{number}", None),
    ],
)
def test_the_trunk_is_found_in_the_template(server: VendorServer, endpoint: str, asked: str | None):
    fake(server).endpoints["SIP/trunk"] = "unknown"
    findings = adapter(server, ASTERISK_ENDPOINT=endpoint).inspect([], [])

    assert any("cannot be verified" in one.sentence for one in findings) is (asked is None)
    assert any(f"The trunk {asked} is there" in one.sentence for one in findings) is (asked is not None)
    assert not any("s3cret" in one.sentence for one in findings)


# --- keys


def test_keys_that_are_missing_are_all_named():
    with pytest.raises(MissingKeys) as missing:
        open_provider(Keys({}), wiring())

    assert missing.value.names == ("ASTERISK_URL", "ASTERISK_USERNAME", "ASTERISK_PASSWORD", "ASTERISK_ENDPOINT")


@each(
    ("name", "value"),
    [
        ("ASTERISK_URL", "http://asterisk.example.com:8088"),
        ("ASTERISK_URL", "http://user:s3cret@10.0.0.1:8088"),
        ("ASTERISK_URL", "http://169.254.169.254"),
        ("ASTERISK_URL", "10.0.0.1"),
        ("ASTERISK_EVENTS_URL", "ws://asterisk.example.com"),
        ("ASTERISK_EVENTS_URL", "tcp://10.0.0.1"),
        ("ASTERISK_ENDPOINT", "PJSIP/trunk"),
        ("ASTERISK_ENDPOINT", "{number}"),
        ("ASTERISK_ENDPOINT", "PJSIP/{number}@trunk&PJSIP/{number}@other"),
        ("ASTERISK_ENDPOINT", "PJSIP/{nummer}@trunk"),
        ("ASTERISK_ENDPOINT", "IAX2/user:s3cret@host"),
        ("ASTERISK_CALLER_ID", "Acme"),
        ("ASTERISK_CALLER_ID", '"Acme" <Acme>'),
        ("ASTERISK_CONTEXT", "a,b"),
        ("ASTERISK_EXTENSION", "s 1"),
        ("ASTERISK_PRIORITY", "0"),
        ("ASTERISK_PRIORITY", "n"),
        ("ASTERISK_APP", "a,b"),
    ],
)
def test_a_key_of_the_wrong_form_is_named_and_no_secret_is_told(name: str, value: str):
    with pytest.raises(InvalidValue, match=name) as wrong:
        adapter_at("http://10.0.0.1:8088", **{name: value})

    assert "s3cret" not in str(wrong.value)
    assert PASSWORD not in str(wrong.value)


def test_a_call_cannot_go_into_an_application_and_into_the_dialplan():
    with pytest.raises(InvalidValue, match="ASTERISK_APP"):
        adapter_at("http://10.0.0.1:8088", ASTERISK_APP="robot", ASTERISK_CONTEXT="out")


@each(
    ("keys", "events"),
    [
        ({"ASTERISK_URL": "http://10.0.0.1:8088"}, "ws://10.0.0.1:8088/ari/events"),
        ({"ASTERISK_URL": "https://pbx.example.com/asterisk/"}, "wss://pbx.example.com/asterisk/ari/events"),
        ({"ASTERISK_URL": "http://pbx:8088/ari"}, "ws://pbx:8088/ari/events"),
        ({"ASTERISK_EVENTS_URL": "ws://10.0.0.2:9000"}, "ws://10.0.0.2:9000/ari/events"),
        ({"ASTERISK_EVENTS_URL": "wss://pbx.example.com/ari/events"}, "wss://pbx.example.com/ari/events"),
        ({"ASTERISK_EVENTS_URL": "https://pbx.example.com"}, "wss://pbx.example.com/ari/events"),
    ],
)
def test_events_come_from_the_same_asterisk_unless_said_otherwise(keys: dict[str, str], events: str):
    assert adapter_at("http://10.0.0.1:8088", **keys)._account.events_url == events


def test_the_password_shows_nowhere(server: VendorServer):
    provider = adapter(server)

    assert PASSWORD not in repr(provider) + repr(vars(provider)) + repr(provider._account)


# --- whatever comes

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    | st.sampled_from([REF, "Up", "ANSWER", stamp(NOON), "2026-13-45", "-1", "99999999999999999999"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from(["id", "type", "channel", "peer", "state", "cause", "tech_cause", "timestamp", "creationtime"]),
        inner, max_size=6,
    ),
    max_leaves=12,
)  # fmt: skip
DOCUMENTS = st.fixed_dictionaries({
    "type": st.sampled_from(["ChannelDestroyed", "StasisStart", "Dial", "ChannelStateChange"]),
    "dialstatus": st.sampled_from(["ANSWER", 7]),
    "channel": st.fixed_dictionaries({"id": st.just(REF), "state": ANYTHING, "creationtime": ANYTHING}) | ANYTHING,
    "peer": st.fixed_dictionaries({"id": st.just(REF)}) | ANYTHING,
    "timestamp": ANYTHING, "cause": ANYTHING, "cause_txt": ANYTHING, "tech_cause": ANYTHING,
})  # fmt: skip
KEPT = ("timestamp", "answered_at", "hung_up", "cause", "cause_txt", "tech_cause", "state", "creationtime")
ROWS = st.lists(st.fixed_dictionaries(
    {"uniqueid": st.just(REF) | ANYTHING},
    optional={name: ANYTHING | st.datetimes() for name in ("start", "answer", "end", "billsec", "disposition")},
), max_size=3)  # fmt: skip
QUICKLY = settings(max_examples=examples(10), suppress_health_check=[HealthCheck.function_scoped_fixture])


@QUICKLY
@given(st.binary(max_size=200) | st.text(max_size=200) | ANYTHING.map(json.dumps) | DOCUMENTS.map(json.dumps))
def test_whatever_is_heard_is_read_or_passed_over(message: str | bytes):
    provider = adapter_at("http://127.0.0.1:9")
    for said in (json.dumps(answer_of(REF)), message, message):
        event = provider.read_message(said)
        if event is not None:
            report = provider.read_event(event)
            assert report is not None
            assert (report.outcome is None and report.refusal is None) is (report.phase is not Phase.ENDED)


@QUICKLY
@given(st.sampled_from(["answered", "ended", "other"]), st.dictionaries(st.sampled_from(KEPT), ANYTHING))
def test_whatever_is_in_the_inbox_is_read(kind: str, payload: dict[str, Any]):
    provider = adapter_at("http://127.0.0.1:9")

    report = provider.read_event(ProviderEvent("k", kind, payload, attempt_ref=REF, call_id=REF))
    assert (report is None) is (kind == "other")
    assert provider.read_event(ProviderEvent("k", kind, payload)) is None


@QUICKLY
@given(ANYTHING)
def test_whatever_asterisk_answers_is_a_report_or_an_error(server: VendorServer, body: object):
    content = json.dumps(body).encode()
    provider, vendor = adapter(server), fake(server)
    for path in ("/ari/channels", f"/ari/channels/{REF}", "/ari/asterisk/info", "/ari/endpoints/PJSIP/trunk"):
        vendor.replies[f"GET {path}"] = Reply(200, content)
    for ask in (
        lambda: provider.poll([key(REF, REF)], NOON), lambda: provider.find(key(REF), NOON), provider.read_vitals,
    ):  # fmt: skip
        try:
            ask()
        except ProviderError:
            continue
    assert provider.inspect([], [])
    vendor.replies[f"POST /ari/channels/{REF}"] = Reply(200, content)
    assert isinstance(provider.place(request(REF)), Accepted | Unanswered)
    provider.close()


@QUICKLY
@given(ROWS)
def test_whatever_is_in_the_records_is_a_report_or_an_error(server: VendorServer, rows: list[dict[str, Any]]):
    provider = adapter(server)
    provider.cdr = lambda ids: rows
    try:
        found = provider.poll([key(REF, REF)], NOON)
    except ProviderError:
        found = {}
    provider.close()

    assert found.keys() <= {REF}


# --- helpers


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


@pytest.fixture
def server(tmp_path: Path, clock: ManualClock) -> Iterator[VendorServer]:
    with serving(tmp_path / "ledger", clock) as server:
        yield server


@contextmanager
def serving(ledger: Path, clock: ManualClock, **options: Any) -> Iterator[VendorServer]:
    server = open_vendor(FakeAsterisk, ledger, clock=clock, **options)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005})
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join(BACKSTOP)


def fake(server: VendorServer) -> FakeAsterisk:
    assert isinstance(server.vendor, FakeAsterisk)
    return server.vendor


def wiring(timeout: timedelta = PATIENCE, short_call: timedelta = timedelta(seconds=8)) -> Wiring:
    return Wiring(places=8, request_timeout=timeout, short_call=short_call)


def adapter_at(url: str, *, short_call: timedelta = timedelta(seconds=8), **keys: str) -> Asterisk:
    return open_provider(Keys({**account(url), **keys}), wiring(short_call=short_call))


def adapter(server: VendorServer, *, timeout: timedelta = PATIENCE, **keys: str) -> Asterisk:
    events = {"ASTERISK_EVENTS_URL": fake(server).events_url}
    return open_provider(Keys({**account(server.url), **events, **keys}), wiring(timeout))


def account(url: str) -> dict[str, str]:
    return {
        "ASTERISK_URL": url, "ASTERISK_USERNAME": USERNAME, "ASTERISK_PASSWORD": PASSWORD,
        "ASTERISK_ENDPOINT": "PJSIP/{number}@trunk",
    }  # fmt: skip


def dial(server: VendorServer, *, number: str = NUMBER, **told: Any):
    keys = {name: told.pop(name) for name in list(told) if name.isupper()}
    provider = adapter(server, **keys)
    try:
        return provider.place(replace(request(REF, **told), number=number))
    finally:
        provider.close()


def dial_scripted(server: VendorServer, reply: Reply):
    fake(server).replies[f"POST /ari/channels/{REF}"] = reply
    return dial(server)


def with_records(server: VendorServer, *rows: dict[str, Any]) -> Asterisk:
    provider = adapter(server)
    provider.cdr = lambda ids: [row for row in rows if row["uniqueid"] in ids]
    return provider


def told_by_events(server: VendorServer, rows: Sequence[dict[str, Any]]) -> CallReport:
    provider = adapter(server)
    provider.cel = lambda ids: rows
    report = provider.poll([key(REF, REF)], NOON + timedelta(seconds=70))[REF]
    assert report is not None
    return report


def report_of(server: VendorServer, *rows: dict[str, Any], now: datetime = NOON + timedelta(seconds=70)) -> CallReport:
    report = with_records(server, *rows).poll([key(REF, REF)], now)[REF]
    assert report is not None
    return report


def answer_of(ref: str, at: datetime = ANSWERED_AT) -> dict[str, Any]:
    return {"type": "ChannelStateChange", "timestamp": stamp(at), "channel": {"id": ref, "state": "Up"}}


def end_of(
    ref: str, *, cause: Any, tech_cause: int | None = None, at: datetime = NOON + timedelta(seconds=20),
    state: str = "Ringing",
) -> dict[str, Any]:  # fmt: skip
    channel = {"id": ref, "state": state, "creationtime": stamp(NOON)}
    end = {"type": "ChannelDestroyed", "timestamp": stamp(at), "cause": cause, "cause_txt": "text", "channel": channel}
    return end | ({} if tech_cause is None else {"tech_cause": tech_cause})


def hear(provider: Asterisk, document: dict[str, Any]) -> ProviderEvent:
    event = provider.read_message(json.dumps(document))
    assert event is not None
    return event


def asked_for(*requests: dict[str, Any], state: str = "Up") -> list[dict[str, Any]]:
    """What Asterisk says before an end; the callee's own goodbye, if nothing is given."""
    return [
        {"type": "ChannelHangupRequest", "channel": {"id": REF, "state": state}, **one} for one in requests or [{}]
    ]


def say(provider: Asterisk, *documents: dict[str, Any]) -> None:
    for one in documents:
        assert provider.read_message(json.dumps(one)) is None


def read_end(
    *, answered_at: datetime | None = None, requests: Sequence[dict[str, Any]] = (), **told: Any
) -> CallReport:
    provider = adapter_at("http://127.0.0.1:9")
    if answered_at is not None:
        hear(provider, answer_of(REF, answered_at))
    if requests:
        say(provider, *asked_for(*requests))
    report = provider.read_event(hear(provider, end_of(REF, **told)))
    assert report is not None
    return report


@contextmanager
def listening(
    provider: Asterisk, server: VendorServer, *, lines: int = 1, keep: Any = None
) -> Iterator[list[ProviderEvent]]:
    """The provider listens, in a thread; gives the events that it has handed over."""
    heard: list[ProviderEvent] = []
    stopped = Event()
    thread = Thread(target=provider.listen, args=(keep or heard.extend, stopped))
    thread.start()
    try:
        wait_until(lambda: len(fake(server).lines) == lines)
        yield heard
    finally:
        stopped.set()
        thread.join(BACKSTOP)
    assert not thread.is_alive()


def ends_in(heard: Sequence[ProviderEvent]) -> set[str | None]:
    return {event.attempt_ref for event in heard if event.kind == "ended"}

