"""Webhooks over real HTTP: proven on the raw bytes, stored before the answer, limited in size and in time."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import http.client
import json
import selectors
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest

from scheduler.clock import SystemClock
from scheduler.config import Keys
from scheduler.errors import DatabaseUnavailable
from scheduler.events import Reporter
from scheduler.model import Outcome
from scheduler.providers.base import CallReport, Hook, HookRefused, Phase, ProviderEvent
from scheduler.providers.registry import open_provider
from scheduler.service.runtime import Runtime
from scheduler.store import tables
from scheduler.web.server import WebServer
from scheduler.web.webhooks import (
    LARGE_OF_ADDRESS,
    LARGE_TOGETHER,
    LARGEST_BODY,
    MOST_OF_ADDRESS,
    SMALL_BODY,
    Arrivals,
    Crowded,
)
from tests.factories import (
    ScriptedProvider,
    Station,
    add_due_lead,
    attempt_of,
    call_id_of,
    find_all,
    with_providers,
    with_settings,
)
from tests.waiting import wait_until

KEY = b"a-secret"


class Signing(ScriptedProvider):
    """A provider named as a real one, whose webhooks are signed over address and body."""

    def __init__(self) -> None:
        super().__init__("retell")
        self.hooks: list[Hook] = []

    def receive(self, hook: Hook, now: datetime) -> list[ProviderEvent]:
        self.hooks.append(hook)
        self.judged_at = now
        if not hmac.compare_digest(hook.headers.get("x-signature", ""), sign(hook.url, hook.body)):
            raise HookRefused(401, "its signature is not ours")
        told = json.loads(hook.body)
        if told.get("kind") == "ignored":
            return []
        return [ProviderEvent(told["key"], "end", told, attempt_ref=told.get("ref"), call_id=told.get("id"))]

    def read_event(self, event: ProviderEvent) -> CallReport | None:
        return CallReport(event.call_id or "", Phase.ENDED, outcome=Outcome(event.payload["outcome"]))


@pytest.fixture
def provider() -> Signing:
    return Signing()


@pytest.fixture
def reporter() -> Reporter:
    return Reporter(lambda line: None)


@pytest.fixture
def house(runtime: Runtime, provider: Signing) -> Runtime:
    return with_providers(runtime, {"retell": provider}, "retell")


@pytest.fixture
def url(house: Runtime, reporter: Reporter) -> Iterator[str]:
    yield from serving(house, reporter)


def serving(runtime: Runtime, reporter: Reporter) -> Iterator[str]:
    server = WebServer(runtime, "127.0.0.1", 0, reporter=reporter)
    server.start()
    yield server.url
    server.stop()


def test_a_genuine_webhook_is_stored_answered_with_204_and_applied(url, house, database, provider):
    station = Station(house, provider)
    lead_id = add_due_lead(database)
    station.dispatch()
    ref = attempt_of(database, lead_id).attempt_ref

    answer = post(url, key="e1", ref=ref, id=call_id_of(ref), outcome="no_answer")

    assert answer.status_code == 204
    assert [one.event_key for one in find_all(database, tables.provider_events)] == ["e1"]
    wait_until(lambda: attempt_of(database, lead_id).outcome == "no_answer", what="the server applied it by itself")


def test_ten_at_once_of_the_same_event_are_one(url, database):
    with ThreadPoolExecutor(10) as many:
        answers = list(many.map(lambda _: post(url, key="same", outcome="busy").status_code, range(10)))

    assert answers == [204] * 10
    assert len(find_all(database, tables.provider_events)) == 1


def test_what_is_not_proven_is_refused_and_not_stored(url, database):
    body = json.dumps({"key": "forged", "outcome": "completed"}).encode()

    for headers in ({}, {"X-Signature": "nonsense"}, {"X-Signature": sign(url, body)}):
        answer = send(f"{url}/webhooks/retell", body, headers)
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["detail"] == "nothing in it proves who sent it"
    assert find_all(database, tables.provider_events) == []


@pytest.mark.parametrize("path", ["/webhooks/retell", "/webhooks/retell?ref=a%20b&x=1", "/webhooks/retell/extra/tail"])
def test_the_signature_covers_the_address_as_it_was_called(url, provider, path):
    body = json.dumps({"kind": "ignored"}).encode()
    answer = send(url + path, body, {"X-Signature": sign(url + path, body)})

    assert answer.status_code == 204
    assert provider.hooks[-1].url == url + path
    assert provider.hooks[-1].tail == ("extra/tail" if "tail" in path else "")


def test_behind_a_proxy_the_public_address_is_the_one_that_was_signed(runtime, provider, reporter):
    house = with_settings(with_providers(runtime, {"retell": provider}, "retell"), public_url="https://dial.example.org")
    for url in serving(house, reporter):
        body = json.dumps({"kind": "ignored"}).encode()
        signature = sign("https://dial.example.org/webhooks/retell?ref=1", body)
        answer = send(f"{url}/webhooks/retell?ref=1", body, {"X-Signature": signature})
        assert answer.status_code == 204


def test_a_body_that_is_too_large_is_refused_without_being_read(url, provider, database):
    def chunks() -> Iterator[bytes]:
        for _ in range(60):
            yield b"x" * 2**20

    assert send(f"{url}/webhooks/retell", b"x" * (LARGEST_BODY + 1)).status_code == 413
    try:
        streamed = send(f"{url}/webhooks/retell", chunks()).status_code
    except OSError:
        streamed = 413  # it hung up while we were still sending, which is its right
    assert streamed == 413
    assert provider.hooks == []
    assert find_all(database, tables.provider_events) == []


TWILIO = {"X-Twilio-Signature": base64.b64encode(b"x" * 20).decode()}
RETELL = {"X-Retell-Signature": f"v={int(time.time() * 1000)},d={'0' * 64}"}
HTTP = {"X-Ringback-Signature": f"t={int(time.time())},v1={'0' * 64}"}


@pytest.mark.parametrize(("name", "shape"), [
    ("retell", {}), ("retell", RETELL), ("twilio", {}), ("twilio", TWILIO), ("http", {}), ("http", HTTP),
    ("nlpearl", {}), ("asterisk", {}),
])  # fmt: skip
def test_strangers_are_not_told_which_providers_are_set_up(runtime, reporter, name, shape):
    keys = {
        "RETELL_API_KEY": "key_" + "1" * 24, "RETELL_FROM_NUMBER": "+14155550100",
        "TWILIO_ACCOUNT_SID": "AC" + "1" * 32, "TWILIO_AUTH_TOKEN": "1" * 32,
        "TWILIO_FROM_NUMBER": "+14155550100",
        "TWILIO_TWIML_URL": "https://voice.example.org/", "HTTP_DIALER_URL": "https://dialer.example.org",
        "HTTP_DIALER_WEBHOOK_SECRET": "1" * 32, "NLPEARL_API_KEY": "account:secret", "NLPEARL_PEARL_ID": "1" * 24,
        "NLPEARL_WEBHOOK_SECRET": "1" * 32, "ASTERISK_URL": "https://pbx.example.org", "ASTERISK_USERNAME": "u",
        "ASTERISK_PASSWORD": "p", "ASTERISK_ENDPOINT": "PJSIP/{number}@trunk",
    }
    said = []
    for known in ({}, keys):
        opened = open_provider(name, runtime.settings, runtime.clock, Keys(known)) if known else None
        named = {name: opened} if opened else {"other": ScriptedProvider("other")}
        for url in serving(with_providers(runtime, named, next(iter(named))), reporter):
            answer = send(f"{url}/webhooks/{name}", b"{}", shape)
            said.append((answer.status_code, answer.body))

    assert said[0] == said[1]
    assert said[0][0] == (404 if name == "asterisk" else 401)


def test_what_the_headers_show_to_be_no_webhook_is_refused_before_its_body(runtime, provider, reporter):
    class Strict(Signing):
        def glance(self, hook: Hook, now: datetime) -> None:
            raise HookRefused(401, "it has no header")

    strict = Strict()
    for url in serving(with_providers(runtime, {"retell": strict}, "retell"), reporter):
        for path in ("retell", "nobody", "twilio", "http", "nlpearl"):
            with trickle(url, path) as slow:
                status = slow.recv(12)
                assert status == (b"HTTP/1.1 404" if path == "nobody" else b"HTTP/1.1 401"), path
    assert strict.hooks == []


def test_slow_strangers_keep_no_webhook_out(url, provider):
    with contextlib.ExitStack() as many:
        slow = [many.enter_context(trickle(url)) for _ in range(MOST_OF_ADDRESS + 5)]

        assert post(url, kind="ignored").status_code == 204

        waiting = many.enter_context(selectors.DefaultSelector())
        for one in slow:
            waiting.register(one, selectors.EVENT_READ)
        wait_until(lambda: len(waiting.select(0)) >= 5, what="some of them made room")
        assert [one.fileobj.recv(12) for one, _ in waiting.select(0)][:5] == [b"HTTP/1.1 503"] * 5


def test_large_bodies_that_trickle_share_a_bounded_memory():
    async def arrive() -> tuple[list[int], int]:
        arrivals = Arrivals()
        with contextlib.ExitStack() as many:
            bodies = [many.enter_context(arrivals.entered(f"10.0.0.{n}")) for n in range(100)]
            for body in bodies:
                with contextlib.suppress(Crowded):
                    body.grow(LARGEST_BODY - 1)
            kept = [n for n, body in enumerate(bodies) if not body.is_broken_off]
            small = many.enter_context(arrivals.entered("10.0.1.1"))
            small.grow(SMALL_BODY)
            assert not small.is_broken_off
            return kept, sum(bodies[n].size for n in kept)

    kept, size = asyncio.run(arrive())
    assert size <= LARGE_TOGETHER
    assert kept == [98, 99], "the oldest made room"


def test_one_address_cannot_take_the_room_of_the_others():
    async def arrive() -> tuple[bool, int]:
        arrivals = Arrivals()
        with contextlib.ExitStack() as many:
            vendor = many.enter_context(arrivals.entered("vendor"))
            vendor.grow(2**20)
            for _ in range(50):
                with contextlib.suppress(Crowded):
                    many.enter_context(arrivals.entered("stranger")).grow(2**20)
            return vendor.is_broken_off, len(arrivals)

    assert asyncio.run(arrive()) == (False, 1 + LARGE_OF_ADDRESS // 2**20)


def test_a_body_that_is_being_proven_is_finished():
    async def arrive() -> tuple[bool, bool]:
        arrivals = Arrivals()
        with arrivals.entered("a") as whole, arrivals.entered("a") as late:
            whole.grow(LARGE_OF_ADDRESS)
            whole.is_arriving = False
            with pytest.raises(Crowded):
                late.grow(SMALL_BODY + 1)
            return whole.is_broken_off, late.is_broken_off

    assert asyncio.run(arrive()) == (False, True)


def test_who_proves_nothing_too_often_waits_and_what_is_genuine_is_not_counted(house, reporter):
    for url in serving(with_settings(house, web_rate=0.001), reporter):  # one at once
        assert [post(url, kind="ignored").status_code for _ in range(5)] == [204] * 5
        assert send(f"{url}/webhooks/retell", b"{}").status_code == 401
        refused = send(f"{url}/webhooks/retell", b"{}")
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) > 1


@pytest.mark.parametrize("hours", [-2, 2])
def test_on_a_host_whose_clock_is_off_signatures_are_judged_by_the_databases_time(house, provider, reporter, hours):
    class Elsewhere:
        """The database of a host that is right: this one is hours behind or ahead of it."""

        def now(self) -> datetime:
            return house.database.now() + timedelta(hours=hours)

        def __getattr__(self, name: str) -> Any:
            return getattr(house.database, name)

    for url in serving(replace(house, database=Elsewhere()), reporter):
        post(url, kind="ignored")

    assert abs(provider.judged_at - SystemClock().now() - timedelta(hours=hours)) < timedelta(minutes=1)


def test_while_the_database_is_away_the_vendor_is_asked_to_send_it_again(house, reporter):
    class Away:
        def __getattr__(self, name: str) -> Any:
            raise DatabaseUnavailable("the database is away")

    for url in serving(replace(house, database=Away(), clock=SystemClock()), reporter):
        answer = post(url, key="e", outcome="busy")
        assert answer.status_code == 503
        assert "send it again" in answer.json()["detail"]


def test_a_body_that_never_comes_holds_nobody_up(url):
    address = url.removeprefix("http://").split(":")
    with socket.create_connection((address[0], int(address[1]))) as stuck:
        stuck.sendall(b"POST /webhooks/retell HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
        assert post(url, kind="ignored").status_code == 204


def test_a_client_that_goes_away_in_the_middle_leaves_no_trace(url, database, caplog):
    address = url.removeprefix("http://").split(":")
    for _ in range(5):
        with socket.create_connection((address[0], int(address[1]))) as gone:
            gone.sendall(b"POST /webhooks/retell HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
    assert post(url, kind="ignored").status_code == 204

    assert caplog.records == []


def test_refusals_are_counted_each_time_and_said_now_and_then(house):
    lines: list[str] = []
    reporter = Reporter(lambda line: lines.append(line.text))
    for url in serving(house, reporter):
        for _ in range(20):
            send(f"{url}/webhooks/retell", b"{}")

    assert len([one for one in lines if "401" in one]) == 1
    assert reporter.registry.get_sample_value("ringback_webhooks_total", {"provider": "retell", "answer": "401"}) == 20


def test_many_webhooks_at_once_are_all_stored(url, database):
    with ThreadPoolExecutor(20) as many:
        answers = list(many.map(lambda n: post(url, key=f"e{n}", outcome="busy").status_code, range(400)))

    assert set(answers) == {204}
    assert len(find_all(database, tables.provider_events)) == 400


def test_an_address_in_use_is_said_at_once(house, url):
    from scheduler.errors import InvalidValue

    with pytest.raises(InvalidValue, match="choose another"):
        WebServer(house, "127.0.0.1", int(url.rpartition(":")[2]))


def test_stopping_ends_its_threads(house, reporter):
    before = threading.active_count()
    for url in serving(house, reporter):
        post(url, kind="ignored")

    assert threading.active_count() <= before + 1


def trickle(url: str, name: str = "retell") -> socket.socket:
    """A connection that has begun a body and does not go on."""
    address = url.removeprefix("http://").split(":")
    slow = socket.create_connection((address[0], int(address[1])), timeout=30)
    slow.sendall(f"POST /webhooks/{name} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{{".encode())
    return slow


def sign(url: str, body: bytes) -> str:
    return hmac.new(KEY, url.encode() + body, hashlib.sha256).hexdigest()


@dataclass(frozen=True)
class Said:
    status_code: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def post(url: str, **told: Any) -> Said:
    body = json.dumps(told).encode()
    return send(f"{url}/webhooks/retell", body, {"X-Signature": sign(f"{url}/webhooks/retell", body)})


def send(address: str, body: Any, headers: dict[str, str] | None = None) -> Said:
    """One request on a connection of its own; the test's own client costs more than what is tested."""
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    try:
        connection.request("POST", address.removeprefix(f"http://{parts.netloc}"), body, headers or {})
        answer = connection.getresponse()
        return Said(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()
