"""The home-made dialer: any program that takes `POST {base}/calls/originate` and tells what became of a call.

Decided here: the reading of the format that `docs/http_dialer.md` describes to those who write such a dialer.
Old dialers know three fields of a start (`campaign_id`, `contact_id`, `phone_number`) and one of its answer (an
id), and that is enough; everything else makes a lost answer shorter or a report richer.

What must stay true: *refused* needs the dialer's own JSON. An answer that speaks of a call and of a failure at
once proves neither. "No such call" is proof, and leads to another dial, only where a look-up by reference is
configured and says so in the documented words: a web framework's own 404 for a wrong path is JSON as well.
A word that is not known ends a call only together with a sign of its end, for a call that is taken for over
while the phone still rings would be dialed twice. The same holds for `error` and `success`, which dialers say of the
request as well. Of a word that says no more than "over", the field beside it decides, else whether anybody answered.

A newcomer would ask about many calls with one request, but nothing says that a dialer can do that: they are
asked about one by one, over connections of their own, so that starts never wait for one.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import random
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

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
from scheduler.providers.causes import is_our_trunk, is_outage, outcome_of_cause
from scheduler.providers.http_client import OF_THE_ACCOUNT, Answer, HttpClient, name_of, read_address, unusable
from scheduler.providers.payloads import (
    LONG_NUMBER,
    LONGEST_QUOTE,
    Findings,
    read_cost,
    read_findings,
    read_instant,
    read_seconds,
    read_text,
    read_word,
    scrub,
    variables_as_text,
)

NAME = "http"
VENDOR = "the dialer"
POLL_THREADS = 8
MOST_POLLED = 200
POLL_PATIENCE = 3
"""Unusable answers in one poll after which the rest waits for the next one."""
REPLAY_WINDOW = timedelta(seconds=300)
SIGNATURE_HEADER = "x-ringback-signature"
LONGEST_ID = 128
LONGEST_REF = 36
LONGEST_KIND = 64
LONGEST_UNIT = 16

# In the order in which they are believed: the last two may name something else than the call.
NAMES_OF_CALL = ("call_id", "callId", "call_sid")
NAMES_OF_ID = (*NAMES_OF_CALL, "id", "uuid")
ENVELOPES = ("call", "data")
NUMBERS = ("phone_number", "phone", "number", "to", "to_number", "destination")

REFUSAL_WORDS: Mapping[str, RefusalKind] = {
    "invalidnumber": RefusalKind.INVALID_NUMBER,
    "donotcall": RefusalKind.DO_NOT_CALL,
    "throttled": RefusalKind.THROTTLED,
    "ratelimited": RefusalKind.THROTTLED,
    "hold": RefusalKind.HOLD,
    "nocredit": RefusalKind.HOLD,
    "suspended": RefusalKind.HOLD,
    "outage": RefusalKind.OUTAGE,
    "unavailable": RefusalKind.OUTAGE,
    "congestion": RefusalKind.OUTAGE,
}
OF_THE_NUMBER = frozenset({400, 404, 422})
"""Statuses with which, beside success, `invalid_number` is believed: it closes a lead for good."""
NO_SUCH_CALL = frozenset({"not_found", "call_not_found"})
"""As they are written: frameworks say `Not Found` of a path that does not exist."""

# Words without case, `_`, `-` and spaces: `no-answer`, `NoAnswer` and `NO ANSWER` are one.
LIVE: Mapping[str, Phase] = {
    **dict.fromkeys(
        ("queued", "pending", "created", "accepted", "initiated", "initiating", "dialing", "dialling", "calling",
         "trying", "originating"), Phase.DIALING),
    **dict.fromkeys(("ringing", "alerting"), Phase.RINGING),
    **dict.fromkeys(
        ("answered", "inprogress", "connected", "talking", "active", "ongoing", "bridged", "onhold"), Phase.ANSWERED),
}  # fmt: skip
OUTCOMES: Mapping[str, Outcome] = {
    **dict.fromkeys(("completed", "complete"), Outcome.COMPLETED),
    **dict.fromkeys(("callback", "callbackrequested"), Outcome.CALLBACK),
    **dict.fromkeys(("noanswer", "notanswered", "unanswered"), Outcome.NO_ANSWER),
    **dict.fromkeys(("busy", "userbusy", "linebusy"), Outcome.BUSY),
    **dict.fromkeys(("hangup", "hungup", "rejected", "declined"), Outcome.HANG_UP),
    **dict.fromkeys(("voicemail", "machine", "answeringmachine", "machinedetected"), Outcome.VOICEMAIL),
    **dict.fromkeys(("failed", "failure"), Outcome.FAILED),
    **dict.fromkeys(("invalidnumber", "wrongnumber"), Outcome.INVALID_NUMBER),
    **dict.fromkeys(("donotcall", "dnc", "optedout", "optout"), Outcome.DO_NOT_CALL),
    **dict.fromkeys(("cancelled", "canceled", "aborted"), Outcome.CANCELLED),
}  # fmt: skip
# `hold` is none of them: of a call it says that somebody waits with music.
NEVER_DIALED: Mapping[str, RefusalKind] = {
    "throttled": RefusalKind.THROTTLED,
    "ratelimited": RefusalKind.THROTTLED,
    "nocredit": RefusalKind.HOLD,
    "suspended": RefusalKind.HOLD,
    **dict.fromkeys(("toomanycalls", "concurrencylimit", "queuefull"), RefusalKind.THROTTLED),
    # Of the dialer's trunk: nobody's phone rang. `chanunavail` and `congestion` are Asterisk's own words.
    **dict.fromkeys(
        ("congestion", "chanunavail", "noroute", "networkerror", "outage", "trunkunavailable", "providerunavailable"),
        RefusalKind.OUTAGE),
}
# Words that say no more than that it is over: a talk where somebody answered, and otherwise this.
OVER: Mapping[str, Outcome] = {
    **dict.fromkeys(("ended", "finished", "done", "terminated", "disconnected", "expired"), Outcome.FAILED),
    **dict.fromkeys(("timeout", "timedout"), Outcome.NO_ANSWER),
}
OF_REQUESTS_TOO: Mapping[str, Outcome] = {"error": Outcome.FAILED, "success": Outcome.COMPLETED}
KNOWN_ENDS: Mapping[str, Outcome] = {**OUTCOMES, **OF_REQUESTS_TOO}
DECIDING = ("outcome", "result", "disposition")
"""Fields that decide, beside a word of OVER or OF_REQUESTS_TOO."""
DECISIONS: Mapping[str, Outcome] = {
    **KNOWN_ENDS,
    **dict.fromkeys(("answered", "answer", "connected", "human"), Outcome.COMPLETED),
    **dict.fromkeys(("timeout", "timedout"), Outcome.NO_ANSWER),
}
CALLEES = frozenset({"callee", "user", "customer", "contact", "lead", "remote"})
SPOKE = frozenset({Outcome.COMPLETED, Outcome.CALLBACK, Outcome.DO_NOT_CALL})
SIGNS_OF_AN_END = ("ended_at", "hangup_by", "sip_code", "cause")

_FIELD = re.compile(r"\{([^{}]*)\}")


class Template(NamedTuple):
    """Where a question goes: the address of the server, and its path with `{call_id}` or `{attempt_ref}`."""

    origin: str
    path: str

    def fill(self, call_id: str | None, attempt_ref: str = "") -> str:
        path = self.path.replace("{call_id}", quote(call_id or "", safe=""))
        return path.replace("{attempt_ref}", quote(attempt_ref, safe=""))


@dataclass(frozen=True, slots=True)
class Account:
    """What is configured of one dialer. `find` None: it cannot look up a reference."""

    base: str
    status: Template
    find: Template | None
    hang_up: Template
    token: SecretStr | None = None
    webhook_secret: SecretStr | None = None
    name: str | None = None


def open_provider(keys: Keys, wiring: Wiring) -> Provider:
    """The dialer that the keys describe. Raises MissingKeys or InvalidValue."""
    return HttpDialer(read_account(keys, wiring.allow_hosts), wiring)


def read_account(keys: Keys, allow_hosts: Collection[str] = ()) -> Account:
    (url,) = keys.need(NAME, "HTTP_DIALER_URL")
    base = read_address("HTTP_DIALER_URL", url, allow_hosts=allow_hosts, plain="private")

    def template(field: str, default: str | None, known: Collection[str]) -> Template | None:
        written = keys.text(field) or default
        return read_template(field, written, base, known, allow_hosts) if written else None

    status = template("HTTP_DIALER_STATUS_URL", "/calls/{call_id}", ("call_id", "attempt_ref"))
    hang_up = template("HTTP_DIALER_HANGUP_URL", "/calls/{call_id}/hangup", ("call_id",))
    assert status is not None and hang_up is not None, "both have a default"
    return Account(
        base,
        status,
        template("HTTP_DIALER_FIND_URL", None, ("attempt_ref",)),
        hang_up,
        _read_token(keys.secret("HTTP_DIALER_TOKEN")),
        keys.secret("HTTP_DIALER_WEBHOOK_SECRET"),
        keys.text("HTTP_DIALER_ACCOUNT"),
    )


def read_template(
    field: str, written: str, base: str, known: Collection[str], allow_hosts: Collection[str] = ()
) -> Template:
    """An address with fields such as `{call_id}`; from its first slash or `{base}` on, one below `base`."""
    places = " or ".join(f"{{{name}}}" for name in known)
    # A query may hold a key, and so may what stands before the host: neither is quoted.
    quoted = written.partition("?")[0].rpartition("@")[2]
    wrong = InvalidValue(field, quoted, f"write an address or a path with {places}, such as /calls?ref={places}")
    full = base + written if written.startswith("/") else written.replace("{base}", base)
    if not full.isascii() or not full.isprintable() or " " in full:
        raise wrong
    try:
        parts = urlsplit(full)
    except ValueError:
        raise wrong from None
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    names = _FIELD.findall(path)
    if not names or not set(names) <= set(known) or parts.fragment or re.search(r"[{}]", parts.netloc):
        raise wrong
    if re.search(r"[{}]", _FIELD.sub("", path)):
        raise wrong
    return Template(
        read_address(field, f"{parts.scheme}://{parts.netloc}", allow_hosts=allow_hosts, plain="private"), path
    )


def _read_token(token: SecretStr | None) -> SecretStr | None:
    if token is not None and not re.fullmatch(r"[!-~]+", token.get_secret_value()):
        right = "write it in ASCII letters, digits and signs, without spaces or line ends inside"
        raise InvalidValue("HTTP_DIALER_TOKEN", "(not shown)", right)
    return token


class HttpDialer:
    """The adapter for `HTTP_DIALER_URL`."""

    name = NAME
    waits = True
    listing_lag = timedelta(seconds=60)
    calls_per_second: float | None = None

    def __init__(self, account: Account, wiring: Wiring) -> None:
        self.finds_by_ref = account.find is not None
        self._account, self._wiring = account, wiring
        self._hook_url = wiring.hook_url(NAME)
        self._client = self._connect(account.base, wiring.places)
        templates = (account.status, account.find, account.hang_up)
        self._lookups = {
            origin: self._connect(origin, POLL_THREADS)
            for origin in {template.origin for template in templates if template is not None}
        }

    def place(self, request: DialRequest) -> DialAnswer:
        try:
            body = _start_body(request, self._hook_url)
            ref = quote(request.attempt_ref, safe="")
        except (TypeError, ValueError, RecursionError) as error:
            return Refused(RefusalKind.REFUSED, f"the variables cannot be written as JSON: {name_of(error)}")
        answer = self._client.start(
            VENDOR, "POST", "/calls/originate", content=body,
            headers={"Content-Type": "application/json", "Idempotency-Key": ref},
        )  # fmt: skip
        if not isinstance(answer, Answer):
            return answer
        return read_start_answer(answer, request.attempt_ref, self._quote)

    def poll(self, calls: Sequence[CallKey], now: datetime) -> dict[str, CallReport | None]:
        asked = list({call.call_id: call for call in calls if call.call_id is not None}.values())
        if not asked:
            return {}
        # In any order, so that no call waits for ever behind many others, or behind one that cannot be read.
        turn = _Turn(self._ask_status)
        some = random.sample(asked, min(len(asked), MOST_POLLED))
        with ThreadPoolExecutor(min(POLL_THREADS, len(some)), "http-dialer-poll") as threads:
            list(threads.map(turn.ask, some))
        if turn.errors and not turn.learnt:
            raise next((error for error in turn.errors if error.permanent), turn.errors[0])
        return {one: turn.learnt[one] for call in asked if (one := call.call_id) in turn.learnt}

    def find(self, call: CallKey, now: datetime) -> CallReport | None:
        template = self._account.find
        if template is None:
            return None
        about = f"call {call.attempt_ref}"
        answer = self._look_up(template, about, None, call.attempt_ref)
        if _says_no_such_call(answer):
            return None
        rows = _rows(answer, about)
        named = {call_id: row for call_id, row in rows if read_ref(row) == call.attempt_ref}
        if rows and not named:
            raise ProviderError(
                f"{VENDOR} was asked for {about} and answered with calls that do not carry this attempt_ref; "
                "HTTP_DIALER_FIND_URL must lead to those that do and to no others", permanent=True,
            )  # fmt: skip
        if len(named) > 1:
            raise ProviderError(f"{VENDOR} has {len(named)} calls for {call.attempt_ref}", permanent=True)
        for call_id, row in named.items():
            report = read_report(row, call_id, call.attempt_ref, self._wiring.short_call)
            if report is None:
                raise unusable(VENDOR, about, answer)
            return report
        return None

    def hang_up(self, call_id: str) -> bool:
        about = f"the end of call {self._quote(call_id)}"
        answer = self._look_up(self._account.hang_up, about, call_id, method="POST")
        if answer.status in (409, 410) or _says_no_such_call(answer):
            return False
        if answer.status in (404, 405, 501):
            raise ProviderError(f"{VENDOR} cannot end a call: it answered {answer.status}", permanent=True)
        document = answer.document()
        if not answer.is_success or _says_failure(document):
            raise unusable(VENDOR, about, answer)
        return not _is_no(document.get("ended"))

    def receive(self, hook: Hook, now: datetime) -> Sequence[ProviderEvent]:
        self._verify(hook, now)
        try:
            document = json.loads(hook.body)
        except (ValueError, RecursionError):
            raise HookRefused(400, "the body is no JSON") from None
        if not isinstance(document, dict):
            raise HookRefused(400, "the body is no JSON object")
        account = self._account.name
        if account and document.get("account") is not None and read_word(document["account"]) != account:
            raise HookRefused(403, "this event is of another account than HTTP_DIALER_ACCOUNT")
        about = _unwrap(document)
        call_id, ref = read_call_id(about), read_ref(about)
        if call_id is None and ref is None:
            raise HookRefused(400, "the event names no call: it has neither call_id nor attempt_ref")
        kind = (read_word(about.get("status")) or "call")[:LONGEST_KIND]
        key = _event_key(document, call_id or ref or "", hook.body)
        return [ProviderEvent(key, kind, scrub(document, drop=NUMBERS), ref, call_id)]

    def read_event(self, event: ProviderEvent) -> CallReport | None:
        document = _unwrap(event.payload)
        call_id = event.call_id or read_call_id(document)
        if call_id is None:
            return None
        return read_report(document, call_id, event.attempt_ref or read_ref(document), self._wiring.short_call)

    def read_vitals(self) -> Vitals | None:
        return None

    def inspect(self, agents: Collection[str], numbers: Collection[str]) -> Sequence[Inspection]:
        found = [self._inspect_health()]
        if not self.finds_by_ref:
            found.append(Inspection(
                Standing.WARNING,
                "HTTP_DIALER_FIND_URL is not set: a lead whose start lost its answer waits until its longest possible "
                "call is over, and is then counted as called; let the dialer find calls by attempt_ref",
            ))  # fmt: skip
        if self._hook_url is not None and self._account.webhook_secret is None:
            found.append(Inspection(
                Standing.WARNING,
                "HTTP_DIALER_WEBHOOK_SECRET is not set: every webhook of the dialer is refused, and calls are followed "
                "by asking; set the secret that the dialer signs with",
            ))  # fmt: skip
        wrong = sum(not re.fullmatch(r"\+[1-9]\d{6,14}", number) for number in numbers)
        if wrong:
            right = "write each as +56912345678"
            found.append(Inspection(Standing.PROBLEM, f"caller ids that are no E.164 number: {wrong}; {right}"))
        return found

    def close(self) -> None:
        for client in (self._client, *self._lookups.values()):
            client.close()

    # --- one request each

    def _connect(self, origin: str, places: int) -> HttpClient:
        token = self._account.token
        return HttpClient(
            origin,
            places=places,
            request_timeout=self._wiring.request_timeout,
            headers={"Authorization": f"Bearer {token.get_secret_value()}"} if token else None,
            allow_hosts=self._wiring.allow_hosts,
        )

    def _look_up(
        self, template: Template, about: str, call_id: str | None, attempt_ref: str = "", *, method: str = "GET"
    ) -> Answer:
        client = self._lookups[template.origin]
        return client.look_up(VENDOR, about, method, template.fill(call_id, attempt_ref))

    def _ask_status(self, call: CallKey) -> Answered:
        about = f"the state of call {call.attempt_ref}"
        answer = self._look_up(self._account.status, about, call.call_id, call.attempt_ref)
        if answer.status == 404 and isinstance(answer.json(), dict):
            return Answered(None)
        document = _unwrap(answer.document())
        report = None
        if answer.is_success and not _is_flagged(answer.document()) and _is_about(document, call):
            report = read_report(document, call.call_id or "", call.attempt_ref, self._wiring.short_call)
        return Answered(report, unusable(VENDOR, about, answer) if report is None else None)

    def _inspect_health(self) -> Inspection:
        try:
            answer = self._client.look_up(VENDOR, "its health", "GET", "/health")
        except ProviderError as error:
            return Inspection(
                Standing.PROBLEM, f"HTTP_DIALER_URL: {error}; start the dialer, or correct the address"
            )
        if answer.status in OF_THE_ACCOUNT:
            right = "set HTTP_DIALER_TOKEN to the token that it expects"
            return Inspection(Standing.PROBLEM, f"{VENDOR} turned the token away with {answer.status}; {right}")
        if 300 <= answer.status < 400:
            right = "set HTTP_DIALER_URL to the address that it redirects to, for redirects are not followed"
            return Inspection(Standing.PROBLEM, f"{VENDOR} redirects with {answer.status}; {right}")
        if answer.status >= 500:
            return Inspection(Standing.PROBLEM, f"{VENDOR} is not well, /health answered {answer.status}; see its log")
        if answer.is_success:
            return Inspection(Standing.OK, f"{VENDOR} answers and says that it is well")
        return Inspection(Standing.OK, f"{VENDOR} answers; it has no /health page, so more cannot be verified")

    # --- webhooks

    def _verify(self, hook: Hook, now: datetime) -> None:
        secret = self._account.webhook_secret
        if secret is None:
            raise HookRefused(401, "HTTP_DIALER_WEBHOOK_SECRET is not set, so no event can be proven genuine")
        at, candidates = _read_signature(hook.headers.get(SIGNATURE_HEADER, ""))
        if at is None or not candidates:
            raise HookRefused(401, "X-Ringback-Signature is missing or cannot be read")
        if abs(now.timestamp() - int(at)) > REPLAY_WINDOW.total_seconds():
            raise HookRefused(401, "the signature is too old, or the clocks differ by more than five minutes")
        right = sign(secret, at, hook.body)
        # As bytes: compare_digest takes no text beyond ASCII, and anybody may send some.
        if not any(hmac.compare_digest(right.encode(), one.encode("utf-8", "replace")) for one in candidates):
            raise HookRefused(401, "the signature does not fit the body")

    def _quote(self, text: str) -> str:
        """The dialer's words as they may be shown: it may repeat the number, or the token."""
        for secret in (self._account.token, self._account.webhook_secret):
            if secret is not None:
                text = text.replace(secret.get_secret_value(), "(left out)")
        return LONG_NUMBER.sub("(number)", text)[:LONGEST_QUOTE]


class Answered(NamedTuple):
    """What one question brought: a report, None for a call that does not exist, or why it is not known."""

    report: CallReport | None
    error: ProviderError | None = None


class _Turn:
    """One poll: what its threads learnt, until the dialer falls silent or answers with too much nonsense."""

    def __init__(self, question: Callable[[CallKey], Answered]) -> None:
        self.learnt: dict[str, CallReport | None] = {}
        self.errors: list[ProviderError] = []
        self._question = question
        self._lock = Lock()
        self._is_over = False

    def ask(self, call: CallKey) -> None:
        if self._is_over:
            return
        try:
            answered, is_silent = self._question(call), False
        except ProviderError as error:
            answered, is_silent = Answered(None, error), True
        with self._lock:
            if answered.error is None:
                self.learnt[call.call_id or ""] = answered.report
                return
            self.errors.append(answered.error)
            self._is_over = is_silent or answered.error.permanent or len(self.errors) >= POLL_PATIENCE


# --- the start and its answer


def _start_body(request: DialRequest, hook_url: str | None) -> bytes:
    body: dict[str, Any] = {
        "campaign_id": request.campaign_id,
        "contact_id": request.lead_id,
        "phone_number": request.number,
        "attempt_ref": request.attempt_ref,
        "ring_timeout": _whole_seconds(request.ring_timeout),
        "max_duration": _whole_seconds(request.max_duration),
        "variables": variables_as_text(request.variables),
    }
    optional = {"from_number": request.from_number, "agent_id": request.agent_id, "webhook_url": hook_url}
    body |= {name: value for name, value in optional.items() if value is not None}
    return json.dumps(body, allow_nan=False).encode()


def _whole_seconds(span: timedelta) -> int:
    return max(1, math.ceil(span.total_seconds()))


def read_start_answer(answer: Answer, attempt_ref: str, quoted: Callable[[str], str]) -> DialAnswer:
    """Accepted with an id, refused in the dialer's own JSON, or nobody can say."""
    body = answer.json()
    document: Mapping[str, Any] | None = body if isinstance(body, dict) else None
    if answer.is_success and document is not None:
        return _read_success(document, attempt_ref, quoted)
    if answer.status == 409 and document is not None:
        return _read_conflict(document, attempt_ref)
    if 400 <= answer.status < 500 and answer.status not in (408, 409):
        refused = _read_refusal(answer, document, quoted)
        if refused is not None:
            return refused
    return Unanswered(f"{VENDOR} answered {answer.status}, which proves nothing")


def _read_success(document: Mapping[str, Any], attempt_ref: str, quoted: Callable[[str], str]) -> DialAnswer:
    failed = _says_failure(document)
    call_id = read_call_id(document)
    if call_id is not None and not failed and not _is_of_another(document, attempt_ref):
        return Accepted(call_id)
    if failed and not _mentions_call(document, NAMES_OF_ID):
        kind = _kind_of(document) or RefusalKind.REFUSED
        return Refused(kind, quoted(f"{VENDOR} refused: {_text_of(document)}"))
    return Unanswered(f"{VENDOR} answered success without a call id that can be trusted")


def _read_conflict(document: Mapping[str, Any], attempt_ref: str) -> DialAnswer:
    """The reference exists already, so its call does. A bare `id` may be that of the error."""
    call_id = read_call_id(document, NAMES_OF_CALL)
    if call_id is None or _is_of_another(document, attempt_ref):
        return Unanswered(f"{VENDOR} answered 409 without the call that is in the way")
    return Accepted(call_id)


def _read_refusal(
    answer: Answer, document: Mapping[str, Any] | None, quoted: Callable[[str], str]
) -> Refused | None:
    """The refusal in a 4xx; None where it proves nothing."""
    if document is not None and _mentions_call(document, NAMES_OF_CALL):
        return None
    reason = quoted(f"{VENDOR} refused with {answer.status}: {_text_of(document or {})}")
    if answer.status == 429 and (document is not None or "Retry-After" in answer.headers):
        return Refused(RefusalKind.THROTTLED, reason, answer.retry_after())
    if document is None:
        return None
    kind = _kind_of(document)
    if answer.status in OF_THE_ACCOUNT:
        barred = answer.status == 403 and kind is RefusalKind.DO_NOT_CALL
        return Refused(RefusalKind.DO_NOT_CALL if barred else RefusalKind.HOLD, reason)
    if kind is RefusalKind.INVALID_NUMBER and answer.status not in OF_THE_NUMBER:
        kind = RefusalKind.REFUSED
    if kind is None and not _says_failure(document):
        if all(document.get(name) in (None, "") for name in ("error", "message", "detail")):
            return None
        kind = RefusalKind.REFUSED
    wait = answer.retry_after() if kind is RefusalKind.THROTTLED else None
    return Refused(kind or RefusalKind.REFUSED, reason, wait)


def _kind_of(document: Mapping[str, Any]) -> RefusalKind | None:
    return next((REFUSAL_WORDS[word] for word in _codes(document) if word in REFUSAL_WORDS), None)


def _codes(document: Mapping[str, Any]) -> Iterator[str]:
    """The words that may say why: `error` or `detail` themselves, or a code within them."""
    for holder in (document, document.get("error"), document.get("detail")):
        if isinstance(holder, Mapping):
            for name in ("code", "error_code", "error", "detail"):
                yield _plain(holder.get(name))


def _text_of(document: Mapping[str, Any]) -> str:
    for holder in (document, document.get("error"), document.get("detail")):
        if isinstance(holder, Mapping):
            for name in ("message", "detail", "error", "code"):
                if text := read_text(holder.get(name)):
                    return text
    return "it gave no reason"


def _says_failure(document: Mapping[str, Any]) -> bool:
    """Of a request. In a status document the word `error` may be the call's own."""
    return _is_flagged(document) or _plain(document.get("status")) == "error"


def _is_flagged(document: Mapping[str, Any]) -> bool:
    return _is_no(document.get("success")) or _is_no(document.get("ok"))


def _is_no(value: Any) -> bool:
    return value is False or (isinstance(value, str | int) and str(value).strip().lower() in ("false", "no", "0"))


# --- ids and references


def read_call_id(document: Mapping[str, Any], names: Collection[str] = NAMES_OF_ID) -> str | None:
    """The call's id, by the surest name that has one, here or one level below."""
    return next((found for value in _ids(document, names) if (found := _usable_id(value)) is not None), None)


def read_ref(document: Mapping[str, Any]) -> str | None:
    """Our reference; None also for what is none of ours."""
    ref = read_word(document.get("attempt_ref"))
    return ref if ref is not None and len(ref) <= LONGEST_REF else None


def _ids(document: Mapping[str, Any], names: Collection[str]) -> Iterator[Any]:
    inner = {name: one for name in ENVELOPES if isinstance(one := document.get(name), Mapping)}
    for name in NAMES_OF_ID:
        if name in names:
            yield document.get(name)
        for envelope, one in inner.items():
            if name in names or envelope == "call":  # whatever is called an id there is the call's
                yield one.get(name)


def _usable_id(value: Any) -> str | None:
    """Text, or a whole number above 0, that can be put into an address and kept whole."""
    if isinstance(value, bool) or not isinstance(value, str | int) or (isinstance(value, int) and value <= 0):
        return None
    text = str(value).strip()
    if not text.strip(".") or len(text) > LONGEST_ID or not text.isprintable():
        return None
    return text


def _mentions_call(document: Mapping[str, Any], names: Collection[str]) -> bool:
    return any(value not in (None, "", 0) for value in _ids(document, names))


def _is_of_another(document: Mapping[str, Any], attempt_ref: str) -> bool:
    told = _unwrap(document).get("attempt_ref")
    return told is not None and told != attempt_ref


def _is_about(document: Mapping[str, Any], call: CallKey) -> bool:
    """Does it name this call, and no other? A dialer may give one call several names."""
    ids = {found for value in _ids(document, NAMES_OF_ID) if (found := _usable_id(value)) is not None}
    if _is_of_another(document, call.attempt_ref) or (ids and call.call_id not in ids):
        return False
    return bool(ids) or read_ref(document) == call.attempt_ref


def _unwrap(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part that speaks of the call: dialers like to put it under `call` or `data`."""
    if read_call_id({name: document.get(name) for name in NAMES_OF_ID}) is not None and "status" in document:
        return document
    for name in ENVELOPES:
        inner = document.get(name)
        if isinstance(inner, Mapping) and (read_call_id(inner) or read_ref(inner)):
            return inner
    return document


def _rows(answer: Answer, about: str) -> Sequence[tuple[str, Mapping[str, Any]]]:
    """The calls in an answer to a look-up, with their ids: an object, a list, or a list within `calls` or `data`."""
    body = answer.json()
    if isinstance(body, dict) and not (_is_flagged(body) or (_says_failure(body) and read_call_id(body) is None)):
        listed = next((body[name] for name in ("calls", "data") if isinstance(body.get(name), list)), None)
        body = listed if listed is not None else [_unwrap(body)]
    if not answer.is_success or not isinstance(body, list):
        raise unusable(VENDOR, about, answer)
    rows = [(call_id, row) for row in body if isinstance(row, dict) and (call_id := read_call_id(row)) is not None]
    if len(rows) < len(body):
        raise unusable(VENDOR, about, answer)
    return rows


def _says_no_such_call(answer: Answer) -> bool:
    document = answer.document()
    codes = (document.get("error"), document.get("code"), document.get("detail"))
    return answer.status == 404 and any(isinstance(code, str) and code in NO_SUCH_CALL for code in codes)


# --- what a call came to


def read_report(
    document: Mapping[str, Any], call_id: str, attempt_ref: str | None, short_call: timedelta
) -> CallReport | None:
    """The call as the status document has it; None where it has no status."""
    word = read_word(document.get("status"))
    if word is None:
        return None
    answered_at = read_instant(document.get("answered_at"))
    phase = _live_phase(word, document, answered_at)
    known = any(_plain(word) in words for words in (LIVE, OUTCOMES, NEVER_DIALED, OVER, OF_REQUESTS_TOO))
    details = scrub(document, drop=NUMBERS)
    if phase is not None:
        return CallReport(
            call_id, phase, attempt_ref, None, word, known, answered_at=answered_at, details=details
        )
    ended_at = read_instant(document.get("ended_at"))
    talk = _talk_seconds(document, answered_at, ended_at)
    decision = _read_decision(word, document)
    end = _read_end(word, decision, document, answered_at is not None or bool(talk), talk, short_call)
    cost = read_cost(document.get("cost"))
    return CallReport(
        call_id,
        Phase.ENDED,
        attempt_ref,
        end.outcome,
        word if decision is None else f"{word}/{decision}",
        known,
        answered_at,
        ended_at,
        talk,
        cost,
        None if cost is None else read_text(document.get("cost_unit"), LONGEST_UNIT),
        read_text(document.get("summary")),
        end.findings.appointment_at,
        end.findings.callback_at,
        end.findings.callback_zone,
        details,
        refusal=end.refusal,
    )


class _End(NamedTuple):
    outcome: Outcome | None
    refusal: Refused | None = None
    findings: Findings = Findings()


def _live_phase(word: str, document: Mapping[str, Any], answered_at: datetime | None) -> Phase | None:
    """How far the call is; None where it is over. An unknown word is no end without a sign of one."""
    plain = _plain(word)
    if plain in LIVE:
        return LIVE[plain]
    if plain in OUTCOMES or plain in NEVER_DIALED or plain in OVER or _shows_end(plain, document):
        return None
    return Phase.ANSWERED if answered_at is not None else Phase.DIALING


def _shows_end(plain: str, document: Mapping[str, Any]) -> bool:
    """Is there a sign that the call is over? What is empty or 0 in every document of a dialer is none."""
    if any(document.get(name) not in (None, "", 0) for name in SIGNS_OF_AN_END):
        return True
    if plain in OF_REQUESTS_TOO:
        decision = _plain(_read_decision(plain, document))
        if decision in OUTCOMES or decision in NEVER_DIALED:
            return True
    is_open = "ended_at" in document and document["ended_at"] is None  # the dialer has the field: the talk goes on
    return bool(read_seconds(document.get("duration"))) and not is_open


def _read_decision(word: str, document: Mapping[str, Any]) -> str | None:
    """The outcome, as it is written beside a word that says no more than that the call is over."""
    if _plain(word) not in OVER and _plain(word) not in OF_REQUESTS_TOO:
        return None
    told = (read_word(document.get(name)) for name in DECIDING)
    return next((one for one in told if one and (_plain(one) in DECISIONS or _plain(one) in NEVER_DIALED)), None)


def _read_end(
    word: str, decision: str | None, document: Mapping[str, Any], is_answered: bool, talk: int | None,
    short_call: timedelta,
) -> _End:
    plain = _plain(decision or word)
    if plain in NEVER_DIALED:
        if is_answered:  # the credit ended during the call, and a phone has rung
            return _End(Outcome.FAILED)
        return _End(None, Refused(NEVER_DIALED[plain], f"{VENDOR} accepted the call and then ended it as {plain}"))
    if plain in OVER:
        outcome: Outcome | None = Outcome.COMPLETED if is_answered else OVER[plain]
    else:
        outcome = (DECISIONS if decision else KNOWN_ENDS).get(plain)
    if outcome is Outcome.FAILED and not is_answered:
        return _read_failure(document)
    if outcome is Outcome.COMPLETED and _is_short(document, talk, short_call):
        outcome = Outcome.HANG_UP
    if outcome is not None and (outcome in SPOKE or (outcome is Outcome.HANG_UP and is_answered)):
        return _with_findings(outcome, document)
    return _End(outcome or Outcome.FAILED)


def _read_failure(document: Mapping[str, Any]) -> _End:
    sip, cause = read_seconds(document.get("sip_code")), read_seconds(document.get("cause"))
    if is_our_trunk(cause, sip):
        code = f"SIP {sip}" if sip is not None else f"cause {cause}"
        return _End(None, Refused(RefusalKind.HOLD, f"the trunk of {VENDOR} was turned away with {code}"))
    if is_outage(cause, sip):
        code = f"SIP {sip}" if sip is not None else f"cause {cause}"
        return _End(None, Refused(RefusalKind.OUTAGE, f"the network behind {VENDOR} did not take the call ({code})"))
    return _End(outcome_of_cause(cause, sip))


def _is_short(document: Mapping[str, Any], talk: int | None, short_call: timedelta) -> bool:
    by_callee = _plain(document.get("hangup_by")) in CALLEES
    return by_callee and talk is not None and talk < short_call.total_seconds()


def _with_findings(outcome: Outcome, document: Mapping[str, Any]) -> _End:
    """The agent's notes refine a conversation: what the person wished counts more than how it ended."""
    own = {name: document.get(name) for name in ("appointment_at", "callback_at")}
    findings = read_findings(own, document.get("variables"))
    if findings.do_not_call or outcome is Outcome.DO_NOT_CALL:
        outcome = Outcome.DO_NOT_CALL
    elif findings.wants_callback:
        outcome = Outcome.CALLBACK
    return _End(outcome, findings=findings)


def _talk_seconds(
    document: Mapping[str, Any], answered_at: datetime | None, ended_at: datetime | None
) -> int | None:
    told = read_seconds(document.get("duration"))
    if told is None and answered_at is not None and ended_at is not None and ended_at >= answered_at:
        return int((ended_at - answered_at).total_seconds())
    return told


# --- webhooks


def sign(secret: SecretStr, at: str, body: bytes) -> str:
    return hmac.new(secret.get_secret_value().encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()


def _read_signature(header: str) -> tuple[str | None, list[str]]:
    """The seconds as they were written, and every `v1`; several while keys are exchanged."""
    at, candidates = None, []
    for part in header.split(","):
        name, _, value = (piece.strip() for piece in part.partition("="))
        if name == "t":
            if at is not None or not re.fullmatch(r"[0-9]{1,12}", value):
                return None, []
            at = value
        elif name == "v1":
            candidates.append(value.lower())
    return at, candidates


def _event_key(document: Mapping[str, Any], about: str, body: bytes) -> str:
    """The event's own id, within its call: a dialer may count the events of each call from 1."""
    event_id = document.get("event_id")
    # Always as a digest: an id may be longer than the column, or differ from another by its case alone.
    known = f"{about}/{event_id}".encode("utf-8", "replace") if read_word(event_id) else body
    return hashlib.sha256(known).hexdigest()


def _plain(word: Any) -> str:
    return re.sub(r"[^a-z0-9]", "", word.lower()) if isinstance(word, str) else ""
