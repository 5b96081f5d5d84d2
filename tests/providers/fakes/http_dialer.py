"""A home-made dialer, as somebody would write one in an afternoon from docs/http_dialer.md.

    python -m tests.providers.fakes.http_dialer --ledger FILE --port 8090 --hooks-url http://127.0.0.1:8000

Not in the format, and for tests alone: `scripted` puts an exact document in the place of one call's status,
`start_reply`, `find_reply`, `hangup_reply` and `health_reply` replace those answers as a whole.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar

from scheduler.clock import Clock
from scheduler.model import Outcome
from scheduler.providers.network import MYSTERY, STOPPED_RINGING, STOPPED_TALKING, WORDS, Fault, Sighting
from scheduler.providers.simulator_server import Call, Exchange
from tests.providers.fakes.vendor import Hook, HookPlan, Reply, Request, Vendor, main

TOKEN = "dialer-token-for-tests"
SECRET = "webhook-secret-for-tests"
ACCOUNT = "acme"
FOR_EVER = timedelta(days=3650)

NOT_FOUND = Reply(404, {"error": "not_found", "message": "there is no such call"})
UNREADABLE: Sequence[Reply] = (
    Reply(200, {"success": True, "message": "call placed"}),
    Reply(201, {"call_id": None, "status": "queued"}),
    Reply(200, b'{"call_id": "hd-'),
    Reply(200, b"<html><body>Welcome</body></html>", content_type="text/html"),
    Reply(204),
)
LIVE: Mapping[str, str] = {"dialing": "dialing", "ringing": "ringing", "in-call": "in_progress"}
ENDED: Mapping[str, Mapping[str, Any]] = {
    WORDS[Outcome.COMPLETED]: {"status": "completed", "hangup_by": "agent", "summary": "A talk to its end."},
    WORDS[Outcome.CALLBACK]: {"status": "completed", "hangup_by": "agent"},
    WORDS[Outcome.NO_ANSWER]: {"status": "no_answer", "cause": 19},
    WORDS[Outcome.BUSY]: {"status": "busy", "sip_code": 486},
    WORDS[Outcome.VOICEMAIL]: {"status": "voicemail", "hangup_by": "agent"},
    WORDS[Outcome.FAILED]: {"status": "failed"},
    WORDS[Outcome.INVALID_NUMBER]: {"status": "failed", "sip_code": 404, "cause": 1},
    WORDS[Outcome.DO_NOT_CALL]: {"status": "completed", "variables": {"do_not_call": True}},
    WORDS[MYSTERY]: {"status": "swallowed_by_whale"},
    STOPPED_RINGING: {"status": "cancelled", "hangup_by": "agent"},
    STOPPED_TALKING: {"status": "completed", "hangup_by": "agent"},
}


class HttpDialer(Vendor):
    name: ClassVar[str] = "http"

    def __init__(
        self, exchange: Exchange, clock: Clock, plan: HookPlan | None = None, *, token: str | None = TOKEN,
        secret: str = SECRET, account: str | None = ACCOUNT, prefix: str = "",
    ) -> None:
        self.prefix = tuple(filter(None, prefix.split("/")))
        self.token, self.secret, self.account = token, secret, account
        super().__init__(exchange, clock, plan)
        self.forget_script()

    def forget_script(self) -> None:
        """Back to plain answers; what was counted begins again."""
        self.starts: list[Request] = []
        self.scripted: dict[str, Any] = {}
        self.start_reply: Reply | None = None
        self.find_reply: Reply | None = None
        self.hangup_reply: Reply | None = None
        self.health_reply: Reply | None = None
        self.asked.clear()

    def vendor_id(self, token: str) -> str:
        return "hd-" + hashlib.sha256(token.encode()).hexdigest()[:16]

    def handle(self, request: Request) -> Reply:
        if self.token is not None and request.headers.get("authorization") != f"Bearer {self.token}":
            return Reply(401, {"error": "unauthorized", "message": "the token is not right"})
        if request.path[: len(self.prefix)] != self.prefix:
            return Reply(404, b"<html>no such page</html>", content_type="text/html")
        match request.method, request.path[len(self.prefix) :]:
            case "POST", ("calls", "originate"):
                return self._originate(request)
            case "GET", ("calls",):
                return self._find(request)
            case "GET", ("calls", vendor_id):
                return self._status(vendor_id)
            case "POST", ("calls", vendor_id, "hangup"):
                return self._hang_up(vendor_id)
            case "GET", ("health",):
                self.asked["health"] += 1
                return self.health_reply or Reply(200, {"ok": True})
        return Reply(404, {"detail": "Not Found"})  # as a web framework says it of a path that does not exist

    def hooks_of(self, call: Call) -> Sequence[tuple[datetime, Callable[[], Hook | None]]]:
        end = self.exchange._sight(call, call.placed_at + FOR_EVER)
        due: list[tuple[datetime, Callable[[], Hook | None]]] = [(call.placed_at, lambda: self.hook(call, "ringing"))]
        if end.answered_at is not None:
            due.append((end.answered_at, lambda: self.hook(call, "answered")))
        if end.ended_at is not None:
            due.append((end.ended_at, lambda: self.hook(call, "ended")))
        return due

    def hook(self, call: Call, event: str) -> Hook:
        """The webhook for what the call is now; `event` makes its id."""
        body = json.dumps(self.event_of(call, event)).encode()
        return Hook("/webhooks/http", body, self.signed(body), event)

    def event_of(self, call: Call, event: str) -> dict[str, Any]:
        known = self.document_of(call) | {"event_id": f"{self.id_of(call)}-{event}"}
        return known if self.account is None else known | {"account": self.account}

    def signed(self, body: bytes, *, at: datetime | None = None, secret: str | None = None) -> dict[str, str]:
        seconds = int((at or self.clock.now()).timestamp())
        digest = hmac.new((secret or self.secret).encode(), b"%d." % seconds + body, hashlib.sha256).hexdigest()
        return {"Content-Type": "application/json", "X-Ringback-Signature": f"t={seconds},v1={digest}"}

    def document_of(self, call: Call) -> dict[str, Any]:
        sighting = self.sight(call)
        document: dict[str, Any] = {
            "call_id": self.id_of(call), "attempt_ref": call.attempt_ref, "phone_number": self.number_of(call),
        }  # fmt: skip
        if sighting.ended_at is None:
            document["status"] = LIVE[sighting.word]
        else:
            document |= _end_of(sighting)
        if sighting.answered_at is not None:
            document["answered_at"] = sighting.answered_at.isoformat()
        return document

    def _originate(self, request: Request) -> Reply:
        asked = request.document()
        number = asked.get("phone_number")
        self.starts.append(request)
        if not isinstance(number, str) or not number.startswith("+"):
            return Reply(422, {"error": "invalid_number", "message": "phone_number is not in E.164"})
        if self.start_reply is not None:
            return self.start_reply
        return self.start(
            str(asked.get("attempt_ref") or f"old-{len(self.starts)}"), number,
            lambda call: Reply(201, {"call_id": self.id_of(call), "attempt_ref": call.attempt_ref, "status": "queued"}),
            _refusals(number), UNREADABLE, **asked,
        )  # fmt: skip

    def _find(self, request: Request) -> Reply:
        self.asked["find"] += 1
        if self.lookup_fails():
            return Reply(503, {"error": "unavailable"})
        if self.find_reply is not None:
            return self.find_reply
        return Reply(200, {"calls": [self.document_of(call) for call in self.find(request.query["attempt_ref"])]})

    def _status(self, vendor_id: str) -> Reply:
        self.asked["status"] += 1
        if self.lookup_fails():
            return Reply(503, {"error": "unavailable"})
        scripted = self.scripted.get(vendor_id)
        if scripted is not None:
            return scripted if isinstance(scripted, Reply) else Reply(200, scripted)
        call = self.call_of(vendor_id)
        return NOT_FOUND if call is None else Reply(200, self.document_of(call))

    def _hang_up(self, vendor_id: str) -> Reply:
        self.asked["hangup"] += 1
        if self.hangup_reply is not None:
            return self.hangup_reply
        call = self.call_of(vendor_id)
        if call is None:
            return NOT_FOUND
        if not self.hang_up(call):
            return Reply(409, {"error": "over", "message": "the call has ended already"})
        return Reply(200, {"ended": True})


def _refusals(number: str) -> dict[Fault, Reply]:
    return {
        Fault.REFUSE: Reply(400, {"error": "refused", "message": f"no campaign allows {number}"}),
        Fault.THROTTLE: Reply(429, {"error": "throttled"}, {"Retry-After": "2"}),
        Fault.HOLD: Reply(402, {"error": "no_credit", "message": "top up first"}),
        Fault.INVALID_NUMBER: Reply(422, {"error": "invalid_number", "message": f"{number} cannot be dialed"}),
        Fault.DO_NOT_CALL: Reply(403, {"error": "do_not_call"}),
    }


def _end_of(sighting: Sighting) -> dict[str, Any]:
    assert sighting.ended_at is not None
    if sighting.word == WORDS[Outcome.HANG_UP]:
        told: dict[str, Any] = {"status": "completed" if sighting.answered_at else "rejected", "hangup_by": "callee"}
    else:
        told = dict(ENDED[sighting.word])
    told |= {"ended_at": sighting.ended_at.isoformat(), "duration": sighting.talk_seconds}
    if sighting.cost is not None:
        told |= {"cost": str(sighting.cost), "cost_unit": "usd"}
    if sighting.appointment_at is not None:
        told["appointment_at"] = sighting.appointment_at.isoformat()
    if sighting.callback_at is not None:
        told["variables"] = {"callback_at": sighting.callback_at.strftime("%Y-%m-%d %H:%M")}
    return told


if __name__ == "__main__":
    main(HttpDialer)
