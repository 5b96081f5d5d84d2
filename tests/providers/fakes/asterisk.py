"""A fake Asterisk: ARI over HTTP, its events over a WebSocket on a port of its own, and its call records.

It does what Asterisk 22.10 was seen to do (tests/asterisk compares Ringback with the real one). Channels live as
their fates say, under the id that the start request gave. Nothing is stored of a channel that is gone: `GET` says
404, events that nobody heard are lost, and only `cel` and `cdr` (also `GET /_cdr?ids=a,b`) still know it. The
same id is a conflict while its channel lives, and a second call afterwards.

A test may script what it needs exactly: `replies` by "METHOD /path", `changes` of a channel and `endings`
of its last event by id, `records` in place of the call records, and `say` for any event.
"""

from __future__ import annotations

import base64
import heapq
import itertools
import json
import re
import socket
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import format_datetime
from http import HTTPStatus
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request as Handshake
from websockets.http11 import Response as HandshakeAnswer
from websockets.sync.server import ServerConnection, serve

from scheduler.clock import Clock
from scheduler.providers.network import NEVER_RING, STOPPED_RINGING, STOPPED_TALKING, WORDS, Fault, Sighting
from scheduler.providers.simulator_server import Call, Exchange
from tests.providers.fakes.vendor import HookPlan, Reply, Request, Vendor, main

USERNAME, PASSWORD = "ringback", "ari-s3cret-password"
LONGEST_ID = 149
LOOK_EVERY_SECONDS = 0.01

CAUSES: Mapping[str, tuple[int, str, int | None]] = {
    WORDS["no_answer"]: (19, "User alerting, no answer", 480),
    WORDS["busy"]: (17, "User busy", 486),
    WORDS["hang_up"]: (21, "Call Rejected", 603),
    WORDS["failed"]: (58, "Bearer capability not available", 488),
    WORDS["invalid_number"]: (1, "Unallocated (unassigned) number", 404),
    WORDS["mystery"]: (120, "Unknown", None),
}
CLEARED = (16, "Normal Clearing", None)
RING_TIMEOUT = 19
EXPLICIT, ASYNC = 32, 16  # flags of soft requests: by ARI or the command line, and by the end of the dialplan
SERVER = "Asterisk/22.10.1"
STARTED_AT = "2026-03-01T00:00:00.000+0000"


@dataclass(eq=False)
class Line:
    """One WebSocket: the application it speaks for, and whether it hears of every channel."""

    connection: ServerConnection
    app: str
    hears_all: bool


class Asterisk(Vendor):
    name: ClassVar[str] = "asterisk"

    def __init__(
        self, exchange: Exchange, clock: Clock, plan: HookPlan | None = None, *, unanswered: bool = True,
        apps: Sequence[str] = (), endpoints: Mapping[str, str] | None = None,
    ) -> None:
        self.unanswered = unanswered
        """`unanswered` of cdr.conf: whether calls that nobody answered leave a record."""
        self.apps = set(apps)
        self.endpoints = dict(endpoints or {"PJSIP/trunk": "online"})
        self.replies: dict[str, Reply] = {}
        self.changes: dict[str, dict[str, Any]] = {}
        self.endings: dict[str, dict[str, Any]] = {}
        self.records: dict[str, list[dict[str, Any]]] = {}
        self.starts: list[Request] = []
        self.handshakes: list[Handshake] = []
        self.lines: list[Line] = []
        self.turns_listeners_away = False
        self.read_only = False
        """`read_only = yes` of ari.conf."""
        self.started_at = STARTED_AT
        self.places = {"ringback,s,1", "sales,7,1", "out,s,1"}
        """What the dialplan has."""
        self._looking: set[str] = set()
        self._greeted: set[str] = set()
        self._changed = threading.RLock()
        self._due: list[tuple[datetime, int, Call, str]] = []
        self._numbers_of_events = itertools.count()
        self._destroyed: set[str] = set()
        super().__init__(exchange, clock, plan)
        self._server = serve(
            self._serve_line, "127.0.0.1", 0, process_request=self._greet, compression=None, close_timeout=0.2
        )
        self.events_url = f"ws://127.0.0.1:{self._server.socket.getsockname()[1]}"
        for work in (self._server.serve_forever, self._tell_events, self._end_with_the_vendor):
            threading.Thread(target=work, name="asterisk events", daemon=True).start()

    # --- calls

    def vendor_id(self, token: str) -> str:
        return token

    def id_of(self, call: Call) -> str:
        return call.attempt_ref

    def _learn(self, call_id: str, number: str) -> None:
        call = self.exchange.find_call(call_id)
        if call is None:
            return
        self._numbers[call_id] = number
        self._by_id[call.attempt_ref] = call
        fate = self.exchange._network.fate(call.token)
        with self._changed:
            self._plan(call, "created", call.placed_at)
            if fate.kind not in NEVER_RING:
                self._plan(call, "ringing", call.placed_at)
            if fate.answered:
                self._plan(call, "answered", call.placed_at + fate.ring)
            self._plan(call, "destroyed", call.placed_at + fate.ring + fate.talk)

    def is_alive(self, call: Call) -> bool:
        return self.sight(call).ended_at is None

    def cdr(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        """The call records, as a reader of the table `cdr` gives them."""
        return [row for ref in ids for row in self.records.get(ref, self._records_of(ref))]

    def _records_of(self, ref: str) -> list[dict[str, Any]]:
        call = self.call_of(ref)
        seen = self.sight(call) if call else None
        if call is None or seen is None or seen.ended_at is None:
            return []
        behaviour = self.exchange.behaviour
        written_at = seen.ended_at + timedelta(seconds=behaviour.lookup_lag.at(behaviour.faults.share(ref, "lag")))
        if self.clock.now() < written_at or (seen.answered_at is None and not self.unanswered):
            return []
        return [{
            "uniqueid": ref, "linkedid": ref, "start": call.placed_at, "answer": seen.answered_at, "end": seen.ended_at,
            "duration": round((seen.ended_at - call.placed_at).total_seconds()),
            "billsec": round((seen.ended_at - seen.answered_at).total_seconds()) if seen.answered_at else 0,
            "disposition": "ANSWERED" if seen.answered_at else "BUSY" if seen.word == WORDS["busy"] else "NO ANSWER",
            "channel": "PJSIP/trunk-00000001", "dst": self.number_of(call), "accountcode": "", "userfield": "",
            "sequence": 1,
        }]  # fmt: skip

    def cel(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        """The channel events, as a reader of the table `cel` gives them: written as they happen."""
        return [row for ref in ids for row in self._events_of(ref)]

    def _events_of(self, ref: str) -> list[dict[str, Any]]:
        call = self.call_of(ref)
        if call is None:
            return []
        seen, name = self.sight(call), "PJSIP/trunk-00000001"
        rows = [("CHAN_START", call.placed_at, "")]
        if seen.answered_at is not None:
            rows.append(("ANSWER", seen.answered_at, ""))
        behaviour = self.exchange.behaviour
        lag = timedelta(seconds=behaviour.lookup_lag.at(behaviour.faults.share(ref, "lag")))
        if seen.ended_at is not None and self.clock.now() >= seen.ended_at + lag:
            cause = (0, "", None) if seen.answered_at else CAUSES.get(seen.word, CLEARED)
            is_ours = seen.word in (STOPPED_RINGING, STOPPED_TALKING) or cause[0] == RING_TIMEOUT
            extra = {"hangupcause": cause[0], "hangupsource": "" if is_ours else name, "dialstatus": ""}
            rows += [("HANGUP", seen.ended_at, _json(extra)), ("CHAN_END", seen.ended_at, "")]
        return [
            {"uniqueid": ref, "eventtype": kind, "eventtime": at, "channame": name, "extra": extra}
            for kind, at, extra in rows
        ]

    def has_told_everything(self) -> bool:
        """Whether no event is left that was due or will be."""
        with self._changed:
            return not self._due

    # --- HTTP

    def handle(self, request: Request) -> Reply:
        match (request.method, request.path):
            case ("GET", ("_events",)):
                return Reply(200, {"url": self.events_url})
            case ("GET", ("_cdr",)):
                rows = self.cdr([one for one in request.query.get("ids", "").split(",") if one])
                return Reply(200, [{name: _plain(value) for name, value in row.items()} for row in rows])
            case ("POST", ("_drop",)):
                return Reply(200, {"dropped": self.drop()})
        if not self._is_login(request.headers.get("authorization"), request.query.get("api_key")):
            return NO_LOGIN
        self.asked[" ".join((request.method, *request.path[:2]))] += 1
        scripted = self.replies.get(f"{request.method} /{'/'.join(request.path)}")
        if request.method == "POST" and request.path[:2] == ("ari", "channels") and request.path[2:] != ("create",):
            self.starts.append(request)
        return scripted or self._answer_ari(request)

    def _answer_ari(self, request: Request) -> Reply:
        match (request.method, request.path):
            case ("POST", ("ari", "channels", ref)) if ref != "create" and not self.read_only:
                return self._originate(request, ref)
            case ("GET", ("ari", "channels", *_)) if self.lookup_fails():
                return Reply(503, {"message": "Asterisk not booted"})
            case ("GET", ("ari", "channels")):
                return Reply(200, [self.channel(call) for call in self.calls() if self.is_alive(call)])
            case ("GET", ("ari", "channels", ref)):
                call = self.call_of(ref)
                return Reply(200, self.channel(call)) if call and self.is_alive(call) else NO_SUCH_CHANNEL
            case ("DELETE" | "POST", _) if self.read_only:
                return Reply(403, {"message": "Write access denied"})
            case ("POST", ("ari", "channels", "create")):
                return self._create(request)
            case ("GET", ("ari", "channels", ref, "variable")):
                return self._variable(ref, request.query.get("variable", ""))
            case ("DELETE", ("ari", "channels", ref)) if ref in self._looking:
                self._looking.discard(ref)
                return Reply(204)
            case ("DELETE", ("ari", "channels", ref)):
                return self._delete(request, ref)
            case ("GET", ("ari", "asterisk", "info")):
                return self._info(request.query.get("only"))
            case ("GET", ("ari", "endpoints", technology, resource)):
                state = self.endpoints.get(f"{technology}/{resource}")
                if state is None:
                    return Reply(404, {"message": "Endpoint not found"})
                return Reply(200, {"technology": technology, "resource": resource, "state": state, "channel_ids": []})
            case ("GET", ("ari", "applications", app)):
                known = self.apps | {line.app for line in self.lines}
                return Reply(200, {"name": app}) if app in known else Reply(404, {"message": "Application not found"})
            case _:
                return Reply(404, {"message": "Resource not found"})

    def _originate(self, request: Request, ref: str) -> Reply:
        told = {**request.query, **request.document()}
        endpoint, variables = str(told.get("endpoint") or ""), told.get("variables") or {}
        technology, _, device = endpoint.partition("/")
        wrong = {
            f"Uniqueid length exceeds maximum of {LONGEST_ID}": len(ref) > LONGEST_ID,
            "Endpoint must be specified": not endpoint,
            "Invalid endpoint specified": not (technology and device),
            "Application or extension must be specified": not (told.get("app") or told.get("extension")),
            "Only string values in the 'variables' object allowed": not all(
                isinstance(value, str) for value in variables.values()
            ),
        }
        for message, is_so in wrong.items():
            if is_so:
                return Reply(400, {"message": message})
        number = re.search(r"\+?\d{7,15}", device)
        alive = self.call_of(ref)
        if alive is not None and self.is_alive(alive):
            return Reply(409, {"message": "Channel with given unique ID already exists"})
        return self.start(
            ref, number[0] if number else device, lambda call: Reply(200, self.channel(call)),
            {Fault.REFUSE: NO_CHANNEL, Fault.HOLD: NO_LOGIN}, told=told,
        )  # fmt: skip

    def _create(self, request: Request) -> Reply:
        """A channel that nobody dials: it lives only where its application is connected."""
        told = {**request.query, **request.document()}
        if told.get("app") in self._greeted:
            self._looking.add(str(told.get("channelId")))
        return Reply(200, {"id": told.get("channelId"), "state": "Down"})

    def _variable(self, ref: str, name: str) -> Reply:
        call = self.call_of(ref)
        if ref not in self._looking and not (call and self.is_alive(call)):
            return Reply(404, {"message": "Provided channel was not found"})
        if name.startswith("DIALPLAN_EXISTS("):
            return Reply(200, {"value": "1" if name[16:-1] in self.places else "0"})
        answered_at = self.sight(call).answered_at if call else None
        if name == "CDR(answer,u)" and answered_at is not None:
            return Reply(200, {"value": f"{answered_at.timestamp():.6f}"})
        known = (self.details_of(call).get("told", {}).get("variables") or {}) if call else {}
        if name in known:
            return Reply(200, {"value": known[name]})
        return Reply(404, {"message": "Provided variable was not found"})

    def _delete(self, request: Request, ref: str) -> Reply:
        call = self.call_of(ref)
        if call is None or not self.is_alive(call):
            return NO_SUCH_CHANNEL
        code = request.query.get("reason_code", "16")
        if not code.isdigit():
            return Reply(400, {"message": "Invalid reason for hangup reason code provided"})
        with self._changed:
            self.hang_up(call)
            self._plan(call, "destroyed", self.clock.now())
        return Reply(204)

    def _info(self, only: str | None) -> Reply:
        info = {
            "build": {"os": "Linux"},
            "system": {"version": "22.5.0", "entity_id": "00:00:00:00:00:01"},
            "config": {"name": "", "default_language": "en", "max_channels": 40},
            "status": {"startup_time": self.started_at},
        }
        date = format_datetime(self.clock.now(), usegmt=True)
        return Reply(200, {only: info[only]} if only else info, {"Server": SERVER, "Date": date})

    def channel(self, call: Call, seen: Sighting | None = None) -> dict[str, Any]:
        """The Channel object of ARI, with the number where Asterisk has it."""
        seen = seen or self.sight(call)
        number = self.number_of(call)
        return {
            "id": call.attempt_ref,
            "protocol_id": f"{call.token}@127.0.0.1",
            "name": "PJSIP/trunk-00000001",
            "state": _state(seen),
            "caller": {"name": "", "number": number},
            "connected": {"name": "", "number": number},
            "accountcode": "",
            "dialplan": {"context": "ringback", "exten": number, "priority": 1, "app_name": "", "app_data": ""},
            "creationtime": stamp(call.placed_at),
            "language": "en",
            **self.changes.get(call.attempt_ref, {}),
        }

    def _is_login(self, authorization: str | None, api_key: str | None) -> bool:
        login = f"{USERNAME}:{PASSWORD}"
        return authorization == "Basic " + base64.b64encode(login.encode()).decode() or api_key == login

    # --- events

    def say(self, document: Mapping[str, Any], app: str | None = None) -> int:
        """An event for everybody who may hear it; returns how many did."""
        heard = 0
        for line in list(self.lines):
            if line.hears_all or (app is not None and line.app == app):
                with suppress(ConnectionClosed, OSError):
                    line.connection.send(_json({"application": line.app, **document}))
                    heard += 1
        return heard

    def drop(self) -> int:
        """Break every WebSocket, as a network does."""
        lines = list(self.lines)
        for line in lines:
            with suppress(OSError):
                line.connection.socket.shutdown(socket.SHUT_RDWR)
        return len(lines)

    def _greet(self, connection: ServerConnection, handshake: Handshake) -> HandshakeAnswer | None:
        self.handshakes.append(handshake)
        query = parse_qs(urlsplit(handshake.path).query)
        if self.turns_listeners_away:
            return _turn_away(HTTPStatus.SERVICE_UNAVAILABLE)
        if not self._is_login(handshake.headers.get("Authorization"), query.get("api_key", [None])[0]):
            return _turn_away(HTTPStatus.UNAUTHORIZED)
        if urlsplit(handshake.path).path != "/ari/events" or not query.get("app"):
            return _turn_away(HTTPStatus.BAD_REQUEST)
        self._greeted.add(query["app"][0])  # as Asterisk does: before the handshake is answered
        return None

    def _serve_line(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        query = parse_qs(urlsplit(connection.request.path).query)
        line = Line(connection, query["app"][0], query.get("subscribeAll") == ["true"])
        with self._changed:
            for older in [one for one in self.lines if one.app == line.app]:
                older.connection.send(_json({"type": "ApplicationReplaced", "application": older.app}))
                older.connection.close()
            self.lines.append(line)
        try:
            for _ in connection:
                pass
        finally:
            self.lines.remove(line)

    def _plan(self, call: Call, what: str, at: datetime) -> None:
        heapq.heappush(self._due, (at, next(self._numbers_of_events), call, what))

    def _tell_events(self) -> None:
        while not self.stopping.wait(LOOK_EVERY_SECONDS):
            with self._changed:
                while self._due and self._due[0][0] <= self.clock.now():
                    at, _, call, what = heapq.heappop(self._due)
                    self._tell(call, what, at)

    def _tell(self, call: Call, what: str, at: datetime) -> None:
        ended_at = self.sight(call).ended_at
        if call.token in self._destroyed or (what != "destroyed" and ended_at is not None and ended_at <= at):
            return
        if what == "destroyed":
            self._destroyed.add(call.token)
        app = self.details_of(call).get("told", {}).get("app")
        seen = self.exchange._sight(call, at)
        for document in self.events_of(call, what, seen, app):
            self.say({"timestamp": stamp(at), **document}, app)

    def events_of(self, call: Call, what: str, seen: Sighting, app: str | None) -> list[dict[str, Any]]:
        channel = self.channel(call, seen)
        dial = {"type": "Dial", "peer": channel, "dialstring": f"{self.number_of(call)}@trunk"}
        change = {"type": "ChannelStateChange", "channel": channel}
        match what:
            case "created":
                return [{"type": "ChannelCreated", "channel": channel}, {**dial, "dialstatus": ""}]
            case "ringing":
                return [{**dial, "dialstatus": "RINGING"}, change]
            case "answered":
                entered = [{"type": "StasisStart", "args": [], "channel": channel, "application": app}] if app else []
                return [{**dial, "dialstatus": "ANSWER"}, change, *entered]
            case _:
                stopped = seen.word in (STOPPED_RINGING, STOPPED_TALKING)
                cause, text, sip = (
                    CLEARED if stopped else (0, "Unknown", None) if seen.answered_at
                    else CAUSES.get(seen.word, CLEARED)
                )  # fmt: skip
                asked = {"type": "ChannelHangupRequest", "channel": channel}
                requests = [{**asked, "soft": True, "cause": ASYNC}] if seen.answered_at and not app else []
                if stopped:
                    requests.insert(0, {**asked, "soft": True, "cause": EXPLICIT})
                elif seen.answered_at:
                    requests.insert(0, asked)
                elif cause != RING_TIMEOUT:  # which nobody asks for
                    requests.append({**asked, "cause": cause} | ({"tech_cause": sip} if sip else {}))
                end = {"type": "ChannelDestroyed", "cause": cause, "cause_txt": text, "channel": channel}
                end |= {"tech_cause": sip} if sip else {}
                return [*requests, end | self.endings.get(call.attempt_ref, {})]

    def _end_with_the_vendor(self) -> None:
        self.stopping.wait()
        self.drop()
        self._server.shutdown()


NO_LOGIN = Reply(401, {"message": "Authentication required"}, {"WWW-Authenticate": 'Basic realm="Asterisk REST"'})
NO_SUCH_CHANNEL = Reply(404, {"message": "Channel not found"})
NO_CHANNEL = Reply(500, {"error": "Allocation failed"})


def stamp(at: datetime) -> str:
    """A time as Asterisk writes it."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03}+0000"


def _state(seen: Sighting) -> str:
    if seen.answered_at is not None:
        return "Up"
    rang = seen.word in ("ringing", STOPPED_RINGING, WORDS["no_answer"], WORDS["hang_up"])
    return "Ringing" if rang else "Down"


def _turn_away(status: HTTPStatus) -> HandshakeAnswer:
    return HandshakeAnswer(status.value, status.phrase, Headers({"Content-Length": "0"}), b"")


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps(document)


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


if __name__ == "__main__":
    main(Asterisk)
