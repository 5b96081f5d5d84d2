"""Pearl AI (NLPearl), API v2: a call is a *lead* that we hand to a *Pearl*, which then dials it by itself.

Decided here: one lead per attempt, with our reference as its `externalId`; which Pearl a call is asked for at;
what the vendor's two words (the call's status, then the conversation's) mean. The id that is kept is the
lead's, since the vendor makes the call's own id only when it dials. A lead of the account's own Pearl is kept
as `leadId`, one of any other Pearl as `pearlId:leadId`: whoever asks later has that id and nothing else. So
NLPEARL_PEARL_ID should not change while calls are live.

What must stay true: a Pearl redials leads by itself unless its `maximumCallAttempts` is 1, and then two would
be dialing. `inspect` and `read_vitals` say so, and where a Pearl redials, `NeedRetry` is not taken for an end.
"Not found" needs an answer of every outbound Pearl of the account: after a restart nobody remembers which of them a
lost request was sent to. How the vendor says it is not documented, so a 404, a 204 and a 200 without an id are all
taken for it (a lead would be unknown for ever else), but never a web page, which a proxy may have written.

Ring time-out, maximum duration, caller id and webhook addresses belong to the Pearl: what a request says of them
cannot be told to the vendor. Its webhooks are not signed, so they are hints: an end is always asked for.

Left out is v1, although it has a direct "make a call": it takes no reference of ours, so that a lost answer could
only be matched by date and number, and two calls to one number could not be told apart.

A newcomer would take `startTime` for the instant of the answer. It is when the vendor began to work on the call,
so no report says when it was answered, and until its end a call is RINGING: OnCall and InProgress say no more.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum
from itertools import count
from threading import Lock
from typing import Any, Literal
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from pydantic import SecretStr

from scheduler.clock import to_utc
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
from scheduler.providers.network import shorten
from scheduler.providers.payloads import (
    LONG_NUMBER,
    LONGEST_QUOTE,
    is_page,
    read_cost,
    read_decimal,
    read_findings,
    read_instant,
    read_seconds,
    read_text,
    read_word,
    scrub,
    variables_as_text,
)

NAME = "nlpearl"
VENDOR = "NLPearl"
BASE_URL = "https://api.nlpearl.ai"
CREDITS = "credits"

FEW = 20
"""So many calls are asked for one by one, at most, in one poll; more of them are listed first."""
PAGE = 100  # the largest that the vendor's own client uses; no limit is documented
MOST_PAGES = 10
MARGIN = timedelta(minutes=10)  # between the vendor's clock and ours, at both ends of a list's range
LONGEST_RANGE = timedelta(days=2)
PATIENCE = 3
"""Questions without an answer after which a poll stops asking."""
MOST_REMEMBERED = 10_000
SHORTEST_SECRET = 16
LONGEST_KEY = 120
LONGEST_ID = 60  # two of them and a colon are an id that can be kept

# Asked for with each listed call; what is not named here is left out of the answer (nlpearl 2.2.0, pearl.py).
BULK_FIELDS = (
    "LeadId", "CreditDebited", "Summary", "CollectedInfo", "Tags", "IsCallTransferred", "OverallSentiment",
    "QueueDuration",
)  # fmt: skip

IN_PROGRESS, CALL_COMPLETED = 3, 4
CALL_WORDS: Mapping[int, str] = {
    IN_PROGRESS: "InProgress", CALL_COMPLETED: "Completed", 5: "Busy", 6: "Failed", 7: "NoAnswer", 8: "Canceled",
}
UNANSWERED: Mapping[int, Outcome] = {
    5: Outcome.BUSY, 6: Outcome.FAILED, 7: Outcome.NO_ANSWER, 8: Outcome.CANCELLED,
}

NEW, NEED_RETRY, IN_QUEUE, WRONG_COUNTRY, ON_CALL, BLACKLISTED = 1, 10, 20, 30, 40, 220
LEAD_WORDS: Mapping[int, str] = {
    NEW: "New", NEED_RETRY: "NeedRetry", IN_QUEUE: "InCallQueue", WRONG_COUNTRY: "WrongCountryCode", ON_CALL: "OnCall",
    70: "VoiceMailLeft", 100: "Success", 110: "NotSuccessful", 130: "Completed", 150: "Unreachable", 200: "Error",
    BLACKLISTED: "Blacklisted", 300: "QueueAbandon", 500: "Error",
}  # fmt: skip
LIVE: Mapping[int, Phase] = {NEW: Phase.DIALING, IN_QUEUE: Phase.DIALING, ON_CALL: Phase.RINGING}
CONCLUDED: Mapping[int, Outcome] = {
    NEED_RETRY: Outcome.NO_ANSWER,
    WRONG_COUNTRY: Outcome.INVALID_NUMBER,
    70: Outcome.VOICEMAIL,
    100: Outcome.COMPLETED,
    110: Outcome.COMPLETED,
    130: Outcome.COMPLETED,
    150: Outcome.NO_ANSWER,
    200: Outcome.FAILED,  # Error, as old pages of v1 number it
    BLACKLISTED: Outcome.DO_NOT_CALL,
    300: Outcome.FAILED,
    500: Outcome.FAILED,
}
NEVER_DIALED: Mapping[int, RefusalKind] = {
    200: RefusalKind.OUTAGE, 300: RefusalKind.THROTTLED, 500: RefusalKind.OUTAGE,
}
"""What is said of leads that NLPearl did not come to dial, unless their call tells otherwise."""
CALL_FAILED = 6
BARRED = frozenset({WRONG_COUNTRY, BLACKLISTED})
"""What is said of the number itself; it wins over how the call went."""
TALKED = frozenset({Outcome.COMPLETED, Outcome.HANG_UP, Outcome.VOICEMAIL})

ACCOUNT_WORDS: Mapping[int, str] = {
    1: "FullAccess", 2: "LimitedAccess", 3: "NoCredits", 4: "SuspendedAccount", 5: "DebtReached",
}
LIMITED = 2
ACCOUNT_PROBLEMS: Mapping[int, str] = {
    3: "the NLPearl account has no credits left; buy credits on the platform",
    4: "the NLPearl account is suspended; ask NLPearl why",
    5: "the NLPearl account has reached its debt limit; pay it on the platform",
}
INBOUND = 1
PEARL_TYPES: Mapping[int, str] = {INBOUND: "Inbound", 2: "Outbound"}
RUNNING = 1
PEARL_STATES: Mapping[int, str] = {RUNNING: "Running", 2: "Paused", 3: "Suspended", 10: "TemporaryMaintenance"}
SHORTEST_RING, LONGEST_RING = 15, 50  # seconds; the vendor takes 10 to 50, and below 15 hardly anybody picks up
LONGEST_CALL_MINUTES = 60
WEEK_MINUTES = 7 * 24 * 60
WEEK_SLACK_MINUTES = 7 * 60  # a day that ends at 23:00 or at 23:59 is as good as open

UNKNOWN = -1  # a word that no table has
OF_A_LEAD = "lead"
_OTHER_SPELLINGS: Mapping[str, int] = {"notsuccessfull": 110, "complete": 130, "cancelled": 8}  # seen in its own pages
_PEARL_ID = re.compile(rf"[A-Za-z0-9_-]{{1,{LONGEST_ID}}}")
_KEY_PART = re.compile(r"[\x21-\x39\x3b-\x7e]+")  # visible ASCII without the colon
_HEADER_NAME = re.compile(r"[A-Za-z0-9-]{1,64}")
_TWICE = re.compile(r"already|duplicate|(?<!not )exists")
# Numbers and what we sent ourselves do not belong into what is kept.
_LEFT_OUT = ("phoneNumber", "from", "to", "callData", "number")


def open_provider(keys: Keys, wiring: Wiring) -> Provider:
    """The adapter with the keys of the environment. Raises InvalidValue."""
    token = _read_token(keys)
    pearl = keys.need(NAME, "NLPEARL_PEARL_ID")[0]
    if not _PEARL_ID.fullmatch(pearl):
        raise InvalidValue("NLPEARL_PEARL_ID", pearl, "write the id of one Pearl, such as 65f0c1e2a9b4d3c2b1a09f8e")
    url = keys.text("NLPEARL_BASE_URL") or BASE_URL
    base = read_address("NLPEARL_BASE_URL", url, allow_hosts=wiring.allow_hosts).removesuffix("/v2")
    return NLPearl(
        base, token, pearl, wiring,
        time_zone=keys.text("NLPEARL_TIME_ZONE"), hook_secret=_read_hook_secret(keys), hook_header=_read_header(keys),
    )


class NLPearl:
    """One account of NLPearl."""

    name = NAME
    finds_by_ref = True
    waits = True
    listing_lag = timedelta(seconds=60)
    calls_per_second: float | None = None

    def __init__(
        self, base: str, token: SecretStr, pearl: str, wiring: Wiring, *, time_zone: str | None = None,
        hook_secret: SecretStr | None = None, hook_header: str | None = None,
    ) -> None:
        self._token, self._own, self._wiring, self._time_zone = token, pearl, wiring, time_zone
        self._hook_secret, self._hook_header = hook_secret, hook_header
        self._client = HttpClient(
            base, places=wiring.places, request_timeout=wiring.request_timeout, allow_hosts=wiring.allow_hosts,
            headers={"Authorization": f"Bearer {token.get_secret_value()}"},
        )
        self._lock = Lock()
        self._pearls: dict[str, bool | None] = {pearl: None}
        """Every Pearl that was used or named, and whether it redials by itself where that is known."""
        self._turns = count()
        self._asked: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"NLPearl(pearl={self._own!r})"

    # --- starting --------------------------------------------------------------------------------

    def place(self, request: DialRequest) -> DialAnswer:
        pearl = request.agent_id or self._own
        if not _PEARL_ID.fullmatch(pearl):
            return Refused(RefusalKind.HOLD, "the campaign's agent id is no id of a Pearl")
        try:
            body = self._start_body(request)
        except (TypeError, ValueError, RecursionError) as error:
            return Refused(RefusalKind.REFUSED, f"the variables cannot be written as JSON: {name_of(error)}")
        self._remember(pearl)
        answer = self._client.start(
            VENDOR, "POST", f"/v2/Outbound/{pearl}/Lead", content=body, headers={"Content-Type": "application/json"}
        )
        return self._read_start(answer, pearl) if isinstance(answer, Answer) else answer

    def _start_body(self, request: DialRequest) -> bytes:
        body: dict[str, Any] = {"phoneNumber": request.number, "externalId": request.attempt_ref}
        if self._time_zone is not None:
            body["timeZoneId"] = self._time_zone
        variables = variables_as_text(request.variables)
        if variables:
            body["callData"] = variables
        return json.dumps(body, allow_nan=False).encode()

    def _read_start(self, answer: Answer, pearl: str) -> DialAnswer:
        document = answer.document()
        if answer.is_success:
            lead = read_word(_fold(document).get("leadid"))
            if lead is None or len(lead) > LONGEST_ID:
                return Unanswered("NLPearl answered success without a lead id that can be kept")
            return Accepted(self._call_id(pearl, lead))
        said = f"NLPearl answered {answer.status}"
        if answer.status == 400 and _is_problem(document):
            return self._read_invalid(said, document)
        kind = _refusal_of(answer, document)
        if kind is None:
            return Unanswered(f"{said}, which proves nothing")
        wait = answer.retry_after() if kind is RefusalKind.THROTTLED else None
        return Refused(kind, self._quote(said, document), wait)

    def _read_invalid(self, said: str, document: Mapping[str, Any]) -> DialAnswer:
        """A ValidationProblemDetails: what it names decides. Whether it refuses a second use is not documented."""
        named = {_plain(name) for name in document["errors"]} if isinstance(document.get("errors"), dict) else set()
        text = _words_of(document).lower()
        reason = self._quote(said, document)
        if "blacklist" in text or any("blacklist" in name for name in named):
            return Refused(RefusalKind.DO_NOT_CALL, reason)
        if _TWICE.search(text):
            if "external" in text or any("externalid" in name for name in named):
                return Unanswered(f"{reason}: a lead with this reference may exist")
            return Refused(RefusalKind.REFUSED, reason)
        if any("phonenumber" in name for name in named):
            return Refused(RefusalKind.INVALID_NUMBER, reason)
        return Refused(RefusalKind.HOLD, reason)

    def _quote(self, said: str, document: Mapping[str, Any]) -> str:
        """What the vendor says, without numbers and keys: it repeats what it was sent."""
        text = _words_of(document)
        for secret in self._token.get_secret_value().split(":"):
            text = text.replace(secret, "***")
        text = LONG_NUMBER.sub("***", " ".join(text.split()))[:LONGEST_QUOTE]
        return f"{said}: {text}" if text else said

    # --- asking ----------------------------------------------------------------------------------

    def poll(self, calls: Sequence[CallKey], now: datetime) -> dict[str, CallReport | None]:
        by_pearl: dict[str, list[_Wanted]] = {}
        for call in calls:
            if call.call_id is not None:
                pearl, lead = self._parts(call.call_id)
                by_pearl.setdefault(pearl, []).append(_Wanted(call, call.call_id, lead))
        learnt = _Learnt()
        for pearl, wanted in by_pearl.items():
            try:
                self._poll_pearl(pearl, wanted, now, learnt)
            except ProviderError as error:
                learnt.problem = learnt.problem or error
        if learnt.problem is not None and not learnt.reports:
            raise learnt.problem
        return learnt.reports

    def _poll_pearl(self, pearl: str, wanted: Sequence[_Wanted], now: datetime, learnt: _Learnt) -> None:
        if len(wanted) > FEW:
            try:
                self._poll_list(pearl, wanted, now, learnt)
            except ProviderError as error:
                learnt.note(error)
        left = [one for one in wanted if one.call_id not in learnt.reports]
        self._poll_singly(pearl, self._whose_turn(left), now, learnt)

    def _poll_list(self, pearl: str, wanted: Sequence[_Wanted], now: datetime, learnt: _Learnt) -> None:
        """Those that the Pearl's list of calls tells enough of. A lead that was not dialed yet is not in it."""
        rows = self._list_calls(pearl, wanted, now)
        for one in wanted:
            row = rows.get(one.lead)
            if row is not None and not self._may_redial(pearl, row):
                learnt.reports[one.call_id] = self._translate(one.call_id, one.key.attempt_ref, _fold({}), row)

    def _poll_singly(self, pearl: str, wanted: Sequence[_Wanted], now: datetime, learnt: _Learnt) -> None:
        failures = 0
        unpriced: list[tuple[_Wanted, _Document, _Document]] = []
        for one in wanted:
            try:
                lead = self._read_lead(pearl, one.lead)
                call = None if lead is None else self._read_last_call(lead)
            except ProviderError as error:
                learnt.note(error)
                failures += 1
                if failures == PATIENCE:
                    break
                continue
            report = None if lead is None else self._report(pearl, one, lead, call)
            learnt.reports[one.call_id] = report
            if lead is not None and call is not None and report is not None and report.phase is Phase.ENDED:
                unpriced.append((one, lead, call))
        if unpriced:
            self._add_prices(pearl, unpriced, now, learnt)

    def _add_prices(
        self, pearl: str, unpriced: Sequence[tuple[_Wanted, _Document, _Document]], now: datetime, learnt: _Learnt
    ) -> None:
        """Only the list says what a call cost. Without it they are not final, and are asked for again."""
        try:
            rows = self._list_calls(pearl, [one for one, _, _ in unpriced], now)
        except ProviderError:
            return
        for one, lead, call in unpriced:
            row = rows.get(one.lead)
            if row is not None and row.get("id") == call.get("id"):
                told = {name: value for name, value in call.raw.items() if value is not None}
                learnt.reports[one.call_id] = self._report(pearl, one, lead, _fold({**row.raw, **told}))

    def _whose_turn(self, wanted: Sequence[_Wanted]) -> Sequence[_Wanted]:
        """At most FEW, those first that have waited longest, so that none is left out for ever."""
        with self._lock:
            chosen = sorted(wanted, key=lambda one: self._asked.get(one.call_id, -1))[:FEW]
            if len(self._asked) > MOST_REMEMBERED:
                self._asked.clear()
            for one in chosen:
                self._asked[one.call_id] = next(self._turns)
        return chosen

    def _list_calls(self, pearl: str, wanted: Sequence[_Wanted], now: datetime) -> dict[str, _Document]:
        """The last call of each lead, by lead id, since the oldest of them was placed."""
        leads = {one.lead for one in wanted}
        oldest = min((one.key.placed_at for one in wanted if one.key.placed_at is not None), default=now)
        body = {
            "fromDate": _iso(max(oldest, now - LONGEST_RANGE) - MARGIN), "toDate": _iso(now + MARGIN),
            "limit": PAGE, "isAscending": False, "fields": list(BULK_FIELDS),
        }
        found: dict[str, _Document] = {}
        skip = 0
        for _ in range(MOST_PAGES):
            rows, total = self._list_page(pearl, {**body, "skip": skip})
            for row in rows:
                lead = read_word(row.get("leadid"))
                if lead in leads and read_word(row.get("status")) is not None and _is_later(row, found.get(lead)):
                    found[lead] = row
            skip += len(rows)
            if not rows or len(found) == len(leads) or (skip >= total if total is not None else len(rows) < PAGE):
                break
        return found

    def _list_page(self, pearl: str, body: Mapping[str, Any]) -> tuple[list[_Document], int | None]:
        about = f"the calls of Pearl {pearl}"
        answer = self._look_up(about, "POST", f"/v2/Pearl/{_quoted(pearl)}/Calls/Bulk", json=body)
        return _read_page(answer, about)

    def _read_lead(self, pearl: str, lead: str) -> _Document | None:
        """The lead, or None when the vendor says that there is none."""
        about = "a lead"
        answer = self._look_up(about, "GET", f"/v2/Outbound/{_quoted(pearl)}/Lead/{_quoted(lead)}")
        found = _lead_in(answer, about)
        if found is _Said.UNCLEAR:
            raise unusable(VENDOR, about, answer)
        return found

    def _read_last_call(self, lead: _Document) -> _Document | None:
        """The details of a lead's last call, once the lead says that it is over."""
        call_id = _last_call_id(lead)
        if call_id is None or _code(lead.get("status"), LEAD_WORDS) in LIVE:
            return None
        about = "a call"
        answer = self._look_up(about, "GET", f"/v2/Call/{_quoted(call_id)}")
        document = _fold(answer.document())
        if answer.status == 404 and not _is_page(answer):
            return None  # deleted: then the lead alone tells
        if answer.status != 200 or read_word(document.get("id")) is None:
            raise unusable(VENDOR, about, answer)
        return document

    def _report(self, pearl: str, one: _Wanted, lead: _Document, call: _Document | None) -> CallReport:
        if _code(lead.get("status"), LEAD_WORDS) == NEED_RETRY and self._redials(pearl):
            return CallReport(one.call_id, Phase.DIALING, one.key.attempt_ref, provider_status="NeedRetry")
        return self._translate(one.call_id, one.key.attempt_ref, lead, call or _fold({}))

    def _may_redial(self, pearl: str, row: _Document) -> bool:
        """Was this call perhaps not the lead's last? Then its lead must be asked."""
        unanswered = _code(row.get("status"), CALL_WORDS) in UNANSWERED
        again = _code(row.get("conversationstatus"), LEAD_WORDS) == NEED_RETRY
        return (unanswered or again) and self._redials(pearl)

    def _redials(self, pearl: str) -> bool:
        """Does this Pearl call a lead again by itself? Asked once; where it cannot be read, it is set up as it must."""
        with self._lock:
            known = self._pearls.get(pearl)
        if known is None:
            try:
                known = self._note_redials(pearl, self._read_settings(pearl))
            except ProviderError:
                known = self._note_redials(pearl, {})
        return known

    def find(self, call: CallKey, now: datetime) -> CallReport | None:
        problem: ProviderError | None = None
        for pearl in self._pearls_to_search():
            try:
                lead = self._find_lead(pearl, call)
            except ProviderError as error:
                if error.permanent:
                    raise
                problem = problem or error
                continue
            if lead is not None:
                self._remember(pearl)
                wanted = _Wanted(call, self._call_id(pearl, str(lead["id"])), str(lead["id"]))
                return self._report(pearl, wanted, lead, self._read_last_call(lead))
        if problem is not None:
            raise problem
        return None

    def _pearls_to_search(self) -> Iterator[str]:
        """Our own and those known here, then every other outbound Pearl of the account. Raises ProviderError."""
        with self._lock:
            known = tuple(self._pearls)
        yield from known
        for row in self._list_pearls():
            pearl = _id_of(row)
            if pearl is not None and pearl not in known and _code(row.get("type"), PEARL_TYPES) != INBOUND:
                yield pearl

    def _list_pearls(self) -> list[_Document]:
        about = "the Pearls of the account"
        answer = self._look_up(about, "GET", "/v2/Pearl")
        if answer.status in (404, 405, 501):
            return []  # where this list is not served, those that we know are all that there are
        rows = answer.json()
        if answer.status != 200 or not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise unusable(VENDOR, about, answer)
        return [_fold(row) for row in rows]

    def _find_lead(self, pearl: str, call: CallKey) -> _Document | None:
        about = f"attempt {call.attempt_ref}"
        path = f"/v2/Outbound/{_quoted(pearl)}/Lead/External/{_quoted(call.attempt_ref)}"
        found = _lead_in(self._look_up(about, "GET", path), about)
        if found is _Said.UNCLEAR:
            return self._find_by_number(pearl, call, about)
        if found is not None and found.get("externalid") not in (None, call.attempt_ref):
            raise ProviderError(f"{VENDOR} was asked for {about} and answered with a lead of another reference")
        return found

    def _find_by_number(self, pearl: str, call: CallKey, about: str) -> _Document | None:
        """For an answer that may mean "no such reference" or "I did not understand"."""
        path = f"/v2/Outbound/{_quoted(pearl)}/Lead/PhoneNumber/{_quoted(call.number)}"
        answer = self._look_up(about, "GET", path)
        found = _lead_in(answer, about)
        if found is _Said.UNCLEAR:
            raise unusable(VENDOR, about, answer)
        if found is None or found.get("externalid") == call.attempt_ref:
            return found
        return self._find_among(pearl, call, _id_of(found), about)

    def _find_among(self, pearl: str, call: CallKey, other: str | None, about: str) -> _Document | None:
        """The number has a lead of another attempt. A search that shows that one would show ours too."""
        answer = self._look_up(
            about, "POST", f"/v2/Outbound/{_quoted(pearl)}/Leads",
            json={"skip": 0, "limit": PAGE, "isAscending": False, "searchInput": call.number},
        )
        leads, total = _read_page(answer, about)
        ours = {_id_of(lead) for lead in leads if lead.get("externalid") == call.attempt_ref} - {None}
        if len(ours) > 1:
            raise ProviderError(f"{VENDOR} has {len(ours)} leads for {about}; people must decide", permanent=True)
        if ours:
            return self._read_lead(pearl, str(ours.pop()))
        if total == len(leads) and other in map(_id_of, leads):
            return None
        raise ProviderError(f"{VENDOR} was asked for {about}; what it answered neither shows it nor rules it out")

    def take_back(self, call_id: str) -> bool:
        """Delete the lead while it waits in the Pearl's queue: it is not dialed then."""
        pearl, lead = self._parts(call_id)
        if not _waits(self._read_lead(pearl, lead)):
            return False
        about = "a lead to be taken back"
        path = f"/v2/Outbound/{_quoted(pearl)}/Leads"  # nlpearl 2.2.0, outbound.py, delete_leads
        answer = self._look_up(about, "DELETE", path, json={"leadIds": [lead]})
        if not answer.is_success or _is_page(answer):
            raise unusable(VENDOR, about, answer)
        return self._read_lead(pearl, lead) is None  # it may have been dialed in between

    def hang_up(self, call_id: str) -> bool:
        if self.take_back(call_id):
            return True
        pearl, lead = self._parts(call_id)
        found = self._read_lead(pearl, lead)
        if found is None:
            return False
        report = self._translate(call_id, "", found, self._read_last_call(found) or _fold({}))
        if report.phase is Phase.ENDED:
            return False
        raise ProviderError(f"{VENDOR} cannot end a call: its API has no request for it", permanent=True)

    # --- what is reported ------------------------------------------------------------------------

    def _translate(self, call_id: str, attempt_ref: str, lead: _Document, call: _Document) -> CallReport:
        """Lead and call as one report: the call's status first, then the conversation's, which is also the lead's."""
        written = call.get("conversationstatus")
        said = written if written is not None else lead.get("status")
        status, conversation = _code(call.get("status"), CALL_WORDS), _code(said, LEAD_WORDS)
        word = "/".join(filter(None, (_word(call.get("status"), CALL_WORDS), _word(said, LEAD_WORDS)))) or None
        phase = _live_phase(status, conversation, _shows_end(lead, call))
        if phase is not None:
            known = UNKNOWN not in (status, conversation)
            return CallReport(call_id, phase, attempt_ref, provider_status=word, known_word=known)
        kind = NEVER_DIALED.get(conversation or UNKNOWN)
        if kind is not None and status in (None, CALL_FAILED) and not _lasted(lead, call):
            return CallReport(
                call_id, Phase.ENDED, attempt_ref, provider_status=word,
                details=scrub({"lead": lead.raw, "call": call.raw}, drop=_LEFT_OUT),
                refusal=Refused(kind, f"{VENDOR} did not dial the lead: {word}"),
            )
        outcome = _outcome_of(status, conversation)
        report = CallReport(
            call_id, Phase.ENDED, attempt_ref, outcome or Outcome.FAILED, word, known_word=outcome is not None
        )
        return self._add_findings(self._add_details(report, lead, call), lead, call)

    def _add_details(self, report: CallReport, lead: _Document, call: _Document) -> CallReport:
        last = call or _fold(lead.get("lastcall"))
        lasted, outcome = read_seconds(last.get("duration")), report.outcome
        if outcome is Outcome.COMPLETED and lasted is not None and lasted < self._wiring.short_call.total_seconds():
            outcome = Outcome.HANG_UP  # the vendor does not say who ended it, so its length alone decides
        talked = outcome in TALKED and bool(last)
        cost = read_cost(call.get("creditdebited"))
        return replace(
            report,
            outcome=outcome,
            ended_at=_later(read_instant(last.get("starttime")), lasted or 0),
            talk_seconds=lasted if talked else None,
            cost=cost,
            cost_unit=CREDITS if cost is not None else None,
            summary=read_text(last.get("summary")),
            details=scrub({"lead": lead.raw, "call": call.raw}, drop=_LEFT_OUT),
            is_final=cost is not None or not talked or not call,
        )

    def _add_findings(self, report: CallReport, lead: _Document, call: _Document) -> CallReport:
        if report.outcome not in (Outcome.COMPLETED, Outcome.HANG_UP):
            return report
        last = call or _fold(lead.get("lastcall"))
        found = read_findings(_collected(last.get("collectedinfo")), _collected(lead.get("collecteddata")))
        report = replace(report, appointment_at=found.appointment_at)
        if found.do_not_call:
            return replace(report, outcome=Outcome.DO_NOT_CALL)
        if found.wants_callback:
            return replace(
                report, outcome=Outcome.CALLBACK, callback_at=found.callback_at, callback_zone=found.callback_zone
            )
        return report

    # --- webhooks --------------------------------------------------------------------------------

    def receive(self, hook: Hook, now: datetime) -> Sequence[ProviderEvent]:
        if not self._is_genuine(hook):
            raise HookRefused(401, "nothing in it proves that NLPearl sent it")
        try:
            document = json.loads(hook.body)
        except (ValueError, RecursionError):
            raise HookRefused(400, "it is not JSON") from None
        if not isinstance(document, dict):
            raise HookRefused(400, "it is not a JSON object")
        told = _fold(document)
        about, status = read_word(told.get("id")), read_word(told.get("status"))
        if about is None or status is None:
            raise HookRefused(400, "it names no id or no status")
        payload = scrub(document, drop=(*_LEFT_OUT, "transcript"))
        event = _lead_event(told, about, payload) if _is_lead(told) else _call_event(told, about, payload)
        if event is None or event.call_id is None:
            return []
        pearl = read_word(told.get("pearlid")) or self._own
        if not _PEARL_ID.fullmatch(pearl) or len(event.call_id) > LONGEST_ID:
            raise HookRefused(400, "it names a Pearl or a lead by no id")
        return [replace(event, call_id=self._call_id(pearl, event.call_id))]

    def _is_genuine(self, hook: Hook) -> bool:
        """Does it know our secret? In the path, in `?secret=`, or in the header that was agreed upon."""
        if self._hook_secret is None:
            return False
        secret = self._hook_secret.get_secret_value().encode()
        given = [unquote(hook.tail.strip("/")), *_query_secrets(hook.url)]
        if self._hook_header is not None:
            given.append(hook.headers.get(self._hook_header, "").removeprefix("Bearer ").strip())
        return sum(hmac.compare_digest(one.encode("utf-8", "surrogatepass"), secret) for one in given) > 0

    def read_event(self, event: ProviderEvent) -> CallReport | None:
        """That a call goes on is believed; that it is over must be asked, for anybody may have learnt the address."""
        if event.call_id is None:
            return None
        word = _fold(event.payload).get("status")
        if event.kind.startswith(OF_A_LEAD):
            phase = LIVE.get(_code(word, LEAD_WORDS) or UNKNOWN)
        else:
            phase = Phase.RINGING if _code(word, CALL_WORDS) == IN_PROGRESS else None
        return None if phase is None else CallReport(event.call_id, phase, event.attempt_ref)

    # --- the account -----------------------------------------------------------------------------

    def read_vitals(self) -> Vitals | None:
        account = self._read_account()
        problem = ACCOUNT_PROBLEMS.get(_code(account.get("status"), ACCOUNT_WORDS) or UNKNOWN)
        return Vitals(problem or self._pearl_problem(), read_seconds(account.get("totalagents")), self._count_ongoing())

    def _pearl_problem(self) -> str | None:
        """Why our own Pearl must not be given leads. A Pearl that cannot be read is no reason."""
        for judge in (self._judge_state, self._judge_attempts):
            try:
                found = judge(self._own)
            except ProviderError:
                continue
            if found.standing is Standing.PROBLEM:
                return found.sentence
        return None

    def _judge_state(self, pearl: str) -> Inspection:
        return _judge_pearl(pearl, self._read_pearl(pearl))

    def _judge_attempts(self, pearl: str) -> Inspection:
        settings = self._read_settings(pearl)
        self._note_redials(pearl, settings)
        return _judge_attempts(pearl, settings)

    def _count_ongoing(self) -> int | None:
        with self._lock:
            pearls = tuple(self._pearls)
        try:
            counted = [self._read_ongoing(pearl) for pearl in pearls]
        except ProviderError:
            return None
        known = [one for one in counted if one is not None]
        return sum(known) if known else None

    def _read_ongoing(self, pearl: str) -> int | None:
        """A number, or an object with one: the vendor's client shows that it answers, but not in which shape."""
        answer = self._look_up("the ongoing calls", "GET", f"/v2/Pearl/{_quoted(pearl)}/OngoingCalls")
        if answer.status != 200:
            return None
        told = answer.json()
        if isinstance(told, dict):
            folded = _fold(told)
            names = ("totalongoingcalls", "ongoingcalls", "count")
            told = next((folded[name] for name in names if name in folded), None)
        return read_seconds(told)

    def _read_account(self) -> _Document:
        answer = self._look_up("the account", "GET", "/v2/Account")
        document = _fold(answer.document())
        if answer.status != 200 or "status" not in document:
            raise unusable(VENDOR, "the account", answer)
        return document

    def _read_pearl(self, pearl: str) -> _Document | None:
        about = f"Pearl {pearl}"
        answer = self._look_up(about, "GET", f"/v2/Pearl/{_quoted(pearl)}")
        document = _fold(answer.document())
        if answer.status in (400, 404) and _is_problem(document):
            return None
        if answer.status != 200 or read_word(document.get("id")) is None:
            raise unusable(VENDOR, about, answer)
        return document

    def _read_settings(self, pearl: str) -> _Document:
        """The Pearl's outbound settings: read with all its others, for only writing them has an address of its own."""
        about = f"the settings of Pearl {pearl}"
        answer = self._look_up(about, "GET", f"/v2/Pearl/{_quoted(pearl)}/Settings")
        outbound = _fold(answer.document()).get("outbound")
        if answer.status != 200 or not isinstance(outbound, dict):
            raise unusable(VENDOR, about, answer)
        return _fold(outbound)

    def _note_redials(self, pearl: str, settings: Mapping[str, Any]) -> bool:
        redials = (read_seconds(settings.get("maximumcallattempts")) or 1) > 1
        with self._lock:
            self._pearls[pearl] = redials
        return redials

    def inspect(self, agents: Collection[str], numbers: Collection[str]) -> Sequence[Inspection]:
        try:
            account = self._read_account()
        except ProviderError as error:
            return [_judge_failure(error)]
        found = _judge_account(account)
        callers: set[str] = set()
        for pearl in dict.fromkeys((self._own, *agents)):
            if not _PEARL_ID.fullmatch(pearl):
                found.append(Inspection(Standing.PROBLEM, f"{pearl[:60]!r} is no id of a Pearl; write the Pearl's id"))
                continue
            self._remember(pearl)
            found += self._inspect_pearl(pearl, callers)
        found += _judge_numbers(numbers, callers)
        return [*found, *self._judge_hooks()]

    def _inspect_pearl(self, pearl: str, callers: set[str]) -> list[Inspection]:
        try:
            known = self._read_pearl(pearl)
        except ProviderError as error:
            return [Inspection(Standing.WARNING, f"Pearl {pearl} could not be verified: {error}")]
        found = [_judge_pearl(pearl, known)]
        if known is None:
            return found
        callers.add(read_word(known.get("phonenumber")) or "")
        try:
            settings = self._read_settings(pearl)
        except ProviderError:
            return [*found, Inspection(
                Standing.WARNING, f"the settings of Pearl {pearl} cannot be read; see on the platform that it makes at "
                "most one attempt per lead, or it will redial by itself",
            )]
        self._note_redials(pearl, settings)
        found.append(_judge_attempts(pearl, settings))
        return [*found, *_judge_settings(pearl, settings), *self._judge_addresses(pearl, settings)]

    def _judge_addresses(self, pearl: str, settings: _Document) -> list[Inspection]:
        ours = self._wiring.hook_url(NAME)
        if ours is None:
            return []
        return [
            Inspection(Standing.WARNING, f"the {name} webhook of Pearl {pearl} does not lead to {ours}; write that "
                       "address, followed by a slash and NLPEARL_WEBHOOK_SECRET, into its settings, or ends are only "
                       "learnt by polling")
            for name in ("lead", "call")
            if not str(settings.get(f"{name}webhookurl") or "").startswith(ours)
        ]

    def _judge_hooks(self) -> list[Inspection]:
        if self._wiring.public_url is None or self._hook_secret is not None:
            return []
        return [Inspection(
            Standing.WARNING, "NLPEARL_WEBHOOK_SECRET is not set, so every webhook of NLPearl is turned away; set it"
        )]

    def close(self) -> None:
        self._client.close()

    # --- inside ----------------------------------------------------------------------------------

    def _look_up(self, about: str, method: str, path: str, **content: Any) -> Answer:
        return self._client.look_up(VENDOR, about, method, path, **content)

    def _remember(self, pearl: str) -> None:
        with self._lock:
            self._pearls.setdefault(pearl, None)

    def _call_id(self, pearl: str, lead: str) -> str:
        return lead if pearl == self._own and ":" not in lead else f"{pearl}:{lead}"

    def _parts(self, call_id: str) -> tuple[str, str]:
        """Pearl and lead of a call's id."""
        pearl, colon, lead = call_id.partition(":")
        return (pearl, lead) if colon else (self._own, call_id)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A call that is asked for, and the lead that it is at the vendor."""

    key: CallKey
    call_id: str
    lead: str


@dataclass(slots=True)
class _Learnt:
    """What one poll has learnt, and the first question that had no answer."""

    reports: dict[str, CallReport | None] = field(default_factory=dict)
    problem: ProviderError | None = None

    def note(self, error: ProviderError) -> None:
        """Go on after an error, unless it is one that every further question would meet. Raises ProviderError."""
        self.problem = self.problem or error
        if error.permanent:
            raise error


class _Said(Enum):
    UNCLEAR = "an answer about a lead that neither shows one nor says that there is none"


class _Document(dict[str, Any]):
    """What the vendor wrote, by names without case: v1 writes `PearlId` where v2 writes `pearlId`."""

    raw: Mapping[str, Any] = {}


def _fold(document: Any) -> _Document:
    raw = document if isinstance(document, dict) else {}
    folded = _Document((_plain(str(name)), value) for name, value in raw.items())
    folded.raw = raw
    return folded


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


# --- words ---------------------------------------------------------------------------------------


def _code(value: Any, words: Mapping[int, str]) -> int | None:
    """A status as its number, written as a number or as a name; UNKNOWN for any other word, None without one."""
    word = read_word(value)
    if word is None:
        return None
    if word.isascii() and word.isdigit():
        return int(word) if int(word) in words else UNKNOWN
    names = {**_OTHER_SPELLINGS, **{_plain(name): code for code, name in words.items()}}
    code = names.get(_plain(word), UNKNOWN)
    return code if code in words else UNKNOWN


def _word(value: Any, words: Mapping[int, str]) -> str | None:
    """A status as people read it: the vendor's name for it, or what it wrote where it has none."""
    code = _code(value, words)
    return words[code] if code is not None and code in words else read_word(value)


def _shows_end(lead: _Document, call: _Document) -> bool:
    """Is there a sign that it is over: a length, a price, what only a call that is over has?"""
    last = call or _fold(lead.get("lastcall"))
    return _lasted(lead, call) or bool(
        read_cost(call.get("creditdebited")) or read_text(last.get("summary")) or read_instant(last.get("endtime"))
    )


def _lasted(lead: _Document, call: _Document) -> bool:
    return bool(read_seconds((call or _fold(lead.get("lastcall"))).get("duration")))


def _live_phase(status: int | None, conversation: int | None, shows_end: bool) -> Phase | None:
    """How far a call is that is not over; None for one that is. A word that nobody knows ends nothing by itself."""
    if status == IN_PROGRESS:
        return Phase.RINGING
    is_strange = status == UNKNOWN or (status is None and conversation == UNKNOWN)
    if is_strange and not shows_end and conversation not in CONCLUDED:
        return LIVE.get(conversation or UNKNOWN, Phase.DIALING)
    if status == CALL_COMPLETED and conversation in LIVE:
        return Phase.RINGING  # hung up, and not judged yet
    if status is None:
        return Phase.DIALING if conversation is None else LIVE.get(conversation)
    return None


def _outcome_of(status: int | None, conversation: int | None) -> Outcome | None:
    """None for a word that nobody knows."""
    concluded = Outcome.COMPLETED if conversation is None else CONCLUDED.get(conversation)
    if conversation in BARRED or status in (CALL_COMPLETED, None):
        return concluded
    return UNANSWERED.get(status)


# --- answers -------------------------------------------------------------------------------------


def _is_problem(document: Mapping[str, Any]) -> bool:
    """Is it a (Validation)ProblemDetails, as the vendor documents its refusals?"""
    title, status = document.get("title"), document.get("status")
    return isinstance(document.get("errors"), dict) or (isinstance(title, str) and isinstance(status, int))


def _refusal_of(answer: Answer, document: Mapping[str, Any]) -> RefusalKind | None:
    """What a refusal without a field's name means. A web page is a proxy's, and one that names a lead is none."""
    if _is_page(answer) or "leadid" in _fold(document):
        return None
    if answer.status == 404:
        return RefusalKind.HOLD if _is_problem(document) else None
    return {401: RefusalKind.HOLD, 403: RefusalKind.HOLD, 429: RefusalKind.THROTTLED}.get(answer.status)


def _is_page(answer: Answer) -> bool:
    return is_page(answer.body, answer.headers.get("Content-Type"))


def _words_of(document: Mapping[str, Any]) -> str:
    errors = document.get("errors")
    parts: list[Any] = [document.get("title"), document.get("detail"), document.get("message")]
    for name, messages in errors.items() if isinstance(errors, dict) else ():
        parts += [str(name), *(messages if isinstance(messages, list) else [messages])]
    return ", ".join(part for part in parts if isinstance(part, str) and part)


def _lead_in(answer: Answer, about: str) -> _Document | Literal[_Said.UNCLEAR] | None:
    """The lead that was asked for; None when the vendor says that there is none. Raises ProviderError."""
    if answer.status not in (200, 204, 400, 404):
        raise unusable(VENDOR, about, answer)
    if _is_page(answer) or answer.status == 400:
        return _Said.UNCLEAR
    if answer.status != 200 or _is_nothing(answer):
        return None
    document = _fold(answer.document())
    return _Said.UNCLEAR if _id_of(document) is None else document


def _is_nothing(answer: Answer) -> bool:
    """Is it JSON that shows no lead: `null`, an empty object, or one whose id is empty?"""
    document = _fold(answer.document())
    if "id" in document:
        told = document["id"]
        return told is None or (isinstance(told, str) and not told.strip())
    return answer.body.strip() == b"null" or answer.json() == {}


def _read_page(answer: Answer, about: str) -> tuple[list[_Document], int | None]:
    """The rows of a list and how many there are in all. Raises ProviderError."""
    document = _fold(answer.document())
    rows = document.get("results")
    if answer.status != 200 or not isinstance(rows, list):
        raise unusable(VENDOR, about, answer)
    return [_fold(row) for row in rows], read_seconds(document.get("count"))


def _id_of(document: _Document) -> str | None:
    return read_word(document.get("id"))


def _waits(lead: _Document | None) -> bool:
    """Is it in the queue, and was it never dialed?"""
    if lead is None or _code(lead.get("status"), LEAD_WORDS) not in (NEW, IN_QUEUE):
        return False
    return _last_call_id(lead) is None


def _last_call_id(lead: _Document) -> str | None:
    calls = lead.get("callsid")
    last = _id_of(_fold(lead.get("lastcall")))
    return last or (read_word(calls[-1]) if isinstance(calls, list) and calls else None)


def _is_later(row: _Document, known: _Document | None) -> bool:
    if known is None:
        return True
    ours, theirs = read_instant(row.get("starttime")), read_instant(known.get("starttime"))
    return ours is not None and (theirs is None or ours > theirs)


def _collected(value: Any) -> dict[str, Any]:
    """What the agent wrote down: an object, or a list of names and values."""
    if isinstance(value, dict):
        return value
    rows = [_fold(row) for row in value] if isinstance(value, list) else []
    return {name: row.get("value") for row in rows if (name := read_word(row.get("name"))) is not None}


def _later(at: datetime | None, seconds: int) -> datetime | None:
    try:
        return None if at is None else at + timedelta(seconds=seconds)
    except OverflowError:
        return None


def _iso(at: datetime) -> str:
    return to_utc(at).strftime("%Y-%m-%dT%H:%M:%SZ")


def _quoted(text: str) -> str:
    return quote(text, safe="")


# --- webhooks ------------------------------------------------------------------------------------


def _is_lead(told: _Document) -> bool:
    return "leadid" not in told and "conversationstatus" not in told and (
        "callsid" in told or "externalid" in told or "phonenumber" in told
    )


def _lead_event(told: _Document, lead: str, payload: dict[str, Any]) -> ProviderEvent:
    """A lead comes by the same word again when it is called again, so the number of its calls is in the key."""
    calls = told.get("callsid")
    dialed = len(calls) if isinstance(calls, list) else 0
    status = _word(told.get("status"), LEAD_WORDS)
    return ProviderEvent(
        _key("lead", lead, dialed, status), f"{OF_A_LEAD} {status}"[:64], payload,
        attempt_ref=read_word(told.get("externalid")), call_id=lead,
    )


def _call_event(told: _Document, call: str, payload: dict[str, Any]) -> ProviderEvent | None:
    """None for a call that no lead was made for: one that came in, or that somebody made by hand."""
    lead = read_word(told.get("leadid"))
    if lead is None:
        return None
    status = _word(told.get("status"), CALL_WORDS)
    judged = _word(told.get("conversationstatus"), LEAD_WORDS)
    return ProviderEvent(
        _key("call", call, status, judged), f"call {status}"[:64], payload,
        attempt_ref=read_word(told.get("externalid")), call_id=lead,
    )


def _key(*parts: object) -> str:
    text = ":".join(map(str, parts))
    return text if len(text) <= LONGEST_KEY else hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _query_secrets(url: str) -> list[str]:
    try:
        return [value for name, value in parse_qsl(urlsplit(url).query) if name == "secret"]
    except ValueError:
        return []


# --- keys ----------------------------------------------------------------------------------------


def _read_token(keys: Keys) -> SecretStr:
    """`AccountId:SecretKey`, as the vendor takes it. Raises InvalidValue, without the value."""
    whole = keys.text("NLPEARL_API_KEY")
    if whole is not None:
        if not all(map(_KEY_PART.fullmatch, whole.split(":"))) or whole.count(":") != 1:
            raise InvalidValue("NLPEARL_API_KEY", "(not shown)", "write <AccountId>:<SecretKey>, with one colon")
        return SecretStr(whole)
    account, secret, _ = keys.need(NAME, "NLPEARL_ACCOUNT_ID", "NLPEARL_SECRET_KEY", "NLPEARL_PEARL_ID")
    for name, part in (("NLPEARL_ACCOUNT_ID", account), ("NLPEARL_SECRET_KEY", secret)):
        if not _KEY_PART.fullmatch(part):
            raise InvalidValue(name, "(not shown)", "write it as NLPearl shows it, without spaces and without a colon")
    return SecretStr(f"{account}:{secret}")


def _read_hook_secret(keys: Keys) -> SecretStr | None:
    secret = keys.secret("NLPEARL_WEBHOOK_SECRET")
    if secret is not None and len(secret.get_secret_value()) < SHORTEST_SECRET:
        right = f"write {SHORTEST_SECRET} characters or more: it is all that proves who sent a webhook"
        raise InvalidValue("NLPEARL_WEBHOOK_SECRET", "(not shown)", right)
    return secret


def _read_header(keys: Keys) -> str | None:
    header = keys.text("NLPEARL_WEBHOOK_HEADER")
    if header is not None and not _HEADER_NAME.fullmatch(header):
        raise InvalidValue("NLPEARL_WEBHOOK_HEADER", header, "write the name of a header, such as X-Webhook-Secret")
    return None if header is None else header.lower()


# --- inspection ----------------------------------------------------------------------------------


def _judge_failure(error: ProviderError) -> Inspection:
    if error.permanent:
        return Inspection(
            Standing.PROBLEM, "NLPearl turns the keys away; write the account's id and a valid secret key into "
            "NLPEARL_ACCOUNT_ID and NLPEARL_SECRET_KEY",
        )
    return Inspection(Standing.WARNING, f"the NLPearl account could not be verified: {error}")


def _judge_account(account: _Document) -> list[Inspection]:
    status = _code(account.get("status"), ACCOUNT_WORDS)
    problem = ACCOUNT_PROBLEMS.get(status or UNKNOWN)
    if problem is not None:
        return [Inspection(Standing.PROBLEM, problem)]
    found = [Inspection(Standing.OK, "NLPearl takes the keys")]
    if status in (LIMITED, UNKNOWN, None):
        word = _word(account.get("status"), ACCOUNT_WORDS) or "unknown"
        sentence = f"the status of the NLPearl account is {word[:40]}; some calls may be refused"
        found.append(Inspection(Standing.WARNING, sentence))
    credit = read_decimal(account.get("creditbalance"))
    if credit is not None:
        standing = Standing.OK if credit > 0 else Standing.WARNING
        found.append(Inspection(standing, f"the NLPearl account has {credit} credits"))
    return found


def _judge_pearl(pearl: str, known: _Document | None) -> Inspection:
    if known is None:
        return Inspection(Standing.PROBLEM, f"the NLPearl account has no Pearl {pearl}; write the id of one of its own")
    if _code(known.get("type"), PEARL_TYPES) == INBOUND:
        return Inspection(Standing.PROBLEM, f"Pearl {pearl} takes calls and makes none; name an outbound Pearl")
    state = _code(known.get("status"), PEARL_STATES)
    if state not in (RUNNING, None):
        word = (_word(known.get("status"), PEARL_STATES) or "")[:40]
        return Inspection(
            Standing.PROBLEM, f"Pearl {pearl} is {word}: it would keep leads and dial them much later; set it running",
        )
    return Inspection(Standing.OK, f"Pearl {pearl} is there and makes calls")


def _judge_attempts(pearl: str, settings: _Document) -> Inspection:
    attempts = read_seconds(settings.get("maximumcallattempts"))
    if attempts == 1:
        return Inspection(Standing.OK, f"Pearl {pearl} makes one attempt per lead")
    if attempts is None:
        return Inspection(
            Standing.WARNING, f"Pearl {pearl} does not say how often it dials a lead; set its maximumCallAttempts to 1"
        )
    return Inspection(
        Standing.PROBLEM, f"Pearl {pearl} makes {attempts} attempts per lead, so it would redial by itself beside our "
        "own retries; set its maximumCallAttempts to 1",
    )


def _judge_settings(pearl: str, settings: _Document) -> Iterator[Inspection]:
    """What belongs to the Pearl and cannot be told per call."""
    ring, limit = read_seconds(settings.get("ringduration")), read_seconds(settings.get("calltimeout"))
    if ring is not None and not SHORTEST_RING <= ring <= LONGEST_RING:
        yield Inspection(Standing.WARNING, f"Pearl {pearl} lets a phone ring {ring} s; 20 to {LONGEST_RING} is usual")
    if limit is not None and not 1 <= limit <= LONGEST_CALL_MINUTES:
        yield Inspection(Standing.WARNING, f"Pearl {pearl} ends a call after {limit} min only; 5 to 30 is usual")
    if _open_minutes(settings.get("callinghours")) < WEEK_MINUTES - WEEK_SLACK_MINUTES:
        yield Inspection(
            Standing.WARNING, f"Pearl {pearl} has calling hours of its own, outside which it keeps leads and dials "
            "them later; open them wide, for Ringback keeps the hours",
        )
    if read_text(settings.get("voicemail")) is not None:
        yield Inspection(Standing.OK, f"Pearl {pearl} leaves a message on machines")


def _open_minutes(hours: Any) -> int:
    """Minutes of the week in a Pearl's calling hours. Without any, or where they cannot be read: all."""
    if not isinstance(hours, list) or not hours:
        return WEEK_MINUTES
    spans = [(_minute(row.get("start")), _minute(row.get("end"))) for row in map(_fold, hours)]
    if any(start is None or end is None for start, end in spans):
        return WEEK_MINUTES
    return sum(((end or 24 * 60) - (start or 0)) % (24 * 60 + 1) for start, end in spans)


def _minute(text: Any) -> int | None:
    found = re.match(r"(\d{1,2}):(\d{2})", text) if isinstance(text, str) else None
    return int(found[1]) * 60 + int(found[2]) if found else None


def _judge_numbers(numbers: Collection[str], callers: Collection[str]) -> Iterator[Inspection]:
    for number in numbers:
        if number not in callers:
            yield Inspection(
                Standing.WARNING, f"caller id {shorten(number)} will not be shown: a Pearl calls from its own number; "
                "name a Pearl that has this one",
            )
