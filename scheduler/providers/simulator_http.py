"""The simulated provider behind HTTP: the adapter of a network that runs as a process of its own.

It only translates: one start request, never repeated, and one of three answers. What must stay true:
*refused* needs proof, which is a failure before the first byte or a refusal that `simulator_server`
documents, body included (a proxy's page with the right status proves nothing). Each request ends by
`request_timeout` as a whole; httpx alone limits each read, so a server that sends one byte now and
then would hold a dialing place for ever. A newcomer would expect idle connections to be kept for long:
one that the server closes just as we write makes a needless unknown, so they are kept for two
seconds, far less than any server waits. Proxies and `.netrc` of the environment are not used.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from email.utils import parsedate_to_datetime
from threading import local
from typing import Any, NamedTuple
from urllib.parse import quote

import httpcore
import httpx

from scheduler.clock import boottime, to_utc
from scheduler.errors import InvalidValue, ProviderError
from scheduler.providers.base import (
    Accepted,
    CallKey,
    CallReport,
    DialAnswer,
    DialRequest,
    Phase,
    RefusalKind,
    Refused,
    Unanswered,
)
from scheduler.providers.network import Sighting
from scheduler.providers.simulator import translate

KEEP_IDLE_SECONDS = 2.0
LONGEST_CONNECT_SECONDS = 5.0
LONGEST_POOL_SECONDS = 1.0
SPARE_CONNECTIONS = 4  # for polls, lookups and hang-ups beside the dialing places
LARGEST_BODY = 4 * 2**20
IDS_PER_REQUEST = 100  # keeps the request line well under the usual 8 KiB

# Raised before anything was written: httpx tells these apart from a failure while writing or reading.
NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)

DOCUMENTED_REFUSALS: Mapping[tuple[int, str], RefusalKind] = {
    (400, "refused"): RefusalKind.REFUSED,
    (401, "hold"): RefusalKind.HOLD,
    (402, "hold"): RefusalKind.HOLD,
    (403, "do_not_call"): RefusalKind.DO_NOT_CALL,
    (404, "invalid_number"): RefusalKind.INVALID_NUMBER,
    (422, "invalid_number"): RefusalKind.INVALID_NUMBER,
    (429, "throttled"): RefusalKind.THROTTLED,
}
OF_THE_ACCOUNT = (401, 402, 403)


class HttpSimulator:
    """The adapter for `RINGBACK_SIMULATOR_URL`."""

    name = "simulator"
    finds_by_ref = True
    waits = True

    def __init__(self, url: str, *, places: int, request_timeout: timedelta) -> None:
        base = _base_url(url)
        seconds = request_timeout.total_seconds()
        self._budget = seconds
        self._deadlines = _Deadlines()
        self._client = httpx.Client(
            base_url=base,
            transport=_DeadlineTransport(_tls_for(base), places + SPARE_CONNECTIONS, self._deadlines),
            timeout=httpx.Timeout(
                seconds,
                connect=min(seconds, LONGEST_CONNECT_SECONDS),
                pool=min(seconds, LONGEST_POOL_SECONDS),
            ),
            headers={"Accept": "application/json", "Accept-Encoding": "identity"},
            follow_redirects=False,  # a redirected POST would be a second start request
            trust_env=False,
        )

    def place(self, request: DialRequest) -> DialAnswer:
        try:
            body = _start_body(request)
        except (TypeError, ValueError, RecursionError) as error:
            return Refused(RefusalKind.REFUSED, f"the variables cannot be written as JSON: {_name(error)}")
        try:
            answer = self._ask("POST", "/calls", content=body, headers={"Content-Type": "application/json"})
        except NOT_SENT as error:
            return Refused(RefusalKind.NEVER_SENT, f"the simulator could not be reached: {_name(error)}")
        except Exception as error:  # place always answers, and only what is known above proves anything
            return Unanswered(f"the answer to the start request was lost: {_name(error)}")
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
        document = _document(answer)
        if answer.status == 404 and document.get("error") == "not_found":
            return None
        rows = _rows(answer, document, about)
        if not rows:
            raise ProviderError(f"{about} was asked for; the answer names no call and no error")
        return _report(rows[0], call.attempt_ref)

    def hang_up(self, call_id: str) -> bool:
        about = f"the end of call {call_id}"
        answer = self._look_up(f"/calls/{quote(call_id, safe='')}/hangup", about, method="POST")
        document = _document(answer)
        if answer.status == 404 and document.get("error") == "not_found":
            return False
        ended = document.get("ended")
        if answer.status != 200 or not isinstance(ended, bool):
            raise _unusable(answer, about)
        return ended

    def close(self) -> None:
        self._client.close()

    def _poll_some(self, ids: Sequence[str], refs: Mapping[str, str]) -> dict[str, CallReport | None]:
        about = f"the state of {len(ids)} calls"
        answer = self._look_up("/calls", about, params={"ids": ",".join(ids)})
        document = _document(answer)
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

    def _look_up(self, path: str, about: str, method: str = "GET", **content: Any) -> _Answer:
        try:
            return self._ask(method, path, **content)
        except httpx.HTTPError as error:
            raise ProviderError(f"{about} was asked for without an answer: {_name(error)}") from error

    def _ask(self, method: str, path: str, **content: Any) -> _Answer:
        """Exactly one request, over by the deadline however slowly the answer comes."""
        with self._deadlines.within(self._budget), self._client.stream(method, path, **content) as response:
            body = bytearray()
            for chunk in response.iter_raw():
                body += chunk
                if len(body) > LARGEST_BODY:
                    raise httpx.ReadError("the answer is too large to be one", request=response.request)
            return _Answer(response.status_code, bytes(body), response.headers)


class _Answer(NamedTuple):
    status: int
    body: bytes
    headers: httpx.Headers


def read_start_answer(answer: _Answer, attempt_ref: str) -> DialAnswer:
    """Accepted with an id, refused as documented, or nobody can say."""
    document = _document(answer)
    if 200 <= answer.status < 300:
        return _read_accepted(document, attempt_ref)
    kind = DOCUMENTED_REFUSALS.get((answer.status, str(document.get("error"))))
    if kind is None:
        return Unanswered(f"the simulator answered {answer.status}, which proves nothing")
    wait = _retry_after(answer.headers) if kind is RefusalKind.THROTTLED else None
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
        "ring_timeout_seconds": request.ring_timeout.total_seconds(),
        "max_duration_seconds": request.max_duration.total_seconds(),
        "variables": dict(request.variables),
    }
    return json.dumps(body, allow_nan=False, default=str).encode()  # str: dates and amounts of a lead


def _document(answer: _Answer) -> dict[str, Any]:
    """The body as a JSON object; anything else reads as an empty one."""
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _rows(answer: _Answer, document: Mapping[str, Any], about: str) -> list[dict[str, Any]]:
    rows = document.get("calls")
    if answer.status != 200 or not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise _unusable(answer, about)
    return rows


def _unusable(answer: _Answer, about: str) -> ProviderError:
    return ProviderError(
        f"{about} was asked for; the simulator answered {answer.status} with nothing that can be used",
        permanent=answer.status in OF_THE_ACCOUNT,
    )


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


def _retry_after(headers: httpx.Headers) -> timedelta | None:
    """Seconds, or a date: taken relative to the answer's own Date, so that no clock of ours matters."""
    written = headers.get("Retry-After", "").strip()
    try:
        if written.isascii() and written.isdigit():
            return timedelta(seconds=int(written))
        wait = parsedate_to_datetime(written) - parsedate_to_datetime(headers.get("Date", ""))
    except (TypeError, ValueError, OverflowError):
        return None
    return max(wait, timedelta(0))


def _base_url(url: str) -> httpx.URL:
    right = "write an address such as http://127.0.0.1:8077"
    try:
        base = httpx.URL(url)
    except (httpx.InvalidURL, TypeError) as error:
        raise InvalidValue("RINGBACK_SIMULATOR_URL", url, right) from error
    if base.scheme not in ("http", "https") or not base.host or (base.port or 0) > 65535:
        raise InvalidValue("RINGBACK_SIMULATOR_URL", url, right)
    return base


def _tls_for(base: httpx.URL) -> ssl.SSLContext:
    if base.scheme == "https":
        return httpx.create_ssl_context(trust_env=False)
    # Reading the list of authorities costs each start of a daemon 45 ms; this context trusts nobody.
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _name(error: Exception) -> str:
    # The kind only: an error's text may quote the request, and the request holds a number.
    return type(error).__name__


def _parts(ids: Sequence[str], size: int) -> Iterable[Sequence[str]]:
    return (ids[at : at + size] for at in range(0, len(ids), size))


class _Deadlines(local):
    """The deadline of the request that this thread is making."""

    at: float | None = None

    def within(self, seconds: float) -> _Deadlines:
        self.at = boottime() + seconds
        return self

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self.at = None

    def left(self, timeout: float | None, gone: type[httpcore.TimeoutException]) -> float | None:
        """What a single step may take. Raises `gone` when the whole request has had its time."""
        if self.at is None:
            return timeout
        left = self.at - boottime()
        if left <= 0:
            raise gone("the request has had its time")
        return left if timeout is None else min(timeout, left)


class _DeadlineTransport(httpx.HTTPTransport):
    """httpx's own transport, with sockets that keep the deadline. No retries, not even to connect."""

    def __init__(self, tls: ssl.SSLContext, connections: int, deadlines: _Deadlines) -> None:
        super().__init__(verify=tls, retries=0, trust_env=False)
        # httpx gives no other way to choose the network backend; a test with a dribbling server holds this.
        self._pool = httpcore.ConnectionPool(
            ssl_context=tls,
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=KEEP_IDLE_SECONDS,
            retries=0,
            network_backend=_DeadlineBackend(deadlines),
        )


class _DeadlineBackend(httpcore.NetworkBackend):
    def __init__(self, deadlines: _Deadlines) -> None:
        self._deadlines = deadlines
        self._real = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore.NetworkStream:
        timeout = self._deadlines.left(timeout, httpcore.ConnectTimeout)
        stream = self._real.connect_tcp(host, port, timeout, local_address, socket_options)
        return _DeadlineStream(stream, self._deadlines)


class _DeadlineStream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream, deadlines: _Deadlines) -> None:
        self._stream, self._deadlines = stream, deadlines

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadlines.left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadlines.left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        timeout = self._deadlines.left(timeout, httpcore.ConnectTimeout)
        return _DeadlineStream(self._stream.start_tls(ssl_context, server_hostname, timeout), self._deadlines)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
