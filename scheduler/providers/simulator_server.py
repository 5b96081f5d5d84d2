"""The simulated network as a process: an HTTP server that takes calls, forgets nothing and may misbehave.

Its ledger is the witness of the fault tests: one JSON line per happening, in the file before anyone is
answered, so that it outlives whoever is killed. What must stay true: every start request is written
down, refused ones too, and a second request for the same `attempt_ref` makes a second call (unless
`idempotent`): a double dial must show. Faults hit a reference, not a request, so that a run can be
repeated. The ledger holds whole numbers; what is logged or answered does not. Not for the open
network: it listens on this machine only, unless told otherwise.

    POST /calls                start a call          GET  /calls?ids=a,b     reports, and who is missing
                                                     GET  /calls?since=T     every call that began since then
    POST /calls/{id}/hangup    end it                GET  /calls/by-ref/{r}  every call made for r
    POST /faults               change the faults     GET  /ledger, /health   what was, how it is

Refusals have a body {"error": word, "message": text}: 400 refused, 401 and 402 hold, 403 do_not_call,
404 and 422 invalid_number, 429 throttled.
"""

from __future__ import annotations

import argparse
import ipaddress
import json
import os
import signal
import socket
import struct
import sys
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from socketserver import TCPServer
from threading import Event, Lock, Thread
from types import FrameType
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from scheduler.clock import Clock, SystemClock, to_utc
from scheduler.config import Settings
from scheduler.errors import InvalidValue
from scheduler.providers.network import (
    REFUSALS,
    Fault,
    FaultPlan,
    Sighting,
    SimulatedNetwork,
    parse_faults,
    parse_mix,
)

LARGEST_REQUEST = 2**20
IDLE_SECONDS = 75  # longer than any client keeps a connection: the client closes first
THROTTLE_SECONDS = 2
REFUSAL_ANSWERS: Mapping[Fault, tuple[int, str]] = {
    Fault.REFUSE: (400, "refused"),
    Fault.THROTTLE: (429, "throttled"),
    Fault.HOLD: (402, "hold"),
    Fault.INVALID_NUMBER: (422, "invalid_number"),
    Fault.DO_NOT_CALL: (403, "do_not_call"),
}
UNREADABLE: Sequence[tuple[str, bytes]] = (
    ("application/json", b'{"status": "dialing"}'),
    ("application/json", b'{"id": "sim-'),
    ("text/html", b"<html><body>Welcome</body></html>"),
    ("application/json", b""),
)


class Span(NamedTuple):
    """From the least to the most seconds."""

    least: float = 0.0
    most: float = 0.0

    def at(self, share: float) -> float:
        return self.least + (self.most - self.least) * share


class Behaviour(NamedTuple):
    """How the server misbehaves; replaced as a whole, so that a request sees one of them."""

    faults: FaultPlan
    delay: Span = Span()  # between writing a call down and answering
    lookup_lag: Span = Span()  # how long a call cannot be found by its reference


class Call:
    """A call that was made. `token` decides its fate; it differs from the reference in a second call."""

    __slots__ = ("attempt_ref", "call_id", "hung_up_at", "lead_id", "number", "placed_at", "token")

    def __init__(self, attempt_ref: str, token: str, call_id: str, placed_at: datetime) -> None:
        self.attempt_ref, self.token, self.call_id, self.placed_at = attempt_ref, token, call_id, placed_at
        self.number: str | None = None
        self.lead_id: int | None = None
        self.hung_up_at: datetime | None = None


class Ledger:
    """Append-only, one JSON object per line, in the kernel's hands before `write` returns.

    Open as long as anybody has it: a thread that is still answering may write at the very end.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        weakref.finalize(self, os.close, self._file)
        size = os.fstat(self._file).st_size
        if size and os.pread(self._file, 1, size - 1) != b"\n":
            os.write(self._file, b"\n")  # the line that a killed predecessor was writing stays alone

    def write(self, at: datetime, event: str, **details: Any) -> None:
        entry = {"at": at.isoformat(timespec="microseconds"), "event": event, **details}
        line = json.dumps(entry).encode() + b"\n"
        if os.write(self._file, line) != len(line):
            raise OSError(f"the ledger {self._path} took only a part of a line")

    def read(self) -> Iterator[dict[str, Any]]:
        """Every whole entry. A torn line was never answered to anyone, so it is no fact."""
        with self._path.open("rb") as lines:
            for line in lines:
                try:
                    entry = json.loads(line)
                except ValueError:
                    continue
                if isinstance(entry, dict):
                    yield entry


class Exchange:
    """The calls and the ledger. Every change is written down under the lock, before it is known outside."""

    def __init__(
        self,
        ledger: Ledger,
        network: SimulatedNetwork,
        behaviour: Behaviour,
        clock: Clock,
        *,
        idempotent: bool,
    ) -> None:
        self.behaviour = behaviour
        self.questions = count()
        self._ledger, self._network, self._clock, self._idempotent = ledger, network, clock, idempotent
        self._calls: dict[str, Call] = {}
        self._by_ref: dict[str, list[Call]] = {}
        self._requests: Counter[str] = Counter()
        self._lock = Lock()
        self._reload()
        self._ledger.write(clock.now(), "started", calls=len(self._calls))

    def start(
        self, attempt_ref: str, number: str, lead_id: int | None = None
    ) -> tuple[Fault | None, Call | None]:
        """Write down a start request and what came of it: the fault it meets, the call if one was made."""
        fault = self.behaviour.faults.at_start(attempt_ref)
        with self._lock:
            now = self._clock.now()
            self._requests[attempt_ref] += 1
            about = {
                "attempt_ref": attempt_ref,
                "number": number,
                "requests": self._requests[attempt_ref],
                "fault": fault,
                "lead_id": lead_id,
            }
            self._ledger.write(now, "request", call_id=None, **about)
            made = self._by_ref.get(attempt_ref)
            if made and self._idempotent:
                self._ledger.write(now, "repeated", call_id=made[0].call_id, **about)
                return None, made[0]
            if fault in REFUSALS:
                self._ledger.write(now, "refused", call_id=None, **about)
                return fault, None
            if fault in (Fault.ERROR_500, Fault.SWALLOW):
                self._ledger.write(now, "not_accepted", call_id=None, **about)
                return fault, None
            call = _next_call(attempt_ref, len(made or ()) + 1, now)
            call.number, call.lead_id = number, lead_id
            self._ledger.write(now, "accepted", call_id=call.call_id, **about)
            self._add(call)
            return fault, call

    def hang_up(self, call_id: str) -> bool | None:
        """True: ended now. False: it was over. None: no such call."""
        with self._lock:
            now = self._clock.now()
            call = self._calls.get(call_id)
            if call is None:
                return None
            if self._sight(call, now).ended_at is not None:
                return False
            self._ledger.write(now, "hangup", attempt_ref=call.attempt_ref, call_id=call_id)
            call.hung_up_at = now
            return True

    def report(self, call: Call) -> dict[str, Any]:
        return _row(call, self._sight(call, self._clock.now()))

    def find_call(self, call_id: str) -> Call | None:
        return self._calls.get(call_id)

    def find_by_ref(self, attempt_ref: str) -> list[Call]:
        """The calls for a reference, once the lookup lag of the first has passed."""
        with self._lock:
            calls = list(self._by_ref.get(attempt_ref, ()))
        behaviour = self.behaviour
        lag = timedelta(seconds=behaviour.lookup_lag.at(behaviour.faults.share(attempt_ref, "lag")))
        if calls and self._clock.now() < calls[0].placed_at + lag:
            return []
        return calls

    def list_since(self, since: datetime) -> list[dict[str, Any]]:
        """The calls that began since then and that can be found by now."""
        with self._lock:
            began = [call for call in self._calls.values() if call.placed_at >= since]
        return [
            {
                "attempt_ref": call.attempt_ref, "id": call.call_id, "number": call.number, "lead_id": call.lead_id,
                "placed_at": call.placed_at.isoformat(),
            }
            for call in began if call in self.find_by_ref(call.attempt_ref)
        ]

    def behave(self, behaviour: Behaviour, told: Mapping[str, Any]) -> None:
        with self._lock:
            self._ledger.write(self._clock.now(), "faults", **told)
            self.behaviour = behaviour

    def entries(self) -> list[dict[str, Any]]:
        return list(self._ledger.read())

    def figures(self) -> dict[str, int]:
        with self._lock:
            return {
                "requests": self._requests.total(),
                "repeated_refs": sum(1 for times in self._requests.values() if times > 1),
                "calls": len(self._calls),
                "refs_with_two_calls": sum(1 for calls in self._by_ref.values() if len(calls) > 1),
            }

    def _sight(self, call: Call, now: datetime) -> Sighting:
        return self._network.sight(call.token, call.placed_at, now, call.hung_up_at)

    def _add(self, call: Call) -> None:
        self._calls[call.call_id] = call
        self._by_ref.setdefault(call.attempt_ref, []).append(call)

    def _reload(self) -> None:
        for entry in self._ledger.read():
            match entry:
                case {"event": "request", "attempt_ref": str(ref)}:
                    self._requests[ref] += 1
                case {"event": "accepted", "attempt_ref": str(ref), "at": str(at)}:
                    times = len(self._by_ref.get(ref, ())) + 1
                    call = _next_call(ref, times, to_utc(datetime.fromisoformat(at)))
                    call.number, call.lead_id = entry.get("number"), entry.get("lead_id")
                    self._add(call)
                case {"event": "hangup", "call_id": str(call_id), "at": str(at)} if call_id in self._calls:
                    self._calls[call_id].hung_up_at = to_utc(datetime.fromisoformat(at))


class SimulatorServer(ThreadingHTTPServer):
    """Serves an exchange; `url` says where. One thread per connection, none of which holds up the end."""

    daemon_threads = True
    request_queue_size = 1024
    allow_reuse_address = True

    def __init__(self, host: str, port: int, exchange: Exchange, *, allow_public: bool = False) -> None:
        if not (allow_public or _is_loopback(host)):
            raise InvalidValue("host", host, "the simulator listens on a loopback address such as 127.0.0.1")
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.exchange = exchange
        self.stopping = Event()
        super().__init__((host, port), _Handler)

    @property
    def url(self) -> str:
        host, port = self.server_address[:2]
        return f"http://[{host!s}]:{port}" if ":" in str(host) else f"http://{host!s}:{port}"

    def server_bind(self) -> None:
        # Without the name lookup of HTTPServer, which may take seconds and which nobody reads.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def shutdown(self) -> None:
        self.stopping.set()
        super().shutdown()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that left is no news here. Anything else is, without the request's content."""
        error = sys.exception()
        if not isinstance(error, (ConnectionError, TimeoutError)):
            print(f"simulator: a request failed: {type(error).__name__}", file=sys.stderr)


class _Handler(BaseHTTPRequestHandler):
    server: SimulatorServer
    protocol_version = "HTTP/1.1"
    server_version = "RingbackSimulator"
    disable_nagle_algorithm = True
    timeout = IDLE_SECONDS

    def do_POST(self) -> None:
        body = self._read_body()
        if body is None:
            return
        match self._path():
            case ["calls"]:
                self._start(body)
            case ["calls", call_id, "hangup"]:
                self._hang_up(call_id)
            case ["faults"]:
                self._change_faults(body)
            case _:
                self._answer(404, {"error": "no_such_page"})

    def do_GET(self) -> None:
        exchange = self.server.exchange
        match self._path():
            case ["calls"]:
                self._poll()
            case ["calls", "by-ref", attempt_ref]:
                self._find(attempt_ref)
            case ["ledger"]:
                self._answer(200, {"entries": exchange.entries()})
            case ["health"]:
                self._answer(200, {"ok": True, **exchange.figures()})
            case _:
                self._answer(404, {"error": "no_such_page"})

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the ledger says it all."""

    def _start(self, body: bytes) -> None:
        request = _read_object(body)
        attempt_ref, number = request.get("attempt_ref"), request.get("number")
        if not (isinstance(attempt_ref, str) and attempt_ref and isinstance(number, str) and number):
            self._answer(400, {"error": "refused", "message": "attempt_ref and number are needed"})
            return
        exchange = self.server.exchange
        lead_id = request.get("lead_id")
        fault, call = exchange.start(attempt_ref, number, lead_id if isinstance(lead_id, int) else None)
        behaviour = exchange.behaviour
        self.server.stopping.wait(behaviour.delay.at(behaviour.faults.share(attempt_ref, "delay")))
        if fault in REFUSALS:
            self._refuse(fault, attempt_ref)
        elif fault is None and call is not None:
            self._answer(201, exchange.report(call))
        else:
            self._misbehave(fault, attempt_ref)

    def _refuse(self, fault: Fault, attempt_ref: str) -> None:
        status, word = REFUSAL_ANSWERS[fault]
        headers = self._wait_headers(attempt_ref) if fault is Fault.THROTTLE else {}
        self._answer(status, {"error": word, "message": f"simulated {fault.value}"}, headers)

    def _wait_headers(self, attempt_ref: str) -> dict[str, str]:
        """Retry-After in seconds, as a date, or not at all: vendors do all three."""
        share = self.server.exchange.behaviour.faults.share(attempt_ref, "retry-after")
        now = SystemClock().now()  # the clock of the answer's own Date
        if share < 1 / 3:
            return {"Retry-After": str(THROTTLE_SECONDS)}
        if share < 2 / 3:
            until = now + timedelta(seconds=THROTTLE_SECONDS)
            return {"Retry-After": format_datetime(until, usegmt=True)}
        return {}

    def _misbehave(self, fault: Fault | None, attempt_ref: str) -> None:
        match fault:
            case Fault.ERROR_500:
                self._answer(500, {"error": "internal"})
            case Fault.ERROR_502_AFTER:
                self._write(502, "text/html", b"<html><body>Bad Gateway</body></html>")
            case Fault.UNREADABLE_AFTER:
                share = self.server.exchange.behaviour.faults.share(attempt_ref, "unreadable")
                self._write(200, *UNREADABLE[int(share * len(UNREADABLE))])
            case Fault.LOSE_ANSWER:
                self.close_connection = True
            case Fault.RESET_AFTER_ACCEPT:
                self._reset()
            case _:
                self._hold_until_client_leaves()

    def _poll(self) -> None:
        if self._lookup_fails():
            return
        if since := parse_qs(urlsplit(self.path).query).get("since"):
            try:
                self._answer(200, {"calls": self.server.exchange.list_since(to_utc(datetime.fromisoformat(since[0])))})
            except ValueError:
                self._answer(400, {"error": "refused", "message": "since is an instant with its zone"})
            return
        ids = ",".join(parse_qs(urlsplit(self.path).query).get("ids", [])).split(",")
        exchange = self.server.exchange
        calls = {call_id: exchange.find_call(call_id) for call_id in ids if call_id}
        rows = [exchange.report(call) for call in calls.values() if call is not None]
        missing = [call_id for call_id, call in calls.items() if call is None]
        self._answer(200, {"calls": rows, "missing": missing})

    def _find(self, attempt_ref: str) -> None:
        if self._lookup_fails():
            return
        exchange = self.server.exchange
        calls = exchange.find_by_ref(attempt_ref)
        if calls:
            self._answer(200, {"calls": [exchange.report(call) for call in calls]})
        else:
            self._answer(404, {"error": "not_found", "message": "no call was made for this reference"})

    def _hang_up(self, call_id: str) -> None:
        ended = self.server.exchange.hang_up(call_id)
        if ended is None:
            self._answer(404, {"error": "not_found", "message": "there is no such call"})
        else:
            self._answer(200, {"ended": ended})

    def _change_faults(self, body: bytes) -> None:
        exchange = self.server.exchange
        told = _read_object(body)
        try:
            exchange.behave(_read_behaviour(told, exchange.behaviour), told)
        except InvalidValue as error:
            self._answer(400, {"error": "refused", "message": str(error)})
        else:
            self._answer(200, {"ok": True})

    def _lookup_fails(self) -> bool:
        exchange = self.server.exchange
        fails = exchange.behaviour.faults.lookup_fails(next(exchange.questions))
        if fails:
            self._answer(503, {"error": "unavailable"})
        return fails

    def _path(self) -> list[str]:
        return [unquote(part) for part in urlsplit(self.path).path.split("/") if part]

    def _read_body(self) -> bytes | None:
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit() and int(length) <= LARGEST_REQUEST):
            self.close_connection = True  # the unread body would be taken for the next request
            self._answer(411, {"error": "length_needed"})
            return None
        return self.rfile.read(int(length))

    def _answer(self, status: int, document: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> None:
        self._write(status, "application/json", json.dumps(document).encode(), headers)

    def _write(self, status: int, content_type: str, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self._headers_buffer.append(b"\r\n" + body)  # type: ignore[attr-defined]  # head and body in one packet
        self.flush_headers()

    def _reset(self) -> None:
        self.close_connection = True
        # The descriptor is taken out of the server's hands, which would end the connection in good order.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())

    def _hold_until_client_leaves(self) -> None:
        self.close_connection = True
        self.connection.settimeout(0.5)  # to look, now and then, whether the server is stopping
        while not self.server.stopping.is_set():
            try:
                if not self.connection.recv(4096):
                    return
            except TimeoutError:
                continue


def serve(
    host: str,
    port: int,
    ledger_path: str | os.PathLike[str],
    *,
    network: SimulatedNetwork,
    behaviour: Behaviour,
    idempotent: bool = False,
    allow_public: bool = False,
    clock: Clock | None = None,
    ready: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve until SIGTERM or SIGINT, then return. `ready` is told the address once calls are taken."""
    server = open_server(
        host,
        port,
        ledger_path,
        network=network,
        behaviour=behaviour,
        idempotent=idempotent,
        allow_public=allow_public,
        clock=clock,
    )

    def stop(signum: int, frame: FrameType | None) -> None:
        # From another thread: shutdown() waits for the very loop that this signal interrupted.
        Thread(target=server.shutdown, daemon=True).start()

    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, stop)
    ready(server.url)
    try:
        server.serve_forever(poll_interval=0.1)
    finally:
        server.server_close()


def open_server(
    host: str,
    port: int,
    ledger_path: str | os.PathLike[str],
    *,
    network: SimulatedNetwork,
    behaviour: Behaviour,
    idempotent: bool = False,
    allow_public: bool = False,
    clock: Clock | None = None,
) -> SimulatorServer:
    """A server that is bound and has read its ledger, for callers who run its loop themselves."""
    exchange = Exchange(Ledger(Path(ledger_path)), network, behaviour, clock or SystemClock(), idempotent=idempotent)
    return SimulatorServer(host, port, exchange, allow_public=allow_public)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the simulated network; prints its address when it takes calls."""
    parser = _options()
    options = parser.parse_args(arguments)
    try:
        network = SimulatedNetwork(
            seed=options.seed,
            mix=parse_mix(options.mix, "--mix"),
            ring=timedelta(seconds=options.ring_seconds),
            talk=timedelta(seconds=options.talk_seconds),
            callback_after=timedelta(minutes=options.callback_minutes),
        )
        behaviour = Behaviour(
            FaultPlan(parse_faults(options.faults, "--faults"), seed=options.seed),
            _read_span("--delay-seconds", options.delay_seconds),
            _read_span("--lookup-lag-seconds", options.lookup_lag_seconds),
        )
        serve(
            options.host,
            options.port,
            options.ledger,
            network=network,
            behaviour=behaviour,
            idempotent=options.idempotent,
            allow_public=options.allow_public,
            ready=lambda url: print(url, flush=True),
        )
    except (InvalidValue, OSError) as error:
        parser.error(str(error))


def _options() -> argparse.ArgumentParser:
    defaults = {name: field.default for name, field in Settings.model_fields.items()}
    parser = argparse.ArgumentParser(prog="python -m scheduler.providers.simulator_server", description=main.__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8077, help="0 takes any free one")
    parser.add_argument("--ledger", required=True, help="append-only file of what was asked and done")
    parser.add_argument("--seed", type=int, default=defaults["simulator_seed"])
    parser.add_argument("--mix", default=defaults["simulator_mix"])
    parser.add_argument("--ring-seconds", type=float, default=defaults["simulator_ring_seconds"])
    parser.add_argument("--talk-seconds", type=float, default=defaults["simulator_talk_seconds"])
    parser.add_argument("--callback-minutes", type=float, default=defaults["simulator_callback_minutes"])
    parser.add_argument("--faults", default="", help=f"probabilities of {', '.join(Fault)}")
    parser.add_argument("--delay-seconds", type=float, nargs=2, default=(0, 0), metavar=("LEAST", "MOST"))
    parser.add_argument("--lookup-lag-seconds", type=float, nargs=2, default=(0, 0), metavar=("LEAST", "MOST"))
    parser.add_argument("--idempotent", action="store_true", help="a repeated reference makes no second call")
    parser.add_argument("--allow-public", action="store_true", help="listen on an address others can reach")
    return parser


def _next_call(attempt_ref: str, times: int, placed_at: datetime) -> Call:
    token = attempt_ref if times == 1 else f"{attempt_ref}-{times}"
    return Call(attempt_ref, token, f"sim-{token}", placed_at)


def _row(call: Call, sighting: Sighting) -> dict[str, Any]:
    known = {
        "id": call.call_id,
        "attempt_ref": call.attempt_ref,
        "status": sighting.word,
        "placed_at": call.placed_at,
        "answered_at": sighting.answered_at,
        "ended_at": sighting.ended_at,
        "ring_seconds": sighting.ring_seconds,
        "talk_seconds": sighting.talk_seconds,
        "cost": None if sighting.cost is None else str(sighting.cost),
        "appointment_at": sighting.appointment_at,
        "callback_at": sighting.callback_at,
    }
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in known.items()
        if value is not None
    }


def _read_object(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _read_behaviour(told: Mapping[str, Any], now: Behaviour) -> Behaviour:
    """What is told replaces that part; the rest stays. Raises InvalidValue, unknown names included."""
    known = {"faults", "delay_seconds", "lookup_lag_seconds"}
    if not told or not known.issuperset(told):
        raise InvalidValue("faults", sorted(told), f"name some of {', '.join(sorted(known))}")
    plan, delay, lag = now
    if "faults" in told:
        plan = FaultPlan(parse_faults(str(told["faults"]), "faults"), seed=plan.seed)
    if "delay_seconds" in told:
        delay = _read_span("delay_seconds", told["delay_seconds"])
    if "lookup_lag_seconds" in told:
        lag = _read_span("lookup_lag_seconds", told["lookup_lag_seconds"])
    return Behaviour(plan, delay, lag)


def _read_span(field: str, value: Any) -> Span:
    match value:
        case [int() | float() as least, int() | float() as most] if 0 <= least <= most <= 86400:
            return Span(least, most)
    raise InvalidValue(field, value, "write the least and the most seconds, such as [0, 2.5]")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


if __name__ == "__main__":
    main()
