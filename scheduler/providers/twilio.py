"""Twilio Voice: calls that are started, polled and found over its REST API, and its signed status callbacks.

Decided here: what a Twilio status, `AnsweredBy`, SIP code and error code mean to us. What is said on the phone is
not: Twilio runs a script of yours (an address, a TwiML text or an application), so nothing an agent wrote down
comes back, and neither a callback nor an appointment is known from here.

Twilio has no field for our reference and no idempotent start. A lost answer is found in two ways only: the
`?ref=` in the address of our own webhook, and the `ref` in the address of our script, which Twilio lists among the
requests of a call. A search by number and time shows who could be it and proves nothing: another program on the
account may have called the same person in the same second. What must stay true: one start request leaves, whatever
happens; a call without our reference is never taken for ours. `find` says None only where complete lists were read,
of what is queued and what rings too, and that is proof (`finds_by_ref`) only where each call is announced to our
webhook: there one that was over for `ANNOUNCED_WITHIN` without a word is somebody else's. Elsewhere a possible call
is left to people. Whom a call belongs to is remembered in this process, from starts, polls and webhooks.

Who answered is told apart from the end, and tells of no end: `MachineDetection` reports while the call lasts, or
after it, and without a `CallStatus`. A machine's word alone ends nothing. It is remembered here, wins over all else
that is said of who answered, and is read with the end of its call, whichever of the two comes first; a completed
call without any such word is not final. A process that has seen only one of the two cannot put them together.

A newcomer would poll with `StartTime` alone (a queued call has none, and is not listed), take `Duration` of a
callback for seconds (it is minutes; `CallDuration` is seconds), or check a signature without the query.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import math
import re
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import islice
from threading import Lock
from typing import Any
from urllib.parse import parse_qs, parse_qsl, quote, urlencode, urlsplit, urlunsplit
from xml.sax.saxutils import escape

from pydantic import SecretStr

from scheduler.config import Keys
from scheduler.errors import InvalidValue, ProviderError
from scheduler.model import Outcome
from scheduler.providers.base import (
    Accepted,
    CallKey,
    CallReport,
    DialAnswer,
    DialRequest,
    Hook,
    HookRefused,
    Inspection,
    Phase,
    Provider,
    ProviderEvent,
    RefusalKind,
    Refused,
    Standing,
    Unanswered,
    Vitals,
    Wiring,
)
from scheduler.providers.causes import is_outage, outcome_of_sip
from scheduler.providers.hook_forms import require_twilio
from scheduler.providers.http_client import Answer, HttpClient, name_of, read_address, unusable
from scheduler.providers.payloads import (
    LONG_NUMBER,
    read_decimal,
    read_instant,
    read_money,
    read_seconds,
    read_text,
    read_word,
    scrub,
    variables_as_text,
)

DEFAULT_BASE = "https://api.twilio.com"
VERSION = "/2010-04-01"
LONGEST_RING_SECONDS = 600
LONGEST_TWIML = 4000
EVENTS = ("initiated", "ringing", "answered", "completed")  # the default is the last alone

FEW_CALLS = 10  # asked for one by one; more of them by the list of two days
PAGE_SIZE = 1000  # the most that Twilio gives
MOST_PAGES = 5
MOST_SINGLE = 60  # requests for single calls in one poll
LISTS_OF_A_NUMBER: Sequence[Mapping[str, str]] = ({}, {"Status": "queued"}, {"Status": "ringing"})
MOST_CLAIMS = 20_000  # far more than can be placed within the time in which a start may be looked for

WHY_WITHIN = timedelta(seconds=20)
ANNOUNCED_WITHIN = timedelta(seconds=60)  # of the end of a call; Twilio tries a webhook for 15 s
EARLY = timedelta(seconds=5)  # of Twilio's clock before ours
LATE = timedelta(seconds=60)
OLDEST_EVENT = timedelta(hours=24)
MOST_FIELDS = 500
LONGEST_REASON = 200

UNANSWERED_STATUSES: Mapping[str, Outcome] = {
    "busy": Outcome.BUSY,
    "no-answer": Outcome.NO_ANSWER,
    "canceled": Outcome.CANCELLED,  # by us, or after 24 hours in Twilio's queue
    "failed": Outcome.FAILED,
}
LIVE_STATUSES: Mapping[str, Phase] = {
    "queued": Phase.DIALING,
    "initiated": Phase.DIALING,
    "ringing": Phase.RINGING,
    "in-progress": Phase.ANSWERED,
}
# Notifications that come after a start was accepted (section 4.4 of the facts).
DEAD_NUMBERS = frozenset({13223, 13224, 21211, 21214, 21217})  # no number, or none that a carrier reaches
COUNTRY_CLOSED = "the country is not opened in the account's geographic permissions"
LATE_REFUSALS: Mapping[int, tuple[RefusalKind, str]] = {
    13227: (RefusalKind.REFUSED, COUNTRY_CLOSED),
    32205: (RefusalKind.REFUSED, COUNTRY_CLOSED),
    21215: (RefusalKind.REFUSED, COUNTRY_CLOSED),
    21216: (RefusalKind.REFUSED, "Twilio blocks calls to this number"),
    32224: (RefusalKind.REFUSED, "a regulation keeps Twilio from dialing it"),
    10001: (RefusalKind.HOLD, "the account is not active"),
    10005: (RefusalKind.HOLD, "voice is switched off for the account"),
    10004: (RefusalKind.THROTTLED, "the account has as many calls at once as it may"),
    20429: (RefusalKind.THROTTLED, "too many requests"),
    20500: (RefusalKind.OUTAGE, "an error within Twilio"),
    20503: (RefusalKind.OUTAGE, "Twilio was not available"),
    32011: (RefusalKind.OUTAGE, "the SIP infrastructure behind Twilio did not answer"),
    32500: (RefusalKind.OUTAGE, "an error within Twilio"),
}
LONGEST_QUEUE = timedelta(hours=23)
"""A call that waited in Twilio's queue for so long was cancelled by its limit of 24 hours, not by people."""
NOT_ALLOWED: Mapping[int, str] = {
    21215: COUNTRY_CLOSED,
    21216: "the account may not call this number (fraud, regulation, or no approved business profile)",
    21219: "a trial account calls verified numbers only",
}

BAD_REQUESTS: Mapping[int, RefusalKind] = {
    21202: RefusalKind.INVALID_NUMBER,  # x11 or premium
    21211: RefusalKind.INVALID_NUMBER,  # not valid, not E.164, or our own
    21214: RefusalKind.INVALID_NUMBER,  # no carrier reaches it
    21217: RefusalKind.INVALID_NUMBER,
    21205: RefusalKind.HOLD,  # our addresses
    21609: RefusalKind.HOLD,
    21210: RefusalKind.HOLD,  # our caller id
    21212: RefusalKind.HOLD,
    # Of this number: the facts hold the account, but a few such numbers must not stop the calls to all others.
    21215: RefusalKind.REFUSED,
    21216: RefusalKind.REFUSED,
    21219: RefusalKind.HOLD,
}
OTHER_REFUSALS: Mapping[int, RefusalKind] = {
    401: RefusalKind.HOLD,  # 20003
    403: RefusalKind.HOLD,  # 10001, 20005: suspended or closed
    429: RefusalKind.THROTTLED,  # 20429: documented as not processed
}
INVALID_CALL_STATE = 21220

DETECTIONS: Mapping[str, str | None] = {"enable": "Enable", "detectmessageend": "DetectMessageEnd", "off": None}
# Whom we called is in our own tables; copies of numbers in every kept payload are not wanted.
PERSONAL = (
    "To", "From", "Called", "Caller", "ForwardedFrom", "CallerName", "to_formatted", "from_formatted",
    "subresource_uris",
)  # fmt: skip

_E164 = re.compile(r"\+[1-9]\d{6,14}")
_ACCOUNT_SID = re.compile(r"AC[0-9a-fA-F]{32}")
_API_KEY = re.compile(r"SK[0-9a-fA-F]{32}")
_APPLICATION_SID = re.compile(r"AP[0-9a-fA-F]{32}")
_CALL_SID = re.compile(r"CA[0-9a-fA-F]{32}")
_SHORT_NUMBER = re.compile(r"[0-9]{1,9}")
_PLACE = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Script:
    """What runs when somebody answers: one of Twilio's three parameters, and what goes into it."""

    parameter: str
    value: str = field(repr=False)

    def with_variables(self, variables: Mapping[str, str]) -> str:
        """An address takes them in its query, a TwiML text where it has `{{name}}`; an application takes none.

        Raises InvalidValue for a TwiML text that has become longer than Twilio takes.
        """
        if self.parameter == "Twiml":
            text = _PLACE.sub(lambda one: escape(variables[one[1]]) if one[1] in variables else one[0], self.value)
            if len(text) > LONGEST_TWIML:
                right = f"at most {LONGEST_TWIML} with the variables of a lead"
                raise InvalidValue("TWILIO_TWIML", f"{len(text)} characters", right)
            return text
        if self.parameter != "Url":
            return self.value
        parts = urlsplit(self.value)
        added = urlencode(variables)
        query = f"{parts.query}&{added}" if parts.query else added
        return urlunsplit((parts.scheme, parts.netloc, parts.path, query, parts.fragment))


@dataclass(frozen=True, slots=True)
class Account:
    """Who we are at Twilio. `user` and `password` sign requests; `auth_token` and `webhook_key` prove webhooks."""

    sid: str
    user: str
    password: SecretStr
    auth_token: SecretStr | None
    webhook_key: SecretStr | None
    from_number: str
    script: Script
    detection: str | None
    on_machine: Script | None = None
    """What a machine that picked up is given to hear instead; None, with `hangs_up_on_machine`, the end."""
    hangs_up_on_machine: bool = True

    @property
    def has_api_key(self) -> bool:
        return self.user != self.sid


def open_provider(keys: Keys, wiring: Wiring) -> Provider:
    """The adapter, with its keys read and their shapes verified. Raises InvalidValue."""
    base = read_address(
        "TWILIO_BASE_URL", keys.text("TWILIO_BASE_URL") or DEFAULT_BASE, allow_hosts=wiring.allow_hosts
    )
    return Twilio(_read_account(keys), base, wiring)


def _read_account(keys: Keys) -> Account:
    by_key = keys.text("TWILIO_API_KEY") or keys.text("TWILIO_API_SECRET")
    signing = ("TWILIO_API_KEY", "TWILIO_API_SECRET") if by_key else ("TWILIO_AUTH_TOKEN",)
    sid, from_number, *signed = keys.need("twilio", "TWILIO_ACCOUNT_SID", "TWILIO_FROM_NUMBER", *signing)
    if not _ACCOUNT_SID.fullmatch(sid):
        raise InvalidValue("TWILIO_ACCOUNT_SID", "(not shown)", "write AC and 32 hexadecimal digits")
    if by_key and not _API_KEY.fullmatch(signed[0]):
        raise InvalidValue("TWILIO_API_KEY", "(not shown)", "write SK and 32 hexadecimal digits")
    if not _E164.fullmatch(from_number):
        raise InvalidValue("TWILIO_FROM_NUMBER", from_number, "write it as +14155550123")
    return Account(
        sid=sid,
        user=signed[0] if by_key else sid,
        password=SecretStr(signed[-1]),
        auth_token=keys.secret("TWILIO_AUTH_TOKEN"),
        webhook_key=keys.secret("TWILIO_WEBHOOK_KEY"),
        from_number=from_number,
        script=_read_script(keys),
        detection=_read_detection(keys.text("TWILIO_MACHINE_DETECTION") or "Enable"),
        on_machine=_read_on_machine(keys.text("TWILIO_ON_MACHINE") or "hangup"),
        hangs_up_on_machine=(keys.text("TWILIO_ON_MACHINE") or "hangup").lower() == "hangup",
    )


def _read_script(keys: Keys) -> Script:
    names = {"TWILIO_TWIML_URL": "Url", "TWILIO_TWIML": "Twiml", "TWILIO_APPLICATION_SID": "ApplicationSid"}
    written = {name: text for name in names if (text := keys.text(name)) is not None}
    if len(written) != 1:
        raise InvalidValue(
            "TWILIO_TWIML_URL, TWILIO_TWIML and TWILIO_APPLICATION_SID", sorted(written),
            "set exactly one of them: it is what runs when somebody answers",
        )
    [(name, text)] = written.items()
    match names[name]:
        case "Url" if not _is_script_address(text):
            raise InvalidValue(name, "(not shown)", "write an address such as https://example.com/script")
        case "Twiml" if len(text) > LONGEST_TWIML or not text.startswith("<"):
            raise InvalidValue(name, f"{len(text)} characters", f"write TwiML of at most {LONGEST_TWIML} characters")
        case "ApplicationSid" if not _APPLICATION_SID.fullmatch(text):
            raise InvalidValue(name, text, "write AP and 32 hexadecimal digits")
    return Script(names[name], text)


def _read_detection(written: str) -> str | None:
    if written.lower() not in DETECTIONS:
        raise InvalidValue("TWILIO_MACHINE_DETECTION", written, "write Enable, DetectMessageEnd or off")
    return DETECTIONS[written.lower()]


def _read_on_machine(written: str) -> Script | None:
    """Other instructions, or None for one of the two words."""
    if written.lower() in ("hangup", "continue"):
        return None
    if written.startswith("<") and len(written) <= LONGEST_TWIML:
        return Script("Twiml", written)
    if _is_script_address(written):
        return Script("Url", written)
    raise InvalidValue(
        "TWILIO_ON_MACHINE", "(not shown)",
        f"write hangup, continue, an address of TwiML, or TwiML of at most {LONGEST_TWIML} characters",
    )


def _script_of_agent(agent_id: str) -> Script:
    """A campaign's own script. Raises InvalidValue."""
    if _APPLICATION_SID.fullmatch(agent_id):
        return Script("ApplicationSid", agent_id)
    if _is_script_address(agent_id):
        return Script("Url", agent_id)
    raise InvalidValue("agent_id", "(not shown)", "write the sid of an application (AP...) or an address of TwiML")


def _is_script_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc and " " not in text


class Memory:
    """What this process knows of its own calls: which attempt each belongs to, what answered it, whether it is
    completed. The oldest calls are forgotten.
    """

    def __init__(self) -> None:
        self._refs: OrderedDict[str, str] = OrderedDict()
        self._answers: OrderedDict[str, str] = OrderedDict()
        self._completed: OrderedDict[str, str] = OrderedDict()
        self._machines: OrderedDict[str, str] = OrderedDict()
        self._lock = Lock()

    def note_call(self, call_id: str, attempt_ref: str) -> None:
        self._note(self._refs, call_id, attempt_ref)

    def ref_of(self, call_id: str) -> str | None:
        with self._lock:
            return self._refs.get(call_id)

    def note_answer(self, call_id: str, answered_by: str) -> None:
        if _outcome_of_machine(self.answered_by(call_id)) is None:  # a machine stays one, whatever else is said
            self._note(self._answers, call_id, answered_by)

    def answered_by(self, call_id: str) -> str | None:
        with self._lock:
            return self._answers.get(call_id)

    def note_completed(self, call_id: str) -> None:
        self._note(self._completed, call_id, call_id)

    def is_completed(self, call_id: str) -> bool:
        with self._lock:
            return call_id in self._completed

    def is_first_sight_of_machine(self, call_id: str) -> bool:
        """Is it for us to deal with the machine? Of several that ask, one is told so, once."""
        with self._lock:
            if call_id in self._machines or call_id in self._completed:
                return False
        self._note(self._machines, call_id, call_id)
        return True

    def forget_machine(self, call_id: str) -> None:
        with self._lock:
            self._machines.pop(call_id, None)

    def _note(self, known: OrderedDict[str, str], call_id: str, what: str) -> None:
        with self._lock:
            known[call_id] = what
            known.move_to_end(call_id)
            while len(known) > MOST_CLAIMS:
                known.popitem(last=False)


class Twilio:
    """The adapter for the account of `TWILIO_ACCOUNT_SID`."""

    name = "twilio"
    cost_unit: str | None = None
    finds_by_ref: bool
    """Is every call announced to our webhook, so that one that no list shows was not made? A call of an application
    is not: Twilio ignores our callback, and what detection reports comes only once somebody has answered. As soon as
    a campaign dials with one, nothing is proof here any more, for `find` is not told which campaign asks.
    """
    waits = True
    listing_lag = timedelta(seconds=60)
    calls_per_second: float | None = 1.0  # a default account creates one call a second, and queues the rest for hours

    def __init__(self, account: Account, base: str, wiring: Wiring) -> None:
        self._account, self._wiring = account, wiring
        self._client = HttpClient(
            base, places=wiring.places, request_timeout=wiring.request_timeout,
            basic=(account.user, account.password.get_secret_value()), allow_hosts=wiring.allow_hosts,
        )  # fmt: skip
        self._memory = Memory()
        self._aside = ThreadPoolExecutor(1, "twilio-machines")
        self.finds_by_ref = self._hook_url() is not None and account.script.parameter != "ApplicationSid"
        self._turn = 0

    def place(self, request: DialRequest) -> DialAnswer:
        try:
            form = self._start_form(request)
        except (InvalidValue, TypeError, ValueError, RecursionError) as error:
            return Refused(RefusalKind.REFUSED, f"the start request cannot be written: {_told(error)}")
        if "ApplicationSid" in form:
            self.finds_by_ref = False
        answer = self._client.start("Twilio", "POST", self._path("Calls.json"), data=form)
        if not isinstance(answer, Answer):
            return answer
        told = read_start_answer(answer)
        if isinstance(told, Accepted):
            self._memory.note_call(told.call_id, request.attempt_ref)
        return told

    def poll(self, calls: Sequence[CallKey], now: datetime) -> dict[str, CallReport | None]:
        refs = {call.call_id: call.attempt_ref for call in calls if call.call_id is not None}
        for call_id, attempt_ref in refs.items():
            self._memory.note_call(call_id, attempt_ref)
        found: dict[str, CallReport | None] = {}
        try:
            if len(refs) > FEW_CALLS:
                self._poll_listed(refs, now, found)
            for call_id in self._next_single([one for one in refs if one not in found]):
                found[call_id] = self._look_at(call_id, refs[call_id], now)
        except ProviderError:
            if not found:
                raise
        return found  # after an error, what was learnt counts; the rest is asked for again at the next poll

    def find(self, call: CallKey, now: datetime) -> CallReport | None:
        about = f"call {call.attempt_ref}"
        if call.placed_at is None:
            raise ProviderError(
                f"Twilio finds a call by number and time alone, and {about} has no time: look for it in the console",
                permanent=True,
            )
        row = self._own_among(self._possible_calls(call, call.placed_at, about), call, now, about)
        if row is None:
            return None
        report = self._report_of_row(row, call.attempt_ref)
        if report is None:
            raise ProviderError(f"Twilio was asked for {about}, and its answer cannot be read")
        self._memory.note_call(report.call_id, call.attempt_ref)
        return report

    def take_back(self, call_id: str) -> bool:
        about = f"call {call_id} out of the queue"
        row = self._fetch(call_id, about)
        if row is None or read_word(row.get("status")) != "queued":
            return False
        answer = self._look_up(about, "POST", self._call_path(call_id), data={"Status": "canceled"})
        return answer.status == 200 and answer.document().get("status") == "canceled"

    def hang_up(self, call_id: str) -> bool:
        about = f"the end of call {call_id}"
        for _ in range(3):  # it may be answered, or end, between the look and the request
            row = self._fetch(call_id, about)
            status = read_word(row.get("status")) if row else None
            if row is None or status is None or _is_over(_sight_of_row(status, row)):
                return False
            word = "canceled" if LIVE_STATUSES.get(status) in (Phase.DIALING, Phase.RINGING) else "completed"
            answer = self._look_up(about, "POST", self._call_path(call_id), data={"Status": word})
            left = answer.document()
            if answer.status == 200 and (word == "completed" or left.get("status") != "in-progress"):
                return True
            if _error_code(answer, 404) is not None:
                return False
            if status not in LIVE_STATUSES and _error_code(answer, 400) == INVALID_CALL_STATE:
                return False  # by a word that nobody knows, it was over
            if answer.status != 200 and _error_code(answer, 400) != INVALID_CALL_STATE:
                raise unusable("Twilio", about, answer)
        raise ProviderError(f"Twilio was asked for {about}, but the call goes on; it can be asked again")

    def glance(self, hook: Hook, now: datetime) -> None:
        require_twilio(hook, now)

    def receive(self, hook: Hook, now: datetime) -> Sequence[ProviderEvent]:
        fields = self._proven_fields(hook)
        account = read_word(fields.get("AccountSid"))
        if account is None:
            raise HookRefused(400, "the webhook names no account")
        if account != self._account.sid:
            raise HookRefused(403, "the webhook is of another account")
        written_at = read_instant(fields.get("Timestamp"))
        if written_at is not None and now - written_at > OLDEST_EVENT:
            raise HookRefused(401, "the webhook is too old")
        return self._events_in(fields, _ref_in(hook.url))

    def read_event(self, event: ProviderEvent) -> CallReport | None:
        if event.call_id is None:
            return None
        status, answered_by = (read_word(event.payload.get(name)) for name in ("CallStatus", "AnsweredBy"))
        if answered_by is not None:
            self._memory.note_answer(event.call_id, answered_by)
        if status is None:
            return self._read_detection(event, event.call_id, answered_by)
        sight = _sight_of_event(status, event.payload)
        if self._is_answer_awaited(event.call_id, sight) and sight.talk_seconds:
            self._memory.note_completed(event.call_id)
            return None  # a machine may have answered, which only the call itself tells: detection reports apart
        return self._report(event.call_id, event.attempt_ref, sight, event.payload)

    def read_vitals(self) -> Vitals | None:
        document = self._fetch_account()
        if document is None:
            return None
        return Vitals(problem=_problem_of(document))

    def inspect(self, agents: Collection[str], numbers: Collection[str]) -> Sequence[Inspection]:
        found = [*self._verify("the keys", self._inspect_keys), *self._verify("the account", self._inspect_account)]
        if any(one.standing is Standing.PROBLEM for one in found):
            return found  # whatever else is asked would fail for the same reason
        found += self._inspect_hooks()
        found += self._verify("the script", lambda: self._inspect_script("the account's script", self._account.script))
        for agent in sorted(agents):
            found += self._verify(f"agent {_bare(agent)}", lambda agent=agent: self._inspect_agent(agent))
        for number in sorted({self._account.from_number, *numbers}):
            found += self._verify(
                f"the caller id {number}", lambda number=number: self._inspect_number(number)
            )
        return [*found, *self._verify("the balance", self._inspect_balance)]

    def close(self) -> None:
        self._aside.shutdown()
        self._client.close()

    # --- starting --------------------------------------------------------------------------------

    def _start_form(self, request: DialRequest) -> dict[str, Any]:
        script = _script_of_agent(request.agent_id) if request.agent_id else self._account.script
        form: dict[str, Any] = {
            "To": request.number,
            "From": request.from_number or self._account.from_number,
            "Timeout": str(min(_whole_seconds(request.ring_timeout), LONGEST_RING_SECONDS)),
            "TimeLimit": str(_whole_seconds(request.max_duration)),
            script.parameter: script.with_variables(_variables_of(request)),
        }
        hook_url = self._hook_url()
        here = f"{hook_url}?{urlencode({'ref': request.attempt_ref})}" if hook_url else None
        if here and script.parameter != "ApplicationSid":  # which brings its own callback, and has ours ignored
            form |= {"StatusCallback": here, "StatusCallbackMethod": "POST", "StatusCallbackEvent": list(EVENTS)}
        if self._account.detection:
            form |= {"MachineDetection": self._account.detection, "AsyncAmd": "true"}
            if here:
                form |= {"AsyncAmdStatusCallback": here, "AsyncAmdStatusCallbackMethod": "POST"}
        return form

    def _hook_url(self) -> str | None:
        """Where Twilio may post to: nowhere, if nothing here could prove what it posts."""
        may_prove = self._account.auth_token or self._account.webhook_key
        return self._wiring.hook_url(self.name) if may_prove else None

    # --- asking ----------------------------------------------------------------------------------

    def _poll_listed(self, refs: Mapping[str, str], now: datetime, found: dict[str, CallReport | None]) -> None:
        """From the list of today's and yesterday's calls, as Twilio counts days; newest first."""
        wanted = {"StartTime>": (now - timedelta(days=1)).date().isoformat(), "PageSize": str(PAGE_SIZE)}
        pages = self._pages(f"the state of {len(refs)} calls", wanted)
        for page in islice(pages, MOST_PAGES):
            for row in page:
                call_id = read_word(row.get("sid"))
                if call_id is not None and call_id in refs:
                    report = self._report_of_row(row, refs[call_id])
                    if report is not None:
                        found[call_id] = self._awaiting_why(report, now)
                        self._see_to_machine(row, report)
            if len(found) == len(refs):
                return

    def _next_single(self, missing: Sequence[str]) -> Sequence[str]:
        """As many as one poll asks for singly, another part of them each time."""
        if len(missing) <= MOST_SINGLE:
            return missing
        begin = self._turn % len(missing)
        self._turn += MOST_SINGLE
        return [*missing[begin:], *missing[:begin]][:MOST_SINGLE]

    def _look_at(self, call_id: str, attempt_ref: str, now: datetime) -> CallReport | None:
        about = f"the state of call {attempt_ref}"
        row = self._fetch(call_id, about)
        if row is None:
            return None
        report = self._report_of_row(row, attempt_ref)
        if report is None:
            raise ProviderError(f"Twilio was asked for {about}, and its answer cannot be read")
        self._see_to_machine(row, report)
        return self._awaiting_why(report, now)

    def _awaiting_why(self, report: CallReport, now: datetime) -> CallReport:
        """A call that failed, and of which a webhook is about to say why: that may be no fault of the number's."""
        at = report.ended_at
        is_due = self._hook_url() is not None and at is not None and now < at + WHY_WITHIN
        if report.outcome is not Outcome.FAILED or report.provider_status != "failed" or report.is_final or not is_due:
            return report
        return CallReport(report.call_id, Phase.DIALING, report.attempt_ref, provider_status=report.provider_status)

    # --- machines --------------------------------------------------------------------------------

    def _see_to_machine(self, row: Mapping[str, Any], report: CallReport) -> None:
        """A call that is polled, and that a machine has answered. Its webhook may have been the first to say so."""
        said = (read_word(row.get("answered_by")), self._memory.answered_by(report.call_id))
        is_ours_to_do = self._account.hangs_up_on_machine or self._hook_url() is None  # else its webhook has it done
        if is_ours_to_do and report.phase is Phase.ANSWERED and any(map(_outcome_of_machine, said)):
            self._deal_with_machine(report.call_id, report.attempt_ref)

    def _deal_with_machine(self, call_id: str, attempt_ref: str | None) -> None:
        """End the call, or give it other instructions, as the settings want it; what fails, at the next poll again."""
        if self._account.hangs_up_on_machine:
            form = {"Status": "completed"}
        elif (script := self._account.on_machine) is not None:
            form = {script.parameter: script.with_variables({"ref": attempt_ref or ""})}
        else:
            return
        if not self._memory.is_first_sight_of_machine(call_id):
            return
        try:
            answer = self._look_up("the end of a call to a machine", "POST", self._call_path(call_id), data=form)
            is_done = answer.status == 200 or _error_code(answer, 400) == INVALID_CALL_STATE
        except ProviderError:
            is_done = False
        if not is_done:
            self._memory.forget_machine(call_id)

    # --- asking for one --------------------------------------------------------------------------

    def _fetch(self, call_id: str, about: str) -> dict[str, Any] | None:
        """The call, or None when Twilio itself says that there is none."""
        answer = self._look_up(about, "GET", self._call_path(call_id))
        if _error_code(answer, 404) is not None:
            return None
        row = answer.document()
        if answer.status != 200 or read_word(row.get("sid")) is None:
            raise unusable("Twilio", about, answer)
        return row

    def _calls_to(self, number: str, more: Mapping[str, str], about: str) -> Iterator[dict[str, Any]]:
        # Without StartTime, which a queued call does not have, and without From, which a campaign may have chosen.
        for count, page in enumerate(self._pages(about, {"To": number, **more, "PageSize": str(PAGE_SIZE)})):
            if count == MOST_PAGES:
                raise ProviderError(f"Twilio lists too many calls to find {about} among them", permanent=True)
            yield from (row for row in page if _is_to(row, number))

    def _pages(self, about: str, wanted: Mapping[str, str]) -> Iterator[list[dict[str, Any]]]:
        path, content = self._path("Calls.json"), {"params": dict(wanted)}
        while True:
            answer = self._look_up(about, "GET", path, **content)
            document = answer.document()
            yield self._rows(answer, document, "calls", about)
            after = document.get("next_page_uri")
            if not after:
                return
            if not isinstance(after, str) or not self._is_own_page(after):
                raise unusable("Twilio", about, answer)
            path, content = after, {}

    def _is_own_page(self, address: str) -> bool:
        """Is it a page of our own calls, at the same host? Our keys go nowhere else."""
        return address.startswith(self._path("Calls.json")) and address.isascii() and address.isprintable()

    @staticmethod
    def _rows(answer: Answer, document: Mapping[str, Any], name: str, about: str) -> list[dict[str, Any]]:
        rows = document.get(name)
        if answer.status != 200 or not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise unusable("Twilio", about, answer)
        return rows

    def _look_up(self, about: str, method: str, path: str, **content: Any) -> Answer:
        return self._client.look_up("Twilio", about, method, path, **content)

    def _path(self, tail: str) -> str:
        return f"{VERSION}/Accounts/{self._account.sid}/{tail}"

    def _call_path(self, call_id: str) -> str:
        return self._path(f"Calls/{quote(call_id, safe='')}.json")

    # --- finding ---------------------------------------------------------------------------------

    def _possible_calls(self, call: CallKey, placed_at: datetime, about: str) -> list[dict[str, Any]]:
        """Those that could be the one, also where a list by number alone hides what was not dialed yet."""
        for more in LISTS_OF_A_NUMBER:
            possible = [
                row for row in self._calls_to(call.number, more, about)
                if self._is_possible(row, placed_at) and self._owner(row) in (None, call.attempt_ref)
            ]  # fmt: skip
            if possible:
                return possible
        return []

    def _is_possible(self, row: Mapping[str, Any], placed_at: datetime) -> bool:
        """Could this be the call that was asked for then? What cannot be read could."""
        if row.get("direction", "outbound-api") != "outbound-api":
            return False
        made_at = read_instant(row.get("date_created"))
        return made_at is None or placed_at - EARLY <= made_at <= placed_at + self._wiring.request_timeout + LATE

    def _owner(self, row: Mapping[str, Any]) -> str | None:
        return self._memory.ref_of(read_word(row.get("sid")) or "")

    def _own_among(
        self, possible: Sequence[dict[str, Any]], call: CallKey, now: datetime, about: str
    ) -> dict[str, Any] | None:
        """The call itself, or None for none. Raises ProviderError, a permanent one where people must decide."""
        ours = [row for row in possible if self._owner(row) == call.attempt_ref]
        proofs = [self._proof(row, call, about) for row in possible] if not ours else []
        ours = ours or [row for row, proof in zip(possible, proofs, strict=True) if proof]
        if len(ours) > 1:
            raise ProviderError(
                f"{len(ours)} calls at Twilio carry {call.attempt_ref}: people must decide which is meant, in the "
                "console", permanent=True,
            )
        if ours:
            return ours[0]
        left = [row for row, proof in zip(possible, proofs, strict=True) if proof is None]
        if not left or (self._is_announced(call) and all(_had_its_say(row, now) for row in left)):
            return None
        if self._is_announced(call):
            raise ProviderError(f"a call at Twilio could be {call.attempt_ref}: it may announce itself yet")
        raise ProviderError(
            f"a call at Twilio could be {call.attempt_ref}, but nothing proves it: look in the console, and say what "
            "became of it with `ringback calls resolve`", permanent=True,
        )

    def _is_announced(self, call: CallKey) -> bool:
        """Does Twilio post to us, with our reference, what becomes of this call?"""
        return self._hook_url() is not None and self._script(call).parameter != "ApplicationSid"

    def _script(self, call: CallKey) -> Script:
        try:
            return _script_of_agent(call.agent_id) if call.agent_id else self._account.script
        except InvalidValue:
            return self._account.script

    def _proof(self, row: Mapping[str, Any], call: CallKey, about: str) -> bool | None:
        """Is it our call? Told by the requests that Twilio made for it, which it lists 15 minutes after its end
        (www.twilio.com/docs/voice/api/call-event-resource). None: they do not tell, or not yet.
        """
        call_id, status = read_word(row.get("sid")), read_word(row.get("status"))
        if call_id is None or status is None or not _is_over(_sight_of_row(status, row)):
            return None
        answer = self._look_up(about, "GET", self._path(f"Calls/{quote(call_id, safe='')}/Events.json"))
        events = answer.document().get("events") if answer.status == 200 else None
        asked = [
            url for event in (events if isinstance(events, list) else [])
            if isinstance(event, dict) and isinstance(event.get("request"), dict)
            and isinstance(url := event["request"].get("url"), str)
        ]
        if any(_ref_in(url) == call.attempt_ref for url in asked):
            return True
        says_ref = self._is_announced(call) or self._script(call).parameter == "Url"
        return False if asked and says_ref else None

    # --- reading ---------------------------------------------------------------------------------

    def _report_of_row(self, row: Mapping[str, Any], attempt_ref: str) -> CallReport | None:
        call_id, status = read_word(row.get("sid")), read_word(row.get("status"))
        if call_id is None or status is None:
            return None
        return self._report(call_id, attempt_ref, self._with_why(call_id, _sight_of_row(status, row)), row)

    def _with_why(self, call_id: str, sight: Sight) -> Sight:
        """With the code of the error that a call failed by. A call tells none itself; what was noted of it does."""
        if sight.status != "failed" or sight.error_code is not None or sight.sip is not None:
            return sight
        try:
            answer = self._look_up(
                "why a call failed", "GET", self._path(f"Calls/{quote(call_id, safe='')}/Notifications.json")
            )
        except ProviderError:
            return sight
        notes = answer.document().get("notifications") if answer.status == 200 else None
        codes = [
            code for note in (notes if isinstance(notes, list) else [])
            if isinstance(note, dict) and (code := _whole(note.get("error_code"))) is not None
        ]
        known = (code for code in codes if code in DEAD_NUMBERS or code in LATE_REFUSALS)
        return replace(sight, error_code=next(known, codes[0] if codes else None))

    def _read_detection(self, event: ProviderEvent, call_id: str, answered_by: str | None) -> CallReport | None:
        """What answered, told apart from how the call goes: during it, or after it."""
        outcome = _outcome_of_machine(answered_by)
        if outcome is None:
            return CallReport(call_id, Phase.ANSWERED, event.attempt_ref, details=dict(event.payload))
        if not self._memory.is_completed(call_id):
            return None  # it may go on; with its end, this is remembered
        return CallReport(
            call_id, Phase.ENDED, event.attempt_ref, outcome=outcome, provider_status=answered_by,
            details=dict(event.payload), is_final=False,
        )  # fmt: skip

    def _is_answer_awaited(self, call_id: str, sight: Sight) -> bool:
        """Is it a completed call of which detection has not said, or not to us, what answered?"""
        if sight.status != "completed" or not self._account.detection:
            return False
        return sight.answered_by is None and self._memory.answered_by(call_id) is None

    def _is_final(self, call_id: str, sight: Sight) -> bool:
        if sight.status in ("failed", "busy"):
            # The network's own code, which is told there alone, says more.
            return sight.is_callback or sight.error_code is not None or sight.sip is not None
        if sight.status != "completed" or sight.talk_seconds == 0:
            return True
        return sight.cost is not None and not self._is_answer_awaited(call_id, sight)

    def _report(
        self, call_id: str, attempt_ref: str | None, sight: Sight, payload: Mapping[str, Any]
    ) -> CallReport:
        details = scrub(payload, drop=PERSONAL)
        if sight.status == "completed":
            self._memory.note_completed(call_id)
        if not _is_over(sight):
            phase = LIVE_STATUSES.get(sight.status, Phase.DIALING)
            return CallReport(
                call_id, phase, attempt_ref, provider_status=sight.status, details=details,
                known_word=sight.status in LIVE_STATUSES,
                answered_at=sight.at if phase is Phase.ANSWERED else None,
            )  # fmt: skip
        refusal = _refusal_of(sight)
        return CallReport(
            call_id=call_id,
            phase=Phase.ENDED,
            attempt_ref=attempt_ref,
            outcome=None if refusal else self._outcome(call_id, sight),
            provider_status=sight.status,
            known_word=sight.status == "completed" or sight.status in UNANSWERED_STATUSES,
            answered_at=_answered_at(sight),
            ended_at=sight.at,
            talk_seconds=sight.talk_seconds,
            cost=sight.cost,
            cost_unit=sight.cost_unit if sight.cost is not None else None,
            details=details,
            is_final=self._is_final(call_id, sight),
            refusal=refusal,
        )

    def _outcome(self, call_id: str, sight: Sight) -> Outcome:
        if sight.status == "completed":
            machine = _outcome_of_machine(sight.answered_by) or _outcome_of_machine(self._memory.answered_by(call_id))
            return machine or self._outcome_of_talk(sight.talk_seconds)
        refined = outcome_of_sip(sight.sip)
        if sight.status == "busy" and refined is Outcome.HANG_UP:
            return refined
        if sight.status == "failed":
            return Outcome.INVALID_NUMBER if sight.error_code in DEAD_NUMBERS else refined or Outcome.FAILED
        return UNANSWERED_STATUSES.get(sight.status, Outcome.FAILED)

    def _outcome_of_talk(self, talk: int | None) -> Outcome:
        cut = talk is not None and timedelta(seconds=talk) < self._wiring.short_call
        return Outcome.HANG_UP if cut else Outcome.COMPLETED

    # --- webhooks --------------------------------------------------------------------------------

    def _proven_fields(self, hook: Hook) -> Mapping[str, Any]:
        """What was posted, once its signature is right. Raises HookRefused."""
        algorithm = _algorithm_of(hook.headers.get("x-twilio-webhooks-signature-settings", ""))
        secret = self._account.webhook_key if algorithm == "HMAC_SHA256" else self._account.auth_token
        given = hook.headers.get("x-twilio-signature", "")
        if secret is None or algorithm not in _DIGESTS or not given:
            raise HookRefused(401, "the webhook has no signature that can be checked")
        is_form = hook.headers.get("content-type", _FORM).partition(";")[0].strip().lower() == _FORM
        pairs = _form_of(hook.body) if is_form else _hashed_body(hook)
        key = secret.get_secret_value().encode()
        if not any(_matches(given, key, algorithm, url, pairs) for url in _urls_as_signed(hook.url)):
            raise HookRefused(401, "the webhook's signature is wrong")
        return dict(pairs) if is_form else _json_of(hook.body)

    def _events_in(self, fields: Mapping[str, Any], attempt_ref: str | None) -> Sequence[ProviderEvent]:
        call_id = read_word(fields.get("CallSid")) or ""
        status, answered_by = read_word(fields.get("CallStatus")), read_word(fields.get("AnsweredBy"))
        if not _CALL_SID.fullmatch(call_id) or not (status or answered_by):
            return []  # a recording, a message: nothing about how a call goes
        if fields.get("Direction", "outbound-api") != "outbound-api":
            return []  # somebody called us, or a script called somebody else
        if attempt_ref is not None:
            self._memory.note_call(call_id, attempt_ref)
        if answered_by is not None:
            self._memory.note_answer(call_id, answered_by)
            if _outcome_of_machine(answered_by) is not None and (status is None or status in LIVE_STATUSES):
                self._aside.submit(self._deal_with_machine, call_id, attempt_ref)  # Twilio waits for our answer
        number = read_seconds(fields.get("SequenceNumber"))
        if status is None or "MachineDetectionDuration" in fields:  # not counted among the events of the call
            part = f"amd:{answered_by or ''}" + (f":{status}" if status else "")
        else:
            part = f"{status}:{answered_by or ''}" if number is None else str(number)
        kind = f"call {status}" if status else "answering machine detection"
        return [ProviderEvent(f"{call_id}:{part}", kind, scrub(fields, drop=PERSONAL), attempt_ref, call_id)]

    # --- the account -----------------------------------------------------------------------------

    def _fetch_account(self) -> dict[str, Any] | None:
        """The account; None where it may not be read: an API key of the standard kind may not, the token may."""
        token = self._account.auth_token
        own = {"auth": (self._account.sid, token.get_secret_value())} if token is not None else {}
        answer = self._look_up("the account", "GET", f"{VERSION}/Accounts/{self._account.sid}.json", **own)
        if token is None and _error_code(answer, 401) is not None:
            return None
        document = answer.document()
        if answer.status != 200 or read_word(document.get("status")) is None:
            raise unusable("Twilio", "the account", answer)
        return document

    def _inspect_keys(self) -> Iterator[Inspection]:
        answer = self._look_up("a call", "GET", self._path("Calls.json"), params={"PageSize": "1"})
        pair = "TWILIO_API_KEY and TWILIO_API_SECRET" if self._account.has_api_key else "TWILIO_AUTH_TOKEN"
        if answer.status in (401, 403):
            yield _problem(f"Twilio does not take the keys: verify TWILIO_ACCOUNT_SID, {pair}")
            return
        self._rows(answer, answer.document(), "calls", "a call")
        yield _ok("Twilio takes the keys")

    def _inspect_account(self) -> Iterator[Inspection]:
        document = self._fetch_account()
        if document is None:
            yield _warning("the account's state cannot be read with this API key; set TWILIO_AUTH_TOKEN too")
            return
        problem = _problem_of(document)
        yield _problem(problem) if problem else _ok(f"the account is {read_word(document['status'])}")
        if read_word(document.get("type")) == "Trial":
            yield _warning("this is a trial account: it calls verified numbers only, after an announcement")

    def _inspect_hooks(self) -> Iterator[Inspection]:
        public = self._wiring.hook_url(self.name)
        if public is None:
            yield _warning(
                "RINGBACK_PUBLIC_URL is not set: calls are polled, and one whose start went unanswered is found by "
                "its number and time alone, or else taken for a call"
            )
        elif self._hook_url() is None:
            yield _warning(
                "Twilio is told of no webhook, for none could be proven, so a start that went unanswered and is not "
                "found is taken for a call: set TWILIO_AUTH_TOKEN"
            )
        elif "_" in (urlsplit(public).hostname or ""):
            yield _problem("Twilio posts to no host with an underscore in its name: change RINGBACK_PUBLIC_URL")

    def _inspect_agent(self, agent: str) -> Iterator[Inspection]:
        try:
            script = _script_of_agent(agent)
        except InvalidValue as error:
            yield _problem(f"{_bare(agent)!r} is no script at Twilio; {error.right}")
            return
        yield from self._inspect_script(f"agent {_bare(agent)}", script)

    def _inspect_script(self, about: str, script: Script) -> Iterator[Inspection]:
        if script.parameter != "ApplicationSid":
            yield _ok(f"{about} is given as {script.parameter}; whether it works is seen when somebody answers")
            return
        answer = self._look_up(about, "GET", self._path(f"Applications/{script.value}.json"))
        if _error_code(answer, 404) is not None:
            yield _problem(f"{about}: the account has no application {script.value}")
            return
        document = answer.document()
        if answer.status != 200 or read_word(document.get("sid")) is None:
            raise unusable("Twilio", about, answer)
        yield _ok(
            f"{about}: application {script.value} exists; a start of it that goes unanswered and is not found is taken "
            "for a call, because Twilio does not announce its calls to us"
        )
        hook_url = self._hook_url()
        if hook_url and not str(document.get("status_callback") or "").startswith(hook_url):
            yield _warning(
                f"{about}: Twilio ignores our webhook for calls of an application; set its status callback to "
                f"{hook_url}"
            )

    def _inspect_number(self, number: str) -> Iterator[Inspection]:
        about = f"the caller id {number}"
        for list_path, name in (
            ("IncomingPhoneNumbers.json", "incoming_phone_numbers"),
            ("OutgoingCallerIds.json", "outgoing_caller_ids"),
        ):
            answer = self._look_up(about, "GET", self._path(list_path), params={"PhoneNumber": number})
            for row in self._rows(answer, answer.document(), name, about):
                if row.get("phone_number") == number:  # the filter takes parts of numbers too
                    yield _of_number(number, row)
                    return
        yield _problem(f"{number} is neither a number of the account nor a verified caller id: buy or verify it")

    def _inspect_balance(self) -> Iterator[Inspection]:
        answer = self._look_up("the balance", "GET", self._path("Balance.json"))
        balance = read_decimal(answer.document().get("balance"))
        if answer.status == 200 and balance is not None and balance <= 0:
            yield _warning("the account's balance is used up: calls may be refused")

    @staticmethod
    def _verify(about: str, look: Any) -> list[Inspection]:
        found: list[Inspection] = []
        try:
            found.extend(look())
        except ProviderError as error:
            found.append(Inspection(
                Standing.PROBLEM if error.permanent else Standing.WARNING, f"{about} could not be verified: {error}"
            ))
        return found


def read_start_answer(answer: Answer) -> DialAnswer:
    """Accepted with an id, refused in Twilio's own form, or nobody can say."""
    if answer.is_success:
        call_id = answer.document().get("sid")
        if isinstance(call_id, str) and _CALL_SID.fullmatch(call_id):
            return Accepted(call_id)
        return Unanswered("Twilio answered success without a call id")
    code = _error_code(answer, answer.status)
    kind = _refusal_kind(answer, code)
    if kind is None:
        return Unanswered(f"Twilio answered {answer.status}, which proves nothing")
    wait = answer.retry_after() if kind is RefusalKind.THROTTLED else None
    message = _without_numbers(read_text(answer.document().get("message")) or "")
    what = f"{answer.status}, code {code}" if code is not None else str(answer.status)
    told = filter(None, (f"Twilio refused it ({what})", NOT_ALLOWED.get(code or 0), message))
    return Refused(kind, ": ".join(told)[:LONGEST_REASON], wait)


def _refusal_kind(answer: Answer, code: int | None) -> RefusalKind | None:
    """A validation error made no call, whatever its code: Twilio splits codes into new ones.

    A wrong key and a pace that is too high are no call either, whoever says it; a page made for people excepted.
    """
    if answer.status == 400:
        return BAD_REQUESTS.get(code, RefusalKind.REFUSED) if code is not None else None
    return None if _is_page(answer) else OTHER_REFUSALS.get(answer.status)


def _is_page(answer: Answer) -> bool:
    kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return kind == "text/html" or answer.body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")


def _error_code(answer: Answer, status: int) -> int | None:
    """The code of an error `status` in Twilio's own form; None for a page that a proxy could have written."""
    document = answer.document()
    if answer.status != status or _whole(document.get("status")) != status:
        return None
    return _whole(document.get("code")) if isinstance(document.get("message"), str) else None


def _whole(value: Any) -> int | None:
    """A whole number, also one written as text."""
    if isinstance(value, str) and _SHORT_NUMBER.fullmatch(value):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


@dataclass(frozen=True, slots=True)
class Sight:
    """A call as a list, an answer or a callback tells it. `at`: when this became so."""

    status: str
    at: datetime | None
    answered_by: str | None
    talk_seconds: int | None
    sip: int | None = None
    error_code: int | None = None
    cost: Decimal | None = None
    cost_unit: str | None = None
    is_callback: bool = False
    has_ended: bool = False
    """Has it the time of its end, or a length?"""
    queued: timedelta | None = None


def _is_over(sight: Sight) -> bool:
    """A status that nobody knows may be of a call that still rings: without a sign of an end it ends nothing."""
    if sight.status in LIVE_STATUSES:
        return False
    if sight.status == "completed" or sight.status in UNANSWERED_STATUSES or sight.has_ended:
        return True
    signs = (sight.talk_seconds or None, sight.cost, sight.sip, sight.error_code)
    return any(sign is not None for sign in signs)


def _had_its_say(row: Mapping[str, Any], now: datetime) -> bool:
    """Is it over for so long that every webhook of it would have come?"""
    sight = _sight_of_row(read_word(row.get("status")) or "", row)
    return _is_over(sight) and sight.at is not None and sight.at + ANNOUNCED_WITHIN <= now


def _sight_of_row(status: str, row: Mapping[str, Any]) -> Sight:
    # end_time is empty after calls that nobody answered, and start_time is when Twilio dialed.
    live = status in LIVE_STATUSES
    waited = read_seconds(row.get("queue_time"))
    price = read_decimal(row.get("price"))
    cost, unit = read_money(None if price is None else abs(price), row.get("price_unit"))  # a charge is negative there
    return Sight(
        status,
        None if live else read_instant(row.get("end_time")) or read_instant(row.get("date_updated")),
        read_word(row.get("answered_by")),
        read_seconds(row.get("duration")),
        sip=_whole(row.get("sip_response_code")),
        error_code=_whole(row.get("error_code")),
        has_ended=read_instant(row.get("end_time")) is not None,
        queued=None if waited is None else timedelta(milliseconds=waited),
        cost=cost,
        cost_unit=unit,
    )


def _sight_of_event(status: str, fields: Mapping[str, Any]) -> Sight:
    return Sight(
        status,
        read_instant(fields.get("Timestamp")),
        read_word(fields.get("AnsweredBy")),
        read_seconds(fields.get("CallDuration")),
        sip=read_seconds(fields.get("SipResponseCode")),
        error_code=read_seconds(fields.get("ErrorCode")),
        is_callback=True,
    )


def _outcome_of_machine(answered_by: str | None) -> Outcome | None:
    """The outcome by what answered; None where it was a person, or nobody knows."""
    if answered_by is not None and answered_by.startswith("machine"):  # the resource may say it bare
        return Outcome.VOICEMAIL
    return Outcome.INVALID_NUMBER if answered_by == "fax" else None


def _answered_at(sight: Sight) -> datetime | None:
    if sight.status != "completed" or not sight.at or not sight.talk_seconds:
        return None
    try:
        return sight.at - timedelta(seconds=sight.talk_seconds)
    except OverflowError:
        return None


def _refusal_of(sight: Sight) -> Refused | None:
    if sight.status == "canceled" and sight.queued is not None and sight.queued >= LONGEST_QUEUE:
        return Refused(RefusalKind.THROTTLED, "Twilio did not dial it: it was in the queue for as long as it may")
    if sight.status != "failed":
        return None
    if (late := LATE_REFUSALS.get(sight.error_code or 0)) is not None:
        kind, why = late
        return Refused(kind, f"Twilio did not dial it (error {sight.error_code}): {why}")
    if is_outage(None, sight.sip):
        return Refused(RefusalKind.OUTAGE, f"the network behind Twilio did not take the call (SIP {sight.sip})")
    return None


# --- the signature, as twilio 9.13.0 computes it in request_validator.py

_FORM = "application/x-www-form-urlencoded"
_DIGESTS = {"HMAC_SHA1": hashlib.sha1, "HMAC_SHA256": hashlib.sha256}


def _algorithm_of(settings: str) -> str:
    """From `key=...,algorithm=HMAC_SHA256`; without it, a signature is made with the auth token and SHA-1."""
    for part in settings.split(","):
        name, _, value = part.partition("=")
        if name.strip() == "algorithm" and value.strip():
            return value.strip().upper()
    return "HMAC_SHA1"


def _matches(given: str, key: bytes, algorithm: str, url: str, pairs: Iterable[tuple[str, str]]) -> bool:
    signed = url + "".join(name + value for name, value in sorted(set(pairs)))
    digest = hmac.new(key, signed.encode("utf-8", "replace"), _DIGESTS[algorithm]).digest()
    return hmac.compare_digest(base64.b64encode(digest), given.strip().encode("utf-8", "replace"))


def _urls_as_signed(url: str) -> list[str]:
    """As it was called, and with or without its port: Twilio is not of one mind about it."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return [url]
    if port is None:
        netloc = f"{parts.netloc}:{443 if parts.scheme == 'https' else 80}"
    else:
        netloc = parts.netloc.rpartition(":")[0]
    before, mark, after = url.partition("://")
    return [url, f"{before}{mark}{netloc}{after[len(parts.netloc):]}"]


def _form_of(body: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError as error:
        raise HookRefused(401, "the webhook is no form that could have been signed") from error


def _hashed_body(hook: Hook) -> list[tuple[str, str]]:
    """A body that is no form is signed by its hash in the address, and adds nothing to what is signed."""
    given = _query_of(hook.url).get("bodySHA256", [""])[0]
    digest = hashlib.sha256(hook.body).hexdigest()
    if not hmac.compare_digest(digest.encode(), given.lower().encode("utf-8", "replace")):
        raise HookRefused(401, "the webhook's body is not the one that was signed")
    return []


def _json_of(body: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise HookRefused(400, "the webhook is neither a form nor a JSON object")
    return fields


def _ref_in(url: str) -> str | None:
    refs = _query_of(url).get("ref", [])
    return read_word(refs[0]) if len(refs) == 1 else None


def _query_of(url: str) -> dict[str, list[str]]:
    try:
        return parse_qs(urlsplit(url).query, max_num_fields=MOST_FIELDS)
    except ValueError:
        return {}


# --- small things


def _variables_of(request: DialRequest) -> dict[str, str]:
    """What a script is told: the lead's variables, and by what names it can report what it learnt."""
    ids = {"lead_id": request.lead_id, "campaign_id": request.campaign_id}
    return {
        **variables_as_text(request.variables),
        **{name: str(value) for name, value in ids.items() if value is not None},
        "ref": request.attempt_ref,
    }


def _whole_seconds(span: timedelta) -> int:
    return max(1, math.ceil(span.total_seconds()))


def _is_to(row: Mapping[str, Any], number: str) -> bool:
    """The list is already of one number; a row that says otherwise in so many digits is not believed."""
    return not isinstance(row.get("to"), str) or _digits(row["to"]) == _digits(number)


def _digits(text: str) -> str:
    return re.sub(r"\D", "", text)


def _without_numbers(text: str) -> str:
    """A vendor's text without addresses, which hold a lead's variables, and without long runs of digits."""
    return LONG_NUMBER.sub("(number)", _ADDRESS.sub("(address)", text))


def _bare(agent: str) -> str:
    """An address without its query, which may hold a secret."""
    return agent.partition("?")[0]


def _told(error: Exception) -> str:
    return str(error) if isinstance(error, InvalidValue) else name_of(error)


def _problem_of(account: Mapping[str, Any]) -> str | None:
    status = read_word(account.get("status"))
    return f"the Twilio account is {status}" if status in ("suspended", "closed") else None


def _of_number(number: str, row: Mapping[str, Any]) -> Inspection:
    capabilities = row.get("capabilities")
    if isinstance(capabilities, Mapping) and capabilities.get("voice") is False:
        return _problem(f"{number} is a number of the account, but not for voice")
    return _ok(f"{number} may be used as caller id")


def _problem(sentence: str) -> Inspection:
    return Inspection(Standing.PROBLEM, sentence)


def _warning(sentence: str) -> Inspection:
    return Inspection(Standing.WARNING, sentence)


def _ok(sentence: str) -> Inspection:
    return Inspection(Standing.OK, sentence)
