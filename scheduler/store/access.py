"""Who may ask: API keys, users, their sessions, and the log-ins that failed.

What must stay true: no secret is here, only its SHA-256 (of keys and sessions, which are random) or its Argon2
hash (of passwords, which are not); a request is recognized by one indexed statement, so that what is revoked or
removed is refused from the next request on. Names are compared as they were written, whatever the collation of
the column takes for equal.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, String, and_, delete, exists, or_, select, type_coerce, update

from scheduler.model import Role, Scope
from scheduler.store.database import insert_or_ignore, insert_row
from scheduler.store.tables import accounts, api_keys, login_failures, sessions, users

K, U, S, F = api_keys.c, users.c, sessions.c, login_failures.c


@dataclass(frozen=True, slots=True)
class KeyRow:
    id: int
    name: str
    prefix: str
    secret_sha256: str
    scope: Scope
    account_id: int | None
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class UserRow:
    """`totp_since` is None until a code was shown; `totp_step` is the step of the last one; `recovery_codes` hashes."""

    id: int
    name: str
    password_hash: str
    role: Role
    account_id: int | None = None
    totp_secret: str | None = None
    totp_since: datetime | None = None
    totp_step: int | None = None
    recovery_codes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A session and whose it is."""

    id: int
    user_id: int
    name: str
    role: Role
    seen_at: datetime
    expires_at: datetime
    account_id: int | None = None


@dataclass(frozen=True, slots=True)
class Failures:
    """Log-ins that failed in a row, of one name or from one address."""

    who: str
    failures: int
    last_at: datetime


KEY_COLUMNS = (
    K.id, K.name, K.prefix, K.secret_sha256, type_coerce(K.scope, String), K.account_id, K.expires_at, K.revoked_at,
    K.last_used_at,
)
USER_COLUMNS = (
    U.id, U.name, U.password_hash, type_coerce(U.role, String), U.account_id, U.totp_secret, U.totp_since, U.totp_step,
    U.recovery_codes,
)


# --- anybody --------------------------------------------------------------------------------------


def has_anybody(connection: Connection) -> bool:
    """Was there ever a key (revoked ones count), or is there a user?"""
    some_key, some_user = exists(select(K.id)), exists(select(U.id))
    return bool(connection.execute(select(or_(some_key, some_user))).scalar())


def has_admin(connection: Connection, now: datetime) -> bool:
    """Is there an admin who can get in, a user or a valid key, who is not of one account?"""
    of_key = exists(select(K.id).where(K.scope == Scope.ADMIN, K.account_id.is_(None), _is_valid(now)))
    of_user = exists(select(U.id).where(U.role == Role.ADMIN, U.account_id.is_(None)))
    return bool(connection.execute(select(or_(of_key, of_user))).scalar())


def find_valid(
    connection: Connection, keys: Collection[int], at_work: Collection[int], *, now: datetime, seen_since: datetime
) -> tuple[set[int], set[int]]:
    """Which of these keys, and which of these sessions, would still be let in."""
    valid = select(K.id).where(K.id.in_(sorted(keys)), _is_valid(now))
    going_on = (
        select(S.id).select_from(sessions.join(users, S.user_id == U.id))
        .where(S.id.in_(sorted(at_work)), S.expires_at > now)
        .where(or_(S.last_seen_at.is_(None), S.last_seen_at > seen_since))
    )  # fmt: skip
    return (
        set(connection.execute(valid).scalars()) if keys else set(),
        set(connection.execute(going_on).scalars()) if at_work else set(),
    )


# --- keys -----------------------------------------------------------------------------------------


def find_key(connection: Connection, prefix: str) -> KeyRow | None:
    row = connection.execute(select(*KEY_COLUMNS).where(K.prefix == prefix)).first()
    return _key(row) if row else None


def lock_keys(connection: Connection, key: str) -> list[KeyRow]:
    """Those that an id, a name or a prefix names, oldest first, locked."""
    named = or_(K.name == key, K.prefix == key)
    if key.isascii() and key.isdecimal() and len(key) < 19:
        named = or_(named, K.id == int(key))
    rows = connection.execute(select(*KEY_COLUMNS).where(named).order_by(K.id).with_for_update())
    found = [_key(row) for row in rows]
    return [one for one in found if key in (str(one.id), one.name, one.prefix)]


def insert_key(connection: Connection, values: Mapping[str, Any]) -> int:
    return insert_row(connection, api_keys, values)


def revoke_key(connection: Connection, key_id: int, now: datetime) -> bool:
    """False when it was revoked already."""
    done = connection.execute(update(api_keys).where(K.id == key_id, K.revoked_at.is_(None)).values(revoked_at=now))
    return done.rowcount == 1


def touch_key(connection: Connection, key_id: int, now: datetime) -> None:
    connection.execute(update(api_keys).where(K.id == key_id).values(last_used_at=now))


def forget_key(connection: Connection, key_id: int) -> None:
    connection.execute(delete(api_keys).where(K.id == key_id))


def list_keys(connection: Connection, *, limit: int) -> list[dict[str, Any]]:
    """Newest first: id, name, prefix, scope, account (its code), created_at, expires_at, revoked_at, last_used_at."""
    rows = connection.execute(
        select(
            K.id, K.name, K.prefix, type_coerce(K.scope, String).label("scope"), accounts.c.code.label("account"),
            K.created_at, K.expires_at, K.revoked_at, K.last_used_at,
        )
        .select_from(api_keys.outerjoin(accounts, accounts.c.id == K.account_id))
        .order_by(K.id.desc()).limit(limit)
    )  # fmt: skip
    return [dict(row._mapping) for row in rows]


# --- users ----------------------------------------------------------------------------------------


def find_user(connection: Connection, name: str) -> UserRow | None:
    return _user(connection, name, lock=False)


def lock_user(connection: Connection, name: str) -> UserRow | None:
    return _user(connection, name, lock=True)


def is_name_taken(connection: Connection, name: str) -> bool:
    """By the measure of the column: one that ignores accents takes Ana and Aná for one name."""
    return connection.execute(select(U.id).where(U.name == name)).first() is not None


def insert_user(connection: Connection, values: Mapping[str, Any]) -> int:
    return insert_row(connection, users, values)


def change_user(connection: Connection, user_id: int, values: Mapping[str, Any]) -> None:
    connection.execute(update(users).where(U.id == user_id).values(**values))


def renew_hash(connection: Connection, user_id: int, *, was: str, now_is: str) -> None:
    """The same password, hashed with the parameters of today; unless it was changed meanwhile."""
    connection.execute(update(users).where(U.id == user_id, U.password_hash == was).values(password_hash=now_is))


def delete_user(connection: Connection, user_id: int) -> None:
    connection.execute(delete(users).where(U.id == user_id))


def list_users(connection: Connection, *, limit: int) -> list[dict[str, Any]]:
    """By name: id, name, role, account (its code), has_second_factor, created_at, last_login_at."""
    rows = connection.execute(
        select(
            U.id, U.name, type_coerce(U.role, String).label("role"), accounts.c.code.label("account"),
            U.totp_since.is_not(None).label("has_second_factor"), U.created_at, U.last_login_at,
        )
        .select_from(users.outerjoin(accounts, accounts.c.id == U.account_id))
        .order_by(U.name, U.id).limit(limit)
    )  # fmt: skip
    return [dict(row._mapping) for row in rows]


# --- sessions -------------------------------------------------------------------------------------


def find_session(connection: Connection, token_sha256: str) -> SessionRow | None:
    """None too when its user is gone."""
    row = connection.execute(
        select(
            S.id, S.user_id, U.name, type_coerce(U.role, String), S.created_at, S.last_seen_at, S.expires_at,
            U.account_id,
        )
        .select_from(sessions.join(users, S.user_id == U.id)).where(S.token_sha256 == token_sha256)
    ).first()  # fmt: skip
    if row is None:
        return None
    return SessionRow(row[0], row[1], row[2], Role(row[3]), row[5] or row[4], row[6], row[7])


def insert_session(connection: Connection, values: Mapping[str, Any]) -> int:
    return insert_row(connection, sessions, values)


def touch_session(connection: Connection, session_id: int, now: datetime) -> None:
    connection.execute(update(sessions).where(S.id == session_id).values(last_seen_at=now))


def end_session(connection: Connection, token_sha256: str) -> bool:
    return connection.execute(delete(sessions).where(S.token_sha256 == token_sha256)).rowcount > 0


def end_sessions(connection: Connection, user_id: int, *, but: str | None = None) -> int:
    """All sessions of a user, or all `but` one (its hash). Returns how many there were."""
    other = [] if but is None else [S.token_sha256 != but]
    return connection.execute(delete(sessions).where(S.user_id == user_id, *other)).rowcount


def forget_sessions(connection: Connection, user_id: int, *, now: datetime, seen_since: datetime, keep: int) -> None:
    """Delete the sessions of a user that are over, and the oldest beyond `keep`."""
    connection.execute(delete(sessions).where(
        S.user_id == user_id,
        or_(S.expires_at <= now, and_(S.last_seen_at.is_not(None), S.last_seen_at < seen_since)),
    ))
    newest = connection.execute(
        select(S.id).where(S.user_id == user_id).order_by(S.id.desc()).limit(1).offset(keep)
    ).scalar()
    if newest is not None:
        connection.execute(delete(sessions).where(S.user_id == user_id, S.id <= newest))


# --- log-ins that failed --------------------------------------------------------------------------


def lock_failures(connection: Connection, whos: Collection[str], now: datetime) -> dict[str, Failures]:
    """The rows of `whos`, made where there were none, locked in the order of their names."""
    for who in sorted(whos):
        connection.execute(insert_or_ignore(login_failures).values(who=who, failures=0, last_at=now))
    rows = connection.execute(
        select(F.who, F.failures, F.last_at).where(F.who.in_(sorted(whos))).order_by(F.who).with_for_update()
    )
    return {row[0]: Failures(row[0], row[1], row[2]) for row in rows}


def write_failures(connection: Connection, who: str, failures: int, last_at: datetime) -> None:
    connection.execute(update(login_failures).where(F.who == who).values(failures=failures, last_at=last_at))


def take_back_failure(connection: Connection, who: str) -> None:
    connection.execute(
        update(login_failures).where(F.who == who, F.failures > 0).values(failures=F.failures - 1)
    )


def forget_failures(connection: Connection, *, who: str | None = None, before: datetime | None = None) -> None:
    """Those of one, or those that are older than `before`."""
    if who is not None:
        connection.execute(delete(login_failures).where(F.who == who))
    if before is not None:
        connection.execute(delete(login_failures).where(F.last_at < before))


def _is_valid(now: datetime) -> Any:
    return and_(K.revoked_at.is_(None), or_(K.expires_at.is_(None), K.expires_at > now))


def _key(row: Any) -> KeyRow:
    return KeyRow(row[0], row[1], row[2], row[3], Scope(row[4]), row[5], row[6], row[7], row[8])


def _user(connection: Connection, name: str, *, lock: bool) -> UserRow | None:
    asked = select(*USER_COLUMNS).where(U.name == name)
    for row in connection.execute(asked.with_for_update() if lock else asked):
        if row[1] == name:
            codes = row[8] if isinstance(row[8], list) else []
            return UserRow(
                row[0], row[1], row[2], Role(row[3]), row[4], row[5], row[6], row[7],
                tuple(one for one in codes if isinstance(one, str)),
            )
    return None
