"""What every fake vendor shares: calls with a fate, a ledger that forgets nothing, faults, and webhooks.

A fake is an HTTP server on loopback. Its calls are those of an `Exchange`: what becomes of one depends on the
seed and on our reference alone, every request and every call is in the ledger before anybody is answered,
and a second start makes a second call. A subclass of `Vendor` speaks one vendor's language: it reads start
requests, writes answers, and builds and signs the webhooks. Run as a process of its own, it is the witness of
the fault tests:

    python -m tests.providers.fakes.retell --ledger FILE --port 0 --hooks-url http://127.0.0.1:8000

A newcomer would let the vendor's fake import the adapter's constants. It must not: both are written from
the vendor's facts, and a mistake shared by both would pass.
"""

from __future__ import annotations

import argparse
import heapq
import http.client
import itertools
import json
import os
import random
import signal
import socket
import struct
import sys
import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar
from urllib.parse import parse_qsl, unquote, urlsplit

from scheduler.clock import Clock, SystemClock
from scheduler.providers.network import (
    REFUSALS,
    Fault,
    FaultPlan,
    Sighting,
    SimulatedNetwork,
    parse_faults,
    parse_mix,
)
from scheduler.providers.simulator_server import Behaviour, Call, Exchange, Ledger, Span, _read_behaviour

AT_ONCE = Span()
MIX = "completed=4,no_answer=2,busy=1,voicemail=1,hang_up=1,callback=1"


@dataclass(frozen=True)
class Request:
    """A request as it came. Header names are lower case; `path` is split and unquoted."""

    method: str
    target: str
    path: tuple[str, ...]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    def document(self) -> dict[str, Any]:
        try:
            found = json.loads(self.body or b"{}")
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))


@dataclass(frozen=True)
class Reply:
    """An answer, or (with `behaviour`) none: close, reset, or hold the connection until the client leaves."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    behaviour: str = ""

    def content(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return b"" if self.body is None else json.dumps(self.body).encode()


@dataclass(frozen=True)
class Hook:
    """One webhook: where under the receiver's address, and what."""

    path: str
    body: bytes
    headers: Mapping[str, str]
    name: str


@dataclass(frozen=True)
class HookPlan:
    """How webhooks misbehave: delays in seconds, and chances of being lost, doubled, forged or sent first."""

    url: str = ""
    delay: Span = AT_ONCE
    lost: float = 0.0
    double: float = 0.0
    forged: float = 0.0

    @classmethod
    def parse(cls, url: str, delay: Sequence[float], faults: str) -> HookPlan:
        chances = dict(part.split("=") for part in faults.split(",") if part)
        return cls(url, Span(*delay), **{name: float(chance) for name, chance in chances.items()})


class Vendor(ABC):
    """One vendor's language. Subclasses give `name`, `vendor_id`, `handle` and perhaps `hooks_of`."""

    name: ClassVar[str] = ""

    def __init__(self, exchange: Exchange, clock: Clock, plan: HookPlan | None = None) -> None:
        self.exchange, self.clock = exchange, clock
        self.plan = plan or HookPlan()
        self.stopping = threading.Event()
        self.asked: Counter[str] = Counter()
        """Requests by what they asked for, as the subclass counts them."""
        self._by_id: dict[str, Call] = {}
        self._details: dict[str, dict[str, Any]] = {}
        self._numbers: dict[str, str] = {}
        for entry in exchange.entries():
            if entry.get("event") == "accepted":
                self._learn(str(entry["call_id"]), str(entry["number"]))
        self.poster = Poster(self) if self.plan.url else None

    # --- for subclasses --------------------------------------------------------------------------

    @abstractmethod
    def vendor_id(self, token: str) -> str:
        """The vendor's id of a call, from the token that decides its fate."""

    @abstractmethod
    def handle(self, request: Request) -> Reply:
        """Answer one request."""

    def hooks_of(self, call: Call) -> Sequence[tuple[datetime, Callable[[], Hook | None]]]:
        """When each webhook of an accepted call is due, and what builds it then (None: not any more)."""
        return ()

    def forge(self, hook: Hook) -> Hook:
        """The same webhook from somebody who does not know the secret: by default its body is changed."""
        return Hook(hook.path, hook.body.replace(b"a", b"b", 1), hook.headers, f"forged {hook.name}")

    def start(
        self, ref: str, number: str, accepted: Callable[[Call], Reply], refusals: Mapping[Fault, Reply],
        unreadable: Sequence[Reply] = (), **details: Any,
    ) -> Reply:
        """A start request: written down, then answered as its fault wants. `details` are kept with the call."""
        fault, call = self.exchange.start(ref, number)
        behaviour = self.exchange.behaviour
        if call is not None:
            self._learn(call.call_id, number)
            self._details.setdefault(call.call_id, details)
            if self.poster is not None:
                self.poster.plan_call(call)
        self.stopping.wait(behaviour.delay.at(behaviour.faults.share(ref, "delay")))
        if fault in REFUSALS:
            return refusals.get(fault) or Reply(500, {"message": f"this vendor has no {fault}"})
        if fault is None and call is not None:
            return accepted(call)
        match fault:
            case Fault.ERROR_500:
                return Reply(500, {"status": "error", "message": "internal error"})
            case Fault.ERROR_502_AFTER:
                return Reply(502, b"<html><body>Bad Gateway</body></html>", content_type="text/html")
            case Fault.UNREADABLE_AFTER:
                choices = unreadable or (
                    Reply(200, b'{"status": "ok"}'), Reply(200, b"<html>Welcome</html>", content_type="text/html"),
                    Reply(200, b'{"id": "'),
                )
                share = behaviour.faults.share(ref, "unreadable")
                return choices[int(share * len(choices))]
            case Fault.LOSE_ANSWER:
                return Reply(behaviour="close")
            case Fault.RESET_AFTER_ACCEPT:
                return Reply(behaviour="reset")
            case _:
                return Reply(behaviour="hold")

    def call_of(self, vendor_id: str) -> Call | None:
        return self._by_id.get(vendor_id)

    def id_of(self, call: Call) -> str:
        return self.vendor_id(call.token)

    def details_of(self, call: Call) -> dict[str, Any]:
        """What the start request said beside reference and number."""
        return self._details.get(call.call_id, {})

    def sight(self, call: Call) -> Sighting:
        """The call as it stands, by the clock."""
        return self.exchange._sight(call, self.clock.now())

    def find(self, ref: str) -> list[Call]:
        """The calls made for a reference, once the lag of listings has passed."""
        return self.exchange.find_by_ref(ref)

    def calls(self) -> list[Call]:
        return list(self._by_id.values())

    def number_of(self, call: Call) -> str:
        return self._numbers.get(call.call_id, "")

    def hang_up(self, call: Call) -> bool | None:
        ended = self.exchange.hang_up(call.call_id)
        if ended and self.poster is not None:
            self.poster.plan_call(call, only_after=call.hung_up_at)
        return ended

    def lookup_fails(self) -> bool:
        return self.exchange.behaviour.faults.lookup_fails(next(self.exchange.questions))

    # --- inside ----------------------------------------------------------------------------------

    def _learn(self, call_id: str, number: str) -> None:
        call = self.exchange.find_call(call_id)
        if call is not None:
            self._numbers[call_id] = number
            self._by_id[self.vendor_id(call.token)] = call

    def answer(self, request: Request) -> Reply:
        if request.path == ("_faults",):
            self.exchange.behave(_read_behaviour(request.document(), self.exchange.behaviour), request.document())
            return Reply(200, {"ok": True})
        return self.handle(request)


class Poster:
    """Posts webhooks at their time, in a thread of its own, as badly as the plan says."""

    def __init__(self, vendor: Vendor) -> None:
        self.vendor, self.plan = vendor, vendor.plan
        self._random = random.Random(vendor.exchange.behaviour.faults.seed)
        self._queue: list[tuple[datetime, int, Callable[[], Hook | None], str]] = []
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self.answers: Counter[tuple[str, int]] = Counter()
        self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)
        self._thread.start()

    def plan_call(self, call: Call, only_after: datetime | None = None) -> None:
        with self._changed:
            for at, build in self.vendor.hooks_of(call):
                if only_after is not None and at < only_after:
                    continue
                if self._random.random() < self.plan.lost:
                    continue
                times = 2 if self._random.random() < self.plan.double else 1
                for _ in range(times):
                    late = timedelta(seconds=self.plan.delay.at(self._random.random()))
                    heapq.heappush(self._queue, (at + late, next(self._numbers), build, "genuine"))
                if self._random.random() < self.plan.forged:
                    heapq.heappush(self._queue, (at, next(self._numbers), build, "forged"))
            self._changed.notify()

    def _run(self) -> None:
        address = urlsplit(self.plan.url)
        while not self.vendor.stopping.is_set():
            with self._changed:
                now = self.vendor.clock.now()
                if not self._queue or self._queue[0][0] > now:
                    wait = (self._queue[0][0] - now).total_seconds() if self._queue else 0.2
                    self._changed.wait(min(0.2, max(0.001, wait)))
                    continue
                _, _, build, kind = heapq.heappop(self._queue)
            hook = build()
            if hook is not None:
                self._post(address.netloc, self.vendor.forge(hook) if kind == "forged" else hook, kind)

    def _post(self, netloc: str, hook: Hook, kind: str) -> None:
        connection = http.client.HTTPConnection(netloc, timeout=10)
        try:
            connection.request("POST", hook.path, hook.body, dict(hook.headers))
            status = connection.getresponse().status
        except OSError:
            status = 0
        finally:
            connection.close()
        self.answers[kind, status] += 1
        self.vendor.exchange._ledger.write(
            self.vendor.clock.now(), "webhook", name=hook.name, kind=kind, answer=status, call_id=None
        )


class VendorServer(ThreadingHTTPServer):
    """Serves one vendor on loopback; `url` says where."""

    daemon_threads = True
    request_queue_size = 1024
    allow_reuse_address = True

    def __init__(self, vendor: Vendor, port: int = 0) -> None:
        self.vendor = vendor
        super().__init__(("127.0.0.1", port), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def serve_in_thread(self) -> threading.Thread:
        thread = threading.Thread(target=self.serve_forever, args=(0.05,), name="vendor", daemon=True)
        thread.start()
        return thread

    def stop(self) -> None:
        self.vendor.stopping.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exception()
        if not isinstance(error, ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: VendorServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 75

    def _any(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        parts = urlsplit(self.path)
        self._write(self.server.vendor.answer(Request(
            self.command, self.path, tuple(unquote(one) for one in parts.path.split("/") if one),
            dict(parse_qsl(parts.query, keep_blank_values=True)),
            {name.lower(): value for name, value in self.headers.items()}, body,
        )))

    do_GET = do_POST = do_PUT = do_DELETE = _any  # noqa: N815  # names that the base class looks for

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the ledger says it all."""

    def _write(self, reply: Reply) -> None:
        if reply.behaviour:
            self.close_connection = True
            if reply.behaviour == "reset":
                # Taken out of the server's hands, which would end the connection in good order.
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                os.close(self.connection.detach())
            elif reply.behaviour == "hold":
                self._hold_until_client_leaves()
            return
        content = reply.content()
        if "Date" in reply.headers:
            self.send_response_only(reply.status)
        else:
            self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", reply.content_type)
        if reply.status != 204:
            self.send_header("Content-Length", str(len(content)))
        self._headers_buffer.append(b"\r\n" + content)  # type: ignore[attr-defined]  # head and body in one packet
        self.flush_headers()

    def _hold_until_client_leaves(self) -> None:
        self.connection.settimeout(0.2)
        while not self.server.vendor.stopping.is_set():
            try:
                if not self.connection.recv(4096):
                    return
            except TimeoutError:
                continue


def open_vendor(
    kind: type[Vendor], ledger: Path, *, clock: Clock | None = None, seed: int = 1, mix: str = MIX,
    ring: timedelta = timedelta(seconds=4), talk: timedelta = timedelta(seconds=8), faults: str = "",
    delay: Span = AT_ONCE, lag: Span = AT_ONCE, plan: HookPlan | None = None, port: int = 0, **options: Any,
) -> VendorServer:
    """A fake vendor, bound to loopback, with calls that ring and last on `clock`."""
    clock = clock or SystemClock()
    network = SimulatedNetwork(
        seed=seed, mix=parse_mix(mix), ring=ring, talk=talk, callback_after=timedelta(minutes=1)
    )
    behaviour = Behaviour(FaultPlan(parse_faults(faults), seed=seed), delay, lag)
    exchange = Exchange(Ledger(ledger), network, behaviour, clock, idempotent=False)
    return VendorServer(kind(exchange, clock, plan, **options), port)


def misbehave(server: VendorServer, faults: str) -> None:
    """From now on, these faults."""
    exchange = server.vendor.exchange
    exchange.behave(_read_behaviour({"faults": faults}, exchange.behaviour), {"faults": faults})


def calls_made(server: VendorServer, ref: str) -> int:
    return sum(one["event"] == "accepted" and one["attempt_ref"] == ref for one in server.vendor.exchange.entries())


def requests_made(server: VendorServer, ref: str) -> int:
    return sum(one["event"] == "request" and one["attempt_ref"] == ref for one in server.vendor.exchange.entries())


def main(kind: type[Vendor], arguments: Sequence[str] | None = None) -> None:
    """Run the fake as a process; prints its address when it takes calls."""
    parser = argparse.ArgumentParser(prog=f"fake {kind.name}")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--ledger", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mix", default=MIX)
    parser.add_argument("--ring-seconds", type=float, default=0.2)
    parser.add_argument("--talk-seconds", type=float, default=0.2)
    parser.add_argument("--faults", default="")
    parser.add_argument("--delay-seconds", type=float, nargs=2, default=(0, 0))
    parser.add_argument("--lookup-lag-seconds", type=float, nargs=2, default=(0, 0))
    parser.add_argument("--hooks-url", default="")
    parser.add_argument("--hook-delay-seconds", type=float, nargs=2, default=(0, 0))
    parser.add_argument("--hook-faults", default="", help="lost=0.1,double=0.1,forged=0.1")
    options = parser.parse_args(arguments)
    server = open_vendor(
        kind, options.ledger, seed=options.seed, mix=options.mix, ring=timedelta(seconds=options.ring_seconds),
        talk=timedelta(seconds=options.talk_seconds), faults=options.faults, delay=Span(*options.delay_seconds),
        lag=Span(*options.lookup_lag_seconds), port=options.port,
        plan=HookPlan.parse(options.hooks_url, options.hook_delay_seconds, options.hook_faults),
    )

    def stop(signum: int, frame: FrameType | None) -> None:
        threading.Thread(target=server.shutdown, daemon=True).start()

    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, stop)
    print(server.url, flush=True)
    server.serve_forever(poll_interval=0.1)
