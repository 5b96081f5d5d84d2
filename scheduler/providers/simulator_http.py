"""The simulated provider behind HTTP: the adapter of a network that runs as a process of its own.

It only translates: one start request, never repeated, and one of three answers. What must stay true:
*refused* needs proof, which is a failure before the first byte or a refusal that `simulator_server`
documents, body included (a proxy's page with the right status proves nothing).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import quote

from scheduler.clock import to_utc
from scheduler.errors import ProviderError
from scheduler.providers.base import (
    Accepted,
    CallKey,
    CallReport,
    DialAnswer,
    DialRequest,
    Listed,
    Phase,
    Quiet,
    RefusalKind,
    Refused,
    Unanswered,
)
from scheduler.providers.http_client import Answer, HttpClient, name_of, read_address, unusable
from scheduler.providers.network import Sighting
from scheduler.providers.simulator import translate

IDS_PER_REQUEST = 100  # keeps the request line well under the usual 8 KiB

DOCUMENTED_REFUSALS: Mapping[tuple[int, str], RefusalKind] = {
    (400, "refused"): RefusalKind.REFUSED,
    (401, "hold"): RefusalKind.HOLD,
    (402, "hold"): RefusalKind.HOLD,
    (403, "do_not_call"): RefusalKind.DO_NOT_CALL,
    (404, "invalid_number"): RefusalKind.INVALID_NUMBER,
    (422, "invalid_number"): RefusalKind.INVALID_NUMBER,
    (429, "throttled"): RefusalKind.THROTTLED,
}


class HttpSimulator(Quiet):
    """The adapter for `RINGBACK_SIMULATOR_URL`."""

    name = "simulator"
    finds_by_ref = True
    waits = True

    def __init__(
        self, url: str, *, places: int, request_timeout: timedelta, allow_hosts: Collection[str] = ()
    ) -> None:
        base = read_address("RINGBACK_SIMULATOR_URL", url, allow_hosts=allow_hosts, plain="anywhere")
        self._client = HttpClient(base, places=places, request_timeout=request_timeout, allow_hosts=allow_hosts)

    def place(self, request: DialRequest) -> DialAnswer:
        try:
            body = _start_body(request)
        except (TypeError, ValueError, RecursionError) as error:
            return Refused(RefusalKind.REFUSED, f"the variables cannot be written as JSON: {name_of(error)}")
        answer = self._client.start(
            "the simulator", "POST", "/calls", content=body, headers={"Content-Type": "application/json"}
        )
        if not isinstance(answer, Answer):
            return answer
        return read_start_answer(answer, request.attempt_ref)

    def poll(self, calls: Sequence[CallKey], now: datetime) -> dict[str, CallReport | None]:
        refs = {call.call_id: call.attempt_ref for call in calls if call.call_id is not None}
        found: dict[str, CallReport | None] = {}
        for ids in _parts(list(refs), IDS_PER_REQUEST):
            try:
                found |= self._poll_some(ids, refs)
            except ProviderError:
                if not found:
                    raise
                break  # what was learnt counts; the rest is asked for again at the next poll
        return found

    def find(self, call: CallKey, now: datetime) -> CallReport | None:
        about = f"call {call.attempt_ref}"
        answer = self._look_up(f"/calls/by-ref/{quote(call.attempt_ref, safe='')}", about)
        document = answer.document()
        if answer.status == 404 and document.get("error") == "not_found":
            return None
        rows = _rows(answer, document, about)
        if not rows:
            raise ProviderError(f"{about} was asked for; the answer names no call and no error")
        return _report(rows[0], call.attempt_ref)

    def list_since(self, since: datetime, now: datetime, beginnings: Sequence[str]) -> Sequence[Listed]:
        about = "the calls that it has"
        answer = self._look_up("/calls", about, params={"since": since.isoformat()})
        try:
            return [
                Listed(row["attempt_ref"], row["id"], row["number"], row["lead_id"], _instant(row["placed_at"]))
                for row in _rows(answer, answer.document(), about)
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise unusable("the simulator", about, answer) from error

    def hang_up(self, call_id: str) -> bool:
        about = f"the end of call {call_id}"
        answer = self._look_up(f"/calls/{quote(call_id, safe='')}/hangup", about, method="POST")
        document = answer.document()
        if answer.status == 404 and document.get("error") == "not_found":
            return False
        ended = document.get("ended")
        if answer.status != 200 or not isinstance(ended, bool):
            raise unusable("the simulator", about, answer)
        return ended

    def close(self) -> None:
        self._client.close()

    def _poll_some(self, ids: Sequence[str], refs: Mapping[str, str]) -> dict[str, CallReport | None]:
        about = f"the state of {len(ids)} calls"
        answer = self._look_up("/calls", about, params={"ids": ",".join(ids)})
        document = answer.document()
        reports: dict[str, CallReport | None] = {}
        for row in _rows(answer, document, about):
            call_id = row.get("id")
            if isinstance(call_id, str) and call_id in refs:
                reports[call_id] = _report(row, refs[call_id])
        missing = document.get("missing")
        for call_id in ids:
            if isinstance(missing, list) and call_id in missing and call_id not in reports:
                reports[call_id] = None
        return reports

    def _look_up(self, path: str, about: str, method: str = "GET", **content: Any) -> Answer:
        return self._client.look_up("the simulator", about, method, path, **content)


def read_start_answer(answer: Answer, attempt_ref: str) -> DialAnswer:
    """Accepted with an id, refused as documented, or nobody can say."""
    document = answer.document()
    if 200 <= answer.status < 300:
        return _read_accepted(document, attempt_ref)
    kind = DOCUMENTED_REFUSALS.get((answer.status, str(document.get("error"))))
    if kind is None:
        return Unanswered(f"the simulator answered {answer.status}, which proves nothing")
    wait = answer.retry_after() if kind is RefusalKind.THROTTLED else None
    return Refused(kind, str(document.get("message") or document["error"]), wait)


def _read_accepted(document: Mapping[str, Any], attempt_ref: str) -> DialAnswer:
    call_id = document.get("id")
    if not isinstance(call_id, str) or not call_id:
        return Unanswered("the simulator answered success without a call id")
    try:
        report = _report(document, attempt_ref)
    except ProviderError:
        return Accepted(call_id)  # the id is the proof; the rest is learnt by polling
    return Accepted(call_id, report if report.phase is Phase.ENDED else None)


def _start_body(request: DialRequest) -> bytes:
    body = {
        "attempt_ref": request.attempt_ref,
        "number": request.number,
        "lead_id": request.lead_id,
        "ring_timeout_seconds": request.ring_timeout.total_seconds(),
        "max_duration_seconds": request.max_duration.total_seconds(),
        "variables": dict(request.variables),
    }
    return json.dumps(body, allow_nan=False, default=str).encode()  # str: dates and amounts of a lead


def _rows(answer: Answer, document: Mapping[str, Any], about: str) -> list[dict[str, Any]]:
    rows = document.get("calls")
    if answer.status != 200 or not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise unusable("the simulator", about, answer)
    return rows


def _report(row: Mapping[str, Any], attempt_ref: str) -> CallReport:
    try:
        call_id, word = row["id"], row["status"]
        if not (isinstance(call_id, str) and call_id and isinstance(word, str)):
            raise TypeError("id and status are words")
        sighting = Sighting(
            word,
            answered_at=_instant(row.get("answered_at")),
            ended_at=_instant(row.get("ended_at")),
            ring_seconds=_whole(row.get("ring_seconds")),
            talk_seconds=_whole(row.get("talk_seconds")),
            cost=_cost(row.get("cost")),
            appointment_at=_instant(row.get("appointment_at")),
            callback_at=_instant(row.get("callback_at")),
        )
        return translate(call_id, attempt_ref, sighting)
    except (KeyError, TypeError, ValueError, OverflowError, InvalidOperation) as error:
        message = f"the report of call {attempt_ref} cannot be read: {type(error).__name__}"
        raise ProviderError(message) from error


def _instant(text: Any) -> datetime | None:
    return None if text is None else to_utc(datetime.fromisoformat(text))


def _whole(value: Any) -> int | None:
    return None if value is None else int(value)


def _cost(text: Any) -> Decimal | None:
    if text is None:
        return None
    cost = Decimal(text)
    if not cost.is_finite():
        raise ValueError("a cost is a number")
    return cost


def _parts(ids: Sequence[str], size: int) -> Iterable[Sequence[str]]:
    return (ids[at : at + size] for at in range(0, len(ids), size))
