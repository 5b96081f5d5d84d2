"""Asterisk over ARI: our own PBX dials, and the channel's id is our `attempt_ref`.

Decided here: how a call is originated, and what an end means. Asterisk remembers nothing of a channel that
is gone, so an end is learnt from three places: an event (`listen`, over a WebSocket), the call records (`cel`
and `cdr`, readers that are wired from outside), and, where none knows, the absence of the channel. What must stay
true: an absence proves that a call is over, never that it was not made, so without call records `find`
concludes nothing (`finds_by_ref`), nor where Asterisk was started after the call was asked for: records of live
calls are lost with it. A channel id is unique only while its channel lives: the same start request, sent again
later, would dial again.

Not decided here: what an answered caller hears. The call goes into the dialplan, or into a Stasis application
that somebody else runs. A newcomer would listen under that application's name. We must not: Asterisk keeps
one WebSocket per name, so ours would throw the voice agent out and its calls would hear silence. We listen
under a name of our own, to every channel, and pick those whose id looks like a reference of ours.

That we accept events of calls that are none of ours is no harm: whoever keeps them knows our references.

Facts marked [S] were read in Asterisk's source (master, August 2026), those marked [R] seen on a real Asterisk
22.10 (tests/asterisk).
"""

from __future__ import annotations

import base64
import json
import logging
import math
import re
import socket
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import quote, urlencode, urlsplit
from uuid import uuid4

from pydantic import SecretStr

from scheduler.clock import boottime
from scheduler.config import Keys
from scheduler.errors import InvalidValue, ProviderError, RingbackError, how_to_install
from scheduler.model import Outcome
from scheduler.providers.asterisk_records import DISPOSITIONS, Told, read_events, read_records, read_time
from scheduler.providers.base import (
    Accepted,
    CallKey,
    CallReport,
    DialAnswer,
    DialRequest,
    EventSink,
    Hook,
    HookRefused,
    Inspection,
    NothingProven,
    Phase,
    ProviderEvent,
    RefusalKind,
    Refused,
    Standing,
    Unanswered,
    Vitals,
    Wiring,
)
from scheduler.providers.causes import is_our_trunk, is_outage, outcome_of_cause, outcome_of_sip
from scheduler.providers.http_client import Answer, HttpClient, is_forbidden, name_of, read_address, unusable
from scheduler.providers.payloads import (
    LONG_NUMBER,
    read_decimal,
    read_instant,
    read_text,
    read_word,
    variables_as_text,
)

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

RecordReader: TypeAlias = Callable[[Sequence[str]], Sequence[Mapping[str, Any]]]
"""The records with these `uniqueid`s. Of detail records: uniqueid, start, answer, end, duration, billsec, disposition;
of channel events: uniqueid, eventtype, eventtime, extra and channame.
"""

NORMAL_CLEARING = 16
GONE_FOR = timedelta(seconds=15)
"""How long a channel is gone before that alone ends its call: a record is written after the hang-up."""
UNREADABLE_FOR = timedelta(seconds=60)
"""The same, where the records cannot be read."""
CUT_OFF = timedelta(seconds=1)
"""An answered call that our side ended so soon had nobody to talk to: no such place, or no such application [R]."""
MOST_SILENCES = 3
"""How often one number may be met with silence before that is taken for an answer that did not come."""
VERIFIED_FOR = 600.0
"""Seconds for which a place in the dialplan that was found there is taken to be there still."""
MISSING_FOR = 60.0
"""The same of one that was not found; it is looked at more often than that."""
LOST_FOR = 5.0
"""Seconds without a connection for events after which that is said."""
MOST_WITNESSES = 20
BOOT_MARGIN = timedelta(seconds=10)
NEAR = timedelta(minutes=2)
"""How far the times of a call record may lie outside the call and still be believed."""
LONGEST_BODY = 40_960  # MAX_CONTENT_LENGTH of Asterisk's HTTP server [S main/http.c]; more would be a 413
LONGEST_SECONDS = 86_400
MOST_REMEMBERED = 20_000
MOST_WAITING = 10_000

LISTEN_STEP_SECONDS = 0.2  # how late a listener sees that it is to stop
CONNECT_SECONDS = 10.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.25, 15.0
KEEP_AGAIN_SECONDS = 1.0
KEEPER_STEP_SECONDS = 0.1  # how late a call at its maximum is hung up

E164 = re.compile(r"\+[1-9][0-9]{6,14}")
CALLER_NUMBER = re.compile(r"\+?[0-9*#]{2,20}")
CALLER_ID = re.compile(r'"?[^"<>\x00-\x1f]{0,80}"?\s*<\+?[0-9*#]{2,20}>|\+?[0-9*#]{2,20}')
ATTEMPT_REF = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[47][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
ENDPOINT = re.compile(r"[A-Za-z0-9]+/[^\s{}&]*\{(?:number|digits)\}[^\s{}&]*")
PLAIN_NAME = re.compile(r"[A-Za-z0-9_.-]{1,79}")
EXTENSION = re.compile(r"[A-Za-z0-9_.*#+-]{1,79}")
PRIORITY = re.compile(r"[1-9][0-9]{0,5}")
YES_OR_NO = re.compile(r"yes|no")
NOT_A_VARIABLE = re.compile(r"[^A-Za-z0-9_]")

HAS_NO_ENDPOINTS = frozenset({"local", "dahdi"})  # technologies whose channels belong to no ARI endpoint
OFFLINE = "offline"
RINGING_STATES = frozenset({"Ring", "Ringing", "Pre-ring"})
UP, DOWN = "Up", "Down"
SILENT = "the trunk said nothing at all, neither of this call nor of another: is it there?"
WRONG_LOGIN = frozenset({401, 407})  # SIP: no call of ours would pass; 403 and the causes 52 and 54 bar this one
KNOWN_CAUSES = frozenset({
    0, 1, 2, 3, 5, 6, 7, 8, 14, 16, 17, 18, 19, 20, 21, 22, 23, 26, 27, 28, 29, 30, 31, 34, 38, 41, 42, 44, 50, 52,
    54, 57, 58, 65, 66, 69, 81, 88, *range(95, 104), 111, 127,
})  # fmt: skip
SIP_OF_CAUSE: Mapping[int, int] = {29: 501, 102: 504}  # what these were made of, where only the cause is kept [R]
NO_ROUTE = frozenset({2, 3})
NOT_FOUND, CANCELLED_BY_US = 404, 487
NOT_HEARD_OF = frozenset({None, 408, 480, 487})  # SIP: what Asterisk itself says of an INVITE that nobody answered
RING_TIMEOUT = 19
AT_TIMEOUT = frozenset({18, RING_TIMEOUT})
SHUTDOWN = 4  # AST_SOFTHANGUP_SHUTDOWN: what a soft request has for its cause is no cause of Q.850 [R]
US, THEM = "us", "them"
GONE, HUNG_UP = "gone", "hung up"
"""Our own words, where Asterisk has said nothing of an end."""

_SILENT = logging.getLogger(f"{__name__}.socket")
_SILENT.disabled = True  # at DEBUG the library would write the Authorization header into the log


@dataclass(frozen=True, slots=True)
class Destination:
    """Where an answered call goes on: a place in the dialplan, or a Stasis application."""

    app: str | None = None
    context: str = "ringback"
    extension: str = "s"
    priority: int = 1

    def fields(self) -> dict[str, Any]:
        if self.app is not None:
            return {"app": self.app}
        return {"context": self.context, "extension": self.extension, "priority": self.priority}

    def function(self) -> str:
        """What a channel is asked to learn whether this place of the dialplan exists."""
        return f"DIALPLAN_EXISTS({self.context},{self.extension},{self.priority})"

    def __str__(self) -> str:
        if self.app is not None:
            return f"application {self.app}"
        return f"{self.context},{self.extension},{self.priority}"

    @classmethod
    def read(cls, written: str) -> Destination:
        """`context,extension[,priority]` or `app:<name>`. Raises ValueError."""
        if written.startswith("app:"):
            return cls(app=_matching(PLAIN_NAME, written[4:].strip()))
        context, extension, priority = [*(part.strip() for part in written.split(",")), "1"][:3]
        if written.count(",") > 2:
            raise ValueError("too many parts")
        return cls(None, _matching(PLAIN_NAME, context), _matching(EXTENSION, extension),
                   int(_matching(PRIORITY, priority)))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Account:
    """What the keys say of one Asterisk."""

    url: str
    events_url: str
    username: str
    password: SecretStr
    endpoint: str
    caller_id: str | None
    destination: Destination
    has_complete_records: bool = False
    """Somebody said so: cel.conf has CHAN_START among its events, or cdr.conf `unanswered = yes` and `batch = no`."""


def open_provider(keys: Keys, wiring: Wiring) -> Asterisk:
    """The Asterisk that the keys `ASTERISK_*` name. Raises InvalidValue."""
    return Asterisk(read_account(keys, wiring), wiring)


def read_account(keys: Keys, wiring: Wiring) -> Account:
    url, username, password, endpoint = keys.need(
        "asterisk", "ASTERISK_URL", "ASTERISK_USERNAME", "ASTERISK_PASSWORD", "ASTERISK_ENDPOINT"
    )
    url = _base(read_address("ASTERISK_URL", url, allow_hosts=wiring.allow_hosts, plain="private"))
    if ENDPOINT.fullmatch(endpoint) is None:
        right = "write it as PJSIP/{number}@trunk, with {number} (+56912345678) or {digits} (56912345678) once"
        raise InvalidValue("ASTERISK_ENDPOINT", _without_login(endpoint), right)
    return Account(
        url, _events_url(keys, url, wiring), username, SecretStr(password), endpoint,
        _checked(keys, "ASTERISK_CALLER_ID", CALLER_ID, 'write "Name" <+56221234567> or +56221234567'),
        _destination(keys),
        _checked(keys, "ASTERISK_CDR_COMPLETE", YES_OR_NO, "write yes or no") == "yes",
    )  # fmt: skip


def _events_url(keys: Keys, url: str, wiring: Wiring) -> str:
    written = keys.text("ASTERISK_EVENTS_URL")
    if written is not None:
        plain = re.sub(r"^ws(s?)://", r"http\1://", written, flags=re.IGNORECASE)
        url = _base(read_address("ASTERISK_EVENTS_URL", plain, allow_hosts=wiring.allow_hosts, plain="private"))
    return re.sub(r"^http", "ws", url.removesuffix("/ari/events")) + "/ari/events"


def _base(url: str) -> str:
    return url.removesuffix("/ari")  # which people copy along


def _destination(keys: Keys) -> Destination:
    app = _checked(keys, "ASTERISK_APP", PLAIN_NAME, "write the name of a Stasis application, such as voice-agent")
    context = _checked(keys, "ASTERISK_CONTEXT", PLAIN_NAME, "write the name of a dialplan context, such as ringback")
    extension = _checked(keys, "ASTERISK_EXTENSION", EXTENSION, "write an extension of the dialplan, such as s")
    priority = _checked(keys, "ASTERISK_PRIORITY", PRIORITY, "write a number from 1 up")
    if app is None:
        return Destination(None, context or "ringback", extension or "s", int(priority or 1))
    if context or extension or priority:
        raise InvalidValue(
            "ASTERISK_APP", app, "unset it, or ASTERISK_CONTEXT, ASTERISK_EXTENSION and ASTERISK_PRIORITY: an "
            "answered call goes either into an application or into the dialplan"
        )
    return Destination(app)


def _checked(keys: Keys, name: str, shape: re.Pattern[str], right: str) -> str | None:
    written = keys.text(name)
    if written is not None and shape.fullmatch(written) is None:
        raise InvalidValue(name, written, right)
    return written


@dataclass(frozen=True, slots=True)
class Known:
    """What this process has seen of one channel and Asterisk has not kept."""

    answered_at: datetime | None = None
    end: ProviderEvent | None = None
    hung_up: bool = False
    gone_since: datetime | None = None
    seen_at: datetime | None = None
    """When a poll last saw its channel."""
    was_heard_of: bool = False
    """The other side said something: it rang, there was sound, or an answer of any kind."""
    stopped_by: int | None = None
    """While it was not answered: the flag of the soft request that stopped it."""
    asked_by: str | None = None
    """While it was answered: who first asked for its end."""
    number: str | None = None
    destination: Destination | None = None
    most: timedelta | None = None
    nowhere: str | None = None
    """Hung up by us before it could be answered, since nobody is there to talk: why."""


class Memory:
    """The last channels that were seen, by id. Safe for several threads at once; forgets the oldest."""

    def __init__(self, most: int = MOST_REMEMBERED) -> None:
        self._most = most
        self._lock = Lock()
        self._known: dict[str, Known] = {}

    def of(self, ref: str) -> Known:
        with self._lock:
            return self._known.get(ref, Known())

    def note(self, ref: str, **changes: Any) -> Known:
        """Returns what was known before."""
        with self._lock:
            before = self._known.pop(ref, Known())
            self._known[ref] = replace(before, **changes)
            while len(self._known) > self._most:
                del self._known[next(iter(self._known))]
            return before

    def ended(self, most: int) -> list[str]:
        """The last channels whose ends were heard: what must be in the call records, if any are written."""
        with self._lock:
            refs = [ref for ref, known in self._known.items() if known.end is not None]
        return refs[-most:]

    def gone_since(self, ref: str, now: datetime) -> datetime:
        """Since when the channel has been seen to be gone: `now`, the first time."""
        since = self.of(ref).gone_since
        if since is None:
            self.note(ref, gone_since=now)
        return since or now


class Asterisk:
    """The adapter for one Asterisk. `cel` reads its channel events, `cdr` its call detail records; None where there
    is no table of them.
    """

    name = "asterisk"
    waits = True
    listing_lag = timedelta(seconds=60)
    calls_per_second: float | None = None
    cost_unit: str | None = None

    def __init__(self, account: Account, wiring: Wiring) -> None:
        self.cdr: RecordReader | None = None
        self.cel: RecordReader | None = None
        self.listens_as = f"ringback-{uuid4().hex[:8]}"  # of this process alone, whatever ASTERISK_APP says
        self._account, self._wiring = account, wiring
        self._memory = Memory()
        self._keeper = _Keeper(self._end_at_maximum)
        self._places = _Places()
        self._silences: dict[str, int] = {}
        self._heard_of_at: datetime | None = None  # by Asterisk's clock: when the trunk last said anything
        self._listens_since: float | None = None
        self._lost_at: float | None = None
        self._unreadable: str | None = None
        self._client = HttpClient(
            account.url, places=wiring.places, request_timeout=wiring.request_timeout,
            basic=(account.username, account.password.get_secret_value()), allow_hosts=wiring.allow_hosts,
        )  # fmt: skip

    @property
    def finds_by_ref(self) -> bool:
        """A dead channel is in the call records or nowhere, so without them "not found" proves nothing; nor does it
        while they may lack calls, which is how Asterisk comes (`unanswered = no`, and no channel events at all).
        """
        return self._has_records and self._account.has_complete_records

    @property
    def _has_records(self) -> bool:
        return self.cel is not None or self.cdr is not None

    # --- placing

    def place(self, request: DialRequest) -> DialAnswer:
        body = self._start_body(request)
        if isinstance(body, Refused):
            return body
        destination = self._destination_of(request)
        missing = self._places.missing(destination)
        if missing is not None:
            return Refused(RefusalKind.HOLD, missing)
        self._memory.note(
            request.attempt_ref, number=request.number, destination=destination, most=request.max_duration
        )
        answer = self._client.start(
            "Asterisk", "POST", _channel_path(request.attempt_ref), content=body,
            headers={"Content-Type": "application/json"},
        )  # fmt: skip
        read = read_start_answer(answer, request) if isinstance(answer, Answer) else answer
        if isinstance(read, Accepted) and not self._places.is_verified(destination):
            self._verify_at(request.attempt_ref, destination)
        return read

    def _destination_of(self, request: DialRequest) -> Destination:
        return Destination.read(request.agent_id) if request.agent_id else self._account.destination

    def _start_body(self, request: DialRequest) -> bytes | Refused:
        # The number becomes part of a dial string, where other characters would name another endpoint.
        if E164.fullmatch(request.number) is None:
            return Refused(RefusalKind.INVALID_NUMBER, "the number is not in E.164 form: + and 7 to 15 digits")
        try:
            destination = self._destination_of(request)
        except ValueError:
            return Refused(RefusalKind.REFUSED, "the campaign's agent is neither context,extension nor app:<name>")
        if request.from_number and CALLER_NUMBER.fullmatch(request.from_number) is None:
            return Refused(RefusalKind.REFUSED, "the campaign's caller id is no number")
        try:
            body = json.dumps(self._start_fields(request, destination), allow_nan=False).encode()
        except (TypeError, ValueError, RecursionError) as error:
            return Refused(RefusalKind.REFUSED, f"the variables cannot be written as JSON: {name_of(error)}")
        if len(body) > LONGEST_BODY:
            return Refused(RefusalKind.REFUSED, f"the variables are too long: Asterisk takes {LONGEST_BODY} bytes")
        return body

    def _start_fields(self, request: DialRequest, destination: Destination) -> dict[str, Any]:
        caller_id = request.from_number or self._account.caller_id
        return {
            "endpoint": self._account.endpoint.replace("{number}", request.number).replace(
                "{digits}", request.number.removeprefix("+")
            ),
            **destination.fields(),
            **({"callerId": caller_id} if caller_id else {}),
            "timeout": _whole_seconds(request.ring_timeout),
            "variables": _channel_variables(request),
        }

    # --- asking

    def poll(self, calls: Sequence[CallKey], now: datetime) -> dict[str, CallReport | None]:
        asked = {call.call_id: call for call in calls if call.call_id is not None}
        if not asked:
            return {}
        live = self._live_channels()
        found: dict[str, CallReport | None] = {
            call_id: self._report_live(call, live[call_id], now) for call_id, call in asked.items() if call_id in live
        }
        for report in self._reports_of_gone([one for one in asked.values() if one.call_id not in live], now):
            found[report.call_id] = report
        self._keeper.run_once()
        return found

    def find(self, call: CallKey, now: datetime) -> CallReport | None:
        about = f"call {call.attempt_ref}"
        answer = self._look_up(_channel_path(call.attempt_ref), about)
        document = answer.document()
        if answer.status == 200 and document.get("id") == call.attempt_ref:
            return self._report_live(call, document, now)
        if not _is_no_such_channel(answer):
            raise unusable("Asterisk", about, answer)
        known = self._memory.of(call.attempt_ref)
        if known.end is not None:
            return self._report_end(known.end, call.answered_at)
        witnesses = self._memory.ended(MOST_WITNESSES)
        try:
            records = self._read([call.attempt_ref, *witnesses])
        except ProviderError as error:
            raise NothingProven(str(error)) from error
        told = records.get(call.attempt_ref)
        if told is not None and told.is_over:
            return self._report_told(call, told, now)
        if told is not None:  # it was made, and no end of it is written
            report = self._conclude(call, now, told)
            if report is None:
                raise NothingProven("Asterisk made the call, and its end is not recorded yet")
            return report
        if self.finds_by_ref:
            self._require_proof(call, now, records.keys(), witnesses)
        return None

    def _require_proof(
        self, call: CallKey, now: datetime, recorded: Collection[str], witnesses: Collection[str]
    ) -> None:
        """No record proves that no call was made, if records are written and none was lost. Raises NothingProven."""
        if witnesses and not recorded:
            raise NothingProven(f"no record of {len(witnesses)} calls that were made, so they are not being written")
        try:
            up_for = self._up_for()
        except ProviderError as error:
            raise NothingProven(str(error)) from error
        if up_for is None or call.placed_at is None or up_for < now - call.placed_at + BOOT_MARGIN:
            raise NothingProven(
                "Asterisk was started after this call was asked for, and a crash loses the records of live calls"
            )

    def _up_for(self) -> timedelta | None:
        """How long Asterisk has been running, by its own clock; None where it does not tell. Raises ProviderError."""
        about = "when it was started"
        answer = self._look_up("/ari/asterisk/info", about, params={"only": "status"})
        if answer.status != 200:
            raise unusable("Asterisk", about, answer)
        status = answer.document().get("status")
        started_at = read_instant(status.get("startup_time")) if isinstance(status, dict) else None
        return _between_clocks(started_at, read_instant(answer.headers.get("Date")))

    def _live_channels(self) -> dict[str, Mapping[str, Any]]:
        about = "the live channels"
        answer = self._look_up("/ari/channels", about)
        rows = answer.json()
        if answer.status != 200 or not isinstance(rows, list):
            raise unusable("Asterisk", about, answer)
        live: dict[str, Mapping[str, Any]] = {
            row["id"]: row for row in rows if isinstance(row, dict) and isinstance(row.get("id"), str)
        }
        if len(live) != len(rows):  # a channel that cannot be read may be any, so nobody is proven to be missing
            raise unusable("Asterisk", about, answer)
        return live

    def _report_live(self, call: CallKey, channel: Mapping[str, Any], now: datetime) -> CallReport:
        ref = channel["id"]
        known = self._memory.of(ref)
        state = read_word(channel.get("state"))
        phase = phase_of(state)
        answered_at = None
        if phase is Phase.ANSWERED:
            answered_at = known.answered_at or call.answered_at
            if not self._keeper.has(ref):
                answered_at = self._take_over(ref, answered_at, now)
        self._memory.note(ref, gone_since=None, seen_at=now)
        return CallReport(
            call_id=ref,
            phase=phase,
            attempt_ref=call.attempt_ref,
            provider_status=state,
            answered_at=answered_at,
            details=_details_of(channel),
        )

    def _take_over(self, ref: str, answered_at: datetime | None, now: datetime) -> datetime | None:
        """A call that was answered while this process did not hear it: since when, and how long it may last [R]."""
        if self._memory.of(ref).answered_at is None:
            exact = read_time(self._variable(ref, "CDR(answer,u)"))
            answered_at = exact or answered_at
            if exact is not None:
                self._memory.note(ref, answered_at=exact)
        most = self._memory.of(ref).most or _seconds(self._variable(ref, "RINGBACK_MAX_SECONDS"))
        self._keeper.add(ref, None if most is None else most - (now - (answered_at or now)))
        return answered_at

    def _variable(self, ref: str, name: str) -> str | None:
        """A variable or function of a live channel; None where it cannot be had."""
        try:
            answer = self._look_up(f"{_channel_path(ref)}/variable", f"call {ref}", params={"variable": name})
        except ProviderError:
            return None
        return read_word(answer.document().get("value")) if answer.status == 200 else None

    def _reports_of_gone(self, gone: Sequence[CallKey], now: datetime) -> Iterator[CallReport]:
        """Ends of calls whose channels are gone; those about which nothing can be said yet are left out."""
        unsure = []
        for call in gone:
            end = self._memory.of(_id(call)).end
            if end is None or (self._has_records and _lacks_answer(end, call.answered_at)):
                unsure.append(call)
            else:
                yield self._report_end(end, call.answered_at)
        try:
            records = self._read([_id(call) for call in unsure])
            patience = GONE_FOR
        except ProviderError:  # said by `read_vitals`; a call must not live for ever for that
            records, patience = {}, UNREADABLE_FOR
        for call in unsure:
            told, end = records.get(_id(call)), self._memory.of(_id(call)).end
            if told is not None and told.is_over:
                yield self._report_told(call, told, now)
            elif end is not None and now - self._memory.gone_since(_id(call), now) >= patience:
                yield self._report_end(end, call.answered_at)
            elif end is None and (report := self._conclude(call, now, told, patience)) is not None:
                yield report

    def _conclude(
        self, call: CallKey, now: datetime, told: Told | None = None, patience: timedelta = GONE_FOR
    ) -> CallReport | None:
        """What the absence of a channel means by itself: an end, once an event or a record had time to come."""
        since = self._memory.gone_since(_id(call), now)
        known = self._memory.of(_id(call))
        is_told_of = self._has_records and now - since < patience
        if known.hung_up and not is_told_of:
            word, otherwise = HUNG_UP, Outcome.CANCELLED
        elif now - since >= patience:
            word, otherwise = GONE, Outcome.FAILED
        else:
            return None
        answered_at = known.answered_at or call.answered_at
        is_answered = answered_at is not None or (told is not None and told.is_answered)
        if answered_at is None and told is not None and told.is_answered:
            answered_at = self._believed(call, told, now)[1]
        # The last that was seen of it is what is sure of its length; nobody is charged for more.
        talk = _between(answered_at, known.seen_at) if answered_at and known.seen_at else None
        report = CallReport(
            call_id=_id(call),
            phase=Phase.ENDED,
            attempt_ref=call.attempt_ref,
            outcome=Outcome.COMPLETED if is_answered else otherwise,
            provider_status=word,
            answered_at=answered_at,
            ended_at=since,
            talk_seconds=int(talk.total_seconds()) if talk is not None else None,
        )
        if known.nowhere is not None and not is_answered:
            return replace(report, outcome=None, refusal=_nowhere(known.nowhere, self._is_own(known)))
        return report

    def _read(self, ids: Sequence[str]) -> dict[str, Told]:
        """What the records say of these calls: the channel events, and where they say no end, the detail records."""
        found: dict[str, Told] = {}
        try:
            for ref, rows in _by_call(self.cel(ids) if self.cel and ids else ()).items():
                told = read_events(rows)
                if told is not None:
                    found[ref] = told
            rest = [ref for ref in ids if ref not in found or not found[ref].is_over]
            for ref, rows in _by_call(self.cdr(rest) if self.cdr and rest else ()).items():
                told = read_records(rows)
                if told is not None:
                    found[ref] = told
        except Exception as error:  # the reader is a database's, and a failure of any kind concludes nothing
            self._unreadable = f"the call records of Asterisk could not be read: {name_of(error)}"
            raise ProviderError(self._unreadable) from error
        if ids:
            self._unreadable = None
        return found

    def _report_told(self, call: CallKey, told: Told, now: datetime) -> CallReport:
        """The end that the call records tell of."""
        ref = _id(call)
        known = self._memory.of(ref)
        ended_at, answered_at = self._believed(call, told, now)
        answered_before = known.answered_at or call.answered_at
        status = told.disposition or (_status(told.cause, None, None) if told.cause is not None else None)
        report = CallReport(
            call_id=ref, phase=Phase.ENDED, attempt_ref=call.attempt_ref, provider_status=status, ended_at=ended_at,
            details=told.details,
        )  # fmt: skip
        if told.is_answered:
            is_ours = known.hung_up or known.asked_by == US or told.by_us is True
            talk = told.talk
            return replace(
                report, outcome=self._outcome_of_talk(ref, talk, is_ours), answered_at=answered_at or answered_before,
                talk_seconds=int(talk.total_seconds()) if talk is not None else None,
            )
        if answered_before is not None:
            return replace(report, outcome=Outcome.COMPLETED, answered_at=answered_before)
        if known.nowhere is not None:
            return replace(report, refusal=_nowhere(known.nowhere, self._is_own(known)))
        if known.hung_up or known.stopped_by is not None:
            return replace(report, outcome=_outcome_of_stop(known.stopped_by))
        if told.disposition is not None:
            outcome = DISPOSITIONS.get(told.disposition, Outcome.FAILED)
            if outcome is None:
                return replace(report, refusal=_no_way(told.disposition))
            return replace(report, outcome=outcome, known_word=told.disposition in DISPOSITIONS)
        if told.by_us and told.cause not in AT_TIMEOUT:
            return replace(report, outcome=Outcome.FAILED if self._broke_off(told, now) else Outcome.CANCELLED)
        return self._judge_cause(report, told.cause, SIP_OF_CAUSE.get(told.cause or 0))

    def _broke_off(self, told: Told, now: datetime) -> bool:
        """Was it a restart of Asterisk that ended a ringing call, rather than people?"""
        try:
            up_for = self._up_for()
        except ProviderError:
            return True
        lived_on = now - told.ended_at if told.ended_at is not None else None
        return up_for is None or lived_on is None or up_for < lived_on + BOOT_MARGIN

    def _believed(self, call: CallKey, told: Told, now: datetime) -> tuple[datetime, datetime | None]:
        """The end and the answer. Records are written in the server's local time unless their configuration says
        `usegmtime = yes`, so times that cannot be this call's are not believed; their distances are.
        """
        last = told.ended_at or told.answered_at or told.started_at
        earliest = call.placed_at - NEAR if call.placed_at else None
        is_near = last is not None and last <= now + NEAR and (earliest is None or last >= earliest)
        gone_since = self._memory.gone_since(_id(call), now)
        ended_at, answered_at = (told.ended_at or gone_since, told.answered_at) if is_near else (gone_since, None)
        if answered_at is None and told.is_answered and told.talk is not None:
            answered_at = ended_at - told.talk
        return ended_at, answered_at

    # --- hanging up

    def hang_up(self, call_id: str) -> bool:
        """Noted before it is sent: the event of the end may be here before the answer is."""
        about = f"the end of call {call_id}"
        before = self._memory.note(call_id, hung_up=True)
        answer = self._client.look_up(
            "Asterisk", about, "DELETE", _channel_path(call_id), params={"reason_code": NORMAL_CLEARING}
        )
        if answer.status == 204:
            return True
        self._memory.note(call_id, hung_up=before.hung_up)
        if not _is_no_such_channel(answer):
            raise unusable("Asterisk", about, answer)
        return False

    # --- events

    def glance(self, hook: Hook, now: datetime) -> None:
        raise HookRefused(404, "this provider posts no events")

    def receive(self, hook: Hook, now: datetime) -> Sequence[ProviderEvent]:
        raise HookRefused(404, "Asterisk posts no events; we listen to it over a WebSocket")

    def read_event(self, event: ProviderEvent) -> CallReport | None:
        call_id = event.call_id or event.attempt_ref
        if not call_id or event.kind not in ("answered", "ended"):
            return None
        if event.kind == "ended":
            if self._has_records and _lacks_answer(event, event.answered_at):
                return None  # the call records know since when it was talked
            return self._report_end(event, event.answered_at)
        return CallReport(
            call_id=call_id,
            phase=Phase.ANSWERED,
            attempt_ref=event.attempt_ref,
            provider_status=UP,
            answered_at=read_instant(event.payload.get("timestamp")),
            details=dict(event.payload),
        )

    def _report_end(self, event: ProviderEvent, answered_at: datetime | None = None) -> CallReport:
        """The end that an event tells of; `answered_at` where somebody else saw the answer."""
        told = event.payload
        cause, sip = _whole(told.get("cause")), _whole(told.get("tech_cause"))
        ended_at = read_instant(told.get("timestamp"))
        answered_at = read_instant(told.get("answered_at")) or answered_at
        is_ours = told.get("hung_up") is True
        ref = event.call_id or event.attempt_ref or ""
        report = CallReport(
            call_id=ref,
            phase=Phase.ENDED,
            attempt_ref=event.attempt_ref,
            provider_status=_status(cause, told.get("cause_txt"), sip),
            ended_at=ended_at,
            details=dict(told),
        )
        if answered_at is not None or told.get("state") == UP:
            talk = _between(answered_at, ended_at)
            # An answer that nobody saw came after the channel was made, so this is the longest it can have been.
            longest = talk if answered_at is not None else _between(read_instant(told.get("creationtime")), ended_at)
            return replace(
                report,
                outcome=self._outcome_of_talk(ref, longest, is_ours or told.get("asked_by") == US, is_told=is_ours),
                answered_at=answered_at,
                talk_seconds=int(talk.total_seconds()) if talk is not None else None,
            )
        nowhere = read_text(told.get("nowhere"), 300)
        if nowhere is not None:
            return replace(report, refusal=_nowhere(nowhere, told.get("is_own") is True))
        if is_ours:
            return replace(report, outcome=_outcome_of_stop(_whole(told.get("stopped_by"))))
        if told.get("silent") is True:
            return replace(report, refusal=Refused(RefusalKind.OUTAGE, SILENT))
        return self._judge_cause(report, cause, _told_sip(cause, sip))

    def _judge_cause(self, report: CallReport, cause: int | None, sip: int | None) -> CallReport:
        """Of a call that nobody answered and nobody here ended."""
        if is_our_trunk(cause, sip):
            return replace(report, refusal=_turned_away(sip, report.provider_status))
        if is_outage(cause, sip):
            return replace(report, refusal=_no_way(report.provider_status))
        return replace(
            report,
            outcome=outcome_of_cause(cause, sip),
            known_word=cause in KNOWN_CAUSES or outcome_of_sip(sip) is not None,
        )

    def _outcome_of_talk(
        self, ref: str, talk: timedelta | None, is_ours: bool, *, is_told: bool = False
    ) -> Outcome:
        """`is_ours`: our side ended it. `is_told`: because somebody asked Ringback for that."""
        if is_ours and not is_told and talk is not None and talk < CUT_OFF:
            self._doubt(ref)
            return Outcome.FAILED  # whoever answered heard nothing
        if talk is not None and talk < self._wiring.short_call and not is_ours:
            return Outcome.HANG_UP
        return Outcome.COMPLETED

    # --- where answered calls go

    def _is_own(self, known: Known) -> bool:
        """Did the call go where its campaign says, and not where the account does?"""
        return known.destination is not None and known.destination != self._account.destination

    def _doubt(self, ref: str) -> None:
        """A call was cut off as it was answered: no other goes there before somebody has looked."""
        destination = self._memory.of(ref).destination or self._account.destination
        self._places.doubt(destination, f"the last call was cut off as it was answered; is {destination} there?")

    def _verify_at(self, ref: str, destination: Destination) -> None:
        """Where it could not be asked before: is there somebody to talk? Else it is hung up before it is answered."""
        if destination.app is not None:
            is_there = self._has_application(destination.app)
        else:
            found = self._variable(ref, destination.function())
            is_there = None if found not in ("0", "1") else found == "1"
        self._places.note(destination, is_there)
        if is_there is False:
            self._memory.note(ref, nowhere=_nobody_at(destination))
            with suppress(ProviderError):
                self.hang_up(ref)

    def _has_application(self, name: str) -> bool | None:
        try:
            answer = self._look_up(f"/ari/applications/{name}", f"the application {name}")
        except ProviderError:
            return None
        return {200: True, 404: False}.get(answer.status)

    def _has_place(self, destination: Destination) -> bool | None:
        """Is there anything at this place of the dialplan? None: it cannot be told.

        Only a channel can be asked, so one is made that calls nobody, under a WebSocket of its own [R].
        """
        name = f"ringback-look-{uuid4().hex[:8]}"
        try:
            with self._connect(name, hears_all=False):
                body = {"endpoint": f"Local/{destination.extension}@{destination.context}", "app": name,
                        "channelId": name}  # fmt: skip
                made = self._client.look_up("Asterisk", "a place of the dialplan", "POST", "/ari/channels/create",
                                            json=body)  # fmt: skip
                if made.status != 200:
                    return None
                found = self._variable(name, destination.function())
                self._client.look_up("Asterisk", "a place of the dialplan", "DELETE", _channel_path(name))
        except Exception:  # without the library, the right to write, the connection...: nothing is known
            return None
        return None if found not in ("0", "1") else found == "1"

    def _look_at(self, destination: Destination) -> str | None:
        """Why nothing may be dialed into it; None: it is there, or it cannot be told."""
        if destination.app is not None:
            self._places.note(destination, self._has_application(destination.app))
        elif not self._places.is_verified(destination):
            self._places.note(destination, self._has_place(destination))
        return self._places.missing(destination)

    # --- the maximum

    def _end_at_maximum(self, ref: str) -> None:
        try:
            self.hang_up(ref)
        except ProviderError:
            self._keeper.add(ref, timedelta(seconds=1))

    def listen(self, keep: EventSink, stopped: Event) -> None:
        """Events that happen while the connection is down are lost: polls and call records tell the rest."""
        backlog = _Backlog(keep)
        pause = FIRST_PAUSE_SECONDS
        self._listens_since = self._lost_at = boottime()
        keeper = Thread(target=self._keeper.run, args=(stopped,), name="asterisk-maximum", daemon=True)
        keeper.start()
        while not stopped.is_set():
            with suppress(Exception), self._connect(self.listens_as) as line:  # whatever breaks it: another one
                pause, self._lost_at = FIRST_PAUSE_SECONDS, None
                self._follow(line, backlog, stopped)
            self._lost_at = self._lost_at or boottime()
            until = boottime() + pause
            while not stopped.is_set() and boottime() < until:
                backlog.hand_over()
                stopped.wait(min(KEEP_AGAIN_SECONDS, max(0.0, until - boottime())))
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        backlog.hand_over(at_once=True)
        keeper.join()

    def hears(self) -> bool:
        return self._listens_since is not None and self._lost_at is None

    @contextmanager
    def _connect(self, name: str, *, hears_all: bool = True) -> Iterator[ClientConnection]:
        from websockets.sync.client import connect

        login = f"{self._account.username}:{self._account.password.get_secret_value()}".encode()
        query = urlencode({"app": name, "subscribeAll": "true" if hears_all else "false"})
        # A socket of our own: no proxy of the environment, no redirect, and no host that we connect to nowhere else.
        line = _open_socket(self._account.events_url, self._wiring.allow_hosts)
        with connect(
            f"{self._account.events_url}?{query}",
            sock=line,
            additional_headers={"Authorization": "Basic " + base64.b64encode(login).decode()},
            open_timeout=CONNECT_SECONDS,
            close_timeout=LISTEN_STEP_SECONDS,
            logger=_SILENT,
        ) as connection:
            yield connection

    def _follow(self, line: ClientConnection, backlog: _Backlog, stopped: Event) -> None:
        while not stopped.is_set():
            try:
                event = self.read_message(line.recv(timeout=LISTEN_STEP_SECONDS))
            except TimeoutError:
                event = None
            if event is not None:
                backlog.add(event)
            # Also when nothing came, and never waiting: Asterisk drops a listener that does not read.
            backlog.hand_over()

    def read_message(self, message: str | bytes) -> ProviderEvent | None:
        """What Asterisk said, if it concerns a call of ours and is not known yet."""
        try:
            document = json.loads(message)
        except (ValueError, RecursionError):
            return None
        kind, channel = _what_happened(document)
        ref = channel.get("id")
        if not kind or not isinstance(ref, str) or ATTEMPT_REF.fullmatch(ref) is None:
            return None
        known = self._memory.of(ref)
        payload = _payload(document, channel)
        at = read_instant(payload.get("timestamp"))
        match kind:
            case "dialed":
                self._memory.note(ref, number=known.number or _number_in(document.get("dialstring")))
            case "heard":
                self._memory.note(ref, was_heard_of=True)
                self._heard_of_at = max(filter(None, (self._heard_of_at, at)), default=None)
            case "stopped":
                self._memory.note(ref, hung_up=True, stopped_by=_whole(document.get("cause")) or 0)
            case "asked" if known.asked_by is None:
                self._memory.note(ref, asked_by=US if document.get("soft") is True else THEM)
            case "answered" if known.answered_at is None:  # said up to three times: by dial, state and application
                self._memory.note(ref, answered_at=at, was_heard_of=True)
                self._heard_of_at = max(filter(None, (self._heard_of_at, at)), default=None)
                if known.most is not None:
                    self._keeper.add(ref, known.most)
                return ProviderEvent(f"{ref}:answered", kind, payload, attempt_ref=ref, call_id=ref)
            case "ended":
                return self._hear_end(ref, known, payload)
        return None

    def _hear_end(self, ref: str, known: Known, payload: dict[str, Any]) -> ProviderEvent:
        self._keeper.drop(ref)
        if known.answered_at is not None:
            payload["answered_at"] = known.answered_at.isoformat()
        if known.hung_up:
            payload["hung_up"] = True
        if known.stopped_by is not None:
            payload["stopped_by"] = known.stopped_by
        if known.nowhere is not None:
            payload |= {"nowhere": known.nowhere, "is_own": self._is_own(known)}
        # Nobody asks for the end that a time-out of ours brings. What was not heard from its answer on is not judged.
        asked_by = known.asked_by or (US if known.answered_at is not None else None)
        if asked_by is not None:
            payload["asked_by"] = asked_by
        if self._was_silence(known, payload):
            payload["silent"] = True
        event = ProviderEvent(f"{ref}:ended", "ended", payload, attempt_ref=ref, call_id=ref)
        self._memory.note(ref, end=event)
        return event

    def _was_silence(self, known: Known, payload: Mapping[str, Any]) -> bool:
        """Did the trunk say nothing at all, neither of this call nor, since it began, of any other [R]?

        A dead trunk is heard so, and so is one that tells of no ringing. So a number is given the benefit of that
        three times, and a trunk that answers for others while this one is silent is alive.
        """
        began_at = read_instant(payload.get("creationtime"))
        if (
            known.was_heard_of or known.answered_at or known.hung_up or known.number is None or began_at is None
            or payload.get("state") != DOWN or _whole(payload.get("cause")) not in AT_TIMEOUT
            or _whole(payload.get("tech_cause")) not in NOT_HEARD_OF
            or (self._heard_of_at is not None and self._heard_of_at > began_at)
        ):  # fmt: skip
            return False
        count = self._silences.pop(known.number, 0) + 1
        self._silences[known.number] = count
        while len(self._silences) > MOST_REMEMBERED:
            del self._silences[next(iter(self._silences))]
        return count <= MOST_SILENCES

    # --- the account

    def read_vitals(self) -> Vitals | None:
        about = "its state"
        answer = self._look_up("/ari/asterisk/info", about, params={"only": "config"})
        if answer.status != 200:
            raise unusable("Asterisk", about, answer)
        config = answer.document().get("config")
        most = _whole(config.get("max_channels")) if isinstance(config, dict) else None
        in_use = len(self._live_channels())
        return Vitals(self._find_problem(), most if most else None, in_use, self._list_notices())

    def _find_problem(self) -> str | None:
        """Why no call would come to anything. Raises ProviderError."""
        state = self._trunk_state()
        if state is not None and state[1] in (None, OFFLINE):
            return f"the trunk {state[0]} is {'not there' if state[1] is None else 'offline'}"
        for destination in self._places.known():
            self._look_at(destination)
        return self._look_at(self._account.destination)

    def _list_notices(self) -> tuple[str, ...]:
        """What does not keep calls from being made."""
        found = []
        if self._listens_since is not None and self._lost_at is not None and boottime() - self._lost_at >= LOST_FOR:
            found.append(
                "no connection for events (ASTERISK_EVENTS_URL): ends are learnt by asking, later and, without channel "
                "events (ASTERISK_CEL_URL), without their cause"
            )
        if self._unreadable is not None:
            found.append(f"{self._unreadable}; ends that are not heard of are taken for failed")
        return tuple(found)

    def _trunk_state(self) -> tuple[str, str | None] | None:
        """The trunk's name and what Asterisk says of it (None: it has none); None where it cannot be asked about."""
        trunk = trunk_of(self._account.endpoint)
        if trunk is None:
            return None
        name = "/".join(trunk)
        answer = self._look_up(f"/ari/endpoints/{name}", f"the trunk {name}")
        if answer.status == 404:
            return name, None
        if answer.status != 200:
            raise unusable("Asterisk", f"the trunk {name}", answer)
        return name, read_word(answer.document().get("state")) or "state unknown"

    def inspect(self, agents: Collection[str], numbers: Collection[str]) -> Sequence[Inspection]:
        try:
            first = self._inspect_access()
        except ProviderError as error:
            first = _problem(f"{error}; verify ASTERISK_URL, and that http.conf and ari.conf say enabled = yes")
        if first.standing is Standing.PROBLEM:
            return (first,)
        try:
            writes = self._inspect_writing()
            trunk = self._inspect_trunk()
            applications = self._inspect_destinations(agents)
        except ProviderError as error:
            return (first, _problem(str(error)))
        return (
            first, *writes, trunk, *applications, *self._inspect_numbers(numbers), *self._inspect_events(),
            *self._inspect_records(),
        )  # fmt: skip

    def _inspect_writing(self) -> Sequence[Inspection]:
        """A channel that is not there can be hung up by whoever may write [R]."""
        answer = self._client.look_up("Asterisk", "the right to call", "DELETE", _channel_path(f"nobody-{uuid4().hex}"))
        if answer.status == 403:
            return [_problem("This user may read but not call (403); set read_only = no in ari.conf")]
        if not _is_no_such_channel(answer):
            raise unusable("Asterisk", "the right to call", answer)
        return []

    def _inspect_access(self) -> Inspection:
        about = "its version"
        answer = self._look_up("/ari/asterisk/info", about)
        match answer.status:
            case 200:
                system = answer.document().get("system")
                version = read_text(system.get("version"), 40) if isinstance(system, dict) else None
                return _fine(f"Asterisk {version or 'of unknown version'} answers over ARI")
            case 401:
                return _problem(
                    "Asterisk turned our login away (401); verify ASTERISK_USERNAME and ASTERISK_PASSWORD in ari.conf, "
                    "where the user's section must say type = user"
                )
            case 403:
                return _problem("Asterisk lets this user in from elsewhere only (403); see permit and deny in ari.conf")
            case 404:
                return _problem(
                    "ASTERISK_URL leads to no ARI (404); set enabled = yes in ari.conf, and mind a prefix in http.conf"
                )
            case _:
                raise unusable("Asterisk", about, answer)

    def _inspect_trunk(self) -> Inspection:
        trunk = self._trunk_state()
        if trunk is None:
            return _warning("The trunk in ASTERISK_ENDPOINT cannot be verified over ARI; place one call by hand")
        name, state = trunk
        if state is None:
            return _problem(f"Asterisk has no endpoint {name}; verify ASTERISK_ENDPOINT")
        if state == OFFLINE:
            return _problem(f"The trunk {name} is offline, so nothing is dialed; see its registration and qualify")
        return _fine(
            f"The trunk {name} is there ({state}; a dead one is called online too, unless pjsip.conf has "
            "qualify_frequency)"
        )

    def _inspect_destinations(self, agents: Collection[str]) -> Iterable[Inspection]:
        """The account's own destination, then those of campaigns."""
        found = [self._inspect_destination(self._account.destination)]
        for agent in sorted(agents):
            try:
                found.append(self._inspect_destination(Destination.read(agent)))
            except ValueError:
                found.append(_problem(f"Agent {agent[:80]!r} is neither context,extension[,priority] nor app:<name>"))
        return found

    def _inspect_destination(self, destination: Destination) -> Inspection:
        if destination.app is not None:
            is_there = self._has_application(destination.app)
            if is_there is None:
                raise ProviderError(f"Asterisk could not be asked for the application {destination.app}")
            if is_there:
                return _fine(f"The Stasis application {destination.app} is connected")
            return _problem(
                f"Nobody is connected as the Stasis application {destination.app}, so nothing is dialed: answered "
                "calls would be cut off"
            )
        is_there = self._has_place(destination)
        if is_there is None:
            return _warning(f"Answered calls go to {destination} in the dialplan; ARI did not tell whether that exists")
        if not is_there:
            return _problem(
                f"The dialplan has no {destination}, so nothing is dialed: answered calls would be cut off; write it "
                "into extensions.conf, then `dialplan reload`"
            )
        return _fine(f"Answered calls go to {destination} in the dialplan")

    def _inspect_numbers(self, numbers: Collection[str]) -> Iterable[Inspection]:
        if self._account.caller_id is None:
            yield _warning("ASTERISK_CALLER_ID is not set; the trunk's own caller id is shown")
        wrong = sum(CALLER_NUMBER.fullmatch(number) is None for number in numbers)
        if wrong:
            yield _problem(f"Caller ids of campaigns that are not numbers: {wrong}; write each as +56221234567")

    def _inspect_events(self) -> Iterable[Inspection]:
        if not _has_websockets():
            yield _warning(
                "The library websockets is missing, so ends are learnt late and without their cause; "
                f"run {how_to_install('asterisk')}"
            )
            return
        try:
            with self._connect(f"ringback-look-{uuid4().hex[:8]}", hears_all=False):
                yield _fine("Events come over a WebSocket")
        except Exception as error:  # a name that is none, a wrong port, a proxy that knows no WebSockets...
            yield _problem(
                f"No WebSocket for events ({name_of(error)}), so ends are learnt late; verify ASTERISK_EVENTS_URL"
            )

    def _inspect_records(self) -> Iterable[Inspection]:
        for name, reader, what in (
            ("ASTERISK_CEL_URL", self.cel, "Channel events"), ("ASTERISK_CDR_URL", self.cdr, "Call detail records"),
        ):
            if reader is None:
                continue
            try:
                reader([str(uuid4())])
            except Exception as error:
                yield _problem(f"{what} could not be read ({_told_why(error)}); verify {name}")
            else:
                yield _fine(f"{what} are read")
        if not self._has_records:
            yield _warning(
                "No call records are read (ASTERISK_CEL_URL, ASTERISK_CDR_URL), so nothing proves that a lost start "
                "made no call: its attempt is spent once its ringing and its duration have passed; and an end that is "
                "not heard over the WebSocket is taken for failed"
            )
        elif not self._account.has_complete_records:
            yield _warning(
                "Nobody has said that call records are complete, so a lost start is taken for a call; have CHAN_START "
                "among the events of cel.conf, or unanswered = yes and batch = no in cdr.conf, and then "
                "ASTERISK_CDR_COMPLETE=yes"
            )
        else:
            yield _fine(
                "Call records are said to be complete (cel.conf: CHAN_START; cdr.conf: unanswered = yes, batch = no)"
            )

    def close(self) -> None:
        self._client.close()

    def _look_up(self, path: str, about: str, **content: Any) -> Answer:
        return self._client.look_up("Asterisk", about, "GET", path, **content)


class _Places:
    """What is known of the places where answered calls go. Safe for several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._found: dict[Destination, float] = {}
        self._missing: dict[Destination, tuple[str, float]] = {}

    def note(self, destination: Destination, is_there: bool | None) -> None:
        """What was found; None changes nothing."""
        if is_there is None:
            return
        with self._lock:
            if is_there:
                self._missing.pop(destination, None)
                self._found[destination] = boottime() + VERIFIED_FOR
            else:
                self._miss(destination, _nobody_at(destination))

    def doubt(self, destination: Destination, why: str) -> None:
        with self._lock:
            self._miss(destination, why)

    def _miss(self, destination: Destination, why: str) -> None:
        self._found.pop(destination, None)
        self._missing[destination] = (why, boottime() + MISSING_FOR)

    def missing(self, destination: Destination) -> str | None:
        """Why nothing is to be dialed into it."""
        with self._lock:
            why, until = self._missing.get(destination, ("", 0.0))
        return why if boottime() < until else None

    def is_verified(self, destination: Destination) -> bool:
        with self._lock:
            return boottime() < self._found.get(destination, 0.0)

    def known(self) -> list[Destination]:
        """Those that calls went to of late."""
        with self._lock:
            old = [one for one, until in self._found.items() if until < boottime() - VERIFIED_FOR]
            for one in old:
                del self._found[one]
            return [*self._found, *self._missing]


class _Keeper:
    """Ends calls at their maximum, counted from the answer. Safe for several threads."""

    def __init__(self, end: Callable[[str], None]) -> None:
        self._end = end
        self._lock = Lock()
        self._due: dict[str, float] = {}

    def add(self, ref: str, left: timedelta | None) -> None:
        """None: how long it may last is not known, and need not be asked again."""
        with self._lock:
            self._due[ref] = math.inf if left is None else boottime() + left.total_seconds()
            while len(self._due) > MOST_REMEMBERED:
                del self._due[next(iter(self._due))]

    def has(self, ref: str) -> bool:
        with self._lock:
            return ref in self._due

    def drop(self, ref: str) -> None:
        with self._lock:
            self._due.pop(ref, None)

    def run_once(self) -> None:
        now = boottime()
        with self._lock:
            over = [ref for ref, at in self._due.items() if at <= now]
            self._due.update(dict.fromkeys(over, math.inf))
        for ref in over:
            self._end(ref)

    def run(self, stopped: Event) -> None:
        while not stopped.wait(KEEPER_STEP_SECONDS):
            self.run_once()


class _Backlog:
    """Events that nobody has taken yet. Of one thread."""

    def __init__(self, keep: EventSink) -> None:
        self._keep = keep
        self._events: deque[ProviderEvent] = deque(maxlen=MOST_WAITING)
        self._again_at = 0.0

    def add(self, event: ProviderEvent) -> None:
        self._events.append(event)

    def hand_over(self, *, at_once: bool = False) -> None:
        if not self._events or (boottime() < self._again_at and not at_once):
            return
        try:
            self._keep(tuple(self._events))
        except Exception:  # a database that is away: they stay here
            self._again_at = boottime() + KEEP_AGAIN_SECONDS
        else:
            self._events.clear()


def read_start_answer(answer: Answer, request: DialRequest) -> DialAnswer:
    """Accepted, refused as documented, or nobody can say."""
    document = answer.document()
    if answer.is_success:
        if document.get("id") == request.attempt_ref:
            return Accepted(request.attempt_ref)
        return Unanswered("Asterisk answered success without the channel that was asked for")
    # ARI says `message`; for want of memory, or of a channel, it says `error` [S res/res_ari.c].
    message = read_text(document.get("message")) or read_text(document.get("error"))
    if answer.status == 503 and (answer.headers.get("Server") or "").startswith("Asterisk"):
        # It is starting or stopping, and looked at no request [R]. A proxy's 503 proves nothing.
        return Refused(RefusalKind.NEVER_SENT, "Asterisk is starting or stopping (503)")
    if message is None:
        return Unanswered(f"Asterisk answered {answer.status}, which proves nothing")
    reason = f"Asterisk answered {answer.status}: {LONG_NUMBER.sub('(number)', message)[:200]}"
    match answer.status:
        case 409:
            return Accepted(request.attempt_ref)  # a channel with our reference lives: it is this call
        case 400 if request.number.removeprefix("+") in message:
            return Refused(RefusalKind.INVALID_NUMBER, reason)
        case 400 | 401 | 403 | 404:
            return Refused(RefusalKind.HOLD, reason)
        case 500 if message == "Allocation failed":
            # No channel could be made, so nothing was dialed: the trunk is away, or there is none of that name [S, R].
            return Refused(RefusalKind.OUTAGE, reason)
        case _:
            return Unanswered(f"{reason}, which proves nothing")


def phase_of(state: str | None) -> Phase:
    """The phase of a live channel; a state that nobody knows is the earliest, for phases only go forward."""
    if state == UP:
        return Phase.ANSWERED
    return Phase.RINGING if state in RINGING_STATES else Phase.DIALING


def trunk_of(template: str) -> tuple[str, str] | None:
    """Technology and resource of the endpoint that a template dials through; None where they cannot be told."""
    technology, _, device = template.partition("/")
    if technology.lower() in HAS_NO_ENDPOINTS:
        return None
    first, slash, _ = device.partition("/")
    resource = first if slash else device.partition("@")[2]
    return (technology, resource) if PLAIN_NAME.fullmatch(resource) else None


def _channel_variables(request: DialRequest) -> dict[str, str]:
    """Texts under plain names: a name such as `SHELL(...)` would be run as a function of the dialplan."""
    written = variables_as_text(request.variables)
    given = {NOT_A_VARIABLE.sub("_", name): _clean(text) for name, text in written.items() if name}
    lead = {} if request.lead_id is None else {"LEAD_ID": str(request.lead_id)}
    return {
        **given,
        **lead,
        "RINGBACK_REF": request.attempt_ref,
        "RINGBACK_MAX_SECONDS": str(_whole_seconds(request.max_duration)),
        # Counted from the start, so it is only for the case that nobody is left to count from the answer.
        "TIMEOUT(absolute)": str(_whole_seconds(request.ring_timeout + request.max_duration)),
    }


def _clean(text: str) -> str:
    """Without what Asterisk's JSON reader rejects: the whole request would be refused as ours being wrong."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()


def _whole_seconds(span: timedelta) -> int:
    return min(max(1, math.ceil(span.total_seconds())), LONGEST_SECONDS)


def _what_happened(document: Any) -> tuple[str, Mapping[str, Any]]:
    """What an event says of a channel, and which; an empty word for what says nothing to us.

    A `soft` request to hang up comes from this side: from us, perhaps in another process, from whoever works at the
    PBX, from the dialplan. What the other side says, and a ring time-out, are not soft [S channel.c, dial.c; R].
    """
    match document:
        case {"type": "ChannelHangupRequest", "channel": dict(channel)}:
            if channel.get("state") == UP:
                return "asked", channel
            if document.get("soft") is True:
                return "stopped", channel
            sip = _whole(document.get("tech_cause"))
            is_word_of_theirs = sip is not None and sip not in NOT_HEARD_OF and sip < 500
            return ("heard" if is_word_of_theirs or sip == 480 else ""), channel
        case {"type": "StasisStart", "channel": {"state": "Up"} as channel}:
            return "answered", channel
        case {"type": "Dial", "dialstatus": "ANSWER", "peer": dict(channel)}:
            return "answered", channel
        case {"type": "ChannelStateChange", "channel": {"state": "Up"} as channel}:
            return "answered", channel
        case {"type": "Dial", "dialstatus": "", "peer": dict(channel)}:
            return "dialed", channel
        case {"type": "Dial", "dialstatus": "RINGING" | "PROGRESS", "peer": dict(channel)}:
            return "heard", channel
        case {"type": "ChannelStateChange", "channel": {"state": "Ringing"} as channel}:
            return "heard", channel
        case {"type": "ChannelDestroyed", "channel": dict(channel)}:
            return "ended", channel
        case _:
            return "", {}


def _payload(document: Mapping[str, Any], channel: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of an event. A channel's name, callers and dialplan hold numbers, so they are left out."""
    told = {
        "type": read_word(document.get("type")),
        "timestamp": read_word(document.get("timestamp")),
        "cause": _whole(document.get("cause")),
        "cause_txt": LONG_NUMBER.sub("(number)", read_text(document.get("cause_txt"), 80) or "") or None,
        "tech_cause": _whole(document.get("tech_cause")),
        **_details_of(channel),
    }
    return {name: value for name, value in told.items() if value is not None}


def _details_of(channel: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name in ("state", "creationtime") if (value := read_word(channel.get(name))) is not None}


def _told_sip(cause: int | None, sip: int | None) -> int | None:
    """The SIP code where the other side said it. Hanging up, Asterisk makes one from the cause [S chan_pjsip.c]:
    404 from "no route", which is no wrong number; and 487 only answers a CANCEL of ours, such as a ring time-out's.
    """
    if sip == CANCELLED_BY_US or (sip == NOT_FOUND and cause in NO_ROUTE):
        return None
    return sip


def _turned_away(sip: int | None, status: str | None) -> Refused:
    if sip in WRONG_LOGIN:
        return Refused(RefusalKind.HOLD, f"the trunk does not take our login: {status}")
    # One number that is barred must not stop all others; where all are, the refusals in a row tell.
    return Refused(RefusalKind.HOLD, f"the trunk may not call this number (barred or no permission): {status}")


def _no_way(status: str | None) -> Refused:
    return Refused(RefusalKind.OUTAGE, f"the trunk had no way to this number: {status}")


def _nobody_at(destination: Destination) -> str:
    return f"there is no {destination} to talk to whoever answers"


def _nowhere(why: str, is_own: bool) -> Refused:
    """A campaign's own place that is missing says nothing of the provider: its rows alone wait."""
    return Refused(RefusalKind.HOLD, why, ours=is_own)


def _outcome_of_stop(soft: int | None) -> Outcome:
    """Of a call that this side ended before it was answered: people did, or a restart of Asterisk."""
    return Outcome.FAILED if soft == SHUTDOWN else Outcome.CANCELLED


def _lacks_answer(end: ProviderEvent, answered_at: datetime | None) -> bool:
    """Was it answered, and nobody heard when?"""
    return end.payload.get("state") == UP and end.payload.get("answered_at") is None and answered_at is None


def _by_call(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(str(row["uniqueid"]), []).append(row)
    return found


def _number_in(dialed: Any) -> str | None:
    found = re.search(r"\+?\d{7,15}", dialed) if isinstance(dialed, str) else None
    return found[0] if found else None


def _seconds(value: Any) -> timedelta | None:
    number = _whole(value)
    return timedelta(seconds=number) if number is not None and 0 < number <= LONGEST_SECONDS else None


def _between_clocks(start: datetime | None, now: datetime | None) -> timedelta | None:
    return now - start if start is not None and now is not None else None


def _told_why(error: Exception) -> str:
    return str(error) if isinstance(error, RingbackError) else name_of(error)


def _status(cause: int | None, text: Any, sip: int | None) -> str | None:
    words = [str(cause) if cause is not None else "", read_text(text, 80)]
    status = " ".join(filter(None, words)) + (f" (SIP {sip})" if sip else "")
    return status.strip()[:128] or None


def _is_no_such_channel(answer: Answer) -> bool:
    return answer.status == 404 and answer.document().get("message") == "Channel not found"


def _channel_path(ref: str) -> str:
    return f"/ari/channels/{quote(ref, safe='')}"


def _id(call: CallKey) -> str:
    return call.call_id or call.attempt_ref


def _whole(value: Any) -> int | None:
    number = read_decimal(value)
    return int(number) if number is not None and number == int(number) else None


def _between(start: datetime | None, end: datetime | None) -> timedelta | None:
    return max(end - start, timedelta(0)) if start is not None and end is not None else None


def _matching(shape: re.Pattern[str], text: str) -> str:
    if shape.fullmatch(text) is None:
        raise ValueError("not of the right form")
    return text


def _without_login(endpoint: str) -> str:
    return re.sub(r"[^/@]*:[^/@]*@", "(login)@", endpoint)


def _open_socket(url: str, allow_hosts: Collection[str]) -> socket.socket:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "wss" else 80)
    if host not in allow_hosts:
        addresses = {str(one[4][0]) for one in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
        if any(is_forbidden(one) for one in addresses):
            raise OSError("the name leads to a link-local or metadata address")
    line = socket.create_connection((host, port), timeout=CONNECT_SECONDS)
    line.settimeout(None)
    return line


def _has_websockets() -> bool:
    try:
        import websockets.sync.client  # noqa: F401
    except ImportError:
        return False
    return True


def _fine(sentence: str) -> Inspection:
    return Inspection(Standing.OK, sentence)


def _warning(sentence: str) -> Inspection:
    return Inspection(Standing.WARNING, sentence)


def _problem(sentence: str) -> Inspection:
    return Inspection(Standing.PROBLEM, sentence)
