"""The limits of a start request: nothing leaves after them, and one that was stopped in the last moment knows it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from threading import Event, Thread
from typing import Any

from scheduler.clock import boottime
from scheduler.providers.base import RefusalKind, Refused, Unanswered
from scheduler.providers.http_client import Answer, HttpClient
from scheduler.providers.sending import Sending, current
from tests.providers.test_simulator_http import read_request, reply
from tests.waiting import BACKSTOP

OK = reply("200 OK", b'{"id":"a"}')
LONG = 20.0


def test_a_request_that_leaves_in_time_is_known_to_be_in_time():
    with server(answer(OK)) as heard:
        sending = limits()
        assert isinstance(start(heard, sending), Answer)
    assert (sending.has_begun, sending.is_late) == (True, False)
    assert sending.seen_at < sending.send_before


def test_head_and_body_leave_in_one_piece():
    with server(in_one_piece) as heard:
        assert isinstance(start(heard, limits()), Answer)
    assert heard.requests[0].endswith(b'{"to": "you"}')


def test_nothing_leaves_after_the_limit():
    with server(answer(OK)) as heard:
        sending = limits(send_within=-1.0)
        refused = start(heard, sending)
    assert isinstance(refused, Refused)
    assert (refused.kind, refused.ours) == (RefusalKind.NEVER_SENT, True)
    assert (sending.has_begun, heard.requests) == (False, [])


def test_a_process_that_is_stopped_while_it_connects_sends_nothing_afterwards():
    with server(answer(OK)) as heard:
        sending = limits(send_within=0.3)
        refused = start(heard, sending, connecting=lambda: Event().wait(0.5))
    assert isinstance(refused, Refused)
    assert (refused.kind, refused.ours, heard.requests) == (RefusalKind.NEVER_SENT, True, [])


def test_connecting_draws_on_the_limit_and_is_not_the_vendors_fault_then():
    with server(lambda line: Event().wait(2) and False) as heard:
        began = boottime()
        sending = limits(send_within=0.3)
        refused = start(heard, sending, scheme="https")
        assert boottime() - began < 2.0
    assert isinstance(refused, Refused)
    assert (refused.kind, refused.ours) == (RefusalKind.NEVER_SENT, True)


def test_the_rest_of_a_request_does_not_leave_after_the_limit():
    with server(reads_late) as heard:
        sending = limits(send_within=0.5)
        lost = start(heard, sending, body=b"x" * 30_000_000)
    assert isinstance(lost, Unanswered)
    assert (sending.has_begun, sending.is_late) == (True, False)


def test_the_wait_for_the_answer_began_with_the_last_look_at_the_clock():
    with server(lambda line: Event().wait(2) and False) as heard:
        began = boottime()
        assert isinstance(start(heard, limits(over_within=0.3)), Unanswered)
        assert boottime() - began < 2.0


def test_one_that_is_stopped_in_the_last_moment_knows_it_and_still_hears_the_id_of_its_call():
    with server(answer(OK)) as heard:
        sending = StoppedBefore(send_before=boottime() + 0.2, over_by=boottime() + 0.3)
        found = start(heard, sending)
    assert isinstance(found, Answer)
    assert sending.is_late


def test_one_that_is_stopped_in_the_last_moment_knows_it_though_the_answer_is_lost():
    with server(lambda line: bool(read_request(line)) and False) as heard:
        sending = StoppedBefore(send_before=boottime() + 0.2, over_by=boottime() + 0.3)
        assert isinstance(start(heard, sending), Unanswered)
    assert sending.is_late


def test_an_answer_that_came_while_it_was_stopped_is_heard():
    with server(answer(OK)) as heard:
        sending = StoppedAfter(send_before=boottime() + LONG, over_by=boottime() + 0.3)
        assert isinstance(start(heard, sending), Answer)
    assert not sending.is_late


def test_no_limit_outlives_its_request():
    with server(answer(OK)) as heard:
        start(heard, limits(send_within=-1.0))
        client = connect(heard)
        assert client.look_up("it", "that", "GET", "/").status == 200
        client.close()
    assert current() is None


# --- what this file needs ---------------------------------------------------------------------------------


class StoppedBefore(Sending):
    """Its process is stopped between the look at the clock and the send."""

    def look(self) -> None:
        super().look()
        Event().wait(0.5)


class StoppedAfter(Sending):
    """Its process is stopped when its request has left."""

    def note(self) -> None:
        super().note()
        Event().wait(0.5)


def limits(*, send_within: float = LONG, over_within: float = LONG) -> Sending:
    return Sending(send_before=boottime() + send_within, over_by=boottime() + over_within)


@dataclass
class Heard:
    port: int
    requests: list[bytes]


@contextmanager
def server(converse: Callable[[socket.socket], bool]) -> Iterator[Heard]:
    """Takes one connection after the other; what `converse` reads is kept."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        heard = Heard(listener.getsockname()[1], [])

        def serve() -> None:
            while True:
                try:
                    line, _ = listener.accept()
                except OSError:
                    return
                with line:
                    line.settimeout(BACKSTOP)
                    with suppress(OSError):
                        converse(Recorded(line, heard))  # type: ignore[arg-type]

        thread = Thread(target=serve, daemon=True)
        thread.start()
        yield heard
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(BACKSTOP)


class Recorded:
    """A connection whose received bytes are kept."""

    def __init__(self, line: socket.socket, heard: Heard) -> None:
        self._line, self._heard = line, heard

    def recv(self, size: int) -> bytes:
        part = self._line.recv(size)
        if part:
            self._heard.requests.append(part)
        return part

    def sendall(self, data: bytes) -> None:
        self._line.sendall(data)


def answer(whole: bytes) -> Callable[[socket.socket], bool]:
    def converse(line: socket.socket) -> bool:
        while read_request(line):
            line.sendall(whole)
        return False

    return converse


def in_one_piece(line: socket.socket) -> bool:
    line.recv(65536)
    line.sendall(OK)
    return False


def reads_late(line: socket.socket) -> bool:
    Event().wait(1)
    return bool(line.recv(1))


def connect(heard: Heard, scheme: str = "http") -> HttpClient:
    return HttpClient(f"{scheme}://127.0.0.1:{heard.port}", places=2, request_timeout=timedelta(seconds=LONG))


def start(
    heard: Heard, sending: Sending, *, scheme: str = "http", body: bytes = b'{"to": "you"}',
    connecting: Callable[[], Any] | None = None,
) -> Answer | Refused | Unanswered:
    client = connect(heard, scheme)

    def content() -> Iterator[bytes]:
        if connecting is not None:
            connecting()  # the body is asked for when the head has been written
        yield body

    length = {"Content-Length": str(len(body))}
    try:
        with sending:
            return client.start("it", "POST", "/calls", content=content(), headers=length)
    finally:
        client.close()
