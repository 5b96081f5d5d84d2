"""A fake NLPearl (Pearl AI), API v2: Pearls that dial the leads they are given, and post unsigned webhooks.

Written from the vendor's pages alone. A lead waits in the queue, is on call, and ends with a word; the calls of a
Pearl are listed by date. What the vendor leaves open can be chosen: `unknown_lead` is how it answers for a lead
that it does not have. Any lead or call can be `script`ed, field by field, and `canned` answers a kind of question
with whatever a test wants.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar

from scheduler.clock import Clock
from scheduler.providers.network import WORDS, Fault, Sighting
from scheduler.providers.simulator_server import Call, Exchange
from tests.providers.fakes.vendor import Hook, HookPlan, Reply, Request, Vendor, main

ACCOUNT_ID = "66aa00000000000000000001"
SECRET_KEY = "sk-fake-nlpearl-0123456789"
PEARL = "66bb00000000000000000001"
OTHER_PEARL = "66bb00000000000000000002"
INBOUND_PEARL = "66bb00000000000000000003"
HOOK_SECRET = "a-long-webhook-secret-0001"
CALLER = "+56229990000"
LARGEST_PAGE = 100

MEANING = {word: kind for kind, word in WORDS.items()}
# What becomes of a call: the lead's status, the call's (None: no call was made), the conversation's.
ENDS: Mapping[str, tuple[int, int | None, int]] = {
    "completed": (100, 4, 100),
    "callback": (110, 4, 110),
    "no_answer": (10, 7, 10),
    "busy": (10, 5, 10),
    "hang_up": (110, 4, 110),
    "voicemail": (70, 4, 70),
    "failed": (10, 6, 10),
    "invalid_number": (30, None, 30),
    "do_not_call": (110, 4, 110),
    "mystery": (777, 4, 777),
}
OUTBOUND_SETTINGS: Mapping[str, Any] = {
    "phoneNumberId": "66cc00000000000000000001", "totalAgents": 20, "recordingTrack": 4, "transcriptOptions": 1,
    "budgetTotal": None, "timeZone": "Pacific SA Standard Time", "maximumCallAttempts": 1,
    "minimumRetryIntervalHours": 1, "ringDuration": 30, "callTimeout": 10, "voiceMail": "",
    "callingHours": [{"day": day, "start": "00:00", "end": "23:59"} for day in range(7)],
    "callWebhookUrl": f"https://calls.example.org/webhooks/nlpearl/{HOOK_SECRET}",
    "leadWebhookUrl": f"https://calls.example.org/webhooks/nlpearl/{HOOK_SECRET}",
}  # fmt: skip


def problem(status: int, title: str, **errors: list[str]) -> Reply:
    """What ASP.NET answers, and what the vendor documents for 400: ValidationProblemDetails."""
    body: dict[str, Any] = {"type": f"https://httpstatuses.io/{status}", "title": title, "status": status}
    return Reply(status, {**body, "traceId": "00-1", **({"errors": errors} if errors else {})})


class FakeNLPearl(Vendor):
    name = "nlpearl"
    account: ClassVar[Mapping[str, Any]] = {
        "id": ACCOUNT_ID, "name": "Fake", "creditBalance": 512.5, "totalAgents": 20, "status": 1,
    }

    def __init__(
        self, exchange: Exchange, clock: Clock, plan: HookPlan | None = None, *, unknown_lead: str = "404",
        unknown_number: str = "404",
    ) -> None:
        self.unknown_lead, self.unknown_number = unknown_lead, unknown_number
        self.canned: dict[str, Reply] = {}
        self.requests: list[Request] = []
        self.told: dict[str, Any] = {}
        self.deleted: set[str] = set()
        self.pearl_changes: dict[str, dict[str, Any]] = {}
        self.settings_changes: dict[str, dict[str, Any]] = {}
        self._lead_changes: dict[str, dict[str, Any]] = {}
        self._call_changes: dict[str, dict[str, Any]] = {}
        super().__init__(exchange, clock, plan)

    def script(self, lead_id: str, lead: Mapping[str, Any], call: Mapping[str, Any] | None = None) -> None:
        """From now on the lead has these fields, and its call those; no call where `call` is None."""
        self._lead_changes[lead_id] = {**lead, **({"callsId": [], "lastCall": None} if call is None else {})}
        if call is not None:
            self._call_changes[lead_id] = dict(call)

    # --- requests --------------------------------------------------------------------------------

    def vendor_id(self, token: str) -> str:
        return hashlib.sha256(f"lead {token}".encode()).hexdigest()[:24]

    def handle(self, request: Request) -> Reply:
        self.requests.append(request)
        if request.headers.get("authorization") != f"Bearer {ACCOUNT_ID}:{SECRET_KEY}":
            return problem(401, "Unauthorized")
        kind, answer = self._route(request)
        self.asked[kind] += 1
        if kind in self.canned:
            return self.canned[kind]
        if kind in ("lead", "external", "number", "leads", "call", "bulk", "calls") and self.lookup_fails():
            return problem(503, "Service Unavailable")
        return answer()

    def _route(self, request: Request) -> tuple[str, Callable[[], Reply]]:
        match (request.method, *request.path):
            case ("POST", "v2", "Outbound", pearl, "Lead"):
                return "start", lambda: self._read_start(pearl, request.document())
            case ("GET", "v2", "Outbound", pearl, "Lead", "External", ref):
                return "external", lambda: self._find_by_ref(pearl, ref)
            case ("GET", "v2", "Outbound", pearl, "Lead", "PhoneNumber", number):
                return "number", lambda: self._find_by_number(pearl, number)
            case ("GET", "v2", "Outbound", pearl, "Lead", lead):
                return "lead", lambda: self._read_lead(pearl, lead)
            case ("DELETE", "v2", "Outbound", pearl, "Leads"):
                return "delete", lambda: self._delete(request.document())
            case ("POST", "v2", "Outbound", pearl, "Leads"):
                return "leads", lambda: self._search(pearl, request.document())
            case ("GET", "v2", "Call", call):
                return "call", lambda: self._read_call(call)
            case ("POST", "v2", "Pearl", pearl, "Calls", "Bulk"):
                return "bulk", lambda: self._bulk(pearl, request.document())
            case ("GET", "v2", "Pearl", pearl, "OngoingCalls"):
                return "ongoing", lambda: self._ongoing(pearl)
            case ("GET", "v2", "Pearl", pearl, "Settings"):
                return "settings", lambda: self._settings(pearl)
            case ("GET", "v2", "Pearl", pearl):
                return "pearl", lambda: self._pearl(pearl)
            case ("GET", "v2", "Pearl"):
                return "pearls", lambda: Reply(200, [_pearl(one) for one in (PEARL, OTHER_PEARL, INBOUND_PEARL)])
            case ("GET", "v2", "Account"):
                return "account", lambda: Reply(200, {**self.account, **self.told})
        return "nothing", lambda: Reply(404, b"", content_type="text/plain")  # as ASP.NET for a path that it lacks

    def _read_start(self, pearl: str, document: Mapping[str, Any]) -> Reply:
        if pearl not in (PEARL, OTHER_PEARL):
            return problem(404, "Pearl not found")
        number, ref = document.get("phoneNumber"), document.get("externalId")
        if not isinstance(number, str) or not re.fullmatch(r"\+\d{7,15}", number):
            return problem(400, "One or more validation errors occurred.", PhoneNumber=["It is required."])
        ref = ref if isinstance(ref, str) else ""
        refusals = {
            Fault.THROTTLE: Reply(429, {"title": "Too Many Requests", "status": 429}, {"Retry-After": "2"}),
            Fault.HOLD: problem(403, "Forbidden"),
            Fault.INVALID_NUMBER: problem(
                400, "One or more validation errors occurred.", PhoneNumber=[f"The phone number {number} is not valid."]
            ),
            Fault.DO_NOT_CALL: problem(
                400, "One or more validation errors occurred.", phoneNumber=[f"{number} is in the account's blacklist."]
            ),
        }
        return self.start(
            ref, number, lambda call: Reply(200, {"leadId": self.id_of(call)}), refusals,
            unreadable=(Reply(200, {"leadId": None}), Reply(200, b"<html>Welcome</html>", content_type="text/html"),
                        Reply(200, b'{"leadId": "')),
            pearl=pearl, data=document.get("callData"),
        )

    def _find_by_ref(self, pearl: str, ref: str) -> Reply:
        for call in self.find(ref):
            if self._pearl_of(call) == pearl:
                return Reply(200, self.lead(call))
        return _absent(self.unknown_lead)

    def _find_by_number(self, pearl: str, number: str) -> Reply:
        """The first lead of a number: the vendor does not say which one it shows."""
        for call in self.calls():
            if self.number_of(call) == number and self._pearl_of(call) == pearl:
                return Reply(200, self.lead(call))
        return _absent(self.unknown_number)

    def _read_lead(self, pearl: str, lead: str) -> Reply:
        call = self.call_of(lead)
        if call is None or self._pearl_of(call) != pearl or lead in self.deleted:
            return problem(404, "Lead not found")
        return Reply(200, self.lead(call))

    def _delete(self, document: Mapping[str, Any]) -> Reply:
        for lead in document["leadIds"]:
            call = self.call_of(lead)
            if call is not None and self.sight(call).word == "dialing":
                self.hang_up(call)
            self.deleted.add(lead)
        return Reply(200, b"true")

    def _search(self, pearl: str, wanted: Mapping[str, Any]) -> Reply:
        rows = [
            {name: value for name, value in self.lead(call).items() if name not in ("callsId", "lastCall")}
            for call in self.calls()
            if self._pearl_of(call) == pearl and str(wanted.get("searchInput") or "") in self.number_of(call)
        ]
        return _page(rows, wanted)

    def _read_call(self, call_id: str) -> Reply:
        for call in self.calls():
            found = self.call(call)
            if found is not None and found["id"] == call_id:
                return Reply(200, found)
        return problem(404, "Call not found")

    def _bulk(self, pearl: str, wanted: Mapping[str, Any]) -> Reply:
        since, until = (datetime.fromisoformat(str(wanted.get(name))) for name in ("fromDate", "toDate"))
        fields = wanted.get("fields") or []
        rows = []
        for call in sorted(self.calls(), key=lambda one: one.placed_at, reverse=not wanted.get("isAscending", True)):
            found = self.call(call)
            if found is None or self._pearl_of(call) != pearl or not since <= call.placed_at <= until:
                continue
            more = {**found, "leadId": self.id_of(call), "queueDuration": 1, "creditDebited": self._price(call)}
            asked = {name[0].lower() + name[1:] for name in fields}
            always = {"id", "startTime", "conversationStatus", "status", "from", "to", "duration"}
            rows.append({name: value for name, value in more.items() if name in always | asked})
        return _page(rows, wanted)

    def _ongoing(self, pearl: str) -> Reply:
        if pearl not in (PEARL, OTHER_PEARL, INBOUND_PEARL):
            return problem(404, "Pearl not found")
        live = [call for call in self.calls() if self._pearl_of(call) == pearl and self.sight(call).ended_at is None]
        return Reply(200, {"totalOngoingCalls": len(live)})

    def _pearl(self, pearl: str) -> Reply:
        if pearl not in (PEARL, OTHER_PEARL, INBOUND_PEARL):
            return problem(404, "Pearl not found")
        found = {**_pearl(pearl), "phoneNumber": CALLER, "totalAgents": 20, "totalOngoingCalls": 0}
        return Reply(200, {**found, **self.pearl_changes.get(pearl, {})})

    def _settings(self, pearl: str) -> Reply:
        if pearl not in (PEARL, OTHER_PEARL):
            return problem(400, "One or more validation errors occurred.", pearlId=["It is not valid."])
        outbound = {**OUTBOUND_SETTINGS, **self.settings_changes.get(pearl, {})}
        return Reply(200, {"name": "Ana", "type": 2, "pearl": None, "variables": None, "outbound": outbound})

    # --- what a lead and its call are ------------------------------------------------------------

    def lead(self, call: Call) -> dict[str, Any]:
        sighting = self.sight(call)
        status = ENDS[MEANING[sighting.word]][0] if sighting.ended_at else _live_lead(sighting)
        last = self.call(call)
        return {
            "id": self.id_of(call), "externalId": call.attempt_ref, "phoneNumber": self.number_of(call),
            "timeZone": "-4", "status": status, "created": _written(call.placed_at),
            "callsId": [last["id"]] if last else [],
            "lastCall": {"id": last["id"], "startTime": last["startTime"], "duration": last["duration"]}
            if last else None,
            "callData": self.details_of(call).get("data"), "collectedData": {},
            **self._lead_changes.get(self.id_of(call), {}),
        }  # fmt: skip

    def call(self, call: Call) -> dict[str, Any] | None:
        """What `GET /v2/Call/{id}` says; None before it is dialed, or where it never is."""
        sighting, lead_id = self.sight(call), self.id_of(call)
        scripted = self._call_changes.get(lead_id)
        if sighting.ended_at is None:
            status, judged = 3, 40
        else:
            _, made, judged = ENDS[MEANING[sighting.word]]
            status = made or 0
        if scripted is None and (sighting.word == "dialing" or not status or lead_id in self._lead_changes):
            return None
        return {
            "id": self.call_id(call), "pearlId": self._pearl_of(call), "relatedId": None,
            "startTime": _written(call.placed_at), "conversationStatus": judged, "status": status, "from": CALLER,
            "to": self.number_of(call), "name": "Ana", "duration": sighting.talk_seconds or 0,
            "recording": "https://files.example.org/rec?token=abc" if sighting.talk_seconds else None,
            "transcript": [{"role": 3, "content": "Hola", "startTime": 0, "endTime": 1}],
            "summary": "They spoke." if sighting.talk_seconds else None, "collectedInfo": _collected(sighting),
            "tags": [], "isCallTransferred": False, "overallSentiment": 3, **(scripted or {}),
        }  # fmt: skip

    def call_id(self, call: Call) -> str:
        return hashlib.sha256(f"call {call.token}".encode()).hexdigest()[:24]

    def _price(self, call: Call) -> float | None:
        sighting = self.sight(call)
        scripted = self._call_changes.get(self.id_of(call), {})
        return scripted.get("creditDebited", 0.25 if sighting.talk_seconds else 0.0) if sighting.ended_at else None

    def _pearl_of(self, call: Call) -> str:
        return str(self.details_of(call).get("pearl", PEARL))

    # --- webhooks --------------------------------------------------------------------------------

    def hooks_of(self, call: Call) -> Sequence[tuple[datetime, Callable[[], Hook | None]]]:
        ended_at = call.placed_at + self.exchange._network.length(call.token)
        return [
            (call.placed_at, lambda: self.start_hook(call)),
            (ended_at, lambda: self.call_hook(call)),
            (ended_at + timedelta(milliseconds=1), lambda: self.lead_hook(call)),
        ]

    def start_hook(self, call: Call) -> Hook:
        told = {
            "id": self.call_id(call), "pearlId": self._pearl_of(call), "startTime": _written(call.placed_at),
            "conversationStatus": 40, "status": 3, "from": CALLER, "to": self.number_of(call),
            "leadId": self.id_of(call),
        }  # fmt: skip
        return _hook(told, f"call started {call.attempt_ref}")

    def call_hook(self, call: Call) -> Hook | None:
        found = self.call(call)
        if found is None:
            return None
        return _hook({**found, "leadId": self.id_of(call)}, f"call {call.attempt_ref}")

    def lead_hook(self, call: Call) -> Hook:
        lead = self.lead(call)
        del lead["lastCall"]
        return _hook({**lead, "pearlId": self._pearl_of(call)}, f"lead {call.attempt_ref}")

    def forge(self, hook: Hook) -> Hook:
        """Nothing is signed: who does not know the address has another secret in it."""
        path = hook.path.replace(HOOK_SECRET, HOOK_SECRET[:-1] + "2")
        return Hook(path, hook.body, hook.headers, f"forged {hook.name}")


def _pearl(pearl: str) -> dict[str, Any]:
    return {"id": pearl, "name": "Ana", "type": 1 if pearl == INBOUND_PEARL else 2, "status": 1}


def _live_lead(sighting: Sighting) -> int:
    return 20 if sighting.word == "dialing" else 40


def _collected(sighting: Sighting) -> list[dict[str, Any]]:
    found: dict[str, Any] = {"mood": "calm"}
    if sighting.appointment_at is not None:
        found["appointment_at"] = _written(sighting.appointment_at)
    if sighting.callback_at is not None:
        found["callback_at"] = _written(sighting.callback_at)
    if MEANING.get(sighting.word) == "do_not_call":
        found["do_not_call"] = True
    return [{"id": str(place), "name": name, "value": value} for place, (name, value) in enumerate(found.items())]


def _absent(how: str) -> Reply:
    return {
        "404": problem(404, "Not Found"),
        "200": Reply(200, {"id": None, "externalId": None, "callsId": []}),
        "400": problem(400, "One or more validation errors occurred.", externalId=["It is not known."]),
    }[how]


def _page(rows: Sequence[Mapping[str, Any]], wanted: Mapping[str, Any]) -> Reply:
    skip, limit = int(wanted.get("skip") or 0), min(int(wanted.get("limit") or LARGEST_PAGE), LARGEST_PAGE)
    return Reply(200, {"count": len(rows), "results": list(rows[skip : skip + limit])})


def _hook(told: Mapping[str, Any], name: str) -> Hook:
    body = json.dumps(told).encode()
    return Hook(f"/webhooks/nlpearl/{HOOK_SECRET}", body, {"Content-Type": "application/json"}, name)


def _written(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


if __name__ == "__main__":
    main(FakeNLPearl)
