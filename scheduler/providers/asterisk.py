"""Asterisk over ARI: our own PBX dials, and the channel's id is our `attempt_ref`.

Decided here: how a call is originated, and what an end means. Asterisk remembers nothing of a channel that
is gone, so an end is learnt from three places: an event (`listen`, over a WebSocket), the call records (`cdr`,
a reader that is wired from outside), and, where neither knows, the absence of the channel. What must stay
true: an absence proves that a call is over, never that it was not made, so without call records `find`
concludes nothing (`finds_by_ref`). A channel id is unique only while its channel lives: the same start
request, sent again later, would dial again.

Not decided here: what an answered caller hears. The call goes into the dialplan, or into a Stasis application
that somebody else runs. A newcomer would listen under that application's name. We must not: Asterisk keeps
one WebSocket per name, so ours would throw the voice agent out and its calls would hear silence. We listen
under a name of our own, to every channel, and pick those whose id looks like a reference of ours.

Facts marked [S] were read in Asterisk's source (master, August 2026).
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
from datetime import UTC, datetime, timedelta
from threading import Event, Lock
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import quote, urlencode, urlsplit
from uuid import uuid4

from pydantic import SecretStr

from scheduler.clock import boottime
from scheduler.config import Keys
from scheduler.errors import InvalidValue, ProviderError, how_to_install
from scheduler.model import Outcome
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
    Phase,
    ProviderEvent,
    RefusalKind,
    Refused,
    Standing,
    Unanswered,
    Vitals,
    Wiring,
)
from scheduler.providers.causes import is_our_trunk, outcome_of_cause, outcome_of_sip
from scheduler.providers.http_client import Answer, HttpClient, is_forbidden, name_of, read_address, unusable
from scheduler.providers.payloads import (
    LONG_NUMBER,
    read_decimal,
    read_instant,
    read_seconds,
    read_text,
    read_word,
    variables_as_text,
)

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

CdrReader: TypeAlias = Callable[[Sequence[str]], Sequence[Mapping[str, Any]]]
"""The call records with these `uniqueid`s: uniqueid, start, answer, end, duration, billsec, disposition."""

NORMAL_CLEARING = 16
GONE_FOR = timedelta(seconds=15)
"""How long a channel is gone before that alone ends its call: a record is written after the hang-up."""
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

E164 = re.compile(r"\+[1-9][0-9]{6,14}")
CALLER_NUMBER = re.compile(r"\+?[0-9*#]{2,20}")
CALLER_ID = re.compile(r'"?[^"<>\x00-\x1f]{0,80}"?\s*<\+?[0-9*#]{2,20}>|\+?[0-9*#]{2,20}')
ATTEMPT_REF = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
ENDPOINT = re.compile(r"[A-Za-z0-9]+/[^\s{}&]*\{(?:number|digits)\}[^\s{}&]*")
PLAIN_NAME = re.compile(r"[A-Za-z0-9_.-]{1,79}")
EXTENSION = re.compile(r"[A-Za-z0-9_.*#+-]{1,79}")
PRIORITY = re.compile(r"[1-9][0-9]{0,5}")
YES_OR_NO = re.compile(r"yes|no")
NOT_A_VARIABLE = re.compile(r"[^A-Za-z0-9_]")

HAS_NO_ENDPOINTS = frozenset({"local", "dahdi"})  # technologies whose channels belong to no ARI endpoint
RINGING_STATES = frozenset({"Ring", "Ringing", "Pre-ring"})
UP = "Up"
WRONG_LOGIN = frozenset({401, 407})  # SIP: no call of ours would pass; 403 and the causes 52 and 54 bar this one
KNOWN_CAUSES = frozenset({
    0, 1, 2, 3, 5, 6, 7, 8, 14, 16, 17, 18, 19, 20, 21, 22, 23, 26, 27, 28, 29, 30, 31, 34, 38, 41, 42, 44, 50, 52,
    54, 57, 58, 65, 66, 69, 81, 88, *range(95, 104), 111, 127,
})  # fmt: skip
NO_ROUTE = frozenset({2, 3})
NOT_FOUND, CANCELLED_BY_US = 404, 487
DISPOSITIONS: Mapping[str, Outcome] = {
    "NO ANSWER": Outcome.NO_ANSWER, "BUSY": Outcome.BUSY, "FAILED": Outcome.FAILED, "CONGESTION": Outcome.FAILED,
}  # fmt: skip
ANSWERED = "ANSWERED"
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
    """Somebody said that cdr.conf has `unanswered = yes` and `batch = no`; ARI does not tell."""


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

    def gone_since(self, ref: str, now: datetime) -> datetime:
        """Since when the channel has been seen to be gone: `now`, the first time."""
        since = self.of(ref).gone_since
        if since is None:
            self.note(ref, gone_since=now)
        return since or now


class Asterisk:
    """The adapter for one Asterisk. `cdr` reads its call records; None where there is no table of them."""

    name = "asterisk"
    waits = True
    listing_lag = timedelta(seconds=60)
    calls_per_second: float | None = None
    cost_unit: str | None = None

    def __init__(self, account: Account, wiring: Wiring, read_cdr: CdrReader | None = None) -> None:
        self.cdr = read_cdr
        self.listens_as = f"ringback-{uuid4().hex[:8]}"  # of this process alone, whatever ASTERISK_APP says
        self._account, self._wiring = account, wiring
        self._memory = Memory()
        self._client = HttpClient(
            account.url, places=wiring.places, request_timeout=wiring.request_timeout,
            basic=(account.username, account.password.get_secret_value()), allow_hosts=wiring.allow_hosts,
        )  # fmt: skip

    @property
    def finds_by_ref(self) -> bool:
        """A dead channel is in the call records or nowhere, so without them "not found" proves nothing; nor does it
        while they may lack calls that nobody answered, which is how Asterisk comes (`unanswered = no`).
        """
        return self.cdr is not None and self._account.has_complete_records

    # --- placing

    def place(self, request: DialRequest) -> DialAnswer:
        body = self._start_body(request)
        if isinstance(body, Refused):
            return body
        answer = self._client.start(
            "Asterisk", "POST", _channel_path(request.attempt_ref), content=body,
            headers={"Content-Type": "application/json"},
        )  # fmt: skip
        return read_start_answer(answer, request) if isinstance(answer, Answer) else answer

    def _start_body(self, request: DialRequest) -> bytes | Refused:
        # The number becomes part of a dial string, where other characters would name another endpoint.
        if E164.fullmatch(request.number) is None:
            return Refused(RefusalKind.INVALID_NUMBER, "the number is not in E.164 form: + and 7 to 15 digits")
        try:
            destination = Destination.read(request.agent_id) if request.agent_id else self._account.destination
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
            call_id: self._report_live(call, live[call_id]) for call_id, call in asked.items() if call_id in live
        }
        try:
            for report in self._reports_of_gone([one for one in asked.values() if one.call_id not in live], now):
                found[report.call_id] = report
        except ProviderError:
            if not found:
                raise  # else what was learnt counts; the rest is asked for again at the next poll
        return found

    def find(self, call: CallKey, now: datetime) -> CallReport | None:
        about = f"call {call.attempt_ref}"
        answer = self._look_up(_channel_path(call.attempt_ref), about)
        document = answer.document()
        if answer.status == 200 and document.get("id") == call.attempt_ref:
            return self._report_live(call, document)
        if not _is_no_such_channel(answer):
            raise unusable("Asterisk", about, answer)
        known = self._memory.of(call.attempt_ref)
        if known.end is not None:
            return self._report_end(known.end, call.answered_at)
        rows = self._records([call.attempt_ref]).get(call.attempt_ref)
        return self._report_records(call, rows, now) if rows else None

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

    def _report_live(self, call: CallKey, channel: Mapping[str, Any]) -> CallReport:
        known = self._memory.of(channel["id"])
        if known.gone_since is not None:
            self._memory.note(channel["id"], gone_since=None)
        state = read_word(channel.get("state"))
        phase = phase_of(state)
        return CallReport(
            call_id=channel["id"],
            phase=phase,
            attempt_ref=call.attempt_ref,
            provider_status=state,
            answered_at=(call.answered_at or known.answered_at) if phase is Phase.ANSWERED else None,
            details=_details_of(channel),
        )

    def _reports_of_gone(self, gone: Sequence[CallKey], now: datetime) -> Iterator[CallReport]:
        """Ends of calls whose channels are gone; those about which nothing can be said yet are left out."""
        unsure = []
        for call in gone:
            end = self._memory.of(_id(call)).end
            if end is None:
                unsure.append(call)
            else:
                yield self._report_end(end, call.answered_at)
        records = self._records([_id(call) for call in unsure])
        for call in unsure:
            rows = records.get(_id(call))
            report = self._report_records(call, rows, now) if rows else self._conclude(call, now)
            if report is not None:
                yield report

    def _conclude(self, call: CallKey, now: datetime) -> CallReport | None:
        """What the absence of a channel means by itself: an end, once an event or a record had time to come."""
        since = self._memory.gone_since(_id(call), now)
        known = self._memory.of(_id(call))
        is_told_of = self.cdr is not None and now - since < GONE_FOR
        if known.hung_up and not is_told_of:
            word, otherwise = HUNG_UP, Outcome.CANCELLED
        elif now - since >= GONE_FOR:
            word, otherwise = GONE, Outcome.FAILED
        else:
            return None
        answered_at = call.answered_at or known.answered_at
        return CallReport(
            call_id=_id(call),
            phase=Phase.ENDED,
            attempt_ref=call.attempt_ref,
            outcome=otherwise if answered_at is None else Outcome.COMPLETED,
            provider_status=word,
            answered_at=answered_at,
            ended_at=since,
        )

    def _records(self, ids: Sequence[str]) -> dict[str, list[Mapping[str, Any]]]:
        if self.cdr is None or not ids:
            return {}
        found: dict[str, list[Mapping[str, Any]]] = {}
        try:
            for row in self.cdr(ids):
                found.setdefault(str(row["uniqueid"]), []).append(row)
        except Exception as error:  # the reader is a database's, and a failure of any kind concludes nothing
            raise ProviderError(f"the call records of Asterisk could not be read: {name_of(error)}") from error
        return found

    def _report_records(self, call: CallKey, rows: Sequence[Mapping[str, Any]], now: datetime) -> CallReport:
        """One call may have several records: any answer wins, and the longest talk."""
        ref = call.call_id or call.attempt_ref
        known = self._memory.of(ref)
        words = [(read_word(row.get("disposition")) or "").upper() for row in rows]
        talk = max((read_seconds(row.get("billsec")) or 0 for row in rows), default=0)
        ended_at, answered_at = self._times_of(call, rows, now)
        answered_before = call.answered_at or known.answered_at
        is_answered = ANSWERED in words
        if is_answered:
            outcome = self._outcome_of_talk(timedelta(seconds=talk), known.hung_up)
        elif answered_before is not None:
            outcome = Outcome.COMPLETED
        else:
            outcome = Outcome.CANCELLED if known.hung_up else DISPOSITIONS.get(words[-1], Outcome.FAILED)
        answered_at = answered_before or (answered_at or ended_at - timedelta(seconds=talk) if is_answered else None)
        return CallReport(
            call_id=ref,
            phase=Phase.ENDED,
            attempt_ref=call.attempt_ref,
            outcome=outcome,
            provider_status=ANSWERED if is_answered else words[-1] or None,
            known_word=is_answered or words[-1] in DISPOSITIONS,
            answered_at=answered_at,
            ended_at=ended_at,
            talk_seconds=talk if is_answered else None,
            details={"records": [_details_of_record(row) for row in rows[:10]]},
        )

    def _times_of(
        self, call: CallKey, rows: Sequence[Mapping[str, Any]], now: datetime
    ) -> tuple[datetime, datetime | None]:
        """The end and the answer. Records are written in the server's local time unless cdr.conf says
        `usegmtime = yes`, so times that cannot be this call's are not believed.
        """
        ends = [at for at in (_instant(row.get("end")) for row in rows) if at is not None]
        earliest = call.placed_at - NEAR if call.placed_at else None
        if ends and max(ends) <= now + NEAR and (earliest is None or max(ends) >= earliest):
            answers = [at for at in (_instant(row.get("answer")) for row in rows) if at is not None]
            return max(ends), min(answers, default=None)
        return self._memory.gone_since(call.call_id or call.attempt_ref, now), None

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

    def receive(self, hook: Hook, now: datetime) -> Sequence[ProviderEvent]:
        raise HookRefused(404, "Asterisk posts no events; we listen to it over a WebSocket")

    def read_event(self, event: ProviderEvent) -> CallReport | None:
        call_id = event.call_id or event.attempt_ref
        if not call_id or event.kind not in ("answered", "ended"):
            return None
        if event.kind == "ended":
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
        report = CallReport(
            call_id=event.call_id or event.attempt_ref or "",
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
                outcome=self._outcome_of_talk(longest, is_ours),
                answered_at=answered_at,
                talk_seconds=int(talk.total_seconds()) if talk is not None else None,
            )
        if is_ours:
            return replace(report, outcome=Outcome.CANCELLED)
        sip = _told_sip(cause, sip)
        if is_our_trunk(cause, sip):
            return replace(report, refusal=_turned_away(sip, report.provider_status))
        return replace(
            report,
            outcome=outcome_of_cause(cause, sip),
            known_word=cause in KNOWN_CAUSES or outcome_of_sip(sip) is not None,
        )

    def _outcome_of_talk(self, talk: timedelta | None, is_ours: bool) -> Outcome:
        if talk is not None and talk < self._wiring.short_call and not is_ours:
            return Outcome.HANG_UP
        return Outcome.COMPLETED

    def listen(self, keep: EventSink, stopped: Event) -> None:
        """Events that happen while the connection is down are lost: polls and call records tell the rest."""
        backlog = _Backlog(keep)
        pause = FIRST_PAUSE_SECONDS
        while not stopped.is_set():
            with suppress(Exception), self._connect() as line:  # whatever breaks it, the answer is another one
                pause = FIRST_PAUSE_SECONDS
                self._follow(line, backlog, stopped)
            until = boottime() + pause
            while not stopped.is_set() and boottime() < until:
                backlog.hand_over()
                stopped.wait(min(KEEP_AGAIN_SECONDS, max(0.0, until - boottime())))
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        backlog.hand_over(at_once=True)

    @contextmanager
    def _connect(self) -> Iterator[ClientConnection]:
        from websockets.sync.client import connect

        login = f"{self._account.username}:{self._account.password.get_secret_value()}".encode()
        query = urlencode({"app": self.listens_as, "subscribeAll": "true"})
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
        if kind == "stopped":
            self._memory.note(ref, hung_up=True)
            return None
        known = self._memory.of(ref)
        payload = _payload(document, channel)
        if kind == "answered":
            if known.answered_at is not None:
                return None  # said up to three times: by the dial, the state, the application
            self._memory.note(ref, answered_at=read_instant(payload.get("timestamp")))
            return ProviderEvent(f"{ref}:answered", kind, payload, attempt_ref=ref, call_id=ref)
        if known.answered_at is not None:
            payload["answered_at"] = known.answered_at.isoformat()
        if known.hung_up:
            payload["hung_up"] = True
        event = ProviderEvent(f"{ref}:ended", kind, payload, attempt_ref=ref, call_id=ref)
        self._memory.note(ref, end=event)
        return event

    # --- the account

    def read_vitals(self) -> Vitals | None:
        about = "its state"
        answer = self._look_up("/ari/asterisk/info", about, params={"only": "config"})
        if answer.status != 200:
            raise unusable("Asterisk", about, answer)
        config = answer.document().get("config")
        most = _whole(config.get("max_channels")) if isinstance(config, dict) else None
        return Vitals(most_calls=most if most else None, in_use=len(self._live_channels()))

    def inspect(self, agents: Collection[str], numbers: Collection[str]) -> Sequence[Inspection]:
        try:
            first = self._inspect_access()
        except ProviderError as error:
            first = _problem(f"{error}; verify ASTERISK_URL, and that http.conf and ari.conf say enabled = yes")
        if first.standing is Standing.PROBLEM:
            return (first,)
        try:
            trunk = self._inspect_trunk()
            applications = self._inspect_destinations(agents)
        except ProviderError as error:
            return (first, _problem(str(error)))
        return (first, trunk, *applications, *self._inspect_numbers(numbers), *self._inspect_ends())

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
                    "Asterisk turned our login away (401); verify ASTERISK_USERNAME and ASTERISK_PASSWORD in ari.conf"
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
        trunk = trunk_of(self._account.endpoint)
        if trunk is None:
            return _warning("The trunk in ASTERISK_ENDPOINT cannot be verified over ARI; place one call by hand")
        technology, resource = trunk
        about = f"the trunk {technology}/{resource}"
        answer = self._look_up(f"/ari/endpoints/{technology}/{resource}", about)
        if answer.status == 404:
            return _problem(f"Asterisk has no endpoint {technology}/{resource}; verify ASTERISK_ENDPOINT")
        if answer.status != 200:
            raise unusable("Asterisk", about, answer)
        state = read_word(answer.document().get("state"))
        if state == "offline":
            return _warning(f"The trunk {technology}/{resource} is offline; see its registration and qualify")
        return _fine(f"The trunk {technology}/{resource} is there ({state or 'state unknown'})")

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
        if destination.app is None:
            where = f"{destination.context},{destination.extension},{destination.priority}"
            return _fine(f"Answered calls go to {where} in the dialplan; ARI cannot tell whether that exists")
        about = f"the application {destination.app}"
        answer = self._look_up(f"/ari/applications/{destination.app}", about)
        if answer.status == 200:
            return _fine(f"The Stasis application {destination.app} is connected")
        if answer.status != 404:
            raise unusable("Asterisk", about, answer)
        return _warning(
            f"Nobody is connected as the Stasis application {destination.app}; answered calls would be cut off"
        )

    def _inspect_numbers(self, numbers: Collection[str]) -> Iterable[Inspection]:
        if self._account.caller_id is None:
            yield _warning("ASTERISK_CALLER_ID is not set; the trunk's own caller id is shown")
        wrong = sum(CALLER_NUMBER.fullmatch(number) is None for number in numbers)
        if wrong:
            yield _problem(f"Caller ids of campaigns that are not numbers: {wrong}; write each as +56221234567")

    def _inspect_ends(self) -> Iterable[Inspection]:
        if not _has_websockets():
            yield _warning(
                "The library websockets is missing, so ends are learnt late and without their cause; "
                f"run {how_to_install('asterisk')}"
            )
        if self.cdr is None:
            yield _warning(
                "No call records are read (ASTERISK_CDR_URL), so nothing proves that a lost start made no call: its "
                "attempt is spent once its ringing and its duration have passed; and an end that is not heard over "
                "the WebSocket is taken for failed"
            )
        elif not self._account.has_complete_records:
            yield _warning(
                "Call records are read, but nobody has said that they are complete, so a lost start is taken for a "
                "call; set unanswered = yes and batch = no in cdr.conf, and then ASTERISK_CDR_COMPLETE=yes"
            )
        else:
            yield _fine("Call records are read, and said to be complete (unanswered = yes and batch = no in cdr.conf)")

    def close(self) -> None:
        self._client.close()

    def _look_up(self, path: str, about: str, **content: Any) -> Answer:
        return self._client.look_up("Asterisk", about, "GET", path, **content)


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
            return Refused(RefusalKind.REFUSED, reason)  # the channel could not be made, so nothing was dialed [S]
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
        "TIMEOUT(absolute)": str(_whole_seconds(request.ring_timeout + request.max_duration)),  # counted from the start
    }


def _clean(text: str) -> str:
    """Without what Asterisk's JSON reader rejects: the whole request would be refused as ours being wrong."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()


def _whole_seconds(span: timedelta) -> int:
    return min(max(1, math.ceil(span.total_seconds())), LONGEST_SECONDS)


def _what_happened(document: Any) -> tuple[str, Mapping[str, Any]]:
    """Whether a channel was answered, was stopped before that or has ended, and which; an empty word for all else.

    A `soft` request to hang up comes from this side: from us, perhaps in another process, or from whoever works at
    the PBX. What the other side says, and a ring time-out, are not soft [S channel.c, dial.c, resource_channels.c].
    """
    match document:
        case {"type": "ChannelHangupRequest", "soft": True, "channel": dict(channel)} if channel.get("state") != UP:
            return "stopped", channel
        case {"type": "StasisStart", "channel": dict(channel)}:
            return "answered", channel
        case {"type": "Dial", "dialstatus": "ANSWER", "peer": dict(channel)}:
            return "answered", channel
        case {"type": "ChannelStateChange", "channel": {"state": "Up"} as channel}:
            return "answered", channel
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


def _details_of_record(row: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("start", "answer", "end", "duration", "billsec", "disposition")
    return {name: str(row[name])[:64] for name in kept if row.get(name) is not None}


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


def _instant(value: Any) -> datetime | None:
    """A time of a call record; without a zone it is taken for UTC."""
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
    return read_instant(value)


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
