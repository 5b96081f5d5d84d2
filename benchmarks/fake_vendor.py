"""A voice vendor for measuring: Retell's API, answered as fast as one process can, or as late as it is told to.

    python benchmarks/fake_vendor.py --port 8901 --answer 0.2 --shortest 30 --longest 120

The first line that it prints is its port. What counts here is that it costs little, because the daemon that is
measured shares its processors: HTTP is read by hand, rows are written once and only their ends are added later.
The tests have a strict fake of the same API; this one turns nothing down.

A start is answered `--answer` seconds after it came. A share of the calls is never picked up and ends after the
ring time that the start asked for; the others last `--shortest` to `--longest` seconds, ringing included. An
analysis follows the end by two seconds, as Retell's does. `GET /counts` tells what it did so far, `GET /record`
when every start came and every call ended: by these a dialer is judged, not by what it says of itself.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import heapq
import json
import random
import re
import signal
import time
from dataclasses import dataclass, field
from typing import Any

ANALYSIS_TAKES = 2.0
RINGS = (2.0, 12.0)
DEFAULT_RING = 30.0
LIMIT = 1_000_000
ABSENT = b'{"status":"error","message":"Cannot find requested asset under given api key."}'

_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_RING = re.compile(rb'"ring_duration_ms": ?([0-9]+)')


@dataclass(slots=True)
class Call:
    """One call, its fate decided when it is placed. Instants are seconds since 1970."""

    call_id: str
    placed_at: float
    answered_at: float | None
    ends_at: float
    reason: str
    head: bytes
    """Its row in JSON as far as that never changes, without the closing brace."""

    def row(self, now: float) -> bytes:
        if now < self.ends_at:
            if self.answered_at is None or now < self.answered_at:
                return self.head + b',"call_status":"registered"}'
            return self.head + b',"call_status":"ongoing","start_timestamp":%d}' % (self.answered_at * 1000)
        cents = 0.0 if self.answered_at is None else round((self.ends_at - self.answered_at) / 6, 2)
        cost = b'"call_cost":{"combined_cost":%.2f,"total_duration_unit_price":0.1,"product_costs":[]}' % cents
        over = b',"end_timestamp":%d,"disconnection_reason":"%b",%b' % (self.ends_at * 1000, self.reason.encode(), cost)
        if self.answered_at is None or self.ends_at <= self.answered_at:
            return self.head + over + b',"call_status":"not_connected","duration_ms":0}'
        analysis = b""
        if now >= self.ends_at + ANALYSIS_TAKES:
            analysis = (
                b',"call_analysis":{"call_summary":"The agent introduced herself and said what the call is about; the'
                b' callee listened, asked two questions and agreed to be called again.","in_voicemail":false,'
                b'"user_sentiment":"Neutral","call_successful":true,"custom_analysis_data":{}}'
            )
        return b'%b%b,"call_status":"ended","start_timestamp":%d,"duration_ms":%d%b}' % (
            self.head, over, self.answered_at * 1000, (self.ends_at - self.answered_at) * 1000, analysis
        )


@dataclass
class FakeVendor:
    answer_after: float
    shortest: float
    longest: float
    unanswered: float
    chance: random.Random
    calls: dict[str, Call] = field(default_factory=dict)
    refs: dict[str, Call] = field(default_factory=dict)
    ends: list[float] = field(default_factory=list)
    """A heap: when the calls end that are live."""
    ended: int = 0
    repeated: int = 0
    lists: int = 0
    listed: int = 0
    gets: int = 0
    stops: int = 0

    # --- what is asked ---------------------------------------------------------------------------

    def create(self, body: bytes, now: float) -> bytes:
        """Place a call. Returns its row; the answer that carries it is sent later."""
        asked = json.loads(body)
        ref = str((asked.get("metadata") or {}).get("attempt_ref", ""))
        self.repeated += ref in self.refs
        call_id = f"call_{len(self.calls):08x}{self.chance.getrandbits(96):024x}"
        lasts = self.chance.uniform(self.shortest, self.longest)
        answered_at: float | None = now + min(self.chance.uniform(*RINGS), lasts / 2)
        reason = "agent_hangup"
        if self.chance.random() < self.unanswered:
            found = _RING.search(body)
            lasts, answered_at, reason = int(found[1]) / 1000 if found else DEFAULT_RING, None, "dial_no_answer"
        head = json.dumps({
            "call_type": "phone_call", "call_id": call_id, "direction": "outbound", "agent_id": "agent_0a1b2c3d4e5f",
            "agent_name": "Ana", "agent_version": 3, "from_number": asked.get("from_number"),
            "to_number": asked.get("to_number"), "metadata": asked.get("metadata"),
            "retell_llm_dynamic_variables": asked.get("retell_llm_dynamic_variables"),
            "telephony_identifier": {"twilio_call_sid": f"CA{self.chance.getrandbits(128):032x}"},
            "opt_in_signed_url": False, "data_storage_setting": "everything",
        }, separators=(",", ":"))[:-1].encode()
        call = Call(call_id, now, answered_at, now + lasts, reason, head)
        self.calls[call_id] = call
        self.refs[ref] = call
        heapq.heappush(self.ends, call.ends_at)
        return call.row(now)

    def list_calls(self, body: bytes, now: float) -> bytes:
        match json.loads(body).get("filter_criteria"):
            case {"call_id": {"type": "enum", "op": "in", "value": list(ids)}}:
                found = [self.calls[one] for one in ids if one in self.calls]
            case {"metadata": [{"key": "attempt_ref", "value": str(ref)}]}:
                found = [self.refs[ref]] if ref in self.refs else []
            case _:
                found = []
        self.lists += 1
        self.listed += len(found)
        return b'{"items":[' + b",".join([one.row(now) for one in found]) + b'],"has_more":false}'

    def stop(self, call_id: str, now: float) -> bool:
        call = self.calls.get(call_id)
        if call is None or call.ends_at <= now:
            return False
        self.stops += 1
        self.ends.remove(call.ends_at)
        heapq.heapify(self.ends)
        self.ended += 1
        call.ends_at, call.reason = now, "manual_stopped"
        return True

    def count_live(self, now: float) -> int:
        while self.ends and self.ends[0] <= now:
            heapq.heappop(self.ends)
            self.ended += 1
        return len(self.ends)

    def counts(self, now: float) -> dict[str, Any]:
        return {
            "now": now, "starts": len(self.calls), "live": self.count_live(now), "ended": self.ended,
            "repeated": self.repeated, "lists": self.lists, "listed": self.listed, "gets": self.gets,
            "stops": self.stops,
        }

    def record(self, now: float) -> dict[str, list[float]]:
        return {
            "placed": [one.placed_at for one in self.calls.values()],
            "ended": sorted(one.ends_at for one in self.calls.values() if one.ends_at <= now),
        }


class Conversation(asyncio.Protocol):
    """One connection, kept open for one request after another."""

    def __init__(self, vendor: FakeVendor, loop: asyncio.AbstractEventLoop) -> None:
        self.vendor, self.loop = vendor, loop
        self.came = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.came = self.came + data if self.came else data
        while (end := self.came.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(self.came, 0, end + 2)
            after = end + 4 + (int(length[1]) if length else 0)
            if len(self.came) < after:
                return
            request, body = self.came[: self.came.index(b"\r\n")], self.came[end + 4 : after]
            self.came = self.came[after:]
            self.heed(request, body)

    def heed(self, request: bytes, body: bytes) -> None:
        vendor, now = self.vendor, time.time()
        path = request.split(b" ", 2)[1]
        if path == b"/v2/create-phone-call":
            row = vendor.create(body, now)
            self.loop.call_later(vendor.answer_after, self.reply, b"201 Created", row)
        elif path == b"/v3/list-calls":
            self.reply(b"200 OK", vendor.list_calls(body, now))
        elif path.startswith(b"/v2/get-call/"):
            vendor.gets += 1
            call = vendor.calls.get(path.rpartition(b"/")[2].decode())
            self.reply(*((b"422 Unprocessable", ABSENT) if call is None else (b"200 OK", call.row(now))))
        elif path.startswith(b"/v2/stop-call/"):
            was_live = vendor.stop(path.rpartition(b"/")[2].decode(), now)
            self.reply(*((b"204 No Content", b"") if was_live else (b"422 Unprocessable", ABSENT)))
        elif path == b"/get-concurrency":
            told = {"current_concurrency": vendor.count_live(now), "concurrency_limit": LIMIT}
            self.reply(b"200 OK", json.dumps(told).encode())
        elif path == b"/counts":
            self.reply(b"200 OK", json.dumps(vendor.counts(now)).encode())
        elif path == b"/record":
            self.reply(b"200 OK", json.dumps(vendor.record(now)).encode())
        else:
            self.reply(b"404 Not Found", ABSENT)

    def reply(self, status: bytes, body: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(
                b"HTTP/1.1 %b\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: %d\r\n\r\n%b"
                % (status, len(body), body)
            )


async def serve(vendor: FakeVendor, port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Conversation(vendor, loop), "127.0.0.1", port, backlog=2048)
    stopped = asyncio.Event()
    for one in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(one, stopped.set)
    print(server.sockets[0].getsockname()[1], flush=True)
    await stopped.wait()
    server.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0, help="default: one that is free")
    parser.add_argument("--answer", type=float, default=0.2, help="seconds before a start is answered (default 0.2)")
    parser.add_argument("--shortest", type=float, default=30, help="seconds that a call lasts at least (default 30)")
    parser.add_argument("--longest", type=float, default=120, help="and at most (default 120)")
    parser.add_argument("--unanswered", type=float, default=0.3, help="share that nobody picks up (default 0.3)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    vendor = FakeVendor(
        options.answer, options.shortest, options.longest, options.unanswered, random.Random(options.seed)
    )
    gc.disable()  # nothing here is a cycle, and what it keeps only grows
    asyncio.run(serve(vendor, options.port))


if __name__ == "__main__":
    main()
