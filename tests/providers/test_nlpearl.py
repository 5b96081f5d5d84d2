from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
from scheduler.providers.nlpearl import FEW, NLPearl, open_provider
from tests.each import each
from tests.examples import examples
from tests.providers.contract import NOON, NUMBER, Line, ProviderContract, key, request
from tests.providers.fakes import vendor
from tests.providers.fakes.nlpearl import (
    ACCOUNT_ID,
    CALLER,
    HOOK_SECRET,
    INBOUND_PEARL,
    OTHER_PEARL,
    PEARL,
    SECRET_KEY,
    FakeNLPearl,
    problem,
)
from tests.providers.fakes.vendor import Reply, VendorServer, calls_made, open_vendor, requests_made

PATIENCE = timedelta(seconds=30)
IMPATIENCE = timedelta(seconds=0.3)
PUBLIC_URL = "https://calls.example.org"
KEYS: Mapping[str, str] = {
    "NLPEARL_ACCOUNT_ID": ACCOUNT_ID, "NLPEARL_SECRET_KEY": SECRET_KEY, "NLPEARL_PEARL_ID": PEARL,
    "NLPEARL_WEBHOOK_SECRET": HOOK_SECRET,
}
OVER = NOON + timedelta(minutes=10)
LONGEST_HINT = 128


class TestNLPearlKeepsTheContract(ProviderContract):
    # "No" by a request of its own that stands for nothing else is not in the vendor's pages.
    refusals: ClassVar = {
        "throttle": RefusalKind.THROTTLED,
        "hold": RefusalKind.HOLD,
        "invalid_number": RefusalKind.INVALID_NUMBER,
        "do_not_call": RefusalKind.DO_NOT_CALL,
    }
    phases = frozenset({Phase.DIALING, Phase.RINGING, Phase.ENDED})  # it does not tell when somebody picks up
    hangs_up = False
    test_hanging_up_again_or_after_the_end_says_that_nothing_was_there = None
    many = 120  # of which those that are still in the queue are asked for one by one, at most FEW

    @pytest.fixture
    def line(self, tmp_path: Path) -> Iterator[Line]:
        clock = ManualClock(NOON)
        with serving(tmp_path, clock) as server:
            patient, impatient = adapter(server), adapter(server, timeout=IMPATIENCE)

            def mumble(call_id: str, is_over: bool) -> None:
                server.vendor.script(
                    call_id, {"status": 45}, {"status": 2, "conversationStatus": 45, "duration": 31 if is_over else 0}
                )

            yield Line(
                patient, clock, lambda faults: vendor.misbehave(server, faults), lambda ref: calls_made(server, ref),
                impatient, mumble,
            )
            patient.close()
            impatient.close()


class Pearl:
    """A fake account, an adapter for it, and the calls that tests make there."""

    def __init__(self, server: VendorServer, clock: ManualClock) -> None:
        self.server, self.clock = server, clock
        self.folder, self.started = Path(), 0
        self._open()

    def _open(self) -> None:
        self.fake: FakeNLPearl = self.server.vendor  # type: ignore[assignment]
        self.provider = adapter(self.server)
        self.line = Line(self.provider, self.clock, lambda faults: None, lambda ref: calls_made(self.server, ref))

    def start_over(self) -> None:
        """Another fake, which knows nothing yet, behind the same address, and an adapter that remembers nothing."""
        self.provider.close()
        self.clock.set(NOON)
        self.started += 1
        bound = open_vendor(FakeNLPearl, self.folder / f"ledger-{self.started}", clock=self.clock)
        bound.server_close()
        self.server.vendor = bound.vendor
        self._open()

    def place(self, ref: str = "a", **changes: object) -> str:
        answer = self.provider.place(request(ref, **changes))
        assert isinstance(answer, Accepted), answer
        return answer.call_id

    def say(self, kind: str, status: int, body: Any, content_type: str = "application/json") -> None:
        """From now on the vendor answers a kind of question so."""
        self.fake.canned[kind] = Reply(status, body, content_type=content_type)

    def poll(self, call_id: str, ref: str = "a") -> CallReport | None:
        return self.provider.poll([key(ref, call_id)], self.clock.now())[call_id]

    def ended(self, lead: dict[str, Any], call: dict[str, Any] | None) -> CallReport:
        call_id = self.place()
        self.fake.script(call_id, lead, call)
        self.clock.advance(OVER - NOON)
        report = self.poll(call_id)
        assert report is not None
        return report

    def last_start(self) -> Any:
        return next(one for one in reversed(self.fake.requests) if one.path[-1] == "Lead" and one.method == "POST")


@pytest.fixture(scope="module")
def line_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VendorServer]:
    """One address for all tests: each puts a fake of its own behind it, which is much faster than a new server."""
    with serving(tmp_path_factory.mktemp("line")) as server:
        yield server


@pytest.fixture
def pearl(line_in: VendorServer, tmp_path: Path) -> Iterator[Pearl]:
    pearl = Pearl(line_in, ManualClock(NOON))
    pearl.folder = tmp_path
    pearl.start_over()
    yield pearl
    pearl.provider.close()


on_one_server = partial(each, anew=lambda fixtures: fixtures["pearl"].start_over())


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pearl]:
    """For property tests: a call that was made, and answers about it that change."""
    clock = ManualClock(NOON)
    with serving(tmp_path_factory.mktemp("shared"), clock) as server:
        pearl = Pearl(server, clock)
        yield pearl
        pearl.provider.close()


# --- the start


def test_a_start_is_one_lead_with_our_reference_as_its_external_id(pearl: Pearl):
    call_id = pearl.place("ref-1", variables={"first_name": "Ana", "debt": 12, "vip": True, "nothing": None})

    started = pearl.last_start()
    assert started.path == ("v2", "Outbound", PEARL, "Lead")
    assert started.headers["authorization"] == f"Bearer {ACCOUNT_ID}:{SECRET_KEY}"
    assert started.headers["content-type"] == "application/json"
    assert started.document() == {
        "phoneNumber": NUMBER, "externalId": "ref-1", "callData": {"first_name": "Ana", "debt": "12", "vip": "true"},
    }
    assert call_id == pearl.fake.id_of(pearl.fake.calls()[0])


def test_the_time_zone_of_the_keys_is_sent_and_empty_variables_are_not(pearl: Pearl):
    provider = adapter(pearl.server, NLPEARL_TIME_ZONE="Pacific SA Standard Time")
    provider.place(request("zoned"))
    provider.close()

    assert pearl.last_start().document() == {
        "phoneNumber": NUMBER, "externalId": "zoned", "timeZoneId": "Pacific SA Standard Time",
    }


def test_a_campaigns_pearl_is_asked_instead_and_is_part_of_the_calls_id(pearl: Pearl):
    call_id = pearl.place("theirs", agent_id=OTHER_PEARL)

    assert pearl.last_start().path[2] == OTHER_PEARL
    assert call_id.startswith(f"{OTHER_PEARL}:")
    pearl.clock.advance(OVER - NOON)
    stranger = adapter(pearl.server)  # which has never heard of that Pearl
    report = stranger.poll([key("theirs", call_id)], pearl.clock.now())[call_id]
    stranger.close()
    assert report is not None
    assert (report.call_id, report.phase) == (call_id, Phase.ENDED)


def test_naming_the_own_pearl_changes_nothing(pearl: Pearl):
    assert ":" not in pearl.place("own", agent_id=PEARL)


@on_one_server("agent", ["a/b", "../Account", "a:b", "x" * 61, "with space"])
def test_an_agent_that_cannot_be_a_pearl_is_not_asked_for(pearl: Pearl, agent: str):
    answer = pearl.provider.place(request("nowhere", agent_id=agent))

    assert isinstance(answer, Refused)
    assert answer.kind is RefusalKind.HOLD
    assert pearl.fake.requests == []


def test_variables_that_are_no_json_are_refused_before_anything_is_sent(pearl: Pearl):
    loop: list[Any] = []
    loop.append(loop)
    answer = pearl.provider.place(request("odd", variables={"loop": loop}))

    assert isinstance(answer, Refused)
    assert answer.kind is RefusalKind.REFUSED
    assert pearl.fake.requests == []


def test_a_500_is_asked_exactly_once(pearl: Pearl):
    vendor.misbehave(pearl.server, "error_500=1")

    assert isinstance(pearl.provider.place(request("once")), Unanswered)
    assert requests_made(pearl.server, "once") == 1
    assert len(pearl.fake.requests) == 1


def errors(*, title: str = "One or more validation errors occurred.", **fields: list[str]) -> dict[str, Any]:
    return {"type": "about:blank", "title": title, "status": 400, "errors": fields}


DOCUMENTED = {
    "a bad number": (400, errors(PhoneNumber=[f"{NUMBER} is not valid"]), RefusalKind.INVALID_NUMBER),
    "a bad number in lower case": (400, errors(phoneNumber=["bad"]), RefusalKind.INVALID_NUMBER),
    "a number inside a lead": (400, errors(**{"$.phoneNumber": ["bad"]}), RefusalKind.INVALID_NUMBER),
    "a blacklisted number": (400, errors(PhoneNumber=["the number is blacklisted"]), RefusalKind.DO_NOT_CALL),
    "the blacklist by name": (400, errors(Blacklist=["no"]), RefusalKind.DO_NOT_CALL),
    "the blacklist in the title": (400, errors(title="Blacklisted"), RefusalKind.DO_NOT_CALL),
    "a number that has a lead": (400, errors(PhoneNumber=["already in this Pearl"]), RefusalKind.REFUSED),
    "a number that there is none of": (400, errors(PhoneNumber=["it does not exists"]), RefusalKind.INVALID_NUMBER),
    "a bad time zone": (400, errors(TimeZoneId=["unknown zone"]), RefusalKind.HOLD),
    "nothing named": (400, {"title": "Bad Request", "status": 400}, RefusalKind.HOLD),
    "a wrong key": (401, {"title": "Unauthorized", "status": 401}, RefusalKind.HOLD),
    "a wrong key, bare": (401, b"", RefusalKind.HOLD),
    "no permission": (403, {"title": "Forbidden", "status": 403}, RefusalKind.HOLD),
    "no such Pearl": (404, {"title": "Not Found", "status": 404}, RefusalKind.HOLD),
    "too fast": (429, {"message": "slow down"}, RefusalKind.THROTTLED),
    "too fast, bare": (429, b"", RefusalKind.THROTTLED),
    "a wrong key, in a word": (401, b"Unauthorized", RefusalKind.HOLD),
    "no permission, bare": (403, b"", RefusalKind.HOLD),
    "no permission, as a list": (403, ["Forbidden"], RefusalKind.HOLD),
    "too fast, in a word": (429, b"slow down", RefusalKind.THROTTLED),
}


@on_one_server(("status", "body", "kind"), DOCUMENTED.values(), ids=DOCUMENTED.keys())
def test_a_documented_refusal_is_proof(pearl: Pearl, status: int, body: Any, kind: RefusalKind):
    pearl.say("start", status, body)

    answer = pearl.provider.place(request("no"))

    assert isinstance(answer, Refused)
    assert answer.kind is kind
    assert NUMBER not in answer.reason
    assert len(pearl.fake.requests) == 1


PAGE = b"<html><body>403 Forbidden</body></html>"
PROVES_NOTHING = {
    "500": (500, errors(PhoneNumber=["bad"])),
    "502 of a proxy": (502, PAGE),
    "503": (503, {"title": "Service Unavailable", "status": 503}),
    "408": (408, {"title": "Request Timeout", "status": 408}),
    "409": (409, {"title": "Conflict", "status": 409}),
    "402": (402, {"title": "Payment Required", "status": 402}),
    "a redirect": (307, b""),
    "400 of a proxy": (400, PAGE),
    "400 without a shape": (400, {"message": "bad phoneNumber"}),
    "400 bare": (400, b""),
    "401 of a proxy": (401, PAGE),
    "403 of a proxy": (403, PAGE),
    "404 of a proxy": (404, PAGE),
    "404 bare": (404, b""),
    "404 without a shape": (404, {"message": "no Route matched"}),
    "429 of a proxy": (429, PAGE),
    "401 of a proxy that begins with a blank line": (401, b"\r\n <!DOCTYPE html><p>no"),
    "401 that names a lead": (401, {"title": "Unauthorized", "leadId": "66"}),
    "402 bare": (402, b""),
    "422 bare": (422, b""),
    "a reference that has a lead": (400, errors(ExternalId=["already exists"])),
    "success without an id": (200, {"status": "ok"}),
    "success with null": (200, {"leadId": None}),
    "success with an empty id": (200, {"leadId": " "}),
    "success with a list for an id": (200, {"leadId": ["a"]}),
    "success with an id too long to keep": (200, {"leadId": "x" * 61}),
    "success with true": (200, b"true"),
    "success with a list": (200, [{"leadId": "a"}]),
    "success with HTML": (200, PAGE),
    "success with nothing": (204, None),
    "success cut off": (200, b'{"leadId": "66'),
    "success nested too deep": (200, b"[" * 100_000),
}


@on_one_server(("status", "body"), PROVES_NOTHING.values(), ids=PROVES_NOTHING.keys())
def test_what_proves_nothing_is_unanswered_and_asked_once(pearl: Pearl, status: int, body: Any):
    pearl.say("start", status, body)

    answer = pearl.provider.place(request("perhaps"))

    assert isinstance(answer, Unanswered)
    assert NUMBER not in answer.reason
    assert len(pearl.fake.requests) == 1


def test_throttling_says_how_long(pearl: Pearl):
    vendor.misbehave(pearl.server, "throttle=1")

    answer = pearl.provider.place(request("fast"))

    assert isinstance(answer, Refused)
    assert answer.retry_after == timedelta(seconds=2)


def test_a_lead_id_in_the_casing_of_v1_is_taken(pearl: Pearl):
    pearl.say("start", 200, {"LeadId": "lead1"})

    assert pearl.provider.place(request("old")) == Accepted("lead1")


@on_one_server("number", ["+56912345678", "+56 9 1234 5678", "56-912-345-678", "(569) 1234 5678"])
def test_reasons_repeat_neither_numbers_nor_keys(pearl: Pearl, number: str):
    said = f"{number} of {ACCOUNT_ID} with {SECRET_KEY} is not valid" + " really" * 100
    pearl.say("start", 400, errors(PhoneNumber=[said]))

    answer = pearl.provider.place(request("echo"))

    assert isinstance(answer, Refused)
    assert "really" in answer.reason
    assert len(answer.reason) < 250
    for secret in (number, "5678", ACCOUNT_ID, SECRET_KEY):
        assert secret not in answer.reason


# --- what became of it: every row of the tables

TALK = {"duration": 60, "startTime": "2026-03-02T12:00:05Z"}
CALL_ROWS = [
    ({"status": 5, "conversationStatus": 10}, Outcome.BUSY, "Busy/NeedRetry"),
    ({"status": 6, "conversationStatus": 10}, Outcome.FAILED, "Failed/NeedRetry"),
    ({"status": 7, "conversationStatus": 10}, Outcome.NO_ANSWER, "NoAnswer/NeedRetry"),
    ({"status": 8, "conversationStatus": 10}, Outcome.CANCELLED, "Canceled/NeedRetry"),
    ({"status": 5, "conversationStatus": 150}, Outcome.BUSY, "Busy/Unreachable"),
    ({"status": 4, "conversationStatus": 10}, Outcome.NO_ANSWER, "Completed/NeedRetry"),
    ({"status": 4, "conversationStatus": 30}, Outcome.INVALID_NUMBER, "Completed/WrongCountryCode"),
    ({"status": 4, "conversationStatus": 70}, Outcome.VOICEMAIL, "Completed/VoiceMailLeft"),
    ({"status": 4, "conversationStatus": 100}, Outcome.COMPLETED, "Completed/Success"),
    ({"status": 4, "conversationStatus": 110}, Outcome.COMPLETED, "Completed/NotSuccessful"),
    ({"status": 4, "conversationStatus": 130}, Outcome.COMPLETED, "Completed/Completed"),
    ({"status": 4, "conversationStatus": 150}, Outcome.NO_ANSWER, "Completed/Unreachable"),
    ({"status": 4, "conversationStatus": 220}, Outcome.DO_NOT_CALL, "Completed/Blacklisted"),
    ({"status": 4, "conversationStatus": 300}, Outcome.FAILED, "Completed/QueueAbandon"),
    ({"status": 4, "conversationStatus": 500}, Outcome.FAILED, "Completed/Error"),
    ({"status": 4, "conversationStatus": 200}, Outcome.FAILED, "Completed/Error"),
    ({"status": 6, "conversationStatus": 220}, Outcome.DO_NOT_CALL, "Failed/Blacklisted"),
    ({"status": 8, "conversationStatus": 30}, Outcome.INVALID_NUMBER, "Canceled/WrongCountryCode"),
    ({"status": "Completed", "conversationStatus": "VoiceMailLeft"}, Outcome.VOICEMAIL, "Completed/VoiceMailLeft"),
    ({"status": "NoAnswer", "conversationStatus": "NeedRetry"}, Outcome.NO_ANSWER, "NoAnswer/NeedRetry"),
    ({"status": "completed", "conversationStatus": "NotSuccessfull"}, Outcome.COMPLETED, "Completed/NotSuccessful"),
    ({"status": "4", "conversationStatus": "Complete"}, Outcome.COMPLETED, "Completed/Completed"),
    ({"status": "Cancelled", "conversationStatus": "queue_abandon"}, Outcome.CANCELLED, "Canceled/QueueAbandon"),
]


@on_one_server(("call", "outcome", "word"), CALL_ROWS, ids=str)
@on_one_server("listed", [False, True], ids=["asked for", "listed"])
def test_every_row_of_the_calls_table(pearl: Pearl, call: dict[str, Any], outcome: Outcome, word: str, listed: bool):
    call = {**TALK, **call}
    report = one_of_many(pearl, call) if listed else pearl.ended({"status": 100}, call)

    assert (report.phase, report.outcome, report.provider_status) == (Phase.ENDED, outcome, word)
    assert report.known_word
    assert report.attempt_ref == "a"


@on_one_server(("lead", "outcome"), [(70, Outcome.VOICEMAIL), (100, Outcome.COMPLETED)])
def test_a_call_that_is_not_judged_is_judged_as_its_lead(pearl: Pearl, lead: int, outcome: Outcome):
    assert pearl.ended({"status": lead}, {**TALK, "status": 4, "conversationStatus": None}).outcome is outcome


LEAD_ROWS = [
    (10, Outcome.NO_ANSWER), (30, Outcome.INVALID_NUMBER), (70, Outcome.VOICEMAIL), (100, Outcome.COMPLETED),
    (110, Outcome.COMPLETED), (130, Outcome.COMPLETED), (150, Outcome.NO_ANSWER), (220, Outcome.DO_NOT_CALL),
    ("WrongCountryCode", Outcome.INVALID_NUMBER),
    ("Blacklisted", Outcome.DO_NOT_CALL), ("Unreachable", Outcome.NO_ANSWER),
]  # fmt: skip


@on_one_server(("status", "outcome"), LEAD_ROWS, ids=str)
def test_every_row_of_the_leads_table_without_a_call(pearl: Pearl, status: Any, outcome: Outcome):
    report = pearl.ended({"status": status}, None)

    assert (report.phase, report.outcome, report.known_word, report.is_final) == (Phase.ENDED, outcome, True, True)


@on_one_server(
    ("lead", "call"),
    [
        ({"status": 45}, None), ({"status": "Dialling"}, None), ({"status": 45}, {"status": 3}),
        ({"status": 45}, {"status": 9}),
    ],
    ids=str,
)
def test_a_word_that_nobody_knows_is_no_end_of_a_lead_or_of_its_call(
    pearl: Pearl, lead: dict[str, Any], call: dict[str, Any] | None
):
    blank = {"conversationStatus": lead["status"], "duration": 0, "summary": None}
    report = pearl.ended(lead, None if call is None else {**blank, **call})

    assert (report.phase is Phase.ENDED, report.outcome, report.refusal) == (False, None, None)
    assert not report.known_word


NEVER_DIALED = [
    (200, RefusalKind.OUTAGE), (500, RefusalKind.OUTAGE), ("Error", RefusalKind.OUTAGE), (300, RefusalKind.THROTTLED),
    ("QueueAbandon", RefusalKind.THROTTLED),
]  # fmt: skip


@on_one_server(("status", "kind"), NEVER_DIALED, ids=str)
@on_one_server("call", [None, {"status": 6}, {"status": 6, "duration": 0}], ids=str)
def test_a_lead_that_nlpearl_did_not_come_to_dial_is_not_spent(
    pearl: Pearl, status: Any, kind: RefusalKind, call: dict[str, Any] | None
):
    told = None if call is None else {"conversationStatus": status, "duration": None, **call}
    report = pearl.ended({"status": status}, told)

    assert (report.phase, report.outcome, report.refusal and report.refusal.kind) == (Phase.ENDED, None, kind)


@on_one_server(
    "call", [{"status": 6, "duration": 7}, {"status": 5}, {"status": 7}, {"status": 8}, {"status": 4}], ids=str
)
def test_an_error_of_nlpearls_does_not_undo_a_phone_that_rang(pearl: Pearl, call: dict[str, Any]):
    report = pearl.ended({"status": 500}, {"conversationStatus": 500, "duration": None, **call})

    assert (report.phase, report.refusal) == (Phase.ENDED, None)
    assert report.outcome is not None


LIVE_ROWS = [
    (1, Phase.DIALING), (20, Phase.DIALING), (40, Phase.RINGING), ("New", Phase.DIALING), ("OnCall", Phase.RINGING),
    ("InCallQueue", Phase.DIALING), (None, Phase.DIALING),
]  # fmt: skip


@on_one_server(("status", "phase"), LIVE_ROWS, ids=str)
def test_a_lead_that_waits_or_is_on_call_is_live(pearl: Pearl, status: Any, phase: Phase):
    report = pearl.ended({"status": status}, None)

    assert (report.phase, report.outcome, report.refusal) == (phase, None, None)


@on_one_server("judged", [1, 20, 40])
def test_a_call_that_is_over_but_not_judged_yet_is_still_live(pearl: Pearl, judged: int):
    report = pearl.ended({"status": 100}, {"status": 4, "conversationStatus": judged})

    assert (report.phase, report.outcome) == (Phase.RINGING, None)


def test_a_call_in_progress_is_live_whatever_its_lead_says(pearl: Pearl):
    assert pearl.ended({"status": 10}, {"status": 3, "conversationStatus": 100}).phase is Phase.RINGING


UNKNOWN_WORDS = [
    ({"status": 4, "conversationStatus": 777}, "Completed/777"),
    ({"status": 99, "conversationStatus": 100}, "99/Success"),
    ({"status": "Teleported", "conversationStatus": "Success"}, "Teleported/Success"),
    ({"status": 4, "conversationStatus": "Eaten"}, "Completed/Eaten"),
]


@on_one_server(("call", "word"), UNKNOWN_WORDS, ids=str)
def test_a_word_nobody_knows_is_a_failure_with_its_word_kept(pearl: Pearl, call: dict[str, Any], word: str):
    report = pearl.ended({"status": 100}, {**TALK, **call})

    assert (report.outcome, report.known_word, report.provider_status) == (Outcome.FAILED, False, word)


@on_one_server(
    ("seconds", "outcome"),
    [(0, Outcome.HANG_UP), (7, Outcome.HANG_UP), (8, Outcome.COMPLETED), (None, Outcome.COMPLETED),
     (-5, Outcome.COMPLETED), ("7", Outcome.HANG_UP), ([], Outcome.COMPLETED)],
)  # fmt: skip
@on_one_server("judged", [100, 110, 130])
def test_a_call_shorter_than_a_conversation_is_a_hang_up(pearl: Pearl, judged: int, seconds: Any, outcome: Outcome):
    report = pearl.ended({"status": judged}, {"status": 4, "conversationStatus": judged, "duration": seconds})

    assert report.outcome is outcome


def test_what_counts_as_short_is_told_by_the_wiring(pearl: Pearl):
    call_id = pearl.place()
    pearl.fake.script(call_id, {"status": 100}, {"status": 4, "conversationStatus": 100, "duration": 11})
    pearl.clock.advance(OVER - NOON)
    strict = adapter(pearl.server, short_call=timedelta(seconds=12))

    report = strict.poll([key("a", call_id)], pearl.clock.now())[call_id]

    strict.close()
    assert report is not None
    assert report.outcome is Outcome.HANG_UP


def test_a_voicemail_is_no_hang_up_however_short(pearl: Pearl):
    call = {"status": 4, "conversationStatus": 70, "duration": 2}

    assert pearl.ended({"status": 70}, call).outcome is Outcome.VOICEMAIL


def test_an_end_tells_length_price_and_summary(pearl: Pearl):
    report = pearl.ended(
        {"status": 100},
        {**TALK, "status": 4, "conversationStatus": 100, "summary": " It went well. ", "creditDebited": 1.25},
    )

    assert report.talk_seconds == 60
    assert (report.cost, report.cost_unit) == (Decimal("1.25"), "credits")
    assert report.summary == "It went well."
    assert report.ended_at == datetime(2026, 3, 2, 12, 1, 5, tzinfo=UTC)
    assert report.answered_at is None  # the vendor does not say
    assert report.is_final


def test_a_talk_without_a_price_is_not_final(pearl: Pearl):
    report = pearl.ended({"status": 100}, {**TALK, "status": 4, "conversationStatus": 100, "creditDebited": None})

    assert (report.outcome, report.cost, report.cost_unit, report.is_final) == (Outcome.COMPLETED, None, None, False)


def test_a_list_that_cannot_be_had_costs_nothing_but_the_price(pearl: Pearl):
    pearl.say("bulk", 500, b"")

    report = pearl.ended({"status": 100}, {**TALK, "status": 4, "conversationStatus": 100})

    assert (report.outcome, report.cost, report.is_final) == (Outcome.COMPLETED, None, False)


@on_one_server("body", [problem(404, "Call not found").body, b"", b"no such call", {"message": "gone"}])
def test_a_call_that_was_deleted_is_told_by_its_lead(pearl: Pearl, body: Any):
    call_id = pearl.place()
    pearl.fake.script(call_id, {"status": 110, "callsId": ["gone"], "lastCall": {"id": "gone", "duration": 3}}, {})
    pearl.clock.advance(OVER - NOON)

    report = pearl.poll(call_id)

    assert report is not None
    assert (report.outcome, report.provider_status) == (Outcome.HANG_UP, "NotSuccessful")
    assert report.is_final


def test_details_hold_neither_numbers_nor_recordings(pearl: Pearl):
    call_id = pearl.place("a", variables={"phone": NUMBER})
    pearl.fake.script(call_id, {"status": 100}, {**TALK, "status": 4, "conversationStatus": 100})
    pearl.clock.advance(OVER - NOON)

    report = pearl.poll(call_id)

    assert report is not None
    kept = json.dumps(report.details)
    assert report.details["call"]["conversationStatus"] == 100
    for hidden in (NUMBER, CALLER, "token=abc", "files.example.org"):
        assert hidden not in kept


WISH = datetime(2026, 3, 4, 15, 30)  # noqa: DTZ001  # as the agent wrote it: the lead's own time
FINDINGS = [
    ([{"id": "1", "name": "callback_at", "value": "2026-03-04T15:30:00"}], Outcome.CALLBACK),
    ([{"Id": "1", "Name": "Callback At", "Value": "2026-03-04T15:30:00"}], Outcome.CALLBACK),
    ({"callback_at": "2026-03-04T15:30:00"}, Outcome.CALLBACK),
    ([{"name": "do_not_call", "value": True}], Outcome.DO_NOT_CALL),
    ([{"name": "no_llamar", "value": "sí"}, {"name": "callback", "value": "yes"}], Outcome.DO_NOT_CALL),
    ([{"name": "callback", "value": "no"}], Outcome.COMPLETED),
    ([{"name": 7}, None, "text", {"value": 1}], Outcome.COMPLETED),
    ("text", Outcome.COMPLETED),
    (None, Outcome.COMPLETED),
]


@on_one_server(("collected", "outcome"), FINDINGS, ids=str)
def test_what_the_agent_wrote_down_decides(pearl: Pearl, collected: Any, outcome: Outcome):
    report = pearl.ended(
        {"status": 100}, {**TALK, "status": 4, "conversationStatus": 100, "collectedInfo": collected}
    )

    assert report.outcome is outcome
    if outcome is Outcome.CALLBACK:
        assert (report.callback_at, report.callback_zone) == (WISH, None)


def test_an_appointment_and_the_leads_own_findings_are_read(pearl: Pearl):
    report = pearl.ended(
        {"status": 100, "collectedData": {"callback_at": "2026-03-04T15:30:00Z"}},
        {**TALK, "status": 4, "conversationStatus": 100,
         "collectedInfo": [{"name": "cita", "value": "2026-03-05T10:00:00Z"}]},
    )  # fmt: skip

    assert report.appointment_at == datetime(2026, 3, 5, 10, 0, tzinfo=UTC)
    assert (report.outcome, report.callback_zone) == (Outcome.CALLBACK, "UTC")


@on_one_server("call", [{**TALK, "status": 4, "conversationStatus": 70}, None], ids=["call", "lead alone"])
def test_a_machine_books_nothing_and_asks_for_nothing(pearl: Pearl, call: dict[str, Any] | None):
    said = {"do_not_call": True, "callback_at": "2026-03-04 15:30", "cita": "2026-03-05 10:00"}

    report = pearl.ended({"status": 70, "collectedData": said}, call and {**call, "collectedInfo": said})

    assert report.outcome is Outcome.VOICEMAIL
    assert (report.appointment_at, report.callback_at, report.callback_zone) == (None, None, None)


@on_one_server("odd", [-5, "-1", "long", [], {"s": 3}, float("1e30"), True])
@on_one_server("many", [False, True], ids=["asked for", "listed"])
def test_a_length_or_price_that_cannot_be_is_as_good_as_none(pearl: Pearl, odd: Any, many: bool):
    call = {"status": 4, "conversationStatus": 100, "duration": odd, "creditDebited": odd}
    if many:
        for number in range(FEW):
            pearl.place(f"other-{number}")
    report = pearl.ended({"status": 100}, call)

    assert (report.outcome, report.talk_seconds, report.cost) == (Outcome.COMPLETED, None, None)


def test_nobody_who_did_not_answer_asks_for_anything(pearl: Pearl):
    lead = {"status": 10, "collectedData": {"do_not_call": True}}

    report = pearl.ended(lead, {"status": 7, "conversationStatus": 10})

    assert report.outcome is Outcome.NO_ANSWER


@each("fate", ["completed", "callback", "no_answer", "busy", "hang_up", "voicemail", "failed",
                                  "invalid_number", "do_not_call"])  # fmt: skip
def test_every_fate_of_the_network_is_told(tmp_path: Path, fate: str):
    clock = ManualClock(NOON)
    with serving(tmp_path, clock, mix=f"{fate}=1", talk=timedelta(seconds=40)) as server:
        pearl = Pearl(server, clock)
        call_id = pearl.place()
        clock.advance(OVER - NOON)
        report = pearl.poll(call_id)
        pearl.provider.close()

    assert report is not None
    assert report.outcome == fate


# --- many calls, few requests


def test_250_ended_calls_cost_three_requests(pearl: Pearl):
    ids = [pearl.place(f"ref-{number}") for number in range(250)]
    pearl.clock.advance(OVER - NOON)
    pearl.fake.asked.clear()

    reports = pearl.provider.poll(
        [key(f"ref-{number}", call_id) for number, call_id in enumerate(ids)], pearl.clock.now()
    )

    assert {report.phase for report in reports.values() if report is not None} == {Phase.ENDED}
    assert len(reports) == 250
    assert [report.attempt_ref for report in reports.values() if report] == [f"ref-{number}" for number in range(250)]
    assert all(pearl.fake.asked[kind] <= 1 for kind in pearl.fake.asked if kind != "bulk")  # whether it redials
    assert pearl.fake.asked["bulk"] == 3


def test_listed_and_asked_for_is_told_alike(pearl: Pearl):
    ids = {f"ref-{number}": pearl.place(f"ref-{number}") for number in range(FEW + 10)}
    pearl.clock.advance(OVER - NOON)
    now = pearl.clock.now()

    listed = pearl.provider.poll([key(ref, call_id) for ref, call_id in ids.items()], now)
    asked = {call_id: pearl.poll(call_id, ref) for ref, call_id in ids.items()}

    assert {call_id: told(report) for call_id, report in listed.items()} == {
        call_id: told(report) for call_id, report in asked.items()
    }


def test_leads_that_are_in_no_list_are_asked_for_in_turn_until_all_were(tmp_path: Path):
    clock = ManualClock(NOON)
    with serving(tmp_path, clock, mix="busy=1", ring=timedelta(minutes=30)) as server:
        pearl = Pearl(server, clock)
        keys = [key(ref, pearl.place(ref)) for ref in (f"ref-{number}" for number in range(FEW * 3))]
        rounds = [set(pearl.provider.poll(keys, clock.now())) for _ in range(3)]
        pearl.provider.close()

    assert [len(round_) for round_ in rounds] == [FEW] * 3
    assert set().union(*rounds) == {one.call_id for one in keys}


def test_a_list_that_fails_leaves_the_asking_one_by_one(pearl: Pearl):
    keys = [key(ref, pearl.place(ref)) for ref in (f"ref-{number}" for number in range(FEW + 5))]
    pearl.say("bulk", 500, b"")

    assert len(pearl.provider.poll(keys, pearl.clock.now())) == FEW


def test_the_last_of_several_calls_of_a_lead_counts_in_whatever_order_they_are_listed(pearl: Pearl):
    keys = [key(ref, pearl.place(ref)) for ref in (f"ref-{number}" for number in range(FEW + 1))]
    rows = [
        {"id": str(minute), "leadId": keys[0].call_id, "status": status, "conversationStatus": 100, "duration": 60,
         "startTime": f"2026-03-02T12:0{minute}:00Z"}
        for minute, status in ((1, 5), (3, 4), (2, 7))
    ]  # fmt: skip
    pearl.say("bulk", 200, {"results": rows})

    report = pearl.provider.poll(keys, NOON)[str(keys[0].call_id)]

    assert report is not None
    assert report.outcome is Outcome.COMPLETED


@on_one_server(("status", "body"), [(500, b""), (404, PAGE), (200, {}), (200, PAGE)])
def test_an_end_whose_call_cannot_be_read_is_asked_for_again(pearl: Pearl, status: int, body: Any):
    call_id = pearl.place()
    pearl.clock.advance(OVER - NOON)
    pearl.say("call", status, body)

    with pytest.raises(ProviderError):
        pearl.poll(call_id)


@on_one_server("started", ["9999-12-31T23:59:59Z", "soon", 7, None, []])
def test_an_end_at_no_real_time_is_an_end_all_the_same(pearl: Pearl, started: Any):
    call = {"status": 4, "conversationStatus": 100, "duration": 60, "startTime": started}

    report = pearl.ended({"status": 100}, call)

    assert (report.outcome, report.ended_at) == (Outcome.COMPLETED, None)


def test_one_lead_that_cannot_be_read_does_not_hide_the_others(pearl: Pearl):
    keys = [key(ref, pearl.place(ref)) for ref in ("x", "y", "z")]
    pearl.clock.advance(OVER - NOON)
    pearl.fake.script(str(keys[1].call_id), {"id": []}, {})

    assert pearl.provider.poll(keys, pearl.clock.now()).keys() == {keys[0].call_id, keys[2].call_id}


def test_calls_of_two_pearls_are_asked_for_at_their_own(pearl: Pearl):
    ours, theirs = pearl.place("ours"), pearl.place("theirs", agent_id=OTHER_PEARL)

    reports = pearl.provider.poll([key("ours", ours), key("theirs", theirs)], pearl.clock.now())

    assert {report.attempt_ref for report in reports.values() if report} == {"ours", "theirs"}


@on_one_server("status", [401, 402, 403])
def test_a_question_that_the_account_may_not_ask_fails_for_good(pearl: Pearl, status: int):
    call_id = pearl.place()
    for kind in ("lead", "external", "account"):
        pearl.say(kind, status, {"title": "no", "status": status})

    for ask in (
        lambda: pearl.poll(call_id), lambda: pearl.provider.find(key("a"), NOON), lambda: pearl.provider.read_vitals(),
    ):
        with pytest.raises(ProviderError) as error:
            ask()
        assert error.value.permanent
        assert NUMBER not in str(error.value)


def test_after_a_no_of_the_account_nothing_more_is_asked(pearl: Pearl):
    keys = [key(ref, pearl.place(ref)) for ref in ("x", "y", "z")]
    pearl.say("lead", 401, {"title": "Unauthorized", "status": 401})

    with pytest.raises(ProviderError):
        pearl.provider.poll(keys, NOON)
    assert pearl.fake.asked["lead"] == 1


ABSENT = [
    (404, b""), (404, {"message": "not found"}), (404, b"Not Found"), (404, ["?"]),
    (404, {"title": "Not Found", "status": 404}), (204, None), (200, b"null"), (200, {}), (200, {"id": None}),
    (200, {"id": ""}), (200, {"Id": " ", "externalId": None}),
]  # fmt: skip
UNCLEAR = [
    (404, PAGE), (200, PAGE), (404, b" \n<p>"), (400, b""), (400, errors(leadId=["?"])), (200, {"ok": 1}), (200, b""),
    (200, {"id": ["x"]}), (200, []), (200, b"true"), (200, b'{"id": "66'),
]  # fmt: skip


@on_one_server(("status", "body"), ABSENT, ids=str)
def test_a_lead_is_absent_when_anything_but_a_page_says_so(pearl: Pearl, status: int, body: Any):
    call_id = pearl.place()
    pearl.say("lead", status, body)
    pearl.say("external", status, body)

    assert pearl.poll(call_id) is None
    assert pearl.provider.find(key("never"), NOON) is None
    assert pearl.fake.asked["number"] == 0


@on_one_server(("status", "body"), UNCLEAR, ids=str)
def test_an_answer_that_may_be_of_something_else_does_not_make_a_lead_absent(pearl: Pearl, status: int, body: Any):
    call_id = pearl.place()
    for kind in ("lead", "external", "number"):
        pearl.say(kind, status, body)

    for ask in (lambda: pearl.poll(call_id), lambda: pearl.provider.find(key("never"), NOON)):
        with pytest.raises(ProviderError) as error:
            ask()
        assert not error.value.permanent


def test_a_page_by_its_type_alone_proves_nothing(pearl: Pearl):
    call_id = pearl.place()
    for kind in ("lead", "external", "number", "start"):
        pearl.say(kind, 401 if kind == "start" else 404, b"Not here", "text/HTML; charset=utf-8")

    with pytest.raises(ProviderError):
        pearl.poll(call_id)
    with pytest.raises(ProviderError):
        pearl.provider.find(key("never"), NOON)
    assert isinstance(pearl.provider.place(request("perhaps")), Unanswered)


# --- a Pearl that redials by itself


@each("many", [1, FEW + 1])
def test_a_lead_that_the_vendor_will_call_again_is_not_over(tmp_path: Path, many: int):
    clock = ManualClock(NOON)
    with serving(tmp_path, clock, mix="no_answer=1") as server:
        pearl = Pearl(server, clock)
        pearl.fake.settings_changes[PEARL] = {"maximumCallAttempts": 3}
        keys = [key(ref, pearl.place(ref)) for ref in (f"ref-{number}" for number in range(many))]
        clock.advance(OVER - NOON)
        reports = pearl.provider.poll(keys, clock.now())
        again = pearl.provider.poll(keys, clock.now())
        pearl.provider.close()

    assert {report.phase for report in [*reports.values(), *again.values()] if report} == {Phase.DIALING}
    assert pearl.fake.asked["settings"] == 1


def test_a_pearl_whose_settings_cannot_be_read_is_taken_to_dial_once(pearl: Pearl):
    pearl.say("settings", 404, b"")

    assert pearl.ended({"status": 10}, {"status": 7, "conversationStatus": 10}).outcome is Outcome.NO_ANSWER


# --- finding it again


@each("how", ["404", "200"])
def test_the_vendors_own_no_is_proof(tmp_path: Path, how: str):
    with serving(tmp_path, unknown_lead=how) as server:
        pearl = Pearl(server, ManualClock(NOON))
        assert pearl.provider.find(key("never"), NOON) is None
        pearl.provider.close()

    assert pearl.fake.asked == {"external": 2, "pearls": 1}  # both outbound Pearls, and not the one for calls in


def test_a_400_is_confirmed_by_the_number(tmp_path: Path):
    with serving(tmp_path, unknown_lead="400") as server:
        pearl = Pearl(server, ManualClock(NOON))
        nobody = pearl.provider.find(key("never"), NOON)
        pearl.place("other")
        pearl.fake.asked.clear()
        another = pearl.provider.find(key("never"), NOON)
        pearl.provider.close()

    assert (nobody, another) == (None, None)
    assert pearl.fake.asked["leads"] == 1  # the number has a lead, so that all of its leads were looked at


def test_a_call_is_found_by_its_number_when_its_reference_is_not_understood(pearl: Pearl):
    for ref in ("first", "second"):
        pearl.place(ref)
    pearl.say("external", 400, errors(externalId=["?"]))

    for ref in ("first", "second"):
        found = pearl.provider.find(key(ref), NOON)
        assert found is not None
        assert found.attempt_ref == ref


@on_one_server(
    ("first", "second"),
    [((404, PAGE), (404, PAGE)), ((400, errors(a=["?"])), (400, errors(a=["?"]))), ((200, b""), (404, PAGE)),
     ((200, {"ok": True}), (200, {"ok": True})), ((200, PAGE), (400, b""))],
)  # fmt: skip
def test_what_stays_unclear_is_an_error_and_no_proof(pearl: Pearl, first: tuple[int, Any], second: tuple[int, Any]):
    pearl.say("external", *first)
    pearl.say("number", *second)

    with pytest.raises(ProviderError) as error:
        pearl.provider.find(key("never"), NOON)
    assert not error.value.permanent


def test_a_search_that_does_not_show_the_other_lead_proves_nothing(pearl: Pearl):
    other = pearl.place("other")
    pearl.say("external", 400, errors(externalId=["?"]))
    part = {"count": 500, "results": [{"id": other, "externalId": "other"}]}
    for answer in (part, {"count": 0, "results": []}, {"count": 500, "results": [{"id": "x", "externalId": "y"}]}, {}):
        pearl.say("leads", 200, answer)
        with pytest.raises(ProviderError):
            pearl.provider.find(key("never"), NOON)


def test_two_leads_with_one_reference_are_for_people_to_decide(pearl: Pearl):
    pearl.place("other")
    pearl.say("external", 400, errors(externalId=["?"]))
    rows = [{"id": one, "externalId": "twice"} for one in ("p", "q")]
    pearl.say("leads", 200, {"count": 2, "results": rows})

    with pytest.raises(ProviderError) as error:
        pearl.provider.find(key("twice"), NOON)
    assert error.value.permanent


def test_a_lead_of_another_reference_is_not_taken(pearl: Pearl):
    pearl.say("external", 200, {"id": "x", "externalId": "somebody-else", "status": 100})

    with pytest.raises(ProviderError, match="another reference"):
        pearl.provider.find(key("mine"), NOON)


def test_a_call_of_another_pearl_is_found_even_after_a_restart(pearl: Pearl):
    pearl.place("theirs", agent_id=OTHER_PEARL)
    restarted = adapter(pearl.server)

    found = restarted.find(key("theirs"), NOON)

    restarted.close()
    assert found is not None
    assert found.call_id.startswith(f"{OTHER_PEARL}:")


def test_without_the_list_of_pearls_nothing_is_proven(pearl: Pearl):
    pearl.say("pearls", 500, b"")

    with pytest.raises(ProviderError):
        pearl.provider.find(key("never"), NOON)


def test_an_error_at_one_pearl_does_not_hide_the_call_at_another(pearl: Pearl):
    pearl.place("theirs", agent_id=OTHER_PEARL)
    vendor_find = pearl.fake._find_by_ref
    pearl.fake._find_by_ref = lambda at, ref: problem(503, "no") if at == PEARL else vendor_find(at, ref)  # type: ignore

    assert pearl.provider.find(key("theirs"), NOON) is not None
    with pytest.raises(ProviderError):
        pearl.provider.find(key("never"), NOON)


def test_a_reference_is_quoted_in_addresses(pearl: Pearl):
    pearl.place("a/b?c d")

    found = pearl.provider.find(key("a/b?c d"), NOON)

    assert found is not None
    assert found.attempt_ref == "a/b?c d"


def test_a_lead_is_taken_back_from_the_queue_before_it_is_dialed(pearl: Pearl):
    call_id = pearl.place()
    server_lead = {"status": 20}
    pearl.fake.script(call_id, server_lead, None)

    assert pearl.provider.take_back(call_id) is True
    assert pearl.provider.take_back(call_id) is False
    assert pearl.provider.hang_up(call_id) is False
    assert pearl.provider.poll([key("a", call_id)], pearl.clock.now()) == {call_id: None}


@on_one_server("lead", [{"status": 40}, {"status": 100}, {"status": 777}], ids=str)
def test_a_lead_that_is_no_longer_queued_is_not_taken_back(pearl: Pearl, lead: dict[str, Any]):
    call_id = pearl.place()
    pearl.fake.script(call_id, lead, {"status": 3, "conversationStatus": 40})

    assert pearl.provider.take_back(call_id) is False
    assert pearl.fake.deleted == set()


def test_a_call_cannot_be_hung_up(pearl: Pearl):
    call_id = pearl.place()

    pearl.clock.advance(timedelta(seconds=2))  # on call
    with pytest.raises(ProviderError, match="NLPearl cannot end a call") as error:
        pearl.provider.hang_up(call_id)
    assert error.value.permanent


# --- webhooks

LEAD_HOOK = {
    "id": "lead1", "pearlId": PEARL, "externalId": "ref-1", "phoneNumber": NUMBER, "timeZone": "-4", "status": 100,
    "created": "2026-03-02T12:00:00Z", "callsId": ["call1"], "callData": {"phone": NUMBER}, "collectedData": {},
}
CALL_HOOK = {
    "id": "call1", "pearlId": PEARL, "startTime": "2026-03-02T12:00:00Z", "conversationStatus": 100, "status": 4,
    "from": CALLER, "to": NUMBER, "duration": 60, "recording": "https://files.example.org/r?token=abc",
    "transcript": [{"content": NUMBER}], "summary": "ok", "collectedInfo": [], "tags": [], "leadId": "lead1",
}


def hook(body: Any, *, tail: str = HOOK_SECRET, query: str = "", headers: Mapping[str, str] | None = None) -> Hook:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Hook(f"{PUBLIC_URL}/webhooks/nlpearl/{tail}{query}", headers or {}, raw, tail)


def receive(body: Any, **how: Any) -> ProviderEvent:
    events = offline().receive(hook(body, **how), NOON)
    assert len(events) == 1
    return events[0]


def test_a_lead_webhook_reaches_the_attempt_and_is_only_a_hint():
    event = receive(LEAD_HOOK)

    assert (event.attempt_ref, event.call_id, event.kind) == ("ref-1", "lead1", "lead Success")
    assert offline().read_event(event) is None
    assert not any(hidden in json.dumps(event.payload) for hidden in (NUMBER, HOOK_SECRET))


def test_a_call_webhook_names_the_lead_and_is_only_a_hint():
    event = receive(CALL_HOOK)

    assert (event.attempt_ref, event.call_id, event.kind) == (None, "lead1", "call Completed")
    assert offline().read_event(event) is None
    kept = json.dumps(event.payload)
    assert not any(hidden in kept for hidden in (NUMBER, CALLER, "token=abc", HOOK_SECRET))


@each("status", [4, 5, 6, 7, 8, 99, "Completed", "Eaten"])
def test_no_end_is_believed_from_a_call_webhook(status: Any):
    assert offline().read_event(receive({**CALL_HOOK, "status": status})) is None


@each("status", [10, 30, 70, 100, 110, 130, 150, 220, 300, 500, 777, "Success"])
def test_no_end_is_believed_from_a_lead_webhook(status: Any):
    assert offline().read_event(receive({**LEAD_HOOK, "status": status})) is None


@each(
    ("body", "phase"),
    [({**CALL_HOOK, "status": 3, "conversationStatus": 40}, Phase.RINGING),
     ({**CALL_HOOK, "status": "InProgress"}, Phase.RINGING),
     ({**LEAD_HOOK, "status": 1}, Phase.DIALING), ({**LEAD_HOOK, "status": 20}, Phase.DIALING),
     ({**LEAD_HOOK, "status": "OnCall"}, Phase.RINGING)],
)  # fmt: skip
def test_an_event_of_a_live_call_is_told(body: dict[str, Any], phase: Phase):
    report = offline().read_event(receive(body))

    assert report is not None
    assert (report.phase, report.call_id, report.outcome) == (phase, "lead1", None)


def test_the_casing_of_v1_is_taken_too():
    lead = receive({name[0].upper() + name[1:]: value for name, value in LEAD_HOOK.items()})
    call = receive({name[0].upper() + name[1:]: value for name, value in CALL_HOOK.items()})

    assert (lead.attempt_ref, lead.call_id, lead.kind) == ("ref-1", "lead1", "lead Success")
    assert (call.call_id, call.kind) == ("lead1", "call Completed")
    assert (lead.key, call.key) == (receive(LEAD_HOOK).key, receive(CALL_HOOK).key)
    kept = json.dumps([lead.payload, call.payload])
    assert NUMBER not in kept


def test_an_event_of_another_pearl_names_its_call_as_the_start_did(pearl: Pearl):
    call_id = pearl.place("theirs", agent_id=OTHER_PEARL)
    made = pearl.fake.calls()[0]

    for posted in (pearl.fake.start_hook(made), pearl.fake.lead_hook(made)):
        (event,) = pearl.provider.receive(hook(posted.body), NOON)
        assert event.call_id == call_id


def test_keys_are_equal_for_repetitions_and_differ_between_events():
    live, ended = {**CALL_HOOK, "status": 3}, CALL_HOOK
    posted = [live, ended, {**LEAD_HOOK, "status": 40}, LEAD_HOOK, {**LEAD_HOOK, "callsId": ["call1", "call2"]},
              {**CALL_HOOK, "id": "call2"}, {**LEAD_HOOK, "id": "lead2"}]  # fmt: skip

    keys = [receive(body).key for body in posted]

    assert len(set(keys)) == len(keys)
    assert keys == [receive(body).key for body in posted]
    assert all(0 < len(one) <= LONGEST_HINT for one in keys)
    assert len(receive({**LEAD_HOOK, "status": "x" * 500}).key) <= LONGEST_HINT


def test_a_call_without_a_lead_is_nobodys():
    incoming = {name: value for name, value in CALL_HOOK.items() if name != "leadId"}

    assert offline().receive(hook(incoming), NOON) == []
    assert offline().receive(hook({**CALL_HOOK, "leadId": None}), NOON) == []


GENUINE = {
    "in the path": {"tail": HOOK_SECRET},
    "in the path, with slashes": {"tail": f"/{HOOK_SECRET}/"},
    "in the query": {"tail": "", "query": f"?a=1&secret={HOOK_SECRET}"},
    "in the header": {"tail": "", "headers": {"x-pearl": HOOK_SECRET}},
    "in the header, as a bearer": {"tail": "", "headers": {"x-pearl": f"Bearer {HOOK_SECRET}"}},
}
FORGED = {
    "nothing": {"tail": ""},
    "one letter off": {"tail": HOOK_SECRET[:-1] + "2"},
    "shorter": {"tail": HOOK_SECRET[:-1]},
    "longer": {"tail": HOOK_SECRET + "1"},
    "in the wrong query": {"tail": "", "query": f"?token={HOOK_SECRET}"},
    "one letter off in the query": {"tail": "", "query": f"?secret={HOOK_SECRET[:-1]}2"},
    "in another header": {"tail": "", "headers": {"authorization": HOOK_SECRET}},
    "no ASCII": {"tail": "ñ\udcff"},
    "a header that is empty": {"tail": "", "headers": {"x-pearl": ""}},
}


@each("how", GENUINE.values(), ids=GENUINE.keys())
def test_the_secret_proves_a_webhook(how: dict[str, Any]):
    provider = offline(NLPEARL_WEBHOOK_HEADER="X-Pearl")

    assert len(provider.receive(hook(LEAD_HOOK, **how), NOON)) == 1


@each("how", FORGED.values(), ids=FORGED.keys())
def test_without_the_secret_a_webhook_is_turned_away_before_it_is_read(how: dict[str, Any]):
    provider = offline(NLPEARL_WEBHOOK_HEADER="X-Pearl")

    for body in (LEAD_HOOK, b"not json"):
        with pytest.raises(HookRefused) as refused:
            provider.receive(hook(body, **how), NOON)
        assert refused.value.status == 401


def test_a_header_counts_only_when_it_is_agreed_upon():
    with pytest.raises(HookRefused):
        offline().receive(hook(LEAD_HOOK, tail="", headers={"x-pearl": HOOK_SECRET}), NOON)


@each("tail", ["", HOOK_SECRET])
def test_without_a_secret_set_every_webhook_is_refused(tail: str):
    provider = offline(NLPEARL_WEBHOOK_SECRET="")

    with pytest.raises(HookRefused) as refused:
        provider.receive(hook(LEAD_HOOK, tail=tail), NOON)
    assert refused.value.status == 401


@each(
    "body",
    [b"", b"{", b"[]", b"7", b"null", b'"x"', b"\xff\xfe", b"[" * 100_000, {}, {"id": 1}, {"status": 3},
     {**LEAD_HOOK, "id": ""}, {**LEAD_HOOK, "id": {}}, {**LEAD_HOOK, "status": None}, {**LEAD_HOOK, "pearlId": "a:b"},
     {**LEAD_HOOK, "id": "x" * 100}, [LEAD_HOOK]],
    ids=repr,
)  # fmt: skip
def test_a_webhook_that_cannot_be_read_is_answered_with_400(body: Any):
    with pytest.raises(HookRefused) as refused:
        offline().receive(hook(body), NOON)
    assert refused.value.status == 400
    assert NUMBER not in str(refused.value)


def test_repeated_and_reordered_events_end_in_the_same_report(pearl: Pearl):
    call_id = pearl.place("a")
    made = pearl.fake.calls()[0]
    start = pearl.fake.start_hook(made)
    pearl.clock.advance(OVER - NOON)
    posted = [pearl.fake.call_hook(made), start, pearl.fake.lead_hook(made), start, pearl.fake.lead_hook(made)]
    ends = []
    for order in (posted, posted[::-1]):
        for one in order:
            if one is None:
                continue
            (event,) = pearl.provider.receive(hook(one.body), NOON)
            assert event.call_id == call_id
            if pearl.provider.read_event(event) is None:
                ends.append(pearl.poll(call_id))

    assert ends
    assert all(one == ends[0] for one in ends)
    assert ends[0] is not None
    assert ends[0].phase is Phase.ENDED


def test_the_fakes_webhooks_and_forgeries_are_told_apart(pearl: Pearl):
    pearl.place("a")
    genuine = pearl.fake.lead_hook(pearl.fake.calls()[0])
    forged = pearl.fake.forge(genuine)

    for one, taken in ((genuine, True), (forged, False)):
        posted = Hook(PUBLIC_URL + one.path, {}, one.body, one.path.removeprefix("/webhooks/nlpearl/"))
        if taken:
            assert pearl.provider.receive(posted, NOON)
        else:
            with pytest.raises(HookRefused):
                pearl.provider.receive(posted, NOON)


# --- the account


def test_vitals_tell_of_agents_and_ongoing_calls(pearl: Pearl):
    pearl.place("one")
    pearl.place("two", agent_id=OTHER_PEARL)

    vitals = pearl.provider.read_vitals()

    assert vitals is not None
    assert (vitals.problem, vitals.most_calls, vitals.in_use) == (None, 20, 2)


@on_one_server(
    ("status", "word"),
    [(3, "credits"), (4, "suspended"), (5, "debt"), ("NoCredits", "credits"), ("DebtReached", "debt")],
)
def test_an_account_that_may_not_call_is_a_problem(pearl: Pearl, status: Any, word: str):
    pearl.fake.told["status"] = status

    vitals = pearl.provider.read_vitals()

    assert vitals is not None
    assert vitals.problem is not None
    assert word in vitals.problem
    assert next(iter(pearl.provider.inspect((), ()))).standing is Standing.PROBLEM


@on_one_server("status", [1, 2, "FullAccess", 9, None])
def test_other_accounts_may_call(pearl: Pearl, status: Any):
    pearl.fake.told["status"] = status

    vitals = pearl.provider.read_vitals()

    assert vitals is not None
    assert vitals.problem is None


@on_one_server(
    ("pearl_told", "settings_told"),
    [({"status": 2}, {}), ({"status": "Suspended"}, {}), ({"type": 1}, {}), ({}, {"maximumCallAttempts": 2})],
)
def test_a_pearl_that_must_not_be_given_leads_is_a_problem(
    pearl: Pearl, pearl_told: dict[str, Any], settings_told: dict[str, Any]
):
    pearl.fake.pearl_changes[PEARL], pearl.fake.settings_changes[PEARL] = pearl_told, settings_told

    vitals = pearl.provider.read_vitals()

    assert vitals is not None
    assert vitals.problem is not None
    assert PEARL in vitals.problem


@on_one_server(
    "body", [b"3", {"totalOngoingCalls": 3}, {"OngoingCalls": 3}, {"count": 3}, {"else": 3}, b"[]"], ids=str
)
def test_ongoing_calls_are_read_in_any_likely_shape(pearl: Pearl, body: Any):
    pearl.say("ongoing", 200, body)
    for kind in ("pearl", "settings"):
        pearl.say(kind, 500, b"")  # what cannot be read is no reason to stop

    vitals = pearl.provider.read_vitals()

    assert vitals is not None
    assert vitals.problem is None
    assert vitals.in_use == (None if body in (b"[]", {"else": 3}) else 3)


def test_vitals_of_an_account_that_cannot_be_reached_are_an_error_that_may_pass():
    with pytest.raises(ProviderError) as error:
        offline().read_vitals()

    assert not error.value.permanent


def test_an_account_in_order_has_no_complaints(pearl: Pearl):
    found = adapter_with_hooks(pearl).inspect([OTHER_PEARL], [CALLER])

    assert {one.standing for one in found} == {Standing.OK}, found
    assert any("512.5" in one.sentence for one in found)


INSPECTIONS = {
    "redials": ({"maximumCallAttempts": 3}, Standing.PROBLEM, "redial"),
    "redials, unsaid": ({"maximumCallAttempts": None}, Standing.WARNING, "maximumCallAttempts"),
    "short ringing": ({"ringDuration": 10}, Standing.WARNING, "ring 10 s"),
    "long calls": ({"callTimeout": 120}, Standing.WARNING, "120 min"),
    "hours": ({"callingHours": [{"day": 1, "start": "09:00", "end": "17:00"}]}, Standing.WARNING, "hours"),
    "lead webhook": ({"leadWebhookUrl": None}, Standing.WARNING, "lead webhook"),
    "call webhook": ({"callWebhookUrl": "https://elsewhere.example.org"}, Standing.WARNING, "call webhook"),
}


@on_one_server(("changed", "standing", "word"), INSPECTIONS.values(), ids=INSPECTIONS.keys())
def test_settings_of_a_pearl_are_complained_about(
    pearl: Pearl, changed: dict[str, Any], standing: Standing, word: str
):
    pearl.fake.settings_changes[PEARL] = changed

    found = [one for one in adapter_with_hooks(pearl).inspect((), ()) if one.standing is not Standing.OK]

    assert [one.standing for one in found] == [standing]
    assert word in found[0].sentence


@on_one_server("hours", [None, [], "always", [{"day": 1}], [{"start": 7, "end": []}], [None]])
def test_hours_that_cannot_be_read_are_not_complained_about(pearl: Pearl, hours: Any):
    pearl.fake.settings_changes[PEARL] = {"callingHours": hours}

    assert {one.standing for one in pearl.provider.inspect((), ())} == {Standing.OK}


@on_one_server("agent", [INBOUND_PEARL, "66bb0000000000000000ffff", "no/pearl"])
def test_an_agent_that_cannot_call_is_a_problem(pearl: Pearl, agent: str):
    found = pearl.provider.inspect([agent], ())

    assert [agent in one.sentence for one in found if one.standing is Standing.PROBLEM] == [True]


def test_a_caller_id_that_no_pearl_has_is_a_warning_and_is_shortened(pearl: Pearl):
    found = [one for one in pearl.provider.inspect((), ["+15550001111"]) if one.standing is not Standing.OK]

    assert [one.standing for one in found] == [Standing.WARNING]
    assert "+15550001111" not in found[0].sentence


def test_a_missing_webhook_secret_is_a_warning_where_webhooks_are_wanted(pearl: Pearl):
    found = adapter_with_hooks(pearl, NLPEARL_WEBHOOK_SECRET="").inspect((), ())

    assert ["NLPEARL_WEBHOOK_SECRET is not set" in one.sentence for one in found].count(True) == 1


def test_settings_that_cannot_be_read_are_a_warning_to_look(pearl: Pearl):
    pearl.say("settings", 404, b"")

    found = [one for one in pearl.provider.inspect((), ()) if one.standing is Standing.WARNING]

    assert len(found) == 1
    assert "one attempt" in found[0].sentence


def test_wrong_keys_are_a_problem_and_are_not_shown(pearl: Pearl):
    provider = adapter(pearl.server, NLPEARL_SECRET_KEY="sk-wrong-wrong-wrong")

    (found,) = provider.inspect((), ())

    assert found.standing is Standing.PROBLEM
    assert "sk-wrong" not in found.sentence
    with pytest.raises(ProviderError) as error:
        provider.read_vitals()
    assert error.value.permanent


def test_an_account_that_cannot_be_reached_is_a_warning():
    (found,) = offline().inspect((), ())

    assert found.standing is Standing.WARNING


def test_inspection_makes_a_campaigns_pearl_known_to_find(pearl: Pearl):
    pearl.place("theirs", agent_id=OTHER_PEARL)
    restarted = adapter(pearl.server)
    restarted.inspect([OTHER_PEARL], ())
    pearl.fake.asked.clear()

    assert restarted.find(key("theirs"), NOON) is not None
    assert pearl.fake.asked["pearls"] == 0


# --- keys


def test_missing_keys_are_all_named():
    with pytest.raises(MissingKeys) as missing:
        open_provider(Keys({}), wiring())

    assert missing.value.names == ("NLPEARL_ACCOUNT_ID", "NLPEARL_SECRET_KEY", "NLPEARL_PEARL_ID")


def test_one_key_may_hold_both_parts(pearl: Pearl):
    keys = {"NLPEARL_API_KEY": f"{ACCOUNT_ID}:{SECRET_KEY}", "NLPEARL_PEARL_ID": PEARL,
            "NLPEARL_BASE_URL": pearl.server.url + "/v2/"}  # fmt: skip
    provider = open_provider(Keys(keys), wiring())

    assert isinstance(provider.place(request("both")), Accepted)
    provider.close()


def test_the_pearl_is_needed_beside_a_whole_key():
    with pytest.raises(MissingKeys, match="NLPEARL_PEARL_ID"):
        open_provider(Keys({"NLPEARL_API_KEY": "a:b"}), wiring())


WRONG_KEYS = {
    "a key without a colon": ({"NLPEARL_API_KEY": "shhhhhhhhhhhh"}, "NLPEARL_API_KEY"),
    "a key with two colons": ({"NLPEARL_API_KEY": "shhh:shhhhhhh:shhh"}, "NLPEARL_API_KEY"),
    "a key without an account": ({"NLPEARL_API_KEY": ":shhhhhhh"}, "NLPEARL_API_KEY"),
    "a secret with a space": ({"NLPEARL_SECRET_KEY": "shhh hhh"}, "NLPEARL_SECRET_KEY"),
    "an account with a colon": ({"NLPEARL_ACCOUNT_ID": "shhh:hhh"}, "NLPEARL_ACCOUNT_ID"),
    "a secret that no header takes": ({"NLPEARL_SECRET_KEY": "shhhñ"}, "NLPEARL_SECRET_KEY"),
    "a Pearl with a slash": ({"NLPEARL_PEARL_ID": "a/b"}, "NLPEARL_PEARL_ID"),
    "a short webhook secret": ({"NLPEARL_WEBHOOK_SECRET": "shhh"}, "NLPEARL_WEBHOOK_SECRET"),
    "a header that is none": ({"NLPEARL_WEBHOOK_HEADER": "X Secret:"}, "NLPEARL_WEBHOOK_HEADER"),
    "an address without TLS": ({"NLPEARL_BASE_URL": "http://api.nlpearl.ai"}, "NLPEARL_BASE_URL"),
    "a metadata address": ({"NLPEARL_BASE_URL": "https://169.254.169.254"}, "NLPEARL_BASE_URL"),
}


@each(("wrong", "name"), WRONG_KEYS.values(), ids=WRONG_KEYS.keys())
def test_keys_of_a_wrong_shape_are_named_and_not_shown(wrong: dict[str, str], name: str):
    with pytest.raises(InvalidValue) as error:
        open_provider(Keys({**KEYS, **wrong}), wiring())

    assert error.value.field == name
    assert "shhh" not in str(error.value)


def test_an_adapter_shows_no_secret():
    shown = repr(offline()) + str(vars(offline())["_token"]) + repr(vars(offline())["_hook_secret"])

    assert not any(secret in shown for secret in (SECRET_KEY, HOOK_SECRET))


# --- anything at all

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from([
    "id", "externalId", "status", "conversationStatus", "callsId", "lastCall", "startTime", "duration", "summary",
    "collectedInfo", "collectedData", "creditDebited", "leadId", "pearlId", "results", "count", "errors", "title",
])  # fmt: skip
VALUES = JSON | st.sampled_from([3, 4, 10, 40, 100, "a", "Completed", "2026-03-02T12:00:00Z", -1, 10**400])
DOCUMENTS = JSON | st.dictionaries(FIELDS, VALUES, max_size=8)
STATUSES = st.sampled_from([200, 200, 200, 201, 204, 400, 401, 404, 429, 500])
FEW_EXAMPLES = settings(
    max_examples=examples(10), derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@FEW_EXAMPLES
@given(document=DOCUMENTS)
def test_no_webhook_raises_anything_but_a_refusal(shared: Pearl, document: Any):
    try:
        for event in shared.provider.receive(hook(document), NOON):
            shared.provider.read_event(event)
    except HookRefused as refused:
        assert refused.status == 400


@FEW_EXAMPLES
@given(payload=st.dictionaries(FIELDS, VALUES), kind=st.sampled_from(["lead 1", "call 3", ""]))
def test_no_kept_event_raises_anything(shared: Pearl, payload: dict[str, Any], kind: str):
    shared.provider.read_event(ProviderEvent("k", kind, payload, call_id="lead1"))


@FEW_EXAMPLES
@given(lead=DOCUMENTS, call=DOCUMENTS, row=DOCUMENTS, status=STATUSES)
def test_no_answer_to_a_question_raises_anything_but_a_provider_error(
    shared: Pearl, lead: Any, call: Any, row: Any, status: int
):
    for kind, document in (("lead", lead), ("external", lead), ("number", lead), ("call", call), ("settings", row)):
        shared.say(kind, status, document)
    shared.say("bulk", status, {"count": 1, "results": [row]} if isinstance(row, dict) else row)
    shared.say("leads", status, {"count": 1, "results": [lead]})
    keys = [key("a", f"lead{number}") for number in range(FEW + 1)]
    for ask in (
        lambda: shared.provider.poll(keys[:1], NOON), lambda: shared.provider.poll(keys, NOON),
        lambda: shared.provider.find(key("a"), NOON),
    ):
        try:
            found = ask()
        except ProviderError as error:
            assert NUMBER not in str(error)
        else:
            for report in found.values() if isinstance(found, dict) else [found]:
                ended = report is not None and report.phase is Phase.ENDED
                assert report is None or (report.outcome is not None) == ended


@FEW_EXAMPLES
@given(document=DOCUMENTS, status=STATUSES)
def test_no_answer_about_the_account_stops_an_inspection(shared: Pearl, document: Any, status: int):
    for kind in ("account", "pearl", "settings", "ongoing", "pearls"):
        shared.say(kind, status if kind != "account" else 200, document)
    shared.provider.inspect([OTHER_PEARL], [CALLER])
    try:
        shared.provider.read_vitals()
    except ProviderError as error:
        assert SECRET_KEY not in str(error)


@FEW_EXAMPLES
@given(document=DOCUMENTS, status=STATUSES)
def test_every_answer_to_a_start_is_one_of_three(shared: Pearl, document: Any, status: int):
    shared.say("start", status, document)

    answer = shared.provider.place(request("any"))

    assert isinstance(answer, Accepted | Refused | Unanswered)
    if isinstance(answer, Accepted):
        assert status in (200, 201)


# --- helpers


def one_of_many(pearl: Pearl, call: dict[str, Any]) -> CallReport:
    """The report of a call that is polled with so many that they are listed."""
    first = pearl.place("a")
    pearl.fake.script(first, {"status": 100}, call)
    keys = [key("a", first)] + [key(f"more-{one}", pearl.place(f"more-{one}")) for one in range(FEW)]
    pearl.clock.advance(OVER - NOON)
    reports = pearl.provider.poll(keys, pearl.clock.now())
    assert pearl.fake.asked["lead"] == 0
    report = reports[first]
    assert report is not None
    return report


def told(report: CallReport | None) -> tuple[object, ...]:
    assert report is not None
    return (report.outcome, report.provider_status, report.talk_seconds, report.cost, report.ended_at, report.summary,
            report.callback_at, report.appointment_at, report.is_final)  # fmt: skip


def wiring(timeout: timedelta = PATIENCE, **changes: Any) -> Wiring:
    return Wiring(places=8, request_timeout=timeout, **changes)


def adapter(
    server: VendorServer, *, timeout: timedelta = PATIENCE, short_call: timedelta = timedelta(seconds=8), **keys: str
) -> NLPearl:
    known = {**KEYS, "NLPEARL_BASE_URL": server.url, **keys}
    provider = open_provider(Keys(known), wiring(timeout, short_call=short_call))
    assert isinstance(provider, NLPearl)
    return provider


def adapter_with_hooks(pearl: Pearl, **keys: str) -> NLPearl:
    known = {**KEYS, "NLPEARL_BASE_URL": pearl.server.url, **keys}
    provider = open_provider(Keys(known), wiring(public_url=PUBLIC_URL))
    assert isinstance(provider, NLPearl)
    return provider


def offline(**keys: str) -> NLPearl:
    """An adapter whose vendor is not there: webhooks need none."""
    provider = open_provider(Keys({**KEYS, "NLPEARL_BASE_URL": "http://127.0.0.1:9", **keys}), wiring())
    assert isinstance(provider, NLPearl)
    return provider


@contextmanager
def serving(folder: Path, clock: ManualClock | None = None, **how: Any) -> Iterator[VendorServer]:
    server = open_vendor(FakeNLPearl, folder / "ledger", clock=clock or ManualClock(NOON), **how)
    thread = server.serve_in_thread()
    try:
        yield server
    finally:
        server.stop()
        thread.join()
