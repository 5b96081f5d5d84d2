"""What Asterisk's call records say of one call: channel events (CEL) or call detail records (CDR), as rows.

Channel events tell more: a row when the channel is made, which is there even after a crash, one at the answer, and
one at the end with its Q.850 cause and who hung up. A detail record is written after the end only, says NO ANSWER of
404, 603 and 500 alike, and never who hung up. Shapes as Asterisk 22 was seen to write them, over ODBC and in SQLite.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from scheduler.model import Outcome
from scheduler.providers.payloads import read_decimal, read_instant, read_seconds, read_word

DISPOSITIONS: Mapping[str, Outcome | None] = {
    "NO ANSWER": Outcome.NO_ANSWER, "BUSY": Outcome.BUSY, "FAILED": None, "CONGESTION": None,
}  # fmt: skip
"""None: the network had no way (503 is written so), which is no outcome of a call."""
ANSWERED = "ANSWERED"
EARLIEST, LATEST = datetime(2001, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
"""Over ODBC a call that was not answered has 1970-01-01 for its answer."""
MOST_ROWS = 10


@dataclass(frozen=True, slots=True)
class Told:
    """Of one call. Times are by Asterisk's clock and perhaps in its zone, so only their distances are sure.

    `is_over` False: the channel was made, and no end of it is written. `cause` and `by_us` are told by channel
    events alone, `disposition` by detail records alone; `by_us`: nobody on the other side ended it.
    """

    started_at: datetime | None = None
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    is_over: bool = False
    is_answered: bool = False
    talk: timedelta | None = None
    cause: int | None = None
    by_us: bool | None = None
    disposition: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


def read_events(rows: Sequence[Mapping[str, Any]]) -> Told | None:
    """From channel events (eventtype, eventtime, extra, and channame where the table has it); None: there are none."""
    kinds: dict[str, datetime | None] = {}
    ending: Mapping[str, Any] = {}
    own = None
    for row in rows:
        kind = (read_word(row.get("eventtype")) or "").upper()
        if kind not in ("CHAN_START", "ANSWER", "HANGUP", "CHAN_END"):
            continue
        kinds.setdefault(kind, read_time(row.get("eventtime")))
        own = own or read_word(row.get("channame"))
        if kind == "HANGUP":
            ending = _json(row.get("extra"))
    if not kinds:
        return None
    ended_at = kinds.get("HANGUP") or kinds.get("CHAN_END")
    answered_at = kinds.get("ANSWER")
    source = read_word(ending.get("hangupsource")) or ""
    cause = _whole(ending.get("hangupcause"))
    details = {name.lower(): at.isoformat() for name, at in kinds.items() if at is not None}
    return Told(
        started_at=kinds.get("CHAN_START"), answered_at=answered_at, ended_at=ended_at,
        is_over=bool({"HANGUP", "CHAN_END"} & kinds.keys()), is_answered="ANSWER" in kinds,
        talk=max(ended_at - answered_at, timedelta(0)) if ended_at and answered_at else None,
        cause=cause, by_us=None if not ending else not source or (own is not None and source != own),
        details={"events": details | ({} if cause is None else {"cause": cause})},
    )  # fmt: skip


def read_records(rows: Sequence[Mapping[str, Any]]) -> Told | None:
    """From detail records. One call may have several, and a bridge cuts them: it lasted from the first answer to the
    last end, whatever each of them says; where the times are missing, the longest talk of them counts.
    """
    if not rows:
        return None
    words = [(read_word(row.get("disposition")) or "").upper() for row in rows]
    answers = [at for row in rows if (at := read_time(row.get("answer"))) is not None]
    ends = [at for row in rows if (at := read_time(row.get("end"))) is not None]
    starts = [at for row in rows if (at := read_time(row.get("start"))) is not None]
    is_answered = bool(answers) or ANSWERED in words
    talk = None
    if is_answered:
        said = timedelta(seconds=max((read_seconds(row.get("billsec")) or 0 for row in rows), default=0))
        talk = max(max(ends) - min(answers), said) if answers and ends else said
    return Told(
        started_at=min(starts, default=None), answered_at=min(answers, default=None), ended_at=max(ends, default=None),
        is_over=True, is_answered=is_answered, talk=talk, disposition=ANSWERED if is_answered else words[-1],
        details={"records": [_kept(row) for row in rows[:MOST_ROWS]]},
    )  # fmt: skip


def read_time(value: Any) -> datetime | None:
    """A time of a record: a datetime, text, or seconds since 1970. Without a zone it is taken for UTC."""
    if isinstance(value, datetime):
        at: datetime | None = (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
    else:
        number = read_decimal(value, 12)
        at = _of_epoch(number) if number is not None else read_instant(value)
    return at if at is not None and EARLIEST < at < LATEST else None


def _of_epoch(seconds: Decimal) -> datetime | None:
    if not 0 < seconds < Decimal(LATEST.timestamp()):
        return None
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(seconds * 1_000_000))


def _json(value: Any) -> Mapping[str, Any]:
    try:
        found = json.loads(value) if isinstance(value, str | bytes) and value else value
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _whole(value: Any) -> int | None:
    number = read_decimal(value, 12)
    return int(number) if number is not None and number == int(number) else None


def _kept(row: Mapping[str, Any]) -> dict[str, str]:
    kept = ("start", "answer", "end", "duration", "billsec", "disposition")
    return {name: str(row[name])[:64] for name in kept if row.get(name) is not None}
