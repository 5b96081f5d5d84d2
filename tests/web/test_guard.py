"""What every request passes: headers on every answer, bodies within limits, and so many requests as can be served."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import Message, Receive, Scope, Send

from scheduler.events import Reporter
from scheduler.service import access
from scheduler.service.runtime import Runtime
from scheduler.store.database import Database
from scheduler.web.guard import LARGEST_BODY, LARGEST_UPLOAD, Buckets, Exchange, Guard, Places
from scheduler.web.problems import Refusal
from scheduler.web.server import WebServer, raise_open_files
from tests.factories import sql, with_settings
from tests.waiting import BACKSTOP, PLAIN, wait_until

BATCHES, UPLOAD = "/api/v1/batches", "/api/v1/batches/excel/create"
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """Nothing here depends on the engine."""
    return f"sqlite:///{tmp_path / 'ringback.db'}"


# --- headers -----------------------------------------------------------------------------------------------------


def test_every_answer_has_the_headers_of_the_site(client: httpx.Client, runtime: Runtime, database: Database):
    answers = {
        200: client.get(BATCHES), 404: client.get("/nowhere"), 405: client.put("/static/ringback.css"),
        403: client.get(BATCHES, headers={"Host": "evil.example"}), 422: client.post(BATCHES, json=[]),
        413: client.post(BATCHES, content=b"x" * (LARGEST_BODY + 1)), 204: client.get("/static/ringback.css"),
    }
    sql(database, "DROP TABLE campaigns")
    answers[500] = client.get(BATCHES)
    access.create_key("k", runtime=runtime)
    answers[401], answers[303] = client.get(BATCHES), client.get("/")

    for status, one in answers.items():
        assert one.status_code == status or status == 204, (status, one.text)
        policy = one.headers["content-security-policy"]
        assert "default-src 'self'" in policy, status
        assert "frame-ancestors 'none'" in policy, status
        assert "unsafe" not in policy, status
        assert one.headers["x-content-type-options"] == "nosniff"
        assert one.headers["x-frame-options"] == "DENY"
        assert one.headers["referrer-policy"] == "same-origin"
        assert one.headers["cross-origin-opener-policy"] == one.headers["cross-origin-resource-policy"] == "same-origin"
        assert "camera=()" in one.headers["permissions-policy"]
        assert "server" not in one.headers
        assert "strict-transport-security" not in one.headers  # plain http
    assert {answers[one].headers["cache-control"] for one in (404, 401, 303, 500)} == {"no-store"}
    assert answers[204].headers["cache-control"] == "no-cache"
    assert "campaigns" not in answers[500].text
    assert client.get("/static/ringback.css?v=1").headers["cache-control"] == "public, max-age=31536000, immutable"


# --- bodies ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_body_that_is_too_large_is_refused_and_the_connection_ends(client: httpx.Client, is_chunked: bool):
    body = b'{"name": "' + b"x" * 4 * LARGEST_BODY + b'"}'

    def pieces() -> Iterator[bytes]:
        yield from (body[at : at + 65536] for at in range(0, len(body), 65536))

    refused = client.post(BATCHES, content=pieces() if is_chunked else body, headers=JSON)

    assert (refused.status_code, refused.json()["detail"]) == (413, "a request to this address has at most 1 MiB")
    assert refused.headers["connection"] == "close"
    assert client.post(BATCHES, content=body[: LARGEST_BODY - 20], headers=JSON).status_code in (400, 422)
    assert client.post("/login", data={"name": "x" * 20_000}).status_code == 413


def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_sent(served: str):
    said = exchange(
        served, f"POST {UPLOAD} HTTP/1.1\r\nHost: 127.0.0.1\r\nExpect: 100-continue\r\n"
        f"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {LARGEST_UPLOAD + 1}\r\n\r\n",
    )  # fmt: skip

    assert said.startswith(b"HTTP/1.1 413 ")
    assert b"at most 64 MiB" in said


def test_an_upload_may_be_larger_and_its_size_is_counted_while_it_is_read(client: httpx.Client):
    two = client.post(UPLOAD, files={"file": ("a.csv", b"x" * 2 * 2**20)})
    assert two.status_code == 422, two.text  # read whole, and found to be no file of leads

    def pieces() -> Iterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
        yield from [b"x" * 2**20] * 65

    refused = client.post(UPLOAD, content=pieces(), headers={"Content-Type": "multipart/form-data; boundary=b"})
    assert (refused.status_code, refused.json()["detail"]) == (413, "a request to this address has at most 64 MiB")


@pytest.mark.parametrize("body", [b"--b\r\nContent-Disposition: form-da", b"nonsense", b"--b--", b""])
def test_a_broken_multipart_body_is_refused(client: httpx.Client, body: bytes):
    refused = client.post(UPLOAD, content=body, headers={"Content-Type": "multipart/form-data; boundary=b"})

    assert refused.status_code in (400, 422), refused.text


def test_a_body_that_does_not_arrive_is_not_waited_for():
    async def never() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def read(_: Message) -> None:
        raise AssertionError("nothing was answered yet")

    async def run() -> None:
        waiting = Exchange(a_scope("/login", ("content-length", "10")), never, read)
        with pytest.raises(Refusal, match="did not arrive in time") as refused:
            await waiting.read_all(100, 0.01)
        assert refused.value.status == 408

    asyncio.run(run())


def test_a_body_whose_length_is_said_in_two_ways_is_refused_and_nothing_after_it_is_a_request(served: str):
    said = exchange(
        served,
        f"POST {BATCHES} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
        "0\r\n\r\nGET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    )

    assert said.split()[1] == b"400"
    assert b"connection: close" in said.lower()
    assert b"alive" not in said


def test_a_slash_too_many_leads_to_no_other_host(client: httpx.Client, runtime: Runtime):
    key = access.create_key("k", runtime=runtime).token
    led = client.get(f"{BATCHES}/?limit=2", headers={"Host": "evil.example", "X-API-Key": key})

    assert (led.status_code, led.headers["location"]) == (307, f"{BATCHES}?limit=2")


def test_what_strangers_send_is_no_line_of_the_log(served: str, capfd: pytest.CaptureFixture[str]):
    assert exchange(served, "no request at all\r\n\r\n").split()[1] == b"400"
    assert capfd.readouterr().err == ""


def test_headers_that_are_too_large_are_refused(served: str):
    long = "x" * 40_000
    said = exchange(served, f"GET {BATCHES} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nX: {long}\r\n\r\n")

    assert said.split()[1] in (b"431", b"400")


# --- how often ---------------------------------------------------------------------------------------------------


def test_a_bucket_empties_and_fills_again_and_strangers_take_no_more_memory():
    now = [0.0]
    buckets = Buckets(rate=10, burst=3, moment=lambda: now[0], most=5)
    assert [taken(buckets, "a") for _ in range(5)] == [None, None, None, "1", "1"]
    now[0] += 0.1
    assert [taken(buckets, "a"), taken(buckets, "a"), taken(buckets, "b")] == [None, "1", None]
    for number in range(100):
        buckets.take(f"stranger {number}")

    assert len(buckets) == 5
    slow = Buckets(rate=0.1, burst=1, moment=lambda: now[0])
    assert [taken(slow, "a"), taken(slow, "a")] == [None, "10"]


def test_each_caller_has_a_rate_of_their_own(runtime: Runtime):
    first, second = (access.create_key(name, runtime=runtime).token for name in "ab")
    server = WebServer(with_settings(runtime, web_rate=1), "127.0.0.1", 0, reporter=Reporter(lambda line: None))
    server.start()
    with httpx.Client(base_url=server.url, **PLAIN) as client:
        got = [client.get(BATCHES, headers={"X-API-Key": first}) for _ in range(8)]
        other = client.get(BATCHES, headers={"X-API-Key": second})
        guesses = [client.get(BATCHES).status_code for _ in range(8)]
        health = [client.get("/api/v1/health/live").status_code for _ in range(8)]
    server.stop()

    assert [one.status_code for one in got[:5]] == [200] * 5
    refused = got[-1]
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert refused.json()["detail"] == "at most 1 requests a second; try again in 1 s"
    assert other.status_code == 200
    assert (guesses[0], guesses[-1]) == (401, 429)
    assert set(health) == {200}


# --- how many at once --------------------------------------------------------------------------------------------


def test_a_place_is_given_back_once_and_not_held_by_a_stream(runtime: Runtime):
    here = FastAPI()
    here.state.runtime = runtime
    begun, over = asyncio.Event(), asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        kind = b"text/event-stream" if scope["query_string"] == b"stream" else b"text/plain"
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
        begun.set()
        await over.wait()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def run() -> None:
        guard = Guard(app, rate=0)
        guard.places = Places(1)
        async with asyncio.timeout(BACKSTOP):
            stream = asyncio.create_task(ask(guard, a_scope("/login", query="stream", app=here)))
            await begun.wait()
            begun.clear()
            slow = asyncio.create_task(ask(guard, a_scope("/login", app=here)))
            await begun.wait()
            assert await ask(guard, a_scope("/login", app=here)) == 503
            over.set()
            assert (await stream, await slow, guard.places.left) == (200, 200, 1)

    asyncio.run(run())


def test_thousands_of_polls_at_once_are_all_answered(client: httpx.Client, served: str):
    raise_open_files()
    before = len(open_files())
    got = asyncio.run(poll(served, f"GET {BATCHES} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(), 1500))

    assert set(got) <= {200, 429, 503}, got
    assert got[200] >= 200, got
    assert got[503], got
    assert client.get(BATCHES).status_code in (200, 429)
    wait_until(lambda: len(open_files()) < before + 500, what="what was open is closed")


# --- what this file needs --------------------------------------------------------------------------------------


def open_files() -> list[Path]:
    return list(Path("/proc/self/fd").iterdir())


async def poll(url: str, request: bytes, count: int) -> Counter[Any]:
    """Ask from `count` connections, all open before the first asks. Returns how often which status."""
    there = urlsplit(url)
    opened = [await asyncio.open_connection(there.hostname, there.port) for _ in range(count)]

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
        writer.write(request)
        line = await reader.readline()
        writer.close()
        return int(line.split()[1])

    async with asyncio.timeout(BACKSTOP):
        return Counter(await asyncio.gather(*(one(*pair) for pair in opened)))


def exchange(url: str, request: str) -> bytes:
    """What is answered until the server closes the connection."""
    there = urlsplit(url)
    with socket.create_connection((str(there.hostname), int(there.port or 0)), timeout=BACKSTOP) as connection:
        connection.sendall(request.encode())
        said = b""
        while piece := connection.recv(65536):
            said += piece
    return said


def a_scope(path: str, *headers: tuple[str, str], query: str = "", app: FastAPI | None = None) -> Scope:
    return {
        "type": "http", "method": "GET", "path": path, "query_string": query.encode(), "scheme": "http",
        "headers": [(name.encode(), text.encode()) for name, text in headers], "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80), "app": app,
    }  # fmt: skip


async def ask(guard: Guard, scope: Scope) -> int:
    got: list[int] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            got.append(message["status"])

    await guard(scope, receive, send)
    (status,) = got
    return status


def taken(buckets: Buckets, caller: str) -> str | None:
    try:
        buckets.take(caller)
    except Refusal as refusal:
        return refusal.headers["Retry-After"]
    return None
