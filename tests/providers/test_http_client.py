"""What every adapter rests on. Answers byte by byte, the pool and proxies are in `test_simulator_http`."""

from __future__ import annotations

import ipaddress
import json
import socket
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scheduler.errors import InvalidValue, ProviderError
from scheduler.providers.base import RefusalKind, Refused, Unanswered
from scheduler.providers.http_client import Answer, HttpClient, is_forbidden, read_address, unusable
from tests.each import each
from tests.examples import examples
from tests.providers.contract import NOON, NUMBER, ask_in_vain
from tests.providers.test_simulator_http import closed_port, dribbles, read_request, reply, says, scripted
from tests.waiting import BACKSTOP

Resolver = Callable[..., Any]
OK = reply("200 OK", b'{"id":"a"}')


# --- addresses


@each(
    ("written", "read"),
    [
        ("https://api.example.com", "https://api.example.com"),
        ("  https://api.example.com/ ", "https://api.example.com"),
        ("https://api.example.com/v2/", "https://api.example.com/v2"),
        ("https://api.example.com:8443", "https://api.example.com:8443"),
        ("HTTPS://API.Example.com", "https://api.example.com"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://[::1]:8080/x", "http://[::1]:8080/x"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://dialer.localhost", "http://dialer.localhost"),
        ("https://10.0.0.5", "https://10.0.0.5"),
        ("http://my_dialer.localhost", "http://my_dialer.localhost"),
        ("https://teléfono.example", "https://xn--telfono-dya.example"),
    ],
)
def test_an_address_is_read_without_its_last_slash(written: str, read: str):
    assert read_address("X_URL", written) == read


@each(
    "written",
    [
        "", "api.example.com", "ftp://api.example.com", "file:///etc/passwd", "https://", "https:///path", "//api",
        "https://api.example.com:99999", "https://api.example.com:port", "https://[::1", "https://a b.example",
        "https://api.example.com/\x00", "https://user:pw@api.example.com", "https://user@api.example.com",
        "https://api.example.com?key=k", "https://api.example.com#part",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused_by_its_name(written: str):
    with pytest.raises(InvalidValue, match="X_URL"):
        read_address("X_URL", written)


PRIVATE = [
    "http://10.0.0.5", "http://192.168.1.9:8080", "http://172.16.0.1", "http://[fd00::5]", "http://dialer",
    "http://pbx.local", "http://pbx.lan", "http://pbx.internal",
]  # fmt: skip
PUBLIC = ["http://api.example.com", "http://8.8.8.8", "http://[2001:4860:4860::8888]", "http://172.32.0.1"]


@each("written", PRIVATE)
def test_plain_http_into_a_private_network_needs_leave(written: str):
    assert read_address("X_URL", written, plain="private") == written
    assert read_address("X_URL", written, plain="anywhere") == written
    with pytest.raises(InvalidValue, match="https://"):
        read_address("X_URL", written)


@each("written", PUBLIC)
def test_plain_http_into_the_open_is_for_those_who_ask_for_it(written: str):
    assert read_address("X_URL", written, plain="anywhere") == written
    assert read_address("X_URL", written.replace("http:", "https:")) == written.replace("http:", "https:")
    for plain in ("here", "private"):
        with pytest.raises(InvalidValue, match="https://"):
            read_address("X_URL", written, plain=plain)


FORBIDDEN = [
    "169.254.169.254", "169.254.0.1", "fe80::1", "fe80::1%eth0", "::ffff:169.254.169.254", "::ffff:a9fe:a9fe",
    "2002:a9fe:a9fe::1", "64:ff9b::169.254.169.254", "64:ff9b::a9fe:a9fe", "0.0.0.0", "::", "::ffff:0.0.0.0",
    "224.0.0.1", "239.255.255.250", "ff02::1", "100.100.100.200", "::ffff:100.100.100.200", "fd00:ec2::254",
    "fd00:0ec2:0:0:0:0:0:0254", "metadata.google.internal", "Metadata.Google.Internal.", "metadata", "metadata.goog",
    "instance-data",
]  # fmt: skip
FINE = [
    "127.0.0.1", "::1", "10.0.0.5", "fd00::5", "8.8.8.8", "2001:4860:4860::8888", "::ffff:10.0.0.5", "64:ff9b::8.8.8.8",
    "2002:808:808::1", "100.100.100.201", "api.example.com", "metadata.example.com", "localhost", "", "169.254",
]  # fmt: skip


@each("host", FORBIDDEN)
def test_a_link_local_or_metadata_host_is_forbidden(host: str):
    assert is_forbidden(host)


@each("host", FINE)
def test_any_other_host_is_not(host: str):
    assert not is_forbidden(host)


@given(st.ip_addresses(v=4, network="169.254.0.0/16"))
@settings(max_examples=examples(10))
def test_a_link_local_address_is_forbidden_in_each_of_its_spellings(address: ipaddress.IPv4Address):
    inner = int(address)
    for spelling in (
        ipaddress.IPv6Address((0xFFFF << 32) + inner),
        ipaddress.IPv6Address((0x2002 << 112) + (inner << 80)),
        ipaddress.IPv6Address(int(ipaddress.IPv6Address("64:ff9b::")) + inner),
    ):
        assert is_forbidden(str(spelling))
        assert is_forbidden(spelling.exploded)


@given(st.text(max_size=30))
def test_no_name_makes_the_question_fail(host: str):
    assert is_forbidden(host) in (True, False)


@each("plain", ["here", "private", "anywhere"])
@each("host", ["169.254.169.254", "[::ffff:169.254.169.254]", "metadata", "0.0.0.0", "[fe80::1]"])
def test_a_forbidden_host_is_no_address_unless_it_is_allowed_by_name(host: str, plain: Any):
    for scheme in ("http", "https"):
        with pytest.raises(InvalidValue, match="RINGBACK_ALLOW_HOSTS"):
            read_address("X_URL", f"{scheme}://{host}", plain=plain)
    assert read_address("X_URL", f"http://{host}", allow_hosts={host.strip("[]")}) == f"http://{host}"


def test_an_allowed_host_may_be_spoken_to_in_plain_http():
    assert read_address("X_URL", "http://API.example.com", allow_hosts={"api.example.com"}) == "http://api.example.com"


@each(
    "written",
    [
        "https://user:s3cret@api.example.com", "https://user:s3cret@api.example.com:99999", "https://s3cret@[::1",
        "ftp://user:s3cret@api.example.com", "http://s3cret@169.254.169.254", "https://api.example.com?key=s3cret",
        "https://api.example.com:99999?key=s3cret", "ftp://api.example.com/#s3cret", "http://8.8.8.8/?s3cret",
    ],
)  # fmt: skip
def test_an_address_that_is_refused_shows_neither_user_nor_query(written: str):
    with pytest.raises(InvalidValue) as failed:
        read_address("X_URL", written)

    assert "s3cret" not in str(failed.value)
    assert failed.value.__cause__ is None


@given(st.text(max_size=60) | st.text(max_size=40).map("https://".__add__))
@settings(max_examples=examples(75))
@example("https://\ud800.example")
@example("https://xn--\u0130.example")
@example("https://a..b")
@example("https://" + "a" * 70 + ".example")
def test_any_text_is_an_address_or_refused(written: str):
    with suppress(InvalidValue):
        assert read_address("X_URL", written).startswith(("http://", "https://"))


# --- names


@pytest.mark.parametrize(
    "addresses",
    [["169.254.169.254"], ["127.0.0.1", "169.254.169.254"], ["fd00:ec2::254"], ["::ffff:169.254.1.1"], ["0.0.0.0"]],
)
def test_a_name_that_leads_to_a_forbidden_address_is_not_connected_to(
    monkeypatch: pytest.MonkeyPatch, addresses: list[str]
):
    with scripted(says(OK)) as (url, seen), client_to(named(url)) as client:
        asked = resolve_to(monkeypatch, addresses)
        answer = client.start("the vendor", "POST", "/calls")
        with pytest.raises(ProviderError):
            client.look_up("the vendor", "a call", "GET", "/calls")

    assert isinstance(answer, Refused)
    assert answer.kind is RefusalKind.NEVER_SENT
    assert seen.connections == 0
    assert asked == ["vendor.example", "vendor.example"]


def test_a_number_that_the_system_reads_as_a_forbidden_address_is_not_connected_to():
    for host in ("2852039166", "0xA9FEA9FE", "169.254.43518"):  # all are 169.254.169.254 to a resolver
        with client_to(f"http://{host}") as client:
            answer = client.start("the vendor", "POST", "/calls")

        assert isinstance(answer, Refused)
        assert answer.kind is RefusalKind.NEVER_SENT


def test_a_host_that_is_allowed_by_name_may_lead_anywhere(monkeypatch: pytest.MonkeyPatch):
    with scripted(says(OK)) as (url, seen), client_to(named(url), allow_hosts={"vendor.example"}) as client:
        resolve_to(monkeypatch, ["0.0.0.0"])  # which is this machine, for whoever connects to it
        assert isinstance(client.start("the vendor", "POST", "/calls"), Answer)

    assert seen.connections == 1


def test_a_name_is_asked_once_and_its_answer_is_what_is_connected_to(monkeypatch: pytest.MonkeyPatch):
    with scripted(says(OK)) as (url, _), client_to(named(url)) as client:
        asked = resolve_to(monkeypatch, ["127.0.0.2", "127.0.0.1"])
        assert isinstance(client.start("the vendor", "POST", "/calls"), Answer)

    assert asked == ["vendor.example"]  # a second answer could be another one


def test_every_address_of_a_name_is_tried_and_the_request_is_sent_once(monkeypatch: pytest.MonkeyPatch):
    with scripted(says(OK)) as (url, seen), client_to(named(url)) as client:
        resolve_to(monkeypatch, ["127.0.0.3", "127.0.0.2", "127.0.0.1"])  # the server has the last alone
        assert isinstance(client.start("the vendor", "POST", "/calls"), Answer)

    assert (seen.connections, seen.requests) == (1, 1)


def test_a_name_none_of_whose_addresses_answers_is_never_sent(monkeypatch: pytest.MonkeyPatch):
    with client_to(f"http://vendor.example:{closed_port()}") as client:
        resolve_to(monkeypatch, ["127.0.0.2", "127.0.0.1"])
        answer = client.start("the vendor", "POST", "/calls")

    assert isinstance(answer, Refused)
    assert answer.kind is RefusalKind.NEVER_SENT


@each("host", ["nowhere.invalid", "a..b", f"{'a' * 64}.example"])
def test_a_name_that_cannot_be_resolved_is_never_sent(host: str):
    with client_to(f"http://{host}") as client:
        answer = client.start("the vendor", "POST", "/calls")

    assert isinstance(answer, Refused)
    assert answer.kind is RefusalKind.NEVER_SENT


# --- how long to wait


SECONDS = st.integers(0, 10**6)


@given(SECONDS)
def test_a_wait_in_seconds_is_read(seconds: int):
    assert answer_with(f" {seconds} ").retry_after() == timedelta(seconds=seconds)


@given(SECONDS, SECONDS)
def test_a_wait_until_a_date_is_counted_from_the_answers_own_date(sent: int, until: int):
    at, then = NOON + timedelta(seconds=sent), NOON + timedelta(seconds=until)
    answer = answer_with(format_datetime(then, usegmt=True), Date=format_datetime(at, usegmt=True))

    assert answer.retry_after() == max(then - at, timedelta(0))


@each(
    "written", ["", "soon", "-3", "1.5", "+7", "٧", "7 s", "9" * 30, "9" * 5000, "2026-03-02T12:00:00Z", ","]
)
def test_a_wait_that_cannot_be_read_is_none(written: str):
    assert answer_with(written, Date=format_datetime(NOON, usegmt=True)).retry_after() is None


@given(st.text(max_size=40), st.text(max_size=40))
@settings(max_examples=examples(75))
@example("Mon, 02 Mar 2026 12:00:00 +999999", "Mon, 02 Mar 2026 12:00:00 GMT")
@example("Mon, 02 Mar 99999999999999999999 12:00:00 GMT", "")
def test_a_wait_never_raises_and_is_never_below_zero(written: str, date: str):
    wait = answer_with(written, Date=date).retry_after()

    assert wait is None or wait >= timedelta(0)


# --- bodies and deadlines


@given(st.binary(max_size=60) | st.text(max_size=30).map(str.encode))
@example(b"[" * 100_000)
@example(b"9" * 5000)
@example(b'{"a": NaN}')
def test_any_body_reads_as_an_object_or_an_empty_one(body: bytes):
    assert isinstance(Answer(200, body, {}).document(), dict)


def test_json_that_is_no_object_is_an_empty_one():
    assert (Answer(200, b'["a"]', {}).document(), Answer(200, b'["a"]', {}).json()) == ({}, ["a"])


@each(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1000000\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nX-Slow: ",
        b"HTTP/1.1 2",
    ],
)
def test_an_answer_that_dribbles_is_over_by_the_deadline_in_any_part_of_it(head: bytes):
    with scripted(dribbles(head)) as (url, seen), client_to(url, timedelta(seconds=0.4)) as client:
        asked = 0
        while not seen.requests and asked < 20:  # a busy machine may let the deadline pass before anything is sent
            asked += 1
            with pytest.raises(ProviderError):
                client.look_up("the vendor", "a call", "GET", "/calls/a")

    assert 1 <= seen.requests <= asked


def test_a_server_that_says_nothing_is_unanswered_by_the_deadline():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with client_to(url, timedelta(seconds=0.3)) as client:
            answer = ask_in_vain(lambda: client.start("the vendor", "POST", "/calls"))

    assert isinstance(answer, Unanswered)


def test_an_address_that_cannot_be_written_is_a_provider_error_and_sends_nothing():
    with scripted(says(OK)) as (url, seen), client_to(url) as client:
        with pytest.raises(ProviderError):
            client.look_up("the vendor", "a call", "GET", "/calls/\x00")
        with pytest.raises(ProviderError):
            client.look_up("the vendor", "a call", "GET", "/calls/" + "a" * 70_000)

    assert seen.requests == 0


def test_no_error_quotes_the_request():
    with client_to(f"http://127.0.0.1:{closed_port()}") as client:
        answer = client.start("the vendor", "POST", f"/calls/{NUMBER}", json={"to": NUMBER})
        with pytest.raises(ProviderError) as failed:
            client.look_up("the vendor", "a call", "GET", f"/calls/{NUMBER}")

    assert isinstance(answer, Refused)
    assert NUMBER not in answer.reason + str(failed.value)


def test_headers_and_a_user_go_with_every_request():
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as server:
        heard = server.submit(hear_one, listener)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with client_to(url, headers={"X-Own": "1"}, basic=("sid", "token")) as client:
            client.look_up("the vendor", "a call", "GET", "/calls/a")

    sent = heard.result(BACKSTOP)
    for line in (b"X-Own: 1", b"Accept: application/json", b"Accept-Encoding: identity"):
        assert line in sent
    assert b"Authorization: Basic " + b64encode(b"sid:token") in sent


@each(("status", "permanent"), [(401, True), (402, True), (403, True), (404, False), (500, False)])
def test_an_unusable_answer_is_permanent_where_the_account_is_the_reason(status: int, permanent: bool):
    error = unusable("the vendor", "a call", Answer(status, b"secret text", {}))

    assert error.permanent is permanent
    assert str(status) in str(error)
    assert "secret text" not in str(error)


# --- helpers


@contextmanager
def client_to(url: str, timeout: timedelta = timedelta(seconds=5), **options: Any) -> Iterator[HttpClient]:
    client = HttpClient(url, places=2, request_timeout=timeout, **options)
    try:
        yield client
    finally:
        client.close()


def hear_one(listener: socket.socket) -> bytes:
    line, _ = listener.accept()
    with line:
        asked = read_request(line)
        line.sendall(OK)
    return asked


def named(url: str) -> str:
    return url.replace("127.0.0.1", "vendor.example")


def resolve_to(monkeypatch: pytest.MonkeyPatch, addresses: list[str]) -> list[str]:
    """From now on every name has these addresses; the list of what was asked. An address is its own."""
    asked: list[str] = []
    real: Resolver = socket.getaddrinfo

    def resolve(host: str, port: int, *rest: Any, **more: Any) -> Any:
        try:
            ipaddress.ip_address(host)
        except ValueError:
            asked.append(host)
            return [one for address in addresses for one in real(address, port, type=socket.SOCK_STREAM)]
        return real(host, port, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return asked


def answer_with(retry_after: str, **headers: str) -> Answer:
    return Answer(429, json.dumps({}).encode(), {"Retry-After": retry_after, **headers})
