from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread

import httpx
import pytest

from scheduler.clock import Clock, ManualClock, SystemClock
from scheduler.errors import InvalidValue, ProviderError
from scheduler.model import Outcome
from scheduler.providers.base import Accepted, Phase, RefusalKind, Refused, Unanswered
from scheduler.providers.network import FaultPlan, SimulatedNetwork, parse_faults, parse_mix
from scheduler.providers.simulator_http import IDS_PER_REQUEST, HttpSimulator
from scheduler.providers.simulator_server import Behaviour, SimulatorServer, Span, open_server
from tests.each import each
from tests.providers.contract import NOON, NUMBER, Line, ProviderContract, ask_in_vain, key, request
from tests.waiting import BACKSTOP, PLAIN, wait_until

MIX = "completed=4,no_answer=2,busy=1,voicemail=1,hang_up=1,callback=1"
PATIENCE = timedelta(seconds=30)
IMPATIENCE = timedelta(seconds=0.3)


class TestHttpSimulatorKeepsTheContract(ProviderContract):
    @pytest.fixture
    def line(self, tmp_path: Path) -> Iterator[Line]:
        clock = ManualClock(NOON)
        with serving(tmp_path / "ledger", clock=clock) as server:
            patient, impatient = adapter(server.url), adapter(server.url, timeout=IMPATIENCE)
            yield Line(
                patient, clock, lambda faults: set_faults(server.url, faults=faults),
                lambda ref: accepted(server).get(ref, 0), impatient,
            )
            patient.close()
            impatient.close()


# --- the three answers, byte by byte


def reply(status: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


DOCUMENTED = {
    "refused": (reply("400 Bad Request", b'{"error":"refused"}'), RefusalKind.REFUSED),
    "bad key": (reply("401 Unauthorized", b'{"error":"hold"}'), RefusalKind.HOLD),
    "no credit": (reply("402 Payment Required", b'{"error":"hold"}'), RefusalKind.HOLD),
    "barred": (reply("403 Forbidden", b'{"error":"do_not_call"}'), RefusalKind.DO_NOT_CALL),
    "no such number": (reply("404 Not Found", b'{"error":"invalid_number"}'), RefusalKind.INVALID_NUMBER),
    "bad number": (reply("422 Unprocessable", b'{"error":"invalid_number"}'), RefusalKind.INVALID_NUMBER),
    "too fast": (reply("429 Too Many", b'{"error":"throttled"}'), RefusalKind.THROTTLED),
}


@each(("answer", "kind"), DOCUMENTED.values(), ids=DOCUMENTED.keys())
def test_a_documented_refusal_is_read(answer: bytes, kind: RefusalKind):
    with scripted(says(answer)) as (url, seen):
        refused = dial(url)

    assert isinstance(refused, Refused)
    assert refused.kind is kind
    assert seen.starts == 1


PROVES_NOTHING = {
    "500": reply("500 Internal Server Error", b'{"error":"refused"}'),
    "502 of a proxy": reply("502 Bad Gateway", b"<html></html>"),
    "503 with a wait": reply("503 Unavailable", b'{"error":"throttled"}', "Retry-After: 1"),
    "404 of a proxy": reply("404 Not Found", b"<html>no such page</html>"),
    "400 undocumented": reply("400 Bad Request", b'{"message":"?"}'),
    "400 with another word": reply("400 Bad Request", b'{"error":"invalid_number"}'),
    "429 of a proxy": reply("429 Too Many", b"slow down"),
    "408": reply("408 Request Timeout", b'{"error":"refused"}'),
    "redirect": reply("307 Temporary Redirect", b"", "Location: /elsewhere"),
    "2xx without id": reply("201 Created", b'{"status":"dialing"}'),
    "2xx with an empty id": reply("201 Created", b'{"id":"","status":"dialing"}'),
    "2xx with a number for an id": reply("201 Created", b'{"id":7,"status":"dialing"}'),
    "2xx with a list": reply("200 OK", b'["sim-a"]'),
    "2xx with nothing": reply("204 No Content"),
    "2xx with HTML": reply("200 OK", b"<html>welcome</html>"),
    "2xx with cut JSON": reply("200 OK", b'{"id": "sim-a'),
    "2xx with bad bytes": reply("200 OK", b'{"id": "\xff\xfe"}'),
    "2xx nested too deep": reply("200 OK", b"[" * 100_000),
    "half a body": b'HTTP/1.1 201 Created\r\nContent-Length: 900\r\n\r\n{"id":"sim-a"}',
    "half a head": b"HTTP/1.1 201 Cre",
    "no HTTP": b"+OK ready\r\n\r\n",
    "a silent goodbye": b"",
}


@each("answer", PROVES_NOTHING.values(), ids=PROVES_NOTHING.keys())
def test_what_proves_nothing_is_unanswered_and_asked_once(answer: bytes):
    with scripted(says(answer)) as (url, seen):
        unanswered = dial(url)

    assert isinstance(unanswered, Unanswered)
    assert NUMBER not in unanswered.reason
    assert (seen.starts, seen.requests) == (1, 1)


def test_an_accepted_answer_with_an_unreadable_rest_is_accepted():
    with scripted(says(reply("201 Created", b'{"id":"sim-a","status":"ended-busy","ended_at":"soon"}'))) as (
        url,
        _,
    ):
        assert dial(url) == Accepted("sim-a")


def test_an_accepted_answer_may_tell_the_end():
    body = b'{"id":"sim-a","status":"ended-busy","ended_at":"2026-03-02T12:00:00+00:00","cost":"0.5"}'
    with scripted(says(reply("201 Created", body))) as (url, _):
        answer = dial(url)

    assert isinstance(answer, Accepted)
    assert answer.report is not None
    assert (answer.report.outcome, answer.report.ended_at) == (Outcome.BUSY, NOON)


def test_a_word_nobody_knows_is_a_failure_with_its_word_kept():
    body = b'{"id":"sim-a","status":"ended-eaten","ended_at":"2026-03-02T12:00:00+00:00"}'
    with scripted(says(reply("201 Created", body))) as (url, _):
        answer = dial(url)

    assert isinstance(answer, Accepted)
    assert answer.report is not None
    assert (answer.report.outcome, answer.report.known_word) == (Outcome.FAILED, False)
    assert answer.report.provider_status == "ended-eaten"


@each(
    ("headers", "wait"),
    [
        (["Retry-After: 7"], 7),
        (["Date: Mon, 02 Mar 2026 12:00:00 GMT", "Retry-After: Mon, 02 Mar 2026 12:00:30 GMT"], 30),
        (["Date: Mon, 02 Mar 2026 12:00:00 GMT", "Retry-After: Mon, 02 Mar 2026 11:00:00 GMT"], 0),
        (["Retry-After: Mon, 02 Mar 2026 12:00:30 GMT"], None),
        (["Date: Mon, 02 Mar 2026 12:00:00 GMT", "Retry-After: Mon, 02 Mar 2026 12:00:30"], None),
        (["Retry-After: soon"], None),
        (["Retry-After: -3"], None),
        (["Retry-After: 99999999999999999999"], None),
        ([], None),
    ],
)
def test_throttling_says_how_long_when_it_can_be_read(headers: list[str], wait: int | None):
    with scripted(says(reply("429 Too Many", b'{"error":"throttled"}', *headers))) as (url, _):
        answer = dial(url)

    assert isinstance(answer, Refused)
    assert answer.retry_after == (None if wait is None else timedelta(seconds=wait))


# --- nothing left this house


def test_a_refused_connection_is_never_sent():
    answer = dial(f"http://127.0.0.1:{closed_port()}")

    assert isinstance(answer, Refused)
    assert answer.kind is RefusalKind.NEVER_SENT
    assert NUMBER not in answer.reason


def test_a_name_that_does_not_resolve_is_never_sent():
    answer = dial("http://nowhere.invalid")

    assert isinstance(answer, Refused)
    assert answer.kind is RefusalKind.NEVER_SENT


def test_a_connection_that_nobody_takes_is_never_sent():
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, ThreadPoolExecutor(4) as callers:
        address = full.getsockname()
        for _ in range(4):
            callers.submit(_try_to_connect, address)
        answer = dial_until_connect_fails(f"http://127.0.0.1:{address[1]}")

    assert isinstance(answer, Refused)
    assert answer.kind is RefusalKind.NEVER_SENT


def test_a_failed_handshake_is_never_sent():
    with scripted(says(b"this is no TLS\r\n\r\n")) as (url, _):
        answer = dial(url.replace("http://", "https://"))

    assert isinstance(answer, Refused)
    assert answer.kind is RefusalKind.NEVER_SENT


def test_a_dial_that_gets_no_connection_from_the_pool_is_never_sent(tmp_path: Path):
    with serving(tmp_path / "ledger", faults="swallow=1") as server, ThreadPoolExecutor(5) as places:
        provider = adapter(server.url, places=1, timeout=timedelta(seconds=30))
        for number in range(5):
            places.submit(provider.place, request(f"hangs-{number}"))
        wait_until(lambda: started(server).total() == 5)
        answer = provider.place(request("one-too-many"))
        server.stopping.set()

    assert isinstance(answer, Refused)
    assert answer.kind is RefusalKind.NEVER_SENT
    assert started(server)["one-too-many"] == 0


def test_variables_that_are_no_json_are_refused_before_anything_is_sent():
    with scripted(says(reply("201 Created", b'{"id":"a"}'))) as (url, seen):
        provider = adapter(url)
        answer = provider.place(request("a", variables={"debt": float("nan")}))

    assert isinstance(answer, Refused)
    assert answer.kind is RefusalKind.REFUSED
    assert seen.starts == 0


def test_an_address_that_is_none_is_refused_at_once():
    for url in ("ftp://127.0.0.1", "127.0.0.1:8077", "http://", "http://127.0.0.1:99999", ""):
        with pytest.raises(InvalidValue, match="RINGBACK_SIMULATOR_URL"):
            adapter(url)


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{closed_port()}")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{closed_port()}")

    with serving(tmp_path / "ledger") as server:
        assert isinstance(dial(server.url), Accepted)


# --- deadlines and connections


@each("start", [b"HTTP/1.1 201 Created\r\nX-Slow: ", reply("201 Created") + b""])
def test_a_server_that_dribbles_is_given_up_at_the_deadline(start: bytes):
    head = start if b"X-Slow" in start else b"HTTP/1.1 201 Created\r\nContent-Length: 90000\r\n\r\n"
    with scripted(dribbles(head)) as (url, seen):
        answer = dial_in_vain(url)  # it would dribble for ever

    assert isinstance(answer, Unanswered)
    assert seen.starts == 1


def test_an_endless_answer_is_given_up():
    with scripted(floods) as (url, _):
        assert isinstance(dial(url, timeout=timedelta(seconds=30)), Unanswered)


def test_a_deadline_of_one_request_is_not_held_against_the_next(tmp_path: Path):
    with serving(tmp_path / "ledger") as server:
        provider = adapter(server.url, timeout=IMPATIENCE)
        set_faults(server.url, faults="swallow=1")
        assert isinstance(ask_in_vain(lambda: provider.place(request("a"))), Unanswered)
        set_faults(server.url, faults="")
        # A busy machine may need another try; a deadline that is over already would let none through.
        assert any(isinstance(provider.place(request(f"b-{number}")), Accepted) for number in range(20))


def test_a_connection_is_used_again():
    with scripted(says(reply("201 Created", b'{"id":"a"}'))) as (url, seen):
        provider = adapter(url)
        for _ in range(5):
            provider.place(request("a"))
        provider.close()

    assert (seen.starts, seen.connections) == (5, 1)


def test_a_connection_that_dies_as_we_write_is_unanswered_and_asked_once():
    once = iter([reply("201 Created", b'{"id":"first"}'), b""])
    with scripted(lambda line: says(next(once))(line)) as (url, seen):
        provider = adapter(url)
        first, second = provider.place(request("first")), provider.place(request("second"))
        provider.close()

    assert first == Accepted("first")
    assert isinstance(second, Unanswered)
    assert (seen.starts, seen.connections) == (2, 1)


def test_a_connection_that_the_server_closed_while_idle_is_not_used_again():
    def answer_and_close(line: socket.socket) -> bool:
        line.sendall(reply("201 Created", b'{"id":"a"}'))
        return False

    with scripted(answer_and_close) as (url, seen):
        provider = adapter(url)
        provider.place(request("a"))
        seen.closed.wait(BACKSTOP)
        assert provider.place(request("b")) == Accepted("a")
        provider.close()

    assert (seen.starts, seen.connections) == (2, 2)


# --- asking


@each(
    "answer",
    [
        reply("404 Not Found", b"<html>no such page</html>"),
        reply("200 OK", b"{}"),
        reply("200 OK", b'{"calls":[]}'),
        reply("200 OK", b'{"calls":[{"id":"sim-a"}]}'),
        reply("200 OK", b'{"calls":[{"id":"sim-a","status":"ended-busy","ended_at":"2026-03-02T12:00:00"}]}'),
        reply("200 OK", b'{"calls":[{"id":"sim-a","status":"x","cost":"NaN"}]}'),
        reply("200 OK", b'{"calls":[7]}'),
        reply("500 Internal Server Error"),
        b"",
    ],
)
def test_an_unusable_answer_to_find_is_no_proof(answer: bytes):
    with scripted(says(answer)) as (url, _):
        provider = adapter(url)
        with pytest.raises(ProviderError) as failed:
            provider.find(key("a"), NOON)
        provider.close()

    assert not failed.value.permanent


def test_a_bad_key_is_a_permanent_failure():
    with scripted(says(reply("401 Unauthorized", b'{"error":"hold"}'))) as (url, _):
        provider = adapter(url)
        with pytest.raises(ProviderError) as failed:
            provider.poll([key("a", "sim-a")], NOON)
        with pytest.raises(ProviderError):
            provider.hang_up("sim-a")
        provider.close()

    assert failed.value.permanent


def test_a_call_that_poll_does_not_mention_was_not_learnt():
    with scripted(says(reply("200 OK", b'{"calls":[],"missing":["sim-b","sim-else"]}'))) as (url, _):
        provider = adapter(url)
        assert provider.poll([key("a", "sim-a"), key("b", "sim-b")], NOON) == {"sim-b": None}
        provider.close()


def test_what_was_learnt_before_a_failure_counts():
    answers = iter([reply("200 OK", b'{"calls":[],"missing":["sim-0"]}'), reply("503 Unavailable")])
    with scripted(lambda line: says(next(answers))(line)) as (url, seen):
        provider = adapter(url)
        keys = [key(str(number), f"sim-{number}") for number in range(IDS_PER_REQUEST + 1)]
        assert provider.poll(keys, NOON) == {"sim-0": None}
        provider.close()

    assert seen.requests == 2


def test_a_reference_with_odd_letters_is_found(tmp_path: Path):
    with serving(tmp_path / "ledger") as server:
        provider = adapter(server.url)
        provider.place(request("a/b?c=d&e #ñ"))
        found = provider.find(key("a/b?c=d&e #ñ"), NOON)
        provider.close()

    assert found is not None
    assert found.attempt_ref == "a/b?c=d&e #ñ"


def test_the_calls_since_an_instant_are_listed_with_whom_they_were_for(tmp_path: Path):
    with serving(tmp_path / "ledger") as server:
        provider = adapter(server.url)
        provider.place(replace(request("a"), lead_id=7))
        early, late = (provider.list_since(at, NOON, []) for at in (LONG_AGO, FAR_AHEAD))
        provider.close()

    assert [(one.attempt_ref, one.lead_id, one.number) for one in early] == [("a", 7, request("a").number)]
    assert late == []


LONG_AGO, FAR_AHEAD = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


# --- the server and its ledger


def test_the_ledger_knows_a_call_whose_answer_never_came(tmp_path: Path):
    with serving(tmp_path / "ledger", faults="timeout_after_accept=1") as server:
        dial_in_vain(server.url, "half-known")
        wait_until(lambda: read_ledger(tmp_path / "ledger", "accepted"))

        kinds = [entry["event"] for entry in read_ledger(tmp_path / "ledger")]

    assert kinds == ["started", "request", "accepted"]


def test_the_ledger_shows_a_double_dial(tmp_path: Path):
    with serving(tmp_path / "ledger") as server:
        first, second = dial(server.url, "twice"), dial(server.url, "twice")
        health = httpx.get(f"{server.url}/health", **PLAIN).json()

    assert isinstance(first, Accepted)
    assert isinstance(second, Accepted)
    assert first.call_id != second.call_id
    assert accepted(server)["twice"] == 2
    assert [entry["requests"] for entry in read_ledger(tmp_path / "ledger", "request")] == [1, 2]
    assert (health["repeated_refs"], health["refs_with_two_calls"]) == (1, 1)


def test_an_idempotent_server_makes_one_call_and_still_tells_of_both_requests(tmp_path: Path):
    with serving(tmp_path / "ledger", idempotent=True) as server:
        assert dial(server.url, "twice") == dial(server.url, "twice")

    assert accepted(server)["twice"] == 1
    assert started(server)["twice"] == 2
    assert len(read_ledger(tmp_path / "ledger", "repeated")) == 1


def test_refused_requests_are_in_the_ledger_too(tmp_path: Path):
    with serving(tmp_path / "ledger", faults="refuse=1") as server:
        dial(server.url, "turned-down")

    assert [entry["event"] for entry in read_ledger(tmp_path / "ledger")] == ["started", "request", "refused"]
    assert {entry["fault"] for entry in read_ledger(tmp_path / "ledger")[1:]} == {"refuse"}


def test_every_entry_has_a_utc_time_and_calls_have_number_and_id(tmp_path: Path):
    with serving(tmp_path / "ledger", clock=ManualClock(NOON)) as server:
        dial(server.url, "a")
        served = httpx.get(f"{server.url}/ledger", **PLAIN).json()["entries"]

    assert served == read_ledger(tmp_path / "ledger")
    call = served[-1]
    assert (call["at"], call["number"], call["call_id"]) == (
        "2026-03-02T12:00:00.000000+00:00",
        NUMBER,
        "sim-a",
    )


def test_a_new_server_on_an_old_ledger_knows_its_calls(tmp_path: Path):
    clock = ManualClock(NOON)
    with serving(tmp_path / "ledger", clock=clock) as server:
        for ref in ("kept", "stopped", "twice", "twice"):
            dial(server.url, ref)
        adapter(server.url).hang_up("sim-stopped")
    with (tmp_path / "ledger").open("ab") as ledger:
        ledger.write(b'{"at": "2026-03-02T12:00:00.000000+00:00", "event": "acce')  # killed as it wrote
    clock.advance(timedelta(seconds=1))
    with serving(tmp_path / "ledger", clock=clock) as server:
        provider = adapter(server.url)
        kept = provider.find(key("kept"), clock.now())
        stopped = provider.find(key("stopped"), clock.now())
        third = provider.place(request("twice"))
        provider.close()

    assert kept is not None
    assert kept.phase is not Phase.ENDED
    assert stopped is not None
    assert (stopped.phase, stopped.ended_at) == (Phase.ENDED, NOON)
    assert third.call_id == "sim-twice-3"
    assert started(server)["twice"] == 3


def test_a_lagging_lookup_finds_a_call_only_later(tmp_path: Path):
    clock = ManualClock(NOON)
    with serving(tmp_path / "ledger", clock=clock, lookup_lag=Span(20, 20)) as server:
        provider = adapter(server.url)
        provider.place(request("late"))
        at_once = provider.find(key("late"), clock.now())
        clock.advance(timedelta(seconds=20))
        later = provider.find(key("late"), clock.now())
        provider.close()

    assert at_once is None
    assert later is not None


def test_a_slow_answer_comes_after_the_ledger_knows_the_call(tmp_path: Path):
    with serving(tmp_path / "ledger") as server:
        set_faults(server.url, delay_seconds=[30, 30])
        answer = dial_in_vain(server.url, "slow")

        assert isinstance(answer, Unanswered)
        wait_until(lambda: accepted(server)["slow"] == 1)


def test_faults_may_change_while_the_server_runs(tmp_path: Path):
    with serving(tmp_path / "ledger") as server:
        assert isinstance(dial(server.url, "before"), Accepted)
        set_faults(server.url, faults="hold=1")
        assert isinstance(dial(server.url, "during"), Refused)
        set_faults(server.url, faults="")
        assert isinstance(dial(server.url, "after"), Accepted)

    assert [entry["faults"] for entry in read_ledger(tmp_path / "ledger", "faults")] == ["hold=1", ""]


@each(
    "told",
    [
        {"faults": "explode=1"},
        {"delay": [0, 1]},
        {},
        {"delay_seconds": [2, 1]},
        {"lookup_lag_seconds": "long"},
    ],
)
def test_faults_that_make_no_sense_change_nothing(tmp_path: Path, told: dict[str, object]):
    with serving(tmp_path / "ledger") as server:
        assert httpx.post(f"{server.url}/faults", json=told, **PLAIN).status_code == 400
        assert isinstance(dial(server.url), Accepted)


def test_throttling_comes_with_seconds_with_a_date_and_with_nothing(tmp_path: Path):
    with serving(tmp_path / "ledger", faults="throttle=1") as server:
        with httpx.Client(base_url=server.url, **PLAIN) as client:
            answers = [client.post("/calls", json=start(str(number))) for number in range(40)]
        provider = adapter(server.url)
        waits = {provider.place(request(str(number))).retry_after for number in range(40)}
        provider.close()

    assert {answer.headers.get("Retry-After", "")[-3:] for answer in answers} == {"2", "GMT", ""}
    assert waits == {timedelta(seconds=2), None}


@each("host", ["0.0.0.0", "192.0.2.1", "example.org", "::"])
def test_the_server_stays_on_this_machine(tmp_path: Path, host: str):
    with pytest.raises(InvalidValue, match="loopback"):
        make_server(tmp_path / "ledger", host=host)


def test_the_server_speaks_ipv6(tmp_path: Path):
    if not _has_ipv6_loopback():
        pytest.skip("this machine has no ::1")
    with serving(tmp_path / "ledger", host="::1") as server:
        assert isinstance(dial(server.url), Accepted)


@each("body", [b"", b"{", b"[]", b'{"attempt_ref": 7, "number": "+1"}', b'{"attempt_ref": "a"}'])
def test_a_start_request_that_says_nothing_is_refused(tmp_path: Path, body: bytes):
    with serving(tmp_path / "ledger") as server:
        answer = httpx.post(f"{server.url}/calls", content=body, **PLAIN)

    assert (answer.status_code, answer.json()["error"]) == (400, "refused")


def test_a_body_of_unknown_length_is_not_taken_for_the_next_request(tmp_path: Path):
    with serving(tmp_path / "ledger") as server, httpx.Client(base_url=server.url, **PLAIN) as client:
        answer = client.post("/calls", content=iter([b'{"attempt_ref": "a", ', b'"number": "+1"}']))

    assert answer.status_code == 411
    assert started(server).total() == 0


# --- the server as a process


def test_a_killed_server_finds_its_calls_when_it_is_back(tmp_path: Path):
    with process(tmp_path / "ledger") as (server, url):
        dial(url, "survivor")
        server.kill()
        server.wait()
    with process(tmp_path / "ledger") as (_, url):
        provider = adapter(url)
        found = provider.find(key("survivor"), NOON)
        provider.close()

    assert found is not None
    assert found.call_id == "sim-survivor"


def test_a_terminated_server_leaves_politely_even_with_a_caller_waiting(tmp_path: Path):
    with (
        process(tmp_path / "ledger", "--faults", "swallow=1") as (server, url),
        ThreadPoolExecutor(1) as place,
    ):
        provider = adapter(url, timeout=timedelta(seconds=30))
        waiting = place.submit(provider.place, request("waits"))
        wait_until(lambda: bool(read_ledger(tmp_path / "ledger", "not_accepted")))
        server.send_signal(signal.SIGTERM)

        assert server.wait(timeout=BACKSTOP) == 0
        assert isinstance(waiting.result(timeout=BACKSTOP), Unanswered)
        provider.close()


def test_a_server_with_senseless_settings_says_so_in_one_sentence(tmp_path: Path):
    told = subprocess.run(
        [*COMMAND, "--ledger", str(tmp_path / "ledger"), "--port", "0", "--mix", "nonsense"],
        capture_output=True,
        text=True,
    )

    assert told.returncode == 2
    assert "--mix" in told.stderr
    assert "Traceback" not in told.stderr


def test_200_dials_at_once_are_200_calls(tmp_path: Path):
    with process(tmp_path / "ledger", "--ring-seconds", "0", "--talk-seconds", "0") as (_, url):
        provider = adapter(url, places=50)
        with ThreadPoolExecutor(50) as places:
            answers = list(places.map(lambda number: provider.place(request(f"ref-{number}")), range(200)))
        provider.close()

    assert all(isinstance(answer, Accepted) and answer.report is not None for answer in answers)
    assert Counter(entry["attempt_ref"] for entry in read_ledger(tmp_path / "ledger", "accepted")) == {
        f"ref-{number}": 1 for number in range(200)
    }


# --- helpers

COMMAND = (sys.executable, "-m", "scheduler.providers.simulator_server")


def adapter(url: str, *, places: int = 8, timeout: timedelta = PATIENCE) -> HttpSimulator:
    return HttpSimulator(url, places=places, request_timeout=timeout)


def dial(url: str, attempt_ref: str = "a", *, timeout: timedelta = PATIENCE):
    provider = adapter(url, timeout=timeout)
    try:
        return provider.place(request(attempt_ref))
    finally:
        provider.close()


def dial_in_vain(url: str, attempt_ref: str = "a"):
    return ask_in_vain(lambda: dial(url, attempt_ref, timeout=IMPATIENCE))


def start(attempt_ref: str) -> dict[str, str]:
    return {"attempt_ref": attempt_ref, "number": NUMBER}


def set_faults(url: str, **told: object) -> None:
    httpx.post(f"{url}/faults", json=told, **PLAIN).raise_for_status()


def make_server(
    ledger: Path,
    *,
    host: str = "127.0.0.1",
    clock: Clock | None = None,
    faults: str = "",
    lookup_lag: Span = Span(),  # noqa: B008
    idempotent: bool = False,
) -> SimulatorServer:
    network = SimulatedNetwork(seed=1, mix=parse_mix(MIX), ring=timedelta(seconds=10), talk=timedelta(seconds=30))
    behaviour = Behaviour(FaultPlan(parse_faults(faults), seed=1), lookup_lag=lookup_lag)
    return open_server(
        host,
        0,
        ledger,
        network=network,
        behaviour=behaviour,
        idempotent=idempotent,
        clock=clock or SystemClock(),
    )


@contextmanager
def serving(ledger: Path, **settings) -> Iterator[SimulatorServer]:
    server = make_server(ledger, **settings)
    loop = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    loop.start()
    try:
        yield server
    finally:
        server.shutdown()
        loop.join()
        server.server_close()


@contextmanager
def process(ledger: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    server = subprocess.Popen(
        [*COMMAND, "--ledger", str(ledger), "--port", "0", *options], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        yield server, server.stdout.readline().strip()
    finally:
        server.kill()
        server.wait()
        assert server.stdout is not None
        server.stdout.close()


def read_ledger(path: Path, event: str | None = None) -> list[dict]:
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    return [entry for entry in entries if event in (None, entry["event"])]


def started(server: SimulatorServer) -> Counter[str]:
    return count_entries(server, "request")


def accepted(server: SimulatorServer) -> Counter[str]:
    return count_entries(server, "accepted")


def count_entries(server: SimulatorServer, event: str) -> Counter[str]:
    return Counter(entry["attempt_ref"] for entry in server.exchange.entries() if entry["event"] == event)


class Seen:
    """What a scripted server was asked."""

    def __init__(self) -> None:
        self.connections = self.requests = self.starts = 0
        self.closed = Event()


@contextmanager
def scripted(answer: Callable[[socket.socket], bool]) -> Iterator[tuple[str, Seen]]:
    """A server that answers each request with `answer`, which says whether to keep the connection."""
    seen = Seen()

    def take_connections() -> None:
        while True:
            try:
                line, _ = listener.accept()
            except OSError:
                return
            seen.connections += 1
            with line:
                converse(line)
            seen.closed.set()

    def converse(line: socket.socket) -> None:
        line.settimeout(30)
        try:
            while asked := read_request(line):
                seen.requests += 1
                seen.starts += asked.startswith(b"POST /calls ")
                if not answer(line):
                    return
        except OSError:
            return

    listener = socket.create_server(("127.0.0.1", 0))
    thread = Thread(target=take_connections)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", seen
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(BACKSTOP)


def read_request(line: socket.socket) -> bytes:
    """One whole request; empty when the client has left or speaks something else."""
    asked = b""
    while b"\r\n\r\n" not in asked:
        part = line.recv(65536)
        if not part:
            return b""
        asked += part
        if asked[:1] == b"\x16":  # a TLS greeting has no blank line to wait for
            return asked
    head, _, body = asked.partition(b"\r\n\r\n")
    lengths = [field.split(b":")[1] for field in head.lower().split(b"\r\n") if field.startswith(b"content-length")]
    while lengths and len(body) < int(lengths[0]):
        body += line.recv(65536)
    return asked


def says(answer: bytes) -> Callable[[socket.socket], bool]:
    whole = b"\r\n\r\n" in answer and b"Content-Length: 900\r\n" not in answer

    def send(line: socket.socket) -> bool:
        line.sendall(answer)
        return whole

    return send


def dribbles(head: bytes) -> Callable[[socket.socket], bool]:
    def send(line: socket.socket) -> bool:
        line.sendall(head)
        pause = Event()
        while not pause.wait(0.05):
            line.sendall(b"x")
        return False

    return send


def floods(line: socket.socket) -> bool:
    line.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 99999999999\r\n\r\n")
    while True:
        line.sendall(b"x" * 65536)


def dial_until_connect_fails(url: str, tries: int = 5):
    """A full backlog takes one connection more on some kernels; then the next one is not taken."""
    answer = dial(url, timeout=IMPATIENCE)
    for _ in range(tries):
        if isinstance(answer, Refused):
            break
        answer = dial(url, timeout=IMPATIENCE)
    return answer


def _try_to_connect(address: Sequence[object]) -> None:
    with socket.socket() as caller:
        caller.settimeout(2)
        try:
            caller.connect(address)
            caller.recv(1)
        except OSError:
            return


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _has_ipv6_loopback() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False
