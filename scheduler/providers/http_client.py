"""One request to a vendor, over by its deadline and never repeated: the only user of httpx.

Decided here: what every adapter needs of HTTP. Each request ends by `request_timeout` as a whole; httpx
alone limits each read, so a server that sends one byte now and then would hold a dialing place for ever. That time
of a start request began with the dispatcher's last look at the clock, and none of its bytes leaves after its claim's
limit (`sending`): looking up the name, connecting and TLS draw on it, and head and body leave in one piece, right
after a look at the clock. One that was stopped in that very instant knows it by the look after it.
Nothing is retried, redirected or taken from the environment (proxies, `.netrc`): each of them could send
a second start request. TLS is verified. A host that resolves to a link-local, metadata or unspecified
address is not connected to, whatever its name is, so that an address typed into the settings cannot make
this machine give away its cloud credentials.

A newcomer would expect idle connections to be kept for long: one that the server closes just as we write
makes a needless unknown, so they are kept for two seconds, far less than any server waits.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import re
import socket
import ssl
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import timedelta
from email.utils import parsedate_to_datetime
from queue import Empty, SimpleQueue
from threading import local
from typing import Any, Literal, NamedTuple, TypeAlias

import httpcore
import httpx

from scheduler.clock import boottime
from scheduler.errors import InvalidValue, ProviderError
from scheduler.providers.base import RefusalKind, Refused, Unanswered
from scheduler.providers.names import NAMES, NameTrouble
from scheduler.providers.sending import Sending, TooLate, current

KEEP_IDLE_SECONDS = 2.0
LONGEST_CONNECT_SECONDS = 5.0
LONGEST_POOL_SECONDS = 1.0
SPARE_CONNECTIONS = 4  # for polls, lookups and hang-ups beside the dialing places
LATE_ANSWER_SECONDS = 5.0
"""How long the answer to a request that left too late is waited for: its call can only be hung up by its id."""
LARGEST_BODY = 16 * 2**20
Plain: TypeAlias = Literal["here", "private", "anywhere"]
OF_THE_ACCOUNT = (401, 402, 403)

METADATA_HOSTS = frozenset({"metadata.google.internal", "metadata.goog", "metadata", "instance-data"})
METADATA_ADDRESSES = frozenset({"100.100.100.200", "fd00:ec2::254"})
_HOST = re.compile(r"[\w.-]+|[0-9a-f:.]+(%\w+)?")  # httpx writes a space as %20 and goes on
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

TOO_LATE = "its dial budget was over before it could be sent"
# Raised before anything was written: httpx tells these apart from a failure while writing or reading.
NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


class Answer(NamedTuple):
    """What came back. `headers` are looked up without regard to case."""

    status: int
    body: bytes
    headers: Mapping[str, str]

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    def document(self) -> dict[str, Any]:
        """The body as a JSON object; anything else reads as an empty one."""
        value = self.json()
        return value if isinstance(value, dict) else {}

    def json(self) -> Any:
        """The body as JSON; None where it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    def retry_after(self) -> timedelta | None:
        """Seconds, or a date: taken relative to the answer's own Date, so that no clock of ours matters."""
        written = self.headers.get("Retry-After", "").strip()
        try:
            if written.isascii() and written.isdigit():
                return timedelta(seconds=int(written))
            wait = parsedate_to_datetime(written) - parsedate_to_datetime(self.headers.get("Date", ""))
        except (TypeError, ValueError, IndexError, OverflowError):
            return None
        return max(wait, timedelta(0))


class HttpClient:
    """Requests to one vendor at `base`. Safe for several threads at once."""

    def __init__(
        self, base: str, *, places: int, request_timeout: timedelta, headers: Mapping[str, str] | None = None,
        basic: tuple[str, str] | None = None, allow_hosts: Collection[str] = (),
    ) -> None:
        seconds = request_timeout.total_seconds()
        self._budget = seconds
        self._deadlines = _Deadlines()
        self._client = httpx.Client(
            base_url=base,
            transport=_DeadlineTransport(
                _tls_for(base), places + SPARE_CONNECTIONS, self._deadlines, frozenset(allow_hosts)
            ),
            timeout=httpx.Timeout(
                seconds,
                connect=min(seconds, LONGEST_CONNECT_SECONDS),
                pool=min(seconds, LONGEST_POOL_SECONDS),
            ),
            headers={"Accept": "application/json", "Accept-Encoding": "identity", **(headers or {})},
            auth=httpx.BasicAuth(*basic) if basic else None,
            follow_redirects=False,  # a redirected POST would be a second start request
            trust_env=False,
        )

    def ask(self, method: str, path: str, **content: Any) -> Answer:
        """Exactly one request, over by the deadline however slowly the answer comes. Raises httpx.HTTPError.

        `content` is what httpx takes: `json`, `content`, `data` (a form), `params`, `headers`.
        """
        return self._ask(None, method, path, content)

    def _ask(self, sending: Sending | None, method: str, path: str, content: Mapping[str, Any]) -> Answer:
        within = self._deadlines.within(self._budget, sending)
        with within, self._client.stream(method, path, **content) as response:
            body = bytearray()
            for chunk in response.iter_raw():
                body += chunk
                if len(body) > LARGEST_BODY:
                    raise httpx.ReadError("the answer is too large to be one", request=response.request)
            return Answer(response.status_code, bytes(body), response.headers)

    def start(self, vendor: str, method: str, path: str, **content: Any) -> Answer | Refused | Unanswered:
        """The request that places a call: its answer, or why there is none. Never raises, never repeats.

        Only what failed before the first byte is proof that no call was made (`NEVER_SENT`).
        """
        sending = current()
        try:
            return self._ask(sending, method, path, content)
        except TooLate:
            return Refused(RefusalKind.NEVER_SENT, TOO_LATE, ours=True)
        except NOT_SENT as error:
            if sending is not None and boottime() >= sending.send_before:
                return Refused(RefusalKind.NEVER_SENT, f"{TOO_LATE} ({name_of(error)})", ours=True)
            return Refused(RefusalKind.NEVER_SENT, f"{vendor} could not be reached: {name_of(error)}")
        except Exception as error:  # place always answers, and only what is known above proves anything
            return Unanswered(f"the answer to the start request was lost: {name_of(error)}")

    def look_up(self, vendor: str, about: str, method: str, path: str, **content: Any) -> Answer:
        """Any other request, such as a poll. Raises ProviderError when there is no answer at all."""
        try:
            return self.ask(method, path, **content)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ProviderError(f"{vendor} was asked for {about} without an answer: {name_of(error)}") from error

    def close(self) -> None:
        self._client.close()


def unusable(vendor: str, about: str, answer: Answer) -> ProviderError:
    """For an answer that is none: permanent where the account is the reason."""
    return ProviderError(
        f"{vendor} was asked for {about} and answered {answer.status} with nothing that can be used",
        permanent=answer.status in OF_THE_ACCOUNT,
    )


def name_of(error: Exception) -> str:
    """The kind only: an error's text may quote the request, and the request holds a number. A name that has no
    address is told whole.
    """
    cause = error.__cause__.__cause__ if error.__cause__ is not None else None
    return str(cause) if isinstance(cause, NameTrouble) else type(error).__name__


def read_address(field: str, url: str, *, allow_hosts: Collection[str] = (), plain: Plain = "here") -> str:
    """An address of a vendor, or of ours, without a slash at its end. Raises InvalidValue.

    `plain` says how far http without TLS may go, because keys and phone numbers go over it: to this machine,
    into a private network, or anywhere. `allow_hosts` are exempt from every rule about hosts.
    """
    right = "write an address such as https://api.example.com"
    # People paste keys into addresses, before an @ or after a ?: neither part is ever quoted.
    quoted = re.split(r"[?#]", url.rpartition("@")[2])[0]
    try:
        address = httpx.URL(url.strip())
    except (httpx.InvalidURL, TypeError, ValueError):
        raise InvalidValue(field, quoted, right) from None
    host = address.host.strip("[]").lower()
    if address.scheme not in ("http", "https") or not _HOST.fullmatch(host) or (address.port or 0) > 65535:
        raise InvalidValue(field, quoted, right)
    if address.userinfo or address.query or address.fragment:
        raise InvalidValue(field, f"{address.scheme}://{host}", "write it without a user, a query or a fragment")
    if host in allow_hosts:
        return str(address).rstrip("/")
    if is_forbidden(host):
        raise InvalidValue(
            field, quoted, f"{host} is a link-local or metadata host; name it in RINGBACK_ALLOW_HOSTS if it is right"
        )
    may_be_plain = plain == "anywhere" or _is_loopback(host) or (plain == "private" and _is_private(host))
    if address.scheme == "http" and not may_be_plain:
        tls = f"write https://, or name {host} in RINGBACK_ALLOW_HOSTS if plain http is right"
        raise InvalidValue(field, quoted, tls)
    return str(address).rstrip("/")


def is_forbidden(host: str) -> bool:
    """Is this a name or an address that no vendor has: link-local, metadata, unspecified, multicast?"""
    if host.rstrip(".").lower() in METADATA_HOSTS:
        return True
    address = _address(host)
    if address is None:
        return False
    address = _inner(address)
    return (
        address.is_link_local or address.is_unspecified or address.is_multicast or str(address) in METADATA_ADDRESSES
    )


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


def _inner(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The IPv4 address that an IPv6 one stands for, where it does: mapped, 6to4, or for a translator (NAT64)."""
    if not isinstance(address, ipaddress.IPv6Address):
        return address
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _is_loopback(host: str) -> bool:
    address = _address(host)
    return host == "localhost" or host.endswith(".localhost") if address is None else address.is_loopback


def _is_private(host: str) -> bool:
    address = _address(host)
    return "." not in host or host.endswith((".local", ".lan", ".internal")) if address is None else address.is_private


def _tls_for(base: str) -> ssl.SSLContext:
    if base.startswith("https:"):
        return httpx.create_ssl_context(trust_env=False)
    # Reading the list of authorities costs each start of a daemon 45 ms; this context trusts nobody.
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class _Deadlines(local):
    """The deadline of the request that this thread is making, and the limits of its bytes if it starts a call."""

    at: float | None = None
    sending: Sending | None = None

    def within(self, seconds: float, sending: Sending | None) -> _Deadlines:
        self.at = boottime() + seconds if sending is None else sending.over_by
        self.sending = sending
        return self

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self.at = self.sending = None

    def left(self, timeout: float | None, gone: type[httpcore.TimeoutException]) -> float | None:
        """What a single step may take. Raises `gone` when the whole request has had its time."""
        if self.at is None:
            return timeout
        at, sending = self.at, self.sending
        if sending is not None and gone is not httpcore.ReadTimeout:
            at = min(at, sending.send_before)
        elif sending is not None and sending.is_late:
            at = max(at, sending.seen_at + LATE_ANSWER_SECONDS)
        left = at - boottime()
        if left <= 0:
            raise gone("the request has had its time")
        return left if timeout is None else min(timeout, left)


class _DeadlineTransport(httpx.HTTPTransport):
    """httpx's own transport, with sockets that keep the deadline. No retries, not even to connect."""

    def __init__(
        self, tls: ssl.SSLContext, connections: int, deadlines: _Deadlines, allow_hosts: frozenset[str]
    ) -> None:
        super().__init__(verify=tls, retries=0, trust_env=False)
        # httpx gives no other way to choose the network backend; a test with a dribbling server holds this.
        self._pool = _Connections(lambda origin: httpcore.HTTPConnection(  # type: ignore[assignment]
            origin,
            ssl_context=tls,
            keepalive_expiry=KEEP_IDLE_SECONDS,
            network_backend=_DeadlineBackend(deadlines, allow_hosts),
        ), connections)


class _Connections:
    """Connections to one vendor, each for one request at a time; the one that was used last is taken first.

    httpcore's own pool looks at all its connections, with a system call for each idle one, under one lock, when a
    request begins and again when it ends: beyond a hundred dials at once that is most of what a dial costs.
    """

    def __init__(self, open_one: Callable[[httpcore.Origin], httpcore.HTTPConnection], most: int) -> None:
        self._open_one = open_one
        self._idle: deque[httpcore.HTTPConnection] = deque()
        self._permits: SimpleQueue[None] = SimpleQueue()
        for _ in range(most):
            self._permits.put(None)

    def handle_request(self, request: httpcore.Request) -> httpcore.Response:
        left = request.extensions.get("timeout", {}).get("pool")
        try:
            self._permits.get(timeout=left)
        except Empty:
            raise httpcore.PoolTimeout from None
        connection = self._take(request.url.origin)
        try:
            response = connection.handle_request(request)
        except BaseException:
            self._give_back(connection)
            raise
        return httpcore.Response(
            response.status, headers=response.headers, content=_Body(response.stream, self, connection),
            extensions=response.extensions,
        )

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def _take(self, origin: httpcore.Origin) -> httpcore.HTTPConnection:
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return self._open_one(origin)
            if connection.can_handle_request(origin) and connection.is_idle() and not connection.has_expired():
                return connection
            connection.close()

    def _give_back(self, connection: httpcore.HTTPConnection) -> None:
        if connection.is_idle() and not connection.is_closed():
            self._idle.append(connection)
        else:
            connection.close()
        self._permits.put(None)
        with contextlib.suppress(IndexError):  # the one that has been idle for longest, where nothing is left to do
            oldest = self._idle.popleft()
            if oldest.has_expired():
                oldest.close()
            else:
                self._idle.appendleft(oldest)


class _Body:
    """The body of an answer; its connection is given back once that is over."""

    def __init__(self, stream: Any, pool: _Connections, connection: httpcore.HTTPConnection) -> None:
        self._stream, self._pool, self._connection = stream, pool, connection
        self._is_open = True

    def __iter__(self) -> Iterator[bytes]:
        yield from self._stream

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            try:
                self._stream.close()
            finally:
                self._pool._give_back(self._connection)


class _DeadlineBackend(httpcore.NetworkBackend):
    def __init__(self, deadlines: _Deadlines, allow_hosts: frozenset[str]) -> None:
        self._deadlines, self._allow_hosts = deadlines, allow_hosts
        self._real = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore.NetworkStream:
        left = self._deadlines.left(timeout, httpcore.ConnectTimeout)
        addresses = _resolve(host, port, LONGEST_CONNECT_SECONDS if left is None else left, self._allow_hosts)
        for address in addresses:
            left = self._deadlines.left(timeout, httpcore.ConnectTimeout)
            try:
                stream = self._real.connect_tcp(address, port, left, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if address == addresses[-1]:
                    raise
            else:
                return _DeadlineStream(stream, self._deadlines)
        raise httpcore.ConnectError(f"the name {host} leads nowhere")


def _resolve(host: str, port: int, patience: float, allow_hosts: frozenset[str]) -> Sequence[str]:
    """The addresses to try, in the system's order. The name is not asked again: it could answer otherwise then."""
    found: Sequence[str] = [host]
    if _address(host) is None:
        try:
            found = NAMES.find(host, port, patience)
        except NameTrouble as error:
            raise httpcore.ConnectError(str(error)) from error
    if host not in allow_hosts and any(is_forbidden(one) for one in found):
        raise httpcore.ConnectError(f"{host} leads to a link-local or metadata address")
    return found


class _DeadlineStream(httpcore.NetworkStream):
    """Keeps what is written until something is read, so that a request leaves in one piece."""

    def __init__(self, stream: httpcore.NetworkStream, deadlines: _Deadlines) -> None:
        self._stream, self._deadlines = stream, deadlines
        self._unsent: list[bytes] = []
        self._write_timeout: float | None = None

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._unsent:
            self._send()
        try:
            left = self._deadlines.left(timeout, httpcore.ReadTimeout)
        except httpcore.ReadTimeout:
            if (found := self._read_what_is_there(max_bytes)) is None:
                raise
            return found
        return self._stream.read(max_bytes, left)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if buffer:
            self._unsent.append(buffer)
        self._write_timeout = timeout

    def _send(self) -> None:
        line: socket.socket = self._stream.get_extra_info("socket")
        sending = self._deadlines.sending
        rest = memoryview(b"".join(self._unsent))
        self._unsent.clear()
        try:
            while rest:
                line.settimeout(self._left_to_write(sending))
                if sending is None:
                    sent = line.send(rest)
                else:
                    sending.look()
                    sent = line.send(rest)  # what raises has sent nothing
                    sending.note()
                rest = rest[sent:]
        except TimeoutError as error:
            raise httpcore.WriteTimeout(str(error)) from error
        except OSError:  # a server that turns down what it has not read to its end: its answer may be there
            pass

    def _left_to_write(self, sending: Sending | None) -> float | None:
        if sending is not None and not sending.has_begun and boottime() >= min(sending.send_before, sending.over_by):
            raise TooLate
        return self._deadlines.left(self._write_timeout, httpcore.WriteTimeout)

    def _read_what_is_there(self, max_bytes: int) -> bytes | None:
        """An answer that came while this process was stopped need not be waited for."""
        try:
            return self._stream.read(max_bytes, 0.0)
        except (httpcore.ReadTimeout, httpcore.ReadError):
            return None

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        timeout = self._deadlines.left(timeout, httpcore.ConnectTimeout)
        return _DeadlineStream(self._stream.start_tls(ssl_context, server_hostname, timeout), self._deadlines)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
