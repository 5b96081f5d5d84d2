"""A fake Twilio: Calls, the account and its numbers at the paths, and in the forms, of the vendor's REST API.

Written from the vendor's facts (twilio 9.13.0), not from the adapter. A queued call
has no `start_time`, so a list filtered by it leaves that call out; a price comes `PRICE_AFTER` the end; SIP codes
are told in callbacks alone; what Twilio asked customers for a call is listed `EVENTS_AFTER` its end. Twilio takes no
reference of ours, so the fake reads `ref` where a customer can put it: in the address of the status callback or of
the script.

Tests may set `overrides` (fields of one call by sid), `script` whole calls, `answer_starts` with one exact answer,
and with `hides` the statuses that a list leaves out unless it is asked for them; `requests` are the addresses that
were asked for a call by sid, `notes` the codes of errors that were noted of it. `starts` keeps each start request as
it came, `updates` the words with which calls were to be ended.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from scheduler.model import Outcome
from scheduler.providers.network import MYSTERY, WORDS, Fault, Sighting
from scheduler.providers.simulator_server import Call
from tests.providers.fakes.vendor import Hook, Reply, Request, Vendor, main

ACCOUNT_SID = "AC" + "0123456789abcdef" * 2
AUTH_TOKEN = "fake-auth-token-5f0d"
API_KEY = "SK" + "fedcba9876543210" * 2
API_SECRET = "fake-api-secret-77aa"
OWN_NUMBER = "+14155550100"
VERIFIED_NUMBER = "+14155550111"
APPLICATION = "AP" + "00112233445566778899aabbccddeeff"
VERSION = "2010-04-01"
PRICE_AFTER = timedelta(seconds=2)
EVENTS_AFTER = timedelta(minutes=15)
MYSTERY_STATUS = "evaporated"
E164 = re.compile(r"\+[1-9]\d{6,14}")

STATUSES: Mapping[str, str] = {
    "dialing": "queued",
    "ringing": "ringing",
    "in-call": "in-progress",
    WORDS[Outcome.COMPLETED]: "completed",
    WORDS[Outcome.CALLBACK]: "completed",
    WORDS[Outcome.NO_ANSWER]: "no-answer",
    WORDS[Outcome.BUSY]: "busy",
    WORDS[Outcome.VOICEMAIL]: "completed",
    WORDS[Outcome.FAILED]: "failed",
    WORDS[Outcome.INVALID_NUMBER]: "failed",
    WORDS[Outcome.DO_NOT_CALL]: "completed",
    WORDS[MYSTERY]: MYSTERY_STATUS,
    "ended-stopped-ringing": "canceled",
    "ended-stopped-talking": "completed",
}
SIP_CODES: Mapping[str, str] = {
    WORDS[Outcome.BUSY]: "486",
    WORDS[Outcome.NO_ANSWER]: "480",
    WORDS[Outcome.HANG_UP]: "603",
    WORDS[Outcome.FAILED]: "488",
    WORDS[Outcome.INVALID_NUMBER]: "404",
}
LIVE = frozenset({"queued", "ringing", "in-progress"})


class Twilio(Vendor):
    name = "twilio"

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.starts: list[Request] = []
        self.updates: list[str] = []
        self.overrides: dict[str, dict[str, Any]] = {}
        self.scripted: dict[str, dict[str, Any]] = {}
        self.answer_starts: Reply | None = None
        self.answer_lists: Reply | None = None
        self.requests: dict[str, list[str]] = {}
        self.notes: dict[str, list[int]] = {}
        self.hides = frozenset[str]()  # statuses that a list shows only where it is asked for them
        self.before_update: Callable[[Call], None] | None = None
        self.account: dict[str, Any] = {"status": "active", "type": "Full"}
        self.balance = "12.50"
        self.application: dict[str, Any] = {"sid": APPLICATION, "status_callback": ""}
        self.numbers: dict[str, dict[str, Any]] = {OWN_NUMBER: {"voice": True, "sms": False}}
        super().__init__(*arguments, **options)

    def vendor_id(self, token: str) -> str:
        return "CA" + hashlib.md5(token.encode(), usedforsecurity=False).hexdigest()

    def script(self, sid: str, **fields: Any) -> dict[str, Any]:
        """A call that nobody started here, as Twilio would list it."""
        made = rfc2822(self.clock.now())
        row = {
            "sid": sid, "account_sid": ACCOUNT_SID, "to": "+56912345678", "from": OWN_NUMBER, "status": "queued",
            "direction": "outbound-api", "date_created": made, "date_updated": made, "start_time": None,
            "end_time": None, "duration": None, "price": None, "price_unit": "USD", "answered_by": None, **fields,
        }  # fmt: skip
        self.scripted[sid] = row
        return row

    def sign(self, url: str, form: Iterable[tuple[str, str]], token: str = AUTH_TOKEN, digest: str = "sha1") -> str:
        text = url + "".join(f"{name}{value}" for name, value in sorted(set(form)))
        return base64.b64encode(hmac.new(token.encode(), text.encode(), digest).digest()).decode()

    def handle(self, request: Request) -> Reply:
        user = _user_of(request)
        if user is None:
            return error(401, 20003, "Authenticate")
        match request.method, *request.path:
            case "GET", str(version), "Accounts", str(account) if version == VERSION:
                if account != f"{ACCOUNT_SID}.json":
                    return _not_found(request)
                if user == API_KEY:
                    return error(401, 20003, "Authenticate")  # a standard key may not read the account itself
                return Reply(200, {"sid": ACCOUNT_SID, "friendly_name": "Fake", **self.account})
            case str(method), str(version), "Accounts", str(account), *rest if version == VERSION:
                if account != ACCOUNT_SID:
                    return _not_found(request)
                return self._handle_own(request, method, rest)
        return _not_found(request)

    def hooks_of(self, call: Call) -> Sequence[tuple[datetime, Callable[[], Hook | None]]]:
        told = self.details_of(call)
        events = told.get("events", ())
        fate = self.exchange._network.fate(call.token)
        due = {"initiated": call.placed_at, "ringing": call.placed_at}
        if fate.answered:
            due["answered"] = call.placed_at + fate.ring
        due["completed"] = self._end_of(call)
        hooks: list[tuple[datetime, Callable[[], Hook | None]]] = [
            (at, lambda event=event, at=at: self._status_hook(call, event, at))
            for event, at in due.items() if event in events
        ]  # fmt: skip
        if fate.answered and told.get("amd_callback"):
            hooks.append((due["answered"], lambda: self._detection_hook(call)))
        return hooks

    def status_form(self, call: Call, event: str, at: datetime) -> dict[str, str]:
        """What Twilio posts about an event of a call."""
        sighting = self.sight(call)
        status = {"initiated": "initiated", "ringing": "ringing", "answered": "in-progress"}.get(event)
        number = ("initiated", "ringing", "answered", "completed").index(event)
        form = self._common_form(call) | {
            "CallStatus": status or self._status(call, sighting), "Direction": "outbound-api",
            "ApiVersion": VERSION, "Timestamp": rfc2822(at), "CallbackSource": "call-progress-events",
            "SequenceNumber": str(number),
        }  # fmt: skip
        if event == "completed":
            seconds = sighting.talk_seconds or 0
            form |= {"CallDuration": str(seconds), "Duration": str(-(-seconds // 60))}
            if sighting.word in SIP_CODES and not sighting.answered_at:
                form["SipResponseCode"] = SIP_CODES[sighting.word]
            answered_by = self._answered_by(call, sighting)
            if answered_by:
                form["AnsweredBy"] = answered_by
        return form

    def row(self, call: Call) -> dict[str, Any]:
        """The Call resource."""
        sid, sighting, now = self.id_of(call), self.sight(call), self.clock.now()
        status = self._status(call, sighting)
        changed = sighting.ended_at or sighting.answered_at or call.placed_at
        done, is_strange = status == "completed", status == MYSTERY_STATUS
        priced = done and sighting.ended_at is not None and now >= sighting.ended_at + PRICE_AFTER
        return {
            "sid": sid, "account_sid": ACCOUNT_SID, "api_version": VERSION, "parent_call_sid": None,
            "to": self.number_of(call), "to_formatted": self.number_of(call),
            "from": self._caller(call), "from_formatted": self._caller(call),
            "status": status, "direction": "outbound-api", "date_created": rfc2822(call.placed_at),
            "date_updated": rfc2822(changed),
            "start_time": None if status == "queued" else rfc2822(call.placed_at),
            "end_time": rfc2822(sighting.ended_at) if sighting.ended_at and (done or is_strange) else None,
            "duration": str(sighting.talk_seconds or 0) if done else None,
            "price": f"-{sighting.cost or 0:.4f}" if priced else None, "price_unit": "USD",
            "answered_by": self._answered_by(call, sighting), "queue_time": "0",
            "caller_name": "", "forwarded_from": None, "group_sid": None, "phone_number_sid": None, "trunk_sid": None,
            "uri": f"/{VERSION}/Accounts/{ACCOUNT_SID}/Calls/{sid}.json",
            "subresource_uris": {"events": f"/{VERSION}/Accounts/{ACCOUNT_SID}/Calls/{sid}/Events.json"},
            **self.overrides.get(sid, {}),
        }  # fmt: skip

    # --- inside ----------------------------------------------------------------------------------

    def _handle_own(self, request: Request, method: str, rest: Sequence[str]) -> Reply:
        match method, *rest:
            case "POST", "Calls.json":
                return self._start(request)
            case "GET", "Calls.json":
                self.asked["list"] += 1
                return self._list(request)
            case "GET", "Calls", str(sid), "Events.json":
                self.asked["events"] += 1
                return Reply(200, {"events": [
                    {"request": {"method": "POST", "url": url, "parameters": {}}, "response": {"response_code": 200}}
                    for url in self._requests_of(sid)
                ]})
            case "GET", "Calls", str(sid), "Notifications.json":
                self.asked["notes"] += 1
                notes = [{"call_sid": sid, "error_code": str(code), "log": "0"} for code in self.notes.get(sid, ())]
                return Reply(200, {"notifications": notes, "next_page_uri": None})
            case "GET", "Calls", str(page):
                self.asked["one"] += 1
                return self._fetch(request, page.removesuffix(".json"))
            case "POST", "Calls", str(page):
                return self._update(request, page.removesuffix(".json"))
            case "GET", "IncomingPhoneNumbers.json":
                part = request.query.get("PhoneNumber", "")
                rows = [
                    {"phone_number": number, "capabilities": able}
                    for number, able in self.numbers.items() if part in number
                ]  # fmt: skip
                return Reply(200, {"incoming_phone_numbers": rows, "next_page_uri": None})
            case "GET", "OutgoingCallerIds.json":
                asked = request.query.get("PhoneNumber")
                rows = [{"phone_number": number} for number in (VERIFIED_NUMBER,) if number == asked]
                return Reply(200, {"outgoing_caller_ids": rows, "next_page_uri": None})
            case "GET", "Applications", str(page) if page == f"{APPLICATION}.json":
                return Reply(200, self.application)
            case "GET", "Balance.json":
                return Reply(200, {"account_sid": ACCOUNT_SID, "balance": self.balance, "currency": "USD"})
        return _not_found(request)

    def _start(self, request: Request) -> Reply:
        self.starts.append(request)
        if self.answer_starts is not None:
            return self.answer_starts
        pairs = parse_qsl(request.body.decode(), keep_blank_values=True)
        form = dict(pairs)
        wrong = self._complaint(form)
        if wrong is not None:
            return wrong
        number, ref = form["To"], _ref_of(form, len(self.starts))
        return self.start(
            ref, number,
            accepted=lambda call: Reply(201, self.row(call) | {"status": "queued", "start_time": None}),
            refusals={
                Fault.REFUSE: error(400, 20001, f"Unknown parameter for {number}"),
                Fault.THROTTLE: error(429, 20429, "Too Many Requests", {"Retry-After": "2"}),
                Fault.HOLD: error(403, 10001, "Account is not active"),
                Fault.INVALID_NUMBER: error(
                    400, 21211, f"The phone number you are attempting to call, {number}, is not valid."
                ),
            },
            unreadable=(
                Reply(201, {"status": "queued"}), Reply(201, b'{"sid": "CA'),
                Reply(200, b"<html>Welcome</html>", content_type="text/html"),
            ),
            caller=form["From"], status_callback=form.get("StatusCallback", ""),
            events=tuple(value for name, value in pairs if name == "StatusCallbackEvent"),
            amd_callback=form.get("AsyncAmdStatusCallback", ""), detection=form.get("MachineDetection", ""),
            script=form.get("Url", ""),
        )  # fmt: skip

    def _complaint(self, form: Mapping[str, str]) -> Reply | None:
        if not E164.fullmatch(form.get("To", "")) or form["To"] == form.get("From"):
            return error(400, 21211, f"The phone number you are attempting to call, {form.get('To')}, is not valid.")
        if form.get("From") not in (*self.numbers, VERIFIED_NUMBER):
            return error(400, 21210, f"Source phone number {form.get('From')} is not yet verified.")
        if sum(name in form for name in ("Url", "Twiml", "ApplicationSid")) != 1:
            return error(400, 21205, "Url parameter is required.")
        if len(form.get("Twiml", "")) > 4000 or not 1 <= int(form.get("Timeout", "60")) <= 600:
            return error(400, 20001, "Invalid parameter")
        if form.get("MachineDetection", "Enable") not in ("Enable", "DetectMessageEnd"):
            return error(400, 20001, "Invalid parameter MachineDetection")
        if "_" in (urlsplit(form.get("StatusCallback", "")).hostname or ""):
            return error(400, 21609, f"StatusCallback {form['StatusCallback']} is not a valid URL")
        return None

    def _requests_of(self, sid: str) -> Sequence[str]:
        if sid in self.requests:
            return self.requests[sid]
        call = self.call_of(sid)
        ended_at = self.sight(call).ended_at if call is not None else None
        if call is None or ended_at is None or self.clock.now() < ended_at + EVENTS_AFTER:
            return ()
        told = self.details_of(call)
        heard = (told.get("script"),) if self.exchange._network.fate(call.token).answered else ()
        return [url for url in (*heard, told.get("status_callback")) if url]

    def _fetch(self, request: Request, sid: str) -> Reply:
        if self.lookup_fails():
            return error(503, 20503, "Service unavailable")
        row = self._row_of(sid)
        return Reply(200, row) if row is not None else _not_found(request)

    def _update(self, request: Request, sid: str) -> Reply:
        call = self.call_of(sid)
        if call is None:
            return _not_found(request)
        word = request.form().get("Status", "")
        self.updates.append(word)
        if self.before_update is not None:
            self.before_update(call)
        status = self.row(call)["status"]
        if status not in LIVE:
            return error(400, 21220, "Call is not in-progress. Cannot redirect.")
        if word == "completed" or status != "in-progress":
            self.hang_up(call)
        return Reply(200, self.row(call))

    def _list(self, request: Request) -> Reply:
        if self.lookup_fails():
            return error(503, 20503, "Service unavailable")
        if self.answer_lists is not None:
            return self.answer_lists
        query = dict(request.query)
        rows = sorted(self._rows(), key=lambda row: str(row.get("sid")))
        rows = [row for row in rows if _is_wanted(row, query)]
        if "Status" not in query:
            rows = [row for row in rows if row.get("status") not in self.hides]
        size, page = min(int(query.get("PageSize", "50")), 1000), int(query.get("Page", "0"))
        here = rows[page * size : (page + 1) * size]
        more = len(rows) > (page + 1) * size
        base = f"/{VERSION}/Accounts/{ACCOUNT_SID}/Calls.json"
        after = f"{base}?{urlencode(query | {'Page': str(page + 1), 'PageToken': 'PACA1'})}" if more else None
        return Reply(200, {
            "calls": here, "page": page, "page_size": size, "start": page * size, "end": page * size + len(here),
            "uri": request.target, "first_page_uri": base, "next_page_uri": after, "previous_page_uri": None,
        })  # fmt: skip

    def _rows(self) -> list[dict[str, Any]]:
        listed = [self.row(call) for call in self.calls() if self.find(call.attempt_ref)]
        return listed + list(self.scripted.values())

    def _row_of(self, sid: str) -> dict[str, Any] | None:
        call = self.call_of(sid)
        return self.scripted.get(sid) if call is None else self.row(call)

    def _caller(self, call: Call) -> str:
        return str(self.details_of(call).get("caller", OWN_NUMBER))

    def _status(self, call: Call, sighting: Sighting) -> str:
        if sighting.word == WORDS[Outcome.HANG_UP]:
            return "completed" if sighting.answered_at else "busy"
        return STATUSES[sighting.word]

    def _answered_by(self, call: Call, sighting: Sighting) -> str | None:
        detection = self.details_of(call).get("detection")
        if not detection or not sighting.answered_at:
            return None
        if self.exchange._network.fate(call.token).kind != Outcome.VOICEMAIL:
            return "human"
        return "machine_end_beep" if detection == "DetectMessageEnd" else "machine_start"

    def _end_of(self, call: Call) -> datetime:
        end = call.placed_at + self.exchange._network.length(call.token)
        return end if call.hung_up_at is None else min(end, call.hung_up_at)

    def _common_form(self, call: Call) -> dict[str, str]:
        number, caller = self.number_of(call), self._caller(call)
        return {
            "CallSid": self.id_of(call), "AccountSid": ACCOUNT_SID, "To": number, "Called": number,
            "From": caller, "Caller": caller, "ToCountry": "CL", "ToCity": "",
        }  # fmt: skip

    def _status_hook(self, call: Call, event: str, at: datetime) -> Hook | None:
        end = self._end_of(call)
        if at != end if event == "completed" else at > end:
            return None  # it was hung up in the meantime
        url = self.details_of(call)["status_callback"]
        return self._hook(url, self.status_form(call, event, at), event)

    def _detection_hook(self, call: Call) -> Hook | None:
        answered_by = self._answered_by(call, self.sight(call))
        if answered_by is None:
            return None
        form = self._common_form(call) | {"AnsweredBy": answered_by, "MachineDetectionDuration": "1800"}
        return self._hook(self.details_of(call)["amd_callback"], form, "amd")

    def _hook(self, url: str, form: Mapping[str, str], name: str) -> Hook:
        parts = urlsplit(url)
        return Hook(
            f"{parts.path}?{parts.query}",
            urlencode(form).encode(),
            {
                "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8",
                "X-Twilio-Signature": self.sign(url, form.items()),
                "I-Twilio-Idempotency-Token": "5b1d8d2e-0000-4000-8000-000000000000",
                "User-Agent": "TwilioProxy/1.1",
            },
            name,
        )


def error(status: int, code: int, message: str, headers: Mapping[str, str] | None = None) -> Reply:
    """An error in Twilio's form."""
    body = {"code": code, "message": message, "more_info": f"https://www.twilio.com/docs/errors/{code}",
            "status": status}  # fmt: skip
    return Reply(status, body, headers or {})


def rfc2822(at: datetime) -> str:
    return format_datetime(at.replace(microsecond=0))


def _not_found(request: Request) -> Reply:
    return error(404, 20404, f"The requested resource {request.target} was not found")


def _user_of(request: Request) -> str | None:
    for user, password in ((ACCOUNT_SID, AUTH_TOKEN), (API_KEY, API_SECRET)):
        expected = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        if hmac.compare_digest(request.headers.get("authorization", ""), expected):
            return user
    return None


def _ref_of(form: Mapping[str, str], number: int) -> str:
    for name in ("StatusCallback", "Url", "AsyncAmdStatusCallback"):
        ref = parse_qs(urlsplit(form.get(name, "")).query).get("ref")
        if ref:
            return ref[0]
    return f"nameless-{number}"


def _is_wanted(row: Mapping[str, Any], query: Mapping[str, str]) -> bool:
    for name, key in (("To", "to"), ("From", "from"), ("Status", "status")):
        if name in query and row.get(key) != query[name]:
            return False
    if "StartTime>" in query:  # whole days in UTC; what was not dialed yet is in none
        started = row.get("start_time")
        return isinstance(started, str) and _day(started) >= query["StartTime>"]
    return True


def _day(written: str) -> str:
    return datetime.strptime(written, "%a, %d %b %Y %H:%M:%S %z").date().isoformat()


if __name__ == "__main__":
    main(Twilio)
