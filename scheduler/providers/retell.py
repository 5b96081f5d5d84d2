"""Retell AI: outbound calls by its voice agents, over its public API.

Decided here: what each of Retell's words means to us (`OUTCOMES`, `NEVER_DIALED`), which answers prove that no
call exists, whose webhooks are genuine. Not decided: retries, and what follows an outcome. What must stay true:
a start leaves once. Retell remembers an `idempotency_key` for an hour, so sending the same start again would be
safe on paper; what it answers to a key whose first request was refused or whose body differs is written nowhere,
so the key is a second belt, and a lost answer is looked up by our reference in `metadata`.

A newcomer would trust `call_status`. Retell moved unconnected calls from `error` to `not_connected` once already
(docs.retellai.com/deprecation-notice/6-30), and its own webhook sample ends a call that is still `registered`
(docs.retellai.com/features/webhook-overview): the disconnection reason decides, and an end event that shows a
live call only makes us ask. Lists carry no transcript, so whether anybody spoke is asked of the call itself.

Fields and words: retell-sdk 6.2.13 (types/call_create_phone_call_params.py, phone_call_response.py,
call_list_params.py, lib/webhook_auth.py). Times are milliseconds, costs US cents.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import random
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import quote

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
from scheduler.providers.http_client import Answer, HttpClient, name_of, read_address, unusable
from scheduler.providers.payloads import (
    LONG_NUMBER,
    LONGEST_QUOTE,
    LONGEST_TEXT,
    Findings,
    is_page,
    read_cost,
    read_decimal,
    read_epoch,
    read_findings,
    read_seconds,
    read_text,
    read_word,
    scrub,
    variables_as_text,
)

VENDOR = "Retell"
DEFAULT_BASE_URL = "https://api.retellai.com"
LISTING_LAG = timedelta(minutes=6)
"""Whether lists show a call that is only registered is written nowhere, and one may be registered for 5 minutes
before it is dialed (`registered_call_timeout`): until then "not found" proves nothing.
"""

RING = (timedelta(seconds=5), timedelta(seconds=300))
TALK = (timedelta(seconds=60), timedelta(hours=2))
EVENTS = ("call_started", "call_ended", "call_analyzed")
STARTED = "call_started"

LISTED_AT_ONCE = 1000
MOST_PAGES = 20
LOOKED_UP_PER_POLL = 5
LONGEST_REF = 36  # the column of `provider_events`; ours are never longer, other people's may be
SIGNATURE_AGE = timedelta(minutes=5)
COST_UNIT = "usd_cents"
NO_CREDIT = f"{VENDOR} says that the trial is over or that there is no payment method; add one in its dashboard."

LIVE = {"registered": Phase.DIALING, "ongoing": Phase.ANSWERED}  # while it rings it is still `registered`
ENDED, NOT_CONNECTED, ERROR = "ended", "not_connected", "error"
USER_HANGUP, INACTIVITY = "user_hangup", "inactivity"
OVER = frozenset({ENDED, NOT_CONNECTED, ERROR})

OUTCOMES: Mapping[str, Outcome] = MappingProxyType({
    "user_hangup": Outcome.COMPLETED,  # or hang_up, by its length
    "agent_hangup": Outcome.COMPLETED,
    "call_transfer": Outcome.COMPLETED,
    "transfer_bridged": Outcome.COMPLETED,
    "transfer_cancelled": Outcome.COMPLETED,
    "call_take_over": Outcome.COMPLETED,
    "inactivity": Outcome.COMPLETED,  # or hang_up, when the callee said nothing
    "max_duration_reached": Outcome.COMPLETED,
    "user_requested_callback": Outcome.CALLBACK,
    "user_requested_dnc": Outcome.DO_NOT_CALL,
    "voicemail_reached": Outcome.VOICEMAIL,
    "ivr_reached": Outcome.VOICEMAIL,
    "dial_busy": Outcome.BUSY,
    "dial_no_answer": Outcome.NO_ANSWER,
    "user_declined": Outcome.HANG_UP,
    "invalid_destination": Outcome.INVALID_NUMBER,
    "dial_failed": Outcome.FAILED,
    "error_llm_websocket_open": Outcome.FAILED,
    "error_llm_websocket_lost_connection": Outcome.FAILED,
    "error_llm_websocket_runtime": Outcome.FAILED,
    "error_llm_websocket_corrupt_payload": Outcome.FAILED,
    "error_no_audio_received": Outcome.FAILED,
    "error_asr": Outcome.FAILED,
    "error_retell": Outcome.FAILED,
    "error_unknown": Outcome.FAILED,
    "error_user_not_joined": Outcome.FAILED,
    "manual_stopped": Outcome.CANCELLED,
})
NEVER_DIALED: Mapping[str, RefusalKind] = MappingProxyType({
    "concurrency_limit_reached": RefusalKind.THROTTLED,
    "no_concurrency_fallback": RefusalKind.THROTTLED,
    "no_valid_payment": RefusalKind.HOLD,
    "credit_exhausted": RefusalKind.HOLD,
    "budget_reached": RefusalKind.HOLD,
    "scam_detected": RefusalKind.HOLD,
    # Also where the callee's country is not open to the account, and a few of those must not stop the others.
    "telephony_provider_permission_denied": RefusalKind.HOLD,
    # Of Retell's network: docs.retellai.com/reliability/debug-outbound-call.
    "registered_call_timeout": RefusalKind.OUTAGE,
    "telephony_provider_unavailable": RefusalKind.OUTAGE,
    "sip_routing_error": RefusalKind.OUTAGE,
    "network_blocked": RefusalKind.OUTAGE,  # our caller id, like the next
    "marked_as_spam": RefusalKind.OUTAGE,
})
"""Words of the account's and of the network's: where nobody talked, nobody's phone rang either."""
WITHOUT_REASON = {NOT_CONNECTED: Outcome.NO_ANSWER, ERROR: Outcome.FAILED}
SPOKEN = frozenset({Outcome.COMPLETED, Outcome.HANG_UP, Outcome.CALLBACK})

START_REFUSALS: Mapping[int, RefusalKind] = MappingProxyType({
    400: RefusalKind.HOLD,  # our request is wrong, unless its message says more
    401: RefusalKind.HOLD,
    402: RefusalKind.HOLD,
    422: RefusalKind.HOLD,
    429: RefusalKind.THROTTLED,
})
WITHOUT_WORDS: Mapping[int, str] = MappingProxyType({401: "the key was not taken", 429: "too many requests"})
"""Refusals that need no text: whoever writes them, before Retell or in it, has let nothing through."""
ABSENT = (404, 422)  # 422: "Cannot find requested asset under given api key."

# What is left out of a payload that is kept: numbers of people, our own variables, doubles of the transcript.
DROPPED = (
    "from_number", "to_number", "custom_sip_headers", "retell_llm_dynamic_variables", "latency",
    "transcript_object", "transcript_with_tool_calls", "scrubbed_transcript_with_tool_calls",
    "pre_session_transcript_with_tool_calls", "post_session_transcript_with_tool_calls",
    "scrubbed_pre_session_transcript_with_tool_calls", "scrubbed_post_session_transcript_with_tool_calls",
    "knowledge_base_retrieved_contents_url",
)  # fmt: skip

_SIGNATURE = re.compile(r"v=([0-9]{1,15}),d=([0-9a-f]{64})")
_CALL_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:~-]{0,127}")
_AGENT_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}")
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_KEY = re.compile(r"[\x21-\x7e]{8,512}")
_DO_NOT_CALL = re.compile(r"do[\s_-]*not[\s_-]*call|\bdnc\b", re.IGNORECASE)
_CALLEE = re.compile(
    r"\bto[\s_]?number\b|(?<!transfer[ _])\bdestination|\bcallee\b"
    r"|\b(?:invalid|malformed|not an? valid) (?:e\.?164 )?(?:phone[\s_]?)?number"
    r"|\bphone[\s_]?number (?:format )?(?:is|was) (?:invalid|not (?:an? )?valid|malformed)"
    r"|\bphone[\s_]?number must be\b", re.IGNORECASE,
)
_OF_THE_ACCOUNT = re.compile(
    r"\bagent|override_agent|\bfrom[\s_]?number\b|\bcaller\b|\bkeys?\b|\bapi[\s_-]?keys?\b|credit|payment|billing"
    r"|\bbalance\b|\bfunds\b|\btrial\b|subscription", re.IGNORECASE,
)
# The number may be in order where one of these is said of it.
_BARRED = re.compile(
    r"countr|region|international|permission|not allowed|not permitted|only .{0,40}supported|limit|concurren|capacity"
    r"|temporar|unavailable|try again", re.IGNORECASE,
)
_KNOWN_KEY = re.compile(r"idempot.*(?:already|in use|used|duplicate|conflict|exists)", re.IGNORECASE | re.DOTALL)
_USER_SPEAKS = re.compile(r"^\s*User:", re.MULTILINE)


def open_provider(keys: Keys, wiring: Wiring) -> Provider:
    return Retell(read_account(keys, wiring), wiring)


@dataclass(frozen=True, slots=True)
class Account:
    """What the keys say. `webhook_keys`: those that webhooks may be signed with."""

    base_url: str
    api_key: SecretStr
    webhook_keys: tuple[SecretStr, ...]
    from_number: str
    agent_id: str | None
    agent_version: int | str | None
    detects_voicemail: bool
    honors_dnc: bool


def read_account(keys: Keys, wiring: Wiring) -> Account:
    """The account in the environment. Raises InvalidValue naming the variable, and never showing a value of one."""
    api_key, from_number = keys.need("retell", "RETELL_API_KEY", "RETELL_FROM_NUMBER")
    webhook_key, agent_id = keys.text("RETELL_WEBHOOK_KEY"), keys.text("RETELL_AGENT_ID")
    version = keys.text("RETELL_AGENT_VERSION")
    _expect(_KEY, "RETELL_API_KEY", api_key, "copy it from Retell's dashboard, such as key_...")
    _expect(_KEY, "RETELL_WEBHOOK_KEY", webhook_key, "copy the API key that carries the webhook badge")
    _expect(_E164, "RETELL_FROM_NUMBER", from_number, "write it in E.164, such as +14157774444")
    _expect(_AGENT_ID, "RETELL_AGENT_ID", agent_id, "copy the agent's id, such as agent_...")
    _expect(_VERSION, "RETELL_AGENT_VERSION", version, "write a number, latest, latest_published or a tag")
    if version is not None and agent_id is None:
        raise InvalidValue("RETELL_AGENT_VERSION", "(set)", "set RETELL_AGENT_ID too: a version is one of an agent")
    return Account(
        base_url=read_address(
            "RETELL_BASE_URL", keys.text("RETELL_BASE_URL") or DEFAULT_BASE_URL, allow_hosts=wiring.allow_hosts
        ),
        api_key=SecretStr(api_key),
        webhook_keys=tuple(SecretStr(key) for key in dict.fromkeys(filter(None, (webhook_key, api_key)))),
        from_number=from_number,
        agent_id=agent_id,
        agent_version=int(version) if version is not None and version.isdigit() else version,
        detects_voicemail=_read_choice(keys, "RETELL_VOICEMAIL", {"hangup": True, "off": False}, "hangup"),
        honors_dnc=_read_choice(keys, "RETELL_HONOR_DNC", {"yes": True, "no": False}, "yes"),
    )


class Retell:
    """One account at Retell. Safe for several threads at once."""

    name = "retell"
    finds_by_ref = True
    waits = True
    listing_lag = LISTING_LAG
    calls_per_second: float | None = 1.0  # docs.retellai.com/deploy/outbound-call; more where an account has bought it

    def __init__(self, account: Account, wiring: Wiring) -> None:
        self._account, self._short_call = account, wiring.short_call
        self._hook_url = wiring.hook_url(self.name)
        self._client = HttpClient(
            account.base_url,
            places=wiring.places,
            request_timeout=wiring.request_timeout,
            headers={"Authorization": f"Bearer {account.api_key.get_secret_value()}"},
            allow_hosts=wiring.allow_hosts,
        )

    # --- dialing ---------------------------------------------------------------------------------

    def place(self, request: DialRequest) -> DialAnswer:
        try:
            body = self._start_body(request)
        except (TypeError, ValueError, RecursionError) as error:
            return Refused(RefusalKind.REFUSED, f"the variables cannot be written as JSON: {name_of(error)}")
        answer = self._client.start(
            VENDOR, "POST", "/v2/create-phone-call", content=body, headers={"Content-Type": "application/json"}
        )
        return self._read_start(answer, request) if isinstance(answer, Answer) else answer

    def hang_up(self, call_id: str) -> bool:
        about = f"the end of call {call_id}"
        answer = self._client.look_up(VENDOR, about, "POST", f"/v2/stop-call/{_part(call_id)}")
        if answer.is_success:
            return True
        if not _is_absent(answer):
            raise unusable(VENDOR, about, answer)
        # 422 is said of calls unknown, of those over, and perhaps of those that ring: it proves nothing alone.
        row = self._get(call_id)
        if row is None or self._report(row, call_id, None).phase is Phase.ENDED:
            return False
        raise ProviderError(f"{VENDOR} was asked for {about} and answered {answer.status}, but the call is still live")

    def _start_body(self, request: DialRequest) -> bytes:
        """The same bytes for the same request: nobody says what a known key with another body would do."""
        account = self._account
        agent: dict[str, Any] = {
            "ring_duration_ms": _milliseconds(request.ring_timeout, RING),
            "max_call_duration_ms": _milliseconds(request.max_duration, TALK),
            "voicemail_option": {"action": {"type": "hangup"}} if account.detects_voicemail else None,
        }
        if self._hook_url is not None:
            agent |= {"webhook_url": self._hook_url, "webhook_events": list(EVENTS)}
        body: dict[str, Any] = {
            "from_number": request.from_number or account.from_number,
            "to_number": request.number,
            "idempotency_key": request.attempt_ref,
            "metadata": {"attempt_ref": request.attempt_ref, **_ids(request)},
            "retell_llm_dynamic_variables": variables_as_text(request.variables),
            "honor_internal_dnc": account.honors_dnc,
            "agent_override": {"agent": agent},
        }
        agent_id = request.agent_id or account.agent_id
        if agent_id is not None:
            body["override_agent_id"] = agent_id
        if account.agent_version is not None and agent_id == account.agent_id:
            body["override_agent_version"] = account.agent_version  # a campaign's own agent has other versions
        return json.dumps(body, sort_keys=True, allow_nan=False).encode()

    def _read_start(self, answer: Answer, request: DialRequest) -> DialAnswer:
        if answer.is_success:
            return self._read_accepted(answer.document(), request)
        message, kind = _refusal_text(answer), START_REFUSALS.get(answer.status)
        if message is None or kind is None:
            return Unanswered(f"{VENDOR} answered {answer.status}, which proves nothing")
        if answer.status == 400:
            if _KNOWN_KEY.search(message):
                return Unanswered(f"{VENDOR} answered 400: a call with this reference may exist")
            from_number = request.from_number or self._account.from_number
            kind = _kind_of_bad_request(message, request.number, from_number)
        wait = answer.retry_after() if kind is RefusalKind.THROTTLED else None
        return Refused(kind, f"{VENDOR} refused the call ({answer.status}): {self._quote(message)}", wait)

    def _read_accepted(self, row: Mapping[str, Any], request: DialRequest) -> DialAnswer:
        call_id = _call_id(row)
        if call_id is None:
            return Unanswered(f"{VENDOR} answered success without a call id")
        report = self._report(row, call_id, request.attempt_ref)
        return Accepted(call_id, report if report.phase is Phase.ENDED else None)

    def _quote(self, message: str) -> str:
        """The vendor's own text without keys and numbers: it echoes what it was sent."""
        for key in (self._account.api_key, *self._account.webhook_keys):
            message = message.replace(key.get_secret_value(), "(key)")
        return LONG_NUMBER.sub("(number)", message)[:LONGEST_QUOTE]

    # --- asking ----------------------------------------------------------------------------------

    def poll(self, calls: Sequence[CallKey], now: datetime) -> dict[str, CallReport | None]:
        refs = {call.call_id: call.attempt_ref for call in calls if call.call_id is not None}
        rows, listed = self._list_ids(list(refs))
        # What the list leaves out may be a call that it does not show yet, so absence is asked of the call itself.
        doubtful = [call_id for call_id in listed if call_id not in rows or _hides_speech(rows[call_id])]
        reports: dict[str, CallReport | None] = {
            call_id: self._report(row, call_id, refs[call_id])
            for call_id, row in rows.items() if not _hides_speech(row)
        }
        troubles: list[ProviderError] = []
        # Each in turn by chance: a few that can never be read must not keep the others from being asked about.
        for call_id in random.sample(doubtful, min(len(doubtful), LOOKED_UP_PER_POLL)):
            try:
                row = self._get(call_id)
            except ProviderError as error:
                troubles.append(error)
                continue
            reports[call_id] = None if row is None else self._report(row, call_id, refs[call_id])
        if troubles and not reports:
            raise troubles[0]
        return reports

    def find(self, call: CallKey, now: datetime) -> CallReport | None:
        ref = call.attempt_ref
        by_ref = {"metadata": [{"key": "attempt_ref", **_equal(ref)}]}
        # By the callee alone: the caller id may be a campaign's own, which a CallKey does not tell.
        found = self._matching(ref, by_ref) or self._matching(ref, {"to_number": _equal(call.number)})
        if not found:
            return None
        if len(found) > 1:
            raise ProviderError(
                f"{VENDOR} has {len(found)} calls for attempt {ref}; look at them in its dashboard", permanent=True
            )
        [(call_id, row)] = found.items()
        if _hides_speech(row):
            row = self._get(call_id) or row
        return self._report(row, call_id, ref)

    def _list_ids(self, ids: Sequence[str]) -> tuple[dict[str, Mapping[str, Any]], list[str]]:
        """The calls by id, and the ids whose list was read to its end. Raises when nothing was learnt."""
        rows: dict[str, Mapping[str, Any]] = {}
        listed: list[str] = []
        try:
            for some in _chunks(ids, LISTED_AT_ONCE):
                wanted = {"call_id": {"type": "enum", "op": "in", "value": list(some)}}
                wanted_ids = frozenset(some)
                for row in self._list(f"the state of {len(some)} calls", wanted):
                    call_id = _call_id(row)
                    if call_id is not None and call_id in wanted_ids:
                        rows[call_id] = row
                listed += some
        except ProviderError:
            if not rows:
                raise
        return rows, listed

    def _matching(self, ref: str, criteria: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
        """The calls that carry our reference. It is compared here too: a filter may go unheeded."""
        found: dict[str, Mapping[str, Any]] = {}
        for row in self._list(f"the call of attempt {ref}", criteria):
            if _metadata(row).get("attempt_ref") != ref:
                continue
            call_id = _call_id(row)
            if call_id is None:
                raise ProviderError(f"{VENDOR} lists a call of attempt {ref} without an id that can be used")
            found[call_id] = row
        return found

    def _list(self, about: str, criteria: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """Every call that fits. Raises ProviderError unless the list was read to its end."""
        page: str | None = None
        for _ in range(MOST_PAGES):
            wanted: dict[str, Any] = {
                "filter_criteria": criteria, "limit": LISTED_AT_ONCE, "sort_order": "descending",
            }
            if page is not None:
                wanted["pagination_key"] = page
            answer = self._client.look_up(VENDOR, about, "POST", "/v3/list-calls", json=wanted)
            match answer.document():
                case {"items": list(rows), "has_more": bool(has_more), **rest} if answer.is_success:
                    if not all(isinstance(row, dict) for row in rows):
                        raise unusable(VENDOR, about, answer)
                    yield from rows
                case _:
                    raise unusable(VENDOR, about, answer)
            if not has_more:
                return
            following = rest.get("pagination_key")
            if not isinstance(following, str) or following in ("", page):
                raise unusable(VENDOR, about, answer)
            page = following
        raise ProviderError(f"{VENDOR} was asked for {about} and lists more than {MOST_PAGES * LISTED_AT_ONCE} calls")

    def _get(self, call_id: str) -> Mapping[str, Any] | None:
        """One call in full, or None when Retell says that it has none. Raises ProviderError."""
        about = f"call {call_id}"
        answer = self._client.look_up(VENDOR, about, "GET", f"/v2/get-call/{_part(call_id)}")
        if _is_absent(answer):
            return None
        row = answer.document()
        if not answer.is_success or row.get("call_id") != call_id:
            raise unusable(VENDOR, about, answer)
        return row

    def _report(self, row: Mapping[str, Any], call_id: str, attempt_ref: str | None) -> CallReport:
        return translate(row, call_id, _ref(row) or attempt_ref, self._short_call)

    # --- webhooks --------------------------------------------------------------------------------

    def receive(self, hook: Hook, now: datetime) -> Sequence[ProviderEvent]:
        self._verify(hook, now)
        match _read_json(hook.body):
            case {"event": str(kind)} if kind not in EVENTS:
                return []
            case {"event": str(kind), "call": dict(call)}:
                call_id = _call_id(call)
            case _:
                raise HookRefused(400, "a Retell event has an event and a call")
        if call_id is None:
            raise HookRefused(400, "the call in a Retell event has an id")
        if call.get("direction") == "inbound":
            return []
        return [ProviderEvent(
            key=f"{kind}:{call_id}", kind=kind, payload=scrub({"event": kind, "call": call}, drop=DROPPED),
            attempt_ref=_ref(call), call_id=call_id,
        )]

    def read_event(self, event: ProviderEvent) -> CallReport | None:
        call = event.payload.get("call")
        if not isinstance(call, Mapping):
            return None
        call_id = event.call_id or _call_id(call)
        if call_id is None:
            return None
        report = translate(call, call_id, event.attempt_ref or _ref(call), self._short_call)
        fits = report.phase is Phase.ENDED or (report.phase is Phase.ANSWERED and event.kind == STARTED)
        return report if fits else None

    def _verify(self, hook: Hook, now: datetime) -> None:
        """Raises HookRefused unless the body was signed with a key of ours, within the last minutes."""
        found = _SIGNATURE.fullmatch(hook.headers.get("x-retell-signature", ""))
        if found is None:
            raise HookRefused(401, "the x-retell-signature is missing or is none")
        written, digest = found.groups()
        signed = hook.body + written.encode()
        fits = [hmac.compare_digest(_digest(key, signed), digest) for key in self._account.webhook_keys]
        if not any(fits):
            raise HookRefused(401, "the x-retell-signature does not fit the body and our keys")
        age = now - datetime(1970, 1, 1, tzinfo=UTC)
        if abs(age - timedelta(milliseconds=int(written))) > SIGNATURE_AGE:
            raise HookRefused(401, "the x-retell-signature is too old or too new")

    # --- the account -----------------------------------------------------------------------------

    def read_vitals(self) -> Vitals | None:
        about = "the account's concurrency"
        answer = self._client.look_up(VENDOR, about, "GET", "/get-concurrency")
        if answer.status == 402 and _message(answer) is not None:
            return Vitals(problem=NO_CREDIT)
        told = answer.document()
        if not answer.is_success or not told:
            raise unusable(VENDOR, about, answer)
        return Vitals(most_calls=_most_calls(told), in_use=read_seconds(told.get("current_concurrency")))

    def inspect(self, agents: Collection[str], numbers: Collection[str]) -> Sequence[Inspection]:
        key = self._inspect_key()
        if key.standing is Standing.PROBLEM:
            return [key]  # nothing else can be asked with it
        account = self._account
        return [
            key,
            *(self._inspect_agent(agent) for agent in _once(account.agent_id, agents)),
            *(self._inspect_number(number) for number in _once(account.from_number, numbers)),
        ]

    def close(self) -> None:
        self._client.close()

    def _inspect_key(self) -> Inspection:
        try:
            vitals = self.read_vitals() or Vitals()
        except ProviderError as error:
            if error.permanent:
                return Inspection(Standing.PROBLEM, f"{VENDOR} does not accept RETELL_API_KEY; set one that is valid.")
            return Inspection(Standing.WARNING, f"RETELL_API_KEY could not be verified: {error}.")
        if vitals.problem is not None:
            return Inspection(Standing.PROBLEM, vitals.problem)
        if vitals.most_calls is None or vitals.in_use is None:
            return Inspection(Standing.OK, f"{VENDOR} accepts RETELL_API_KEY.")
        return Inspection(
            Standing.OK, f"{VENDOR} accepts RETELL_API_KEY; {vitals.in_use} of {vitals.most_calls} calls are in use."
        )

    def _inspect_agent(self, agent: str) -> Inspection:
        told = self._look_at(f"agent {agent}", f"/get-agent/{_part(agent)}", "create it there or correct its id")
        return told if isinstance(told, Inspection) else Inspection(Standing.OK, f"{VENDOR} has agent {agent}.")

    def _inspect_number(self, number: str) -> Inspection:
        told = self._look_at(
            f"caller id {number}", f"/get-phone-number/{_part(number)}", "buy or import it there, or use another"
        )
        if isinstance(told, Inspection):
            return told
        if self._account.agent_id is None and not told.get("outbound_agents"):
            return Inspection(
                Standing.WARNING, f"caller id {number} has no outbound agent at {VENDOR}; bind one there or set "
                "RETELL_AGENT_ID, unless every campaign that uses it has its own agent.",
            )
        return Inspection(Standing.OK, f"{VENDOR} has caller id {number}.")

    def _look_at(self, about: str, path: str, remedy: str) -> Mapping[str, Any] | Inspection:
        """What Retell tells of an agent or a number, or what is wrong with it."""
        try:
            answer = self._client.look_up(VENDOR, about, "GET", path)
        except ProviderError as error:
            return Inspection(Standing.WARNING, f"{error}.")
        if _is_absent(answer):
            return Inspection(Standing.PROBLEM, f"{VENDOR} has no {about}; {remedy}.")
        if not answer.is_success or not answer.document():
            return Inspection(Standing.WARNING, f"{unusable(VENDOR, about, answer)}.")
        return answer.document()


# --- translation ---------------------------------------------------------------------------------


class _Stand(NamedTuple):
    """The facts of a call that its outcome depends on."""

    status: str | None
    reason: str | None
    started_at: datetime | None
    ended_at: datetime | None
    talk: Decimal | None
    """Seconds."""
    lasts_by_its_word: bool
    """Is the length above one that Retell told, and more than none?"""

    @property
    def is_over(self) -> bool:
        if self.status in OVER:
            return True
        signs = (self.reason is not None, self.ended_at is not None)
        return all(signs) if self.status in LIVE else any(signs)

    @property
    def answered_at(self) -> datetime | None:
        """Retell dates unconnected calls too, so their status is asked as well."""
        return None if self.status in (NOT_CONNECTED, ERROR) else self.started_at

    @property
    def talked(self) -> bool:
        """Has Retell a sign of a talk? The length that it tells counts whatever the status is."""
        lasted = self.lasts_by_its_word or (self.status != NOT_CONNECTED and self.talk is not None and self.talk > 0)
        return lasted or self.answered_at is not None

    @property
    def reached_somebody(self) -> bool:
        """Also where an error of the agent's cut the conversation."""
        return self.started_at is not None and self.status != NOT_CONNECTED


def translate(row: Mapping[str, Any], call_id: str, attempt_ref: str | None, short_call: timedelta) -> CallReport:
    """A call object of Retell's as we report it. Never raises, whatever is in it."""
    stand = _read_stand(row)
    if not stand.is_over:
        # A status that nobody knows, without a sign of an end, may be of a call that still rings: it ends nothing.
        phase = LIVE.get(stand.status or "", Phase.DIALING)
        return CallReport(
            call_id, phase, attempt_ref, provider_status=stand.status, known_word=stand.status in LIVE,
            answered_at=stand.started_at if phase is Phase.ANSWERED else None,
        )
    cost = read_cost(_mapping(row.get("call_cost")).get("combined_cost"))
    report = CallReport(
        call_id, Phase.ENDED, attempt_ref, provider_status=stand.reason or stand.status,
        answered_at=stand.answered_at, ended_at=stand.ended_at, talk_seconds=_talk_seconds(stand),
        cost=cost, cost_unit=None if cost is None else COST_UNIT, details=scrub(row, drop=DROPPED),
    )
    kind = NEVER_DIALED.get(stand.reason or "")
    if kind is not None and not stand.talked and not _has_speech(row.get("transcript")):
        return replace(report, refusal=Refused(kind, f"{VENDOR} reached nobody: {stand.reason}"))
    return replace(report, **_read_end(row, stand, short_call))


def _read_end(row: Mapping[str, Any], stand: _Stand, short_call: timedelta) -> dict[str, Any]:
    """What became of a call that is over: its outcome, and what the agent wrote down."""
    analysis = _mapping(row.get("call_analysis"))
    outcome, known = _outcome_of(row, stand, short_call)
    is_machine = analysis.get("in_voicemail") is True
    if is_machine and outcome in SPOKEN and stand.answered_at is not None:
        outcome = Outcome.VOICEMAIL
    found = Findings()
    if stand.reached_somebody and not is_machine and outcome is not Outcome.VOICEMAIL:  # a machine asks for nothing
        found = read_findings(analysis.get("custom_analysis_data"), row.get("collected_dynamic_variables"), analysis)
    if found.do_not_call:
        outcome = Outcome.DO_NOT_CALL
    elif outcome in SPOKEN and found.wants_callback:
        outcome = Outcome.CALLBACK
    wish = found if outcome is Outcome.CALLBACK else Findings()
    return {
        "outcome": outcome, "known_word": known, "summary": read_text(analysis.get("call_summary")),
        "appointment_at": found.appointment_at, "callback_at": wish.callback_at, "callback_zone": wish.callback_zone,
        "is_final": stand.answered_at is None or bool(analysis),
    }


def _outcome_of(row: Mapping[str, Any], stand: _Stand, short_call: timedelta) -> tuple[Outcome, bool]:
    """The outcome by Retell's own words, and whether they are words that we know."""
    if stand.reason is None:
        outcome = WITHOUT_REASON.get(stand.status or "")
        return outcome or Outcome.FAILED, outcome is not None
    if stand.reason in NEVER_DIALED:
        return Outcome.FAILED, True  # credit or a limit ran out in the middle: somebody has been called
    outcome = OUTCOMES.get(stand.reason)
    is_short = stand.talk is not None and stand.talk < Decimal(str(short_call.total_seconds()))
    is_silent = _is_silent(row.get("transcript"))
    if (stand.reason == USER_HANGUP and is_short) or (stand.reason == INACTIVITY and is_silent):
        return Outcome.HANG_UP, True
    return outcome or Outcome.FAILED, outcome is not None


def _read_stand(row: Mapping[str, Any]) -> _Stand:
    written = row.get("disconnection_reason")
    started_at, ended_at = read_epoch(row.get("start_timestamp")), read_epoch(row.get("end_timestamp"))
    return _Stand(
        status=read_word(row.get("call_status")),
        reason=None if written in (None, "") else read_word(written) or "(unreadable)",
        started_at=started_at,
        ended_at=ended_at,
        talk=_read_talk(row.get("duration_ms"), started_at, ended_at),
        lasts_by_its_word=(read_decimal(row.get("duration_ms")) or 0) > 0,
    )


def _read_talk(duration_ms: Any, started_at: datetime | None, ended_at: datetime | None) -> Decimal | None:
    written = read_decimal(duration_ms)
    if written is not None and written >= 0:
        return written / 1000
    if started_at is None or ended_at is None or ended_at < started_at:
        return None
    return Decimal(str((ended_at - started_at).total_seconds()))


def _talk_seconds(stand: _Stand) -> int | None:
    if stand.status == NOT_CONNECTED:
        return 0
    return read_seconds(stand.talk)


def _hides_speech(row: Mapping[str, Any]) -> bool:
    """Does all depend on whether anybody spoke, in a list that does not say so?"""
    if "transcript" in row:
        return False
    stand = _read_stand(row)
    is_dry = stand.reason in NEVER_DIALED and stand.reached_somebody and not stand.talked
    return stand.reason == INACTIVITY or is_dry


def _has_speech(transcript: Any) -> bool:
    """May somebody have spoken to the agent? Text in another shape, or cut, counts as a talk."""
    return isinstance(transcript, str) and not _is_silent(transcript)


def _is_silent(transcript: Any) -> bool:
    """Does the whole transcript, which is lines of `Agent:` and `User:`, hold no word of the callee?"""
    if not isinstance(transcript, str) or len(transcript) >= LONGEST_TEXT:
        return False
    text = transcript.strip()
    return not text or (text.startswith("Agent:") and _USER_SPEAKS.search(text) is None)


# --- small readers -------------------------------------------------------------------------------


def _kind_of_bad_request(message: str, number: str, from_number: str) -> RefusalKind:
    """What a 400 blames: a list, the account, or the number that was dialed. Else our requests are wrong, and the
    next one would be too.

    What is of the account comes first, for it may name the callee beside ("no credit to call +56..."), and a number
    that is taken for invalid is never dialed again.
    """
    if _DO_NOT_CALL.search(message):
        return RefusalKind.DO_NOT_CALL
    digits = _digits(message)
    if _OF_THE_ACCOUNT.search(message) or _digits(from_number) in digits:
        return RefusalKind.HOLD
    if (_CALLEE.search(message) or _digits(number) in digits) and not _BARRED.search(message):
        return RefusalKind.INVALID_NUMBER
    return RefusalKind.REFUSED if _BARRED.search(message) else RefusalKind.HOLD


def _message(answer: Answer) -> str | None:
    """The text of an error in Retell's documented shape. A proxy's page has none, and so proves nothing."""
    match answer.document():
        case {"status": "error", "message": str(message)}:
            return message
    return None


def _refusal_text(answer: Answer) -> str | None:
    """The text of a refused start: Retell's shape, or an API gateway's before it. Neither names a call."""
    document = answer.document()
    if _call_id(document) is not None or is_page(answer.body, answer.headers.get("Content-Type")):
        return None
    texts = (document.get(name) for name in ("message", "error_message", "error", "detail"))
    said = next((text for text in texts if isinstance(text, str) and text), None)
    return said or WITHOUT_WORDS.get(answer.status)


def _is_absent(answer: Answer) -> bool:
    return answer.status in ABSENT and _message(answer) is not None


def _call_id(row: Mapping[str, Any]) -> str | None:
    call_id = row.get("call_id")
    return call_id if isinstance(call_id, str) and _CALL_ID.fullmatch(call_id) else None


def _ref(row: Mapping[str, Any]) -> str | None:
    """Our reference in a call. Other programs on the account may write anything under that name."""
    ref = _metadata(row).get("attempt_ref")
    return ref if isinstance(ref, str) and 0 < len(ref) <= LONGEST_REF and ref.isprintable() else None


def _metadata(row: Mapping[str, Any]) -> Mapping[str, Any]:
    return _mapping(row.get("metadata"))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _most_calls(told: Mapping[str, Any]) -> int | None:
    burst = read_seconds(told.get("concurrency_burst_limit"))
    if told.get("concurrency_burst_enabled") is True and burst:
        return burst
    limit = read_seconds(told.get("concurrency_limit"))
    return None if limit is None else max(0, limit - (read_seconds(told.get("reserved_inbound_concurrency")) or 0))


def _ids(request: DialRequest) -> dict[str, str]:
    known = {"lead_id": request.lead_id, "campaign_id": request.campaign_id}
    return {name: str(value) for name, value in known.items() if value is not None}


def _equal(text: str) -> dict[str, str]:
    return {"type": "string", "op": "eq", "value": text}


def _milliseconds(span: timedelta, limits: tuple[timedelta, timedelta]) -> int:
    shortest, longest = limits
    return min(max(span, shortest), longest) // timedelta(milliseconds=1)


def _read_json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise HookRefused(400, "a Retell event is JSON") from error


def _digest(key: SecretStr, signed: bytes) -> str:
    return hmac.new(key.get_secret_value().encode(), signed, hashlib.sha256).hexdigest()


def _digits(text: str) -> str:
    return re.sub(r"[^0-9]", "", text)


def _part(text: str) -> str:
    """Text as one part of a path, whatever is in it."""
    return quote(text, safe="", errors="replace")


def _chunks(ids: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (ids[at : at + size] for at in range(0, len(ids), size))


def _once(own: str | None, others: Collection[str]) -> list[str]:
    return list(dict.fromkeys(one for one in (own, *others) if one))


def _expect(pattern: re.Pattern[str], field: str, text: str | None, right: str) -> None:
    if text is not None and pattern.fullmatch(text) is None:
        raise InvalidValue(field, "(not shown)", right)


def _read_choice(keys: Keys, field: str, choices: Mapping[str, bool], default: str) -> bool:
    written = (keys.text(field) or default).lower()
    if written not in choices:
        raise InvalidValue(field, "(not shown)", f"write {' or '.join(choices)}")
    return choices[written]
