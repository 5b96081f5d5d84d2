"""Retell AI as its SDK (retell-sdk 6.2.13) and its documentation describe it, over real HTTP.

It is stricter than the real one: a start with a field, a range or a type that is not documented is turned down,
so that an adapter which sends nonsense fails here first. It is also less kind: a repeated `idempotency_key` makes
a second call, because a fake that forgave would hide a second dial. Lists leave out transcripts, as the real ones do.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from scheduler.clock import Clock
from scheduler.model import Outcome
from scheduler.providers.network import MYSTERY, STOPPED_RINGING, STOPPED_TALKING, WORDS, Fault, Sighting
from scheduler.providers.simulator_server import Call, Exchange
from tests.providers.fakes.vendor import Hook, HookPlan, Reply, Request, Vendor, main

KEY = "key_5f1c0ffee0badcafe0000000001"
AGENT = "agent_0a1b2c3d4e5f"
FROM = "+14157774444"
ANALYSIS_TAKES = timedelta(seconds=2)
LONG_AFTER = timedelta(days=1)
HOOK_PATH = "/webhooks/retell"
REMOVED = object()
"""In an override: the field is not there."""

# How each fate ends: status and disconnection reason.
ENDS: Mapping[str, tuple[str, str]] = {
    WORDS[Outcome.COMPLETED]: ("ended", "agent_hangup"),
    WORDS[Outcome.CALLBACK]: ("ended", "agent_hangup"),  # and the agent's variables say when
    WORDS[Outcome.NO_ANSWER]: ("not_connected", "dial_no_answer"),
    WORDS[Outcome.BUSY]: ("not_connected", "dial_busy"),
    WORDS[Outcome.HANG_UP]: ("ended", "user_hangup"),  # or declined, when nobody picked up
    WORDS[Outcome.VOICEMAIL]: ("ended", "voicemail_reached"),
    WORDS[Outcome.FAILED]: ("not_connected", "dial_failed"),
    WORDS[Outcome.INVALID_NUMBER]: ("not_connected", "invalid_destination"),
    WORDS[Outcome.DO_NOT_CALL]: ("ended", "user_requested_dnc"),
    WORDS[MYSTERY]: ("error", "error_cosmic_ray"),
    STOPPED_RINGING: ("not_connected", "manual_stopped"),
    STOPPED_TALKING: ("ended", "manual_stopped"),
}
DECLINED = ("not_connected", "user_declined")

IN_FULL_ONLY = ("transcript", "transcript_object", "transcript_with_tool_calls")
EVENTS = (
    "call_started", "call_ended", "call_analyzed", "transcript_updated", "transfer_started", "transfer_bridged",
    "transfer_cancelled", "transfer_ended",
)  # fmt: skip
START_FIELDS = frozenset({
    "from_number", "to_number", "agent_override", "custom_sip_headers", "honor_internal_dnc", "idempotency_key",
    "ignore_e164_validation", "metadata", "override_agent_id", "override_agent_version", "retell_llm_dynamic_variables",
})  # fmt: skip
LIST_FIELDS = frozenset({"filter_criteria", "include_total", "limit", "pagination_key", "skip", "sort_order"})
VOICEMAIL_ACTIONS = ("prompt", "static_text", "hangup", "bridge_transfer")
E164 = re.compile(r"\+[1-9]\d{6,14}")


class Retell(Vendor):
    """The vendor. `overrides` by call id change what is told of a call; `answers` by verb replace an answer."""

    name = "retell"

    def __init__(
        self, exchange: Exchange, clock: Clock, plan: HookPlan | None = None, *, key: str = KEY,
        webhook_key: str | None = None, lists_registered: bool = True, page_size: int = 1000,
    ) -> None:
        self.key, self.webhook_key = key, webhook_key or key
        self.lists_registered, self.page_size = lists_registered, page_size
        self.heeds_metadata = True
        """Does a search by metadata find anything?"""
        self.agents: dict[str, dict[str, Any]] = {AGENT: {"agent_name": "Ana"}}
        self.numbers: dict[str, dict[str, Any]] = {FROM: {"outbound_agents": [{"agent_id": AGENT, "weight": 1}]}}
        self.overrides: dict[str, dict[str, Any]] = {}
        self.answers: dict[str, Reply] = {}
        self.requests: list[Request] = []
        self.concurrency: dict[str, Any] = {
            "base_concurrency": 20, "purchased_concurrency": 0, "concurrency_limit": 20,
            "concurrency_purchase_limit": 100, "remaining_purchase_limit": 100, "reserved_inbound_concurrency": 5,
            "concurrency_burst_enabled": False, "concurrency_burst_limit": 0,
        }
        super().__init__(exchange, clock, plan)

    def vendor_id(self, token: str) -> str:
        return f"call_{hashlib.md5(token.encode()).hexdigest()[:27]}"

    def handle(self, request: Request) -> Reply:
        self.requests.append(request)
        verb = next((part for part in request.path if part not in ("v2", "v3")), "")
        self.asked[verb] += 1
        if request.headers.get("authorization") != f"Bearer {self.key}":
            return error(401, "Invalid API Key")
        if verb in self.answers:
            return self.answers[verb]
        match request.method, request.path:
            case "POST", ("v2", "create-phone-call"):
                return self._create(request)
            case "POST", ("v3", "list-calls"):
                return self._list(request)
            case "GET", ("v2", "get-call", call_id):
                return self._get(call_id)
            case "POST", ("v2", "stop-call", call_id):
                return self._stop(call_id)
            case "GET", ("get-concurrency",):
                return Reply(200, {"current_concurrency": self._live(), **self.concurrency})
            case "GET", ("get-agent", agent_id):
                return _asset({"agent_id": agent_id, "version": 0}, self.agents.get(agent_id))
            case "GET", ("get-phone-number", number):
                return _asset({"phone_number": number, "phone_number_type": "custom"}, self.numbers.get(number))
        return Reply(404, b"<html>Cannot " + request.method.encode() + b"</html>", content_type="text/html")

    # --- starting and stopping -------------------------------------------------------------------

    def _create(self, request: Request) -> Reply:
        body = request.document()
        problem = self._problem(body)
        if problem is not None:
            return problem
        metadata = body.get("metadata") or {}
        return self.start(
            str(metadata.get("attempt_ref", "")), body["to_number"],
            accepted=lambda call: Reply(201, self.row(call)),
            refusals={
                Fault.THROTTLE: error(429, "Account rate limited, please try again.", {"Retry-After": "2"}),
                Fault.HOLD: error(402, "Trial has ended, please add payment method."),
                Fault.INVALID_NUMBER: error(400, f"to_number {body['to_number']} is not a valid phone number"),
                Fault.DO_NOT_CALL: error(400, f"Contact {body['to_number']} is marked do_not_call"),
            },
            unreadable=(
                Reply(201, {"call_status": "registered", "call_type": "phone_call"}),
                Reply(201, b'{"call_id": "call_'),
                Reply(200, b"<html><body>Welcome</body></html>", content_type="text/html"),
                Reply(204),
            ),
            body=body,
        )

    def _problem(self, body: Mapping[str, Any]) -> Reply | None:
        """Why a start is turned down; None when everything in it is as documented."""
        agent = (body.get("agent_override") or {}).get("agent") or {}
        voicemail = agent.get("voicemail_option")
        wrong = [
            *(f"{name} is not a field" for name in body.keys() - START_FIELDS),
            *(
                f"{name} must be in E.164 format"
                for name in ("from_number", "to_number") if not E164.fullmatch(str(body.get(name)))
            ),
            *_wrong_range("ring_duration_ms", agent, 5_000, 300_000),
            *_wrong_range("max_call_duration_ms", agent, 60_000, 7_200_000),
        ]
        if not _is_text_to_text(body.get("retell_llm_dynamic_variables", {})):
            wrong.append("retell_llm_dynamic_variables must map strings to strings")
        if not isinstance(body.get("honor_internal_dnc", False), bool):
            wrong.append("honor_internal_dnc must be a boolean")
        if not set(agent.get("webhook_events") or ()) <= set(EVENTS):
            wrong.append("webhook_events holds an unknown event")
        if voicemail is not None and voicemail.get("action", {}).get("type") not in VOICEMAIL_ACTIONS:
            wrong.append("voicemail_option has an unknown action")
        if wrong:
            return error(400, "; ".join(wrong))
        number = self.numbers.get(body["from_number"])
        agent_id = body.get("override_agent_id")
        if number is None or (agent_id not in self.agents if agent_id else not number.get("outbound_agents")):
            return not_found()
        return None

    def _stop(self, call_id: str) -> Reply:
        call = self.call_of(call_id)
        return Reply(204) if call is not None and self.hang_up(call) else not_found()

    def _live(self) -> int:
        return sum(self.sight(call).ended_at is None for call in self.calls())

    # --- asking ----------------------------------------------------------------------------------

    def _get(self, call_id: str) -> Reply:
        if self.lookup_fails():
            return error(503, "Service unavailable")
        call = self.call_of(call_id)
        return not_found() if call is None else Reply(200, self.row(call))

    def _list(self, request: Request) -> Reply:
        if self.lookup_fails():
            return error(503, "Service unavailable")
        body = request.document()
        limit, criteria, page = body.get("limit", 50), body.get("filter_criteria", {}), body.get("pagination_key")
        if body.keys() - LIST_FIELDS or not 1 <= limit <= 1000 or ("skip" in body and page is not None):
            return error(400, "the request is malformed")
        rows = []
        for call in self._candidates(criteria):
            row = self.row(call)
            try:
                fits = all(_fits(row, name, wanted) for name, wanted in criteria.items())
            except (KeyError, TypeError) as wrong:
                return error(400, f"filter_criteria: {wrong}")
            hidden = "metadata" in criteria and not self.heeds_metadata
            if fits and not hidden and call in self.find(call.attempt_ref) and self._is_listed(row):
                rows.append({name: value for name, value in row.items() if name not in IN_FULL_ONLY})
        rows.sort(key=lambda row: row.get("start_timestamp", 0), reverse=body.get("sort_order") != "ascending")
        first = int(base64.b64decode(page)) if page is not None else body.get("skip", 0)
        after = first + min(limit, self.page_size)
        more = after < len(rows)
        told = {"items": rows[first:after], "has_more": more}
        if more:
            told["pagination_key"] = base64.b64encode(str(after).encode()).decode()
        return Reply(200, told)

    def _candidates(self, criteria: Mapping[str, Any]) -> Iterable[Call]:
        """The calls that may fit: by id where ids are asked for, so that a long list stays quick."""
        match criteria.get("call_id"):
            case {"type": "enum", "op": "in", "value": list(ids)}:
                return [call for call in map(self.call_of, ids) if call is not None]
        match criteria.get("metadata"):
            case [{"key": "attempt_ref", "op": "eq", "value": str(ref)}] if not self.overrides:
                return self.find(ref)
        return self.calls()

    def _is_listed(self, row: Mapping[str, Any]) -> bool:
        return self.lists_registered or row.get("call_status") != "registered"

    # --- what a call looks like ------------------------------------------------------------------

    def row(self, call: Call, at: datetime | None = None, *, analyzed: bool | None = None) -> dict[str, Any]:
        """The call object at an instant; `analyzed` None: with its analysis once that is ready."""
        at = at or self.clock.now()
        seen = self.exchange._sight(call, at)
        body = self.details_of(call).get("body", {})
        row = {
            "call_type": "phone_call", "call_id": self.id_of(call), "direction": "outbound",
            "agent_id": body.get("override_agent_id", AGENT), "agent_name": "Ana", "agent_version": 0,
            "from_number": body.get("from_number", FROM), "to_number": self.number_of(call),
            "metadata": body.get("metadata", {"attempt_ref": call.attempt_ref}),
            "retell_llm_dynamic_variables": body.get("retell_llm_dynamic_variables", {}),
            "telephony_identifier": {"twilio_call_sid": "CA5d0d0d8047bf685c3f0ff980fe62c123"},
            "opt_in_signed_url": False, "data_storage_setting": "everything",
        }
        if seen.ended_at is None:
            row |= _live_fields(seen)
        else:
            row |= _end_fields(seen)
            if analyzed is True or (analyzed is None and at >= seen.ended_at + ANALYSIS_TAKES):
                row["call_analysis"] = _analysis(seen)
        row |= self.overrides.get(self.id_of(call), {})
        return {name: value for name, value in row.items() if value is not REMOVED}

    # --- webhooks --------------------------------------------------------------------------------

    def hooks_of(self, call: Call) -> Sequence[tuple[datetime, Callable[[], Hook | None]]]:
        seen = self.exchange._sight(call, call.placed_at + LONG_AFTER)
        assert seen.ended_at is not None
        planned: list[tuple[datetime, Callable[[], Hook | None]]] = [
            (seen.ended_at, lambda: self._end_event(call, "call_ended")),
            (seen.ended_at + ANALYSIS_TAKES, lambda: self._end_event(call, "call_analyzed")),
        ]
        if seen.answered_at is not None:
            answered_at = seen.answered_at
            planned.insert(0, (answered_at, lambda: self._started_event(call, answered_at)))
        return planned

    def event(self, call: Call, kind: str, at: datetime, *, analyzed: bool = False) -> Hook:
        """One webhook, signed now."""
        told = {"event": kind, "call": self.row(call, at, analyzed=analyzed)}
        body = json.dumps(told, separators=(",", ":")).encode()
        return self.signed(body, f"{kind} {self.id_of(call)}", self._hook_path(call))

    def signed(self, body: bytes, name: str = "", path: str = HOOK_PATH) -> Hook:
        at = milliseconds(self.clock.now())
        headers = {"Content-Type": "application/json", "X-Retell-Signature": sign(body, self.webhook_key, at)}
        return Hook(path, body, headers, name)

    def _started_event(self, call: Call, answered_at: datetime) -> Hook | None:
        if self.exchange._sight(call, answered_at).word != "in-call":
            return None  # it was hung up before
        return self.event(call, "call_started", answered_at)

    def _end_event(self, call: Call, kind: str) -> Hook | None:
        now = self.clock.now()
        ended_at = self.exchange._sight(call, now).ended_at
        return None if ended_at is None else self.event(call, kind, now, analyzed=kind == "call_analyzed")

    def _hook_path(self, call: Call) -> str:
        agent = self.details_of(call).get("body", {}).get("agent_override", {}).get("agent", {})
        return urlsplit(agent.get("webhook_url") or "").path or HOOK_PATH


def sign(body: bytes, key: str, at: int) -> str:
    """The header `x-retell-signature` for a body at an instant in milliseconds."""
    return f"v={at},d={hmac.new(key.encode(), body + str(at).encode(), hashlib.sha256).hexdigest()}"


def error(status: int, message: str, headers: Mapping[str, str] | None = None) -> Reply:
    return Reply(status, {"status": "error", "message": message}, headers or {})


def not_found() -> Reply:
    return error(422, "Cannot find requested asset under given api key.")


def milliseconds(at: datetime) -> int:
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def _asset(fields: dict[str, Any], known: Mapping[str, Any] | None) -> Reply:
    return error(404, "Not Found") if known is None else Reply(200, fields | dict(known))


def _live_fields(seen: Sighting) -> dict[str, Any]:
    if seen.answered_at is None:
        return {"call_status": "registered"}
    return {"call_status": "ongoing", "start_timestamp": milliseconds(seen.answered_at)}


def _end_fields(seen: Sighting) -> dict[str, Any]:
    assert seen.ended_at is not None
    status, reason = ENDS[seen.word]
    if status == "ended" and seen.answered_at is None:
        status, reason = DECLINED
    fields: dict[str, Any] = {
        "call_status": status, "disconnection_reason": reason, "end_timestamp": milliseconds(seen.ended_at),
        "duration_ms": 0, "call_cost": _cost(seen),
    }
    if seen.answered_at is not None:
        words = [
            {"role": "agent", "content": "Hola, soy Ana.", "words": []},
            {"role": "user", "content": "Hola.", "words": []},
        ]
        fields |= {
            "start_timestamp": milliseconds(seen.answered_at),
            "duration_ms": (seen.ended_at - seen.answered_at) // timedelta(milliseconds=1),
            "transcript": "Agent: Hola, soy Ana.\nUser: Hola.\n",
            "transcript_object": words,
            "transcript_with_tool_calls": words,
            "recording_url": "https://recordings.example/6cd6e5.wav?token=sEcReT",
            "public_log_url": "https://logs.example/6cd6e5.log?token=sEcReT",
            "collected_dynamic_variables": _collected(seen),
        }
    return fields


def _collected(seen: Sighting) -> dict[str, str]:
    return {} if seen.callback_at is None else {"callback_at": seen.callback_at.isoformat(timespec="seconds")}


def _cost(seen: Sighting) -> dict[str, Any]:
    cents = float(seen.cost or 0) * 100
    return {
        "combined_cost": cents, "total_duration_seconds": seen.talk_seconds or 0, "total_duration_unit_price": 0.1,
        "product_costs": [{"product": "elevenlabs_tts", "unit_price": 0.1, "cost": cents}],
    }


def _analysis(seen: Sighting) -> dict[str, Any]:
    booked = seen.appointment_at
    return {
        "call_summary": "The agent introduced herself.", "in_voicemail": seen.word == WORDS[Outcome.VOICEMAIL],
        "user_sentiment": "Neutral", "call_successful": seen.word == WORDS[Outcome.COMPLETED],
        "custom_analysis_data": {} if booked is None else {"appointment_at": booked.isoformat(timespec="seconds")},
    }


def _fits(row: Mapping[str, Any], name: str, wanted: Any) -> bool:
    """Does a call fit one filter? Raises KeyError or TypeError for a filter that is not documented."""
    match name, wanted:
        case ("call_id" | "to_number" | "from_number" | "batch_call_id"), {"type": "string"}:
            return _compares(row.get(name), wanted)
        case ("call_id" | "call_status" | "disconnection_reason" | "direction"), {"type": "enum", "op": "in"}:
            if name == "call_status" and "registered" in wanted["value"]:
                raise TypeError("registered cannot be asked for")
            return row.get(name) in wanted["value"]
        case "metadata", list(filters):
            metadata = row.get("metadata")
            known = metadata if isinstance(metadata, dict) else {}
            return all(_compares(known.get(one["key"]), one) for one in filters)
    raise KeyError(name)


def _compares(value: Any, wanted: Mapping[str, Any]) -> bool:
    if wanted["type"] != "string" or not isinstance(wanted["value"], str):
        raise TypeError("a string is compared with a string")
    if not isinstance(value, str):
        return False
    text = wanted["value"]
    compared = {
        "eq": value == text, "ne": value != text, "sw": value.startswith(text), "ew": value.endswith(text),
        "co": text in value,
    }
    return compared[wanted["op"]]


def _wrong_range(name: str, agent: Mapping[str, Any], least: int, most: int) -> list[str]:
    value = agent.get(name, least)
    is_right = isinstance(value, int) and least <= value <= most
    return [] if is_right else [f"{name} must be between {least} and {most}"]


def _is_text_to_text(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(one, str) for one in value.values())


if __name__ == "__main__":
    main(Retell)
