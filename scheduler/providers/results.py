"""What another system hands over as the result of a call, in whosever words: the outcome, and the vendor's payload.

Decided here: which of the words that a result is told in counts, and which names in a payload mean its length, its
summary and its price, whichever vendor wrote it (Retell AI, NLPearl, Twilio, Asterisk's call records, the HTTP
dialer). What must stay true: a word that nobody knows is no outcome, and two that contradict each other are none.
A newcomer would take `status`, which says how far the request came, for what became of the call.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from scheduler.errors import InvalidValue
from scheduler.model import Outcome
from scheduler.providers.base import CallReport, Phase
from scheduler.providers.payloads import (
    read_decimal,
    read_epoch,
    read_findings,
    read_instant,
    read_money,
    read_seconds,
    read_text,
    read_word,
    scrub,
)

FIELDS = ("callResult", "outcome", "status")
"""Of a result in several words, the one that says most first."""
WORDS: Mapping[str, Outcome] = {
    **{re.sub(r"[^a-z]", "", one.value): one for one in Outcome if one is not Outcome.CANCELLED},
    **dict.fromkeys(("error", "failure", "callfailed", "rejected", "fallida", "fallido"), Outcome.FAILED),
    **dict.fromkeys(("success", "successful", "completada", "exitosa"), Outcome.COMPLETED),
    **dict.fromkeys(("noanswered", "unanswered", "dialnoanswer", "norespuesta", "nocontesta"), Outcome.NO_ANSWER),
    **dict.fromkeys(("dialbusy", "userbusy", "linebusy", "ocupado"), Outcome.BUSY),
    **dict.fromkeys(("hungup", "userhangup", "abrupthangup", "colgo", "colgada"), Outcome.HANG_UP),
    **dict.fromkeys(
        ("machine", "machineend", "answeringmachine", "voicemailreached", "leftvoicemail", "buzon", "buzondevoz"),
        Outcome.VOICEMAIL,
    ),
    **dict.fromkeys(("callbackrequested", "rellamada", "volverallamar"), Outcome.CALLBACK),
    **dict.fromkeys(("dnc", "optout", "optedout", "blacklisted", "unsubscribed", "nollamar"), Outcome.DO_NOT_CALL),
    **dict.fromkeys(("wrongnumber", "unallocatednumber", "numeroinvalido"), Outcome.INVALID_NUMBER),
}
VAGUE = frozenset({Outcome.COMPLETED, Outcome.FAILED})
"""What a word may mean that says no more than whether it went well."""
SPOKEN = frozenset({Outcome.COMPLETED, Outcome.HANG_UP})
DEEPEST, WIDEST = 6, 500


def read_outcome_words(result: str | Mapping[str, Any]) -> Outcome:
    """The outcome that a result tells: a word, or a mapping with some of `FIELDS`.

    Of several words the more exact one counts (`busy` beside `failed`). Raises InvalidValue where no word is known,
    and where two exact ones contradict each other.
    """
    if isinstance(result, str):
        return _read_word("outcome", result)
    if not isinstance(result, Mapping):
        raise InvalidValue("result", repr(result)[:40], f"write an outcome, or a mapping with {', '.join(FIELDS)}")
    named = {_plain(str(name)): value for name, value in result.items()}
    told = {name: named[_plain(name)] for name in FIELDS if named.get(_plain(name)) not in (None, "")}
    if not told:
        raise InvalidValue("result", repr(dict(result))[:80], f"it needs one of {', '.join(FIELDS)}")
    known = {name: WORDS[_plain(word)] for name, value in told.items() if _plain(word := str(value)) in WORDS}
    if not known:
        name, value = next(iter(told.items()))
        return _read_word(name, str(value))
    exact = {name: one for name, one in known.items() if one not in VAGUE}
    if len(set(exact.values())) > 1:
        said = ", ".join(f"{name} {one.value}" for name, one in exact.items())
        raise InvalidValue("result", said, "these contradict each other; send the one that is right")
    return next(iter((exact or known).values()))


def _read_word(field: str, text: str) -> Outcome:
    found = WORDS.get(_plain(text))
    if found is None:
        words = ", ".join(one.value for one in Outcome if one is not Outcome.CANCELLED)
        raise InvalidValue(field, text[:40], f"the outcomes are {words}")
    return found


def read_result(outcome: Outcome, payload: Mapping[str, Any], now: datetime) -> CallReport:
    """A call that ended `outcome`, with what the payload tells of it. Never raises: what cannot be read is left out.

    Times without a zone are the lead's own, as everywhere. What the agent wrote down may say more than the outcome:
    that somebody asked to be called again, or never again.
    """
    parts = list(_mappings(payload, 0))
    cost, unit = _read_price(parts)
    found = read_findings(*parts, *_collected(parts))
    if outcome in SPOKEN and found.do_not_call:
        outcome = Outcome.DO_NOT_CALL
    elif outcome in SPOKEN and found.wants_callback and found.appointment_at is None:
        outcome = Outcome.CALLBACK
    is_wish = outcome is Outcome.CALLBACK
    return CallReport(
        call_id="", phase=Phase.ENDED, outcome=outcome,
        answered_at=_first_instant(parts, "answeredat", "answertime"),
        ended_at=_first_instant(parts, "endedat", "endtime", "endtimestamp") or now,
        talk_seconds=_read_length(parts), cost=cost, cost_unit=unit,
        summary=read_text(_first(parts, "callsummary", "summary", "resumen")),
        appointment_at=found.appointment_at,
        callback_at=found.callback_at if is_wish else None, callback_zone=found.callback_zone if is_wish else None,
        details=scrub(payload) if payload else {},
    )  # fmt: skip


def _mappings(value: Any, depth: int) -> Iterator[Mapping[str, Any]]:
    """Every mapping in a payload by plain names, the outer ones first."""
    if depth > DEEPEST:
        return
    if isinstance(value, Mapping):
        yield {_plain(str(name)): one for name, one in list(value.items())[:WIDEST]}
        value = list(value.values())
    if isinstance(value, list | tuple):
        for one in value[:WIDEST]:
            yield from _mappings(one, depth + 1)


def _collected(parts: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """What is written as pairs of a name and a value, as NLPearl writes what its agents learnt."""
    for one in parts:
        if "value" in one and (name := read_word(one.get("name"))) is not None:
            yield {name: one["value"]}


def _read_length(parts: Iterable[Mapping[str, Any]]) -> int | None:
    """Seconds of talk. Retell counts thousandths; Asterisk's `duration` includes the ringing, its `billsec` not."""
    parts = list(parts)
    milliseconds = read_seconds(_first(parts, "durationms"))
    if milliseconds is not None:
        return milliseconds // 1000
    return read_seconds(_first(parts, "talkseconds", "billsec", "callduration", "durationseconds", "duration"))


def _read_price(parts: Iterable[Mapping[str, Any]]) -> tuple[Decimal | None, str | None]:
    for one in parts:
        told = {"combinedcost": "usd_cents", "creditdebited": "credits", "cost": one.get("costunit"),
                "price": one.get("priceunit")}  # fmt: skip
        for name, unit in told.items():
            amount = read_decimal(one.get(name))
            if amount is not None:
                return read_money(abs(amount), unit)  # Twilio writes a charge as a negative number
    return None, None


def _first(parts: Iterable[Mapping[str, Any]], *names: str) -> Any:
    parts = list(parts)
    return next((one[name] for name in names for one in parts if one.get(name) not in (None, "")), None)


def _first_instant(parts: Iterable[Mapping[str, Any]], *names: str) -> datetime | None:
    value = _first(parts, *names)
    return read_instant(value) if isinstance(value, str) else read_epoch(value, timedelta(milliseconds=1))


def _plain(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.lower())
