"""Requests that were made under a key, and what they were answered with.

What must stay true: of two requests under one key at the same time one works and the other is told so; a row
without an answer belongs to whoever wrote its `created_at`, so that one who was given up cannot answer for the
one who took it over.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import Connection, delete, select, update

from scheduler.store.database import insert_or_ignore
from scheduler.store.tables import idempotency_keys

I = idempotency_keys.c  # noqa: E741  as every table's columns are named here


class Standing(StrEnum):
    """How a request under a key stands: it is ours to do, was done, is being done, or was another one."""

    OURS = "ours"
    DONE = "done"
    RUNNING = "running"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Claim:
    """`id` and `claimed_at` name what is ours; `status` and `answer` are those of one that was done."""

    standing: Standing
    id: int
    claimed_at: datetime
    status: int | None = None
    answer: str | None = None


def claim_key(
    connection: Connection, caller: str, key: str, request_sha256: str, now: datetime, *, kept: timedelta,
    given_up: timedelta,
) -> Claim:
    """Take a key for this request, if nobody has it. It is forgotten after `kept`, and free again when who works
    under it has not answered within `given_up`.
    """
    ours = connection.execute(insert_or_ignore(idempotency_keys).values(
        caller=caller, idempotency_key=key, request_sha256=request_sha256, created_at=now,
    )).rowcount
    row = connection.execute(
        select(I.id, I.request_sha256, I.answer_status, I.answer, I.created_at, I.idempotency_key)
        .where(I.caller == caller, I.idempotency_key == key)
        .with_for_update()
    ).one()
    if ours:
        return Claim(Standing.OURS, row.id, now)
    is_forgotten = row.created_at <= now - kept
    if not is_forgotten:
        # Collations take `Key` and `key` for the same; they are two keys of a careless caller.
        if row.request_sha256 != request_sha256 or row.idempotency_key != key:
            return Claim(Standing.OTHER, row.id, row.created_at)
        if row.answer_status is not None:
            return Claim(Standing.DONE, row.id, row.created_at, row.answer_status, row.answer)
        if row.created_at > now - given_up:
            return Claim(Standing.RUNNING, row.id, row.created_at)
    connection.execute(update(idempotency_keys).where(I.id == row.id).values(
        request_sha256=request_sha256, created_at=now, answer_status=None, answer=None,
    ))
    return Claim(Standing.OURS, row.id, now)


def keep_answer(connection: Connection, claim: Claim, status: int, answer: str) -> bool:
    """False: it was given up, and somebody else works under this key."""
    return connection.execute(
        update(idempotency_keys)
        .where(I.id == claim.id, I.created_at == claim.claimed_at, I.answer_status.is_(None))
        .values(answer_status=status, answer=answer)
    ).rowcount == 1


def forget_claim(connection: Connection, claim: Claim) -> None:
    """Let the key be used again: nothing came of it."""
    connection.execute(delete(idempotency_keys).where(
        I.id == claim.id, I.created_at == claim.claimed_at, I.answer_status.is_(None)
    ))


def forget_keys(connection: Connection, before: datetime, limit: int) -> int:
    """Delete some of those that are older. Returns how many."""
    ids = list(connection.execute(
        select(I.id).where(I.created_at <= before).order_by(I.created_at).limit(limit)
    ).scalars())
    if ids:
        # One of them may have been taken anew since it was read: then somebody works under it.
        connection.execute(delete(idempotency_keys).where(I.id.in_(ids), I.created_at <= before))
    return len(ids)
